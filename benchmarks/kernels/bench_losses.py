"""Losses: the cost of all samples and its gradient with respect to the predictions.

A new loss is one entry of `LOSSES`; what fastnn does not have is passed over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn import losses

from .common import HAS_TORCH, compare, f32, parametrize

ELEMENTWISE = [(1000, 1), (100_000, 1), (10_000_000, 1)]  # samples of one output
ROWS = [(128, 10), (4096, 1000)]  # samples, classes

Arrays = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, tuple[int, int]], Arrays]

if HAS_TORCH:
    import torch
    from torch.nn import functional


class Loss(NamedTuple):
    """One entry: y and p are targets and predictions, both (N, K), or labels (N,) for sparse losses."""

    name: str
    fastnn: str  # class in fastnn.losses
    options: dict[str, Any]
    draw: Draw
    numpy: Callable[[np.ndarray, np.ndarray, np.ndarray], float]  # of y, p, out: the cost; its gradient in out
    jax: Callable[[Any, Any, Any], Any]  # of jax.numpy, y, p: the cost
    torch: Callable[[Any, Any], Any]  # of y, p: the cost


# ---- targets and predictions -----------------------------------------------------------------------------------------


def real(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    return rng.standard_normal(size, dtype=f32), rng.standard_normal(size, dtype=f32)


def positive(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    return rng.random(size, dtype=f32) + f32(0.5), rng.random(size, dtype=f32) + f32(0.5)


def binary(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    return (rng.random(size) > 0.5).astype(f32), rng.random(size, dtype=f32) * f32(0.9) + f32(0.05)


def binary_logits(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    return (rng.random(size) > 0.5).astype(f32), rng.standard_normal(size, dtype=f32)


def signs(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    return np.where(rng.random(size) > 0.5, f32(1), f32(-1)), rng.standard_normal(size, dtype=f32)


def one_hot(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    return np.eye(size[1], dtype=f32)[rng.integers(0, size[1], size[0])], rng.standard_normal(size, dtype=f32)


def labels(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    return rng.integers(0, size[1], size[0]).astype(np.int32), rng.standard_normal(size, dtype=f32)


def distributions(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    y, p = (rng.random(size, dtype=f32) + f32(0.1) for _ in range(2))
    return y / y.sum(1, keepdims=True), p / p.sum(1, keepdims=True)


# ---- NumPy's: cost, and gradient into out ----------------------------------------------------------------------------


def mse(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    np.subtract(p, y, out=out)
    cost = np.vdot(out, out) / out.size
    out *= 2 / out.size
    return float(cost)


def mae(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    np.subtract(p, y, out=out)
    cost = np.abs(out).mean()
    np.sign(out, out=out)
    out *= 1 / out.size
    return float(cost)


def mape(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    np.subtract(p, y, out=out)
    scale = 100 / np.maximum(np.abs(y), 1e-7)
    cost = (np.abs(out) * scale).mean()
    np.sign(out, out=out)
    scale *= 1 / out.size
    out *= scale
    return float(cost)


def msle(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    np.log1p(p, out=out)
    out -= np.log1p(y)
    cost = np.vdot(out, out) / out.size
    out *= 2 / out.size
    out /= p + 1
    return float(cost)


def huber(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    d = p - y
    np.clip(d, -1, 1, out=out)
    cost = (np.vdot(out, d) - 0.5 * np.vdot(out, out)) / out.size
    out *= 1 / out.size
    return float(cost)


def log_cosh(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    d = p - y
    a = np.abs(d)
    cost = (a + np.log1p(np.exp(-2 * a))).mean() - np.log(2)
    np.tanh(d, out=out)
    out *= 1 / out.size
    return float(cost)


def poisson(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    cost = (p - y * np.log(p)).mean()
    np.divide(y, p, out=out)
    np.subtract(1, out, out=out)
    out *= 1 / out.size
    return float(cost)


def bce(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    q = 1 - p
    cost = -(y * np.log(p) + (1 - y) * np.log(q)).mean()
    np.subtract(p, y, out=out)
    q *= p
    out /= q
    out *= 1 / out.size
    return float(cost)


def bce_logits(y: np.ndarray, z: np.ndarray, out: np.ndarray) -> float:
    cost = (np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))).mean()
    np.negative(z, out=out)
    np.exp(out, out=out)
    out += 1
    np.reciprocal(out, out=out)
    out -= y
    out *= 1 / out.size
    return float(cost)


def hinge(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    margin = 1 - y * p
    cost = np.maximum(margin, 0).mean()
    np.multiply(y, margin > 0, out=out)
    out *= -1 / out.size
    return float(cost)


def squared_hinge(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    margin = np.maximum(1 - y * p, 0)
    cost = np.vdot(margin, margin) / out.size
    np.multiply(y, margin, out=out)
    out *= -2 / out.size
    return float(cost)


def cosine(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    p_norm = np.sqrt(np.einsum("ij,ij->i", p, p))[:, None]
    y_unit = y / np.sqrt(np.einsum("ij,ij->i", y, y))[:, None]
    similarity = np.einsum("ij,ij->i", y_unit, p)[:, None] / p_norm
    np.multiply(p, similarity / p_norm, out=out)
    out -= y_unit
    out /= p_norm * len(p)
    return float(-similarity.mean())


def kl_divergence(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    np.divide(y, p, out=out)
    cost = (y * np.log(out)).sum() / len(p)
    out *= -1 / len(p)
    return float(cost)


def cce_logits(y: np.ndarray, z: np.ndarray, out: np.ndarray) -> float:
    shifted = z - z.max(1, keepdims=True)
    np.exp(shifted, out=out)
    total = out.sum(1, keepdims=True)
    cost = (np.log(total[:, 0]) - np.einsum("ij,ij->i", y, shifted)).mean()
    out /= total
    out -= y
    out *= 1 / len(z)
    return float(cost)


def cce_smooth(y: np.ndarray, z: np.ndarray, out: np.ndarray) -> float:
    return cce_logits(y * 0.9 + 0.1 / z.shape[1], z, out)


def scce_logits(y: np.ndarray, z: np.ndarray, out: np.ndarray) -> float:
    rows = np.arange(len(z))
    shifted = z - z.max(1, keepdims=True)
    np.exp(shifted, out=out)
    total = out.sum(1, keepdims=True)
    cost = (np.log(total[:, 0]) - shifted[rows, y]).mean()
    out /= total
    out[rows, y] -= 1
    out *= 1 / len(z)
    return float(cost)


def log_softmax(jnp: Any, z: Any) -> Any:
    shifted = z - z.max(1, keepdims=True)
    return shifted - jnp.log(jnp.exp(shifted).sum(1, keepdims=True))


LOGITS = {"from_logits": True}
# fmt: off
LOSSES = [
    Loss("mean squared error", "MeanSquaredError", {}, real, mse,
         lambda jnp, y, p: ((p - y) ** 2).mean(), lambda y, p: functional.mse_loss(p, y)),
    Loss("mean absolute error", "MeanAbsoluteError", {}, real, mae,
         lambda jnp, y, p: jnp.abs(p - y).mean(), lambda y, p: functional.l1_loss(p, y)),
    Loss("mean absolute percentage error", "MeanAbsolutePercentageError", {}, positive, mape,
         lambda jnp, y, p: 100 * jnp.abs((p - y) / jnp.maximum(jnp.abs(y), 1e-7)).mean(),
         lambda y, p: 100 * ((p - y) / y.abs().clamp(min=1e-7)).abs().mean()),
    Loss("mean squared logarithmic error", "MeanSquaredLogarithmicError", {}, positive, msle,
         lambda jnp, y, p: ((jnp.log1p(p) - jnp.log1p(y)) ** 2).mean(),
         lambda y, p: functional.mse_loss(p.log1p(), y.log1p())),
    Loss("Huber", "Huber", {}, real, huber,
         lambda jnp, y, p: jnp.where(jnp.abs(p - y) <= 1, (p - y) ** 2 / 2, jnp.abs(p - y) - 0.5).mean(),
         lambda y, p: functional.huber_loss(p, y)),
    Loss("log-cosh", "LogCosh", {}, real, log_cosh,
         lambda jnp, y, p: (jnp.logaddexp(p - y, y - p) - np.log(2)).mean(),
         lambda y, p: (p - y + functional.softplus(-2 * (p - y)) - np.log(2)).mean()),
    Loss("Poisson", "Poisson", {}, positive, poisson,
         lambda jnp, y, p: (p - y * jnp.log(p)).mean(),
         lambda y, p: functional.poisson_nll_loss(p, y, log_input=False, eps=0.0)),
    Loss("binary cross-entropy", "BinaryCrossentropy", {}, binary, bce,
         lambda jnp, y, p: -(y * jnp.log(p) + (1 - y) * jnp.log1p(-p)).mean(),
         lambda y, p: functional.binary_cross_entropy(p, y)),
    Loss("binary cross-entropy of logits", "BinaryCrossentropy", LOGITS, binary_logits, bce_logits,
         lambda jnp, y, z: (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean(),
         lambda y, z: functional.binary_cross_entropy_with_logits(z, y)),
    Loss("hinge", "Hinge", {}, signs, hinge,
         lambda jnp, y, p: jnp.maximum(1 - y * p, 0).mean(), lambda y, p: functional.relu(1 - y * p).mean()),
    Loss("squared hinge", "SquaredHinge", {}, signs, squared_hinge,
         lambda jnp, y, p: (jnp.maximum(1 - y * p, 0) ** 2).mean(),
         lambda y, p: (functional.relu(1 - y * p) ** 2).mean()),
    Loss("cosine similarity", "CosineSimilarity", {}, one_hot, cosine,
         lambda jnp, y, p: -((y * p).sum(1) / jnp.sqrt((y * y).sum(1) * (p * p).sum(1))).mean(),
         lambda y, p: -functional.cosine_similarity(p, y, dim=1).mean()),
    Loss("Kullback-Leibler divergence", "KLDivergence", {}, distributions, kl_divergence,
         lambda jnp, y, p: (y * jnp.log(y / p)).sum(1).mean(),
         lambda y, p: functional.kl_div(p.log(), y, reduction="batchmean")),
    Loss("cross-entropy of logits", "CategoricalCrossentropy", LOGITS, one_hot, cce_logits,
         lambda jnp, y, z: -(y * log_softmax(jnp, z)).sum(1).mean(), lambda y, z: functional.cross_entropy(z, y)),
    Loss("cross-entropy of logits, smoothed", "CategoricalCrossentropy", LOGITS | {"label_smoothing": 0.1}, one_hot,
         cce_smooth, lambda jnp, y, z: -((y * 0.9 + 0.1 / z.shape[1]) * log_softmax(jnp, z)).sum(1).mean(),
         lambda y, z: functional.cross_entropy(z, y, label_smoothing=0.1)),
    Loss("sparse cross-entropy of logits", "SparseCategoricalCrossentropy", LOGITS, labels, scce_logits,
         lambda jnp, y, z: -log_softmax(jnp, z)[jnp.arange(len(y)), y].mean(),
         lambda y, z: functional.cross_entropy(z, y.long())),
]
# fmt: on
OF_ROWS = (one_hot, labels, distributions)
FOUND = [kernel for kernel in LOSSES if hasattr(losses, kernel.fastnn)]


@parametrize(FOUND, lambda kernel: ROWS if kernel.draw in OF_ROWS else ELEMENTWISE)
def bench_value_and_gradient(benchmark: Any, kernel: Loss, size: tuple[int, int], peer: str) -> None:
    y, p = kernel.draw(np.random.default_rng(0), size)
    out = np.empty_like(p)
    if peer == "torch":
        ty, tp = torch.from_numpy(y), torch.from_numpy(p).requires_grad_()
        ty = ty.long() if kernel.draw is labels else ty

        def call() -> Any:
            cost = kernel.torch(ty, tp)
            return cost.detach(), torch.autograd.grad(cost, tp)[0]
    elif peer == "jax":
        import jax

        jy, jp = jax.numpy.array(y), jax.numpy.array(p)
        jitted = jax.jit(jax.value_and_grad(lambda p, y: kernel.jax(jax.numpy, y, p)))

        def call() -> Any:
            return jax.block_until_ready(jitted(jp, jy))
    elif peer == "numpy":

        def call() -> Any:
            return kernel.numpy(y, p, out), out
    else:
        loss = getattr(losses, kernel.fastnn)(**kernel.options)

        def call() -> Any:
            return loss.value_and_gradient(y, p, out=out)

    y64 = y if kernel.draw is labels else y.astype(np.float64)
    gradient = np.empty(p.shape)
    cost = kernel.numpy(y64, p.astype(np.float64), gradient)
    compare(benchmark, kernel, size, peer, call, list(call()), [cost, gradient])
