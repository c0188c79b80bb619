"""Losses against NumPy by hand, PyTorch and JAX: value and gradient, one thread, in one interleaved run.

All are in one process, which keeps the memory that is freed: who returns a new array (PyTorch, JAX) gets memory that is
there already.  fastnn and NumPy write into an array of their own.
"""

from __future__ import annotations

import gc
import importlib.util
import json as json_
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .formulas import LOSSES, Loss
from .results import document, duration, geometric_mean, save, say, spread
from .timing import Copy, Yardstick, enough, quiet_slices
from .workers import stay_on, surroundings

TOLERANCE = 2e-3  # relative to the largest element: some sum ten million float32 in float32
LARGE = 1_000_000  # elements from which the bandwidth of memory is the limit to compare with
# Of the C library: ask the system for memory once, and give none back.
MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 28)}

Call = Callable[[], tuple[Any, Any]]
Rows = list[dict[str, Any]]


def run(only: list[str] | None, rounds: int, slice: float, json: str | None) -> None:
    """The command; its arguments are those of the command line."""
    environment, cpus = surroundings(1)
    command = [sys.executable, "-m", "benchmarks", "losses-worker", cpus, str(rounds), str(slice), *(only or [])]
    done = subprocess.run(command, env=environment | MEMORY, stdout=subprocess.PIPE, text=True, check=True)
    rows: Rows = json_.loads(done.stdout.splitlines()[-1])
    save(json, document("losses", {"rounds": rounds, "slice": slice}, results=rows))
    print(table(rows))


def work(cpus: str, rounds: int, slice: float, only: list[str]) -> None:
    """What that process does."""
    stay_on(cpus)
    yardstick = Yardstick()
    rows = []
    for loss in LOSSES:
        if only and not any(text in loss.name for text in only):
            continue
        for size in loss.sizes:
            say(f"{loss.name}, {text_of(size)}")
            rows += measure(loss, size, rounds, slice, yardstick)
    print(json_.dumps(rows))


# ---- the libraries ---------------------------------------------------------------------------------------------------


def with_fastnn(loss: Loss, y: np.ndarray, p: np.ndarray) -> Call:
    import fastnn
    from fastnn import losses

    fastnn.set_num_threads(1)
    own, out = getattr(losses, loss.fastnn)(**loss.options), np.empty_like(p)
    return lambda: own.value_and_gradient(y, p, out=out)


def with_numpy(loss: Loss, y: np.ndarray, p: np.ndarray) -> Call:
    out = np.empty_like(p)
    return lambda: (loss.numpy(y, p, out), out)


def with_torch(loss: Loss, y: np.ndarray, p: np.ndarray) -> Call:
    import torch

    torch.set_num_threads(1)
    ty, tp = torch.from_numpy(y), torch.from_numpy(p).requires_grad_()

    def call() -> tuple[Any, Any]:
        cost = loss.torch(torch.nn.functional, ty, tp)
        return cost.detach(), torch.autograd.grad(cost, tp)[0]

    return call


def with_torch_compile(loss: Loss, y: np.ndarray, p: np.ndarray) -> Call:
    import torch

    torch.set_num_threads(1)
    torch._dynamo.reset()  # each size by itself
    ty, tp = torch.from_numpy(y), torch.from_numpy(p)
    both = torch.func.grad_and_value(lambda p, y: loss.torch(torch.nn.functional, y, p))
    compiled = torch.compile(both, fullgraph=True, dynamic=False)
    return lambda: compiled(tp, ty)[::-1]


def with_jax(loss: Loss, y: np.ndarray, p: np.ndarray) -> Call:
    import jax

    jy, jp = jax.numpy.array(y), jax.numpy.array(p)
    both = jax.jit(jax.value_and_grad(lambda p, y: loss.jax(jax.numpy, y, p)))
    return lambda: jax.block_until_ready(both(jp, jy))


LIBRARIES: dict[str, tuple[str, Callable[[Loss, np.ndarray, np.ndarray], Call]]] = {
    "fastnn": ("fastnn", with_fastnn),
    "numpy": ("numpy", with_numpy),
    "torch": ("torch", with_torch),
    "torch_compile": ("torch", with_torch_compile),
    "jax": ("jax", with_jax),
}


# ---- measuring -------------------------------------------------------------------------------------------------------


def measure(loss: Loss, size: tuple[int, int], rounds: int, slice: float, yardstick: Yardstick) -> Rows:
    """Seconds of a call by each library that gives the right answer, and the bandwidth of a copy of as many bytes."""
    y, p = loss.draw(np.random.default_rng(0), size)
    moved = y.nbytes + 2 * p.nbytes
    calls: dict[str, Call] = {}
    exact = np.empty(p.shape)
    cost = loss.numpy(y if y.dtype.kind == "i" else y.astype(np.float64), p.astype(np.float64), exact)
    for peer, (module, make) in LIBRARIES.items():
        if importlib.util.find_spec(module) is None:
            continue
        try:
            calls[peer] = make(loss, y, p)
            check(calls[peer](), (cost, exact))
        except Exception as error:
            if peer == "fastnn":
                raise
            calls.pop(peer, None)
            say(f"{peer} is left out: {type(error).__name__}: {error}".splitlines()[0])
    del exact
    copy = Copy(moved)
    spent: dict[str, list[float]] = {peer: [] for peer in calls}
    shares: dict[str, list[float]] = {peer: [] for peer in calls}
    counts = {peer: enough(partial(repeat, call), slice) for peer, call in calls.items()}
    gc.collect()
    gc.disable()
    for _ in range(rounds):
        bandwidth = copy.bandwidth()
        for peer, call in calls.items():
            slices, _ = quiet_slices(partial(repeat, call, counts[peer]), lambda: None, slice, yardstick)
            seconds = [one / counts[peer] for one, _ in slices]
            spent[peer] += seconds
            shares[peer] += [moved / one / bandwidth for one in seconds]
    gc.enable()
    return [
        {
            "loss": loss.name,
            "size": size,
            "peer": peer,
            "bytes": moved,
            "share": statistics.median(shares[peer]),
            **spread(values),
        }
        for peer, values in spent.items()
    ]


def check(got: tuple[Any, Any], expected: tuple[float, np.ndarray]) -> None:
    """Raises ValueError where a value or a gradient is another."""
    for own, other in zip(got, expected, strict=True):
        a, b = np.asarray(own, np.float64), np.asarray(other)
        if not np.abs(a.reshape(b.shape) - b).max() <= TOLERANCE * np.abs(b).max():
            raise ValueError("computes something else")


def repeat(call: Call, count: int) -> None:
    for _ in range(count):
        call()


# ---- the table -------------------------------------------------------------------------------------------------------


def text_of(size: tuple[int, int]) -> str:
    return f"{size[0]:,}" if size[1] == 1 else f"{size[0]:,} x {size[1]:,}"


def cells(rows: Rows) -> dict[tuple[str, tuple[int, int]], dict[str, dict[str, Any]]]:
    """What was measured, by loss and size, and by library."""
    found: dict[tuple[str, tuple[int, int]], dict[str, dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["loss"], tuple(row["size"])), {})[row["peer"]] = row
    return found


def ratios(rows: Rows, peer: str | None = None) -> dict[tuple[str, tuple[int, int]], float]:
    """How many times as long the fastest of the others takes, or one of them."""
    result = {}
    for key, found in cells(rows).items():
        others = [row["median"] for name, row in found.items() if name != "fastnn" and peer in (None, name)]
        if "fastnn" in found and others:
            result[key] = min(others) / found["fastnn"]["median"]
    return result


def table(rows: Rows) -> str:
    best = ratios(rows)
    lines = [f"{'loss':48}{'elements':>14}{'fastnn':>10}{'fastest peer':>26}{'ratio':>9}{'of copy':>9}"]
    for (name, size), found in cells(rows).items():
        others = {peer: row["median"] for peer, row in found.items() if peer != "fastnn"}
        if not others:
            continue
        first = min(others, key=lambda peer: others[peer])
        own = found["fastnn"]
        share = f"{own['share']:8.0%}" if size[0] * size[1] > LARGE else ""
        line = f"{name:48}{text_of(size):>14}{duration(own['median']):>10}{f'{first} {duration(others[first])}':>26}"
        lines.append(f"{line}{best[name, size]:8.2f}×{share}")
    lines.append(f"geometric mean, fastest peer: {geometric_mean(best.values()):.2f}×")
    means = {peer: ratios(rows, peer) for peer in LIBRARIES if peer != "fastnn"}
    lines += [
        f"geometric mean, {peer}: {geometric_mean(of_peer.values()):.2f}×" for peer, of_peer in means.items() if of_peer
    ]
    return "\n".join(lines)
