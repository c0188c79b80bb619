"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fastnn


@pytest.fixture(autouse=True)
def automatic_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test may choose the number of threads; the next one finds the automatic choice."""
    monkeypatch.delenv("FASTNN_NUM_THREADS", raising=False)
    fastnn.set_num_threads(None)
    yield
    fastnn.set_num_threads(None)
