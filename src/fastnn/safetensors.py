"""Files of named arrays in the safetensors format, and files that are replaced whole or not at all.

A file is 8 bytes, the header's length as a little-endian integer; the header, a JSON object that maps a name to dtype,
shape and place, and ``__metadata__`` to an object of strings; and then the arrays' bytes, C order, little-endian, one
after the other without gaps.  It holds no code, so that reading one from a stranger is safe: everything that the header
says is checked against the file's size before memory is asked for.
"""

from __future__ import annotations

import json
import math
import os
import stat
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import BufferedReader
from typing import Any

import numpy as np

__all__ = ["checksum", "read", "replace_file", "write"]

Path = str | os.PathLike[str]

_DTYPES = {
    name: np.dtype(code)
    for name, code in {
        "F64": "<f8",
        "F32": "<f4",
        "F16": "<f2",
        "I64": "<i8",
        "I32": "<i4",
        "I16": "<i2",
        "I8": "|i1",
        "U64": "<u8",
        "U32": "<u4",
        "U16": "<u2",
        "U8": "|u1",
        "BOOL": "|b1",
    }.items()
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write a file that holds these arrays, in the place of the one that may be there.

    Raises
    ------
    TypeError
        For an array of a dtype that the format does not have.
    OSError
        Where the file cannot be written; the old one is as it was then.
    """
    # The widest first: each array then lies at a multiple of its items' size, as those who map the file may want.
    ready = {name: np.asarray(a, a.dtype.newbyteorder("<"), order="C") for name, a in arrays.items()}
    ready = dict(sorted(ready.items(), key=lambda item: -item[1].itemsize))
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, a in ready.items():
        header[name] = {"dtype": _name(name, a.dtype), "shape": a.shape, "data_offsets": (end, end := end + a.nbytes)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    parts = (a.reshape(-1).view(np.uint8).data for a in ready.values() if a.size)
    replace_file(path, (len(text).to_bytes(8, "little"), text, *parts))


def checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """Of names, shapes and values, wherever they are in the file: a program that writes them anew changes nothing."""
    crc = zlib.crc32(json.dumps(metadata, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        crc = zlib.crc32(f"{name} {array.dtype.str[1:]} {array.shape}".encode(), crc)
        crc = zlib.crc32(np.asarray(array, array.dtype.newbyteorder("<"), order="C").data, crc)
    return f"{crc:08x}"


def replace_file(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Make a file of these parts: at every moment, and after a crash at any, `path` is the old or the whole new file.

    A process that is killed may leave its unfinished ``.fastnn-….tmp`` beside it.

    Raises
    ------
    OSError
        Where that cannot be done; it names `path`.
    """
    target = os.path.realpath(path)  # a symbolic link stays one
    folder = os.path.dirname(target)
    unfinished = os.path.join(folder, f".fastnn-{os.urandom(8).hex()}.tmp")
    try:
        try:
            with open(unfinished, "xb") as file:
                with suppress(FileNotFoundError):
                    os.chmod(unfinished, stat.S_IMODE(os.stat(target).st_mode))
                file.writelines(parts)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished)
            raise
        if os.name != "nt":  # there a directory cannot be opened
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)  # the new name
            finally:
                os.close(descriptor)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _name(name: str, dtype: np.dtype) -> str:
    if dtype not in _NAMES:
        raise TypeError(f"{name} has dtype {dtype}, expected real numbers")
    return _NAMES[dtype]


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a file, in the order of their names in its header, and its metadata.

    Raises
    ------
    ValueError
        For a file of another kind, or a damaged one.
    OSError
        For one that cannot be read.
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        try:
            return _read(file, os.fstat(file.fileno()).st_size)
        except ValueError as error:
            raise ValueError(f"{path!r} is damaged or no safetensors file: {error}") from error


def _read(file: BufferedReader, size: int) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    length = int.from_bytes(_exactly(file, 8, size), "little")
    if length > size - 8:
        raise ValueError(f"its header would have {length} bytes, the file has {size}")
    try:
        header = json.loads(_exactly(file, length, size), object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are no object of strings")
    places = {name: _place(name, entry) for name, entry in header.items()}
    arrays = dict.fromkeys(places, np.empty(0))
    end = 0
    for name, (dtype, shape, start, stop) in sorted(places.items(), key=lambda item: item[1][2:]):
        if start != end:
            raise ValueError(f"the bytes of {name!r} begin at {start}, expected {end}, where those before it end")
        end = stop
        if stop > size - 8 - length:
            break
        data = _exactly(file, stop - start, size)
        arrays[name] = np.ndarray(shape, dtype, data).astype(dtype.newbyteorder("="), copy=False)
    if end != size - 8 - length:
        raise ValueError(f"its arrays have {end} bytes, the file has {size - 8 - length} for them")
    return arrays, metadata


def _exactly(file: BufferedReader, count: int, size: int) -> bytearray:
    data = bytearray(count)
    if file.readinto(data) != count:
        raise ValueError(f"it ends after {size} bytes")
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("its header has a name twice")
    return result


def _place(name: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], int, int]:
    """Dtype, shape and first and last byte of an array, of which the last two fit the others."""
    try:
        dtype, shape, offsets = _DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        start, stop = offsets
        counts = [*shape, start, stop]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{name!r} is described by {entry!r:.200}") from None
    if not all(type(n) is int and 0 <= n < 2**62 for n in counts) or len(shape) > 32:
        raise ValueError(f"{name!r} is described by {entry!r:.200}")
    if math.prod(shape) * dtype.itemsize != stop - start:
        raise ValueError(f"{name!r} has {stop - start} bytes, expected {dtype.itemsize} for each item of {shape}")
    return dtype, tuple(shape), start, stop
