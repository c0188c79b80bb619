"""JAX and optax."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ..cases import Case, Weights, data, first_weights
from . import Batches

ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}
LOSSES = {
    "mse": lambda z, y: jnp.mean((z - y) ** 2),
    "bce": lambda z, y: optax.sigmoid_binary_cross_entropy(z, y).mean(),
    "ce": lambda z, y: optax.softmax_cross_entropy_with_integer_labels(z, y).mean(),
}


class _Jax:
    """The step, as a pure function; the threads are those that XLA takes from the process's processors."""

    def __init__(self, case: Case, threads: int) -> None:
        jax.config.update("jax_platforms", "cpu")
        self.case = case
        self.x, self.y = map(jnp.array, data(case))
        self.optimizer = {"sgd": optax.sgd, "adam": optax.adam}[case.optimizer](case.learning_rate)
        self.start()

    def start(self) -> None:
        self.batches = Batches(self.case)
        parameters = [(jnp.array(kernel), jnp.array(bias)) for kernel, bias in first_weights(self.case)]
        self.state = parameters, self.optimizer.init(parameters)

    def weights(self) -> Weights:
        return [(np.array(kernel), np.array(bias)) for kernel, bias in self.state[0]]

    def cost(self, parameters: Any, x: Any, y: Any) -> Any:
        for i, (kernel, bias) in enumerate(parameters):
            x = x @ kernel + bias
            if i < len(parameters) - 1:
                x = ACTIVATIONS[self.case.activation](x)
        return LOSSES[self.case.loss](x, y)

    def update(self, state: Any, rows: Any, x: Any, y: Any) -> Any:
        parameters, moments = state
        if self.case.steps > 1:
            x, y = x[rows], y[rows]
        cost, gradients = jax.value_and_grad(self.cost)(parameters, x, y)
        changes, moments = self.optimizer.update(gradients, moments, parameters)
        return (optax.apply_updates(parameters, changes), moments), cost

    def epoch(self, shuffle: bool) -> Any:
        """Rows (steps, batch); of the full batch, which is not gathered, none."""
        return jnp.array(self.batches.epoch(shuffle) if self.case.steps > 1 else np.zeros((1, 0)), jnp.int32)


class Step(_Jax):
    """One call for a step: the number of the batch is part of the state, so that nothing is made in Python."""

    unit = 1

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)

        @partial(jax.jit, donate_argnums=0)
        def step(state: Any, epoch: Any, x: Any, y: Any) -> Any:
            *state, at = state
            rows = jax.lax.dynamic_index_in_dim(epoch, at, keepdims=False)
            state, cost = self.update(state, rows, x, y)
            return (*state, at + 1), cost

        self.step = step

    def start(self) -> None:
        super().start()
        self.left = 0

    def train(self, units: int, shuffle: bool) -> None:
        while units:
            if not self.left:
                self.rows, self.left = self.epoch(shuffle), self.case.steps
            now = min(units, self.left)
            state = (*self.state, jnp.int32(self.case.steps - self.left))
            for _ in range(now):
                state, cost = self.step(state, self.rows, self.x, self.y)
            self.state = state[:-1]
            self.left -= now
            units -= now
        jax.block_until_ready((self.state, cost))


class Scan(_Jax):
    """One call for an epoch; for some passes where that is a single step.  Unrolled twice where that is faster."""

    FULL_BATCH_STEPS = 5

    def __init__(self, case: Case, threads: int) -> None:
        super().__init__(case, threads)
        self.unit = case.steps if case.steps > 1 else self.FULL_BATCH_STEPS
        compiled = [jax.jit(partial(self._train_epoch, unroll=n), donate_argnums=0) for n in (1, 2)]
        self.train_epoch = min(compiled, key=self._seconds)
        self.start()

    def _train_epoch(self, state: Any, epoch: Any, x: Any, y: Any, unroll: int) -> Any:
        step = partial(self.update, x=x, y=y)
        state, costs = jax.lax.scan(step, state, epoch, unroll=unroll)
        return state, costs.mean()

    def _seconds(self, train_epoch: Any) -> float:
        self.train_epoch = train_epoch
        self.train(2, True)
        spent = []
        for _ in range(3):
            start = time.perf_counter()
            self.train(2, True)
            spent.append(time.perf_counter() - start)
        return min(spent)

    def train(self, units: int, shuffle: bool) -> None:
        for _ in range(units):
            epoch = self.epoch(shuffle)
            epoch = epoch if self.case.steps > 1 else jnp.repeat(epoch, self.unit, 0)
            self.state, cost = self.train_epoch(self.state, epoch, self.x, self.y)
        jax.block_until_ready((self.state, cost))
