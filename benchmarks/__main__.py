"""Command line of the benchmarks."""

from __future__ import annotations

import argparse
import json
import sys

from .cases import CASES, WIDTHS
from .peers import PEERS

USE = ["inference", "imports", "sizes", "first"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure fastnn against its peers.")
    commands = parser.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", help="time of a training step, in fastnn and in every peer installed")
    train.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), help="which networks (default: all)")
    peers(train, list(PEERS), list(PEERS))
    timing(train, threads=[1], rounds=5, seconds=0.5)

    sweep = commands.add_parser("sweep", help="time of a training step as the width of a network grows")
    sweep.add_argument("--width", nargs="+", type=int, default=WIDTHS, help="which widths (default: 8 to 1024)")
    peers(sweep, list(PEERS), ["fastnn", "torch"])
    timing(sweep, threads=[1, 0], rounds=3, seconds=0.2)

    kernels = commands.add_parser("kernels", help="matrix products, activations, optimizers (pytest-benchmark)")
    kinds = ["products", "activations", "optimizers"]
    kernels.add_argument("--only", nargs="+", choices=kinds, help="which kinds (default: all)")
    kernels.add_argument("--threads", type=int, nargs="+", default=[1], help="threads of every peer (default: 1)")
    kernels.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default: 3)")
    kernels.add_argument("--seconds", type=float, default=0.1, help="for a kernel of a peer in a round (default: 0.1)")
    kernels.add_argument("--json", metavar="FILE", help="write the results there")

    losses = commands.add_parser("losses", help="value and gradient of every loss")
    losses.add_argument("--only", nargs="+", metavar="TEXT", help="losses whose name contains one of these")
    losses.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    losses.add_argument("--slice", type=float, default=0.02, help="seconds of one timing at least (default: 0.02)")
    losses.add_argument("--json", metavar="FILE", help="write the results there")

    use = commands.add_parser("use", help="inference, import, size of the packages, time to the first trained model")
    use.add_argument("--only", nargs="+", choices=USE, default=USE, help="which parts (default: all)")
    timing(use, threads=[1], rounds=5, seconds=0.2)

    fits = commands.add_parser("estimators", help="fit and score of the estimators, against scikit-learn's")
    data = ["digits", "cancer", "housing", "many"]
    fits.add_argument("--case", nargs="+", choices=data, default=data, help="which data (default: all)")
    kinds = ["float64", "float32"]
    fits.add_argument("--dtype", nargs="+", choices=kinds, default=kinds, help="of the data (default: both)")
    fits.add_argument("--seeds", type=int, default=10, help="fits of each, each with a split of its own (default: 10)")
    fits.add_argument("--json", metavar="FILE", help="write the results there")

    report = commands.add_parser("report", help="tables and pictures of the documentation, from stored JSON")
    report.add_argument("--docs", default="docs", metavar="FOLDER", help="with performance.md and benchmarks/*.json")

    # What the commands above start as processes of their own.
    infer = commands.add_parser("infer")
    infer.add_argument("threads", type=int)
    infer.add_argument("rounds", type=int)
    infer.add_argument("seconds", type=float)
    infer.add_argument("length", type=float)
    infer.add_argument("cpus")
    first = commands.add_parser("first")
    first.add_argument("peer", choices=PEERS)
    losses_worker = commands.add_parser("losses-worker")
    losses_worker.add_argument("cpus")
    losses_worker.add_argument("rounds", type=int)
    losses_worker.add_argument("slice", type=float)
    losses_worker.add_argument("only", nargs="*")
    worker = commands.add_parser("worker")
    worker.add_argument("peer", choices=PEERS)
    worker.add_argument("threads", type=int)
    worker.add_argument("cpus")

    options = vars(parser.parse_args())
    command = options.pop("command")
    # Each is imported when it is asked for: a worker must not load what it does not measure.
    if command == "worker":
        from .workers import work

        work(**options)
    elif command == "train":
        from .train import run as train_run

        train_run(**options)
    elif command == "sweep":
        from .sweep import run as sweep_run

        sweep_run(**options)
    elif command == "use":
        from .use import run as use_run

        use_run(**options)
    elif command == "estimators":
        from .estimators import run as estimators_run

        estimators_run(**options)
    elif command == "report":
        from .report import run as report_run

        report_run(**options)
    elif command == "infer":
        from .workers import stay_on

        stay_on(options.pop("cpus"))
        from .inference import measure

        print(json.dumps(measure(**options)))
    elif command == "first":
        from .use import train_first

        train_first(**options)
    elif command == "losses":
        from .losses import run as losses_run

        losses_run(**options)
    elif command == "losses-worker":
        from .losses import work as losses_work

        losses_work(**options)
    elif command == "kernels":
        from .kernels.command import run as kernels_run

        sys.exit(kernels_run(**options))


def peers(parser: argparse.ArgumentParser, choices: list[str], default: list[str]) -> None:
    text = f"which libraries (default: {'all' if default == choices else ' '.join(default)}, where installed)"
    parser.add_argument("--peer", nargs="+", choices=choices, default=default, help=text)


def timing(parser: argparse.ArgumentParser, threads: list[int], rounds: int, seconds: float) -> None:
    text = f"threads of every peer, 0 for automatic (default: {' '.join(map(str, threads))})"
    parser.add_argument("--threads", type=int, nargs="+", default=threads, help=text)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"interleaved rounds (default: {rounds})")
    text = f"quiet time of one peer in one round (default: {seconds})"
    parser.add_argument("--seconds", type=float, default=seconds, help=text)
    text = "seconds of one timing at least; shorter where a neighbour on the core pauses only briefly (default: 0.02)"
    parser.add_argument("--slice", type=float, default=0.02, help=text)
    parser.add_argument("--json", metavar="FILE", help="write the results there, whatever happens later")


if __name__ == "__main__":
    main()
