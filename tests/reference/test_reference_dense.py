"""The reference dense layer against explicit sums and central differences."""

import numpy as np
import pytest

from fastnn.reference.dense import dense, dense_gradient


@pytest.fixture
def arrays():
    generator = np.random.default_rng(12)
    shapes = {"x": (5, 3), "kernel": (3, 2), "bias": (2,), "delta": (5, 2)}
    return {name: generator.normal(size=shape).astype(np.longdouble) for name, shape in shapes.items()}


def test_forward_by_hand():
    z = dense(np.array([[1.0, 2.0]]), np.array([[3.0, 5.0], [7.0, 11.0]]), np.array([100.0, 200.0]))
    assert z.tolist() == [[117, 227]]


def test_no_bias_adds_nothing(arrays):
    x, kernel = arrays["x"], arrays["kernel"]
    np.testing.assert_array_equal(dense(x, kernel, None), dense(x, kernel, np.zeros(2, dtype=np.longdouble)))


def test_gradients_are_the_derivatives(arrays, central_difference):
    x, kernel, bias, delta = arrays.values()
    d_x, d_kernel, d_bias = dense_gradient(x, kernel, delta)
    for gradient, numeric in [
        (d_x, central_difference(lambda v: (delta * dense(v, kernel, bias)).sum(), x)),
        (d_kernel, central_difference(lambda v: (delta * dense(x, v, bias)).sum(), kernel)),
        (d_bias, central_difference(lambda v: (delta * dense(x, kernel, v)).sum(), bias)),
    ]:
        np.testing.assert_allclose(gradient, numeric, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_dtype_is_kept(arrays, dtype):
    x, kernel, bias, delta = (a.astype(dtype) for a in arrays.values())
    assert dense(x, kernel, bias).dtype == dtype
    assert [g.dtype for g in dense_gradient(x, kernel, delta)] == [dtype] * 3
