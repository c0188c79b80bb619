"""Time of one training step: gather a shuffled batch, forward, loss, backward, update.

Each peer works in a process of its own.  All start from the same weights, and after the same number of epochs must have
reached the same loss; then they are timed in turn, round by round, in slices of some milliseconds.

A core is often shared: with another process, or through its second hardware thread with another machine's.  So before
and after each slice a fixed piece of work is timed, a small product in the first cache by NumPy; where that took longer
than its best by more than QUIET the slice does not count, and is tried again.  fastnn's process also measures the
limit, multiply-adds in registers, beside each slice, so that a change of the clock's frequency cancels in the ratio.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np

from .cases import CASES, data, loss_of
from .peers import PEERS, Run

CHECK_STEPS = 200  # about so many before the losses are compared
QUIET = 1.08
PATIENCE = 8  # times the asked-for seconds to wait for quiet
CHECK_TOLERANCE = 0.1  # relative: the peers draw different orders of the samples


class Worker:
    """A peer in a process of its own."""

    def __init__(self, peer: str, threads: int) -> None:
        environment = dict(os.environ)
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            environment[name] = str(threads)
        self.peer = peer
        command = [sys.executable, "-m", "benchmarks", "worker", peer, str(threads)]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **question: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.peer} ended with status {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def work(peer: str, threads: int) -> None:
    """A worker's side: a JSON question a line on standard input, a JSON answer a line on standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand among the answers
    case_name, run = "", None
    for line in sys.stdin:
        question = json.loads(line)
        if run is None or question["case"] != case_name:
            case_name = question["case"]
            run = PEERS[peer](CASES[case_name], threads)
        if "check" in question:
            answer: Any = {"loss": learned(case_name, run)}
        else:
            answer = timed(run, question["seconds"], question["length"], peer == "fastnn")
        print(json.dumps(answer), file=answers, flush=True)


def learned(case_name: str, run: Run) -> float:
    case = CASES[case_name]
    run.train(-(-CHECK_STEPS // case.steps) * case.steps)
    return loss_of(case, run.weights(), *data(case))


def timed(run: Run, seconds: float, length: float, with_peak: bool) -> dict[str, list[float]]:
    """Microseconds per step of each quiet slice, until they add up to `seconds`; of all where hardly any is quiet."""
    run.train(1)
    start = time.perf_counter()
    run.train(4)
    steps = max(1, round(4 * length / (time.perf_counter() - start)))
    yardstick = Yardstick()
    quiet: list[tuple[float, float]] = []
    every: list[tuple[float, float]] = []
    deadline = time.perf_counter() + PATIENCE * seconds
    while sum(us for us, _ in quiet) * 1e-6 * steps < seconds and time.perf_counter() < deadline:
        limit = peak() if with_peak else 1.0
        before = yardstick.is_quiet()
        start = time.perf_counter()
        run.train(steps)
        us = 1e6 * (time.perf_counter() - start) / steps
        every.append((us, limit))
        if before and yardstick.is_quiet():
            quiet.append((us, limit))
    chosen = quiet if len(quiet) >= 3 else every
    answer = {"us": [us for us, _ in chosen], "quiet": [len(quiet) / len(every)]}
    return answer | ({"peak": [limit for _, limit in chosen]} if with_peak else {})


class Yardstick:
    """A fixed piece of work that tells whether the core is ours alone."""

    best = float("inf")

    def __init__(self) -> None:
        self.a = np.ones((48, 48), np.float32)
        self.out = np.empty_like(self.a)
        for _ in range(100):
            self.is_quiet()

    def is_quiet(self) -> bool:
        for _ in range(5):  # what was timed has emptied the caches
            np.matmul(self.a, self.a, out=self.out)
        start = time.perf_counter()
        for _ in range(10):
            np.matmul(self.a, self.a, out=self.out)
        spent = time.perf_counter() - start
        Yardstick.best = min(Yardstick.best, spent)
        return spent <= QUIET * Yardstick.best


def peak() -> float:
    from fastnn.kernels import core

    return max(float(core("float32").multiply_add_peak(20_000)[0]) for _ in range(3))


def main(names: list[str], peers: list[str], threads: int, rounds: int, seconds: float, length: float) -> None:
    found = [p for p in peers if importlib.util.find_spec(p)]
    for peer in set(peers) - set(found):
        print(f"{peer} is not installed and left out", file=sys.stderr)
    workers = [Worker(peer, threads) for peer in found]
    print(f"float32, {threads} thread{'s' * (threads > 1)}, medians of the quiet slices of {rounds} interleaved rounds")
    print(f"{'case':12}{'peer':10}{'µs/step':>11}{'GFLOP/s':>10}{'of peak':>10}{'of fastnn':>16}{'quiet slices':>14}")
    for name in names:
        losses = {w.peer: w.ask(case=name, check=True)["loss"] for w in workers}
        reference = losses[found[0]]
        for peer, loss in losses.items():
            if abs(loss - reference) > CHECK_TOLERANCE * abs(reference):
                raise SystemExit(
                    f"{name}: {peer} reached the loss {loss:.4g}, {found[0]} {reference:.4g}: not the same training"
                )
        answers: dict[str, list[dict[str, list[float]]]] = {peer: [] for peer in found}
        for _ in range(rounds):
            for worker in workers:
                answers[worker.peer].append(worker.ask(case=name, seconds=seconds, length=length))
        flops = CASES[name].multiply_add_flops
        median = {peer: statistics.median(us for a in answers[peer] for us in a["us"]) for peer in found}
        for peer, us in median.items():
            quiet = statistics.mean(a["quiet"][0] for a in answers[peer])
            share = ratio = ""
            if peer == "fastnn":
                slices = [(us, limit) for a in answers[peer] for us, limit in zip(a["us"], a["peak"], strict=True)]
                share = f"{statistics.median(1e6 * flops / us / limit for us, limit in slices):.0%}"
            elif "fastnn" in median:
                ratio = f"{us / median['fastnn']:.1f}×"
            print(
                f"{name:12}{peer:10}{us:11.2f}{flops / us / 1e3:10.1f}{share:>10}{ratio:>16}{quiet:>14.0%}", flush=True
            )
    for worker in workers:
        worker.close()
