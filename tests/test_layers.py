"""Layers on their own: what makes them, what does not, and what they tell of themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, activations, initializers, layers, regularizers
from fastnn.layers import (
    Activation,
    BatchNormalization,
    Dense,
    Dropout,
    Flatten,
    Input,
    Layer,
    LayerNormalization,
    Normalization,
    Rescaling,
)


def test_what_a_dense_layer_is_made_of() -> None:
    layer = Dense(3)
    assert (layer.units, layer.activation, layer.use_bias, layer.name) == (3, activations.linear, True, None)
    assert isinstance(layer.kernel_initializer, initializers.GlorotUniform)
    assert isinstance(layer.bias_initializer, initializers.Zeros)
    assert Dense(3, "tanh").activation is activations.tanh
    assert Dense(3, activations.relu).activation is activations.relu
    assert Dense(np.int64(3)).units == 3
    assert type(Dense(np.int64(3)).units) is int


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ValueError, "units is 0, expected at least 1"),
        (lambda: Dense(-3), ValueError, "units is -3, expected at least 1"),
        (lambda: Dense(2.0), TypeError, r"units is 2\.0, expected an integer"),
        (lambda: Dense("3"), TypeError, "units is '3', expected an integer"),
        (lambda: Dense(True), TypeError, "units is True, expected an integer"),
        (lambda: Dense(None), TypeError, "units is None, expected an integer"),
        (
            lambda: Dense(3, "rely"),
            ValueError,
            "activation is 'rely', expected one of 'linear', 'relu', 'sigmoid', 'tanh', 'softmax', ",
        ),
        (
            lambda: Dense(3, np.tanh),
            TypeError,
            "activation is <ufunc 'tanh'>, expected a name or an object of Activation",
        ),
        (
            lambda: Dense(3, kernel_initializer="he"),
            ValueError,
            "initializer is 'he', expected one of 'constant', 'glorot_normal'",
        ),
        (
            lambda: Dense(3, bias_initializer=0),
            TypeError,
            "initializer is 0, expected a name or an object of Initializer",
        ),
        (lambda: Input((0,)), ValueError, r"shape\[0\] is 0, expected at least 1"),
        (lambda: Input((2.5,)), TypeError, r"shape\[0\] is 2\.5, expected an integer"),
        (lambda: Input((None,)), TypeError, r"shape\[0\] is None, expected an integer"),
        (lambda: Input(()), ValueError, r"shape is \(\), expected a tuple such as \(64,\)"),
        (lambda: Input((8, 0)), ValueError, r"shape\[1\] is 0, expected at least 1"),
        (lambda: Input(64), TypeError, r"shape is 64, expected a tuple such as \(64,\)"),
        (lambda: Input("64"), TypeError, r"shape is '64', expected a tuple such as \(64,\)"),
        (lambda: Input(None), TypeError, r"shape is None, expected a tuple such as \(64,\)"),
        (lambda: Dense(3, name=3), TypeError, "name is 3, expected a string"),
        (lambda: Activation("gelus"), ValueError, "activation is 'gelus', expected one of 'linear'"),
        (lambda: Activation(3), TypeError, "activation is 3, expected a name or an object of Activation"),
        (lambda: layers.LeakyReLU(-1), ValueError, "negative_slope is -1, expected a finite number >= 0"),
        (lambda: layers.ELU(None), TypeError, "alpha is None, expected a number"),
        (lambda: layers.Softmax("last"), TypeError, "axis is 'last', expected an integer"),
        (lambda: layers.Softmax([]), ValueError, r"axis is \[\], expected an integer or integers"),
        (lambda: layers.Softmax([1, [2]]), TypeError, r"axis\[1\] is \[2\], expected an integer"),
        (lambda: layers.ReLU(negative_slope=-1), ValueError, "negative_slope is -1, expected a finite number >= 0"),
        (lambda: layers.ReLU(-3), ValueError, "max_value is -3, expected a finite number >= 0"),
        (lambda: layers.ReLU(threshold=-1), ValueError, "threshold is -1, expected a finite number >= 0"),
        (lambda: Dropout(1.01), ValueError, r"rate is 1\.01, expected a finite number >= 0 and <= 1"),
        (lambda: Dropout(-0.1), ValueError, r"rate is -0\.1, expected a finite number >= 0 and <= 1"),
        (lambda: Dropout(np.nan), ValueError, "rate is nan, expected a finite number >= 0 and <= 1"),
        (lambda: Dropout(0.5, (None,)), ValueError, r"noise_shape is \(None,\), expected two numbers, of samples and"),
        (lambda: Dropout(0.5, "1x"), ValueError, "noise_shape is '1x', expected two numbers"),
        (lambda: Dropout(0.5, (None, 1, 1)), ValueError, r"noise_shape is \(None, 1, 1\), expected two numbers"),
        (lambda: Dropout(0.5, (0, None)), ValueError, r"noise_shape\[0\] is 0, expected at least 1"),
        (lambda: Dropout(0.5, (None, 1.5)), TypeError, r"noise_shape\[1\] is 1\.5, expected an integer"),
        (lambda: Dense(3, trainable=2), ValueError, "trainable is 2, expected one of True, False"),
        (lambda: Dense(3, units=2), TypeError, "units"),
        (lambda: Dropout("half"), TypeError, "rate is 'half', expected a number"),
        (lambda: Dropout(0.5, seed=-1), ValueError, f"seed is -1, expected 0 to {2**64 - 1}"),
        (lambda: Dropout(0.5, seed=2**64), ValueError, f"seed is {2**64}, expected 0 to {2**64 - 1}"),
        (lambda: Dropout(0.5, seed=0.5), TypeError, r"seed is 0\.5, expected an integer"),
        (lambda: Rescaling(None), TypeError, "scale is None, expected a number or a vector"),
        (lambda: Rescaling("2"), TypeError, "scale has dtype <U1, expected a number or a vector"),
        (lambda: Rescaling(np.inf), ValueError, "scale is inf, expected a finite number or a vector of them"),
        (lambda: Rescaling(1, [[1, 2]]), ValueError, r"offset is \[\[1, 2\]\], expected a finite number or a vector"),
        (lambda: Normalization(axis=0), ValueError, "axis is 0, expected -1: samples are rows"),
        (lambda: Normalization(axis=True), ValueError, "axis is True, expected -1: samples are rows"),
        (lambda: Normalization(mean=1), ValueError, "mean is 1 and variance is None, expected both or neither"),
        (lambda: Normalization(variance=1), ValueError, "mean is None and variance is 1, expected both or neither"),
        (
            lambda: Normalization(mean=0, variance=-1),
            ValueError,
            "variance is -1, expected a finite number or a vector of them, at least 0",
        ),
        (lambda: Normalization(mean=np.nan, variance=1), ValueError, "mean is nan, expected a finite number"),
        (lambda: Normalization(mean=[[1]], variance=1), ValueError, r"mean is \[\[1\]\], expected a finite number"),
        (lambda: BatchNormalization(axis=2), ValueError, "axis is 2, expected -1: samples are rows"),
        (
            lambda: BatchNormalization(momentum=1.5),
            ValueError,
            r"momentum is 1\.5, expected a finite number >= 0 and <= 1",
        ),
        (lambda: BatchNormalization(momentum=-0.1), ValueError, r"momentum is -0\.1, expected a finite number >= 0"),
        (lambda: BatchNormalization(epsilon=0), ValueError, "epsilon is 0, expected a finite number > 0"),
        (
            lambda: BatchNormalization(moving_mean_initializer="one"),
            ValueError,
            "initializer is 'one', expected one of",
        ),
        (lambda: LayerNormalization(axis=0), ValueError, "axis is 0, expected -1: samples are rows"),
        (lambda: LayerNormalization(epsilon=-1), ValueError, "epsilon is -1, expected a finite number > 0"),
        (lambda: LayerNormalization(gamma_regularizer="l3"), ValueError, "regularizer is 'l3', expected one of"),
        (lambda: LayerNormalization(beta_initializer=0), TypeError, "initializer is 0, expected a name or an object"),
    ],
)
def test_what_makes_no_layer(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_an_input_takes_a_list_as_well() -> None:
    assert Input([64]).shape == Input((np.int32(64),)).shape == (64,)


def test_before_and_after_building() -> None:
    layer = Dense(3, "tanh")
    assert repr(layer) == "<Dense  ? → 3, tanh>"
    assert layer.n_in is None
    for use in (layer.count_params, lambda: layer.output, lambda: layer.delta):
        with pytest.raises(ValueError, match=r"the model of <Dense .*> is not built: give it a layers\.Input first"):
            use()
    model = Sequential([Input((4,)), layer])
    assert repr(layer) == "<Dense dense 4 → 3, tanh>"
    assert layer.count_params() == model.count_params() == 15
    for use in (lambda: layer.output, lambda: layer.delta):
        with pytest.raises(ValueError, match=r"the buffers hold no forward pass: call forward\(\) first"):
            use()


def test_a_layer_without_bias() -> None:
    layer = Dense(3, use_bias=False)
    Sequential([Input((4,)), layer])
    assert layer.count_params() == 12
    assert layer.bias is layer.bias_gradient is None


# ---- what a model makes of them --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stack", "error", "message"),
    [
        (
            [Input((8, 8)), Dense(3)],
            ValueError,
            r"the Input has the shape \(8, 8\), expected \(features,\), or a layers.Flatten",
        ),
        ([Input((8, 8)), Rescaling(2)], ValueError, r"the Input has the shape \(8, 8\), expected \(features,\)"),
        ([Dense(3), Flatten()], ValueError, "layer is a Flatten, expected at the first place, or behind a Rescaling"),
        ([Dense(3), Input((3,))], ValueError, "layer is an Input, expected at the first place only"),
        ([Input((3,)), Input((3,))], ValueError, "layer is an Input, expected at the first place only"),
        (
            [Input((3,)), Flatten()],
            ValueError,
            r"the model has nothing to compute, expected a layer such as layers.Dense\(10\)",
        ),
        ([Input((3,)), Rescaling([1, 2])], ValueError, r"scale has shape \(2,\), expected a number or \(3,\)"),
        ([Input((3,)), Rescaling(1, [1, 2])], ValueError, r"offset has shape \(2,\), expected a number or \(3,\)"),
        (
            [Input((3,)), Normalization(mean=[1, 2], variance=[1, 2])],
            ValueError,
            r"mean has shape \(2,\), expected a number or \(3,\)",
        ),
        ([Dense(3, name="a"), Dropout(0.5, name="a")], ValueError, "layer has the name 'a' of another layer"),
    ],
)
def test_what_makes_no_model(stack: list[Layer], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Sequential(stack)


def test_a_first_layer_may_tell_the_shape_of_a_sample() -> None:
    model = Sequential([Normalization(axis=None, input_shape=[4]), Dense(3, input_shape=(7,))])
    assert model.input_shape == (None, 4)
    assert Sequential([Flatten(input_shape=(2, 3)), Dense(1)]).layers[1].n_in == 6
    assert Sequential([Input((5,)), Dense(3, input_shape=(7,))]).input_shape == (None, 5)
    again = Sequential.from_config(model.get_config())
    assert (again.input_shape, again.get_config()) == (model.input_shape, model.get_config())
    for bad, error, message in (
        (4, TypeError, r"input_shape is 4, expected a tuple such as \(64,\)"),
        ((0,), ValueError, r"input_shape\[0\] is 0, expected at least 1"),
    ):
        with pytest.raises(error, match=message):
            Dense(3, input_shape=bad)


def test_names_are_numbered_by_class() -> None:
    model = Sequential([BatchNormalization(), Dense(3, name="dense_2"), BatchNormalization(), Dense(1), Dense(1)])
    expected = ["batch_normalization", "dense_2", "batch_normalization_1", "dense", "dense_1"]
    assert [layer.name for layer in model.layers] == expected


def test_weights_by_name() -> None:
    layer = BatchNormalization(moving_mean_initializer="ones", gamma_initializer=initializers.Constant(3))
    model = Sequential([Input((4,)), layer, Dense(2)], dtype="float64")
    assert layer.weight_names == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.tolist() for w in layer.weights] == [[3] * 4, [0] * 4, [1] * 4, [1] * 4]
    assert [id(w) for w in layer.trainable_weights] == [id(layer.gamma), id(layer.beta)]
    assert [id(w) for w in layer.non_trainable_weights] == [id(layer.moving_mean), id(layer.moving_variance)]
    assert {w.dtype for w in layer.weights} == {np.dtype("float64")}
    assert layer.count_params() == 16
    assert model.count_params() == 26
    assert model.parameters.size == model.gradients.size == 18
    assert np.shares_memory(layer.gamma, model.parameters)
    assert layer.beta_gradient.base is not None
    bare = LayerNormalization(center=False, scale=False)
    Sequential([Input((4,)), bare])
    assert bare.gamma is bare.beta is None
    assert bare.weights == []


def test_weights_are_read_back() -> None:
    stacks = [[Input((4,)), Normalization(), Dense(3), BatchNormalization(), LayerNormalization()] for _ in range(2)]
    first, second = (Sequential(stack, seed=seed) for seed, stack in enumerate(stacks))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 4)), rng.standard_normal((50, 3))
    first.layers[0].adapt(x + 1)
    first.compile("sgd", "mse")
    first.fit(x, y, epochs=2, verbose=0)
    second.set_weights(first.get_weights())
    # Before any other call: what is computed from the weights is up to date as well.
    assert second.predictor(50)(x).tobytes() == first.predict(x).tobytes()
    assert second.predict(x).tobytes() == first.predict(x).tobytes()


@pytest.mark.parametrize("rows", [1, 7, 40])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_predictor_predicts_the_same(dtype: str, rows: int) -> None:
    stack = [
        Input((4,)), Rescaling(0.5, 1.0), Normalization(mean=[1, 2, 3, 4], variance=2), Dropout(0.3), Dense(17, "tanh"),
        BatchNormalization(center=False), Activation("softmax"), Dense(1), LayerNormalization(), Activation("tanh"),
        Dense(3), Activation("relu"), BatchNormalization(), Dropout(0.5),
        Normalization(mean=1, variance=4, invert=True),
    ]  # fmt: skip
    model = Sequential(stack, seed=1, dtype=dtype)
    x = np.random.default_rng(0).standard_normal((rows, 4)).astype(dtype)
    call = model.predictor(rows)
    before = call(x).reshape(rows, 3).copy()  # of a model that has computed nothing yet
    assert model.predict(x).tobytes() == before.tobytes()
    model.compile("sgd", "mse")
    model.fit(x, x[:, :3], epochs=3, verbose=0)
    after = model.predict(x)
    assert after.tobytes() != before.tobytes()
    assert call(x).tobytes() == after.tobytes()


def test_what_only_looks_moves_no_average() -> None:
    layer = BatchNormalization()
    model = Sequential([Input((3,)), layer, Dense(1)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).standard_normal((20, 3))
    before = [a.copy() for a in layer.non_trainable_weights]
    model.value_and_gradient(x, np.zeros(20))
    model.evaluate(x, np.zeros(20))
    model.predict(x)
    model.forward(x)
    np.testing.assert_array_equal(layer.non_trainable_weights, before)
    model.backward(np.zeros(20))
    moved = [a.copy() for a in layer.non_trainable_weights]
    assert (moved[0] != before[0]).all()
    model.backward(np.zeros(20))  # of the same forward pass
    np.testing.assert_array_equal(layer.non_trainable_weights, moved)


def test_outputs_and_deltas_of_layers_below_the_first_that_is_trained() -> None:
    model = Sequential(
        [Input((2, 2)), Flatten(), Dropout(0.5), Rescaling(2.0), Dense(3), BatchNormalization(), Dense(1)]
    )
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).standard_normal((5, 2, 2)).astype(np.float32)
    model.forward(x)
    np.testing.assert_array_equal(model.layers[0].output, x.reshape(5, 4))
    np.testing.assert_array_equal(model.layers[2].output, 2 * model.layers[1].output)
    model.backward(np.zeros(5))
    for layer in model.layers[:3]:
        with pytest.raises(
            ValueError, match="the layer has no delta: no gradient goes below the first layer that is trained"
        ):
            _ = layer.delta
    assert [layer.delta.shape for layer in model.layers[3:]] == [(5, 3), (5, 3), (5, 1)]


def test_a_stack_without_parameters_is_evaluated_and_fitted() -> None:
    model = Sequential([Input((3,)), Rescaling(2.0), Dropout(0.5), Activation("tanh")], dtype="float64")
    x = np.random.default_rng(0).standard_normal((700, 3))
    model.compile("adam", "mse")
    assert model.evaluate(x, np.tanh(2 * x)) < 1e-30
    model.fit(x, x, verbose=0)
    assert model.forward(x).shape == (700, 3)
    model.backward(x)
    assert model.layers[-1].delta.shape == (700, 3)
    assert model.value_and_gradient(x, x)[1].shape == (0,)


# ---- normalization of data -------------------------------------------------------------------------------------------


def normalized(layer: Normalization, x: Any, dtype: str = "float64") -> np.ndarray:
    return Sequential([Input((np.shape(x)[1],)), layer], dtype=dtype).predict(x)


def test_adapt_before_and_after_building() -> None:
    rng = np.random.default_rng(1)
    data, x = rng.standard_normal((50, 3)) * [1, 10, 100] + [5, 6, 7], rng.standard_normal((4, 3))
    expected = (x - data.mean(axis=0)) / data.std(axis=0)
    early, late = Normalization(), Normalization()
    early.adapt(data)
    np.testing.assert_allclose(normalized(early, x), expected, rtol=1e-12)
    np.testing.assert_array_equal(normalized(late, x), x)
    call = Sequential([Input((3,)), again := Normalization()], dtype="float64").predictor(4)
    for layer in (late, again):
        layer.adapt(data)
        np.testing.assert_allclose(layer.mean, data.mean(axis=0), rtol=1e-14)
        np.testing.assert_allclose(layer.variance, data.var(axis=0), rtol=1e-14)
    np.testing.assert_allclose(call(x), expected, rtol=1e-12)
    inverse = Normalization(invert=True)
    inverse.adapt(data)
    np.testing.assert_allclose(normalized(inverse, expected), x, rtol=1e-9, atol=1e-12)
    together = Normalization(axis=None)
    together.adapt(data)
    np.testing.assert_allclose(normalized(together, x), (x - data.mean()) / data.std(), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_input_is_0(dtype: str) -> None:
    layer = Normalization()
    layer.adapt(np.full((5, 2), 3.0))
    assert normalized(layer, [[3.0, 3.0]], dtype).tolist() == [[0, 0]]
    np.testing.assert_allclose(
        normalized(Normalization(mean=3, variance=0), [[3.5, 3.0]], dtype), [[5e6, 0]], rtol=1e-6
    )


@pytest.mark.parametrize("kind", ["int8", "uint16", "float32", "bool"])
def test_adapt_computes_in_float64(kind: str) -> None:
    data = np.array([[100, 0], [120, 1], [127, 1], [90, 0]]).astype(kind)
    layer = Normalization()
    layer.adapt(data)
    wide = data.astype(np.float64)
    Sequential([Input((2,)), layer], dtype="float64")
    np.testing.assert_array_equal(layer.mean, wide.mean(axis=0))
    np.testing.assert_allclose(layer.variance, wide.var(axis=0), rtol=1e-15)


def test_adapt_of_more_axes_and_of_a_column() -> None:
    data = np.random.default_rng(1).standard_normal((20, 2, 3))
    one, other, column = Normalization(), Normalization(), Normalization()
    one.adapt(data)
    other.adapt(data.reshape(20, 6))
    column.adapt([1, 2, 3])
    for layer, n in ((one, 6), (other, 6), (column, 1)):
        Sequential([Input((n,)), layer])
    assert one.mean.tobytes() == other.mean.tobytes()
    assert (column.mean.tolist(), column.variance.tolist()) == ([2], pytest.approx([2 / 3]))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (None, TypeError, r"data is None, expected an array \(N, in\)"),
        (3.0, ValueError, r"data has shape \(\), expected at least one sample and one column"),
        (np.zeros((0, 3)), ValueError, r"data has shape \(0, 3\), expected at least one sample and one column"),
        (np.zeros((3, 0)), ValueError, r"data has shape \(3, 0\), expected at least one sample and one column"),
        (np.zeros((5, 2)), ValueError, "data has 2 columns, expected 3 as the layer"),
        (
            [[1, 2, np.nan]],
            ValueError,
            "data has elements that are not finite, or too large to square, expected numbers",
        ),
        ([[1, 2, np.inf]], ValueError, "data has elements that are not finite"),
        ([[1, 2, 3e200], [1, 2, -3e200]], ValueError, "data has elements that are not finite, or too large to square"),
        ([["a", "b", "c"]], TypeError, r"data has dtype <U1, expected an array \(N, in\)"),
        ([[1, 2], [3]], ValueError, r"data is no rectangular array, expected an array \(N, in\)"),
    ],
)
def test_adapt_to_what_it_cannot(data: Any, error: type[Exception], message: str) -> None:
    layer = Normalization()
    model = Sequential([Input((3,)), layer])
    layer.adapt([[1, 2, 3], [4, 6, 8]])
    before = model.predict([[1, 2, 3]]).tolist()
    with pytest.raises(error, match=message):
        layer.adapt(data)
    assert model.predict([[1, 2, 3]]).tolist() == before


def test_adapted_to_another_width_than_the_model() -> None:
    layer = Normalization()
    layer.adapt(np.ones((4, 2)))
    with pytest.raises(ValueError, match=r"mean has shape \(2,\), expected a number or \(3,\)"):
        Sequential([Input((3,)), layer])


# ---- NaN and infinity ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_sample_that_is_not_finite_spoils_its_batch_alone_in_layer_normalization(bad: float, threads: int) -> None:
    fastnn.set_num_threads(threads)
    x = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
    spoilt = x.copy()
    spoilt[3, 1] = bad
    model = Sequential([Input((4,)), Dense(5), LayerNormalization(), Dropout(0.2), Dense(2)], seed=1)
    good, got = model.predict(x), model.predict(spoilt)
    assert np.isnan(got[3]).all()
    assert np.delete(got, 3, axis=0).tobytes() == np.delete(good, 3, axis=0).tobytes()


def test_a_loss_that_is_nan_warns_with_batch_normalization() -> None:
    x = np.zeros((20, 4))
    x[3, 1] = np.nan
    model = Sequential([Input((4,)), BatchNormalization(), Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(RuntimeWarning, match="the loss turned nan in epoch 1, step 1"):
        model.fit(x, np.zeros(20), batch_size=20, verbose=0)


# ---- configurations and summary --------------------------------------------------------------------------------------

ALL = [
    lambda: Input((8, 8), name="in"),
    lambda: Dense(3, "tanh", use_bias=False, kernel_regularizer=regularizers.L1(0.5), name="a"),
    lambda: Activation("softmax"),
    lambda: Activation(activations.leaky_relu.with_parameters(negative_slope=0.125)),
    lambda: layers.Identity(name="same"),
    lambda: layers.ReLU(),
    lambda: layers.ReLU(6.0, name="six"),
    lambda: layers.ReLU(negative_slope=0.25),
    lambda: layers.ReLU(3.0, 0.25, 0.5, trainable=False),
    lambda: layers.LeakyReLU(),
    lambda: layers.LeakyReLU(0.25),
    lambda: layers.ELU(0.5),
    lambda: layers.Softmax(),
    lambda: layers.Softmax([0, 1]),
    lambda: Dropout(0.25, seed=2**60),
    lambda: Dropout(1, (None, 1), trainable=False),
    lambda: Flatten(name="flat"),
    lambda: Rescaling([1.0, 2.0], offset=-1),
    lambda: Rescaling(1 / 255),
    lambda: Normalization(axis=None, invert=True, trainable=False),
    lambda: Normalization(mean=[1, 2], variance=[3, 4], name="n"),
    lambda: BatchNormalization(
        momentum=0.5, epsilon=0.25, center=False, gamma_initializer=initializers.Constant(2),
        moving_mean_initializer="ones", gamma_regularizer="l2", name="b",
    ),
    lambda: LayerNormalization(epsilon=0.5, scale=False, beta_regularizer=regularizers.L2(0.125)),
]  # fmt: skip


@pytest.mark.parametrize("make", ALL)
def test_a_layer_from_its_configuration(make: Callable[[], Layer]) -> None:
    layer = make()
    described = json.loads(json.dumps(layers.serialize(layer)))
    assert described["class_name"] == type(layer).__name__
    other = layers.deserialize(described)
    assert type(other) is type(layer)
    assert other.get_config() == layer.get_config()
    assert type(layer)(**layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("layer", "activation"),
    [
        (layers.ReLU(), activations.relu),
        (layers.ReLU(6), activations.relu.with_parameters(max_value=6)),
        (layers.ReLU(negative_slope=0.25), activations.relu.with_parameters(negative_slope=0.25)),
        (layers.ReLU(3, 0.25, 0.5), activations.relu.with_parameters(0.25, 3, 0.5)),
        (layers.LeakyReLU(), activations.leaky_relu.with_parameters(negative_slope=0.3)),
        (layers.ELU(0.5), activations.elu.with_parameters(alpha=0.5)),
        (layers.Softmax(), activations.softmax),
    ],
)
def test_layers_that_are_activations(layer: Activation, activation: activations.Activation) -> None:
    assert layer.activation == activation
    x = np.random.default_rng(0).standard_normal((20, 5)) * 4
    model = Sequential([Input((5,)), layer], dtype="float64")
    assert model.predict(x).tobytes() == activation(x).tobytes()


def test_every_layer_is_in_the_list() -> None:
    made = {type(make()).__name__ for make in ALL}
    public = {name for name in layers.__all__ if isinstance(vars(layers)[name], type)} - {"Layer", "InputLayer"}
    assert public == made


def test_a_layer_of_ones_own_from_its_configuration() -> None:
    class Mine(Layer):
        def __init__(self, power: int, **options: Any) -> None:
            super().__init__(**options)
            self.power = power

        def get_config(self) -> dict[str, Any]:
            return {"power": self.power, **super().get_config()}

    described = layers.serialize(Mine(3, name="cube"))
    other = layers.deserialize(described, custom_objects={"Mine": Mine})
    assert isinstance(other, Mine)
    assert (other.power, other.name) == (3, "cube")
    with pytest.raises(ValueError, match=r"layer's class_name is 'Mine', expected one of 'ELU', .*custom_objects"):
        layers.deserialize(described)


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    class Mine(Layer):
        pass

    stack = [Flatten(), Rescaling(2), Dense(3, "relu"), BatchNormalization(), Activation("tanh"), Dropout(0.5)]
    model = Sequential([Input((2, 2)), *stack, Mine(name="own"), LayerNormalization(), Dense(2)])
    model.summary()
    assert capsys.readouterr().out.splitlines() == SUMMARY
    Sequential([Mine(), BatchNormalization()]).summary()
    out = capsys.readouterr().out
    assert "mine (Mine)" in out
    assert out.count("(None, ?)") == out.count("not built") == 2


SUMMARY = """
Model "sequential", float32
──────────────────────────────────────────────────────────────────────────────
Layer                                     Activation  Output shape  Parameters
──────────────────────────────────────────────────────────────────────────────
flatten (Flatten)                                     (None, 4)              0
rescaling (Rescaling)                                 (None, 4)              0
dense (Dense)                             relu        (None, 3)             15
batch_normalization (BatchNormalization)              (None, 3)             12
activation (Activation)                   tanh        (None, 3)              0
dropout (Dropout)                                     (None, 3)              0
own (Mine)                                            (None, 3)              0
layer_normalization (LayerNormalization)              (None, 3)              6
dense_1 (Dense)                           linear      (None, 2)              8
──────────────────────────────────────────────────────────────────────────────
Total params: 41 (0.16 KiB)
Trainable params: 35 (0.14 KiB)
Non-trainable params: 6 (0.02 KiB)
""".strip().splitlines()
