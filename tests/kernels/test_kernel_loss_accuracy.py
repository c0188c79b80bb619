"""Every loss, value and gradient, within 4 units in the last place of the exact result:
the table of benchmarks/accuracy.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "accuracy.py"
_spec = importlib.util.spec_from_file_location("accuracy", PATH)
assert _spec is not None
assert _spec.loader is not None
accuracy = importlib.util.module_from_spec(_spec)
sys.modules["accuracy"] = accuracy  # where typing looks for the module of a NamedTuple
_spec.loader.exec_module(accuracy)
CASES = dict(accuracy.cases())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # what overflows in the terms that errors are compared with
@pytest.mark.parametrize("name", CASES)
def test_errors_are_below_4_units_in_the_last_place(core: ModuleType, name: str) -> None:
    for what, error, y, p in accuracy.errors(CASES[name], core):
        assert error <= 4, f"{what}: {error:.3g} ULP at y_true = {y!r}, y_pred = {p!r}"
