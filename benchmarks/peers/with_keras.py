"""Keras on JAX."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from ..cases import Case, Weights, data, first_weights

MOST_STEPS = 200  # in one execution: more take longer to compile and gain nothing


class Fit:
    """`Model.fit`, many epochs in one call, with as many steps in one execution as divide an epoch."""

    def __init__(self, case: Case, threads: int) -> None:
        self.case, self.unit = case, case.steps
        self.x, self.y = data(case)
        keras.utils.set_random_seed(0)
        hidden = [keras.layers.Dense(n, activation=case.activation) for n in case.sizes[1:-1]]
        self.model: Any = keras.Sequential([keras.Input(case.sizes[:1]), *hidden, keras.layers.Dense(case.sizes[-1])])
        loss = {
            "mse": keras.losses.MeanSquaredError(),
            "bce": keras.losses.BinaryCrossentropy(from_logits=True),
            "ce": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        }[case.loss]
        self.optimizer: Any = (
            keras.optimizers.SGD(case.learning_rate)
            if case.optimizer == "sgd"
            else keras.optimizers.Adam(case.learning_rate, epsilon=1e-8)
        )
        together = max(k for k in range(1, MOST_STEPS + 1) if case.steps % k == 0)
        self.model.compile(self.optimizer, loss, jit_compile=True, steps_per_execution=together)
        self.start()

    def start(self) -> None:
        self.model.set_weights([array for pair in first_weights(self.case) for array in pair])
        for variable in self.optimizer.variables:
            if variable is not self.optimizer.learning_rate:
                variable.assign(np.zeros(variable.shape, variable.dtype))

    def train(self, units: int, shuffle: bool) -> None:
        shuffle = shuffle and self.case.steps > 1
        self.model.fit(self.x, self.y, batch_size=self.case.batch, epochs=units, shuffle=shuffle, verbose=0)

    def weights(self) -> Weights:
        arrays = self.model.get_weights()
        return list(zip(arrays[::2], arrays[1::2], strict=True))
