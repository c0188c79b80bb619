"""Kernels against their peers: runs pytest on benchmarks/kernels, one thread, and shows ratios."""

from __future__ import annotations

import json as json_
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..results import document, duration, geometric_mean, save
from ..workers import stay_on, surroundings

FOLDER = Path(__file__).parent


def run(only: list[str] | None, seconds: float, json: str | None) -> int:
    """The command; its arguments are those of the command line."""
    environment, cpus = surroundings(1)
    stay_on(cpus)
    files = [str(FOLDER / f"bench_{name}.py") for name in only] if only else [str(FOLDER)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "benchmark.json"
        command = [sys.executable, "-m", "pytest", *files, "-q", "--benchmark-only", "--benchmark-disable-gc"]
        command += ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*", "-W", "ignore", "--no-header"]
        command += [f"--benchmark-max-time={seconds}", f"--benchmark-json={path}", "--benchmark-quiet", "--tb=short"]
        # Warm, with the collector off; the table is ours.
        command += ["--benchmark-warmup=on", "--benchmark-warmup-iterations=100", "-p", "no:cacheprovider"]
        status = subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text:
        return status or 1
    rows = [
        {
            "kind": Path(entry["fullname"].split("::")[0]).stem.removeprefix("bench_"),
            "kernel": entry["group"],
            "peer": entry["extra_info"]["peer"],
            "median": entry["stats"]["median"],
            "quartile_1": entry["stats"]["q1"],
            "quartile_3": entry["stats"]["q3"],
        }
        for entry in json_.loads(text)["benchmarks"]
    ]
    save(json, document("kernels", {"seconds": seconds}, results=rows))
    print(table(rows))
    return status


def groups(rows: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, float]]:
    """Seconds of each peer, by kind and kernel."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        found.setdefault((row["kind"], row["kernel"]), {})[row["peer"]] = row["median"]
    return found


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'kernel':52}{'fastnn':>10}{'fastest peer':>26}{'ratio':>8}"]
    ratios: dict[str, list[float]] = {}
    for (kind, kernel), spent in groups(rows).items():
        peers = {peer: seconds for peer, seconds in spent.items() if peer != "fastnn"}
        if "fastnn" not in spent or not peers:
            continue
        best = min(peers, key=lambda peer: peers[peer])
        ratio = peers[best] / spent["fastnn"]
        ratios.setdefault(kind, []).append(ratio)
        lines.append(f"{kernel:52}{duration(spent['fastnn']):>10}{f'{best} {duration(peers[best])}':>26}{ratio:7.2f}×")
    lines += [f"geometric mean, {kind}: {geometric_mean(values):.2f}×" for kind, values in ratios.items()]
    return "\n".join(lines)
