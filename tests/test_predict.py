"""Applying a model: `predict`, `evaluate`, `forward`, `backward`, and the arrays that they and `fit` take."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, losses
from fastnn.layers import Dense, Input
from fastnn.reference import network

DTYPES = ["float32", "float64"]
RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((30, 4)), RNG.integers(0, 3, 30)


def classifier(dtype: str = "float64", seed: int = 1, **compiled: Any) -> Sequential:
    model = Sequential([Input((4,)), Dense(5, "tanh"), Dense(3, "softmax")], seed=seed, dtype=dtype)
    model.compile(**{"loss": "sparse_categorical_crossentropy", **compiled})
    return model


# ---- predicting and evaluating ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 7, 600, 5000])
@pytest.mark.parametrize("last", ["linear", "relu", "sigmoid", "tanh", "softmax"])
def test_predict(last: str, n: int, dtype: str) -> None:
    model = Sequential([Input((4,)), Dense(5, "tanh"), Dense(3, last)], seed=2, dtype=dtype)
    x = np.random.default_rng(n).standard_normal((n, 4)).astype(dtype)
    description = network.Network((4, 5, 3), ("tanh", last), "mean_squared_error")
    _, outputs = network.forward(model.parameters.astype(float), description, x.astype(float))
    tolerance = 1e-13 if dtype == "float64" else 2e-6
    compiled = Sequential([Input((4,)), Dense(5, "tanh"), Dense(3, last)], seed=2, dtype=dtype)
    # Where activation and loss are computed together, predictions are still the activation's.
    compiled.compile(loss="binary_crossentropy" if last == "sigmoid" else "categorical_crossentropy")
    for got in (model.predict(x), model(x), model.forward(x), compiled.predict(x), compiled.forward(x)):
        assert got.shape == (n, 3)
        assert got.dtype == dtype
        assert got.flags.c_contiguous
        np.testing.assert_allclose(got, outputs[-1], rtol=tolerance, atol=tolerance)


def test_a_prediction_is_the_callers() -> None:
    model = classifier()
    first = model.predict(X)
    kept = first.copy()
    model.predict(X + 1)
    first_forward = model.forward(X)
    model.forward(X + 1)
    np.testing.assert_array_equal(first, kept)
    np.testing.assert_array_equal(first_forward, kept)
    first[:] = 0
    np.testing.assert_array_equal(model.predict(X), kept)


def test_large_predictions_and_evaluations_take_many_chunks() -> None:
    model = classifier(metrics=["accuracy"])
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((20_011, 4)), rng.integers(0, 3, 20_011)
    outputs = model.predict(x)
    np.testing.assert_array_equal(outputs[20_000:], model.predict(x[20_000:]))
    loss, accuracy = model.evaluate(x, y)
    assert loss == pytest.approx(-np.log(outputs[np.arange(20_011), y]).mean(), rel=1e-12)
    assert accuracy == (outputs.argmax(axis=1) == y).mean()


def awkward(a: np.ndarray) -> dict[str, Any]:
    """The same numbers in other clothes."""
    wide = np.zeros((len(a), 2 * a.shape[1]) if a.ndim == 2 else 2 * len(a), a.dtype)
    wide[..., ::2] = a
    read_only = a.copy()
    read_only.flags.writeable = False
    return {
        "list": a.tolist(),
        "tuple": tuple(map(tuple, a.tolist())) if a.ndim == 2 else tuple(a.tolist()),
        "strided": wide[..., ::2],
        "reversed": a[::-1].copy()[::-1],
        "Fortran": np.asfortranarray(a),
        "read-only": read_only,
        "byte-swapped": a.astype(a.dtype.newbyteorder()),
        "unaligned": np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
        "subclass": np.ma.masked_array(a),
        "longdouble": a.astype(np.longdouble),
        "integers": a.astype(np.int64),
        "small integers": a.astype(np.int8),
        "half": a.astype(np.float16),
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", awkward(np.zeros((2, 2))))
def test_arrays_of_any_kind_mean_the_same(kind: str, dtype: str) -> None:
    rng = np.random.default_rng(4)
    plain_x, plain_y = rng.integers(-3, 4, (30, 4)).astype(dtype), rng.integers(-3, 4, (30, 3)).astype(dtype)
    plain_w = rng.integers(0, 3, 30).astype(dtype)
    x, y, w = awkward(plain_x)[kind], awkward(plain_y)[kind], awkward(plain_w)[kind]
    results = []
    for given_x, given_y, given_w in ((plain_x, plain_y, plain_w), (x, y, w)):
        model = Sequential([Dense(5, "tanh"), Dense(3)], seed=1, dtype=dtype)
        model.compile(loss="mse")
        held_out = given_x, given_y, given_w
        history = model.fit(given_x, given_y, 7, sample_weight=given_w, validation_data=held_out, verbose=0)
        results.append(
            [
                history.history,
                model.parameters.tobytes(),
                model.predict(given_x).tobytes(),
                model.evaluate(given_x, given_y, sample_weight=given_w),
                model.train_on_batch(given_x, given_y, given_w),
                model.value_and_gradient(given_x, given_y, given_w)[1].tobytes(),
                model.forward(given_x).tobytes(),
                model.backward(given_y, given_w),
            ]
        )
    assert results[0] == results[1]


@pytest.mark.parametrize("kind", awkward(np.zeros((2, 2))))
def test_labels_of_any_kind_mean_the_same(kind: str) -> None:
    results = []
    for given in (LABELS, awkward(LABELS)[kind], awkward(LABELS[:, np.newaxis])[kind]):
        model = classifier(metrics=["accuracy"])
        results.append([model.fit(X, given, verbose=0).history, model.evaluate(X, given), model.parameters.tobytes()])
    assert results[0] == results[1] == results[2]


def test_input_is_not_written_to() -> None:
    x, y, w = X.copy(), LABELS.copy(), np.ones(30)
    model = classifier()
    model.fit(x, y, sample_weight=w, epochs=2, verbose=0, class_weight={0: 2.0})
    model.predict(x)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, LABELS)
    np.testing.assert_array_equal(w, np.ones(30))


def test_one_column_may_be_flat() -> None:
    results = []
    x, y = X[:, :1], X[:, 1:2]
    for given_x, given_y in ((x, y), (x[:, 0], y[:, 0]), (x, y[:, 0]), (x[:, 0].tolist(), y)):
        model = Sequential([Dense(3, "tanh"), Dense(1)], seed=1, dtype="float64")
        model.compile(loss="mse")
        model.fit(given_x, given_y, verbose=0)
        results.append((model.parameters.tobytes(), model.evaluate(given_x, given_y), model.predict(given_x).tobytes()))
    assert model.predict(x[:, 0]).shape == (30, 1)
    assert all(result == results[0] for result in results)


def test_booleans_are_numbers() -> None:
    model = Sequential([Dense(1, "sigmoid")], seed=1)
    model.compile(loss="bce")
    x, y = X > 0, X[:, :1] > 0
    assert model.evaluate(x, y) == model.evaluate(x.astype(float), y.astype(float))


def test_nan_and_infinity_in_x_are_data() -> None:
    model = classifier()
    x = X.copy()
    x[3, 0], x[5, 0] = np.nan, np.inf
    outputs = model.predict(x)
    assert np.isnan(outputs[3]).all()
    rest = np.delete(np.arange(30), [3, 5])
    np.testing.assert_array_equal(outputs[rest], model.predict(X)[rest])
    assert np.isnan(model.evaluate(x, LABELS))


@pytest.mark.parametrize("metrics", [[], ["accuracy"]])
def test_what_evaluate_returns(metrics: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier(metrics=metrics)
    logs = model.evaluate(X, LABELS, return_dict=True)
    assert list(logs) == ["loss", *metrics]
    values = list(logs.values())
    assert all(type(value) is float for value in values)
    assert model.evaluate(X, LABELS) == (values if metrics else values[0])
    assert capsys.readouterr().out == ""
    for verbose in (1, 2, "auto"):
        assert model.evaluate(X, LABELS, verbose=verbose) == (values if metrics else values[0])
        printed = f"loss: {values[0]:.4f}" + (f" - accuracy: {values[1]:.4f}" if metrics else "")
        assert capsys.readouterr().out == printed + "\n"


def test_evaluate_is_the_weighted_mean_of_the_losses() -> None:
    model = classifier()
    weights = np.linspace(0, 3, 30)
    rows = losses.sparse_categorical_crossentropy(LABELS, model.predict(X))
    assert model.evaluate(X, LABELS) == pytest.approx(rows.mean(), rel=1e-13)
    assert model.evaluate(X, LABELS, sample_weight=weights) == pytest.approx((weights * rows).mean(), rel=1e-13)


def test_evaluating_changes_nothing() -> None:
    model = classifier(optimizer="adam")
    before = model.parameters.copy()
    model.evaluate(X, LABELS)
    model.predict(X)
    np.testing.assert_array_equal(model.parameters, before)
    assert model.optimizer is not None
    assert model.optimizer.iterations == 0


# ---- forward and backward --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 700])
def test_layers_show_their_outputs_and_deltas(n: int, dtype: str) -> None:
    model = Sequential([Input((4,)), Dense(5, "relu"), Dense(6, "tanh"), Dense(3, "softmax")], seed=3, dtype=dtype)
    model.compile(loss="categorical_crossentropy")
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n, 4)).astype(dtype), np.eye(3)[rng.integers(0, 3, n)]
    outputs = model.predict(x)
    model.forward(x)
    model.backward(y)
    first, second, last = model.layers
    tolerance = {"rtol": 1e-4, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-14}
    np.testing.assert_allclose(first.output, np.maximum(x @ first.kernel + first.bias, 0), **tolerance)
    np.testing.assert_allclose(second.output, np.tanh(first.output @ second.kernel + second.bias), **tolerance)
    np.testing.assert_array_equal(last.output, outputs)
    np.testing.assert_allclose(last.delta, (last.output - y) / n, **tolerance)
    np.testing.assert_allclose(second.delta, (last.delta @ last.kernel.T) * (1 - second.output**2), **tolerance)
    np.testing.assert_allclose(first.delta, (second.delta @ second.kernel.T) * (first.output > 0), **tolerance)
    for layer, inputs in zip(model.layers, (x, first.output, second.output), strict=True):
        assert layer.output.shape == layer.delta.shape == (n, layer.units)
        np.testing.assert_allclose(layer.kernel_gradient, inputs.T @ layer.delta, **tolerance)
        np.testing.assert_allclose(layer.bias_gradient, layer.delta.sum(axis=0), **tolerance)


def test_outputs_and_deltas_are_copies() -> None:
    model = classifier()
    model.forward(X)
    model.backward(LABELS)
    output = model.layers[0].output
    kept = output.copy()
    output[:] = 0
    np.testing.assert_array_equal(model.layers[0].output, kept)
    model.forward(X + 1)
    assert not np.array_equal(model.layers[0].output, kept)


FORGETS: dict[str, Callable[[Sequential], Any]] = {
    "predict": lambda model: model.predict(X[:7]),
    "evaluate": lambda model: model.evaluate(X[:7], LABELS[:7]),
    "fit": lambda model: model.fit(X[:7], LABELS[:7], verbose=0),
    "train_on_batch": lambda model: model.train_on_batch(X[:7], LABELS[:7]),
    "value_and_gradient": lambda model: model.value_and_gradient(X[:7], LABELS[:7]),
    "compile": lambda model: model.compile(loss="mse"),
}


@pytest.mark.parametrize("between", FORGETS)
def test_backward_follows_forward(between: str) -> None:
    model = classifier()
    with pytest.raises(ValueError, match=r"there is no forward pass to go back from: call forward\(x\) first"):
        model.backward(LABELS)
    model.forward(X)
    model.backward(LABELS)
    FORGETS[between](model)
    with pytest.raises(ValueError, match=r"there is no forward pass to go back from: call forward\(x\) first"):
        model.backward(LABELS if between != "compile" else np.zeros((30, 3)))


@pytest.mark.parametrize("name", ["output", "delta"])
@pytest.mark.parametrize("between", FORGETS)
def test_what_layers_show_is_of_the_last_forward(between: str, name: str) -> None:
    # Compiling as well: with another loss the last layer's buffer would hold something else.
    model = classifier()
    model.forward(X)
    model.backward(LABELS)
    FORGETS[between](model)
    for layer in model.layers:
        with pytest.raises(ValueError, match=r"hold no forward pass: call forward\(\) first"):
            getattr(layer, name)


def test_compiling_between_forward_and_backward_mixes_nothing_up() -> None:
    model = Sequential([Input((4,)), Dense(3, "softmax")], dtype="float64")
    model.forward(X)  # nothing compiled: the buffers hold probabilities
    model.compile(loss="sparse_categorical_crossentropy")  # and here would be taken for logits
    with pytest.raises(ValueError, match="there is no forward pass to go back from"):
        model.backward(LABELS)


# ---- the predictor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 2, 3, 8, 17, 600])
@pytest.mark.parametrize("last", ["linear", "sigmoid", "softmax"])
@pytest.mark.parametrize("widths", [[1], [2, 1], [16, 17], [33, 1, 7], [100, 129, 10]])
def test_a_predictor_gives_the_bytes_of_predict(widths: list[int], last: str, rows: int, dtype: str) -> None:
    hidden = [Dense(n, "tanh") for n in widths[:-1]] if len(widths) > 1 else []
    model = Sequential([Input((7,)), *hidden, Dense(widths[-1], last, use_bias=False)], seed=0, dtype=dtype)
    predictor = model.predictor(rows)
    for seed in range(2):
        x = np.random.default_rng(seed).standard_normal((rows, 7)).astype(dtype)
        model.parameters = model.parameters * 1.5  # a predictor follows the model
        assert predictor(x).tobytes() == model.predict(x).tobytes()
        assert predictor(np.asfortranarray(x)).tobytes() == model.predict(x).tobytes()
        assert predictor(x.astype(">f8")).tobytes() == model.predict(x).tobytes()
        assert predictor(x.tolist()).tobytes() == model.predict(x).tobytes()


def test_a_predictor_takes_and_returns_one_row_flat() -> None:
    model = Sequential([Input((7,)), Dense(3)], seed=0)
    predictor, x = model.predictor(), np.ones(7, np.float32)
    first = predictor(x)
    assert first.shape == (3,)
    assert predictor(x[np.newaxis]) is first
    assert model.predictor()(x) is not first
    assert model.predictor(rows=2)(np.ones((2, 7))).shape == (2, 3)


def test_a_predictor_names_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="the model is not built"):
        Sequential([Dense(3)]).predictor()
    model = Sequential([Input((7,)), Dense(3)], seed=0)
    with pytest.raises(ValueError, match="rows is 0, expected at least 1"):
        model.predictor(0)
    for x in (np.ones(6), np.ones((7, 1)), np.ones((2, 7)), np.ones((1, 1, 7), np.float32)):
        with pytest.raises(ValueError, match=re.escape(f"x has shape {x.shape}, expected (1, 7) or (7,)")):
            model.predictor()(x)
    for x in (np.ones(7, np.float32), np.ones((1, 14), np.float32), np.ones(14, np.float32)):
        with pytest.raises(ValueError, match=re.escape(f"x has shape {x.shape}, expected (2, 7)")):
            model.predictor(2)(x)
    with pytest.raises(TypeError, match="x is None"):
        model.predictor()(None)
