"""exp, log, log1p, tanh and sigmoid of one element: errors everywhere, special values, same bits."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastnn.reference import activations

from .support import EXAMPLES, SIZES, assert_same_bytes, assert_ulps, bit_patterns, families, specials

# The largest error in units in the last place, float32 and float64, with and without fused multiply-add: the largest of
# millions of random arguments, rounded up.
#
#            float32   float64   bound
#   exp        1.05      0.97     1.1
#   log        0.86      0.85     0.9
#   log1p      0.83      0.83     0.9
#   tanh       2.38      2.54     2.6
#   sigmoid    2.83      2.76     2.9
BOUNDS = {"exp": 1.1, "log": 0.9, "log1p": 0.9, "tanh": 2.6, "sigmoid": 2.9}

EXACT: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": activations.sigmoid,
}

NAMES = list(BOUNDS)


def evaluate(core: ModuleType, name: str, x: np.ndarray) -> np.ndarray:
    out = np.full_like(x, 7)
    core.elementary(name, x, out)
    return out


@np.errstate(all="ignore")
def exact(name: str, x: np.ndarray) -> np.ndarray:
    return EXACT[name](x.astype(np.longdouble))


def beside(points: list[float], dtype: np.dtype) -> np.ndarray:
    """40 floats on each side of each of the points."""
    steps = np.arange(-40, 41)
    near = [dtype.type(p) + steps.astype(dtype) * np.spacing(np.abs(dtype.type(p))) for p in points]
    return np.concatenate(near)


@cache
def arguments(name: str, dtype: np.dtype) -> np.ndarray:
    """Dense samples: every exponent, and more where the function does something."""
    info = np.finfo(dtype)
    generator = np.random.default_rng(1)

    def uniform(low: float, high: float) -> np.ndarray:
        return generator.uniform(low, high, 1 << 15)

    tiny, most = (float(np.log(np.longdouble(v))) for v in (info.smallest_subnormal, info.max))
    normal = float(np.log(np.longdouble(info.tiny)))
    points = {
        "exp": [tiny, normal, most, 0.5, 1.0, -1.0],
        "log": [0.5, 1.0, 2.0, np.sqrt(0.5), np.sqrt(2), float(info.tiny)],
        "log1p": [-1.0, -0.5, 1.0, np.sqrt(0.5) - 1, np.sqrt(2) - 1, float(info.eps)],
        "tanh": [info.nmant * np.log(2) / 2, 0.1732868, 0.5, 1.0, -1.0],
        "sigmoid": [tiny, normal, -normal, 0.5, -0.5, 1.0, -1.0],
    }
    ranges = {
        "exp": [(1.1 * tiny, 1.1 * most), (-2.0, 2.0), (tiny - 1, normal + 1)],
        "log": [(0.4, 2.5), (0.99, 1.01), (0.0, 5 * float(info.tiny))],
        "log1p": [(-1.0, 3.0), (-0.01, 0.01)],
        "tanh": [(-1.0, 1.0), (-20.0, 20.0)],
        "sigmoid": [(-6.0, 3.0), (1.1 * tiny, -1.1 * tiny), (tiny - 1, normal + 1)],
    }
    x = [beside(points[name], dtype), *(uniform(*r) for r in ranges[name])]
    return np.concatenate([*(v.astype(dtype) for v in x), bit_patterns(dtype, 1 << 16)])


@cache
def exact_of_arguments(name: str, dtype: np.dtype) -> np.ndarray:
    return exact(name, arguments(name, dtype))


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_error(core: ModuleType, name: str) -> None:
    got = evaluate(core, name, arguments(name, core.DTYPE))
    assert_ulps(got, exact_of_arguments(name, core.DTYPE), BOUNDS[name])


@pytest.mark.parametrize("name", NAMES)
def test_the_names_are_the_modules(core: ModuleType, name: str) -> None:
    assert name in core.ELEMENTARY
    assert len(core.ELEMENTARY) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_any_number(core: ModuleType, name: str) -> None:
    bits = 8 * core.DTYPE.itemsize

    @settings(EXAMPLES, max_examples=25)
    @given(st.lists(st.floats(width=bits), max_size=40))
    def check(values: list[float]) -> None:
        x = np.array(values, core.DTYPE)
        assert_ulps(evaluate(core, name, x), exact(name, x), BOUNDS[name])

    check()


INF, NAN = np.inf, np.nan
SPECIAL = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e4, INF), (-1e4, 0.0)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-INF, NAN), (-1.0, NAN), (-1e-30, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (INF, INF), (-INF, NAN), (-1.5, NAN), (-1e30, NAN)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (25.0, 1.0), (-25.0, -1.0), (1e30, 1.0)],
    "sigmoid": [(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (800.0, 1.0), (-800.0, 0.0), (50.0, 1.0)],
}


@pytest.mark.parametrize("name", NAMES)
def test_special_values_are_exact(core: ModuleType, name: str) -> None:
    pairs = [*SPECIAL[name], (NAN, NAN), (-NAN, NAN)]
    # Alone, where the compiler's remainder loop computes them, and all together, where its vectors do.
    for x, y in pairs:
        assert_same_bytes(evaluate(core, name, np.array([x], core.DTYPE)), np.array([y], core.DTYPE))
    x, y = (np.array(v * 8, core.DTYPE) for v in zip(*pairs, strict=True))
    assert_same_bytes(evaluate(core, name, x), y)


@pytest.mark.parametrize("name", ["log1p", "tanh"])
def test_subnormals_are_their_own_value(core: ModuleType, name: str) -> None:
    info = np.finfo(core.DTYPE)
    x = info.smallest_subnormal * np.arange(1, 100, dtype=core.DTYPE)
    x = np.concatenate([x, -x, [info.tiny - info.smallest_subnormal, info.tiny]]).astype(core.DTYPE)
    assert_same_bytes(evaluate(core, name, x), x)


def test_tanh_is_odd_and_bounded_and_sigmoid_is_bounded(core: ModuleType) -> None:
    x = bit_patterns(core.DTYPE, 1 << 14)
    y = evaluate(core, "tanh", x)
    assert_same_bytes(evaluate(core, "tanh", -x), -y)
    assert np.nanmax(np.abs(y)) == 1
    y = evaluate(core, "sigmoid", x)
    assert np.nanmax(y) == 1
    assert np.nanmin(y) == 0


@pytest.mark.parametrize("name", NAMES)
def test_builds_that_round_alike_give_the_same_bytes(dtype: np.dtype, name: str) -> None:
    x = arguments(name, dtype)
    for family in families(dtype):
        first = evaluate(family[0], name, x)
        for core in family[1:]:
            assert_same_bytes(evaluate(core, name, x), first)


@pytest.mark.parametrize("name", NAMES)
def test_an_element_does_not_depend_on_its_place(core: ModuleType, name: str) -> None:
    x = np.random.default_rng(2).permutation(arguments(name, core.DTYPE))[: max(SIZES)]
    special = specials(core.DTYPE)
    x[: len(special)] = special
    whole = evaluate(core, name, x)
    for n in (0, *SIZES):
        for start in range(min(len(x) - n, 20) + 1):
            assert_same_bytes(evaluate(core, name, x[start : start + n]), whole[start : start + n])
