"""Layers: what a `Sequential` model is made of."""

from __future__ import annotations

from typing import Any

from .. import serialization
from ..serialization import serialize
from .base import Input, Layer
from .dense import Dense
from .normalization import BatchNormalization, LayerNormalization, Normalization
from .unweighted import ELU, Activation, Dropout, Flatten, Identity, LeakyReLU, ReLU, Rescaling, Softmax

__all__ = [
    "ELU",
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Flatten",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Normalization",
    "ReLU",
    "Rescaling",
    "Softmax",
    "deserialize",
    "serialize",
]

_CLASSES: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (
        ELU,
        Activation,
        BatchNormalization,
        Dense,
        Dropout,
        Flatten,
        Identity,
        Input,
        LayerNormalization,
        LeakyReLU,
        Normalization,
        ReLU,
        Rescaling,
        Softmax,
    )
}

InputLayer = Input  # Keras's name of the layer that its `Input` makes


def deserialize(config: dict[str, Any], custom_objects: dict[str, type[Layer]] | None = None) -> Layer:
    """The layer that `serialize` described, with no weights yet.

    Raises
    ------
    ValueError
        For a class that is neither a layer of fastnn nor in `custom_objects`.
    """
    with serialization.custom_object_scope(custom_objects):
        return serialization.deserialize("layer", config, Layer, _CLASSES)


def __getattr__(name: str) -> Any:
    if name[:1].isupper():
        raise AttributeError(
            f"module {__name__!r} has no layer {name}, expected one of {', '.join(_CLASSES)}; "
            "one of your own is a subclass of layers.Layer with forward and backward in NumPy"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
