"""Accuracies, as `fit` and `evaluate` report them, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, kernels, losses, metrics, optimizers
from fastnn.layers import Dense, Input

RNG = np.random.default_rng(0)
X = RNG.standard_normal((1100, 6))


def binary(outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Keras's definition: each output on the right side of 0.5, the mean over the outputs of a sample."""
    return ((outputs > 0.5) == y).mean(axis=1)


def categorical(outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (outputs.argmax(axis=1) == y.argmax(axis=1)).astype(float)


def sparse(outputs: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (outputs.argmax(axis=1) == y).astype(float)


ONE_HOT, LABELS = np.eye(4)[RNG.integers(0, 4, 1100)], RNG.integers(0, 4, 1100)
ONE, FOUR = RNG.integers(0, 2, (1100, 1)), RNG.integers(0, 2, (1100, 4))

# The last activation, the loss, targets, the metric's name and its definition.
CASES: dict[str, tuple[str, Any, np.ndarray, str, Any]] = {
    "binary, one output": ("sigmoid", "binary_crossentropy", ONE, "accuracy", binary),
    "binary, by its name": ("sigmoid", "binary_crossentropy", FOUR, "binary_accuracy", binary),
    "binary, short": ("sigmoid", "bce", ONE, "acc", binary),
    "binary, not fused": ("sigmoid", "mse", FOUR, "binary_accuracy", binary),
    "binary, of logits against 0.5": ("linear", losses.BinaryCrossentropy(from_logits=True), ONE, "accuracy", binary),
    "categorical": ("softmax", "categorical_crossentropy", ONE_HOT, "accuracy", categorical),
    "categorical, by its name": ("softmax", "mse", ONE_HOT, "categorical_accuracy", categorical),
    "categorical, of several sigmoids": ("sigmoid", "binary_crossentropy", FOUR, "accuracy", categorical),
    "sparse": ("softmax", "sparse_categorical_crossentropy", LABELS, "accuracy", sparse),
    "sparse, by its name": (
        "linear",
        losses.SparseCategoricalCrossentropy(from_logits=True),
        LABELS,
        "sparse_categorical_accuracy",
        sparse,
    ),
}


def make(case: str, dtype: str = "float64") -> Sequential:
    last, loss, y, name, _ = CASES[case]
    units = 4 if y is LABELS else y.shape[1]
    model = Sequential([Input((6,)), Dense(9, "tanh"), Dense(units, last)], seed=2, dtype=dtype)
    model.compile(optimizer=optimizers.SGD(0.5), loss=loss, metrics=[name])
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_evaluate(case: str, dtype: str) -> None:
    *_, y, name, definition = CASES[case]
    model = make(case, dtype)
    hits = definition(model.predict(X), y)
    assert 0.05 < hits.mean() < 0.95
    logs = model.evaluate(X, y, return_dict=True)
    assert list(logs) == ["loss", name]
    assert logs[name] == pytest.approx(hits.mean(), rel=1e-14)
    # A count, whatever the samples weigh in the loss.
    assert model.evaluate(X, y, sample_weight=np.linspace(0, 2, 1100))[1] == logs[name]


@pytest.mark.parametrize("case", CASES)
def test_fit_counts_with_the_parameters_of_each_step(case: str) -> None:
    *_, y, name, definition = CASES[case]
    model, by_hand = make(case), make(case)
    history = model.fit(X[:50], y[:50], batch_size=8, epochs=3, validation_data=(X[50:], y[50:]), verbose=0).history
    assert list(history) == ["loss", name, "val_loss", f"val_{name}"]
    expected, validated = [], []
    for epoch in range(3):
        order = kernels.core("float64").draw_permutation(50, by_hand.seed, epoch)
        hits = []
        for start in range(0, 50, 8):
            rows = order[start : start + 8]
            hits.append(definition(by_hand.predict(X[rows]), y[rows]))
            assert by_hand.train_on_batch(X[rows], y[rows])[1] == pytest.approx(hits[-1].mean(), rel=1e-14)
        expected.append(np.concatenate(hits).mean())
        validated.append(by_hand.evaluate(X[50:], y[50:])[1])
    np.testing.assert_allclose(history[name], expected, rtol=1e-14)
    assert history[f"val_{name}"] == validated


def test_a_tie_goes_to_the_first_output_and_half_to_the_negative() -> None:
    model = Sequential([Input((1,)), Dense(3, "softmax", kernel_initializer="zeros")])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    assert model.evaluate(np.zeros(4), np.array([0, 0, 1, 2]))[1] == 0.5
    model = Sequential([Input((1,)), Dense(1, "sigmoid", kernel_initializer="zeros")])
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    assert model.evaluate(np.zeros(4), np.array([0, 0, 0, 1]))[1] == 0.75


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("f2", 1, False), ValueError, "metrics has 'f2', expected a loss's name or one of 'acc', 'accuracy', 'auc'"),
        ((None, 1, False), TypeError, "metrics has None, expected names"),
        (("binary_accuracy", 3, True), ValueError, "'binary_accuracy', which does not fit integer labels"),
        (("categorical_accuracy", 3, True), ValueError, "'categorical_accuracy', which does not fit integer labels"),
        (("sparse_categorical_accuracy", 3, False), ValueError, "'sparse_categorical_accuracy', which does not fit t"),
    ],
)
def test_what_is_no_metric(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        metrics.get(*arguments)
