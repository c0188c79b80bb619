# The optimizer on arrays of its caller's: one call updates a list of them.
#
# The work is cut into blocks of SUM_BLOCK elements, of which each member of the team takes a share.

cdef struct Piece:             # what clipnorm takes for one variable
    int variable
    ix first                   # element
    ix n
    ix first_block             # of all pieces' blocks

cdef struct UpdateCall:        # what all members of a team share
    Optimizer* each            # of the variables
    Rates rates
    real** parameters
    const real** gradients
    const Piece* pieces
    int n_pieces
    ix n_blocks
    double* sums               # of each block's squares, or NULL where no norm is asked for
    double other_squares       # of gradients that are not in this call
    team_barrier barrier


cdef inline ix block_count(ix n) noexcept nogil:
    return (n + SUM_BLOCK - 1)//SUM_BLOCK


cdef inline ix cut(const Piece* p, ix begin, ix end, ix* first) noexcept nogil:
    """Elements of the piece within blocks begin … end, counted from first; 0 for none."""
    cdef ix b0 = max(begin - p.first_block, <ix>0), b1 = min(end - p.first_block, block_count(p.n))
    first[0] = p.first + b0*SUM_BLOCK
    return min((b1 - b0)*SUM_BLOCK, p.n - b0*SUM_BLOCK) if b1 > b0 else 0


cdef void square_sums(UpdateCall* call, ix begin, ix end) noexcept nogil:
    cdef const Piece* p
    cdef Optimizer* o
    cdef ix first, n, m
    cdef int i
    for i in range(call.n_pieces):
        p = &call.pieces[i]
        o = &call.each[p.variable]
        n = cut(p, begin, end, &first)
        while n > 0:
            m = min(n, <ix>SUM_BLOCK)
            call.sums[p.first_block + (first - p.first)//SUM_BLOCK] = square_sum(
                m, call.gradients[p.variable] + first, o.accumulated + first if o.accumulated else NULL)
            first += m
            n -= m


cdef double squares_of(const UpdateCall* call, const Piece* p) noexcept nogil:
    """Of a piece: its blocks' sums, in order."""
    cdef double total = 0
    cdef ix b
    for b in range(block_count(p.n)): total += call.sums[p.first_block + b]
    return total


cdef double squares_of_all(const UpdateCall* call) noexcept nogil:
    cdef double total = 0
    cdef int i
    for i in range(call.n_pieces): total += squares_of(call, &call.pieces[i])
    return total


cdef int update_member(void* argument, int member, int members) noexcept nogil:
    cdef UpdateCall* call = <UpdateCall*>argument
    cdef uint64_t mode = flush_subnormals()
    cdef Rates r = call.rates
    cdef ix begin = share(call.n_blocks, member, members, 1), end = share(call.n_blocks, member + 1, members, 1), first, n
    cdef double scale = 1
    cdef const Piece* p
    cdef const Hyperparameters* h = &call.each[0].h
    cdef int i
    if call.sums:
        square_sums(call, begin, end)
        barrier_wait(&call.barrier)
        if h.global_clipnorm > 0: scale = norm_scale(h, squares_of_all(call) + call.other_squares)
    for i in range(call.n_pieces):
        p = &call.pieces[i]
        n = cut(p, begin, end, &first)
        if n == 0: continue
        if call.sums:
            if h.clipnorm > 0: scale = norm_scale(h, squares_of(call, p))
            r.scale = R(scale/<double>h.accumulation_steps)
        update(&call.each[p.variable], &r, first, n, call.parameters[p.variable], call.gradients[p.variable] + first)
    restore_subnormals(mode)
    return 0


cdef class Updater:
    """The optimizer of a list of variables.

    hyperparameters : as struct Hyperparameters, with the name of the rule
    states : for each variable a list of arrays as `fill_optimizer` wants them; the first has the variable's shape
    shapes : of the variables
    pieces : for each variable the lengths of its parts that clipnorm takes for variables of their own
    """
    cdef Optimizer* each
    cdef Piece* pieces
    cdef int n_variables
    cdef int n_pieces
    cdef ix n_blocks
    cdef readonly Py_ssize_t size      # elements of all variables
    cdef Rates rates
    cdef tuple states                  # keeps them alive
    cdef tuple shapes

    def __cinit__(self, dict hyperparameters, list shapes, list states, list pieces):
        cdef int v
        cdef ix n, first
        self.shapes, self.states = tuple(shapes), tuple(states)
        self.n_variables, self.n_pieces = len(shapes), sum(map(len, pieces))
        self.each = <Optimizer*>calloc(max(self.n_variables, 1), sizeof(Optimizer))
        self.pieces = <Piece*>calloc(max(self.n_pieces, 1), sizeof(Piece))
        if self.each == NULL or self.pieces == NULL: raise MemoryError()
        self.n_pieces = 0
        for v in range(self.n_variables):
            n = 1
            for length in shapes[v]: n *= length
            fill_optimizer(&self.each[v], hyperparameters, states[v], n)
            first = 0
            for length in pieces[v]:
                self.pieces[self.n_pieces] = Piece(v, first, length, self.n_blocks)
                self.n_pieces += 1
                self.n_blocks += block_count(length)
                first += length
            if first != n: raise ValueError(f"pieces of variable {v} have {first} elements, expected {n}")
            self.size += n

    def __dealloc__(self):
        free(self.each)
        free(self.pieces)

    cdef bint takes(self, object array, tuple shape, bint written):
        """Whether this is an array of the shape that can be worked on as it is."""
        cdef cnp.ndarray a
        cdef int d
        if not isinstance(array, cnp.ndarray): return False
        a = array
        if cnp.PyArray_TYPE(a) != TYPE_NUMBER or cnp.PyArray_NDIM(a) != len(shape): return False
        if not (cnp.PyArray_ISCARRAY(a) if written else cnp.PyArray_ISCARRAY_RO(a)): return False
        for d in range(cnp.PyArray_NDIM(a)):
            if cnp.PyArray_DIM(a, d) != <Py_ssize_t>shape[d]: return False
        return True

    def squares(self, gradients):
        """The sum of squares that global_clipnorm is about."""
        cdef UpdateCall call
        cdef void* memory = self.prepare(&call, gradients, None)
        cdef uint64_t mode
        cdef double total
        if memory == NULL: raise ValueError(f"gradients are not C-contiguous {DTYPE} arrays of the shapes {self.shapes}")
        with nogil:
            mode = flush_subnormals()
            square_sums(&call, 0, self.n_blocks)
            total = squares_of_all(&call)
            restore_subnormals(mode)
            free(memory)
        return total

    def apply(self, gradients, variables, double learning_rate, int64_t step, int threads, double other_squares=0):
        """Update the variables by gradient number `step`, from 1.

        False, with nothing done, where an array is of another kind or shape than C-contiguous and the module's dtype."""
        cdef UpdateCall call
        cdef void* memory
        if step < 1: raise ValueError(f"step is {step}, expected at least 1")
        if self.n_variables: step_rates(&self.each[0].h, learning_rate, step, &self.rates)
        memory = self.prepare(&call, gradients, variables)
        if memory == NULL: return False
        call.other_squares = other_squares
        with nogil:
            team_run(update_member, &call, threads, &call.barrier)
            free(memory)
        return True

    cdef void* prepare(self, UpdateCall* call, gradients, variables) except? NULL:
        """All that a call needs, in memory to be freed; NULL where an array does not fit.  Without variables: for sums alone."""
        cdef const Hyperparameters* h = &self.each[0].h
        cdef bint norm = variables is None or (needs_norm(h) and not self.rates.hold)
        cdef char* memory
        cdef int v
        if len(gradients) != self.n_variables or (variables is not None and len(variables) != self.n_variables): return NULL
        memory = <char*>malloc(2*self.n_variables*sizeof(real*) + (self.n_blocks*sizeof(double) if norm else 0) + 1)
        if memory == NULL: raise MemoryError()
        memset(call, 0, sizeof(UpdateCall))
        call.parameters = <real**>memory
        call.gradients = <const real**>memory + self.n_variables
        if norm: call.sums = <double*>(<void*>(call.gradients + self.n_variables))
        call.each, call.rates, call.pieces = self.each, self.rates, self.pieces
        call.n_pieces, call.n_blocks = self.n_pieces, self.n_blocks
        for v in range(self.n_variables):
            gradient, shape = gradients[v], self.shapes[v]
            variable = None if variables is None else variables[v]
            if not self.takes(gradient, shape, False) or (variables is not None and not self.takes(variable, shape, True)):
                free(memory)
                return NULL
            call.gradients[v] = <const real*>cnp.PyArray_DATA(gradient)
            if variables is not None: call.parameters[v] = <real*>cnp.PyArray_DATA(variable)
        return memory
