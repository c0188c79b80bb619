# Activations in place over `rows` rows of K elements, `ld` apart, and their derivatives.  Elementwise ones run over the
# padding between rows as well: it is never read, and one long loop is quicker than many short ones.

cdef enum Activation:
    LINEAR = 0
    RELU = 1
    SIGMOID = 2
    TANH = 3
    SOFTMAX = 4

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


cdef void softmax_row(ix K, real* z) noexcept nogil:
    cdef ix j
    cdef real m = z[row_maximum(K, z)], scale
    for j in range(K): z[j] = exp_(z[j] - m)
    scale = R(1.0/lane_sum(K, z))
    for j in range(K): z[j] *= scale


cdef void activate(int activation, real alpha, ix rows, ix K, real* z, ix ld) noexcept nogil:
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


cdef void activation_gradient(int activation, real alpha, ix rows, ix K, const real* a, real* d, ix ld) noexcept nogil:
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


cdef inline bint keeps_slope(int activation) noexcept nogil:
    return False


cdef void activate_keeping_slope(int activation, real alpha, ix rows, ix K, real* z, real* slope, ix ld) noexcept nogil:
    pass
