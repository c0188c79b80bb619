"""Matrix products of a dense layer: forward x W, the weights' gradient xᵀ d, the inputs' gradient d Wᵀ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn.kernels import core

from .common import HAS_TORCH, compare, f32, parametrize

SHAPES = [  # batch, in, out
    (32, 10, 32),
    (32, 64, 128),
    (128, 64, 128),
    (128, 784, 256),
    (128, 128, 10),
    (1, 784, 256),
    (256, 1024, 1024),
    (1024, 1024, 1024),
]


class Product(NamedTuple):
    name: str
    left: str
    right: str


PRODUCTS = [
    Product("forward", "x", "W"),
    Product("weights' gradient", "xT", "d"),
    Product("inputs' gradient", "d", "WT"),
]


@parametrize(PRODUCTS, lambda _: SHAPES, ["fastnn", "numpy", *(["torch"] if HAS_TORCH else [])])
def bench_product(benchmark: Any, kernel: Product, size: tuple[int, int, int], peer: str) -> None:
    batch, n_in, n_out = size
    rng, kernels = np.random.default_rng(0), core("float32")

    def array(rows: int, columns: int) -> np.ndarray:
        flat: np.ndarray = kernels.aligned(rows * columns)  # on a cache line, as a model's own
        flat[...] = rng.standard_normal(rows * columns, dtype=f32)
        return flat.reshape(rows, columns)

    arrays = {"x": array(batch, n_in), "W": array(n_in, n_out), "d": array(batch, n_out)}
    arrays |= {"xT": arrays["x"].T, "WT": arrays["W"].T}
    a, b = arrays[kernel.left], arrays[kernel.right]
    out = array(a.shape[0], b.shape[1])
    if peer == "torch":
        import torch

        ta, tb, tout = map(torch.from_numpy, (a, b, out))
        call: Callable[[], Any] = lambda: torch.mm(ta, tb, out=tout)  # noqa: E731
    elif peer == "numpy":
        call = lambda: np.matmul(a, b, out=out)  # noqa: E731
    else:
        call = lambda: kernels.product(a, b, out)  # noqa: E731
    call()
    compare(benchmark, kernel, size, peer, call, [out], [a.astype(np.float64) @ b.astype(np.float64)])
