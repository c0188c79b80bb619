"""Penalties on parameters: values, gradients against differences, names and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastnn import regularizers

X = np.array([[1.0, -2.0], [0.5, 4.0]])
CASES = [
    (regularizers.L1(0.1), 0.75),
    (regularizers.L2(0.1), 2.125),
    (regularizers.L1L2(0.1, 0.2), 5.0),
    (regularizers.L1L2(), 0.0),
    (regularizers.L1(), 0.075),
    (regularizers.L2(), 0.2125),
]


@pytest.mark.parametrize(("regularizer", "value"), CASES)
def test_value_and_gradient(regularizer: regularizers.Regularizer, value: float) -> None:
    assert regularizer(X) == pytest.approx(value, rel=1e-14)
    assert regularizer(X.astype(np.float32)) == pytest.approx(value, rel=1e-14)
    gradient = regularizer.gradient(X)
    for at in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[at] = 1e-6
        assert gradient[at] == pytest.approx((regularizer(X + step) - regularizer(X - step)) / 2e-6, abs=1e-8)
    assert regularizer.gradient(X.astype(np.float32)).dtype == np.float32
    again = type(regularizer).from_config(regularizer.get_config())
    assert again(X) == regularizer(X)
    assert repr(again) == repr(regularizer)


def test_the_gradient_of_nothing_is_0() -> None:
    np.testing.assert_array_equal(regularizers.L1L2(0.1, 0.2).gradient(np.array([0.0, -0.0])), [0, 0])


def test_names() -> None:
    assert repr(regularizers.get("l1")) == "L1(l1=0.01)"
    assert repr(regularizers.get("l2")) == "L2(l2=0.01)"
    assert repr(regularizers.get("l1_l2")) == "L1L2(l1=0.0, l2=0.0)"
    assert regularizers.get(None) is None
    mine = regularizers.L1(0.5)
    assert regularizers.get(mine) is mine
    with pytest.raises(ValueError, match="regularizer is 'l3', expected one of 'l1', 'l2', 'l1_l2'"):
        regularizers.get("l3")
    with pytest.raises(TypeError, match=r"regularizer is 0.1, expected a name or an object of Regularizer"):
        regularizers.get(0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf])
def test_bad_factors(value: Any) -> None:
    with pytest.raises(ValueError, match=r"l1 is .*, expected a finite number >= 0"):
        regularizers.L1(value)
    with pytest.raises(ValueError, match=r"l2 is .*, expected a finite number >= 0"):
        regularizers.L1L2(l2=value)
    with pytest.raises(TypeError, match="l2 is 'much', expected a number"):
        regularizers.L2("much")  # type: ignore[arg-type]
