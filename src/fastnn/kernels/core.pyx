# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, freethreading_compatible=True
"""The compiled core.  This one source is built once for each instruction set and dtype; see setup.py and kernels/__init__.py.

Everything is included into one C file, so that the compiler sees through it: simd (the element and vector types), gemm,
elementary functions, sums, activations, losses, optimizers, random numbers, the engine that makes a network of them with
its ways through single samples and tiny networks, the predictor, and the optimizer of other arrays.
Functions here check what would crash; fastnn.validation checks what users pass, and says it better.
"""
cimport numpy as cnp
from cpython.ref cimport PyObject
from libc.math cimport isfinite, sqrt
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import numpy as np

cnp.import_array()

include "simd.pxi"
include "gemm.pxi"
include "elementary.pxi"
include "sums.pxi"
include "team.pxi"
include "activations_elementwise.pxi"
include "activations.pxi"
include "losses.pxi"
include "optimizers.pxi"
include "random.pxi"
include "layers.pxi"
include "pieces.pxi"

DTYPE = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)
VECTOR_LENGTH = VL
cdef int TYPE_NUMBER = DTYPE.num


def aligned(Py_ssize_t n, cnp.ndarray beside=None):
    """n zeros, 1-D, on a cache line, with a spare one behind them.  The state of a large variable, `beside`, is as far
    behind a line as that: update() begins at one."""
    raw = np.zeros(n*sizeof(real) + 192, np.uint8)
    start = -<Py_ssize_t>cnp.PyArray_DATA(raw) & 63
    if beside is not None and n >= MANY: start += <Py_ssize_t>cnp.PyArray_DATA(beside) & 63
    return raw[start:start + n*sizeof(real)].view(DTYPE)


cdef void* readable(cnp.ndarray a, str name) except? NULL:
    """Its data, where it is a C-contiguous array of the module's dtype."""
    if a.dtype != DTYPE or not cnp.PyArray_IS_C_CONTIGUOUS(a):
        raise ValueError(f"{name} is {a.dtype} with strides {(<object>a).strides}, expected C-contiguous {DTYPE}")
    return cnp.PyArray_DATA(a)


cdef void* writable(cnp.ndarray a, str name) except? NULL:
    if not a.flags.writeable: raise ValueError(f"{name} is read-only")
    return readable(a, name)


cdef int same_size(cnp.ndarray a, Py_ssize_t n, str name) except -1:
    if a.size != n: raise ValueError(f"{name} has {a.size} elements, expected {n}")
    return 0


cdef int fill_optimizer(Optimizer* o, dict hyperparameters, tuple state, Py_ssize_t n) except -1:
    """`state`: arrays of n elements: the rule's; the average where ema_momentum is not None; the sum of gradients where
    accumulation_steps is above 1."""
    cdef int i, of_rule
    cdef bint averages = hyperparameters["ema_momentum"] is not None
    names = [name for name, _ in UPDATE_RULES]
    memset(o, 0, sizeof(Optimizer))
    o.h = hyperparameters | {"rule": names.index(hyperparameters["rule"]), "ema_momentum": hyperparameters["ema_momentum"] or 0.0}
    if o.h.accumulation_steps < 1: raise ValueError(f"accumulation_steps is {o.h.accumulation_steps}, expected at least 1")
    of_rule = UPDATE_RULES[o.h.rule][1]
    if len(state) != of_rule + averages + (o.h.accumulation_steps > 1):
        raise ValueError(f"state has {len(state)} arrays, expected {of_rule + averages + (o.h.accumulation_steps > 1)}")
    for array in state: same_size(array, n, "state")
    for i in range(of_rule): o.state[i] = <real*>writable(state[i], "state")
    if averages: o.average = <real*>writable(state[of_rule], "state")
    if o.h.accumulation_steps > 1: o.accumulated = <real*>writable(state[len(state) - 1], "state")
    return 0


cdef class LossKernel:
    """One loss with its options.

    Parameters
    ----------
    kind : int
        A LossKind.
    options : dict
        Of label_smoothing, delta, quantile, gamma, alpha (a float, or an array with one for each class), balanced and
        ignores, those that the kind has.
    """
    cdef Loss loss
    cdef object class_alpha

    def __cinit__(self, int kind, dict options):
        cdef Loss* o = &self.loss
        cdef double alpha = 1, q = options.get("quantile", 0.5)
        if not 0 <= kind < LOSS_KINDS: raise ValueError(f"kind is {kind}, expected 0 to {LOSS_KINDS - 1}")
        o.kind = <LossKind>kind
        o.accuracy = NO_ACCURACY
        o.threshold = R(0.5)
        o.smoothing = options.get("label_smoothing", 0.0)
        o.keep, o.shift = R(1 - o.smoothing), R(o.smoothing/2)
        o.delta = R(options.get("delta", 1.0))
        o.over, o.under = R(q), R(1 - <double>R(q))
        o.gamma = R(options.get("gamma", 2.0))
        o.balanced = options.get("balanced", False)
        o.ignores = options.get("ignores", False)
        o.class_alpha = NULL
        self.class_alpha = options.get("alpha", 1.0)
        if isinstance(self.class_alpha, np.ndarray): o.class_alpha = <const real*>readable(self.class_alpha, "alpha")
        else: alpha = self.class_alpha
        o.alpha, o.alpha_no = R(alpha), R(1 - <double>R(alpha))
        o.label_scale, o.label_shift = R(1), R(0)

    def cost(self, cnp.ndarray y, cnp.ndarray p, sample_weight, double scale, per_sample, gradient, int threads=1):
        """Sum of the weighted losses of the rows of p, whose last axis is the outputs.

        y is of p's size, or int32 labels, one for each row (a negative one is ignored).  Where they are not None, losses go
        into per_sample, float64, and `scale` times the gradient of the sum into `gradient`, of p's size.
        """
        cdef CostJob job
        cdef ix n = p.size
        cdef int last = cnp.PyArray_NDIM(p) - 1
        if last < 0 or cnp.PyArray_DIM(p, last) == 0: raise ValueError(f"p has shape {(<object>p).shape}, expected (…, K), K > 0")
        job.p = <const real*>readable(p, "p")
        job.K = cnp.PyArray_DIM(p, last)
        job.rows = n//job.K
        job.y = NULL
        job.labels = NULL
        job.weights = NULL
        job.per_sample = NULL
        job.gradient = NULL
        if y.dtype == np.int32:
            if not cnp.PyArray_IS_C_CONTIGUOUS(y): raise ValueError("y is not C-contiguous")
            job.labels = <const int32_t*>cnp.PyArray_DATA(y)
            same_size(y, job.rows, "y")
        else:
            job.y = <const real*>readable(y, "y")
            same_size(y, n, "y")
        if sample_weight is not None:
            job.weights = <const real*>readable(sample_weight, "sample_weight")
            same_size(sample_weight, job.rows, "sample_weight")
        if per_sample is not None:
            if per_sample.dtype != np.float64 or not cnp.PyArray_IS_C_CONTIGUOUS(per_sample):
                raise ValueError(f"per_sample is {per_sample.dtype}, expected C-contiguous float64")
            if not per_sample.flags.writeable: raise ValueError("per_sample is read-only")
            same_size(per_sample, job.rows, "per_sample")
            job.per_sample = <double*>cnp.PyArray_DATA(per_sample)
        if gradient is not None:
            same_size(gradient, n, "gradient")
            job.gradient = <real*>writable(gradient, "gradient")
        if self.loss.class_alpha: same_size(self.class_alpha, job.K, "alpha")
        return self.run(&job, scale, threads)

    def quick(self, y, p, bint labelled, bint mean, bint wanted, out=None):
        """(cost, gradient) or the cost alone, where y and p are what nearly all calls bring: C-contiguous native arrays, p of
        the module's dtype, y like it or int64 labels of its samples, and `out`, if any, like p and apart from both; anything
        else is None."""
        cdef CostJob job
        cdef ix n
        cdef int dimensions
        cdef double scale = 1
        cdef cnp.npy_intp rows[1]
        cdef cnp.ndarray g, yy, pp, labels
        if type(y) is not cnp.ndarray or type(p) is not cnp.ndarray: return None
        yy, pp = y, p
        dimensions = cnp.PyArray_NDIM(pp)
        n = cnp.PyArray_SIZE(pp)
        if not is_ready(pp) or n == 0 or n >= PARALLEL or self.loss.class_alpha: return None
        if dimensions < 2 and (dimensions == 0 or not is_elementwise(&self.loss)): return None
        job.K = cnp.PyArray_DIM(pp, dimensions - 1) if dimensions > 1 else 1
        job.rows = n//job.K
        job.p = <const real*>cnp.PyArray_DATA(pp)
        job.y = NULL
        job.labels = NULL
        if labelled:
            if cnp.PyArray_TYPE(yy) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(yy): return None
            if not leading_shape(yy, pp, dimensions - 1): return None
            rows[0] = job.rows
            labels = cnp.PyArray_EMPTY(1, rows, cnp.NPY_INT32, 0)
            job.labels = <const int32_t*>cnp.PyArray_DATA(labels)
            if not narrow(job.rows, <const int64_t*>cnp.PyArray_DATA(yy), job.K, <int32_t*>cnp.PyArray_DATA(labels)): return None
        else:
            if not (is_ready(yy) and leading_shape(yy, pp, dimensions)): return None
            job.y = <const real*>cnp.PyArray_DATA(yy)
        job.weights = NULL
        job.per_sample = NULL
        job.gradient = NULL
        if mean: scale = 1.0/<double>job.rows
        if not wanted: return self.run(&job, scale, 1)*scale
        if out is None: g = cnp.PyArray_EMPTY(dimensions, cnp.PyArray_DIMS(pp), TYPE_NUMBER, 0)
        elif type(out) is cnp.ndarray:
            g = out
            if not (is_ready(g) and cnp.PyArray_ISWRITEABLE(g) and leading_shape(g, pp, dimensions)): return None
            if overlap(g, pp) or overlap(g, yy): return None
        else: return None
        job.gradient = <real*>cnp.PyArray_DATA(g)
        return self.run(&job, scale, 1)*scale, g

    cdef double run(self, CostJob* job, double scale, int threads) except? -1:
        cdef double few[64]
        cdef double result
        cdef object sums, scratch
        cdef ix n = job.rows*job.K
        job.loss = self.loss
        job.scale = scale
        job.block = max(BLOCK//job.K, <ix>1)
        job.blocks = (job.rows + job.block - 1)//job.block
        job.sums = few
        job.scratch = NULL
        if job.blocks > 64:
            sums = np.empty(job.blocks)
            job.sums = <double*>cnp.PyArray_DATA(sums)
        if job.K > BLOCK and job.gradient == NULL:
            scratch = np.empty(threads*job.K, DTYPE)
            job.scratch = <real*>cnp.PyArray_DATA(scratch)
        if (job.loss.kind == HINGE or job.loss.kind == SQUARED_HINGE) and all_binary(n, job.y):
            job.loss.label_scale, job.loss.label_shift = R(2), R(-1)
        if n < 32768: return cost(job, 1)              # to let go of the GIL costs more than it gives
        with nogil: result = cost(job, threads)
        return result


cdef enum:
    PARALLEL = 1000000         # elements from which two threads may pay


cdef inline bint is_ready(cnp.ndarray a):
    return cnp.PyArray_TYPE(a) == TYPE_NUMBER and cnp.PyArray_ISCARRAY_RO(a)


cdef inline bint leading_shape(cnp.ndarray a, cnp.ndarray b, int n):
    """Whether a has n dimensions, the first n of b."""
    cdef int i
    if cnp.PyArray_NDIM(a) != n: return False
    for i in range(n):
        if cnp.PyArray_DIM(a, i) != cnp.PyArray_DIM(b, i): return False
    return True


cdef inline bint overlap(cnp.ndarray a, cnp.ndarray b):
    """Of the memory of two C-contiguous arrays."""
    cdef const char* p = <const char*>cnp.PyArray_DATA(a)
    cdef const char* q = <const char*>cnp.PyArray_DATA(b)
    return p < q + cnp.PyArray_NBYTES(b) and q < p + cnp.PyArray_NBYTES(a)


cdef bint narrow(ix n, const int64_t* labels, int64_t classes, int32_t* to) noexcept nogil:
    """Copy labels; false where one is outside 0 .. classes."""
    cdef ix i
    cdef int outside = 0
    for i in range(n):
        outside |= (labels[i] < 0) | (labels[i] >= classes)
        to[i] = <int32_t>labels[i]
    return not outside


include "network.pxi"
include "engine.pxi"
include "updater.pxi"
include "single.pxi"
include "tiny.pxi"
include "predictor.pxi"

THREADS = bool(FASTNN_THREADS)
MAX_THREADS = <int>MAX_TEAM


# ---- the kernels on their own ------------------------------------------------------------------------------------------

def activation(int kind, alpha, cnp.ndarray z, Py_ssize_t n):
    """z <- f(z) in place, over rows of n elements."""
    cdef Alpha made = alpha_of(alpha)
    cdef real* p = <real*>writable(z, "z")
    cdef ix rows = z.size//n if n else 0
    with nogil: activate(kind, made, rows, n, p, n)


def activation_keeping_slope(int kind, cnp.ndarray z, cnp.ndarray slope, Py_ssize_t n):
    """z <- f(z) in place and slope <- f'(z), for a function of SLOPES_KEPT."""
    cdef real* p = <real*>writable(z, "z")
    cdef real* q = <real*>writable(slope, "slope")
    cdef ix rows = z.size//n if n else 0
    same_size(slope, z.size, "slope")
    with nogil: activate_keeping_slope(kind, rows, n, p, q, n)


SLOPES_KEPT = tuple(kind for kind in range(ACTIVATIONS) if keeps_slope(kind))


def activation_backward(int kind, alpha, cnp.ndarray a, cnp.ndarray d, Py_ssize_t n):
    """d <- d f'(z) in place, from a = f(z)."""
    cdef Alpha made = alpha_of(alpha)
    cdef const real* p = <const real*>readable(a, "a")
    cdef real* q = <real*>writable(d, "d")
    cdef ix rows = a.size//n if n else 0
    same_size(d, a.size, "d")
    with nogil: activation_gradient(kind, made, rows, n, p, q, n)


cdef inline bint usable_with(cnp.ndarray a, cnp.ndarray like):
    """Whether it has the shape and dtype of `like`, and the very same memory or no byte of it."""
    cdef const char* p = <const char*>cnp.PyArray_DATA(a)
    cdef const char* q = <const char*>cnp.PyArray_DATA(like)
    return (is_ready(a) and leading_shape(a, like, cnp.PyArray_NDIM(like))
            and (p == q or p >= q + cnp.PyArray_NBYTES(like) or q >= p + cnp.PyArray_NBYTES(a)))


def apply_activation(int kind, alpha, bint gradient, x, upstream, out, int threads):
    """f(x), or the gradient upstream f'(x) (upstream may be None: ones), in `out` or where that is None in a new array.

    None, with nothing done, where an array is not C-contiguous, aligned and native, of one dtype (the module's) and shape,
    or lies partly over another; and for threads = 0 where there is work for more than one."""
    cdef ActivationJob job
    cdef cnp.ndarray xx, uu, result
    cdef object scratch
    cdef ix n
    if type(x) is not cnp.ndarray or not is_ready(x): return None
    xx = x
    n = cnp.PyArray_SIZE(xx)
    job.activation, job.alpha, job.gradient = kind, alpha_of(alpha), gradient
    if is_rowwise(kind):
        if cnp.PyArray_NDIM(xx) == 0: return None
        job.K = cnp.PyArray_DIM(xx, cnp.PyArray_NDIM(xx) - 1)
        if job.K == 0 or (gradient and upstream is None): return None
    else: job.K = 1
    if threads == 0:
        if n >= PARALLEL: return None
        threads = 1
    if out is None: result = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(xx), cnp.PyArray_DIMS(xx), TYPE_NUMBER, 0)
    else:
        if type(out) is not cnp.ndarray: return None
        result = out
        if not cnp.PyArray_ISWRITEABLE(result) or not usable_with(result, xx): return None
    job.upstream = NULL
    if upstream is not None:
        if type(upstream) is not cnp.ndarray: return None
        uu = upstream
        if not is_ready(uu) or not leading_shape(uu, xx, cnp.PyArray_NDIM(xx)) or not usable_with(result, uu): return None
        job.upstream = <const real*>cnp.PyArray_DATA(uu)
    job.x, job.out = <const real*>cnp.PyArray_DATA(xx), <real*>cnp.PyArray_DATA(result)
    job.rows = n//job.K
    job.block = max(ACTIVATION_BLOCK//job.K, <ix>1)
    job.blocks = (job.rows + job.block - 1)//job.block
    job.scratch = NULL
    if gradient and job.K > ACTIVATION_BLOCK:
        scratch = np.empty(threads*job.K, DTYPE)
        job.scratch = <real*>cnp.PyArray_DATA(scratch)
    if n < 32768: activation_member(&job, 0, 1)       # to let go of the GIL costs more than it gives
    else:
        with nogil: team_run(activation_member, &job, threads, &job.barrier)
    return result


def draw_permutation(Py_ssize_t n, uint64_t seed, uint32_t epoch):
    """The order of an epoch's samples."""
    cdef cnp.ndarray order = np.empty(n, np.intp)
    cdef ix* p = <ix*>cnp.PyArray_DATA(order)
    with nogil: permutation(n, seed, epoch, p)
    return order


def philox_block(counter, uint64_t key):
    """The four words of one counter."""
    cdef uint32_t c[4]
    c[0], c[1], c[2], c[3] = counter
    philox(c, key)
    return c[0], c[1], c[2], c[3]


ELEMENTARY = ("exp", "log", "log1p", "tanh", "sigmoid")


def elementary(str name, cnp.ndarray x, cnp.ndarray out):
    """out <- one of ELEMENTARY of x."""
    cdef const real* p = <const real*>readable(x, "x")
    cdef real* q = <real*>writable(out, "out")
    cdef ix i, n = x.size
    cdef int which = ELEMENTARY.index(name)
    same_size(out, n, "out")
    with nogil:
        if which == 0:
            for i in range(n): q[i] = exp_(p[i])
        elif which == 1:
            for i in range(n): q[i] = log_(p[i])
        elif which == 2:
            for i in range(n): q[i] = log1p_(p[i])
        elif which == 3:
            for i in range(n): q[i] = tanh_(p[i])
        else:
            for i in range(n): q[i] = sigmoid_(p[i])


def multiply_add_peak(Py_ssize_t repeats):
    """Floating-point operations per second of multiply-adds in registers alone, on one core: the limit for any product."""
    cdef vec acc[12]
    cdef vec a = vsplat(R(1.0000001)), b = vsplat(R(1e-9))
    cdef real total[VL]
    cdef ix _
    cdef int i
    cdef double start, spent
    for i in range(12): acc[i] = vsplat(R(i))
    with nogil:
        start = seconds()
        for _ in range(repeats):
            for i in range(12): acc[i] = vfmadd(acc[i], a, b)
        spent = seconds() - start
    for i in range(12): acc[0] = acc[0] + acc[i]
    vstore(total, acc[0])
    return 24.0*VL*repeats/spent, total[0]     # the sum, so that no compiler drops the work


def product(cnp.ndarray a, cnp.ndarray b, cnp.ndarray c, bias=None, bint add=False, bint relu=False, gate=None):
    """c <- [bias +] a b, then relu or gate, by gemm: for tests and benchmarks.

    a (M, K) and b (K, N) may have any strides of which one is the element's; c and gate (M, N) have rows one stride apart.
    b, bias and gate must have VECTOR_LENGTH elements of memory behind their last one."""
    cdef ix e = sizeof(real), M = cnp.PyArray_DIM(a, 0), K = cnp.PyArray_DIM(a, 1), N = cnp.PyArray_DIM(b, 1)
    cdef ix ras = cnp.PyArray_STRIDE(a, 0)//e, cas = cnp.PyArray_STRIDE(a, 1)//e
    cdef ix rbs = cnp.PyArray_STRIDE(b, 0)//e, cbs = cnp.PyArray_STRIDE(b, 1)//e, ldc = cnp.PyArray_STRIDE(c, 0)//e
    cdef const real* pa = <const real*>cnp.PyArray_DATA(a)
    cdef const real* pb = <const real*>cnp.PyArray_DATA(b)
    cdef real* pc = <real*>cnp.PyArray_DATA(c)
    cdef const real* pbias = <const real*>cnp.PyArray_DATA(bias) if bias is not None else NULL
    cdef const real* pgate = <const real*>cnp.PyArray_DATA(gate) if gate is not None else NULL
    cdef cnp.ndarray scratch = np.empty(GEMM_WORK, DTYPE)
    cdef real* work = <real*>cnp.PyArray_DATA(scratch)
    for name, array, shape in ("b", b, (K, N)), ("c", c, (M, N)), ("gate", gate, (M, N)), ("bias", bias, (N,)):
        if array is not None and array.shape != shape: raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
    if not c.flags.writeable: raise ValueError("c is read-only")
    if not a.dtype == b.dtype == c.dtype == DTYPE: raise ValueError(f"a, b and c are {a.dtype}, {b.dtype} and {c.dtype}, expected {DTYPE}")
    if add and K > MAX_ADD: raise ValueError(f"add: K is {K}, expected at most {MAX_ADD}")
    with nogil: gemm(M, N, K, pa, ras, cas, pb, rbs, cbs, pc, ldc, pbias, ADD if add else SET, relu, pgate, work)
