"""Activation functions, as layers use them and on their own.

>>> import numpy as np
>>> from fastnn import activations
>>> activations.relu(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 2.])
>>> activations.relu.gradient(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 1.])
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from . import validation
from .kernels import core

__all__ = ["Activation", "get", "linear", "relu", "sigmoid", "softmax", "tanh"]


class Activation:
    """A function f applied to a layer's pre-activations z.

    Attributes
    ----------
    name : str
    formula : str
    """

    def __init__(self, name: str, code: int, formula: str, elementwise: bool = True, alpha: float = 0.0) -> None:
        self.name = name
        self.code = code  # of the kernel
        self.alpha = alpha  # of the function, where it has a parameter
        self.formula = formula
        self.elementwise = elementwise
        self.__doc__ = f"{name}: {formula}"

    def __repr__(self) -> str:
        return f"<fastnn.activations.{self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (self.name,)

    def __call__(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """f(x).

        Parameters
        ----------
        x : array_like, real
            Any shape; softmax works along the last axis, which must not be empty.  float32 and float64 are computed as
            they are, everything else as float64.
        out : ndarray, optional
            Where to write the result: shape and dtype as `x`'s; it may be `x`.

        Returns
        -------
        ndarray, of `x`'s shape.
        """
        dtype = validation.floating("x", x)
        z = self._check(validation.array("x", x, dtype))
        if out is not None:
            validation.output("out", out, z)
        result = z.copy()
        core(dtype).activation(self.code, self.alpha, result, self._row(z))
        if out is None:
            return result
        out[...] = result
        return out

    def gradient(self, x: Any, upstream: Any = None, out: np.ndarray | None = None) -> np.ndarray:
        """Gradient with respect to x of a scalar whose gradient with respect to f(x) is `upstream`.

        Parameters
        ----------
        x : array_like, real
        upstream : array_like, real, of the same shape
            Ones by default, which makes the result of an elementwise function f'(x).  Softmax needs it: each of its
            outputs depends on every input of the row.
        out : ndarray, optional
            Shape and dtype as `x`'s.

        Returns
        -------
        ndarray, of `x`'s shape.
        """
        if upstream is None and not self.elementwise:
            raise ValueError(
                f"upstream is None, expected the gradient with respect to {self.name}(x): its derivative is a matrix"
            )
        a = self(x)
        d = np.ones_like(a) if upstream is None else validation.array("upstream", upstream, a.dtype)
        if d.shape != a.shape:
            raise ValueError(f"upstream has shape {d.shape}, expected {a.shape} as x")
        if out is not None:
            validation.output("out", out, a)
        d = d.copy()
        core(a.dtype).activation_backward(self.code, self.alpha, a, d, self._row(a))
        if out is None:
            return d
        out[...] = d
        return out

    def _check(self, z: np.ndarray) -> np.ndarray:
        if not self.elementwise and (z.ndim == 0 or z.shape[-1] == 0):
            raise ValueError(f"x has shape {z.shape}, expected a last axis of at least one element")
        return z

    def _row(self, z: np.ndarray) -> int:
        return z.size if self.elementwise else z.shape[-1]


linear = Activation("linear", 0, "z")
relu = Activation("relu", 1, "max(z, 0); its derivative at 0 is 0")
sigmoid = Activation("sigmoid", 2, "1/(1 + exp(-z))")
tanh = Activation("tanh", 3, "tanh(z)")
softmax = Activation("softmax", 4, "exp(z_j)/sum_k exp(z_k), along the last axis", elementwise=False)

_NAMED = {a.name: a for a in (linear, relu, sigmoid, tanh, softmax)}


def get(identifier: str | Activation | None) -> Activation:
    """The activation of a name; None is linear.

    Raises
    ------
    ValueError
        For a name that is none of: linear, relu, sigmoid, tanh, softmax.
    """
    if identifier is None:
        return linear
    return validation.lookup("activation", identifier, Activation, {name: partial(_named, name) for name in _NAMED})


def _named(name: str) -> Activation:
    return _NAMED[name]


def serialize(activation: Activation) -> str:
    """The name."""
    return activation.name
