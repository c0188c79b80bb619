"""Classes and functions of one's own in files: given, registered, or missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, layers, losses, metrics, utils
from fastnn.layers import Dense, Input

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 3)), RNG.standard_normal((40, 1))


@pytest.fixture(autouse=True)
def nothing_registered() -> Iterator[None]:
    before = dict(utils.get_custom_objects())
    yield
    utils.get_custom_objects().clear()
    utils.get_custom_objects().update(before)


def spread(y_true: Any, y_pred: Any) -> Any:
    return abs(y_pred - y_true)


class Largest(metrics.Metric):
    def __init__(self, power: float = 1.0, name: str | None = None) -> None:
        super().__init__(name)
        self.power, self.largest = power, self.add_variable()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.largest[...] = max(self.largest, (abs(y_true - y_pred) ** self.power).max())

    def result(self) -> float:
        return float(self.largest)

    def get_config(self) -> dict[str, Any]:
        return {"power": self.power, **super().get_config()}


class Cubic(losses.Loss):
    def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: Any = None) -> Any:
        e = y_pred - y_true
        return self.reduce((abs(e) ** 3).mean(axis=-1), 3 * e * abs(e), sample_weight)


class Doubles(layers.Layer):
    def forward(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        return 2 * x

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        return 2 * gradient


OWN: dict[str, Any] = {"spread": spread, "Largest": Largest, "Cubic": Cubic, "Doubles": Doubles}
KINDS = {"spread": "the metric's fn", "Largest": "metric's class_name", "Cubic": "loss's class_name"}


def make(stack: Any = ()) -> Sequential:
    model = Sequential([Input((3,)), Dense(4, "tanh"), *stack, Dense(1)], seed=1)
    wrapped = metrics.MeanMetricWrapper(losses.huber, "wrapped", delta=0.5)
    model.compile("adam", Cubic(), metrics=[spread, Largest(2.0), "mae", wrapped], weighted_metrics=[spread])
    model.fit(X, Y, verbose=0)
    return model


def goes_on_alike(model: Sequential, again: Sequential) -> bool:
    logs = [m.fit(X, Y, epochs=2, verbose=0).history for m in (model, again)]
    assert set(logs[0]) == {"loss", "spread", "largest", "mae", "wrapped", "weighted_spread"}
    return logs[0] == logs[1] and model.parameters.tobytes() == again.parameters.tobytes()


@pytest.mark.parametrize("way", ["given", "scope", "registered", "registered later", "registered, given plainly"])
def test_a_model_with_classes_and_functions_of_ones_own_is_loaded(way: str, tmp_path: Path) -> None:
    def register() -> None:
        for thing in OWN.values():
            assert utils.register_keras_serializable("forests")(thing) is thing

    if registered := way in ("registered", "registered, given plainly"):
        register()
    model = make([Doubles()])
    model.save(tmp_path / "m")
    described = str(model.get_compile_config()) + str(model.get_config())
    assert [f"'forests>{name}'" in described for name in OWN] == [registered] * 4
    if way == "registered later":
        register()
    elif way == "registered, given plainly":
        utils.get_custom_objects().clear()
    given = OWN if way in ("given", "registered, given plainly") else None
    with utils.custom_object_scope(OWN) if way == "scope" else nullcontext():
        again = fastnn.load_model(tmp_path / "m", given)
    assert [type(metric) for metric in again.metrics[:2]] == [metrics.MeanMetricWrapper, Largest]
    assert goes_on_alike(model, again)


@pytest.mark.parametrize("missing", KINDS)
def test_what_is_missing_is_named_with_what_to_do(missing: str, tmp_path: Path) -> None:
    make().save(tmp_path / "m")
    given = {name: thing for name, thing in OWN.items() if name != missing}
    with pytest.raises(ValueError, match=rf"m' holds no model .*: {KINDS[missing]} is '{missing}'") as caught:
        fastnn.load_model(tmp_path / "m", given)
    assert f"give custom_objects={{'{missing}': …}}, or put @fastnn.utils.register_keras_ser" in str(caught.value)
    assert str(caught.value).endswith("compile=False loads it without")
    again = fastnn.load_model(tmp_path / "m", compile=False)
    assert again.predict(X).tobytes() == fastnn.load_model(tmp_path / "m", OWN).predict(X).tobytes()
    assert again.optimizer is again.loss is None


def test_a_layer_that_is_missing(tmp_path: Path) -> None:
    model = make([Doubles()])
    model.save(tmp_path / "m")
    for compiles in (True, False):
        with pytest.raises(ValueError, match=r"layer's class_name is 'Doubles'.*give custom_objects=") as caught:
            fastnn.load_model(tmp_path / "m", compile=compiles)
        assert "compile=False" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "thing"), [(metrics, Largest(3.0, "most")), (losses, Cubic("cube")), (layers, Doubles(name="twice"))]
)
def test_deserialize_knows_the_scope(module: Any, thing: Any) -> None:
    described, name = module.serialize(thing), type(thing).__name__
    with pytest.raises(ValueError, match=f"class_name is '{name}', expected one of"):
        module.deserialize(described)
    with pytest.raises(TypeError, match=rf"custom_objects\['{name}'\] is 3, expected a subclass of"):
        module.deserialize(described, {name: 3})
    made = [module.deserialize(described, OWN)]
    with utils.custom_object_scope(OWN):
        made.append(module.deserialize(described))
    utils.register_keras_serializable()(type(thing))
    made.append(module.deserialize(module.serialize(thing)))
    utils.get_custom_objects()[name] = type(thing)
    made.append(module.deserialize(described))
    for other in made:
        assert type(other) is type(thing)
        assert other.get_config() == thing.get_config()


def test_a_metric_of_a_function_is_described_by_its_name() -> None:
    described = metrics.serialize(metrics.get(spread))
    assert described == {
        "class_name": "MeanMetricWrapper",
        "config": {"fn": {"class_name": "function", "config": "spread"}, "name": "spread"},
    }
    again = metrics.deserialize(described, {"spread": spread})
    assert isinstance(again, metrics.MeanMetricWrapper)
    assert again.fn is spread
    with pytest.raises(TypeError, match=r"custom_objects\['spread'\] is 3, expected a function"):
        metrics.deserialize(described, {"spread": 3})
    with pytest.raises(ValueError, match="the metric's fn is 'spread', expected a dict with the class_name 'function'"):
        metrics.deserialize({"class_name": "MeanMetricWrapper", "config": {"fn": "spread"}})
    top = metrics.MeanMetricWrapper(metrics.top_k_categorical_accuracy, k=2)
    assert metrics.deserialize(metrics.serialize(top))([[0, 1, 0]], [[0.3, 0.2, 0.5]]) == 0.0
    assert metrics.deserialize(metrics.serialize(metrics.Mean("m"))).name == "m"
    for metric in (metrics.BinaryAccuracy(), metrics.TopKCategoricalAccuracy(3)):
        assert metrics.deserialize(metrics.serialize(metric)).get_config() == metric.get_config()


def test_registered_names() -> None:
    class Plain(metrics.Metric):
        pass

    assert utils.get_registered_name(Plain) == "Plain"
    assert utils.get_registered_object("Custom>Plain") is None
    utils.register_keras_serializable()(Plain)
    assert utils.get_registered_name(Plain) == "Custom>Plain"
    assert utils.get_registered_object("Custom>Plain") is Plain
    assert utils.get_custom_objects()["Custom>Plain"] is Plain
    utils.register_keras_serializable("here", "there")(spread)
    assert utils.get_registered_name(spread) == "here>there"
    assert utils.get_registered_object("there", {"there": 5}) == 5
    with utils.CustomObjectScope({"here>there": 7}):
        assert utils.get_registered_object("here>there") == 7
    with pytest.raises(ValueError, match="int has no get_config, expected a class that has"):
        utils.register_keras_serializable()(int)
    with pytest.raises(TypeError, match="3 has no get_config, expected an object that has, or a function"):
        metrics.serialize(3)


def test_a_name_in_a_file_never_means_another_class_of_fastnn() -> None:
    class Dense(layers.Layer):
        pass

    utils.register_keras_serializable()(Dense)
    described = layers.serialize(Dense(name="own"))
    assert type(layers.deserialize(described)) is Dense
    utils.get_custom_objects().clear()
    with pytest.raises(ValueError, match="layer's class_name is 'Custom>Dense', expected one of"):
        layers.deserialize(described)


def test_keras_s_names_for_saving(tmp_path: Path) -> None:
    @fastnn.saving.register_keras_serializable()
    def error(y_true: Any, y_pred: Any) -> Any:
        return abs(y_pred - y_true)

    model = Sequential([Input((3,)), Dense(1)])
    model.compile(loss="mse", metrics=[error])
    model.save(tmp_path / "m")
    assert fastnn.saving.load_model(tmp_path / "m").metrics_names == ["loss", "error"]
    model.compile(loss="mse", metrics=[lambda y_true, y_pred: abs(y_pred - y_true)])
    model.save(tmp_path / "m")
    with pytest.raises(ValueError, match="the metric's fn is '<lambda>', expected one of"):
        fastnn.load_model(tmp_path / "m")
    assert len(fastnn.load_model(tmp_path / "m", {"<lambda>": error}).metrics) == 1
