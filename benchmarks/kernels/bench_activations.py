"""Activations: f(x), and the gradient with respect to x from the gradient with respect to f(x).

In the gradient NumPy and PyTorch have f(x) from the forward pass, as in a network; fastnn and JAX compute it from x.
gelu is SciPy's in the column of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from fastnn import activations

from .common import compare, f32, parametrize

SIZES = [(128, 128), (4096, 1024)]


class Activation(NamedTuple):
    """One line of the table.  NumPy's functions work in place where they can; y = f(x)."""

    name: str
    forward: Callable[[np.ndarray, np.ndarray], Any]  # of x, out
    backward: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Any]  # of x, y, upstream, out
    function: str = ""  # in fastnn.activations, torch.nn.functional and jax.nn, where it is not the name
    options: dict[str, Any] = {}  # noqa: RUF012  # fastnn's and JAX's
    torch: dict[str, Any] = {}  # noqa: RUF012


def relu(x: np.ndarray, out: np.ndarray) -> None:
    np.maximum(x, 0, out=out)


def relu_gradient(_x: np.ndarray, y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.multiply(upstream, y > 0, out=out)


def leaky_relu(x: np.ndarray, out: np.ndarray) -> None:
    np.multiply(x, 0.2, out=out)
    np.maximum(x, out, out=out)


def leaky_relu_gradient(x: np.ndarray, _y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.multiply(upstream, 0.2, out=out)
    np.copyto(out, upstream, where=x > 0)


def elu(x: np.ndarray, out: np.ndarray) -> None:
    np.expm1(x, out=out)
    np.copyto(out, x, where=x > 0)


def elu_gradient(_x: np.ndarray, y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.minimum(y, 0, out=out)
    out += 1
    out *= upstream


def sigmoid(x: np.ndarray, out: np.ndarray) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)


def sigmoid_gradient(_x: np.ndarray, y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.subtract(1, y, out=out)
    out *= y
    out *= upstream


def tanh(x: np.ndarray, out: np.ndarray) -> None:
    np.tanh(x, out=out)


def tanh_gradient(_x: np.ndarray, y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.multiply(y, y, out=out)
    np.subtract(1, out, out=out)
    out *= upstream


def softplus(x: np.ndarray, out: np.ndarray) -> None:
    np.logaddexp(x, 0, out=out)


def softplus_gradient(x: np.ndarray, _y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    sigmoid(x, out)
    out *= upstream


def silu(x: np.ndarray, out: np.ndarray) -> None:
    sigmoid(x, out)
    out *= x


def silu_gradient(x: np.ndarray, _y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    sigmoid(x, out)
    out *= 1 + x * (1 - out)
    out *= upstream


def gelu(x: np.ndarray, out: np.ndarray) -> None:
    ndtr(x, out=out)
    out *= x


def gelu_gradient(x: np.ndarray, _y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    ndtr(x, out=out)
    out += x * np.exp(-0.5 * x * x) * x.dtype.type(0.3989422804014327)
    out *= upstream


def gelu_tanh(x: np.ndarray, out: np.ndarray) -> None:
    silu(1.5957691216057308 * x * (1 + 0.044715 * x * x), out)
    out /= 1.5957691216057308 * (1 + 0.044715 * x * x)


def gelu_tanh_gradient(x: np.ndarray, _y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    x2 = x * x
    sigmoid(1.5957691216057308 * x * (1 + 0.044715 * x2), out)
    out *= 1 + x * (1.5957691216057308 * (1 + 0.134145 * x2)) * (1 - out)
    out *= upstream


def mish(x: np.ndarray, out: np.ndarray) -> None:
    np.logaddexp(x, 0, out=out)
    np.tanh(out, out=out)
    out *= x


def mish_gradient(x: np.ndarray, _y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    t = np.tanh(np.logaddexp(x, 0))
    sigmoid(x, out)
    out *= x * (1 - t * t)
    out += t
    out *= upstream


def hard_silu(x: np.ndarray, out: np.ndarray) -> None:
    np.add(x, 3, out=out)
    np.clip(out, 0, 6, out=out)
    out *= x
    out /= 6


def hard_silu_gradient(x: np.ndarray, _y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.add(x, 1.5, out=out)
    out /= 3
    np.copyto(out, 0, where=x <= -3)
    np.copyto(out, 1, where=x >= 3)
    out *= upstream


def softmax(x: np.ndarray, out: np.ndarray) -> None:
    np.subtract(x, x.max(-1, keepdims=True), out=out)
    np.exp(out, out=out)
    out /= out.sum(-1, keepdims=True)


def softmax_gradient(_x: np.ndarray, y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.subtract(upstream, np.einsum("ij,ij->i", y, upstream)[:, None], out=out)
    out *= y


def log_softmax(x: np.ndarray, out: np.ndarray) -> None:
    np.subtract(x, x.max(-1, keepdims=True), out=out)
    out -= np.log(np.exp(out).sum(-1, keepdims=True))


def log_softmax_gradient(_x: np.ndarray, y: np.ndarray, upstream: np.ndarray, out: np.ndarray) -> None:
    np.exp(y, out=out)
    out *= -upstream.sum(-1, keepdims=True)
    out += upstream


ALONG_ROWS = {"dim": -1}  # PyTorch's
ACTIVATIONS = [
    Activation("relu", relu, relu_gradient),
    Activation("leaky_relu", leaky_relu, leaky_relu_gradient, "", {"negative_slope": 0.2}, {"negative_slope": 0.2}),
    Activation("elu", elu, elu_gradient),
    Activation("sigmoid", sigmoid, sigmoid_gradient),
    Activation("tanh", tanh, tanh_gradient),
    Activation("softplus", softplus, softplus_gradient),
    Activation("silu", silu, silu_gradient),
    Activation("gelu", gelu, gelu_gradient, "gelu", {"approximate": False}),
    Activation(
        "gelu, approximate", gelu_tanh, gelu_tanh_gradient, "gelu", {"approximate": True}, {"approximate": "tanh"}
    ),
    Activation("mish", mish, mish_gradient),
    Activation("hard_silu", hard_silu, hard_silu_gradient),
    Activation("softmax", softmax, softmax_gradient, torch=ALONG_ROWS),
    Activation("log_softmax", log_softmax, log_softmax_gradient, torch=ALONG_ROWS),
]
BACKWARD = [
    kernel._replace(name=f"{kernel.name} gradient", function=kernel.function or kernel.name) for kernel in ACTIVATIONS
]
IN_TORCH = {"hard_silu": "hardswish"}


def of_torch(kernel: Activation) -> Callable[[Any], Any]:
    from torch.nn import functional

    name = kernel.function or kernel.name
    return partial(getattr(functional, IN_TORCH.get(name, name)), **kernel.torch)


def of_jax(kernel: Activation) -> Callable[[Any], Any]:
    import jax

    return partial(getattr(jax.nn, kernel.function or kernel.name), **kernel.options)


def of_fastnn(kernel: Activation) -> activations.Activation:
    return activations.get(kernel.function or kernel.name).with_parameters(**kernel.options)


def arrays(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x, upstream = (rng.standard_normal(size, dtype=f32) for _ in range(2))
    return x, upstream, np.empty(size, f32)


@parametrize(ACTIVATIONS, lambda _: SIZES)
def bench_forward(benchmark: Any, kernel: Activation, size: tuple[int, int], peer: str) -> None:
    x, _, out = arrays(size)
    if peer == "torch":
        import torch

        tx, f = torch.from_numpy(x), of_torch(kernel)
        call: Callable[[], Any] = torch.inference_mode()(lambda: f(tx))
    elif peer == "jax":
        import jax

        jx, jitted = jax.numpy.array(x), jax.jit(of_jax(kernel))
        call = lambda: jitted(jx).block_until_ready()  # noqa: E731
    elif peer == "numpy":
        call = lambda: (kernel.forward(x, out), out)[1]  # noqa: E731
    else:
        own = of_fastnn(kernel)
        call = lambda: own(x, out=out)  # noqa: E731
    expected = np.empty(size)
    kernel.forward(x.astype(np.float64), expected)
    compare(benchmark, kernel, size, peer, call, [call()], [expected])


@parametrize(BACKWARD, lambda _: SIZES)
def bench_backward(benchmark: Any, kernel: Activation, size: tuple[int, int], peer: str) -> None:
    x, upstream, out = arrays(size)
    y = np.empty(size, f32)
    kernel.forward(x, y)
    if peer == "torch":
        import torch

        tx, tu = torch.from_numpy(x).requires_grad_(), torch.from_numpy(upstream)
        ty = of_torch(kernel)(tx)
        call: Callable[[], Any] = lambda: torch.autograd.grad(ty, tx, tu, retain_graph=True)[0]  # noqa: E731
    elif peer == "jax":
        import jax

        jx, ju, f = jax.numpy.array(x), jax.numpy.array(upstream), of_jax(kernel)
        jitted = jax.jit(lambda x, upstream: jax.vjp(f, x)[1](upstream)[0])
        call = lambda: jitted(jx, ju).block_until_ready()  # noqa: E731
    elif peer == "numpy":
        call = lambda: (kernel.backward(x, y, upstream, out), out)[1]  # noqa: E731
    else:
        own = of_fastnn(kernel)
        call = lambda: own.gradient(x, upstream, out=out)  # noqa: E731
    y64, expected = np.empty(size), np.empty(size)
    kernel.forward(x.astype(np.float64), y64)
    kernel.backward(x.astype(np.float64), y64, upstream.astype(np.float64), expected)
    compare(benchmark, kernel, size, peer, call, [call()], [expected])
