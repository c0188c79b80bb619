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
    assert random.permutation(2_000_000, 42, 3)[7:11].tolist() == [992565, 812299, 203378, 1774005]
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


@pytest.mark.parametrize("n", [*range(11), 15, 16, 17, 1000])
@pytest.mark.parametrize("rounds", [1, 8])
def test_a_network_maps_one_to_one(n, rounds):
    got = random.feistel(n, 5, 6, rounds)
    assert (got.dtype, got.shape) == (np.int64, (n,))
    assert sorted(got) == list(range(n))


def through_one_by_one(n, seed, epoch):
    """The network as its definition reads."""
    side = next(s for s in range(1, n + 2) if s * s >= n)
    key = np.array([seed % 2**32, seed // 2**32], dtype=np.uint32)

    def table(number):
        block = np.array([number // 2, 0, epoch, 2], dtype=np.uint32)
        w = [int(word) for word in random.philox4x32(block, key)]
        u = w[0] + 2**32 * w[1] if number % 2 == 0 else w[2] + 2**32 * w[3]
        return u * side // 2**64

    order = []
    for i in range(n):
        while True:
            left, right = divmod(i, side)
            for k in range(8):
                left, right = right, (left + table(k * side + right)) % side
            i = left * side + right
            if i < n:
                break
        order.append(i)
    return order


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_a_network_is_its_definition(n):
    assert random.feistel(n, 0x123456789ABCDEF0, 7).tolist() == through_one_by_one(n, 0x123456789ABCDEF0, 7)


def test_a_network_shuffles():
    """Where a sample goes, and what stands beside it and a row of the square away, is anything equally likely."""
    n, orders = 1000, np.array([random.feistel(1000, seed, 0) for seed in range(1500)])
    for lag in (0, 1, 32, 33):
        got = (np.roll(orders, -lag, axis=1) - orders)[:, : n - lag] % n if lag else orders
        counts = np.bincount((got[:, ::7] * 64 // n).ravel(), minlength=64)
        possible = np.bincount(np.arange(bool(lag), n) * 64 // n, minlength=64)
        expected = counts.sum() * possible / possible.sum()
        assert ((counts - expected) ** 2 / expected).sum() < 115  # 99.99 % of chi-squared with 63 degrees of freedom
    places = np.array([np.bincount(orders[:, place] * 10 // n, minlength=10) for place in range(0, n, 50)])
    assert ((places - 150) ** 2 / 150).sum() < 255  # the same, with 180
    assert abs((orders == np.arange(n)).sum() - 1500) < 4 * 1500**0.5
    rising = (np.diff(orders, axis=1) > 0).sum(axis=1)
    assert abs(rising.mean() - (n - 1) / 2) < 4 * ((n + 1) / 12 / 1500) ** 0.5
    assert 0.85 < rising.var() / ((n + 1) / 12) < 1.15


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**32)])
def test_a_seed_or_epoch_that_does_not_fit_is_an_error(seed, epoch):
    with pytest.raises(OverflowError):
        random.permutation(4, seed, epoch)
