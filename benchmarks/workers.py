"""A peer in a process of its own, which answers questions: so that its threads and environment are its own.

Questions and answers are lines of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from typing import Any

from .cases import Case, data, loss_of
from .peers import PEERS, Trainer
from .timing import Copy, Yardstick, affinity, enough, flop_peak, quiet_slices

CHECK_STEPS = 30  # about so many, in the data's own order, before the losses are compared
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerError(Exception):
    """What went wrong in a worker's process."""


class Worker:
    """The asking side.  With 0 threads everyone has all processors, and fastnn its own choice of threads."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer, self.threads = peer, threads
        self.process: subprocess.Popen | None = None

    def _start(self) -> subprocess.Popen:
        environment, cpus = surroundings(self.threads)
        environment |= PEERS[self.peer].environment
        command = [sys.executable, "-m", "benchmarks", "worker", self.peer, str(self.threads), cpus]
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, do: str, case: Case, **question: Any) -> Any:
        """Raises WorkerError; after the end of its process a new one is started with the next question."""
        self.process = self.process or self._start()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        line = ""
        try:
            self._let(True)
            print(json.dumps({"do": do, "case": case, **question}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
            self._let(False)
        except BrokenPipeError:
            pass
        if not line:
            status = self.process.wait()
            self.process = None
            raise WorkerError(f"its process ended with status {status}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer["result"]

    def _let(self, go: bool) -> None:
        """Stop the process while others are measured: the threads of a library's pool may still be spinning."""
        if self.process is not None and hasattr(signal, "SIGSTOP"):
            self.process.send_signal(signal.SIGCONT if go else signal.SIGSTOP)

    def close(self) -> None:
        if self.process is not None:
            self._let(True)
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait()


def surroundings(threads: int) -> tuple[dict[str, str], str]:
    """The environment, and the numbers of the processors, of a process that is to use so many threads, 0 for all."""
    cpus = sorted(affinity())
    environment = {name: value for name, value in os.environ.items() if name not in _POOLS}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    if threads:
        cpus = cpus[-threads:]
        environment |= dict.fromkeys(_POOLS, str(threads))
    if threads == 1:
        environment["XLA_FLAGS"] = environment.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"
    return environment, ",".join(map(str, cpus))


def stay_on(cpus: str) -> None:
    """Let this process use these processors alone, before a library counts them for its pool."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, list(map(int, cpus.split(","))))


def work(peer: str, threads: int, cpus: str) -> None:
    """The answering side."""
    stay_on(cpus)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not stand among the answers
    desk = Desk(peer, threads)
    for line in sys.stdin:
        question = json.loads(line)
        sizes, *rest = question.pop("case")
        try:
            answer = {"result": getattr(desk, question.pop("do"))(Case(tuple(sizes), *rest), **question)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)
    answers.flush()
    os._exit(0)  # libraries' threads may be slow to end, beside what others measure


class Desk:
    """What a worker does."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer, self.threads = PEERS[peer], threads
        self.trainers: dict[Case, Trainer] = {}
        self.yardstick = Yardstick()

    def learn(self, case: Case) -> float | None:
        """Make ready, compile; the loss after some epochs in the data's own order."""
        trainer = self.trainers[case] = self.peer.make(case, self.threads)
        epochs = -(-CHECK_STEPS // case.steps)
        trainer.train(-(-epochs * case.steps // trainer.unit), False)
        trainer.train(1, True)
        if not self.peer.same_loss:
            return None
        trainer.start()
        trainer.train(-(-epochs * case.steps // trainer.unit), False)
        return loss_of(case, trainer.weights(), *data(case))

    def time(self, case: Case, seconds: float, length: float) -> dict[str, Any]:
        """Seconds of a step, in each quiet slice, and the machine's limits beside it."""
        trainer, copy = self.trainers[case], Copy(case.update_bytes)
        trainer.start()  # or the fastest would end with gradients of nothing
        trainer.train(1, True)
        units = enough(lambda count: trainer.train(count, True), length)
        slices, quiet = quiet_slices(
            lambda: trainer.train(units, True), lambda: (flop_peak(), copy.bandwidth()), seconds, self.yardstick
        )
        steps = units * trainer.unit
        return {
            "seconds": [spent / steps for spent, _ in slices],
            "peak": [peak for _, (peak, _) in slices],
            "bandwidth": [bandwidth for _, (_, bandwidth) in slices],
            "quiet": quiet,
        }

    def forget(self, case: Case) -> None:
        """Free a case's memory."""
        self.trainers.pop(case, None)
