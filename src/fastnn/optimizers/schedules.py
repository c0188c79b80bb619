"""Learning rates that change from step to step.

A schedule is a function of the step alone, counted from 0: any step's rate is there without those before it, so that a
training that goes on later goes on with the same rates.  Names, arguments and formulas are Keras 3's; `OneCycle` is
PyTorch's, `LinearWarmup` goes before any other schedule.  Rates are computed in float64.

>>> from fastnn.optimizers import schedules
>>> halving = schedules.ExponentialDecay(0.1, decay_steps=100, decay_rate=0.5)
>>> halving(0), halving(100), halving(200)
(0.1, 0.05, 0.025)

An optimizer takes any other function of the step as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from .. import validation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "LinearWarmup",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "deserialize",
    "serialize",
]


class LearningRateSchedule:
    """Base of all schedules; one of your own defines `rate` and, to be plotted or saved, `horizon` and `get_config`.

    Calling it with a step, or with an array of steps, returns the rate, or an array of rates, in float64.
    """

    @overload
    def __call__(self, step: float) -> float: ...
    @overload
    def __call__(self, step: np.ndarray) -> np.ndarray: ...
    def __call__(self, step: Any) -> Any:
        # math's functions, not NumPy's on arrays, whose last bits depend on the instruction set.
        if isinstance(step, np.ndarray) and step.ndim:
            return np.array([self.rate(float(s)) for s in step.ravel()]).reshape(step.shape)
        return self.rate(float(step))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"

    def rate(self, step: float) -> float:
        """The learning rate of one step."""
        raise NotImplementedError

    def horizon(self) -> float:
        """The step after which nothing new happens: where a plot may end."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LearningRateSchedule:
        """The schedule that `get_config` described."""
        return cls(**config)

    def plot(self, steps: int | None = None, path: str | PathLike[str] | None = None) -> Figure:
        """Draw the rate against the step.

        Parameters
        ----------
        steps : int, optional
            How many; by default somewhat more than the schedule takes to end.
        path : str or path-like, optional
            Where to save the figure; its ending chooses the format.

        Returns
        -------
        matplotlib.figure.Figure
            Independent of pyplot: it needs no display, opens no window and need not be closed.

        Raises
        ------
        ImportError
            Where matplotlib is not installed.
        """
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError('plotting needs matplotlib: pip install "fastnn[plot]"') from error
        end = math.ceil(1.1 * self.horizon()) if steps is None else validation.integer("steps", steps, low=1)
        at = np.unique(np.linspace(0, end, 2001).astype(int))
        figure = Figure(figsize=(6, 3.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.plot(at, self(at))
        axes.set(xlabel="step", ylabel="learning rate", title=type(self).__name__, ylim=(0, None))
        axes.grid(alpha=0.3)
        if path is not None:
            figure.savefig(path)
        return figure


def _rate(name: str, value: Any) -> float:
    return validation.number(name, value, low=0)


def _steps(name: str, value: Any) -> float:
    return validation.number(name, value, low=0, open_low=True)


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate · decay_rate^(step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float, at least 0
    decay_steps : int, above 0
    decay_rate : float, at least 0
    staircase : bool
        Round the exponent down: the rate changes every `decay_steps` steps only.
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False
    ) -> None:
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.decay_rate = validation.number("decay_rate", decay_rate, low=0)
        self.staircase = bool(staircase)

    def rate(self, step: float) -> float:
        p = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (math.floor(p) if self.staircase else p)

    def horizon(self) -> float:
        return 5 * self.decay_steps


class InverseTimeDecay(LearningRateSchedule):
    """``initial_learning_rate / (1 + decay_rate · step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float, at least 0
    decay_steps : int, above 0
    decay_rate : float, at least 0
    staircase : bool
        Round ``step / decay_steps`` down.
    """

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float, staircase: bool = False
    ) -> None:
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.decay_rate = validation.number("decay_rate", decay_rate, low=0)
        self.staircase = bool(staircase)

    def rate(self, step: float) -> float:
        p = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (math.floor(p) if self.staircase else p))

    def horizon(self) -> float:
        return 5 * self.decay_steps


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[i]`` up to and with step ``boundaries[i]``, and the last value after the last boundary.

    Parameters
    ----------
    boundaries : sequence of int, ascending
    values : sequence of float, at least 0
        One more than there are boundaries.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]) -> None:
        self.boundaries = [validation.number(f"boundaries[{i}]", b, low=0) for i, b in enumerate(boundaries)]
        self.values = [_rate(f"values[{i}]", v) for i, v in enumerate(values)]
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                f"values has {len(self.values)} entries, expected {len(self.boundaries) + 1}: "
                "one more than there are boundaries"
            )
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"boundaries is {boundaries!r}, expected ascending steps")

    def rate(self, step: float) -> float:
        return self.values[sum(step > b for b in self.boundaries)]

    def horizon(self) -> float:
        return 1.5 * self.boundaries[-1] if self.boundaries else 1


class PolynomialDecay(LearningRateSchedule):
    """``(initial - end) · (1 - step / decay_steps)^power + end``, which is reached after `decay_steps`.

    Parameters
    ----------
    initial_learning_rate : float, at least 0
    decay_steps : int, above 0
    end_learning_rate : float, at least 0
    power : float, above 0
        1 is a straight line.
    cycle : bool
        Go on after `decay_steps` from where a decay over the next multiple of them would be.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.end_learning_rate = _rate("end_learning_rate", end_learning_rate)
        self.power = validation.number("power", power, low=0, open_low=True)
        self.cycle = bool(cycle)

    def rate(self, step: float) -> float:
        steps = self.decay_steps
        if self.cycle:
            steps *= max(1, math.ceil(step / steps))
        left: float = (1 - min(step, steps) / steps) ** self.power
        return (self.initial_learning_rate - self.end_learning_rate) * left + self.end_learning_rate

    def horizon(self) -> float:
        return (4 if self.cycle else 1) * self.decay_steps


class CosineDecay(LearningRateSchedule):
    """Half a cosine wave from ``initial_learning_rate`` to ``alpha`` times that, after a linear warm-up if asked for.

    Without `warmup_target`: ``initial · ((1 - alpha) · (1 + cos(π step / decay_steps)) / 2 + alpha)``.  With it: in a
    straight line from initial to `warmup_target` in `warmup_steps`, and then the same from there.

    Parameters
    ----------
    initial_learning_rate : float, at least 0
    decay_steps : int, above 0
        Those of the warm-up not counted.
    alpha : float in [0, 1]
    warmup_target : float, at least 0, optional
    warmup_steps : int, at least 0

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.decay_steps = _steps("decay_steps", decay_steps)
        self.alpha = validation.number("alpha", alpha, low=0, high=1)
        self.warmup_target = None if warmup_target is None else _rate("warmup_target", warmup_target)
        self.warmup_steps = validation.number("warmup_steps", warmup_steps, low=0)

    def rate(self, step: float) -> float:
        start = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return (self.warmup_target - start) * (step / self.warmup_steps) + start
            start, step = self.warmup_target, step - self.warmup_steps
        done = min(step, self.decay_steps) / self.decay_steps
        return start * ((1 - self.alpha) * (0.5 * (1 + math.cos(math.pi * done))) + self.alpha)

    def horizon(self) -> float:
        return self.decay_steps + (self.warmup_steps if self.warmup_target is not None else 0)


class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decays one after the other, each beginning with a warm restart: SGDR.

    Decay i, from 0, takes ``first_decay_steps · t_mul^i`` steps and begins at ``initial_learning_rate · m_mul^i``
    (where `alpha` is 0): ``initial · ((1 - alpha) · m_mul^i · (1 + cos(π done)) / 2 + alpha)``.

    Parameters
    ----------
    initial_learning_rate : float, at least 0
    first_decay_steps : int, above 0
    t_mul : float, at least 1
    m_mul : float, above 0
    alpha : float in [0, 1]

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)
        self.first_decay_steps = _steps("first_decay_steps", first_decay_steps)
        self.t_mul = validation.number("t_mul", t_mul, low=1)
        self.m_mul = validation.number("m_mul", m_mul, low=0, open_low=True)
        self.alpha = validation.number("alpha", alpha, low=0, high=1)

    def rate(self, step: float) -> float:
        done = step / self.first_decay_steps
        if self.t_mul == 1:
            restarts = math.floor(done)
            done -= restarts
        else:
            restarts = math.floor(math.log(1 + done * (self.t_mul - 1)) / math.log(self.t_mul))
            # The quotient of logarithms may be off by a rounding where a decay begins.
            while done >= self._begin(restarts + 1):
                restarts += 1
            while done < self._begin(restarts):
                restarts -= 1
            done = (done - self._begin(restarts)) / self.t_mul**restarts
        decayed = 0.5 * self.m_mul**restarts * (1 + math.cos(math.pi * done))
        return float(self.initial_learning_rate * ((1 - self.alpha) * decayed + self.alpha))

    def _begin(self, restarts: int) -> float:
        """Where this decay begins, in lengths of the first."""
        return (self.t_mul**restarts - 1) / (self.t_mul - 1)

    def horizon(self) -> float:
        return self.first_decay_steps * sum(self.t_mul**i for i in range(4))


class OneCycle(LearningRateSchedule):
    """Up to `max_learning_rate` and down again, on half cosine waves: one cycle over `total_steps`.

    It begins at ``max_learning_rate / div_factor``, is at its highest after ``pct_start`` of the steps, and ends at the
    first rate over `final_div_factor`, to the number what PyTorch's ``OneCycleLR`` gives; after that it stays.

    Parameters
    ----------
    max_learning_rate : float, at least 0
    total_steps : int, at least 2
    pct_start : float in [0, 1]
    div_factor, final_div_factor : float, above 0

    References
    ----------
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018.
    """

    def __init__(
        self,
        max_learning_rate: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        self.max_learning_rate = _rate("max_learning_rate", max_learning_rate)
        self.total_steps = validation.integer("total_steps", total_steps, low=2)
        self.pct_start = validation.number("pct_start", pct_start, low=0, high=1)
        self.div_factor = validation.number("div_factor", div_factor, low=0, open_low=True)
        self.final_div_factor = validation.number("final_div_factor", final_div_factor, low=0, open_low=True)

    def rate(self, step: float) -> float:
        first = self.max_learning_rate / self.div_factor
        top, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        step = min(step, last)
        if step <= top and top > 0:
            return _on_cosine(first, self.max_learning_rate, step / top)
        return _on_cosine(self.max_learning_rate, first / self.final_div_factor, (step - top) / (last - top))

    def horizon(self) -> float:
        return self.total_steps


def _on_cosine(start: float, end: float, done: float) -> float:
    """The way from start to end on half a cosine wave."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


class LinearWarmup(LearningRateSchedule):
    """A straight line from `initial_learning_rate` to where another schedule begins, then that one from its step 0.

    Parameters
    ----------
    warmup_steps : int, above 0
    then : float or callable from step to rate
    initial_learning_rate : float, at least 0

    Examples
    --------
    >>> from fastnn.optimizers import schedules
    >>> warm = schedules.LinearWarmup(10, then=schedules.CosineDecay(0.1, decay_steps=90))
    >>> warm(0), warm(5), warm(10), warm(100)
    (0.0, 0.05, 0.1, 0.0)
    """

    def __init__(
        self, warmup_steps: float, then: float | Callable[[float], float], initial_learning_rate: float = 0.0
    ) -> None:
        self.warmup_steps = _steps("warmup_steps", warmup_steps)
        self.then = then if callable(then) else _rate("then", then)
        self.initial_learning_rate = _rate("initial_learning_rate", initial_learning_rate)

    def rate(self, step: float) -> float:
        if step < self.warmup_steps:
            top = self.then(0) if callable(self.then) else self.then
            return self.initial_learning_rate + (top - self.initial_learning_rate) * (step / self.warmup_steps)
        return self.then(step - self.warmup_steps) if callable(self.then) else self.then

    def horizon(self) -> float:
        return self.warmup_steps + (self.then.horizon() if isinstance(self.then, LearningRateSchedule) else 0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"then": serialize(self.then)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LinearWarmup:
        return cls(**(config | {"then": deserialize(config["then"])}))


def serialize(rate: Any) -> Any:
    """A schedule of this module as ``{"class_name": …, "config": …}``; a number or another callable as it is."""
    if isinstance(rate, LearningRateSchedule) and type(rate).__name__ in __all__:
        return {"class_name": type(rate).__name__, "config": rate.get_config()}
    return rate


def deserialize(config: Any) -> Any:
    """What `serialize` was given.

    Raises
    ------
    ValueError
        For the name of an unknown class.
    """
    if not isinstance(config, dict):
        return config
    names = [name for name in __all__ if name[0].isupper() and name != "LearningRateSchedule"]
    name = validation.choice("class_name", config.get("class_name"), names)
    schedule: LearningRateSchedule = globals()[name].from_config(config["config"])
    return schedule
