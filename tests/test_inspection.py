"""Traces and gradient checks. The numbers of the worked example are held in test_cli.py."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, check_gradients, layers, optimizers, trace
from fastnn.inspection import GradientError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((5, 4))
LABELS = np.array([0, 2, 1, 1, 0])


def classifier(*hidden: layers.Dense, dtype: str = "float64", optimizer: Any = "sgd") -> Sequential:
    model = Sequential([layers.Input((4,)), *hidden, layers.Dense(3, activation="softmax")], seed=1, dtype=dtype)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    return model


# trace


def test_trace_leaves_the_model_as_it_was() -> None:
    model = classifier(layers.Dense(3, activation="tanh"), optimizer=optimizers.SGD(0.1, momentum=0.9))
    twin = classifier(layers.Dense(3, activation="tanh"), optimizer=optimizers.SGD(0.1, momentum=0.9))
    for either in (model, twin):
        either.fit(X, LABELS, epochs=2, batch_size=2, verbose=0)
    parameters, gradients = model.parameters.copy(), model.gradients.copy()
    trace(model, X[0], 0)
    np.testing.assert_array_equal(model.parameters, parameters)
    np.testing.assert_array_equal(model.gradients, gradients)
    assert model.optimizer.iterations == twin.optimizer.iterations
    # Velocity and shuffling too: training goes on as in the model that was not traced.
    for either in (model, twin):
        either.fit(X, LABELS, epochs=1, batch_size=2, verbose=0)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_trace_is_the_step_that_training_takes() -> None:
    model = classifier(layers.Dense(2, activation="tanh"), layers.Dense(2, activation="relu"), optimizer="adam")
    table = trace(model, X[1], LABELS[1])
    values = dict(table.rows)
    outputs = model.predict(X[1:2])[0]
    np.testing.assert_array_equal([values[f"ŷ{k}"] for k in (1, 2, 3)], outputs)
    np.testing.assert_allclose(values["loss"], -np.log(outputs[2]), rtol=1e-14)
    np.testing.assert_allclose([values[f"δ{k}"] for k in (5, 6, 7)], outputs - [0, 0, 1], rtol=1e-13)
    cost, gradients = model.value_and_gradient(X[1:2], LABELS[1:2])
    assert values["loss"] == cost
    model.fit(X[1:2], LABELS[1:2], epochs=1, verbose=0)
    offset = 0
    for size_in, first, size_out in ((4, 1, 2), (2, 3, 2), (2, 5, 3)):
        names = [f"w{i}{unit}" for i in range(1, size_in + 1) for unit in range(first, first + size_out)]
        names += [f"b{unit}" for unit in range(first, first + size_out)]
        part = slice(offset, offset := offset + len(names))
        np.testing.assert_array_equal([values[f"∂{name}"] for name in names], gradients[part])
        np.testing.assert_array_equal([values[f"{name}_new"] for name in names], model.parameters[part])


def test_trace_says_how_each_number_comes_about() -> None:
    model = classifier(layers.Dense(2, activation="tanh", use_bias=False))
    formulas = {row.name: row.formula for rows in trace(model, X[0], 0).sections.values() for row in rows}
    assert formulas["z1"] == "w11·x1 + w21·x2 + w31·x3 + w41·x4"
    assert formulas["a1"] == "tanh(z1)"
    assert formulas["z3"] == "w13·a1 + w23·a2 + b3"
    assert formulas["ŷ1"] == "softmax(z3…z5)"
    assert formulas["loss"] == "sparse_categorical_crossentropy(y, ŷ)"
    assert formulas["δ3"] == "∂loss/∂z3"
    assert formulas["δ2"] == "(w23·δ3 + w24·δ4 + w25·δ5)·tanh′(z2)"
    assert formulas["∂w13"] == "δ3·a1"
    assert formulas["∂b3"] == "δ3"
    assert formulas["w13_new"] == "w13 after one step of SGD"
    assert "b1" not in formulas


def test_rows_stand_in_the_order_of_the_computation() -> None:
    model = classifier(layers.Dense(1, activation="tanh"))
    order = [name for name, _ in trace(model, X[0], 0).rows]
    assert " ".join(order) == (
        "x1 x2 x3 x4 y w11 w21 w31 w41 b1 w12 b2 w13 b3 w14 b4 z1 a1 z2 ŷ1 z3 ŷ2 z4 ŷ3 loss "
        "δ2 ∂w12 ∂b2 δ3 ∂w13 ∂b3 δ4 ∂w14 ∂b4 δ1 ∂w11 ∂w21 ∂w31 ∂w41 ∂b1 "
        "w11_new w21_new w31_new w41_new b1_new w12_new b2_new w13_new b3_new w14_new b4_new"
    )


def test_long_sums_and_large_numbers_stay_readable() -> None:
    model = classifier(layers.Dense(10, activation="relu"))
    table = trace(model, X[0], 0)
    names = [name for name, _ in table.rows]
    assert {"w19", "w1,10", "w1,11", "w10,13", "b13"} <= set(names)
    assert len(names) == len(set(names))
    formulas = {row.name: row.formula for rows in table.sections.values() for row in rows}
    assert formulas["z11"] == "w1,11·a1 + … + b11"


def test_trace_prints_an_aligned_table() -> None:
    lines = str(trace(classifier(), X[0], 0)).splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        "sample", "parameters", "forward", "loss", "backward", "update"
    ]  # fmt: skip
    points = {line.index(".") for line in lines if line.startswith("  ") and "e-" not in line}
    assert len(points) == 1


def test_decimals_are_the_dtypes() -> None:
    assert re.search(r"^  x1 +-?\d\.\d{12}$", str(trace(classifier(), X[0], 0)), re.MULTILINE)
    assert re.search(r"^  x1 +-?\d\.\d{7}$", str(trace(classifier(dtype="float32"), X[0], 0)), re.MULTILINE)


def test_trace_takes_the_axis_of_samples_or_not() -> None:
    model = classifier()
    expected = trace(model, X[0], 0).rows
    assert trace(model, X[:1], LABELS[:1]).rows == expected
    assert trace(model, X[0].tolist(), [0]).rows == expected
    model.compile(optimizer="sgd", loss="categorical_crossentropy")
    one_hot = trace(model, X[0], [1, 0, 0])
    assert dict(one_hot.rows)["y1"] == 1
    assert one_hot.rows == trace(model, X[:1], [[1, 0, 0]]).rows


def test_trace_refuses_what_is_not_one_sample() -> None:
    with pytest.raises(ValueError, match=re.escape("x must be one sample of shape (D,) or (1, D), got shape (5, 4)")):
        trace(classifier(), X, LABELS)
    with pytest.raises(ValueError, match=re.escape("y must be the target of one sample, got shape (2, 3)")):
        trace(classifier(), X[0], np.zeros((2, 3)))


def test_trace_refuses_a_model_that_is_not_compiled() -> None:
    with pytest.raises(ValueError, match="model is not compiled"):
        trace(Sequential([layers.Input((4,)), layers.Dense(1)]), X[0], 0)


# check_gradients


@pytest.mark.parametrize("activation", ["linear", "sigmoid", "tanh"])
def test_gradients_pass(activation: str) -> None:
    model = classifier(layers.Dense(4, activation=activation), layers.Dense(2, activation=activation, use_bias=False))
    before = model.parameters.copy()
    check = check_gradients(model, X, LABELS, sample_weight=[1, 2, 0, 0.5, 1])
    np.testing.assert_array_equal(model.parameters, before)
    assert [row.size for row in check.rows] == [16, 4, 8, 6, 3]
    assert all(row.max_error < 1e-8 for row in check.rows)
    lines = str(check).splitlines()
    assert lines[0].split() == ["array", "size", "max", "error", "relative"]
    assert len(lines) == 6


@pytest.mark.parametrize(("index", "name"), [(0, ".kernel[0, 0]"), (6, ".kernel[3, 0]"), (9, ".bias[1]")])
def test_a_wrong_gradient_is_found(index: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(layers.Dense(2, activation="tanh"))
    right = model.value_and_gradient

    def wrong(*arguments: Any, **options: Any) -> tuple[float, np.ndarray]:
        value, gradient = right(*arguments, **options)
        gradient = np.array(gradient)
        gradient[index] *= 1.001
        return value, gradient

    monkeypatch.setattr(model, "value_and_gradient", wrong)
    with pytest.raises(GradientError, match=re.escape(f"{name} is ") + r".* by backpropagation, .* by central diff"):
        check_gradients(model, X, LABELS)


def test_a_gradient_that_is_nan_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier()
    right = model.value_and_gradient

    def wrong(*arguments: Any, **options: Any) -> tuple[float, np.ndarray]:
        value, gradient = right(*arguments, **options)
        return value, np.full_like(gradient, np.nan)

    monkeypatch.setattr(model, "value_and_gradient", wrong)
    with pytest.raises(GradientError, match="is nan by backpropagation"):
        check_gradients(model, X, LABELS)


def test_float32_is_refused() -> None:
    with pytest.raises(ValueError, match='model must have dtype "float64"'):
        check_gradients(classifier(dtype="float32"), X, LABELS)
