/* One element type, one vector type and one multiply-add for each build of core.pyx; everything above is Cython.

   Bits.  The build forbids the compiler to contract a*b + c by itself (-ffp-contract=off); where the kernels want a fused
   multiply-add they say fmadd() or vfmadd().  So the bits depend on no compiler's and no vectoriser's choice: they are the
   same in every build whose machine has FMA (x86-64-v3, x86-64-v4, arm64).  Without FMA (x86-64-v2, plain) fmadd() rounds
   twice, and the results differ in the last bits. */
#ifndef FASTNN_SIMD_H
#define FASTNN_SIMD_H
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef FASTNN_F64
typedef double real;
typedef int64_t ireal;               /* the integer of the same width, for bit patterns */
typedef uint64_t ureal;
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#else
typedef float real;
typedef int32_t ireal;
typedef uint32_t ureal;
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#endif
#define R(c) ((real)(c))             /* a bare literal of Cython's is a C double and would drag float code to double */

#define LINE ((int)(64 / sizeof(real)))    /* elements in a cache line: the unit of padding */

/* ---- the vector type.  MR x 2 vectors is the tile that the registers hold: 8 x 2 of 32 registers, 6 x 2 of 16. ---- */
#if (defined(__GNUC__) || defined(__clang__)) && !defined(FASTNN_PLAIN)
  #if defined(__AVX512F__)
    #define VECTOR_BYTES 64
    #define MR 8
  #elif defined(__AVX__)
    #define VECTOR_BYTES 32
    #define MR 6
  #else
    #define VECTOR_BYTES 16
    #if defined(__aarch64__)
      #define MR 8
    #else
      #define MR 4
    #endif
  #endif
  typedef real  vec  __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
  typedef ireal ivec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
  #define vload(p)        (*(const vec *)(p))
  #define vstore(p, x)    (*(vec *)(p) = (x))
  #define vzero()         ((vec){0})
  #define vsplat(s)       ((s) - (vec){0})                  /* not {0} + s: that turns -0 into 0, and costs an addition */
  #define vrelu(x)        ((vec)((ivec)(x) & ~(ivec)((x) < vzero())))           /* keeps NaN */
  #define vgate(x, a)     ((vec)((ivec)(x) & ~(ivec)((a) <= vzero())))          /* x where not a <= 0; keeps NaN */
  #define vlarger(m, x)   ((vec)(((ivec)(x) & ((x) > (m))) | ((ivec)(m) & ~((x) > (m)))))     /* m where x is NaN */
  #define prefetch_write(p) __builtin_prefetch((p), 1)
  #define prefetch_read(p)  __builtin_prefetch((p))
  #define hold_pointer(p) __asm__("" : "+r"(p))       /* the compiler may not replace it by an expression of others */
#else                                /* any C11 compiler: vectors of one element, slower and right */
  #define VECTOR_BYTES sizeof(real)
  #define MR 4
  typedef real vec;
  #define vload(p)        (*(p))
  #define vstore(p, x)    (*(p) = (x))
  #define vzero()         R(0)
  #define vsplat(s)       (s)
  #define vrelu(x)        ((x) < R(0) ? R(0) : (x))
  #define vgate(x, a)     ((a) <= R(0) ? R(0) : (x))
  #define vlarger(m, x)   ((x) > (m) ? (x) : (m))
  #define prefetch_write(p) ((void)0)
  #define prefetch_read(p) ((void)0)
  #define hold_pointer(p) ((void)0)
#endif
#define VL ((int)(VECTOR_BYTES / sizeof(real)))
#define TILE_ROWS(n) ((n) <= MR ? (n) : MR)       /* rows above MR are dead code, but must compile */

/* ---- multiply-add: fused where the machine has it, and nowhere by accident ---- */
#if defined(VECTOR_BYTES) && defined(__AVX512F__) && !defined(FASTNN_PLAIN)
  #include <immintrin.h>
  #ifdef FASTNN_F64
    #define vfmadd(a, b, c) ((vec)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
  #else
    #define vfmadd(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
  #endif
#elif defined(__FMA__) && !defined(FASTNN_PLAIN)
  #include <immintrin.h>
  #ifdef FASTNN_F64
    #define vfmadd(a, b, c) ((vec)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
  #else
    #define vfmadd(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
  #endif
#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(FASTNN_PLAIN)
  #include <arm_neon.h>
  #ifdef FASTNN_F64
    #define vfmadd(a, b, c) ((vec)vfmaq_f64((float64x2_t)(c), (float64x2_t)(a), (float64x2_t)(b)))
  #else
    #define vfmadd(a, b, c) ((vec)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
  #endif
#else
  #define vfmadd(a, b, c) ((a) * (b) + (c))
#endif

/* c += a b, in the innermost loop of gemm.  Spelled out for x86: left to itself, gcc picks forms of the instruction that
   overwrite a or b, and then needs more moves and registers than there are. */
#if defined(__FMA__) && defined(__x86_64__) && !defined(FASTNN_PLAIN)
  #ifdef FASTNN_F64
    #define vaccumulate(c, a, b) __asm__("vfmadd231pd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b))
  #else
    #define vaccumulate(c, a, b) __asm__("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b))
  #endif
#else
  #define vaccumulate(c, a, b) ((c) = vfmadd((a), (b), (c)))
#endif

#if (defined(__FMA__) || defined(__aarch64__)) && (defined(__GNUC__) || defined(__clang__)) && !defined(FASTNN_PLAIN)
  #ifdef FASTNN_F64
    #define fmadd(a, b, c) __builtin_fma((a), (b), (c))
  #else
    #define fmadd(a, b, c) __builtin_fmaf((a), (b), (c))
  #endif
#else
  #define fmadd(a, b, c) ((a) * (b) + (c))
#endif

/* a*b - p for p = a*b rounded: what the rounding lost, exactly where nothing under- or overflows */
#if (defined(__FMA__) || defined(__aarch64__)) && (defined(__GNUC__) || defined(__clang__)) && !defined(FASTNN_PLAIN)
  #define product_tail(a, b, p) fmadd((a), (b), -(p))
#elif !defined(FASTNN_F64)
  #define product_tail(a, b, p) ((real)((double)(a) * (double)(b) - (double)(p)))
#else
static inline double product_tail(double a, double b, double p) {            /* Dekker, with Veltkamp's splitting */
    double s = 134217729.0 * a, t = 134217729.0 * b, ah = s - (s - a), bh = t - (t - b), al = a - ah, bl = b - bh;
    return ((ah * bh - p) + ah * bl + al * bh) + al * bl;
}
#endif

/* ---- 4 x 4 transposition, for packing a transposed matrix ---- */
#if (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 12)) && !defined(FASTNN_PLAIN)
typedef real vec4 __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
static inline void transpose4x4(const real *s, ptrdiff_t lds, real *d, ptrdiff_t ldd) {
    vec4 a = *(const vec4 *)s, b = *(const vec4 *)(s + lds), c = *(const vec4 *)(s + 2 * lds), e = *(const vec4 *)(s + 3 * lds);
    vec4 ab_lo = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_hi = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    vec4 ce_lo = __builtin_shufflevector(c, e, 0, 4, 1, 5), ce_hi = __builtin_shufflevector(c, e, 2, 6, 3, 7);
    *(vec4 *)d = __builtin_shufflevector(ab_lo, ce_lo, 0, 1, 4, 5);
    *(vec4 *)(d + ldd) = __builtin_shufflevector(ab_lo, ce_lo, 2, 3, 6, 7);
    *(vec4 *)(d + 2 * ldd) = __builtin_shufflevector(ab_hi, ce_hi, 0, 1, 4, 5);
    *(vec4 *)(d + 3 * ldd) = __builtin_shufflevector(ab_hi, ce_hi, 2, 3, 6, 7);
}
#else
static inline void transpose4x4(const real *s, ptrdiff_t lds, real *d, ptrdiff_t ldd) {
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) d[i * ldd + j] = s[j * lds + i];
}
#endif

/* ---- stores past the caches, of results that would not fit into them: a line is not read before it is written ---- */
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(FASTNN_PLAIN)
  #include <immintrin.h>
  #define STREAMS 1
static inline void stream_line(real *to, const real *from) {
    float *d = (float *)to;
    const float *s = (const float *)from;
  #if defined(__AVX512F__)
    _mm512_stream_ps(d, _mm512_loadu_ps(s));
  #elif defined(__AVX__)
    for (int j = 0; j < 16; j += 8) _mm256_stream_ps(d + j, _mm256_loadu_ps(s + j));
  #else
    for (int j = 0; j < 16; j += 4) _mm_stream_ps(d + j, _mm_loadu_ps(s + j));
  #endif
}
  #define stream_fence() _mm_sfence()                    /* before another thread may look */
#else
  #define STREAMS 0
static inline void stream_line(real *to, const real *from) { memcpy(to, from, 64); }
  #define stream_fence() ((void)0)
#endif

/* Write from[-held .. n) to the same places at `to`, whole lines alone after the first one: a line that is half written by
   ordinary stores costs what is saved here.  Returns how many elements are held back; they are moved to before `from`. */
static inline ptrdiff_t stream(real *to, real *from, ptrdiff_t held, ptrdiff_t n) {
    ptrdiff_t i = -held, rest;
    for (; i < n && ((uintptr_t)(to + i) & 63); i++) to[i] = from[i];
    for (; i + LINE <= n; i += LINE) stream_line(to + i, from + i);
    rest = n - i;
    for (; i < n; i++) from[i - n] = from[i];
    return rest;
}

/* ---- bit patterns of one element ---- */
static inline ireal bits(real x) { ireal i; memcpy(&i, &x, sizeof i); return i; }
static inline real from_bits(ireal i) { real x; memcpy(&x, &i, sizeof x); return x; }
static inline real power_of_2(ireal k) { return from_bits((ireal)((ureal)(k + EXPONENT_BIAS) << MANTISSA_BITS)); }
static inline ireal shift_out_mantissa(ireal k) { return (ireal)((ureal)k >> MANTISSA_BITS); }
/* c ? a : b without a branch: what gcc makes of several conditionals on one comparison keeps it from vectorising a loop */
static inline real choose(int c, real a, real b) { ireal m = -(ireal)c; return from_bits((bits(a) & m) | (bits(b) & ~m)); }
#define MANTISSA_MASK ((ireal)(((int64_t)1 << MANTISSA_BITS) - 1))
#define ABS_MASK ((ireal)(~(ureal)0 >> 1))
#define EXPONENT_BIAS_BITS ((ireal)((int64_t)EXPONENT_BIAS << MANTISSA_BITS))
#define TWO_TO_MANTISSA ((double)((int64_t)1 << MANTISSA_BITS))
#define SQRT_HALF_BITS bits(R(0.70710678118654752))
#define REAL_INFINITY R(INFINITY)
#define REAL_NAN R(NAN)
static inline real real_sqrt(real x) { return sizeof(real) == 4 ? (real)sqrtf((float)x) : (real)sqrt((double)x); }

#endif
