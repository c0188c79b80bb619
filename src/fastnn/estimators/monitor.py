"""What follows an epoch: curves, learning-rate policies, and whether to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..callbacks import Callback

# scikit-learn's: a rate at or below this is not divided by 5 again.
_LEAST_RATE = 1e-6


class Listeners:
    """scikit-learn's own callbacks (1.9 and later): a task for the fit, and one for each epoch in it."""

    def __init__(self, estimator: Any, X: Any, y: Any, weights: np.ndarray | None) -> None:
        self.estimator = estimator
        self.data = {"X": X, "y": y, "metadata": None if weights is None else {"sample_weight": weights}}
        self.context = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self.context.call_on_fit_task_begin(estimator=estimator, **self.data)

    def begin(self) -> None:
        """An epoch begins."""
        self.task = self.context.subcontext(task_name="epoch")
        self.task.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def end(self) -> bool:
        """An epoch ends; true where one of them wants it to be the last."""
        return bool(
            self.task.call_on_fit_task_end(
                estimator=self.estimator, reconstruction_attributes=self._weights, **self.data
            )
        )

    def close(self) -> None:
        """The fit ends."""
        self.context.call_on_fit_task_end(estimator=self.estimator, **self.data)

    def _weights(self) -> dict[str, list[np.ndarray]]:
        """What a copy of the estimator needs in order to predict as this one does now."""
        e = self.estimator
        return {name: [w.copy() for w in getattr(e, name)] for name in ("coefs_", "intercepts_", "_others")}


class Monitor(Callback):
    """Keeps an estimator's fitted attributes up to date after each epoch, and ends the training.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
    samples : int
        Trained on in an epoch.
    policy : {"constant", "invscaling", "adaptive"}
        Of the learning rate.
    score : callable, optional
        Of the validation data; where there is one, it is what has to improve.
    listeners : Listeners, optional
    """

    def __init__(
        self,
        estimator: Any,
        samples: int,
        policy: str,
        score: Callable[[], float] | None,
        listeners: Listeners | None,
    ) -> None:
        super().__init__()
        self.estimator, self.samples, self.policy, self.score = estimator, samples, policy, score
        self.listeners = listeners
        self.converged = False
        self.best: list[np.ndarray] | None = None  # weights at the best validation score

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Tell who listens."""
        if self.listeners is not None:
            self.listeners.begin()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Count, compare, and stop or slow down."""
        assert logs is not None
        e = self.estimator
        e.n_iter_ += 1
        e.t_ += self.samples
        e.loss_ = logs["loss"]
        e.loss_curve_.append(e.loss_)
        if e.verbose:
            print(f"Iteration {e.n_iter_}, loss = {e.loss_:.8f}")
        if self.score is None:
            self._compare_loss()
        else:
            e.validation_loss_curve_.append(logs["val_loss"])
            self._compare_score(self.score())
        if self.policy == "invscaling":
            e._optimizer.learning_rate = e.learning_rate_init / (e.t_ + 1) ** e.power_t
        if e._no_improvement_count > e.n_iter_no_change:
            self._stop_or_slow_down()
        if self.listeners is not None and self.listeners.end():
            self.model.stop_training = self.converged = True

    def _compare_loss(self) -> None:
        e = self.estimator
        e._no_improvement_count = e._no_improvement_count + 1 if e.loss_ > e.best_loss_ - e.tol else 0
        e.best_loss_ = min(e.best_loss_, e.loss_)  # a NaN is no minimum

    def _compare_score(self, score: float) -> None:
        e = self.estimator
        e.validation_scores_.append(score)
        if e.verbose:
            print(f"Validation score: {score:f}")
        e._no_improvement_count = e._no_improvement_count + 1 if score < e.best_validation_score_ + e.tol else 0
        if score > e.best_validation_score_:
            e.best_validation_score_ = score
            self.best = self.model.get_weights()

    def _stop_or_slow_down(self) -> None:
        e = self.estimator
        what = "Training loss" if self.score is None else "Validation score"
        message = f"{what} did not improve more than tol={e.tol:f} for {e.n_iter_no_change} consecutive epochs."
        rate = e._optimizer.learning_rate
        if self.policy == "adaptive" and rate > _LEAST_RATE:
            e._optimizer.learning_rate = rate / 5
            e._no_improvement_count = 0
            message += f" Setting learning rate to {rate / 5:f}"
        else:
            self.model.stop_training = self.converged = True
            message += " Learning rate too small. Stopping." if self.policy == "adaptive" else " Stopping."
        if e.verbose:
            print(message)
