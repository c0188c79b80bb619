"""The matrix product: every element's bits, and not one byte written where it may not.

gemm.pxi promises that each element of C is one ordered chain of multiply-adds over k, from its bias. Here that chain is
computed step by step with an exact multiply-add, and all bits must agree: so an element depends on its row of A, its
column of B and its bias, and neither on its place in a tile nor on the shape or the layout of the matrices.

All memory round the matrices that are read holds NaN, which may not reach C. All memory round C holds a number that
must be there afterwards, but in the padding that the kernel may fill: up to the vector's end, inside the row's stride.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastnn.reference import dense

from .support import EXAMPLES, SIZES, assert_same_bytes, chain, families, is_fused, normal

GAP = 64  # elements before and behind every matrix: more than the longest vector
GUARD = 8191.25  # round C: what is computed from the NaN round the others is another number
MAX_ADD = 512  # the longest sum that is added to C
LAYOUTS = ["a b", "aT b", "a bT", "aT bT"]


@dataclass
class Placed:
    """A matrix (M, N) whose rows lie ``ld`` apart in memory that is full of one number."""

    values: np.ndarray
    ld: int
    around: float = np.nan
    memory: np.ndarray = field(init=False)
    view: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        m, n = self.values.shape
        self.memory = np.full(GAP + m * self.ld + GAP, self.around, self.values.dtype)
        self.view = self.memory[GAP : GAP + m * self.ld].reshape(m, self.ld)[:, :n]
        self.view[...] = self.values


def place(values: np.ndarray, transposed: bool, extra: int = 0) -> np.ndarray:
    """The matrix with rows (or columns) end to end or ``extra`` apart, NaN round it, read-only."""
    view = (
        Placed(values.T, values.shape[0] + extra).view.T if transposed else Placed(values, values.shape[1] + extra).view
    )
    view.flags.writeable = False
    return view


def place_vector(values: np.ndarray) -> np.ndarray:
    """The vector with NaN round it."""
    return Placed(values[np.newaxis], len(values)).view[0]


def vector_end(core: ModuleType, n: int) -> int:
    """n rounded up to whole vectors."""
    return -(-n // core.VECTOR_LENGTH) * core.VECTOR_LENGTH


def expected_product(
    core: ModuleType,
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None,
    add: np.ndarray | None,
    relu: bool,
    gate: np.ndarray | None,
) -> np.ndarray:
    """What gemm.pxi promises, to the bit."""
    c = chain(core, a, b, np.zeros(b.shape[1], a.dtype) if bias is None else bias)
    if add is not None:
        c = add + c
    if relu:
        c = np.where(c < 0, c.dtype.type(0), c)
    if gate is not None:
        c = np.where(gate <= 0, c.dtype.type(0), c)
    return c


def check_product(
    core: ModuleType,
    a: np.ndarray,
    b: np.ndarray,
    ld: int,
    expected: np.ndarray,
    *,
    bias: np.ndarray | None = None,
    add: np.ndarray | None = None,
    relu: bool = False,
    gate: np.ndarray | None = None,
) -> None:
    """Run the kernel into a C with rows ``ld`` apart: its bits, and that nothing else has changed."""
    m, n = expected.shape
    c = Placed(np.full((m, n), np.nan, a.dtype) if add is None else add, ld, around=GUARD)
    placed_gate = None if gate is None else Placed(gate, ld).view
    core.product(a, b, c.view, bias, add is not None, relu, placed_gate)
    image = Placed(expected, ld, around=GUARD)
    # Rows that are padded to whole vectors may be filled up; where they are not, vectors may spill over the row's end,
    # but not over the last row's.
    end = vector_end(core, n)
    fits = end <= ld
    rows, got_rows = (x.memory[GAP : GAP + m * ld].reshape(m, ld) for x in (image, c))
    rows[: m if fits else m - 1, n : min(end, ld)] = got_rows[: m if fits else m - 1, n : min(end, ld)]
    unsigned = f"u{a.itemsize}"
    if not np.array_equal(c.memory.view(unsigned), image.memory.view(unsigned)):
        assert_same_bytes(c.view, expected)
        at = np.flatnonzero(c.memory.view(unsigned) != image.memory.view(unsigned))[0] - GAP
        raise AssertionError(f"wrote {c.memory[at + GAP]} behind or before C: row {at // ld}, column {at % ld} of {n}")


@cache
def small_problem(core: ModuleType, k: int = 6) -> tuple[np.ndarray, ...]:
    """a (20, k), b (k, 140), bias, and a matrix to add or to gate with, whose zeros are of both signs."""
    a, b = normal(1, 20, k, dtype=core.DTYPE), normal(2, k, 140, dtype=core.DTYPE)
    bias, other = normal(3, 140, dtype=core.DTYPE), normal(4, 20, 140, dtype=core.DTYPE)
    other[::3, ::5], other[1::3, ::7], other[::4, ::3] = 0, -0.0, np.nan
    return a, b, bias, other


@cache
def small_result(core: ModuleType, options: frozenset[str]) -> np.ndarray:
    a, b, bias, other = small_problem(core)
    return expected_product(
        core,
        a,
        b,
        bias if "bias" in options else None,
        np.nan_to_num(other) if "add" in options else None,
        "relu" in options,
        other if "gate" in options else None,
    )


def check_small(core: ModuleType, layout: str, rows: list[int], columns: list[int], options: frozenset[str]) -> None:
    """All shapes of rows x columns, C dense and padded."""
    a, b, bias, other = small_problem(core)
    c = small_result(core, options)
    placed_a = {m: place(a[:m], "aT" in layout, extra=m % 3) for m in rows}
    for n in columns:
        placed_b = place(b[:, :n], "bT" in layout, extra=n % 4)
        placed_bias = place_vector(bias[:n]) if "bias" in options else None
        for m in rows:
            for ld in {n, vector_end(core, n), vector_end(core, n) + 3}:
                check_product(
                    core,
                    placed_a[m],
                    placed_b,
                    ld,
                    c[:m, :n],
                    bias=placed_bias,
                    add=np.nan_to_num(other[:m, :n]) if "add" in options else None,
                    relu="relu" in options,
                    gate=other[:m, :n] if "gate" in options else None,
                )


EDGES = [*range(1, 35), 47, 63, 64, 65, 127, 128, 129, 136, 140]


def test_every_row_count_and_every_remainder(core: ModuleType) -> None:
    check_small(core, "a b", list(range(1, 21)), list(range(1, 141)), frozenset(["bias"]))


@pytest.mark.parametrize("layout", LAYOUTS[1:])
def test_transposed(core: ModuleType, layout: str) -> None:
    check_small(core, layout, list(range(1, 21)), EDGES, frozenset(["bias"]))


@pytest.mark.parametrize(
    "options", ["", "relu", "bias relu", "add", "bias add", "gate", "add gate", "bias add relu gate"]
)
def test_what_happens_before_and_after_the_product(core: ModuleType, options: str) -> None:
    check_small(core, "a b", [1, 2, 3, 5, 8, 9, 13, 17], EDGES, frozenset(options.split()))


@EXAMPLES
@given(
    m=st.integers(0, 40),
    k=st.integers(0, 40),
    n=st.integers(0, 150),
    layout=st.sampled_from(LAYOUTS),
    options=st.sets(st.sampled_from(["bias", "add", "relu", "gate"])),
    extra=st.tuples(*[st.integers(0, 40)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_shape_layout_and_option(
    core: ModuleType,
    m: int,
    k: int,
    n: int,
    layout: str,
    options: set[str],
    extra: tuple[int, int, int],
    seed: int,
) -> None:
    a, b = normal(seed, m, k, dtype=core.DTYPE), normal(seed + 1, k, n, dtype=core.DTYPE)
    bias = normal(seed + 2, n, dtype=core.DTYPE) if "bias" in options else None
    add = normal(seed + 3, m, n, dtype=core.DTYPE) if "add" in options else None
    gate = normal(seed + 4, m, n, dtype=core.DTYPE) if "gate" in options else None
    expected = expected_product(core, a, b, bias, add, "relu" in options, gate)
    check_product(
        core,
        place(a, "aT" in layout, extra[0]),
        place(b, "bT" in layout, extra[1]),
        n + extra[2],
        expected,
        bias=None if bias is None else place_vector(bias),
        add=add,
        relu="relu" in options,
        gate=gate,
    )


@pytest.mark.parametrize("options", ["", "bias", "bias add relu"])
@pytest.mark.parametrize(("m", "k", "n"), [(0, 3, 5), (3, 0, 5), (3, 5, 0), (0, 0, 0), (20, 0, 70), (1, 0, 1)])
def test_an_empty_sum_is_its_bias_and_an_empty_result_writes_nothing(
    core: ModuleType, m: int, k: int, n: int, options: str
) -> None:
    bias = normal(5, n, dtype=core.DTYPE)
    bias[:1] = -0.0
    add = normal(6, m, n, dtype=core.DTYPE)
    expected = np.broadcast_to(bias if "bias" in options else np.zeros(n, core.DTYPE), (m, n))
    if "add" in options:
        expected = add + expected
    if "relu" in options:
        expected = np.where(expected < 0, core.DTYPE.type(0), expected)
    for transposed, ld in itertools.product([False, True], {n, vector_end(core, n)}):
        check_product(
            core,
            place(np.ones((m, k), core.DTYPE), transposed),
            place(np.ones((k, n), core.DTYPE), transposed),
            ld,
            expected,
            bias=place_vector(bias) if "bias" in options else None,
            add=add if "add" in options else None,
            relu="relu" in options,
        )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_sign_of_zero(core: ModuleType, layout: str) -> None:
    zeros = np.array([0.0, -0.0], core.DTYPE)
    a = zeros[np.arange(18).reshape(9, 2) % 7 % 2]
    b = np.where(np.arange(80).reshape(2, 40) % 3 == 0, -1, 1).astype(core.DTYPE)
    bias, add = zeros[np.arange(40) % 5 % 2], zeros[np.arange(360).reshape(9, 40) % 11 % 2]
    placed = place(a, "aT" in layout), place(b, "bT" in layout)
    for options in ({}, {"bias": bias}, {"bias": bias, "add": add}, {"bias": bias, "relu": True}):
        full = {"bias": None, "add": None, "relu": False, "gate": None} | options
        expected = expected_product(core, a, b, **full)
        assert "bias" not in options or np.signbit(expected).any()
        if "bias" in options:
            full["bias"] = place_vector(bias)
        for ld in (40, 43):
            check_product(core, *placed, ld, expected, **full)


# ---- large matrices, computed in blocks ------------------------------------------------------------------------------


@cache
def chained(dtype: np.dtype, fused: bool, m: int, k: int, n: int) -> tuple[np.ndarray, ...]:
    """a (m, k), b (k, n), bias, and bias + a b as the builds that fuse, or do not fuse, must have it."""
    a, b, bias = normal(7, m, k, dtype=dtype), normal(8, k, n, dtype=dtype), normal(9, n, dtype=dtype)
    core = next(core for family in families(dtype) for core in family if is_fused(core) == fused)
    return a, b, bias, chain(core, a, b, bias)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [384, 385, 512, 513, 1030])
def test_long_sums(core: ModuleType, k: int, layout: str) -> None:
    a, b, bias, c = chained(core.DTYPE, is_fused(core), 34, k, 133)
    c = np.where(c < 0, core.DTYPE.type(0), c)
    for m, n in [(1, 133), (2, 1), (15, 133), (16, 133), (17, 128), (34, 131), (34, 133)]:
        for ld in {n, vector_end(core, n)}:
            placed = place(a[:m], "aT" in layout, 1), place(b[:, :n], "bT" in layout)
            check_product(core, *placed, ld, c[:m, :n], bias=place_vector(bias[:n]), relu=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [1023, 1024, 1025, 1055, 1056, 2065])
def test_long_rows(core: ModuleType, n: int, layout: str) -> None:
    a, b, bias, c = chained(core.DTYPE, is_fused(core), 34, 40, 2065)
    gate = normal(10, 34, n, dtype=core.DTYPE)
    c = np.where(gate <= 0, core.DTYPE.type(0), c[:, :n])
    for m in (1, 2, 3, 34):
        for ld in {n, vector_end(core, n)}:
            placed = place(a[:m], "aT" in layout), place(b[:, :n], "bT" in layout, 2)
            check_product(core, *placed, ld, c[:m], bias=place_vector(bias[:n]), gate=gate[:m])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(9, 515, 1029), (91, 384, 179), (2100, 40, 5)])
def test_large_matrices(core: ModuleType, shape: tuple[int, int, int], layout: str) -> None:
    a, b, bias, c = chained(core.DTYPE, is_fused(core), *shape)
    for ld in (shape[2], vector_end(core, shape[2])):
        check_product(core, place(a, "aT" in layout), place(b, "bT" in layout), ld, c, bias=place_vector(bias))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(9, MAX_ADD, 1029), (91, 300, 179)])
def test_a_large_product_is_added_and_gated(core: ModuleType, shape: tuple[int, int, int], layout: str) -> None:
    a, b, bias, product = chained(core.DTYPE, is_fused(core), *shape)
    before, gate = (normal(seed, *product.shape, dtype=core.DTYPE) for seed in (10, 11))
    placed = place(a, "aT" in layout), place(b, "bT" in layout)
    for ld in (shape[2], vector_end(core, shape[2])):
        check_product(core, *placed, ld, before + product, bias=place_vector(bias), add=before)
        gated = np.where(gate <= 0, core.DTYPE.type(0), before + product)
        check_product(core, *placed, ld, gated, bias=place_vector(bias), add=before, gate=gate)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_part_alone_has_the_bits_it_has_in_the_whole(core: ModuleType, layout: str) -> None:
    m, k, n = 41, 602, 1101
    a = place(normal(12, m, k, dtype=core.DTYPE), "aT" in layout)
    b = place(normal(13, k, n, dtype=core.DTYPE), "bT" in layout)
    whole = Placed(np.zeros((m, n), core.DTYPE), n).view
    core.product(a, b, whole)
    generator = np.random.default_rng(14)
    for _ in range(12):
        (top, bottom), (left, right) = (np.sort(generator.choice(size + 1, 2, replace=False)) for size in (m, n))
        part = Placed(np.zeros((bottom - top, right - left), core.DTYPE), right - left).view
        core.product(a[top:bottom], b[:, left:right], part)
        assert_same_bytes(part, whole[top:bottom, left:right])


def test_builds_that_round_alike_give_the_same_bytes(dtype: np.dtype) -> None:
    a, b = normal(15, 21, 600, dtype=dtype), place(normal(16, 600, 150, dtype=dtype), transposed=False)
    for family in families(dtype):
        results = [np.empty((21, 150), dtype) for _ in family]
        for core, c in zip(family, results, strict=True):
            core.product(a, b, c)
            assert_same_bytes(c, results[0])


# ---- accuracy, NaN and infinity --------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", SIZES)
def test_the_error_grows_with_the_root_of_the_sums_length(core: ModuleType, k: int) -> None:
    m, n = 19, 53
    a, b, bias = (normal(18 + i, *shape, dtype=core.DTYPE) for i, shape in enumerate([(m, k), (k, n), (n,)]))
    c = np.empty((m, n), core.DTYPE)
    core.product(a, place(b, transposed=False), c, place_vector(bias))
    wide = [x.astype(np.longdouble) for x in (a, b, bias)]
    exact = dense.dense(*wide)
    # Each of k + 1 roundings is at most half a unit of a partial sum, and these are no larger than the sum of all
    # magnitudes; roundings of random signs add up like a random walk.
    magnitude = dense.dense(*(np.abs(x) for x in wide))
    error = np.abs(c - exact) / magnitude / np.finfo(core.DTYPE).eps
    assert error.max() <= np.sqrt(k + 1)
    assert k < 16 or error.max() > 0  # the yardstick is finer than the kernel


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("k", [3, 516])
def test_nan_and_infinity_reach_what_depends_on_them_and_nothing_else(core: ModuleType, k: int, layout: str) -> None:
    a, b, bias = (
        normal(21, 11, k, dtype=core.DTYPE),
        normal(22, k, 40, dtype=core.DTYPE),
        normal(23, 40, dtype=core.DTYPE),
    )
    a[8, 2] = 0
    clean = np.empty((11, 40), core.DTYPE)
    core.product(place(a, "aT" in layout), place(b, "bT" in layout), clean, place_vector(bias))
    a[2, 1], a[7, 0] = np.nan, np.inf
    b[1, 5], b[2, 38], bias[17] = -np.inf, np.inf, np.inf
    with np.errstate(invalid="ignore"):
        touched = dense.dense(a, b, bias)
    expected = np.where(np.isfinite(touched), clean, touched)
    assert np.isnan(expected[2]).all()
    assert np.isnan(expected[8, 38])  # 0 times infinity
    assert np.isfinite(expected).sum() == 9 * 37  # rows 2 and 7 and columns 5, 17 and 38 are not
    got = np.empty_like(clean)
    core.product(place(a, "aT" in layout), place(b, "bT" in layout), got, place_vector(bias))
    assert_same_bytes(got, expected)


def test_relu_keeps_nan_and_gate_lets_pass_where_it_is_nan(core: ModuleType) -> None:
    a = np.ones((4, 1), core.DTYPE)
    b = np.array([[np.nan, -1, -0.0, 0, 1, np.inf, -np.inf]], core.DTYPE)
    c = np.empty((4, 7), core.DTYPE)
    core.product(a, place(b, transposed=False), c, relu=True)
    assert_same_bytes(c, np.tile(np.array([np.nan, 0, 0, 0, 1, np.inf, 0], core.DTYPE), (4, 1)))
    gate = Placed(np.tile(np.array([0, np.nan, 1e-30, -0.0, -np.nan, -1, np.inf], core.DTYPE), (4, 1)), 7).view
    core.product(a, place(b, transposed=False), c, gate=gate)
    assert_same_bytes(c, np.tile(np.array([0, -1, 0, 0, 1, 0, -np.inf], core.DTYPE), (4, 1)))
