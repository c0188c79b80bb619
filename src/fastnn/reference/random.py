"""Philox4x32-10, the counter-based random generator, the permutations that shuffle an epoch, and dropout's masks.

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


def dropout_mask(
    rows: int, columns: int, rate: float, seed: int, step: int, layer: int, first_row: int = 0
) -> npt.NDArray[np.bool_]:
    """What dropout keeps of some rows of a batch: each element with the probability 1 - rate, to within 2**-32.

    An element is kept where its 32-bit word is at least floor(rate 2**32). Its word is number w of the four at the
    counter (c, row, step, 16 layer + 1). Counters and words of column j are such that 16 lanes of a vector compute 16
    counters of 64 columns, whose words then stand in the order of the columns: with j = 64 block + r, 0 <= r < 64,
    c = 16 block + r % 16 and w = r // 16.

    Parameters
    ----------
    rows, columns : int
    rate : float
        In [0, 1].
    seed : int
        In 0 ... 2**64 - 1. The key is its low, then its high 32 bits.
    step : int
        In 0 ... 2**32 - 1: updates made before this batch.
    layer : int
        In 0 ... 2**28 - 1: which of the network's layers.
    first_row : int
        Of these rows, in the batch.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
    """
    key = np.array([seed & _MASK, seed >> 32], dtype=np.uint32)
    counters = np.array(
        [
            [(64 * (j // 64) // 4 + j % 16, row, step, 16 * layer + 1) for j in range(columns)]
            for row in range(first_row, first_row + rows)
        ],
        dtype=np.uint32,
    )
    words = philox4x32(counters.reshape(rows, columns, 4), key)  # (rows, columns, 4)
    word_of_column = np.arange(columns) % 64 // 16
    drawn = np.take_along_axis(words, word_of_column[np.newaxis, :, np.newaxis], axis=-1)[..., 0]
    threshold: int = int(rate * 2**32)
    return np.asarray(drawn >= threshold)
