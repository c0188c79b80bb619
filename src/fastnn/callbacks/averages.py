"""A callback for the moving averages of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .base import Callback


class SwapEMAWeights(Callback):
    """Evaluate and predict with the moving averages of the weights, in training too.

    For optimizers with ``use_ema=True``, whose averages are otherwise the model's only when training has ended.

    Parameters
    ----------
    swap_on_epoch : bool
        Whether the averages are in the model from the end of an epoch until the next begins as well: for callbacks
        after this one, such as `ModelCheckpoint`.  One that saves what training goes on from, `BackupAndRestore`,
        belongs before it.

    Raises
    ------
    ValueError
        Where the optimizer keeps no averages.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = bool(swap_on_epoch)
        self._held: np.ndarray | None = None  # the weights, while the averages are in their place

    def _swap_in(self) -> None:
        if not self.model.optimizer.use_ema:
            raise ValueError("SwapEMAWeights is used with use_ema=False, expected an optimizer with use_ema=True")
        if self._held is None:
            self._held = self.model.parameters.copy()
            self.model.optimizer.finalize_variable_values([self.model.parameters])

    def _swap_out(self) -> None:
        if self._held is not None:
            self.model.parameters = self._held
            self._held = None

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._swap_out()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.swap_on_epoch:
            self._swap_in()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        if self.model.finished:  # with the averages, as every training that has them
            self._held = None
        else:
            self._swap_out()

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._swap_in()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._swap_out()

    def on_predict_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        self._swap_in()

    def on_predict_end(self, logs: Mapping[str, Any] | None = None) -> None:
        self._swap_out()
