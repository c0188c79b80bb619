# Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter and a key
# give four words.  Nothing is carried from one number to the next, so no thread count and no restart changes them.

cdef enum Stream:
    SHUFFLE = 0        # last word of the counter, its last four bits: who is asking
    DROPOUT_STREAM = 1
    SHUFFLE_TABLES = 2

cdef inline void philox(uint32_t* c, uint64_t key) noexcept nogil:
    """Turn the counter c[0..3] into four random words."""
    cdef uint32_t k0 = <uint32_t>key, k1 = <uint32_t>(key >> 32)
    cdef uint64_t a, b
    cdef int i
    for i in range(10):
        a = <uint64_t>0xD2511F53*c[0]
        b = <uint64_t>0xCD9E8D57*c[2]
        c[0] = <uint32_t>(b >> 32) ^ c[1] ^ k0
        c[1] = <uint32_t>b
        c[2] = <uint32_t>(a >> 32) ^ c[3] ^ k1
        c[3] = <uint32_t>a
        k0 += <uint32_t>0x9E3779B9
        k1 += <uint32_t>0xBB67AE85


cdef extern from *:
    """
    static inline uint64_t fastnn_multiply_high(uint64_t a, uint64_t b) {
    #ifdef __SIZEOF_INT128__
        return (uint64_t)(((unsigned __int128)a * b) >> 64);
    #else
        uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32, low = a0 * b0;
        uint64_t mid = a1 * b0 + (low >> 32), mid2 = a0 * b1 + (uint32_t)mid;
        return a1 * b1 + (mid >> 32) + (mid2 >> 32);
    #endif
    }
    """
    uint64_t multiply_high "fastnn_multiply_high"(uint64_t, uint64_t) nogil


cdef enum:
    MOST_KEPT = 1 << 20        # samples of an order that is made, and kept, as a whole: by Fisher and Yates
    ROUNDS = 8                 # of the Feistel network that shuffles more


cdef inline void draw_two(ix block, uint32_t epoch, Stream stream, uint64_t seed, uint64_t* two) noexcept nogil:
    """Numbers 2 block and 2 block + 1 of an epoch."""
    cdef uint32_t c[4]
    c[0], c[1], c[2], c[3] = <uint32_t>block, <uint32_t>(<uint64_t>block >> 32), epoch, stream
    philox(c, seed)
    two[0] = <uint64_t>c[0] | <uint64_t>c[1] << 32
    two[1] = <uint64_t>c[2] | <uint64_t>c[3] << 32


cdef void fisher_yates(ix n, uint64_t seed, uint32_t epoch, ix* order) noexcept nogil:
    """All n places, each drawn by multiplication (Lemire 2019; with 64 bits the bias is below n/2^64)."""
    cdef uint64_t two[2]
    cdef uint64_t word, second = 0
    cdef ix i, j, t, drawn = 0
    for i in range(n): order[i] = i
    for i in range(n - 1, 0, -1):
        if drawn % 2 == 0:
            draw_two(drawn//2, epoch, SHUFFLE, seed, two)
            word, second = two[0], two[1]
        else: word = second
        j = <ix>multiply_high(word, <uint64_t>i + 1)
        t = order[i]
        order[i] = order[j]
        order[j] = t
        drawn += 1


# A place in the order of more samples is computed by itself, so that nobody keeps them all: the sample i = l side + r, a
# pair of numbers below side, goes through a Feistel network, (l, r) <- (r, l + f(r) mod side) in each round, which is one to
# one whatever f is (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002).  Here f is a table of random
# numbers, one for each round; they are few, since side is the root of n.

cdef ix side_of(ix n) noexcept nogil:
    """The least number whose square is at least n."""
    cdef ix side = <ix>sqrt(<double>n)
    while side*side < n: side += 1
    while (side - 1)*(side - 1) >= n: side -= 1
    return side


cdef inline ix through_network(ix i, uint32_t side, const uint32_t* tables) noexcept nogil:
    cdef uint32_t left = <uint32_t>(i//side), right = <uint32_t>(i % side), t
    cdef ix k
    for k in range(ROUNDS):
        t = left + tables[k*side + right]
        left, right = right, t - side if t >= side else t
    return <ix>left*side + right


cdef void feistel(ix n, uint64_t seed, uint32_t epoch, ix first, ix last, ix* order, uint32_t* tables) noexcept nogil:
    """Places first .. last of n; tables: room for ROUNDS side_of(n) numbers."""
    cdef uint64_t two[2]
    cdef ix i, j, side = side_of(n)
    for i in range(ROUNDS*side):
        if i % 2 == 0: draw_two(i//2, epoch, SHUFFLE_TABLES, seed, two)
        tables[i] = <uint32_t>multiply_high(two[i % 2], side)
    for i in range(first, last):
        j = through_network(i, side, tables)
        while j >= n: j = through_network(j, side, tables)     # of the square's last, which are no samples: on until one is
        order[i - first] = j


cdef cnp.ndarray draw_order(ix n, uint64_t seed, uint32_t epoch, ix first, ix last):
    """Places first .. last of the order of an epoch's n samples, intp."""
    cdef bint whole = n <= MOST_KEPT
    cdef cnp.npy_intp size = n if whole else last - first
    cdef cnp.ndarray order = cnp.PyArray_SimpleNew(1, &size, cnp.NPY_INTP), tables
    cdef ix* p = <ix*>cnp.PyArray_DATA(order)
    cdef uint32_t* q
    if whole:
        with nogil: fisher_yates(n, seed, epoch, p)
        return order if last - first == n else order[first:last]
    tables = np.empty(ROUNDS*side_of(n), np.uint32)
    q = <uint32_t*>cnp.PyArray_DATA(tables)
    with nogil: feistel(n, seed, epoch, first, last, p, q)
    return order
