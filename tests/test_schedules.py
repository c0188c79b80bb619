"""Learning-rate schedules: formulas at all of 10,000 steps, ends and restarts, configurations, plots, errors."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import optimizers
from fastnn.optimizers import schedules

STEPS = np.arange(10_001)
PI = np.pi

# Each with its formula on all steps at once.
CASES: dict[str, tuple[schedules.LearningRateSchedule, Callable[[np.ndarray], np.ndarray]]] = {
    "exponential": (schedules.ExponentialDecay(0.1, 1000, 0.9), lambda t: 0.1 * 0.9 ** (t / 1000)),
    "staircase": (schedules.ExponentialDecay(0.1, 1000, 0.9, True), lambda t: 0.1 * 0.9 ** (t // 1000)),
    "inverse time": (schedules.InverseTimeDecay(0.1, 300, 0.5), lambda t: 0.1 / (1 + 0.5 * t / 300)),
    "inverse staircase": (schedules.InverseTimeDecay(0.1, 300, 0.5, True), lambda t: 0.1 / (1 + 0.5 * (t // 300))),
    "piecewise": (
        schedules.PiecewiseConstantDecay([100, 5000], [1.0, 0.5, 0.1]),
        lambda t: np.select([t <= 100, t <= 5000], [1.0, 0.5], 0.1),
    ),
    "polynomial": (
        schedules.PolynomialDecay(0.1, 7000, 0.01, power=2),
        lambda t: 0.09 * (1 - np.minimum(t, 7000) / 7000) ** 2 + 0.01,
    ),
    "cycles": (
        schedules.PolynomialDecay(0.1, 700, 0.01, cycle=True),
        lambda t: 0.09 * (1 - t / (700 * np.maximum(1, np.ceil(t / 700)))) + 0.01,
    ),
    "cosine": (
        schedules.CosineDecay(0.1, 7000, alpha=0.2),
        lambda t: 0.1 * (0.8 * (1 + np.cos(PI * np.minimum(t, 7000) / 7000)) / 2 + 0.2),
    ),
    "warm cosine": (
        schedules.CosineDecay(0.01, 7000, 0.2, warmup_target=0.1, warmup_steps=1000),
        lambda t: np.where(
            t < 1000,
            0.01 + 0.09 * t / 1000,
            0.1 * (0.8 * (1 + np.cos(PI * np.clip(t - 1000, 0, 7000) / 7000)) / 2 + 0.2),
        ),
    ),
    "restarts of one length": (
        schedules.CosineDecayRestarts(0.1, 300, t_mul=1, m_mul=0.9),
        lambda t: 0.1 * 0.9 ** (t // 300) * (1 + np.cos(PI * (t % 300) / 300)) / 2,
    ),
    "restarts": (schedules.CosineDecayRestarts(0.1, 300), lambda t: 0.1 * restarted(t, 300, 2)),
    "restarts of thrice the length": (
        schedules.CosineDecayRestarts(0.1, 7, t_mul=3),
        lambda t: 0.1 * restarted(t, 7, 3),
    ),
    "one cycle": (
        schedules.OneCycle(1.0, 8001, pct_start=0.25, div_factor=10, final_div_factor=100),
        lambda t: np.where(
            t < 0.25 * 8001 - 1,
            0.1 + 0.9 * (1 - np.cos(PI * t / (0.25 * 8001 - 1))) / 2,
            0.001 + 0.999 * (1 + np.cos(PI * (np.minimum(t, 8000) - 0.25 * 8001 + 1) / (8000 - 0.25 * 8001 + 1))) / 2,
        ),
    ),
    "warm-up": (
        schedules.LinearWarmup(100, schedules.ExponentialDecay(0.5, 1000, 0.9), 0.1),
        lambda t: np.where(t < 100, 0.1 + 0.4 * t / 100, 0.5 * 0.9 ** ((t - 100) / 1000)),
    ),
    "warm-up to a number": (schedules.LinearWarmup(100, 0.5), lambda t: np.minimum(t / 100, 1) * 0.5),
}


def restarted(t: np.ndarray, first: int, times: int) -> np.ndarray:
    """Cosine waves of first, first·times, … steps, one after the other."""
    waves = []
    length = first
    while sum(map(len, waves)) < len(t):
        waves.append((1 + np.cos(PI * np.arange(length) / length)) / 2)
        length *= times
    return np.concatenate(waves)[: len(t)]


@pytest.mark.parametrize("name", CASES)
def test_all_of_10000_steps(name: str) -> None:
    schedule, formula = CASES[name]
    got = schedule(STEPS)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, formula(STEPS), rtol=1e-12, atol=1e-17)


@pytest.mark.parametrize("name", CASES)
def test_any_step_without_those_before_it(name: str) -> None:
    schedule, _ = CASES[name]
    rates = schedule(STEPS)
    for step in (9_999, 0, 437, np.int64(300), 300.0):
        assert schedule(step) == rates[int(step)]
        assert type(schedule(step)) is float
    np.testing.assert_array_equal(schedule(STEPS[:6].reshape(2, 3)), rates[:6].reshape(2, 3))


@pytest.mark.parametrize("t_mul", [2.0, 3.0, 5.0, 1.1, 1.5])
def test_a_restart_begins_at_the_top(t_mul: float) -> None:
    # log(t_mul**i)/log(t_mul) may round to just below i.
    schedule = schedules.CosineDecayRestarts(1.0, 1.0, t_mul=t_mul)
    for i in range(1, 25):
        assert schedule((t_mul**i - 1) / (t_mul - 1)) == pytest.approx(1, abs=1e-12)


def test_ends_stay() -> None:
    assert schedules.CosineDecay(0.5, 10)(10**9) == 0
    assert schedules.PolynomialDecay(0.5, 10, 0.25)(10**9) == 0.25
    assert schedules.OneCycle(1.0, 10, final_div_factor=8)(10**9) == pytest.approx(1 / 200)
    assert schedules.OneCycle(1.0, 10, pct_start=1)(10**9) == 1
    assert schedules.OneCycle(1.0, 10, pct_start=0.1)(0) == 1
    assert schedules.PiecewiseConstantDecay([], [0.5])(7) == 0.5


@pytest.mark.parametrize("name", CASES)
def test_a_configuration_makes_the_same_schedule(name: str) -> None:
    schedule, _ = CASES[name]
    for other in (
        type(schedule).from_config(schedule.get_config()),
        schedules.deserialize(schedules.serialize(schedule)),
        pickle.loads(pickle.dumps(schedule)),
        eval(repr(schedule), vars(schedules)),
    ):
        assert type(other) is type(schedule)
        np.testing.assert_array_equal(other(STEPS[:500]), schedule(STEPS[:500]))


def test_what_is_no_schedule_stays_as_it_is() -> None:
    def rate(step: float) -> float:
        return 0.5

    assert schedules.serialize(rate) is schedules.deserialize(rate) is rate
    assert schedules.serialize(0.5) == schedules.deserialize(0.5) == 0.5
    with pytest.raises(ValueError, match="class_name is 'Unknown', expected one of 'CosineDecay'"):
        schedules.deserialize({"class_name": "Unknown", "config": {}})


def test_a_schedule_of_ones_own() -> None:
    class Halves(schedules.LearningRateSchedule):
        def rate(self, step: float) -> float:
            return 0.5**step

    assert Halves()(2) == 0.25
    w = np.zeros(1)
    sgd = optimizers.SGD(Halves())
    for _ in range(2):
        sgd.apply(np.ones(1), w)
    assert w[0] == -1.5
    warm = schedules.LinearWarmup(2, Halves())
    np.testing.assert_array_equal(warm(np.arange(4)), [0, 0.5, 1, 0.5])


@pytest.mark.parametrize("name", CASES)
def test_plot(name: str, tmp_path: Path) -> None:
    schedule, _ = CASES[name]
    figure = schedule.plot(path=tmp_path / "rate.png")
    assert (tmp_path / "rate.png").stat().st_size > 1000
    [line] = figure.axes[0].lines
    np.testing.assert_array_equal(line.get_ydata(), schedule(np.asarray(line.get_xdata())))
    assert line.get_xdata()[-1] >= schedule.horizon()
    assert schedule.plot(50).axes[0].lines[0].get_xdata()[-1] == 50


Make = Callable[..., Any]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: schedules.ExponentialDecay(-0.1, 1, 1),
            ValueError,
            "initial_learning_rate is -0.1, expected a finite",
        ),
        (
            lambda: schedules.ExponentialDecay(np.nan, 1, 1),
            ValueError,
            "initial_learning_rate is nan, expected a finite",
        ),
        (lambda: schedules.ExponentialDecay(0.1, 0, 1), ValueError, "decay_steps is 0, expected a finite number > 0"),
        (lambda: schedules.ExponentialDecay(0.1, 1, -1), ValueError, "decay_rate is -1, expected a finite number >= 0"),
        (lambda: schedules.InverseTimeDecay(0.1, -1, 1), ValueError, "decay_steps is -1, expected a finite number > 0"),
        (lambda: schedules.InverseTimeDecay(0.1, 1, np.inf), ValueError, "decay_rate is inf, expected a finite number"),
        (lambda: schedules.PiecewiseConstantDecay([1], [1]), ValueError, "values has 1 entries, expected 2: one more"),
        (
            lambda: schedules.PiecewiseConstantDecay([2, 1], [1, 1, 1]),
            ValueError,
            "boundaries is .*, expected ascending",
        ),
        (lambda: schedules.PiecewiseConstantDecay([1], [1, -1]), ValueError, r"values\[1\] is -1, expected a finite"),
        (lambda: schedules.PolynomialDecay(0.1, 1, power=0), ValueError, "power is 0, expected a finite number > 0"),
        (
            lambda: schedules.PolynomialDecay(0.1, 1, -1),
            ValueError,
            "end_learning_rate is -1, expected a finite number",
        ),
        (
            lambda: schedules.CosineDecay(0.1, 1, alpha=2),
            ValueError,
            "alpha is 2, expected a finite number >= 0 and <= 1",
        ),
        (lambda: schedules.CosineDecay(0.1, 1, warmup_target=-1), ValueError, "warmup_target is -1, expected a finite"),
        (
            lambda: schedules.CosineDecayRestarts(0.1, 1, t_mul=0.5),
            ValueError,
            "t_mul is 0.5, expected a finite number",
        ),
        (
            lambda: schedules.CosineDecayRestarts(0.1, 1, m_mul=0),
            ValueError,
            "m_mul is 0, expected a finite number > 0",
        ),
        (lambda: schedules.OneCycle(0.1, 1), ValueError, "total_steps is 1, expected at least 2"),
        (lambda: schedules.OneCycle(0.1, 9, pct_start=2), ValueError, "pct_start is 2, expected a finite number >= 0"),
        (lambda: schedules.OneCycle(0.1, 9, div_factor=0), ValueError, "div_factor is 0, expected a finite number > 0"),
        (lambda: schedules.LinearWarmup(0, 0.1), ValueError, "warmup_steps is 0, expected a finite number > 0"),
        (lambda: schedules.LinearWarmup(1, -0.1), ValueError, "then is -0.1, expected a finite number >= 0"),
        (lambda: schedules.LinearWarmup(1, "fast"), TypeError, "then is 'fast', expected a number"),
        (lambda: schedules.CosineDecay(0.1, 9).plot(0), ValueError, "steps is 0, expected at least 1"),
    ],
)
def test_bad_arguments(make: Make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
