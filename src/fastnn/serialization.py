"""Objects as a class's name and a configuration that JSON can hold, and back: no code is in what comes from a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from . import validation

T = TypeVar("T")

_custom: ContextVar[Mapping[str, type]] = ContextVar("custom_objects", default={})  # noqa: B039 - it is never changed


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, type] | None) -> Iterator[None]:
    """Within this, `deserialize` knows these classes, by name, besides those of fastnn."""
    if custom_objects is not None and not isinstance(custom_objects, Mapping):
        raise TypeError(f"custom_objects is {custom_objects!r}, expected a dict from name to class")
    token = _custom.set({**_custom.get(), **(custom_objects or {})})
    try:
        yield
    finally:
        _custom.reset(token)


def serialize(thing: Any) -> dict[str, Any]:
    """An object as a dict of its class's name and its configuration."""
    return {"class_name": type(thing).__name__, "config": thing.get_config()}


def deserialize(name: str, description: Any, kind: type[T], known: Mapping[str, type[T]]) -> T:
    """The object that `serialize` described.

    Parameters
    ----------
    name : str
        What it is, for error messages.
    description : dict
    kind : type
        Of which it must be.
    known : dict from class name to class
        Which there are, besides the custom objects.

    Raises
    ------
    ValueError, TypeError
        For another kind of description, or a class that is not known.
    """
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict):
        raise ValueError(f"{name} is {description!r}, expected a dict with 'class_name' and 'config'")
    class_name, classes = description.get("class_name"), {**known, **_custom.get()}
    if not isinstance(class_name, str) or class_name not in classes:
        raise ValueError(
            f"{name}'s class_name is {class_name!r}, expected one of {validation.listed(map(repr, classes))}; "
            "custom_objects takes classes of your own"
        )
    found = classes[class_name]
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise TypeError(f"custom_objects[{class_name!r}] is {found!r}, expected a subclass of {kind.__name__}")
    result: T = found.from_config(description["config"])  # type: ignore[attr-defined]
    return result
