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

from .. import validation
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
    "get",
    "schedules",
]

_NAMED = {kind.__name__.lower(): kind for kind in (SGD, Adagrad, RMSprop, Adadelta, Adam, AdamW, Adamax, Nadam, Lion)}


def get(identifier: str | Optimizer | type[Optimizer]) -> Optimizer:
    """The optimizer of a class's name, in any case, with its defaults.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or anything else.
    """
    if isinstance(identifier, str):
        identifier = identifier.lower()
    return validation.lookup("optimizer", identifier, Optimizer, _NAMED)
