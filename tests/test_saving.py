"""Models in files, and copies of models."""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors as library
import safetensors.numpy as library_numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn
from fastnn import Sequential, activations, initializers, layers, losses, optimizers, regularizers, safetensors
from fastnn.models import saving
from fastnn.optimizers import schedules

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 3))
Y = (X.sum(axis=1) > 0).astype(float)


def make(optimizer: Any = "adam", dtype: str = "float32", seed: int = 3) -> Sequential:
    hidden = layers.Dense(8, "relu", kernel_initializer="he_normal", kernel_regularizer=regularizers.L2(1e-3))
    model = Sequential([layers.Input((3,)), hidden, layers.Dense(1, "sigmoid", use_bias=False)], seed=seed, dtype=dtype)
    model.compile(optimizer, losses.BinaryCrossentropy(label_smoothing=0.1), ["accuracy"])
    return model


def by_file(model: Sequential, folder: Path) -> Sequential:
    model.save(folder / "model.safetensors")
    return fastnn.load_model(folder / "model.safetensors")


COPIES: dict[str, Callable[[Sequential, Path], Sequential]] = {
    "file": by_file,
    "pickle": lambda model, _: pickle.loads(pickle.dumps(model)),
    "deepcopy": lambda model, _: copy.deepcopy(model),
    "copy": lambda model, _: copy.copy(model),
}
copied = pytest.mark.parametrize("by", COPIES.values(), ids=COPIES)

WARM = schedules.LinearWarmup(5, then=schedules.CosineDecay(0.1, decay_steps=100))
OPTIMIZERS: list[Callable[[], optimizers.Optimizer]] = [
    optimizers.SGD,
    lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, clipvalue=0.1),
    lambda: optimizers.Adam(WARM, amsgrad=True, clipnorm=0.3),
    lambda: optimizers.AdamW(schedules.PiecewiseConstantDecay([4, 8], [0.1, 0.02, 0.01]), use_ema=True),
    lambda: optimizers.Nadam(gradient_accumulation_steps=2, global_clipnorm=1.0),
    lambda: optimizers.RMSprop(momentum=0.5, centered=True),
    optimizers.Adagrad,
    optimizers.Adadelta,
    optimizers.Adamax,
    optimizers.Lion,
]


# ---- going on --------------------------------------------------------------------------------------------------------


@copied
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_to_the_same_bytes(
    by: Callable[[Sequential, Path], Sequential],
    dtype: str,
    optimizer: Callable[[], optimizers.Optimizer],
    tmp_path: Path,
) -> None:
    unstopped, stopped = make(optimizer(), dtype), make(optimizer(), dtype)
    kept: list[Sequential] = []

    class Keep(fastnn.callbacks.Callback):
        # At the end of an epoch, before the average of an optimizer that keeps one takes the parameters' place.
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                kept.append(by(self.model, tmp_path))

    history = unstopped.fit(X, Y, epochs=5, verbose=0, batch_size=16)
    stopped.fit(X, Y, epochs=2, verbose=0, batch_size=16, callbacks=Keep())
    model = kept[0]
    stopped.fit(X, Y, verbose=0)  # it is another model's by now
    resumed = model.fit(X, Y, epochs=5, initial_epoch=2, verbose=0, batch_size=16)
    assert model.parameters.tobytes() == unstopped.parameters.tobytes()
    assert {k: v[2:] for k, v in history.history.items()} == resumed.history
    assert model.epochs_trained == 5
    assert model.optimizer is not None
    assert unstopped.optimizer is not None
    assert model.optimizer.get_state().keys() == unstopped.optimizer.get_state().keys()
    assert model.optimizer.steps == unstopped.optimizer.steps


@copied
def test_everything_is_there(by: Callable[[Sequential, Path], Sequential], tmp_path: Path) -> None:
    model = make(optimizers.Adam(WARM))
    again = by(model, tmp_path)
    assert type(again) is Sequential
    assert again.get_config() == model.get_config()
    assert again.get_compile_config() == model.get_compile_config()
    assert again.parameters.tobytes() == model.parameters.tobytes()
    assert again.dtype == model.dtype
    assert [(layer.name, layer.index) for layer in again.layers] == [("dense", 0), ("dense_1", 1)]
    assert again.evaluate(X, Y) == model.evaluate(X, Y)
    again.parameters += 1
    again.layers[0].kernel[...] = 0
    assert again.parameters.tobytes() != model.parameters.tobytes()
    assert (again.parameters[:24] == 0).all()


@copied
def test_a_model_that_is_not_built(by: Callable[[Sequential, Path], Sequential], tmp_path: Path) -> None:
    model = Sequential([layers.Dense(2), layers.Dense(1)], seed=1)
    again = by(model, tmp_path)
    for one in (model, again):
        one.compile("sgd", "mse")
        one.fit(X, Y, verbose=0)
    assert again.parameters.tobytes() == model.parameters.tobytes()


@copied
def test_a_model_built_on_data_and_not_compiled(by: Callable[[Sequential, Path], Sequential], tmp_path: Path) -> None:
    model = Sequential([layers.Dense(2, name="a"), layers.Dense(1)], seed=1, name="mine", dtype="float64")
    model.predict(X)
    again = by(model, tmp_path)
    assert again.optimizer is None
    assert again.name == "mine"
    assert again.predict(X).tobytes() == model.predict(X).tobytes()
    with pytest.raises(ValueError, match=r"x has shape \(1, 4\), expected \(samples, 3\)"):
        again.predict(np.zeros((1, 4)))


class Scale(layers.Layer):
    def __init__(self, start: float, name: str | None = None) -> None:
        super().__init__(name)
        self.start = start

    def build(self, n_in: int) -> int:
        self.add_weight("factor", (n_in,), initializers.Constant(self.start))
        self.add_weight("seen", (1,), "zeros", trainable=False)
        return n_in

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        self.x = x
        if training:
            self.seen += len(x)
        return x * self.factor

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        self.factor_gradient[:] = (gradient * self.x).sum(axis=0)
        return gradient * self.factor

    def get_config(self) -> dict[str, Any]:
        return {"start": self.start} | super().get_config()


def make_deep(dtype: str = "float32") -> Sequential:
    """A model of all kinds of layers, and one of one's own."""
    scaler = layers.Normalization()
    scaler.adapt(3 * X)
    stack = [layers.Input((3, 1)), layers.Rescaling(3), layers.Flatten(), scaler, layers.Dense(8, use_bias=False)]
    stack += [layers.BatchNormalization(), layers.Activation("relu"), layers.Dropout(0.3), Scale(0.5)]
    stack += [layers.Dense(6, "tanh"), layers.LayerNormalization(), layers.Dropout(0.1, seed=3), layers.Dense(1)]
    model = Sequential(stack, seed=5, dtype=dtype)
    model.compile("adam", "mse")
    return model


@copied
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_layers_go_on_to_the_same_bytes(
    by: Callable[[Sequential, Path], Sequential], dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = fastnn.load_model
    monkeypatch.setattr(fastnn, "load_model", lambda path: load(path, custom_objects={"Scale": Scale}))
    unstopped, stopped = make_deep(dtype), make_deep(dtype)
    unstopped.fit(X, Y, epochs=5, verbose=0, batch_size=16)
    stopped.fit(X, Y, epochs=2, verbose=0, batch_size=16)
    model = by(stopped, tmp_path)
    stopped.fit(X, Y, verbose=0)
    model.fit(X, Y, epochs=5, initial_epoch=2, verbose=0, batch_size=16)
    for left, right in zip(model.weights, unstopped.weights, strict=True):
        assert left.tobytes() == right.tobytes()
    assert model.layers[7].weights[1] == 5 * 90
    assert model.predict(X).tobytes() == unstopped.predict(X).tobytes()
    assert model.get_config() == unstopped.get_config()


@copied
def test_activations(by: Callable[[Sequential, Path], Sequential], tmp_path: Path) -> None:
    all_of_them = [one for one in vars(activations).values() if isinstance(one, activations.Activation)]
    others = [one.with_parameters(**dict.fromkeys(one.parameters, 1)) for one in all_of_them]  # True is 1 as well
    stack = [layer for one in [*all_of_them, *others] for layer in (layers.Dense(3, one), layers.Activation(one))]
    stack += [layers.ReLU(6.0), layers.LeakyReLU(0.1), layers.ELU(0.5), layers.Softmax()]
    model = Sequential([layers.Input((3,)), *stack], seed=0)
    again = by(model, tmp_path)
    assert [type(layer) for layer in again.layers] == [type(layer) for layer in model.layers]
    assert [layer.activation for layer in again.layers] == [layer.activation for layer in model.layers]
    assert again.predict(X).tobytes() == model.predict(X).tobytes()


@copied
def test_data_that_a_layer_has_seen_before_the_model_is_built(
    by: Callable[[Sequential, Path], Sequential], tmp_path: Path
) -> None:
    scaler = layers.Normalization()
    scaler.adapt(X)
    again = by(Sequential([scaler, layers.Dense(2, kernel_initializer="ones")]), tmp_path)
    np.testing.assert_allclose(again.predict(X)[:, 0], ((X - X.mean(axis=0)) / X.std(axis=0)).sum(axis=1), 1e-4, 1e-5)


def test_a_copied_layer_is_a_new_one() -> None:
    model = make_deep()
    dense = copy.deepcopy(model.layers[3])
    assert (dense.index, dense.n_in, dense.n_out) == (None, None, None)
    assert not hasattr(dense, "kernel")
    other = Sequential([layers.Input((2,)), dense])
    assert other.layers[0].weights[0].shape == (2, 8)
    assert model.layers[3].weights[0].shape == (3, 8)
    assert pickle.loads(pickle.dumps(model.layers[3])).get_config() == dense.get_config()


def test_a_learning_rate_that_was_set(tmp_path: Path) -> None:
    model = make()
    model.fit(X, Y, verbose=0)
    assert model.optimizer is not None
    model.optimizer.learning_rate = 0.02
    again = by_file(model, tmp_path)
    assert again.optimizer is not None
    assert again.optimizer.learning_rate == 0.02


@pytest.mark.parametrize("make_loss", [vars(losses)[name] for name in losses.__all__ if name[0].isupper()])
def test_losses_and_copies(make_loss: type[losses.Loss]) -> None:
    if make_loss is losses.Loss:
        return
    loss = make_loss(reduction="sum", dtype="float64")
    y_true, y_pred = np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([[0.4, 0.6], [0.5, 0.5]])
    targets = y_true.argmax(axis=1) if loss.sparse else y_true
    value, gradient = loss.value_and_gradient(targets, y_pred)
    for again in (
        pickle.loads(pickle.dumps(loss)),
        copy.deepcopy(loss),
        losses.deserialize(json.loads(json.dumps(losses.serialize(loss)))),
    ):
        assert again.get_config() == loss.get_config()
        assert again.value_and_gradient(targets, y_pred)[0] == value
        assert (again.value_and_gradient(targets, y_pred)[1] == gradient).all()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_and_copies(optimizer: Callable[[], optimizers.Optimizer]) -> None:
    one, w = optimizer(), np.linspace(-1, 1, 7)
    one.apply(np.cos(w), w)
    for again in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        v, u = w.copy(), w.copy()
        again.apply(np.sin(v), v)
        copy.deepcopy(one).apply(np.sin(u), u)
        assert v.tobytes() == u.tobytes() != w.tobytes()
        assert all(state.ctypes.data % 64 == 0 for state in again.variables)
    described = optimizers.deserialize(json.loads(json.dumps(optimizers.serialize(one))))
    assert described.get_config() == one.get_config()
    assert described.steps == 0


def test_initializers_and_regularizers_by_description() -> None:
    one = initializers.VarianceScaling(2.0, "fan_out", "uniform", seed=3)
    again = initializers.get(json.loads(json.dumps(initializers.serialize(one))))
    assert again.get_config() == one.get_config()
    assert (again((3, 4)) == one((3, 4))).all()
    penalty = regularizers.get(json.loads(json.dumps(regularizers.serialize(regularizers.L1L2(0.1, 0.2)))))
    assert isinstance(penalty, regularizers.L1L2)
    assert (penalty.l1, penalty.l2) == (0.1, 0.2)
    for get, kind in ((initializers.get, "initializer"), (regularizers.get, "regularizer"), (losses.get, "loss")):
        with pytest.raises(ValueError, match=f"{kind}'s class_name is 'X', expected one of '"):
            get({"class_name": "X", "config": {}})
        with pytest.raises(ValueError, match=f"{kind} is .*, expected a dict with 'class_name' and 'config'"):
            get({"class_name": "X"})


# ---- the file --------------------------------------------------------------------------------------------------------


def test_a_file_that_must_not_be_replaced(tmp_path: Path) -> None:
    model, path = make(), tmp_path / "m"
    for save in (model.save, model.save_weights):
        path.write_bytes(b"old")
        with pytest.raises(FileExistsError, match=r"the file is there already, expected overwrite=True: '.*m'"):
            save(path, overwrite=False)
        assert path.read_bytes() == b"old"
        path.unlink()
        save(path, overwrite=False)
        save(path)


def test_a_model_that_is_not_compiled_again(tmp_path: Path) -> None:
    model = make_custom()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m")
    known = {"Diagonal": Diagonal}  # neither the loss nor the schedule
    again = fastnn.load_model(tmp_path / "m", known, compile=False)
    assert (again.optimizer, again.loss) == (None, None)
    assert again.predict(X).tobytes() == model.predict(X).tobytes()


def test_the_library_reads_it(tmp_path: Path) -> None:
    model = make()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m")
    arrays = library_numpy.load_file(tmp_path / "m")
    assert model.optimizer is not None
    own = {"dense.kernel": model.layers[0].kernel, "dense.bias": model.layers[0].bias}
    own |= {"dense_1.kernel": model.layers[1].kernel}
    own |= {f"optimizer.{name}": value for name, value in model.optimizer.get_state().items()}
    assert arrays.keys() == own.keys()
    for name, value in own.items():
        assert value is not None
        assert arrays[name].tobytes() == value.tobytes()
        assert arrays[name].shape == value.shape
    with library.safe_open(tmp_path / "m", "np") as file:
        description = json.loads(file.metadata()["model"])
    assert description["config"]["layers"][1]["config"]["units"] == 8


def test_a_file_that_the_library_wrote_anew(tmp_path: Path) -> None:
    make().save(tmp_path / "m")
    with library.safe_open(tmp_path / "m", "np") as file:
        metadata = file.metadata()
    library_numpy.save_file(library_numpy.load_file(tmp_path / "m"), tmp_path / "n", metadata)
    assert fastnn.load_model(tmp_path / "n").parameters.tobytes() == make().parameters.tobytes()


def test_save_needs_numpy_alone(tmp_path: Path) -> None:
    script = """
import sys
before = set(sys.modules)
import fastnn
model = fastnn.Sequential([fastnn.layers.Input((2,)), fastnn.layers.Dense(1)])
model.save(sys.argv[1])
fastnn.load_model(sys.argv[1])
loaded = [name for name in set(sys.modules) - before if getattr(sys.modules[name], "__file__", None)]
print(*sorted({name.partition(".")[0] for name in loaded} - sys.stdlib_module_names))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "m")], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["fastnn", "numpy"]


def test_two_layers_of_which_one_is_named_like_the_optimizer(tmp_path: Path) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2, name="optimizer"), layers.Dense(1)], seed=0)
    model.compile("adam", "mse")
    model.fit(X, Y, verbose=0)
    again = by_file(model, tmp_path)
    assert again.parameters.tobytes() == model.parameters.tobytes()
    again.load_weights(tmp_path / "model.safetensors")


# ---- classes of one's own --------------------------------------------------------------------------------------------


class Cubic(losses.Loss):
    def __init__(self, factor: float = 1.0, name: str | None = None, reduction: str | None = "mean") -> None:
        super().__init__(name, reduction)
        self.factor = factor

    def value_and_gradient(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: np.ndarray | None = None
    ) -> tuple[float | np.ndarray, np.ndarray]:
        e = y_pred - y_true
        return self.reduce((self.factor * abs(e) ** 3).mean(axis=-1), self.factor * 3 * e * abs(e), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor} | super().get_config()


class Halving(schedules.LearningRateSchedule):
    def __init__(self, start: float, every: int) -> None:
        self.start, self.every = start, every

    def rate(self, step: float) -> float:
        return float(self.start * 0.5 ** (step // self.every))


class Diagonal(initializers.Initializer):
    def draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.eye(*shape)


CUSTOM: dict[str, type] = {"Cubic": Cubic, "Halving": Halving, "Diagonal": Diagonal}


def make_custom() -> Sequential:
    hidden = layers.Dense(4, "tanh", kernel_initializer=Diagonal())
    model = Sequential([layers.Input((3,)), hidden, layers.Dense(1)], seed=5)
    model.compile(optimizers.SGD(schedules.LinearWarmup(2, Halving(0.1, 3))), Cubic(2.0))
    return model


@copied
def test_own_classes(
    by: Callable[[Sequential, Path], Sequential], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_custom()
    model.fit(X, Y, verbose=0)
    load = fastnn.load_model
    monkeypatch.setattr(fastnn, "load_model", lambda path: load(path, custom_objects=CUSTOM))
    again = by(model, tmp_path)
    model.fit(X, Y, verbose=0)
    again.fit(X, Y, verbose=0)
    assert again.parameters.tobytes() == model.parameters.tobytes()
    assert again.get_compile_config() == model.get_compile_config()


@pytest.mark.parametrize("missing", CUSTOM)
def test_own_classes_that_are_not_given(tmp_path: Path, missing: str) -> None:
    make_custom().save(tmp_path / "own")
    with pytest.raises(ValueError, match=f"own' holds no model that can be made: .*give custom_objects={{'{missing}'"):
        fastnn.load_model(tmp_path / "own", {name: kind for name, kind in CUSTOM.items() if name != missing})
    with pytest.raises(ValueError, match=f"own' .*custom_objects\\['{missing}'\\] is .*, expected a subclass of"):
        fastnn.load_model(tmp_path / "own", CUSTOM | {missing: Path})
    with pytest.raises(TypeError, match="custom_objects is 3, expected a dict"):
        fastnn.load_model(tmp_path / "own", 3)  # type: ignore[arg-type]


def test_a_function_cannot_be_saved(tmp_path: Path) -> None:
    model = make(optimizers.SGD(lambda step: 0.1))
    (tmp_path / "m").write_bytes(b"old")
    with pytest.raises(
        TypeError, match=r"model\.compile\.optimizer\.learning_rate is <function .*, which a file cannot"
    ):
        model.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == b"old"
    model.save_weights(tmp_path / "m")

    nested = make(optimizers.SGD(schedules.LinearWarmup(3, lambda step: 0.1)))
    with pytest.raises(TypeError, match=r"model\.compile\.optimizer\.learning_rate\.then is <function"):
        nested.save(tmp_path / "m")


def test_what_json_does_not_know_is_made_plain(tmp_path: Path) -> None:
    model = make_custom()
    model.compile("sgd", Cubic(np.float32(0.5)))  # type: ignore[arg-type]
    model.save(tmp_path / "m")
    assert fastnn.load_model(tmp_path / "m", CUSTOM).get_compile_config()["loss"]["config"]["factor"] == 0.5  # type: ignore[index]
    model.compile("sgd", Cubic(float("inf")))
    with pytest.raises(TypeError, match=r"model\.compile\.loss\.factor is inf, which a file cannot hold"):
        model.save(tmp_path / "m")


# ---- weights alone ---------------------------------------------------------------------------------------------------


def test_weights_alone(tmp_path: Path) -> None:
    model, other = make(), make(seed=4)
    model.fit(X, Y, verbose=0)
    model.save_weights(tmp_path / "w")
    model.save(tmp_path / "m")
    assert library_numpy.load_file(tmp_path / "w").keys() == {"dense.kernel", "dense.bias", "dense_1.kernel"}
    for source in (tmp_path / "w", str(tmp_path / "m"), model._named_weights()):
        other.parameters = np.zeros(other.count_params())
        other.load_weights(source)
        assert other.parameters.tobytes() == model.parameters.tobytes()
    assert other.epochs_trained == 0
    with pytest.raises(ValueError, match=r"w' holds no fastnn model, expected what Sequential\.save wrote"):
        fastnn.load_model(tmp_path / "w")
    twice = Sequential([layers.Input((3,)), layers.Dense(8), layers.Dense(1, use_bias=False)], dtype="float64")
    twice.load_weights(tmp_path / "w")
    assert (twice.parameters == model.parameters).all()


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ([layers.Dense(8), layers.Dense(1)], "dense_1.bias is not there, expected dense.kernel, dense.bias"),
        ([layers.Dense(8)], "dense_1.kernel is unknown, expected dense.kernel, dense.bias"),
        ([layers.Dense(7), layers.Dense(1, use_bias=False)], r"dense.kernel has shape \(3, 8\), expected \(3, 7\)"),
        ([layers.Dense(8, name="a"), layers.Dense(1, use_bias=False)], "a.bias, a.kernel is not there"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, stack: list[layers.Layer], message: str) -> None:
    make().save_weights(tmp_path / "w")
    model = Sequential([layers.Input((3,)), *map(copy.deepcopy, stack)])
    before = model.parameters.copy()
    with pytest.raises(ValueError, match=f"w' does not fit this model: {message}"):
        model.load_weights(tmp_path / "w")
    assert (model.parameters == before).all()


def test_weights_for_a_model_that_is_not_built(tmp_path: Path) -> None:
    model = Sequential([layers.Dense(1)])
    for call in (model.save_weights, model.load_weights):
        with pytest.raises(ValueError, match="the model is not built"):
            call(tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


# ---- files that are no models ----------------------------------------------------------------------------------------


def test_a_file_of_others(tmp_path: Path) -> None:
    library_numpy.save_file({"dense.kernel": np.zeros((3, 1))}, tmp_path / "foreign")
    with pytest.raises(ValueError, match="foreign' holds no fastnn model"):
        fastnn.load_model(tmp_path / "foreign")
    (tmp_path / "text").write_text("kernel,bias\n1,2\n")
    with pytest.raises(ValueError, match="text' is damaged or no safetensors file"):
        fastnn.load_model(tmp_path / "text")
    with pytest.raises(FileNotFoundError, match="nothing"):
        fastnn.load_model(tmp_path / "nothing")


def test_a_file_of_a_newer_fastnn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "FORMAT", 2)
    make().save(tmp_path / "new")
    monkeypatch.undo()
    message = rf"new' has the format 2 of fastnn {re.escape(fastnn.__version__)}, expected 1: a newer fastnn reads it"
    for read in (fastnn.load_model, make().load_weights):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "new")


def change(path: Path, change: Callable[[dict[str, Any]], Any], arrays: Any = None) -> None:
    """Write another description into a model's file, as someone would who knows the format."""
    old, metadata = saving._read(path)
    description = json.loads(metadata["model"])
    change(description)
    saving._write(path, old if arrays is None else arrays(old), description)


def layer(description: dict[str, Any], index: int) -> dict[str, Any]:
    result: dict[str, Any] = description["config"]["layers"][index]["config"]
    return result


HARMFUL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "more units than weights": lambda d: layer(d, 1).update(units=10**11),
    "more inputs than weights": lambda d: (layer(d, 0).update(shape=[10**11]), d.update(n_in=10**11)),
    "other inputs than weights": lambda d: d.update(n_in=4),
    "more inputs than anybody has": lambda d: d["config"].update(
        layers=[
            {"class_name": "Input", "config": {"shape": [10**11]}},
            {"class_name": "Dropout", "config": {"rate": 0.5}},
        ]
    ),
    "inputs that are none": lambda d: d.update(n_in="3"),
    "a layer without weights": lambda d: layer(d, 1).update(name="other"),
    "no such class": lambda d: d["config"]["layers"][1].update(class_name="system"),
    "a class that is no layer": lambda d: d["config"]["layers"][1].update(class_name="SGD"),
    "no such argument": lambda d: layer(d, 1).update(command="rm"),
    "a wrong type": lambda d: layer(d, 1).update(units="8"),
    "no layers": lambda d: d["config"].pop("layers"),
    "no config": lambda d: d.pop("config"),
    "layers that are none": lambda d: d["config"].update(layers=3),
    "a layer that is none": lambda d: d["config"].update(layers=[3]),
    "a config that is none": lambda d: d["config"].update(layers=[{"class_name": "Dense", "config": 3}]),
    "another dtype": lambda d: d["config"].update(dtype="float16"),
    "another optimizer": lambda d: d["compile"]["optimizer"].update(class_name="SGD"),
    "an optimizer of another state": lambda d: d["compile"]["optimizer"]["config"].update(amsgrad=True),
    "a loss that does not fit": lambda d: d["compile"].update(loss={"class_name": "Huber", "config": {"delta": -1}}),
    "epochs below 0": lambda d: d.update(epochs_trained=-1),
    "a list": lambda d: d.update(config=[]),
}


@pytest.mark.parametrize("harm", HARMFUL.values(), ids=HARMFUL)
def test_a_description_that_does_not_fit(tmp_path: Path, harm: Callable[[dict[str, Any]], Any]) -> None:
    model = make()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m")
    change(tmp_path / "m", lambda d: None)
    assert fastnn.load_model(tmp_path / "m").parameters.tobytes() == model.parameters.tobytes()
    change(tmp_path / "m", harm)
    with pytest.raises(ValueError, match="m' holds no model that can be made: "):
        fastnn.load_model(tmp_path / "m")


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just(10**30)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["config", "name", "x"]), inner),
    max_leaves=4,
)


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_other_description(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "any.model"
    model = make_deep()
    model.compile(optimizers.Adam(WARM), losses.Huber())
    model.fit(X, Y, verbose=0, batch_size=90)
    model.save(path)

    def replace_one(description: dict[str, Any]) -> None:
        node: Any = description
        while True:
            key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
            if not isinstance(node[key], (dict, list)) or not node[key] or data.draw(st.integers(0, 9)) == 0:
                node[key] = data.draw(JSON)
                return
            node = node[key]

    change(path, replace_one)
    try:
        fastnn.load_model(path, {"Scale": Scale})
    except ValueError as error:
        assert "any.model' holds no model that can be made: " in str(error)  # noqa: PT017 - there may be none


def test_a_description_that_is_no_json(tmp_path: Path) -> None:
    for text in ("{", "[" * 100_000, "3", "null", '"text"'):
        metadata = {"fastnn": "0", "fastnn_format": "1", "model": text}
        safetensors.write(tmp_path / "m", {}, metadata | {"crc32": safetensors.checksum({}, metadata)})
        with pytest.raises(ValueError, match="m' holds no model that can be made: "):
            fastnn.load_model(tmp_path / "m")


def test_a_state_of_other_parameters(tmp_path: Path) -> None:
    model = make()
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m")
    change(
        tmp_path / "m",
        lambda d: None,
        lambda a: {n: v[:5] if ".momentum" in n or ".vel" in n else v for n, v in a.items()},
    )
    with pytest.raises(ValueError, match="m' holds no model that can be made: variables are"):
        fastnn.load_model(tmp_path / "m")


@given(st.data())
def test_damage_is_seen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.model"
    if not (path.parent / "whole.model").exists():
        model = make()
        model.fit(X, Y, verbose=0)
        model.save(path.parent / "whole.model")
    whole = (path.parent / "whole.model").read_bytes()
    content = bytearray(whole)
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.model"):
        fastnn.load_model(path)


# ---- at work ---------------------------------------------------------------------------------------------------------


def test_a_model_is_saved_between_steps_only(tmp_path: Path) -> None:
    model = make()

    class Save(fastnn.callbacks.Callback):
        def on_progress(self, step: int) -> None:
            self.model.save(tmp_path / "m")

    with pytest.raises(RuntimeError, match="the model is at work"):
        model.fit(
            np.tile(X, (30_000, 1)), np.tile(Y, 30_000), batch_size=1, verbose=0, callbacks=Save()
        )  # a long epoch
    assert list(tmp_path.iterdir()) == []


@copied
def test_a_copy_while_another_thread_trains(by: Callable[[Sequential, Path], Sequential], tmp_path: Path) -> None:
    # What is copied is of one moment: the steps of the optimizer are those that made the parameters.
    model, enough = make(optimizers.SGD(0.01)), threading.Event()
    trained = threading.Event()
    after = {0: model.parameters.tobytes()}

    class Note(fastnn.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            after[self.model.optimizer.steps] = self.model.parameters.tobytes()
            self.model.stop_training = enough.is_set()
            trained.set()

    thread = threading.Thread(target=lambda: model.fit(X, Y, epochs=10**6, verbose=0, callbacks=Note()))
    thread.start()
    try:
        seen = []
        for _ in range(20):
            trained.clear()
            assert trained.wait(60)  # so that no two copies are of the same epoch
            seen.append(by(model, tmp_path))
    finally:
        enough.set()
        thread.join()
    steps = set()
    for one in seen:
        assert one.optimizer is not None
        assert after[one.optimizer.steps] == one.parameters.tobytes()
        steps.add(one.optimizer.steps)
    assert len(steps) == 20


# Saves models of constant weights, one after the other, until it is killed.
SAVES = """
import os, signal, sys, time
import numpy as np
import fastnn
from fastnn import layers

path, kills = sys.argv[1], int(sys.argv[2])
model = fastnn.Sequential([layers.Input((40,)), layers.Dense(200), layers.Dense(3)], seed=0)
model.compile("adam", "mse")
model.fit(np.zeros((4, 40)), np.zeros((4, 3)), verbose=0)
model.parameters = np.zeros(model.count_params())
model.save(path)
seen = set()
for kill in range(kills):
    last = int(fastnn.load_model(path).parameters[0])
    child = os.fork()
    if child == 0:
        while True:
            last += 1
            model.parameters = np.full(model.count_params(), last)
            model.save(path)
    time.sleep(0.0005 + 0.02 * (kill * 0.618 % 1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    loaded = fastnn.load_model(path)
    values = set(loaded.parameters.tolist())
    assert len(values) == 1, values
    assert loaded.optimizer.steps == 1
    seen |= values
left = [name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tmp")]
print(len(seen), len(left))
"""


def test_kill_while_saving(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAVES, str(tmp_path / "m"), os.environ.get("FASTNN_TEST_KILLS", "20")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    saved, left = map(int, done.stdout.split())
    assert saved > 1  # it was killed after some saves
    assert left > 0  # and within some
