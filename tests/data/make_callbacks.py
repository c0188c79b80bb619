"""Make callbacks.json: what Keras 3's callbacks do, for the tests, which need no Keras and hold fastnn's to it.

``KERAS_BACKEND=jax python tests/data/make_callbacks.py``, with keras and jax installed.

Every scenario is a function of the package, keras or fastnn, and returns what JSON can hold.  Some tell the callbacks
of made-up logs, some train a small model.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

STOPPING = [
    "EarlyStopping()",
    "EarlyStopping(patience=1)",
    "EarlyStopping(patience=3, min_delta=0.053)",
    "EarlyStopping(patience=3, min_delta=-0.053)",
    "EarlyStopping(patience=2, mode='max', restore_best_weights=True)",
    "EarlyStopping(patience=2, mode='max', min_delta=0.1, baseline=0.9)",
    "EarlyStopping(patience=2, baseline=0.6, restore_best_weights=True)",
    "EarlyStopping(patience=2, baseline=0.1)",
    "EarlyStopping(patience=0, baseline=0.1, restore_best_weights=True)",
    "EarlyStopping(patience=2, start_from_epoch=4, restore_best_weights=True)",
    "EarlyStopping(patience=1, start_from_epoch=3, baseline=0.5)",
    "EarlyStopping(patience=20, restore_best_weights=True)",
]
LOWERING = [
    "ReduceLROnPlateau(patience=0)",
    "ReduceLROnPlateau(patience=2, factor=0.5)",
    "ReduceLROnPlateau(patience=1, factor=0.5, cooldown=1)",
    "ReduceLROnPlateau(patience=1, factor=0.5, cooldown=2)",
    "ReduceLROnPlateau(patience=3, factor=0.5, cooldown=3)",
    "ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.203)",
    "ReduceLROnPlateau(patience=1, factor=0.25, min_lr=0.125)",
    "ReduceLROnPlateau(patience=1, factor=0.5, mode='max')",
    "ReduceLROnPlateau(patience=1, factor=0.0)",
]
SAVING = [
    "ModelCheckpoint('{epoch:02d}-{val_loss:.2f}.keras')",
    "ModelCheckpoint('{epoch:02d}-{val_loss:.2f}.keras', save_best_only=True)",
    "ModelCheckpoint('best.keras', save_best_only=True, mode='max')",
    "ModelCheckpoint('{epoch}.keras', save_best_only=True, initial_value_threshold=0.7)",
    "ModelCheckpoint('{epoch}.keras', save_best_only=True, initial_value_threshold=0.7, mode='max')",
    "ModelCheckpoint('{epoch}-{loss:.1e}.weights.h5', save_weights_only=True, monitor='loss')",
    "ModelCheckpoint('{epoch}.keras', save_best_only=True, monitor='missing', mode='min')",
    "ModelCheckpoint('{epoch}-{batch}.keras', save_freq=1)",
    "ModelCheckpoint('{epoch}-{batch:03d}-{loss:.2f}.keras', save_freq=3)",
    "ModelCheckpoint('{epoch}-{batch}.keras', save_freq=4)",
    "ModelCheckpoint('{epoch}-{batch}.keras', save_freq=7)",
]


def series() -> np.ndarray:
    """Losses of 15 epochs; of the last rows some are not finite, or are missing: -1."""
    rng = np.random.default_rng(0)
    losses = (np.linspace(1, 0.2, 15) + 0.3 * rng.standard_normal((24, 15))).round(2)
    for row, value in ((20, np.nan), (21, np.inf), (22, -1.0), (23, -1.0)):
        losses[row, rng.integers(0, 15, 4)] = value
    return losses


class FakeModel(SimpleNamespace):
    """What callbacks ask of a model; its weights are the number of the epoch."""

    def __init__(self) -> None:
        super().__init__(stop_training=False, finished=True, metrics=[], metrics_names=["loss"], epoch=-1, saved=[])
        self.optimizer = SimpleNamespace(learning_rate=1.0)

    def get_weights(self) -> int:
        return int(self.epoch)

    def set_weights(self, epoch: int) -> None:
        self.epoch = epoch

    def save(self, filepath: str, overwrite: bool = True) -> None:
        self.saved.append([filepath, self.epoch])

    def save_weights(self, filepath: str, overwrite: bool = True) -> None:
        self.save(f"{filepath} weights")


def told(package: Any, code: str, losses: np.ndarray) -> FakeModel:
    """A model whose callback was told of losses, epoch by epoch, until it stopped."""
    model = FakeModel()
    model.rates, model.logs = [], []
    callback = eval(code, vars(package.callbacks))
    callback.set_model(model)
    callback.set_params({"epochs": len(losses), "steps": 5, "verbose": 0})
    callback.on_train_begin({})
    for epoch, loss in enumerate(losses):
        model.epoch = epoch
        callback.on_epoch_begin(epoch, {})
        for batch in range(5):
            callback.on_train_batch_end(batch, {"loss": float(loss) + 0.1 * batch})
        logs = {"loss": abs(float(loss))} | ({} if loss == -1 else {"val_loss": float(loss)})
        callback.on_epoch_end(epoch, logs)
        model.rates.append(float(model.optimizer.learning_rate))
        model.logs.append(sorted(logs))
        if model.stop_training:
            break
    callback.on_train_end({})
    return model


def stops(package: Any, code: str) -> list[Any]:
    """The epoch that it stops after, if it does, and that of the weights at the end."""
    return [[len(model.rates), model.epoch] for model in (told(package, code, losses) for losses in series())]


def lowers(package: Any, code: str) -> list[Any]:
    return [told(package, code, losses).rates for losses in series()]


def saves(package: Any, code: str) -> list[Any]:
    return [told(package, code, losses).saved for losses in series()[:8]]


def schedules(package: Any) -> dict[str, Any]:
    """Rates, and the names in the logs."""
    found = {}
    for code in (
        "LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch % 3 == 2 else rate)",
        "LearningRateScheduler(lambda epoch: 1 / (epoch + 1))",
    ):
        model = told(package, code, series()[0])
        found[code] = [model.rates, model.logs]
    return found


def terminates(package: Any) -> list[Any]:
    """After which batch training is to stop."""
    found: list[Any] = []
    for bad in (np.nan, np.inf, -np.inf):
        callback, model = package.callbacks.TerminateOnNaN(), FakeModel()
        callback.set_model(model)
        for batch, loss in enumerate([1.0, 1e30, bad, 1.0]):
            callback.on_train_batch_end(batch, {"loss": loss})
            found.append(model.stop_training)
            model.stop_training = False
    callback.on_train_batch_end(0, {})
    return [*found, model.stop_training]


def csv_files(package: Any) -> list[list[str]]:
    """The lines of files that several trainings wrote."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.csv")
        for i, options in enumerate([{}, {"append": True}, {"separator": ";"}, {"append": True, "separator": ";"}]):
            callback = package.callbacks.CSVLogger(path, **options)
            callback.set_model(FakeModel())
            callback.on_train_begin({})
            for epoch in range(3):
                logs = {"loss": 0.5 + epoch, "accuracy": 0.25 * i, "name": "a,b"}
                callback.on_epoch_end(epoch, logs | ({"val_loss": 2.0} if epoch == i else {}))
            callback.on_train_end({})
            found.append(Path(path).read_text(encoding="utf-8").splitlines())
    return found


# ---- with a model ----------------------------------------------------------------------------------------------------

RNG = np.random.default_rng(1)
X = RNG.standard_normal((24, 3)).astype(np.float32)
Y = (X @ [[1.0], [-2.0], [0.5]] + 0.1 * RNG.standard_normal((24, 1))).astype(np.float32)
HOOKS = [
    f"on_{what}{end}"
    for what in ("train_", "epoch_", "train_batch_", "test_", "test_batch_", "predict_", "predict_batch_")
    for end in ("begin", "end")
]


def make(package: Any, optimizer: Any = "sgd") -> Any:
    model = package.Sequential([package.Input((3,)), package.layers.Dense(1)])
    model.set_weights([np.array([[0.25], [0.5], [-0.125]], np.float32), np.zeros(1, np.float32)])
    model.compile(optimizer, "mse", metrics=["mae"])
    return model


def recorder(package: Any, acts: Callable[[Any, str, int | None], None] | None = None) -> Any:
    """A callback that writes down each hook, its index and the names in its logs, and may act then."""

    def write(hook: str) -> Any:
        def call(self: Any, *arguments: Any, logs: Any = None) -> None:
            index = arguments[0] if arguments and isinstance(arguments[0], int) else None
            given = logs if logs is not None else arguments[-1]
            self.calls.append([hook, index, sorted(given)])
            if acts is not None:
                acts(self.model, hook, index)

        return call

    kind = type("Recorder", (package.callbacks.Callback,), {hook: write(hook) for hook in HOOKS})
    result = kind()
    result.calls = []
    return result


def sets(attribute: str, hook: str, index: int | None) -> Callable[[Any, str, int | None], None]:
    """Sets a model's attribute at a hook."""

    def act(model: Any, now: str, at: int | None) -> None:
        if (now, at) == (hook, index):
            setattr(model, attribute, True)

    return act


FITS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (None, {"epochs": 2}),
    "validated": (None, {"epochs": 2, "validation_data": (X[:9], Y[:9])}),
    "validated sometimes": (None, {"epochs": 3, "validation_split": 0.25, "validation_freq": 2}),
    "later": (None, {"epochs": 4, "initial_epoch": 2}),
    "none": (None, {"epochs": 2, "initial_epoch": 2}),
    "some steps": (None, {"epochs": 2, "steps_per_epoch": 1, "validation_data": (X, Y), "validation_steps": 1}),
    "stop in a batch": (
        sets("stop_training", "on_train_batch_end", 1),
        {"epochs": 3, "validation_data": (X[:8], Y[:8])},
    ),
    "stop before a batch": (sets("stop_training", "on_train_batch_begin", 0), {"epochs": 3}),
    "stop before an epoch": (sets("stop_training", "on_epoch_begin", 1), {"epochs": 3}),
    "stop before training": (sets("stop_training", "on_train_begin", None), {"epochs": 3}),
    "stop after an epoch": (sets("stop_training", "on_epoch_end", 1), {"epochs": 3}),
    "stop in validation": (
        sets("stop_training", "on_test_batch_end", 0),
        {"epochs": 3, "validation_data": (X[:16], Y[:16])},
    ),
    "evaluate less in validation": (
        sets("stop_evaluating", "on_test_batch_end", 0),
        {"epochs": 1, "validation_data": (X[:16], Y[:16])},
    ),
}
CALLS = {
    "evaluate": None,
    "predict": None,
    "evaluate, stopped in a batch": sets("stop_evaluating", "on_test_batch_end", 0),
    "evaluate, stopped before": sets("stop_evaluating", "on_test_begin", None),
    "predict, stopped in a batch": sets("stop_predicting", "on_predict_batch_end", 0),
    "predict, stopped before": sets("stop_predicting", "on_predict_begin", None),
}


def hooks_of_fit(package: Any, name: str) -> list[Any]:
    """Those called, with their logs' names; parameters of the run, epochs, lengths of the histories, weights."""
    acts, options = FITS[name]
    callback, model = recorder(package, acts), make(package)
    history = model.fit(X, Y, 8, verbose=0, shuffle=False, **options, callbacks=[callback])
    params = {key: history.params[key] for key in ("epochs", "steps", "verbose")}
    lengths = {key: len(values) for key, values in sorted(history.history.items())}
    return [callback.calls, params, history.epoch, lengths, model.get_weights()[0].ravel().tolist()]


def hooks_of_call(package: Any, name: str) -> list[Any]:
    """Those called, with their logs' names, parameters of the run, and the result."""
    callback, model, what = recorder(package, CALLS[name]), make(package), name.partition(",")[0]
    given = (X, Y) if what == "evaluate" else (X,)
    result = getattr(model, what)(*given, batch_size=10, verbose=0, callbacks=[callback])
    params = {key: callback.params[key] for key in ("epochs", "steps", "verbose")}
    return [callback.calls, params, np.ravel(result).tolist()]


def diverges(package: Any) -> list[Any]:
    """TerminateOnNaN in a training: epochs, lengths of the histories, and the weights."""
    y = Y.copy()
    y[11] = 1e24  # whose square is no float32
    model = make(package, package.optimizers.SGD(0.01))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = model.fit(
            X, y, 4, epochs=5, shuffle=False, verbose=0, callbacks=[package.callbacks.TerminateOnNaN()],
            validation_data=(X[:4], Y[:4]),
        )  # fmt: skip
    lengths = {key: len(values) for key, values in sorted(history.history.items())}
    return [history.epoch, lengths, repr(history.history["loss"][0]), model.get_weights()[0].ravel().tolist()]


def averages(package: Any) -> dict[str, Any]:
    """The weights that callbacks behind SwapEMAWeights see."""
    found = {}
    for swap_on_epoch in (False, True):
        optimizer = package.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.75)
        model, seen = make(package, optimizer), []

        def look(*_: Any, model: Any = model, seen: list[Any] = seen) -> None:
            seen.append(model.get_weights()[0].ravel().tolist())

        looks = package.callbacks.LambdaCallback(
            on_epoch_begin=look, on_epoch_end=look, on_test_begin=look, on_test_end=look, on_train_end=look
        )
        swaps = package.callbacks.SwapEMAWeights(swap_on_epoch=swap_on_epoch)
        history = model.fit(
            X, Y, 8, epochs=3, verbose=0, shuffle=False, validation_data=(X, Y), callbacks=[swaps, looks]
        )
        look()
        found[str(swap_on_epoch)] = [seen, history.history["val_loss"]]
    return found


def scenarios() -> Iterator[tuple[str, Callable[[Any], Any]]]:
    for codes, function in ((STOPPING, stops), (LOWERING, lowers), (SAVING, saves)):
        for code in codes:
            yield code, lambda package, code=code, function=function: function(package, code)
    for names, function in ((FITS, hooks_of_fit), (CALLS, hooks_of_call)):
        for name in names:
            yield name, lambda package, name=name, function=function: function(package, name)
    for scenario in (schedules, terminates, csv_files, diverges, averages):
        yield scenario.__name__, scenario


def run(package: Any, scenario: Callable[[Any], Any]) -> Any:
    """What a scenario finds, without what the callbacks print and warn of."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        before = os.getcwd()
        os.chdir(folder)
        try:
            return scenario(package)
        finally:
            os.chdir(before)


def main() -> None:
    import keras

    found = {name: run(keras, scenario) for name, scenario in scenarios()}
    Path(__file__).with_name("callbacks.json").write_text(json.dumps(found, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
