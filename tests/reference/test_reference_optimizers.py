"""The reference update rules against scalar loops, the published algorithms, Keras's form of them and each other."""

import inspect
import math

import numpy as np
import pytest

from fastnn.reference import optimizers

DTYPES = [np.float32, np.float64, np.longdouble]


def arrays(dtype, count, size=7):
    generator = np.random.default_rng(13)
    return [generator.normal(size=size).astype(dtype) for _ in range(count)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_sgd_is_the_rule_in_the_dtype(dtype):
    theta, g = arrays(dtype, 2)
    got, state = optimizers.sgd(theta, g, (), 1, 0.1)
    assert got.dtype == dtype
    assert state == ()
    np.testing.assert_array_equal(got, [t - dtype(0.1) * d for t, d in zip(theta, g, strict=True)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_kerass_rule_to_the_bit(dtype, nesterov):
    theta, g, v = arrays(dtype, 3)
    eta, beta = dtype(0.1), dtype(0.9)
    # Keras keeps m = -v and adds.
    m = -v * beta - g * eta
    expected = theta + (m * beta - g * eta if nesterov else m)
    got, (velocity,) = optimizers.sgd_momentum(theta, g, (v,), 1, 0.1, 0.9, nesterov)
    assert got.dtype == velocity.dtype == dtype
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(velocity, -m)


@pytest.mark.parametrize("dtype", DTYPES)
def test_adam_rounds_shared_numbers_once_and_works_in_the_dtype(dtype):
    theta, g, m, v = arrays(dtype, 4)
    v = np.abs(v)
    step, eta, beta_1, beta_2, epsilon = 3, 0.01, 0.9, 0.999, 1e-7
    alpha = dtype(eta * math.sqrt(1 - beta_2**step) / (1 - beta_1**step))
    keep_1, keep_2 = dtype(1 - beta_1), dtype(1 - beta_2)
    expected = []
    for t, d, a, b in zip(theta, g, m, v, strict=True):
        a = a + (d - a) * keep_1
        b = b + (d * d - b) * keep_2
        expected.append((t - a * alpha / (np.sqrt(b) + dtype(epsilon)), a, b))
    got, state = optimizers.adam(theta, g, (m, v), step, eta, beta_1, beta_2, epsilon)
    assert [array.dtype for array in (got, *state)] == [dtype] * 3
    np.testing.assert_array_equal(np.transpose([got, *state]), expected)


def test_adam_follows_the_papers_algorithm():
    # Algorithm 1 with ε = ε-hat / sqrt(1 - β₂ᵗ): the same path by way of the corrected moments.
    theta, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    got, state = theta, (m, v)
    for t in range(1, 6):
        gradient = np.array([0.3 * t, -0.01 / t])
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        theta = theta - 0.05 * m_hat / (np.sqrt(v_hat) + 1e-7 / math.sqrt(1 - 0.999**t))
        got, state = optimizers.adam(got, gradient, state, t, 0.05, 0.9, 0.999, 1e-7)
        np.testing.assert_allclose(got, theta, rtol=1e-12)


def test_adam_with_a_zero_gradient_stays():
    zero, theta = np.zeros(2, dtype=np.float32), np.array([1, -1], dtype=np.float32)
    with np.errstate(all="raise"):
        got, _ = optimizers.adam(theta, zero, (zero, zero), 1, 0.001, 0.9, 0.999, 1e-7)
    np.testing.assert_array_equal(got, theta)


def test_amsgrad_never_forgets_the_largest_variance():
    theta, state = np.zeros(1), (np.zeros(1),) * 3
    theta, state = optimizers.adam(theta, np.array([8.0]), state, 1, 0.1, 0.0, 0.5, 1e-9, True)
    np.testing.assert_allclose([theta, *state[1:]], [[-0.1], [32], [32]])  # α = 0.1 √0.5, m/√h = 8/√32
    for t in range(2, 60):
        theta, state = optimizers.adam(theta, np.array([1.0]), state, t, 0.1, 0.0, 0.5, 1e-9, True)
    before = theta
    theta, state = optimizers.adam(theta, np.array([1.0]), state, 60, 0.1, 0.0, 0.5, 1e-9, True)
    np.testing.assert_allclose([state[1], state[2]], [[1], [32]])
    np.testing.assert_allclose(before - theta, [0.1 / math.sqrt(32)])


def test_adagrad_rmsprop_and_adadelta_by_hand():
    theta, g = np.array([1.0]), np.array([3.0])
    got, (s,) = optimizers.adagrad(theta, g, (np.array([7.0]),), 1, 0.5, 9.0)
    np.testing.assert_allclose([got, s], [[1 - 0.5 * 3 / 5], [16]])
    got, (v,) = optimizers.rmsprop(theta, g, (np.array([5.0]),), 1, 0.5, 0.5, 2.0)  # v = (5 + 9)/2 = 7
    np.testing.assert_allclose([got, v], [[1 - 0.5 * 3 / 3], [7]])
    got, (v, a, m) = optimizers.rmsprop(
        theta, g, (np.array([5.0]), np.array([1.0]), np.array([0.5])), 1, 0.5, 0.5, 6.0, 0.5, True
    )  # a = 2, v - a² + ε = 9, increment 0.5, m = 0.75
    np.testing.assert_allclose([got, v, a, m], [[0.25], [7], [2], [0.75]])
    got, (s, u) = optimizers.adadelta(theta, g, (np.array([5.0]), np.array([2.0])), 1, 0.5, 0.5, 2.0)
    np.testing.assert_allclose([got, s, u], [[1 - 0.5 * 2], [7], [3]])  # d = √4 · 3/√9 = 2, u = (2 + 4)/2


def test_a_variance_below_0_counts_as_0():
    state = np.array([4.0], np.float32), np.array([2.1], np.float32)
    got, _ = optimizers.rmsprop(np.zeros(1), np.array([2.1]), state, 1, 1.0, 0.999, 1e-2, centered=True)
    np.testing.assert_allclose(got, [-21])


def test_adamax_nadam_and_lion_by_hand():
    theta, g = np.array([1.0]), np.array([-3.0])
    state = np.array([1.0]), np.array([8.0])
    got, new = optimizers.adamax(theta, g, state, 2, 0.75, 0.5, 0.25, 1.0)  # m = -1, u = max(2, 3), η/(1 - 1/4) = 1
    np.testing.assert_allclose([got, *new], [[1.25], [-1], [3]])
    got, new = optimizers.lion(theta, g, (np.array([2.0]),), 1, 0.5, 0.6, 0.75)  # 1.2 - 1.2 is not quite 0
    np.testing.assert_allclose(new, [[0.75]])
    got, _ = optimizers.lion(theta, np.array([-2.0]), (np.array([2.0]),), 1, 0.5, 0.5, 0.75)
    np.testing.assert_array_equal(got, theta)
    got, _ = optimizers.lion(np.ones(3), np.array([-1e-30, 7, np.nan]), (np.zeros(3),), 1, 0.5, 0.9, 0.99)
    np.testing.assert_array_equal(got, [1.5, 0.5, np.nan])
    # t = 1: u1 = .52 β, u2 = .5392 β.
    beta, u1, u2 = 0.8, 0.8 * (1 - 0.48), 0.8 * (1 - 0.4608)
    got, new = optimizers.nadam(theta, g, (np.zeros(1), np.zeros(1)), 1, 0.5, beta, 0.9, 1.0)
    m_hat = u2 * -0.6 / (1 - u1 * u2) + (1 - u1) * -3 / (1 - u1)
    np.testing.assert_allclose([got, *new], [[1 - 0.5 * m_hat / (3 + 1)], [-0.6], [0.9]])


def test_clipping():
    g, h = np.array([3.0, -4.0, 0.5]), np.array([12.0])
    np.testing.assert_array_equal(optimizers.clip_by_value(g, 2.0), [2, -2, 0.5])
    np.testing.assert_array_equal(optimizers.clip_by_value(np.array([np.nan, np.inf]), 2.0), [np.nan, 2])
    np.testing.assert_allclose(optimizers.clip_by_norm(g[:2], 1.0), [0.6, -0.8])
    np.testing.assert_array_equal(optimizers.clip_by_norm(g[:2], 5.0), g[:2])
    np.testing.assert_array_equal(optimizers.clip_by_norm(np.zeros(2), 5.0), [0, 0])
    np.testing.assert_array_equal(optimizers.clip_by_norm(np.array([1.0, np.inf]), 5.0), [0, np.nan])
    np.testing.assert_allclose(np.concatenate(optimizers.clip_by_global_norm([g[:2], h], 6.5)), [1.5, -2, 6])
    np.testing.assert_array_equal(optimizers.clip_by_global_norm([g, h], 100.0)[0], g)
    np.testing.assert_array_equal(optimizers.clip_by_global_norm([np.zeros(2)], 1.0)[0], [0, 0])
    for spoilt in (np.nan, np.inf):
        assert np.isnan(optimizers.clip_by_global_norm([np.array([1.0]), np.array([spoilt])], 5.0)).all()


def test_the_object_clips_decays_averages_and_accumulates():
    def made(**options):
        return optimizers.SGD(0.5, **options)

    one, g = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_allclose(made(clipvalue=3.5)(one, g), one - 0.5 * np.array([3, 3.5]))
    np.testing.assert_allclose(made(global_clipnorm=1)(one, g), one - 0.1 * g)
    np.testing.assert_allclose(made(clipnorm=1)(one, g), one - 0.1 * g)
    np.testing.assert_allclose(made(clipnorm=1, pieces=[1, 1])(one, g), one - 0.5)
    np.testing.assert_allclose(made(weight_decay=0.1)(one, g), one * 0.95 - 0.5 * g)
    averaging = made(ema_momentum=0.75)
    first = averaging(one, g)
    second = averaging(first, g)
    np.testing.assert_allclose([first, second], [one - 0.5 * g, one - g])
    np.testing.assert_allclose(averaging.average, 0.75 * first + 0.25 * second)
    overwriting = made(ema_momentum=0.75, ema_overwrite_frequency=2)
    np.testing.assert_allclose(overwriting(overwriting(one, g), g), averaging.average)
    accumulating = made(accumulation_steps=2)
    np.testing.assert_array_equal(accumulating(one, g), one)
    np.testing.assert_allclose(accumulating(one, 3 * g), one - g)
    falling = optimizers.Optimizer(optimizers.sgd, (), lambda step: 1 / (1 + step))
    np.testing.assert_allclose(falling(falling(one, g), g), one - 1.5 * g)


RULES = {
    "sgd": (optimizers.sgd, 0, (0.1,)),
    "momentum": (optimizers.sgd_momentum, 1, (0.1, 0.9, True)),
    "adagrad": (optimizers.adagrad, 1, (0.1, 1e-7)),
    "rmsprop": (optimizers.rmsprop, 3, (0.1, 0.9, 1e-7, 0.9, True)),
    "adadelta": (optimizers.adadelta, 2, (0.1, 0.9, 1e-7)),
    "amsgrad": (optimizers.adam, 3, (0.1, 0.9, 0.999, 1e-7, True)),
    "adamax": (optimizers.adamax, 2, (0.1, 0.9, 0.999, 1e-7)),
    "nadam": (optimizers.nadam, 2, (0.1, 0.9, 0.999, 1e-7)),
    "lion": (optimizers.lion, 1, (0.1, 0.9, 0.99)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", RULES)
def test_arguments_are_not_changed_and_the_dtype_stays(name, dtype):
    rule, states, numbers = RULES[name]
    given = [np.abs(a) for a in arrays(dtype, 2 + states)]
    kept = [a.copy() for a in given]
    got, state = rule(given[0], given[1], tuple(given[2:]), 3, *numbers)
    assert [a.dtype for a in (got, *state)] == [dtype] * (1 + states)
    for array, copy in zip(given, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("name", RULES)
def test_the_object_carries_state_and_step(name):
    rule, states, (rate, *numbers) = RULES[name]
    theta, *gradients = arrays(np.float32, 4)
    names = list(inspect.signature(rule).parameters)[5 : 5 + len(numbers)]
    optimizer = optimizers.Optimizer(rule, [0.5] * states, rate, **dict(zip(names, numbers, strict=True)))
    expected, got, state = theta, theta, (np.full_like(theta, 0.5),) * states
    for step, gradient in enumerate(gradients, start=1):
        got = optimizer(got, gradient)
        expected, state = rule(expected, gradient, state, step, rate, *numbers)
        np.testing.assert_array_equal(got, expected)


def test_the_defaults_are_kerass():
    sgd, adam = optimizers.SGD(), optimizers.Adam()
    assert (sgd.rule, sgd.learning_rate) == (optimizers.sgd, 0.01)
    assert (adam.rule, adam.learning_rate) == (optimizers.adam, 0.001)
    assert adam.numbers == {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    assert optimizers.SGD(momentum=0.5).numbers == {"momentum": 0.5, "nesterov": False}
