"""ONNX files, as onnxruntime runs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import fastnn
from fastnn import Sequential, activations, layers

DTYPES = ["float32", "float64"]
KINDS = [kind for kind in vars(layers).values() if isinstance(kind, type) and issubclass(kind, layers.Layer)]
ACTIVATIONS = [value for value in vars(activations).values() if isinstance(value, activations.Activation)]
OTHERS = [
    activations.celu.with_parameters(alpha=2.5),
    activations.elu.with_parameters(alpha=0.3),
    activations.gelu.with_parameters(approximate=True),
    activations.hard_shrink.with_parameters(threshold=0.1),
    activations.leaky_relu.with_parameters(negative_slope=0.01),
    activations.log_softmax.with_parameters(axis=1),
    activations.relu.with_parameters(max_value=2.5),
    activations.relu.with_parameters(0.25, threshold=1.5),
    activations.relu.with_parameters(0.25, 2.5, 1.5),
    activations.relu.with_parameters(0.25, 2.5),
    activations.soft_shrink.with_parameters(threshold=1.5),
    activations.softmax.with_parameters(axis=1),
    activations.squareplus.with_parameters(b=1),
]


def run(model: Sequential, path: Path, x: np.ndarray) -> np.ndarray:
    model.export(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"input": x})
    assert result.dtype == model.dtype
    return result


def assert_same(model: Sequential, path: Path, x: np.ndarray) -> None:
    x = x.astype(model.dtype)
    expected = model.predict(x)
    scale = np.maximum(np.abs(expected), 1)
    assert np.isfinite(expected).all()
    assert (np.abs(run(model, path, x) - expected) <= 1e-6 * scale).all()
    for rows in (1, 2, 17):  # the same file, for any number of samples
        assert run(model, path, x[:rows]).shape == (min(rows, len(x)), expected.shape[1])


def test_every_parameter_is_tried() -> None:
    assert {one.name for one in OTHERS} == {one.name for one in ACTIVATIONS if one.parameters}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, *OTHERS], ids=repr)
def test_activations(tmp_path: Path, activation: activations.Activation, dtype: str) -> None:
    model = Sequential([layers.Input((5,)), layers.Dense(5, activation)], seed=0, dtype=dtype)
    model.set_weights([np.eye(5), np.zeros(5)])  # z is x
    x = np.concatenate([np.linspace(-60, 60, 400), np.linspace(-4, 4, 400), [0, -0.0, 1e-6, -1e-6, 1e-30]])
    assert_same(model, tmp_path / "m.onnx", np.random.default_rng(0).permutation(x).reshape(-1, 5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dense(tmp_path: Path, dtype: str) -> None:
    stack = [layers.Dense(7, "tanh"), layers.Dense(4, "relu", use_bias=False), layers.Dense(1, bias_initializer="ones")]
    model = Sequential([layers.Input((3,)), *stack], seed=0, dtype=dtype)
    assert_same(model, tmp_path / "m.onnx", np.random.default_rng(0).normal(size=(50, 3)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Activation("tanh"),
        lambda: layers.ELU(0.3),
        lambda: layers.LeakyReLU(0.1),
        lambda: layers.ReLU(6.0),
        lambda: layers.ReLU(3.0, 0.25, 0.5),
        layers.Softmax,
        layers.Identity,
        layers.BatchNormalization,
        lambda: layers.BatchNormalization(scale=False, epsilon=0.1),
        lambda: layers.BatchNormalization(center=False),
        lambda: layers.BatchNormalization(center=False, scale=False),
        lambda: layers.Dense(4, "relu"),
        lambda: layers.Dropout(0.5),
        layers.LayerNormalization,
        lambda: layers.LayerNormalization(scale=False, epsilon=0.1),
        lambda: layers.LayerNormalization(center=False),
        layers.Normalization,
        lambda: layers.Normalization(mean=[1, 2, 3], variance=[4, 0, 1e-30]),
        lambda: layers.Normalization(mean=1, variance=2, invert=True),
        lambda: layers.Rescaling(1 / 255, offset=-0.5),
        lambda: layers.Rescaling([1, 2, 3], offset=[-1, 0, 1]),
    ],
)
def test_layers(tmp_path: Path, layer: Callable[[], layers.Layer], dtype: str) -> None:
    rng = np.random.default_rng(0)
    model = Sequential([layers.Input((3,)), layer()], seed=0, dtype=dtype)
    if not isinstance(model.layers[0], layers.Normalization):
        model.set_weights([rng.uniform(0.5, 2, weight.shape) for weight in model.weights])
    assert_same(model, tmp_path / "m.onnx", rng.normal(size=(50, 3)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_layers_trained(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 3, size=(200, 2, 3)), rng.integers(0, 4, 200)
    scaler = layers.Normalization()
    scaler.adapt(x.reshape(200, 6) * 0.5 - 1)
    stack = [layers.Rescaling(0.5, -1), layers.Flatten(), scaler, layers.Dense(16, use_bias=False)]
    stack += [layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(0.2), layers.Dense(8, "sigmoid")]
    stack += [
        layers.LayerNormalization(),
        layers.LeakyReLU(),
        layers.ReLU(),
        layers.Dense(4),
        layers.ELU(),
        layers.Identity(),
        layers.Softmax(),
    ]
    assert {type(layer) for layer in stack} == {layers.Layer, layers.Input} ^ set(KINDS)
    model = Sequential([layers.Input((2, 3)), *stack], seed=0, dtype=dtype)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=5, verbose=0)
    assert_same(model, tmp_path / "m.onnx", x)


def test_what_the_file_says(tmp_path: Path) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2)], name="mine")
    model.export(str(tmp_path / "m.onnx"), format="onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(proto, full_check=True)
    assert [(one.domain, one.version) for one in proto.opset_import] == [("", 17)]
    assert (proto.producer_name, proto.producer_version) == ("fastnn", fastnn.__version__)
    assert proto.graph.name == "mine"
    for value, name, size in ((proto.graph.input[0], "input", 3), (proto.graph.output[0], "output", 2)):
        batch, features = value.type.tensor_type.shape.dim
        assert (value.name, batch.dim_param, features.dim_value) == (name, "N", size)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_what_cannot_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"

    class Own(layers.Dense):
        pass

    with pytest.raises(ValueError, match=r"layer 'own' is a Own, expected one that ONNX has: .*Dense"):
        Sequential([layers.Input((3,)), Own(2)]).export(path)
    with pytest.raises(ValueError, match="the model is not built"):
        Sequential([layers.Dense(2)]).export(path)
    with pytest.raises(ValueError, match="format is 'tf', expected one of 'onnx'"):
        Sequential([layers.Input((3,)), layers.Dense(2)]).export(path, format="tf")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r'export needs onnx: pip install "fastnn\[onnx\]"'):
        Sequential([layers.Input((3,)), layers.Dense(2)]).export(path)
    assert list(tmp_path.iterdir()) == []
