"""The dense (fully connected) layer: z = x W + b.

Source: Goodfellow, Bengio and Courville, *Deep Learning* (2016), section 6.5, algorithm 6.4.
"""

import numpy as np

from ._types import FloatArray


@np.errstate(all="ignore")
def dense(x: FloatArray, kernel: FloatArray, bias: FloatArray | None) -> FloatArray:
    """Forward: ``z = x W + b``.

    Parameters
    ----------
    x : ndarray, shape (N, in)
        Inputs, one row per sample.
    kernel : ndarray, shape (in, out)
        W.
    bias : ndarray, shape (out,), or None
        b, added to every row; None adds nothing.

    Returns
    -------
    ndarray, shape (N, out)
    """
    z = x @ kernel
    return z if bias is None else z + bias


@np.errstate(all="ignore")
def dense_gradient(x: FloatArray, kernel: FloatArray, delta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Backward: the gradients of a scalar with respect to x, W and b, from its gradient δ with respect to z.

    Parameters
    ----------
    x : ndarray, shape (N, in)
    kernel : ndarray, shape (in, out)
    delta : ndarray, shape (N, out)

    Returns
    -------
    d_x : ndarray, shape (N, in)
        δ Wᵀ.
    d_kernel : ndarray, shape (in, out)
        xᵀ δ: a sum over the samples, not a mean. A mean cost has put its 1/N into δ.
    d_bias : ndarray, shape (out,)
        sum_i δ_i.
    """
    return delta @ kernel.T, x.T @ delta, delta.sum(axis=0)
