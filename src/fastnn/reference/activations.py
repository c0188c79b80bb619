"""Activation functions and their gradients.

For ``a = f(z)``, ``f_gradient(z, upstream)`` takes ``upstream``, the gradient of some scalar with respect to ``a``,
and returns the gradient of that scalar with respect to ``z`` (a vector-Jacobian product). Both are functions of ``z``:
written from ``a``, the derivatives ``a (1 - a)`` and ``1 - a**2`` would lose every digit where the unit saturates.

All arrays of one call have the same shape and the same floating dtype, which is also the result's. Exponentials that
underflow to 0, and inf * 0 = NaN, are IEEE arithmetic at work and no reason to warn: hence the ``errstate``.

Source: Goodfellow, Bengio and Courville, *Deep Learning* (2016), sections 3.10 and 6.2-6.5.
"""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

from collections.abc import Callable

import numpy as np

from ._types import FloatArray


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


def relu(z: FloatArray) -> FloatArray:
    """Rectified linear unit, ``max(z, 0)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
        NaN where ``z`` is NaN.
    """
    return np.maximum(z, 0)


def relu_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``relu``: f'(z) = 1 where z > 0, else 0.

    At z = 0, where relu has no derivative, the subgradient 0 is taken, as Keras, PyTorch and JAX take it.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(z > 0, upstream, np.zeros_like(upstream))


@np.errstate(all="ignore")
def sigmoid(z: FloatArray) -> FloatArray:
    """Logistic function, ``1 / (1 + exp(-z))``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
        In [0, 1]. Tiny values keep their relative accuracy down to the subnormals.
    """
    # The exponent is never positive, so nothing overflows: for z < 0, 1 / (1 + exp(-z)) = exp(z) / (1 + exp(z)).
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))


@np.errstate(all="ignore")
def sigmoid_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``sigmoid``: f'(z) = sigmoid(z) sigmoid(-z).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    # sigmoid(-z) is 1 - sigmoid(z) without the subtraction.
    return upstream * (sigmoid(z) * sigmoid(-z))


def tanh(z: FloatArray) -> FloatArray:
    """Hyperbolic tangent.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
        In [-1, 1].
    """
    return np.tanh(z)


@np.errstate(all="ignore")
def tanh_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``tanh``: f'(z) = 1 - tanh(z)**2 = 1 / cosh(z)**2.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    # 1 / cosh(z)**2 with cosh(z) = (1 + e) / (2 sqrt(e)): neither a cancelling 1 - tanh**2 nor an overflowing cosh.
    e = np.exp(-2 * np.abs(z))
    return upstream * (4 * e / (1 + e) ** 2)


@np.errstate(all="ignore")
def softmax(z: FloatArray) -> FloatArray:
    """Softmax over the last axis, ``exp(z_k) / sum_j exp(z_j)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)
        Logits.

    Returns
    -------
    ndarray, shape (..., K)
        Each row is in [0, 1] and sums to 1.
    """
    # Softmax does not change when a row is shifted; with its maximum at 0 no exponential overflows.
    e = np.exp(z - z.max(axis=-1, keepdims=True))  # (..., K)
    return e / e.sum(axis=-1, keepdims=True)


@np.errstate(all="ignore")
def softmax_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``softmax``: a_k (upstream_k - sum_j upstream_j a_j), a = softmax(z).

    The Jacobian is da_j/dz_k = a_j (1[j = k] - a_k).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
        Each row sums to 0.
    """
    a = softmax(z)
    # As a sums to 1, a constant added to a row of upstream changes nothing. Subtracting the upstream of the most likely
    # class drops that class from the sum, so that its bracket does not cancel when its probability is nearly 1.
    top = np.argmax(a, axis=-1, keepdims=True)  # (..., 1)
    shifted = upstream - np.take_along_axis(upstream, top, axis=-1)  # (..., K)
    return a * (shifted - (shifted * a).sum(axis=-1, keepdims=True))


ACTIVATIONS: dict[str, tuple[Callable[[FloatArray], FloatArray], Callable[[FloatArray, FloatArray], FloatArray]]] = {
    "linear": (linear, linear_gradient),
    "relu": (relu, relu_gradient),
    "sigmoid": (sigmoid, sigmoid_gradient),
    "tanh": (tanh, tanh_gradient),
    "softmax": (softmax, softmax_gradient),
}
"""Each activation by name: (function, gradient)."""
