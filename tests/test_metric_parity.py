"""Metrics as Keras 3 has them, kept in data/metrics.npz by data/make_metrics.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import metrics

GOLDEN = np.load(Path(__file__).parent / "data" / "metrics.npz")
KEYS = [key for key in GOLDEN.files if "(" in key]


def made(key: str) -> tuple[metrics.Metric, np.ndarray, np.ndarray, np.ndarray | None]:
    """The metric, its targets, outputs and weights: ``binary: Precision(thresholds=0.3), weighted``."""
    kind, _, code = key.partition(": ")
    weights = GOLDEN["weights"] if code.endswith(", weighted") else None
    metric: metrics.Metric = eval(code.removesuffix(", weighted"), vars(metrics))
    return metric, GOLDEN[f"{kind}: y"], GOLDEN[f"{kind}: p"], weights


def fed(metric: metrics.Metric, y: Any, p: Any, w: Any, cuts: list[int]) -> Any:
    metric.reset_state()
    for a, b in zip([0, *cuts], [*cuts, len(y)], strict=True):
        metric.update_state(y[a:b], p[a:b], None if w is None else w[a:b])
    return metric.result()


@pytest.mark.parametrize("key", KEYS)
def test_every_metric_is_keras_s(key: str) -> None:
    metric, y, p, w = made(key)
    # Its sums are float32: the differences in those of R² and of a logarithm lose a digit.
    expected = GOLDEN[key]
    got = fed(metric, y, p, w, [1, 40])
    assert np.shape(got) == expected.shape
    assert type(got) is (float if expected.ndim == 0 else np.ndarray)
    np.testing.assert_allclose(got, expected, rtol=2e-6 if "R2Score" in key else 1e-6, atol=1e-7)
    # However the samples are cut, and in whatever shape or dtype they come.
    for cuts in ([], [63], [7, 8, 30]):
        np.testing.assert_allclose(fed(metric, y, p, w, cuts), got, rtol=1e-12, atol=1e-15)
    column = y[:, np.newaxis] if y.ndim == 1 else y[:, 0] if y.shape[1] == 1 else np.asfortranarray(y)
    np.testing.assert_allclose(fed(metric, column, p, w, []), got, rtol=1e-12, atol=1e-15)
    # Made again from its description.
    again = metrics.deserialize(metrics.serialize(metric))
    assert (type(again), again.name) == (type(metric), metric.name)
    np.testing.assert_array_equal(fed(again, y, p, w, [1, 40]), fed(metric, y, p, w, [1, 40]))


def test_every_metric_is_compared() -> None:
    compared = {type(made(key)[0]) for key in KEYS}
    everything = {v for v in vars(metrics).values() if isinstance(v, type) and issubclass(v, metrics.Metric)}
    everything -= {metrics.Metric, metrics.Mean, metrics.MeanMetricWrapper, metrics.OfLoss}
    assert everything == compared


def test_float64_outputs_are_compared_with_thresholds_as_they_are() -> None:
    p = np.array([[0.3], [np.nextafter(0.3, 1)]])
    assert metrics.TruePositives(thresholds=0.3)(np.ones((2, 1)), p) == 1.0
    # Of float32 the threshold is the nearest: 0.3 is no longer above it.
    assert metrics.TruePositives(thresholds=0.3)(np.ones((1, 1)), np.array([[0.3]], np.float32)) == 0.0


def test_outputs_that_are_nan_are_negative() -> None:
    y, p = np.array([0.0, 1.0, 1.0]), np.array([np.nan, np.nan, 0.9])
    assert metrics.Recall()(y, p) == 0.5
    assert metrics.FalsePositives(thresholds=[0.0, 0.5, 1.0])(y, p).tolist() == [0, 0, 0]


def test_metrics_of_nothing_are_0() -> None:
    for key in KEYS:
        metric, *_ = made(key)
        assert np.all(np.asarray(metric.result()) == 0), key


def test_mean() -> None:
    mean = metrics.Mean()
    assert mean([1, 3, 5, 7]) == 4.0
    mean.reset_state()
    assert mean([1, 3, 5, 7], sample_weight=[1, 1, 0, 0]) == 2.0
    mean.reset_state()
    assert mean(2.5) == 2.5
    mean.reset_state()
    assert mean([[1, 3], [5, 7]], sample_weight=[3, 1]) == 3.0
    mean.reset_state()
    assert mean([[1, 3], [5, 8]], sample_weight=[[1, 0], [0, 1]]) == 4.5


def test_the_score_of_targets_far_from_0_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    noise, error = rng.standard_normal((2, 100, 1))
    score = metrics.R2Score()(1e9 + noise, 1e9 + noise + 0.1 * error)
    assert score == pytest.approx(1 - (0.01 * error**2).sum() / ((noise - noise.mean()) ** 2).sum(), rel=1e-5)
