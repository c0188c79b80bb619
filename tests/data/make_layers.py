"""Make layers.npz: what Keras 3's layers compute, for the tests, which need no Keras.

``KERAS_BACKEND=jax JAX_ENABLE_X64=1 python tests/data/make_layers.py``, with keras and jax installed (made with 3.15
and 0.10).

Layers are written as the expressions that make them, in Keras and in fastnn.  Each stands between two dense layers, in
float32 and in float64.  Of each there are the weights, and for three batches of different sizes, without a step between
them, outputs and gradients in training (that with respect to the layer's inputs goes into the first kernel's); then the
weights once more, whose moving averages have moved, and the outputs in inference.  Normalizations of data are kept by
the outputs, alone, for the data that they were adapted to.
"""

from pathlib import Path

import jax
import keras
import numpy as np

LAYERS = [
    "BatchNormalization()",
    "BatchNormalization(momentum=0.75, epsilon=0.125)",
    "BatchNormalization(center=False)",
    "BatchNormalization(scale=False)",
    "BatchNormalization(center=False, scale=False, momentum=0.0)",
    "BatchNormalization(momentum=1.0)",
    "LayerNormalization()",
    "LayerNormalization(epsilon=0.125)",
    "LayerNormalization(center=False)",
    "LayerNormalization(scale=False)",
    "LayerNormalization(center=False, scale=False)",
    "Rescaling(0.5)",
    "Rescaling(0.0078431372, offset=-1.0)",
    "Rescaling([1.0, -2.0, 0.5, 3.0, 0.25], [0.0, 1.0, -1.0, 2.0, 0.5])",
    "Normalization(mean=0.5, variance=4.0)",
    "Normalization(mean=[0.5, -1.0, 0.0, 2.0, 3.0], variance=[1.0, 4.0, 0.25, 2.0, 9.0])",
    "Normalization(mean=0.5, variance=4.0, invert=True)",
    "Activation('tanh')",
    "ReLU()",
    "ReLU(max_value=0.5)",
    "ReLU(negative_slope=0.25, threshold=0.125)",
    "ReLU(0.75, 0.25, 0.125)",
    "Softmax()",
    "Dropout(0.0)",
    "Dropout(1.0)",
    "Dropout(1.0, noise_shape=(None, 1))",
    "BatchNormalization(trainable=False)",
    "BatchNormalization(center=False, scale=False, trainable=False)",
    "LayerNormalization(trainable=False)",
    "Dense(5, 'tanh', kernel_initializer='ones', bias_initializer='ones', trainable=False)",
    "Dense(5, 'tanh', kernel_initializer='ones', kernel_regularizer='l2', trainable=False)",
]
ADAPTED = [
    "Normalization()",
    "Normalization(axis=None)",
    "Normalization(invert=True)",
    "Normalization(axis=None, invert=True)",
]
BATCHES = [slice(0, 7), slice(7, 11), slice(11, 24)]
N_IN, N, N_OUT = 4, 5, 3


def train(code: str, x: np.ndarray, y: np.ndarray, weights: list[np.ndarray]) -> dict[str, np.ndarray]:
    dtype = x.dtype.name
    keras.config.set_dtype_policy(dtype)
    layer = eval(code, vars(keras.layers))
    below, above = keras.layers.Dense(N, name="below"), keras.layers.Dense(N_OUT, name="above")
    model = keras.Sequential([keras.layers.Input((N_IN,), dtype=dtype), below, layer, above])
    below.set_weights(weights[:2])
    above.set_weights(weights[2:4])
    by_name = dict(zip(("gamma", "beta", "moving_mean", "moving_variance"), weights[4:], strict=True))
    layer.set_weights([by_name.get(w.name, np.asarray(w)) for w in layer.weights])

    def cost(trainable, fixed, x, y):
        outputs, fixed = model.stateless_call(trainable, fixed, x, training=True)
        return ((outputs - y) ** 2).mean(), (outputs, fixed)

    found: dict[str, np.ndarray] = {}
    trainable = [v.value for v in model.trainable_variables]
    fixed = [v.value for v in model.non_trainable_variables]
    for number, rows in enumerate(BATCHES):
        function = jax.value_and_grad(cost, has_aux=True)
        (_, (outputs, fixed)), gradients = function(trainable, fixed, x[rows], y[rows])
        found[f"outputs {number}"] = np.asarray(outputs)
        found[f"gradients {number}"] = np.concatenate([np.asarray(g).ravel() for g in gradients])
    for variable, value in zip(model.non_trainable_variables, fixed, strict=True):
        variable.assign(value)
    found["after"] = np.concatenate([np.zeros(0, x.dtype), *(w.ravel() for w in layer.get_weights())])
    found["inference"] = np.asarray(model(x, training=False))
    assert {v.dtype for v in found.values()} == {x.dtype}
    return found


def adapt(code: str, data: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    keras.config.set_dtype_policy(x.dtype.name)
    layer = eval(code, vars(keras.layers))
    layer.adapt(data)
    return {"inference": np.asarray(layer(x))}


def main() -> None:
    rng = np.random.default_rng(0)
    shapes = [(N_IN, N), (N,), (N, N_OUT), (N_OUT,), (N,), (N,), (N,)]
    weights = [rng.standard_normal(shape) for shape in shapes] + [rng.uniform(0.25, 2, N)]
    x, y = rng.standard_normal((24, N_IN)), rng.standard_normal((24, N_OUT))
    data = rng.standard_normal((50, N_IN)) * [1, 10, 0.1, 3] + [5, 0, -1, 100]
    data[:, 2] = 0.5  # constant: of variance 0
    kept = {"x": x, "y": y, "data": data, "layers": LAYERS, "adapted": ADAPTED}
    kept = {k: v.astype(np.float32).astype(np.float64) if isinstance(v, np.ndarray) else v for k, v in kept.items()}
    weights = [w.astype(np.float32).astype(np.float64) for w in weights]
    kept["weights"] = np.concatenate([w.ravel() for w in weights])
    for dtype in ("float32", "float64"):
        for code in LAYERS:
            found = train(code, kept["x"].astype(dtype), kept["y"].astype(dtype), [w.astype(dtype) for w in weights])
            kept |= {f"{code} {dtype} {k}": v for k, v in found.items()}
        for code in ADAPTED:
            found = adapt(code, kept["data"].astype(dtype), kept["x"].astype(dtype))
            kept |= {f"{code} {dtype} {k}": v for k, v in found.items()}
    np.savez_compressed(Path(__file__).with_name("layers.npz"), **kept)


if __name__ == "__main__":
    main()
