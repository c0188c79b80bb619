"""The reference losses against exact decimals, SciPy, central differences and hand-worked numbers."""

import numpy as np
import pytest
import scipy.special

from fastnn.reference import losses

DTYPES = [np.float32, np.float64, np.longdouble]
LOGITS = [0.0, 1e-40, 1e-8, 0.25, 1.0, 5.5, 17.0, 36.0, 86.0, 104.0, 300.0]
PROBABILITIES = [1e-7, 3e-7, 1e-4, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 0.99999, 0.999999]


def positive_and_negative(values, dtype):
    values = np.array(values, dtype=dtype)
    return np.concatenate([-values, values])


def high_bound(dtype):
    """1 - ε as the clip of this dtype has it."""
    return dtype(1) - dtype(1e-7)


# --- squared error ----------------------------------------------------------------------------------------------------


def test_mean_squared_error_by_hand():
    y, p = np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[3.0, 2.0], [1.0, 2.0]])
    np.testing.assert_array_equal(losses.mean_squared_error(y, p), [2, 5])
    np.testing.assert_array_equal(losses.mean_squared_error_gradient(y, p), [[2, 0], [1, 3]])


def test_mean_squared_error_of_equal_values_is_zero():
    y = np.array([[0.1, -0.0, 1e4]], dtype=np.float32)
    assert losses.mean_squared_error(y, y).tolist() == [0]
    assert losses.mean_squared_error_gradient(y, y).tolist() == [[0, 0, 0]]


def test_mean_squared_error_overflows_to_infinity_without_a_warning():
    with np.errstate(all="raise"):
        value = losses.mean_squared_error([[0.0]], np.array([[1e30]], dtype=np.float32))
    assert value.tolist() == [np.inf]


# --- binary crossentropy ----------------------------------------------------------------------------------------------


def exact_binary(y, z):
    """Loss and gradient in z by the definition, with p = 1 / (1 + exp(-z))."""
    p = 1 / (1 + (-z).exp())
    return -(y * p.ln() + (1 - y) * (1 - p).ln()), p - y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", [0.0, 1.0, 0.25, 1 - 2**-20])
def test_binary_crossentropy_from_logits_is_within_few_ulp(label, dtype, exact, exact_arithmetic, ulp_error):
    z = positive_and_negative(LOGITS, dtype)[:, np.newaxis]
    y = np.full_like(z, label)
    exact_arithmetic.prec = 200  # the definition cancels, by up to exp(300) = 1e130
    expected = [exact_binary(exact(y[i, 0]), exact(z[i, 0])) for i in range(len(z))]
    with np.errstate(all="raise"):
        value = losses.binary_crossentropy(y, z, from_logits=True)
        gradient = losses.binary_crossentropy_gradient(y, z, from_logits=True)
    assert value.dtype == gradient.dtype == dtype
    assert ulp_error(value, [v for v, _ in expected]) <= 8
    # A soft label's gradient cancels at its optimum, where it can be no better than sigmoid(z) itself.
    slack = 8 if label in (0, 1) else 64
    assert ulp_error(gradient, [g for _, g in expected]) <= slack


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_crossentropy_of_huge_logits(dtype):
    z = np.array([[1e4], [-1e4], [1e4], [-1e4]], dtype=dtype)
    y = np.array([[1], [0], [0], [1]])
    with np.errstate(all="raise"):
        value = losses.binary_crossentropy(y, z, from_logits=True)
        gradient = losses.binary_crossentropy_gradient(y, z, from_logits=True)
    tiny = np.exp(-np.longdouble(1e4)).astype(dtype)  # 0 but in an extended longdouble
    np.testing.assert_array_equal(value, np.array([tiny, tiny, 1e4, 1e4], dtype=dtype))
    np.testing.assert_array_equal(gradient[:, 0], np.array([-tiny, tiny, 1, -1], dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", [0.0, 1.0, 0.3])
def test_binary_crossentropy_of_probabilities_is_within_few_ulp(label, dtype, exact, ulp_error):
    p = np.array(PROBABILITIES, dtype=dtype)[:, np.newaxis]
    y = np.full_like(p, label)
    values, gradients = [], []
    for y_i, p_i in zip(map(exact, y[:, 0]), map(exact, p[:, 0]), strict=True):
        values.append(-(y_i * p_i.ln() + (1 - y_i) * (1 - p_i).ln()))
        gradients.append((1 - y_i) / (1 - p_i) - y_i / p_i)
    assert ulp_error(losses.binary_crossentropy(y, p), values) <= 8
    assert ulp_error(losses.binary_crossentropy_gradient(y, p), gradients) <= 8


def test_binary_crossentropy_agrees_with_scipy():
    generator = np.random.default_rng(5)
    y, p = generator.uniform(size=(2, 20, 3))
    expected = -(scipy.special.xlogy(y, p) + scipy.special.xlog1py(1 - y, -p)).mean(axis=-1)
    np.testing.assert_allclose(losses.binary_crossentropy(y, p), expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_crossentropy_clips_at_the_bounds_of_the_dtype(dtype):
    p = np.array([[0], [1], [0], [1], [1.5], [-2]], dtype=dtype)
    y = np.array([[1], [0], [0], [1], [0], [1]])
    with np.errstate(all="raise"):
        value = losses.binary_crossentropy(y, p)
        gradient = losses.binary_crossentropy_gradient(y, p)
    low, high = dtype(1e-7), high_bound(dtype)
    largest_0, largest_1 = -np.log(dtype(1) - high), -np.log(low)
    expected = [largest_1, largest_0, -np.log1p(-low), -np.log(high), largest_0, largest_1]
    np.testing.assert_allclose(value, np.array(expected, dtype=dtype), rtol=8 * np.finfo(dtype).eps)
    assert not gradient.any()


def test_float32_rounds_the_upper_bound():
    p = np.array([[1]], dtype=np.float32)
    assert losses.binary_crossentropy([[0]], p)[0] == pytest.approx(15.942385, rel=1e-7)
    assert losses.binary_crossentropy([[0]], p.astype(np.float64))[0] == pytest.approx(16.118096, rel=1e-7)


def test_gradient_on_the_clip_bounds_is_the_inner_one():
    p = np.array([[1e-7, high_bound(np.float64)]])
    gradient = losses.binary_crossentropy_gradient([[1, 0]], p)
    np.testing.assert_allclose(gradient, [[-1e7 / 2, 1 / (1 - p[0, 1]) / 2]], rtol=1e-14)


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy"])
def test_clip_dtype_gives_a_narrower_formula_its_exact_value(name):
    loss = getattr(losses, name)
    p = np.array([[0, 1], [1, 0], [2e-7, 1], [0.5, 0.5]], dtype=np.float32)
    y = np.array([[1, 0], [1, 0], [0, 1], [1, 0]])
    narrow = loss(y, p)
    wide = loss(y, p.astype(np.longdouble), clip_dtype=np.float32)
    assert wide.dtype == np.longdouble
    np.testing.assert_allclose(narrow, wide.astype(np.float64), rtol=4 * np.finfo(np.float32).eps)
    assert abs(loss(y, p.astype(np.longdouble)) / wide - 1)[1] > 1e-2  # its own 1 - ε is not float32's
    gradient = getattr(losses, name + "_gradient")
    np.testing.assert_allclose(
        gradient(y, p), gradient(y, p.astype(np.longdouble), clip_dtype=np.float32).astype(np.float64), rtol=1e-6
    )


# --- categorical crossentropy -----------------------------------------------------------------------------------------


def exact_softmax_crossentropy(label, z):
    """Loss and gradient in z by the definition, with q = exp(z) / sum(exp(z))."""
    exponentials = [v.exp() for v in z]
    q = [e / sum(exponentials) for e in exponentials]
    return -q[label].ln(), [q_k - (k == label) for k, q_k in enumerate(q)]


ROWS = [
    [0.0, 0.0, 0.0],
    [1.0, -2.0, 0.5],
    [30.0, 0.0, 2.0],
    [0.0, -80.0, -85.5],
    [-1000.0, -1000.0, -1001.0],
    [50.0, 50.0, -20.0],
    [1e-40, 0.0, -1e-40],
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", [0, 1, 2])
def test_categorical_crossentropy_from_logits_is_within_few_ulp(label, dtype, exact, exact_arithmetic, ulp_error):
    z = np.array(ROWS, dtype=dtype)
    y = np.eye(3, dtype=dtype)[np.full(len(z), label)]
    exact_arithmetic.prec = 120  # the definition cancels, by up to exp(80) = 1e35
    expected = [exact_softmax_crossentropy(label, [exact(v) for v in row]) for row in z]
    with np.errstate(all="raise"):
        value = losses.categorical_crossentropy(y, z, from_logits=True)
        gradient = losses.categorical_crossentropy_gradient(y, z, from_logits=True)
    assert value.dtype == gradient.dtype == dtype
    assert ulp_error(value, [v for v, _ in expected]) <= 8
    assert ulp_error(gradient, [g for _, g in expected]) <= 8


def test_soft_labels_from_logits_agree_with_scipy():
    generator = np.random.default_rng(6)
    y, z = generator.uniform(size=(20, 5)), generator.normal(scale=10, size=(20, 5))  # rows of y do not sum to 1
    value = losses.categorical_crossentropy(y, z, from_logits=True)
    np.testing.assert_allclose(value, -(y * scipy.special.log_softmax(z, axis=-1)).sum(axis=-1), rtol=1e-13)
    gradient = losses.categorical_crossentropy_gradient(y, z, from_logits=True)
    expected = y.sum(axis=-1, keepdims=True) * scipy.special.softmax(z, axis=-1) - y
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-15)


def test_a_tiny_soft_label_is_not_rounded_away():
    # The gradient at the certain class is the other label, 1e-9, of which nothing is left in float32's 1 + 1e-9 - 1.
    y, z = np.array([[1, 1e-9]]), np.array([[40, 0]], dtype=np.float32)
    gradient = losses.categorical_crossentropy_gradient(y, z, from_logits=True)
    np.testing.assert_allclose(gradient, [[1e-9, -1e-9]], rtol=1e-6)


def test_categorical_crossentropy_of_huge_logits():
    z = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [1e4, 1e4, -1e4]], dtype=np.float32)
    y = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]])
    with np.errstate(all="raise"):
        value = losses.categorical_crossentropy(y, z, from_logits=True)
        gradient = losses.categorical_crossentropy_gradient(y, z, from_logits=True)
    np.testing.assert_array_equal(value, np.array([0, 2e4, np.log(2)], dtype=np.float32))
    np.testing.assert_array_equal(gradient, [[0, 0, 0], [1, -1, 0], [-0.5, 0.5, 0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("label", [0, 1, 2])
def test_categorical_crossentropy_of_probabilities_is_within_few_ulp(label, dtype, exact, ulp_error):
    p = np.array(
        [[0.2, 0.3, 0.5], [1.0, 2.0, 5.0], [1.0, 2e-6, 1e-6], [1e-3, 1e3, 2e-3], [4e-39, 2e-38, 1e-38]], dtype=dtype
    )
    y = np.eye(3, dtype=dtype)[np.full(len(p), label)]
    values, gradients = [], []
    for row in p:
        exact_row = [exact(v) for v in row]
        s = sum(exact_row)
        values.append(-(exact_row[label] / s).ln())
        gradients.append([1 / s - (k == label) / exact_row[label] for k in range(3)])
    with np.errstate(all="raise"):
        value = losses.categorical_crossentropy(y, p)
        gradient = losses.categorical_crossentropy_gradient(y, p)
    assert ulp_error(value, values) <= 8
    assert ulp_error(gradient, gradients) <= 8


@pytest.mark.parametrize("dtype", DTYPES)
def test_categorical_crossentropy_clips_normalised_probabilities(dtype):
    p = np.array([[0, 4], [4, 0], [0, 4], [1e-9, 1]], dtype=dtype)
    y = np.array([[1, 0], [1, 0], [0.25, 0.75], [1, 0]])
    with np.errstate(all="raise"):
        value = losses.categorical_crossentropy(y, p)
        gradient = losses.categorical_crossentropy_gradient(y, p)
    most, least = -np.log(dtype(1e-7)), -np.log(high_bound(dtype))
    expected = np.array([most, least, dtype(0.25) * most + dtype(0.75) * least, most], dtype=dtype)
    np.testing.assert_allclose(value, expected, rtol=8 * np.finfo(dtype).eps)
    assert not gradient.any()


def test_the_clip_is_decided_on_the_exact_quotient():
    # p / sum(p) = 1 - 1.0e-7 lies above float32's bound 1 - 1.19e-7, but is rounded to it.
    y, p = np.array([[0, 1]]), np.array([[1e-7, 1 - 1e-7]], dtype=np.float32)
    assert p[0, 1] / p.sum() == high_bound(np.float32)
    assert not losses.categorical_crossentropy_gradient(y, p.astype(np.longdouble), clip_dtype=np.float32).any()
    assert not losses.categorical_crossentropy_gradient(y, p).any()


def test_a_clipped_class_leaves_the_gradient_of_the_others():
    # Class 0 is clipped and its label drops out: what is left is -0.5 log(p_1 / s) - 0.25 log(p_2 / s).
    y, p = np.array([[0.25, 0.5, 0.25]]), np.array([[1e-9, 0.75, 0.25]])
    s = p.sum()
    expected = [[0.75 / s, 0.75 / s - 0.5 / 0.75, 0.75 / s - 0.25 / 0.25]]
    np.testing.assert_allclose(losses.categorical_crossentropy_gradient(y, p), expected, rtol=1e-14)


def test_a_row_of_zero_probabilities_is_nan_without_a_warning():
    p = np.zeros((1, 2))
    with np.errstate(all="raise"):
        assert np.isnan(losses.categorical_crossentropy([[1, 0]], p)).all()
        assert np.isnan(losses.categorical_crossentropy_gradient([[1, 0]], p)).any()


@pytest.mark.parametrize("from_logits", [False, True])
def test_sparse_is_categorical_with_one_hot_labels(from_logits):
    generator = np.random.default_rng(7)
    p = generator.uniform(size=(30, 4)).astype(np.float32)
    labels = generator.integers(4, size=30)
    one_hot = np.eye(4)[labels]
    value = losses.sparse_categorical_crossentropy(labels, p, from_logits)
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, losses.categorical_crossentropy(one_hot, p, from_logits))
    np.testing.assert_array_equal(
        losses.sparse_categorical_crossentropy_gradient(labels, p, from_logits),
        losses.categorical_crossentropy_gradient(one_hot, p, from_logits),
    )


def test_sparse_takes_masked_logits():
    z = np.array([[0.0, -np.inf, 0.0]])
    with np.errstate(all="raise"):
        value = losses.sparse_categorical_crossentropy([2], z, from_logits=True)
        gradient = losses.sparse_categorical_crossentropy_gradient([2], z, from_logits=True)
    np.testing.assert_allclose(value, np.log(2), rtol=1e-15)
    np.testing.assert_array_equal(gradient, [[0.5, 0, -0.5]])


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize(
    "function", [losses.sparse_categorical_crossentropy, losses.sparse_categorical_crossentropy_gradient]
)
def test_a_label_outside_the_classes_is_named(function, label):
    with pytest.raises(ValueError, match=rf"y_true holds the label {label}, expected labels in 0 \.\.\. 2"):
        function([0, label], np.ones((2, 3)))


# --- label smoothing, gradients, NaN ----------------------------------------------------------------------------------


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize(("name", "classes"), [("binary_crossentropy", 2), ("categorical_crossentropy", 4)])
def test_label_smoothing_is_crossentropy_with_smoothed_labels(name, classes, from_logits):
    generator = np.random.default_rng(8)
    y = np.eye(4)[generator.integers(4, size=10)]
    p = generator.uniform(0.1, 0.9, size=(10, 4))
    for suffix in ("", "_gradient"):
        function = getattr(losses, name + suffix)
        smoothed = y * (1 - 0.1) + 0.1 / classes
        got = function(y, p, from_logits, label_smoothing=0.1)
        np.testing.assert_allclose(got, function(smoothed, p, from_logits), rtol=1e-12, atol=1e-15)
        assert np.abs(got - function(y, p, from_logits)).max() > 1e-3


def test_a_tiny_label_smoothing_is_not_rounded_away():
    # y = 1 becomes 1 - 5e-9, which float32 cannot tell from 1; the loss at a huge logit is all in that 5e-9.
    value = losses.binary_crossentropy([[1]], np.array([[1e4]], dtype=np.float32), True, label_smoothing=1e-8)
    np.testing.assert_allclose(value, [5e-5], rtol=1e-6)
    gradient = losses.binary_crossentropy_gradient([[1]], np.array([[1e4]], dtype=np.float32), True, 1e-8)
    np.testing.assert_allclose(gradient, [[5e-9]], rtol=1e-6)


CASES = [
    ("mean_squared_error", "soft", {}),
    ("binary_crossentropy", "soft", {}),
    ("binary_crossentropy", "soft", {"label_smoothing": 0.2}),
    ("binary_crossentropy", "soft", {"from_logits": True}),
    ("categorical_crossentropy", "soft", {}),
    ("categorical_crossentropy", "soft", {"label_smoothing": 0.2}),
    ("categorical_crossentropy", "soft", {"from_logits": True}),
    ("sparse_categorical_crossentropy", "labels", {}),
    ("sparse_categorical_crossentropy", "labels", {"from_logits": True}),
    ("mean_absolute_error", "soft", {}),
    ("mean_absolute_percentage_error", "soft", {}),
    ("mean_squared_logarithmic_error", "soft", {}),
    ("huber", "soft", {"delta": 0.25}),
    ("huber", "soft", {}),
    ("log_cosh", "soft", {}),
    ("quantile", "soft", {"q": 0.9}),
    ("poisson", "soft", {}),
    ("gamma", "soft", {}),
    ("cosine_similarity", "soft", {}),
    ("kl_divergence", "soft", {}),
    ("kl_divergence", "soft", {"from_logits": True}),
    ("hinge", "soft", {}),
    ("squared_hinge", "soft", {}),
    ("categorical_hinge", "soft", {}),
    ("binary_focal_crossentropy", "soft", {}),
    ("binary_focal_crossentropy", "soft", {"apply_class_balancing": True, "gamma": 0.5, "label_smoothing": 0.2}),
    ("binary_focal_crossentropy", "soft", {"from_logits": True, "gamma": 1.5}),
    ("binary_focal_crossentropy", "soft", {"from_logits": True, "gamma": 0.0}),
    ("categorical_focal_crossentropy", "soft", {}),
    ("categorical_focal_crossentropy", "soft", {"alpha": [0.1, 0.5, 0.4], "gamma": 0.5, "label_smoothing": 0.2}),
    ("categorical_focal_crossentropy", "soft", {"from_logits": True, "gamma": 1.5}),
]


@pytest.mark.parametrize(("name", "kind", "options"), CASES)
def test_gradient_is_the_derivative(name, kind, options, central_difference):
    loss, gradient = getattr(losses, name), getattr(losses, name + "_gradient")
    generator = np.random.default_rng(9)
    p = generator.uniform(0.05, 0.95, size=(4, 3)).astype(np.longdouble)  # rows do not sum to 1
    y = generator.uniform(size=(4, 3)) if kind == "soft" else generator.integers(3, size=4)
    numeric = central_difference(lambda v: loss(y, v, **options).sum(), p)
    np.testing.assert_allclose(gradient(y, p, **options), numeric, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("name", "kind", "options"), CASES)
def test_nan_reaches_value_and_gradient_of_its_own_row_only(name, kind, options):
    loss, gradient = getattr(losses, name), getattr(losses, name + "_gradient")
    p = np.array([[0.5, np.nan, 0.25], [0.5, 0.25, 0.25]], dtype=np.float32)
    y = np.full((2, 3), 0.5) if kind == "soft" else np.array([1, 1])
    with np.errstate(all="raise"):
        value, slope = loss(y, p, **options), gradient(y, p, **options)
    assert np.isnan(value).tolist() == [True, False]
    assert np.isnan(slope[0, 1])
    assert not np.isnan(slope[1]).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "kind", "options"), CASES)
def test_dtype_shape_and_arguments_are_kept(name, kind, options, dtype):
    p = np.random.default_rng(10).uniform(size=(4, 3)).astype(dtype)
    y = np.random.default_rng(11).uniform(size=(4, 3)) if kind == "soft" else np.array([0, 1, 2, 0], dtype=np.uint8)
    kept_y, kept_p = y.copy(), p.copy()
    value, slope = getattr(losses, name)(y, p, **options), getattr(losses, name + "_gradient")(y, p, **options)
    assert (value.dtype, value.shape) == (dtype, (4,))
    assert (slope.dtype, slope.shape) == (dtype, (4, 3))
    np.testing.assert_array_equal(y, kept_y)
    np.testing.assert_array_equal(p, kept_p)


# --- cost -------------------------------------------------------------------------------------------------------------

L = np.array([1.0, 2.0, 4.0, 8.0])
W = [1, 0, 0.5, 2]


@pytest.mark.parametrize(
    ("reduction", "plain", "weighted"),
    [
        ("sum_over_batch_size", 3.75, 4.75),
        ("mean", 3.75, 4.75),
        ("sum", 15, 19),
        ("mean_with_sample_weight", 3.75, 19 / 3.5),
    ],
)
def test_cost_by_hand(reduction, plain, weighted):
    assert losses.cost(L, reduction=reduction) == plain
    assert losses.cost(L, W, reduction) == weighted


@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"])
def test_cost_gradient_is_the_derivative_of_the_cost(reduction, weights, central_difference):
    per_sample = L.astype(np.longdouble)
    numeric = central_difference(lambda v: losses.cost(v, weights, reduction), per_sample)
    rows = np.array([[1, -3]] * 4, dtype=np.longdouble)  # d(loss) / d(prediction)
    expected = numeric[:, np.newaxis] * rows
    np.testing.assert_allclose(losses.cost_gradient(rows, weights, reduction), expected, rtol=1e-9)


def test_default_reduction_is_the_mean_over_the_batch():
    assert losses.cost(L, W) == losses.cost(L, W, "sum_over_batch_size")
    rows = np.ones((4, 2))
    np.testing.assert_array_equal(losses.cost_gradient(rows, W)[:, 0], [0.25, 0, 0.125, 0.5])


def test_cost_sums_in_float64_at_least():
    per_sample = np.array([2**25, 1, 1, 1], dtype=np.float32)
    assert losses.cost(per_sample, reduction="sum") == 2**25 + 3  # float32 would stop at 2**25 + 4
    assert losses.cost(per_sample).dtype == np.float64
    assert losses.cost(per_sample.astype(np.longdouble)).dtype == np.longdouble
    assert losses.cost_gradient(np.ones((4, 2), dtype=np.float32)).dtype == np.float32


@pytest.mark.parametrize("weights", [[0, 0, 0, 0], [1, -1, 0, 0]])
def test_weights_that_sum_to_zero_give_zero(weights):
    assert losses.cost(L, weights, "mean_with_sample_weight") == 0
    assert not losses.cost_gradient(np.ones((4, 2)), weights, "mean_with_sample_weight").any()


def test_an_unknown_reduction_is_named():
    with pytest.raises(ValueError, match="reduction is 'median', expected 'sum_over_batch_size', 'mean', 'sum' or"):
        losses.cost(L, reduction="median")
