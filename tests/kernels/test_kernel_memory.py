"""No kernel reads or writes a byte beyond what it is given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .support import BUILDS, name_of

SCRIPT = Path(__file__).with_name("guarded_memory.py")


# Protecting pages is POSIX's.
@pytest.mark.parametrize("name", [name_of(core) for core in BUILDS] if os.name == "posix" else [])
def test_kernels_stay_inside_their_arrays(name: str) -> None:
    result = subprocess.run([sys.executable, SCRIPT, name], capture_output=True, text=True)
    lines = result.stdout.split("\n")
    assert (result.returncode, lines[-2:]) == (0, ["done", ""]), (result.returncode, lines[-2:], result.stderr)


@pytest.mark.parametrize("access", ["x[1]", "x.__setitem__(1, 0)"])
def test_a_byte_too_many_is_noticed(access: str) -> None:
    # Otherwise the test above could not fail.
    code = f"""
import sys
sys.argv = sys.argv[:1]
exec(open({str(SCRIPT)!r}).read())
x = guarded(np.zeros(1, np.uint8), at_the_end=True)
x = np.lib.stride_tricks.as_strided(x, (2,), (1,))
print("here", flush=True)
{access}
print("there")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode < 0
    assert result.stdout.split() == ["done", "here"]
