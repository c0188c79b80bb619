# Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter and a key
# give four words.  Nothing is carried from one number to the next, so no thread count and no restart changes them.

cdef enum Stream:
    SHUFFLE = 0        # last word of the counter, its last four bits: who is asking
    DROPOUT_STREAM = 1

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


cdef void permutation(ix n, uint64_t seed, uint32_t epoch, ix* order) noexcept nogil:
    """The order of an epoch's samples: Fisher and Yates, each place drawn by multiplication (Lemire 2019; with 64 bits the
    bias is below n/2^64)."""
    cdef uint32_t c[4]
    cdef uint64_t word, second = 0
    cdef ix i, j, t, drawn = 0
    for i in range(n): order[i] = i
    for i in range(n - 1, 0, -1):
        if drawn % 2 == 0:
            c[0] = <uint32_t>(<uint64_t>drawn//2)
            c[1] = <uint32_t>((<uint64_t>drawn//2) >> 32)
            c[2] = epoch
            c[3] = SHUFFLE
            philox(c, seed)
            word = <uint64_t>c[0] | <uint64_t>c[1] << 32
            second = <uint64_t>c[2] | <uint64_t>c[3] << 32
        else:
            word = second
        j = <ix>multiply_high(word, <uint64_t>i + 1)
        t = order[i]
        order[i] = order[j]
        order[j] = t
        drawn += 1
