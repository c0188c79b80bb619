"""`Normalization.adapt`: mean and variance in one pass over whatever data there are, and who sees them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fastnn import Sequential
from fastnn.layers import Dense, Input, Normalization, moments

X = np.random.default_rng(2).standard_normal((103, 3)) * [1, 10, 0.1] + [0, 50, -3]


def found(data: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """What a layer in float64 has found."""
    layer = Normalization(**options)
    layer.adapt(data)
    Sequential([Input((3,)), layer], dtype="float64")
    return layer.mean, layer.variance


def assert_found(data: Any, x: np.ndarray = X, **options: Any) -> None:
    axis = None if options.get("axis", -1) is None else 0
    mean, variance = found(data, **options)
    wide = x.astype(np.longdouble)
    np.testing.assert_allclose(mean, np.broadcast_to(wide.mean(axis=axis), 3).astype(float), rtol=1e-13)
    np.testing.assert_allclose(variance, np.broadcast_to(wide.var(axis=axis), 3).astype(float), rtol=1e-12)


def batches(size: int = 20) -> list[np.ndarray]:
    return [X[i : i + size] for i in range(0, len(X), size)]


class Again:
    """An iterable that is no container."""

    def __iter__(self) -> Iterator[Any]:
        return iter(batches())


class Indexed:
    """As Keras's PyDataset: it is indexed from 0 and knows its length, not where to stop."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        assert 0 <= index < 6
        return batches()[index], np.zeros(20)


SOURCES: dict[str, Callable[[], Any]] = {
    "an array": lambda: X,
    "a list of lists": X.tolist,
    "a list of batches": batches,
    "batches of one sample": lambda: batches(1),
    "one batch": lambda: [X],
    "a generator": lambda: (b for b in batches()),
    "a generator of lists": lambda: (b.tolist() for b in batches()),
    "a generator of tuples": lambda: ((b, np.zeros(len(b)), np.ones(len(b))) for b in batches()),
    "a list of tuples": lambda: [(b, np.zeros(len(b))) for b in batches()],
    "a generator of data frames": lambda: (pd.DataFrame(b) for b in batches()),
    "an iterable": Again,
    "what is indexed": Indexed,
    "pandas": lambda: pd.DataFrame(X),
    "pandas of nullable floats": lambda: pd.DataFrame(X).astype("Float64"),
    "polars": lambda: pl.DataFrame(X),
    "Fortran order": lambda: np.asfortranarray(X),
    "big-endian": lambda: X.astype(">f8"),
    "strided": lambda: np.repeat(X, 2, axis=0)[::2],
}


@pytest.mark.parametrize("axis", [-1, 1, None, (-1,), (), [1]], ids=str)
@pytest.mark.parametrize("source", SOURCES)
def test_every_source(source: str, axis: Any) -> None:
    assert_found(SOURCES[source](), axis=None if axis == () else axis)
    if axis == ():
        assert Normalization(axis=axis).axis is None


@pytest.mark.parametrize("piece", [1, 7, 300, 309, 310])
@pytest.mark.parametrize("axis", [-1, None])
def test_no_cut_into_pieces_matters(monkeypatch: pytest.MonkeyPatch, piece: int, axis: int | None) -> None:
    monkeypatch.setattr(moments, "_PIECE", piece)
    assert_found(X, axis=axis)
    assert_found(batches(), axis=axis)


@pytest.mark.parametrize("size", [1, 10, 1000])
def test_data_far_from_0(size: int) -> None:
    # The textbook's mean of squares less square of mean has no digit of these.
    x = np.random.default_rng(0).standard_normal((1000, 3)) + 1e9
    mean, variance = found([x[i : i + size] for i in range(0, 1000, size)])
    wide = x.astype(np.longdouble)
    np.testing.assert_allclose(mean, wide.mean(axis=0).astype(float), rtol=1e-13)
    np.testing.assert_allclose(variance, wide.var(axis=0).astype(float), rtol=1e-5)


def test_drifting_data_and_small_numbers() -> None:
    x = np.linspace(-1e3, 1e6, 3000).reshape(1000, 3)
    assert_found([x[i : i + 7] for i in range(0, 1000, 7)], x)
    x = (np.random.default_rng(0).standard_normal((1000, 3)) * 1e-20).astype(np.float32)
    assert_found(iter(np.split(x, 10)), x)
    x = np.random.default_rng(0).integers(0, 256, (1000, 3)).astype(np.uint8)
    assert_found(iter(np.split(x, 10)), x)


def test_inverse() -> None:
    layer, back = Normalization(), Normalization(invert=True)
    for one in (layer, back):
        one.adapt(b for b in batches())
    np.testing.assert_allclose(back(layer(X)), X, rtol=1e-4, atol=1e-5)
    given = Normalization(mean=[1, 2, 3], variance=[4, 5, 6])
    given.adapt(batches())
    np.testing.assert_array_equal(given(X), layer(X))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (list, ValueError, r"data has shape \(0,\), expected at least one sample and one column"),
        (lambda: iter([]), ValueError, "data has no batches, expected at least one"),
        (
            lambda: iter([X, X[:, :2]]),
            ValueError,
            "batch 1 of data has 2 columns, expected 3 as the layer, or what came",
        ),
        (lambda: iter([X, X[:0]]), ValueError, r"batch 1 of data has shape \(0, 3\), expected at least one sample"),
        (lambda: iter([X, X * np.nan]), ValueError, "data has elements that are not finite"),
        (lambda: iter([X, None]), TypeError, r"batch 1 of data is None, expected an array \(N, in\)"),
        (lambda: iter(["a"]), TypeError, "batch 0 of data has dtype <U1, expected"),
        (lambda: iter([3.0]), ValueError, r"batch 0 of data has shape \(\), expected at least one sample"),
        (lambda: "abc", TypeError, "data has dtype <U3, expected"),
        (lambda: {"a": X}, TypeError, "data is a dict, expected"),
        (lambda: pd.DataFrame({"a": ["x"]}), TypeError, "data has the column 'a' of type"),
    ],
)
def test_what_cannot_be_taken_in_changes_nothing(data: Callable[[], Any], error: Any, message: str) -> None:
    layer = Normalization()
    layer.adapt(X)
    before = layer(X).tobytes()
    with pytest.raises((error, ValueError), match=message):
        layer.adapt(data())
    assert layer(X).tobytes() == before


def test_batches_of_other_widths_than_the_first() -> None:
    layer = Normalization()
    for widths in ((3, 1), (1, 3), (3, 2)):
        with pytest.raises(ValueError, match=f"batch 1 of data has {widths[1]} columns, expected {widths[0]} as"):
            layer.adapt(X[:, :n] for n in widths)


def test_an_error_of_the_generator_is_passed_on() -> None:
    def broken() -> Iterator[np.ndarray]:
        yield X
        raise OSError("the disk is gone")

    layer = Normalization()
    with pytest.raises(OSError, match="the disk is gone"):
        layer.adapt(broken())
    assert layer(X).tobytes() == X.astype(np.float32).tobytes()


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_a_memory_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "_PIECE", 30)
    for change in (lambda a: a, lambda a: a.astype(">f4"), np.asfortranarray, lambda a: (100 * a).astype(np.int16)):
        np.save(tmp_path / "x.npy", change(X))
        for mode in ("r", "c", "r+"):
            data = np.load(tmp_path / "x.npy", mmap_mode=mode)
            assert_found(data, np.asarray(data))
            assert_found((data[i : i + 20] for i in range(0, 103, 20)), np.asarray(data))
    data = np.load(tmp_path / "x.npy", mmap_mode="c")
    data[...] = 3  # in this process alone: it is not given back to the file
    assert_found(data, np.full((103, 3), 3.0))


MEMORY = """
import re, sys
import numpy as np
from fastnn.layers import Normalization

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024

layer = Normalization()
layer.adapt(np.zeros((1000, 64)))
before = peak()
layer.adapt(np.load(sys.argv[1], mmap_mode="r"))
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, to read the process's memory")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    file = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (1 << 19, 64))  # 128 MiB, all of it a hole
    del file
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "x.npy")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(result.stdout) < 32  # MiB


def test_the_first_thing_that_a_model_does_may_be_to_train() -> None:
    """What follows from mean and variance is made by every call of the engine."""

    def trained(look: bool, train: Callable[[Sequential], Any]) -> bytes:
        layer = Normalization(mean=1.0, variance=4.0)
        model = Sequential([Input((3,)), layer, Dense(2, "tanh")], seed=1)
        model.compile("adam", "mse")
        for _ in range(2):
            if look:
                model.predict(X)
            result = train(model)
            layer.mean[...] += 1
        return model.parameters.tobytes() + np.asarray(result).tobytes()

    y = np.tanh(X[:, :2])
    for train in (
        lambda model: model.fit(X, y, verbose=0).history["loss"],
        lambda model: model.train_on_batch(X, y),
        lambda model: model.value_and_gradient(X, y)[1],
        lambda model: (model.forward(X), model.backward(y), model.gradients)[2],
        lambda model: model(X, training=True),
        lambda model: model.evaluate(X, y),
    ):
        assert trained(False, train) == trained(True, train)


# ---- who sees it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("invert", [False, True])
def test_everybody_sees_what_is_adapted_or_written_later(dtype: str, invert: bool) -> None:
    layer = Normalization(invert=invert)
    model = Sequential([Input((3,)), layer, Dense(2, "tanh")], seed=1, dtype=dtype)
    model.compile("sgd", "mse")
    x = X.astype(dtype)
    call, one = model.predictor(len(x)), model.predictor()

    def expected() -> np.ndarray:
        scale = np.maximum(np.sqrt(layer.variance), np.asarray(1e-7, dtype))
        z = x * scale + layer.mean if invert else (x - layer.mean) / scale
        return np.tanh(z @ model.layers[1].kernel + model.layers[1].bias)

    def write() -> None:
        layer.mean[...], layer.variance[...] = 1, [2, 3, 4]

    def change_all() -> None:
        model.set_weights([w + 0.5 for w in model.get_weights()])

    seen = set()
    for change in (lambda: None, lambda: layer.adapt(X), write, lambda: layer.adapt(b for b in batches()), change_all):
        change()
        got = call(x).copy()  # before anything else has worked
        np.testing.assert_allclose(got, expected(), rtol=1e-4, atol=1e-5)
        assert one(x[0]).tobytes() == got[0].tobytes()
        assert model.predict(x).tobytes() == model(x).tobytes() == got.tobytes()
        assert model.layers[1](layer(x)).tobytes() == got.tobytes()
        assert model.forward(x).tobytes() == got.tobytes()
        seen.add(got.tobytes())
    assert len(seen) >= 4  # the same data twice, but for rounding
