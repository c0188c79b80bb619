"""Arrays whose memory is a mapped file, and the pages of it that are resident.

A page that was touched is resident, and so counts as the process's memory, until it is given back: a pass over a file
would end with all of it.
"""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np


def is_mapped(value: Any) -> bool:
    """Whether an array's memory is a mapped file."""
    if not isinstance(value, np.ndarray) or value.base is None:  # the owner of its memory
        return False
    return value.ndim > 0 and value.size > 0 and _map_of(value)[0] is not None


def give_back(array: np.ndarray) -> None:
    """Let the system take the pages of a mapped file, which holds them; nothing of an array in memory."""
    pages, from_file = _map_of(array)
    if pages is not None and from_file and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def _map_of(array: np.ndarray) -> tuple[mmap.mmap | None, bool]:
    """The map that an array lies in, and whether its pages can be had again from the file."""
    base: Any = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    holder = base.base.obj if isinstance(base.base, memoryview) else base.base
    # Changes to a map of mode "c" are the process's alone: giving its pages back would lose them.
    from_file = not base.flags.writeable or getattr(base, "mode", "c") != "c"
    return (holder if isinstance(holder, mmap.mmap) else None), from_file
