# What core.pyx takes from simd.h.  `real` is float or double; `vec` is declared as one element, and is a vector of VL of
# them: Cython writes the operators, the C compiler does the lane arithmetic.
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

ctypedef Py_ssize_t ix

cdef extern from "simd.h" nogil:
    ctypedef float real
    ctypedef int ireal
    ctypedef real vec
    enum: LINE
    enum: VL
    enum: MR
    enum: MANTISSA_BITS
    enum: EXPONENT_BIAS
    int TILE_ROWS(int)
    vec vload(const real*)
    void vstore(real*, vec)
    vec vzero()
    vec vsplat(real)
    vec vrelu(vec)
    vec vgate(vec, vec)
    vec vlarger(vec, vec)
    vec vfmadd(vec, vec, vec)
    void vaccumulate(vec, vec, vec)
    void prefetch_write(const void*)
    void prefetch_read(const void*)
    void hold_pointer(const void*)
    real fmadd(real, real, real)
    real product_tail(real, real, real)
    void transpose4x4(const real*, ix, real*, ix)
    enum: STREAMS
    ix stream(real*, real*, ix, ix)
    void stream_fence()
    real R(double)
    ireal bits(real)
    real from_bits(ireal)
    real power_of_2(ireal)
    ireal shift_out_mantissa(ireal)
    real choose(bint, real, real)
    ireal MANTISSA_MASK
    ireal ABS_MASK
    ireal EXPONENT_BIAS_BITS
    double TWO_TO_MANTISSA
    ireal SQRT_HALF_BITS
    real REAL_INFINITY
    real REAL_NAN
    real real_sqrt(real)


cdef inline ix round_up(ix n, ix to) noexcept nogil:
    return (n + to - 1)//to*to


cdef inline ix padded(ix n) noexcept nogil:
    """Elements from one row of a buffer of ours to the next: whole cache lines, and no multiple of 1 KiB, at which the
    rows of a tile would all fall into the same few sets of the first cache.  A single column stays dense."""
    cdef ix lines = (n + LINE - 1)//LINE
    if n == 1: return 1
    return (lines + 1 if lines % 16 == 0 else lines)*LINE
