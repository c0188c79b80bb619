"""`Compiled`: a network with an optimizer, a loss and metrics, and its training step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Unpack

import numpy as np

from .. import losses, optimizers, validation
from .. import metrics as metrics_
from ..layers import Layer
from .feeds import Checks, Piece
from .measures import Measures
from .network import Network, Options
from .saving import Persistent


class Compiled(Persistent):
    """A network that knows how to train: `compile`, and what trains one batch."""

    def __init__(
        self, layers: Iterable[Layer | Network] = (), name: str | None = None, **options: Unpack[Options]
    ) -> None:
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self._metric_names: tuple[list[Any], list[Any]] = [], []  # plain and weighted, as given
        self._measures = Measures([], [])
        self._measured: int | None = None  # outputs that they were made for
        super().__init__(layers, name, **options)

    def _change_stack(self) -> None:
        was_built = self._engine is not None
        super()._change_stack()
        if was_built:  # what was compiled is of another stack
            self.optimizer = self.loss = None
            self._metric_names, self._measures, self._measured = ([], []), Measures([], []), None

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
            self.optimizer.expect(self._parameters, self._trainable_sizes)

    def compile(
        self,
        optimizer: str | dict[str, Any] | optimizers.Optimizer = "rmsprop",
        loss: str | dict[str, Any] | losses.Loss | None = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : str or Optimizer, or dict as `optimizers.serialize` makes it
            `optimizers.RMSprop` by default, which is Keras's.
        loss : str or Loss, or dict as `losses.serialize` makes it
            A loss on probabilities behind the activation it belongs to (binary cross-entropy behind sigmoid,
            categorical behind softmax) is computed from the pre-activations, exactly.
        metrics : list of str, Metric, callable or dict, optional
            What `metrics.get` takes: names, metrics, functions of targets and outputs, losses.  The first that is an
            accuracy of the usual threshold is computed with the loss; the others take the outputs of many steps at a
            time, each as it was in its step.
        weighted_metrics : list, optional
            The same, of samples that weigh what `sample_weight` and `class_weight` say.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            How Keras is to run the steps; taken, and of no effect here, where all are compiled.

        Raises
        ------
        ValueError, TypeError
            For an unknown name, or a loss or metric that does not fit the last layer, before anything is changed.
        """
        chosen_optimizer, chosen_loss = optimizers.get(optimizer), losses.get(loss)  # type: ignore[arg-type]
        names = _listed("metrics", metrics), _listed("weighted_metrics", weighted_metrics)
        if chosen_loss.reduction not in ("sum_over_batch_size", "mean"):
            raise ValueError(
                f"loss has the reduction {chosen_loss.reduction!r}, expected 'sum_over_batch_size' in a model"
            )
        outputs = self._known_outputs() if self.layers else None
        if outputs is not None:
            self._specify(chosen_loss, names, outputs)
        else:
            for identifier in (*names[0], *names[1]):
                metrics_.get(identifier)

        def change(engine: Any) -> None:
            self.optimizer, self.loss, self._metric_names, self._measured = chosen_optimizer, chosen_loss, names, None
            if engine is not None:
                self._set_loss()

        self._work(change)
        self._announce_parameters()
        self._build_if_known()

    @property
    def metrics(self) -> list[metrics_.Metric]:
        """The compiled metrics, the weighted ones last; those of names are made when the model is built."""
        return list(self._measures.metrics)

    @property
    def metrics_names(self) -> list[str]:
        """What `evaluate` returns, by name: the loss, and the metrics."""
        return ["loss", *self._measures.names]

    def _specify(
        self, loss: losses.Loss, names: tuple[list[Any], list[Any]], outputs: int
    ) -> tuple[losses.KernelLoss, Measures]:
        """What the engine needs to know of a loss behind the last layer, and the metrics."""
        loss.check_outputs(outputs)
        plain, weighted = ([metrics_.get(name, outputs, loss.sparse) for name in some] for some in names)
        return loss.for_engine(self._last_activation), Measures(plain, weighted)

    def _set_loss(self) -> None:
        assert self.loss is not None
        spec, measures = self._specify(self.loss, self._metric_names, self._n_outputs)
        if self._measured != self._n_outputs:  # else they go on, for another engine of the same layers
            self._measures, self._measured = measures, self._n_outputs
        self._engine.set_loss(spec.kernel(self.dtype), spec.fused, self._measures.engine_code, spec.own)

    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on one batch.

        Returns the loss, or [loss, metric, …], or with `return_dict` all by name: means over the samples since the last
        `reset_metrics`, as each was before its update.
        """
        x, y, w = self._data(x, y, sample_weight)
        w = self._by_class(class_weight, y, w)
        if self._engine is None:
            self.build(x.shape[1])
        self._train(Piece(x, y, w, len(x), 1), None, self._threads(len(x)))
        return _reported(self._measures.logs(), return_dict)

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss, or [loss, metric, …], or with `return_dict` all by name, of the samples since the last
        `reset_metrics`.
        """
        x, y, w = self._data(x, y, sample_weight)
        if self._engine is None:
            self.build(x.shape[1])
        self._test(Piece(x, y, w, len(x), 1), self._threads(len(x), passes=1))
        return _reported(self._measures.logs(), return_dict)

    def reset_metrics(self) -> None:
        """Forget the samples that the loss and the metrics are means of: `fit` does for each epoch, `evaluate` as it
        begins, and `train_on_batch` and `test_on_batch` never.
        """
        self._measures.reset()

    def get_metrics_result(self) -> dict[str, Any]:
        """Loss and metrics by name, of the samples since they were reset."""
        return self._measures.logs()

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """The outputs (N, out) for one batch x (N, in), in the model's dtype."""
        return Network.predict(self, x)

    def _train(
        self, piece: Piece, progress: Callable[[int], None] | None, n_threads: int, halt: bool = False
    ) -> tuple[int, int]:
        """Train on some steps, and add them to the measures.

        Returns how many were done, and the first with a loss that is not finite, or -1; `halt` ends with that one.
        """
        optimizer, loss = self._compiled()
        self._need_build()  # where a callback has changed the layers
        hyperparameters, state = optimizer.for_engine(self._parameters)
        first = piece.first * piece.batch
        samples = min(first + piece.steps * piece.batch, len(piece.x)) - first
        self._check_batches(min(piece.batch, samples), samples % piece.batch)
        outputs = self._outputs_of(samples) if self._measures.wants_outputs else None
        # Which of the samples they were is needed where not all were trained on, or their outputs count.
        which = outputs is not None or ((halt or samples < len(piece.x)) and loss.ignore_class is not None)

        def train(engine: Any) -> tuple[tuple[float, float, int], int, Any]:
            engine.set_optimizer(hyperparameters, state)
            rates, before = optimizer.rates(piece.steps), optimizer.steps
            which_steps = piece.batch, piece.order, piece.first, piece.steps
            # Nothing between try and finally but the call: Ctrl-C in Python code would add the steps of the last one.
            try:
                result: tuple[float, float, int] = engine.train(
                    *which_steps, rates, before, n_threads, progress, outputs, piece.part, halt
                )
            finally:
                optimizer.steps += engine.steps_done
            done = engine.steps_done
            n = done * piece.batch if piece.ends and done < piece.steps else samples
            return result, done, slice(first, first + n) if engine.order is None else engine.order[:n]

        (total, hits, bad), done, trained = self._work(train, piece.x, piece.y, piece.w)
        if piece.ends and done < piece.steps:
            samples = done * piece.batch
        y = piece.y[trained] if which else piece.y
        counted = loss.counted(y) if loss.ignore_class is not None else samples
        self._measures.add_sums(total, counted, hits, samples)
        if outputs is not None:
            self._measures.add_outputs(y, outputs[:samples], None if piece.w is None else piece.w[trained])
        return done, bad

    def _test(self, piece: Piece, n_threads: int) -> None:
        """Add the losses and metrics of samples to the measures."""
        self._need_build()
        outputs = self._outputs_of(len(piece.x)) if self._measures.wants_outputs else None
        total, hits = self._work(lambda engine: engine.evaluate(n_threads, outputs), piece.x, piece.y, piece.w)
        self._measures.add_sums(total, self._compiled()[1].counted(piece.y), hits, len(piece.x))
        if outputs is not None:
            self._measures.add_outputs(piece.y, outputs, piece.w)

    def _outputs_of(self, samples: int) -> np.ndarray:
        """Room for their outputs."""
        return np.empty((samples, self._n_outputs), self.dtype)

    def forward(self, x: Any) -> np.ndarray:
        """The outputs (N, out) for x (N, in), keeping what `backward` needs: every layer's activations.

        ``forward``, ``backward``, ``optimizer.apply(model.gradients, model.parameters)`` is a step of `fit`, to the
        bit.
        """
        x = self._features(x)
        self._check_batches(len(x))
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
        return total / max(loss.counted(y), 1)

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
        self._check_batches(len(x))
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
            return total / max(self._compiled()[1].counted(y), 1), self._gradients.copy()

        return self._work(compute, x, y, w)

    @property
    def _steps(self) -> int:
        """Of the optimizer so far, by which dropout draws."""
        return self.optimizer.steps if self.optimizer is not None else 0

    def _compiled(self) -> tuple[optimizers.Optimizer, losses.Loss]:
        if self.optimizer is None or self.loss is None:
            raise ValueError("the model has no loss: call compile(optimizer=…, loss=…) first")
        return self.optimizer, self.loss

    def _checks(self, n_in: int | None = None) -> Checks:
        """How data are checked and converted; `n_in` is the number of inputs where the model does not know it."""
        loss = self._compiled()[1]
        return Checks(
            lambda x, name: self._samples(name, x, n_in),
            lambda y, name, rows: loss.targets(y, rows, self._n_outputs, self.dtype, name),
            lambda w, name, rows: validation.weights(name, w, self.dtype, rows),
        )

    def _data(self, x: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Checked inputs, targets and weights; nothing is built for them yet."""
        loss = self._compiled()[1]
        x = self._samples("x", x)
        y = loss.targets(y, len(x), self._n_outputs, self.dtype)
        return x, y, validation.weights("sample_weight", sample_weight, self.dtype, len(x))

    def _by_class(
        self, class_weight: dict[int, float] | None, y: np.ndarray, w: np.ndarray | None
    ) -> np.ndarray | None:
        """Sample weights times those of the samples' classes."""
        if class_weight is None:
            return w
        classes = self._compiled()[1].classes(y)
        result = validation.class_weights("class_weight", class_weight, classes).astype(self.dtype)
        return result if w is None else w * result


def _listed(name: str, value: Any) -> list[Any]:
    """Metrics as they were given, as a list; one alone needs none."""
    if isinstance(value, (list, tuple)):
        return list(value)
    if value is None:
        return []
    if isinstance(value, (str, metrics_.Metric)):
        return [value]
    raise TypeError(f"{name} is {value!r}, expected a list of names, metrics or functions")


def _reported(logs: dict[str, Any], return_dict: bool) -> Any:
    """As `evaluate` returns them."""
    if return_dict:
        return logs
    return list(logs.values()) if len(logs) > 1 else logs["loss"]
