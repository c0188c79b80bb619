"""scikit-learn."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

from ..cases import Case, Weights, data, first_weights


class Fit:
    """`fit` goes on from the weights that are there (``warm_start``), for so many epochs in one call.

    MLPRegressor's loss is half the squared error, summed over the outputs: Adam does not see such a factor.
    """

    def __init__(self, case: Case, threads: int) -> None:
        warnings.filterwarnings("ignore")  # that it has not converged
        self.case, self.unit = case, case.steps
        self.x, self.y = data(case)
        if case.loss != "ce" and self.y.shape[1] == 1:
            self.y = self.y[:, 0]
        if case.loss != "mse":
            self.y = self.y.astype(np.int64)
        self.start()

    def start(self) -> None:
        case = self.case
        make, classes = (MLPRegressor, {}) if case.loss == "mse" else (MLPClassifier, {"classes": np.unique(self.y)})
        self.model: Any = make(
            hidden_layer_sizes=case.sizes[1:-1],
            activation={"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}[case.activation],
            solver=case.optimizer,
            learning_rate_init=case.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            alpha=0.0,
            batch_size=case.batch,
            tol=0.0,
            n_iter_no_change=np.inf,
            random_state=0,
        )
        self.model.partial_fit(self.x[: case.batch], self.y[: case.batch], **classes)  # makes the weights
        for i, (kernel, bias) in enumerate(first_weights(case)):
            self.model.coefs_[i][...], self.model.intercepts_[i][...] = kernel, bias

    def train(self, units: int, shuffle: bool) -> None:
        self.model.set_params(warm_start=True, max_iter=units, shuffle=shuffle and self.case.steps > 1)
        self.model.fit(self.x, self.y)

    def weights(self) -> Weights:
        return [(k.copy(), b.copy()) for k, b in zip(self.model.coefs_, self.model.intercepts_, strict=True)]
