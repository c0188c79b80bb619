"""A number from features of different scales: a Normalization layer that adapts to them, Huber loss, MAE and R².

A script for Keras 3 but for its first import: with ``import keras`` there it runs in Keras.
"""

import sys

import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.model_selection import train_test_split

import fastnn as keras

keras.utils.set_random_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)

features, targets = make_friedman1(n_samples=6_000, n_features=10, noise=1.0, random_state=0)
features = features * 10.0 ** np.arange(-3, 7) + 5.0  # a sensor for each, with units of its own
x_train, x_test, y_train, y_test = train_test_split(features, targets, test_size=0.25, random_state=0)

normalizer = keras.layers.Normalization(axis=-1)
normalizer.adapt(x_train)


def build_and_compile_model(norm):
    """Behind the normalization."""
    model = keras.Sequential(
        [
            norm,
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    model.compile(
        loss=keras.losses.Huber(delta=2.0),
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, 36 * 60)),
        metrics=["mae", keras.metrics.R2Score()],
    )
    return model


model = build_and_compile_model(normalizer)
model.fit(x_train, y_train, batch_size=100, validation_split=0.2, verbose=2, epochs=60)

result = model.evaluate(x_test, y_test.reshape(-1, 1), verbose=0, return_dict=True)
print({name: round(float(result[name]), 4) for name in ("loss", "mae", "r2_score")})
