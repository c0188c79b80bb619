"""The estimators do what scikit-learn's do, to rounding where both draw the same numbers, and more."""

from __future__ import annotations

import inspect
import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import pytest
import scipy.sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale

import fastnn
from fastnn import activations, callbacks, estimators, losses, optimizers
from fastnn.estimators import MLPClassifier, MLPRegressor, blocks
from fastnn.estimators.objectives import NAMES

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("one_blas_thread"),
]

Data = tuple[np.ndarray, np.ndarray]
X_IRIS, Y_IRIS = scale(load_iris().data), load_iris().target


def binary() -> Data:
    return make_classification(120, 10, random_state=0)


def multilabel() -> Data:
    X, y = make_multilabel_classification(100, 10, n_classes=4, random_state=0)
    return X / 10, y


def regression(outputs: int = 1) -> Data:
    X, y = make_regression(100, 6, n_targets=outputs, noise=5.0, random_state=0)
    return X, scale(y)


def both(name: str, **parameters: Any) -> tuple[Any, Any]:
    """The same estimator, of fastnn and of scikit-learn."""
    return getattr(estimators, name)(**parameters), getattr(neural_network, name)(**parameters)


def same(ours: Any, theirs: Any, rtol: float = 1e-7) -> None:
    """The same training, in all that is told of it."""
    for a, b in zip([*ours.coefs_, *ours.intercepts_], [*theirs.coefs_, *theirs.intercepts_], strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * 1e-2)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
    if hasattr(theirs, "loss_curve_"):
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-6)
        assert ours.best_loss_ == pytest.approx(theirs.best_loss_, rel=1e-6)


# ---- the same training as scikit-learn's -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_parameters_and_defaults(name: str) -> None:
    ours, theirs = both(name)
    own = dict(inspect.signature(type(ours)).parameters)
    for key, parameter in inspect.signature(type(theirs)).parameters.items():
        assert own.pop(key) == parameter.replace(annotation=own_annotation(ours, key)), key
    assert list(own) == [
        *(["loss", "class_weight"] if name == "MLPClassifier" else []),
        *("dropout", "batch_norm", "callbacks"),
    ]
    assert all(p.kind is p.KEYWORD_ONLY for p in own.values())


def own_annotation(estimator: Any, key: str) -> Any:
    return inspect.signature(type(estimator)).parameters[key].annotation


@pytest.mark.parametrize(
    "parameters",
    [
        {"solver": "adam"},
        {"solver": "adam", "beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3, "learning_rate_init": 0.01},
        {"solver": "sgd", "learning_rate_init": 0.02},
        {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
        {"solver": "sgd", "nesterovs_momentum": False, "momentum": 0.7, "learning_rate_init": 0.02},
        {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.02},
        {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "learning_rate_init": 0.02, "tol": 0.2},
        {"solver": "sgd", "momentum": 1.0, "learning_rate_init": 1e-4},
        {"activation": "logistic", "hidden_layer_sizes": (7, 5)},
        {"activation": "tanh", "hidden_layer_sizes": 4, "alpha": 3.0},
        {"activation": "identity", "hidden_layer_sizes": []},
        {"n_iter_no_change": 1, "tol": 0.2},
        {"n_iter_no_change": np.inf, "tol": 10.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("data", ["binary", "iris", "multilabel", "regression", "poisson"])
def test_stochastic_training(parameters: dict[str, Any], data: str) -> None:
    X, y = {"binary": binary(), "multilabel": multilabel(), "iris": (X_IRIS, Y_IRIS)}.get(data, regression())
    loss = {}
    if data == "poisson":
        y, loss = np.floor(np.exp(y / 2)), {"loss": "poisson"}
    name = "MLPClassifier" if data in ("binary", "iris", "multilabel") else "MLPRegressor"
    # 10 divides the samples: the original's last batch, if it is shorter, has a heavier penalty.
    ours, theirs = both(name, shuffle=False, batch_size=10, max_iter=12, random_state=3, **loss, **parameters)
    ours.fit(X, y)
    theirs.fit(X, y)
    same(ours, theirs)
    np.testing.assert_array_equal(
        ours.predict(X) if name == "MLPClassifier" else [], theirs.predict(X) if name == "MLPClassifier" else []
    )
    if name == "MLPClassifier":
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)
        np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=1e-6)
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    else:
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-9)
    assert {name for name in vars(theirs) if name.endswith("_")} <= set(vars(ours))


@pytest.mark.parametrize("data", ["binary", "iris", "multilabel", "regression"])
@pytest.mark.parametrize("weighted", [False, True])
def test_lbfgs(data: str, weighted: bool) -> None:
    X, y = {"binary": binary(), "multilabel": multilabel(), "iris": (X_IRIS, Y_IRIS)}.get(data, regression())
    name = "MLPRegressor" if data == "regression" else "MLPClassifier"
    ours, theirs = both(
        name, solver="lbfgs", alpha=0.5, hidden_layer_sizes=5, activation="tanh", max_iter=8, random_state=1
    )
    weights = np.random.default_rng(0).uniform(0, 3, len(X)) if weighted else None
    same(ours.fit(X, y, weights), theirs.fit(X, y, weights), rtol=1e-4)


def test_sample_weights_of_one_batch() -> None:
    weights = np.random.default_rng(0).uniform(0, 3, len(X_IRIS))
    ours, theirs = both("MLPClassifier", batch_size=len(X_IRIS), alpha=0.3, max_iter=10, random_state=1)
    same(ours.fit(X_IRIS, Y_IRIS, weights), theirs.fit(X_IRIS, Y_IRIS, weights))


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_float32_stays(solver: str) -> None:
    X = X_IRIS.astype(np.float32)
    for estimator, y in ((MLPClassifier, Y_IRIS), (MLPRegressor, X[:, 0])):
        fitted = estimator(solver=solver, max_iter=5, random_state=0).fit(X, y)
        assert {w.dtype for w in [*fitted.coefs_, *fitted.intercepts_]} == {np.dtype(np.float32)}
        assert fitted._outputs(X).dtype == np.float32
        twice = estimator(solver=solver, max_iter=5, random_state=0).fit(X.astype(np.float64), y)
        np.testing.assert_allclose(fitted._outputs(X), twice._outputs(X.astype(np.float64)), rtol=2e-3, atol=1e-4)


def test_verbose_prints_what_scikit_learn_prints(capsys: pytest.CaptureFixture[str]) -> None:
    common = {"shuffle": False, "batch_size": 10, "max_iter": 60, "random_state": 0, "verbose": True, "solver": "sgd"}
    for parameters in (
        {"tol": 0.5, "n_iter_no_change": 2},
        {"tol": 0.5, "n_iter_no_change": 2, "learning_rate": "adaptive", "learning_rate_init": 1e-4},
    ):
        ours, theirs = both("MLPClassifier", **common, **parameters)
        theirs.fit(X_IRIS, Y_IRIS)
        expected = capsys.readouterr().out
        ours.fit(X_IRIS, Y_IRIS)
        assert capsys.readouterr().out == expected
        assert "Stopping." in expected


# ---- errors and warnings ---------------------------------------------------------------------------------------------


def message(estimator: Any, *data: Any, method: str = "fit", **arguments: Any) -> tuple[type, str]:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which, is compared with the original's
        getattr(estimator, method)(*data, **arguments)
    return caught.type, str(caught.value)


@pytest.mark.parametrize(
    "parameters",
    [
        {"alpha": -1.0},
        {"alpha": "much"},
        {"batch_size": 0},
        {"batch_size": "big"},
        {"hidden_layer_sizes": 0},
        {"hidden_layer_sizes": (3, -1)},
        {"learning_rate_init": 0.0},
        {"power_t": -0.5},
        {"max_iter": 0},
        {"max_iter": 2.5},
        {"shuffle": "yes"},
        {"tol": -1e-4},
        {"momentum": 1.5},
        {"nesterovs_momentum": 2},
        {"early_stopping": 1},
        {"early_stopping": True, "validation_fraction": 1.0},
        {"beta_1": 1.0},
        {"beta_2": -0.1},
        {"epsilon": 0.0},
        {"n_iter_no_change": -1},
        {"max_fun": 0},
        {"warm_start": None},
    ],
    ids=str,
)
def test_a_bad_parameter_is_scikit_learns_error(parameters: dict[str, Any]) -> None:
    ours, theirs = both("MLPClassifier", **parameters)
    assert message(ours, X_IRIS, Y_IRIS) == message(theirs, X_IRIS, Y_IRIS)
    assert not hasattr(ours, "coefs_")


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ({"activation": "cube"}, "Got 'cube' instead"),
        ({"solver": "newton"}, "an instance of 'fastnn.optimizers.base.Optimizer'. Got 'newton' instead"),
        ({"loss": "squared"}, "an instance of 'fastnn.losses.base.Loss'. Got 'squared' instead"),
        ({"learning_rate": "fast"}, "Got 'fast' instead"),
        ({"random_state": "seed"}, "Got 'seed' instead"),
        ({"class_weight": "even"}, "Got 'even' instead"),
        ({"dropout": 1.0}, "Got 1.0 instead"),
        ({"callbacks": 3}, "Got 3 instead"),
        ({"dropout": (0.1, 0.2)}, "dropout has 2 rates, expected one for each of the 1 hidden layers"),
        ({"dropout": (1.5,)}, "expected rates in \\[0, 1\\)"),
        ({"loss": losses.BinaryCrossentropy(from_logits=True)}, "expected from_logits=False"),
    ],
    ids=str,
)
def test_a_bad_parameter_of_ours(parameters: dict[str, Any], shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        MLPClassifier(**parameters).fit(X_IRIS, Y_IRIS)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_bad_data_is_scikit_learns_error(name: str) -> None:
    holes = X_IRIS.copy()
    holes[3, 1] = np.nan
    for X, y in (
        (holes, Y_IRIS),
        (X_IRIS, Y_IRIS[:-1]),
        (X_IRIS[:, 0], Y_IRIS),
        (X_IRIS[:0], Y_IRIS[:0]),
        (X_IRIS, None),
        (X_IRIS, np.full(len(X_IRIS), np.nan)),
        ([["a"], ["b"]], [0, 1]),
    ):
        ours, theirs = both(name)
        assert message(ours, X, y) == message(theirs, X, y)
    ours, theirs = both(name)
    for X, y, weights in ((X_IRIS, Y_IRIS, [1.0]), (X_IRIS, Y_IRIS, np.full(len(X_IRIS), np.inf))):
        assert message(ours, X, y, weights) == message(theirs, X, y, weights)
    ours, theirs = both(name)
    assert message(ours, X_IRIS, method="predict") == message(theirs, X_IRIS, method="predict")
    assert message(ours, X_IRIS, method="predict")[0] is NotFittedError
    for estimator in (ours, theirs):
        estimator.set_params(max_iter=1).fit(X_IRIS, Y_IRIS)
    assert message(ours, X_IRIS[:, :2], method="predict") == message(theirs, X_IRIS[:, :2], method="predict")


def test_bad_classes_are_scikit_learns_error() -> None:
    ours, theirs = both("MLPClassifier")
    for y in (np.linspace(0, 1, len(X_IRIS)), np.c_[Y_IRIS, Y_IRIS]):
        assert message(ours, X_IRIS, y) == message(theirs, X_IRIS, y)
    first = {"method": "partial_fit", "classes": [0, 1]}
    assert message(ours, X_IRIS, Y_IRIS, method="partial_fit") == message(theirs, X_IRIS, Y_IRIS, method="partial_fit")
    assert message(ours, X_IRIS, Y_IRIS, **first) == message(theirs, X_IRIS, Y_IRIS, **first)
    ours, theirs = both("MLPClassifier", warm_start=True, max_iter=1)
    for estimator in (ours, theirs):
        estimator.fit(X_IRIS, Y_IRIS)
    assert message(ours, X_IRIS, Y_IRIS + 1) == message(theirs, X_IRIS, Y_IRIS + 1)
    ours, theirs = both("MLPClassifier", solver="lbfgs")
    for estimator in (ours, theirs):
        with pytest.raises(AttributeError, match="has no attribute 'partial_fit'") as caught:
            estimator.partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
        assert str(caught.value.__cause__) == (
            "partial_fit is only available for stochastic optimizers. lbfgs is not stochastic."
        )


def test_an_overflow_is_scikit_learns_error() -> None:
    X = np.full((10, 2), np.finfo(float).max)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        assert message(MLPRegressor(), X, X[:, 0]) == message(neural_network.MLPRegressor(), X, X[:, 0])


def test_warnings_name_the_callers_line() -> None:
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\) reached and the optimization") as found:
        MLPClassifier(max_iter=2).fit(X_IRIS, Y_IRIS)
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample size") as more:
        MLPClassifier(batch_size=1000).partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    assert {w.filename for w in [*found, *more]} == {__file__}
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        MLPClassifier(solver="lbfgs", max_iter=2).fit(X_IRIS, Y_IRIS)


def test_no_warning_where_there_is_no_reason() -> None:
    parameters = {"tol": 0.1, "n_iter_no_change": 2, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        epochs = MLPClassifier(**parameters).fit(X_IRIS, Y_IRIS).n_iter_
        # Converged in the last epoch that it may have.
        assert MLPClassifier(max_iter=epochs, **parameters).fit(X_IRIS, Y_IRIS).n_iter_ == epochs
        MLPClassifier(max_iter=1).partial_fit(X_IRIS, Y_IRIS, classes=[0, 1, 2])
    with pytest.warns(ConvergenceWarning):
        MLPClassifier(max_iter=epochs - 1, **parameters).fit(X_IRIS, Y_IRIS)


def test_lbfgs_ends_at_its_tolerance() -> None:
    for tol in (0.1, 0.01):
        ours, theirs = both("MLPClassifier", solver="lbfgs", tol=tol, random_state=0)
        assert ours.fit(X_IRIS, Y_IRIS).n_iter_ == theirs.fit(X_IRIS, Y_IRIS).n_iter_


@pytest.mark.parametrize("change", [{"hidden_layer_sizes": (3, 3)}, {"hidden_layer_sizes": 4}])
def test_a_warm_start_with_another_network(change: dict[str, Any]) -> None:
    fitted = MLPRegressor("squared_error", 3, warm_start=True, max_iter=2).fit(*regression())
    before = fitted.coefs_[0].copy()
    with pytest.raises(ValueError, match=r"layers of \[6, .*\], expected \[6, 3, 1\] as in the previous fit"):
        fitted.set_params(**change).fit(*regression())
    np.testing.assert_array_equal(fitted.coefs_[0], before)


def test_counts_below_0() -> None:
    X, y = regression()
    for loss in ("poisson", "gamma", losses.Gamma()):
        with pytest.raises(ValueError, match="out of the valid range of the loss"):
            MLPRegressor(loss=loss).fit(X, y)


def test_weights_without_a_sum() -> None:
    with pytest.raises(ValueError, match=r"the samples' weights sum to 0.0, expected a positive sum"):
        MLPClassifier(class_weight={0: 0, 1: 0, 2: 0}).fit(X_IRIS, Y_IRIS)


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


# ---- losses, activations, optimizers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["binary", "iris", "multilabel"])
@pytest.mark.parametrize("loss", sorted({"log_loss"} | NAMES - {"gamma", "mean_absolute_percentage_error"}))
def test_every_loss_classifies(loss: str, data: str) -> None:
    X, y = {"binary": binary(), "multilabel": multilabel()}.get(data, (X_IRIS, Y_IRIS))
    fitted = MLPClassifier(20, loss=loss, learning_rate_init=0.02, max_iter=60, random_state=0, batch_size=20)
    if data == "multilabel" and loss.startswith(("categorical", "sparse", "cosine", "kl_")):
        with pytest.raises(ValueError, match=f"loss is {loss}, which is for one class of many"):
            fitted.fit(X, y)
        return
    fitted.fit(X, y)
    assert fitted.loss_ < fitted.loss_curve_[0]
    assert fitted.score(X, y) > (0.4 if data == "multilabel" else 0.9)  # of labels, all have to be right
    if "hinge" in loss:
        assert not hasattr(fitted, "predict_proba")
        margins = fitted.decision_function(X)
        classes = margins > 0 if data != "iris" else margins.argmax(axis=1)
        np.testing.assert_array_equal(classes, fitted.predict(X))
    else:
        assert not hasattr(fitted, "decision_function")
        chances = fitted.predict_proba(X)
        assert chances.shape == (len(X), len(fitted.classes_))
        if data != "multilabel":
            np.testing.assert_allclose(chances.sum(axis=1), 1)
            np.testing.assert_array_equal(fitted.classes_[chances.argmax(axis=1)], fitted.predict(X))


def test_a_missing_method_says_what_to_call() -> None:
    with pytest.raises(AttributeError) as caught:
        MLPClassifier(loss="hinge").predict_proba(X_IRIS)
    assert "see decision_function" in str(caught.value.__cause__)
    with pytest.raises(AttributeError) as caught:
        MLPClassifier().decision_function(X_IRIS)
    assert "see predict_proba" in str(caught.value.__cause__)


@pytest.mark.parametrize("loss", sorted({"squared_error"} | NAMES))
def test_every_loss_of_numbers_regresses(loss: str) -> None:
    X, y = regression()
    if loss in ("poisson", "gamma", "mean_squared_logarithmic_error", "mean_absolute_percentage_error"):
        y = np.exp(y)
    elif "cross" in loss:
        y = (y - y.min()) / (y.max() - y.min())
    fitted = MLPRegressor(loss, 20, learning_rate_init=0.01, max_iter=100, random_state=0, batch_size=20)
    if loss.startswith("sparse") or loss == "categorical_hinge":
        with pytest.raises(ValueError, match=f"loss is {loss}, which is for classes"):
            fitted.fit(X, y)
        return
    if loss.startswith(("categorical", "kl_", "cosine")):
        return  # of one output they are constant: the test below has more
    fitted.fit(X, y)
    assert fitted.loss_ < fitted.loss_curve_[0]
    if "hinge" not in loss:
        assert fitted.score(X, y) > 0.5


@pytest.mark.parametrize(
    "loss", ["categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence", "cosine_similarity"]
)
def test_losses_of_distributions_regress(loss: str) -> None:
    X = regression()[0]
    y = np.exp(X[:, :3])
    y /= y.sum(axis=1, keepdims=True)
    fitted = MLPRegressor(loss, 20, learning_rate_init=0.01, max_iter=200, random_state=0, batch_size=20).fit(X, y)
    if loss == "cosine_similarity":
        assert fitted.loss_ < -0.95
    else:
        np.testing.assert_allclose(fitted.predict(X).sum(axis=1), 1)
        assert fitted.score(X, y) > 0.8


def test_a_loss_of_ones_own() -> None:
    class Cubic(losses.Loss):
        def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: Any = None) -> Any:
            e = y_pred - y_true
            return self.reduce((abs(e) ** 3).mean(axis=-1), 3 * e * abs(e) / e.shape[-1], sample_weight)

    X, y = regression()
    assert MLPRegressor(Cubic(), learning_rate_init=0.01, random_state=0, batch_size=20).fit(X, y).score(X, y) > 0.9
    options = losses.Quantile(0.9)
    high = MLPRegressor(options, learning_rate_init=0.01, random_state=0, batch_size=20, max_iter=100, alpha=10).fit(
        X, y
    )
    assert 0.8 < (high.predict(X) >= y).mean() < 1


@pytest.mark.parametrize("name", activations.__all__)
def test_every_activation(name: str) -> None:
    one = getattr(activations, name)
    if not isinstance(one, activations.Activation):
        return
    by_name = MLPClassifier(activation=name, max_iter=3, random_state=0).fit(X_IRIS, Y_IRIS)
    by_object = MLPClassifier(activation=one, max_iter=3, random_state=0).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(by_name.predict_proba(X_IRIS), by_object.predict_proba(X_IRIS))
    assert by_name._model.layers[0].activation is one


def test_an_optimizer_as_solver() -> None:
    solver = optimizers.AdamW(optimizers.schedules.ExponentialDecay(0.02, 10, 0.9), weight_decay=0.01)
    fitted = MLPClassifier(solver=solver, max_iter=20, random_state=0, alpha=0).fit(X_IRIS, Y_IRIS)
    assert solver.iterations == 0
    assert fitted._optimizer.iterations == 20
    model = fastnn.Sequential(
        [fastnn.layers.Input((4,)), fastnn.layers.Dense(100, "relu"), fastnn.layers.Dense(3, "softmax")],
        seed=fitted._seed,
        dtype="float64",
    )
    first = MLPClassifier(max_iter=1, random_state=0, solver=optimizers.SGD(0.0)).fit(X_IRIS, Y_IRIS)
    model.set_weights([w for pair in zip(first.coefs_, first.intercepts_, strict=True) for w in pair])
    model.compile(clone(fitted).solver, "sparse_categorical_crossentropy")
    model.fit(X_IRIS, Y_IRIS, batch_size=150, epochs=20, verbose=0)
    np.testing.assert_array_equal(model.predict(X_IRIS), fitted.predict_proba(X_IRIS))


def test_a_rate_is_a_function_of_the_step() -> None:
    for solver in ("sgd", "adam"):
        fixed = MLPClassifier(solver=solver, learning_rate_init=0.01, max_iter=5, random_state=0).fit(X_IRIS, Y_IRIS)
        function = MLPClassifier(solver=solver, learning_rate=lambda step: 0.01, max_iter=5, random_state=0)
        np.testing.assert_array_equal(fixed.coefs_[0], function.fit(X_IRIS, Y_IRIS).coefs_[0])


@pytest.mark.parametrize("sizes", [(), (8,), (8, 6)])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_dropout_and_batch_norm_make_the_stack(sizes: tuple[int, ...], batch_norm: bool, dropout: float) -> None:
    fitted = MLPClassifier(
        sizes, dropout=dropout, batch_norm=batch_norm, max_iter=2, random_state=0, batch_size=50, alpha=0
    )
    fitted.fit(X_IRIS, Y_IRIS)
    stack: list[fastnn.layers.Layer] = []
    for units in sizes:
        stack.append(fastnn.layers.Dense(units, None if batch_norm else "relu"))
        stack += [fastnn.layers.BatchNormalization(), fastnn.layers.Activation("relu")] if batch_norm else []
        stack += [fastnn.layers.Dropout(dropout)] if dropout else []
    stack = [fastnn.layers.Input((4,)), *stack, fastnn.layers.Dense(3, "softmax")]
    model = fastnn.Sequential(stack, seed=fitted._seed, dtype="float64")
    first = MLPClassifier(sizes, max_iter=1, random_state=0, solver=optimizers.SGD(0.0)).fit(X_IRIS, Y_IRIS)
    dense = [layer for layer in model.layers if isinstance(layer, fastnn.layers.Dense)]
    for layer, coef, intercept in zip(dense, first.coefs_, first.intercepts_, strict=True):
        layer.kernel[...], layer.bias[...] = coef, intercept
    model.compile(optimizers.Adam(0.001, epsilon=1e-8), "sparse_categorical_crossentropy")
    history = model.fit(X_IRIS, Y_IRIS, batch_size=50, epochs=2, verbose=0).history["loss"]
    assert history == fitted.loss_curve_
    np.testing.assert_array_equal(model.predict(X_IRIS), fitted.predict_proba(X_IRIS))


def test_dropout_of_each_layer() -> None:
    fitted = MLPRegressor(hidden_layer_sizes=(5, 4, 3), dropout=(0.1, 0.0, 0.5), max_iter=2).fit(*regression())
    assert [layer.rate for layer in fitted._model.layers if isinstance(layer, fastnn.layers.Dropout)] == [0.1, 0.5]
    with pytest.raises(ValueError, match="dropout and batch_norm are for mini-batches, expected neither with"):
        fitted.set_params(solver="lbfgs").fit(*regression())


def test_batch_norm_outlives_copies_and_early_stopping() -> None:
    fitted = MLPClassifier(8, batch_norm=True, early_stopping=True, random_state=0, batch_size=30, max_iter=30)
    fitted.fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).predict_proba(X_IRIS), fitted.predict_proba(X_IRIS)
    )
    rows = train_test_split(np.arange(150), random_state=fitted._split_seed, test_size=0.1, stratify=Y_IRIS)[1]
    assert accuracy_score(Y_IRIS[rows], fitted.predict(X_IRIS[rows])) == fitted.best_validation_score_
    with pytest.raises(ValueError, match="batch_norm is False, expected True as in the previous fit"):
        fitted.set_params(batch_norm=False, warm_start=True).fit(X_IRIS, Y_IRIS)


# ---- random_state ----------------------------------------------------------------------------------------------------


def test_random_state() -> None:
    def weights(random_state: Any) -> np.ndarray:
        return MLPClassifier(max_iter=2, batch_size=20, random_state=random_state).fit(X_IRIS, Y_IRIS).coefs_[1]

    np.testing.assert_array_equal(weights(3), weights(3))
    np.testing.assert_array_equal(weights(3), weights(np.random.RandomState(3)))
    np.testing.assert_array_equal(weights(np.random.default_rng(3)), weights(np.random.default_rng(3)))
    for one in (np.random.RandomState(3), np.random.default_rng(3), None):
        assert (weights(one) != weights(one)).any()  # each fit goes on drawing
    np.random.seed(0)  # noqa: NPY002 - scikit-learn's None is NumPy's own generator
    once = weights(None)
    np.random.seed(0)  # noqa: NPY002
    np.testing.assert_array_equal(once, weights(None))


def test_no_thread_count_changes_a_result() -> None:
    found = []
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        found.append(
            MLPClassifier(max_iter=3, random_state=0, early_stopping=True).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS)
        )
    np.testing.assert_array_equal(*found)


# ---- data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
@pytest.mark.parametrize("elements", [1, 50 * 4, 10**9])  # blocks of a batch, of two, and the whole
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"shuffle": False, "dropout": 0.2},
        {"early_stopping": True, "batch_norm": True},
        {"solver": optimizers.Adam(use_ema=True)},
    ],
    ids=str,
)
def test_sparse_input_is_dense_input(
    parameters: dict[str, Any], elements: int, container: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ELEMENTS", elements)
    X = np.where(X_IRIS > 0, X_IRIS, 0)
    weights = np.linspace(0.5, 2, len(X))
    for make, y in ((MLPClassifier, Y_IRIS), (MLPRegressor, X_IRIS[:, :2])):
        dense, sparse = (
            make(max_iter=3, batch_size=25, random_state=0, **parameters).fit(x, y, weights) for x in (X, container(X))
        )
        np.testing.assert_array_equal(dense.predict(X), sparse.predict(container(X)))
        np.testing.assert_allclose(dense.loss_curve_, sparse.loss_curve_, rtol=1e-12)
        if "early_stopping" in parameters:
            assert dense.validation_scores_ == sparse.validation_scores_
            np.testing.assert_allclose(dense.validation_loss_curve_, sparse.validation_loss_curve_, rtol=1e-12)


def test_sparse_input_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ELEMENTS", 100)
    X, parameters = scipy.sparse.csr_array(X_IRIS), {"random_state": 0, "batch_size": 20}
    recorder = Recorder(stop_at=3)
    whole = MLPClassifier(callbacks=recorder, **parameters).fit(X, Y_IRIS)
    assert recorder.calls == ["begin", *((i, ["loss"]) for i in range(4)), "end"]
    parts = MLPClassifier(**parameters)
    for _ in range(4):
        parts.partial_fit(X, Y_IRIS, classes=[0, 1, 2])
    np.testing.assert_array_equal(whole.coefs_[0], parts.coefs_[0])
    lbfgs = {"solver": "lbfgs", "random_state": 0, "max_iter": 5, "alpha": 1.0}
    sparse, dense = MLPClassifier(**lbfgs).fit(X, Y_IRIS), MLPClassifier(**lbfgs).fit(X_IRIS, Y_IRIS)
    np.testing.assert_allclose(sparse.coefs_[0], dense.coefs_[0], rtol=1e-6)
    assert sparse.loss_ == pytest.approx(dense.loss_, rel=1e-9)


def test_strange_arrays() -> None:
    expected = MLPClassifier(max_iter=3, random_state=0).fit(X_IRIS, Y_IRIS)
    read_only = X_IRIS.copy()
    read_only.flags.writeable = False
    for X in (np.asfortranarray(X_IRIS), np.repeat(X_IRIS, 2, axis=0)[::2], read_only, X_IRIS.tolist()):
        fitted = MLPClassifier(max_iter=3, random_state=0).fit(X, Y_IRIS)
        np.testing.assert_array_equal(fitted.predict_proba(X), expected.predict_proba(X_IRIS))
    integers = MLPRegressor(max_iter=3).fit(np.arange(12).reshape(6, 2), np.arange(6))
    assert integers.coefs_[0].dtype == np.float64


def test_one_class_and_strings() -> None:
    assert set(MLPClassifier(max_iter=3).fit(X_IRIS, ["only"] * 150).predict(X_IRIS)) == {"only"}
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[Y_IRIS]
    fitted = MLPClassifier(learning_rate_init=0.01, random_state=0).fit(X_IRIS, names)
    assert fitted.score(X_IRIS, names) > 0.95


# ---- callbacks -------------------------------------------------------------------------------------------------------


class Recorder(callbacks.Callback):
    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.calls: list[Any] = []
        self.stop_at = stop_at

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.calls.append("begin")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        assert logs is not None
        self.calls.append((epoch, sorted(logs)))
        if epoch == self.stop_at:
            self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self.calls.append("end")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks(solver: str) -> None:
    recorder = Recorder(stop_at=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = MLPClassifier(solver=solver, callbacks=recorder, random_state=0).fit(X_IRIS, Y_IRIS)
    assert recorder.calls == ["begin", *((i, ["loss"]) for i in range(4)), "end"]
    assert fitted.n_iter_ == 4
    again = clone(pickle.loads(pickle.dumps(fitted)))  # callbacks hold nothing that neither could take
    assert again.callbacks.stop_at == 3
    with pytest.raises(TypeError, match=r"callbacks must hold fastnn\.callbacks\.Callback objects"):
        MLPClassifier(callbacks=[1]).fit(X_IRIS, Y_IRIS)


def test_callbacks_see_the_validation_loss() -> None:
    recorder = Recorder(stop_at=0)
    MLPClassifier(early_stopping=True, callbacks=[recorder]).fit(X_IRIS, Y_IRIS)
    assert recorder.calls[1] == (0, ["loss", "val_loss"])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scikit_learns_own_callbacks(solver: str) -> None:
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 has them")

    class Listener:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def setup(self, estimator: Any, context: Any) -> None:
            self.told.append("setup")

        def teardown(self, estimator: Any, context: Any) -> None:
            self.told.append("teardown")

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            self.told.append(("begin", context.task_id, context.max_subtasks))

        def on_fit_task_end(
            self, estimator: Any, context: Any, *, X: Any, y: Any, metadata: Any, fitted_estimator: Any
        ) -> bool:
            if fitted_estimator is not None:
                self.told.append((context.task_id, fitted_estimator.score(X, y), metadata["sample_weight"].sum()))
                return context.task_id == 2
            return False

    listener = Listener()
    fitted = MLPClassifier(solver=solver, random_state=0, max_iter=9).set_callbacks(listener)
    fitted.fit(X_IRIS, Y_IRIS, np.ones(150))
    assert fitted.n_iter_ == 3
    tasks = [pair for i in range(3) for pair in (("begin", i, 0), listener.told[3 + 2 * i])]
    assert listener.told == ["setup", ("begin", 0, 9), *tasks, "teardown"]
    assert [told[2] for told in tasks[1::2]] == [150, 150, 150]
    assert tasks[-1][1] == fitted.score(X_IRIS, Y_IRIS)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_keeps_what_is_trained(early_stopping: bool) -> None:
    class Interrupt(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            if epoch == 4:
                signal.raise_signal(signal.SIGINT)

    fitted = MLPClassifier(callbacks=Interrupt(), random_state=0, early_stopping=early_stopping)
    with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
        fitted.fit(X_IRIS, Y_IRIS)
    assert fitted.n_iter_ == 5
    assert fitted.predict(X_IRIS).shape == (150,)
    with pytest.raises(KeyboardInterrupt):
        MLPClassifier(callbacks=Interrupt(), solver="lbfgs").fit(X_IRIS, Y_IRIS)


# ---- copies, files, threads ------------------------------------------------------------------------------------------


def test_copies(tmp_path: Any) -> None:
    fitted = MLPClassifier(max_iter=5, random_state=0).fit(X_IRIS, Y_IRIS)
    expected = fitted.predict_proba(X_IRIS)
    joblib.dump(fitted, tmp_path / "mlp.joblib")
    for other in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "mlp.joblib")):
        np.testing.assert_array_equal(other.predict_proba(X_IRIS), expected)
        other.partial_fit(X_IRIS, Y_IRIS)
        assert (other.predict_proba(X_IRIS) != expected).any()
    np.testing.assert_array_equal(fitted.predict_proba(X_IRIS), expected)
    assert not hasattr(clone(fitted), "coefs_")


def test_assigned_weights_are_used() -> None:
    fitted = MLPClassifier(max_iter=5, random_state=0).fit(X_IRIS, Y_IRIS)
    before = fitted.predict_proba(X_IRIS)
    fitted.intercepts_[-1] = fitted.intercepts_[-1] + [5, 0, 0]
    assert (fitted.predict_proba(X_IRIS)[:, 0] > before[:, 0]).all()
    fitted.intercepts_[-1][0] -= 5
    np.testing.assert_allclose(fitted.predict_proba(X_IRIS), before)
    fitted.coefs_[0][...] = 0
    assert np.ptp(fitted.predict_proba(X_IRIS), axis=0).max() == 0


def test_fits_side_by_side() -> None:
    def train(seed: int) -> np.ndarray:
        return MLPClassifier(max_iter=20, random_state=seed).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(train, range(8)))
    for seed, result in enumerate(together):
        np.testing.assert_array_equal(result, train(seed))


def test_export_is_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(fastnn.Sequential, "export", lambda self, path: written.append((self, path)), raising=False)
    fitted = MLPClassifier(max_iter=1).fit(X_IRIS, Y_IRIS)
    fitted.to_onnx("a.onnx")
    assert written[0][1] == "a.onnx"
    np.testing.assert_array_equal(written[0][0].predict(X_IRIS), fitted.predict_proba(X_IRIS))
    with pytest.raises(NotImplementedError, match="logarithmic link"):
        MLPRegressor("poisson", max_iter=1).fit(X_IRIS, Y_IRIS).to_onnx("b.onnx")
    with pytest.raises(NotFittedError):
        MLPClassifier().to_onnx("c.onnx")


@pytest.fixture(scope="module")
def fresh() -> Any:
    def run(code: str) -> str:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    return run


def test_scikit_learn_is_imported_only_when_asked_for(fresh: Any) -> None:
    assert fresh("import fastnn, sys; print('sklearn' in sys.modules, 'scipy' in sys.modules)").strip() == "False False"
    missing = fresh("import sys; sys.modules['sklearn'] = None; import fastnn.estimators")
    assert 'ImportError: fastnn.estimators needs scikit-learn and SciPy: pip install "fastnn[sklearn]"' in missing
