"""What all metrics share, the mean that most of them are, and what wraps a function."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import initializers, serialization, validation


class Variable(np.ndarray):
    """An array that a metric adds up in; it must stay this very array, and is written by ``+=``, ``[...] =`` or, as in
    Keras, `assign`.
    """

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        # What is computed from it is a plain array; what is computed into it stays what it is.
        if array is self:
            return self
        return array[()] if return_scalar else np.asarray(array)

    def assign(self, value: Any) -> Variable:
        """Write a value, or an array of this shape."""
        self[...] = value
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add a value, or an array of this shape."""
        self += value
        return self

    def assign_sub(self, value: Any) -> Variable:
        """Subtract a value, or an array of this shape."""
        self -= value
        return self


class Metric:
    """Base of all metrics, and of your own: numbers that samples add to, and what comes of them.

    A subclass makes its numbers with `add_variable`, adds to them in `update_state`, and returns what comes of them
    from `result`, all with NumPy.  `fit` and `evaluate` call `update_state` with many samples at a time, not once a
    batch.

    Parameters
    ----------
    name : str, optional
        In logs; the class's, in snake case, by default.

    Attributes
    ----------
    variables : list of Variable
        What `add_variable` returned, which `reset_state` sets to 0.
    direction : {"up", "down", None}
        Which way is better, for callbacks that monitor it; None where that is not known.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import metrics
    >>> class LargestError(metrics.Metric):
    ...     direction = "down"
    ...     def __init__(self, name="largest_error"):
    ...         super().__init__(name)
    ...         self.largest = self.add_variable(())
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.largest[...] = max(self.largest, abs(y_true - y_pred).max())
    ...     def result(self):
    ...         return float(self.largest)
    >>> LargestError()(np.array([[0.0], [1.0]]), np.array([[0.5], [1.25]]))
    0.5
    """

    direction: str | None = None
    engine_code = 0  # of the same metric in the engine, which computes it while it computes the loss
    labels: bool | None = None  # takes integer labels (True) or targets like the outputs (False) alone

    def __init__(self, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.variables: list[Variable] = []

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"

    def add_variable(
        self,
        shape: int | tuple[int, ...] = (),
        initializer: str | initializers.Initializer | None = "zeros",
        dtype: Any = None,
        name: str | None = None,
    ) -> Variable:
        """An array to add up in; it must stay this very array.

        Parameters
        ----------
        shape : int or tuple of int
        initializer : str or Initializer, optional
            Of its first values; `reset_state` sets it to 0 all the same, as in Keras.
        dtype : optional
            float64 by default.
        name : str, optional
            Keras's, of no effect here.
        """
        shape = shape if isinstance(shape, (tuple, list)) else (shape,)
        values = initializers.get("zeros" if initializer is None else initializer)(tuple(shape))
        self.variables.append(np.array(values, dtype or np.float64).view(Variable))
        return self.variables[-1]

    add_weight = add_variable  # Keras has both

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add samples.

        Parameters
        ----------
        y_true : array_like (N, K), or integer labels (N,) or (N, 1) of sparse metrics; (N,) means (N, 1)
        y_pred : array_like (N, K)
            The outputs of a model.
        sample_weight : array_like (N,), optional
        """
        raise NotImplementedError(f"{type(self).__name__} has no update_state, expected one in a subclass of Metric")

    def result(self) -> Any:
        """The metric of all samples since the last `reset_state`: a float, or an array where it has several values."""
        raise NotImplementedError(f"{type(self).__name__} has no result, expected one in a subclass of Metric")

    def reset_state(self) -> None:
        """Forget all samples."""
        for variable in self.variables:
            variable.fill(0)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Add samples, and return the metric of all so far."""
        self.update_state(y_true, y_pred, sample_weight)
        return self.result()

    def check(self, outputs: int, sparse: bool) -> None:
        """Raise ValueError where the metric does not fit a model of so many outputs, or its kind of targets."""
        if self.labels is not None and self.labels != sparse:
            given = "integer labels" if sparse else "targets that are no integer labels"
            raise ValueError(f"metrics has {self.name!r}, which does not fit {given}, expected one that does")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        """The metric that `get_config` described."""
        return cls(**config)


class MeanOfSamples(Metric):
    """The mean of a value of each sample: Σ w_i v_i / Σ w_i; 0 where there are no samples."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.total, self.count = self.add_variable(), self.add_variable()

    def add(self, values: Any, sample_weight: Any = None) -> None:
        """Add values (N, …), the mean of a sample's where it has several, with weights (N,) or of their shape."""
        v = validation.real("values", values, "real numbers").astype(np.float64)
        if sample_weight is not None:
            w = validation.real("sample_weight", sample_weight, "real numbers").astype(np.float64)
            if w.ndim == v.ndim + 1 and w.shape[-1] == 1:
                w = w[..., 0]
            v = v.mean(axis=tuple(range(w.ndim, v.ndim)))
            if w.shape not in ((), v.shape):
                raise ValueError(f"sample_weight has shape {w.shape}, expected {v.shape} or its first dimensions")
            w = np.broadcast_to(w, v.shape)
            v = v * w
            self.count += w.mean(axis=tuple(range(1, w.ndim))).sum()
        else:
            self.count += len(v) if v.ndim else 1
        self.total += v.mean(axis=tuple(range(1, v.ndim))).sum()

    def result(self) -> float:
        return float(self.total / self.count) if self.count else 0.0


class Mean(MeanOfSamples):
    """The mean of values: Σ w_i v_i / Σ w_i; 0 where there are none.

    Examples
    --------
    >>> from fastnn import metrics
    >>> mean = metrics.Mean()
    >>> mean.update_state([1, 3, 5, 7])
    >>> mean.update_state([9.0], sample_weight=[4])
    >>> mean.result()
    6.5
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values (N, …), the mean of a sample's where it has several.

        Parameters
        ----------
        values : array_like
        sample_weight : array_like (N,), or of the values' shape, optional
        """
        self.add(values, sample_weight)

    def __call__(self, values: Any, sample_weight: Any = None) -> Any:  # type: ignore[override]
        """Add values, and return the mean of all so far."""
        self.add(values, sample_weight)
        return self.result()


class MeanMetricWrapper(MeanOfSamples):
    """The mean over samples of a function of targets and outputs.

    Parameters
    ----------
    fn : callable
        Called as ``fn(y_true, y_pred, **options)`` with arrays; returns a value for each sample (N,), or several.
    name : str, optional
        The function's by default.
    options
        Further arguments of the function.
    """

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **options: Any) -> None:
        if not callable(fn):
            raise TypeError(f"fn is {fn!r}, expected a function of targets and outputs")
        super().__init__(name or getattr(fn, "__name__", None) or getattr(fn, "name", None))
        self.fn, self.options = fn, options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.add(self.fn(y_true, y_pred, **self.options), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"fn": serialization.serialize(self.fn), "name": self.name, **self.options}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Metric:
        if "fn" not in config:  # of a subclass that has its own
            return super().from_config(config)
        from . import FUNCTIONS  # of the package, which imports this module

        return cls(**{**config, "fn": serialization.deserialize_function("the metric's fn", config["fn"], FUNCTIONS)})


def snake_case(name: str) -> str:
    """``top_k_categorical_accuracy`` of ``TopKCategoricalAccuracy``; ``auc``, ``r2_score`` and ``f1_score``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def pair(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Targets and outputs of one shape (N, K), the outputs in float32 or float64; (N,) means (N, 1)."""
    p = validation.matrix("y_pred", y_pred, validation.floating("y_pred", y_pred))
    y = validation.matrix("y_true", y_true, np.dtype(np.float64), p.shape[1])
    validation.same_rows("y_true", y, len(p))
    return y, p


def weights(sample_weight: Any, rows: int) -> np.ndarray:
    """One weight for each sample (N,), float64: 1 where there are none."""
    given = validation.weights("sample_weight", sample_weight, np.dtype(np.float64), rows)
    return np.ones(rows) if given is None else given


def scalar(values: np.ndarray) -> Any:
    """A float, where there is one value alone."""
    return float(values.reshape(())) if values.size == 1 else np.asarray(values)
