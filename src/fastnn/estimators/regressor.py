"""`MLPRegressor`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from .. import losses
from . import objectives
from .base import BasePerceptron


class MLPRegressor(RegressorMixin, BasePerceptron):
    """A multilayer perceptron for numbers: scikit-learn's, trained in compiled code.

    Parameters, attributes, warnings and errors are those of ``sklearn.neural_network.MLPRegressor``, and more.

    Parameters
    ----------
    loss : "squared_error", a name of `fastnn.losses`, or Loss, default="squared_error"
        "squared_error" is half the squared error, summed over the outputs.  "poisson" (half the deviance, summed) and
        "gamma" have a logarithmic link: the network's output is the logarithm of the prediction, and y is at least 0.
        Cross-entropies have a sigmoid or softmax, all others the outputs as they are.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter
        As for `MLPClassifier`, and so are all that follow.
    shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction
    beta_1, beta_2, epsilon, n_iter_no_change, max_fun, dropout, batch_norm, callbacks

    Attributes
    ----------
    loss_, best_loss_, loss_curve_, coefs_, intercepts_, n_iter_, t_, n_layers_, n_outputs_, out_activation_
        As for `MLPClassifier`.
    validation_scores_, validation_loss_curve_, best_validation_score_
        As for `MLPClassifier`; the score is R².
    n_features_in_, feature_names_in_
        As for `MLPClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from fastnn.estimators import MLPRegressor
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> model = MLPRegressor(hidden_layer_sizes=10, solver="lbfgs", tol=0.1, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.99)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BasePerceptron._parameter_constraints,
        "loss": [StrOptions(objectives.NAMES | {"squared_error"}), losses.Loss],
    }

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        batch_norm: bool = False,
        callbacks: Any = None,
    ) -> None:
        self._keep(locals())

    # ---- what training asks -----------------------------------------------------------------------------------------

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, np.ndarray]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _encode(self, y: np.ndarray) -> tuple[np.ndarray, int]:
        dense = np.asarray(y.toarray() if scipy.sparse.issparse(y) else y)  # type: ignore[attr-defined]
        columns = dense.reshape(len(dense), -1)
        return columns, columns.shape[1]

    def _objective(self) -> objectives.Objective:
        return objectives.regression(self.loss, self.n_outputs_)

    def _weights(self, y: np.ndarray, sample_weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        return sample_weight

    def _strata(self, encoded: np.ndarray) -> np.ndarray | None:
        return None

    def _score_outputs(self, outputs: np.ndarray, encoded: np.ndarray, weights: np.ndarray | None) -> float:
        """R², the mean over the outputs; NaN where a prediction is not finite."""
        if not np.isfinite(outputs).all():
            return float("nan")
        y = encoded.astype(np.float64, copy=False)
        error = np.average((y - outputs) ** 2, axis=0, weights=weights)
        spread = np.average((y - np.average(y, axis=0, weights=weights)) ** 2, axis=0, weights=weights)
        # A target that does not vary scores 1 where it is predicted, 0 elsewhere.
        return float(np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), error == 0).mean())

    # ---- the public methods -----------------------------------------------------------------------------------------

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch on X and y, going on from where the last call ended.

        n calls with the same data are ``fit`` with ``max_iter=n``, to the bit.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """The predictions for X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        outputs = self._outputs(X)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
