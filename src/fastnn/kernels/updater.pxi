# The optimizer on arrays of its caller's: one call updates a list of them.

cdef struct UpdateCall:
    Pieces pieces
    Rates rates
    team_barrier barrier


cdef int update_member(void* argument, int member, int members) noexcept nogil:
    cdef UpdateCall* call = <UpdateCall*>argument
    cdef uint64_t mode = flush_subnormals()
    update_pieces(&call.pieces, &call.rates, member, members, &call.barrier)
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
                self.n_blocks = set_piece(&self.pieces[self.n_pieces], v, first, length, self.n_blocks)
                self.n_pieces += 1
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
            square_sums(&call.pieces, 0, self.n_blocks)
            total = squares_of_all(&call.pieces)
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
        call.pieces.other_squares = other_squares
        with nogil:
            team_run(update_member, &call, threads, &call.barrier)
            free(memory)
        return True

    cdef void* prepare(self, UpdateCall* call, gradients, variables) except? NULL:
        """All that a call needs, in memory to be freed; NULL where an array does not fit.  Without variables: for sums alone."""
        cdef const Hyperparameters* h = &self.each[0].h
        cdef bint norm = variables is None or (needs_norm(h) and not self.rates.hold)
        cdef Pieces* all_ = &call.pieces
        cdef char* memory
        cdef int v
        if len(gradients) != self.n_variables or (variables is not None and len(variables) != self.n_variables): return NULL
        memory = <char*>malloc(2*self.n_variables*sizeof(real*) + (self.n_blocks*sizeof(double) if norm else 0) + 1)
        if memory == NULL: raise MemoryError()
        memset(call, 0, sizeof(UpdateCall))
        call.rates = self.rates
        all_.parameters = <real**>memory
        all_.gradients = <const real**>memory + self.n_variables
        if norm: all_.sums = <double*>(<void*>(all_.gradients + self.n_variables))
        all_.each, all_.pieces, all_.n_pieces, all_.n_blocks = self.each, self.pieces, self.n_pieces, self.n_blocks
        for v in range(self.n_variables):
            gradient, shape = gradients[v], self.shapes[v]
            variable = None if variables is None else variables[v]
            if not self.takes(gradient, shape, False) or (variables is not None and not self.takes(variable, shape, True)):
                free(memory)
                return NULL
            all_.gradients[v] = <const real*>cnp.PyArray_DATA(gradient)
            if variables is not None: all_.parameters[v] = <real*>cnp.PyArray_DATA(variable)
        return memory
