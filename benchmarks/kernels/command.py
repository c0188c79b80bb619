"""Kernels against their peers: runs pytest on benchmarks/kernels, and shows ratios.

The peers of a kernel are timed one after the other, and all kernels again in every round, in a new process.
"""

from __future__ import annotations

import json as json_
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ..results import document, duration, geometric_mean, save, say, spread
from ..workers import stay_on, surroundings

FOLDER = Path(__file__).parent
COPY = "copy"  # no peer, but NumPy's copy in as much memory: what moving bytes takes
IN_MEMORY = 1e8  # bytes moved: fewer may stay in a cache

Rows = list[dict[str, Any]]


def run(only: list[str] | None, threads: list[int], rounds: int, seconds: float, json: str | None) -> int:
    """The command; its arguments are those of the command line."""
    rows: Rows = []
    status = 0
    for n in threads:
        entries: Rows = []
        for i in range(rounds):
            say(f"{n} thread{'s' * (n > 1)}, round {i + 1} of {rounds}")
            found, failed = one_round(only, n, seconds)
            entries += found
            status = status or failed
        rows += summed_up(entries, n)
        save(json, document("kernels", {"only": only, "rounds": rounds, "seconds": seconds}, results=rows))
    print(table(rows))
    return status


def one_round(only: list[str] | None, threads: int, seconds: float) -> tuple[Rows, int]:
    """What pytest-benchmark found, and the status that pytest ended with."""
    environment, cpus = surroundings(threads)
    files = [str(FOLDER / f"bench_{name}.py") for name in only] if only else [str(FOLDER)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.json"
        command = [sys.executable, "-m", "pytest", *files, "-q", "--benchmark-only", "--benchmark-disable-gc"]
        command += ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*", "-W", "ignore", "--no-header"]
        command += [f"--benchmark-max-time={seconds}", f"--benchmark-json={path}", "--benchmark-quiet", "--tb=short"]
        # Warm, with the collector off; short calls many at a time, or the clock would count; the table is ours.
        command += ["--benchmark-warmup=on", "--benchmark-warmup-iterations=100", "--benchmark-min-time=0.0001"]
        command += ["-p", "no:cacheprovider"]
        status = subprocess.run(
            command, env=environment, stdout=sys.stderr, check=False, preexec_fn=partial(stay_on, cpus)
        ).returncode
        found: Rows = json_.loads(path.read_text(encoding="utf-8"))["benchmarks"] if path.exists() else []
    return found, status


def summed_up(entries: Rows, threads: int) -> Rows:
    """A row for each kernel and peer: median and quartiles of the rounds' medians."""
    cells: dict[tuple[str, str, str], Rows] = {}
    for entry in entries:
        kind = Path(entry["fullname"].split("::")[0]).stem.removeprefix("bench_")
        cells.setdefault((kind, entry["group"], entry["extra_info"]["peer"]), []).append(entry)
    return [
        {"kind": kind, "kernel": kernel, "threads": threads}
        | own[0]["extra_info"]
        | spread([entry["stats"]["median"] for entry in own])
        for (kind, kernel, _), own in cells.items()
    ]


class Comparison(NamedTuple):
    """One kernel, with so many threads."""

    kind: str
    kernel: str
    threads: int
    spent: dict[str, float]  # seconds: fastnn's and the peers'
    share: float | None  # of the copy's bandwidth that fastnn reaches, where the kernel moves memory

    @property
    def fastest(self) -> str | None:
        """The fastest peer."""
        peers = {peer: seconds for peer, seconds in self.spent.items() if peer != "fastnn"}
        return min(peers, key=lambda peer: peers[peer]) if peers else None

    @property
    def ratio(self) -> float | None:
        """Its time over fastnn's."""
        own = self.spent.get("fastnn")
        return self.spent[self.fastest] / own if own and self.fastest else None


def comparisons(rows: Rows) -> list[Comparison]:
    cells: dict[tuple[str, str, int], dict[str, dict[str, Any]]] = {}
    for row in rows:
        cells.setdefault((row["kind"], row["kernel"], row["threads"]), {})[row["peer"]] = row
    found = []
    for key, peers in cells.items():
        own, copy = peers.get("fastnn"), peers.pop(COPY, None)
        share = None
        if own and copy and own["bytes"] > IN_MEMORY:
            share = (own["bytes"] / own["median"]) / (copy["bytes"] / copy["median"])
        found.append(Comparison(*key, {peer: row["median"] for peer, row in peers.items()}, share))
    return found


def by_kind(found: list[Comparison]) -> dict[tuple[str, int], list[float]]:
    """The ratios of each kind with so many threads."""
    ratios: dict[tuple[str, int], list[float]] = {}
    for one in found:
        if one.ratio:
            ratios.setdefault((one.kind, one.threads), []).append(one.ratio)
    return ratios


def table(rows: Rows) -> str:
    lines = [f"{'kernel':52}{'threads':>8}{'fastnn':>10}{'fastest peer':>26}{'ratio':>9}{'of a copy':>11}"]
    found = comparisons(rows)
    for one in found:
        if one.ratio and one.fastest:
            peer = f"{one.fastest} {duration(one.spent[one.fastest])}"
            share = f"{one.share:.0%}" if one.share else ""
            own = duration(one.spent["fastnn"])
            lines.append(f"{one.kernel:52}{one.threads:8}{own:>10}{peer:>26}{one.ratio:8.2f}×{share:>11}")
    for (kind, n), ratios in by_kind(found).items():
        lines.append(f"geometric mean, {kind}, {n} thread{'s' * (n > 1)}: {geometric_mean(ratios):.2f}×")
    return "\n".join(lines)
