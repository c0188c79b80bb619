"""Optimizers: one update of a vector of parameters, with its state.

A new optimizer is one entry of `OPTIMIZERS`; what fastnn does not have is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastnn import optimizers

from .common import HAS_JAX, HAS_TORCH, compare, f32, parametrize

SIZES = [1000, 100_000, 10_000_000]
PEERS = [
    "fastnn",
    "numpy",
    *(["torch fused", "torch foreach"] if HAS_TORCH else []),
    *(["optax"] if HAS_JAX else []),
]
CHECKED_STEPS = 3
RATE = 0.01

State = dict[str, Any]
Step = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], None]


class Optimizer(NamedTuple):
    """One entry.  NumPy's function takes w, g, two vectors of state and one for scratch, and the number of the step."""

    name: str
    fastnn: str  # class in fastnn.optimizers
    options: dict[str, Any]
    numpy: Step
    torch: tuple[str, dict[str, Any]]  # class in torch.optim, its options
    optax: tuple[str, dict[str, Any]]
    start: float = 0.0  # of the first vector of state
    fuses: bool = True  # in PyTorch


def sgd(w: np.ndarray, g: np.ndarray, v: np.ndarray, _: np.ndarray, scratch: np.ndarray, t: int) -> None:
    np.multiply(g, RATE, out=scratch)
    w -= scratch


def momentum(w: np.ndarray, g: np.ndarray, v: np.ndarray, _: np.ndarray, scratch: np.ndarray, t: int) -> None:
    v *= 0.9
    np.multiply(g, RATE, out=scratch)
    v += scratch
    w -= v


def nesterov(w: np.ndarray, g: np.ndarray, v: np.ndarray, _: np.ndarray, scratch: np.ndarray, t: int) -> None:
    v *= 0.9
    np.multiply(g, RATE, out=scratch)
    v += scratch
    w -= scratch
    np.multiply(v, 0.9, out=scratch)
    w -= scratch


def adagrad(w: np.ndarray, g: np.ndarray, a: np.ndarray, _: np.ndarray, scratch: np.ndarray, t: int) -> None:
    np.multiply(g, g, out=scratch)
    a += scratch
    _divide_by_root(w, g, a, scratch)


def rmsprop(w: np.ndarray, g: np.ndarray, v: np.ndarray, _: np.ndarray, scratch: np.ndarray, t: int) -> None:
    np.multiply(g, g, out=scratch)
    scratch *= 0.1
    v *= 0.9
    v += scratch
    _divide_by_root(w, g, v, scratch)


def _divide_by_root(w: np.ndarray, g: np.ndarray, v: np.ndarray, scratch: np.ndarray) -> None:
    np.sqrt(v, out=scratch)
    scratch += 1e-7
    np.divide(g, scratch, out=scratch)
    scratch *= RATE
    w -= scratch


def adam(w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, scratch: np.ndarray, t: int) -> None:
    root = (1 - 0.999**t) ** 0.5
    np.multiply(g, 0.1, out=scratch)
    m *= 0.9
    m += scratch
    np.multiply(g, g, out=scratch)
    scratch *= 0.001
    v *= 0.999
    v += scratch
    np.sqrt(v, out=scratch)
    scratch += 1e-8 * root
    np.divide(m, scratch, out=scratch)
    scratch *= RATE * root / (1 - 0.9**t)
    w -= scratch


def adamw(w: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, scratch: np.ndarray, t: int) -> None:
    w *= 1 - RATE * 0.004
    adam(w, g, m, v, scratch, t)


# fmt: off
OPTIMIZERS = [
    Optimizer("SGD", "SGD", {}, sgd, ("SGD", {}), ("sgd", {})),
    Optimizer("SGD, momentum", "SGD", {"momentum": 0.9}, momentum,
              ("SGD", {"momentum": 0.9}), ("sgd", {"momentum": 0.9})),
    Optimizer("SGD, Nesterov", "SGD", {"momentum": 0.9, "nesterov": True}, nesterov,
              ("SGD", {"momentum": 0.9, "nesterov": True}), ("sgd", {"momentum": 0.9, "nesterov": True})),
    Optimizer("Adagrad", "Adagrad", {"initial_accumulator_value": 0.1}, adagrad,
              ("Adagrad", {"initial_accumulator_value": 0.1}), ("adagrad", {"initial_accumulator_value": 0.1}), 0.1),
    Optimizer("RMSprop", "RMSprop", {"rho": 0.9}, rmsprop, ("RMSprop", {"alpha": 0.9}), ("rmsprop", {"decay": 0.9}),
              fuses=False),
    Optimizer("Adam", "Adam", {"epsilon": 1e-8}, adam, ("Adam", {}), ("adam", {})),
    Optimizer("AdamW", "AdamW", {"epsilon": 1e-8, "weight_decay": 0.004}, adamw, ("AdamW", {"weight_decay": 0.004}),
              ("adamw", {"weight_decay": 0.004})),
]
# fmt: on
FOUND = [kernel for kernel in OPTIMIZERS if hasattr(optimizers, kernel.fastnn)]


@parametrize(FOUND, lambda _: SIZES, PEERS)
def bench_update(benchmark: Any, kernel: Optimizer, size: int, peer: str) -> None:
    rng = np.random.default_rng(0)
    w, g = (rng.standard_normal(size, dtype=f32) for _ in range(2))
    g += np.copysign(f32(0.1), g)  # or ε, which everyone adds at another place, would show
    w64, g64, scratch = w.astype(np.float64), g.astype(np.float64), np.empty(size)
    first, second = np.full(size, kernel.start), np.zeros(size)
    for t in range(1, CHECKED_STEPS + 1):
        kernel.numpy(w64, g64, first, second, scratch, t)
    result: Callable[[], Any] = lambda: w  # noqa: E731
    if peer.startswith("torch"):
        import torch

        if peer == "torch foreach" and kernel.options.get("nesterov"):
            pytest.skip("it writes into the gradient")
        if peer == "torch fused" and not kernel.fuses:
            pytest.skip("PyTorch has none")
        how = {peer.split()[1]: True}
        parameter = torch.nn.Parameter(torch.from_numpy(w))
        parameter.grad = torch.from_numpy(g)
        name, options = kernel.torch
        call: Callable[[], Any] = getattr(torch.optim, name)([parameter], lr=RATE, **options, **how).step
    elif peer == "optax":
        import jax
        import optax

        name, options = kernel.optax
        optimizer = getattr(optax, name)(RATE, **options)

        def update(w: Any, state: Any, g: Any) -> Any:
            change, state = optimizer.update(g, state, w)
            return optax.apply_updates(w, change), state

        jitted, jg = jax.jit(update, donate_argnums=(0, 1)), jax.numpy.array(g)
        now = [jax.numpy.array(w)]
        now.append(optimizer.init(now[0]))

        def call() -> Any:
            now[:] = jax.block_until_ready(jitted(*now, jg))

        result = lambda: now[0]  # noqa: E731
    elif peer == "numpy":
        states, own_scratch, steps = (np.full(size, kernel.start, f32), np.zeros(size, f32)), np.empty(size, f32), [0]

        def call() -> Any:
            steps[0] += 1
            kernel.numpy(w, g, *states, own_scratch, steps[0])
    else:
        own = getattr(optimizers, kernel.fastnn)(RATE, **kernel.options)

        def call() -> Any:
            own.apply(g, w)

    for _ in range(CHECKED_STEPS):
        call()
    compare(benchmark, kernel, size, peer, call, [np.array(result())], [w64])
