"""Callbacks that watch one number of the logs: whether it still improves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from .. import validation
from .base import Callback


class MonitorCallback(Callback):
    """Base of callbacks that watch a number of the logs.

    Parameters
    ----------
    monitor : str
        Its name in the logs, such as ``"val_loss"``.
    mode : {"auto", "min", "max"}
        Which way it improves; auto knows of the loss and of metrics that say so.
    min_delta : float
        A change of less is no improvement.
    best : float, optional
        What the first value has to improve on.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", min_delta: float = 0, best: float | None = None
    ) -> None:
        super().__init__()
        if not isinstance(monitor, str):
            raise TypeError(f"monitor is {monitor!r}, expected a name of the logs such as 'val_loss'")
        self.monitor = monitor
        self.mode = validation.choice("mode", mode, ("auto", "min", "max"))
        self.min_delta = abs(validation.number("min_delta", min_delta))
        self.best = best if best is None else validation.number("best", best)

    def value(self, logs: Mapping[str, Any] | None) -> Any:
        """The number that is watched; where the logs have none, a warning and None.

        Raises
        ------
        ValueError
            Where it is not known which way the number improves.
        """
        self._direction()
        found = (logs or {}).get(self.monitor)
        if found is None:
            warnings.warn(
                f"{type(self).__name__} monitors {self.monitor!r}, which is not in the logs; "
                f"there are {', '.join(map(repr, logs or {})) or 'none'}",
                stacklevel=3,
            )
        return found

    def improves(self, value: Any, on: float | None) -> bool:
        """Whether it is better than another one, by more than `min_delta`; than None every value is."""
        if on is None:
            return True
        return bool(value + self.min_delta < on if self._direction() == "min" else value - self.min_delta > on)

    def _direction(self) -> str:
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return "min"
        known = dict(zip(self.model.metrics_names[1:], self.model.metrics, strict=True))
        direction = known[name].direction if name in known else None
        if direction is None:
            raise ValueError(
                f"{type(self).__name__} has the mode 'auto' for {self.monitor!r}, of which it is not known whether "
                "more is better; expected mode='max' or mode='min'"
            )
        return "max" if direction == "up" else "min"
