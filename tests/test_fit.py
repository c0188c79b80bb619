"""What `fit` does round its epochs: validation, callbacks, history, printing, warnings."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential, callbacks, losses, optimizers
from fastnn.layers import Dense, Input

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((50, 4)), RNG.integers(0, 3, 50)
W = RNG.uniform(0.5, 2, 50)


def make(**compiled: Any) -> Sequential:
    model = Sequential([Input((4,)), Dense(6, "tanh"), Dense(3, "softmax")], seed=4, dtype="float64")
    model.compile(**{"optimizer": "adam", "loss": "sparse_categorical_crossentropy", **compiled})
    return model


class Recorder(callbacks.Callback):
    """Writes down every hook that is called."""

    def __init__(self, name: str = "", calls: list[Any] | None = None) -> None:
        super().__init__()
        self.name, self.calls = name, [] if calls is None else calls

    def set_params(self, params: Any) -> None:
        super().set_params(params)
        self.calls.append((self.name, "params"))

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.calls.append((self.name, "model"))

    def on_train_begin(self, logs: Any = None) -> None:
        self.calls.append((self.name, "train begin"))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.calls.append((self.name, "epoch begin", epoch))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls.append((self.name, "epoch end", epoch, dict(logs)))

    def on_train_end(self, logs: Any = None) -> None:
        self.calls.append((self.name, "train end", dict(logs)))


# ---- callbacks -------------------------------------------------------------------------------------------------------


def test_callbacks_are_called_in_order() -> None:
    calls: list[Any] = []
    first, second = Recorder("first", calls), Recorder("second", calls)
    model = make(metrics=["accuracy"])
    history = model.fit(
        X, Y, batch_size=16, epochs=4, initial_epoch=2, verbose=0, validation_split=0.2, callbacks=[first, second]
    )
    logs = [{name: values[i] for name, values in history.history.items()} for i in range(2)]
    assert list(logs[0]) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert all(type(value) is float for value in logs[0].values())
    expected: list[Any] = [("params",), ("model",), ("train begin",)]
    for epoch in (2, 3):
        expected += [("epoch begin", epoch), ("epoch end", epoch, logs[epoch - 2])]
    expected.append(("train end", logs[1]))
    assert calls == [(name, *call) for call in expected for name in ("first", "second")]
    assert first.model is model
    assert first.params == {"epochs": 4, "steps": 3, "samples": 40, "verbose": 0}
    assert history.epoch == [2, 3]


def test_one_callback_needs_no_list() -> None:
    recorder = Recorder()
    make().fit(X, Y, verbose=0, callbacks=recorder)
    assert recorder.calls[-1][:2] == ("", "train end")


def test_stop_training_ends_after_the_epoch() -> None:
    class Stops(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                self.model.stop_training = True

    model, twin, recorder = make(), make(), Recorder()
    history = model.fit(X, Y, epochs=5, verbose=0, callbacks=[Stops(), recorder])
    assert history.epoch == [0, 1]
    assert [call[1] for call in recorder.calls].count("train end") == 1
    twin.fit(X, Y, epochs=2, verbose=0)
    assert model.parameters.tobytes() == twin.parameters.tobytes()
    assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]  # a request of the past does not hold


def test_callbacks_may_change_the_model_between_epochs() -> None:
    class Halves(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.optimizer.learning_rate /= 2
            self.model.parameters *= 0.5

    model, twin = make(optimizer=optimizers.SGD(0.5)), make(optimizer=optimizers.SGD(0.5))
    model.fit(X, Y, epochs=3, verbose=0, callbacks=Halves())
    for rate in (0.5, 0.25, 0.125):
        assert twin.optimizer is not None
        twin.optimizer.learning_rate = rate
        twin.fit(X, Y, verbose=0)
        twin.parameters *= 0.5
    assert model.parameters.tobytes() == twin.parameters.tobytes()


def test_every_fit_returns_a_history_of_its_own() -> None:
    model = make()
    first = model.fit(X, Y, epochs=2, verbose=0)
    second = model.fit(X, Y, epochs=1, verbose=0)
    assert len(first.history["loss"]) == 2
    assert len(second.history["loss"]) == 1
    assert first.history["loss"][1] > second.history["loss"][0]


# ---- validation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.33])
def test_validation_split_is_the_end_before_shuffling(share: float) -> None:
    cut = int(50 * (1 - share))
    model, twin = make(metrics=["accuracy"]), make(metrics=["accuracy"])
    split = model.fit(X, Y, epochs=3, validation_split=share, sample_weight=W, verbose=0)
    given = twin.fit(
        X[:cut], Y[:cut], epochs=3, validation_data=(X[cut:], Y[cut:], W[cut:]), sample_weight=W[:cut], verbose=0
    )
    assert split.history == given.history
    assert model.parameters.tobytes() == twin.parameters.tobytes()
    assert model.evaluate(X[cut:], Y[cut:], sample_weight=W[cut:]) == [
        split.history["val_loss"][-1],
        split.history["val_accuracy"][-1],
    ]


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_validation_data_are_evaluated_after_each_epoch(weighted: bool, as_list: bool) -> None:
    class Evaluates(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            weights = W[30:] if weighted else None
            assert logs["val_loss"] == self.model.evaluate(X[30:], Y[30:], sample_weight=weights)
            seen.append(epoch)

    seen: list[int] = []
    data: Any = (X[30:], Y[30:], W[30:]) if weighted else (X[30:], Y[30:])
    make().fit(
        X[:30], Y[:30], epochs=3, verbose=0, callbacks=Evaluates(), validation_data=list(data) if as_list else data
    )
    assert seen == [0, 1, 2]


def test_validation_does_not_train() -> None:
    model, twin = make(), make()
    model.fit(X[:30], Y[:30], epochs=3, validation_data=(X[30:], Y[30:]), verbose=0)
    twin.fit(X[:30], Y[:30], epochs=3, verbose=0)
    assert model.parameters.tobytes() == twin.parameters.tobytes()


@pytest.mark.parametrize("split", [True, False])
def test_class_weights_are_for_training_alone(split: bool) -> None:
    model = make()
    how: dict[str, Any] = {"validation_split": 0.4} if split else {"validation_data": (X[30:], Y[30:])}
    x, y = (X, Y) if split else (X[:30], Y[:30])
    history = model.fit(x, y, class_weight={0: 5.0, 1: 0.1}, verbose=0, **how)
    assert history.history["val_loss"] == [model.evaluate(X[30:], Y[30:])]
    twin = make()
    twin.fit(X[:30], Y[:30], verbose=0)
    assert model.parameters.tobytes() != twin.parameters.tobytes()


def test_validation_data_may_be_of_any_kind() -> None:
    model = make()
    history = model.fit(X, Y, validation_data=(X[:7].tolist(), Y[:7, np.newaxis].tolist()), verbose=0)
    assert history.history["val_loss"] == [model.evaluate(X[:7], Y[:7])]


# ---- printing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verbose", "lines"), [(0, 0), (2, 3), (1, 3), (True, 3), (False, 0), (np.int64(2), 3), ("auto", None)]
)
def test_verbose(verbose: Any, lines: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    history = make(metrics=["accuracy"]).fit(X, Y, epochs=3, verbose=verbose)
    printed = capsys.readouterr()
    assert printed.err == ""
    if lines is None:  # lines of epochs that are too short to read are left out, the last is not
        assert 1 <= printed.out.count("\n") <= 3
    else:
        assert printed.out.count("\n") == lines
    if verbose:
        last = printed.out.splitlines()[-1]
        assert "Epoch 3/3" in last
        assert f"loss: {history.history['loss'][-1]:.4f}" in last
        assert f"accuracy: {history.history['accuracy'][-1]:.4f}" in last


# ---- losses that are not finite --------------------------------------------------------------------------------------


def diverging(**how: Any) -> Sequential:
    model = Sequential([Input((1,)), Dense(1, kernel_initializer="zeros")], dtype="float32")
    model.compile(optimizer=optimizers.SGD(1e15), loss="mse")
    return model


def test_a_loss_that_turns_infinite_warns_once_with_epoch_and_step() -> None:
    x, y = np.ones((6, 1)), np.ones((6, 1))
    model = diverging()
    # Errors 1, 2e15, 8e30 and squares of 1, 4e30 and infinity: the third step of the first epoch.
    with pytest.warns(RuntimeWarning, match=r"the loss turned (inf|nan) in epoch 1, step 3") as caught:
        history = model.fit(x, y, batch_size=1, epochs=3, shuffle=False, verbose=0)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # it points to the call of fit
    assert history.epoch == [0, 1, 2]
    assert not np.isfinite(history.history["loss"]).any()
    # The next training is another, and warns again, also after the parameters were put right.
    model.parameters = [0.0, 0.0]
    with pytest.warns(RuntimeWarning, match=r"the loss turned (inf|nan) in epoch 1, step 3") as caught:
        model.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    assert len(caught) == 1


def test_a_later_epoch_is_named() -> None:
    model = diverging()
    with pytest.warns(RuntimeWarning, match=r"the loss turned (inf|nan) in epoch 8, step 1$") as caught:
        model.fit(np.ones(2), np.ones(2), batch_size=1, epochs=9, initial_epoch=6, shuffle=False, verbose=0)
    assert len(caught) == 1


def test_nan_in_x_is_allowed_and_warns() -> None:
    x = X.copy()
    x[13, 2] = np.nan
    model = make()
    with pytest.warns(RuntimeWarning, match="the loss turned nan in epoch 1, step 2"):
        history = model.fit(x, Y, batch_size=10, shuffle=False, verbose=0)
    assert np.isnan(history.history["loss"]).all()
    assert np.isnan(model.parameters).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(make().evaluate(x, Y))
        assert np.isnan(make().train_on_batch(x, Y))


def test_a_finite_loss_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make(loss=losses.SparseCategoricalCrossentropy()).fit(1e3 * X, Y, epochs=3, verbose=0)


def test_means_of_batches_last_until_they_are_reset() -> None:
    model, twin = (make(metrics=["accuracy", lambda y, p: p[:, 0]]) for _ in range(2))
    history = twin.fit(X[:32], Y[:32], batch_size=16, shuffle=False, verbose=0).history
    first = model.train_on_batch(X[:16], Y[:16])
    both = model.train_on_batch(X[16:32], Y[16:32], return_dict=True)
    assert both != pytest.approx(dict(zip(both, first, strict=True)))
    assert list(both.values()) == pytest.approx([values[0] for values in history.values()], rel=1e-12)
    assert model.get_metrics_result() == both
    model.reset_metrics()
    model.test_on_batch(X[:16], Y[:16])
    assert model.test_on_batch(X[16:], Y[16:]) == pytest.approx(model.evaluate(X, Y), rel=1e-12)


def test_how_keras_runs_steps_is_of_no_effect() -> None:
    model, twin = make(), make()
    model.compile("sgd", model.loss, run_eagerly=True, steps_per_execution=8, jit_compile=True, auto_scale_loss=False)
    twin.compile("sgd", twin.loss)
    model.fit(X, Y, verbose=0)
    twin.fit(X, Y, verbose=0)
    assert model.parameters.tobytes() == twin.parameters.tobytes()
