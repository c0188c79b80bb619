"""Models of models, and layers in several: each of them trains and uses the same weights."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, layers
from fastnn.layers import BatchNormalization, Dense, Dropout, Flatten, Input, Normalization, Rescaling, Softmax

RNG = np.random.default_rng(8)
X, Y = RNG.standard_normal((40, 4)), RNG.standard_normal((40, 4))


def base() -> Sequential:
    stack = [Input((4,)), Dense(6, "tanh"), BatchNormalization(), Dense(3)]
    model = Sequential(stack, seed=1)
    model.compile("adam", "mse")
    return model


def test_a_model_with_a_layer_behind() -> None:
    model = base()
    model.fit(X, Y[:, :3], epochs=2, verbose=0)
    logits = model.predict(X)
    wrapped = Sequential([model, Softmax()])
    for _ in range(2):
        p = wrapped.predict(X)
        np.testing.assert_allclose(p, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5)
        assert wrapped(X).tobytes() == p.tobytes()
        assert model.predict(X).tobytes() == logits.tobytes()
    assert wrapped.input_shape == (None, 4)
    assert [layer.name for layer in wrapped.layers] == ["dense", "batch_normalization", "dense_1", "softmax"]
    model.fit(X, Y[:, :3], verbose=0)  # which is compiled still
    assert (wrapped.predict(X) != p).any()
    assert wrapped.get_weights()[0].tobytes() == model.get_weights()[0].tobytes()


def test_training_one_of_them_is_training_both_to_the_bit() -> None:
    model, plain = base(), base()
    wrapped = Sequential([model, Dense(2, name="head")], seed=3)
    wrapped.compile("sgd", "mse")
    for own in (model, plain):
        own.fit(X, Y[:, :3], epochs=2, verbose=0)
    assert [w.tobytes() for w in model.weights] == [w.tobytes() for w in plain.weights]
    # A model of the same weights and seed, of which nothing is shared, makes the same of them.
    alone = copy.deepcopy(wrapped)
    for outer in (wrapped, alone):
        outer.fit(X, Y[:, :2], epochs=2, verbose=0)
    assert [w.tobytes() for w in wrapped.weights] == [w.tobytes() for w in alone.weights]
    assert [w.tobytes() for w in model.weights] == [w.tobytes() for w in alone.weights[:-2]]
    assert (model.weights[0] != plain.weights[0]).any()
    # Each goes on with its own optimizer's state.
    model.set_weights(plain.get_weights())
    for own in (model, plain):
        own.fit(X, Y[:, :3], verbose=0)
    assert [w.tobytes() for w in model.weights] == [w.tobytes() for w in plain.weights]


@pytest.mark.parametrize("known", [True, False], ids=["Input", "no Input"])
def test_encoder_and_decoder(known: bool, tmp_path: Path) -> None:
    encoder = Sequential([*([Input((4,))] if known else []), Dense(5, "relu"), Dense(2)], name="encoder")
    decoder = Sequential([*([Input((2,))] if known else []), Dense(5, "relu"), Dense(4)], name="decoder")
    both = Sequential([encoder, decoder])
    assert [layer.name for layer in both.layers] == ["dense", "dense_1", "dense_2", "dense_3"]
    both.compile("adam", "mse")

    class Watch(fastnn.callbacks.Callback):
        """Uses the other model between epochs."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            codes.append(encoder.predict(X))

    codes: list[np.ndarray] = []
    history = both.fit(X, X, epochs=30, verbose=0, callbacks=[Watch()])
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert (codes[0] != codes[-1]).any()
    assert decoder.predict(encoder.predict(X)).tobytes() == both.predict(X).tobytes()
    both.save(tmp_path / "both")
    assert fastnn.load_model(tmp_path / "both").predict(X).tobytes() == both.predict(X).tobytes()
    encoder.save(tmp_path / "encoder")
    assert fastnn.load_model(tmp_path / "encoder").predict(X).tobytes() == codes[-1].tobytes()


def test_averages_are_taken_over_at_the_end_whoever_had_the_weights() -> None:
    results = []
    for use in (False, True):
        model = base()
        other = Sequential([model, Softmax()])
        model.compile(fastnn.optimizers.Adam(use_ema=True, ema_overwrite_frequency=None), "mse")
        watch = fastnn.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs, other=other: other.predict(X))
        model.fit(X, Y[:, :3], epochs=2, verbose=0, callbacks=[watch] if use else [])
        results.append(model.parameters.tobytes())
    assert results[0] == results[1]


def test_layers_of_a_model_with_a_new_head() -> None:
    model = base()
    model.fit(X, Y[:, :3], verbose=0)
    body, before = model.layers[:-1], model.get_weights()
    for layer in body:
        layer.trainable = False
    tuned = Sequential([Input((4,)), *body, Dense(2, "softmax")])
    tuned.compile("adam", "sparse_categorical_crossentropy")
    tuned.fit(X, Y[:, 0] > 0, epochs=3, verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in before]
    body[0].trainable = True  # of whichever model
    tuned.compile("adam", "sparse_categorical_crossentropy")
    tuned.fit(X, Y[:, 0] > 0, verbose=0)
    assert (model.get_weights()[0] != before[0]).any()
    assert [w.tobytes() for w in model.get_weights()[-2:]] == [w.tobytes() for w in before[-2:]]


def test_two_models_train_in_turns_on_batches() -> None:
    generator = Sequential([Input((3,)), Dense(6, "tanh"), Dense(4)])
    critic = Sequential([Input((4,)), Dense(6, "tanh"), Dropout(0.1), Dense(1, "sigmoid")])
    critic.compile("adam", "binary_crossentropy", metrics=["accuracy", "mae"])
    both = Sequential([generator, critic])
    both.compile("adam", "binary_crossentropy")
    ones, losses = np.ones(40), []
    for _ in range(3):
        fakes = generator.predict(X[:, :3])
        losses.append(critic.train_on_batch(fakes, ones * 0)[0])
        both.train_on_batch(X[:, :3], ones)
    # Means of all samples since the metrics were reset, in spite of the other model's turns.
    assert critic.get_metrics_result()["loss"] == losses[-1]
    assert critic._measures._counted == 120
    assert critic.metrics[1].count == 120


def test_rescaling_and_normalization_come_along() -> None:
    scaler = Normalization()
    model = Sequential([Input((2, 2)), Rescaling(2.0), Flatten(), scaler, Dense(2)])
    outer = Sequential([model, Softmax()])
    assert outer.input_shape == (None, 2, 2)
    scaler.adapt(X)
    x = X.reshape(-1, 2, 2)
    np.testing.assert_allclose(outer.predict(x), Softmax()(model.predict(x)), rtol=1e-6)


def test_a_frozen_model_is_not_trained_in_another() -> None:
    model = base()
    model.trainable = False
    outer = Sequential([model, Dense(2)])
    outer.compile("sgd", "mse")
    before = model.get_weights()
    outer.fit(X, Y[:, :2], verbose=0)
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in before]
    assert outer.parameters.size == 8
    assert Sequential([Sequential([Input((4,)), Dense(2)], trainable=False), Dense(1)]).parameters.size == 3


def test_what_is_taken_off_stays_in_the_other_model() -> None:
    model = base()
    expected = model.predict(X)
    outer = Sequential([model])
    layer = outer.pop()
    assert layer is model.layers[-1]
    assert layer.name == "dense_1"
    assert model.predict(X).tobytes() == expected.tobytes()
    assert model.pop().name is None
    assert (layer.index, list(layer.models)) == (None, [])


def test_a_predictor_ends_when_the_weights_move() -> None:
    model = base()
    outer = Sequential([model, Softmax()])
    call = model.predictor()
    call(X[0].astype(np.float32))
    outer.predict(X)
    with pytest.raises(ValueError, match="the model's weights are elsewhere now"):
        call(X[0].astype(np.float32))


def test_what_cannot_be_shared_changes_nothing() -> None:
    model = base()
    expected = model.predict(X)
    with pytest.raises(ValueError, match=r"'dense' is part of a model of dtype float32, expected float64 as this mod"):
        Sequential([model], dtype="float64")
    with pytest.raises(ValueError, match="layer 'dense' is part of this model already, expected another"):
        model.add(model.layers[0])
    outer = Sequential([Dense(2, name="a")])
    with pytest.raises(ValueError, match="layer has the name 'a' of another layer, expected one of its own"):
        outer.add(Sequential([Dense(3), Dense(2, name="a")]))
    assert [layer.name for layer in outer.layers] == ["a"]
    with pytest.raises(ValueError, match="has weights for 4 inputs, expected the 3 that there are"):
        Sequential([Input((3,)), model])
    assert model.predict(X).tobytes() == expected.tobytes()


def test_no_model_takes_weights_from_one_at_work() -> None:
    model = Sequential([Input((4,)), Dense(300), Dense(300), Dense(3)])
    model.compile("sgd", "mse")
    outer = Sequential([model, Softmax()])

    class Use(fastnn.callbacks.Callback):
        def on_progress(self, step: int) -> None:
            outer.predict(X)

    x = np.random.default_rng(0).standard_normal((20000, 4))
    with pytest.raises(RuntimeError, match="the model is at work"):
        model.fit(x, x[:, :3], batch_size=8, epochs=20, verbose=0, callbacks=[Use()])
    assert outer.predict(X).shape == (40, 3)


def test_own_layers_are_shared() -> None:
    class Scale(layers.Layer):
        def build(self, n_in: int) -> int:
            self.add_weight("factor", (n_in,), "ones")
            return n_in

        def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
            self.x = x
            return x * self.factor

        def backward(self, gradient: np.ndarray) -> np.ndarray:
            self.factor_gradient[...] = (gradient * self.x).sum(axis=0)
            return gradient * self.factor

    model = Sequential([Input((4,)), Scale(), Dense(4)])
    outer = Sequential([model, Dense(4)])
    for own in (model, outer):
        own.compile("sgd", "mse")
        own.fit(X, Y, verbose=0)
    assert (model.weights[0] != 1).all()
    assert model.weights[0].tobytes() == outer.weights[0].tobytes()
