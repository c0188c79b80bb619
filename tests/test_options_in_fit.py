"""What optimizers and regularizers do inside `fit`: as by hand, with any threads, and after a pause, to the bit."""

from __future__ import annotations

import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, callbacks, layers, optimizers, regularizers
from fastnn.optimizers import schedules
from fastnn.reference import network
from fastnn.reference import optimizers as reference

DTYPES = ["float32", "float64"]
RNG = np.random.default_rng(3)
X = RNG.standard_normal((700, 33))
Y = RNG.integers(0, 17, 700)

Make = Callable[[], optimizers.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "clipnorm": lambda: optimizers.SGD(0.1, momentum=0.9, clipnorm=0.05),
    "global clipnorm": lambda: optimizers.Adam(0.01, global_clipnorm=0.1, weight_decay=0.1),
    "clipvalue": lambda: optimizers.RMSprop(0.01, clipvalue=0.001),
    "accumulation": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=3),
    "accumulation and norm": lambda: optimizers.SGD(0.1, global_clipnorm=0.1, gradient_accumulation_steps=2),
    "plain accumulation": lambda: optimizers.SGD(0.1, gradient_accumulation_steps=2),
    "decay": lambda: optimizers.SGD(0.1, weight_decay=0.5),
    "average": lambda: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3),
    "schedule": lambda: optimizers.SGD(schedules.CosineDecayRestarts(0.3, 7), momentum=0.5, nesterov=True),
    "nadam": lambda: optimizers.Nadam(schedules.OneCycle(0.02, 40)),
    "lion": lambda: optimizers.Lion(0.003, weight_decay=0.01),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adagrad": lambda: optimizers.Adagrad(0.05),
    "adamax": lambda: optimizers.Adamax(0.01),
    "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "rmsprop, all": lambda: optimizers.RMSprop(0.001, momentum=0.5, centered=True),
}
PENALTIES = {
    "none": {},
    "both": {"kernel_regularizer": regularizers.L1L2(0.001, 0.01), "bias_regularizer": regularizers.L2(0.1)},
}


def make(
    optimizer: Make, dtype: str = "float32", penalties: str = "none", sizes: tuple[int, ...] = (40, 17)
) -> Sequential:
    hidden = [layers.Dense(n, activation="tanh", **PENALTIES[penalties]) for n in sizes[:-1]]  # type: ignore[arg-type]
    last = layers.Dense(sizes[-1], activation="softmax", **PENALTIES[penalties])  # type: ignore[arg-type]
    model = Sequential([layers.Input((33,)), *hidden, last], seed=5, dtype=dtype)
    model.compile(optimizer=optimizer(), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def state(model: Sequential) -> dict[str, bytes]:
    assert model.optimizer is not None
    return {name: array.tobytes() for name, array in model.optimizer.get_state().items()} | {
        "parameters": model.parameters.tobytes()
    }


@pytest.mark.parametrize("penalties", PENALTIES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fit_is_step_by_step_to_the_bit(name: str, dtype: str, penalties: str) -> None:
    fitted, stepped = make(OPTIMIZERS[name], dtype, penalties), make(OPTIMIZERS[name], dtype, penalties)
    history = fitted.fit(X[:70], Y[:70], batch_size=16, epochs=2, shuffle=False, verbose=0).history
    assert stepped.optimizer is not None
    losses = []
    for start in 2 * list(range(0, 70, 16)):
        stepped.forward(X[:70][start : start + 16])
        losses.append(stepped.backward(Y[:70][start : start + 16]))
        stepped.optimizer.apply(stepped.gradients, stepped.parameters)
    stepped.optimizer.finalize_variable_values([stepped.parameters])
    assert state(fitted) == state(stepped)
    means = [np.average(part, weights=[16, 16, 16, 16, 6]) for part in (losses[:5], losses[5:])]
    np.testing.assert_allclose(history["loss"], means, rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_by_single_samples_as_well(name: str) -> None:
    for sizes in ((40, 17), (16, 16)):  # the second is so small that it has a path of its own
        fitted, stepped = make(OPTIMIZERS[name], sizes=sizes), make(OPTIMIZERS[name], sizes=sizes)
        y = Y[:20] % sizes[-1]
        fitted.fit(X[:20], y, batch_size=1, shuffle=False, verbose=0)
        for i in range(20):
            stepped.train_on_batch(X[i : i + 1], y[i : i + 1])
        assert stepped.optimizer is not None
        stepped.optimizer.finalize_variable_values([stepped.parameters])
        assert state(fitted) == state(stepped)


@pytest.mark.parametrize("penalties", PENALTIES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_number_of_threads_gives_the_same_bits(name: str, dtype: str, penalties: str) -> None:
    found = []
    for n_threads in (1, 2, 3):
        fastnn.set_num_threads(n_threads)
        model = make(OPTIMIZERS[name], dtype, penalties)
        history = model.fit(X, Y, batch_size=300, epochs=2, verbose=0).history
        found.append((state(model), history))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_fit_is_the_references(name: str, dtype: str) -> None:
    model = make(OPTIMIZERS[name], dtype)
    optimizer = model.optimizer
    assert optimizer is not None
    h, rule = optimizer.hyperparameters(), optimizer._rule()
    kinds = {"nesterov": "sgd_momentum", "momentum": "sgd_momentum", "amsgrad": "adam"}
    kind = "rmsprop" if "rmsprop" in rule.name else kinds.get(rule.name, rule.name)
    own = {key: value for key, value in optimizer.get_config().items() if key in ("rho", "beta_1", "beta_2", "epsilon")}
    own |= {
        key: getattr(optimizer, key)
        for key in ("momentum", "nesterov", "centered", "amsgrad")
        if hasattr(optimizer, key)
    }
    if kind == "sgd":
        own = {}
    elif kind == "adam" and not optimizer.amsgrad:  # type: ignore[attr-defined]
        del own["amsgrad"]
    schedule = optimizer._learning_rate
    oracle = reference.Optimizer(
        getattr(reference, kind),
        list(rule.states.values()),
        schedule,
        weight_decay=h["weight_decay"],
        clipvalue=optimizer.clipvalue,
        clipnorm=optimizer.clipnorm,
        global_clipnorm=optimizer.global_clipnorm,
        pieces=[array.size for array in model.get_weights()],
        ema_momentum=h["ema_momentum"],
        ema_overwrite_frequency=optimizer.ema_overwrite_frequency,
        accumulation_steps=h["accumulation_steps"],
        **own,
    )
    description = network.Network((33, 40, 17), ("tanh", "softmax"), "sparse_categorical_crossentropy")
    start = model.parameters.astype(np.float64)
    expected, losses = network.fit(start, description, oracle, X[:100], Y[:100], batch_size=16, epochs=2, seed=5)
    history = model.fit(X[:100], Y[:100], batch_size=16, epochs=2, verbose=0).history
    if optimizer.use_ema:
        assert oracle.average is not None
        expected = oracle.average
    if name == "lion" and dtype == "float32":  # the sign of what is nearly 0 may be another: a few elements
        assert np.mean(np.abs(model.parameters - expected) > 1e-5) < 0.01
        return
    tolerance = 2e-3 if dtype == "float32" else 1e-9
    np.testing.assert_allclose(model.parameters, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(history["loss"], losses, rtol=tolerance)


# ---- penalties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [50, 700])
@pytest.mark.parametrize("dtype", DTYPES)
def test_penalties_add_to_cost_and_gradient(dtype: str, n: int) -> None:
    plain, model = make(optimizers.SGD, dtype), make(optimizers.SGD, dtype, "both")
    model.layers[0].kernel[0, 0] = plain.layers[0].kernel[0, 0] = 0
    model.layers[1].bias[...] = 0.5  # type: ignore[index]
    plain.parameters = model.parameters
    penalty, gradient = 0.0, []
    for layer in model.layers:
        for regularizer, array in ((layer.kernel_regularizer, layer.kernel), (layer.bias_regularizer, layer.bias)):
            assert regularizer is not None
            penalty += regularizer(array)
            gradient.append(regularizer.gradient(array).ravel())
    value, got = model.value_and_gradient(X[:n], Y[:n])
    without, base = plain.value_and_gradient(X[:n], Y[:n])
    tight = 1e-6 if dtype == "float32" else 1e-12
    assert value == pytest.approx(without + penalty, rel=tight)
    np.testing.assert_allclose(got, base + np.concatenate(gradient), rtol=0, atol=tight)
    assert model.evaluate(X[:n], Y[:n])[0] == pytest.approx(value, rel=tight)
    assert model.fit(X[:n], Y[:n], batch_size="full", verbose=0).history["loss"][0] == pytest.approx(value, rel=tight)


def test_gradients_with_penalties_pass_the_check() -> None:
    model = make(optimizers.SGD, "float64", "both")
    fastnn.check_gradients(model, X[:5], Y[:5])


def test_regularizers_of_a_layer_by_name() -> None:
    layer = layers.Dense(3, kernel_regularizer="l2", bias_regularizer="l1")
    assert repr((layer.kernel_regularizer, layer.bias_regularizer)) == "(L2(l2=0.01), L1(l1=0.01))"
    with pytest.raises(ValueError, match="regularizer is 'l3', expected one of 'l1', 'l2', 'l1_l2'"):
        layers.Dense(3, kernel_regularizer="l3")


# ---- the whole data as one batch -------------------------------------------------------------------------------------


def test_full_is_batch_gradient_descent_in_memory_that_does_not_grow() -> None:
    fitted, stepped = make(lambda: optimizers.SGD(0.5)), make(lambda: optimizers.SGD(0.5))
    x, y = np.tile(X, (5, 1)), np.tile(Y, 5)
    fitted.fit(x, y, batch_size="full", epochs=3, verbose=0)
    assert stepped.optimizer is not None
    for _ in range(3):
        _, gradient = stepped.value_and_gradient(x, y)
        stepped.optimizer.apply(gradient, stepped.parameters)
    assert fitted.parameters.tobytes() == stepped.parameters.tobytes()
    assert fitted.optimizer is not None
    assert fitted.optimizer.iterations == 3
    with pytest.raises(TypeError, match="batch_size is 'all', expected an integer"):
        fitted.fit(X, Y, batch_size="all")
    peaks = []
    for n in (2, 20):
        x, y, model = np.tile(X.astype(np.float32), (n, 1)), np.tile(Y, n).astype(np.int32), make(optimizers.SGD)
        tracemalloc.start()
        model.fit(x, y, batch_size="full", verbose=0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.02 * peaks[0]


# ---- going on later --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "average"])
def test_a_fit_that_goes_on_later_gives_the_same_bits(name: str, dtype: str) -> None:
    whole, first, second = (make(OPTIMIZERS[name], dtype, "both") for _ in range(3))
    expected = whole.fit(X[:100], Y[:100], batch_size=16, epochs=5, verbose=0).history
    begun = first.fit(X[:100], Y[:100], batch_size=16, epochs=2, verbose=0).history
    assert first.optimizer is not None
    assert second.optimizer is not None
    second.parameters = first.parameters.copy()
    second.optimizer.set_state(first.optimizer.get_state())
    second.epochs_trained = first.epochs_trained
    rest = second.fit(X[:100], Y[:100], batch_size=16, epochs=5, initial_epoch=2, verbose=0).history
    assert state(second) == state(whole)
    assert {key: begun[key] + rest[key] for key in begun} == expected
    assert whole.epochs_trained == second.epochs_trained == 5


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_that_stops_after_any_step_goes_on_with_the_same_bits(name: str) -> None:
    batches = [(X[i : i + 16], Y[i : i + 16]) for i in range(0, 160, 16)]
    whole = make(OPTIMIZERS[name])
    for batch in batches:
        whole.train_on_batch(*batch)
    for stop in (1, 4, 7):
        first, second = make(OPTIMIZERS[name]), make(OPTIMIZERS[name])
        for batch in batches[:stop]:
            first.train_on_batch(*batch)
        assert first.optimizer is not None
        assert second.optimizer is not None
        second.optimizer.set_state(first.optimizer.get_state())
        second.parameters = first.parameters.copy()
        for batch in batches[stop:]:
            second.train_on_batch(*batch)
        assert state(second) == state(whole)


def test_epochs_trained_is_a_number() -> None:
    model = make(optimizers.SGD)
    for value, error in ((-1, ValueError), (2**32, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="epochs_trained is "):
            model.epochs_trained = value  # type: ignore[assignment]
    assert model.epochs_trained == 0


# ---- what fit asks of schedules and options --------------------------------------------------------------------------


def test_a_schedule_that_fails_within_an_epoch_leaves_the_model_as_it_was_before_it() -> None:
    model = make(lambda: optimizers.SGD(lambda step: 0.1 if step < 10 else np.nan))
    kept: list[bytes] = []

    class Keep(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            kept.append(self.model.parameters.tobytes())

    with pytest.raises(ValueError, match="the learning_rate of step 10 is nan, expected a finite number >= 0"):
        model.fit(X[:100], Y[:100], batch_size=16, epochs=3, verbose=0, callbacks=[Keep()])  # 7 steps an epoch
    assert model.parameters.tobytes() == kept[-1]
    assert model.optimizer is not None
    assert model.optimizer.steps == 7


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("clipvalue", 1.0, "clipnorm is 1.0 and clipvalue is 1.0, expected one of them at most"),
        ("use_ema", True, "has 1 arrays of state for each variable, expected 2 \\(momentum, average\\)"),
        ("momentum", 0.0, "has 1 arrays of state for each variable, expected 0"),
    ],
)
def test_an_option_that_does_not_fit_is_an_error_before_anything_is_changed(
    option: str, value: float, message: str
) -> None:
    model = make(lambda: optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0))
    model.fit(X[:50], Y[:50], verbose=0)
    before = state(model)
    setattr(model.optimizer, option, value)
    for train in (model.fit, model.train_on_batch):
        with pytest.raises(ValueError, match=message):
            train(X[:50], Y[:50])
        assert model.parameters.tobytes() == before["parameters"]
        assert model.optimizer is not None
        assert model.optimizer.steps == 2


def test_l_bfgs_in_three_lines() -> None:
    text = (Path(__file__).parents[1] / "docs" / "optimizers.md").read_text(encoding="utf-8")
    [code] = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "L-BFGS-B" in block]
    model, x, y = make(optimizers.SGD, "float64"), X[:100], Y[:100]
    before = model.evaluate(x, y)[0]
    exec(code, {"model": model, "x": x, "y": y})
    _, gradient = model.value_and_gradient(x, y)
    assert model.evaluate(x, y)[0] < before / 1000
    assert np.abs(gradient).max() < 1e-3
