"""Layers: what a `Sequential` model is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import activations, initializers, regularizers, validation

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
        expected = "a tuple of one number of features, such as (64,)"
        if not isinstance(shape, (tuple, list)):
            raise TypeError(f"shape is {shape!r}, expected {expected}")
        if len(shape) != 1:
            raise ValueError(f"shape is {shape!r}, expected {expected}")
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
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties that add to the cost, as `fit`, `evaluate` and `value_and_gradient` report it, and to its gradient.
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
    index : int or None
        Its place in the model that it is part of.
    n_in : int or None
        Inputs, known once the model is built; before, there are no arrays.
    """

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.units = validation.integer("units", units, low=1)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.index: int | None = None
        self.n_in: int | None = None
        self._engine: Any = None

    def __repr__(self) -> str:
        return f"<Dense {self.name or ''} {self.n_in or '?'} → {self.units}, {self.activation.name}>"

    @property
    def output(self) -> np.ndarray:
        """The activations a of the last forward pass."""
        self._need_build()
        result: np.ndarray = self._engine.layer_output(self.index)
        return result

    @property
    def delta(self) -> np.ndarray:
        """The gradient with respect to z of the last backward pass."""
        self._need_build()
        result: np.ndarray = self._engine.layer_delta(self.index)
        return result

    def count_params(self) -> int:
        """Parameters of the built layer."""
        self._need_build()
        assert self.n_in is not None
        return self.units * (self.n_in + self.use_bias)

    def _need_build(self) -> None:
        if self._engine is None:
            raise ValueError(f"the model of {self!r} is not built: give it a layers.Input first, or data")

    def initialize(self, n_in: int, parameters: np.ndarray, rng: np.random.Generator) -> None:
        """Draw the first kernel and bias into this layer's share of the model's flat vector."""
        kernel, bias = self._cut(n_in, parameters)
        for name, target in (("kernel", kernel), ("bias", bias)):
            if target is not None:
                initializer = self.kernel_initializer if name == "kernel" else self.bias_initializer
                values = validation.array(f"{name}_initializer's result", initializer(target.shape, rng), target.dtype)
                if values.shape != target.shape:
                    raise ValueError(f"{name}_initializer's result has shape {values.shape}, expected {target.shape}")
                target[...] = values

    def bind(self, engine: Any, n_in: int, parameters: np.ndarray, gradients: np.ndarray) -> None:
        """Take this layer's place in the engine, and its share of the model's flat vectors."""
        self._engine, self.n_in = engine, n_in
        self.kernel, self.bias = self._cut(n_in, parameters)
        self.kernel_gradient, self.bias_gradient = self._cut(n_in, gradients)

    def _cut(self, n_in: int, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Views of the layer's share of a flat vector: kernel (in, out), then bias (out,)."""
        size = n_in * self.units
        return flat[:size].reshape(n_in, self.units), flat[size:] if self.use_bias else None
