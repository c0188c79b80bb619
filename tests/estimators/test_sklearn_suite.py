"""The installed scikit-learn's own tests of its multilayer perceptrons, with fastnn's in their place."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

# Its authors run these tests without turning warnings into errors: many train too briefly to converge.
pytestmark = pytest.mark.filterwarnings("default", "ignore::sklearn.exceptions.ConvergenceWarning")

IMPORT = "from sklearn.neural_network import MLPClassifier, MLPRegressor"
EXCLUDED = {
    "test_gradient": "calls the private _loss_grad_lbfgs; test_estimator_faults.py checks gradients without",
}


def _tests() -> dict[str, object]:
    spec = importlib.util.find_spec("sklearn.neural_network.tests.test_mlp")
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text(encoding="utf-8")
    assert source.count(IMPORT) == 1
    namespace: dict[str, object] = {"__name__": "sklearn_test_mlp"}
    exec(
        compile(
            source.replace(IMPORT, IMPORT.replace("sklearn.neural_network", "fastnn.estimators")), spec.origin, "exec"
        ),
        namespace,
    )
    return {name: value for name, value in namespace.items() if name.startswith("test_")}


TESTS = _tests()
globals().update({name: test for name, test in TESTS.items() if name not in EXCLUDED})


@pytest.fixture
def global_random_seed() -> int:
    """scikit-learn's conftest has it; 42 is what it is unless asked for another."""
    return 42


def test_what_is_excluded_is_there() -> None:
    assert set(EXCLUDED) < set(TESTS)
