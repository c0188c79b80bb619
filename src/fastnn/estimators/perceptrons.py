"""`MLPClassifier` and `MLPRegressor`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import losses
from . import objectives
from .base import BasePerceptron


def _has_probabilities(estimator: MLPClassifier) -> bool:
    if objectives.is_margin(estimator.loss):
        raise AttributeError(f"there are no probabilities where loss is {estimator.loss!r}: see decision_function")
    return True


def _has_margins(estimator: MLPClassifier) -> bool:
    if not objectives.is_margin(estimator.loss):
        raise AttributeError(f"there is no decision_function where loss is {estimator.loss!r}: see predict_proba")
    return True


class MLPClassifier(ClassifierMixin, BasePerceptron):
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BasePerceptron._parameter_constraints,
        "loss": [StrOptions(objectives.NAMES | {"log_loss"}), losses.Loss],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
    }

    def __init__(
        self,
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
        loss: Any = "log_loss",
        class_weight: Any = None,
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
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer(sparse_output=True).fit(y)
            self.classes_ = self._label_binarizer.classes_
            return X, y
        classes = unique_labels(y)
        if self.warm_start:
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {self.classes_}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )
        return X, y

    def _encode(self, y: np.ndarray) -> tuple[np.ndarray, int]:
        rows = self._label_binarizer.transform(y)  # sparse: where each sample has one class, the indices are the labels
        kind = self._label_binarizer.y_type_
        if kind == "multiclass" and self._sparse_targets():
            return rows.indices, rows.shape[1]
        dense = rows.toarray()
        if kind == "binary" and objectives.needs_two_outputs(self.loss):
            if self._sparse_targets():
                return dense[:, 0], 2
            dense = np.hstack([1 - dense, dense])
        return dense, dense.shape[1]

    def _sparse_targets(self) -> bool:
        return self.loss == "log_loss" or bool(losses.get(self.loss).sparse)

    def _objective(self) -> objectives.Objective:
        return objectives.classification(self.loss, self._label_binarizer.y_type_, self.n_outputs_)

    def _weights(self, y: np.ndarray, sample_weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        if self.class_weight is None:
            return sample_weight
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' is not supported for partial_fit, which sees a part of the data; compute the "
                "weights of all of it with sklearn.utils.class_weight.compute_class_weight and pass them as a dict"
            )
        by_class = compute_sample_weight(self.class_weight, y)
        result: np.ndarray = by_class if sample_weight is None else by_class * sample_weight
        return result

    def _strata(self, encoded: np.ndarray) -> np.ndarray | None:
        kind = self._label_binarizer.y_type_
        if kind == "binary":
            return encoded[:, -1:].astype(bool) if encoded.ndim == 2 else encoded.astype(bool)
        if kind != "multiclass":
            return None
        labels = encoded if encoded.ndim == 1 else encoded.argmax(axis=1)
        held = int(np.ceil(self.validation_fraction * len(labels)))
        classes, counts = np.unique(labels, return_counts=True)
        # Where a class is too rare to be in both parts the split is by chance, as scikit-learn's is.
        return labels if counts.min() > 1 and len(classes) <= min(held, len(labels) - held) else None

    def _score_outputs(self, outputs: np.ndarray, encoded: np.ndarray, weights: np.ndarray | None) -> float:
        """The accuracy; of labels, the share of samples with all of them right."""
        if outputs.shape[1] == 1 or self._label_binarizer.y_type_ == "multilabel-indicator":
            hits = ((outputs > self._threshold()) == encoded).all(axis=1)
        else:
            hits = outputs.argmax(axis=1) == (encoded if encoded.ndim == 1 else encoded.argmax(axis=1))
        return float(np.average(hits, weights=weights))

    def _threshold(self) -> float:
        """What the output of a class that is there is above."""
        return 0.0 if self.out_activation_ == "identity" else 0.5

    # ---- the public methods -----------------------------------------------------------------------------------------

    @available_if(lambda est: est._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> MLPClassifier:
        """Train for one epoch on X and y, going on from where the last call ended.

        n calls with the same data are ``fit`` with ``max_iter=n``, to the bit.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array of shape (n_classes,), optional
            All that will ever come; needed at the first call.  Labels are as many as y has columns: there it may be
            left out, or be their numbers or ``np.unique(y)``.

        Returns
        -------
        self
        """
        if type_of_target(y).startswith("multilabel"):
            labels = unique_labels(y)
            if classes is not None and not (np.array_equal(classes, labels) or set(np.ravel(classes)) <= {0, 1}):
                raise ValueError(
                    f"classes is {classes!r}, expected the numbers of the {len(labels)} labels, or nothing"
                )
            classes = None if hasattr(self, "classes_") else labels
        if _check_partial_fit_first_call(self, classes):
            is_multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer(sparse_output=True).fit(y if is_multilabel else classes)
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> np.ndarray:
        """The classes of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
        """
        outputs = self._one_for_two(self._outputs(X))
        return self._label_binarizer.inverse_transform(outputs, self._threshold())

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, in the order of ``classes_``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        result = self.predict_proba(X)
        return np.log(result, out=result)

    @available_if(_has_margins)
    def decision_function(self, X: Any) -> np.ndarray:
        """On which side of the margin X is, and how far: where `loss` is a hinge.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) for two classes, or (n_samples, n_classes)
        """
        outputs = self._one_for_two(self._outputs(X))
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _one_for_two(self, outputs: np.ndarray) -> np.ndarray:
        """Two classes' outputs as one, compared with the same threshold."""
        if self._label_binarizer.y_type_ == "binary" and outputs.shape[1] == 2:
            return outputs[:, 1:] - (outputs[:, :1] if self.out_activation_ == "identity" else 0)
        return outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = not objectives.needs_two_outputs(self.loss)
        return tags


class MLPRegressor(RegressorMixin, BasePerceptron):
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
        dense = y.toarray() if scipy.sparse.issparse(y) else y
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
