"""Losses of independent yes-or-no outputs: binary crossentropies with labels in [0, 1], hinges with labels -1 and 1."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

from typing import Any

import numpy as np
import numpy.typing as npt

from .._types import FloatArray
from ..activations import relu, sigmoid
from ._clip import clip_bounds, is_clipped


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
        low, high = clip_bounds(y_pred.dtype, clip_dtype)
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
        clipped = is_clipped(p, *clip_bounds(p.dtype, clip_dtype))
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


@np.errstate(all="ignore")
def binary_focal_crossentropy(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Binary focal crossentropy, ``mean_k w m_k**γ b_k``.

    b is the binary crossentropy of one element, m = y (1 - p) + (1 - y) p the probability of the wrong class, in which
    a probability is not clipped to [ε, 1 - ε] (but to [0, 1]), and w = y alpha + (1 - y) (1 - alpha), or 1.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
        Targets in [0, 1].
    y_pred : ndarray, shape (N, K)
        Probabilities or logits.
    gamma : float
        γ >= 0, the focusing parameter.
    alpha : float
        Weight of label 1; that of label 0 is 1 - alpha.
    apply_class_balancing : bool
        Whether the weights count.
    from_logits, label_smoothing, clip_dtype
        As for ``binary_crossentropy``.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    element, _ = _focal(y_true, y_pred, apply_class_balancing, alpha, gamma, from_logits, label_smoothing, clip_dtype)
    return np.mean(element, axis=-1)


@np.errstate(all="ignore")
def binary_focal_crossentropy_gradient(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Gradient of ``binary_focal_crossentropy`` with respect to ``y_pred``.

    With m' and b' the derivatives of m and b: w (γ m**(γ-1) m' b + m**γ b') / K.

    Parameters
    ----------
    y_true, y_pred, apply_class_balancing, alpha, gamma, from_logits, label_smoothing, clip_dtype
        As for ``binary_focal_crossentropy``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    _, slope = _focal(y_true, y_pred, apply_class_balancing, alpha, gamma, from_logits, label_smoothing, clip_dtype)
    return slope / y_pred.shape[-1]


def _focal(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    balanced: bool,
    alpha: float,
    gamma: float,
    from_logits: bool,
    label_smoothing: float,
    clip_dtype: npt.DTypeLike | None,
) -> tuple[FloatArray, FloatArray]:
    """Return the losses of the elements and their derivatives, both (N, K)."""
    positive, negative = _binary_targets(y_true, y_pred.dtype, label_smoothing)
    one = y_pred[..., np.newaxis]  # crossentropies of single elements
    y = np.asarray(y_true)[..., np.newaxis]
    b = binary_crossentropy(y, one, from_logits, label_smoothing, clip_dtype=clip_dtype)
    b_slope = binary_crossentropy_gradient(y, one, from_logits, label_smoothing, clip_dtype=clip_dtype)[..., 0]
    if from_logits:
        p, complement = sigmoid(y_pred), sigmoid(-y_pred)
        p_slope = p * complement
    else:
        p = np.clip(y_pred, 0, 1)
        complement = 1 - p
        p_slope = ((y_pred >= 0) & (y_pred <= 1)).astype(y_pred.dtype)
    m = positive * complement + negative * p
    m_slope = (negative - positive) * p_slope
    w = positive * alpha + negative * (1 - alpha) if balanced else np.ones_like(m)
    factor = m**gamma
    # m**(γ-1) m', in which 0**(γ-1) may be infinite where m' is 0.
    change = np.where((m_slope == 0) | (gamma == 0), np.zeros_like(m), gamma * m ** (gamma - 1) * m_slope * b)
    return w * factor * b, w * (change + factor * b_slope)


@np.errstate(all="ignore")
def hinge(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Hinge loss, ``mean_k max(0, 1 - y_true_k y_pred_k)``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
        Labels -1 and 1; if all are 0 or 1 they become -1 and 1.
    y_pred : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y = _signs(y_true, y_pred.dtype)
    return np.mean(np.maximum(0, 1 - y * y_pred), axis=-1)


@np.errstate(all="ignore")
def hinge_gradient(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gradient of ``hinge``: -y_true / K inside the margin, 0 outside and on it.

    Parameters
    ----------
    y_true, y_pred
        As for ``hinge``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = _signs(y_true, y_pred.dtype)
    margin = 1 - y * y_pred
    return np.where(margin <= 0, np.zeros_like(y), np.where(margin > 0, -y, margin)) / y_pred.shape[-1]


@np.errstate(all="ignore")
def squared_hinge(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Squared hinge loss, ``mean_k max(0, 1 - y_true_k y_pred_k)**2``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
        Labels -1 and 1; if all are 0 or 1 they become -1 and 1.
    y_pred : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y = _signs(y_true, y_pred.dtype)
    return np.mean(np.maximum(0, 1 - y * y_pred) ** 2, axis=-1)


@np.errstate(all="ignore")
def squared_hinge_gradient(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gradient of ``squared_hinge``: -2 y_true max(0, 1 - y_true y_pred) / K.

    Parameters
    ----------
    y_true, y_pred
        As for ``squared_hinge``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = _signs(y_true, y_pred.dtype)
    return -2 * y * np.maximum(0, 1 - y * y_pred) / y_pred.shape[-1]


def _signs(y_true: npt.ArrayLike, dtype: np.dtype[Any]) -> FloatArray:
    """Return labels -1 and 1 for labels 0 and 1, and any others as they are."""
    y = np.asarray(y_true, dtype=dtype)
    return 2 * y - 1 if np.isin(y, (0, 1)).all() else y
