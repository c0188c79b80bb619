# exp, log, log1p, tanh and sigmoid of one element: branch-free, so that the compiler vectorises the loops round them.
# Constants are those of the classical minimax polynomials (Cephes for float32, fdlibm for float64); the largest errors
# over the whole domain are in tests/kernels.  Subnormal, infinite and NaN arguments give what IEEE arithmetic gives.

cdef inline real expm1_near_0(real r) noexcept nogil:
    """e^r - 1 for |r| <= ln(2)/2."""
    cdef real p
    if sizeof(real) == 4:
        p = R(0.001392621346633244304)
        p = fmadd(p, r, R(0.008363202971575854947))
        p = fmadd(p, r, R(0.0416665544376859389))
        p = fmadd(p, r, R(0.1666657684599397631))
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
    p = fmadd(p, r, R(0.5))
    return fmadd(r*r, p, r)


cdef inline real round_shift() noexcept nogil:
    """1.5 * 2^MANTISSA_BITS: adding it rounds to an integer, which then stands in the low bits."""
    return R(12582912.0) if sizeof(real) == 4 else R(6755399441055744.0)


cdef inline real reduce_by_ln2(real x, ireal* k) noexcept nogil:
    """r with x = k ln(2) + r, |r| <= ln(2)/2 (Cody and Waite: ln(2) in two parts)."""
    cdef real n = fmadd(x, R(1.4426950408889634074), round_shift())
    k[0] = bits(n) - bits(round_shift())
    n = n - round_shift()
    if sizeof(real) == 4:
        return fmadd(n, -R(1.4286068203094172e-6), fmadd(n, -R(0.693145751953125), x))
    return fmadd(n, -R(2.8235290563031577123e-13), fmadd(n, -R(0.69314718055966295651), x))


cdef inline real absolute(real x) noexcept nogil:
    return from_bits(bits(x) & ABS_MASK)


cdef inline real exp_(real x) noexcept nogil:
    cdef ireal k, half
    cdef real p, low = R(-104.0) if sizeof(real) == 4 else R(-746.0), high = R(89.0) if sizeof(real) == 4 else R(710.0)
    x = high if x > high else x                   # NaN passes both
    x = low if x < low else x
    p = R(1) + expm1_near_0(reduce_by_ln2(x, &k))
    half = k >> 1
    return p*power_of_2(half)*power_of_2(k - half)     # in two steps, so that subnormal results are right


cdef inline real tanh_(real x) noexcept nogil:
    cdef ireal k
    cdef real y = absolute(x), high = R(20.0) if sizeof(real) == 4 else R(40.0), t, s
    y = y + y
    y = high if y > high else y
    t = expm1_near_0(reduce_by_ln2(y, &k))
    s = power_of_2(k)
    t = fmadd(t, s, s - R(1))                     # expm1(2|x|)
    t = t/(t + R(2))
    return from_bits(bits(t) | (bits(x) & ~ABS_MASK))


cdef inline real sigmoid_(real x) noexcept nogil:
    cdef real e = exp_(-absolute(x)), s = R(1)/(R(1) + e)
    return e*s if x < R(0) else s


cdef inline real log_of_1_plus(real f, real n, real c) noexcept nogil:
    """n ln(2) + log(1 + f) + c for sqrt(1/2) - 1 <= f < sqrt(2) - 1 and a tiny c."""
    cdef real y, h, s, z
    h = R(0.5)*f*f
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
        y = y*f*f*f
        y = y + fmadd(n, R(1.4286068203094172e-6), c) - h
        return fmadd(n, R(0.693145751953125), f + y)
    s = f/(R(2) + f)
    z = s*s
    y = R(0.1461780715341732496)
    y = fmadd(y, z, R(0.1533161172205500789))
    y = fmadd(y, z, R(0.181828924325368712))
    y = fmadd(y, z, R(0.2222221108937949621))
    y = fmadd(y, z, R(0.2857142862625383761))
    y = fmadd(y, z, R(0.3999999999989889051))
    y = fmadd(y, z, R(0.6666666666666669708))
    y = y*z
    return fmadd(n, R(0.69314718055966295651), f - (h - fmadd(s, h + y, fmadd(n, R(2.8235290563031577123e-13), c))))


cdef inline real exponent(ireal k) noexcept nogil:
    """<real>(k >> MANTISSA_BITS) for |k >> MANTISSA_BITS| < 2^11; AVX2 has no int64 -> double nor a 64-bit arithmetic shift."""
    return from_bits(shift_out_mantissa(k + EXPONENT_BIAS_BITS) | bits(R(TWO_TO_MANTISSA))) - R(TWO_TO_MANTISSA + EXPONENT_BIAS)


cdef inline real log_(real x) noexcept nogil:
    cdef real smallest_normal = R(1.17549435e-38) if sizeof(real) == 4 else R(2.2250738585072014e-308), r, n
    cdef real y = x*(R(16777216.0) if sizeof(real) == 4 else R(18014398509481984.0))
    cdef bint is_subnormal = x < smallest_normal
    cdef ireal k
    y = y if is_subnormal else x
    k = bits(y) - SQRT_HALF_BITS
    n = exponent(k)
    r = n - (R(24) if sizeof(real) == 4 else R(54))
    n = r if is_subnormal else n
    r = log_of_1_plus(from_bits((k & MANTISSA_MASK) + SQRT_HALF_BITS) - R(1), n, R(0))
    r = r if x < REAL_INFINITY else x             # inf, NaN
    r = -REAL_INFINITY if x == R(0) else r
    return REAL_NAN if x < R(0) else r


cdef inline real log1p_(real x) noexcept nogil:
    cdef real u = R(1) + x, c, d, r, n
    cdef ireal k = bits(u) - SQRT_HALF_BITS
    n = exponent(k)
    c = x - (u - R(1))                            # what rounding 1 + x lost
    d = R(1) - (u - x)
    c = c if u < R(2) else d
    r = log_of_1_plus(from_bits((k & MANTISSA_MASK) + SQRT_HALF_BITS) - R(1), n, c/u)
    r = r if x < REAL_INFINITY else x
    r = -REAL_INFINITY if x == R(-1) else r
    r = x if x == R(0) else r                     # keeps -0
    return REAL_NAN if x < R(-1) else r
