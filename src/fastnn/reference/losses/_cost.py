"""From N losses to one number."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

from typing import Any

import numpy as np
import numpy.typing as npt

from .._types import FloatArray


@np.errstate(all="ignore")
def cost(
    per_sample: FloatArray,
    sample_weight: npt.ArrayLike | None = None,
    reduction: str = "sum_over_batch_size",
) -> np.floating[Any]:
    """Reduce the losses L of N samples, with weights w, to one cost.

    Parameters
    ----------
    per_sample : ndarray, shape (N,)
        Losses.
    sample_weight : array_like, shape (N,), optional
        Weights; by default all 1.
    reduction : {"sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"}
        (1/N) sum_i w_i L_i (the first two names); sum_i w_i L_i; or sum_i w_i L_i / sum_i w_i, which is 0 where the
        weights sum to 0.

    Returns
    -------
    float64 or longdouble
        Summed and returned in float64, or in the losses' dtype where that is wider.

    Raises
    ------
    ValueError
        The reduction is none of these.
    """
    weights, divisor = _weights_and_divisor(per_sample, sample_weight, reduction)
    total: np.floating[Any] = np.sum(weights * per_sample)
    return total / divisor


@np.errstate(all="ignore")
def cost_gradient(
    per_sample_gradient: FloatArray,
    sample_weight: npt.ArrayLike | None = None,
    reduction: str = "sum_over_batch_size",
) -> FloatArray:
    """Gradient of ``cost`` with respect to what ``per_sample_gradient`` is taken with respect to.

    Sample i's row is multiplied by the derivative of the cost with respect to its loss: w_i / N, w_i, or
    w_i / sum_j w_j.

    Parameters
    ----------
    per_sample_gradient : ndarray, shape (N, K)
        Gradient of each sample's loss.
    sample_weight : array_like, shape (N,), optional
    reduction : str
        As for ``cost``.

    Returns
    -------
    ndarray, shape (N, K)
        In the dtype of ``per_sample_gradient``.

    Raises
    ------
    ValueError
        The reduction is unknown.
    """
    weights, divisor = _weights_and_divisor(per_sample_gradient, sample_weight, reduction)
    return ((weights / divisor)[:, np.newaxis] * per_sample_gradient).astype(per_sample_gradient.dtype)


def _weights_and_divisor(
    per_sample: FloatArray, sample_weight: npt.ArrayLike | None, reduction: str
) -> tuple[FloatArray, np.floating[Any] | int]:
    """Return the weights, (N,), in float64 or wider, and the number that the weighted sum is divided by."""
    n = len(per_sample)
    wide = np.result_type(per_sample.dtype, np.float64)
    weights = np.ones(n, dtype=wide) if sample_weight is None else np.asarray(sample_weight, dtype=wide)
    if reduction == "sum":
        return weights, 1
    if reduction in ("sum_over_batch_size", "mean"):
        return weights, n
    if reduction == "mean_with_sample_weight":
        total: np.floating[Any] = weights.sum()
        if total == 0:  # no sample counts: the mean over none is 0, as in Keras
            return np.zeros_like(weights), 1
        return weights, total
    raise ValueError(
        f"reduction is {reduction!r}, expected 'sum_over_batch_size', 'mean', 'sum' or 'mean_with_sample_weight'"
    )
