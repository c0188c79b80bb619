"""What the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread() -> Iterator[None]:
    """For SciPy's L-BFGS-B: on a busy machine the threads of its tiny products wait far longer than they work."""
    with threadpool_limits(1, "blas"):
        yield
