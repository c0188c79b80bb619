"""What scripts need besides models: one-hot targets, one seed for everything, and names for one's own classes."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from . import validation
from .serialization import (
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)

__all__ = [
    "CustomObjectScope",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "register_keras_serializable",
    "set_random_seed",
    "to_categorical",
]

CustomObjectScope = custom_object_scope

_seeds: np.random.Generator | None = None  # of models to come, where set_random_seed was called


def set_random_seed(seed: int) -> None:
    """Seed all that is drawn from now on: models without a seed of their own, NumPy's and Python's global generators.

    Parameters
    ----------
    seed : int from 0 to 2**32 - 1
    """
    global _seeds
    seed = validation.integer("seed", seed, high=2**32 - 1)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - it is what scripts draw from
    _seeds = np.random.default_rng(seed)


def new_seed() -> int:
    """A seed for a model, from `set_random_seed` or else from the operating system."""
    if _seeds is not None:
        return int(_seeds.integers(2**64, dtype=np.uint64))
    return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """One-hot rows of integer labels, float64.

    Parameters
    ----------
    x : array_like (…) of integers from 0, or (…, 1)
    num_classes : int, optional
        One more than the largest label by default.

    Returns
    -------
    ndarray (…, num_classes)

    Examples
    --------
    >>> from fastnn.utils import to_categorical
    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    given = validation.real("x", x, "integer labels")
    given = given[..., 0] if given.ndim > 1 and given.shape[-1] == 1 else given
    if num_classes is None:
        num_classes = int(given.max(initial=0)) + 1
    classes = validation.integer("num_classes", num_classes, low=1)
    rows: np.ndarray = np.eye(classes)[validation.labels("x", given, given.shape, classes)]
    return rows
