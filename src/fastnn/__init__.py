"""fastnn: dense neural networks on CPUs at the hardware's speed.

>>> import fastnn
>>> from fastnn import Sequential, layers
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import (
    activations,
    backend,
    callbacks,
    config,
    datasets,
    initializers,
    kernels,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    saving,
    utils,
)
from .callbacks import Callback
from .config import __version__, show_config
from .initializers import Initializer
from .layers import Input, Layer
from .losses import Loss
from .metrics import Metric
from .models import Sequential, load_model
from .optimizers import Optimizer
from .regularizers import Regularizer
from .threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from .inspection import check_gradients, trace

__all__ = [
    "Callback",
    "Initializer",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "Optimizer",
    "Regularizer",
    "Sequential",
    "__version__",
    "activations",
    "backend",
    "callbacks",
    "check_gradients",
    "config",
    "datasets",
    "get_num_threads",
    "initializers",
    "kernels",
    "layers",
    "load_model",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "saving",
    "set_num_threads",
    "show_config",
    "trace",
    "utils",
]


def __getattr__(name: str) -> Any:
    # What is for looking, not for working, is imported when it is asked for: it would be a third of the import's time.
    if name in ("check_gradients", "trace"):
        return getattr(import_module(".inspection", __name__), name)
    if name in ("Model", "Functional"):
        raise AttributeError(f"module {__name__!r} has no {name}: models are stacks of layers, Sequential([…])")
    if name in ("ops", "random"):
        raise AttributeError(f"module {__name__!r} has no {name}: use NumPy, whose arrays are all that there is")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
