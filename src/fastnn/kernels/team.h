/* A team of threads for one call, its barrier, the clock, and flushing of subnormals.

   Threads are POSIX threads made at the call and joined before it returns: nothing outlives the call, so nothing spins
   after it, fork() finds no dead pool to wait for (OpenMP's is known to hang there), and the package needs no OpenMP
   runtime.  Making one costs about 20 us, which only calls of many milliseconds pay.  Where <pthread.h> or <stdatomic.h>
   is missing, every team is of one. */
#ifndef FASTNN_TEAM_H
#define FASTNN_TEAM_H
#include <stdint.h>
#include <time.h>

enum { MAX_TEAM = 64 };
typedef int (*team_function)(void *argument, int member, int members);   /* 0, or non-zero: a Python error is set */

#if !defined(_WIN32) && !defined(__STDC_NO_ATOMICS__) && !defined(FASTNN_NO_THREADS)
#define FASTNN_THREADS 1
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* Members keep off the caller's processor where there is one for each.  Left alone they are often put on one, for tenths of
   a second, while another idles: with a yield at each meeting neither seems to wait for it. */
#if defined(__linux__) && defined(CPU_COUNT)
typedef struct {
    pthread_t caller;
    atomic_int processor;            /* that the caller was seen on last, or -1 */
    cpu_set_t allowed;
} team_place;

static inline void place_init(team_place *p, int members) {
    p->caller = pthread_self();
    int known = !sched_getaffinity(0, sizeof p->allowed, &p->allowed) && CPU_COUNT(&p->allowed) >= members;
    atomic_init(&p->processor, known ? sched_getcpu() : -1);
}

static inline void find_place(team_place *p) {
    int processor = atomic_load_explicit(&p->processor, memory_order_relaxed), here;
    if (processor < 0) return;
    here = sched_getcpu();
    if (pthread_equal(pthread_self(), p->caller)) {
        if (here != processor) atomic_store_explicit(&p->processor, here, memory_order_relaxed);
    } else if (here == processor) {
        cpu_set_t others = p->allowed;
        CPU_CLR(processor, &others);
        sched_setaffinity(0, sizeof others, &others);
    }
}
#else
typedef struct { char none; } team_place;
static inline void place_init(team_place *p, int members) { (void)p; (void)members; }
static inline void find_place(team_place *p) { (void)p; }
#endif

/* Spin briefly, then give the core away: the others may be waiting for it when cores are oversubscribed. */
typedef struct {
    _Alignas(64) atomic_int left;
    _Alignas(64) atomic_int phase;
    int members;
    team_place place;
} team_barrier;

static inline void barrier_init(team_barrier *b, int members) {
    b->members = members;
    atomic_init(&b->left, members);
    atomic_init(&b->phase, 0);
    place_init(&b->place, members);
}

static inline void barrier_wait(team_barrier *b) {
    if (b->members == 1) return;
    find_place(&b->place);
    int phase = atomic_load_explicit(&b->phase, memory_order_relaxed);
    if (atomic_fetch_sub_explicit(&b->left, 1, memory_order_acq_rel) == 1) {
        atomic_store_explicit(&b->left, b->members, memory_order_relaxed);
        atomic_store_explicit(&b->phase, phase + 1, memory_order_release);
        return;
    }
    for (int spins = 0; atomic_load_explicit(&b->phase, memory_order_acquire) == phase; spins++) {
        if (spins >= 300) sched_yield();
#if defined(__x86_64__) && defined(__GNUC__)
        else __builtin_ia32_pause();
#endif
    }
}

typedef struct {
    team_function function;
    void *argument;
    int member;
    atomic_int *members;             /* 0 until all that could be made are there */
} team_seat;

static void *team_member(void *p) {
    team_seat *seat = (team_seat *)p;
    int members;
    while (!(members = atomic_load_explicit(seat->members, memory_order_acquire))) sched_yield();
    seat->function(seat->argument, seat->member, members);
    return 0;
}

/* Call function(argument, member, members) once for each member; the caller is member 0, and only its result counts.
   barrier is set to the number of threads that could be made: fewer than asked for is slower, never different. */
static inline int team_run(team_function function, void *argument, int members, team_barrier *barrier) {
    pthread_t threads[MAX_TEAM];
    team_seat seats[MAX_TEAM];
    atomic_int made;
    int n = 1, result;
    if (members > MAX_TEAM) members = MAX_TEAM;
    atomic_init(&made, 0);
    for (; n < members; n++) {
        seats[n] = (team_seat){function, argument, n, &made};
        if (pthread_create(&threads[n], 0, team_member, &seats[n])) break;
    }
    barrier_init(barrier, n);
    atomic_store_explicit(&made, n, memory_order_release);
    result = function(argument, 0, n);
    for (int t = 1; t < n; t++) pthread_join(threads[t], 0);
    return result;
}
#else
#define FASTNN_THREADS 0
typedef struct { int members; } team_barrier;
static inline void barrier_wait(team_barrier *b) { (void)b; }
static inline int team_run(team_function function, void *argument, int members, team_barrier *barrier) {
    (void)members;
    barrier->members = 1;
    return function(argument, 0, 1);
}
#endif

static inline double seconds(void) {
#if defined(_WIN32)
    return (double)clock() / CLOCKS_PER_SEC;
#else
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
#endif
}

/* Subnormal numbers (an optimizer's decaying averages are full of them) take a slow path in the processor.  They are
   flushed to zero inside a training call, on its threads only, and the caller's mode is put back. */
#if defined(__x86_64__) && defined(__GNUC__)
#include <xmmintrin.h>
static inline uint64_t flush_subnormals(void) { unsigned int old = _mm_getcsr(); _mm_setcsr(old | 0x8040u); return old; }
static inline void restore_subnormals(uint64_t old) { _mm_setcsr((unsigned int)old); }
#elif defined(__aarch64__) && defined(__GNUC__)
static inline uint64_t flush_subnormals(void) {
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | ((uint64_t)1 << 24)));
    return old;
}
static inline void restore_subnormals(uint64_t old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#else
static inline uint64_t flush_subnormals(void) { return 0; }
static inline void restore_subnormals(uint64_t old) { (void)old; }
#endif
#endif
