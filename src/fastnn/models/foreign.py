"""Weights that Keras and PyTorch wrote, under the names that they have here."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .. import validation
from ..layers import Dense, Layer


def is_hdf5(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins as HDF5 does."""
    with open(path, "rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


def read_keras(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The layers' arrays of a ``.weights.h5``, as ``dense_1/vars/0``: layers of one class, and arrays, are numbered."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError('reading .weights.h5 needs h5py: pip install "fastnn[keras]"') from error
    try:
        with h5py.File(path) as file:
            groups = {name: group["vars"] for name, group in file["layers"].items() if "vars" in group}
            return {f"{name}/vars/{i}": a[()] for name, group in groups.items() for i, a in group.items()}
    except (OSError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)!r} is damaged, or no weights of Keras 3: {error}") from error


def translated(given: Mapping[str, Any], layers: Iterable[Layer], *, ordered: bool) -> dict[str, Any]:
    """Arrays under the names that they have here; those that are not recognised keep theirs."""
    if any("/vars/" in name for name in given):
        return _from_keras(given, layers)
    if any(name.rpartition(".")[2] == "weight" for name in given):
        return _from_pytorch(given, layers, ordered)
    return dict(given)


def _from_keras(given: Mapping[str, Any], layers: Iterable[Layer]) -> dict[str, Any]:
    result, seen, left = {}, Counter[str](), dict(given)
    for layer in layers:
        kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
        place = kind + (f"_{seen[kind]}" if seen[kind] else "")
        seen[kind] += 1
        for i, name in enumerate(named(layer)):
            if f"{place}/vars/{i}" not in left:
                raise ValueError(f"it has no {place}/vars/{i} for {layer.name}.{name}")
            result[f"{layer.name}.{name}"] = left.pop(f"{place}/vars/{i}")
        if kind == "normalization":
            left.pop(f"{place}/vars/2", None)  # of how many samples it knows
    if left:
        raise ValueError(f"it has {validation.listed(left)} besides, expected the layers of this model alone")
    return result


def _from_pytorch(given: Mapping[str, Any], layers: Iterable[Layer], ordered: bool) -> dict[str, Any]:
    """Of Linear layers in the order of a dict; a file has none, and there the numbers in the names tell."""
    stems = [*dict.fromkeys(name.rpartition(".")[0] for name in given)]
    if not ordered and len(stems) > 1:
        numbers = {stem: [int(n) for n in re.findall(r"\d+", stem)] for stem in stems}
        if len({tuple(n) for n in numbers.values()}) < len(stems) or len({len(n) for n in numbers.values()}) > 1:
            raise ValueError(
                f"it has the layers {validation.listed(stems)} in no order, expected a dict in the layers' order"
            )
        stems.sort(key=numbers.__getitem__)
    dense = [layer for layer in layers if named(layer)]
    if len(stems) != len(dense) or not all(isinstance(layer, Dense) for layer in dense):
        raise ValueError(
            f"it has {len(stems)} layers ({validation.listed(stems)}), expected {len(dense)} of torch.nn.Linear, "
            f"for {validation.listed(str(layer.name) for layer in dense)}"
        )
    result = {}
    for stem, layer in zip(stems, dense, strict=True):
        for there, here in (("weight", "kernel"), ("bias", "bias")):
            name = f"{stem}.{there}".removeprefix(".")
            if name in given:
                result[f"{layer.name}.{here}"] = np.asarray(given[name]).T
    if len(result) != len(given):
        raise ValueError(f"it has {validation.listed(given)}, expected weight and bias of torch.nn.Linear layers alone")
    return result


def named(layer: Layer) -> dict[str, np.ndarray]:
    """A layer's arrays, by the names of its attributes."""
    return dict(zip(layer.weight_names, layer.weights, strict=True))
