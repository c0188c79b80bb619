"""What the reference's tests share: exact arithmetic, errors in units in the last place, central differences."""

import decimal
import math
from decimal import Decimal

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def exact_arithmetic():
    """Decimal arithmetic of 60 digits, three times a longdouble's, in which nothing overflows or underflows."""
    with decimal.localcontext(prec=60, Emax=10**12, Emin=-(10**12)) as context:
        yield context


def _exact(value) -> Decimal:
    mantissa, exponent = np.frexp(value)
    return Decimal(int(np.ldexp(mantissa, 120))) * Decimal(2) ** (int(exponent) - 120)


@pytest.fixture(scope="session")
def exact():
    """``exact(value)``: any finite NumPy float as a decimal."""
    return _exact


@pytest.fixture(scope="session")
def ulp_error():
    """``ulp_error(got, expected)``: the largest distance of an array from decimals, in units in the last place.

    The unit is the spacing of the array's dtype at the expected value: constant among the subnormals.
    """

    def ulp_error(got, expected) -> float:
        info = np.finfo(got.dtype)
        smallest = _exact(info.smallest_subnormal)
        distances = []
        for value, correct in zip(np.ravel(got), np.ravel(np.array(expected, dtype=object)), strict=True):
            # |correct| = m 2**e with m in [1, 2) has the spacing 2**(e - nmant).
            with decimal.localcontext(prec=25):
                e = math.floor(abs(correct).ln() / Decimal(2).ln()) if correct else info.minexp
            spacing = max(Decimal(2) ** (e - int(info.nmant)), smallest)
            distances.append(float(abs(_exact(value) - correct) / spacing))
        return max(distances)

    return ulp_error


@pytest.fixture(scope="session")
def central_difference():
    """``central_difference(f, x)``: df/dx_i for a scalar f of an array x, in x's dtype."""

    def central_difference(f, x):
        step = np.finfo(x.dtype).eps ** x.dtype.type(1 / 3)
        gradient = np.empty_like(x)
        for i in np.ndindex(x.shape):
            above, below = x.copy(), x.copy()
            above[i] += step
            below[i] -= step
            gradient[i] = (f(above) - f(below)) / (above[i] - below[i])
        return gradient

    return central_difference
