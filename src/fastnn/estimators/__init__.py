"""scikit-learn's multilayer perceptrons, trained by fastnn: `MLPClassifier` and `MLPRegressor`.

They need scikit-learn 1.6 or later: ``pip install "fastnn[sklearn]"``.
"""

try:
    from .classifier import MLPClassifier
    from .regressor import MLPRegressor
except ImportError as error:
    if error.name is None or error.name.partition(".")[0] not in ("sklearn", "scipy"):
        raise
    raise ImportError(
        'fastnn.estimators needs scikit-learn 1.6 or later, and SciPy: pip install "fastnn[sklearn]"', name=error.name
    ) from error

__all__ = ["MLPClassifier", "MLPRegressor"]
