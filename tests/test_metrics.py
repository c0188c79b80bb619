"""Accuracies, as `fit` and `evaluate` report them, against NumPy."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
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
            by_hand.reset_metrics()
            assert by_hand.train_on_batch(X[rows], y[rows])[1] == pytest.approx(hits[-1].mean(), rel=1e-14)
        expected.append(np.concatenate(hits).mean())
        validated.append(by_hand.evaluate(X[50:], y[50:])[1])
    np.testing.assert_allclose(history[name], expected, rtol=1e-14)
    assert history[f"val_{name}"] == validated


def test_metrics_take_the_outputs_as_each_was_in_its_step() -> None:
    def made() -> Sequential:
        model = Sequential([Input((6,)), Dense(9, "tanh"), Dense(1, "sigmoid")], seed=2, dtype="float64")
        model.compile(
            optimizers.SGD(0.5),
            "binary_crossentropy",
            metrics=["auc", "accuracy", metrics.Precision(), lambda y, p: abs(y - p)],
            weighted_metrics=["auc", metrics.Recall(), "binary_accuracy", "mse"],
        )
        return model

    weights = np.linspace(0, 3, 50)
    model, by_hand = made(), made()
    held = (X[50:], ONE[50:], np.linspace(2, 0, 1050))
    history = model.fit(
        X[:50], ONE[:50], 8, epochs=2, sample_weight=weights, class_weight={1: 3.0}, validation_data=held, verbose=0
    ).history
    names = ["loss", "auc", "accuracy", "precision", "<lambda>"]
    names += ["weighted_auc", "recall", "binary_accuracy", "mse"]
    assert list(history) == [*names, *(f"val_{name}" for name in names)]
    assert model.metrics_names == names
    assert [metric.name for metric in model.metrics] == [
        *["auc", "accuracy", "precision", "<lambda>"], *["auc", "recall", "binary_accuracy", "mse"],
    ]  # fmt: skip

    def expected(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> list[float]:
        plain = [metrics.AUC(), metrics.BinaryAccuracy(), metrics.Precision()]
        weighted = [metrics.AUC(), metrics.Recall(), metrics.BinaryAccuracy(), metrics.MeanSquaredError()]
        return [*(m(y, p) for m in plain), abs(y - p).mean(), *(m(y, p, w) for m in weighted)]

    by_class = weights * np.where(ONE[:50, 0] == 1, 3.0, 1.0)
    for epoch in range(2):
        order = kernels.core("float64").draw_permutation(50, by_hand.seed, epoch)
        outputs = []
        for start in range(0, 50, 8):
            rows = order[start : start + 8]
            outputs.append(by_hand.predict(X[rows]))
            by_hand.train_on_batch(X[rows], ONE[rows], sample_weight=by_class[rows])
        trained = expected(ONE[order], np.concatenate(outputs), by_class[order])
        np.testing.assert_allclose([history[name][epoch] for name in names[1:]], trained, rtol=1e-12)
        validated = expected(held[1], by_hand.predict(held[0]), held[2])
        np.testing.assert_allclose([history[f"val_{name}"][epoch] for name in names[1:]], validated, rtol=1e-12)


def test_names_that_are_taken_get_a_number() -> None:
    model = Sequential([Input((6,)), Dense(1, "sigmoid")])
    model.compile(
        loss="bce", metrics=["auc", metrics.AUC(curve="PR"), metrics.AUC()], weighted_metrics=["auc", metrics.AUC()]
    )
    assert model.metrics_names == ["loss", "auc", "auc_1", "auc_2", "weighted_auc", "weighted_auc_1"]
    assert list(model.evaluate(X, ONE, return_dict=True)) == model.metrics_names
    assert len(model.test_on_batch(X, ONE)) == len(model.train_on_batch(X, ONE)) == 6
    assert list(model.test_on_batch(X, ONE, return_dict=True)) == model.metrics_names


def test_several_values_of_a_metric() -> None:
    model = make("categorical")
    model.compile("sgd", "categorical_crossentropy", metrics=[metrics.F1Score(), metrics.Recall([0.2, 0.4])])
    logs = model.evaluate(X, ONE_HOT, return_dict=True)
    assert (logs["f1_score"].shape, logs["recall"].shape) == ((4,), (2,))
    history = model.fit(X, ONE_HOT, epochs=2, verbose=2)
    assert [value.shape for value in history.history["f1_score"]] == [(4,), (4,)]


def test_a_metric_of_ones_own() -> None:
    class LargestError(metrics.Metric):
        direction = "down"

        def __init__(self, name: str = "largest_error") -> None:
            super().__init__(name)
            self.largest = self.add_variable(())

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            assert (y_true.shape, y_pred.shape) == (y_pred.shape, (len(y_pred), 1))
            self.largest[...] = max(self.largest, abs(y_true - y_pred).max())

        def result(self) -> float:
            return float(self.largest)

    model = Sequential([Input((6,)), Dense(1)], seed=0)
    model.compile("sgd", "mse", metrics=[LargestError()])
    logs = model.evaluate(X, ONE, return_dict=True)
    assert logs["largest_error"] == pytest.approx(abs(model.predict(X) - ONE).max(), rel=1e-6)
    assert model.evaluate(X[:3], ONE[:3])[1] < logs["largest_error"]  # it began anew
    for unfinished in (metrics.Metric().result, lambda: metrics.Metric().update_state(0, 0)):
        with pytest.raises(NotImplementedError, match=r"Metric has no .*, expected one in a subclass of Metric"):
            unfinished()


def test_metrics_are_saved_with_the_model(tmp_path: Path) -> None:
    model = make("binary, one output")
    given: dict[str, Any] = {
        "metrics": ["accuracy", metrics.AUC(curve="PR", name="pr"), losses.Huber(delta=0.25), metrics.binary_accuracy],
        "weighted_metrics": [metrics.Recall(thresholds=[0.1, 0.6])],
    }
    model.compile("adam", "bce", **given)
    model.save(tmp_path / "model")
    for again in (fastnn.load_model(tmp_path / "model"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.metrics_names == model.metrics_names
        logs, others = (m.evaluate(X, ONE, sample_weight=X[:, 0] ** 2, return_dict=True) for m in (model, again))
        assert all(np.array_equal(logs[name], others[name]) for name in logs)
        assert again.metrics[1] is not model.metrics[1]
    model.compile("adam", "bce", metrics=[metrics.MeanMetricWrapper(np.subtract, "m", where=len)])
    with pytest.raises(TypeError, match=r"metrics\[0\].*where is <built-in function len>, which a file cannot hold"):
        model.save(tmp_path / "model")


def test_a_metric_that_fails_leaves_whole_steps() -> None:
    def fails(y: np.ndarray, p: np.ndarray) -> np.ndarray:
        raise ArithmeticError("no")

    model, twin = make("categorical"), make("categorical")
    model.compile("sgd", "categorical_crossentropy", metrics=[fails])
    twin.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ArithmeticError, match="no"):
        model.fit(X[:16], ONE_HOT[:16], 8, epochs=2, verbose=0)
    twin.fit(X[:16], ONE_HOT[:16], 8, verbose=0)
    assert model.parameters.tobytes() == twin.parameters.tobytes()


@pytest.mark.parametrize(
    ("identifier", "name", "kind"),
    [
        ("mse", "mse", metrics.OfLoss),
        ("MSE", "MSE", metrics.OfLoss),
        ("huber", "huber", metrics.OfLoss),
        ("AUC", "AUC", metrics.AUC),
        ("top_k_categorical_accuracy", "top_k_categorical_accuracy", metrics.TopKCategoricalAccuracy),
        (metrics.Recall, "recall", metrics.Recall),
        (metrics.binary_accuracy, "binary_accuracy", metrics.BinaryAccuracy),
        (losses.huber, "huber_loss", metrics.OfLoss),
        (losses.Huber(name="h"), "h", metrics.OfLoss),
        (np.subtract, "subtract", metrics.MeanMetricWrapper),
        ({"class_name": "Precision", "config": {"thresholds": 0.25}}, "precision", metrics.Precision),
        ("accuracy", "accuracy", metrics.Accuracy),
    ],
)
def test_get(identifier: Any, name: str, kind: type) -> None:
    metric = metrics.get(identifier)
    assert (type(metric), metric.name) == (kind, name)
    assert metrics.get(metric) is metric


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


def test_a_metric_of_keras_s_style() -> None:
    class MeanSquare(metrics.Metric):
        def __init__(self, name: str = "mean_square", **kwargs: Any) -> None:
            super().__init__(name=name, **kwargs)
            self.total = self.add_weight(name="total", initializer="zeros")
            self.count = self.add_variable(shape=(), initializer=fastnn.initializers.Ones(), name="count")
            self.columns = self.add_weight(shape=(2,), dtype="int32")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.total.assign_add(np.sum((y_true - y_pred) ** 2))
            self.count.assign(self.count + len(y_true))
            self.columns.assign_sub([1, 2])

        def result(self) -> Any:
            return self.total / self.count

    metric = MeanSquare()
    assert metric.count == 1
    assert metric.columns.dtype == np.int32
    metric.reset_state()
    assert metric(np.ones((3, 1)), np.zeros((3, 1))) == 1
    assert list(metric.columns) == [-1, -2]
    metric.total += 2
    assert metric.total is metric.variables[0]
    assert type(metric.total / 2) is np.float64
    metric.total.assign(5)
    assert metric.result() == 5 / 3
    model = Sequential([Input((6,)), Dense(1)], seed=0)
    model.compile("sgd", "mse", metrics=[metric, "mse"])
    for own in (model, copy.deepcopy(model)):
        logs = own.evaluate(X, ONE, return_dict=True)
        assert type(logs["mean_square"]) is float
        np.testing.assert_allclose(logs["mean_square"], logs["mse"], rtol=1e-6)


def test_losses_functions_are_there_under_keras_s_names() -> None:
    assert metrics.mean_squared_error is losses.mean_squared_error
    assert metrics.get(metrics.mean_absolute_error).name == "mean_absolute_error"
