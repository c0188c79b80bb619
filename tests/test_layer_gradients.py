"""Backpropagation through every stack of layers, against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, check_gradients, layers, losses
from fastnn.layers import Activation, BatchNormalization, Dense, Dropout, Flatten, LayerNormalization, Normalization

RNG = np.random.default_rng(7)
X = RNG.standard_normal((6, 4))
LABELS = np.array([0, 1, 2, 0, 2, 1])
REAL = RNG.standard_normal((6, 3))


class Outer(layers.Layer):
    """Twice as wide: (x + shift, factor x²), with a constant that is not trained."""

    def build(self, n_in: int) -> int:
        self.add_weight("factor", (2, n_in), "glorot_normal")
        self.add_weight("shift", (n_in,), "ones", trainable=False)
        return 2 * n_in

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        self.x = x
        return np.concatenate([x * self.factor[0] + self.shift, x**2 * self.factor[1]], axis=1)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        one, two = np.split(gradient, 2, axis=1)
        self.factor_gradient[0] = (one * self.x).sum(axis=0)
        self.factor_gradient[1] = (two * self.x**2).sum(axis=0)
        return one * self.factor[0] + two * 2 * self.x * self.factor[1]


class Plain(layers.Layer):
    """x³, without weights."""

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        self.x = x
        return x**3

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        return gradient * 3 * self.x**2


STACKS: dict[str, Callable[[], list[layers.Layer]]] = {
    "batch normalization first": lambda: [BatchNormalization(), Dense(3)],
    "batch normalization last": lambda: [Dense(3), BatchNormalization()],
    "batch normalization alone": lambda: [Dense(5, "tanh"), BatchNormalization(), Dense(3)],
    "batch normalizations in a row": lambda: [
        Dense(3), BatchNormalization(), BatchNormalization(scale=False), BatchNormalization(center=False),
        BatchNormalization(center=False, scale=False), LayerNormalization(), BatchNormalization(),
    ],
    "without gamma and beta, first": lambda: [BatchNormalization(center=False, scale=False), Dense(3)],
    "beta alone, first": lambda: [BatchNormalization(scale=False), Dense(3)],
    "beta alone, behind data": lambda: [Dropout(0.2), LayerNormalization(scale=False), Dense(3)],
    "a merged activation": lambda: [Dense(5), BatchNormalization(), Activation("tanh"), Dense(3)],
    "activations in a row": lambda: [
        Dense(5), Activation("tanh"), Activation("sigmoid"), Activation("linear"), Activation("tanh"), Dense(3),
    ],
    "activation first": lambda: [Activation("tanh"), Dense(3)],
    "softmax in the middle": lambda: [
        Dense(5), Activation("softmax"), Dense(4, "tanh"), Activation("softmax"), Dense(3),
    ],
    "softmax of a normalization": lambda: [Dense(5), LayerNormalization(), Activation("softmax"), Dense(3)],
    "layer normalization first": lambda: [LayerNormalization(), Dense(3)],
    "layer normalization last": lambda: [Dense(3, "tanh"), LayerNormalization()],
    "layer normalization of one unit": lambda: [Dense(1), LayerNormalization(), Dense(3)],
    "layer normalizations": lambda: [
        Dense(5), LayerNormalization(scale=False), LayerNormalization(center=False), Activation("tanh"),
        LayerNormalization(center=False, scale=False), Dense(3),
    ],
    "penalties": lambda: [
        Dense(5, kernel_regularizer="l2"), BatchNormalization(gamma_regularizer="l1_l2", beta_regularizer="l2"),
        LayerNormalization(gamma_regularizer="l2", beta_regularizer="l1_l2"), Dense(3, bias_regularizer="l2"),
    ],
    "dropout": lambda: [Dropout(0.2), Dense(16, "tanh"), Dropout(0.5), Dropout(0.3), Dense(3), Dropout(0.2)],
    "dropout between normalizations": lambda: [Dense(9), Dropout(0.3), BatchNormalization(), Dropout(0.3), Dense(3)],
    "data below": lambda: [
        Flatten(), layers.Rescaling([0.5, 2.0, 1.0, -1.0], 0.25), Normalization(mean=0.5, variance=2.0), Dense(3),
    ],
    "data in the middle": lambda: [
        Dense(5), layers.Rescaling(0.5, 0.25), Normalization(mean=0.5, variance=2.0), Normalization(
            mean=1.0, variance=3.0, invert=True), BatchNormalization(), Dense(3),
    ],
    "own layers": lambda: [Outer(), Dense(5, "tanh"), Outer(), Plain(), Dense(3), Plain()],
    "own layer last": lambda: [
        Plain(), Dense(5, "tanh"), Dense(2), BatchNormalization(), Plain(), Outer(), Dense(3), Plain(),
    ],
    "own layers in a row": lambda: [
        Dense(5, "softmax"), Plain(), Plain(), Dropout(0.2), Plain(), LayerNormalization(), Dense(3),
    ],
}  # fmt: skip


class Quartic(losses.Loss):
    """A loss of one's own."""

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: Any = None) -> Any:
        e = y_pred - y_true
        return self.reduce((e**4).mean(axis=-1), 4 * e**3 / e.shape[-1], sample_weight)


def spread(model: Sequential) -> None:
    """Parameters away from 0 and 1, where terms of a gradient would not be seen."""
    rng = np.random.default_rng(3)
    model.parameters = model.parameters + rng.uniform(0.1, 0.5, model.parameters.size)


@pytest.mark.parametrize("loss", ["mse", "quartic", "sparse_categorical_crossentropy"])
@pytest.mark.parametrize("stack", STACKS)
def test_gradients(stack: str, loss: str) -> None:
    made = STACKS[stack]()
    if loss == "sparse_categorical_crossentropy":
        made.append(Activation("softmax"))
    model = Sequential([layers.Input((4,)), *made], seed=2, dtype="float64")
    model.compile("sgd", Quartic() if loss == "quartic" else loss)
    spread(model)
    y = LABELS if loss == "sparse_categorical_crossentropy" else REAL
    check = check_gradients(model, X, y, sample_weight=[1, 2, 0.5, 0, 1, 3])
    assert [row.size for row in check.rows] == [w.size for w in model.trainable_weights]


def test_three_axes() -> None:
    x = RNG.standard_normal((6, 3, 2, 4))
    model = Sequential(
        [layers.Input((3, 2, 4)), layers.Rescaling(0.5), Flatten(), Dense(5, "tanh"), Dense(3)], dtype="float64"
    )
    model.compile("sgd", "mse")
    check_gradients(model, x, REAL)
    flat = x.reshape(6, -1)
    assert model.predict(x).tobytes() == model.predict(flat).tobytes()
    assert model.predict(flat).tobytes() == model.forward(x).tobytes()
    assert model.predictor(6)(x).tobytes() == model.predictor(6)(flat).tobytes() == model.predict(x).tobytes()
    model.forward(x)
    np.testing.assert_array_equal(model.layers[1].output, 0.5 * flat)


def test_a_batch_of_one_sample() -> None:
    model = Sequential(
        [layers.Input((4,)), Dense(5), LayerNormalization(), BatchNormalization(), Dense(3)], dtype="float64"
    )
    model.compile("sgd", "mse")
    spread(model)
    check_gradients(model, X[:1], REAL[:1])


def test_more_samples_than_a_chunk() -> None:
    x, y = RNG.standard_normal((1100, 2)), RNG.standard_normal((1100, 1))
    model = Sequential(
        [layers.Input((2,)), Dense(3), BatchNormalization(), Dropout(0.2), LayerNormalization(), Dense(1)],
        dtype="float64",
    )
    model.compile("sgd", "mse")
    spread(model)
    check_gradients(model, x, y)
