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
import warnings
from collections import Counter
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
from ..tabular import Category, Features, Target, is_known
from ..tabular import read as read_table
from ..validation import listed

# Seconds between two writes of the best model so far: a write waits for the disk.
_WRITE_INTERVAL = 1.0


def train(arguments: argparse.Namespace) -> None:
    """Train on a table, and save network and preprocessing as one file."""
    output = _writable(arguments.output, DATA=arguments.data)
    table = dict(read_table(arguments.data))
    rows = len(next(iter(table.values())))
    print(f"{arguments.data}: {rows} rows, {len(table)} columns")
    labels = _column(table, arguments.target, arguments.data)
    known = np.flatnonzero(is_known(labels))
    if not known.size:
        raise ValueError(f"argument --target: column {arguments.target!r} is empty")
    target = Target.fit(arguments.target, labels[known], arguments.task)

    # Rows are drawn, not taken from the end: tables are often sorted.
    order = np.random.default_rng(arguments.seed).permutation(known)
    held_out = round(arguments.validation_split * len(order))
    if held_out >= len(order) or (arguments.validation_split and not held_out):
        raise ValueError(
            f"argument --validation-split: {arguments.validation_split:g} leaves {len(order) - held_out} of "
            f"{len(order)} rows to train on and {held_out} to validate with, expected some of each"
        )
    training, validation = order[held_out:], order[:held_out]
    features = Features.fit({name: c[training] for name, c in table.items() if name != target.name})
    x = features.encode(table)
    _describe(features, target, rows - known.size, len(training), held_out)

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of a loss that is no number: the epochs show it
            model.fit(
                x[training],
                target.encode(labels[training]),
                batch_size=arguments.batch_size,
                epochs=arguments.epochs,
                validation_data=(x[validation], target.encode(labels[validation])) if held_out else None,
                callbacks=best,
            )
    finally:
        if best.best is not None:
            print(f"model       {output}, as after epoch {best.epoch + 1}")
    if best.best is None:
        raise ValueError("the loss is no number after any epoch: a lower --learning-rate may help")
    shown, name = (validation, "validation") if held_out else (training, "training")
    predicted = target.decode(best.best.predict(x[shown]))["prediction"]
    guess, how = _guess(target, labels[training])
    baseline = _scores(target, labels[shown], [guess] * len(shown))
    for score, value in _scores(target, labels[shown], predicted).items():
        print(f"{score:<11} {value:.4g} on {name}; {baseline[score]:.4g} by {how}")


def predict(arguments: argparse.Namespace) -> None:
    """Write a trained network's predictions for a table, as CSV."""
    if arguments.output is not None:
        _writable(arguments.output, MODEL=arguments.model, DATA=arguments.data)
    model, notes = read_model(arguments.model)
    try:
        features, target = Features.from_config(notes["features"]), Target(**notes["target"])
        if (features.width, target.units) != (model.layers[0].n_in, model.layers[-1].n_out):
            raise ValueError("its preprocessing does not fit its layers")
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{str(arguments.model)!r} is no model that `fastnn train` made: {error!r}") from error
    table = read_table(arguments.data, [*features.text, *([target.name] if target.text else [])])
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
        known = np.flatnonzero(is_known(table[target.name]))
        if known.size:
            predicted = [columns["prediction"][row] for row in known]
            scores = _scores(target, table[target.name][known], predicted)
            print(", ".join(f"{score} {value:.4g}" for score, value in scores.items()), f"on {known.size} rows")


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


def _writable(path: Path, **inputs: Path) -> Path:
    """The path, checked before training, so that one which cannot be used is no surprise after it; no input either."""
    for name, given in inputs.items():
        if path.exists() and given.exists() and path.samefile(given):
            raise ValueError(f"argument --output: {str(path)!r} is {name} itself, expected another file")
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


def _describe(features: Features, target: Target, without_target: int, training: int, validation: int) -> None:
    if target.classes is None:
        print(f"target      {target.name}: a number, so regression (--task classification takes it for classes)")
    else:
        hint = "" if target.text else " (--task regression takes it for a number)"
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


def _guess(target: Target, column: np.ndarray) -> tuple[Any, str]:
    """The best prediction that knows the targets of training alone, and what it is."""
    truth = target.truth(column)
    if target.classes is None:
        return truth.mean(), "the mean"
    return Counter(truth.tolist()).most_common(1)[0][0], "the most frequent class"


def _scores(target: Target, column: np.ndarray, predicted: list[Any]) -> dict[str, float]:
    """How well a column of targets was predicted."""
    truth = target.truth(column)
    if target.classes is not None:
        return {"accuracy": float(np.mean(truth == np.array(predicted, object)))}
    error, spread = float(np.square(truth - predicted).mean()), float(truth.var())
    return {"RMSE": math.sqrt(error), "R²": 1 - error / spread if spread else math.nan}


def _format(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)
