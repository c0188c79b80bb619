"""The examples do what they say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_every_optimizer_reads_the_digits(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "optimizers_on_digits.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert {line.split()[1].partition("(")[0] for line in lines} == {
        *("SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "Adamax", "Nadam", "Lion")
    }
    assert min(float(line.split()[0]) for line in lines) >= 0.96
