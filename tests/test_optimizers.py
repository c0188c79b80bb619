"""Optimizers on users' own arrays: updates in place whatever the layout, the state, and nothing changed by an error."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn import optimizers
from fastnn.reference import optimizers as reference

DTYPES = [np.float32, np.float64]
MAKE: dict[str, Callable[[], optimizers.Optimizer]] = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.05, momentum=0.8),
    "nesterov": lambda: optimizers.SGD(0.05, momentum=0.8, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-5),
}
REFERENCE: dict[str, Callable[[], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "sgd": lambda: reference.SGD(0.1),
    "momentum": lambda: reference.SGD(0.05, 0.8),
    "nesterov": lambda: reference.SGD(0.05, 0.8, True),
    "adam": lambda: reference.Adam(0.01, 0.8, 0.95, 1e-5),
}
STATES = {"sgd": 0, "momentum": 1, "nesterov": 1, "adam": 2}


def numbers(seed: int, *shape: int, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


# ---- updates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_are_the_references(name: str, dtype: type) -> None:
    optimizer, rules = MAKE[name](), [REFERENCE[name]() for _ in range(3)]
    shapes: list[tuple[int, ...]] = [(3, 4), (5,), ()]
    variables = [np.asarray(numbers(i, *shape, dtype=dtype)) for i, shape in enumerate(shapes)]
    expected = [v.astype(np.longdouble) for v in variables]
    for step in range(12):
        gradients = [np.asarray(numbers(10 * step + i, *shape, dtype=dtype)) for i, shape in enumerate(shapes)]
        optimizer.apply(gradients, variables)
        expected = [rule(e, g.astype(np.longdouble)) for rule, e, g in zip(rules, expected, gradients, strict=True)]
        assert optimizer.iterations == step + 1
    for v, e in zip(variables, expected, strict=True):
        np.testing.assert_allclose(v, e.astype(float), rtol=0, atol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", MAKE)
def test_one_array_is_a_list_of_one(name: str) -> None:
    one, many, pairs = MAKE[name](), MAKE[name](), MAKE[name]()
    a, b, c = (numbers(1, 3, 4) for _ in range(3))
    for step in range(3):
        gradient = numbers(step, 3, 4)
        assert one.apply(gradient, a) is None
        many.apply([gradient], [b])
        pairs.apply_gradients(iter([(gradient, c)]))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, c)


@pytest.mark.parametrize("name", MAKE)
def test_variables_of_both_dtypes_and_tuples(name: str) -> None:
    optimizer = MAKE[name]()
    variables = numbers(1, 4, dtype=np.float32), numbers(2, 4)
    alone = [v.copy() for v in variables]
    gradients = numbers(3, 4), numbers(4, 4)
    optimizer.apply(gradients, variables)
    for g, v, a in zip(gradients, variables, alone, strict=True):
        MAKE[name]().apply(g, a)
        np.testing.assert_array_equal(v, a)
        assert v.dtype == a.dtype


def holes(x: np.ndarray) -> np.ndarray:
    """The same numbers, every second row and third column of a larger array of sevens."""
    large = np.full((2 * x.shape[0], 3 * x.shape[1]), 7, x.dtype)
    large[::2, ::3] = x
    return large[::2, ::3]


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "strided": holes,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "transposed": lambda x: x.T.copy().T,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MAKE)
def test_any_layout_is_updated_in_place(name: str, dtype: type, layout: str) -> None:
    dense, other = MAKE[name](), MAKE[name]()
    a = numbers(1, 5, 4, dtype=dtype)
    b = LAYOUTS[layout](a)
    start = b
    for step in range(3):
        gradient = numbers(step, 5, 4, dtype=dtype)
        dense.apply(gradient, a)
        other.apply(LAYOUTS[layout](gradient), b)
        np.testing.assert_array_equal(b, a)
    assert b is start
    if layout == "strided":
        assert (b.base[1::2] == 7).all()
        assert (b.base[:, 1::3] == 7).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda g: g.tolist(),
        lambda g: g.astype(int),
        lambda g: g.astype(np.float16),
        lambda g: g.astype(">f8"),
        lambda g: np.broadcast_to(g, g.shape),
    ],
    ids=["list", "int", "float16", "byte-swapped", "read-only"],
)
@pytest.mark.parametrize("name", MAKE)
def test_gradients_are_any_real_arrays(name: str, change: Callable[[np.ndarray], Any]) -> None:
    gradient = np.array([[1.0, -2.0], [3.0, 0.0]])
    a, b = np.ones((2, 2)), np.ones((2, 2))
    MAKE[name]().apply([gradient], [a])
    MAKE[name]().apply([change(gradient)], [b])
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(gradient, [[1, -2], [3, 0]])


@pytest.mark.parametrize("name", MAKE)
def test_nothing_to_update(name: str) -> None:
    optimizer = MAKE[name]()
    optimizer.apply([], [])
    assert (optimizer.iterations, optimizer.variables) == (1, [])
    optimizer = MAKE[name]()
    empty = np.empty((0, 3))
    optimizer.apply(empty, empty)
    assert empty.shape == (0, 3)


@pytest.mark.parametrize("name", MAKE)
def test_nan_reaches_its_own_element_and_no_other(name: str) -> None:
    clean, touched = np.ones(5), np.ones(5)
    gradient = numbers(1, 5)
    MAKE[name]().apply(gradient, clean)
    gradient[2] = np.nan
    MAKE[name]().apply(gradient, touched)
    assert np.isnan(touched[2])
    np.testing.assert_array_equal(np.delete(touched, 2), np.delete(clean, 2))


def test_the_learning_rate_may_change_at_any_time() -> None:
    optimizer, w = optimizers.SGD(0.5), np.array([1.0])
    optimizer.apply(np.array([1.0]), w)
    optimizer.learning_rate = 0.25
    optimizer.apply(np.array([1.0]), w)
    assert w[0] == 0.25
    assert optimizer.get_config()["learning_rate"] == 0.25


def test_adams_first_step_is_the_learning_rate() -> None:
    # Both biases corrected, m/√v is the gradient's sign, whatever its size.
    for size in (1e-3, 1.0, 1e3):
        w = np.zeros(2)
        optimizers.Adam(0.01, epsilon=1e-20).apply(np.array([size, -size]), w)
        np.testing.assert_allclose(w, [-0.01, 0.01], rtol=1e-8)


# ---- state -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKE)
def test_the_state_is_made_at_the_first_step(name: str) -> None:
    optimizer = MAKE[name]()
    assert optimizer.variables == []
    variables = [np.ones((2, 3), np.float32), np.ones(4)]
    optimizer.apply([v.copy() for v in variables], variables)
    assert len(optimizer.variables) == 2 * STATES[name]
    sizes = [(v.size, v.dtype) for v in variables for _ in range(STATES[name])]
    assert [(s.size, s.dtype) for s in optimizer.variables] == sizes
    assert all(s.any() for s in optimizer.variables)


@pytest.mark.parametrize("name", MAKE)
def test_build_makes_zeros_and_keeps_what_is_there(name: str) -> None:
    optimizer, w = MAKE[name](), np.ones(3)
    optimizer.build([w])
    assert not any(s.any() for s in optimizer.variables)
    assert optimizer.iterations == 0
    optimizer.apply(np.ones(3), w)
    kept = [s.copy() for s in optimizer.variables]
    optimizer.build([w])
    for s, t in zip(optimizer.variables, kept, strict=True):
        np.testing.assert_array_equal(s, t)


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize(
    "other", [[np.ones(4)], [np.ones((3, 1))], [np.ones(3, np.float32)], [np.ones(3), np.ones(3)], []]
)
def test_other_variables_are_an_error(name: str, other: list[np.ndarray]) -> None:
    optimizer, w = MAKE[name](), np.ones(3)
    optimizer.apply(np.ones(3), w)
    kept = [s.copy() for s in optimizer.variables]
    before = [v.copy() for v in other]
    with pytest.raises(ValueError, match=r"variables are .*, expected those that this optimizer has the state of"):
        optimizer.apply([np.ones_like(v) for v in other], other)
    for v, b in zip(other, before, strict=True):
        np.testing.assert_array_equal(v, b)
    for s, t in zip(optimizer.variables, kept, strict=True):
        np.testing.assert_array_equal(s, t)
    assert optimizer.iterations == 1


@pytest.mark.parametrize("name", MAKE)
def test_a_copy_goes_on_by_itself(name: str) -> None:
    optimizer, w = MAKE[name](), np.ones(3)
    optimizer.apply(numbers(1, 3), w)
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        a, b = w.copy(), w.copy()
        twin = copy.deepcopy(optimizer)
        twin.apply(numbers(2, 3), a)
        other.apply(numbers(2, 3), b)
        np.testing.assert_array_equal(a, b)
        assert other.iterations == 2
    assert optimizer.iterations == 1


# ---- errors change nothing -------------------------------------------------------------------------------------------


def read_only(*shape: int) -> np.ndarray:
    x = np.ones(shape)
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize(
    ("gradient", "variable", "error", "message"),
    [
        (np.ones(3), read_only(3), ValueError, r"variables\[1\] is read-only, expected an array that can be updated"),
        (np.ones(4), np.ones(3), ValueError, r"gradients\[1\] has shape \(4,\), expected \(3,\) as variables\[1\]"),
        (np.ones((3, 1)), np.ones(3), ValueError, r"gradients\[1\] has shape \(3, 1\), expected \(3,\)"),
        (1.0, np.ones(3), ValueError, r"gradients\[1\] has shape \(\), expected \(3,\)"),
        (None, np.ones(3), TypeError, r"gradients\[1\] is None, expected"),
        ([[1], [1, 2]], np.ones(3), ValueError, r"gradients\[1\] is no rectangular array"),
        (["a"] * 3, np.ones(3), TypeError, r"gradients\[1\] has dtype <U1, expected real numbers"),
        ([1j] * 3, np.ones(3), TypeError, r"gradients\[1\] has dtype complex128, expected real numbers"),
        (np.ones(3), [1.0, 1.0, 1.0], TypeError, r"variables\[1\] is list, expected an ndarray"),
        (np.ones(3), 1.0, TypeError, r"variables\[1\] is float, expected an ndarray"),
        (np.ones(3), np.ones(3, int), ValueError, r"variables\[1\] has dtype int64, expected float32 or float64"),
        (np.ones(3), np.ones(3, np.float16), ValueError, r"variables\[1\] has dtype float16, expected float32 or"),
        (np.ones(3), np.ones(3, complex), ValueError, r"variables\[1\] has dtype complex128, expected float32 or"),
        (np.ones(3), np.ones(3, ">f8"), ValueError, r"variables\[1\] has dtype >f8, expected float32 or float64"),
        (np.ones(3), np.ones(3, ">f4"), ValueError, r"variables\[1\] has dtype >f4, expected float32 or float64"),
    ],
)
def test_an_error_changes_nothing(
    name: str, gradient: Any, variable: Any, error: type[Exception], message: str, started: bool
) -> None:
    optimizer = MAKE[name]()
    good = np.ones(2)
    if started:
        optimizer.apply([np.ones(2), np.ones(3)], [good, np.ones(3)])
    kept, before = [s.copy() for s in optimizer.variables], (good.copy(), copy.deepcopy(variable))
    # The first variable is good: it must not have been updated when the second is found to be bad.
    with pytest.raises(error, match=message):
        optimizer.apply([np.ones(2), gradient], [good, variable])
    with pytest.raises(error, match=message):
        optimizer.apply_gradients([(np.ones(2), good), (gradient, variable)])
    np.testing.assert_array_equal(good, before[0])
    np.testing.assert_array_equal(variable, before[1])
    for s, t in zip(optimizer.variables, kept, strict=True):
        np.testing.assert_array_equal(s, t)
    assert optimizer.iterations == started


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_as_many_gradients_as_variables(name: str, count: int) -> None:
    variables = [np.ones(2), np.ones(2)]
    with pytest.raises(ValueError, match=f"gradients are {count}, expected 2 as variables"):
        MAKE[name]().apply([np.ones(2)] * count, variables)
    assert all((v == 1).all() for v in variables)


# ---- constructors, names and configurations --------------------------------------------------------------------------


@pytest.mark.parametrize("make", [optimizers.SGD, optimizers.Adam])
@pytest.mark.parametrize(
    ("value", "error"),
    [(-0.1, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("fast", TypeError), (None, TypeError)],
)
def test_a_bad_learning_rate(make: Callable[..., optimizers.Optimizer], value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"learning_rate is .*, expected a"):
        make(learning_rate=value)
    optimizer = make()
    kept = optimizer.learning_rate
    with pytest.raises(error, match=r"learning_rate is .*, expected a"):
        optimizer.learning_rate = value
    assert optimizer.learning_rate == kept


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, np.nan])
@pytest.mark.parametrize(
    ("make", "name"), [(optimizers.SGD, "momentum"), (optimizers.Adam, "beta_1"), (optimizers.Adam, "beta_2")]
)
def test_a_bad_momentum(make: Callable[..., optimizers.Optimizer], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*, expected a finite number >= 0 and < 1"):
        make(**{name: value})


@pytest.mark.parametrize("value", [0.0, -1e-7, np.inf])
def test_a_bad_epsilon(value: float) -> None:
    with pytest.raises(ValueError, match=r"epsilon is .*, expected a finite number > 0"):
        optimizers.Adam(epsilon=value)


def test_defaults_are_keras() -> None:
    assert optimizers.SGD().get_config() == {
        "learning_rate": 0.01,
        "momentum": 0.0,
        "nesterov": False,
        "name": "SGD",
    }
    assert optimizers.Adam().get_config() == {
        "learning_rate": 0.001,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-7,
        "name": "adam",
    }


@pytest.mark.parametrize("name", MAKE)
def test_a_configuration_makes_the_same_optimizer_without_its_state(name: str) -> None:
    optimizer, w = MAKE[name](), np.ones(3)
    first = w.copy()
    MAKE[name]().apply(numbers(1, 3), first)
    optimizer.apply(numbers(1, 3), w)
    config = optimizer.get_config()
    again = type(optimizer).from_config(config)
    assert again.get_config() == config
    assert (again.iterations, again.variables) == (0, [])
    v = np.ones(3)
    again.apply(numbers(1, 3), v)
    np.testing.assert_array_equal(v, first)
    shown = repr(optimizer)
    assert shown.startswith(f"{type(optimizer).__name__}(learning_rate=")
    assert eval(shown, vars(optimizers)).get_config() == config
    named = type(optimizer)(name="mine")
    assert named.name == named.get_config()["name"] == "mine"


@pytest.mark.parametrize(
    ("identifier", "kind"),
    [
        ("sgd", optimizers.SGD),
        ("SGD", optimizers.SGD),
        ("adam", optimizers.Adam),
        ("Adam", optimizers.Adam),
        (optimizers.SGD, optimizers.SGD),
        (optimizers.Adam, optimizers.Adam),
    ],
)
def test_get(identifier: Any, kind: type[optimizers.Optimizer]) -> None:
    optimizer = optimizers.get(identifier)
    assert type(optimizer) is kind
    assert optimizer.get_config() == kind().get_config()  # type: ignore[call-arg]
    assert optimizers.get(optimizer) is optimizer


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ValueError, match="optimizer is 'adamax', expected one of 'sgd', 'adam'"):
        optimizers.get("adamax")


@pytest.mark.parametrize("identifier", [None, 0.1, dict])
def test_no_name_is_an_error(identifier: Any) -> None:
    with pytest.raises(TypeError, match=r"optimizer is .*, expected a name or an object of Optimizer"):
        optimizers.get(identifier)
