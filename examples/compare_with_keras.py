"""Run the scripts that are Keras's but for an import in both, and compare what they end with.

``KERAS_BACKEND=jax python examples/compare_with_keras.py [--seeds 5] [SCRIPT …]``, with keras and jax installed.

The two draw different first weights and orders, so that ends differ as those of two seeds do.  For each number that a
script prints, the means over the seeds are compared: fastnn's may be worse than Keras's by 3 standard errors of their
difference at most.  The exit status is 1 where one is not.
"""

from __future__ import annotations

import argparse
import ast
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev

SCRIPTS = [
    "imbalanced_binary",
    "multiclass_digits",
    "regression_with_normalization",
    "multioutput_regression",
    "batches_from_a_generator",
]
IMPORT = "import fastnn as keras\n"
BETTER_HIGH = {"accuracy", "auc", "r2_score", "recall", "top_3"}


def ends(path: Path, seeds: int) -> dict[str, list[float]]:
    """What the script prints last, for each seed."""
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        result = subprocess.run([sys.executable, path, str(seed)], capture_output=True, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{path.name} failed: {result.stderr}")
        for name, value in ast.literal_eval(result.stdout.splitlines()[-1]).items():
            found.setdefault(name, []).append(value)
    return found


def main() -> int:
    """Print a table; returns the exit status."""
    parser = argparse.ArgumentParser(description="Compare the scripts' ends in fastnn and in Keras.")
    parser.add_argument("scripts", nargs="*", default=SCRIPTS, metavar="SCRIPT")
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    worse = 0
    print(f"{'script':<31}{'number':<12}{'fastnn':>18}{'Keras':>18}{'difference':>14}")
    for name in chosen.scripts:
        path = Path(__file__).with_name(f"{name}.py")
        text = path.read_text(encoding="utf-8")
        assert text.count(IMPORT) == 1, f"{path} has not the one line {IMPORT!r}"
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder) / path.name
            other.write_text(text.replace(IMPORT, "import keras\n"), encoding="utf-8")
            ours, theirs = ends(path, chosen.seeds), ends(other, chosen.seeds)
        assert ours.keys() == theirs.keys()
        for number, values in ours.items():
            error = math.sqrt((stdev(values) ** 2 + stdev(theirs[number]) ** 2) / chosen.seeds) + 1e-4
            difference = (mean(values) - mean(theirs[number])) / error
            bad = (-difference if number in BETTER_HIGH else difference) > 3
            worse += bad
            cells = (f"{mean(v):.4f} ± {stdev(v):.4f}" for v in (values, theirs[number]))
            mark = " worse" if bad else ""
            row = f"{name:<31}{number:<12}{next(cells):>18}{next(cells):>18}{difference:>+9.1f} s.e.{mark}"
            print(row, flush=True)
    return min(worse, 1)


if __name__ == "__main__":
    sys.exit(main())
