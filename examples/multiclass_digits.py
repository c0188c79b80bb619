"""Ten classes: batch normalization, dropout, a learning rate that goes down, accuracy and top-3 accuracy.

A script for Keras 3 but for its first import: with ``import keras`` there it runs in Keras.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastnn as keras

keras.utils.set_random_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)

images, labels = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=0.3, stratify=labels, random_state=0)

model = keras.Sequential()
model.add(keras.Input(shape=(64,)))
model.add(keras.layers.Rescaling(1.0 / 16))
model.add(keras.layers.Dense(128, use_bias=False))
model.add(keras.layers.BatchNormalization())
model.add(keras.layers.Activation("relu"))
model.add(keras.layers.Dropout(0.2))
model.add(keras.layers.Dense(64, activation="gelu", kernel_regularizer=keras.regularizers.L2(1e-4)))
model.add(keras.layers.Dense(10, activation="softmax"))
model.compile(
    optimizer=keras.optimizers.Adam(learning_rate=3e-3),
    loss=keras.losses.SparseCategoricalCrossentropy(),
    metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=3, name="top_3")],
)
history = model.fit(
    x_train,
    y_train,
    batch_size=64,
    epochs=30,
    validation_split=0.15,
    verbose=2,
    callbacks=[
        keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=3, min_lr=1e-4),
        keras.callbacks.TerminateOnNaN(),
    ],
)
assert {"loss", "accuracy", "top_3", "val_loss", "val_accuracy", "learning_rate"} <= set(history.history)

result = model.evaluate(x_test, y_test, batch_size=128, verbose=0, return_dict=True)
probabilities = model.predict(x_test, batch_size=128, verbose=0)
assert np.isclose(np.mean(np.argmax(probabilities, axis=-1) == y_test), result["accuracy"], atol=1e-5)
print({name: round(result[name], 4) for name in ("loss", "accuracy", "top_3")})
