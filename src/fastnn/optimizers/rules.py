"""The optimizers: Keras 3's update rules, defaults included.

In the formulas θ is a parameter, g its gradient, η the learning rate, t the number of the update, from 1; states start
at 0 where nothing else is said.
"""

from __future__ import annotations

from typing import Unpack

from .. import validation
from .base import (
    Hyperparameter,
    LearningRate,
    Optimizer,
    Options,
    OtherOptions,
    Rule,
    above_0,
    flag,
    not_negative,
    share,
)


class SGD(Optimizer):
    """Gradient descent: θ ← θ - ηg; with momentum β, v ← βv + ηg and θ ← θ - v, or θ ← θ - (βv + ηg) with `nesterov`.

    Batch, mini-batch and stochastic gradient descent are this with a batch size of all samples, some, and one.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.01 by default.  It is inside the velocity v, as in Keras and scikit-learn; PyTorch keeps it outside.
    momentum : float in [0, 1)
    nesterov : bool
    **options
        As for `Optimizer`.

    References
    ----------
    Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.
    """

    momentum = Hyperparameter(share)
    nesterov = Hyperparameter(flag)

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.momentum, self.nesterov = momentum, nesterov

    def _rule(self) -> Rule:
        if not self.momentum:
            return Rule("sgd", {})
        return Rule("nesterov" if self.nesterov else "momentum", {"momentum": 0.0}, self.momentum)


class Adagrad(Optimizer):
    """AdaGrad: s ← s + g², θ ← θ - ηg/√(s + ε): rates that fall where gradients have been large.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.001 by default, which is low for this rule: 0.01 to 0.1 is usual.
    initial_accumulator_value : float, at least 0
        s at the start, 0.1 by default.
    epsilon : float
        ε, above 0; 1e-7 by default.  PyTorch adds its own after the root, and begins with s = 0.
    **options
        As for `Optimizer`.

    References
    ----------
    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 2011.
    """

    initial_accumulator_value = Hyperparameter(not_negative)
    epsilon = Hyperparameter(above_0)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def _rule(self) -> Rule:
        return Rule("adagrad", {"accumulator": self.initial_accumulator_value}, epsilon=self.epsilon)


class RMSprop(Optimizer):
    """RMSprop: v ← ρv + (1 - ρ)g², θ ← θ - ηg/√(v + ε).

    With `centered` the root is of v - a² + ε, the gradient's variance, where a ← ρa + (1 - ρ)g; a variance that
    rounding has made negative counts as 0.  With momentum β the increment ηg/√… goes into m ← βm + ηg/√…, and
    θ ← θ - m.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.001 by default.
    rho : float in [0, 1)
        ρ, 0.9 by default.
    momentum : float in [0, 1)
    epsilon : float
        ε, above 0; 1e-7 by default.  PyTorch adds its own after the root.
    centered : bool
    **options
        As for `Optimizer`.

    References
    ----------
    Hinton, Srivastava and Swersky, "Neural networks for machine learning, lecture 6e", 2012.
    """

    rho = Hyperparameter(share)
    momentum = Hyperparameter(share)
    epsilon = Hyperparameter(above_0)
    centered = Hyperparameter(flag)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def _rule(self) -> Rule:
        name, states = "rmsprop", {"velocity": 0.0}
        if self.centered:
            name, states = name + "_centered", states | {"average_gradient": 0.0}
        if self.momentum:
            name, states = name + "_momentum", states | {"momentum": 0.0}
        return Rule(name, states, self.momentum, self.rho, self.epsilon)


class Adadelta(Optimizer):
    """Adadelta: s ← ρs + (1 - ρ)g², d = √(u + ε)/√(s + ε) g, u ← ρu + (1 - ρ)d², θ ← θ - ηd.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.001 by default, as in Keras; the paper's rule, which chooses its own step size, is η = 1.
    rho : float in [0, 1)
        ρ, 0.95 by default.
    epsilon : float
        ε, above 0; 1e-7 by default.  The first steps are about √ε long.
    **options
        As for `Optimizer`.

    References
    ----------
    Zeiler, "ADADELTA: an adaptive learning rate method", 2012.
    """

    rho = Hyperparameter(share)
    epsilon = Hyperparameter(above_0)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho, self.epsilon = rho, epsilon

    def _rule(self) -> Rule:
        states = {"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}
        return Rule("adadelta", states, beta_2=self.rho, epsilon=self.epsilon)


class Adam(Optimizer):
    """Adam: m ← m + (1 - β₁)(g - m), v ← v + (1 - β₂)(g² - v), θ ← θ - η √(1 - β₂ᵗ)/(1 - β₁ᵗ) · m/(√v + ε).

    With `amsgrad` the root is of the largest v so far.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.001 by default.
    beta_1, beta_2 : float in [0, 1)
    epsilon : float
        ε, above 0; 1e-7 by default.  It is the paper's ε-hat; PyTorch and optax add theirs after correcting the bias
        of v.
    amsgrad : bool
    **options
        As for `Optimizer`.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    Reddi, Kale and Kumar, "On the convergence of Adam and beyond", ICLR 2018.
    """

    beta_1 = Hyperparameter(share)
    beta_2 = Hyperparameter(share)
    epsilon = Hyperparameter(above_0)
    amsgrad = Hyperparameter(flag)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def _rule(self) -> Rule:
        name, states = "adam", {"momentum": 0.0, "velocity": 0.0}
        if self.amsgrad:
            name, states = "amsgrad", states | {"velocity_hat": 0.0}
        return Rule(name, states, self.beta_1, self.beta_2, self.epsilon)


class AdamW(Adam):
    """Adam with weight decay: θ ← θ - ληθ before Adam's update, apart from the gradient.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.001 by default.
    weight_decay : float, at least 0
        λ, 0.004 by default.
    beta_1, beta_2 : float in [0, 1)
    epsilon : float, above 0
    amsgrad : bool
    **options
        As for `Optimizer`.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **options: Unpack[OtherOptions],
    ) -> None:
        weight_decay = validation.number("weight_decay", weight_decay, low=0)
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **options)


class Adamax(Optimizer):
    """Adamax: m ← m + (1 - β₁)(g - m), u ← max(β₂u, |g|), θ ← θ - η/(1 - β₁ᵗ) · m/(u + ε).

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.001 by default; the paper's is 0.002.
    beta_1, beta_2 : float in [0, 1)
    epsilon : float, above 0
    **options
        As for `Optimizer`.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 7.
    """

    beta_1 = Hyperparameter(share)
    beta_2 = Hyperparameter(share)
    epsilon = Hyperparameter(above_0)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def _rule(self) -> Rule:
        return Rule("adamax", {"momentum": 0.0, "norm": 0.0}, self.beta_1, self.beta_2, self.epsilon)


class Nadam(Optimizer):
    """Nadam: Adam with Nesterov's look ahead.

    m ← m + (1 - β₁)(g - m), v ← v + (1 - β₂)(g² - v), and with u_t = β₁(1 - 0.96ᵗ/2)
    m̂ = u_{t+1} m/(1 - u_1 … u_{t+1}) + (1 - u_t) g/(1 - u_1 … u_t), θ ← θ - η m̂/(√(v/(1 - β₂ᵗ)) + ε).

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.001 by default.
    beta_1, beta_2 : float in [0, 1)
    epsilon : float, above 0
    **options
        As for `Optimizer`.

    References
    ----------
    Dozat, "Incorporating Nesterov momentum into Adam", 2015.
    """

    beta_1 = Hyperparameter(share)
    beta_2 = Hyperparameter(share)
    epsilon = Hyperparameter(above_0)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def _rule(self) -> Rule:
        return Rule("nadam", {"momentum": 0.0, "velocity": 0.0}, self.beta_1, self.beta_2, self.epsilon)


class Lion(Optimizer):
    """Lion: θ ← θ - η sign(β₁m + (1 - β₁)g), then m ← β₂m + (1 - β₂)g: steps of one size in every parameter.

    Parameters
    ----------
    learning_rate : float, schedule or callable
        η, 0.001 by default; its authors take a third to a tenth of Adam's.
    beta_1 : float in (0, 1)
    beta_2 : float in [0, 1)
    **options
        As for `Optimizer`.

    References
    ----------
    Chen et al., "Symbolic discovery of optimization algorithms", 2023.
    """

    beta_1 = Hyperparameter(
        lambda name, value: validation.number(name, value, low=0, high=1, open_low=True, open_high=True)
    )
    beta_2 = Hyperparameter(share)

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = beta_1, beta_2

    def _rule(self) -> Rule:
        return Rule("lion", {"momentum": 0.0}, self.beta_1, self.beta_2)
