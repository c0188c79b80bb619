"""fastnn."""

from __future__ import annotations

import fastnn
from fastnn import layers, losses, optimizers

from ..cases import Case, Weights, data, first_weights


class Fit:
    """`Sequential.fit`, many epochs in one call."""

    def __init__(self, case: Case, threads: int) -> None:
        # No set_num_threads: of the threads that its process may use, fastnn takes as many as a step pays for.
        self.case, self.unit = case, case.steps
        self.x, self.y = data(case)
        hidden = [layers.Dense(n, activation=case.activation) for n in case.sizes[1:-1]]
        self.model = fastnn.Sequential([layers.Input(case.sizes[:1]), *hidden, layers.Dense(case.sizes[-1])], seed=0)
        self.start()

    def start(self) -> None:
        case = self.case
        loss: losses.Loss = {
            "mse": losses.MeanSquaredError(),
            "bce": losses.BinaryCrossentropy(from_logits=True),
            "ce": losses.SparseCategoricalCrossentropy(from_logits=True),
        }[case.loss]
        optimizer: optimizers.Optimizer = {
            "sgd": optimizers.SGD(case.learning_rate),
            "adam": optimizers.Adam(case.learning_rate, epsilon=1e-8),
        }[case.optimizer]
        self.model.compile(optimizer, loss)
        self.model.set_weights([array for pair in first_weights(case) for array in pair])

    def train(self, units: int, shuffle: bool) -> None:
        shuffle = shuffle and self.case.steps > 1
        self.model.fit(self.x, self.y, batch_size=self.case.batch, epochs=units, shuffle=shuffle, verbose=0)

    def weights(self) -> Weights:
        arrays = self.model.get_weights()
        return list(zip(arrays[::2], arrays[1::2], strict=True))
