"""Penalties on parameters, which add to the cost and to the gradient: Keras 3's.

>>> import numpy as np
>>> from fastnn import regularizers
>>> regularizers.L1L2(l1=0.5, l2=0.1)(np.array([1.0, -2.0]))
2.0
>>> regularizers.L2(0.1).gradient(np.array([1.0, -2.0]))
array([ 0.2, -0.4])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import serialization, validation

__all__ = ["L1", "L1L2", "L2", "Regularizer", "get", "serialize"]


class Regularizer:
    """Base of all regularizers: l1 Σ|w| + l2 Σw² over the elements of a kernel or bias.

    Attributes
    ----------
    l1, l2 : float
        The factors; 0 where there is no such term.
    """

    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, x: Any) -> float:
        """The penalty of an array, summed in float64."""
        x = validation.real("x", x, "an array of numbers").astype(np.float64)
        return float(self.l1 * np.abs(x).sum() + self.l2 * np.square(x).sum())

    def gradient(self, x: Any) -> np.ndarray:
        """The penalty's gradient with respect to x, of its shape and dtype: l1 sign(w) + 2 l2 w; sign(0) is 0."""
        dtype = validation.floating("x", x)
        x = validation.array("x", x, dtype)
        result: np.ndarray = dtype.type(self.l1) * np.sign(x) + dtype.type(2 * self.l2) * x
        return result

    def get_config(self) -> dict[str, float]:
        """The constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, float]) -> Regularizer:
        """The regularizer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


class L1(Regularizer):
    """l1 Σ|w|: drives parameters to 0.

    Parameters
    ----------
    l1 : float, at least 0
    """

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = validation.number("l1", l1, low=0)


class L2(Regularizer):
    """l2 Σw², without a half: keeps parameters small.

    With plain gradient descent at the rate η it is the weight decay λ = 2 l2; with adaptive optimizers it is not.

    Parameters
    ----------
    l2 : float, at least 0
    """

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = validation.number("l2", l2, low=0)


class L1L2(Regularizer):
    """l1 Σ|w| + l2 Σw².

    Parameters
    ----------
    l1, l2 : float, at least 0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = validation.number("l1", l1, low=0)
        self.l2 = validation.number("l2", l2, low=0)


# Keras's other names of the classes.
l1 = L1
l2 = L2
l1_l2 = L1L2

_NAMED: dict[str, type[Regularizer]] = {"l1": l1, "l2": l2, "l1_l2": l1_l2}
_CLASSES: dict[str, type[Regularizer]] = {kind.__name__: kind for kind in _NAMED.values()}


def get(identifier: str | dict[str, Any] | Regularizer | type[Regularizer] | None) -> Regularizer | None:
    """The regularizer of a name, with its defaults: l1, l2 or l1_l2; or of what `serialize` returned; or None.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or anything else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        return serialization.deserialize("regularizer", identifier, Regularizer, _CLASSES)
    return validation.lookup("regularizer", identifier, Regularizer, _NAMED)


def serialize(regularizer: Regularizer | None) -> dict[str, Any] | None:
    """Class and configuration, as JSON can hold them; None stays None."""
    return None if regularizer is None else serialization.serialize(regularizer)
