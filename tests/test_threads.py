"""How the number of threads is chosen: by call, by environment, by what the process may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastnn
from fastnn import kernels, threads


@pytest.fixture(autouse=True)
def _automatic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing chosen, nothing in the environment; a machine of 8 processors."""
    monkeypatch.setattr(threads, "_chosen", None)
    monkeypatch.setattr(threads, "_processors", lambda: 8)
    for name in ("FASTNN_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "THREADS", True)


@pytest.mark.usefixtures("threaded")
@pytest.mark.parametrize("n", [1, 2, 5, kernels.MAX_THREADS])
def test_set_and_get(n: int) -> None:
    fastnn.set_num_threads(n)
    assert fastnn.get_num_threads() == n
    assert threads.for_step(0) == threads.for_step(1e12) == n
    fastnn.set_num_threads(None)
    assert fastnn.get_num_threads() == 8


@pytest.mark.usefixtures("threaded")
@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n is 0, expected 1 to 64"),
        (-2, ValueError, "n is -2, expected 1 to 64"),
        (65, ValueError, "n is 65, expected 1 to 64"),
        (2**70, ValueError, "expected 1 to 64"),
        (2.0, TypeError, "n is 2.0, expected an integer"),
        ("2", TypeError, "n is '2', expected an integer"),
        (True, TypeError, "n is True, expected an integer"),
    ],
)
def test_a_bad_number_changes_nothing(n: Any, error: type[Exception], message: str) -> None:
    assert kernels.MAX_THREADS == 64
    fastnn.set_num_threads(3)
    with pytest.raises(error, match=message):
        fastnn.set_num_threads(n)
    assert fastnn.get_num_threads() == 3


@pytest.mark.usefixtures("threaded")
def test_the_automatic_number_grows_with_the_work() -> None:
    numbers = [threads.for_step(work) for work in (0, 1e3, 1e5, 1e6, 1e7, 1e8, 1e12)]
    assert numbers == sorted(numbers)
    assert numbers[0] == numbers[1] == 1
    assert numbers[-1] == fastnn.get_num_threads() == 8


@pytest.mark.usefixtures("threaded")
@pytest.mark.parametrize(
    ("environment", "most", "least"),
    [
        ({}, 8, 1),
        ({"OMP_NUM_THREADS": "3"}, 3, 1),
        ({"OMP_NUM_THREADS": "3,2"}, 3, 1),
        ({"OMP_NUM_THREADS": "100"}, 8, 1),
        ({"OMP_NUM_THREADS": ""}, 8, 1),
        ({"FASTNN_NUM_THREADS": "5"}, 5, 5),
        ({"FASTNN_NUM_THREADS": " 5 "}, 5, 5),
        ({"FASTNN_NUM_THREADS": "5", "OMP_NUM_THREADS": "2"}, 5, 5),
        ({"FASTNN_NUM_THREADS": "", "OMP_NUM_THREADS": "2"}, 2, 1),
        ({"FASTNN_NUM_THREADS": "1000"}, 64, 64),
    ],
)
def test_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], most: int, least: int) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert fastnn.get_num_threads() == most
    assert threads.for_step(1e12) == most
    assert threads.for_step(0) == least
    fastnn.set_num_threads(7)
    assert fastnn.get_num_threads() == 7


@pytest.mark.usefixtures("threaded")
@pytest.mark.parametrize("name", ["FASTNN_NUM_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "0x2"])
def test_a_bad_environment_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=f"environment variable {name} is {value!r}, expected a positive integer"):
        fastnn.get_num_threads()


def test_a_build_without_threads_uses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "THREADS", False)
    monkeypatch.setenv("FASTNN_NUM_THREADS", "4")
    fastnn.set_num_threads(4)
    assert fastnn.get_num_threads() == threads.for_step(1e12) == 1


def run(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    names = ("FASTNN_NUM_THREADS", "OMP_NUM_THREADS")
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=inherited | environment, capture_output=True, text=True
    )


def test_a_process_of_its_own_reads_the_environment(tmp_path: Path) -> None:
    code = "import fastnn; print(fastnn.get_num_threads())"
    expected = "3" if kernels.THREADS else "1"
    assert run(code, tmp_path, FASTNN_NUM_THREADS="3").stdout.split() == [expected]
    assert run(code, tmp_path, OMP_NUM_THREADS="1").stdout.split() == ["1"]
    failed = run(code, tmp_path, FASTNN_NUM_THREADS="many")
    assert failed.returncode == (1 if kernels.THREADS else 0)
    assert not kernels.THREADS or failed.stderr.splitlines()[-1].startswith(
        "ValueError: the environment variable FASTNN"
    )


def test_no_more_than_the_process_may_use(tmp_path: Path) -> None:
    code = """
import os, fastnn
allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count()))
print(fastnn.get_num_threads() <= len(allowed))
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(allowed)})
    print(fastnn.get_num_threads() == 1)
"""
    assert set(run(code, tmp_path).stdout.split()) == {"True"}


@pytest.mark.parametrize(
    ("quota", "count"), [("max 100000", 6), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 6)]
)
def test_the_control_groups_quota(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, count: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota + "\n", encoding="ascii")
    monkeypatch.undo()  # the real _processors
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(threads, "open", lambda *_args, **_options: file.open(encoding="ascii"), raising=False)
    assert threads._processors() == count


def test_without_a_control_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(*_args: object, **_options: object) -> None:
        raise FileNotFoundError

    monkeypatch.undo()
    monkeypatch.setattr(threads, "open", missing, raising=False)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert threads._processors() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert threads._processors() == 1
