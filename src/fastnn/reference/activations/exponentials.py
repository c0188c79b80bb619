"""What is made of one exponential."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

import numpy as np

from .._types import FloatArray

SELU = "1.0507009873554804934193349852946", "1.6732632423543772848170429916717"
"""The scale and alpha of selu, to all digits of any dtype."""


@np.errstate(all="ignore")
def exponential(z: FloatArray) -> FloatArray:
    """``exp(z)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.exp(z)


@np.errstate(all="ignore")
def exponential_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``exponential``: f'(z) = exp(z).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * np.exp(z)


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


@np.errstate(all="ignore")
def log_sigmoid(z: FloatArray) -> FloatArray:
    """Logarithm of sigmoid, ``-log(1 + exp(-z))``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return -softplus(-z)


@np.errstate(all="ignore")
def log_sigmoid_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``log_sigmoid``: f'(z) = sigmoid(-z).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * sigmoid(-z)


@np.errstate(all="ignore")
def softplus(z: FloatArray) -> FloatArray:
    """``log(1 + exp(z))``, a smooth relu.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    # max(z, 0) + log(1 + exp(-|z|)): nothing overflows, and for z < 0 log1p keeps a small value's digits.
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


@np.errstate(all="ignore")
def softplus_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``softplus``: f'(z) = sigmoid(z).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * sigmoid(z)


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
def tanh_shrink(z: FloatArray) -> FloatArray:
    """``z - tanh(z)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    # Near 0, where the difference cancels, from tanh's continued fraction z / (1 + w / (3 + w / (5 + ...))), w = z**2:
    # z - tanh(z) = z w / (w + 3 + w / (5 + w / (7 + ...))).
    y = np.abs(z)
    w = np.minimum(y, 2) ** 2
    fraction = np.full_like(w, 61)
    for n in range(59, 3, -2):
        fraction = n + w / fraction
    near = y * w / (w + 3 + w / fraction)
    return np.copysign(np.where(y < 1, near, (y - 1) + 2 / (np.exp(2 * y) + 1)), z)


@np.errstate(all="ignore")
def tanh_shrink_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``tanh_shrink``: f'(z) = tanh(z)**2.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * np.tanh(z) ** 2


@np.errstate(all="ignore")
def elu(z: FloatArray, alpha: float = 1.0) -> FloatArray:
    """Exponential linear unit: ``z`` for z > 0, ``alpha (exp(z) - 1)`` elsewhere.

    Source: Clevert, Unterthiner and Hochreiter (2016), arXiv:1511.07289.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    alpha : float

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(z > 0, z, alpha * np.expm1(z))


@np.errstate(all="ignore")
def elu_gradient(z: FloatArray, upstream: FloatArray, alpha: float = 1.0) -> FloatArray:
    """Gradient with respect to ``z`` through ``elu``: f'(z) = 1 where z > 0, else alpha exp(z).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    alpha : float

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * np.where(z > 0, 1, alpha * np.exp(z))


@np.errstate(all="ignore")
def selu(z: FloatArray) -> FloatArray:
    """Scaled elu: ``scale z`` for z > 0, ``scale alpha (exp(z) - 1)`` elsewhere.

    scale = 1.0507..., alpha = 1.6732...: with weights of mean 0 and variance 1/n_in, outputs of mean 0 and variance 1
    are a fixed point. Source: Klambauer et al. (2017), arXiv:1706.02515.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    scale, alpha = (z.dtype.type(constant) for constant in SELU)
    return scale * np.where(z > 0, z, alpha * np.expm1(z))


@np.errstate(all="ignore")
def selu_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``selu``: f'(z) = scale where z > 0, else scale alpha exp(z).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    scale, alpha = (z.dtype.type(constant) for constant in SELU)
    return scale * (upstream * np.where(z > 0, 1, alpha * np.exp(z)))


@np.errstate(all="ignore")
def celu(z: FloatArray, alpha: float = 1.0) -> FloatArray:
    """Continuously differentiable elu: ``z`` for z > 0, ``alpha (exp(z / alpha) - 1)`` elsewhere.

    Source: Barron (2017), arXiv:1704.07483.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    alpha : float, > 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(z > 0, z, alpha * np.expm1(z / alpha))


@np.errstate(all="ignore")
def celu_gradient(z: FloatArray, upstream: FloatArray, alpha: float = 1.0) -> FloatArray:
    """Gradient with respect to ``z`` through ``celu``: f'(z) = 1 where z > 0, else exp(z / alpha).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    alpha : float, > 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * np.where(z > 0, 1, np.exp(z / alpha))
