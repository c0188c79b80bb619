"""Errors of every loss and activation, value and gradient, against its reference in extended precision.

``python -m benchmarks.accuracy``

An error is given in units in the last place (ULP) of the dtype at the exact result, the largest over a domain that
includes logits of 1e4, probabilities of 0, 1 and 1e-45, equal values, and errors as large as the dtype holds.
A star marks what is
the sum of terms of opposite sign, with a zero that no rounded term can hit: there the unit is that of the largest term.
Two stars mark a derivative that is computed from a value that saturates: there the unit is that of its range.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from fastnn import activations, kernels, losses
from fastnn.reference import activations as activations_reference
from fastnn.reference import losses as reference

WIDE = np.longdouble
Pair = tuple[np.ndarray, np.ndarray]


class Case(NamedTuple):
    """A loss with its options, and where to evaluate it."""

    loss: losses.Loss
    function: str  # of the reference
    domain: Callable[[np.random.Generator, np.dtype], Pair]  # targets and predictions (N, K)
    options: dict[str, Any] = {}  # noqa: RUF012
    clips: bool = False  # the reference takes clip_dtype
    # the largest of the terms that a value, or an element of the gradient, is the sum of
    value_terms: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    gradient_terms: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


# ---- domains -----------------------------------------------------------------------------------------------------


def numbers(rng: np.random.Generator, dtype: np.dtype, n: int, top: float = 1.0) -> np.ndarray:
    """Of both signs, their exponents evenly spread over all that are finite, up to `top` times the largest."""
    info = np.finfo(dtype)
    exponents = rng.uniform(info.minexp - info.nmant, info.maxexp - 1 + np.log2(top), n)
    x = np.exp2(exponents.astype(WIDE)) * rng.choice([-1, 1], n)
    return np.concatenate([x, [0, 1, -1, 1e4, -1e4, 1e-45, top * float(info.max), -top * float(info.max)]]).astype(
        dtype
    )


def pairs(rng: np.random.Generator, dtype: np.dtype) -> Pair:
    """Targets and predictions: unrelated, of like size, near each other, equal."""
    n = 1 << 13
    anything = numbers(rng, dtype, 2 * n)
    usual = (rng.standard_normal(2 * n) * 10 ** rng.uniform(-2, 3, 2 * n)).astype(dtype)
    near = usual[:n] * (1 + np.finfo(dtype).eps * rng.integers(-20, 20, n)).astype(dtype)
    close = usual[n:] + rng.standard_normal(n).astype(dtype) * dtype.type(0.1)
    y = np.concatenate([anything, usual, usual[:n], usual[n:], anything])
    p = np.concatenate([rng.permutation(anything), rng.permutation(usual), near, close, anything])
    return y[:, np.newaxis], p[:, np.newaxis]


def positive(rng: np.random.Generator, dtype: np.dtype) -> Pair:
    return tuple(np.abs(a) for a in pairs(rng, dtype))  # type: ignore[return-value]


def counts(rng: np.random.Generator, dtype: np.dtype) -> Pair:
    """Positive predictions; targets not so large that y log(p) overflows."""
    y, p = positive(rng, dtype)
    y[::16] = 1e-7 * (1 + rng.uniform(-0.1, 0.1, y[::16].shape))  # the derivative is 0 at p + 1e-7
    limit = np.sqrt(np.finfo(dtype).max)
    return np.where(y < limit, y, 3).astype(dtype), np.where(p > 0, p, 1).astype(dtype)


def unit(rng: np.random.Generator, dtype: np.dtype, n: int) -> np.ndarray:
    """In [0, 1], many near either end, the ends, and the bounds of the clip."""
    u = rng.uniform(size=n)
    near = u * 2.0 ** -rng.integers(0, 30, n)
    low = dtype.type(1e-7)
    bounds = [v for b in (low, 1 - low) for v in (b, np.nextafter(b, dtype.type(0)), np.nextafter(b, dtype.type(1)))]
    return np.concatenate([u, near, 1 - near, bounds, [0, 1, 1e-45, 0.5]]).astype(dtype)


def logits(rng: np.random.Generator, dtype: np.dtype, n: int) -> np.ndarray:
    spans = [rng.uniform(-r, r, n) for r in (2, 20, 120, 760, 1e4)]
    x = numbers(rng, dtype, n)
    return np.concatenate([*spans, x[np.abs(x) < 1e4], [1e4, -1e4, 0]]).astype(dtype)


def labelled(values: Callable[..., np.ndarray]) -> Callable[[np.random.Generator, np.dtype], Pair]:
    """Each of the values with label 0 and with label 1."""

    def domain(rng: np.random.Generator, dtype: np.dtype) -> Pair:
        p = values(rng, dtype, 1 << 13)
        return np.repeat(np.array([[0], [1]], dtype), len(p), 0), np.concatenate([p, p])[:, np.newaxis]

    return domain


def soft(values: Callable[..., np.ndarray]) -> Callable[[np.random.Generator, np.dtype], Pair]:
    """Labels between 0 and 1, and some that are either."""

    def domain(rng: np.random.Generator, dtype: np.dtype) -> Pair:
        p = values(rng, dtype, 1 << 13)
        y = rng.uniform(size=len(p))
        y[::4] = np.round(y[::4])
        return y.astype(dtype)[:, np.newaxis], p[:, np.newaxis]

    return domain


def margins(rng: np.random.Generator, dtype: np.dtype) -> Pair:
    y, p = labelled(logits)(rng, dtype)
    near = (1 + rng.uniform(-1, 1, 1 << 12) * 2.0 ** -rng.integers(0, 25, 1 << 12)).astype(dtype)[:, np.newaxis]
    return np.concatenate([2 * y - 1, np.ones_like(near)]), np.concatenate([p, near])


def rows(classes: int, values: str, hard: bool = True) -> Callable[[np.random.Generator, np.dtype], Pair]:
    """Rows of logits, of any spread, or of probabilities, also unnormalised; with one-hot targets, or distributions."""

    def domain(rng: np.random.Generator, dtype: np.dtype) -> Pair:
        n = 3000
        if values == "logits":
            p = rng.standard_normal((n, classes)) * rng.choice([1e-3, 1, 10, 60, 1000], (n, 1))
            p[::7, 0], p[::11, -1] = 1e4, -1e4
            p[::5] += rng.choice([-1e4, 100, 7], (len(p[::5]), 1))
            p[3::50] = 0
        else:
            p = rng.uniform(size=(n, classes)) ** rng.choice([1, 5, 30], (n, 1))
            p /= p.sum(axis=1, keepdims=True)
            p[::4] *= rng.choice([1e-3, 3, 1e4], (len(p[::4]), 1))
            p[1::4, 0], p[2::8, -1] = 0, 1
            p[5::50] = 1e-30
        p = p.astype(dtype)
        if values != "logits":
            p[~p.any(axis=1)] = 1
            # Whether the clip acts on a quotient within a rounding of its bound is for the rounding to say.
            q = p.astype(WIDE) / p.astype(WIDE).sum(axis=1, keepdims=True)
            low, eps = WIDE(dtype.type(1e-7)), np.finfo(dtype).eps
            high = WIDE(dtype.type(1) - dtype.type(1e-7))
            close = (np.abs(q - low) <= 2 * eps * low) | (np.abs(q - high) <= 2 * eps)
            p[close.any(axis=1)] = 1
        y = np.eye(classes)[rng.integers(classes, size=n)] if hard else rng.dirichlet(np.ones(classes), n)
        return y.astype(dtype), p

    return domain


def distributions(rng: np.random.Generator, dtype: np.dtype) -> Pair:
    """Of single probabilities: the divergence's terms."""
    y, p = soft(unit)(rng, dtype)
    y[1::3] = (p[1::3] * (1 + np.finfo(dtype).eps * rng.integers(-20, 20, p[1::3].shape))).astype(dtype)
    y[2::9] = p[2::9]
    return y, p


def vectors(rng: np.random.Generator, dtype: np.dtype) -> Pair:
    p = rng.standard_normal((3000, 5)) * 10 ** rng.uniform(-4, 4, (3000, 1))
    y = rng.standard_normal((3000, 5))
    y[::3], p[1::10], y[2::10] = 3 * p[::3], 0, 0
    p[5::20] *= np.finfo(dtype).max / 1e12
    return y.astype(dtype), p.astype(dtype)


# ---- the terms of sums ---------------------------------------------------------------------------------------------


def sigmoid_terms(y: np.ndarray, z: np.ndarray) -> Any:
    up = 1 / (1 + np.exp(-z))
    return np.maximum((1 - y) * up, y / (1 + np.exp(z)))


def softmax_terms(y: np.ndarray, z: np.ndarray) -> Any:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.maximum(y, e / e.sum(axis=1, keepdims=True) * y.sum(axis=1, keepdims=True))


def quotient_terms(y: np.ndarray, p: np.ndarray) -> Any:
    s = p.sum(axis=1, keepdims=True)
    return np.maximum(y.sum(axis=1, keepdims=True) / s, np.divide(y, p, where=p / s > 1e-7, out=np.zeros_like(p)))


def divergence_terms(y: np.ndarray, p: np.ndarray) -> Any:
    y, p = np.clip(y, 1e-7, 1), np.clip(p, 1e-7, 1)
    return np.abs(y * np.log(y / p)).max(axis=1)


def divergence_of_logits_terms(y: np.ndarray, z: np.ndarray) -> Any:
    y, m = np.clip(y, 1e-7, 1), z.max(axis=1, keepdims=True)
    return (y * (m - z + np.log(np.exp(z - m).sum(axis=1, keepdims=True)))).sum(axis=1)


def poisson_terms(y: np.ndarray, p: np.ndarray) -> Any:
    return np.maximum(p, np.abs(y * np.log(p + 1e-7)))[:, 0]


def gamma_terms(y: np.ndarray, p: np.ndarray) -> Any:
    return np.maximum(y / p, np.abs(np.log(p)))[:, 0]


def cosine_terms(y: np.ndarray, p: np.ndarray) -> Any:
    sizes = [np.maximum(np.linalg.norm(v, axis=1), 1e-7) for v in (y, p)]
    return np.abs(y * p).max(axis=1) / sizes[0] / sizes[1]


def cosine_gradient_terms(y: np.ndarray, p: np.ndarray) -> Any:
    sizes = [np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-7) for v in (y, p)]
    return np.maximum(np.abs(y), np.abs(p) * sizes[0] / sizes[1]) / sizes[0] / sizes[1]


def focal_terms(y: np.ndarray, p: np.ndarray) -> Any:
    """Of soft labels: the gradients of label 0 and of label 1, weighted."""
    return np.maximum(
        *(
            np.abs(w * reference.binary_focal_crossentropy_gradient(np.full_like(y, k), p, True, 0.3, 1.5, True))
            for k, w in ((0, 1 - y), (1, y))
        )
    )


def cases() -> Iterator[tuple[str, Case]]:
    """All losses, by the name that the table prints."""
    yield "MeanSquaredError", Case(losses.MeanSquaredError(), "mean_squared_error", pairs)
    yield "MeanAbsoluteError", Case(losses.MeanAbsoluteError(), "mean_absolute_error", pairs)
    mape = losses.MeanAbsolutePercentageError()
    yield "MeanAbsolutePercentageError", Case(mape, "mean_absolute_percentage_error", pairs, {}, True)
    msle = losses.MeanSquaredLogarithmicError()
    yield "MeanSquaredLogarithmicError", Case(msle, "mean_squared_logarithmic_error", positive, {}, True)
    for delta in (1.0, 0.125, 30.0):
        yield f"Huber({delta:g})", Case(losses.Huber(delta), "huber", pairs, {"delta": delta})
    yield "LogCosh", Case(losses.LogCosh(), "log_cosh", pairs)
    for q in (0.5, 0.9):
        yield f"Quantile({q:g})", Case(losses.Quantile(q), "quantile", pairs, {"q": q})
    yield "Poisson", Case(losses.Poisson(), "poisson", counts, {}, True, poisson_terms)
    yield "Gamma", Case(losses.Gamma(), "gamma", counts, {}, False, gamma_terms)
    for name, hinge in (("Hinge", losses.Hinge), ("SquaredHinge", losses.SquaredHinge)):
        yield name, Case(hinge(), "hinge" if name == "Hinge" else "squared_hinge", margins)
    bce = "binary_crossentropy"
    yield "BinaryCrossentropy", Case(losses.BinaryCrossentropy(), bce, labelled(unit), {}, True)
    yield "BinaryCrossentropy, soft", Case(losses.BinaryCrossentropy(), bce, soft(unit), {}, True)
    yield (
        "BinaryCrossentropy of logits",
        Case(losses.BinaryCrossentropy(True), bce, labelled(logits), {"from_logits": True}),
    )
    yield (
        "BinaryCrossentropy of logits, soft",
        Case(losses.BinaryCrossentropy(True), bce, soft(logits), {"from_logits": True}, gradient_terms=sigmoid_terms),
    )
    focal = "binary_focal_crossentropy"
    for gamma in (0.0, 0.5, 1.0, 2.0, 5.0):
        for from_logits, values in ((False, unit), (True, logits)):
            options: dict[str, Any] = {"gamma": gamma, "from_logits": from_logits}
            name = f"BinaryFocalCrossentropy{' of logits' if from_logits else ''}, gamma {gamma:g}"
            case = Case(losses.BinaryFocalCrossentropy(**options), focal, labelled(values), options, True)
            yield name, case
    options = {"apply_class_balancing": True, "alpha": 0.3, "gamma": 2.0, "from_logits": True}
    case = Case(losses.BinaryFocalCrossentropy(**options), focal, labelled(logits), options, True)
    yield "BinaryFocalCrossentropy of logits, gamma 2, balanced", case
    options = options | {"gamma": 1.5}
    case = Case(losses.BinaryFocalCrossentropy(**options), focal, soft(logits), options, True, None, focal_terms)
    yield "BinaryFocalCrossentropy of logits, soft", case
    for classes in (2, 3, 10):
        for hard in (True, False):
            kind = f"{classes} classes{'' if hard else ', soft'}"
            given, domain = rows(classes, "logits", hard), rows(classes, "probabilities", hard)
            ce, logit = losses.CategoricalCrossentropy(from_logits=True), {"from_logits": True}
            terms: Any = None if hard else softmax_terms
            yield (
                f"CategoricalCrossentropy of logits, {kind}",
                Case(ce, "categorical_crossentropy", given, logit, False, None, terms),
            )
            terms = None if hard else quotient_terms
            yield (
                f"CategoricalCrossentropy, {kind}",
                Case(losses.CategoricalCrossentropy(), "categorical_crossentropy", domain, {}, True, None, terms),
            )
            if hard:
                for gamma in (0.0, 0.5, 2.0):
                    fl, name = losses.CategoricalFocalCrossentropy, f"CategoricalFocalCrossentropy, gamma {gamma:g}"
                    options = {"gamma": gamma, "alpha": 0.25}
                    reference_name = "categorical_focal_crossentropy"
                    yield f"{name}, {kind}", Case(fl(**options), reference_name, domain, options, True)
                    options = options | logit
                    yield f"{name} of logits, {kind}", Case(fl(**options), reference_name, given, options, True)
        given = rows(classes, "logits")
        yield f"CategoricalHinge, {classes} classes", Case(losses.CategoricalHinge(), "categorical_hinge", given)
    kl = losses.KLDivergence()
    yield "KLDivergence, one term", Case(kl, "kl_divergence", distributions, {}, True)
    yield (
        "KLDivergence, 10 classes",
        Case(kl, "kl_divergence", rows(10, "probabilities", False), {}, True, divergence_terms),
    )
    yield (
        "KLDivergence of logits, 10 classes",
        Case(
            losses.KLDivergence(from_logits=True),
            "kl_divergence",
            rows(10, "logits", False),
            {"from_logits": True},
            True,
            divergence_of_logits_terms,
            softmax_terms,
        ),
    )
    cosine = losses.CosineSimilarity()
    yield (
        "CosineSimilarity, 5 outputs",
        Case(cosine, "cosine_similarity", vectors, {}, False, cosine_terms, cosine_gradient_terms),
    )


# ---- errors -----------------------------------------------------------------------------------------------------


def ulps(got: np.ndarray, exact: np.ndarray, dtype: np.dtype, size: np.ndarray | None = None) -> np.ndarray:
    """Distance in units in the last place of `dtype` at the exact number, or at `size` where that is larger; infinity
    counts as the number after the largest, and a NaN on one side alone as infinitely wrong."""
    info = np.finfo(dtype)
    limit = np.ldexp(WIDE(1), info.maxexp)
    wide, exact = (np.clip(v.astype(WIDE), -limit, limit) for v in (got, exact))
    at = np.abs(exact) if size is None else np.maximum(np.abs(exact), np.nan_to_num(size))
    exponent = np.where(at == 0, info.minexp, np.frexp(np.where(np.isfinite(at), at, 1))[1])
    spacing = np.ldexp(WIDE(1), np.clip(exponent - 1, info.minexp, info.maxexp - 1) - info.nmant)
    both, one = np.isnan(wide) & np.isnan(exact), np.isnan(wide) != np.isnan(exact)
    return np.where(both, 0, np.where(one, np.inf, np.abs(wide - exact) / spacing)).astype(float)


@np.errstate(all="ignore")
def errors(case: Case, core: ModuleType, seed: int = 0) -> Iterator[tuple[str, float, np.ndarray, np.ndarray]]:
    """For value and gradient the largest error of a build, and the target and prediction where it is."""
    dtype = core.DTYPE
    y, p = case.domain(np.random.default_rng(seed), dtype)
    spec = case.loss.for_engine(activations.linear)
    losses_of, gradient = np.empty(len(p)), np.empty_like(p)
    core.LossKernel(spec.code, spec.options).cost(y, p, None, 1.0, losses_of, gradient)
    # The losses take their options as the dtype rounds them.
    options = {k: float(dtype.type(v)) if isinstance(v, float) else v for k, v in case.options.items()}
    options |= {"clip_dtype": dtype} if case.clips else {}
    wide = p.astype(WIDE)
    for what, values, suffix, terms in (
        ("value", losses_of, "", case.value_terms),
        ("gradient", gradient, "_gradient", case.gradient_terms),
    ):
        exact = getattr(reference, case.function + suffix)(y, wide, **options)
        size = None if terms is None else terms(y.astype(WIDE), wide)
        error = ulps(values, exact, dtype, size)
        row = int(np.unravel_index(error.argmax(), error.shape)[0])
        yield what, float(error.max()), y[row], p[row]


SATURATING = ("sigmoid", "tanh", "softsign", "elu", "selu", "celu")
GATED = ("silu", "gelu", "mish")


def star(activation: activations.Activation) -> str:
    """What marks its derivative."""
    return "**" if activation.name in SATURATING else "*" if activation.name in GATED else ""


@np.errstate(all="ignore")
def activation_errors(activation: activations.Activation, dtype: np.dtype, seed: int) -> tuple[float, float]:
    """The largest errors of value and derivative of an elementwise one."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([logits(rng, dtype, 1 << 13), numbers(rng, dtype, 1 << 13)])
    wide = x.astype(WIDE)
    function, gradient = activations_reference.ACTIVATIONS[activation.name]
    value = function(wide, **activation.parameters)
    slope = gradient(wide, np.ones_like(wide), **activation.parameters)
    size = None
    if activation.name in SATURATING:
        size = np.full_like(slope, np.abs(slope).max())
    elif activation.name in GATED:
        gate = np.where(wide == 0, slope, value / wide)
        size = np.maximum(np.abs(gate), np.abs(slope - gate))
    of_value, of_slope = ulps(activation(x), value, dtype), ulps(activation.gradient(x), slope, dtype, size)
    return float(of_value.max()), float(of_slope.max())


def elementwise() -> Iterator[tuple[str, activations.Activation]]:
    """All, and gelu's approximation."""
    for name in activations_reference.ACTIVATIONS:
        activation = activations.get(name)
        if activation.elementwise:
            yield name, activation
    yield "gelu, approximate", activations.gelu.with_parameters(approximate=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="losses and activations whose name contains this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--where", action="store_true", help="show where an error is above 4 ULP")
    arguments = parser.parse_args()
    print("| largest error in ULP | float32 value | gradient | float64 value | gradient |\n|---|---|---|---|---|")
    worst = 0.0
    for name, case in cases():
        if arguments.only not in name:
            continue
        cells = []
        for core in (kernels.core(np.float32), kernels.core(np.float64)):
            for what, error, y, p in errors(case, core, arguments.seed):
                terms = case.value_terms if what == "value" else case.gradient_terms
                cells.append(f"{error:.2f}{'*' if terms else ''}")
                worst = max(worst, error)
                if arguments.where and error > 4:
                    print(f"    {name} {core.DTYPE} {what}: {error:.3g} at y = {y!r}, y_pred = {p!r}")
        print("|", " | ".join([name, *cells]), "|", flush=True)
    print("\n| largest error in ULP | float32 value | derivative | float64 value | derivative |\n|---|---|---|---|---|")
    for name, activation in elementwise():
        if arguments.only not in name:
            continue
        pairs = [activation_errors(activation, np.dtype(dtype), arguments.seed) for dtype in (np.float32, np.float64)]
        cells = [f"{value:.2f} | {slope:.2f}{star(activation)}" for value, slope in pairs]
        worst = max(worst, *(error for pair in pairs for error in pair))
        print("|", " | ".join([name, *cells]), "|", flush=True)
    print(f"\nThe largest is {worst:.2f}.  * in units of the largest of the terms that the number is a sum of.")
    print("** in units of its range.")


if __name__ == "__main__":
    main()
