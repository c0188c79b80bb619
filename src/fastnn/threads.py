"""How many threads a computation uses.  No result depends on it, only the time it takes."""

from __future__ import annotations

import os

from . import kernels, validation

# Below this many floating-point operations in a step, a second thread costs more in waiting than it saves in work: two
# threads meet twice a step, and on a machine that is busy with other things they wait long for each other.
_FLOPS_PER_THREAD = 5e6

_chosen: int | None = None


def set_num_threads(n: int | None) -> None:
    """Use n threads for every computation; None goes back to the automatic choice.

    Parameters
    ----------
    n : int or None
        From 1 to 64.

    Raises
    ------
    ValueError, TypeError
        For anything else.
    """
    global _chosen
    _chosen = None if n is None else validation.integer("n", n, low=1, high=kernels.MAX_THREADS)


def get_num_threads() -> int:
    """The number of threads that the largest computations use.

    It is `set_num_threads`' number, or the environment's ``FASTNN_NUM_THREADS``; or automatic: as many processors as
    this process may use (affinity and control group), at most ``OMP_NUM_THREADS`` where that is set, as joblib and
    threadpool managers do for their workers.
    """
    return _fixed() or _automatic()


def for_step(multiply_adds: float) -> int:
    """Threads for work that meets after every so many multiply-adds."""
    if fixed := _fixed():
        return fixed
    paid_for = int(2 * multiply_adds / _FLOPS_PER_THREAD)
    return min(paid_for, _automatic()) if paid_for > 1 else 1  # asking for the processors takes microseconds


def _fixed() -> int | None:
    if not kernels.THREADS:
        return 1
    return _chosen or _from_environment("FASTNN_NUM_THREADS")


def _automatic() -> int:
    limit = _from_environment("OMP_NUM_THREADS") or kernels.MAX_THREADS
    return max(1, min(_processors(), limit, kernels.MAX_THREADS))


def _from_environment(name: str) -> int | None:
    value = (
        os.environ.get(name, "").split(",")[0].strip()
    )  # OMP_NUM_THREADS may hold one number for each level of nesting
    if not value:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"the environment variable {name} is {value!r}, expected a positive integer")
    return min(int(value), kernels.MAX_THREADS)


def _processors() -> int:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return count
    return count if quota == "max" else max(1, min(count, int(quota) // int(period)))
