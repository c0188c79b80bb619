"""The engine hands out the outputs of the samples it trains on and evaluates, and its sums do not change by that."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import Sequential, layers, optimizers


def model(activation: str, loss: str, units: int, dtype: str) -> Sequential:
    stack = [layers.Input((5,)), layers.Dense(7, "tanh"), layers.Dense(units, activation)]
    result = Sequential(stack, seed=3, dtype=dtype)
    result.compile(optimizers.SGD(0.1), loss)
    return result


CASES = [
    ("sigmoid", "binary_crossentropy", 1),
    ("softmax", "categorical_crossentropy", 3),
    ("linear", "mean_squared_error", 2),
]


def data(units: int, dtype: str, samples: int = 23) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    y = np.eye(units)[rng.integers(0, units, samples)] if units > 1 else rng.integers(0, 2, (samples, 1))
    return rng.normal(size=(samples, 5)).astype(dtype), y.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("batch", [1, 4, 10, 23])
@pytest.mark.parametrize("threads", [1, 3])
def test_train(case: tuple[str, str, int], batch: int, dtype: str, threads: int) -> None:
    x, y = data(case[2], dtype)
    ours, by_hand = model(*case, dtype), model(*case, dtype)
    steps, outputs = -(-len(x) // batch), np.full((len(x), case[2]), np.nan, dtype)
    orders = []
    for first, count in ((0, 2), (2, steps - 2)) if steps > 2 else ((0, steps),):
        part = outputs[first * batch : (first + count) * batch]

        def train(engine, first=first, count=count, part=part):  # type: ignore[no-untyped-def]
            engine.set_optimizer(*ours.optimizer.for_engine(ours.parameters))
            engine.train(batch, (3, 0), first, count, np.array([0.1]), first, threads, None, part)
            return engine.order.copy()

        orders.append(ours._work(train, x, y))
    order = np.concatenate(orders)
    assert sorted(order) == list(range(len(x)))
    for step in range(steps):
        rows = order[step * batch : (step + 1) * batch]
        np.testing.assert_array_equal(by_hand.predict(x[rows]), outputs[step * batch : (step + 1) * batch])
        by_hand.train_on_batch(x[rows], y[rows])
    np.testing.assert_array_equal(by_hand.parameters, ours.parameters)


@pytest.mark.parametrize("case", CASES)
def test_evaluate(case: tuple[str, str, int]) -> None:
    x, y = data(case[2], "float32", 700)
    ours = model(*case, "float32")
    outputs = np.empty((len(x), case[2]), np.float32)
    total, _ = ours._work(lambda engine: engine.evaluate(2, outputs), x, y)
    np.testing.assert_array_equal(outputs, ours.predict(x))
    assert total == ours._work(lambda engine: engine.evaluate(1), x, y)[0]


def test_outputs_of_another_size() -> None:
    x, y = data(1, "float32")
    ours = model(*CASES[0], "float32")
    with pytest.raises(ValueError, match="outputs has 5 elements, expected 23 times 1"):
        ours._work(lambda engine: engine.evaluate(1, np.empty((5, 1), np.float32)), x, y)


def test_a_part_begins_with_a_chunk() -> None:
    ours = model(*CASES[0], "float32")
    x, y = data(CASES[0][2], "float32")
    chunk = ours._engine.chunk
    before = ours.parameters.tobytes()

    def train(engine):  # type: ignore[no-untyped-def]
        engine.set_optimizer(*ours.optimizer.for_engine(ours.parameters))
        engine.train(chunk + 99, None, 0, 1, np.array([0.1]), 0, 1, None, None, (chunk + 1, chunk + 99))

    with pytest.raises(ValueError, match=f"part begins at sample {chunk + 1}, expected a multiple of {chunk}"):
        ours._work(train, x, y)
    assert ours.parameters.tobytes() == before
