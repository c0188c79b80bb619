"""Updates in place, step by step against the reference in longdouble; subnormals; the same bits however long."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest

from fastnn.reference import optimizers

from .support import SIZES, assert_same_bytes, assert_ulps, families, normal, specials

SGD, MOMENTUM, NESTEROV, ADAM = range(4)
WIDE = np.longdouble


@dataclass(frozen=True)
class Rule:
    """An optimizer's kernel and numbers."""

    kind: int
    states: int
    learning_rate: float
    momentum: float = 0.0  # or beta_1
    beta_2: float = 0.0
    epsilon: float = 0.0

    def apply(
        self, core: ModuleType, gradient: np.ndarray, variable: np.ndarray, state: tuple[np.ndarray, ...], step: int = 1
    ) -> None:
        """Update variable and state in place."""
        numbers = (self.kind, self.momentum, self.beta_2, self.epsilon)
        core.apply_update(*numbers, state, self.learning_rate, step, gradient, variable)

    def reference(
        self, gradient: np.ndarray, variable: np.ndarray, state: tuple[np.ndarray, ...], step: int = 1
    ) -> tuple[np.ndarray, ...]:
        """The new variable and state."""
        if self.kind == SGD:
            return (optimizers.sgd(variable, gradient, self.learning_rate),)
        if self.kind == ADAM:
            rates = self.learning_rate, self.momentum, self.beta_2, self.epsilon
            return optimizers.adam(variable, gradient, *state, step, *rates)
        nesterov = self.kind == NESTEROV
        return optimizers.sgd_momentum(variable, gradient, *state, self.learning_rate, self.momentum, nesterov)


RULES = {
    "sgd": Rule(SGD, 0, 0.1),
    "momentum": Rule(MOMENTUM, 1, 0.01, 0.9),
    "nesterov": Rule(NESTEROV, 1, 0.01, 0.9),
    "adam": Rule(ADAM, 2, 0.001, 0.9, 0.999, 1e-7),
}
NAMES = list(RULES)


def start(rule: Rule, n: int, dtype: np.dtype) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """A variable, and a state of zeros."""
    return normal(1, n, dtype=dtype), tuple(np.zeros(n, dtype) for _ in range(rule.states))


def eps(core: ModuleType) -> np.longdouble:
    """The unit in the last place of 1."""
    return WIDE(np.finfo(core.DTYPE).eps)


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
        lost = lost_by_bias_correction(rule.momentum, rule.beta_2, step) if name == "adam" else 0.0
        # A sum's error is a few units of its larger term (Nesterov's may cancel); a rate is rounded to the dtype.
        for got, now, old in zip((variable, *state), exact, before, strict=True):
            larger = np.maximum(np.abs(old), np.abs(now - old))
            assert_ulps(got, now, 1, slack=2 * eps(core) * larger + lost * np.abs(now - old))


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
        rule = Rule(RULES[name].kind, RULES[name].states, 0.5, 0.5, 0.75, 1e-30)
        variable, state = w.copy(), tuple(np.zeros(2, core.DTYPE) for _ in range(rule.states))
        for step, values in enumerate(steps, 1):
            rule.apply(core, g, variable, state, step)
            np.testing.assert_allclose(variable, values, rtol=4 * np.finfo(core.DTYPE).eps, atol=1e-7)


@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.9, 0.999), (0.0, 0.0), (0.999, 0.9999), (0.5, 1 - 1e-9)])
def test_adams_bias_correction_at_any_step(core: ModuleType, beta_1: float, beta_2: float) -> None:
    for step in (1, 2, 10, 1000, 123457, 2**31, 2**53 + 1, 2**62):
        check_bias_correction(core, step, beta_1, beta_2)


def check_bias_correction(core: ModuleType, step: int, beta_1: float, beta_2: float) -> None:
    rule = Rule(ADAM, 2, 0.001, beta_1, beta_2, 1e-30)
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
    variable, state = start(rule, len(gradient), core.DTYPE)
    expected = (variable.copy(), *(s.copy() for s in state))
    for step in (1, 2):
        with np.errstate(all="ignore"):
            expected = rule.reference(gradient, expected[0], expected[1:], step)
        rule.apply(core, gradient, variable, state, step)
        for got, now in zip((variable, *state), expected, strict=True):
            # In the reference subnormals are not flushed.
            np.testing.assert_allclose(got, now, rtol=1e-5, atol=2 * np.finfo(core.DTYPE).tiny)
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
def test_nothing_and_matrices(core: ModuleType, name: str) -> None:
    rule = RULES[name]
    variable, state = start(rule, 0, core.DTYPE)
    rule.apply(core, np.empty(0, core.DTYPE), variable, state)
    assert variable.shape == (0,)
    # Shapes do not matter, only sizes: all is flat.
    flat, state = start(rule, 12, core.DTYPE)
    matrix = flat.reshape(3, 4).copy()
    gradient = normal(3, 12, dtype=core.DTYPE)
    rule.apply(core, gradient, flat, state)
    rule.apply(core, gradient.reshape(4, 3), matrix, start(rule, 12, core.DTYPE)[1])
    assert_same_bytes(matrix.ravel(), flat)


def test_a_rate_of_0_changes_no_variable(core: ModuleType) -> None:
    for rule in RULES.values():
        still = Rule(rule.kind, rule.states, 0.0, rule.momentum, rule.beta_2, rule.epsilon)
        variable, state = start(rule, 17, core.DTYPE)
        before = variable.copy()
        still.apply(core, normal(4, 17, dtype=core.DTYPE), variable, state)
        assert_same_bytes(variable, before)
