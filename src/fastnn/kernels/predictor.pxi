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
    cdef real* scale           # of a normalization
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
            if engine.layers[i].kind == OWN:
                raise ValueError(f"layer {engine.own_layers[i].name!r} is made in Python, expected compiled ones alone: use predict")
            widest = max(widest, engine.layers[i].ld)
            self.multiply_adds += rows*engine.layers[i].n_in*engine.layers[i].n_out
        self.arena = aligned(2*(rows*widest + 2*LINE) + widest)
        self.buffer[0] = <real*>cnp.PyArray_DATA(self.arena)
        self.buffer[1] = self.buffer[0] + round_up(rows*widest, LINE) + LINE
        self.scale = self.buffer[1] + round_up(rows*widest, LINE) + LINE
        self.scratch = aligned(GEMM_WORK)
        self.work = <real*>cnp.PyArray_DATA(self.scratch)
        self.output = np.zeros((rows, n_out), DTYPE)
        if rows == 1: self.output = self.output[0]
        self.out = <real*>cnp.PyArray_DATA(self.output)

    cdef void forward(self, const real* x) noexcept nogil:
        cdef Layer* d
        cdef const real* parameters = self.engine.parameters
        cdef const real* a = x
        cdef real* z
        cdef ix lda = self.n_in, r, n_out = self.engine.layers[self.engine.n_layers - 1].n_out
        cdef int l
        for l in range(self.engine.n_layers):
            d = &self.engine.layers[l]
            if d.kind == DROPOUT: continue
            z = self.buffer[0] if a == self.buffer[1] else self.buffer[1]
            if d.kind == DENSE and (self.rows == 1 or d.n_out == 1):
                for r in range(self.rows): preactivate_row(d, parameters, a + r*lda, z + r*d.ld)
            else:
                make_scale(d, parameters, self.scale)
                layer_rows(d, parameters, self.scale, self.rows, a, lda, z, NULL, False, self.work)
            activate(d.activation, d.alpha, self.rows, d.n_out, z, d.ld)
            a, lda = z, d.ld
        for r in range(self.rows): memcpy(self.out + r*n_out, a + r*lda, n_out*sizeof(real))

    def __call__(self, x):
        cdef const real* p
        if self.engine.retired:
            raise ValueError("the model's weights are elsewhere now, expected a predictor made since: call model.predictor() again")
        if not cnp.PyArray_Check(x) or cnp.PyArray_TYPE(x) != self.type_number or not cnp.PyArray_ISCARRAY_RO(x) \
                or cnp.PyArray_SIZE(x) != self.rows*self.n_in \
                or not (cnp.PyArray_NDIM(x) == 1 and self.rows == 1 or cnp.PyArray_NDIM(x) == 2 and cnp.PyArray_DIM(x, 0) == self.rows):
            x = self.convert(x)
        p = <const real*>cnp.PyArray_DATA(x)
        if self.multiply_adds < KEEP_GIL: self.forward(p)
        else:
            with nogil: self.forward(p)
        return self.output
