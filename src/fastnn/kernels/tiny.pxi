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


cdef struct Late:              # losses of the steps since the last pause, not computed yet: many at once take less time
    bint on
    int steps
    ix rows                    # of all of them
    ix step_rows[TINY_PAUSE]
    real p[TINY_PAUSE*TINY_ROWS]
    real y[TINY_PAUSE*TINY_ROWS]
    double loss[TINY_PAUSE*TINY_ROWS]
    double hits[TINY_PAUSE*TINY_ROWS]
    real scratch[TINY_PAUSE*TINY_ROWS]


cdef struct TinyLayer:
    ix n_in
    ix n_out
    bint use_bias
    int activation
    Alpha alpha
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
    if e.has_own_loss or e.loss.ignores or call.predictions or not e.dense_only: return False
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


cdef inline void activate_vector(const int activation, real* z) noexcept nogil:
    """What activate() makes of one vector, for three functions; inlined, since a call and its cases take as long."""
    cdef int j
    if activation == SIGMOID:
        for j in range(VL): z[j] = sigmoid_(z[j])
    elif activation == TANH:
        for j in range(VL): z[j] = tanh_(z[j])
    else: vstore(z, vrelu(vload(z)))


cdef inline void activate_vector_gradient(const int activation, const real* a, real* d) noexcept nogil:
    cdef int j
    if activation == SIGMOID:
        for j in range(VL): d[j] *= a[j]*(R(1) - a[j])
    elif activation == TANH:
        for j in range(VL): d[j] *= (R(1) - a[j])*(R(1) + a[j])
    else: vstore(d, vgate(vload(d), vload(a)))


cdef inline bint can_be_late(Engine e) noexcept nogil:
    cdef Layer* last = &e.layers[e.n_layers - 1]
    return last.n_out == 1 and (e.fused or last.activation == LINEAR) and has_gradient_alone(&e.loss) and e.sample_weight == NULL


cdef void settle(Engine e, Late* late, Call* call) noexcept nogil:
    """Losses and accuracies of the steps that end with call.steps_done, in their order."""
    cdef ix r = 0, done = call.steps_done - late.steps
    cdef int s
    elementwise_rows(&e.loss, late.rows, 1, late.p, late.y, 1, 1, late.loss, late.scratch)
    if e.loss.accuracy: accuracy_rows(&e.loss, late.rows, 1, late.p, late.y, NULL, 1, late.hits)
    for s in range(late.steps):
        call.loss += lane_sum_double(late.step_rows[s], late.loss + r)
        if e.loss.accuracy: call.hits += lane_sum_double(late.step_rows[s], late.hits + r)
        halts(call, call.first_step + done + s)
        r += late.step_rows[s]
    late.steps, late.rows = 0, 0


cdef inline void tiny_forward(Engine e, TinyLayer* t, int n_layers, const real** row, ix rows) noexcept nogil:
    cdef TinyLayer* d
    cdef const real* x
    cdef vec acc
    cdef ix r, k
    cdef int l
    for l in range(n_layers):
        d = &t[l]
        if d.n_out == 1:
            for r in range(rows): d.output[r] = dot(d.n_in, d.input + r*d.lda, d.kernel) + d.bias[0]
        else:
            for r in range(rows):
                acc = vload(d.bias)
                x = d.input + r*d.lda if l else row[r]
                for k in range(d.n_in): acc = vfmadd(vsplat(x[k]), vload(d.kernel + k*VL), acc)
                vstore(d.output + r*d.ld, acc)
        if l + 1 == n_layers and e.fused: break
        if d.n_out > 1 and d.activation == SIGMOID:
            for r in range(rows): activate_vector(SIGMOID, d.output + r*d.ld)
        else: activate(d.activation, d.alpha, rows, d.n_out, d.output, d.ld)


cdef inline void tiny_backward(Engine e, TinyLayer* t, int n_layers, ix rows) noexcept nogil:
    """Deltas of all layers but the last, which has its own."""
    cdef TinyLayer* d
    cdef TinyLayer* below
    cdef real c
    cdef ix r, k, j
    cdef int l
    for l in range(n_layers - 1, 0, -1):
        d, below = &t[l], &t[l - 1]
        for r in range(rows):
            if d.n_out == 1: vstore(below.delta + r*below.ld, vfmadd(vsplat(d.delta[r]), vload(d.kernel), vzero()))
            elif rows < DOT_ROWS:
                for k in range(d.n_in): below.delta[r*below.ld + k] = dot(d.n_out, d.delta + r*d.ld, d.kernel + k*VL)
            else:
                for k in range(d.n_in):
                    c = R(0)
                    for j in range(d.n_out): c = fmadd(d.delta[r*d.ld + j], d.kernel[k*VL + j], c)
                    below.delta[r*below.ld + k] = c
        if below.n_out > 1 and below.activation == SIGMOID:
            for r in range(rows): activate_vector_gradient(SIGMOID, below.output + r*below.ld, below.delta + r*below.ld)
        else: e.through_activation(&e.layers[l - 1], 0, rows)


cdef inline void tiny_update(TinyLayer* t, int n_layers, const real** row, ix rows, real rate) noexcept nogil:
    cdef TinyLayer* d
    cdef real chain[4]
    cdef vec acc, step = vsplat(-rate)
    cdef vec sums[4]
    cdef ix r, k
    cdef int i, l
    for l in range(n_layers):
        d = &t[l]
        if d.n_out == 1:
            acc = vzero()
            for r in range(rows): acc = vfmadd(vsplat(d.delta[r]), vload(d.input + r*d.lda), acc)
            vstore(d.kernel, vfmadd(step, acc, vload(d.kernel)))
            for i in range(4): chain[i] = R(0)
            for r in range(rows): chain[r & 3] += d.delta[r]
            if d.use_bias: d.bias[0] = fmadd(-rate, (chain[0] + chain[2]) + (chain[1] + chain[3]), d.bias[0])
        else:
            for k in range(d.n_in):
                acc = vzero()
                for r in range(rows): acc = vfmadd(vsplat(d.input[r*d.lda + k] if l else row[r][k]), vload(d.delta + r*d.ld), acc)
                vstore(d.kernel + k*VL, vfmadd(step, acc, vload(d.kernel + k*VL)))
            if d.use_bias:
                for i in range(4): sums[i] = vzero()
                for r in range(rows): sums[r & 3] = sums[r & 3] + vload(d.delta + r*d.ld)
                vstore(d.bias, vfmadd(step, (sums[0] + sums[2]) + (sums[1] + sums[3]), vload(d.bias)))


cdef inline void shallow_step(const int activation, Engine e, const TinyLayer* h, const TinyLayer* o, const real* x, Late* late,
                              real rate) noexcept nogil:
    """What tiny_step does for one sample, one hidden layer h of such an activation and one output o.  Each line waits for the
    one before, so that only parameters go by way of memory: written and read takes as long as two multiply-adds."""
    cdef real a[VL]
    cdef real d[VL]
    cdef real p, delta
    cdef vec z = vload(h.bias), back, step = vsplat(-rate)
    cdef ix k
    for k in range(h.n_in): z = vfmadd(vsplat(x[k]), vload(h.kernel + k*VL), z)
    vstore(a, z)
    activate_vector(activation, a)
    p = dot(o.n_in, a, o.kernel) + o.bias[0]
    late.p[late.rows] = p
    gradient_alone(&e.loss, 1, late.y + late.rows, &p, R(1), &delta)
    vstore(d, vfmadd(vsplat(delta), vload(o.kernel), vzero()))
    activate_vector_gradient(activation, a, d)
    back = vload(d)
    vstore(o.kernel, vfmadd(step, vfmadd(vsplat(delta), vload(a), vzero()), vload(o.kernel)))
    if o.use_bias: o.bias[0] = fmadd(-rate, delta + R(0), o.bias[0])
    for k in range(h.n_in): vstore(h.kernel + k*VL, vfmadd(step, vfmadd(vsplat(x[k]), back, vzero()), vload(h.kernel + k*VL)))
    if h.use_bias: vstore(h.bias, vfmadd(step, back + vzero(), vload(h.bias)))


cdef inline void tiny_step(Engine e, TinyLayer* t, int n_layers, const real** row, Late* late, Call* call, ix rows,
                           real rate) noexcept nogil:
    """Inlined with `rows` of 1, whose loops are then none, and of any."""
    cdef TinyLayer* last = &t[n_layers - 1]
    cdef ix r
    cdef bint shallow = rows == 1 and n_layers == 2 and late.on
    if shallow and t[0].activation == SIGMOID: shallow_step(SIGMOID, e, &t[0], last, row[0], late, rate)
    elif shallow and t[0].activation == TANH: shallow_step(TANH, e, &t[0], last, row[0], late, rate)
    elif shallow and t[0].activation == RELU: shallow_step(RELU, e, &t[0], last, row[0], late, rate)
    else:
        tiny_forward(e, t, n_layers, row, rows)
        if late.on:                                # rows of one element lie end to end
            for r in range(rows): late.p[late.rows + r] = last.output[r]
            gradient_alone(&e.loss, rows, late.y + late.rows, last.output, R(1.0/<double>rows), last.delta)
        else: e.loss_and_delta(0, rows, 1.0/<double>rows)
        tiny_backward(e, t, n_layers, rows)
        tiny_update(t, n_layers, row, rows, rate)
    call.steps_done += 1
    if late.on:
        late.step_rows[late.steps] = rows
        late.steps += 1
        late.rows += rows
    else: e.add_losses(0, rows, call)


cdef void train_tiny(Engine e, Call* call) noexcept nogil:
    cdef TinyLayer t[TINY_LAYERS]
    cdef TinyLayer* d
    cdef Layer* layer
    cdef int l, n_layers = e.n_layers
    cdef ix s, r, k, rows, start, pause = TINY_PAUSE
    cdef real* at = e.work
    cdef Rates rates
    cdef const real* row[TINY_ROWS]                # of the input
    cdef Late late
    late.on, late.steps, late.rows = not call.halt and can_be_late(e), 0, 0
    for l in range(n_layers):
        d, layer = &t[l], &e.layers[l]
        d.n_in, d.n_out, d.ld, d.output, d.delta = layer.n_in, layer.n_out, layer.ld, layer.output, layer.delta
        d.use_bias, d.activation, d.alpha = layer.use_bias, layer.activation, layer.alpha
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
        if late.on:
            for r in range(rows):
                k = call.order[start - call.origin + r] if call.order else start + r
                row[r] = e.x + k*t[0].n_in
                late.y[late.rows + r] = e.y[k]
        else:
            e.gather(call.order, start - call.origin, 0, rows)
            for r in range(rows): row[r] = e.input + r*e.input_ld
        if rows == 1: tiny_step(e, t, n_layers, row, &late, call, 1, rates.rate)
        else: tiny_step(e, t, n_layers, row, &late, call, rows, rates.rate)
        if not late.on and halts(call, s): break
        call.work_since_check += <double>(rows*e.n_parameters)
        pause -= 1
        if pause == 0:                             # Python may read the parameters, or assign them
            pause = TINY_PAUSE
            if late.on: settle(e, &late, call)
            tiny_kernels(e, t, True)
            e.look_around(call, 0)
            if call.wanted: return
            tiny_kernels(e, t, False)
    tiny_kernels(e, t, True)
    if late.on: settle(e, &late, call)
