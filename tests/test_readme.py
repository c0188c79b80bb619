"""The Python of the README and of the docs runs as it is printed, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README, LAYERS = ROOT / "README.md", ROOT / "docs" / "layers.md"


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("code", [*blocks(README), *blocks(LAYERS)])
def test_python_runs_and_prints_what_it_says(code: str, tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    promises = re.findall(r"^print\(.*\)  # (.+)$", code, re.MULTILINE)
    assert promises
    lines = result.stdout.splitlines()
    for promise in promises:
        assert promise in lines


def test_there_is_python() -> None:
    assert (len(blocks(README)), len(blocks(LAYERS))) == (1, 3)


@pytest.mark.parametrize("page", [README, LAYERS], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (page.parent / target).exists()] == []
