"""Callbacks: what `fit` tells the outside about a run, and when.

The hooks are Keras 3's by name and order, with one of our own, `Callback.on_progress`: training runs a whole epoch
in compiled code, and a Python call per batch would cost more than the batch.

=====================  =====================================================================
hook                   called
=====================  =====================================================================
``set_params``         once, before training, with epochs, steps, samples and verbose
``set_model``          once, before training
``on_train_begin``     once, before the first epoch
``on_epoch_begin``     before each epoch, with its index counted from 0
``on_progress``        within an epoch, about ten times a second at most, with the steps done
``on_epoch_end``       after each epoch, with its loss and metrics, those of validation included
``on_train_end``       once, always: also when training ends by an exception or Ctrl-C
=====================  =====================================================================
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Callback", "CallbackList", "History", "ProgressBar"]

# Seconds between two updates of the terminal: more often than the eye follows only slows short epochs down.
_UPDATE_INTERVAL = 0.1


class Callback:
    """Base class of callbacks: subclass it and override the hooks of interest.

    Attributes
    ----------
    model : Sequential or None
        The model in training. Setting ``model.stop_training = True`` ends training after the epoch.
    params : dict
        ``"epochs"``, ``"steps"`` per epoch (None where unknown), ``"samples"`` (None where unknown) and
        ``"verbose"``.

    Examples
    --------
    >>> from fastnn.callbacks import Callback
    >>> class StopAt(Callback):
    ...     def __init__(self, loss):
    ...         super().__init__()
    ...         self.loss = loss
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         if logs["loss"] < self.loss:
    ...             self.model.stop_training = True
    """

    def __init__(self) -> None:
        self.model: Any = None
        self.params: dict[str, Any] = {}

    def set_model(self, model: Any) -> None:
        """Receive the model, before training."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Receive the parameters of the run, before training."""
        self.params = dict(params)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Act before the first epoch."""

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Act after the last epoch, however training ended; `logs` are the last finished epoch's."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Act before epoch `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Act after epoch `epoch`; `logs` maps ``"loss"``, the metrics and their ``"val_"`` twins to floats."""

    def on_progress(self, step: int) -> None:
        """Act within an epoch, of which `step` steps are done; about ten times a second at most.

        The model's parameters may be read and assigned here; the model cannot be called, it is at work.
        """


class CallbackList(Callback):
    """Several callbacks called as one, in order.

    Parameters
    ----------
    callbacks : Callback or iterable of Callback, optional

    Raises
    ------
    TypeError
        Where something in it is not a Callback.
    """

    def __init__(self, callbacks: Callback | Iterable[Callback] | None = None) -> None:
        super().__init__()
        if callbacks is None:
            callbacks = []
        elif isinstance(callbacks, Callback):
            callbacks = [callbacks]
        elif not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be a Callback or a list of them, got {type(callbacks).__name__}")
        self.callbacks: list[Callback] = []
        for callback in callbacks:
            self.append(callback)

    def append(self, callback: Callback) -> None:
        """Add one more, to be called last."""
        if not isinstance(callback, Callback):
            hint = "; pass an instance, not the class" if isinstance(callback, type) else ""
            raise TypeError(f"callbacks must hold fastnn.callbacks.Callback objects, got {callback!r}{hint}")
        self.callbacks.append(callback)

    def set_model(self, model: Any) -> None:
        """Call each one's."""
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Call each one's."""
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Call each one's."""
        for callback in self.callbacks:
            callback.on_train_begin(logs)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Call each one's, even after one that raises."""
        # Otherwise a file would stay open, or a progress bar half drawn.
        with ExitStack() as stack:
            for callback in reversed(self.callbacks):
                stack.callback(callback.on_train_end, logs)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Call each one's."""
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Call each one's."""
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_progress(self, step: int) -> None:
        """Call each one's."""
        for callback in self.callbacks:
            callback.on_progress(step)


class History(Callback):
    """Loss and metrics of every epoch; what `fit` returns.

    Attributes
    ----------
    epoch : list of int
        Indices of the finished epochs, counted from 0.
    history : dict of str to list of float
        One list for each name of `on_epoch_end`'s logs. The ``"val_"`` lists are shorter where
        ``validation_freq`` skipped epochs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_train_begin()

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Start anew."""
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        # Epochs of each list above, counted from 1: they differ where validation_freq skips some.
        self._epochs: dict[str, list[int]] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keep the epoch's loss and metrics."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._epochs.setdefault(name, []).append(epoch + 1)

    def plot(self, path: str | PathLike[str] | None = None) -> Figure:
        """Draw the learning curve: the losses on one axis, the metrics, if any, on a second.

        Parameters
        ----------
        path : str or path-like, optional
            Where to save the figure; its ending chooses the format, as in ``Figure.savefig``.

        Returns
        -------
        matplotlib.figure.Figure
            Independent of pyplot: it needs no display, opens no window and need not be closed.

        Raises
        ------
        ImportError
            Where matplotlib is not installed.
        ValueError
            Where no epoch has finished.
        """
        panels = self._panels()
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise ImportError('plotting needs matplotlib: pip install "fastnn[plot]"') from error
        figure = Figure(figsize=(5.5 * len(panels), 4.0), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (label, names) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            for name in names:
                # One value is no line: without a marker it would not show.
                marker = "o" if len(self.history[name]) == 1 else ""
                axes.plot(self._epochs[name], self.history[name], label=name, marker=marker)
            axes.set_xlabel("epoch")
            axes.set_ylabel(label)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            axes.legend()
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def text_plot(self, width: int = 72, height: int = 12) -> str:
        """Draw the learning curve in plain characters, for a terminal without matplotlib.

        Parameters
        ----------
        width, height : int
            Columns and rows of one panel, axes included; at least 24 × 4.

        Returns
        -------
        str
            As in `plot`: a panel of losses and, where there are metrics, one of them. Where a value is not finite, the
            curve leads straight to the next that is.

        Raises
        ------
        ValueError
            Where no epoch has finished, or the panel is too small.
        """
        if width < 24 or height < 4:
            raise ValueError(f"width and height must be at least 24 and 4, got {width} and {height}")
        return "\n\n".join(
            _text_panel([(name, self._epochs[name], self.history[name]) for name in names], width, height)
            for _, names in self._panels()
        )

    def _panels(self) -> list[tuple[str, list[str]]]:
        """Axis label and names of each panel: losses first, then the metrics."""
        if not self.history:
            raise ValueError("there is no finished epoch to draw")
        losses = [name for name in self.history if name in ("loss", "val_loss")]
        metrics = [name for name in self.history if name not in losses]
        # One metric and its validation twin name the axis; several share it.
        stems = {name.removeprefix("val_") for name in metrics}
        label = stems.pop() if len(stems) == 1 else "metric"
        return [panel for panel in (("loss", losses), (label, metrics)) if panel[1]]


def _text_panel(curves: list[tuple[str, list[int], list[float]]], width: int, height: int) -> str:
    """Draw curves of (name, epochs, values) in `height` rows of `width` columns, below one line of legend."""
    marks = "*o+x#@"
    finite = [value for _, _, values in curves for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    first, last = min(curve[1][0] for curve in curves), max(curve[1][-1] for curve in curves)
    columns, rows = width - 12, height - 2
    grid = [[" "] * columns for _ in range(rows)]
    at = np.linspace(first, last, columns if last > first else 1)
    # Drawn from the last curve to the first, so that the training curve stays in sight where two meet.
    for index, (_, epochs, values) in reversed(list(enumerate(curves))):
        known = np.isfinite(values)
        if not known.any():
            continue
        line = np.interp(at, np.array(epochs)[known], np.array(values)[known], left=np.nan, right=np.nan)
        for column in np.flatnonzero(np.isfinite(line)):
            row = round((high - line[column]) / (high - low) * (rows - 1)) if high > low else rows - 1
            grid[row][column] = marks[index % len(marks)]
    legend = "   ".join(f"{marks[index % len(marks)]} {name}" for index, (name, _, _) in enumerate(curves))
    labels = [f"{high:.4g}" if high > low else "", *[""] * (rows - 2), f"{low:.4g}"]
    lines = [f"{label:>10} |{''.join(cells)}".rstrip() for label, cells in zip(labels, grid, strict=True)]
    ticks = f"{first}{last:>{columns - len(str(first))}}" if last > first else str(first)
    return "\n".join([f"{'':12}{legend}", *lines, f"{'':11}+{'-' * columns}", f"{'epoch':>10}  {ticks}"])


class ProgressBar(Callback):
    """Progress on standard output: one bar, or one line, for each epoch.

    Parameters
    ----------
    verbose : {"auto", 0, 1, 2}
        0 prints nothing, 1 draws a bar (tqdm's where it is installed), 2 prints one line after each epoch.
        "auto" is 1 on a terminal and 2 elsewhere, and keeps quiet about epochs that end within a tenth of a
        second of the line before: ten thousand short epochs do not become ten thousand lines. The last epoch
        always has its line.

    Raises
    ------
    ValueError
        For any other `verbose`.
    """

    def __init__(self, verbose: str | int = "auto") -> None:
        super().__init__()
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f'verbose must be "auto", 0, 1 or 2, got {verbose!r}')
        self.verbose = verbose
        self._bar: Any = None  # of the epoch that runs
        self._unwritten: tuple[int, Mapping[str, float], float] | None = None  # finished, its line held back

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Find out where and how to print."""
        # Looked up here, not at import: notebooks, tests and contextlib.redirect_stdout replace it.
        stream = sys.stdout
        if stream is None:  # a windowed program has no standard output
            self._style = 0
        elif self.verbose == "auto":
            self._style = 1 if stream.isatty() else 2
        else:
            self._style = int(self.verbose)
        self._stream = stream
        self._interval = _UPDATE_INTERVAL if self.verbose == "auto" else 0.0
        if self._style == 1:
            self._make_bar = _find_bar()
        self._last_written = -math.inf

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Note the time."""
        self._epoch = epoch
        self._started = time.monotonic()

    def on_progress(self, step: int) -> None:
        """Draw the bar."""
        # The bar appears here and not at the start of the epoch, so that a short epoch draws none.
        if self._style == 1:
            if self._unwritten is not None:
                self._write_epoch(*self._unwritten)
            if self._bar is None:
                self._open_bar(self._epoch, time.monotonic() - self._started)
            self._bar.n = step
            self._bar.refresh()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Write the epoch's line, or hold it back."""
        if self._style == 0:
            return
        now = time.monotonic()
        self._unwritten = (epoch, dict(logs or {}), now - self._started)
        if self._bar is not None or now - self._last_written >= self._interval:
            self._write_epoch(*self._unwritten)

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Write the line held back, and leave the terminal on a new one."""
        if self._bar is not None:  # stopped within an epoch: the bar stays as it is, on a line of its own
            self._close_bar()
        if self._unwritten is not None:
            self._write_epoch(*self._unwritten)

    def _write_epoch(self, epoch: int, logs: Mapping[str, float], seconds: float) -> None:
        steps = self.params.get("steps")
        if self._style == 1 and self._bar is None and steps:
            self._open_bar(epoch, seconds)
        if self._bar is not None:
            self._bar.n = steps or self._bar.n
            self._bar.set_postfix_str(_format_logs(logs), refresh=False)
            self._close_bar()
        else:
            self._stream.write(f"{self._title(epoch)} - {_format_time(seconds)} - {_format_logs(logs)}\n")
            self._stream.flush()
        self._unwritten = None
        self._last_written = time.monotonic()

    def _title(self, epoch: int) -> str:
        epochs = str(self.params["epochs"])
        return f"Epoch {epoch + 1:>{len(epochs)}}/{epochs}"

    def _open_bar(self, epoch: int, seconds: float) -> None:
        """Open the bar of an epoch that has run for `seconds`."""
        self._bar = self._make_bar(total=self.params.get("steps"), desc=self._title(epoch), file=self._stream)
        self._bar.start_t -= seconds

    def _close_bar(self) -> None:
        # A moving bar must fit the terminal to be drawn over; the finished one shows all of its metrics.
        self._bar.ncols, self._bar.dynamic_ncols = None, False
        self._bar.close()
        self._bar = None


class _PlainBar:
    """The part of tqdm that `ProgressBar` uses, where tqdm is not installed."""

    def __init__(self, total: int | None, desc: str, file: TextIO) -> None:
        self.total, self.desc, self.file = total, desc, file
        self.n = 0
        self.start_t = time.time()
        self.dynamic_ncols = True
        self.ncols: int | None = None
        self._postfix = ""
        self._drawn = 0

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self._postfix = f" - {text}"

    def refresh(self) -> None:
        if self.total:
            done = 20 * self.n // self.total
            count = f"[{'=' * done}{' ' * (20 - done)}] {self.n}/{self.total}"
        else:
            count = f"{self.n} steps"
        line = f"{self.desc}: {count} - {_format_time(time.time() - self.start_t)}{self._postfix}"
        if self.dynamic_ncols:
            from shutil import get_terminal_size  # here, for it takes milliseconds to import

            line = line[: get_terminal_size().columns - 1]
        self.file.write(f"\r{line:<{self._drawn}}")
        self.file.flush()
        self._drawn = len(line)

    def close(self) -> None:
        self.refresh()
        self.file.write("\n")
        self.file.flush()


def _find_bar() -> Any:
    """Return tqdm's bar where it is installed, ours where it is not."""
    try:
        from tqdm import tqdm
    except ImportError:
        return _PlainBar
    return partial(tqdm, unit="step", dynamic_ncols=True)


def _format_time(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds >= 1 else f"{1000 * seconds:.0f}ms"


def _format_logs(logs: Mapping[str, float]) -> str:
    """Format as ``loss: 0.1234 - accuracy: 0.9500``; small values keep four digits through an exponent."""
    return " - ".join(
        f"{name}: {value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{name}: {value:.4e}"
        for name, value in logs.items()
    )
