"""Philox4x32-10 and the permutations drawn from it: bit for bit the reference's; and aligned memory."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn.reference import random

from .support import EXAMPLES, SIZES

# (counter, key, output) of the lines "philox4x32 10" of Random123's tests/kat_vectors.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, 0xFFFFFFFFFFFFFFFF, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        0x299F31D0A4093822,
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
WORD = st.integers(0, 2**32 - 1)
SEEDS = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_philox_known_answers(core: ModuleType, counter: tuple[int, ...], key: int, output: tuple[int, ...]) -> None:
    assert core.philox_block(counter, key) == output


@EXAMPLES
@given(counter=st.tuples(WORD, WORD, WORD, WORD), key=SEEDS)
def test_philox_is_the_references(core: ModuleType, counter: tuple[int, ...], key: int) -> None:
    words = np.array([key % 2**32, key // 2**32], np.uint32)
    expected = random.philox4x32(np.array(counter, np.uint32), words)
    assert core.philox_block(counter, key) == tuple(expected.tolist())


@pytest.mark.parametrize(
    ("counter", "key", "error"),
    [
        ((0, 0, 0), 0, ValueError),
        ((0, 0, 0, 0, 0), 0, ValueError),
        ((0, 0, 0, 2**32), 0, OverflowError),
        ((0, 0, 0, -1), 0, OverflowError),
        ((0, 0, 0, 0), 2**64, OverflowError),
        ((0, 0, 0, 0), -1, OverflowError),
    ],
)
def test_philox_takes_four_words_and_a_key_of_64_bits(
    core: ModuleType, counter: tuple[int, ...], key: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"unpack|too large|negative"):
        core.philox_block(counter, key)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 0x123456789ABCDEF0, 2**64 - 1])
def test_permutations_are_the_references(core: ModuleType, n: int, seed: int) -> None:
    for epoch in (0, 7, 2**32 - 1):
        order = core.draw_permutation(n, seed, epoch)
        assert (order.dtype, order.shape) == (np.dtype(np.intp), (n,))
        np.testing.assert_array_equal(order, random.permutation(n, seed, epoch))


@EXAMPLES
@given(n=st.integers(0, 70), seed=SEEDS, epoch=WORD)
def test_any_permutation_is_the_references(core: ModuleType, n: int, seed: int, epoch: int) -> None:
    np.testing.assert_array_equal(core.draw_permutation(n, seed, epoch), random.permutation(n, seed, epoch))


def test_a_long_permutation_holds_every_number_once(core: ModuleType) -> None:
    order = core.draw_permutation(100_000, 3, 4)
    np.testing.assert_array_equal(np.sort(order), np.arange(100_000))
    assert (order != np.arange(100_000)).mean() > 0.99


def test_a_permutation_stays_as_it_is(core: ModuleType) -> None:
    # A saved seed must shuffle alike in every version.
    assert core.draw_permutation(10, 42, 3).tolist() == [9, 7, 6, 2, 3, 8, 1, 0, 5, 4]
    assert core.draw_permutation(2_000_000, 42, 3, 7, 11).tolist() == [992565, 812299, 203378, 1774005]


@pytest.mark.parametrize(("n", "seed", "epoch"), [(4, -1, 0), (4, 2**64, 0), (4, 0, -1), (4, 0, 2**32)])
def test_a_seed_or_epoch_that_does_not_fit_is_an_error(core: ModuleType, n: int, seed: int, epoch: int) -> None:
    with pytest.raises(OverflowError, match=r"too large|negative"):
        core.draw_permutation(n, seed, epoch)


@pytest.mark.parametrize(("n", "part"), [(-1, ()), (5, (-1,)), (5, (3, 2)), (5, (0, 6)), (2**40, (1, 2**40 + 1))])
def test_places_that_are_none_are_an_error(core: ModuleType, n: int, part: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"of {n}, expected 0 <= first <= last <= n"):
        core.draw_permutation(n, 0, 0, *part)


@pytest.mark.parametrize("n", [2**20 + 1, 2**20 + 2**11, 2**20 + 2**11 + 1, 1_500_007])
def test_long_permutations_are_the_references(core: ModuleType, n: int) -> None:
    expected = random.permutation(n, 2**64 - 1 - n, 5)
    order = core.draw_permutation(n, 2**64 - 1 - n, 5)
    assert order.dtype == np.dtype(np.intp)
    np.testing.assert_array_equal(order, expected)
    for first, last in ((0, 1), (1000, 1000), (n - 777, n), (12345, 54321)):
        np.testing.assert_array_equal(core.draw_permutation(n, 2**64 - 1 - n, 5, first, last), expected[first:last])


@pytest.mark.parametrize("n", [1, 10, 1000, 2**20])
def test_a_part_of_a_permutation(core: ModuleType, n: int) -> None:
    whole = core.draw_permutation(n, 3, 4)
    for first, last in ((0, n), (n // 3, n // 2 + 1), (n, n)):
        np.testing.assert_array_equal(core.draw_permutation(n, 3, 4, first, last), whole[first:last])


def test_a_part_of_more_than_memory_holds(core: ModuleType) -> None:
    n = 2**44
    first = core.draw_permutation(n, 1, 2, 0, 1000)
    assert first.min() >= 0
    assert first.max() < n
    assert first.std() > n / 4
    assert len(set(first.tolist())) == 1000


@pytest.mark.parametrize("n", [0, *SIZES])
def test_aligned_memory(core: ModuleType, n: int) -> None:
    for _ in range(10):
        x = core.aligned(n)
        assert (x.dtype, x.shape) == (core.DTYPE, (n,))
        address = x.__array_interface__["data"][0]
        assert address % 64 == 0 or n == 0  # NumPy moves an empty slice to the start
        assert not x.any()
        assert x.flags.writeable
        assert x.flags.c_contiguous
        raw = x.base
        while isinstance(raw.base, np.ndarray):
            raw = raw.base
        end = raw.__array_interface__["data"][0] + raw.nbytes
        assert end - (address + x.nbytes) >= 64  # a spare cache line behind it
        x[...] = 7


def test_what_a_build_says_of_itself(core: ModuleType) -> None:
    assert core.DTYPE in (np.dtype(np.float32), np.dtype(np.float64))
    assert core.VECTOR_LENGTH * core.DTYPE.itemsize in (core.DTYPE.itemsize, 16, 32, 64)
