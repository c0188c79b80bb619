# exp, expm1, log, log1p, tanh, sigmoid and the tail of the normal distribution, of one element: branch-free, so that the
# compiler vectorises the loops round them.  Where a caller needs more than a `real` holds, numbers are pairs: a rounded
# value and its tail, what the rounding lost.  Constants are those of the classical minimax polynomials (Cephes for
# float32, fdlibm for float64), or of own ones where that is said; the largest errors over the whole domain are in
# tests/kernels.  Subnormal, infinite and NaN arguments give what IEEE arithmetic gives.

cdef inline real expm1_curvature(real r) noexcept nogil:
    """(e^r - 1 - r)/r^2 for |r| <= ln(2)/2."""
    cdef real p
    if sizeof(real) == 4:                          # two halves at a time: half the latency
        p = fmadd(R(0.1666657684599397631), r, R(0.5))
        return fmadd(fmadd(fmadd(r, R(0.001392621346633244304), R(0.008363202971575854947)), r, R(0.0416665544376859389)), r*r, p)
    else:
        p = R(2.091471734171637595e-9)
        p = fmadd(p, r, R(2.510525953844849342e-8))
        p = fmadd(p, r, R(2.755727357010213967e-7))
        p = fmadd(p, r, R(2.755725529796964439e-6))
        p = fmadd(p, r, R(0.00002480158732560532278))
        p = fmadd(p, r, R(0.0001984126987490125923))
        p = fmadd(p, r, R(0.001388888888888373183))
        p = fmadd(p, r, R(0.008333333333326112053))
        p = fmadd(p, r, R(0.04166666666666666977))
        p = fmadd(p, r, R(0.1666666666666667101))
    return fmadd(p, r, R(0.5))


cdef inline real expm1_near_0(real r) noexcept nogil:
    """e^r - 1 for |r| <= ln(2)/2."""
    return fmadd(r*r, expm1_curvature(r), r)


cdef inline real round_shift() noexcept nogil:
    """1.5 * 2^MANTISSA_BITS: adding it rounds to an integer, which then stands in the low bits."""
    return R(12582912.0) if sizeof(real) == 4 else R(6755399441055744.0)


cdef inline real ln2_high() noexcept nogil:
    """ln(2), to so few bits that its product with an exponent is exact,"""
    return R(0.693145751953125) if sizeof(real) == 4 else R(0.69314718055966295651)


cdef inline real ln2_low() noexcept nogil:
    """and the rest of it."""
    return R(1.4286068203094172e-6) if sizeof(real) == 4 else R(2.8235290563031577123e-13)


cdef inline real reduce_by_ln2(real x, ireal* k, real* tail) noexcept nogil:
    """r with x = k ln(2) + r + tail, |r| <= ln(2)/2 (Cody and Waite)."""
    cdef real n = fmadd(x, R(1.4426950408889634074), round_shift()), high, r
    k[0] = bits(n) - bits(round_shift())
    n = n - round_shift()
    high = fmadd(n, -ln2_high(), x)               # exact
    r = fmadd(n, -ln2_low(), high)
    tail[0] = (high - r) - n*ln2_low()
    return r


cdef inline real absolute(real x) noexcept nogil:
    return from_bits(bits(x) & ABS_MASK)


cdef inline real clip(real x, real low, real high) noexcept nogil:
    """Keeps NaN."""
    x = choose(x < low, low, x)
    return choose(x > high, high, x)


cdef inline real finite_sum_tail(real a, real b, real s) noexcept nogil:
    """a + b - s, for s = a + b rounded and finite (Knuth's two-sum)."""
    cdef real t = s - a
    return (a - (s - t)) + (b - t)


cdef inline real sum_tail(real a, real b, real s) noexcept nogil:
    """The same, and 0 where s is infinite."""
    return choose(absolute(s) < REAL_INFINITY, finite_sum_tail(a, b, s), R(0))


cdef inline real within_exp(real x) noexcept nogil:
    """x, but no further than where e^x is 0 or infinite."""
    cdef real high = R(89.0) if sizeof(real) == 4 else R(710.0)
    return negative_within_exp(high if x > high else x)       # NaN passes both


cdef inline real negative_within_exp(real x) noexcept nogil:
    cdef real low = R(-104.0) if sizeof(real) == 4 else R(-746.0)
    return low if x < low else x


cdef inline real scaled(real x, ireal k) noexcept nogil:
    """2^k x, in two steps, so that subnormal results are right."""
    cdef ireal half = k >> 1
    return x*power_of_2(half)*power_of_2(k - half)


cdef inline real scaled_plus_1(real x, ireal k) noexcept nogil:
    """2^k (1 + x), rounded once."""
    cdef ireal half = k >> 1
    cdef real s = power_of_2(half)
    return fmadd(x, s, s)*power_of_2(k - half)


cdef inline real exp_of_sum(real x, real tail) noexcept nogil:
    """e^(x + tail) for a tail within a few roundings of x."""
    cdef ireal k
    cdef real lost, p = expm1_near_0(reduce_by_ln2(within_exp(x), &k, &lost) + tail)
    return scaled_plus_1(p, k)


cdef inline real exp_(real x) noexcept nogil:
    cdef ireal k
    cdef real lost, p = expm1_near_0(reduce_by_ln2(within_exp(x), &k, &lost))
    return scaled_plus_1(p, k)


cdef inline real exp_of_negative(real x) noexcept nogil:
    """e^x for x <= 0, or NaN."""
    cdef ireal k
    cdef real lost, p = expm1_near_0(reduce_by_ln2(negative_within_exp(x), &k, &lost))
    return scaled_plus_1(p, k)


cdef inline real exp_pair(real x, real x_tail, real* tail) noexcept nogil:
    """e^(x + x_tail) and its tail, together to a tenth of a rounding."""
    cdef ireal k
    cdef real lost, x_r = reduce_by_ln2(within_exp(x), &k, &lost), r = x_r + x_tail, w = r*r*expm1_curvature(r), q = r + w, p = R(1) + q
    lost = lost + finite_sum_tail(x_r, x_tail, r)
    tail[0] = scaled(((R(1) - p) + q) + (((r - q) + w) + lost), k)
    return scaled(p, k)


cdef inline real exp_mantissa(real x, real tail, ireal* k) noexcept nogil:
    """p with e^(x + tail) = 2^k p, about 1, for |x| < 1000 (float32: 200) and such a tail: for a product with e^x that must
    not lose digits where e^x is subnormal."""
    cdef real lost
    return R(1) + expm1_near_0(reduce_by_ln2(x, k, &lost) + tail)


cdef inline real expm1_of_negative(real x) noexcept nogil:
    """e^x - 1 for x <= 0, and some number for x > 0."""
    cdef ireal k
    cdef real low = R(-20.0) if sizeof(real) == 4 else R(-40.0), lost, s, t
    x = low if x < low else x
    t = R(0) if x > R(0) else x
    t = expm1_near_0(reduce_by_ln2(t, &k, &lost))
    s = power_of_2(k)
    return choose(x == R(0), x, fmadd(t, s, s - R(1)))       # keeps -0


cdef inline real tanh_(real x) noexcept nogil:
    cdef ireal k
    cdef real y = absolute(x), high = R(20.0) if sizeof(real) == 4 else R(40.0), t, s, lost
    y = y + y
    y = high if y > high else y
    t = expm1_near_0(reduce_by_ln2(y, &k, &lost))
    s = power_of_2(k)
    t = fmadd(t, s, s - R(1))                     # expm1(2|x|)
    t = t/(t + R(2))
    return from_bits(bits(t) | (bits(x) & ~ABS_MASK))


cdef inline real sigmoid_(real x) noexcept nogil:
    cdef real e = exp_of_negative(-absolute(x))
    return choose(x < R(0), e, R(1))/(R(1) + e)


cdef inline real mills_ratio(real y) noexcept nogil:
    """Phi(-y) e^(y^2/2) for 0 <= y <= 40 (float32: 16), where Phi is the distribution function of the normal distribution:
    smooth and slowly falling, so that Phi(-y) keeps its relative accuracy however small.  (1 + y) times it, which hardly
    varies, is an own minimax polynomial of t = (y - c)/(y + c)."""
    cdef real c = R(4) if sizeof(real) == 4 else R(6), t = (y - c)/(y + c), p
    if sizeof(real) == 4:
        p = R(-7.2553652e-05)
        p = fmadd(p, t, R(-6.30343202e-05))
        p = fmadd(p, t, R(0.000691303285))
        p = fmadd(p, t, R(-0.0003028763749))
        p = fmadd(p, t, R(-0.00500327582))
        p = fmadd(p, t, R(0.0179402381182))
        p = fmadd(p, t, R(-0.03219747543))
        p = fmadd(p, t, R(0.02859995328))
        p = fmadd(p, t, R(0.013999607414))
        p = fmadd(p, t, R(-0.0967034623))
        p = fmadd(p, t, R(0.4720532))
    else:
        p = R(1.5084997887613674e-09)
        p = fmadd(p, t, R(2.7616497873361918e-09))
        p = fmadd(p, t, R(-1.5642784248565336e-08))
        p = fmadd(p, t, R(-1.9575323698787473e-08))
        p = fmadd(p, t, R(1.3264279751061318e-07))
        p = fmadd(p, t, R(-8.925447665711661e-10))
        p = fmadd(p, t, R(-1.000017128424156e-06))
        p = fmadd(p, t, R(1.784057505854507e-06))
        p = fmadd(p, t, R(4.412717675942203e-06))
        p = fmadd(p, t, R(-2.6353462110606227e-05))
        p = fmadd(p, t, R(3.779476928001862e-05))
        p = fmadd(p, t, R(0.00011948966323930638))
        p = fmadd(p, t, R(-0.0008689946315227075))
        p = fmadd(p, t, R(0.002935655518706695))
        p = fmadd(p, t, R(-0.007059819426394078))
        p = fmadd(p, t, R(0.013246864153699292))
        p = fmadd(p, t, R(-0.01976647921949113))
        p = fmadd(p, t, R(0.022592467062814696))
        p = fmadd(p, t, R(-0.01614151733221941))
        p = fmadd(p, t, R(-0.004373386779594425))
        p = fmadd(p, t, R(0.03981142456243022))
        p = fmadd(p, t, R(-0.08502536230577071))
        p = fmadd(p, t, R(0.45345520027112796))
    return p/(R(1) + y)


cdef inline real tanh_shrink_near_0(real w) noexcept nogil:
    """(y - tanh(y))/y^3 for y^2 = w <= 1: an own minimax polynomial."""
    cdef real p
    if sizeof(real) == 4:
        p = R(-0.000142823933857)
        p = fmadd(p, w, R(0.00092360918643))
        p = fmadd(p, w, R(-0.00320695363916))
        p = fmadd(p, w, R(0.00869795121253))
        p = fmadd(p, w, R(-0.0218295846134))
        p = fmadd(p, w, R(0.0539634227753))
        p = fmadd(p, w, R(-0.133333101869))
        return fmadd(p, w, R(0.333333343267))
    p = R(8.540000704058055e-09)
    p = fmadd(p, w, R(-9.365620009647933e-08))
    p = fmadd(p, w, R(5.123303671256177e-07))
    p = fmadd(p, w, R(-1.9218143651936037e-06))
    p = fmadd(p, w, R(5.777654441628333e-06))
    p = fmadd(p, w, R(-1.5416452019486524e-05))
    p = fmadd(p, w, R(3.8991871173576284e-05))
    p = fmadd(p, w, R(-9.67910927048607e-05))
    p = fmadd(p, w, R(0.00023908846508934669))
    p = fmadd(p, w, R(-0.0005900175767987523))
    p = fmadd(p, w, R(0.0014558326533984118))
    p = fmadd(p, w, R(-0.0035921278236704956))
    p = fmadd(p, w, R(0.008863235512589444))
    p = fmadd(p, w, R(-0.02186948853529803))
    p = fmadd(p, w, R(0.05396825396823156))
    p = fmadd(p, w, R(-0.1333333333333331))
    return fmadd(p, w, R(0.3333333333333333))


cdef inline real log_cubic(real f, real h) noexcept nogil:
    """log(1 + f) - f + h for sqrt(1/2) - 1 <= f < sqrt(2) - 1, where h = f^2/2: of the size of f^3/3."""
    cdef real y, s, z
    if sizeof(real) == 4:
        y = R(0.069715848122)
        y = fmadd(y, f, R(-0.114800683732))
        y = fmadd(y, f, R(0.116855802868))
        y = fmadd(y, f, R(-0.124256546326))
        y = fmadd(y, f, R(0.142490396113))
        y = fmadd(y, f, R(-0.166678030628))
        y = fmadd(y, f, R(0.20000716247))
        y = fmadd(y, f, R(-0.249999969553))
        y = fmadd(y, f, R(0.333333311781))
        return y*f*f*f
    s = f/(R(2) + f)
    z = s*s
    y = R(0.1461780715341732496)
    y = fmadd(y, z, R(0.1533161172205500789))
    y = fmadd(y, z, R(0.181828924325368712))
    y = fmadd(y, z, R(0.2222221108937949621))
    y = fmadd(y, z, R(0.2857142862625383761))
    y = fmadd(y, z, R(0.3999999999989889051))
    y = fmadd(y, z, R(0.6666666666666669708))
    return s*fmadd(y, z, h)


cdef inline real log_of_1_plus(real f, real n, real c) noexcept nogil:
    """n ln(2) + log(1 + f) + c for such an f, and a tiny c."""
    cdef real h = R(0.5)*f*f, y = log_cubic(f, h) + fmadd(n, ln2_low(), c)
    if sizeof(real) == 4:
        return fmadd(n, ln2_high(), f + (y - h))
    return fmadd(n, ln2_high(), f - (h - y))


cdef inline real log_of_1_plus_pair(real f, real n, real c, real* tail) noexcept nogil:
    """The same and its tail, together to a twentieth of a rounding."""
    cdef real h = R(0.5)*f*f, n_ln2 = n*ln2_high(), s = n_ln2 + f, t = s - h, v, low   # |n ln2| > |f| > h, where not 0
    low = ((n_ln2 - s) + f) + (((s - t) - h) - product_tail(R(0.5)*f, f, h))
    low += log_cubic(f, h) + fmadd(n, ln2_low(), c)
    v = t + low
    tail[0] = (t - v) + low
    return v


cdef inline real exponent(ireal k) noexcept nogil:
    """<real>(k >> MANTISSA_BITS) for |k >> MANTISSA_BITS| < 2^11; AVX2 has no int64 -> double nor a 64-bit arithmetic shift."""
    return from_bits(shift_out_mantissa(k + EXPONENT_BIAS_BITS) | bits(R(TWO_TO_MANTISSA))) - R(TWO_TO_MANTISSA + EXPONENT_BIAS)


cdef inline real normal_mantissa_less_1(real x, real* n) noexcept nogil:
    """f with x = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), for x > 0 neither subnormal nor infinite."""
    cdef ireal k = bits(x) - SQRT_HALF_BITS
    n[0] = exponent(k)
    return from_bits((k & MANTISSA_MASK) + SQRT_HALF_BITS) - R(1)


cdef inline real mantissa_less_1(real x, real* n) noexcept nogil:
    """The same, also for subnormal x."""
    cdef real smallest_normal = R(1.17549435e-38) if sizeof(real) == 4 else R(2.2250738585072014e-308), m, f
    cdef real y = x*(R(16777216.0) if sizeof(real) == 4 else R(18014398509481984.0))
    cdef bint is_subnormal = x < smallest_normal
    f = normal_mantissa_less_1(choose(is_subnormal, y, x), &m)
    n[0] = choose(is_subnormal, m - (R(24) if sizeof(real) == 4 else R(54)), m)
    return f


cdef inline real log_at_the_ends(real x, real r) noexcept nogil:
    """r, or what log gives where x is 0, negative, infinite or NaN."""
    r = choose(x < REAL_INFINITY, r, x)
    r = choose(x == R(0), -REAL_INFINITY, r)
    return choose(x < R(0), REAL_NAN, r)


cdef inline real log_plus(real x, real c) noexcept nogil:
    """log(x) + c for a tiny c: log(x + tail) for c = tail/x."""
    cdef real n, f = mantissa_less_1(x, &n)
    return log_at_the_ends(x, log_of_1_plus(f, n, c))


cdef inline real log_(real x) noexcept nogil:
    return log_plus(x, R(0))


cdef inline real log1p_of_sum(real x, real tail) noexcept nogil:
    """log(1 + x + tail) for a tail within a few roundings of x."""
    cdef real u = R(1) + x, c, d, r, n, f = normal_mantissa_less_1(u, &n)
    c = x - (u - R(1))                            # what rounding 1 + x lost
    d = R(1) - (u - x)
    c = c if u < R(2) else d
    r = log_of_1_plus(f, n, (c + tail)/u)
    r = r if x < REAL_INFINITY else x
    r = -REAL_INFINITY if x == R(-1) else r
    r = x if x == R(0) else r                     # keeps -0
    return REAL_NAN if x < R(-1) else r


cdef inline real log1p_(real x) noexcept nogil:
    return log1p_of_sum(x, R(0))


cdef inline real log1p_of_fraction(real x) noexcept nogil:
    """log(1 + x) for 0 <= x <= 1: cheaper than log1p_, as 1 + x needs no rounding nor looking into its bits."""
    cdef bint above = x > R(0.41421356)
    return log_of_1_plus(choose(above, R(0.5)*(x - R(1)), x), choose(above, R(1), R(0)), R(0))


cdef inline real power_of_pair(real x, real x_tail, real gamma, real* tail) noexcept nogil:
    """(x + x_tail)^gamma and its tail, for x >= 0: exp(gamma log x), with the logarithm and the product in pairs."""
    cdef real n, f = mantissa_less_1(x, &n), low, log_x = log_of_1_plus_pair(f, n, x_tail/x, &low), y = gamma*log_x, r
    r = exp_pair(y, product_tail(gamma, log_x, y) + gamma*low, &low)
    r = choose(x < REAL_INFINITY, r, choose(gamma > R(0), x, R(1)/x))
    r = choose(x == R(0), choose(gamma > R(0), R(0), REAL_INFINITY), r)
    r = choose(x < R(0), REAL_NAN, r)
    tail[0] = choose((x > R(0)) & (x < REAL_INFINITY) & (gamma != R(0)), low, R(0))
    return choose(gamma == R(0), R(1), r)
