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
    ADD = 1            # C = C + A B, the product summed by itself first (K <= MAX_ADD): gradients over the chunks of a batch

cdef enum:
    KC = 272                   # rows of a block of B: a panel of it, 2*VL columns, fits the first cache beside a tile of A
    A_BYTES = 131072           # a packed block of A, and
    B_BYTES = 262144           # a packed block of B: together they fit the second cache
    SLACK = 1024               # elements: the last panel of a block is filled up
    MAX_ADD = 512              # most K that ADD takes
    UNROLL = 4                 # steps of k without a look at the loop's counter

cdef ix PACK_FROM = 65536      # elements of B from which a copy in panels is worth making

# Elements of scratch that one thread needs.
cdef ix GEMM_WORK = (A_BYTES + B_BYTES)//<ix>sizeof(real) + MAX_ADD*64 + 2*SLACK


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
    # Rows of A are reached from three pointers, as pointer + 0, 1 and 2 strides, which addresses can say; and the pointers
    # are held in registers: left alone, gcc keeps an offset for each row in memory and reloads them all at every k.
    cdef vec acc[MR][8]
    cdef vec b[8]
    cdef vec a
    cdef ix k
    cdef int u
    cdef const real* A3 = A + 3*ras
    cdef const real* A6 = A + 6*ras
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
    for k in range(K//UNROLL):
        hold_pointer(A)
        if mr > 3: hold_pointer(A3)
        if mr > 6: hold_pointer(A6)
        for u in range(UNROLL):
            for j in range(nv): b[j] = vload(B + j*VL)
            for i in range(mr):
                a = vsplat(A[i*ras + u*cas] if i < 3 else A3[(i - 3)*ras + u*cas] if i < 6 else A6[(i - 6)*ras + u*cas])
                for j in range(nv): acc[i][j] = vfmadd(a, b[j], acc[i][j])
            B += ldb
        A += UNROLL*cas
        A3 += UNROLL*cas
        A6 += UNROLL*cas
    for k in range(K % UNROLL):
        for j in range(nv): b[j] = vload(B + j*VL)
        for i in range(mr):
            a = vsplat(A[i*ras])
            for j in range(nv): acc[i][j] = vfmadd(a, b[j], acc[i][j])
        B += ldb
        A += cas
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


cdef inline void tile_shapes(const int mr, const Product* p, ix nv, ix K, const real* A, ix ras, ix cas,
                             const real* B, ix ldb, real* C, ix ldc, const real* bias, const real* gate) noexcept nogil:
    """Turn the number of vectors and A's unit stride into constants that the compiler specialises on."""
    if cas == 1:
        if nv == 2: tile(mr, 2, p, K, A, ras, 1, B, ldb, C, ldc, bias, gate)
        elif nv == 1: tile(mr, 1, p, K, A, ras, 1, B, ldb, C, ldc, bias, gate)
        elif mr == 1: tile(1, 8, p, K, A, ras, 1, B, ldb, C, ldc, bias, gate)
        elif mr == 2: tile(2, 4, p, K, A, ras, 1, B, ldb, C, ldc, bias, gate)
    else:
        if nv == 2: tile(mr, 2, p, K, A, 1, cas, B, ldb, C, ldc, bias, gate)
        elif nv == 1: tile(mr, 1, p, K, A, 1, cas, B, ldb, C, ldc, bias, gate)
        elif mr == 1: tile(1, 8, p, K, A, 1, cas, B, ldb, C, ldc, bias, gate)
        elif mr == 2: tile(2, 4, p, K, A, 1, cas, B, ldb, C, ldc, bias, gate)


cdef void tile_1(const Product* p, ix nv, ix K, const real* A, ix ras, ix cas, const real* B, ix ldb, real* C, ix ldc,
                 const real* bias, const real* gate) noexcept nogil:
    tile_shapes(TILE_ROWS(1), p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void tile_2(const Product* p, ix nv, ix K, const real* A, ix ras, ix cas, const real* B, ix ldb, real* C, ix ldc,
                 const real* bias, const real* gate) noexcept nogil:
    tile_shapes(TILE_ROWS(2), p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void tile_3(const Product* p, ix nv, ix K, const real* A, ix ras, ix cas, const real* B, ix ldb, real* C, ix ldc,
                 const real* bias, const real* gate) noexcept nogil:
    tile_shapes(TILE_ROWS(3), p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void tile_4(const Product* p, ix nv, ix K, const real* A, ix ras, ix cas, const real* B, ix ldb, real* C, ix ldc,
                 const real* bias, const real* gate) noexcept nogil:
    tile_shapes(TILE_ROWS(4), p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void tile_5(const Product* p, ix nv, ix K, const real* A, ix ras, ix cas, const real* B, ix ldb, real* C, ix ldc,
                 const real* bias, const real* gate) noexcept nogil:
    tile_shapes(TILE_ROWS(5), p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void tile_6(const Product* p, ix nv, ix K, const real* A, ix ras, ix cas, const real* B, ix ldb, real* C, ix ldc,
                 const real* bias, const real* gate) noexcept nogil:
    tile_shapes(TILE_ROWS(6), p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void tile_7(const Product* p, ix nv, ix K, const real* A, ix ras, ix cas, const real* B, ix ldb, real* C, ix ldc,
                 const real* bias, const real* gate) noexcept nogil:
    tile_shapes(TILE_ROWS(7), p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void tile_8(const Product* p, ix nv, ix K, const real* A, ix ras, ix cas, const real* B, ix ldb, real* C, ix ldc,
                 const real* bias, const real* gate) noexcept nogil:
    tile_shapes(TILE_ROWS(8), p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


ctypedef void (*tile_function)(const Product*, ix, ix, const real*, ix, ix, const real*, ix, real*, ix, const real*, const real*) noexcept nogil

# By number of rows.  Called through this table, each stays a function of its own: in one large function gcc gives up on
# keeping the loops' addresses in registers.
cdef tile_function TILES[9]
TILES[:] = [NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8]


cdef inline void any_tile(const Product* p, ix mr, ix nv, ix K, const real* A, ix ras, ix cas,
                   const real* B, ix ldb, real* C, ix ldc, const real* bias, const real* gate) noexcept nogil:
    TILES[mr](p, nv, K, A, ras, cas, B, ldb, C, ldc, bias, gate)


cdef void pack(ix kc, ix nc, const real* B, ix rbs, ix cbs, real* out) noexcept nogil:
    """B (kc, nc) -> panels of 2*VL columns, one after the other, the last filled up with zeros."""
    cdef ix n, width, k, j, panel = 2*VL, whole = nc//panel*panel
    cdef const real* row
    cdef real* to
    if cbs == 1:                                   # row by row, as B lies in memory: that is what processors prefetch
        for k in range(kc):
            row = B + k*rbs
            to = out + k*panel
            n = 0
            while n < whole:
                vstore(to + n*kc, vload(row + n))
                vstore(to + n*kc + VL, vload(row + n + VL))
                n += panel
            if whole < nc:
                for j in range(panel): to[whole*kc + j] = row[whole + j] if whole + j < nc else R(0)
        return
    n = 0
    while n < nc:
        width = min(nc - n, panel)
        to = out + n*kc
        j = 0
        while j + 4 <= width:
            for k in range(0, kc - 3, 4): transpose4x4(B + (n + j)*cbs + k, cbs, to + k*panel + j, panel)
            for k in range(kc//4*4, kc):
                to[k*panel + j] = B[(n + j)*cbs + k]
                to[k*panel + j + 1] = B[(n + j + 1)*cbs + k]
                to[k*panel + j + 2] = B[(n + j + 2)*cbs + k]
                to[k*panel + j + 3] = B[(n + j + 3)*cbs + k]
            j += 4
        while j < panel:
            for k in range(kc): to[k*panel + j] = B[k + (n + j)*cbs] if j < width else R(0)
            j += 1
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


cdef inline ix tile_height(ix left) noexcept nogil:
    """Rows of the next tile: the last two share what is left, so that none is very low."""
    if left <= MR: return left
    return MR if left >= 2*MR else (left + 1)//2


cdef void pack_rows(ix M, ix K, const real* A, ix cas, real* out) noexcept nogil:
    """A (M, K) whose rows are one element apart -> its tiles one after the other: that of rows m … m + mr is (K, mr), at out + m K."""
    cdef ix m = 0, mr, k, i
    while m < M:
        mr = tile_height(M - m)
        if mr == MR:                               # a constant: the copy is unrolled
            for k in range(K):
                for i in range(MR): out[k*MR + i] = A[m + i + k*cas]
        else:
            for k in range(K):
                for i in range(mr): out[k*mr + i] = A[m + i + k*cas]
        out += K*mr
        m += mr


cdef void block(const Product* p, ix M, ix N, ix K, const real* A, const real* B, ix ldb, bint packed, real* C,
                const real* bias, const real* gate, ix rows_below, real* work) noexcept nogil:
    """A block of A times a block of B.  Panels of B go from right to left, and tiles down each: see the head of this file.
    `rows_below` rows of C lie under this block's."""
    cdef ix m, mr, n, nv, width, end = N, ras = p.ras, cas = p.cas, wide = 2*VL
    cdef const real* a
    cdef const real* b
    cdef real* c
    cdef const real* bias_n
    cdef const real* gate_c
    cdef bint fits, whole, tiles = False
    if cas != 1 and N > 4*VL:                      # A is read once for each panel: make that one stream
        pack_rows(M, K, A, cas, work)
        A = work
        tiles = True
    if not packed and M <= 2: wide = 8*VL if M == 1 else 4*VL      # few rows: more columns, to have enough chains under way
    while end > 0:
        width = end % (2*VL)
        if width == 0: width = wide if end % wide == 0 else 2*VL
        n = end - width
        nv = (width + VL - 1)//VL
        b = B + n*K if packed else B + n
        bias_n = bias + n if bias else NULL
        whole = width == nv*VL or n + nv*VL <= p.ldc
        m = 0
        while m < M:
            mr = tile_height(M - m)
            a = A + m*(K if tiles else ras)
            if tiles: cas = mr
            c = C + m*p.ldc + n
            gate_c = gate + m*p.ldc + n if gate else NULL
            fits = whole
            if not fits and p.mode == SET and not p.resume and not gate:
                # Spilling onto rows still to come, of which there must be enough.
                fits = m + mr < M + rows_below and (m + mr - 1)*p.ldc + n + nv*VL <= (M + rows_below - 1)*p.ldc + N
            if fits: any_tile(p, mr, nv, K, a, ras, cas, b, ldb, c, p.ldc, bias_n, gate_c)
            else: copied_tile(p, mr, nv, width, K, a, ras, cas, b, ldb, c, bias_n, gate_c)
            m += mr
        end = n


cdef void gemm(ix M, ix N, ix K, const real* A, ix ras, ix cas, const real* B, ix rbs, ix cbs, real* C, ix ldc,
               const real* bias, Mode mode, bint relu, const real* gate, real* work) noexcept nogil:
    """C (M, N) = [bias +] A (M, K) B (K, N), then relu or gate; see the head of this file."""
    cdef Product p
    cdef ix kc = K, nc, mc, k, n, m, cols, rows, depth, blocks = (K + KC - 1)//KC
    cdef bint packed = cbs != 1 or (K*N > PACK_FROM and M >= 4*MR), last
    cdef const real* b
    cdef real* work_b = work + A_BYTES//<ix>sizeof(real) + SLACK
    p.ras, p.cas, p.ldc, p.mode, p.gate = ras, cas, ldc, mode, gate
    if mode == SET and blocks > 1: kc = round_up((K + blocks - 1)//blocks, 8)
    nc = max(B_BYTES//<ix>sizeof(real)//max(kc, <ix>1)//(8*VL), <ix>1)*8*VL if packed else N
    mc = max(A_BYTES//<ix>sizeof(real)//max(kc, <ix>1)//MR, <ix>1)*MR
    n = (max(N, <ix>1) - 1)//max(nc, <ix>1)*nc
    while n >= 0 and N > 0:
        cols = min(N - n, nc)
        k = 0
        while True:
            depth = min(K - k, kc)
            last = k + depth == K
            p.resume = k > 0
            p.relu = relu and last
            b = B + k*rbs + n*cbs
            if packed:
                pack(depth, cols, b, rbs, cbs, work_b)
                b = work_b
            m = 0
            while m < M:
                rows = min(M - m, mc)
                block(&p, rows, cols, depth, A + m*ras + k*cas, b, 2*VL if packed else rbs, packed,
                      C + m*ldc + n, bias + n if bias and k == 0 else NULL, gate + m*ldc + n if gate and last else NULL, M - m - rows, work)
                m += rows
            k += depth
            if last: break
        n -= nc
