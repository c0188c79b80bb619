"""Outputs, gradients and moving averages of Keras 3's layers, kept in data/layers.npz by data/make_layers.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastnn import Sequential, layers

GOLDEN = dict(np.load(Path(__file__).parent / "data" / "layers.npz"))
BATCHES = [slice(0, 7), slice(7, 11), slice(11, 24)]
WEIGHTS = dict(
    zip(
        ("below", "below bias", "above", "above bias", "gamma", "beta", "moving_mean", "moving_variance"),
        np.split(GOLDEN["weights"], np.cumsum([20, 5, 15, 3, 5, 5, 5])),
        strict=True,
    )
)


def near(got: np.ndarray, expected: np.ndarray) -> None:
    """Whether each row or vector is within 1e-6 of its size; Keras computes some layers in float32 in any dtype."""
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    size = np.abs(expected).max(axis=-1, keepdims=True, initial=1e-30)
    assert (np.abs(got - expected) / size).max(initial=0) < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("code", GOLDEN["layers"])
def test_a_layer_between_dense_ones(code: str, dtype: str) -> None:
    layer = eval(code, dict(vars(layers)))
    below, above = layers.Dense(5), layers.Dense(3)
    model = Sequential([layers.Input((4,)), below, layer, above], dtype=dtype)
    model.compile("sgd", "mse")
    below.kernel[...], below.bias[...] = WEIGHTS["below"].reshape(4, 5), WEIGHTS["below bias"]
    above.kernel[...], above.bias[...] = WEIGHTS["above"].reshape(5, 3), WEIGHTS["above bias"]
    if "Batch" in code or "Layer" in code:
        for name, array in zip(layer.weight_names, layer.weights, strict=True):
            array[...] = WEIGHTS[name]
    x, y = GOLDEN["x"], GOLDEN["y"]
    for number, rows in enumerate(BATCHES):
        near(model.forward(x[rows]), GOLDEN[f"{code} {dtype} outputs {number}"])
        model.backward(y[rows])
        # Together: that of a bias below a batch normalization is 0, but for rounding.
        near(model.gradients, GOLDEN[f"{code} {dtype} gradients {number}"])
    if "Batch" in code:
        after = np.split(GOLDEN[f"{code} {dtype} after"], len(layer.weights))
        for got, of_keras in zip(layer.weights, after, strict=True):
            near(got, of_keras)
    near(model.predict(x), GOLDEN[f"{code} {dtype} inference"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("code", GOLDEN["adapted"])
def test_a_normalization_adapted_to_data(code: str, dtype: str) -> None:
    layer = eval(code, dict(vars(layers)))
    layer.adapt(GOLDEN["data"])
    model = Sequential([layers.Input((4,)), layer], dtype=dtype)
    near(model.predict(GOLDEN["x"]), GOLDEN[f"{code} {dtype} inference"])
