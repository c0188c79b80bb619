"""Several numbers at once: where the hand of an arm with two joints is, by two outputs of one network.

A script for Keras 3 but for its first import: with ``import keras`` there it runs in Keras.
"""

import sys

import numpy as np

import fastnn as keras

keras.utils.set_random_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)

rng = np.random.default_rng(0)
angles = rng.uniform(-np.pi, np.pi, (8_000, 2))
first, both = angles[:, 0], angles.sum(axis=1)
position = np.stack([np.cos(first) + 0.7 * np.cos(both), np.sin(first) + 0.7 * np.sin(both)], axis=1)
x_train, x_test = np.split(angles.astype("float32"), [6_000])
y_train, y_test = np.split(position.astype("float32"), [6_000])

model = keras.Sequential(
    [
        keras.Input(shape=(2,)),
        keras.layers.Dense(96, activation="tanh", kernel_initializer="he_normal"),
        keras.layers.Dense(96, activation="tanh"),
        keras.layers.Dense(2),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=3e-3),
    loss="mean_squared_error",
    metrics=[
        keras.metrics.RootMeanSquaredError(name="rmse"),
        keras.metrics.MeanAbsoluteError(name="mae"),
        keras.metrics.R2Score(class_aggregation="variance_weighted_average"),
    ],
)


def schedule(epoch, lr):
    """Level, then falling."""
    return lr if epoch < 20 else lr * 0.9


model.fit(
    x_train,
    y_train,
    batch_size=64,
    epochs=50,
    verbose=2,
    validation_data=(x_test, y_test),
    validation_freq=5,
    callbacks=[keras.callbacks.LearningRateScheduler(schedule)],
)

result = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
errors = np.linalg.norm(model.predict(x_test, verbose=0) - y_test, axis=1)
print(
    {
        "rmse": round(result["rmse"], 4),
        "r2_score": round(float(result["r2_score"]), 4),
        "distance": round(float(errors.mean()), 4),
    }
)
