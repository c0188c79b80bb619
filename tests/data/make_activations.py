"""Make activations.npz: activations and gradients by Keras 3 and by PyTorch, which the tests compare with.

    KERAS_BACKEND=jax python tests/data/make_activations.py

needs keras, jax and torch (made with 3.15, 0.10 and 2.13).  ``x`` and ``upstream`` are (7, 9), none near a kink.  Of
each case there are the values, and the gradient with respect to x of sum(upstream f(x)), in float32 and in float64
(Keras's tanh is always float32).  A key is ``library dtype name options``.
"""

from pathlib import Path

import jax
import keras
import numpy as np
import torch

CASES: list[tuple[str, dict[str, float | bool | None]]] = [
    ("linear", {}),
    ("relu", {}),
    ("relu", {"negative_slope": 0.05}),
    ("relu", {"max_value": 2.5}),
    ("relu", {"max_value": 6.0}),
    ("relu", {"threshold": 0.5}),
    ("relu", {"negative_slope": 0.25, "max_value": 2.5}),
    ("relu", {"negative_slope": 0.25, "threshold": 0.5}),
    ("relu", {"negative_slope": 0.25, "max_value": 2.5, "threshold": 0.5}),
    ("relu", {"max_value": 0.25, "threshold": 0.5}),
    ("relu", {"negative_slope": 0.25, "max_value": 0.0}),
    ("sigmoid", {}),
    ("tanh", {}),
    ("softmax", {}),
    ("softmax", {"axis": 0}),
    ("softmax", {"axis": (0, 1)}),
    ("log_softmax", {}),
    ("log_softmax", {"axis": 0}),
    ("leaky_relu", {}),
    ("leaky_relu", {"negative_slope": 0.05}),
    ("relu6", {}),
    ("elu", {}),
    ("elu", {"alpha": 0.3}),
    ("selu", {}),
    ("celu", {}),
    ("celu", {"alpha": 0.3}),
    ("softplus", {}),
    ("softsign", {}),
    ("exponential", {}),
    ("log_sigmoid", {}),
    ("hard_sigmoid", {}),
    ("hard_tanh", {}),
    ("soft_shrink", {}),
    ("soft_shrink", {"threshold": 0.2}),
    ("hard_shrink", {}),
    ("hard_shrink", {"threshold": 0.2}),
    ("sparse_plus", {}),
    ("sparse_sigmoid", {}),
    ("squareplus", {}),
    ("squareplus", {"b": 0.5}),
    ("silu", {}),
    ("gelu", {}),
    ("gelu", {"approximate": True}),
    ("mish", {}),
    ("hard_silu", {}),
    ("tanh_shrink", {}),
]
F = torch.nn.functional
TORCH = {
    "softmax {}": lambda x: F.softmax(x, -1),
    "log_softmax {}": lambda x: F.log_softmax(x, -1),
    "leaky_relu {'negative_slope': 0.05}": lambda x: F.leaky_relu(x, 0.05),
    "elu {'alpha': 0.3}": lambda x: F.elu(x, 0.3),
    "celu {'alpha': 0.3}": lambda x: F.celu(x, 0.3),
    "soft_shrink {'threshold': 0.2}": lambda x: F.softshrink(x, 0.2),
    "hard_shrink {'threshold': 0.2}": lambda x: F.hardshrink(x, 0.2),
    "gelu {}": F.gelu,
    "gelu {'approximate': True}": lambda x: F.gelu(x, approximate="tanh"),
    "hard_silu {}": F.hardswish,
    "hard_sigmoid {}": F.hardsigmoid,
    "hard_tanh {}": F.hardtanh,
    "log_sigmoid {}": F.logsigmoid,
    "tanh_shrink {}": F.tanhshrink,
    "sigmoid {}": torch.sigmoid,
    "tanh {}": torch.tanh,
    **{f"{name} {{}}": getattr(F, name) for name in ("relu", "relu6", "selu", "softplus", "softsign", "silu", "mish")},
}
KINKS = np.array([0, 0.2, 0.25, 0.5, 1, 2.5, 3, 6])


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    x = 3 * rng.standard_normal((7, 9))
    x[0] *= 10
    x[np.abs(np.abs(x[..., np.newaxis]) - KINKS).min(axis=-1) < 0.01] = 0.77
    # What float32 holds exactly, so that both dtypes are given the same numbers.
    x, upstream = (v.astype(np.float32).astype(np.float64) for v in (x, rng.standard_normal(x.shape)))
    kept = {"x": x, "upstream": upstream}
    for dtype in ("float32", "float64"):
        keras.config.set_floatx(dtype)
        for name, options in CASES:
            given, d = jax.numpy.asarray(x, dtype), jax.numpy.asarray(upstream, dtype)
            value, pullback = jax.vjp(lambda z: getattr(keras.activations, name)(z, **options), given)  # noqa: B023
            key = f"keras {dtype} {name} {options!r}"
            kept |= {
                f"{key}|value": np.asarray(value),
                f"{key}|gradient": np.asarray(pullback(d.astype(value.dtype))[0]),
            }
        for case, function in TORCH.items():
            z = torch.tensor(x, dtype=getattr(torch, dtype), requires_grad=True)
            result = function(z)
            result.backward(torch.tensor(upstream, dtype=z.dtype))
            key = f"torch {dtype} {case}"
            kept |= {f"{key}|value": result.detach().numpy(), f"{key}|gradient": z.grad.numpy()}
    np.savez_compressed(Path(__file__).with_name("activations.npz"), **kept)


if __name__ == "__main__":
    main()
