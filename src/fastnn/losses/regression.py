"""Losses of numbers and counts, and of directions."""

from __future__ import annotations

from typing import Any

from .. import validation
from .base import CompiledLoss


class MeanSquaredError(CompiledLoss):
    """Mean over the outputs of (ŷ - y)²; its gradient for one sample is 2(ŷ - y)/K, without a hidden half."""

    _code = 0
    _name = "mean_squared_error"


class MeanAbsoluteError(CompiledLoss):
    """Mean over the outputs of abs(ŷ - y); its gradient is sign(ŷ - y)/K, 0 where they are equal."""

    _code = 5
    _name = "mean_absolute_error"


class MeanAbsolutePercentageError(CompiledLoss):
    """Mean over the outputs of 100 abs(ŷ - y)/max(abs(y), ε), ε = 1e-7.

    The gradient is 100 sign(ŷ - y)/max(abs(y), ε)/K.
    """

    _code = 6
    _name = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(CompiledLoss):
    """Mean over the outputs of d², d = log(1 + max(ŷ, ε)) - log(1 + max(y, ε)), ε = 1e-7.

    The gradient is 2 d/(1 + ŷ)/K, and 0 where ŷ < ε.  The difference of the logarithms is computed as one logarithm,
    and so keeps its relative accuracy where ŷ is near y.
    """

    _code = 7
    _name = "mean_squared_logarithmic_error"


class Huber(CompiledLoss):
    """Mean over the outputs of e²/2 where abs(e) <= δ, δ abs(e) - δ²/2 elsewhere, for e = ŷ - y.

    The gradient is clip(e, -δ, δ)/K.

    Parameters
    ----------
    delta : float > 0
        δ.
    reduction, name, dtype
        As in `Loss`.
    """

    _code = 8
    _name = "huber_loss"

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.delta = validation.number("delta", delta, low=0, open_low=True)

    def get_config(self) -> dict[str, Any]:
        return {"delta": self.delta, **super().get_config()}

    def _options(self) -> dict[str, Any]:
        return {"delta": self.delta}


class LogCosh(CompiledLoss):
    """Mean over the outputs of log(cosh(e)), e = ŷ - y; its gradient is tanh(e)/K.

    Near 0 it is e²/2, far from it abs(e) - log(2); both are computed without cancellation.
    """

    _code = 9
    _name = "log_cosh"


class Quantile(CompiledLoss):
    """Mean over the outputs of max(q e, (q-1) e), e = y - ŷ: the pinball loss, least at the q-quantile of y.

    The gradient is -q/K where y is larger, (1-q)/K where it is smaller, 0 where they are equal.

    Parameters
    ----------
    q : float in (0, 1)
    reduction, name, dtype
        As in `Loss`.
    """

    _code = 10
    _name = "quantile"

    def __init__(
        self, q: float = 0.5, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.q = validation.number("q", q, low=0, high=1, open_low=True, open_high=True)

    def get_config(self) -> dict[str, Any]:
        return {"q": self.q, **super().get_config()}

    def _options(self) -> dict[str, Any]:
        return {"quantile": self.q}


class Poisson(CompiledLoss):
    """Mean over the outputs of ŷ - y log(ŷ + ε), ε = 1e-7, for a mean ŷ >= 0 of counts y; 0 log(0) is 0.

    The gradient is (1 - y/(ŷ + ε))/K.
    """

    _code = 11
    _name = "poisson"


class Gamma(CompiledLoss):
    """Mean over the outputs of y/ŷ + log(ŷ), for a mean ŷ > 0 of amounts y >= 0.

    The gradient is (ŷ - y)/ŷ²/K.  It is the gamma distribution's negative log-likelihood, per unit of its shape.
    """

    _code = 12
    _name = "gamma"


class CosineSimilarity(CompiledLoss):
    """-Σ_k y_k ŷ_k/(abs(y) abs(ŷ)): -1 where the two point one way, 0 where they are orthogonal.

    A norm below ε = 1e-7 counts as ε, so that a row of zeros gives 0 and no NaN.  The gradient is
    (ŷ (y·ŷ)/(ŷ·ŷ) - y)/(abs(y) abs(ŷ)).

    Parameters
    ----------
    axis : int
        Of the outputs.
    reduction, name, dtype
        As in `Loss`.
    """

    _code = 20
    _name = "cosine_similarity"
    _of_classes = True

    def __init__(
        self, axis: int = -1, reduction: str | None = "sum_over_batch_size", name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(reduction, name, dtype, axis)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis, **super().get_config()}
