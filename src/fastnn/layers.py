"""Layers: what a `Sequential` model is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import activations, initializers, validation

__all__ = ["Dense", "Input", "Layer"]


class Layer:
    """Base of all layers.

    Attributes
    ----------
    name : str
        Unique in its model, which gives it a number where it is not set.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name


class Input(Layer):
    """The shape of one sample; makes the model build its parameters at once.

    Parameters
    ----------
    shape : tuple of int
        ``(features,)``.
    name : str, optional
    """

    def __init__(self, shape: tuple[int, ...], name: str | None = None) -> None:
        super().__init__(name)
        if not isinstance(shape, (tuple, list)) or len(shape) != 1:
            raise ValueError(f"shape is {shape!r}, expected a tuple of one number of features, such as (64,)")
        self.shape = (validation.integer("shape[0]", shape[0], low=1),)


class Dense(Layer):
    """A fully connected layer: a = f(z), z = x W + b, for x (N, in) and W (in, out).

    Parameters
    ----------
    units : int
        Outputs.
    activation : str or Activation, optional
        f; linear by default.
    use_bias : bool
        Whether there is a b (out,).
    kernel_initializer, bias_initializer : str or Initializer
    name : str, optional

    Attributes
    ----------
    kernel : ndarray (in, out)
        W: a view of the model's flat vector of parameters; writing into it changes the model.
    bias : ndarray (out,) or None
    kernel_gradient, bias_gradient : ndarray
        Views of the model's gradients, of the same shapes.
    output, delta : ndarray (N, out)
        Copies of a, and of the cost's gradient with respect to z, from the model's last `forward` and `backward`.
    """

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = validation.integer("units", units, low=1)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.n_in: int | None = None
        self._engine: Any = None
        self._index = -1

    def __repr__(self) -> str:
        return f"<Dense {self.name or ''} {self.n_in or '?'} → {self.units}, {self.activation.name}>"

    @property
    def output(self) -> np.ndarray:
        return self._engine.layer_output(self._index)

    @property
    def delta(self) -> np.ndarray:
        return self._engine.layer_delta(self._index)

    def count_params(self) -> int:
        """Parameters of the built layer."""
        assert self.n_in is not None
        return self.units * (self.n_in + self.use_bias)

    def bind(self, engine: Any, index: int, parameters: np.ndarray, gradients: np.ndarray) -> None:
        """Take this layer's place in the engine, and its share of the model's flat vectors."""
        assert self.n_in is not None
        self._engine, self._index = engine, index
        shape = (self.n_in, self.units)
        size = self.n_in * self.units
        self.kernel, self.kernel_gradient = parameters[:size].reshape(shape), gradients[:size].reshape(shape)
        self.bias = parameters[size:] if self.use_bias else None
        self.bias_gradient = gradients[size:] if self.use_bias else None

    def initialize(self, rng: np.random.Generator) -> None:
        """Draw the first kernel and bias."""
        self.kernel[...] = self.kernel_initializer(self.kernel.shape, rng)
        if self.bias is not None:
            self.bias[...] = self.bias_initializer(self.bias.shape, rng)
