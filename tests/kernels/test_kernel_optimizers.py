"""Updates in place, step by step against the reference in longdouble; options; subnormals; the same bits however long
and however many threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from fastnn.reference import optimizers

from .support import SIZES, assert_same_bytes, assert_ulps, families, normal, specials

WIDE = np.longdouble
NONE = {
    "momentum": 0.0,
    "beta_2": 0.0,
    "epsilon": 0.0,
    "weight_decay": 0.0,
    "clipvalue": 0.0,
    "clipnorm": 0.0,
    "global_clipnorm": 0.0,
    "accumulation_steps": 1,
    "ema_momentum": None,
    "ema_overwrite_frequency": 0,
}


@dataclass(frozen=True)
class Rule:
    """A rule of the kernels, the reference's rule, and their numbers."""

    name: str
    reference_rule: Any
    states: int
    learning_rate: float
    numbers: dict[str, Any] = field(default_factory=dict)  # as the kernels call them
    of_reference: dict[str, Any] = field(default_factory=dict)  # further ones of the reference

    def updater(
        self, core: ModuleType, state: tuple[np.ndarray, ...], n: int, pieces: Any = None, **options: Any
    ) -> Any:
        """The compiled optimizer of one variable of n elements."""
        hyperparameters = NONE | {"rule": self.name} | self.numbers | options
        return core.Updater(hyperparameters, [(n,)], [state], [pieces or [n]])

    def apply(
        self,
        core: ModuleType,
        gradient: np.ndarray,
        variable: np.ndarray,
        state: tuple[np.ndarray, ...],
        step: int = 1,
        threads: int = 1,
    ) -> None:
        """Update variable and state in place."""
        updater = self.updater(core, state, variable.size)
        assert updater.apply([gradient], [variable], self.learning_rate, step, threads)

    def reference(
        self, gradient: np.ndarray, variable: np.ndarray, state: tuple[np.ndarray, ...], step: int = 1
    ) -> tuple[np.ndarray, ...]:
        """The new variable and state."""
        got, new = self.reference_rule(variable, gradient, state, step, self.learning_rate, **self.reference_numbers())
        return (got, *new)

    def reference_numbers(self) -> dict[str, Any]:
        renamed = {"momentum": "beta_1"} if self.name in ("adam", "amsgrad", "adamax", "nadam", "lion") else {}
        renamed |= {"beta_2": "rho"} if self.name.startswith(("rmsprop", "adadelta")) else {}
        return {renamed.get(name, name): value for name, value in self.numbers.items()} | self.of_reference


ADAM = {"momentum": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
RMS = {"beta_2": 0.9, "epsilon": 1e-7}
MOMENTUM = {"momentum": 0.9}
RULES = {
    rule.name: rule
    for rule in (
        Rule("sgd", optimizers.sgd, 0, 0.1),
        Rule("momentum", optimizers.sgd_momentum, 1, 0.01, MOMENTUM),
        Rule("nesterov", optimizers.sgd_momentum, 1, 0.01, MOMENTUM, {"nesterov": True}),
        Rule("adagrad", optimizers.adagrad, 1, 0.01, {"epsilon": 1e-7}),
        Rule("rmsprop", optimizers.rmsprop, 1, 0.001, RMS),
        Rule("rmsprop_momentum", optimizers.rmsprop, 2, 0.001, RMS | MOMENTUM),
        Rule("rmsprop_centered", optimizers.rmsprop, 2, 0.001, RMS, {"centered": True}),
        Rule("rmsprop_centered_momentum", optimizers.rmsprop, 3, 0.001, RMS | MOMENTUM, {"centered": True}),
        Rule("adadelta", optimizers.adadelta, 2, 0.5, RMS),
        Rule("adam", optimizers.adam, 2, 0.001, ADAM),
        Rule("amsgrad", optimizers.adam, 3, 0.001, ADAM | {"beta_2": 0.5}, {"amsgrad": True}),
        Rule("adamax", optimizers.adamax, 2, 0.001, ADAM),
        Rule("nadam", optimizers.nadam, 2, 0.001, ADAM),
        Rule("lion", optimizers.lion, 1, 0.001, {"momentum": 0.9, "beta_2": 0.99}),
    )
}
NAMES = list(RULES)


def start(rule: Rule, n: int, dtype: np.dtype) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """A variable, and a state of zeros."""
    return normal(1, n, dtype=dtype), tuple(np.zeros(n, dtype) for _ in range(rule.states))


def eps(core: ModuleType) -> np.longdouble:
    """The unit in the last place of 1."""
    return WIDE(np.finfo(core.DTYPE).eps)


BIASED = ("adam", "amsgrad", "adamax", "nadam")  # rules that correct a bias


def lost_by_bias_correction(beta_1: float, beta_2: float, step: int) -> float:
    """The relative error of Adam's rate, in float64: β^t is off by up to t units, and 1 - β^t cancels."""
    lost = 0.0
    for beta in (beta_1, beta_2):
        left = -np.expm1(step * np.log(beta)) if beta else 1.0
        lost += min(step, 1 / (1 - beta)) / left
    return lost * float(np.finfo(float).eps) / 2


@pytest.mark.parametrize("name", NAMES)
def test_each_of_many_steps(core: ModuleType, name: str) -> None:
    rule = RULES[name]
    variable, state = start(rule, 200, core.DTYPE)
    for step in range(1, 16):
        gradient = normal(step, 200, dtype=core.DTYPE) * core.DTYPE.type(10.0 ** (step % 5 - 2))
        before = [x.astype(WIDE) for x in (variable, *state)]
        exact = rule.reference(gradient.astype(WIDE), before[0], tuple(before[1:]), step)
        rule.apply(core, gradient, variable, state, step)
        lost = (
            lost_by_bias_correction(rule.numbers["momentum"], rule.numbers["beta_2"], step) if name in BIASED else 0.0
        )
        # A sum's error is a few units of its larger term (Nesterov's may cancel); a rate is rounded to the dtype.
        for got, now, old in zip((variable, *state), exact, before, strict=True):
            larger = np.maximum(np.abs(old), np.abs(now - old))
            assert_ulps(got, now, 1, slack=3 * eps(core) * larger + lost * np.abs(now - old))


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_training_stays_with_the_references(core: ModuleType, name: str) -> None:
    rule = RULES[name]
    variable, state = start(rule, 33, core.DTYPE)
    expected: tuple[np.ndarray, ...] = (variable.astype(WIDE), *(s.astype(WIDE) for s in state))
    for step in range(1, 101):
        gradient = normal(step, 33, dtype=core.DTYPE) + 2 * variable  # with noise, downhill
        rule.apply(core, gradient, variable, state, step)
        expected = rule.reference(gradient.astype(WIDE), expected[0], expected[1:], step)
    for got, now in zip((variable, *state), expected, strict=True):
        np.testing.assert_allclose(got, now.astype(float), rtol=0, atol=100 * float(eps(core)) * np.abs(now).max())


def test_rules_by_hand(core: ModuleType) -> None:
    w = np.array([1.0, -2.0], core.DTYPE)
    g = np.array([0.5, 4.0], core.DTYPE)
    expected = {
        # w - 0.5 g
        "sgd": [[0.75, -4.0], [0.5, -6.0]],
        # v = 0.5 g, then 0.5 v + 0.5 g = 0.75 g; w - v
        "momentum": [[0.75, -4.0], [0.375, -7.0]],
        # 0.5 v + 0.5 g = 0.75 g, then 0.875 g
        "nesterov": [[0.625, -5.0], [0.1875, -8.5]],
        # m/√v is g/|g| at each step of a constant gradient, once their biases are corrected
        "adam": [[0.5, -2.5], [0.0, -3.0]],
    }
    for name, steps in expected.items():
        numbers = {"momentum": 0.5, "beta_2": 0.75, "epsilon": 1e-30}
        rule = replace(RULES[name], learning_rate=0.5, numbers=numbers)
        variable, state = w.copy(), tuple(np.zeros(2, core.DTYPE) for _ in range(rule.states))
        for step, values in enumerate(steps, 1):
            rule.apply(core, g, variable, state, step)
            np.testing.assert_allclose(variable, values, rtol=4 * np.finfo(core.DTYPE).eps, atol=1e-7)


@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.9, 0.999), (0.0, 0.0), (0.999, 0.9999), (0.5, 1 - 1e-9)])
def test_adams_bias_correction_at_any_step(core: ModuleType, beta_1: float, beta_2: float) -> None:
    for step in (1, 2, 10, 1000, 123457, 2**31, 2**53 + 1, 2**62):
        check_bias_correction(core, step, beta_1, beta_2)


def check_bias_correction(core: ModuleType, step: int, beta_1: float, beta_2: float) -> None:
    rule = replace(RULES["adam"], numbers={"momentum": beta_1, "beta_2": beta_2, "epsilon": 1e-30})
    n = 5
    gradient, moment = np.full(n, 2, core.DTYPE), tuple(np.full(n, v, core.DTYPE) for v in (2, 4))
    variable = np.zeros(n, core.DTYPE)
    rule.apply(core, gradient, variable, moment, step)
    # m stays 2 and √v stays 2, so the update is the rate.
    one, two = (-np.expm1(step * np.log(WIDE(beta))) if beta else WIDE(1) for beta in (beta_1, beta_2))
    expected = -WIDE(0.001) * np.sqrt(two) / one
    lost = lost_by_bias_correction(beta_1, beta_2, step)
    np.testing.assert_allclose(variable, float(expected), rtol=float(3 * eps(core)) + lost)


@pytest.mark.parametrize("name", NAMES)
def test_huge_and_infinite_gradients(core: ModuleType, name: str) -> None:
    rule = RULES[name]
    gradient = specials(core.DTYPE)
    gradient = np.concatenate([gradient, core.DTYPE.type(2.0) ** np.arange(-60, 120, 7, dtype=core.DTYPE)])
    if name == "lion":  # whose step is as long for what is flushed to 0 in the kernel alone
        gradient = gradient[~(np.abs(gradient) < 100 * np.finfo(core.DTYPE).tiny) | (gradient == 0)]
    if "centered" in name:  # v - a² of two infinite ones: a fused multiply-add knows only one of them
        gradient = gradient[(np.abs(gradient) < np.sqrt(np.finfo(core.DTYPE).max)) | ~np.isfinite(gradient)]
    variable, state = start(rule, len(gradient), core.DTYPE)
    expected = (variable.copy(), *(s.copy() for s in state))
    for step in (1, 2):
        with np.errstate(all="ignore"):
            expected = rule.reference(gradient, expected[0], expected[1:], step)
        rule.apply(core, gradient, variable, state, step)
        for got, now in zip((variable, *state), expected, strict=True):
            # In the reference subnormals are not flushed, before a division by ε as well.
            np.testing.assert_allclose(got, now, rtol=1e-5, atol=1e4 * float(np.finfo(core.DTYPE).tiny))
    assert np.isnan(variable[np.isnan(gradient)]).all()


@pytest.mark.parametrize("name", NAMES)
def test_subnormals_are_flushed_inside_and_nowhere_else(core: ModuleType, name: str) -> None:
    rule = RULES[name]
    info = np.finfo(core.DTYPE)
    small = np.full(40, info.tiny / 4, core.DTYPE)
    variable, state = start(rule, 40, core.DTYPE)
    before = variable.copy()
    state = tuple(np.full_like(s, info.tiny / 8) for s in state)
    rule.apply(core, small, variable, state)
    # All that came in counts as 0, and so does all that would go out.
    assert_same_bytes(variable, before)
    for s in state:
        assert_same_bytes(s, np.zeros_like(s))
    if name == "momentum":
        decaying = (np.full(40, info.tiny, core.DTYPE),)
        rule.apply(core, np.zeros_like(small), variable, decaying)
        assert not decaying[0].any()
    # NumPy's own arithmetic is what it was before.
    assert (small * core.DTYPE.type(0.5) == info.tiny / 8).all()
    assert (small + small == info.tiny / 2).all()
    assert (np.full(3, info.tiny) / 2 > 0).all()
    assert float(small[0]) / 2 > 0


@pytest.mark.parametrize("name", NAMES)
def test_an_element_does_not_depend_on_its_place(core: ModuleType, name: str) -> None:
    rule = RULES[name]
    gradient = normal(2, 1000, dtype=core.DTYPE)
    whole = start(rule, 1000, core.DTYPE)
    for step in (1, 2, 3):
        rule.apply(core, gradient, *whole, step)
    for n in SIZES:
        for first in {0, 1, 5, 1000 - n} & set(range(1000 - n + 1)):
            part = slice(first, first + n)
            variable, state = start(rule, 1000, core.DTYPE)
            variable, state = variable[part].copy(), tuple(s[part].copy() for s in state)
            for step in (1, 2, 3):
                rule.apply(core, gradient[part], variable, state, step)
            assert_same_bytes(variable, whole[0][part])
            for s, t in zip(state, whole[1], strict=True):
                assert_same_bytes(s, t[part])


@pytest.mark.parametrize("name", NAMES)
def test_builds_that_round_alike_give_the_same_bytes(dtype: np.dtype, name: str) -> None:
    rule = RULES[name]
    for family in families(dtype):
        results = []
        for core in family:
            variable, state = start(rule, 333, dtype)
            for step in range(1, 6):
                rule.apply(core, normal(step, 333, dtype=dtype), variable, state, step)
            results.append((variable, *state))
        for result in results[1:]:
            for got, first in zip(result, results[0], strict=True):
                assert_same_bytes(got, first)


@pytest.mark.parametrize("name", NAMES)
def test_nothing(core: ModuleType, name: str) -> None:
    rule = RULES[name]
    variable, state = start(rule, 0, core.DTYPE)
    rule.apply(core, np.empty(0, core.DTYPE), variable, state)
    assert variable.shape == (0,)


def test_a_rate_of_0_changes_no_variable(core: ModuleType) -> None:
    for rule in RULES.values():
        variable, state = start(rule, 17, core.DTYPE)
        before = variable.copy()
        replace(rule, learning_rate=0.0).apply(core, normal(4, 17, dtype=core.DTYPE), variable, state)
        assert_same_bytes(variable, before)


def test_nadams_product_goes_on_as_from_the_start(core: ModuleType) -> None:
    rule = RULES["nadam"]
    gradient = normal(2, 20, dtype=core.DTYPE)
    one, other = start(rule, 20, core.DTYPE), start(rule, 20, core.DTYPE)
    updater = rule.updater(core, one[1], 20)
    for step in (1, 2, 3, 40, 41, 7, 8, 200_000):  # back as well: another training
        updater.apply([gradient], [one[0]], 0.001, step, 1)
        rule.apply(core, gradient, *other, step)
        assert_same_bytes(one[0], other[0])


def test_a_variance_below_0_counts_as_0(core: ModuleType) -> None:
    # v - a² is -0.41: without the limit the root is of a negative number.
    rule = replace(RULES["rmsprop_centered"], learning_rate=1.0, numbers={"beta_2": 0.999, "epsilon": 1e-2})
    variable = np.zeros(40, core.DTYPE)
    state = np.full(40, 4, core.DTYPE), np.full(40, 2.1, core.DTYPE)
    rule.apply(core, np.full(40, 2.1, core.DTYPE), variable, state)
    np.testing.assert_allclose(variable, -21, rtol=1e-6)


# ---- options ---------------------------------------------------------------------------------------------------------

PIECES = [1000, 1, 1200]  # more than two strips
OPTIONS: dict[str, dict[str, Any]] = {
    "decay": {"weight_decay": 0.5},
    "value": {"clipvalue": 0.75},
    "norm": {"clipnorm": 10.0},
    "global norm": {"global_clipnorm": 20.0},
    "average": {"ema_momentum": 0.75},
    "overwritten": {"ema_momentum": 0.75, "ema_overwrite_frequency": 2},
    "accumulated": {"accumulation_steps": 3},
    "all by value": {
        "weight_decay": 0.5,
        "clipvalue": 0.25,
        "ema_momentum": 0.75,
        "ema_overwrite_frequency": 2,
        "accumulation_steps": 2,
    },
    "all by norm": {"weight_decay": 0.5, "clipnorm": 5.0, "ema_momentum": 0.75, "accumulation_steps": 2},
    "all by global norm": {"weight_decay": 0.5, "global_clipnorm": 5.0, "ema_momentum": 0.75, "accumulation_steps": 2},
}


def states_with(rule: Rule, options: dict[str, Any], n: int, dtype: np.dtype) -> tuple[np.ndarray, ...]:
    """Zeros for the rule's states, the average and the sum of gradients."""
    count = rule.states + ("ema_momentum" in options) + ("accumulation_steps" in options)
    return tuple(np.zeros(n, dtype) for _ in range(count))


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", NAMES)
def test_options(core: ModuleType, name: str, option: str) -> None:
    rule, options = RULES[name], OPTIONS[option]
    n = sum(PIECES)
    variable = normal(1, n, dtype=core.DTYPE)
    state = states_with(rule, options, n, core.DTYPE)
    updater = rule.updater(core, state, n, PIECES, **options)
    expected = variable.copy()
    numbers = options | rule.reference_numbers()
    reference = optimizers.Optimizer(
        rule.reference_rule, [0.0] * rule.states, rule.learning_rate, pieces=PIECES, **numbers
    )
    for step in range(1, 7):
        gradient = normal(10 + step, n, dtype=core.DTYPE)
        kept = gradient.copy()
        assert updater.apply([gradient], [variable], rule.learning_rate, step, 1)
        expected = reference(expected, gradient)
        assert_same_bytes(gradient, kept)
        assert reference.state is not None
        wanted = [expected, *reference.state]
        wanted += [reference.average] if "ema_momentum" in options else []
        for got, now in zip((variable, *state), wanted, strict=False):
            np.testing.assert_allclose(got, now, rtol=0, atol=50 * float(eps(core)) * np.abs(now).max())
    if "accumulation_steps" in options:
        assert not state[-1].any()


@pytest.mark.parametrize("option", OPTIONS)
def test_options_give_the_same_bytes_with_any_number_of_threads(dtype: np.dtype, option: str) -> None:
    rule, options = RULES["rmsprop"], OPTIONS[option]
    pieces = [3 * 16384 + 5, 16384, 100, 40_000]
    n = sum(pieces)
    for family in families(dtype):
        results = []
        for core in family:
            for threads in (1, 2, 3, 5):
                variable, state = normal(1, n, dtype=dtype), states_with(rule, options, n, dtype)
                updater = rule.updater(core, state, n, pieces, **options)
                for step in range(1, 4):
                    assert updater.apply([normal(step, n, dtype=dtype)], [variable], 0.01, step, threads)
                results.append((variable, *state))
        for result in results[1:]:
            for got, first in zip(result, results[0], strict=True):
                assert_same_bytes(got, first)


def test_squares_add_up_in_float64(core: ModuleType) -> None:
    for n in (*SIZES, 16383, 16384, 16385, 50_000):
        x = normal(n, n, dtype=core.DTYPE)
        exact = np.sum(np.square(x.astype(WIDE)))
        updater = RULES["sgd"].updater(core, (), n)
        assert abs(updater.squares([x]) / exact - 1) < 1e-14
    large = np.full(40, 1e30, core.DTYPE)  # whose squares float32 does not hold
    assert RULES["sgd"].updater(core, (), 40).squares([large]) == pytest.approx(40e60, rel=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_norms_that_are_no_numbers(core: ModuleType, bad: float) -> None:
    gradient = np.ones(20, core.DTYPE)
    gradient[7] = bad
    # Under clipnorm an infinite gradient takes all others to 0, and is itself inf/inf; all else turns everything NaN.
    for option, piece_has, rest in (
        ("clipnorm", np.nan if np.isnan(bad) else 1.0, 0.9),
        ("global_clipnorm", np.nan, np.nan),
    ):
        variable = np.ones(20, core.DTYPE)
        updater = RULES["sgd"].updater(core, (), 20, [10, 10], **{option: 5.0})
        updater.apply([gradient], [variable], 0.1, 1, 1)
        expected = np.array([piece_has] * 7 + [np.nan] + [piece_has] * 2 + [rest] * 10)
        np.testing.assert_allclose(variable, expected, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_with_all_options_an_element_does_not_depend_on_its_place(core: ModuleType, name: str) -> None:
    rule, options = RULES[name], OPTIONS["all by value"]
    n = 2500
    gradients = [normal(step, n, dtype=core.DTYPE) for step in range(4)]

    def run(part: slice) -> tuple[np.ndarray, ...]:
        variable = normal(1, n, dtype=core.DTYPE)[part].copy()
        state = states_with(rule, options, variable.size, core.DTYPE)
        updater = rule.updater(core, state, variable.size, **options)
        for step, gradient in enumerate(gradients, 1):
            updater.apply([gradient[part].copy()], [variable], rule.learning_rate, step, 1)
        return (variable, *state)

    whole = run(slice(0, n))
    for part in (slice(0, 1), slice(1020, 1050), slice(1, n), slice(1023, 1023 + 1024)):
        for got, all_ in zip(run(part), whole, strict=True):
            assert_same_bytes(got, all_[part])
