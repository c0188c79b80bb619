"""Layers that normalise: `BatchNormalization`, `LayerNormalization`, and `Normalization` of the data."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from .. import initializers, regularizers, validation
from .base import Layer, Options, last_axis, penalty
from .moments import moments


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
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.axis = last_axis(axis)
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

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
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

    The gradient with respect to x goes through μ and σ² as well.  Inference takes moving averages of both, m ←
    momentum·m + (1 - momentum)·batch, with the biased variance as Keras 3 does; a backward pass moves them.  A batch is
    worked on as a whole: memory grows with its size.  With ``trainable=False`` training takes the moving averages too,
    and leaves them as they are.

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
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.

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
        **options: Unpack[Options],
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
            **options,
        )
        self.momentum = validation.number("momentum", momentum, low=0, high=1)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, n_in: int) -> int:
        super().build(n_in)
        self.add_weight("moving_mean", (n_in,), self.moving_mean_initializer, trainable=False)
        self.add_weight("moving_variance", (n_in,), self.moving_variance_initializer, trainable=False)
        return n_in

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
        moving = [arrays["moving_mean"], arrays["moving_variance"]]
        return super().for_engine(n_in, n_out, arrays, seed) | {"momentum": self.momentum, "moving": moving}

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
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.

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
        **options: Unpack[Options],
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
            **options,
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
    **options
        name, trainable, input_shape, input_dim, dtype: see `Layer`.

    Attributes
    ----------
    mean, variance : ndarray (in,)
        0 and 1 until `adapt`.  What is written into them holds from the next call on: of the model, of a function from
        `predictor`, of the layer.  Before the layer is built they are what was given or found, and read-only.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import layers
    >>> scaler = layers.Normalization()
    >>> scaler.adapt(np.array([[1.0, 10.0], [3.0, 30.0]]))
    >>> scaler([[1, 30]])
    array([[-1.,  1.]], dtype=float32)
    """

    _kind = "normalization"
    _axes = 1
    mean: np.ndarray
    variance: np.ndarray

    def __init__(
        self,
        axis: int | tuple[int, ...] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        if isinstance(axis, (tuple, list)):  # as Keras keeps it
            axis = None if len(axis) == 0 else axis[0] if len(axis) == 1 else axis
        self.axis = None if axis is None else last_axis(axis)
        if (mean is None) != (variance is None):
            raise ValueError(f"mean is {mean!r} and variance is {variance!r}, expected both or neither")
        self._found: tuple[np.ndarray, np.ndarray] | None = None
        if mean is not None:
            self._found = (
                validation.number_or_vector("mean", mean),
                validation.number_or_vector("variance", variance, low=0),
            )
        self.invert = bool(invert)
        self._show_found()

    def _show_found(self) -> None:
        if self._found is not None:
            self.mean, self.variance = (np.array(v, self.dtype) for v in self._found)
            self.mean.flags.writeable = self.variance.flags.writeable = False  # for they are not what is computed with

    def adapt(self, data: Any) -> None:
        """Take mean and variance from data, in float64; where the layer is built, it has them at once.

        Parameters
        ----------
        data : array_like (N, in), or iterable of batches
            Samples of more axes count as one row each, (N,) as (N, 1).  Of a memory map some rows are read at a time:
            memory does not grow with the file.  Of batches that are tuples, such as ``(x, y)``, the first is taken.  As
            in Keras a list of arrays is one of batches; a list of numbers or of lists of them is an array.

        Raises
        ------
        ValueError, TypeError
            For data of another number of inputs than the layer's, empty or not finite; nothing is changed then.
        """
        together = self.axis is None
        mean, variance = moments(data, None if together else self.n_in, together=together)
        self._found = mean, variance
        if self.n_in is not None:
            self.mean[...], self.variance[...] = mean, variance
        else:
            self._show_found()

    def build(self, n_in: int) -> int:
        mean, variance = self._found or (np.zeros(()), np.ones(()))
        validation.fits("mean", mean, n_in)
        validation.fits("variance", variance, n_in)
        self.add_weight("mean", (n_in,), _Given(mean), trainable=False)
        self.add_weight("variance", (n_in,), _Given(variance), trainable=False)
        return n_in

    @property
    def _keeps_weights(self) -> bool:
        return False  # for other inputs there are what was found, or given, as it is

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
        moving = [arrays["mean"], arrays["variance"]]
        return self._engine_layer(n_in, n_out, 0, False, moving=moving, invert=self.invert)

    @property
    def deviation(self) -> np.ndarray:
        """√variance (in,), at least Keras's 1e-7."""
        result: np.ndarray = np.maximum(np.sqrt(self.variance), self.dtype.type(1e-7))
        return result

    def get_config(self) -> dict[str, Any]:
        given = [None, None] if self._found is None else [v.tolist() for v in self._found]
        return {
            "axis": self.axis,
            "mean": given[0],
            "variance": given[1],
            "invert": self.invert,
            **super().get_config(),
        }


class _Given(initializers.Initializer):
    """A value, or a vector of them, that is known."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.broadcast_to(self.values, shape)
