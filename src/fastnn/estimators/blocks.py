"""A network on a dense X, or on a sparse one that is made dense a block of rows at a time.

A block holds whole batches, in the order that `Sequential.fit` would draw: training makes the same steps, and the same
bits, as on the matrix made dense as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from ..callbacks import Callback, CallbackList
from ..kernels import core
from ..models import Sequential

ELEMENTS = 1 << 22  # of a block, at most, unless a batch has more

Validation = tuple[Any, np.ndarray, np.ndarray | None]


def fits_in_one(X: Any) -> bool:
    """Whether a sparse matrix is as well made dense at once."""
    return bool(X.shape[0] * X.shape[1] <= ELEMENTS)


def _blocks(X: Any, multiple: int = 1) -> Iterator[slice]:
    rows = max(ELEMENTS // X.shape[1] // multiple, 1) * multiple
    return (slice(start, start + rows) for start in range(0, X.shape[0], rows))


def _part(values: np.ndarray | None, rows: Any) -> np.ndarray | None:
    return None if values is None else values[rows]


def predict(model: Sequential, X: Any) -> np.ndarray:
    """`Sequential.predict`."""
    if not scipy.sparse.issparse(X):
        return model.predict(X)
    return np.concatenate([model.predict(X[rows].toarray()) for rows in _blocks(X)])


def value_and_gradient(
    model: Sequential, X: Any, y: np.ndarray, weights: np.ndarray | None, parameters: np.ndarray
) -> tuple[float, np.ndarray]:
    """`Sequential.value_and_gradient`."""
    if not scipy.sparse.issparse(X):
        return model.value_and_gradient(X, y, weights, parameters)
    value, gradient = 0.0, np.zeros_like(parameters)
    for rows in _blocks(X):
        block = X[rows].toarray()
        part, of_part = model.value_and_gradient(block, y[rows], _part(weights, rows), parameters)
        value += part * len(block) / X.shape[0]
        gradient += of_part * (len(block) / X.shape[0])
    return value, gradient


def fit(
    model: Sequential,
    X: Any,
    y: np.ndarray,
    weights: np.ndarray | None,
    batch: int,
    epochs: int,
    callbacks: Sequence[Callback],
    validation: Validation | None,
    shuffle: bool,
) -> None:
    """`Sequential.fit`."""
    if not scipy.sparse.issparse(X):
        model.fit(X, y, batch, epochs, 0, callbacks, 0.0, validation, shuffle, sample_weight=weights)
        return
    samples = X.shape[0]
    observers = CallbackList(callbacks)
    observers.set_params({"epochs": epochs, "steps": -(-samples // batch), "samples": samples, "verbose": 0})
    observers.set_model(model)
    logs: dict[str, float] = {}
    try:
        observers.on_train_begin()
        for epoch in range(epochs):
            observers.on_epoch_begin(epoch)
            logs = {"loss": _train_epoch(model, X, y, weights, batch, shuffle)}
            if validation is not None:
                logs["val_loss"] = _evaluate(model, *validation)
            model.stop_training = False
            observers.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    finally:
        observers.on_train_end(logs)


def _train_epoch(
    model: Sequential, X: Any, y: np.ndarray, weights: np.ndarray | None, batch: int, shuffle: bool
) -> float:
    trained, samples = model.epochs_trained, X.shape[0]
    order = core(model.dtype).draw_permutation(samples, model.seed, trained) if shuffle else np.arange(samples)
    total = 0.0
    try:
        for rows in _blocks(X, batch):
            chosen = order[rows]
            of_block = _part(weights, chosen)
            history = model.fit(X[chosen].toarray(), y[chosen], batch, verbose=0, shuffle=False, sample_weight=of_block)
            total += history.history["loss"][0] * len(chosen)
        trained += 1
    finally:
        model.epochs_trained = trained  # a block is no epoch
    return float(total / samples)


def _evaluate(model: Sequential, X: Any, y: np.ndarray, weights: np.ndarray | None) -> float:
    total = 0.0
    for rows in _blocks(X):
        block = X[rows].toarray()
        total += model.evaluate(block, y[rows], sample_weight=_part(weights, rows)) * len(block)
    return float(total / X.shape[0])
