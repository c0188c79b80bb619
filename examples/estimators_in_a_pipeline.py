"""scikit-learn's tools around fastnn's estimators: scaling, a grid search in two processes, a learning curve.

``python examples/estimators_in_a_pipeline.py`` prints the best parameters, the test accuracy (0.95 or more) and the
curve of the best network.  It needs ``pip install "fastnn[sklearn]"``.
"""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastnn import losses, optimizers
from fastnn.estimators import MLPClassifier


def main() -> None:
    """Search, fit, and print."""
    X, y = load_digits(return_X_y=True)
    x, test_x, t, test_t = train_test_split(X, y, random_state=0, stratify=y)

    network = MLPClassifier((128,), dropout=0.2, early_stopping=True, max_iter=500, random_state=0)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network),
        {
            "mlpclassifier__solver": ["adam", optimizers.AdamW(0.003, weight_decay=0.01), optimizers.Lion(0.001)],
            "mlpclassifier__loss": ["log_loss", losses.CategoricalCrossentropy(label_smoothing=0.1)],
            "mlpclassifier__batch_norm": [False, True],
        },
        n_jobs=2,
    )
    search.fit(x, t)
    for name, value in search.best_params_.items():
        print(f"{name}: {value}")
    print(f"test accuracy: {search.score(test_x, test_t):.3f}")

    best = search.best_estimator_[-1]
    for epoch in range(0, best.n_iter_, 5):
        loss, held_out = best.loss_curve_[epoch], best.validation_loss_curve_[epoch]
        print(f"epoch {epoch + 1:3}: loss {loss:.4f}, validation {held_out:.4f}")


if __name__ == "__main__":
    main()
