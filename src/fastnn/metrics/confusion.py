"""Metrics of the confusion matrix: how many positives and negatives were taken for what, at one or more thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import validation
from .base import Metric, pair, scalar, weights

_EPSILON = 1e-7  # Keras's
_NEVER = -1e10  # below every threshold: the score of a class outside the top k


def _thresholds(value: Any, default: float) -> np.ndarray:
    """The thresholds (T,), float64, in the order in which they came."""
    if value is None:
        return np.array([default])
    listed = list(value) if isinstance(value, Iterable) and np.ndim(value) == 1 else [value]  # type: ignore[arg-type]
    if not listed:
        raise ValueError("thresholds is empty, expected at least one number")
    return np.array([validation.number("thresholds", t, low=0, high=1) for t in listed])


def _even(thresholds: np.ndarray) -> bool:
    """Whether they are 0 … 1 in even steps, nearly."""
    n = len(thresholds)
    return n >= 3 and np.allclose(thresholds, np.arange(n, dtype=np.float32) / (n - 1), atol=_EPSILON)


def _below(p: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many of the ascending thresholds are below each prediction; of even ones as Keras rounds."""
    n = len(thresholds)
    if _even(thresholds):
        count: np.ndarray = np.ceil(np.clip(np.where(np.isnan(p), 0, p), 0, 1) * p.dtype.type(n - 1)).astype(np.intp)
        return np.maximum(count, 1) if thresholds[0] < 0 else count
    count = np.searchsorted(thresholds.astype(p.dtype), p, side="left")
    return np.where(np.isnan(p), 0, count)


def confusion(
    y: np.ndarray, p: np.ndarray, w: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weighted true positives, false positives, true negatives and false negatives (T, L) of L columns.

    Parameters
    ----------
    y : ndarray (M, L)
        Positive where not 0.
    p : ndarray (M, L)
        Predicted positive where above a threshold.
    w : ndarray (M, L)
    thresholds : ndarray (T,)
        Ascending.
    """
    n, columns = len(thresholds), p.shape[1]
    cell = _below(p, thresholds) + np.arange(columns) * (n + 1)
    sums = []
    for mass in (w * (y != 0), w * (y == 0)):
        held = np.bincount(cell.ravel(), mass.ravel(), minlength=columns * (n + 1)).reshape(columns, n + 1).T
        # held[c] is the mass with c thresholds below it: above threshold i are those with more than i.
        sums.append((held[::-1].cumsum(axis=0)[-2::-1], held.sum(axis=0)))
    (tp, positives), (fp, negatives) = sums
    return tp, fp, negatives - fp, positives - tp


class _Confusion(Metric):
    """Adds up the confusion matrix at thresholds; subclasses make something of it."""

    labels = False

    def __init__(
        self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None, name: str | None = None
    ) -> None:
        super().__init__(name)
        self.given = thresholds
        self.top_k = None if top_k is None else validation.integer("top_k", top_k, low=1)
        self.class_id = None if class_id is None else validation.integer("class_id", class_id)
        self.thresholds = _thresholds(thresholds, 0.5 if top_k is None else _NEVER)
        self.true_positives, self.false_positives, self.true_negatives, self.false_negatives = (
            self.add_variable(len(self.thresholds)) for _ in range(4)
        )

    def check(self, outputs: int, sparse: bool) -> None:
        super().check(outputs, sparse)
        if self.class_id is not None and self.class_id >= outputs:
            raise ValueError(f"class_id is {self.class_id}, expected a number below the model's {outputs} outputs")
        if self.top_k is not None and self.top_k > outputs:
            raise ValueError(f"top_k is {self.top_k}, expected at most the model's {outputs} outputs")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = pair(y_true, y_pred)
        self.check(p.shape[1], False)
        w = weights(sample_weight, len(p))[:, np.newaxis]
        if self.top_k is not None:
            top = np.argsort(-p, axis=1, kind="stable")[:, : self.top_k]
            kept = np.full_like(p, _NEVER)
            np.put_along_axis(kept, top, np.take_along_axis(p, top, axis=1), axis=1)
            p = kept
        if self.class_id is not None:
            y, p = y[:, [self.class_id]], p[:, [self.class_id]]
        w = np.broadcast_to(w, p.shape)
        order = np.argsort(self.thresholds, kind="stable")
        found = confusion(y.reshape(-1, 1), p.reshape(-1, 1), w.reshape(-1, 1), self.thresholds[order])
        for own, new in zip(self.variables, found, strict=True):
            own[order] += new[:, 0]

    def get_config(self) -> dict[str, Any]:
        return {"thresholds": self.given, "name": self.name}


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part / whole, 0 where that is 0 / 0."""
    result: np.ndarray = np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)
    return result


class TruePositives(_Confusion):
    """How many positive targets have an output above the threshold.

    Parameters
    ----------
    thresholds : float or list of float in [0, 1], optional
        0.5 by default; a list gives one value for each.
    name : str, optional
    """

    direction = "up"

    def __init__(self, thresholds: Any = None, name: str | None = None) -> None:
        super().__init__(thresholds, name=name)

    def result(self) -> Any:
        return scalar(self.true_positives.copy())


class FalsePositives(_Confusion):
    """How many negative targets have an output above the threshold; parameters as of `TruePositives`."""

    direction = "down"

    def __init__(self, thresholds: Any = None, name: str | None = None) -> None:
        super().__init__(thresholds, name=name)

    def result(self) -> Any:
        return scalar(self.false_positives.copy())


class TrueNegatives(_Confusion):
    """How many negative targets have no output above the threshold; parameters as of `TruePositives`."""

    direction = "up"

    def __init__(self, thresholds: Any = None, name: str | None = None) -> None:
        super().__init__(thresholds, name=name)

    def result(self) -> Any:
        return scalar(self.true_negatives.copy())


class FalseNegatives(_Confusion):
    """How many positive targets have no output above the threshold; parameters as of `TruePositives`."""

    direction = "down"

    def __init__(self, thresholds: Any = None, name: str | None = None) -> None:
        super().__init__(thresholds, name=name)

    def result(self) -> Any:
        return scalar(self.false_negatives.copy())


class Precision(_Confusion):
    """The share of positive targets among those predicted positive: TP / (TP + FP), 0 where there are none.

    Parameters
    ----------
    thresholds : float or list of float in [0, 1], optional
        An output above it is positive: 0.5 by default, 0 for logits.  A list gives one value for each.
    top_k : int, optional
        The k largest outputs of a sample are positive, or of them those above the threshold, where there is one.
    class_id : int, optional
        Count this output alone.
    name : str, optional
    """

    direction = "up"

    def result(self) -> Any:
        return scalar(_share(self.true_positives, self.true_positives + self.false_positives))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class Recall(_Confusion):
    """The share of those predicted positive among positive targets: TP / (TP + FN), 0 where there are none.

    Parameters
    ----------
    thresholds, top_k, class_id, name
        As of `Precision`.
    """

    direction = "up"

    def result(self) -> Any:
        return scalar(_share(self.true_positives, self.true_positives + self.false_negatives))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "top_k": self.top_k, "class_id": self.class_id}


class AUC(Metric):
    """The area under the ROC or the precision-recall curve, by a Riemann sum over thresholds, as in Keras.

    Parameters
    ----------
    num_thresholds : int, at least 2
        0 … 1 in even steps.  More are more exact.
    curve : {"ROC", "PR"}
        Recall over the false positives' share, or precision over recall.
    summation_method : {"interpolation", "minoring", "majoring"}
        Trapezoids, or for PR the interpolation of Davis & Goadrich (2006); or the lower or the higher end of each step.
    name : str, optional
    thresholds : list of float in [0, 1], optional
        In the place of even ones; -ε and 1 + ε join them.
    multi_label : bool
        The mean of the areas of the outputs, instead of the area of all outputs as one.
    num_labels : int, optional
        Outputs, where `multi_label`.
    label_weights : list of float, optional
        One for each output: of its area in the mean where `multi_label`, of its predictions otherwise.
    from_logits : bool
        Outputs are logits: take their sigmoid.
    """

    direction = "up"
    labels = False

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name)
        self.curve = validation.choice("curve", curve.upper() if isinstance(curve, str) else curve, ("ROC", "PR"))
        self.summation_method = validation.choice(
            "summation_method", summation_method, ("interpolation", "minoring", "majoring")
        )
        self.given = None if thresholds is None else list(thresholds)
        if self.given is None:
            self.num_thresholds = validation.integer("num_thresholds", num_thresholds, low=2)
            inner = np.arange(1, self.num_thresholds - 1) / (self.num_thresholds - 1)
        else:
            inner = np.sort(_thresholds(self.given, 0.5)) if self.given else np.zeros(0)
            self.num_thresholds = len(inner) + 2
        self.thresholds = np.concatenate([[-_EPSILON], inner, [1 + _EPSILON]])
        self.multi_label, self.from_logits = bool(multi_label), bool(from_logits)
        if num_labels is not None and not self.multi_label:
            raise ValueError(f"num_labels is {num_labels}, expected it with multi_label=True alone")
        self.num_labels = None if num_labels is None else validation.integer("num_labels", num_labels, low=1)
        self.label_weights = None
        if label_weights is not None:
            listed = list(label_weights)
            self.label_weights = validation.weights("label_weights", listed, np.dtype(np.float64), len(listed))

    def check(self, outputs: int, sparse: bool) -> None:
        super().check(outputs, sparse)
        if self.num_labels not in (None, outputs):
            raise ValueError(f"num_labels is {self.num_labels}, expected the model's {outputs} outputs")
        if self.label_weights is not None and len(self.label_weights) != outputs:
            raise ValueError(f"label_weights has {len(self.label_weights)} weights, expected {outputs}, one an output")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = pair(y_true, y_pred)
        self.check(p.shape[1], False)
        w = np.repeat(weights(sample_weight, len(p))[:, np.newaxis], p.shape[1], axis=1)
        if self.from_logits:
            p = 0.5 * (1 + np.tanh(0.5 * p))  # the sigmoid, without overflow
        if not self.multi_label:
            w = w if self.label_weights is None else w * self.label_weights
            y, p, w = (a.reshape(-1, 1) for a in (y, p, w))
        if not self.variables:
            for _ in range(4):
                self.add_variable((self.num_thresholds, p.shape[1]))
        for own, new in zip(self.variables, confusion(y, p, w, self.thresholds), strict=True):
            own += new

    def result(self) -> float:
        if not self.variables:
            return 0.0
        tp, fp, tn, fn = self.variables
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = self._interpolated(tp, fp, fn)
        else:
            recall = _share(tp, tp + fn)
            x, y = (_share(fp, fp + tn), recall) if self.curve == "ROC" else (recall, _share(tp, tp + fp))
            height = {"minoring": np.minimum, "majoring": np.maximum}.get(
                self.summation_method, lambda a, b: (a + b) / 2
            )(y[:-1], y[1:])
            areas = ((x[:-1] - x[1:]) * height).sum(axis=0)
        if not self.multi_label or self.label_weights is None:
            return float(areas.mean())
        total = self.label_weights.sum()
        return float((areas * self.label_weights).sum() / total) if total else 0.0

    @staticmethod
    def _interpolated(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
        """Between two thresholds true positives and all positives P grow together, so that precision is
        (intercept + slope P) / P: its integral over recall has a logarithm.
        """
        positive = tp + fp
        grown = tp[:-1] - tp[1:]
        slope = _share(grown, np.maximum(positive[:-1] - positive[1:], 0))
        intercept = tp[1:] - slope * positive[1:]
        both = (positive[:-1] > 0) & (positive[1:] > 0)
        ratio = np.divide(positive[:-1], positive[1:], out=np.ones_like(grown), where=both)
        areas: np.ndarray = _share(slope * (grown + intercept * np.log(ratio)), tp[1:] + fn[1:]).sum(axis=0)
        return areas

    def get_config(self) -> dict[str, Any]:
        config = {"num_thresholds": self.num_thresholds, "curve": self.curve, "name": self.name}
        config |= {"summation_method": self.summation_method, "thresholds": self.given, "num_labels": self.num_labels}
        config |= {"multi_label": self.multi_label, "from_logits": self.from_logits}
        return {**config, "label_weights": None if self.label_weights is None else self.label_weights.tolist()}


class FBetaScore(Metric):
    """(1 + β²) precision · recall / (β² precision + recall), for targets (N, K) of 0 and 1.

    Parameters
    ----------
    average : {None, "micro", "macro", "weighted"}
        One score for each output; or the score of all outputs as one; or the mean of the scores, plain or weighted by
        how many targets of each output are positive.
    beta : float, above 0
        How much recall counts.
    threshold : float in (0, 1], optional
        An output above it is positive; by default the largest of a sample.
    name : str
    """

    direction = "up"
    labels = False

    def __init__(
        self, average: str | None = None, beta: float = 1.0, threshold: float | None = None, name: str = "fbeta_score"
    ) -> None:
        super().__init__(name)
        self.average = validation.choice("average", average, (None, "micro", "macro", "weighted"))
        self.beta = validation.number("beta", beta, low=0, open_low=True)
        self.threshold = (
            None if threshold is None else validation.number("threshold", threshold, low=0, high=1, open_low=True)
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y, p = pair(y_true, y_pred)
        w = weights(sample_weight, len(p))[:, np.newaxis]
        if self.threshold is None:
            positive = (p >= p.max(axis=1, keepdims=True)) & (np.abs(p) > 1e-9)  # no row of zeros is all positive
        else:
            positive = p > p.dtype.type(self.threshold)
        if not self.variables:
            for _ in range(3):
                self.add_variable(p.shape[1])
        for own, share in zip(self.variables, (positive * y, positive * (1 - y), (~positive) * y), strict=True):
            own += (w * share).sum(axis=0)

    def result(self) -> Any:
        if not self.variables:
            return 0.0
        tp, fp, fn = (v.sum() if self.average == "micro" else v for v in self.variables)
        precision, recall = tp / (tp + fp + _EPSILON), tp / (tp + fn + _EPSILON)
        square = self.beta**2
        score = (1 + square) * precision * recall / (square * precision + recall + _EPSILON)
        if self.average == "weighted":
            return float((score * (tp + fn)).sum() / ((tp + fn).sum() + _EPSILON))
        return score.copy() if self.average is None else float(np.mean(score))

    def get_config(self) -> dict[str, Any]:
        return {"average": self.average, "beta": self.beta, "threshold": self.threshold, "name": self.name}


class F1Score(FBetaScore):
    """2 precision · recall / (precision + recall); parameters as of `FBetaScore`, β is 1."""

    def __init__(self, average: str | None = None, threshold: float | None = None, name: str = "f1_score") -> None:
        super().__init__(average, 1.0, threshold, name)

    def get_config(self) -> dict[str, Any]:
        return {name: value for name, value in super().get_config().items() if name != "beta"}
