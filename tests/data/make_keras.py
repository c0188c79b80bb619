"""Make keras.npz: what Keras 3's optimizers and schedules compute, for the tests, which need no Keras.

``KERAS_BACKEND=jax JAX_ENABLE_X64=1 python tests/data/make_keras.py``, with keras and jax installed.

Optimizers are written as the expressions that make them, in Keras and in fastnn.  Each takes ten steps with the same
random gradients, in float32 and in float64; the parameters are kept after steps 1, 2, 5 and 10, and at the end of the
average of parameters, if there is one.  The learning rate is one that float32 holds exactly: Keras keeps it in float32.
Schedules are kept in float64, at `STEPS`.
"""

from pathlib import Path

import keras
import numpy as np

RULES = {
    "SGD": "",
    "SGD, momentum": "SGD(momentum=0.9)",
    "SGD, Nesterov": "SGD(momentum=0.9, nesterov=True)",
    "Adagrad": "",
    "RMSprop": "",
    "RMSprop, momentum": "RMSprop(momentum=0.8, rho=0.95)",
    "RMSprop, centered": "RMSprop(centered=True)",
    "RMSprop, both": "RMSprop(centered=True, momentum=0.8)",
    "Adadelta": "",
    "Adam": "",
    "AMSGrad": "Adam(amsgrad=True, beta_2=0.5)",
    "AdamW": "",
    "Adamax": "",
    "Nadam": "",
    "Lion": "",
}
OPTIONS = [
    "",
    "weight_decay=0.05",
    "clipnorm=0.75",
    "clipvalue=0.5",
    "global_clipnorm=1.25",
    "use_ema=True, ema_momentum=0.75",
    "use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=3",
    "gradient_accumulation_steps=3",
    "gradient_accumulation_steps=2, clipnorm=0.5, weight_decay=0.05, use_ema=True, ema_momentum=0.5, "
    "ema_overwrite_frequency=2",
    "learning_rate=schedules.PiecewiseConstantDecay([1, 4], [0.03125, 0.0078125, 0.0009765625])",
]
SCHEDULES = [
    "ExponentialDecay(0.1, 1000, 0.9)",
    "ExponentialDecay(0.1, 1000, 0.9, staircase=True)",
    "InverseTimeDecay(0.1, 300, 0.5)",
    "InverseTimeDecay(0.1, 300, 0.5, staircase=True)",
    "PiecewiseConstantDecay([100, 110, 5000], [1.0, 0.5, 0.25, 0.01])",
    "PolynomialDecay(0.1, 7000)",
    "PolynomialDecay(0.1, 700, 0.01, power=0.5, cycle=True)",
    "PolynomialDecay(0.01, 700, 0.1, power=2.0)",
    "CosineDecay(0.1, 7000)",
    "CosineDecay(0.1, 7000, alpha=0.1)",
    "CosineDecay(0.01, 7000, alpha=0.1, warmup_target=0.1, warmup_steps=1000)",
    "CosineDecay(0.0, 3000, warmup_target=0.5, warmup_steps=10)",
    "CosineDecayRestarts(0.1, 300)",
    "CosineDecayRestarts(0.1, 300, t_mul=1.0, m_mul=0.9)",
    "CosineDecayRestarts(0.1, 100, t_mul=1.5, m_mul=0.9, alpha=0.05)",
]
STEPS = np.unique([0, *range(1, 30), *np.arange(0, 10001, 50), *(np.arange(0, 10001, 100) + 1), *range(17, 10001, 97)])
SHAPES = [(3,), (2, 2)]
KEPT = (1, 2, 5, 10)


def expression(name: str, options: str) -> str:
    start = (RULES[name] or f"{name}()").removesuffix(")")
    rate = "" if "learning_rate" in options else "learning_rate=0.0078125"
    return start + ("" if start.endswith("(") else ", ") + ", ".join(filter(None, [rate, options])) + ")"


def split(flat: np.ndarray) -> list[np.ndarray]:
    return [part.reshape(shape) for part, shape in zip(np.split(flat, [3]), SHAPES, strict=True)]


def train(optimizer: keras.optimizers.Optimizer, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    variables = [keras.Variable(part, dtype=start.dtype.name) for part in split(start)]

    def flat() -> np.ndarray:
        return np.concatenate([np.asarray(v.value).ravel() for v in variables])

    rows = []
    for step, gradient in enumerate(gradients, 1):
        parts = [keras.ops.convert_to_tensor(g, dtype=start.dtype.name) for g in split(gradient)]
        optimizer.apply(parts, variables)
        if step in KEPT:
            rows.append(flat())
    optimizer.finalize_variable_values(variables)
    return np.array([*rows, flat()])


def main() -> None:
    rng = np.random.default_rng(0)
    start = rng.uniform(0.75, 2, 7) * [1, -1, 1, -1, -1, 1, 1]
    gradients = rng.standard_normal((10, 7)).astype(np.float32).astype(np.float64)
    start = start.astype(np.float32).astype(np.float64)
    found = {"start": start, "gradients": gradients, "steps": STEPS, "schedules": SCHEDULES}
    found["optimizers"] = codes = [expression(name, options) for name in RULES for options in OPTIONS]
    for dtype in ("float32", "float64"):
        found[dtype] = np.array(
            [train(eval(code, vars(keras.optimizers)), start.astype(dtype), gradients.astype(dtype)) for code in codes]
        )
    keras.config.set_floatx("float64")  # a schedule computes in the dtype of its numbers
    made = [eval(code, vars(keras.optimizers.schedules)) for code in SCHEDULES]
    found["rates"] = np.array([[float(schedule(step)) for step in STEPS] for schedule in made])
    np.savez_compressed(Path(__file__).with_name("keras.npz"), **found)


if __name__ == "__main__":
    main()
