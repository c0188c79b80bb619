"""Rare positives: class weights, precision and recall, early stopping, a checkpoint of the best epoch.

A script for Keras 3 but for its first import: with ``import keras`` there it runs in Keras.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fastnn as keras

keras.utils.set_random_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)

# Transactions, of which one in thirty is a fraud.
features, targets = make_classification(
    n_samples=12_000, n_features=20, n_informative=8, n_clusters_per_class=3, weights=[0.967], flip_y=0.005,
    class_sep=1.2, random_state=1,
)  # fmt: skip
x_train, x_test, y_train, y_test = train_test_split(
    features.astype("float32"),
    targets.reshape(-1, 1).astype("float32"),
    test_size=0.25,
    stratify=targets,
    random_state=0,
)
scaler = StandardScaler().fit(x_train)
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)

positives = np.sum(y_train)
class_weight = {0: 1.0 / (len(y_train) - positives), 1: 1.0 / positives}
class_weight = {label: weight * len(y_train) / 2 for label, weight in class_weight.items()}

model = keras.Sequential(
    [
        keras.Input(shape=(20,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.3),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
model.summary()
model.compile(
    optimizer=keras.optimizers.Adam(1e-2),
    loss="binary_crossentropy",
    metrics=[
        keras.metrics.FalseNegatives(name="fn"),
        keras.metrics.FalsePositives(name="fp"),
        keras.metrics.Precision(name="precision"),
        keras.metrics.Recall(name="recall"),
        keras.metrics.AUC(name="auc"),
    ],
)
with tempfile.TemporaryDirectory() as folder:
    best = str(Path(folder) / "best.keras")
    callbacks = [
        keras.callbacks.ModelCheckpoint(best, monitor="val_auc", mode="max", save_best_only=True),
        keras.callbacks.EarlyStopping(monitor="val_auc", mode="max", patience=10, restore_best_weights=True),
    ]
    model.fit(
        x_train,
        y_train,
        batch_size=256,
        epochs=40,
        verbose=2,
        callbacks=callbacks,
        validation_data=(x_test, y_test),
        class_weight=class_weight,
    )
    restored = keras.models.load_model(best)

result = restored.evaluate(x_test, y_test, verbose=0, return_dict=True)
assert np.allclose(restored.predict(x_test, verbose=0), model.predict(x_test, verbose=0), atol=1e-5)
print({name: round(result[name], 4) for name in ("loss", "recall", "auc")})
