"""Layers without weights: `Activation`, `Dropout`, `Flatten`, `Rescaling`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import activations, validation
from .base import Layer


class Activation(Layer):
    """An activation by itself: a = f(x).

    Right behind a `Dense`, `BatchNormalization` or `LayerNormalization` without an activation it becomes theirs, and
    costs no pass of its own.  A loss that belongs to it, such as cross-entropy to softmax, is computed from x, exactly.

    Parameters
    ----------
    activation : str or Activation
    name : str, optional
    """

    _kind = "identity"

    def __init__(self, activation: str | activations.Activation, name: str | None = None) -> None:
        super().__init__(name)
        self.activation = activations.get(activation)

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        return self._engine_layer(n_in, n_out, 0, False, self.activation)

    def get_config(self) -> dict[str, Any]:
        return {"activation": activations.serialize(self.activation), **super().get_config()}


class Dropout(Layer):
    """In training, set each input to 0 with the probability `rate` and multiply the others by 1/(1 - rate).

    Inference does nothing.  What is dropped is drawn from (seed, step, layer, row, column): the same at any number of
    threads, and the same again in a run that was stopped and resumed.

    Parameters
    ----------
    rate : float in [0, 1)
    seed : int, optional
        The model's by default.
    name : str, optional

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way to prevent neural networks from
    overfitting", JMLR 15 (2014); the numbers: Philox, see `fastnn.Sequential`.
    """

    _kind = "dropout"

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None) -> None:
        super().__init__(name)
        self.rate = validation.number("rate", rate, low=0, high=1, open_high=True)
        self.seed = None if seed is None else validation.integer("seed", seed, high=2**64 - 1)
        self.model_seed = 0  # set by the model

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        seed = self.model_seed if self.seed is None else self.seed
        return self._engine_layer(n_in, n_out, 0, False, rate=self.rate, seed=seed)

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "seed": self.seed, **super().get_config()}


class Flatten(Layer):
    """Samples of several axes as one row each, in C order; the first layer, or behind a `Rescaling`.

    Parameters
    ----------
    name : str, optional
    """

    _kind = None


class Rescaling(Layer):
    """x·scale + offset.

    Parameters
    ----------
    scale : float or array_like (in,)
    offset : float or array_like (in,)
    name : str, optional
    """

    _kind = "affine"

    def __init__(self, scale: Any, offset: Any = 0.0, name: str | None = None) -> None:
        super().__init__(name)
        self.scale, self.offset = _numbers("scale", scale), _numbers("offset", offset)

    def build(self, n_in: int) -> int:
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if value.shape not in ((), (n_in,)):
                raise ValueError(f"{name} has shape {value.shape}, expected a number or ({n_in},)")
        return n_in

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        rows = [np.full(n_in, value, self.dtype) for value in (0, self.scale, self.offset)]
        return self._engine_layer(n_in, n_out, 0, False, constants=rows)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale.tolist(), "offset": self.offset.tolist(), **super().get_config()}


def _numbers(name: str, value: Any) -> np.ndarray:
    result = validation.real(name, value, "a number or a vector").astype(np.float64)
    if result.ndim > 1 or not np.isfinite(result).all():
        raise ValueError(f"{name} is {value!r}, expected a finite number or a vector of them")
    return result
