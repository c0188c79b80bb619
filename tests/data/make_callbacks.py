"""Make callbacks.npz: when Keras 3's callbacks stop a training and lower its rate, for the tests, which need no Keras.

``KERAS_BACKEND=jax python tests/data/make_callbacks.py``, with keras and jax installed.

Each is told of the same made-up losses, epoch by epoch, until it stops; the expressions make it in Keras and in fastnn.
"""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np

STOPPING = [
    "EarlyStopping()",
    "EarlyStopping(patience=1)",
    "EarlyStopping(patience=3, min_delta=0.053)",
    "EarlyStopping(patience=2, mode='max', restore_best_weights=True)",
    "EarlyStopping(patience=2, baseline=0.6, restore_best_weights=True)",
    "EarlyStopping(patience=2, baseline=0.1)",
    "EarlyStopping(patience=2, start_from_epoch=4, restore_best_weights=True)",
]
LOWERING = [
    "ReduceLROnPlateau(patience=0)",
    "ReduceLROnPlateau(patience=2, factor=0.5)",
    "ReduceLROnPlateau(patience=1, factor=0.5, cooldown=2)",
    "ReduceLROnPlateau(patience=1, factor=0.5, min_delta=0.203)",
    "ReduceLROnPlateau(patience=1, factor=0.25, min_lr=0.125)",
    "ReduceLROnPlateau(patience=1, factor=0.5, mode='max')",
]


def run(code: str, losses: np.ndarray) -> list[float]:
    """The epoch that it stops after, if it does, and that of the weights at the end; or the rate of each epoch."""
    rates: list[float] = []
    model = SimpleNamespace(stop_training=False, metrics=[], optimizer=SimpleNamespace(learning_rate=1.0), epoch=-1)
    model.get_weights = lambda: model.epoch
    model.set_weights = lambda epoch: setattr(model, "epoch", epoch)
    callback = eval(code, vars(keras.callbacks))
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, loss in enumerate(losses):
        model.epoch = epoch
        callback.on_epoch_end(epoch, {"val_loss": float(loss)})
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callback.on_train_end()
    return rates if "Reduce" in code else [len(rates), model.epoch]


def main() -> None:
    rng = np.random.default_rng(0)
    losses = (np.linspace(1, 0.2, 15) + 0.3 * rng.standard_normal((40, 15))).round(2)
    found = {"losses": losses} | {
        code: np.array([run(code, sequence) for sequence in losses]) for code in STOPPING + LOWERING
    }
    np.savez_compressed(Path(__file__).with_name("callbacks.npz"), **found)


if __name__ == "__main__":
    main()
