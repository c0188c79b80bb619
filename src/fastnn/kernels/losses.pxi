# Losses, one value for each sample (row), and the gradient of the cost with respect to the predictions.
# An elementwise loss is one formula for value and derivative of one element, given the target y and its complement
# no = 1 - y, which label smoothing must smooth by itself to stay exact; the loops round it are shared.

cdef enum LossKind:
    MEAN_SQUARED_ERROR = 0
    BINARY_CROSSENTROPY = 1
    BINARY_CROSSENTROPY_FROM_LOGITS = 2
    CATEGORICAL_CROSSENTROPY = 3            # the target is a row of y, or a label where y is NULL
    CATEGORICAL_CROSSENTROPY_FROM_LOGITS = 4

cdef enum Accuracy:
    NO_ACCURACY = 0
    BINARY_ACCURACY = 1                     # mean of [p > threshold] == y
    CATEGORICAL_ACCURACY = 2                # argmax p == argmax y, or the label

cdef struct Loss:
    LossKind kind
    real label_smoothing
    Accuracy accuracy
    real threshold

cdef enum:
    SEGMENT = 1024                          # elements whose losses are held at once
    ROW_BLOCK = 64                          # rows whose logarithms are taken at once

cdef inline real clip_epsilon() noexcept nogil:
    return R(1e-7)


cdef inline void squared_error(real y, real no, real p, real* value, real* gradient) noexcept nogil:
    cdef real e = p - y
    value[0] = e*e
    gradient[0] = R(2)*e


cdef inline void binary_crossentropy(real y, real no, real p, real* value, real* gradient) noexcept nogil:
    """-(y log p + (1-y) log(1-p)) for p clipped to [eps, 1-eps]; the gradient is 0 where the clip acts."""
    cdef real low = clip_epsilon(), high = R(1) - clip_epsilon(), q = p
    cdef real g
    q = low if q < low else q
    q = high if q > high else q
    value[0] = -(y*log_(q) + no*log1p_(-q))
    g = (q - y)/(q*(R(1) - q))
    g = R(0) if p < low else g
    gradient[0] = R(0) if p > high else g


cdef inline void binary_crossentropy_from_logits(real y, real no, real z, real* value, real* gradient) noexcept nogil:
    """(1-y) max(z,0) + y max(-z,0) + log(1 + e^-|z|) and (1-y) sigmoid(z) - y sigmoid(-z): nothing cancels where y is 0 or 1."""
    cdef real e = exp_(-absolute(z)), s = R(1)/(R(1) + e), es = e*s
    cdef real up = es if z < R(0) else s, down = s if z < R(0) else es
    cdef real above = R(0) if z < R(0) else no*z, below = -y*z if z < R(0) else R(0)
    above = R(0) if no == R(0) else above   # 0 times an infinite logit
    below = R(0) if y == R(0) else below
    value[0] = (above + below) + log1p_(e)
    gradient[0] = no*up - y*down


cdef inline void elementwise(const Loss* loss, ix n, const real* y, const real* p, real scale, real* value, real* gradient) noexcept nogil:
    """value[i] = L(y[i], p[i]), gradient[i] = scale dL/dp[i]."""
    cdef ix i
    cdef real v, g, t, keep = R(1) - loss.label_smoothing, shift = R(0.5)*loss.label_smoothing
    if loss.kind == MEAN_SQUARED_ERROR:
        for i in range(n):
            squared_error(y[i], R(1) - y[i], p[i], &v, &g)
            value[i] = v
            gradient[i] = scale*g
    elif loss.kind == BINARY_CROSSENTROPY:
        for i in range(n):
            binary_crossentropy(fmadd(y[i], keep, shift), fmadd(R(1) - y[i], keep, shift), p[i], &v, &g)
            value[i] = v
            gradient[i] = scale*g
    else:
        for i in range(n):
            binary_crossentropy_from_logits(fmadd(y[i], keep, shift), fmadd(R(1) - y[i], keep, shift), p[i], &v, &g)
            value[i] = v
            gradient[i] = scale*g


cdef void elementwise_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, ix ld, double scale,
                           double* per_sample, real* gradient) noexcept nogil:
    """Elementwise losses: the mean over a row; whole rows at once, padding included, where they are short."""
    cdef real value[SEGMENT]
    cdef ix r = 0, i, n, k
    cdef double s
    cdef real c = R(scale/<double>K)
    if ld <= SEGMENT:
        while r < rows:
            n = min(rows - r, SEGMENT//ld)
            elementwise(loss, n*ld, y + r*ld, p + r*ld, c, value, gradient + r*ld)
            if K == 1:
                for i in range(n): per_sample[r + i] = <double>value[i*ld]
            else:
                for i in range(n): per_sample[r + i] = lane_sum(K, value + i*ld)/<double>K
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
            per_sample[r] = s/<double>K


cdef void crossentropy_from_logits_rows(const Loss* loss, ix rows, ix K, const real* z, const real* y, const int32_t* labels, ix ld,
                                        double scale, double* per_sample, real* gradient) noexcept nogil:
    """With t the index of the largest logit and r = sum over j != t of e^(z_j - z_t):
    loss = sum_j y_j (z_t - z_j) + (sum_j y_j) log1p(r), which keeps its relative accuracy where the loss is tiny;
    gradient (sum_j y_j) softmax(z) - y, without the cancellation of p_c - 1 for a label c."""
    cdef ix top[ROW_BLOCK]
    cdef real rest[ROW_BLOCK]
    cdef real logs[ROW_BLOCK]
    cdef ix r, i, j, n, c
    cdef real m, inverse, whole, t, total, keep = R(1) - loss.label_smoothing, shift = R(loss.label_smoothing/<double>K)
    cdef const real* zr
    cdef const real* yr
    cdef real* e
    cdef double linear
    r = 0
    while r < rows:
        n = min(rows - r, <ix>ROW_BLOCK)
        for i in range(n):
            zr = z + (r + i)*ld
            e = gradient + (r + i)*ld
            top[i] = row_maximum(K, zr)
            m = zr[top[i]]
            for j in range(K): e[j] = zr[j] - m
        e = gradient + r*ld
        if ld < 2*K:                               # one long loop, padding included
            for i in range(n*ld): e[i] = exp_(e[i])
        else:
            for i in range(n):
                for j in range(K): e[i*ld + j] = exp_(e[i*ld + j])
        for i in range(n):
            e = gradient + (r + i)*ld
            m = e[top[i]]                          # 1, or NaN where the logits are
            e[top[i]] = R(0)
            rest[i] = R(lane_sum(K, e))
            e[top[i]] = m
        for i in range(n): logs[i] = log1p_(rest[i])
        for i in range(n):
            zr = z + (r + i)*ld
            e = gradient + (r + i)*ld
            whole = e[top[i]] + rest[i]
            inverse = R(scale/<double>whole)
            if y == NULL:
                c = labels[r + i]
                per_sample[r + i] = <double>((zr[top[i]] - zr[c]) + logs[i])
                t = rest[i] if c == top[i] else whole - e[c]
                for j in range(K): e[j] *= inverse
                e[c] = -t*inverse
            else:
                yr = y + (r + i)*ld
                linear = 0
                total = R(0)
                for j in range(K):
                    t = fmadd(yr[j], keep, shift)
                    total += t
                    if t != R(0): linear += <double>(t*(zr[top[i]] - zr[j]))
                per_sample[r + i] = linear + <double>(total*logs[i])
                m = e[top[i]]
                for j in range(K): e[j] = fmadd(total, e[j], -fmadd(yr[j], keep, shift)*whole)*inverse
                t = fmadd(yr[top[i]], keep, shift)
                e[top[i]] = fmadd(-t, rest[i], (total - t)*m)*inverse
        r += n


cdef void crossentropy_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, const int32_t* labels, ix ld,
                            double scale, double* per_sample, real* gradient) noexcept nogil:
    """Probabilities: q = p/sum(p), clipped to [eps, 1-eps]; loss = -sum_j y_j log q_j.  The derivative runs through the
    normalisation, and is 0 where the clip acts: g_j = [not clipped] (-y_j/p_j) + (sum of y not clipped)/sum(p)."""
    cdef real low = clip_epsilon(), high = R(1) - clip_epsilon()
    cdef real keep = R(1) - loss.label_smoothing, shift = R(loss.label_smoothing/<double>K)
    cdef ix r, j
    cdef double s, value, active
    cdef real q, t, c = R(scale)
    cdef const real* pr
    cdef real* g
    for r in range(rows):
        pr = p + r*ld
        g = gradient + r*ld
        s = lane_sum(K, pr)
        value = 0
        active = 0
        for j in range(K):
            if y == NULL: t = R(1) if j == labels[r] else R(0)
            else: t = fmadd(y[r*ld + j], keep, shift)
            q = R(<double>pr[j]/s)
            g[j] = R(0)
            if t == R(0) and q == q: continue      # NaN must not be lost
            if q < low: q = low
            elif q > high: q = high
            else:
                g[j] = -t/pr[j]
                active += <double>t
            value -= <double>(t*log_(q))
        active /= s
        for j in range(K): g[j] = c*(g[j] + R(active))
        per_sample[r] = value


cdef void loss_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, const int32_t* labels, const real* weights, ix ld,
                    double scale, double* per_sample, real* gradient) noexcept nogil:
    """per_sample[r] = w_r L_r and gradient[r, :] = scale w_r dL_r/dp, for predictions p, targets y (or labels) and a gradient
    whose rows lie `ld` apart.  `gradient` is used as scratch, and so always wanted; it may not alias p or y."""
    cdef ix r, j
    if loss.kind == CATEGORICAL_CROSSENTROPY_FROM_LOGITS:
        crossentropy_from_logits_rows(loss, rows, K, p, y, labels, ld, scale, per_sample, gradient)
    elif loss.kind == CATEGORICAL_CROSSENTROPY:
        crossentropy_rows(loss, rows, K, p, y, labels, ld, scale, per_sample, gradient)
    else:
        elementwise_rows(loss, rows, K, p, y, ld, scale, per_sample, gradient)
    if weights:
        for r in range(rows):
            per_sample[r] *= <double>weights[r]
            for j in range(K): gradient[r*ld + j] *= weights[r]


cdef void accuracy_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, const int32_t* labels, ix ld,
                        double* hits) noexcept nogil:
    """hits[r]: the share of sample r's predictions that are right."""
    cdef ix r, j, n
    for r in range(rows):
        if loss.accuracy == BINARY_ACCURACY:
            n = 0
            for j in range(K): n += (R(1) if p[r*ld + j] > loss.threshold else R(0)) == y[r*ld + j]
            hits[r] = <double>n/<double>K
        elif y == NULL:
            hits[r] = 1 if row_maximum(K, p + r*ld) == labels[r] else 0
        else:
            hits[r] = 1 if row_maximum(K, p + r*ld) == row_maximum(K, y + r*ld) else 0
