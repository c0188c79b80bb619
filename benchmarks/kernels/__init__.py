"""Kernels against their peers, on pytest-benchmark: ``python -m benchmarks kernels``.

One thread.  Each answer is held to NumPy's in float64 before it is timed.  What is called is public API, with its
checks of the arguments, except for the matrix product.
"""
