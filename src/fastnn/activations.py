"""Activation functions, as layers use them and on their own.

>>> import numpy as np
>>> from fastnn import activations
>>> activations.relu(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 2.])
>>> activations.relu.gradient(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 1.])

Some have parameters, to be given in a call or for good:

>>> activations.leaky_relu(np.array([-1.0, 2.0]), negative_slope=0.5)
array([-0.5,  2. ])
>>> activations.leaky_relu.with_parameters(negative_slope=0.5)
<fastnn.activations.leaky_relu(negative_slope=0.5)>

The names, the parameters and their defaults are Keras 3's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from . import threads, validation
from .kernels import core

__all__ = [
    "Activation",
    "celu",
    "elu",
    "exponential",
    "gelu",
    "get",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "serialize",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "swish",
    "tanh",
    "tanh_shrink",
]

_KERNELS = {np.dtype(dtype): core(dtype) for dtype in (np.float32, np.float64)}
_PARALLEL = 1_000_000  # elements from which a second thread may pay
_MULTIPLY_ADDS = 4.0  # what an element is worth, to the thread policy


class _Parameter(NamedTuple):
    name: str
    default: Any
    check: Callable[[str, Any], Any]  # of its name and value


class Activation:
    """A function f applied to a layer's pre-activations z.

    Attributes
    ----------
    name : str
    parameters : dict
        The values of the function's parameters, by name; empty for most.
    formula : str
    elementwise : bool
        Whether each output depends on one input alone.
    """

    def __init__(
        self,
        name: str,
        code: int,
        formula: str,
        *parameters: _Parameter,
        elementwise: bool = True,
        values: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.formula = formula
        self.elementwise = elementwise
        self.parameters: dict[str, Any] = {p.name: p.default for p in parameters} if values is None else values
        self.code, self.alpha = _kernel(name, code, self.parameters)  # of the function, and what that is made with
        self.__doc__ = f"{name}: {formula}"
        self._parameters = parameters
        self._base = code
        self._axis = self.parameters.get("axis", -1)

    def __repr__(self) -> str:
        changed = ", ".join(f"{name}={value}" for name, value in self._changed.items())
        return f"<fastnn.activations.{self.name}{f'({changed})' if changed else ''}>"

    @property
    def _changed(self) -> dict[str, Any]:
        """The parameters that are not at their defaults."""
        return {p.name: self.parameters[p.name] for p in self._parameters if self.parameters[p.name] != p.default}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Activation):
            return NotImplemented
        return (self.name, self.parameters) == (other.name, other.parameters)

    def __hash__(self) -> int:
        return hash((self.name, *self.parameters.values()))

    def __reduce__(self) -> tuple[Any, ...]:
        return get, (serialize(self),)

    def with_parameters(self, *values: Any, **parameters: Any) -> Activation:
        """The same function with other values of its parameters.

        Parameters
        ----------
        *values, **parameters
            In this order, or by name: ``negative_slope, max_value, threshold`` of relu, all at least 0;
            ``negative_slope`` of leaky_relu; ``alpha`` of elu and celu; ``approximate`` of gelu; ``threshold`` of
            soft_shrink and hard_shrink; ``b`` of squareplus; ``axis`` of softmax and log_softmax, one or several.

        Raises
        ------
        TypeError, ValueError
            For a parameter that the function does not have, or a value that it must not have.
        """
        names = [p.name for p in self._parameters]
        known = ", ".join(names) or "none"
        if len(values) > len(names):
            raise TypeError(f"{self.name} has no parameter for {values[len(names)]!r}, expected {known}")
        given = dict(zip(names, values, strict=False))
        for name, value in parameters.items():
            if name not in names or name in given:
                raise TypeError(f"{self.name} has no {'other ' * (name in given)}parameter {name!r}, expected {known}")
            given[name] = value
        checked = {p.name: p.check(p.name, given[p.name]) for p in self._parameters if p.name in given}
        if not checked:
            return self
        values_of_all = self.parameters | checked
        if all(values_of_all[p.name] == p.default for p in self._parameters):
            return _NAMED[self.name]
        return Activation(
            self.name,
            self._base,
            self.formula,
            *self._parameters,
            elementwise=self.elementwise,
            values=values_of_all,
        )

    def __call__(self, x: Any, *values: Any, out: np.ndarray | None = None, **parameters: Any) -> np.ndarray:
        """f(x).

        Parameters
        ----------
        x : array_like, real
            Any shape.  float32 and float64 are computed as they are, everything else as float64.
        *values, **parameters
            Other values of the function's parameters, as in `with_parameters`.
        out : ndarray, optional
            Where to write the result: shape and dtype as `x`'s; it may be `x`.

        Returns
        -------
        ndarray, of `x`'s shape.
        """
        if values or parameters:
            return self.with_parameters(*values, **parameters)(x, out=out)
        if self._axis != -1:
            return self._along(False, x, None, out)
        if type(x) is np.ndarray and (kernels := _KERNELS.get(x.dtype)) is not None:
            # What nearly all calls bring goes straight to the kernel: for small arrays all else takes longer.
            result: np.ndarray | None = kernels.apply_activation(self.code, self.alpha, False, x, None, out, 0)
            if result is not None:
                return result
        return self._apply(False, x, None, out)

    def gradient(self, x: Any, upstream: Any = None, out: np.ndarray | None = None) -> np.ndarray:
        """Gradient with respect to x of a scalar whose gradient with respect to f(x) is `upstream`.

        Parameters
        ----------
        x : array_like, real
        upstream : array_like, real, of the same shape
            Ones by default, which makes the result of an elementwise function f'(x).  Softmax and log_softmax need it:
            each of their outputs depends on every input of the row.
        out : ndarray, optional
            Shape and dtype as `x`'s; it may be `x` or `upstream`.

        Returns
        -------
        ndarray, of `x`'s shape.

        Notes
        -----
        As in a network, f'(x) is computed from f(x) wherever that determines it.  Where f saturates, it is then right
        to a rounding of f's range, not of f'(x).  At a kink it is that of the constant side, or else of the left side.
        """
        if upstream is None and not self.elementwise:
            raise ValueError(
                f"upstream is None, expected the gradient with respect to {self.name}(x): its derivative is a matrix"
            )
        if self._axis != -1:
            return self._along(True, x, upstream, out)
        if type(x) is np.ndarray and (kernels := _KERNELS.get(x.dtype)) is not None:
            result: np.ndarray | None = kernels.apply_activation(self.code, self.alpha, True, x, upstream, out, 0)
            if result is not None:
                return result
        return self._apply(True, x, upstream, out)

    def _along(self, gradient: bool, x: Any, upstream: Any, out: np.ndarray | None) -> np.ndarray:
        """f(x) or the gradient along other axes than the last: with these as the last, and as one."""
        dtype = validation.floating("x", x)
        z = validation.array("x", x, dtype)
        axes = self._axis if isinstance(self._axis, tuple) else (self._axis,)
        last = range(z.ndim - len(axes), z.ndim)
        if not all(-z.ndim <= axis < z.ndim for axis in axes) or len({axis % z.ndim for axis in axes}) < len(axes):
            raise ValueError(f"axis is {self._axis}, expected axes of x, which has shape {z.shape}")
        if upstream is not None:
            upstream = validation.array("upstream", upstream, dtype)
            if upstream.shape != z.shape:
                raise ValueError(f"upstream has shape {upstream.shape}, expected {z.shape} as x")
        if out is not None:
            validation.output("out", out, z)
        moved = np.moveaxis(z, axes, last)
        shape = *moved.shape[: last.start], -1
        d = None if upstream is None else np.moveaxis(upstream, axes, last).reshape(shape)
        result = _NAMED[self.name]._apply(gradient, moved.reshape(shape), d, None)
        result = np.moveaxis(result.reshape(moved.shape), last, axes)
        if out is None:
            return np.ascontiguousarray(result)
        out[...] = result
        return out

    def _apply(self, gradient: bool, x: Any, upstream: Any, out: np.ndarray | None) -> np.ndarray:
        """f(x) or the gradient, for arrays of all kinds, with errors that say what is wrong."""
        dtype = validation.floating("x", x)
        z = _ready(validation.array("x", x, dtype))
        if not self.elementwise and (z.ndim == 0 or z.shape[-1] == 0):
            raise ValueError(f"x has shape {z.shape}, expected a last axis of at least one element")
        d = None
        if upstream is not None:
            d = _ready(validation.array("upstream", upstream, dtype))
            if d.shape != z.shape:
                raise ValueError(f"upstream has shape {d.shape}, expected {z.shape} as x")
        if out is not None:
            validation.output("out", out, z)
        n_threads = threads.for_step(_MULTIPLY_ADDS * z.size) if z.size >= _PARALLEL else 1
        apply = partial(_KERNELS[dtype].apply_activation, self.code, self.alpha, gradient, z, d)
        result: np.ndarray | None = apply(out, n_threads)
        if result is None:  # out has gaps, or lies partly over x or upstream
            result = apply(None, n_threads)
        assert result is not None
        if out is None or result is out:
            return result
        out[...] = result
        return out


def _ready(array: np.ndarray) -> np.ndarray:
    """C-contiguous and aligned."""
    return np.require(array, requirements=["C", "A"])


def _no_less(low: float, value_of_it: bool = True) -> Callable[[str, Any], float]:
    return partial(validation.number, low=low, open_low=not value_of_it)


def _flag(name: str, value: Any) -> bool:
    return validation.choice(name, value, (False, True))


def _at_most(name: str, value: Any) -> float | None:
    return None if value is None else validation.number(name, value, low=0)


def _axes(name: str, value: Any) -> int | tuple[int, ...]:
    """One of an array's axes, or several."""
    check = partial(validation.integer, low=-_MOST_AXES, high=_MOST_AXES - 1)
    if not isinstance(value, (list, tuple)):
        return check(name, value)
    if not value:
        raise ValueError(f"{name} is {value!r}, expected an integer or integers")
    axes = tuple(check(f"{name}[{i}]", axis) for i, axis in enumerate(value))
    return axes if len(axes) > 1 else axes[0]


def _kernel(name: str, code: int, parameters: dict[str, Any]) -> tuple[int, float | tuple[float, ...]]:
    """The kernel of a function with these parameters, and the number or the numbers that it takes."""
    if name == "gelu":  # two kernels, one after the other
        return code + parameters["approximate"], 0.0
    if name == "relu":  # of which there are some
        negative_slope, max_value, threshold = parameters.values()
        if threshold == 0 and max_value is None:
            return (_LEAKY_RELU, negative_slope) if negative_slope else (code, 0.0)
        if (negative_slope, max_value, threshold) == (0, 6, 0):
            return _RELU6, 0.0
        return _BENT_RELU, (negative_slope, threshold, math.nan if max_value is None else max_value)
    if not parameters or "axis" in parameters:
        return code, 0.0
    (alpha,) = parameters.values()
    return code, alpha


_LEAKY_RELU, _RELU6, _BENT_RELU = 6, 7, 22  # kernels
_MOST_AXES = 64  # of an array of NumPy's


linear = Activation("linear", 0, "z")
relu = Activation(
    "relu",
    1,
    "z where z > threshold, max_value at most, negative_slope (z - threshold) elsewhere; so max(z, 0)",
    _Parameter("negative_slope", 0.0, _no_less(0)),
    _Parameter("max_value", None, _at_most),
    _Parameter("threshold", 0.0, _no_less(0)),
)
sigmoid = Activation("sigmoid", 2, "1/(1 + exp(-z))")
tanh = Activation("tanh", 3, "tanh(z)")
softmax = Activation(
    "softmax", 4, "exp(z_j)/sum_k exp(z_k), along an axis", _Parameter("axis", -1, _axes), elementwise=False
)
log_softmax = Activation(
    "log_softmax", 5, "z_j - log(sum_k exp(z_k)), along an axis", _Parameter("axis", -1, _axes), elementwise=False
)
leaky_relu = Activation(
    "leaky_relu",
    _LEAKY_RELU,
    "z where z > 0, negative_slope z elsewhere",
    _Parameter("negative_slope", 0.2, _no_less(0)),
)
relu6 = Activation("relu6", _RELU6, "min(max(z, 0), 6)")
elu = Activation("elu", 8, "z where z > 0, alpha (exp(z) - 1) elsewhere", _Parameter("alpha", 1.0, _no_less(0)))
selu = Activation("selu", 9, "1.0507… z where z > 0, 1.0507… 1.6733… (exp(z) - 1) elsewhere")
celu = Activation(
    "celu", 10, "z where z > 0, alpha (exp(z/alpha) - 1) elsewhere", _Parameter("alpha", 1.0, _no_less(0, False))
)
softplus = Activation("softplus", 11, "log(1 + exp(z))")
softsign = Activation("softsign", 12, "z/(1 + |z|)")
exponential = Activation("exponential", 13, "exp(z)")
log_sigmoid = Activation("log_sigmoid", 14, "-log(1 + exp(-z))")
hard_sigmoid = Activation("hard_sigmoid", 15, "min(max(z + 3, 0), 6)/6")
hard_tanh = Activation("hard_tanh", 16, "min(max(z, -1), 1)")
soft_shrink = Activation(
    "soft_shrink",
    17,
    "z - threshold where z > threshold, z + threshold where z < -threshold, 0 elsewhere",
    _Parameter("threshold", 0.5, _no_less(0)),
)
hard_shrink = Activation(
    "hard_shrink", 18, "z where |z| > threshold, 0 elsewhere", _Parameter("threshold", 0.5, _no_less(0))
)
sparse_plus = Activation("sparse_plus", 19, "0 where z <= -1, z where z >= 1, (z + 1)²/4 elsewhere")
sparse_sigmoid = Activation("sparse_sigmoid", 20, "min(max((z + 1)/2, 0), 1)")
squareplus = Activation("squareplus", 21, "(z + sqrt(z² + b))/2", _Parameter("b", 4.0, _no_less(0, False)))
silu = swish = Activation("silu", 23, "z sigmoid(z)")
gelu = Activation(
    "gelu",
    24,
    "z Φ(z), Φ the distribution function of the normal distribution; "
    "approximately z sigmoid(sqrt(8/π) (z + 0.044715 z³))",
    _Parameter("approximate", False, _flag),
)
mish = Activation("mish", 26, "z tanh(log(1 + exp(z)))")
hard_silu = hard_swish = Activation("hard_silu", 27, "z min(max(z + 3, 0), 6)/6")
tanh_shrink = Activation("tanh_shrink", 28, "z - tanh(z)")

_NAMED: dict[str, Activation] = {a.name: a for a in globals().copy().values() if isinstance(a, Activation)}
_ALIASES = {"swish": silu, "hard_swish": hard_silu}


def get(identifier: str | dict[str, Any] | Activation | None) -> Activation:
    """The activation of a name, or of what `serialize` returned; None is linear.

    Names are those of the functions of this module.

    Raises
    ------
    ValueError, TypeError
        For an unknown name, or another kind of object.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, dict):
        if "name" not in identifier:
            raise ValueError(f"activation is {identifier!r}, expected a dict with 'name'")
        parameters = {key: value for key, value in identifier.items() if key != "name"}
        return get(identifier["name"]).with_parameters(**parameters)
    named = {name: partial(_NAMED.__getitem__, a.name) for name, a in (_NAMED | _ALIASES).items()}
    return validation.lookup("activation", identifier, Activation, named)


def serialize(activation: Activation) -> str | dict[str, Any]:
    """An activation's name, or where parameters are not at their defaults, a dict of its name and those.

    >>> serialize(elu), serialize(elu.with_parameters(alpha=0.5))
    ('elu', {'name': 'elu', 'alpha': 0.5})
    """
    changed = activation._changed
    return {"name": activation.name, **changed} if changed else activation.name
