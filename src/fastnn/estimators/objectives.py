"""What an estimator minimises: scikit-learn's losses and fastnn's, and the last activation that each belongs behind."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import xlogy

from .. import losses

# By their snake-case names; the classes and `get` are other things.
NAMES = {name for name in losses.__all__ if name.islower()} - {"get", "serialize", "deserialize"}

# Their predictions are a row of classes, which one sigmoid is not.
_CATEGORICAL = (
    losses.CategoricalCrossentropy,
    losses.CategoricalFocalCrossentropy,
    losses.SparseCategoricalCrossentropy,
    losses.KLDivergence,
    losses.CategoricalHinge,
    losses.CosineSimilarity,
)
_MARGIN = (losses.Hinge, losses.SquaredHinge, losses.CategoricalHinge)


class Objective(NamedTuple):
    """A loss, and how the network's last layer has to be for it."""

    loss: losses.Loss
    out_activation: str  # scikit-learn's name
    scale: float = 1.0  # what the loss is multiplied by


class LogPoisson(losses.Loss):
    """Half the Poisson deviance, summed over the outputs, of predictions z = log ŷ: y log y - y z - y + exp(z)."""

    def value_and_gradient(
        self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any = None, out: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):  # a training that diverges says so by its loss
            mean = np.exp(y_pred)
            each = xlogy(y_true, y_true) - y_true * y_pred - y_true + mean
            return self.reduce(each.sum(axis=-1), mean - y_true, sample_weight)


class LogGamma(losses.Loss):
    """`losses.Gamma` of predictions z = log ŷ, summed over the outputs: y exp(-z) + z."""

    def value_and_gradient(
        self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any = None, out: np.ndarray | None = None
    ) -> tuple[Any, np.ndarray]:
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = y_true * np.exp(-y_pred)
            return self.reduce((ratio + y_pred).sum(axis=-1), 1 - ratio, sample_weight)


def regression(loss: str | losses.Loss, outputs: int) -> Objective:
    """The objective of a regressor."""
    if loss == "squared_error":
        # Half the squared error, summed over the outputs: the function that scikit-learn's gradient belongs to.
        return Objective(losses.MeanSquaredError(), "identity", 0.5 * outputs)
    chosen = _checked(loss)
    if isinstance(chosen, losses.Poisson):
        return Objective(LogPoisson(), "exp")
    if isinstance(chosen, losses.Gamma):
        return Objective(LogGamma(), "exp")
    if chosen.sparse or isinstance(chosen, losses.CategoricalHinge):
        raise ValueError(f"loss is {chosen.name}, which is for classes, expected one for numbers")
    if isinstance(chosen, (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy)):
        return Objective(chosen, "logistic")
    if isinstance(chosen, _CATEGORICAL) and not isinstance(chosen, losses.CosineSimilarity):
        return Objective(chosen, "softmax")
    return Objective(chosen, "identity")


def classification(loss: str | losses.Loss, kind: str, outputs: int) -> Objective:
    """The objective of a classifier of the `kind` ``binary``, ``multiclass`` or ``multilabel-indicator``."""
    if loss == "log_loss":
        if kind == "multiclass":
            return Objective(losses.SparseCategoricalCrossentropy(), "softmax")
        return Objective(losses.BinaryCrossentropy(), "logistic", outputs)  # summed over the outputs, not their mean
    chosen = _checked(loss)
    if isinstance(chosen, _CATEGORICAL) and kind == "multilabel-indicator":
        raise ValueError(f"loss is {chosen.name}, which is for one class of many, expected one for several labels")
    if isinstance(chosen, _MARGIN):
        return Objective(chosen, "identity")
    return Objective(chosen, "softmax" if kind == "multiclass" or isinstance(chosen, _CATEGORICAL) else "logistic")


def is_margin(loss: str | losses.Loss) -> bool:
    """Whether the network's outputs behind this loss are no probabilities."""
    return isinstance(losses.get(loss), _MARGIN) if loss != "log_loss" else False


def needs_two_outputs(loss: str | losses.Loss) -> bool:
    """Whether two classes need an output each."""
    return loss != "log_loss" and isinstance(losses.get(loss), _CATEGORICAL)


def _checked(loss: str | losses.Loss) -> losses.Loss:
    chosen = losses.get(loss)
    if getattr(chosen, "from_logits", False):
        raise ValueError(
            f"loss is {chosen!r}, expected from_logits=False: the estimator puts the sigmoid or softmax before it"
        )
    return chosen
