"""fastnn's estimators against scikit-learn's: the same parameters, the same epochs, the same data, turn by turn."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from sklearn import datasets, neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from fastnn import estimators

from .results import document, duration, geometric_mean, save, say, spread

LIBRARIES = {"fastnn": estimators, "scikit-learn": neural_network}


class Case(NamedTuple):
    """Data, and how long to train on it."""

    about: str
    estimator: str
    make: Callable[[], tuple[np.ndarray, np.ndarray]]
    epochs: int


def housing() -> tuple[np.ndarray, np.ndarray]:
    """As many blocks and features as California's housing data, which would have to be downloaded."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20_640, 8))
    y = np.sin(X[:, 0]) * X[:, 1] + np.abs(X[:, 2]) + 0.5 * X[:, 3] * X[:, 4] + 0.3 * rng.normal(size=len(X))
    return X, y


def many() -> tuple[np.ndarray, np.ndarray]:
    X, y = datasets.make_classification(50_000, 100, n_informative=20, n_classes=4, random_state=0)
    return X, y


CASES = {
    "digits": Case("1,797 × 64, 10 classes", "MLPClassifier", lambda: datasets.load_digits(return_X_y=True), 50),
    "cancer": Case("569 × 30, 2 classes", "MLPClassifier", lambda: datasets.load_breast_cancer(return_X_y=True), 100),
    "housing": Case("20,640 × 8, a number", "MLPRegressor", housing, 20),
    "many": Case("50,000 × 100, 4 classes", "MLPClassifier", many, 10),
}


def run(case: list[str], dtype: list[str], seeds: int, json: str | None) -> None:
    """The command; its arguments are those of the command line."""
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is given
    rows = [compare(name, kind, seeds) for name in case for kind in dtype]
    together = [side_by_side(kind, seeds) for kind in dtype]
    print(table(rows))
    print()
    print(sentence(together))
    save(json, document("estimators", {"seeds": seeds}, results=rows, together=together))


def compare(name: str, dtype: str, seeds: int) -> dict[str, Any]:
    """Time and score of a fit for each seed, which draws split, weights and order."""
    case = CASES[name]
    X, y = case.make()
    spent: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    scores: dict[str, list[float]] = {library: [] for library in LIBRARIES}
    for seed in range(-1, seeds):  # the first one is not counted: memory, caches, clocks
        say(f"{name}, {dtype}, seed {seed + 1} of {seeds}")
        x, test_x, t, test_t = train_test_split(X, y, random_state=seed + 1)
        scaler = StandardScaler().fit(x)
        x, test_x = scaler.transform(x).astype(dtype), scaler.transform(test_x).astype(dtype)
        for library, module in LIBRARIES.items():
            fit, seconds = timed(module, case, x, t, seed + 1)
            if seed >= 0:
                spent[library].append(seconds)
                scores[library].append(fit.score(test_x, test_t))
    return {
        "case": name,
        "dtype": dtype,
        **{library: {**spread(spent[library]), "scores": scores[library]} for library in LIBRARIES},
    }


def timed(module: Any, case: Case, x: np.ndarray, t: np.ndarray, seed: int) -> tuple[Any, float]:
    estimator = getattr(module, case.estimator)(max_iter=case.epochs, n_iter_no_change=np.inf, random_state=seed)
    start = time.perf_counter()
    estimator.fit(x, t)
    return estimator, time.perf_counter() - start


def side_by_side(dtype: str, rounds: int) -> dict[str, Any]:
    """How many times faster two fits are in two threads than one after the other."""
    case = CASES["many"]
    X, y = case.make()
    x = StandardScaler().fit_transform(X).astype(dtype)
    ratios = []
    for i in range(-1, rounds):
        say(f"two fits at once, {dtype}, round {i + 1} of {rounds}")
        start = time.perf_counter()
        for seed in (0, 1):
            timed(estimators, case, x, y, seed)
        alone = time.perf_counter() - start
        start = time.perf_counter()
        Parallel(n_jobs=2, backend="threading")(delayed(timed)(estimators, case, x, y, seed) for seed in (0, 1))
        if i >= 0:
            ratios.append(alone / (time.perf_counter() - start))
    return {"dtype": dtype, **spread(ratios)}


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| data | dtype | epochs | fastnn | scikit-learn | ratio | score, fastnn | score, scikit-learn |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    ratios = []
    for row in rows:
        case = CASES[row["case"]]
        seconds = [row[library]["median"] for library in LIBRARIES]
        ratios.append(seconds[1] / seconds[0])
        score = [f"{np.mean(s):.4f} ± {np.std(s):.4f}" for s in (row[library]["scores"] for library in LIBRARIES)]
        cells = [f"{row['case']}: {case.about}", row["dtype"], str(case.epochs), *map(duration, seconds)]
        lines.append("| " + " | ".join([*cells, f"{ratios[-1]:.1f}×", *score]) + " |")
    lines += ["", f"Geometric mean of the ratios: {geometric_mean(ratios):.1f}×, the lowest {min(ratios):.1f}×."]
    return "\n".join(lines)


def sentence(rows: list[dict[str, Any]]) -> str:
    found = ", ".join(f"{row['median']:.2f}× ({row['dtype']})" for row in rows)
    return f"Two fits at once in joblib's threading backend, against one after the other: {found}."
