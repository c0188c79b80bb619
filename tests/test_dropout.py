"""Dropout: how much is kept, that nothing is correlated, and that inference does nothing.

Seeds are fixed, so that a bound that holds once holds always; bounds are five standard deviations, wide enough for any
sound generator.
"""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, layers, optimizers
from fastnn.layers import Dense, Dropout, Input


def masks(rate: float, rows: int, columns: int, steps: int = 1, seed: int = 1, own: int | None = None) -> np.ndarray:
    """What is kept (steps, rows, columns) in the steps of a training."""
    dropout = Dropout(rate, seed=own)
    model = Sequential([Input((columns,)), dropout, Dense(1)], seed=seed)
    model.compile(optimizers.SGD(0.0), "mse")
    found = []
    for _ in range(steps):
        model.forward(np.ones((rows, columns)))
        found.append(dropout.output)
        model.train_on_batch(np.ones((1, columns)), np.ones((1, 1)))
    result = np.array(found)
    assert set(np.unique(result)) <= {np.float32(0), np.float32(1 / (1 - rate))}
    return result > 0


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.3, 0.5, 0.9, 0.99])
def test_the_share_that_is_kept(rate: float) -> None:
    kept = masks(rate, 500, 400, steps=2)
    spread = np.sqrt(rate * (1 - rate))
    assert abs(kept.mean() - (1 - rate)) < 5 * spread / np.sqrt(kept.size)
    for axis in (0, 1, 2):
        along = kept.mean(axis=tuple({0, 1, 2} - {axis}))
        assert (np.abs(along - (1 - rate)) < 5 * spread / np.sqrt(kept.size / len(along))).all()


def assert_independent(a: np.ndarray, b: np.ndarray) -> None:
    """Whether two masks of the same share agree as often as chance has it."""
    correlation = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    assert abs(correlation) < 5 / np.sqrt(a.size)


def test_rows_columns_and_steps_are_independent() -> None:
    kept = masks(0.5, 300, 200, steps=4)
    for lag in (1, 2, 3, 4, 15, 16, 17, 32, 48, 63, 64, 65, 128):
        assert_independent(kept[:, lag:], kept[:, :-lag])
        assert_independent(kept[:, :, lag:], kept[:, :, :-lag])
    for lag in (1, 2, 3):
        assert_independent(kept[lag:], kept[:-lag])
    assert_independent(kept[:, :200], kept[:, :200].swapaxes(1, 2))
    # Any two columns, and any two rows: of 19900 pairs none is out of the ordinary.
    for table in (kept[0], kept[0].T):
        correlations = np.corrcoef(table.T)
        off = correlations[~np.eye(len(correlations), dtype=bool)]
        assert np.abs(off).max() < 6 / np.sqrt(len(table))


def test_layers_seeds_and_steps_are_independent() -> None:
    model = Sequential(
        [
            Input((200,)),
            Dropout(0.5),
            layers.Rescaling(1.0),
            Dropout(0.5),
            layers.Rescaling(1.0),
            Dropout(0.5),
            Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    model.forward(np.ones((300, 200)))
    first, _, second, _, third, _ = (layer.output > 0 for layer in model.layers)
    assert not (second & ~first).any()  # what is dropped below stays so
    for kept, share in ((second, 0.25), (third, 0.125)):
        assert abs(kept.mean() - share) < 5 * np.sqrt(share * (1 - share) / kept.size)
    for other in (masks(0.5, 300, 200, seed=2), masks(0.5, 300, 200, seed=1 + 2**32), masks(0.5, 300, 200, seed=2**63)):
        assert_independent(masks(0.5, 300, 200)[0], other[0])


def test_a_seed_of_its_own() -> None:
    found = [masks(0.5, 30, 20, seed=seed, own=own).tobytes() for seed in (1, 2) for own in (None, 9, 10)]
    # The model's seed where there is none, and nothing but its own where there is one.
    assert found[1] == found[4] == masks(0.5, 30, 20, seed=9).tobytes()
    assert found[2] == found[5] == masks(0.5, 30, 20, seed=10).tobytes()
    assert len(set(found)) == 4


def test_two_in_a_row_and_a_last_one() -> None:
    model = Sequential([Input((400,)), Dropout(0.5), Dropout(0.2)], seed=3)
    x = np.random.default_rng(0).standard_normal((200, 400)).astype(np.float32)
    model.compile("sgd", "mse")
    out = model.forward(x)
    kept = out != 0
    assert abs(kept.mean() - 0.4) < 5 * np.sqrt(0.24 / kept.size)
    np.testing.assert_array_equal(out[kept], (x * np.float32(2) * np.float32(1 / 0.8))[kept])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "place",
    [
        lambda: [Dropout(0.5), Dense(3), Dense(2)],
        lambda: [Dense(3), Dropout(0.5), Dense(2)],
        lambda: [Dense(3), Dense(2), Dropout(0.5)],
        lambda: [
            Dropout(0.5),
            Dropout(0.5),
            Dense(3),
            Dropout(0.5),
            Dropout(0.5),
            Dense(2),
            Dropout(0.5),
            Dropout(0.5),
        ],
    ],
)
def test_inference_does_nothing(place, dtype: str) -> None:  # type: ignore[no-untyped-def]
    with_dropout = Sequential([Input((4,)), *place()], seed=1, dtype=dtype)
    without = Sequential([Input((4,)), Dense(3), Dense(2)], dtype=dtype)
    without.parameters = with_dropout.parameters
    x, y = np.random.default_rng(0).standard_normal((2, 600, 4)).astype(dtype)
    y = y[:, :2]
    for model in (with_dropout, without):
        model.compile("sgd", "mse")
    expected = without.predict(x)
    assert with_dropout.predict(x).tobytes() == expected.tobytes()
    assert with_dropout.evaluate(x, y) == without.evaluate(x, y)
    for rows in (1, 5):
        assert with_dropout.predictor(rows)(x[:rows]).tobytes() == expected[:rows].tobytes()


def test_dropout_alone_is_the_identity_in_inference() -> None:
    model = Sequential([Input((5,)), Dropout(0.5)])
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    assert model.predict(x).tobytes() == x.tobytes()
    assert model.predictor(7)(x).tobytes() == x.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rate_of_0_is_no_dropout(dtype: str) -> None:
    def trained(stack: list[layers.Layer]) -> bytes:
        model = Sequential([Input((4,)), *stack], seed=1, dtype=dtype)
        model.parameters = np.linspace(-1, 1, model.parameters.size)
        model.compile("sgd", "mse")
        x = np.random.default_rng(0).standard_normal((60, 4))
        model.fit(x, x[:, :2], epochs=3, batch_size=8, verbose=0)
        return model.parameters.tobytes()

    assert trained([Dropout(0.0), Dense(3), Dropout(0.0), Dense(2)]) == trained([Dense(3), Dense(2)])


def test_every_step_of_a_fit_drops_other_units() -> None:
    # The gradient of a kernel's row is 0 where its only input is dropped.
    model = Sequential([Input((1000,)), Dropout(0.5), Dense(1, use_bias=False)], seed=1)
    model.parameters = np.zeros(1000)
    model.compile(optimizers.SGD(1.0), "mse")
    before = model.parameters.copy()
    changed = []
    for _ in range(4):
        model.train_on_batch(np.ones((1, 1000)), np.full((1, 1), 1e6))
        changed.append(model.parameters != before)
        before = model.parameters.copy()
    for i in range(4):
        assert abs(changed[i].mean() - 0.5) < 0.08
        for j in range(i):
            assert_independent(changed[i], changed[j])


# ---- everything, and noise that is shared ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_rate_of_1_drops_everything(dtype: str) -> None:
    dropout = Dropout(1)
    model = Sequential([Input((4,)), Dense(5), dropout, Dense(3)], seed=1, dtype=dtype)
    model.compile(optimizers.SGD(0.1), "mse")
    x, y = np.random.default_rng(0).standard_normal((2, 20, 4))
    x[3, 2] = np.inf
    model.forward(x)
    assert dropout.output.tobytes() == np.zeros((20, 5), dtype).tobytes()
    model.backward(y[:, :3])
    assert not model.layers[0].kernel_gradient[:2].any()
    assert not model.layers[-1].kernel_gradient.any()
    assert model.layers[-1].bias_gradient.all()
    assert np.isfinite(model.predict(x[:3])).all()
    assert model.predict(x[:3]).any()


SHAPES = [(None, None), (None, 1), (1, None), (1, 1), (24, None), (24, 1), (None, 30), (1, 30), (24, 30)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_noise_is_shared(shape: tuple[int | None, int | None]) -> None:
    def kept(shape: tuple[int | None, int | None] | None, step: int) -> np.ndarray:
        dropout = Dropout(0.5, shape, seed=4)
        model = Sequential([Input((30,)), dropout, Dense(1)], seed=1)
        model.compile(optimizers.SGD(0.0), "mse")
        for _ in range(step):
            model.train_on_batch(np.ones((24, 30)), np.ones(24))
        model.forward(np.ones((24, 30)))
        return dropout.output > 0

    for step in (0, 1):
        mask, plain = kept(shape, step), kept(None, step)
        rows, columns = ((slice(0, 1) if n == 1 else slice(None)) for n in shape)
        np.testing.assert_array_equal(mask, np.broadcast_to(plain[rows, columns], mask.shape))
        assert (mask != kept(shape, 1 - step)).any() or shape == (1, 1)


def test_shared_noise_is_kept_as_often() -> None:
    x = np.ones((2000, 50), np.float32)
    of_samples = Dropout(0.3, (None, 1), seed=1)(x, training=True)
    assert ((of_samples > 0).all(axis=1) | (of_samples == 0).all(axis=1)).all()
    assert abs((of_samples[:, 0] > 0).mean() - 0.7) < 5 * np.sqrt(0.21 / 2000)
    of_columns = Dropout(0.3, (1, None), seed=1)(x.T, training=True)
    assert (of_columns == of_columns[0]).all()
    assert abs((of_columns[0] > 0).mean() - 0.7) < 5 * np.sqrt(0.21 / 2000)


@pytest.mark.parametrize("shape", [None, (None, 1), (1, None), (15, 40)], ids=str)
@pytest.mark.parametrize("rate", [0.4, 1])
def test_no_number_of_threads_changes_a_bit(shape: tuple[int | None, int | None] | None, rate: float) -> None:
    x, y = np.random.default_rng(0).standard_normal((2, 600, 4))
    found = set()
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        model = Sequential([Input((4,)), Dense(40, "tanh"), Dropout(rate, shape), Dense(3)], seed=1)
        model.compile("adam", "mse")
        model.fit(x, y[:, :3], batch_size=15, epochs=2, verbose=0)
        found.add(model.parameters.tobytes())
    assert len(found) == 1


def test_a_batch_of_another_size_than_the_noise() -> None:
    model = Sequential([Input((4,)), Dense(5), Dropout(0.5, (8, None), name="drop"), Dense(3)])
    model.compile("sgd", "mse")
    x = np.random.default_rng(0).standard_normal((16, 4))
    model.fit(x, x[:, :3], batch_size=8, verbose=0)
    before = model.parameters.copy()
    message = "a batch has {} samples, expected 8 as the noise_shape of layer 'drop'"
    for call, size in (
        (lambda: model.fit(x, x[:, :3], batch_size=7, verbose=0), 7),
        (lambda: model.fit(x[:15], x[:15, :3], batch_size=8, verbose=0), 7),
        (lambda: model.fit(x, x[:, :3], batch_size="full", verbose=0), 16),
        (lambda: model.train_on_batch(x, x[:, :3]), 16),
        (lambda: model.forward(x), 16),
        (lambda: model(x, training=True), 16),
        (lambda: model.value_and_gradient(x, x[:, :3]), 16),
    ):
        with pytest.raises(ValueError, match=message.format(size)):
            call()
    np.testing.assert_array_equal(model.parameters, before)
    assert model.predict(x).shape == model(x).shape == (16, 3)  # which drop nothing
    assert isinstance(model.evaluate(x, x[:, :3]), float)
    with pytest.raises(ValueError, match="x has 16 samples, expected 8 as noise_shape has"):
        Dropout(0.5, (8, None))(x, training=True)


def test_noise_for_other_columns() -> None:
    with pytest.raises(ValueError, match=r"noise_shape is \(None, 3\), expected None, 1 or 4 for the columns"):
        Sequential([Input((4,)), Dropout(0.5, (None, 3))])
