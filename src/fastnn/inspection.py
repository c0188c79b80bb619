"""Backpropagation to read and to check: one step of one sample as a table, and gradients against differences."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .layers import Dense
from .models import Sequential

__all__ = ["GradientCheck", "GradientError", "Trace", "check_gradients", "trace"]


class TraceRow(NamedTuple):
    """One quantity of a `Trace`: its name, its value and how it comes about."""

    name: str
    value: float
    formula: str


@dataclass(frozen=True)
class Trace:
    """One forward pass, loss, backward pass and update of one sample; ``print`` shows it as a table.

    Attributes
    ----------
    sections : dict of str to list of TraceRow
        "sample", "parameters", "forward", "loss", "backward" and "update", in the order of the computation.
    decimals : int
        Decimals printed: what the model's dtype carries.
    """

    sections: dict[str, list[TraceRow]]
    decimals: int

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Name and value of every quantity, in the order of the computation; ``dict(trace.rows)`` looks one up."""
        return [(row.name, row.value) for rows in self.sections.values() for row in rows]

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.rows)
        digits = max(len(self._format(value)) for _, value in self.rows)
        lines = []
        for title, rows in self.sections.items():
            lines.append(title)
            lines += [
                f"  {row.name:<{width}}  {self._format(row.value):>{digits}}  {row.formula}".rstrip() for row in rows
            ]
        return "\n".join(lines)

    def _format(self, value: float) -> str:
        if value == 0 or 1e-6 <= abs(value) < 1e6:
            return f"{value:.{self.decimals}f}"
        return f"{value:.{self.decimals - 6}e}"


def trace(model: Sequential, x: ArrayLike, y: ArrayLike) -> Trace:
    """Follow one sample through forward pass, loss, backward pass and update.

    Parameters
    ----------
    model : Sequential
        Compiled. Its parameters, gradients and optimizer stay as they are.
    x : array_like, shape (D,) or (1, D)
        One sample.
    y : array_like
        Its target, as `Sequential.fit` takes it, with or without the axis of samples.

    Returns
    -------
    Trace
        Units are numbered from 1 through all layers. ``w13`` leads from the first unit (or input) of the layer
        before into unit 3, ``b3`` is the bias of unit 3, ``z3`` the sum it takes in, ``a3`` its output (``ŷ`` in the
        last layer), ``δ3`` is ∂loss/∂z3, ``∂w13`` is ∂loss/∂w13, and ``w13_new`` is w13 after the optimizer's step.
        A comma parts numbers above 9: ``w1,12``.

    Raises
    ------
    ValueError
        Where the model is not compiled, or `x` and `y` are not one sample.

    Notes
    -----
    Outputs, loss, gradients and update come from the kernels that `Sequential.fit` runs.
    """
    dense = [layer for layer in model.layers if isinstance(layer, Dense)]
    if len(dense) < len(model.layers):
        raise ValueError(f"model has {len(model.layers) - len(dense)} layers that are no Dense, expected only such")
    if not (model.trainable and all(layer.trainable for layer in dense)):
        raise ValueError("model has layers that are not trained, expected all to be: every parameter has a row")
    if model.optimizer is None or model.loss is None:
        raise ValueError("model is not compiled: call model.compile(optimizer=..., loss=...) first")
    x = np.asarray(x, dtype=model.dtype)
    x = x[np.newaxis] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) != 1:
        raise ValueError(f"x must be one sample of shape (D,) or (1, D), got shape {x.shape}")
    y = np.atleast_1d(np.asarray(y))
    y = y[np.newaxis] if y.ndim == 1 and len(y) > 1 else y
    if len(y) != 1:
        raise ValueError(f"y must be the target of one sample, got shape {y.shape}")

    model.forward(x)
    kept = model.gradients.copy()
    loss = float(model.backward(y))
    gradients = model.gradients.copy()
    model.gradients[:] = kept
    optimizer, updated = copy.deepcopy(model.optimizer), model.parameters.copy()
    optimizer.expect(updated, [array.size for array in model.trainable_weights])
    optimizer.apply(gradients, updated)

    units = _name_units(dense)
    forward, backward = _trace_layers(dense, units, x[0], gradients)
    parameters = [parameter for layer_units in units for unit in layer_units for parameter in unit.parameters]
    inputs = zip([f"x{i}" for i in range(1, x.size + 1)], x.flat, strict=True)
    targets = zip(_output_names("y", y.size), y.flat, strict=True)
    step = f"after one step of {type(optimizer).__name__}"
    return Trace(
        sections={
            "sample": [TraceRow(name, float(value), "") for name, value in (*inputs, *targets)],
            "parameters": [TraceRow(p.name, float(model.parameters[p.position]), "") for p in parameters],
            "forward": forward,
            "loss": [TraceRow("loss", loss, f"{model.loss.name}(y, ŷ)")],
            "backward": backward,
            "update": [TraceRow(f"{p.name}_new", float(updated[p.position]), f"{p.name} {step}") for p in parameters],
        },
        decimals=12 if updated.dtype == np.float64 else 7,
    )


class _Parameter(NamedTuple):
    name: str
    source: str  # what a weight multiplies; empty for a bias
    position: int  # in the flat vector

    def times(self, factor: str) -> str:
        return f"{factor}·{self.source}" if self.source else factor


class _Unit(NamedTuple):
    number: int
    output: str  # the name of what it gives
    activation: str  # how that comes about
    derivative: str  # empty where the activation mixes units
    parameters: list[_Parameter]  # a weight for each input, then the bias, if any


def _name_units(layers: Sequence[Dense]) -> list[list[_Unit]]:
    """Name the units and parameters of each layer; see `trace` for the numbering."""
    units: list[list[_Unit]] = []
    sources = [f"x{i}" for i in range(1, layers[0].kernel.shape[0] + 1)]
    number = offset = 0  # units and parameters of the layers before
    for layer in layers:
        size_in, size_out = layer.kernel.shape
        numbers = range(number + 1, number + size_out + 1)
        outputs = _output_names("ŷ", size_out) if layer is layers[-1] else [f"a{unit}" for unit in numbers]
        name = layer.activation.name
        mixes = name in ("softmax", "log_softmax")
        layer_units = []
        for j, unit in enumerate(numbers):
            parameters = [
                _Parameter(f"w{i}{',' if max(i, unit) > 9 else ''}{unit}", source, offset + (i - 1) * size_out + j)
                for i, source in enumerate(sources, 1)
            ]
            if layer.bias is not None:
                parameters.append(_Parameter(f"b{unit}", "", offset + size_in * size_out + j))
            activation = f"{name}(z{numbers[0]}…z{numbers[-1]})" if mixes else f"{name}(z{unit})"
            layer_units.append(_Unit(unit, outputs[j], activation, "" if mixes else f"{name}′(z{unit})", parameters))
        units.append(layer_units)
        sources = outputs
        number += size_out
        offset += sum(len(unit.parameters) for unit in layer_units)
    return units


def _trace_layers(
    layers: Sequence[Dense], units: Sequence[Sequence[_Unit]], x: NDArray[np.floating], gradients: NDArray[np.floating]
) -> tuple[list[TraceRow], list[TraceRow]]:
    """Return the rows of the forward pass, and those of the backward pass, last layer first."""
    forward: list[TraceRow] = []
    backward: list[TraceRow] = []
    inputs = x
    for layer, layer_units, above in zip(layers, units, [*units[1:], []], strict=True):
        sums = inputs @ layer.kernel + (0 if layer.bias is None else layer.bias)
        inputs, deltas = layer.output[0], layer.delta[0]
        rows = []
        for j, unit in enumerate(layer_units):
            forward.append(
                TraceRow(f"z{unit.number}", float(sums[j]), _sum([p.times(p.name) for p in unit.parameters]))
            )
            forward.append(TraceRow(unit.output, float(inputs[j]), unit.activation))
            formula = f"∂loss/∂z{unit.number}"
            if above and unit.derivative:
                formula = f"({_sum([f'{u.parameters[j].name}·δ{u.number}' for u in above])})·{unit.derivative}"
            rows.append(TraceRow(f"δ{unit.number}", float(deltas[j]), formula))
            rows += [
                TraceRow(f"∂{p.name}", float(gradients[p.position]), p.times(f"δ{unit.number}"))
                for p in unit.parameters
            ]
        backward = rows + backward
    return forward, backward


def _output_names(letter: str, count: int) -> list[str]:
    return [letter] if count == 1 else [f"{letter}{k}" for k in range(1, count + 1)]


def _sum(terms: Sequence[str]) -> str:
    """Write a sum, of which only the ends stand where it is long."""
    return " + ".join(terms if len(terms) <= 4 else (terms[0], "…", terms[-1]))


class GradientError(ValueError):
    """Backpropagation and central differences disagree."""


class GradientRow(NamedTuple):
    """One parameter array of a `GradientCheck`: its largest deviations, absolute and relative to the element."""

    name: str
    size: int
    max_error: float
    max_relative_error: float


@dataclass(frozen=True)
class GradientCheck:
    """How far backpropagation and central differences are apart; ``print`` shows it as a table.

    Attributes
    ----------
    rows : list of (name, size, max_error, max_relative_error)
        One for each kernel and bias, in the order of the flat vector.
    """

    rows: list[GradientRow]

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'array':<{width}}  {'size':>7}  {'max error':>9}  {'relative':>9}"]
        lines += [
            f"{row.name:<{width}}  {row.size:>7}  {row.max_error:>9.2e}  {row.max_relative_error:>9.2e}"
            for row in self.rows
        ]
        return "\n".join(lines)


def check_gradients(
    model: Sequential, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, rtol: float = 1e-5
) -> GradientCheck:
    """Compare backpropagation's gradient with central differences, for every parameter.

    Parameters
    ----------
    model : Sequential
        Compiled, of dtype float64: in float32 rounding hides what differences are to show. Its parameters stay as
        they are.
    x, y, sample_weight : array_like
        A batch as `Sequential.fit` takes it. A few samples do: two forward passes are run for each parameter.
    rtol : float
        Largest deviation allowed, relative to the gradient's element. What rounding does to the difference is
        allowed on top.

    Returns
    -------
    GradientCheck
        A row for each kernel and bias.

    Raises
    ------
    GradientError
        A ValueError naming the element that deviates the most.
    ValueError
        Where the model is not of dtype float64.

    Notes
    -----
    With θ one parameter and ε the unit of rounding, the difference is (J(θ + h) − J(θ − h)) / 2h,
    h = ∛ε · max(1, abs(θ)), which balances its two errors, h² from the third derivative and εJ/h from rounding.
    At a kink (the 0 of a ReLU, the δ of a Huber loss) it says nothing about the derivative; shift the data then.
    """
    if model.dtype != np.float64:
        raise ValueError(f'model must have dtype "float64" for differences to be exact enough, got "{model.dtype}"')
    gradients = np.array(model.value_and_gradient(x, y, sample_weight)[1])
    parameters = np.array(model.parameters)
    differences, rounding = np.empty_like(gradients), np.empty_like(gradients)
    epsilon = float(np.finfo(np.float64).eps)
    for index, value in enumerate(parameters.tolist()):
        h = epsilon ** (1 / 3) * max(1.0, abs(value))
        parameters[index] = value + h
        above = model.value_and_gradient(x, y, sample_weight, parameters=parameters)[0]
        parameters[index] = value - h
        below = model.value_and_gradient(x, y, sample_weight, parameters=parameters)[0]
        parameters[index] = value
        differences[index] = (above - below) / (2 * h)
        rounding[index] = 64 * epsilon * max(1.0, abs(above)) / h

    errors = np.abs(gradients - differences)
    scale = np.maximum(np.abs(gradients), np.abs(differences))
    rows = []
    offset = 0
    for name, shape in _parameter_shapes(model):
        part = slice(offset, offset := offset + math.prod(shape))
        relative = errors[part] / np.maximum(scale[part], np.finfo(np.float64).tiny)
        rows.append(GradientRow(name, errors[part].size, float(errors[part].max()), float(relative.max())))
        excess = errors[part] / (rtol * scale[part] + rounding[part])
        # Asked this way round, a NaN fails.
        if not excess.max() <= 1:
            worst = int(np.argmax(excess))
            position = ", ".join(map(str, np.unravel_index(worst, shape)))
            raise GradientError(
                f"gradient of {name}[{position}] is {gradients[part][worst]:.9g} by backpropagation, "
                f"{differences[part][worst]:.9g} by central differences"
            )
    return GradientCheck(rows)


def _parameter_shapes(model: Sequential) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape of every parameter array, in the order of the flat vector."""
    for layer in model.layers if model.trainable else ():
        for name, array in zip(layer.weight_names, layer.trainable_weights, strict=False):
            yield f"{layer.name}.{name}", array.shape
