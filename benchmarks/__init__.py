"""Speed, measured: ``python -m benchmarks --help``.

Every peer must learn the same thing from the same start before it is timed; what is quoted are medians of interleaved
rounds, and ratios within one run.
"""
