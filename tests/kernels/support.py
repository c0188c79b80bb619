"""What the kernels' tests share: the builds, errors in units in the last place, an exact multiply-add, data."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterator
from types import ModuleType

import numpy as np
from hypothesis import HealthCheck, settings

from fastnn import kernels

# The same examples in every run, and no limit that looks at the clock.
EXAMPLES = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

SIZES = (1, 2, 3, 7, 15, 16, 17, 33, 1000)  # round every vector length and every number of lanes

BUILDS: list[ModuleType] = [
    importlib.import_module(f"fastnn.kernels._{short}_{isa}") for short in ("f32", "f64") for isa in kernels.available()
]


def name_of(core: ModuleType) -> str:
    """``f32_v3``."""
    return core.__name__.rpartition("._")[2]


def is_fused(core: ModuleType) -> bool:
    """Whether this build's multiply-add rounds once: v3 and v4 of x86, and arm64."""
    return name_of(core).endswith(("_v3", "_v4")) or platform.machine().lower() in ("arm64", "aarch64")


def families(dtype: np.dtype) -> Iterator[list[ModuleType]]:
    """The builds for a dtype whose bits must be the same: those that fuse multiply and add, and those that do not."""
    for fused in (True, False):
        family = [core for core in BUILDS if dtype == core.DTYPE and is_fused(core) == fused]
        if family:
            yield family


# ---- errors ----------------------------------------------------------------------------------------------------------


def spacing(exact: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The unit in the last place of ``dtype`` at each longdouble: constant among the subnormals."""
    info = np.finfo(dtype)
    # |x| is in [1/2, 1) 2**exponent; frexp gives 0 the exponent 0.
    exponent = np.where(exact == 0, info.minexp, np.frexp(np.where(np.isfinite(exact), exact, 1))[1])
    return np.ldexp(np.longdouble(1), np.maximum(exponent - 1, info.minexp) - info.nmant)


def ulps(
    got: np.ndarray, exact: np.ndarray, dtype: np.dtype | None = None, slack: np.ndarray | float = 0
) -> np.ndarray:
    """Distance of each element from the exact longdouble, in units in the last place of ``dtype`` (of ``got``'s).

    What ``slack`` allows, an absolute error, is taken off first. Infinity counts as the number after the largest finite
    one; a NaN on one side alone is infinitely wrong.
    """
    assert exact.dtype == np.longdouble, exact.dtype
    assert got.shape == exact.shape, (got.shape, exact.shape)
    dtype = got.dtype if dtype is None else np.dtype(dtype)
    limit = np.ldexp(np.longdouble(1), np.finfo(dtype).maxexp)
    wide, exact = (np.clip(v, -limit, limit) for v in (got.astype(np.longdouble), exact))
    error = np.maximum(np.abs(wide - exact) - slack, 0) / spacing(exact, dtype)
    both, one = np.isnan(wide) & np.isnan(exact), np.isnan(wide) != np.isnan(exact)
    return np.where(both, 0, np.where(one, np.inf, error)).astype(float)


def assert_ulps(got: np.ndarray, exact: np.ndarray, bound: float, **options: object) -> None:
    """Assert that no element is further than ``bound`` from the exact one, and say which is."""
    error = ulps(got, exact, **options)  # type: ignore[arg-type]
    if error.size and not error.max() <= bound:
        at = np.unravel_index(error.argmax(), error.shape)
        where = tuple(int(i) for i in at)
        raise AssertionError(f"{error[at]:.3g} > {bound} ULP at {where}: got {got[at]!r}, exact {exact[at]!r}")


def assert_same_bytes(got: np.ndarray, expected: np.ndarray) -> None:
    """Assert that two arrays hold the same bits; NaN is NaN, whatever its sign and payload."""
    assert got.dtype == expected.dtype, (got.dtype, expected.dtype)
    assert got.shape == expected.shape, (got.shape, expected.shape)
    different = (got != expected) | (np.signbit(got) != np.signbit(expected))
    different &= ~(np.isnan(got) & np.isnan(expected))
    if different.any():
        at = tuple(int(i) for i in np.argwhere(different)[0])
        raise AssertionError(f"{int(different.sum())} differ, first at {at}: {got[at]!r} is not {expected[at]!r}")


# ---- multiply-add, rounded once --------------------------------------------------------------------------------------


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a + b as a rounded sum and what rounding lost (Knuth)."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a b as a rounded product and what rounding lost (Dekker, with Veltkamp's splitting of 53 bits)."""

    def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        t = x * 134217729.0  # 2**27 + 1
        high = t - (t - x)
        return high, x - high

    p = a * b
    (ah, al), (bh, bl) = split(a), split(b)
    return p, al * bl - (((p - ah * bh) - al * bh) - ah * bl)


def _sum_to_odd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b rounded to odd: where it is not exact, the neighbour whose last bit is 1."""
    s, lost = _two_sum(a, b)
    even = (s.view(np.int64) & 1) == 0
    return np.where((lost != 0) & even, np.nextafter(s, np.copysign(np.inf, lost)), s)


def fused_multiply_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a b + c, rounded once, of float32 or float64 arrays that neither overflow nor come near the subnormals.

    Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd"
    (2008): a number rounded to odd to at least two bits more than needed rounds to the right one.
    test_kernel_support.py holds this to exact fractions.
    """
    if a.dtype == np.float32:  # the product of two is exact in float64
        once = _sum_to_odd(a.astype(np.float64) * b.astype(np.float64), c.astype(np.float64)).astype(np.float32)
    else:
        product, product_low = _two_product(a, b)
        low, lower = _two_sum(c, product_low)
        high, middle = _two_sum(product, low)
        once = high + _sum_to_odd(lower, middle)
    return np.where(once == 0, a * b + c, once)  # a b is -c then, without rounding: this has the right sign


def multiply_add(core: ModuleType, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a b + c as this build rounds it."""
    return fused_multiply_add(a, b, c) if is_fused(core) else a * b + c


def chain(core: ModuleType, a: np.ndarray, b: np.ndarray, start: np.ndarray) -> np.ndarray:
    """``start`` (M, N) + a (M, K) b (K, N), each element one ordered chain of multiply-adds: gemm.pxi's promise."""
    c = np.broadcast_to(start, (a.shape[0], b.shape[1])).copy()
    for k in range(a.shape[1]):
        c = multiply_add(core, a[:, k, np.newaxis], b[k], c)
    return c


# ---- data ------------------------------------------------------------------------------------------------------------


def normal(seed: int, *shape: int, dtype: np.dtype) -> np.ndarray:
    """Standard normal numbers; none so small that products come near the subnormals."""
    x = np.random.default_rng(seed).standard_normal(shape)
    return np.where(np.abs(x) < 1e-3, 0.5, x).astype(dtype)


def bit_patterns(dtype: np.dtype, count: int) -> np.ndarray:
    """Numbers whose bit patterns are evenly spaced: every exponent, both signs, subnormals, infinities and NaN."""
    unsigned = np.dtype(f"u{dtype.itemsize}")
    step = 2 ** (8 * dtype.itemsize) // count | 1
    patterns = np.arange(count, dtype=unsigned) * unsigned.type(step)
    x = patterns.view(dtype)
    x[np.isnan(x)] = np.nan  # a signalling one would warn wherever NumPy touches it
    return np.concatenate([x, specials(dtype)])


def specials(dtype: np.dtype) -> np.ndarray:
    """Zeros, ones, infinities, NaN, and the ends of the normal and subnormal numbers, in both signs."""
    info = np.finfo(dtype)
    one = dtype.type(1)
    below, above = np.nextafter(one, dtype.type(0)), np.nextafter(one, dtype.type(2))
    smallest = [info.smallest_subnormal, np.nextafter(info.tiny, dtype.type(0)), info.tiny]
    x = np.array([0, *smallest, info.eps, 0.5, below, 1, above, 2, info.max, np.inf, np.nan], dtype)
    return np.concatenate([x, -x])
