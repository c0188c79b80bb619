"""Losses as users call them: of samples, reduced, weighted, with gradients; any array; errors that name arguments."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastnn import losses
from fastnn.reference import losses as reference

DTYPES = [np.float32, np.float64]
REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"]


class Case(NamedTuple):
    """A loss, its reference, and how to make data for it."""

    loss: Callable[..., losses.Loss]
    function: str  # of the reference
    options: dict[str, Any]
    targets: str
    logits: bool


CASES = {
    "mse": Case(losses.MeanSquaredError, "mean_squared_error", {}, "real", True),
    "bce": Case(losses.BinaryCrossentropy, "binary_crossentropy", {}, "binary", False),
    "bce logits": Case(losses.BinaryCrossentropy, "binary_crossentropy", {"from_logits": True}, "binary", True),
    "bce smooth": Case(losses.BinaryCrossentropy, "binary_crossentropy", {"label_smoothing": 0.2}, "binary", False),
    "ce": Case(losses.CategoricalCrossentropy, "categorical_crossentropy", {}, "soft", False),
    "ce logits": Case(
        losses.CategoricalCrossentropy,
        "categorical_crossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        "soft",
        True,
    ),
    "sparse": Case(losses.SparseCategoricalCrossentropy, "sparse_categorical_crossentropy", {}, "labels", False),
    "sparse logits": Case(
        losses.SparseCategoricalCrossentropy, "sparse_categorical_crossentropy", {"from_logits": True}, "labels", True
    ),
    "mae": Case(losses.MeanAbsoluteError, "mean_absolute_error", {}, "real", True),
    "mape": Case(losses.MeanAbsolutePercentageError, "mean_absolute_percentage_error", {}, "real", True),
    "msle": Case(losses.MeanSquaredLogarithmicError, "mean_squared_logarithmic_error", {}, "positive", False),
    "huber": Case(losses.Huber, "huber", {"delta": 0.5}, "real", True),
    "log_cosh": Case(losses.LogCosh, "log_cosh", {}, "real", True),
    "quantile": Case(losses.Quantile, "quantile", {"q": 0.75}, "real", True),
    "poisson": Case(losses.Poisson, "poisson", {}, "positive", False),
    "gamma": Case(losses.Gamma, "gamma", {}, "positive", False),
    "hinge": Case(losses.Hinge, "hinge", {}, "signs", True),
    "squared_hinge": Case(losses.SquaredHinge, "squared_hinge", {}, "signs", True),
    "categorical_hinge": Case(losses.CategoricalHinge, "categorical_hinge", {}, "one-hot", True),
    "cosine": Case(losses.CosineSimilarity, "cosine_similarity", {}, "real", True),
    "kld": Case(losses.KLDivergence, "kl_divergence", {}, "soft", False),
    "kld logits": Case(losses.KLDivergence, "kl_divergence", {"from_logits": True}, "soft", True),
    "focal": Case(
        losses.BinaryFocalCrossentropy,
        "binary_focal_crossentropy",
        {"apply_class_balancing": True, "alpha": 0.25, "gamma": 1.5},
        "binary",
        False,
    ),
    "focal logits": Case(
        losses.BinaryFocalCrossentropy,
        "binary_focal_crossentropy",
        {"from_logits": True, "label_smoothing": 0.2},
        "binary",
        True,
    ),
    "focal ce": Case(
        losses.CategoricalFocalCrossentropy,
        "categorical_focal_crossentropy",
        {"gamma": 0.5, "label_smoothing": 0.1},
        "one-hot",
        False,
    ),
    "focal ce logits": Case(
        losses.CategoricalFocalCrossentropy, "categorical_focal_crossentropy", {"from_logits": True}, "one-hot", True
    ),
}
DENSE = [name for name, case in CASES.items() if case.targets != "labels"]
ONE_OUTPUT = ["mse", "bce", "bce logits", "bce smooth"]


def data(case: Case, rows: int, outputs: int, dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions."""
    generator = np.random.default_rng(rows + 100 * outputs)
    shape = rows, outputs
    p = 2 * generator.standard_normal(shape) if case.logits else generator.uniform(0.05, 0.95, shape)
    y = {
        "real": lambda: generator.standard_normal(shape).astype(dtype),
        "binary": lambda: generator.integers(0, 2, shape).astype(dtype),
        "positive": lambda: generator.uniform(0.1, 3, shape).astype(dtype),
        "signs": lambda: (2.0 * generator.integers(0, 2, shape) - 1).astype(dtype),
        "one-hot": lambda: np.eye(outputs, dtype=dtype)[generator.integers(0, outputs, rows)],
        "soft": lambda: generator.dirichlet(np.ones(outputs), rows).astype(dtype),
        "labels": lambda: generator.integers(0, outputs, rows),
    }[case.targets]()
    return y, p.astype(dtype)


def make(case: str, /, **options: Any) -> losses.Loss:
    return CASES[case].loss(**CASES[case].options, **options)


def exact(name: str, y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradients of the samples by the reference, in longdouble."""
    case = CASES[name]
    options = dict(case.options)
    if "clip_dtype" in inspect.signature(getattr(reference, case.function)).parameters:
        options["clip_dtype"] = p.dtype
    function, gradient = (getattr(reference, case.function + suffix) for suffix in ("", "_gradient"))
    wide = p.astype(np.longdouble)
    return function(y, wide, **options), gradient(y, wide, **options)


def tolerance(dtype: Any) -> dict[str, float]:
    eps = float(np.finfo(dtype).eps)
    return {"rtol": 50 * eps, "atol": 20 * eps}


# ---- values and gradients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (7, 1), (20, 5)])
def test_losses_of_samples(name: str, dtype: type, shape: tuple[int, int]) -> None:
    y, p = data(CASES[name], *shape, dtype=dtype)
    before = y.copy(), p.copy()
    got = make(name).per_sample(y, p)
    assert (got.dtype, got.shape) == (np.float64, shape[:1])
    np.testing.assert_allclose(got, exact(name, y, p)[0].astype(float), **tolerance(dtype))
    np.testing.assert_array_equal(make(name, reduction="sum").per_sample(y, p), got)
    np.testing.assert_array_equal(y, before[0])
    np.testing.assert_array_equal(p, before[1])


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_costs_and_their_gradients(name: str, dtype: type, reduction: str, weighted: bool) -> None:
    y, p = data(CASES[name], 11, 4, dtype)
    weights = np.random.default_rng(1).uniform(0, 3, 11) if weighted else None
    value, gradient = exact(name, y, p)
    loss = make(name, reduction=reduction)
    cost = loss(y, p, weights)
    assert isinstance(cost, float)
    np.testing.assert_allclose(cost, float(reference.cost(value, weights, reduction)), **tolerance(dtype))
    got = loss.gradient(y, p, weights)
    assert (got.dtype, got.shape) == (dtype, p.shape)
    expected = reference.cost_gradient(gradient, weights, reduction).astype(float)
    np.testing.assert_allclose(got, expected, **tolerance(dtype))
    both = loss.value_and_gradient(y, p, weights)
    assert both[0] == cost
    np.testing.assert_array_equal(both[1], got)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", [None, "none"])
def test_without_a_reduction_every_sample_has_its_own(name: str, reduction: str | None) -> None:
    y, p = data(CASES[name], 6, 3)
    weights = np.array([0, 1, 2, 0.5, 3, 1])
    loss = make(name, reduction=reduction)
    np.testing.assert_array_equal(loss(y, p), loss.per_sample(y, p))
    np.testing.assert_array_equal(loss(y, p, weights), weights * loss.per_sample(y, p))
    gradient = loss.gradient(y, p, weights)
    for i in range(6):
        np.testing.assert_array_equal(gradient[i : i + 1], weights[i] * loss.gradient(y[i : i + 1], p[i : i + 1]))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients_are_the_slopes_of_the_cost(name: str, reduction: str) -> None:
    y, p = data(CASES[name], 3, 4)
    weights = np.array([0.5, 2, 1])
    loss = make(name, reduction=reduction)
    gradient = loss.gradient(y, p, weights)
    step = 1e-6
    for at in np.ndindex(p.shape):
        above, below = p.copy(), p.copy()
        above[at] += step
        below[at] -= step
        slope = (loss(y, above, weights) - loss(y, below, weights)) / (2 * step)
        assert gradient[at] == pytest.approx(slope, rel=1e-6, abs=1e-8)


def test_by_hand() -> None:
    y, p = np.array([[0.0, 1.0], [0.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 0.5]])
    np.testing.assert_array_equal(losses.MeanSquaredError().per_sample(y, p), [0.5, 0.625])
    assert losses.MeanSquaredError()(y, p) == 0.5625
    np.testing.assert_array_equal(losses.MeanSquaredError().gradient(y, p), [[0.5, 0], [0.5, 0.25]])
    half = np.array([[0.5], [0.5]])
    assert losses.BinaryCrossentropy()([[0], [1]], half) == pytest.approx(np.log(2))
    np.testing.assert_allclose(losses.BinaryCrossentropy().gradient([[0], [1]], half), [[1], [-1]])
    assert losses.SparseCategoricalCrossentropy(from_logits=True)([2], [[0, 0, 0, 0]]) == pytest.approx(np.log(4))
    got = losses.CategoricalCrossentropy().per_sample([[0, 1], [0.5, 0.5]], [[1, 3], [1, 3]])  # rows are normalised
    np.testing.assert_allclose(got, [-np.log(0.75), -(np.log(0.25) + np.log(0.75)) / 2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_probabilities_are_clipped(dtype: type) -> None:
    p = np.array([[0], [1]], dtype)
    low, high = dtype(1e-7), dtype(1) - dtype(1e-7)
    loss = losses.BinaryCrossentropy()
    expected = [-np.log(float(low)), -np.log1p(-float(high))]
    np.testing.assert_allclose(loss.per_sample([[1], [0]], p), expected, rtol=1e-6)
    assert not loss.gradient([[1], [0]], p).any()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_in_predictions_are_data(name: str, bad: float) -> None:
    y, p = data(CASES[name], 4, 3)
    clean = make(name).per_sample(y, p)
    p[2, 1] = bad
    got, gradient = make(name, reduction="none").value_and_gradient(y, p)
    np.testing.assert_array_equal(np.delete(got, 2), np.delete(clean, 2))
    assert np.isfinite(np.delete(gradient, 2, axis=0)).all()
    if np.isnan(bad):
        assert np.isnan(got[2])
        assert np.isnan(gradient[2, 1])
        assert np.isnan(make(name)(y, p))


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", [*REDUCTIONS, None])
@pytest.mark.parametrize("name", CASES)
def test_weights_in_any_form(name: str, reduction: str | None) -> None:
    y, p = data(CASES[name], 4, 3)
    loss = make(name, reduction=reduction)
    weights = np.array([1.0, 0.0, 2.0, 3.0])
    value, gradient = loss.value_and_gradient(y, p, weights)
    forms = [[1, 0, 2, 3], weights[:, np.newaxis], weights.astype(int), weights.astype(np.float32), weights[::-1][::-1]]
    for form in forms:
        got, got_gradient = loss.value_and_gradient(y, p, form)
        np.testing.assert_array_equal(got, value)
        np.testing.assert_array_equal(got_gradient, gradient)
    for form in (2, 2.0, np.float32(2), np.array(2)):
        got, got_gradient = loss.value_and_gradient(y, p, form)
        expected, expected_gradient = loss.value_and_gradient(y, p, np.full(4, 2.0))
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(got_gradient, expected_gradient)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights_of_0_leave_samples_out(name: str, reduction: str) -> None:
    y, p = data(CASES[name], 4, 3)
    value, gradient = make(name, reduction=reduction).value_and_gradient(y, p, np.zeros(4))
    assert value == 0
    assert not gradient.any()
    value, gradient = make(name, reduction=reduction).value_and_gradient(y, p, [1, 0, 0, 0])
    alone, alone_gradient = make(name, reduction=reduction).value_and_gradient(y[:1], p[:1])
    share = 4 if reduction in ("sum_over_batch_size", "mean") else 1
    assert value == pytest.approx(alone / share, rel=1e-15)
    np.testing.assert_allclose(gradient[:1], alone_gradient / share, rtol=1e-14)
    assert not gradient[1:].any()


# ---- shapes and layouts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ONE_OUTPUT)
def test_a_vector_means_a_column(name: str) -> None:
    y, p = data(CASES[name], 6, 1)
    value, gradient = make(name).value_and_gradient(y, p)
    for target in (y, y[:, 0]):
        for prediction in (p, p[:, 0]):
            got, got_gradient = make(name).value_and_gradient(target, prediction)
            assert got == value
            assert got_gradient.shape == prediction.shape
            np.testing.assert_array_equal(got_gradient.reshape(-1), gradient[:, 0])
            assert make(name).per_sample(target, prediction).shape == (6,)


def read_only(x: np.ndarray) -> np.ndarray:
    result = x.copy()
    result.flags.writeable = False
    return result


def spread(x: np.ndarray) -> np.ndarray:
    """The same numbers, every third column of a wider array."""
    wide = np.full((*x.shape[:-1], 3 * x.shape[-1]), 9, x.dtype)
    wide[..., ::3] = x
    return wide[..., ::3]


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "strided": spread,
    "reversed": lambda x: x[::-1].copy()[::-1],
    "Fortran": np.asfortranarray,
    "read-only": read_only,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_any_layout_gives_the_same_bytes(name: str, dtype: type, layout: str) -> None:
    y, p = data(CASES[name], 9, 5, dtype)
    weights = np.random.default_rng(2).uniform(0, 2, 9).astype(dtype)
    value, gradient = make(name).value_and_gradient(y, p, weights)
    change = LAYOUTS[layout]
    got, got_gradient = make(name).value_and_gradient(change(y), change(p), change(weights))
    assert got == value
    assert got_gradient.dtype == dtype
    np.testing.assert_array_equal(got_gradient, gradient)


@pytest.mark.parametrize("name", CASES)
def test_lists_and_other_dtypes_are_computed_in_float64(name: str) -> None:
    y, p = data(CASES[name], 4, 3)
    p = np.round(p * 64) / 64  # what float16 holds
    if CASES[name].targets == "real":
        y = np.round(y)
    value, gradient = make(name).value_and_gradient(y, p)
    for prediction in (p.tolist(), p.astype(np.float16), p.astype(np.longdouble)):
        got, got_gradient = make(name).value_and_gradient(y.tolist(), prediction)
        assert got == value
        assert got_gradient.dtype == np.float64
        np.testing.assert_array_equal(got_gradient, gradient)


@pytest.mark.parametrize("name", ["mse", "bce", "bce logits"])
def test_integers(name: str) -> None:
    y, p = np.array([[0, 1], [1, 1]]), np.array([[1, 0], [1, 1]])
    value, gradient = make(name).value_and_gradient(y, p)
    expected, expected_gradient = make(name).value_and_gradient(y.astype(float), p.astype(float))
    assert value == expected
    np.testing.assert_array_equal(gradient, expected_gradient)
    assert make(name)(y.astype(bool), p.astype(np.uint8)) == expected


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.uint64, np.float32, np.float64])
@pytest.mark.parametrize("name", ["sparse", "sparse logits"])
def test_labels_of_any_dtype(name: str, dtype: type) -> None:
    y, p = data(CASES[name], 8, 5)
    value, gradient = make(name).value_and_gradient(y, p)
    for labels in (y.astype(dtype), y.astype(dtype)[:, np.newaxis], spread(y[np.newaxis].astype(dtype))[0]):
        got, got_gradient = make(name).value_and_gradient(labels, p)
        assert got == value
        np.testing.assert_array_equal(got_gradient, gradient)


def test_boolean_labels() -> None:
    p = [[0.25, 0.75], [0.5, 0.5]]
    loss = losses.SparseCategoricalCrossentropy()
    assert loss([True, False], p) == loss([1, 0], p)


@pytest.mark.parametrize("from_logits", [False, True])
def test_labels_are_one_hot_rows(from_logits: bool) -> None:
    case = CASES["sparse logits" if from_logits else "sparse"]
    labels, p = data(case, 30, 6)
    value, gradient = losses.SparseCategoricalCrossentropy(from_logits).value_and_gradient(labels, p)
    expected, expected_gradient = losses.CategoricalCrossentropy(from_logits).value_and_gradient(np.eye(6)[labels], p)
    assert value == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-12, atol=1e-16)


# ---- out -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("place", ["new", "y_pred", "strided", "Fortran"])
def test_out(name: str, place: str) -> None:
    y, p = data(CASES[name], 4, 3, np.float32)
    expected_value, expected = make(name).value_and_gradient(y, p)
    for both in (False, True):
        given = p.copy()
        out = {
            "new": np.full((4, 3), 7, np.float32),
            "y_pred": given,
            "strided": np.full((8, 6), 7, np.float32)[::2, ::2],
            "Fortran": np.full((4, 3), 7, np.float32, order="F"),
        }[place]
        if both:
            value, got = make(name).value_and_gradient(y, given, out=out)
            assert value == expected_value
        else:
            got = make(name).gradient(y, given, out=out)
        assert got is out
        np.testing.assert_array_equal(out, expected)
        if place == "strided":
            assert (out.base[1::2] == 7).all()
            assert (out.base[:, 1::2] == 7).all()


def test_out_has_the_shape_of_the_predictions() -> None:
    y, p = np.zeros(4), np.ones(4)
    out = np.zeros(4)
    assert losses.MeanSquaredError().gradient(y, p, out=out) is out
    assert (out == 0.5).all()
    with pytest.raises(ValueError, match=r"out is float64 \(4, 1\), expected float64 \(4,\)"):
        losses.MeanSquaredError().gradient(y, p, out=np.zeros((4, 1)))


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([[0.0] * 3] * 4, TypeError, "out is list, expected an ndarray"),
        (np.zeros((4, 4)), ValueError, r"out is float64 \(4, 4\), expected float64 \(4, 3\)"),
        (np.zeros((4, 3), np.float32), ValueError, r"out is float32 \(4, 3\), expected float64 \(4, 3\)"),
        (read_only(np.zeros((4, 3))), ValueError, "out is read-only"),
    ],
)
def test_a_bad_out_is_an_error_and_stays_as_it_is(out: Any, error: type[Exception], message: str) -> None:
    before = copy.deepcopy(out)
    for name in CASES:
        y, p = data(CASES[name], 4, 3)
        with pytest.raises(error, match=message):
            make(name).gradient(y, p, out=out)
        with pytest.raises(error, match=message):
            make(name).value_and_gradient(y, p, out=out)
    np.testing.assert_array_equal(out, before)


# ---- errors ----------------------------------------------------------------------------------------------------------

GOOD = np.full((3, 4), 0.25)


def assert_raises(name: str, arguments: tuple[Any, ...], error: type[Exception], message: str) -> None:
    """From every way to call a loss."""
    loss = make(name)
    calls: list[Callable[..., Any]] = [loss, loss.gradient, loss.value_and_gradient]
    if len(arguments) == 2:
        calls.append(loss.per_sample)
    for call in calls:
        with pytest.raises(error, match=message):
            call(*arguments)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (None, TypeError, "y_pred is None, expected"),
        ([["a"]], TypeError, "y_pred has dtype <U1, expected real numbers"),
        ([[1j]], TypeError, "y_pred has dtype complex128, expected real numbers"),
        ([[1], [1, 2]], ValueError, "y_pred is no rectangular array"),
        (0.5, ValueError, r"y_pred has shape \(\), expected \(samples, outputs\)"),
        (np.ones((2, 2, 2)), ValueError, r"y_true has shape \(3,\), expected .*\(2, 2"),
        (np.ones((0, 4)), ValueError, r"y_pred has shape \(0, 4\), expected at least one sample"),
        (np.ones((3, 0)), ValueError, r"y_pred has shape \(3, 0\), expected at least one sample"),
        ([], ValueError, r"y_pred has shape \(0.*\), expected at least one sample"),
    ],
)
def test_bad_predictions(name: str, p: Any, error: type[Exception], message: str) -> None:
    assert_raises(name, (np.zeros(3, int), p), error, message)


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, TypeError, "y_true is None, expected"),
        ([["a"] * 4] * 3, TypeError, "y_true has dtype <U1, expected real numbers"),
        ([[1], [1, 2]], ValueError, "y_true is no rectangular array"),
        (np.ones((3, 1)), ValueError, r"y_true has shape \(3, 1\), expected \(samples, 4\)"),
        (np.ones(3), ValueError, r"y_true has shape \(3,.*\), expected \(samples, 4\)"),
        (np.ones((3, 5)), ValueError, r"y_true has shape \(3, 5\), expected \(samples, 4\)"),
        (np.ones((1, 4)), ValueError, "y_true has 1 samples, expected 3"),
        (np.ones((4, 4)), ValueError, "y_true has 4 samples, expected 3"),
        (np.ones((1, 3, 4)), ValueError, r"y_true has shape \(1, 3, 4\), expected two dimensions"),
        (1.0, ValueError, r"y_true has shape \(\), expected two dimensions"),
        ([[0, 0, 0, 0], [0, 0, 0, 0], [0, np.nan, 0, 0]], ValueError, "y_true has a NaN in sample 2, expected numbers"),
    ],
)
def test_bad_targets(name: str, y: Any, error: type[Exception], message: str) -> None:
    assert_raises(name, (y, GOOD), error, message)


@pytest.mark.parametrize("name", ONE_OUTPUT)
def test_columns_are_never_broadcast(name: str) -> None:
    assert_raises(
        name, (np.ones((3, 4)), np.ones((3, 1))), ValueError, r"y_true has shape \(3, 4\), expected \(samples, 1\)"
    )
    assert_raises(
        name, (np.ones((3, 4)), np.ones(3)), ValueError, r"y_true has shape \(3, 4\), expected \(samples, 1\)"
    )


@pytest.mark.parametrize("name", ["sparse", "sparse logits"])
@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, TypeError, "y_true"),
        (["a", "b", "c"], TypeError, "y_true has dtype <U1, expected integer labels"),
        ([0, 4, 1], ValueError, "y_true has the label 4 at position 1, expected integers from 0 to 3"),
        ([0, 1, -1], ValueError, "y_true has the label -1 at position 2, expected integers from 0 to 3"),
        ([2**40, 1, 1], ValueError, "y_true has the label 1099511627776 at position 0"),
        (np.array([0, 1, 2**64 - 1], np.uint64), ValueError, "y_true has the label 18446744073709551615 at position 2"),
        ([0.0, 1.5, 2.0], ValueError, "y_true has the label 1.5 at position 1, expected integers from 0 to 3"),
        ([0.0, 1.0, np.nan], ValueError, "y_true has the label nan at position 2"),
        ([0.0, np.inf, 1.0], ValueError, "y_true has the label inf at position 1"),
        ([0, 1], ValueError, "y_true has 2 samples, expected 3"),
        ([[0], [1]], ValueError, "y_true has 2 samples, expected 3"),
        (
            np.eye(4)[:3],
            ValueError,
            r"y_true has shape \(3, 4\), expected integer labels of shape \(3,\); one-hot rows",
        ),
        (1, ValueError, r"y_true has shape \(\), expected integer labels of shape \(3,\)"),
        ([[0], [1, 2], [3]], ValueError, "y_true is no rectangular array"),
    ],
)
def test_bad_labels(name: str, y: Any, error: type[Exception], message: str) -> None:
    assert_raises(name, (y, GOOD), error, message)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1, 2], ValueError, r"sample_weight has shape \(2,\), expected \(3,\)"),
        (np.ones((3, 4)), ValueError, r"sample_weight has shape \(3, 4\), expected \(3,\)"),
        (np.ones((1, 3)), ValueError, r"sample_weight has shape \(1, 3\), expected \(3,\)"),
        ([1, 2, -0.5], ValueError, "sample_weight is -0.5 at position 2, expected finite weights of at least 0"),
        ([1, np.nan, 1], ValueError, "sample_weight is nan at position 1, expected finite weights"),
        ([np.inf, 1, 1], ValueError, "sample_weight is inf at position 0, expected finite weights"),
        (-1, ValueError, "sample_weight is -1.0 at position 0, expected finite weights"),
        (["a", "b", "c"], TypeError, "sample_weight has dtype <U1, expected real numbers"),
        ([1j, 1, 1], TypeError, "sample_weight has dtype complex128, expected real numbers"),
    ],
)
def test_bad_weights(name: str, weights: Any, error: type[Exception], message: str) -> None:
    y = np.zeros(3, int) if CASES[name].targets == "labels" else np.zeros((3, 4))
    assert_raises(name, (y, GOOD, weights), error, message)


@pytest.mark.parametrize("loss", [losses.MeanSquaredError, losses.BinaryCrossentropy])
@pytest.mark.parametrize("reduction", ["average", "", 0, "Sum"])
def test_an_unknown_reduction(loss: type[losses.Loss], reduction: Any) -> None:
    with pytest.raises(ValueError, match=r"reduction is .*, expected one of 'sum_over_batch_size', 'mean', 'sum'"):
        loss(reduction=reduction)


@pytest.mark.parametrize("loss", [losses.BinaryCrossentropy, losses.CategoricalCrossentropy])
@pytest.mark.parametrize(
    ("smoothing", "error"),
    [(-0.1, ValueError), (1.1, ValueError), (np.nan, ValueError), ("some", TypeError), (None, TypeError)],
)
def test_a_bad_label_smoothing(loss: Any, smoothing: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"label_smoothing is .*, expected a"):
        loss(label_smoothing=smoothing)


# ---- names and configurations ----------------------------------------------------------------------------------------

CLASSES = {
    "mean_squared_error": losses.MeanSquaredError,
    "mse": losses.MeanSquaredError,
    "binary_crossentropy": losses.BinaryCrossentropy,
    "bce": losses.BinaryCrossentropy,
    "categorical_crossentropy": losses.CategoricalCrossentropy,
    "sparse_categorical_crossentropy": losses.SparseCategoricalCrossentropy,
}


@pytest.mark.parametrize("name", CLASSES)
def test_get(name: str) -> None:
    loss = losses.get(name)
    assert type(loss) is CLASSES[name]
    assert loss.get_config() == CLASSES[name]().get_config()
    assert losses.get(loss) is loss
    assert type(losses.get(CLASSES[name])) is CLASSES[name]


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"loss is 'huger', expected one of 'mean_squared_error', .*'mse', "):
        losses.get("huger")


@pytest.mark.parametrize("identifier", [None, 3, dict, np.mean])
def test_no_name_is_an_error(identifier: Any) -> None:
    with pytest.raises(TypeError, match=r"loss is .*expected a name or an object of Loss"):
        losses.get(identifier)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "none", None])
def test_a_configuration_makes_the_same_loss(name: str, reduction: str | None) -> None:
    loss = make(name, reduction=reduction, name="mine")
    config = loss.get_config()
    assert config["reduction"] == reduction
    assert config["name"] == "mine"
    assert CASES[name].options.items() <= config.items()
    again = type(loss).from_config(config)
    assert type(again) is type(loss)
    assert again.get_config() == config
    y, p = data(CASES[name], 5, 3)
    np.testing.assert_array_equal(again(y, p), loss(y, p))
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert other.get_config() == config
    shown = repr(loss)
    assert shown.startswith(f"{type(loss).__name__}(")
    assert eval(shown, vars(losses)).get_config() == config


@pytest.mark.parametrize("name", [name for name in CLASSES if len(name) > 3])
def test_names_are_keras(name: str) -> None:
    assert losses.get(name).name == name
    assert losses.get(name).get_config()["reduction"] == "sum_over_batch_size"


@pytest.mark.parametrize("name", CASES)
def test_functions_give_the_losses_of_samples(name: str) -> None:
    y, p = data(CASES[name], 5, 3)
    got = getattr(losses, CASES[name].function)(y, p, **CASES[name].options)
    np.testing.assert_array_equal(got, make(name).per_sample(y, p))
