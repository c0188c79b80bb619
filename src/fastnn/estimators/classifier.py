"""`MLPClassifier`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import validate_data

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
    """A multilayer perceptron for classes or labels: scikit-learn's, trained in compiled code.

    Parameters, attributes, warnings and errors are those of ``sklearn.neural_network.MLPClassifier``, and more.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of int, default=(100,)
        Units of each hidden layer; an empty list is a linear model.
    activation : {"identity", "logistic", "tanh", "relu"}, or any of fastnn's by name or as an object, default="relu"
        Of the hidden layers.
    solver : {"lbfgs", "sgd", "adam"} or Optimizer, default="adam"
        An optimizer of `fastnn.optimizers` is copied, and has its own rate and momenta; those below are not used then.
    alpha : float, default=0.0001
        The objective of a batch has the penalty alpha/2 Σ W² over the kernels, divided by `batch_size`; with "lbfgs" by
        the number of samples.
    batch_size : int or "auto", default="auto"
        "auto" is min(200, n_samples).
    learning_rate : {"constant", "invscaling", "adaptive"}, schedule or callable, default="constant"
        The three are for "sgd": constant; `learning_rate_init` / (t_ + 1)**power_t, anew after each epoch; divided by 5
        where `n_iter_no_change` epochs have brought no `tol`.  A schedule of `fastnn.optimizers.schedules`, or another
        function of the step, is for "sgd" and "adam".
    learning_rate_init : float, default=0.001
    power_t : float, default=0.5
    max_iter : int, default=200
        Epochs, or iterations of "lbfgs".
    shuffle : bool, default=True
        Draw a new order of the samples for each epoch.
    random_state : int, RandomState, Generator or None, default=None
        What first weights, the order of samples and the validation data are drawn from.  The same integer gives the
        same bits at any number of threads, and scikit-learn's own first weights.
    tol : float, default=1e-4
        What the loss, or with `early_stopping` the score, has to improve by within `n_iter_no_change` epochs.  The
        largest gradient at which "lbfgs" ends.
    verbose : bool or int, default=False
        Print the loss of each epoch.
    warm_start : bool, default=False
        `fit` goes on from the weights, the optimizer's state and the place in the schedule of the last `fit`.
    momentum : float in [0, 1], default=0.9
    nesterovs_momentum : bool, default=True
    early_stopping : bool, default=False
        Hold out `validation_fraction` of the samples; stop where their score no longer improves, and take the weights
        of the best epoch.
    validation_fraction : float in [0, 1), default=0.1
    beta_1, beta_2 : float in [0, 1), default=0.9, 0.999
    epsilon : float, default=1e-8
    n_iter_no_change : int or inf, default=10
    max_fun : int, default=15000
        Evaluations of the objective by "lbfgs", at most.
    loss : "log_loss", a name of `fastnn.losses`, or Loss, default="log_loss"
        Behind a sigmoid, or a softmax where there are more classes than two or the loss is of a row of classes.  A
        hinge loss takes the outputs as they are: there is `decision_function` then, and no `predict_proba`.
    class_weight : dict, list of dict, "balanced" or None, default=None
        Weights of the classes' samples, which multiply `sample_weight`; for labels a list, one for each.
    dropout : float in [0, 1), or one for each hidden layer, default=0.0
        The share of each hidden layer's outputs that training leaves out at random.
    batch_norm : bool, default=False
        Normalise each hidden layer over the batch, before its activation.
    callbacks : fastnn.callbacks.Callback or list of them, optional
        Called as by `Sequential.fit`; with "lbfgs" at its beginning and end, and after each iteration.  scikit-learn's
        own are set by `set_callbacks`, where it has them (1.9).

    Attributes
    ----------
    classes_ : ndarray or list of ndarray
    loss_ : float
        Of the last epoch: the mean over its batches, each before its update, penalty included.
    best_loss_ : float or None
        The least so far; None with `early_stopping` and "lbfgs".
    loss_curve_ : list of float
        `loss_` of each epoch; not with "lbfgs".
    validation_scores_, validation_loss_curve_ : list of float or None
        Accuracy and loss of the validation data after each epoch, with `early_stopping`.
    best_validation_score_ : float or None
    coefs_, intercepts_ : list of ndarray
        Kernel (n_in, n_out) and bias (n_out,) of each layer, in the dtype of X.  They are the network's own: what is
        written into them counts.
    n_iter_ : int
        Epochs of the last call, or iterations.
    t_ : int
        Samples trained on so far.
    n_layers_, n_outputs_ : int
    out_activation_ : {"identity", "logistic", "softmax", "exp"}
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where X had names.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastnn.estimators import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(16, learning_rate_init=0.02, tol=1e-3, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    """

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
            self._label_binarizer = LabelBinarizer().fit(y)
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
        kind = self._label_binarizer.y_type_
        if y.ndim == 2 or kind == "multilabel-indicator":  # transform has the errors for what does not fit
            rows = self._label_binarizer.transform(y)
            return rows, rows.shape[1]
        labels = np.searchsorted(self.classes_, y)
        outputs = len(self.classes_) if kind == "multiclass" else 1 + objectives.needs_two_outputs(self.loss)
        if outputs > 1 and self._sparse_targets():
            return labels, outputs
        return (labels[:, np.newaxis] if outputs == 1 else np.eye(outputs)[labels]), outputs

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
        if isinstance(self.class_weight, list) and y.ndim == 1:
            raise ValueError("class_weight is a list, which is for labels, expected a dict or 'balanced'")
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
            self._label_binarizer = LabelBinarizer().fit(y if is_multilabel else classes)
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
        classes: np.ndarray = self._label_binarizer.inverse_transform(outputs, self._threshold())
        return classes

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
        result: np.ndarray = self.predict_proba(X)
        np.log(result, out=result)
        return result

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
