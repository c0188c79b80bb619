"""Callbacks that write logs to files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TextIO

import numpy as np

from .. import validation
from .base import Callback


class CSVLogger(Callback):
    """Write the logs of each epoch as a line of a CSV file.

    Parameters
    ----------
    filename : str or path-like
    separator : str
        Between the columns.
    append : bool
        Whether a file that is there goes on.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.separator, self.append = os.fspath(filename), separator, bool(append)
        self._file: TextIO | None = None
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        going_on = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self._names = None
        self._header = not going_on
        self._file = open(self.filename, "a" if self.append else "w", newline="", encoding="utf-8")  # noqa: SIM115

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        import csv  # here, for it takes time to import

        assert self._file is not None
        logs = logs or {}
        writer = csv.writer(self._file, delimiter=self.separator, lineterminator="\n")
        if self._names is None:
            self._names = sorted(logs)
            if not any(name.startswith("val_") for name in self._names):  # some epochs may be validated
                self._names += [f"val_{name}" for name in self._names]
            if self._header:
                writer.writerow(["epoch", *self._names])
        values = (logs.get(name, "NA") for name in self._names)
        writer.writerow([epoch, *(np.asarray(v).tolist() if np.ndim(v) else v for v in values)])
        self._file.flush()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class TensorBoard(Callback):
    """Write the logs for TensorBoard, through tensorboardX.

    Those of training go to ``train`` in the folder, those of validation to ``validation``, under ``epoch_loss`` and the
    like, beside ``epoch_learning_rate``.

    Parameters
    ----------
    log_dir : str or path-like
    histogram_freq : int
        Every so many epochs the distributions of weights are written; 0 is never.
    update_freq : {"epoch", "batch"} or int
        Whether the loss and metrics of each batch, or of every so many, are written too, under ``batch_loss`` and the
        like.  Steps then run one by one.

    Raises
    ------
    ImportError
        Where a training begins and tensorboardX is not installed.
    """

    def __init__(
        self, log_dir: str | os.PathLike[str] = "logs", histogram_freq: int = 0, update_freq: str | int = "epoch"
    ) -> None:
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = validation.integer("histogram_freq", histogram_freq)
        self.update_freq = update_freq
        self._writers: dict[str, Any] = {}
        if update_freq != "epoch":
            self._every = 1 if update_freq == "batch" else validation.integer("update_freq", update_freq, low=1)
            # Set here alone, so that epochs are not taken apart for those who do not ask for batches.
            self.on_train_batch_end = self._write_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError('TensorBoard needs tensorboardX: pip install "fastnn[tensorboard]"') from error
        self._make = SummaryWriter
        self._writers = {}

    def _writer(self, part: str) -> Any:
        if part not in self._writers:
            self._writers[part] = self._make(os.path.join(self.log_dir, part))
        return self._writers[part]

    def _write(self, prefix: str, logs: Mapping[str, Any], at: int) -> None:
        for name, value in logs.items():
            part = "validation" if name.startswith("val_") else "train"
            if np.ndim(value) == 0:
                self._writer(part).add_scalar(f"{prefix}_{name.removeprefix('val_')}", value, at)

    def _write_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        at = self.model.optimizer.iterations
        if at % self._every == 0:
            self._write("batch", logs or {}, at)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        rate = {"learning_rate": float(self.model.optimizer.learning_rate)}
        self._write("epoch", rate | dict(logs or {}), epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for layer in self.model.layers:
                for name, array in zip(layer.weight_names, layer.weights, strict=True):
                    self._writer("train").add_histogram(f"{layer.name}/{name}", array, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
