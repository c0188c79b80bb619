"""The networks that are trained: sizes, data, first weights, and the loss that judges what was learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Weights = list[tuple[np.ndarray, np.ndarray]]  # (kernel (in, out), bias (out,)) of each layer


class Case(NamedTuple):
    """One row of the table.  `samples` is a multiple of `batch`."""

    sizes: tuple[int, ...]
    activation: str  # of the hidden layers
    loss: str  # mse, bce (binary, from logits) or ce (sparse categorical, from logits)
    optimizer: str  # sgd or adam
    batch: int
    samples: int  # so few that an epoch takes some 10 ms, so many that they do not stay in the second cache
    learning_rate: float

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return self.samples // self.batch

    @property
    def parameters(self) -> int:
        return sum((n_in + 1) * n_out for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def flops(self) -> int:
        """Floating-point operations of a step's matrix products: forward, and two backward, one for the first layer."""
        products = [n_in * n_out for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False)]
        return 2 * self.batch * (3 * sum(products) - products[0])

    @property
    def update_bytes(self) -> int:
        """Bytes that a float32 step cannot but read and write once: the parameters, and Adam's two moments."""
        return 2 * 4 * self.parameters * (3 if self.optimizer == "adam" else 1)

    def describe(self) -> str:
        sizes = "-".join(map(str, self.sizes))
        loss = {"mse": "MSE", "bce": "BCE", "ce": "CE"}[self.loss]
        optimizer = {"sgd": "SGD", "adam": "Adam"}[self.optimizer]
        return f"{sizes} {self.activation}, {self.batch:,}, {loss}, {optimizer}"


CASES = {
    "xor_b1": Case((2, 2, 1), "sigmoid", "bce", "sgd", 1, 1024, 0.1),
    "xor_b4": Case((2, 2, 1), "sigmoid", "bce", "sgd", 4, 4096, 0.1),
    "tiny": Case((10, 32, 32, 1), "relu", "mse", "adam", 32, 6400, 1e-3),
    "policy": Case((17, 64, 64, 6), "tanh", "mse", "adam", 64, 6400, 1e-3),
    "tabular": Case((64, 128, 64, 1), "relu", "bce", "adam", 128, 12800, 1e-3),
    "digits": Case((64, 128, 10), "relu", "ce", "adam", 32, 1792, 1e-3),
    "mnist_b128": Case((784, 256, 128, 10), "relu", "ce", "adam", 128, 5120, 1e-3),
    "mnist_b1": Case((784, 256, 128, 10), "relu", "ce", "sgd", 1, 1024, 0.01),
    "wide": Case((1024, 1024, 1024, 10), "relu", "ce", "adam", 256, 1024, 1e-3),
    "deep": Case((128, *[128] * 8, 10), "relu", "ce", "adam", 64, 3200, 1e-3),
    "fullbatch": Case((64, 128, 10), "relu", "ce", "sgd", 50000, 50000, 0.1),
}


# fmt: off
WIDTHS = [8, 15, 16, 17, 31, 33, 45, 46, 64, 65, 100, 127, 128, 129, 200, 256, 257, 384, 512, 513, 768, 1024]
# fmt: on


def sweep_case(width: int) -> Case:
    """What `python -m benchmarks sweep` trains at each width."""
    return Case((10, width, width, 10), "relu", "ce", "adam", 128, 1280, 1e-3)


def data(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """x float32 (N, in), and y: int32 classes for ce, else float32 (N, out); what a random teacher says."""
    rng = np.random.default_rng(0)
    if case.sizes[0] == 2:
        x = np.tile(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), (case.samples // 4, 1))
        return x, (x[:, :1] != x[:, 1:]).astype(np.float32)
    x = rng.standard_normal((case.samples, case.sizes[0]), dtype=np.float32)
    teacher = x @ rng.standard_normal((case.sizes[0], case.sizes[-1]), dtype=np.float32) / np.sqrt(case.sizes[0])
    if case.loss == "ce":
        return x, teacher.argmax(1).astype(np.int32)
    return x, (np.tanh(teacher) if case.loss == "mse" else teacher > 0).astype(np.float32)


def first_weights(case: Case) -> Weights:
    """The same Glorot-uniform start for every peer."""
    rng = np.random.default_rng(1)
    start = []
    for n_in, n_out in zip(case.sizes, case.sizes[1:], strict=False):
        limit = np.sqrt(6 / (n_in + n_out))
        start.append((rng.uniform(-limit, limit, (n_in, n_out)).astype(np.float32), np.zeros(n_out, np.float32)))
    return start


def loss_of(case: Case, weights: Weights, x: np.ndarray, y: np.ndarray) -> float:
    """The loss of a network, in float64 NumPy: what all peers are judged by."""
    functions: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }
    a = x.astype(np.float64)
    for i, (kernel, bias) in enumerate(weights):
        a = a @ kernel.astype(np.float64) + bias
        if i < len(weights) - 1:
            a = functions[case.activation](a)
    if case.loss == "mse":
        return float(((a - y) ** 2).mean())
    if case.loss == "bce":
        return float((np.logaddexp(0, a) - a * y).mean())
    m = a.max(1, keepdims=True)
    return float((m[:, 0] + np.log(np.exp(a - m).sum(1)) - a[np.arange(len(y)), y]).mean())
