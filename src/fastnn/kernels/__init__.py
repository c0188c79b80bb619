"""The compiled kernels: one build of core.pyx for each instruction set and dtype, the best of them chosen at import.

``FASTNN_ISA`` (v2, v3, v4, base) overrides the choice; tests run every level that the machine has.
"""

import importlib
import importlib.util
import os
from types import ModuleType

import numpy as np

_cpu = importlib.import_module("._cpu", __name__)

_DTYPES = {"float32": "f32", "float64": "f64"}


def available() -> tuple[str, ...]:
    """Instruction sets that were built and that this machine has, best first."""
    return tuple(isa for isa in _cpu.supported() if importlib.util.find_spec(f"{__name__}._f32_{isa}"))


def _choose() -> str:
    wanted = os.environ.get("FASTNN_ISA")
    built = available()
    if not wanted and built:
        return built[0]
    if wanted not in built:
        raise ImportError(
            f"FASTNN_ISA is {wanted!r}, expected one of {', '.join(built)}: what was built and this machine has"
        )
    return wanted


isa = _choose()
compiler = _cpu.compiler()
_cores = {name: importlib.import_module(f"._{short}_{isa}", __name__) for name, short in _DTYPES.items()}
THREADS: bool = _cores["float32"].THREADS
MAX_THREADS: int = _cores["float32"].MAX_THREADS


def core(dtype: np.dtype | type | str) -> ModuleType:
    """The kernels for float32 or float64."""
    return _cores[np.dtype(dtype).name]
