# Layers other than dense ones: rows of a buffer in, rows of a buffer out, n columns each.
#
# What is summed over a row or over the rows of a batch is summed in float64 and in one order, so no instruction set and no
# number of threads changes a bit.  Statistics of a batch are computed by columns: a thread takes some of them, all rows.

cdef enum Kind:
    DENSE = 0
    IDENTITY = 1               # an activation by itself
    AFFINE = 2                 # x scale + shift, given numbers for each column
    NORMALIZATION = 3          # by given means and variances, or back
    BATCH_NORM = 4
    LAYER_NORM = 5
    DROPOUT = 6
    OWN = 7                    # Python's

LAYER_KINDS = ("dense", "identity", "affine", "normalization", "batch_norm", "layer_norm", "dropout", "own")

cdef enum:
    COLUMNS = 32               # whose sums are made together


cdef void copy_to_rows(ix rows, ix n, const real* x, ix ldx, real* z, ix ldz) noexcept nogil:
    cdef ix r
    for r in range(rows): memcpy(z + r*ldz, x + r*ldx, n*sizeof(real))


# ---- (x - center) scale + shift ---------------------------------------------------------------------------------------

cdef void affine_rows(ix rows, ix n, const real* x, ix ldx, const real* center, const real* scale, const real* shift,
                      real* z, ix ldz) noexcept nogil:
    """center and shift may be NULL, for 0."""
    cdef ix r, j
    for r in range(rows):
        if center == NULL:
            for j in range(n): z[r*ldz + j] = fmadd(x[r*ldx + j], scale[j], shift[j])
        elif shift:
            for j in range(n): z[r*ldz + j] = fmadd(x[r*ldx + j] - center[j], scale[j], shift[j])
        else:
            for j in range(n): z[r*ldz + j] = (x[r*ldx + j] - center[j])*scale[j]


cdef void scale_rows(ix rows, ix n, const real* d, ix ldd, const real* scale, real* out, ix ldo) noexcept nogil:
    cdef ix r, j
    for r in range(rows):
        for j in range(n): out[r*ldo + j] = d[r*ldd + j]*scale[j]


cdef void normalization_scale(ix n, const real* variance, bint invert, real* scale) noexcept nogil:
    """scale <- the deviation, which is at least Keras's 1e-7, or one over it."""
    cdef ix j
    cdef real deviation
    for j in range(n):
        deviation = real_sqrt(variance[j])
        deviation = R(1e-7) if deviation < R(1e-7) else deviation
        scale[j] = deviation if invert else R(1)/deviation


# ---- batch normalization: Ioffe and Szegedy, ICML 2015 ----------------------------------------------------------------

cdef struct Statistics:        # of a layer's batch, n columns each
    real* mean
    real* inverse              # 1/sqrt(variance + epsilon)
    real* scale                # inverse*gamma
    real* variance
    real* sum_d                # of delta, the gradient of beta,
    real* sum_dx               # and of delta*xhat, the gradient of gamma; xhat = (x - mean)*inverse


cdef void column_totals(ix rows, int width, const real* u, ix ldu, const real* x, ix ldx, const real* mean, double* out) noexcept nogil:
    """out[j] <- sum over the rows of u[r, j] (x[r, j] - mean[j]); a factor that is NULL is left out of it, and x with mean is
    squared where u is x.  Four chains of every fourth row, then pairs of them."""
    cdef double s[4][COLUMNS]
    cdef ix r
    cdef int i, j
    for i in range(4):
        for j in range(width): s[i][j] = 0
    for r in range(rows):
        i = <int>(r & 3)
        if x == NULL:
            for j in range(width): s[i][j] += <double>u[r*ldu + j]
        elif u == NULL:
            for j in range(width): s[i][j] += (<double>x[r*ldx + j] - <double>mean[j])*(<double>x[r*ldx + j] - <double>mean[j])
        else:
            for j in range(width): s[i][j] += <double>u[r*ldu + j]*(<double>x[r*ldx + j] - <double>mean[j])
    for j in range(width): out[j] = (s[0][j] + s[2][j]) + (s[1][j] + s[3][j])


cdef void batch_statistics(ix rows, ix j0, ix j1, const real* x, ix ldx, const real* gamma, double epsilon,
                           const Statistics* s) noexcept nogil:
    """Mean and (biased) variance of columns j0 .. j1."""
    cdef double total[COLUMNS]
    cdef ix j = j0
    cdef int width, i
    while j < j1:
        width = <int>min(j1 - j, <ix>COLUMNS)
        column_totals(rows, width, x + j, ldx, NULL, 0, NULL, total)
        for i in range(width): s.mean[j + i] = R(total[i]/<double>rows)
        column_totals(rows, width, NULL, 0, x + j, ldx, s.mean + j, total)
        for i in range(width):
            s.variance[j + i] = R(total[i]/<double>rows)
            s.inverse[j + i] = R(1/sqrt(total[i]/<double>rows + epsilon))
            s.scale[j + i] = s.inverse[j + i]*gamma[j + i] if gamma else s.inverse[j + i]
        j += width


cdef void moving_statistics(ix n, const real* variance, const real* gamma, double epsilon, real* scale) noexcept nogil:
    """scale <- gamma/sqrt(variance + epsilon)."""
    cdef ix j
    cdef real inverse
    for j in range(n):
        inverse = R(1/sqrt(<double>variance[j] + epsilon))
        scale[j] = inverse*gamma[j] if gamma else inverse


cdef void batch_gradient_sums(ix rows, ix j0, ix j1, const real* d, ix ldd, const real* x, ix ldx, const Statistics* s) noexcept nogil:
    cdef double total[COLUMNS]
    cdef ix j = j0
    cdef int width, i
    while j < j1:
        width = <int>min(j1 - j, <ix>COLUMNS)
        column_totals(rows, width, d + j, ldd, NULL, 0, NULL, total)
        for i in range(width): s.sum_d[j + i] = R(total[i])
        column_totals(rows, width, d + j, ldd, x + j, ldx, s.mean + j, total)
        for i in range(width): s.sum_dx[j + i] = R(total[i]*<double>s.inverse[j + i])
        j += width


cdef void batch_norm_gradient(ix rows, ix n, ix batch, const real* d, ix ldd, const real* x, ix ldx, const Statistics* s,
                              real* out, ix ldo) noexcept nogil:
    """out <- gradient with respect to x: gamma/sqrt(variance + epsilon) (d - mean(d) - xhat mean(d xhat)), over the batch."""
    cdef ix r, j
    cdef real over = R(1.0/<double>batch)
    for r in range(rows):
        for j in range(n):
            out[r*ldo + j] = s.scale[j]*(d[r*ldd + j] - s.sum_d[j]*over - (x[r*ldx + j] - s.mean[j])*s.inverse[j]*(s.sum_dx[j]*over))


# ---- layer normalization: Ba, Kiros and Hinton, 2016 ------------------------------------------------------------------

cdef inline double centered_dot(ix n, const real* u, const real* factor, const real* x, double mean) noexcept nogil:
    """Sum of u[j] factor[j] (x[j] - mean), or of (x[j] - mean)^2 where u is NULL; eight sums, then pairs of them."""
    cdef double s[8]
    cdef double c
    cdef ix i = 0
    cdef int j, width
    for j in range(8): s[j] = 0
    while i < n:
        width = <int>min(n - i, <ix>8)
        for j in range(width):
            c = <double>x[i + j] - mean
            if u == NULL: s[j] += c*c
            elif factor == NULL: s[j] += <double>u[i + j]*c
            else: s[j] += <double>(u[i + j]*factor[i + j])*c
        i += 8
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


cdef inline double product_sum(ix n, const real* u, const real* factor) noexcept nogil:
    cdef double s[8]
    cdef ix i = 0
    cdef int j
    if factor == NULL: return lane_sum(n, u)
    for j in range(8): s[j] = 0
    while i < n:
        for j in range(<int>min(n - i, <ix>8)): s[j] += <double>(u[i + j]*factor[i + j])
        i += 8
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))


cdef void layer_norm_rows(ix rows, ix n, const real* x, ix ldx, const real* gamma, const real* beta, double epsilon,
                          real* z, ix ldz, real* row) noexcept nogil:
    """row, where given, gets mean and 1/sqrt(variance + epsilon) of each row."""
    cdef ix r, j
    cdef double mean
    cdef real m, inverse
    for r in range(rows):
        mean = lane_sum(n, x + r*ldx)/<double>n
        m = R(mean)
        inverse = R(1/sqrt(centered_dot(n, NULL, NULL, x + r*ldx, mean)/<double>n + epsilon))
        if row: row[2*r], row[2*r + 1] = m, inverse
        for j in range(n): z[r*ldz + j] = (x[r*ldx + j] - m)*inverse
        if gamma:
            for j in range(n): z[r*ldz + j] *= gamma[j]
        if beta:
            for j in range(n): z[r*ldz + j] += beta[j]


cdef void layer_norm_gradient(ix rows, ix n, const real* d, ix ldd, const real* x, ix ldx, const real* gamma, const real* row,
                              real* out, ix ldo) noexcept nogil:
    """out <- gradient with respect to x: (g - mean(g) - xhat mean(g xhat))/sqrt(variance + epsilon), g = d gamma, over the row."""
    cdef ix r, j
    cdef real m, inverse, mean_g, mean_gx, g
    for r in range(rows):
        m, inverse = row[2*r], row[2*r + 1]
        mean_g = R(product_sum(n, d + r*ldd, gamma)/<double>n)
        mean_gx = R(centered_dot(n, d + r*ldd, gamma, x + r*ldx, m)*<double>inverse/<double>n)
        for j in range(n):
            g = d[r*ldd + j]*gamma[j] if gamma else d[r*ldd + j]
            out[r*ldo + j] = inverse*(g - mean_g - (x[r*ldx + j] - m)*inverse*mean_gx)


cdef void layer_norm_parameters(ix rows, ix n, const real* d, ix ldd, const real* x, ix ldx, const real* row, bint add,
                                real* gamma, real* beta) noexcept nogil:
    """Gradients of gamma, the sum of d xhat over the rows, and of beta, the sum of d; each where it is not NULL."""
    cdef double s[COLUMNS]
    cdef double t[COLUMNS]
    cdef ix r, j = 0
    cdef int width, i
    while j < n:
        width = <int>min(n - j, <ix>COLUMNS)
        for i in range(width): s[i] = t[i] = 0
        for r in range(rows):
            for i in range(width):
                s[i] += <double>d[r*ldd + j + i]
                t[i] += <double>d[r*ldd + j + i]*<double>((x[r*ldx + j + i] - row[2*r])*row[2*r + 1])
        for i in range(width):
            if beta: beta[j + i] = beta[j + i] + R(s[i]) if add else R(s[i])
            if gamma: gamma[j + i] = gamma[j + i] + R(t[i]) if add else R(t[i])
        j += width


# ---- dropout: Srivastava et al., JMLR 2014; inverted, so that inference does nothing ----------------------------------

cdef void dropout_words(uint32_t first, uint32_t row, uint32_t step, uint32_t layer, uint64_t key, uint32_t* out) noexcept nogil:
    """64 random words: Philox at the counters first … first + 15, in lanes; out[16 w + lane] is word w of a lane."""
    cdef uint32_t c[4][16]
    cdef uint32_t k0 = <uint32_t>key, k1 = <uint32_t>(key >> 32)
    cdef uint64_t a, b
    cdef int i, lane
    for lane in range(16):
        c[0][lane] = first + <uint32_t>lane
        c[1][lane] = row
        c[2][lane] = step
        c[3][lane] = layer << 4 | DROPOUT_STREAM
    for i in range(10):
        for lane in range(16):
            a = <uint64_t>0xD2511F53*c[0][lane]
            b = <uint64_t>0xCD9E8D57*c[2][lane]
            c[0][lane] = <uint32_t>(b >> 32) ^ c[1][lane] ^ k0
            c[1][lane] = <uint32_t>b
            c[2][lane] = <uint32_t>(a >> 32) ^ c[3][lane] ^ k1
            c[3][lane] = <uint32_t>a
        k0 += <uint32_t>0x9E3779B9
        k1 += <uint32_t>0xBB67AE85
    memcpy(out, c, sizeof(c))


cdef struct Noise:             # what a layer drops
    double rate                # of 1: everything
    uint64_t key
    bint shared_rows           # all samples of a batch alike
    bint shared_columns        # a sample's columns together


cdef void dropout_rows(ix rows, ix n, ix first_row, const real* x, ix ldx, const Noise* noise, uint32_t step, uint32_t layer,
                       real* z, real* factor, ix ld) noexcept nogil:
    """factor <- 0, or 1/(1 - rate) with the probability 1 - rate; z <- x factor.  first_row: of its batch, of these."""
    cdef uint32_t word[64]
    cdef uint32_t threshold, row
    cdef real kept
    cdef ix r, j
    cdef int i, width
    if noise.rate >= 1:
        for r in range(rows):
            memset(factor + r*ld, 0, n*sizeof(real))
            memset(z + r*ld, 0, n*sizeof(real))
        return
    threshold, kept = <uint32_t>(noise.rate*4294967296.0), R(1/(1 - noise.rate))
    for r in range(rows):
        row = 0 if noise.shared_rows else <uint32_t>(first_row + r)
        j = 0
        while j < n:
            width = <int>min(n - j, <ix>64)
            if j == 0 or not noise.shared_columns: dropout_words(<uint32_t>(j//4), row, step, layer, noise.key, word)
            if noise.shared_columns:
                for i in range(64): word[i] = word[0]
            for i in range(width): factor[r*ld + j + i] = kept if word[i] >= threshold else R(0)
            for i in range(width): z[r*ld + j + i] = x[r*ldx + j + i]*kept if word[i] >= threshold else R(0)
            j += 64


cdef void multiply_rows(ix rows, ix n, const real* d, const real* factor, ix ld, real* out, ix ldo) noexcept nogil:
    cdef ix r, j
    for r in range(rows):
        for j in range(n): out[r*ldo + j] = d[r*ld + j]*factor[r*ld + j]
