"""Make losses.npz: losses and gradients by Keras 3 and by PyTorch, which the tests compare with.

    KERAS_BACKEND=jax python tests/data/make_losses.py

needs keras, jax and torch (made with 3.15, 0.10 and 2.13).  Everything is float64.  Of each case there are the targets
``y``, predictions ``p`` and weights ``w``, the losses of the samples, and for each reduction cost and gradient.
"""

from pathlib import Path

import jax
import keras
import numpy as np
import torch

K = keras.losses
REDUCTIONS = ("sum_over_batch_size", "sum", "mean_with_sample_weight")

# name, class, options, targets, predictions, classes or outputs
CASES = [
    ("MeanSquaredError", {}, "real", "real"),
    ("MeanAbsoluteError", {}, "real", "real"),
    ("MeanAbsolutePercentageError", {}, "real", "real"),
    ("MeanSquaredLogarithmicError", {}, "positive", "positive"),
    ("Huber", {}, "real", "real"),
    ("Huber", {"delta": 0.3}, "real", "real"),
    ("LogCosh", {}, "real", "real"),
    ("Poisson", {}, "positive", "positive"),
    ("CosineSimilarity", {}, "real", "real"),
    ("CosineSimilarity", {"axis": 1}, "real 3-D", "real 3-D"),
    ("KLDivergence", {}, "distribution", "distribution"),
    ("Hinge", {}, "signs", "real"),
    ("Hinge", {}, "binary", "real"),
    ("SquaredHinge", {}, "signs", "real"),
    ("CategoricalHinge", {}, "one-hot", "real"),
    ("BinaryCrossentropy", {}, "binary", "probability"),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, "binary", "probability"),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "binary", "real"),
    ("BinaryCrossentropy", {"from_logits": True, "axis": 1}, "binary 3-D", "real 3-D"),
    ("BinaryFocalCrossentropy", {}, "binary", "probability"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.4, "gamma": 1.5}, "binary", "probability"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "binary", "real"),
    ("CategoricalCrossentropy", {}, "one-hot", "distribution"),
    ("CategoricalCrossentropy", {}, "distribution", "probability"),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "one-hot", "real"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one-hot 3-D", "real 3-D"),
    ("CategoricalFocalCrossentropy", {}, "one-hot", "distribution"),
    ("CategoricalFocalCrossentropy", {"alpha": [0.1, 0.5, 0.4], "gamma": 3.0}, "one-hot", "probability"),
    ("CategoricalFocalCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "one-hot", "real"),
    ("SparseCategoricalCrossentropy", {}, "labels", "distribution"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels", "real"),
    ("SparseCategoricalCrossentropy", {"from_logits": True, "ignore_class": 1}, "labels", "real"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels 3-D", "real 3-D"),
]
F = torch.nn.functional
TORCH = [
    ("MeanSquaredError", {}, "real", "real", F.mse_loss),
    ("MeanAbsoluteError", {}, "real", "real", F.l1_loss),
    ("Huber", {"delta": 0.3}, "real", "real", lambda p, y: F.huber_loss(p, y, delta=0.3)),
    ("Poisson", {}, "positive", "positive", lambda p, y: F.poisson_nll_loss(p, y, log_input=False, eps=1e-7)),
    ("BinaryCrossentropy", {}, "binary", "probability", F.binary_cross_entropy),
    ("BinaryCrossentropy", {"from_logits": True}, "soft", "real", F.binary_cross_entropy_with_logits),
    (
        "CategoricalCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        "distribution",
        "real",
        lambda p, y: F.cross_entropy(p, y, label_smoothing=0.1),
    ),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "labels", "real", F.cross_entropy),
    (
        "SparseCategoricalCrossentropy",
        {"from_logits": True, "ignore_class": 1},
        "labels",
        "real",
        lambda p, y: F.cross_entropy(p, y, ignore_index=1),
    ),
    ("CosineSimilarity", {}, "real", "real", lambda p, y: -F.cosine_similarity(p, y).mean()),
]


def numbers(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Seven samples of three outputs, or 7 x 4 of them."""
    kind, _, dimensions = kind.partition(" ")
    shape = (7, 4, 3) if dimensions else (7, 3)
    return {
        "real": lambda: 2 * rng.standard_normal(shape),
        "positive": lambda: rng.uniform(0.1, 4, shape),
        "probability": lambda: rng.uniform(0.05, 0.95, shape),
        "distribution": lambda: rng.dirichlet(np.ones(3), shape[:-1]),
        "binary": lambda: rng.integers(0, 2, shape).astype(float),
        "soft": lambda: rng.uniform(size=shape),
        "signs": lambda: 2.0 * rng.integers(0, 2, shape) - 1,
        "one-hot": lambda: np.eye(3)[rng.integers(0, 3, shape[:-1])],
        "labels": lambda: rng.integers(0, 3, shape[:-1]),
    }[kind]()


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    keras.config.set_floatx("float64")
    rng = np.random.default_rng(0)
    kept: dict[str, np.ndarray] = {}
    for name, options, y_kind, p_kind in CASES:
        y, p = numbers(y_kind, rng), numbers(p_kind, rng)
        key = f"keras {name} {options!r} {y_kind}, {p_kind}"
        losses = np.asarray(getattr(K, name)(**options, reduction=None)(y, p))
        w = rng.uniform(0.2, 2, losses.shape)
        kept |= {f"{key}|{k}": v for k, v in (("y", y), ("p", p), ("w", w), ("losses", losses))}
        for reduction in REDUCTIONS:
            for weighted in (False, True):
                loss = getattr(K, name)(**options, reduction=reduction)
                given = (w,) if weighted else ()

                def cost(q: jax.Array, loss=loss, y=y, given=given) -> jax.Array:
                    return loss(y, q, *given)

                value, gradient = jax.value_and_grad(cost)(jax.numpy.asarray(p))
                kept[f"{key}|{reduction} {weighted}"] = np.asarray(value)
                kept[f"{key}|{reduction} {weighted} gradient"] = np.asarray(gradient)
    for name, options, y_kind, p_kind, function in TORCH:
        y, p = numbers(y_kind, rng), numbers(p_kind, rng)
        key = f"torch {name} {options!r} {y_kind}, {p_kind}"
        q = torch.tensor(p, requires_grad=True)
        value = function(q, torch.tensor(y))
        value.backward()
        kept |= {f"{key}|y": y, f"{key}|p": p}
        kept[f"{key}|sum_over_batch_size False"] = value.detach().numpy()
        kept[f"{key}|sum_over_batch_size False gradient"] = q.grad.numpy()
    np.savez_compressed(Path(__file__).with_name("losses.npz"), **kept)


if __name__ == "__main__":
    main()
