"""Layers that are not trained: their weights stay, nothing is computed or kept for them, and all else is as before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, check_gradients, layers, optimizers
from fastnn.layers import Activation, BatchNormalization, Dense, Dropout, Input, LayerNormalization, Normalization

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((50, 4)), RNG.standard_normal((50, 3))


class Scale(layers.Layer):
    """x times trained factors, with a count of what is asked of it."""

    def build(self, n_in: int) -> int:
        self.add_weight("factor", (n_in,), "ones")
        self.asked: list[str] = []
        return n_in

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        self.x = x
        return x * self.factor

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        self.asked.append("backward")
        self.factor_gradient[...] = (gradient * self.x).sum(axis=0)
        return gradient * self.factor


def stack() -> list[layers.Layer]:
    return [
        Normalization(mean=0.5, variance=2.0), Dense(6, "gelu", name="a"), LayerNormalization(name="ln"),
        Scale(name="s"), BatchNormalization(name="bn"), Activation("tanh"), Dropout(0.2), Dense(5, "relu", name="b"),
        Dense(3, name="c"),
    ]  # fmt: skip


def made(frozen: tuple[str, ...] = (), dtype: str = "float32", optimizer: Any = "adam") -> Sequential:
    model = Sequential([Input((4,)), *stack()], seed=1, dtype=dtype)
    for name in frozen:
        model.get_layer(name).trainable = False
    model.compile(optimizer, "mse")
    return model


SETS: list[tuple[str, ...]] = [
    ("a",),
    ("c",),
    ("b",),
    ("bn",),
    ("s",),
    ("ln", "bn"),
    ("a", "ln", "s", "bn"),
    ("b", "c"),
]
ALL = ("a", "ln", "s", "bn", "b", "c")


@pytest.mark.parametrize("frozen", SETS, ids=" ".join)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_frozen_weights_keep_their_bytes_and_the_others_move(frozen: tuple[str, ...], dtype: str) -> None:
    model = made(frozen, dtype, optimizers.AdamW(0.01, weight_decay=0.1, use_ema=True, global_clipnorm=1.0))
    before = {layer.name: layer.get_weights() for layer in model.layers}
    model.fit(X, Y, epochs=2, batch_size=8, verbose=0)
    model.train_on_batch(X, Y)
    for layer in model.layers:
        same = [a.tobytes() == b.tobytes() for a, b in zip(before[layer.name], layer.get_weights(), strict=True)]
        assert all(same) if layer.name in frozen or not layer.trainable_weights else not any(same)
    trained = sum(w.size for w in model.trainable_weights)
    assert model.parameters.size == model.gradients.size == trained
    assert all(array.shape == (trained,) for array in model.optimizer.variables)


@pytest.mark.parametrize("frozen", SETS, ids=" ".join)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_those_of_the_whole_but_for_the_frozen(frozen: tuple[str, ...], dtype: str) -> None:
    whole, part = made((), dtype), made(frozen, dtype)
    if "bn" in frozen:  # which is then another function: its own check is below
        for model in (whole, part):
            model.get_layer("bn").trainable = False
            model.compile("adam", "mse")
    for model in (whole, part):
        model.forward(X)
        model.backward(Y)
    assert whole.layers[-1].output.tobytes() == part.layers[-1].output.tobytes()
    for of_whole, of_part in zip(whole.layers, part.layers, strict=True):
        if not of_part.trainable or not of_part.trainable_weights:
            continue
        for name in of_part.weight_names[: len(of_part.trainable_weights)]:
            got, expected = (getattr(layer, f"{name}_gradient") for layer in (of_part, of_whole))
            assert got.tobytes() == expected.tobytes()
            assert np.shares_memory(got, part.gradients)


@pytest.mark.parametrize("frozen", [*SETS, ()], ids=" ".join)
def test_gradients_are_the_slopes(frozen: tuple[str, ...]) -> None:
    model = made(frozen, "float64")
    model.parameters += np.random.default_rng(0).standard_normal(model.parameters.size) * 0.3
    report = check_gradients(model, X[:7], Y[:7])
    assert {row.name.partition(".")[0] for row in report.rows} == {*ALL} - {*frozen}


@pytest.mark.parametrize("frozen", SETS, ids=" ".join)
def test_no_number_of_threads_changes_a_bit(frozen: tuple[str, ...]) -> None:
    found = set()
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        model = made(frozen)
        model.fit(X, Y, epochs=2, batch_size=19, verbose=0)
        found.add((model.parameters.tobytes(), *(w.tobytes() for w in model.get_weights())))
    assert len(found) == 1


@pytest.mark.parametrize("batch_size", [1, 5, "full"])
def test_plain_stacks_train_the_same_on_every_path(batch_size: int | str) -> None:
    """Small batches of dense layers have loops of their own, which know no frozen layers."""

    def trained(freeze: bool) -> list[np.ndarray]:
        model = Sequential([Input((4,)), Dense(6, "sigmoid"), Dense(5, "tanh"), Dense(3)], seed=1)
        kernel = model.layers[1].kernel.copy()
        model.layers[1].trainable = not freeze
        model.compile(optimizers.SGD(0.1), "mse")
        if freeze:
            model.fit(X, Y, batch_size=batch_size, epochs=2, verbose=0)
            assert model.layers[1].kernel.tobytes() == kernel.tobytes()
        else:  # the same by hand
            size, n = (len(X) if batch_size == "full" else batch_size), 0
            for epoch in range(2):
                order = np.arange(len(X)) if batch_size == "full" else _order(model, epoch)
                for start in range(0, len(X), int(size)):
                    rows = order[start : start + int(size)]
                    model.forward(X[rows])
                    model.backward(Y[rows])
                    for layer in (model.layers[0], model.layers[2]):
                        layer.kernel -= np.float32(0.1) * layer.kernel_gradient
                        layer.bias -= np.float32(0.1) * layer.bias_gradient
                    n += 1
        return model.get_weights()

    for got, expected in zip(trained(True), trained(False), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def _order(model: Sequential, epoch: int) -> np.ndarray:
    from fastnn.reference import random

    return random.permutation(len(X), model.seed, epoch)


def test_what_training_asks_of_a_layer_below_all_that_is_trained() -> None:
    model = made(("a", "ln", "s", "bn"))
    scale = model.get_layer("s")
    model.fit(X, Y, verbose=0)
    assert scale.asked == []  # nothing below needs a gradient
    model = made(("s",))
    scale = model.get_layer("s")
    model.fit(X, Y, verbose=0, batch_size=len(X))
    assert scale.asked == ["backward"]


# ---- batch normalization ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}, {"center": False, "scale": False}])
def test_frozen_batch_normalization_is_that_of_inference(options: dict[str, bool]) -> None:
    layer = BatchNormalization(**options, trainable=False)
    model = Sequential([Input((4,)), Dense(3), layer, Dense(3)], seed=1, dtype="float64")
    layer.set_weights([RNG.uniform(0.5, 2, w.shape) for w in layer.weights])
    model.compile("sgd", "mse")
    weights = layer.get_weights()
    assert model.forward(X).tobytes() == model.predict(X).tobytes() == model(X, training=True).tobytes()
    model.forward(X)
    model.backward(Y)
    check_gradients(model, X[:5], Y[:5])
    model.fit(X, Y, epochs=2, verbose=0)
    for got, before in zip(layer.get_weights(), weights, strict=True):
        assert got.tobytes() == before.tobytes()
    layer.trainable = True
    model.compile("sgd", "mse")
    assert model.forward(X).tobytes() != model.predict(X).tobytes()
    model.fit(X, Y, verbose=0)
    assert (layer.moving_mean != weights[-2]).all()


# ---- what counts as trainable ----------------------------------------------------------------------------------------


def test_weights_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    model = made(("a", "bn"))
    a, bn, s = (model.get_layer(name) for name in ("a", "bn", "s"))
    assert a.trainable_weights == []
    assert [id(w) for w in a.non_trainable_weights] == [id(w) for w in a.weights] == [id(a.kernel), id(a.bias)]
    assert [id(w) for w in bn.weights] == [id(w) for w in (bn.gamma, bn.beta, bn.moving_mean, bn.moving_variance)]
    assert [id(w) for w in model.trainable_weights[2:3]] == [id(s.factor)]
    assert len(model.weights) == len(model.trainable_weights) + len(model.non_trainable_weights)
    frozen = a.count_params() + bn.count_params() + 8  # the normalization's mean and variance
    assert model.count_params() - frozen == model.parameters.size
    model.summary()
    total = model.count_params()
    assert capsys.readouterr().out.splitlines()[-3:] == [
        f"Total params: {total} ({total * 4 / 1024:.2f} KiB)",
        f"Trainable params: {total - frozen} ({(total - frozen) * 4 / 1024:.2f} KiB)",
        f"Non-trainable params: {frozen} ({frozen * 4 / 1024:.2f} KiB)",
    ]


def test_a_model_that_is_not_trainable() -> None:
    model = made()
    before = model.get_weights()
    model.trainable = False
    assert not any(layer.trainable for layer in model.layers)
    assert model.trainable_weights == []
    assert len(model.non_trainable_weights) == len(model.weights)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    for got, expected in zip(model.get_weights(), before, strict=True):
        assert got.tobytes() == expected.tobytes()
    # As in Keras: a layer alone does not make its model trainable.
    model.get_layer("b").trainable = True
    assert not model.trainable
    assert model.parameters.size == 0
    assert model.trainable_weights == []
    model.trainable = True
    assert all(layer.trainable for layer in model.layers)
    assert model.parameters.size == made().parameters.size
    assert Sequential([Input((4,)), Dense(3)], trainable=False).parameters.size == 0
    for bad in (None, "no", 2):
        with pytest.raises(ValueError, match=f"trainable is {bad!r}, expected one of True, False"):
            model.trainable = bad


def test_what_looks_into_a_step() -> None:
    model = Sequential([Input((2,)), Dense(2, "sigmoid"), Dense(1, "sigmoid")], seed=0, dtype="float64")
    model.compile("sgd", "binary_crossentropy")
    model.layers[0].trainable = False
    with pytest.raises(ValueError, match="model has layers that are not trained, expected all to be: every parameter"):
        fastnn.trace(model, [1, 0], 1)
    model.trainable = False
    model.layers[1].trainable = True
    assert check_gradients(model, [[1.0, 0.0]], [1]).rows == []


# ---- when a change takes effect --------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_change_after_training_needs_compile(optimizer: str) -> None:
    model = made((), optimizer=optimizer)
    model.get_layer("a").trainable = False  # before any step: it takes effect at once
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    model.get_layer("a").trainable = True
    expected = model.predict(X)
    with pytest.raises(
        ValueError, match=r"variables are .*, expected those that this optimizer has the state of.*compile"
    ):
        model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match=r"variables are .*, expected those that this optimizer has the state of"):
        model.train_on_batch(X, Y)
    for got, same in zip(model.get_weights(), before, strict=True):
        assert got.tobytes() == same.tobytes()
    assert model.predict(X).tobytes() == expected.tobytes()
    model.compile(optimizer, "mse")
    model.fit(X, Y, verbose=0)
    assert (model.get_weights()[2] != before[2]).any()


def test_a_change_by_a_callback_ends_the_fit() -> None:
    model = made()

    class Freeze(fastnn.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            model.get_layer("a").trainable = False

    with pytest.raises(ValueError, match="expected those that this optimizer has the state of"):
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[Freeze()])
    assert model.predict(X).shape == (50, 3)


def test_fine_tuning_as_keras_scripts_do_it() -> None:
    base = Sequential([Input((4,)), Dense(8, "relu"), Dense(6, "relu"), Dense(3)], seed=0)
    base.compile("adam", "mse")
    base.fit(X, Y, epochs=2, verbose=0)
    base.pop()
    for layer in base.layers:
        layer.trainable = False
    base.add(Dense(1, "sigmoid"))
    base.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    kept = base.layers[0].get_weights() + base.layers[1].get_weights()
    labels = (X[:, 0] > 0).astype(int)
    base.fit(X, labels, epochs=3, verbose=0)
    for got, expected in zip(base.get_weights()[:4], kept, strict=True):
        assert got.tobytes() == expected.tobytes()
    base.trainable = True
    base.compile(optimizers.Adam(1e-4), "binary_crossentropy")
    base.fit(X, labels, verbose=0)
    assert (base.get_weights()[0] != kept[0]).any()


def test_saved_and_loaded_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    model = made(("ln", "b"))
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m")
    again = fastnn.load_model(tmp_path / "m", custom_objects={"Scale": Scale})
    assert [layer.trainable for layer in again.layers] == [layer.trainable for layer in model.layers]
    for one in (model, again):
        one.fit(X, Y, epochs=2, verbose=0)
    assert again.parameters.tobytes() == model.parameters.tobytes()
    for got, expected in zip(again.get_weights(), model.get_weights(), strict=True):
        assert got.tobytes() == expected.tobytes()
    state = model.get_state()
    model.fit(X, Y, verbose=0)
    again.set_state(state)
    again.fit(X, Y, verbose=0)
    assert again.parameters.tobytes() == model.parameters.tobytes()


def test_a_model_that_is_not_trainable_is_saved_as_such(tmp_path: Path) -> None:
    model = made()
    model.trainable = False
    model.get_layer("b").trainable = True
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m")
    again = fastnn.load_model(tmp_path / "m", custom_objects={"Scale": Scale})
    assert not again.trainable
    assert again.get_layer("b").trainable
    assert again.parameters.size == 0


def test_penalties_of_frozen_layers_do_not_count() -> None:
    """As in Keras, whose losses are those of trainable weights."""

    def cost(trainable: bool) -> float:
        layer = Dense(3, kernel_regularizer="l2", bias_regularizer="l1", trainable=trainable)
        model = Sequential([Input((4,)), layer, Dense(3)], seed=0, dtype="float64")
        layer.bias[...] = 1
        model.compile("sgd", "mse")
        assert model.evaluate(X, Y) == pytest.approx(model.value_and_gradient(X, Y)[0], rel=1e-14)
        return model.evaluate(X, Y)

    plain = Sequential([Input((4,)), Dense(3), Dense(3)], seed=0, dtype="float64")
    plain.layers[0].bias[...] = 1
    plain.compile("sgd", "mse")
    assert cost(False) == plain.evaluate(X, Y)
    assert cost(True) > cost(False)


@pytest.mark.parametrize("make", [lambda: Dense(3), BatchNormalization, lambda: Scale(name="s")])
def test_a_layer_tells_its_flag(make: Callable[[], layers.Layer]) -> None:
    layer = make()
    assert layer.get_config()["trainable"]
    layer.trainable = False
    again = layers.deserialize(layers.serialize(layer), {"Scale": Scale})
    assert not again.trainable
    assert not again.get_config()["trainable"]
