"""Models in files and copies of models: everything that a training needs to go on to the same bytes."""

from __future__ import annotations

import copy
import errno
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .. import layers as layers_
from .. import losses, metrics, optimizers, safetensors, validation
from ..config import __version__
from ..serialization import custom_object_scope, deserialize, get_registered_name
from . import foreign, onnx
from .network import Network

if TYPE_CHECKING:
    from .sequential import Sequential

Path = str | os.PathLike[str]

# Of a file, so that a version of fastnn can tell one that it does not understand.
FORMAT = 1
# Before the names of the optimizer's arrays.
_STATE = "optimizer."

# Inputs that a layer without weights may have.
_WIDEST = 1 << 20

# What belongs to this very object and its memory, and is made anew for a copy.
_OWN = ("_engine", "_parameters", "_gradients", "_lock", "_at_work", "_forward_x", "history")


class Persistent(Network):
    """A network that can be written to a file and copied."""

    optimizer: optimizers.Optimizer | None
    loss: losses.Loss | None
    epochs_trained: int
    _metric_names: tuple[list[Any], list[Any]]

    def get_config(self) -> dict[str, Any]:
        """Name, seed, dtype and layers, in values that JSON can hold; not the weights."""
        stack = [*([self._input] if self._input else []), *self.layers]
        return {
            "name": self.name,
            "seed": self.seed,
            "dtype": self.dtype.name,
            "trainable": self.trainable,
            "layers": [layers_.serialize(layer) for layer in stack],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """The model that `get_config` described, with new weights: those that its seed gives.

        Parameters
        ----------
        config : dict
        custom_objects : dict, optional
            Your own classes of layers, initializers and so on, by name.
        """
        with custom_object_scope(custom_objects):
            stack = [layers_.deserialize(layer) for layer in config["layers"]]
        return cls(stack, **{name: value for name, value in config.items() if name != "layers"})

    def to_json(self) -> str:
        """`get_config` as JSON, for `models.model_from_json`; not the weights, nor how the model was compiled."""
        return json.dumps(_plain("model", {"class_name": type(self).__name__, "config": self.get_config()}))

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments for `compile`, in values that JSON can hold; None before it was called."""
        if self.optimizer is None or self.loss is None:
            return None
        return {
            "optimizer": optimizers.serialize(self.optimizer),
            "loss": losses.serialize(self.loss),
            "metrics": [_described(metric) for metric in self._metric_names[0]],
            "weighted_metrics": [_described(metric) for metric in self._metric_names[1]],
        }

    def save(self, filepath: Path, overwrite: bool = True) -> None:
        """Write everything to one safetensors file: `load_model` returns the model, whose training goes on to the bit.

        The file has the weights, the layers, how the model was compiled, the optimizer's state, the seed and the number
        of epochs trained, and no code.  One that was there is replaced at once: at every moment, and after a crash at
        any, the path is the old file or the whole new one.

        Parameters
        ----------
        filepath : str or path-like
            Its ending does not matter; ``.safetensors`` tells others what it is.
        overwrite : bool
            Whether a file that is there may be replaced.

        Raises
        ------
        TypeError
            Where something cannot be described in JSON: a learning rate that is a function, for one.
        OSError
            Where the file cannot be written, or is there and must not be replaced.
        """
        _may_write(filepath, overwrite)
        write(self, filepath)

    def save_weights(self, filepath: Path, overwrite: bool = True) -> None:
        """Write the weights alone to a safetensors file, for `load_weights`; the arguments are those of `save`."""
        self._need_build()
        _may_write(filepath, overwrite)
        _write(filepath, self._work(lambda _: _copies(self._named_weights())), None)

    def load_weights(self, filepath: Path | Mapping[str, Any]) -> None:
        """Take the weights of a file, or of a dict from name to array.

        Parameters
        ----------
        filepath : str, path-like or dict
            What `save` or `save_weights` wrote; or weights from elsewhere, for the same layers:

            - Keras's ``.weights.h5``, through h5py;
            - PyTorch's ``state_dict()`` of Linear layers, in the order of the layers, or a safetensors file of one
              whose names have the layers' numbers, as those of ``torch.nn.Sequential``.  Its kernels are (out, in)
              and are transposed.

        Raises
        ------
        ValueError, TypeError
            Where names or shapes do not fit; nothing is changed then.
        ImportError
            Where a ``.weights.h5`` is given and h5py is not installed.
        """
        self._need_build()
        own = self._named_weights()
        where, ordered = "the dict", True
        if isinstance(filepath, Mapping):
            arrays = filepath
        else:
            where, ordered = repr(os.fspath(filepath)), False
            arrays = foreign.read_keras(filepath) if foreign.is_hdf5(filepath) else _read(filepath)[0]
            arrays = {name: a for name, a in arrays.items() if name in own or not name.startswith(_STATE)}
        try:
            given = foreign.translated(arrays, self.layers, ordered=ordered)
            self._work(lambda _: _assign(own, given, self.dtype))
        except (ValueError, TypeError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{where} does not fit this model: {error}") from error

    def export(self, filepath: Path, format: str = "onnx") -> None:
        """Write the network as an ONNX file (opset 17), which onnxruntime runs without fastnn.

        Its ``output`` (N, units) for its ``input`` (N, features) is what `predict` returns, but for rounding; N is any
        number.

        Parameters
        ----------
        filepath : str or path-like
        format : {"onnx"}

        Raises
        ------
        ImportError
            Where onnx is not installed.
        ValueError
            For a layer that ONNX has no operators for: one of your own.
        OSError
            Where the file cannot be written.
        """
        validation.choice("format", format, ("onnx",))
        self._need_build()
        self._work(lambda _: onnx.export(self, filepath))

    def _named_weights(self) -> dict[str, np.ndarray]:
        """All arrays, under names such as ``dense.kernel``."""
        return {f"{layer.name}.{name}": array for layer in self.layers for name, array in foreign.named(layer).items()}

    # ---- copies -----------------------------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        def snapshot(engine: Any) -> dict[str, Any]:
            state = {name: value for name, value in vars(self).items() if name not in _OWN}
            weights = None if engine is None else self.get_weights()
            optimizer = copy.deepcopy(self.optimizer)  # of the same moment as the weights
            return state | {"optimizer": optimizer, "weights": weights, "n_in": engine and self._known_inputs()}

        self._build_if_known()  # after a change of the layers
        return self._work(snapshot)

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights, n_in = state.pop("weights"), state.pop("n_in")
        Network.__init__(self, seed=state["seed"], dtype=state["dtype"])
        vars(self).update(state)
        for index, layer in enumerate(self.layers):
            layer.enter(self, index)
        if weights is not None:
            self.build(n_in)
            self.set_weights(weights)

    def __copy__(self) -> Self:
        return copy.deepcopy(self)  # layers and optimizer serve one model


def _described(metric: Any) -> Any:
    """A metric as it was given by name, or as `metrics.serialize` describes it."""
    return metric if isinstance(metric, str) else metrics.serialize(metrics.get(metric))


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Sequential:
    """The model that `Sequential.to_json` described, with new weights: those that its seed gives.

    Raises
    ------
    ValueError, TypeError
        For what is no such description.
    """
    from .sequential import Sequential  # which imports this module

    with custom_object_scope(custom_objects):
        return deserialize("json_string", json.loads(json_string), Sequential, {Sequential.__name__: Sequential})


def clone_model(
    model: Sequential, clone_function: Callable[[layers_.Layer], layers_.Layer] | None = None
) -> Sequential:
    """A model of the same layers with weights of its own, drawn anew by a seed of its own; it is not compiled.

    Parameters
    ----------
    model : Sequential
    clone_function : callable, optional
        Makes the new layer of one of the model's; by default from its configuration.
    """
    clone = clone_function or (lambda layer: type(layer).from_config(layer.get_config()))
    first = [type(model._input).from_config(model._input.get_config())] if model._input else []
    stack = [*first, *map(clone, model.layers)]
    return type(model)(stack, model.name, dtype=model.dtype.name, trainable=model.trainable)


def save_model(model: Sequential, filepath: Path, overwrite: bool = True) -> None:
    """Keras's name of ``model.save(filepath, overwrite)``."""
    model.save(filepath, overwrite)


def load_model(
    filepath: Path, custom_objects: Mapping[str, Any] | None = None, compile: bool = True, safe_mode: bool = True
) -> Sequential:
    """The model that `Sequential.save` wrote: weights, compilation, optimizer's state and all.

    It is safe to load a file from a stranger: there is no code in it, and it takes no more memory than its size tells.

    Parameters
    ----------
    filepath : str or path-like
    custom_objects : dict, optional
        Your own classes and functions, by name, where the model has any that are not registered by
        `utils.register_keras_serializable`: layers, losses, metrics, schedules, initializers.
    compile : bool
        Whether to compile it as it was, with its optimizer's state; prediction does without, and without your own
        losses and metrics.
    safe_mode : bool
        Keras's, of no effect: there is no code that could be run.

    Raises
    ------
    ValueError
        For a file that is damaged, holds no model, or was written by a version of fastnn that is too new.
    OSError
        For one that cannot be read.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.layers.Input((2,)), fastnn.layers.Dense(1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     model.save(path)
    ...     again = fastnn.load_model(path)
    >>> bool((again.parameters == model.parameters).all())
    True
    """
    return read(filepath, custom_objects, compile)[0]


def write(model: Persistent, filepath: Path, extra: Mapping[str, Any] | None = None) -> None:
    """`Sequential.save`, with notes for `read` that JSON can hold."""

    def snapshot(engine: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays = {} if engine is None else _copies(model._named_weights())
        state = {_STATE + name: a for name, a in (model.optimizer.get_state() if model.optimizer else {}).items()}
        if both := arrays.keys() & state.keys():
            raise ValueError(f"a layer's weight has the name {min(both)!r}, which is the optimizer's; rename the layer")
        return arrays | state, {
            "class_name": get_registered_name(type(model)),
            "config": model.get_config(),
            "n_in": engine and model._known_inputs(),
            "compile": model.get_compile_config(),
            "epochs_trained": model.epochs_trained,
            "extra": extra,
        }

    model._build_if_known()  # after a change of the layers
    arrays, description = model._work(snapshot)
    _write(filepath, arrays, _plain("model", description))


def read(
    filepath: Path, custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> tuple[Sequential, Any]:
    """`load_model`, and the notes that `write` was given."""
    from .sequential import Sequential  # which imports this module

    arrays, metadata = _read(filepath)
    where = repr(os.fspath(filepath))
    if not {"model", "fastnn_format"} <= metadata.keys():
        raise ValueError(
            f"{where} holds no fastnn model, expected what Sequential.save wrote; load_weights may read it"
        )
    with custom_object_scope(custom_objects):
        try:
            return _make(Sequential, json.loads(metadata["model"]), arrays, compile)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            why = f"{error} is not there" if isinstance(error, KeyError) else error
            raise ValueError(f"{where} holds no model that can be made: {why}") from error


def _make(
    kind: type[Sequential], description: dict[str, Any], arrays: Mapping[str, np.ndarray], compile: bool
) -> tuple[Sequential, Any]:
    n_in, config = description["n_in"], description["config"]
    _check_sizes([layers_.deserialize(layer) for layer in config["layers"]], n_in, arrays)
    model = deserialize("model", description, kind, {kind.__name__: kind})
    if n_in is not None and model._engine is None:
        model.build(n_in)
    own = {} if model._engine is None else model._named_weights()
    _assign(own, {name: a for name, a in arrays.items() if name in own}, model.dtype)
    if compile and description["compile"] is not None:
        try:
            model.compile(**description["compile"])
        except (ValueError, TypeError) as error:
            raise ValueError(f"{error}; compile=False loads it without") from error
        assert model.optimizer is not None
        model.optimizer.set_state({name.removeprefix(_STATE): a for name, a in arrays.items() if name not in own})
        if model.optimizer.variables:
            model.optimizer.build([model.parameters])  # raises where the state is another model's
    model.epochs_trained = description["epochs_trained"]
    return model, description["extra"]


def _check_sizes(stack: list[layers_.Layer], n_in: int | None, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise where the layers would need other weights than there are: before any memory is asked for."""
    if stack and isinstance(first := stack[0], layers_.Input):
        known, stack = math.prod(first.shape), stack[1:]
        if n_in not in (None, known):
            raise ValueError(f"n_in is {n_in}, expected {known} as the Input says")
        n_in = known
    if n_in is None:
        return
    for layer in stack:
        if n_in > max(_WIDEST, *(array.size for array in arrays.values())):
            raise ValueError(f"layer {layer.name!r} has {n_in} inputs, expected no more than there are weights")
        n_in = layer.declare(n_in, np.dtype(np.float32))
        for name, shape in layer.declared_shapes.items():
            given = arrays[f"{layer.name}.{name}"].shape
            if given != shape:
                raise ValueError(f"{layer.name}.{name} has shape {given}, expected {shape}")


def _assign(own: Mapping[str, np.ndarray], given: Mapping[str, Any], dtype: np.dtype) -> None:
    """Write given arrays into those of the same names, all of which must be there, or none."""
    for names, what in (([*own.keys() - given.keys()], "is not there"), ([*given.keys() - own.keys()], "is unknown")):
        if names:
            raise ValueError(f"{validation.listed(sorted(names))} {what}, expected {validation.listed(own)}")
    checked = {name: validation.array(name, given[name], dtype) for name in own}
    for name, array in own.items():
        if checked[name].shape != array.shape:
            raise ValueError(f"{name} has shape {checked[name].shape}, expected {array.shape}")
    for name, array in own.items():
        array[...] = checked[name]


def _may_write(filepath: Path, overwrite: bool) -> None:
    if not overwrite and os.path.exists(filepath):
        raise FileExistsError(errno.EEXIST, "the file is there already, expected overwrite=True", os.fspath(filepath))


def _copies(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: a.copy() for name, a in arrays.items()}


def _write(filepath: Path, arrays: Mapping[str, np.ndarray], description: Any) -> None:
    metadata = {"fastnn": __version__, "fastnn_format": str(FORMAT)}
    if description is not None:
        metadata["model"] = json.dumps(description, ensure_ascii=False)
    safetensors.write(filepath, arrays, metadata | {"crc32": safetensors.checksum(arrays, metadata)})


def _read(filepath: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays and metadata of a safetensors file; where fastnn wrote it, as it was written."""
    arrays, metadata = safetensors.read(filepath)
    if "fastnn_format" in metadata:
        version, checksum = metadata["fastnn_format"], metadata.pop("crc32", None)
        if version != str(FORMAT):
            raise ValueError(
                f"{os.fspath(filepath)!r} has the format {version} of fastnn {metadata.get('fastnn')}, "
                f"expected {FORMAT}: a newer fastnn reads it"
            )
        if checksum != safetensors.checksum(arrays, metadata):
            raise ValueError(
                f"{os.fspath(filepath)!r} is damaged: its checksum is {checksum}, expected that of its bytes"
            )
    return arrays, metadata


def _plain(where: str, value: Any) -> Any:
    """A value of Python and NumPy as JSON has them, or an error that says where the one is that it has not."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {
            key: _plain(f"{where}.{key}" if key not in ("config", "class_name") else where, v)
            for key, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(f"{where}[{i}]", v) for i, v in enumerate(value)]
    if isinstance(value, np.ndarray):
        return _plain(where, value.tolist())
    if isinstance(value, np.generic):
        return _plain(where, value.item())
    if value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise TypeError(
        f"{where} is {value!r}, which a file cannot hold, expected what JSON can describe: in the place of a function "
        "a class with get_config and from_config; save_weights writes the weights alone"
    )
