"""How kernels and biases start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fastnn import Sequential, initializers, regularizers
from fastnn.initializers import GlorotUniform, Initializer, Zeros
from fastnn.layers import Dense, Input


@pytest.mark.parametrize(("n_in", "units"), [(64, 128), (300, 3), (1, 1000)])
def test_glorot_uniform_fills_its_interval(n_in: int, units: int) -> None:
    limit = np.sqrt(6 / (n_in + units))
    kernel = GlorotUniform()((n_in, units), np.random.default_rng(0))
    assert kernel.shape == (n_in, units)
    assert kernel.dtype == np.float64
    assert np.abs(kernel).max() <= limit
    # Uniform: so close to the ends, with this mean and variance.
    n = kernel.size
    assert kernel.max() > limit * (1 - 20 / n)
    assert kernel.min() < -limit * (1 - 20 / n)
    assert abs(kernel.mean()) < 5 * limit / np.sqrt(3 * n)
    assert kernel.var() == pytest.approx(limit**2 / 3, rel=5 / np.sqrt(n))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_models_start_from_glorot_kernels_and_zero_biases(dtype: str) -> None:
    model = Sequential([Input((64,)), Dense(128), Dense(10)], seed=0, dtype=dtype)
    for layer in model.layers:
        limit = np.sqrt(6 / sum(layer.kernel.shape))
        assert 0.95 * limit < np.abs(layer.kernel).max() <= limit * (1 + 1e-7)
        assert layer.bias is not None
        assert not layer.bias.any()


def test_layers_draw_numbers_of_their_own() -> None:
    model = Sequential([Input((8,)), Dense(8), Dense(8)], seed=0)
    first, second = (layer.kernel for layer in model.layers)
    assert not np.intersect1d(first, second).size


def test_a_layers_start_does_not_depend_on_those_after_it() -> None:
    short, long = Sequential([Input((8,)), Dense(8)], seed=3), Sequential([Input((8,)), Dense(8), Dense(2)], seed=3)
    np.testing.assert_array_equal(short.layers[0].kernel, long.layers[0].kernel)


def test_both_dtypes_start_from_the_same_numbers() -> None:
    single, double = (Sequential([Input((8,)), Dense(8)], seed=3, dtype=d) for d in ("float32", "float64"))
    np.testing.assert_array_equal(single.parameters, double.parameters.astype(np.float32))


def test_zeros() -> None:
    values = Zeros()((3, 2), np.random.default_rng(0))
    np.testing.assert_array_equal(values, np.zeros((3, 2)))
    model = Sequential([Input((3,)), Dense(2, kernel_initializer="zeros")])
    assert not model.parameters.any()


class Counting(Initializer):
    """An initializer of one's own."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.arange(np.prod(shape), dtype=float).reshape(shape)


@pytest.mark.parametrize("given", [Counting, Counting()])
def test_ones_own(given: Initializer) -> None:
    model = Sequential([Input((3,)), Dense(2, kernel_initializer=given, bias_initializer=given)])
    assert model.parameters.tolist() == [0, 1, 2, 3, 4, 5, 0, 1]


class OneRow(Initializer):
    """An initializer of the wrong shape."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.ones(shape[-1:])


def test_the_wrong_shape_is_not_broadcast() -> None:
    model = Sequential([Dense(3), Dense(2, kernel_initializer=OneRow())])
    with pytest.raises(ValueError, match=r"kernel_initializer's result has shape \(2,\), expected \(3, 2\)"):
        model.predict(np.zeros((5, 4)))
    with pytest.raises(ValueError, match="the model is not built"):
        model.count_params()


def test_names() -> None:
    assert isinstance(initializers.get("glorot_uniform"), GlorotUniform)
    assert isinstance(initializers.get("zeros"), Zeros)
    mine = Counting()
    assert initializers.get(mine) is mine


# ---- all of them -----------------------------------------------------------------------------------------------------

SHAPE = (300, 200)
VARIANCES = {
    "glorot_uniform": 2 / 500,
    "glorot_normal": 2 / 500,
    "he_uniform": 2 / 300,
    "he_normal": 2 / 300,
    "lecun_uniform": 1 / 300,
    "lecun_normal": 1 / 300,
    "variance_scaling": 1 / 300,
    "random_normal": 0.05**2,
    "random_uniform": 0.1**2 / 12,
    "truncated_normal": (0.05 * 0.87962566103423978) ** 2,
    "orthogonal": 1 / 300,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_mean_variance_and_seed(name: str) -> None:
    kind = type(initializers.get(name))
    values = initializers.get(name)(SHAPE, np.random.default_rng(0))
    n = values.size
    assert values.shape == SHAPE
    assert values.dtype == np.float64
    assert abs(values.mean()) < 5 * np.sqrt(VARIANCES[name] / n)
    assert values.var() == pytest.approx(VARIANCES[name], rel=10 / np.sqrt(n))
    seeded = kind(seed=3)  # type: ignore[call-arg]
    first = seeded(SHAPE, np.random.default_rng(1))
    np.testing.assert_array_equal(seeded(SHAPE), first)
    np.testing.assert_array_equal(kind(seed=3)(SHAPE, np.random.default_rng(2)), first)  # type: ignore[call-arg]
    assert (kind(seed=4)(SHAPE) != first).any()  # type: ignore[call-arg]
    assert (initializers.get(name)(SHAPE) != initializers.get(name)(SHAPE)).any()
    again = kind.from_config(seeded.get_config())
    assert repr(again) == repr(seeded)
    np.testing.assert_array_equal(again(SHAPE), first)


@pytest.mark.parametrize("name", ["truncated_normal", "glorot_normal", "he_normal", "lecun_normal", "variance_scaling"])
def test_truncated_numbers_end_at_two_deviations(name: str) -> None:
    values = initializers.get(name)(SHAPE, np.random.default_rng(0))
    end = 2 * np.sqrt(VARIANCES[name]) / 0.87962566103423978
    assert 0.99 * end < np.abs(values).max() <= end


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal(shape: tuple[int, int]) -> None:
    q = initializers.Orthogonal(gain=2)(shape, np.random.default_rng(0)) / 2
    product = q @ q.T if shape[0] < shape[1] else q.T @ q
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-14)
    with pytest.raises(ValueError, match=r"shape is \(3,\), expected two dimensions for an orthogonal matrix"):
        initializers.Orthogonal()((3,))


def test_variance_scaling_has_modes_and_distributions() -> None:
    for mode, fan in (("fan_in", 300), ("fan_out", 200), ("fan_avg", 250)):
        for distribution in ("truncated_normal", "untruncated_normal", "uniform"):
            values = initializers.VarianceScaling(3.0, mode, distribution, seed=1)(SHAPE)
            assert values.var() == pytest.approx(3 / fan, rel=0.03)
    assert np.abs(initializers.VarianceScaling(distribution="untruncated_normal", seed=1)(SHAPE)).max() > 3 / np.sqrt(
        300
    )


def test_constants() -> None:
    np.testing.assert_array_equal(initializers.Ones()((2, 2)), np.ones((2, 2)))
    np.testing.assert_array_equal(initializers.Constant(0.5)((2,)), [0.5, 0.5])
    model = Sequential([Input((3,)), Dense(2, kernel_initializer="ones", bias_initializer=initializers.Constant(3))])
    assert model.parameters.tolist() == [1] * 6 + [3] * 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.RandomNormal(stddev=-1), "stddev is -1, expected a finite number >= 0"),
        (lambda: initializers.RandomUniform(1, 0), "maxval is 0, expected a finite number >= 1"),
        (lambda: initializers.VarianceScaling(0), "scale is 0, expected a finite number > 0"),
        (lambda: initializers.VarianceScaling(mode="fan"), "mode is 'fan', expected one of 'fan_in', 'fan_out'"),
        (
            lambda: initializers.VarianceScaling(distribution="?"),
            "distribution is '.', expected one of 'truncated_normal'",
        ),
        (lambda: initializers.HeNormal(seed=-1), "seed is -1, expected 0 to 18446744073709551615"),
        (lambda: initializers.Constant(np.nan), "value is nan, expected a finite number"),
        (lambda: initializers.Constant([0, np.inf]), r"value is \[0, inf\], expected a finite number, or an array"),
        (lambda: initializers.Constant([1, 2])((3,)), r"value has shape \(2,\), expected what broadcasts to \(3,\)"),
    ],
)
def test_bad_arguments(make: Callable[[], Initializer], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_constant_values_of_an_array() -> None:
    constant = initializers.Constant(np.array([0.25, -3]))
    np.testing.assert_array_equal(constant((2,)), [0.25, -3])
    np.testing.assert_array_equal(constant((3, 2)), [[0.25, -3]] * 3)
    again = initializers.get(initializers.serialize(constant))
    np.testing.assert_array_equal(again((2,)), [0.25, -3])
    model = Sequential([Input((3,)), Dense(1, bias_initializer=initializers.Constant(np.log([0.25])))])
    assert model.layers[0].weights[1].tolist() == [np.float32(np.log(0.25))]


def test_names_in_small_letters_are_the_classes() -> None:
    for name in ("constant", "glorot_uniform", "he_normal", "lecun_uniform", "ones", "truncated_normal", "zeros"):
        assert getattr(initializers, name) is type(initializers.get(name))
    assert regularizers.l2(0.5).l2 == 0.5
    assert regularizers.l1 is regularizers.L1
    assert regularizers.l1_l2 is regularizers.L1L2
