"""fastnn: dense neural networks on CPUs at the hardware's speed.

>>> import fastnn
>>> from fastnn import Sequential, layers
"""

from . import activations, callbacks, datasets, initializers, kernels, layers, losses, metrics, optimizers
from .config import __version__, show_config
from .inspection import check_gradients, trace
from .models import Sequential
from .threads import get_num_threads, set_num_threads

__all__ = [
    "Sequential",
    "__version__",
    "activations",
    "callbacks",
    "check_gradients",
    "datasets",
    "get_num_threads",
    "initializers",
    "kernels",
    "layers",
    "losses",
    "metrics",
    "optimizers",
    "set_num_threads",
    "show_config",
    "trace",
]
