"""Pictures of trainings and of models, by matplotlib, and learning curves in plain characters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3  # panels side by side
_BINS = 60

Curve: TypeAlias = "tuple[str, Sequence[int], Any]"  # name, epochs, values


def _figure(panels: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, of this size each, without pyplot and so without a display."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('plotting needs matplotlib: pip install "fastnn[plot]"') from error
    rows = -(-panels // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for empty in axes[panels:]:
        empty.remove()
    return figure, list(axes[:panels])


def learning_curves(panels: Sequence[tuple[str, Sequence[Curve]]], path: str | PathLike[str] | None) -> Figure:
    """A panel of curves over the epochs for each label, saved where there is a path."""
    from_one = "o"  # one value is no line: without a marker it would not show
    figure, axes = _figure(len(panels), min(len(panels), _COLUMNS), (5.5, 4.0))
    from matplotlib.ticker import MaxNLocator

    for ax, (label, curves) in zip(axes, panels, strict=True):
        for name, epochs, values in curves:
            ax.plot(epochs, values, label=name, marker=from_one if len(values) == 1 else "")
        ax.set_xlabel("epoch")
        ax.set_ylabel(label)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(alpha=0.3)
        ax.legend()
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def layers(
    names: Sequence[str],
    weights: Sequence[Mapping[str, np.ndarray]],
    outputs: Sequence[np.ndarray] | None,
    gradients: Sequence[Mapping[str, np.ndarray]] | None,
    path: str | PathLike[str] | None,
) -> Figure:
    """A row of panels for each layer, the distributions of its weights and outputs, and the norms of all gradients.

    Parameters
    ----------
    names : list of str
        Of the layers.
    weights : list of dict from name to ndarray
        Of each layer, which may have none.
    outputs : list of ndarray, optional
        Of each layer, for some samples.
    gradients : list of dict from name to ndarray, optional
        As `weights`.
    path : str or path-like, optional
        Where to save the figure.
    """
    columns = 1 + (outputs is not None)
    rows = len(names) + (gradients is not None)
    figure, axes = _figure(rows * columns, columns, (5.5, 2.2))
    for row, name in enumerate(names):
        here = axes[row * columns : (row + 1) * columns]
        _histograms(here[0], f"{name}: weights", weights[row])
        if outputs is not None:
            _histograms(here[1], f"{name}: outputs", {"output": outputs[row]})
    if gradients is not None:
        for ax in axes[-columns:]:
            ax.remove()
        ax = figure.add_subplot(rows, columns, (rows * columns - columns + 1, rows * columns))
        norms = [
            (f"{name}.{part}", float(np.linalg.norm(array.astype(np.float64))))
            for name, own in zip(names, gradients, strict=True)
            for part, array in own.items()
        ]
        ax.bar([label for label, _ in norms], [norm for _, norm in norms])
        ax.set_ylabel("norm")
        ax.set_title("gradients of the mean loss", fontsize="medium")
        positive = [norm for _, norm in norms if 0 < norm < math.inf]
        if positive:
            ax.set_yscale("log")
            ax.set_ylim(min(positive) / 2, max(positive) * 2)
        ax.grid(alpha=0.3, axis="y")
        ax.tick_params("x", rotation=30)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _histograms(ax: Axes, title: str, arrays: Mapping[str, np.ndarray]) -> None:
    """The distribution of each array's finite elements; above, what it is and how many are 0 or not finite."""
    known = {name: array[np.isfinite(array)] for name, array in arrays.items()}
    values = [value for value in known.values() if value.size]
    if values:
        low, high = min(v.min() for v in values), max(v.max() for v in values)
        edges = np.linspace(low, high, _BINS + 1, dtype=np.float64).tolist() if high > low else [low - 0.5, low + 0.5]
        for name, value in known.items():
            if value.size:
                ax.hist(value.ravel(), bins=edges, alpha=0.6, density=True, label=name)
        ax.legend(fontsize="small")
    else:
        ax.text(0.5, 0.5, "none", ha="center", va="center", transform=ax.transAxes)
    count = sum(array.size for array in arrays.values())
    if count:
        zeros = sum(int((array == 0).sum()) for array in arrays.values()) / count
        lost = count - sum(value.size for value in known.values())
        title += f", {zeros:.0%} are 0" + (f", {lost} are not finite" if lost else "")
    ax.set_title(title, fontsize="medium")
    ax.set_yticks([])


def text_panel(curves: list[Curve], width: int, height: int) -> str:
    """Draw curves of (name, epochs, values) in `height` rows of `width` columns, below one line of legend."""
    marks = "*o+x#@"
    finite = [value for _, _, values in curves for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    first, last = min(curve[1][0] for curve in curves), max(curve[1][-1] for curve in curves)
    columns, rows = width - 12, height - 2
    grid = [[" "] * columns for _ in range(rows)]
    at = np.linspace(first, last, columns if last > first else 1)
    # Drawn from the last curve to the first, so that the training curve stays in sight where two meet.
    for index, (_, epochs, values) in reversed(list(enumerate(curves))):
        known = np.isfinite(values)
        if not known.any():
            continue
        line = np.interp(at, np.array(epochs)[known], np.array(values)[known], left=np.nan, right=np.nan)
        for column in np.flatnonzero(np.isfinite(line)):
            row = round((high - line[column]) / (high - low) * (rows - 1)) if high > low else rows - 1
            grid[row][column] = marks[index % len(marks)]
    legend = "   ".join(f"{marks[index % len(marks)]} {name}" for index, (name, _, _) in enumerate(curves))
    labels = [f"{high:.4g}" if high > low else "", *[""] * (rows - 2), f"{low:.4g}"]
    lines = [f"{label:>10} |{''.join(cells)}".rstrip() for label, cells in zip(labels, grid, strict=True)]
    ticks = f"{first}{last:>{columns - len(str(first))}}" if last > first else str(first)
    return "\n".join([f"{'':12}{legend}", *lines, f"{'':11}+{'-' * columns}", f"{'epoch':>10}  {ticks}"])
