"""Training against the NumPy oracle: the same numbers from `fit` as from `reference.network.fit`.

The oracle computes in float64 throughout. A float64 model must agree with it to rounding; a float32 model starts from
the same parameters and may be off by the rounding of float32 alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fastnn import Sequential, layers, losses, optimizers
from fastnn.reference import network
from fastnn.reference import optimizers as reference_optimizers

TOLERANCE = {"float64": {"rtol": 1e-9, "atol": 1e-11}, "float32": {"rtol": 2e-4, "atol": 2e-5}}
DTYPES = ["float32", "float64"]


class Task(NamedTuple):
    """A loss behind a last activation, and how the reference calls it."""

    last: str
    loss: losses.Loss
    targets: str  # "real", "binary", "one-hot", "soft" or "labels"
    outputs: int = 3


MSE, BCE = losses.MeanSquaredError, losses.BinaryCrossentropy
CCE, SPARSE = losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy

TASKS = {
    "mse linear": Task("linear", MSE(), "real"),
    "mse relu": Task("relu", MSE(), "real"),
    "mse sigmoid": Task("sigmoid", MSE(), "real"),
    "mse tanh": Task("tanh", MSE(), "real"),
    "mse softmax": Task("softmax", MSE(), "soft"),
    "mse one output": Task("linear", MSE(), "real", outputs=1),
    "bce sigmoid, fused": Task("sigmoid", BCE(), "binary"),
    "bce sigmoid, fused, one output": Task("sigmoid", BCE(), "binary", outputs=1),
    "bce sigmoid, fused, smoothed": Task("sigmoid", BCE(label_smoothing=0.2), "binary"),
    "bce of softmax's probabilities": Task("softmax", BCE(), "binary"),
    "bce of softmax's probabilities, smoothed": Task("softmax", BCE(label_smoothing=0.2), "binary"),
    "bce from logits": Task("linear", BCE(from_logits=True), "binary"),
    "bce from logits, one output": Task("linear", BCE(from_logits=True), "binary", outputs=1),
    "bce from logits, smoothed": Task("linear", BCE(from_logits=True, label_smoothing=0.2), "binary"),
    "bce from logits behind sigmoid is not fused": Task("sigmoid", BCE(from_logits=True), "binary"),
    "cce softmax, fused": Task("softmax", CCE(), "one-hot"),
    "cce softmax, fused, soft targets": Task("softmax", CCE(), "soft"),
    "cce softmax, fused, smoothed": Task("softmax", CCE(label_smoothing=0.2), "one-hot"),
    "cce of sigmoid's probabilities": Task("sigmoid", CCE(), "one-hot"),
    "cce of sigmoid's probabilities, smoothed": Task("sigmoid", CCE(label_smoothing=0.2), "one-hot"),
    "cce from logits": Task("linear", CCE(from_logits=True), "one-hot"),
    "cce from logits, smoothed": Task("linear", CCE(from_logits=True, label_smoothing=0.2), "one-hot"),
    "cce from logits behind softmax is not fused": Task("softmax", CCE(from_logits=True), "one-hot"),
    "sparse softmax, fused": Task("softmax", SPARSE(), "labels"),
    "sparse of sigmoid's probabilities": Task("sigmoid", SPARSE(), "labels"),
    "sparse from logits": Task("linear", SPARSE(from_logits=True), "labels"),
    "sparse from logits behind tanh": Task("tanh", SPARSE(from_logits=True), "labels"),
}

OPTIMIZERS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "sgd": (lambda: optimizers.SGD(0.3), lambda: reference_optimizers.SGD(0.3)),
    "momentum": (lambda: optimizers.SGD(0.1, momentum=0.8), lambda: reference_optimizers.SGD(0.1, momentum=0.8)),
    "nesterov": (
        lambda: optimizers.SGD(0.1, momentum=0.8, nesterov=True),
        lambda: reference_optimizers.SGD(0.1, momentum=0.8, nesterov=True),
    ),
    "adam": (lambda: optimizers.Adam(0.01), lambda: reference_optimizers.Adam(0.01)),
    "adam, other constants": (
        lambda: optimizers.Adam(0.02, beta_1=0.5, beta_2=0.9, epsilon=0.01),
        lambda: reference_optimizers.Adam(0.02, beta_1=0.5, beta_2=0.9, epsilon=0.01),
    ),
}


def targets(kind: str, n: int, outputs: int, rng: np.random.Generator) -> np.ndarray:
    if kind == "real":
        return rng.standard_normal((n, outputs))
    if kind == "binary":
        return rng.integers(0, 2, (n, outputs)).astype(float)
    labels = rng.integers(0, outputs, n)
    if kind == "labels":
        return labels
    if kind == "one-hot":
        return np.eye(outputs)[labels]
    return rng.dirichlet(np.ones(outputs), n)


def make(
    sizes: list[int],
    activations: list[str],
    loss: losses.Loss,
    optimizer: Any = "sgd",
    dtype: str = "float64",
    use_bias: bool = True,
    metrics: list[str] | None = None,
) -> tuple[Sequential, network.Network]:
    """A model with biases that are not 0, and the reference's description of it."""
    stack = [layers.Dense(n, activation=a, use_bias=use_bias) for n, a in zip(sizes[1:], activations, strict=True)]
    model = Sequential([layers.Input((sizes[0],)), *stack], seed=17, dtype=dtype)
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    noise = np.random.default_rng(3).standard_normal(model.count_params())
    # Small enough not to saturate, and no symmetry that would hide an exchange.
    model.parameters = 0.6 * model.parameters + 0.2 * noise
    return model, network.Network(
        tuple(sizes),
        tuple(activations),
        type(loss)._name,
        from_logits=getattr(loss, "from_logits", False),
        label_smoothing=getattr(loss, "label_smoothing", 0.0),
        use_bias=use_bias,
    )


def assert_trains_like_the_oracle(
    model: Sequential,
    description: network.Network,
    oracle: Any,
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int = 5,
    epochs: int = 3,
    shuffle: bool = True,
    weights: np.ndarray | None = None,
    **how: Any,
) -> None:
    """`how` is given to fit alone; `weights` are what it should come to, and are sample_weight without it."""
    x = x.astype(model.dtype)  # both see the same numbers
    start = model.parameters.astype(np.float64)
    expected, expected_losses = network.fit(
        start,
        description,
        oracle,
        x.astype(np.float64),
        y,
        batch_size=batch_size,
        epochs=epochs,
        seed=model.seed,
        shuffle=shuffle,
        sample_weight=weights,
    )
    how = how or {"sample_weight": weights}
    history = model.fit(x, y, batch_size=batch_size, epochs=epochs, shuffle=shuffle, verbose=0, **how)
    tolerance = TOLERANCE[model.dtype.name]
    assert np.abs(expected - start).max() > 1e-3  # it has trained
    np.testing.assert_allclose(model.parameters, expected, **tolerance)
    assert history.epoch == list(range(epochs))
    np.testing.assert_allclose(history.history["loss"], expected_losses, **tolerance)
    assert model.optimizer is not None
    assert model.optimizer.iterations == epochs * -(-len(x) // batch_size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_every_loss_with_every_optimizer(task: str, optimizer: str, dtype: str) -> None:
    last, loss, kind, outputs = TASKS[task]
    mine, oracle = OPTIMIZERS[optimizer]
    model, description = make([4, 7, outputs], ["tanh", last], loss, mine(), dtype)
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((23, 4)), targets(kind, 23, outputs, rng)
    assert_trains_like_the_oracle(model, description, oracle(), x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("second", ["linear", "relu", "sigmoid", "tanh", "softmax"])
@pytest.mark.parametrize("first", ["linear", "relu", "sigmoid", "tanh", "softmax"])
def test_every_hidden_activation(first: str, second: str, dtype: str) -> None:
    model, description = make([5, 9, 6, 2], [first, second, "linear"], MSE(), optimizers.SGD(0.3), dtype)
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((21, 5)), rng.standard_normal((21, 2))
    assert_trains_like_the_oracle(model, description, reference_optimizers.SGD(0.3), x, y, batch_size=4)


WIDTHS = [1, 2, 3, 7, 15, 16, 17, 33]  # round every vector length


@given(
    sizes=st.lists(st.sampled_from(WIDTHS), min_size=1, max_size=4),
    hidden=st.lists(st.sampled_from(["relu", "tanh", "sigmoid"]), min_size=3, max_size=3),
    outputs=st.sampled_from(WIDTHS),
    task=st.sampled_from(sorted(TASKS)),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    use_bias=st.booleans(),
    dtype=st.sampled_from(DTYPES),
    n=st.integers(2, 40),
    batch_size=st.sampled_from([1, 2, 3, 5, 16, 40, 1000]),
    shuffle=st.booleans(),
    weighted=st.booleans(),
)
@settings(derandomize=True, deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
def test_any_network(
    sizes: list[int],
    hidden: list[str],
    outputs: int,
    task: str,
    optimizer: str,
    use_bias: bool,
    dtype: str,
    n: int,
    batch_size: int,
    shuffle: bool,
    weighted: bool,
) -> None:
    last, loss, kind, fixed = TASKS[task]
    if kind in ("labels", "one-hot", "soft") or last == "softmax":
        outputs = max(outputs, 2)
    elif fixed == 1:
        outputs = 1
    mine, oracle = OPTIMIZERS[optimizer]
    activations = [*hidden[: len(sizes) - 1], last]
    model, description = make([*sizes, outputs], activations, loss, mine(), dtype, use_bias)
    rng = np.random.default_rng(n)
    x, y = rng.standard_normal((n, sizes[0])), targets(kind, n, outputs, rng)
    weights = rng.uniform(0, 2, n).astype(dtype) if weighted else None
    x = x.astype(dtype)
    start = model.parameters.astype(np.float64)
    # Some of these trainings magnify a rounding a thousandfold. The yardstick is what becomes of one in the oracle.
    rounding = np.finfo(dtype).eps * rng.standard_normal(start.size)
    (expected, expected_losses), (near, near_losses) = (
        network.fit(
            begin, description, oracle(), x.astype(np.float64), y,
            batch_size=batch_size, epochs=2, seed=17, shuffle=shuffle, sample_weight=weights,
        )
        for begin in (start, start * (1 + rounding))
    )  # fmt: skip
    history = model.fit(x, y, batch_size=batch_size, epochs=2, shuffle=shuffle, sample_weight=weights, verbose=0)
    allowed = 40 * (np.finfo(dtype).eps + np.abs(near - expected).max())
    np.testing.assert_allclose(model.parameters, expected, rtol=0, atol=allowed)
    allowed = 40 * (np.finfo(dtype).eps + np.abs(np.subtract(near_losses, expected_losses)).max())
    np.testing.assert_allclose(history.history["loss"], expected_losses, rtol=40 * np.finfo(dtype).eps, atol=allowed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_width_of_inputs_layers_and_outputs(width: int, dtype: str) -> None:
    rng = np.random.default_rng(width)
    for sizes in ([width, 5, 2], [5, width, 2], [5, 4, width], [width, width, width]):
        model, description = make(sizes, ["tanh", "linear"], MSE(), optimizers.SGD(0.2, momentum=0.5), dtype)
        x, y = rng.standard_normal((13, sizes[0])), rng.standard_normal((13, sizes[-1]))
        oracle = reference_optimizers.SGD(0.2, momentum=0.5)
        assert_trains_like_the_oracle(model, description, oracle, x, y, batch_size=6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 16, 22, 23, 24, 1000, 10**30])
def test_every_batch_size_and_the_last_short_batch(batch_size: int, dtype: str) -> None:
    model, description = make([3, 8, 2], ["tanh", "softmax"], SPARSE(), optimizers.Adam(0.01), dtype)
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((23, 3)), rng.integers(0, 2, 23)
    oracle = reference_optimizers.Adam(0.01)
    assert_trains_like_the_oracle(model, description, oracle, x, y, batch_size=batch_size)


def test_the_default_batch_size_is_32() -> None:
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((65, 3)), rng.standard_normal((65, 2))
    model, description = make([3, 2], ["linear"], MSE(), optimizers.SGD(0.1))
    expected, _ = network.fit(
        model.parameters, description, reference_optimizers.SGD(0.1), x, y, batch_size=32, epochs=1, seed=17
    )
    model.fit(x, y, verbose=0)
    np.testing.assert_allclose(model.parameters, expected, rtol=1e-12)
    assert model.optimizer is not None
    assert model.optimizer.iterations == 3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [[3, 2], [1, 1], [1, 4, 1], [6, 1], [1, 3], [2, 1, 1, 2]])
def test_small_and_shallow_networks(sizes: list[int], dtype: str) -> None:
    activations = [*["tanh"] * (len(sizes) - 2), "linear"]
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((19, sizes[0])), rng.standard_normal((19, sizes[-1]))
    for use_bias in (True, False):
        model, description = make(sizes, activations, MSE(), optimizers.SGD(0.1), dtype, use_bias)
        assert_trains_like_the_oracle(model, description, reference_optimizers.SGD(0.1), x, y, batch_size=4)


def test_a_deep_network() -> None:
    sizes = [4, *[6] * 20, 3]
    model, description = make(sizes, [*["tanh"] * 20, "softmax"], CCE(), optimizers.Adam(0.01))
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((17, 4)), targets("one-hot", 17, 3, rng)
    assert_trains_like_the_oracle(model, description, reference_optimizers.Adam(0.01), x, y)


def test_biases_of_some_layers_only() -> None:
    rng = np.random.default_rng(10)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    stack = [layers.Dense(4, "tanh", use_bias=False), layers.Dense(5, "tanh"), layers.Dense(2, use_bias=False)]
    model = Sequential([layers.Input((3,)), *stack], seed=1, dtype="float64")
    model.compile("sgd", "mse")
    full, description = make([3, 4, 5, 2], ["tanh", "tanh", "linear"], MSE())
    first, second, last = (layer.kernel for layer in stack)
    middle = stack[1].bias
    assert middle is not None
    full.set_weights([first, np.zeros(4), second, middle, last, np.zeros(2)])
    _, gradient = network.value_and_gradient(full.parameters, description, x, y)
    wanted = np.ones(full.count_params(), dtype=bool)
    wanted[12:16] = wanted[-2:] = False
    np.testing.assert_allclose(model.value_and_gradient(x, y)[1], gradient[wanted], rtol=1e-11)


# ---- batches of more than one chunk ----------------------------------------------------------------------------------


def chunk(model: Sequential) -> int:
    """Rows that the engine works on at once: gradients of longer batches add up over chunks."""
    return int(model._engine.chunk)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [3, 200])
@pytest.mark.parametrize("factor", [1, 2, 2.5])
@pytest.mark.parametrize("off", [-1, 0, 1])
def test_gradients_add_up_over_chunks(off: int, factor: float, width: int, dtype: str) -> None:
    model, description = make([2, width, 2], ["tanh", "softmax"], SPARSE(), optimizers.SGD(0.1, 0.9), dtype)
    batch_size = int(factor * chunk(model)) + off
    n = 3 * chunk(model) + 5
    rng = np.random.default_rng(11)
    x, y = rng.standard_normal((n, 2)), rng.integers(0, 2, n)
    assert_trains_like_the_oracle(
        model, description, reference_optimizers.SGD(0.1, 0.9), x, y,
        batch_size=batch_size, weights=rng.uniform(0.5, 2, n).astype(dtype),
    )  # fmt: skip


def test_the_chunk_depends_on_the_network() -> None:
    # The test above means what it says only where chunks are of the sizes it was written for.
    small, _ = make([2, 3, 2], ["tanh", "softmax"], SPARSE())
    large, _ = make([2, 200, 2], ["tanh", "softmax"], SPARSE())
    assert 64 <= chunk(large) <= chunk(small) <= 4096


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("task", ["mse linear", "bce sigmoid, fused", "cce softmax, fused", "sparse from logits"])
def test_sample_weight(task: str, dtype: str) -> None:
    last, loss, kind, outputs = TASKS[task]
    model, description = make([4, 6, outputs], ["relu", last], loss, optimizers.SGD(0.2), dtype)
    rng = np.random.default_rng(12)
    x, y = rng.standard_normal((23, 4)), targets(kind, 23, outputs, rng)
    weights = rng.uniform(0, 3, 23).astype(dtype)
    weights[4:8] = 0
    assert_trains_like_the_oracle(model, description, reference_optimizers.SGD(0.2), x, y, weights=weights)


@pytest.mark.parametrize("kind", ["labels", "one-hot", "column", "flat"])
def test_class_weight_is_a_weight_for_the_samples_of_a_class(kind: str) -> None:
    rng = np.random.default_rng(13)
    x, labels = rng.standard_normal((23, 4)), rng.integers(0, 3, 23)
    class_weight: dict[Any, float] = {0: 0.25, 2: 3}  # class 1 weighs 1
    if kind in ("column", "flat"):
        labels = np.minimum(labels, 1)
        class_weight = {0: 0.25, 1: 3}
    weights = np.array([class_weight.get(label, 1.0) for label in labels.tolist()])
    y, loss, last, outputs = {
        "labels": (labels, SPARSE(), "softmax", 3),
        "one-hot": (np.eye(3)[labels], CCE(), "softmax", 3),
        "column": (labels[:, np.newaxis], BCE(), "sigmoid", 1),
        "flat": (labels, BCE(), "sigmoid", 1),
    }[kind]
    sample_weight = rng.uniform(0.5, 2, 23)
    oracle_y = y if kind != "flat" else labels[:, np.newaxis]
    for extra in (None, sample_weight):
        model, description = make([4, 6, outputs], ["tanh", last], loss, optimizers.SGD(0.2))
        twin, _ = make([4, 6, outputs], ["tanh", last], loss, optimizers.SGD(0.2))
        product = weights if extra is None else weights * extra
        assert_trains_like_the_oracle(
            model, description, reference_optimizers.SGD(0.2), x, oracle_y,
            weights=product, class_weight=class_weight, sample_weight=extra,
        )  # fmt: skip
        twin.fit(x, y, batch_size=5, epochs=3, sample_weight=product, verbose=0)
        np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_one_weight_for_all_samples() -> None:
    rng = np.random.default_rng(14)
    x, y = rng.standard_normal((11, 3)), rng.standard_normal((11, 2))
    results = []
    for weight in (2.5, np.full(11, 2.5), np.full((11, 1), 2.5), [2.5] * 11):
        model, _ = make([3, 2], ["linear"], MSE())
        history = model.fit(x, y, sample_weight=weight, epochs=2, verbose=0)
        results.append(
            (model.parameters.tobytes(), history.history["loss"], model.evaluate(x, y, sample_weight=weight))
        )
    assert all(result == results[0] for result in results[1:])
    model, _ = make([3, 2], ["linear"], MSE())
    assert results[0][0] != model.parameters.tobytes()
    np.testing.assert_allclose(model.evaluate(x, y, sample_weight=2.5), 2.5 * model.evaluate(x, y), rtol=1e-14)


def test_samples_of_weight_0_do_not_count() -> None:
    rng = np.random.default_rng(15)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal((12, 2))
    weights = np.repeat([1.0, 0.0], 6)
    model, _ = make([3, 4, 2], ["tanh", "linear"], MSE())
    twin, _ = make([3, 4, 2], ["tanh", "linear"], MSE())
    value, gradient = model.value_and_gradient(x, y, weights)
    half_value, half_gradient = twin.value_and_gradient(x[:6], y[:6])
    np.testing.assert_allclose(value, half_value / 2, rtol=1e-13)
    np.testing.assert_allclose(gradient, half_gradient / 2, rtol=1e-12)


# ---- a run in pieces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
def test_epochs_in_several_calls_are_the_same_as_in_one(optimizer: str) -> None:
    rng = np.random.default_rng(16)
    x, y = rng.standard_normal((23, 4)), rng.standard_normal((23, 2))
    whole, pieces = (make([4, 6, 2], ["tanh", "linear"], MSE(), OPTIMIZERS[optimizer][0]())[0] for _ in range(2))
    losses_at_once = whole.fit(x, y, batch_size=5, epochs=5, verbose=0).history["loss"]
    history = [pieces.fit(x, y, batch_size=5, epochs=2, verbose=0).history["loss"] for _ in range(2)]
    last = pieces.fit(x, y, batch_size=5, epochs=5, initial_epoch=4, verbose=0)
    assert last.epoch == [4]
    assert [*history[0], *history[1], *last.history["loss"]] == losses_at_once
    assert pieces.parameters.tobytes() == whole.parameters.tobytes()


@pytest.mark.parametrize(("initial_epoch", "epochs"), [(0, 0), (3, 3), (4, 2)])
def test_no_epochs_change_nothing(initial_epoch: int, epochs: int) -> None:
    model, _ = make([4, 2], ["linear"], MSE(), "adam")
    before = model.parameters.tobytes()
    history = model.fit(np.ones((3, 4)), np.ones((3, 2)), epochs=epochs, initial_epoch=initial_epoch, verbose=0)
    assert (history.epoch, history.history) == ([], {})
    assert model.parameters.tobytes() == before


def test_the_learning_rate_may_change_between_epochs() -> None:
    rng = np.random.default_rng(17)
    x, y = rng.standard_normal((10, 3)), rng.standard_normal((10, 2))
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    oracle = reference_optimizers.SGD(0.1, momentum=0.9)
    model, description = make([3, 2], ["linear"], MSE(), optimizer)
    parameters = model.parameters.copy()
    for rate in (0.1, 0.02, 0.3):
        optimizer.learning_rate = oracle.learning_rate = rate
        model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
        parameters, _ = network.fit(parameters, description, oracle, x, y, batch_size=4, epochs=1, shuffle=False)
    np.testing.assert_allclose(model.parameters, parameters, rtol=1e-11)


# ---- value_and_gradient ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_value_and_gradient(task: str) -> None:
    last, loss, kind, outputs = TASKS[task]
    model, description = make([3, 5, outputs], ["tanh", last], loss)
    rng = np.random.default_rng(18)
    x, y = rng.standard_normal((9, 3)), targets(kind, 9, outputs, rng)
    weights = rng.uniform(0.5, 2, 9)
    value, gradient = model.value_and_gradient(x, y, weights)
    expected_value, expected_gradient = network.value_and_gradient(model.parameters, description, x, y, weights)
    assert isinstance(value, float)
    assert gradient.shape == (model.count_params(),)
    assert gradient.dtype == np.float64
    np.testing.assert_allclose(value, expected_value, rtol=1e-13)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-10, atol=1e-14)
    # And against its own values, so that an error in both would show.
    step = 1e-6
    for i in range(model.count_params()):
        ends = np.tile(model.parameters, (2, 1))
        ends[:, i] += [step, -step]
        high, low = (model.value_and_gradient(x, y, weights, parameters=end)[0] for end in ends)
        assert (high - low) / (2 * step) == pytest.approx(gradient[i], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_value_and_gradient_over_many_chunks(dtype: str) -> None:
    model, description = make([3, 9, 2], ["relu", "softmax"], SPARSE(), dtype=dtype)
    n = 4 * chunk(model) + 13
    rng = np.random.default_rng(19)
    x, y = rng.standard_normal((n, 3)).astype(dtype), rng.integers(0, 2, n)
    value, gradient = model.value_and_gradient(x, y)
    expected = network.value_and_gradient(model.parameters.astype(float), description, x.astype(float), y)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13 if dtype == "float64" else 1e-6)
    np.testing.assert_allclose(gradient, expected[1], **TOLERANCE[dtype])
    assert gradient.dtype == dtype


def test_value_and_gradient_elsewhere_leaves_the_model_alone() -> None:
    model, description = make([3, 5, 2], ["tanh", "softmax"], SPARSE(), "adam")
    rng = np.random.default_rng(20)
    x, y = rng.standard_normal((9, 3)), rng.integers(0, 2, 9)
    before = model.parameters.copy()
    elsewhere = rng.standard_normal(model.count_params())
    value, gradient = model.value_and_gradient(x, y, parameters=elsewhere)
    expected = network.value_and_gradient(elsewhere, description, x, y)
    np.testing.assert_allclose(value, expected[0], rtol=1e-13)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(model.parameters, before)
    assert model.optimizer is not None
    assert model.optimizer.iterations == 0
    # What comes back is the caller's: the model's own memory is used again.
    kept = gradient.copy()
    assert not np.shares_memory(gradient, model.gradients)
    model.value_and_gradient(x, y)
    np.testing.assert_array_equal(gradient, kept)
    assert value != model.value_and_gradient(x, y)[0]


def test_scipy_minimizes_a_linear_model_to_least_squares() -> None:
    rng = np.random.default_rng(21)
    x, y = rng.standard_normal((50, 4)), rng.standard_normal((50, 2))
    model, _ = make([4, 2], ["linear"], MSE())
    found = minimize(lambda p: model.value_and_gradient(x, y, parameters=p), model.parameters, jac=True, tol=1e-10)
    model.parameters = found.x
    exact = np.linalg.lstsq(np.c_[x, np.ones(50)], y, rcond=None)[0]
    np.testing.assert_allclose(model.layers[0].kernel, exact[:4], atol=1e-6)
    np.testing.assert_allclose(model.layers[0].bias, exact[4], atol=1e-6)


def test_value_and_gradient_is_the_derivative_of_evaluate() -> None:
    model, _ = make([3, 5, 2], ["tanh", "sigmoid"], BCE())
    rng = np.random.default_rng(22)
    x, y = rng.standard_normal((600, 3)), rng.integers(0, 2, (600, 2))
    weights = rng.uniform(0, 2, 600)
    np.testing.assert_allclose(
        model.value_and_gradient(x, y, weights)[0], model.evaluate(x, y, sample_weight=weights), rtol=1e-14
    )


# ---- losses that are not finite --------------------------------------------------------------------------------------


def test_tiny_losses_keep_their_digits() -> None:
    # -log(softmax) of a sure prediction is about exp(-40): a probability would have rounded to 1, and the loss to 0.
    model = Sequential([layers.Input((1,)), layers.Dense(2, activation="softmax")], dtype="float32")
    model.compile(loss="sparse_categorical_crossentropy")
    model.set_weights([np.zeros((1, 2)), np.array([40.0, 0.0])])
    assert model.evaluate(np.zeros((3, 1)), np.zeros(3, int)) == pytest.approx(np.exp(-40), rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 8])
@pytest.mark.parametrize(
    ("activation", "loss"), [("sigmoid", "binary_crossentropy"), ("linear", "mse"), ("sigmoid", "mse")]
)
@pytest.mark.parametrize("hidden", ["sigmoid", "tanh"])
def test_losses_of_tiny_networks_add_up(activation: str, loss: str, hidden: str, batch_size: int) -> None:
    # Of one output they are computed many steps at once, later: as single steps report them, in the same order.
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(203, 2)), rng.integers(0, 2, 203)

    def make() -> Sequential:
        model = Sequential([layers.Input((2,)), layers.Dense(3, hidden), layers.Dense(1, activation)], seed=2)
        model.compile(optimizers.SGD(0.3), loss, metrics=["binary_accuracy"])
        return model

    fitted, by_hand = make(), make()
    history = fitted.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0).history
    batches = [slice(i, i + batch_size) for i in range(0, len(x), batch_size)]
    means = [by_hand.train_on_batch(x[b], y[b]) for b in batches][-1]
    np.testing.assert_array_equal(fitted.parameters, by_hand.parameters)
    np.testing.assert_allclose([history["loss"][0], history["binary_accuracy"][0]], means, rtol=1e-12)


@pytest.mark.parametrize("bad", [0, 63, 64, 100, 129])
def test_the_first_bad_step_of_a_tiny_network(bad: int) -> None:
    x, y = np.zeros((130, 2)), np.zeros(130)
    x[bad] = np.nan
    model = Sequential([layers.Input((2,)), layers.Dense(3, "tanh"), layers.Dense(1)], seed=2)
    model.compile(optimizers.SGD(0.0625), "mse")
    with pytest.warns(RuntimeWarning, match=rf"the loss turned nan in epoch 1, step {bad + 1}$"):
        model.fit(x, y, batch_size=1, shuffle=False, verbose=0)
