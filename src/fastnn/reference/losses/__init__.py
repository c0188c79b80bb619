"""Losses of single samples, their gradients, and the cost of a batch.

A *loss* belongs to one sample: it reduces the last axis, (N, K) -> (N,). A *cost* is the reduction of N losses to one
number. ``<loss>_gradient`` is the gradient of each sample's loss with respect to its row of ``y_pred`` (of the logits
when ``from_logits=True``), shape (N, K); ``cost_gradient`` turns it into the gradient of the cost.

The definitions are Keras 3's. The formulas here are rearranged, never changed, so that they do not cancel: a loss of
1e-30 or a gradient of -1e-30 is as accurate, relatively, as one of order 1. Underflow to 0, overflow to inf and
inf - inf = NaN are IEEE arithmetic at work and no reason to warn: hence the ``errstate``.

Clipped probabilities
---------------------
The crossentropies of probabilities clip these to [ε, 1 - ε], ε = 1e-7, both rounded to the dtype: in float32 the upper
bound is 0.99999988 = 1 - 1.19e-7, so the largest binary loss is 16.12 for y = 1 and 15.94 for y = 0. Beyond the bounds
the loss is constant and its gradient exactly 0; on them the gradient is the inner one. ``clip_dtype`` takes the bounds
of another dtype: the longdouble value of the formula that a float32 kernel computes is found with
``clip_dtype=np.float32``.

Modules
-------
regression
    Losses of numbers and counts.
binary
    Binary crossentropies and hinges.
categorical
    Losses of one choice among K classes, and of whole rows.
"""

from ._clip import EPSILON
from ._cost import cost, cost_gradient
from .binary import (
    binary_crossentropy,
    binary_crossentropy_gradient,
    binary_focal_crossentropy,
    binary_focal_crossentropy_gradient,
    hinge,
    hinge_gradient,
    squared_hinge,
    squared_hinge_gradient,
)
from .categorical import (
    categorical_crossentropy,
    categorical_crossentropy_gradient,
    categorical_focal_crossentropy,
    categorical_focal_crossentropy_gradient,
    categorical_hinge,
    categorical_hinge_gradient,
    cosine_similarity,
    cosine_similarity_gradient,
    kl_divergence,
    kl_divergence_gradient,
    sparse_categorical_crossentropy,
    sparse_categorical_crossentropy_gradient,
)
from .regression import (
    gamma,
    gamma_gradient,
    huber,
    huber_gradient,
    log_cosh,
    log_cosh_gradient,
    mean_absolute_error,
    mean_absolute_error_gradient,
    mean_absolute_percentage_error,
    mean_absolute_percentage_error_gradient,
    mean_squared_error,
    mean_squared_error_gradient,
    mean_squared_logarithmic_error,
    mean_squared_logarithmic_error_gradient,
    poisson,
    poisson_gradient,
    quantile,
    quantile_gradient,
)

__all__ = [
    "EPSILON",
    "binary_crossentropy",
    "binary_crossentropy_gradient",
    "binary_focal_crossentropy",
    "binary_focal_crossentropy_gradient",
    "categorical_crossentropy",
    "categorical_crossentropy_gradient",
    "categorical_focal_crossentropy",
    "categorical_focal_crossentropy_gradient",
    "categorical_hinge",
    "categorical_hinge_gradient",
    "cosine_similarity",
    "cosine_similarity_gradient",
    "cost",
    "cost_gradient",
    "gamma",
    "gamma_gradient",
    "hinge",
    "hinge_gradient",
    "huber",
    "huber_gradient",
    "kl_divergence",
    "kl_divergence_gradient",
    "log_cosh",
    "log_cosh_gradient",
    "mean_absolute_error",
    "mean_absolute_error_gradient",
    "mean_absolute_percentage_error",
    "mean_absolute_percentage_error_gradient",
    "mean_squared_error",
    "mean_squared_error_gradient",
    "mean_squared_logarithmic_error",
    "mean_squared_logarithmic_error_gradient",
    "poisson",
    "poisson_gradient",
    "quantile",
    "quantile_gradient",
    "sparse_categorical_crossentropy",
    "sparse_categorical_crossentropy_gradient",
    "squared_hinge",
    "squared_hinge_gradient",
]
