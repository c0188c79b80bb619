"""What the kernels' benchmarks share: which peers are there, and how one is checked and timed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_JAX = all(importlib.util.find_spec(name) for name in ("jax", "optax"))
PEERS = ["fastnn", "numpy", *(["torch"] if HAS_TORCH else []), *(["jax"] if HAS_JAX else [])]
TOLERANCE = 2e-3  # relative to the largest element: some sum ten million float32 in float32

f32 = np.float32


def parametrize(
    kernels: Iterable[Any], sizes: Callable[[Any], Iterable[Any]], peers: Iterable[str] = PEERS
) -> pytest.MarkDecorator:
    """Each kernel (by its `name`) at each of its sizes, the peers next to each other."""
    peers = list(peers)
    cells = [
        pytest.param(kernel, size, peer, id=f"{kernel.name}, {_text(size)}, {peer}")
        for kernel in kernels
        for size in sizes(kernel)
        for peer in peers
    ]
    return pytest.mark.parametrize(("kernel", "size", "peer"), cells)


def _text(size: Any) -> str:
    return " x ".join(map(str, size)) if isinstance(size, tuple) else str(size)


def compare(
    benchmark: Any, kernel: Any, size: Any, peer: str, call: Callable[[], Any], got: list[Any], expected: list[Any]
) -> None:
    """Hold what was got to what is expected, then time the call, in the group of this kernel and size."""
    for own, other in zip(got, expected, strict=True):
        a, b = np.asarray(own, np.float64), np.asarray(other, np.float64)
        assert np.abs(a.reshape(b.shape) - b).max() <= TOLERANCE * np.abs(b).max(), f"{kernel.name}: {peer}"
    benchmark.group = f"{kernel.name}, {_text(size)}"
    benchmark.extra_info["peer"] = peer
    benchmark(call)


def single_thread() -> None:
    """The pools' sizes come from the environment; PyTorch is told."""
    if HAS_TORCH:
        import torch

        torch.set_num_threads(1)
