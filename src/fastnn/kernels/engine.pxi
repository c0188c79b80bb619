# The engine: a network trained, evaluated and applied without the GIL, by a team of threads.
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

cdef ix MAX_ROWS = <ix>1 << 60         # more than any batch has

cdef enum:
    APART = 2000000000         # multiply-adds of a chunk's weight gradients from which a signal does not wait for their update

cdef double SIGNAL_SECONDS = 0.02      # how often Python's signals are looked at,
cdef double PROGRESS_SECONDS = 0.1     # and progress is reported, during an epoch


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
    ix before                  # samples of the step that earlier calls have had,
    ix together                # and of those that all calls have: 0 for steps that begin and end in this one
    const ix* order            # of the samples from `origin` on; NULL for their own, and origin 0
    ix origin
    const double* rates        # one for each step, or a single one
    ix rate_stride
    int64_t iterations         # updates made before first_step
    ix steps_done
    double loss                # sum of the samples' weighted losses
    double hits                # sum of the samples' accuracies
    ix first_bad_step          # the first whose loss was not finite, or -1
    real* predictions          # where the samples' outputs are to be written, or NULL
    bint halt                  # a training is to end with the first step whose loss is not finite
    bint losses                # of an inference: compute them
    bint wanted                # member 0 has an exception to raise, or halts: work that is not needed may be left off
    bint leave[5]              # what was decided at each meeting; see Engine.meet
    uint64_t float_mode        # of the caller: Python code works in it
    double next_signal_check
    double next_progress
    double work_since_check    # multiply-adds
    team_barrier barrier


cdef inline bint halts(Call* call, ix s) noexcept nogil:
    """Note step s, which is done, where its loss is the first that is not finite; true where the call is to end there."""
    if call.first_bad_step < 0 and not isfinite(call.loss): call.first_bad_step = s
    return call.halt and call.first_bad_step >= 0


cdef inline ix kernel_share(const Layer* d, int member, int members) noexcept nogil:
    """The first row of a member's share of a dense layer's kernel."""
    return share(d.n_in, member, members, LINE if d.n_out == 1 else MR)


cdef class Engine(Network):
    """A network at work.

    Parameters
    ----------
    layers, parameters, gradients, sizes
        See Network.
    """
    cdef Optimizer optimizer
    cdef dict hyperparameters      # that `optimizer` was filled from,
    cdef tuple optimizer_arrays    # and the state that it points to
    cdef Pieces by_norm            # where the gradients' norms are asked for
    cdef object norm_sums
    cdef readonly object order     # of the samples that train() was last called for, (samples,); None for their own
    cdef bint backward_done        # the buffers hold a backward pass
    cdef object progress
    cdef object raised

    def __dealloc__(self):
        free(self.by_norm.pieces)

    def set_optimizer(self, dict hyperparameters, tuple state):
        """`state`: arrays as long as the parameters.  The same two objects again are known already."""
        if hyperparameters is self.hyperparameters and state is self.optimizer_arrays: return
        self.hyperparameters = None
        fill_optimizer(&self.optimizer, hyperparameters, state, self.n_parameters)
        if needs_norm(&self.optimizer.h): self.cut_pieces()
        self.hyperparameters, self.optimizer_arrays = hyperparameters, state

    cdef int cut_pieces(self) except -1:
        """Every kernel and bias is a piece."""
        cdef Pieces* all_ = &self.by_norm
        cdef ix first = 0, n
        if all_.pieces == NULL:
            all_.pieces = <Piece*>calloc(max(len(self.sizes), 1), sizeof(Piece))
            if all_.pieces == NULL: raise MemoryError()
            for size in self.sizes:
                n = size
                all_.n_blocks = set_piece(&all_.pieces[all_.n_pieces], 0, first, n, all_.n_blocks)
                all_.n_pieces += 1
                first += n
            self.norm_sums = np.zeros(all_.n_blocks)
        all_.each, all_.parameters, all_.gradients = &self.optimizer, &self.parameters, <const real**>&self.gradients
        all_.sums = <double*>cnp.PyArray_DATA(self.norm_sums)
        return 0

    # ---- Python's part in a step: layers and losses of its own, called by member 0 between two meetings -------------

    cdef void call_own_layer(self, int l, ix base, ix rows, bint training, Call* call) noexcept with gil:
        """The layer's outputs of samples base .. base + rows, from copies of its inputs."""
        cdef Layer* d = &self.layers[l]
        cdef ix lda
        cdef const real* a = self.input_of(l, training, &lda)
        restore_subnormals(call.float_mode)
        try:
            result = self.own_layers[l].forward(copy_rows(a + base*lda, rows, d.n_in, lda), training)
            self.own_layers[l].check_arrays()
            fill_rows(result, f"the result of forward of layer {self.own_layers[l].name!r}", d.output + base*d.ld, rows, d.n_out, d.ld)
        except BaseException as error:             # raised again when the team is home
            self.raised = error
            call.wanted = True
        flush_subnormals()

    cdef void call_own_layer_back(self, int l, ix base, ix rows, Call* call) noexcept with gil:
        """The gradient with respect to the layer's inputs, into the delta of the layer before; it fills those of its own
        parameters itself."""
        cdef Layer* d = &self.layers[l]
        cdef Layer* e = &self.layers[l - 1]
        restore_subnormals(call.float_mode)
        try:
            result = self.own_layers[l].backward(copy_rows(d.delta + base*d.ld, rows, d.n_out, d.ld))
            self.own_layers[l].check_arrays()
            if l > self.first_trained:
                fill_rows(result, f"the result of backward of layer {self.own_layers[l].name!r}", e.delta + base*e.ld, rows, e.n_out, e.ld)
        except BaseException as error:
            self.raised = error
            call.wanted = True
        flush_subnormals()

    cdef void call_own_loss(self, ix base, ix rows, double scale, Call* call) noexcept with gil:
        """Member 0, between two meetings: row_loss and the last layer's delta of samples base .. base + rows."""
        cdef Layer* d = &self.layers[self.n_layers - 1]
        cdef cnp.ndarray y, p, w
        cdef ix r, j
        cdef double total
        restore_subnormals(call.float_mode)
        try:
            p = copy_rows(d.output + base*d.ld, rows, d.n_out, d.ld)
            if self.y_labels:
                y = np.empty(rows, np.int32)
                memcpy(cnp.PyArray_DATA(y), self.labels + base, rows*sizeof(int32_t))
            else: y = copy_rows(self.target + base*d.ld, rows, d.n_out, d.ld)
            w = copy_rows(self.weights + base, rows, 1, 1).ravel() if self.sample_weight else None
            total, gradient = self.own_loss(y, p, w)
            fill_rows(gradient, "the loss's gradient", d.delta + base*d.ld, rows, d.n_out, d.ld)
            for r in range(base, base + rows):
                for j in range(d.n_out): d.delta[r*d.ld + j] *= R(scale)
                self.row_loss[r] = 0
            self.row_loss[base] = total
        except BaseException as error:             # raised again when the team is home
            self.raised = error
            call.wanted = True
        flush_subnormals()

    # ---- a step, by each member of the team -------------------------------------------------------------------------

    cdef bint forward(self, ix base, ix rows, const Pass* p, int member, int members, Call* call, real* work) noexcept nogil:
        """Outputs of all layers for a member's share of samples base .. base + rows.  True where the call is to end."""
        cdef ix r0 = base + share(rows, member, members, MR), r1 = base + share(rows, member + 1, members, MR)
        cdef Layer* d
        cdef int l
        for l in range(self.n_layers):
            d = &self.layers[l]
            if d.kind == OWN or (p.training and of_batch(d)):
                if self.meet(call, member, 3): return True
                if of_batch(d): self.statistics(l, base, rows, member, members)
                elif member == 0: self.call_own_layer(l, base, rows, p.training, call)
                if self.meet(call, member, 4): return True
            if call.wanted and not self.whole: return False
            if r1 > r0: self.forward_layer(l, r0, r1, l + 1 < self.n_layers or not self.fused, p, work)
            if member == 0: self.look_around(call, (r1 - r0)*d.n_in*d.n_out if d.kind == DENSE else (r1 - r0)*d.n_out)
        return False

    cdef void statistics(self, int l, ix base, ix rows, int member, int members) noexcept nogil:
        """Mean and variance of a member's share of the columns."""
        cdef Layer* d = &self.layers[l]
        cdef ix ldx
        cdef const real* x = self.input_of(l, True, &ldx)
        batch_statistics(rows, share(d.n_out, member, members, LINE), share(d.n_out, member + 1, members, LINE), x + base*ldx, ldx,
                         gamma_of(d, self.parameters), d.epsilon, &d.batch)

    cdef bint backward(self, ix base, ix rows, int member, int members, Call* call, real* work) noexcept nogil:
        """Deltas of all layers but the last, which has its own.  True where the call is to end."""
        cdef ix r0 = base + share(rows, member, members, MR), r1 = base + share(rows, member + 1, members, MR), ldx
        cdef const real* x
        cdef Layer* d
        cdef int l
        for l in range(self.n_layers - 1, self.first_trained - 1, -1):
            d = &self.layers[l]
            if of_batch(d) or d.kind == OWN:
                if self.meet(call, member, 3): return True
                if of_batch(d):
                    x = self.input_of(l, True, &ldx)
                    batch_gradient_sums(rows, share(d.n_out, member, members, LINE), share(d.n_out, member + 1, members, LINE),
                                        d.delta + base*d.ld, d.ld, x + base*ldx, ldx, &d.batch)
                elif member == 0: self.call_own_layer_back(l, base, rows, call)
                if self.meet(call, member, 4): return True
            if call.wanted and not self.whole: return False
            if l > self.first_trained and r1 > r0: self.backward_data(l, r0, r1, rows, work)
            if member == 0: self.look_around(call, (r1 - r0)*d.n_in*d.n_out if d.kind == DENSE else (r1 - r0)*d.n_out)
        return False

    cdef void update(self, const Step* step, ix first, ix n, const real* g) noexcept nogil:
        update(&self.optimizer, &step.rates, first, n, self.parameters, g)

    cdef inline void set_rates(self, Call* call, ix s, Rates* rates) noexcept nogil:
        """Of step s of the call's epoch."""
        cdef ix done = s - call.first_step
        step_rates(&self.optimizer.h, call.rates[done*call.rate_stride], call.iterations + done + 1, rates)

    cdef void kernel_gradients(self, ix base, ix rows, int member, int members, Mode mode, const Step* step, Call* call,
                               bint last, real* work) noexcept nogil:
        """A member's rows of each kernel's gradient, and their update while that is in the cache; step NULL: gradients only.
        The batch's `last` chunk adds the penalties'.

        The gradient of a batch of one chunk is used and forgotten: it stays in scratch, which spares the memory of writing it."""
        cdef Layer* d
        cdef int l
        cdef ix k, k0, k1, end, block, bias
        cdef real* g
        cdef real* scratch = work + GEMM_WORK
        for l in range(self.n_layers - 1, self.first_trained - 1, -1):
            d = &self.layers[l]
            if d.frozen: continue
            bias = d.kernel + d.n_kernel
            if d.kind == DENSE:
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
            if member != l % members: continue
            if d.kind == DENSE and d.use_bias: self.backward_bias(l, base, rows, mode)
            elif d.kind == BATCH_NORM or d.kind == LAYER_NORM: self.norm_gradients(l, base, rows, mode)
            if d.kind != DENSE and d.n_kernel:
                if last: add_penalty_gradient(&d.kernel_penalty, d.n_kernel, self.parameters + d.kernel, self.gradients + d.kernel)
                if step: self.update(step, d.kernel, d.n_kernel, self.gradients + d.kernel)
            if d.use_bias:
                if last: add_penalty_gradient(&d.bias_penalty, d.n_out, self.parameters + bias, self.gradients + bias)
                if step: self.update(step, bias, d.n_out, self.gradients + bias)

    cdef void update_all(self, int member, int members, const Step* step) noexcept nogil:
        """The update of a member's share of the parameters from self.gradients."""
        cdef Layer* d
        cdef int l
        cdef ix k0, k1
        for l in range(self.first_trained, self.n_layers):
            d = &self.layers[l]
            if d.frozen: continue
            if d.kind == DENSE:
                k0 = d.kernel + kernel_share(d, member, members)*d.n_out
                k1 = d.kernel + kernel_share(d, member + 1, members)*d.n_out
                self.update(step, k0, k1 - k0, self.gradients + k0)
            elif member == l % members and d.n_kernel: self.update(step, d.kernel, d.n_kernel, self.gradients + d.kernel)
            k0 = d.kernel + d.n_kernel
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
        if self.has_own_loss:                      # of the whole chunk, so that no result depends on the threads
            if self.meet(call, member, 3): return True
            if member == 0: self.call_own_loss(base, rows, scale, call)
            if self.meet(call, member, 4): return True
        if r1 > r0: self.loss_and_delta(r0, r1, scale)
        if self.backward(base, rows, member, members, call, work): return True
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
        cdef ix s, c, r0, r1, rows, start, place, n_out = self.layers[self.n_layers - 1].n_out
        cdef ix chunk = MAX_ROWS if self.whole else self.chunk
        cdef bint last, ends = call.before + call.samples >= call.together     # the steps
        cdef Pass p
        p.training = True
        cdef real* work = self.work + member*self.work_size
        memset(&step, 0, sizeof(Step))
        for s in range(call.first_step, call.first_step + call.steps):
            start = s*call.batch
            step.rows = min(call.batch, call.samples - start)
            if call.train: self.set_rates(call, s, &step.rates)
            place = start - call.origin
            scale = 1.0/<double>(call.together or max(self.counted(call.order, place, step.rows), <ix>1))
            c = 0
            while c < step.rows:
                rows = min(step.rows - c, chunk)
                r0 = share(rows, member, members, MR)
                r1 = share(rows, member + 1, members, MR)
                if r1 > r0: self.gather(call.order, place + c, r0, r1)
                p.first_row, p.step = call.before + c, <uint32_t>(call.iterations + s - call.first_step)
                if self.forward(0, rows, &p, member, members, call, work): return
                if call.predictions and r1 > r0:
                    self.copy_outputs(r0, r1, call.predictions + (start - call.first_step*call.batch + c)*n_out)
                last = ends and c + rows == step.rows
                if self.backward_chunk(0, rows, scale, member, members, ADD if call.before + c else SET, last,
                                       &step if call.train and last else NULL, call, work): return
                if call.train and last: self.move_all(member, members)
                c += rows
                if member == 0:
                    if c == step.rows and halts(call, s) and last: call.wanted = True
                    if last: call.steps_done += 1
                    self.look_around(call, rows*self.n_parameters)
                if self.meet(call, member, 2): return

    cdef void move_all(self, int member, int members) noexcept nogil:
        cdef int l
        for l in range(self.n_layers):
            if of_batch(&self.layers[l]) and member == l % members: self.move_statistics(&self.layers[l])

    cdef void backward_member(self, Call* call, int member, int members) noexcept nogil:
        """Gradients from the rows that forward() left in the buffers: the chunks of train_member, the same bits."""
        cdef ix c = 0, rows, chunk = MAX_ROWS if self.whole else self.chunk
        cdef double scale = 1.0/<double>max(self.counted(NULL, 0, call.samples), <ix>1)
        cdef real* work = self.work + member*self.work_size
        while c < call.samples:
            rows = min(call.samples - c, chunk)
            if self.backward_chunk(c, rows, scale, member, members, ADD if c else SET, c + rows == call.samples,
                                   NULL, call, work): return
            c += rows
            if self.meet(call, member, 2): return
        if not self.backward_done: self.move_all(member, members)      # once, however often the same pass is gone back

    cdef void infer_member(self, Call* call, int member, int members) noexcept nogil:
        """Outputs, losses or both of all samples, each member on its share of a chunk; nothing is shared but the sums."""
        cdef ix c = 0, rows, r0, r1, n_out = self.layers[self.n_layers - 1].n_out
        cdef real* work = self.work + member*self.work_size
        cdef Pass p
        p.training = False
        while c < call.samples:
            rows = min(call.samples - c, self.chunk)
            r0 = share(rows, member, members, MR)
            r1 = share(rows, member + 1, members, MR)
            if r1 > r0: self.gather(NULL, c, r0, r1)
            if self.forward(0, rows, &p, member, members, call, work): return
            if r1 > r0:
                if call.predictions: self.copy_outputs(r0, r1, call.predictions + c*n_out)
                if call.losses: self.loss_and_delta(r0, r1, 1)
            if self.meet(call, member, 0): return
            c += rows
            if member == 0 and call.losses:
                if self.has_own_loss: self.call_own_loss(0, rows, 1, call)
                self.add_losses(0, rows, call)
            if self.meet(call, member, 2): return

    cdef void forward_member(self, Call* call, int member, int members) noexcept nogil:
        """All samples at once, kept in the buffers for a backward pass."""
        cdef ix r0 = share(call.samples, member, members, MR), r1 = share(call.samples, member + 1, members, MR)
        cdef Pass p
        p.training, p.first_row, p.step = True, 0, <uint32_t>call.iterations
        if r1 > r0: self.gather(NULL, 0, r0, r1)
        self.forward(0, call.samples, &p, member, members, call, self.work + member*self.work_size)

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
        restore_subnormals(call.float_mode)
        try:
            PyErr_CheckSignals()
            if self.progress is not None and now >= call.next_progress:
                call.next_progress = now + PROGRESS_SECONDS
                self.progress(call.first_step + call.steps_done)
        except BaseException as error:             # KeyboardInterrupt above all; raised again when the team is home
            self.raised = error
            call.wanted = True
        flush_subnormals()

    cdef int run(self, team_function function, Call* call, int threads) except -1:
        call.engine = <PyObject*>self
        call.float_mode = flush_subnormals()
        restore_subnormals(call.float_mode)
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
              int64_t iterations, int threads, progress, outputs=None, part=None, bint halt=False):
        """Train on batches first_step … of an epoch of the bound data.

        order_key : (seed, epoch) that the epoch's order is drawn from, or None for the data's own order.
        learning_rates : float64, one for each step or a single one.
        iterations : updates made so far.
        progress : called with the number of the epoch's steps done, about ten times a second, or None.
        outputs : where the outputs (samples of these steps, n_out) go, each as it was in its step, in the epoch's order.
        part : (before, together), where the bound data are some of a single step's `together` samples, and `before` of them
            were in the calls before this one: as many chunks as fit, so that their sums are those of a single call.  The
            last of the calls updates the parameters; for networks and losses that `in_parts` says it of.
        halt : end with the first step whose loss is not finite, of which the parameters are then.

        Returns (sum of the samples' losses, sum of their accuracies, first step with a loss that is not finite or -1).
        An exception from a signal handler or from progress leaves the parameters as they were after the last whole step.
        `steps_done` tells how many steps there were.
        """
        cdef Call call = self.new_call(batch_size, steps)
        call.train, call.halt = True, halt
        call.first_step = first_step
        call.iterations = iterations
        call.rates = <const double*>cnp.PyArray_DATA(learning_rates)
        call.rate_stride = 1 if learning_rates.size > 1 else 0
        if part is not None:
            call.before, call.together = part
            if call.before % self.chunk: raise ValueError(f"part begins at sample {call.before}, expected a multiple of {self.chunk}")
        self.forward_rows = self.steps_done = 0
        self.prepare()
        self.reserve(max(self.rows_at_once(min(batch_size, self.samples)), <ix>2), threads)      # two: see train_single
        cdef ix first = first_step*batch_size, last = min((first_step + steps)*batch_size, self.samples)
        self.order = None
        if order_key is not None:
            self.order = draw_order(self.samples, order_key[0], order_key[1], first, last)
            call.order, call.origin = <const ix*>cnp.PyArray_DATA(self.order), first
        if outputs is not None: call.predictions = self.room_for_outputs(outputs, last - first)
        self.progress = progress
        try:
            self.run(train_member, &call, threads)
        finally:
            self.steps_done = call.steps_done
            self.progress = None
        return call.loss, call.hits, call.first_bad_step

    cdef readonly ix steps_done

    @property
    def in_parts(self):
        """Whether a step may come in parts: no layer sees all of it, and all of its samples count."""
        return not (self.whole or self.loss.ignores)

    cdef real* room_for_outputs(self, cnp.ndarray outputs, ix samples) except NULL:
        cdef ix n_out = self.layers[self.n_layers - 1].n_out
        if cnp.PyArray_SIZE(outputs) != samples*n_out:
            raise ValueError(f"outputs has {outputs.size} elements, expected {samples} times {n_out}")
        return <real*>writable(outputs, "outputs")

    cdef inline ix rows_at_once(self, ix batch) noexcept nogil:
        return batch if self.whole else min(batch, self.chunk)

    def gradient(self, int threads, int64_t iterations=0):
        """Gradients of the mean loss of all bound samples, as a step after so many updates would have them.  Returns (sum of
        losses, sum of accuracies)."""
        cdef Call call = self.new_call(self.samples, 1)
        call.iterations = iterations
        self.reserve(self.rows_at_once(self.samples), threads)
        self.forward_rows = 0
        self.prepare()
        self.run(train_member, &call, threads)
        return call.loss, call.hits

    def evaluate(self, int threads, outputs=None):
        """(sum of the losses, sum of the accuracies) of all bound samples; the network's outputs go to `outputs` (N, n_out)."""
        cdef Call call = self.new_call(self.samples, 1)
        call.losses = True
        if outputs is not None: call.predictions = self.room_for_outputs(outputs, self.samples)
        self.reserve(min(self.chunk, self.samples), threads)
        self.forward_rows = 0
        self.prepare()
        self.run(infer_member, &call, threads)
        if self.penalized: call.loss += self.penalty()*<double>self.counted(NULL, 0, self.samples)
        return call.loss, call.hits

    def predict(self, cnp.ndarray out, int threads):
        """Write the network's outputs for all bound samples to out (N, n_out)."""
        cdef Call call = self.new_call(self.samples, 1)
        call.predictions = self.room_for_outputs(out, self.samples)
        self.reserve(min(self.chunk, self.samples), threads)
        self.forward_rows = 0
        self.prepare()
        self.run(infer_member, &call, threads)

    def forward_all(self, int threads, int64_t iterations=0, bint move=False):
        """A forward pass of all bound samples that backward_all() can follow: that of a step after so many updates.  `move`:
        moving averages take the batch in at once, for a pass that nothing follows."""
        cdef Call call = self.new_call(self.samples, 1)
        call.iterations = iterations
        self.reserve(self.samples, threads)
        self.forward_rows = 0
        self.prepare()
        self.run(forward_member, &call, threads)
        self.backward_done = False
        self.forward_rows = self.samples
        if move: self.move_all(0, 1)

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
        """A copy (N, n_out) of a layer's output of forward_all(), activated; of the input where layer is -1."""
        cdef Layer* d = &self.layers[max(layer, 0)]
        cdef ix rows = self.kept_rows()
        if layer < 0: return copy_rows(self.input, rows, d.n_in, self.input_ld)
        cdef cnp.ndarray out = copy_rows(d.output, rows, d.n_out, d.ld)
        if self.fused and layer == self.n_layers - 1: activate(d.activation, d.alpha, rows, d.n_out, <real*>cnp.PyArray_DATA(out), d.n_out)
        return out

    def layer_delta(self, int layer):
        """A copy (N, n_out) of the gradient with respect to a layer's pre-activations, of backward_all()."""
        if self.forward_rows and not self.backward_done: raise ValueError("the buffers hold no backward pass: call backward() first")
        if layer < min(self.first_trained, self.n_layers - 1):
            raise ValueError("the layer has no delta: no gradient goes below the first layer that is trained")
        return copy_rows(self.layers[layer].delta, self.kept_rows(), self.layers[layer].n_out, self.layers[layer].ld)

    cdef ix kept_rows(self) except -1:
        if self.forward_rows == 0: raise ValueError("the buffers hold no forward pass: call forward() first")
        return self.forward_rows


cdef int fill_rows(given, str name, real* to, ix rows, ix n, ix ld) except -1:
    """Copy an array (rows, n) that Python has given."""
    cdef cnp.ndarray a = np.ascontiguousarray(given, DTYPE)
    cdef ix r
    if a.ndim != 2 or cnp.PyArray_DIM(a, 0) != rows or cnp.PyArray_DIM(a, 1) != n:
        raise ValueError(f"{name} has shape {(<object>a).shape}, expected {(rows, n)}")
    for r in range(rows): memcpy(to + r*ld, <const real*>cnp.PyArray_DATA(a) + r*n, n*sizeof(real))
    return 0


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
