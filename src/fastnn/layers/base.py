"""`Layer`, the base of all layers and of a user's own, and `Input`."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import activations, initializers, regularizers, validation

L = TypeVar("L", bound="Layer")


class Weight(NamedTuple):
    """What a layer has declared; its array becomes the layer's attribute of that name."""

    name: str
    shape: tuple[int, ...]
    initializer: initializers.Initializer
    trainable: bool

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)


class Layer:
    """Base of all layers; subclass it for a layer of one's own, written in NumPy.

    A subclass has `forward` and `backward`, and `build` where it has weights or another number of outputs than inputs.
    `fit` calls them once a batch, between compiled layers; the others do not slow down.

    Parameters
    ----------
    name : str, optional
        Unique in its model, which gives it one with a number where it is not set.

    Attributes
    ----------
    index : int or None
        Its place in the model that it is part of.
    n_in, n_out : int or None
        Inputs and outputs of one sample, once the model is built.
    dtype : numpy.dtype
        The model's, from `build` on.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Sequential, layers
    >>> class Scale(layers.Layer):
    ...     def build(self, n_in):
    ...         self.add_weight("factor", (n_in,), "ones")
    ...         return n_in
    ...     def forward(self, x, training):
    ...         self.x = x
    ...         return x * self.factor
    ...     def backward(self, gradient):
    ...         self.factor_gradient[:] = (gradient * self.x).sum(axis=0)
    ...         return gradient * self.factor
    >>> model = Sequential([layers.Input((3,)), Scale(), layers.Dense(1)], seed=0)
    >>> model.count_params()
    7
    """

    # Of the engine: what computes the layer, or None where nothing has to be computed.
    _kind: str | None = "own"

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name is {name!r}, expected a string")
        self.name = name
        self.index: int | None = None
        self.n_in: int | None = None
        self.n_out: int | None = None
        self.dtype = np.dtype(np.float32)
        self._engine: Any = None
        self._place = -1  # among the engine's layers
        self._declared: list[Weight] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or ''} {self.n_in or '?'} → {self.n_out or '?'}>"

    # ---- what an own layer overrides --------------------------------------------------------------------------------

    def build(self, n_in: int) -> int:
        """Declare the weights by `add_weight`, and return the number of outputs: n_in where it is not overridden."""
        return n_in

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """The outputs (N, n_out) for a copy of x (N, n_in): a whole batch in training, some samples in inference."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x, training)")

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The cost's gradient with respect to the x (N, n_in) of the last `forward`, from that with respect to its
        result.

        A weight ``w`` wants its own gradient written into ``self.w_gradient``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no backward(gradient)")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, such as JSON can hold; a subclass adds its own to these."""
        return {"name": self.name}

    @classmethod
    def from_config(cls: type[L], config: dict[str, Any]) -> L:
        """The layer that `get_config` described, with no weights yet."""
        return cls(**config)

    # ---- weights ----------------------------------------------------------------------------------------------------

    def add_weight(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: str | initializers.Initializer = "glorot_uniform",
        trainable: bool = True,
    ) -> None:
        """Declare a weight, within `build`; the model then makes it the attribute of that name.

        Parameters
        ----------
        name : str
        shape : tuple of int
        initializer : str or Initializer
        trainable : bool
            A trainable one is a view of the model's flat vector of parameters, its gradient an attribute
            ``<name>_gradient``.
        """
        self._declared.append(Weight(name, tuple(shape), initializers.get(initializer), trainable))

    @property
    def weights(self) -> list[np.ndarray]:
        """All weights, trainable ones first; writing into them changes the model."""
        return self.trainable_weights + self.non_trainable_weights

    @property
    def trainable_weights(self) -> list[np.ndarray]:
        """Those that training changes by gradients."""
        self._need_build()
        return [getattr(self, w.name) for w in self._declared if w.trainable]

    @property
    def non_trainable_weights(self) -> list[np.ndarray]:
        """The others, as moving averages are."""
        self._need_build()
        return [getattr(self, w.name) for w in self._declared if not w.trainable]

    @property
    def weight_names(self) -> list[str]:
        """Names of `weights`."""
        return [w.name for w in sorted(self._declared, key=lambda w: not w.trainable)]

    def count_params(self) -> int:
        """Elements of all weights of the built layer."""
        self._need_build()
        return sum(w.size for w in self._declared)

    # ---- what the model does with a layer ---------------------------------------------------------------------------

    def known_outputs(self, n_in: int | None) -> int | None:
        """Outputs for so many inputs, where that is known before building."""
        return None if self._kind == "own" else n_in

    def declare(self, n_in: int, dtype: np.dtype) -> int:
        """Let `build` declare the weights anew; returns the number of outputs."""
        self.dtype, self._declared = dtype, []
        return validation.integer(f"the result of build of {self!r}", self.build(n_in), low=1)

    @property
    def trainable_sizes(self) -> list[int]:
        """Elements of each declared trainable weight."""
        return [w.size for w in self._declared if w.trainable]

    def initialize(self, parameters: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw the first weights, trainable ones into this layer's share of the flat vector; returns all by name."""
        arrays, offset = {}, 0
        for weight in self._declared:
            if weight.trainable:
                array = parameters[offset : offset + weight.size].reshape(weight.shape)
                offset += weight.size
            else:
                array = np.empty(weight.shape, self.dtype)
            what = f"{weight.name}_initializer's result"
            values = validation.array(what, weight.initializer(weight.shape, rng), self.dtype)
            if values.shape != weight.shape:
                raise ValueError(f"{what} has shape {values.shape}, expected {weight.shape}")
            array[...] = values
            arrays[weight.name] = array
        return arrays

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray]) -> dict[str, Any] | None:
        """What the engine is to know, or None where there is nothing to compute."""
        if self._kind is None:
            return None
        return self._engine_layer(n_in, n_out, sum(self.trainable_sizes), False, own=self)

    def _engine_layer(
        self,
        n_in: int,
        n_out: int,
        n_kernel: int,
        use_bias: bool,
        activation: activations.Activation = activations.linear,
        penalties: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0)),
        **more: Any,
    ) -> dict[str, Any]:
        return {
            "kind": self._kind,
            "n_in": n_in,
            "n_out": n_out,
            "n_kernel": n_kernel,
            "use_bias": use_bias,
            "activation": activation.code,
            "alpha": activation.alpha,
            "penalties": penalties,
            **more,
        }

    def bind(
        self, engine: Any, place: int, n_in: int, n_out: int, arrays: dict[str, np.ndarray], gradients: np.ndarray
    ) -> None:
        """Take a place in the engine, and the arrays of `initialize` as attributes."""
        self._engine, self._place, self.n_in, self.n_out = engine, place, n_in, n_out
        offset = 0
        for weight in self._declared:
            setattr(self, weight.name, arrays[weight.name])
            if weight.trainable:
                share = gradients[offset : offset + weight.size].reshape(weight.shape)
                setattr(self, f"{weight.name}_gradient", share)
                offset += weight.size

    def refresh(self) -> None:
        """Before the engine works: bring up to date what it reads and the weights determine."""

    @property
    def output(self) -> np.ndarray:
        """A copy (N, n_out) of the layer's outputs of the model's last `forward`.

        An `Activation` right behind a layer is computed as part of it: the outputs of both are then the activation's.
        """
        self._need_build()
        result: np.ndarray = self._engine.layer_output(self._place)
        return result

    @property
    def delta(self) -> np.ndarray:
        """A copy (N, n_out) of the cost's gradient with respect to the pre-activations, of the last `backward`."""
        self._need_build()
        result: np.ndarray = self._engine.layer_delta(self._place)
        return result

    def _need_build(self) -> None:
        if self._engine is None:
            raise ValueError(f"the model of {self!r} is not built: give it a layers.Input first, or data")


class Input(Layer):
    """The shape of one sample; makes the model build its parameters at once.

    Parameters
    ----------
    shape : tuple of int
        ``(features,)``, or more axes where a `Flatten` follows.
    name : str, optional
    """

    _kind = None

    def __init__(self, shape: tuple[int, ...], name: str | None = None) -> None:
        super().__init__(name)
        if not isinstance(shape, (tuple, list)):
            raise TypeError(f"shape is {shape!r}, expected a tuple such as (64,)")
        if not shape:
            raise ValueError(f"shape is {shape!r}, expected a tuple such as (64,)")
        self.shape = tuple(validation.integer(f"shape[{i}]", n, low=1) for i, n in enumerate(shape))

    def get_config(self) -> dict[str, Any]:
        return {"shape": list(self.shape), **super().get_config()}


def penalty(regularizer: regularizers.Regularizer | None) -> tuple[float, float]:
    """The engine's (l1, l2)."""
    return (regularizer.l1, regularizer.l2) if regularizer else (0.0, 0.0)
