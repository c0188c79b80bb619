"""The command line: ``fastnn demo``, ``fastnn trace`` and ``fastnn info``.

Exit status: 0; 1 after one line on standard error that says what was wrong; 130 on Ctrl-C.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from . import kernels
from .callbacks import History
from .config import show_config
from .datasets import load_digits
from .inspection import trace
from .layers import Dense, Input
from .models import Sequential
from .optimizers import SGD, Adam
from .threads import get_num_threads, set_num_threads


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: ``sys.argv[1:]``) and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or pipe that is not Unicode gets escapes for ∂ and δ, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader, `head` for one, has gone: what is still buffered has nowhere to go, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError) as error:
        return _fail(str(error), 1)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"fastnn: {' '.join(message.split())}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastnn", description="Train dense neural networks on CPUs.")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")

    demo = commands.add_parser(
        "demo",
        help="train on the handwritten digits shipped with fastnn",
        description="Train on 1437 handwritten digits and test on 360 others: a test accuracy of 0.97 or more.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.add_argument("--epochs", type=_WholeNumber(1), default=50, help="passes over the training data")
    demo.add_argument("--seed", type=_WholeNumber(0), default=0, help="of the initial weights and the shuffling")
    demo.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="where to save the learning curve")
    demo.add_argument("--threads", type=_WholeNumber(1), default=None, help="most threads to use")
    demo.set_defaults(run=_demo)

    explain = commands.add_parser(
        "trace",
        help="print one training step of a 2-2-1 network, number by number",
        description="Print forward pass, loss, backward pass and update of a 2-2-1 network, number by number.",
    )
    explain.set_defaults(run=_trace)

    info = commands.add_parser(
        "info",
        help="print version, instruction set, threads and optional packages",
        description="Print version, instruction set, threads and optional packages.",
    )
    info.set_defaults(run=_info)
    return parser


class _WholeNumber:
    """The type of an argument that is a whole number of at least `least`."""

    def __init__(self, least: int) -> None:
        self.least = least

    def __call__(self, text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = self.least - 1
        if number < self.least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {self.least}, got {text!r}")
        return number


def _demo(arguments: argparse.Namespace) -> None:
    _make_directory(arguments.output)
    if arguments.threads is not None:
        try:
            set_num_threads(arguments.threads)
        except ValueError as error:
            raise ValueError(f"argument --threads: {error}") from error
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

    curve = _save_learning_curve(history, arguments.output)
    digest = hashlib.sha256(np.ascontiguousarray(model.parameters).tobytes()).hexdigest()
    print(f"test accuracy    {accuracy:.4f}")
    print(f"training speed   {len(train) * arguments.epochs / seconds:,.0f} samples per second, validation included")
    print(f"instruction set  {kernels.isa}")
    print(f"threads          {get_num_threads()}")
    print(f"parameters       SHA-256 {digest[:16]}, the same at any number of threads")
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


def _trace(_: argparse.Namespace) -> None:
    model = Sequential([Input((2,)), Dense(2, activation="sigmoid"), Dense(1, activation="sigmoid")], dtype="float64")
    model.set_weights(
        [np.array([[0.2, 0.3], [0.4, 0.1]]), np.array([0.1, 0.2]), np.array([[0.7], [0.5]]), np.array([0.3])]
    )
    model.compile(optimizer=SGD(0.1), loss="binary_crossentropy")
    table = trace(model, [1.0, 0.0], [1.0])
    values = dict(table.rows)
    print("One step of SGD(0.1) on binary cross-entropy, computed by the kernels in float64\n")
    print(table)
    print(
        f"\nCourse notes of this example print z3 ≈ 1.086, a slip: {values['w13']:g} × {values['a1']:.4f} + "
        f"{values['w23']:g} × {values['a2']:.4f} + {values['b3']:g} = {values['z3']:.4f}; "
        "each of their numbers after it follows from the slip."
    )


def _info(_: argparse.Namespace) -> None:
    show_config()
