"""The reference generator against Random123's known answers, and its permutations against a second implementation."""

import numpy as np
import pytest

from fastnn.reference import random

# (counter, key, output) of the lines "philox4x32 10" of Random123's tests/kat_vectors.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return np.array([int(word, 16) for word in text.split()], dtype=np.uint32)


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_philox_known_answers(counter, key, output):
    with np.errstate(all="raise"):
        got = random.philox4x32(words(counter), words(key))
    assert got.dtype == np.uint32
    np.testing.assert_array_equal(got, words(output))


def test_philox_takes_any_number_of_counters():
    counters = np.random.default_rng(14).integers(2**32, size=(3, 5, 4), dtype=np.uint32)
    key = words("a4093822 299f31d0")
    got = random.philox4x32(counters, key)
    assert got.shape == (3, 5, 4)
    np.testing.assert_array_equal(got[2, 3], random.philox4x32(counters[2, 3], key))


def drawn_one_by_one(n, seed, epoch):
    """The permutation as its definition reads: one number at a time from one block at a time."""
    key = np.array([seed % 2**32, seed // 2**32], dtype=np.uint32)
    order = list(range(n))
    for c, i in enumerate(reversed(range(1, n))):
        block = np.array([c // 2 % 2**32, c // 2 // 2**32, epoch, 0], dtype=np.uint32)
        w = [int(word) for word in random.philox4x32(block, key)]
        u = w[0] + 2**32 * w[1] if c % 2 == 0 else w[2] + 2**32 * w[3]
        j = u * (i + 1) // 2**64
        order[i], order[j] = order[j], order[i]
    return order


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 100])
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (2**64 - 1, 2**32 - 1), (0x123456789ABCDEF0, 7)])
def test_permutation_is_its_definition(n, seed, epoch):
    got = random.permutation(n, seed, epoch)
    assert (got.dtype, got.shape) == (np.int64, (n,))
    assert got.tolist() == drawn_one_by_one(n, seed, epoch)
    assert sorted(got) == list(range(n))


def test_permutation_stays_as_it_is():
    # A saved seed must shuffle alike in every version.
    assert random.permutation(10, 42, 3).tolist() == [9, 7, 6, 2, 3, 8, 1, 0, 5, 4]


def test_seeds_and_epochs_differ():
    orders = {tuple(random.permutation(50, seed, epoch)) for seed in (0, 1, 2**32) for epoch in range(4)}
    assert len(orders) == 12


def test_all_orders_are_equally_likely():
    counts: dict[tuple[int, ...], int] = {}
    for epoch in range(2400):
        order = tuple(random.permutation(4, 1, epoch).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    chi_squared = sum((count - 100) ** 2 / 100 for count in counts.values())
    assert chi_squared < 49.7  # 99.9 % of chi-squared with 23 degrees of freedom


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**32)])
def test_a_seed_or_epoch_that_does_not_fit_is_an_error(seed, epoch):
    with pytest.raises(OverflowError):
        random.permutation(4, seed, epoch)
