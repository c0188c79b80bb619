"""Several callbacks as one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import cache
from typing import Any

from .base import Callback
from .history import History
from .progress import ProgressBar

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
    """Several callbacks called as one, in order: for `fit`, and for loops of your own.

    Parameters
    ----------
    callbacks : Callback, iterable of Callback, or CallbackList, optional
    add_history, add_progbar : bool
        Whether a `History` and a `ProgressBar` are to join them, where there is none.
    model : Sequential, optional
        For `set_model`.
    params
        For `set_params`: ``epochs``, ``steps`` and ``verbose``.

    Attributes
    ----------
    callbacks : list of Callback
    wants_train_batches, wants_test_batches, wants_predict_batches : bool
        Whether one of them has a hook for the batches: if none has, nothing is paid for them.
    wants_losses_not_finite : bool
        Whether one of them waits for a loss that is not finite.

    Raises
    ------
    TypeError
        Where something in it is not a Callback.

    Examples
    --------
    >>> from fastnn.callbacks import CallbackList, LambdaCallback
    >>> prints = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))
    >>> group = CallbackList([prints], add_history=True, epochs=1)
    >>> group.on_train_begin()
    >>> group.on_epoch_end(0, {"loss": 0.5})
    0 {'loss': 0.5}
    >>> group.find(History).history
    {'loss': [0.5]}
    """

    def __init__(
        self,
        callbacks: Callback | Iterable[Callback] | None = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        if callbacks is None:
            callbacks = []
        elif isinstance(callbacks, CallbackList):
            callbacks = callbacks.callbacks
        elif isinstance(callbacks, Callback):
            callbacks = [callbacks]
        elif not isinstance(callbacks, Iterable):
            raise TypeError(f"callbacks must be a Callback or a list of them, got {type(callbacks).__name__}")
        self.callbacks: list[Callback] = []
        self.wants_train_batches = self.wants_test_batches = self.wants_predict_batches = False
        self.wants_losses_not_finite = False
        for callback in callbacks:
            self.append(callback)
        if add_progbar and self.find(ProgressBar) is None:
            self.append(ProgressBar(params.get("verbose", "auto")))
        if add_history and self.find(History) is None:
            self.append(History())
        if params:
            self.set_params(params)
        if model is not None:
            self.set_model(model)

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

    def find(self, kind: type[Callback]) -> Any:
        """The first of a class, or None."""
        return next((callback for callback in self.callbacks if isinstance(callback, kind)), None)

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
                stack.callback(callback.on_train_end, {} if logs is None else logs)

    def on_progress(self, step: int) -> None:
        for callback in self.callbacks:
            callback.on_progress(step)


def _of_a_run(hook: str) -> Any:
    """The hook of all of them."""

    def call(self: CallbackList, logs: Mapping[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs  # one for all: what a callback puts into it, those after it see
        for callback in self.callbacks:
            getattr(callback, hook)(logs)

    return call


def _of_an_index(hook: str) -> Any:
    """The same of a hook that is told which epoch or batch it is."""

    def call(self: CallbackList, index: int, logs: Mapping[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        for callback in self.callbacks:
            getattr(callback, hook)(index, logs)

    return call


for _hook in ("on_train_begin", "on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end"):
    setattr(CallbackList, _hook, _of_a_run(_hook))
for _hook in ("on_epoch_begin", "on_epoch_end", *_KIND_OF):
    setattr(CallbackList, _hook, _of_an_index(_hook))
