"""Values and gradients of Keras 3 and of PyTorch, kept in data/activations.npz by data/make_activations.py."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import activations
from fastnn.reference import activations as reference

GOLDEN = np.load(Path(__file__).parent / "data" / "activations.npz")
KEYS = sorted({key.partition("|")[0] for key in GOLDEN.files if "|" in key})


def parsed(key: str) -> tuple[np.dtype, str, dict[str, Any]]:
    """``keras float32 elu {'alpha': 0.3}``."""
    _, dtype, name, options = key.split(" ", 3)
    return np.dtype(dtype), name, ast.literal_eval(options)


def near(key: str) -> dict[str, float]:
    # Absolute, too: gelu's tail is a difference there, and so is squareplus's.  Two derivatives of PyTorch's have
    # factors of float32 whatever the dtype.
    if GOLDEN[f"{key}|value"].dtype == np.float32 or key.startswith(("torch float64 celu", "torch float64 hard_sigm")):
        return {"rtol": 1e-6, "atol": 1e-6}
    return {"rtol": 1e-12, "atol": 1e-14}


@pytest.mark.parametrize("key", KEYS)
def test_values_and_gradients(key: str) -> None:
    dtype, name, options = parsed(key)
    x, upstream = (GOLDEN[k].astype(dtype) for k in ("x", "upstream"))
    activation = getattr(activations, name).with_parameters(**options)
    np.testing.assert_allclose(activation(x), GOLDEN[f"{key}|value"], **near(key))
    np.testing.assert_allclose(activation.gradient(x, upstream), GOLDEN[f"{key}|gradient"], **near(key))


# Which knows one axis at a time.
@pytest.mark.parametrize("key", [key for key in KEYS if "float64" in key and "(0, 1)" not in key])
def test_the_reference_says_the_same(key: str) -> None:
    _, name, options = parsed(key)
    function, gradient = reference.ACTIVATIONS[name]
    x, upstream = GOLDEN["x"], GOLDEN["upstream"]
    np.testing.assert_allclose(function(x, **options), GOLDEN[f"{key}|value"], **near(key))
    np.testing.assert_allclose(gradient(x, upstream, **options), GOLDEN[f"{key}|gradient"], **near(key))


def test_every_activation_is_compared_with_keras() -> None:
    assert {parsed(key)[1] for key in KEYS if key.startswith("keras")} == set(reference.ACTIVATIONS)
