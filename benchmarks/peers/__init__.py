"""How each library trains a case, in the configuration that is fastest there."""

from __future__ import annotations

import ctypes.util
import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np

from ..cases import Case, Weights


class Trainer(Protocol):
    """A case made ready in one library: ``Trainer(case, threads)``."""

    unit: int  # steps of the smallest piece of work

    def start(self) -> None:
        """Go back to the first weights and a fresh optimizer."""

    def train(self, units: int, shuffle: bool) -> None:
        """So many pieces, finished when it returns; over the data again and again, in a new order or as it comes."""

    def weights(self) -> Weights: ...


@dataclass(frozen=True)
class Peer:
    """A library in one configuration."""

    requires: tuple[str, ...]  # modules
    module: str  # of this package
    trainer: str  # the class there
    about: str
    environment: dict[str, str] = field(default_factory=dict)
    same_loss: bool = True  # as every other: what it learns can be compared

    def is_installed(self) -> bool:
        return all(importlib.util.find_spec(module) for module in self.requires) and (
            self.trainer != "Fann" or ctypes.util.find_library("floatfann") is not None
        )

    def can(self, case: Case) -> bool:
        """FANN updates after every sample, and knows no ReLU: it takes part where the batch is one sample."""
        return self.trainer != "Fann" or case.batch == 1

    def make(self, case: Case, threads: int) -> Trainer:
        module = importlib.import_module(f".{self.module}", __name__)
        return cast(Trainer, getattr(module, self.trainer)(case, threads))


# Compiled in this process: a pool of compiling processes would stay beside what is measured.
_INDUCTOR = {"TORCHINDUCTOR_CPP_WRAPPER": "1", "TORCHINDUCTOR_COMPILE_THREADS": "1"}

PEERS = {
    "fastnn": Peer(("fastnn",), "with_fastnn", "Fit", "`Sequential.fit`, many epochs in one call"),
    "numpy": Peer((), "with_numpy", "Buffers", "buffers made once, `out=` everywhere, one flat vector to update"),
    "torch": Peer(("torch",), "with_torch", "Eager", "`nn.Sequential`, autograd, the fused optimizer"),
    "torch_compile": Peer(
        ("torch",), "with_torch", "Compiled", "`torch.compile` of the whole step as one graph, C++ wrapper", _INDUCTOR
    ),
    "jax": Peer(("jax", "optax"), "with_jax", "Step", "one jitted call for a step, optax, donated state"),
    "jax_scan": Peer(("jax", "optax"), "with_jax", "Scan", "one jitted call for an epoch: `lax.scan`, donated state"),
    "sklearn": Peer(
        ("sklearn",), "with_sklearn", "Fit", "`MLPClassifier.fit`, `MLPRegressor.fit`, many epochs in one call"
    ),
    "keras": Peer(
        ("keras", "jax"),
        "with_keras",
        "Fit",
        "`Model.fit` on JAX, up to 200 steps in one execution",
        {"KERAS_BACKEND": "jax"},
    ),
    "fann": Peer(
        (),
        "with_fann",
        "Fann",
        "libfloatfann, incremental training; squared error of sigmoids",
        same_loss=False,
    ),
}


class Batches:
    """The rows of one batch after the other, over the data again and again."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.rng = np.random.default_rng(2)
        self.rest: list[np.ndarray] = []

    def epoch(self, shuffle: bool) -> np.ndarray:
        """Rows (steps, batch) of an epoch."""
        n = self.case.samples
        rows = self.rng.permutation(n) if shuffle else np.arange(n)
        return rows.reshape(-1, self.case.batch)

    def next(self, shuffle: bool) -> np.ndarray:
        self.rest = self.rest or list(self.epoch(shuffle)[::-1])
        return self.rest.pop()
