"""`Sequential` as an object: building, compiling, parameters as live views, the summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, losses, optimizers
from fastnn.layers import Dense, Input

DTYPES = ["float32", "float64"]
RNG = np.random.default_rng(0)
X, LABELS = RNG.standard_normal((30, 4)), RNG.integers(0, 3, 30)


def classifier(dtype: str = "float64", seed: int = 1, **compiled: Any) -> Sequential:
    model = Sequential([Input((4,)), Dense(5, "tanh"), Dense(3, "softmax")], seed=seed, dtype=dtype)
    model.compile(**{"loss": "sparse_categorical_crossentropy", **compiled})
    return model


# ---- building --------------------------------------------------------------------------------------------------------


def test_an_input_builds_at_once() -> None:
    model = Sequential([Input((4,)), Dense(5), Dense(3)])
    assert model.count_params() == 4 * 5 + 5 + 5 * 3 + 3
    assert [layer.n_in for layer in model.layers] == [4, 5]
    assert [layer.units for layer in model.layers] == [5, 3]


@pytest.mark.parametrize(
    "use",
    [
        lambda model: model.fit(X, LABELS, verbose=0, epochs=0),
        lambda model: model.evaluate(X, LABELS),
        lambda model: model.predict(X),
        lambda model: model(X),
        lambda model: model.forward(X),
        lambda model: model.value_and_gradient(X, LABELS),
        lambda model: model.build(4),
    ],
    ids=["fit", "evaluate", "predict", "call", "forward", "value_and_gradient", "build"],
)
def test_without_an_input_the_first_data_build(use: Callable[[Sequential], Any]) -> None:
    model = Sequential([Dense(5, "tanh"), Dense(3, "softmax")], seed=1, dtype="float64")
    model.compile(loss="sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"the model is not built: give it a layers\.Input first, or data"):
        _ = model.parameters
    use(model)
    np.testing.assert_array_equal(model.parameters, classifier().parameters)


def test_train_on_batch_builds_too() -> None:
    model = Sequential([Dense(5, "tanh"), Dense(3, "softmax")], seed=1, dtype="float64")
    model.compile(loss="sparse_categorical_crossentropy")
    twin = classifier()
    assert model.train_on_batch(X, LABELS) == twin.train_on_batch(X, LABELS)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


@pytest.mark.parametrize("first", ["count_params", "compile", "summary", "fit"])
def test_layers_may_be_added_one_by_one(first: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential(seed=1, dtype="float64")
    for layer in (Input((4,)), Dense(5, "tanh"), Dense(3, "softmax")):
        model.add(layer)
    if first == "count_params":
        assert model.count_params() == 43
    elif first == "summary":
        model.summary()
        assert "not built" not in capsys.readouterr().out
    model.compile(loss="sparse_categorical_crossentropy")
    if first != "fit":
        assert model.layers[0].kernel.shape == (4, 5)
    model.fit(X, LABELS, verbose=0)
    twin = classifier()
    twin.fit(X, LABELS, verbose=0)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_the_input_holds_for_the_first_data() -> None:
    model = Sequential()
    model.add(Input((3,)))
    model.add(Dense(2))
    with pytest.raises(ValueError, match=r"x has shape \(30, 4\), expected \(samples, 3\)"):
        model.predict(X)


def test_layers_may_come_from_an_iterator() -> None:
    model = Sequential(layer for layer in (Input((4,)), Dense(5), Dense(3)))
    assert model.count_params() == 43


def test_layers_get_names() -> None:
    named = Dense(2, name="dense_3")
    model = Sequential([Dense(4), Dense(3, name="middle"), named, Dense(2), Dense(1)])
    assert [layer.name for layer in model.layers] == ["dense", "middle", "dense_3", "dense_1", "dense_2"]
    # The number that comes next may be taken.
    assert [layer.name for layer in Sequential([Dense(2, name="dense"), Dense(1)]).layers] == ["dense", "dense_1"]
    assert Sequential(name="mine").name == "mine"
    assert Sequential().name == "sequential"


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (lambda: 5, TypeError, r"layer is 5, expected a layer such as layers\.Dense\(10\)"),
        (lambda: Dense, TypeError, r"layer is <class 'fastnn\.layers\.dense\.Dense'>, expected a layer"),
        (lambda: "dense", TypeError, r"layer is 'dense', expected a layer"),
        (lambda: Input((4,)), ValueError, r"layer is an Input, expected at the first place only"),
        (lambda: Dense(2, name="first"), ValueError, r"layer has the name 'first' of another layer, expected one of"),
    ],
)
def test_what_cannot_be_added(bad: Callable[[], Any], error: type[Exception], message: str) -> None:
    model = Sequential([Dense(4, name="first")])
    with pytest.raises(error, match=message):
        model.add(bad())
    assert [layer.name for layer in model.layers] == ["first"]
    model.add(Dense(2))
    model.build(4)


def test_an_input_is_given_once() -> None:
    with pytest.raises(ValueError, match="layer is an Input, expected at the first place only"):
        Sequential([Input((4,)), Input((4,)), Dense(2)])


def test_a_layer_is_in_a_model_once() -> None:
    layer = Dense(3)
    model = Sequential([layer])
    with pytest.raises(ValueError, match="layer 'dense' is part of this model already, expected another"):
        model.add(layer)
    model.build(2)
    assert len(model.layers) == 1


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (0, ValueError, "input_shape is 0, expected at least 1"),
        ((None, 0), ValueError, r"input_shape\[1\] is 0, expected at least 1"),
        ((None, "4"), TypeError, r"input_shape\[1\] is '4', expected an integer"),
        (2.0, TypeError, r"input_shape is 2\.0, expected an integer"),
    ],
)
def test_build_for_what_is_no_number_of_inputs(bad: Any, error: type[Exception], message: str) -> None:
    model = Sequential([Dense(2)])
    with pytest.raises(error, match=message):
        model.build(bad)
    model.build(3)
    assert model.count_params() == 8


def test_a_model_is_built_once() -> None:
    model = classifier()
    before = model.parameters.copy()
    with pytest.raises(ValueError, match="input_shape has 5 features, expected 4 as the model is built for"):
        model.build(5)
    model.build((None, 4))
    np.testing.assert_array_equal(model.parameters, before)
    assert model.layers[0].kernel.base is not None
    model = Sequential()
    model.add(Input((3,)))
    model.add(Dense(2))
    with pytest.raises(ValueError, match="input_shape has 4 features, expected 3 as the model's Input says"):
        model.build(4)


@pytest.mark.parametrize("use", ["build", "fit", "predict", "count_params"])
def test_a_model_without_layers(use: str) -> None:
    model = Sequential([Input((4,))])
    model.compile(loss="mse")
    message = "the model has no layers, expected at least one" if use != "count_params" else "the model is not built"
    arguments: dict[str, tuple[Any, ...]] = {"build": (4,), "fit": (X, LABELS), "predict": (X,), "count_params": ()}
    with pytest.raises(ValueError, match=message):
        getattr(model, use)(*arguments[use])


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ({"layers": 5}, TypeError, "layers is 5, expected a list of layers"),
        ({"layers": Dense(3)}, TypeError, "layers is <Dense .*, expected a list of layers"),
        ({"layers": [Dense(3), 5]}, TypeError, "layer is 5, expected a layer"),
        ({"seed": -1}, ValueError, "seed is -1, expected 0 to 18446744073709551615"),
        ({"seed": 2**64}, ValueError, "seed is 18446744073709551616, expected 0 to 18446744073709551615"),
        ({"seed": 1.5}, TypeError, r"seed is 1\.5, expected an integer"),
        ({"seed": True}, TypeError, "seed is True, expected an integer"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16', expected 'float32' or 'float64'"),
        ({"dtype": "int32"}, ValueError, "dtype is 'int32', expected 'float32' or 'float64'"),
        ({"dtype": "flaot32"}, ValueError, "dtype is 'flaot32', expected 'float32' or 'float64'"),
        ({"dtype": None}, TypeError, "dtype is None, expected 'float32' or 'float64'"),
        ({"dtype": 32}, TypeError, "dtype is 32, expected 'float32' or 'float64'"),
    ],
)
def test_what_makes_no_model(bad: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Sequential(**bad)


@pytest.mark.parametrize("given", ["float64", np.float64, np.dtype("float64"), np.dtype(">f8"), float, "f8"])
def test_dtypes_by_any_of_their_names(given: Any) -> None:
    model = Sequential([Input((4,)), Dense(2)], dtype=given)
    assert model.dtype == np.float64
    assert model.dtype.isnative
    assert model.parameters.dtype == model.predict(X.astype("f4")).dtype == np.float64
    assert Sequential([Input((4,)), Dense(2)]).predict(X).dtype == np.float32


# ---- compiling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("mse", losses.MeanSquaredError),
        ("mean_squared_error", losses.MeanSquaredError),
        ("bce", losses.BinaryCrossentropy),
        ("categorical_crossentropy", losses.CategoricalCrossentropy),
        (losses.CategoricalCrossentropy, losses.CategoricalCrossentropy),
    ],
)
def test_losses_and_optimizers_by_name_class_and_object(loss: Any, kind: type) -> None:
    model = Sequential([Input((4,)), Dense(3)])
    model.compile(loss=loss)
    assert type(model.loss) is kind
    assert type(model.optimizer) is optimizers.RMSprop
    for optimizer in ("adam", "Adam", optimizers.Adam, optimizers.Adam()):
        model.compile(optimizer, loss)
        assert type(model.optimizer) is optimizers.Adam
    mine = losses.MeanSquaredError(), optimizers.SGD(0.5)
    model.compile(mine[1], mine[0])
    assert (model.loss, model.optimizer) == mine


COMPILE_ERRORS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"loss": "mea"}, ValueError, "loss is 'mea', expected one of 'mean_squared_error', 'mean_absolute_error'"),
    ({"loss": None}, TypeError, "loss is None, expected a name or an object of Loss"),
    (
        {"loss": np.mean},
        TypeError,
        "loss is <function mean at .*>, which has no gradient; expected a name or an object of Loss, of your own",
    ),
    ({"loss": losses.MeanSquaredError("sum")}, ValueError, "loss has the reduction 'sum', expected 'sum_over_batch_"),
    ({"loss": losses.MeanSquaredError(None)}, ValueError, "loss has the reduction None, expected 'sum_over_batch_"),
    ({"optimizer": "lbfgs"}, ValueError, "optimizer is 'lbfgs', expected one of 'sgd', 'adagrad'"),
    ({"optimizer": None}, TypeError, "optimizer is None, expected a name or an object of Optimizer"),
    ({"optimizer": 0.1}, TypeError, r"optimizer is 0\.1, expected a name or an object of Optimizer"),
    ({"metrics": "f2"}, ValueError, "metrics has 'f2', expected a loss's name or one of 'acc', 'accuracy', 'auc'"),
    ({"metrics": ["acc", "f2"]}, ValueError, "metrics has 'f2', expected a loss's name or one of"),
    ({"weighted_metrics": ["f2"]}, ValueError, "metrics has 'f2', expected a loss's name or one of"),
    ({"metrics": "auc"}, ValueError, "metrics has 'auc', which does not fit integer labels"),
    ({"metrics": 5}, TypeError, "metrics is 5, expected a list of names"),
    ({"metrics": [5]}, TypeError, "metrics has 5, expected names"),
    ({"metrics": {"a": "accuracy"}}, TypeError, "metrics is {'a': 'accuracy'}, expected a list of names"),
    ({"metrics": "binary_accuracy"}, ValueError, "metrics has 'binary_accuracy', which does not fit integer labels"),
    (
        {"metrics": ["sparse_categorical_accuracy"], "loss": "mse"},
        ValueError,
        "metrics has 'sparse_categorical_accuracy', which does not fit targets that are no integer labels",
    ),
]


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize(("bad", "error", "message"), COMPILE_ERRORS)
def test_what_does_not_compile(bad: dict[str, Any], error: type[Exception], message: str, built: bool) -> None:
    model = Sequential([*([Input((4,))] if built else []), Dense(5, "tanh"), Dense(3, "softmax")], seed=1)
    twin = classifier("float32", metrics=["accuracy"])
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.optimizer, model.loss
    with pytest.raises(error, match=message):
        model.compile(**{"loss": "sparse_categorical_crossentropy", **bad})
    assert (model.optimizer, model.loss) == before
    # What was compiled before goes on.
    assert model.fit(X, LABELS, verbose=0).history == twin.fit(X, LABELS, verbose=0).history


@pytest.mark.parametrize("built", [True, False])
def test_sparse_labels_of_one_output(built: bool) -> None:
    model = Sequential([*([Input((4,))] if built else []), Dense(1)])
    with pytest.raises(ValueError, match="loss is sparse_categorical_crossentropy for a model with one output, exp"):
        model.compile(loss="sparse_categorical_crossentropy")
    assert model.loss is None


def test_a_loss_compiled_before_the_layers_is_checked_when_they_are_there() -> None:
    model = Sequential()
    model.compile(loss="sparse_categorical_crossentropy")
    model.add(Dense(1))
    with pytest.raises(ValueError, match="loss is sparse_categorical_crossentropy for a model with one output"):
        model.build(4)
    with pytest.raises(ValueError, match="the model is not built"):
        model.count_params()
    model.compile(loss="mse")
    model.fit(X, X[:, 0], verbose=0)
    assert model.count_params() == 5


@pytest.mark.parametrize("use", ["fit", "evaluate", "train_on_batch", "value_and_gradient", "backward"])
def test_a_model_that_is_not_compiled(use: str) -> None:
    model = Sequential([Input((4,)), Dense(3)])
    arguments = (LABELS,) if use == "backward" else (X, LABELS)
    with pytest.raises(ValueError, match=r"the model has no loss: call compile\(optimizer=…, loss=…\) first"):
        getattr(model, use)(*arguments)
    assert model.predict(X).shape == (30, 3)


def test_compiling_again_keeps_the_parameters() -> None:
    model = classifier()
    model.fit(X, LABELS, verbose=0)
    before = model.parameters.copy()
    model.compile(optimizers.Adam(), losses.CategoricalCrossentropy(label_smoothing=0.1), metrics=["accuracy"])
    np.testing.assert_array_equal(model.parameters, before)
    assert model.optimizer is not None
    assert model.optimizer.iterations == 0
    one_hot = np.eye(3)[LABELS]
    expected = losses.CategoricalCrossentropy(label_smoothing=0.1)(one_hot, model.predict(X))
    assert model.evaluate(X, one_hot, return_dict=True)["loss"] == pytest.approx(expected, rel=1e-12)


def test_an_optimizer_belongs_to_the_model_it_has_the_state_of() -> None:
    adam = optimizers.Adam()
    classifier(optimizer=adam).fit(X, LABELS, verbose=0)
    other = Sequential([Input((4,)), Dense(3, "softmax")], dtype="float64")
    other.compile(adam, "sparse_categorical_crossentropy")
    before, iterations = other.parameters.copy(), adam.iterations
    with pytest.raises(ValueError, match=r"variables are \[\('float64', \(15,\)\)\], expected .*\(43,\)"):
        other.fit(X, LABELS, verbose=0)
    np.testing.assert_array_equal(other.parameters, before)
    assert adam.iterations == iterations


# ---- parameters ------------------------------------------------------------------------------------------------------


def test_parameters_are_layer_by_layer_kernel_then_bias() -> None:
    model = Sequential([Input((2,)), Dense(3), Dense(2, use_bias=False), Dense(1)], dtype="float64")
    model.parameters = np.arange(18.0)
    first, second, third = model.layers
    assert first.kernel.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert first.bias is not None
    assert first.bias.tolist() == [6, 7, 8]
    assert second.kernel.tolist() == [[9, 10], [11, 12], [13, 14]]
    assert second.bias is None
    assert second.bias_gradient is None
    assert third.kernel.tolist() == [[15], [16]]
    assert third.bias is not None
    assert third.bias.tolist() == [17]


def test_views_are_the_models_memory() -> None:
    model = Sequential([Input((1,)), Dense(1), Dense(1)], dtype="float64")
    model.parameters[:] = [2, 3, 5, 7]
    assert model.predict([1.0]).item() == (2 + 3) * 5 + 7
    model.layers[0].kernel[...] = 10
    assert model.predict([1.0]).item() == (10 + 3) * 5 + 7
    bias = model.layers[1].bias
    assert bias is not None
    bias += 1
    assert model.predict([1.0]).item() == (10 + 3) * 5 + 8
    model.parameters *= 0
    assert model.predict([1.0]).item() == 0
    model.parameters = [1, 1, 1, 1]
    assert model.predict([1.0]).item() == 3
    assert bias.tolist() == [1]


def test_views_stay_live_through_training() -> None:
    model = classifier()
    flat, kernel, gradient = model.parameters, model.layers[0].kernel, model.layers[0].kernel_gradient
    before = flat.copy()
    model.fit(X, LABELS, verbose=0)
    assert model.parameters is flat
    assert model.layers[0].kernel is kernel
    assert not np.array_equal(flat, before)
    np.testing.assert_array_equal(flat[:20], kernel.ravel())
    model.forward(X)
    model.backward(LABELS)
    np.testing.assert_array_equal(model.gradients[:20], gradient.ravel())
    for layer in model.layers:
        for view in (layer.kernel, layer.bias):
            assert np.shares_memory(view, flat)
        for view in (layer.kernel_gradient, layer.bias_gradient):
            assert np.shares_memory(view, model.gradients)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros(42), ValueError, r"parameters has shape \(42,\), expected \(43,\)"),
        (np.zeros((43, 1)), ValueError, r"parameters has shape \(43, 1\), expected \(43,\)"),
        (0.0, ValueError, r"parameters has shape \(\), expected \(43,\)"),
        (None, TypeError, "parameters is None, expected real numbers"),
        (np.zeros(43, complex), TypeError, "parameters has dtype complex128, expected real numbers"),
        (["a"] * 43, TypeError, "parameters has dtype <U1, expected real numbers"),
        ([[1, 2], [3]], ValueError, "parameters is no rectangular array, expected real numbers"),
    ],
)
def test_parameters_that_do_not_fit(bad: Any, error: type[Exception], message: str) -> None:
    model = classifier()
    before = model.parameters.copy()
    with pytest.raises(error, match=message):
        model.parameters = bad
    if bad is not None:  # the model's own
        with pytest.raises(error, match=message):
            model.value_and_gradient(X, LABELS, parameters=bad)
    np.testing.assert_array_equal(model.parameters, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_get_weights_are_copies_and_set_weights_takes_them(dtype: str) -> None:
    model, other = classifier(dtype, seed=1), classifier(dtype, seed=2)
    weights = model.get_weights()
    assert [w.shape for w in weights] == [(4, 5), (5,), (5, 3), (3,)]
    assert [w.dtype for w in weights] == [model.dtype] * 4
    assert not any(np.shares_memory(w, model.parameters) for w in weights)
    other.set_weights(weights)
    np.testing.assert_array_equal(other.parameters, model.parameters)
    other.set_weights(w.tolist() for w in weights)  # any iterable of anything like an array
    np.testing.assert_array_equal(other.parameters, model.parameters)
    other.set_weights([np.asfortranarray(w, dtype=">f8") for w in weights])
    np.testing.assert_array_equal(other.parameters, model.parameters)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda w: w[:3], ValueError, "weights has 3 arrays, expected 4: those of get_weights"),
        (lambda w: [*w, w[0]], ValueError, "weights has 5 arrays, expected 4"),
        (lambda w: [], ValueError, "weights has 0 arrays, expected 4"),
        (lambda w: [*w[:3], np.zeros(4)], ValueError, r"weights\[3\] has shape \(4,\), expected \(3,\)"),
        (lambda w: [*w[:3], np.zeros((3, 1))], ValueError, r"weights\[3\] has shape \(3, 1\), expected \(3,\)"),
        (lambda w: [*w[:3], np.zeros(())], ValueError, r"weights\[3\] has shape \(\), expected \(3,\)"),
        (lambda w: [w[0].T, *w[1:]], ValueError, r"weights\[0\] has shape \(5, 4\), expected \(4, 5\)"),
        (lambda w: [*w[:3], None], TypeError, r"weights\[3\] is None, expected real numbers"),
        (lambda w: [*w[:3], "abc"], TypeError, r"weights\[3\] has dtype <U3, expected real numbers"),
        (lambda w: 5, TypeError, "weights is 5, expected a list of arrays"),
    ],
)
def test_weights_that_do_not_fit(change: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    model = classifier()
    before = model.parameters.copy()
    with pytest.raises(error, match=message):
        model.set_weights(change([w + 1 for w in model.get_weights()]))
    np.testing.assert_array_equal(model.parameters, before)


def test_summary(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential(
        [Input((64,)), Dense(128, activation="relu"), Dense(10, activation="softmax", name="output")], name="digits"
    )
    model.summary()
    assert capsys.readouterr().out == (
        'Model "digits", float32\n'
        "────────────────────────────────────────────────────\n"
        "Layer           Activation  Output shape  Parameters\n"
        "────────────────────────────────────────────────────\n"
        "dense (Dense)   relu        (None, 128)        8,320\n"
        "output (Dense)  softmax     (None, 10)         1,290\n"
        "────────────────────────────────────────────────────\n"
        "Total params: 9,610 (37.54 KiB)\n"
        "Trainable params: 9,610 (37.54 KiB)\n"
        "Non-trainable params: 0 (0.00 KiB)\n"
    )
    Sequential([Dense(3)], dtype="float64").summary()
    assert capsys.readouterr().out == (
        'Model "sequential", float64\n'
        "───────────────────────────────────────────────────\n"
        "Layer          Activation  Output shape  Parameters\n"
        "───────────────────────────────────────────────────\n"
        "dense (Dense)  linear      (None, 3)      not built\n"
        "───────────────────────────────────────────────────\n"
    )
