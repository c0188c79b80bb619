"""Make metrics.npz: what Keras 3's metrics say, for the tests, which need no Keras.

``KERAS_BACKEND=jax python tests/data/make_metrics.py``, with keras and jax installed.

Metrics are written as the expressions that make them, in Keras and in fastnn.  Each gets the same targets and outputs
in three parts, without weights and with some; outputs are float32, as Keras's sums are.  A quarter of the outputs lie
on thresholds, and some tie.
"""

from pathlib import Path

import keras
import numpy as np

CASES = {
    "binary": [
        "BinaryAccuracy()",
        "BinaryAccuracy(threshold=0.25)",
        "Accuracy()",
        "Precision()",
        "Precision(thresholds=0.3)",
        "Precision(thresholds=[0.75, 0.25, 0.5])",
        "Recall()",
        "Recall(thresholds=[0.0, 0.25, 0.5, 0.75, 1.0])",
        "TruePositives()",
        "TruePositives(thresholds=[0.0, 0.5, 1.0])",
        "FalsePositives()",
        "TrueNegatives(thresholds=[0.1, 0.9])",
        "FalseNegatives()",
        "AUC()",
        "AUC(num_thresholds=11)",
        "AUC(num_thresholds=2)",
        "AUC(curve='PR')",
        "AUC(curve='PR', num_thresholds=7)",
        "AUC(curve='PR', summation_method='minoring')",
        "AUC(summation_method='majoring')",
        "AUC(summation_method='minoring')",
        "AUC(thresholds=[0.3, 0.1, 0.8])",
        "AUC(from_logits=True)",
        "F1Score(threshold=0.5)",
        "BinaryCrossentropy()",
        "BinaryCrossentropy(label_smoothing=0.1)",
        "Hinge()",
        "SquaredHinge()",
    ],
    "labels": [
        "SparseCategoricalAccuracy()",
        "SparseTopKCategoricalAccuracy(k=2)",
        "SparseTopKCategoricalAccuracy(k=3)",
        "SparseCategoricalCrossentropy()",
    ],
    "one-hot": [
        "CategoricalAccuracy()",
        "TopKCategoricalAccuracy(k=2)",
        "BinaryAccuracy()",
        "Precision(top_k=2)",
        "Recall(top_k=2)",
        "Precision(class_id=1)",
        "Recall(class_id=3, thresholds=[0.1, 0.4])",
        "Precision(top_k=2, class_id=0)",
        "AUC(multi_label=True)",
        "AUC(multi_label=True, curve='PR', num_labels=4)",
        "AUC(multi_label=True, label_weights=[1.0, 2.0, 0.0, 0.5])",
        "AUC(label_weights=[1.0, 2.0, 0.0, 0.5])",
        "F1Score()",
        "F1Score(average='micro')",
        "F1Score(average='macro')",
        "F1Score(average='weighted', threshold=0.3)",
        "FBetaScore(beta=2.0, threshold=0.25)",
        "CategoricalCrossentropy()",
        "CategoricalHinge()",
        "KLDivergence()",
    ],
    "numbers": [
        "MeanSquaredError()",
        "MeanAbsoluteError()",
        "RootMeanSquaredError()",
        "MeanAbsolutePercentageError()",
        "MeanSquaredLogarithmicError()",
        "LogCoshError()",
        "Poisson()",
        "CosineSimilarity()",
        "R2Score()",
        "R2Score(class_aggregation=None)",
        "R2Score(class_aggregation='variance_weighted_average')",
        "R2Score(num_regressors=5)",
    ],
}
PARTS = [slice(0, 1), slice(1, 40), slice(40, 64)]


def data() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(1)
    binary = rng.random((64, 1)).astype(np.float32)
    binary[::4] = (rng.integers(0, 21, (16, 1)) / 20).astype(np.float32)
    scores = rng.random((64, 4)).astype(np.float32) ** 2
    scores[::4] = np.round(scores[::4] * 8) / 8 + np.float32(0.125)
    scores /= scores.sum(axis=1, keepdims=True)
    labels = rng.integers(0, 4, 64)
    numbers = rng.gamma(2, 1, (64, 3)).astype(np.float32)
    positive = (rng.random((64, 1)) < 0.3 + 0.4 * binary).astype(np.float32)
    return {
        "binary": (positive, binary),
        "labels": (labels, scores),
        "one-hot": (np.eye(4, dtype=np.float32)[labels], scores),
        "numbers": (numbers, (numbers + rng.normal(0, 0.3, (64, 3)).astype(np.float32)).clip(0.01)),
    }


def main() -> None:
    rng = np.random.default_rng(2)
    weights = rng.uniform(0, 2, 64).astype(np.float32)
    found: dict[str, np.ndarray] = {"weights": weights}
    for kind, (y, p) in data().items():
        found |= {f"{kind}: y": y, f"{kind}: p": p}
        for code in CASES[kind]:
            for weighted in (False, True):
                metric = eval(code, vars(keras.metrics))
                for rows in PARTS:
                    metric.update_state(y[rows], p[rows], weights[rows] if weighted else None)
                found[f"{kind}: {code}{', weighted' if weighted else ''}"] = np.asarray(metric.result())
    np.savez_compressed(Path(__file__).with_name("metrics.npz"), **found)


if __name__ == "__main__":
    main()
