"""Activations in place and their derivatives from the outputs, against the reference in longdouble."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from fastnn.reference import activations

from .support import SIZES, assert_same_bytes, assert_ulps, bit_patterns, families, normal, specials

LINEAR, RELU, SIGMOID, TANH, SOFTMAX = range(5)
CODES = {"linear": LINEAR, "relu": RELU, "sigmoid": SIGMOID, "tanh": TANH, "softmax": SOFTMAX}
WIDE = np.longdouble


def forward(core: ModuleType, code: int, z: np.ndarray) -> np.ndarray:
    """f(z) over the last axis."""
    a = z.copy()
    core.activation(code, 0.0, a, z.shape[-1])
    return a


def backward(core: ModuleType, code: int, a: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    d = upstream.copy()
    core.activation_backward(code, 0.0, a, d, a.shape[-1])
    return d


def logits(rows: int, width: int, dtype: np.dtype, spread: float = 3.0) -> np.ndarray:
    return (spread * np.random.default_rng(rows + 31 * width).standard_normal((rows, width))).astype(dtype)


def eps(core: ModuleType) -> np.longdouble:
    """The unit in the last place of 1."""
    return WIDE(np.finfo(core.DTYPE).eps)


# ---- forward ---------------------------------------------------------------------------------------------------------


def test_linear_changes_nothing(core: ModuleType) -> None:
    z = bit_patterns(core.DTYPE, 1 << 10)
    assert_same_bytes(forward(core, LINEAR, z), z)


def test_relu_is_exact(core: ModuleType) -> None:
    z = bit_patterns(core.DTYPE, 1 << 12)
    a = forward(core, RELU, z)
    np.testing.assert_array_equal(a, activations.relu(z))
    assert np.isnan(a).sum() == np.isnan(z).sum() > 0


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_sigmoid_and_tanh_are_the_elementary_functions(core: ModuleType, name: str) -> None:
    # Whose errors test_kernel_elementary.py measures.
    z = np.concatenate([bit_patterns(core.DTYPE, 1 << 12), logits(1, 1000, core.DTYPE)[0]])
    expected = np.empty_like(z)
    core.elementary(name, z, expected)
    for n in (*SIZES, len(z)):
        assert_same_bytes(forward(core, CODES[name], z[:n]), expected[:n])


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
    assert_ulps(forward(core, SOFTMAX, z), exact, 4 + adding, slack=slack)


def test_softmax_of_equal_and_of_huge_logits_is_exact(core: ModuleType) -> None:
    for width in (1, 2, 4, 16):
        for value in (0.0, 1e4, -1e4, 1e-40, float(np.finfo(core.DTYPE).max)):
            a = forward(core, SOFTMAX, np.full((3, width), value, core.DTYPE))
            np.testing.assert_array_equal(a, np.full((3, width), 1 / width, core.DTYPE))
    z = np.array([[1e4, -1e4, 0], [1e4, 1e4, -1e4], [-np.inf, 0, -np.inf]], core.DTYPE)
    np.testing.assert_array_equal(forward(core, SOFTMAX, z), [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("width", [1, 2, 17, 33])
def test_softmax_makes_a_row_without_a_distribution_nan_and_no_other(
    core: ModuleType, width: int, value: float
) -> None:
    z = logits(2 * width + 2, width, core.DTYPE)
    z[-2] = -np.inf
    expected = forward(core, SOFTMAX, z)
    assert np.isnan(expected[-2]).all()
    for j in range(width):
        z[2 * j, j] = value
    expected[::2] = np.nan
    assert_same_bytes(forward(core, SOFTMAX, z), expected)


@pytest.mark.parametrize("name", CODES)
def test_rows_do_not_depend_on_each_other(core: ModuleType, name: str) -> None:
    for width in SIZES:
        z, upstream = (normal(seed, 5, width, dtype=core.DTYPE) for seed in (1, 2))
        a = forward(core, CODES[name], z)
        d = backward(core, CODES[name], a, upstream)
        for i in range(5):
            assert_same_bytes(forward(core, CODES[name], z[i : i + 1]), a[i : i + 1])
            assert_same_bytes(backward(core, CODES[name], a[i : i + 1], upstream[i : i + 1]), d[i : i + 1])


@pytest.mark.parametrize("name", CODES)
def test_nothing_is_nothing(core: ModuleType, name: str) -> None:
    for shape in [(0,), (0, 3), (3, 0)]:
        empty = np.empty(shape, core.DTYPE)
        assert forward(core, CODES[name], empty).shape == shape
        assert backward(core, CODES[name], empty, empty).shape == shape


@pytest.mark.parametrize("name", CODES)
def test_builds_that_round_alike_give_the_same_bytes(dtype: np.dtype, name: str) -> None:
    for width in SIZES:
        z, upstream = logits(6, width, dtype), normal(3, 6, width, dtype=dtype)
        for family in families(dtype):
            a = forward(family[0], CODES[name], z)
            d = backward(family[0], CODES[name], a, upstream)
            for core in family[1:]:
                assert_same_bytes(forward(core, CODES[name], z), a)
                assert_same_bytes(backward(core, CODES[name], a, upstream), d)


# ---- backward --------------------------------------------------------------------------------------------------------


def test_linear_and_relu_pass_the_gradient_on(core: ModuleType) -> None:
    a = np.concatenate([bit_patterns(core.DTYPE, 1 << 12), specials(core.DTYPE)])
    upstream = np.random.default_rng(4).permutation(a)
    assert_same_bytes(backward(core, LINEAR, a, upstream), upstream)
    # Where the output is 0, exactly; where it is NaN the gradient passes, so that it is not lost.
    expected = np.where(a <= 0, core.DTYPE.type(0), upstream)
    assert_same_bytes(backward(core, RELU, a, upstream), expected)
    outputs = a >= 0
    expected = activations.relu_gradient(a[outputs], upstream[outputs])
    np.testing.assert_array_equal(backward(core, RELU, a[outputs], upstream[outputs]), expected)


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
    assert_ulps(backward(core, CODES[name], outputs, upstream), exact, 2.5)


def test_softmax_derivative_from_outputs(core: ModuleType) -> None:
    for width in SIZES:
        z, upstream = logits(6, width, core.DTYPE), normal(7, 6, width, dtype=core.DTYPE)
        a = forward(core, SOFTMAX, z)
        wide = a.astype(WIDE)
        products = wide * upstream
        exact = wide * (upstream - products.sum(axis=1, keepdims=True))
        # The bracket cancels: the error is a few units of its terms, of which the sum is that of 16 chains.
        terms = wide * (np.abs(upstream) + np.abs(products).sum(axis=1, keepdims=True))
        slack = (0.5 + np.sqrt(width) / 16) * eps(core) * terms
        assert_ulps(backward(core, SOFTMAX, a, upstream), exact, 1.5, slack=slack)


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_gradients_agree_with_the_reference(core: ModuleType, name: str, spread: float) -> None:
    # The reference takes them from z. From outputs rounded to the dtype they are off by a few units of upstream.
    _, gradient = activations.ACTIVATIONS[name]
    for width in (1, 2, 7, 33):
        z, upstream = logits(20, width, core.DTYPE, spread), normal(8, 20, width, dtype=core.DTYPE)
        exact = gradient(z.astype(WIDE), upstream.astype(WIDE))
        got = backward(core, CODES[name], forward(core, CODES[name], z), upstream)
        assert np.abs(got - exact).max() <= 8 * eps(core) * np.abs(upstream).max() * max(1, np.log2(width))


@pytest.mark.parametrize("name", CODES)
def test_gradients_are_the_slopes(core: ModuleType, name: str) -> None:
    z, upstream = logits(4, 9, core.DTYPE, 1.0), normal(9, 4, 9, dtype=core.DTYPE)
    z[np.abs(z) < 0.1] = 0.5  # away from relu's kink
    gradient = backward(core, CODES[name], forward(core, CODES[name], z), upstream)
    step = core.DTYPE.type(2.0 ** (-7 if np.float32 == core.DTYPE else -17))
    for j in range(9):
        above, below = z.copy(), z.copy()
        above[:, j] += step
        below[:, j] -= step
        rise = forward(core, CODES[name], above).astype(float) - forward(core, CODES[name], below)
        slope = (rise * upstream).sum(axis=1) / (above[:, j] - below[:, j]).astype(float)
        np.testing.assert_allclose(gradient[:, j], slope, atol=2e-4 if np.float32 == core.DTYPE else 1e-9)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "softmax"])
def test_nan_passes_backward(core: ModuleType, name: str) -> None:
    a = forward(core, CODES[name], logits(4, 3, core.DTYPE))
    upstream = np.ones_like(a)
    a[0, 1], upstream[2, 2] = np.nan, np.nan
    d = backward(core, CODES[name], a, upstream)
    assert np.isnan(d[0, 1])
    assert np.isnan(d[2, 2])
    assert np.isnan(d[[0, 2]]).all() == (name == "softmax")
    assert np.isfinite(d[[1, 3]]).all()
