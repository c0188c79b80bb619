"""The scripts in examples/, which run as they are, and as Keras's but for one line."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

# What each ends with, at least or at most; Keras ends there too (examples/compare_with_keras.py).
ENDS: dict[str, dict[str, tuple[float, float]]] = {
    "imbalanced_binary": {"auc": (0.89, 1), "recall": (0.65, 1)},
    "multiclass_digits": {"accuracy": (0.96, 1), "top_3": (0.99, 1), "loss": (0, 0.2)},
    "regression_with_normalization": {"mae": (0, 1.1), "r2_score": (0.92, 1)},
    "multioutput_regression": {"rmse": (0, 0.05), "r2_score": (0.99, 1)},
    "batches_from_a_generator": {"accuracy": (0.97, 1), "loss": (0, 0.08)},
}


@pytest.mark.parametrize("name", ENDS)
def test_a_script_of_keras_runs(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    ends = ast.literal_eval(result.stdout.splitlines()[-1])
    for number, (low, high) in ENDS[name].items():
        assert low <= ends[number] <= high, ends
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ENDS)
def test_one_import_makes_it_keras_s(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    assert re.findall(r"^.*fastnn.*$", text, re.MULTILINE) == ["import fastnn as keras"]


def test_every_optimizer_reads_the_digits(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "optimizers_on_digits.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert {line.split()[1].partition("(")[0] for line in lines} == {
        *("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam", "Lion")
    }
    assert min(float(line.split()[0]) for line in lines) >= 0.96
