"""`Sequential`: a stack of layers over one flat vector of parameters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from . import callbacks as callbacks_
from . import losses, metrics, optimizers, threads, validation
from .kernels import core
from .layers import Dense, Input, Layer

__all__ = ["Sequential"]


class Sequential:
    """A dense network: layers one after the other.

    Parameters
    ----------
    layers : iterable of Layer, optional
        An `Input` first makes the model build at once; otherwise it is built on the first data.
    name : str, optional
    seed : int from 0 to 2**64 - 1, optional
        What the first parameters and the order of samples are drawn from: the same seed gives the same bits, at any number
        of threads.  Drawn from the operating system where it is None.
    dtype : {"float32", "float64"}

    Attributes
    ----------
    layers : list of Layer
        Without the `Input`.
    seed : int
    optimizer, loss
        As compiled; None before.
    stop_training : bool
        Set by a callback to end `fit` after the epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Sequential, layers
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]); y = np.array([0, 1, 1, 0])
    >>> model = Sequential([layers.Input((2,)), layers.Dense(8, activation="tanh"), layers.Dense(1, activation="sigmoid")], seed=0)
    >>> model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    >>> history = model.fit(x, y, batch_size=4, epochs=2000, verbose=0)
    >>> model.predict(x).round().ravel()
    array([0., 1., 1., 0.], dtype=float32)
    """

    def __init__(self, layers: Iterable[Layer] = (), name: str | None = None, *, seed: int | None = None, dtype: str = "float32") -> None:
        self.name = name or "sequential"
        self.seed = int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) if seed is None else validation.integer("seed", seed, high=2**64 - 1)
        self.dtype = np.dtype(validation.choice("dtype", np.dtype(dtype).name, ("float32", "float64")))
        self.layers: list[Dense] = []
        self.stop_training = False
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self._metric_names: list[str] = []
        self._metric: metrics.Metric | None = None
        self._engine: Any = None
        self._input: Input | None = None
        self._epochs = 0  # trained so far: each draws its own order of the samples
        for layer in layers:
            self.add(layer)
        if self._input and self.layers:
            self.build(self._input.shape[0])

    # ---- building ---------------------------------------------------------------------------------------------------

    def add(self, layer: Layer) -> None:
        """Put a layer on top.

        Raises
        ------
        TypeError
            For anything that is no layer of fastnn.
        ValueError
            For an `Input` that is not first, a layer that is there already, or a model that is built.
        """
        if self._engine is not None:
            raise ValueError("layer cannot be added to a model that is built: give all layers to Sequential, or add before the Input is known")
        if isinstance(layer, Input):
            if self._input or self.layers:
                raise ValueError("layer is an Input, expected at the first place only")
            self._input = layer
        elif not isinstance(layer, Dense):
            raise TypeError(f"layer is {layer!r}, expected a layer such as layers.Dense(10)")
        elif layer.n_in is not None or any(layer is other for other in self.layers):
            raise ValueError(f"layer {layer.name!r} is part of a model already, expected a new one")
        else:
            layer.name = layer.name or f"dense_{len(self.layers) + 1}"
            if layer.name in [other.name for other in self.layers]:
                raise ValueError(f"layer has the name {layer.name!r}, which another layer has")
            self.layers.append(layer)

    def build(self, n_in: int) -> None:
        """Make and initialise the parameters, for `n_in` input features."""
        if not self.layers:
            raise ValueError("the model has no layers: add a layers.Dense")
        sizes = [validation.integer("n_in", n_in, low=1), *(layer.units for layer in self.layers)]
        for layer, size in zip(self.layers, sizes, strict=False):
            layer.n_in = size
        total = sum(layer.count_params() for layer in self.layers)
        kernels = core(self.dtype)
        self._parameters, self._gradients = kernels.aligned(total), kernels.aligned(total)
        program = [(layer.n_in, layer.units, layer.use_bias, layer.activation.code) for layer in self.layers]
        self._engine = kernels.Engine(program, self._parameters, self._gradients)
        at = 0
        for index, layer in enumerate(self.layers):
            end = at + layer.count_params()
            layer.bind(self._engine, index, self._parameters[at:end], self._gradients[at:end])
            layer.initialize(np.random.default_rng([self.seed, index]))
            at = end
        if self.loss is not None:
            self._set_loss()

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
            A loss on probabilities behind the activation it belongs to (binary cross-entropy behind sigmoid, categorical
            behind softmax) is computed from the pre-activations, exactly.
        metrics : list of str, optional
            At most one: ``"accuracy"`` or a more exact name of it.
        """
        chosen_optimizer, chosen_loss = optimizers.get(optimizer), losses.get(loss)  # type: ignore[arg-type]
        names = [metrics] if isinstance(metrics, str) else list(metrics or ())
        if len(names) > 1:
            raise ValueError(f"metrics has {len(names)} entries, expected at most one")
        if chosen_loss.reduction not in ("sum_over_batch_size", "mean"):
            raise ValueError(f"loss has the reduction {chosen_loss.reduction!r}, expected 'sum_over_batch_size' in a model")
        before = self.optimizer, self.loss, self._metric_names
        self.optimizer, self.loss, self._metric_names = chosen_optimizer, chosen_loss, names
        try:
            if self._engine is not None:
                self._set_loss()
        except ValueError:
            self.optimizer, self.loss, self._metric_names = before
            raise

    def _set_loss(self) -> None:
        assert self.loss is not None
        last = self.layers[-1]
        if self.loss.sparse and last.units == 1:
            raise ValueError("loss is sparse_categorical_crossentropy for a model with one output, expected one output for each class")
        self._metric = metrics.get(self._metric_names[0], last.units, self.loss.sparse) if self._metric_names else None
        spec = self.loss.for_engine(last.activation)
        self._engine.set_loss(spec.code, spec.fused, spec.label_smoothing, self._metric.code if self._metric else 0)

    # ---- parameters -------------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> np.ndarray:
        """All parameters in one vector: layer by layer, kernel (in, out) in C order, then bias.

        The array is the model's own memory: writing into it changes the model, and so does assigning to it.
        """
        self._need_build()
        return self._parameters

    @parameters.setter
    def parameters(self, value: Any) -> None:
        self._need_build()
        given = validation.array("parameters", value, self.dtype)
        if given.shape != self._parameters.shape:
            raise ValueError(f"parameters has shape {given.shape}, expected {self._parameters.shape}")
        self._parameters[...] = given

    @property
    def gradients(self) -> np.ndarray:
        """The gradient of the last `backward` or `value_and_gradient`, laid out as `parameters`; the model's own memory,
        which `fit` uses as well."""
        self._need_build()
        return self._gradients

    def count_params(self) -> int:
        """The number of parameters."""
        return int(self.parameters.size)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of kernel and bias of each layer, in order."""
        self._need_build()
        return [a.copy() for a in self._weights()]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign what `get_weights` returned.

        Raises
        ------
        ValueError
            For another number of arrays or other shapes; nothing is assigned then.
        """
        self._need_build()
        own, given = self._weights(), list(weights)
        if len(given) != len(own):
            raise ValueError(f"weights has {len(given)} arrays, expected {len(own)}: kernel and bias of each layer")
        checked = [validation.array(f"weights[{i}]", w, self.dtype) for i, w in enumerate(given)]
        for i, (w, v) in enumerate(zip(checked, own, strict=True)):
            if w.shape != v.shape:
                raise ValueError(f"weights[{i}] has shape {w.shape}, expected {v.shape}")
        for w, v in zip(checked, own, strict=True):
            v[...] = w

    def _weights(self) -> list[np.ndarray]:
        return [a for layer in self.layers for a in (layer.kernel, layer.bias) if a is not None]

    def summary(self) -> None:
        """Print the layers, their shapes and their numbers of parameters."""
        built = self._engine is not None
        rows = [("Layer", "Activation", "Output shape", "Parameters")]
        rows += [
            (f"{layer.name} (Dense)", layer.activation.name, f"(None, {layer.units})", f"{layer.count_params():,}" if built else "not built")
            for layer in self.layers
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = ["  ".join([*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=False)), row[3].rjust(widths[3])]) for row in rows]
        rule = "─" * max(map(len, lines))
        print(f'Model "{self.name}", {self.dtype.name}', rule, lines[0], rule, *lines[1:], rule, sep="\n")
        if built:
            print(f"{self.count_params():,} parameters ({self._parameters.nbytes / 1024:,.1f} KiB)")

    # ---- training ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any,
        y: Any,
        batch_size: int | None = None,
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
        batch_size : int, optional
            Samples of an update, 32 by default; the last batch of an epoch may be shorter.
        epochs : int
            The epoch to stop before, counted from `initial_epoch`.
        verbose : {"auto", 0, 1, 2}
            Nothing, a progress bar, or a line for each epoch; auto is a bar on a terminal and lines elsewhere.
        callbacks : Callback or list of Callback, optional
        validation_split : float in [0, 1)
            This share of the samples, taken from the end before shuffling, is evaluated after each epoch and not trained on.
        validation_data : tuple (x, y) or (x, y, sample_weight), optional
            The same, with data of its own.
        shuffle : bool
            Draw a new order of the samples for each epoch.
        class_weight : dict, optional
            From class to the weight of its samples.
        sample_weight : array_like (N,), optional
        initial_epoch : int

        Returns
        -------
        History
            Its ``history`` holds for each epoch the mean loss over its samples, as each was when its batch was trained on,
            the metric likewise, and both for the validation data as ``val_…``, after the epoch.

        Raises
        ------
        ValueError, TypeError
            For input that does not fit, before anything is changed.
        KeyboardInterrupt
            On Ctrl-C, within a fraction of a second; the model is as it was after the last whole step.
        """
        optimizer, loss = self._compiled()
        batch_size = 32 if batch_size is None else validation.integer("batch_size", batch_size, low=1)
        epochs = validation.integer("epochs", epochs)
        initial_epoch = validation.integer("initial_epoch", initial_epoch)
        share = validation.number("validation_split", validation_split, low=0, high=1, open_high=True)
        observers = callbacks_.CallbackList(callbacks)
        progress_bar = callbacks_.ProgressBar(verbose)
        if share and validation_data is not None:
            raise ValueError("validation_split and validation_data are both given, expected one of them")
        x, y, w = self._data(x, y, sample_weight, class_weight)
        held_out = None
        if share:
            cut = int(len(x) * (1 - share))
            if cut == 0 or cut == len(x):
                raise ValueError(f"validation_split is {share}, which leaves {cut} of {len(x)} samples to train on and {len(x) - cut} to validate with")
            held_out = (x[cut:], y[cut:], None if w is None else w[cut:])
            x, y, w = x[:cut], y[:cut], None if w is None else w[:cut]
        elif validation_data is not None:
            if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
                raise ValueError("validation_data is no tuple (x, y) or (x, y, sample_weight)")
            held_out = self._data(*validation_data[:2], *validation_data[2:3] or (None,), None, prefix="validation_data ")

        state = optimizer.flat_state(self._parameters)
        history = callbacks_.History()
        steps = -(-len(x) // batch_size)
        for callback in (progress_bar, history):
            observers.append(callback)
        observers.set_params({"epochs": epochs, "steps": steps, "samples": len(x), "verbose": verbose})
        observers.set_model(self)
        self.stop_training = False
        logs: dict[str, float] = {}
        observers.on_train_begin()
        try:
            for epoch in range(initial_epoch, epochs):
                observers.on_epoch_begin(epoch)
                self._engine.set_optimizer(*optimizer.hyperparameters(), state)
                logs = self._train_epoch(epoch, x, y, w, batch_size, steps, shuffle, observers)
                if held_out is not None:
                    logs |= {f"val_{name}": value for name, value in self._evaluate(*held_out).items()}
                observers.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            observers.on_train_end(logs)
            self._engine.unbind()
        return history

    def _train_epoch(
        self,
        epoch: int,
        x: np.ndarray,
        y: np.ndarray,
        w: np.ndarray | None,
        batch_size: int,
        steps: int,
        shuffle: bool,
        observers: callbacks_.CallbackList,
    ) -> dict[str, float]:
        optimizer = self._compiled()[0]
        self._engine.bind(x, y, w)
        order = (self.seed, self._epochs) if shuffle else None
        rate = np.array([optimizer.learning_rate])
        n_threads = self._threads(min(batch_size, len(x)))
        try:
            total, hits, bad = self._engine.train(batch_size, order, 0, steps, rate, optimizer.iterations, n_threads, observers.on_progress)
        finally:
            optimizer.iterations += self._engine.steps_done
        if bad >= 0 and (self._epochs == 0 or np.isfinite(self._last_loss)):
            warnings.warn(f"the loss turned {total} in epoch {epoch + 1}, step {bad + 1}", RuntimeWarning, stacklevel=3)
        self._epochs += 1
        self._last_loss = total
        return self._logs(total, hits, len(x))

    def train_on_batch(self, x: Any, y: Any, sample_weight: Any = None, class_weight: dict[int, float] | None = None) -> float | list[float]:
        """One update on one batch; returns its loss before the update, or [loss, metric]."""
        optimizer, _ = self._compiled()
        x, y, w = self._data(x, y, sample_weight, class_weight)
        self._engine.set_optimizer(*optimizer.hyperparameters(), optimizer.flat_state(self._parameters))
        self._engine.bind(x, y, w)
        try:
            total, hits, _ = self._engine.train(len(x), None, 0, 1, np.array([optimizer.learning_rate]), optimizer.iterations, self._threads(len(x)), None)
        finally:
            optimizer.iterations += self._engine.steps_done
            self._engine.unbind()
        values = list(self._logs(total, hits, len(x)).values())
        return values if len(values) > 1 else values[0]

    # ---- step by step -----------------------------------------------------------------------------------------------

    def forward(self, x: Any) -> np.ndarray:
        """The outputs (N, out) for x (N, in), keeping what `backward` needs: every layer's activations.

        ``forward``, ``backward``, ``optimizer.apply(model.gradients, model.parameters)`` is a step of `fit`, to the bit.
        """
        x = self._features(x)
        self._engine.bind(x, None, None)
        self._engine.forward_all(self._threads(len(x)))
        self._forward_x = x
        return self.layers[-1].output

    def backward(self, y: Any, sample_weight: Any = None) -> float:
        """The cost of the last `forward` against targets y; its gradient is then in `gradients`."""
        loss = self._compiled()[1]
        if self._forward_x is None:
            raise ValueError("there is no forward pass to go back from: call forward(x) first")
        x = self._forward_x
        y = loss.targets(y, len(x), self.layers[-1].units, self.dtype)
        self._engine.bind(x, y, validation.weights("sample_weight", sample_weight, self.dtype, len(x)))
        return self._engine.backward_all(self._threads(len(x))) / len(x)

    _forward_x: np.ndarray | None = None

    def value_and_gradient(self, x: Any, y: Any, sample_weight: Any = None, parameters: Any = None) -> tuple[float, np.ndarray]:
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
        self._compiled()
        x, y, w = self._data(x, y, sample_weight, None)
        own = None
        if parameters is not None:
            own = self._parameters.copy()
            self.parameters = parameters
        self._engine.bind(x, y, w)
        try:
            total, _ = self._engine.gradient(self._threads(len(x)))
        finally:
            self._engine.unbind()
            if own is not None:
                self._parameters[...] = own
        return total / len(x), self._gradients.copy()

    # ---- applying ---------------------------------------------------------------------------------------------------

    def evaluate(self, x: Any, y: Any, verbose: str | int = 0, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss, or [loss, metric], or with `return_dict` both by name.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`.
        verbose : {"auto", 0, 1, 2}
            Anything but 0 prints the result.
        return_dict : bool
        """
        self._compiled()
        logs = self._evaluate(*self._data(x, y, sample_weight, None))
        if validation.choice("verbose", verbose, ("auto", 0, 1, 2)):
            print(" - ".join(f"{name}: {value:.4f}" for name, value in logs.items()))
        if return_dict:
            return logs
        return list(logs.values()) if len(logs) > 1 else logs["loss"]

    def predict(self, x: Any) -> np.ndarray:
        """The outputs (N, out) for x (N, in), in the model's dtype."""
        x = self._features(x)
        out = np.empty((len(x), self.layers[-1].units), self.dtype)
        self._engine.bind(x, None, None)
        try:
            self._engine.predict(out, self._threads(len(x), passes=1))
        finally:
            self._engine.unbind()
        return out

    def __call__(self, x: Any) -> np.ndarray:
        """`predict`."""
        return self.predict(x)

    def _evaluate(self, x: np.ndarray, y: np.ndarray, w: np.ndarray | None) -> dict[str, float]:
        self._engine.bind(x, y, w)
        try:
            total, hits = self._engine.evaluate(self._threads(len(x), passes=1))
        finally:
            self._engine.unbind()
        return self._logs(total, hits, len(x))

    # -----------------------------------------------------------------------------------------------------------------

    def _logs(self, total: float, hits: float, n: int) -> dict[str, float]:
        return {"loss": total / n} | ({self._metric.name: hits / n} if self._metric else {})

    def _threads(self, rows: int, passes: int = 3) -> int:
        """Threads for the three passes of training (forward, and two of backward), or for one."""
        return threads.for_step(self._engine.multiply_adds * min(rows, self._engine.chunk) * passes / 3)

    def _need_build(self) -> None:
        if self._engine is None:
            raise ValueError("the model is not built: give it a layers.Input first, or data")

    def _compiled(self) -> tuple[optimizers.Optimizer, losses.Loss]:
        if self.optimizer is None or self.loss is None:
            raise ValueError("the model has no loss: call compile(optimizer=…, loss=…) first")
        return self.optimizer, self.loss

    def _features(self, x: Any, name: str = "x") -> np.ndarray:
        known = self.layers[0].n_in if self._engine is not None else None
        result = validation.matrix(name, x, self.dtype, known)
        if self._engine is None:
            self.build(result.shape[1])
        return result

    def _data(
        self, x: Any, y: Any, sample_weight: Any, class_weight: dict[int, float] | None, prefix: str = ""
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        loss = self._compiled()[1]
        if self._engine is None:  # everything is checked before the model is built
            validation.matrix(f"{prefix}x", x, self.dtype)
        x = self._features(x, f"{prefix}x")
        y = loss.targets(y, len(x), self.layers[-1].units, self.dtype, f"{prefix}y")
        w = validation.weights(f"{prefix}sample_weight", sample_weight, self.dtype, len(x))
        if class_weight is not None:
            by_class = validation.class_weights("class_weight", class_weight, y).astype(self.dtype)
            w = by_class if w is None else w * by_class
        return x, y, w
