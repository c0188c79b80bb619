"""Where samples come from: arrays, memory maps, iterables of batches; and the pieces in which the engine gets them.

Arrays in memory are bound as they are, and the engine gathers the rows of a whole epoch.  Where something wants to
happen within an epoch, or the rows lie in a file, rows are copied out in the epoch's order, some steps at a time: the
same samples in the same steps, and so the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np

from ..kernels import core
from ..mapped import give_back, is_mapped

_PIECE_BYTES = 1 << 24  # of a mapped file's rows that are copied out at once
_BLOCK = 1 << 21  # of a mapped file: what reading one byte may make resident, where the system keeps it in large pages
_BLOCKS = 32  # to read from, before they are given back
_ORDER = core("float32").ORDER_KEPT  # samples whose order is known at once, at most

Rows: TypeAlias = "slice | np.ndarray"
Weigh: TypeAlias = "Callable[[Any, np.ndarray | None], np.ndarray | None]"  # targets and weights to weights


class Checks(NamedTuple):
    """How x, y and weights are checked and converted for the engine.

    Each takes what came and the name for errors, that of y and of weights also the number of samples; None for y where
    there is to be none.
    """

    x: Callable[[Any, str], np.ndarray]
    y: Callable[[Any, str, int], np.ndarray] | None
    w: Callable[[Any, str, int], np.ndarray | None]


class Piece(NamedTuple):
    """Consecutive steps: what one call of the engine trains on."""

    x: np.ndarray
    y: Any
    w: np.ndarray | None
    batch: int  # samples of a step
    steps: int
    first: int = 0  # the step to begin with
    order: tuple[int, int] | None = None  # what the engine draws the samples' order from
    part: tuple[int, int] | None = None  # of a step that is too long: samples of it before these, and all

    @property
    def begins(self) -> bool:
        """Whether a step begins with it."""
        return self.part is None or self.part[0] == 0

    @property
    def ends(self) -> bool:
        """Whether a step ends with it."""
        return self.part is None or self.part[0] + len(self.x) == self.part[1]


class _Mapped:
    """Rows in a mapped file, raw, and how they are checked."""

    def __init__(self, value: Any, check: Callable[[Any, int], Any]) -> None:
        self.value, self._check = value, check

    def __len__(self) -> int:
        rows: int = self.value.shape[0]
        return rows

    def __getitem__(self, rows: Rows) -> Any:
        """Some rows, as the engine takes them."""
        raw = _read(self.value, rows)
        return self._check(raw, len(raw))

    def cut(self, rows: slice) -> Self:
        """Some rows, still in the file."""
        return type(self)(self.value[rows], self._check)

    def whole(self) -> Any:
        """All rows, as the engine takes them: where they lie, if that is possible."""
        return self._check(self.value, len(self.value))

    def check_all(self, rows: int) -> None:
        """Raise where something is wrong in the file, or it has not so many rows."""
        if len(self) != rows:
            self._check(self.value[:0], rows)
        for start in range(0, rows, _piece_rows(self.value)):
            self[start : start + _piece_rows(self.value)]


class _Sparse(_Mapped):
    """Rows of a sparse matrix of SciPy, which become dense as they are taken."""

    def __getitem__(self, rows: Rows) -> Any:
        raw = self.value[rows].toarray()
        return self._check(raw, len(raw))

    def whole(self) -> Any:
        return self[:]


class Arrays:
    """Samples in memory, or in mapped files.

    Parameters
    ----------
    x, y, w : array_like
    checks : Checks
    prefix : str
        Put before the names in errors.

    Attributes
    ----------
    samples, features : int
    """

    def __init__(self, x: Any, y: Any, w: Any, checks: Checks, prefix: str = "") -> None:
        self._weigh: Weigh | None = None
        if not (is_mapped(x) or is_mapped(y) or is_mapped(w) or is_sparse(x)):
            x = checks.x(x, f"{prefix}x")
            y = checks.y(y, f"{prefix}y", len(x)) if checks.y else None
            self._keep((x, y, checks.w(w, f"{prefix}sample_weight", len(x))))
            return

        def column(value: Any, rows: int, check: Callable[[Any, int], Any]) -> Any:
            if not is_mapped(value):
                return check(value, rows)
            result = _Mapped(value, check)
            result.check_all(rows)
            return result

        if is_mapped(x):  # of which no value can be wrong, and all would have to be read
            checks.x(x[:1], f"{prefix}x")
            x = _Mapped(x, lambda v, _: checks.x(v, f"{prefix}x"))
        elif is_sparse(x):
            x = _Sparse(x.tocsr(), lambda v, _: checks.x(v, f"{prefix}x"))
            x[:1]  # for what is wrong with all
        else:
            x = checks.x(x, f"{prefix}x")
        y = column(y, len(x), lambda v, rows: checks.y(v, f"{prefix}y", rows) if checks.y else None)
        self._keep((x, y, column(w, len(x), lambda v, rows: checks.w(v, f"{prefix}sample_weight", rows))))

    def _keep(self, parts: tuple[Any, Any, Any]) -> None:
        x = parts[0].value if isinstance(parts[0], _Mapped) else parts[0]
        self._parts = parts
        self._mapped = any(isinstance(part, _Mapped) for part in parts)
        self.samples: int = x.shape[0]
        self.features: int = x.shape[1] if x.ndim == 2 else math.prod(x.shape[1:])

    def cut(self, rows: slice) -> Arrays:
        """Some of the samples."""
        result = object.__new__(Arrays)
        result._weigh = self._weigh
        x, y, w = (part.cut(rows) if isinstance(part, _Mapped) else _rows(part, rows) for part in self._parts)
        result._keep((x, y, w))
        return result

    def weigh(self, weigh: Weigh) -> None:
        """Make the weights from targets and weights: those of the classes join them."""
        if self._mapped:
            self._weigh = weigh
        else:
            x, y, w = self._parts
            self._parts = x, y, weigh(y, w)

    def take(self, rows: Rows) -> tuple[np.ndarray, Any, np.ndarray | None]:
        """Some rows of x, y and weights, as the engine takes them: views where that is possible."""
        x, y, w = (_rows(part, rows) for part in self._parts)
        return x, y, self._weigh(y, w) if self._weigh else w

    def whole(self) -> tuple[np.ndarray, Any, np.ndarray | None]:
        """All rows, where they lie if that is possible."""
        if not self._mapped:
            return self._parts
        x, y, w = (part.whole() if isinstance(part, _Mapped) else part for part in self._parts)
        return x, y, self._weigh(y, w) if self._weigh else w

    def steps(self, batch: int) -> int:
        """Of a pass over all samples."""
        return -(-self.samples // batch)

    def step_size(self, batch: int | None) -> int:
        """Samples of a step, where `batch` were asked for, or all."""
        return self.samples if batch is None else min(batch, self.samples)

    def pieces(
        self,
        batch: int,
        limit: int | None = None,
        steps: int | None = None,
        epoch: int = 0,
        seed: int | None = None,
        chunk: int | None = None,
        skip: int = 0,
    ) -> Iterator[Piece]:
        """The steps of an epoch.

        Parameters
        ----------
        batch : int
            Samples of a step.
        limit : int, optional
            Samples of a piece, at most, unless a step has more.  Of a mapped file no more are taken than memory
            should be spent on.
        steps : int, optional
            Of an epoch, which goes on where the one before it stopped, and begins again where the samples end; by
            default a pass over all samples.
        epoch : int
            How many were before it.
        seed : int, optional
            What the orders of the samples are drawn from; by default they stay in their own.
        chunk : int, optional
            A step of more samples than fit may come in parts of a multiple of so many.
        skip : int
            Steps to leave out, the first of the epoch.
        """
        of_a_pass = self.steps(batch)
        begin = epoch * (steps or of_a_pass)
        end = begin + (steps or of_a_pass)
        begin += skip
        room = limit or self.samples
        if self._mapped:
            room = min(room, max(_PIECE_BYTES // (8 * self.features), 1))
        while begin < end:
            number, first = divmod(begin, of_a_pass)
            count = min(of_a_pass - first, end - begin)
            begin += count
            last = min((first + count) * batch, self.samples)
            if self._mapped and chunk is not None and min(batch, self.samples) > room:
                order = _Order(self.samples, seed, number)
                yield from self._in_parts(first * batch, last, batch, chunk * max(room // chunk, 1), order)
            elif batch >= self.samples or (not self._mapped and (limit is None or count * batch <= limit)):
                key = None if seed is None else (seed, number)
                at_once = max(_ORDER // batch, 1) if key and self.samples > _ORDER else count
                for step in range(first, first + count, at_once):
                    yield Piece(*self.whole(), batch, min(at_once, first + count - step), step, key)
            else:
                order = _Order(self.samples, seed, number)
                at_once = batch * max(room // batch, 1)
                for start in range(first * batch, last, at_once):
                    x, y, w = self.take(order[start : min(start + at_once, last)])
                    yield Piece(x, y, w, batch, -(-len(x) // batch))

    def _in_parts(self, first: int, last: int, batch: int, at_once: int, order: _Order) -> Iterator[Piece]:
        """Steps of more samples than are copied out at once."""
        for begin in range(first, last, batch):
            end = min(begin + batch, last)
            for start in range(begin, end, at_once):
                x, y, w = self.take(order[start : min(start + at_once, end)])
                yield Piece(x, y, w, batch, 1, part=(start - begin, end - begin))


class _Order:
    """The order of an epoch's samples, of which no more than some places are kept; their own without a seed."""

    def __init__(self, samples: int, seed: int | None, number: int) -> None:
        self._draw: Callable[..., np.ndarray] = partial(core("float32").draw_permutation, samples, seed, number)
        self._own, self._short = seed is None, samples <= _ORDER

    def __getitem__(self, places: slice) -> Rows:
        """The rows at some places."""
        if self._own:
            return places
        return self._whole[places] if self._short else self._draw(places.start, places.stop)

    @cached_property
    def _whole(self) -> np.ndarray:
        return self._draw()


def _rows(part: Any, rows: Rows) -> Any:
    return None if part is None else part[rows]


class Batches:
    """Samples from an iterable of batches: x, (x,), (x, y) or (x, y, sample_weight).

    Parameters
    ----------
    source : iterable
        Gone through once an epoch, unless there is a number of steps.
    steps : int, optional
        Batches of an epoch, which go on where the epoch before stopped.  An iterable that ends begins again; an
        iterator cannot, and is an error then.
    passes : int
        How often it is to be gone through.
    checks : Checks
    name : str
        For errors.
    argument : str
        That the number of steps was given by, for errors.

    Raises
    ------
    ValueError, TypeError
        Where there is no first batch, or it does not fit; or for an iterator that is to be gone through twice.
    """

    samples = None  # nobody knows

    def __init__(
        self, source: Any, steps: int | None, passes: int, checks: Checks, name: str = "x", argument: str = "steps"
    ) -> None:
        self._source, self._steps, self._checks, self._name, self._argument = source, steps, checks, name, argument
        self._weigh: Weigh | None = None
        self._iterator = self._start()
        self._once = self._iterator is source
        if self._once and steps is None and passes > 1:
            raise ValueError(
                f"{name} is an iterator, which can be gone through once, for {passes} epochs; expected {argument}, or "
                "an object that can be iterated again"
            )
        self._number = 0  # of the batches taken, from this iterator
        self._peeked: Piece | None = self._take()
        if self._peeked is None:
            raise ValueError(f"{name} has no batches, expected at least one")
        shape: tuple[int, ...] = self._peeked.x.shape
        self._first_size, self.features = shape

    def _start(self) -> Iterator[Any]:
        source = self._source
        if hasattr(source, "__getitem__") and hasattr(source, "__len__"):  # which may know no IndexError
            return (source[i] for i in range(len(source)))
        return iter(source)

    def weigh(self, weigh: Weigh) -> None:
        """Make the weights from targets and weights: those of the classes join them."""
        self._weigh = weigh
        if self._peeked is not None:
            self._peeked = self._peeked._replace(w=weigh(self._peeked.y, self._peeked.w))

    def steps(self, batch: int) -> int | None:
        """Of an epoch, where it is known."""
        return self._steps or (len(self._source) if hasattr(self._source, "__len__") else None)

    def step_size(self, batch: int | None) -> int:
        """Samples of the first batch."""
        return self._first_size

    def _take(self) -> Piece | None:
        """The next batch, checked; None at the end."""
        try:
            batch = next(self._iterator)
        except StopIteration:
            return None
        self._number += 1
        name = f"batch {self._number} of {self._name}"
        parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
        checks = self._checks
        if not 1 <= len(parts) <= 3 or (checks.y and len(parts) < 2):
            expected = "(x, y) or (x, y, sample_weight)" if checks.y else "x, or a tuple that begins with it"
            raise ValueError(f"{name} has {len(parts)} entries, expected {expected}")
        x, y, w = (*parts, None, None)[:3]
        x = checks.x(x, f"{name}: x")
        y = checks.y(y, f"{name}: y", len(x)) if checks.y else None
        w = checks.w(w, f"{name}: sample_weight", len(x))
        return Piece(x, y, self._weigh(y, w) if self._weigh else w, len(x), 1)

    def pieces(
        self,
        batch: int,
        limit: int | None = None,
        steps: int | None = None,
        epoch: int = 0,
        seed: int | None = None,
        chunk: int | None = None,
        skip: int = 0,
    ) -> Iterator[Piece]:
        """The batches of an epoch, as they come; the first `skip` are taken, and left out."""
        done = 0
        if self._steps is None and self._peeked is None:
            self._begin_again()
        while self._steps is None or done < self._steps:
            piece = self._peeked or self._take()
            self._peeked = None
            if piece is None:
                if hasattr(self._source, "on_epoch_end"):
                    self._source.on_epoch_end()
                if self._steps is None:
                    return
                if self._once:
                    raise ValueError(
                        f"{self._name} ended after {self._number} batches, {done} of them in this epoch; expected "
                        f"{self._argument}={self._steps} of each epoch"
                    )
                self._begin_again()
                continue
            done += 1
            if done > skip:
                yield piece

    def _begin_again(self) -> None:
        self._iterator, self._number = self._start(), 0
        self._peeked = self._take()
        if self._peeked is None:
            raise ValueError(f"{self._name} has no batches when it is iterated again, expected at least one")


Feed: TypeAlias = Arrays | Batches


def is_in_memory(x: Any) -> bool:
    """Whether x is an array, or becomes one, that is no mapped file."""
    if type(x) is np.ndarray and x.base is None:  # the owner of its memory, and the most usual
        return True
    return not (is_mapped(x) or is_sparse(x) or is_batches(x))


def is_batches(x: Any) -> bool:
    """Whether x, given without y, is an iterable of batches, and no array."""
    if isinstance(x, (np.ndarray, str, bytes, bytearray, memoryview, set, frozenset, dict)):
        return False
    if hasattr(x, "__array__") or is_sparse(x):
        return False
    if isinstance(x, (list, tuple)):
        return bool(x) and isinstance(x[0], (list, tuple)) and any(np.ndim(part) > 0 for part in x[0])
    return isinstance(x, Iterable) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse matrix or array of SciPy."""
    return hasattr(x, "toarray") and hasattr(x, "tocsr")


def _piece_rows(array: np.ndarray) -> int:
    """How many rows of a mapped file to take at once."""
    return max(_PIECE_BYTES // (array.nbytes // len(array)), 1)


def _read(array: np.ndarray, rows: Rows) -> np.ndarray:
    """Rows of a mapped file, as a copy.

    The system maps much around a touched page, too, so that rows from anywhere bring in far more than themselves.
    """
    plain = array.view(np.ndarray)
    if isinstance(rows, slice):
        result = np.array(plain[rows], order="C")
        give_back(array)
        return result
    result = np.empty((len(rows), *array.shape[1:]), array.dtype)
    if array.ndim == 2 and abs(array.strides[0]) < abs(array.strides[1]):  # a column lies together, not a row
        for column in range(array.shape[1]):
            result[:, column] = _read(plain[:, column], rows)
        return result
    along_the_file = np.argsort(rows)
    block = rows[along_the_file] * abs(array.strides[0]) // _BLOCK
    visit = np.cumsum(np.diff(block, prepend=block[0]) != 0) // _BLOCKS
    for some in np.split(along_the_file, np.flatnonzero(np.diff(visit)) + 1):
        result[some] = plain[rows[some]]
        give_back(array)
    return result


def split(feed: Feed, share: float) -> tuple[Arrays, Arrays]:
    """The first samples, and this share of them from the end."""
    if not isinstance(feed, Arrays):
        raise ValueError(f"validation_split is {share} for an iterable of batches, expected validation_data")
    cut = int(feed.samples * (1 - share))
    if cut == 0 or cut == feed.samples:
        raise ValueError(
            f"validation_split is {share}, which leaves {cut} of {feed.samples} samples to train on and "
            f"{feed.samples - cut} to validate with, expected at least one of each"
        )
    return feed.cut(slice(0, cut)), feed.cut(slice(cut, None))


def held_out_feed(data: Any, checks: Checks, steps: int | None, passes: int) -> Feed:
    """Validation data, as they were given: x and y, or batches of them."""
    listed = isinstance(data, list) and bool(data) and all(isinstance(entry, tuple) for entry in data)
    if listed or not isinstance(data, (tuple, list)):
        if not is_batches(data):
            kind = type(data).__name__
            raise TypeError(
                f"validation_data is {kind}, expected a tuple (x, y) or (x, y, sample_weight), or an iterable of them"
            )
        return Batches(data, steps, passes, checks, "validation_data", "validation_steps")
    if len(data) not in (2, 3):
        raise ValueError(f"validation_data has {len(data)} entries, expected (x, y) or (x, y, sample_weight)")
    x, y, w = (*data, None)[:3]
    return Arrays(x, y, w, checks, "validation_data ")
