"""Weights that Keras and PyTorch wrote."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy as library

from fastnn import Sequential, layers

DATA = Path(__file__).parent / "data"
WEIGHTS = np.load(DATA / "weights.npz")
X = WEIGHTS["x"]


def torch_twin(n: int = 11) -> Sequential:
    stack = [layers.Input((3,)), *[layers.Dense(3, "tanh") for _ in range(n)], layers.Dense(2)]
    return Sequential(stack, dtype="float64")


def linear(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name.replace("_", "."): np.random.default_rng(0).normal(size=shape) for name, shape in shapes.items()}


# ---- PyTorch ---------------------------------------------------------------------------------------------------------


def test_a_state_dict_in_a_file() -> None:
    model = torch_twin()
    model.load_weights(DATA / "torch.safetensors")
    np.testing.assert_allclose(model.predict(X), WEIGHTS["torch"], rtol=1e-5)


def test_a_state_dict() -> None:
    # As PyTorch has it: in the layers' order, whatever they are called.
    stored = library.load_file(DATA / "torch.safetensors")
    named = {}
    for i in range(12):
        for what in ("weight", "bias"):
            named[f"{'zyxwvutsrqpo'[i]}.{what}"] = stored[f"{2 * i}.{what}"]
    model = torch_twin()
    model.load_weights(named)
    np.testing.assert_allclose(model.predict(X), WEIGHTS["torch"], rtol=1e-5)


def test_one_linear_layer_without_a_bias() -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2, use_bias=False)])
    state = linear(weight=(2, 3))
    model.load_weights(state)
    np.testing.assert_array_equal(model.get_weights()[0], state["weight"].T.astype(np.float32))


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (linear(a_weight=(3, 3)), r"it has 1 layers \(a\), expected 2 of torch.nn.Linear, for dense, dense_1"),
        (
            linear(a_weight=(3, 3), a_bias=(3,), b_weight=(2, 3)),
            "dense_1.bias is not there, expected dense.kernel, dense.bias, dense_1.kernel, dense_1.bias",
        ),
        (
            linear(a_weight=(2, 3), a_bias=(2,), b_weight=(2, 3), b_bias=(2,)),
            r"dense.kernel has shape \(3, 2\), expected \(3, 3\)",
        ),
        (
            linear(a_weight=(3, 3), a_bias=(3,), b_weight=(2, 3), b_bias=(2,), b_running=(2,)),
            "it has a.weight, .*, b.running, expected weight and bias of torch.nn.Linear layers alone",
        ),
    ],
)
def test_a_state_dict_of_another_network(state: dict[str, Any], message: str) -> None:
    model = torch_twin(1)
    before = model.parameters.copy()
    with pytest.raises(ValueError, match=f"the dict does not fit this model: {message}"):
        model.load_weights(state)
    assert (model.parameters == before).all()


def test_a_file_in_no_order(tmp_path: Path) -> None:
    library.save_file(linear(a_weight=(3, 3), a_bias=(3,), b_weight=(2, 3), b_bias=(2,)), tmp_path / "t")
    with pytest.raises(
        ValueError, match=r"t' does not fit .*: it has the layers a, b in no order, expected a dict in the"
    ):
        torch_twin(1).load_weights(tmp_path / "t")


# ---- Keras -----------------------------------------------------------------------------------------------------------


def keras_twin() -> Sequential:
    return Sequential(
        [
            layers.Input((3,)),
            layers.Normalization(),
            *[layers.Dense(4, activation="tanh") for _ in range(11)],
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.BatchNormalization(scale=False),
            layers.LayerNormalization(center=False),
            layers.Dense(2, use_bias=False),
        ]
    )


def test_keras() -> None:
    model = keras_twin()
    model.load_weights(DATA / "keras.weights.h5")
    np.testing.assert_allclose(model.predict(X), WEIGHTS["keras"], rtol=1e-5, atol=1e-6)


def test_weights_of_another_network_of_keras() -> None:
    def assert_wrong(stack: list[layers.Layer], message: str) -> None:
        model = Sequential([layers.Input((3,)), layers.Normalization(), *stack])
        before = copy.deepcopy(model.get_weights())
        with pytest.raises(ValueError, match=rf"keras\.weights\.h5' does not fit this model: {message}"):
            model.load_weights(DATA / "keras.weights.h5")
        for left, right in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(left, right)

    assert_wrong([layers.Dense(4), layers.Dense(4)], "it has batch_normalization/vars/0, .* besides, expected the")
    assert_wrong([layers.Dense(4) for _ in range(13)], "it has no dense_11/vars/1 for dense_11.bias")
    twin = keras_twin().layers[1:]
    assert_wrong(
        [layers.Dense(5, use_bias=True), *map(copy.deepcopy, twin[1:])], r"dense.kernel has shape \(3, 4\), exp"
    )


def test_files_that_keras_did_not_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "half.weights.h5"
    path.write_bytes((DATA / "keras.weights.h5").read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"half\.weights\.h5' is damaged, or no weights of Keras 3: "):
        keras_twin().load_weights(path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'reading \.weights\.h5 needs h5py: pip install "fastnn\[keras\]"'):
        keras_twin().load_weights(DATA / "keras.weights.h5")
