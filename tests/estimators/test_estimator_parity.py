"""The estimators do what scikit-learn's do, to rounding where both draw the same numbers, and raise what they raise."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from fastnn import losses
from fastnn.estimators import MLPClassifier, MLPRegressor

from .support import X_IRIS, Y_IRIS, binary, both, message, multilabel, regression, same

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
