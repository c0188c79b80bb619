"""The NumPy oracle: every formula of fastnn, once, in its most readable form.

Each compiled kernel is tested against the function of the same name here. Nothing in this package is fast, and
nothing in it is compiled: a formula is written so that it can be checked by eye against its source, and so that it
is accurate over the whole domain (no cancellation, no spurious overflow or NaN).

The two never meet outside the tests. The library never imports ``fastnn.reference``, and the reference imports NumPy
and nothing else of fastnn; so an error in one cannot hide behind the same error in the other.

Every function computes in the floating dtype of its input (float32, float64 or longdouble) and returns that dtype.
Evaluated in longdouble on exactly converted inputs, it is the yardstick for the float32 and float64 kernels.

Modules
-------
activations
    Activation functions and their vector-Jacobian products.
losses
    Losses of single samples, their gradients, and the reduction of samples to one cost.
dense
    The dense layer, forward and backward.
layers
    Batch and layer normalization and dropout, forward and backward.
optimizers
    One update of a flat parameter vector.
random
    Philox4x32-10, the counter-based generator, and the permutations and dropout's masks drawn from it.
network
    A whole dense network: forward, cost, gradient and training.
"""

from . import activations, dense, layers, losses, network, optimizers, random

__all__ = ["activations", "dense", "layers", "losses", "network", "optimizers", "random"]
