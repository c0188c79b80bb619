"""Losses and their gradients: errors against the reference in longdouble, NaN and infinity, the same bits always.

What limits the accuracy, where more than a few units in the last place (ULP) are allowed below:

- Labels that are neither 0 nor 1, and smoothed ones: the gradient is a difference of two terms that cancel near its
  zero; its error is a few ULP of the larger term. Smoothing rounds y(1-α) + α/2 to the dtype, and takes 1 - y from
  that: both are off by as much as half a unit of 1, which counts where α is small.
- Probabilities of classes: q = p/sum(p) is rounded to the dtype before its logarithm is taken, so a loss is off by
  half a unit of 1 where q is near 1; and the gradient at the label is a difference of 1/q and 1. Where q lies within an
  ULP of a bound of the clip, the rounding decides whether the clip acts: such rows are left out.
- Long rows: sums are taken in float64, which for float64 losses is no wider than they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest

from fastnn.reference import activations, losses

from .support import SIZES, assert_same_bytes, assert_ulps, bit_patterns, families

MSE, BCE, BCE_LOGITS, CE, CE_LOGITS = range(5)
KINDS = {"mse": MSE, "bce": BCE, "bce logits": BCE_LOGITS, "ce": CE, "ce logits": CE_LOGITS}
ELEMENTWISE = [MSE, BCE, BCE_LOGITS]
WIDE = np.longdouble


def run(
    core: ModuleType,
    kind: int,
    y: np.ndarray,
    p: np.ndarray,
    *,
    smoothing: float = 0.0,
    weights: np.ndarray | None = None,
    scale: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Per-sample losses and gradient."""
    per_sample, gradient = np.full(len(p), 7.0), np.full_like(p, 7)
    core.LossKernel(kind, {"label_smoothing": smoothing}).cost(y, p, weights, scale, per_sample, gradient)
    return per_sample, gradient


def exact(
    core: ModuleType, kind: int, y: np.ndarray, p: np.ndarray, smoothing: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The same by the reference in longdouble, clipped where this dtype clips."""
    wide = p.astype(WIDE)
    if kind == MSE:
        return losses.mean_squared_error(y, wide), losses.mean_squared_error_gradient(y, wide)
    logits = kind in (BCE_LOGITS, CE_LOGITS)
    clip = {"clip_dtype": core.DTYPE}
    if y.dtype == np.int32:
        return (
            losses.sparse_categorical_crossentropy(y, wide, logits, **clip),
            losses.sparse_categorical_crossentropy_gradient(y, wide, logits, **clip),
        )
    if kind in (BCE, BCE_LOGITS):
        return (
            losses.binary_crossentropy(y, wide, logits, smoothing, **clip),
            losses.binary_crossentropy_gradient(y, wide, logits, smoothing, **clip),
        )
    return (
        losses.categorical_crossentropy(y, wide, logits, smoothing, **clip),
        losses.categorical_crossentropy_gradient(y, wide, logits, smoothing, **clip),
    )


def eps(core: ModuleType) -> np.longdouble:
    """The unit in the last place of 1."""
    return WIDE(np.finfo(core.DTYPE).eps)


def adding(core: ModuleType, count: int) -> float:
    """What a sum of so many terms of one sign may lose, in ULP: its roundings are a random walk."""
    return float(np.sqrt(count)) / 2 if np.float64 == core.DTYPE else 0.0


# ---- one element -----------------------------------------------------------------------------------------------------


def all_numbers(dtype: np.dtype) -> np.ndarray:
    return bit_patterns(dtype, 1 << 14)


def logits(dtype: np.dtype) -> np.ndarray:
    """Finite ones and NaN."""
    generator = np.random.default_rng(1)
    ranges = [2.0, 20.0, 120.0, 760.0, 1e4]
    z = np.concatenate([all_numbers(dtype), *(generator.uniform(-r, r, 1 << 12) for r in ranges), [1e4, -1e4]])
    return z[~np.isinf(z)].astype(dtype)[:, np.newaxis]


def probabilities(dtype: np.dtype) -> np.ndarray:
    """In [0, 1] and beyond, near 0, near 1, on the bounds of the clip and beside them."""
    generator = np.random.default_rng(2)
    u = generator.uniform(size=1 << 13)
    near = u * 2.0 ** generator.integers(-26, 1, u.shape)
    low = dtype.type(1e-7)
    bounds = [v for b in (low, dtype.type(1) - low) for v in (b, np.nextafter(b, low - 1), np.nextafter(b, low + 2))]
    p = np.concatenate([u, near, 1 - near, all_numbers(dtype), bounds, [0.0, 1.0, 1e-45]])
    return p.astype(dtype)[:, np.newaxis]


@pytest.mark.parametrize("spread", ["any", "near"])
def test_squared_error_of_one_element(core: ModuleType, spread: str) -> None:
    generator = np.random.default_rng(3)
    p = all_numbers(core.DTYPE)[:, np.newaxis]
    if spread == "any":
        y = generator.permutation(p)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            y = p + p * (np.finfo(core.DTYPE).eps * generator.integers(0, 20, p.shape)).astype(core.DTYPE)
    value, gradient = exact(core, MSE, y, p)
    got_value, got_gradient = run(core, MSE, y, p)
    assert_ulps(got_value, value, 2, dtype=core.DTYPE)
    assert_ulps(got_gradient, gradient, 0.5)


@pytest.mark.parametrize("label", [0, 1])
def test_binary_crossentropy_from_logits_of_one_element(core: ModuleType, label: int) -> None:
    z = logits(core.DTYPE)
    y = np.full_like(z, label)
    value, gradient = exact(core, BCE_LOGITS, y, z)
    got_value, got_gradient = run(core, BCE_LOGITS, y, z)
    assert_ulps(got_value, value, 2, dtype=core.DTYPE)
    assert_ulps(got_gradient, gradient, 2.7)


@pytest.mark.parametrize("label", [0, 1])
def test_binary_crossentropy_of_one_probability(core: ModuleType, label: int) -> None:
    p = probabilities(core.DTYPE)
    y = np.full_like(p, label)
    value, gradient = exact(core, BCE, y, p)
    got_value, got_gradient = run(core, BCE, y, p)
    assert_ulps(got_value, value, 1, dtype=core.DTYPE)
    assert_ulps(got_gradient, gradient, 2)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1e-3, 1.0])
@pytest.mark.parametrize("kind", [BCE, BCE_LOGITS])
def test_binary_crossentropy_of_soft_labels(core: ModuleType, kind: int, smoothing: float) -> None:
    p = probabilities(core.DTYPE) if kind == BCE else logits(core.DTYPE)
    y = np.random.default_rng(4).uniform(size=p.shape)
    y[::4] = np.round(y[::4])
    y = y.astype(core.DTYPE)
    value, gradient = exact(core, kind, y, p, smoothing)
    got_value, got_gradient = run(core, kind, y, p, smoothing=smoothing)
    label = y.astype(WIDE) * (1 - WIDE(smoothing)) + WIDE(smoothing) / 2
    lost = eps(core) * (smoothing > 0)  # by rounding the smoothed label, and 1 minus it
    wide = p.astype(WIDE)
    with np.errstate(invalid="ignore"):
        if kind == BCE:
            low = WIDE(core.DTYPE.type(1e-7))
            q = np.clip(wide, low, 1 - low)
            per_label, terms, per_term = np.abs(np.log(q) - np.log1p(-q)), 0 * q, 1 / (q * (1 - q))
        else:
            up, down = activations.sigmoid(wide), activations.sigmoid(-wide)
            per_label, terms, per_term = np.abs(wide), np.maximum((1 - label) * up, label * down), 1
    assert_ulps(got_value, value, 3, dtype=core.DTYPE, slack=(lost * per_label)[:, 0])
    assert_ulps(got_gradient, gradient, 3, slack=lost * per_term + 3 * eps(core) * terms)


@dataclass
class Limit:
    """What a crossentropy tends to as its logit goes to an infinity."""

    y: float
    z: float
    value: float
    gradient: float


@pytest.mark.parametrize(
    "limit",
    [
        Limit(0, -np.inf, 0, 0),
        Limit(1, np.inf, 0, 0),
        Limit(0, np.inf, np.inf, 1),
        Limit(1, -np.inf, np.inf, -1),
        Limit(0.25, np.inf, np.inf, 0.75),
        Limit(0.25, -np.inf, np.inf, -0.25),
    ],
)
def test_binary_crossentropy_of_an_infinite_logit_is_its_limit(core: ModuleType, limit: Limit) -> None:
    y, z = (np.full((20, 1), v, core.DTYPE) for v in (limit.y, limit.z))
    value, gradient = run(core, BCE_LOGITS, y, z)
    np.testing.assert_array_equal(value, limit.value)
    np.testing.assert_array_equal(gradient, limit.gradient)


# ---- several classes -------------------------------------------------------------------------------------------------


def softmax_slack(core: ModuleType, z: np.ndarray, y: np.ndarray) -> np.ndarray | float:
    """What gradients of labels y (N, K) may lose: one-hot ones leave a single term, those of others cancel, and their
    sum is rounded at each step."""
    if ((y == 0) | (y == 1)).all():
        return 0.0
    e = np.exp(z.astype(WIDE) - z.max(axis=1, keepdims=True))
    terms = y.sum(axis=1, keepdims=True) * e / e.sum(axis=1, keepdims=True) + y
    return (3 + np.sqrt(z.shape[1])) * eps(core) * terms


def smoothed(y: np.ndarray, smoothing: float) -> np.ndarray:
    alpha = WIDE(smoothing)
    return y.astype(WIDE) * (1 - alpha) + alpha / y.shape[1]


def one_hot(labels: np.ndarray, classes: int, dtype: np.dtype) -> np.ndarray:
    y = np.zeros((len(labels), classes), dtype)
    y[np.arange(len(labels)), labels] = 1
    return y


@pytest.mark.parametrize("spread", [1.0, 10.0, 100.0, 1e4])
@pytest.mark.parametrize("classes", [1, 2, 3, 7, 16, 33])
def test_crossentropy_from_logits(core: ModuleType, classes: int, spread: float) -> None:
    generator = np.random.default_rng(5)
    z = (spread * generator.standard_normal((300, classes))).astype(core.DTYPE)
    z[::5] = np.round(z[::5])  # equal logits, and differences that are exact
    labels = generator.integers(0, classes, len(z)).astype(np.int32)
    labels[::3] = z[::3].argmax(axis=1)
    y = one_hot(labels, classes, core.DTYPE)
    value, gradient = exact(core, CE_LOGITS, labels, z)
    for target in (labels, y):
        got_value, got_gradient = run(core, CE_LOGITS, target, z)
        assert_ulps(got_value, value, 2.5, dtype=core.DTYPE)
        assert_ulps(got_gradient, gradient, 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1e-3, 1.0])
@pytest.mark.parametrize("classes", [1, 2, 3, 16, 33])
def test_crossentropy_of_soft_labels_from_logits(core: ModuleType, classes: int, smoothing: float) -> None:
    generator = np.random.default_rng(6)
    z = (10 * generator.standard_normal((300, classes))).astype(core.DTYPE)
    y = generator.uniform(size=z.shape) ** 4  # rows that do not sum to 1
    y[::3] = one_hot(generator.integers(0, classes, 100), classes, core.DTYPE)
    y = y.astype(core.DTYPE)
    value, gradient = exact(core, CE_LOGITS, y, z, smoothing)
    got_value, got_gradient = run(core, CE_LOGITS, y, z, smoothing=smoothing)
    assert_ulps(got_value, value, 4 + adding(core, classes), dtype=core.DTYPE)
    assert_ulps(got_gradient, gradient, 4, slack=softmax_slack(core, z, smoothed(y, smoothing)))


def test_crossentropy_of_huge_logits_is_exact(core: ModuleType) -> None:
    z = np.array([[1e4, -1e4, 0], [1e4, -1e4, 0], [1e4, 1e4, -1e4]], core.DTYPE)
    labels = np.array([0, 1, 0], np.int32)
    for y in (labels, one_hot(labels, 3, core.DTYPE)):
        value, gradient = run(core, CE_LOGITS, y, z)
        np.testing.assert_array_equal(value[:2], [0, 2e4])
        assert_ulps(value[2:], np.log(np.array([2], WIDE)), 1, dtype=core.DTYPE)
        np.testing.assert_array_equal(gradient, [[0, 0, 0], [1, -1, 0], [-0.5, 0.5, 0]])


def distributions(generator: np.random.Generator, rows: int, classes: int, dtype: np.dtype) -> np.ndarray:
    """Rows of probabilities, some of which do not sum to 1, some of which are clipped, none within 2 ULP of a bound."""
    p = generator.uniform(size=(rows, classes)) ** generator.choice([1, 5, 30], (rows, 1))
    p /= p.sum(axis=1, keepdims=True)
    p[::4] *= generator.choice([1e-5, 3, 1e4], (len(p[::4]), 1))
    p[1::4, 0] = 0
    p[2::8, -1] = 1
    p = p.astype(dtype)
    p[~p.any(axis=1)] = 1
    q = p.astype(WIDE) / p.astype(WIDE).sum(axis=1, keepdims=True)
    low = WIDE(dtype.type(1e-7))
    high = WIDE(dtype.type(1) - dtype.type(1e-7))
    close = (np.abs(q - low) <= 2 * np.finfo(dtype).eps * low) | (np.abs(q - high) <= 2 * np.finfo(dtype).eps)
    p[close.any(axis=1)] = 1
    return p


def probability_slack(core: ModuleType, p: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What rounding q may cost the losses, and the cancellation of 1/q and 1 the gradients, of labels y (N, K)."""
    wide = p.astype(WIDE)
    s = wide.sum(axis=1, keepdims=True)
    terms = y.sum(axis=1, keepdims=True) / s + y / np.maximum(wide, 1e-8 * s)
    return eps(core) * y.sum(axis=1), (1 + adding(core, p.shape[1])) * eps(core) * terms


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [1, 2, 3, 7, 16, 33])
def test_crossentropy_of_probabilities(core: ModuleType, classes: int, smoothing: float) -> None:
    generator = np.random.default_rng(7)
    p = distributions(generator, 400, classes, core.DTYPE)
    labels = generator.integers(0, classes, len(p)).astype(np.int32)
    soft = generator.uniform(size=p.shape).astype(core.DTYPE)
    y = one_hot(labels, classes, core.DTYPE)
    for target in (soft, y) if smoothing else (soft, y, labels):
        value, gradient = exact(core, CE, target, p, smoothing)
        weights = smoothed(y if target is labels else target, smoothing)
        value_slack, gradient_slack = probability_slack(core, p, weights)
        got_value, got_gradient = run(core, CE, target, p, smoothing=smoothing)
        # Clipped classes all add one and the same term: those roundings may all go one way.
        same_way = classes / 2 if np.float64 == core.DTYPE else 0
        assert_ulps(got_value, value, 3 + same_way, dtype=core.DTYPE, slack=value_slack)
        assert_ulps(got_gradient, gradient, 3, slack=gradient_slack)


def test_the_clip_of_class_probabilities(core: ModuleType) -> None:
    low = core.DTYPE.type(1e-7)
    high = core.DTYPE.type(1) - low
    least, most = (float(-np.log(WIDE(v))) for v in (high, low))
    # Rows whose quotients are exact: clipped below and above, and on the bound, where the gradient is the inner one.
    p = np.array([[0, 4], [4, 0], [1 - high, high]], core.DTYPE)
    value, gradient = run(core, CE, np.array([0, 0, 1], np.int32), p)
    np.testing.assert_allclose(value, [most, least, least], rtol=4 * np.finfo(core.DTYPE).eps)
    np.testing.assert_array_equal(gradient[:2], 0)
    assert gradient[2, 0] == 1
    assert gradient[2, 1] < 0


def test_a_clipped_class_leaves_the_gradient_of_the_others(core: ModuleType) -> None:
    # Class 0 is clipped and its label drops out: what is left is -0.5 log(p_1/s) - 0.25 log(p_2/s).
    y, p = np.array([[0.25, 0.5, 0.25]], core.DTYPE), np.array([[1e-9, 0.75, 0.25]], core.DTYPE)
    s = p.astype(WIDE).sum()
    expected = np.array([[0.75 / s, 0.75 / s - WIDE(0.5) / 0.75, 0.75 / s - 1]])
    assert_ulps(run(core, CE, y, p)[1], expected, 4)


# ---- rows ------------------------------------------------------------------------------------------------------------


@dataclass
class Problem:
    """A batch of a loss: predictions p (N, K), targets y (N, K) or labels (N,)."""

    kind: int
    y: np.ndarray
    p: np.ndarray


def problem(kind: int, rows: int, outputs: int, dtype: np.dtype, *, sparse: bool = False) -> Problem:
    """Hard labels, so that no gradient cancels; logits so small that their differences lose little."""
    generator = np.random.default_rng(100 * rows + outputs)
    shape = rows, outputs
    p = generator.uniform(0.05, 0.95, shape) if kind in (BCE, CE) else 2 * generator.standard_normal(shape)
    labels = generator.integers(0, outputs, rows).astype(np.int32)
    if kind == MSE:
        y = generator.standard_normal(shape)
    elif kind in (BCE, BCE_LOGITS):
        y = generator.integers(0, 2, shape)
    else:
        y = one_hot(labels, outputs, dtype)
    return Problem(kind, labels if sparse else y.astype(dtype), p.astype(dtype))


PROBLEMS = [(kind, sparse) for kind in KINDS.values() for sparse in ([False, True] if kind >= CE else [False])]
WIDTHS = [*range(1, 34), 1000, 1025, 5000]


def exact_rows(core: ModuleType, given: Problem) -> tuple[np.ndarray, np.ndarray]:
    """As `exact`; for many classes by the definition, which cancels nowhere here and takes no (K, K) matrix."""
    classes = given.p.shape[1]
    if given.kind < CE or classes <= 33:
        return exact(core, given.kind, given.y, given.p)
    y = one_hot(given.y, classes, core.DTYPE) if given.y.ndim == 1 else given.y
    wide = given.p.astype(WIDE)
    e = np.exp(wide) if given.kind == CE_LOGITS else wide
    q = e / e.sum(axis=1, keepdims=True)
    gradient = q - y if given.kind == CE_LOGITS else (1 - y / q) / wide.sum(axis=1, keepdims=True)
    return -np.log((q * y).sum(axis=1)), gradient


@pytest.mark.parametrize(("kind", "sparse"), PROBLEMS)
def test_rows_of_any_width(core: ModuleType, kind: int, sparse: bool) -> None:
    for width in WIDTHS:
        given = problem(kind, 3 if width < 1000 else 1, width, core.DTYPE, sparse=sparse)
        value, gradient = exact_rows(core, given)
        got_value, got_gradient = run(core, kind, given.y, given.p, scale=0.3)
        slack = eps(core) if kind == CE else 0.0
        assert_ulps(got_value, value, 2.5 + adding(core, width), dtype=core.DTYPE, slack=slack)
        assert_ulps(got_gradient, gradient * WIDE(0.3), 4 + adding(core, width))


@pytest.mark.parametrize(("kind", "sparse"), PROBLEMS)
def test_without_a_gradient_the_losses_are_the_same_bytes(core: ModuleType, kind: int, sparse: bool) -> None:
    for width in (1, 2, 5, 17, 100, 1024, 1025, 5000):
        # More rows than the kernel's scratch holds at once, and a remainder.
        given = problem(kind, 2 * (4096 // width) + 3, width, core.DTYPE, sparse=sparse)
        for weights in (None, np.random.default_rng(10).uniform(0, 3, len(given.p)).astype(core.DTYPE)):
            value, _ = run(core, kind, given.y, given.p, weights=weights)
            alone = np.full_like(value, 7)
            core.LossKernel(kind, {}).cost(given.y, given.p, weights, 1.0, alone, None)
            assert_same_bytes(alone, value)


@pytest.mark.parametrize(("kind", "sparse"), PROBLEMS)
def test_a_row_does_not_depend_on_the_others(core: ModuleType, kind: int, sparse: bool) -> None:
    for width in (1, 3, 17, 33, 1025):
        given = problem(kind, 150, width, core.DTYPE, sparse=sparse)
        value, gradient = run(core, kind, given.y, given.p)
        for start, stop in [(0, 1), (1, 2), (63, 64), (64, 65), (149, 150), (0, 149), (3, 80), (40, 140)]:
            part_value, part_gradient = run(core, kind, given.y[start:stop], given.p[start:stop])
            assert_same_bytes(part_value, value[start:stop])
            assert_same_bytes(part_gradient, gradient[start:stop])


@pytest.mark.parametrize(("kind", "sparse"), PROBLEMS)
def test_weights_multiply_losses_and_gradients(core: ModuleType, kind: int, sparse: bool) -> None:
    for rows in (*SIZES[:-1], 130):
        given = problem(kind, rows, 5, core.DTYPE, sparse=sparse)
        weights = np.random.default_rng(8).uniform(0, 3, rows).astype(core.DTYPE)
        weights[::4] = 0
        value, gradient = run(core, kind, given.y, given.p, scale=0.25)
        got_value, got_gradient = run(core, kind, given.y, given.p, scale=0.25, weights=weights)
        assert_same_bytes(got_value, value * weights.astype(np.float64))
        assert_same_bytes(got_gradient, gradient * weights[:, np.newaxis])


@pytest.mark.parametrize(("kind", "sparse"), PROBLEMS)
def test_a_power_of_2_scales_gradients_exactly_and_losses_not_at_all(core: ModuleType, kind: int, sparse: bool) -> None:
    given = problem(kind, 20, 7, core.DTYPE, sparse=sparse)
    value, gradient = run(core, kind, given.y, given.p)
    for scale in (0.0, 0.125, -4.0):
        got_value, got_gradient = run(core, kind, given.y, given.p, scale=scale)
        assert_same_bytes(got_value, value)
        np.testing.assert_array_equal(got_gradient, gradient * core.DTYPE.type(scale))


@pytest.mark.parametrize(("kind", "sparse"), PROBLEMS)
def test_builds_that_round_alike_give_the_same_bytes(dtype: np.dtype, kind: int, sparse: bool) -> None:
    weights = np.random.default_rng(9).uniform(0, 3, 70).astype(dtype)
    for width in (1, 2, 7, 33, 1025):
        given = problem(kind, 70, width, dtype, sparse=sparse)
        for family in families(dtype):
            results = [run(core, kind, given.y, given.p, weights=weights, smoothing=0.1) for core in family]
            for value, gradient in results[1:]:
                assert_same_bytes(value, results[0][0])
                assert_same_bytes(gradient, results[0][1])


def test_no_rows(core: ModuleType) -> None:
    for kind, sparse in PROBLEMS:
        y = np.empty(0, np.int32) if sparse else np.empty((0, 3), core.DTYPE)
        value, gradient = run(core, kind, y, np.empty((0, 3), core.DTYPE))
        assert (value.shape, gradient.shape) == ((0,), (0, 3))


@pytest.mark.parametrize(("kind", "sparse"), PROBLEMS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_gradients_are_the_slopes_of_the_losses(core: ModuleType, kind: int, sparse: bool, smoothing: float) -> None:
    if sparse:
        smoothing = 0.0  # labels are not smoothed
    given = problem(kind, 6, 5, core.DTYPE, sparse=sparse)
    _, gradient = run(core, kind, given.y, given.p, smoothing=smoothing)
    step = core.DTYPE.type(2.0 ** (-6 if np.float32 == core.DTYPE else -17))
    for j in range(5):
        above, below = given.p.copy(), given.p.copy()
        above[:, j] += step
        below[:, j] -= step
        rise = run(core, kind, given.y, above, smoothing=smoothing)[0]
        rise -= run(core, kind, given.y, below, smoothing=smoothing)[0]
        slope = rise / (above[:, j] - below[:, j]).astype(float)
        # The difference's own error: step**2 times a third derivative of at most 1/p**3, and rounding over step.
        allowed = 0.1 if kind in (BCE, CE) and np.float32 == core.DTYPE else 2e-3 if np.float32 == core.DTYPE else 1e-6
        np.testing.assert_allclose(gradient[:, j], slope, rtol=allowed, atol=allowed / 10)


# ---- NaN and infinity ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "sparse"), PROBLEMS)
def test_nan_in_a_prediction_makes_its_row_nan_and_no_other(core: ModuleType, kind: int, sparse: bool) -> None:
    for width in (1, 2, 7, 17, 33):
        given = problem(kind, 2 * width, width, core.DTYPE, sparse=sparse)
        value, gradient = run(core, kind, given.y, given.p)
        for j in range(width):
            given.p[2 * j, j] = np.nan
        got_value, got_gradient = run(core, kind, given.y, given.p)
        assert np.isnan(got_value[::2]).all()
        assert_same_bytes(got_value[1::2], value[1::2])
        assert_same_bytes(got_gradient[1::2], gradient[1::2])
        if kind in ELEMENTWISE:  # only the element itself
            gradient[::2][np.eye(width, dtype=bool)] = np.nan
            assert_same_bytes(got_gradient, gradient)
        else:
            assert np.isnan(got_gradient[::2]).all()


@pytest.mark.parametrize("kind", KINDS.values())
def test_nan_in_a_target_makes_its_row_nan(core: ModuleType, kind: int) -> None:
    given = problem(kind, 14, 7, core.DTYPE)
    for j in range(7):
        given.y[2 * j, j] = np.nan
    value, gradient = run(core, kind, given.y, given.p)
    np.testing.assert_array_equal(np.isnan(value), np.arange(14) % 2 == 0)
    assert np.isnan(gradient[::2]).any(axis=1).all()
    assert not np.isnan(gradient[1::2]).any()


def test_infinite_predictions(core: ModuleType) -> None:
    inf = np.inf
    value, gradient = run(
        core, MSE, *(np.array(v, core.DTYPE) for v in ([[0, 1]] * 3, [[inf, 1], [0, -inf], [inf, 2]]))
    )
    np.testing.assert_array_equal(value, inf)
    np.testing.assert_array_equal(gradient, [[inf, 0], [0, -inf], [inf, 1]])
    # Probabilities beyond [0, 1] are clipped.
    p = np.array([[inf], [-inf], [2], [-1]], core.DTYPE)
    value, gradient = run(core, BCE, np.ones_like(p), p)
    np.testing.assert_array_equal(value, run(core, BCE, np.ones_like(p), np.array([[1], [0], [1], [0]], core.DTYPE))[0])
    np.testing.assert_array_equal(gradient, 0)
    # A class that cannot be: its loss is infinite, and the others' distribution stays what it is.
    z = np.array([[-inf, 0, 0], [0, -inf, 0], [0, 0, inf], [-inf, -inf, -inf]], core.DTYPE)
    labels = np.array([0, 0, 0, 0], np.int32)
    for y in (labels, one_hot(labels, 3, core.DTYPE)):
        value, gradient = run(core, CE_LOGITS, y, z)
        assert value[0] == inf
        assert_ulps(value[1:2], np.log(np.array([2], WIDE)), 1, dtype=core.DTYPE)
        assert np.isnan(value[3])
        np.testing.assert_array_equal(gradient[:2], [[-1, 0.5, 0.5], [-0.5, 0, 0.5]])
        assert np.isnan(gradient[2:]).any(axis=1).all()


def test_a_row_without_a_distribution_is_nan(core: ModuleType) -> None:
    p = np.array([[0, 0], [np.inf, 1], [0.5, 0.5]], core.DTYPE)
    for y in (np.array([1, 0, 0], np.int32), np.array([[0, 1], [1, 0], [1, 0]], core.DTYPE)):
        value, gradient = run(core, CE, y, p)
        assert np.isnan(value[:2]).all()
        assert np.isnan(gradient[0]).any()
        assert np.isfinite(value[2])


@pytest.mark.parametrize("kind", [CE, CE_LOGITS])
def test_targets_that_are_all_0_cost_nothing_but_keep_nan(core: ModuleType, kind: int) -> None:
    p = np.array([[0.5, 0.25, 0.25], [0.5, np.nan, 0.25]], core.DTYPE)
    value, gradient = run(core, kind, np.zeros_like(p), p)
    assert value[0] == 0
    assert not gradient[0].any()
    assert np.isnan(value[1])
    assert np.isnan(gradient[1]).all()


@pytest.mark.parametrize("kind", KINDS.values())
def test_equal_values_and_certain_classes(core: ModuleType, kind: int) -> None:
    y = np.array([[0, 1], [1, 0]] * 10, core.DTYPE)
    p = y if kind in (MSE, BCE, CE) else np.where(y == 1, core.DTYPE.type(1e4), core.DTYPE.type(-1e4))
    value, gradient = run(core, kind, y, p)
    assert (np.abs(value) <= 1.3e-7).all()  # what the clip leaves
    assert not gradient.any()
    assert kind in (BCE, CE) or not value.any()
