"""Peak memory of a training on a mapped file: ``python -m benchmarks.memory [--gib 4] [--columns 1024]``.

Resident pages of the file count, as they do for a limit on a process's memory.  Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fastnn import Sequential, layers


def peak() -> float:
    """MiB that this process had resident at most."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak memory of a training on a mapped file.")
    parser.add_argument("--gib", type=float, default=4.0)
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--folder", help="where to make the file, which is removed")
    chosen = parser.parse_args()
    rows = int(chosen.gib * 2**28) // chosen.columns
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        path = Path(folder) / "x.npy"
        rng = np.random.default_rng(0)
        x = np.lib.format.open_memmap(path, "w+", np.float32, (rows, chosen.columns))
        at_once = max(2**24 // chosen.columns, 1)
        for start in range(0, rows, at_once):
            x[start : start + at_once] = rng.standard_normal(
                (len(x[start : start + at_once]), chosen.columns), np.float32
            )
        del x
        alone = peak_of_a_child(path, 0)
        begun = time.monotonic()
        trained = peak_of_a_child(path, 1)
        seconds = time.monotonic() - begun
    print(
        f"{chosen.gib:g} GiB, {rows:,} samples of {chosen.columns} features: {trained - alone:.0f} MiB above the "
        f"{alone:.0f} MiB of a process that trains on nothing; {seconds:.0f} s for a shuffled epoch and a validation"
    )


def peak_of_a_child(path: Path, epochs: int) -> float:
    """Of a process of its own, that trains for so many epochs."""
    command = [sys.executable, "-c", f"from benchmarks.memory import child; child({str(path)!r}, {epochs})"]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def child(path: str, epochs: int) -> None:
    x = np.load(path, mmap_mode="r")
    stack = [layers.Dense(64, "relu"), layers.Dense(2, "softmax")]
    model = Sequential([layers.Input((x.shape[1],)), *stack], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    y = np.zeros(len(x), np.int32)
    y[::2] = 1
    if epochs:
        model.fit(x, y, batch_size=256, epochs=epochs, validation_split=0.1, verbose=0)
    print(peak())


if __name__ == "__main__":
    main()
