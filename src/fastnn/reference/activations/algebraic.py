"""Straight lines, parabolas and roots."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

import numpy as np

from .._types import FloatArray


def linear(z: FloatArray) -> FloatArray:
    """Return ``z`` unchanged, as a new array.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return z.copy()


@np.errstate(all="ignore")
def linear_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``linear``: f'(z) = 1.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * np.ones_like(z)


@np.errstate(all="ignore")
def relu(
    z: FloatArray, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> FloatArray:
    """Rectified linear unit: ``min(z, max_value)`` for z > threshold, ``negative_slope (z - threshold)`` elsewhere.

    By default ``max(z, 0)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    negative_slope : float
    max_value : float, optional
        None for no limit.
    threshold : float

    Returns
    -------
    ndarray, shape (..., K)
        NaN where ``z`` is NaN.
    """
    below = z.dtype.type(negative_slope) * (z - z.dtype.type(threshold))
    if negative_slope == 0:
        below = np.where(np.isnan(z), z, np.zeros_like(z))  # 0 times infinity is none
    return np.where(z > threshold, z if max_value is None else np.minimum(z, z.dtype.type(max_value)), below)


@np.errstate(all="ignore")
def relu_gradient(
    z: FloatArray,
    upstream: FloatArray,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> FloatArray:
    """Gradient with respect to ``z`` through ``relu``: f'(z) = 1 between threshold and max_value, 0 from there on.

    Up to the threshold f'(z) = negative_slope.
    At z = 0, where relu has no derivative, the subgradient 0 is taken, as Keras, PyTorch and JAX take it.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    negative_slope, max_value, threshold
        As in ``relu``.

    Returns
    -------
    ndarray, shape (..., K)
    """
    nothing = np.zeros_like(upstream)
    below = nothing if negative_slope == 0 else upstream * upstream.dtype.type(negative_slope)
    above = upstream if max_value is None else np.where(z < max_value, upstream, nothing)
    return np.where(z > threshold, above, below)


@np.errstate(all="ignore")
def leaky_relu(z: FloatArray, negative_slope: float = 0.2) -> FloatArray:
    """``z`` for z >= 0, ``negative_slope z`` below.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    negative_slope : float

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(z < 0, z * z.dtype.type(negative_slope), z)


@np.errstate(all="ignore")
def leaky_relu_gradient(z: FloatArray, upstream: FloatArray, negative_slope: float = 0.2) -> FloatArray:
    """Gradient with respect to ``z`` through ``leaky_relu``: f'(z) = 1 where z > 0, else negative_slope.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    negative_slope : float

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(z <= 0, upstream * z.dtype.type(negative_slope), upstream)


def relu6(z: FloatArray) -> FloatArray:
    """``min(max(z, 0), 6)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.clip(z, 0, 6)


def relu6_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``relu6``: f'(z) = 1 where 0 < z < 6, else 0.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where((z <= 0) | (z >= 6), np.zeros_like(upstream), upstream)


def hard_sigmoid(z: FloatArray) -> FloatArray:
    """``min(max(z + 3, 0), 6) / 6``: sigmoid in three straight lines.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return relu6(z + 3) / 6


def hard_sigmoid_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``hard_sigmoid``: f'(z) = 1/6 where -3 < z < 3, else 0.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return relu6_gradient(z + 3, upstream) / 6


def hard_tanh(z: FloatArray) -> FloatArray:
    """``min(max(z, -1), 1)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.clip(z, -1, 1)


def hard_tanh_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``hard_tanh``: f'(z) = 1 where -1 < z < 1, else 0.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(np.abs(z) >= 1, np.zeros_like(upstream), upstream)


@np.errstate(all="ignore")
def soft_shrink(z: FloatArray, threshold: float = 0.5) -> FloatArray:
    """``z`` moved towards 0 by the threshold: ``z - min(max(z, -threshold), threshold)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    threshold : float, >= 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    return z - np.clip(z, -threshold, threshold)


def soft_shrink_gradient(z: FloatArray, upstream: FloatArray, threshold: float = 0.5) -> FloatArray:
    """Gradient with respect to ``z`` through ``soft_shrink``: f'(z) = 0 where |z| <= threshold, else 1.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    threshold : float, >= 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(np.abs(z) <= threshold, np.zeros_like(upstream), upstream)


def hard_shrink(z: FloatArray, threshold: float = 0.5) -> FloatArray:
    """``0`` where |z| <= threshold, else ``z``.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    threshold : float, >= 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(np.abs(z) <= threshold, np.zeros_like(z), z)


def hard_shrink_gradient(z: FloatArray, upstream: FloatArray, threshold: float = 0.5) -> FloatArray:
    """Gradient with respect to ``z`` through ``hard_shrink``: f'(z) = 0 where |z| <= threshold, else 1.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    threshold : float, >= 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    return soft_shrink_gradient(z, upstream, threshold)


@np.errstate(all="ignore")
def sparse_plus(z: FloatArray) -> FloatArray:
    """``0`` for z <= -1, ``z`` for z >= 1, and between them the parabola that joins both, ``(z + 1)**2 / 4``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(z >= 1, z, np.where(z <= -1, np.zeros_like(z), ((z + 1) / 2) ** 2))


@np.errstate(all="ignore")
def sparse_plus_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``sparse_plus``: f'(z) = sparse_sigmoid(z).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * sparse_sigmoid(z)


def sparse_sigmoid(z: FloatArray) -> FloatArray:
    """``min(max((z + 1) / 2, 0), 1)``, the derivative of sparse_plus.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.clip((z + 1) / 2, 0, 1)


def sparse_sigmoid_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``sparse_sigmoid``: f'(z) = 1/2 where -1 < z < 1, else 0.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return hard_tanh_gradient(z, upstream) / 2


@np.errstate(all="ignore")
def softsign(z: FloatArray) -> FloatArray:
    """``z / (1 + |z|)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(np.isinf(z), np.sign(z), z / (1 + np.abs(z)))


@np.errstate(all="ignore")
def softsign_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``softsign``: f'(z) = 1 / (1 + |z|)**2.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream / (1 + np.abs(z)) ** 2


@np.errstate(all="ignore")
def squareplus(z: FloatArray, b: float = 4.0) -> FloatArray:
    """``(z + sqrt(z**2 + b)) / 2``, a smooth relu without exponentials.

    Source: Barron (2021), arXiv:2112.11687.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    b : float, > 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    # For z < 0, where the sum cancels, its product with (sqrt(z**2 + b) - z) / 2 is b / 4.
    half = np.abs(z) / 2 + np.hypot(z, np.sqrt(z.dtype.type(b))) / 2
    return np.where(z < 0, z.dtype.type(b) / 4 / half, half)


@np.errstate(all="ignore")
def squareplus_gradient(z: FloatArray, upstream: FloatArray, b: float = 4.0) -> FloatArray:
    """Gradient with respect to ``z`` through ``squareplus``: f'(z) = (1 + z / sqrt(z**2 + b)) / 2.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    b : float, > 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    a, root = squareplus(z, b), np.sqrt(z.dtype.type(b))
    # That is f(z)**2 / (f(z)**2 + b / 4), which neither cancels nor overflows.
    t = a / np.hypot(a, root / 2)
    return upstream * np.where(np.isinf(a), 1, t * t)
