"""The one place that checks what users pass: what it converts, what it refuses, and that it says why."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fastnn import validation

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


# ---- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F32, F64])
def test_an_array_that_is_right_is_not_copied(dtype: np.dtype) -> None:
    for shape in [(3,), (3, 4), (0,), ()]:
        x = np.ones(shape, dtype)
        assert np.shares_memory(validation.array("x", x, dtype), x) or x.size == 0
        assert validation.array("x", x, dtype).shape == shape


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(
    "value",
    [
        [[1, 2, 3], [4, 5, 6]],
        np.array([[1, 2, 3], [4, 5, 6]], np.int8),
        np.array([[1, 2, 3], [4, 5, 6]], np.float16),
        np.array([[1, 2, 3], [4, 5, 6]], ">f4"),
        np.array([[1, 2, 3], [4, 5, 6]], ">f8"),
        np.array([[1, 2, 3], [4, 5, 6]], np.longdouble),
        np.array([[1, 2, 3], [4, 5, 6]], order="F", dtype=np.float32),
        np.array([[1, 4], [2, 5], [3, 6]], np.float64).T,
        np.array([[1, 9, 2, 9, 3, 9], [4, 9, 5, 9, 6, 9]], np.float32)[:, ::2],
    ],
)
def test_an_array_is_converted(value: Any, dtype: np.dtype) -> None:
    x = validation.array("x", value, dtype)
    assert x.dtype == dtype
    assert x.dtype.isnative
    assert x.flags.c_contiguous
    np.testing.assert_array_equal(x, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, TypeError, "x is None, expected"),
        ("1", TypeError, "x has dtype <U1, expected real numbers"),
        ([1j], TypeError, "x has dtype complex128, expected real numbers"),
        ([None, 1], TypeError, "x has dtype object, with None in it, expected real numbers"),
        (np.zeros(2, [("a", "f4")]), TypeError, "x has dtype .*, expected real numbers"),
        ([[1], [1, 2]], ValueError, "x is no rectangular array"),
    ],
)
def test_what_is_no_array_of_real_numbers(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        validation.array("x", value, F64)


def test_matrix() -> None:
    assert validation.matrix("x", [1, 2, 3], F32).tolist() == [[1], [2], [3]]
    assert validation.matrix("x", [[1, 2, 3]], F32).shape == (1, 3)
    assert validation.matrix("x", [[1, 2, 3]], F32, columns=3).shape == (1, 3)
    assert validation.matrix("x", [1, 2], F32, columns=1).shape == (2, 1)


@pytest.mark.parametrize(
    ("value", "columns", "message"),
    [
        (1.0, None, r"x has shape \(\), expected two dimensions \(samples, features\)"),
        (np.ones((1, 2, 3)), None, r"x has shape \(1, 2, 3\), expected two dimensions \(samples, features\)"),
        (np.ones((2, 3)), 4, r"x has shape \(2, 3\), expected \(samples, 4\)"),
        (np.ones(4), 4, r"x has shape \(4,\), expected \(samples, 4\)"),
        (np.ones((0, 3)), 3, r"x has shape \(0, 3\), expected at least one sample and one column"),
        (np.ones((3, 0)), None, r"x has shape \(3, 0\), expected at least one sample and one column"),
    ],
)
def test_what_is_no_matrix(value: Any, columns: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validation.matrix("x", value, F64, columns)


def test_targets() -> None:
    y = np.ones((3, 2))
    assert np.shares_memory(validation.targets("y", y, F64, 3, 2), y)
    assert validation.targets("y", [1, np.inf, -np.inf], F32, 3, 1).shape == (3, 1)
    with pytest.raises(ValueError, match="y has 3 samples, expected 4"):
        validation.targets("y", y, F64, 4, 2)
    with pytest.raises(ValueError, match=r"y has shape \(3, 2\), expected \(samples, 3\)"):
        validation.targets("y", y, F64, 3, 3)
    for row in range(3):
        y = np.ones((3, 2))
        y[row:, 1] = np.nan
        with pytest.raises(ValueError, match=f"y has a NaN in sample {row}, expected numbers"):
            validation.targets("y", y, F64, 3, 2)


@pytest.mark.parametrize(
    "value",
    [[0, 2, 1], (0, 2, 1), [[0], [2], [1]], [0.0, 2.0, 1.0], np.array([0, 2, 1], np.uint8), np.array([0, 2, 1], ">i8")],
)
def test_labels(value: Any) -> None:
    got = validation.labels("y", value, (3,), 3)
    assert got.dtype == np.int32
    assert got.flags.c_contiguous
    assert got.tolist() == [0, 2, 1]


def test_strided_labels_become_contiguous() -> None:
    for dtype in (np.int32, np.int64):
        got = validation.labels("y", np.array([0, 9, 2, 9, 1, 9], dtype)[::2], (3,), 3)
        assert got.flags.c_contiguous
        assert got.tolist() == [0, 2, 1]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (["a"], TypeError, "y has dtype <U1, expected integer labels"),
        ([1j], TypeError, "y has dtype complex128, expected integer labels"),
        ([3], ValueError, "y has the label 3 at position 0, expected integers from 0 to 2"),
        ([-1], ValueError, "y has the label -1 at position 0, expected integers from 0 to 2"),
        ([0.5], ValueError, "y has the label 0.5 at position 0, expected integers from 0 to 2"),
        ([np.nan], ValueError, "y has the label nan at position 0, expected integers from 0 to 2"),
        ([0, 1], ValueError, "y has 2 samples, expected 1"),
        ([[0, 1]], ValueError, r"y has shape \(1, 2\), expected integer labels of shape \(1,\); one-hot rows are for"),
        (0, ValueError, r"y has shape \(\), expected integer labels of shape \(1,\)"),
    ],
)
def test_bad_labels(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        validation.labels("y", value, (1,), 3)


def test_the_first_bad_label_is_named() -> None:
    with pytest.raises(ValueError, match="the label 7 at position 2,"):
        validation.labels("y", [0, 1, 7, -3, 9], (5,), 3)


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [[0, 2, 1], [[0], [2], [1]], np.array([0, 2, 1], np.uint8), np.array([0, 2, 1], ">f4")]
)
def test_weights(value: Any) -> None:
    for dtype in (F32, F64):
        got = validation.weights("w", value, dtype, 3)
        assert got is not None
        assert got.dtype == dtype
        assert got.flags.c_contiguous
        assert got.tolist() == [0, 2, 1]


def test_a_number_weighs_all_samples_and_none_none() -> None:
    got = validation.weights("w", 2, F32, 3)
    assert got is not None
    assert (got.dtype, got.tolist()) == (F32, [2, 2, 2])
    assert validation.weights("w", None, F32, 3) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], r"w has shape \(2,\), expected \(3,\)"),
        ([[1, 2, 3]], r"w has shape \(1, 3\), expected \(3,\)"),
        ([[1, 2]] * 3, r"w has shape \(3, 2\), expected \(3,\)"),
        ([1, -1, -2], "w is -1.0 at position 1, expected finite weights of at least 0"),
        ([1, 1, np.nan], "w is nan at position 2, expected finite weights of at least 0"),
        ([1, np.inf, 1], "w is inf at position 1, expected finite weights of at least 0"),
        (-0.5, "w is -0.5 at position 0, expected finite weights of at least 0"),
    ],
)
def test_bad_weights(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validation.weights("w", value, F64, 3)


@pytest.mark.parametrize("y", [np.array([0, 2, 1, 2]), np.array([0.0, 2.0, 1.0, 2.0])])
def test_class_weights(y: np.ndarray) -> None:
    assert validation.class_weights("w", {0: 0.5, 2: 3}, y).tolist() == [0.5, 3, 1, 3]
    assert validation.class_weights("w", {}, y).tolist() == [1, 1, 1, 1]
    assert validation.class_weights("w", {7: 2.0}, y).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([1, 2], TypeError, "w is list, expected a dict from class to weight"),
        ({0: -1}, ValueError, r"w\[0\] is -1, expected a finite number >= 0"),
        ({1: np.nan}, ValueError, r"w\[1\] is nan, expected a finite number >= 0"),
        ({1: "a"}, TypeError, r"w\[1\] is 'a', expected a number"),
    ],
)
def test_bad_class_weights(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        validation.class_weights("w", value, np.array([0, 1]))


# ---- numbers and choices ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2), np.array(2), Fraction(2), True + True])
def test_number(value: Any) -> None:
    got = validation.number("n", value, low=0, high=3)
    assert type(got) is float
    assert got == 2


@pytest.mark.parametrize(
    ("value", "options", "message"),
    [
        (-1, {"low": 0}, "n is -1, expected a finite number >= 0$"),
        (0, {"low": 0, "open_low": True}, "n is 0, expected a finite number > 0$"),
        (1, {"high": 1, "open_high": True}, "n is 1, expected a finite number < 1$"),
        (1.5, {"low": 0, "high": 1}, "n is 1.5, expected a finite number >= 0 and <= 1$"),
        (np.inf, {}, "n is inf, expected a finite number$"),
        (-np.inf, {}, "n is -inf, expected a finite number$"),
        (np.nan, {"low": 0}, "n is nan, expected a finite number >= 0$"),
        (10**400, {}, "expected a finite number$"),
    ],
)
def test_a_number_out_of_range(value: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validation.number("n", value, **options)


def test_the_ends_of_a_range_belong_to_it_unless_they_are_open() -> None:
    assert validation.number("n", 0, low=0, high=1) == 0
    assert validation.number("n", 1, low=0, high=1) == 1
    assert validation.number("n", 1, low=0, open_low=True, high=1) == 1
    assert validation.number("n", 0, low=0, high=1, open_high=True) == 0


@pytest.mark.parametrize("value", [None, "a", "2", b"2", [1], [1, 2], {}, 1j])
def test_no_number(value: Any) -> None:
    with pytest.raises(TypeError, match=r"n is .*, expected a number"):
        validation.number("n", value)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_integer(value: Any) -> None:
    got = validation.integer("n", value, low=3, high=3)
    assert type(got) is int
    assert got == 3


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1, ValueError, "n is -1, expected at least 0"),
        (2**70, ValueError, "n is 1180591620717411303424, expected 0 to 9"),
        (10, ValueError, "n is 10, expected 0 to 9"),
        (1.0, TypeError, "n is 1.0, expected an integer"),
        ("1", TypeError, "n is '1', expected an integer"),
        (None, TypeError, "n is None, expected an integer"),
        (False, TypeError, "n is False, expected an integer"),
        (np.bool_(True), TypeError, "n is .*True.*, expected an integer"),
    ],
)
def test_no_integer_or_out_of_range(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        validation.integer("n", value, high=None if value == -1 else 9)


@pytest.mark.parametrize("value", ["float32", "float64", np.float32, np.float64, F32, F64, ">f4", np.dtype(">f8")])
def test_real_dtype(value: Any) -> None:
    got = validation.real_dtype("dtype", value)
    assert got in (F32, F64)
    assert got.isnative
    assert got.itemsize == np.dtype(value).itemsize


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("float16", ValueError),
        ("int", ValueError),
        ("double precision", ValueError),
        (np.int32, ValueError),
        (None, TypeError),
        (32, TypeError),
        (["float32"], TypeError),
    ],
)
def test_no_real_dtype(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"dtype is .*, expected 'float32' or 'float64'"):
        validation.real_dtype("dtype", value)


def test_choice() -> None:
    assert validation.choice("c", "b", ("a", "b")) == "b"
    assert validation.choice("c", None, ("a", None)) is None
    with pytest.raises(ValueError, match="c is 'd', expected one of 'a', 'b', None"):
        validation.choice("c", "d", iter(["a", "b", None]))


class Thing:
    """What lookup is to find."""


class OtherThing(Thing):
    """And one of its kind."""


def test_lookup() -> None:
    thing = Thing()
    named = {"thing": Thing, "other": OtherThing}
    assert validation.lookup("t", thing, Thing, named) is thing
    assert type(validation.lookup("t", "other", Thing, named)) is OtherThing
    assert type(validation.lookup("t", OtherThing, Thing, named)) is OtherThing
    with pytest.raises(ValueError, match="t is 'thin', expected one of 'thing', 'other'"):
        validation.lookup("t", "thin", Thing, named)
    for wrong in (3, None, object, object()):
        with pytest.raises(TypeError, match=r"t is .*, expected a name or an object of Thing"):
            validation.lookup("t", wrong, Thing, named)


# ---- dtypes and results ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.float32(1), F32),
        (np.ones(2, np.float32), F32),
        (np.ones(2, ">f4"), F32),
        (np.ones(2, "<f4"), F32),
        (np.ones(2), F64),
        (np.ones(2, ">f8"), F64),
        (np.ones(2, np.float16), F64),
        (np.ones(2, np.longdouble), F64),
        (np.ones(2, int), F64),
        ([1, 2], F64),
        (1, F64),
        (True, F64),
    ],
)
def test_the_dtype_to_compute_in(value: Any, dtype: np.dtype) -> None:
    got = validation.floating("x", value)
    assert got == dtype
    assert got.isnative


def test_output() -> None:
    like = np.zeros((2, 3), np.float32)
    for good in (np.ones((2, 3), np.float32), np.ones((3, 2), np.float32).T, np.ones((2, 6), np.float32)[:, ::2], like):
        assert validation.output("out", good, like) is good
    read_only = np.zeros((2, 3), np.float32)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only"):
        validation.output("out", read_only, like)
    for bad in (np.zeros((3, 2), np.float32), np.zeros((2, 3)), np.zeros(6, np.float32), np.zeros((2, 3), ">f4")):
        with pytest.raises(ValueError, match=r"out is .* \(.*\), expected float32 \(2, 3\)"):
            validation.output("out", bad, like)
    for wrong in ([[0.0] * 3] * 2, np.float32(0), None):
        with pytest.raises(TypeError, match=r"out is \w+, expected an ndarray"):
            validation.output("out", wrong, like)
