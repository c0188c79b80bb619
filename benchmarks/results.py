"""What was measured, as statistics and as JSON: with the machine, the versions and the command."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastnn

from .timing import affinity

DISTRIBUTIONS = ("numpy", "torch", "jax", "optax", "scikit-learn", "keras", "onnxruntime", "onnx")


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return {"median": float(median), "quartile_1": float(low), "quartile_3": float(high)}


def geometric_mean(values: Iterable[float]) -> float:
    return statistics.geometric_mean(list(values))


def machine() -> dict[str, Any]:
    config = fastnn.show_config("dicts")
    assert config is not None
    return {
        "processor": _processor(),
        "processors": len(affinity()),
        "system": f"{platform.system()} {platform.machine()}",
        "instruction set": config["instruction set"],
        "compiler": config["compiler"],
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "fastnn": fastnn.__version__}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def document(command: str, options: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A run."""
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "options": options,
        "machine": machine(),
        "versions": versions(),
        **parts,
    }


def save(path: str | None, run: dict[str, Any]) -> None:
    """Write it, whole or not at all: a long run saves after each of its parts."""
    if path is None:
        return
    temporary = Path(f"{path}.part")
    temporary.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps(_short(run), indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _short(value: Any) -> Any:
    """Floats to six digits, which is more than was measured."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, (list, tuple)) else value


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """As ``0.21 µs``, ``36.1 µs``, ``1.60 ms``."""
    for unit, scale in (("µs", 1e6), ("ms", 1e3), ("s", 1.0)):
        if seconds * scale < 999.5 or unit == "s":
            return f"{significant(seconds * scale)} {unit}"
    raise AssertionError


def significant(value: float) -> str:
    """Three digits."""
    digits = 2 - int(np.floor(np.log10(abs(value)))) if value else 2
    return f"{value:,.{max(0, digits)}f}"
