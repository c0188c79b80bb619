"""Losses of numbers, and of counts: the mean over the outputs of a function of one prediction and one target."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

import numpy as np
import numpy.typing as npt

from .._types import FloatArray
from ._clip import epsilon


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


@np.errstate(all="ignore")
def mean_absolute_error(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Mean absolute error, ``mean_k |y_pred_k - y_true_k|``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    return np.mean(np.abs(y_pred - y), axis=-1)


@np.errstate(all="ignore")
def mean_absolute_error_gradient(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gradient of ``mean_absolute_error``: sign(y_pred - y_true) / K, 0 where they are equal.

    Parameters
    ----------
    y_true, y_pred
        As for ``mean_absolute_error``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    return np.sign(y_pred - y) / y_pred.shape[-1]


@np.errstate(all="ignore")
def mean_absolute_percentage_error(
    y_true: npt.ArrayLike, y_pred: FloatArray, *, clip_dtype: npt.DTypeLike | None = None
) -> FloatArray:
    """Mean absolute percentage error, ``mean_k 100 |y_pred_k - y_true_k| / max(|y_true_k|, ε)``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)
    clip_dtype : dtype, optional
        The dtype that rounds ε = 1e-7; by default that of ``y_pred``.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    return np.mean(100 * np.abs(y_pred - y) / np.maximum(np.abs(y), epsilon(y.dtype, clip_dtype)), axis=-1)


@np.errstate(all="ignore")
def mean_absolute_percentage_error_gradient(
    y_true: npt.ArrayLike, y_pred: FloatArray, *, clip_dtype: npt.DTypeLike | None = None
) -> FloatArray:
    """Gradient of ``mean_absolute_percentage_error``: 100 sign(y_pred - y_true) / max(abs(y_true), ε) / K.

    Parameters
    ----------
    y_true, y_pred, clip_dtype
        As for ``mean_absolute_percentage_error``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    size = np.maximum(np.abs(y), epsilon(y.dtype, clip_dtype))
    return 100 * np.sign(y_pred - y) / size / y_pred.shape[-1]


@np.errstate(all="ignore")
def mean_squared_logarithmic_error(
    y_true: npt.ArrayLike, y_pred: FloatArray, *, clip_dtype: npt.DTypeLike | None = None
) -> FloatArray:
    """Mean squared logarithmic error, ``mean_k d_k**2`` for d = log(1 + max(y_pred, ε)) - log(1 + max(y_true, ε)).

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)
    clip_dtype : dtype, optional
        The dtype that rounds ε = 1e-7; by default that of ``y_pred``.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    low = epsilon(y_pred.dtype, clip_dtype)
    return np.mean(_log_ratio(y_true, y_pred, low) ** 2, axis=-1)


@np.errstate(all="ignore")
def mean_squared_logarithmic_error_gradient(
    y_true: npt.ArrayLike, y_pred: FloatArray, *, clip_dtype: npt.DTypeLike | None = None
) -> FloatArray:
    """Gradient of ``mean_squared_logarithmic_error``: 2 d / (1 + y_pred) / K, and 0 where y_pred is below ε.

    Parameters
    ----------
    y_true, y_pred, clip_dtype
        As for ``mean_squared_logarithmic_error``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    low = epsilon(y_pred.dtype, clip_dtype)
    inner = 2 * _log_ratio(y_true, y_pred, low) / (1 + y_pred)
    return np.where(y_pred < low, np.zeros_like(y_pred), inner) / y_pred.shape[-1]


def _log_ratio(y_true: npt.ArrayLike, y_pred: FloatArray, low: FloatArray) -> FloatArray:
    """Return log((1 + p) / (1 + y)), p and y at least ``low``, without the cancellation of two logarithms."""
    y, p = np.maximum(np.asarray(y_true, dtype=y_pred.dtype), low), np.maximum(y_pred, low)
    return np.copysign(np.log1p(np.abs(p - y) / (1 + np.minimum(p, y))), p - y)


@np.errstate(all="ignore")
def huber(y_true: npt.ArrayLike, y_pred: FloatArray, delta: float = 1.0) -> FloatArray:
    """Huber's loss, the mean of e**2 / 2 where abs(e) <= δ and δ abs(e) - δ**2 / 2 elsewhere, for e = y_pred - y_true.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)
    delta : float
        δ > 0.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    e, d = np.abs(y_pred - np.asarray(y_true, dtype=y_pred.dtype)), y_pred.dtype.type(delta)
    return np.mean(np.where(e <= d, e**2 / 2, d * (e - d / 2)), axis=-1)


@np.errstate(all="ignore")
def huber_gradient(y_true: npt.ArrayLike, y_pred: FloatArray, delta: float = 1.0) -> FloatArray:
    """Gradient of ``huber``: clip(y_pred - y_true, -δ, δ) / K.

    Parameters
    ----------
    y_true, y_pred, delta
        As for ``huber``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    return np.clip(y_pred - y, -delta, delta) / y_pred.shape[-1]


@np.errstate(all="ignore")
def log_cosh(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Logarithm of the hyperbolic cosine of the error, ``mean_k log cosh(y_pred_k - y_true_k)``.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    e = np.abs(y_pred - np.asarray(y_true, dtype=y_pred.dtype))
    # log(1 + 2 sinh(e/2)**2), which overflows where e - log(2) has long been all that counts.
    near = np.log1p(2 * np.sinh(np.minimum(e, 2) / 2) ** 2)
    far = e - np.log(e.dtype.type(2)) + np.log1p(np.exp(-2 * e))
    return np.mean(np.where(e < 2, near, far), axis=-1)


@np.errstate(all="ignore")
def log_cosh_gradient(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gradient of ``log_cosh``: tanh(y_pred - y_true) / K.

    Parameters
    ----------
    y_true, y_pred
        As for ``log_cosh``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    return np.tanh(y_pred - y) / y_pred.shape[-1]


@np.errstate(all="ignore")
def quantile(y_true: npt.ArrayLike, y_pred: FloatArray, q: float = 0.5) -> FloatArray:
    """Pinball loss of the q-quantile, ``mean_k max(q e_k, (q - 1) e_k)`` for e = y_true - y_pred.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)
    q : float
        In (0, 1).

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    e, r = np.asarray(y_true, dtype=y_pred.dtype) - y_pred, y_pred.dtype.type(q)
    return np.mean(np.maximum(r * e, (r - 1) * e), axis=-1)


@np.errstate(all="ignore")
def quantile_gradient(y_true: npt.ArrayLike, y_pred: FloatArray, q: float = 0.5) -> FloatArray:
    """Gradient of ``quantile``: -q / K where y_true is larger, (1 - q) / K where it is smaller, 0 where they are equal.

    Parameters
    ----------
    y_true, y_pred, q
        As for ``quantile``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    e, r = np.asarray(y_true, dtype=y_pred.dtype) - y_pred, y_pred.dtype.type(q)
    return np.where(e > 0, -r * np.sign(e), (r - 1) * np.sign(e)) / y_pred.shape[-1]


@np.errstate(all="ignore")
def poisson(y_true: npt.ArrayLike, y_pred: FloatArray, *, clip_dtype: npt.DTypeLike | None = None) -> FloatArray:
    """Poisson loss, ``mean_k y_pred_k - y_true_k log(y_pred_k + ε)``, where 0 log(0) is 0.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)
    clip_dtype : dtype, optional
        The dtype that rounds ε = 1e-7; by default that of ``y_pred``.

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y, low = np.asarray(y_true, dtype=y_pred.dtype), epsilon(y_pred.dtype, clip_dtype)
    s = y_pred + low
    log_s = np.where(np.abs(y_pred - 1) < 0.5, np.log1p((y_pred - 1) + low), np.log(s))
    return np.mean(y_pred - np.where((y == 0) & (s >= 0), np.zeros_like(s), y * log_s), axis=-1)


@np.errstate(all="ignore")
def poisson_gradient(
    y_true: npt.ArrayLike, y_pred: FloatArray, *, clip_dtype: npt.DTypeLike | None = None
) -> FloatArray:
    """Gradient of ``poisson``: 1 - y_true / (y_pred + ε), over K.

    Parameters
    ----------
    y_true, y_pred, clip_dtype
        As for ``poisson``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y, low = np.asarray(y_true, dtype=y_pred.dtype), epsilon(y_pred.dtype, clip_dtype)
    inner = ((y_pred - y) + low) / (y_pred + low)  # the same, without the cancellation at y_pred = y_true
    return np.where(np.isinf(y_pred), 1 - y / y_pred, inner) / y_pred.shape[-1]


@np.errstate(all="ignore")
def gamma(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gamma loss, ``mean_k y_true_k / y_pred_k + log(y_pred_k)``, for y_pred > 0.

    Parameters
    ----------
    y_true : array_like, shape (N, K)
    y_pred : ndarray, shape (N, K)

    Returns
    -------
    ndarray, shape (N,)
        One loss per sample.
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    ratio = y / y_pred
    return np.mean(np.where(y_pred == 0, ratio, ratio + np.log(y_pred)), axis=-1)  # inf - inf: the limit is inf


@np.errstate(all="ignore")
def gamma_gradient(y_true: npt.ArrayLike, y_pred: FloatArray) -> FloatArray:
    """Gradient of ``gamma``: (y_pred - y_true) / y_pred**2 / K.

    Parameters
    ----------
    y_true, y_pred
        As for ``gamma``.

    Returns
    -------
    ndarray, shape (N, K)
    """
    y = np.asarray(y_true, dtype=y_pred.dtype)
    inner = (y_pred - y) / y_pred / y_pred
    return np.where(np.isinf(y_pred), (1 - y / y_pred) / y_pred, inner) / y_pred.shape[-1]
