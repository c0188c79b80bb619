"""Update rules on flat arrays, Keras 3's to the letter.

Each rule is a pure function: it returns the new parameters, then the new state, and changes none of its arguments.
Arrays of one call have the same shape (P,) and dtype, in which all arithmetic on them is done. Numbers that all
elements share are computed in float64 (Python floats) and rounded once to that dtype.

``SGD`` and ``Adam`` keep the state between the steps of a training.
"""

import math

import numpy as np

from ._types import FloatArray


@np.errstate(all="ignore")
def sgd(parameters: FloatArray, gradient: FloatArray, learning_rate: float) -> FloatArray:
    """Gradient descent: ``θ ← θ - η g``.

    Parameters
    ----------
    parameters, gradient : ndarray, shape (P,)
        θ, and the gradient g of the cost with respect to it.
    learning_rate : float
        η.

    Returns
    -------
    ndarray, shape (P,)
        New θ.
    """
    return parameters - _scalar(learning_rate, parameters) * gradient


@np.errstate(all="ignore")
def sgd_momentum(
    parameters: FloatArray,
    gradient: FloatArray,
    velocity: FloatArray,
    learning_rate: float,
    momentum: float,
    nesterov: bool,
) -> tuple[FloatArray, FloatArray]:
    """Gradient descent with momentum: ``v ← β v + η g``, then ``θ ← θ - v``, or Nesterov's ``θ ← θ - (β v + η g)``.

    The learning rate is inside the velocity. Keras stores -v; the parameters are the same to the last bit.

    Parameters
    ----------
    parameters, gradient, velocity : ndarray, shape (P,)
        θ, g, and v, which starts at 0.
    learning_rate, momentum : float
        η, β.
    nesterov : bool
        Whether to look ahead: the new v enters Nesterov's update.

    Returns
    -------
    parameters, velocity : ndarray, shape (P,)
        New θ and v.

    References
    ----------
    Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.
    """
    beta = _scalar(momentum, parameters)
    scaled = _scalar(learning_rate, parameters) * gradient
    velocity = beta * velocity + scaled
    update = beta * velocity + scaled if nesterov else velocity
    return parameters - update, velocity


@np.errstate(all="ignore")
def adam(
    parameters: FloatArray,
    gradient: FloatArray,
    mean: FloatArray,
    variance: FloatArray,
    step: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Adam with the paper's ε-hat.

    ``m ← m + (g - m)(1 - β₁)``, ``v ← v + (g² - v)(1 - β₂)``, ``θ ← θ - α m / (√v + ε)``,
    ``α = η √(1 - β₂ᵗ) / (1 - β₁ᵗ)``.

    Parameters
    ----------
    parameters, gradient, mean, variance : ndarray, shape (P,)
        θ, g, and the moving averages m of g and v of g², which start at 0.
    step : int
        t, counted from 1.
    learning_rate, beta_1, beta_2, epsilon : float
        η, β₁, β₂, ε.

    Returns
    -------
    parameters, mean, variance : ndarray, shape (P,)
        New θ, m and v.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015: the efficient order at the end of section 2.
    """
    alpha = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    mean = mean + (gradient - mean) * _scalar(1 - beta_1, parameters)
    variance = variance + (gradient * gradient - variance) * _scalar(1 - beta_2, parameters)
    update = mean * _scalar(alpha, parameters) / (np.sqrt(variance) + _scalar(epsilon, parameters))
    return parameters - update, mean, variance


def _scalar(value: float, like: FloatArray) -> FloatArray:
    """Return the float64 ``value`` rounded once to the dtype of ``like``, as a 0-d array."""
    return np.array(value, dtype=like.dtype)


class SGD:
    """Stochastic gradient descent, with momentum where it is not 0; called with (parameters, gradient) at each step.

    Parameters
    ----------
    learning_rate, momentum : float
    nesterov : bool
        As for ``sgd_momentum``; the defaults are Keras's.
    """

    def __init__(self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = nesterov
        self.velocity: FloatArray | None = None

    def __call__(self, parameters: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return the new parameters, (P,), and keep the new velocity."""
        if self.momentum == 0:
            return sgd(parameters, gradient, self.learning_rate)
        velocity = np.zeros_like(parameters) if self.velocity is None else self.velocity
        parameters, self.velocity = sgd_momentum(
            parameters, gradient, velocity, self.learning_rate, self.momentum, self.nesterov
        )
        return parameters


class Adam:
    """Adam; called with (parameters, gradient) at each step.

    Parameters
    ----------
    learning_rate, beta_1, beta_2, epsilon : float
        As for ``adam``; the defaults are Keras's.
    """

    def __init__(
        self, learning_rate: float = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7
    ) -> None:
        self.learning_rate = learning_rate
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.step = 0
        self.moments: tuple[FloatArray, FloatArray] | None = None

    def __call__(self, parameters: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return the new parameters, (P,), and keep the new moments."""
        mean, variance = self.moments or (np.zeros_like(parameters), np.zeros_like(parameters))
        self.step += 1
        parameters, mean, variance = adam(
            parameters, gradient, mean, variance, self.step, self.learning_rate, self.beta_1, self.beta_2, self.epsilon
        )
        self.moments = mean, variance
        return parameters
