# The network: its layers over one flat parameter vector, the buffers of a chunk of samples, and what is done to some rows of
# them: gather, forward, loss, backward.  How a team of threads shares the rows, and trains, is in engine.pxi.

cdef enum:
    MIN_CHUNK = 256            # rows: enough to make reading the weights once a chunk cheap
    MAX_CHUNK = MAX_ADD        # so that a chunk's weight gradient is one chain
    CHUNK_BYTES = 393216       # what a chunk's activations and gradients may take of the second cache
    UPDATE_BLOCK = 16384       # elements of a gradient that are updated while still in the first caches
    DOT_ROWS = 4               # below so many rows a product with transposed weights is not worth packing them


cdef struct Penalty:           # on parameters w: l1 sum of |w| + l2 sum of w^2
    double l1
    double l2


cdef struct Layer:
    Kind kind
    ix n_in
    ix n_out
    ix kernel                  # offset in the flat vectors of its kernel (n_in, n_out), gamma (n_out,) or own parameters, of
    ix n_kernel                # so many elements; the bias or beta (n_out,) follows.  Frozen ones are behind the trained
    bint use_bias
    bint frozen                # its parameters are not trained
    int activation
    Alpha alpha
    ix ld                      # elements from one row of output and delta to the next
    real* output               # (rows, n_out): activations a
    real* delta                # (rows, n_out): gradient of the cost with respect to the pre-activations z
    real* slope                # (rows, n_out): f'(z) where a does not tell it; what dropout multiplied with; or NULL
    real* row_statistics       # (rows, 2): layer normalization's mean and 1/deviation
    const real* constants[2]   # (n_out,): scale and shift of AFFINE
    real* moving[2]            # (n_out,): mean and variance of BATCH_NORM and NORMALIZATION
    bint invert                # of NORMALIZATION
    Statistics batch
    double momentum
    double epsilon
    Noise noise                # of DROPOUT
    Penalty kernel_penalty
    Penalty bias_penalty


cdef inline const real* gamma_of(const Layer* d, const real* parameters) noexcept nogil:
    return parameters + d.kernel if d.n_kernel else NULL


cdef inline const real* bias_of(const Layer* d, const real* parameters) noexcept nogil:
    return parameters + d.kernel + d.n_kernel if d.use_bias else NULL


cdef struct Pass:
    # What a forward pass is for.
    bint training
    ix first_row               # of the buffers' rows in their batch,
    uint32_t step              # and the batch's number: dropout draws by them


cdef class Network:
    """Layers over flat vectors of parameters and gradients, and the buffers of a chunk.

    Parameters
    ----------
    layers : list of dict
        Layer by layer: kind (of LAYER_KINDS), n_in, n_out, n_kernel, use_bias, offset, frozen, activation, alpha, penalties
        ((l1, l2) of kernel and bias), and what the kind needs: constants (two vectors), moving (two), invert, momentum,
        epsilon, rate, seed, shared (rows, columns), own.  From its offset on a layer has its kernel (n_in, n_out) in C order,
        gamma (n_out,) or own parameters, then the bias or beta (n_out,).
    parameters, gradients : ndarray, 1-D, of the module's dtype
        Of all layers, those that are frozen last.  Made by `aligned`, which leaves a spare cache line behind the last element.
    sizes : list of int
        Of the parameters that a norm to clip is taken of: each kernel, bias, gamma, …, in order.
    """
    cdef Layer* layers
    cdef int n_layers
    cdef int first_trained         # layer; below it nothing needs a gradient
    cdef bint dense_only           # of dense layers, all trained, whose activations tell their own derivatives
    cdef bint retired              # the model has its weights elsewhere now
    cdef bint whole                # some layer is made by the team together, or by Python, of a whole batch: one chunk, however large
    cdef real* parameters
    cdef real* gradients
    cdef object parameters_array
    cdef ix n_parameters           # that are trained
    cdef object gradients_array
    cdef list sizes
    cdef list held                 # arrays and objects that the layers point to
    cdef list own_layers           # Python objects, or None
    cdef object statistics_array
    cdef readonly ix chunk
    cdef readonly ix multiply_adds  # of one sample's step
    cdef Loss loss
    cdef LossKernel loss_kernel    # which holds what `loss` points to
    cdef object own_loss           # a Python function, or None,
    cdef bint has_own_loss         # which needs no GIL to tell
    cdef bint fused                # the loss takes the last layer's pre-activations, and gives their gradient
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
    cdef ix forward_rows           # samples whose forward pass the buffers hold,
    # the bound data
    cdef object bound
    cdef const real* x
    cdef const real* y
    cdef const int32_t* y_labels
    cdef const real* sample_weight
    cdef ix samples

    def __cinit__(self, list layers, cnp.ndarray parameters, cnp.ndarray gradients, list sizes):
        cdef ix all_ = 0, row, block = 0, columns = 0, n
        cdef int i
        cdef Layer* d
        self.n_layers = self.first_trained = len(layers)
        self.layers = <Layer*>calloc(self.n_layers, sizeof(Layer))
        if self.layers == NULL: raise MemoryError()
        self.held, self.own_layers, self.sizes = [], [], sizes
        self.input_ld = padded(layers[0]["n_in"])
        self.dense_only = True
        row = self.input_ld
        for i in range(self.n_layers):
            d = &self.layers[i]
            self.describe(d, layers[i])
            n = d.n_kernel + (d.n_out if d.use_bias else 0)
            all_ += n
            if n and not d.frozen:
                self.n_parameters += n
                if self.first_trained == self.n_layers: self.first_trained = i
            d.ld = padded(d.n_out)
            row += 2*d.ld
            if has_slope(d): row += d.ld
            if has_statistics(d): columns += round_up(d.n_out, LINE)
            if d.kind == DENSE:
                block = max(block, min(self.update_rows(d), d.n_in)*d.n_out)
                self.multiply_adds += d.n_in*d.n_out*(3 if i else 2)
            if d.kind != DENSE or d.frozen or keeps_slope(d.activation): self.dense_only = False
            if of_batch(d) or d.kind == OWN: self.whole = True
        if parameters.size != all_ or gradients.size != all_:
            raise ValueError(f"parameters and gradients have {parameters.size} and {gradients.size} elements, expected {all_}")
        for i in range(self.n_layers):             # frozen ones are behind all that are trained
            d = &self.layers[i]
            n = d.n_kernel + (d.n_out if d.use_bias else 0)
            if n and not (self.n_parameters if d.frozen else 0) <= d.kernel <= (all_ if d.frozen else self.n_parameters) - n:
                raise ValueError(f"layer {i} has the offset {d.kernel}, expected {'frozen' if d.frozen else 'trained'} parameters there")
        self.parameters_array, self.gradients_array = parameters, gradients
        self.parameters = <real*>writable(parameters, "parameters")
        self.gradients = <real*>writable(gradients, "gradients")
        self.chunk = min(max(CHUNK_BYTES//<ix>(row*sizeof(real))//32*32, <ix>MIN_CHUNK), <ix>MAX_CHUNK)
        self.work_size = round_up(GEMM_WORK + block + LINE, LINE)
        self.place_statistics(columns)

    cdef int describe(self, Layer* d, dict given) except -1:
        """All of d but its place in the flat vectors and the buffers."""
        cdef int i, kind = LAYER_KINDS.index(given["kind"])
        d.kind = <Kind>kind
        d.n_in, d.n_out, d.n_kernel, d.use_bias = given["n_in"], given["n_out"], given["n_kernel"], given["use_bias"]
        d.kernel, d.frozen = given["offset"], given["frozen"]
        d.activation, d.alpha = given["activation"], alpha_of(given["alpha"])
        d.momentum, d.epsilon, d.invert = given.get("momentum", 0.0), given.get("epsilon", 0.0), given.get("invert", False)
        d.noise.rate, d.noise.key = given.get("rate", 0.0), given.get("seed", 0)
        d.noise.shared_rows, d.noise.shared_columns = given.get("shared", (False, False))
        (d.kernel_penalty.l1, d.kernel_penalty.l2), (d.bias_penalty.l1, d.bias_penalty.l2) = given["penalties"]
        if d.frozen: d.kernel_penalty, d.bias_penalty = Penalty(0, 0), Penalty(0, 0)
        elif any(map(any, given["penalties"])): self.penalized = True
        self.own_layers.append(given.get("own"))
        vectors = given.get("constants") or given.get("moving") or ()
        for i in range(len(vectors)):
            same_size(vectors[i], d.n_out, "a layer's vector")
            if d.kind == AFFINE: d.constants[i] = <const real*>readable(vectors[i], "constants")
            else: d.moving[i] = <real*>writable(vectors[i], "moving")
        self.held.append(vectors)
        return 0

    cdef int place_statistics(self, ix columns) except -1:
        """Room for the statistics of batches: six vectors of all columns."""
        cdef real* at
        cdef int i
        if columns == 0: return 0
        self.statistics_array = aligned(6*columns)
        at = <real*>cnp.PyArray_DATA(self.statistics_array)
        for i in range(self.n_layers):
            if not has_statistics(&self.layers[i]): continue
            self.layers[i].batch.mean = at
            self.layers[i].batch.inverse = at + columns
            self.layers[i].batch.scale = at + 2*columns
            self.layers[i].batch.variance = at + 3*columns
            self.layers[i].batch.sum_d = at + 4*columns
            self.layers[i].batch.sum_dx = at + 5*columns
            at += round_up(self.layers[i].n_out, LINE)
        return 0

    def __dealloc__(self):
        free(self.layers)

    # ---- loss, data and buffers, with the GIL ----------------------------------------------------------------------

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

    def retire(self):
        """The model has a new engine: no predictor may go on with this one."""
        self.retired = True

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
        cdef ix size
        cdef char* at
        if self.work_array is None or self.work_array.size < threads*self.work_size:
            self.work_array = aligned(threads*self.work_size)
            self.work = <real*>cnp.PyArray_DATA(self.work_array)
        if rows <= self.capacity: return 0
        self.capacity = 0
        at = NULL
        self.place_buffers(rows, &at)
        size = at - <char*>NULL
        self.arena = np.zeros(size + 64, np.uint8)
        at = <char*>cnp.PyArray_DATA(self.arena)
        at += -<Py_ssize_t>at & 63
        self.place_buffers(rows, &at)
        self.capacity = rows
        return 0

    cdef void place_buffers(self, ix rows, char** at) noexcept:
        """Lay all buffers out from `at`, which then is their end."""
        cdef Layer* d
        cdef int i
        self.input = <real*>take(at, rows*self.input_ld*sizeof(real))
        for i in range(self.n_layers):
            d = &self.layers[i]
            d.output = <real*>take(at, rows*d.ld*sizeof(real))
            d.delta = <real*>take(at, rows*d.ld*sizeof(real))
            if has_slope(d): d.slope = <real*>take(at, rows*d.ld*sizeof(real))
            if d.kind == LAYER_NORM: d.row_statistics = <real*>take(at, rows*2*sizeof(real))
        self.target = <real*>take(at, rows*self.layers[self.n_layers - 1].ld*sizeof(real))
        self.labels = <int32_t*>take(at, rows*sizeof(int32_t))
        self.weights = <real*>take(at, rows*sizeof(real))
        self.row_loss = <double*>take(at, rows*sizeof(double))
        self.row_hits = <double*>take(at, rows*sizeof(double))

    # ---- the parts of a step, on rows r0 .. r1 of the buffers -------------------------------------------------------

    cdef void gather(self, const ix* order, ix first, ix r0, ix r1) noexcept nogil:
        """Copy samples order[first + r] (or first + r) to rows r of the buffers."""
        cdef Layer* last = &self.layers[self.n_layers - 1]
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

    cdef inline const real* input_of(self, int l, bint training, ix* ld) noexcept nogil:
        """The rows that layer l takes in: dropout only has some of its own in training."""
        l -= 1
        while l >= 0 and self.layers[l].kind == DROPOUT and not training: l -= 1
        ld[0] = self.layers[l].ld if l >= 0 else self.input_ld
        return self.layers[l].output if l >= 0 else self.input

    cdef void forward_layer(self, int l, ix r0, ix r1, bint activated, const Pass* p, real* work) noexcept nogil:
        """output <- f(z), or z where the loss is to take that."""
        cdef Layer* d = &self.layers[l]
        cdef ix lda
        cdef const real* a = self.input_of(l, p.training, &lda)
        cdef real* z = d.output + r0*d.ld
        if d.kind == DROPOUT and p.training:
            dropout_rows(r1 - r0, d.n_out, r0 + p.first_row, a + r0*lda, lda, &d.noise, p.step, <uint32_t>l, z, d.slope + r0*d.ld, d.ld)
        elif d.kind == DROPOUT:
            if l == self.n_layers - 1: copy_to_rows(r1 - r0, d.n_out, a + r0*lda, lda, z, d.ld)
        elif p.training and of_batch(d):
            affine_rows(r1 - r0, d.n_out, a + r0*lda, lda, d.batch.mean, d.batch.scale, bias_of(d, self.parameters), z, d.ld)
        elif d.kind != OWN:
            layer_rows(d, self.parameters, d.batch.scale, r1 - r0, a + r0*lda, lda, z,
                       d.row_statistics + 2*r0 if d.row_statistics else NULL, activated and d.activation == RELU, work)
        if not activated or (d.kind == DENSE and d.n_out > 1 and d.activation == RELU): return
        if p.training and keeps_slope(d.activation):
            activate_keeping_slope(d.activation, r1 - r0, d.n_out, z, d.slope + r0*d.ld, d.ld)
        else: activate(d.activation, d.alpha, r1 - r0, d.n_out, z, d.ld)

    cdef void copy_outputs(self, ix r0, ix r1, real* out) noexcept nogil:
        """Activated outputs of rows r0 .. r1 to rows r0 .. r1 of out (…, n_out)."""
        cdef Layer* d = &self.layers[self.n_layers - 1]
        cdef ix r
        for r in range(r0, r1): memcpy(out + r*d.n_out, d.output + r*d.ld, d.n_out*sizeof(real))
        if self.fused: activate(d.activation, d.alpha, r1 - r0, d.n_out, out + r0*d.n_out, d.n_out)

    cdef void loss_and_delta(self, ix r0, ix r1, double scale) noexcept nogil:
        """Losses of the samples, and the last layer's delta: the gradient of scale times their sum."""
        cdef Layer* d = &self.layers[self.n_layers - 1]
        cdef const real* y = NULL if self.y_labels else self.target + r0*d.ld
        cdef const int32_t* labels = self.labels + r0
        if self.loss.accuracy: accuracy_rows(&self.loss, r1 - r0, d.n_out, d.output + r0*d.ld, y, labels, d.ld, self.row_hits + r0)
        if not self.has_own_loss:
            loss_rows(&self.loss, r1 - r0, d.n_out, d.output + r0*d.ld, y, labels, self.weights + r0 if self.sample_weight else NULL,
                      d.ld, scale, self.row_loss + r0, d.delta + r0*d.ld)
        if not self.fused: self.through_activation(d, r0, r1)

    cdef ix counted(self, const ix* order, ix first, ix rows) noexcept nogil:
        """How many of a batch's samples have a label that is not to be ignored."""
        cdef ix r, n = 0
        if not self.loss.ignores: return rows
        for r in range(first, first + rows): n += self.y_labels[order[r] if order else r] >= 0
        return n

    cdef void through_activation(self, Layer* d, ix r0, ix r1) noexcept nogil:
        """delta, the gradient with respect to a, becomes that with respect to z."""
        cdef real* delta = d.delta + r0*d.ld
        if keeps_slope(d.activation): multiply_rows(r1 - r0, d.n_out, delta, d.slope + r0*d.ld, d.ld, delta, d.ld)
        else: activation_gradient(d.activation, d.alpha, r1 - r0, d.n_out, d.output + r0*d.ld, delta, d.ld)

    cdef void backward_data(self, int l, ix r0, ix r1, ix chunk_rows, real* work) noexcept nogil:
        """delta of layer l-1 <- that of layer l, taken back through layer l and the activation of l-1."""
        cdef Layer* d = &self.layers[l]
        cdef Layer* e = &self.layers[l - 1]
        cdef const real* x = e.output + r0*e.ld
        cdef real* delta = d.delta + r0*d.ld
        cdef real* out = e.delta + r0*e.ld
        cdef ix rows = r1 - r0
        if d.kind == DENSE:
            self.backward_dense(l, r0, r1, chunk_rows, work)
            return
        if d.kind == IDENTITY: copy_to_rows(rows, d.n_out, delta, d.ld, out, e.ld)
        elif d.kind == AFFINE: scale_rows(rows, d.n_out, delta, d.ld, d.constants[0], out, e.ld)
        elif d.kind == DROPOUT: multiply_rows(rows, d.n_out, delta, d.slope + r0*d.ld, d.ld, out, e.ld)
        elif d.kind == NORMALIZATION or (d.kind == BATCH_NORM and d.frozen):
            scale_rows(rows, d.n_out, delta, d.ld, d.batch.scale, out, e.ld)
        elif d.kind == BATCH_NORM: batch_norm_gradient(rows, d.n_out, chunk_rows, delta, d.ld, x, e.ld, &d.batch, out, e.ld)
        elif d.kind == LAYER_NORM:
            layer_norm_gradient(rows, d.n_out, delta, d.ld, x, e.ld, gamma_of(d, self.parameters), d.row_statistics + 2*r0, out, e.ld)
        self.through_activation(e, r0, r1)         # an own layer has written what it gives

    cdef void backward_dense(self, int l, ix r0, ix r1, ix chunk_rows, real* work) noexcept nogil:
        cdef Layer* d = &self.layers[l]
        cdef Layer* e = &self.layers[l - 1]
        cdef const real* kernel = self.parameters + d.kernel
        cdef const real* gate = e.output + r0*e.ld if e.activation == RELU else NULL
        cdef ix r, k
        if chunk_rows < DOT_ROWS:
            for r in range(r0, r1):
                if d.n_out == 1:                   # the kernel (n_in, 1) is its own transpose
                    for k in range(d.n_in): e.delta[r*e.ld + k] = fmadd(d.delta[r], kernel[k], R(0))
                else:
                    for k in range(d.n_in): e.delta[r*e.ld + k] = dot(d.n_out, d.delta + r*d.ld, kernel + k*d.n_out)
            self.through_activation(e, r0, r1)
            return
        # A single output's kernel (n_in, 1) is its own transpose.
        gemm(r1 - r0, d.n_in, d.n_out, d.delta + r0*d.ld, d.ld, 1, kernel, 1, d.n_out if d.n_out > 1 else 1, e.delta + r0*e.ld, e.ld,
             NULL, SET, False, gate, work)
        if gate == NULL: self.through_activation(e, r0, r1)

    cdef void backward_weights(self, int l, ix base, ix rows, ix k0, ix k1, Mode mode, real* g, real* work) noexcept nogil:
        """g (k1 - k0, n_out) <- rows k0 .. k1 of the kernel's gradient, from samples base .. base + rows: input^T delta."""
        cdef Layer* d = &self.layers[l]
        cdef ix lda, n
        cdef const real* a = self.input_of(l, True, &lda) + base*lda + k0
        cdef const real* delta = d.delta + base*d.ld
        while rows > 0:                            # one turn, but for a whole batch of more than MAX_CHUNK
            n = min(rows, <ix>MAX_CHUNK)
            if d.n_out == 1: gemm(1, k1 - k0, n, delta, 1, 1, a, lda, 1, g, k1 - k0, NULL, mode, False, NULL, work)
            else: gemm(k1 - k0, d.n_out, n, a, 1, lda, delta, d.ld, 1, g, d.n_out, NULL, mode, False, NULL, work)
            mode = ADD
            a += n*lda
            delta += n*d.ld
            rows -= n

    cdef void norm_gradients(self, int l, ix base, ix rows, Mode mode) noexcept nogil:
        """Gradients of a normalization's gamma and beta."""
        cdef Layer* d = &self.layers[l]
        cdef ix ldx
        cdef const real* x = self.input_of(l, True, &ldx) + base*ldx
        cdef real* gamma = self.gradients + d.kernel if d.n_kernel else NULL
        cdef real* beta = self.gradients + d.kernel + d.n_kernel if d.use_bias else NULL
        if d.kind == LAYER_NORM:
            layer_norm_parameters(rows, d.n_out, d.delta + base*d.ld, d.ld, x, ldx, d.row_statistics + 2*base, mode == ADD,
                                  gamma, beta)
            return
        if gamma: memcpy(gamma, d.batch.sum_dx, d.n_out*sizeof(real))
        if beta: memcpy(beta, d.batch.sum_d, d.n_out*sizeof(real))

    cdef void move_statistics(self, Layer* d) noexcept nogil:
        """Moving averages take the batch's mean and variance in."""
        cdef real keep = R(d.momentum), take_in = R(1 - d.momentum)
        cdef ix j
        for j in range(d.n_out):
            d.moving[0][j] = fmadd(keep, d.moving[0][j], take_in*d.batch.mean[j])
            d.moving[1][j] = fmadd(keep, d.moving[1][j], take_in*d.batch.variance[j])

    cdef void prepare(self) noexcept nogil:
        """What follows from given and moving averages, once for a call; training makes that of its batches over it."""
        cdef int l
        for l in range(self.n_layers): make_scale(&self.layers[l], self.parameters, self.layers[l].batch.scale)

    cdef void backward_bias(self, int l, ix base, ix rows, Mode mode) noexcept nogil:
        """The bias's gradient, the sum of the delta's rows: four chains of every fourth row, so that additions overlap, then
        pairs of them."""
        cdef Layer* d = &self.layers[l]
        cdef real* g = self.gradients + d.kernel + d.n_kernel
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
        cdef Layer* d
        cdef double total = 0
        cdef int l
        for l in range(self.n_layers):
            d = &self.layers[l]
            total += penalty_sum(&d.kernel_penalty, d.n_kernel, self.parameters + d.kernel)
            if d.use_bias: total += penalty_sum(&d.bias_penalty, d.n_out, self.parameters + d.kernel + d.n_kernel)
        return total

    cdef inline ix update_rows(self, Layer* d) noexcept nogil:
        """Rows of a kernel whose gradient is made, and used, before the next rows'."""
        return max(UPDATE_BLOCK//d.n_out//(16*MR), <ix>1)*16*MR


cdef inline bint has_slope(const Layer* d) noexcept nogil:
    return d.kind == DROPOUT or keeps_slope(d.activation)


cdef inline bint has_statistics(const Layer* d) noexcept nogil:
    return d.kind == BATCH_NORM or d.kind == NORMALIZATION


cdef inline bint of_batch(const Layer* d) noexcept nogil:
    """Whether training takes the statistics of its batches: frozen, batch normalization is as in inference."""
    return d.kind == BATCH_NORM and not d.frozen


cdef void make_scale(const Layer* d, const real* parameters, real* scale) noexcept nogil:
    """What a normalization multiplies with in inference."""
    if d.kind == BATCH_NORM: moving_statistics(d.n_out, d.moving[1], gamma_of(d, parameters), d.epsilon, scale)
    elif d.kind == NORMALIZATION: normalization_scale(d.n_out, d.moving[1], d.invert, scale)


cdef void layer_rows(const Layer* d, const real* parameters, const real* scale, ix rows, const real* a, ix lda, real* z,
                     real* row_statistics, bint relu, real* work) noexcept nogil:
    """z <- pre-activations, in inference; a dense layer of several outputs takes its RELU along.  scale: from make_scale."""
    cdef ix r
    cdef const real* kernel = parameters + d.kernel
    cdef const real* bias = bias_of(d, parameters)
    if d.kind == DENSE and d.n_out == 1:
        for r in range(rows): z[r*d.ld] = dot(d.n_in, a + r*lda, kernel) + (bias[0] if bias else R(0))
    elif d.kind == DENSE: gemm(rows, d.n_out, d.n_in, a, lda, 1, kernel, d.n_out, 1, z, d.ld, bias, SET, relu, NULL, work)
    elif d.kind == IDENTITY: copy_to_rows(rows, d.n_out, a, lda, z, d.ld)
    elif d.kind == AFFINE: affine_rows(rows, d.n_out, a, lda, NULL, d.constants[0], d.constants[1], z, d.ld)
    elif d.kind == NORMALIZATION and d.invert: affine_rows(rows, d.n_out, a, lda, NULL, scale, d.moving[0], z, d.ld)
    elif d.kind == NORMALIZATION: affine_rows(rows, d.n_out, a, lda, d.moving[0], scale, NULL, z, d.ld)
    elif d.kind == BATCH_NORM: affine_rows(rows, d.n_out, a, lda, d.moving[0], scale, bias, z, d.ld)
    elif d.kind == LAYER_NORM: layer_norm_rows(rows, d.n_out, a, lda, gamma_of(d, parameters), bias, d.epsilon, z, d.ld, row_statistics)


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
