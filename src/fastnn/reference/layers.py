"""Layers other than the dense one: normalizations and dropout, each with its gradients.

For ``z = f(x)``, ``f_gradient`` takes δ, the gradient of some scalar with respect to z, and returns that scalar's
gradients with respect to x and to the parameters. Rows are samples, columns are units.

Both trained normalizations are z = γ x̂ + β with x̂ = (x - μ) / √(σ² + ε) and the biased variance σ² = mean((x - μ)²).
They differ in what μ and σ² are taken over: the rows of a batch, for each column; or the columns, for each row. Since
μ and σ² depend on x, with g = δ γ the gradient with respect to x is (g - mean(g) - x̂ mean(g x̂)) / √(σ² + ε), its
means taken over the same.

Sources: Ioffe and Szegedy, "Batch normalization", ICML 2015; Ba, Kiros and Hinton, "Layer normalization",
arXiv:1607.06450 (2016); Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout", JMLR 15 (2014).
"""

import numpy as np
import numpy.typing as npt

from ._types import FloatArray

BATCH, LAYER = 0, 1
"""The axis that a batch normalization's statistics are taken over, and a layer normalization's."""


@np.errstate(all="ignore")
def affine(x: FloatArray, center: FloatArray, scale: FloatArray, shift: FloatArray) -> FloatArray:
    """``(x - center) scale + shift``: rescaling, the normalization of data, and batch normalization in inference.

    Parameters
    ----------
    x : ndarray, shape (N, K)
    center, scale, shift : ndarray, shape (K,)

    Returns
    -------
    ndarray, shape (N, K)
    """
    return (x - center) * scale + shift


@np.errstate(all="ignore")
def given_normalization(x: FloatArray, mean: FloatArray, variance: FloatArray, invert: bool = False) -> FloatArray:
    """``(x - μ) / σ``, or where inverted ``x σ + μ``, for a given mean μ and a deviation σ = max(√variance, 1e-7).

    Parameters
    ----------
    x : ndarray, shape (N, K)
    mean, variance : ndarray, shape (K,)
    invert : bool

    Returns
    -------
    ndarray, shape (N, K)
    """
    deviation = np.maximum(np.sqrt(variance), x.dtype.type(1e-7))
    return x * deviation + mean if invert else (x - mean) / deviation


@np.errstate(all="ignore")
def statistics(x: FloatArray, axis: int) -> tuple[FloatArray, FloatArray]:
    """Mean and biased variance.

    Parameters
    ----------
    x : ndarray, shape (N, K)
    axis : {BATCH, LAYER}

    Returns
    -------
    mean, variance : ndarray, shape (1, K) or (N, 1)
    """
    mean = x.mean(axis, keepdims=True)
    return mean, np.square(x - mean).mean(axis, keepdims=True)


@np.errstate(all="ignore")
def normalization(
    x: FloatArray, gamma: FloatArray | None, beta: FloatArray | None, epsilon: float, axis: int
) -> FloatArray:
    """``γ (x - μ) / √(σ² + ε) + β``, with the statistics of x itself.

    Parameters
    ----------
    x : ndarray, shape (N, K)
    gamma, beta : ndarray, shape (K,), or None
        None for 1 and 0.
    epsilon : float
    axis : {BATCH, LAYER}

    Returns
    -------
    ndarray, shape (N, K)
    """
    mean, variance = statistics(x, axis)
    z = (x - mean) / np.sqrt(variance + x.dtype.type(epsilon))
    z = z if gamma is None else z * gamma
    return z if beta is None else z + beta


@np.errstate(all="ignore")
def normalization_gradient(
    x: FloatArray, gamma: FloatArray | None, epsilon: float, axis: int, delta: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradients of a scalar through `normalization`.

    Parameters
    ----------
    x : ndarray, shape (N, K)
    gamma : ndarray, shape (K,), or None
    epsilon : float
    axis : {BATCH, LAYER}
    delta : ndarray, shape (N, K)
        δ.

    Returns
    -------
    d_x : ndarray, shape (N, K)
    d_gamma : ndarray, shape (K,)
        sum_i δ_i x̂_i, whatever the axis of the statistics.
    d_beta : ndarray, shape (K,)
        sum_i δ_i.
    """
    mean, variance = statistics(x, axis)
    deviation = np.sqrt(variance + x.dtype.type(epsilon))
    normalized = (x - mean) / deviation
    g = delta if gamma is None else delta * gamma
    d_x = (g - g.mean(axis, keepdims=True) - normalized * (g * normalized).mean(axis, keepdims=True)) / deviation
    return d_x, (delta * normalized).sum(axis=0), delta.sum(axis=0)


@np.errstate(all="ignore")
def moving_average(average: FloatArray, value: FloatArray, momentum: float) -> FloatArray:
    """``m average + (1 - m) value``: what a batch normalization's moving mean and variance become after a batch.

    Parameters
    ----------
    average, value : ndarray, shape (K,)
    momentum : float
        m.

    Returns
    -------
    ndarray, shape (K,)
    """
    return average.dtype.type(momentum) * average + average.dtype.type(1 - momentum) * value


@np.errstate(all="ignore")
def dropout(x: FloatArray, mask: npt.NDArray[np.bool_], rate: float) -> FloatArray:
    """Dropout in training: ``x / (1 - rate)`` where the mask is true, else 0.  Its gradient is the same function of δ.

    Parameters
    ----------
    x : ndarray, shape (N, K)
    mask : ndarray of bool, shape (N, K), or (1, K) or (N, 1)
        What is kept; `random.dropout_mask` draws it.
    rate : float

    Returns
    -------
    ndarray, shape (N, K)
    """
    kept = x.dtype.type(0 if rate == 1 else 1 / (1 - rate))
    return np.where(mask, x * kept, x.dtype.type(0))
