"""The command line: ``fastnn demo``, ``train``, ``predict``, ``trace`` and ``info``.

Exit status: 0; 1 after one line on standard error that says what was wrong; 130 on Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from .. import activations
from ..config import show_config
from ..threads import set_num_threads
from .demo import demo, trace
from .tables import predict, train


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: ``sys.argv[1:]``) and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal or pipe that is not Unicode gets escapes for ∂ and δ, not a traceback.
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = _parser().parse_args(argv)
        if getattr(arguments, "threads", None) is not None:
            try:
                set_num_threads(arguments.threads)
            except ValueError as error:
                raise ValueError(f"argument --threads: {error}") from error
        arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        # The reader, `head` for one, has gone: what is still buffered has nowhere to go, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, OSError, ImportError) as error:
        return _fail(str(error), 1)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"fastnn: {' '.join(message.split())}", file=sys.stderr)
    return status


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {self.prog} --help)")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastnn", description="Train dense neural networks on CPUs.")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")

    def add(name: str, run: Callable[[argparse.Namespace], None], help: str, description: str) -> _Parser:
        command = commands.add_parser(name, help=help, description=description, formatter_class=_Formatter)
        command.set_defaults(run=run)
        return command

    command = add(
        "demo",
        demo,
        "train on the handwritten digits shipped with fastnn",
        "Train on 1437 handwritten digits and test on 360 others: a test accuracy of 0.97 or more.",
    )
    command.add_argument("--epochs", type=_WholeNumber(1), default=50, help="passes over the training data")
    command.add_argument("--seed", type=_WholeNumber(0), default=0, help="of the initial weights and the shuffling")
    command.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to save model and learning curve"
    )
    command.add_argument("--threads", type=_WholeNumber(1), default=None, help="most threads to use")

    command = add(
        "train",
        train,
        "train on a table, CSV or Parquet",
        "Train a network to predict one column of a table from the others.  Numbers are scaled, categories and missing "
        "values encoded; all of that is stored with the network, as it was after its best epoch.",
    )
    command.add_argument("data", type=Path, metavar="DATA", help="a CSV or Parquet file")
    command.add_argument("--target", required=True, metavar="COLUMN", help="the column to predict")
    command.add_argument(
        "--task", choices=("auto", "classification", "regression"), default="auto", help="what the target is"
    )
    command.add_argument("--layers", type=_layers, default="64,64", help="units of each hidden layer")
    command.add_argument("--activation", type=_activation, default="relu", help="of the hidden layers")
    command.add_argument("--epochs", type=_WholeNumber(1), default=100, help="passes over the training data")
    command.add_argument("--batch-size", type=_WholeNumber(1), default=32, help="rows of an update")
    command.add_argument("--learning-rate", type=_positive, default=1e-3, help="of Adam")
    command.add_argument("--validation-split", type=_share, default=0.2, help="share of the rows, drawn by the seed")
    command.add_argument("--seed", type=_WholeNumber(0), default=0, help="of all random numbers")
    command.add_argument("--output", type=Path, default=Path("model.safetensors"), help="where to save the model")
    command.add_argument("--threads", type=_WholeNumber(1), default=None, help="most threads to use")

    command = add(
        "predict",
        predict,
        "predict from a table, with a model that `train` made",
        "Predict from a table, with a model that `fastnn train` made.",
    )
    command.add_argument("model", type=Path, metavar="MODEL", help="what `fastnn train` saved")
    command.add_argument("data", type=Path, metavar="DATA", help="a CSV or Parquet file with the columns of training")
    command.add_argument("--output", type=Path, default=None, help="a CSV file, instead of standard output")

    add(
        "trace",
        trace,
        "print one training step of a 2-2-1 network, number by number",
        "Print forward pass, loss, backward pass and update of a 2-2-1 network, number by number.",
    )
    text = "print version, instruction set, threads and optional packages"
    add("info", _info, text, f"{text[0].upper()}{text[1:]}.")
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


def _number(text: str, expected: str, good: Callable[[float], bool]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not good(value):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value


def _positive(text: str) -> float:
    return _number(text, "a number above 0", lambda value: 0 < value < math.inf)


def _share(text: str) -> float:
    return _number(text, "a number from 0 to below 1", lambda value: 0 <= value < 1)


def _layers(text: str) -> list[int]:
    return [_WholeNumber(1)(units) for units in text.split(",")] if text else []


def _activation(text: str) -> str:
    try:
        activations.get(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _info(_: argparse.Namespace) -> None:
    show_config()
