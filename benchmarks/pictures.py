"""The pictures of the documentation, as small SVG files that are the same for the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .kernels.command import comparisons
from .sweep import series
from .train import MEANINGFUL, by_case, in_words

COLOURS = {
    "fastnn": "#d62728",
    "numpy": "#1f77b4",
    "torch": "#ff7f0e",
    "torch_compile": "#ffbb78",
    "jax": "#98df8a",
    "jax_scan": "#2ca02c",
    "sklearn": "#9467bd",
    "keras": "#8c564b",
    "fann": "#7f7f7f",
}


def _figure(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    # The text stays text, which is small; the identifiers and the date do not change from run to run.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastnn", "font.size": 9})
    from matplotlib import pyplot

    result: tuple[Any, Any] = pyplot.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained"
    )
    return result


def _save(figure: Any, path: Path) -> bool:
    from matplotlib import pyplot

    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return True


def train(document: dict[str, Any], path: Path) -> bool:
    """Time of a step, a line for each case, a point for each peer."""
    threads = sorted({row["threads"] for row in document["results"]}, key=lambda n: (n == 0, n))
    names = list(by_case(document["results"]))
    figure, axes = _figure(1, len(threads), 5.2 * len(threads), 0.42 * len(names) + 1.6)
    for n, ax in zip(threads, axes[0], strict=True):
        cases = by_case([row for row in document["results"] if row["threads"] == n])
        for y, name in enumerate(names):
            found = cases.get(name, {})
            times = [1e6 * row["median"] for row in found.values()]
            if times:
                ax.plot([min(times), max(times)], [y, y], color="#dddddd", linewidth=4, zorder=0)
            own = found.get("fastnn")
            if own and own["limit"] > MEANINGFUL:
                ax.plot(1e6 * own["limit"], y, "|", color="black", markersize=11, label="limit")
            for peer, row in found.items():
                style = {"marker": "D", "markersize": 7} if peer == "fastnn" else {"marker": "o", "markersize": 5}
                ax.plot(1e6 * row["median"], y, linestyle="", color=COLOURS[peer], label=peer, **style)
        ax.set(xscale="log", xlabel="µs per step", title=in_words(n), yticks=range(len(names)), yticklabels=names)
        ax.invert_yaxis()
        ax.grid(axis="x", alpha=0.3)
    handles: dict[str, Any] = {}
    for ax in axes[0]:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False)
    return _save(figure, path)


def sweep(document: dict[str, Any], path: Path) -> bool:
    """Time of a step and GFLOP/s over the width."""
    figure, axes = _figure(1, 2, 10, 3.6)
    left, right = axes[0]
    for (peer, n), rows in series(document["results"]).items():
        widths = [row["width"] for row in rows]
        style = {
            "color": COLOURS[peer],
            "linestyle": "-" if n == 1 else "--",
            "marker": ".",
            "label": f"{peer}, {in_words(n)}",
        }
        left.plot(widths, [1e6 * row["median"] for row in rows], **style)
        right.plot(widths, [row["flops"] / row["median"] / 1e9 for row in rows], **style)
    left.set(xscale="log", yscale="log", xlabel="width w of 10-w-w-10", ylabel="µs per step")
    right.set(xscale="log", xlabel="width w of 10-w-w-10", ylabel="GFLOP/s")
    for ax in (left, right):
        ax.grid(alpha=0.3)
    left.legend(frameon=False)
    return _save(figure, path)


def kernels(document: dict[str, Any], path: Path) -> bool:
    """The fastest peer's time over fastnn's, a bar for each kernel."""
    found = [one for one in comparisons(document["results"]) if one.ratio]
    if not found:
        return False
    kinds = list(dict.fromkeys(one.kind for one in found))
    figure, axes = _figure(1, 1, 7, 0.17 * len(found) + 1)
    ax = axes[0][0]
    for y, one in enumerate(found):
        ax.barh(y, (one.ratio or 1) - 1, left=1, height=0.7, color=f"C{kinds.index(one.kind)}")
    labels = [one.kernel for one in found]
    ax.set(xscale="log", xlabel="fastest peer's time / fastnn's", yticks=range(len(found)), yticklabels=labels)
    ax.set_xticks(ticks := [0.25, 0.5, 1, 2, 4, 8], [f"{tick:g}×" for tick in ticks])
    ax.minorticks_off()
    ax.tick_params(axis="y", labelsize=6)
    ax.axvline(1, color="black", linewidth=0.8)
    ax.invert_yaxis()
    ax.margins(y=0.005)
    return _save(figure, path)
