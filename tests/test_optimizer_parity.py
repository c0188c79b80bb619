"""The same numbers as Keras 3, and as PyTorch by the recipes of docs/optimizers.md; made by tests/data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fastnn import optimizers
from fastnn.optimizers import schedules

DATA = Path(__file__).with_name("data")
KERAS = dict(np.load(DATA / "keras.npz"))
TORCH = dict(np.load(DATA / "torch.npz"))
KEPT = (1, 2, 5, 10)  # steps of which Keras's parameters are kept; and at last what they end with


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("code", KERAS["optimizers"])
def test_ten_steps_are_kerass(code: str, dtype: str, tolerance: float) -> None:
    optimizer = eval(code, vars(optimizers))
    flat = KERAS["start"].astype(dtype)
    variables = [flat[:3], flat[3:].reshape(2, 2)]
    rows = []
    for step, g in enumerate(KERAS["gradients"].astype(dtype), 1):
        optimizer.apply([g[:3], g[3:].reshape(2, 2)], variables)
        if step in KEPT:
            rows.append(flat.copy())
    optimizer.finalize_variable_values(variables)
    rows.append(flat.copy())
    expected = KERAS[dtype][list(KERAS["optimizers"]).index(code)]
    assert expected.dtype == dtype
    np.testing.assert_allclose(rows, expected, rtol=tolerance)
    assert np.abs(np.array(rows) - KERAS["start"]).max() > 1e-5  # something has happened


@pytest.mark.parametrize("code", KERAS["schedules"])
def test_schedules_are_kerass(code: str) -> None:
    schedule = eval(code, vars(schedules))
    expected = KERAS["rates"][list(KERAS["schedules"]).index(code)]
    got = schedule(KERAS["steps"])
    if code.startswith("Cosine"):  # Keras's cosine is float32's even of float64
        np.testing.assert_allclose(got, expected, rtol=0, atol=1.5e-7 * expected.max())
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert KERAS["steps"][-1] >= 10_000


@pytest.mark.parametrize("i", range(len(TORCH["one cycles"])))
def test_one_cycle_is_pytorchs(i: int) -> None:
    top, steps, *shape = TORCH["one cycles"][i]
    schedule = schedules.OneCycle(top, int(steps), *shape)
    np.testing.assert_allclose(schedule(np.arange(int(steps))), TORCH[f"one cycle {i}"], rtol=1e-12)


# ---- recipes for PyTorch's rules -------------------------------------------------------------------------------------

Hook = Callable[[optimizers.Optimizer, int, np.ndarray, np.ndarray], np.ndarray | None]


def path(optimizer: optimizers.Optimizer, before: Hook | None = None) -> np.ndarray:
    """The parameters after each step; `before` sees (optimizer, t, parameters, gradient), and may replace that."""
    w = TORCH["start"].copy()
    rows = []
    for t, g in enumerate(TORCH["gradients"], 1):
        changed = before(optimizer, t, w, g) if before else None
        optimizer.apply(g if changed is None else changed, w)
        rows.append(w.copy())
    return np.array(rows)


@pytest.mark.parametrize(("name", "nesterov"), [("momentum", False), ("Nesterov", True)])
def test_momentum_is_pytorchs_while_the_rate_is_one(name: str, nesterov: bool) -> None:
    np.testing.assert_allclose(path(optimizers.SGD(0.01, 0.9, nesterov)), TORCH[name], rtol=1e-13)


def test_when_the_rate_changes_the_velocity_changes_with_it_in_pytorch() -> None:
    def change(optimizer: optimizers.Optimizer, t: int, *_: np.ndarray) -> None:
        if t == 6:
            optimizer.learning_rate /= 4
            for velocity in optimizer.variables:
                velocity /= 4

    def only_rate(optimizer: optimizers.Optimizer, t: int, *_: np.ndarray) -> None:
        if t == 6:
            optimizer.learning_rate /= 4

    np.testing.assert_allclose(path(optimizers.SGD(0.01, 0.9), change), TORCH["momentum, two rates"], rtol=1e-13)
    assert np.abs(path(optimizers.SGD(0.01, 0.9), only_rate) - TORCH["momentum, two rates"]).max() > 1e-3


@pytest.mark.parametrize(("name", "options"), [("Adam", {}), ("AMSGrad", {"amsgrad": True, "beta_2": 0.5})])
def test_pytorchs_epsilon_of_adam_shrinks_with_the_bias(name: str, options: dict[str, float]) -> None:
    def shrink(optimizer: optimizers.Optimizer, t: int, *_: np.ndarray) -> None:
        assert isinstance(optimizer, optimizers.Adam)
        optimizer.epsilon = 1e-3 * np.sqrt(1 - optimizer.beta_2**t)

    adam = optimizers.Adam(0.01, **options)  # type: ignore[arg-type]
    np.testing.assert_allclose(path(adam, shrink), TORCH[name], rtol=1e-12)
    plain = optimizers.Adam(0.01, epsilon=1e-3, **options)  # type: ignore[arg-type]
    assert np.abs(path(plain) - TORCH[name]).max() > 1e-5


def test_pytorchs_adam_adds_the_decay_to_the_gradient() -> None:
    adam = optimizers.Adam(0.01, epsilon=1e-20)
    coupled = path(adam, lambda optimizer, t, w, g: g + 0.1 * w)
    np.testing.assert_allclose(coupled, TORCH["Adam, coupled decay"], rtol=1e-6)
    assert np.abs(path(optimizers.AdamW(0.01, 0.1)) - TORCH["Adam, coupled decay"]).max() > 1e-3


def test_adamw_is_pytorchs() -> None:
    np.testing.assert_allclose(path(optimizers.AdamW(0.01, 0.1, epsilon=1e-20)), TORCH["AdamW"], rtol=1e-6)


def test_adagrad_is_pytorchs_from_0_with_a_small_epsilon() -> None:
    same = optimizers.Adagrad(0.01, initial_accumulator_value=0, epsilon=1e-20)
    np.testing.assert_allclose(path(same), TORCH["Adagrad"], rtol=1e-9)
    assert np.abs(path(optimizers.Adagrad(0.01)) - TORCH["Adagrad"]).max() > 1e-3


def test_rmsprop_is_pytorchs_but_for_the_place_of_epsilon() -> None:
    np.testing.assert_allclose(path(optimizers.RMSprop(0.01, rho=0.9, epsilon=1e-16)), TORCH["RMSprop"], rtol=1e-7)


def test_adadelta_is_pytorchs() -> None:
    np.testing.assert_allclose(path(optimizers.Adadelta(0.5, rho=0.95, epsilon=1e-6)), TORCH["Adadelta"], rtol=1e-13)
