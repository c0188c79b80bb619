"""Data sets shipped with the package: nothing here reaches the network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DATA = os.path.join(os.path.dirname(__file__), "data")


def load_digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Load 1797 handwritten digits, 8 × 8 pixels each.

    Returns
    -------
    x : ndarray of float32, shape (1797, 64)
        Pixels row by row, as published: whole numbers from 0 (background) to 16 (ink). Divide by 16 for [0, 1].
    y : ndarray of int64, shape (1797,)
        The digit, 0 to 9.

    Notes
    -----
    The test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak (1998), UCI Machine
    Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0. Values and order are those of
    ``sklearn.datasets.load_digits``.

    Each call returns new arrays, which may be written to.

    Examples
    --------
    >>> from fastnn.datasets import load_digits
    >>> x, y = load_digits()
    >>> x.shape, y.shape
    ((1797, 64), (1797,))
    """
    # Stored as uint8: a tenth of the float64 file, and both conversions are exact.
    with np.load(os.path.join(_DATA, "digits.npz"), allow_pickle=False) as stored:
        return stored["x"].astype(np.float32), stored["y"].astype(np.int64)
