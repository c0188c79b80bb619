"""Shares of right predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import validation
from .base import MeanMetricWrapper, pair

_BINARY, _CATEGORICAL = 1, 2  # codes of the engine


def _scores(y_pred: Any) -> np.ndarray:
    return validation.matrix("y_pred", y_pred, validation.floating("y_pred", y_pred))


def accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 where a prediction equals its target, 0 elsewhere, (N, K)."""
    y, p = pair(y_true, y_pred)
    hits: np.ndarray = np.equal(y, p).astype(np.float64)
    return hits


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """1 where an output is on its target's side of the threshold, 0 elsewhere, (N, K); targets are 0 and 1."""
    y, p = pair(y_true, y_pred)
    hits: np.ndarray = np.equal(p > p.dtype.type(threshold), y).astype(np.float64)
    return hits


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 for each sample whose largest output is at the largest of its targets (N, K), 0 for the others, (N,)."""
    y, p = pair(y_true, y_pred)
    return sparse_categorical_accuracy(y.argmax(axis=1), p)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 for each sample whose largest output is its label's, 0 for the others, (N,)."""
    p = _scores(y_pred)
    hits: np.ndarray = np.equal(p.argmax(axis=1), _labels(y_true, len(p))).astype(np.float64)
    return hits


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """1 for each sample for whose largest target (N, K) fewer than k outputs are larger, 0 for the others, (N,)."""
    y, p = pair(y_true, y_pred)
    return sparse_top_k_categorical_accuracy(y.argmax(axis=1), p, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """1 for each sample for whose label fewer than k outputs are larger, 0 for the others, (N,)."""
    p = _scores(y_pred)
    labels = _labels(y_true, len(p))
    known = (labels >= 0) & (labels < p.shape[1])
    own = p[np.arange(len(p)), np.where(known, labels, 0)]
    hits: np.ndarray = np.logical_and(known, np.greater(p, own[:, np.newaxis]).sum(axis=1) < k).astype(np.float64)
    return hits


def _labels(y_true: Any, rows: int) -> np.ndarray:
    labels = validation.real("y_true", y_true, "integer labels")
    labels = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if labels.shape != (rows,):
        raise ValueError(f"y_true has shape {labels.shape}, expected integer labels of shape ({rows},)")
    return labels.astype(np.intp)


class Accuracy(MeanMetricWrapper):
    """The share of predictions that equal their targets."""

    direction = "up"
    labels = False

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(accuracy, name)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class BinaryAccuracy(MeanMetricWrapper):
    """The share of outputs on the right side of the threshold, for targets of 0 and 1.

    Parameters
    ----------
    name : str
    threshold : float
        An output above it stands for 1.
    """

    direction = "up"
    labels = False

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        self.threshold = validation.number("threshold", threshold)
        super().__init__(binary_accuracy, name, threshold=self.threshold)
        self.engine_code = _BINARY if self.threshold == 0.5 else 0

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name, "threshold": self.threshold}


class CategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose largest output is at the largest of their targets: one-hot rows or probabilities."""

    direction = "up"
    labels = False
    engine_code = _CATEGORICAL

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(categorical_accuracy, name)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose largest output is their label's."""

    direction = "up"
    labels = True
    engine_code = _CATEGORICAL

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(sparse_categorical_accuracy, name)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples for whose largest target fewer than k outputs are larger.

    Parameters
    ----------
    k : int
    name : str
    """

    direction = "up"
    labels = False

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        self.k = validation.integer("k", k, low=1)
        super().__init__(top_k_categorical_accuracy, name, k=self.k)

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, "name": self.name}


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples for whose label fewer than k outputs are larger.

    Parameters
    ----------
    k : int
    name : str
    """

    direction = "up"
    labels = True

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        self.k = validation.integer("k", k, low=1)
        super().__init__(sparse_top_k_categorical_accuracy, name, k=self.k)

    def get_config(self) -> dict[str, Any]:
        return {"k": self.k, "name": self.name}
