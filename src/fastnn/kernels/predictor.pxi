# One forward pass at a fixed number of rows, again and again: everything that a call needs is made beforehand.

cdef enum:
    KEEP_GIL = 20000           # multiply-adds below which giving the GIL away takes longer than the work


cdef class Predictor:
    """A network bound to fixed buffers; see fastnn.Sequential.predictor.

    Parameters
    ----------
    engine : Engine
    rows : int
        Samples of a call.
    convert : callable
        Makes an array (rows, n_in) of the module's dtype of whatever else is passed, or raises.
    """
    cdef Engine engine
    cdef ix rows
    cdef ix n_in
    cdef ix multiply_adds
    cdef real* buffer[2]       # of the layers' outputs, which take turns
    cdef real* work
    cdef real* out
    cdef object arena
    cdef object scratch
    cdef readonly object output
    cdef object convert
    cdef int type_number

    def __cinit__(self, Engine engine, Py_ssize_t rows, convert):
        cdef ix i, widest = 0, n_out = engine.layers[engine.n_layers - 1].n_out
        self.engine, self.rows, self.convert = engine, rows, convert
        self.n_in = engine.layers[0].n_in
        self.type_number = DTYPE.num
        for i in range(engine.n_layers):
            widest = max(widest, engine.layers[i].ld)
            self.multiply_adds += rows*engine.layers[i].n_in*engine.layers[i].n_out
        self.arena = aligned(2*(rows*widest + 2*LINE))
        self.buffer[0] = <real*>cnp.PyArray_DATA(self.arena)
        self.buffer[1] = self.buffer[0] + round_up(rows*widest, LINE) + LINE
        self.scratch = aligned(GEMM_WORK)
        self.work = <real*>cnp.PyArray_DATA(self.scratch)
        self.output = np.zeros((rows, n_out), DTYPE)
        if rows == 1: self.output = self.output[0]
        self.out = <real*>cnp.PyArray_DATA(self.output)

    cdef void forward(self, const real* x) noexcept nogil:
        cdef Dense* d
        cdef const real* a = x
        cdef const real* kernel
        cdef const real* bias
        cdef real* z
        cdef ix lda = self.n_in, r
        cdef int l
        for l in range(self.engine.n_layers):
            d = &self.engine.layers[l]
            kernel = self.engine.parameters + d.kernel
            bias = kernel + d.n_in*d.n_out if d.use_bias else NULL
            z = self.buffer[l & 1]
            if self.rows == 1 or d.n_out == 1:
                for r in range(self.rows): preactivate_row(d, self.engine.parameters, a + r*lda, z + r*d.ld)
            else: gemm(self.rows, d.n_out, d.n_in, a, lda, 1, kernel, d.n_out, 1, z, d.ld, bias, SET, False, NULL, self.work)
            activate(d.activation, self.rows, d.n_out, z, d.ld)
            a, lda = z, d.ld
        for r in range(self.rows): memcpy(self.out + r*d.n_out, a + r*lda, d.n_out*sizeof(real))

    def __call__(self, x):
        cdef const real* p
        if not cnp.PyArray_Check(x) or cnp.PyArray_TYPE(x) != self.type_number or not cnp.PyArray_ISCARRAY_RO(x) \
                or cnp.PyArray_SIZE(x) != self.rows*self.n_in \
                or not (cnp.PyArray_NDIM(x) == 1 and self.rows == 1 or cnp.PyArray_NDIM(x) == 2 and cnp.PyArray_DIM(x, 0) == self.rows):
            x = self.convert(x)
        p = <const real*>cnp.PyArray_DATA(x)
        if self.multiply_adds < KEEP_GIL: self.forward(p)
        else:
            with nogil: self.forward(p)
        return self.output
