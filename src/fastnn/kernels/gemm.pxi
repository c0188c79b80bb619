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
    UNROLL = 2                 # steps of k without a look at the loop's counter; with 4, gcc runs out of registers

cdef ix PACK_FROM = 65536      # elements of B from which a copy in panels is worth making

# Elements of scratch that one thread needs.
cdef ix GEMM_WORK = (A_BYTES + B_BYTES)//<ix>sizeof(real) + MAX_ADD*64 + 2*SLACK


cdef struct Tiles:
    # Tiles of C below one another: what a kernel is given.
    ix count
    ix K
    const real* A
    ix ras             # strides of A: to the next row, to the next column,
    ix cas
    ix next_a          # and to the rows of the next tile
    const real* B
    ix ldb             # from a row of a panel of B to the next
    real* C
    ix ldc
    ix room            # columns from C's first to the end of its row's memory
    const real* bias   # C = bias + A B
    const real* gate   # C = C where not gate <= 0, else 0: relu's derivative; rows and stride as C's
    bint resume        # go on with the chains that C holds (not the first block of K)
    Mode mode
    bint relu          # C = max(C, 0)


cdef inline void tile(const int mr, const int nv, const Tiles* t, const real* A, const ix ras, const ix cas, real* C,
                      const real* gate) noexcept nogil:
    """An mr x (nv*VL) tile of C, in registers over K; mr, nv and one of A's strides are constants after inlining."""
    # Rows of A are reached from three pointers, as pointer + 0, 1 and 2 strides, which addresses can say; and the pointers
    # are held in registers: left alone, gcc keeps an offset for each row in memory and reloads them all at every k.
    cdef vec acc[MR][8]
    cdef vec b[8]
    cdef vec a
    cdef ix k, K = t.K, ldb = t.ldb, ldc = t.ldc
    cdef const real* A3 = A + 3*ras
    cdef const real* A6 = A + 6*ras
    cdef const real* B = t.B
    cdef int i, j, u
    for i in range(mr): prefetch_write(C + i*ldc)
    if t.resume:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vload(C + i*ldc + j*VL)
    elif t.bias:
        for j in range(nv): b[j] = vload(t.bias + j*VL)
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
                for j in range(nv): vaccumulate(acc[i][j], a, b[j])
            B += ldb
        A += UNROLL*cas
        A3 += UNROLL*cas
        A6 += UNROLL*cas
    for k in range(K % UNROLL):
        for j in range(nv): b[j] = vload(B + j*VL)
        for i in range(mr):
            a = vsplat(A[i*ras])
            for j in range(nv): vaccumulate(acc[i][j], a, b[j])
        B += ldb
        A += cas
    if t.mode == ADD:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vload(C + i*ldc + j*VL) + acc[i][j]
    if t.relu:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vrelu(acc[i][j])
    if gate:
        for i in range(mr):
            for j in range(nv): acc[i][j] = vgate(acc[i][j], vload(gate + i*ldc + j*VL))
    for i in range(mr):
        for j in range(nv): vstore(C + i*ldc + j*VL, acc[i][j])


cdef inline void column(const int mr, const int nv, const Tiles* t, const ix ras, const ix cas) noexcept nogil:
    """t.count tiles, from top to bottom."""
    cdef const real* A = t.A
    cdef const real* gate = t.gate
    cdef real* C = t.C
    cdef ix n
    for n in range(t.count):
        tile(mr, nv, t, A, ras, cas, C, gate)
        A += t.next_a
        C += mr*t.ldc
        if gate: gate += mr*t.ldc


cdef inline void any_column(const int mr, const Tiles* t, ix nv) noexcept nogil:
    """Turn the number of vectors and A's unit stride into constants that the compiler specialises on."""
    if t.cas == 1:
        if nv == 2: column(mr, 2, t, t.ras, 1)
        elif nv == 1: column(mr, 1, t, t.ras, 1)
        elif mr == 1: column(1, 8, t, t.ras, 1)
        elif mr == 2: column(2, 4, t, t.ras, 1)
    else:
        if nv == 2: column(mr, 2, t, 1, t.cas)
        elif nv == 1: column(mr, 1, t, 1, t.cas)
        elif mr == 1: column(1, 8, t, 1, t.cas)
        elif mr == 2: column(2, 4, t, 1, t.cas)


cdef void tiles_1(const Tiles* t, ix nv) noexcept nogil:
    any_column(TILE_ROWS(1), t, nv)


cdef void tiles_2(const Tiles* t, ix nv) noexcept nogil:
    any_column(TILE_ROWS(2), t, nv)


cdef void tiles_3(const Tiles* t, ix nv) noexcept nogil:
    any_column(TILE_ROWS(3), t, nv)


cdef void tiles_4(const Tiles* t, ix nv) noexcept nogil:
    any_column(TILE_ROWS(4), t, nv)


cdef void tiles_5(const Tiles* t, ix nv) noexcept nogil:
    any_column(TILE_ROWS(5), t, nv)


cdef void tiles_6(const Tiles* t, ix nv) noexcept nogil:
    any_column(TILE_ROWS(6), t, nv)


cdef void tiles_7(const Tiles* t, ix nv) noexcept nogil:
    any_column(TILE_ROWS(7), t, nv)


cdef void tiles_8(const Tiles* t, ix nv) noexcept nogil:
    any_column(TILE_ROWS(8), t, nv)


# By number of rows.  Called through this table, each stays a function of its own: in one large function gcc gives up on
# keeping the loops' addresses in registers.
ctypedef void (*kernel)(const Tiles*, ix) noexcept nogil
cdef kernel KERNELS[9]
KERNELS[:] = [NULL, tiles_1, tiles_2, tiles_3, tiles_4, tiles_5, tiles_6, tiles_7, tiles_8]


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


cdef void copied_tile(const Tiles* t, ix mr, ix nv, ix width) noexcept nogil:
    """One tile of which only `width` columns may be written to C: computed in a copy."""
    cdef real c[8*64]
    cdef real g[8*64]
    cdef Tiles copy = t[0]
    cdef ix i, j, ldc = nv*VL
    for i in range(mr):
        for j in range(ldc): c[i*ldc + j] = t.C[i*t.ldc + j] if j < width else R(0)
        if t.gate:
            for j in range(ldc): g[i*ldc + j] = t.gate[i*t.ldc + j] if j < width else R(0)
    copy.C = c
    copy.ldc = ldc
    if t.gate: copy.gate = g
    KERNELS[mr](&copy, nv)
    for i in range(mr):
        for j in range(width): t.C[i*t.ldc + j] = c[i*ldc + j]


cdef inline ix tile_height(ix left) noexcept nogil:
    """Rows of the next tile: the last two share what is left, so that none is very low."""
    if left <= MR: return left
    return MR if left >= 2*MR else (left + 1)//2


cdef void pack_rows(ix M, ix K, const real* A, ix cas, real* out) noexcept nogil:
    """A (M, K) whose rows are one element apart -> its tiles one after the other: that of rows m … m + mr is (K, mr), at
    out + m K."""
    cdef ix m = 0, mr, k, i
    cdef int j
    cdef int vectors = (MR + VL - 1)//VL
    while m < M:
        mr = tile_height(M - m)
        if mr == MR and m + vectors*VL <= M:       # whole vectors; what they write too much is written over
            for k in range(K):
                for j in range(vectors): vstore(out + k*MR + j*VL, vload(A + m + k*cas + j*VL))
        else:
            for k in range(K):
                for i in range(mr): out[k*mr + i] = A[m + i + k*cas]
        out += K*mr
        m += mr


cdef void block(Tiles* t, ix M, ix N, const real* A, const real* B, bint packed, real* C, const real* bias, const real* gate,
                ix rows_below, real* work) noexcept nogil:
    """A block of A times a block of B.  Panels of B go from right to left, and tiles down each: see the head of this file.
    `rows_below` rows of C lie under this block's.  Strides, K, mode and the like are in t."""
    cdef ix m, mr, n, nv, width, end = N, row_of_a = t.ras, cas = t.cas, wide = 2*VL
    cdef bint whole, fits, tiled = False
    if t.cas != 1 and N > 4*VL:                    # A is read once for each panel: make that one stream
        pack_rows(M, t.K, A, t.cas, work)
        A = work
        tiled = True
        row_of_a = t.K
    if not packed and M <= 2: wide = 8*VL if M == 1 else 4*VL      # few rows: more columns, to have enough chains under way
    t.next_a = MR*row_of_a
    while end > 0:
        width = end % (2*VL)
        if width == 0: width = wide if end % wide == 0 else 2*VL
        n = end - width
        nv = (width + VL - 1)//VL
        t.B = B + n*t.K if packed else B + n
        t.bias = bias + n if bias else NULL
        whole = width == nv*VL or n + nv*VL <= t.room
        m = 0
        while m < M:
            mr = tile_height(M - m)
            t.A = A + m*row_of_a
            t.C = C + m*t.ldc + n
            t.gate = gate + m*t.ldc + n if gate else NULL
            t.cas = mr if tiled else cas
            t.count = 1
            fits = whole
            if whole:
                if mr == MR: t.count = max((M - m)//MR - ((M - m) % MR != 0), <ix>1)
            elif t.mode == SET and not t.resume and not gate:
                # Spilling onto rows still to come, of which there must be enough.
                fits = m + mr < M + rows_below and (m + mr - 1)*t.ldc + n + nv*VL <= (M + rows_below - 1)*t.ldc + N
            if fits: KERNELS[mr](t, nv)
            else: copied_tile(t, mr, nv, width)
            m += mr*t.count
        end = n
    t.cas = cas


cdef void gemm(ix M, ix N, ix K, const real* A, ix ras, ix cas, const real* B, ix rbs, ix cbs, real* C, ix ldc,
               const real* bias, Mode mode, bint relu, const real* gate, real* work) noexcept nogil:
    """C (M, N) = [bias +] A (M, K) B (K, N), then relu or gate; see the head of this file."""
    cdef Tiles t
    cdef ix kc = K, nc, mc, k, n, m, cols, rows, blocks = (K + KC - 1)//KC
    # The second factor of a gradient (cas != 1) is a padded buffer of ours, whose rows do not collide in the caches.
    cdef bint packed = cbs != 1 or (K*N > PACK_FROM and M >= 4*MR and cas == 1), last
    cdef const real* b
    cdef real* work_b = work + A_BYTES//<ix>sizeof(real) + SLACK
    if mode == SET and blocks > 1: kc = round_up((K + blocks - 1)//blocks, 8)
    nc = max(B_BYTES//<ix>sizeof(real)//max(kc, <ix>1)//(8*VL), <ix>1)*8*VL if packed else N
    mc = max(A_BYTES//<ix>sizeof(real)//max(kc, <ix>1)//MR, <ix>1)*MR
    t.ras, t.cas, t.ldc, t.mode = ras, cas, ldc, mode
    t.ldb = 2*VL if packed else rbs
    n = (N - 1)//nc*nc if N else -1
    while n >= 0:
        cols = min(N - n, nc)
        t.room = ldc - n
        k = 0
        while True:
            t.K = min(K - k, kc)
            last = k + t.K == K
            t.resume = k > 0
            t.relu = relu and last
            b = B + k*rbs + n*cbs
            if packed:
                pack(t.K, cols, b, rbs, cbs, work_b)
                b = work_b
            m = 0
            while m < M:
                rows = min(M - m, mc)
                block(&t, rows, cols, A + m*ras + k*cas, b, packed, C + m*ldc + n, bias + n if bias and k == 0 else NULL,
                      gate + m*ldc + n if gate and last else NULL, M - m - rows, work)
                m += rows
            k += t.K
            if last: break
        n -= nc
