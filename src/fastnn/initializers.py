"""How kernels and biases start: Keras 3's initializers.

A model gives each layer random numbers of its own, drawn from the model's seed; an initializer with a `seed` draws from
that instead, the same numbers at every call.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import serialization, validation
from .serialization import serialize

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "constant",
    "get",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "serialize",
    "truncated_normal",
    "variance_scaling",
    "zeros",
]

# Standard deviation of a standard normal number that is drawn again as long as it is beyond 2.
_TRUNCATED = 0.87962566103423978


class Initializer:
    """Makes the first values of a layer's kernel or bias; one of your own defines `draw`."""

    seed: int | None = None

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator | None = None) -> np.ndarray:
        """Values of the given shape, float64, from the initializer's own seed or else from `rng`.

        Without either they are others at every call.
        """
        own = np.random.default_rng(self.seed) if self.seed is not None or rng is None else rng
        return self.draw(tuple(shape), own)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Values of the given shape, float64, drawn from `rng`."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The initializer that `get_config` described."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"


def _seed(value: Any) -> int | None:
    return None if value is None else validation.integer("seed", value, high=2**64 - 1)


class Zeros(Initializer):
    """All zeros."""

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.zeros(shape)


class Ones(Initializer):
    """All ones."""

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.ones(shape)


class Constant(Initializer):
    """Given values.

    Parameters
    ----------
    value : float or array_like
        One everywhere, or values that broadcast to what is initialised, as those of a bias.
    """

    def __init__(self, value: Any = 0.0) -> None:
        given = validation.real("value", value, "a number, or an array of them")
        if not np.isfinite(given).all():
            raise ValueError(f"value is {value!r}, expected a finite number, or an array of them")
        self.value: Any = given.astype(np.float64).tolist()

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        try:
            return np.broadcast_to(self.value, shape)
        except ValueError:
            raise ValueError(f"value has shape {np.shape(self.value)}, expected what broadcasts to {shape}") from None


class RandomNormal(Initializer):
    """Normal numbers.

    Parameters
    ----------
    mean : float
    stddev : float, at least 0
    seed : int, optional
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = validation.number("mean", mean)
        self.stddev = validation.number("stddev", stddev, low=0)
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return rng.normal(self.mean, self.stddev, shape)


class TruncatedNormal(RandomNormal):
    """Normal numbers, those further than two `stddev` from the mean drawn again.

    Parameters
    ----------
    mean : float
    stddev : float, at least 0
        Before truncation.
    seed : int, optional
    """

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return self.mean + self.stddev * _truncated_normal(shape, rng)


class RandomUniform(Initializer):
    """Uniform numbers in [minval, maxval).

    Parameters
    ----------
    minval, maxval : float
    seed : int, optional
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval = validation.number("minval", minval)
        self.maxval = validation.number("maxval", maxval, low=self.minval)
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return rng.uniform(self.minval, self.maxval, shape)


class VarianceScaling(Initializer):
    """Numbers of the variance ``scale / fan``: the number of a kernel's inputs, of its outputs, or the mean of both.

    Parameters
    ----------
    scale : float, above 0
    mode : {"fan_in", "fan_out", "fan_avg"}
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
    seed : int, optional
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        self.scale = validation.number("scale", scale, low=0, open_low=True)
        self.mode = validation.choice("mode", mode, ("fan_in", "fan_out", "fan_avg"))
        self.distribution = validation.choice(
            "distribution", distribution, ("truncated_normal", "untruncated_normal", "uniform")
        )
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        fan_in, fan_out = (shape[0], shape[-1]) if shape else (1, 1)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "truncated_normal":
            return math.sqrt(variance) / _TRUNCATED * _truncated_normal(shape, rng)
        if self.distribution == "untruncated_normal":
            return rng.normal(0, math.sqrt(variance), shape)
        limit = math.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)


class _Fixed(VarianceScaling):
    """A `VarianceScaling` of which the seed alone is left to choose."""

    _scaling: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._scaling, seed)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


class GlorotUniform(_Fixed):
    """Uniform in [-r, r), r = √(6/(n_in + n_out)): keeps the variance of activations and of gradients alike.

    Parameters
    ----------
    seed : int, optional

    References
    ----------
    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    """

    _scaling = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Fixed):
    """Truncated normal of variance 2/(n_in + n_out); see `GlorotUniform`."""

    _scaling = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Fixed):
    """Uniform in [-r, r), r = √(6/n_in): for ReLU, which halves the variance.

    Parameters
    ----------
    seed : int, optional

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    _scaling = (2.0, "fan_in", "uniform")


class HeNormal(_Fixed):
    """Truncated normal of variance 2/n_in; see `HeUniform`."""

    _scaling = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Fixed):
    """Uniform in [-r, r), r = √(3/n_in).

    Parameters
    ----------
    seed : int, optional

    References
    ----------
    LeCun, Bottou, Orr and Müller, "Efficient backprop", 1998; for SELU: Klambauer et al., "Self-normalizing neural
    networks", NeurIPS 2017.
    """

    _scaling = (1.0, "fan_in", "uniform")


class LecunNormal(_Fixed):
    """Truncated normal of variance 1/n_in; see `LecunUniform`."""

    _scaling = (1.0, "fan_in", "truncated_normal")


class Orthogonal(Initializer):
    """`gain` times a random matrix of orthonormal columns, or rows where there are more columns.

    Parameters
    ----------
    gain : float
    seed : int, optional

    References
    ----------
    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks", ICLR 2014.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        self.gain = validation.number("gain", gain)
        self.seed = _seed(seed)

    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        if len(shape) != 2:
            raise ValueError(f"shape is {shape}, expected two dimensions for an orthogonal matrix")
        q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
        q *= np.where(np.diag(r) < 0, -1, 1)  # of all such matrices, each as likely as another
        result: np.ndarray = self.gain * (q if shape[0] >= shape[1] else q.T)
        return result


def _truncated_normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Standard normal numbers in [-2, 2]."""
    x = rng.standard_normal(shape)
    while (far := np.abs(x) > 2).any():
        x[far] = rng.standard_normal(int(far.sum()))
    return x


# Keras's other names of the classes.
constant = Constant
glorot_normal = GlorotNormal
glorot_uniform = GlorotUniform
he_normal = HeNormal
he_uniform = HeUniform
lecun_normal = LecunNormal
lecun_uniform = LecunUniform
ones = Ones
orthogonal = Orthogonal
random_normal = RandomNormal
random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
zeros = Zeros

_NAMED: dict[str, type[Initializer]] = {
    "constant": constant,
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "lecun_normal": lecun_normal,
    "lecun_uniform": lecun_uniform,
    "ones": ones,
    "orthogonal": orthogonal,
    "random_normal": random_normal,
    "random_uniform": random_uniform,
    "truncated_normal": truncated_normal,
    "variance_scaling": variance_scaling,
    "zeros": zeros,
}
_CLASSES: dict[str, type[Initializer]] = {kind.__name__: kind for kind in _NAMED.values()}


def get(identifier: str | dict[str, Any] | Initializer | type[Initializer]) -> Initializer:
    """The initializer of a name, such as glorot_uniform, he_normal or zeros, or of what `serialize` returned.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or anything else.
    """
    if isinstance(identifier, dict):
        return serialization.deserialize("initializer", identifier, Initializer, _CLASSES)
    return validation.lookup("initializer", identifier, Initializer, _NAMED)
