"""Timing on a core that may be shared, and the machine's limits.

A core is often shared: with another process, or through its second hardware thread with another machine's.  So before
and after each slice of some milliseconds a fixed piece of work is timed, a small product in the first cache; where that
took longer than its best by more than `QUIET` the slice does not count, and is tried again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

QUIET = 1.08
PATIENCE = 8  # times the asked-for seconds to wait for quiet


class Yardstick:
    """A fixed piece of work that tells whether the cores are ours alone."""

    def __init__(self) -> None:
        self.a = np.ones((48, 48), np.float32)
        self.out = np.empty_like(self.a)
        self.cpus = sorted(affinity())
        self.best = float("inf")
        for _ in range(100):
            self.is_quiet()

    def is_quiet(self) -> bool:
        if len(self.cpus) == 1 or not hasattr(os, "sched_setaffinity"):
            return self._is_quiet()
        time.sleep(0.002)  # the threads of a pool may spin for a while behind their work
        quiet = True
        for cpu in self.cpus:  # of this thread alone: those of a library are where they were
            os.sched_setaffinity(0, {cpu})
            quiet = self._is_quiet() and quiet
        os.sched_setaffinity(0, self.cpus)
        return quiet

    def _is_quiet(self) -> bool:
        for _ in range(5):  # what was timed has emptied the caches
            np.matmul(self.a, self.a, out=self.out)
        start = time.perf_counter()
        for _ in range(10):
            np.matmul(self.a, self.a, out=self.out)
        spent = time.perf_counter() - start
        self.best = min(self.best, spent)
        return spent <= QUIET * self.best


def affinity() -> set[int]:
    """The processors that this process may use."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def flop_peak() -> float:
    """Floating-point operations a second of one core's multiply-adds in registers: the limit for any product."""
    from fastnn.kernels import core

    return max(float(core("float32").multiply_add_peak(20_000)[0]) for _ in range(3))


class Copy:
    """Bandwidth of one core between its caches or memory, for data of one size."""

    def __init__(self, n_bytes: int) -> None:
        half = max(n_bytes, 1 << 16) // 8  # float32 elements of source and of target, together `n_bytes`
        self.source, self.target = np.ones(half, np.float32), np.ones(half, np.float32)
        self.repeats = max(1, (1 << 20) // self.source.nbytes)

    def bandwidth(self) -> float:
        """Bytes read and written a second."""
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            for _ in range(self.repeats):
                np.copyto(self.target, self.source)
            best = min(best, time.perf_counter() - start)
        return 2 * self.source.nbytes * self.repeats / best


def enough(run: Callable[[int], Any], seconds: float) -> int:
    """How many units make a slice of so many seconds at least."""
    units = 1
    while True:
        start = time.perf_counter()
        run(units)
        spent = time.perf_counter() - start
        if spent > 0.5 * seconds:
            return max(1, round(units * seconds / spent))
        units *= max(2, min(16, round(0.7 * seconds / spent)))


def quiet_slices(run: Callable[[], Any], beside: Callable[[], Any], seconds: float, yardstick: Yardstick) -> Any:
    """(seconds, what `beside` measured before) of each quiet slice, until they add up, and the share of quiet ones.

    Where hardly any is quiet it is all slices.
    """
    quiet: list[tuple[float, Any]] = []
    every: list[tuple[float, Any]] = []
    deadline = time.perf_counter() + PATIENCE * seconds
    while sum(spent for spent, _ in quiet) < seconds and time.perf_counter() < deadline:
        limits = beside()
        before = yardstick.is_quiet()
        start = time.perf_counter()
        run()
        spent = time.perf_counter() - start
        every.append((spent, limits))
        if yardstick.is_quiet() and before:
            quiet.append((spent, limits))
    return (quiet if len(quiet) >= 3 else every), len(quiet) / len(every)
