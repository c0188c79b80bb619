"""Losses of classes: two, many, or a distribution over them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import activations, validation
from .base import CompiledLoss, KernelLoss


class _FromLogits(CompiledLoss):
    """A loss of probabilities or of logits; behind the activation that makes the one from the other, of logits."""

    _codes: tuple[int, int]  # of probabilities, of logits
    _fuses: activations.Activation

    def __init__(
        self,
        from_logits: bool = False,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, axis)
        self.from_logits = bool(from_logits)

    def get_config(self) -> dict[str, Any]:
        return {"from_logits": self.from_logits, "axis": self.axis, **super().get_config()}

    def for_engine(self, last: activations.Activation) -> KernelLoss:
        fused = not self.from_logits and last is self._fuses
        return KernelLoss(self._codes[self.from_logits or fused], fused, self._options())


class _Smoothed(_FromLogits):
    """With smoothed labels."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, axis, reduction, name, dtype)
        self.label_smoothing = validation.number("label_smoothing", label_smoothing, low=0, high=1)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {"from_logits": config.pop("from_logits"), "label_smoothing": self.label_smoothing, **config}

    def _options(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing}


class BinaryCrossentropy(_Smoothed):
    """Mean over the outputs of -(y log p + (1-y) log(1-p)), for targets y in [0, 1].

    Parameters
    ----------
    from_logits : bool
        `y_pred` holds logits z, p = sigmoid(z): computed as max(z, 0) - z y + log(1 + exp(-abs(z))), whose gradient
        (1-y) sigmoid(z) - y sigmoid(-z) loses no accuracy.  Otherwise it holds probabilities, clipped to [1e-7, 1 -
        1e-7]; where the clip acts the gradient is 0.
    label_smoothing : float in [0, 1]
        α turns y into y(1-α) + α/2.
    axis : int
        Of the outputs, over which the mean is taken.
    reduction, name, dtype
        As in `Loss`.
    """

    _name = "binary_crossentropy"
    _codes = (1, 2)
    _fuses = activations.sigmoid


class BinaryFocalCrossentropy(_Smoothed):
    """Mean over the outputs of w m^γ b: binary cross-entropy b, less where the wrong class is improbable.

    m = y(1-p) + (1-y)p is the probability of the wrong class, and w = yα + (1-y)(1-α) where classes are balanced.

    Parameters
    ----------
    apply_class_balancing : bool
        Whether w counts; otherwise it is 1.
    alpha : float in [0, 1]
        Weight of class 1; that of class 0 is 1 - alpha.
    gamma : float >= 0
        γ, the focus: 0 is the plain cross-entropy.
    from_logits, label_smoothing, axis
        As in `BinaryCrossentropy`.  From logits nothing is clipped: Keras, which clips the sigmoid, loses the gradient
        of samples that are far on the wrong side.
    reduction, name, dtype
        As in `Loss`.
    """

    _name = "binary_focal_crossentropy"
    _codes = (15, 16)
    _fuses = activations.sigmoid

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.apply_class_balancing = bool(apply_class_balancing)
        self.alpha = validation.number("alpha", alpha, low=0, high=1)
        self.gamma = validation.number("gamma", gamma, low=0)

    def get_config(self) -> dict[str, Any]:
        own = {"apply_class_balancing": self.apply_class_balancing, "alpha": self.alpha, "gamma": self.gamma}
        return own | super().get_config()

    def _options(self) -> dict[str, Any]:
        own = {"balanced": self.apply_class_balancing, "alpha": self.alpha, "gamma": self.gamma}
        return own | super()._options()


class CategoricalCrossentropy(_Smoothed):
    """-Σ_k y_k log p_k, for targets y (N, K): one-hot rows, or any probabilities.

    Parameters
    ----------
    from_logits : bool
        `y_pred` holds logits z, p = softmax(z); the gradient of one sample's loss is p Σ_k y_k - y.  Otherwise it holds
        probabilities, divided by their row's sum and clipped to [1e-7, 1 - 1e-7]; where the clip acts the gradient is
        0.
    label_smoothing : float in [0, 1]
        α turns y into y(1-α) + α/K.
    axis : int
        Of the classes.
    reduction, name, dtype
        As in `Loss`.
    """

    _name = "categorical_crossentropy"
    _codes = (3, 4)
    _fuses = activations.softmax
    _of_classes = True


class CategoricalFocalCrossentropy(_Smoothed):
    """-Σ_k α_k y_k (1 - p_k)^γ log p_k, for targets y (N, K).

    Parameters
    ----------
    alpha : float >= 0, or one for each class
        α, the weights of the classes.
    gamma : float >= 0
        γ, the focus: 0 is the cross-entropy, weighted.
    from_logits, label_smoothing, axis
        As in `CategoricalCrossentropy`.  From logits nothing is clipped, as Keras does.
    reduction, name, dtype
        As in `Loss`.
    """

    _name = "categorical_focal_crossentropy"
    _codes = (21, 22)
    _fuses = activations.softmax
    _of_classes = True

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        if np.ndim(alpha) == 0:
            self.alpha: float | list[float] = validation.number("alpha", alpha, low=0)
        elif np.ndim(alpha) == 1 and len(alpha):
            self.alpha = [validation.number(f"alpha[{k}]", a, low=0) for k, a in enumerate(alpha)]
        else:
            raise ValueError(f"alpha has shape {np.shape(alpha)}, expected a number or one for each class")
        self.gamma = validation.number("gamma", gamma, low=0)

    def get_config(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "gamma": self.gamma} | super().get_config()

    def check_outputs(self, units: int) -> None:
        if isinstance(self.alpha, list) and len(self.alpha) != units:
            raise ValueError(f"alpha has {len(self.alpha)} elements, expected {units}, one for each class")

    def _options(self) -> dict[str, Any]:
        alpha = np.array(self.alpha) if isinstance(self.alpha, list) else self.alpha
        return {"alpha": alpha, "gamma": self.gamma} | super()._options()


class SparseCategoricalCrossentropy(_FromLogits):
    """-log p_c, for integer labels c (N,): `CategoricalCrossentropy` without the one-hot rows.

    Parameters
    ----------
    from_logits : bool
        As in `CategoricalCrossentropy`.
    ignore_class : int, optional
        Samples with this label cost nothing, have no gradient, and are not counted where a cost is a mean.
    reduction, axis, name, dtype
        As in `Loss` and `CategoricalCrossentropy`.
    """

    _name = "sparse_categorical_crossentropy"
    _codes = (3, 4)
    _fuses = activations.softmax
    _of_classes = True
    sparse = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, axis, reduction, name, dtype)
        if ignore_class is not None:
            self.ignore_class = validation.integer("ignore_class", ignore_class, low=-(2**63))
            self._mean = None

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"ignore_class": self.ignore_class}

    def _options(self) -> dict[str, Any]:
        return {"ignores": self.ignore_class is not None}

    def check_outputs(self, units: int) -> None:
        if units == 1:
            raise ValueError(f"loss is {self.name} for a model with one output, expected one output for each class")

    def targets(self, y: Any, rows: int, columns: int, dtype: np.dtype, name: str = "y") -> np.ndarray:
        return validation.labels(name, y, (rows,), columns, self.ignore_class)


class KLDivergence(_FromLogits):
    """Σ_k y_k log(y_k/p_k), y and p clipped to [ε, 1], ε = 1e-7; p is not normalised.

    The gradient is -y/p, and 0 where the clip acts on p.  A target of 0 counts as ε: its term is negligible and finite.

    Parameters
    ----------
    reduction, name, dtype
        As in `Loss`.
    from_logits : bool
        `y_pred` holds logits z, p = softmax(z) without a clip; the gradient is p Σ_k y_k - y.  Keras has no such
        option.
    """

    _name = "kl_divergence"
    _codes = (13, 14)
    _fuses = activations.softmax
    _of_classes = True

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(from_logits, -1, reduction, name, dtype)

    def get_config(self) -> dict[str, Any]:
        return {k: v for k, v in super().get_config().items() if k != "axis"}


class _Margin(CompiledLoss):
    """Labels -1 and 1; 0 and 1 become them where there are no others."""

    def targets(self, y: Any, rows: int, columns: int, dtype: np.dtype, name: str = "y") -> np.ndarray:
        y = super().targets(y, rows, columns, dtype, name)
        result: np.ndarray = 2 * y - 1 if np.isin(y, (0, 1)).all() else y
        return result

    def classes(self, y: np.ndarray) -> np.ndarray:
        return super().classes(np.where(y == -1, 0, y))


class Hinge(_Margin):
    """Mean over the outputs of max(0, 1 - y ŷ), for labels y of -1 and 1; labels 0 and 1 become them.

    The gradient is -y/K inside the margin, 0 outside and on it.
    """

    _code = 17
    _name = "hinge"


class SquaredHinge(_Margin):
    """Mean over the outputs of max(0, 1 - y ŷ)², for labels as in `Hinge`; its gradient is -2 y max(0, 1 - y ŷ)/K."""

    _code = 18
    _name = "squared_hinge"


class CategoricalHinge(CompiledLoss):
    """max(0, 1 + max_k (1-y_k) ŷ_k - Σ_k y_k ŷ_k), for one-hot targets y (N, K).

    As in Keras, the label's own (1-1) ŷ = 0 takes part in the maximum: where all other predictions are negative, it is
    0.  The gradient is 1 at the largest of these, -1 at the label, and 0 everywhere where the loss is 0.
    """

    _code = 19
    _name = "categorical_hinge"
    _of_classes = True
