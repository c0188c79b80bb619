# Losses, one value for each sample (row), and the gradient of the cost with respect to the predictions.

cdef enum LossKind:
    MEAN_SQUARED_ERROR = 0
    BINARY_CROSSENTROPY = 1
    BINARY_CROSSENTROPY_FROM_LOGITS = 2
    CATEGORICAL_CROSSENTROPY = 3            # the target is a row of y, or a label where y is NULL
    CATEGORICAL_CROSSENTROPY_FROM_LOGITS = 4
    MEAN_ABSOLUTE_ERROR = 5
    MEAN_ABSOLUTE_PERCENTAGE_ERROR = 6
    MEAN_SQUARED_LOGARITHMIC_ERROR = 7
    HUBER = 8
    LOG_COSH = 9
    QUANTILE = 10
    POISSON = 11
    GAMMA = 12
    KL_DIVERGENCE = 13
    KL_DIVERGENCE_FROM_LOGITS = 14
    BINARY_FOCAL = 15
    BINARY_FOCAL_FROM_LOGITS = 16
    HINGE = 17
    SQUARED_HINGE = 18
    CATEGORICAL_HINGE = 19
    COSINE_SIMILARITY = 20
    CATEGORICAL_FOCAL = 21
    CATEGORICAL_FOCAL_FROM_LOGITS = 22
    LOSS_KINDS

cdef enum Accuracy:
    NO_ACCURACY = 0
    BINARY_ACCURACY = 1                     # mean of [p > threshold] == y
    CATEGORICAL_ACCURACY = 2                # argmax p == argmax y, or the label

cdef struct Loss:
    LossKind kind
    Accuracy accuracy
    real threshold
    double smoothing                        # of labels:
    real keep                               # 1 - smoothing
    real shift                              # smoothing/2
    real delta                              # of Huber
    real over                               # of a quantile q: the slopes q
    real under                              # and 1 - q
    real gamma                              # of the focal losses
    real alpha
    real alpha_no                           # 1 - alpha
    bint balanced
    const real* class_alpha                 # one for each class, or NULL
    bint ignores                            # samples with a negative label, in the number that a mean divides by
    real label_scale                        # of the hinges: 2 and -1 where labels are 0 and 1, which become -1 and 1
    real label_shift

cdef enum:
    SEGMENT = 1024                          # elements whose losses are held at once
    ROW_BLOCK = 64                          # rows whose logarithms are taken at once
    STREAMED_AT_ONCE = 512                  # elements of a gradient

include "losses_elementwise.pxi"
include "losses_classes.pxi"


cdef inline bint is_elementwise(const Loss* loss) noexcept nogil:
    return not (CATEGORICAL_CROSSENTROPY <= loss.kind <= CATEGORICAL_CROSSENTROPY_FROM_LOGITS
                or loss.kind == KL_DIVERGENCE_FROM_LOGITS or loss.kind >= CATEGORICAL_HINGE)


cdef void loss_rows(const Loss* loss, ix rows, ix K, const real* p, const real* y, const int32_t* labels, const real* weights, ix ld,
                    double scale, double* per_sample, real* gradient) noexcept nogil:
    """per_sample[r] = w_r L_r and gradient[r, :] = scale w_r dL_r/dp, for predictions p, targets y (or labels; where one is
    negative, L_r is 0) and a gradient whose rows lie `ld` apart.  `gradient` is used as scratch, and so always wanted; it may
    not alias p or y."""
    cdef ix r, j
    if is_elementwise(loss): elementwise_rows(loss, rows, K, p, y, ld, scale, per_sample, gradient)
    elif loss.kind == CATEGORICAL_HINGE: categorical_hinge_rows(rows, K, p, y, ld, scale, per_sample, gradient)
    elif loss.kind == COSINE_SIMILARITY: cosine_similarity_rows(rows, K, p, y, ld, scale, per_sample, gradient)
    elif loss.kind >= CATEGORICAL_FOCAL: categorical_focal_rows(loss, rows, K, p, y, ld, scale, per_sample, gradient)
    elif loss.kind != CATEGORICAL_CROSSENTROPY:
        crossentropy_from_logits_rows(loss, rows, K, p, y, labels, ld, scale, per_sample, gradient)
    elif y == NULL: crossentropy_of_labels_rows(rows, K, p, labels, ld, scale, per_sample, gradient)
    else: crossentropy_rows(loss, rows, K, p, y, ld, scale, per_sample, gradient)
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


# ---- the cost of many rows ----------------------------------------------------------------------------------------------

cdef struct CostJob:
    # Rows without gaps.  They are worked on in blocks, whose sums are added in order: no result depends on the threads.
    Loss loss
    ix rows
    ix K
    const real* p
    const real* y
    const int32_t* labels
    const real* weights
    double scale
    double* per_sample         # or NULL
    real* gradient             # or NULL
    ix block                   # rows
    ix blocks
    double* sums               # one for each block
    real* scratch              # of max(K, BLOCK) elements for each member, where it needs more than a block on its stack
    team_barrier barrier

cdef enum:
    BLOCK = SEGMENT            # elements of a block of several rows
    STREAMED = 4194304         # bytes of a gradient that, with what it is made from, does not fit into the caches


cdef void cost_of_blocks(CostJob* job, ix first, ix last, real* scratch) noexcept nogil:
    cdef double values[BLOCK]
    cdef double* per_sample
    cdef real* g
    cdef ix b, r, n, held = 0, K = job.K
    cdef bint flat = is_elementwise(&job.loss) and job.per_sample == NULL and job.weights == NULL and K <= BLOCK
    cdef bint streams = STREAMS and flat and job.gradient and job.rows*K*<ix>sizeof(real) >= STREAMED
    for b in range(first, last):
        r = b*job.block
        n = min(job.rows - r, job.block)
        g = job.gradient + r*K if job.gradient and not streams else scratch
        if flat:
            job.sums[b] = elementwise_sum(&job.loss, n*K, K, job.p + r*K, job.y + r*K, job.scale, g,
                                          job.gradient + r*K if streams else NULL, &held)
        else:
            per_sample = job.per_sample + r if job.per_sample else values
            loss_rows(&job.loss, n, K, job.p + r*K, job.y + r*K if job.y else NULL, job.labels + r if job.labels else NULL,
                      job.weights + r if job.weights else NULL, K, job.scale, per_sample, g)
            job.sums[b] = lane_sum_double(n, per_sample)
    if streams:
        g = job.gradient + min(job.rows, last*job.block)*K
        for r in range(-held, 0): g[r] = scratch[r]
        stream_fence()


cdef int cost_member(void* argument, int member, int members) noexcept nogil:
    cdef CostJob* job = <CostJob*>argument
    cdef real block[LINE + BLOCK]                  # the first LINE for what `stream` holds back
    cost_of_blocks(job, job.blocks*member//members, job.blocks*(member + 1)//members,
                   job.scratch + member*job.K if job.scratch else block + LINE)
    return 0


cdef double cost(CostJob* job, int threads) noexcept nogil:
    if threads > 1: team_run(cost_member, job, threads, &job.barrier)
    else: cost_member(job, 0, 1)
    return lane_sum_double(job.blocks, job.sums)


cdef bint all_binary(ix n, const real* y) noexcept nogil:
    """Whether all labels are 0 or 1."""
    cdef ix i = 0, j, m
    cdef int others
    while i < n:
        m = min(n - i, <ix>SEGMENT)
        others = 0
        for j in range(m): others |= (y[i + j] != R(0)) & (y[i + j] != R(1))
        if others: return False
        i += m
    return True
