"""One-hot rows, and one seed for everything."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, utils
from fastnn.layers import Dense, Input


@pytest.fixture(autouse=True)
def no_seed_remains(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(utils, "_seeds", None)
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002


def drawn() -> list[Any]:
    models = [Sequential([Input((4,)), Dense(3)]) for _ in range(2)]
    return [*(m.parameters.tobytes() for m in models), random.random(), np.random.rand()]  # noqa: NPY002


def test_a_seed_makes_everything_the_same() -> None:
    utils.set_random_seed(3)
    first = drawn()
    utils.set_random_seed(3)
    assert drawn() == first
    utils.set_random_seed(4)
    second = drawn()
    assert not set(second) & set(first)
    assert len(set(first)) == 4


def test_without_it_models_differ() -> None:
    assert len({Sequential([Dense(1)]).seed for _ in range(3)}) == 3


@pytest.mark.parametrize(
    ("x", "classes", "expected"),
    [
        ([0, 2], None, [[1, 0, 0], [0, 0, 1]]),
        ([[1], [0]], 2, [[0, 1], [1, 0]]),
        ([[0, 1]], None, [[[1, 0], [0, 1]]]),
        ([1.0], 3, [[0, 1, 0]]),
    ],
)
def test_to_categorical(x: Any, classes: int | None, expected: Any) -> None:
    np.testing.assert_array_equal(utils.to_categorical(x, classes), expected)


@pytest.mark.parametrize(
    ("x", "classes", "message"),
    [
        ([3], 3, "x has the label 3 at position 0, expected integers from 0 to 2"),
        ([-1, 0], None, "x has the label -1 at position 0"),
        ([0.5], 3, r"x has the label 0\.5 at position 0"),
        ([0], 0, "num_classes is 0, expected at least 1"),
    ],
)
def test_labels_are_checked(x: Any, classes: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        utils.to_categorical(x, classes)


def test_seeds_are_checked() -> None:
    with pytest.raises(ValueError, match="seed is -1, expected 0 to 4294967295"):
        utils.set_random_seed(-1)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_normalize(dtype: str, axis: int, order: int) -> None:
    x = np.arange(-4, 8).reshape(4, 3).astype(dtype)
    x[1], x[:, 1] = 0, 0
    before = x.tobytes()
    result = utils.normalize(x, axis, order)
    assert result.dtype == (np.float32 if dtype == "f4" else np.float64)
    norms = (np.abs(result.astype(np.float64)) ** order).sum(axis)
    np.testing.assert_allclose(norms, np.abs(x).any(axis), rtol=1e-6)
    assert (np.sign(result) == np.sign(x)).all()
    assert x.tobytes() == before


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"x": ["a"]}, TypeError, "x has dtype <U1, expected real numbers"),
        ({"x": [1.0], "order": 0}, ValueError, "order is 0, expected at least 1"),
        ({"x": [1.0], "axis": 1}, ValueError, "axis is 1, expected -1 to 0"),
    ],
)
def test_what_normalize_refuses(how: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        utils.normalize(**how)


def test_a_data_set_without_its_methods_says_so() -> None:
    with pytest.raises(NotImplementedError, match="PyDataset has no __len__, expected the number of batches"):
        len(utils.PyDataset())
    with pytest.raises(NotImplementedError, match="PyDataset has no __getitem__, expected the batch"):
        utils.PyDataset()[0]


def test_a_session_is_nothing_to_clear() -> None:
    utils.set_random_seed(3)
    first = drawn()
    utils.set_random_seed(3)
    utils.clear_session()
    assert drawn() == first
