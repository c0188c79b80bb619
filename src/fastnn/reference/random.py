"""Philox4x32-10, the counter-based random generator, the permutations that shuffle an epoch, and dropout's masks.

A counter-based generator has no state: it is a function of a counter and a key, much like a cipher. Any random number
of a training can be computed by itself, in any order and by any thread, and comes out the same.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
"""

import math

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

    Up to 2**20 rows it is that of `fisher_yates`, and all orders are equally likely; of more, that of `feistel`,
    where a part of the order can be had without the rest.

    Parameters
    ----------
    n : int
        Number of rows.
    seed : int
        In 0 ... 2**64 - 1. The key is its low, then its high 32 bits.
    epoch : int
        In 0 ... 2**32 - 1.

    Returns
    -------
    ndarray of int64, shape (n,)
    """
    return fisher_yates(n, seed, epoch) if n <= 2**20 else feistel(n, seed, epoch)


def fisher_yates(n: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """Fisher-Yates from the identity.

    For i = n - 1, ..., 1 swap entries i and j, j = floor(u (i + 1) / 2**64), where u is the next of the epoch's 64-bit
    numbers of stream 0 (j is uniform but for a bias below n / 2**64).
    """
    order = list(range(n))
    for i, u in zip(range(n - 1, 0, -1), _numbers(n - 1, seed, epoch, stream=0), strict=True):
        j = (u * (i + 1)) >> 64
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.int64)


def feistel(n: int, seed: int, epoch: int, rounds: int = 8) -> npt.NDArray[np.int64]:
    """A Feistel network: entry i is a function of i, and of a number of random numbers that grows with the root of n.

    Let s be the least number with s**2 >= n. Sample i is the pair (i // s, i % s), and a round sends (l, r) to
    (r, (l + f(r)) mod s), f(r) = floor(u s / 2**64), where u is number s k + r of the epoch's 64-bit numbers of stream
    2 in round k. The rounds map 0 ... s**2 - 1 to itself one to one, whatever f is. An entry of n or more, of which
    there are fewer than 2 s, goes through them again, until it is below n: that maps 0 ... n - 1 to itself one to one.

    Source: Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002.
    """
    side = math.isqrt(max(n - 1, 0)) + 1
    tables = np.array([(u * side) >> 64 for u in _numbers(rounds * side, seed, epoch, stream=2)], dtype=np.int64)

    def through(place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        left, right = place // side, place % side
        for f in tables.reshape(rounds, side):
            left, right = right, (left + f[right]) % side
        return left * side + right

    order = through(np.arange(n))
    while (outside := order >= n).any():
        order[outside] = through(order[outside])
    return order


def _numbers(count: int, seed: int, epoch: int, stream: int) -> list[int]:
    """Random numbers of 64 bits: of block b words 0 and 1, then words 2 and 3, the low word first.

    Block b of four words has the counter (b's low 32 bits, b's high 32 bits, epoch, stream).
    """
    key = np.array([seed & _MASK, seed >> 32], dtype=np.uint32)
    counters = [(b & _MASK, b >> 32, epoch, stream) for b in range((count + 1) // 2)]
    words = philox4x32(np.array(counters, dtype=np.uint32).reshape(-1, 4), key).reshape(-1, 2).tolist()
    return [low | high << 32 for low, high in words][: max(count, 0)]


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
