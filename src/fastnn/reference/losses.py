"""Losses of single samples, their gradients, and the cost of a batch.

A *loss* belongs to one sample: it reduces the last axis, (N, K) -> (N,). A *cost* is the reduction of N losses to one
number. ``<loss>_gradient`` is the gradient of each sample's loss with respect to its row of ``y_pred`` (of the logits
when ``from_logits=True``), shape (N, K); ``cost_gradient`` turns it into the gradient of the cost.

The definitions are Keras 3's. The formulas here are rearranged, never changed, so that they do not cancel: a loss of
1e-30 or a gradient of -1e-30 is as accurate, relatively, as one of order 1. Underflow to 0, overflow to inf and
inf - inf = NaN are IEEE arithmetic at work and no reason to warn: hence the ``errstate``.

Clipped probabilities
---------------------
The crossentropies of probabilities clip these to [ε, 1 - ε], ε = 1e-7, both rounded to the dtype: in float32 the upper
bound is 0.99999988 = 1 - 1.19e-7, so the largest binary loss is 16.12 for y = 1 and 15.94 for y = 0. Beyond the bounds
the loss is constant and its gradient exactly 0; on them the gradient is the inner one. ``clip_dtype`` takes the bounds
of another dtype: the longdouble value of the formula that a float32 kernel computes is found with
``clip_dtype=np.float32``.
"""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

from typing import Any

import numpy as np
import numpy.typing as npt

from ._types import FloatArray, IntArray
from .activations import relu, sigmoid

EPSILON = 1e-7
"""Distance of clipped probabilities from 0 and 1: Keras's ``backend.epsilon()``."""


# ----------------------------------------------------------------------------------------------------------------------
# Squared error
# ----------------------------------------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def mean_squared_error(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Mean squared error, ``mean_k (y_true_k - y_pred_k)**2``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
        Targets.
    y_pred : ndarray, shape (N, K)
        Predictions.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    return np.mean((y - y_pred) ** 2, axis=-1)


@np.errstate(all="ignore")
def mean_squared_error_gradient(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gradient of ``mean_squared_error`` with respect to ``y_pred``: 2 (y_pred - y_true) / K.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    return 2 * (y_pred - y) / y_pred.shape[-1]


# ----------------------------------------------------------------------------------------------------------------------
# Binary crossentropy
# ----------------------------------------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def binary_crossentropy(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Binary crossentropy, ``mean_k -[y_k log p_k + (1 - y_k) log(1 - p_k)]``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
        Targets in [0, 1].
    y_pred : ndarray, shape (N, K)
        Probabilities p, clipped to [ε, 1 - ε]; or logits z with p = sigmoid(z), which are not clipped.
    from_logits : bool
        Whether ``y_pred`` holds logits.
    label_smoothing : float
        α in [0, 1]: y becomes y (1 - α) + α / 2.
    clip_dtype : dtype, optional
        The dtype that rounds the clip bounds; by default that of ``y_pred``.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample. From logits an element is max(z, 0) - z y + log(1 + exp(-abs(z))).
    """
    positive, negative = _binary_targets(y_true, y_pred.dtype, label_smoothing)  # y, 1 - y
    if from_logits:
        z = y_pred
        # max(z, 0) - z y is z (1 - y) for z > 0 and -z y for z < 0: all three terms are >= 0 and nothing cancels.
        element = negative * relu(z) + positive * relu(-z) + np.log1p(np.exp(-np.abs(z)))
    else:
        low, high = _clip_bounds(y_pred.dtype, clip_dtype)
        p = np.clip(y_pred, low, high)
        element = -(positive * np.log(p) + negative * np.log1p(-p))
    return np.mean(element, axis=-1)


@np.errstate(all="ignore")
def binary_crossentropy_gradient(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Gradient of ``binary_crossentropy`` with respect to ``y_pred``.

    From logits (sigmoid(z) - y) / K. From probabilities (p - y) / (p (1 - p)) / K, and 0 where p is clipped.

    Parameters
    ----------
    y_true, y_pred, from_logits, label_smoothing, clip_dtype
        As for ``binary_crossentropy``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    positive, negative = _binary_targets(y_true, y_pred.dtype, label_smoothing)  # y, 1 - y
    if from_logits:
        # sigmoid(z) - y = (1 - y) sigmoid(z) - y sigmoid(-z), where a label of 0 or 1 leaves a single term.
        element = negative * sigmoid(y_pred) - positive * sigmoid(-y_pred)
    else:
        p = y_pred
        clipped = _is_clipped(p, *_clip_bounds(p.dtype, clip_dtype))
        element = np.where(clipped, np.zeros_like(p), (p - positive) / (p * (1 - p)))
    return element / y_pred.shape[-1]


def _binary_targets(
    y_true: npt.ArrayLike, dtype: np.dtype[Any], label_smoothing: float
) -> tuple[FloatArray, FloatArray]:
    """Return the smoothed labels y (1 - α) + α / 2 and their complements 1 - y, both (N, K).

    Smoothing is symmetric in y and 1 - y, so the complement is smoothed by itself: 1 - y' would cancel for small α.
    """
    y = np.asarray(y_true, dtype=dtype)
    alpha = np.longdouble(label_smoothing)
    keep, half = dtype.type(1 - alpha), dtype.type(alpha / 2)
    return y * keep + half, (1 - y) * keep + half


# ----------------------------------------------------------------------------------------------------------------------
# Categorical crossentropy
# ----------------------------------------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def categorical_crossentropy(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Categorical crossentropy, ``-sum_k y_k log q_k``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
        Target distribution, one-hot or soft.
    y_pred : ndarray, shape (N, K)
        Probabilities p, of which q = clip(p / sum_j p_j, ε, 1 - ε); or logits z with q = softmax(z), not clipped. A row
        of zeros has no distribution and gives NaN.
    from_logits : bool
        Whether ``y_pred`` holds logits.
    label_smoothing : float
        α in [0, 1]: y becomes y (1 - α) + α / K.
    clip_dtype : dtype, optional
        The dtype that rounds the clip bounds; by default that of ``y_pred``.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample. From logits it is sum_k y_k (m - z_k + log(1 + r)), where m is the largest logit of the row
        and r the sum of exp(z_j - m) over the other ones.
    """
    y = _categorical_targets(y_true, y_pred.dtype, label_smoothing)
    return np.sum(y * _negative_log_probability(y_pred, from_logits, clip_dtype), axis=-1)


@np.errstate(all="ignore")
def categorical_crossentropy_gradient(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Gradient of ``categorical_crossentropy`` with respect to ``y_pred``.

    From logits (sum_j y_j) softmax(z)_k - y_k. From probabilities, with s = sum_j p_j and u_j = y_j where q_j is not
    clipped, 0 where it is: (sum_j u_j - u_k / q_k) / s, which includes the derivative of the division by s.

    Parameters
    ----------
    y_true, y_pred, from_logits, label_smoothing, clip_dtype
        As for ``categorical_crossentropy``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = _categorical_targets(y_true, y_pred.dtype, label_smoothing)
    # In both forms a sum over all classes is split into class k and the others. The terms of class k combine to a
    # multiple of 1 - q_k, itself a sum over the others; so for a one-hot label nothing is subtracted from anything.
    if from_logits:
        e = np.exp(y_pred - y_pred.max(axis=-1, keepdims=True))  # (N, K), q = e / sum(e)
        return (_sum_of_others(y) * e - y * _sum_of_others(e)) / e.sum(axis=-1, keepdims=True)
    p = y_pred
    s = p.sum(axis=-1, keepdims=True)  # (N, 1)
    others = _sum_of_others(p)  # (N, K), others / s = 1 - q, others / p = (1 - q) / q
    clipped = _is_clipped(p / s, *_clip_bounds(p.dtype, clip_dtype), complement=others / s)
    u = np.where(clipped, np.zeros_like(y), y)
    own = np.where(clipped, np.zeros_like(y), y * (others / p))  # the quotient may be x / 0, but only where clipped
    return (_sum_of_others(u) - own) / s


@np.errstate(all="ignore")
def sparse_categorical_crossentropy(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    from_logits: bool = False,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Categorical crossentropy of integer labels, ``-log q_c`` for label c.

    Parameters
    ----------
    y_true : array_like of int, shape (N,)
        Labels in 0 ... K - 1.
    y_pred : ndarray, shape (N, K)
        Probabilities or logits, as for ``categorical_crossentropy``.
    from_logits : bool
        Whether ``y_pred`` holds logits.
    clip_dtype : dtype, optional
        The dtype that rounds the clip bounds; by default that of ``y_pred``.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.

    Raises
    ------
    ValueError
        A label lies outside 0 ... K - 1.
    """
    labels = _labels(y_true, y_pred.shape[-1])
    element = _negative_log_probability(y_pred, from_logits, clip_dtype)  # (N, K)
    return np.take_along_axis(element, labels[..., np.newaxis], axis=-1)[..., 0]


def sparse_categorical_crossentropy_gradient(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    from_logits: bool = False,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Gradient of ``sparse_categorical_crossentropy`` with respect to ``y_pred``.

    It is that of ``categorical_crossentropy`` for one-hot labels.

    Parameters
    ----------
    y_true, y_pred, from_logits, clip_dtype
        As for ``sparse_categorical_crossentropy``.

    Returns
    -------
    ndarray, shape (N, K)

    Raises
    ------
    ValueError
        A label lies outside 0 ... K - 1.
    """
    classes = y_pred.shape[-1]
    one_hot = np.eye(classes, dtype=y_pred.dtype)[_labels(y_true, classes)]  # (N, K)
    return categorical_crossentropy_gradient(one_hot, y_pred, from_logits, clip_dtype=clip_dtype)


def _negative_log_probability(y_pred: FloatArray, from_logits: bool, clip_dtype: npt.DTypeLike | None) -> FloatArray:
    """Return ``-log q_k`` of every class, (N, K), where a q near 1 keeps the relative accuracy of its 1 - q."""
    if from_logits:
        z = y_pred
        # log(sum of exponentials) = m + log1p(r), where r leaves out ONE entry equal to m, the first: its exponential
        # is the 1 of log1p. Adding it to the others and taking the log would lose an r below the rounding unit.
        top = np.argmax(z, axis=-1, keepdims=True)  # (N, 1)
        m = np.take_along_axis(z, top, axis=-1)  # (N, 1)
        others = np.exp(z - m)  # (N, K)
        np.put_along_axis(others, top, 0, axis=-1)
        return (m - z) + np.log1p(others.sum(axis=-1, keepdims=True))
    p = y_pred
    s = p.sum(axis=-1, keepdims=True)  # (N, 1)
    low, high = _clip_bounds(p.dtype, clip_dtype)
    q = np.clip(p / s, low, high)
    complement = np.clip(_sum_of_others(p) / s, 1 - high, 1 - low)  # 1 - q
    return np.where(q > 0.5, -np.log1p(-complement), -np.log(q))


def _categorical_targets(y_true: npt.ArrayLike, dtype: np.dtype[Any], label_smoothing: float) -> FloatArray:
    """Return the smoothed labels y (1 - α) + α / K, (N, K)."""
    y = np.asarray(y_true, dtype=dtype)
    alpha = np.longdouble(label_smoothing)
    return y * dtype.type(1 - alpha) + dtype.type(alpha / y.shape[-1])


def _sum_of_others(v: FloatArray) -> FloatArray:
    """Return, for each entry of a row, the sum of the row's other entries, (N, K).

    K**2 products with 0 and 1, where ``total - v`` would take K differences: those would cancel for a dominant entry.
    """
    return v @ (1 - np.eye(v.shape[-1], dtype=v.dtype))


def _labels(y_true: npt.ArrayLike, classes: int) -> IntArray:
    """Return the integer labels, (N,), having checked that none would index another class or none at all."""
    labels = np.asarray(y_true)
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise ValueError(f"y_true holds the label {outside[0]}, expected labels in 0 ... {classes - 1}")
    return labels


def _clip_bounds(dtype: np.dtype[Any], clip_dtype: npt.DTypeLike | None) -> tuple[FloatArray, FloatArray]:
    """Return ε and 1 - ε rounded to ``clip_dtype`` (None: ``dtype``), as 0-d arrays of ``dtype``."""
    rounding = dtype if clip_dtype is None else clip_dtype
    low = np.array(EPSILON, dtype=rounding)
    high = np.array(1 - low, dtype=rounding)
    return low.astype(dtype), high.astype(dtype)


def _is_clipped(
    q: FloatArray, low: FloatArray, high: FloatArray, complement: FloatArray | None = None
) -> npt.NDArray[np.bool_]:
    """Return where q is outside [low, high]; a NaN is not, so that it reaches the gradient.

    A quotient q is rounded near 1, where its ``complement`` 1 - q, if given, decides more finely.
    """
    above = q > high if complement is None else complement < 1 - high
    return (q < low) | above


# ----------------------------------------------------------------------------------------------------------------------
# Cost: from N losses to one number
# ----------------------------------------------------------------------------------------------------------------------


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
