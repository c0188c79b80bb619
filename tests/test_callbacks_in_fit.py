"""Callbacks that act on a training: when they stop it, what they save, and that it goes on from there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, callbacks, metrics, optimizers
from fastnn.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
    TensorBoard,
    TerminateOnNaN,
)
from fastnn.callbacks.base import when_not_finite
from fastnn.layers import BatchNormalization, Dense, Dropout, Input
from fastnn.models import feeds

RNG = np.random.default_rng(7)
X, Y = RNG.standard_normal((60, 4)), RNG.integers(0, 2, (60, 1))


def make(**compiled: Any) -> Sequential:
    model = Sequential([Input((4,)), Dense(6, "tanh"), Dense(1, "sigmoid")], seed=4)
    model.compile(**{"optimizer": "adam", "loss": "binary_crossentropy", "metrics": ["accuracy"], **compiled})
    return model


def same(model: Sequential, twin: Sequential) -> bool:
    assert model.optimizer is not None
    assert twin.optimizer is not None
    return model.optimizer.iterations == twin.optimizer.iterations and all(
        a.tobytes() == b.tobytes()
        for a, b in zip(
            [model.parameters, *model.optimizer.variables], [twin.parameters, *twin.optimizer.variables], strict=True
        )
    )


class Told(Callback):
    """Tells those after it, and History, of other numbers than the model's."""

    def __init__(self, **logs: list[float]) -> None:
        super().__init__()
        self.told = logs

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs |= {name: values[epoch] for name, values in self.told.items()}


# ---- stopping and rates ----------------------------------------------------------------------------------------------


def test_early_stopping_restores_the_best_weights(capsys: pytest.CaptureFixture[str]) -> None:
    told = Told(val_loss=[3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    stopping = EarlyStopping(patience=3, restore_best_weights=True, verbose=1)
    model, twin, longer = make(), make(), make()
    history = model.fit(X, Y, epochs=10, verbose=0, callbacks=[told, stopping])
    assert history.epoch == [0, 1, 2, 3, 4]
    assert (stopping.best, stopping.best_epoch, stopping.stopped_epoch) == (1.0, 1, 4)
    assert capsys.readouterr().out == "Epoch 5: early stopping\nWeights are those of the best epoch, 2\n"
    twin.fit(X, Y, epochs=2, verbose=0)
    assert model.parameters.tobytes() == twin.parameters.tobytes()
    longer.fit(X, Y, epochs=5, verbose=0, callbacks=[told, EarlyStopping(patience=3)])
    assert longer.parameters.tobytes() != twin.parameters.tobytes()
    # Also where training comes to its end by itself, and with the same object again.
    model = make()
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[told, stopping])
    assert model.parameters.tobytes() == twin.parameters.tobytes()


def test_an_exception_leaves_the_last_weights_not_the_best() -> None:
    def fail(epoch: int, logs: Any) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    stopping = EarlyStopping("loss", mode="max", restore_best_weights=True, patience=9)
    model, twin = make(), make()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=9, verbose=0, callbacks=[stopping, LambdaCallback(on_epoch_end=fail)])
    twin.fit(X, Y, epochs=4, verbose=0)
    assert same(model, twin)
    assert not model.finished
    assert stopping.best_weights is not None
    model.fit(X, Y, verbose=0)
    assert model.finished


@pytest.mark.parametrize(
    ("monitor", "direction"),
    [("loss", "min"), ("val_loss", "min"), ("accuracy", "max"), ("val_auc", "max"), ("val_mse", "min")],
)
def test_auto_knows_which_way_is_better(monitor: str, direction: str) -> None:
    values = [1.0, 2.0, 3.0]
    model = make(metrics=["accuracy", metrics.AUC(), "mse"])
    stopping = EarlyStopping(monitor, restore_best_weights=True, patience=9)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=[Told(**{monitor: values}), stopping])
    assert stopping.best_epoch == (0 if direction == "min" else 2)


def test_what_auto_does_not_know_is_an_error() -> None:
    model = make(metrics=[lambda y, p: p])
    with pytest.raises(ValueError, match=r"'auto' for '<lambda>', of which it is not known .* expected mode='max'"):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=EarlyStopping("<lambda>"))


def test_a_number_that_is_not_there_warns() -> None:
    with pytest.warns(UserWarning, match="EarlyStopping monitors 'val_loss', which is not in the logs; there"):
        make().fit(X, Y, verbose=0, callbacks=EarlyStopping())


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (lambda: EarlyStopping(mode="best"), ValueError, "mode is 'best', expected one of 'auto', 'min', 'max'"),
        (lambda: EarlyStopping(patience=-1), ValueError, "patience is -1, expected at least 0"),
        (lambda: EarlyStopping(monitor=3), TypeError, "monitor is 3, expected a name of the logs"),
        (lambda: ReduceLROnPlateau(factor=1.0), ValueError, r"factor is 1\.0, expected a finite number >= 0 and < 1"),
        (lambda: LearningRateScheduler(0.1), TypeError, r"schedule is 0\.1, expected a function of epoch and learning"),
        (lambda: LambdaCallback(on_epoch=print), TypeError, "on_epoch is no hook, expected one of Callback's"),
        (lambda: LambdaCallback(on_epoch_end=3), TypeError, "on_epoch_end is 3, expected a function"),
        (lambda: ModelCheckpoint("x", save_freq=0), ValueError, "save_freq is 0, expected at least 1"),
        (lambda: BackupAndRestore(""), ValueError, "backup_dir is '', expected a folder"),
        (lambda: TensorBoard(update_freq=0), ValueError, "update_freq is 0, expected at least 1"),
    ],
)
def test_arguments_are_checked(bad: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        bad()


def test_learning_rate_scheduler(capsys: pytest.CaptureFixture[str]) -> None:
    model, twin = make(optimizer=optimizers.SGD(0.5)), make(optimizer=optimizers.SGD(0.5))
    halves = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate, verbose=1)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=halves)
    assert history.history["learning_rate"] == [0.5, 0.25, 0.125]
    assert capsys.readouterr().out.splitlines()[1] == "Epoch 2: the learning rate is 0.25"
    by_epoch = LearningRateScheduler(lambda epoch: 0.5 ** (epoch + 1))
    assert twin.fit(X, Y, epochs=3, verbose=0, callbacks=by_epoch).history == history.history
    assert same(model, twin)
    with pytest.raises(TypeError, match="the schedule's learning rate is 'fast', expected a number"):
        model.fit(X, Y, verbose=0, callbacks=LearningRateScheduler(lambda epoch, rate: "fast"))


def test_reduce_lr_on_plateau_lowers_the_models_rate(capsys: pytest.CaptureFixture[str]) -> None:
    model = make(optimizer=optimizers.SGD(0.5))
    told = Told(val_loss=[1.0, 1.0, 1.0, 0.5])
    lowers = ReduceLROnPlateau(patience=2, factor=0.1, verbose=1)
    history = model.fit(X, Y, epochs=4, verbose=0, callbacks=[told, lowers])
    assert history.history["learning_rate"] == [0.5, 0.5, 0.5, pytest.approx(0.05)]
    assert capsys.readouterr().out == "Epoch 3: the learning rate goes down to 0.05\n"


# Each way that the engine has of training: three for tiny networks, of which two compute losses late, that of steps of
# one sample, and the general one, here also on two threads, with a norm to wait for, in chunks, and with outputs.
WAYS: dict[str, dict[str, Any]] = {
    "tiny and late": {"optimizer": "sgd"},
    "tiny": {"optimizer": "sgd", "activation": "tanh"},
    "shallow": {"optimizer": "sgd", "batch": 1},
    "single": {"optimizer": "adam", "batch": 1},
    "general": {"optimizer": "adam"},
    "threads": {"optimizer": "adam", "units": 300, "batch": 16},
    "norm": {"optimizer": optimizers.SGD(0.01, global_clipnorm=1e9)},
    "chunks": {"optimizer": "adam", "batch": 600},
    "outputs": {"optimizer": "sgd", "metrics": ["mae", "r2_score"]},
    "batches": {"optimizer": "sgd", "each": True},
}


def regression(
    callbacks: Any,
    y: np.ndarray,
    *,
    optimizer: Any,
    activation: str | None = None,
    units: int = 6,
    batch: int = 4,
    metrics: Any = (),
    each: bool = False,
    **fit: Any,
) -> Sequential:
    model = Sequential([Input((4,)), Dense(units, "sigmoid"), Dense(1, activation)], seed=4)
    optimizer = optimizer if isinstance(optimizer, str) else type(optimizer).from_config(optimizer.get_config())
    model.compile(optimizer, "mse", metrics=list(metrics))
    callbacks = [*callbacks, *([LambdaCallback(on_train_batch_end=lambda batch, logs: None)] if each else [])]
    model.fit(np.resize(X, (len(y), 4)), y, batch, verbose=0, callbacks=callbacks, **fit)
    return model


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [0, 23, 58])
def test_terminate_on_nan_stops_after_the_step(way: str, at: int, capsys: pytest.CaptureFixture[str]) -> None:
    fastnn.set_num_threads(2)
    batch = WAYS[way].get("batch", 4)
    y = np.resize(X, (max(60, 2 * batch), 4))[:, :1]
    y[at] = 1e24  # whose square is no float32; the weights stay finite, and tell how many steps there were
    step = at // batch + 1
    with pytest.warns(RuntimeWarning, match=f"the loss turned inf in epoch 1, step {step}"):
        model = regression([TerminateOnNaN()], y, shuffle=False, epochs=5, **WAYS[way])
    with pytest.warns(RuntimeWarning, match="the loss turned inf"):
        twin = regression([], y[: step * batch], shuffle=False, **WAYS[way])
    assert capsys.readouterr().out == f"Step {step}: the loss is inf, training ends\n"
    assert np.isfinite(model.parameters).all()
    assert same(model, twin)
    assert model.finished
    assert model.history is not None
    assert twin.history is not None
    assert (model.history.epoch, model.history.history) == ([0], twin.history.history)
    assert model.stop_training


@pytest.mark.parametrize("way", WAYS)
def test_terminate_on_nan_changes_no_bit_of_a_training(way: str) -> None:
    y = X[:, :1]
    calls = []

    class Counts(Sequential):
        def _train(self, *arguments: Any) -> Any:
            calls.append(arguments)
            return super()._train(*arguments)

    model, twin = (regression(some, y, epochs=3, **WAYS[way]) for some in ([TerminateOnNaN()], []))
    assert same(model, twin)
    assert model.history is not None
    assert twin.history is not None
    assert model.history.history == twin.history.history
    counts = Counts([Input((4,)), Dense(1)])
    counts.compile("sgd", "mse")
    counts.fit(X, y, 4, epochs=3, verbose=0, callbacks=TerminateOnNaN())
    assert len(calls) == 3


def test_a_loss_that_is_not_finite_may_be_let_go_on() -> None:
    seen: list[Any] = []

    class Watches(TerminateOnNaN):
        @when_not_finite
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((batch, logs["loss"]))

    class SeesAll(TerminateOnNaN):  # without the mark, it is a hook like any other
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(batch)

    y = X[:, :1].copy()
    y[23] = 1e24
    with pytest.warns(RuntimeWarning, match="the loss turned nan in epoch 1, step 6"):
        model, twin = (
            regression(some, y, shuffle=False, epochs=2, optimizer="sgd", metrics=["mae"]) for some in ([Watches()], [])
        )
    assert repr(seen) == "[(5, inf), (0, nan)]"  # once in each epoch
    assert same(model, twin)
    assert model.history is not None
    assert twin.history is not None
    assert repr(model.history.history) == repr(twin.history.history)
    seen.clear()
    with pytest.warns(RuntimeWarning, match="the loss turned"):
        regression([SeesAll()], y, optimizer="sgd")
    assert seen == list(range(15))


def test_terminate_on_nan_may_raise() -> None:
    y = X[:, :1].copy()
    y[23] = np.inf
    for each in (False, True):
        with pytest.raises(RuntimeError, match="in step 6 of the epoch"):
            regression([TerminateOnNaN(raise_error=True)], y, shuffle=False, optimizer="adam", each=each)
    TerminateOnNaN(raise_error=True).on_train_batch_end(3, {"loss": 1.0})
    with pytest.raises(RuntimeError, match="the loss is nan in step 4"):  # in a loop of one's own
        callbacks.CallbackList(TerminateOnNaN(raise_error=True)).on_train_batch_end(3, {"loss": np.nan})


def test_training_that_is_to_stop_before_it_begins_has_one_step() -> None:
    def stop(*_: Any) -> None:
        model.stop_training = True

    for hook in ("on_train_begin", "on_epoch_begin"):
        model, twin = make(), make()
        assert model.fit(
            X, Y, 20, epochs=3, verbose=0, shuffle=False, callbacks=LambdaCallback(**{hook: stop})
        ).epoch == [0]
        twin.fit(X[:20], Y[:20], 20, verbose=0, shuffle=False)
        assert same(model, twin)


def test_a_monitor_of_which_no_direction_is_known_is_an_error_at_once() -> None:
    for kind in (EarlyStopping, ReduceLROnPlateau, lambda name: ModelCheckpoint("a", name, save_best_only=True)):
        with pytest.raises(ValueError, match="has the mode 'auto' for 'val_acc', of which it is not known"):
            make().fit(X, Y, verbose=0, callbacks=kind("val_acc"))
    with pytest.warns(UserWarning, match="EarlyStopping monitors 'val_accuracy', which is not in the logs"):
        make().fit(X, Y, verbose=0, callbacks=EarlyStopping("val_accuracy"))


# ---- averages --------------------------------------------------------------------------------------------------------


def averaging(**options: Any) -> Sequential:
    return make(optimizer=optimizers.Adam(0.01, use_ema=True, **options))


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_the_averages_are_the_models_wherever_training_ends(swap_on_epoch: bool, tmp_path: Path) -> None:
    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 2

    model, twin = averaging(), averaging()
    saves = ModelCheckpoint(tmp_path / "{epoch}")
    swaps = SwapEMAWeights(swap_on_epoch)
    model.fit(X, Y, 20, epochs=9, verbose=0, callbacks=[swaps, saves, LambdaCallback(on_epoch_end=stop)])
    twin.fit(X, Y, 20, epochs=3, verbose=0)
    assert same(model, twin)
    saved = fastnn.load_model(tmp_path / "3")
    assert (saved.parameters.tobytes() == model.parameters.tobytes()) == swap_on_epoch
    evaluated = model.evaluate(X, Y, callbacks=swaps)
    assert evaluated == twin.evaluate(X, Y)
    assert same(model, twin)


def test_an_exception_leaves_the_weights_of_the_last_step_not_the_averages() -> None:
    for hook in ("on_epoch_end", "on_test_begin"):
        model, twin, swaps = averaging(), averaging(), SwapEMAWeights(swap_on_epoch=True)

        def fail(*_: Any) -> None:
            raise InterruptedError

        fails = LambdaCallback(**{hook: fail})
        with pytest.raises(InterruptedError):
            model.fit(X, Y, 20, verbose=0, validation_data=(X, Y), callbacks=[swaps, fails])
        with pytest.raises(InterruptedError):
            twin.fit(X, Y, 20, verbose=0, callbacks=LambdaCallback(on_epoch_end=fail))
        assert same(model, twin)


def test_a_prediction_with_the_averages_in_training() -> None:
    model, swaps = averaging(ema_momentum=0.5), SwapEMAWeights()
    found: list[Any] = []

    class Predicts(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            before = model.parameters.copy()
            found.append((model.predict(X), model.predict(X, callbacks=swaps)))
            assert model.parameters.tobytes() == before.tobytes()

    model.fit(X, Y, 20, epochs=2, verbose=0, callbacks=Predicts())
    assert found[-1][0].tobytes() != found[-1][1].tobytes()
    assert found[-1][1].tobytes() == model.predict(X).tobytes()
    with pytest.raises(ValueError, match="SwapEMAWeights is used with use_ema=False, expected an optimizer with"):
        make().evaluate(X, Y, callbacks=SwapEMAWeights())


# ---- files -----------------------------------------------------------------------------------------------------------


class Saves(Sequential):
    """Notes what is to be saved, instead of saving it."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        self.saved: list[tuple[str, int]] = []
        super().__init__(*arguments, **how)

    def save(self, filepath: Any) -> None:
        assert os.path.isdir(os.path.dirname(filepath) or ".")
        self.saved.append((filepath, self.optimizer.iterations))  # type: ignore[union-attr]

    def save_weights(self, filepath: Any) -> None:
        self.save(f"{filepath} weights")


def saved(checkpoint: ModelCheckpoint, epochs: int, **logs: list[float]) -> list[tuple[str, int]]:
    model = Saves([Input((4,)), Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(X, Y, 20, epochs=epochs, verbose=0, callbacks=[Told(**logs), checkpoint])
    return model.saved


def test_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = str(tmp_path / "of" / "{epoch:02d}-{val_loss:.1f}")
    losses = [2.0, 1.0, 1.5, 0.5]
    assert saved(ModelCheckpoint(name), 2, val_loss=losses) == [
        (str(tmp_path / "of" / "01-2.0"), 3),
        (str(tmp_path / "of" / "02-1.0"), 6),
    ]
    assert saved(ModelCheckpoint("a", save_best_only=True), 4, val_loss=losses) == [("a", 3), ("a", 6), ("a", 12)]
    threshold = ModelCheckpoint("a", save_best_only=True, initial_value_threshold=1.0, save_weights_only=True)
    assert saved(threshold, 4, val_loss=losses) == [("a weights", 12)]
    largest = ModelCheckpoint("a", "val_loss", save_best_only=True, mode="max", verbose=1)
    assert saved(largest, 4, val_loss=losses) == [("a", 3)]
    assert capsys.readouterr().out == "Epoch 1: saved a\n"
    every_two = ModelCheckpoint(str(tmp_path / "{epoch} {batch}"), save_freq=2)
    assert saved(every_two, 2) == [(str(tmp_path / f), n) for f, n in (("1 2", 2), ("2 1", 4), ("2 3", 6))]
    with pytest.raises(ValueError, match=r"filepath is '\{mse\}', which names 'mse', expected names among 'epoch'"):
        saved(ModelCheckpoint("{mse}"), 1)


def test_a_checkpoint_by_a_metric_of_several_values_saves_each_time(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint("a", "several", save_best_only=True, mode="max")
    with pytest.warns(UserWarning, match="ModelCheckpoint monitors 'several', which has several values"):
        found = saved(checkpoint, 2, several=[np.ones(2), np.zeros(2)])  # type: ignore[list-item]
    assert [at for _, at in found] == [3, 6]


def test_the_state_of_a_model_is_all_that_training_depends_on() -> None:
    model, other = make(), Sequential([Input((4,)), Dense(6, "tanh"), Dense(1, "sigmoid")], seed=5)
    other.compile("adam", "binary_crossentropy")
    model.fit(X, Y, 16, epochs=2, verbose=0)
    state = model.get_state()
    model.fit(X, Y, 16, epochs=2, verbose=0)
    other.set_state(state)
    other.fit(X, Y, 16, epochs=2, verbose=0)
    assert same(model, other)
    assert (other.seed, other.epochs_trained) == (4, 4)


@pytest.mark.parametrize("change", ["weights.1", "optimizer.momentum.0", "seed", "shape", "kind"])
def test_the_state_of_another_model_changes_nothing(change: str) -> None:
    model = make()
    model.fit(X, Y, verbose=0)
    state = make().get_state() if change == "kind" else model.get_state()
    if change == "shape":
        state["weights.2"] = np.zeros((5, 1))
    elif change == "kind":
        state = {name: a for name, a in state.items() if not name.startswith("optimizer.")}
    else:
        names = [name for name in state if name.startswith(change[:11])]
        del state[change if change in state else names[-1]]
    before = model.get_state()
    with pytest.raises((ValueError, TypeError)):
        model.set_state(state)
    after = model.get_state()
    assert list(before) == list(after)
    assert all(before[name].tobytes() == after[name].tobytes() for name in before)


CHILD = """
import os, signal, sys
import numpy as np
import fastnn
from fastnn import Sequential, callbacks, layers, optimizers

x = np.random.default_rng(0).standard_normal((200, 4))
y = (x[:, :1] > 0).astype(float)
# No seed of its own: the first run draws one, and the next goes on with it.
stack = [layers.Dense(8, "tanh"), layers.BatchNormalization(), layers.Dropout(0.2), layers.Dense(1, "sigmoid")]
model = Sequential([layers.Input((4,)), *stack])
model.compile(optimizers.Adam(0.01, use_ema=True), "binary_crossentropy")
def kill(epoch, logs):
    if epoch == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
kill = callbacks.LambdaCallback(on_epoch_begin=kill)
history = model.fit(x, y, epochs=9, verbose=0, callbacks=[callbacks.BackupAndRestore(sys.argv[1]), kill])
print(model.seed, len(history.epoch), *history.epoch, b''.join(w.tobytes() for w in model.weights).hex())
"""


def test_a_training_that_is_killed_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    def run(at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", CHILD, str(tmp_path / "backup"), str(at)],
            capture_output=True,
            text=True,
            check=False,
        )

    for at in (3, 7):
        assert run(at).returncode == -signal.SIGKILL
        assert (tmp_path / "backup" / "backup.safetensors").exists()
    result = run(-1)
    assert result.returncode == 0, result.stderr
    seed, count, *rest = result.stdout.split()
    assert (count, rest[:2]) == ("2", ["7", "8"])
    assert not (tmp_path / "backup").exists()
    x = np.random.default_rng(0).standard_normal((200, 4))
    stack = [Input((4,)), Dense(8, "tanh"), BatchNormalization(), Dropout(0.2), Dense(1, "sigmoid")]
    twin = Sequential(stack, seed=int(seed))
    twin.compile(optimizers.Adam(0.01, use_ema=True), "binary_crossentropy")
    twin.fit(x, (x[:, :1] > 0).astype(float), epochs=9, verbose=0)
    assert b"".join(w.tobytes() for w in twin.weights).hex() == rest[-1]


CHILD_OF_BATCHES = (
    CHILD.replace(
        """def kill(epoch, logs):
    if epoch == int(sys.argv[2]):""",
        """def kill(batch, logs):
    if model.optimizer.iterations == int(sys.argv[2]):""",
    )
    .replace("on_epoch_begin=kill", "on_train_batch_begin=kill")
    .replace("sys.argv[1])", "sys.argv[1], save_freq=3)")
)


class Interrupts(Callback):
    """Raises before a step, counted from the first of the training."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.model.optimizer.steps == self.step:
            raise InterruptedError


class SeesBatches(Callback):
    """Writes down the steps of each epoch."""

    def __init__(self, seen: list[int]) -> None:
        super().__init__()
        self.seen = seen

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.seen.append(batch)


def spread(y_true: Any, y_pred: Any) -> Any:
    return abs(y_pred - y_true)


def elaborate() -> Sequential:
    stack = [Dense(8, "tanh"), BatchNormalization(), Dropout(0.3), Dense(1, "sigmoid")]
    model = Sequential([Input((4,)), *stack], seed=3)
    optimizer = optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=5, gradient_accumulation_steps=2)
    found = ["accuracy", "auc", "r2_score", spread, metrics.Precision(thresholds=[0.3, 0.6], name="precision")]
    model.compile(optimizer, "binary_crossentropy", metrics=found, weighted_metrics=["mae"])
    return model


def mapped(folder: Path) -> np.ndarray:
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


def pairs(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for i in range(count):
        yield X[i % 50 : i % 50 + 10], Y[i % 50 : i % 50 + 10]


# What is trained on, and how, in 4 epochs; steps are of 8 samples.
SOURCES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "arrays": lambda folder: {"x": X, "y": Y, "validation_data": (X[:20], Y[:20])},
    "split": lambda folder: {"x": X, "y": Y, "validation_split": 0.1, "class_weight": {0: 1, 1: 2}},
    "in order": lambda folder: {"x": X, "y": Y, "shuffle": False, "sample_weight": np.linspace(0, 1, 60)},
    "mapped": lambda folder: {"x": mapped(folder), "y": Y},
    "some steps": lambda folder: {"x": X, "y": Y, "steps_per_epoch": 7},
    "batches": lambda folder: {"x": [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 60, 8)]},
    "generator": lambda folder: {"x": pairs(40), "steps_per_epoch": 8},
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("save_freq", [3, 8])
def test_a_training_goes_on_in_the_middle_of_an_epoch(source: str, save_freq: int, tmp_path: Path) -> None:
    def fit(*others: Callback) -> Sequential:
        model = elaborate()
        backup = BackupAndRestore(tmp_path / "backup", save_freq=save_freq)
        model.fit(**SOURCES[source](tmp_path), batch_size=8, epochs=4, verbose=0, callbacks=[*others, backup])
        return model

    done, stops = 0, (5, 14, 16, 23, 25)
    for stop in stops:
        with pytest.raises(InterruptedError):
            fit(Interrupts(stop))
        done += (stop - done) // save_freq * save_freq
    seen: list[int] = []
    model, twin = fit(SeesBatches(seen)), elaborate()
    assert model.history is not None
    history, steps = model.history, {"split": 7, "some steps": 7}.get(source, 8)
    assert [step % steps for step in range(done, 4 * steps)] == seen
    each = SeesBatches([])  # the logs of single steps add up alike
    whole = twin.fit(**SOURCES[source](tmp_path), batch_size=8, epochs=4, verbose=0, callbacks=each)
    assert same(model, twin)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(model.weights, twin.weights, strict=True))
    assert model.epochs_trained == 4
    assert history.epoch == whole.epoch[-len(history.epoch) :]
    for name, values in history.history.items():
        np.testing.assert_array_equal(values, whole.history[name][-len(values) :])
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("layout", ["steps in parts", "an order that is not kept"])
def test_a_training_of_long_steps_or_epochs_goes_on(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = layout == "an order that is not kept"
    samples, batch = (2**20 + 3000, 300_000) if long else (3001, 1200)
    x = np.random.default_rng(0).standard_normal((samples, 2), np.float32)
    y = (x[:, 0] > 0.3).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    file = x if long else np.load(tmp_path / "x.npy", mmap_mode="r")

    def fit(data: np.ndarray, *used: Callback) -> Sequential:
        model = Sequential([Input((2,)), Dense(4 if long else 60, "tanh"), Dropout(0.2), Dense(1, "sigmoid")], seed=3)
        optimizer = optimizers.Adam(0.01, gradient_accumulation_steps=2)
        model.compile(optimizer, "binary_crossentropy", metrics=["accuracy", "auc"])
        model.fit(data, y, batch, epochs=3, verbose=0, callbacks=[*used, TerminateOnNaN()])
        return model

    twin = fit(x)
    monkeypatch.setattr(feeds, "_PIECE_BYTES", 8 * 2 * 100)
    assert long or twin._engine.chunk < batch
    for stop in (3, 6):
        with pytest.raises(InterruptedError):
            fit(file, Interrupts(stop), BackupAndRestore(tmp_path / "backup", save_freq=2))
    model = fit(file, BackupAndRestore(tmp_path / "backup", save_freq=2))
    assert same(model, twin)
    assert model.history is not None
    assert twin.history is not None
    assert model.history.epoch == [1, 2]
    for name, values in model.history.history.items():
        np.testing.assert_allclose(values, twin.history.history[name][1:], rtol=1e-12)


def test_a_training_that_is_killed_in_an_epoch_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    def run(at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", CHILD_OF_BATCHES, str(tmp_path / "backup"), str(at)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for at in (10, 40):
        assert run(at).returncode == -signal.SIGKILL
        assert (tmp_path / "backup" / "backup.safetensors").exists()
    result = run(-1)
    assert result.returncode == 0, result.stderr
    seed, count, *rest = result.stdout.split()
    assert (count, rest[:2]) == ("4", ["5", "6"])  # of 7 steps each
    x = np.random.default_rng(0).standard_normal((200, 4))
    stack = [Input((4,)), Dense(8, "tanh"), BatchNormalization(), Dropout(0.2), Dense(1, "sigmoid")]
    twin = Sequential(stack, seed=int(seed))
    twin.compile(optimizers.Adam(0.01, use_ema=True), "binary_crossentropy")
    twin.fit(x, (x[:, :1] > 0).astype(float), epochs=9, verbose=0)
    assert b"".join(w.tobytes() for w in twin.weights).hex() == rest[-1]


def test_a_rate_that_was_set_for_an_epoch_is_not_set_twice(tmp_path: Path) -> None:
    def halves() -> LearningRateScheduler:
        return LearningRateScheduler(lambda epoch, rate: rate / 2)

    models = [make(optimizer=optimizers.SGD(1.0)) for _ in range(3)]
    backup, stops = BackupAndRestore(tmp_path, save_freq=1), Interrupts(11)
    with pytest.raises(InterruptedError):
        models[0].fit(X, Y, 10, epochs=3, verbose=0, callbacks=[halves(), backup, stops])
    models[1].fit(X, Y, 10, epochs=3, verbose=0, callbacks=[halves(), backup])
    models[2].fit(X, Y, 10, epochs=3, verbose=0, callbacks=halves())
    assert same(models[1], models[2])
    assert float(models[1].optimizer.learning_rate) == 0.125  # type: ignore[union-attr]


def test_a_schedule_goes_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    models = [make(optimizer=optimizers.SGD(optimizers.schedules.ExponentialDecay(0.5, 3, 0.9))) for _ in range(3)]
    backup = BackupAndRestore(tmp_path, save_freq=1)
    with pytest.raises(InterruptedError):
        models[0].fit(X, Y, 10, epochs=2, verbose=0, callbacks=[backup, Interrupts(9)])
    models[1].fit(X, Y, 10, epochs=2, verbose=0, callbacks=backup)
    models[2].fit(X, Y, 10, epochs=2, verbose=0)
    assert same(models[1], models[2])


def interrupted(backup: BackupAndRestore, at: int) -> None:
    with pytest.raises(InterruptedError):
        make().fit(X, Y, 10, epochs=3, verbose=0, callbacks=[backup, Interrupts(at)])


def test_of_two_backups_the_one_before_is_taken_where_the_last_is_damaged(tmp_path: Path) -> None:
    twin = make()
    twin.fit(X, Y, 10, epochs=3, verbose=0)
    for harm in ("bytes", "end", "gone"):
        backup = BackupAndRestore(tmp_path / harm, save_freq=2, double_checkpoint=True)
        interrupted(backup, 10)
        last = Path(backup.path)
        data = last.read_bytes()
        if harm == "gone":  # killed between the two renamings
            last.unlink()
        else:
            last.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if harm == "bytes" else data[:-9])
        model = make()
        with (
            pytest.warns(UserWarning, match="damaged.*goes on from the backup before")
            if harm != "gone"
            else nullcontext()
        ):
            history = model.fit(X, Y, 10, epochs=3, verbose=0, callbacks=[backup, SeesBatches(seen := [])])
        assert seen[:2] == [2, 3]  # of the second epoch: the 8th step
        assert history.epoch == [1, 2]
        assert same(model, twin)
        assert not (tmp_path / harm).exists()
    backup = BackupAndRestore(tmp_path / "alone", save_freq=2)
    interrupted(backup, 10)
    Path(backup.path).write_bytes(b"no")
    assert not os.path.exists(backup.previous_path)
    with pytest.raises(ValueError, match="damaged"):
        make().fit(X, Y, 10, verbose=0, callbacks=backup)


def test_a_backup_in_an_epoch_of_other_metrics_or_data_is_refused(tmp_path: Path) -> None:
    backup = BackupAndRestore(tmp_path, save_freq=1)
    interrupted(backup, 5)
    for kinds in (["accuracy", "auc"], [], ["auc"]):
        other = make(metrics=kinds)
        before = other.get_state()
        with pytest.raises(ValueError, match="is no backup of this model: the state"):
            other.fit(X, Y, 10, verbose=0, callbacks=backup)
        after = other.get_state()
        assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    with pytest.raises(ValueError, match="the state is of 5 steps of an epoch, which has 2 now"):
        make().fit(X, Y, 30, verbose=0, callbacks=backup)


@pytest.mark.parametrize(
    ("save_freq", "error"), [(0, ValueError), (False, TypeError), ("batch", TypeError), (1.5, TypeError)]
)
@pytest.mark.parametrize("kind", [BackupAndRestore, ModelCheckpoint])
def test_save_freq_is_epoch_or_a_number_of_batches(kind: Any, save_freq: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"save_freq is {save_freq!r}, expected"):
        kind("a", save_freq=save_freq)


def test_a_model_knows_within_an_epoch_what_it_has_done() -> None:
    states: list[Any] = []

    class Keeps(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            states.append(self.model.get_state())

    model = make()
    model.fit(X, Y, 10, verbose=0, shuffle=False, callbacks=Keeps())
    assert [int(state["step"]) for state in states] == [1, 2, 3, 4, 5, 6]
    assert "step" not in model.get_state()
    stopped = make()
    with pytest.raises(InterruptedError):
        stopped.fit(X, Y, 10, verbose=0, callbacks=Interrupts(3))
    assert "step" not in stopped.get_state()
    again, twin = make(), make()
    again.set_state(states[2])
    history = again.fit(X, Y, 10, verbose=0, shuffle=False)
    assert same(again, model)
    assert model.history is not None
    assert history.history == model.history.history
    assert again.fit(X, Y, 10, verbose=0).params["steps"] == 6
    twin.set_state(states[2])
    twin.set_state(model.get_state())
    twin.fit(X, Y, 10, verbose=0)
    assert same(again, twin)


def test_a_backup_of_another_model_is_refused(tmp_path: Path) -> None:
    def stop(epoch: int, logs: Any) -> None:
        raise InterruptedError

    backup = BackupAndRestore(tmp_path)
    with pytest.raises(InterruptedError):
        make().fit(X, Y, epochs=3, verbose=0, callbacks=[backup, LambdaCallback(on_epoch_end=stop)])
    other = Sequential([Input((4,)), Dense(1)])
    other.compile("adam", "mse")
    before = other.parameters.tobytes()
    with pytest.raises(ValueError, match=r"backup\.safetensors' is no backup of this model: weights has 4 arrays, exp"):
        other.fit(X, Y, verbose=0, callbacks=backup)
    assert other.parameters.tobytes() == before
    (tmp_path / "backup.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"backup\.safetensors"):
        make().fit(X, Y, verbose=0, callbacks=backup)


def test_a_backup_may_be_kept(tmp_path: Path) -> None:
    model, twin = make(), make()
    keeps = BackupAndRestore(tmp_path, delete_checkpoint=False)
    model.fit(X, Y, epochs=3, verbose=0, callbacks=keeps)
    assert keeps.path == str(tmp_path / "backup.safetensors")
    again = make()
    assert again.fit(X, Y, epochs=5, verbose=0, callbacks=keeps).epoch == [3, 4]
    twin.fit(X, Y, epochs=5, verbose=0)
    assert same(again, twin)


def test_csv_logger(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    model = make(metrics=["accuracy", metrics.Recall(thresholds=[0.2, 0.8], name="recall")])
    history = model.fit(X, Y, epochs=3, verbose=0, validation_split=0.2, validation_freq=2, callbacks=CSVLogger(path))
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,accuracy,loss,recall,val_accuracy,val_loss,val_recall"
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2"]
    assert float(lines[2].split(",")[1]) == history.history["accuracy"][1]
    assert lines[1].endswith("NA,NA,NA")
    assert '"[' in lines[1]
    make().fit(X, Y, epochs=4, initial_epoch=3, verbose=0, callbacks=CSVLogger(path, append=True))
    assert path.read_text().splitlines()[4].startswith("3,")
    make().fit(X, Y, verbose=0, callbacks=CSVLogger(path, separator=";"))
    assert path.read_text().splitlines()[0] == "epoch;accuracy;loss;val_accuracy;val_loss"


def events(folder: Path) -> dict[str, list[Any]]:
    """The scalars of TensorBoard's files, by tag, the images' sizes, and the histograms' tags."""
    from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]

    found: dict[str, list[Any]] = {}
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:  # length, checksum, event, checksum
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            for value in event.summary.value:
                size_of_image = value.image.height, value.image.width
                told = size_of_image if value.HasField("image") else value.simple_value
                found.setdefault(value.tag, []).append((event.step, told))
            data = data[16 + size :]
    return found


def test_tensorboard(tmp_path: Path) -> None:
    model = make()
    board = TensorBoard(tmp_path, histogram_freq=2, update_freq=2)
    history = model.fit(X, Y, 20, epochs=3, verbose=0, validation_split=1 / 3, callbacks=board)
    train, validation = events(tmp_path / "train"), events(tmp_path / "validation")
    evaluations = {"evaluation_loss_vs_iterations", "evaluation_accuracy_vs_iterations"}
    assert set(validation) == {"epoch_loss", "epoch_accuracy"} | evaluations
    assert [step for step, _ in validation["evaluation_loss_vs_iterations"]] == [2, 4, 6]
    assert [v for _, v in validation["evaluation_loss_vs_iterations"]] == [v for _, v in validation["epoch_loss"]]
    assert {"epoch_loss", "epoch_accuracy", "epoch_learning_rate", "batch_loss", "batch_accuracy"} <= set(train)
    assert [value for _, value in train["epoch_loss"]] == pytest.approx(history.history["loss"], rel=1e-6)
    assert [value for _, value in validation["epoch_loss"]] == pytest.approx(history.history["val_loss"], rel=1e-6)
    assert [step for step, _ in train["batch_loss"]] == [2, 4, 6]
    assert [step for step, _ in train["dense/kernel/histogram"]] == [0, 2]
    assert not any("image" in tag or "per_second" in tag for tag in train)


def test_tensorboard_s_options(tmp_path: Path) -> None:
    model = Sequential([Input((4,)), Dense(3, "tanh"), Dense(1, "sigmoid")], seed=4)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    options: dict[str, Any] = {"histogram_freq": 1, "write_images": True, "write_steps_per_second": True}
    model.fit(X, Y, 20, epochs=2, verbose=0, callbacks=TensorBoard(tmp_path, **options, update_freq="batch"))
    train = events(tmp_path / "train")
    sizes = {"dense/kernel": (3, 4), "dense/bias": (1, 3), "dense_1/kernel": (1, 3), "dense_1/bias": (1, 1)}
    for name, size in sizes.items():  # never taller than wide
        assert train[f"{name}/image"] == [(0, size), (1, size)]
    assert [step for step, _ in train["batch_loss"]] == [1, 2, 3, 4, 5, 6]
    for name, count in (("batch_steps_per_second", 6), ("epoch_steps_per_second", 2)):
        assert len(train[name]) == count
        assert all(value > 0 for _, value in train[name])
    model.evaluate(X, Y, callbacks=TensorBoard(tmp_path / "evaluated"))
    assert set(events(tmp_path / "evaluated" / "validation")) == {
        "evaluation_loss_vs_iterations",
        "evaluation_accuracy_vs_iterations",
    }
    for name in ("profile_batch", "embeddings_freq"):
        with pytest.raises(ValueError, match=f"{name} is 2, expected one of 0"):
            TensorBoard(**{name: 2})
    quick = TensorBoard(tmp_path, write_graph=True)
    assert not callbacks.CallbackList(quick).wants_train_batches


def test_tensorboard_without_tensorboardx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match='pip install "fastnn\\[tensorboard\\]"'):
        make().fit(X, Y, verbose=0, callbacks=TensorBoard(tmp_path))


# ---- hooks -----------------------------------------------------------------------------------------------------------


class Everything(Callback):
    """Writes down every hook; each is made here, so that all are overridden."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []


def _writes(hook: str) -> Any:
    def write(self: Any, *arguments: Any) -> None:
        self.calls.append((hook, *(a for a in arguments if isinstance(a, int))))

    return write


for _hook in [name for name in vars(Callback) if name.startswith("on_") and name not in ("on_progress",)]:
    setattr(Everything, _hook, _writes(_hook))


def test_every_hook_is_called_in_keras_s_order() -> None:
    everything = Everything()
    model = make()
    model.fit(X, Y, 30, epochs=1, verbose=0, validation_data=(X, Y), validation_batch_size=40, callbacks=everything)
    batches = [(f"on_train_batch_{end}", batch) for batch in (0, 1) for end in ("begin", "end")]
    tests = [(f"on_test_batch_{end}", batch) for batch in (0, 1) for end in ("begin", "end")]
    assert everything.calls == [
        ("on_train_begin",), ("on_epoch_begin", 0), *batches,
        ("on_test_begin",), *tests, ("on_test_end",), ("on_epoch_end", 0), ("on_train_end",),
    ]  # fmt: skip
    everything.calls.clear()
    model.evaluate(X, Y, 40, callbacks=everything)
    assert everything.calls == [("on_test_begin",), *tests, ("on_test_end",)]
    everything.calls.clear()
    predicted = model.predict(X, 40, callbacks=everything)
    assert everything.calls == [
        ("on_predict_begin",),
        *[(f"on_predict_batch_{end}", batch) for batch in (0, 1) for end in ("begin", "end")],
        ("on_predict_end",),
    ]
    np.testing.assert_array_equal(predicted, model.predict(X))


def test_the_hooks_of_old() -> None:
    seen: list[Any] = []

    class Old(Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append((batch, set(logs)))

    make().fit(X, Y, 30, verbose=0, callbacks=Old())
    assert seen == [(0, {"loss", "accuracy"}), (1, {"loss", "accuracy"})]


def test_training_may_stop_after_a_step() -> None:
    class Stops(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    model, twin = make(), make()
    history = model.fit(X, Y, 20, epochs=3, verbose=0, shuffle=False, callbacks=Stops())
    assert history.epoch == [0]
    twin.fit(X[:40], Y[:40], 20, verbose=0, shuffle=False)
    assert same(model, twin)


def test_what_is_to_stop_before_it_begins_has_one_batch() -> None:
    model, twin = make(), make()

    def stop(logs: Any) -> None:
        model.stop_evaluating = model.stop_predicting = True

    stops = LambdaCallback(on_test_begin=stop, on_predict_begin=stop)
    assert model.evaluate(X, Y, 20, callbacks=stops) == twin.evaluate(X[:20], Y[:20])
    assert model.predict(X, 20, callbacks=stops).tobytes() == twin.predict(X[:20]).tobytes()
    assert model.predict(X, callbacks=stops).tobytes() == twin.predict(X[:32]).tobytes()
    assert model.evaluate(X, Y) == twin.evaluate(X, Y)
    assert len(model.predict(X, 20)) == 60


def test_functions_may_be_given_in_order() -> None:
    calls: list[Any] = []
    names = ("epoch_begin", "epoch_end", "train_begin", "train_end", "train_batch_begin", "train_batch_end")
    functions = [lambda *arguments, name=name: calls.append((name, *arguments[:-1])) for name in names]
    make().fit(X, Y, 60, verbose=0, callbacks=LambdaCallback(*functions))
    expected = [("train_begin",), ("epoch_begin", 0), ("train_batch_begin", 0), ("train_batch_end", 0)]
    assert calls == [*expected, ("epoch_end", 0), ("train_end",)]


def test_the_model_keeps_the_history() -> None:
    own, model = callbacks.History(), make()
    assert model.fit(X, Y, verbose=0, callbacks=[own]) is own
    assert (own.epoch, len(own.history["loss"])) == ([0], 1)
    model = make()
    assert model.history is None
    assert model.fit(X, Y, verbose=0) is model.history


def test_threads_do_not_change_what_metrics_and_pieces_say() -> None:
    found = []
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        model = Sequential([Input((4,)), Dense(64, "tanh"), Dense(1, "sigmoid")], seed=4)
        model.compile("adam", "binary_crossentropy", metrics=["auc", "accuracy"], weighted_metrics=["recall"])
        history = model.fit(X, Y, 16, epochs=2, verbose=0, validation_split=0.2, sample_weight=np.linspace(0, 1, 60))
        found.append((model.parameters.tobytes(), history.history))
    assert found[0] == found[1]
