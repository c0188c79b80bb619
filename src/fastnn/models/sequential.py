"""`Sequential`: a network that is compiled, trained and evaluated."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from os import PathLike
from typing import Any, Unpack

import numpy as np

from .. import callbacks as callbacks_
from .. import plots, validation
from ..layers import Layer
from .compiled import _reported
from .feeds import Arrays, Batches, Checks, Feed, Piece, held_out_feed, is_batches, is_in_memory, split
from .network import Network, Options
from .resumable import Resumable

__all__ = ["Sequential"]

_OUTPUTS = 1 << 22  # that are kept at once for metrics
_PROGRESS_SECONDS = 0.1  # between two reports of progress


class Sequential(Resumable):
    """A dense network: layers one after the other.

    Parameters
    ----------
    layers : iterable of Layer or Sequential, optional
        An `Input` first makes the model build at once, or where layers are added one by one as soon as it is compiled
        or asked for its parameters; otherwise it is built on the first data.  Of a model, its layers are taken; they,
        and others that are part of a model, are shared: each model trains and uses the same weights.
    name : str, optional
    seed : int from 0 to 2**64 - 1, optional
        What the first parameters and the order of samples are drawn from: the same seed gives the same bits, at any
        number of threads.  Drawn from the operating system where it is None.
    dtype : {"float32", "float64"}
    trainable : bool
        Whether training changes any weights.

    Attributes
    ----------
    layers : list of Layer
        Without the `Input`.
    trainable : bool
        As given; setting it sets that of all layers as well.
    seed : int
    optimizer, loss
        As compiled; None before.
    epochs_trained : int
        Epochs of `fit` so far: with the seed, the parameters and the optimizer's state all that training depends on.
    stop_training : bool
        Set by a callback to end `fit` after the epoch, or after the step where a hook for batches sets it.
    stop_evaluating, stop_predicting : bool
        Set by a callback to end `evaluate` or `predict` after the batch.
    finished : bool
        Whether the last `fit` came to its end: False while it runs, and where an exception ended it.
    history : History or None
        Of the last `fit`.
    metrics, metrics_names
        As compiled; the names begin with the loss, and are those of the logs.

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

    history: callbacks_.History | None = None  # of this very object: copies begin without

    def __init__(
        self, layers: Iterable[Layer | Network] = (), name: str | None = None, **options: Unpack[Options]
    ) -> None:
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self.finished = True
        super().__init__(layers, name, **options)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | str | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Iterable[int] = 1,
    ) -> callbacks_.History:
        """Train for a number of epochs.

        Parameters
        ----------
        x : array_like (N, in), or iterable of batches
            Arrays and data frames are converted to the model's dtype once; no copy where they have it.  Of a memory map
            rows are read some steps at a time, and converted then: memory does not grow with the file.  An iterable,
            such as a list, a generator or a data loader, gives batches ``(x, y)`` or ``(x, y, sample_weight)``, each of
            which is a step; it is gone through once an epoch.
        y : array_like (N, out), or integer labels (N,) for sparse losses; (N,) means (N, 1)
            None where x is an iterable.
        batch_size : int or "full", optional
            Samples of an update, 32 by default; the last batch of an epoch may be shorter.  "full" is batch gradient
            descent: one update an epoch, by the exact gradient of all samples, in memory that does not grow with them
            unless a layer needs them all at once.  Nothing where x is an iterable.
        epochs : int
            The epoch to stop before, counted from `initial_epoch`.
        verbose : {"auto", 0, 1, 2}
            Nothing, a progress bar, or a line for each epoch; auto is a bar on a terminal and lines elsewhere.
        callbacks : Callback or list of Callback, optional
        validation_split : float in [0, 1)
            This share of the samples, taken from the end before shuffling, is evaluated after each epoch and not
            trained on.
        validation_data : tuple (x, y) or (x, y, sample_weight), or iterable of such batches, optional
            The same, with data of its own.
        shuffle : bool
            Draw a new order of the samples for each epoch.  That of an iterable stays, and the full batch needs none.
        class_weight : dict, optional
            From class to the weight of its samples in training, 1 where it is not named; validation does without.
        sample_weight : array_like (N,), optional
        initial_epoch : int
        steps_per_epoch : int, optional
            Batches of an epoch, instead of all.  The next epoch goes on where this one stopped; data that end begin
            again, but for an iterator's, which are an error then.
        validation_steps, validation_batch_size : int, optional
            As `steps` and `batch_size` of `evaluate`.
        validation_freq : int or collection of int
            Validate after every so many epochs, or after those, counted from 1.

        Returns
        -------
        History
            Its ``history`` holds for each epoch the mean loss over its samples, as each was when its batch was trained
            on, the metrics likewise, and all for the validation data as ``val_…``, after the epoch.

        Raises
        ------
        ValueError, TypeError
            For input that does not fit, before anything is changed; for a batch of an iterable that does not fit, or
            that is missing, with the model as it was after the last whole step.
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
        steps = _optional_count("steps_per_epoch", steps_per_epoch)
        validates_after = _epochs_of("validation_freq", validation_freq)
        observers, progress_bar = callbacks_.CallbackList(callbacks), callbacks_.ProgressBar(verbose)
        if share and validation_data is not None:
            raise ValueError("validation_split and validation_data are both given, expected one of them")
        feed = self._feed(x, y, sample_weight, steps, epochs - initial_epoch, "steps_per_epoch")
        if class_weight is not None:
            self._by_class(class_weight, np.zeros(0, self.dtype), None)
        held_out: Feed | None = None
        if share:
            feed, held_out = split(feed, share)
        if class_weight is not None:
            feed.weigh(lambda y, w: self._by_class(class_weight, y, w))
        validation_steps = _optional_count("validation_steps", validation_steps)
        validation_batch_size = _optional_count("validation_batch_size", validation_batch_size)
        if validation_data is not None:
            checks = self._checks(feed.features)
            held_out = held_out_feed(validation_data, checks, validation_steps, epochs - initial_epoch)
        if self._engine is None:
            self.build(feed.features)
        optimizer.for_engine(self._parameters)  # raises where it has another model's
        size = feed.step_size(size)
        n_threads = self._threads(size)

        if verbose and observers.find(callbacks_.ProgressBar) is None:
            observers.append(progress_bar)
        history: callbacks_.History = observers.find(callbacks_.History) or callbacks_.History()
        if history not in observers.callbacks:
            observers.append(history)
        steps_known = steps or feed.steps(size)
        observers.set_params({"epochs": epochs, "steps": steps_known, "samples": feed.samples, "verbose": verbose})
        observers.set_model(self)
        self.stop_training, self.finished, self.history = False, False, history
        self._resumed_at = None
        warned = False
        logs: dict[str, Any] = {}
        try:
            observers.on_train_begin()
            begin = initial_epoch if self._resumed_at is None else self._resumed_at
            if steps and isinstance(feed, Batches):  # which go on from epoch to epoch: to where they were
                for _ in range(initial_epoch, begin):
                    for _ in feed.pieces(size):
                        pass
            (done, measures), self._within = self._within, (0, {})
            if steps_known is not None and done > steps_known:
                raise ValueError(f"the state is of {done} steps of an epoch, which has {steps_known} now")
            for epoch in range(begin, epochs):
                rate = optimizer.learning_rate if done else None
                observers.on_epoch_begin(epoch)
                if done and rate != optimizer.learning_rate:  # which was set for this epoch already
                    optimizer.learning_rate = rate
                if self.optimizer is not optimizer or self.loss is not loss:
                    raise ValueError(
                        "a callback compiled the model within fit, expected it to stay as it was; "
                        "optimizer.learning_rate may be set"
                    )
                # Where training is to stop already, it does after one more step.
                limit = self._limit(size, observers.wants_train_batches or self.stop_training)
                seed = self.seed if shuffle and batch_size != "full" else None  # whose sum needs no order
                self._need_build()  # where a callback has changed the layers
                chunk = self._engine.chunk if self._engine.in_parts else None
                self._measures.reset()
                if done:
                    self._set_measures(measures)
                pieces = feed.pieces(size, limit, steps, self._epochs_trained, seed, chunk, done)
                bad = self._epoch(pieces, observers, size, n_threads, done)
                done = self._step = 0
                self._epochs_trained += 1
                logs = self._measures.logs()
                if bad >= 0 and not warned:
                    warned = True
                    warnings.warn(
                        f"the loss turned {logs['loss']} in epoch {epoch + 1}, step {bad + 1}",
                        RuntimeWarning,
                        stacklevel=2,
                    )
                if held_out is not None and validates_after(epoch + 1):
                    held = self._evaluate(held_out, validation_batch_size or size, validation_steps, observers)
                    logs |= {f"val_{name}": value for name, value in held.items()}
                observers.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
            optimizer.finalize_variable_values([self.parameters])
            self.finished = True
        finally:
            self._step = 0
            observers.on_train_end(logs)
        return history

    def _epoch(
        self, pieces: Iterator[Piece], observers: callbacks_.CallbackList, batch: int, n_threads: int, done: int
    ) -> int:
        """Train on the pieces of an epoch that has `done` steps; returns the first whose loss is not finite, or -1."""
        first, bad = 0, -1
        by_batch, halt = observers.wants_train_batches, observers.wants_losses_not_finite
        reported = time.monotonic()

        def progress(step: int) -> None:
            nonlocal reported
            reported = time.monotonic()
            observers.on_progress(done + step - first)

        def progress_between(_: Any) -> None:
            progress(first)

        with ExitStack() as whole_step:
            for piece in pieces:
                first = piece.first  # the engine counts from there
                if done and time.monotonic() - reported >= _PROGRESS_SECONDS:
                    self._work(progress_between)  # which refuses calls back, as within the engine
                if by_batch and piece.begins:
                    observers.on_train_batch_begin(done)
                if piece.begins and not piece.ends:  # other threads would spoil its gradient between two parts
                    whole_step.enter_context(self._lock)
                if piece.batch != batch:  # of an iterable
                    batch, n_threads = piece.batch, self._threads(piece.batch)
                steps, first_bad = self._train(piece, progress, n_threads, halt and bad < 0)
                if first_bad >= 0 > bad:
                    bad = done + first_bad - first
                if not piece.ends:  # of a step in parts, of which only the last updates the parameters
                    continue
                whole_step.close()
                self._step = done + steps
                if by_batch or (halt and bad >= done):
                    observers.on_train_batch_end(self._step - 1, self._measures.logs())
                if steps < piece.steps and not self.stop_training:  # halted, for callbacks that let it go on
                    self._train(piece._replace(first=first + steps, steps=piece.steps - steps), progress, n_threads)
                done += piece.steps
                if self.stop_training:
                    break
        return bad

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = 0,
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss, or [loss, metric, …], or with `return_dict` all by name.

        Parameters
        ----------
        x, y, sample_weight
            As for `fit`.
        batch_size : int, optional
            Samples that callbacks take for a batch, 32 by default; results do not depend on it.
        verbose : {"auto", 0, 1, 2}
            Anything but 0 prints the result.
        steps : int, optional
            Evaluate so many batches, instead of all.
        callbacks : Callback or list of Callback, optional
            Their hooks ``on_test_…`` are called.
        return_dict : bool
        """
        validation.choice("verbose", verbose, ("auto", 0, 1, 2))
        self._compiled()
        size = validation.integer("batch_size", 32 if batch_size is None else batch_size, low=1)
        steps = _optional_count("steps", steps)
        observers = callbacks_.CallbackList(callbacks)
        feed = self._feed(x, y, sample_weight, steps, 1, "steps")
        if self._engine is None:
            self.build(feed.features)
        if observers.callbacks:
            observers.set_params({"epochs": 1, "steps": feed.steps(size), "samples": feed.samples, "verbose": verbose})
            observers.set_model(self)
        logs = self._evaluate(feed, size, steps, observers)
        if verbose:
            print(" - ".join(f"{name}: {callbacks_.format_value(value)}" for name, value in logs.items()))
        return _reported(logs, return_dict)

    def _evaluate(
        self, feed: Feed, batch_size: int, steps: int | None, observers: callbacks_.CallbackList
    ) -> dict[str, Any]:
        by_batch = observers.wants_test_batches
        size = feed.step_size(batch_size)
        if steps is not None and isinstance(feed, Arrays):
            feed = feed.cut(slice(0, steps * size))
        self.stop_evaluating = False
        observers.on_test_begin()
        self._measures.reset()
        # Of arrays the steps are cut off already; of batches they are counted by the feed.
        batch = 0
        for piece in feed.pieces(size, self._limit(size, by_batch or self.stop_evaluating), chunk=1):
            if by_batch and piece.begins:
                observers.on_test_batch_begin(batch)
            self._test(piece, self._threads(len(piece.x), passes=1))
            if by_batch and piece.ends:
                observers.on_test_batch_end(batch, self._measures.logs())
            batch += piece.ends
            if self.stop_evaluating and piece.ends:
                break
        logs = self._measures.logs()
        observers.on_test_end(logs)
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = 0,
        steps: int | None = None,
        callbacks: Any = None,
    ) -> np.ndarray:
        """The outputs (N, out) for x (N, in), in the model's dtype.

        Parameters
        ----------
        x : array_like, or iterable of batches
            As for `fit`: of a batch that is a tuple, the first is x.
        batch_size : int, optional
            Samples that are worked on at once; results do not depend on it.  By default all, or of a memory map some.
        verbose : {"auto", 0, 1, 2}
            Anything but 0 prints how many there were, and the time it took.
        steps : int, optional
            Predict so many batches, of 32 samples unless `batch_size` is given, instead of all.
        callbacks : Callback or list of Callback, optional
            Their hooks ``on_predict_…`` are called.
        """
        if batch_size is None and steps is None and callbacks is None and not verbose and is_in_memory(x):
            return super().predict(x)
        validation.choice("verbose", verbose, ("auto", 0, 1, 2))
        size = validation.integer("batch_size", 32 if batch_size is None else batch_size, low=1)
        steps = _optional_count("steps", steps)
        observers = callbacks_.CallbackList(callbacks)
        checks = Checks(lambda x, name: self._samples(name, x), None, _nothing)
        feed: Feed = Batches(x, steps, 1, checks, "x", "steps") if is_batches(x) else Arrays(x, None, None, checks)
        if self._engine is None:
            self.build(feed.features)
        size = feed.step_size(size)
        if steps is not None and isinstance(feed, Arrays):
            feed = feed.cut(slice(0, steps * size))
        observers.set_params({"epochs": 1, "steps": feed.steps(size), "samples": feed.samples, "verbose": verbose})
        observers.set_model(self)
        began, parts = time.monotonic(), []
        result = None if feed.samples is None else self._outputs_of(feed.samples)
        batch = done = 0
        self.stop_predicting = False
        observers.on_predict_begin()
        # Without a size that somebody asked for, or is told of, a call takes as much as it can.
        by_batch = observers.wants_predict_batches or self.stop_predicting
        for piece in feed.pieces(size, size if by_batch or batch_size is not None else None, chunk=1):
            if by_batch and piece.begins:
                observers.on_predict_batch_begin(batch)
            outputs = super().predict(piece.x)
            if result is None:
                parts.append(outputs)
            else:
                result[done : done + len(outputs)] = outputs
                done += len(outputs)
                outputs = result[done - (piece.part[0] if piece.part else 0) - len(outputs) : done]
            if by_batch and piece.ends:
                observers.on_predict_batch_end(batch, {"outputs": outputs})
            batch += piece.ends
            if self.stop_predicting and piece.ends:
                break
        observers.on_predict_end()
        result = np.concatenate(parts) if result is None else result[:done]
        if verbose:
            print(f"{len(result)} samples - {callbacks_.format_seconds(time.monotonic() - began)}")
        return result

    def plot(self, x: Any = None, y: Any = None, path: str | PathLike[str] | None = None) -> Any:
        """Draw what is in the layers: the distributions of their weights, and of more where there is data.

        Parameters
        ----------
        x : array_like (N, in), optional
            With it, the distributions of the layers' outputs.
        y : array_like, optional
            With it, the norms of the gradients with respect to the layers' weights.
        path : str or path-like, optional
            Where to save the figure; its ending chooses the format.

        Returns
        -------
        matplotlib.figure.Figure
            Independent of pyplot: it needs no display and need not be closed.

        Raises
        ------
        ImportError
            Where matplotlib is not installed.
        """
        if y is not None and x is None:
            raise ValueError("y is given without x, expected both or x alone")
        self._need_build()
        outputs, gradients = None, None
        if x is not None:
            self.forward(x)
            if y is not None:
                self.backward(y)
                gradients = [_gradients(layer) for layer in self.layers]
            outputs = [layer.output for layer in self.layers]
        names = [str(layer.name) for layer in self.layers]
        weights = [dict(zip(layer.weight_names, layer.weights, strict=True)) for layer in self.layers]
        return plots.layers(names, weights, outputs, gradients, path)

    def _feed(self, x: Any, y: Any, w: Any, steps: int | None, passes: int, argument: str) -> Feed:
        """Where the samples of a call come from; nothing is built for them yet."""
        if y is None and is_batches(x):
            if w is not None:
                raise ValueError(
                    "sample_weight is given for an iterable of batches, expected batches (x, y, sample_weight)"
                )
            return Batches(x, steps, passes, self._checks(), "x", argument)
        return Arrays(x, y, w, self._checks())

    def _limit(self, batch: int, by_batch: bool) -> int | None:
        """Samples that the engine may work on in one call: None for all."""
        if by_batch:
            return batch
        return max(_OUTPUTS // self._n_outputs, 1) if self._measures.wants_outputs else None


def _batch_size(value: Any) -> int | None:
    """Samples of an update; None for all of them."""
    if value is None:
        return 32
    if isinstance(value, str) and value == "full":
        return None
    return validation.integer("batch_size", value, low=1)


def _optional_count(name: str, value: Any) -> int | None:
    return None if value is None else validation.integer(name, value, low=1)


def _epochs_of(name: str, value: Any) -> Any:
    """Whether an epoch, counted from 1, is one of them: every so many, or those of a collection."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        chosen = {validation.integer(name, epoch, low=1) for epoch in value}
        return chosen.__contains__
    every = validation.integer(name, value, low=1)
    return lambda epoch: epoch % every == 0


def _nothing(value: Any, name: str, rows: int) -> None:
    """Predictions need no weights."""


def _gradients(layer: Layer) -> dict[str, np.ndarray]:
    """Of a layer's weights, by name."""
    names = layer.weight_names[: len(layer.trainable_weights)]
    return {name: getattr(layer, f"{name}_gradient") for name in names}
