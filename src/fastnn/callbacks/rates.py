"""Callbacks that set the learning rate."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from .. import validation
from .base import Callback
from .monitor import MonitorCallback


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch, and log it as ``"learning_rate"``.

    Schedules that change it at each step are `optimizers.schedules`.

    Parameters
    ----------
    schedule : callable
        Called with the epoch, counted from 0, and the rate; returns the new rate.
    verbose : {0, 1}
        Whether to print it.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise TypeError(f"schedule is {schedule!r}, expected a function of epoch and learning rate")
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        now = float(self.model.optimizer.learning_rate)
        try:  # Keras takes functions of the epoch alone, too
            inspect.signature(self.schedule).bind(epoch, now)
            arguments: tuple[Any, ...] = (epoch, now)
        except TypeError:
            arguments = (epoch,)
        except ValueError:  # a builtin that does not tell
            arguments = (epoch, now)
        rate = validation.number("the schedule's learning rate", self.schedule(*arguments), low=0)
        self.model.optimizer.learning_rate = rate
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ReduceLROnPlateau(MonitorCallback):
    """Lower the learning rate where a number of the logs has stopped improving, and log it as ``"learning_rate"``.

    Parameters
    ----------
    monitor : str
        Its name in the logs.
    factor : float in [0, 1)
        The rate is multiplied by it.
    patience : int
        Epochs without improvement before that.
    verbose : {0, 1}
        Whether to print it.
    mode : {"auto", "min", "max"}
        Which way the number improves; auto knows of the loss and of fastnn's metrics.
    min_delta : float
        A change of less is no improvement.
    cooldown : int
        Epochs after it of which none counts.
    min_lr : float
        The rate is never lowered below it.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.factor = validation.number("factor", factor, low=0, high=1, open_high=True)
        self.patience = validation.integer("patience", patience)
        self.verbose = verbose
        self.cooldown = validation.integer("cooldown", cooldown)
        self.min_lr = validation.number("min_lr", min_lr, low=0)
        self.on_train_begin()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        optimizer = self.model.optimizer
        logs = {} if logs is None else logs
        logs["learning_rate"] = rate = float(optimizer.learning_rate)
        current = self.value(logs)
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
        if self.improves(current, self.best):
            self.best, self.wait = current, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                if self.verbose:
                    print(f"Epoch {epoch + 1}: the learning rate goes down to {optimizer.learning_rate:g}")
                self.cooldown_counter, self.wait = self.cooldown, 0
