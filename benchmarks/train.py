"""Time of one training step: gather a shuffled batch, forward, loss, backward, update.

Each peer works in a process of its own.  All start from the same weights, and after the same number of steps in the
same order must have reached the same loss; then they are timed in turn, round by round.  The limits are measured beside
each slice in the same process, so that a change of the clock's frequency cancels in the ratio: the multiply-adds of a
core's registers, and copying as many bytes as a step must read and write of parameters and moments.
"""

from __future__ import annotations

import statistics
from typing import Any

from .cases import CASES
from .peers import PEERS
from .results import document, duration, geometric_mean, save, say, spread
from .timing import affinity
from .workers import Worker, WorkerError

CHECK_TOLERANCE = 0.01  # relative, of the loss; the steps are the same, rounding is not
REFERENCE = "numpy"
COMPARED = ("torch", "sklearn")  # the means over the cases are given against each of them
MEANINGFUL = 3e-7  # seconds: where the limit is below that, a step is its calls and branches


def run(
    case: list[str], peer: list[str], threads: list[int], rounds: int, seconds: float, slice: float, json: str | None
) -> None:
    """The command; its arguments are those of the command line."""
    found = [name for name in peer if PEERS[name].is_installed()]
    if missing := sorted(set(peer) - set(found)):
        say(f"left out because not installed: {', '.join(missing)}")
    if max(threads) > len(affinity()):
        say(f"{max(threads)} threads on {len(affinity())} processors: they will wait for each other")
    options = {"rounds": rounds, "seconds": seconds, "slice": slice}
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    for n in threads:
        workers = {name: Worker(name, n) for name in found}
        print(heading(n))
        for name in case:
            new, failed = measure(name, workers, rounds, seconds, slice)
            rows += new
            left_out += failed
            print(table(new), flush=True)
            save(json, document("train", options, results=rows, left_out=left_out))
        for worker in workers.values():
            worker.close()
        print(summary([row for row in rows if row["threads"] == n]), flush=True)


def measure(
    name: str, workers: dict[str, Worker], rounds: int, seconds: float, length: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of a case, and the peers that are left out of it."""
    case = CASES[name]
    able = [peer for peer in workers if PEERS[peer].can(case)]
    failed: list[dict[str, Any]] = []

    def leave_out(peer: str, reason: str) -> None:
        able.remove(peer)
        failed.append({"case": name, "peer": peer, "threads": workers[peer].threads, "reason": reason})
        say(f"{name}: {peer} is left out: {reason}")

    losses: dict[str, float | None] = {}
    for peer in list(able):
        say(f"{name}: {peer} learns")
        try:
            losses[peer] = workers[peer].ask("learn", case)
        except WorkerError as error:
            leave_out(peer, str(error))
    for peer, reason in differing(losses).items():
        leave_out(peer, reason)
    answers: dict[str, list[Any]] = {peer: [] for peer in able}
    for i in range(rounds):
        for peer in list(able):
            say(f"{name}: round {i + 1} of {rounds}, {peer}")
            try:
                answers[peer].append(workers[peer].ask("time", case, seconds=seconds, length=length))
            except WorkerError as error:
                leave_out(peer, str(error))
    for peer in able:
        workers[peer].ask("forget", case)
    rows = [statistics_of(name, workers[peer].threads, peer, answers[peer], losses[peer]) for peer in able]
    return rows, failed


def differing(losses: dict[str, float | None]) -> dict[str, str]:
    """The peers that learned something else, and what; those without a loss cannot be compared."""
    comparable = {peer: loss for peer, loss in losses.items() if loss is not None}
    reference = comparable.get(REFERENCE, next(iter(comparable.values()), 0.0))
    return {
        peer: f"reached the loss {loss:.5g} instead of {reference:.5g}: not the same training"
        for peer, loss in comparable.items()
        if not abs(loss - reference) <= CHECK_TOLERANCE * abs(reference)
    }


def statistics_of(name: str, threads: int, peer: str, answers: list[Any], loss: float | None) -> dict[str, Any]:
    """A row: seconds per step, and the limit's share, as medians over all slices."""
    case, cores = CASES[name], threads or len(affinity())
    slices = [
        dict(zip(("seconds", "peak", "bandwidth"), values, strict=True))
        for answer in answers
        for values in zip(answer["seconds"], answer["peak"], answer["bandwidth"], strict=True)
    ]
    for one in slices:
        by_flops, by_bytes = case.flops / (cores * one["peak"]), case.update_bytes / (cores * one["bandwidth"])
        one["limit"], one["flop_share"] = max(by_flops, by_bytes), by_flops / one["seconds"]
        one["share"] = one["limit"] / one["seconds"]
    return {
        "case": name,
        "peer": peer,
        "threads": threads,
        "cores": cores,
        "loss": loss,
        **spread([one["seconds"] for one in slices]),
        "slices": len(slices),
        "quiet": statistics.mean(answer["quiet"] for answer in answers),
        "flops": case.flops,
        **{
            key: statistics.median(one[key] for one in slices)
            for key in ("peak", "bandwidth", "limit", "flop_share", "share")
        },
    }


def in_words(threads: int) -> str:
    return f"{threads} thread{'s' * (threads > 1)}" if threads else "automatic threads"


def heading(threads: int) -> str:
    columns = f"{'case':12}{'peer':15}{'a step':>10}{'quartiles':>22}{'GFLOP/s':>9}{'of flops':>9}{'of limit':>9}"
    return f"\nfloat32, {in_words(threads)}\n{columns}{'fastnn':>11}{'quiet':>7}"


def table(rows: list[dict[str, Any]]) -> str:
    """A case's rows, fastest first."""
    own = next((row["median"] for row in rows if row["peer"] == "fastnn"), None)
    lines = []
    for row in sorted(rows, key=lambda row: row["median"]):
        quartiles = f"{duration(row['quartile_1'])} … {duration(row['quartile_3'])}"
        share = f"{row['share']:.0%}" if row["limit"] > MEANINGFUL else "–"
        ratio = f"{row['median'] / own:.2f}×" if own and row["peer"] != "fastnn" else ""
        lines.append(
            f"{row['case']:12}{row['peer']:15}{duration(row['median']):>10}{quartiles:>22}"
            f"{row['flops'] / row['median'] / 1e9:9.1f}{row['flop_share']:9.0%}{share:>9}{ratio:>11}{row['quiet']:7.0%}"
        )
    return "\n".join(lines)


def by_case(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    cases: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        cases.setdefault(row["case"], {})[row["peer"]] = row
    return cases


def means(rows: list[dict[str, Any]]) -> dict[str, tuple[float, int]]:
    """How many times faster fastnn is, as geometric means over the cases, and of how many."""
    cases = [peers for peers in by_case(rows).values() if "fastnn" in peers and len(peers) > 1]
    ratios: dict[str, list[float]] = {"the fastest peer": [], **{name: [] for name in COMPARED}}
    for peers in cases:
        own = peers["fastnn"]["median"]
        ratios["the fastest peer"].append(min(row["median"] for name, row in peers.items() if name != "fastnn") / own)
        for name in COMPARED:
            if name in peers:
                ratios[name].append(peers[name]["median"] / own)
    return {name: (geometric_mean(values), len(values)) for name, values in ratios.items() if values}


def summary(rows: list[dict[str, Any]]) -> str:
    return "\n".join(
        f"geometric mean against {name}: {mean:.2f}× over {count} cases" for name, (mean, count) in means(rows).items()
    )
