"""Layers of one's own beside compiled ones: what they are given, what they may do, and what goes wrong in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, callbacks, layers, losses, optimizers
from fastnn.layers import BatchNormalization, Dense, Dropout, Input, Layer

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((70, 4)), RNG.standard_normal((70, 2))


class OwnError(Exception):
    pass


class Scale(Layer):
    """factor x; raises, or returns something else, when it is told to."""

    def __init__(self, trouble: str = "", at: int = 3, **options: Any) -> None:
        super().__init__(**options)
        self.trouble, self.at, self.calls, self.seen = trouble, at, 0, []

    def build(self, n_in: int) -> int:
        self.add_weight("factor", (n_in,), "ones")
        return n_in

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        self.calls += 1
        self.seen.append((x.shape, x.dtype, training))
        self.x = x
        return self.spoil("forward", x * self.factor)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        self.factor_gradient[...] = (gradient * self.x).sum(axis=0)
        return self.spoil("backward", gradient * self.factor)

    def spoil(self, where: str, result: np.ndarray) -> Any:
        if self.trouble.startswith(where) and self.calls == self.at:
            what = self.trouble.removeprefix(where).strip()
            if what == "raises":
                raise OwnError(where)
            if what == "interrupts":
                raise KeyboardInterrupt
            return {
                "narrow": result[:, :-1], "short": result[:-1], "flat": result.ravel(), "none": None, "text": "none",
            }[what]  # fmt: skip
        return result


def make(layer: Layer, seed: int = 1, dtype: str = "float64") -> Sequential:
    stack = [Input((4,)), Dense(6, "tanh"), BatchNormalization(), layer, Dropout(0.2), Dense(2)]
    model = Sequential(stack, seed=seed, dtype=dtype)
    model.compile(optimizers.Adam(0.01), "mse")
    return model


def state(model: Sequential) -> list[bytes]:
    assert model.optimizer is not None
    arrays = [*model.weights, *model.optimizer.variables]
    return [array.tobytes() for array in arrays] + [str(model.optimizer.iterations).encode()]


def weights(model: Sequential) -> bytes:
    return b"".join(array.tobytes() for array in [model.parameters, *model.layers[1].weights])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("trouble", "error", "message"),
    [
        ("forward raises", OwnError, "forward"),
        ("backward raises", OwnError, "backward"),
        ("forward interrupts", KeyboardInterrupt, None),
        ("backward interrupts", KeyboardInterrupt, None),
        (
            "forward narrow",
            ValueError,
            r"the result of forward of layer 'mine' has shape \(16, 5\), expected \(16, 6\)",
        ),
        (
            "backward narrow",
            ValueError,
            r"the result of backward of layer 'mine' has shape \(16, 5\), expected \(16, 6\)",
        ),
        ("forward short", ValueError, r"the result of forward of layer 'mine' has shape \(15, 6\), expected \(16, 6\)"),
        (
            "backward short",
            ValueError,
            r"the result of backward of layer 'mine' has shape \(15, 6\), expected \(16, 6\)",
        ),
        ("forward flat", ValueError, r"the result of forward of layer 'mine' has shape \(96,\), expected \(16, 6\)"),
        ("backward none", ValueError, r"the result of backward of layer 'mine' has shape \(1,\), expected \(16, 6\)"),
        ("forward text", ValueError, "could not convert string to float"),
    ],
)
def test_what_goes_wrong_leaves_whole_steps(
    trouble: str, error: type[BaseException], message: str | None, threads: int
) -> None:
    fastnn.set_num_threads(threads)
    mine = Scale(trouble, name="mine")
    model, twin = make(mine), make(Scale())
    with pytest.raises(error, match=message):
        model.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
    twin.fit(X[:32], Y[:32], batch_size=16, shuffle=False, verbose=0)
    assert state(model) == state(twin)
    mine.trouble = ""
    model.epochs_trained = twin.epochs_trained
    for either in (model, twin):
        either.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert state(model) == state(twin)
    assert model.predict(X).tobytes() == twin.predict(X).tobytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("call", ["predict", "evaluate", "forward", "value_and_gradient", "train_on_batch"])
def test_an_exception_in_other_calls(call: str, threads: int) -> None:
    fastnn.set_num_threads(threads)
    mine = Scale("forward raises", at=1)
    model = make(mine)
    before, arguments = weights(model), [X] if call in ("predict", "forward") else [X, Y]
    with pytest.raises(OwnError):
        getattr(model, call)(*arguments)
    assert weights(model) == before
    getattr(model, call)(*arguments)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_in_backward_by_hand(threads: int) -> None:
    fastnn.set_num_threads(threads)
    mine = Scale("backward raises", at=1)
    model, twin = make(mine), make(Scale())
    model.forward(X)
    with pytest.raises(OwnError):
        model.backward(Y)
    mine.trouble = ""
    for either in (model, twin):
        either.forward(X)
        either.backward(Y)
    assert model.gradients.tobytes() == twin.gradients.tobytes()
    assert state(model) == state(twin)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_it_is_given(dtype: str) -> None:
    mine = Scale()
    model = make(mine, dtype=dtype)
    model.fit(X, Y, batch_size=32, verbose=0, validation_data=(X[:9], Y[:9]))
    model.predict(X[:1])
    expected = [((32, 6), True), ((32, 6), True), ((6, 6), True), ((9, 6), False), ((1, 6), False)]
    assert mine.seen == [(shape, np.dtype(dtype), training) for shape, training in expected]
    assert mine.factor.dtype == mine.factor_gradient.dtype == mine.dtype == dtype
    assert np.shares_memory(mine.factor, model.parameters)
    assert np.shares_memory(mine.factor_gradient, model.gradients)
    # A large batch comes whole: the layer may look at it all.
    mine.seen.clear()
    model.fit(np.tile(X, (20, 1)), np.tile(Y, (20, 1)), batch_size="full", verbose=0)
    assert [shape for shape, *_ in mine.seen] == [(1400, 6)]


def test_its_arrays_are_copies() -> None:
    class Spoils(Layer):
        def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
            result = x.copy()
            x[...] = np.nan
            return result

        def backward(self, gradient: np.ndarray) -> np.ndarray:
            result = gradient.copy()
            gradient[...] = np.nan
            return result

    with_it = Sequential([Input((4,)), Dense(3, "tanh"), Spoils(), Dense(2)], seed=1)
    without = Sequential([Input((4,)), Dense(3, "tanh"), Dense(2)], seed=1)
    without.parameters = with_it.parameters
    for model in (with_it, without):
        model.compile("sgd", "mse")
        model.fit(X, Y, verbose=0, shuffle=False)
    assert with_it.parameters.tobytes() == without.parameters.tobytes()


@pytest.mark.parametrize("what", ["factor", "factor_gradient"])
def test_an_array_that_is_replaced_is_an_error(what: str) -> None:
    class Replaces(Scale):
        def backward(self, gradient: np.ndarray) -> np.ndarray:
            result = super().backward(gradient)
            setattr(self, what, getattr(self, what) + 1)
            return result

    model = make(Replaces(name="mine"))
    before = weights(model)
    with pytest.raises(
        ValueError, match=f"layer 'mine' has assigned another array to {what}, expected its elements to be"
    ):
        model.fit(X, Y, verbose=0)
    assert weights(model) == before


def test_without_its_base_class_made() -> None:
    class Hasty(Layer):
        def __init__(self) -> None:
            self.factor = 2

    with pytest.raises(TypeError, match=r"layer is a Hasty whose __init__ has not called super\(\).__init__\(\)"):
        Sequential([Input((4,)), Hasty()])


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_method_that_is_not_there(method: str) -> None:
    class Half(Layer):
        if method == "backward":

            def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
                return x

    model = Sequential([Input((4,)), Dense(3), Half(), Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(NotImplementedError, match=rf"Half has no {method}\("):
        model.fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("factor", (2, 0)), ValueError, r"shape\[1\] is 0, expected at least 1"),
        (("factor", 3), TypeError, r"shape is 3, expected a tuple such as \(64,\)"),
        (("factor", (2.5,)), TypeError, r"shape\[0\] is 2\.5, expected an integer"),
        (("factor", (2,), "unknown"), ValueError, "initializer is 'unknown'"),
        ((3, (2,)), TypeError, "name is 3, expected a string"),
        *(
            ((name, (2,)), ValueError, f"name is {name!r}, expected an identifier that the layer has no other use for")
            for name in ("", "2nd", "a b", "name", "output", "forward", "n_in", "dtype", "index", "weights", "taken",
                         "taken_gradient", "_bound")
        ),
    ],
)  # fmt: skip
def test_a_weight_that_cannot_be(arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    class Mine(Layer):
        def build(self, n_in: int) -> int:
            self.add_weight("taken", (2,))
            self.add_weight(*arguments)
            return n_in

    with pytest.raises(error, match=message):
        Sequential([Input((4,)), Mine()])


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [(0, ValueError, "is 0, expected at least 1"), (None, TypeError, "is None, expected an integer"),
     (2.0, TypeError, r"is 2\.0, expected an integer")],
)  # fmt: skip
def test_a_build_that_returns_no_number(result: Any, error: type[Exception], message: str) -> None:
    class Mine(Layer):
        def build(self, n_in: int) -> int:
            return result

    with pytest.raises(error, match=f"the result of build of <Mine .*> {message}"):
        Sequential([Input((4,)), Mine()])


def test_an_initializer_of_another_shape() -> None:
    class Wide(fastnn.initializers.Initializer):
        def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
            return np.ones((2, *shape))

    with pytest.raises(ValueError, match=r"gamma_initializer's result has shape \(2, 3\), expected \(3,\)"):
        Sequential([Input((3,)), BatchNormalization(gamma_initializer=Wide())])


@pytest.mark.parametrize(
    "stack", [lambda: [Scale()], lambda: [Dense(3), Scale()], lambda: [Scale(), BatchNormalization()]]
)
def test_a_model_without_input_is_built_on_its_data(stack: Callable[[], list[Layer]]) -> None:
    # How many outputs there are, nobody knows before.
    model = Sequential(stack())
    model.compile("sgd", "mse")
    model.summary()
    n = 3 if isinstance(model.layers[0], Dense) else 4
    model.fit(X, RNG.standard_normal((70, n)), verbose=0)
    assert model.predict(X).shape == (70, n)
    assert Sequential(stack()).predict(X).shape == (70, n)


def test_an_activation_of_ones_own_is_ones_own() -> None:
    # The engine must not take the last layer's outputs for what goes into its softmax.
    class Probabilities(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.activation = fastnn.activations.softmax

        def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
            self.y = self.activation(x)
            return self.y

        def backward(self, gradient: np.ndarray) -> np.ndarray:
            return self.y * (gradient - (gradient * self.y).sum(axis=1, keepdims=True))

    labels = np.arange(70) % 2
    own, compiled = (Sequential([Input((4,)), Dense(2), last], seed=1, dtype="float64") for last in
                     (Probabilities(), layers.Activation("softmax")))  # fmt: skip
    for model in (own, compiled):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    np.testing.assert_allclose(own.evaluate(X, labels), compiled.evaluate(X, labels), rtol=1e-12)
    np.testing.assert_allclose(
        own.value_and_gradient(X, labels)[1], compiled.value_and_gradient(X, labels)[1], rtol=1e-9
    )


def test_a_predictor_needs_compiled_layers() -> None:
    with pytest.raises(ValueError, match="layer 'mine' is made in Python, expected compiled ones alone: use predict"):
        make(Scale(name="mine")).predictor()


def test_a_call_from_within_is_refused() -> None:
    class Calls(Scale):
        def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
            if training:
                model.predict(X)
            return x

    model = make(Calls())
    before = weights(model)
    with pytest.raises(RuntimeError, match="the model is at work"):
        model.fit(X, Y, verbose=0)
    assert weights(model) == before


def test_floating_point_is_as_usual_in_python() -> None:
    # Kernels flush subnormals to zero; what NumPy computes in between does not.
    class Small(Layer):
        def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
            seen.append(np.float32(1e-30) * np.float32(1e-10) > 0)
            return x

        def backward(self, gradient: np.ndarray) -> np.ndarray:
            seen.append(np.float32(1e-30) * np.float32(1e-10) > 0)
            return gradient

    class Watches(losses.Loss):
        def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: Any = None) -> Any:
            seen.append(np.float32(1e-30) * np.float32(1e-10) > 0)
            return self.reduce(((y_pred - y_true) ** 2).mean(axis=-1), y_pred - y_true, sample_weight)

    class Looks(callbacks.Callback):
        def on_progress(self, step: int) -> None:
            seen.append(np.float32(1e-30) * np.float32(1e-10) > 0)

    seen: list[bool] = []
    model = Sequential([Input((4,)), Dense(3), Small(), Dense(2)])
    model.compile("sgd", Watches())
    model.fit(X, Y, verbose=0, callbacks=[Looks()])
    model.evaluate(X, Y)
    assert len(seen) > 8
    assert all(seen)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_of_ones_own_beside_batch_normalization(dtype: str) -> None:
    class Square(losses.Loss):
        def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: Any = None) -> Any:
            e = y_pred - y_true
            return self.reduce((e**2).mean(axis=-1), 2 * e / e.shape[-1], sample_weight)

    trained = []
    for loss in (Square(), "mse"):
        stack = [Input((4,)), Dense(6), BatchNormalization(), layers.Activation("relu"), Dense(2)]
        model = Sequential(stack, seed=1, dtype=dtype)
        model.compile(optimizers.SGD(0.05), loss)
        for threads in (1, 3):
            fastnn.set_num_threads(threads)
            model.fit(X, Y, batch_size=16, epochs=3, verbose=0)
        trained.append(np.concatenate([w.ravel() for w in model.weights]))
    np.testing.assert_allclose(trained[0], trained[1], rtol=1e-3 if dtype == "float32" else 1e-9, atol=1e-6)
