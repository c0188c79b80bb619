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
    """d^2, d = log(1 + p') - log(1 + y') of p' and y' not below epsilon: |d| = log1p(|p' - y'|/(1 + min(p', y')))."""
    cdef real low = epsilon(), py = choose(p < low, low, p), yy = choose(y < low, low, y), e = py - yy
    cdef real a = absolute(e), m = choose(yy < py, yy, py), s = R(1) + m, x = a/s, d, rest
    rest = ((a - x*s) - product_tail(x, s, x*s)) - x*sum_tail(R(1), m, s)
    rest = rest + sign_of(e)*sum_tail(py, -yy, e)
    rest = choose(absolute(x) < REAL_INFINITY, rest/s, R(0))
    d = log1p_of_sum(x, choose(absolute(rest) < R(1), rest, R(0)))
    value[0] = d*d
    gradient[0] = outside(p, low, REAL_INFINITY, R(2)*d*sign_of(e)/(R(1) + py))


cdef inline void huber(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """c (e - c/2), for c the error e clipped to [-delta, delta]: both of the branches."""
    cdef real unit, e = difference(p, y, &unit), c
    c = clip(e, -o.delta/unit, o.delta/unit)
    value[0] = unit*(unit*c*fmadd(R(-0.5), c, e))
    gradient[0] = unit*c


cdef inline void log_cosh(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """A polynomial near 0, where a - ln(2) + log1p(e^-2a) would cancel."""
    cdef real e = p - y, a = absolute(e), x = a*a, t = tanh_(e), ln2, s, near, far
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
    ln2 = R(0.69314718055994530942)
    s = a - ln2
    far = s + (sum_tail(a, -ln2, s) + log1p_(exp_(R(-2)*a)))
    value[0] = choose(a < R(0.8), x*near, far)
    gradient[0] = t


cdef inline void quantile_error(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """q (y - p) above the prediction, (1 - q)(p - y) below it."""
    cdef real unit, e = difference(p, y, &unit), slope
    slope = choose(e > R(0), o.under, o.over)
    value[0] = slope*absolute(e)*unit
    gradient[0] = slope*sign_of(e)


cdef inline void poisson(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """p - y log(p + epsilon); the derivative 1 - y/(p + epsilon) without the cancellation at p = y."""
    cdef real s = p + epsilon(), log_s = log_plus(s, sum_tail(p, epsilon(), s)/s), g
    log_s = choose((y == R(0)) & (s >= R(0)), R(0), log_s)
    value[0] = fmadd(-y, log_s, p)
    g = ((p - y) + epsilon())/s
    gradient[0] = choose(p < REAL_INFINITY, g, R(1) - y/s)


cdef inline void gamma_deviance(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """y/p + log(p), and (p - y)/p^2."""
    cdef real ratio = y/p, v = ratio + log_(p), g = ((p - y)/p)/p
    value[0] = choose(p == R(0), ratio, v)  # the limit is infinite, however -infinity is added
    gradient[0] = choose(p < REAL_INFINITY, g, (R(1) - ratio)/p)


cdef inline void kl_divergence(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """y' log(y'/p') of y' and p' clipped to [epsilon, 1], with the quotient in a pair: near 1 its rounding is all there is."""
    cdef real low = epsilon(), yy = clip(y, low, R(1)), q = clip(p, low, R(1)), ratio = yy/q, n, f, rest
    rest = (yy - ratio*q) - product_tail(ratio, q, ratio*q)
    f = normal_mantissa_less_1(ratio, &n)
    value[0] = yy*log_of_1_plus(f, n, rest/yy)
    gradient[0] = outside(p, low, R(1), -ratio)


# ---- two classes, labels 0 and 1 ------------------------------------------------------------------------------------------
# Smoothing turns y into y keep + shift, and no = 1 - y, by itself, into no keep + shift: 1 - y afterwards would cancel.

cdef inline void binary_crossentropy(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """-(y log p + no log(1-p)) for p clipped to [eps, 1-eps]; the gradient is 0 where the clip acts."""
    cdef real low = epsilon(), high = R(1) - epsilon(), q = clip(p, low, high), no = fmadd(R(1) - y, o.keep, o.shift)
    y = fmadd(y, o.keep, o.shift)
    value[0] = -(y*log_(q) + no*log1p_(-q))
    gradient[0] = outside(p, low, high, (q - y)/(q*(R(1) - q)))


cdef inline void binary_crossentropy_from_logits(const Loss* o, real y, real z, real* value, real* gradient) noexcept nogil:
    """no max(z,0) + y max(-z,0) + log(1 + e^-|z|) and no sigmoid(z) - y sigmoid(-z): nothing cancels where y is 0 or 1."""
    cdef real no = fmadd(R(1) - y, o.keep, o.shift), e = exp_(-absolute(z)), s = R(1)/(R(1) + e), es = e*s
    cdef real up = choose(z < R(0), es, s), down = choose(z < R(0), s, es), above, below
    y = fmadd(y, o.keep, o.shift)
    above = choose(z < R(0), R(0), no*z)
    below = choose(z < R(0), -y*z, R(0))
    above = choose(no == R(0), R(0), above)  # 0 times an infinite logit
    below = choose(y == R(0), R(0), below)
    value[0] = (above + below) + log1p_(e)
    gradient[0] = no*up - y*down


cdef inline real class_weight(const Loss* o, real y, real no, real no_low, real* tail) noexcept nogil:
    """y alpha + no (1 - alpha) and its tail, or 1."""
    cdef real yes = y*o.alpha, other = no*o.alpha_no, w = yes + other
    w = choose(o.balanced, w, R(1))
    tail[0] = finite_sum_tail(yes, other, w) + (product_tail(y, o.alpha, yes) + product_tail(no, o.alpha_no, other) + no_low*o.alpha_no)
    tail[0] = choose(o.balanced, tail[0], R(0))
    return w


cdef inline void binary_focal(const Loss* o, real y, real p, real* value, real* gradient) noexcept nogil:
    """w m^gamma b, for the binary cross-entropy b and the probability m = y (1-p) + no p of the wrong class."""
    cdef real least = epsilon(), most = R(1) - epsilon(), q = clip(p, least, most), no = fmadd(R(1) - y, o.keep, o.shift), low
    cdef real r = clip(p, R(0), R(1)), d = R(1) - r, b, m, t, rate, factor, w
    cdef bint focused = o.gamma >= R(1)
    y = fmadd(y, o.keep, o.shift)
    w = class_weight(o, y, no, R(0), &low)
    b = -(y*log_(q) + no*log1p_(-q))
    m = fmadd(y, d, no*r)
    t = power_of_pair(m, y*((R(1) - d) - r), choose(focused, o.gamma - R(1), o.gamma), &low)
    factor = choose(focused, m*t, t)  # m^(gamma-1) overflows where m^gamma does not, and the other underflows
    rate = choose(focused, t*b, (t*b)/m)
    rate = choose((m == R(0)) & (1 - focused), REAL_INFINITY, rate)
    rate = choose(o.gamma == R(0), R(0), o.gamma*(no - y)*rate)
    value[0] = w*(factor*b)
    gradient[0] = outside(p, R(0), R(1), w*(rate + factor*outside(p, least, most, (q - y)/(q*(R(1) - q)))))


cdef inline void binary_focal_from_logits(const Loss* o, real y, real z, real* value, real* gradient) noexcept nogil:
    """The same of p = sigmoid(z), without a clip.  With a = |z|, e = e^-a, s = 1/(1 + e), and `major` the label that z
    speaks against, m = s (major + minor e) = s x and b = major a + log(1 + e); the derivative in a is
    m^gamma s (gamma (major - minor) b e/x + major - minor e).  What is multiplied is in pairs."""
    cdef real a = absolute(z), e_low, e = exp_pair(-a, R(0), &e_low), t = R(1) + e, t_low = ((R(1) - t) + e) + e_low, s = R(1)/t
    cdef real l_low, x_low, f_low, n, f, l, x, lx, lx_low, log_m, exact, inexact, d, rest, factor, ratio, b, w, w_low, g, g_low
    cdef real no = R(1) - y, no_low = o.keep*((R(1) - no) - y), major, minor, major_low, minor_low, h
    no = fmadd(no, o.keep, o.shift)
    y = fmadd(y, o.keep, o.shift)
    w = class_weight(o, y, no, no_low, &w_low)
    major = choose(z < R(0), y, no)
    minor = choose(z < R(0), no, y)
    major_low = choose((z < R(0)) | (major == R(0)), R(0), no_low)
    minor_low = choose(z < R(0), no_low, R(0))
    s = s - s*(s*t_low)
    f = normal_mantissa_less_1(t, &n)
    l = log_of_1_plus_pair(f, n, t_low*s, &l_low)                 # log(1 + e)
    b = choose(major == R(0), R(0), fmadd(major, a, major_low*a + l_low)) + l
    h = minor*e
    d = product_tail(minor, e, h) + (minor*e_low + minor_low*e)
    g = major - h
    g_low = finite_sum_tail(major, -h, g) + (major_low - d)
    x = major + h
    x_low = finite_sum_tail(major, h, x) + (major_low + d)
    x_low = choose(major == R(0), R(0), x_low)  # there e may have underflowed: log(x e) is log(x) - a
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
    factor = exp_pair(log_m, choose(absolute(rest) < R(1), rest, R(0)), &f_low)
    f_low = choose(o.gamma == R(0), R(0), f_low)
    factor = choose(o.gamma == R(0), R(1), factor)
    d = choose(major == R(0), R(1), e)                            # e/x, which is 1/minor where major is 0
    ratio = d/x
    h = ratio*x
    rest = (((d - h) - product_tail(ratio, x, h)) + (choose(major == R(0), R(0), e_low) - ratio*x_low))/x
    d = o.gamma*(major - minor)
    h = b*ratio
    rest = d*(product_tail(b, ratio, h) + b*rest)
    f = d*h
    rest = rest + product_tail(d, h, f)
    h = g + f
    rest = finite_sum_tail(f, g, h) + (rest + g_low)
    g = s*(h + choose(absolute(rest) < REAL_INFINITY, rest, R(0)))
    g = choose(z < R(0), -g, g)
    b = fmadd(factor, b, f_low*b)
    g = fmadd(factor, g, f_low*g)
    value[0] = fmadd(w, b, w_low*b)
    gradient[0] = fmadd(w, g, w_low*g)


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
