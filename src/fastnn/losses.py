"""Losses and their gradients, as models use them and on their own.

A *loss* belongs to one sample (`Loss.per_sample`); a *cost* is a reduction over samples (calling the object), and it is
the cost whose gradient `Loss.gradient` gives.  Definitions are Keras 3's.

>>> import numpy as np
>>> from fastnn import losses
>>> mse = losses.MeanSquaredError()
>>> y_true, y_pred = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 0.0]])
>>> mse.per_sample(y_true, y_pred)
array([0.5, 0.5])
>>> mse.value_and_gradient(y_true, y_pred)
(0.5, array([[0.5, 0. ],
       [0.5, 0. ]]))
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from . import activations, validation
from .kernels import core

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "get",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]

_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


class KernelLoss(NamedTuple):
    """What the engine needs to know of a loss."""

    code: int
    fused: bool  # takes the last layer's pre-activations, and gives their gradient
    label_smoothing: float


class Loss:
    """Base of all losses.

    Parameters
    ----------
    reduction : {"sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None}
        How the N losses L_i with weights w_i (1 by default) become a cost: ``sum_over_batch_size`` and ``mean`` are
        (1/N) Σ w_i L_i, ``sum`` is Σ w_i L_i, ``mean_with_sample_weight`` is Σ w_i L_i / Σ w_i; ``none`` and None leave
        the N weighted losses as they are.
    name : str, optional
    """

    _name: str

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        self.reduction = validation.choice("reduction", reduction, _REDUCTIONS)
        self.name = name or self._name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float | np.ndarray:
        """The cost, summed in float64; without a reduction, the weighted losses (N,).

        Parameters
        ----------
        y_true : array_like
            Targets (N, K), or integer labels (N,) for sparse losses; (N,) means (N, 1).
        y_pred : array_like
            Predictions (N, K); (N,) means (N, 1).  float32 and float64 are computed as they are, other types as
            float64.
        sample_weight : array_like, optional
            One weight for each sample (N,), or one for all.

        Raises
        ------
        ValueError
            For shapes that do not fit, NaN in y_true, a label outside 0 … K-1, a negative weight.
        """
        rows, weights, _ = self._evaluate(y_true, y_pred, sample_weight, None, gradient=False)
        return self._reduce(rows, weights)

    def per_sample(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """The loss of each sample, (N,), unweighted, float64."""
        return self._evaluate(y_true, y_pred, None, None, gradient=False)[0]

    def gradient(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient of the cost with respect to `y_pred` (to the logits where ``from_logits``), of `y_pred`'s shape.

        Without a reduction, row i is the gradient of sample i's weighted loss.

        Parameters
        ----------
        y_true, y_pred, sample_weight
            As for the call.
        out : ndarray, optional
            Where to write it: shape and dtype as `y_pred`'s.
        """
        return self.value_and_gradient(y_true, y_pred, sample_weight, out)[1]

    def value_and_gradient(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: np.ndarray | None = None
    ) -> tuple[float | np.ndarray, np.ndarray]:
        """Cost and gradient in one pass: what the call and `gradient` return."""
        rows, weights, gradient = self._evaluate(y_true, y_pred, sample_weight, out, gradient=True)
        return self._reduce(rows, weights), gradient

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"reduction": self.reduction, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        return cls(**config)

    # ---- what a subclass says of itself -----------------------------------------------------------------------------

    sparse = False  # targets are integer labels

    def for_engine(self, last: activations.Activation) -> KernelLoss:
        """How the engine computes this loss behind the given last activation."""
        raise NotImplementedError

    def targets(self, y: Any, rows: int, columns: int, dtype: np.dtype, name: str = "y") -> np.ndarray:
        """Checked targets for `rows` predictions of `columns` outputs."""
        if self.sparse:
            return validation.labels(name, y, rows, columns)
        return validation.targets(name, y, dtype, rows, columns)

    # -----------------------------------------------------------------------------------------------------------------

    def _evaluate(
        self, y_true: Any, y_pred: Any, sample_weight: Any, out: np.ndarray | None, gradient: bool
    ) -> tuple[np.ndarray, np.ndarray | None, Any]:
        dtype = validation.floating("y_pred", y_pred)
        given = validation.array("y_pred", y_pred, dtype)
        p = validation.matrix("y_pred", given, dtype)
        y = self.targets(y_true, p.shape[0], p.shape[1], dtype, "y_true")
        weights = validation.weights("sample_weight", sample_weight, dtype, len(p))
        if out is not None:
            validation.output("out", out, given)
        scale = 1.0
        if self.reduction in ("sum_over_batch_size", "mean"):
            scale = 1.0 / len(p)
        elif self.reduction == "mean_with_sample_weight":
            total = float(len(p)) if weights is None else math.fsum(weights)
            scale = 1.0 / total if total else 0.0
        spec = self.for_engine(activations.linear)
        rows = np.empty(len(p))
        d = np.empty_like(p) if gradient else None
        core(dtype).loss(spec.code, spec.label_smoothing, y, p, weights, scale, rows, d)
        if d is None:
            return rows, weights, None
        d = d.reshape(given.shape)
        if out is None:
            return rows, weights, d
        out[...] = d
        return rows, weights, out

    def _reduce(self, rows: np.ndarray, weights: np.ndarray | None) -> float | np.ndarray:
        if self.reduction in (None, "none"):
            return rows
        total = float(np.sum(rows))
        if self.reduction == "sum":
            return total
        if self.reduction == "mean_with_sample_weight" and weights is not None:
            weight = math.fsum(weights)
            return total / weight if weight else 0.0
        return total / len(rows)


class MeanSquaredError(Loss):
    """Mean over the outputs of (ŷ - y)²; its gradient for one sample is 2(ŷ - y)/K, without a hidden half."""

    _name = "mean_squared_error"

    def for_engine(self, last: activations.Activation) -> KernelLoss:
        return KernelLoss(0, False, 0.0)


class _Crossentropy(Loss):
    """What the cross-entropies share: probabilities or logits, and label smoothing."""

    _codes: tuple[int, int]  # of probabilities, of logits
    _fuses: activations.Activation  # this activation before the loss is computed with it, from the logits

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits = bool(from_logits)
        self.label_smoothing = validation.number("label_smoothing", label_smoothing, low=0, high=1)

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "label_smoothing": self.label_smoothing, **super().get_config()}

    def for_engine(self, last: activations.Activation) -> KernelLoss:
        fused = not self.from_logits and last is self._fuses
        return KernelLoss(self._codes[self.from_logits or fused], fused, self.label_smoothing)


class BinaryCrossentropy(_Crossentropy):
    """Mean over the outputs of -(y log p + (1-y) log(1-p)), for targets y in [0, 1].

    Parameters
    ----------
    from_logits : bool
        `y_pred` holds logits z, p = sigmoid(z): computed as max(z, 0) - z y + log(1 + exp(-|z|)), whose gradient
        (1-y) sigmoid(z) - y sigmoid(-z) loses no accuracy.  Otherwise it holds probabilities, clipped to [1e-7, 1 -
        1e-7]; where the clip acts the gradient is 0.
    label_smoothing : float in [0, 1]
        α turns y into y(1-α) + α/2.
    reduction, name
        As in `Loss`.
    """

    _name = "binary_crossentropy"
    _codes = (1, 2)
    _fuses = activations.sigmoid


class CategoricalCrossentropy(_Crossentropy):
    """-Σ_k y_k log p_k, for targets y (N, K): one-hot rows, or any probabilities.

    Parameters
    ----------
    from_logits : bool
        `y_pred` holds logits z, p = softmax(z); the gradient of one sample's loss is p Σ_k y_k - y.  Otherwise it holds
        probabilities, divided by their row's sum and clipped to [1e-7, 1 - 1e-7]; where the clip acts the gradient is
        0.
    label_smoothing : float in [0, 1]
        α turns y into y(1-α) + α/K.
    reduction, name
        As in `Loss`.
    """

    _name = "categorical_crossentropy"
    _codes = (3, 4)
    _fuses = activations.softmax


class SparseCategoricalCrossentropy(_Crossentropy):
    """-log p_c, for integer labels c (N,): `CategoricalCrossentropy` without the one-hot rows.

    Parameters
    ----------
    from_logits : bool
        As in `CategoricalCrossentropy`.
    reduction, name
        As in `Loss`.
    """

    _name = "sparse_categorical_crossentropy"
    _codes = (3, 4)
    _fuses = activations.softmax
    sparse = True

    def __init__(
        self, from_logits: bool = False, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(from_logits, 0.0, reduction, name)

    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in super().get_config().items() if name != "label_smoothing"}


def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """`MeanSquaredError` of each sample, (N,)."""
    return MeanSquaredError().per_sample(y_true, y_pred)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> np.ndarray:
    """`BinaryCrossentropy` of each sample, (N,)."""
    return BinaryCrossentropy(from_logits, label_smoothing).per_sample(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> np.ndarray:
    """`CategoricalCrossentropy` of each sample, (N,)."""
    return CategoricalCrossentropy(from_logits, label_smoothing).per_sample(y_true, y_pred)


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> np.ndarray:
    """`SparseCategoricalCrossentropy` of each sample, (N,)."""
    return SparseCategoricalCrossentropy(from_logits).per_sample(y_true, y_pred)


_NAMED: dict[str, type[Loss]] = {
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "binary_crossentropy": BinaryCrossentropy,
    "bce": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}


def get(identifier: str | Loss | type[Loss]) -> Loss:
    """The loss of a name: Keras's, ``mse`` and ``bce`` for short.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    return validation.lookup("loss", identifier, Loss, _NAMED)
