# Losses of one prediction p (a logit z) and its target y.  Each is one formula for value and derivative, branch-free; the
# loops round them are shared.  Where a formula of the textbook cancels, the one here is rearranged, not changed: errors stay
# within 4 units in the last place, of the larger term where terms of opposite sign meet (soft labels at their optimum).
# A NaN in y or p reaches the value.

ctypedef void (*formula)(const Loss*, real, real, real*, real*) noexcept nogil


cdef inline real epsilon() noexcept nogil:
    return R(1e-7)


cdef inline real sign_of(real x) noexcept nogil:
    """-1, 1, or x itself where that is 0 or NaN."""
    cdef real s = choose(x > R(0), R(1), x)
    return choose(x < R(0), R(-1), s)


cdef inline real outside(real x, real low, real high, real otherwise) noexcept nogil:
    """0 where a clip to [low, high] acts on x."""
    otherwise = choose(x < low, R(0), otherwise)
    return choose(x > high, R(0), otherwise)


cdef inline real difference(real p, real y, real* unit) noexcept nogil:
    """(p - y)/unit, where unit is 4 if p - y might overflow, and otherwise 1."""
    cdef real limit = R(8e37) if sizeof(real) == 4 else R(4e307), s
    s = choose((absolute(p) > limit) | (absolute(y) > limit), R(0.25), R(1))
    unit[0] = choose(s < R(1), R(4), R(1))
    return s*p - s*y


# ---- regression ---------------------------------------------------------------------------------------------------------

cdef inline void squared_error(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    cdef real e = p - y
    value[0] = e*e
    gradient[0] = R(2)*e


cdef inline void absolute_error(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    cdef real e = p - y
    value[0] = absolute(e)
    gradient[0] = sign_of(e)


cdef inline void percentage_error(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """100 |p - y|/max(|y|, epsilon)."""
    cdef real unit, e = difference(p, y, &unit), size = absolute(y), w
    size = choose(size < epsilon(), epsilon(), size)
    w = R(100)/size
    value[0] = w*absolute(e)*unit
    gradient[0] = w*sign_of(e)


cdef inline void squared_logarithmic_error(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """d^2, d = log(1 + p') - log(1 + y') of p' and y' not below epsilon: |d| = log1p(x), x = |p' - y'|/(1 + min(p', y'))."""
    cdef real low = epsilon(), py = choose(p < low, low, p), yy = choose(y < low, low, y)
    cdef bint above = yy < py
    cdef real big = choose(above, py, yy), m = choose(above, yy, py), a = big - m, s = R(1) + m, inverse = R(1)/s, x = a*inverse
    cdef real u = R(1) + x, n, f = normal_mantissa_less_1(u, &n), rest, d
    rest = fmadd(-x, finite_sum_tail(R(1), m, s), ((big - a) - m) - product_tail(x, s, a))  # a - x s, without their roundings
    rest = choose(absolute(rest) < a, rest, R(0))  # s too large for product_tail
    d = quick_log(f, n, fmadd(rest, inverse, finite_sum_tail(R(1), x, u))/u)
    d = choose(x < REAL_INFINITY, d, x)
    value[0] = d*d
    d = d/(R(1) + py)
    gradient[0] = choose(p < low, R(0), R(2)*choose(above, d, -d))


cdef inline void huber(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """c (e - c/2), for c the error e clipped to [-delta, delta]: both of the branches."""
    cdef real unit, e = difference(p, y, &unit), c
    c = clip(e, -o.delta/unit, o.delta/unit)
    value[0] = unit*(unit*c*fmadd(R(-0.5), c, e))
    gradient[0] = unit*c


cdef inline void log_cosh(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """A polynomial near 0, where a - ln(2) + log1p(e^-2a) would cancel; the derivative is tanh, of the same exponential."""
    cdef real e = p - y, a = absolute(e), x = a*a, most = R(20) if sizeof(real) == 4 else R(40), b = choose(a > most, most, a)
    cdef real ln2 = R(0.69314718055994530942), s = a - ln2, lost, t, power, near, far
    cdef ireal k
    if sizeof(real) == 4:
        near = R(0.00012371335616103337)
        near = fmadd(near, x, R(-0.00063869446686871134))
        near = fmadd(near, x, R(0.0021465523793217005))
        near = fmadd(near, x, R(-0.0067373543757370915))
        near = fmadd(near, x, R(0.022221318303602636))
        near = fmadd(near, x, R(-0.083333297603625767))
        near = fmadd(near, x, R(0.49999999976720576))
    else:
        near = R(-4.8748114980166761e-8)
        near = fmadd(near, x, R(3.489810926321239707e-7))
        near = fmadd(near, x, R(-1.3742009815295143193e-6))
        near = fmadd(near, x, R(4.2221616153861500531e-6))
        near = fmadd(near, x, R(-0.000011865620790204356973))
        near = fmadd(near, x, R(0.000032747045005393368963))
        near = fmadd(near, x, R(-0.000090981479885692388091))
        near = fmadd(near, x, R(0.00025657912046466607724))
        near = fmadd(near, x, R(-0.00073860278426195832989))
        near = fmadd(near, x, R(0.0021869488396617268447))
        near = fmadd(near, x, R(-0.0067460317453689290826))
        near = fmadd(near, x, R(0.022222222222205746269))
        near = fmadd(near, x, R(-0.08333333333333317161))
        near = fmadd(near, x, R(0.49999999999999999974))
    t = expm1_near_0(reduce_by_ln2(R(-2)*b, &k, &lost))
    power = power_of_2(k)
    far = log_near_1(fmadd(t, power, power), choose(a > most, R(0), (a - s) - ln2))
    value[0] = choose(a < R(0.8), x*near, s + far)
    t = fmadd(t, power, power - R(1))             # e^-2a - 1
    t = t/(R(2) + t)
    gradient[0] = from_bits((bits(t) & ABS_MASK) | (bits(e) & ~ABS_MASK))


cdef inline void quantile_error(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """q (y - p) above the prediction, (1 - q)(p - y) below it."""
    cdef real unit, e = difference(p, y, &unit), slope
    slope = choose(e > R(0), o.under, o.over)
    value[0] = slope*absolute(e)*unit
    gradient[0] = slope*sign_of(e)


cdef inline void poisson(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """p - y log(p + epsilon); the derivative 1 - y/(p + epsilon) without the cancellation at p = y."""
    cdef real s = p + epsilon(), tail = finite_sum_tail(p, epsilon(), s), n, f = normal_mantissa_less_1(s, &n), log_s, edge
    f = choose(n == R(0), f + tail, f)            # it counts where the logarithm is near 0
    edge = choose(y == R(0), R(0), -REAL_INFINITY)
    edge = choose(s == R(0), edge, REAL_NAN)
    log_s = choose(s > R(0), quick_log(f, n, R(0)), edge)
    value[0] = fmadd(-y, log_s, p)
    gradient[0] = choose(p == REAL_INFINITY, fmadd(R(0), -y, R(1)), ((s - y) + tail)/s)


cdef inline void gamma_deviance(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """y/p + log(p), and (p - y)/p^2."""
    cdef real most = R(3.4028234664e38) if sizeof(real) == 4 else R(1.7976931348623157e308), finite = most if p > most else p
    cdef real n, f = mantissa_less_1(p, &n), end = choose(p < R(0), REAL_NAN, p - finite)  # of the logarithm: 0, infinite or NaN
    value[0] = y/p + quick_log(f, n, end)         # at p = 0 the logarithm stays finite, and their sum is the limit
    gradient[0] = (finite - y)/finite/p


cdef inline void kl_divergence(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """y' log(y'/p') of y' and p' clipped to [epsilon, 1]."""
    cdef real low = epsilon(), yy = clip(y, low, R(1)), q = clip(p, low, R(1)), ratio = yy/q, n, f = normal_mantissa_less_1(ratio, &n)
    f = choose(n == R(0), (yy - q)/q, f)          # what rounding the ratio lost counts where its logarithm is near 0
    value[0] = yy*quick_log(f, n, ratio - ratio)  # 0, or NaN
    gradient[0] = outside(p, low, R(1), -ratio)


# ---- two classes, labels 0 and 1 ------------------------------------------------------------------------------------------
# Smoothing turns y into y keep + shift, and no = 1 - y, by itself, into no keep + shift: 1 - y afterwards would cancel.

cdef inline real crossentropy_of_clipped(real y, real no, real q) noexcept nogil:
    """-(y log q + no log(1 - q)) for q in [eps, 1 - eps]."""
    cdef real d = R(1) - q, tail = (R(1) - d) - q, n, f = normal_mantissa_less_1(q, &n), log_q = quick_log(f, n, R(0))
    f = normal_mantissa_less_1(d, &n)
    return -(y*log_q + no*quick_log(f, n, tail/d))


cdef inline void binary_crossentropy(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """-(y log p + no log(1-p)) for p clipped to [eps, 1-eps]; the gradient is 0 where the clip acts."""
    cdef real low = epsilon(), high = R(1) - epsilon(), q = clip(p, low, high), no = fmadd(R(1) - y, o.keep, o.shift)
    y = fmadd(y, o.keep, o.shift)
    value[0] = crossentropy_of_clipped(y, no, q)
    gradient[0] = outside(p, low, high, (q - y)/(q*(R(1) - q)))


cdef inline void binary_crossentropy_from_logits(const Loss* o, real y, real z, real* value, real* gradient) noexcept nogil:
    """With a = |z|, e = e^-a, and `major` the label that z speaks against: major a + log(1 + e), and its derivative in a,
    (major - minor e)/(1 + e).  Nothing cancels where y is 0 or 1."""
    cdef real a = absolute(z), e = exp_of_negative(-a), no = fmadd(R(1) - y, o.keep, o.shift), major, minor, g
    y = fmadd(y, o.keep, o.shift)
    major = choose(z < R(0), y, no)
    minor = choose(z < R(0), no, y)
    a = choose(major == R(0), R(0), major*a)      # 0 times an infinite logit
    value[0] = a + quick_log1p_of_fraction(e, R(0))
    g = fmadd(-minor, e, major)/(R(1) + e)
    gradient[0] = choose(z < R(0), -g, g)


cdef inline real class_weight(const Loss* o, real y, real no, real no_low, real* tail) noexcept nogil:
    """y alpha + no (1 - alpha) and its tail, or 1."""
    cdef real yes = y*o.alpha, other = no*o.alpha_no, w = yes + other
    w = choose(o.balanced, w, R(1))
    tail[0] = finite_sum_tail(yes, other, w) + (product_tail(y, o.alpha, yes) + product_tail(no, o.alpha_no, other) + no_low*o.alpha_no)
    tail[0] = choose(o.balanced, tail[0], R(0))
    return w


cdef inline void focal(const bint usual, const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """w m^gamma b, for the binary cross-entropy b and the probability m = y (1-p) + no p of the wrong class.  `usual` says that
    gamma is 2 and w is 1."""
    cdef real least = epsilon(), most = R(1) - epsilon(), q = clip(p, least, most), no = fmadd(R(1) - y, o.keep, o.shift), low
    cdef real r = clip(p, R(0), R(1)), d = R(1) - r, b, m, t, rate, factor, w
    cdef bint focused = o.gamma >= R(1)
    y = fmadd(y, o.keep, o.shift)
    b = crossentropy_of_clipped(y, no, q)
    m = fmadd(y, d, no*r)
    if usual:
        w = R(1)
        factor = m*m
        rate = R(2)*(no - y)*(m*b)
    else:
        w = class_weight(o, y, no, R(0), &low)
        t = power_of_pair(m, y*((R(1) - d) - r), choose(focused, o.gamma - R(1), o.gamma), &low)
        factor = choose(focused, m*t, t)  # m^(gamma-1) overflows where m^gamma does not, and the other underflows
        rate = choose(focused, t*b, (t*b)/m)
        rate = choose((m == R(0)) & (1 - focused), REAL_INFINITY, rate)
        rate = choose(o.gamma == R(0), R(0), o.gamma*(no - y)*rate)
    value[0] = w*(factor*b)
    gradient[0] = outside(p, R(0), R(1), w*(rate + factor*outside(p, least, most, (q - y)/(q*(R(1) - q)))))


cdef inline void binary_focal(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    focal(False, o, y, p, value, gradient)


cdef inline void usual_binary_focal(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    focal(True, o, y, p, value, gradient)


cdef inline real power_of_wrong(const Loss* o, real a, real major, real minor, real x, real x_low, real t, real t_low, real s,
                                real* tail) noexcept nogil:
    """((x + x_low)/(t + t_low))^gamma for x = major + minor e^-a, t = 1/s, and its tail: by the logarithm, in pairs."""
    cdef real n, f = normal_mantissa_less_1(t, &n), l, l_low, lx, lx_low, d, exact, inexact, log_m, rest, factor
    l = log_of_1_plus_pair(f, n, t_low*s, &l_low)
    x_low = choose(major == R(0), R(0), x_low)    # there e may have underflowed: log(x e) is log(x) - a
    x = choose(major == R(0), minor, x)
    f = mantissa_less_1(x, &n)
    lx = log_of_1_plus_pair(f, n, x_low/x, &lx_low)
    exact = choose(major == R(0), -a*o.gamma, R(0))  # gamma log(m) in three parts
    rest = choose(exact < R(0), product_tail(-a, o.gamma, exact), R(0))
    d = lx - l
    inexact = o.gamma*d
    log_m = exact + inexact
    rest = rest + (finite_sum_tail(exact, inexact, log_m) + product_tail(o.gamma, d, inexact))
    rest = rest + o.gamma*(finite_sum_tail(lx, -l, d) + (lx_low - l_low))
    factor = exp_pair(log_m, choose(absolute(rest) < R(1), rest, R(0)), tail)
    tail[0] = choose(o.gamma == R(0), R(0), tail[0])
    return choose(o.gamma == R(0), R(1), factor)


cdef inline void focal_of_logits(const bint usual, const Loss* o, real y, real z, real* value, real* gradient) noexcept nogil:
    """The same of p = sigmoid(z), without a clip.  With a = |z|, e = e^-a, s = 1/(1 + e), and `major` the label that z
    speaks against, m = s (major + minor e) = s x and b = major a + log(1 + e); the derivative in a is
    m^gamma s (gamma (major - minor) b e/x + major - minor e).  What is raised to a power is in pairs."""
    cdef real a = absolute(z), e_low, e = exp_pair(-a, R(0), &e_low), t = R(1) + e, t_low = ((R(1) - t) + e) + e_low, s = R(1)/t
    cdef real no = R(1) - y, no_low = o.keep*((R(1) - no) - y), major, minor, h, x, x_low, b, g, w, w_low, factor, f_low, f
    no = fmadd(no, o.keep, o.shift)
    y = fmadd(y, o.keep, o.shift)
    major = choose(z < R(0), y, no)
    minor = choose(z < R(0), no, y)
    h = minor*e
    x = major + h
    x_low = finite_sum_tail(major, h, x) + (product_tail(minor, e, h) + fmadd(minor, e_low, no_low*choose(z < R(0), e, R(1))))
    s = s - s*(s*t_low)
    b = fmadd(major, choose(major == R(0), R(0), a), quick_log1p_of_fraction(e, e_low*s))  # 0 times an infinite logit is 0
    g = choose(major == R(0), R(1), e)/choose(major == R(0), minor, x)         # e may have underflowed
    g = fmadd(o.gamma*(major - minor)*g, b, fmadd(-minor, e, major))
    g = choose(z < R(0), -g, g)
    if usual:
        x_low = fmadd(s, x_low, x*(s*-fmadd(s, t_low, product_tail(s, t, R(1)))))
        factor = s*x
        x_low = x_low + product_tail(s, x, factor)
        x = factor
        factor = x*x
        f_low = fmadd(R(2)*x, x_low, product_tail(x, x, factor))
    else:
        f = power_of_wrong(o, a, major, minor, x, x_low, t, t_low, s, &f_low)
        w = class_weight(o, y, no, no_low, &w_low)
        factor = f*w
        f_low = fmadd(f, w_low, fmadd(f_low, w, product_tail(f, w, factor)))
    value[0] = fmadd(factor, b, f_low*b)
    f = factor*s
    gradient[0] = fmadd(f, g, fmadd(f_low, s, product_tail(factor, s, f))*g)


cdef inline void binary_focal_from_logits(const Loss* o, real y, real z, real* value, real* gradient) noexcept nogil:
    focal_of_logits(False, o, y, z, value, gradient)


cdef inline void usual_binary_focal_from_logits(const Loss* o, real y, real z, real* value, real* gradient) noexcept nogil:
    focal_of_logits(True, o, y, z, value, gradient)


# ---- margins, labels -1 and 1 ----------------------------------------------------------------------------------------------

cdef inline void hinge(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    cdef real t, v
    y = fmadd(y, o.label_scale, o.label_shift)
    t = fmadd(-y, p, R(1))
    v = choose(t < R(0), R(0), t)
    value[0] = v
    gradient[0] = choose(v > R(0), -y, v)


cdef inline void squared_hinge(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    cdef real t, v
    y = fmadd(y, o.label_scale, o.label_shift)
    t = fmadd(-y, p, R(1))
    v = choose(t < R(0), R(0), t)
    value[0] = v*v
    gradient[0] = R(-2)*y*v


# ---- the loops ------------------------------------------------------------------------------------------------------------

cdef inline void each(formula of, const Loss* loss, ix n, const real* y, const real* p, real scale, real* value,
                      real* gradient) noexcept nogil:
    """value[i] = L(y[i], p[i]), gradient[i] = scale dL/dp[i]."""
    cdef ix i
    cdef real v, g
    cdef Loss o = loss[0]                         # a copy: what is written cannot change it
    for i in range(n):
        of(&o, y[i], p[i], &v, &g)
        value[i] = v
        gradient[i] = scale*g


cdef inline bint is_usual(const Loss* o) noexcept nogil:
    """What `usual` says of the focal losses, which then need no logarithm of m: the defaults."""
    return o.gamma == R(2) and not o.balanced


cdef void elementwise(const Loss* o, ix n, const real* y, const real* p, real c, real* value, real* gradient) noexcept nogil:
    """The loop of the loss; `each` is inlined into every branch, with its formula."""
    if o.kind == MEAN_SQUARED_ERROR: each(squared_error, o, n, y, p, c, value, gradient)
    elif o.kind == MEAN_ABSOLUTE_ERROR: each(absolute_error, o, n, y, p, c, value, gradient)
    elif o.kind == MEAN_ABSOLUTE_PERCENTAGE_ERROR: each(percentage_error, o, n, y, p, c, value, gradient)
    elif o.kind == MEAN_SQUARED_LOGARITHMIC_ERROR: each(squared_logarithmic_error, o, n, y, p, c, value, gradient)
    elif o.kind == HUBER: each(huber, o, n, y, p, c, value, gradient)
    elif o.kind == LOG_COSH: each(log_cosh, o, n, y, p, c, value, gradient)
    elif o.kind == QUANTILE: each(quantile_error, o, n, y, p, c, value, gradient)
    elif o.kind == POISSON: each(poisson, o, n, y, p, c, value, gradient)
    elif o.kind == GAMMA: each(gamma_deviance, o, n, y, p, c, value, gradient)
    elif o.kind == KL_DIVERGENCE: each(kl_divergence, o, n, y, p, c, value, gradient)
    elif o.kind == BINARY_CROSSENTROPY: each(binary_crossentropy, o, n, y, p, c, value, gradient)
    elif o.kind == BINARY_CROSSENTROPY_FROM_LOGITS: each(binary_crossentropy_from_logits, o, n, y, p, c, value, gradient)
    elif o.kind == BINARY_FOCAL and is_usual(o): each(usual_binary_focal, o, n, y, p, c, value, gradient)
    elif o.kind == BINARY_FOCAL_FROM_LOGITS and is_usual(o): each(usual_binary_focal_from_logits, o, n, y, p, c, value, gradient)
    elif o.kind == BINARY_FOCAL: each(binary_focal, o, n, y, p, c, value, gradient)
    elif o.kind == BINARY_FOCAL_FROM_LOGITS: each(binary_focal_from_logits, o, n, y, p, c, value, gradient)
    elif o.kind == HINGE: each(hinge, o, n, y, p, c, value, gradient)
    elif o.kind == SQUARED_HINGE: each(squared_hinge, o, n, y, p, c, value, gradient)


cdef inline void each_gradient(formula of, const Loss* loss, ix n, const real* y, const real* p, real scale,
                               real* gradient) noexcept nogil:
    cdef ix i
    cdef real v, g
    for i in range(n):
        of(loss, y[i], p[i], &v, &g)
        gradient[i] = scale*g


cdef inline bint has_gradient_alone(const Loss* o) noexcept nogil:
    return o.kind == MEAN_SQUARED_ERROR or o.kind == BINARY_CROSSENTROPY_FROM_LOGITS


cdef inline void gradient_alone(const Loss* o, ix n, const real* y, const real* p, real c, real* gradient) noexcept nogil:
    """What elementwise() makes of the gradient, for steps so small that the value, a logarithm, takes a fifth of one."""
    if o.kind == MEAN_SQUARED_ERROR: each_gradient(squared_error, o, n, y, p, c, gradient)
    else: each_gradient(binary_crossentropy_from_logits, o, n, y, p, c, gradient)


cdef inline double row_divisor(const Loss* loss, ix K) noexcept nogil:
    """A sample's loss is the mean of its outputs', and of a divergence their sum."""
    return 1 if loss.kind == KL_DIVERGENCE else <double>K


cdef void elementwise_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, ix ld, double scale,
                           double* per_sample, real* gradient) noexcept nogil:
    """Whole rows at once, padding included, where they are short."""
    cdef real value[SEGMENT]
    cdef ix r = 0, i, n, k
    cdef double s, divisor = row_divisor(loss, K)
    cdef real c = R(scale/divisor)
    if ld <= SEGMENT:
        while r < rows:
            n = min(rows - r, SEGMENT//ld)
            elementwise(loss, n*ld, y + r*ld, p + r*ld, c, value, gradient + r*ld)
            if K == 1:
                for i in range(n): per_sample[r + i] = <double>value[i*ld]
            else:
                for i in range(n): per_sample[r + i] = lane_sum(K, value + i*ld)/divisor
            r += n
    else:
        for r in range(rows):
            s = 0
            k = 0
            while k < K:
                n = min(K - k, <ix>SEGMENT)
                elementwise(loss, n, y + r*ld + k, p + r*ld + k, c, value, gradient + r*ld + k)
                s += lane_sum(n, value)
                k += n
            per_sample[r] = s/divisor


cdef double elementwise_sum(const Loss* loss, ix n, ix K, const real* p, const real* y, double scale, real* gradient, real* past_caches,
                            ix* held) noexcept nogil:
    """Sum of the losses of n elements, rows of K without weights or padding; n is at most SEGMENT.  Where `past_caches` is not
    NULL, the gradient goes there (see `stream`, also for `held`), by way of `gradient`."""
    cdef real value[SEGMENT]
    cdef double divisor = row_divisor(loss, K)
    cdef real c = R(scale/divisor)
    cdef ix i = 0, m
    if past_caches == NULL: elementwise(loss, n, y, p, c, value, gradient)
    else:
        while i < n:                               # in short turns, so that memory reads and writes all the time
            m = min(n - i, <ix>STREAMED_AT_ONCE)
            elementwise(loss, m, y + i, p + i, c, value + i, gradient)
            held[0] = stream(past_caches + i, gradient, held[0], m)
            i += m
    return wide_sum(n, value)/divisor
