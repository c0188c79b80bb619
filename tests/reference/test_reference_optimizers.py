"""The reference update rules against scalar loops, the published algorithms and each other."""

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
    got = optimizers.sgd(theta, g, 0.1)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, [t - dtype(0.1) * d for t, d in zip(theta, g, strict=True)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_kerass_rule_to_the_bit(dtype, nesterov):
    theta, g, v = arrays(dtype, 3)
    eta, beta = dtype(0.1), dtype(0.9)
    # Keras keeps m = -v and adds.
    m = -v * beta - g * eta
    expected = theta + (m * beta - g * eta if nesterov else m)
    got, velocity = optimizers.sgd_momentum(theta, g, v, 0.1, 0.9, nesterov)
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
    got = optimizers.adam(theta, g, m, v, step, eta, beta_1, beta_2, epsilon)
    assert [array.dtype for array in got] == [dtype] * 3
    np.testing.assert_array_equal(np.transpose(got), expected)


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
        got, *state = optimizers.adam(got, gradient, *state, t, 0.05, 0.9, 0.999, 1e-7)
        np.testing.assert_allclose(got, theta, rtol=1e-12)


def test_adam_with_a_zero_gradient_stays():
    zero, theta = np.zeros(2, dtype=np.float32), np.array([1, -1], dtype=np.float32)
    with np.errstate(all="raise"):
        got, _, _ = optimizers.adam(theta, zero, zero, zero, 1, 0.001, 0.9, 0.999, 1e-7)
    np.testing.assert_array_equal(got, theta)


def test_arguments_are_not_changed():
    theta, g, m, v = arrays(np.float64, 4)
    v = np.abs(v)
    kept = [a.copy() for a in (theta, g, m, v)]
    optimizers.sgd(theta, g, 0.1)
    optimizers.sgd_momentum(theta, g, v, 0.1, 0.9, True)
    optimizers.adam(theta, g, m, v, 1, 0.1, 0.9, 0.999, 1e-7)
    for array, copy in zip((theta, g, m, v), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("nesterov", [False, True])
def test_the_sgd_object_carries_its_velocity(nesterov):
    theta, *gradients = arrays(np.float32, 4)
    optimizer = optimizers.SGD(0.1, 0.9, nesterov)
    expected, velocity, got = theta, np.zeros_like(theta), theta
    for gradient in gradients:
        got = optimizer(got, gradient)
        expected, velocity = optimizers.sgd_momentum(expected, gradient, velocity, 0.1, 0.9, nesterov)
        np.testing.assert_array_equal(got, expected)


def test_the_sgd_object_without_momentum_is_sgd():
    theta, first, second = arrays(np.float32, 3)
    optimizer = optimizers.SGD(0.1)
    expected = optimizers.sgd(optimizers.sgd(theta, first, 0.1), second, 0.1)
    np.testing.assert_array_equal(optimizer(optimizer(theta, first), second), expected)


def test_the_adam_object_carries_its_moments_and_step():
    theta, *gradients = arrays(np.float32, 4)
    optimizer = optimizers.Adam(0.01)
    expected, mean, variance, got = theta, np.zeros_like(theta), np.zeros_like(theta), theta
    for step, gradient in enumerate(gradients, start=1):
        got = optimizer(got, gradient)
        expected, mean, variance = optimizers.adam(expected, gradient, mean, variance, step, 0.01, 0.9, 0.999, 1e-7)
        np.testing.assert_array_equal(got, expected)


def test_the_defaults_are_kerass():
    sgd, adam = optimizers.SGD(), optimizers.Adam()
    assert (sgd.learning_rate, sgd.momentum, sgd.nesterov) == (0.01, 0.0, False)
    assert (adam.learning_rate, adam.beta_1, adam.beta_2, adam.epsilon) == (0.001, 0.9, 0.999, 1e-7)
