"""Losses of one choice among K classes, and of whole rows."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

from typing import Any

import numpy as np
import numpy.typing as npt

from .._types import FloatArray, IntArray
from ._clip import EPSILON, clip_bounds, epsilon, is_clipped


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
    clipped = is_clipped(p / s, *clip_bounds(p.dtype, clip_dtype), complement=others / s)
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
    low, high = clip_bounds(p.dtype, clip_dtype)
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


@np.errstate(all="ignore")
def categorical_focal_crossentropy(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    alpha: npt.ArrayLike = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Categorical focal crossentropy, ``sum_k α_k y_k (1 - q_k)**γ (-log q_k)``.

    Parameters
    ----------
    y_true, y_pred, from_logits, label_smoothing, clip_dtype
        As for ``categorical_crossentropy``, and so is q.
    alpha : float or array_like, shape (K,)
        Weight of each class.
    gamma : float
        γ >= 0, the focusing parameter.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y = _categorical_targets(y_true, y_pred.dtype, label_smoothing) * np.asarray(alpha, dtype=y_pred.dtype)
    _, wrong, _ = _probabilities(y_pred, from_logits, clip_dtype)
    cost = _negative_log_probability(y_pred, from_logits, clip_dtype)
    return np.sum(np.where(y == 0, np.where(np.isnan(cost), cost, 0), y * wrong**gamma * cost), axis=-1)


@np.errstate(all="ignore")
def categorical_focal_crossentropy_gradient(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    alpha: npt.ArrayLike = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Gradient of ``categorical_focal_crossentropy`` with respect to ``y_pred``.

    With h_k = α_k y_k q_k d/dq_k ((1 - q_k)**γ (-log q_k)), 0 where q_k is clipped, it is from logits
    h_j (1 - q_j) - q_j (sum of the other h), and from probabilities that divided by y_pred_j.

    Parameters
    ----------
    y_true, y_pred, alpha, gamma, from_logits, label_smoothing, clip_dtype
        As for ``categorical_focal_crossentropy``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = _categorical_targets(y_true, y_pred.dtype, label_smoothing) * np.asarray(alpha, dtype=y_pred.dtype)
    q, wrong, clipped = _probabilities(y_pred, from_logits, clip_dtype)
    cost = _negative_log_probability(y_pred, from_logits, clip_dtype)
    # γ (1 - q)**(γ-1) q (-log q), in which q (-log q) / (1 - q) is 1 in the limit of q = 1
    focus = gamma * wrong**gamma * np.where(q == 0, 0, np.where(wrong == 0, 1, q * cost / wrong))
    h = np.where(clipped | (y == 0), np.zeros_like(q), -y * (wrong**gamma + focus))
    if from_logits:
        return h * wrong - q * _sum_of_others(h)
    own = np.where(h == 0, np.zeros_like(h), h * (wrong / q))
    return (own - _sum_of_others(h)) / y_pred.sum(axis=-1, keepdims=True)


def _probabilities(
    y_pred: FloatArray, from_logits: bool, clip_dtype: npt.DTypeLike | None
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Return q, 1 - q and where q is clipped, all (N, K)."""
    e = np.exp(y_pred - y_pred.max(axis=-1, keepdims=True)) if from_logits else y_pred
    s = e.sum(axis=-1, keepdims=True)
    q, wrong = e / s, _sum_of_others(e) / s
    if from_logits:
        return q, wrong, np.zeros_like(q, dtype=bool)
    low, high = clip_bounds(q.dtype, clip_dtype)
    clipped = is_clipped(q, low, high, complement=wrong)
    return np.clip(q, low, high), np.clip(wrong, 1 - high, 1 - low), clipped


@np.errstate(all="ignore")
def categorical_hinge(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Categorical hinge loss, ``max(0, 1 + max_k (1 - y_k) y_pred_k - sum_k y_k y_pred_k)``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
        One-hot labels. As in Keras the label's own (1 - 1) y_pred = 0 takes part in the maximum.
    y_pred : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    return np.maximum(0, 1 + (np.max((1 - y) * y_pred, axis=-1) - np.sum(y * y_pred, axis=-1)))


@np.errstate(all="ignore")
def categorical_hinge_gradient(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gradient of ``categorical_hinge``: (1 - y_k) [k is the first largest] - y_k, or 0 where the loss is 0.

    Parameters
    ----------
    y_true, y_pred
        As for ``categorical_hinge``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    largest = np.argmax((1 - y) * y_pred, axis=-1)[..., np.newaxis] == np.arange(y.shape[-1])
    value = categorical_hinge(y, y_pred)[..., np.newaxis]
    inner = np.where(largest, 1 - y, 0) - y
    return np.where(value > 0, inner, np.where(np.isnan(value), value, 0 * inner))


@np.errstate(all="ignore")
def cosine_similarity(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Cosine similarity as a loss, ``-sum_k y_true_k y_pred_k / (|y_true| |y_pred|)``: -1 where they point one way.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample. A norm below ε counts as ε; so a row of zeros gives 0.
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    norms = np.maximum(np.linalg.norm(y, axis=-1), EPSILON) * np.maximum(np.linalg.norm(y_pred, axis=-1), EPSILON)
    return -np.sum(y * y_pred, axis=-1) / norms


@np.errstate(all="ignore")
def cosine_similarity_gradient(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gradient of ``cosine_similarity``: (p (y·p)/(p·p) - y) / (abs(y) abs(p)), without the first term where
    abs(p) < ε.

    Parameters
    ----------
    y_true, y_pred
        As for ``cosine_similarity``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y, p = np.asarray(y_true, dtype=y_pred.dtype), y_pred
    y_norm, p_norm = (np.linalg.norm(v, axis=-1, keepdims=True) for v in (y, p))
    ratio = np.sum(y * p, axis=-1, keepdims=True) / np.sum(p * p, axis=-1, keepdims=True)
    inner = np.where(p_norm < EPSILON, np.zeros_like(p), p * ratio) - y
    return inner / (np.maximum(y_norm, EPSILON) * np.maximum(p_norm, EPSILON))


@np.errstate(all="ignore")
def kl_divergence(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    from_logits: bool = False,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Kullback-Leibler divergence, ``sum_k y_k log(y_k / p_k)``, y clipped to [ε, 1].

    Parameters
    ----------
    y_true : array_like, shape (N, K)
        Distributions.
    y_pred : ndarray, shape (N, K)
        Probabilities p, clipped to [ε, 1] and not normalised; or logits z with p = softmax(z), not clipped.
    from_logits : bool
        Whether ``y_pred`` holds logits.
    clip_dtype : dtype, optional
        The dtype that rounds ε; by default that of ``y_pred``.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    low = epsilon(y_pred.dtype, clip_dtype)
    y = np.clip(np.asarray(y_true, dtype=y_pred.dtype), low, 1)
    if from_logits:
        return np.sum(y * (np.log(y) + _negative_log_probability(y_pred, True, clip_dtype)), axis=-1)
    p = np.clip(y_pred, low, 1)
    # log(y / p), without the rounding of a quotient near 1
    return np.sum(y * np.copysign(np.log1p(np.abs(y - p) / np.minimum(y, p)), y - p), axis=-1)


@np.errstate(all="ignore")
def kl_divergence_gradient(
    y_true: npt.ArrayLike,
    y_pred: FloatArray,
    from_logits: bool = False,
    *,
    clip_dtype: npt.DTypeLike | None = None,
) -> FloatArray:
    """Gradient of ``kl_divergence``: -y_k / p_k, 0 where p is clipped; from logits (sum_j y_j) softmax(z)_k - y_k.

    Parameters
    ----------
    y_true, y_pred, from_logits, clip_dtype
        As for ``kl_divergence``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    low = epsilon(y_pred.dtype, clip_dtype)
    y = np.clip(np.asarray(y_true, dtype=y_pred.dtype), low, 1)
    if from_logits:
        return categorical_crossentropy_gradient(y, y_pred, from_logits=True)
    clipped = is_clipped(y_pred, low, np.ones_like(low))
    return np.where(clipped, np.zeros_like(y_pred), -y / np.clip(y_pred, low, 1))
