"""Callbacks that save what was learnt, while it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

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
        self.save_freq = save_freq
        self._epoch = self._batches = 0
        if save_freq != "epoch":
            self.save_freq = validation.integer("save_freq", save_freq, low=1)
            # Set here alone, so that epochs are not taken apart for those who do not ask for batches.
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._epoch = epoch

    def _after_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._batches += 1
        if self._batches % self.save_freq == 0:  # type: ignore[operator]
            self._save({"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(dict(logs or {}))

    def _save(self, logs: dict[str, Any]) -> None:
        if self.save_best_only and (current := self.value(logs)) is not None:
            if not self.improves(current, self.best):
                return
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

    After each epoch the weights, the optimizer's state, the seed and the number of epochs are saved, in one file that
    is replaced whole.  Where `fit` finds it, it goes on after that epoch, and ends with the same bytes as if nothing
    had happened.  When it comes to its end, the file is removed.

    Parameters
    ----------
    backup_dir : str or path-like
        A folder of this training's own; it is made.
    delete_checkpoint : bool
        Whether the file is removed at the end.
    """

    def __init__(self, backup_dir: str | os.PathLike[str], delete_checkpoint: bool = True) -> None:
        super().__init__()
        self.backup_dir = os.fspath(backup_dir)
        if not self.backup_dir:
            raise ValueError("backup_dir is '', expected a folder")
        self.delete_checkpoint = bool(delete_checkpoint)

    @property
    def path(self) -> str:
        """The file."""
        return os.path.join(self.backup_dir, "backup.safetensors")

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        if not os.path.exists(self.path):
            return
        arrays, notes = safetensors.read(self.path)
        try:
            epoch = int(notes["epoch"])
            self.model.set_state(arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path!r} is no backup of this model: {error}") from error
        self.model.resume_at(epoch)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        os.makedirs(self.backup_dir, exist_ok=True)
        safetensors.write(self.path, self.model.get_state(), {"epoch": str(epoch + 1)})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.delete_checkpoint and self.model.finished and os.path.exists(self.path):
            os.remove(self.path)
            if not os.listdir(self.backup_dir):
                os.rmdir(self.backup_dir)
