"""Data that never end: batches from a generator, early stopping, the weights of the best epoch from a file.

A script for Keras 3 but for its first import: with ``import keras`` there it runs in Keras.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import fastnn as keras

seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
keras.utils.set_random_seed(seed)


def spirals(rng, size):
    """Points of three arms of a spiral, and the arm of each."""
    arm = rng.integers(0, 3, size)
    radius = rng.uniform(0.1, 1.0, size)
    angle = 5.0 * radius + 2 * np.pi / 3 * arm + 0.4 * rng.standard_normal(size)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points.astype("float32"), keras.utils.to_categorical(arm, num_classes=3)


def batches(size):
    """Without end."""
    rng = np.random.default_rng(seed)
    while True:
        yield spirals(rng, size)


x_val, y_val = spirals(np.random.default_rng(1000), 2_000)
x_test, y_test = spirals(np.random.default_rng(1001), 4_000)

model = keras.Sequential(
    [
        keras.Input(shape=(2,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(3, activation="softmax"),
    ]
)
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
with tempfile.TemporaryDirectory() as folder:
    path = str(Path(folder) / "epoch.weights.h5")
    history = model.fit(
        batches(64),
        steps_per_epoch=100,
        epochs=60,
        verbose=2,
        validation_data=(x_val, y_val),
        callbacks=[
            keras.callbacks.EarlyStopping(monitor="val_loss", min_delta=1e-3, patience=4),
            keras.callbacks.ModelCheckpoint(path, save_best_only=True, save_weights_only=True),
            keras.callbacks.CSVLogger(str(Path(folder) / "log.csv")),
        ],
    )
    model.load_weights(path)

loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
assert loss < history.history["loss"][0]
print({"loss": round(loss, 4), "accuracy": round(accuracy, 4)})
