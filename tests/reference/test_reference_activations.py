"""The reference activations against exact decimals, SciPy and central differences."""

import numpy as np
import pytest
import scipy.special

from fastnn.reference import activations

DTYPES = [np.float32, np.float64, np.longdouble]
NAMES = sorted(activations.ACTIVATIONS)
ELEMENTWISE = ["linear", "relu", "sigmoid", "tanh"]


def domain(dtype):
    """Zero, subnormals, ordinary numbers, saturation and beyond, of both signs."""
    tiny = np.finfo(dtype).smallest_subnormal
    positive = [0.0, float(np.float32(1e-40)), 1e-20, 1e-8, 1e-3, 0.1, 0.5, 1.0, 3.7, 9.0, 17.0, 40.0, 86.0, 104.0, 1e4]
    positive = np.concatenate([np.array(positive, dtype=dtype), [tiny]]).astype(dtype)
    return np.concatenate([-positive, positive])


# The definitions, on decimals.


def exact_sigmoid(z):
    return 1 / (1 + (-z).exp())


def exact_sigmoid_derivative(z):
    return (-z).exp() / (1 + (-z).exp()) ** 2


def exact_tanh(z):
    return (z.exp() - (-z).exp()) / (z.exp() + (-z).exp())


def exact_tanh_derivative(z):
    return 4 / (z.exp() + (-z).exp()) ** 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("function", "definition"),
    [
        (activations.sigmoid, exact_sigmoid),
        (lambda z: activations.sigmoid_gradient(z, np.ones_like(z)), exact_sigmoid_derivative),
        (lambda z: activations.tanh_gradient(z, np.ones_like(z)), exact_tanh_derivative),
    ],
    ids=["sigmoid", "sigmoid_gradient", "tanh_gradient"],
)
def test_few_ulp_over_the_whole_domain(function, definition, dtype, exact, ulp_error):
    z = domain(dtype)
    with np.errstate(all="raise"):
        got = function(z)
    assert got.dtype == dtype
    assert ulp_error(got, [definition(exact(v)) for v in z]) <= 8


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_within_few_ulp(dtype, exact, ulp_error):
    z = domain(dtype)
    z = z[np.abs(z) > 1e-10]  # below, the definition's difference of exponentials would want more than 60 digits
    assert ulp_error(activations.tanh(z), [exact_tanh(exact(v)) for v in z]) <= 8


def test_tanh_of_a_tiny_number_is_that_number():
    z = np.array([1e-40, -1e-320, 5e-324])
    np.testing.assert_array_equal(activations.tanh(z), z)


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_and_relu_are_exact(dtype):
    z = domain(dtype)
    np.testing.assert_array_equal(activations.linear(z), z)
    assert not np.shares_memory(activations.linear(z), z)
    np.testing.assert_array_equal(activations.relu(z), [max(v, 0) for v in z])
    upstream = np.full_like(z, -2.5)
    np.testing.assert_array_equal(activations.linear_gradient(z, upstream), upstream)
    np.testing.assert_array_equal(activations.relu_gradient(z, upstream), [-2.5 if v > 0 else 0 for v in z])


def test_relu_gradient_at_zero_is_zero():
    assert activations.relu_gradient(np.array([0.0, -0.0]), np.ones(2)).tolist() == [0, 0]


def test_sigmoid_and_softmax_agree_with_scipy():
    z = np.random.default_rng(1).normal(scale=30, size=(50, 7))
    np.testing.assert_allclose(activations.sigmoid(z), scipy.special.expit(z), rtol=1e-15)
    np.testing.assert_allclose(activations.softmax(z), scipy.special.softmax(z, axis=-1), rtol=1e-14)


def test_softmax_over_the_whole_domain():
    z = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, 0], [0, -700, -740]])
    with np.errstate(all="raise"):
        a = activations.softmax(z)
    expected = [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0], [1, np.exp(-700.0), np.exp(-740.0)]]
    np.testing.assert_allclose(a, expected, rtol=1e-15)


def test_softmax_works_row_by_row_along_the_last_axis():
    z = np.random.default_rng(2).normal(size=(2, 3, 4))
    a = activations.softmax(z)
    np.testing.assert_allclose(a.sum(axis=-1), 1, rtol=1e-15)
    np.testing.assert_allclose(a[1, 2], np.exp(z[1, 2]) / np.exp(z[1, 2]).sum(), rtol=1e-15)


def test_softmax_gradient_keeps_its_accuracy_where_a_class_is_certain():
    # With a = (1 - r, r), r = exp(-60), the gradient is (r, -r) (1 - r) times the difference of the upstreams.
    z, upstream = np.array([[0.0, -60.0]]), np.array([[3.0, 1.0]])
    r = np.exp(-60.0)
    np.testing.assert_allclose(activations.softmax_gradient(z, upstream), [[2 * r, -2 * r]], rtol=1e-14)


def test_softmax_gradient_of_a_constant_upstream_is_exactly_zero():
    z = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)
    assert not activations.softmax_gradient(z, np.full_like(z, 0.3)).any()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_derivative(name, central_difference):
    function, gradient = activations.ACTIVATIONS[name]
    generator = np.random.default_rng(4)
    z = generator.normal(scale=2, size=(3, 5)).astype(np.longdouble)
    upstream = generator.normal(size=z.shape).astype(np.longdouble)
    numeric = central_difference(lambda v: (upstream * function(v)).sum(), z)
    np.testing.assert_allclose(gradient(z, upstream), numeric, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_dtype_and_arguments_are_kept(name, dtype):
    function, gradient = activations.ACTIVATIONS[name]
    z = domain(dtype).reshape(2, -1)
    upstream = np.linspace(-1, 1, z.size).astype(dtype).reshape(z.shape)
    kept = z.copy(), upstream.copy()
    assert function(z).dtype == dtype
    assert gradient(z, upstream).dtype == dtype
    np.testing.assert_array_equal((z, upstream), kept)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_infinities_have_the_limits_and_nan_stays_nan(name):
    function, gradient = activations.ACTIVATIONS[name]
    z = np.array([-np.inf, np.inf, np.nan])
    limits = {"linear": (-np.inf, np.inf), "relu": (0, np.inf), "sigmoid": (0, 1), "tanh": (-1, 1)}
    slopes = {"linear": (1, 1), "relu": (0, 1), "sigmoid": (0, 0), "tanh": (0, 0)}
    with np.errstate(all="raise"):
        values, derivatives = function(z), gradient(z, np.ones(3))
    np.testing.assert_array_equal(values, [*limits[name], np.nan])
    np.testing.assert_array_equal(derivatives[:2], slopes[name])
