"""Run every kernel on arrays that end, or begin, at a page that may be neither read nor written.

``python guarded_memory.py NAME...`` for builds such as f32_v3: touching a byte too many ends the process, and the last
line of its output says where. test_kernel_memory.py runs this.
"""

from __future__ import annotations

import ctypes
import importlib
import mmap
import sys
from types import ModuleType

import numpy as np

PAGE = mmap.PAGESIZE
SIZES = (1, 2, 3, 7, 15, 16, 17, 33, 65, 1025)
_kept: list[mmap.mmap] = []
NUMBERS = {
    "momentum": 0.9,
    "beta_2": 0.99,
    "epsilon": 1e-7,
    "weight_decay": 0.0,
    "clipvalue": 0.0,
    "clipnorm": 0.0,
    "global_clipnorm": 0.0,
    "accumulation_steps": 1,
    "ema_momentum": None,
    "ema_overwrite_frequency": 0,
}
ALL_OPTIONS = {
    "weight_decay": 0.1,
    "clipnorm": 0.1,
    "accumulation_steps": 2,
    "ema_momentum": 0.9,
}  # with two more states


def guarded(values: np.ndarray, at_the_end: bool, spare: int = 0) -> np.ndarray:
    """A copy with a page that cannot be touched right behind it (but for ``spare`` elements), or right before it."""
    size = values.nbytes + spare * values.itemsize
    pages = -(-max(size, 1) // PAGE)
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    _kept.append(memory)
    raw = np.frombuffer(memory, np.uint8)
    address = raw.__array_interface__["data"][0]
    library = ctypes.CDLL(None, use_errno=True)
    for page in (0, pages + 1):
        if library.mprotect(ctypes.c_void_p(address + page * PAGE), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    start = (pages + 1) * PAGE - size if at_the_end else PAGE
    result = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    result[...] = values
    return result


def numbers(*shape: int, dtype: np.dtype) -> np.ndarray:
    return np.random.default_rng(1).uniform(0.1, 0.9, shape).astype(dtype)


def run(core: ModuleType, at_the_end: bool) -> None:
    dtype, vector = core.DTYPE, core.VECTOR_LENGTH

    def new(*shape: int, spare: int = 0) -> np.ndarray:
        return guarded(numbers(*shape, dtype=dtype), at_the_end, spare)

    for n in SIZES:
        print("elementary, activation, update", n, flush=True)
        for name in core.ELEMENTARY:
            core.elementary(name, new(n), new(n))
        for code in range(28):
            core.activation(code, 0.5, new(3, n), n)
            if code in core.SLOPES_KEPT:
                core.activation_keeping_slope(code, new(3, n), new(3, n), n)
            else:
                core.activation_backward(code, 0.5, new(3, n), new(3, n), n)
            core.apply_activation(code, 0.5, False, new(3, n), None, new(3, n), 1)
            core.apply_activation(code, 0.5, True, new(3, n), new(3, n), new(3, n), 1)
        for rule, states in core.UPDATE_RULES:
            for options in ({}, ALL_OPTIONS):
                state = tuple(new(n) for _ in range(states + len(options) // 2))
                updater = core.Updater(NUMBERS | {"rule": rule} | options, [(n,)], [state], [[n - n // 2, n // 2]])
                for step in (1, 2):
                    updater.apply([new(n)], [new(n)], 0.1, step, 1)
        for kind in range(23):
            print("loss", kind, n, flush=True)
            for alpha in (0.25, new(n)) if kind >= 21 else (0.25,):
                loss = core.LossKernel(kind, {"label_smoothing": 0.1, "alpha": alpha})
                for gradient in (None, new(3, n)):
                    for weights, per_sample in ((new(3), guarded(np.zeros(3), at_the_end)), (None, None)):
                        loss.cost(new(3, n), new(3, n), weights, 1.0, per_sample, gradient)
                        if kind in (3, 4):
                            labels = guarded(np.array([0, n // 2, n - 1], np.int32), at_the_end)
                            loss.cost(labels, new(3, n), weights, 1.0, per_sample, gradient)

    for m, k, n in [(1, 3, 5), (2, 5, 17), (3, 17, 33), (9, 2, 65), (17, 33, 130), (35, 400, 170), (5, 3, 1030)]:
        padded = -(-n // vector) * vector
        for layout in range(4):
            print("product", m, k, n, "layout", layout, flush=True)
            a = new(k, m).T if layout & 1 else new(m, k)
            # Vectors of b, bias and gate may reach behind their last element; nothing of a, nor of a dense c.
            b = new(n, k, spare=vector).T if layout & 2 else new(k, n, spare=vector)
            for ld in (n, padded):
                c, gate = new(m, ld)[:, :n], new(m, ld, spare=vector)[:, :n]
                core.product(a, b, c)
                core.product(a, b, c, new(n, spare=vector), True, True)
                core.product(a, b, c, None, False, False, gate)


for build in sys.argv[1:]:
    for at_the_end in (True, False):
        print(build, "before the page" if at_the_end else "behind the page", flush=True)
        run(importlib.import_module(f"fastnn.kernels._{build}"), at_the_end)
        _kept.clear()
print("done")
