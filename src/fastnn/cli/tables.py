"""``fastnn train`` and ``fastnn predict``: a network for a table in a file."""

from __future__ import annotations

import argparse
import copy
import csv
import io
import math
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..callbacks import Callback
from ..layers import Dense, Input
from ..models import Sequential
from ..models.saving import read as read_model
from ..models.saving import write as write_model
from ..optimizers import Adam
from ..safetensors import replace_file
from ..tabular import Category, Features, Target
from ..tabular import read as read_table
from ..validation import listed

# Seconds between two writes of the best model so far: a write waits for the disk.
_WRITE_INTERVAL = 1.0


def train(arguments: argparse.Namespace) -> None:
    """Train on a table, and save network and preprocessing as one file."""
    output = _writable(arguments.output)
    table = dict(read_table(arguments.data))
    rows = len(next(iter(table.values())))
    print(f"{arguments.data}: {rows} rows, {len(table)} columns")
    labels = _column(table, arguments.target, arguments.data)
    known = np.array([value is not None for value in labels]) if labels.dtype == object else np.isfinite(labels)
    if not known.any():
        raise ValueError(f"argument --target: column {arguments.target!r} is empty")
    target = Target.fit(arguments.target, labels[known], arguments.task)

    # Rows are drawn, not taken from the end: tables are often sorted.
    order = np.random.default_rng(arguments.seed).permutation(np.flatnonzero(known))
    held_out = round(arguments.validation_split * len(order))
    if held_out >= len(order) or (arguments.validation_split and not held_out):
        raise ValueError(
            f"argument --validation-split: {arguments.validation_split:g} leaves {len(order) - held_out} of "
            f"{len(order)} rows to train on and {held_out} to validate with, expected some of each"
        )
    training, validation = order[held_out:], order[:held_out]
    features = Features.fit({name: c[training] for name, c in table.items() if name != target.name})
    x, y = features.encode(table), target.encode(np.where(known, labels, labels[known][0]))
    _describe(features, target, labels.dtype == object, rows - int(known.sum()), len(training), held_out)

    model = Sequential(
        [
            Input((features.width,)),
            *[Dense(units, activation=arguments.activation) for units in arguments.layers],
            Dense(target.units, activation=_output_activation(target)),
        ],
        seed=arguments.seed,
    )
    model.compile(Adam(arguments.learning_rate), _loss(target), [] if target.classes is None else ["accuracy"])
    best = _Best(output, {"features": features.get_config(), "target": vars(target)})
    try:
        model.fit(
            x[training],
            y[training],
            batch_size=arguments.batch_size,
            epochs=arguments.epochs,
            validation_data=(x[validation], y[validation]) if held_out else None,
            callbacks=best,
        )
    finally:
        if best.best is not None:
            print(f"model       {output}, as after epoch {best.epoch + 1}")
    if best.best is None:
        raise ValueError("the loss is no number after any epoch: a lower --learning-rate may help")
    shown, name = (validation, "validation") if held_out else (training, "training")
    predicted = best.best.predict(x[shown])
    baseline = _baseline(target, y[training], len(shown))
    for score, value in _scores(target, y[shown], predicted).items():
        print(f"{score:<11} {value:.4g} on {name}; {_scores(target, y[shown], baseline)[score]:.4g} {_BASELINE[score]}")


def predict(arguments: argparse.Namespace) -> None:
    """Write a trained network's predictions for a table, as CSV."""
    if arguments.output is not None:
        _writable(arguments.output)
    model, notes = read_model(arguments.model)
    try:
        features, target = Features.from_config(notes["features"]), Target(**notes["target"])
        if (features.width, target.units) != (model.layers[0].n_in, model.layers[-1].n_out):
            raise ValueError("its preprocessing does not fit its layers")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{str(arguments.model)!r} is no model that `fastnn train` made: {error!r}") from error
    table = read_table(arguments.data, [*features.text, *([target.name] if target.classes else [])])
    try:
        outputs = model.predict(features.encode(table))
    except ValueError as error:
        raise ValueError(f"{arguments.data}: {error}") from error
    columns = target.decode(outputs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*[map(_format, column) for column in columns.values()], strict=True))
    if arguments.output is None:
        sys.stdout.write(text.getvalue())
        return
    replace_file(arguments.output, [text.getvalue().encode()])
    print(f"{arguments.output}: {len(outputs)} predictions of {target.name}")
    if target.name in table:
        labels = table[target.name]
        known = np.array([value is not None for value in labels]) if labels.dtype == object else np.isfinite(labels)
        if known.any():
            scores = _scores(target, target.encode(labels[known]), outputs[known])
            print(", ".join(f"{score} {value:.4g}" for score, value in scores.items()), f"on {known.sum()} rows")


class _Best(Callback):
    """Keeps the model of the epoch with the lowest validation loss, or of the last one, and writes it now and then.

    It is written when training ends as well, however it does: by Ctrl-C, for one.
    """

    def __init__(self, path: Path, notes: Mapping[str, Any]) -> None:
        super().__init__()
        self.path, self.notes = path, notes
        self.best: Sequential | None = None
        self.epoch = -1
        self._loss, self._unwritten, self._written_at = math.inf, False, -math.inf

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        logs = logs or {}
        loss = logs.get("val_loss", -epoch if math.isfinite(logs["loss"]) else math.nan)
        if loss < self._loss:
            self._loss, self.epoch, self.best, self._unwritten = loss, epoch, copy.deepcopy(self.model), True
        if self._unwritten and time.monotonic() - self._written_at >= _WRITE_INTERVAL:
            self._write()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        if self._unwritten:
            self._write()

    def _write(self) -> None:
        assert self.best is not None
        write_model(self.best, self.path, self.notes)
        self._unwritten, self._written_at = False, time.monotonic()


def _writable(path: Path) -> Path:
    """The path, checked before training, so that one which cannot be used is no surprise after it."""
    if path.is_dir():
        raise ValueError(f"argument --output: {str(path)!r} is a directory, expected a file")
    if not path.parent.is_dir():
        raise ValueError(f"argument --output: there is no directory {str(path.parent)!r}")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"argument --output: cannot write to {str(path.parent)!r}: permission denied")
    return path


def _column(table: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    if name not in table:
        raise ValueError(f"argument --target: {path} has no column {name!r}, it has {listed(map(repr, table))}")
    return table[name]


def _describe(
    features: Features, target: Target, text: bool, without_target: int, training: int, validation: int
) -> None:
    if target.classes is None:
        print(f"target      {target.name}: a number, so regression (--task classification takes it for classes)")
    else:
        hint = "" if text else " (--task regression takes it for a number)"
        print(f"target      {target.name}: the classes {listed(target.classes)}, so classification{hint}")
    categories = sum(isinstance(column, Category) for column in features.columns)
    numbers = len(features.columns) - categories
    print(f"features    {numbers} of numbers, {categories} of categories: {features.width} inputs")
    for name, why in features.left_out.items():
        print(f"left out    {name}: {why}")
    print(f"rows        {training} to train on, {validation} to validate with", end="")
    print(f", {without_target} without a target left out" if without_target else "")


def _output_activation(target: Target) -> str:
    if target.classes is None:
        return "linear"
    return "sigmoid" if target.units == 1 else "softmax"


def _loss(target: Target) -> str:
    if target.classes is None:
        return "mean_squared_error"
    return "binary_crossentropy" if target.units == 1 else "sparse_categorical_crossentropy"


_BASELINE = {
    "accuracy": "by the most frequent class",
    "RMSE": "by the mean",
    "R²": "by the mean",
}


def _baseline(target: Target, y: np.ndarray, rows: int) -> np.ndarray:
    """Outputs (rows, units) of a model that knows the targets of training alone, and no features."""
    if target.classes is None:
        return np.full((rows, 1), y.mean())
    most_frequent = np.bincount(y.astype(int)).argmax()
    one = [most_frequent] if target.units == 1 else np.arange(target.units) == most_frequent
    return np.tile(np.asarray(one, float), (rows, 1))


def _scores(target: Target, y: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
    """How well outputs (N, units) predict y, as `Target.encode` made it, in the target's own units."""
    if target.classes is not None:
        predicted = outputs[:, 0] > 0.5 if target.units == 1 else outputs.argmax(axis=1)
        return {"accuracy": float((predicted == y).mean())}
    error = float(np.square(outputs[:, 0] - y).mean())
    spread = float(y.var())
    return {"RMSE": math.sqrt(error) * target.scale, "R²": 1 - error / spread if spread else math.nan}


def _format(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)
