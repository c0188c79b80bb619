# A team of threads for one call: what team.h gives, and how work is shared.

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


cdef inline ix share(ix n, int member, int members, ix to) noexcept nogil:
    """Where a member's share of n things begins; shares begin at multiples of `to`."""
    return n if member == members else n*member//members//to*to
