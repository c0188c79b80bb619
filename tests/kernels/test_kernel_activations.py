"""Activations in place and their derivatives, from the outputs or beside them, against the reference in longdouble."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

from fastnn.reference import activations

from .support import SIZES, assert_same_bytes, assert_ulps, bit_patterns, families, normal, spacing, specials

WIDE = np.longdouble


class Case(NamedTuple):
    """A function with its parameter, and the largest errors of value and derivative in units in the last place.

    The unit of the derivative is its own; or "range": that of its largest value, where it is computed from an output
    that saturates; or "terms": that of the larger term of f(z)/z + z (f(z)/z)' where the sum is less.
    """

    name: str  # in the reference
    code: int
    value: float
    slope: float
    unit: str = "own"
    options: dict[str, float | bool] = {}  # noqa: RUF012

    @property
    def alpha(self) -> float | tuple[float, float, float]:
        if self.code == BENT:
            slope, most, threshold = self.options.values()
            return slope, threshold, np.nan if most is None else most
        return float(next(iter(self.options.values()), 0.0))

    def __str__(self) -> str:
        return self.name + "".join(f" {value}" for value in self.options.values())


# The bounds are the largest errors over the domain below, of float32 and float64, with and without fused multiply-add,
# rounded up.
CASES = [
    Case("linear", 0, 0, 0),
    Case("relu", 1, 0, 0),
    Case("sigmoid", 2, 2.9, 3.1, "range"),
    Case("tanh", 3, 2.6, 1.6, "range"),
    Case("softmax", 4, np.nan, np.nan),
    Case("log_softmax", 5, np.nan, np.nan),
    Case("leaky_relu", 6, 1, 0.3, options={"negative_slope": 0.2}),
    Case("leaky_relu", 6, 1, 0.3, options={"negative_slope": 0.01}),
    Case("relu6", 7, 0, 0),
    Case("elu", 8, 1.1, 0.6, "range", {"alpha": 1.0}),
    Case("elu", 8, 2.1, 0.6, "range", {"alpha": 0.7}),
    Case("selu", 9, 1.9, 1.3, "range"),
    Case("celu", 10, 1.1, 0.6, "range", {"alpha": 1.0}),
    Case("celu", 10, 1.1, 0.6, "range", {"alpha": 0.5}),
    Case("softplus", 11, 1.7, 2.5),
    Case("softsign", 12, 1.5, 1, "range"),
    Case("exponential", 13, 1.1, 1.1),
    Case("log_sigmoid", 14, 1.7, 2.5),
    Case("hard_sigmoid", 15, 1, 0.5),
    Case("hard_tanh", 16, 0, 0),
    Case("soft_shrink", 17, 0.5, 0, options={"threshold": 0.5}),
    Case("hard_shrink", 18, 0, 0, options={"threshold": 0.5}),
    Case("sparse_plus", 19, 2, 0.5),
    Case("sparse_sigmoid", 20, 0.5, 0),
    Case("squareplus", 21, 3, 6, options={"b": 4.0}),
    Case("squareplus", 21, 3, 6, options={"b": 0.3}),
    Case("relu", 22, 2, 0.5, options={"negative_slope": 0.2, "max_value": 3.0, "threshold": 0.5}),
    Case("relu", 22, 0, 0, options={"negative_slope": 0.0, "max_value": None, "threshold": 1.0}),
    Case("relu", 22, 0, 0, options={"negative_slope": 0.0, "max_value": 0.5, "threshold": 3.0}),
    Case("silu", 23, 3, 4.3, "terms"),
    Case("gelu", 24, 4, 4, "terms"),
    Case("gelu", 25, 2.7, 5, "terms", {"approximate": True}),
    Case("mish", 26, 3.7, 5.2, "terms"),
    Case("hard_silu", 27, 2, 1),
    Case("tanh_shrink", 28, 3.6, 3.6),
]
ROWWISE = [case for case in CASES if "softmax" in case.name]
ELEMENTWISE = [case for case in CASES if case not in ROWWISE]
BENT = 22
FIRST_KEPT = 23  # from here on the derivative needs z
NAMED = {case.name: case for case in reversed(CASES)}  # of one name the first
KINKS = [0, 0.5, 1, 3, 6]  # where, or at the negative of which, a derivative jumps

each = pytest.mark.parametrize("case", CASES, ids=str)
each_elementwise = pytest.mark.parametrize("case", ELEMENTWISE, ids=str)


def forward(core: ModuleType, case: Case, z: np.ndarray) -> np.ndarray:
    """f(z) over the last axis."""
    a = z.copy()
    core.activation(case.code, case.alpha, a, z.shape[-1])
    return a


def backward(core: ModuleType, case: Case, z: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """upstream f'(z), as a network computes it."""
    if case.code >= FIRST_KEPT:
        return upstream * kept(core, case, z)[1]
    return backward_from(core, case, forward(core, case, z), upstream)


def backward_from(core: ModuleType, case: Case, a: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """upstream f'(z) from a = f(z)."""
    d = upstream.copy()
    core.activation_backward(case.code, case.alpha, a, d, a.shape[-1])
    return d


def kept(core: ModuleType, case: Case, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(z) and f'(z) in one pass."""
    a, slope = z.copy(), np.full_like(z, 7)
    core.activation_keeping_slope(case.code, a, slope, z.shape[-1])
    return a, slope


def logits(rows: int, width: int, dtype: np.dtype, spread: float = 3.0) -> np.ndarray:
    return (spread * np.random.default_rng(rows + 31 * width).standard_normal((rows, width))).astype(dtype)


def eps(core: ModuleType) -> np.longdouble:
    """The unit in the last place of 1."""
    return WIDE(np.finfo(core.DTYPE).eps)


# ---- elementwise -----------------------------------------------------------------------------------------------------


@cache
def arguments(dtype: np.dtype) -> np.ndarray:
    """Every exponent, and more where the functions do something: out to where the smallest exponential vanishes."""
    generator = np.random.default_rng(1)
    end = -float(np.log(WIDE(np.finfo(dtype).smallest_subnormal)))
    ranges = [generator.uniform(-r, r, 1 << 13) for r in (1, 4, 16, 40, 1.1 * end, 1e4)]
    near_0 = np.exp2(generator.uniform(-60, 3, 1 << 13)) * generator.choice([-1, 1], 1 << 13)
    points = np.array(
        [s * p for p in (*KINKS, np.log(2) / 2, 1.5 * np.log(2), 11.5, 16, 20, 22, 40, 120, 800) for s in (-1, 1)]
    )
    beside = (points.astype(dtype)[:, np.newaxis] * (1 + np.arange(-8, 9) * np.finfo(dtype).eps)).astype(dtype)
    return np.concatenate([*(v.astype(dtype) for v in (*ranges, near_0)), beside.ravel(), bit_patterns(dtype, 1 << 14)])


@cache
def exact_of_arguments(case_index: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    case, z = CASES[case_index], arguments(dtype).astype(WIDE)
    function, gradient = activations.ACTIVATIONS[case.name]
    return function(z, **case.options), gradient(z, np.ones_like(z), **case.options)


@each_elementwise
def test_the_largest_error_of_a_value(core: ModuleType, case: Case) -> None:
    exact, _ = exact_of_arguments(CASES.index(case), core.DTYPE)
    assert_ulps(forward(core, case, arguments(core.DTYPE)), exact, case.value)


@each_elementwise
@np.errstate(all="ignore")
def test_the_largest_error_of_a_derivative(core: ModuleType, case: Case) -> None:
    z = arguments(core.DTYPE)
    value, exact = exact_of_arguments(CASES.index(case), core.DTYPE)
    got = backward(core, case, z, np.ones_like(z))
    # NaN passes the gradient on through what is made of straight lines, so that it is not lost there.
    ordinary = ~np.isnan(z)
    if case.name == "sparse_sigmoid":  # z + 1 rounds to 2
        ordinary &= (z < 0.999999) | (z >= 1)
    z, value, exact, got = z[ordinary], value[ordinary], exact[ordinary], got[ordinary]
    assert not np.isnan(got).any()
    if case.unit == "own":
        assert_ulps(got, exact, case.slope)
        return
    if case.unit == "range":
        unit = spacing(np.full_like(exact, np.abs(exact).max()), core.DTYPE)
    else:
        share = np.where(z == 0, exact, value / z)
        unit = spacing(np.maximum(np.abs(exact), np.maximum(np.abs(share), np.abs(exact - share))), core.DTYPE)
    error = np.abs(got - exact) / unit
    assert error.max() <= case.slope, (z[error.argmax()], float(error.max()))


INF, NAN = np.inf, np.nan
# z, f(z), f'(z)
SPECIAL: dict[str, list[tuple[float, float, float]]] = {
    "linear": [(-0.0, -0.0, 1), (-INF, -INF, 1), (INF, INF, 1)],
    "relu": [(0, 0, 0), (-0.0, -0.0, 0), (-INF, 0, 0), (INF, INF, 1)],
    "relu 0.5 6.0 2.0": [
        (-INF, -INF, 0.5), (-2, -2, 0.5), (0, -1, 0.5), (2, 0, 0.5), (2.5, 2.5, 1), (5.5, 5.5, 1),
        (6, 6, 0), (7, 6, 0), (INF, 6, 0), (-1e30, -5e29, 0.5),
    ],
    "relu 0.0 None 2.0": [(-INF, 0, 0), (0, 0, 0), (2, 0, 0), (2.5, 2.5, 1), (7, 7, 1), (INF, INF, 1)],
    "relu 0.5 0.0 0.0": [(-INF, -INF, 0.5), (-2, -1, 0.5), (1, 0, 0), (INF, 0, 0)],
    "sigmoid": [(0, 0.5, 0.25), (-INF, 0, 0), (INF, 1, 0), (-1e3, 0, 0), (1e3, 1, 0)],
    "tanh": [(0, 0, 1), (-0.0, -0.0, 1), (-INF, -1, 0), (INF, 1, 0), (1e3, 1, 0)],
    "leaky_relu": [(0, 0, 0.5), (-0.0, -0.0, 0.5), (-INF, -INF, 0.5), (INF, INF, 1), (-3, -1.5, 0.5)],
    "relu6": [(0, 0, 0), (6, 6, 0), (-INF, 0, 0), (INF, 6, 0), (5.5, 5.5, 1), (6.5, 6, 0)],
    "elu": [(0, 0, 0.5), (-0.0, -0.0, 0.5), (-INF, -0.5, 0), (INF, INF, 1), (-1e3, -0.5, 0), (1e3, 1e3, 1)],
    "celu": [(0, 0, 1), (-0.0, -0.0, 1), (-INF, -0.5, 0), (INF, INF, 1), (-1e3, -0.5, 0), (1e3, 1e3, 1)],
    "softplus": [(-INF, 0, 0), (INF, INF, 1), (-1e3, 0, 0), (1e3, 1e3, 1), (-1e30, 0, 0), (1e30, 1e30, 1)],
    "softsign": [(0, 0, 1), (-0.0, -0.0, 1), (1, 0.5, 0.25), (-INF, -1, 0), (INF, 1, 0), (-1e30, -1, 0), (1e30, 1, 0)],
    "exponential": [(0, 1, 1), (-0.0, 1, 1), (-INF, 0, 0), (INF, INF, INF), (-1e3, 0, 0), (1e3, INF, INF)],
    "log_sigmoid": [(INF, 0, 0), (-INF, -INF, 1), (1e3, 0, 0), (-1e3, -1e3, 1), (1e30, 0, 0), (-1e30, -1e30, 1)],
    "hard_sigmoid": [(-3, 0, 0), (3, 1, 0), (0, 0.5, 1 / 6), (-INF, 0, 0), (INF, 1, 0)],
    "hard_tanh": [(-0.0, -0.0, 1), (-1, -1, 0), (1, 1, 0), (-INF, -1, 0), (INF, 1, 0)],
    "soft_shrink": [(0.5, 0, 0), (-0.5, 0, 0), (0.75, 0.25, 1), (-0.75, -0.25, 1), (-INF, -INF, 1), (INF, INF, 1)],
    "hard_shrink": [(0.5, 0, 0), (-0.5, 0, 0), (0.75, 0.75, 1), (-0.75, -0.75, 1), (-INF, -INF, 1), (INF, INF, 1)],
    "sparse_plus": [(-1, 0, 0), (1, 1, 1), (0, 0.25, 0.5), (-INF, 0, 0), (INF, INF, 1), (1e30, 1e30, 1)],
    "sparse_sigmoid": [(-1, 0, 0), (1, 1, 0), (0, 0.5, 0.5), (-INF, 0, 0), (INF, 1, 0)],
    "squareplus": [(0, 1, 0.5), (1.5, 2, 0.8), (-1.5, 0.5, 0.2), (-INF, 0, 0), (INF, INF, 1), (1e30, 1e30, 1)],
    "silu": [(0, 0, 0.5), (-0.0, -0.0, 0.5), (-INF, -0.0, -0.0), (INF, INF, 1), (-1e3, -0.0, -0.0), (1e30, 1e30, 1)],
    "gelu": [(-0.0, -0.0, 0.5), (-INF, -0.0, -0.0), (INF, INF, 1), (-1e3, -0.0, -0.0), (1e30, 1e30, 1)],
    "gelu True": [
        (0, 0, 0.5), (-0.0, -0.0, 0.5), (-INF, -0.0, -0.0),
        (INF, INF, 1), (-1e3, -0.0, -0.0), (1e30, 1e30, 1),
    ],
    "mish": [(-0.0, -0.0, 0.6), (-INF, -0.0, -0.0), (INF, INF, 1), (-1e3, -0.0, -0.0), (1e30, 1e30, 1)],
    "hard_silu": [
        (-3, -0.0, 0), (3, 3, 1), (0, 0, 0.5), (-INF, -0.0, 0),
        (INF, INF, 1), (-1e30, -0.0, 0), (1e30, 1e30, 1),
    ],
    "tanh_shrink": [(0, 0, 0), (-0.0, -0.0, 0), (-INF, -INF, 1), (INF, INF, 1), (1e3, 999, 1), (-1e3, -999, 1)],
}  # fmt: skip
PARAMETERS = {"leaky_relu": 0.5, "elu": 0.5, "celu": 0.5, "soft_shrink": 0.5, "hard_shrink": 0.5, "squareplus": 4.0}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_values_are_exact(core: ModuleType, name: str) -> None:
    if name.startswith("relu "):
        options = dict(zip(("negative_slope", "max_value", "threshold"), map(eval, name.split()[1:]), strict=True))
        case = Case("relu", BENT, 0, 0, options=options)
    else:
        case = next(c for c in CASES if name in (c.name, str(c)))
    if case.name in PARAMETERS:
        case = case._replace(options={"parameter": PARAMETERS[case.name]})
    # Alone, where the compiler's remainder loop computes them, and all together, where its vectors do.
    for rows in [*([row] for row in SPECIAL[name]), SPECIAL[name] * 8]:
        z, value, slope = (np.array(v, core.DTYPE) for v in zip(*rows, strict=True))
        assert_same_bytes(forward(core, case, z), value)
        got = backward(core, case, z, np.ones_like(z))
        if name in ("mish", "squareplus"):  # fractions, off by a rounding
            np.testing.assert_allclose(got, slope, rtol=2 * eps(core))
        else:
            np.testing.assert_array_equal(got, slope)


def test_every_elementwise_function_has_special_values() -> None:
    assert {c.name for c in ELEMENTWISE} - {"selu"} == {name.partition(" ")[0] for name in SPECIAL}


@each_elementwise
def test_nan_stays_nan_and_touches_no_other(core: ModuleType, case: Case) -> None:
    z = logits(1, 40, core.DTYPE)[0]
    expected = forward(core, case, z)
    z[[0, 5, 38]] = np.nan, -np.nan, np.nan
    expected[[0, 5, 38]] = np.nan
    assert_same_bytes(forward(core, case, z), expected)


def test_relu_keeps_the_sign_of_0_and_linear_changes_nothing(core: ModuleType) -> None:
    z = bit_patterns(core.DTYPE, 1 << 12)
    assert_same_bytes(forward(core, NAMED["linear"], z), z)
    a = forward(core, NAMED["relu"], z)
    np.testing.assert_array_equal(a, activations.relu(z))
    assert np.isnan(a).sum() == np.isnan(z).sum() > 0


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "exponential"])
def test_these_are_the_elementary_functions(core: ModuleType, name: str) -> None:
    # Whose errors test_kernel_elementary.py measures.
    z = np.concatenate([bit_patterns(core.DTYPE, 1 << 12), logits(1, 1000, core.DTYPE)[0]])
    expected = np.empty_like(z)
    core.elementary(name.removesuffix("onential"), z, expected)
    for n in (*SIZES, len(z)):
        assert_same_bytes(forward(core, NAMED[name], z[:n]), expected[:n])


@each_elementwise
def test_an_element_does_not_depend_on_its_place(core: ModuleType, case: Case) -> None:
    z = np.concatenate([specials(core.DTYPE), logits(1, 100, core.DTYPE)[0]])
    z = np.random.default_rng(2).permutation(z)
    upstream = normal(3, len(z), dtype=core.DTYPE)
    a, d = forward(core, case, z), backward(core, case, z, upstream)
    for n in (1, 2, 3, 15, 17, 33):
        for start in range(0, 20, 3):
            part = slice(start, start + n)
            assert_same_bytes(forward(core, case, z[part]), a[part])
            assert_same_bytes(backward(core, case, z[part], upstream[part]), d[part])


@pytest.mark.parametrize("case", [c for c in CASES if c.code >= FIRST_KEPT], ids=str)
def test_a_value_beside_its_slope_is_the_value_alone(core: ModuleType, case: Case) -> None:
    z = arguments(core.DTYPE)
    for n in (*SIZES, len(z)):
        assert_same_bytes(kept(core, case, z[:n])[0], forward(core, case, z[:n]))


def test_which_slopes_are_kept(core: ModuleType) -> None:
    assert {case.code for case in CASES if case.code >= FIRST_KEPT} == set(core.SLOPES_KEPT)
    assert {case.code for case in CASES} == set(range(29))


def test_what_is_made_of_straight_lines_passes_the_gradient_on(core: ModuleType) -> None:
    a = np.concatenate([bit_patterns(core.DTYPE, 1 << 12), specials(core.DTYPE)])
    upstream = np.random.default_rng(4).permutation(a)
    assert_same_bytes(backward_from(core, NAMED["linear"], a, upstream), upstream)
    # Where the output is 0, exactly 0; where it is NaN the gradient passes, so that it is not lost.
    zero = core.DTYPE.type(0)
    assert_same_bytes(backward_from(core, NAMED["relu"], a, upstream), np.where(a <= 0, zero, upstream))
    assert_same_bytes(backward_from(core, NAMED["relu6"], a, upstream), np.where((a <= 0) | (a >= 6), zero, upstream))
    assert_same_bytes(backward_from(core, NAMED["hard_tanh"], a, upstream), np.where(np.abs(a) >= 1, zero, upstream))
    for name in ("soft_shrink", "hard_shrink"):
        assert_same_bytes(backward_from(core, NAMED[name], a, upstream), np.where(a == 0, zero, upstream))


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_derivatives_from_outputs(core: ModuleType, name: str) -> None:
    generator = np.random.default_rng(5)
    near = generator.uniform(size=4000) * 2.0 ** generator.integers(-30, 1, 4000)
    outputs = np.concatenate([[0, 1, 0.5, 1e-40], near, 1 - near]).astype(core.DTYPE)
    if name == "tanh":
        outputs = np.concatenate([outputs, -outputs])
    upstream = normal(6, len(outputs), dtype=core.DTYPE)
    a = outputs.astype(WIDE)
    exact = upstream * (a * (1 - a) if name == "sigmoid" else (1 - a) * (1 + a))
    assert_ulps(backward_from(core, NAMED[name], outputs, upstream), exact, 2.5)


# ---- along rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [1.0, 10.0, 100.0, 1e4])
def test_softmax(core: ModuleType, spread: float) -> None:
    for width in SIZES:
        check_softmax(core, width, spread)


def check_softmax(core: ModuleType, width: int, spread: float) -> None:
    z = logits(8 if width == 1000 else 50, width, core.DTYPE, spread)
    # z_k - max(z) is rounded before its exponential is taken: a relative error, of each term and so of their sum.
    highest = z.max(axis=1, keepdims=True)
    delta = np.abs((z - highest).astype(WIDE) - (z.astype(WIDE) - highest))
    exact = activations.softmax(z.astype(WIDE))
    slack = exact * (delta + (exact * delta).sum(axis=1, keepdims=True))
    adding = np.sqrt(width) / 4 if np.float64 == core.DTYPE else 0  # the sum is taken in float64
    assert_ulps(forward(core, NAMED["softmax"], z), exact, 4 + adding, slack=slack)


def test_softmax_of_equal_and_of_huge_logits_is_exact(core: ModuleType) -> None:
    for width in (1, 2, 4, 16):
        for value in (0.0, 1e4, -1e4, 1e-40, float(np.finfo(core.DTYPE).max)):
            a = forward(core, NAMED["softmax"], np.full((3, width), value, core.DTYPE))
            np.testing.assert_array_equal(a, np.full((3, width), 1 / width, core.DTYPE))
    z = np.array([[1e4, -1e4, 0], [1e4, 1e4, -1e4], [-np.inf, 0, -np.inf]], core.DTYPE)
    np.testing.assert_array_equal(forward(core, NAMED["softmax"], z), [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]])


@pytest.mark.parametrize("spread", [1.0, 10.0, 100.0, 1e4])
def test_log_softmax(core: ModuleType, spread: float) -> None:
    # Of a class near certainty, too: the largest logit is that of log1p of the others.
    for width in (*SIZES, 128, 129, 256):
        z = logits(8 if width == 1000 else 50, width, core.DTYPE, spread)
        z[::3, width // 2] += 3 * spread
        exact = activations.log_softmax(z.astype(WIDE))
        adding = np.sqrt(width) / 4 if np.float64 == core.DTYPE else 0
        assert_ulps(forward(core, NAMED["log_softmax"], z), exact, 2.5 + adding)


def test_log_softmax_of_special_rows(core: ModuleType) -> None:
    z = np.array([[1e4, -1e4, 0], [1e30, -1e30, 0], [-np.inf, 0, -np.inf], [-60, 0, -70]], core.DTYPE)
    expected = [[0, -2e4, -1e4], [0, -2e30, -1e30], [-np.inf, 0, -np.inf]]
    a = forward(core, NAMED["log_softmax"], z)
    np.testing.assert_array_equal(a[:3], np.array(expected, core.DTYPE))
    np.testing.assert_allclose(a[3, 1], -np.exp(-60.0), rtol=1e-4)
    assert_same_bytes(
        forward(core, NAMED["log_softmax"], z[:, :1].copy()), np.array([[0], [0], [np.nan], [0]], core.DTYPE)
    )


@pytest.mark.parametrize("case", ROWWISE, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("width", [1, 2, 17, 33, 130])
def test_a_row_without_a_distribution_is_nan_and_no_other(
    core: ModuleType, case: Case, width: int, value: float
) -> None:
    z = logits(2 * width + 2, width, core.DTYPE)
    z[-2] = -np.inf
    expected = forward(core, case, z)
    assert np.isnan(expected[-2]).all()
    for j in range(width):
        z[2 * j, j] = value
    expected[::2] = np.nan
    assert_same_bytes(forward(core, case, z), expected)


def test_softmax_derivative_from_outputs(core: ModuleType) -> None:
    for width in SIZES:
        z, upstream = logits(6, width, core.DTYPE), normal(7, 6, width, dtype=core.DTYPE)
        a = forward(core, NAMED["softmax"], z)
        wide = a.astype(WIDE)
        products = wide * upstream
        exact = wide * (upstream - products.sum(axis=1, keepdims=True))
        # The bracket cancels: the error is a few units of its terms, of which the sum is that of 16 chains.
        terms = wide * (np.abs(upstream) + np.abs(products).sum(axis=1, keepdims=True))
        slack = (0.5 + np.sqrt(width) / 16) * eps(core) * terms
        assert_ulps(backward_from(core, NAMED["softmax"], a, upstream), exact, 1.5, slack=slack)


def test_log_softmax_derivative_from_outputs(core: ModuleType) -> None:
    for width in SIZES:
        z, upstream = logits(6, width, core.DTYPE), normal(7, 6, width, dtype=core.DTYPE)
        a = forward(core, NAMED["log_softmax"], z)
        wide = upstream.astype(WIDE)
        part = np.exp(a.astype(WIDE)) * wide.sum(axis=1, keepdims=True)
        # The terms may cancel, and those of the sum.
        slack = 2 * eps(core) * (np.abs(part) + np.exp(a.astype(WIDE)) * np.abs(wide).sum(axis=1, keepdims=True) / 8)
        assert_ulps(backward_from(core, NAMED["log_softmax"], a, upstream), wide - part, 0.6, slack=slack)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softmax", "log_softmax"])
def test_nan_passes_backward(core: ModuleType, name: str) -> None:
    a = forward(core, NAMED[name], logits(4, 3, core.DTYPE))
    upstream = np.ones_like(a)
    a[0, 1], upstream[2, 2] = np.nan, np.nan
    d = backward_from(core, NAMED[name], a, upstream)
    assert np.isnan(d[0, 1])
    assert np.isnan(d[2, 2])
    assert np.isnan(d[2]).all() == ("softmax" in name)
    assert np.isfinite(d[[1, 3]]).all()


# ---- all -------------------------------------------------------------------------------------------------------------


@each
def test_rows_do_not_depend_on_each_other(core: ModuleType, case: Case) -> None:
    for width in SIZES:
        z, upstream = (normal(seed, 5, width, dtype=core.DTYPE) for seed in (1, 2))
        a, d = forward(core, case, z), backward(core, case, z, upstream)
        for i in range(5):
            assert_same_bytes(forward(core, case, z[i : i + 1]), a[i : i + 1])
            assert_same_bytes(backward(core, case, z[i : i + 1], upstream[i : i + 1]), d[i : i + 1])


@each
def test_nothing_is_nothing(core: ModuleType, case: Case) -> None:
    for shape in [(0,), (0, 3), (3, 0)]:
        empty = np.empty(shape, core.DTYPE)
        assert forward(core, case, empty).shape == shape
        assert backward(core, case, empty, empty).shape == shape


@each
def test_builds_that_round_alike_give_the_same_bytes(dtype: np.dtype, case: Case) -> None:
    whole = arguments(dtype)[np.newaxis, : None if case in ELEMENTWISE else 2000]
    for z in [whole, *(logits(6, width, dtype) for width in SIZES)]:
        upstream = normal(3, *z.shape, dtype=dtype)
        for family in families(dtype):
            a, d = forward(family[0], case, z), backward(family[0], case, z, upstream)
            for core in family[1:]:
                assert_same_bytes(forward(core, case, z), a)
                assert_same_bytes(backward(core, case, z, upstream), d)


@pytest.mark.parametrize("case", [NAMED[name] for name in ("sigmoid", "tanh", "softmax", "log_softmax")], ids=str)
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_gradients_agree_with_the_reference(core: ModuleType, case: Case, spread: float) -> None:
    # The reference takes them from z. From outputs rounded to the dtype they are off by a few units of upstream.
    _, gradient = activations.ACTIVATIONS[case.name]
    for width in (1, 2, 7, 33):
        z, upstream = logits(20, width, core.DTYPE, spread), normal(8, 20, width, dtype=core.DTYPE)
        exact = gradient(z.astype(WIDE), upstream.astype(WIDE))
        got = backward(core, case, z, upstream)
        assert np.abs(got - exact).max() <= 8 * eps(core) * np.abs(upstream).max() * max(1, np.log2(width))


@each
def test_gradients_are_the_slopes(core: ModuleType, case: Case) -> None:
    z, upstream = logits(4, 9, core.DTYPE, 2.0), normal(9, 4, 9, dtype=core.DTYPE)
    for kink in KINKS:
        z = np.where(np.abs(np.abs(z) - kink) < 0.1, core.DTYPE.type(0.77), z)
    gradient = backward(core, case, z, upstream)
    step = core.DTYPE.type(2.0 ** (-7 if np.float32 == core.DTYPE else -17))
    for j in range(9):
        above, below = z.copy(), z.copy()
        above[:, j] += step
        below[:, j] -= step
        rise = forward(core, case, above).astype(float) - forward(core, case, below)
        slope = (rise * upstream).sum(axis=1) / (above[:, j] - below[:, j]).astype(float)
        scale = max(1, float(np.abs(forward(core, case, z)).max()))
        np.testing.assert_allclose(gradient[:, j], slope, atol=scale * (3e-4 if np.float32 == core.DTYPE else 2e-9))
