# Activations in place over `rows` rows of K elements, `ld` apart, and their derivatives.  Elementwise ones run over the
# padding between rows as well: it is never read, and one long loop is quicker than many short ones.

cdef enum Activation:
    LINEAR = 0
    RELU = 1
    SIGMOID = 2
    TANH = 3
    SOFTMAX = 4
    LOG_SOFTMAX = 5
    LEAKY_RELU = 6             # alpha: negative_slope
    RELU6 = 7
    ELU = 8                    # alpha
    SELU = 9
    CELU = 10                  # alpha
    SOFTPLUS = 11
    SOFTSIGN = 12
    EXPONENTIAL = 13
    LOG_SIGMOID = 14
    HARD_SIGMOID = 15
    HARD_TANH = 16
    SOFT_SHRINK = 17           # alpha: threshold
    HARD_SHRINK = 18           # alpha: threshold
    SPARSE_PLUS = 19
    SPARSE_SIGMOID = 20
    SQUAREPLUS = 21            # alpha: b
    BENT_RELU = 22             # relu of all its parameters; alpha: negative_slope
    SILU = 23                  # from here on the derivative needs z
    GELU = 24
    GELU_TANH = 25             # gelu(approximate=True)
    MISH = 26
    HARD_SILU = 27
    TANH_SHRINK = 28
    ACTIVATIONS


cdef struct Alpha:             # what an activation is made with
    real alpha
    real threshold             # of BENT_RELU, at least 0,
    real max_value             # and at least 0, or NaN for none

cdef enum:
    STRETCH = 128              # elements whose largest is found in vectors


cdef inline real stretch_maximum(real m, const real* z) noexcept nogil:
    """The largest of m and z[0 .. STRETCH), of which NaN does not count; m where that is NaN."""
    cdef vec a = vsplat(m), b = a
    cdef real lane[VL]
    cdef ix j = 0
    while j < STRETCH:
        a = vlarger(a, vload(z + j))
        b = vlarger(b, vload(z + j + VL))
        j += 2*VL
    vstore(lane, vlarger(a, b))
    for j in range(VL):
        if lane[j] > m: m = lane[j]
    return m


cdef inline ix row_maximum(ix K, const real* z) noexcept nogil:
    """Index of the first largest element; of element 0 where that is NaN."""
    cdef ix j = 0, top = 0
    cdef real m = z[0], larger
    while j + STRETCH <= K:                        # which stretch it is in
        larger = stretch_maximum(m, z + j)
        if larger > m:
            m = larger
            top = j
        j += STRETCH
    while z[top] != m and m == m: top += 1
    while j < K:
        if z[j] > m:
            m = z[j]
            top = j
        j += 1
    return top


cdef inline double sum_of_row(ix K, const real* x) noexcept nogil:
    return lane_sum(K, x) if K < STRETCH else wide_sum(K, x)


cdef void softmax_row(ix K, real* z) noexcept nogil:
    cdef ix j
    cdef real m = z[row_maximum(K, z)], scale
    for j in range(K): z[j] = exp_(z[j] - m)
    scale = R(1.0/sum_of_row(K, z))
    for j in range(K): z[j] *= scale


cdef void log_softmax_row(ix K, real* z) noexcept nogil:
    """z - m - log(1 + sum of exp(z_j - m) over all but the largest, m): a likely class keeps its relative accuracy."""
    cdef real few[STRETCH]
    cdef ix j = 0, i, n, top = row_maximum(K, z)
    cdef real m = z[top], d, log_sum
    cdef double others = 0
    while j < K:
        n = min(K - j, <ix>STRETCH)
        for i in range(n):
            d = z[j + i] - m
            few[i] = exp_of_sum(d, sum_tail(z[j + i], -m, d))
        if j <= top < j + n: few[top - j] = R(0) if few[top - j] == R(1) else few[top - j]       # NaN stays
        others += sum_of_row(n, few)
        j += n
    log_sum = log1p_of_sum(R(others), R(others - <double>R(others)))
    for j in range(K): z[j] = (z[j] - m) - log_sum


cdef inline bint is_rowwise(int activation) noexcept nogil:
    return activation == SOFTMAX or activation == LOG_SOFTMAX


cdef inline bint keeps_slope(int activation) noexcept nogil:
    """Whether the derivative needs z: activate_keeping_slope() then gives it, and activation_gradient() does not know it."""
    return activation >= SILU


cdef void activate(int activation, Alpha p, ix rows, ix K, real* z, ix ld) noexcept nogil:
    """z <- f(z)."""
    cdef ix i, n = rows*ld if rows else 0
    cdef real alpha = p.alpha
    cdef real unused
    if activation == RELU:
        for i in range(n): z[i] = R(0) if z[i] < R(0) else z[i]
    elif activation == SIGMOID:
        for i in range(n): z[i] = sigmoid_(z[i])
    elif activation == TANH:
        for i in range(n): z[i] = tanh_(z[i])
    elif activation == SOFTMAX:
        for i in range(rows): softmax_row(K, z + i*ld)
    elif activation == LOG_SOFTMAX:
        for i in range(rows): log_softmax_row(K, z + i*ld)
    elif activation == LEAKY_RELU:
        for i in range(n): z[i] = leaky_relu_(z[i], alpha)
    elif activation == RELU6:
        for i in range(n): z[i] = relu6_(z[i])
    elif activation == ELU:
        for i in range(n): z[i] = elu_(z[i], R(1), alpha, R(1))
    elif activation == SELU:
        for i in range(n): z[i] = elu_(z[i], selu_scale(), selu_depth(), R(1))
    elif activation == CELU:
        for i in range(n): z[i] = elu_(z[i], R(1), alpha, alpha)
    elif activation == SOFTPLUS:
        for i in range(n): z[i] = softplus_(z[i])
    elif activation == SOFTSIGN:
        for i in range(n): z[i] = softsign_(z[i])
    elif activation == EXPONENTIAL:
        for i in range(n): z[i] = exp_(z[i])
    elif activation == LOG_SIGMOID:
        for i in range(n): z[i] = log_sigmoid_(z[i])
    elif activation == HARD_SIGMOID:
        for i in range(n): z[i] = relu6_(z[i] + R(3))/R(6)
    elif activation == HARD_TANH:
        for i in range(n): z[i] = clip(z[i], R(-1), R(1))
    elif activation == SOFT_SHRINK:
        for i in range(n): z[i] = soft_shrink_(z[i], alpha)
    elif activation == HARD_SHRINK:
        for i in range(n): z[i] = hard_shrink_(z[i], alpha)
    elif activation == SPARSE_PLUS:
        for i in range(n): z[i] = sparse_plus_(z[i])
    elif activation == SPARSE_SIGMOID:
        for i in range(n): z[i] = clip(R(0.5)*(z[i] + R(1)), R(0), R(1))
    elif activation == SQUAREPLUS:
        for i in range(n): z[i] = squareplus_(z[i], alpha)
    elif activation == BENT_RELU:
        for i in range(n): z[i] = bent_relu_(z[i], alpha, p.threshold, p.max_value)
    elif activation == SILU:
        for i in range(n): z[i] = silu_(z[i], &unused)
    elif activation == GELU:
        for i in range(n): z[i] = gelu_(z[i], &unused)
    elif activation == GELU_TANH:
        for i in range(n): z[i] = gelu_tanh_(z[i], &unused)
    elif activation == MISH:
        for i in range(n): z[i] = mish_(z[i], &unused)
    elif activation == HARD_SILU:
        for i in range(n): z[i] = hard_silu_(z[i], &unused)
    elif activation == TANH_SHRINK:
        for i in range(n): z[i] = tanh_shrink_(z[i], &unused)


cdef void activate_keeping_slope(int activation, ix rows, ix K, real* z, real* slope, ix ld) noexcept nogil:
    """z <- f(z), with the bits of activate(), and slope <- f'(z), for a function that keeps_slope(); slope lies as z does."""
    cdef ix i, n = rows*ld if rows else 0
    if activation == SILU:
        for i in range(n): z[i] = silu_(z[i], slope + i)
    elif activation == GELU:
        for i in range(n): z[i] = gelu_(z[i], slope + i)
    elif activation == GELU_TANH:
        for i in range(n): z[i] = gelu_tanh_(z[i], slope + i)
    elif activation == MISH:
        for i in range(n): z[i] = mish_(z[i], slope + i)
    elif activation == HARD_SILU:
        for i in range(n): z[i] = hard_silu_(z[i], slope + i)
    elif activation == TANH_SHRINK:
        for i in range(n): z[i] = tanh_shrink_(z[i], slope + i)


cdef void activation_gradient(int activation, Alpha p, ix rows, ix K, const real* a, real* d, ix ld) noexcept nogil:
    """d <- d f'(z), where d is the gradient with respect to a = f(z); both have rows `ld` apart.

    f'(z) from a: relu [not a <= 0], sigmoid a(1 - a), tanh (1 - a)(1 + a), softplus 1 - exp(-a) and so on; softmax's Jacobian
    gives a(d - sum(a d)), log-softmax's d - exp(a) sum(d)."""
    cdef ix i, j, n = rows*ld if rows else 0
    cdef real s, alpha = p.alpha
    if activation == RELU:
        for i in range(n): d[i] = R(0) if a[i] <= R(0) else d[i]
    elif activation == SIGMOID:
        for i in range(n): d[i] *= a[i]*(R(1) - a[i])
    elif activation == TANH:
        for i in range(n): d[i] *= (R(1) - a[i])*(R(1) + a[i])
    elif activation == SOFTMAX:
        for i in range(rows):
            s = dot(K, a + i*ld, d + i*ld)
            for j in range(K): d[i*ld + j] = a[i*ld + j]*(d[i*ld + j] - s)
    elif activation == LOG_SOFTMAX:
        for i in range(rows):
            s = R(sum_of_row(K, d + i*ld))
            for j in range(K): d[i*ld + j] = fmadd(-s, exp_(a[i*ld + j]), d[i*ld + j])
    elif activation == LEAKY_RELU:
        for i in range(n): d[i] = choose(a[i] <= R(0), alpha*d[i], d[i])
    elif activation == RELU6:
        for i in range(n): d[i] = choose((a[i] <= R(0)) | (a[i] >= R(6)), R(0), d[i])
    elif activation == ELU:
        for i in range(n): d[i] *= choose(a[i] > R(0), R(1), a[i] + alpha)
    elif activation == SELU:
        for i in range(n): d[i] *= choose(a[i] > R(0), selu_scale(), a[i] + selu_depth())
    elif activation == CELU:
        for i in range(n): d[i] *= choose(a[i] > R(0), R(1), (a[i] + alpha)/alpha)
    elif activation == SOFTPLUS:
        for i in range(n): d[i] *= -expm1_of_negative(-a[i])
    elif activation == SOFTSIGN:
        for i in range(n): d[i] *= (R(1) - absolute(a[i]))*(R(1) - absolute(a[i]))
    elif activation == EXPONENTIAL:
        for i in range(n): d[i] *= a[i]
    elif activation == LOG_SIGMOID:
        for i in range(n): d[i] *= -expm1_of_negative(a[i])
    elif activation == HARD_SIGMOID:
        for i in range(n): d[i] = choose((a[i] <= R(0)) | (a[i] >= R(1)), R(0), d[i]/R(6))
    elif activation == HARD_TANH:
        for i in range(n): d[i] = choose(absolute(a[i]) >= R(1), R(0), d[i])
    elif activation == SOFT_SHRINK or activation == HARD_SHRINK:
        for i in range(n): d[i] = choose(a[i] == R(0), R(0), d[i])
    elif activation == SPARSE_PLUS:
        for i in range(n): d[i] *= sparse_plus_slope(a[i])
    elif activation == SPARSE_SIGMOID:
        for i in range(n): d[i] = choose((a[i] <= R(0)) | (a[i] >= R(1)), R(0), R(0.5)*d[i])
    elif activation == SQUAREPLUS:
        for i in range(n): d[i] *= squareplus_slope(a[i], alpha)
    elif activation == BENT_RELU:
        for i in range(n): d[i] = bent_relu_gradient(a[i], d[i], alpha, p.max_value)
    # LINEAR: d stays as it is


# ---- arrays of any size ---------------------------------------------------------------------------------------------------

cdef struct ActivationJob:
    # Rows without gaps, worked on in blocks that stay in the first cache: no element is read or written twice in memory.
    int activation
    Alpha alpha
    ix rows                    # of an elementwise function: elements, and K = 1
    ix K
    const real* x
    const real* upstream       # of the gradient, or NULL for ones
    real* out                  # may be x or upstream
    bint gradient              # out <- upstream f'(x), else f(x)
    ix block                   # rows
    ix blocks
    real* scratch              # of the gradient of rows longer than ACTIVATION_BLOCK: one for each member
    team_barrier barrier

cdef enum:
    ACTIVATION_BLOCK = 1024    # elements
    IN_CACHE = 64              # blocks of as much as the caches hold


cdef void gradient_block(ActivationJob* job, ix rows, ix first, real* a) noexcept nogil:
    """One block of the gradient, by way of a = f(x), or f(x) and f'(x)."""
    cdef real slope[ACTIVATION_BLOCK]
    cdef ix i, n = rows*job.K
    cdef real* d = job.out + first
    memcpy(a, job.x + first, n*sizeof(real))
    if keeps_slope(job.activation): activate_keeping_slope(job.activation, rows, job.K, a, slope, job.K)
    else: activate(job.activation, job.alpha, rows, job.K, a, job.K)
    if job.upstream == NULL:
        for i in range(n): d[i] = R(1)
    elif d != job.upstream + first: memcpy(d, job.upstream + first, n*sizeof(real))
    if keeps_slope(job.activation):
        for i in range(n): d[i] *= slope[i]
    else: activation_gradient(job.activation, job.alpha, rows, job.K, a, d, job.K)


cdef inline void fetch(const real* x, ix n) noexcept nogil:
    """Ask for memory that is to be read while there is something to compute."""
    cdef ix i = 0
    while i < n:
        prefetch_read(x + i)
        i += LINE


cdef int activation_member(void* argument, int member, int members) noexcept nogil:
    cdef ActivationJob* job = <ActivationJob*>argument
    cdef real few[ACTIVATION_BLOCK]
    cdef real* a = job.scratch + member*job.K if job.scratch else few
    cdef ix b, first, rows, ahead
    for b in range(share(job.blocks, member, members, 1), share(job.blocks, member + 1, members, 1)):
        first = b*job.block*job.K
        rows = min(job.rows - b*job.block, job.block)
        ahead = min(job.rows*job.K - first - rows*job.K, <ix>ACTIVATION_BLOCK) if job.blocks > IN_CACHE else 0
        fetch(job.x + first + rows*job.K, ahead)
        if job.out != job.x: fetch(job.out + first + rows*job.K, ahead)
        if job.upstream and job.upstream != job.out: fetch(job.upstream + first + rows*job.K, ahead)
        if job.gradient: gradient_block(job, rows, first, a)
        else:
            if job.out != job.x: memcpy(job.out + first, job.x + first, rows*job.K*sizeof(real))
            activate(job.activation, job.alpha, rows, job.K, job.out + first, job.K)
    return 0


cdef Alpha alpha_of(given) except *:
    """A number, or (alpha, threshold, max_value)."""
    cdef Alpha p
    p.threshold, p.max_value = R(0), REAL_NAN
    if type(given) is tuple: p.alpha, p.threshold, p.max_value = R(given[0]), R(given[1]), R(given[2])
    else: p.alpha = R(given)
    return p
