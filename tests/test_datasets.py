"""The digits shipped with the package."""

from __future__ import annotations

import hashlib

import numpy as np
import sklearn.datasets

from fastnn.datasets import load_digits


def test_shapes_and_dtypes() -> None:
    x, y = load_digits()
    assert (x.shape, x.dtype) == ((1797, 64), np.float32)
    assert (y.shape, y.dtype) == ((1797,), np.int64)
    assert (x.min(), x.max()) == (0, 16)
    assert set(y.tolist()) == set(range(10))


def test_checksum() -> None:
    x, y = load_digits()
    digest = hashlib.sha256(x.astype(np.uint8).tobytes() + y.astype(np.uint8).tobytes()).hexdigest()
    assert digest == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_equal_to_scikit_learn() -> None:
    x, y = load_digits()
    expected_x, expected_y = sklearn.datasets.load_digits(return_X_y=True)
    np.testing.assert_array_equal(x, expected_x)
    np.testing.assert_array_equal(y, expected_y)


def test_each_call_returns_new_arrays() -> None:
    x, _ = load_digits()
    x[:] = 0
    assert load_digits()[0].max() == 16
