"""Faults of scikit-learn's perceptrons that are put right; docs/estimators.md lists them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split

from fastnn import optimizers
from fastnn.estimators import MLPClassifier, MLPRegressor

from .support import X_IRIS, Y_IRIS, binary, both, multilabel, regression

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ---- faults of the original, put right -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber", "log_cosh", "gamma"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_8349_the_gradient_is_the_losses(loss: Any, outputs: int) -> None:
    X, y = regression(outputs)
    y = np.exp(y) if loss in ("poisson", "gamma") else y
    rate = 1e-6
    fitted = MLPRegressor(
        loss, 5, activation="tanh", solver="sgd", momentum=0, batch_size=len(X), learning_rate_init=rate, alpha=2.0,
        max_iter=1, warm_start=True, random_state=0, tol=0,
    ).fit(X, y)  # fmt: skip
    before = np.concatenate([w.ravel() for w in fitted.coefs_ + fitted.intercepts_])
    fitted.fit(X, y)
    after = np.concatenate([w.ravel() for w in fitted.coefs_ + fitted.intercepts_])
    first = fitted.loss_
    fitted.fit(X, y)
    squared_gradient = ((after - before) ** 2).sum() / rate**2
    assert (first - fitted.loss_) / rate == pytest.approx(squared_gradient, rel=1e-3)


def test_8349_the_loss_is_summed_over_the_outputs() -> None:
    X, y = regression(3)
    ours, theirs = both("MLPRegressor", shuffle=False, batch_size=10, max_iter=5, random_state=0, alpha=0)
    ours.fit(X, y)
    theirs.fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=1e-9)
    np.testing.assert_allclose(ours.loss_curve_, 3 * np.array(theirs.loss_curve_), rtol=1e-9)


def test_6780_the_penalty_of_a_short_batch() -> None:
    fitted = MLPRegressor(
        "squared_error", 3, solver="sgd", momentum=0, batch_size=2, learning_rate_init=0.1, alpha=3.0, max_iter=1,
        warm_start=True, random_state=0,
    ).fit(np.zeros((5, 2)), np.zeros(5))  # fmt: skip
    before = fitted.coefs_[0].copy()
    fitted.fit(np.zeros((5, 2)), np.zeros(5))
    np.testing.assert_allclose(fitted.coefs_[0], before * (1 - 0.1 * 3.0 / 2) ** 3, rtol=1e-12)  # batches of 2, 2, 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "adam"},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1, "learning_rate_init": 0.5},
        {"solver": optimizers.Nadam(0.01)},
        {"learning_rate": optimizers.schedules.CosineDecay(0.05, 20)},
        {"dropout": 0.3, "batch_norm": True},
    ],
    ids=str,
)
def test_6091_a_training_in_parts_is_the_training_in_one(parameters: dict[str, Any]) -> None:
    parameters = {"batch_size": 40, "random_state": 7, **parameters}
    whole = MLPClassifier(max_iter=6, **parameters).fit(X_IRIS, Y_IRIS)
    warm = MLPClassifier(max_iter=2, warm_start=True, **parameters)
    parts = MLPClassifier(**parameters)
    for i in range(6):
        if i % 2:
            warm = pickle.loads(pickle.dumps(warm.fit(X_IRIS, Y_IRIS)))
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])))
    for other in (warm, parts):
        for a, b in zip(whole.coefs_ + whole.intercepts_, other.coefs_ + other.intercepts_, strict=True):
            np.testing.assert_array_equal(a, b)
        assert other.loss_curve_ == whole.loss_curve_
        assert other.t_ == whole.t_


def test_6091_another_rate_starts_the_optimizer_anew() -> None:
    fitted = MLPClassifier(solver="sgd", warm_start=True, max_iter=2, random_state=0).fit(X_IRIS, Y_IRIS)
    kept = fitted._optimizer
    assert fitted.fit(X_IRIS, Y_IRIS)._optimizer is kept
    assert fitted.set_params(learning_rate_init=0.5).fit(X_IRIS, Y_IRIS)._optimizer.learning_rate == 0.5


@pytest.mark.parametrize("classes", [None, [0, 1], [0, 1, 2, 3]])
@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_array])
def test_12505_labels_by_parts(classes: Any, container: Any) -> None:
    X, y = multilabel()
    whole = MLPClassifier(max_iter=5, random_state=0).fit(X, container(y))
    parts = MLPClassifier(random_state=0)
    for _ in range(5):
        parts.partial_fit(X, container(y), classes=classes)
    np.testing.assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))
    assert (
        scipy.sparse.issparse(parts.predict(X))
        == scipy.sparse.issparse(whole.predict(X))
        == scipy.sparse.issparse(container(y))
    )
    with pytest.raises(ValueError, match=r"classes is \[5, 6\], expected the numbers of the 4 labels, or nothing"):
        parts.partial_fit(X, y, classes=[5, 6])


def test_weights_count_in_batches_of_one() -> None:
    X, y = np.ones((2, 1)), np.array([0.0, 1.0])
    fitted = MLPRegressor(
        "squared_error", [], solver="sgd", batch_size=1, learning_rate_init=0.01, max_iter=2000, random_state=0, tol=0
    ).fit(X, y, sample_weight=[1, 3])
    assert fitted.predict([[1.0]]) == pytest.approx(0.75, abs=0.02)


def test_the_log_loss_is_not_capped() -> None:
    X, y = np.array([[1000.0], [-1000.0]]), np.array([1, 0])
    ours, theirs = both("MLPClassifier", hidden_layer_sizes=(), max_iter=1, random_state=1, alpha=0)
    coef = ours.fit(X, y).coefs_[0][0, 0]
    assert coef < -0.1  # both samples are on the wrong side
    assert ours.loss_ == pytest.approx(-1000 * coef, rel=0.01)
    assert theirs.fit(X, y).loss_ == pytest.approx(36.04, rel=0.01)


# ---- weights ---------------------------------------------------------------------------------------------------------


def test_class_weights_are_sample_weights() -> None:
    X, y = X_IRIS[:120], np.array(["a", "b", "c"])[Y_IRIS[:120]]
    by_hand = np.where(y == "a", 0.5, np.where(y == "b", 2.0, 1.0))
    for weights, expected in (({"a": 0.5, "b": 2.0}, by_hand), ("balanced", np.where(y == "c", 2.0, 0.8))):
        ours = MLPClassifier(class_weight=weights, max_iter=5, random_state=0, batch_size=30).fit(X, y)
        other = MLPClassifier(max_iter=5, random_state=0, batch_size=30).fit(X, y, expected)
        np.testing.assert_allclose(ours.predict_proba(X), other.predict_proba(X), rtol=1e-12)
    with pytest.raises(ValueError, match="class_weight='balanced' is not supported for partial_fit"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=["a", "b", "c"])


def test_class_weights_of_labels() -> None:
    X, y = multilabel()
    weights = [{0: 1.0, 1: 2.0}] * 4
    ours = MLPClassifier(class_weight=weights, max_iter=5, random_state=0).fit(X, y)
    other = MLPClassifier(max_iter=5, random_state=0).fit(X, y, 2.0 ** y.sum(axis=1))
    np.testing.assert_array_equal(ours.predict_proba(X), other.predict_proba(X))
    with pytest.raises(ValueError, match="class_weight is a list, which is for labels, expected a dict or 'balanced'"):
        MLPClassifier(class_weight=weights).fit(X_IRIS, Y_IRIS)


def test_class_weights_and_sample_weights_multiply() -> None:
    weights = np.linspace(0.5, 2, len(X_IRIS))
    ours = MLPClassifier(class_weight={0: 3.0}, max_iter=5, random_state=0).fit(X_IRIS, Y_IRIS, weights)
    other = MLPClassifier(max_iter=5, random_state=0).fit(X_IRIS, Y_IRIS, np.where(Y_IRIS == 0, 3, 1) * weights)
    np.testing.assert_array_equal(ours.predict_proba(X_IRIS), other.predict_proba(X_IRIS))


# ---- early stopping --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("data", ["iris", "binary", "multilabel", "regression", "multioutput", "hinge", "focal"])
def test_early_stopping_keeps_the_best_weights(data: str, weighted: bool) -> None:
    X, y = {"binary": binary(), "multilabel": multilabel(), "regression": regression()}.get(data, (X_IRIS, Y_IRIS))
    X, y = regression(2) if data == "multioutput" else (X, y)
    make = MLPRegressor if "regression" in data or data == "multioutput" else MLPClassifier
    loss = {"hinge": {"loss": "hinge"}, "focal": {"loss": "categorical_focal_crossentropy"}}.get(data, {})
    weights = np.random.default_rng(0).uniform(0.1, 3, len(X)) if weighted else None
    fitted = make(early_stopping=True, n_iter_no_change=3, learning_rate_init=0.02, batch_size=20, random_state=0,
                  validation_fraction=0.3, alpha=0, **loss).fit(X, y, weights)  # fmt: skip
    assert fitted.best_loss_ is None
    assert (
        len(fitted.validation_scores_)
        == len(fitted.validation_loss_curve_)
        == len(fitted.loss_curve_)
        == fitted.n_iter_
    )
    assert max(fitted.validation_scores_) == fitted.best_validation_score_
    # The same split again, and scikit-learn's own metrics.
    strata = y if data in ("iris", "binary", "hinge", "focal") else None
    rows = train_test_split(np.arange(len(X)), random_state=fitted._split_seed, test_size=0.3, stratify=strata)[1]
    metric = r2_score if make is MLPRegressor else accuracy_score
    held = None if weights is None else weights[rows]
    score = metric(y[rows], fitted.predict(X[rows]), sample_weight=held)
    assert score == pytest.approx(fitted.best_validation_score_, rel=1e-12)
    if data in ("iris", "regression"):
        best = fitted.validation_loss_curve_[int(np.argmax(fitted.validation_scores_))]
        if data == "iris":
            each = -np.log(fitted.predict_proba(X[rows]))[np.arange(len(rows)), y[rows]]
        else:
            each = (fitted.predict(X[rows]) - y[rows]) ** 2 / 2
        assert best == pytest.approx(np.average(each, weights=held), rel=1e-9)


def test_a_warm_start_keeps_its_validation_data() -> None:
    X, y = regression()
    seen = []

    class Seen(MLPRegressor):
        def _split(self, *data: Any) -> Any:
            parts = super()._split(*data)
            seen.append(parts[3][0])
            return parts

    fitted = Seen(early_stopping=True, warm_start=True, max_iter=2, random_state=np.random.RandomState(0)).fit(X, y)
    fitted.fit(X, y)
    np.testing.assert_array_equal(*seen)


def test_a_target_that_does_not_vary() -> None:
    X = np.random.default_rng(0).normal(size=(40, 2))
    fitted = MLPRegressor(early_stopping=True, max_iter=2, validation_fraction=0.2).fit(X, np.full(40, 1000.0))
    assert fitted.validation_scores_ == [0.0, 0.0]  # as r2_score says


def test_rare_classes_do_not_stop_early_stopping() -> None:
    y = np.where(np.arange(len(X_IRIS)) == 5, 7, Y_IRIS)
    assert len(MLPClassifier(early_stopping=True, max_iter=2).fit(X_IRIS, y).classes_) == 4
