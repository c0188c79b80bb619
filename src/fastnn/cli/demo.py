"""``fastnn demo`` and ``fastnn trace``."""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from pathlib import Path

import numpy as np

from .. import inspection, kernels
from ..callbacks import History
from ..datasets import load_digits
from ..layers import Dense, Input
from ..models import Sequential
from ..optimizers import SGD, Adam
from ..threads import get_num_threads


def demo(arguments: argparse.Namespace) -> None:
    """Train on the shipped digits, and say how well and how fast."""
    _make_directory(arguments.output)
    x, y = load_digits()
    x /= 16
    # Every fifth digit of each class is held out, so that the split needs no random numbers.
    order = np.argsort(y, kind="stable")
    test, train = order[::5], np.delete(order, np.s_[::5])
    print(f"{len(train)} handwritten digits to train on, {len(test)} to test on")

    model = Sequential(
        [Input((64,)), Dense(128, activation="relu"), Dense(64, activation="relu"), Dense(10, activation="softmax")],
        seed=arguments.seed,
    )
    model.compile(optimizer=Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    start = time.perf_counter()
    history = model.fit(x[train], y[train], epochs=arguments.epochs, validation_data=(x[test], y[test]))
    seconds = time.perf_counter() - start
    accuracy = model.evaluate(x[test], y[test], verbose=0, return_dict=True)["accuracy"]

    saved = arguments.output / "fastnn-demo.safetensors"
    model.save(saved)
    curve = _save_learning_curve(history, arguments.output)
    digest = hashlib.sha256(np.ascontiguousarray(model.parameters).tobytes()).hexdigest()
    print(f"test accuracy    {accuracy:.4f}")
    print(f"training speed   {len(train) * arguments.epochs / seconds:,.0f} samples per second, validation included")
    print(f"instruction set  {kernels.isa}")
    print(f"threads          {get_num_threads()}")
    print(f"parameters       SHA-256 {digest[:16]}, the same at any number of threads")
    print(f"model            {saved}")
    print(f"learning curve   {curve}")


def _make_directory(path: Path) -> None:
    """Make the directory `path` before training, so that a path which cannot be used is no surprise after it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"argument --output: cannot make directory {str(path)!r}: {error.strerror}") from error
    if not os.access(path, os.W_OK):
        raise ValueError(f"argument --output: cannot write to {str(path)!r}: permission denied")


def _save_learning_curve(history: History, directory: Path) -> Path:
    """Save the curve as a picture or, where matplotlib is missing, print and save it as text; return where."""
    path = directory / "fastnn-demo.png"
    try:
        history.plot(path)
    except ImportError:
        path = path.with_suffix(".txt")
        text = history.text_plot()
        path.write_text(text + "\n", encoding="utf-8")
        print(text)
    return path


def trace(_: argparse.Namespace) -> None:
    """Print the worked example."""
    model = Sequential([Input((2,)), Dense(2, activation="sigmoid"), Dense(1, activation="sigmoid")], dtype="float64")
    model.set_weights(
        [np.array([[0.2, 0.3], [0.4, 0.1]]), np.array([0.1, 0.2]), np.array([[0.7], [0.5]]), np.array([0.3])]
    )
    model.compile(optimizer=SGD(0.1), loss="binary_crossentropy")
    table = inspection.trace(model, [1.0, 0.0], [1.0])
    values = dict(table.rows)
    print("One step of SGD(0.1) on binary cross-entropy, computed by the kernels in float64\n")
    print(table)
    print(
        f"\nCourse notes of this example print z3 ≈ 1.086, a slip: {values['w13']:g} × {values['a1']:.4f} + "
        f"{values['w23']:g} × {values['a2']:.4f} + {values['b3']:g} = {values['z3']:.4f}; "
        "each of their numbers after it follows from the slip."
    )
