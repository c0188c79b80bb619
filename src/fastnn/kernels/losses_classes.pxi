# Losses of a row of K class probabilities p or logits z, and its target: a row of y, or a label.
#
# Softmax: the terms are e_j = exp(z_j) 2^(unit - k), with k such that the largest, e_t, is about 2^unit: a power of two
# costs no rounding, where z_j - z_t would have to be a pair.  `rest` is the sum of all terms but e_t.  What concerns 1 - q
# of a class near certainty comes from the other classes, not from q.
#
# Rows are taken a turn at a time, so that what a turn reads and writes stays in the first cache.

cdef inline ix rows_at_once(ix rows, ix ld) noexcept nogil:
    return min(rows, min(<ix>ROW_BLOCK, max(SEGMENT//ld, <ix>1)))


cdef inline real target(const Loss* o, real y, real shift) noexcept nogil:
    """Smoothed, or of a divergence clipped to [epsilon, 1]."""
    if o.kind == KL_DIVERGENCE_FROM_LOGITS: return clip(y, epsilon(), R(1))
    return fmadd(y, o.keep, shift)


cdef inline void targeted(const Loss* o, ix K, const real* y, ix* first, ix* last) noexcept nogil:
    """The range outside of which all targets are 0: of a long one-hot row, a stretch."""
    cdef ix a = 0, b = K
    if o.smoothing == 0 and o.kind != KL_DIVERGENCE_FROM_LOGITS:
        while b - a > STRETCH and not any_but(STRETCH, y + a, R(0)): a += STRETCH
        while b - a > STRETCH and not any_but(STRETCH, y + b - STRETCH, R(0)): b -= STRETCH
    first[0] = a
    last[0] = b


cdef inline real term_argument(real z, real largest, ireal* k) noexcept nogil:
    """z less what `largest` exceeds the range of exp_mantissa by, not below where e^z disappears beside e^largest, and the
    power of two to divide by.  The difference is exact: of logits so large, those below half the largest disappear."""
    cdef real limit = R(113) if sizeof(real) == 4 else R(776), unused
    cdef ireal unit = 40 if sizeof(real) == 4 else 100     # no term is subnormal, nor does dividing by their sum overflow
    cdef real origin = choose(absolute(largest) > R(2)*limit, largest, R(0)), top = largest - origin
    reduce_by_ln2(top, k, &unused)
    k[0] = k[0] - unit
    z = z - origin
    return choose(z < top - limit, top - limit, z)


cdef inline real exp_term(real z, real largest) noexcept nogil:
    cdef ireal k, k_top
    cdef real p = exp_mantissa(term_argument(z, largest, &k_top), R(0), &k)
    return p*power_of_2(k - k_top)


cdef inline real exp_term_pair(real z, real largest, real* tail) noexcept nogil:
    cdef ireal k, k_top
    cdef real p = exp_mantissa_pair(term_argument(z, largest, &k_top), R(0), &k, tail)
    tail[0] *= power_of_2(k - k_top)
    return p*power_of_2(k - k_top)


cdef inline void exponentials(const bint pairs, ix n, ix K, const real* z, const real* y, ix ld, real* e, ix* top,
                              double* rest) noexcept nogil:
    """e (n, K) <- the terms, rows of both `ld` apart; the largest one's index; the sum of the others."""
    cdef ix i, j, k, h
    cdef real* er
    cdef real m, tail
    for i in range(n): top[i] = row_maximum(K, z + i*ld)
    if n > 1:
        for i in range(n):
            m = z[i*ld + top[i]]
            for j in range(ld): e[i*ld + j] = m       # then one long loop, padding included
        for j in range((n - 1)*ld + K): e[j] = exp_term(z[j], e[j])
    else:
        m = z[top[0]]
        k = 0
        while k < K:
            h = min(K - k, <ix>STRETCH)
            j = 0
            while j < h:
                prefetch_read(z + ld + k + j)
                if y: prefetch_read(y + k + j)
                j += LINE
            for j in range(k, k + h): e[j] = exp_term(z[j], m)
            k += STRETCH
    for i in range(n):
        er = e + i*ld
        m = er[top[i]]
        er[top[i]] = R(0)
        rest[i] = careful_sum(K, er, &tail)
        er[top[i]] = m


cdef inline real low_part(double x) noexcept nogil:
    """x - R(x)."""
    return R(x - <double>R(x))


cdef inline double tail_of_doubles(double a, double b, double s) noexcept nogil:
    cdef double t = s - a
    return (a - (s - t)) + (b - t)


# ---- categorical cross-entropy, and divergence ---------------------------------------------------------------------------

cdef void crossentropy_from_logits_rows(const Loss* loss, ix rows, ix K, const real* z, const real* y, const int32_t* labels, ix ld,
                                        double scale, double* per_sample, real* gradient) noexcept nogil:
    """loss = sum_j y_j (z_t - z_j) + (sum_j y_j) log1p(rest/e_t), which keeps its relative accuracy where the loss is tiny;
    gradient (sum_j y_j) softmax(z) - y, without the cancellation of p_c - 1 for a label c.  A divergence adds y log y."""
    cdef ix top[ROW_BLOCK]
    cdef double rest[ROW_BLOCK]
    cdef real logs[ROW_BLOCK]
    cdef real term[SEGMENT]
    cdef real share[SEGMENT]
    cdef ix r = 0, i, j, k, n, m, c, first, last
    cdef Loss o = loss[0]
    cdef real inverse, t, total, e_top, zt, w, shift = R(o.smoothing/<double>K)
    cdef const real* zr
    cdef const real* yr
    cdef real* e
    cdef double whole, linear, weight
    while r < rows:
        n = rows_at_once(rows - r, ld)
        exponentials(False, n, K, z + r*ld, y + r*ld if y else NULL, ld, gradient + r*ld, top, rest)
        for i in range(n):
            whole = rest[i]/<double>gradient[(r + i)*ld + top[i]]
            logs[i] = log1p_of_sum(R(whole), low_part(whole))
        for i in range(n):
            zr = z + (r + i)*ld
            e = gradient + (r + i)*ld
            zt = zr[top[i]]
            e_top = e[top[i]]
            whole = <double>e_top + rest[i]
            inverse = R(scale/whole)
            if y == NULL:
                c = labels[r + i]
                if c < 0:                          # a sample to ignore
                    per_sample[r + i] = 0
                    for j in range(K): e[j] = R(0)
                    continue
                per_sample[r + i] = (<double>zt - <double>zr[c]) + <double>logs[i]
                t = R(rest[i] if c == top[i] else whole - <double>e[c])
                for j in range(K): e[j] *= inverse
                e[c] = -t*inverse
                continue
            yr = y + (r + i)*ld
            linear = 0
            weight = 0
            targeted(&o, K, yr, &first, &last)
            k = first
            while k < last:
                m = min(last - k, <ix>SEGMENT)
                for j in range(m):
                    t = target(&o, yr[k + j], shift)
                    share[j] = t
                    term[j] = choose(t == R(0), R(0), t*(zt - zr[k + j]))     # 0 times an infinite logit
                if o.kind == KL_DIVERGENCE_FROM_LOGITS:
                    for j in range(m): term[j] += share[j]*log_(share[j])
                weight += sum_of_row(m, share)
                linear += sum_of_row(m, term)
                k += m
            per_sample[r + i] = linear + weight*<double>logs[i]
            total = R(weight)
            t = target(&o, yr[top[i]], shift)
            w = R(whole)
            for j in range(first): e[j] = total*e[j]*inverse
            for j in range(first, last): e[j] = fmadd(total, e[j], -target(&o, yr[j], shift)*w)*inverse
            for j in range(last, K): e[j] = total*e[j]*inverse
            e[top[i]] = fmadd(-t, R(rest[i]), (total - t)*e_top)*inverse
        r += n


cdef void crossentropy_of_labels_rows(ix rows, ix K, const real* p, const int32_t* labels, ix ld, double scale,
                                      double* per_sample, real* gradient) noexcept nogil:
    """-log q_c, q = p/sum(p) clipped to [eps, 1-eps]; the gradient 1/sum(p) and, at c, -(sum of the others)/(p_c sum(p))."""
    cdef double others[ROW_BLOCK]
    cdef double whole[ROW_BLOCK]
    cdef real q[ROW_BLOCK]
    cdef real wrong[ROW_BLOCK]                     # 1 - q
    cdef real logs[ROW_BLOCK]
    cdef real low = epsilon(), high = R(1) - epsilon(), g, a, b, tail
    cdef ix r = 0, i, j, n, c
    cdef const real* pr
    while r < rows:
        n = min(rows - r, <ix>ROW_BLOCK)
        for i in range(n):
            pr = p + (r + i)*ld
            c = max(labels[r + i], 0)
            others[i] = careful_sum(c, pr, &tail) + careful_sum(K - c - 1, pr + c + 1, &tail)
            whole[i] = others[i] + <double>pr[c]
            q[i] = R(<double>pr[c]/whole[i])
            wrong[i] = R(others[i]/whole[i])
        for i in range(n):
            a = log_(clip(q[i], low, high))
            b = log1p_(-clip(wrong[i], R(1) - high, R(1) - low))
            logs[i] = b if q[i] > R(0.5) else a
        for i in range(n):
            c = labels[r + i]
            g = R(0) if q[i] < low or wrong[i] < R(1) - high or c < 0 else R(scale/whole[i])
            for j in range(K): gradient[(r + i)*ld + j] = g
            if g != R(0): gradient[(r + i)*ld + c] = R(-scale*(others[i]/<double>p[(r + i)*ld + c])/whole[i])
            per_sample[r + i] = -<double>logs[i] if c >= 0 else 0
        r += n


cdef void crossentropy_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, ix ld, double scale,
                            double* per_sample, real* gradient) noexcept nogil:
    """-sum_j y_j log q_j, q = p/sum(p) clipped to [eps, 1-eps].  The derivative runs through the normalisation, and a class
    whose clip acts has none: with u_j = y_j where it does not, gradient_j = (sum of the other u - u_j (1 - q_j)/q_j)/sum(p)."""
    cdef ix top[ROW_BLOCK]
    cdef double rest[ROW_BLOCK]
    cdef real wrong[ROW_BLOCK]                     # 1 - q of the largest
    cdef real logs[ROW_BLOCK]
    cdef real term[SEGMENT]
    cdef real live[SEGMENT]
    cdef Loss o = loss[0]
    cdef real low = epsilon(), high = R(1) - epsilon(), shift = R(o.smoothing/<double>K), q, t, x, s, c, total, inverse, tail
    cdef ix r = 0, i, j, k, n, m
    cdef double whole, value, weight
    cdef const real* pr
    cdef const real* yr
    cdef real* g
    while r < rows:
        n = min(rows - r, <ix>ROW_BLOCK)
        for i in range(n):
            pr = p + (r + i)*ld
            top[i] = row_maximum(K, pr)
            rest[i] = careful_sum(top[i], pr, &tail) + careful_sum(K - top[i] - 1, pr + top[i] + 1, &tail)
            whole = rest[i] + <double>pr[top[i]]
            wrong[i] = R(rest[i]/whole + 0*(<double>pr[top[i]]/whole))       # NaN where q is
        for i in range(n):
            x = clip(wrong[i], R(1) - high, R(1) - low)
            t = log_(clip(R(1) - x, low, high))
            logs[i] = log1p_(-x) if wrong[i] < R(0.5) else t
        for i in range(n):
            pr = p + (r + i)*ld
            yr = y + (r + i)*ld
            g = gradient + (r + i)*ld
            whole = rest[i] + <double>pr[top[i]]
            s = R(whole)
            inverse = R(1.0/whole)
            c = R(scale/whole)
            value = 0
            weight = 0
            k = 0
            while k < K:
                m = min(K - k, <ix>SEGMENT)
                for j in range(m):
                    t = target(&o, yr[k + j], shift)
                    q = pr[k + j]*inverse
                    live[j] = outside(q, low, high, t)
                    term[j] = t*log_(clip(q, low, high))
                if k <= top[i] < k + m:
                    j = top[i] - k
                    t = target(&o, yr[top[i]], shift)
                    live[j] = R(0) if wrong[i] < R(1) - high else t
                    term[j] = t*logs[i]
                value -= lane_sum(m, term)
                weight += lane_sum(m, live)
                k += m
            per_sample[r + i] = value
            total = R(weight)
            for j in range(K):
                t = outside(pr[j]*inverse, low, high, target(&o, yr[j], shift))
                x = (s - pr[j])/pr[j]
                g[j] = c*((total - t) - choose(t == R(0), R(0), t*x))
            j = top[i]
            t = R(0) if wrong[i] < R(1) - high else target(&o, yr[j], shift)
            x = R(rest[i]/<double>pr[j])
            g[j] = c*((total - t) - (R(0) if t == R(0) else t*x))
        r += n


# ---- categorical focal cross-entropy --------------------------------------------------------------------------------------

cdef struct FocalRow:
    # With terms the probabilities, or e^(z - largest) of logits:
    ix top                     # the largest one,
    real largest               # and its logit
    double rest                # sum of the other terms
    real rest_low              # and its tail, where rest is no wider than the terms
    real whole                 # sum of all, in a pair
    real whole_low
    real log_whole             # of logits, in a pair
    real log_low


cdef inline void focal_terms(const FocalRow* row, bint logits, ix n, const real* p, real* term, real* low) noexcept nogil:
    cdef ix j
    cdef real d
    for j in range(n):
        if logits:
            d = p[j] - row.largest
            term[j] = exp_pair(d, sum_tail(p[j], -row.largest, d), &low[j])
        else:
            term[j] = p[j]
            low[j] = R(0)


cdef void focal_row(FocalRow* row, bint logits, ix K, const real* p) noexcept nogil:
    cdef real term[SEGMENT]
    cdef real low[SEGMENT]
    cdef ix k = 0, m
    cdef double rest = 0, tails = 0, t, top = 1
    cdef real n, x
    row.top = row_maximum(K, p)
    row.largest = p[row.top]
    while k < K:
        m = min(K - k, <ix>SEGMENT)
        focal_terms(row, logits, m, p + k, term, low)
        if k <= row.top < k + m:
            top = <double>term[row.top - k]
            term[row.top - k] = R(0)
        t = careful_sum(m, term, &x)
        tails += tail_of_doubles(rest, t, rest + t) + (<double>x + lane_sum(m, low))
        rest += t
        k += m
    if sizeof(real) == 4: row.rest, row.rest_low = rest + tails, R(0)
    else: row.rest, row.rest_low = rest, R(tails)
    t = top + row.rest
    row.whole = R(t)
    row.whole_low = low_part(t) + R(tail_of_doubles(top, row.rest, t)) + row.rest_low
    n = R(0)
    x = mantissa_less_1(row.whole, &n)
    row.log_whole = log_of_1_plus_pair(x, n, row.whole_low/row.whole, &row.log_low)


cdef double focal_segment(const Loss* loss, const FocalRow* row, bint logits, ix first, ix n, const real* p, const real* y, real shift,
                          real* q, real* low, real* wrong, real* wrong_low, real* slope, double* slopes) noexcept nogil:
    """Sum of alpha_j y_j (1-q_j)^gamma (-log q_j) over n classes from `first`; per class q, `wrong`, and `slope`, q times the
    derivative in q, also summed.  Of probabilities q is clipped to [eps, 1-eps], and wrong is (1-q)/q; of logits it is 1-q."""
    cdef real logs[SEGMENT]
    cdef real logs_low[SEGMENT]
    cdef real cost[SEGMENT]
    cdef real weight[SEGMENT]
    cdef real live[SEGMENT]                           # the weight, or 0 where the clip acts
    cdef real chance[SEGMENT]                         # 1 - q, clipped
    cdef Loss o = loss[0]
    cdef FocalRow s = row[0]
    cdef real least = epsilon(), most = R(1) - epsilon(), d, x, t, rate, rate_low, a, factor, factor_low, d_low
    cdef bint focused = o.gamma >= R(1)
    cdef int counts
    cdef ix j, k = 0, m
    focal_terms(row, logits, n, p, q, low)
    for j in range(n):
        d = s.whole - q[j]
        wrong_low[j] = sum_tail(s.whole, -q[j], d) + (s.whole_low - low[j])
        wrong[j] = d
    if first <= s.top < first + n:
        wrong[s.top - first] = R(s.rest)
        wrong_low[s.top - first] = low_part(s.rest) + s.rest_low
    for j in range(n):                                # quotients in pairs
        d = wrong[j]
        x = d/s.whole
        wrong_low[j] = (((d - x*s.whole) - product_tail(x, s.whole, x*s.whole)) + (wrong_low[j] - x*s.whole_low))/s.whole
        wrong[j] = x
        d = q[j]
        x = d/s.whole
        low[j] = (((d - x*s.whole) - product_tail(x, s.whole, x*s.whole)) + (low[j] - x*s.whole_low))/s.whole
        q[j] = x
    if logits:
        for j in range(n):
            d = p[j] - s.largest
            t = d - s.log_whole
            logs_low[j] = sum_tail(d, -s.log_whole, t) + (sum_tail(p[j], -s.largest, d) - s.log_low)
            logs[j] = t
            weight[j] = target(&o, y[j], shift)
            live[j] = weight[j]
            chance[j] = wrong[j]
    else:
        for j in range(n):
            x = clip(wrong[j], R(1) - most, R(1) - least)
            a = log1p_of_sum(-x, choose(x == wrong[j], -wrong_low[j], R(0)))
            d = clip(q[j], least, most)
            t = log_plus(d, choose(d == q[j], low[j]/d, R(0)))
            logs_low[j] = R(0)
            logs[j] = choose(q[j] > R(0.5), a, t)
            weight[j] = target(&o, y[j], shift)
            live[j] = choose((q[j] < least) | (wrong[j] < R(1) - most), R(0), weight[j])
            chance[j] = x
            wrong_low[j] = choose(x == wrong[j], wrong_low[j], R(0))
    if o.class_alpha:
        for j in range(n):
            weight[j] *= o.class_alpha[first + j]
            live[j] *= o.class_alpha[first + j]
    else:
        for j in range(n):
            weight[j] *= o.alpha
            live[j] *= o.alpha
    while k < n:                                      # most classes of a one-hot row have no weight, and are passed over
        m = min(n - k, <ix>LANES)
        counts = 0
        for j in range(k, k + m):
            cost[j] = slope[j] = R(0)
            counts |= (weight[j] != R(0)) | (logs[j] != logs[j])
        for j in range(k, k + m if counts else k):
            x = chance[j]
            a = wrong_low[j]
            factor = power_of_pair(x, a, choose(focused, o.gamma - R(1), o.gamma), &factor_low)
            d = choose(focused, fmadd(x, factor, fmadd(a, factor, x*factor_low)), factor)
            t = weight[j]
            cost[j] = choose((t == R(0)) & (logs[j] == logs[j]), R(0), -t*fmadd(d, logs[j], d*logs_low[j]))
            d = q[j]*logs[j]
            d_low = product_tail(q[j], logs[j], d) + fmadd(q[j], logs_low[j], low[j]*logs[j])
            d_low = choose(q[j] == R(0), R(0), d_low)
            d = choose(q[j] == R(0), R(0), d)
            t = o.gamma*d                                         # gamma d - x in a pair
            rate = t - x
            rate_low = finite_sum_tail(t, -x, rate) + (product_tail(o.gamma, d, t) + fmadd(o.gamma, d_low, -a))
            d = choose(x == R(0), R(-1), (d + d_low)/x)           # where q rounds to 1, the limit
            rate = choose(focused, rate, fmadd(o.gamma, d, R(-1)))
            rate_low = choose(focused, rate_low, R(0))
            slope[j] = choose(live[j] == R(0), R(0), live[j]*fmadd(factor, rate, fmadd(factor_low, rate, factor*rate_low)))
        k += m
    if not logits:                                    # the gradient's (1-q)/q, corrected by the tails
        for j in range(n):
            x = wrong[j]/q[j]
            wrong[j] = x + (wrong_low[j] - x*low[j])/q[j]
    slopes[0] += lane_sum(n, slope)
    return lane_sum(n, cost)


cdef void categorical_focal_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, ix ld, double scale,
                                 double* per_sample, real* gradient) noexcept nogil:
    """With h the slopes, the gradient in a logit z_j is h_j (1 - q_j) - q_j (sum of the other h), and in p_j that over p_j."""
    cdef bint logits = loss.kind == CATEGORICAL_FOCAL_FROM_LOGITS
    cdef real q[SEGMENT]
    cdef real q_low[SEGMENT]
    cdef real wrong[SEGMENT]
    cdef real wrong_low[SEGMENT]
    cdef real slope[SEGMENT]
    cdef FocalRow row
    cdef ix r, j, k, m
    cdef double slopes, unused = 0
    cdef real shift = R(loss.smoothing/<double>K), total, c, c_low, t
    cdef const real* pr
    cdef const real* yr
    cdef real* g
    for r in range(rows):
        pr = p + r*ld
        yr = y + r*ld
        g = gradient + r*ld
        focal_row(&row, logits, K, pr)
        per_sample[r] = 0
        slopes = 0
        k = 0
        while k < K:
            m = min(K - k, <ix>SEGMENT)
            per_sample[r] += focal_segment(loss, &row, logits, k, m, pr + k, yr + k, shift, q, q_low, wrong, wrong_low, slope, &slopes)
            k += m
        total = R(slopes)
        c = R(scale)
        c_low = R(0)
        if not logits:                                # scale/whole, in a pair
            t = R(scale)
            c = t/row.whole
            c_low = (((t - c*row.whole) - product_tail(c, row.whole, c*row.whole)) - c*row.whole_low)/row.whole
        k = 0
        while k < K:
            m = min(K - k, <ix>SEGMENT)
            if K > SEGMENT: focal_segment(loss, &row, logits, k, m, pr + k, yr + k, shift, q, q_low, wrong, wrong_low, slope, &unused)
            if logits:
                for j in range(m):
                    t = total - slope[j]
                    g[k + j] = c*(fmadd(slope[j], wrong[j], slope[j]*wrong_low[j]) - fmadd(t, q[j], t*q_low[j]))
            else:
                for j in range(m):
                    t = choose(slope[j] == R(0), R(0), slope[j]*wrong[j]) - (total - slope[j])
                    g[k + j] = fmadd(c, t, c_low*t)
            k += m


# ---- others --------------------------------------------------------------------------------------------------------------

cdef void categorical_hinge_rows(ix rows, ix K, const real* p, const real* y, ix ld, double scale, double* per_sample,
                                 real* gradient) noexcept nogil:
    """max(0, 1 + max_j (1 - y_j) p_j - sum_j y_j p_j)."""
    cdef ix r, j, top
    cdef const real* pr
    cdef const real* yr
    cdef real* g
    cdef double positive, negative, d, t
    cdef real c
    for r in range(rows):
        pr = p + r*ld
        yr = y + r*ld
        g = gradient + r*ld
        positive = lane_dot(K, yr, pr)
        for j in range(K): g[j] = (R(1) - yr[j])*pr[j]
        top = row_maximum(K, g)
        negative = <double>g[top]
        d = negative - positive
        t = (1 + d) + (tail_of_doubles(negative, -positive, d) + tail_of_doubles(1, d, 1 + d))
        if not isfinite(t): t = 1 + d
        per_sample[r] = 0 if t < 0 else t
        c = R(scale) if t > 0 else R(t*0)             # NaN stays
        if t <= 0: c = R(0)
        for j in range(K): g[j] = -c*yr[j]
        g[top] += c*(R(1) - yr[top])


cdef void cosine_similarity_rows(ix rows, ix K, const real* p, const real* y, ix ld, double scale, double* per_sample,
                                 real* gradient) noexcept nogil:
    """-sum_j y_j p_j/(|y| |p|), where a norm below epsilon counts as epsilon; gradient (p_j (y.p)/(p.p) - y_j)/(|y| |p|)."""
    cdef double least = 1e-7, yy, pp, yp, a, b, c, unit_y, unit_p, u, v
    cdef ix r, j
    cdef const real* pr
    cdef const real* yr
    cdef real* g
    for r in range(rows):
        pr = p + r*ld
        yr = y + r*ld
        g = gradient + r*ld
        unit_y = unit_p = 1
        yy, pp, yp = lane_dot(K, yr, yr), lane_dot(K, pr, pr), lane_dot(K, yr, pr)
        if not isfinite(yy + pp):                     # squares overflow: take a smaller unit
            if not isfinite(yy): unit_y = 2.409919865102884e-181      # 2^-600
            if not isfinite(pp): unit_p = 2.409919865102884e-181
            yy = pp = yp = 0
            for j in range(K):
                u, v = unit_y*<double>yr[j], unit_p*<double>pr[j]
                yy += u*u
                pp += v*v
                yp += u*v
        a, b, c = sqrt(yy), sqrt(pp), yp/pp
        if a < least*unit_y: a = least*unit_y
        if b < least*unit_p:
            b = least*unit_p
            c = 0
        per_sample[r] = -yp/(a*b)
        v = -scale*unit_p/(a*b)
        for j in range(K): g[j] = R(v*(unit_y*<double>yr[j] - (unit_p*<double>pr[j])*c))
