"""Callbacks that write logs to files."""

from __future__ import annotations

import os
import time
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
    like, beside ``epoch_learning_rate``; those of every evaluation also by the optimizer's iterations, under
    ``evaluation_loss_vs_iterations``.

    Parameters
    ----------
    log_dir : str or path-like
    histogram_freq : int
        Every so many epochs the distributions of weights are written; 0 is never.
    write_graph : bool
        Of no effect: there is no graph to write.
    write_images : bool
        Whether weights are written as images, too, when their distributions are.
    write_steps_per_second : bool
        Whether ``epoch_steps_per_second`` is written, and with the batches ``batch_steps_per_second``.
    update_freq : {"epoch", "batch"} or int
        Whether the loss and metrics of each batch, or of every so many, are written too, under ``batch_loss`` and the
        like.  Steps then run one by one.
    profile_batch, embeddings_freq : {0}
        There is no profiler here, and there are no embeddings.

    Raises
    ------
    ImportError
        Where a training or an evaluation begins and tensorboardX is not installed.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
    ) -> None:
        super().__init__()
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = validation.integer("histogram_freq", histogram_freq)
        self.write_images, self.write_steps_per_second = bool(write_images), bool(write_steps_per_second)
        validation.choice("profile_batch", profile_batch, (0,))
        validation.choice("embeddings_freq", embeddings_freq, (0,))
        self.update_freq = update_freq
        self._writers: dict[str, Any] = {}
        self._in_fit = False
        if update_freq != "epoch":
            self._every = 1 if update_freq == "batch" else validation.integer("update_freq", update_freq, low=1)
            # Set here alone, so that epochs are not taken apart for those who do not ask for batches.
            self.on_train_batch_begin = self._begin_batch  # type: ignore[method-assign]
            self.on_train_batch_end = self._write_batch  # type: ignore[method-assign]

    def set_model(self, model: Any) -> None:
        super().set_model(model)
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

    def _write(self, part: str, logs: Mapping[str, Any], at: int, name: str) -> None:
        """Logs that are numbers, at a step; `name` has a place for theirs."""
        for key, value in logs.items():
            if np.ndim(value) == 0:
                self._writer(part).add_scalar(name.format(key), value, at)

    def _begin_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._batch_began = time.perf_counter()

    def _write_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        at = self.model.optimizer.steps
        if at % self._every == 0:
            found = dict(logs or {})
            if self.write_steps_per_second:
                found["steps_per_second"] = 1 / (time.perf_counter() - self._batch_began)
            self._write("train", found, at, "batch_{}")

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch_began, self._steps_before = time.perf_counter(), self.model.optimizer.steps

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        train = {name: value for name, value in (logs or {}).items() if not name.startswith("val_")}
        held_out = {name.removeprefix("val_"): value for name, value in (logs or {}).items() if name not in train}
        train["learning_rate"] = float(self.model.optimizer.learning_rate)
        if self.write_steps_per_second:
            steps = self.model.optimizer.steps - self._steps_before
            train["steps_per_second"] = steps / (time.perf_counter() - self._epoch_began)
        self._write("train", train, epoch, "epoch_{}")
        self._write("validation", held_out, epoch, "epoch_{}")
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            for layer in self.model.layers:
                for name, array in zip(layer.weight_names, layer.weights, strict=True):
                    self._write_weights(f"{layer.name}/{name}", array, epoch)
        for writer in self._writers.values():
            writer.flush()

    def _write_weights(self, name: str, array: np.ndarray, epoch: int) -> None:
        self._writer("train").add_histogram(f"{name}/histogram", array, epoch)
        if self.write_images:
            image = np.atleast_2d(array.squeeze())
            image = image.T if image.shape[0] > image.shape[1] else image
            self._writer("train").add_image(f"{name}/image", image.astype(np.float32), epoch, dataformats="HW")

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        at = self.model.optimizer.iterations
        self._write("validation", logs or {}, at, "evaluation_{}_vs_iterations")
        if not self._in_fit:
            self._close()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._in_fit = True

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._in_fit = False
        self._close()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
