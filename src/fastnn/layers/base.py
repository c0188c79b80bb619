"""`Layer`, the base of all layers and of a user's own, and `Input`."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypedDict, TypeVar, Unpack

import numpy as np

from .. import activations, initializers, regularizers, threads, utils, validation
from ..kernels import core

L = TypeVar("L", bound="Layer")


class Weight(NamedTuple):
    """What a layer has declared; its array becomes the layer's attribute of that name."""

    name: str
    shape: tuple[int, ...]
    initializer: initializers.Initializer
    trainable: bool

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)


class Named(TypedDict, total=False):
    """Options of an `Input`."""

    name: str | None
    trainable: bool
    input_shape: tuple[int, ...] | None


class Options(Named, total=False):
    """Options of every layer, by keyword; `Layer` describes them."""

    input_dim: int | None
    dtype: str | None


class Layer:
    """Base of all layers; subclass it for a layer of one's own, written in NumPy.

    A subclass has `forward` and `backward`, and `build` where it has weights or another number of outputs than inputs.
    `fit` calls them once a batch, between compiled layers; the others do not slow down.

    A layer can be called on arrays, in a model or on its own: it is then built for the first array that comes, and
    takes its weights along where it joins a model later.

    Parameters
    ----------
    name : str, optional
        Unique in its model, which gives it one where it is not set: dense, dense_1 and so on.
    trainable : bool
        Whether training changes its weights.
    input_shape : tuple of int, optional
        Of one sample: as the first layer of a model it then needs no `Input`.
    input_dim : int, optional
        The same as ``input_shape=(input_dim,)``.
    dtype : {"float32", "float64"}, optional
        That of the model, which a layer in a model has by default; called on arrays, float32.

    Attributes
    ----------
    trainable : bool
        May be set at any time.  A layer that is frozen keeps its weights, no gradient is computed for them, and they
        are not among the model's `parameters`; a `BatchNormalization` is then as in inference, in training too.  What
        an optimizer knows of other parameters is of no use then: compile the model again.
    index : int or None
        Its place in the model that it is part of; of several, in the last that was built.
    models : WeakSet of Sequential
        Those that it is part of: they train and use the same weights.
    n_in, n_out : int or None
        Inputs and outputs of one sample, once the model is built.
    dtype : numpy.dtype
        The model's, from `build` on.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import Sequential, layers
    >>> class Scale(layers.Layer):
    ...     def build(self, n_in):
    ...         self.add_weight("factor", (n_in,), "ones")
    ...         return n_in
    ...     def forward(self, x, training):
    ...         self.x = x
    ...         return x * self.factor
    ...     def backward(self, gradient):
    ...         self.factor_gradient[:] = (gradient * self.x).sum(axis=0)
    ...         return gradient * self.factor
    >>> model = Sequential([layers.Input((3,)), Scale(), layers.Dense(1)], seed=0)
    >>> model.count_params()
    7
    """

    # Of the engine: what computes the layer, or None where nothing has to be computed.
    _kind: str | None = "own"
    # Axes that an array has at least which the layer is called on.
    _axes = 2

    def __init__(
        self,
        name: str | None = None,
        trainable: bool = True,
        input_shape: tuple[int, ...] | None = None,
        input_dim: int | None = None,
        dtype: str | None = None,
    ) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name is {name!r}, expected a string")
        self.name = name
        self.is_named = name is not None  # by its maker, not by its model
        self._trainable = validation.choice("trainable", trainable, (True, False))
        if input_dim is not None:
            if input_shape is not None:
                raise ValueError("input_shape and input_dim are both given, expected one of them")
            input_shape = (validation.integer("input_dim", input_dim, low=1),)
        self.first_shape = None if input_shape is None else _shape("input_shape", input_shape)
        self.index: int | None = None
        self.models: weakref.WeakSet[Any] = weakref.WeakSet()
        self.given_dtype = None if dtype is None else validation.real_dtype("dtype", dtype)
        self.dtype = np.dtype(np.float32) if self.given_dtype is None else self.given_dtype
        self._declared: list[Weight] = []
        self._unbind()

    def _unbind(self) -> None:
        """Have no weights, and be no part of an engine."""
        self.n_in: int | None = None
        self.n_out: int | None = None
        self._engine: Any = None  # of the model
        self._place = -1  # among its layers
        self._bound: dict[str, np.ndarray] = {}  # weights and gradients
        self._flat: tuple[np.ndarray, np.ndarray]  # the parameters and their gradients, each as one vector
        self._described: dict[str, Any] | None = None  # for an engine
        self._calls = 0  # on its own, in training: dropout draws by them

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or ''} {self.n_in or '?'} → {self.n_out or '?'}>"

    def __getstate__(self) -> dict[str, Any]:
        """A copy is a layer that no model has yet, with no weights."""
        state = {name: value for name, value in vars(self).items() if name not in self._bound and name not in _BOUND}
        return state | {"_declared": [], "index": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._unbind()
        self.models = weakref.WeakSet()
        vars(self).update(state)

    # ---- what an own layer overrides --------------------------------------------------------------------------------

    def build(self, n_in: int) -> int:
        """Declare the weights by `add_weight`, and return the number of outputs: n_in where it is not overridden."""
        return n_in

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        """The outputs (N, n_out) for a copy of x (N, n_in): a whole batch in training, some samples in inference."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x, training)")

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """The cost's gradient with respect to the x (N, n_in) of the last `forward`, from that with respect to its
        result (N, n_out).

        That with respect to a trainable weight ``w`` is to be written into the array ``self.w_gradient``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no backward(gradient)")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, such as JSON can hold; a subclass adds its own to these."""
        return {"name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls: type[L], config: dict[str, Any]) -> L:
        """The layer that `get_config` described, with no weights yet."""
        config = dict(config)
        trainable = config.pop("trainable", True)
        layer = cls(**config)
        layer.trainable = trainable  # which the constructor of one's own need not know
        return layer

    # ---- on arrays --------------------------------------------------------------------------------------------------

    def __call__(self, x: Any, training: bool = False) -> np.ndarray:
        """The layer's outputs for x, in the layer's dtype: float32, or its model's.

        Parameters
        ----------
        x : array_like (N, in)
            Or with more axes (…, in), where every row is a sample.  A layer that works on each number, or is given what
            it needs, takes (in,) as well.
        training : bool
            As in training: dropout drops, another set of units at each call, and batch normalization takes the
            statistics of x, which its moving averages take in.

        Returns
        -------
        ndarray (N, out), or (…, out)

        Raises
        ------
        ValueError
            For another number of inputs than the layer was built for.
        """
        return self._apply(validation.array("x", x, self.dtype), bool(training))

    def _apply(self, x: np.ndarray, training: bool) -> np.ndarray:
        if x.ndim < self._axes or x.size == 0:
            axes = "(samples, features)" if self._axes == 2 else "one axis or more"
            raise ValueError(f"x has shape {x.shape}, expected {axes}, none of them empty")
        rows = x.reshape(-1, x.shape[-1])
        if self.n_in != rows.shape[1]:
            self._build_alone(rows.shape[1])
        assert self._described is not None
        described = self._described | {"offset": 0, "frozen": not self.trainable}
        # An engine of its own for each call: its buffers serve one at a time, and it is made in some microseconds.
        engine = core(self.dtype).Engine([described], *self._flat, self.trainable_sizes)
        n_threads = threads.for_step(engine.multiply_adds * min(len(rows), engine.chunk) / 3)
        engine.bind(rows, None, None)
        if training:
            engine.forward_all(n_threads, self._calls, True)
            self._calls += 1
            out: np.ndarray = engine.layer_output(0)
        else:
            out = np.empty((len(rows), described["n_out"]), self.dtype)
            engine.predict(out, n_threads)
        return out.reshape(*x.shape[:-1], out.shape[1])

    def _build_alone(self, n_in: int) -> None:
        """Have weights of its own, for so many inputs."""
        if self.n_in is not None and (self.index is not None or self._keeps_weights):
            raise ValueError(f"x has {n_in} features, expected {self.n_in} as {self!r}")
        n_out = self.declare(n_in, self.dtype)
        parameters, gradients = (core(self.dtype).aligned(self.n_parameters) for _ in range(2))
        seed = utils.new_seed()
        arrays = self.initialize(parameters, np.random.default_rng(seed))
        self.bind(n_in, n_out, arrays, parameters, gradients, self.for_engine(n_in, n_out, arrays, seed))

    @property
    def _keeps_weights(self) -> bool:
        """Whether it has weights that another number of inputs would lose."""
        return bool(self._declared)

    # ---- weights ----------------------------------------------------------------------------------------------------

    def add_weight(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: str | initializers.Initializer = "glorot_uniform",
        trainable: bool = True,
    ) -> None:
        """Declare a weight, within `build`; the model then makes it the attribute of that name.

        Parameters
        ----------
        name : str
        shape : tuple of int
        initializer : str or Initializer
        trainable : bool
            A trainable one is a view of the model's flat vector of parameters, its gradient an attribute
            ``<name>_gradient``.

        Raises
        ------
        ValueError
            For a name that is no identifier, or that another weight or anything else of a layer has.
        """
        if not isinstance(name, str):
            raise TypeError(f"name is {name!r}, expected a string")
        taken = {*_ATTRIBUTES, *(w.name for w in self._declared), *(f"{w.name}_gradient" for w in self._declared)}
        if not name.isidentifier() or name in taken:
            raise ValueError(f"name is {name!r}, expected an identifier that the layer has no other use for")
        if not isinstance(shape, (tuple, list)):
            raise TypeError(f"shape is {shape!r}, expected a tuple such as (64,)")
        sizes = tuple(validation.integer(f"shape[{i}]", n, low=1) for i, n in enumerate(shape))
        self._declared.append(Weight(name, sizes, initializers.get(initializer), trainable))

    @property
    def weights(self) -> list[np.ndarray]:
        """All weights, those first that gradients train; writing into them changes the model."""
        self._need_build()
        return [getattr(self, name) for name in self.weight_names]

    def get_weights(self) -> list[np.ndarray]:
        """Copies of `weights`."""
        return [array.copy() for array in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Assign what `get_weights` returned.

        Raises
        ------
        ValueError
            For another number of arrays or other shapes; nothing is assigned then.
        """
        assign(self.weights, weights, self.dtype)

    @property
    def trainable_weights(self) -> list[np.ndarray]:
        """Those that training changes by gradients: none where the layer is frozen."""
        self._need_build()
        return [getattr(self, w.name) for w in self._declared if w.trainable and self.trainable]

    @property
    def non_trainable_weights(self) -> list[np.ndarray]:
        """The others, as moving averages are."""
        return self.weights[len(self.trainable_weights) :]

    # Keras's names of the same, where there are no others.
    variables = weights
    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights

    @property
    def losses(self) -> list[float]:
        """What the regularizers of the weights add to the cost: nothing where the layer is frozen."""
        trained = self._declared[: len(self.trainable_weights)]
        regularizers_ = {w.name: getattr(self, f"{w.name}_regularizer", None) for w in trained}
        return [penalty(getattr(self, name)) for name, penalty in regularizers_.items() if penalty is not None]

    @property
    def weight_names(self) -> list[str]:
        """Names of `weights`."""
        return [w.name for w in sorted(self._declared, key=lambda w: not w.trainable)]

    def count_params(self) -> int:
        """Elements of all weights of the built layer."""
        self._need_build()
        return sum(w.size for w in self._declared)

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        value = validation.choice("trainable", value, (True, False))
        if value != self._trainable:
            for model in self.models:
                model.lay_out_anew()
        self._trainable = value

    # ---- what the model does with a layer ---------------------------------------------------------------------------

    def known_outputs(self, n_in: int | None) -> int | None:
        """Outputs for so many inputs, where that is known before building."""
        return None if self._kind == "own" else n_in

    def declare(self, n_in: int, dtype: np.dtype) -> int:
        """Let `build` declare the weights anew; returns the number of outputs.

        A layer that has weights already keeps them, for so many inputs as it has them for.
        """
        if self.n_in is not None and self.n_in != n_in:
            if self._keeps_weights:
                raise ValueError(f"{self!r} has weights for {self.n_in} inputs, expected the {n_in} that there are")
            self._unbind()
        self.dtype, self._declared = dtype, []
        return validation.integer(f"the result of build of {self!r}", self.build(n_in), low=1)

    @property
    def declared_shapes(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the declared weights."""
        return {w.name: w.shape for w in self._declared}

    @property
    def n_parameters(self) -> int:
        """Elements of the declared weights that gradients train, or would if the layer was not frozen."""
        return sum(w.size for w in self._declared if w.trainable)

    @property
    def trainable_sizes(self) -> list[int]:
        """Elements of each declared trainable weight; of none where the layer is frozen."""
        return [w.size for w in self._declared if w.trainable and self.trainable]

    def initialize(self, parameters: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """The first weights, or those that there are; those of `parameters` into this layer's share of the flat vector.
        Returns all by name.
        """
        arrays, offset = {}, 0
        for weight in self._declared:
            if weight.trainable:
                array = parameters[offset : offset + weight.size].reshape(weight.shape)
                offset += weight.size
            else:
                array = np.empty(weight.shape, self.dtype)
            if weight.name in self._bound:
                array[...] = self._bound[weight.name]
            else:
                what = f"{weight.name}_initializer's result"
                values = validation.array(what, weight.initializer(weight.shape, rng), self.dtype)
                if values.shape != weight.shape:
                    raise ValueError(f"{what} has shape {values.shape}, expected {weight.shape}")
                array[...] = values
            arrays[weight.name] = array
        return arrays

    def for_engine(self, n_in: int, n_out: int, arrays: dict[str, np.ndarray], seed: int) -> dict[str, Any] | None:
        """What the engine is to know, or None where there is nothing to compute; `seed` is the model's."""
        if self._kind is None:
            return None
        return self._engine_layer(n_in, n_out, self.n_parameters, False, own=self)

    def _engine_layer(
        self,
        n_in: int,
        n_out: int,
        n_kernel: int,
        use_bias: bool,
        activation: activations.Activation = activations.linear,
        penalties: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (0.0, 0.0)),
        **more: Any,
    ) -> dict[str, Any]:
        if activation.parameters.get("axis", -1) not in (-1, 1):
            raise ValueError(f"activation is {activation!r}, expected one along axis -1: samples are rows")
        return {
            "kind": self._kind,
            "n_in": n_in,
            "n_out": n_out,
            "n_kernel": n_kernel,
            "use_bias": use_bias,
            "activation": activation.code,
            "alpha": activation.alpha,
            "penalties": penalties,
            **more,
        }

    def bind(
        self,
        n_in: int,
        n_out: int,
        arrays: dict[str, np.ndarray],
        parameters: np.ndarray,
        gradients: np.ndarray,
        described: dict[str, Any] | None,
    ) -> None:
        """Take the arrays of `initialize` as attributes, and shares of flat vectors as their memory."""
        self.n_in, self.n_out, self._described = n_in, n_out, described
        self._flat = parameters, gradients
        self._bound, offset = dict(arrays), 0
        for weight in self._declared:
            if weight.trainable:
                share = gradients[offset : offset + weight.size].reshape(weight.shape)
                self._bound[f"{weight.name}_gradient"] = share
                offset += weight.size
        vars(self).update(self._bound)

    def enter(self, model: Any, index: int) -> None:
        """Become part of a model, with the weights that there are; what it was called on before is no matter."""
        if not (self._keeps_weights or self.models):
            self._unbind()
        self.models.add(model)
        self.index = index

    def join(self, index: int, engine: Any, place: int) -> None:
        """Take a place in a model's engine: one at a time has the memory of the weights."""
        self.index, self._engine, self._place = index, engine, place

    def leave(self, model: Any) -> None:
        """Be no part of a model any more, but keep the weights."""
        self.models.discard(model)
        if self.models:
            return
        self.index = self._engine = None
        if not self.is_named:
            self.name = None

    def check_arrays(self) -> None:
        """Raise where an own layer has assigned an array that it was to write into: the model would not see it."""
        for name, array in self._bound.items():
            if getattr(self, name) is not array:
                raise ValueError(
                    f"layer {self.name!r} has assigned another array to {name}, expected its elements to be written: "
                    f"self.{name}[...] = …"
                )

    @property
    def output(self) -> np.ndarray:
        """A copy (N, n_out) of the layer's outputs of the model's last `forward`.

        An `Activation` right behind a layer is computed as part of it: the outputs of both are then the activation's.
        """
        self._need_model()
        result: np.ndarray = self._engine.layer_output(self._place)
        return result

    @property
    def delta(self) -> np.ndarray:
        """A copy (N, n_out) of the cost's gradient with respect to the pre-activations, of the last `backward`."""
        self._need_model()
        result: np.ndarray = self._engine.layer_delta(self._place)
        return result

    def _need_build(self) -> None:
        if self.n_in is None:
            raise ValueError(f"the model of {self!r} is not built: give it a layers.Input first, or data")

    def _need_model(self) -> None:
        if self._engine is None:
            raise ValueError(f"the model of {self!r} is not built: give it a layers.Input first, or data")


_ATTRIBUTES = frozenset(dir(Layer()))  # names that no weight can have
# What a copy of a layer does without.
_BOUND = ("n_in", "n_out", "models", "_engine", "_place", "_bound", "_flat", "_described", "_calls")


class Input(Layer):
    """The shape of one sample; makes the model build its parameters at once.

    Parameters
    ----------
    shape : tuple of int
        ``(features,)``, or more axes where a `Flatten` follows.
    batch_size : int, optional
        Keras's; batches may be of any size all the same.
    dtype : optional
        Keras's: that of the data, which are converted to the model's.
    batch_shape : tuple of int or None, optional
        ``(batch_size, *shape)`` instead of both.
    name : str, optional
    """

    _kind = None

    def __init__(
        self,
        shape: tuple[int, ...] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: tuple[int | None, ...] | None = None,
        **options: Unpack[Named],
    ) -> None:
        given: Any = options.pop("input_shape", None) if shape is None else shape
        if batch_shape is not None:
            if given is not None:
                raise ValueError(f"shape is {given!r} and batch_shape is {batch_shape!r}, expected one of them")
            batch_size, *given = batch_shape
        if batch_size is not None:
            validation.integer("batch_size", batch_size, low=1)
        if dtype is not None and np.dtype(dtype).kind not in "fiub":
            raise ValueError(f"dtype is {dtype!r}, expected that of numbers")
        super().__init__(**options)
        self.shape = _shape("shape", given)

    def get_config(self) -> dict[str, Any]:
        return {"shape": list(self.shape), **super().get_config()}


def _shape(name: str, value: Any) -> tuple[int, ...]:
    """Of one sample."""
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} is {value!r}, expected a tuple such as (64,)")
    if not value:
        raise ValueError(f"{name} is {value!r}, expected a tuple such as (64,)")
    return tuple(validation.integer(f"{name}[{i}]", n, low=1) for i, n in enumerate(value))


def assign(own: Sequence[np.ndarray], weights: Any, dtype: np.dtype) -> None:
    """Write given arrays into those of a layer or a model, or raise before any is written."""
    if not isinstance(weights, Iterable):
        raise TypeError(f"weights is {weights!r}, expected a list of arrays")
    given = list(weights)
    if len(given) != len(own):
        raise ValueError(f"weights has {len(given)} arrays, expected {len(own)}: those of get_weights")
    checked = [validation.array(f"weights[{i}]", w, dtype) for i, w in enumerate(given)]
    for i, (w, v) in enumerate(zip(checked, own, strict=True)):
        if w.shape != v.shape:
            raise ValueError(f"weights[{i}] has shape {w.shape}, expected {v.shape}")
    for w, v in zip(checked, own, strict=True):
        v[...] = w


def penalty(regularizer: regularizers.Regularizer | None) -> tuple[float, float]:
    """The engine's (l1, l2)."""
    return (regularizer.l1, regularizer.l2) if regularizer else (0.0, 0.0)


def last_axis(axis: Any) -> int:
    """-1, which is axis 1 of (samples, outputs)."""
    if axis not in (-1, 1) or isinstance(axis, bool):
        raise ValueError(f"axis is {axis!r}, expected -1: samples are rows")
    return -1
