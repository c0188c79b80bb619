"""Callbacks that save what was learnt, while it is."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from .. import safetensors, validation
from .base import Callback
from .monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Save the model after each epoch, or where it is better than before.

    Parameters
    ----------
    filepath : str or path-like
        May have ``{epoch}``, counted from 1, ``{batch}`` and names of the logs in it, with formats:
        ``"{epoch:02d}-{val_loss:.2f}.safetensors"``.  Folders are made.  A file that is there is replaced whole.
    monitor : str
        The number of the logs that the best is chosen by.
    verbose : {0, 1}
        Whether to say what is saved.
    save_best_only : bool
        Save where the number has improved, and not otherwise.
    save_weights_only : bool
        By `Sequential.save_weights` instead of `Sequential.save`.
    mode : {"auto", "min", "max"}
        Which way the number improves; auto knows of the loss and of fastnn's metrics.
    save_freq : {"epoch"} or int
        After each epoch, or after every so many batches; steps then run one by one.
    initial_value_threshold : float, optional
        What the first value has to improve on.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, best=initial_value_threshold)
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only, self.save_weights_only = bool(save_best_only), bool(save_weights_only)
        self.save_freq = _save_freq(save_freq)
        self._epoch = self._batches = 0
        if self.save_freq != "epoch":
            # Set here alone, so that epochs are not taken apart for those who do not ask for batches.
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def _after_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._batches += 1
        if self._batches % self.save_freq == 0:
            self._save({"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(dict(logs or {}))

    def _save(self, logs: dict[str, Any]) -> None:
        if self.save_best_only and (current := self.value(logs)) is not None:
            if np.ndim(current):
                warnings.warn(
                    f"ModelCheckpoint monitors {self.monitor!r}, which has several values: no best can be told",
                    stacklevel=2,
                )
            elif not self.improves(current, self.best):
                return
            else:
                self.best = current
        try:
            path = self.filepath.format(epoch=self._epoch + 1, **logs)
        except KeyError as error:
            raise ValueError(
                f"filepath is {self.filepath!r}, which names {error}, expected names among "
                f"{', '.join(map(repr, ['epoch', *logs]))}"
            ) from None
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {self._epoch + 1}: saved {path}")


class BackupAndRestore(Callback):
    """Make a training go on where it was interrupted: run the same script again.

    After each epoch, or after some batches, all that the training depends on is saved, in one file that is replaced
    whole.  Where `fit` finds it, it goes on with the next step, be it in the middle of an epoch, and ends with the same
    bytes as if nothing had happened.  When it comes to its end, the file is removed.

    Parameters
    ----------
    backup_dir : str or path-like
        A folder of this training's own; it is made.
    save_freq : {"epoch"} or int
        After each epoch, or after every so many batches; steps then run one by one.
    double_checkpoint : bool
        Whether the file before the last is kept, too: where the last is damaged, training goes on from that one.
    delete_checkpoint : bool
        Whether the files are removed at the end.

    Notes
    -----
    The data are not in the file, and the script gives them again.  Of an iterable that goes on from epoch to epoch
    (`steps_per_epoch`), all batches that were trained on are taken again, and left out; of any other, those of the
    epoch that was interrupted.  What other callbacks remember, such as the epochs that `EarlyStopping` has waited,
    begins anew.  Those that change the model or the learning rate belong before this one: the file then has the change.
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ValueError("backup_dir is '', expected a folder")
        self.save_freq = _save_freq(save_freq)
        self.double_checkpoint, self.delete_checkpoint = bool(double_checkpoint), bool(delete_checkpoint)
        self._epoch = self._batches = 0
        if self.save_freq != "epoch":  # as in ModelCheckpoint
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self.backup_dir, "backup.safetensors")

    @property
    def previous_path(self) -> str:
        """The file before, where there are two."""
        return os.path.join(self.backup_dir, "backup.previous.safetensors")

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        damage: Exception | None = None
        for path in (self.path, self.previous_path):
            if not os.path.exists(path):
                continue
            try:
                arrays, notes = _read_backup(path)
            except (OSError, ValueError) as error:
                damage = damage or error
                continue
            if damage is not None:
                warnings.warn(f"{damage}; training goes on from the backup before, {path!r}", stacklevel=2)
            self._restore(path, arrays, notes)
            return
        if damage is not None:
            raise damage

    def _restore(self, path: str, arrays: Mapping[str, Any], notes: Mapping[str, str]) -> None:
        try:
            epoch = int(notes["epoch"])
            self.model.set_state(arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path!r} is no backup of this model: {error}") from error
        self.model.resume_at(epoch)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def _after_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._batches += 1
        if self._batches % self.save_freq == 0:
            self._save(self._epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch + 1)

    def _save(self, epoch: int) -> None:
        """`epoch` is the one that the next step is in, or that is to end."""
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self.path):
            os.replace(self.path, self.previous_path)
        arrays, notes = self.model.get_state(), {"epoch": str(epoch)}
        safetensors.write(self.path, arrays, notes | {"crc32": safetensors.checksum(arrays, notes)})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.delete_checkpoint and self.model.finished:
            for path in (self.path, self.previous_path):
                with suppress(FileNotFoundError):
                    os.remove(path)
            with suppress(OSError):  # where something else is in it
                os.rmdir(self.backup_dir)


def _read_backup(path: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    arrays, notes = safetensors.read(path)
    if notes.pop("crc32", None) != safetensors.checksum(arrays, notes):
        raise ValueError(f"{path!r} is damaged: its checksum is not that of its bytes")
    return arrays, notes


def _save_freq(value: Any) -> Any:
    """Checked: "epoch", or a number of batches."""
    return value if value == "epoch" else validation.integer("save_freq", value, low=1)
