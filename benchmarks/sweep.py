"""Time of a training step as the width grows: 10-w-w-10 relu, batch 128, CE, Adam, at even and at awkward widths.

The time should grow smoothly with the width; where a width takes longer than the next larger one by more than `CLIFF`
it is flagged.  All widths are timed within a round, so that what disturbs one round disturbs them all.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .cases import sweep_case
from .peers import PEERS
from .results import document, duration, save, say, spread
from .train import differing, in_words
from .workers import Worker, WorkerError

CLIFF = 1.15


def run(
    peer: list[str],
    threads: list[int],
    rounds: int,
    seconds: float,
    slice: float,
    json: str | None,
    width: list[int],
) -> None:
    """The command; its arguments are those of the command line."""
    found = [name for name in peer if PEERS[name].is_installed()]
    width = sorted(set(width))
    rows: list[dict[str, Any]] = []
    for n in threads:
        workers = [Worker(name, n) for name in found]
        rows += measure(workers, width, rounds, seconds, slice)
        for worker in workers:
            worker.close()
    print(f"\n{'threads':9}{'peer':15}{'width':>6}{'a step':>10}{'GFLOP/s':>9}")
    for row in rows:
        name = row["threads"] or "auto"
        rate = row["flops"] / row["median"] / 1e9
        print(f"{name:<9}{row['peer']:15}{row['width']:6}{duration(row['median']):>10}{rate:9.1f}")
    found_cliffs = cliffs(rows)
    print("\n".join(found_cliffs) or f"no width takes {CLIFF}× the time of the next larger one")
    options = {"rounds": rounds, "seconds": seconds, "slice": slice}
    save(json, document("sweep", options, results=rows, cliffs=found_cliffs))


def measure(
    workers: list[Worker], widths: list[int], rounds: int, seconds: float, length: float
) -> list[dict[str, Any]]:
    able = list(workers)
    spent: dict[tuple[str, int], list[float]] = {(w.peer, width): [] for w in workers for width in widths}

    def ask(worker: Worker, do: str, width: int, **question: Any) -> Any:
        nonlocal able
        try:
            return worker.ask(do, sweep_case(width), **question) if worker in able else None
        except WorkerError as error:
            able = [other for other in able if other is not worker]
            say(f"{worker.peer} is left out: width {width}: {error}")
            return None

    for width in widths:
        say(f"width {width}: all learn")
        for peer, reason in differing({worker.peer: ask(worker, "learn", width) for worker in workers}).items():
            able = [worker for worker in able if worker.peer != peer]
            say(f"{peer} is left out: width {width}: {reason}")
    for i in range(rounds):
        say(f"{in_words(workers[0].threads)}: round {i + 1} of {rounds}")
        for width in widths:
            for worker in workers:
                answer = ask(worker, "time", width, seconds=seconds, length=length)
                spent[worker.peer, width] += answer["seconds"] if answer else []
    return [
        {
            "peer": worker.peer,
            "threads": worker.threads,
            "width": width,
            **spread(spent[worker.peer, width]),
            "flops": sweep_case(width).flops,
        }
        for worker in able
        for width in widths
    ]


def series(rows: list[dict[str, Any]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """The rows of each (peer, threads), in order of the width."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["width"]):
        found.setdefault((row["peer"], row["threads"]), []).append(row)
    return found


def cliffs(rows: list[dict[str, Any]]) -> list[str]:
    """A sentence for each."""
    return [
        f"cliff: {peer}, {in_words(threads)}: width {small['width']} takes "
        f"{duration(small['median'])}, width {large['width']} {duration(large['median'])}"
        for (peer, threads), line in series(rows).items()
        for small, large in pairwise(line)
        if small["median"] > CLIFF * large["median"]
    ]
