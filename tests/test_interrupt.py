"""Ctrl-C, and exceptions from callbacks: training ends after a whole step, soon, and the model is as good as before."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, callbacks, kernels, layers, optimizers

# Inputs, widths, samples, batch size, optimizer. A signal comes within an epoch of the first three (that of the first
# takes far longer than the test waits), anywhere in the Python between two epochs of the next two, and within the only
# step of an epoch of the last.
RUNS: dict[str, tuple[int, list[int], int, int, str]] = {
    "large model": (256, [1024, 1024, 10], 60_000, 64, "adam"),
    "small model": (8, [16, 3], 1_000_000, 8, "sgd"),
    "single samples": (3, [4, 2], 1_000_000, 1, "adam"),
    "short epochs": (3, [4, 2], 40, 4, "adam"),
    "one step an epoch": (3, [4, 2], 3, 3, "sgd"),
    "huge batch": (16, [128, 64, 2], 300_000, 300_000, "sgd"),
}
FOREVER = 1_000_000_000


@cache
def data(run: str) -> tuple[np.ndarray, np.ndarray]:
    n_in, widths, n, *_ = RUNS[run]
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, n_in), dtype=np.float32), rng.integers(0, widths[-1], n, dtype=np.int32)


def make(run: str) -> Sequential:
    n_in, widths, *_, optimizer = RUNS[run]
    activations = [*["relu"] * (len(widths) - 1), "softmax"]
    model = Sequential(
        [layers.Input((n_in,)), *itertools.starmap(layers.Dense, zip(widths, activations, strict=True))], seed=9
    )
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def replay(run: str, steps: int, x: np.ndarray, y: np.ndarray) -> Sequential:
    """Another model after so many steps of the same run."""
    *_, n, batch_size, _ = RUNS[run]
    epochs, rest = divmod(steps, -(-n // batch_size))
    model = make(run)
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
    if rest:
        order = kernels.core(model.dtype).draw_permutation(n, model.seed, epochs)[: rest * batch_size]
        model.fit(x[order], y[order], batch_size=batch_size, shuffle=False, verbose=0)
    return model


def same(model: Sequential, twin: Sequential) -> bool:
    assert model.optimizer is not None
    assert twin.optimizer is not None
    pairs = zip(
        [model.parameters, *model.optimizer.variables], [twin.parameters, *twin.optimizer.variables], strict=True
    )
    return model.optimizer.iterations == twin.optimizer.iterations and all(
        a.tobytes() == b.tobytes() and np.isfinite(a).all() for a, b in pairs
    )


class Ready(callbacks.Callback):
    """Tells the parent that training is well under way."""

    told = False

    def tell(self) -> None:
        if not self.told:
            self.told = True
            print("ready", flush=True)

    def on_progress(self, step: int) -> None:
        if self.model.optimizer.iterations + step:
            self.tell()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch > 20:
            self.tell()


def child(run: str, threads: int) -> None:
    """Train until interrupted, then report on what is left."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have told its children to ignore it
    fastnn.set_num_threads(threads)
    x, y = data(run)
    model, batch_size = make(run), RUNS[run][3]
    report: dict[str, Any] = {"ended": "by itself"}
    try:
        model.fit(x, y, batch_size=batch_size, epochs=FOREVER, verbose=0, callbacks=[Ready()])
    except KeyboardInterrupt:
        report["interrupted_at"] = time.monotonic()
        report["ended"] = "KeyboardInterrupt"
    assert model.optimizer is not None
    report["iterations"] = model.optimizer.iterations
    twin = replay(run, model.optimizer.iterations, x, y)
    report["as after whole steps"] = same(model, twin)
    # Both go on, with the model as with one that was never interrupted.
    for either in (model, twin):
        either.fit(x[:50], y[:50], batch_size=batch_size, shuffle=False, epochs=2, verbose=0)
    report["goes on"] = same(model, twin)
    report["predicts"] = bool(np.isfinite(model.predict(x[:50])).all())
    print(json.dumps(report), flush=True)


def interrupt(run: str, threads: int) -> dict[str, Any]:
    """Run `child`, send it SIGINT, and return its report with the seconds that the interrupt took."""
    process = subprocess.Popen(
        [sys.executable, __file__, run, str(threads)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.stderr.read() if process.stderr else ""
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    report: dict[str, Any] = json.loads(out)
    report["seconds"] = report.pop("interrupted_at") - sent
    return report


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("run", RUNS)
def test_ctrl_c_ends_fit_after_a_whole_step(run: str, threads: int, record_property: Any) -> None:
    report = interrupt(run, threads)
    record_property("seconds", report["seconds"])
    print(f"{run}, {threads} threads: ended {1000 * report['seconds']:.0f} ms after SIGINT")
    assert report["ended"] == "KeyboardInterrupt"
    assert report["iterations"] > 0
    assert report["as after whole steps"]
    assert report["goes on"]
    assert report["predicts"]
    # Not a measurement: it takes a tenth of this on an idle machine, and for ever where nobody looks for signals.
    assert report["seconds"] < 2


# ---- many interrupts, anywhere ---------------------------------------------------------------------------------------


def test_ctrl_c_between_any_two_lines_of_python() -> None:
    """Epochs of microseconds are mostly Python. A timer's signal raises in it again and again, at a random place."""

    def raise_in_fit(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    run = "one step an epoch"
    x, y = data(run)
    model = make(run)
    assert model.optimizer is not None
    rng = np.random.default_rng(4)
    before = signal.signal(signal.SIGALRM, raise_in_fit)
    times = 0
    try:
        for delay in rng.uniform(0.0005, 0.004, 300):
            try:
                signal.setitimer(signal.ITIMER_REAL, delay, 1.0)
                model.fit(x, y, batch_size=3, epochs=FOREVER, shuffle=False, verbose=0)
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
                times += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert times == 300
    twin = make(run)
    twin.fit(x, y, batch_size=3, epochs=model.optimizer.iterations, shuffle=False, verbose=0)
    assert same(model, twin)


@pytest.mark.parametrize("call", ["predict", "evaluate", "value_and_gradient", "train_on_batch"])
def test_ctrl_c_ends_other_calls(call: str) -> None:
    def raise_now(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    model = Sequential([layers.Input((16,)), layers.Dense(256, "tanh"), layers.Dense(256, "tanh"), layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.zeros((1_000_000, 16), np.float32), np.zeros((1_000_000, 1), np.float32)
    parameters = model.parameters.tobytes()
    before = signal.signal(signal.SIGALRM, raise_now)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            getattr(model, call)(*([x] if call == "predict" else [x, y]))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert model.parameters.tobytes() == parameters
    assert model.optimizer is not None
    assert model.optimizer.iterations == 0
    assert model.predict(x[:3]).shape == (3, 1)


def test_other_signals_are_handled_while_an_epoch_runs() -> None:
    handled = []
    before = signal.signal(signal.SIGALRM, lambda number, frame: handled.append(model.optimizer.iterations))
    model = make("small model")
    assert model.optimizer is not None

    class Stop(callbacks.Callback):
        def on_progress(self, step: int) -> None:
            if handled:
                raise StopIteration

    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(StopIteration):
            model.fit(*data("small model"), batch_size=8, verbose=0, callbacks=[Stop()])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert handled == [0]  # within the first epoch


# ---- exceptions from callbacks ---------------------------------------------------------------------------------------


class CallbackError(Exception):
    pass


class Raises(callbacks.Callback):
    """Raises at one of its hooks, and notes that training ended."""

    def __init__(self, hook: str, at: int = 1) -> None:
        super().__init__()
        self.hook, self.at, self.ended, self.steps = hook, at, 0, -1

    def on_train_begin(self, logs: Any = None) -> None:
        self.raise_at("on_train_begin", self.at)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.raise_at("on_epoch_begin", epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.raise_at("on_epoch_end", epoch)

    def on_progress(self, step: int) -> None:
        self.steps = step
        self.raise_at("on_progress", self.at)

    def on_train_end(self, logs: Any = None) -> None:
        self.ended += 1
        self.raise_at("on_train_end", self.at)

    def raise_at(self, hook: str, at: int) -> None:
        if (hook, at) == (self.hook, self.at):
            raise CallbackError(hook)


@pytest.mark.parametrize(
    ("hook", "epochs_done"),
    [("on_train_begin", 0), ("on_epoch_begin", 1), ("on_epoch_end", 2), ("on_train_end", 3)],
)
def test_an_exception_in_a_callback_leaves_whole_epochs(hook: str, epochs_done: int) -> None:
    run = "short epochs"
    x, y = data(run)
    model = make(run)
    other, raises = Raises("nowhere"), Raises(hook)
    with pytest.raises(CallbackError, match=hook):
        model.fit(x, y, batch_size=4, epochs=3, verbose=0, callbacks=[other, raises])
    assert (other.ended, raises.ended) == (1, 1)
    twin = replay(run, epochs_done * 10, x, y)
    assert same(model, twin)
    for either in (model, twin):
        either.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert same(model, twin)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_within_an_epoch_leaves_whole_steps(threads: int) -> None:
    fastnn.set_num_threads(threads)
    run = "small model"
    x, y = data(run)
    model, raises = make(run), Raises("on_progress")
    with pytest.raises(CallbackError, match="on_progress"):
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[raises])
    assert model.optimizer is not None
    assert raises.ended == 1
    assert 0 < model.optimizer.iterations == raises.steps < len(x) / 8
    assert same(model, replay(run, model.optimizer.iterations, x, y))


def test_progress_counts_the_steps_of_the_epoch() -> None:
    class Progress(callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            self.epoch, self.steps = -1, []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.steps.append([])

        def on_progress(self, step: int) -> None:
            self.steps[-1].append(step)

    progress = Progress()
    model = make("small model")
    model.fit(*data("small model"), batch_size=8, epochs=2, verbose=0, callbacks=progress)
    assert progress.params["steps"] == 125_000
    for steps in progress.steps:
        assert steps == sorted(set(steps))
        assert all(0 < step <= 125_000 for step in steps)
    assert any(progress.steps)


@pytest.mark.parametrize(
    "call",
    [
        lambda model, x, y: model.predict(x),
        lambda model, x, y: model.evaluate(x, y),
        lambda model, x, y: model.fit(x, y, verbose=0),
        lambda model, x, y: model.train_on_batch(x, y),
        lambda model, x, y: model.value_and_gradient(x, y),
        lambda model, x, y: model.forward(x),
        lambda model, x, y: model.compile("sgd", "mse"),
    ],
    ids=["predict", "evaluate", "fit", "train_on_batch", "value_and_gradient", "forward", "compile"],
)
def test_a_call_from_within_an_epoch_is_refused(call: Any) -> None:
    # It would take the buffers from under the training that runs.
    class CallsBack(callbacks.Callback):
        def on_progress(self, step: int) -> None:
            call(self.model, *few)

    run = "small model"
    x, y = data(run)
    few = x[:2000], y[:2000]
    model = make(run)
    loss = model.loss
    with pytest.raises(RuntimeError, match="the model is at work: on_progress may read and assign its parameters"):
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[CallsBack()])
    assert model.loss is loss
    assert model.optimizer is not None
    assert same(model, replay(run, model.optimizer.iterations, x, y))
    assert model.predict(few[0]).shape == (2000, 3)


def test_a_callback_may_read_and_assign_parameters_within_an_epoch() -> None:
    class Freezes(callbacks.Callback):
        def on_progress(self, step: int) -> None:
            seen.append(self.model.parameters.copy())
            self.model.parameters = np.zeros(self.model.count_params())
            self.model.optimizer.learning_rate = 0.0  # from the next epoch on
            raise CallbackError

    seen: list[np.ndarray] = []
    model = make("small model")
    with pytest.raises(CallbackError):
        model.fit(*data("small model"), batch_size=8, verbose=0, callbacks=[Freezes()])
    assert np.abs(seen[0]).max() > 0
    assert not model.parameters.any()


def test_a_callback_that_compiles_the_model_ends_fit() -> None:
    # Targets were checked for the old loss: labels would be read as another's targets.
    class Compiles(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.compile(optimizers.SGD(0.1), "mse")

    model = make("short epochs")
    with pytest.raises(ValueError, match=r"a callback compiled the model within fit, expected it to stay"):
        model.fit(*data("short epochs"), epochs=2, verbose=0, callbacks=[Compiles()])


if __name__ == "__main__":
    child(sys.argv[1], int(sys.argv[2]))
    os._exit(0)
