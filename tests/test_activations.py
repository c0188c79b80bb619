"""Activations as users call them: any real array in, a new array or `out` back, errors that name the argument."""

from __future__ import annotations

import copy
import json
import pickle
import threading
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import activations
from fastnn.reference import activations as reference

NAMES = sorted(reference.ACTIVATIONS)
ROWWISE = ["log_softmax", "softmax"]
# Parameters, their default, another value, and values that they must not have.
PARAMETERS = {
    "leaky_relu": ("negative_slope", 0.2, 0.01, [-0.1]),
    "elu": ("alpha", 1.0, 0.5, [-0.1]),
    "celu": ("alpha", 1.0, 0.5, [0, -1.0]),
    "soft_shrink": ("threshold", 0.5, 0.25, [-0.1]),
    "hard_shrink": ("threshold", 0.5, 0.25, [-0.1]),
    "squareplus": ("b", 4.0, 0.5, [0, -1.0]),
    "gelu": ("approximate", False, True, [0.5, "yes", None]),
}
DTYPES = [np.float32, np.float64]
SHAPES = [(1,), (5,), (3, 4), (2, 3, 4)]


def numbers(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return (2 * np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def assert_close(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    eps = np.finfo(got.dtype).eps
    np.testing.assert_allclose(got, expected, rtol=20 * eps, atol=4 * eps)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_the_references(name: str, dtype: type, shape: tuple[int, ...]) -> None:
    function, gradient = reference.ACTIVATIONS[name]
    activation = getattr(activations, name)
    x, upstream = numbers(*shape, dtype=dtype), numbers(*shape, dtype=dtype, seed=1)
    before = x.copy(), upstream.copy()
    assert_close(activation(x), function(x))
    assert_close(activation.gradient(x, upstream), gradient(x, upstream))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(upstream, before[1])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ROWWISE])
def test_without_upstream_a_gradient_is_the_derivative(name: str) -> None:
    activation = getattr(activations, name)
    x = numbers(7) + 0.013  # beside every kink
    _, gradient = reference.ACTIVATIONS[name]
    assert_close(activation.gradient(x), gradient(x, np.ones_like(x)))
    step = 1e-6
    np.testing.assert_allclose(
        activation.gradient(x), (activation(x + step) - activation(x - step)) / (2 * step), atol=1e-8
    )


@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_works_along_the_last_axis(name: str) -> None:
    softmax = getattr(activations, name)
    x = numbers(2, 3, 4)
    a = softmax(x)
    np.testing.assert_allclose((a if name == "softmax" else np.exp(a)).sum(axis=-1), 1, rtol=1e-14)
    for i in range(2):
        for j in range(3):
            np.testing.assert_array_equal(a[i, j], softmax(x[i, j]))


def test_a_scalar_is_an_array_without_axes() -> None:
    for x in (0.5, 3, np.float32(0.5), np.array(0.5)):
        a = activations.tanh(x)
        assert isinstance(a, np.ndarray)
        assert a.shape == ()
        assert a.dtype == (np.float32 if isinstance(x, np.float32) else np.float64)
        assert float(a) == pytest.approx(np.tanh(float(x)), rel=1e-6)
        assert activations.tanh.gradient(x).shape == ()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (0, 2, 3)])
def test_empty_arrays(name: str, shape: tuple[int, ...]) -> None:
    activation = getattr(activations, name)
    x = np.empty(shape, np.float32)
    if name in ROWWISE and shape[-1] == 0:
        with pytest.raises(ValueError, match=r"x has shape \(.*0,?\), expected a last axis of at least one element"):
            activation(x)
        return
    for result in (activation(x), activation.gradient(x, x)):
        assert (result.shape, result.dtype) == (shape, np.float32)


# ---- any real array --------------------------------------------------------------------------------------------------


def misaligned(x: np.ndarray) -> np.ndarray:
    """The same numbers one byte off the place where their type belongs."""
    raw = np.zeros(x.nbytes + 1, np.uint8)
    result = raw[1:].view(x.dtype).reshape(x.shape)
    result[...] = x
    assert not result.flags.aligned
    return result


def read_only(x: np.ndarray) -> np.ndarray:
    result = x.copy()
    result.flags.writeable = False
    return result


def spread(x: np.ndarray) -> np.ndarray:
    """The same numbers, every third column of a wider array."""
    wide = np.full((*x.shape[:-1], 3 * x.shape[-1]), 9, x.dtype)
    wide[..., ::3] = x
    return wide[..., ::3]


LAYOUTS = {
    "strided": spread,
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran": np.asfortranarray,
    "read-only": read_only,
    "misaligned": misaligned,
    "byte-swapped": lambda x: x.astype(x.dtype.newbyteorder()),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_any_layout_gives_the_same_bytes(name: str, dtype: type, layout: str) -> None:
    activation = getattr(activations, name)
    x, upstream = numbers(5, 17, dtype=dtype), numbers(5, 17, dtype=dtype, seed=1)
    given, given_upstream = LAYOUTS[layout](x), LAYOUTS[layout](upstream)
    for got, expected in [
        (activation(given), activation(x)),
        (activation.gradient(given, given_upstream), activation.gradient(x, upstream)),
    ]:
        assert got.dtype == dtype
        assert got.dtype.isnative
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(given, x)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.longdouble])
def test_other_real_numbers_are_computed_in_float64(dtype: Any) -> None:
    x = np.array([[0, 1], [1, 1]], dtype)
    for name in NAMES:
        got = getattr(activations, name)(x)
        assert type(got) is np.ndarray
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, getattr(activations, name)(x.astype(np.float64)))
    np.testing.assert_array_equal(activations.relu([[-1, 2], [3, -4]]), [[0, 2], [3, 0]])
    assert activations.relu.gradient(x.astype(np.float32), x).dtype == np.float32


# ---- out -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["new", "x", "x reversed", "x but for a row", "upstream", "strided", "Fortran"])
def test_out(name: str, place: str) -> None:
    activation = getattr(activations, name)
    for gradient in (False, True):
        whole = numbers(5, 6, dtype=np.float32)
        x, upstream = whole[:4], numbers(4, 6, dtype=np.float32, seed=1)
        expected = activation.gradient(x, upstream) if gradient else activation(x)
        out = {
            "new": np.full_like(x, 7),
            "x": x,
            "x reversed": x[::-1, ::-1],
            "x but for a row": whole[1:],
            "upstream": upstream,
            "strided": np.full((8, 12), 7, np.float32)[::2, ::2],
            "Fortran": np.full((4, 6), 7, np.float32, order="F"),
        }[place]
        got = activation.gradient(x, upstream, out=out) if gradient else activation(x, out=out)
        assert got is out
        np.testing.assert_array_equal(out, expected)
        if place == "strided":
            assert (out.base[1::2] == 7).all()
            assert (out.base[:, 1::2] == 7).all()


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([0.0] * 3, TypeError, "out is list, expected an ndarray"),
        (np.zeros(4), ValueError, r"out is float64 \(4,\), expected float64 \(3,\)"),
        (np.zeros((1, 3)), ValueError, r"out is float64 \(1, 3\), expected float64 \(3,\)"),
        (np.zeros(3, np.float32), ValueError, r"out is float32 \(3,\), expected float64 \(3,\)"),
        (np.zeros(3, int), ValueError, r"out is int64 \(3,\), expected float64 \(3,\)"),
        (np.zeros(3, ">f8"), ValueError, r"out is >f8 \(3,\), expected float64 \(3,\)"),
        (read_only(np.zeros(3)), ValueError, "out is read-only"),
    ],
)
def test_a_bad_out_is_an_error_and_stays_as_it_is(
    out: Any, error: type[Exception], message: str, gradient: bool
) -> None:
    before = copy.deepcopy(out)
    for activation in (activations.sigmoid, activations.softmax):
        with pytest.raises(error, match=message):
            activation.gradient(np.ones(3), np.ones(3), out=out) if gradient else activation(np.ones(3), out=out)
    np.testing.assert_array_equal(out, before)


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (None, TypeError, "x is None, expected"),
        ("abc", TypeError, "x has dtype <U3, expected real numbers"),
        ([1j], TypeError, "x has dtype complex128, expected real numbers"),
        ([object()], TypeError, "x has dtype object, expected real numbers"),
        (np.array(["2020-01-01"], "M8[D]"), TypeError, r"x has dtype datetime64\[D\], expected real numbers"),
        ([[1.0], [1.0, 2.0]], ValueError, "x is no rectangular array"),
    ],
)
def test_what_is_no_real_array_is_an_error(x: Any, error: type[Exception], message: str) -> None:
    for activation in (activations.relu, activations.softmax):
        with pytest.raises(error, match=message):
            activation(x)
        with pytest.raises(error, match=message):
            activation.gradient(x, np.ones(1))


@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_needs_an_axis(name: str) -> None:
    with pytest.raises(ValueError, match=r"x has shape \(\), expected a last axis of at least one element"):
        getattr(activations, name)(np.float64(3.0))
    with pytest.raises(ValueError, match=r"x has shape \(\), expected a last axis of at least one element"):
        getattr(activations, name)(np.array(3.0))


@pytest.mark.parametrize("name", ROWWISE)
def test_softmax_needs_upstream(name: str) -> None:
    with pytest.raises(ValueError, match=rf"upstream is None, expected the gradient with respect to {name}\(x\)"):
        getattr(activations, name).gradient(np.ones(3))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(), (3,), (2, 1), (1, 3), (3, 2), (2, 3, 1)])
def test_upstream_is_never_broadcast(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"upstream has shape \(.*\), expected \(2, 3\) as x"):
        getattr(activations, name).gradient(np.ones((2, 3)), np.ones(shape))


@pytest.mark.parametrize(
    ("upstream", "message"), [("a", "upstream has dtype <U1"), (["a"] * 3, "upstream has dtype <U1")]
)
def test_upstream_is_real(upstream: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        activations.tanh.gradient(np.ones(3), upstream)


# ---- large arrays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1_300_001,), (1001, 1299), (1, 1_300_000), (433_334, 3)])
@pytest.mark.parametrize("name", ["relu", "gelu", "softmax", "log_softmax"])
def test_no_number_of_threads_changes_a_bit(name: str, shape: tuple[int, ...]) -> None:
    activation = getattr(activations, name)
    x = np.random.default_rng(0).standard_normal(shape, np.float32)
    upstream = np.random.default_rng(1).standard_normal(shape, np.float32)
    found = []
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        found.append((activation(x), activation.gradient(x, upstream), activation(x, out=x.copy())))
    for a, d, inplace in found:
        np.testing.assert_array_equal(a, found[0][0])
        np.testing.assert_array_equal(inplace, found[0][0])
        np.testing.assert_array_equal(d, found[0][1])
    # And pieces are as the whole.
    rows = slice(None) if x.ndim == 1 and name in ROWWISE else slice(-7, None)
    np.testing.assert_array_equal(activation(x[rows]), found[0][0][rows])
    np.testing.assert_array_equal(activation.gradient(x[rows], upstream[rows]), found[0][1][rows])


def test_many_threads_of_python_may_call_at_once() -> None:
    x = numbers(40_000)
    expected = activations.mish(x)
    found: list[np.ndarray] = []
    calls = [threading.Thread(target=lambda: found.extend(activations.mish(x) for _ in range(20))) for _ in range(4)]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(found) == 80
    for got in found:
        np.testing.assert_array_equal(got, expected)


# ---- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_in_a_call_and_for_good(name: str) -> None:
    activation = getattr(activations, name)
    function, gradient = reference.ACTIVATIONS[name]
    parameter, default, other, _ = PARAMETERS[name]
    assert activation.parameters == {parameter: default}
    x, upstream = numbers(5, 7), numbers(5, 7, seed=1)
    changed = activation.with_parameters(**{parameter: other})
    assert changed.parameters == {parameter: other}
    assert not np.array_equal(changed(x), activation(x))
    assert_close(changed(x), function(x, **{parameter: other}))
    assert_close(changed.gradient(x, upstream), gradient(x, upstream, **{parameter: other}))
    np.testing.assert_array_equal(activation(x, **{parameter: other}), changed(x))
    out = np.empty_like(x)
    assert activation(x, out=out, **{parameter: other}) is out
    np.testing.assert_array_equal(out, changed(x))
    np.testing.assert_array_equal(activation(x, **{parameter: default}), activation(x))
    assert activation.parameters == {parameter: default}


@pytest.mark.parametrize("name", PARAMETERS)
def test_other_parameters_make_another_activation(name: str) -> None:
    activation = getattr(activations, name)
    parameter, default, other, _ = PARAMETERS[name]
    changed = activation.with_parameters(**{parameter: other})
    assert changed != activation
    assert changed == activation.with_parameters(**{parameter: other})
    assert hash(changed) == hash(activation.with_parameters(**{parameter: other}))
    assert changed.with_parameters(**{parameter: default}) is activation
    assert activation.with_parameters() is activation
    assert repr(changed) == f"<fastnn.activations.{name}({parameter}={other})>"
    assert pickle.loads(pickle.dumps(changed)) == changed
    assert copy.deepcopy(changed) == changed
    config = activations.serialize(changed)
    assert config == {"name": name, parameter: other}
    assert activations.get(json.loads(json.dumps(config))) == changed
    assert changed != name


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_bad_parameter_is_an_error(name: str) -> None:
    activation = getattr(activations, name)
    parameter, _, _, bad = PARAMETERS[name]
    for value in bad:
        with pytest.raises((ValueError, TypeError), match=f"{parameter} is {value!r}, expected"):
            activation(np.ones(3), **{parameter: value})
    with pytest.raises(TypeError, match=f"{name} has no parameter 'beta', expected {parameter}"):
        activation.with_parameters(beta=1)
    if name != "gelu":
        for value in (np.nan, np.inf):
            with pytest.raises(ValueError, match=f"{parameter} is {value!r}, expected a finite number"):
                activation.with_parameters(**{parameter: value})


def test_a_function_without_parameters_takes_none() -> None:
    with pytest.raises(TypeError, match="tanh has no parameter 'alpha', expected none"):
        activations.tanh(np.ones(3), alpha=1)
    with pytest.raises(TypeError, match="tanh has no parameter for 1, expected none"):
        activations.tanh(np.ones(3), 1)


RELUS = [
    {"negative_slope": 0.25},
    {"max_value": 2.5},
    {"max_value": 6},
    {"threshold": 0.5},
    {"negative_slope": 0.25, "max_value": 1.5},
    {"negative_slope": 0.25, "max_value": 1.5, "threshold": 0.5},
    {"max_value": 0.25, "threshold": 0.5},
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", RELUS, ids=str)
def test_relu_of_all_its_parameters(options: dict[str, float], dtype: type) -> None:
    x, upstream = numbers(20, 7, dtype=dtype), numbers(20, 7, dtype=dtype, seed=1)
    x[0, :5] = 0, 0.5, 1.5, -0.0, 2.5  # the kinks
    changed = activations.relu.with_parameters(**options)
    assert changed.parameters == {"negative_slope": 0.0, "max_value": None, "threshold": 0.0} | options
    assert_close(changed(x), reference.relu(x, **options))
    assert_close(changed.gradient(x, upstream), reference.relu_gradient(x, upstream, **options))
    np.testing.assert_array_equal(activations.relu(x, **options), changed(x))
    in_order = [changed.parameters[name] for name in ("negative_slope", "max_value", "threshold")]
    np.testing.assert_array_equal(activations.relu(x, *in_order), changed(x))
    config = activations.serialize(changed)
    assert config == {"name": "relu", **options}
    assert activations.get(json.loads(json.dumps(config))) == changed
    assert pickle.loads(pickle.dumps(changed)) == changed
    assert hash(changed) == hash(activations.relu.with_parameters(*in_order))
    assert repr(changed) == f"<fastnn.activations.relu({', '.join(f'{k}={float(v)}' for k, v in options.items())})>"
    # One parameter after the other is the same function.
    one_by_one = activations.relu
    for name, value in options.items():
        one_by_one = one_by_one.with_parameters(**{name: value})
    assert one_by_one == changed
    assert changed.with_parameters(0, None, 0) is activations.relu


def test_relus_that_other_functions_are() -> None:
    x = numbers(50) * 4
    for options, other in (
        ({"max_value": 6}, activations.relu6),
        ({"negative_slope": 0.2}, activations.leaky_relu),
        ({}, activations.relu),
    ):
        assert activations.relu(x, **options).tobytes() == other(x).tobytes()


@pytest.mark.parametrize("name", ["negative_slope", "max_value", "threshold"])
def test_a_bad_parameter_of_relu(name: str) -> None:
    for value in (-1, np.nan, np.inf, "a"):
        with pytest.raises((ValueError, TypeError), match=f"{name} is {value!r}, expected"):
            activations.relu(np.ones(3), **{name: value})
    for name_of_one in ("negative_slope", "threshold"):
        with pytest.raises(TypeError, match=f"{name_of_one} is None, expected a number"):
            activations.relu(np.ones(3), **{name_of_one: None})
    with pytest.raises(TypeError, match=r"relu has no parameter for 4, expected negative_slope, max_value, threshold"):
        activations.relu(np.ones(3), 1, 2, 3, 4)
    with pytest.raises(TypeError, match="relu has no other parameter 'negative_slope', expected negative_slope, max_v"):
        activations.relu(np.ones(3), 1, negative_slope=2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROWWISE)
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3, (0, 1), (2, 0), (-1, -2), [1], (0, 1, 2)], ids=str)
def test_along_any_axis(name: str, axis: Any, dtype: type) -> None:
    activation, (function, gradient) = getattr(activations, name), reference.ACTIVATIONS[name]
    x, upstream = numbers(3, 4, 5, dtype=dtype), numbers(3, 4, 5, dtype=dtype, seed=1)
    axes = [axis] if isinstance(axis, int) else list(axis)

    def along(function: Any, *arrays: np.ndarray) -> np.ndarray:
        moved = [np.moveaxis(a, axes, range(-len(axes), 0)) for a in arrays]
        rows = [a.reshape(*a.shape[: a.ndim - len(axes)], -1) for a in moved]
        return np.moveaxis(function(*rows).reshape(moved[0].shape), range(-len(axes), 0), axes)

    assert_close(activation(x, axis=axis), along(function, x))
    assert_close(activation(x, axis), along(function, x))
    changed = activation.with_parameters(axis)
    assert_close(changed.gradient(x, upstream), along(gradient, x, upstream))
    out = np.full((6, 4, 5), 7, dtype)[::2]
    assert changed(x, out=out) is out
    np.testing.assert_array_equal(out, changed(x))
    assert (out.base[1::2] == 7).all()
    assert changed.gradient(x, upstream, out=x) is x
    np.testing.assert_array_equal(x, changed.gradient(numbers(3, 4, 5, dtype=dtype), upstream))
    assert activations.get(json.loads(json.dumps(activations.serialize(changed)))) == changed


@pytest.mark.parametrize("name", ROWWISE)
def test_an_axis_that_there_is_not(name: str) -> None:
    activation, x = getattr(activations, name), np.ones((2, 3))
    for axis in (2, -3, (0, 2), (0, 0), (1, -1)):
        message = r"axis is .*, expected axes of x, which has shape \(2, 3\)"
        with pytest.raises(ValueError, match=message):
            activation(x, axis=axis)
        with pytest.raises(ValueError, match=message):
            activation.with_parameters(axis).gradient(x, x)
    with pytest.raises(ValueError, match=r"upstream has shape \(3,\), expected \(2, 3\) as x"):
        activation.with_parameters(0).gradient(x, np.ones(3))
    with pytest.raises(ValueError, match=r"out is float64 \(3,\), expected float64 \(2, 3\)"):
        activation(x, 0, out=np.ones(3))
    with pytest.raises(ValueError, match="upstream is None, expected the gradient"):
        activation.with_parameters(0).gradient(x)
    for bad in (1.5, "0", True, None):
        with pytest.raises(TypeError, match=f"axis is {bad!r}, expected an integer"):
            activation(x, axis=bad)


def test_gelu_is_exact_unless_told() -> None:
    x = np.array([-1.0])
    assert float(activations.gelu(x)[0]) == pytest.approx(-0.15865525393145707, rel=1e-15)
    assert float(activations.gelu(x, approximate=True)[0]) == pytest.approx(-0.15880800939172324, rel=1e-15)


# ---- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_get_by_name(name: str) -> None:
    activation = activations.get(name)
    assert activation is getattr(activations, name)
    assert activations.get(activation) is activation
    assert activation.name == name
    assert repr(activation) == f"<fastnn.activations.{name}>"
    assert activation.formula in str(activation.__doc__)


@pytest.mark.parametrize(("alias", "name"), [("swish", "silu"), ("hard_swish", "hard_silu")])
def test_other_names(alias: str, name: str) -> None:
    assert activations.get(alias) is getattr(activations, alias) is getattr(activations, name)


def test_all_names_are_public() -> None:
    assert {*NAMES, "swish", "hard_swish", "Activation", "get", "serialize"} == set(activations.__all__)


def test_none_is_linear() -> None:
    assert activations.get(None) is activations.linear


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="activation is 'rely', expected one of 'linear', 'relu', 'sigmoid'"):
        activations.get("rely")


@pytest.mark.parametrize("identifier", [3, ["relu"], np.tanh])
def test_no_name_is_an_error(identifier: Any) -> None:
    with pytest.raises(TypeError, match=r"activation is .*expected a name or an object of Activation"):
        activations.get(identifier)


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({}, ValueError, "activation is {}, expected a dict with 'name'"),
        ({"name": "rely"}, ValueError, "activation is 'rely', expected one of"),
        ({"name": 3}, TypeError, "activation is 3, expected a name"),
        ({"name": "elu", "beta": 1}, TypeError, "elu has no parameter 'beta', expected alpha"),
        ({"name": "elu", "alpha": -1}, ValueError, "alpha is -1, expected a finite number >= 0"),
    ],
)
def test_a_bad_description_is_an_error(config: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        activations.get(config)


@pytest.mark.parametrize("name", NAMES)
def test_a_default_is_described_by_its_name(name: str) -> None:
    assert activations.serialize(getattr(activations, name)) == name


@pytest.mark.parametrize("name", NAMES)
def test_copies_are_the_same_object(name: str) -> None:
    activation = activations.get(name)
    assert pickle.loads(pickle.dumps(activation)) is activation
    assert copy.deepcopy(activation) is activation
