# The engine: a dense network over one flat parameter vector, trained, evaluated and applied without the GIL.
#
# A step of training is: gather the batch's rows, forward, loss and its gradient, backward, update.  Two things are split
# among the threads:
#   - the samples, for all that is done row by row: gather, forward, loss, gradients of the layers' outputs;
#   - the rows of the weights, for the gradients of the weights and their update.
# The threads meet twice a step.  Each number is computed by one thread, in the order of gemm.pxi: no result depends on the
# number of threads.
#
# A batch is worked on in chunks of at most `chunk` rows, which depends on the network alone: activations then stay in the
# second cache however large the batch, and training needs no more memory for a large one.  Gradients add up over chunks.

from cpython.exc cimport PyErr_CheckSignals

cdef enum:
    MIN_CHUNK = 256            # rows: enough to make reading the weights once a chunk cheap
    MAX_CHUNK = MAX_ADD        # so that a chunk's weight gradient is one chain
    CHUNK_BYTES = 393216       # what a chunk's activations and gradients may take of the second cache
    UPDATE_BLOCK = 16384       # elements of a gradient that are updated while still in the first caches
    APART = 2000000000         # multiply-adds of a chunk's weight gradients from which a signal does not wait for their update
    DOT_ROWS = 4               # below so many rows a product with transposed weights is not worth packing them

cdef double SIGNAL_SECONDS = 0.02      # how often Python's signals are looked at,
cdef double PROGRESS_SECONDS = 0.1     # and progress is reported, during an epoch


cdef struct Penalty:           # on parameters w: l1 sum of |w| + l2 sum of w^2
    double l1
    double l2


cdef struct Dense:
    ix n_in
    ix n_out
    ix kernel                  # offset of the kernel (n_in, n_out) in the flat vectors; the bias (n_out,) follows it
    bint use_bias
    int activation
    ix ld                      # elements from one row of output and delta to the next
    real* output               # (rows, n_out): activations a
    real* delta                # (rows, n_out): gradient of the cost with respect to the pre-activations z
    Penalty kernel_penalty
    Penalty bias_penalty


cdef struct Step:
    ix rows                    # of its batch
    Rates rates


cdef struct Call:
    # What all members of a team share during one call.
    PyObject* engine
    bint train                 # update the parameters after each batch
    ix batch
    ix first_step
    ix steps
    ix samples
    const ix* order
    const double* rates        # one for each step, or a single one
    ix rate_stride
    int64_t iterations         # updates made before first_step
    ix steps_done
    double loss                # sum of the samples' weighted losses
    double hits                # sum of the samples' accuracies
    ix first_bad_step          # the first whose loss was not finite, or -1
    real* predictions          # where predict() writes
    bint wanted                # member 0 has an exception to raise: work that is not needed may be left off
    bint leave[5]              # what was decided at each meeting; see Engine.meet
    double next_signal_check
    double next_progress
    double work_since_check    # multiply-adds
    team_barrier barrier


cdef inline ix kernel_share(const Dense* d, int member, int members) noexcept nogil:
    """The first row of a member's share of a kernel."""
    return share(d.n_in, member, members, LINE if d.n_out == 1 else MR)


cdef class Engine:
    """A dense network: its layers over flat vectors of parameters and gradients, and the buffers of a chunk.

    Parameters
    ----------
    layers : list of (n_in, n_out, use_bias, activation)
        Layer by layer; the parameters of one follow those of the one before, kernel (n_in, n_out) in C order, then bias.
    parameters, gradients : ndarray, 1-D, of the module's dtype
        Made by `aligned`, which leaves a spare cache line behind the last element.
    """
    cdef Dense* layers
    cdef int n_layers
    cdef real* parameters
    cdef real* gradients
    cdef object parameters_array
    cdef ix n_parameters
    cdef object gradients_array
    cdef readonly ix chunk
    cdef readonly ix multiply_adds  # of one sample's step
    cdef Loss loss
    cdef LossKernel loss_kernel    # which holds what `loss` points to
    cdef object own_loss           # a Python function, or None,
    cdef bint has_own_loss         # which needs no GIL to tell
    cdef bint fused                # the loss takes the last layer's pre-activations, and gives their gradient
    cdef Optimizer optimizer
    cdef object optimizer_arrays
    cdef Pieces by_norm            # kernels and biases, where their gradients' norms are asked for
    cdef object norm_sums
    cdef bint penalized            # some layer has a penalty
    # buffers: rows of the input, of each layer's output and delta, of the targets
    cdef object arena
    cdef ix capacity
    cdef real* input
    cdef ix input_ld
    cdef real* target
    cdef int32_t* labels
    cdef real* weights
    cdef double* row_loss
    cdef double* row_hits
    cdef object work_array         # scratch: of gemm, and for the gradient of a block of a kernel
    cdef real* work
    cdef ix work_size              # for one thread
    cdef object order_array
    cdef ix forward_rows           # samples whose forward pass the buffers hold,
    cdef bint backward_done        # and their backward pass
    # the bound data
    cdef object bound
    cdef const real* x
    cdef const real* y
    cdef const int32_t* y_labels
    cdef const real* sample_weight
    cdef ix samples
    cdef object progress
    cdef object raised

    def __cinit__(self, list layers, cnp.ndarray parameters, cnp.ndarray gradients):
        cdef ix offset = 0, row, block = 0
        cdef int i
        cdef Dense* d
        self.n_layers = len(layers)
        self.layers = <Dense*>calloc(self.n_layers, sizeof(Dense))
        if self.layers == NULL: raise MemoryError()
        self.input_ld = padded(layers[0][0])
        row = self.input_ld
        for i in range(self.n_layers):
            d = &self.layers[i]
            d.n_in, d.n_out, d.use_bias, d.activation = layers[i]
            d.kernel = offset
            offset += d.n_in*d.n_out + (d.n_out if d.use_bias else 0)
            d.ld = padded(d.n_out)
            row += 2*d.ld
            block = max(block, min(self.update_rows(d), d.n_in)*d.n_out)
            self.multiply_adds += d.n_in*d.n_out*(3 if i else 2)
        if parameters.size != offset or gradients.size != offset:
            raise ValueError(f"parameters and gradients have {parameters.size} and {gradients.size} elements, expected {offset}")
        self.parameters_array, self.gradients_array = parameters, gradients
        self.n_parameters = offset
        self.parameters = <real*>writable(parameters, "parameters")
        self.gradients = <real*>writable(gradients, "gradients")
        self.chunk = min(max(CHUNK_BYTES//<ix>(row*sizeof(real))//32*32, <ix>MIN_CHUNK), <ix>MAX_CHUNK)
        self.work_size = round_up(GEMM_WORK + block + LINE, LINE)

    def __dealloc__(self):
        free(self.layers)
        free(self.by_norm.pieces)

    # ---- configuration and buffers, with the GIL -------------------------------------------------------------------

    def set_loss(self, LossKernel kernel, bint fused, int accuracy, own_loss=None):
        """`fused`: the last activation and the loss are computed together from the pre-activations.

        own_loss(y, p, weights), where it is not None, is called in place of the kernel, with copies of the targets (labels
        if there are any), the outputs and the weights or None of a chunk's samples.  It returns the sum of their losses, and
        the gradient of that with respect to p.
        """
        self.loss = kernel.loss
        self.loss_kernel = kernel
        self.own_loss = own_loss
        self.has_own_loss = own_loss is not None
        self.loss.accuracy = <Accuracy>accuracy
        # Keras's threshold is 0.5 for whatever the network puts out; a sigmoid of 0.5 is a logit of 0.
        self.loss.threshold = R(0) if fused and self.layers[self.n_layers - 1].activation == SIGMOID else R(0.5)
        self.fused = fused
        self.forward_rows = 0                      # its last layer's output was another thing

    def set_optimizer(self, dict hyperparameters, tuple state):
        """`state`: arrays as long as the parameters."""
        fill_optimizer(&self.optimizer, hyperparameters, state, self.parameters_array.size)
        if needs_norm(&self.optimizer.h): self.cut_pieces()
        self.optimizer_arrays = state

    cdef int cut_pieces(self) except -1:
        """Every kernel and bias is a piece."""
        cdef Pieces* all_ = &self.by_norm
        cdef Dense* d
        cdef int i
        if all_.pieces == NULL:
            all_.pieces = <Piece*>calloc(2*self.n_layers, sizeof(Piece))
            if all_.pieces == NULL: raise MemoryError()
            for i in range(self.n_layers):
                d = &self.layers[i]
                all_.n_blocks = set_piece(&all_.pieces[all_.n_pieces], 0, d.kernel, d.n_in*d.n_out, all_.n_blocks)
                all_.n_pieces += 1
                if d.use_bias:
                    all_.n_blocks = set_piece(&all_.pieces[all_.n_pieces], 0, d.kernel + d.n_in*d.n_out, d.n_out, all_.n_blocks)
                    all_.n_pieces += 1
            self.norm_sums = np.zeros(all_.n_blocks)
        all_.each, all_.parameters, all_.gradients = &self.optimizer, &self.parameters, <const real**>&self.gradients
        all_.sums = <double*>cnp.PyArray_DATA(self.norm_sums)
        return 0

    def set_penalties(self, list penalties):
        """((l1, l2) of the kernel, (l1, l2) of the bias) for each layer."""
        cdef int i
        cdef Dense* d
        self.penalized = False
        for i in range(self.n_layers):
            d = &self.layers[i]
            (d.kernel_penalty.l1, d.kernel_penalty.l2), (d.bias_penalty.l1, d.bias_penalty.l2) = penalties[i]
            if any(map(any, penalties[i])): self.penalized = True

    def bind(self, cnp.ndarray x, y, sample_weight):
        """Data for the calls that follow: x (N, n_in), y (N, n_out) or int32 labels (N,) or None, weights (N,) or None."""
        cdef ix n = cnp.PyArray_DIM(x, 0)
        self.bound = None
        self.x = <const real*>readable(x, "x")
        self.y = NULL
        self.y_labels = NULL
        self.sample_weight = NULL
        if y is not None:
            if (<cnp.ndarray>y).dtype == np.int32: self.y_labels = <const int32_t*>cnp.PyArray_DATA(y)
            else: self.y = <const real*>readable(y, "y")
            if cnp.PyArray_DIM(y, 0) != n: raise ValueError(f"y has {cnp.PyArray_DIM(y, 0)} samples, expected {n} as in x")
        if sample_weight is not None: self.sample_weight = <const real*>readable(sample_weight, "sample_weight")
        self.bound = (x, y, sample_weight)
        self.samples = n

    def unbind(self):
        """Let go of the data."""
        self.bound = None
        self.x = NULL
        self.samples = 0

    cdef int reserve(self, ix rows, int threads) except -1:
        """Buffers for so many rows, and scratch for so many threads."""
        cdef ix size, i
        cdef char* at
        cdef Dense* d
        if self.work_array is None or self.work_array.size < threads*self.work_size:
            self.work_array = aligned(threads*self.work_size)
            self.work = <real*>cnp.PyArray_DATA(self.work_array)
        if rows <= self.capacity: return 0
        self.capacity = 0
        size = line_bytes(rows*self.input_ld*sizeof(real)) + line_bytes(rows*sizeof(int32_t)) + line_bytes(rows*sizeof(real))
        size += 2*line_bytes(rows*sizeof(double)) + line_bytes(rows*self.layers[self.n_layers - 1].ld*sizeof(real))
        for i in range(self.n_layers): size += 2*line_bytes(rows*self.layers[i].ld*sizeof(real))
        self.arena = np.zeros(size + 64, np.uint8)
        at = <char*>cnp.PyArray_DATA(self.arena)
        at += -<Py_ssize_t>at & 63
        self.input = <real*>take(&at, rows*self.input_ld*sizeof(real))
        for i in range(self.n_layers):
            d = &self.layers[i]
            d.output = <real*>take(&at, rows*d.ld*sizeof(real))
            d.delta = <real*>take(&at, rows*d.ld*sizeof(real))
        self.target = <real*>take(&at, rows*self.layers[self.n_layers - 1].ld*sizeof(real))
        self.labels = <int32_t*>take(&at, rows*sizeof(int32_t))
        self.weights = <real*>take(&at, rows*sizeof(real))
        self.row_loss = <double*>take(&at, rows*sizeof(double))
        self.row_hits = <double*>take(&at, rows*sizeof(double))
        self.capacity = rows
        return 0

    # ---- the parts of a step, on rows r0 .. r1 of the buffers -------------------------------------------------------

    cdef void gather(self, const ix* order, ix first, ix r0, ix r1) noexcept nogil:
        """Copy samples order[first + r] (or first + r) to rows r of the buffers."""
        cdef Dense* last = &self.layers[self.n_layers - 1]
        cdef ix r, s, j, next_row, n = self.layers[0].n_in
        for r in range(r0, r1):
            s = order[first + r] if order else first + r
            if order and r + 1 < r1:               # the next row is anywhere in memory: ask for it while this one is copied
                next_row = order[first + r + 1]*n
                for j in range((n + LINE - 1)//LINE): prefetch_read(self.x + next_row + j*LINE)
            memcpy(self.input + r*self.input_ld, self.x + s*n, n*sizeof(real))
            if self.y_labels: self.labels[r] = self.y_labels[s]
            elif self.y: memcpy(self.target + r*last.ld, self.y + s*last.n_out, last.n_out*sizeof(real))
            if self.sample_weight: self.weights[r] = self.sample_weight[s]

    cdef void forward_layer(self, int l, ix r0, ix r1, bint activated, real* work) noexcept nogil:
        """output <- f(input kernel + bias), or without f."""
        cdef Dense* d = &self.layers[l]
        cdef ix lda = self.layers[l - 1].ld if l else self.input_ld, r
        cdef const real* a = self.layers[l - 1].output if l else self.input
        cdef const real* kernel = self.parameters + d.kernel
        cdef const real* bias = kernel + d.n_in*d.n_out if d.use_bias else NULL
        if d.n_out == 1:
            for r in range(r0, r1): d.output[r] = dot(d.n_in, a + r*lda, kernel) + (bias[0] if bias else R(0))
        else:
            gemm(r1 - r0, d.n_out, d.n_in, a + r0*lda, lda, 1, kernel, d.n_out, 1, d.output + r0*d.ld, d.ld, bias, SET,
                 activated and d.activation == RELU, NULL, work)
        if activated and (d.activation != RELU or d.n_out == 1): activate(d.activation, r1 - r0, d.n_out, d.output + r0*d.ld, d.ld)

    cdef void forward(self, ix r0, ix r1, int member, Call* call, real* work) noexcept nogil:
        cdef int l
        for l in range(self.n_layers):
            if call.wanted: return
            self.forward_layer(l, r0, r1, l + 1 < self.n_layers or not self.fused, work)
            if member == 0: self.look_around(call, (r1 - r0)*self.layers[l].n_in*self.layers[l].n_out)

    cdef void loss_and_delta(self, ix r0, ix r1, double scale) noexcept nogil:
        """Losses of the samples, and the last layer's delta: the gradient of scale times their sum."""
        cdef Dense* d = &self.layers[self.n_layers - 1]
        cdef const real* y = NULL if self.y_labels else self.target + r0*d.ld
        cdef const int32_t* labels = self.labels + r0
        if self.loss.accuracy: accuracy_rows(&self.loss, r1 - r0, d.n_out, d.output + r0*d.ld, y, labels, d.ld, self.row_hits + r0)
        if not self.has_own_loss:
            loss_rows(&self.loss, r1 - r0, d.n_out, d.output + r0*d.ld, y, labels, self.weights + r0 if self.sample_weight else NULL,
                      d.ld, scale, self.row_loss + r0, d.delta + r0*d.ld)
        if not self.fused: activation_gradient(d.activation, r1 - r0, d.n_out, d.output + r0*d.ld, d.delta + r0*d.ld, d.ld)

    cdef void call_own_loss(self, ix base, ix rows, double scale, Call* call) noexcept with gil:
        """Member 0, between two meetings: row_loss and the last layer's delta of samples base .. base + rows."""
        cdef Dense* d = &self.layers[self.n_layers - 1]
        cdef cnp.ndarray y, p, w, g
        cdef ix r, j
        cdef const real* from_row
        cdef double total
        try:
            p = copy_rows(d.output + base*d.ld, rows, d.n_out, d.ld)
            if self.y_labels:
                y = np.empty(rows, np.int32)
                memcpy(cnp.PyArray_DATA(y), self.labels + base, rows*sizeof(int32_t))
            else: y = copy_rows(self.target + base*d.ld, rows, d.n_out, d.ld)
            w = copy_rows(self.weights + base, rows, 1, 1).ravel() if self.sample_weight else None
            total, gradient = self.own_loss(y, p, w)
            g = np.ascontiguousarray(gradient, DTYPE)
            if g.ndim != 2 or cnp.PyArray_DIM(g, 0) != rows or cnp.PyArray_DIM(g, 1) != d.n_out:
                raise ValueError(f"the loss's gradient has shape {(<object>g).shape}, expected {(rows, d.n_out)}")
            for r in range(rows):
                from_row = <const real*>cnp.PyArray_DATA(g) + r*d.n_out
                for j in range(d.n_out): d.delta[(base + r)*d.ld + j] = R(scale)*from_row[j]
                self.row_loss[base + r] = 0
            self.row_loss[base] = total
        except BaseException as error:             # raised again when the team is home
            self.raised = error
            call.wanted = True

    cdef ix counted(self, const ix* order, ix first, ix rows) noexcept nogil:
        """How many of a batch's samples have a label that is not to be ignored; at least 1, to divide by."""
        cdef ix r, n = 0
        if not self.loss.ignores: return rows
        for r in range(first, first + rows): n += self.y_labels[order[r] if order else r] >= 0
        return max(n, <ix>1)

    cdef void backward_data(self, int l, ix r0, ix r1, ix chunk_rows, real* work) noexcept nogil:
        """delta of layer l-1 <- (delta of layer l) kernel^T, times the derivative of l-1's activation."""
        cdef Dense* d = &self.layers[l]
        cdef Dense* e = &self.layers[l - 1]
        cdef const real* kernel = self.parameters + d.kernel
        cdef const real* gate = e.output + r0*e.ld if e.activation == RELU else NULL
        cdef ix r, k
        if chunk_rows < DOT_ROWS:
            for r in range(r0, r1):
                if d.n_out == 1:                   # the kernel (n_in, 1) is its own transpose
                    for k in range(d.n_in): e.delta[r*e.ld + k] = fmadd(d.delta[r], kernel[k], R(0))
                else:
                    for k in range(d.n_in): e.delta[r*e.ld + k] = dot(d.n_out, d.delta + r*d.ld, kernel + k*d.n_out)
            activation_gradient(e.activation, r1 - r0, e.n_out, e.output + r0*e.ld, e.delta + r0*e.ld, e.ld)
            return
        # A single output's kernel (n_in, 1) is its own transpose.
        gemm(r1 - r0, d.n_in, d.n_out, d.delta + r0*d.ld, d.ld, 1, kernel, 1, d.n_out if d.n_out > 1 else 1, e.delta + r0*e.ld, e.ld,
             NULL, SET, False, gate, work)
        if gate == NULL: activation_gradient(e.activation, r1 - r0, e.n_out, e.output + r0*e.ld, e.delta + r0*e.ld, e.ld)

    cdef void backward_weights(self, int l, ix base, ix rows, ix k0, ix k1, Mode mode, real* g, real* work) noexcept nogil:
        """g (k1 - k0, n_out) <- rows k0 .. k1 of the kernel's gradient, from samples base .. base + rows: input^T delta."""
        cdef Dense* d = &self.layers[l]
        cdef ix lda = self.layers[l - 1].ld if l else self.input_ld
        cdef const real* a = (self.layers[l - 1].output if l else self.input) + base*lda + k0
        cdef const real* delta = d.delta + base*d.ld
        if d.n_out == 1: gemm(1, k1 - k0, rows, delta, 1, 1, a, lda, 1, g, k1 - k0, NULL, mode, False, NULL, work)
        else: gemm(k1 - k0, d.n_out, rows, a, 1, lda, delta, d.ld, 1, g, d.n_out, NULL, mode, False, NULL, work)

    cdef void backward_bias(self, int l, ix base, ix rows, Mode mode) noexcept nogil:
        """The bias's gradient, the sum of the delta's rows: four chains of every fourth row, so that additions overlap, then
        pairs of them."""
        cdef Dense* d = &self.layers[l]
        cdef real* g = self.gradients + d.kernel + d.n_in*d.n_out
        cdef const real* delta = d.delta + base*d.ld
        cdef real c[4]
        cdef real total[4*64]
        cdef ix r, n = 0, width
        cdef int i
        if d.n_out == 1:
            for i in range(4): c[i] = R(0)
            for r in range(0, rows - 3, 4):
                for i in range(4): c[i] += delta[r + i]
            for r in range(rows & ~3, rows): c[r & 3] += delta[r]
            total[0] = (c[0] + c[2]) + (c[1] + c[3])
            g[0] = g[0] + total[0] if mode == ADD else total[0]
            return
        while n < d.n_out:                         # four vectors of columns at once, two, or one: none past the row's padding
            width = min(d.n_out - n, <ix>4*VL if d.n_out - n > 3*VL else <ix>2*VL)
            if width > 2*VL: column_sums(4, rows, delta + n, d.ld, total)
            elif width > VL: column_sums(2, rows, delta + n, d.ld, total)
            else: column_sums(1, rows, delta + n, d.ld, total)
            if mode == ADD:
                for r in range(width): g[n + r] += total[r]
            else: memcpy(g + n, total, width*sizeof(real))
            n += width

    cdef double penalty(self) noexcept nogil:
        """The layers' penalties together, each summed in one order."""
        cdef Dense* d
        cdef double total = 0
        cdef int l
        for l in range(self.n_layers):
            d = &self.layers[l]
            total += penalty_sum(&d.kernel_penalty, d.n_in*d.n_out, self.parameters + d.kernel)
            if d.use_bias: total += penalty_sum(&d.bias_penalty, d.n_out, self.parameters + d.kernel + d.n_in*d.n_out)
        return total

    cdef void update(self, const Step* step, ix first, ix n, const real* g) noexcept nogil:
        update(&self.optimizer, &step.rates, first, n, self.parameters, g)

    cdef inline void set_rates(self, Call* call, ix s, Rates* rates) noexcept nogil:
        """Of step s of the call's epoch."""
        cdef ix done = s - call.first_step
        step_rates(&self.optimizer.h, call.rates[done*call.rate_stride], call.iterations + done + 1, rates)

    cdef inline ix update_rows(self, Dense* d) noexcept nogil:
        """Rows of a kernel whose gradient is made, and used, before the next rows'."""
        return max(UPDATE_BLOCK//d.n_out//(16*MR), <ix>1)*16*MR

    cdef void kernel_gradients(self, ix base, ix rows, int member, int members, Mode mode, const Step* step, Call* call,
                               bint last, real* work) noexcept nogil:
        """A member's rows of each kernel's gradient, and their update while that is in the cache; step NULL: gradients only.
        The batch's `last` chunk adds the penalties'.

        The gradient of a batch of one chunk is used and forgotten: it stays in scratch, which spares the memory of writing it."""
        cdef Dense* d
        cdef int l
        cdef ix k, k0, k1, end, block, bias
        cdef real* g
        cdef real* scratch = work + GEMM_WORK
        for l in range(self.n_layers - 1, -1, -1):
            d = &self.layers[l]
            k0 = kernel_share(d, member, members)
            k1 = kernel_share(d, member + 1, members)
            block = self.update_rows(d)
            k = k0
            while k < k1:
                if step == NULL and call.wanted: return
                end = min(k + block, k1)
                g = scratch if step and mode == SET else self.gradients + d.kernel + k*d.n_out
                self.backward_weights(l, base, rows, k, end, mode, g, work)
                if last: add_penalty_gradient(&d.kernel_penalty, (end - k)*d.n_out, self.parameters + d.kernel + k*d.n_out, g)
                if step: self.update(step, d.kernel + k*d.n_out, (end - k)*d.n_out, g)
                elif member == 0: self.look_around(call, rows*(end - k)*d.n_out)
                k = end
            if d.use_bias and member == l % members:
                self.backward_bias(l, base, rows, mode)
                if last:
                    bias = d.kernel + d.n_in*d.n_out
                    add_penalty_gradient(&d.bias_penalty, d.n_out, self.parameters + bias, self.gradients + bias)
                if step: self.update(step, d.kernel + d.n_in*d.n_out, d.n_out, self.gradients + d.kernel + d.n_in*d.n_out)

    cdef void update_all(self, int member, int members, const Step* step) noexcept nogil:
        """The update of a member's rows of each kernel from self.gradients."""
        cdef Dense* d
        cdef int l
        cdef ix k0, k1
        for l in range(self.n_layers):
            d = &self.layers[l]
            k0 = d.kernel + kernel_share(d, member, members)*d.n_out
            k1 = d.kernel + kernel_share(d, member + 1, members)*d.n_out
            self.update(step, k0, k1 - k0, self.gradients + k0)
            k0 = d.kernel + d.n_in*d.n_out
            if d.use_bias and member == l % members: self.update(step, k0, d.n_out, self.gradients + k0)

    cdef inline bint meet(self, Call* call, int member, int place) noexcept nogil:
        """Wait for the others; true where all must leave, since member 0 has an exception to raise.

        Each of the places in a step has its own flag, which member 0 alone sets, before it waits: by the time that it is
        set again all have met elsewhere, and so have read it."""
        if member == 0: call.leave[place] = call.wanted
        barrier_wait(&call.barrier)
        return call.leave[place]

    cdef bint backward_chunk(self, ix base, ix rows, double scale, int member, int members, Mode mode, bint last, const Step* step,
                             Call* call, real* work) noexcept nogil:
        """Loss, deltas and weight gradients of samples base .. base + rows, whose forward pass this member has made for its
        share; then the update.  `last`: of the batch, of which a share of `scale` is one sample's; step is given for the
        last chunk alone.  True where the call is to end, with no parameter changed."""
        cdef ix r0 = base + share(rows, member, members, MR), r1 = base + share(rows, member + 1, members, MR)
        cdef int l
        if self.has_own_loss:                      # of the whole chunk, so that no result depends on the threads
            if self.meet(call, member, 3): return True
            if member == 0: self.call_own_loss(base, rows, scale, call)
            if self.meet(call, member, 4): return True
        if r1 > r0 and not call.wanted:
            self.loss_and_delta(r0, r1, scale)
            for l in range(self.n_layers - 1, 0, -1):
                if call.wanted: break
                self.backward_data(l, r0, r1, rows, work)
                if member == 0: self.look_around(call, (r1 - r0)*self.layers[l].n_in*self.layers[l].n_out)
        if last and self.penalized and member == 0: call.loss += self.penalty()/scale      # before any parameter changes
        if self.meet(call, member, 0): return True
        if step and (needs_norm(&self.optimizer.h) or rows*self.n_parameters > APART):
            self.kernel_gradients(base, rows, member, members, mode, NULL, call, last, work)
            if self.meet(call, member, 1): return True
            if needs_norm(&self.optimizer.h) and not step.rates.hold:
                update_pieces(&self.by_norm, &step.rates, member, members, &call.barrier)
            else: self.update_all(member, members, step)
        else: self.kernel_gradients(base, rows, member, members, mode, step, call, last, work)
        if member == 0: self.add_losses(base, rows, call)
        return False

    cdef void add_losses(self, ix base, ix rows, Call* call) noexcept nogil:
        call.loss += lane_sum_double(rows, self.row_loss + base)
        if self.loss.accuracy: call.hits += lane_sum_double(rows, self.row_hits + base)

    # ---- whole calls, by each member of the team --------------------------------------------------------------------

    cdef void train_member(self, Call* call, int member, int members) noexcept nogil:
        cdef Step step
        cdef double scale
        cdef ix s, c, r0, r1, rows, start
        cdef bint last
        cdef real* work = self.work + member*self.work_size
        memset(&step, 0, sizeof(Step))
        for s in range(call.first_step, call.first_step + call.steps):
            start = s*call.batch
            step.rows = min(call.batch, call.samples - start)
            if call.train: self.set_rates(call, s, &step.rates)
            scale = 1.0/<double>self.counted(call.order, start, step.rows)
            c = 0
            while c < step.rows:
                rows = min(step.rows - c, self.chunk)
                r0 = share(rows, member, members, MR)
                r1 = share(rows, member + 1, members, MR)
                if r1 > r0:
                    self.gather(call.order, start + c, r0, r1)
                    self.forward(r0, r1, member, call, work)
                last = c + rows == step.rows
                if self.backward_chunk(0, rows, scale, member, members, ADD if c else SET, last,
                                       &step if call.train and last else NULL, call, work): return
                c += rows
                if member == 0:
                    if call.first_bad_step < 0 and not isfinite(call.loss): call.first_bad_step = s
                    if c == step.rows: call.steps_done += 1
                    self.look_around(call, rows*self.n_parameters)
                if self.meet(call, member, 2): return

    cdef void backward_member(self, Call* call, int member, int members) noexcept nogil:
        """Gradients from the rows that forward() left in the buffers: the chunks of train_member, the same bits."""
        cdef ix c = 0, rows
        cdef double scale = 1.0/<double>self.counted(NULL, 0, call.samples)
        cdef real* work = self.work + member*self.work_size
        while c < call.samples:
            rows = min(call.samples - c, self.chunk)
            if self.backward_chunk(c, rows, scale, member, members, ADD if c else SET, c + rows == call.samples,
                                   NULL, call, work): return
            c += rows
            if self.meet(call, member, 2): return

    cdef void infer_member(self, Call* call, int member, int members) noexcept nogil:
        """Predictions or losses of all samples, each member on its share of a chunk; nothing is shared but the sums."""
        cdef Dense* d = &self.layers[self.n_layers - 1]
        cdef ix c = 0, rows, r, r0, r1
        cdef real* work = self.work + member*self.work_size
        while c < call.samples:
            rows = min(call.samples - c, self.chunk)
            r0 = share(rows, member, members, MR)
            r1 = share(rows, member + 1, members, MR)
            if r1 > r0:
                self.gather(NULL, c, r0, r1)
                self.forward(r0, r1, member, call, work)
                if call.predictions:
                    if self.fused: activate(d.activation, r1 - r0, d.n_out, d.output + r0*d.ld, d.ld)
                    for r in range(r0, r1): memcpy(call.predictions + (c + r)*d.n_out, d.output + r*d.ld, d.n_out*sizeof(real))
                else: self.loss_and_delta(r0, r1, 1)
            if self.meet(call, member, 0): return
            c += rows
            if member == 0 and call.predictions == NULL:
                if self.has_own_loss: self.call_own_loss(0, rows, 1, call)
                self.add_losses(0, rows, call)
            if self.meet(call, member, 2): return

    cdef void forward_member(self, Call* call, int member, int members) noexcept nogil:
        """All samples at once, kept in the buffers for a backward pass."""
        cdef ix r0 = share(call.samples, member, members, MR), r1 = share(call.samples, member + 1, members, MR)
        if r1 > r0:
            self.gather(NULL, 0, r0, r1)
            self.forward(r0, r1, member, call, self.work + member*self.work_size)

    cdef void look_around(self, Call* call, ix multiply_adds) noexcept nogil:
        """Member 0, now and then: is there a signal, does somebody want to see progress?  The clock is read every few
        microseconds."""
        cdef double now
        call.work_since_check += <double>multiply_adds
        if call.work_since_check < 2e5: return
        call.work_since_check = 0
        now = seconds()
        if now < call.next_signal_check: return
        call.next_signal_check = now + SIGNAL_SECONDS
        self.look_around_with_gil(call, now)

    cdef void look_around_with_gil(self, Call* call, double now) noexcept with gil:
        try:
            PyErr_CheckSignals()
            if self.progress is not None and now >= call.next_progress:
                call.next_progress = now + PROGRESS_SECONDS
                self.progress(call.first_step + call.steps_done)
        except BaseException as error:             # KeyboardInterrupt above all; raised again when the team is home
            self.raised = error
            call.wanted = True

    cdef int run(self, team_function function, Call* call, int threads) except -1:
        call.engine = <PyObject*>self
        call.next_signal_check = seconds() + SIGNAL_SECONDS
        call.next_progress = call.next_signal_check
        with nogil: team_run(function, call, threads, &call.barrier)
        if self.raised is not None:
            error, self.raised = self.raised, None
            raise error
        return 0

    cdef Call new_call(self, ix batch, ix steps):
        cdef Call call
        memset(&call, 0, sizeof(Call))
        call.batch, call.steps, call.samples = batch, steps, self.samples
        call.first_bad_step = -1
        return call

    # ---- calls from Python ------------------------------------------------------------------------------------------

    def train(self, Py_ssize_t batch_size, order_key, Py_ssize_t first_step, Py_ssize_t steps, cnp.ndarray learning_rates,
              int64_t iterations, int threads, progress):
        """Train on batches first_step … of an epoch of the bound data.

        order_key : (seed, epoch) that the epoch's order is drawn from, or None for the data's own order.
        learning_rates : float64, one for each step or a single one.
        iterations : updates made so far.
        progress : called with the number of the epoch's steps done, about ten times a second, or None.

        Returns (sum of the samples' losses, sum of their accuracies, first step with a loss that is not finite or -1).
        An exception from a signal handler or from progress leaves the parameters as they were after the last whole step;
        `steps_done` tells how many there were.
        """
        cdef Call call = self.new_call(batch_size, steps)
        call.train = True
        call.first_step = first_step
        call.iterations = iterations
        call.rates = <const double*>cnp.PyArray_DATA(learning_rates)
        call.rate_stride = 1 if learning_rates.size > 1 else 0
        self.forward_rows = self.steps_done = 0
        self.reserve(max(min(batch_size, self.chunk, self.samples), <ix>2), threads)      # two: see train_single
        call.order = self.draw_order(order_key)
        self.progress = progress
        try:
            self.run(train_member, &call, threads)
        finally:
            self.steps_done = call.steps_done
            self.progress = None
        return call.loss, call.hits, call.first_bad_step

    cdef readonly ix steps_done

    cdef const ix* draw_order(self, order_key) except? NULL:
        cdef uint64_t seed
        cdef uint32_t epoch
        cdef ix* order
        cdef ix n = self.samples
        if order_key is None: return NULL
        seed, epoch = order_key
        if self.order_array is None or self.order_array.size != n: self.order_array = np.empty(n, np.intp)
        order = <ix*>cnp.PyArray_DATA(self.order_array)
        with nogil: permutation(n, seed, epoch, order)
        return order

    def gradient(self, int threads):
        """Gradients of the mean loss of all bound samples.  Returns (sum of losses, sum of accuracies)."""
        cdef Call call = self.new_call(self.samples, 1)
        self.reserve(min(self.chunk, self.samples), threads)
        self.forward_rows = 0
        self.run(train_member, &call, threads)
        return call.loss, call.hits

    def evaluate(self, int threads):
        """(sum of the losses, sum of the accuracies) of all bound samples."""
        cdef Call call = self.new_call(self.samples, 1)
        self.reserve(min(self.chunk, self.samples), threads)
        self.forward_rows = 0
        self.run(infer_member, &call, threads)
        if self.penalized: call.loss += self.penalty()*<double>self.counted(NULL, 0, self.samples)
        return call.loss, call.hits

    def predict(self, cnp.ndarray out, int threads):
        """Write the network's outputs for all bound samples to out (N, n_out)."""
        cdef Call call = self.new_call(self.samples, 1)
        call.predictions = <real*>writable(out, "out")
        if out.size != self.samples*self.layers[self.n_layers - 1].n_out: raise ValueError(f"out has {out.size} elements")
        self.reserve(min(self.chunk, self.samples), threads)
        self.forward_rows = 0
        self.run(infer_member, &call, threads)

    def forward_all(self, int threads):
        """A forward pass of all bound samples that backward_all() can follow."""
        cdef Call call = self.new_call(self.samples, 1)
        self.reserve(self.samples, threads)
        self.forward_rows = 0
        self.backward_done = False
        self.run(forward_member, &call, threads)
        self.forward_rows = self.samples

    def backward_all(self, int threads):
        """Gradients of the mean loss of the samples of forward_all(), with the targets bound since.  Returns the sum of losses."""
        cdef Call call = self.new_call(self.samples, 1)
        if self.forward_rows != self.samples:
            raise ValueError(f"{self.samples} samples, expected the {self.forward_rows} of the last forward pass")
        self.gather(NULL, 0, 0, self.samples)      # the targets; the input is the same
        self.run(backward_member, &call, threads)
        self.backward_done = True
        return call.loss

    def layer_output(self, int layer):
        """A copy (N, n_out) of a layer's output of forward_all(), activated."""
        cdef Dense* d = &self.layers[layer]
        cdef ix rows = self.kept_rows()
        cdef cnp.ndarray out = copy_rows(d.output, rows, d.n_out, d.ld)
        if self.fused and layer == self.n_layers - 1: activate(d.activation, rows, d.n_out, <real*>cnp.PyArray_DATA(out), d.n_out)
        return out

    def layer_delta(self, int layer):
        """A copy (N, n_out) of the gradient with respect to a layer's pre-activations, of backward_all()."""
        if self.forward_rows and not self.backward_done: raise ValueError("the buffers hold no backward pass: call backward() first")
        return copy_rows(self.layers[layer].delta, self.kept_rows(), self.layers[layer].n_out, self.layers[layer].ld)

    cdef ix kept_rows(self) except -1:
        if self.forward_rows == 0: raise ValueError("the buffers hold no forward pass: call forward() first")
        return self.forward_rows


cdef double penalty_sum(const Penalty* p, ix n, const real* w) noexcept nogil:
    cdef double total = 0
    if p.l1 != 0: total += p.l1*absolute_sum(n, w)
    if p.l2 != 0: total += p.l2*square_sum(n, w, NULL)
    return total


cdef void add_penalty_gradient(const Penalty* p, ix n, const real* w, real* g) noexcept nogil:
    """g <- g + l1 sign(w) + 2 l2 w; the sign of 0 is 0."""
    cdef real l1 = R(p.l1), twice_l2 = R(2*p.l2)
    cdef ix i
    if p.l2 != 0:
        for i in range(n): g[i] = fmadd(twice_l2, w[i], g[i])
    if p.l1 != 0:
        for i in range(n): g[i] += l1 if w[i] > R(0) else -l1 if w[i] < R(0) else w[i]


cdef cnp.ndarray copy_rows(const real* source, ix rows, ix n, ix ld):
    cdef cnp.ndarray out = np.empty((rows, n), DTYPE)
    cdef real* to = <real*>cnp.PyArray_DATA(out)
    cdef ix r
    for r in range(rows): memcpy(to + r*n, source + r*ld, n*sizeof(real))
    return out


cdef inline ix line_bytes(ix n) noexcept nogil:
    """Bytes of a buffer that holds n: whole cache lines, and a spare one that vectors may reach into."""
    return round_up(n, 64) + 64


cdef inline void* take(char** at, ix n) noexcept nogil:
    cdef void* start = at[0]
    at[0] += line_bytes(n)
    return start


cdef int train_member(void* argument, int member, int members) noexcept nogil:
    cdef Call* call = <Call*>argument
    cdef uint64_t mode = flush_subnormals()
    if call.train and members == 1 and is_tiny(<Engine>call.engine, call): train_tiny(<Engine>call.engine, call)
    elif call.train and members == 1 and is_single(<Engine>call.engine, call): train_single(<Engine>call.engine, call)
    else: (<Engine>call.engine).train_member(call, member, members)
    restore_subnormals(mode)
    return 0


cdef int backward_member(void* argument, int member, int members) noexcept nogil:
    cdef Call* call = <Call*>argument
    cdef uint64_t mode = flush_subnormals()
    (<Engine>call.engine).backward_member(call, member, members)
    restore_subnormals(mode)
    return 0


cdef int infer_member(void* argument, int member, int members) noexcept nogil:
    cdef Call* call = <Call*>argument
    cdef uint64_t mode = flush_subnormals()
    (<Engine>call.engine).infer_member(call, member, members)
    restore_subnormals(mode)
    return 0


cdef int forward_member(void* argument, int member, int members) noexcept nogil:
    cdef Call* call = <Call*>argument
    cdef uint64_t mode = flush_subnormals()
    (<Engine>call.engine).forward_member(call, member, members)
    restore_subnormals(mode)
    return 0
