"""How kernels and biases start."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import Sequential, initializers
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
