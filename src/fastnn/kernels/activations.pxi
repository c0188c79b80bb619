# Activations in place over `rows` rows of K elements, `ld` apart, and their derivatives.  Elementwise ones run over the
# padding between rows as well: it is never read, and one long loop is quicker than many short ones.

cdef enum Activation:
    LINEAR = 0
    RELU = 1
    SIGMOID = 2
    TANH = 3
    SOFTMAX = 4


cdef inline ix row_maximum(ix K, const real* z) noexcept nogil:
    """Index of the first largest element; of element 0 where that is NaN."""
    cdef ix j, top = 0
    cdef int lane
    cdef real m = z[0]
    cdef real most[LANES]
    if K < 4*LANES:
        for j in range(1, K):
            if z[j] > m:
                m = z[j]
                top = j
        return top
    for lane in range(LANES): most[lane] = m
    j = 0
    while j + LANES <= K:
        for lane in range(LANES): most[lane] = choose(z[j + lane] > most[lane], z[j + lane], most[lane])
        j += LANES
    for lane in range(<int>(K - j)): most[lane] = choose(z[j + lane] > most[lane], z[j + lane], most[lane])
    for lane in range(LANES): m = choose(most[lane] > m, most[lane], m)
    if m == m:
        while z[top] != m: top += 1
    return top


cdef void softmax_row(ix K, real* z) noexcept nogil:
    cdef ix j
    cdef real m = z[row_maximum(K, z)], scale
    for j in range(K): z[j] = exp_(z[j] - m)
    scale = R(1.0/lane_sum(K, z))
    for j in range(K): z[j] *= scale


cdef void activate(int activation, ix rows, ix K, real* z, ix ld) noexcept nogil:
    """z <- f(z)."""
    cdef ix i, n = rows*ld if rows else 0
    if activation == RELU:
        for i in range(n): z[i] = R(0) if z[i] < R(0) else z[i]
    elif activation == SIGMOID:
        for i in range(n): z[i] = sigmoid_(z[i])
    elif activation == TANH:
        for i in range(n): z[i] = tanh_(z[i])
    elif activation == SOFTMAX:
        for i in range(rows): softmax_row(K, z + i*ld)


cdef void activation_gradient(int activation, ix rows, ix K, const real* a, real* d, ix ld) noexcept nogil:
    """d <- d f'(z), where d is the gradient with respect to a = f(z); both have rows `ld` apart.

    f'(z) from a: relu [not a <= 0], sigmoid a(1 - a), tanh (1 - a)(1 + a); softmax's Jacobian gives a(d - sum(a d))."""
    cdef ix i, j, n = rows*ld if rows else 0
    cdef real s
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
