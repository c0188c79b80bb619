"""`Sequential`: a network that is compiled, trained and evaluated."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import callbacks as callbacks_
from .. import losses, metrics, optimizers, validation
from ..layers import Layer
from .network import Network

__all__ = ["Sequential"]


class Sequential(Network):
    """A dense network: layers one after the other.

    Parameters
    ----------
    layers : iterable of Layer, optional
        An `Input` first makes the model build at once, or where layers are added one by one as soon as it is compiled
        or asked for its parameters; otherwise it is built on the first data.
    name : str, optional
    seed : int from 0 to 2**64 - 1, optional
        What the first parameters and the order of samples are drawn from: the same seed gives the same bits, at any
        number of threads.  Drawn from the operating system where it is None.
    dtype : {"float32", "float64"}

    Attributes
    ----------
    layers : list of Layer
        Without the `Input`.
    seed : int
    optimizer, loss
        As compiled; None before.
    epochs_trained : int
        Epochs of `fit` so far: with the seed, the parameters and the optimizer's state all that training depends on.
    stop_training : bool
        Set by a callback to end `fit` after the epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Sequential, layers
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]); y = np.array([0, 1, 1, 0])
    >>> stack = [layers.Input((2,)), layers.Dense(8, activation="tanh"), layers.Dense(1, activation="sigmoid")]
    >>> model = Sequential(stack, seed=0)
    >>> model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(x, y, batch_size=4, epochs=2000, verbose=0)
    >>> model.predict(x).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    def __init__(
        self, layers: Iterable[Layer] = (), name: str | None = None, *, seed: int | None = None, dtype: str = "float32"
    ) -> None:
        self.stop_training = False
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self._metric_names: list[str] = []
        self._metric: metrics.Metric | None = None
        self._epochs_trained = 0
        super().__init__(layers, name, seed=seed, dtype=dtype)

    @property
    def epochs_trained(self) -> int:
        """Epochs of `fit` so far: which order of the samples comes next.  A training that goes on later assigns it."""
        return self._epochs_trained

    @epochs_trained.setter
    def epochs_trained(self, value: int) -> None:
        self._epochs_trained = validation.integer("epochs_trained", value, high=2**32 - 1)

    def _check_outputs(self, n_out: int) -> None:
        if self.loss is not None:
            self._specify(self.loss, self._metric_names, n_out)

    def _after_build(self) -> None:
        if self.loss is not None:
            self._set_loss()
        self._announce_parameters()

    def _announce_parameters(self) -> None:
        """Tell the optimizer how the flat vector is cut, so that clipping by norms is the same by hand as in `fit`."""
        if self.optimizer is not None and self._engine is not None:
            self.optimizer.expect(self._parameters, [array.size for array in self.trainable_weights])

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "sgd",
        loss: str | losses.Loss | None = None,
        metrics: Sequence[str] | None = None,
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str or Loss
            A loss on probabilities behind the activation it belongs to (binary cross-entropy behind sigmoid,
            categorical behind softmax) is computed from the pre-activations, exactly.
        metrics : list of str, optional
            At most one: ``"accuracy"`` or a more exact name of it.

        Raises
        ------
        ValueError, TypeError
            For an unknown name, or a loss or metric that does not fit the last layer, before anything is changed.
        """
        chosen_optimizer, chosen_loss = optimizers.get(optimizer), losses.get(loss)  # type: ignore[arg-type]
        if not isinstance(metrics, (str, list, tuple, type(None))):
            raise TypeError(f"metrics is {metrics!r}, expected a list of names")
        names = [metrics] if isinstance(metrics, str) else list(metrics or ())
        if len(names) > 1:
            raise ValueError(f"metrics has {len(names)} entries, expected at most one")
        if chosen_loss.reduction not in ("sum_over_batch_size", "mean"):
            raise ValueError(
                f"loss has the reduction {chosen_loss.reduction!r}, expected 'sum_over_batch_size' in a model"
            )
        outputs = self._known_outputs() if self.layers else None
        if outputs is not None:
            self._specify(chosen_loss, names, outputs)

        def change(engine: Any) -> None:
            self.optimizer, self.loss, self._metric_names = chosen_optimizer, chosen_loss, names
            if engine is not None:
                self._set_loss()

        self._work(change)
        self._announce_parameters()
        self._build_if_known()

    def _specify(
        self, loss: losses.Loss, metric_names: Sequence[str], outputs: int
    ) -> tuple[losses.KernelLoss, metrics.Metric | None]:
        """What the engine needs to know of a loss and a metric behind the last layer."""
        loss.check_outputs(outputs)
        metric = metrics.get(metric_names[0], outputs, loss.sparse) if metric_names else None
        return loss.for_engine(self._last_activation), metric

    def _set_loss(self) -> None:
        assert self.loss is not None
        spec, self._metric = self._specify(self.loss, self._metric_names, self._n_outputs)
        code = self._metric.code if self._metric else 0
        self._engine.set_loss(spec.kernel(self.dtype), spec.fused, code, spec.own)

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int | str | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: tuple[Any, ...] | None = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
    ) -> callbacks_.History:
        """Train for a number of epochs.

        Parameters
        ----------
        x : array_like (N, in)
            Converted to the model's dtype once; no copy where it has it.
        y : array_like (N, out), or integer labels (N,) for sparse losses; (N,) means (N, 1)
        batch_size : int or "full", optional
            Samples of an update, 32 by default; the last batch of an epoch may be shorter.  "full" is batch gradient
            descent: one update an epoch, by the exact gradient of all samples, in memory that does not grow with them.
        epochs : int
            The epoch to stop before, counted from `initial_epoch`.
        verbose : {"auto", 0, 1, 2}
            Nothing, a progress bar, or a line for each epoch; auto is a bar on a terminal and lines elsewhere.
        callbacks : Callback or list of Callback, optional
        validation_split : float in [0, 1)
            This share of the samples, taken from the end before shuffling, is evaluated after each epoch and not
            trained on.
        validation_data : tuple (x, y) or (x, y, sample_weight), optional
            The same, with data of its own.
        shuffle : bool
            Draw a new order of the samples for each epoch.
        class_weight : dict, optional
            From class to the weight of its samples in training, 1 where it is not named; validation does without.
        sample_weight : array_like (N,), optional
        initial_epoch : int

        Returns
        -------
        History
            Its ``history`` holds for each epoch the mean loss over its samples, as each was when its batch was trained
            on, the metric likewise, and both for the validation data as ``val_…``, after the epoch.

        Raises
        ------
        ValueError, TypeError
            For input that does not fit, before anything is changed.
        RuntimeError
            Where a callback's `on_progress` calls back into the model that is training; nothing keeps it from reading
            and assigning parameters.
        KeyboardInterrupt
            On Ctrl-C, within a fraction of a second; the model is as it was after the last whole step.
        """
        optimizer, loss = self._compiled()
        size = _batch_size(batch_size)
        epochs = validation.integer("epochs", epochs)
        initial_epoch = validation.integer("initial_epoch", initial_epoch)
        share = validation.number("validation_split", validation_split, low=0, high=1, open_high=True)
        observers = callbacks_.CallbackList(callbacks)
        progress_bar = callbacks_.ProgressBar(verbose)
        if share and validation_data is not None:
            raise ValueError("validation_split and validation_data are both given, expected one of them")
        x, y, given = self._data(x, y, sample_weight)
        w = self._by_class(class_weight, y, given)
        held_out = None
        if share:
            cut = int(len(x) * (1 - share))
            if cut == 0 or cut == len(x):
                raise ValueError(
                    f"validation_split is {share}, which leaves {cut} of {len(x)} samples to train on and "
                    f"{len(x) - cut} to validate with, expected at least one of each"
                )
            held_out = (x[cut:], y[cut:], None if given is None else given[cut:])
            x, y, w = x[:cut], y[:cut], None if w is None else w[:cut]
        elif validation_data is not None:
            if not isinstance(validation_data, (tuple, list)):
                kind = type(validation_data).__name__
                raise TypeError(f"validation_data is {kind}, expected a tuple (x, y) or (x, y, sample_weight)")
            if len(validation_data) not in (2, 3):
                raise ValueError(
                    f"validation_data has {len(validation_data)} entries, expected (x, y) or (x, y, sample_weight)"
                )
            held_x, held_y, held_w = (*validation_data, None)[:3]
            held_out = self._data(held_x, held_y, held_w, "validation_data ", x.shape[1])
        if self._engine is None:
            self.build(x.shape[1])
        optimizer.flat_state(self._parameters)  # raises where it has another model's
        size = len(x) if size is None else min(size, len(x))
        n_threads = self._threads(size)

        history = callbacks_.History()
        for callback in (progress_bar, history):
            observers.append(callback)
        observers.set_params({"epochs": epochs, "steps": -(-len(x) // size), "samples": len(x), "verbose": verbose})
        observers.set_model(self)
        self.stop_training = False
        warned = False
        logs: dict[str, float] = {}
        try:
            observers.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                observers.on_epoch_begin(epoch)
                if self.optimizer is not optimizer or self.loss is not loss:
                    raise ValueError(
                        "a callback compiled the model within fit, expected it to stay as it was; "
                        "optimizer.learning_rate may be set"
                    )
                order = (self.seed, self.epochs_trained) if shuffle else None
                total, hits, bad = self._train(x, y, w, size, order, observers.on_progress, n_threads)
                self.epochs_trained += 1
                logs = self._logs(total, hits, y)
                if bad >= 0 and not warned:
                    warned = True
                    warnings.warn(
                        f"the loss turned {total} in epoch {epoch + 1}, step {bad + 1}", RuntimeWarning, stacklevel=2
                    )
                if held_out is not None:
                    logs |= {f"val_{name}": value for name, value in self._evaluate(*held_out).items()}
                observers.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            optimizer.finalize_variable_values([self._parameters])
        finally:
            observers.on_train_end(logs)
        return history

    def train_on_batch(
        self, x: Any, y: Any, sample_weight: Any = None, class_weight: dict[int, float] | None = None
    ) -> float | list[float]:
        """One update on one batch; returns its loss before the update, or [loss, metric]."""
        x, y, w = self._data(x, y, sample_weight)
        w = self._by_class(class_weight, y, w)
        if self._engine is None:
            self.build(x.shape[1])
        total, hits, _ = self._train(x, y, w, len(x), None, None, self._threads(len(x)))
        values = list(self._logs(total, hits, y).values())
        return values if len(values) > 1 else values[0]

    def _train(
        self,
        x: np.ndarray,
        y: np.ndarray,
        w: np.ndarray | None,
        batch_size: int,
        order: tuple[int, int] | None,
        progress: Callable[[int], None] | None,
        n_threads: int,
    ) -> tuple[float, float, int]:
        """Train one epoch, its samples in the order drawn from (seed, epoch) or as they come.

        Returns the sums of losses and accuracies, and the first step with a loss that is not finite or -1.
        """
        optimizer, _ = self._compiled()
        state = optimizer.flat_state(self._parameters)
        steps = -(-len(x) // batch_size)

        def train(engine: Any) -> tuple[float, float, int]:
            engine.set_optimizer(optimizer.hyperparameters(), state)
            rates, before = optimizer.rates(steps), optimizer.steps
            # Nothing between try and finally but the call: Ctrl-C in Python code would add the steps of the last one.
            try:
                result: tuple[float, float, int] = engine.train(
                    batch_size, order, 0, steps, rates, before, n_threads, progress
                )
            finally:
                optimizer.steps += engine.steps_done
            return result

        return self._work(train, x, y, w)

    def forward(self, x: Any) -> np.ndarray:
        """The outputs (N, out) for x (N, in), keeping what `backward` needs: every layer's activations.

        ``forward``, ``backward``, ``optimizer.apply(model.gradients, model.parameters)`` is a step of `fit`, to the
        bit.
        """
        x = self._features(x)
        n_threads = self._threads(len(x))
        self._work(lambda engine: engine.forward_all(n_threads, self._steps), x)
        self._forward_x = x
        return self.layers[-1].output

    def backward(self, y: Any, sample_weight: Any = None) -> float:
        """The cost of the last `forward` against targets y; its gradient is then in `gradients`.

        Whatever else the model computes in between (`fit`, `predict`, …) forgets the forward pass.
        """
        loss = self._compiled()[1]
        x = self._forward_x
        if x is None:
            raise ValueError("there is no forward pass to go back from: call forward(x) first")
        y = loss.targets(y, len(x), self._n_outputs, self.dtype)
        w = validation.weights("sample_weight", sample_weight, self.dtype, len(x))
        n_threads = self._threads(len(x))
        total: float = self._work(lambda engine: engine.backward_all(n_threads), x, y, w)
        self._forward_x = x
        return total / loss.counted(y)

    def value_and_gradient(
        self, x: Any, y: Any, sample_weight: Any = None, parameters: Any = None
    ) -> tuple[float, np.ndarray]:
        """Cost of all samples, and its gradient with respect to the flat vector of parameters (a copy).

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`; the samples may be many: memory for activations does not grow with them.
        parameters : array_like, optional
            Where to evaluate; the model's own by default, which stay as they are.

        Examples
        --------
        ``scipy.optimize.minimize(lambda p: model.value_and_gradient(x, y, parameters=p), model.parameters, jac=True)``
        (float64 models suit it best).
        """
        x, y, w = self._data(x, y, sample_weight)
        if self._engine is None:
            self.build(x.shape[1])
        n_threads = self._threads(len(x))

        def compute(engine: Any) -> tuple[float, np.ndarray]:
            own = None if parameters is None else self._parameters.copy()
            try:
                if own is not None:
                    self.parameters = parameters
                total, _ = engine.gradient(n_threads, self._steps)
            finally:
                if own is not None:
                    self._parameters[...] = own
            return total / self._compiled()[1].counted(y), self._gradients.copy()

        return self._work(compute, x, y, w)

    def evaluate(
        self, x: Any, y: Any, verbose: str | int = 0, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss, or [loss, metric], or with `return_dict` both by name.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`.
        verbose : {"auto", 0, 1, 2}
            Anything but 0 prints the result.
        return_dict : bool
        """
        validation.choice("verbose", verbose, ("auto", 0, 1, 2))
        x, y, w = self._data(x, y, sample_weight)
        if self._engine is None:
            self.build(x.shape[1])
        logs = self._evaluate(x, y, w)
        if verbose:
            print(" - ".join(f"{name}: {value:.4f}" for name, value in logs.items()))
        if return_dict:
            return logs
        return list(logs.values()) if len(logs) > 1 else logs["loss"]

    def _evaluate(self, x: np.ndarray, y: np.ndarray, w: np.ndarray | None) -> dict[str, float]:
        n_threads = self._threads(len(x), passes=1)
        total, hits = self._work(lambda engine: engine.evaluate(n_threads), x, y, w)
        return self._logs(total, hits, y)

    def _logs(self, total: float, hits: float, y: np.ndarray) -> dict[str, float]:
        counted = self._compiled()[1].counted(y)
        return {"loss": total / counted} | ({self._metric.name: hits / len(y)} if self._metric else {})

    @property
    def _steps(self) -> int:
        """Of the optimizer so far, by which dropout draws."""
        return self.optimizer.steps if self.optimizer is not None else 0

    def _compiled(self) -> tuple[optimizers.Optimizer, losses.Loss]:
        if self.optimizer is None or self.loss is None:
            raise ValueError("the model has no loss: call compile(optimizer=…, loss=…) first")
        return self.optimizer, self.loss

    def _data(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        prefix: str = "",
        n_in: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Checked inputs, targets and weights; nothing is built for them yet."""
        loss = self._compiled()[1]
        x = self._samples(f"{prefix}x", x, n_in)
        y = loss.targets(y, len(x), self._n_outputs, self.dtype, f"{prefix}y")
        w = validation.weights(f"{prefix}sample_weight", sample_weight, self.dtype, len(x))
        return x, y, w

    def _by_class(
        self, class_weight: dict[int, float] | None, y: np.ndarray, w: np.ndarray | None
    ) -> np.ndarray | None:
        """Sample weights times those of the samples' classes."""
        if class_weight is None:
            return w
        classes = self._compiled()[1].classes(y)
        result = validation.class_weights("class_weight", class_weight, classes).astype(self.dtype)
        return result if w is None else w * result


def _batch_size(value: Any) -> int | None:
    """Samples of an update; None for all of them."""
    if value is None:
        return 32
    if isinstance(value, str) and value == "full":
        return None
    return validation.integer("batch_size", value, low=1)
