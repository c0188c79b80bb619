"""What all optimizers share: options, learning rate, state, and the update of arrays."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, TypedDict

import numpy as np

from .. import threads, validation
from ..kernels import core
from . import schedules

LearningRate = float | Callable[..., float]  # of the step: a schedule, or any other function

# Below so many elements an update is over before a second thread has begun.
_FEW = 1 << 18
# What the update of an element costs, in the multiply-adds that threads.for_step counts in: memory, above all.
_MULTIPLY_ADDS = 5


class OtherOptions(TypedDict, total=False):
    """Options of every optimizer apart from weight_decay, by keyword; `Optimizer` describes them."""

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    ema_overwrite_frequency: int | None
    gradient_accumulation_steps: int | None
    name: str | None


class Options(OtherOptions, total=False):
    """Options of every optimizer."""

    weight_decay: float | None


class Rule(NamedTuple):
    """An update rule of the kernels: its name there, its states and their first values, its numbers."""

    name: str
    states: dict[str, float]
    momentum: float = 0.0
    beta_2: float = 0.0
    epsilon: float = 0.0


class Hyperparameter:
    """An attribute that is checked whenever it is set, and takes effect at the next step."""

    def __init__(self, check: Callable[[str, Any], Any]) -> None:
        self._check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else instance.__dict__[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self._name] = self._check(self._name, value)
        instance._updaters = instance._for_engine = None  # they hold a copy


def share(name: str, value: Any) -> float:
    """A number in [0, 1)."""
    return validation.number(name, value, low=0, high=1, open_high=True)


def above_0(name: str, value: Any) -> float:
    """A positive number."""
    return validation.number(name, value, low=0, open_low=True)


def not_negative(name: str, value: Any) -> float:
    """A number from 0."""
    return validation.number(name, value, low=0)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    return bool(value)


def _or_none(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


class Optimizer:
    """Base of all optimizers: gradient descent of one kind or another.

    Parameters
    ----------
    learning_rate : float, at least 0, or schedule, or callable
        The step size η.  A schedule or any other function is called with the number of steps before this one.
    weight_decay : float, optional
        λ, at least 0.  Before the update, and apart from the gradient, θ ← θ - λ η θ.
    clipnorm : float, optional
        A variable's gradient whose norm is larger is scaled down to this one.  In a model, kernels and biases are the
        variables.
    clipvalue : float, optional
        No element of a gradient counts as more than this, or less than minus this.
    global_clipnorm : float, optional
        As `clipnorm`, of all gradients together.  At most one of the three may be given.
    use_ema : bool
        Keep a moving average of the parameters, a ← μ a + (1 - μ) θ after every step, from θ after the first.  `fit`
        ends by taking it for the parameters; by yourself, call `finalize_variable_values`.
    ema_momentum : float in [0, 1]
        μ, 0.99 by default.
    ema_overwrite_frequency : int, at least 1, optional
        Take the average for the parameters every so many updates.
    gradient_accumulation_steps : int, at least 2, optional
        One update for so many gradients, by their mean.  Schedules count gradients, not updates.
    name : str, optional

    Attributes
    ----------
    learning_rate : float
        The rate of the next step.  May be set at any time, to a number or a schedule; where there is a schedule, to
        another one only.
    steps : int
        Gradients taken so far: where schedules are.
    iterations : int
        Updates made so far: `steps`, unless gradients are accumulated.
    variables : list of ndarray
        The state, as `get_state` names it.
    """

    weight_decay = Hyperparameter(_or_none(not_negative))
    clipnorm = Hyperparameter(_or_none(above_0))
    clipvalue = Hyperparameter(_or_none(above_0))
    global_clipnorm = Hyperparameter(_or_none(above_0))
    use_ema = Hyperparameter(flag)
    ema_momentum = Hyperparameter(lambda name, value: validation.number(name, value, low=0, high=1))
    ema_overwrite_frequency = Hyperparameter(_or_none(lambda name, value: validation.integer(name, value, low=1)))
    gradient_accumulation_steps = Hyperparameter(_or_none(lambda name, value: validation.integer(name, value, low=2)))

    def __init__(
        self,
        learning_rate: LearningRate,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
    ) -> None:
        self._learning_rate: LearningRate = 0.0
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.name = name or type(self).__name__.lower()
        self.steps = 0
        self._state: list[tuple[np.ndarray, ...]] | None = None  # for each variable, of its shape
        self._built_for: list[tuple[tuple[int, ...], np.dtype]]
        self._pieces: list[list[int]]
        self._updaters: list[tuple[Any, list[int]]] | None  # for each dtype: the compiled one, and its variables
        self._expected: tuple[np.ndarray, list[int]] | None = None
        self._for_engine: tuple[np.ndarray, dict[str, Any], tuple[np.ndarray, ...]] | None
        self._check_clips()

    def _rule(self) -> Rule:
        raise NotImplementedError

    def _check_clips(self) -> None:
        given = {name: getattr(self, name) for name in ("clipnorm", "clipvalue", "global_clipnorm")}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) > 1:
            raise ValueError(f"{' and '.join(f'{k} is {v}' for k, v in given.items())}, expected one of them at most")

    # ---- learning rate ----------------------------------------------------------------------------------------------

    @property
    def learning_rate(self) -> Any:
        """The rate of the next step."""
        return self._rate_of(self.steps)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            self._learning_rate, self._rate_takes_step = value, _takes_an_argument(value)
        elif callable(self._learning_rate):
            raise TypeError(
                f"learning_rate is {value!r}, expected a schedule in the place of {self._learning_rate!r}: "
                "a number would be its end"
            )
        else:
            self._learning_rate = not_negative("learning_rate", value)

    def rates(self, count: int) -> np.ndarray:
        """The rates of the next `count` steps, float64 (count,); or (1,) where they are all one."""
        if not callable(self._learning_rate):
            return np.array([self._learning_rate])
        return np.array([self._rate_of(step) for step in range(self.steps, self.steps + count)])

    def _rate_of(self, step: int) -> float:
        if not callable(self._learning_rate):
            return self._learning_rate
        value = self._learning_rate(step) if self._rate_takes_step else self._learning_rate()
        return not_negative(f"the learning_rate of step {step}", value)

    # ---- state ------------------------------------------------------------------------------------------------------

    @property
    def iterations(self) -> int:
        """Updates made so far."""
        return self.steps // (self.gradient_accumulation_steps or 1)

    @property
    def variables(self) -> list[np.ndarray]:
        """The arrays of state, variable by variable."""
        return [*chain.from_iterable(self._state or ())]

    def _state_names(self) -> list[str]:
        return [
            *self._rule().states,
            *(["average"] if self.use_ema else []),
            *(["gradient_accumulator"] if self.gradient_accumulation_steps else []),
        ]

    def build(self, variables: Sequence[np.ndarray], pieces: Sequence[Sequence[int]] | None = None) -> None:
        """Make the state for these variables, unless it is there.

        Parameters
        ----------
        variables : list of ndarray
        pieces : list of list of int, optional
            For each variable the lengths of the parts, in C order, that `clipnorm` takes for variables of their own.

        Raises
        ------
        ValueError
            Where the optimizer has the state of other variables, or its options have changed to some that need another.
        """
        self._check_clips()
        if pieces is None and self._expected and len(variables) == 1 and variables[0] is self._expected[0]:
            pieces = [self._expected[1]]
        built_for = [(v.shape, v.dtype) for v in variables]
        names = self._state_names()
        if self._state is None:
            first = [*self._rule().states.values(), 0.0, 0.0]
            self._state = [
                tuple(_filled(*one, value, v) for _, value in zip(names, first, strict=False))
                for one, v in zip(built_for, variables, strict=True)
            ]
            self._built_for, self._pieces = built_for, [[v.size] for v in variables]
        elif self._built_for != built_for:
            raise ValueError(
                f"variables are {_described(built_for)}, expected those that this optimizer has the state of: "
                f"{_described(self._built_for)}; a model whose layers have changed is to be compiled again"
            )
        if any(len(arrays) != len(names) for arrays in self._state):
            raise ValueError(
                f"the optimizer has {len(self._state[0])} arrays of state for each variable, expected {len(names)} "
                f"({', '.join(names)}): its options have changed, make a new one"
            )
        if pieces is not None and (new := [list(lengths) for lengths in pieces]) != self._pieces:
            self._pieces, self._updaters = new, None

    def expect(self, parameters: np.ndarray, pieces: Sequence[int]) -> None:
        """Where this very array is the one variable, these are its pieces: what `build` takes them for."""
        self._expected = parameters, list(pieces)

    def get_state(self) -> dict[str, np.ndarray]:
        """Copies of all that the next step depends on, apart from what `get_config` tells.

        Returns
        -------
        dict of str to ndarray
            ``steps``; ``learning_rate`` unless that is a schedule; and for each variable i and array of its state one
            like ``velocity.i``, of the variable's shape.
        """
        state = {"steps": np.array(self.steps, np.int64)}
        if not callable(self._learning_rate):
            state["learning_rate"] = np.array(self._learning_rate)
        for i, arrays in enumerate(self._state or ()):
            state |= {f"{name}.{i}": a.copy() for name, a in zip(self._state_names(), arrays, strict=True)}
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned.

        Raises
        ------
        ValueError, TypeError
            For a state of another kind of optimizer or, where `build` or a step came before, of other variables;
            nothing is changed then.
        """
        names = self._state_names()
        given = dict(state)
        steps = validation.integer("state['steps']", np.asarray(given.pop("steps", None)).item())
        rate = given.pop("learning_rate", None)
        if (rate is None) != callable(self._learning_rate):
            raise ValueError(
                f"state has {'no ' if rate is None else 'a '}learning_rate, expected "
                f"{'one' if rate is None else 'none'} for {self!r}"
            )
        rate = rate if rate is None else not_negative("state['learning_rate']", rate)
        count = len(given) // len(names) if names else 0
        expected = {f"{name}.{i}" for i in range(count) for name in names}
        if set(given) != expected:
            wrong = sorted(expected ^ set(given)) or sorted(expected)
            raise ValueError(
                f"state differs from this optimizer's in {', '.join(wrong)}, "
                f"expected {', '.join(names)} for each variable"
            )
        arrays = [tuple(np.asarray(given[f"{name}.{i}"]) for name in names) for i in range(count)]
        if self._state is not None and names:
            built_for = self._built_for
        else:
            built_for = [(own[0].shape, own[0].dtype) for own in arrays]
        if len(built_for) != count or any(
            (a.shape, a.dtype) != one for own, one in zip(arrays, built_for, strict=True) for a in own
        ):
            raise ValueError(
                f"state is of variables {_described([(own[0].shape, own[0].dtype) for own in arrays])}, "
                f"expected {_described(built_for)}"
            )
        self.steps = steps
        if rate is not None:
            self._learning_rate = rate
        if names and count:
            copies = [tuple(_copied(a) for a in own) for own in arrays]
            if self._state is None:
                self._built_for, self._pieces = built_for, [[own[0].size] for own in copies]
            self._state, self._updaters, self._for_engine = copies, None, None

    def finalize_variable_values(self, variables: Sequence[np.ndarray]) -> None:
        """Overwrite the variables with their moving average, where there is one."""
        if self.use_ema and self._state is not None:
            at = self._state_names().index("average")
            for variable, arrays in zip(variables, self._state, strict=True):
                variable[...] = arrays[at]

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_updaters": None, "_expected": None, "_for_engine": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        if self._state is not None:  # a copy is made by others, who do not align it
            self._state = [tuple(_copied(a) for a in arrays) for arrays in self._state]

    # ---- steps ------------------------------------------------------------------------------------------------------

    def apply(self, gradients: Any, variables: Any) -> None:
        """Update variables in place, by one step.

        Parameters
        ----------
        gradients : ndarray or list of ndarray
            Of the same shapes as the variables.
        variables : ndarray or list of ndarray
            float32 or float64, writable, of any strides; the same ones, in the same order, at every call.  What is
            C-contiguous is updated where it lies, anything else by way of a copy.

        Raises
        ------
        ValueError, TypeError
            Before anything is changed.
        """
        if isinstance(variables, np.ndarray):
            gradients, variables = (gradients,), (variables,)
        rate = self._rate_of(self.steps)
        updaters = self._updaters
        # The common case goes straight to the compiled checks: for small arrays all else takes longer than the update.
        if (
            updaters is None
            or len(updaters) != 1
            or not _run(updaters[0][0], gradients, variables, rate, self.steps + 1)
        ):
            self._apply_checked(list(gradients), list(variables), rate)
        self.steps += 1

    def apply_gradients(self, gradients_and_variables: Iterable[tuple[Any, np.ndarray]]) -> None:
        """`apply` for pairs (gradient, variable)."""
        pairs = list(gradients_and_variables)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])

    def _apply_checked(self, given: list[Any], variables: list[Any], rate: float) -> None:
        """`apply`, for arrays of all kinds, with errors that say what is wrong."""
        if len(given) != len(variables):
            raise ValueError(f"gradients are {len(given)}, expected {len(variables)} as variables")
        for i, v in enumerate(variables):
            if not isinstance(v, np.ndarray):
                raise TypeError(f"variables[{i}] is {type(v).__name__}, expected an ndarray")
            if v.dtype not in (np.float32, np.float64):  # byte-swapped ones are neither
                raise ValueError(f"variables[{i}] has dtype {v.dtype}, expected float32 or float64")
            if not v.flags.writeable:
                raise ValueError(f"variables[{i}] is read-only, expected an array that can be updated in place")
        gradients = [
            np.require(validation.array(f"gradients[{i}]", g, v.dtype), requirements=["C", "A"])
            for i, (g, v) in enumerate(zip(given, variables, strict=True))
        ]
        for i, (g, v) in enumerate(zip(gradients, variables, strict=True)):
            if g.shape != v.shape:
                raise ValueError(f"gradients[{i}] has shape {g.shape}, expected {v.shape} as variables[{i}]")
        self.build(variables)
        if self._updaters is None:
            self._updaters = self._make_updaters()
        dense = [np.require(v, requirements=["C", "A"]) for v in variables]
        parts = [([gradients[i] for i in own], [dense[i] for i in own]) for _, own in self._updaters]
        squares = [0.0] * len(parts)
        if self.global_clipnorm is not None and len(parts) > 1:
            squares = [updater.squares(own) for (updater, _), (own, _) in zip(self._updaters, parts, strict=True)]
        for k, ((updater, _), part) in enumerate(zip(self._updaters, parts, strict=True)):
            done = _run(updater, *part, rate, self.steps + 1, sum(squares[:k]) + sum(squares[k + 1 :]))
            assert done
        for v, d in zip(variables, dense, strict=True):
            if d is not v:
                v[...] = d

    def _make_updaters(self) -> list[tuple[Any, list[int]]]:
        assert self._state is not None
        result = []
        for dtype in dict.fromkeys(dtype for _, dtype in self._built_for):
            own = [i for i, (_, other) in enumerate(self._built_for) if other == dtype]
            shapes = [self._built_for[i][0] for i in own]
            states, pieces = [self._state[i] for i in own], [self._pieces[i] for i in own]
            result.append((core(dtype).Updater(self.hyperparameters(), shapes, states, pieces), own))
        return result

    # ---- for the engine ---------------------------------------------------------------------------------------------

    def for_engine(self, parameters: np.ndarray) -> tuple[dict[str, Any], tuple[np.ndarray, ...]]:
        """`hyperparameters` and the state of one flat vector of parameters; the same objects until something changes.

        Raises
        ------
        ValueError
            As `build` does.
        """
        if self._for_engine is None or self._for_engine[0] is not parameters:
            self.build([parameters])
            assert self._state is not None
            self._for_engine = parameters, self.hyperparameters(), self._state[0]
        return self._for_engine[1:]

    def hyperparameters(self) -> dict[str, Any]:
        """What the kernels take, as their struct Hyperparameters."""
        rule = self._rule()
        return {
            "rule": rule.name,
            "momentum": rule.momentum,
            "beta_2": rule.beta_2,
            "epsilon": rule.epsilon,
            "weight_decay": self.weight_decay or 0.0,
            "clipvalue": self.clipvalue or 0.0,
            "clipnorm": self.clipnorm or 0.0,
            "global_clipnorm": self.global_clipnorm or 0.0,
            "accumulation_steps": self.gradient_accumulation_steps or 1,
            "ema_momentum": self.ema_momentum if self.use_ema else None,
            "ema_overwrite_frequency": (self.use_ema and self.ema_overwrite_frequency) or 0,
        }

    # ---- configuration ----------------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as they are now; a schedule as `schedules.serialize` writes it."""
        own = {name: getattr(self, name) for name in self._names() if name not in Options.__annotations__}
        options = {name: getattr(self, name) for name in Options.__annotations__}
        return {"learning_rate": schedules.serialize(self._learning_rate)} | own | options

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Optimizer:
        """The optimizer that `get_config` described, without its state."""
        return cls(**(config | {"learning_rate": schedules.deserialize(config["learning_rate"])}))

    @classmethod
    def _names(cls) -> list[str]:
        """The hyperparameters of a class and of those above it, its own first."""
        return [name for one in cls.__mro__ for name, value in vars(one).items() if isinstance(value, Hyperparameter)]

    def __repr__(self) -> str:
        config = self.get_config() | {"learning_rate": self._learning_rate}
        usual = type(self)().get_config() if type(self) is not Optimizer else {}  # type: ignore[call-arg]
        shown = {k: v for k, v in config.items() if k == "learning_rate" or v != usual.get(k, ...)}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


def _run(updater: Any, gradients: Any, variables: Any, rate: float, step: int, other_squares: float = 0.0) -> bool:
    n_threads = 1 if updater.size < _FEW else threads.for_step(_MULTIPLY_ADDS * updater.size)
    done: bool = updater.apply(gradients, variables, rate, step, n_threads, other_squares)
    return done


def _takes_an_argument(function: Callable[..., float]) -> bool:
    """Keras calls functions that are no schedules without one, and says that it is the step."""
    try:
        inspect.signature(function).bind(0)
    except TypeError:
        return False
    except ValueError:  # compiled, and it does not tell
        return True
    return True


def _filled(shape: tuple[int, ...], dtype: np.dtype, value: float, beside: np.ndarray | None = None) -> np.ndarray:
    result: np.ndarray = core(dtype).aligned(math.prod(shape), beside).reshape(shape)
    if value:
        result[...] = value
    return result


def _copied(array: np.ndarray) -> np.ndarray:
    result = _filled(array.shape, array.dtype, 0)
    result[...] = array
    return result


def _described(variables: Iterable[tuple[tuple[int, ...], np.dtype]]) -> list[tuple[str, tuple[int, ...]]]:
    return [(dtype.name, shape) for shape, dtype in variables]
