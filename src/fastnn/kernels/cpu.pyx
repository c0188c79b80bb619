# cython: language_level=3, freethreading_compatible=True
"""Which of the builds of core.pyx this machine can run."""

cdef extern from *:
    """
    static int fastnn_x86_level(void) {
    #if defined(__x86_64__) && defined(__GNUC__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx2")
            && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 4;
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 3;
        if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")) return 2;
    #endif
        return 0;
    }
    #ifdef __VERSION__
    #define FASTNN_COMPILER __VERSION__
    #else
    #define FASTNN_COMPILER "unknown"
    #endif
    #ifdef __clang__
    #define FASTNN_COMPILER_NAME ""
    #elif defined(__GNUC__)
    #define FASTNN_COMPILER_NAME "gcc "
    #else
    #define FASTNN_COMPILER_NAME ""
    #endif
    """
    int fastnn_x86_level()
    const char* FASTNN_COMPILER
    const char* FASTNN_COMPILER_NAME


def supported():
    """The instruction sets of this machine, best first."""
    level = fastnn_x86_level()
    return tuple(f"v{n}" for n in (4, 3, 2) if n <= level) + ("base",)


def compiler():
    """The C compiler that built the package."""
    return (FASTNN_COMPILER_NAME + FASTNN_COMPILER).decode()
