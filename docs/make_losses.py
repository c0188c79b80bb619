"""Make losses.md, the gallery of losses, and its pictures: ``python docs/make_losses.py``, with fastnn[plot] installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastnn import losses

HERE = Path(__file__).parent


class Curve(NamedTuple):
    """One line of a picture: a loss over predictions, for a target."""

    label: str
    loss: losses.Loss
    y: Callable[[np.ndarray], Any]
    p: Callable[[np.ndarray], np.ndarray] = lambda x: x[:, np.newaxis]
    gradient: Callable[[np.ndarray], np.ndarray] = lambda g: g[:, 0]


class Entry(NamedTuple):
    """A loss's part of the page, and its row of the table."""

    formula: str
    derivative: str
    when: str
    use: str
    activation: str
    outliers: str
    notes: str
    xlabel: str
    low: float
    high: float
    curves: tuple[Curve, ...]


def constant(value: float) -> Callable[[np.ndarray], np.ndarray]:
    """Targets (N, 1) of one value."""
    return lambda x: np.full((len(x), 1), value)


def two(x: np.ndarray) -> np.ndarray:
    """Rows of two classes: p and 1 - p, or z and 0."""
    return np.stack([x, 1 - x], axis=1)


def logits(x: np.ndarray) -> np.ndarray:
    """Rows of a logit and 0."""
    return np.stack([x, np.zeros_like(x)], axis=1)


def first(x: np.ndarray) -> np.ndarray:
    """One-hot targets: the first of two."""
    return np.tile([1.0, 0.0], (len(x), 1))


def distribution(q: float, x: np.ndarray) -> np.ndarray:
    """Rows (q, 1 - q)."""
    return np.tile([q, 1 - q], (len(x), 1))


def direction(x: np.ndarray) -> np.ndarray:
    """Unit vectors at an angle."""
    return np.stack([np.cos(x), np.sin(x)], axis=1)


def along(x: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The derivative in that angle, of a gradient."""
    return lambda g: g[:, 1] * np.cos(x) - g[:, 0] * np.sin(x)


ERROR = {"xlabel": "ŷ − y", "low": -3.0, "high": 3.0}
MARGIN = {"xlabel": "ŷ", "low": -2.5, "high": 2.5}
LOGIT = {"xlabel": "logit z", "low": -6.0, "high": 6.0}
ENTRIES: dict[str, Entry] = {
    "MeanSquaredError": Entry(
        "mean over k of (ŷ − y)²",
        "2(ŷ − y)/K; no hidden ½",
        "The first choice for regression with errors that are roughly Gaussian: its minimiser is the mean.",
        "regression",
        "linear",
        "high: an error counts with its square",
        "scikit-learn's MLP minimises half of it",
        **ERROR,
        curves=(Curve("", losses.MeanSquaredError(), constant(0)),),
    ),
    "MeanAbsoluteError": Entry(
        "mean over k of |ŷ − y|",
        "sign(ŷ − y)/K, 0 where they are equal",
        "Regression with outliers in the targets: its minimiser is the median. The gradient does not shrink near the "
        "optimum, so a schedule that lowers the learning rate helps.",
        "regression with outliers",
        "linear",
        "low",
        "not smooth at 0",
        **ERROR,
        curves=(Curve("", losses.MeanAbsoluteError(), constant(0)),),
    ),
    "Huber": Entry(
        "mean over k of e²/2 where |e| ≤ δ, δ|e| − δ²/2 elsewhere; e = ŷ − y",
        "clip(e, −δ, δ)/K",
        "Regression with some outliers: squared near the target, absolute far from it. δ is where errors begin to be "
        "outliers, in the units of y.",
        "regression with outliers",
        "linear",
        "low beyond δ",
        "smooth; δ has the units of y",
        **ERROR,
        curves=tuple(Curve(f"δ = {d:g}", losses.Huber(d), constant(0)) for d in (0.5, 1, 2)),
    ),
    "LogCosh": Entry(
        "mean over k of log(cosh(ŷ − y))",
        "tanh(ŷ − y)/K",
        "As Huber's with δ = 1, but with all derivatives continuous: for second-order methods.",
        "regression with outliers",
        "linear",
        "low beyond 1",
        "computed without cancellation: right to the last digits for tiny and for huge errors",
        **ERROR,
        curves=(Curve("", losses.LogCosh(), constant(0)),),
    ),
    "Quantile": Entry(
        "mean over k of max(q e, (q − 1) e); e = y − ŷ",
        "−q/K where y is larger, (1 − q)/K where it is smaller, 0 where they are equal",
        "To predict a quantile of y given x, and with two of them an interval: q = 0.5 is half the absolute error. "
        "Not in Keras.",
        "quantiles, intervals",
        "linear",
        "low",
        "the pinball loss; not smooth at 0",
        **ERROR,
        curves=tuple(Curve(f"q = {q:g}", losses.Quantile(q), constant(0)) for q in (0.1, 0.5, 0.9)),
    ),
    "MeanAbsolutePercentageError": Entry(
        "mean over k of 100 |ŷ − y| / max(|y|, ε), ε = 1e-7",
        "100 sign(ŷ − y) / max(|y|, ε) / K",
        "Where errors matter relative to the target, and no target is near 0: there it explodes, and it favours "
        "predictions that are too small.",
        "positive quantities of many sizes",
        "linear, softplus, exponential",
        "high where y is small",
        "undefined in spirit at y = 0",
        xlabel="ŷ",
        low=0.0,
        high=4.0,
        curves=tuple(Curve(f"y = {y:g}", losses.MeanAbsolutePercentageError(), constant(y)) for y in (1, 2)),
    ),
    "MeanSquaredLogarithmicError": Entry(
        "mean over k of d²; d = log(1 + max(ŷ, ε)) − log(1 + max(y, ε))",
        "2d / (1 + ŷ) / K, 0 where ŷ < ε",
        "Positive targets over several orders of magnitude, where a factor matters and not a difference.",
        "positive quantities of many sizes",
        "softplus, exponential, relu",
        "low for large y",
        "the difference of logarithms is taken as one: Keras's cancels where ŷ is near y",
        xlabel="ŷ",
        low=0.02,
        high=4.0,
        curves=tuple(Curve(f"y = {y:g}", losses.MeanSquaredLogarithmicError(), constant(y)) for y in (0.5, 2)),
    ),
    "Poisson": Entry(
        "mean over k of ŷ − y log(ŷ + ε); 0 log(0) is 0",
        "(1 − y/(ŷ + ε)) / K",
        "Counts y, with ŷ their mean: the likelihood of the Poisson distribution without its constant.",
        "counts",
        "exponential, softplus",
        "medium",
        "may be negative; ŷ < −ε has no value (NaN)",
        xlabel="ŷ",
        low=0.3,
        high=6.0,
        curves=tuple(Curve(f"y = {y:g}", losses.Poisson(), constant(y)) for y in (0, 1, 3)),
    ),
    "Gamma": Entry(
        "mean over k of y/ŷ + log ŷ",
        "(ŷ − y) / ŷ² / K",
        "Positive, skewed amounts (claims, durations) whose spread grows with their mean. Not in Keras.",
        "positive amounts",
        "exponential, softplus",
        "medium",
        "needs ŷ > 0; the gamma distribution's likelihood per unit of shape",
        xlabel="ŷ",
        low=0.3,
        high=6.0,
        curves=tuple(Curve(f"y = {y:g}", losses.Gamma(), constant(y)) for y in (1, 2)),
    ),
    "BinaryCrossentropy": Entry(
        "mean over k of −(y log p + (1 − y) log(1 − p)), p clipped to [ε, 1 − ε]; from logits max(z, 0) − z y + "
        "log(1 + exp(−|z|))",
        "(p − y) / (p (1 − p)) / K, 0 where the clip acts; from logits (σ(z) − y)/K",
        "One yes-or-no question, or several independent ones. Behind a sigmoid, a model computes it from the logits.",
        "two classes, several labels",
        "sigmoid, or linear with from_logits",
        "a confident mistake is expensive",
        "label_smoothing α: y becomes y(1 − α) + α/2",
        **LOGIT,
        curves=tuple(
            Curve(f"y = {y:g}", losses.BinaryCrossentropy(from_logits=True), constant(y)) for y in (0, 0.3, 1)
        ),
    ),
    "BinaryFocalCrossentropy": Entry(
        "mean over k of w m^γ b, b the binary cross-entropy, m = y(1 − p) + (1 − y)p; w = yα + (1 − y)(1 − α) where "
        "classes are balanced, else 1",
        "w (γ m^(γ−1) m′ b + m^γ b′) / K",
        "Two classes of which one is rare and most samples are easy: they stop to count as they are learned.",
        "rare positives",
        "sigmoid, or linear with from_logits",
        "easy samples are discounted",
        "from logits nothing is clipped; Keras clips the sigmoid at 1e-7",
        **LOGIT,
        curves=tuple(
            Curve(f"γ = {g:g}", losses.BinaryFocalCrossentropy(gamma=g, from_logits=True), constant(1))
            for g in (0, 1, 2)
        ),
    ),
    "CategoricalCrossentropy": Entry(
        "−Σ over k of y log q, q = p/Σp clipped to [ε, 1 − ε]; from logits q = softmax(z), not clipped",
        "(sum of the other y − y(1 − q)/q)/Σp, 0 where the clip acts; from logits q Σy − y",
        "One of K classes, with one-hot targets or distributions. Behind a softmax, a model computes it from the logits.",
        "one of K classes",
        "softmax, or linear with from_logits",
        "a confident mistake is expensive",
        "keeps its relative accuracy where the loss is tiny",
        xlabel="logit z of the label, minus the other's",
        low=-6.0,
        high=6.0,
        curves=tuple(
            Curve(
                f"α = {a:g}",
                losses.CategoricalCrossentropy(from_logits=True, label_smoothing=a),
                first,
                logits,
            )
            for a in (0, 0.2)
        ),
    ),
    "SparseCategoricalCrossentropy": Entry(
        "−log q of the label",
        "as CategoricalCrossentropy's",
        "The same with integer labels: no one-hot rows to make and to read. Samples with the label `ignore_class` cost "
        "nothing and are not counted.",
        "one of K classes",
        "softmax, or linear with from_logits",
        "a confident mistake is expensive",
        "a label outside 0 … K−1 is an error that names it",
        xlabel="probability of the label",
        low=0.02,
        high=0.98,
        curves=(Curve("", losses.SparseCategoricalCrossentropy(), lambda x: np.zeros(len(x), int), two),),
    ),
    "CategoricalFocalCrossentropy": Entry(
        "−Σ over k of α y (1 − q)^γ log q, q as in CategoricalCrossentropy",
        "from logits h(1 − q) − q (sum of the other h), h = α y q d/dq((1 − q)^γ (−log q)); that over p otherwise",
        "One of K classes where some are rare and most samples are easy. α may be a weight for each class.",
        "rare classes",
        "softmax, or linear with from_logits",
        "easy samples are discounted",
        "from logits nothing is clipped; Keras clips the softmax at 1e-7",
        xlabel="logit z of the label, minus the other's",
        low=-6.0,
        high=6.0,
        curves=tuple(
            Curve(f"γ = {g:g}", losses.CategoricalFocalCrossentropy(1.0, g, from_logits=True), first, logits)
            for g in (0, 1, 2)
        ),
    ),
    "KLDivergence": Entry(
        "Σ over k of y log(y/p), y and p clipped to [ε, 1]; from logits p = softmax(z), not clipped",
        "−y/p, 0 where the clip acts; from logits p Σy − y",
        "Targets that are distributions, as in distillation: cross-entropy minus the targets' entropy, so that 0 is best.",
        "distributions, distillation",
        "softmax, or linear with from_logits",
        "a confident mistake is expensive",
        "p is not normalised; a target of 0 counts as ε; from_logits is not in Keras",
        xlabel="first of two probabilities",
        low=0.02,
        high=0.98,
        curves=tuple(
            Curve(
                f"y = ({y:g}, {1 - y:g})",
                losses.KLDivergence(),
                partial(distribution, y),
                two,
                lambda g: g[:, 0] - g[:, 1],
            )
            for y in (0.5, 0.8)
        ),
    ),
    "Hinge": Entry(
        "mean over k of max(0, 1 − y ŷ), y of −1 and 1 (0 and 1 become them)",
        "−y/K inside the margin, 0 outside and on it",
        "Two classes and a wide margin between them, as a linear support vector machine; no probabilities come out.",
        "two classes, margin",
        "linear, tanh",
        "low",
        "not smooth at the margin",
        **MARGIN,
        curves=tuple(Curve(f"y = {y:g}", losses.Hinge(), constant(y)) for y in (-1, 1)),
    ),
    "SquaredHinge": Entry(
        "mean over k of max(0, 1 − y ŷ)²",
        "−2 y max(0, 1 − y ŷ) / K",
        "As the hinge, smooth at the margin.",
        "two classes, margin",
        "linear, tanh",
        "high",
        "labels as in Hinge",
        **MARGIN,
        curves=tuple(Curve(f"y = {y:g}", losses.SquaredHinge(), constant(y)) for y in (-1, 1)),
    ),
    "CategoricalHinge": Entry(
        "max(0, 1 + max over k of (1 − y) ŷ − Σ over k of y ŷ)",
        "1 at the largest of the others, −1 at the label, 0 everywhere where the loss is 0",
        "One of K classes and a wide margin between the right one and the next.",
        "one of K classes, margin",
        "linear",
        "low",
        "as in Keras the label's own (1 − 1) ŷ = 0 is one of those that the maximum is taken of",
        xlabel="ŷ of the label, the other's 0",
        low=-2.5,
        high=2.5,
        curves=(Curve("", losses.CategoricalHinge(), first, logits),),
    ),
    "CosineSimilarity": Entry(
        "−Σ over k of y ŷ / (|y| |ŷ|)",
        "(ŷ (y·ŷ)/(ŷ·ŷ) − y) / (|y| |ŷ|)",
        "Vectors of which only the direction matters, as embeddings.",
        "embeddings, directions",
        "linear",
        "none: it is between −1 and 1",
        "a norm below ε counts as ε, so that zeros give 0",
        xlabel="angle between y and ŷ",
        low=-np.pi,
        high=np.pi,
        curves=(Curve("", losses.CosineSimilarity(), first, direction),),
    ),
}


def draw(name: str, entry: Entry) -> None:
    """Loss and gradient side by side."""
    x = np.linspace(entry.low, entry.high, 601)
    figure = Figure(figsize=(7, 2.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    for curve in entry.curves:
        y, p = curve.y(x), curve.p(x)
        value = curve.loss.per_sample(y, p)
        gradient = type(curve.loss)(**curve.loss.get_config() | {"reduction": "sum"}).gradient(y, p)
        slope = along(x)(gradient) if name == "CosineSimilarity" else curve.gradient(gradient)
        axes[0].plot(x, value, label=curve.label)
        axes[1].plot(x, slope, label=curve.label)
    what = "in the angle" if name == "CosineSimilarity" else "along p" if "Divergence" in name else "in ŷ"
    what = "in z" if "logit" in entry.xlabel else "in p" if "probability of" in entry.xlabel else what
    for axis, title in zip(axes, ("loss", f"gradient {what}"), strict=True):
        axis.set(title=title, xlabel=entry.xlabel)
        axis.grid(alpha=0.3)
    if entry.curves[0].label:
        axes[0].legend(fontsize="small")
    figure.savefig(HERE / "images" / f"losses_{name}.png", dpi=90)


def main() -> None:
    """Write the page."""
    (HERE / "images").mkdir(exist_ok=True)
    lines = [
        "# Losses",
        "",
        "A *loss* belongs to one sample: `per_sample`, and the functions such as `losses.huber`, give one for each. A *cost*",
        "is what training minimises, a reduction of the samples' losses: calling the object gives it, and `gradient` is its",
        "gradient, with respect to ŷ, or to the logits where `from_logits` is set. `value_and_gradient` gives both in one pass.",
        "",
        'With N losses L and weights w (1 by default), `reduction` is `"sum_over_batch_size"` or `"mean"`: Σ w L / N;',
        '`"sum"`: Σ w L; `"mean_with_sample_weight"`: Σ w L / Σ w; None: the N weighted losses. All sums are in float64, in',
        "one order at any number of threads.",
        "",
        "y is the target, ŷ the prediction (p where it is a probability, z where it is a logit), K the number of outputs, and",
        "ε = 1e-7. The last axis is the outputs, all others are samples; a vector (N,) means (N, 1), but one sample of N",
        "classes to a loss of classes. Names, defaults and definitions are Keras 3's; the notes say where they differ. This",
        "page and its pictures are made by [`make_losses.py`](make_losses.py).",
        "",
        "`python -m benchmarks.accuracy` prints the largest errors of values and gradients over the whole domain: they are",
        "within 4 units in the last place of the exact result. [Times](benchmarks/losses.md), against NumPy, PyTorch and JAX,",
        "are those of `python -m benchmarks losses`.",
        "",
        "| loss | typical use | output activation | sensitivity to outliers | notes |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| [{name}](#{name.lower()}) | {e.use} | {e.activation} | {e.outliers} | {e.notes} |"
        for name, e in ENTRIES.items()
    ]
    for name, entry in ENTRIES.items():
        draw(name, entry)
        lines += [
            "",
            f"## {name}",
            "",
            f"- loss: {entry.formula}",
            f"- gradient of one sample's loss: {entry.derivative}",
            "",
            entry.when,
            "",
            f"![{name}: the loss and its gradient](images/losses_{name}.png)",
        ]
    lines += [
        "",
        "## Your own",
        "",
        "Subclass `losses.Loss` with a `value_and_gradient` in NumPy; `reduce` turns the samples' losses and their gradients",
        "into the cost and its gradient. It works in `fit` beside the compiled ones: there it is called once for each batch",
        "(or part of a batch that is long), and only it pays for that.",
        "",
        "```python",
        "class Cubic(losses.Loss):",
        "    def value_and_gradient(self, y_true, y_pred, sample_weight=None, out=None):",
        "        e = y_pred - y_true",
        "        return self.reduce((abs(e) ** 3).mean(axis=-1), 3 * e * abs(e) / e.shape[-1], sample_weight)",
        "```",
        "",
    ]
    (HERE / "losses.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
