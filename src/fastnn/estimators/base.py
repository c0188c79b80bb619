"""What both estimators share: parameters, checks, training and prediction."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import scipy.optimize
import scipy.sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.optimize import _check_optimize_result
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import activations, callbacks, layers, losses, optimizers, regularizers
from ..models import Sequential
from . import blocks
from .monitor import Listeners, Monitor
from .objectives import NAMES, Objective

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # before scikit-learn 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands in where scikit-learn has no callbacks."""


_ACTIVATIONS = {"identity": "linear", "logistic": "sigmoid"}  # scikit-learn's names of ours
_ACTIVATION_NAMES = {
    name for name in activations.__all__ if isinstance(getattr(activations, name), activations.Activation)
}
_CALLER = 5  # stack level of who called fit or partial_fit, seen from where training warns


class BasePerceptron(CallbackSupportMixin, BaseEstimator, ABC):
    """Base of both estimators."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "loss": [StrOptions(NAMES), losses.Loss],
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [
            StrOptions({"identity", "logistic", "tanh", "relu"} | _ACTIVATION_NAMES),
            activations.Activation,
        ],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"}), optimizers.Optimizer],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"}), callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state", np.random.Generator],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "batch_norm": ["boolean"],
        "callbacks": [callbacks.Callback, list, tuple, None],
    }

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Make each argument of the constructor an attribute: scikit-learn reads them there."""
        self.__dict__.update({k: v for k, v in arguments.items() if k not in ("self", "__class__")})

    # ---- what the two differ in -------------------------------------------------------------------------------------

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, np.ndarray]:
        """Checked data; y as the user gave it, 1-D where it has one column."""

    @abstractmethod
    def _encode(self, y: np.ndarray) -> tuple[np.ndarray, int]:
        """Targets as the loss takes them, and how many outputs the network has for them."""

    @abstractmethod
    def _objective(self) -> Objective:
        """For the number of outputs that is known by now."""

    @abstractmethod
    def _weights(self, y: np.ndarray, sample_weight: np.ndarray | None, incremental: bool) -> np.ndarray | None:
        """Sample weights, classes' included."""

    @abstractmethod
    def _strata(self, encoded: np.ndarray) -> np.ndarray | None:
        """What the share of must be the same in the training and the validation data."""

    @abstractmethod
    def _score_outputs(self, outputs: np.ndarray, encoded: np.ndarray, weights: np.ndarray | None) -> float:
        """What `score` returns, from the network's outputs and encoded targets."""

    # ---- fit --------------------------------------------------------------------------------------------------------

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> BasePerceptron:
        """Train on X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            float32 and float64 are computed as they are, other types as float64.  A sparse matrix is made dense by
            blocks.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), optional
            What counts is how they compare: the objective is Σ w_i L_i / Σ w_i.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _fit(self, X: Any, y: Any, sample_weight: Any, incremental: bool) -> BasePerceptron:
        hidden = self._hidden_units()
        rates = self._dropout_rates(len(hidden))
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validate_input(X, y, incremental, reset=first)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        weights = self._weights(y, sample_weight, incremental)
        encoded, self.n_outputs_ = self._encode(y)
        objective = self._objective()
        if objective.out_activation == "exp" and encoded.min() < 0:
            raise ValueError(f"Some value(s) of y are out of the valid range of the loss {self.loss!r}: y >= 0")
        if weights is not None and not weights.sum() > 0:
            raise ValueError(f"the samples' weights sum to {weights.sum()}, expected a positive sum")
        units = [X.shape[1], *hidden, self.n_outputs_]
        if first:
            self._initialize(units, X.dtype, objective.out_activation)
        else:
            known = [len(self.coefs_[0]), *(coef.shape[1] for coef in self.coefs_)]
            if units != known:
                raise ValueError(f"the network would have layers of {units}, expected {known} as in the previous fit")
            if self.batch_norm != (normalized := getattr(self, "_normalized", self.batch_norm)):
                raise ValueError(f"batch_norm is {self.batch_norm}, expected {normalized} as in the previous fit")
            if not hasattr(self, "_seed"):  # the weights are of the user's making
                self._start(check_random_state(_legacy(self.random_state)))
        self._rates, self._normalized = rates, self.batch_norm
        if scipy.sparse.issparse(X):
            averages = isinstance(self.solver, optimizers.Optimizer) and self.solver.use_ema  # over a fit, not a block
            X = X.toarray() if averages or blocks.fits_in_one(X) else X.tocsr()
        listeners = Listeners(self, X, y, weights) if hasattr(self, "_skl_callbacks") else None
        try:
            if self.solver == "lbfgs":
                self._fit_lbfgs(X, encoded, weights, objective, listeners)
            else:
                self._fit_stochastic(X, encoded, weights, objective, incremental, listeners)
        finally:
            for callback in callbacks.CallbackList(self.callbacks).callbacks:
                callback.set_model(None)  # whose lock no copy and no pickle of the estimator could take
        if listeners is not None:
            listeners.close()
        if not all(np.isfinite(w).all() for w in [*self.coefs_, *self.intercepts_]):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
                "preprocessed."
            )
        return self

    def _hidden_units(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [int(n) for n in sizes]

    def _dropout_rates(self, hidden: int) -> list[float]:
        """One for each hidden layer."""
        rates = [float(rate) for rate in np.broadcast_to(self.dropout, np.shape(self.dropout) or (hidden,))]
        if len(rates) != hidden:
            raise ValueError(f"dropout has {len(rates)} rates, expected one for each of the {hidden} hidden layers")
        if not all(0 <= rate < 1 for rate in rates):
            raise ValueError(f"dropout is {self.dropout!r}, expected rates in [0, 1)")
        if self.solver == "lbfgs" and (any(rates) or self.batch_norm):
            raise ValueError("dropout and batch_norm are for mini-batches, expected neither with solver='lbfgs'")
        return rates

    def _initialize(self, units: list[int], dtype: np.dtype, out_activation: str) -> None:
        """First weights and empty curves; with an integer random_state the weights are scikit-learn's own."""
        self.n_iter_ = self.t_ = 0
        self.n_layers_ = len(units)
        self.out_activation_ = out_activation
        rng = check_random_state(_legacy(self.random_state))
        factor = 2.0 if self._activation() is activations.sigmoid else 6.0
        self.coefs_, self.intercepts_ = [], []
        for n_in, n_out in pairwise(units):
            bound = np.sqrt(factor / (n_in + n_out))
            self.coefs_.append(rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype, copy=False))
            self.intercepts_.append(rng.uniform(-bound, bound, n_out).astype(dtype, copy=False))
        self._start(rng)
        self._no_improvement_count = 0
        self.validation_loss_curve_: list[float] | None = None
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None
        self.best_loss_: float | None = None
        if self.solver == "lbfgs":
            return
        self.loss_curve_: list[float] = []
        if self.early_stopping:
            self.validation_loss_curve_, self.validation_scores_ = [], []
            self.best_validation_score_ = -np.inf
        else:
            self.best_loss_ = np.inf

    def _start(self, rng: np.random.RandomState) -> None:
        """What later epochs and fits draw from, so that a training in parts is the training in one."""
        self._seed, self._split_seed = (int(seed) for seed in rng.randint(2**31 - 1, size=2))
        self._epochs = 0
        self._optimizer: Any = None
        self._optimizer_is_for: tuple[Any, ...] = ()
        self._model: Sequential | None = None
        self._described: tuple[Any, ...] = ()  # what the model was made for
        self._others: list[np.ndarray] = []  # weights of layers that are not dense

    def _activation(self) -> activations.Activation:
        name = self.activation
        return activations.get(_ACTIVATIONS.get(name, name) if isinstance(name, str) else name)

    def _fit_stochastic(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        objective: Objective,
        incremental: bool,
        listeners: Listeners | None,
    ) -> None:
        held_out = None
        if self.early_stopping:
            X, y, weights, held_out = self._split(X, y, weights)
        samples = X.shape[0]
        batch = self._clipped_batch_size(samples)
        total = samples if weights is None else float(weights.sum())
        # Σ w L / Σ w + ½ alpha |W|²/(samples of a batch), where samples of the mean weight are what is counted.
        model = self._build(X.dtype, 0.5 * self.alpha / (batch * total / samples))
        self._choose_optimizer(X.dtype)
        model.compile(self._optimizer, objective.loss)
        model.epochs_trained = self._epochs
        self._adopt(model)
        score = None
        validation = None
        if held_out is not None:
            held_x, held_y, held_w = held_out
            validation = (held_x, held_y, _scaled(held_w, objective.scale, held_x.shape[0]))

            def score() -> float:
                return self._score_outputs(self._activate(blocks.predict(model, held_x)), held_y, held_w)

        policy = self.learning_rate if self.solver == "sgd" and isinstance(self.learning_rate, str) else "constant"
        monitor = Monitor(self, samples, policy, score, listeners)
        self.n_iter_ = 0
        epochs = 1 if incremental else self.max_iter
        try:
            blocks.fit(
                model,
                X,
                y,
                _scaled(weights, objective.scale, samples),
                batch,
                epochs,
                [monitor, *callbacks.CallbackList(self.callbacks).callbacks],
                validation,
                self.shuffle,
            )
            if self.n_iter_ == self.max_iter and not incremental and not monitor.converged:
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=_CALLER,
                )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=_CALLER)
        self._epochs = model.epochs_trained
        if monitor.best is not None:
            model.set_weights(monitor.best)

    def _split(
        self, X: np.ndarray, y: np.ndarray, weights: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """Training data, and validation data: the same samples at each fit of a warm start."""
        arrays = [X, y] if weights is None else [X, y, weights]
        parts = train_test_split(
            *arrays, random_state=self._split_seed, test_size=self.validation_fraction, stratify=self._strata(y)
        )
        x, held_x, y, held_y, w, held_w = (*parts, None, None)[:6]
        if held_x.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return x, y, w, (held_x, held_y, held_w)

    def _clipped_batch_size(self, samples: int) -> int:
        if self.batch_size == "auto":
            return min(200, samples)
        if self.batch_size > samples:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
                stacklevel=_CALLER + 1,
            )
        return int(min(self.batch_size, samples))

    def _choose_optimizer(self, dtype: np.dtype) -> None:
        """The optimizer of the fit before, with its state, unless a parameter of it has changed."""
        names = ["solver", "learning_rate", "learning_rate_init", "power_t", "momentum", "nesterovs_momentum"]
        names += ["beta_1", "beta_2", "epsilon"]
        wanted = (dtype, *(getattr(self, name) for name in names))
        if self._optimizer is not None and self._optimizer_is_for == wanted:
            return
        rate = self.learning_rate if callable(self.learning_rate) else self.learning_rate_init
        if isinstance(self.solver, optimizers.Optimizer):
            self._optimizer = copy.deepcopy(self.solver)  # the argument stays as it is
        elif self.solver == "sgd":
            momentum = min(self.momentum, np.nextafter(1.0, 0))  # 1 is allowed here, and is the same to all digits
            self._optimizer = optimizers.SGD(rate, momentum, self.nesterovs_momentum)
        else:
            self._optimizer = optimizers.Adam(rate, self.beta_1, self.beta_2, self.epsilon)
        self._optimizer_is_for = wanted

    def _fit_lbfgs(
        self,
        X: np.ndarray,
        y: np.ndarray,
        weights: np.ndarray | None,
        objective: Objective,
        listeners: Listeners | None,
    ) -> None:
        """In float64 throughout, whatever the data's type: a line search compares small differences."""
        samples = X.shape[0]
        total = samples if weights is None else float(weights.sum())
        x = X.astype(np.float64, copy=False)
        model = self._build(x.dtype, 0.5 * self.alpha / total)
        model.compile("sgd", objective.loss)
        scaled = _scaled(weights, objective.scale, samples)
        observers = callbacks.CallbackList(self.callbacks)
        observers.set_params({"epochs": self.max_iter, "steps": 1, "samples": samples, "verbose": 0})
        observers.set_model(model)
        model.stop_training = False
        iteration = 0
        logs: dict[str, float] = {}

        def after(intermediate_result: scipy.optimize.OptimizeResult) -> None:
            nonlocal iteration, logs
            logs = {"loss": float(intermediate_result.fun)}
            iteration += 1
            if self.verbose:
                print(f"Iteration {iteration}, loss = {logs['loss']:.8f}")
            if observers.callbacks or listeners is not None:
                model.parameters = intermediate_result.x
                observers.on_epoch_end(iteration - 1, logs)
            if listeners is not None:
                self._adopt(model)
                listeners.begin()
                model.stop_training |= listeners.end()
            if model.stop_training:
                raise StopIteration

        observers.on_train_begin()
        try:
            result = scipy.optimize.minimize(
                lambda p: blocks.value_and_gradient(model, x, y, scaled, p),
                model.parameters.copy(),
                jac=True,
                method="L-BFGS-B",
                options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
                callback=after,
            )
        finally:
            observers.on_train_end(logs)
        # Where a callback has stopped it, it has not failed to converge.
        self.n_iter_ = result.nit if model.stop_training else _check_optimize_result("lbfgs", result, self.max_iter)
        self.loss_ = float(result.fun)
        model.parameters = result.x
        if X.dtype != x.dtype:
            self._adopt(model)
            model = self._build(X.dtype, 0.0)
        self._adopt(model)

    # ---- the network ------------------------------------------------------------------------------------------------

    def _build(self, dtype: np.dtype, penalty: float) -> Sequential:
        """A network with the estimator's weights; the penalty is on the kernels, `penalty` times their squares."""
        out = {"exp": "linear", "identity": "linear", "logistic": "sigmoid"}.get(
            self.out_activation_, self.out_activation_
        )
        description = (np.dtype(dtype).name, penalty, self._activation(), out, self._rates, self._normalized)
        model, known = self._model, self._described
        if model is None or known != description:
            model = Sequential(self._stack(penalty, out), seed=self._seed, dtype=np.dtype(dtype).name)
        self._described = description
        self._copy_weights(model)
        return model

    def _stack(self, penalty: float, out: str) -> list[layers.Layer]:
        regularizer = regularizers.L2(penalty) if penalty else None
        stack: list[layers.Layer] = [layers.Input((len(self.coefs_[0]),))]
        for coef, rate in zip(self.coefs_[:-1], self._rates, strict=True):
            units = coef.shape[1]
            if self._normalized:
                stack += [layers.Dense(units, kernel_regularizer=regularizer), layers.BatchNormalization()]
                stack.append(layers.Activation(self._activation()))
            else:
                stack.append(layers.Dense(units, self._activation(), kernel_regularizer=regularizer))
            if rate:
                stack.append(layers.Dropout(rate))
        return [*stack, layers.Dense(self.coefs_[-1].shape[1], out, kernel_regularizer=regularizer)]

    def _copy_weights(self, model: Sequential) -> None:
        """Of layers that are not dense there are none before the first training: those begin as the layers say."""
        for own, ours in zip(_weights(model), (self.coefs_, self.intercepts_, self._others), strict=True):
            for to, value in zip(own, ours, strict=bool(ours)):
                if to is not value:
                    to[...] = value

    def _adopt(self, model: Sequential) -> None:
        """From now on this is the network, and `coefs_` and `intercepts_` are its memory."""
        self._model = model
        self.coefs_, self.intercepts_, self._others = _weights(model)

    def _network(self) -> Sequential:
        """The network with the weights of `coefs_` and `intercepts_`, wherever those come from."""
        model = self._model
        if model is None:
            model = self._build(self.coefs_[0].dtype, 0.0)
        else:
            self._copy_weights(model)
        return model

    def _outputs(self, X: Any) -> np.ndarray:
        """What the network makes of X, (n_samples, n_outputs)."""
        check_is_fitted(self, "coefs_")
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        X = X.tocsr() if scipy.sparse.issparse(X) else X
        return self._activate(blocks.predict(self._network(), X))

    def _activate(self, outputs: np.ndarray) -> np.ndarray:
        """The last activation, where it is none of the network's."""
        return np.exp(outputs, out=outputs) if self.out_activation_ == "exp" else outputs

    def to_onnx(self, path: Any) -> None:
        """Write the network to an ONNX file, as `Sequential.export` does: ``pip install "fastnn[onnx]"``.

        Its outputs (N, n_outputs_) are the probabilities of ``classes_``, of the second one alone where there are two,
        or the regressor's predictions.

        Parameters
        ----------
        path : path-like
        """
        check_is_fitted(self, "coefs_")
        model = self._network()
        if self.out_activation_ == "exp":  # which the loss has taken over, in training
            model = Sequential(self._stack(0.0, "exponential"), seed=self._seed, dtype=model.dtype.name)
            self._copy_weights(model)
        model.export(path)

    # ---- scikit-learn's protocol ------------------------------------------------------------------------------------

    def _check_solver(self) -> bool:
        if self.solver == "lbfgs":
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "_model" in state:
            state["_model"] = None  # made again from the weights
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _weights(model: Sequential) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Kernels and biases of the dense layers, and all weights of the others: the model's own memory."""
    dense = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
    others = [w for layer in model.layers if not isinstance(layer, layers.Dense) for w in layer.weights]
    return [layer.kernel for layer in dense], [w for layer in dense if (w := layer.bias) is not None], others


def _legacy(random_state: Any) -> Any:
    """A Generator as a RandomState that draws from the same bits, and anything else as it is."""
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.bit_generator)
    return random_state


def _scaled(weights: np.ndarray | None, scale: float, samples: int) -> np.ndarray | None:
    """Weights whose mean is `scale`: what makes the network's mean loss Σ w L / Σ w times it."""
    if weights is None:
        return None if scale == 1 else np.full(samples, scale)
    return np.asarray(weights * (scale * samples / weights.sum()))
