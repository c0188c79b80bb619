"""What `fit` and `evaluate` report beside the loss."""

from __future__ import annotations

from typing import NamedTuple

from . import validation

__all__ = ["Metric", "get"]

_BINARY, _CATEGORICAL = 1, 2  # codes of the engine


class Metric(NamedTuple):
    """A metric that the engine computes while it computes the loss."""

    name: str  # in the logs
    code: int


_NAMES = ("accuracy", "acc", "binary_accuracy", "categorical_accuracy", "sparse_categorical_accuracy")


def get(identifier: str, outputs: int, sparse: bool) -> Metric:
    """The metric of a name.

    Parameters
    ----------
    identifier : str
        ``accuracy`` (or ``acc``) means, as in Keras: binary accuracy, the share of predictions on the right side of
        0.5, where the model has one output; categorical accuracy, the share of samples whose largest output is the
        right one, where it has more.
    outputs : int
        Outputs of the model.
    sparse : bool
        Whether the targets are integer labels.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or a metric that does not fit the targets.
    """
    if not isinstance(identifier, str):
        raise TypeError(f"metrics has {identifier!r}, expected names")
    validation.choice("metrics", identifier, _NAMES)
    binary = identifier == "binary_accuracy" or (identifier in ("accuracy", "acc") and outputs == 1)
    needs_labels = identifier == "sparse_categorical_accuracy"
    if (sparse and (binary or identifier == "categorical_accuracy")) or (needs_labels and not sparse):
        given = "integer labels" if sparse else "targets that are no integer labels"
        raise ValueError(f"metrics has {identifier!r}, which does not fit {given}, expected one that does")
    return Metric(identifier, _BINARY if binary else _CATEGORICAL)
