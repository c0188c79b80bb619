"""Callbacks without a model: the hooks are called as `fit` calls them, and a fake clock passes the time."""

from __future__ import annotations

import inspect
import io
import os
import pty
import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any, TextIO

import pytest

from fastnn import Sequential
from fastnn.callbacks import Callback, CallbackList, History, ProgressBar, progress
from fastnn.layers import Dense, Input

LOGS = {"loss": 0.25, "accuracy": 0.5, "val_loss": 0.75, "val_accuracy": 0.125}


class Clock:
    """Stands in for the time module; it moves only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    monotonic = time


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def no_tqdm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def run(
    *members: Callback,
    clock: Clock,
    epochs: int,
    seconds: float,
    progress: Sequence[int] = (),
    steps: int | None = 40,
    interrupted: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Call the hooks as `fit` does, through epochs that take `seconds` and report `progress`."""
    if stream is not None:
        # Here and not in a fixture: pytest's own capture replaces standard output between setup and call.
        with redirect_stdout(stream):
            run(*members, clock=clock, epochs=epochs, seconds=seconds, progress=progress, steps=steps,
                interrupted=interrupted)  # fmt: skip
        return
    group = CallbackList(list(members))
    group.set_params({"epochs": epochs, "steps": steps, "samples": 1280, "verbose": 1})
    group.set_model(SimpleNamespace())
    group.on_train_begin()
    for epoch in range(epochs):
        group.on_epoch_begin(epoch)
        for step in progress:
            clock.now += seconds / len(progress)
            group.on_progress(step)
        if interrupted and epoch == epochs - 1:
            break
        if not progress:
            clock.now += seconds
        group.on_epoch_end(epoch, {name: value / (epoch + 1) for name, value in LOGS.items()})
    group.on_train_end(LOGS)


class Recorder(Callback):
    def __init__(self, name: str = "", calls: list[Any] | None = None) -> None:
        super().__init__()
        self.name = name
        self.calls = [] if calls is None else calls

    def on_train_begin(self, logs: Any = None) -> None:
        self.calls.append((self.name, "train_begin"))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.calls.append((self.name, "epoch_begin", epoch))

    def on_progress(self, step: int) -> None:
        self.calls.append((self.name, "progress", step))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls.append((self.name, "epoch_end", epoch, logs["loss"]))

    def on_train_end(self, logs: Any = None) -> None:
        self.calls.append((self.name, "train_end"))


# CallbackList


def test_hooks_reach_every_callback_in_order(clock: Clock) -> None:
    calls: list[Any] = []
    first, second = Recorder("first", calls), Recorder("second", calls)
    run(first, second, clock=clock, epochs=1, seconds=1.0, progress=[7])
    assert calls == [
        ("first", "train_begin"), ("second", "train_begin"),
        ("first", "epoch_begin", 0), ("second", "epoch_begin", 0),
        ("first", "progress", 7), ("second", "progress", 7),
        ("first", "epoch_end", 0, 0.25), ("second", "epoch_end", 0, 0.25),
        ("first", "train_end"), ("second", "train_end"),
    ]  # fmt: skip
    assert first.model is second.model is not None
    assert first.params == {"epochs": 1, "steps": 40, "samples": 1280, "verbose": 1}


def test_one_callback_needs_no_list() -> None:
    callback = Callback()
    assert CallbackList(callback).callbacks == [callback]
    assert CallbackList().callbacks == []


def test_a_list_for_a_loop_of_ones_own() -> None:
    recorder, model = Recorder(), SimpleNamespace()
    group = CallbackList([recorder], add_history=True, add_progbar=True, model=model, epochs=2, steps=3, verbose=0)
    assert [type(callback) for callback in group.callbacks] == [Recorder, ProgressBar, History]
    assert recorder.model is group.model is model
    assert recorder.params == {"epochs": 2, "steps": 3, "verbose": 0}
    assert group.find(History) is group.callbacks[2]
    again = CallbackList(group, add_history=True, add_progbar=True)
    assert again.callbacks == group.callbacks


def test_hooks_are_given_one_dict_of_logs() -> None:
    class Adds(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["more"] = epoch

    history = History()
    group = CallbackList([Adds(), history])
    for hook in [name for name in vars(Callback) if name.startswith("on_") and name != "on_progress"]:
        seen: list[Any] = []
        setattr(group.callbacks[0], hook, lambda *arguments, seen=seen: seen.append(arguments))
        index = () if len(inspect.signature(getattr(Callback, hook)).parameters) == 2 else (3,)
        getattr(group, hook)(*index)
        assert seen == [(*index, {})]
    del group.callbacks[0].on_epoch_end
    history.on_train_begin()
    group.on_epoch_end(4, {"loss": 1.0})
    assert history.history == {"loss": [1.0], "more": [4]}


def test_a_terminal_that_does_not_know_its_size_shows_the_bar(clock: Clock) -> None:
    ours, theirs = pty.openpty()
    assert tuple(os.get_terminal_size(theirs)) == (0, 0)
    with open(theirs, "w", encoding="utf-8") as stream:
        run(ProgressBar("auto"), clock=clock, epochs=1, seconds=2.0, progress=[10, 30], stream=stream)
        stream.flush()
        shown = os.read(ours, 10000).decode()
    os.close(ours)
    assert re.search(r"Epoch 1/1: +25%.* 10/40.*\r.*30/40.*40/40.*loss: 0\.2500 - accuracy: 0\.5000", shown)


def test_a_progress_bar_that_is_given_is_the_only_one(capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([Input((2,)), Dense(1)])
    model.compile(loss="mse")
    model.fit([[1.0, 2.0]], [[1.0]], epochs=2, verbose=1, callbacks=ProgressBar(2))
    assert [line[:9] for line in capsys.readouterr().out.splitlines()] == ["Epoch 1/2", "Epoch 2/2"]


def test_train_end_reaches_the_callbacks_after_one_that_raises() -> None:
    class Failing(Callback):
        def on_train_end(self, logs: Any = None) -> None:
            raise RuntimeError("disk full")

    recorder = Recorder()
    with pytest.raises(RuntimeError, match="disk full"):
        CallbackList([Failing(), recorder]).on_train_end()
    assert recorder.calls == [("", "train_end")]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "callbacks must be a Callback or a list of them, got int"),
        (["history"], "callbacks must hold fastnn.callbacks.Callback objects, got 'history'"),
        ([History], "pass an instance, not the class"),
    ],
)
def test_what_is_no_callback_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        CallbackList(wrong)


# History


def test_history_keeps_every_epoch(clock: Clock) -> None:
    history = History()
    run(history, clock=clock, epochs=2, seconds=1.0)
    assert history.epoch == [0, 1]
    assert history.history == {name: [value, value / 2] for name, value in LOGS.items()}
    assert history.params["samples"] == 1280


def test_history_starts_anew_with_each_training(clock: Clock) -> None:
    history = History()
    run(history, clock=clock, epochs=2, seconds=1.0)
    run(history, clock=clock, epochs=1, seconds=1.0)
    assert history.epoch == [0]
    assert history.history["loss"] == [0.25]


@pytest.fixture
def validated_every_other_epoch() -> History:
    history = History()
    for epoch in range(5, 9):
        history.on_epoch_end(epoch, {"loss": 1.0 / epoch, "mae": 2.0} | ({"val_loss": 0.5} if epoch % 2 else {}))
    return history


def test_plot_draws_losses_and_metrics_apart(validated_every_other_epoch: History) -> None:
    losses, metrics = validated_every_other_epoch.plot().axes
    assert [line.get_label() for line in losses.lines] == ["loss", "val_loss"]
    assert losses.lines[0].get_xydata().tolist() == [[epoch + 1, 1.0 / epoch] for epoch in range(5, 9)]
    assert losses.lines[1].get_xydata().tolist() == [[6, 0.5], [8, 0.5]]
    assert [line.get_label() for line in metrics.lines] == ["mae"]
    assert (losses.get_xlabel(), losses.get_ylabel()) == ("epoch", "loss")
    assert (metrics.get_xlabel(), metrics.get_ylabel()) == ("epoch", "mae")
    assert [text.get_text() for text in losses.get_legend().get_texts()] == ["loss", "val_loss"]


def test_plot_of_losses_alone_has_one_axis() -> None:
    history = History()
    history.on_epoch_end(0, {"loss": 1.0})
    (axes,) = history.plot().axes
    assert axes.lines[0].get_marker() == "o", "a single value shows only with a marker"


def test_plot_saves_and_leaves_pyplot_alone(tmp_path: Any, validated_every_other_epoch: History) -> None:
    path = tmp_path / "curve.png"
    loaded = "matplotlib.pyplot" in sys.modules
    validated_every_other_epoch.plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_plot_without_matplotlib_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, validated_every_other_epoch: History
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=re.escape('pip install "fastnn[plot]"')):
        validated_every_other_epoch.plot()


def test_drawing_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no finished epoch"):
        History().plot()
    with pytest.raises(ValueError, match="no finished epoch"):
        History().text_plot()


def test_text_plot() -> None:
    history = History()
    for epoch, (loss, val_loss) in enumerate([(4.0, 4.0), (3.0, 2.0), (2.0, float("nan")), (1.0, 4.0)]):
        history.on_epoch_end(epoch, {"loss": loss, "val_loss": val_loss, "accuracy": 0.5})
    assert history.text_plot(width=25, height=6).splitlines() == [
        "            * loss   o val_loss",
        "         4 |***       ooo",
        "           |  o*** ooo",
        "           |   ooo*****",
        "         1 |           **",
        "           +-------------",
        "     epoch  1           4",
        "",
        "            * accuracy",
        "           |",
        "           |",
        "           |",
        "       0.5 |*************",
        "           +-------------",
        "     epoch  1           4",
    ]


def test_text_plot_of_one_epoch() -> None:
    history = History()
    history.on_epoch_end(0, {"loss": 2.0})
    assert history.text_plot(width=24, height=4).splitlines()[1:] == [
        "           |",
        "         2 |*",
        "           +------------",
        "     epoch  1",
    ]


def test_text_plot_keeps_to_the_epochs_of_each_curve(validated_every_other_epoch: History) -> None:
    rows = validated_every_other_epoch.text_plot().splitlines()[1:11]
    columns = [row.index("o", 12) for row in rows if "o" in row[12:]]
    # Validated from epoch 6 to 8 of 6 to 9: two thirds of the 60 columns.
    assert min(columns) == 12
    assert max(row.rfind("o") for row in rows) == 12 + 39


def test_text_plot_of_nothing_finite() -> None:
    history = History()
    history.on_epoch_end(0, {"loss": float("nan")})
    assert "*" not in history.text_plot().split("\n", 1)[1]


@pytest.mark.parametrize(("width", "height"), [(23, 12), (72, 3)])
def test_text_plot_too_small(width: int, height: int, validated_every_other_epoch: History) -> None:
    with pytest.raises(ValueError, match=f"at least 24 and 4, got {width} and {height}"):
        validated_every_other_epoch.text_plot(width, height)


# ProgressBar


@pytest.mark.parametrize("verbose", [3, -1, "on", None])
def test_unknown_verbose(verbose: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f'verbose must be "auto", 0, 1 or 2, got {verbose!r}')):
        ProgressBar(verbose)


def test_verbose_0_prints_nothing(clock: Clock, terminal: Terminal) -> None:
    run(ProgressBar(0), clock=clock, epochs=2, seconds=1.0, progress=[20, 40], stream=terminal)
    assert terminal.getvalue() == ""


def test_verbose_2_prints_a_line_for_every_epoch(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run(ProgressBar(2), clock=clock, epochs=10, seconds=0.015625, progress=[20, 40])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0] == (
        "Epoch  1/10 - 16ms - loss: 0.2500 - accuracy: 0.5000 - val_loss: 0.7500 - val_accuracy: 0.1250"
    )


def test_auto_prints_lines_where_there_is_no_terminal(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run(ProgressBar(), clock=clock, epochs=2, seconds=1.0)
    assert [line[:18] for line in capsys.readouterr().out.splitlines()] == [
        "Epoch 1/2 - 1.0s -",
        "Epoch 2/2 - 1.0s -",
    ]


@pytest.mark.parametrize("tty", [True, False])
def test_auto_holds_back_the_lines_of_short_epochs(tty: bool, clock: Clock, no_tqdm: None) -> None:
    stream = Terminal() if tty else io.StringIO()
    run(ProgressBar(), clock=clock, epochs=1001, seconds=2**-10, stream=stream)  # one second in all
    epochs = [int(number) for number in re.findall(r"Epoch +(\d+)/1001.*\n", stream.getvalue())]
    assert epochs[0] == 1
    assert epochs[-1] == 1001
    assert 9 <= len(epochs) <= 12


def test_auto_writes_the_last_line_of_an_interrupted_run(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    run(ProgressBar(), clock=clock, epochs=5, seconds=0.01, interrupted=True)
    assert re.findall(r"Epoch (\d)", capsys.readouterr().out) == ["1", "4"]


def test_bar_without_tqdm(clock: Clock, no_tqdm: None, terminal: Terminal) -> None:
    run(ProgressBar(), clock=clock, epochs=2, seconds=1.0, progress=[10, 20], stream=terminal)
    assert terminal.getvalue().split("\n") == [
        (
            "\rEpoch 1/2: [=====               ] 10/40 - 500ms"
            "\rEpoch 1/2: [==========          ] 20/40 - 1.0s "
            "\rEpoch 1/2: [====================] 40/40 - 1.0s"
            " - loss: 0.2500 - accuracy: 0.5000 - val_loss: 0.7500 - val_accuracy: 0.1250"
        ),
        (
            "\rEpoch 2/2: [=====               ] 10/40 - 500ms"
            "\rEpoch 2/2: [==========          ] 20/40 - 1.0s "
            "\rEpoch 2/2: [====================] 40/40 - 1.0s"
            " - loss: 0.1250 - accuracy: 0.2500 - val_loss: 0.3750 - val_accuracy: 0.0625"
        ),
        "",
    ]


def test_moving_bar_fits_the_terminal(
    clock: Clock, no_tqdm: None, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    run(ProgressBar(), clock=clock, epochs=1, seconds=1.0, progress=[10, 20], stream=terminal)
    *moving, finished = terminal.getvalue().rstrip("\n").split("\r")[1:]
    assert [len(line) for line in moving] == [29, 29]
    assert finished.endswith("val_accuracy: 0.1250")


def test_bar_of_an_unknown_number_of_steps(clock: Clock, no_tqdm: None, terminal: Terminal) -> None:
    run(ProgressBar(), clock=clock, epochs=1, seconds=1.0, progress=[10, 20], steps=None, stream=terminal)
    assert "\rEpoch 1/1: 20 steps - 1.0s - loss: 0.2500" in terminal.getvalue()


def test_interrupt_leaves_the_cursor_on_a_new_line(clock: Clock, no_tqdm: None, terminal: Terminal) -> None:
    run(ProgressBar(), clock=clock, epochs=2, seconds=1.0, progress=[10, 20], interrupted=True, stream=terminal)
    assert terminal.getvalue().endswith("\rEpoch 2/2: [==========          ] 20/40 - 1.0s\n")


def test_bar_is_tqdms_where_it_is_installed(clock: Clock, terminal: Terminal) -> None:
    run(ProgressBar(), clock=clock, epochs=2, seconds=1.0, progress=[10, 20], stream=terminal)
    *lines, rest = terminal.getvalue().split("\n")
    assert rest == ""
    assert len(lines) == 2
    for line, loss in zip(lines, ("0.2500", "0.1250"), strict=True):
        *_, before, last = line.split("\r")
        assert "| 20/40 [" in before
        assert "100%|" in last
        assert f"step/s, loss: {loss} - accuracy: " in last
        # The bar opened half a second into the epoch, which counts: 40 steps in at least 0.5 s.
        rate = re.search(r" 40/40 \[.*, +([\d.]+)step/s", last)
        assert rate is not None
        assert float(rate[1]) <= 80
        assert last.rstrip().endswith("]")


def test_training_ended_before_it_began(capsys: pytest.CaptureFixture[str]) -> None:
    # Where another callback's on_train_begin raises, fit still ends all of them.
    ProgressBar().on_train_end()
    assert capsys.readouterr().out == ""


def test_no_standard_output(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    run(ProgressBar(), clock=clock, epochs=1, seconds=1.0, progress=[10])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000"), (0.5, "0.5000"), (1e-5, "1.0000e-05"), (-2.0, "-2.0000"), (float("nan"), "nan")],
)
def test_metrics_keep_four_digits(value: float, text: str, clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar(2)
    bar.set_params({"epochs": 1, "steps": 1})
    bar.on_train_begin()
    bar.on_epoch_begin(0)
    bar.on_epoch_end(0, {"loss": value})
    assert capsys.readouterr().out == f"Epoch 1/1 - 0ms - loss: {text}\n"
