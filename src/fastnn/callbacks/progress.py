"""Progress on the terminal."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, TextIO

import numpy as np

from .base import Callback

# Seconds between two updates of the terminal: more often than the eye follows only slows short epochs down.
_UPDATE_INTERVAL = 0.1


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
        self._unwritten: tuple[int, Mapping[str, Any], float] | None = None  # finished, its line held back

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
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
            self._make_bar = _find_bar(stream)
        self._last_written = -math.inf

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
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

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the epoch's line, or hold it back."""
        if self._style == 0:
            return
        now = time.monotonic()
        self._unwritten = (epoch, dict(logs or {}), now - self._started)
        if self._bar is not None or now - self._last_written >= self._interval:
            self._write_epoch(*self._unwritten)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write the line held back, and leave the terminal on a new one."""
        if self._bar is not None:  # stopped within an epoch: the bar stays as it is, on a line of its own
            self._close_bar()
        if self._unwritten is not None:
            self._write_epoch(*self._unwritten)

    def _write_epoch(self, epoch: int, logs: Mapping[str, Any], seconds: float) -> None:
        steps = self.params.get("steps")
        if self._style == 1 and self._bar is None and steps:
            self._open_bar(epoch, seconds)
        if self._bar is not None:
            self._bar.n = steps or self._bar.n
            self._bar.set_postfix_str(format_logs(logs), refresh=False)
            self._close_bar()
        else:
            self._stream.write(f"{self._title(epoch)} - {format_seconds(seconds)} - {format_logs(logs)}\n")
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
        line = f"{self.desc}: {count} - {format_seconds(time.time() - self.start_t)}{self._postfix}"
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


def _find_bar(stream: TextIO) -> Any:
    """Return tqdm's bar where it is installed, ours where it is not."""
    try:
        from tqdm import tqdm
    except ImportError:
        return _PlainBar
    try:
        knows_its_size = all(os.get_terminal_size(stream.fileno()))
    except (AttributeError, OSError, ValueError):  # no terminal
        knows_its_size = True
    if not knows_its_size:  # as those of containers and of programs: tqdm would draw nothing on 0 columns
        from shutil import get_terminal_size

        columns, lines = get_terminal_size()
        return partial(tqdm, unit="step", ncols=columns, nrows=lines)
    return partial(tqdm, unit="step", dynamic_ncols=True)


def format_seconds(seconds: float) -> str:
    """``1.2s`` or ``345ms``."""
    return f"{seconds:.1f}s" if seconds >= 1 else f"{1000 * seconds:.0f}ms"


def format_value(value: Any) -> str:
    """Four digits after the point, or through an exponent where the number is small; of several numbers each."""
    if np.ndim(value):
        return f"[{' '.join(map(format_value, np.ravel(value)))}]"
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.4e}"


def format_logs(logs: Mapping[str, Any]) -> str:
    """Format as ``loss: 0.1234 - accuracy: 0.9500``."""
    return " - ".join(f"{name}: {format_value(value)}" for name, value in logs.items())
