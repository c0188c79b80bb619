"""ε: what probabilities keep away from 0 and 1, and divisors and logarithms' arguments from 0."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .._types import FloatArray

EPSILON = 1e-7
"""Distance of clipped probabilities from 0 and 1: Keras's ``backend.epsilon()``."""


def clip_bounds(dtype: np.dtype[Any], clip_dtype: npt.DTypeLike | None) -> tuple[FloatArray, FloatArray]:
    """Return ε and 1 - ε rounded to ``clip_dtype`` (None: ``dtype``), as 0-d arrays of ``dtype``."""
    rounding = dtype if clip_dtype is None else clip_dtype
    low = np.array(EPSILON, dtype=rounding)
    high = np.array(1 - low, dtype=rounding)
    return low.astype(dtype), high.astype(dtype)


def is_clipped(
    q: FloatArray, low: FloatArray, high: FloatArray, complement: FloatArray | None = None
) -> npt.NDArray[np.bool_]:
    """Return where q is outside [low, high]; a NaN is not, so that it reaches the gradient.

    A quotient q is rounded near 1, where its ``complement`` 1 - q, if given, decides more finely.
    """
    above = q > high if complement is None else complement < 1 - high
    return (q < low) | above


def epsilon(dtype: np.dtype[Any], clip_dtype: npt.DTypeLike | None) -> FloatArray:
    """Return ε alone, rounded in the same way."""
    return clip_bounds(dtype, clip_dtype)[0]
