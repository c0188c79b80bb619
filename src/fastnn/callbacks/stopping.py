"""Callbacks that end a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import validation
from .base import Callback, when_not_finite
from .monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """End training where a number of the logs has stopped improving.

    Parameters
    ----------
    monitor : str
        Its name in the logs.
    min_delta : float
        A change of less is no improvement.
    patience : int
        Epochs without improvement after which training ends.
    verbose : {0, 1}
        Whether to say so.
    mode : {"auto", "min", "max"}
        Which way the number improves; auto knows of the loss and of fastnn's metrics.
    baseline : float, optional
        Where the number has not improved on this either, patience goes on running out.
    restore_best_weights : bool
        Whether training ends with the weights of the best epoch, however it comes to its end.  Where an exception or
        Ctrl-C ends it, they stay as they are: `best_weights` are there to be set.
    start_from_epoch : int
        Epochs, from the first, of which none counts.

    Attributes
    ----------
    best, best_epoch, best_weights
        The best value, its epoch, counted from 0, and the weights at its end.
    stopped_epoch : int
        The epoch that training ended with; 0 where this has not ended it.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = validation.integer("patience", patience)
        self.verbose = verbose
        self.baseline = None if baseline is None else validation.number("baseline", baseline)
        self.restore_best_weights = bool(restore_best_weights)
        self.start_from_epoch = validation.integer("start_from_epoch", start_from_epoch)
        self.on_train_begin()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = None
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        current = self.value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self._keep(epoch)
        self.wait += 1
        if self.improves(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self._keep(epoch)
            if self.baseline is None or self.improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep(self, epoch: int) -> None:
        self.best_weights, self.best_epoch = self.model.get_weights(), epoch

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None and self.model.finished:
            if self.verbose:
                print(f"Weights are those of the best epoch, {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


class TerminateOnNaN(Callback):
    """End training after a step whose loss is not finite.

    The weights are then those after that step, and the epoch ends with it.  Steps run as without this callback, an
    epoch in one call.  `fit` itself warns as well, and names the epoch and the step.

    Parameters
    ----------
    raise_error : bool
        Whether to raise an error instead: a backup of the training stays then, for one.

    Raises
    ------
    RuntimeError
        Where the loss is not finite and `raise_error` is set.
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = bool(raise_error)

    @when_not_finite
    def on_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(f"the loss is {loss} in step {batch + 1} of the epoch")
        print(f"Step {batch + 1}: the loss is {loss}, training ends")
        self.model.stop_training = True
