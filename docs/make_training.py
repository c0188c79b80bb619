"""Make the picture of docs/training.md: ``python docs/make_training.py``."""

from pathlib import Path

from fastnn import Sequential, datasets, layers

x, y = datasets.load_digits()
stack = [layers.Dense(64, "relu"), layers.Dense(32, "tanh"), layers.Dense(10, "softmax")]
model = Sequential([layers.Input((64,)), *stack], seed=0)
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x / 16, y, epochs=10, verbose=0)
model.plot(x / 16, y, Path(__file__).parent / "images" / "training_layers.png")
