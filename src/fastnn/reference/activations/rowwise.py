"""Along the last axis: each output depends on the whole row."""

# NumPy types the arithmetic of a generic floating dtype as Any.
# mypy: disable-error-code="no-any-return"

import numpy as np

from .._types import FloatArray


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
