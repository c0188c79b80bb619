"""How each library trains a case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .cases import Case, data, first_weights

Weights = list[tuple[np.ndarray, np.ndarray]]


class Run(NamedTuple):
    """A case made ready in one library."""

    train: Callable[[int], Any]  # so many steps, finished when it returns; over the data again and again
    weights: Callable[[], Weights]


def fastnn(case: Case, threads: int) -> Run:
    """`Sequential.fit`."""
    import fastnn as library
    from fastnn import layers, losses, optimizers

    library.set_num_threads(threads or None)
    hidden = [layers.Dense(n, activation=case.activation) for n in case.sizes[1:-1]]
    model = library.Sequential([layers.Input(case.sizes[:1]), *hidden, layers.Dense(case.sizes[-1])], seed=0)
    model.set_weights([array for pair in first_weights(case) for array in pair])
    loss: losses.Loss = {
        "mse": losses.MeanSquaredError(),
        "bce": losses.BinaryCrossentropy(from_logits=True),
        "ce": losses.SparseCategoricalCrossentropy(from_logits=True),
    }[case.loss]
    optimizer = (
        optimizers.SGD(case.learning_rate)
        if case.optimizer == "sgd"
        else optimizers.Adam(case.learning_rate, epsilon=1e-8)
    )
    model.compile(optimizer, loss)
    x, y = data(case)
    at = 0

    def weights() -> Weights:
        arrays = model.get_weights()
        return list(zip(arrays[::2], arrays[1::2], strict=True))

    def train(steps: int) -> None:
        nonlocal at
        while steps > 0:  # an epoch of a window of so many steps, or of what is left of the data
            some = min(steps, case.steps - at)
            window = slice(at * case.batch, (at + some) * case.batch)
            model.fit(x[window], y[window], batch_size=case.batch, shuffle=case.steps > 1, verbose=0)
            at = (at + some) % case.steps
            steps -= some

    return Run(train, weights)


def torch(case: Case, threads: int) -> Run:
    """PyTorch eager: nn.Sequential, autograd, the fused optimizer; rows gathered by index from one tensor."""
    import torch as library

    library.set_num_threads(threads or library.get_num_threads())
    library.manual_seed(0)
    modules: list[Any] = []
    for i, (kernel, bias) in enumerate(first_weights(case)):
        linear = library.nn.Linear(*kernel.shape)
        with library.no_grad():
            linear.weight.copy_(library.from_numpy(kernel.T.copy()))
            linear.bias.copy_(library.from_numpy(bias))
        modules.append(linear)
        if i < len(case.sizes) - 2:
            modules.append(
                {"relu": library.nn.ReLU, "tanh": library.nn.Tanh, "sigmoid": library.nn.Sigmoid}[case.activation]()
            )
    model = library.nn.Sequential(*modules)
    functions = library.nn.functional
    loss = {
        "mse": functions.mse_loss,
        "bce": functions.binary_cross_entropy_with_logits,
        "ce": functions.cross_entropy,
    }[case.loss]
    optimizer = (library.optim.SGD if case.optimizer == "sgd" else library.optim.Adam)(
        model.parameters(), lr=case.learning_rate, fused=True
    )
    x, y = map(library.from_numpy, data(case))
    y = y.long() if case.loss == "ce" else y

    order: list[Any] = []

    def train(steps: int) -> None:
        nonlocal order
        for _ in range(steps):
            if case.steps == 1:
                cost = loss(model(x), y)
            else:
                order = order or list(library.randperm(case.samples).split(case.batch))
                index = order.pop()
                cost = loss(model(x[index]), y[index])
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()

    def weights() -> Weights:
        linears = [m for m in model if hasattr(m, "weight")]
        return [(m.weight.detach().numpy().T.copy(), m.bias.detach().numpy().copy()) for m in linears]

    return Run(train, weights)


PEERS: dict[str, Callable[[Case, int], Run]] = {"fastnn": fastnn, "torch": torch}
