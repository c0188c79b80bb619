"""Layers: what a `Sequential` model is made of."""

from __future__ import annotations

from typing import Any

from .base import Input, Layer
from .dense import Dense
from .normalization import BatchNormalization, LayerNormalization, Normalization
from .unweighted import Activation, Dropout, Flatten, Rescaling

__all__ = [
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "Layer",
    "LayerNormalization",
    "Normalization",
    "Rescaling",
    "deserialize",
    "serialize",
]

_CLASSES: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        Activation,
        BatchNormalization,
        Dense,
        Dropout,
        Flatten,
        Input,
        LayerNormalization,
        Normalization,
        Rescaling,
    )
}


def serialize(layer: Layer) -> dict[str, Any]:
    """Class and configuration of a layer, as JSON can hold them; not its weights."""
    return {"class_name": type(layer).__name__, "config": layer.get_config()}


def deserialize(config: dict[str, Any], custom_objects: dict[str, type[Layer]] | None = None) -> Layer:
    """The layer that `serialize` described, with no weights yet.

    Raises
    ------
    ValueError
        For a class that is neither a layer of fastnn nor in `custom_objects`.
    """
    classes = {**_CLASSES, **(custom_objects or {})}
    name = config["class_name"]
    if name not in classes:
        raise ValueError(f"layer is of class {name!r}, expected one of {', '.join(classes)}, or in custom_objects")
    return classes[name].from_config(config["config"])
