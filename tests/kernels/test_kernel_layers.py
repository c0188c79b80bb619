"""The engine's normalizations, dropout and affine layers against the reference, in every build.

Below the layer under test there is a dense one, linear: its outputs are the layer's inputs x, and its delta the
gradient with respect to them.  The loss hands over a gradient of the test's own.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastnn.reference import layers as reference
from fastnn.reference import random
from fastnn.reference.layers import BATCH, LAYER

from .support import SIZES, assert_same_bytes, multiply_add, normal

WIDE = np.longdouble
AXES = {"batch_norm": BATCH, "layer_norm": LAYER}
EPSILON = 1e-3
MOMENTUM = 0.75
INPUTS = 4  # of the dense layer below


class Run(NamedTuple):
    """What a pass through the layer took in and gave."""

    engine: Any
    gradients: np.ndarray
    data: np.ndarray
    x: np.ndarray
    z: np.ndarray
    delta: np.ndarray
    d_x: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    d_gamma: np.ndarray
    d_beta: np.ndarray
    moving: list[np.ndarray]
    moved: list[np.ndarray]


def described(
    kind: str, n_in: int, n_out: int, n_kernel: int = 0, use_bias: bool = False, **more: Any
) -> dict[str, Any]:
    plain = {"offset": 0, "frozen": False, "activation": 0, "alpha": 0.0, "penalties": ((0.0, 0.0), (0.0, 0.0))}
    return {"kind": kind, "n_in": n_in, "n_out": n_out, "n_kernel": n_kernel, "use_bias": use_bias, **plain, **more}


def run(
    core: ModuleType,
    kind: str,
    rows: int,
    n: int,
    scale: bool = True,
    center: bool = True,
    threads: int = 1,
    step: int = 0,
    offset: float = 0.0,
    data: np.ndarray | None = None,
    momentum: float = MOMENTUM,
    **more: Any,
) -> Run:
    """One forward and one backward pass of `rows` samples through a layer of width n."""
    dtype = core.DTYPE
    moving = [normal(1, n, dtype=dtype), np.square(normal(2, n, dtype=dtype))]
    if kind == "batch_norm":
        more |= {"moving": [a.copy() for a in moving], "momentum": momentum}
    if kind in AXES:
        more["epsilon"] = EPSILON
    else:
        scale = center = False
    program = [
        described("dense", INPUTS, n, INPUTS * n, True),
        described(kind, n, n, n * scale, center, offset=(INPUTS + 1) * n, **more),
    ]
    sizes = [INPUTS * n, n, *[n] * scale, *[n] * center]
    parameters, gradients = core.aligned(sum(sizes)), core.aligned(sum(sizes))
    parameters[:] = normal(3, parameters.size, dtype=dtype)
    parameters[INPUTS * n :][:n] += dtype.type(offset)
    gradients[:] = 7
    engine = core.Engine(program, parameters, gradients, sizes)
    engine.set_loss(core.LossKernel(0, {}), False, 0, lambda y, p, w: (0.0, y))
    data = normal(4, rows, INPUTS, dtype=dtype) if data is None else data
    engine.bind(data, normal(5, rows, n, dtype=dtype), None)
    engine.forward_all(threads, step)
    x, z = engine.layer_output(0), engine.layer_output(1)
    engine.backward_all(threads)
    split = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])[2:]
    own = [(parameters[part], gradients[part]) for part in split]
    nothing = (np.empty(0, dtype), np.empty(0, dtype))
    gamma, d_gamma = own[0] if scale else nothing
    beta, d_beta = own[-1] if center else nothing
    return Run(
        engine, gradients, data, x, z, engine.layer_delta(1), engine.layer_delta(0), gamma, beta, d_gamma, d_beta,
        moving, more.get("moving", []),
    )  # fmt: skip


def assert_close(got: np.ndarray, exact: np.ndarray, size: np.ndarray, units: float) -> None:
    """Whether each error is within so many units of rounding of `size`, what was added up or multiplied on the way."""
    assert got.shape == exact.shape
    error = np.abs(got.astype(WIDE) - exact) / (np.finfo(got.dtype).eps * size + np.finfo(got.dtype).tiny)
    assert error.max(initial=0) <= units, error.max()


def check_normalization(core: ModuleType, kind: str, r: Run) -> None:
    axis, scaled = AXES[kind], len(r.gamma) > 0
    x, delta, gamma, beta = (a.astype(WIDE) for a in (r.x, r.delta, r.gamma, r.beta))
    mean, variance = reference.statistics(x, axis)
    deviation = np.sqrt(variance + EPSILON)
    # Rounding the mean, and x - mean, costs half a unit of x each; the deviation magnifies it.
    size = (np.abs(x) + np.abs(mean)) / deviation + 1
    g = gamma if scaled else np.ones(x.shape[1], WIDE)
    b = beta if len(beta) else np.zeros(x.shape[1], WIDE)
    assert_close(r.z, reference.normalization(x, g, b, EPSILON, axis), size * np.abs(g) + np.abs(b), 4)
    d_x, d_gamma, d_beta = reference.normalization_gradient(x, g, EPSILON, axis, delta)
    normalized = np.abs(x - mean) / deviation
    upstream = np.abs(delta * g)
    parts = upstream + upstream.mean(axis, keepdims=True) + size * (upstream * size).mean(axis, keepdims=True)
    assert_close(r.d_x, d_x, parts / deviation, 4)
    if scaled:
        assert_close(r.d_gamma, d_gamma, (np.abs(delta) * (normalized + size)).sum(axis=0), 2)
    if len(beta):
        assert_close(r.d_beta, d_beta, np.abs(delta).sum(axis=0), 2)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("kind", AXES)
def test_normalization(core: ModuleType, kind: str, rows: int) -> None:
    for n in SIZES:
        check_normalization(core, kind, run(core, kind, rows, n))


@pytest.mark.parametrize(("scale", "center"), [(False, True), (True, False), (False, False)])
@pytest.mark.parametrize("kind", AXES)
def test_normalization_without_gamma_or_beta(core: ModuleType, kind: str, scale: bool, center: bool) -> None:
    for n in (1, 7, 33):
        check_normalization(core, kind, run(core, kind, 20, n, scale=scale, center=center))


@pytest.mark.parametrize("kind", AXES)
def test_a_large_batch_and_data_far_from_0(core: ModuleType, kind: str) -> None:
    r = run(core, kind, 1100, 33)
    assert r.engine.chunk < 1100
    check_normalization(core, kind, r)
    check_normalization(core, kind, run(core, kind, 40, 33, offset=1000.0))


def test_batch_statistics(core: ModuleType) -> None:
    for rows in SIZES:
        for n in SIZES:
            r = run(core, "batch_norm", rows, n, momentum=0.0)  # what moves is then the batch's own
            x = r.x.astype(WIDE)
            mean, variance = (s[0] for s in reference.statistics(x, BATCH))
            assert_close(r.moved[0], mean, np.abs(x).mean(axis=0), 8)  # float64: of a thousand additions
            # The mean that is taken off is rounded.
            slack = np.square(np.finfo(core.DTYPE).eps * mean) / np.finfo(core.DTYPE).eps
            assert_close(r.moved[1], variance, variance + slack, 8)


def test_moving_averages(core: ModuleType) -> None:
    own, moved = (run(core, "batch_norm", 20, 33, momentum=m) for m in (0.0, MOMENTUM))
    keep, take_in = core.DTYPE.type(MOMENTUM), core.DTYPE.type(1 - MOMENTUM)
    for before, batch, after in zip(moved.moving, own.moved, moved.moved, strict=True):
        assert_same_bytes(after, multiply_add(core, np.full_like(before, keep), before, take_in * batch))
        exact = reference.moving_average(before.astype(WIDE), batch.astype(WIDE), MOMENTUM)
        assert_close(after, exact, np.abs(before) + np.abs(batch), 1)


def test_a_backward_pass_repeated_moves_nothing_again(core: ModuleType) -> None:
    r = run(core, "batch_norm", 20, 33)
    before = [a.copy() for a in r.moved]
    gradient = r.d_gamma.copy()
    r.engine.backward_all(1)
    assert_same_bytes(r.d_gamma, gradient)
    for a, b in zip(before, r.moved, strict=True):
        assert_same_bytes(a, b)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("center", [True, False])
def test_batch_normalization_in_inference(core: ModuleType, scale: bool, center: bool) -> None:
    for n in SIZES:
        r = run(core, "batch_norm", 20, n, scale=scale, center=center)
        out = np.empty_like(r.z)
        r.engine.bind(r.data, None, None)
        r.engine.predict(out, 1)
        mean, variance = (a.astype(WIDE) for a in r.moved)
        factor = (r.gamma.astype(WIDE) if scale else 1) / np.sqrt(variance + EPSILON)
        shift = r.beta.astype(WIDE) if center else np.zeros(n, WIDE)
        exact = reference.affine(r.x.astype(WIDE), mean, factor, shift)
        assert_close(out, exact, (np.abs(r.x) + np.abs(mean)) * np.abs(factor) + np.abs(shift), 3)


def test_layer_normalization_in_inference_is_that_of_training(core: ModuleType) -> None:
    r = run(core, "layer_norm", 600, 33)
    out = np.empty_like(r.z)
    r.engine.bind(r.data, None, None)
    r.engine.predict(out, 1)
    assert_same_bytes(out, r.z)


@pytest.mark.parametrize("kind", AXES)
def test_nan_and_infinity_stay_where_they_are(core: ModuleType, kind: str) -> None:
    bad = normal(4, 20, INPUTS, dtype=core.DTYPE)
    bad[3, 0], bad[5, 1] = np.nan, np.inf
    r = run(core, kind, 20, 33, data=bad)
    if kind == "batch_norm":  # every column has one
        assert np.isnan(r.z).all()
        assert np.isnan(r.moved[0]).all()
    else:
        assert np.isnan(r.z[[3, 5]]).all()
        assert np.isfinite(np.delete(r.z, [3, 5], axis=0)).all()
        assert np.isfinite(np.delete(r.d_x, [3, 5], axis=0)).all()


@pytest.mark.parametrize("kind", AXES)
def test_constant_rows_and_columns(core: ModuleType, kind: str) -> None:
    r = run(core, kind, 5, 33, data=np.zeros((5, INPUTS), core.DTYPE), scale=False, center=False)
    if kind == "batch_norm":
        # The mean of five equal numbers may be the next one.
        assert np.abs(r.z).max() < 64 * np.finfo(core.DTYPE).eps
    one = run(core, "layer_norm", 5, 1, scale=False, center=False)
    assert not one.z.any()
    assert not one.d_x.any()


# ---- affine ----------------------------------------------------------------------------------------------------------


def test_affine(core: ModuleType) -> None:
    dtype = core.DTYPE
    for n in SIZES:
        scale, shift = (normal(seed, n, dtype=dtype) for seed in (7, 8))
        r = run(core, "affine", 20, n, constants=[scale, shift])
        expected = multiply_add(core, r.x, np.broadcast_to(scale, r.x.shape), np.broadcast_to(shift, r.x.shape))
        assert_same_bytes(r.z, expected)
        x, wide_scale, wide_shift = (a.astype(WIDE) for a in (r.x, scale, shift))
        exact = reference.affine(x, np.zeros(n, WIDE), wide_scale, wide_shift)
        assert_close(r.z, exact, np.abs(r.x) * np.abs(scale) + np.abs(shift), 2)
        assert_same_bytes(r.d_x, r.delta * scale)


@pytest.mark.parametrize("invert", [False, True])
def test_given_normalization(core: ModuleType, invert: bool) -> None:
    dtype = core.DTYPE
    for n in SIZES:
        mean, variance = normal(6, n, dtype=dtype), np.square(normal(7, n, dtype=dtype))
        variance[0] = 0
        r = run(core, "normalization", 20, n, moving=[mean, variance], invert=invert)
        x, wide_mean, wide_variance, delta = (a.astype(WIDE) for a in (r.x, mean, variance, r.delta))
        exact = reference.given_normalization(x, wide_mean, wide_variance, invert)
        deviation = np.maximum(np.sqrt(wide_variance), dtype.type(1e-7))
        factor = deviation if invert else 1 / deviation
        assert_close(r.z, exact, (np.abs(x) + np.abs(wide_mean)) * np.maximum(factor, 1), 4)
        assert_close(r.d_x, delta * factor, np.abs(delta) * factor, 3)
        # What is written into them holds from the next call on, of a predictor too.
        call = core.Predictor(r.engine, 20, None)
        before = call(r.data).copy()
        assert_same_bytes(before, r.z)
        mean[:] += 1
        variance[:] = 4
        after, out = call(r.data).copy(), np.empty_like(r.z)
        r.engine.bind(r.data, None, None)
        r.engine.predict(out, 1)
        assert_same_bytes(after, out)
        exact = reference.given_normalization(x, mean.astype(WIDE), variance.astype(WIDE), invert)
        assert_close(after, exact, (np.abs(x) + np.abs(mean)) * 2, 4)


# ---- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.99, 1.0])
def test_dropout(core: ModuleType, rate: float) -> None:
    for rows, n in [(1, 1), (3, 2), (2, 3), (16, 7), (7, 15), (17, 16), (33, 17), (1, 33), (3, 64), (2, 65), (5, 1000)]:
        seed, step = 2**40 + 17 * n, 3 + rows
        r = run(core, "dropout", rows, n, rate=rate, seed=seed, step=step)
        mask = random.dropout_mask(rows, n, rate, seed, step, layer=1)
        assert_same_bytes(r.z, reference.dropout(r.x, mask, rate))
        assert_same_bytes(np.abs(r.d_x), np.abs(reference.dropout(r.delta, mask, rate)))  # -0 where it is dropped


@pytest.mark.parametrize("shared", [(True, False), (False, True), (True, True)])
def test_dropout_of_shared_noise(core: ModuleType, shared: tuple[bool, bool]) -> None:
    for rows, n in [(1, 1), (3, 2), (17, 16), (33, 17), (3, 64), (2, 65), (5, 1000), (1100, 7)]:
        drawn = random.dropout_mask(1 if shared[0] else rows, 1 if shared[1] else n, 0.4, 9, 2, layer=1)
        for threads in (1, 3):
            r = run(core, "dropout", rows, n, rate=0.4, seed=9, step=2, shared=shared, threads=threads)
            mask = np.broadcast_to(drawn, r.x.shape)
            assert_same_bytes(r.z, reference.dropout(r.x, mask, 0.4))
            assert_same_bytes(np.abs(r.d_x), np.abs(reference.dropout(r.delta, mask, 0.4)))


def test_dropout_of_everything_hides_infinity(core: ModuleType) -> None:
    r = run(core, "dropout", 40, 7, rate=1.0, seed=1, data=np.full((40, INPUTS), np.inf, core.DTYPE))
    assert_same_bytes(r.z, np.zeros_like(r.z))


def test_dropout_of_a_large_batch_on_threads(core: ModuleType) -> None:
    mask = random.dropout_mask(1100, 7, 0.3, 5, 2, layer=1)
    for threads in (1, 3):
        r = run(core, "dropout", 1100, 7, rate=0.3, seed=5, step=2, threads=threads)
        assert r.engine.chunk < 1100
        assert_same_bytes(r.z, reference.dropout(r.x, mask, 0.3))


def test_dropout_in_chunks_is_that_of_one_pass(core: ModuleType) -> None:
    # A step gathers and drops chunk by chunk; a mask is drawn by the row in the batch.
    for kind, options in (("dropout", {"rate": 0.3, "seed": 5}), ("layer_norm", {})):
        r = run(core, kind, 1100, 7, step=2, **options)
        expected = r.gradients.copy()
        r.gradients[:] = 7
        r.engine.gradient(3, 2)
        assert_same_bytes(r.gradients, expected)


def test_what_is_dropped_hides_nan(core: ModuleType) -> None:
    data = np.full((40, INPUTS), np.nan, core.DTYPE)
    r = run(core, "dropout", 40, 7, rate=0.5, seed=1, data=data)
    np.testing.assert_array_equal(np.isnan(r.z), random.dropout_mask(40, 7, 0.5, 1, 0, layer=1))
    assert not r.z[~np.isnan(r.z)].any()
