"""Mean and variance of data in one pass over them, however many they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .. import validation
from ..mapped import give_back

_PIECE = 1 << 18  # elements that are worked on at once
_EXPECTED = "an array (N, in)"


def moments(data: Any, columns: int | None, *, together: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of each column, or of all together, in float64.

    Pieces of the data are taken one after the other, and their count n, mean m and sum of squared deviations M merged:
    M = M₁ + M₂ + (m₂ - m₁)² n₁n₂/n, m = m₁ + (m₂ - m₁) n₂/n, in which nothing cancels.

    Parameters
    ----------
    data : array_like, or iterable of arrays or of tuples that begin with one
    columns : int or None
        How many there must be, where that is known.
    together : bool

    Returns
    -------
    mean, variance : ndarray (in,), or () of all together

    References
    ----------
    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    axis = None if together else 0
    count, mean, squares = 0, np.zeros(()), np.zeros(())
    for piece in _pieces(data, columns):
        with np.errstate(all="ignore"):
            x = piece.astype(np.float64, copy=False)
            n = x.size if together else len(x)
            m = x.mean(axis=axis)
            own = np.square(x - m).sum(axis=axis)
            if count:
                off = m - mean
                m, own = mean + off * (n / (count + n)), squares + own + off * off * (count * (n / (count + n)))
            mean, squares = np.asarray(m), np.asarray(own)
        count += n
    variance = squares / count
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        raise ValueError("data has elements that are not finite, or too large to square, expected numbers")
    return mean, variance


def _pieces(data: Any, columns: int | None) -> Iterator[np.ndarray]:
    """The data as pieces (rows, in), with as many columns as there are in the first."""
    if not _is_iterable_of_batches(data):
        yield from _pieces_of("data", data, columns)
        return
    number = -1
    batches = data if isinstance(data, Iterable) else (data[i] for i in range(len(data)))
    for number, batch in enumerate(batches):
        given = batch[0] if _begins_with_array(batch) else batch
        for piece in _pieces_of(f"batch {number} of data", given, columns):
            columns = piece.shape[1]
            yield piece
    if number < 0:
        raise ValueError("data has no batches, expected at least one")


def _pieces_of(name: str, value: Any, columns: int | None) -> Iterator[np.ndarray]:
    """An array in pieces, of which no more than one is copied."""
    given = validation.real(name, value, _EXPECTED)
    if given.ndim == 0 or given.size == 0:
        raise ValueError(f"{name} has shape {given.shape}, expected at least one sample and one column")
    width = given.size // len(given)
    if columns not in (None, width):
        raise ValueError(f"{name} has {width} columns, expected {columns} as the layer, or what came before, has")
    rows = max(_PIECE // width, 1)
    for start in range(0, len(given), rows):
        piece = given[start : start + rows]
        yield piece.reshape(len(piece), width)
        give_back(given)


def _is_iterable_of_batches(data: Any) -> bool:
    """Whether it is no array, nor what NumPy makes one of."""
    if isinstance(data, (str, bytes, dict)) or hasattr(data, "__array__"):
        return False
    if isinstance(data, (list, tuple)):
        return _begins_with_array(data) or (len(data) > 0 and _begins_with_array(data[0]))
    return isinstance(data, Iterable) or (hasattr(data, "__getitem__") and hasattr(data, "__len__"))


def _begins_with_array(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple)) and len(value) > 0 and hasattr(value[0], "__array__") and np.ndim(value[0]) > 0
    )
