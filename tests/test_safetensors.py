"""Files in the safetensors format: held to the format's own library, damaged, and killed while they are written."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors as library
import safetensors.numpy as library_numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastnn import safetensors

DTYPES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda name: name != "__metadata__")
ARRAYS = st.dictionaries(
    NAMES, st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0)))
)


def assert_same(left: Mapping[str, np.ndarray], right: Mapping[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype, name
        assert array.shape == right[name].shape, name
        assert array.tobytes() == right[name].tobytes(), name


def file(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


# ---- the library reads ours, and we read the library's ---------------------------------------------------------------


@given(ARRAYS, st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"]))))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray], metadata: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.safetensors"
    safetensors.write(path, arrays, metadata)
    again, other = safetensors.read(path)
    assert_same(again, arrays)
    assert other == metadata
    assert all(array.flags.writeable and array.flags.c_contiguous for array in again.values())
    assert_same(library_numpy.load_file(path), arrays)
    with library.safe_open(path, "np") as opened:
        assert (opened.metadata() or {}) == metadata


@given(ARRAYS)
def test_what_the_library_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]
) -> None:
    path = tmp_path_factory.getbasetemp() / "library.safetensors"
    library_numpy.save_file(arrays, path, {"who": "library"})
    again, metadata = safetensors.read(path)
    assert_same(again, arrays)
    assert metadata == {"who": "library"}


def test_arrays_of_any_strides_and_byte_order(tmp_path: Path) -> None:
    a = np.arange(12.0).reshape(3, 4)
    safetensors.write(tmp_path / "a", {"t": a.T, "s": a[::2, ::-1], "b": a.astype(">f4")}, {})
    again = library_numpy.load_file(tmp_path / "a")
    assert_same(again, {"t": a.T.copy(), "s": a[::2, ::-1].copy(), "b": a.astype("f4")})


def test_a_dtype_that_the_format_has_not(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="z has dtype complex128, expected real numbers"):
        safetensors.write(tmp_path / "a", {"z": np.zeros(1, complex)}, {})
    assert list(tmp_path.iterdir()) == []


def test_arrays_are_aligned_in_the_file(tmp_path: Path) -> None:
    arrays = {dtype: np.zeros(3, dtype) for dtype in ("i1", "f4", "f8", "f2")}
    safetensors.write(tmp_path / "a", arrays, {"what": "makes the header's length odd"})
    content = (tmp_path / "a").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    for name, array in arrays.items():
        assert (8 + length + header[name]["data_offsets"][0]) % array.itemsize == 0, name


# ---- files that are none ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it ends after 0 bytes"),
        (b"1234567", "it ends after 7 bytes"),
        (b"\xff" * 100, "its header would have 18446744073709551615 bytes, the file has 100"),
        ((200_000_000).to_bytes(8, "little") + b"{}", "its header would have 200000000 bytes"),
        (file(b"{"), "Expecting property name"),
        (file(b"\xff\xfe{}"), "utf-?16|utf-?8|Expecting"),
        (file(b"[" * 5000), "nested too deeply|Expecting|maximum recursion"),
        (file([]), "its header is no object"),
        (file({"__metadata__": {"a": 1}}), "its metadata are no object of strings"),
        (file({"__metadata__": []}), "its metadata are no object of strings"),
        (file(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{}}', b"1234"), "has a name twice"),
        (file({"a": 3}), "'a' is described by 3"),
        (file({"a": entry(dtype="F31")}, b"1234"), "'a' is described by"),
        (file({"a": entry(dtype=[])}, b"1234"), "'a' is described by"),
        (file({"a": entry(shape=3)}, b"1234"), "'a' is described by"),
        (file({"a": entry(shape=[-1])}, b"1234"), "'a' is described by"),
        (file({"a": entry(shape=[True])}, b"1234"), "'a' is described by"),
        (file({"a": entry(shape=[1.0])}, b"1234"), "'a' is described by"),
        (file({"a": entry(shape=[1] * 65)}, b"1234"), "'a' is described by"),
        (file({"a": entry(shape=[0, 2**80], offsets=[0, 0])}), "'a' is described by"),
        (file({"a": entry(shape=[0, 2**61, 2**61], offsets=[0, 0])}), "big|large"),
        (file({"a": entry(offsets=[0])}, b"1234"), "'a' is described by"),
        (file({"a": entry(offsets=[4, 0])}, b"1234"), "'a' has -4 bytes, expected 4"),
        (file({"a": entry(shape=[2])}, b"1234"), "'a' has 4 bytes, expected 4 for each item of"),
        (file({"a": entry(shape=[2**40], offsets=[0, 2**42])}, b"1234"), "its arrays have 4398046511104 bytes"),
        (file({"a": entry(offsets=[1, 5])}, b"12345"), "the bytes of 'a' begin at 1, expected 0"),
        (file({"a": entry(), "b": entry(offsets=[2, 6])}, b"123456"), "the bytes of 'b' begin at 2, expected 4"),
        (file({"a": entry()}, b"123"), "its arrays have 4 bytes, the file has 3"),
        (file({"a": entry()}, b"12345"), "its arrays have 4 bytes, the file has 5"),
    ],
)
def test_no_safetensors_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"(?s)bad.safetensors' is damaged or no safetensors file: .*({message})"):
        safetensors.read(path)


@given(st.data())
def test_damage_is_a_value_error_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.safetensors"
    safetensors.write(path, {"kernel": np.arange(6.0), "bias": np.zeros((2, 3), np.float32)}, {"a": "b"})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    path.write_bytes(content + data.draw(st.binary(max_size=3)))
    try:
        arrays, _ = safetensors.read(path)
    except ValueError as error:
        assert "damaged.safetensors" in str(error)  # noqa: PT017 - there may be none
    else:
        assert sum(array.nbytes for array in arrays.values()) < len(content)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        safetensors.read(tmp_path / "nothing.safetensors")


# ---- whole or not at all ---------------------------------------------------------------------------------------------


def test_what_happens_in_which_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the first fsync a crash of the machine could leave the new name with no bytes, without the second the old.
    path, calls = tmp_path / "a", []
    path.write_bytes(b"old")
    fsync, replace = os.fsync, os.replace

    def seen_fsync(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        calls.append(("fsync", "directory" if is_directory else os.fstat(descriptor).st_size))
        fsync(descriptor)

    def seen_replace(source: str, target: str) -> None:
        calls.append(("replace", path.read_bytes()))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    safetensors.replace_file(path, [b"the ", memoryview(b"new")])
    assert calls == [("fsync", 7), ("replace", b"old"), ("fsync", "directory")]
    assert path.read_bytes() == b"the new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*a'"):
        safetensors.replace_file(path, [b"new"])
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


def test_ctrl_c_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        safetensors.replace_file(path, [b"new"])
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a", b"old")]


def test_a_link_stays_a_link_and_a_mode_a_mode(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o600)
    link.symlink_to(target)
    safetensors.replace_file(link, [b"new"])
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    safetensors.replace_file("a", [b"new"])
    assert (tmp_path / "a").read_bytes() == b"new"


def test_no_directory_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none/a'"):
        safetensors.replace_file(tmp_path / "none" / "a", [b""])
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"folder'"):
        safetensors.replace_file(tmp_path / "folder", [b""])
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


# Kills itself just before the n-th of the system's calls that writing a file makes.
KILLED = """
import os, signal, sys
import numpy as np
from fastnn import safetensors

path, at = sys.argv[1], int(sys.argv[2])
calls = 0

def counted(function):
    def call(*arguments, **named):
        global calls
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return function(*arguments, **named)
    return call

for name in ("open", "fsync", "replace", "chmod", "close"):
    setattr(os, name, counted(getattr(os, name)))
chunks = [b"new" * 100_000] * 3
safetensors.replace_file(path, (counted(bytes)(chunk) for chunk in chunks))
print(calls)
"""


def test_a_kill_at_any_call_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    whole = {b"old", b"new" * 300_000}
    seen = set()
    for at in range(100):
        path.write_bytes(b"old")
        script = textwrap.dedent(KILLED)
        done = subprocess.run([sys.executable, "-c", script, str(path), str(at)], capture_output=True, check=False)
        seen.add(path.read_bytes())
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert at == int(done.stdout) >= 7
    assert seen == whole
