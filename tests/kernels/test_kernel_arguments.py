"""What the entry points refuse, before anything is written: all that would make a kernel read or write astray."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from .support import BUILDS


class Argument(NamedTuple):
    """An array argument of a call, and whether the call writes to it."""

    name: str
    written: bool


class Call(NamedTuple):
    """An entry point with good arguments; those named in ``arrays`` are spoilt one by one."""

    function: str
    make: Callable[[np.dtype], dict[str, Any]]
    arrays: tuple[Argument, ...]


def ones(*shape: int) -> Callable[[np.dtype], np.ndarray]:
    return lambda dtype: np.ones(shape, dtype)


def labels(_: np.dtype) -> np.ndarray:
    return np.zeros(3, np.int32)


def loss(y: Callable[[np.dtype], np.ndarray], kind: int) -> Callable[[np.dtype], dict[str, Any]]:
    return lambda dtype: {
        "kind": kind,
        "y": y(dtype),
        "p": np.full((3, 4), 0.25, dtype),
        "sample_weight": np.ones(3, dtype),
        "scale": 1.0,
        "per_sample": np.ones(3),
        "gradient": np.ones((3, 4), dtype),
    }


LOSS_ARRAYS = (
    Argument("p", False),
    Argument("sample_weight", False),
    Argument("per_sample", True),
    Argument("gradient", True),
)
CALLS = {
    "activation": Call(
        "activation",
        lambda dtype: {"kind": 2, "alpha": 0.0, "z": np.ones((3, 4), dtype), "n": 4},
        (Argument("z", True),),
    ),
    "activation_keeping_slope": Call(
        "activation_keeping_slope",
        lambda dtype: {"kind": 23, "z": np.ones((3, 4), dtype), "slope": np.ones((3, 4), dtype), "n": 4},
        (Argument("z", True), Argument("slope", True)),
    ),
    "activation_backward": Call(
        "activation_backward",
        lambda dtype: {"kind": 2, "alpha": 0.0, "a": np.ones((3, 4), dtype), "d": np.ones((3, 4), dtype), "n": 4},
        (Argument("a", False), Argument("d", True)),
    ),
    "loss of rows": Call("loss", loss(ones(3, 4), 3), (Argument("y", False), *LOSS_ARRAYS)),
    "loss of labels": Call("loss", loss(labels, 4), (Argument("y", False), *LOSS_ARRAYS)),
    "elementary": Call(
        "elementary",
        lambda dtype: {"name": "exp", "x": np.ones(6, dtype), "out": np.ones(6, dtype)},
        (Argument("x", False), Argument("out", True)),
    ),
}
ARRAYS = [(call, argument.name) for call, (_, _, arrays) in CALLS.items() for argument in arrays]
WRITTEN = [(call, argument.name) for call, (_, _, arrays) in CALLS.items() for argument in arrays if argument.written]


def arrays_of(arguments: dict[str, Any]) -> list[np.ndarray]:
    values = [v for value in arguments.values() for v in (value if isinstance(value, tuple) else (value,))]
    return [v for v in values if isinstance(v, np.ndarray)]


def run(core: ModuleType, call: str, arguments: dict[str, Any]) -> None:
    function = CALLS[call].function
    if function == "loss":
        core.LossKernel(arguments["kind"], {}).cost(**{k: v for k, v in arguments.items() if k != "kind"})
    else:
        getattr(core, function)(**arguments)


def refuses(core: ModuleType, call: str, arguments: dict[str, Any], match: str) -> None:
    """Assert a ValueError that says so, and that no array has changed."""
    before = [a.copy() for a in arrays_of(arguments)]
    with pytest.raises(ValueError, match=match):
        run(core, call, arguments)
    for a, b in zip(arrays_of(arguments), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("call", CALLS)
def test_the_arguments_that_are_spoilt_below_are_good(core: ModuleType, call: str) -> None:
    arguments = CALLS[call].make(core.DTYPE)
    before = [a.copy() for a in arrays_of(arguments)]
    run(core, call, arguments)
    changed = [not np.array_equal(a, b) for a, b in zip(arrays_of(arguments), before, strict=True)]
    assert any(changed)


@pytest.mark.parametrize(("call", "name"), ARRAYS)
def test_a_wrong_dtype(core: ModuleType, call: str, name: str) -> None:
    good = CALLS[call].make(core.DTYPE)
    other = np.dtype(np.float64 if np.float32 == core.DTYPE else np.float32)
    right = good[name].dtype
    for dtype in (other, np.dtype(np.int64), np.dtype(np.float16), np.dtype(complex), right.newbyteorder()):
        if dtype == (np.float64 if name == "per_sample" else core.DTYPE):
            continue
        refuses(core, call, good | {name: good[name].astype(dtype)}, name)


@pytest.mark.parametrize(("call", "name"), ARRAYS)
def test_an_array_that_is_not_contiguous(core: ModuleType, call: str, name: str) -> None:
    good = CALLS[call].make(core.DTYPE)
    shape = good[name].shape
    wide = np.ones((*shape[:-1], 2 * shape[-1]), good[name].dtype)
    strided = wide[..., ::2]
    refuses(core, call, good | {name: strided}, name)
    refuses(core, call, good | {name: np.flip(good[name].copy())}, name)
    if len(shape) == 2:
        refuses(core, call, good | {name: np.asfortranarray(good[name])}, name)


@pytest.mark.parametrize(("call", "name"), WRITTEN)
def test_an_array_that_may_not_be_written(core: ModuleType, call: str, name: str) -> None:
    good = CALLS[call].make(core.DTYPE)
    good[name].flags.writeable = False
    refuses(core, call, good, f"{name}.*read-only")


@pytest.mark.parametrize("call", CALLS)
def test_an_array_that_is_only_read_may_be_read_only(core: ModuleType, call: str) -> None:
    expected, arguments = CALLS[call].make(core.DTYPE), CALLS[call].make(core.DTYPE)
    for name, written in CALLS[call].arrays:
        arguments[name].flags.writeable = written
    for given in (expected, arguments):
        run(core, call, given)
    for a, b in zip(arrays_of(arguments), arrays_of(expected), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("call", "name"), [a for a in ARRAYS if a[0] != "activation" and a[1] not in ("p", "z")])
@pytest.mark.parametrize("change", [-1, 1])
def test_a_wrong_size(core: ModuleType, call: str, name: str, change: int) -> None:
    good = CALLS[call].make(core.DTYPE)
    size = good[name].size
    spoilt = good | {name: np.ones(size + change, good[name].dtype)}
    if name in ("a", "x"):  # the one that the others are compared with
        refuses(core, call, spoilt, rf"has {size} elements, expected {size + change}$")
    else:
        refuses(core, call, spoilt, rf"^{name} has {size + change} elements, expected {size}$")


@pytest.mark.parametrize("call", ["loss of rows", "loss of labels"])
def test_predictions_of_another_size_or_number_of_dimensions(core: ModuleType, call: str) -> None:
    good = CALLS[call].make(core.DTYPE)
    for shape in [(4, 4), (3, 5), (2, 4), (3, 3)]:
        refuses(core, call, good | {"p": np.ones(shape, core.DTYPE)}, "has .* elements, expected")
    for shape in [(3,), (3, 2, 2)]:
        alone = {"p": np.ones(shape, core.DTYPE), "gradient": None, "sample_weight": None}
        refuses(core, call, good | alone, r"\bp\b|has .* elements, expected")


@pytest.mark.parametrize("kind", [2, 4, 23])
@pytest.mark.parametrize("gradient", [False, True])
def test_what_apply_activation_leaves_to_others(core: ModuleType, kind: int, gradient: bool) -> None:
    dtype = core.DTYPE
    other = np.dtype(np.float64 if np.float32 == dtype else np.float32)
    memory = np.full(200, 0.5, dtype)
    good = memory[:12].reshape(3, 4)
    read_only = good.copy()
    read_only.flags.writeable = False
    x = good.copy()
    result = core.apply_activation(kind, 0.0, gradient, x, x, None, 0)
    assert (result.shape, result.dtype) == ((3, 4), dtype)
    np.testing.assert_array_equal(x, good)
    assert core.apply_activation(kind, 0.0, gradient, x, x, x, 0) is x
    np.testing.assert_array_equal(x, result)
    bad = [
        good.astype(other),
        good.astype(dtype.newbyteorder()),
        np.asfortranarray(good),
        memory[:24].reshape(3, 8)[:, ::2],
        good.tolist(),
        good.view(np.ndarray).view(np.recarray),
    ]
    other_shapes = [good[:2], good.reshape(4, 3), good.ravel(), good.reshape(3, 4, 1)]
    for x in bad:
        assert core.apply_activation(kind, 0.0, gradient, x, good if gradient else None, None, 0) is None
    for upstream in bad + other_shapes:
        assert core.apply_activation(kind, 0.0, True, good, upstream, None, 0) is None
    overlapping = [memory[start : start + 12].reshape(3, 4) for start in (1, 4, 11)]
    for out in bad + [a for a in other_shapes if a is not good] + overlapping + [read_only]:
        assert core.apply_activation(kind, 0.0, gradient, good, good, out, 0) is None
    assert (memory == 0.5).all()
    assert core.apply_activation(kind, 0.0, gradient, good, good, memory[12:24].reshape(3, 4), 0) is not None
    assert core.apply_activation(kind, 0.0, True, memory[24:36].reshape(3, 4), good, overlapping[0], 0) is None


def test_apply_activation_leaves_large_arrays_to_who_knows_of_threads(core: ModuleType) -> None:
    x = np.zeros(1_000_000, core.DTYPE)
    assert core.apply_activation(1, 0.0, False, x, None, x, 0) is None
    assert core.apply_activation(1, 0.0, False, x[1:], None, x[1:], 0) is not None
    assert core.apply_activation(1, 0.0, False, x, None, x, 1) is x


@pytest.mark.parametrize("kind", [4, 5])
def test_rows_of_nothing_are_left_to_others(core: ModuleType, kind: int) -> None:
    for x in (np.ones((), core.DTYPE), np.ones((3, 0), core.DTYPE)):
        assert core.apply_activation(kind, 0.0, False, x, None, None, 0) is None
    assert core.apply_activation(kind, 0.0, True, np.ones(3, core.DTYPE), None, None, 0) is None


NUMBERS = {
    "rule": "adam",
    "momentum": 0.9,
    "beta_2": 0.99,
    "epsilon": 1e-7,
    "weight_decay": 0.0,
    "clipvalue": 0.0,
    "clipnorm": 0.0,
    "global_clipnorm": 0.0,
    "accumulation_steps": 1,
    "ema_momentum": None,
    "ema_overwrite_frequency": 0,
}


def test_an_updater_leaves_arrays_alone_that_do_not_fit(core: ModuleType) -> None:
    shape = (2, 3)
    state = (np.zeros(shape, core.DTYPE), np.zeros(shape, core.DTYPE))
    updater = core.Updater(NUMBERS, [(5,), shape], [(np.zeros(5, core.DTYPE),) * 2, state], [[5], [6]])
    first = np.ones(5, core.DTYPE)
    other = np.float64 if np.float32 == core.DTYPE else np.float32
    read_only = np.ones(shape, core.DTYPE)
    read_only.flags.writeable = False
    unaligned = np.zeros(6 * core.DTYPE.itemsize + 1, np.uint8)[1:].view(core.DTYPE).reshape(shape)
    bad = [
        np.ones(shape, other),
        np.ones(shape, np.int32),
        np.ones(shape, core.DTYPE.newbyteorder()),
        np.ones((3, 2), core.DTYPE),
        np.ones(6, core.DTYPE),
        np.ones((2, 3, 1), core.DTYPE),
        np.ones((2, 6), core.DTYPE)[:, ::2],
        np.asfortranarray(np.ones(shape, core.DTYPE)),
        unaligned,
        [[1.0] * 3] * 2,
        None,
    ]
    for spoilt in bad:
        for gradient, variable in ((spoilt, np.ones(shape, core.DTYPE)), (np.ones(shape, core.DTYPE), spoilt)):
            before = None if variable is None else np.array(variable)
            assert not updater.apply([np.ones(5, core.DTYPE), gradient], [first, variable], 0.1, 1, 1)
            np.testing.assert_array_equal(variable, before)
    assert not updater.apply([first, read_only], [first, read_only], 0.1, 1, 1)
    assert not updater.apply([first], [first, np.ones(shape, core.DTYPE)], 0.1, 1, 1)
    assert not updater.apply([first], [first], 0.1, 1, 1)
    assert (first == 1).all()
    assert not any(s.any() for s in state)
    with pytest.raises(ValueError, match="step is 0, expected at least 1"):
        updater.apply([first, state[0]], [first, read_only], 0.1, 0, 1)
    with pytest.raises(ValueError, match="gradients are not C-contiguous"):
        updater.squares([first])
    variable = np.ones(shape, core.DTYPE)
    assert updater.apply([np.ones(5, core.DTYPE), read_only], [first, variable], 0.1, 1, 1)
    assert (variable < 1).all()
    assert (first < 1).all()


def test_an_updaters_state_that_does_not_fit(core: ModuleType) -> None:
    other = np.float64 if np.float32 == core.DTYPE else np.float32
    read_only = np.ones(6, core.DTYPE)
    read_only.flags.writeable = False
    good = np.ones(6, core.DTYPE)
    for bad, match in [
        (np.ones(5, core.DTYPE), "state has 5 elements, expected 6"),
        (np.ones(7, core.DTYPE), "state has 7 elements, expected 6"),
        (np.ones(6, other), "state is float"),
        (np.ones(12, core.DTYPE)[::2], "state is float.* expected C-contiguous"),
        (read_only, "state is read-only"),
    ]:
        for state in ((good, bad), (bad, good)):
            with pytest.raises(ValueError, match=match):
                core.Updater(NUMBERS, [(6,)], [state], [[6]])
    for numbers, state in ((NUMBERS, (good,)), (NUMBERS, (good,) * 3), (NUMBERS | {"ema_momentum": 0.5}, (good, good))):
        with pytest.raises(ValueError, match=r"state has \d arrays, expected"):
            core.Updater(numbers, [(6,)], [state], [[6]])
    with pytest.raises(ValueError, match="pieces of variable 0 have 5 elements, expected 6"):
        core.Updater(NUMBERS, [(6,)], [(good, good)], [[5]])
    with pytest.raises(ValueError, match="accumulation_steps is 0, expected at least 1"):
        core.Updater(NUMBERS | {"accumulation_steps": 0}, [(6,)], [(good, good)], [[6]])


def test_an_elementary_function_of_another_name(core: ModuleType) -> None:
    refuses(core, "elementary", {"name": "sin", "x": np.ones(3, core.DTYPE), "out": np.ones(3, core.DTYPE)}, "tuple")


# ---- product ---------------------------------------------------------------------------------------------------------


def test_a_product_of_other_dtypes(core: ModuleType) -> None:
    other = np.float64 if np.float32 == core.DTYPE else np.float32
    for wrong in range(3):
        matrices = [np.ones((40, 40), other if i == wrong else core.DTYPE) for i in range(3)]
        with pytest.raises(ValueError, match=f"a, b and c are .*expected {core.DTYPE}"):
            core.product(*matrices)
        assert (matrices[2] == 1).all()


def test_a_sum_that_is_too_long_to_add(core: ModuleType) -> None:
    c = np.ones((2, 3), core.DTYPE)
    a, b = np.ones((2, 513), core.DTYPE), np.ones((600, 3), core.DTYPE)[:513]
    with pytest.raises(ValueError, match="add: K is 513, expected at most 512"):
        core.product(a, b, c, add=True)
    assert (c == 1).all()
    core.product(a[:, :512], b[:512], c, add=True)
    assert (c == 513).all()


# All matrices are parts of larger ones, so that a kernel that goes astray stays inside the memory that is there.
@pytest.mark.parametrize(
    ("a", "b", "c", "gate"),
    [
        ((3, 4), (5, 6), (3, 6), None),
        ((3, 4), (3, 6), (3, 6), None),
        ((3, 4), (4, 6), (2, 6), None),
        ((3, 4), (4, 6), (3, 5), None),
        ((3, 4), (4, 6), (3, 6), (2, 6)),
        ((3, 4), (4, 6), (3, 6), (3, 5)),
    ],
)
def test_a_product_of_shapes_that_do_not_fit(
    core: ModuleType, a: tuple[int, int], b: tuple[int, int], c: tuple[int, int], gate: tuple[int, int] | None
) -> None:
    def part(shape: tuple[int, int]) -> np.ndarray:
        return np.ones((50, 50), core.DTYPE)[: shape[0], : shape[1]]

    result = part(c)
    with pytest.raises(ValueError, match="shape"):
        core.product(part(a), part(b), result, gate=None if gate is None else part(gate))
    assert (result == 1).all()


def test_a_product_that_may_not_be_written(core: ModuleType) -> None:
    c = np.ones((40, 40), core.DTYPE)[:3, :5]
    c.flags.writeable = False
    with pytest.raises(ValueError, match="c is read-only"):
        core.product(np.ones((3, 2), core.DTYPE), np.ones((20, 5), core.DTYPE)[:2], c)
    assert (c == 1).all()


# ---- what would end the process --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        f"Updater({NUMBERS}, [(5,)], [()], [[5]])",
        f"Updater({NUMBERS}, [(5,)], [(np.ones(5, D),)], [[5]])",
        f"Updater({NUMBERS | {'rule': 'unheard of'}}, [(5,)], [()], [[5]])",
        "LossKernel(0, {}).cost(np.ones((3, 0), D), np.ones((3, 0), D), None, 1.0, np.ones(3), None)",
        "LossKernel(4, {}).cost(np.zeros(3, np.int32), np.ones((3, 0), D), None, 1.0, np.ones(3), None)",
        "LossKernel(23, {})",
        "LossKernel(-1, {})",
        "LossKernel(21, {'alpha': np.ones(2, D)}).cost(np.ones((1, 3), D), np.ones((1, 3), D), None, 1.0, None, None)",
    ],
)
def test_what_is_missing_is_an_error_and_no_crash(call: str) -> None:
    module = BUILDS[0].__name__
    code = f"import numpy as np\nfrom {module} import *\nfrom {module} import DTYPE as D\n{call}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1, result.returncode
    assert result.stderr.splitlines()[-1].startswith("ValueError")
