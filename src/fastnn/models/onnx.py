"""Networks as ONNX graphs, which onnxruntime and others run without fastnn.

The graph is that of `predict`: dropout is gone, and batch normalization uses its moving averages.  Activations are made
of operators that onnxruntime has in float64 as well, which it has not of Elu, Softplus and their kind.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import layers
from ..activations import Activation
from ..config import __version__
from ..safetensors import replace_file
from .network import Network

OPSET = 17
IR_VERSION = 8  # which goes with it: the writer's own may be too new for the reader

_SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717  # scale, alpha: Klambauer et al. 2017


def export(network: Network, filepath: str | os.PathLike[str]) -> None:
    """Write a built network as an ONNX file: from ``input`` (N, …) to ``output`` (N, out), N any number.

    Raises
    ------
    ImportError
        Where onnx is not installed.
    ValueError
        For a layer that ONNX has no operators for: one of your own.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError('export needs onnx: pip install "fastnn[onnx]"') from error
    from onnx import helper

    graph = Graph(network.dtype, helper.make_node)
    n_in, flattens = network._known_inputs(), any(isinstance(layer, layers.Flatten) for layer in network.layers)
    shape = network._input.shape if network._input else (n_in,)
    x = graph("Flatten", "input", axis=1) if flattens else "input"
    for layer in network.layers:
        if type(layer) not in _LAYERS:
            known = ", ".join(kind.__name__ for kind in _LAYERS)
            raise ValueError(f"layer {layer.name!r} is a {type(layer).__name__}, expected one that ONNX has: {known}")
        x = _LAYERS[type(layer)](graph, x, layer)
    graph.nodes.append(helper.make_node("Identity", [x], ["output"]))
    number = helper.np_dtype_to_tensor_dtype(network.dtype)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            network.name,
            [helper.make_tensor_value_info("input", number, ["N", *shape])],
            [helper.make_tensor_value_info("output", number, ["N", network._n_outputs])],
            [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
        ),
        producer_name="fastnn",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model, full_check=True)
    replace_file(filepath, [model.SerializeToString()])


class Graph:
    """The nodes so far.  Methods put operators behind a value and return the name of the new one."""

    def __init__(self, dtype: np.dtype, make_node: Callable[..., Any]) -> None:
        self.dtype, self.make_node = dtype, make_node
        self.nodes: list[Any] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, value: Any, name: str | None = None) -> str:
        name = name or f"constant_{value!r}"
        self.constants[name] = np.asarray(value, self.dtype)
        return name

    def __call__(self, operator: str, *inputs: str | float, **attributes: Any) -> str:
        output = f"{operator}_{len(self.nodes)}"
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        self.nodes.append(self.make_node(operator, names, [output], **attributes))
        return output


# ---- activations: of a value, and of the function's parameters ------------------------------------------------------


def _elu(g: Graph, x: str, alpha: float = 1.0) -> str:
    return g("Add", g("Relu", x), g("Mul", g("Sub", g("Exp", g("Min", x, 0.0)), 1.0), alpha))


def _celu(g: Graph, x: str, alpha: float) -> str:
    below = g("Sub", g("Exp", g("Div", g("Min", x, 0.0), alpha)), 1.0)
    return g("Add", g("Relu", x), g("Mul", below, alpha))


def _gelu(g: Graph, x: str, approximate: bool) -> str:
    if approximate:
        cube = g("Mul", g("Mul", x, x), g("Mul", x, 0.044715))
        return _times_sigmoid(g, x, g("Mul", g("Add", x, cube), math.sqrt(8 / math.pi)))
    z = g("Mul", x, math.sqrt(0.5))
    # onnxruntime has erf in float32 (1 of ONNX's types) alone, not in float64 (11).
    erf = g("Erf", z) if g.dtype == np.float32 else g("Cast", g("Erf", g("Cast", z, to=1)), to=11)
    return g("Mul", g("Mul", x, 0.5), g("Add", erf, 1.0))


def _times_sigmoid(g: Graph, x: str, z: str) -> str:
    """x/(1 + exp(-z)): onnxruntime's own sigmoid never gets below 1e-8, which a large x would show."""
    return g("Div", x, g("Add", g("Exp", g("Neg", z)), 1.0))


def _mish(g: Graph, x: str) -> str:
    """With e = exp(-|x|): x a/(a + b), where a = e² + 2e and b = 2 below 0, a = 1 + 2e and b = 2e² above."""
    e, is_below = g("Exp", g("Neg", g("Abs", x))), g("Less", x, 0.0)
    square, twice = g("Mul", e, e), g("Mul", e, 2.0)
    a = g("Add", g("Where", is_below, square, 1.0), twice)
    b = g("Mul", g("Where", is_below, 1.0, square), 2.0)
    return g("Mul", x, g("Div", a, g("Add", a, b)))


def _squareplus(g: Graph, x: str, b: float) -> str:
    """(x + s)/2 = b/2/(s - x), s = √(x² + b): each where it does not cancel."""
    total = g("Add", g("Abs", x), g("Sqrt", g("Add", g("Mul", x, x), b)))
    return g("Where", g("Less", x, 0.0), g("Div", b / 2, total), g("Div", total, 2.0))


def _softplus(g: Graph, x: str) -> str:
    """max(x, 0) + log(1 + exp(-|x|)), in which nothing overflows."""
    return g("Add", g("Relu", x), g("Log", g("Add", g("Exp", g("Neg", g("Abs", x))), 1.0)))


def _sparse_plus(g: Graph, x: str) -> str:
    root = g("Div", g("Add", g("Clip", x, -1.0, 1.0), 1.0), 2.0)
    return g("Add", g("Mul", root, root), g("Relu", g("Sub", x, 1.0)))


def _relu(g: Graph, x: str, negative_slope: float, max_value: float | None, threshold: float) -> str:
    above = x if threshold == 0 else g("Where", g("Greater", x, threshold), x, 0.0)
    above = g("Relu", above) if max_value is None else g("Clip", above, 0.0, max_value)
    if negative_slope == 0:
        return above
    return g("Add", above, g("Mul", g("Min", g("Sub", x, threshold), 0.0), negative_slope))


def _hard_sigmoid(g: Graph, x: str) -> str:
    return g("Clip", g("Add", g("Div", x, 6.0), 0.5), 0.0, 1.0)


_ACTIVATIONS: dict[str, Callable[..., str]] = {
    "celu": _celu,
    "elu": _elu,
    "exponential": lambda g, x: g("Exp", x),
    "gelu": _gelu,
    "hard_shrink": lambda g, x, threshold: g("Where", g("Greater", g("Abs", x), threshold), x, 0.0),
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda g, x: g("Mul", x, _hard_sigmoid(g, x)),
    "hard_tanh": lambda g, x: g("Clip", x, -1.0, 1.0),
    "leaky_relu": lambda g, x, negative_slope: g("Add", g("Relu", x), g("Mul", g("Min", x, 0.0), negative_slope)),
    "linear": lambda g, x: x,
    "log_sigmoid": lambda g, x: g("Neg", _softplus(g, g("Neg", x))),
    "log_softmax": lambda g, x, axis: g("LogSoftmax", x, axis=-1),  # which axis 1 is, too
    "mish": _mish,
    "relu": _relu,
    "relu6": lambda g, x: g("Clip", x, 0.0, 6.0),
    "selu": lambda g, x: g("Mul", _elu(g, x, _SELU[1]), _SELU[0]),
    "sigmoid": lambda g, x: g("Sigmoid", x),
    "silu": lambda g, x: _times_sigmoid(g, x, x),
    "soft_shrink": lambda g, x, threshold: g("Sub", x, g("Clip", x, -threshold, threshold)),
    "softmax": lambda g, x, axis: g("Softmax", x, axis=-1),
    "softplus": _softplus,
    "softsign": lambda g, x: g("Div", x, g("Add", g("Abs", x), 1.0)),
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": lambda g, x: g("Clip", g("Div", g("Add", x, 1.0), 2.0), 0.0, 1.0),
    "squareplus": _squareplus,
    "tanh": lambda g, x: g("Tanh", x),
    "tanh_shrink": lambda g, x: g("Sub", x, g("Tanh", x)),
}


def _activation(g: Graph, x: str, activation: Activation) -> str:
    return _ACTIVATIONS[activation.name](g, x, **activation.parameters)


# ---- layers ---------------------------------------------------------------------------------------------------------


def _dense(g: Graph, x: str, layer: Any) -> str:
    kernel = g.constant(layer.kernel, f"{layer.name}.kernel")
    if layer.bias is None:
        z = g("MatMul", x, kernel)
    else:
        z = g("Gemm", x, kernel, g.constant(layer.bias, f"{layer.name}.bias"))
    return _activation(g, z, layer.activation)


def _gamma_and_beta(g: Graph, layer: Any) -> list[str]:
    """Those of a normalization, which the operators want both."""
    gamma = np.ones(layer.n_in) if layer.gamma is None else layer.gamma
    beta = np.zeros(layer.n_in) if layer.beta is None else layer.beta
    return [g.constant(gamma, f"{layer.name}.gamma"), g.constant(beta, f"{layer.name}.beta")]


def _batch_normalization(g: Graph, x: str, layer: Any) -> str:
    moving = [g.constant(getattr(layer, name), f"{layer.name}.{name}") for name in ("moving_mean", "moving_variance")]
    return g("BatchNormalization", x, *_gamma_and_beta(g, layer), *moving, epsilon=layer.epsilon)


def _layer_normalization(g: Graph, x: str, layer: Any) -> str:
    return g("LayerNormalization", x, *_gamma_and_beta(g, layer), axis=-1, epsilon=layer.epsilon)


def _normalization(g: Graph, x: str, layer: Any) -> str:
    mean = g.constant(layer.mean, f"{layer.name}.mean")
    deviation = g.constant(layer.deviation, f"{layer.name}.deviation")
    if layer.invert:
        return g("Add", g("Mul", x, deviation), mean)
    return g("Div", g("Sub", x, mean), deviation)


def _rescaling(g: Graph, x: str, layer: Any) -> str:
    scale, offset = (g.constant(getattr(layer, name), f"{layer.name}.{name}") for name in ("scale", "offset"))
    return g("Add", g("Mul", x, scale), offset)


_LAYERS: dict[type[layers.Layer], Callable[[Graph, str, Any], str]] = {
    **dict.fromkeys(
        (layers.Activation, layers.ELU, layers.Identity, layers.LeakyReLU, layers.ReLU, layers.Softmax),
        lambda g, x, layer: _activation(g, x, layer.activation),
    ),
    layers.BatchNormalization: _batch_normalization,
    layers.Dense: _dense,
    layers.Dropout: lambda g, x, layer: x,
    layers.Flatten: lambda g, x, layer: x,  # done at the entrance: layers know rows alone
    layers.LayerNormalization: _layer_normalization,
    layers.Normalization: _normalization,
    layers.Rescaling: _rescaling,
}
