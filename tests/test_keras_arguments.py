"""Arguments and names of Keras 3 that a script may use, and what they mean here."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, initializers, layers, models, saving
from fastnn.layers import BatchNormalization, Dense, Dropout, Identity, Input, Normalization, Softmax

X = np.random.default_rng(4).standard_normal((20, 3))


# ---- layers ----------------------------------------------------------------------------------------------------------


def test_input_dim() -> None:
    model = Sequential([Dense(4, input_dim=3), Dense(2)])
    assert model.input_shape == (None, 3)
    with pytest.raises(ValueError, match="input_shape and input_dim are both given, expected one of them"):
        Dense(4, input_dim=3, input_shape=(3,))
    with pytest.raises(ValueError, match="input_dim is 0, expected at least 1"):
        Dense(4, input_dim=0)


def test_dtype_of_a_layer() -> None:
    assert Dense(2, dtype="float64")(X).dtype == np.float64
    assert Sequential([Input((3,)), Dense(2, dtype="float64")], dtype="float64").predict(X).dtype == np.float64
    assert Sequential([Input((3,)), Dense(2, dtype=np.float32)]).predict(X).dtype == np.float32
    with pytest.raises(ValueError, match="layer has the dtype float64, expected float32 as the model has"):
        Sequential([Dense(2, dtype="float64")])
    with pytest.raises(ValueError, match="dtype is 'float16', expected 'float32' or 'float64'"):
        Dense(2, dtype="float16")


@pytest.mark.parametrize(
    "given",
    [
        {"shape": (3,), "batch_size": 32, "dtype": "float64", "name": "features"},
        {"shape": [3], "dtype": np.uint8},
        {"batch_shape": (None, 3)},
        {"batch_shape": (8, 3)},
        {"input_shape": (3,)},
    ],
)
def test_inputs(given: Any) -> None:
    first = layers.InputLayer(**given)
    assert isinstance(first, Input)
    model = Sequential([first, Dense(2)])
    assert model.input_shape == (None, 3)
    assert model.predict(X).shape == (20, 2)
    assert Input.from_config(first.get_config()).shape == (3,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"shape": (3,), "batch_shape": (None, 3)}, r"shape is \(3,\) and batch_shape is \(None, 3\), expected one"),
        ({"shape": (3,), "dtype": "str"}, "dtype is 'str', expected that of numbers"),
        ({"shape": (3,), "batch_size": 0}, "batch_size is 0, expected at least 1"),
    ],
)
def test_inputs_that_are_none(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Input(**given)


def test_no_initializer_is_glorot_s() -> None:
    layer = Dense(200, kernel_initializer=None, bias_initializer=None)
    layer(X)
    assert isinstance(layer.bias_initializer, initializers.GlorotUniform)
    assert 0.1 < np.abs(layer.bias).max() < np.sqrt(6 / 400)


def test_identity() -> None:
    plain = Sequential([Input((3,)), Dense(4), BatchNormalization(), Softmax()], seed=0)
    model = Sequential([Input((3,)), Identity(), Dense(4), Identity(), BatchNormalization(), Softmax(), Identity()])
    model.set_weights(plain.get_weights())
    assert model.predict(X).tobytes() == plain.predict(X).tobytes()
    assert type(models.clone_model(model).layers[0]) is Identity
    cube = X.reshape(5, 2, 2, 3)
    np.testing.assert_array_equal(Identity()(cube), cube.astype(np.float32))


def test_layers_that_there_are_not() -> None:
    with pytest.raises(AttributeError, match=r"has no layer Lambda, expected one of .*; one of your own is a subclass"):
        _ = layers.Lambda
    with pytest.raises(AttributeError, match="has no attribute 'convolution'"):
        _ = layers.convolution


@pytest.mark.parametrize("name", ["activity_regularizer", "kernel_constraint"])
def test_arguments_that_there_are_not_are_named(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        Dense(3, **{name: "l2"})  # type: ignore[arg-type]


def test_what_was_found_in_data_can_be_read_before_the_layer_is_built() -> None:
    scaler = Normalization()
    scaler.adapt(X)
    for own in (scaler, copy.deepcopy(scaler)):
        np.testing.assert_allclose(own.mean, X.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(own.variance, X.var(axis=0), rtol=1e-5)
    with pytest.raises(ValueError, match="read-only"):
        scaler.mean[0] = 1
    model = Sequential([Input((3,)), scaler, Dense(1)])
    assert scaler.mean is model.weights[0]
    scaler.adapt(X * 2)
    np.testing.assert_allclose(model.weights[1], 4 * X.var(axis=0), rtol=1e-5)
    assert Normalization(mean=2.0, variance=3.0).mean == 2
    together = Normalization(axis=None)
    together.adapt(X)
    np.testing.assert_allclose(together.variance, X.var(), rtol=1e-5)


# ---- models ----------------------------------------------------------------------------------------------------------


def test_variables_are_weights() -> None:
    model = Sequential([Input((3,)), Dense(4), BatchNormalization()])
    for thing in (model, model.layers[1]):
        for kind in ("", "trainable_", "non_trainable_"):
            pairs = zip(getattr(thing, f"{kind}variables"), getattr(thing, f"{kind}weights"), strict=True)
            assert all(variable is weight for variable, weight in pairs)
    assert [len(v) for v in (model.variables, model.trainable_variables, model.non_trainable_variables)] == [6, 4, 2]


def test_losses_are_the_penalties() -> None:
    stack = [Dense(4, kernel_regularizer="l2", bias_regularizer="l1"), Dense(2, use_bias=False, bias_regularizer="l1")]
    model = Sequential([Input((3,)), *stack, BatchNormalization(gamma_regularizer="l1")], seed=0)
    for layer in model.layers:
        layer.set_weights([w + 1 for w in layer.get_weights()])
    kernel, bias = model.layers[0].weights
    expected = [0.01 * np.square(kernel.astype(float)).sum(), 0.01 * np.abs(bias).sum(), 0.01 * 4]
    np.testing.assert_allclose(model.losses, expected, rtol=1e-6)
    model.compile("sgd", "mse")
    y = model.predict(X)
    np.testing.assert_allclose(model.evaluate(X, y), sum(model.losses), rtol=1e-5)
    model.layers[0].trainable = False
    np.testing.assert_allclose(model.losses, expected[2:], rtol=1e-6)
    model.trainable = False
    assert model.losses == []


def test_built() -> None:
    model = Sequential()
    assert not model.built
    model.add(Dense(3))
    assert not model.built
    model.build(input_shape=(None, 3))
    assert model.built
    weights = model.get_weights()
    model.build((None, 3))
    assert model.get_weights()[0].tobytes() == weights[0].tobytes()
    model.layers[0].trainable = False
    assert model.built
    with pytest.raises(ValueError, match="input_shape has 4 features, expected 3 as the model"):
        model.build((None, 4))


def test_summary_as_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([Input((3,)), Dense(4), Dropout(0.5), Dense(1)])
    model.layers[0].trainable = False
    texts: list[str] = []
    model.summary(print_fn=texts.append, line_length=100, show_trainable=True)
    assert capsys.readouterr().out == ""
    lines = texts[0].splitlines()
    assert lines[1] == "─" * 100
    assert [line.split()[-2] for line in lines[4:7]] == ["no", "yes", "yes"]
    model.summary()
    plain = capsys.readouterr().out
    assert "Trainable  " not in plain
    assert len(plain.splitlines()) == len(lines)


# ---- files -----------------------------------------------------------------------------------------------------------


def test_save_model_and_safe_mode(tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Identity(), Dense(2)])
    assert saving.save_model is models.save_model
    saving.save_model(model, tmp_path / "m")
    again = saving.load_model(tmp_path / "m", safe_mode=True)
    assert again.predict(X).tobytes() == model.predict(X).tobytes()
    with pytest.raises(FileExistsError):
        models.save_model(model, tmp_path / "m", overwrite=False)
    assert fastnn.load_model(tmp_path / "m", safe_mode=False).layers[0].name == "identity"
