"""The reference activations against exact decimals, SciPy and central differences."""

import itertools
from decimal import Decimal

import numpy as np
import pytest
import scipy.special

from fastnn.reference import activations
from fastnn.reference.activations import exponentials

DTYPES = [np.float32, np.float64, np.longdouble]
NAMES = sorted(activations.ACTIVATIONS)
ELEMENTWISE = [name for name in NAMES if "softmax" not in name]


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


def exact_normal(z):
    """The distribution function of the normal distribution, by its series; and its density."""
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
    density = (-z * z / 2).exp() / (2 * pi).sqrt()
    term, total = z, z
    for n in itertools.count(3, 2):
        term *= z * z / n
        total += term
        if abs(term) < Decimal("1e-59") * abs(total):
            return Decimal("0.5") + density * total, density
    raise AssertionError


def exact_gelu_argument(z):
    """v with gelu(z, approximate=True) = z sigmoid(v), and v'."""
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
    scale, cubic = (8 / pi).sqrt(), Decimal("0.044715")
    return scale * (z + cubic * z**3), scale * (1 + 3 * cubic * z**2)


def exact_mish(z):
    t = exact_tanh((1 + z.exp()).ln())
    return z * t, t + z * (1 - t * t) * exact_sigmoid(z)


def exact_approximate_gelu(z):
    (v, slope), sigmoid = exact_gelu_argument(z), exact_sigmoid
    return z * sigmoid(v), sigmoid(v) + z * slope * exact_sigmoid_derivative(v)


ONE = Decimal(1)
SCALE, ALPHA = (Decimal(constant) for constant in exponentials.SELU)
QUARTER = Decimal("0.25")
# f and f' of a decimal, and options.
DEFINITIONS = {
    "leaky_relu": (lambda z: (max(z, z / 4), ONE if z > 0 else QUARTER), {"negative_slope": 0.25}),
    "elu": (lambda z: (z, ONE) if z > 0 else ((z.exp() - 1) / 4, z.exp() / 4), {"alpha": 0.25}),
    "celu": (lambda z: (z, ONE) if z > 0 else (((4 * z).exp() - 1) / 4, (4 * z).exp()), {"alpha": 0.25}),
    "selu": (
        lambda z: (SCALE * z, SCALE) if z > 0 else (SCALE * ALPHA * (z.exp() - 1), SCALE * ALPHA * z.exp()),
        {},
    ),
    "softplus": (lambda z: ((1 + z.exp()).ln(), exact_sigmoid(z)), {}),
    "log_sigmoid": (lambda z: (-(1 + (-z).exp()).ln(), exact_sigmoid(-z)), {}),
    "softsign": (lambda z: (z / (1 + abs(z)), 1 / (1 + abs(z)) ** 2), {}),
    "exponential": (lambda z: (z.exp(), z.exp()), {}),
    "hard_sigmoid": (lambda z: (min(max(z + 3, 0), 6) / Decimal(6), (abs(z) < 3) / Decimal(6)), {}),
    "hard_tanh": (lambda z: (min(max(z, -ONE), ONE), Decimal(abs(z) < 1)), {}),
    "relu6": (lambda z: (min(max(z, Decimal(0)), Decimal(6)), Decimal(0 < z < 6)), {}),
    "soft_shrink": (lambda z: (z - max(min(z, QUARTER), -QUARTER), Decimal(abs(z) > QUARTER)), {"threshold": 0.25}),
    "hard_shrink": (lambda z: (z * (abs(z) > QUARTER), Decimal(abs(z) > QUARTER)), {"threshold": 0.25}),
    "sparse_plus": (
        lambda z: (z, ONE) if z >= 1 else (max(z + 1, 0) ** 2 / Decimal(4), max(z + 1, 0) / Decimal(2)),
        {},
    ),
    "sparse_sigmoid": (lambda z: (min(max((z + 1) / 2, 0 * z), ONE), Decimal(abs(z) < 1) / 2), {}),
    "squareplus": (
        lambda z: ((z + (z * z + QUARTER).sqrt()) / 2, (1 + z / (z * z + QUARTER).sqrt()) / 2),
        {"b": 0.25},
    ),
    "silu": (lambda z: (z * exact_sigmoid(z), exact_sigmoid(z) + z * exact_sigmoid_derivative(z)), {}),
    "mish": (exact_mish, {}),
    "gelu": (lambda z: (z * exact_normal(z)[0], exact_normal(z)[0] + z * exact_normal(z)[1]), {}),
    "gelu, approximate": (exact_approximate_gelu, {"approximate": True}),
    "hard_silu": (
        lambda z: (z, ONE) if z >= 3 else ((z * (z + 3) / 6, (2 * z + 3) / 6) if z > -3 else (0 * z, 0 * z)),
        {},
    ),
    "tanh_shrink": (lambda z: (z - exact_tanh(z), exact_tanh(z) ** 2), {}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_few_ulp_of_the_definition(name, dtype, exact, ulp_error):
    definition, options = DEFINITIONS[name]
    function, gradient = activations.ACTIVATIONS[name.partition(",")[0]]
    # Where products of small numbers do not underflow, and exp(-|z|) keeps its digits in decimals' differences.
    z = np.array([1e-8, 1e-3, 0.1, 0.24, 0.26, 0.5, 0.9, 1.1, 1.9, 2.1, 2.9, 3.1, 5.9, 6.1, 8.5]).astype(dtype)
    z = np.concatenate([-z, z])
    pairs = [definition(exact(v)) for v in z]
    with np.errstate(all="raise"):
        value, slope = function(z, **options), gradient(z, np.ones_like(z), **options)
    assert value.dtype == slope.dtype == dtype
    bound = 60 if "approximate" in name else 8  # the exponent is rounded, and as large as that
    assert ulp_error(value, [v for v, _ in pairs]) <= bound
    larger = [max(abs(d), abs(v / exact(x))) for (v, d), x in zip(pairs, z, strict=True)]
    error = [abs(exact(g) - d) / m for g, (_, d), m in zip(slope, pairs, larger, strict=True) if m]
    assert max(error) <= bound * exact(np.finfo(dtype).eps)


def test_what_no_definition_holds_to():
    assert set(NAMES) - {name.partition(",")[0] for name in DEFINITIONS} == {
        "linear", "log_softmax", "relu", "sigmoid", "softmax", "tanh",
    }  # fmt: skip


def test_the_tail_of_gelu_agrees_with_scipy():
    z = -np.linspace(0.01, 38, 1000)
    np.testing.assert_allclose(activations.gelu(z), z * np.exp(scipy.special.log_ndtr(z)), rtol=4e-13, atol=1e-308)
    np.testing.assert_allclose(activations.gelu(-z), -z * scipy.special.ndtr(-z), rtol=1e-14)


def test_log_softmax_agrees_with_scipy():
    z = np.random.default_rng(1).normal(scale=30, size=(50, 7))
    np.testing.assert_allclose(
        activations.log_softmax(z), scipy.special.log_softmax(z, axis=-1), rtol=1e-13, atol=1e-14
    )


def test_log_softmax_keeps_the_digits_of_a_likely_class():
    z = np.array([[0.0, -60.0, -70.0]])
    np.testing.assert_allclose(activations.log_softmax(z)[0, 0], -(np.exp(-60) + np.exp(-70)), rtol=1e-14)


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
    inf = np.inf
    limits = {
        "sigmoid": (0, 1), "tanh": (-1, 1), "relu6": (0, 6), "softsign": (-1, 1), "hard_sigmoid": (0, 1),
        "hard_tanh": (-1, 1), "sparse_sigmoid": (0, 1), "log_sigmoid": (-inf, 0), "elu": (-1, inf), "celu": (-1, inf),
        "selu": (-1.7580993408473766, inf), "linear": (-inf, inf), "leaky_relu": (-inf, inf),
        "soft_shrink": (-inf, inf), "hard_shrink": (-inf, inf), "tanh_shrink": (-inf, inf),
    }  # fmt: skip
    slopes = {
        "linear": (1, 1), "leaky_relu": (0.2, 1), "soft_shrink": (1, 1), "hard_shrink": (1, 1), "tanh_shrink": (1, 1),
        "log_sigmoid": (1, 0), "selu": (0, 1.0507009873554805), "exponential": (0, inf),
        **{name: (0, 0) for name, (low, high) in limits.items() if abs(low) + abs(high) < 9 and name != "selu"},
    }  # fmt: skip
    with np.errstate(all="raise"):
        values, derivatives = function(z), gradient(z, np.ones(3))
    np.testing.assert_array_equal(values, [*limits.get(name, (0, inf)), np.nan])
    np.testing.assert_array_equal(derivatives[:2], slopes.get(name, (0, 1)))
