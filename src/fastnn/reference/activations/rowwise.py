"""Along an axis, the last one by default: each output depends on all inputs along it."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

import numpy as np

from .._types import FloatArray


@np.errstate(all="ignore")
def softmax(z: FloatArray, axis: int = -1) -> FloatArray:
    """Softmax over an axis, ``exp(z_k) / sum_j exp(z_j)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)
        Logits.
    axis : int

    Returns
    -------
    ndarray, shape (..., K)
        Each row is in [0, 1] and sums to 1.
    """
    # Softmax does not change when a row is shifted; with its maximum at 0 no exponential overflows.
    e = np.exp(z - z.max(axis=axis, keepdims=True))  # (..., K)
    return e / e.sum(axis=axis, keepdims=True)


@np.errstate(all="ignore")
def softmax_gradient(z: FloatArray, upstream: FloatArray, axis: int = -1) -> FloatArray:
    """Gradient with respect to ``z`` through ``softmax``: a_k (upstream_k - sum_j upstream_j a_j), a = softmax(z).

    The Jacobian is da_j/dz_k = a_j (1[j = k] - a_k).

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    axis : int

    Returns
    -------
    ndarray, shape (..., K)
        Each row sums to 0.
    """
    a = softmax(z, axis)
    # As a sums to 1, a constant added to a row of upstream changes nothing. Subtracting the upstream of the most likely
    # class drops that class from the sum, so that its bracket does not cancel when its probability is nearly 1.
    top = np.argmax(a, axis=axis, keepdims=True)  # (..., 1)
    shifted = upstream - np.take_along_axis(upstream, top, axis=axis)  # (..., K)
    return a * (shifted - (shifted * a).sum(axis=axis, keepdims=True))


@np.errstate(all="ignore")
def log_softmax(z: FloatArray, axis: int = -1) -> FloatArray:
    """Logarithm of softmax over an axis, ``z_k - log sum_j exp(z_j)``.

    Parameters
    ----------
    z : ndarray, shape (..., K)
    axis : int

    Returns
    -------
    ndarray, shape (..., K)
    """
    # From the largest element, of which 1 is the exponential: log1p of the others' keeps the digits of a likely class.
    top = np.argmax(z, axis=axis, keepdims=True)  # (..., 1)
    shifted = z - np.take_along_axis(z, top, axis=axis)  # (..., K)
    e = np.exp(shifted)
    np.put_along_axis(e, top, np.take_along_axis(e, top, axis=axis) - 1, axis=axis)
    return shifted - np.log1p(e.sum(axis=axis, keepdims=True))


@np.errstate(all="ignore")
def log_softmax_gradient(z: FloatArray, upstream: FloatArray, axis: int = -1) -> FloatArray:
    """Gradient with respect to ``z`` through ``log_softmax``: upstream - softmax(z) sum_j upstream_j.

    Parameters
    ----------
    z, upstream : ndarray, shape (..., K)
    axis : int

    Returns
    -------
    ndarray, shape (..., K)
    """
    return upstream - softmax(z, axis) * upstream.sum(axis=axis, keepdims=True)
