"""Values and gradients of Keras 3 and of PyTorch, kept in data/losses.npz by data/make_losses.py."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from fastnn import losses
from fastnn.reference import losses as reference

GOLDEN = np.load(Path(__file__).parent / "data" / "losses.npz")
KEYS = sorted({key.partition("|")[0] for key in GOLDEN.files})


def parsed(key: str) -> tuple[type[losses.Loss], dict[str, object]]:
    """The class and its options: ``keras Huber {'delta': 0.3} real, real``."""
    _, name, rest = key.split(" ", 2)
    return getattr(losses, name), ast.literal_eval(rest[: rest.index("}") + 1])


@pytest.mark.parametrize("key", KEYS)
def test_values_and_gradients(key: str) -> None:
    kind, options = parsed(key)
    y, p = GOLDEN[f"{key}|y"], GOLDEN[f"{key}|p"]
    # Keras takes means over outputs in float32 whatever the dtype, and clips a focal loss's sigmoid or softmax.
    rough = key.startswith("keras") and (not kind._of_classes or "Focal" in key)
    near = {"rtol": 1e-6 if rough else 1e-9, "atol": 1e-12}
    if f"{key}|losses" in GOLDEN:
        np.testing.assert_allclose(kind(**options, reduction=None)(y, p), GOLDEN[f"{key}|losses"], **near)
        np.testing.assert_allclose(kind(**options).per_sample(y, p), GOLDEN[f"{key}|losses"], **near)
    found = 0
    for reduction in ("sum_over_batch_size", "sum", "mean_with_sample_weight"):
        for weighted in (False, True):
            if f"{key}|{reduction} {weighted}" not in GOLDEN:
                continue
            found += 1
            weights = (GOLDEN[f"{key}|w"],) if weighted else ()
            value, gradient = kind(**options, reduction=reduction).value_and_gradient(y, p, *weights)
            np.testing.assert_allclose(value, GOLDEN[f"{key}|{reduction} {weighted}"], **near)
            np.testing.assert_allclose(gradient, GOLDEN[f"{key}|{reduction} {weighted} gradient"], **near)
    assert found == (6 if key.startswith("keras") else 1)


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.startswith("keras") and "axis" not in key and "ignore" not in key]
)
def test_the_reference_says_the_same(key: str) -> None:
    kind, options = parsed(key)
    name = losses.get(kind).name.removesuffix("_loss")
    got = getattr(reference, name)(GOLDEN[f"{key}|y"], GOLDEN[f"{key}|p"], **options)
    np.testing.assert_allclose(got, GOLDEN[f"{key}|losses"], rtol=1e-6)


def test_every_loss_of_keras_is_there() -> None:
    compared = {parsed(key)[0] for key in KEYS}
    all_losses = {v for v in vars(losses).values() if isinstance(v, type) and issubclass(v, losses.Loss)}
    assert all_losses - compared == {losses.Loss, losses.Quantile, losses.Gamma}
