"""Stacks that change: layers put on and taken off a model that is built, found by name, cloned, described."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, layers, models
from fastnn.layers import BatchNormalization, Dense, Dropout, Flatten, Input, Normalization

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((40, 4)), RNG.standard_normal((40, 3))


def trained(dtype: str = "float32", **options: Any) -> Sequential:
    stack = [Normalization(), Dense(5, "tanh"), BatchNormalization(), Dropout(0.2), Dense(3)]
    stack[0].adapt(X)
    model = Sequential([*([Input((4,))] if options.pop("input", True) else []), *stack], seed=2, dtype=dtype, **options)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    return model


@pytest.mark.parametrize("known", [True, False], ids=["Input", "no Input"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_layer_is_taken_off_and_another_put_on(dtype: str, known: bool) -> None:
    model = trained(dtype, input=known)
    model.forward(X)
    below = model.layers[2].output  # what training makes of it
    weights = model.get_weights()
    popped = model.pop()
    assert (popped.name, popped.index, popped.n_in) == (None, None, 5)
    assert [layer.name for layer in model.layers] == ["normalization", "dense", "batch_normalization", "dropout"]
    assert model.output_shape == (None, 5)
    for got, before in zip(model.get_weights(), weights[:-2], strict=True):
        assert got.tobytes() == before.tobytes()
    with pytest.raises(ValueError, match=r"the model has no loss: call compile"):
        model.fit(X, Y, verbose=0)
    model.pop()
    model(X, training=True)
    assert model.layers[-1].output.tobytes() == below.tobytes()
    model.add(Dense(2, name="head"))
    model.add(popped)
    assert [layer.name for layer in model.layers][-2:] == ["head", "dense_1"]
    with pytest.raises(ValueError, match="has weights for 5 inputs, expected the 2 that there are"):
        model.predict(X)
    assert model.pop() is popped
    model.compile("sgd", "mse")
    assert model.parameters.size == sum(w.size for w in (*weights[2:6], *model.layers[-1].weights))
    model.fit(X, Y[:, :2], verbose=0)
    assert model.predict(X).shape == (40, 2)


def test_a_popped_layer_keeps_its_weights_wherever_it_goes() -> None:
    model = trained()
    expected = model.layers[-1](X[:, :3].repeat(2, axis=1)[:, :5])
    layer = model.pop()
    assert layer(X[:, :3].repeat(2, axis=1)[:, :5]).tobytes() == expected.tobytes()
    other = Sequential([Input((5,)), layer])
    assert other.predict(X[:, :3].repeat(2, axis=1)[:, :5]).tobytes() == expected.tobytes()
    assert layer.name == "dense"
    wide = Sequential([Input((5,)), other.pop()], dtype="float64")
    assert wide.get_weights()[0].dtype == np.float64
    np.testing.assert_array_equal(wide.get_weights()[0], layer.kernel)


def test_what_is_written_into_weights_before_the_change_stays() -> None:
    model = trained()
    model.layers[1].kernel[...] = 3
    model.layers[1].trainable = False
    model.layers[1].bias[...] = 4  # between the change and the next call
    assert (model.get_weights()[2] == 3).all()
    assert (model.get_weights()[3] == 4).all()
    assert (model.layers[1].bias == 4).all()


def test_a_predictor_of_an_earlier_stack_is_an_error() -> None:
    message = r"the model's weights are elsewhere now, expected a predictor made since: call model.predictor\(\) again"
    for change in (
        lambda model: model.pop(),
        lambda model: model.add(Dense(1)),
        lambda model: setattr(model.layers[1], "trainable", False),
        lambda model: setattr(model, "trainable", False),
    ):
        model = trained()
        call = model.predictor()
        before = call(X[0].astype(np.float32)).copy()
        model.layers[1].trainable = True  # as it is: no change
        assert call(X[0].astype(np.float32)).tobytes() == before.tobytes()
        change(model)
        with pytest.raises(ValueError, match=message):
            call(X[0].astype(np.float32))
        assert model.predictor()(X[0]).tobytes() == model.predict(X[:1])[0].tobytes()


def test_after_a_change_everything_is_saved_all_the_same(tmp_path: Path) -> None:
    for way in ("file", "pickle"):
        model = trained()
        expected = model.predict(X)
        model.layers[3].trainable = False
        model.layers[1].trainable = False
        if way == "file":
            model.save(tmp_path / "m")
            again = fastnn.load_model(tmp_path / "m", compile=False)
        else:
            again = pickle.loads(pickle.dumps(model))
        assert again.predict(X).tobytes() == expected.tobytes()
        assert [layer.trainable for layer in again.layers] == [True, False, True, False, True]


def test_no_change_while_the_model_is_at_work() -> None:
    model = Sequential([Input((4,)), Dense(300), Dense(300), Dense(3)])
    model.compile("sgd", "mse")
    errors: list[str] = []

    class Change(fastnn.callbacks.Callback):
        def on_progress(self, step: int) -> None:
            for change in (
                model.pop,
                lambda: model.add(Dense(1)),
                lambda: setattr(model.layers[0], "trainable", False),
            ):
                with pytest.raises(RuntimeError) as error:
                    change()
                errors.append(str(error.value))
            raise StopIteration

    x = np.random.default_rng(0).standard_normal((20000, 4))
    with pytest.raises(StopIteration):
        model.fit(x, x[:, :3], batch_size=8, epochs=20, verbose=0, callbacks=[Change()])
    assert len(errors) == 3
    assert set(errors) == {"the model is at work, expected no change of its layers before it is done"}
    assert len(model.layers) == 3
    assert model.layers[0].trainable


def test_pop_of_nothing() -> None:
    model = Sequential([Dense(2)])
    model.pop()
    with pytest.raises(ValueError, match="the model has no layers, expected at least one"):
        model.pop()
    model.add(Dense(3))
    assert model.predict(X).shape == (40, 3)


def test_layers_are_found() -> None:
    model = trained()
    assert model.get_layer("dense_1") is model.get_layer(index=4) is model.get_layer(index=-1) is model.layers[4]
    with pytest.raises(ValueError, match=r"name is 'dense_2', expected one of 'normalization', 'dense', 'batch_norm"):
        model.get_layer("dense_2")
    for index in (5, -6):
        with pytest.raises(ValueError, match=f"index is {index}, expected -5 to 4"):
            model.get_layer(index=index)
    for given in ({}, {"name": "dense", "index": 1}):
        with pytest.raises(ValueError, match=r"name is .* and index is .*, expected one of them"):
            model.get_layer(**given)


def test_shapes() -> None:
    model = Sequential([Input((2, 3)), Flatten(), Dense(4)])
    assert (model.input_shape, model.output_shape) == ((None, 2, 3), (None, 4))
    late = Sequential([Dense(4)])
    with pytest.raises(ValueError, match="the model is not built"):
        _ = late.input_shape
    late.build((None, 2, 3))
    assert (late.input_shape, late.layers[0].n_in) == ((None, 6), 6)


def test_weights_of_a_layer() -> None:
    layer = trained().layers[1]
    kernel, bias = layer.get_weights()
    assert kernel.tobytes() == layer.kernel.tobytes()
    assert not np.shares_memory(kernel, layer.kernel)
    layer.set_weights([kernel + 1, bias])
    np.testing.assert_array_equal(layer.kernel, kernel + 1)
    with pytest.raises(ValueError, match=r"weights\[1\] has shape \(4, 5\), expected \(5,\)"):
        layer.set_weights([kernel, kernel])
    with pytest.raises(ValueError, match="weights has 1 arrays, expected 2: those of get_weights"):
        layer.set_weights([kernel])
    np.testing.assert_array_equal(layer.kernel, kernel + 1)


# ---- clones and descriptions -----------------------------------------------------------------------------------------


def test_a_clone_has_the_same_layers_and_other_weights() -> None:
    model = trained("float64", name="mine", trainable=False)
    model.layers[1].trainable = True
    twin = models.clone_model(model)
    config = model.get_config()
    assert twin.get_config() == config | {"seed": twin.seed}
    assert twin.seed != model.seed
    assert twin.optimizer is None
    assert (twin.layers[1].kernel != model.layers[1].kernel).any()
    assert twin.layers[0].mean.tobytes() == model.layers[0].mean.tobytes()  # which are in its configuration


def test_a_clone_by_a_function_of_ones_own() -> None:
    model = Sequential([Input((4,)), Dense(3, "relu"), Dense(2)])
    twin = models.clone_model(model, lambda layer: Dense(layer.units + 1, layer.activation))
    assert [layer.units for layer in twin.layers] == [4, 3]
    assert twin.layers[0].activation is model.layers[0].activation
    assert models.clone_model(Sequential([Dense(3)])).layers[0].n_in is None


def test_a_model_from_json() -> None:
    model = trained()
    model.layers[2].trainable = False
    text = model.to_json()
    assert json.loads(text)["class_name"] == "Sequential"
    again = models.model_from_json(text)
    assert again.get_config() == model.get_config()
    assert not again.layers[2].trainable

    class Mine(layers.Layer):
        pass

    text = Sequential([Mine()]).to_json()
    assert isinstance(models.model_from_json(text, {"Mine": Mine}).layers[0], Mine)
    for bad, message in (
        (text, "layer's class_name is 'Mine', expected one of"),
        ("{}", "json_string is {}, expected a dict with 'class_name' and 'config'"),
        ("{", "Expecting property name"),
    ):
        with pytest.raises(ValueError, match=message):
            models.model_from_json(bad)
