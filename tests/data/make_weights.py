"""Make weights.npz, keras.weights.h5 and torch.safetensors: networks of Keras and PyTorch, for the tests, which need
neither.

``KERAS_BACKEND=jax python tests/data/make_weights.py``, with keras, jax, h5py, torch and safetensors installed.

weights.npz has inputs, and what the networks make of them.  Both have eleven layers of one kind, so that the tenth
comes before the second in the order of the alphabet.
"""

from pathlib import Path

import keras
import numpy as np
import safetensors.torch
import torch


def main() -> None:
    here = Path(__file__).parent
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 3)).astype(np.float32)

    network = keras.Sequential(
        [
            keras.layers.Input((3,)),
            keras.layers.Normalization(),
            *[keras.layers.Dense(4, activation="tanh") for _ in range(11)],
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.BatchNormalization(scale=False),
            keras.layers.LayerNormalization(center=False),
            keras.layers.Dense(2, use_bias=False),
        ]
    )
    network.layers[0].adapt(rng.normal(2, 3, size=(50, 3)))
    for layer in network.layers[1:]:
        for weight in layer.weights:
            if weight.dtype == "float32":  # the others are of the dropout's random numbers
                weight.assign(rng.uniform(0.5, 1.5, size=weight.shape))
    network.save_weights(here / "keras.weights.h5")

    torch.manual_seed(0)
    linear = [part for _ in range(11) for part in (torch.nn.Linear(3, 3), torch.nn.Tanh())]
    module = torch.nn.Sequential(*linear, torch.nn.Linear(3, 2))
    safetensors.torch.save_file(module.state_dict(), here / "torch.safetensors")

    with torch.no_grad():
        found = {"x": x, "keras": np.asarray(network(x)), "torch": module(torch.tensor(x)).numpy()}
    np.savez_compressed(here / "weights.npz", **found)


if __name__ == "__main__":
    main()
