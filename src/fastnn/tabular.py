"""Tables of numbers and categories as matrices for a network, and its outputs as predictions.

A table is a dict from column name to array (N,): numbers as float64, NaN where one is missing; categories as objects,
strings or None where one is missing.  `read` makes a table from a CSV or Parquet file; all else here needs NumPy alone.
"""

from __future__ import annotations

import codecs
import dataclasses
import gzip
import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from . import validation

__all__ = ["Category", "Features", "Number", "Target", "is_known", "read"]

Table = Mapping[str, np.ndarray]

# What a CSV file writes for a value that is missing.
_MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "<NA>", "#N/A", "?"]
# A column of more categories than that has the most frequent ones told apart; the others are one.
_MOST_CATEGORIES = 50
# Whole numbers that are at most so many different ones are taken for classes.
_MOST_CLASSES = 20

# Standard deviations from the mean: what is further off, by mistake or not, must not overflow in a network's float32.
_FURTHEST = 1e6


def is_known(column: np.ndarray) -> np.ndarray:
    """Which rows are not missing, (N,)."""
    if column.dtype == object:
        return np.array([value is not None for value in column], bool)
    finite: np.ndarray = np.isfinite(column)
    return finite


def read(path: str | os.PathLike[str], text: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The columns of a CSV file, packed by gzip or not, its separators and types found from what is in it, or of a
    Parquet file.

    Dates become numbers, of days; truth values become the categories false and true.

    Parameters
    ----------
    path : str or path-like
    text : collection of str
        Columns to read as categories, whatever they look like.

    Raises
    ------
    ImportError
        Where polars is not installed.
    ValueError
        For a file that is no table or has no rows, or columns that are neither numbers, dates nor text.
    OSError
        For one that cannot be read.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise ImportError('reading tables needs polars: pip install "fastnn[data]"') from error
    path = os.fspath(path)
    where = repr(path)
    with open(path, "rb") as file:  # an OSError that names the file
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            with gzip.open(file) if packed else nullcontext(file) as text_file:
                first, more = text_file.readline(1 << 20), text_file.read(1 << 16)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{where} is no table that can be read: {error}") from error
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{where} is no table that can be read: it is UTF-16, expected UTF-8")
    separator = max(",;\t|", key=lambda s: first.count(s.encode()))
    try:
        if first.startswith(b"PAR1"):
            frame = pl.read_parquet(path)
        else:
            frame = pl.read_csv(
                path,
                separator=separator,
                decimal_comma=separator == ";" and bool(re.search(rb"(^|;)-?\d+,\d+(;|\r?$)", more, re.MULTILINE)),
                infer_schema_length=None,
                null_values=_MISSING,
                try_parse_dates=True,
                schema_overrides=dict.fromkeys(text, pl.String),
            )
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{where} is no table that can be read: {str(error).splitlines()[0]}") from error
    if not len(frame):
        raise ValueError(f"{where} has no rows")
    table = {}
    for series in frame:
        kind = series.dtype
        if kind in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) or series.name in text:
            values = series.cast(pl.String).to_list()
            if {str(value).lower() for value in set(values) - {None}} <= {"false", "true"}:
                values = [value and value.lower() for value in values]  # however they are written, here or there
            table[series.name] = np.array(values, object)
        elif kind in (pl.Date, pl.Datetime):
            table[series.name] = (series.dt.timestamp("ms") / 86_400_000).fill_null(math.nan).to_numpy()
        elif kind.is_numeric() or kind == pl.Null:
            table[series.name] = series.cast(pl.Float64).fill_null(math.nan).to_numpy()
        else:
            raise ValueError(f"{where} has the column {series.name!r} of type {kind}, expected numbers, dates or text")
    return table


@dataclass(frozen=True)
class Number:
    """A column of numbers: less their mean, over their standard deviation, and 0 where they are missing or infinite.

    Where some were so in training, a second column says which are.
    """

    name: str
    mean: float
    scale: float
    missing: bool

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return 1 + self.missing

    @classmethod
    def fit(cls, name: str, column: np.ndarray) -> Self | str:
        """Of the numbers of training, or why they are of no use."""
        there = is_known(column)
        mean, scale = _moments(column[there])
        if not there.any():
            return "it is empty"
        if scale == 0 and there.all():
            return f"it is {column[0]:g} everywhere"
        return cls(name, mean, scale or 1.0, not bool(there.all()))

    def encode(self, column: np.ndarray) -> np.ndarray:
        """The matrix (N, width)."""
        there = is_known(column)
        with np.errstate(over="ignore"):
            values = (np.where(there, column, self.mean) - self.mean) / self.scale
        values = np.clip(values, -_FURTHEST, _FURTHEST)
        return np.column_stack([values, ~there] if self.missing else [values])


@dataclass(frozen=True)
class Category:
    """A column of categories: a column of 0 and 1 for each; all 0 for one that training had not.

    ``other`` is one column for all the rare ones, ``missing`` one for what is missing.
    """

    name: str
    categories: list[str]
    other: bool
    missing: bool

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return len(self.categories) + self.other + self.missing

    @classmethod
    def fit(cls, name: str, column: np.ndarray) -> Self | str:
        """Of the values of training, or why they are of no use."""
        counts = Counter(column.tolist())
        missing = counts.pop(None, 0) > 0
        if not counts:
            return "it is empty"
        if len(counts) == 1 and not missing:
            return f"it is {min(counts)!r} everywhere"
        if max(counts.values()) == 1 and len(counts) > 2:
            return "no value in it occurs twice"
        frequent = sorted(counts, key=lambda value: (-counts[value], value))[:_MOST_CATEGORIES]
        return cls(name, sorted(frequent), len(frequent) < len(counts), missing)

    def encode(self, column: np.ndarray) -> np.ndarray:
        """The matrix (N, width)."""
        place: dict[str | None, int] = {value: i for i, value in enumerate(self.categories)}
        unknown = len(self.categories) if self.other else self.width
        if None in column:
            place[None] = self.width - 1 if self.missing else self.width
        result = np.zeros((len(column), self.width + 1))
        result[np.arange(len(column)), [place.get(value, unknown) for value in column]] = 1
        return result[:, :-1]


class Features:
    """The columns of a table as a matrix of numbers of the same size.

    Attributes
    ----------
    columns : list of Number and Category
    left_out : dict of str to str
        Columns that are of no use, and why.
    width : int
        Columns of the matrix.
    """

    def __init__(self, columns: list[Number | Category], left_out: dict[str, str]) -> None:
        self.columns, self.left_out = columns, left_out
        self.width = sum(column.width for column in columns)

    @classmethod
    def fit(cls, table: Table) -> Self:
        """Of the rows of training.

        Raises
        ------
        ValueError
            Where no column is of use.
        """
        fitted = {name: (Category if c.dtype == object else Number).fit(name, c) for name, c in table.items()}
        left_out = {name: why for name, why in fitted.items() if isinstance(why, str)}
        columns = [column for column in fitted.values() if not isinstance(column, str)]
        if not columns:
            reasons = "".join(f"; {name}: {why}" for name, why in left_out.items())
            raise ValueError(f"the table has no column to predict from, expected at least one{reasons}")
        return cls(columns, left_out)

    @property
    def text(self) -> list[str]:
        """The names of the columns of categories."""
        return [column.name for column in self.columns if isinstance(column, Category)]

    def encode(self, table: Table) -> np.ndarray:
        """The matrix (N, width), float32.

        Raises
        ------
        ValueError
            Where a column is not there, or has text in the place of numbers.
        """
        missing = [column.name for column in self.columns if column.name not in table]
        if missing:
            raise ValueError(
                f"the table has no column {validation.listed(map(repr, missing))}, expected those of training"
            )
        parts = []
        for column in self.columns:
            values = table[column.name]
            if isinstance(column, Number) and values.dtype == object:
                values = _numbers(column.name, values)
            elif isinstance(column, Category) and values.dtype != object:
                values = np.array([None if math.isnan(v) else f"{v:g}" for v in values], object)
            parts.append(column.encode(values))
        return np.hstack(parts).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        """For a file."""
        described = [{"kind": type(c).__name__, **dataclasses.asdict(c)} for c in self.columns]
        return {"columns": described, "left_out": self.left_out}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """What `get_config` described."""
        kinds: dict[str, type[Number | Category]] = {"Number": Number, "Category": Category}
        columns = [kinds[c["kind"]](**{k: v for k, v in c.items() if k != "kind"}) for c in config["columns"]]
        return cls(columns, config["left_out"])


@dataclass(frozen=True)
class Target:
    """The column to predict: classes, or a number in units of its standard deviation.

    Attributes
    ----------
    name : str
    classes : list of str or None
        In order; None for a number.
    mean, scale : float
    text : bool
        Whether the classes are text, and not numbers.
    """

    name: str
    classes: list[str] | None
    mean: float = 0.0
    scale: float = 1.0
    text: bool = False

    @classmethod
    def fit(cls, name: str, column: np.ndarray, task: str = "auto") -> Self:
        """Of a column without missing values.

        Parameters
        ----------
        name : str
        column : ndarray (N,)
        task : {"auto", "classification", "regression"}
            auto takes text for classes, and whole numbers if they are few.

        Raises
        ------
        ValueError
            For text where numbers are expected, fewer than two classes or too many, or one number everywhere.
        """
        labels = _labels(column)
        kinds = sorted(set(labels), key=str if column.dtype == object else float)
        if task == "auto":
            whole = column.dtype == object or bool((column == np.floor(column)).all() and len(kinds) <= _MOST_CLASSES)
            few = column.dtype == object or 2 * len(kinds) <= len(column)
            task = "classification" if whole and few else "regression"
        if task == "regression":
            mean, scale = _moments(_numbers(name, column))
            if scale == 0:
                raise ValueError(f"column {name!r} is {mean:g} everywhere, expected something to predict")
            return cls(name, None, mean, scale)
        if len(kinds) < 2:
            raise ValueError(f"column {name!r} has the class {kinds[0]!r} alone, expected at least two")
        if 2 * len(kinds) > len(column):
            raise ValueError(
                f"column {name!r} has {len(kinds)} classes in {len(column)} rows, expected at least two rows for each"
            )
        return cls(name, kinds, text=column.dtype == object)

    @property
    def units(self) -> int:
        """Outputs of a network for it: one number, one probability, or one for each of more than two classes."""
        return 1 if self.classes is None or len(self.classes) == 2 else len(self.classes)

    def encode(self, column: np.ndarray) -> np.ndarray:
        """What the network is trained on, (N,): numbers less their mean over their scale, or the classes' numbers."""
        if self.classes is None:
            return (_numbers(self.name, column) - self.mean) / self.scale
        place = {label: i for i, label in enumerate(self.classes)}
        return np.array([place[label] for label in _labels(column)])

    def truth(self, column: np.ndarray) -> np.ndarray:
        """What `decode` should have predicted: numbers, or classes."""
        return _numbers(self.name, column) if self.classes is None else np.array(_labels(column), object)

    def decode(self, outputs: np.ndarray) -> dict[str, list[Any]]:
        """Predictions from outputs (N, units): a column of them and, for classes, one of the probability of each."""
        if self.classes is None:
            return {"prediction": (outputs[:, 0].astype(np.float64) * self.scale + self.mean).tolist()}
        p = np.hstack([1 - outputs, outputs]) if self.units == 1 else outputs
        columns = {f"probability_{label}": column.tolist() for label, column in zip(self.classes, p.T, strict=True)}
        return {"prediction": [self.classes[i] for i in p.argmax(axis=1)], **columns}


def _moments(column: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation, of numbers however large."""
    largest = float(np.abs(column).max(initial=0))
    if largest == 0:
        return 0.0, 0.0
    relative = column / largest
    return float(relative.mean() * largest), float(relative.std() * largest)


def _numbers(name: str, column: np.ndarray) -> np.ndarray:
    """A column of text that is all numbers, as numbers."""
    result = np.empty(len(column))
    for i, value in enumerate(column):
        try:
            result[i] = math.nan if value is None else float(value)
        except ValueError:
            raise ValueError(f"column {name!r} has {value!r} in row {i + 1}, expected numbers") from None
    return result


def _labels(column: np.ndarray) -> list[str]:
    """The classes of a column: its text, and whole numbers without a point."""
    if column.dtype == object:
        return list(column)
    return [str(int(v)) if v.is_integer() else repr(v) for v in column.tolist()]
