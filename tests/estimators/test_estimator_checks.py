"""scikit-learn's checks of estimators, and its meta-estimators, with ours in them."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import pytest
from sklearn import neural_network
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_multilabel_classification
from sklearn.ensemble import BaggingClassifier, StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn import losses, optimizers
from fastnn.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = load_iris(return_X_y=True)

# What holding out a tenth of a few samples, or partial_fit with early_stopping, cannot pass; scikit-learn's cannot.
TOO_FEW = "a tenth of its few samples holds too few to validate with"
NO_PARTS = "calls partial_fit, which early_stopping has no meaning for"
OTHER_SPLIT = "compares trainings whose validation data differ"
EARLY_STOPPING = {
    "check_fit_score_takes_y": NO_PARTS,
    "check_n_features_in_after_fitting": NO_PARTS,
    "check_estimators_partial_fit_n_features": NO_PARTS,
    "check_sample_weight_equivalence_on_dense_data": OTHER_SPLIT,
    "check_sample_weight_equivalence_on_sparse_data": OTHER_SPLIT,
    "check_estimators_nan_inf": TOO_FEW,
    "check_fit2d_1feature": TOO_FEW,
}
EARLY_STOPPING_OF = {
    "MLPClassifier": {**EARLY_STOPPING, "check_classifiers_one_label": TOO_FEW},
    "MLPRegressor": {**EARLY_STOPPING, "check_regressors_no_decision_function": TOO_FEW},
}

CONFIGURATIONS = [
    MLPClassifier(max_iter=100),
    MLPClassifier(10, solver="lbfgs", alpha=0.1),
    MLPClassifier(solver="sgd", learning_rate="adaptive", learning_rate_init=0.05),
    MLPClassifier(early_stopping=True),
    MLPClassifier(loss="binary_focal_crossentropy"),
    MLPClassifier(loss="hinge"),
    MLPClassifier(loss=losses.CategoricalCrossentropy(label_smoothing=0.1)),
    MLPClassifier(loss="categorical_hinge", solver=optimizers.RMSprop(0.01)),
    MLPRegressor(max_iter=100),
    MLPRegressor(hidden_layer_sizes=10, solver="lbfgs"),
    MLPRegressor(solver="sgd", nesterovs_momentum=False),
    MLPRegressor(early_stopping=True),
    MLPRegressor("huber", activation="tanh", solver=optimizers.AdamW(0.01)),
]


def expected_failures(estimator: BaseEstimator) -> dict[str, str]:
    return EARLY_STOPPING_OF[type(estimator).__name__] if estimator.early_stopping else {}


@parametrize_with_checks(CONFIGURATIONS, expected_failed_checks=expected_failures)
def test_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(
    ("name", "check"), [(name, check) for name, checks in EARLY_STOPPING_OF.items() for check in checks]
)
def test_scikit_learns_own_fail_them_too(name: str, check: str) -> None:
    with pytest.raises((ValueError, AssertionError)):
        getattr(estimator_checks, check)(name, getattr(neural_network, name)(early_stopping=True))


# ---- meta-estimators -------------------------------------------------------------------------------------------------


def classifier(**parameters: Any) -> MLPClassifier:
    return MLPClassifier(20, learning_rate_init=0.01, max_iter=100, random_state=0, **parameters)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_grid_search_of_a_pipeline(backend: str) -> None:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier()),
        {
            "mlpclassifier__solver": ["sgd", "lbfgs", optimizers.Lion(0.003)],
            "mlpclassifier__loss": ["log_loss", losses.BinaryFocalCrossentropy(gamma=1.0)],
        },
        n_jobs=2,
        cv=3,
        error_score="raise",
    )
    with joblib.parallel_config(backend):
        search.fit(X, Y)
    assert search.best_score_ > 0.94
    alone = clone(search).set_params(n_jobs=None).fit(X, Y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


@pytest.mark.parametrize(
    "meta",
    [
        CalibratedClassifierCV(classifier(), cv=3),
        BaggingClassifier(classifier(), n_estimators=3, n_jobs=2, random_state=0),
        StackingClassifier([("a", classifier()), ("b", classifier(solver="lbfgs"))], LogisticRegression(), cv=3),
        VotingClassifier([("a", classifier()), ("b", classifier(early_stopping=True))], voting="soft"),
        OneVsRestClassifier(classifier()),
        CalibratedClassifierCV(classifier(loss="hinge"), cv=3),
    ],
    ids=lambda meta: type(meta).__name__,
)
def test_meta_classifiers(meta: Any) -> None:
    scaled = StandardScaler().fit_transform(X)
    fitted = meta.fit(scaled, Y)
    assert fitted.score(scaled, Y) > 0.9
    assert fitted.predict_proba(scaled).shape == (150, 3)


def test_meta_regressors_and_chains() -> None:
    scaled = StandardScaler().fit_transform(X)
    regressor = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", alpha=1.0, random_state=0)
    stack = StackingRegressor([("a", regressor)], cv=KFold(3, shuffle=True, random_state=0))
    assert stack.fit(scaled[:, 1:], X[:, 0]).score(scaled[:, 1:], X[:, 0]) > 0.8
    x, labels = make_multilabel_classification(100, 10, n_classes=3, random_state=0)
    assert ClassifierChain(classifier(), order=[2, 0, 1]).fit(x, labels).predict(x).shape == (100, 3)


def test_validation_and_inspection() -> None:
    model = make_pipeline(StandardScaler(), classifier())
    assert (cross_val_predict(model, X, Y, cv=3) == Y).mean() > 0.9
    assert cross_val_predict(model, X, Y, cv=3, method="predict_proba").shape == (150, 3)
    assert cross_val_score(model, X, Y, cv=3, scoring="roc_auc_ovr").min() > 0.95
    importances = permutation_importance(model.fit(X, Y), X, Y, n_repeats=3, random_state=0).importances_mean
    assert importances[2:].min() > importances[:2].max()  # the petals tell the species
