"""Data that do not come as arrays in memory: memory maps, iterables of batches, data frames; and parts of passes."""

from __future__ import annotations

import itertools
import mmap
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from fastnn import Sequential, callbacks, losses, metrics, optimizers, utils
from fastnn.callbacks.base import when_not_finite
from fastnn.layers import BatchNormalization, Dense, Dropout, Input
from fastnn.models import feeds

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((103, 5)), RNG.integers(0, 3, 103)
W = RNG.uniform(0.5, 2, 103)
ONE_HOT = np.eye(3)[Y]


def make(
    loss: Any = "sparse_categorical_crossentropy", built: bool = True, inputs: int = 5, **compiled: Any
) -> Sequential:
    stack = [Dense(8, "tanh"), BatchNormalization(), Dropout(0.25), Dense(3, "softmax")]
    model = Sequential([*([Input((inputs,))] if built else []), *stack], seed=4)
    model.compile(**{"optimizer": "adam", "loss": loss, **compiled})
    return model


def same(model: Sequential, twin: Sequential) -> bool:
    assert model.optimizer is not None
    assert twin.optimizer is not None
    pairs = zip([*model.weights, *model.optimizer.variables], [*twin.weights, *twin.optimizer.variables], strict=True)
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def near(logs: dict[str, list[Any]], others: dict[str, list[Any]]) -> None:
    assert list(logs) == list(others)
    for name, values in logs.items():
        np.testing.assert_allclose(values, others[name], rtol=1e-12)


# ---- memory maps -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows at a time."""
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 1000)
    monkeypatch.setattr(feeds, "_BLOCK", 100)
    monkeypatch.setattr(feeds, "_BLOCKS", 2)


def mapped(folder: Path, name: str, array: np.ndarray, mode: Any = "r") -> np.ndarray:
    np.save(folder / name, array)
    result: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode=mode)
    assert feeds.is_mapped(result)
    return result


MAPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "of the model's dtype": lambda a: a.astype(np.float32),
    "of float64": lambda a: a,
    "of big-endian numbers": lambda a: a.astype(">f8"),
    "in Fortran order": np.asfortranarray,
    "of integers": lambda a: (3 * a).astype(np.int16),
    "of float16": lambda a: a.astype(np.float16),
    "of truth values": lambda a: a > 0,
}


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("batch_size", [1, 16, 50, "full"])
@pytest.mark.parametrize("kind", MAPS)
def test_a_map_gives_the_bits_of_the_array(kind: str, batch_size: Any, tmp_path: Path) -> None:
    x = MAPS[kind](X)
    file = mapped(tmp_path, "x", x)
    how: dict[str, Any] = {"batch_size": batch_size, "epochs": 3, "verbose": 0, "validation_split": 0.2}
    model, twin = make(metrics=["accuracy"]), make(metrics=["accuracy"])
    near(model.fit(file, Y, **how).history, twin.fit(x, Y, **how).history)
    assert same(model, twin)
    assert model.predict(file).tobytes() == twin.predict(x).tobytes()
    np.testing.assert_allclose(model.evaluate(file, Y), twin.evaluate(x, Y), rtol=1e-12)


VIEWS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "every other row and column": lambda a: a[::2, ::2],
    "backwards": lambda a: a[::-1, ::-1],
    "turned": lambda a: a.T,
    "from the middle": lambda a: a[17:90, 1:],
    "without its class": lambda a: a.view(np.ndarray),
    "windows": lambda a: np.lib.stride_tricks.sliding_window_view(a[:, 2], 6),
}


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("batch_size", [16, "full"])
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_a_map_gives_the_bits_of_the_array(view: str, batch_size: Any, tmp_path: Path) -> None:
    file, x = (VIEWS[view](a) for a in (mapped(tmp_path, "x", X), X))
    assert feeds.is_mapped(file)
    how: dict[str, Any] = {"batch_size": batch_size, "epochs": 2, "verbose": 0}
    model, twin = make(inputs=x.shape[1]), make(inputs=x.shape[1])
    model.fit(file, Y[: len(x)], **how)
    twin.fit(x, Y[: len(x)], **how)
    assert same(model, twin)
    assert model.predict(file).tobytes() == twin.predict(x).tobytes()


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("sparse", [True, False])
def test_everything_may_be_mapped(sparse: bool, shuffle: bool, tmp_path: Path) -> None:
    y = Y if sparse else ONE_HOT
    files = [mapped(tmp_path, name, a) for name, a in (("x", X), ("y", y), ("w", W))]
    compiled: dict[str, Any] = {
        "loss": "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy",
        "metrics": ["accuracy", lambda y, p: p[:, 0]],
        "weighted_metrics": ["sparse_categorical_accuracy" if sparse else "auc"],
    }
    how: dict[str, Any] = {"batch_size": 10, "epochs": 2, "verbose": 0, "shuffle": shuffle, "class_weight": {1: 3.0}}
    model, twin = make(**compiled), make(**compiled)
    held = slice(80, None)
    with_files = model.fit(
        files[0][:80], files[1][:80], sample_weight=files[2][:80], validation_data=tuple(f[held] for f in files), **how
    )
    in_memory = twin.fit(X[:80], y[:80], sample_weight=W[:80], validation_data=(X[held], y[held], W[held]), **how)
    near(with_files.history, in_memory.history)
    assert same(model, twin)
    assert "val_<lambda>" in with_files.history


@pytest.mark.usefixtures("small_pieces")
def test_what_is_wrong_in_a_mapped_file_is_told_before_anything_changes(tmp_path: Path) -> None:
    model = make(built=False)
    bad = Y.copy()
    bad[101] = 3
    with pytest.raises(ValueError, match="y has the label 3 at position"):
        model.fit(mapped(tmp_path, "x", X), mapped(tmp_path, "y", bad), verbose=0)
    with pytest.raises(ValueError, match=r"y has 0 samples, expected 103|y has shape \(0,\), expected"):
        model.fit(mapped(tmp_path, "x", X), mapped(tmp_path, "y", Y[:50]), verbose=0)
    weights = W.copy()
    weights[102] = np.nan
    with pytest.raises(ValueError, match="sample_weight is nan at position"):
        model.fit(mapped(tmp_path, "x", X), Y, sample_weight=mapped(tmp_path, "w", weights), verbose=0)
    with pytest.raises(TypeError, match="x has dtype complex128, expected real numbers"):
        model.fit(mapped(tmp_path, "x", X * 1j), Y, verbose=0)
    with pytest.raises(ValueError, match="the model is not built"):
        model.count_params()


@pytest.mark.usefixtures("small_pieces")
def test_maps_keep_what_was_written_into_them(tmp_path: Path) -> None:
    # The pages of a map whose changes the file does not see hold the only copy of them.
    for mode in ("r+", "c"):
        file = mapped(tmp_path, f"x{mode[0]}", X, mode)
        file[7] = 9.0
        make().fit(file, Y, verbose=0)
        assert (file[7] == 9.0).all()
        assert (np.asarray(file)[8] == X[8]).all()


@pytest.mark.usefixtures("small_pieces")
def test_a_map_without_numpys_help(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(X.tobytes())
    with open(tmp_path / "x", "rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    x = np.frombuffer(pages, np.float64).reshape(X.shape)
    assert feeds.is_mapped(x)
    assert not feeds.is_mapped(X)
    model, twin = make(), make()
    model.fit(x, Y, verbose=0)
    twin.fit(X, Y, verbose=0)
    assert same(model, twin)


MEMORY = r"""
import re, sys
import numpy as np
import fastnn
from fastnn import layers

def peak():  # not of getrusage, which begins with that of the process that started this one
    return int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024

path, rows, columns, dtype = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
batch_size = "full" if sys.argv[5] == "full" else int(sys.argv[5])
with open(path, "wb") as file:  # written, not sparse: the system then keeps it in large pages
    for _ in range(rows * columns * np.dtype(dtype).itemsize >> 25):
        file.write(bytes(1 << 25))
x = np.memmap(path, dtype, "r", shape=(rows, columns))
y = np.arange(rows, dtype=np.int32) % 2
model = fastnn.Sequential([layers.Input((columns,)), layers.Dense(4, "relu"), layers.Dense(2, "softmax")], seed=0)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(np.zeros((300, columns)), y[:300], verbose=0)
before = peak()
model.fit(x, y, batch_size=batch_size, validation_split=0.25, verbose=0)
model.evaluate(x, y)
trained = peak()
model.predict(x)
print(trained - before, peak() - before)
"""


@pytest.mark.parametrize(
    ("columns", "dtype", "batch_size"),
    [(1024, "float32", "256"), (512, "float64", "256"), (64, "float32", "full"), (4, "float32", "256")],
)
def test_memory_does_not_grow_with_the_file(columns: int, dtype: str, batch_size: str, tmp_path: Path) -> None:
    """Resident pages of the file count, as they do for those who limit a process's memory."""
    rows = min((256 << 20) // columns // np.dtype(dtype).itemsize, 1 << 23)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "x"), str(rows), str(columns), dtype, batch_size]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    training, predicting = map(float, result.stdout.split())
    assert training < 128  # MiB, of 256, or of 128 with an order of 64
    assert predicting < 128 + 1.1 * 2 * 4 * rows / 2**20  # with all outputs


MANY_X, MANY_Y = RNG.standard_normal((3001, 5)), RNG.integers(0, 3, 3001)


def make_in_parts(**compiled: Any) -> Sequential:
    stack = [Dense(60, "tanh", kernel_regularizer="l2"), Dropout(0.25), Dense(3, "softmax")]
    model = Sequential([Input((5,)), *stack], seed=4)
    model.compile(loss="sparse_categorical_crossentropy", **compiled)
    return model


@pytest.mark.parametrize("kind", MAPS)
@pytest.mark.parametrize("batch_size", [1500, "full"])
def test_a_step_of_more_than_memory_should_hold_has_the_same_bits(
    kind: str, batch_size: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = MAPS[kind](MANY_X)
    file = mapped(tmp_path, "x", x)
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 8 * 5 * 700)
    clipping = {"class_name": "SGD", "config": {"learning_rate": 0.1, "global_clipnorm": 0.01}}
    for optimizer, names in (("adam", []), (clipping, ["sparse_top_k_categorical_accuracy"])):
        model, twin = (make_in_parts(optimizer=optimizer, metrics=names) for _ in range(2))
        model._engine = counting = Counting(model._engine)
        seen: list[Any] = []
        hooks = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs, seen=seen: seen.append(batch))
        how: dict[str, Any] = {"batch_size": batch_size, "epochs": 2, "verbose": 0, "class_weight": {1: 2.0}}
        history = model.fit(file, MANY_Y, callbacks=hooks, **how).history
        near(history, twin.fit(x, MANY_Y, **how).history)
        assert same(model, twin)
        assert model.optimizer is not None
        assert seen == ([0, 0] if batch_size == "full" else [0, 1, 2] * 2)
        assert counting.calls[0] > len(seen)


@pytest.mark.parametrize("at", [0, 1450, 1600, 2990, 3000])
@pytest.mark.parametrize("goes_on", [False, True])
def test_a_loss_that_is_not_finite_in_any_part_of_a_step(
    at: int, goes_on: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Watches(callbacks.TerminateOnNaN):
        @when_not_finite
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)
            if not goes_on:
                super().on_batch_end(batch, logs)

    x = MANY_X.copy()
    x[at] = np.nan
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 8 * 5 * 700)
    how: dict[str, Any] = {"shuffle": False, "epochs": 2, "verbose": 0, "callbacks": Watches()}
    for batch_size, step in ((1500, at // 1500), ("full", 0)):
        seen: list[int] = []
        fitted = []
        for source in (mapped(tmp_path, "x", x), x):
            fitted.append(make_in_parts(metrics=["accuracy", "sparse_top_k_categorical_accuracy"]))
            with pytest.warns(RuntimeWarning, match=f"the loss turned nan in epoch 1, step {step + 1}"):
                fitted[-1].fit(source, MANY_Y, batch_size, **how)
        assert seen == [step, *([0] if goes_on else [])] * 2  # of the second epoch all are NaN
        assert same(*fitted)
        file, memory = (model.history for model in fitted)
        assert file is not None
        assert memory is not None
        assert file.epoch == memory.epoch
        near(file.history, memory.history)
        assert fitted[0].optimizer is not None
        steps = 1 if batch_size == "full" else 3
        assert fitted[0].optimizer.steps == (2 * steps if goes_on else step + 1)


class Interrupted(losses.Loss):
    """The squared error, and Ctrl-C at one of its calls."""

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.left = at

    def value_and_gradient(self, y: Any, p: Any, sample_weight: Any = None, out: Any = None) -> Any:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return self.reduce(((p - y) ** 2).mean(axis=-1), 2 * (p - y) / p.shape[-1], sample_weight)


@pytest.mark.parametrize("hooks", [False, True])
def test_ctrl_c_in_a_part_of_a_step_leaves_whole_steps(
    hooks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None) if hooks else None
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 8 * 5 * 700)
    y = np.eye(3)[MANY_Y]
    how: dict[str, Any] = {"batch_size": 2700, "verbose": 0}
    file = mapped(tmp_path, "x", MANY_X)
    model, twin = make_in_parts(), make_in_parts()
    chunks = -(-2700 // model._engine.chunk)
    assert chunks > 1
    for at in (2, chunks, chunks + 1):  # in the middle of the first step, in its last part, and in the second step
        model.compile("adam", Interrupted(at))
        twin.compile("adam", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            model.fit(file, y, shuffle=False, callbacks=each, **how)
        if at > chunks:
            twin.fit(MANY_X[:2700], y[:2700], shuffle=False, **how)
            twin.epochs_trained -= 1
        assert model.parameters.tobytes() == twin.parameters.tobytes()
        model.fit(file, y, callbacks=each, **how)
        twin.fit(MANY_X, y, **how)
        assert same(model, twin)


def test_other_threads_wait_for_the_whole_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 8 * 5 * 700)
    model, twin = make_in_parts(optimizer="adam"), make_in_parts(optimizer="adam")
    others: list[threading.Thread] = []
    take = feeds.Arrays.take

    def with_others(self: Any, rows: Any) -> Any:  # between two parts
        others.append(threading.Thread(target=model.value_and_gradient, args=(MANY_X[:9], MANY_Y[:9])))
        others[-1].start()
        others[-1].join(0.02)
        return take(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(feeds.Arrays, "take", with_others)
        model.fit(mapped(tmp_path, "x", MANY_X), MANY_Y, "full", verbose=0)
    for other in others:
        other.join()
    assert len(others) > 2
    twin.fit(MANY_X, MANY_Y, "full", verbose=0)
    assert same(model, twin)


def test_a_layer_that_needs_the_whole_step_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 1000)
    model, twin = make(), make()
    model.fit(mapped(tmp_path, "x", MANY_X), MANY_Y, "full", verbose=0)
    twin.fit(MANY_X, MANY_Y, "full", verbose=0)
    assert same(model, twin)


def test_hooks_see_whole_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = mapped(tmp_path, "x", MANY_X)
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 8 * 5 * 700)
    model = make()
    seen: list[Any] = []
    hooks = callbacks.LambdaCallback(
        on_test_batch_end=lambda batch, logs: seen.append(batch),
        on_predict_batch_end=lambda batch, logs: seen.append((batch, logs["outputs"])),
    )
    loss = model.evaluate(file, MANY_Y, batch_size=1600, callbacks=hooks)
    assert loss == pytest.approx(model.evaluate(MANY_X, MANY_Y), rel=1e-12)
    expected = model.predict(MANY_X)
    np.testing.assert_array_equal(model.predict(file, batch_size=1600, callbacks=hooks), expected)
    assert seen[:2] == [0, 1]
    assert [batch for batch, _ in seen[2:]] == [0, 1]
    np.testing.assert_array_equal(np.concatenate([outputs for _, outputs in seen[2:]]), expected)
    assert len(seen[2][1]) == 1600


LONG = 2**20 + 3000  # more samples than there is an order of at once
LONG_X = RNG.standard_normal((LONG, 1), np.float32)
LONG_Y = (LONG_X[:, 0] > 0.3).astype(np.float32)


def make_small(**compiled: Any) -> Sequential:
    model = Sequential([Input((1,)), Dense(1, "sigmoid")], seed=3)
    model.compile(optimizers.SGD(0.01), "binary_crossentropy", **compiled)
    return model


@pytest.mark.parametrize(
    ("batch_size", "compiled"),
    [(1, {}), (3, {}), (3, {"metrics": ["accuracy", "auc"]}), (1000, {}), (2**20 + 1, {"metrics": ["auc"]})],
)
def test_a_long_shuffled_epoch(batch_size: int, compiled: dict[str, Any], tmp_path: Path) -> None:
    from fastnn import kernels

    order = kernels.core("float32").draw_permutation(LONG, 3, 0)
    by_hand, model, from_file = make_small(**compiled), make_small(**compiled), make_small(**compiled)
    how: dict[str, Any] = {"batch_size": batch_size, "verbose": 0}
    expected = by_hand.fit(LONG_X[order], LONG_Y[order], shuffle=False, **how).history
    near(model.fit(LONG_X, LONG_Y, **how).history, expected)
    assert same(model, by_hand)
    near(from_file.fit(mapped(tmp_path, "x", LONG_X), LONG_Y, **how).history, expected)
    assert same(from_file, by_hand)


def test_a_long_shuffled_pass_in_parts(tmp_path: Path) -> None:
    model, from_file, whole = make_small(), make_small(), make_small()
    how: dict[str, Any] = {"batch_size": 1000, "verbose": 0}
    whole.fit(LONG_X, LONG_Y, **how)
    model.fit(LONG_X, LONG_Y, epochs=4, steps_per_epoch=263, **how)  # of 1052
    from_file.fit(mapped(tmp_path, "x", LONG_X), LONG_Y, epochs=4, steps_per_epoch=263, **how)
    assert same(model, whole)
    assert same(from_file, whole)


# ---- iterables of batches --------------------------------------------------------------------------------------------


def batches(size: int = 20, weights: bool = False) -> list[tuple[Any, ...]]:
    parts = (X, Y, W) if weights else (X, Y)
    return [tuple(a[i : i + size] for a in parts) for i in range(0, 103, size)]


class Again:
    """An iterable that is no container."""

    def __iter__(self) -> Iterator[Any]:
        return iter(batches())


class Indexed:
    """It is indexed from 0 and knows its length, not where to stop."""

    epochs = 0

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        assert 0 <= index < 6
        return batches()[index]

    def on_epoch_end(self) -> None:
        self.epochs += 1


class Numbered(Indexed, utils.PyDataset):
    """As in Keras's guide."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize(
    "source",
    [batches(), Again(), Indexed(), Numbered(workers=4)],
    ids=["a list", "an iterable", "indexed", "a data set"],
)
def test_an_iterable_is_gone_through_once_an_epoch(source: Any, built: bool) -> None:
    model, twin = make(built=built, metrics=["accuracy"]), make(metrics=["accuracy"])
    history = model.fit(source, epochs=3, verbose=0, validation_data=Again())
    expected = twin.fit(X, Y, batch_size=20, shuffle=False, epochs=3, verbose=0, validation_data=(X, Y))
    near(history.history, expected.history)
    assert same(model, twin)
    np.testing.assert_allclose(model.evaluate(source), twin.evaluate(X, Y), rtol=1e-12)
    np.testing.assert_array_equal(model.predict(source), twin.predict(X))


@pytest.mark.parametrize(("how", "passes"), [({}, 3), ({"steps_per_epoch": 6}, 2), ({"steps_per_epoch": 8}, 3)])
def test_a_data_set_hears_of_the_end_of_a_pass(how: dict[str, Any], passes: int) -> None:
    source = Numbered()
    make().fit(source, epochs=3, verbose=0, **how)
    assert source.epochs == passes
    make().evaluate(source)
    assert source.epochs == passes + 1


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_validation_by_a_list_of_batches(count: int) -> None:
    history = make().fit(X, Y, verbose=0, validation_data=batches()[:count]).history
    held = X[: 20 * count], Y[: 20 * count]
    near(history, make().fit(X, Y, verbose=0, validation_data=held).history)
    near(history, make().fit(X, Y, verbose=0, validation_data=[*held]).history)


def test_batches_have_weights() -> None:
    model, twin = make(weighted_metrics=["accuracy"]), make(weighted_metrics=["accuracy"])
    history = model.fit(batches(weights=True), epochs=2, verbose=0, class_weight={0: 2.0})
    expected = twin.fit(X, Y, 20, 2, shuffle=False, verbose=0, sample_weight=W, class_weight={0: 2.0})
    near(history.history, expected.history)
    assert same(model, twin)


def test_batches_of_every_size_and_kind() -> None:
    def source() -> Iterator[Any]:
        yield X[:7], Y[:7]
        yield X[7:8].tolist(), [int(Y[7])]
        yield [pd.DataFrame(X[8:40]), pl.Series(Y[8:40])]

    model, twin = make(), make()
    model.fit(source(), verbose=0)
    for rows in (slice(0, 7), slice(7, 8), slice(8, 40)):
        twin.train_on_batch(X[rows], Y[rows])
    assert same(model, twin)


def test_a_generator_goes_on_over_epochs() -> None:
    def forever() -> Iterator[Any]:
        for batch in itertools.cycle(batches()):
            taken.append(len(batch[0]))
            yield batch

    taken: list[int] = []
    model, twin = make(), make()
    assert model.fit(forever(), epochs=3, steps_per_epoch=4, verbose=0).params["steps"] == 4
    assert len(taken) == 12
    for batch in itertools.islice(itertools.cycle(batches()), 12):
        twin.train_on_batch(*batch)
    assert same(model, twin)


def test_an_iterable_with_steps_begins_again() -> None:
    model, twin = make(), make()
    model.fit(Again(), epochs=2, steps_per_epoch=8, verbose=0)
    for batch in itertools.islice(itertools.cycle(batches()), 16):
        twin.train_on_batch(*batch)
    assert same(model, twin)


def test_a_generator_that_ends_early_leaves_whole_steps() -> None:
    model, twin = make(), make()
    with pytest.raises(
        ValueError, match="x ended after 6 batches, 2 of them in this epoch; expected steps_per_epoch=4 of each epoch"
    ):
        model.fit(iter(batches()), epochs=3, steps_per_epoch=4, verbose=0)
    for batch in batches():
        twin.train_on_batch(*batch)
    assert same(model, twin)
    assert model.epochs_trained == 1


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ((X[:4, :3], Y[:4]), ValueError, r"batch 3 of x: x has shape \(4, 3\), expected \(samples, 5\)"),
        ((X[:4], Y[:3]), ValueError, "batch 3 of x: y has 3 samples, expected 4"),
        ((X[:4], [0, 1, 2, 3]), ValueError, "batch 3 of x: y has the label 3 at position 3, expected integers from 0"),
        ((X[:4],), ValueError, r"batch 3 of x has 1 entries, expected \(x, y\) or \(x, y, sample_weight\)"),
        (X[:4], ValueError, r"batch 3 of x has 1 entries, expected \(x, y\) or"),
        ((X[:4], Y[:4], W[:4], 0), ValueError, "batch 3 of x has 4 entries"),
        ((X[:4], Y[:4], -W[:4]), ValueError, "batch 3 of x: sample_weight is -.* expected finite weights"),
        ((X[:0], Y[:0]), ValueError, r"batch 3 of x: x has shape \(0, 5\), expected at least one sample"),
    ],
)
def test_a_batch_that_does_not_fit_leaves_whole_steps(bad: Any, error: type[Exception], message: str) -> None:
    model, twin = make(), make()
    good = batches()[:2]
    with pytest.raises(error, match=message):
        model.fit([*good, bad, *good], verbose=0)
    for batch in good:
        twin.train_on_batch(*batch)
    assert same(model, twin)


def test_an_exception_of_the_iterable_leaves_whole_steps() -> None:
    def source() -> Iterator[Any]:
        yield batches()[0]
        raise OSError("the disk is gone")

    model, twin = make(), make()
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(source(), verbose=0)
    twin.train_on_batch(*batches()[0])
    assert same(model, twin)


FIT_ERRORS: dict[str, tuple[dict[str, Any], str]] = {
    "an iterator for two epochs": (
        {"x": iter(batches()), "epochs": 2},
        "x is an iterator, which can be gone through once, for 2 epochs; expected steps_per_epoch",
    ),
    "validation by an iterator": (
        {"x": X, "y": Y, "validation_data": iter(batches()), "epochs": 2},
        "validation_data is an iterator, .* expected validation_steps",
    ),
    "no batches": ({"x": iter(())}, "x has no batches, expected at least one"),
    "a split of an iterable": (
        {"x": Again(), "validation_split": 0.5},
        r"validation_split is 0\.5 for an iterable of batches, expected validation_data",
    ),
    "weights beside an iterable": (
        {"x": Again(), "sample_weight": W},
        r"sample_weight is given for an iterable of batches, expected batches \(x, y, sample_weight\)",
    ),
    "no steps": ({"x": X, "y": Y, "steps_per_epoch": 0}, "steps_per_epoch is 0, expected at least 1"),
    "validation after no epochs": ({"x": X, "y": Y, "validation_freq": 0}, "validation_freq is 0, expected at least 1"),
    "validation before the first": ({"x": X, "y": Y, "validation_freq": [0]}, "validation_freq is 0, expected at lea"),
    "a first batch that does not fit": ({"x": [(X[:4], Y[:3])]}, "batch 1 of x: y has 3 samples, expected 4"),
}


@pytest.mark.parametrize("name", FIT_ERRORS)
@pytest.mark.parametrize("built", [True, False])
def test_what_fit_refuses(name: str, built: bool) -> None:
    how, message = FIT_ERRORS[name]
    model = make(built=built)
    before = model.parameters.tobytes() if built else None
    calls: list[Any] = []
    with pytest.raises(ValueError, match=message):
        model.fit(**how, verbose=0, callbacks=callbacks.LambdaCallback(on_train_begin=calls.append))
    assert not calls
    if built:
        assert model.parameters.tobytes() == before
    else:
        assert model.layers[0].n_in is None


def test_batches_without_progress_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.models import sequential

    monkeypatch.setattr(sequential, "_PROGRESS_SECONDS", 0.0)
    steps: list[int] = []
    make().fit(batches(), epochs=2, verbose=0, callbacks=callbacks.LambdaCallback(on_progress=steps.append))
    assert steps == [1, 2, 3, 4, 5] * 2
    model = make()
    calls_back = callbacks.LambdaCallback(on_progress=lambda step: model.evaluate(X, Y))  # which forgets the losses
    with pytest.raises(RuntimeError, match="the model is at work"):
        model.fit(batches(), verbose=0, callbacks=calls_back)


# ---- parts of passes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [3, 6, 7, 20])
@pytest.mark.parametrize("as_file", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
def test_steps_per_epoch_go_through_passes(steps: int, as_file: bool, shuffle: bool, tmp_path: Path) -> None:
    x = mapped(tmp_path, "x", X) if as_file else X
    model, twin = make(metrics=["accuracy"]), make()
    history = model.fit(x, Y, 20, epochs=4, steps_per_epoch=steps, shuffle=shuffle, verbose=0)
    twin.fit(X, Y, 20, epochs=4 * steps // 6, shuffle=shuffle, verbose=0)
    rest = 4 * steps % 6
    if rest:
        from fastnn import kernels

        order = kernels.core("float32").draw_permutation(103, twin.seed, 4 * steps // 6) if shuffle else np.arange(103)
        for start in range(0, 20 * rest, 20):
            twin.train_on_batch(X[order[start : start + 20]], Y[order[start : start + 20]])
    assert same(model, twin)
    assert len(history.history["loss"]) == 4
    assert all(0 <= value <= 1 for value in history.history["accuracy"])


def test_losses_of_parts_of_a_pass_are_means_of_what_was_trained_on() -> None:
    loss = losses.SparseCategoricalCrossentropy(ignore_class=2)
    model = Sequential([Input((5,)), Dense(3, "softmax")], seed=4)
    model.compile(optimizers.SGD(0.0), loss)
    history = model.fit(X, Y, 20, epochs=3, steps_per_epoch=2, shuffle=False, verbose=0)
    for epoch in range(3):
        rows = slice(40 * epoch, min(40 * epoch + 40, 103))
        assert history.history["loss"][epoch] == pytest.approx(model.evaluate(X[rows], Y[rows]), rel=1e-6)


@pytest.mark.parametrize(("freq", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4]), ([1, 5], [1, 5]), ({3}, [3])])
def test_validation_freq(freq: Any, epochs: list[int]) -> None:
    history = make().fit(X, Y, epochs=5, validation_split=0.2, validation_freq=freq, verbose=0)
    assert len(history.history["val_loss"]) == len(epochs)
    assert history._epochs["val_loss"] == epochs


def test_evaluate_and_predict_a_number_of_steps() -> None:
    model = make(metrics=["accuracy"])
    assert model.evaluate(X, Y, batch_size=10, steps=3) == model.evaluate(X[:30], Y[:30])
    assert model.evaluate(Again(), steps=2) == pytest.approx(model.evaluate(X[:40], Y[:40]), rel=1e-12)
    np.testing.assert_array_equal(model.predict(X, batch_size=10, steps=3), model.predict(X)[:30])
    np.testing.assert_array_equal(model.predict(Again(), steps=2), model.predict(X)[:40])
    history = model.fit(X, Y, verbose=0, validation_data=(X, Y), validation_batch_size=25, validation_steps=2)
    assert history.history["val_loss"] == [model.evaluate(X[:50], Y[:50])[0]]


@pytest.mark.parametrize("batch_size", [1, 7, 103, 1000])
def test_predictions_do_not_depend_on_the_batch_size(batch_size: int, capsys: pytest.CaptureFixture[str]) -> None:
    model = make()
    np.testing.assert_array_equal(model.predict(X, batch_size, verbose=1), model.predict(X))
    assert capsys.readouterr().out.startswith("103 samples - ")


# ---- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames(frame: Any) -> None:
    columns = {"length": X[:, 0], "count": np.arange(103), "old": X[:, 1] > 0, "width": X[:, 2].astype("f4"), "a": Y}
    x, y = frame(columns), frame({"class": Y})
    as_array = np.column_stack([*columns.values()])
    model, twin = make(), make()
    how: dict[str, Any] = {"epochs": 2, "verbose": 0, "validation_split": 0.2}
    near(model.fit(x, y["class"], sample_weight=frame({"w": W})["w"], **how).history,
         twin.fit(as_array, Y, sample_weight=W, **how).history)  # fmt: skip
    assert same(model, twin)
    assert model.evaluate(x, y) == twin.evaluate(as_array, Y)
    np.testing.assert_array_equal(model.predict(x), twin.predict(as_array))


def test_missing_values_are_nan() -> None:
    x = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": pd.array([True, False, None], dtype="boolean")})
    y = pl.DataFrame({"a": [1, None, 3], "b": [True, False, None]})
    model = Sequential([Input((2,)), Dense(1)], seed=0)
    for frame in (x, y):
        assert np.isnan(model.predict(frame)).ravel().tolist() == [False, True, True]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_column_of_text_is_named(frame: Any) -> None:
    x = frame({"a": np.arange(3), "city": ["Rome", "1", "2"]})
    with pytest.raises(TypeError, match=r"x has the column 'city' of type .*, expected columns of real numbers"):
        Sequential([Dense(1)]).predict(x)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array, sparse.csc_array, sparse.coo_array])
@pytest.mark.parametrize("batch_size", [16, "full"])
def test_a_sparse_matrix_gives_the_bits_of_the_array(
    kind: Any, batch_size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dense = np.where(X > 0.8, X, 0)
    x = kind(dense)
    how: dict[str, Any] = {"batch_size": batch_size, "epochs": 2, "verbose": 0, "class_weight": {1: 2.0}}
    model, twin = make(metrics=["accuracy"]), make(metrics=["accuracy"])
    largest = 0

    def toarray(self: Any, *arguments: Any) -> np.ndarray:
        nonlocal largest
        largest = max(largest, self.shape[0])
        return as_it_was(self, *arguments)

    as_it_was = type(x.tocsr()).toarray
    monkeypatch.setattr(type(x.tocsr()), "toarray", toarray)
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 8 * 5 * 20)
    near(model.fit(x, Y, validation_split=0.2, **how).history, twin.fit(dense, Y, validation_split=0.2, **how).history)
    near(
        model.fit(x, Y, validation_data=(x, Y), **how).history,
        twin.fit(dense, Y, validation_data=(dense, Y), **how).history,
    )
    assert same(model, twin)
    assert model.evaluate(x, Y) == pytest.approx(twin.evaluate(dense, Y), rel=1e-12)
    np.testing.assert_array_equal(model.predict(x), twin.predict(dense))
    assert largest <= (103 if batch_size == "full" else 20)  # batch normalization has the whole batch


def test_what_is_wrong_with_a_sparse_matrix() -> None:
    x = sparse.csr_array(X)
    with pytest.raises(ValueError, match=r"x has shape \(\d+, 4\), expected \(samples, 5\)"):
        make().fit(x[:, :4], Y, verbose=0)
    with pytest.raises(ValueError, match="y has 102 samples, expected 103"):
        make().fit(x, Y[:102], verbose=0)
    with pytest.raises(TypeError, match=r"x is a csr_array, which toarray\(\) makes an array, expected real numbers"):
        make().train_on_batch(x, Y)


WHAT_IS_NO_ARRAY: list[tuple[Any, str]] = [
    (pl.DataFrame({"a": [1.0]}).lazy(), "x is a LazyFrame, expected real numbers"),
    (Path("x.npy"), "x is a PosixPath, expected real numbers"),
    ({"a": X}, "x is a dict, expected real numbers"),
    ((row for row in X), "x is a generator, expected real numbers"),
    (np.array([[1, "a"]], object), "x has dtype object, with 'a' in it, expected real numbers"),
    (X.astype(str), "x has dtype <U32, expected real numbers"),
    (X.astype("M8[s]"), r"x has dtype datetime64\[s\], expected real numbers"),
]


@pytest.mark.parametrize(("x", "message"), WHAT_IS_NO_ARRAY, ids=[message for _, message in WHAT_IS_NO_ARRAY])
def test_what_is_no_array_is_named(x: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make().evaluate(x, Y)


def test_memory_of_others_is_an_array() -> None:
    model = make()
    x = np.ascontiguousarray(X, np.float32)
    np.testing.assert_array_equal(model.predict(memoryview(x)), model.predict(x))


# ---- what the quick path costs ---------------------------------------------------------------------------------------


class Counting:
    """Stands before an engine, and counts its calls."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.calls = engine, [0, 0]

    def train(self, *arguments: Any) -> Any:
        self.calls[0] += 1
        return self.engine.train(*arguments)

    def evaluate(self, *arguments: Any) -> Any:
        self.calls[1] += 1
        return self.engine.evaluate(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


EVERYTHING = [
    callbacks.EarlyStopping(patience=100),
    callbacks.ReduceLROnPlateau(),
    callbacks.LearningRateScheduler(lambda epoch, rate: rate),
    callbacks.TerminateOnNaN(),
    callbacks.History(),
    callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None, on_test_begin=lambda logs: None),
]


@pytest.mark.parametrize(
    ("compiled", "fitted"),
    [
        ({"metrics": ["accuracy"]}, {}),
        ({"metrics": [metrics.SparseCategoricalAccuracy()]}, {}),
        ({"metrics": ["acc", "sparse_top_k_categorical_accuracy"], "weighted_metrics": ["accuracy"]}, {}),
        ({}, {"callbacks": EVERYTHING}),
        ({}, {"class_weight": {0: 2.0}, "sample_weight": np.ones(103)}),
        ({}, {"steps_per_epoch": 6}),
    ],
)
def test_an_epoch_in_memory_is_one_call_of_the_engine(compiled: Any, fitted: Any) -> None:
    model = make(**compiled)
    model._engine = counting = Counting(model._engine)
    model.fit(X, Y, 20, epochs=5, verbose=0, validation_data=(X, Y), **fitted)
    assert counting.calls == [5, 5]


def test_hooks_for_batches_take_an_epoch_apart_and_change_no_bit() -> None:
    seen: list[Any] = []
    hooks = callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(batch),
        on_train_batch_end=lambda batch, logs: seen.append((batch, logs["loss"], logs["accuracy"])),
    )
    compiled: dict[str, Any] = {"metrics": ["accuracy", "sparse_top_k_categorical_accuracy"]}
    model, twin, by_hand = make(**compiled), make(**compiled), make(**compiled)
    model._engine = counting = Counting(model._engine)
    history = model.fit(X, Y, 20, epochs=2, verbose=0, callbacks=hooks, validation_split=0.1)
    near(history.history, twin.fit(X, Y, 20, epochs=2, verbose=0, validation_split=0.1).history)
    assert same(model, twin)
    assert counting.calls == [10, 2]
    assert [entry for entry in seen if isinstance(entry, int)] == [0, 1, 2, 3, 4] * 2
    assert [entry[0] for entry in seen if not isinstance(entry, int)] == [0, 1, 2, 3, 4] * 2
    # Logs are means over the steps of the epoch so far.
    from fastnn import kernels

    order = kernels.core("float32").draw_permutation(92, by_hand.seed, 0)
    assert seen[1][1:] == pytest.approx(by_hand.train_on_batch(X[order[:20]], Y[order[:20]])[:2], rel=1e-12)
    assert seen[3][1:] == pytest.approx(by_hand.train_on_batch(X[order[20:40]], Y[order[20:40]])[:2], rel=1e-12)
    assert seen[9][1] == history.history["loss"][0]


def test_outputs_for_metrics_take_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn.models import sequential

    compiled: dict[str, Any] = {"metrics": ["sparse_top_k_categorical_accuracy", lambda y, p: p[:, 1]]}
    model, twin = make(**compiled), make(**compiled)
    expected = twin.fit(X, Y, 10, epochs=2, verbose=0, validation_data=(X, Y)).history
    monkeypatch.setattr(sequential, "_OUTPUTS", 3 * 25)
    model._engine = counting = Counting(model._engine)
    near(model.fit(X, Y, 10, epochs=2, verbose=0, validation_data=(X, Y)).history, expected)
    assert same(model, twin)
    assert counting.calls == [12, 12]  # twenty samples at a time


def test_the_step_with_a_loss_that_is_not_finite_is_named_in_pieces_too() -> None:
    x = X.copy()
    x[65] = np.nan
    hooks = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    sources: list[tuple[Any, ...]] = [(x, Y, 20), ([(x[i : i + 20], Y[i : i + 20]) for i in range(0, 100, 20)],)]
    for source in sources:
        with pytest.warns(RuntimeWarning, match="the loss turned nan in epoch 1, step 4"):
            make().fit(*source, verbose=0, shuffle=False, callbacks=hooks)
    with pytest.warns(RuntimeWarning, match="the loss turned nan in epoch 2, step 2"):
        make().fit(x, Y, 20, epochs=2, steps_per_epoch=2, verbose=0, shuffle=False)
