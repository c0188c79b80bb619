# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False, freethreading_compatible=True
"""The compiled core.  This one source is built once for each instruction set and dtype; see setup.py and kernels/__init__.py.

Everything is included into one C file, so that the compiler sees through it: simd (the element and vector types), gemm,
elementary functions, sums, activations, losses, optimizers, random numbers, the engine that makes a network of them, and
the optimizer of other arrays.
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
include "activations.pxi"
include "losses.pxi"
include "optimizers.pxi"
include "random.pxi"
include "team.pxi"
include "pieces.pxi"

DTYPE = np.dtype(np.float32 if sizeof(real) == 4 else np.float64)
VECTOR_LENGTH = VL
cdef int TYPE_NUMBER = DTYPE.num


def aligned(Py_ssize_t n):
    """n zeros, 1-D, on a cache line, with a spare one behind them."""
    raw = np.zeros(n*sizeof(real) + 128, np.uint8)
    start = -<Py_ssize_t>cnp.PyArray_DATA(raw) & 63
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


include "engine.pxi"
include "updater.pxi"
include "single.pxi"
include "tiny.pxi"
include "predictor.pxi"

THREADS = bool(FASTNN_THREADS)
MAX_THREADS = <int>MAX_TEAM


# ---- the kernels on their own ------------------------------------------------------------------------------------------

def activation(int kind, cnp.ndarray z, Py_ssize_t n):
    """z <- f(z) in place, over rows of n elements."""
    cdef real* p = <real*>writable(z, "z")
    cdef ix rows = z.size//n if n else 0
    with nogil: activate(kind, rows, n, p, n)


def activation_backward(int kind, cnp.ndarray a, cnp.ndarray d, Py_ssize_t n):
    """d <- d f'(z) in place, from a = f(z)."""
    cdef const real* p = <const real*>readable(a, "a")
    cdef real* q = <real*>writable(d, "d")
    cdef ix rows = a.size//n if n else 0
    same_size(d, a.size, "d")
    with nogil: activation_gradient(kind, rows, n, p, q, n)


def loss(int kind, double label_smoothing, cnp.ndarray y, cnp.ndarray p, sample_weight, double scale, cnp.ndarray per_sample, gradient):
    """Losses of the rows of p (N, K) into per_sample (N,) float64, and where gradient (N, K) is not None scale times the
    gradient of their sum.  y is (N, K), or int32 labels (N,)."""
    cdef Loss spec
    cdef ix N, K, r = 0, n, block
    cdef const real* pp = <const real*>readable(p, "p")
    cdef const real* yy = NULL
    cdef const int32_t* labels = NULL
    cdef const real* w = NULL
    cdef real* g
    cdef double* out = <double*>cnp.PyArray_DATA(per_sample)
    cdef bint wanted = gradient is not None
    if cnp.PyArray_NDIM(p) != 2 or cnp.PyArray_DIM(p, 1) == 0: raise ValueError(f"p has shape {(<object>p).shape}, expected (N, K), K > 0")
    N, K = cnp.PyArray_DIM(p, 0), cnp.PyArray_DIM(p, 1)
    if per_sample.dtype != np.float64 or not cnp.PyArray_IS_C_CONTIGUOUS(per_sample):
        raise ValueError(f"per_sample is {per_sample.dtype}, expected C-contiguous float64")
    if not per_sample.flags.writeable: raise ValueError("per_sample is read-only")
    same_size(per_sample, N, "per_sample")
    if y.dtype == np.int32:
        if not cnp.PyArray_IS_C_CONTIGUOUS(y): raise ValueError("y is not C-contiguous")
        labels = <const int32_t*>cnp.PyArray_DATA(y)
        same_size(y, N, "y")
    else:
        yy = <const real*>readable(y, "y")
        same_size(y, N*K, "y")
    if sample_weight is not None:
        w = <const real*>readable(sample_weight, "sample_weight")
        same_size(sample_weight, N, "sample_weight")
    block = N if wanted else max(4096//max(K, <ix>1), <ix>1)       # rows at once: the gradient is the losses' scratch
    if wanted: same_size(gradient, N*K, "gradient")
    else: gradient = np.empty((min(block, N), K), DTYPE)
    g = <real*>writable(gradient, "gradient")
    spec.kind, spec.label_smoothing, spec.accuracy, spec.threshold = <LossKind>kind, R(label_smoothing), NO_ACCURACY, R(0.5)
    with nogil:
        while r < N:
            n = min(N - r, block)
            loss_rows(&spec, n, K, pp + r*K, yy + r*K if yy else NULL, labels + r if labels else NULL, w + r if w else NULL, K,
                      scale, out + r, g)
            r += n


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
