"""Optimizers on users' own arrays: updates in place whatever the layout, the state, and nothing changed by an error."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import optimizers
from fastnn.reference import optimizers as reference

DTYPES = [np.float32, np.float64]
MAKE: dict[str, Callable[..., optimizers.Optimizer]] = {
    "sgd": lambda **o: optimizers.SGD(0.1, **o),
    "momentum": lambda **o: optimizers.SGD(0.05, momentum=0.8, **o),
    "nesterov": lambda **o: optimizers.SGD(0.05, momentum=0.8, nesterov=True, **o),
    "adagrad": lambda **o: optimizers.Adagrad(0.05, initial_accumulator_value=0.3, epsilon=1e-5, **o),
    "rmsprop": lambda **o: optimizers.RMSprop(0.01, rho=0.8, epsilon=1e-5, **o),
    "rmsprop, all": lambda **o: optimizers.RMSprop(0.01, 0.8, 0.7, epsilon=1e-5, centered=True, **o),
    "adadelta": lambda **o: optimizers.Adadelta(0.5, rho=0.8, epsilon=1e-5, **o),
    "adam": lambda **o: optimizers.Adam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-5, **o),
    "amsgrad": lambda **o: optimizers.Adam(0.01, beta_1=0.8, beta_2=0.6, epsilon=1e-5, amsgrad=True, **o),
    "adamw": lambda **o: optimizers.AdamW(0.01, 0.3, beta_1=0.8, beta_2=0.95, epsilon=1e-5, **o),
    "adamax": lambda **o: optimizers.Adamax(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-5, **o),
    "nadam": lambda **o: optimizers.Nadam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-5, **o),
    "lion": lambda **o: optimizers.Lion(0.01, beta_1=0.8, beta_2=0.95, **o),
}
ADAM = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-5}
REFERENCE: dict[str, Callable[[], Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "sgd": lambda: reference.SGD(0.1),
    "momentum": lambda: reference.SGD(0.05, 0.8),
    "nesterov": lambda: reference.SGD(0.05, 0.8, True),
    "adagrad": lambda: reference.Optimizer(reference.adagrad, [0.3], 0.05, epsilon=1e-5),
    "rmsprop": lambda: reference.Optimizer(reference.rmsprop, [0], 0.01, rho=0.8, epsilon=1e-5),
    "rmsprop, all": lambda: reference.Optimizer(
        reference.rmsprop, [0, 0, 0], 0.01, rho=0.8, epsilon=1e-5, momentum=0.7, centered=True
    ),
    "adadelta": lambda: reference.Optimizer(reference.adadelta, [0, 0], 0.5, rho=0.8, epsilon=1e-5),
    "adam": lambda: reference.Adam(0.01, 0.8, 0.95, 1e-5),
    "amsgrad": lambda: reference.Optimizer(
        reference.adam, [0, 0, 0], 0.01, beta_1=0.8, beta_2=0.6, epsilon=1e-5, amsgrad=True
    ),
    "adamw": lambda: reference.Adam(0.01, 0.8, 0.95, 1e-5, weight_decay=0.3),
    "adamax": lambda: reference.Optimizer(reference.adamax, [0, 0], 0.01, **ADAM),
    "nadam": lambda: reference.Optimizer(reference.nadam, [0, 0], 0.01, **ADAM),
    "lion": lambda: reference.Optimizer(reference.lion, [0], 0.01, beta_1=0.8, beta_2=0.95),
}
STATES = {
    "sgd": [],
    "momentum": ["momentum"],
    "nesterov": ["momentum"],
    "adagrad": ["accumulator"],
    "rmsprop": ["velocity"],
    "rmsprop, all": ["velocity", "average_gradient", "momentum"],
    "adadelta": ["accumulated_grad", "accumulated_delta_var"],
    "adam": ["momentum", "velocity"],
    "amsgrad": ["momentum", "velocity", "velocity_hat"],
    "adamw": ["momentum", "velocity"],
    "adamax": ["momentum", "norm"],
    "nadam": ["momentum", "velocity"],
    "lion": ["momentum"],
}


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
    shapes = [(v.shape, v.dtype) for v in variables for _ in STATES[name]]
    assert [(s.shape, s.dtype) for s in optimizer.variables] == shapes
    names = {f"{state}.{i}" for i in range(2) for state in STATES[name]}
    assert optimizer.get_state().keys() == {"steps", "learning_rate"} | names
    assert all(s.any() for s in optimizer.variables)


@pytest.mark.parametrize("name", MAKE)
def test_build_makes_the_first_state_and_keeps_what_is_there(name: str) -> None:
    optimizer, w = MAKE[name](), np.ones(3)
    optimizer.build([w])
    assert all((s == (0.3 if name == "adagrad" else 0)).all() for s in optimizer.variables)
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


KINDS = [
    optimizers.SGD,
    optimizers.Adagrad,
    optimizers.RMSprop,
    optimizers.Adadelta,
    optimizers.Adam,
    optimizers.AdamW,
    optimizers.Adamax,
    optimizers.Nadam,
    optimizers.Lion,
]


@pytest.mark.parametrize("make", KINDS)
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


SHARES = [
    (optimizers.SGD, "momentum"),
    (optimizers.RMSprop, "rho"),
    (optimizers.RMSprop, "momentum"),
    (optimizers.Adadelta, "rho"),
    *((kind, name) for kind in KINDS[4:8] for name in ("beta_1", "beta_2")),
    (optimizers.Lion, "beta_2"),
]


@pytest.mark.parametrize("value", [-0.1, 1.0, 1.5, np.nan])
@pytest.mark.parametrize(("make", "name"), SHARES)
def test_a_bad_momentum(make: Callable[..., optimizers.Optimizer], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*, expected a finite number >= 0 and < 1"):
        make(**{name: value})
    optimizer = make()
    with pytest.raises(ValueError, match=f"{name} is .*, expected a finite number >= 0 and < 1"):
        setattr(optimizer, name, value)
    assert optimizer.get_config() == make().get_config()


def test_lions_beta_1_is_not_0() -> None:
    with pytest.raises(ValueError, match="beta_1 is 0, expected a finite number > 0 and < 1"):
        optimizers.Lion(beta_1=0)


@pytest.mark.parametrize("value", [0.0, -1e-7, np.inf])
@pytest.mark.parametrize("make", KINDS[1:8])
def test_a_bad_epsilon(make: Callable[..., optimizers.Optimizer], value: float) -> None:
    with pytest.raises(ValueError, match=r"epsilon is .*, expected a finite number > 0"):
        make(epsilon=value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weight_decay": -0.1}, ValueError, "weight_decay is -0.1, expected a finite number >= 0"),
        ({"weight_decay": np.nan}, ValueError, "weight_decay is nan, expected a finite number >= 0"),
        ({"clipnorm": 0}, ValueError, "clipnorm is 0, expected a finite number > 0"),
        ({"clipvalue": -1}, ValueError, "clipvalue is -1, expected a finite number > 0"),
        ({"global_clipnorm": np.inf}, ValueError, "global_clipnorm is inf, expected a finite number > 0"),
        ({"clipnorm": 1, "clipvalue": 2}, ValueError, "clipnorm is 1.0 and clipvalue is 2.0, expected one of them at"),
        ({"clipnorm": 1, "global_clipnorm": 2}, ValueError, "clipnorm is 1.0 and global_clipnorm is 2.0, expected one"),
        ({"ema_momentum": 1.1}, ValueError, "ema_momentum is 1.1, expected a finite number >= 0 and <= 1"),
        ({"ema_overwrite_frequency": 0}, ValueError, "ema_overwrite_frequency is 0, expected at least 1"),
        ({"ema_overwrite_frequency": 1.5}, TypeError, "ema_overwrite_frequency is 1.5, expected an integer"),
        ({"gradient_accumulation_steps": 1}, ValueError, "gradient_accumulation_steps is 1, expected at least 2"),
        ({"gradient_accumulation_steps": "2"}, TypeError, "gradient_accumulation_steps is '2', expected an integer"),
        ({"decay": 0.1}, TypeError, "unexpected keyword argument 'decay'"),
    ],
)
@pytest.mark.parametrize("make", KINDS)
def test_bad_options(
    make: Callable[..., optimizers.Optimizer], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(**options)


def test_a_second_clip_set_later_is_an_error_before_anything_is_changed() -> None:
    optimizer, w = optimizers.Adam(clipnorm=1.0), np.ones(3)
    optimizer.apply(np.ones(3), w)
    optimizer.clipvalue = 1.0
    before = w.copy()
    with pytest.raises(ValueError, match=r"clipnorm is 1.0 and clipvalue is 1.0, expected one of them at most"):
        optimizer.apply(np.ones(3), w)
    np.testing.assert_array_equal(w, before)
    assert optimizer.steps == 1


OPTIONS = {
    "weight_decay": None,
    "clipnorm": None,
    "clipvalue": None,
    "global_clipnorm": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "gradient_accumulation_steps": None,
}
ADAMS = {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
DEFAULTS: dict[str, dict[str, Any]] = {
    "sgd": {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
    "adagrad": {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    "rmsprop": {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    "adadelta": {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7},
    "adam": ADAMS | {"amsgrad": False},
    "adamw": ADAMS | {"amsgrad": False, "weight_decay": 0.004},
    "adamax": ADAMS,
    "nadam": ADAMS,
    "lion": {"learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.99},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_keras(name: str) -> None:
    assert optimizers.get(name).get_config() == OPTIONS | DEFAULTS[name] | {"name": name}


@pytest.mark.parametrize("name", MAKE)
def test_a_configuration_makes_the_same_optimizer_without_its_state(name: str) -> None:
    options = {"clipvalue": 0.5, "weight_decay": 0.1, "use_ema": True, "ema_overwrite_frequency": 1}
    if name == "adamw":
        del options["weight_decay"]
    optimizer, w = MAKE[name](**options), np.ones(3)
    first = w.copy()
    MAKE[name](**options).apply(numbers(1, 3), first)
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
    named = type(optimizer)(name="mine")  # type: ignore[call-arg]
    assert named.name == named.get_config()["name"] == "mine"


@pytest.mark.parametrize("kind", KINDS)
def test_get(kind: type[optimizers.Optimizer]) -> None:
    for identifier in (kind.__name__, kind.__name__.lower(), kind.__name__.upper(), kind):
        optimizer = optimizers.get(identifier)
        assert type(optimizer) is kind
        assert optimizer.get_config() == kind().get_config()  # type: ignore[call-arg]
        assert optimizers.get(optimizer) is optimizer


def test_an_unknown_name_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(
        ValueError, match="optimizer is 'ftrl', expected one of 'sgd', 'adagrad', 'rmsprop', 'adadelta'"
    ):
        optimizers.get("ftrl")


@pytest.mark.parametrize("identifier", [None, 0.1, dict])
def test_no_name_is_an_error(identifier: Any) -> None:
    with pytest.raises(TypeError, match=r"optimizer is .*, expected a name or an object of Optimizer"):
        optimizers.get(identifier)


# ---- hyperparameters and learning rates that change ------------------------------------------------------------------


def test_a_hyperparameter_set_later_counts_at_the_next_step() -> None:
    optimizer, w = optimizers.SGD(1.0, momentum=0.5), np.zeros(1)
    optimizer.apply(np.ones(1), w)  # v = 1
    optimizer.momentum = 0.25
    optimizer.apply(np.ones(1), w)  # v = 1.25
    assert w[0] == -2.25


def test_an_option_that_needs_another_state_is_an_error_once_there_is_one() -> None:
    optimizer, w = optimizers.SGD(1.0, momentum=0.5), np.zeros(1)
    optimizer.apply(np.ones(1), w)
    optimizer.use_ema = True
    with pytest.raises(ValueError, match=r"has 1 arrays of state for each variable, expected 2 \(momentum, average\)"):
        optimizer.apply(np.ones(1), w)
    assert (w[0], optimizer.steps) == (-1, 1)


def test_a_schedule_is_asked_for_every_step() -> None:
    asked = []

    def rate(step: int) -> float:
        asked.append(step)
        return 1.0 / (1 + step)

    optimizer, w = optimizers.SGD(rate), np.zeros(1)
    for _ in range(3):
        optimizer.apply(np.ones(1), w)
    assert asked == [0, 1, 2]
    np.testing.assert_allclose(w, -(1 + 1 / 2 + 1 / 3))
    assert optimizer.learning_rate == 0.25
    np.testing.assert_array_equal(optimizer.rates(2), [1 / 4, 1 / 5])


def test_a_function_without_an_argument_is_a_rate_as_in_keras() -> None:
    optimizer, w = optimizers.SGD(lambda: 0.5), np.zeros(1)
    optimizer.apply(np.ones(1), w)
    assert w[0] == -0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1])
def test_a_schedule_that_returns_no_rate_is_an_error_before_anything_is_changed(value: float) -> None:
    optimizer, w = optimizers.Adam(lambda step: 0.1 if step < 2 else value), np.zeros(1)
    optimizer.apply(np.ones(1), w)
    optimizer.apply(np.ones(1), w)
    before, state = w.copy(), optimizer.get_state()
    with pytest.raises(ValueError, match=f"the learning_rate of step 2 is {value}, expected a finite number >= 0"):
        optimizer.apply(np.ones(1), w)
    np.testing.assert_array_equal(w, before)
    for name, array in optimizer.get_state().items():
        np.testing.assert_array_equal(array, state[name])


def test_a_number_does_not_take_the_place_of_a_schedule() -> None:
    schedule = optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = optimizers.Adam(schedule)
    with pytest.raises(TypeError, match=r"learning_rate is 0.1, expected a schedule in the place of CosineDecay\("):
        optimizer.learning_rate = 0.1
    optimizer.learning_rate = optimizers.schedules.CosineDecay(0.2, 10)
    assert optimizer.learning_rate == 0.2
    plain = optimizers.Adam(0.1)
    plain.learning_rate = schedule
    assert plain.learning_rate == 0.1
    again = optimizers.Adam.from_config(plain.get_config())
    assert again.learning_rate == 0.1
    again.steps = 5
    assert again.learning_rate == schedule(5)


def test_gradients_accumulate_while_schedules_count_on() -> None:
    optimizer, w = optimizers.SGD(lambda step: 2.0**step, gradient_accumulation_steps=2), np.zeros(2)
    for step in range(4):
        optimizer.apply(np.array([1.0, step]), w)
        assert (optimizer.steps, optimizer.iterations) == (step + 1, (step + 1) // 2)
    np.testing.assert_allclose(w, [-2 - 8, -2 * 0.5 - 8 * 2.5])


def test_the_average_takes_the_parameters_place_at_the_end() -> None:
    optimizer, w = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.75), np.zeros(1)
    plain = optimizers.SGD(1.0)
    for _ in range(2):
        optimizer.apply(np.ones(1), w)
    assert w[0] == -2
    optimizer.finalize_variable_values([w])
    assert w[0] == -1.25
    plain.finalize_variable_values([w])
    assert w[0] == -1.25


# ---- saving and going on ---------------------------------------------------------------------------------------------

ALL = {"weight_decay": 0.1, "global_clipnorm": 1.0, "use_ema": True, "gradient_accumulation_steps": 3}


@pytest.mark.parametrize("options", [{}, ALL], ids=["plain", "options"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MAKE)
def test_a_training_that_goes_on_later_gives_the_same_bytes(name: str, dtype: type, options: dict[str, Any]) -> None:
    if name == "adamw":
        options = {k: v for k, v in options.items() if k != "weight_decay"}
    for stop in (0, 4, 5, 6):
        whole, first, second = (MAKE[name](**options) for _ in range(3))
        a = [numbers(0, 3, 2, dtype=dtype), numbers(1, 5, dtype=dtype)]
        b = [v.copy() for v in a]
        current = first
        for step in range(11):
            gradients = [numbers(2 + step, *v.shape, dtype=dtype) for v in a]
            whole.apply(gradients, a)
            if step == stop:
                saved = {name: array.copy() for name, array in first.get_state().items()}
                second.set_state(saved)
                current = second
            current.apply(gradients, b)
        for v, w in zip(a, b, strict=True):
            assert v.tobytes() == w.tobytes()
        one, other = whole.get_state(), second.get_state()
        assert one.keys() == other.keys()
        assert all(one[key].tobytes() == other[key].tobytes() for key in one)


def test_a_state_holds_the_learning_rate_unless_there_is_a_schedule() -> None:
    optimizer = optimizers.SGD(0.5)
    optimizer.learning_rate = 0.25
    other = optimizers.SGD(0.5)
    other.set_state(optimizer.get_state())
    assert other.learning_rate == 0.25
    scheduled = optimizers.SGD(optimizers.schedules.ExponentialDecay(1.0, 1, 0.5))
    assert scheduled.get_state().keys() == {"steps"}
    scheduled.set_state({"steps": 3})
    assert scheduled.learning_rate == 0.125
    with pytest.raises(ValueError, match="state has no learning_rate, expected one for SGD"):
        optimizer.set_state(scheduled.get_state())
    with pytest.raises(ValueError, match="state has a learning_rate, expected none for SGD"):
        scheduled.set_state(optimizer.get_state())


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: s.pop("steps"), TypeError, r"state\['steps'\] is None, expected an integer"),
        (lambda s: s.update(steps=-1), ValueError, r"state\['steps'\] is -1, expected at least 0"),
        (lambda s: s.update(learning_rate=np.nan), ValueError, r"state\['learning_rate'\] is nan, expected"),
        (lambda s: s.pop("velocity.1"), ValueError, "state differs from this optimizer's in momentum.1, expected mom"),
        (
            lambda s: s.update(other=np.ones(3)),
            ValueError,
            "state differs from this optimizer's in other, expected mom",
        ),
        (lambda s: s.update({"velocity.0": np.ones(4)}), ValueError, "state is of variables .*, expected "),
        (lambda s: s.update({"velocity.0": np.ones(3, np.float32)}), ValueError, "state is of variables .*, expected"),
    ],
)
@pytest.mark.parametrize("built", [False, True])
def test_a_state_that_does_not_fit_changes_nothing(
    change: Callable[[dict[str, Any]], Any], error: type[Exception], message: str, built: bool
) -> None:
    source, optimizer = optimizers.Adam(), optimizers.Adam(0.5)
    variables = [np.ones(3), np.ones(2)]
    source.apply([np.ones(3), np.ones(2)], variables)
    if built:
        optimizer.apply([np.ones(3), np.ones(2)], variables)
    state: dict[str, Any] = source.get_state()
    change(state)
    before = optimizer.get_state()
    with pytest.raises(error, match=message):
        optimizer.set_state(state)
    after = optimizer.get_state()
    assert after.keys() == before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)


# ---- threads, and options over several variables ---------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"clipnorm": 1.0}, {"global_clipnorm": 1.0, "use_ema": True}])
@pytest.mark.parametrize("dtype", DTYPES)
def test_large_arrays_give_the_same_bytes_with_any_number_of_threads(dtype: type, options: dict[str, Any]) -> None:
    found = set()
    for n_threads in (1, 2, 3, 5):
        fastnn.set_num_threads(n_threads)
        variables = [numbers(0, 300_001, dtype=dtype), numbers(1, 17, dtype=dtype), numbers(2, 100, 200, dtype=dtype)]
        optimizer = optimizers.Adam(0.01, **options)
        for step in range(2):
            optimizer.apply([numbers(3 + step, *v.shape, dtype=dtype) for v in variables], variables)
        found.add(b"".join(v.tobytes() for v in (*variables, *optimizer.variables)))
    assert len(found) == 1


def test_the_global_norm_is_of_the_variables_of_both_dtypes() -> None:
    gradients = [np.array([3.0]), np.array([4.0], np.float32), np.array([12.0])]
    variables = [np.zeros_like(g) for g in gradients]
    optimizers.SGD(1.0, global_clipnorm=6.5).apply(gradients, variables)
    np.testing.assert_allclose(np.concatenate(variables), [-1.5, -2, -6], rtol=1e-6)
    variables = [np.zeros_like(g) for g in gradients]
    optimizers.SGD(1.0, clipnorm=3.5).apply(gradients, variables)
    np.testing.assert_allclose(np.concatenate(variables), [-3, -3.5, -3.5], rtol=1e-6)


def test_pieces_of_a_variable_are_clipped_by_themselves() -> None:
    optimizer, w = optimizers.SGD(1.0, clipnorm=1.0), np.zeros(3)
    optimizer.build([w], [[1, 2]])
    optimizer.apply(np.array([5.0, 3.0, 4.0]), w)
    np.testing.assert_allclose(w, [-1, -0.6, -0.8])
