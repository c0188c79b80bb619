"""Layers without weights: `Activation` and its kin, `Dropout`, `Flatten`, `Rescaling`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import activations, validation
from .base import Layer, last_axis


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


class ReLU(Activation):
    """max(x, 0), or with one of its parameters the activation relu6 or leaky_relu.

    Parameters
    ----------
    max_value : {None, 6}
    negative_slope : float, at least 0
        Without a `max_value`.
    threshold : {0}
        Keras's name for where the function bends.
    name : str, optional
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        name: str | None = None,
    ) -> None:
        self.max_value = None if max_value is None else validation.number("max_value", max_value)
        self.negative_slope = validation.number("negative_slope", negative_slope, low=0)
        self.threshold = validation.number("threshold", threshold)
        if self.threshold != 0 or self.max_value not in (None, 6) or (self.max_value and self.negative_slope):
            raise ValueError(
                f"max_value is {max_value!r}, negative_slope is {negative_slope!r} and threshold is {threshold!r}, "
                "expected no threshold, and one of max_value=6 and a negative_slope, or none"
            )
        if self.negative_slope:
            super().__init__(activations.leaky_relu.with_parameters(negative_slope=self.negative_slope), name)
        else:
            super().__init__(activations.relu if self.max_value is None else activations.relu6, name)

    def get_config(self) -> dict[str, Any]:
        own = {"max_value": self.max_value, "negative_slope": self.negative_slope, "threshold": self.threshold}
        return {**own, **Layer.get_config(self)}


class LeakyReLU(Activation):
    """x where x > 0, negative_slope·x elsewhere.

    Parameters
    ----------
    negative_slope : float, at least 0
    name : str, optional
    """

    def __init__(self, negative_slope: float = 0.3, name: str | None = None) -> None:
        super().__init__(activations.leaky_relu.with_parameters(negative_slope=negative_slope), name)

    def get_config(self) -> dict[str, Any]:
        return {**self.activation.parameters, **Layer.get_config(self)}


class ELU(Activation):
    """x where x > 0, alpha·(exp(x) - 1) elsewhere.

    Parameters
    ----------
    alpha : float, at least 0
    name : str, optional
    """

    def __init__(self, alpha: float = 1.0, name: str | None = None) -> None:
        super().__init__(activations.elu.with_parameters(alpha=alpha), name)

    def get_config(self) -> dict[str, Any]:
        return {**self.activation.parameters, **Layer.get_config(self)}


class Softmax(Activation):
    """exp(x_j)/Σ_k exp(x_k), over the outputs of a sample.

    Parameters
    ----------
    axis : int
        -1, the outputs.
    name : str, optional
    """

    def __init__(self, axis: int = -1, name: str | None = None) -> None:
        self.axis = last_axis(axis)
        super().__init__(activations.softmax, name)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis, **Layer.get_config(self)}


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
        self.scale = validation.number_or_vector("scale", scale)
        self.offset = validation.number_or_vector("offset", offset)

    def build(self, n_in: int) -> int:
        validation.fits("scale", self.scale, n_in)
        validation.fits("offset", self.offset, n_in)
        return n_in

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        rows = [np.full(n_in, value, self.dtype) for value in (0, self.scale, self.offset)]
        return self._engine_layer(n_in, n_out, 0, False, constants=rows)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale.tolist(), "offset": self.offset.tolist(), **super().get_config()}
