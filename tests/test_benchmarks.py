"""What the benchmarks compare is the same training: fastnn and the NumPy peer reach the same loss in every case."""

from __future__ import annotations

import pytest

from benchmarks.cases import CASES, data, first_weights, loss_of
from benchmarks.peers import PEERS

STEPS = 4


@pytest.mark.parametrize("name", CASES)
def test_fastnn_and_numpy_learn_the_same(name: str) -> None:
    case = CASES[name]
    batch = min(case.batch, 500)
    case = case._replace(batch=batch, samples=STEPS * batch)
    x, y = data(case)
    learned = {}
    for peer in ("fastnn", "numpy"):
        trainer = PEERS[peer].make(case, 1)
        trainer.train(STEPS // trainer.unit, False)
        learned[peer] = loss_of(case, first_weights(case), x, y) - loss_of(case, trainer.weights(), x, y)
    # Not the weights: Adam's first steps have the size η and the gradient's sign, which rounding turns near 0.
    assert learned["fastnn"] == pytest.approx(learned["numpy"], rel=2e-3)


@pytest.mark.parametrize("name", ["xor_b4", "digits", "policy"])
def test_starting_again_is_the_same_training(name: str) -> None:
    case = CASES[name]._replace(samples=STEPS * CASES[name].batch)
    x, y = data(case)
    for peer in ("fastnn", "numpy"):
        trainer = PEERS[peer].make(case, 1)
        losses = []
        for _ in range(2):
            trainer.start()
            trainer.train(STEPS // trainer.unit, False)
            losses.append(loss_of(case, trainer.weights(), x, y))
        assert losses[0] == losses[1]
        assert losses[0] < loss_of(case, first_weights(case), x, y)
