"""The reference network: the worked example, flat gradients against central differences, and training."""

import ast
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fastnn import reference
from fastnn.reference import losses, network, optimizers, random
from fastnn.reference.network import Network


def count(sizes, use_bias=True):
    return sum((inputs + use_bias) * outputs for inputs, outputs in pairwise(sizes))


def test_the_reference_imports_numpy_and_itself_alone():
    allowed = {"numpy", "collections", "dataclasses", "itertools", "math", "typing"}
    for path in Path(reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= allowed, path
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1 or (node.module or "").split(".")[0] in allowed, path


# --- the worked example -----------------------------------------------------------------------------------------------

# A 2-2-1 sigmoid network. Kernels are (in, out): unit 1 has the weights w11, w21, unit 2 has w12, w22.
EXAMPLE = Network(sizes=(2, 2, 1), activations=("sigmoid", "sigmoid"), loss="binary_crossentropy")
EXAMPLE_PARAMETERS = np.array([0.2, 0.3, 0.4, 0.1, 0.1, 0.2, 0.7, 0.5, 0.3])
EXAMPLE_X, EXAMPLE_Y = np.array([[1.0, 0.0]]), np.array([[1.0]])


def test_worked_example_forward():
    pre_activations, outputs = network.forward(EXAMPLE_PARAMETERS, EXAMPLE, EXAMPLE_X)
    np.testing.assert_array_equal(outputs[0], EXAMPLE_X)
    np.testing.assert_allclose(outputs[1], [[0.574442516812, 0.622459331202]], rtol=0, atol=5e-13)
    np.testing.assert_allclose(pre_activations[1], [[1.013339427369]], rtol=0, atol=5e-13)
    np.testing.assert_allclose(outputs[2], [[0.733673171793]], rtol=0, atol=5e-13)


def test_worked_example_backward_and_step():
    value, gradient = network.value_and_gradient(EXAMPLE_PARAMETERS, EXAMPLE, EXAMPLE_X, EXAMPLE_Y)
    assert value == pytest.approx(0.309691619567, rel=0, abs=5e-13)
    expected = [
        *[-0.045574064747, -0.031293896644, 0, 0],  # w11, w12, w21, w22
        *[-0.045574064747, -0.031293896644],  # b1, b2
        *[-0.152989453490, -0.165777619367],  # w13, w23
        -0.266326828207,  # b3
    ]
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=5e-13)
    after, history = network.fit(
        EXAMPLE_PARAMETERS, EXAMPLE, optimizers.SGD(0.1), EXAMPLE_X, EXAMPLE_Y, batch_size=1, epochs=1
    )
    assert after[6] == pytest.approx(0.715298945349, rel=0, abs=5e-13)
    assert history == [value]


# --- flat parameters --------------------------------------------------------------------------------------------------


def test_unflatten_goes_layer_by_layer_kernel_then_bias():
    (kernel_1, bias_1), (kernel_2, bias_2) = network.unflatten(np.arange(13.0), (2, 3, 1))
    assert kernel_1.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert bias_1.tolist() == [6, 7, 8]
    assert kernel_2.tolist() == [[9], [10], [11]]
    assert bias_2.tolist() == [12]


def test_unflatten_without_biases():
    (kernel_1, bias_1), (kernel_2, bias_2) = network.unflatten(np.arange(9.0), (2, 3, 1), use_bias=False)
    assert kernel_1.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert kernel_2.tolist() == [[6], [7], [8]]
    assert (bias_1, bias_2) == (None, None)


@pytest.mark.parametrize("length", [12, 14])
def test_unflatten_checks_the_length(length):
    with pytest.raises(
        ValueError, match=rf"parameters has shape \({length},\), expected \(13,\) for sizes \(2, 3, 1\)"
    ):
        network.unflatten(np.zeros(length), (2, 3, 1))


# --- gradients --------------------------------------------------------------------------------------------------------

LAST = ["linear", "relu", "sigmoid", "tanh", "softmax"]
GRADIENT_CASES = [
    *[("mean_squared_error", last, False) for last in LAST],
    *[(loss, last, True) for loss in network.LOSSES if loss != "mean_squared_error" for last in LAST],
    # Probabilities come from activations that stay inside (0, 1).
    *[
        (loss, last, False)
        for loss in network.LOSSES
        if loss != "mean_squared_error"
        for last in ("sigmoid", "softmax")
    ],
]


def problem(loss, use_bias=True, seed=15):
    generator = np.random.default_rng(seed)
    sizes = (4, 5, 3)
    parameters = generator.normal(scale=0.7, size=count(sizes, use_bias)).astype(np.longdouble)
    x = generator.normal(size=(6, 4)).astype(np.longdouble)
    y = generator.integers(3, size=6) if loss.startswith("sparse") else generator.uniform(size=(6, 3))
    weights = generator.uniform(0.5, 2, size=6)
    return sizes, parameters, x, y, weights


def check_gradient(model, parameters, x, y, weights, central_difference):
    value, gradient = network.value_and_gradient(parameters, model, x, y, weights)
    assert isinstance(value, float)
    assert gradient.dtype == parameters.dtype
    # The value is rounded to float64; the derivative is taken of the unrounded cost.
    loss, _ = network.LOSSES[model.loss]
    fused = (model.activations[-1], model.loss) in network.FUSED and not model.from_logits

    def cost(theta):
        pre_activations, outputs = network.forward(theta, model, x)
        options = {"label_smoothing": model.label_smoothing} if model.label_smoothing else {}
        if fused or model.from_logits:
            options["from_logits"] = True
        return losses.cost(loss(y, pre_activations[-1] if fused else outputs[-1], **options), weights)

    assert value == float(cost(parameters))
    np.testing.assert_allclose(gradient, central_difference(cost, parameters), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("hidden", ["linear", "relu", "sigmoid", "tanh", "softmax"])
@pytest.mark.parametrize(("loss", "last", "from_logits"), GRADIENT_CASES)
def test_flat_gradient_is_the_derivative(loss, last, from_logits, hidden, central_difference):
    sizes, parameters, x, y, weights = problem(loss)
    model = Network(sizes, (hidden, last), loss, from_logits)
    check_gradient(model, parameters, x, y, weights, central_difference)


@pytest.mark.parametrize("loss", ["binary_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("last", ["sigmoid", "softmax"])
def test_flat_gradient_with_label_smoothing_and_without_biases(loss, last, central_difference):
    sizes, parameters, x, y, _ = problem(loss, use_bias=False)
    model = Network(sizes, ("tanh", last), loss, label_smoothing=0.1, use_bias=False)
    check_gradient(model, parameters, x, y, None, central_difference)
    plain = Network(sizes, ("tanh", last), loss, use_bias=False)
    value, _ = network.value_and_gradient(parameters, model, x, y)
    assert abs(value - network.value_and_gradient(parameters, plain, x, y)[0]) > 1e-4


@pytest.mark.parametrize(
    ("last", "loss", "y"),
    [
        ("sigmoid", "binary_crossentropy", [[0, 1]]),
        ("softmax", "categorical_crossentropy", [[0, 1]]),
        ("softmax", "sparse_categorical_crossentropy", [1]),
    ],
)
def test_fused_losses_are_never_clipped(last, loss, y):
    # Logits (60, -60) for the labels (0, 1): clipped probabilities would give a loss of 16 and a gradient of 0.
    model = Network((1, 2), (last,), loss)
    parameters, x = np.array([60.0, -60.0, 0.0, 0.0]), np.array([[1.0]])
    value, gradient = network.value_and_gradient(parameters, model, x, y)
    slope = 0.5 if last == "sigmoid" else 1  # the binary loss is a mean over its two outputs
    assert value == pytest.approx(60 if last == "sigmoid" else 120, rel=1e-15)
    np.testing.assert_allclose(gradient, [slope, -slope, slope, -slope], rtol=1e-15)


def test_dtype_is_kept():
    sizes, parameters, x, y, _ = problem("mean_squared_error")
    model = Network(sizes, ("relu", "linear"), "mean_squared_error")
    _, gradient = network.value_and_gradient(parameters.astype(np.float32), model, x.astype(np.float32), y)
    assert gradient.dtype == np.float32


# --- training ---------------------------------------------------------------------------------------------------------


def line(n):
    """A one-weight linear network, for which a row's loss and gradient can be written down: L = (w x - y)**2."""
    x = np.arange(1.0, n + 1)[:, np.newaxis]
    return Network((1, 1), ("linear",), "mean_squared_error", use_bias=False), x, 3 * x


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_takes_the_rows_in_order_and_trains_on_the_short_batch(shuffle, weighted):
    model, x, y = line(7)
    weights = np.linspace(0.5, 2, 7) if weighted else np.ones(7)
    w, expected_history = 0.5, []
    for epoch in range(3):
        order = random.permutation(7, 11, epoch) if shuffle else np.arange(7)
        total = 0.0
        for rows in (order[:3], order[3:6], order[6:]):
            error = w * x[rows, 0] - y[rows, 0]
            total += (weights[rows] * error**2).sum()
            w -= 0.01 * (weights[rows] * 2 * error * x[rows, 0]).sum() / len(rows)
        expected_history.append(total / 7)
    start = np.array([0.5])
    parameters, history = network.fit(
        start,
        model,
        optimizers.SGD(0.01),
        x,
        y,
        batch_size=3,
        epochs=3,
        seed=11,
        shuffle=shuffle,
        sample_weight=weights if weighted else None,
    )
    np.testing.assert_allclose(parameters, [w], rtol=1e-12)
    np.testing.assert_allclose(history, expected_history, rtol=1e-12)
    assert start.tolist() == [0.5]


def test_a_batch_larger_than_the_data_is_one_step_on_all_rows():
    model, x, y = line(4)
    calls = []

    def optimizer(parameters, gradient):
        calls.append(gradient)
        return parameters

    _, history = network.fit(np.array([1.0]), model, optimizer, x, y, batch_size=100, epochs=2, shuffle=False)
    value, gradient = network.value_and_gradient(np.array([1.0]), model, x, y)
    np.testing.assert_array_equal(calls, [gradient, gradient])
    assert history == [value, value]


@pytest.mark.parametrize(
    "optimizer", [optimizers.SGD(0.5, 0.9), optimizers.SGD(0.5, 0.9, True), optimizers.Adam(0.03)], ids=type
)
def test_training_learns_exclusive_or(optimizer):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    y = np.array([0, 1, 1, 0])
    model = Network((2, 8, 2), ("tanh", "softmax"), "sparse_categorical_crossentropy")
    start = np.random.default_rng(16).normal(size=count(model.sizes)).astype(np.float32)
    parameters, history = network.fit(start, model, optimizer, x, y, batch_size=2, epochs=200, seed=1)
    assert parameters.dtype == np.float32
    assert history[0] > 0.5
    assert history[-1] < 0.05
    _, outputs = network.forward(parameters, model, x)
    np.testing.assert_array_equal(outputs[-1].argmax(axis=-1), y)
