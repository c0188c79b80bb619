"""The one place that checks and converts what users pass.

Every function raises before anything is changed, and its message names the argument, what came and what was expected.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def real(name: str, value: Any, expected: str) -> np.ndarray:
    """`value` as an array of real numbers of any dtype."""
    if value is None:
        raise TypeError(f"{name} is None, expected {expected}")
    try:
        given = np.asarray(value)
    except ValueError as error:  # ragged nesting
        raise ValueError(f"{name} is no rectangular array, expected {expected}: {error}") from error
    if given.dtype.kind == "O" and hasattr(value, "to_numpy"):  # a frame of several types, or with missing values
        given = _columns(name, value, given)
    if given.dtype.kind not in "biuf":
        raise TypeError(f"{name} {_kind(value, given)}, expected {expected}")
    return given


def _kind(value: Any, given: np.ndarray) -> str:
    """What came, of which NumPy made no numbers."""
    if given.dtype == object and given.ndim == 0:
        return f"is a {type(value).__name__}" + (
            ", which toarray() makes an array" if hasattr(value, "toarray") else ""
        )
    odd = [v for v in given.flat if not isinstance(v, numbers.Real)] if given.dtype == object else []
    return f"has dtype {given.dtype}" + (f", with {odd[0]!r} in it" if odd else "")


def _columns(name: str, value: Any, given: np.ndarray) -> np.ndarray:
    """The numbers of a data frame or a series that NumPy takes for objects; what is missing is NaN."""
    if given.ndim == 1:
        return _series(value, given)
    if not hasattr(value, "columns") or len(value.columns) != given.shape[1]:
        return given
    parts = [_series(value[column], np.asarray(value[column])) for column in value.columns]
    for column, part in zip(value.columns, parts, strict=True):
        if part.dtype.kind not in "biuf":
            raise TypeError(
                f"{name} has the column {column!r} of type {value[column].dtype}, expected columns of real numbers"
            )
    return np.column_stack(parts)


def _series(value: Any, given: np.ndarray) -> np.ndarray:
    """A series as floats where it holds nothing but numbers and missing values."""
    if given.dtype.kind != "O" or given.ndim != 1:
        return given
    missing = np.asarray(value.isna()) if hasattr(value, "isna") else np.array([v is None for v in given], bool)
    if missing.all() or not all(isinstance(v, numbers.Real) for v in given[~missing]):
        return given
    result = np.full(given.shape, np.nan)
    result[~missing] = given[~missing].astype(np.float64)
    return result


def array(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """`value` as a C-contiguous, native array of dtype; no copy where it is one already."""
    given = real(name, value, "real numbers")
    return np.ascontiguousarray(given, dtype=dtype).reshape(given.shape)


def matrix(name: str, value: Any, dtype: np.dtype, columns: int | None = None) -> np.ndarray:
    """`value` as an array (N, columns) with N > 0; (N,) means (N, 1)."""
    given = array(name, value, dtype)
    result = given[:, np.newaxis] if given.ndim == 1 else given
    if result.ndim != 2:
        raise ValueError(f"{name} has shape {given.shape}, expected two dimensions (samples, features)")
    if columns is not None and result.shape[1] != columns:
        raise ValueError(f"{name} has shape {given.shape}, expected (samples, {columns})")
    if result.size == 0:
        raise ValueError(f"{name} has shape {given.shape}, expected at least one sample and one column")
    return result


def targets(name: str, value: Any, dtype: np.dtype, rows: int, columns: int) -> np.ndarray:
    """Targets (N, columns) without NaN, one row for each of N = `rows` samples."""
    result = matrix(name, value, dtype, columns)
    same_rows(name, result, rows)
    no_nan(name, result)
    return result


def no_nan(name: str, value: np.ndarray) -> None:
    """Targets without NaN; the first axis is named as the sample."""
    if value.dtype.kind == "f" and math.isnan(value.min()):  # one pass, no temporary
        row = int(np.argwhere(np.isnan(value))[0, 0])
        raise ValueError(f"{name} has a NaN in sample {row}, expected numbers")


def outputs(name: str, given: np.ndarray, axis: int, of_classes: bool) -> np.ndarray:
    """Predictions (…, K), K along `axis` of `given`; a vector is (N, 1), or (K,) of classes."""
    if given.ndim == 0:
        raise ValueError(f"{name} has shape (), expected (samples, outputs)")
    if given.size == 0:
        raise ValueError(f"{name} has shape {given.shape}, expected at least one sample and one column")
    if not -given.ndim <= axis < given.ndim:
        raise ValueError(f"axis is {axis}, expected one of the {given.ndim} dimensions of {name}")
    if given.ndim == 1 and not of_classes:
        return given[:, np.newaxis]
    return np.ascontiguousarray(np.moveaxis(given, axis, -1))


def targets_like(
    name: str, value: Any, dtype: np.dtype, given: tuple[int, ...], shape: tuple[int, ...], axis: int
) -> np.ndarray:
    """Targets for predictions that came with the shape `given`, as `shape`, K along the last axis; NaN is not looked
    for.
    """
    if len(shape) == 2 and axis == -1:
        result = matrix(name, value, dtype, shape[1])
        same_rows(name, result, shape[0])
        return result
    result = array(name, value, dtype)
    if axis == -1 and given in ((*result.shape, 1), result.shape[:-1] if result.shape[-1:] == (1,) else None):
        result = result.reshape(given)
    if result.shape != given:
        raise ValueError(f"{name} has shape {result.shape}, expected {given}")
    return np.ascontiguousarray(np.moveaxis(result, axis, -1)).reshape(shape)


def labels(name: str, value: Any, shape: tuple[int, ...], classes: int, ignore: int | None = None) -> np.ndarray:
    """Integer labels of this shape in 0 … classes - 1, as int32; floats that are whole are taken, and an axis of 1 at
    the end.  The label `ignore` may be any, and becomes -1.
    """
    given = real(name, value, "integer labels")
    if given.ndim == len(shape) + 1 and given.shape[-1] == 1:
        given = given[..., 0]
    if given.ndim != len(shape):
        raise ValueError(
            f"{name} has shape {given.shape}, expected integer labels of shape {shape}; "
            "one-hot rows are for categorical_crossentropy"
        )
    if given.shape != shape:
        if len(shape) == 1:
            same_rows(name, given, shape[0])
        raise ValueError(f"{name} has shape {given.shape}, expected integer labels of shape {shape}")
    if given.dtype.kind in "iu" and ignore is None and given.size and given.min() >= 0 and given.max() < classes:
        return np.ascontiguousarray(given, dtype=np.int32).reshape(shape)
    ignored = np.zeros(shape, bool) if ignore is None else given == ignore
    outside = ~((given >= 0) & (given < classes)) & ~ignored  # true for NaN as well
    if given.dtype.kind == "f":
        outside |= given != np.floor(given)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ValueError(
            f"{name} has the label {given[at]} at position {at[0] if len(at) == 1 else at}, "
            f"expected integers from 0 to {classes - 1}"
        )
    return np.where(ignored, -1, np.where(ignored, 0, given)).astype(np.int32)


def same_rows(name: str, value: np.ndarray, rows: int) -> None:
    """As many samples as the other arrays have."""
    if len(value) != rows:
        raise ValueError(f"{name} has {len(value)} samples, expected {rows}")


def weights(name: str, value: Any, dtype: np.dtype, rows: int) -> np.ndarray | None:
    """Sample weights (N,), finite and not negative; a number stands for all samples, None for none."""
    if value is None:
        return None
    result = array(name, value, dtype)
    if result.ndim == 0:
        result = np.full(rows, result)
    if result.ndim == 2 and result.shape[1] == 1:
        result = result[:, 0]
    if result.shape != (rows,):
        raise ValueError(f"{name} has shape {result.shape}, expected ({rows},)")
    if not (result >= 0).all() or not np.isfinite(result).all():
        at = int((~((result >= 0) & np.isfinite(result))).argmax())
        raise ValueError(f"{name} is {result[at]} at position {at}, expected finite weights of at least 0")
    return np.ascontiguousarray(result)


def loss_weights(name: str, value: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray | None:
    """Weights of losses of this shape, flat: one for all, one for each sample (N,), or one for each loss."""
    if value is None or shape in ((), *((n,) for n in shape[:1] if len(shape) == 1)):
        return weights(name, value, dtype, shape[0] if shape else 1)
    result = array(name, value, dtype)
    for n in (len(shape) + 1, len(shape)):
        if result.ndim == n > 1 and result.shape[-1] == 1 and result.shape[:-1] == shape[: n - 1]:
            result = result[..., 0]
    if result.shape != shape[: result.ndim]:
        raise ValueError(f"{name} has shape {result.shape}, expected {shape} or {shape[:1]}")
    result = np.broadcast_to(result.reshape(result.shape + (1,) * (len(shape) - result.ndim)), shape)
    return weights(name, result.reshape(-1), dtype, math.prod(shape))


def class_weights(name: str, value: Any, classes: np.ndarray) -> np.ndarray:
    """A weight for each sample, by its class (N,)."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {type(value).__name__}, expected a dict from class to weight")
    result = np.ones(len(classes))
    for label, weight in value.items():
        if not isinstance(label, numbers.Real):
            raise TypeError(f"{name} has the key {label!r}, expected a class: an integer")
        result[classes == label] = number(f"{name}[{label!r}]", weight, low=0)
    return result


def number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """A finite number in [low, high], without the ends that are open."""
    try:
        if isinstance(value, (str, bytes)):  # float would read it
            raise TypeError
        result = float(value)
    except OverflowError:  # an int beyond all floats
        result = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}, expected a number") from None
    good = (
        (result > low if open_low else result >= low)
        and (result < high if open_high else result <= high)
        and math.isfinite(result)
    )
    if not good:
        bounds = [f"{'>' if open_low else '>='} {low:g}"] if low > -math.inf else []
        bounds += [f"{'<' if open_high else '<='} {high:g}"] if high < math.inf else []
        raise ValueError(
            f"{name} is {value!r}, expected a finite number" + (f" {' and '.join(bounds)}" if bounds else "")
        )
    return result


def number_or_vector(name: str, value: Any, *, low: float = -math.inf) -> np.ndarray:
    """A finite number or a vector of them, each at least `low`, as float64 of no axis or one."""
    result = real(name, value, "a number or a vector").astype(np.float64)
    if result.ndim > 1 or not (np.isfinite(result) & (result >= low)).all():
        least = f", at least {low:g}" if low > -math.inf else ""
        raise ValueError(f"{name} is {value!r}, expected a finite number or a vector of them{least}")
    return result


def fits(name: str, value: np.ndarray, n: int) -> None:
    """A number, or a vector of n."""
    if value.shape not in ((), (n,)):
        raise ValueError(f"{name} has shape {value.shape}, expected a number or ({n},)")


def integer(name: str, value: Any, *, low: int = 0, high: int | None = None) -> int:
    """A whole number from low to high."""
    if isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, expected an integer")
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}, expected an integer") from None
    if result < low or (high is not None and result > high):
        raise ValueError(f"{name} is {result}, expected " + (f"at least {low}" if high is None else f"{low} to {high}"))
    return result


def real_dtype(name: str, value: Any) -> np.dtype:
    """The native dtype of float32 or float64."""
    if not isinstance(value, (str, type, np.dtype)):
        raise TypeError(f"{name} is {value!r}, expected 'float32' or 'float64'")
    try:
        result = np.dtype(value).newbyteorder("=")
    except TypeError:  # no such name
        result = np.dtype(object)
    if result not in (np.float32, np.float64):
        raise ValueError(f"{name} is {value!r}, expected 'float32' or 'float64'")
    return result


def choice(name: str, value: Any, allowed: Iterable[T]) -> T:
    """One of the allowed values."""
    allowed = list(allowed)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(map(repr, allowed))}")
    return allowed[allowed.index(value)]


def lookup(name: str, value: Any, kind: type[T], named: Mapping[str, Callable[[], T]]) -> T:
    """An object of `kind`: itself, or made from its name, or from its class."""
    if isinstance(value, kind):
        return value
    if isinstance(value, type) and issubclass(value, kind):
        return value()
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, expected a name or an object of {kind.__name__}")
    if value not in named:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(map(repr, named))}")
    return named[value]()


def floating(name: str, value: Any) -> np.dtype:
    """The dtype to compute in with this value: its own where that is float32 or float64, float64 otherwise."""
    dtype = real(name, value, "real numbers").dtype.newbyteorder("=")
    return dtype if dtype in (np.float32, np.float64) else np.dtype(np.float64)


def output(name: str, value: Any, like: np.ndarray) -> np.ndarray:
    """An array to write a result into: of the same shape and dtype as `like`, writable."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name} is {type(value).__name__}, expected an ndarray")
    if value.shape != like.shape or value.dtype != like.dtype:
        raise ValueError(f"{name} is {value.dtype} {value.shape}, expected {like.dtype} {like.shape}")
    if not value.flags.writeable:
        raise ValueError(f"{name} is read-only")
    return value


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names for a message, of many only the first."""
    names = list(names)
    return ", ".join(names[:most]) + (f", … ({len(names)} in all)" if len(names) > most else "")
