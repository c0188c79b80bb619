"""Gradient descent: one fused pass over parameters, gradients and state.

An optimizer serves models through `compile`, and any writable NumPy arrays on its own:

>>> import numpy as np
>>> from fastnn import optimizers
>>> w = np.array([1.0, 2.0])
>>> sgd = optimizers.SGD(learning_rate=0.5)
>>> sgd.apply(np.array([1.0, -1.0]), w)
>>> w
array([0.5, 2.5])

Update rules, names and defaults are Keras 3's.  `schedules` has learning rates that change from step to step.
"""

from typing import Any

from .. import serialization, validation
from ..serialization import serialize
from . import schedules
from .base import Optimizer
from .rules import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_CLASSES: dict[str, type[Optimizer]] = {
    kind.__name__: kind for kind in (SGD, Adagrad, RMSprop, Adadelta, Adam, AdamW, Adamax, Nadam, Lion)
}
_NAMED = {name.lower(): kind for name, kind in _CLASSES.items()}


def get(identifier: str | dict[str, Any] | Optimizer | type[Optimizer]) -> Optimizer:
    """The optimizer of a class's name, in any case, with its defaults, or of what `serialize` returned.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or anything else.
    """
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        identifier = identifier.lower()
    return validation.lookup("optimizer", identifier, Optimizer, _NAMED)


def deserialize(config: dict[str, Any], custom_objects: dict[str, type[Any]] | None = None) -> Optimizer:
    """The optimizer that `serialize` described.

    Parameters
    ----------
    config : dict
        With ``"class_name"`` and ``"config"``.
    custom_objects : dict, optional
        Your own classes, of schedules as well, by name.
    """
    with serialization.custom_object_scope(custom_objects):
        return serialization.deserialize("optimizer", config, Optimizer, _CLASSES)
