"""Metrics: what `fit` and `evaluate` report beside the loss, and on their own.

Names, defaults and definitions are Keras 3's.  A metric adds up what it needs of samples that come piece by piece; its
sums are float64.

>>> from fastnn import metrics
>>> precision = metrics.Precision()
>>> precision.update_state([0, 1, 1, 1], [0.2, 0.9, 0.4, 0.7])
>>> precision.update_state([0], [0.6])
>>> round(precision.result(), 3)
0.667
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import losses, serialization
from ..losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from ..serialization import serialize
from .accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from .base import Mean, MeanMetricWrapper, Metric, snake_case
from .confusion import (
    AUC,
    F1Score,
    FalseNegatives,
    FalsePositives,
    FBetaScore,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
)
from .regression import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    OfLoss,
    Poisson,
    R2Score,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Poisson",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SquaredHinge",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "deserialize",
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
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

_CLASSES: dict[str, type[Metric]] = {
    name: value
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, Metric) and value not in (Metric, Mean, MeanMetricWrapper, OfLoss)
}
_GENERAL = {kind.__name__: kind for kind in (Mean, MeanMetricWrapper, OfLoss)}
_NAMED = {snake_case(name): kind for name, kind in _CLASSES.items()} | _CLASSES
_FUNCTIONS: dict[Callable[..., Any], type[Metric]] = {
    binary_accuracy: BinaryAccuracy,
    categorical_accuracy: CategoricalAccuracy,
    sparse_categorical_accuracy: SparseCategoricalAccuracy,
    top_k_categorical_accuracy: TopKCategoricalAccuracy,
    sparse_top_k_categorical_accuracy: SparseTopKCategoricalAccuracy,
}
_ACCURACY = ("accuracy", "acc")

# What a configuration may name besides functions of the user's own.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: vars(losses)[name] for name in {*losses.__all__} - {"get", "serialize", "deserialize"} if name.islower()},
    **{function.__name__: function for function in _FUNCTIONS},
}


def get(identifier: Any, outputs: int | None = None, sparse: bool = False) -> Metric:
    """The metric of a name, a class, a function, or what `serialize` returned; a metric itself as it is.

    Parameters
    ----------
    identifier : str, Metric, type, callable, Loss or dict
        A name is that of a class or, in snake case, of a function, or a loss's; it names the metric in logs.  A
        function, ``f(y_true, y_pred)`` with arrays (N, K), or integer labels (N,), returns one value for each sample,
        or several: their mean is the metric.

        ``accuracy`` (or ``acc``) means, as in Keras: binary accuracy, the share of predictions on the right side of
        0.5, where the model has one output; categorical accuracy, the share of samples whose largest output is the
        right one, where it has more.
    outputs : int, optional
        Of the model that the metric is for; without it, ``accuracy`` is the share of outputs that equal their targets.
    sparse : bool
        Whether its targets are integer labels.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, another kind of object, or a metric that does not fit the model.
    """
    metric = _find(identifier, outputs, sparse)
    if outputs is not None:
        metric.check(outputs, sparse)
    return metric


def _find(identifier: Any, outputs: int | None, sparse: bool) -> Metric:
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        if identifier in _ACCURACY and outputs is not None:
            kind: type[Metric] = SparseCategoricalAccuracy if sparse else CategoricalAccuracy
            return (BinaryAccuracy if outputs == 1 else kind)(identifier)
        if identifier in _NAMED or identifier in _ACCURACY:
            metric = _NAMED.get(identifier, Accuracy)()
        else:
            try:
                metric = OfLoss(losses.get(identifier))
            except ValueError:
                known = ", ".join(map(repr, sorted({*map(snake_case, _CLASSES), *_ACCURACY})))
                raise ValueError(f"metrics has {identifier!r}, expected a loss's name or one of {known}") from None
        metric.name = identifier
        return metric
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if isinstance(identifier, losses.Loss):
        return OfLoss(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        if identifier in _FUNCTIONS:
            return _FUNCTIONS[identifier]()
        try:
            return OfLoss(losses.get(identifier))  # where it is one of the losses' functions
        except TypeError:
            return MeanMetricWrapper(identifier)
    raise TypeError(f"metrics has {identifier!r}, expected names, metrics or functions")


def deserialize(config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Metric:
    """The metric that `serialize` described.

    Parameters
    ----------
    config : dict
        With ``"class_name"`` and ``"config"``.
    custom_objects : dict, optional
        Your own classes and functions, by name.
    """
    with serialization.custom_object_scope(custom_objects):
        return serialization.deserialize("metric", config, Metric, _CLASSES | _GENERAL)
