"""Losses and their gradients, as models use them and on their own.

A *loss* belongs to one sample (`Loss.per_sample`, and the functions); a *cost* is a reduction over samples (calling the
object), and it is the cost whose gradient `Loss.gradient` gives.  Names, defaults and definitions are Keras 3's, with
two additions, `Quantile` and `Gamma`; the gallery in ``docs/losses.md`` shows them all.

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

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import serialization, validation
from ..serialization import serialize
from .base import KernelLoss as KernelLoss
from .base import Loss
from .classification import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from .regression import (
    CosineSimilarity,
    Gamma,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    Quantile,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Gamma",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "Quantile",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "deserialize",
    "gamma",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "quantile",
    "serialize",
    "sparse_categorical_crossentropy",
    "squared_hinge",
]


def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """`MeanSquaredError` of each sample, (N,)."""
    return MeanSquaredError().per_sample(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """`MeanAbsoluteError` of each sample, (N,)."""
    return MeanAbsoluteError().per_sample(y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """`MeanAbsolutePercentageError` of each sample, (N,)."""
    return MeanAbsolutePercentageError().per_sample(y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """`MeanSquaredLogarithmicError` of each sample, (N,)."""
    return MeanSquaredLogarithmicError().per_sample(y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> np.ndarray:
    """`Huber` of each sample, (N,)."""
    return Huber(delta=delta).per_sample(y_true, y_pred)


def log_cosh(y_true: Any, y_pred: Any) -> np.ndarray:
    """`LogCosh` of each sample, (N,)."""
    return LogCosh().per_sample(y_true, y_pred)


def quantile(y_true: Any, y_pred: Any, q: float = 0.5) -> np.ndarray:
    """`Quantile` of each sample, (N,)."""
    return Quantile(q=q).per_sample(y_true, y_pred)


def poisson(y_true: Any, y_pred: Any) -> np.ndarray:
    """`Poisson` of each sample, (N,)."""
    return Poisson().per_sample(y_true, y_pred)


def gamma(y_true: Any, y_pred: Any) -> np.ndarray:
    """`Gamma` of each sample, (N,)."""
    return Gamma().per_sample(y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """`CosineSimilarity` of each sample, (N,)."""
    return CosineSimilarity(axis=axis).per_sample(y_true, y_pred)


def kl_divergence(y_true: Any, y_pred: Any, *, from_logits: bool = False) -> np.ndarray:
    """`KLDivergence` of each sample, (N,)."""
    return KLDivergence(from_logits=from_logits).per_sample(y_true, y_pred)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """`BinaryCrossentropy` of each sample, (N,)."""
    return BinaryCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing, axis=axis).per_sample(
        y_true, y_pred
    )


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """`BinaryFocalCrossentropy` of each sample, (N,)."""
    return BinaryFocalCrossentropy(
        apply_class_balancing=apply_class_balancing,
        alpha=alpha,
        gamma=gamma,
        from_logits=from_logits,
        label_smoothing=label_smoothing,
        axis=axis,
    ).per_sample(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> np.ndarray:
    """`CategoricalCrossentropy` of each sample, (N,)."""
    return CategoricalCrossentropy(from_logits=from_logits, label_smoothing=label_smoothing, axis=axis).per_sample(
        y_true, y_pred
    )


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> np.ndarray:
    """`CategoricalFocalCrossentropy` of each sample, (N,)."""
    return CategoricalFocalCrossentropy(
        alpha=alpha, gamma=gamma, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis
    ).per_sample(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> np.ndarray:
    """`SparseCategoricalCrossentropy` of each sample, (N,)."""
    return SparseCategoricalCrossentropy(from_logits=from_logits, ignore_class=ignore_class, axis=axis).per_sample(
        y_true, y_pred
    )


def hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """`Hinge` of each sample, (N,)."""
    return Hinge().per_sample(y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """`SquaredHinge` of each sample, (N,)."""
    return SquaredHinge().per_sample(y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> np.ndarray:
    """`CategoricalHinge` of each sample, (N,)."""
    return CategoricalHinge().per_sample(y_true, y_pred)


_FUNCTIONS: dict[Callable[..., np.ndarray], type[Loss]] = {
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    huber: Huber,
    log_cosh: LogCosh,
    quantile: Quantile,
    poisson: Poisson,
    gamma: Gamma,
    cosine_similarity: CosineSimilarity,
    kl_divergence: KLDivergence,
    binary_crossentropy: BinaryCrossentropy,
    binary_focal_crossentropy: BinaryFocalCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    categorical_focal_crossentropy: CategoricalFocalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    hinge: Hinge,
    squared_hinge: SquaredHinge,
    categorical_hinge: CategoricalHinge,
}
_CLASSES: dict[str, type[Loss]] = {kind.__name__: kind for kind in _FUNCTIONS.values()}
_NAMED: dict[str, type[Loss]] = {function.__name__: kind for function, kind in _FUNCTIONS.items()}
for _short, _name in {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
}.items():
    _NAMED[_short] = _NAMED[_short.upper()] = _NAMED[_name]
_NAMED |= _CLASSES


def get(identifier: str | dict[str, Any] | Loss | type[Loss] | Callable[..., np.ndarray]) -> Loss:
    """The loss of a name, of one of this module's functions, of a class, or of what `serialize` returned.

    Names are those of the functions and classes, and Keras's short ones: ``mse``, ``mae``, ``mape``, ``msle``, ``bce``,
    ``kld``, in small or capital letters.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or another kind of object.
    """
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if callable(identifier) and identifier in _FUNCTIONS:
        return _FUNCTIONS[identifier]()
    if callable(identifier) and not isinstance(identifier, (Loss, type)):
        raise TypeError(
            f"loss is {identifier!r}, which has no gradient; expected a name or an object of Loss, of your own class "
            "with a value_and_gradient"
        )
    return validation.lookup("loss", identifier, Loss, _NAMED)


def deserialize(config: dict[str, Any], custom_objects: dict[str, type[Loss]] | None = None) -> Loss:
    """The loss that `serialize` described.

    Parameters
    ----------
    config : dict
        With ``"class_name"`` and ``"config"``.
    custom_objects : dict, optional
        Your own classes, by name.
    """
    with serialization.custom_object_scope(custom_objects):
        return serialization.deserialize("loss", config, Loss, _CLASSES)
