"""Gradient descent: one fused pass over parameters, gradients and state.

An optimizer serves models through `compile`, and any writable NumPy arrays on its own:

>>> import numpy as np
>>> from fastnn import optimizers
>>> w = np.array([1.0, 2.0])
>>> sgd = optimizers.SGD(learning_rate=0.5)
>>> sgd.apply(np.array([1.0, -1.0]), w)
>>> w
array([0.5, 2.5])

Update rules are Keras 3's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from . import validation
from .kernels import core

__all__ = ["SGD", "Adam", "Optimizer", "get"]


class Optimizer:
    """Base of all optimizers.

    Parameters
    ----------
    learning_rate : float, at least 0
    name : str, optional

    Attributes
    ----------
    learning_rate : float
        May be set at any time.
    iterations : int
        Updates made so far.
    variables : list of ndarray
        The state, as long as the parameters each: what `apply` keeps between calls.
    """

    _name: str
    _states: tuple[str, ...] = ()  # names of the arrays of state

    def __init__(self, learning_rate: float, name: str | None = None) -> None:
        self.learning_rate = learning_rate
        self.name = name or self._name
        self.iterations = 0
        self._state: list[tuple[np.ndarray, ...]] | None = None  # one tuple for each variable

    @property
    def learning_rate(self) -> float:
        """The step size η."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate = validation.number("learning_rate", value, low=0)

    @property
    def variables(self) -> list[np.ndarray]:
        """The arrays of state, variable by variable."""
        return [array for state in self._state or () for array in state]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"

    def build(self, variables: Sequence[np.ndarray]) -> None:
        """Make the state for these variables, all zeros, unless it is there.

        Raises
        ------
        ValueError
            Where the optimizer has the state of other variables.
        """
        if self._state is None:
            self._state = [tuple(core(v.dtype).aligned(v.size) for _ in self._states) for v in variables]
            self._built_for = [(v.shape, v.dtype) for v in variables]
        elif self._built_for != [(v.shape, v.dtype) for v in variables]:
            raise ValueError(
                f"variables are {[(v.dtype.name, v.shape) for v in variables]}, "
                "expected those that this optimizer has the state of: "
                f"{[(dtype.name, shape) for shape, dtype in self._built_for]}"
            )

    def apply(self, gradients: Any, variables: Any) -> None:
        """Update variables in place, by one step.

        Parameters
        ----------
        gradients : ndarray or list of ndarray
            Of the same shapes as the variables.
        variables : ndarray or list of ndarray
            float32 or float64, writable, of any strides; the same ones, in the same order, at every call.

        Raises
        ------
        ValueError, TypeError
            Before anything is changed.
        """
        targets: list[np.ndarray] = [variables] if isinstance(variables, np.ndarray) else list(variables)
        given = [gradients] if isinstance(variables, np.ndarray) else list(gradients)
        if len(given) != len(targets):
            raise ValueError(f"gradients are {len(given)}, expected {len(targets)} as variables")
        for i, v in enumerate(targets):
            if not isinstance(v, np.ndarray):
                raise TypeError(f"variables[{i}] is {type(v).__name__}, expected an ndarray")
            if v.dtype not in (np.float32, np.float64) or not v.dtype.isnative:
                raise ValueError(f"variables[{i}] has dtype {v.dtype}, expected float32 or float64")
            if not v.flags.writeable:
                raise ValueError(f"variables[{i}] is read-only, expected an array that can be updated in place")
        checked = [
            validation.array(f"gradients[{i}]", g, v.dtype) for i, (g, v) in enumerate(zip(given, targets, strict=True))
        ]
        for i, (g, v) in enumerate(zip(checked, targets, strict=True)):
            if g.shape != v.shape:
                raise ValueError(f"gradients[{i}] has shape {g.shape}, expected {v.shape} as variables[{i}]")
        self.build(targets)
        assert self._state is not None
        for g, v, state in zip(checked, targets, self._state, strict=True):
            dense = np.ascontiguousarray(v)
            core(v.dtype).apply_update(
                *self.hyperparameters(), state, self.learning_rate, self.iterations + 1, g, dense
            )
            if dense is not v:
                v[...] = dense.reshape(v.shape)
        self.iterations += 1

    def apply_gradients(self, gradients_and_variables: Iterable[tuple[Any, np.ndarray]]) -> None:
        """`apply` for pairs (gradient, variable)."""
        pairs = list(gradients_and_variables)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def flat_state(self, parameters: np.ndarray) -> tuple[np.ndarray, ...]:
        """The state of one flat vector of parameters, as the engine takes it."""
        self.build([parameters])
        assert self._state is not None
        return self._state[0]

    def hyperparameters(self) -> tuple[int, float, float, float]:
        """Code of the kernel, momentum or beta_1, beta_2, epsilon."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the learning rate of now."""
        return {"learning_rate": self.learning_rate, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """The optimizer that `get_config` described, without its state."""
        return cls(**config)


class SGD(Optimizer):
    """Gradient descent: θ ← θ - ηg; with momentum β, v ← βv + ηg and θ ← θ - v, or θ ← θ - (βv + ηg) with `nesterov`.

    Batch, mini-batch and stochastic gradient descent are this with a batch size of all samples, some, and one.

    Parameters
    ----------
    learning_rate : float
        η, 0.01 by default.  It is inside the velocity v, as in Keras and scikit-learn; PyTorch keeps it outside.
    momentum : float in [0, 1)
    nesterov : bool
    name : str, optional
    """

    _name = "SGD"

    def __init__(
        self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False, name: str | None = None
    ) -> None:
        super().__init__(learning_rate, name)
        self.momentum = validation.number("momentum", momentum, low=0, high=1, open_high=True)
        self.nesterov = bool(nesterov)
        if self.momentum:
            self._states = ("velocity",)

    def hyperparameters(self) -> tuple[int, float, float, float]:
        return (2 if self.nesterov else 1) if self.momentum else 0, self.momentum, 0.0, 0.0

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "nesterov": self.nesterov,
            "name": self.name,
        }


class Adam(Optimizer):
    """Adam: m and v are moving averages of g and g², θ ← θ - η √(1-β₂ᵗ)/(1-β₁ᵗ) · m/(√v + ε) at step t
    (Kingma and Ba, "Adam: a method for stochastic optimization", 2014, with the paper's ε-hat, as in Keras).

    Parameters
    ----------
    learning_rate : float
        η, 0.001 by default.
    beta_1, beta_2 : float in [0, 1)
    epsilon : float
        ε, above 0; 1e-7 by default.  PyTorch adds its own after correcting the bias of v.
    name : str, optional
    """

    _name = "adam"
    _states = ("mean", "variance")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        self.beta_1 = validation.number("beta_1", beta_1, low=0, high=1, open_high=True)
        self.beta_2 = validation.number("beta_2", beta_2, low=0, high=1, open_high=True)
        self.epsilon = validation.number("epsilon", epsilon, low=0, open_low=True)

    def hyperparameters(self) -> tuple[int, float, float, float]:
        return 3, self.beta_1, self.beta_2, self.epsilon

    def get_config(self) -> dict[str, Any]:
        return {
            "learning_rate": self.learning_rate,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "name": self.name,
        }


def get(identifier: str | Optimizer | type[Optimizer]) -> Optimizer:
    """The optimizer of a name, with its defaults: sgd or adam.

    Raises
    ------
    ValueError
        For an unknown name.
    """
    if isinstance(identifier, str):
        identifier = identifier.lower()
    return validation.lookup("optimizer", identifier, Optimizer, {"sgd": SGD, "adam": Adam})
