"""Callbacks' base, and several of them as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import cache
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


_KIND_OF = {
    **dict.fromkeys(("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"), "train"),
    **dict.fromkeys(("on_test_batch_begin", "on_test_batch_end"), "test"),
    **dict.fromkeys(("on_predict_batch_begin", "on_predict_batch_end"), "predict"),
}


@cache
def _of_class(kind: Any) -> frozenset[str]:
    """Of what batches a class has hooks."""
    own = {hook: getattr(kind, hook) for hook in _KIND_OF if getattr(kind, hook) is not getattr(Callback, hook)}
    return frozenset(
        "losses_not_finite" if hasattr(function, "when_not_finite") else _KIND_OF[hook]
        for hook, function in own.items()
    )


def _wants(callback: Callback) -> frozenset[str]:
    """Of what batches a callback has hooks, by its class or of its own."""
    kind: Any = type(callback)
    wanted = _of_class(kind)
    return wanted.union(_KIND_OF[hook] for hook in own) if (own := vars(callback).keys() & _KIND_OF) else wanted


class CallbackList(Callback):
    """Several callbacks called as one, in order.

    Parameters
    ----------
    callbacks : Callback or iterable of Callback, optional

    Attributes
    ----------
    wants_train_batches, wants_test_batches, wants_predict_batches : bool
        Whether one of them has a hook for the batches: if none has, nothing is paid for them.
    wants_losses_not_finite : bool
        Whether one of them waits for a loss that is not finite.

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
        self.wants_train_batches = self.wants_test_batches = self.wants_predict_batches = False
        self.wants_losses_not_finite = False
        for callback in callbacks:
            self.append(callback)

    def append(self, callback: Callback) -> None:
        """Add one more, to be called last."""
        if not isinstance(callback, Callback):
            hint = "; pass an instance, not the class" if isinstance(callback, type) else ""
            raise TypeError(f"callbacks must hold fastnn.callbacks.Callback objects, got {callback!r}{hint}")
        self.callbacks.append(callback)
        wanted = _wants(callback)
        self.wants_train_batches |= "train" in wanted
        self.wants_test_batches |= "test" in wanted
        self.wants_predict_batches |= "predict" in wanted
        self.wants_losses_not_finite |= "losses_not_finite" in wanted

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        for callback in self.callbacks:
            callback.set_model(model)

    def set_params(self, params: Mapping[str, Any]) -> None:
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        # Even after one that raises: a file would stay open, or a progress bar half drawn.
        with ExitStack() as stack:
            for callback in reversed(self.callbacks):
                stack.callback(callback.on_train_end, logs)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_begin(logs)

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_begin(logs)

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_end(logs)

    def on_predict_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_begin(logs)

    def on_predict_end(self, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_test_batch_end(batch, logs)

    def on_predict_batch_begin(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_batch_begin(batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        for callback in self.callbacks:
            callback.on_predict_batch_end(batch, logs)

    def on_progress(self, step: int) -> None:
        for callback in self.callbacks:
            callback.on_progress(step)
