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


cdef inline void prefetch_row(const real* x, ix n) noexcept nogil:
    cdef ix j = 0
    while j < n:
        prefetch_read(x + j)
        j += LINE


cdef inline real term_argument(real z, real largest, ireal* k) noexcept nogil:
    """z, less `largest` where logits are so large that differences are exact, but not below where e^z disappears beside
    the largest term; and the power of two to divide e^z by."""
    cdef real limit = R(113) if sizeof(real) == 4 else R(776), half = R(64) if sizeof(real) == 4 else R(512), origin, top, unused
    cdef ireal unit = 40 if sizeof(real) == 4 else 100     # no term is subnormal, nor does dividing by their sum overflow
    origin = choose((largest - limit > half) | (largest < -half), largest, R(0))      # limit < 2 half
    top = largest - origin
    reduce_by_ln2(top, k, &unused)
    k[0] = k[0] - unit
    z = z - origin
    return choose(z < top - limit, top - limit, z)


cdef inline real exp_term(real z, real largest) noexcept nogil:
    cdef ireal k, k_top
    cdef real lost, p = expm1_near_0(reduce_by_ln2(term_argument(z, largest, &k_top), &k, &lost)), s = power_of_2(k - k_top)
    return fmadd(p, s, s)


cdef inline real exp_term_pair(real z, real largest, real* tail) noexcept nogil:
    cdef ireal k, k_top
    cdef real lost, r = reduce_by_ln2(term_argument(z, largest, &k_top), &k, &lost), p = exp_near_0_pair(r, lost, tail)
    tail[0] *= power_of_2(k - k_top)
    return p*power_of_2(k - k_top)


cdef struct Terms:             # of a row:
    ix top                     # which is the largest,
    real top_low               # its tail,
    double rest                # and the sum of the others,
    real rest_low              # with their tails, where terms are pairs


cdef inline real sum_of_tails(const Terms* row, ix first, ix n, real* low) noexcept nogil:
    """Of n terms from `first` on, but for the largest's."""
    if first <= row.top < first + n: low[row.top - first] = R(0)
    return R(lane_sum(n, low))


cdef inline void exponentials(const bint pairs, ix n, ix K, const real* z, const real* y, ix ld, real* e, Terms* rows) noexcept nogil:
    """e (n, K) <- the terms, rows of both `ld` apart.  Of long rows, memory brings targets and the next logits meanwhile."""
    cdef real low[SEGMENT]
    cdef real largest[ROW_BLOCK]
    cdef real term[ROW_BLOCK]
    cdef real term_low[ROW_BLOCK]
    cdef ix i, j, k, m, top
    cdef real* er
    cdef real tail
    for i in range(n):
        rows[i].top = row_maximum(K, z + i*ld)
        rows[i].rest_low = R(0)
        largest[i] = z[i*ld + rows[i].top]
    for i in range(n): term[i] = exp_term_pair(largest[i], largest[i], &term_low[i])
    if K < STRETCH:                                   # one long loop, padding included
        for i in range(n):
            for j in range(ld if i < n - 1 else K): e[i*ld + j] = largest[i]
        for j in range((n - 1)*ld + K):
            if pairs: e[j] = exp_term_pair(z[j], e[j], &low[j])
            else: e[j] = exp_term(z[j], e[j])
        for i in range(n if pairs else 0): rows[i].rest_low = sum_of_tails(&rows[i], 0, K, low + i*ld)
    for i in range(n):
        er = e + i*ld
        k = 0 if K >= STRETCH else K
        while k < K:
            m = min(K - k, <ix>STRETCH)
            prefetch_row(z + (i + 1)*ld + k, m)
            if y: prefetch_row(y + i*ld + k, m)
            for j in range(m):
                if pairs: er[k + j] = exp_term_pair(z[i*ld + k + j], largest[i], &low[j])
                else: er[k + j] = exp_term(z[i*ld + k + j], largest[i])
            if pairs: rows[i].rest_low += sum_of_tails(&rows[i], k, m, low)
            k += m
        top = rows[i].top
        rows[i].top_low = (term[i] - er[top]) + term_low[i]
        term[i] = er[top]
        er[top] = R(0)
        rows[i].rest = careful_sum(K, er, &tail)
        rows[i].rest_low += tail
        er[top] = term[i]


cdef inline real low_part(double x) noexcept nogil:
    """x - R(x)."""
    return R(x - <double>R(x))


cdef inline double tail_of_doubles(double a, double b, double s) noexcept nogil:
    cdef double t = s - a
    return (a - (s - t)) + (b - t)


cdef inline double sum_of_others(ix K, const real* x, ix but, real* tail) noexcept nogil:
    """Sum of all but one, and its tail."""
    cdef real low, high
    cdef double a = careful_sum(but, x, &low), b = careful_sum(K - but - 1, x + but + 1, &high)
    tail[0] = (low + high) + R(tail_of_doubles(a, b, a + b))
    return a + b


# ---- categorical cross-entropy, and divergence ---------------------------------------------------------------------------

cdef void crossentropy_from_logits_rows(const Loss* loss, ix rows, ix K, const real* z, const real* y, const int32_t* labels, ix ld,
                                        double scale, double* per_sample, real* gradient) noexcept nogil:
    """loss = sum_j y_j (z_t - z_j) + (sum_j y_j) log1p(rest/e_t), which keeps its relative accuracy where the loss is tiny;
    gradient (sum_j y_j) softmax(z) - y, without the cancellation of p_c - 1 for a label c.  A divergence adds y log y."""
    cdef Terms terms[ROW_BLOCK]
    cdef double odds[ROW_BLOCK]                    # the others' against the largest
    cdef real logs[ROW_BLOCK]
    cdef real term[SEGMENT]
    cdef real share[SEGMENT]
    cdef ix r = 0, i, j, k, n, m, c, first, last, top
    cdef Loss o = loss[0]
    cdef real t, e_top, zt, w, g = R(scale), shift = R(o.smoothing/<double>K)
    cdef const real* zr
    cdef const real* yr
    cdef real* e
    cdef double whole, rest, wrong, unit, linear, weight
    while r < rows:
        n = rows_at_once(rows - r, ld)
        exponentials(False, n, K, z + r*ld, y + r*ld if y else NULL, ld, gradient + r*ld, terms)
        for i in range(n): odds[i] = terms[i].rest/(<double>gradient[(r + i)*ld + terms[i].top] + <double>terms[i].top_low)
        for i in range(n): logs[i] = log1p_of_sum(R(odds[i]), low_part(odds[i]))
        for i in range(n):
            zr = z + (r + i)*ld
            e = gradient + (r + i)*ld
            top, rest = terms[i].top, terms[i].rest
            zt = zr[top]
            e_top = e[top]
            whole = <double>e_top + (rest + <double>terms[i].top_low)
            if y == NULL:
                c = labels[r + i]
                if c < 0:                          # a sample to ignore
                    per_sample[r + i] = 0
                    for j in range(K): e[j] = R(0)
                    continue
                per_sample[r + i] = (<double>zt - <double>zr[c]) + <double>logs[i]
                wrong = rest if c == top else whole - <double>e[c]
                unit = scale/whole
                w = R(unit)
                for j in range(K): e[j] *= w
                e[c] = R(-wrong*unit)
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
            t = target(&o, yr[top], shift)
            w = R(weight*scale/whole)
            for j in range(first): e[j] *= w
            for j in range(first, last): e[j] = fmadd(e[j], w, -target(&o, yr[j], shift)*g)
            for j in range(last, K): e[j] *= w
            e[top] = R(scale*((weight - <double>t)*<double>e_top - <double>t*rest)/whole)
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
            others[i] = sum_of_others(K, pr, c, &tail)
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
    cdef real low = epsilon(), high = R(1) - epsilon(), shift = R(o.smoothing/<double>K), q, t, x, s, c, total, tail
    cdef ix r = 0, i, j, k, n, m, first, last
    cdef double whole, value, weight
    cdef const real* pr
    cdef const real* yr
    cdef real* g
    while r < rows:
        n = rows_at_once(rows - r, ld)
        for i in range(n):
            pr = p + (r + i)*ld
            if K >= STRETCH: prefetch_row(y + (r + i)*ld, K)
            top[i] = row_maximum(K, pr)
            rest[i] = sum_of_others(K, pr, top[i], &tail)
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
            if K >= STRETCH: prefetch_row(pr + ld, K)
            whole = rest[i] + <double>pr[top[i]]
            s = R(whole)
            c = R(scale/whole)
            value = weight = 0*<double>wrong[i]
            targeted(&o, K, yr, &first, &last)
            k = first
            while k < last:
                m = min(last - k, <ix>SEGMENT)
                for j in range(m):
                    t = target(&o, yr[k + j], shift)
                    q = pr[k + j]/s
                    live[j] = outside(q, low, high, t)
                    term[j] = t*log_(clip(q, low, high))
                if k <= top[i] < k + m:
                    j = top[i] - k
                    t = target(&o, yr[top[i]], shift)
                    live[j] = R(0) if wrong[i] < R(1) - high else t
                    term[j] = t*logs[i]
                value -= sum_of_row(m, term)
                weight += sum_of_row(m, live)
                k += m
            per_sample[r + i] = value
            total = R(weight)
            for j in range(first): g[j] = c*total
            for j in range(first, last):
                t = outside(pr[j]/s, low, high, target(&o, yr[j], shift))
                x = (s - pr[j])/pr[j]
                g[j] = c*((total - t) - choose(t == R(0), R(0), t*x))
            for j in range(last, K): g[j] = c*total
            j = top[i]
            if first <= j < last:
                t = R(0) if wrong[i] < R(1) - high else target(&o, yr[j], shift)
                x = R(rest[i]/<double>pr[j])
                g[j] = c*((total - t) - (R(0) if t == R(0) else t*x))
        r += n


# ---- categorical focal cross-entropy --------------------------------------------------------------------------------------
# Powers, logarithms and quotients in pairs are for the classes that have a weight, one of a one-hot row: they are gathered
# from all rows of a turn.  Of the others the gradient needs no more than the term.

cdef struct FocalRow:
    # With terms the probabilities, or e^(z - largest) of logits:
    real largest               # probability or logit
    real rest                  # sum of the other terms
    real rest_low
    real whole                 # sum of all
    real whole_low

cdef struct FocalClasses:
    ix count
    int32_t at[SEGMENT]        # class
    real p[SEGMENT]
    real weight[SEGMENT]       # alpha_j y_j
    real largest[SEGMENT]      # of its row, and so on
    real rest[SEGMENT]
    real rest_low[SEGMENT]
    real whole[SEGMENT]
    real whole_low[SEGMENT]
    real cost[SEGMENT]
    real slope[SEGMENT]        # h, q times the cost's derivative in q,
    real own[SEGMENT]          # times 1 - q, or (1 - q)/q of probabilities
    real share[SEGMENT]        # q, or 1 of probabilities


cdef inline void focal_row(FocalRow* row, real term, real rest, real rest_low, real largest) noexcept nogil:
    """Of the largest term, and the sum of the others."""
    row.largest = largest
    row.rest, row.rest_low = rest, rest_low
    row.whole = term + rest
    row.whole_low = sum_tail(term, rest, row.whole) + rest_low


cdef void gather(const Loss* o, const FocalRow* row, ix first, ix n, const real* p, const real* y, real shift,
                 FocalClasses* c) noexcept nogil:
    """Append those that have a weight of a row's n classes from `first` on."""
    cdef bint all_ = o.smoothing != 0
    cdef ix j, i = c.count, k = 0, m
    while k < n:
        if not all_ and k + STRETCH <= n and not any_but(STRETCH, y + k, R(0)):
            k += STRETCH
            continue
        m = min(n - k, <ix>LANES)
        if all_ or m < LANES or any_but(LANES, y + k, R(0)):
            for j in range(k, k + m):
                if all_ or y[j] != R(0):
                    c.at[i] = <int32_t>(first + j)
                    c.p[i] = p[j]
                    c.weight[i] = target(o, y[j], shift)*(o.class_alpha[first + j] if o.class_alpha else o.alpha)
                    c.largest[i] = row.largest
                    c.rest[i], c.rest_low[i] = row.rest, row.rest_low
                    c.whole[i], c.whole_low[i] = row.whole, row.whole_low
                    i += 1
        k += m
    c.count = i


cdef inline void focal_classes(const bint logits, const Loss* loss, FocalClasses* c) noexcept nogil:
    """cost = alpha_j y_j (1-q_j)^gamma (-log q_j), and the slopes.  Of probabilities q is clipped to [eps, 1-eps]."""
    cdef Loss o = loss[0]
    cdef real least = epsilon(), most = R(1) - epsilon(), p, e, low, s, s_low, d, q, q_low, wrong, wrong_low, chance, chance_low
    cdef real n, log_q, log_low, factor, factor_low, rate, rate_low, live, w, t, t_low, x
    cdef bint focused = o.gamma >= R(1)
    cdef ix j
    for j in range(c.count):
        p, s, s_low, w = c.p[j], c.whole[j], c.whole_low[j], c.weight[j]
        live = w
        d = p - c.largest[j]
        t_low = sum_tail(p, -c.largest[j], d)
        e = p
        low = R(0)
        if logits: e = exp_pair(d, t_low, &low)
        wrong = s - e
        wrong_low = sum_tail(s, -e, wrong) + (s_low - low)
        wrong_low = choose(d == R(0), c.rest_low[j], wrong_low)   # the rest itself, exact in a pair
        wrong = choose(d == R(0), c.rest[j], wrong)
        wrong = quotient_pair(wrong, wrong_low, s, s_low, &wrong_low)
        q = quotient_pair(e, low, s, s_low, &q_low)
        chance, chance_low = wrong, wrong_low                     # 1 - q, clipped
        if logits:                                                # d - log(whole)
            n = R(0)
            x = mantissa_less_1(s, &n)
            x = log_of_1_plus_pair(x, n, s_low/s, &low)
            log_q = d - x
            log_low = sum_tail(d, -x, log_q) + (t_low - low)
        else:
            chance = clip(wrong, R(1) - most, R(1) - least)
            chance_low = choose(chance == wrong, wrong_low, R(0))
            x = clip(q, least, most)
            t = log_plus(x, choose(x == q, q_low/x, R(0)))
            log_q = choose(q > R(0.5), log1p_of_sum(-chance, -chance_low), t)
            log_low = R(0)
            live = choose((q < least) | (wrong < R(1) - most), R(0), w)
        factor = power_of_pair(chance, chance_low, choose(focused, o.gamma - R(1), o.gamma), &factor_low)
        t = choose(focused, fmadd(chance, factor, fmadd(chance_low, factor, chance*factor_low)), factor)
        c.cost[j] = choose((w == R(0)) & (log_q == log_q), R(0), -w*fmadd(t, log_q, t*log_low))
        t = q*log_q
        t_low = product_tail(q, log_q, t) + fmadd(q, log_low, q_low*log_q)
        t_low = choose(q == R(0), R(0), t_low)
        t = choose(q == R(0), R(0), t)
        if not focused:                                           # over 1 - q, with the limit where q rounds to 1
            t = quotient_pair(t, t_low, chance, chance_low, &t_low)
            t_low = choose(chance == R(0), R(0), t_low)
            t = choose(chance == R(0), R(-1), t)
            chance, chance_low = R(1), R(0)
        x = o.gamma*t                                             # gamma t - chance in a pair
        rate = x - chance
        rate_low = finite_sum_tail(x, -chance, rate) + (product_tail(o.gamma, t, x) + fmadd(o.gamma, t_low, -chance_low))
        t = choose(live == R(0), R(0), live*fmadd(factor, rate, fmadd(factor_low, rate, factor*rate_low)))
        c.slope[j] = t
        if logits:
            c.own[j] = fmadd(t, wrong, t*wrong_low)
            c.share[j] = q
        else:
            x = quotient_pair(wrong, wrong_low, q, q_low, &low)
            c.own[j] = choose(t == R(0), R(0), fmadd(t, x, t*low))
            c.share[j] = R(1)


cdef void focal_piece(const Loss* loss, const FocalRow* row, ix rows, ix first, ix n, const real* p, const real* y, ix ld, real shift,
                      FocalClasses* c, ix* last) noexcept nogil:
    """Those of some rows, with their costs and slopes; the end of each row's among them."""
    cdef ix i
    c.count = 0
    for i in range(rows):
        gather(loss, &row[i], first, n, p + i*ld, y + i*ld, shift, c)
        last[i] = c.count
    if loss.kind == CATEGORICAL_FOCAL_FROM_LOGITS: focal_classes(True, loss, c)
    else: focal_classes(False, loss, c)


cdef void categorical_focal_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, ix ld, double scale,
                                 double* per_sample, real* gradient) noexcept nogil:
    """With h the slopes, the gradient in a logit z_j is h_j (1 - q_j) - q_j (sum of the other h), and in p_j that over p_j."""
    cdef bint logits = loss.kind == CATEGORICAL_FOCAL_FROM_LOGITS
    cdef Terms terms[ROW_BLOCK]
    cdef FocalRow row[ROW_BLOCK]
    cdef FocalClasses found
    cdef ix last[ROW_BLOCK]
    cdef double slopes[ROW_BLOCK]
    cdef double whole[ROW_BLOCK]                   # sum of the terms
    cdef ix r = 0, i, j, k, n, m, c
    cdef real shift = R(loss.smoothing/<double>K), x, low
    cdef double t, u
    cdef const real* pr
    cdef real* g
    while r < rows:
        n = rows_at_once(rows - r, ld)
        if logits: exponentials(True, n, K, p + r*ld, y + r*ld, ld, gradient + r*ld, terms)
        for i in range(n):
            pr = p + (r + i)*ld
            if logits:
                j = terms[i].top
                x, t = gradient[(r + i)*ld + j], terms[i].rest
                low = low_part(t) + terms[i].rest_low
                u = <double>x + (t + (<double>terms[i].rest_low + <double>terms[i].top_low))
                x = quotient_pair(R(t), low, x, terms[i].top_low, &low)
                focal_row(&row[i], R(1), x, low, pr[j])
            else:
                j = row_maximum(K, pr)
                t = sum_of_others(K, pr, j, &low)
                u = <double>pr[j] + t
                focal_row(&row[i], pr[j], R(t), low_part(t) + low, pr[j])
            whole[i] = u
            per_sample[r + i] = slopes[i] = 0*(u/u)               # NaN where q is
        k = 0
        while k < K:                               # at once, but for a very long row
            m = min(K - k, <ix>SEGMENT)
            focal_piece(loss, row, n, k, m, p + r*ld + k, y + r*ld + k, ld, shift, &found, last)
            c = 0
            for i in range(n):
                while c < last[i]:
                    per_sample[r + i] += <double>found.cost[c]
                    slopes[i] += <double>found.slope[c]
                    c += 1
            k += m
        for i in range(n):
            g = gradient + (r + i)*ld
            x = R(-scale*slopes[i]/whole[i])
            if logits:
                for j in range(K): g[j] *= x
            else:
                for j in range(K): g[j] = x
        k = 0
        while k < K:
            m = min(K - k, <ix>SEGMENT)
            if m < K: focal_piece(loss, row, n, k, m, p + r*ld + k, y + r*ld + k, ld, shift, &found, last)
            c = 0
            for i in range(n):
                t = scale if logits else scale/whole[i]
                while c < last[i]:
                    u = slopes[i] - <double>found.slope[c]
                    gradient[(r + i)*ld + found.at[c]] = R(t*(<double>found.own[c] - u*<double>found.share[c]))
                    c += 1
            k += m
        r += n


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
