"""The table of a model's layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..layers import Activation, Dense

if TYPE_CHECKING:
    from .network import Network


def text(model: Network, line_length: int, show_trainable: bool) -> str:
    """What `Sequential.summary` prints, of a model that is built where it can be."""
    built = model._engine is not None
    rows = [["Layer", "Activation", "Output shape", *(["Trainable"] if show_trainable else []), "Parameters"]]
    known = model._known_inputs()
    for layer in model.layers:
        known = layer.n_out or layer.known_outputs(known)
        trained = "yes" if model.trainable and layer.trainable else "no"
        rows.append(
            [
                f"{layer.name} ({type(layer).__name__})",
                layer.activation.name if isinstance(layer, (Dense, Activation)) else "",
                f"(None, {known or '?'})",
                *([trained] if show_trainable else []),
                f"{layer.count_params():,}" if built else "not built",
            ]
        )
    *widths, last = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[-1].rjust(last)]) for row in rows
    ]
    rule = "─" * max(line_length, *map(len, lines))
    result = [f'Model "{model.name}", {model.dtype.name}', rule, lines[0], rule, *lines[1:], rule]
    if built:
        total, trained_size = model.count_params(), model.parameters.size
        for what, size in (("Total", total), ("Trainable", trained_size), ("Non-trainable", total - trained_size)):
            result.append(f"{what} params: {size:,} ({size * model.dtype.itemsize / 1024:,.2f} KiB)")
    return "\n".join(result)
