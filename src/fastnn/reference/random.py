"""Philox4x32-10, the counter-based random generator, and the permutations that shuffle an epoch.

A counter-based generator has no state: it is a function of a counter and a key, much like a cipher. Any random number
of a training can be computed by itself, in any order and by any thread, and comes out the same.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
"""

import numpy as np
import numpy.typing as npt

# The paper's constants: multipliers, and the increments of the key (golden ratio and √3 - 1, times 2**32).
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_MASK = 0xFFFFFFFF


def philox4x32(counter: npt.NDArray[np.uint32], key: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Philox4x32-10: encrypt each counter with the key.

    A round sends (c0, c1, c2, c3), with M0 c0 = (hi0, lo0) and M1 c2 = (hi1, lo1) in 64 bits, to
    (hi1 ^ c1 ^ k0, lo1, hi0 ^ c3 ^ k1, lo0); between rounds W0 is added to k0 and W1 to k1, modulo 2**32.

    Parameters
    ----------
    counter : ndarray of uint32, shape (..., 4)
    key : ndarray of uint32, shape (2,)

    Returns
    -------
    ndarray of uint32, shape (..., 4)
        128 random bits for each counter.
    """
    c0, c1, c2, c3 = np.moveaxis(counter.astype(np.uint64), -1, 0)
    k0, k1 = (int(word) for word in key)
    for _ in range(_ROUNDS):
        product0 = c0 * np.uint64(_MULTIPLIERS[0])
        product1 = c2 * np.uint64(_MULTIPLIERS[1])
        c0, c1, c2, c3 = (
            (product1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0),
            product1 & np.uint64(_MASK),
            (product0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1),
            product0 & np.uint64(_MASK),
        )
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def permutation(n: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return a random order of 0 ... n - 1, a function of (n, seed, epoch) alone.

    Fisher-Yates from the identity: for i = n - 1, ..., 1 swap entries i and j, j = floor(u (i + 1) / 2**64), where u is
    the next 64-bit number (j is uniform but for a bias below n / 2**64).

    Parameters
    ----------
    n : int
        Number of rows.
    seed : int
        In 0 ... 2**64 - 1. The key is its low, then its high 32 bits.
    epoch : int
        In 0 ... 2**32 - 1. Block b of four words has the counter (b's low 32 bits, b's high 32 bits, epoch, 0), and
        gives two 64-bit numbers: words 0 and 1, then words 2 and 3, the low word first.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    key = np.array([seed & _MASK, seed >> 32], dtype=np.uint32)
    blocks = [(b & _MASK, b >> 32, epoch, 0) for b in range(n // 2)]  # n - 1 numbers, two a block
    counters = np.array(blocks, dtype=np.uint32).reshape(-1, 4)
    words = philox4x32(counters, key).reshape(-1, 2).tolist()  # (numbers, 2), Python ints

    order = list(range(n))
    for i, (low, high) in zip(range(n - 1, 0, -1), words, strict=False):  # an odd n - 1 leaves one number over
        j = ((low | high << 32) * (i + 1)) >> 64
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)
