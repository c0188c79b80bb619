"""The exact multiply-add that the product's tests rest on, held to fractions; and the yardstick of the errors."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from .support import assert_same_bytes, bit_patterns, fused_multiply_add, spacing, ulps


def rounded(exact: Fraction, near: np.floating) -> np.floating:
    """The float of ``near``'s dtype next to ``exact``, ties to even, where ``near`` is next to it or one beside."""
    dtype = type(near)
    candidates = [np.nextafter(near, dtype(-np.inf)), near, np.nextafter(near, dtype(np.inf))]
    bits = np.dtype(dtype).itemsize * 8
    return min(candidates, key=lambda c: (abs(Fraction(float(c)) - exact), int(c.view(f"i{bits // 8}")) & 1))


def triples(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random triples; nearly cancelling ones; and sums that lie at, or a hair beside, the middle of two floats."""
    generator = np.random.default_rng(1)
    a, b, c = generator.standard_normal((3, 300)).astype(dtype)
    cancelling = (-(a[:100] * b[:100])).astype(dtype)
    bits = np.finfo(dtype).nmant
    # c = 1 and a b = 2**-(bits+1) (1 + tiny): without the tiny part a tie, which a first rounding would lose.
    half = dtype.type(2.0 ** -(bits + 1))
    tiny = dtype.type(1) + np.finfo(dtype).eps * generator.integers(-3, 4, 100).astype(dtype)
    scale = generator.choice([1, -1], 100).astype(dtype)
    one = (1 + np.finfo(dtype).eps * generator.integers(0, 4, 100)).astype(dtype)
    return (
        np.concatenate([a, a[:100], half * tiny]),
        np.concatenate([b, b[:100], scale]),
        np.concatenate([c * dtype.type(2) ** generator.integers(-40, 40, 300), cancelling, one]).astype(dtype),
    )


def test_the_emulated_multiply_add_rounds_once(dtype: np.dtype) -> None:
    a, b, c = triples(dtype)
    got = fused_multiply_add(a, b, c)
    assert got.dtype == dtype
    twice = a * b + c
    exact = [Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) for x, y, z in zip(a, b, c, strict=True)]
    # Where a b nearly cancels c, what rounds twice may be far off: there the exact value itself, rounded, is the start.
    start = np.array([float(e) for e in exact], dtype)
    assert_same_bytes(got, np.array([rounded(e, s) for e, s in zip(exact, start, strict=True)], dtype))
    assert (got != twice).sum() > 50  # so the test can tell the two apart


def test_the_emulated_multiply_add_keeps_the_sign_of_zero(dtype: np.dtype) -> None:
    a = np.array([0.0, -0.0, 0.0, -0.0, 3.0, -3.0], dtype)
    b = np.array([1.0, 1.0, -1.0, 1.0, 0.5, 0.5], dtype)
    c = np.array([-0.0, -0.0, -0.0, 0.0, -1.5, 1.5], dtype)
    assert_same_bytes(fused_multiply_add(a, b, c), np.array([0.0, -0.0, -0.0, 0.0, 0.0, 0.0], dtype))


@pytest.mark.parametrize(
    ("dtype", "x", "unit"),
    [
        (np.float32, 1.0, 2.0**-23),
        (np.float32, 0.999, 2.0**-24),
        (np.float32, -4.0, 2.0**-21),
        (np.float32, 0.0, 2.0**-149),
        (np.float32, 1e-40, 2.0**-149),
        (np.float64, 1.5, 2.0**-52),
        (np.float64, 5e-324, 5e-324),
    ],
)
def test_the_unit_in_the_last_place(dtype: type, x: float, unit: float) -> None:
    assert float(spacing(np.longdouble(x), np.dtype(dtype))) == unit


def test_errors_in_units_in_the_last_place() -> None:
    got = np.array([1, 1 + 2**-22, np.inf, np.inf, np.nan, np.nan, 3, 0], np.float32)
    exact = np.array([1, 1, np.inf, 2.0**128 - 2.0**103, np.nan, 0, np.nan, 2.0**-149], np.longdouble)
    assert ulps(got, exact).tolist() == [0, 2, 0, 0.5, 0, np.inf, np.inf, 1]
    assert ulps(got[:2], exact[:2], slack=2.0**-23).tolist() == [0, 1]


def test_bit_patterns_cover_every_exponent(dtype: np.dtype) -> None:
    x = bit_patterns(dtype, 1 << 16)
    info = np.finfo(dtype)
    finite = x[np.isfinite(x) & (np.abs(x) >= info.tiny)]
    for side in (finite[finite > 0], finite[finite < 0]):
        assert set(np.frexp(side)[1].tolist()) == set(range(info.minexp + 1, info.maxexp + 1))
    assert np.isnan(x).any()
    assert np.isinf(x).any()
    assert ((x != 0) & (np.abs(x) < info.tiny)).any()
