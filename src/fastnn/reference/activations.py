"""Activation functions and their gradients.

For ``a = f(z)``, ``f_gradient(z, upstream)`` takes ``upstream``, the gradient of some scalar with respect to ``a``,
and returns the gradient of that scalar with respect to ``z`` (a vector-Jacobian product). Both are functions of ``z``:
written from ``a``, the derivatives ``a (1 - a)`` and ``1 - a**2`` would lose every digit where the unit saturates.
At a kink the derivative is that of the flatter side, as relu's is 0 at 0.

All arrays of one call have the same shape and the same floating dtype, which is also the result's. Exponentials that
underflow to 0, and inf * 0 = NaN, are IEEE arithmetic at work and no reason to warn: hence the ``errstate``.

Sources: Goodfellow, Bengio and Courville, *Deep Learning* (2016), sections 3.10 and 6.2-6.5, and where a function
names another.
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


@np.errstate(all="ignore")
def log_softmax(z: FloatArray) -> FloatArray:
    """Logarithm of softmax over the last axis, ``z_k - log sum_j exp(z_j)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    # From the largest element, of which 1 is the exponential: log1p of the others' keeps the digits of a likely class.
    top = np.argmax(z, axis=-1, keepdims=True)  # (..., 1)
    shifted = z - np.take_along_axis(z, top, axis=-1)  # (..., K)
    e = np.exp(shifted)
    np.put_along_axis(e, top, np.take_along_axis(e, top, axis=-1) - 1, axis=-1)
    return shifted - np.log1p(e.sum(axis=-1, keepdims=True))


@np.errstate(all="ignore")
def log_softmax_gradient(z: FloatArray, upstream: FloatArray) -> FloatArray:
    """Gradient with respect to ``z`` through ``log_softmax``: upstream - softmax(z) sum_j upstream_j.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream - softmax(z) * upstream.sum(axis=-1, keepdims=True)


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
    return scale * elu(z, alpha)


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
    return scale * elu_gradient(z, upstream, alpha)


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
    """Gradient with respect to ``z`` through ``squareplus``: f'(z) = (1 + z / sqrt(z**2 + b)) / 2 = f(z) / sqrt(z**2 + b).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    b : float, > 0

    Returns
    -------
    ndarray, shape (..., K)
    """
    a, root = squareplus(z, b), np.sqrt(z.dtype.type(b))
    # f(z)**2 / (f(z)**2 + b / 4), which neither cancels nor overflows
    t = a / np.hypot(a, root / 2)
    return upstream * np.where(np.isinf(a), 1, t * t)


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


def _sigmoid_product_slope(v: FloatArray, w: FloatArray) -> FloatArray:
    """Derivative of z sigmoid(v): sigmoid(v) (1 + z v' sigmoid(-v)), where v and z have one sign and w = |z v'|."""
    e = np.exp(-np.abs(v))
    w = np.where(e == 0, 0, w)  # where w would be infinite
    return np.where(v < 0, e * ((1 - w) + e), 1 + e * (1 + w)) / (1 + e) ** 2


def normal_tail(y: FloatArray) -> FloatArray:
    """Phi(-y) exp(y**2 / 2) of the normal distribution function Phi, for y >= 0; its relative accuracy does not fall with it.

    Source: Abramowitz and Stegun, *Handbook of Mathematical Functions* (1964), 26.2.11 and 26.2.14.
    """
    # For small y a series: Phi(-y) = 1/2 - density(y) (y + y**3/3 + y**5/(3 5) + ...).
    near = np.minimum(y, 2)
    term, series = near, near
    for n in range(3, 81, 2):
        term = term * near**2 / n
        series = series + term
    density = 1 / np.sqrt(8 * np.arctan(y.dtype.type(1)))  # at 0; times exp(-y**2 / 2) elsewhere
    # Beyond, Laplace's continued fraction: Phi(-y) = density(y) / (y + 1 / (y + 2 / (y + 3 / (y + ...)))).
    far = np.maximum(y, 2)
    fraction = far
    for n in range(150, 0, -1):
        fraction = far + n / fraction
    return np.where(y < 2, np.exp(near**2 / 2) / 2 - density * series, density / fraction)


def _exp_minus_half_square(y: FloatArray) -> FloatArray:
    """exp(-y**2 / 2), without the rounding of y**2, which would be a relative error of y**2 / 2 units."""
    shifted = y * y.dtype.type(2 ** (np.finfo(y.dtype).nmant // 2 + 1) + 1)
    high = shifted - (shifted - y)  # the upper half of y's bits: its square is exact
    return np.exp(-(high**2) / 2) * np.exp(-(y - high) * (y + high) / 2)


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


def _gelu_argument(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """v = sqrt(8 / pi) (z + 0.044715 z**3), and |z v'|."""
    scale, cubic = np.sqrt(2 / np.arctan(z.dtype.type(1))), z.dtype.type("0.044715")
    return scale * z * (1 + cubic * z**2), scale * np.abs(z) * (1 + 3 * cubic * z**2)


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
    # E (E**3 + 4 E**2 + (6 + 4 z) E + 4 + 4 z) / (E**2 + 2 E + 2)**2 for E = exp(z); for z > 0 by powers of e = exp(-z).
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
    """Gradient with respect to ``z`` through ``hard_silu``: f'(z) = 0 for z <= -3, 1 for z >= 3, (2 z + 3) / 6 between them.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream * np.where(z <= -3, 0, np.where(z >= 3, 1, (2 * z + 3) / 6))


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


SELU = "1.0507009873554804934193349852946", "1.6732632423543772848170429916717"
"""The scale and alpha of selu, to all digits of any dtype."""

ACTIVATIONS: dict[str, tuple[Callable[..., FloatArray], Callable[..., FloatArray]]] = {
    "linear": (linear, linear_gradient),
    "relu": (relu, relu_gradient),
    "sigmoid": (sigmoid, sigmoid_gradient),
    "tanh": (tanh, tanh_gradient),
    "softmax": (softmax, softmax_gradient),
    "log_softmax": (log_softmax, log_softmax_gradient),
    "leaky_relu": (leaky_relu, leaky_relu_gradient),
    "relu6": (relu6, relu6_gradient),
    "elu": (elu, elu_gradient),
    "selu": (selu, selu_gradient),
    "celu": (celu, celu_gradient),
    "softplus": (softplus, softplus_gradient),
    "softsign": (softsign, softsign_gradient),
    "exponential": (exponential, exponential_gradient),
    "log_sigmoid": (log_sigmoid, log_sigmoid_gradient),
    "hard_sigmoid": (hard_sigmoid, hard_sigmoid_gradient),
    "hard_tanh": (hard_tanh, hard_tanh_gradient),
    "soft_shrink": (soft_shrink, soft_shrink_gradient),
    "hard_shrink": (hard_shrink, hard_shrink_gradient),
    "sparse_plus": (sparse_plus, sparse_plus_gradient),
    "sparse_sigmoid": (sparse_sigmoid, sparse_sigmoid_gradient),
    "squareplus": (squareplus, squareplus_gradient),
    "silu": (silu, silu_gradient),
    "gelu": (gelu, gelu_gradient),
    "mish": (mish, mish_gradient),
    "hard_silu": (hard_silu, hard_silu_gradient),
    "tanh_shrink": (tanh_shrink, tanh_shrink_gradient),
}
"""Each activation by name: (function, gradient)."""
