"""What `import fastnn` loads."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn

# Prints the packages that `import fastnn` loads from files outside the standard library. Cython and compiled NumPy
# register helper modules that have no file.
SCRIPT = """
import sys
before = set(sys.modules)
import fastnn
loaded = {
    name.partition(".")[0]
    for name in set(sys.modules) - before
    if getattr(sys.modules[name], "__file__", None) is not None
}
print(*sorted(loaded - sys.stdlib_module_names))
"""


@pytest.mark.parametrize("name", ["scipy", "matplotlib", "tqdm", "sklearn", "polars", "onnx", "h5py", "safetensors"])
def test_the_optional_packages_are_installed_here(name: str) -> None:
    # Without them the next test could not fail.
    assert importlib.util.find_spec(name) is not None


def test_import_needs_numpy_alone(tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["fastnn", "numpy"]


def test_bases_have_keras_names() -> None:
    assert fastnn.Layer is fastnn.layers.Layer
    assert fastnn.Metric is fastnn.metrics.Metric
    assert fastnn.Optimizer is fastnn.optimizers.Optimizer
    assert issubclass(fastnn.utils.Sequence, fastnn.utils.PyDataset)


def test_what_scripts_ask_for() -> None:
    assert fastnn.backend.floatx() == fastnn.config.floatx() == fastnn.Sequential().dtype
    epsilon = np.float32(fastnn.backend.epsilon())
    assert fastnn.losses.binary_crossentropy([1.0], [0.0]) == pytest.approx(-np.log(epsilon), rel=1e-5)
    assert fastnn.config.epsilon() == fastnn.backend.epsilon()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Model", r"module 'fastnn' has no Model: models are stacks of layers, Sequential\(\[…\]\)"),
        ("ops", "module 'fastnn' has no ops: use NumPy"),
        ("nothing", "module 'fastnn' has no attribute 'nothing'"),
    ],
)
def test_what_is_not_there(name: str, message: str) -> None:
    with pytest.raises(AttributeError, match=message):
        getattr(fastnn, name)
