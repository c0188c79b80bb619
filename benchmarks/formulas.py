"""What the losses' benchmark compares: each loss as fastnn has it, in NumPy by hand, for JAX and for PyTorch.

A new loss is one entry of `LOSSES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

ELEMENTWISE = [(1000, 1), (100_000, 1), (10_000_000, 1)]  # samples of one output
ROWS = [(128, 10), (4096, 1000)]  # samples, classes

f32 = np.float32
Arrays = tuple[np.ndarray, np.ndarray]
Draw = Callable[[np.random.Generator, tuple[int, int]], Arrays]


class Loss(NamedTuple):
    """One entry: y and p are targets and predictions, both (N, K), or labels (N,) for sparse losses."""

    name: str
    fastnn: str  # class in fastnn.losses
    options: dict[str, Any]
    draw: Draw
    numpy: Callable[[np.ndarray, np.ndarray, np.ndarray], float]  # of y, p, out: the cost; its gradient in out
    jax: Callable[[Any, Any, Any], Any]  # of jax.numpy, y, p: the cost
    torch: Callable[[Any, Any, Any], Any]  # of torch.nn.functional, y, p: the cost

    @property
    def sizes(self) -> list[tuple[int, int]]:
        return ROWS if self.draw in (one_hot, labels, distributions, class_probabilities) else ELEMENTWISE


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
    return rng.integers(0, size[1], size[0]), rng.standard_normal(size, dtype=f32)


def distributions(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    y, p = (rng.random(size, dtype=f32) + f32(0.1) for _ in range(2))
    return y / y.sum(1, keepdims=True), p / p.sum(1, keepdims=True)


def class_probabilities(rng: np.random.Generator, size: tuple[int, int]) -> Arrays:
    return one_hot(rng, size)[0], distributions(rng, size)[1]


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


def quantile(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    np.subtract(p, y, out=out)
    below = out < 0
    slope = np.where(below, out.dtype.type(-0.9), out.dtype.type(0.1))
    cost = np.vdot(slope, out) / out.size
    np.multiply(slope, 1 / out.size, out=out)
    return float(cost)


def poisson(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    cost = (p - y * np.log(p)).mean()
    np.divide(y, p, out=out)
    np.subtract(1, out, out=out)
    out *= 1 / out.size
    return float(cost)


def gamma(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    np.divide(y, p, out=out)
    cost = (out + np.log(p)).mean()
    np.subtract(1, out, out=out)
    out /= p
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


def focal_logits(y: np.ndarray, z: np.ndarray, out: np.ndarray) -> float:
    e = np.exp(-np.abs(z))
    s = np.where(z < 0, e, 1) / (1 + e)
    b = np.maximum(z, 0) - z * y + np.log1p(e)
    m = y + s * (1 - 2 * y)
    cost = (m * m * b).mean()
    np.multiply(2 * (1 - 2 * y) * s * (1 - s), b, out=out)
    out += m * (s - y)
    m *= 1 / out.size
    out *= m
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


def cce(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    total = p.sum(1, keepdims=True)
    q = np.clip(p / total, 1e-7, 1 - 1e-7)
    cost = -(y * np.log(q)).sum() / len(p)
    np.divide(y, q, out=out)
    np.subtract(y.sum(1, keepdims=True), out, out=out)
    out /= total * len(p)
    return float(cost)


def categorical_hinge(y: np.ndarray, p: np.ndarray, out: np.ndarray) -> float:
    rows = np.arange(len(p))
    others = (1 - y) * p
    top = others.argmax(1)
    margin = np.maximum(others[rows, top] - np.einsum("ij,ij->i", y, p) + 1, 0)
    live = (margin > 0) / len(p)
    np.multiply(y, -live[:, None], out=out)
    out[rows, top] += live * (1 - y[rows, top])
    return float(margin.mean())


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


def categorical_focal_logits(y: np.ndarray, z: np.ndarray, out: np.ndarray) -> float:
    shifted = z - z.max(1, keepdims=True)
    np.exp(shifted, out=out)
    total = out.sum(1, keepdims=True)
    out /= total
    shifted -= np.log(total)
    wrong = 1 - out
    weighted = y * wrong
    weighted *= 0.25
    cost = -np.vdot(weighted, wrong * shifted) / len(z)
    weighted *= 2 * shifted * out - wrong
    wrong *= weighted
    out *= weighted.sum(1, keepdims=True) - weighted
    np.subtract(wrong, out, out=out)
    out *= 1 / len(z)
    return float(cost)


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
         lambda jnp, y, p: ((p - y) ** 2).mean(), lambda f, y, p: f.mse_loss(p, y)),
    Loss("mean absolute error", "MeanAbsoluteError", {}, real, mae,
         lambda jnp, y, p: jnp.abs(p - y).mean(), lambda f, y, p: f.l1_loss(p, y)),
    Loss("mean absolute percentage error", "MeanAbsolutePercentageError", {}, positive, mape,
         lambda jnp, y, p: 100 * jnp.abs((p - y) / jnp.maximum(jnp.abs(y), 1e-7)).mean(),
         lambda f, y, p: 100 * ((p - y) / y.abs().clamp(min=1e-7)).abs().mean()),
    Loss("mean squared logarithmic error", "MeanSquaredLogarithmicError", {}, positive, msle,
         lambda jnp, y, p: ((jnp.log1p(p) - jnp.log1p(y)) ** 2).mean(),
         lambda f, y, p: f.mse_loss(p.log1p(), y.log1p())),
    Loss("Huber", "Huber", {}, real, huber,
         lambda jnp, y, p: jnp.where(jnp.abs(p - y) <= 1, (p - y) ** 2 / 2, jnp.abs(p - y) - 0.5).mean(),
         lambda f, y, p: f.huber_loss(p, y)),
    Loss("log-cosh", "LogCosh", {}, real, log_cosh,
         lambda jnp, y, p: (jnp.logaddexp(p - y, y - p) - np.log(2)).mean(),
         lambda f, y, p: (p - y + f.softplus(-2 * (p - y)) - np.log(2)).mean()),
    Loss("quantile", "Quantile", {"q": 0.9}, real, quantile,
         lambda jnp, y, p: jnp.maximum(0.9 * (y - p), 0.1 * (p - y)).mean(),
         lambda f, y, p: (0.9 * (y - p)).maximum(0.1 * (p - y)).mean()),
    Loss("Poisson", "Poisson", {}, positive, poisson,
         lambda jnp, y, p: (p - y * jnp.log(p)).mean(),
         lambda f, y, p: f.poisson_nll_loss(p, y, log_input=False, eps=0.0)),
    Loss("gamma", "Gamma", {}, positive, gamma,
         lambda jnp, y, p: (y / p + jnp.log(p)).mean(), lambda f, y, p: (y / p + p.log()).mean()),
    Loss("hinge", "Hinge", {}, signs, hinge,
         lambda jnp, y, p: jnp.maximum(1 - y * p, 0).mean(), lambda f, y, p: f.relu(1 - y * p).mean()),
    Loss("squared hinge", "SquaredHinge", {}, signs, squared_hinge,
         lambda jnp, y, p: (jnp.maximum(1 - y * p, 0) ** 2).mean(), lambda f, y, p: (f.relu(1 - y * p) ** 2).mean()),
    Loss("binary cross-entropy", "BinaryCrossentropy", {}, binary, bce,
         lambda jnp, y, p: -(y * jnp.log(p) + (1 - y) * jnp.log1p(-p)).mean(),
         lambda f, y, p: f.binary_cross_entropy(p, y)),
    Loss("binary cross-entropy of logits", "BinaryCrossentropy", LOGITS, binary_logits, bce_logits,
         lambda jnp, y, z: (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z)))).mean(),
         lambda f, y, z: f.binary_cross_entropy_with_logits(z, y)),
    Loss("binary focal cross-entropy of logits", "BinaryFocalCrossentropy", LOGITS, binary_logits, focal_logits,
         lambda jnp, y, z: (abs(y - 1 / (1 + jnp.exp(-z))) ** 2
                            * (jnp.maximum(z, 0) - z * y + jnp.log1p(jnp.exp(-jnp.abs(z))))).mean(),
         lambda f, y, z: ((y - z.sigmoid()) ** 2
                          * f.binary_cross_entropy_with_logits(z, y, reduction="none")).mean()),
    Loss("categorical cross-entropy", "CategoricalCrossentropy", {}, class_probabilities, cce,
         lambda jnp, y, p: -(y * jnp.log(jnp.clip(p / p.sum(1, keepdims=True), 1e-7, 1 - 1e-7))).sum(1).mean(),
         lambda f, y, p: -(y * (p / p.sum(1, keepdim=True)).clamp(1e-7, 1 - 1e-7).log()).sum(1).mean()),
    Loss("categorical cross-entropy of logits", "CategoricalCrossentropy", LOGITS, one_hot, cce_logits,
         lambda jnp, y, z: -(y * log_softmax(jnp, z)).sum(1).mean(), lambda f, y, z: f.cross_entropy(z, y)),
    Loss("categorical cross-entropy of logits, smoothed", "CategoricalCrossentropy", LOGITS | {"label_smoothing": 0.1},
         one_hot, cce_smooth,
         lambda jnp, y, z: -((y * 0.9 + 0.1 / z.shape[1]) * log_softmax(jnp, z)).sum(1).mean(),
         lambda f, y, z: f.cross_entropy(z, y, label_smoothing=0.1)),
    Loss("sparse categorical cross-entropy of logits", "SparseCategoricalCrossentropy", LOGITS, labels, scce_logits,
         lambda jnp, y, z: -jnp.take_along_axis(log_softmax(jnp, z), y[:, None], 1).mean(),
         lambda f, y, z: f.cross_entropy(z, y)),
    Loss("categorical focal cross-entropy of logits", "CategoricalFocalCrossentropy", LOGITS, one_hot,
         categorical_focal_logits,
         lambda jnp, y, z: -(0.25 * y * (1 - jnp.exp(log_softmax(jnp, z))) ** 2 * log_softmax(jnp, z)).sum(1).mean(),
         lambda f, y, z: -(0.25 * y * (1 - f.softmax(z, 1)) ** 2 * f.log_softmax(z, 1)).sum(1).mean()),
    Loss("categorical hinge", "CategoricalHinge", {}, one_hot, categorical_hinge,
         lambda jnp, y, p: jnp.maximum(((1 - y) * p).max(1) - (y * p).sum(1) + 1, 0).mean(),
         lambda f, y, p: f.relu(((1 - y) * p).max(1).values - (y * p).sum(1) + 1).mean()),
    Loss("Kullback-Leibler divergence", "KLDivergence", {}, distributions, kl_divergence,
         lambda jnp, y, p: (y * jnp.log(y / p)).sum(1).mean(),
         lambda f, y, p: f.kl_div(p.log(), y, reduction="batchmean")),
    Loss("cosine similarity", "CosineSimilarity", {}, one_hot, cosine,
         lambda jnp, y, p: -((y * p).sum(1) / jnp.sqrt((y * y).sum(1) * (p * p).sum(1))).mean(),
         lambda f, y, p: -f.cosine_similarity(p, y, dim=1).mean()),
]
# fmt: on
