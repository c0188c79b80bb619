# Sums and dot products over many lanes at once.  The number of lanes is fixed, so every instruction set adds in one order.

cdef enum:
    LANES = 16


cdef inline double lane_sum(ix n, const real* x) noexcept nogil:
    """Sum of x[0..n) in float64: eight partial sums, then pairs of them."""
    cdef double s[8]
    cdef ix i = 0
    cdef int j
    if n == 1: return x[0]
    for j in range(8): s[j] = 0
    while i + 8 <= n:
        for j in range(8): s[j] += <double>x[i + j]
        i += 8
    if i < n:
        for j in range(8): s[j] += <double>x[i + j] if i + j < n else 0
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


cdef double absolute_sum(ix n, const real* x) noexcept nogil:
    """Sum of |x[i]| in float64: LANES sums, then pairs of them."""
    cdef double s[LANES]
    cdef ix i = 0
    cdef int j
    for j in range(LANES): s[j] = 0
    while i < n:
        for j in range(<int>min(n - i, <ix>LANES)): s[j] += <double>absolute(x[i + j])
        i += LANES
    for j in range(8): s[j] += s[j + 8]
    for j in range(4): s[j] += s[j + 4]
    return (s[0] + s[2]) + (s[1] + s[3])


cdef inline double lane_sum_double(ix n, const double* x) noexcept nogil:
    """The same of float64 values."""
    cdef double s[8]
    cdef ix i = 0
    cdef int j
    for j in range(8): s[j] = 0
    while i + 8 <= n:
        for j in range(8): s[j] += x[i + j]
        i += 8
    for j in range(<int>(n - i)): s[j] += x[i + j]
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


cdef inline real dot(ix n, const real* a, const real* b) noexcept nogil:
    """Sum of a[i]*b[i]: LANES chains of multiply-adds, then pairs of them."""
    cdef vec acc[LANES]
    cdef real s[LANES]
    cdef ix i = 0
    cdef int j
    if n <= 4:                                     # the same sum, of what is not 0
        for j in range(4): s[j] = fmadd(a[j], b[j], R(0)) if j < n else R(0)
        return (s[0] + s[2]) + (s[1] + s[3])
    for j in range(LANES//VL): acc[j] = vzero()
    while i + LANES <= n:
        for j in range(LANES//VL): acc[j] = vfmadd(vload(a + i + j*VL), vload(b + i + j*VL), acc[j])
        i += LANES
    for j in range(LANES//VL): vstore(s + j*VL, acc[j])
    for j in range(<int>(n - i)): s[j] = fmadd(a[i + j], b[i + j], s[j])
    for j in range(8): s[j] += s[j + 8]
    for j in range(4): s[j] += s[j + 4]
    return (s[0] + s[2]) + (s[1] + s[3])


cdef inline void column_sums(const int nv, ix rows, const real* x, ix ld, real* out) noexcept nogil:
    """Sums of nv*VL columns of x over its rows, which lie `ld` apart: four chains, of every fourth row, then pairs of them."""
    cdef vec s[4][4]
    cdef ix r
    cdef int i, j
    for i in range(4):
        for j in range(nv): s[i][j] = vzero()
    for r in range(0, rows - 3, 4):
        for i in range(4):
            for j in range(nv): s[i][j] = s[i][j] + vload(x + (r + i)*ld + j*VL)
    for r in range(rows & ~3, rows):
        i = <int>(r & 3)
        if i == 0:
            for j in range(nv): s[0][j] = s[0][j] + vload(x + r*ld + j*VL)
        elif i == 1:
            for j in range(nv): s[1][j] = s[1][j] + vload(x + r*ld + j*VL)
        else:
            for j in range(nv): s[2][j] = s[2][j] + vload(x + r*ld + j*VL)
    for j in range(nv): vstore(out + j*VL, (s[0][j] + s[2][j]) + (s[1][j] + s[3][j]))


cdef inline double wide_sum(ix n, const real* x) noexcept nogil:
    """Sum of x[0..n) in float64: 32 partial sums, enough to keep adders busy, then pairs of them."""
    cdef double s[32]
    cdef ix i = 0
    cdef int j, width = 16
    for j in range(32): s[j] = 0
    while i + 32 <= n:
        for j in range(32): s[j] += <double>x[i + j]
        i += 32
    for j in range(<int>(n - i)): s[j] += <double>x[i + j]
    while width:
        for j in range(width): s[j] += s[j + width]
        width >>= 1
    return s[0]


cdef inline double lane_dot(ix n, const real* a, const real* b) noexcept nogil:
    """Sum of a[i]*b[i]: eight partial sums in float64, of exact products, or with the tails of products and sums beside them."""
    cdef double s[8]
    cdef real high[8]
    cdef real low[8]
    cdef real p, t
    cdef ix i = 0
    cdef int j
    for j in range(8):
        s[j] = 0
        high[j] = low[j] = R(0)
    if sizeof(real) == 4:
        while i + 8 <= n:
            for j in range(8): s[j] += <double>a[i + j]*<double>b[i + j]
            i += 8
        for j in range(<int>(n - i)): s[j] += <double>a[i + j]*<double>b[i + j]
    else:
        while i < n:
            for j in range(<int>min(n - i, <ix>8)):
                p = a[i + j]*b[i + j]
                t = high[j] + p
                low[j] += sum_tail(high[j], p, t) + product_tail(a[i + j], b[i + j], p)
                high[j] = t
            i += 8
        return pairs_sum(8, high, low, &t)
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


cdef inline double careful_sum(ix n, const real* x, real* tail) noexcept nogil:
    """Sum of x[0..n) and its tail: lane_sum of float32, whose tail is 0, or of float64 with the tails of the sums beside them."""
    cdef real high[8]
    cdef real low[8]
    cdef real t
    cdef ix i = 0
    cdef int j
    tail[0] = R(0)
    if sizeof(real) == 4: return lane_sum(n, x) if n < 128 else wide_sum(n, x)
    for j in range(8): high[j] = low[j] = R(0)
    while i < n:
        for j in range(<int>min(n - i, <ix>8)):
            t = high[j] + x[i + j]
            low[j] += sum_tail(high[j], x[i + j], t)
            high[j] = t
        i += 8
    return pairs_sum(8, high, low, tail)


cdef inline double pairs_sum(int n, const real* high, const real* low, real* tail) noexcept nogil:
    cdef real s = R(0), rest = R(0), t
    cdef int j
    for j in range(n):
        t = s + high[j]
        rest += sum_tail(s, high[j], t) + low[j]
        s = t
    t = s + rest
    tail[0] = (s - t) + rest
    return <double>t
