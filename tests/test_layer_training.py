"""Training with batch normalization and dropout: stopped and resumed, in full batches, with outputs handed out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, layers, optimizers
from fastnn.layers import Activation, BatchNormalization, Dense, Dropout, Input, LayerNormalization
from fastnn.reference import layers as reference
from fastnn.reference.dense import dense, dense_gradient

RNG = np.random.default_rng(11)
X, Y = RNG.standard_normal((1400, 5)), RNG.standard_normal((1400, 3))


def make(dtype: str = "float32", **options: Any) -> Sequential:
    stack = [
        Input((5,)), Dropout(0.1), Dense(16), BatchNormalization(momentum=0.9), Activation("relu"), Dropout(0.4),
        Dense(9), LayerNormalization(), Activation("tanh"), Dense(3),
    ]  # fmt: skip
    model = Sequential(stack, seed=4, dtype=dtype)
    model.compile(optimizers.Adam(0.01, **options), "mse")
    return model


def state(model: Sequential) -> list[bytes]:
    assert model.optimizer is not None
    return [array.tobytes() for array in [*model.weights, *model.optimizer.variables]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [{}, {"gradient_accumulation_steps": 3}, {"clipnorm": 0.05}, {"global_clipnorm": 0.1, "weight_decay": 0.1}],
)
def test_stopped_and_resumed_is_unstopped(options: dict[str, Any], dtype: str) -> None:
    whole, first, second = (make(dtype, **options) for _ in range(3))
    expected = whole.fit(X[:100], Y[:100], batch_size=16, epochs=5, verbose=0).history["loss"]
    begun = first.fit(X[:100], Y[:100], batch_size=16, epochs=2, verbose=0).history["loss"]
    second.set_weights(first.get_weights())
    assert first.optimizer is not None
    assert second.optimizer is not None
    second.optimizer.set_state(first.optimizer.get_state())
    second.epochs_trained = first.epochs_trained
    rest = second.fit(X[:100], Y[:100], batch_size=16, epochs=5, initial_epoch=2, verbose=0).history["loss"]
    assert begun + rest == expected
    assert state(second) == state(whole)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_a_full_batch_is_one_step_of_all(threads: int) -> None:
    fastnn.set_num_threads(threads)
    full, by_batch = make(), make()
    assert full._engine.chunk < len(X)
    for _ in range(3):
        full.fit(X, Y, batch_size="full", shuffle=False, verbose=0)
        by_batch.train_on_batch(X, Y)
    assert state(full) == state(by_batch)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 4, 10, 700])
def test_outputs_handed_out_are_those_of_the_steps(batch: int, threads: int) -> None:
    n = 40 if batch < 100 else 1400
    x, y = X[:n].astype(np.float32), Y[:n].astype(np.float32)
    ours, by_hand = make(), make()
    outputs = np.full((n, 3), np.nan, np.float32)

    def train(engine: Any) -> np.ndarray:
        assert ours.optimizer is not None
        engine.set_optimizer(*ours.optimizer.for_engine(ours.parameters))
        engine.train(batch, (3, 0), 0, -(-n // batch), np.array([0.01]), 0, threads, None, outputs)
        order: np.ndarray = engine.order.copy()
        return order

    order = ours._work(train, x, y)
    for start in range(0, n, batch):
        rows = order[start : start + batch]
        assert by_hand.forward(x[rows]).tobytes() == outputs[start : start + batch].tobytes()
        by_hand.train_on_batch(x[rows], y[rows])
    assert [w.tobytes() for w in ours.weights] == [w.tobytes() for w in by_hand.weights]


def test_steps_are_those_of_the_formulas() -> None:
    below, norm, above = Dense(6), BatchNormalization(momentum=0.5, epsilon=0.125), Dense(3)
    model = Sequential([Input((5,)), below, norm, above], seed=1, dtype="float64")
    model.compile(optimizers.SGD(0.1), "mse")
    kernel, bias, gamma, beta, kernel2, bias2 = (w.astype(np.longdouble) for w in model.trainable_weights)
    mean, variance = (w.astype(np.longdouble) for w in norm.non_trainable_weights)
    for start in range(0, 50, 16):
        rows = slice(start, min(start + 16, 50))  # the last batch is of two
        x, y = X[rows].astype(np.longdouble), Y[rows].astype(np.longdouble)
        z = dense(x, kernel, bias)
        a = reference.normalization(z, gamma, beta, 0.125, reference.BATCH)
        delta = 2 * (dense(a, kernel2, bias2) - y) / y.size
        d_a, d_kernel2, d_bias2 = dense_gradient(a, kernel2, delta)
        d_z, d_gamma, d_beta = reference.normalization_gradient(z, gamma, 0.125, reference.BATCH, d_a)
        _, d_kernel, d_bias = dense_gradient(x, kernel, d_z)
        batch_mean, batch_variance = (s[0] for s in reference.statistics(z, reference.BATCH))
        mean = reference.moving_average(mean, batch_mean, 0.5)
        variance = reference.moving_average(variance, batch_variance, 0.5)
        pairs = [
            (kernel, d_kernel),
            (bias, d_bias),
            (gamma, d_gamma),
            (beta, d_beta),
            (kernel2, d_kernel2),
            (bias2, d_bias2),
        ]
        kernel, bias, gamma, beta, kernel2, bias2 = (w - np.longdouble("0.1") * d for w, d in pairs)
    model.fit(X[:50], Y[:50], batch_size=16, shuffle=False, verbose=0)
    expected = [kernel, bias, gamma, beta, kernel2, bias2, mean, variance]
    for got, exact in zip([*model.trainable_weights, *norm.non_trainable_weights], expected, strict=True):
        np.testing.assert_allclose(got, exact.astype(float), rtol=1e-12, atol=1e-13)
    inferred = dense(
        reference.affine(dense(X.astype(np.longdouble), kernel, bias), mean, gamma / np.sqrt(variance + 0.125), beta),
        kernel2,
        bias2,
    )
    np.testing.assert_allclose(model.predict(X), inferred.astype(float), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 3])
def test_evaluate_goes_by_the_moving_averages_of_now(threads: int) -> None:
    fastnn.set_num_threads(threads)
    model = make("float64")
    for _ in range(2):
        value = model.evaluate(X, Y)  # first: whatever the call before has left behind is not it
        assert value == pytest.approx(((model.predict(X) - Y) ** 2).mean(), rel=1e-12)
        model.fit(X[:70], Y[:70], verbose=0)


def test_a_loss_has_the_penalties_of_gamma_and_beta() -> None:
    stack = [Input((5,)), BatchNormalization(gamma_regularizer="l2", beta_regularizer="l1"), Dense(3)]
    model = Sequential(stack, seed=1, dtype="float64")
    model.compile("sgd", "mse")
    free = Sequential([Input((5,)), BatchNormalization(), Dense(3)], dtype="float64")
    free.compile("sgd", "mse")
    norm = model.layers[0]
    assert isinstance(norm, layers.BatchNormalization)
    norm.gamma[...], norm.beta[...] = np.arange(5), np.arange(5) - 3
    free.set_weights(model.get_weights())
    penalty = 0.01 * 30 + 0.01 * 7
    assert model.evaluate(X, Y) == pytest.approx(free.evaluate(X, Y) + penalty, rel=1e-12)
    assert model.value_and_gradient(X, Y)[0] == pytest.approx(free.value_and_gradient(X, Y)[0] + penalty, rel=1e-12)
    assert model.train_on_batch(X, Y) == pytest.approx(free.train_on_batch(X, Y) + penalty, rel=1e-12)


def test_batch_normalization_and_dropout_train() -> None:
    x, y = fastnn.datasets.load_digits()
    stack = [
        Input((64,)), layers.Normalization(), Dense(64, use_bias=False), BatchNormalization(), Activation("relu"),
        Dropout(0.2), Dense(10, "softmax"),
    ]  # fmt: skip
    test = np.arange(len(x)) % 5 == 0
    stack[1].adapt(x[~test])
    model = Sequential(stack, seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[~test], y[~test], epochs=15, verbose=0)
    assert model.evaluate(x[test], y[test])[1] > 0.96
