"""`Dense`, the fully connected layer."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from .. import activations, initializers, regularizers, validation
from .base import Layer, Options, penalty


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
    kernel_initializer, bias_initializer : str or Initializer, optional
        None is "glorot_uniform", as in Keras.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties that add to the cost, as `fit`, `evaluate` and `value_and_gradient` report it, and to its gradient.
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.

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

    _kind = "dense"
    kernel: np.ndarray
    kernel_gradient: np.ndarray
    bias: np.ndarray | None
    bias_gradient: np.ndarray | None

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer | None = "glorot_uniform",
        bias_initializer: str | initializers.Initializer | None = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.units = validation.integer("units", units, low=1)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(
            "glorot_uniform" if kernel_initializer is None else kernel_initializer
        )
        self.bias_initializer = initializers.get("glorot_uniform" if bias_initializer is None else bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def __repr__(self) -> str:
        return f"<Dense {self.name or ''} {self.n_in or '?'} → {self.units}, {self.activation.name}>"

    def known_outputs(self, n_in: int | None) -> int:
        return self.units

    def build(self, n_in: int) -> int:
        self.add_weight("kernel", (n_in, self.units), self.kernel_initializer)
        if self.use_bias:
            self.add_weight("bias", (self.units,), self.bias_initializer)
        else:
            self.bias = self.bias_gradient = None
        return self.units

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
        penalties = (penalty(self.kernel_regularizer), penalty(self.bias_regularizer))
        return self._engine_layer(n_in, n_out, n_in * n_out, self.use_bias, self.activation, penalties)

    def get_config(self) -> dict[str, Any]:
        return {
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            **super().get_config(),
        }
