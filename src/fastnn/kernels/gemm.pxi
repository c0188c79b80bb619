# The matrix product of everything here:  C (M, N) = [bias +] A (M, K) B (K, N)
#
# Order of summation, and so the bits: each element of C is ONE chain of multiply-adds over k = 0, 1, …, K-1 that starts
# from its bias (or from 0).  Tiles, blocks, threads and the vector's width change what is computed when, never a value.
# The vector runs along N; A is read one element at a time and broadcast.  A has any strides, B has one unit stride,
# C is row-major.
#
# Reading and writing past N.  The last vector of a row of B, of the bias and of `gate` may reach up to VL-1 elements past
# column N: what it reads there only ever lands past column N of C.  All buffers of the engine end in a spare cache line.
# Where a row of C is padded (ldc >= N rounded up to VL) whole vectors are written into the padding.  Where rows of C lie
# end to end (weights), panels go from right to left and rows from top to bottom, so that what a vector spills over the
# end of a row lands where the right values are written later; the last row of a call goes through a copy.

cdef enum Mode:
    SET = 0            # C = bias + A B
    ADD = 1            # C = C + A B, the product summed by itself first (K <= KC): gradients over the chunks of a batch

cdef enum:
    KC = 512           # rows of a packed block of B
    NC = 1024          # its columns: KC x NC elements are what the second cache should hold
    GEMM_WORK = KC*(NC + 64) + KC*16 + 64      # scratch elements for one thread: the block of B, a panel of A

cdef struct Product:
    # What a tile needs to know beside its place.
    ix ras             # strides of A: to the next row, to the next column
    ix cas
    ix ldc
    bint resume        # go on with the chains that C holds (not the first block of K)
    Mode mode
    bint relu          # C = max(C, 0)
    const real* gate   # C = C where not gate <= 0, else 0: relu's derivative; same rows and stride as C


cdef inline void tile(const int mr, const int nv, const Product* p, ix K, const real* A, const ix ras, const ix cas,
                      const real* B, ix ldb, real* C, ix ldc, const real* bias, const real* gate) noexcept nogil:
    """An mr x (nv*VL) tile of C, in registers over K; mr, nv and one of A's strides are constants after inlining."""
    cdef vec acc[MR][8]
    cdef vec b[8]
    cdef vec a
    cdef ix k
    cdef int i, j
    for i in range(mr):
        for j in range(nv): prefetch_write(C + i*ldc + j*VL)
    if p.resume:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vload(C + i*ldc + j*VL)
    elif bias:
        for j in range(nv): b[j] = vload(bias + j*VL)
        for i in range(mr):
            for j in range(nv): acc[i][j] = b[j]
    else:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vzero()
    for k in range(K):
        for j in range(nv): b[j] = vload(B + j*VL)
        for i in range(mr):
            a = vsplat(A[i*ras])
            for j in range(nv): acc[i][j] = vfmadd(a, b[j], acc[i][j])
        A += cas
        B += ldb
    if p.mode == ADD:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vload(C + i*ldc + j*VL) + acc[i][j]
    if p.relu:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vrelu(acc[i][j])
    if gate:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vgate(acc[i][j], vload(gate + i*ldc + j*VL))
    for i in range(mr):
        for j in range(nv): vstore(C + i*ldc + j*VL, acc[i][j])


cdef inline void tile_rows(const int nv, const Product* p, ix mr, ix K, const real* A, const ix ras, const ix cas,
                           const real* B, ix ldb, real* C, ix ldc, const real* bias, const real* gate) noexcept nogil:
    if mr == 8: tile(TILE_ROWS(8), nv, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    elif mr == 7: tile(TILE_ROWS(7), nv, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    elif mr == 6: tile(TILE_ROWS(6), nv, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    elif mr == 5: tile(TILE_ROWS(5), nv, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    elif mr == 4: tile(4, nv, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    elif mr == 3: tile(3, nv, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    elif mr == 2: tile(2, nv, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    else: tile(1, nv, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef inline void tile_shape(const Product* p, ix mr, ix nv, ix K, const real* A, const ix ras, const ix cas,
                            const real* B, ix ldb, real* C, ix ldc, const real* bias, const real* gate) noexcept nogil:
    if nv == 2: tile_rows(2, p, mr, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    elif nv == 1: tile_rows(1, p, mr, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    elif mr == 1: tile(1, 8, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)
    else: tile(2, 4, p, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void any_tile(const Product* p, ix mr, ix nv, ix K, const real* A, ix ras, ix cas,
                   const real* B, ix ldb, real* C, ix ldc, const real* bias, const real* gate) noexcept nogil:
    """Turn the shape and A's unit stride into constants that the compiler specialises on."""
    if cas == 1: tile_shape(p, mr, nv, K, A, ras, 1, B, ldb, C, ldc, bias, gate)
    else: tile_shape(p, mr, nv, K, A, 1, cas, B, ldb, C, ldc, bias, gate)


cdef void pack(ix kc, ix nc, const real* B, ix rbs, ix cbs, real* out) noexcept nogil:
    """B (kc, nc) -> panels of 2*VL columns, one after the other, the last filled up with zeros."""
    cdef ix n = 0, width, k, j
    cdef ix panel = 2*VL
    while n < nc:
        width = min(nc - n, panel)
        if cbs == 1 and width == panel:
            for k in range(kc):
                vstore(out + k*panel, vload(B + k*rbs + n))
                vstore(out + k*panel + VL, vload(B + k*rbs + n + VL))
        else:
            j = 0
            if rbs == 1:
                while j + 4 <= width:
                    k = 0
                    while k + 4 <= kc:
                        transpose4x4(B + (n + j)*cbs + k, cbs, out + k*panel + j, panel)
                        k += 4
                    while k < kc:
                        out[k*panel + j] = B[(n + j)*cbs + k]
                        out[k*panel + j + 1] = B[(n + j + 1)*cbs + k]
                        out[k*panel + j + 2] = B[(n + j + 2)*cbs + k]
                        out[k*panel + j + 3] = B[(n + j + 3)*cbs + k]
                        k += 1
                    j += 4
            while j < panel:
                for k in range(kc): out[k*panel + j] = B[k*rbs + (n + j)*cbs] if j < width else R(0)
                j += 1
        out += panel*kc
        n += panel


cdef inline void copied_tile(const Product* p, ix mr, ix nv, ix width, ix K, const real* A, ix ras, ix cas,
                             const real* B, ix ldb, real* C, const real* bias, const real* gate) noexcept nogil:
    """A tile of which only `width` columns may be written to C: computed in a copy."""
    cdef real t[8*64]
    cdef real g[8*64]
    cdef ix i, j, ldt = nv*VL
    for i in range(mr):
        for j in range(width): t[i*ldt + j] = C[i*p.ldc + j]
        for j in range(width, ldt): t[i*ldt + j] = R(0)
        if gate:
            for j in range(width): g[i*ldt + j] = gate[i*p.ldc + j]
            for j in range(width, ldt): g[i*ldt + j] = R(0)
    any_tile(p, mr, nv, K, A, ras, cas, B, ldb, t, ldt, bias, g if gate else NULL)
    for i in range(mr):
        for j in range(width): C[i*p.ldc + j] = t[i*ldt + j]


cdef void block(const Product* p, ix M, ix N, ix K, const real* A, const real* B, ix rbs, ix cbs, bint packed, real* C,
                const real* bias, const real* gate, real* work) noexcept nogil:
    """A block of at most KC rows and NC columns of B."""
    cdef ix m = 0, mr, n, nv, width, end, ras, cas, i, k, ldb, wide = 2*VL
    cdef const real* a
    cdef const real* b
    cdef real* c
    cdef const real* bias_n
    cdef const real* gate_c
    cdef real* panel_of_a = work + KC*(NC + 64)
    cdef bint fits
    if packed: pack(K, N, B, rbs, cbs, work)
    elif M <= 2: wide = 8*VL if M == 1 else 4*VL   # few rows: more columns, to have enough chains under way
    while m < M:
        mr = M - m
        if mr > MR: mr = MR if mr >= 2*MR else (mr + 1)//2
        a = A + m*p.ras
        ras = p.ras
        cas = p.cas
        if cas != 1 and N > 8*VL:                  # long strides: copy the panel once, read it for every panel of B
            for k in range(K):
                for i in range(mr): panel_of_a[k*MR + i] = a[i*ras + k*cas]
            a = panel_of_a
            ras = 1
            cas = MR
        end = N
        while end > 0:                             # from right to left: see the head of this file
            width = end % (2*VL)
            if width == 0: width = wide if end % wide == 0 else 2*VL
            n = end - width
            nv = (width + VL - 1)//VL
            if packed:
                b = work + n*K
                ldb = 2*VL
            else:
                b = B + n
                ldb = rbs
            c = C + m*p.ldc + n
            bias_n = bias + n if bias else NULL
            gate_c = gate + m*p.ldc + n if gate else NULL
            fits = width == nv*VL or n + nv*VL <= p.ldc
            if not fits and p.mode == SET and not p.resume and not gate:
                fits = (m + mr - 1)*p.ldc + n + nv*VL <= (M - 1)*p.ldc + N and m + mr < M     # spills onto rows still to come
            if fits: any_tile(p, mr, nv, K, a, ras, cas, b, ldb, c, p.ldc, bias_n, gate_c)
            else: copied_tile(p, mr, nv, width, K, a, ras, cas, b, ldb, c, bias_n, gate_c)
            end = n
        m += mr


cdef void gemm(ix M, ix N, ix K, const real* A, ix ras, ix cas, const real* B, ix rbs, ix cbs, real* C, ix ldc,
               const real* bias, Mode mode, bint relu, const real* gate, real* work) noexcept nogil:
    """C (M, N) = [bias +] A (M, K) B (K, N), then relu or gate; see the head of this file."""
    cdef Product p
    cdef ix n = (max(N, <ix>1) - 1)//NC*NC, nc, k, kc
    cdef bint packed = cbs != 1 or (K*N > 65536 and M >= 16), last
    p.ras, p.cas, p.ldc, p.mode = ras, cas, ldc, mode
    p.gate = gate
    while n >= 0:
        nc = min(N - n, <ix>NC)
        k = 0
        while True:
            kc = min(K - k, <ix>KC) if mode == SET else K
            last = k + kc == K
            p.resume = k > 0
            p.relu = relu and last
            block(&p, M, nc, kc, A + k*cas, B + k*rbs + n*cbs, rbs, cbs, packed, C + n, bias + n if bias and k == 0 else NULL,
                  gate + n if gate and last else NULL, work)
            k += kc
            if last: break
        n -= NC
