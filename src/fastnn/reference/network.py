"""A whole dense network on one flat parameter vector: forward, cost, gradient and training.

The parameters of a network with layer sizes (n_0, n_1, ..., n_L) are one vector (P,), layer by layer: the kernel
(n_{l-1}, n_l) in C order, then the bias (n_l,) where the network has biases.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from . import losses
from ._types import FloatArray, IntArray
from .activations import ACTIVATIONS
from .dense import dense, dense_gradient
from .random import permutation

LOSSES: dict[str, tuple[Callable[..., FloatArray], Callable[..., FloatArray]]] = {
    "mean_squared_error": (losses.mean_squared_error, losses.mean_squared_error_gradient),
    "binary_crossentropy": (losses.binary_crossentropy, losses.binary_crossentropy_gradient),
    "categorical_crossentropy": (losses.categorical_crossentropy, losses.categorical_crossentropy_gradient),
    "sparse_categorical_crossentropy": (
        losses.sparse_categorical_crossentropy,
        losses.sparse_categorical_crossentropy_gradient,
    ),
}
"""Each loss by name: (per-sample loss, its gradient)."""

FUSED = {
    ("sigmoid", "binary_crossentropy"),
    ("softmax", "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
}
"""Pairs of a last activation and a loss of its probabilities that together are a loss of logits."""


@dataclass(frozen=True)
class Network:
    """What a network is, apart from its parameters.

    Parameters
    ----------
    sizes : tuple of int
        (n_0, ..., n_L): inputs, units of each layer; the last are the outputs, K.
    activations : tuple of str
        The names of the L layers' activations.
    loss : str
        The loss's name.
    from_logits : bool
        Whether a crossentropy takes the outputs as logits.
    label_smoothing : float
        α of binary and categorical crossentropy.
    use_bias : bool
        Whether the layers have biases.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    from_logits: bool = False
    label_smoothing: float = 0.0
    use_bias: bool = True


def unflatten(
    parameters: FloatArray, sizes: Sequence[int], use_bias: bool = True
) -> list[tuple[FloatArray, FloatArray | None]]:
    """Cut a flat parameter vector into the layers' kernels and biases.

    Parameters
    ----------
    parameters : ndarray, shape (P,)
    sizes : sequence of int
        (n_0, ..., n_L).
    use_bias : bool

    Returns
    -------
    list of (kernel, bias)
        L pairs of views, shapes (n_{l-1}, n_l) and (n_l,); without biases the second is None.

    Raises
    ------
    ValueError
        The vector's length is not what the sizes add up to.
    """
    layers: list[tuple[FloatArray, FloatArray | None]] = []
    start = 0
    for inputs, outputs in pairwise(sizes):
        stop = start + inputs * outputs
        kernel = parameters[start:stop].reshape(inputs, outputs)
        start = stop + outputs if use_bias else stop
        layers.append((kernel, parameters[stop:start] if use_bias else None))
    if parameters.shape != (start,):
        raise ValueError(f"parameters has shape {parameters.shape}, expected ({start},) for sizes {tuple(sizes)}")
    return layers


def forward(parameters: FloatArray, network: Network, x: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Run the network on a batch.

    Parameters
    ----------
    parameters : ndarray, shape (P,)
    network : Network
    x : ndarray, shape (N, n_0)

    Returns
    -------
    pre_activations : list of ndarray
        z of layers 1 ... L, shapes (N, n_l).
    outputs : list of ndarray
        x, then a = f(z) of layers 1 ... L; the last is the prediction, (N, K).
    """
    pre_activations: list[FloatArray] = []
    outputs = [x]
    layers = unflatten(parameters, network.sizes, network.use_bias)
    for (kernel, bias), name in zip(layers, network.activations, strict=True):
        activation, _ = ACTIVATIONS[name]
        pre_activations.append(dense(outputs[-1], kernel, bias))
        outputs.append(activation(pre_activations[-1]))
    return pre_activations, outputs


def value_and_gradient(
    parameters: FloatArray,
    network: Network,
    x: FloatArray,
    y: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
) -> tuple[float, FloatArray]:
    """Cost of a batch, ``(1/N) sum_i w_i L_i``, and its gradient with respect to the parameters, by backpropagation.

    Parameters
    ----------
    parameters : ndarray, shape (P,)
    network : Network
    x : ndarray, shape (N, n_0)
    y : array_like, shape (N, K), or (N,) of labels for the sparse loss
    sample_weight : array_like, shape (N,), optional

    Returns
    -------
    value : float
    gradient : ndarray, shape (P,)
        In the order and dtype of ``parameters``.
    """
    pre_activations, outputs = forward(parameters, network, x)
    per_sample, delta = _loss_and_delta(network, y, pre_activations[-1], outputs[-1])
    value = float(losses.cost(per_sample, sample_weight))
    delta = losses.cost_gradient(delta, sample_weight)  # (N, K), of the cost with respect to z_L

    pieces: list[FloatArray] = []  # gradients of the parameters, last first
    layers = unflatten(parameters, network.sizes, network.use_bias)
    for layer in reversed(range(len(layers))):
        kernel, _ = layers[layer]
        d_x, d_kernel, d_bias = dense_gradient(outputs[layer], kernel, delta)
        if network.use_bias:
            pieces.append(d_bias)
        pieces.append(d_kernel.ravel())
        if layer > 0:
            _, activation_gradient = ACTIVATIONS[network.activations[layer - 1]]
            delta = activation_gradient(pre_activations[layer - 1], d_x)  # (N, n_l) of the layer below
    return value, np.concatenate(pieces[::-1])


def _loss_and_delta(
    network: Network, y: npt.ArrayLike, z: FloatArray, output: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the losses, (N,), and the gradient of each with respect to the last pre-activation z, (N, K)."""
    per_sample, gradient = LOSSES[network.loss]
    name = network.activations[-1]
    options: dict[str, float] = {}
    if network.label_smoothing:
        options["label_smoothing"] = network.label_smoothing

    # Fused: the loss of sigmoid's or softmax's probabilities is computed from their logits, and so is never clipped.
    if (name, network.loss) in FUSED and not network.from_logits:
        return per_sample(y, z, from_logits=True, **options), gradient(y, z, from_logits=True, **options)

    if network.from_logits:
        options["from_logits"] = True
    _, activation_gradient = ACTIVATIONS[name]
    return per_sample(y, output, **options), activation_gradient(z, gradient(y, output, **options))


def fit(
    parameters: FloatArray,
    network: Network,
    optimizer: Callable[[FloatArray, FloatArray], FloatArray],
    x: FloatArray,
    y: npt.ArrayLike,
    *,
    batch_size: int,
    epochs: int,
    seed: int = 0,
    shuffle: bool = True,
    sample_weight: npt.ArrayLike | None = None,
) -> tuple[FloatArray, list[float]]:
    """Train by mini-batches.

    Epoch e (from 0) takes the rows in the order ``permutation(N, seed, e)``, or as they come where ``shuffle`` is
    False, and cuts them into batches of ``batch_size``; the last may be shorter and is trained on all the same. A
    batch's cost is the mean over its own rows.

    Parameters
    ----------
    parameters : ndarray, shape (P,)
        Initial parameters; not changed.
    network : Network
    optimizer : callable
        (parameters, gradient) -> new parameters, once a batch; ``optimizers.SGD(...)`` or ``optimizers.Adam(...)``.
    x : ndarray, shape (N, n_0)
    y : array_like, shape (N, K), or (N,) of labels for the sparse loss
    batch_size, epochs, seed : int
    shuffle : bool
    sample_weight : array_like, shape (N,), optional

    Returns
    -------
    parameters : ndarray, shape (P,)
        Final parameters.
    history : list of float
        For each epoch (1/N) sum_i w_i L_i, each loss taken with the parameters that its batch was trained from.
    """
    n = len(x)
    targets = np.asarray(y)
    weights = None if sample_weight is None else np.asarray(sample_weight)
    history: list[float] = []
    for epoch in range(epochs):
        order: IntArray = permutation(n, seed, epoch) if shuffle else np.arange(n)
        total = 0.0
        for start in range(0, n, batch_size):
            rows = order[start : start + batch_size]
            value, gradient = value_and_gradient(
                parameters, network, x[rows], targets[rows], None if weights is None else weights[rows]
            )
            total += value * len(rows)
            parameters = optimizer(parameters, gradient)
        history.append(total / n)
    return parameters, history
