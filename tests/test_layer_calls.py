"""Layers called on arrays: on their own, before and behind a model, and in one."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, activations, layers, optimizers, utils
from fastnn.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    Input,
    LayerNormalization,
    Normalization,
    Rescaling,
)

X = np.random.default_rng(0).standard_normal((30, 4))


class Power(layers.Layer):
    """x to the n, times trained factors; in training plus 1."""

    def build(self, n_in: int) -> int:
        self.add_weight("factor", (n_in,), "ones")
        return n_in

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        return x**2 * self.factor + training

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        return gradient


KINDS: dict[str, Callable[[], layers.Layer]] = {
    "dense": lambda: Dense(3, "tanh", kernel_initializer="ones"),
    "dense without bias": lambda: Dense(3, "gelu", use_bias=False),
    "one unit": lambda: Dense(1),
    "activation": lambda: Activation("gelu"),
    "softmax": layers.Softmax,
    "relu": lambda: layers.ReLU(1.5, 0.25, 0.5),
    "leaky": layers.LeakyReLU,
    "batch normalization": lambda: BatchNormalization(momentum=0.5),
    "bare batch normalization": lambda: BatchNormalization(center=False, scale=False),
    "layer normalization": LayerNormalization,
    "normalization": lambda: Normalization(mean=[1, 2, 3, 4], variance=2.0),
    "inverse normalization": lambda: Normalization(mean=1.0, variance=2.0, invert=True),
    "rescaling": lambda: Rescaling([1, 2, 3, 4], 0.5),
    "dropout": lambda: Dropout(0.5, seed=3),
    "flatten": Flatten,
    "own": Power,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_in_a_model_a_layer_gives_what_the_model_makes_of_it(kind: str, dtype: str) -> None:
    layer = KINDS[kind]()
    stack = [layer, Dense(2)] if kind == "flatten" else [Rescaling(1.0), layer, Dense(2)]
    model = Sequential([Input((4,)), *stack], seed=1, dtype=dtype)
    for w in layer.weights:
        w += np.random.default_rng(2).uniform(0.1, 1, w.shape)
    above = model.layers[-1]
    expected = model.predict(X)
    got = layer(X)
    assert (got.dtype, got.shape) == (np.dtype(dtype), (30, layer.n_out))
    assert above(got).tobytes() == expected.tobytes()
    before = [w.copy() for w in layer.non_trainable_weights]
    twin = Sequential([Input((4,)), KINDS[kind](), Dense(2)], seed=1, dtype=dtype)
    twin.set_weights(model.get_weights())
    twin.compile(optimizers.SGD(0.0), "mse")
    twin.forward(X)
    in_training = layer(X, training=True)
    if kind == "dropout":  # which draws by its place in the model
        assert set(np.unique(in_training / X.astype(dtype)).round(6)) == {0, 2}
        return
    if kind == "flatten":
        assert in_training.tobytes() == got.tobytes()
        return
    assert in_training.tobytes() == twin.layers[0].output.tobytes()
    twin.backward(np.zeros((30, 2)))  # which moves averages, if there are any
    for moved, expected_moved in zip(layer.non_trainable_weights, twin.layers[0].non_trainable_weights, strict=True):
        assert moved.tobytes() == expected_moved.tobytes()
    if kind.endswith("batch normalization"):
        assert all((w != b).all() for w, b in zip(layer.non_trainable_weights, before, strict=True))
    assert (in_training.tobytes() != got.tobytes()) == (
        kind in ("batch normalization", "bare batch normalization", "own")
    )


@pytest.mark.parametrize("kind", KINDS)
def test_on_its_own_and_then_in_a_model(kind: str) -> None:
    layer = KINDS[kind]()
    first = layer(X)
    assert first.dtype == np.float32
    assert layer(X).tobytes() == first.tobytes()
    assert layer.index is None
    weights = [w.copy() for w in layer.weights] if layer.n_in else []  # activations take any shape
    model = Sequential([Input((4,)), layer, Dense(2)], seed=5)
    assert model.layers[-1](first).tobytes() == model.predict(X).tobytes()
    assert layer(X).tobytes() == first.tobytes()
    for got, expected in zip(layer.get_weights(), weights, strict=False):  # of one without any it makes new ones
        assert got.tobytes() == expected.tobytes()
    for w in layer.weights:  # of the model now
        w += 1
    assert model.layers[-1](layer(X)).tobytes() == model.predict(X).tobytes()


def test_the_pattern_of_keras_tutorials() -> None:
    normalizer = Normalization(axis=-1)
    normalizer.adapt(X)
    np.testing.assert_allclose(normalizer(X[:1]), (X[:1] - X.mean(axis=0)) / X.std(axis=0), rtol=1e-4, atol=1e-6)
    model = Sequential([normalizer, Dense(1)])
    np.testing.assert_array_equal(model.layers[0](X), normalizer(X))
    assert model.predict(X).shape == (30, 1)
    one = Normalization(axis=None)
    one.adapt(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    for n in (3, 1, 4):  # any shape: there is one mean
        np.testing.assert_allclose(one(np.arange(n) + 1.0), (np.arange(n) - 2) / np.sqrt(2), rtol=1e-6)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 3)])
def test_activations_take_any_shape(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for layer, activation in (
        (Activation("tanh"), activations.tanh),
        (layers.ReLU(1.0), activations.relu.with_parameters(max_value=1.0)),
        (layers.LeakyReLU(), activations.leaky_relu.with_parameters(0.3)),
        (layers.ELU(), activations.elu),
    ):
        assert layer(x).tobytes() == activation(x).tobytes()
        assert layer(x, training=True).shape == shape
    if len(shape) == 3:
        for axis in (0, -1, [1, 2]):
            assert layers.Softmax(axis)(x).tobytes() == activations.softmax(x, axis=axis).tobytes()


def test_more_axes_are_rows_of_the_last() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    for make in (lambda: Dense(5), LayerNormalization, lambda: Rescaling([1, 2, 3, 4]), BatchNormalization):
        layer = make()
        for training in (False, True):
            expected = layer(x.reshape(6, 4), training=training)
            again = copy.deepcopy(layer)
            again(x)
            again.set_weights(layer.get_weights())
            assert layer(x, training=training).reshape(6, -1).shape == expected.shape
            if not training:
                assert layer(x).reshape(6, -1).tobytes() == expected.tobytes()
    assert Flatten()(x).shape == (2, 12)
    assert Flatten()(x[:, 0, 0]).shape == (2, 1)
    assert Dropout(0.5)(x[0, 0], training=True).shape == (4,)
    assert Rescaling(2.0)([1, 2, 3]).tolist() == [2, 4, 6]


def test_inputs_of_all_kinds() -> None:
    layer = Dense(2)
    expected = layer(X.astype(np.float32))
    for x in (X.tolist(), np.asfortranarray(X), X.astype(">f8"), np.repeat(X, 2, axis=0)[::2]):
        np.testing.assert_array_equal(layer(x), expected)
    assert layer(np.ones((3, 4), int)).shape == (3, 2)
    before = X.copy()
    for kind in KINDS.values():
        kind()(X)
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Dense(3)(X[0]), ValueError, r"x has shape \(4,\), expected \(samples, features\), none of them empty"),
        (lambda: Dense(3)(X[:0]), ValueError, r"x has shape \(0, 4\), expected \(samples, features\), none of them"),
        (lambda: Dense(3)(None), TypeError, "x is None, expected real numbers"),
        (lambda: Rescaling(2.0)(3.0), ValueError, r"x has shape \(\), expected one axis or more, none of them empty"),
        (lambda: Rescaling([1, 2])(X), ValueError, r"scale has shape \(2,\), expected a number or \(4,\)"),
        (lambda: Flatten()(3.0), ValueError, r"x has shape \(\), expected \(samples, …\), none of them empty"),
        (lambda: layers.Softmax(2)(X), ValueError, r"axis is 2, expected axes of x, which has shape \(30, 4\)"),
        (lambda: layers.Layer()(X), NotImplementedError, r"Layer has no forward\(x, training\)"),
    ],
)
def test_what_a_layer_is_not_called_on(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_layer_is_built_for_one_width() -> None:
    layer = Dense(3)
    layer(X)
    with pytest.raises(ValueError, match=r"x has 5 features, expected 4 as <Dense  4 → 3, linear>"):
        layer(np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"has weights for 4 inputs, expected the 5 that there are"):
        Sequential([Input((5,)), layer])
    # Without weights any is as good.
    rescaling = Rescaling(2.0)
    assert rescaling(X).shape == X.shape
    assert rescaling(X[:, :3]).shape == (30, 3)
    model = Sequential([rescaling, Flatten(), Dense(2)])
    assert model.predict(np.ones((5, 2, 3))).shape == (5, 2)
    with pytest.raises(ValueError, match="x has 4 features, expected 6 as <Rescaling rescaling 6 → 6>"):
        rescaling(X)


def test_softmax_along_samples_is_none_of_a_model() -> None:
    for make in (lambda: layers.Softmax(0), lambda: Dense(3, activations.softmax.with_parameters(axis=[0, 1]))):
        with pytest.raises(
            ValueError, match=r"activation is <.*axis=.*>, expected one along axis -1: samples are rows"
        ):
            Sequential([Input((3,)), make()])
    model = Sequential([Input((3,)), layers.Softmax(1)])
    model.compile("sgd", "categorical_crossentropy")  # from the logits, as with axis -1
    assert np.isfinite(model.evaluate([[1e4, 0, 0]], [[0, 1, 0]]))
    assert model.evaluate([[1e4, 0, 0]], [[0, 1, 0]]) == pytest.approx(1e4)


# ---- chance ----------------------------------------------------------------------------------------------------------


def test_dropout_draws_others_at_each_call() -> None:
    x = np.ones((50, 40))
    for layer in (Dropout(0.5), Dropout(0.5, seed=3)):
        found = [layer(x, training=True) for _ in range(3)]
        assert len({a.tobytes() for a in found}) == 3
        assert (layer(x) == 1).all()
        assert layer(x).tobytes() == layer(x, training=False).tobytes()
    first, second = (Dropout(0.5, seed=3)(x, training=True) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    utils.set_random_seed(1)
    one, kernel = Dropout(0.5)(x, training=True), Dense(3)
    kernel(x)
    utils.set_random_seed(1)
    assert Dropout(0.5)(x, training=True).tobytes() == one.tobytes()
    again = Dense(3)
    again(x)
    assert again.kernel.tobytes() == kernel.kernel.tobytes()


def test_a_model_in_training() -> None:
    model = Sequential([Input((4,)), Dense(5), BatchNormalization(), Dropout(0.5), Dense(2, "softmax")], seed=1)
    found = [model(X, training=True) for _ in range(2)]
    assert found[0].tobytes() != found[1].tobytes()
    assert model(X).tobytes() == model.predict(X).tobytes() == model(X, training=False).tobytes()
    assert (model.layers[1].moving_mean != 0).all()
    model.compile("sgd", "sparse_categorical_crossentropy")  # which takes the logits
    np.testing.assert_allclose(model(X, training=True).sum(axis=1), 1, rtol=1e-6)
    late = Sequential([Dense(3)])
    assert late(X, training=True).shape == (30, 3)


def test_no_number_of_threads_changes_a_bit() -> None:
    x = np.random.default_rng(0).standard_normal((3000, 70)).astype(np.float32)
    for make in (lambda: Dense(90, "tanh"), BatchNormalization, LayerNormalization, lambda: Dropout(0.5, seed=1)):
        layer = make()
        layer(x)
        layer.set_weights([np.random.default_rng(1).uniform(0.5, 1, w.shape) for w in layer.weights])
        found = set()
        for n in (1, 2, 3):
            fastnn.set_num_threads(n)
            same = make()
            same(x)
            same.set_weights(layer.get_weights())
            found.add((same(x).tobytes(), same(x, training=True).tobytes(), *(w.tobytes() for w in same.weights)))
        assert len(found) == 1


def test_threads_of_python_may_call_one_layer_at_once() -> None:
    layer = Dense(64, "gelu")
    x = np.random.default_rng(0).standard_normal((500, 64))
    expected, found = layer(x).tobytes(), []
    calls = [threading.Thread(target=lambda: found.extend(layer(x).tobytes() for _ in range(20))) for _ in range(4)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert found == [expected] * 80


# ---- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_of_a_called_layer_is_a_new_one() -> None:
    for way in (copy.deepcopy, copy.copy, lambda layer: pickle.loads(pickle.dumps(layer))):
        layer = Dense(3, trainable=False)
        layer(X)
        other = way(layer)
        assert (other.n_in, other.n_out, other.trainable) == (None, None, False)
        with pytest.raises(ValueError, match="is not built"):
            _ = other.weights
        assert (other(X) != layer(X)).any()


def test_what_a_layer_on_its_own_does_not_have() -> None:
    layer = Dense(3)
    layer(X)
    assert layer.count_params() == 15
    for use in (lambda: layer.output, lambda: layer.delta):
        with pytest.raises(ValueError, match="the model of <Dense  4 → 3, linear> is not built"):
            use()
