"""What this installation of fastnn is and runs on."""

from __future__ import annotations

import importlib.util
import platform
import sys
from typing import Any

import numpy as np

from . import kernels, threads, validation

__version__ = "0.1.0"
_OPTIONAL = ("matplotlib", "tqdm", "sklearn", "scipy", "polars", "onnx", "h5py")


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print version, instruction set, threads, compiler and the optional packages found; or return them.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        As in ``numpy.show_config``: print, or return a dict.
    """
    validation.choice("mode", mode, ("stdout", "dicts"))
    config = {
        "fastnn": __version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "machine": platform.machine(),
        "instruction set": kernels.isa,
        "instruction sets available": list(kernels.available()),
        "compiler": kernels.compiler,
        "threads": threads.get_num_threads() if kernels.THREADS else "built without threads",
        "optional packages": [name for name in _OPTIONAL if importlib.util.find_spec(name)],
    }
    if mode == "dicts":
        return config
    width = max(map(len, config))
    for name, value in config.items():
        print(f"{name:<{width}}  {', '.join(value) if isinstance(value, list) else value}")
    return None


def floatx() -> str:
    """The dtype of a model that is not told another: float32."""
    return "float32"


def epsilon() -> float:
    """The small number that losses keep probabilities off 0 and 1 by: 1e-7."""
    return 1e-7
