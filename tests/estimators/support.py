"""What the tests of the estimators share: data, and scikit-learn's estimators beside ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.datasets import load_iris, make_classification, make_multilabel_classification, make_regression
from sklearn.preprocessing import scale

from fastnn import estimators

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


def message(estimator: Any, *data: Any, method: str = "fit", **arguments: Any) -> tuple[type, str]:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which, is compared with the original's
        getattr(estimator, method)(*data, **arguments)
    return caught.type, str(caught.value)
