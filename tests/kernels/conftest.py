"""A test of this folder that asks for ``core`` runs once for each build of the kernels that this machine can run."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from .support import BUILDS, name_of


@pytest.fixture(params=BUILDS, ids=name_of, scope="session")
def core(request: pytest.FixtureRequest) -> ModuleType:
    """One build of the kernels."""
    module: ModuleType = request.param
    return module


@pytest.fixture(params=[np.float32, np.float64], ids=["f32", "f64"], scope="session")
def dtype(request: pytest.FixtureRequest) -> np.dtype:
    """One of the two element types, for tests that compare builds with each other."""
    return np.dtype(request.param)
