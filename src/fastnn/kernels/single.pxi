# Training on one sample at a time, by one thread: the kernels are streamed through the processor once a step.
#
# The first layer's kernel, usually the largest, is read once for three things: a block of its rows gets its gradient, an
# outer product; its update; and its part in the next sample's pre-activations, while it is in the first cache.  Each
# pre-activation is still the chain of multiply-adds of gemm.pxi, in the same order: the bits are those of any other way.

cdef enum:
    ROW_BLOCK_ELEMENTS = 2048  # of a kernel: with their gradient and an optimizer's state they fit the first cache


cdef inline void add_row_product(const int nv, ix K, const real* a, const real* W, ix ldw, real* z) noexcept nogil:
    """z[j] <- z[j] + sum over k of a[k] W[k, j], one chain for each of nv*VL columns."""
    cdef vec acc[8]
    cdef vec x
    cdef ix k
    cdef int j
    for j in range(nv): acc[j] = vload(z + j*VL)
    for k in range(K):
        x = vsplat(a[k])
        for j in range(nv): vaccumulate(acc[j], x, vload(W + k*ldw + j*VL))
    for j in range(nv): vstore(z + j*VL, acc[j])


cdef void row_product(ix K, ix N, const real* a, const real* W, real* z) noexcept nogil:
    """z (N,) <- z + a W, for W (K, N); z has room for whole vectors."""
    cdef ix n = 0, left
    while n < N:
        left = N - n
        if left > 7*VL:
            add_row_product(8, K, a, W + n, N, z + n)
            n += 8*VL
        elif left > 3*VL:
            add_row_product(4, K, a, W + n, N, z + n)
            n += 4*VL
        elif left > VL:
            add_row_product(2, K, a, W + n, N, z + n)
            n += 2*VL
        else:
            add_row_product(1, K, a, W + n, N, z + n)
            n += VL


cdef void outer_product(ix K, ix N, const real* a, const real* d, real* g) noexcept nogil:
    """g (K, N) <- a d^T; rows from top to bottom in whole vectors: what spills over a row's end is written over."""
    cdef ix k, n
    cdef vec x
    for k in range(K):
        x = vsplat(a[k])
        n = 0
        while n < N:
            vstore(g + k*N + n, vfmadd(x, vload(d + n), vzero()))
            n += VL


cdef inline void sgd_rows(ix K, ix N, const real* a, const real* d, real rate, real* W) noexcept nogil:
    """W (K, N) <- W - rate a d^T, in whole vectors: N is a multiple of VL.  What update() makes of outer_product()."""
    cdef ix k, n
    cdef vec x, r = vsplat(-rate)
    for k in range(K):
        x = vsplat(a[k])
        n = 0
        while n < N:
            vstore(W + k*N + n, vfmadd(r, vfmadd(x, vload(d + n), vzero()), vload(W + k*N + n)))
            n += VL


cdef void kernel_step(Engine e, int l, ix row, const Rates* rates, const real* next_a, real* next_z, real* work) noexcept nogil:
    """Gradient and update of layer l's kernel and bias from one sample; and where next_a is given, next_z <- bias + next_a W
    with what they have become."""
    cdef Layer* d = &e.layers[l]
    cdef const real* a = layer_input(e, l, row)
    cdef const real* delta = d.delta + row*d.ld
    cdef ix k = 0, rows, block = max(ROW_BLOCK_ELEMENTS//d.n_out, <ix>1), n = d.n_in*d.n_out
    cdef real* g = work + GEMM_WORK
    cdef real* kernel = e.parameters + d.kernel
    cdef bint plain = is_plain_sgd(&e.optimizer)
    if d.use_bias: update(&e.optimizer, rates, d.kernel + n, d.n_out, e.parameters, delta)
    if next_a: start_row(d, kernel + n, next_z)
    while k < d.n_in:
        rows = min(block, d.n_in - k)
        if plain and d.n_out % VL == 0: sgd_rows(rows, d.n_out, a + k, delta, rates.rate, kernel + k*d.n_out)
        else:
            if d.n_out == 1: outer_product(1, rows, delta, a + k, g)
            else: outer_product(rows, d.n_out, a + k, delta, g)
            update(&e.optimizer, rates, d.kernel + k*d.n_out, rows*d.n_out, e.parameters, g)
        if next_a: row_product(rows, d.n_out, next_a + k, kernel + k*d.n_out, next_z)
        k += rows


cdef inline const real* layer_input(Engine e, int l, ix row) noexcept nogil:
    return e.layers[l - 1].output + row*e.layers[l - 1].ld if l else e.input + row*e.input_ld


cdef inline void start_row(const Layer* d, const real* bias, real* z) noexcept nogil:
    """z <- bias, or 0."""
    cdef ix j
    if d.use_bias:
        for j in range(d.n_out): z[j] = bias[j]
    else:
        for j in range(d.n_out): z[j] = R(0)


cdef inline void preactivate_row(const Layer* d, const real* parameters, const real* a, real* z) noexcept nogil:
    """z <- a W + bias, for one row a of the layer's input."""
    cdef const real* kernel = parameters + d.kernel
    cdef const real* bias = kernel + d.n_in*d.n_out
    if d.n_out == 1: z[0] = dot(d.n_in, a, kernel) + (bias[0] if d.use_bias else R(0))
    else:
        start_row(d, bias, z)
        row_product(d.n_in, d.n_out, a, kernel, z)


cdef bint is_single(Engine e, Call* call) noexcept nogil:
    if call.batch != 1 or needs_norm(&e.optimizer.h) or call.predictions or not e.dense_only: return False
    return not (e.penalized or e.has_own_loss or e.loss.ignores)


cdef void train_single(Engine e, Call* call) noexcept nogil:
    """Steps of one sample each.  Two rows of the buffers take turns: one has the sample, the other the next one."""
    cdef ix s, row, next_row, end = call.first_step + call.steps
    cdef int l
    cdef Rates rates
    cdef Layer* d
    cdef real* work = e.work
    cdef bint ahead = e.layers[0].n_out > 1        # the first layer's z is made with the update of the sample before
    memset(&rates, 0, sizeof(Rates))
    e.gather(call.order, call.first_step - call.origin, 0, 1)
    if ahead: preactivate_row(&e.layers[0], e.parameters, e.input, e.layers[0].output)
    for s in range(call.first_step, end):
        row = (s - call.first_step) & 1
        next_row = row ^ 1
        e.set_rates(call, s, &rates)
        for l in range(e.n_layers):
            d = &e.layers[l]
            if l or not ahead: preactivate_row(d, e.parameters, layer_input(e, l, row), d.output + row*d.ld)
            if l + 1 < e.n_layers or not e.fused: activate(d.activation, d.alpha, 1, d.n_out, d.output + row*d.ld, d.ld)
        e.loss_and_delta(row, row + 1, 1)
        for l in range(e.n_layers - 1, 0, -1): e.backward_dense(l, row, row + 1, 1, work)
        for l in range(e.n_layers - 1, 0, -1): kernel_step(e, l, row, &rates, NULL, NULL, work)
        if s + 1 < end: e.gather(call.order, s + 1 - call.origin - next_row, next_row, next_row + 1)
        if ahead and s + 1 < end:
            kernel_step(e, 0, row, &rates, e.input + next_row*e.input_ld, e.layers[0].output + next_row*e.layers[0].ld, work)
        else: kernel_step(e, 0, row, &rates, NULL, NULL, work)
        e.add_losses(row, 1, call)
        call.steps_done += 1
        if halts(call, s): return
        e.look_around(call, e.n_parameters)
        if call.wanted: return
