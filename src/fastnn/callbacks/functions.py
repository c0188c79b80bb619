"""A callback of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Callback


class LambdaCallback(Callback):
    """A callback of functions, one for each hook that is wanted.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end, on_train_begin, on_train_end, on_train_batch_begin, on_train_batch_end : callable
        Such as ``on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"])``; each is called with the hook's
        arguments.
    hooks : callable
        Others, by the hook's name.

    Raises
    ------
    TypeError
        For a name that is no hook's, or what cannot be called.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **hooks: Callable[..., Any] | None,
    ) -> None:
        super().__init__()
        hooks |= {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for name, function in hooks.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"{name} is no hook, expected one of Callback's, such as on_epoch_end")
            if function is not None:
                if not callable(function):
                    raise TypeError(f"{name} is {function!r}, expected a function")
                setattr(self, name, function)
