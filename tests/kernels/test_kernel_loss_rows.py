"""Rows of many classes: what is done stretch by stretch, and left out where no class has a target."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastnn import activations, losses
from fastnn.reference import losses as reference

from .support import assert_same_bytes, assert_ulps, families

WIDE = np.longdouble
WIDTHS = (127, 128, 300, 1030)  # less than a stretch, one, some, and more than is held at once
SOFT = ("ce of logits, smoothed", "divergence of logits")  # every class has a target


class Case(NamedTuple):
    """A loss, its function in the reference, and what that takes."""

    loss: losses.Loss
    function: str
    options: dict[str, Any]


CASES = {
    "ce": Case(losses.CategoricalCrossentropy(), "categorical_crossentropy", {}),
    "ce of logits": Case(
        losses.CategoricalCrossentropy(from_logits=True), "categorical_crossentropy", {"from_logits": True}
    ),
    "ce of logits, smoothed": Case(
        losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.125),
        "categorical_crossentropy",
        {"from_logits": True, "label_smoothing": 0.125},
    ),
    "divergence of logits": Case(losses.KLDivergence(from_logits=True), "kl_divergence", {"from_logits": True}),
    "focal": Case(losses.CategoricalFocalCrossentropy(), "categorical_focal_crossentropy", {}),
    "focal of logits": Case(
        losses.CategoricalFocalCrossentropy(from_logits=True), "categorical_focal_crossentropy", {"from_logits": True}
    ),
    "focal of logits, gamma 0.5": Case(
        losses.CategoricalFocalCrossentropy(from_logits=True, gamma=0.5),
        "categorical_focal_crossentropy",
        {"from_logits": True, "gamma": 0.5},
    ),
}


def run(core: ModuleType, case: Case, y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per-sample losses and gradient."""
    spec = case.loss.for_engine(activations.linear)
    per_sample, gradient = np.empty(len(p)), np.empty_like(p)
    core.LossKernel(spec.code, spec.options).cost(y, p, None, 1.0, per_sample, gradient)
    return per_sample, gradient


def targets(width: int, dtype: np.dtype) -> np.ndarray:
    """One class at the ends, in the middle and round a stretch's bound; two that are far apart; none."""
    sets = [{0}, {width // 2}, {127 % width - 1}, {128 % width}, {width - 1}, {0, width - 1}, set()]
    y = np.zeros((len(sets), width), dtype)
    for row, classes in zip(y, sets, strict=True):
        row[list(classes)] = 1 / max(len(classes), 1)
    return y


def predictions(case: Case, width: int, dtype: np.dtype) -> np.ndarray:
    """Probabilities, unnormalised, none near the clip; or logits, of any spread, near 0 and far from it."""
    generator = np.random.default_rng(width)
    if "from_logits" not in case.options:
        return (3 * generator.uniform(0.5, 1, (2, width))).astype(dtype)
    z = generator.standard_normal((7, width)) * np.array([1e-3, 1, 1, 1, 30, 30, 300])[:, np.newaxis]
    z += np.array([0, 0, 400, -400, 2000, -1e7, 0])[:, np.newaxis]
    z[0, 1], z[1, width // 2], z[2, -1], z[3, 0] = 9, 700, 500, -1e30
    return z.astype(dtype)


def problem(case: Case, width: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """All targets with all predictions."""
    y, p = targets(width, dtype), predictions(case, width, dtype)
    return np.repeat(y, len(p), axis=0), np.tile(p, (len(y), 1))


@cache
def exact(name: str, width: int, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """Losses and gradients by the reference in longdouble, and the largest term of each element of the gradient."""
    case = CASES[name]
    y, p = problem(case, width, dtype)
    wide = p.astype(WIDE)
    with np.errstate(all="ignore"):
        value = getattr(reference, case.function)(y, wide, clip_dtype=dtype, **case.options)
        gradient = getattr(reference, case.function + "_gradient")(y, wide, clip_dtype=dtype, **case.options)
    e = np.exp(wide - wide.max(axis=1, keepdims=True)) if "from_logits" in case.options else wide
    return value, gradient, np.maximum(np.abs(gradient), e / e.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(core: ModuleType, name: str, width: int) -> None:
    value, gradient, terms = exact(name, width, core.DTYPE)
    got_value, got_gradient = run(core, CASES[name], *problem(CASES[name], width, core.DTYPE))
    # Sums of float64 are taken in float64; of hard targets there is one term, and nothing cancels.
    adding = np.sqrt(width) / 2 if name in SOFT and np.float64 == core.DTYPE else 0
    slack = (3 + adding) * WIDE(np.finfo(core.DTYPE).eps) * terms if name in SOFT else 0
    assert_ulps(got_value, value, 4 + adding, dtype=core.DTYPE)
    assert_ulps(got_gradient, gradient, 4, slack=slack)


@pytest.mark.parametrize("name", CASES)
def test_builds_that_round_alike_give_the_same_bytes(dtype: np.dtype, name: str) -> None:
    for width in (3, 127, 300, 1030):
        y, p = problem(CASES[name], width, dtype)
        for family in families(dtype):
            first, *others = (run(core, CASES[name], y, p) for core in family)
            for other in others:
                assert_same_bytes(other[0], first[0])
                assert_same_bytes(other[1], first[1])


@pytest.mark.parametrize("name", CASES)
def test_a_row_does_not_depend_on_the_others(core: ModuleType, name: str) -> None:
    for width in (3, 40, 128, 300):
        y, p = (np.tile(a, (5, 1)) for a in problem(CASES[name], width, core.DTYPE))
        value, gradient = run(core, CASES[name], y, p)
        for i in range(0, len(p), 7):
            got_value, got_gradient = run(core, CASES[name], y[i : i + 1], p[i : i + 1])
            assert_same_bytes(got_value, value[i : i + 1])
            assert_same_bytes(got_gradient, gradient[i : i + 1])


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "from_logits" in case.options])
def test_a_class_that_cannot_be_is_one_that_is_very_unlikely(core: ModuleType, name: str) -> None:
    case = CASES[name]
    for width in (10, 300):
        y, p = problem(case, width, core.DTYPE)
        y[:, 7] = 0
        masked = np.where(np.arange(width) == 7, -np.inf, p).astype(core.DTYPE)
        unlikely = np.where(np.arange(width) == 7, -1e30, p).astype(core.DTYPE)
        value, gradient = run(core, case, y, masked)
        assert_same_bytes(gradient, run(core, case, y, unlikely)[1])
        if name in SOFT:
            assert (value == np.inf).all()
        else:
            assert_same_bytes(value, run(core, case, y, unlikely)[0])


@pytest.mark.parametrize("name", CASES)
def test_nan_reaches_value_and_gradient(core: ModuleType, name: str) -> None:
    for width in (40, 300):
        for at in (0, 1, width // 2, width - 1):
            y, p = problem(CASES[name], width, core.DTYPE)
            p[::2, at] = np.nan
            value, gradient = run(core, CASES[name], y, p)
            np.testing.assert_array_equal(np.isnan(value), np.arange(len(p)) % 2 == 0)
            np.testing.assert_array_equal(np.isnan(gradient), np.isnan(value)[:, np.newaxis] | np.zeros_like(p, bool))
