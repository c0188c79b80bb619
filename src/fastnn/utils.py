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
    "PyDataset",
    "Sequence",
    "clear_session",
    "custom_object_scope",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "normalize",
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


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """Each vector along an axis over its norm; a vector of zeros stays.

    Parameters
    ----------
    x : array_like
    axis : int
    order : int, at least 1
        Of the norm: (Σ |x|^order)^(1/order).

    Returns
    -------
    ndarray
        Of the shape of x, float32 where x is, and float64 otherwise.

    Examples
    --------
    >>> from fastnn.utils import normalize
    >>> normalize([[3, 4], [0, 0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    given = np.atleast_1d(validation.array("x", x, validation.floating("x", x)))
    order = validation.integer("order", order, low=1)
    axis = validation.integer("axis", axis, low=-given.ndim, high=given.ndim - 1)
    norm = np.linalg.norm(given, order, axis, keepdims=True)
    return given / np.where(norm == 0, 1, norm)


def clear_session(free_memory: bool = True) -> None:
    """Do nothing: nothing is kept from one model to the next, as it is where scripts have to call this."""


class PyDataset:
    """Base of data sets that give their batches by number: subclass it, or write a class that has the same methods.

    A subclass defines ``__len__`` and ``__getitem__(index)``, which returns ``(x, y)`` or ``(x, y, sample_weight)``.  A
    pass takes the batches in their order, one after the other as training needs them.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        How Keras is to fetch batches ahead; taken, and of no effect here.
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __len__(self) -> int:
        """How many batches there are."""
        raise NotImplementedError(f"{type(self).__name__} has no __len__, expected the number of batches")

    def __getitem__(self, index: int) -> Any:
        """A batch, by its number from 0."""
        raise NotImplementedError(f"{type(self).__name__} has no __getitem__, expected the batch of a number")

    def on_epoch_end(self) -> None:
        """After each pass, to shuffle for one."""


Sequence = PyDataset  # as Keras's was called
