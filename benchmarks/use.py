"""What users wait for and pay beside training: calls of a network, the import, the packages, the first model."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json as json_
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .cases import CASES
from .peers import PEERS
from .results import document, duration, save, say, spread
from .workers import surroundings

ROOT = Path(__file__).resolve().parents[1]
IMPORTS = {  # module: what a script that trains a network imports
    "numpy": "import numpy",
    "fastnn": "import fastnn",
    "sklearn": "from sklearn.neural_network import MLPClassifier",
    "torch": "import torch",
    "jax": "import jax, optax",
    "keras": "import keras",
    "onnxruntime": "import onnxruntime",
}
DISTRIBUTIONS = {
    "sklearn": ["scikit-learn"],
    "torch": ["torch"],
    "jax": ["jax", "optax"],
    "keras": ["keras", "jax"],
    "onnxruntime": ["onnxruntime"],
}
FIRST = ("fastnn", "numpy", "sklearn", "torch", "jax", "keras")
DIGITS = CASES["digits"]


def run(only: list[str], threads: list[int], rounds: int, seconds: float, slice: float, json: str | None) -> None:
    """The command; its arguments are those of the command line."""
    options = {"rounds": rounds, "seconds": seconds, "slice": slice}
    parts: dict[str, list[dict[str, Any]]] = {}
    for part in only:
        if part == "inference":
            parts[part] = [row for n in threads for row in inference(n, rounds, seconds, slice)]
        else:
            measure: Callable[[int], list[dict[str, Any]]] = {"imports": imports, "first": first_model, "sizes": sizes}[
                part
            ]
            parts[part] = measure(rounds)
        print("\n" + TABLES[part](parts[part]), flush=True)
        save(json, document("use", options, **parts))


# ---- inference -------------------------------------------------------------------------------------------------------


def inference(threads: int, rounds: int, seconds: float, length: float) -> list[dict[str, Any]]:
    environment, cpus = surroundings(threads)
    command = [sys.executable, "-m", "benchmarks", "infer", *map(str, (threads, rounds, seconds, length)), cpus]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, Any]] = json_.loads(done.stdout.splitlines()[-1])
    return rows


# ---- fresh processes -------------------------------------------------------------------------------------------------


def imports(rounds: int) -> list[dict[str, Any]]:
    """Seconds of a fresh process that imports and ends; `beyond_numpy` is what the one of NumPy does not need."""
    commands = {name: ["-c", code] for name, code in IMPORTS.items() if importlib.util.find_spec(name)}
    rows = fresh_processes(commands, rounds, "imports")
    base = next(row["median"] for row in rows if row["peer"] == "numpy")
    return [{**row, "beyond_numpy": row["median"] - base} for row in rows]


def first_model(rounds: int) -> list[dict[str, Any]]:
    """Seconds of a fresh process that imports, makes a network and trains it for one epoch of the digits' size."""
    commands = {name: ["-m", "benchmarks", "first", name] for name in FIRST if PEERS[name].is_installed()}
    return fresh_processes(commands, rounds, "trains a first model")


def train_first(peer: str) -> None:
    """What such a process does."""
    trainer = PEERS[peer].make(DIGITS, 0)
    trainer.train(-(-DIGITS.steps // trainer.unit), True)
    trainer.weights()


def fresh_processes(commands: dict[str, list[str]], rounds: int, what: str) -> list[dict[str, Any]]:
    spent: dict[str, list[float]] = {name: [] for name in commands}
    for i in range(rounds + 1):  # the first one fills the system's file cache
        for name, arguments in commands.items():
            say(f"round {i} of {rounds}: {name} {what}")
            environment = (
                os.environ | (PEERS[name].environment if name in PEERS else {}) | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            )
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)
            if i:
                spent[name].append(time.perf_counter() - start)
    return [{"peer": name, **spread(values)} for name, values in spent.items()]


# ---- sizes -----------------------------------------------------------------------------------------------------------


def sizes(_: int) -> list[dict[str, Any]]:
    """Bytes that pip installs beside Python and NumPy; of fastnn's wheel also as it is downloaded."""
    say("building the wheel")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, str(ROOT)]
        subprocess.run(command, check=True, stdout=sys.stderr)
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            installed = sum(item.file_size for item in archive.infolist())
        rows = [{"peer": "fastnn", "bytes": installed, "packages": 1, "wheel": wheel.stat().st_size}]
    numpy = closure(["numpy"])
    for peer, names in DISTRIBUTIONS.items():
        try:
            packages = closure(names) - numpy
        except importlib.metadata.PackageNotFoundError:
            continue
        rows.append({"peer": peer, "bytes": sum(map(installed_bytes, packages)), "packages": len(packages)})
    return rows


def closure(names: list[str]) -> set[str]:
    """Distributions, and all that they require here and that is installed."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    todo = list(names)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for line in importlib.metadata.distribution(name).requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    return found


def installed_bytes(distribution: str) -> int:
    files = importlib.metadata.files(distribution) or []
    return sum(path.stat().st_size for file in files if (path := Path(str(file.locate()))).is_file())


# ---- tables ----------------------------------------------------------------------------------------------------------


def inference_table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'network':22}{'threads':9}{'rows':>6}  {'':28}{'a call':>10}{'samples/s':>12}"]
    lines += [
        f"{row['network']:22}{row['threads'] or 'auto':<9}{row['rows']:6}  {row['way']:28}"
        f"{duration(row['median']):>10}{row['rows'] / row['median']:12.3g}"
        for row in rows
    ]
    return "\n".join(lines)


def imports_table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'import, fresh process':24}{'time':>10}{'beyond NumPy':>14}"]
    lines += [f"{row['peer']:24}{duration(row['median']):>10}{row['beyond_numpy'] * 1e3:11.0f} ms" for row in rows]
    return "\n".join(lines)


def first_table(rows: list[dict[str, Any]]) -> str:
    return "\n".join(
        ["first trained model, fresh process", *(f"{row['peer']:24}{duration(row['median']):>10}" for row in rows)]
    )


def sizes_table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'installed beside NumPy':24}{'MB':>8}{'packages':>10}"]
    lines += [f"{row['peer']:24}{row['bytes'] / 1e6:8.1f}{row['packages']:10}" for row in rows]
    return "\n".join([*lines, f"fastnn's wheel: {rows[0]['wheel'] / 1e6:.2f} MB"])


TABLES = {"inference": inference_table, "imports": imports_table, "sizes": sizes_table, "first": first_table}
