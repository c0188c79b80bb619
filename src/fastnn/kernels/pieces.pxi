# An update of many pieces by a team, which may have to know the norm of their gradients first.
#
# The work is cut into blocks of SUM_BLOCK elements, of which each member takes a share.  A piece's sum of squares is that
# of its blocks' sums in order, and the sum of all that of the pieces': no number of threads changes a bit.

cdef struct Piece:             # what clipnorm takes for one variable
    int variable
    ix first                   # element
    ix n
    ix first_block             # of all pieces' blocks

cdef struct Pieces:            # what all members of a team share during an update
    Optimizer* each            # of the variables
    real** parameters
    const real** gradients
    Piece* pieces
    int n_pieces
    ix n_blocks
    double* sums               # of each block's squares, or NULL where no norm is asked for
    double other_squares       # of gradients that are not here


cdef inline ix block_count(ix n) noexcept nogil:
    return (n + SUM_BLOCK - 1)//SUM_BLOCK


cdef inline ix cut(const Piece* p, ix begin, ix end, ix* first) noexcept nogil:
    """Elements of the piece within blocks begin … end, counted from first; 0 for none."""
    cdef ix b0 = max(begin - p.first_block, <ix>0), b1 = min(end - p.first_block, block_count(p.n))
    first[0] = p.first + b0*SUM_BLOCK
    return min((b1 - b0)*SUM_BLOCK, p.n - b0*SUM_BLOCK) if b1 > b0 else 0


cdef void square_sums(const Pieces* all_, ix begin, ix end) noexcept nogil:
    cdef const Piece* p
    cdef Optimizer* o
    cdef ix first, n, m
    cdef int i
    for i in range(all_.n_pieces):
        p = &all_.pieces[i]
        o = &all_.each[p.variable]
        n = cut(p, begin, end, &first)
        while n > 0:
            m = min(n, <ix>SUM_BLOCK)
            all_.sums[p.first_block + (first - p.first)//SUM_BLOCK] = square_sum(
                m, all_.gradients[p.variable] + first, o.accumulated + first if o.accumulated else NULL)
            first += m
            n -= m


cdef double squares_of(const Pieces* all_, const Piece* p) noexcept nogil:
    """Of a piece: its blocks' sums, in order."""
    cdef double total = 0
    cdef ix b
    for b in range(block_count(p.n)): total += all_.sums[p.first_block + b]
    return total


cdef double squares_of_all(const Pieces* all_) noexcept nogil:
    cdef double total = 0
    cdef int i
    for i in range(all_.n_pieces): total += squares_of(all_, &all_.pieces[i])
    return total


cdef void update_pieces(const Pieces* all_, const Rates* rates, int member, int members, team_barrier* barrier) noexcept nogil:
    """A member's share; all gradients are complete."""
    cdef Rates r = rates[0]
    cdef ix begin = share(all_.n_blocks, member, members, 1), end = share(all_.n_blocks, member + 1, members, 1), first, n
    cdef double scale = 1
    cdef const Piece* p
    cdef const Hyperparameters* h = &all_.each[0].h
    cdef int i
    if all_.sums:
        square_sums(all_, begin, end)
        barrier_wait(barrier)
        if h.global_clipnorm > 0: scale = norm_scale(h, squares_of_all(all_) + all_.other_squares)
    for i in range(all_.n_pieces):
        p = &all_.pieces[i]
        n = cut(p, begin, end, &first)
        if n == 0: continue
        if all_.sums:
            if h.clipnorm > 0: scale = norm_scale(h, squares_of(all_, p))
            r.scale = R(scale/<double>h.accumulation_steps)
        update(&all_.each[p.variable], &r, first, n, all_.parameters[p.variable], all_.gradients[p.variable] + first)


cdef ix set_piece(Piece* p, int variable, ix first, ix n, ix first_block) noexcept nogil:
    """The first block of the next."""
    p.variable, p.first, p.n, p.first_block = variable, first, n, first_block
    return first_block + block_count(n)
