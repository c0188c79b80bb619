# Update rules on flat vectors, Keras 3's: written once, for one element, with one loop round all of them.
#
# A step that asks for more (mean and clipping of the gradient, weight decay, an average of the parameters) is still one
# pass over memory: update() goes in strips that stay in the first cache.  No element depends on another, so no split into
# blocks or among threads changes a bit; norms are sums, and have an order of their own (square_sum).
#
# In the engine: step_rates() once a step, norm_scale() where gradients are clipped by a norm, update() for every block.

cdef enum Rule:
    SGD
    MOMENTUM
    NESTEROV
    ADAGRAD
    RMSPROP
    RMSPROP_MOMENTUM
    RMSPROP_CENTERED
    RMSPROP_CENTERED_MOMENTUM
    ADADELTA
    ADAM
    AMSGRAD
    ADAMAX
    NADAM
    LION

# Name and number of states of each, in the order of the enum.
UPDATE_RULES = (
    ("sgd", 0), ("momentum", 1), ("nesterov", 1), ("adagrad", 1),
    ("rmsprop", 1), ("rmsprop_momentum", 2), ("rmsprop_centered", 2), ("rmsprop_centered_momentum", 3),
    ("adadelta", 2), ("adam", 2), ("amsgrad", 3), ("adamax", 2), ("nadam", 2), ("lion", 1),
)

cdef enum:
    MAX_STATES = 3
    STRIP = 1024               # elements
    MANY = 32768               # elements from which it pays to begin at a cache line
    SUM_BLOCK = 16384          # elements of which square_sum adds up: what may be split among threads

cdef struct Hyperparameters:
    int rule
    double momentum            # of gradients or of updates: momentum, beta_1
    double beta_2              # of squared gradients: beta_2, rho
    double epsilon
    double weight_decay        # these four: 0 for none
    double clipvalue
    double clipnorm
    double global_clipnorm
    int64_t accumulation_steps  # gradients in an update, from 1
    double ema_momentum
    int64_t ema_overwrite_frequency  # in updates; 0 for never

cdef struct Optimizer:
    Hyperparameters h
    real* state[MAX_STATES]
    real* average              # of the parameters, or NULL
    real* accumulated          # sum of the gradients since the last update, or NULL

cdef struct Rates:
    # What all elements share during one step, made by step_rates().
    bint begun                 # what does not change from step to step is there
    bint hold                  # the gradient is added up, and no parameter is updated
    bint overwrite             # the parameters take the value of their average
    real scale                 # of the gradient: 1/accumulation_steps, times what norm_scale() says
    real limit                 # of its elements, or 0
    real decay                 # share of the parameters that weight decay takes
    real rate
    real gradient_rate         # Nadam's, of the gradient itself
    real momentum
    real beta_2
    real keep                  # 1 - momentum
    real keep_2                # 1 - beta_2
    real correction            # Nadam's, of the mean of squares
    real epsilon
    real average_keep          # 1 - ema_momentum
    double powers[2]           # momentum^t and beta_2^t,
    int64_t power_step         # and their t
    double product             # of Nadam's momenta u_1 ... u_t,
    int64_t product_step       # and its t


cdef double power(double x, int64_t n) noexcept nogil:
    """x^n by squaring: plain products, so the same bits in every C library."""
    cdef double y = 1
    while n:
        if n & 1: y *= x
        x *= x
        n >>= 1
    return y


cdef inline void follow_powers(const Hyperparameters* h, int64_t t, Rates* r) noexcept nogil:
    """r.powers of t: products with one factor more than those of t - 1, but begun anew at every multiple of 64.  So they are
    the same whatever r was before."""
    if r.power_step != t and (r.power_step != t - 1 or t % 64 == 0):
        r.power_step = t - t % 64
        r.powers[0], r.powers[1] = power(h.momentum, r.power_step), power(h.beta_2, r.power_step)
    while r.power_step < t:
        r.power_step += 1
        r.powers[0] *= h.momentum
        r.powers[1] *= h.beta_2


cdef inline double nadam_momentum(double beta_1, int64_t t) noexcept nogil:
    """u_t, which grows from beta_1/2 to beta_1."""
    return beta_1*(1 - 0.5*power(0.96, t))


cdef void step_rates(const Hyperparameters* h, double learning_rate, int64_t step, Rates* r) noexcept nogil:
    """For the gradient number `step`, from 1.  r is all zeros at first and then the one of an earlier step: Nadam's product
    goes on from there, to the same bits as from the start."""
    cdef int64_t t = step                                      # the update that this gradient is for
    cdef double rate = learning_rate, u, next_product
    if not r.begun:
        r.begun = True
        r.scale = R(1.0/<double>h.accumulation_steps)
        r.limit = R(h.clipvalue)
        r.momentum, r.beta_2, r.epsilon = R(h.momentum), R(h.beta_2), R(h.epsilon)
        r.keep, r.keep_2 = R(1 - h.momentum), R(1 - h.beta_2)
        r.powers[0] = r.powers[1] = 1
    if h.accumulation_steps > 1:                               # divisions are slow
        t = (step - 1)//h.accumulation_steps + 1
        r.hold = step % h.accumulation_steps != 0
    if h.ema_overwrite_frequency: r.overwrite = t % h.ema_overwrite_frequency == 0
    r.decay = R(h.weight_decay*learning_rate)
    r.average_keep = R(1 if t == 1 else 1 - h.ema_momentum)    # it starts as the parameters after the first update
    if ADAM <= h.rule <= NADAM: follow_powers(h, t, r)
    if h.rule == ADAM or h.rule == AMSGRAD: rate *= sqrt(1 - r.powers[1])/(1 - r.powers[0])
    elif h.rule == ADAMAX: rate /= 1 - r.powers[0]
    elif h.rule == NADAM:
        if r.product_step == 0 or r.product_step > t: r.product, r.product_step = 1, 0
        while r.product_step < t and r.product > 0:
            r.product_step += 1
            r.product *= nadam_momentum(h.momentum, r.product_step)
        r.product_step = t
        u = nadam_momentum(h.momentum, t + 1)
        next_product = r.product*u
        r.gradient_rate = R(rate*(1 - nadam_momentum(h.momentum, t))/(1 - r.product))
        r.correction = R(1/(1 - r.powers[1]))
        rate *= u/(1 - next_product)
    r.rate = R(rate)


cdef double square_sum(ix n, const real* g, const real* accumulated) noexcept nogil:
    """Sum of (g[i] + accumulated[i])^2, or without accumulated where that is NULL, in float64: LANES sums, then pairs."""
    cdef double s[LANES]
    cdef double x
    cdef real sum
    cdef ix i = 0
    cdef int j
    for j in range(LANES): s[j] = 0
    while i < n:
        for j in range(<int>min(n - i, <ix>LANES)):
            sum = g[i + j] + accumulated[i + j] if accumulated else g[i + j]
            x = <double>sum
            s[j] += x*x
        i += LANES
    for j in range(8): s[j] += s[j + 8]
    for j in range(4): s[j] += s[j + 4]
    return (s[0] + s[2]) + (s[1] + s[3])


cdef inline double norm_scale(const Hyperparameters* h, double squares) noexcept nogil:
    """What a gradient whose elements' squares add up to `squares` is to be multiplied with, so that its norm is at most
    clipnorm or global_clipnorm.  A norm that is no finite number spoils all under global_clipnorm, as in Keras."""
    cdef double norm = sqrt(squares)/<double>h.accumulation_steps
    if h.clipnorm > 0: return 1 if norm <= h.clipnorm else h.clipnorm/norm
    return 1 if norm <= h.global_clipnorm else h.global_clipnorm/norm + (norm - norm)


cdef inline bint needs_norm(const Hyperparameters* h) noexcept nogil:
    """Whether no parameter may be updated before all gradients are known."""
    return h.clipnorm > 0 or h.global_clipnorm > 0


cdef inline bint is_plain_sgd(const Optimizer* o) noexcept nogil:
    """Whether an update is w - rate g, and nothing else."""
    return (o.h.rule == SGD and o.average == NULL and o.accumulated == NULL and o.h.weight_decay == 0 and o.h.clipvalue == 0
            and not needs_norm(&o.h))


# ---- one element -----------------------------------------------------------------------------------------------------

cdef inline real moved(real old, real new, real keep) noexcept nogil:
    """The moving average (1 - keep) old + keep new."""
    return fmadd(new - old, keep, old)


cdef inline real moved_square(real old, real x, real keep) noexcept nogil:
    """The moving average of squares."""
    return fmadd(fmadd(x, x, -old), keep, old)


cdef inline real updated(Rule rule, real w, real g, real* a, real* b, real* c, const Rates* r) noexcept nogil:
    """The parameter w after its update by the gradient g; a, b and c are its states."""
    cdef real x
    if rule == SGD: return fmadd(-r.rate, g, w)
    if rule == MOMENTUM or rule == NESTEROV:
        x = r.rate*g
        a[0] = fmadd(r.momentum, a[0], x)
        return w - (fmadd(r.momentum, a[0], x) if rule == NESTEROV else a[0])
    if rule == ADAGRAD:
        a[0] = fmadd(g, g, a[0])
        return w - r.rate*g/real_sqrt(a[0] + r.epsilon)
    if rule == RMSPROP or rule == RMSPROP_MOMENTUM:
        a[0] = moved_square(a[0], g, r.keep_2)
        x = r.rate*g/real_sqrt(a[0] + r.epsilon)
        if rule == RMSPROP: return w - x
        b[0] = fmadd(r.momentum, b[0], x)
        return w - b[0]
    if rule == RMSPROP_CENTERED or rule == RMSPROP_CENTERED_MOMENTUM:
        a[0] = moved_square(a[0], g, r.keep_2)
        b[0] = moved(b[0], g, r.keep_2)
        x = fmadd(-b[0], b[0], a[0])
        x = R(0) if x < R(0) else x            # a variance, which rounding may have made negative
        x = r.rate*g/real_sqrt(x + r.epsilon)
        if rule == RMSPROP_CENTERED: return w - x
        c[0] = fmadd(r.momentum, c[0], x)
        return w - c[0]
    if rule == ADADELTA:
        a[0] = moved_square(a[0], g, r.keep_2)
        x = real_sqrt(b[0] + r.epsilon)*g/real_sqrt(a[0] + r.epsilon)
        b[0] = moved_square(b[0], x, r.keep_2)
        return fmadd(-r.rate, x, w)
    if rule == LION:
        x = fmadd(r.momentum, a[0], r.keep*g)
        a[0] = moved(a[0], g, r.keep_2)
        return w - (r.rate if x > R(0) else -r.rate if x < R(0) else x)
    a[0] = moved(a[0], g, r.keep)
    if rule == ADAMAX:
        b[0] = r.beta_2*b[0]
        x = absolute(g) + R(0)                 # the sum flushes a subnormal, which a selection may keep or not
        b[0] = b[0] if b[0] > x else x         # a NaN gradient stays one
        return w - r.rate*a[0]/(b[0] + r.epsilon)
    b[0] = moved_square(b[0], g, r.keep_2)
    if rule == NADAM: return w - fmadd(r.rate, a[0], r.gradient_rate*g)/(real_sqrt(b[0]*r.correction) + r.epsilon)
    if rule == AMSGRAD:
        x = c[0] + R(0)
        c[0] = x if b[0] <= x else b[0]
        return w - r.rate*a[0]/(real_sqrt(c[0]) + r.epsilon)
    return w - r.rate*a[0]/(real_sqrt(b[0]) + r.epsilon)


# ---- many ------------------------------------------------------------------------------------------------------------

cdef inline void loop(Rule rule, bint decays, const Optimizer* o, const Rates* rates, ix first, ix n, real* w,
                      const real* g) noexcept nogil:
    """updated() for n elements; a copy for each rule, with weight decay and without, once inlined."""
    cdef Rates r = rates[0]            # in registers: behind a pointer it might change with w
    cdef real* a = o.state[0] + first
    cdef real* b = o.state[1] + first
    cdef real* c = o.state[2] + first
    cdef ix i
    for i in range(n):
        w[i] = updated(rule, fmadd(-r.decay, w[i], w[i]) if decays else w[i], g[i], a + i, b + i, c + i, &r)


cdef inline void sweep(Rule rule, const Optimizer* o, const Rates* r, ix first, ix n, real* w, const real* g) noexcept nogil:
    if r.decay != R(0): loop(rule, True, o, r, first, n, w, g)
    else: loop(rule, False, o, r, first, n, w, g)


cdef void apply_rule(const Optimizer* o, const Rates* r, ix first, ix n, real* w, const real* g) noexcept nogil:
    if o.h.rule == SGD: sweep(SGD, o, r, first, n, w, g)
    elif o.h.rule == MOMENTUM: sweep(MOMENTUM, o, r, first, n, w, g)
    elif o.h.rule == NESTEROV: sweep(NESTEROV, o, r, first, n, w, g)
    elif o.h.rule == ADAGRAD: sweep(ADAGRAD, o, r, first, n, w, g)
    elif o.h.rule == RMSPROP: sweep(RMSPROP, o, r, first, n, w, g)
    elif o.h.rule == RMSPROP_MOMENTUM: sweep(RMSPROP_MOMENTUM, o, r, first, n, w, g)
    elif o.h.rule == RMSPROP_CENTERED: sweep(RMSPROP_CENTERED, o, r, first, n, w, g)
    elif o.h.rule == RMSPROP_CENTERED_MOMENTUM: sweep(RMSPROP_CENTERED_MOMENTUM, o, r, first, n, w, g)
    elif o.h.rule == ADADELTA: sweep(ADADELTA, o, r, first, n, w, g)
    elif o.h.rule == ADAM: sweep(ADAM, o, r, first, n, w, g)
    elif o.h.rule == AMSGRAD: sweep(AMSGRAD, o, r, first, n, w, g)
    elif o.h.rule == ADAMAX: sweep(ADAMAX, o, r, first, n, w, g)
    elif o.h.rule == NADAM: sweep(NADAM, o, r, first, n, w, g)
    else: sweep(LION, o, r, first, n, w, g)


cdef inline void take_gradient(const Rates* rates, ix n, const real* g, real* accumulated, real* out) noexcept nogil:
    """out <- the gradient as the rule takes it: scaled, and no element beyond the limit."""
    cdef real scale = rates.scale, limit = rates.limit, x
    cdef ix i
    if accumulated:
        for i in range(n):
            out[i] = (g[i] + accumulated[i])*scale
            accumulated[i] = R(0)
    else:
        for i in range(n): out[i] = g[i]*scale
    if limit > R(0):
        for i in range(n):
            x = out[i]
            x = limit if x > limit else x      # NaN passes both
            out[i] = -limit if x < -limit else x


cdef inline ix before_line(const real* p) noexcept nogil:
    """Elements from p to the next cache line, or 0 on one."""
    return (-<ix>p & 63)//<ix>sizeof(real)


cdef void update(const Optimizer* o, const Rates* r, ix first, ix n, real* parameters, const real* g) noexcept nogil:
    """Parameters first ... first + n from their n gradients g, with the same places of the state.

    From MANY elements on the vectors are whole cache lines, those of the state as well where it is as far behind one as
    the parameters: in memory Adam takes 7 % less time for it."""
    cdef real taken[STRIP]
    cdef const real* x
    cdef real* w
    cdef real keep = r.average_keep
    cdef ix i, strip = before_line(parameters + first) if n >= MANY else 0
    if strip > 0:
        update(o, r, first, strip, parameters, g)
        first += strip
        g += strip
        n -= strip
    if o.average == NULL and o.accumulated == NULL and r.scale == R(1) and r.limit == R(0):
        apply_rule(o, r, first, n, parameters + first, g)
        return
    while n > 0:
        strip = min(n, <ix>STRIP)
        w = parameters + first
        if r.hold:
            for i in range(strip): o.accumulated[first + i] += g[i]
        else:
            if o.accumulated or r.scale != R(1) or r.limit > R(0):
                take_gradient(r, strip, g, o.accumulated + first if o.accumulated else NULL, taken)
                x = taken
            else: x = g
            apply_rule(o, r, first, strip, w, x)
        if o.average:
            if keep == R(1): memcpy(o.average + first, w, strip*sizeof(real))
            else:
                for i in range(strip): o.average[first + i] = moved(o.average[first + i], w[i], keep)
            if r.overwrite: memcpy(w, o.average + first, strip*sizeof(real))
        first += strip
        g += strip
        n -= strip
