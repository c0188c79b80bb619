"""Imports point down the layers of the package, never up; kernels and reference never meet."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "fastnn"

# From the bottom up. A module may import those of its own level and of the levels below it.
LEVELS = [
    {"kernels", "reference"},
    {
        *("validation", "serialization", "safetensors", "tabular", "threads", "config", "mapped"),
        *("utils", "backend", "plots", "callbacks", "datasets"),
    },
    {"losses", "activations", "initializers", "regularizers", "metrics", "optimizers"},
    {"layers"},
    {"models"},
    {"inspection", "estimators", "saving"},
    {"cli", "__init__", "__main__"},
]
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}


def imports(path: Path, package: Path) -> Iterator[str]:
    """Yield the dotted name of everything of fastnn that the file imports, as ``losses`` or ``kernels.gemm``."""
    home = path.relative_to(package).parent.parts
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        statements = []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                statements += [(0, alias.name, "") for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                statements += [(node.level, node.module or "", alias.name) for alias in node.names]
    else:
        text = re.sub(r"\\\n", " ", text)
        statements = [
            (len(dots), module, name.split()[0])
            for dots, module, names in re.findall(
                r"^[ \t]*from[ \t]+(\.*)([\w.]*)[ \t]+c?import[ \t]+(\([^)]*\)|.*)$", text, re.MULTILINE
            )
            for name in re.sub(r"#.*", "", names).strip("() \t\n").split(",")
            if name.strip()
        ]
        statements += [
            (0, name.split()[0], "")
            for names in re.findall(r"^[ \t]*c?import[ \t]+(.*)$", text, re.MULTILINE)
            for name in re.sub(r"#.*", "", names).split(",")
            if name.strip()
        ]
        for included in re.findall(r"^[ \t]*include[ \t]+[\"']([^\"']+)[\"']", text, re.MULTILINE):
            target = (path.parent / included).resolve()
            assert target.is_relative_to(package), f"{path} includes {included}, from outside the package"
            yield ".".join(target.relative_to(package).with_suffix("").parts)
    for level, module, name in statements:
        if level:
            base = [*home[: len(home) - (level - 1)], *filter(None, module.split("."))]
        elif module.split(".")[0] == "fastnn":
            base = module.split(".")[1:]
        else:
            continue
        # `from fastnn import losses` means the module; `from fastnn import show_config` means fastnn/__init__.py.
        if not base:
            base = [name if name and _is_module(package / name) else "__init__"]
        yield ".".join(base)


def _is_module(path: Path) -> bool:
    return path.is_dir() or path.with_suffix(".py").exists()


def violations(package: Path) -> list[str]:
    """Describe every import that breaks the order."""
    found = []
    for path in sorted(p for p in package.rglob("*") if p.suffix in (".py", ".pyx", ".pxd", ".pxi")):
        importer = path.relative_to(package).with_suffix("").parts[0]
        for imported in sorted({name.partition(".")[0] for name in imports(path, package)}):
            where = f"{path.relative_to(package).as_posix()} imports {imported}"
            if importer not in LEVEL or imported not in LEVEL:
                found.append(f"{where}: a module without a level")
            elif importer == imported:
                continue
            elif imported == "reference":
                found.append(f"{where}, which is for the tests alone")
            elif LEVEL[imported] > LEVEL[importer]:
                found.append(f"{where}, which is above it")
            elif importer in LEVELS[0]:
                found.append(f"{where}: the two never meet")
    return found


def test_imports_point_down() -> None:
    assert violations(PACKAGE) == []


def test_every_module_has_a_level() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }
    assert modules == set(LEVEL)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("losses.py", "from .models import Sequential"),
        ("losses.py", "from fastnn.models import Sequential"),
        ("losses.py", "from fastnn import models"),
        ("losses.py", "from . import models"),
        ("losses.py", "import fastnn"),
        ("losses.py", "import fastnn.models"),
        ("losses.py", "from fastnn import show_config"),
        ("losses.py", "def f():\n    from . import layers"),
        ("models.py", "from .reference import losses"),
        ("reference/losses.py", "from ..kernels import f32"),
        ("reference/losses.py", "from .. import validation"),
        ("kernels/losses.pyx", "from fastnn.validation import check"),
        ("kernels/losses.pyx", "from ..threads cimport (\n    team,\n    size)"),
        ("kernels/losses.pyx", "from numpy import sqrt\nfrom .. import layers  # why"),
        ("kernels/losses.pyx", "cimport fastnn.layers as layers"),
        ("kernels/losses.pyx", 'include "../reference/losses.pxi"'),
        ("unheard_of.py", "from . import losses"),
    ],
)
def test_a_wrong_import_is_seen(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    (tmp_path / "layers.py").touch()
    (tmp_path / "models.py").touch()
    path.write_text(line, encoding="utf-8")
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("models.py", "import numpy\nfrom . import losses\nfrom .kernels import f32\nfrom fastnn.layers import Dense"),
        ("cli.py", "import fastnn\nfrom fastnn import show_config"),
        ("reference/losses.py", "from . import activations\nfrom .activations import relu"),
        ("kernels/losses.pyx", 'cimport numpy as cnp  # models\nfrom libc.math cimport exp\ninclude "simd.pxi"'),
    ],
)
def test_a_right_import_is_not(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    (tmp_path / "losses.py").touch()
    path.write_text(line, encoding="utf-8")
    assert violations(tmp_path) == []
