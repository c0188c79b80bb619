"""The reference layers against values by hand and central differences."""

import numpy as np
import pytest

from fastnn.reference import layers, random
from fastnn.reference.layers import BATCH, LAYER

EPSILON = 1e-3


@pytest.fixture
def arrays():
    generator = np.random.default_rng(12)
    shapes = {"x": (5, 3), "gamma": (3,), "beta": (3,), "delta": (5, 3)}
    return {name: generator.normal(size=shape).astype(np.longdouble) for name, shape in shapes.items()}


def test_statistics_by_hand():
    x = np.array([[1.0, 10.0], [3.0, 14.0]])
    for axis, mean, variance in [(BATCH, [[2, 12]], [[1, 4]]), (LAYER, [[5.5], [8.5]], [[20.25], [30.25]])]:
        got = layers.statistics(x, axis)
        np.testing.assert_array_equal(got[0], mean)
        np.testing.assert_array_equal(got[1], variance)


def test_normalization_by_hand():
    x, gamma, beta = np.array([[1.0, 10.0], [3.0, 14.0]]), np.array([2.0, 3.0]), np.array([100.0, 200.0])
    assert layers.normalization(x, None, None, 0.0, BATCH).tolist() == [[-1, -1], [1, 1]]
    assert layers.normalization(x, gamma, beta, 0.0, BATCH).tolist() == [[98, 197], [102, 203]]
    assert layers.normalization(x, gamma, beta, 0.0, LAYER).tolist() == [[98, 203], [98, 203]]
    assert layers.normalization(x, None, None, 3.0, BATCH)[0, 0] == -0.5  # ε is added to the variance


def test_a_constant_is_normalized_to_0():
    assert not layers.normalization(np.full((4, 3), 7.0), None, None, EPSILON, BATCH).any()
    assert not layers.normalization(np.full((4, 3), 7.0), None, None, EPSILON, LAYER).any()


@pytest.mark.parametrize("axis", [BATCH, LAYER])
@pytest.mark.parametrize("scaled", [True, False])
def test_gradients_are_the_derivatives(arrays, central_difference, axis, scaled):
    x, gamma, beta, delta = arrays.values()
    g = gamma if scaled else None
    d_x, d_gamma, d_beta = layers.normalization_gradient(x, g, EPSILON, axis, delta)
    pairs = [
        (d_x, central_difference(lambda v: (delta * layers.normalization(v, g, beta, EPSILON, axis)).sum(), x)),
        (d_beta, central_difference(lambda v: (delta * layers.normalization(x, g, v, EPSILON, axis)).sum(), beta)),
    ]
    if scaled:
        numeric = central_difference(lambda v: (delta * layers.normalization(x, v, beta, EPSILON, axis)).sum(), gamma)
        pairs.append((d_gamma, numeric))
    for gradient, numeric in pairs:
        np.testing.assert_allclose(gradient, numeric, rtol=1e-9, atol=1e-10)


def test_moving_average_by_hand():
    got = layers.moving_average(np.array([1.0, 2.0]), np.array([5.0, 6.0]), 0.75)
    assert got.tolist() == [2, 3]


def test_affine_by_hand():
    got = layers.affine(np.array([[3.0, 5.0]]), np.array([1.0, 2.0]), np.array([10.0, 100.0]), np.array([0.5, 0.25]))
    assert got.tolist() == [[20.5, 300.25]]


def test_dropout_by_hand():
    x, mask = np.array([[1.0, 2.0, np.nan, np.inf]]), np.array([[True, False, False, False]])
    assert layers.dropout(x, mask, 0.75).tolist() == [[4, 0, 0, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_dtype_is_kept(arrays, dtype):
    x, gamma, beta, delta = (a.astype(dtype) for a in arrays.values())
    assert layers.normalization(x, gamma, beta, EPSILON, BATCH).dtype == dtype
    gradients = layers.normalization_gradient(x, gamma, EPSILON, LAYER, delta)
    assert [g.dtype for g in gradients] == [dtype] * 3
    assert layers.moving_average(gamma, beta, 0.99).dtype == dtype
    assert layers.affine(x, gamma, beta, beta).dtype == dtype
    assert layers.dropout(x, x > 0, 0.3).dtype == dtype


def drawn_one_by_one(rows, columns, rate, seed, step, layer, first_row):
    """The mask as its definition reads: one counter for each element."""
    key = np.array([seed % 2**32, seed // 2**32], dtype=np.uint32)
    mask = np.zeros((rows, columns), bool)
    for i in range(rows):
        for j in range(columns):
            block, r = divmod(j, 64)
            word, lane = divmod(r, 16)
            counter = np.array([16 * block + lane, first_row + i, step, (layer << 4) + 1], dtype=np.uint32)
            mask[i, j] = int(random.philox4x32(counter, key)[word]) / 2**32 >= rate
    return mask


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 64, 150])
@pytest.mark.parametrize(("seed", "step", "layer"), [(0, 0, 0), (2**64 - 1, 2**32 - 1, 2**28 - 1), (2**40 + 7, 5, 2)])
def test_a_mask_is_its_definition(columns, seed, step, layer):
    got = random.dropout_mask(3, columns, 0.3, seed, step, layer, first_row=7)
    np.testing.assert_array_equal(got, drawn_one_by_one(3, columns, 0.3, seed, step, layer, 7))
    np.testing.assert_array_equal(random.dropout_mask(10, columns, 0.3, seed, step, layer)[7:], got)


def test_a_mask_stays_as_it_is():
    # A saved seed must drop alike in every version.
    rows = ["".join(map(str, row)) for row in random.dropout_mask(3, 20, 0.5, 42, 3, 1).astype(int)]
    assert rows == ["00110010000110011001", "10001001001110010110", "01011010001101000011"]


def test_rates_at_the_ends():
    assert random.dropout_mask(50, 50, 0.0, 1, 2, 3).all()
    assert not random.dropout_mask(50, 50, np.nextafter(1, 0), 1, 2, 3).any()
