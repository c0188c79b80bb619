"""The record of a training."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import plots
from .base import Callback

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History(Callback):
    """Loss and metrics of every epoch; what `fit` returns.

    Attributes
    ----------
    epoch : list of int
        Indices of the finished epochs, counted from 0.
    history : dict of str to list
        One list for each name of `on_epoch_end`'s logs, of floats, or of arrays where a metric has several values.  The
        ``"val_"`` lists are shorter where ``validation_freq`` skipped epochs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.on_train_begin()

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start anew."""
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}
        # Epochs of each list above, counted from 1: they differ where validation_freq skips some.
        self._epochs: dict[str, list[int]] = {}

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the epoch's loss and metrics."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self._epochs.setdefault(name, []).append(epoch + 1)

    def plot(self, path: str | PathLike[str] | None = None) -> Figure:
        """Draw the learning curves: the losses in one panel, and each metric with its validation in one of its own.

        Parameters
        ----------
        path : str or path-like, optional
            Where to save the figure; its ending chooses the format, as in ``Figure.savefig``.

        Returns
        -------
        matplotlib.figure.Figure
            Independent of pyplot: it needs no display, opens no window and need not be closed.

        Raises
        ------
        ImportError
            Where matplotlib is not installed.
        ValueError
            Where no epoch has finished.
        """
        return plots.learning_curves(self._panels(), path)

    def text_plot(self, width: int = 72, height: int = 12) -> str:
        """Draw the learning curve in plain characters, for a terminal without matplotlib.

        Parameters
        ----------
        width, height : int
            Columns and rows of one panel, axes included; at least 24 × 4.

        Returns
        -------
        str
            As in `plot`: a panel of losses, and one of each metric. Where a value is not finite, the
            curve leads straight to the next that is.

        Raises
        ------
        ValueError
            Where no epoch has finished, or the panel is too small.
        """
        if width < 24 or height < 4:
            raise ValueError(f"width and height must be at least 24 and 4, got {width} and {height}")
        return "\n\n".join(plots.text_panel(curves, width, height) for _, curves in self._panels())

    def _panels(self) -> list[tuple[str, list[plots.Curve]]]:
        """Label and curves of each panel: the losses, and each metric with its validation."""
        if not self.history:
            raise ValueError("there is no finished epoch to draw")
        stems = dict.fromkeys(name.removeprefix("val_") for name in self.history)
        return [
            (stem, [curve for name in (stem, f"val_{stem}") if name in self.history for curve in self._curves(name)])
            for stem in ("loss", *(stem for stem in stems if stem != "loss"))
            if stem in stems
        ]

    def _curves(self, name: str) -> list[plots.Curve]:
        """The values of a name: one curve, or one for each of a metric's values."""
        values = np.array(self.history[name], np.float64).reshape(len(self.history[name]), -1)
        if values.shape[1] == 1:
            return [(name, self._epochs[name], values[:, 0])]
        return [(f"{name}[{i}]", self._epochs[name], column) for i, column in enumerate(values.T)]
