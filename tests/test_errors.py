"""Bad input: one error that names the argument, what came and what was expected, and nothing has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, callbacks
from fastnn.layers import Dense, Input

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 4))
LABELS = RNG.integers(0, 3, 12)
ONE_HOT = np.eye(3)[LABELS]
ONE = RNG.standard_normal((12, 1))

NAN = np.nan
Case = tuple[dict[str, Any], type[Exception], str]


def replaced(array: np.ndarray, position: Any, value: Any) -> np.ndarray:
    result = array.astype(np.result_type(array, type(value)))
    result[position] = value
    return result


# What is wrong with x, whatever is done with it. The first place in the messages is the argument's name.
BAD_X: dict[str, Case] = {
    "too few features": ({"x": X[:, :3]}, ValueError, r"{}x has shape \(12, 3\), expected \(samples, 4\)"),
    "too many features": ({"x": np.ones((12, 5))}, ValueError, r"{}x has shape \(12, 5\), expected \(samples, 4\)"),
    "one sample without its axis": ({"x": X[0]}, ValueError, r"{}x has shape \(4,\), expected \(samples, 4\)"),
    "three dimensions": ({"x": X[None]}, ValueError, r"{}x has shape \(1, 12, 4\), expected two dimensions \(samples"),
    "a number": ({"x": 5.0}, ValueError, r"{}x has shape \(\), expected two dimensions \(samples, features\)"),
    "no samples": ({"x": X[:0]}, ValueError, r"{}x has shape \(0, 4\), expected at least one sample and one column"),
    "an empty list": ({"x": []}, ValueError, r"{}x has shape \(0,\), expected \(samples, 4\)"),
    "ragged": ({"x": [[1, 2], [3]]}, ValueError, "{}x is no rectangular array, expected real numbers"),
    "none": ({"x": None}, TypeError, "{}x is None, expected real numbers"),
    "complex": ({"x": X.astype(complex)}, TypeError, "{}x has dtype complex128, expected real numbers"),
    "objects": ({"x": X.astype(object)}, TypeError, "{}x has dtype object, expected real numbers"),
    "text": ({"x": [["a"] * 4] * 12}, TypeError, "{}x has dtype <U1, expected real numbers"),
    "numbers as text": ({"x": [["1"] * 4] * 12}, TypeError, "{}x has dtype <U1, expected real numbers"),
    "dates": ({"x": X.astype("M8[s]")}, TypeError, r"{}x has dtype datetime64\[s\], expected real numbers"),
    "a set": ({"x": {1.0, 2.0}}, TypeError, "{}x is a set, expected real numbers"),
}

BAD_LABELS: dict[str, Case] = {
    "a label too large": (
        {"y": replaced(LABELS, 7, 3)},
        ValueError,
        "{}y has the label 3 at position 7, expected integers from 0 to 2",
    ),
    "a negative label": (
        {"y": replaced(LABELS, 11, -1)},
        ValueError,
        "{}y has the label -1 at position 11, expected integers from 0 to 2",
    ),
    "the first of two wrong labels": (
        {"y": replaced(replaced(LABELS, 9, 8), 4, 5)},
        ValueError,
        "{}y has the label 5 at position 4, expected integers from 0 to 2",
    ),
    "a label that is no whole number": (
        {"y": replaced(LABELS, 2, 1.5)},
        ValueError,
        r"{}y has the label 1\.5 at position 2, expected integers from 0 to 2",
    ),
    "a label that is NaN": (
        {"y": replaced(LABELS, 3, NAN)},
        ValueError,
        "{}y has the label nan at position 3, expected integers from 0 to 2",
    ),
    "a label beyond int32": (
        {"y": replaced(LABELS, 5, 2**32)},
        ValueError,
        "{}y has the label 4294967296 at position 5, expected integers from 0 to 2",
    ),
    "one-hot rows for labels": (
        {"y": ONE_HOT},
        ValueError,
        r"{}y has shape \(12, 3\), expected integer labels of shape \(12,\); one-hot rows are for categorical_crossent",
    ),
    "too few labels": ({"y": LABELS[:11]}, ValueError, "{}y has 11 samples, expected 12"),
    "no labels": ({"y": LABELS[:0]}, ValueError, "{}y has 0 samples, expected 12"),
    "one label": ({"y": 1}, ValueError, r"{}y has shape \(\), expected integer labels of shape \(12,\)"),
    "ragged labels": ({"y": [[1], [2, 0]]}, ValueError, "{}y is no rectangular array, expected integer labels"),
    "labels None": ({"y": None}, TypeError, "{}y is None, expected integer labels"),
    "labels as text": ({"y": ["a"] * 12}, TypeError, "{}y has dtype <U1, expected integer labels"),
    "complex labels": ({"y": LABELS + 0j}, TypeError, "{}y has dtype complex128, expected integer labels"),
    "labels as objects": ({"y": LABELS.astype(object)}, TypeError, "{}y has dtype object, expected integer labels"),
}

BAD_TARGETS: dict[str, Case] = {
    "labels for one-hot rows": ({"y": LABELS}, ValueError, r"{}y has shape \(12,\), expected \(samples, 3\)"),
    "two columns for three": ({"y": ONE_HOT[:, :2]}, ValueError, r"{}y has shape \(12, 2\), expected \(samples, 3\)"),
    "one column for three": ({"y": ONE_HOT[:, :1]}, ValueError, r"{}y has shape \(12, 1\), expected \(samples, 3\)"),
    "transposed": ({"y": ONE_HOT.T}, ValueError, r"{}y has shape \(3, 12\), expected \(samples, 3\)"),
    "too few targets": ({"y": ONE_HOT[:11]}, ValueError, "{}y has 11 samples, expected 12"),
    "too many targets": ({"y": np.tile(ONE_HOT, (2, 1))}, ValueError, "{}y has 24 samples, expected 12"),
    "no targets": (
        {"y": ONE_HOT[:0]},
        ValueError,
        r"{}y has shape \(0, 3\), expected at least one sample and one column",
    ),
    "a NaN": ({"y": replaced(ONE_HOT, (8, 1), NAN)}, ValueError, "{}y has a NaN in sample 8, expected numbers"),
    "targets None": ({"y": None}, TypeError, "{}y is None, expected real numbers"),
    "ragged targets": ({"y": [[1, 2], [3]]}, ValueError, "{}y is no rectangular array, expected real numbers"),
    "complex targets": ({"y": ONE_HOT + 0j}, TypeError, "{}y has dtype complex128, expected real numbers"),
    "targets as objects": ({"y": ONE_HOT.astype(object)}, TypeError, "{}y has dtype object, expected real numbers"),
}

BAD_COLUMN: dict[str, Case] = {
    "three columns for one": ({"y": ONE_HOT}, ValueError, r"{}y has shape \(12, 3\), expected \(samples, 1\)"),
    "a row for a column": ({"y": ONE.T}, ValueError, r"{}y has shape \(1, 12\), expected \(samples, 1\)"),
    "a NaN in a flat column": (
        {"y": replaced(ONE[:, 0], 11, NAN)},
        ValueError,
        "{}y has a NaN in sample 11, expected numbers",
    ),
}

BAD_WEIGHTS: dict[str, Case] = {
    "too few weights": (
        {"sample_weight": np.ones(11)},
        ValueError,
        r"{}sample_weight has shape \(11,\), expected \(12,\)",
    ),
    "weights of each class": (
        {"sample_weight": np.ones((12, 3))},
        ValueError,
        r"{}sample_weight has shape \(12, 3\), expected \(12,\)",
    ),
    "a negative weight": (
        {"sample_weight": replaced(np.ones(12), 4, -0.5)},
        ValueError,
        r"{}sample_weight is -0\.5 at position 4, expected finite weights of at least 0",
    ),
    "a weight that is NaN": (
        {"sample_weight": replaced(np.ones(12), 5, NAN)},
        ValueError,
        "{}sample_weight is nan at position 5, expected finite weights of at least 0",
    ),
    "an infinite weight": (
        {"sample_weight": replaced(np.ones(12), 6, np.inf)},
        ValueError,
        "{}sample_weight is inf at position 6, expected finite weights of at least 0",
    ),
    "one negative weight for all": (
        {"sample_weight": -1},
        ValueError,
        r"{}sample_weight is -1\.0 at position 0, expected finite weights of at least 0",
    ),
    "weights as text": (
        {"sample_weight": ["a"] * 12},
        TypeError,
        "{}sample_weight has dtype <U1, expected real numbers",
    ),
    "weights by class": (
        {"sample_weight": {0: 1.0}},
        TypeError,
        "{}sample_weight is a dict, expected real numbers",
    ),
    "ragged weights": (
        {"sample_weight": [[1], [1, 2]]},
        ValueError,
        "{}sample_weight is no rectangular array, expected real numbers",
    ),
}

BAD_CLASS_WEIGHT: dict[str, Case] = {
    "a list": ({"class_weight": [1, 2, 3]}, TypeError, "class_weight is list, expected a dict from class to weight"),
    "balanced": ({"class_weight": "balanced"}, TypeError, "class_weight is str, expected a dict from class to weight"),
    "a negative class weight": (
        {"class_weight": {0: 1, 1: -2}},
        ValueError,
        r"class_weight\[1\] is -2, expected a finite number >= 0",
    ),
    "an infinite class weight": (
        {"class_weight": {2: np.inf}},
        ValueError,
        r"class_weight\[2\] is inf, expected a finite number >= 0",
    ),
    "a class weight that is no number": (
        {"class_weight": {0: None}},
        TypeError,
        r"class_weight\[0\] is None, expected a number",
    ),
    "a class that is no number": (
        {"class_weight": {"cat": 2.0}},
        TypeError,
        "class_weight has the key 'cat', expected a class: an integer",
    ),
}


class NoCallback:
    pass


BAD_FIT: dict[str, Case] = {
    "batch size 0": ({"batch_size": 0}, ValueError, "batch_size is 0, expected at least 1"),
    "negative batch size": ({"batch_size": -32}, ValueError, "batch_size is -32, expected at least 1"),
    "fractional batch size": ({"batch_size": 2.5}, TypeError, r"batch_size is 2\.5, expected an integer"),
    "batch size as text": ({"batch_size": "32"}, TypeError, "batch_size is '32', expected an integer"),
    "batch size True": ({"batch_size": True}, TypeError, "batch_size is True, expected an integer"),
    "negative epochs": ({"epochs": -1}, ValueError, "epochs is -1, expected at least 0"),
    "fractional epochs": ({"epochs": 1.0}, TypeError, r"epochs is 1\.0, expected an integer"),
    "epochs None": ({"epochs": None}, TypeError, "epochs is None, expected an integer"),
    "negative initial epoch": ({"initial_epoch": -1}, ValueError, "initial_epoch is -1, expected at least 0"),
    "initial epoch as text": ({"initial_epoch": "0"}, TypeError, "initial_epoch is '0', expected an integer"),
    "a split of all": (
        {"validation_split": 1},
        ValueError,
        "validation_split is 1, expected a finite number >= 0 and < 1",
    ),
    "a negative split": (
        {"validation_split": -0.1},
        ValueError,
        r"validation_split is -0\.1, expected a finite number >= 0 and < 1",
    ),
    "a split that is NaN": (
        {"validation_split": NAN},
        ValueError,
        "validation_split is nan, expected a finite number >= 0 and < 1",
    ),
    "a split as text": ({"validation_split": "0.1"}, TypeError, r"validation_split is '0\.1', expected a number"),
    "a split None": ({"validation_split": None}, TypeError, "validation_split is None, expected a number"),
    "a split that leaves none to train on": (
        {"validation_split": 0.95},
        ValueError,
        r"validation_split is 0\.95, which leaves 0 of 12 samples to train on and 12 to validate with, expected at lea",
    ),
    "a split that leaves none to validate with": (
        {"validation_split": 1e-20},
        ValueError,
        "validation_split is 1e-20, which leaves 12 of 12 samples to train on and 0 to validate with, expected at lea",
    ),
    "a split and data": (
        {"validation_split": 0.5, "validation_data": (X, LABELS)},
        ValueError,
        "validation_split and validation_data are both given, expected one of them",
    ),
    "validation data that are no tuple": (
        {"validation_data": X},
        TypeError,
        r"validation_data is ndarray, expected a tuple \(x, y\) or \(x, y, sample_weight\)",
    ),
    "validation data of x alone": (
        {"validation_data": (X,)},
        ValueError,
        r"validation_data has 1 entries, expected \(x, y\) or \(x, y, sample_weight\)",
    ),
    "validation data of four": (
        {"validation_data": [X, LABELS, None, None]},
        ValueError,
        r"validation_data has 4 entries, expected \(x, y\) or \(x, y, sample_weight\)",
    ),
    "verbose 3": ({"verbose": 3}, ValueError, 'verbose must be "auto", 0, 1 or 2, got 3'),
    "verbose as text": ({"verbose": "yes"}, ValueError, r"verbose must be .auto., 0, 1 or 2, got 'yes'"),
    "callbacks that are none": (
        {"callbacks": [NoCallback]},
        TypeError,
        r"callbacks must hold fastnn\.callbacks\.Callback objects, got <class '.*NoCallback'>; pass an instance",
    ),
    "a callback's class": (
        {"callbacks": callbacks.History},
        TypeError,
        "callbacks must be a Callback or a list of them, got type",
    ),
    "callbacks 5": ({"callbacks": 5}, TypeError, "callbacks must be a Callback or a list of them, got int"),
}

# Loss, outputs and right targets; and what is wrong with them.
TASKS: dict[str, tuple[str, int, np.ndarray, dict[str, Case]]] = {
    "sparse": ("sparse_categorical_crossentropy", 3, LABELS, BAD_LABELS | BAD_X | BAD_WEIGHTS),
    "one-hot": ("categorical_crossentropy", 3, ONE_HOT, BAD_TARGETS),
    "column": ("mse", 1, ONE, BAD_COLUMN),
}


def make(task: str, built: bool = True) -> Sequential:
    loss, outputs, *_ = TASKS[task]
    stack = [Dense(5, "tanh"), Dense(outputs, "softmax" if outputs > 1 else "linear")]
    model = Sequential([*([Input((4,))] if built else []), *stack], seed=6)
    model.compile(optimizer="adam", loss=loss)
    return model


def remembered(model: Sequential, task: str) -> dict[str, Any]:
    """All that a call might have changed, the random state by what comes of it included."""
    assert model.optimizer is not None
    y = TASKS[task][2]
    return {
        "parameters": model.parameters.tobytes(),
        "state": [array.tobytes() for array in model.optimizer.variables],
        "iterations": model.optimizer.iterations,
        "rate": model.optimizer.learning_rate,
        "future": model.fit(X, y, batch_size=5, epochs=2, verbose=0).history,
        "then": model.parameters.tobytes(),
    }


def assert_refused(
    call: Callable[[Sequential], Any], task: str, error: type[Exception], message: str, built: bool, forward: bool
) -> None:
    """`call` raises the error on a model that has trained, and leaves it as a twin that was never asked."""
    model, twin = make(task, built), make(task)
    if built:
        for either in (model, twin):
            either.fit(X, TASKS[task][2], batch_size=5, verbose=0)
    if forward:
        model.forward(X)
    with pytest.raises(error, match=message) as caught:
        call(model)
    assert type(caught.value) is error
    assert str(caught.value).count("expected") >= 1 or "must" in str(caught.value)
    if not built:
        assert [layer.n_in for layer in model.layers] == [None, None]
        with pytest.raises(ValueError, match="the model is not built"):
            _ = model.parameters
        assert model.optimizer is not None
        assert model.optimizer.variables == []
        model.build(4)  # for whatever number of inputs
    assert remembered(model, task) == remembered(twin, task)


CALLS: dict[str, Callable[..., Any]] = {
    "fit": lambda model, **how: model.fit(**{"verbose": 0, **how}),
    "train_on_batch": lambda model, **how: model.train_on_batch(**how),
    "evaluate": lambda model, **how: model.evaluate(**how),
    "value_and_gradient": lambda model, **how: model.value_and_gradient(**how),
}

DATA_CASES = [(task, name) for task, (*_, bad) in TASKS.items() for name in bad]
# What is wrong whether the model knows its number of features or takes it from the data.
WRONG_ANYHOW = [case for case in DATA_CASES if r"expected \(samples, 4\)" not in TASKS[case[0]][3][case[1]][2]]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("task", "name", "built"),
    [*((*case, True) for case in DATA_CASES), *((*case, False) for case in WRONG_ANYHOW)],
)
def test_bad_data(task: str, name: str, call: str, built: bool) -> None:
    y, (bad, error, message) = TASKS[task][2], TASKS[task][3][name]
    arguments = {"x": X, "y": y, **bad}
    assert_refused(lambda model: CALLS[call](model, **arguments), task, error, message.format("^"), built, False)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([], r"^x has shape \(0,\), expected at least one sample and one column"),
        (np.ones((12, 0)), r"^x has shape \(12, 0\), expected at least one sample and one column"),
        (X[0], "^y has 12 samples, expected 4"),  # four samples of one feature
    ],
)
def test_bad_first_data(x: Any, message: str, call: str) -> None:
    # Nothing says yet how many features there are.
    assert_refused(lambda model: CALLS[call](model, x=x, y=LABELS), "sparse", ValueError, message, False, False)


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize(("task", "name"), DATA_CASES)
def test_bad_validation_data(task: str, name: str, built: bool) -> None:
    y, (bad, error, message) = TASKS[task][2], TASKS[task][3][name]
    arguments = {"x": X, "y": y, "sample_weight": None, **bad}
    assert_refused(
        lambda model: model.fit(X, y, validation_data=tuple(arguments.values()), verbose=0),
        task, error, message.format("^validation_data "), built, False,
    )  # fmt: skip


@pytest.mark.parametrize("call", ["predict", "forward", "__call__"])
@pytest.mark.parametrize("name", BAD_X)
def test_bad_x_alone(name: str, call: str) -> None:
    bad, error, message = BAD_X[name]
    assert_refused(lambda model: getattr(model, call)(bad["x"]), "sparse", error, message.format("^"), True, False)


@pytest.mark.parametrize(
    ("task", "name"), [case for case in DATA_CASES if "y" in TASKS[case[0]][3][case[1]][0] or case[1] in BAD_WEIGHTS]
)
def test_bad_targets_for_backward(task: str, name: str) -> None:
    y, (bad, error, message) = TASKS[task][2], TASKS[task][3][name]
    arguments = {"y": y, **bad}
    assert_refused(lambda model: model.backward(**arguments), task, error, message.format("^"), True, True)


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
@pytest.mark.parametrize("name", BAD_CLASS_WEIGHT)
def test_bad_class_weights(name: str, call: str, built: bool) -> None:
    bad, error, message = BAD_CLASS_WEIGHT[name]
    assert_refused(lambda model: CALLS[call](model, x=X, y=LABELS, **bad), "sparse", error, f"^{message}", built, False)


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("name", BAD_FIT)
def test_bad_arguments_of_fit(name: str, built: bool) -> None:
    bad, error, message = BAD_FIT[name]
    assert_refused(
        lambda model: CALLS["fit"](model, x=X, y=LABELS, **bad), "sparse", error, f"^{message}", built, False
    )


def test_bad_verbose_of_evaluate() -> None:
    assert_refused(
        lambda model: model.evaluate(X, LABELS, verbose=3),
        "sparse", ValueError, "^verbose is 3, expected one of 'auto', 0, 1, 2", True, False,
    )  # fmt: skip


def test_targets_are_never_broadcast() -> None:
    # (N,) means (N, 1) and nothing else; NumPy would make (N, N) of them.
    model = make("column")
    flat = ONE[:, 0]
    assert model.evaluate(X, flat) == model.evaluate(X, ONE)
    assert model.evaluate(X[:1], flat[:1]) == model.evaluate(X[:1], ONE[:1])
    with pytest.raises(ValueError, match=r"y has shape \(1, 3\), expected \(samples, 1\)"):
        model.evaluate(X[:1], ONE_HOT[:1])


def test_infinite_targets_are_data() -> None:
    model = make("column")
    assert model.evaluate(X, replaced(ONE, (3, 0), np.inf)) == np.inf
