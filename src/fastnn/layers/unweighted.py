"""Layers without weights: `Activation` and its kin, `Dropout`, `Flatten`, `Rescaling`."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from .. import activations, validation
from .base import Layer, Options


class Activation(Layer):
    """An activation by itself: a = f(x).

    Right behind a `Dense`, `BatchNormalization` or `LayerNormalization` without an activation it becomes theirs, and
    costs no pass of its own.  A loss that belongs to it, such as cross-entropy to softmax, is computed from x, exactly.

    Parameters
    ----------
    activation : str or Activation
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.
    """

    _kind = "identity"

    def __init__(self, activation: str | activations.Activation, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def _apply(self, x: np.ndarray, training: bool) -> np.ndarray:
        return self.activation(x)  # of any shape

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
        return self._engine_layer(n_in, n_out, 0, False, self.activation)

    def get_config(self) -> dict[str, Any]:
        return {"activation": activations.serialize(self.activation), **super().get_config()}


class Identity(Activation):
    """x as it is.

    Parameters
    ----------
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.
    """

    def __init__(self, **options: Unpack[Options]) -> None:
        super().__init__(activations.linear, **options)

    def get_config(self) -> dict[str, Any]:
        return Layer.get_config(self)


class ReLU(Activation):
    """x where x > threshold, max_value at most; negative_slope·(x - threshold) elsewhere.

    Parameters
    ----------
    max_value : float, at least 0, optional
        No limit by default.
    negative_slope : float, at least 0
    threshold : float, at least 0
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(activations.relu.with_parameters(negative_slope, max_value, threshold), **options)

    def get_config(self) -> dict[str, Any]:
        return {**self.activation.parameters, **Layer.get_config(self)}


class LeakyReLU(Activation):
    """x where x > 0, negative_slope·x elsewhere.

    Parameters
    ----------
    negative_slope : float, at least 0
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.
    """

    def __init__(self, negative_slope: float = 0.3, **options: Unpack[Options]) -> None:
        super().__init__(activations.leaky_relu.with_parameters(negative_slope), **options)

    def get_config(self) -> dict[str, Any]:
        return {**self.activation.parameters, **Layer.get_config(self)}


class ELU(Activation):
    """x where x > 0, alpha·(exp(x) - 1) elsewhere.

    Parameters
    ----------
    alpha : float, at least 0
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.
    """

    def __init__(self, alpha: float = 1.0, **options: Unpack[Options]) -> None:
        super().__init__(activations.elu.with_parameters(alpha), **options)

    def get_config(self) -> dict[str, Any]:
        return {**self.activation.parameters, **Layer.get_config(self)}


class Softmax(Activation):
    """exp(x_j)/Σ_k exp(x_k), over the outputs of a sample.

    Parameters
    ----------
    axis : int or list of int
        -1, the outputs.  Called on arrays the layer takes any of theirs, in a model none but that.
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.
    """

    def __init__(self, axis: int | list[int] = -1, **options: Unpack[Options]) -> None:
        super().__init__(activations.softmax.with_parameters(axis), **options)

    def get_config(self) -> dict[str, Any]:
        return {**self.activation.parameters, **Layer.get_config(self)}


class Dropout(Layer):
    """In training, set each input to 0 with the probability `rate` and multiply the others by 1/(1 - rate).

    Inference does nothing.  What is dropped is drawn from (seed, step, layer, row, column): the same at any number of
    threads, and the same again in a run that was stopped and resumed.

    Parameters
    ----------
    rate : float in [0, 1]
        With 1 all outputs are 0.
    noise_shape : tuple of two (int or None), optional
        What is drawn: for how many samples of a batch, and for how many columns; None for all.  ``(None, 1)`` drops
        samples, each as a whole, ``(1, None)`` the same columns of all samples of a batch.  A number of samples above 1
        is that of the batches, all of them; one of columns above 1 is that of the inputs.
    seed : int, optional
        The model's by default.
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way to prevent neural networks from
    overfitting", JMLR 15 (2014); the numbers: Philox, see `fastnn.Sequential`.
    """

    _kind = "dropout"
    _axes = 1

    def __init__(
        self,
        rate: float,
        noise_shape: tuple[int | None, int | None] | None = None,
        seed: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.rate = validation.number("rate", rate, low=0, high=1)
        self.noise_shape = None if noise_shape is None else _noise_shape(noise_shape)
        self.seed = None if seed is None else validation.integer("seed", seed, high=2**64 - 1)

    def build(self, n_in: int) -> int:
        columns = self.noise_shape and self.noise_shape[1]
        if columns not in (None, 1, n_in):
            raise ValueError(f"noise_shape is {self.noise_shape}, expected None, 1 or {n_in} for the columns")
        return n_in

    @property
    def batch_size(self) -> int | None:
        """How many samples a batch must have, where that matters."""
        rows = self.noise_shape and self.noise_shape[0]
        return None if rows == 1 else rows

    def _apply(self, x: np.ndarray, training: bool) -> np.ndarray:
        if training and x.ndim > 0 and self.batch_size not in (None, len(x)):
            raise ValueError(f"x has {len(x)} samples, expected {self.batch_size} as noise_shape has")
        return super()._apply(x, training)

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
        seed = seed if self.seed is None else self.seed
        shared = tuple(n == 1 for n in self.noise_shape or (None, None))
        return self._engine_layer(n_in, n_out, 0, False, rate=self.rate, seed=seed, shared=shared)

    def get_config(self) -> dict[str, Any]:
        shape = None if self.noise_shape is None else list(self.noise_shape)
        return {"rate": self.rate, "noise_shape": shape, "seed": self.seed, **super().get_config()}


class Flatten(Layer):
    """Samples of several axes as one row each, in C order; the first layer, or behind a `Rescaling`.

    Parameters
    ----------
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.
    """

    _kind = None

    def _apply(self, x: np.ndarray, training: bool) -> np.ndarray:
        if x.ndim == 0 or x.size == 0:
            raise ValueError(f"x has shape {x.shape}, expected (samples, …), none of them empty")
        return x.reshape(len(x), -1)


class Rescaling(Layer):
    """x·scale + offset.

    Parameters
    ----------
    scale : float or array_like (in,)
    offset : float or array_like (in,)
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.
    """

    _kind = "affine"
    _axes = 1

    def __init__(self, scale: Any, offset: Any = 0.0, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.scale = validation.number_or_vector("scale", scale)
        self.offset = validation.number_or_vector("offset", offset)

    def build(self, n_in: int) -> int:
        validation.fits("scale", self.scale, n_in)
        validation.fits("offset", self.offset, n_in)
        return n_in

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
        rows = [np.full(n_in, value, self.dtype) for value in (self.scale, self.offset)]
        return self._engine_layer(n_in, n_out, 0, False, constants=rows)

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale.tolist(), "offset": self.offset.tolist(), **super().get_config()}


def _noise_shape(given: Any) -> tuple[int | None, int | None]:
    """Samples and columns, each a number or None."""
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise ValueError(f"noise_shape is {given!r}, expected two numbers, of samples and of columns, or None for all")
    rows, columns = (
        None if n is None else validation.integer(f"noise_shape[{i}]", n, low=1) for i, n in enumerate(given)
    )
    return rows, columns
