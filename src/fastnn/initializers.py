"""How kernels and biases start."""

from __future__ import annotations

import numpy as np

from . import validation

__all__ = ["GlorotUniform", "Initializer", "Zeros", "get"]


class Initializer:
    """Makes the first values of a layer's kernel or bias."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Values of the given shape, float64, drawn from `rng`."""
        raise NotImplementedError


class GlorotUniform(Initializer):
    """Uniform in [-r, r], r = sqrt(6/(n_in + n_out)): keeps the variance of activations and of gradients alike
    (Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010).
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        limit = np.sqrt(6.0 / sum(shape))
        return rng.uniform(-limit, limit, shape)


class Zeros(Initializer):
    """All zeros."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.zeros(shape)


_NAMED = {"glorot_uniform": GlorotUniform, "zeros": Zeros}


def get(identifier: str | Initializer | type[Initializer]) -> Initializer:
    """The initializer of a name: glorot_uniform or zeros."""
    return validation.lookup("initializer", identifier, Initializer, _NAMED)
