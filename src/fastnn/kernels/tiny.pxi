# Plain gradient descent on a network so small that each row of a kernel is one vector: fixed costs decide, so there are
# none of gemm's cases.  Kernels stand in scratch with rows of VL elements for the length of a call, a single output's
# (n_in, 1) as one row; everything is read as it was written, in whole vectors, which a processor's store buffer wants.
#
# The order of every sum is that of gemm.pxi and Engine.backward_data: the bits are those of any other way.
# What stands in the lanes past n_out is never read by the others.

cdef enum:
    TINY_ROWS = 8              # samples of a batch
    TINY_INPUTS = 64
    TINY_LAYERS = 8
    TINY_PAUSE = 64            # steps between looks at the clock


cdef struct TinyLayer:
    ix n_in
    ix n_out
    ix lda
    ix ld
    const real* input
    real* output
    real* delta
    real* kernel               # n_in rows, or one where n_out is 1
    real* bias                 # a row; zeros that stay so without use_bias


cdef bint is_tiny(Engine e, Call* call) noexcept nogil:
    cdef int l
    if call.batch > TINY_ROWS or not is_plain_sgd(&e.optimizer) or e.penalized or e.n_layers > TINY_LAYERS: return False
    if e.has_own_loss or e.loss.ignores: return False
    if e.layers[0].n_in > TINY_INPUTS or e.layers[0].n_out == 1: return False
    for l in range(e.n_layers):
        if e.layers[l].n_out > VL: return False
    return True


cdef void tiny_kernels(Engine e, TinyLayer* t, bint back) noexcept nogil:
    """The parameters into the scratch of t, or back."""
    cdef int l
    cdef ix k, j, rows, n
    cdef real* from_here
    cdef real* w
    for l in range(e.n_layers):
        from_here = e.parameters + e.layers[l].kernel
        rows = 1 if t[l].n_out == 1 else t[l].n_in
        n = t[l].n_in if t[l].n_out == 1 else t[l].n_out
        for k in range(rows + (1 if e.layers[l].use_bias else 0)):
            w = t[l].kernel + k*VL if k < rows else t[l].bias
            if k == rows: n = t[l].n_out
            for j in range(n):
                if back: from_here[j] = w[j]
                else: w[j] = from_here[j]
            from_here += n


cdef void train_tiny(Engine e, Call* call) noexcept nogil:
    cdef TinyLayer t[TINY_LAYERS]
    cdef TinyLayer* d
    cdef Dense* dense
    cdef int i, l, n_layers = e.n_layers
    cdef ix s, r, k, j, rows, start, pause = TINY_PAUSE
    cdef real* at = e.work
    cdef real rate, c
    cdef Rates rates
    cdef real chain[4]
    cdef vec acc, step
    cdef vec sums[4]
    for l in range(n_layers):
        d, dense = &t[l], &e.layers[l]
        d.n_in, d.n_out, d.ld, d.output, d.delta = dense.n_in, dense.n_out, dense.ld, dense.output, dense.delta
        d.input, d.lda = (t[l - 1].output, t[l - 1].ld) if l else (e.input, e.input_ld)
        d.kernel = at
        d.bias = at + (1 if d.n_out == 1 else d.n_in)*VL
        at = d.bias + VL
    memset(&rates, 0, sizeof(Rates))
    memset(e.work, 0, (at - e.work)*sizeof(real))
    tiny_kernels(e, t, False)
    for s in range(call.first_step, call.first_step + call.steps):
        start = s*call.batch
        rows = min(call.batch, call.samples - start)
        e.set_rates(call, s, &rates)
        rate = rates.rate
        step = vsplat(-rate)
        e.gather(call.order, start, 0, rows)
        for l in range(n_layers):
            d = &t[l]
            if d.n_out == 1:
                for r in range(rows): d.output[r] = dot(d.n_in, d.input + r*d.lda, d.kernel) + d.bias[0]
            else:
                for r in range(rows):
                    acc = vload(d.bias)
                    for k in range(d.n_in): acc = vfmadd(vsplat(d.input[r*d.lda + k]), vload(d.kernel + k*VL), acc)
                    vstore(d.output + r*d.ld, acc)
            if l + 1 < n_layers or not e.fused: activate(e.layers[l].activation, rows, d.n_out, d.output, d.ld)
        e.loss_and_delta(0, rows, 1.0/<double>rows)
        for l in range(n_layers - 1, 0, -1):
            d = &t[l]
            for r in range(rows):
                if d.n_out == 1: vstore(t[l - 1].delta + r*t[l - 1].ld, vfmadd(vsplat(d.delta[r]), vload(d.kernel), vzero()))
                elif rows < DOT_ROWS:
                    for k in range(d.n_in): t[l - 1].delta[r*t[l - 1].ld + k] = dot(d.n_out, d.delta + r*d.ld, d.kernel + k*VL)
                else:
                    for k in range(d.n_in):
                        c = R(0)
                        for j in range(d.n_out): c = fmadd(d.delta[r*d.ld + j], d.kernel[k*VL + j], c)
                        t[l - 1].delta[r*t[l - 1].ld + k] = c
            activation_gradient(e.layers[l - 1].activation, rows, t[l - 1].n_out, t[l - 1].output, t[l - 1].delta, t[l - 1].ld)
        for l in range(n_layers):
            d = &t[l]
            if d.n_out == 1:
                acc = vzero()
                for r in range(rows): acc = vfmadd(vsplat(d.delta[r]), vload(d.input + r*d.lda), acc)
                vstore(d.kernel, vfmadd(step, acc, vload(d.kernel)))
                for i in range(4): chain[i] = R(0)
                for r in range(rows): chain[r & 3] += d.delta[r]
                if e.layers[l].use_bias: d.bias[0] = fmadd(-rate, (chain[0] + chain[2]) + (chain[1] + chain[3]), d.bias[0])
            else:
                for k in range(d.n_in):
                    acc = vzero()
                    for r in range(rows): acc = vfmadd(vsplat(d.input[r*d.lda + k]), vload(d.delta + r*d.ld), acc)
                    vstore(d.kernel + k*VL, vfmadd(step, acc, vload(d.kernel + k*VL)))
                if e.layers[l].use_bias:
                    for i in range(4): sums[i] = vzero()
                    for r in range(rows): sums[r & 3] = sums[r & 3] + vload(d.delta + r*d.ld)
                    vstore(d.bias, vfmadd(step, (sums[0] + sums[2]) + (sums[1] + sums[3]), vload(d.bias)))
        e.add_losses(0, rows, call)
        if call.first_bad_step < 0 and not isfinite(call.loss): call.first_bad_step = s
        call.steps_done += 1
        call.work_since_check += <double>(rows*e.n_parameters)
        pause -= 1
        if pause == 0:                             # Python may read the parameters, or assign them
            pause = TINY_PAUSE
            tiny_kernels(e, t, True)
            e.look_around(call, 0)
            if call.wanted: return
            tiny_kernels(e, t, False)
    tiny_kernels(e, t, True)
