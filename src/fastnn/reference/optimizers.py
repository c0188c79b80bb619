"""Update rules on flat arrays, Keras 3's to the letter.

Each rule is a pure function ``rule(parameters, gradient, state, step, learning_rate, ...)`` of

- ``parameters``, ``gradient``: ndarray, shape (P,): θ, and the gradient g of the cost with respect to it;
- ``state``: tuple of ndarray, shape (P,): what the rule keeps from step to step, 0 at first where nothing else is said;
- ``step``: int: t, the number of the update, counted from 1;
- ``learning_rate``: float: η;

and of its own hyperparameters. It returns the new parameters and the new state, and changes none of its arguments.
Arrays of one call have the same dtype, in which all arithmetic on them is done. Numbers that all elements share are
computed in float64 (Python floats) and rounded once to that dtype.

``Optimizer`` keeps the state between the steps of a training, and does what optimizers do besides their rule.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from ._types import FloatArray

State: TypeAlias = tuple[FloatArray, ...]


@np.errstate(all="ignore")
def sgd(
    parameters: FloatArray, gradient: FloatArray, state: State, step: int, learning_rate: float
) -> tuple[FloatArray, State]:
    """Gradient descent: ``θ ← θ - η g``; without state."""
    return parameters - _scalar(learning_rate, parameters) * gradient, ()


@np.errstate(all="ignore")
def sgd_momentum(
    parameters: FloatArray,
    gradient: FloatArray,
    state: State,
    step: int,
    learning_rate: float,
    momentum: float,
    nesterov: bool = False,
) -> tuple[FloatArray, State]:
    """Gradient descent with momentum: ``v ← β v + η g``, then ``θ ← θ - v``, or Nesterov's ``θ ← θ - (β v + η g)``.

    State: v. The learning rate is inside the velocity. Keras stores -v; the parameters are the same to the last bit.

    Source: Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning",
    ICML 2013.
    """
    beta = _scalar(momentum, parameters)
    scaled = _scalar(learning_rate, parameters) * gradient
    velocity = beta * state[0] + scaled
    update = beta * velocity + scaled if nesterov else velocity
    return parameters - update, (velocity,)


@np.errstate(all="ignore")
def adagrad(
    parameters: FloatArray, gradient: FloatArray, state: State, step: int, learning_rate: float, epsilon: float
) -> tuple[FloatArray, State]:
    """AdaGrad: ``s ← s + g²``, ``θ ← θ - η g / √(s + ε)``.

    State: s, 0.1 at first.

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 2011.
    """
    accumulator = state[0] + gradient * gradient
    root = np.sqrt(accumulator + _scalar(epsilon, parameters))
    return parameters - _scalar(learning_rate, parameters) * gradient / root, (accumulator,)


@np.errstate(all="ignore")
def rmsprop(
    parameters: FloatArray,
    gradient: FloatArray,
    state: State,
    step: int,
    learning_rate: float,
    rho: float,
    epsilon: float,
    momentum: float = 0.0,
    centered: bool = False,
) -> tuple[FloatArray, State]:
    """RMSprop: ``v ← ρ v + (1 - ρ) g²``, ``θ ← θ - η g / √(v + ε)``.

    Centred: ``a ← ρ a + (1 - ρ) g``, and the root is of ``max(v - a², 0) + ε``. With momentum: ``m ← β m + η g / √...``
    and ``θ ← θ - m``.

    State: v, then a where centred, then m with momentum.

    Source: Hinton, Srivastava and Swersky, "Neural networks for machine learning, lecture 6e", 2012.
    """
    velocity = _average(state[0], gradient * gradient, 1 - rho)
    new = [velocity]
    variance = velocity
    if centered:
        mean = _average(state[1], gradient, 1 - rho)
        new.append(mean)
        variance = np.maximum(velocity - mean * mean, 0)
    update = _scalar(learning_rate, parameters) * gradient / np.sqrt(variance + _scalar(epsilon, parameters))
    if momentum:
        update = _scalar(momentum, parameters) * state[-1] + update
        new.append(update)
    return parameters - update, tuple(new)


@np.errstate(all="ignore")
def adadelta(
    parameters: FloatArray,
    gradient: FloatArray,
    state: State,
    step: int,
    learning_rate: float,
    rho: float,
    epsilon: float,
) -> tuple[FloatArray, State]:
    """Adadelta: ``s ← ρ s + (1 - ρ) g²``, ``d = √(u + ε) g / √(s + ε)``, ``u ← ρ u + (1 - ρ) d²``, ``θ ← θ - η d``.

    State: s, u.

    Source: Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
    """
    eps = _scalar(epsilon, parameters)
    of_gradients = _average(state[0], gradient * gradient, 1 - rho)
    update = np.sqrt(state[1] + eps) * gradient / np.sqrt(of_gradients + eps)
    of_updates = _average(state[1], update * update, 1 - rho)
    return parameters - _scalar(learning_rate, parameters) * update, (of_gradients, of_updates)


@np.errstate(all="ignore")
def adam(
    parameters: FloatArray,
    gradient: FloatArray,
    state: State,
    step: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    amsgrad: bool = False,
) -> tuple[FloatArray, State]:
    """Adam with the paper's ε-hat.

    ``m ← m + (g - m)(1 - β₁)``, ``v ← v + (g² - v)(1 - β₂)``, ``θ ← θ - α m / (√v + ε)``,
    ``α = η √(1 - β₂ᵗ) / (1 - β₁ᵗ)``. AMSGrad: the root is of ``h ← max(h, v)``.

    State: m, v, and h for AMSGrad.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015: the efficient order at the end of
    section 2. Reddi, Kale and Kumar, "On the convergence of Adam and beyond", ICLR 2018.
    """
    alpha = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    mean = _average(state[0], gradient, 1 - beta_1)
    variance = _average(state[1], gradient * gradient, 1 - beta_2)
    largest = np.maximum(state[2], variance) if amsgrad else variance
    update = mean * _scalar(alpha, parameters) / (np.sqrt(largest) + _scalar(epsilon, parameters))
    return parameters - update, (mean, variance, largest) if amsgrad else (mean, variance)


@np.errstate(all="ignore")
def adamax(
    parameters: FloatArray,
    gradient: FloatArray,
    state: State,
    step: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[FloatArray, State]:
    """Adamax: ``m ← m + (g - m)(1 - β₁)``, ``u ← max(β₂ u, |g|)``, ``θ ← θ - η / (1 - β₁ᵗ) m / (u + ε)``.

    State: m, u.

    Source: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 7.
    """
    mean = _average(state[0], gradient, 1 - beta_1)
    norm = np.maximum(_scalar(beta_2, parameters) * state[1], np.abs(gradient))
    rate = _scalar(learning_rate / (1 - beta_1**step), parameters)
    return parameters - rate * mean / (norm + _scalar(epsilon, parameters)), (mean, norm)


@np.errstate(all="ignore")
def nadam(
    parameters: FloatArray,
    gradient: FloatArray,
    state: State,
    step: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> tuple[FloatArray, State]:
    """Nadam: Adam's m and v, and with ``u_k = β₁ (1 - 0.96^k / 2)``, ``p_k = u_1 ... u_k``

    ``m̂ = u_{t+1} m / (1 - p_{t+1}) + (1 - u_t) g / (1 - p_t)``, ``θ ← θ - η m̂ / (√(v / (1 - β₂ᵗ)) + ε)``.

    State: m, v.

    Source: Dozat, "Incorporating Nesterov momentum into Adam", 2015.
    """
    u = [beta_1 * (1 - 0.5 * 0.96**k) for k in range(1, step + 2)]
    of_mean = learning_rate * u[step] / (1 - math.prod(u))
    of_gradient = learning_rate * (1 - u[step - 1]) / (1 - math.prod(u[:step]))
    mean = _average(state[0], gradient, 1 - beta_1)
    variance = _average(state[1], gradient * gradient, 1 - beta_2)
    update = _scalar(of_mean, parameters) * mean + _scalar(of_gradient, parameters) * gradient
    root = np.sqrt(variance * _scalar(1 / (1 - beta_2**step), parameters))
    return parameters - update / (root + _scalar(epsilon, parameters)), (mean, variance)


@np.errstate(all="ignore")
def lion(
    parameters: FloatArray,
    gradient: FloatArray,
    state: State,
    step: int,
    learning_rate: float,
    beta_1: float,
    beta_2: float,
) -> tuple[FloatArray, State]:
    """Lion: ``θ ← θ - η sign(β₁ m + (1 - β₁) g)``, then ``m ← β₂ m + (1 - β₂) g``.

    State: m.

    Source: Chen et al., "Symbolic discovery of optimization algorithms", 2023.
    """
    direction = np.sign(_scalar(beta_1, parameters) * state[0] + _scalar(1 - beta_1, parameters) * gradient)
    update = _scalar(learning_rate, parameters) * direction
    return parameters - update, (_average(state[0], gradient, 1 - beta_2),)


def clip_by_value(gradient: FloatArray, limit: float) -> FloatArray:
    """Limit every element to [-limit, limit]; NaN stays."""
    bound = _scalar(limit, gradient)
    return np.clip(gradient, -bound, bound)


@np.errstate(all="ignore")
def clip_by_norm(gradient: FloatArray, limit: float) -> FloatArray:
    """Scale the gradient so that its Euclidean norm is at most ``limit``."""
    norm = _norm([gradient])
    return gradient * _scalar(limit / np.maximum(norm, limit), gradient)


@np.errstate(all="ignore")
def clip_by_global_norm(gradients: Sequence[FloatArray], limit: float) -> list[FloatArray]:
    """Scale the gradients by one factor so that the norm of all is at most ``limit``; an infinite one turns all NaN."""
    norm = _norm(gradients)
    factor = np.minimum(limit / norm, 1.0) + (norm - norm)
    return [g * _scalar(factor, g) for g in gradients]


def _norm(gradients: Sequence[FloatArray]) -> np.float64:
    return np.float64(np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients)))


def _average(old: FloatArray, new: FloatArray, share: float) -> FloatArray:
    """Return ``old + (new - old) share``, the moving average."""
    return old + (new - old) * _scalar(share, old)


def _scalar(value: Any, like: FloatArray) -> FloatArray:
    """Return the float64 ``value`` rounded once to the dtype of ``like``, as a 0-d array."""
    return np.array(value, dtype=like.dtype)


class Optimizer:
    """A rule with its state, and what is done before and after it; called with (parameters, gradient) at each step.

    Parameters
    ----------
    rule : callable
        One of this module.
    first : sequence of float
        The first values of its states.
    learning_rate : float or callable
        η, or from the number of gradients before this one to η.
    weight_decay : float
        λ of ``θ ← θ - λ η θ``, before the update.
    clipnorm, clipvalue, global_clipnorm : float, optional
        Limits of the gradient: of the norm of each piece, of each element, of the norm of all.
    pieces : sequence of int, optional
        The lengths that ``clipnorm`` cuts the gradient into; one piece without.
    ema_momentum : float, optional
        μ of the average ``a ← μ a + (1 - μ) θ``, taken at every call.
    ema_overwrite_frequency : int, optional
        Return the average as the new parameters after every so many updates.
    accumulation_steps : int
        Gradients whose mean makes one update.
    **numbers
        The rule's own hyperparameters.
    """

    def __init__(
        self,
        rule: Callable[..., tuple[FloatArray, State]],
        first: Sequence[float],
        learning_rate: float | Callable[[int], float],
        *,
        weight_decay: float = 0.0,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        pieces: Sequence[int] | None = None,
        ema_momentum: float | None = None,
        ema_overwrite_frequency: int | None = None,
        accumulation_steps: int = 1,
        **numbers: Any,
    ) -> None:
        self.rule, self.first, self.learning_rate = rule, first, learning_rate
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm, self.pieces = clipnorm, clipvalue, global_clipnorm, pieces
        self.ema_momentum, self.ema_overwrite_frequency = ema_momentum, ema_overwrite_frequency
        self.accumulation_steps = accumulation_steps
        self.numbers = numbers
        self.steps = 0
        self.state: State | None = None
        self.average: FloatArray | None = None
        self.sum: FloatArray | None = None

    def __call__(self, parameters: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return the new parameters, (P,), and keep the new state."""
        if self.state is None:
            self.state = tuple(np.full_like(parameters, value) for value in self.first)
        updates = self.steps // self.accumulation_steps
        self.sum = gradient if self.sum is None else gradient + self.sum
        if (self.steps + 1) % self.accumulation_steps == 0:
            rate = self.learning_rate(self.steps) if callable(self.learning_rate) else self.learning_rate
            mean = self._clipped(self.sum * _scalar(1 / self.accumulation_steps, gradient))
            self.sum = None
            if self.weight_decay:
                parameters = parameters - parameters * _scalar(self.weight_decay * rate, parameters)
            parameters, self.state = self.rule(parameters, mean, self.state, updates + 1, rate, **self.numbers)
        if self.ema_momentum is not None:
            share = 1 - self.ema_momentum
            self.average = parameters if updates == 0 else _average(self.average, parameters, share)  # type: ignore[arg-type]
            if self.ema_overwrite_frequency and (updates + 1) % self.ema_overwrite_frequency == 0:
                parameters = self.average
        self.steps += 1
        return parameters

    def _clipped(self, gradient: FloatArray) -> FloatArray:
        if self.clipvalue is not None:
            return clip_by_value(gradient, self.clipvalue)
        if self.global_clipnorm is not None:
            return clip_by_global_norm([gradient], self.global_clipnorm)[0]
        if self.clipnorm is not None:
            parts = np.split(gradient, np.cumsum(self.pieces)[:-1]) if self.pieces else [gradient]
            return np.concatenate([clip_by_norm(part, self.clipnorm) for part in parts])
        return gradient


def SGD(  # noqa: N802
    learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False, **options: Any
) -> Optimizer:
    """Return gradient descent, with momentum where that is not 0; Keras's defaults."""
    if momentum == 0:
        return Optimizer(sgd, (), learning_rate, **options)
    return Optimizer(sgd_momentum, (0.0,), learning_rate, momentum=momentum, nesterov=nesterov, **options)


def Adam(  # noqa: N802
    learning_rate: float = 0.001, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7, **options: Any
) -> Optimizer:
    """Return Adam with Keras's defaults."""
    return Optimizer(adam, (0.0, 0.0), learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, **options)
