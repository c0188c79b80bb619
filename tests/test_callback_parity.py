"""Callbacks against Keras 3's: data/make_callbacks.py has what is done with both, callbacks.json what Keras's do."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn

DATA = Path(__file__).parent / "data"
GOLDEN = json.loads((DATA / "callbacks.json").read_text(encoding="utf-8"))


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("make_callbacks", DATA / "make_callbacks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKE = _load()
SCENARIOS = dict(MAKE.scenarios())


def agree(found: Any, expected: Any) -> None:
    """Numbers to float32's rounding over some steps, everything else to the letter."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            agree(found[key], value)
    elif isinstance(expected, list) and not all(type(value) is float for value in expected):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            agree(one, other)
    elif isinstance(expected, (list, float)):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    else:
        assert found == expected


def test_every_scenario_has_been_run() -> None:
    assert SCENARIOS.keys() == GOLDEN.keys()


@pytest.mark.parametrize("name", SCENARIOS)
def test_callbacks_do_what_keras_s_do(name: str) -> None:
    agree(json.loads(json.dumps(MAKE.run(fastnn, SCENARIOS[name]))), GOLDEN[name])
