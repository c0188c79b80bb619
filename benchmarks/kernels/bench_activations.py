"""Activations: f(x), and the gradient with respect to x from the gradient with respect to f(x).

In the gradient NumPy and PyTorch have f(x) from the forward pass, as in a network; fastnn and JAX compute it from x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn import activations

from .common import compare, f32, parametrize

SIZES = [(128, 128), (4096, 1024)]


class Activation(NamedTuple):
    """One line of the table.  NumPy's functions work in place where they can; y = f(x)."""

    name: str
    forward: Callable[[np.ndarray, np.ndarray], Any]  # of x, out
    backward: Callable[[np.ndarray, np.ndarray, np.ndarray], Any]  # of y, upstream, out
    torch: str  # in torch.nn.functional
    jax: str  # in jax.nn


def relu(x: np.ndarray, out: np.ndarray) -> None:
    np.maximum(x, 0, out=out)


def relu_gradient(y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.multiply(upstream, y > 0, out=out)


def sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)


def sigmoid_gradient(y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.subtract(1, y, out=out)
    out *= y
    out *= upstream


def tanh(x: np.ndarray, out: np.ndarray) -> None:
    np.tanh(x, out=out)


def tanh_gradient(y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    out *= upstream


def softmax(x: np.ndarray, out: np.ndarray) -> None:
    np.subtract(x, x.max(-1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(-1, keepdims=True)


def softmax_gradient(y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.subtract(upstream, np.einsum("ij,ij->i", y, upstream)[:, None], out=out)
    out *= y


ACTIVATIONS = [
    Activation("relu", relu, relu_gradient, "relu", "relu"),
    Activation("sigmoid", sigmoid, sigmoid_gradient, "sigmoid", "sigmoid"),
    Activation("tanh", tanh, tanh_gradient, "tanh", "tanh"),
    Activation("softmax", softmax, softmax_gradient, "softmax", "softmax"),
]
FOUND = [kernel for kernel in ACTIVATIONS if hasattr(activations, kernel.name)]
BACKWARD = [kernel._replace(name=f"{kernel.name} gradient") for kernel in FOUND]


def arrays(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, upstream = (rng.standard_normal(size, dtype=f32) for _ in range(2))
    return x, upstream, np.empty(size, f32)


@parametrize(FOUND, lambda _: SIZES)
def bench_forward(benchmark: Any, kernel: Activation, size: tuple[int, int], peer: str) -> None:
    x, _, out = arrays(size)
    if peer == "torch":
        import torch

        tx, f = torch.from_numpy(x), getattr(torch.nn.functional, kernel.torch)
        options = {"dim": -1} if kernel.name == "softmax" else {}
        call: Callable[[], Any] = torch.inference_mode()(lambda: f(tx, **options))
    elif peer == "jax":
        import jax

        jx, jitted = jax.numpy.array(x), jax.jit(getattr(jax.nn, kernel.jax))
        call = lambda: jitted(jx).block_until_ready()  # noqa: E731
    elif peer == "numpy":
        call = lambda: (kernel.forward(x, out), out)[1]  # noqa: E731
    else:
        own = getattr(activations, kernel.name)
        call = lambda: own(x, out=out)  # noqa: E731
    expected = np.empty(size)
    kernel.forward(x.astype(np.float64), expected)
    compare(benchmark, kernel, size, peer, call, [call()], [expected])


@parametrize(BACKWARD, lambda _: SIZES)
def bench_backward(benchmark: Any, kernel: Activation, size: tuple[int, int], peer: str) -> None:
    x, upstream, out = arrays(size)
    y = np.empty(size, f32)
    kernel.forward(x, y)
    name = kernel.name.split()[0]
    if peer == "torch":
        import torch

        tx, tu = torch.from_numpy(x).requires_grad_(), torch.from_numpy(upstream)
        options = {"dim": -1} if name == "softmax" else {}
        ty = getattr(torch.nn.functional, kernel.torch)(tx, **options)
        call: Callable[[], Any] = lambda: torch.autograd.grad(ty, tx, tu, retain_graph=True)[0]  # noqa: E731
    elif peer == "jax":
        import jax

        jx, ju, f = jax.numpy.array(x), jax.numpy.array(upstream), getattr(jax.nn, kernel.jax)
        jitted = jax.jit(lambda x, upstream: jax.vjp(f, x)[1](upstream)[0])
        call = lambda: jitted(jx, ju).block_until_ready()  # noqa: E731
    elif peer == "numpy":
        call = lambda: (kernel.backward(y, upstream, out), out)[1]  # noqa: E731
    else:
        own = getattr(activations, name)
        call = lambda: own.gradient(x, upstream, out=out)  # noqa: E731
    y64, expected = np.empty(size), np.empty(size)
    kernel.forward(x.astype(np.float64), y64)
    kernel.backward(y64, upstream.astype(np.float64), expected)
    compare(benchmark, kernel, size, peer, call, [call()], [expected])
