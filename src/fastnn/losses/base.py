"""What all losses share: reductions, weights, and the ways to call a kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import activations, threads, validation
from ..kernels import core

_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)
_MEANS = ("sum_over_batch_size", "mean")
_PARALLEL = 1_000_000  # elements from which a second thread may pay
_FLOPS = 4.0  # multiply-adds that an element is worth, to the thread policy


class KernelLoss(NamedTuple):
    """What the engine needs to know of a loss."""

    code: int  # of the kernel
    fused: bool  # takes the last layer's pre-activations, and gives their gradient
    options: dict[str, Any]
    own: Callable[[np.ndarray, np.ndarray, np.ndarray | None], tuple[float, np.ndarray]] | None = None  # called instead

    def kernel(self, dtype: np.dtype | type | str) -> Any:
        """The kernel with its options, for a dtype."""
        options = {k: v.astype(dtype) if isinstance(v, np.ndarray) else v for k, v in self.options.items()}
        return core(dtype).LossKernel(self.code, options)


class Loss:
    """Base of all losses, and of your own.

    A subclass implements ``value_and_gradient(y_true, y_pred, sample_weight=None, out=None)`` with NumPy; `reduce`
    makes cost and gradient from the losses of the samples.  It can then be called, and used in `Sequential.fit`.

    Parameters
    ----------
    name : str, optional
        The class's, in snake case, by default.
    reduction : {"sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None}
        How the losses L_i of N samples with weights w_i (1 by default) become a cost: ``sum_over_batch_size`` and
        ``mean`` are (1/N) Σ w_i L_i, ``sum`` is Σ w_i L_i, ``mean_with_sample_weight`` is Σ w_i L_i / Σ w_i, 0 where
        the weights sum to 0; ``none`` and None leave the N weighted losses as they are.
    dtype : {"float32", "float64"}, optional
        What to compute in, and the gradient's dtype; by default that of the predictions.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn import losses
    >>> class Cubic(losses.Loss):
    ...     def value_and_gradient(self, y_true, y_pred, sample_weight=None, out=None):
    ...         e = y_pred - y_true
    ...         return self.reduce((abs(e)**3).mean(axis=-1), 3*e*abs(e)/e.shape[-1], sample_weight)
    >>> Cubic().value_and_gradient(np.zeros((2, 1)), np.array([[1.0], [2.0]]))
    (4.5, array([[1.5],
           [6. ]]))
    """

    sparse = False  # targets are integer labels
    ignore_class: int | None = None  # of these, the one whose samples do not count

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: Any = None
    ) -> None:
        self.reduction = validation.choice("reduction", reduction, _REDUCTIONS)
        self.name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        self.dtype = None if dtype is None else validation.real_dtype("dtype", dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float | np.ndarray:
        """The cost, summed in float64; without a reduction, the weighted losses.

        Parameters
        ----------
        y_true : array_like
            Targets of `y_pred`'s shape, or integer labels without its last axis for sparse losses.
        y_pred : array_like
            Predictions (N, K), or (N, …, K): the last axis is the outputs, and all before it are samples.  (N,) means
            (N, 1), but one sample of N classes to a loss of classes.  float32 and float64 are computed as they are,
            other types as float64.
        sample_weight : array_like, optional
            One weight for each sample, as (N,) or of the losses' shape (N, …), or one for all.

        Raises
        ------
        ValueError
            For shapes that do not fit, NaN in y_true, a label outside 0 … K-1, a negative weight.
        """
        return self.value_and_gradient(y_true, y_pred, sample_weight)[0]

    def per_sample(self, y_true: Any, y_pred: Any) -> np.ndarray:
        """The loss of each sample, of `y_pred`'s shape without its last axis, unweighted, float64."""
        y, p = np.asarray(y_true), np.asarray(y_pred)
        values = [np.sum(self.value_and_gradient(y[i : i + 1], p[i : i + 1])[0]) for i in range(len(p))]
        return np.array(values, np.float64)

    def gradient(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: np.ndarray | None = None
    ) -> np.ndarray:
        """Gradient of the cost with respect to `y_pred` (to the logits where ``from_logits``), of `y_pred`'s shape.

        Without a reduction, row i is the gradient of sample i's weighted loss.

        Parameters
        ----------
        y_true, y_pred, sample_weight
            As for the call.
        out : ndarray, optional
            Where to write it: shape and dtype as the gradient's; it may be `y_pred`.  A NaN in y_true is found on the
            way, and then `out` may hold a part of the gradient.
        """
        if out is None:
            return self.value_and_gradient(y_true, y_pred, sample_weight)[1]
        return self.value_and_gradient(y_true, y_pred, sample_weight, out)[1]

    def value_and_gradient(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: np.ndarray | None = None
    ) -> tuple[float | np.ndarray, np.ndarray]:
        """Cost and gradient in one pass: what the call and `gradient` return."""
        raise NotImplementedError(
            f"{type(self).__name__} has no value_and_gradient, expected one in a subclass of Loss"
        )

    def reduce(
        self, per_sample: np.ndarray, gradient: np.ndarray, sample_weight: Any = None
    ) -> tuple[float | np.ndarray, np.ndarray]:
        """Cost and its gradient, from losses (N, …) and the gradient (N, …, K) of each with respect to its outputs."""
        weights = validation.loss_weights("sample_weight", sample_weight, gradient.dtype, per_sample.shape)
        scale, unreduced = self._scale(per_sample.size, weights)
        rows = np.asarray(per_sample, np.float64)
        rows = rows if weights is None else rows * weights.reshape(rows.shape)
        factor = scale if weights is None else scale * weights.reshape((*rows.shape, 1))
        gradient = (gradient * factor).astype(gradient.dtype, copy=False)
        return (rows if unreduced else float(rows.sum()) * scale), gradient

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"name": self.name, "reduction": self.reduction}
        return config if self.dtype is None else {**config, "dtype": self.dtype.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The loss that `get_config` described."""
        return cls(**config)

    def _scale(self, count: int, weights: np.ndarray | None) -> tuple[float, bool]:
        """What multiplies the sum of the weighted losses, and whether they stay unreduced."""
        if self.reduction in _MEANS:
            return (1.0 / count if count else 0.0), False
        if self.reduction == "mean_with_sample_weight":
            total = float(count) if weights is None else math.fsum(weights)
            return (1.0 / total if total else 0.0), False
        return 1.0, self.reduction != "sum"

    # ---- what a model asks ------------------------------------------------------------------------------------------

    def for_engine(self, last: activations.Activation) -> KernelLoss:
        """How the engine computes this loss behind the given last activation."""
        return KernelLoss(0, False, {}, self._sum_and_gradient)

    def _sum_and_gradient(self, y: np.ndarray, p: np.ndarray, weights: np.ndarray | None) -> tuple[float, np.ndarray]:
        """Of the losses of some of a batch's samples: the engine divides by their number."""
        value, gradient = self.value_and_gradient(y, p) if weights is None else self.value_and_gradient(y, p, weights)
        return float(value) * len(p), gradient * len(p)

    def counted(self, y: np.ndarray) -> int:
        """How many of the targets that `targets` returned count in a mean; none may."""
        return len(y) if self.ignore_class is None else int((y >= 0).sum())

    def check_outputs(self, units: int) -> None:
        """Whether a model with so many outputs fits."""

    def targets(self, y: Any, rows: int, columns: int, dtype: np.dtype, name: str = "y") -> np.ndarray:
        """Checked targets for `rows` predictions of `columns` outputs, as the engine takes them."""
        return validation.targets(name, y, dtype, rows, columns)

    def classes(self, y: np.ndarray) -> np.ndarray:
        """The class of each sample, of targets that `targets` returned: what a class weight goes by."""
        return y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)


class CompiledLoss(Loss):
    """A loss that the kernels compute."""

    _code: int
    _name: str
    _of_classes = False  # one loss of a row of classes, which a vector is; else the mean of its outputs' losses

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None, axis: int = -1
    ) -> None:
        super().__init__(name or self._name, reduction, dtype)
        self.axis = validation.integer("axis", axis, low=-(2**31))
        self._kernels: dict[np.dtype, Any] = {}
        quick = self.axis == -1 and self.dtype is None and self.reduction in (*_MEANS, "sum", "mean_with_sample_weight")
        self._mean = self.reduction != "sum" if quick else None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kernels": {}}  # made again when they are needed

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float | np.ndarray:
        if sample_weight is None and self._mean is not None and type(y_pred) is np.ndarray:
            kernel = self._kernels.get(y_pred.dtype)
            if kernel is not None:
                cost: float | None = kernel.quick(y_true, y_pred, self.sparse, self._mean, False)
                if cost is not None and cost == cost:
                    return cost
        return self._evaluate(y_true, y_pred, sample_weight, None, gradient=False)[0]

    def per_sample(self, y_true: Any, y_pred: Any) -> np.ndarray:
        return self._evaluate(y_true, y_pred, None, None, gradient=False, unreduced=True)[0]  # type: ignore[return-value]

    def value_and_gradient(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: np.ndarray | None = None
    ) -> tuple[float | np.ndarray, np.ndarray]:
        if sample_weight is None and self._mean is not None and type(y_pred) is np.ndarray:
            kernel = self._kernels.get(y_pred.dtype)
            if kernel is not None:
                both: tuple[float, np.ndarray] | None = kernel.quick(y_true, y_pred, self.sparse, self._mean, True, out)
                if both is not None and both[0] == both[0]:
                    return both
        return self._evaluate(y_true, y_pred, sample_weight, out, gradient=True)  # type: ignore[return-value]

    def _options(self) -> dict[str, Any]:
        """Those of the kernel."""
        return {}

    def for_engine(self, last: activations.Activation) -> KernelLoss:
        return KernelLoss(self._code, False, self._options())

    def _evaluate(
        self,
        y_true: Any,
        y_pred: Any,
        sample_weight: Any,
        out: np.ndarray | None,
        gradient: bool,
        unreduced: bool = False,
    ) -> tuple[float | np.ndarray, np.ndarray | None]:
        dtype = self.dtype or validation.floating("y_pred", y_pred)
        given = validation.array("y_pred", y_pred, dtype)
        p = validation.outputs("y_pred", given, self.axis, self._of_classes)
        samples = p.shape[:-1]
        if self.sparse:
            y = validation.labels("y_true", y_true, samples, p.shape[-1], self.ignore_class)
        else:
            y = validation.targets_like("y_true", y_true, dtype, given.shape, p.shape, self.axis)
        weights = validation.loss_weights("sample_weight", sample_weight, dtype, samples)
        if out is not None:
            validation.output("out", out, given)
        count = math.prod(samples)
        if self.ignore_class is not None:
            counts = (y >= 0).astype(dtype)
            count = int(counts.sum())
            weights = counts if weights is None else weights * counts
        scale, as_they_are = (1.0, True) if unreduced else self._scale(count, weights)
        rows = np.empty(samples) if as_they_are else None
        d = None
        if gradient:
            there = out is not None and out.flags.c_contiguous and out.size == p.size and self.axis == -1
            there = there and not any(np.may_share_memory(out, a) for a in (p, y, weights) if a is not None)
            d = out if there else np.empty_like(p)
        if dtype not in self._kernels:
            self._kernels[dtype] = self.for_engine(activations.linear).kernel(dtype)
        n_threads = threads.for_step(p.size * _FLOPS) if p.size >= _PARALLEL else 1
        total = self._kernels[dtype].cost(y, p, weights, scale, rows, d, n_threads)
        if total != total:
            validation.no_nan("y_true", y)
        value = total * scale if rows is None else rows
        if d is None or d is out:
            return value, d
        d = np.moveaxis(d, -1, self.axis).reshape(given.shape)
        if out is None:
            return value, d
        out[...] = d
        return value, out
