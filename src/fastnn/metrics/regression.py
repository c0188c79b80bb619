"""Errors of predictions, and the losses as metrics."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .. import losses, validation
from .base import MeanOfSamples, Metric, pair, scalar, weights


class OfLoss(MeanOfSamples):
    """The mean of a loss over samples.

    Parameters
    ----------
    loss : Loss
    name : str, optional
        The loss's by default.
    """

    direction: str | None = "down"

    def __init__(self, loss: losses.Loss, name: str | None = None) -> None:
        super().__init__(name or loss.name)
        self.loss = loss
        self.labels = loss.sparse

    def check(self, outputs: int, sparse: bool) -> None:
        super().check(outputs, sparse)
        self.loss.check_outputs(outputs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        p = validation.matrix("y_pred", y_pred, validation.floating("y_pred", y_pred))
        self.add(self.loss.per_sample(y_true, p), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"loss": losses.serialize(self.loss), "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(losses.deserialize(config["loss"]), config["name"])


class _Named(OfLoss):
    """The mean of the loss of the same name, with its options."""

    _loss: type[losses.Loss]
    _name: str | None = None

    def __init__(self, name: str | None = None, **options: Any) -> None:
        super().__init__(self._loss(**options), name or self._name)
        self.options = options

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**config)


class MeanSquaredError(_Named):
    """The mean of (ŷ - y)²."""

    _loss = losses.MeanSquaredError


class MeanAbsoluteError(_Named):
    """The mean of |ŷ - y|."""

    _loss = losses.MeanAbsoluteError


class MeanAbsolutePercentageError(_Named):
    """The mean of 100 |ŷ - y| / max(|y|, ε), ε = 1e-7."""

    _loss = losses.MeanAbsolutePercentageError


class MeanSquaredLogarithmicError(_Named):
    """The mean of (log(1 + ŷ) - log(1 + y))²."""

    _loss = losses.MeanSquaredLogarithmicError


class LogCoshError(_Named):
    """The mean of log cosh(ŷ - y)."""

    _loss = losses.LogCosh
    _name = "logcosh"


class Poisson(_Named):
    """The mean of ŷ - y log ŷ."""

    _loss = losses.Poisson


class KLDivergence(_Named):
    """The mean of Σ_k y_k log(y_k / ŷ_k)."""

    _loss = losses.KLDivergence


class Hinge(_Named):
    """The mean of max(0, 1 - y ŷ)."""

    _loss = losses.Hinge


class SquaredHinge(_Named):
    """The mean of max(0, 1 - y ŷ)²."""

    _loss = losses.SquaredHinge


class CategoricalHinge(_Named):
    """The mean of max(0, 1 + max_k (1 - y_k) ŷ_k - Σ_k y_k ŷ_k)."""

    _loss = losses.CategoricalHinge


class BinaryCrossentropy(_Named):
    """The mean of binary cross-entropy; options as of `losses.BinaryCrossentropy`."""

    _loss = losses.BinaryCrossentropy


class CategoricalCrossentropy(_Named):
    """The mean of categorical cross-entropy; options as of `losses.CategoricalCrossentropy`."""

    _loss = losses.CategoricalCrossentropy


class SparseCategoricalCrossentropy(_Named):
    """The mean of categorical cross-entropy with integer labels; options as of the loss."""

    _loss = losses.SparseCategoricalCrossentropy


class CosineSimilarity(OfLoss):
    """The mean cosine of the angle between targets and outputs: 1 where they point the same way."""

    direction = "up"

    def __init__(self, name: str = "cosine_similarity") -> None:
        super().__init__(losses.CosineSimilarity(), name)

    def result(self) -> float:
        return -super().result()  # the loss is its negative

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        return cls(**config)


class RootMeanSquaredError(MeanOfSamples):
    """The root of the mean of (ŷ - y)²."""

    direction = "down"
    labels = False

    def __init__(self, name: str = "root_mean_squared_error") -> None:
        super().__init__(name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = pair(y_true, y_pred)
        self.add((p - y) ** 2, sample_weight)

    def result(self) -> float:
        return float(np.sqrt(super().result()))


class R2Score(Metric):
    """The coefficient of determination: 1 - Σ (y - ŷ)² / Σ (y - ȳ)².

    1 is perfect; predicting the mean is 0.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average", None}
        How the outputs' scores become one, if at all.
    num_regressors : int
        Of the adjusted score, which takes them off the degrees of freedom; 0 is the plain one.
    name : str
    """

    direction = "up"
    labels = False

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str = "r2_score",
    ) -> None:
        super().__init__(name)
        self.class_aggregation = validation.choice(
            "class_aggregation", class_aggregation, ("uniform_average", "variance_weighted_average", None)
        )
        self.num_regressors = validation.integer("num_regressors", num_regressors)
        self.samples = self.add_variable()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = pair(y_true, y_pred)
        w = weights(sample_weight, len(p))[:, np.newaxis]
        if len(self.variables) == 1:
            # Squares are taken about the first targets: far from 0 the difference of sums would keep no digit.
            self.origin, self.first, self.square, self.residual, self.weight = (
                self.add_variable(p.shape[1]) for _ in range(5)
            )
        if self.samples == 0:
            self.origin[...] = y[0]
        centred = y - self.origin
        self.first += (w * centred).sum(axis=0)
        self.square += (w * centred**2).sum(axis=0)
        self.residual += (w * (y - p) ** 2).sum(axis=0)
        self.weight += w.sum()
        self.samples += y.size

    def result(self) -> Any:
        if self.samples == 0:
            return 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            total = self.square - self.first**2 / self.weight
            scores = 1 - self.residual / total
            scores = np.where(np.isinf(scores), 0.0, scores)  # targets that do not vary
            if self.class_aggregation == "uniform_average":
                scores = scores.mean()
            elif self.class_aggregation is not None:
                scores = (total * scores).sum() / total.sum()
        if self.num_regressors:
            freedom = float(self.samples) - self.num_regressors - 1
            if freedom > 0:
                scores = 1 - (1 - scores) * (float(self.samples) - 1) / freedom
            else:
                warnings.warn(
                    f"num_regressors is {self.num_regressors} for {int(self.samples)} targets, expected fewer by 2 at "
                    "least: the score is not adjusted",
                    stacklevel=2,
                )
        return scalar(np.asarray(scores))

    def get_config(self) -> dict[str, Any]:
        return {
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
            "name": self.name,
        }
