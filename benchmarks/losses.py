"""Time of every loss, value and gradient, against NumPy, PyTorch and JAX: ``python -m benchmarks.losses``.

Each line is one run in which all take turns, on one thread, in float32; the numbers are medians.  What the others
compute is checked against this package before it is timed.  A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import numpy as np

import fastnn
from fastnn import kernels, losses

Formula = Callable[[Any, Any, Any], Any]  # of a namespace (numpy, torch, jax.numpy), targets and predictions
E7 = 1e-7


def softplus(m: Any, x: Any) -> Any:
    return m.log1p(m.exp(-abs(x))) + m.clip(x, 0, None)


def binary_focal(m: Any, y: Any, z: Any) -> Any:
    p = 1 / (1 + m.exp(-z))
    q = m.clip(p, E7, 1 - E7)
    return ((y * (1 - p) + (1 - y) * p) ** 2 * -(y * m.log(q) + (1 - y) * m.log(1 - q))).mean()


def probabilities(m: Any, p: Any) -> Any:
    return m.clip(p / p.sum(1)[:, None], E7, 1 - E7)


def softmax(m: Any, z: Any) -> Any:
    e = m.exp(z - z.max(1, keepdims=True)) if m is not TORCH else m.softmax(z, 1)
    return e / e.sum(1)[:, None]


TORCH: Any = None
ELEMENTWISE: dict[str, tuple[losses.Loss, str, Formula]] = {
    "MeanSquaredError": (losses.MeanSquaredError(), "real", lambda m, y, p: ((p - y) ** 2).mean()),
    "MeanAbsoluteError": (losses.MeanAbsoluteError(), "real", lambda m, y, p: abs(p - y).mean()),
    "MeanAbsolutePercentageError": (
        losses.MeanAbsolutePercentageError(),
        "positive",
        lambda m, y, p: 100 * (abs(p - y) / m.clip(abs(y), E7, None)).mean(),
    ),
    "MeanSquaredLogarithmicError": (
        losses.MeanSquaredLogarithmicError(),
        "positive",
        lambda m, y, p: ((m.log1p(m.clip(p, E7, None)) - m.log1p(m.clip(y, E7, None))) ** 2).mean(),
    ),
    "Huber": (
        losses.Huber(),
        "real",
        lambda m, y, p: m.where(abs(p - y) <= 1, 0.5 * (p - y) ** 2, abs(p - y) - 0.5).mean(),
    ),
    "LogCosh": (losses.LogCosh(), "real", lambda m, y, p: (p - y + softplus(m, 2 * (y - p)) - np.log(2)).mean()),
    "Quantile": (
        losses.Quantile(0.9),
        "real",
        lambda m, y, p: m.maximum(0.9 * (y - p), -0.1 * (y - p)).mean(),
    ),
    "Poisson": (losses.Poisson(), "positive", lambda m, y, p: (p - y * m.log(p + E7)).mean()),
    "Gamma": (losses.Gamma(), "positive", lambda m, y, p: (y / p + m.log(p)).mean()),
    "Hinge": (losses.Hinge(), "signs", lambda m, y, p: m.clip(1 - y * p, 0, None).mean()),
    "SquaredHinge": (losses.SquaredHinge(), "signs", lambda m, y, p: (m.clip(1 - y * p, 0, None) ** 2).mean()),
    "BinaryCrossentropy": (
        losses.BinaryCrossentropy(),
        "probability",
        lambda m, y, p: -(y * m.log(m.clip(p, E7, 1 - E7)) + (1 - y) * m.log(1 - m.clip(p, E7, 1 - E7))).mean(),
    ),
    "BinaryCrossentropy of logits": (
        losses.BinaryCrossentropy(from_logits=True),
        "binary",
        lambda m, y, z: (softplus(m, z) - y * z).mean(),
    ),
    "BinaryFocalCrossentropy of logits": (losses.BinaryFocalCrossentropy(from_logits=True), "binary", binary_focal),
}
CLASSES: dict[str, tuple[losses.Loss, str, Formula]] = {
    "CategoricalCrossentropy": (
        losses.CategoricalCrossentropy(),
        "one-hot, probability",
        lambda m, y, p: -(y * m.log(probabilities(m, p))).sum(1).mean(),
    ),
    "CategoricalCrossentropy of logits": (
        losses.CategoricalCrossentropy(from_logits=True),
        "one-hot",
        lambda m, y, z: -(y * m.log(softmax(m, z))).sum(1).mean(),
    ),
    "SparseCategoricalCrossentropy of logits": (losses.SparseCategoricalCrossentropy(from_logits=True), "labels", None),
    "CategoricalFocalCrossentropy": (
        losses.CategoricalFocalCrossentropy(),
        "one-hot, probability",
        lambda m, y, p: (-0.25 * y * (1 - probabilities(m, p)) ** 2 * m.log(probabilities(m, p))).sum(1).mean(),
    ),
    "KLDivergence": (
        losses.KLDivergence(),
        "one-hot, probability",
        lambda m, y, p: (m.clip(y, E7, 1) * m.log(m.clip(y, E7, 1) / m.clip(p, E7, 1))).sum(1).mean(),
    ),
    "CategoricalHinge": (
        losses.CategoricalHinge(),
        "one-hot",
        lambda m, y, p: m.clip(
            (m.amax((1 - y) * p, 1) if m is TORCH else ((1 - y) * p).max(1)) - (y * p).sum(1) + 1, 0, None
        ).mean(),
    ),
    "CosineSimilarity": (
        losses.CosineSimilarity(),
        "real",
        lambda m, y, p: -((y * p).sum(1) / m.sqrt((y * y).sum(1) * (p * p).sum(1))).mean(),
    ),
}


def data(kind: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    if "positive" in kind:
        return tuple(rng.uniform(0.1, 5, (2, *shape)).astype(np.float32))  # type: ignore[return-value]
    p = rng.uniform(0.02, 0.98, shape) if "probability" in kind else rng.standard_normal(shape)
    if kind == "labels":
        return rng.integers(0, shape[-1], shape[0]), p.astype(np.float32)
    y = rng.standard_normal(shape)
    if "one-hot" in kind:
        y = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[0])]
    elif kind == "signs":
        y = 2 * rng.integers(0, 2, shape) - 1
    elif kind != "real":
        y = rng.integers(0, 2, shape)
    return y.astype(np.float32), p.astype(np.float32)


# ---- NumPy: value and gradient by hand, as one would write them ------------------------------------------------------


def by_hand(name: str, y: np.ndarray, p: np.ndarray) -> tuple[float, np.ndarray]:
    n = np.float32(len(p))
    if name == "MeanSquaredError":
        e = p - y
        value = np.dot(e.ravel(), e.ravel()) / n
        e *= 2 / n
        return float(value), e
    if name == "MeanAbsoluteError":
        e = p - y
        return float(np.abs(e).mean()), np.sign(e) / n
    if name == "MeanAbsolutePercentageError":
        w, e = 100 / np.maximum(np.abs(y), np.float32(E7)), p - y
        return float((w * np.abs(e)).mean()), w * np.sign(e) / n
    if name == "MeanSquaredLogarithmicError":
        d = np.log1p(np.maximum(p, np.float32(E7))) - np.log1p(np.maximum(y, np.float32(E7)))
        return float((d * d).mean()), 2 * d / (1 + p) / n
    if name == "Huber":
        e = p - y
        c = np.clip(e, -1, 1)
        return float((c * (e - c / 2)).mean()), c / n
    if name == "LogCosh":
        e = p - y
        a = np.abs(e)
        return float((a + np.log1p(np.exp(-2 * a)) - np.float32(np.log(2))).mean()), np.tanh(e) / n
    if name == "Quantile":
        e = y - p
        return float(np.maximum(np.float32(0.9) * e, np.float32(-0.1) * e).mean()), np.where(
            e > 0, np.float32(-0.9), np.float32(0.1)
        ) / n
    if name == "Poisson":
        s = p + np.float32(E7)
        return float((p - y * np.log(s)).mean()), (1 - y / s) / n
    if name == "Gamma":
        r = y / p
        return float((r + np.log(p)).mean()), (1 - r) / p / n
    if name in ("Hinge", "SquaredHinge"):
        t = np.maximum(1 - y * p, 0)
        if name == "Hinge":
            return float(t.mean()), np.where(t > 0, -y, 0) / n
        return float((t * t).mean()), -2 * y * t / n
    if name == "BinaryCrossentropy":
        q = np.clip(p, np.float32(E7), np.float32(1 - E7))
        return float(-(y * np.log(q) + (1 - y) * np.log(1 - q)).mean()), (q - y) / (q * (1 - q)) / n
    if name == "BinaryCrossentropy of logits":
        e = np.exp(-np.abs(p))
        s = np.where(p < 0, e, 1) / (1 + e)
        return float((np.maximum(p, 0) - p * y + np.log1p(e)).mean()), (s - y) / n
    if name == "BinaryFocalCrossentropy of logits":
        e = np.exp(-np.abs(p))
        s = np.where(p < 0, e, 1) / (1 + e)
        b = np.maximum(p, 0) - p * y + np.log1p(e)
        m = y * (1 - s) + (1 - y) * s
        return float((m * m * b).mean()), (2 * m * (1 - 2 * y) * s * (1 - s) * b + m * m * (s - y)) / n
    if name in ("CategoricalCrossentropy of logits", "SparseCategoricalCrossentropy of logits"):
        z = p - p.max(1, keepdims=True)
        e = np.exp(z)
        s = e.sum(1, keepdims=True)
        e /= s
        rows = np.arange(len(p))
        if y.ndim == 1:
            value = (np.log(s[:, 0]) - z[rows, y]).mean()
            e[rows, y] -= 1
        else:
            value = (y * (np.log(s) - z)).sum(1).mean()
            e -= y
        return float(value), e / n
    if name in ("CategoricalCrossentropy", "CategoricalFocalCrossentropy"):
        s = p.sum(1, keepdims=True)
        q = np.clip(p / s, np.float32(E7), np.float32(1 - E7))
        if name == "CategoricalCrossentropy":
            return float(-(y * np.log(q)).sum(1).mean()), (y.sum(1, keepdims=True) - y / q) / s / n
        log_q, w = np.log(q), 1 - q
        h = np.float32(0.25) * y * (2 * w * log_q * q - w * w)
        return float((np.float32(-0.25) * y * w * w * log_q).sum(1).mean()), (h / q - h.sum(1, keepdims=True)) / s / n
    if name == "KLDivergence":
        a, q = np.clip(y, np.float32(E7), 1), np.clip(p, np.float32(E7), 1)
        r = a / q
        return float((a * np.log(r)).sum(1).mean()), -r / n
    if name == "CategoricalHinge":
        others = (1 - y) * p
        top = others.argmax(1)
        value = np.maximum(others[np.arange(len(p)), top] - (y * p).sum(1) + 1, 0)
        live = (value > 0)[:, np.newaxis] / n
        g = -y * live
        g[np.arange(len(p)), top] += live[:, 0] * (1 - y[np.arange(len(p)), top])
        return float(value.mean()), g
    if name == "CosineSimilarity":
        yy, pp, yp = (np.einsum("ij,ij->i", a, b)[:, np.newaxis] for a, b in ((y, y), (p, p), (y, p)))
        size = np.sqrt(yy * pp)
        return float(-(yp / size).mean()), (p * (yp / pp) - y) / size / n
    raise KeyError(name)


# ---- peers -----------------------------------------------------------------------------------------------------------


def torch_run(name: str, formula: Formula | None, y: np.ndarray, p: np.ndarray) -> Callable[[], tuple[float, Any]]:
    import torch

    torch.set_num_threads(1)
    f = torch.nn.functional
    fast: dict[str, Callable[[Any, Any], Any]] = {
        "MeanSquaredError": f.mse_loss,
        "MeanAbsoluteError": f.l1_loss,
        "Huber": f.huber_loss,
        "BinaryCrossentropy": f.binary_cross_entropy,
        "BinaryCrossentropy of logits": f.binary_cross_entropy_with_logits,
        "CategoricalCrossentropy of logits": f.cross_entropy,
        "SparseCategoricalCrossentropy of logits": f.cross_entropy,
        "Poisson": lambda q, t: f.poisson_nll_loss(q, t, log_input=False, eps=E7),
        "CosineSimilarity": lambda q, t: -f.cosine_similarity(q, t).mean(),
    }
    global TORCH
    TORCH = torch
    targets, predictions = torch.from_numpy(y), torch.from_numpy(p).requires_grad_()
    compute = fast.get(name) or (lambda q, t: formula(torch, t, q))  # type: ignore[misc]

    def run() -> tuple[float, Any]:
        value = compute(predictions, targets)
        (gradient,) = torch.autograd.grad(value, predictions)
        return value.item(), gradient

    return run


def jax_run(name: str, formula: Formula | None, y: np.ndarray, p: np.ndarray) -> Callable[[], tuple[float, Any]]:
    import jax
    import jax.numpy as jnp

    def sparse(q: Any, t: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(q), t[:, None], 1).mean()

    def dense(q: Any, t: Any) -> Any:
        return -(t * jax.nn.log_softmax(q)).sum(1).mean()

    cross = {"SparseCategoricalCrossentropy of logits": sparse, "CategoricalCrossentropy of logits": dense}
    compute = cross.get(name) or (lambda q, t: formula(jnp, t, q))  # type: ignore[misc]
    both = jax.jit(jax.value_and_grad(compute))
    targets, predictions = jnp.asarray(y), jnp.asarray(p)

    def run() -> tuple[float, Any]:
        value, gradient = both(predictions, targets)
        gradient.block_until_ready()
        return float(value), gradient

    return run


def runs(name: str, entry: tuple[losses.Loss, str, Formula], shape: tuple[int, ...]) -> dict[str, Callable[[], Any]]:
    """All that can compute this loss here, checked against each other."""
    loss, kind, formula = entry
    y, p = data(kind, shape)
    found: dict[str, Callable[[], Any]] = {
        "fastnn": lambda: loss.value_and_gradient(y, p),
        "numpy": lambda: by_hand(name, y, p),
    }
    for peer, make in (("torch", torch_run), ("jax", jax_run)):
        try:
            found[peer] = make(name, formula, y, p)
        except ImportError:
            continue
    value, gradient = found["fastnn"]()
    for peer, run in found.items():
        other, slope = run()
        # Sums of float32 in float32 are what limits the others.
        np.testing.assert_allclose(other, value, rtol=2e-3, atol=2e-3, err_msg=f"{name} by {peer}")
        np.testing.assert_allclose(
            np.asarray(slope),
            gradient,
            rtol=2e-2,
            atol=1e-3 * float(np.abs(gradient).max()),
            err_msg=f"{name} by {peer}",
        )
    return found


def medians(found: dict[str, Callable[[], Any]], elements: int, rounds: int) -> dict[str, float]:
    """Seconds of a call, each in its turn."""
    repeats = max(1, int(3e5 / elements))
    times: dict[str, list[float]] = {peer: [] for peer in found}
    for _ in range(rounds):
        for peer, run in found.items():
            start = time.perf_counter()
            for _ in range(repeats):
                run()
            times[peer].append((time.perf_counter() - start) / repeats)
    return {peer: statistics.median(spent[1:]) for peer, spent in times.items()}


def copy_bandwidth(elements: int) -> float:
    """Bytes per second, read and written, of copying so many float32."""
    a, b = np.ones(elements, np.float32), np.ones(elements, np.float32)
    spent = []
    for _ in range(20):
        start = time.perf_counter()
        np.copyto(b, a)
        spent.append(time.perf_counter() - start)
    return 2 * a.nbytes / statistics.median(spent)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="losses whose name contains this")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--largest", type=int, default=10_000_000)
    arguments = parser.parse_args()
    fastnn.set_num_threads(1)
    print(
        f"fastnn {fastnn.__version__}, {kernels.isa}, {kernels.compiler}; NumPy {np.__version__}; "
        f"Python {platform.python_version()}; one thread, float32\n"
    )
    print(
        "| loss | shape | fastnn | NumPy | PyTorch | JAX | fastest of them / fastnn |\n"
        "|---|---|---:|---:|---:|---:|---:|"
    )
    ratios, worst = [], (np.inf, "")
    shapes = [(n, 1) for n in (1000, 100_000, 10_000_000) if n <= arguments.largest]
    for cases, sizes in ((ELEMENTWISE, shapes), (CLASSES, [(128, 10), (4096, 1000)])):
        for name, entry in cases.items():
            if arguments.only not in name:
                continue
            for shape in sizes:
                spent = medians(runs(name, entry, shape), int(np.prod(shape)), arguments.rounds)
                best = min(v for peer, v in spent.items() if peer != "fastnn") / spent["fastnn"]
                ratios.append(spent["numpy"] / spent["fastnn"])
                worst = min(worst, (best, f"{name} {shape}"))
                cells = [f"{spent[k] * 1e6:,.1f} µs" if k in spent else "" for k in ("fastnn", "numpy", "torch", "jax")]
                print(f"| {name} | {' × '.join(map(str, shape))} | {' | '.join(cells)} | {best:.2f} |", flush=True)
    mean = float(np.exp(np.mean(np.log(ratios))))
    print(
        f"\nNumPy / fastnn in the geometric mean: {mean:.1f}; "
        f"the least ratio to the fastest: {worst[0]:.2f} ({worst[1]})."
    )
    if not arguments.only and arguments.largest >= 10_000_000:
        n = 10_000_000
        y, p = data("real", (n, 1))
        out, loss, spent_on = np.empty_like(p), losses.MeanSquaredError(), []
        for _ in range(20):
            start = time.perf_counter()
            loss.value_and_gradient(y, p, out=out)
            spent_on.append(time.perf_counter() - start)
        rate = 12 * n / statistics.median(spent_on)
        print(f"Bandwidth of MeanSquaredError into `out`, {n:,} elements: {rate / copy_bandwidth(n):.0%} of a copy's.")


if __name__ == "__main__":
    main()
