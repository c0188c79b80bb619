"""Objects as a class's name and a configuration that JSON can hold, and back: no code is in what comes from a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from . import validation

T = TypeVar("T")

_registered: dict[str, Any] = {}
_custom: ContextVar[Mapping[str, Any]] = ContextVar("custom_objects", default={})  # noqa: B039 - it is never changed


@contextmanager
def custom_object_scope(custom_objects: Mapping[str, Any] | None) -> Iterator[None]:
    """Within this, files and configurations may name these classes and functions, besides those of fastnn.

    Parameters
    ----------
    custom_objects : dict from name to class or function, or None
    """
    if custom_objects is not None and not isinstance(custom_objects, Mapping):
        raise TypeError(f"custom_objects is {custom_objects!r}, expected a dict from name to class")
    token = _custom.set({**_custom.get(), **(custom_objects or {})})
    try:
        yield
    finally:
        _custom.reset(token)


def register_keras_serializable(package: str = "Custom", name: str | None = None) -> Callable[[T], T]:
    """A decorator of a class or function, after which files and configurations may name it everywhere.

    Parameters
    ----------
    package : str
        Whose it is: its name in files is ``package>name``.
    name : str, optional
        Its own by default.

    Raises
    ------
    ValueError
        For a class that has no ``get_config``.

    Examples
    --------
    >>> from fastnn import metrics, utils
    >>> @utils.register_keras_serializable("forests")
    ... def error(y_true, y_pred):
    ...     return abs(y_pred - y_true)
    >>> utils.get_registered_name(error)
    'forests>error'
    """

    def register(thing: T) -> T:
        own = name or _name_of(thing)
        if isinstance(thing, type) and not hasattr(thing, "get_config"):
            raise ValueError(f"{own} has no get_config, expected a class that has")
        _registered[f"{package}>{own}"] = thing
        return thing

    return register


def get_custom_objects() -> dict[str, Any]:
    """Registered classes and functions by name: the very dict, which may be changed."""
    return _registered


def get_registered_name(obj: Any) -> str:
    """The name of a class or function in files: what it was registered by, or its own."""
    return next((name for name, thing in _registered.items() if thing is obj), None) or _name_of(obj)


def get_registered_object(name: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The class or function of a name, of the scope, of those registered, or of `custom_objects`; None without one."""
    return {**(custom_objects or {}), **_registered, **_custom.get()}.get(name)


def serialize(thing: Any) -> dict[str, Any]:
    """An object as a dict of its class's name and its configuration; a function as its name."""
    if hasattr(thing, "get_config"):
        return {"class_name": get_registered_name(type(thing)), "config": thing.get_config()}
    if callable(thing):
        return {"class_name": "function", "config": get_registered_name(thing)}
    raise TypeError(f"{thing!r} has no get_config, expected an object that has, or a function")


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
    class_name = description.get("class_name")
    found = _find(f"{name}'s class_name", class_name, known)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise TypeError(f"custom_objects[{class_name!r}] is {found!r}, expected a subclass of {kind.__name__}")
    result: T = found.from_config(description["config"])  # type: ignore[attr-defined]
    return result


def deserialize_function(name: str, description: Any, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The function that `serialize` described; the arguments are those of `deserialize`."""
    if not isinstance(description, dict) or description.get("class_name") != "function":
        raise ValueError(f"{name} is {description!r}, expected a dict with the class_name 'function'")
    found = _find(name, description.get("config"), known)
    if not callable(found):
        raise TypeError(f"custom_objects[{description['config']!r}] is {found!r}, expected a function")
    result: Callable[..., Any] = found
    return result


def _find(what: str, name: Any, known: Mapping[str, Any]) -> Any:
    custom = _custom.get()
    there = {**known, **_registered, **custom}
    if isinstance(name, str):
        if name in there:
            return there[name]
        # Where the writer of a file had registered what its reader gives, or the other way round:
        package, _, plain = name.rpartition(">")
        if package and plain in custom:
            return custom[plain]
        for registered, thing in _registered.items():
            if not package and registered.endswith(f">{name}"):
                return thing
    raise ValueError(
        f"{what} is {name!r}, expected one of {validation.listed(map(repr, there))}; where it is your own, give "
        f"custom_objects={{{name!r}: …}}, or put @fastnn.utils.register_keras_serializable() above it"
    )


def _name_of(thing: Any) -> str:
    return getattr(thing, "__name__", None) or type(thing).__name__
