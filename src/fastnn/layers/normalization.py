"""Layers that normalise: `BatchNormalization`, `LayerNormalization`, and `Normalization` of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import initializers, regularizers, validation
from .base import Layer, penalty


class _Affine(Layer):
    """What both trained normalizations share: z = gamma·x̂ + beta, each where it is switched on."""

    gamma: np.ndarray | None
    beta: np.ndarray | None

    def __init__(
        self,
        axis: int,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: str | initializers.Initializer,
        gamma_initializer: str | initializers.Initializer,
        beta_regularizer: str | regularizers.Regularizer | None,
        gamma_regularizer: str | regularizers.Regularizer | None,
        name: str | None,
    ) -> None:
        super().__init__(name)
        self.axis = _last_axis(axis)
        self.epsilon = validation.number("epsilon", epsilon, low=0, open_low=True)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)

    def build(self, n_in: int) -> int:
        self.gamma = self.beta = None
        if self.scale:
            self.add_weight("gamma", (n_in,), self.gamma_initializer)
        if self.center:
            self.add_weight("beta", (n_in,), self.beta_initializer)
        return n_in

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        penalties = (
            penalty(self.gamma_regularizer if self.scale else None),
            penalty(self.beta_regularizer if self.center else None),
        )
        return self._engine_layer(
            n_in, n_out, n_in * self.scale, self.center, penalties=penalties, epsilon=self.epsilon
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            **super().get_config(),
        }


class BatchNormalization(_Affine):
    """z = gamma·(x - μ)/√(σ² + ε) + beta, with mean μ and variance σ² of each input over the batch.

    Inference takes moving averages of both, m ← momentum·m + (1 - momentum)·batch, with the biased variance as Keras 3
    does.  A batch is worked on as a whole: memory grows with its size.

    Parameters
    ----------
    axis : int
        -1, the outputs.
    momentum : float in [0, 1]
    epsilon : float
    center, scale : bool
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : str or Initializer
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    name : str, optional

    Attributes
    ----------
    gamma, beta : ndarray (in,) or None
    moving_mean, moving_variance : ndarray (in,)
        Not trained by gradients.

    References
    ----------
    Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
    ICML 2015.
    """

    _kind = "batch_norm"
    moving_mean: np.ndarray
    moving_variance: np.ndarray

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        moving_mean_initializer: str | initializers.Initializer = "zeros",
        moving_variance_initializer: str | initializers.Initializer = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            axis,
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            name,
        )
        self.momentum = validation.number("momentum", momentum, low=0, high=1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, n_in: int) -> int:
        super().build(n_in)
        self.add_weight("moving_mean", (n_in,), self.moving_mean_initializer, trainable=False)
        self.add_weight("moving_variance", (n_in,), self.moving_variance_initializer, trainable=False)
        return n_in

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        moving = [arrays["moving_mean"], arrays["moving_variance"]]
        return super().for_engine(n_in, n_out, arrays) | {"momentum": self.momentum, "moving": moving}

    def get_config(self) -> dict[str, Any]:
        return {
            "momentum": self.momentum,
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            **super().get_config(),
        }


class LayerNormalization(_Affine):
    """z = gamma·(x - μ)/√(σ² + ε) + beta, with mean μ and variance σ² over the inputs of each sample.

    Parameters
    ----------
    axis : int
        -1, the outputs.
    epsilon : float
    center, scale : bool
        Whether there is a beta, a gamma.
    beta_initializer, gamma_initializer : str or Initializer
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
    name : str, optional

    Attributes
    ----------
    gamma, beta : ndarray (in,) or None

    References
    ----------
    Ba, Kiros and Hinton, "Layer normalization", arXiv:1607.06450 (2016).
    """

    _kind = "layer_norm"

    def __init__(
        self,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | initializers.Initializer = "zeros",
        gamma_initializer: str | initializers.Initializer = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(
            axis,
            epsilon,
            center,
            scale,
            beta_initializer,
            gamma_initializer,
            beta_regularizer,
            gamma_regularizer,
            name,
        )


class Normalization(Layer):
    """(x - mean)/√variance of each input over the data, which `adapt` finds, before training, or which are given.

    Parameters
    ----------
    axis : int or None
        -1: each input has its own; None: all together have one.
    mean, variance : float or array_like (in,), optional
        Both, or neither.
    invert : bool
        x·√variance + mean instead.
    name : str, optional

    Attributes
    ----------
    mean, variance : ndarray (in,)
        0 and 1 until `adapt`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Sequential, layers
    >>> scaler = layers.Normalization()
    >>> scaler.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> Sequential([layers.Input((2,)), scaler]).predict([[1, 30]])
    array([[-1.,  1.]], dtype=float32)
    """

    _kind = "affine"
    mean: np.ndarray
    variance: np.ndarray

    def __init__(
        self,
        axis: int | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.axis = None if axis is None else _last_axis(axis)
        if (mean is None) != (variance is None):
            raise ValueError(f"mean is {mean!r} and variance is {variance!r}, expected both or neither")
        self._given = mean is not None
        self._found: tuple[np.ndarray, np.ndarray] | None = None
        if self._given:
            self._found = tuple(_statistic(n, v) for n, v in (("mean", mean), ("variance", variance)))  # type: ignore
        self.invert = bool(invert)

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data (N, in), in float64; where the model is built, it has them at once.

        Raises
        ------
        ValueError
            For data of another number of inputs than the model's, empty or not finite.
        """
        x = validation.real("data", data, "an array (N, in)")
        x = x.reshape(len(x), -1) if x.ndim != 1 else x[:, np.newaxis]
        if x.size == 0:
            raise ValueError(f"data has shape {x.shape}, expected at least one sample")
        if self.n_in is not None and x.shape[1] != self.n_in:
            raise ValueError(f"data has {x.shape[1]} columns, expected {self.n_in} as the model's layer")
        axis = 0 if self.axis is not None else None
        mean = x.mean(axis=axis, dtype=np.float64)
        variance = np.square(x - mean).mean(axis=axis, dtype=np.float64)
        if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
            raise ValueError("data has elements that are not finite, expected numbers")
        self._found = np.asarray(mean), np.asarray(variance)
        if self._engine is not None:
            self._assign(self.mean, self.variance)

    def build(self, n_in: int) -> int:
        if self._found is not None:
            for name, value in zip(("mean", "variance"), self._found, strict=True):
                if value.shape not in ((), (n_in,)):
                    raise ValueError(f"{name} has shape {value.shape}, expected a number or ({n_in},)")
        self.add_weight("mean", (n_in,), "zeros", trainable=False)
        self.add_weight("variance", (n_in,), "ones", trainable=False)
        return n_in

    def initialize(self, parameters: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        arrays = super().initialize(parameters, rng)
        self._assign(arrays["mean"], arrays["variance"])
        return arrays

    def _assign(self, mean: np.ndarray, variance: np.ndarray) -> None:
        if self._found is not None:
            mean[...], variance[...] = self._found

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        self._constants = [np.zeros(n_in, self.dtype) for _ in range(3)]
        return self._engine_layer(n_in, n_out, 0, False, constants=self._constants)

    def refresh(self) -> None:
        center, factor, shift = self._constants
        deviation = np.maximum(np.sqrt(self.variance), self.dtype.type(1e-7))  # Keras's epsilon
        if self.invert:
            factor[...], shift[...] = deviation, self.mean
        else:
            center[...], factor[...] = self.mean, 1 / deviation

    def get_config(self) -> dict[str, Any]:
        given = [v.tolist() for v in self._found] if self._given and self._found is not None else [None, None]
        return {
            "axis": self.axis,
            "mean": given[0],
            "variance": given[1],
            "invert": self.invert,
            **super().get_config(),
        }


def _last_axis(axis: int) -> int:
    if axis not in (-1, 1) or isinstance(axis, bool):
        raise ValueError(f"axis is {axis!r}, expected -1: samples are rows")
    return -1


def _statistic(name: str, value: Any) -> np.ndarray:
    result = validation.real(name, value, "a number or a vector").astype(np.float64)
    low = 0 if name == "variance" else -np.inf
    if result.ndim > 1 or not (np.isfinite(result) & (result >= low)).all():
        least = ", at least 0" if name == "variance" else ""
        raise ValueError(f"{name} is {value!r}, expected a finite number or a vector of them{least}")
    return result
