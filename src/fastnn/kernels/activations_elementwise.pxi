# Activations of one element: f(z), its derivative from a = f(z), or both from z.  At a kink the derivative is that of the
# constant side, where there is one, else that of the left side.
#
# Of a function whose derivative needs z, value and derivative are computed together: they share what costs.  Both are
# 2^k times something for z < 0, where they vanish like e^z or faster: k is kept apart to the end, so that results keep
# all their digits down to the subnormals.

cdef inline real leaky_relu_(real z, real negative_slope) noexcept nogil:
    return choose(z < R(0), negative_slope*z, z)


cdef inline real elu_(real z, real scale, real depth, real width) noexcept nogil:
    """z scale for z > 0, depth (e^(z/width) - 1) elsewhere: elu, selu and celu."""
    return choose(z > R(0), scale*z, depth*expm1_of_negative(z/width))


cdef inline real selu_scale() noexcept nogil:
    return R(1.0507009873554805)


cdef inline real selu_depth() noexcept nogil:
    """The scale times alpha = 1.67326…"""
    return R(1.7580993408473768)


cdef inline real softplus_(real z) noexcept nogil:
    return clip(z, R(0), REAL_INFINITY) + log1p_of_fraction(exp_(-absolute(z)))


cdef inline real softsign_(real z) noexcept nogil:
    cdef real largest = R(3.4028234663852886e38) if sizeof(real) == 4 else R(1.7976931348623157e308)
    z = clip(z, -largest, largest)                # infinity/infinity is NaN
    return z/(R(1) + absolute(z))


cdef inline real relu6_(real z) noexcept nogil:
    return clip(z, R(0), R(6))


cdef inline real log_sigmoid_(real z) noexcept nogil:
    return clip(z, -REAL_INFINITY, R(0)) - log1p_of_fraction(exp_(-absolute(z)))


cdef inline real soft_shrink_(real z, real threshold) noexcept nogil:
    return z - clip(z, -threshold, threshold)


cdef inline real hard_shrink_(real z, real threshold) noexcept nogil:
    return choose(absolute(z) <= threshold, R(0), z)


cdef inline real sparse_plus_(real z) noexcept nogil:
    cdef real t = R(0.5)*(z + R(1))
    return choose(z >= R(1), z, choose(z <= R(-1), R(0), t*t))


cdef inline real sparse_plus_slope(real a) noexcept nogil:
    return choose(a >= R(1), R(1), real_sqrt(a))


cdef inline real squareplus_(real z, real b) noexcept nogil:
    """(z + sqrt(z^2 + b))/2, without the cancellation for z < 0, nor overflow of z^2."""
    cdef real y = absolute(z), s = R(0.5)*y + R(0.5)*choose(y > R(1e18), y, real_sqrt(fmadd(y, y, b)))
    return choose(z < R(0), R(0.25)*b/s, s)


cdef inline real squareplus_slope(real a, real b) noexcept nogil:
    """a^2/(a^2 + b/4)."""
    return choose(a > R(1e18), R(1), a*(a/fmadd(a, a, R(0.25)*b)))


cdef inline real bent_relu_(real z, real negative_slope, real threshold, real max_value) noexcept nogil:
    """z up to max_value above the threshold, negative_slope (z - threshold) up to there; 0 times infinity is none."""
    cdef real below = choose((negative_slope == R(0)) & (z <= threshold), R(0), negative_slope*(z - threshold))
    return choose(z > threshold, choose(z >= max_value, max_value, z), below)


cdef inline real bent_relu_gradient(real a, real d, real negative_slope, real max_value) noexcept nogil:
    cdef real below = choose(negative_slope == R(0), R(0), negative_slope*d)
    return choose(a >= max_value, R(0), choose(a <= R(0), below, d))


# ---- those whose derivative needs z --------------------------------------------------------------------------------------

cdef inline real where_exp_vanishes() noexcept nogil:
    """y of which y e^-y rounds to 0."""
    return R(120) if sizeof(real) == 4 else R(800)


cdef inline real times_sigmoid(real z, real v, real v_tail, real w, real* slope) noexcept nogil:
    """z sigmoid(+-v) and its derivative, for v >= 0 and w = |z| dv/dz, where +- is the sign of z."""
    cdef ireal k
    cdef real p = exp_mantissa(-v, -v_tail, &k), e = scaled(p, k), s = R(1) + e
    cdef bint negative = z < R(0)
    k = k if negative else 0
    p = choose(negative, p, R(1))
    slope[0] = scaled(choose(negative, (R(1) - w) + e, fmadd(e, R(1) + w, R(1)))*p/(s*s), k)
    return scaled(z*p/s, k)


cdef inline real silu_(real z, real* slope) noexcept nogil:
    cdef real far = where_exp_vanishes(), y = clip(absolute(z), R(0), far)
    return times_sigmoid(clip(z, -far, REAL_INFINITY), y, R(0), y, slope)


cdef inline real gelu_tanh_(real z, real* slope) noexcept nogil:
    """z sigmoid(v) for v = z (c0 + c1 z^2), c0 = sqrt(8/pi), c1 = 0.044715 c0.  In the tail v is large, and its rounding
    would be that of e^v many times over: hence a pair."""
    cdef real far = R(11.5) if sizeof(real) == 4 else R(22), y = clip(absolute(z), R(0), far)
    cdef real c0 = R(1.5957691216057308), c0_tail = R(-4.534068042105271576e-8) if sizeof(real) == 4 else R(-9.9693088091109203e-17)
    cdef real c1 = R(0.07135481627260025), c1_tail = R(2.3988323959931356e-9) if sizeof(real) == 4 else R(-6.1751499181553155e-19)
    cdef real z2 = y*y, c1z2 = c1*z2, s = c0 + c1z2, v = y*s, s_tail
    s_tail = sum_tail(c0, c1z2, s) + (c0_tail + (product_tail(c1, z2, c1z2) + fmadd(c1, product_tail(y, y, z2), c1_tail*z2)))
    return times_sigmoid(clip(z, -far, REAL_INFINITY), v, fmadd(y, s_tail, product_tail(y, s, v)), y*fmadd(R(3), c1z2, c0), slope)


cdef inline real gelu_(real z, real* slope) noexcept nogil:
    """z Phi(z); Phi(-y) = e^(-y^2/2) m, and the density of the normal distribution is e^(-y^2/2)/sqrt(2 pi)."""
    cdef ireal k
    cdef real far = R(16) if sizeof(real) == 4 else R(40), y = clip(absolute(z), R(0), far), y2 = y*y
    cdef real p = exp_mantissa(R(-0.5)*y2, R(-0.5)*product_tail(y, y, y2), &k), e = scaled(p, k)
    cdef real m = mills_ratio(y), n = fmadd(y, R(-0.3989422804014327), m)
    cdef bint negative = z < R(0)
    slope[0] = choose(negative, scaled(p*n, k), fmadd(-e, n, R(1)))
    return choose(negative, scaled(-y*m*p, k), fmadd(-y*m, e, z))


cdef inline real mish_(real z, real* slope) noexcept nogil:
    """z tanh(softplus(z)) = z n/d and its derivative m/d^2, fractions of polynomials of e = e^-|z|, and of e^z = e for z < 0
    times e."""
    cdef ireal k
    cdef real far = where_exp_vanishes(), c = clip(z, -far, far), p = exp_mantissa(-absolute(c), R(0), &k), e = scaled(p, k)
    cdef real c4 = fmadd(R(4), c, R(4)), d, m
    cdef bint negative = z < R(0)
    d = choose(negative, fmadd(e, e + R(2), R(2)), fmadd(e, fmadd(R(2), e, R(2)), R(1)))
    m = choose(negative, fmadd(e, fmadd(e, e + R(4), c4 + R(2)), c4), fmadd(e, fmadd(e, fmadd(e, c4, c4 + R(2)), R(4)), R(1)))
    k = k if negative else 0
    p = choose(negative, p, R(1))
    slope[0] = scaled(p*m/(d*d), k)
    return scaled(clip(z, -far, REAL_INFINITY)*p*(choose(negative, e + R(2), fmadd(R(2), e, R(1)))/d), k)


cdef inline real hard_silu_(real z, real* slope) noexcept nogil:
    slope[0] = choose(z <= R(-3), R(0), choose(z >= R(3), R(1), (z + z + R(3))/R(6)))
    return clip(z, R(-3), REAL_INFINITY)*(relu6_(z + R(3))/R(6))


cdef inline real tanh_shrink_(real z, real* slope) noexcept nogil:
    """z - tanh(z); beyond 1 as (|z| - 1) + 2/(e^(2|z|) + 1), a sum of positive terms."""
    cdef real y = absolute(z), w = y*y, r = R(2)/(exp_(y + y) + R(1)), near = y*w*tanh_shrink_near_0(w), t
    t = choose(y < R(1), y - near, R(1) - r)
    slope[0] = t*t
    return from_bits(bits(choose(y < R(1), near, (y - R(1)) + r)) | (bits(z) & ~ABS_MASK))
