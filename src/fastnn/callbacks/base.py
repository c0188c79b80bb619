"""Callbacks' base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Hook = TypeVar("Hook")


def when_not_finite(hook: Hook) -> Hook:
    """Mark a hook of batches of training as one that does nothing until the loss is not finite.

    Steps need not run one by one for it: an epoch is one call, which ends with the first such step.
    """
    hook.when_not_finite = True  # type: ignore[attr-defined]
    return hook


class Callback:
    """Base class of callbacks: subclass it and override the hooks of interest.

    Attributes
    ----------
    model : Sequential or None
        The model in training. Setting ``model.stop_training = True`` ends training after the epoch, or in a hook of
        batches after the step.
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

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Act before the first epoch."""

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Act after the last epoch, however training ended; `logs` are the last finished epoch's."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Act before epoch `epoch`, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Act after epoch `epoch`; `logs` maps ``"loss"``, the metrics and their ``"val_"`` twins to floats."""

    def on_progress(self, step: int) -> None:
        """Act within an epoch, of which `step` steps are done; about ten times a second at most.

        The model's parameters may be read and assigned here; the model cannot be called, it is at work.
        """

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Act before a step of training, counted from 0 in its epoch.  Overriding it makes steps run one by one."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Act after a step; `logs` are those of the epoch's steps so far.  Overriding it makes steps run one by one."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The same as `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """The same as `on_train_batch_end`."""

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Act before an evaluation: of `evaluate`, and of validation data within `fit`."""

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Act after an evaluation, with its loss and metrics."""

    def on_test_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Act before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Act after a batch of an evaluation."""

    def on_predict_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Act before `predict`."""

    def on_predict_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Act after `predict`."""

    def on_predict_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Act before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Act after a batch of `predict`; ``logs["outputs"]`` are its outputs."""
