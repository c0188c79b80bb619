"""Command line of the benchmarks."""

from __future__ import annotations

import argparse

from . import step
from .cases import CASES
from .peers import PEERS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure fastnn against its peers.")
    commands = parser.add_subparsers(dest="command", required=True)
    parsed = commands.add_parser("step", help="time of one training step")
    parsed.add_argument("--case", nargs="+", choices=CASES, default=list(CASES), help="which networks (default: all)")
    parsed.add_argument(
        "--peer", nargs="+", choices=PEERS, default=list(PEERS), help="which libraries (default: all installed)"
    )
    parsed.add_argument("--threads", type=int, default=1, help="threads of every peer (default: 1)")
    parsed.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default: 7)")
    parsed.add_argument("--seconds", type=float, default=0.5, help="quiet time of one peer in one round (default: 0.5)")
    slices = "seconds of one timing; shorter where a neighbour on the core pauses only briefly (default: 0.02)"
    parsed.add_argument("--slice", type=float, default=0.02, help=slices)
    worker = commands.add_parser("worker")  # what step starts for each peer
    worker.add_argument("peer", choices=PEERS)
    worker.add_argument("threads", type=int)
    options = parser.parse_args()
    if options.command == "worker":
        step.work(options.peer, options.threads)
    else:
        step.main(options.case, options.peer, options.threads, options.rounds, options.seconds, options.slice)


if __name__ == "__main__":
    main()
