"""Time of a call that applies a network: one sample, and large batches.

All libraries work in this one process, which has the processors and pools of the threads that are asked for.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .cases import Case, Weights, data, first_weights
from .results import say, spread
from .timing import Yardstick, enough, quiet_slices

NETWORKS = {
    "4-16-2 tanh": Case((4, 16, 2), "tanh", "mse", "sgd", 1, 4096, 0.0),
    "784-256-128-10 relu": Case((784, 256, 128, 10), "relu", "mse", "sgd", 1, 4096, 0.0),
}
ROWS = [1, 4096]
TOLERANCE = 1e-4

Call = Callable[[np.ndarray], Any]


def fastnn(case: Case, weights: Weights, rows: int, threads: int) -> dict[str, Call]:
    import fastnn as library
    from fastnn import layers

    hidden = [layers.Dense(n, activation=case.activation) for n in case.sizes[1:-1]]
    model: Any = library.Sequential([layers.Input(case.sizes[:1]), *hidden, layers.Dense(case.sizes[-1])], seed=0)
    model.set_weights([array for pair in weights for array in pair])
    calls = {"fastnn, model.predict(x)": model.predict, "fastnn, model(x)": model}
    if hasattr(model, "predictor"):
        calls["fastnn, model.predictor()"] = model.predictor(rows=rows)
    return calls


def numpy(case: Case, weights: Weights, rows: int, threads: int) -> dict[str, Call]:
    buffers = [np.empty((rows, n), np.float32) for n in case.sizes[1:]]
    activate: Any = partial(np.maximum, np.float32(0)) if case.activation == "relu" else np.tanh

    def call(x: np.ndarray) -> np.ndarray:
        for i, ((kernel, bias), out) in enumerate(zip(weights, buffers, strict=True)):
            np.matmul(x, kernel, out=out)
            out += bias
            x = activate(out, out=out) if i < len(weights) - 1 else out
        return x

    return {"NumPy": call}


def torch(case: Case, weights: Weights, rows: int, threads: int) -> dict[str, Call]:
    import torch as library

    if threads:
        library.set_num_threads(threads)
    modules: list[Any] = []
    for kernel, bias in weights:
        linear = library.nn.Linear(*kernel.shape)
        with library.no_grad():
            linear.weight.copy_(library.from_numpy(kernel.T.copy()))
            linear.bias.copy_(library.from_numpy(bias))
        modules += [linear, {"relu": library.nn.ReLU, "tanh": library.nn.Tanh}[case.activation]()]
    model = library.nn.Sequential(*modules[:-1]).eval()
    traced = library.jit.freeze(library.jit.trace(model, library.zeros(rows, case.sizes[0])))

    def apply(model: Any, x: np.ndarray) -> Any:
        return model(library.from_numpy(x)).numpy()

    apply = library.inference_mode()(apply)
    return {"PyTorch": partial(apply, model), "PyTorch, traced and frozen": partial(apply, traced)}


def onnxruntime(case: Case, weights: Weights, rows: int, threads: int) -> dict[str, Call]:
    import onnx
    import onnxruntime as library

    helper, numpy_helper, real = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    nodes, initializers, name = [], [], "x"
    for i, (kernel, bias) in enumerate(weights):
        initializers += [numpy_helper.from_array(kernel, f"W{i}"), numpy_helper.from_array(bias, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [name, f"W{i}", f"b{i}"], [f"z{i}"]))
        name = f"z{i}"
        if i < len(weights) - 1:
            operator = {"relu": "Relu", "tanh": "Tanh"}[case.activation]
            nodes.append(helper.make_node(operator, [name], [f"a{i}"]))
            name = f"a{i}"
    inputs = [helper.make_tensor_value_info("x", real, [rows, case.sizes[0]])]
    outputs = [helper.make_tensor_value_info(name, real, [rows, case.sizes[-1]])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = library.SessionOptions()
    options.intra_op_num_threads = threads  # 0 is its own choice
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        onnx.save(model, path)
        session = library.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {"ONNX Runtime": lambda x: session.run(None, {"x": x})[0]}


LIBRARIES = {"fastnn": fastnn, "numpy": numpy, "torch": torch, "onnxruntime": onnxruntime}


def measure(threads: int, rounds: int, seconds: float, length: float) -> list[dict[str, Any]]:
    """Seconds of a call, by network and rows."""
    found = [make for name, make in LIBRARIES.items() if all(map(importlib.util.find_spec, [name, *_also_needs(name)]))]
    yardstick, results = Yardstick(), []
    for network, case in NETWORKS.items():
        weights = first_weights(case)
        samples = data(case)[0]
        for rows in ROWS:
            x = samples[:rows].copy()
            expected = _outputs(case, weights, x)
            calls: dict[str, Call] = {}
            for make in found:
                try:
                    calls |= make(case, weights, rows, threads)
                except Exception as error:
                    say(f"{make.__name__} is left out: {error}")
            spent: dict[str, list[float]] = {}
            for i in range(rounds):
                for way, call in calls.items():
                    say(f"{network}, {rows} rows: round {i + 1} of {rounds}, {way}")
                    if np.abs(np.asarray(call(x)).reshape(expected.shape) - expected).max() > TOLERANCE:
                        raise ValueError(f"{way} computes something else")
                    repeat = partial(_repeat, call, x)
                    count = enough(repeat, length)
                    slices, _ = quiet_slices(partial(repeat, count), lambda: None, seconds, yardstick)
                    spent.setdefault(way, []).extend(one / count for one, _ in slices)
            results += [
                {"network": network, "rows": rows, "threads": threads, "way": way, **spread(values)}
                for way, values in spent.items()
            ]
    return results


def _also_needs(name: str) -> list[str]:
    return ["onnx"] if name == "onnxruntime" else []


def _repeat(call: Call, x: np.ndarray, count: int) -> None:
    for _ in range(count):
        call(x)


def _outputs(case: Case, weights: Weights, x: np.ndarray) -> np.ndarray:
    a = x.astype(np.float64)
    for i, (kernel, bias) in enumerate(weights):
        a = a @ kernel + bias
        if i < len(weights) - 1:
            a = np.maximum(a, 0) if case.activation == "relu" else np.tanh(a)
    return a
