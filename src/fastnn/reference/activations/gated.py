"""z times a gate that opens with z."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

import numpy as np

from .._types import FloatArray
from .algebraic import hard_sigmoid
from .exponentials import sigmoid


def _sigmoid_product_slope(v: FloatArray, w: FloatArray) -> FloatArray:
    """Derivative of z sigmoid(v): sigmoid(v) (1 + z v' sigmoid(-v)), where v and z have one sign and w = |z v'|."""
    e = np.exp(-np.abs(v))
    w = np.where(e == 0, 0, w)  # where w would be infinite
    return np.where(v < 0, e * ((1 - w) + e), 1 + e * (1 + w)) / (1 + e) ** 2


def normal_tail(y: FloatArray) -> FloatArray:
    """Phi(-y) exp(y**2 / 2) for y >= 0, Phi the distribution function of the normal distribution.

    It keeps its relative accuracy however small Phi(-y) is.

    Source: Abramowitz and Stegun, *Handbook of Mathematical Functions* (1964), 26.2.11 and 26.2.14.
    """
    # For small y a series: Phi(-y) = 1/2 - density(y) (y + y**3/3 + y**5/(3 5) + ...).
    near = np.minimum(y, 1)
    term, series = near, near
    for n in range(3, 51, 2):
        term = term * near**2 / n
        series = series + term
    density = 1 / np.sqrt(8 * np.arctan(y.dtype.type(1)))  # at 0; times exp(-y**2 / 2) elsewhere
    # Beyond, Laplace's continued fraction: Phi(-y) = density(y) / (y + 1 / (y + 2 / (y + 3 / (y + ...)))).
    far = np.maximum(y, 1)
    fraction = (far + np.sqrt(far**2 + 4 * 301)) / 2  # as if 301 went on for ever
    for n in range(300, 0, -1):
        fraction = far + n / fraction
    return np.where(y < 1, np.exp(near**2 / 2) / 2 - density * series, density / fraction)


def _exp_minus_half_square(y: FloatArray) -> FloatArray:
    """exp(-y**2 / 2), without the rounding of y**2, which would be a relative error of y**2 / 2 units."""
    shifted = y * y.dtype.type(2 ** (np.finfo(y.dtype).nmant // 2 + 1) + 1)
    high = shifted - (shifted - y)  # the upper half of y's bits: its square is exact
    return np.exp(-(high**2) / 2) * np.exp(-(y - high) * (y + high) / 2)


def _gelu_argument(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return v = sqrt(8 / pi) (z + 0.044715 z**3), and |z v'|."""
    scale, cubic = np.sqrt(2 / np.arctan(z.dtype.type(1))), z.dtype.type("0.044715")
    return scale * z * (1 + cubic * z**2), scale * np.abs(z) * (1 + 3 * cubic * z**2)


@np.errstate(all="ignore")
def silu(z: FloatArray) -> FloatArray:
    """Sigmoid linear unit (swish), ``z sigmoid(z)``.

    Source: Elfwing, Uchibe and Doya (2018), arXiv:1702.03118; Ramachandran, Zoph and Le (2017), arXiv:1710.05941.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.where(np.isneginf(z), -np.zeros_like(z), z * sigmoid(z))


@np.errstate(all="ignore")
def silu_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``silu``: f'(z) = sigmoid(z) (1 + z sigmoid(-z)).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * _sigmoid_product_slope(z, np.abs(z))


@np.errstate(all="ignore")
def gelu(z: FloatArray, approximate: bool = False) -> FloatArray:
    """Gaussian error linear unit, ``z Phi(z)``, Phi the distribution function of the normal distribution.

    The approximation is ``z sigmoid(sqrt(8 / pi) (z + 0.044715 z**3))``, which is
    ``z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z**3))) / 2``. Source: Hendrycks and Gimpel (2016), arXiv:1606.08415.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    approximate : bool

    Returns
    -------
    ndarray, shape (..., K)
    """
    if approximate:
        v, _ = _gelu_argument(z)
        return np.where(np.isneginf(z), -np.zeros_like(z), z * sigmoid(v))
    y = np.minimum(np.abs(z), 100)
    tail = _exp_minus_half_square(y) * normal_tail(y)  # Phi(-y)
    return np.where(z < 0, -y * tail, z - y * tail)


@np.errstate(all="ignore")
def gelu_gradient(z: FloatArray, upstream: FloatArray, approximate: bool = False) -> FloatArray:
    """Gradient with respect to ``z`` through ``gelu``: f'(z) = Phi(z) + z exp(-z**2 / 2) / sqrt(2 pi).

    Of the approximation: the derivative of z sigmoid(v(z)), sigmoid(v) (1 + z v' sigmoid(-v)).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    approximate : bool

    Returns
    -------
    ndarray, shape (..., K)
    """
    if approximate:
        return upstream * _sigmoid_product_slope(*_gelu_argument(z))
    y = np.minimum(np.abs(z), 100)
    density = 1 / np.sqrt(8 * np.arctan(z.dtype.type(1)))
    rest = _exp_minus_half_square(y) * (normal_tail(y) - y * density)
    return upstream * np.where(z < 0, rest, 1 - rest)


@np.errstate(all="ignore")
def mish(z: FloatArray) -> FloatArray:
    """``z tanh(softplus(z))``.

    Source: Misra (2019), arXiv:1908.08681.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    # tanh(log(1 + E)) = (E**2 + 2 E) / (E**2 + 2 E + 2) for E = exp(z); for z > 0 by powers of e = exp(-z).
    e = np.exp(-np.abs(z))
    share = np.where(z < 0, e * (e + 2) / (e * (e + 2) + 2), (1 + 2 * e) / (1 + 2 * e * (1 + e)))
    return np.where(np.isneginf(z), -np.zeros_like(z), z * share)


@np.errstate(all="ignore")
def mish_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``mish``: f'(z) = t + z (1 - t**2) sigmoid(z), t = tanh(softplus(z)).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    # E (E**3 + 4 E**2 + (6 + 4 z) E + 4 + 4 z) / (E**2 + 2 E + 2)**2 for E = exp(z); for z > 0 by powers of exp(-z).
    y = np.minimum(np.abs(z), 20000)
    e = np.exp(-y)
    below = e * (4 * (1 - y) + e * ((6 - 4 * y) + e * (4 + e))) / (2 + e * (2 + e)) ** 2
    above = (1 + e * (4 + e * ((6 + 4 * y) + e * 4 * (1 + y)))) / (1 + e * (2 + 2 * e)) ** 2
    return upstream * np.where(z < 0, below, above)


@np.errstate(all="ignore")
def hard_silu(z: FloatArray) -> FloatArray:
    """``z hard_sigmoid(z)`` (hard swish).

    Source: Howard et al. (2019), arXiv:1905.02244.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return np.maximum(z, -3) * hard_sigmoid(z)


@np.errstate(all="ignore")
def hard_silu_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``hard_silu``: f'(z) = (2 z + 3) / 6 where -3 < z < 3.

    It is 0 for z <= -3 and 1 for z >= 3.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * np.where(z <= -3, 0, np.where(z >= 3, 1, (2 * z + 3) / 6))
