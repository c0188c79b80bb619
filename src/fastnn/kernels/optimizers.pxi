# Update rules on flat vectors: state, step and parameters in one pass.  Keras 3's definitions.

cdef enum OptimizerKind:
    SGD = 0
    MOMENTUM = 1
    NESTEROV = 2
    ADAM = 3

cdef enum:
    MAX_STATES = 2

cdef struct Optimizer:
    OptimizerKind kind
    double momentum                # or beta_1
    double beta_2
    double epsilon
    real* state[MAX_STATES]        # velocity; or means of g and of g^2


cdef double power(double x, int64_t n) noexcept nogil:
    """x^n by squaring: plain products, so the same bits in every C library."""
    cdef double y = 1
    while n:
        if n & 1: y *= x
        x *= x
        n >>= 1
    return y


cdef real step_rate(const Optimizer* o, double learning_rate, int64_t step) noexcept nogil:
    """The factor of every update of a step, made once for all of them.  Adam's holds both moments' bias corrections:
    learning_rate sqrt(1 - beta_2^t)/(1 - beta_1^t), t = step, from 1."""
    if o.kind == ADAM: learning_rate *= sqrt(1 - power(o.beta_2, step))/(1 - power(o.momentum, step))
    return R(learning_rate)


cdef void update(const Optimizer* o, real rate, ix first, ix n, real* parameters, const real* g) noexcept nogil:
    """Parameters first … first + n from their n gradients g, with the same places of the state."""
    cdef real* w = parameters + first
    cdef real* s = o.state[0] + first
    cdef real* s2 = o.state[1] + first
    cdef real beta = R(o.momentum), keep1, keep2, eps = R(o.epsilon), m, v
    cdef ix i
    if o.kind == SGD:
        for i in range(n): w[i] = fmadd(-rate, g[i], w[i])
    elif o.kind == MOMENTUM:
        for i in range(n):
            m = fmadd(beta, s[i], rate*g[i])
            s[i] = m
            w[i] -= m
    elif o.kind == NESTEROV:
        for i in range(n):
            m = fmadd(beta, s[i], rate*g[i])
            s[i] = m
            w[i] -= fmadd(beta, m, rate*g[i])
    else:
        keep1 = R(1 - o.momentum)
        keep2 = R(1 - o.beta_2)
        for i in range(n):
            m = fmadd(g[i] - s[i], keep1, s[i])
            v = fmadd(fmadd(g[i], g[i], -s2[i]), keep2, s2[i])
            s[i] = m
            s2[i] = v
            w[i] -= m*rate/(real_sqrt(v) + eps)
