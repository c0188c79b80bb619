"""What losses take beside two matrices: any dimensions, weights, ignored labels, options, any threads; your own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, layers, losses
from fastnn.callbacks import LambdaCallback

RNG = np.random.default_rng(0)
KINDS = sorted(
    (kind for kind in vars(losses).values() if isinstance(kind, type) and issubclass(kind, losses.Loss)),
    key=lambda kind: kind.__name__,
)
KINDS.remove(losses.Loss)
REDUCTIONS = ["sum_over_batch_size", "sum", "mean_with_sample_weight", None]


def data(kind: type[losses.Loss], shape: tuple[int, ...], dtype: Any = np.float64) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions that suit any loss."""
    rng = np.random.default_rng(len(shape))
    p = rng.uniform(0.1, 0.9, shape).astype(dtype)
    if kind.sparse:
        return rng.integers(0, shape[-1], shape[:-1]), p
    if "Categorical" in kind.__name__:
        return np.eye(shape[-1], dtype=dtype)[rng.integers(0, shape[-1], shape[:-1])], p
    return rng.integers(0, 2, shape).astype(dtype), p


# ---- dimensions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_all_axes_but_the_last_are_samples(kind: type[losses.Loss], reduction: str | None) -> None:
    y, p = data(kind, (4, 5, 3))
    flat_y, flat_p = y.reshape(20, *y.shape[2:]), p.reshape(20, 3)
    loss = kind(reduction=reduction)
    weights = RNG.uniform(size=(4, 5))
    for given, flat in ((None, None), (weights, weights.ravel()), (weights[..., np.newaxis], weights.ravel())):
        value, gradient = loss.value_and_gradient(y, p, given)
        expected, expected_gradient = loss.value_and_gradient(flat_y, flat_p, flat)
        np.testing.assert_array_equal(np.ravel(value), np.ravel(expected))
        np.testing.assert_array_equal(gradient, expected_gradient.reshape(p.shape))
    assert loss.per_sample(y, p).shape == (4, 5)
    assert np.shape(loss(y, p)) == ((4, 5) if reduction is None else ())


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_for_each_sample_counts_for_all_that_the_sample_has(kind: type[losses.Loss]) -> None:
    y, p = data(kind, (4, 5, 3))
    weights = np.array([0.5, 1, 2, 0])
    loss = kind()
    expected = loss.value_and_gradient(y, p, np.repeat(weights[:, np.newaxis], 5, axis=1))
    for given in (weights, weights[:, np.newaxis], list(weights)):
        value, gradient = loss.value_and_gradient(y, p, given)
        assert value == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])


@pytest.mark.parametrize("weights", [np.ones(5), np.ones((5, 4)), np.ones((4, 5, 3)), np.ones((1, 5)), np.ones((4, 4))])
def test_weights_that_do_not_fit(weights: np.ndarray) -> None:
    y, p = data(losses.MeanSquaredError, (4, 5, 3))
    with pytest.raises(ValueError, match=r"sample_weight has shape \(.*\), expected \(4, 5\) or \(4,\)"):
        losses.MeanSquaredError()(y, p, weights)


@pytest.mark.parametrize("kind", [k for k in KINDS if k._of_classes])
def test_a_vector_is_one_sample_of_classes(kind: type[losses.Loss]) -> None:
    y, p = data(kind, (1, 4))
    value, gradient = kind().value_and_gradient(y, p)
    got, got_gradient = kind().value_and_gradient(y[0], p[0])
    assert got == value
    np.testing.assert_array_equal(got_gradient, gradient[0])
    assert kind().per_sample(y[0], p[0]).shape == ()


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if "axis" in k.__init__.__code__.co_varnames and k is not losses.KLDivergence]
)
def test_axis(kind: Any) -> None:
    y, p = data(kind, (4, 5, 3))
    value, gradient = kind().value_and_gradient(y, p)
    for axis in (1, -2, 0):
        moved = y if kind.sparse else np.moveaxis(y, -1, axis)
        got, got_gradient = kind(axis=axis).value_and_gradient(moved, np.moveaxis(p, -1, axis))
        assert got == value
        np.testing.assert_array_equal(np.moveaxis(got_gradient, axis, -1), gradient)
        out = np.zeros_like(np.moveaxis(p, -1, axis))
        assert kind(axis=axis).gradient(moved, np.moveaxis(p, -1, axis), out=out) is out
        np.testing.assert_array_equal(out, got_gradient)
    with pytest.raises(ValueError, match="axis is 3, expected one of the 3 dimensions of y_pred"):
        kind(axis=3)(y, p)


@pytest.mark.parametrize(
    ("y", "p", "message"),
    [
        (np.ones((4, 5, 3)), np.ones((4, 5, 2)), r"y_true has shape \(4, 5, 3\), expected \(4, 5, 2\)"),
        (np.ones((4, 3)), np.ones((4, 5, 3)), r"y_true has shape \(4, 3\), expected \(4, 5, 3\)"),
        (np.ones((5, 4, 3)), np.ones((4, 5, 3)), r"y_true has shape \(5, 4, 3\), expected \(4, 5, 3\)"),
        (np.ones((4, 0, 3)), np.ones((4, 0, 3)), r"y_pred has shape \(4, 0, 3\), expected at least one sample"),
    ],
)
def test_shapes_that_do_not_fit(y: np.ndarray, p: np.ndarray, message: str) -> None:
    for kind in KINDS:
        if not kind.sparse:
            with pytest.raises(ValueError, match=message):
                kind()(y, p)


def test_labels_of_many_dimensions() -> None:
    loss, p = losses.SparseCategoricalCrossentropy(), np.full((2, 3, 4), 0.25)
    y = np.array([[0, 1, 2], [3, 0, 1]])
    assert loss(y, p) == loss(y[..., np.newaxis], p) == pytest.approx(np.log(4))
    y[1, 2] = 4
    with pytest.raises(ValueError, match=r"y_true has the label 4 at position \(1, 2\), expected integers from 0 to 3"):
        loss(y, p)
    with pytest.raises(ValueError, match=r"y_true has shape \(3, 2\), expected integer labels of shape \(2, 3\)"):
        loss(np.zeros((3, 2), int), p)


# ---- the short way through validation --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_the_quick_way_gives_the_same_bits(kind: type[losses.Loss], dtype: type, monkeypatch: Any) -> None:
    for shape in [(1, 1), (7, 1), (300, 4), (3, 1500), (2, 3, 4)] + ([] if kind._of_classes else [(9,)]):
        y, p = data(kind, shape, dtype)
        for reduction in REDUCTIONS[:3]:
            loss = kind(reduction=reduction)
            loss(y, p)  # makes the kernel, which the quick way takes
            cost, both = loss(y, p), loss.value_and_gradient(y, p)
            monkeypatch.setattr(loss, "_mean", None)
            slow, slow_both = loss(y, p), loss.value_and_gradient(y, p)
            assert cost == both[0] == slow == slow_both[0]
            assert type(cost) is float
            assert both[1].dtype == dtype
            np.testing.assert_array_equal(both[1], slow_both[1])


@pytest.mark.parametrize("kind", KINDS)
def test_the_quick_way_refuses_what_the_slow_one_refuses(kind: type[losses.Loss]) -> None:
    y, p = data(kind, (3, 4))
    loss = kind()
    loss(y, p)
    bad_p = np.where(np.arange(4) == 1, np.nan, p)
    assert np.isnan(loss(y, bad_p))
    for call in (loss, loss.value_and_gradient):
        for wrong_y, wrong_p in [(y[:2], p), (y, p[:2]), (y, p[:, :0]), (y[:, :2] if y.ndim == 2 else y + 2, p)]:
            with pytest.raises(ValueError, match="expected"):
                call(wrong_y, wrong_p)
        if not kind.sparse:
            y[1, 2] = np.nan
            with pytest.raises(ValueError, match="y_true has a NaN in sample 1"):
                call(y, p)
            with pytest.raises(ValueError, match="y_true has a NaN in sample 1"):
                loss.gradient(y, p, out=np.empty_like(p))


@pytest.mark.parametrize("kind", KINDS)
def test_no_result_depends_on_the_threads(kind: type[losses.Loss]) -> None:
    for shape in [(1_000_003, 1), (4001, 257), (700, 1501)]:
        if kind._of_classes and shape[1] == 1:
            continue
        y, p = data(kind, shape, np.float32)
        results = []
        for n in (1, 3):
            fastnn.set_num_threads(n)
            results.append((kind()(y, p), *kind().value_and_gradient(y, p)))
        assert results[0][:2] == results[1][:2]
        assert results[0][0] == results[0][1]
        np.testing.assert_array_equal(results[0][2], results[1][2])


@pytest.mark.parametrize("start", [0, 1, 7])
def test_large_gradients_are_written_whole_and_nowhere_else(start: int) -> None:
    rows, parts = 1_100_003, 1000
    y, p = data(losses.MeanSquaredError, (rows, 1), np.float32)
    loss = losses.MeanSquaredError(reduction="sum")
    expected = np.concatenate([loss.gradient(y[i : i + parts], p[i : i + parts]) for i in range(0, rows, parts)])
    for n in (1, 3):
        fastnn.set_num_threads(n)
        whole = np.full((rows + 40, 1), 7, np.float32)
        out = whole[start : start + rows]
        assert loss.gradient(y, p, out=out) is out
        np.testing.assert_array_equal(out, expected)
        assert (whole[:start] == 7).all()
        assert (whole[start + rows :] == 7).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_quick_way_writes_into_out(kind: type[losses.Loss]) -> None:
    y, p = data(kind, (6, 4))
    loss = kind()
    value, gradient = loss.value_and_gradient(y, p)
    places = {"new": np.full_like(p, 7), "y_pred": p.copy(), "strided": np.full((6, 8), 7.0)[:, ::2]}
    for place, out in places.items():
        got, result = loss.value_and_gradient(y, out if place == "y_pred" else p, out=out)
        assert (got, result is out) == (value, True)
        np.testing.assert_array_equal(out, gradient)
    for wrong in (np.zeros((6, 3)), np.zeros((6, 4), np.float32), np.zeros((4, 6))):
        with pytest.raises(ValueError, match="out is float"):
            loss.gradient(y, p, out=wrong)


def test_sums_are_in_float64() -> None:
    p = np.full((3_000_000, 1), 0.1, np.float32)
    assert losses.MeanAbsoluteError(reduction="sum")(np.zeros_like(p), p) == pytest.approx(
        3e6 * float(p[0, 0]), rel=1e-14
    )


# ---- labels to ignore ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ignored", [-1, 255, 1])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_samples_do_not_count(reduction: str | None, from_logits: bool, ignored: int) -> None:
    y, p = data(losses.SparseCategoricalCrossentropy, (40, 3))
    if ignored != 1:
        y[::3] = ignored
    kept = y != ignored
    p[~kept] = np.nan  # whatever is predicted for them
    weights = RNG.uniform(size=40)
    loss = losses.SparseCategoricalCrossentropy(from_logits, ignored, reduction)
    plain = losses.SparseCategoricalCrossentropy(from_logits, reduction=reduction)
    for w in (None, weights):
        value, gradient = loss.value_and_gradient(y, p, w)
        expected, expected_gradient = plain.value_and_gradient(y[kept], p[kept], None if w is None else w[kept])
        if reduction is None:
            assert not value[~kept].any()
            value = value[kept]
        np.testing.assert_allclose(value, expected, rtol=1e-14)
        np.testing.assert_allclose(gradient[kept], expected_gradient, rtol=1e-14)
        assert not gradient[~kept].any()


def test_other_labels_outside_are_still_errors() -> None:
    loss = losses.SparseCategoricalCrossentropy(ignore_class=255)
    with pytest.raises(ValueError, match="y_true has the label 254 at position 1, expected integers from 0 to 2"):
        loss([255, 254], np.ones((2, 3)))
    assert loss([255, 255], np.ones((2, 3))) == 0


@pytest.mark.parametrize("batch_size", [7, 40, 1000])
def test_fit_ignores_them_too(batch_size: int) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((1000, 4)), rng.integers(0, 3, 1000)
    y[rng.uniform(size=1000) < 0.4] = 9
    model = Sequential([layers.Input((4,)), layers.Dense(3, activation="softmax")], seed=0, dtype="float64")
    loss = losses.SparseCategoricalCrossentropy(ignore_class=9)
    model.compile("sgd", loss)
    value, gradient = model.value_and_gradient(x, y)
    kept = y != 9
    expected, expected_gradient = model.value_and_gradient(x[kept], y[kept])
    assert value == pytest.approx(expected, rel=1e-14)
    assert model.evaluate(x, y) == pytest.approx(loss(y, model.predict(x)), rel=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-12, atol=1e-15)
    weights = model.parameters.copy()
    model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0)
    after = model.parameters.copy()
    model.parameters = weights
    for start in range(0, 1000, batch_size):
        part = slice(start, start + batch_size)
        if kept[part].any():
            model.train_on_batch(x[part][kept[part]], y[part][kept[part]])
    np.testing.assert_allclose(after, model.parameters, rtol=1e-9)


@pytest.mark.parametrize("regularizer", [None, "l2"])
def test_steps_of_ignored_samples_alone_do_not_count_in_the_mean(regularizer: str | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((40, 4)), rng.integers(0, 3, 40)
    y[8:24] = 9
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    batches = [(x[i : i + 4], y[i : i + 4]) for i in range(0, 40, 4)]
    each = LambdaCallback(on_train_batch_end=lambda batch, logs: None, on_test_batch_end=lambda batch, logs: None)
    logs, evaluated = [], []
    for source, callbacks in (((x, y), None), ((x, y), each), ((batches,), None), ((mapped, y), each)):
        last = layers.Dense(3, activation="softmax", kernel_regularizer=regularizer)
        model = Sequential([layers.Input((4,)), last], seed=0)
        model.compile("sgd", losses.SparseCategoricalCrossentropy(ignore_class=9))
        how = {"batch_size": 4, "callbacks": callbacks}
        logs.append(model.fit(*source, shuffle=False, verbose=0, **how).history["loss"][0])
        evaluated.append(model.evaluate(*source, **how))
    np.testing.assert_allclose(logs, logs[0], rtol=1e-12)
    np.testing.assert_allclose(evaluated, evaluated[0], rtol=1e-12)
    model.reset_metrics()
    penalty = 0.01 * (model.layers[0].kernel ** 2).sum() if regularizer else 0
    assert model.value_and_gradient(x[8:12], y[8:12])[0] == pytest.approx(penalty)
    assert model.train_on_batch(x[8:12], y[8:12]) == pytest.approx(penalty)


# ---- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "error", "message"),
    [
        (losses.Huber, {"delta": -1}, ValueError, "delta is -1, expected a finite number > 0"),
        (losses.Huber, {"delta": 0}, ValueError, "delta is 0, expected a finite number > 0"),
        (losses.Huber, {"delta": "a"}, TypeError, "delta is 'a', expected a number"),
        (losses.Quantile, {"q": 0}, ValueError, "q is 0, expected a finite number > 0 and < 1"),
        (losses.Quantile, {"q": 1}, ValueError, "q is 1, expected a finite number > 0 and < 1"),
        (losses.BinaryFocalCrossentropy, {"gamma": -0.1}, ValueError, "gamma is -0.1, expected a finite number >= 0"),
        (losses.BinaryFocalCrossentropy, {"alpha": 1.5}, ValueError, "alpha is 1.5, expected .* >= 0 and <= 1"),
        (losses.CategoricalFocalCrossentropy, {"gamma": np.nan}, ValueError, "gamma is nan, expected a finite"),
        (losses.CategoricalFocalCrossentropy, {"alpha": [1, -1]}, ValueError, r"alpha\[1\] is -1, expected"),
        (losses.CategoricalFocalCrossentropy, {"alpha": []}, ValueError, r"alpha has shape \(0,\), expected a number"),
        (losses.SparseCategoricalCrossentropy, {"ignore_class": 0.5}, TypeError, "ignore_class is 0.5, expected an"),
        (losses.BinaryCrossentropy, {"axis": 0.5}, TypeError, "axis is 0.5, expected an integer"),
        (losses.MeanSquaredError, {"dtype": "float16"}, ValueError, "dtype is 'float16', expected 'float32' or"),
    ],
)
def test_bad_options(kind: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        kind(**options)


def test_a_weight_for_each_class() -> None:
    y, p = data(losses.CategoricalFocalCrossentropy, (50, 3), np.float32)
    parts = [losses.CategoricalFocalCrossentropy([float(k == c) for k in range(3)], reduction="sum") for c in range(3)]
    whole = losses.CategoricalFocalCrossentropy([1.0, 1.0, 1.0], reduction="sum")
    assert whole(y, p) == pytest.approx(sum(part(y, p) for part in parts), rel=1e-12)
    assert whole(y, p) == losses.CategoricalFocalCrossentropy(1.0, reduction="sum")(y, p)
    np.testing.assert_allclose(whole.gradient(y, p), sum(part.gradient(y, p) for part in parts), rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="alpha has 3 elements, expected 4"):
        whole(np.ones((2, 4)), np.ones((2, 4)))
    model = Sequential([layers.Input((2,)), layers.Dense(4, activation="softmax")])
    with pytest.raises(ValueError, match="alpha has 3 elements, expected 4, one for each class"):
        model.compile("sgd", losses.CategoricalFocalCrossentropy([1.0, 1.0, 1.0]))


@pytest.mark.parametrize("kind", KINDS)
def test_dtype(kind: Any) -> None:
    y, p = data(kind, (5, 3))
    loss = kind(dtype="float32")
    value, gradient = loss.value_and_gradient(y, p)
    assert gradient.dtype == np.float32
    assert value == kind()(y if kind.sparse else y.astype(np.float32), p.astype(np.float32))
    assert kind.from_config(loss.get_config()).dtype == np.float32


@pytest.mark.parametrize("labels", [[[0], [1], [1]], [[-1], [1], [1]]])
@pytest.mark.parametrize("kind", [losses.Hinge, losses.SquaredHinge])
def test_labels_of_0_and_1_become_signs(kind: Any, labels: list[list[int]]) -> None:
    p = np.array([[0.5], [0.25], [2.0]])
    power = 1 if kind is losses.Hinge else 2
    np.testing.assert_array_equal(kind().per_sample(labels, p), np.array([1.5, 0.75, 0]) ** power)
    # Labels of 0 among others are what they are.
    assert kind().per_sample([[0], [-1], [1]], p)[0] == 1
    model = Sequential([layers.Input((1,)), layers.Dense(1)], seed=3, dtype="float64")
    model.compile("sgd", kind())
    x = np.array([[1.0], [2.0], [3.0]])
    assert model.evaluate(x, labels) == pytest.approx(kind()(labels, model.predict(x)), rel=1e-14)
    assert model.evaluate(x, labels, sample_weight=[2, 5, 5]) == pytest.approx(
        model.train_on_batch(x, labels, class_weight={0: 2, 1: 5})
    )


@pytest.mark.parametrize("kind", KINDS)
def test_fit_computes_the_same_loss(kind: Any) -> None:
    for activation in ("linear", "sigmoid", "softmax"):
        options = {"from_logits": True} if activation == "linear" and hasattr(kind(), "from_logits") else {}
        x = np.random.default_rng(2).uniform(0.2, 1, (30, 4))
        y, _ = data(kind, (30, 3))
        model = Sequential([layers.Input((4,)), layers.Dense(3, activation=activation)], seed=1, dtype="float64")
        model.parameters[:] = np.abs(model.parameters)  # positive predictions
        model.compile("sgd", kind(**options))
        outputs = model.predict(x)
        expected = kind(**options)(y, outputs)
        assert model.evaluate(x, y) == pytest.approx(expected, rel=1e-6)
        value, gradient = model.value_and_gradient(x, y)
        assert value == pytest.approx(expected, rel=1e-6)
        direction = np.random.default_rng(3).standard_normal(gradient.size)
        step = 1e-6
        above, below = (
            model.value_and_gradient(x, y, parameters=model.parameters + s * direction)[0] for s in (step, -step)
        )
        assert gradient @ direction == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_serialize(kind: Any) -> None:
    loss = kind(reduction="sum", name="mine")
    kept = losses.serialize(loss)
    assert kept == {"class_name": kind.__name__, "config": loss.get_config()}
    for again in (losses.deserialize(kept), losses.get(kept)):
        assert type(again) is kind
        assert again.get_config() == loss.get_config()
    assert type(losses.get(kind.__name__)) is kind


def test_names() -> None:
    for short in ("mse", "MAE", "mape", "MSLE", "bce", "KLD", "log_cosh", "huber", "poisson", "quantile", "gamma"):
        assert isinstance(losses.get(short), losses.Loss)
    assert isinstance(losses.get(losses.huber), losses.Huber)
    assert losses.Huber().name == "huber_loss"
    assert losses.Huber().get_config() == {"delta": 1.0, "name": "huber_loss", "reduction": "sum_over_batch_size"}
    with pytest.raises(ValueError, match="loss's class_name is None, expected one of 'MeanSquaredError'"):
        losses.get({"config": {}})
    with pytest.raises(ValueError, match="class_name is 'Nothing', expected one of"):
        losses.deserialize({"class_name": "Nothing", "config": {}})


# ---- your own --------------------------------------------------------------------------------------------------------


class Own(losses.Loss):
    """The squared error, in NumPy."""

    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: Any = None) -> Any:
        e = y_pred - y_true
        return self.reduce((e * e).mean(axis=-1), 2 * e / e.shape[-1], sample_weight)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_an_own_loss_is_called_as_the_others_are(reduction: str | None) -> None:
    y, p = RNG.standard_normal((2, 6, 3))
    own, mse = Own(reduction=reduction), losses.MeanSquaredError(reduction)
    for w in (None, 2.0, RNG.uniform(size=6), np.zeros(6)):
        value, gradient = own.value_and_gradient(y, p, w)
        np.testing.assert_allclose(value, mse(y, p, w), rtol=1e-14)
        np.testing.assert_allclose(own(y, p, w), value)
        np.testing.assert_allclose(gradient, mse.gradient(y, p, w), rtol=1e-14)
        np.testing.assert_array_equal(own.gradient(y, p, w), gradient)
    np.testing.assert_allclose(own.per_sample(y, p), mse.per_sample(y, p), rtol=1e-14)
    assert own.name == "own"
    assert losses.deserialize(losses.serialize(own), {"Own": Own}).reduction == reduction


def trained(loss: Any, threads: int, **options: Any) -> tuple[np.ndarray, list[float], float]:
    fastnn.set_num_threads(threads)
    rng = np.random.default_rng(5)
    x, y, w = rng.standard_normal((700, 3)), rng.standard_normal((700, 2)), rng.uniform(size=700)
    model = Sequential(
        [layers.Input((3,)), layers.Dense(20, activation="tanh"), layers.Dense(2, activation="sigmoid")],
        seed=1,
        dtype="float64",
    )
    model.compile("adam", loss)
    history = model.fit(x, y, epochs=2, sample_weight=w, validation_data=(x[:99], y[:99]), verbose=0, **options)
    return model.parameters.copy(), history.history["loss"] + history.history["val_loss"], model.evaluate(x, y)


@pytest.mark.parametrize("batch_size", [1, 32, 700])
def test_fit_with_an_own_loss(batch_size: int) -> None:
    expected = trained("mse", 1, batch_size=batch_size)
    one, three = (trained(Own(), n, batch_size=batch_size) for n in (1, 3))
    np.testing.assert_array_equal(one[0], three[0])
    assert one[1:] == three[1:]
    for got, right in zip(one, expected, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-9)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_an_own_loss_ends_fit_and_is_raised(threads: int) -> None:
    class Failing(Own):
        calls = 0

        def value_and_gradient(self, *arguments: Any) -> Any:  # type: ignore[override]
            self.calls += 1
            if self.calls == 5:
                raise KeyError("the fifth")
            return super().value_and_gradient(*arguments)

    with pytest.raises(KeyError, match="the fifth"):
        trained(Failing(), threads, batch_size=32)


def test_a_gradient_of_another_shape_is_an_error() -> None:
    class Wrong(losses.Loss):
        def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: Any = None) -> Any:
            return 0.0, np.zeros(3)

    with pytest.raises(ValueError, match=r"the loss's gradient has shape \(3,\), expected \(32, 2\)"):
        trained(Wrong(), 1, batch_size=32)


def test_a_loss_without_value_and_gradient() -> None:
    class Empty(losses.Loss):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no value_and_gradient, expected one in a subclass"):
        Empty()([[0]], [[1]])
