"""`Network`: layers over one flat vector of parameters, and their outputs; what training needs is in sequential.py."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any, TypedDict, TypeVar

import numpy as np

from .. import activations, threads, utils, validation
from ..kernels import core
from ..layers import Activation, Dense, Flatten, Input, Layer, Rescaling
from ..layers.base import assign
from . import summary

T = TypeVar("T")


class Options(TypedDict, total=False):
    """Options of every model, by keyword; `Sequential` describes them."""

    seed: int | None
    dtype: str
    trainable: bool


class Network:
    """A stack of layers that can be built and applied."""

    def __init__(
        self,
        layers: Iterable[Layer | Network] = (),
        name: str | None = None,
        *,
        seed: int | None = None,
        dtype: str = "float32",
        trainable: bool = True,
    ) -> None:
        self.name = name or "sequential"
        self._trainable = validation.choice("trainable", trainable, (True, False))
        self.seed = utils.new_seed() if seed is None else validation.integer("seed", seed, high=2**64 - 1)
        self.dtype = validation.real_dtype("dtype", dtype)
        self.layers: list[Layer] = []
        self._engine: Any = None
        self._parameters: np.ndarray
        self._gradients: np.ndarray
        self._input: Input | None = None
        self._batches: list[tuple[str | None, int]] = []  # samples that layers want a batch to have
        self._calls = 0  # as in training, one by one: dropout draws by them
        self._forward_x: np.ndarray | None = None  # of the forward pass that the engine's buffers hold
        self._lock, self._at_work = threading.RLock(), False  # of the engine, for one call at a time
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers is {layers!r}, expected a list of layers")
        for layer in layers:
            self.add(layer)
        self._build_if_known()

    def add(self, layer: Layer | Network) -> None:
        """Put a layer on top, or all those of a model.  A model that is built keeps its weights, and has to be compiled
        again.

        A layer that is part of another model is shared: each trains and uses the same weights.

        Raises
        ------
        TypeError
            For anything that is no layer of fastnn.
        ValueError
            For an `Input` that is not first, a layer that is in this model already or has the name of another, or one
            of a model of another dtype.
        RuntimeError
            While a model that has the layer is at work.
        """
        parts: list[Any] = [layer]
        if isinstance(layer, Network):
            is_first = not (self._input or self.layers)
            parts = [*([layer._input] if layer._input and is_first else []), *layer.layers]
        stack = list(self.layers)
        for part in parts:
            self._check_next(part, stack)
            stack += [] if isinstance(part, Input) else [part]
        for part in parts:
            if isinstance(part, Input):
                self._input = part
            else:
                self._put(part)
        if isinstance(layer, Network) and not layer.trainable:
            for part in layer.layers:
                part.trainable = False

    def _check_next(self, layer: Any, stack: list[Layer]) -> None:
        """Raise where it cannot come behind these."""
        if not isinstance(layer, Layer):
            raise TypeError(f"layer is {layer!r}, expected a layer such as layers.Dense(10)")
        if not hasattr(layer, "index"):
            raise TypeError(f"layer is a {type(layer).__name__} whose __init__ has not called super().__init__()")
        if isinstance(layer, Input):
            if self._input or stack:
                raise ValueError("layer is an Input, expected at the first place only")
            return
        if isinstance(layer, Flatten) and not all(isinstance(other, Rescaling) for other in stack):
            raise ValueError("layer is a Flatten, expected at the first place, or behind a Rescaling")
        if any(layer is other for other in stack):
            raise ValueError(f"layer {layer.name!r} is part of this model already, expected another")
        if layer.is_named and layer.name in [other.name for other in stack]:
            raise ValueError(f"layer has the name {layer.name!r} of another layer, expected one of its own")
        if layer.given_dtype is not None and layer.given_dtype != self.dtype:
            raise ValueError(
                f"layer has the dtype {layer.given_dtype.name}, expected {self.dtype.name} as the model has"
            )
        for model in layer.models:
            if model.dtype != self.dtype:
                raise ValueError(
                    f"layer {layer.name!r} is part of a model of dtype {model.dtype.name}, expected {self.dtype.name} "
                    f"as this model has: Sequential(…, dtype={model.dtype.name!r}) shares it"
                )

    def _put(self, layer: Layer) -> None:
        taken = [other.name for other in self.layers]
        self._change_stack()
        for model in layer.models:
            model.lay_out_anew()
        if layer.first_shape and not self.layers and not self._input:
            self._input = Input(layer.first_shape)
        if layer.name is None or layer.name in taken:
            kind = _snake_case(type(layer).__name__)
            numbered = (f"{kind}_{n}" if n else kind for n in count())
            taken += [other.name for model in layer.models for other in model.layers]
            layer.name = next(name for name in numbered if name not in taken)
        layer.enter(self, len(self.layers))
        self.layers.append(layer)

    def pop(self) -> Layer:
        """Take the last layer off and return it, with its weights.  The others keep theirs, too; a model that is built
        has to be compiled again.

        Raises
        ------
        ValueError
            For a model without layers.
        """
        if not self.layers:
            raise ValueError("the model has no layers, expected at least one")
        self._change_stack()
        layer = self.layers.pop()
        layer.leave(self)
        return layer

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name, or at an index of `layers`.

        Raises
        ------
        ValueError
            Where there is none, or not exactly one of the two is given.
        """
        if (name is None) == (index is None):
            raise ValueError(f"name is {name!r} and index is {index!r}, expected one of them")
        if name is not None:
            named = {layer.name: layer for layer in self.layers}
            if name not in named:
                raise ValueError(f"name is {name!r}, expected one of {validation.listed(map(repr, named), 20)}")
            return named[name]
        last = len(self.layers) - 1
        return self.layers[validation.integer("index", index, low=-len(self.layers), high=last)]

    @property
    def trainable(self) -> bool:
        """Whether training changes weights, of layers that are trainable themselves; to set it sets theirs as well."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = validation.choice("trainable", value, (True, False))
        if value != self._trainable:
            self.lay_out_anew()
        self._trainable = value
        for layer in self.layers:
            layer.trainable = value

    def lay_out_anew(self) -> None:
        """Let the next call that needs the engine make another, with the weights as they are then.

        Raises
        ------
        RuntimeError
            While the engine is at work, as within `on_progress`.
        """
        with self._lock:
            if self._at_work:
                raise RuntimeError("the model is at work, expected no change of its layers before it is done")
            engine, self._engine, self._forward_x = self._engine, None, None
            if engine is not None:
                engine.retire()

    def _change_stack(self) -> None:
        """Before a layer comes or goes."""
        self.lay_out_anew()

    def build(self, input_shape: int | tuple[int | None, ...]) -> None:
        """Make and initialise the parameters, for so many input features, or Keras's ``(None, features)``; a model that
        is built for so many stays as it is.

        Raises
        ------
        ValueError
            For a model that has no layers, another number than it is built for or its `Input` says, or a loss or metric
            that does not fit the last layer.
        """
        if isinstance(input_shape, (tuple, list)):
            sizes = [validation.integer(f"input_shape[{i}]", n, low=1) for i, n in enumerate(input_shape) if i]
            input_shape = math.prod(sizes)
        n_in = validation.integer("input_shape", input_shape, low=1)
        known = self._known_inputs()
        if known not in (None, n_in):
            what = "the model is built for" if self._engine is not None else "the model's Input says"
            raise ValueError(f"input_shape has {n_in} features, expected {known} as {what}")
        if self._engine is not None:
            return
        for other in {model for layer in self.layers for model in layer.models} - {self}:
            other.lay_out_anew()  # the memory of shared weights is one model's at a time
        kernels = core(self.dtype)
        sizes = [n_in]
        for layer in self.layers:
            sizes.append(layer.declare(sizes[-1], self.dtype))
        self._check_outputs(sizes[-1])
        frozen = [not (self._trainable and layer.trainable) for layer in self.layers]
        shares, n_trained, n_all = self._shares(frozen)
        parameters, gradients = kernels.aligned(n_all), kernels.aligned(n_all)
        program: list[dict[str, Any]] = []
        places, bound = [], []
        for index, (layer, own) in enumerate(zip(self.layers, shares, strict=True)):
            of_layer = sizes[index], sizes[index + 1]
            arrays = layer.initialize(parameters[own], np.random.default_rng([self.seed, index]))
            described = layer.for_engine(*of_layer, arrays, self.seed)
            if described is not None:
                _append(program, described | {"offset": own.start, "frozen": frozen[index]})
            places.append(len(program) - 1)
            bound.append((*of_layer, arrays, parameters[own], gradients[own], described))
        if not program:
            raise ValueError("the model has nothing to compute, expected a layer such as layers.Dense(10)")
        self._engine = kernels.Engine(program, parameters, gradients, self._trainable_sizes)
        self._parameters, self._gradients = parameters[:n_trained], gradients[:n_trained]
        self._batches = [
            (layer.name, n) for layer in self.layers if (n := getattr(layer, "batch_size", None)) is not None
        ]
        for index, (layer, place, given) in enumerate(zip(self.layers, places, bound, strict=True)):
            layer.bind(*given)
            layer.join(index, self._engine, place)
        self._after_build()

    def _check_batches(self, *sizes: int) -> None:
        """Raise where batches of so many samples are not what a layer is made for."""
        for name, expected in self._batches:
            for size in sizes:
                if size not in (0, expected):
                    raise ValueError(
                        f"a batch has {size} samples, expected {expected} as the noise_shape of layer {name!r}"
                    )

    def _shares(self, frozen: list[bool]) -> tuple[list[slice], int, int]:
        """Where each layer's parameters are in one vector, the trained first; their number, and that of all."""
        shares, offset, n_trained = [slice(0)] * len(frozen), 0, 0
        for is_frozen in (False, True):
            for index, layer in enumerate(self.layers):
                if frozen[index] == is_frozen:
                    shares[index] = slice(offset, offset + layer.n_parameters)
                    offset += layer.n_parameters
            n_trained = n_trained if is_frozen else offset
        return shares, n_trained, offset

    @property
    def _trainable_sizes(self) -> list[int]:
        """Elements of each weight in `parameters`."""
        return [size for layer in self.layers for size in layer.trainable_sizes] if self._trainable else []

    def _after_build(self) -> None:
        """Tell those who wait for the engine."""

    def _check_outputs(self, n_out: int) -> None:
        """Raise where so many outputs do not fit what is known already."""

    def _build_if_known(self) -> None:
        if self._engine is None and self.layers and (known := self._known_inputs()) is not None:
            self.build(known)

    def _known_inputs(self) -> int | None:
        """The number of input features, where it is known."""
        if not self.layers:
            raise ValueError("the model has no layers, expected at least one: add a layers.Dense")
        if self._input is None:
            return self.layers[0].n_in
        if len(self._input.shape) > 1 and not self._flattens:
            shape = self._input.shape
            raise ValueError(f"the Input has the shape {shape}, expected (features,), or a layers.Flatten next")
        return math.prod(self._input.shape)

    @property
    def _flattens(self) -> bool:
        return any(isinstance(layer, Flatten) for layer in self.layers)

    def _known_outputs(self) -> int | None:
        """The number of outputs, where it is known."""
        known = self._known_inputs()
        for layer in self.layers:
            known = layer.n_out or layer.known_outputs(known)
        return known

    @property
    def _last_activation(self) -> activations.Activation:
        """Of the outputs, where the layer that makes them has one that is compiled."""
        last = self.layers[-1]
        found = last.activation if isinstance(last, (Dense, Activation)) else activations.linear
        return found if found.elementwise else activations.get(found.name)  # along rows, however its axis is called

    @property
    def parameters(self) -> np.ndarray:
        """All that is trained in one vector: layer by layer, kernel (in, out) in C order, then bias.

        The array is the model's own memory: writing into it changes the model, and so does assigning to it.  It is
        another one after a change of the layers, or of what is `trainable`.
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
        """The gradient of the last `backward` or `value_and_gradient`, laid out as `parameters`.

        The model's own memory, which `fit` uses as well.
        """
        self._need_build()
        return self._gradients

    def count_params(self) -> int:
        """The number of parameters, with those that are not trained by gradients."""
        self._need_build()
        return sum(layer.count_params() for layer in self.layers)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of each layer's weights, in order: trainable ones first."""
        self._need_build()
        return [a.copy() for a in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign what `get_weights` returned.

        Raises
        ------
        ValueError
            For another number of arrays or other shapes; nothing is assigned then.
        """
        assign(self.weights, weights, self.dtype)

    @property
    def weights(self) -> list[np.ndarray]:
        """Each layer's weights, in order; writing into them changes the model."""
        self._need_build()
        return [array for layer in self.layers for array in layer.weights]

    @property
    def trainable_weights(self) -> list[np.ndarray]:
        """Those that training changes by gradients: views of `parameters`."""
        self._need_build()
        return [array for layer in self.layers for array in layer.trainable_weights] if self._trainable else []

    @property
    def non_trainable_weights(self) -> list[np.ndarray]:
        """The others: of frozen layers, moving averages, and what was found in data."""
        self._need_build()
        if not self._trainable:
            return self.weights
        return [array for layer in self.layers for array in layer.non_trainable_weights]

    # Keras's names of the same, where there are no others.
    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def losses(self) -> list[float]:
        """What the regularizers of the layers' weights add to the cost."""
        self._need_build()
        return [penalty for layer in self.layers for penalty in layer.losses] if self._trainable else []

    @property
    def built(self) -> bool:
        """Whether there are weights, or are as soon as somebody asks for them."""
        return self._engine is not None or (bool(self.layers) and self._known_inputs() is not None)

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(None, …): that of x, for any number of samples."""
        self._need_build()
        return (None, *(self._input.shape if self._input else (self.layers[0].n_in,)))

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """(None, outputs)."""
        self._need_build()
        return (None, self._n_outputs)

    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
    ) -> None:
        """Print the layers, their shapes and their numbers of parameters.

        Parameters
        ----------
        line_length : int, optional
            How wide the rules are at least.
        positions, expand_nested
            Keras's, of no effect: columns are as wide as they need to be, and there is nothing nested.
        print_fn : callable, optional
            Given the whole text, instead of `print`.
        show_trainable : bool
            Tell for each layer whether it is trained.
        """
        self._build_if_known()
        (print_fn or print)(summary.text(self, line_length or 0, show_trainable))

    def predict(self, x: Any) -> np.ndarray:
        """The outputs (N, out) for x (N, in), in the model's dtype."""
        x = self._features(x)
        out = np.empty((len(x), self._n_outputs), self.dtype)
        n_threads = self._threads(len(x), passes=1)
        self._work(lambda engine: engine.predict(out, n_threads), x)
        return out

    def __call__(self, x: Any, training: bool = False) -> np.ndarray:
        """The outputs (N, out) for x (N, in): those of `predict`, or of a training step, in which dropout drops,
        and batch normalization takes the statistics of x, which its moving averages take in.
        """
        if not training:
            return Network.predict(self, x)
        x = self._features(x)
        self._check_batches(len(x))
        n_threads = self._threads(len(x))

        def forward(engine: Any) -> np.ndarray:
            engine.forward_all(n_threads, self._calls, True)
            self._calls += 1
            return self.layers[-1].output

        return self._work(forward, x)

    def predictor(self, rows: int = 1) -> Callable[[Any], np.ndarray]:
        """A function for loops that call the model again and again: `predict` at a fixed number of samples.

        Parameters
        ----------
        rows : int
            Samples of a call.

        Returns
        -------
        Callable
            Takes x (rows, in), or (in,) for one row, and returns the outputs (rows, out), or (out,) for one row, in the
            model's dtype, bit for bit those of `predict`.  It returns **the same array at every call**, written anew:
            copy what is to be kept.  A C-contiguous array of the model's dtype is read where it lies; anything else is
            converted.  It works on one thread and uses the model's weights as they are at the call: those of a
            later training, of `adapt`, and what was written into them.  A change of the layers, or of what is
            `trainable`, is its end: calls are an error then.  Each predictor has buffers of its own: give every thread
            one.

        Raises
        ------
        ValueError
            For a model with a layer of one's own, which needs `predict`.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import Sequential, layers
        >>> policy = Sequential([layers.Input((4,)), layers.Dense(16, "tanh"), layers.Dense(2)], seed=0).predictor()
        >>> observation = np.zeros(4, np.float32)
        >>> policy(observation)
        array([0., 0.], dtype=float32)
        """
        self._need_build()
        rows = validation.integer("rows", rows, low=1)
        n_in = self._known_inputs()

        def convert(x: Any) -> np.ndarray:
            given = validation.array("x", x, self.dtype)
            if self._input and given.shape == (rows, *self._input.shape):
                given = given.reshape(rows, -1)  # what a Flatten takes
            if given.shape != (rows, n_in) and not (rows == 1 and given.shape == (n_in,)):
                expected = f"(1, {n_in}) or ({n_in},)" if rows == 1 else f"({rows}, {n_in})"
                raise ValueError(f"x has shape {given.shape}, expected {expected}")
            return given

        result: Callable[[Any], np.ndarray] = core(self.dtype).Predictor(self._engine, rows, convert)
        return result

    def _work(
        self,
        function: Callable[[Any], T],
        x: np.ndarray | None = None,
        y: np.ndarray | None = None,
        w: np.ndarray | None = None,
    ) -> T:
        """Call function(engine) with this data bound, one call at a time: the engine's buffers serve one.

        Other threads wait for their turn; a call from within a call would spoil it.  Ctrl-C may come between any two
        lines here and leaves the lock released and the mark off.
        """
        with self._lock:
            if self._at_work:
                raise RuntimeError(
                    "the model is at work: on_progress may read and assign its parameters, expected no other call"
                )
            try:
                self._at_work = True
                self._forward_x = None
                if x is not None:
                    self._engine.bind(x, y, w)
                return function(self._engine)
            finally:
                self._at_work = False
                if x is not None:
                    self._engine.unbind()

    def _threads(self, rows: int, passes: int = 3) -> int:
        """Threads for the three passes of training (forward, and two of backward), or for one."""
        return threads.for_step(self._engine.multiply_adds * min(rows, self._engine.chunk) * passes / 3)

    def _need_build(self) -> None:
        self._build_if_known()
        if self._engine is None:
            raise ValueError("the model is not built: give it a layers.Input first, or data")

    def _features(self, x: Any) -> np.ndarray:
        """Checked inputs; the model is built for them where it is not."""
        result = self._samples("x", x)
        if self._engine is None:
            self.build(result.shape[1])
        return result

    def _samples(self, name: str, x: Any, n_in: int | None = None) -> np.ndarray:
        """Inputs (N, in), flattened where the model begins with that."""
        known = self._known_inputs() or n_in
        if self._flattens:
            x = validation.array(name, x, self.dtype)
            expected = self._input.shape if self._input else None
            if x.ndim < 2 or (expected is not None and x.shape[1:] != expected and x.shape[1:] != (known,)):
                axes = ", ".join(map(str, expected or "…"))
                raise ValueError(f"{name} has shape {x.shape}, expected (samples, {axes})")
            if x.size:
                x = x.reshape(len(x), -1)
        result = validation.matrix(name, x, self.dtype, known)
        if self._engine is None and self._known_outputs() is None:
            self.build(result.shape[1])  # how many outputs there are, only building can tell
        return result

    @property
    def _n_outputs(self) -> int:
        known = self._known_outputs()
        assert known is not None
        return known


def _append(program: list[dict[str, Any]], described: dict[str, Any]) -> None:
    """Put a layer on top of those the engine is to run; an activation becomes that of the layer below, where it can."""
    below = program[-1] if program else {"kind": "none"}
    can_take_one = below["kind"] in ("dense", "batch_norm", "layer_norm")
    if described["kind"] == "identity" and can_take_one and below["activation"] == activations.linear.code:
        below |= {"activation": described["activation"], "alpha": described["alpha"]}
    else:
        program.append(described)


def _snake_case(name: str) -> str:
    """Keras's name of a layer that has none: BatchNormalization makes batch_normalization, ReLU re_lu."""
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()
