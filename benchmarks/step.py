"""Time of one training step: gather a shuffled batch, forward, loss, backward, update.

Each peer works in a process of its own.  All start from the same weights, and after the same number of epochs must have
reached the same loss; then they are timed in turn, round by round.  fastnn's process measures the limit, multiply-adds
in registers, right before and after each of its own timings, so that a change of the clock's frequency cancels in the
ratio.
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

from .cases import CASES, data, loss_of
from .peers import PEERS, Run

CHECK_STEPS = 200  # about so many before the losses are compared
EPOCH_STEPS = 400  # steps, about, of one call that is timed
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

    def ask(self, **question: Any) -> dict[str, float]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.peer} ended with status {self.process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer

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
            answer = {"loss": learned(case_name, run)}
        else:
            answer = timed(case_name, run, question["seconds"], peer == "fastnn")
        print(json.dumps(answer), file=answers, flush=True)


def learned(case_name: str, run: Run) -> float:
    case = CASES[case_name]
    run.train(-(-CHECK_STEPS // case.steps))
    return loss_of(case, run.weights(), *data(case))


def timed(case_name: str, run: Run, seconds: float, with_peak: bool) -> dict[str, float]:
    epochs = max(1, EPOCH_STEPS // CASES[case_name].steps)
    peaks = [peak()] if with_peak else []
    steps, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        run.train(epochs)
        steps += epochs * CASES[case_name].steps
    if with_peak:
        peaks.append(peak())
    return {"us": 1e6 * spent / steps} | ({"peak": statistics.mean(peaks)} if peaks else {})


def peak() -> float:
    from fastnn.kernels import core

    return max(float(core("float32").multiply_add_peak(200_000)[0]) for _ in range(5))


def main(names: list[str], peers: list[str], threads: int, rounds: int, seconds: float) -> None:
    found = [p for p in peers if importlib.util.find_spec(p)]
    for peer in set(peers) - set(found):
        print(f"{peer} is not installed and left out", file=sys.stderr)
    workers = [Worker(peer, threads) for peer in found]
    print(f"float32, {threads} thread{'s' * (threads > 1)}, medians of {rounds} interleaved rounds")
    print(f"{'case':12}{'peer':10}{'µs/step':>10}{'GFLOP/s':>10}{'of peak':>10}{'fastnn is':>14}")
    for name in names:
        losses = {w.peer: w.ask(case=name, check=True)["loss"] for w in workers}
        reference = losses[found[0]]
        for peer, loss in losses.items():
            if abs(loss - reference) > CHECK_TOLERANCE * abs(reference):
                raise SystemExit(
                    f"{name}: {peer} reached the loss {loss:.4g}, {found[0]} {reference:.4g}: not the same training"
                )
        answers: dict[str, list[dict[str, float]]] = {peer: [] for peer in found}
        for _ in range(rounds):
            for worker in workers:
                answers[worker.peer].append(worker.ask(case=name, seconds=seconds))
        flops = CASES[name].multiply_add_flops
        for peer in found:
            us = statistics.median(a["us"] for a in answers[peer])
            share = (
                statistics.median(flops / a["us"] / 1e-6 / a["peak"] for a in answers[peer])
                if peer == "fastnn"
                else None
            )
            ratio = statistics.median(a["us"] / b["us"] for a, b in zip(answers[peer], answers[found[0]], strict=True))
            columns = f"{share:10.0%}" if share is not None else f"{'':10}"
            print(
                f"{name:12}{peer:10}{us:10.2f}{flops / us / 1e3:10.1f}{columns}"
                + (f"{ratio:10.1f}× as fast" if peer != found[0] else "")
            )
    for worker in workers:
        worker.close()
