# What core.pyx takes from team.h.

cdef extern from "team.h" nogil:
    ctypedef struct team_barrier:
        int members
    ctypedef int (*team_function)(void*, int, int) noexcept nogil
    int team_run(team_function, void*, int, team_barrier*)
    void barrier_wait(team_barrier*)
    double seconds()
    uint64_t flush_subnormals()
    void restore_subnormals(uint64_t)
    enum: MAX_TEAM
    enum: FASTNN_THREADS
