"""What the estimators have beyond scikit-learn's, what they take, and where they can be used."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import joblib
import numpy as np
import onnxruntime
import pandas
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

import fastnn
from fastnn import activations, callbacks, losses, optimizers
from fastnn.estimators import MLPClassifier, MLPRegressor, blocks
from fastnn.estimators.objectives import NAMES

from .support import X_IRIS, Y_IRIS, binary, multilabel, regression

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ---- losses, activations, optimizers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["binary", "iris", "multilabel"])
@pytest.mark.parametrize("loss", sorted({"log_loss"} | NAMES - {"gamma", "mean_absolute_percentage_error"}))
def test_every_loss_classifies(loss: str, data: str) -> None:
    X, y = {"binary": binary(), "multilabel": multilabel()}.get(data, (X_IRIS, Y_IRIS))
    fitted = MLPClassifier(20, loss=loss, learning_rate_init=0.02, max_iter=60, random_state=0, batch_size=20)
    if data == "multilabel" and loss.startswith(("categorical", "sparse", "cosine", "kl_")):
        with pytest.raises(ValueError, match=f"loss is {loss}, which is for one class of many"):
            fitted.fit(X, y)
        return
    fitted.fit(X, y)
    assert fitted.loss_ < fitted.loss_curve_[0]
    assert fitted.score(X, y) > (0.4 if data == "multilabel" else 0.9)  # of labels, all have to be right
    if "hinge" in loss:
        assert not hasattr(fitted, "predict_proba")
        margins = fitted.decision_function(X)
        classes = margins > 0 if data != "iris" else margins.argmax(axis=1)
        np.testing.assert_array_equal(classes, fitted.predict(X))
    else:
        assert not hasattr(fitted, "decision_function")
        chances = fitted.predict_proba(X)
        assert chances.shape == (len(X), len(fitted.classes_))
        if data != "multilabel":
            np.testing.assert_allclose(chances.sum(axis=1), 1)
            np.testing.assert_array_equal(fitted.classes_[chances.argmax(axis=1)], fitted.predict(X))


def test_a_missing_method_says_what_to_call() -> None:
    with pytest.raises(AttributeError) as caught:
        MLPClassifier(loss="hinge").predict_proba(X_IRIS)
    assert "see decision_function" in str(caught.value.__cause__)
    with pytest.raises(AttributeError) as caught:
        MLPClassifier().decision_function(X_IRIS)
    assert "see predict_proba" in str(caught.value.__cause__)


@pytest.mark.parametrize("loss", sorted({"squared_error"} | NAMES))
def test_every_loss_of_numbers_regresses(loss: str) -> None:
    X, y = regression()
    if loss in ("poisson", "gamma", "mean_squared_logarithmic_error", "mean_absolute_percentage_error"):
        y = np.exp(y)
    elif "cross" in loss:
        y = (y - y.min()) / (y.max() - y.min())
    fitted = MLPRegressor(loss, 20, learning_rate_init=0.01, max_iter=100, random_state=0, batch_size=20)
    if loss.startswith("sparse") or loss == "categorical_hinge":
        with pytest.raises(ValueError, match=f"loss is {loss}, which is for classes"):
            fitted.fit(X, y)
        return
    if loss.startswith(("categorical", "kl_", "cosine")):
        return  # of one output they are constant: the test below has more
    fitted.fit(X, y)
    assert fitted.loss_ < fitted.loss_curve_[0]
    if "hinge" not in loss:
        assert fitted.score(X, y) > 0.5


@pytest.mark.parametrize(
    "loss", ["categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence", "cosine_similarity"]
)
def test_losses_of_distributions_regress(loss: str) -> None:
    X = regression()[0]
    y = np.exp(X[:, :3])
    y /= y.sum(axis=1, keepdims=True)
    fitted = MLPRegressor(loss, 20, learning_rate_init=0.01, max_iter=200, random_state=0, batch_size=20).fit(X, y)
    if loss == "cosine_similarity":
        assert fitted.loss_ < -0.95
    else:
        np.testing.assert_allclose(fitted.predict(X).sum(axis=1), 1)
        assert fitted.score(X, y) > 0.8


def test_a_loss_of_ones_own() -> None:
    class Cubic(losses.Loss):
        def value_and_gradient(self, y_true: Any, y_pred: Any, sample_weight: Any = None, out: Any = None) -> Any:
            e = y_pred - y_true
            return self.reduce((abs(e) ** 3).mean(axis=-1), 3 * e * abs(e) / e.shape[-1], sample_weight)

    X, y = regression()
    assert MLPRegressor(Cubic(), learning_rate_init=0.01, random_state=0, batch_size=20).fit(X, y).score(X, y) > 0.9
    options = losses.Quantile(0.9)
    high = MLPRegressor(options, learning_rate_init=0.01, random_state=0, batch_size=20, max_iter=100, alpha=10).fit(
        X, y
    )
    assert 0.8 < (high.predict(X) >= y).mean() < 1


@pytest.mark.parametrize("name", activations.__all__)
def test_every_activation(name: str) -> None:
    one = getattr(activations, name)
    if not isinstance(one, activations.Activation):
        return
    by_name = MLPClassifier(activation=name, max_iter=3, random_state=0).fit(X_IRIS, Y_IRIS)
    by_object = MLPClassifier(activation=one, max_iter=3, random_state=0).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(by_name.predict_proba(X_IRIS), by_object.predict_proba(X_IRIS))
    assert by_name._model.layers[0].activation is one


def test_an_optimizer_as_solver() -> None:
    solver = optimizers.AdamW(optimizers.schedules.ExponentialDecay(0.02, 10, 0.9), weight_decay=0.01)
    fitted = MLPClassifier(solver=solver, max_iter=20, random_state=0, alpha=0).fit(X_IRIS, Y_IRIS)
    assert solver.iterations == 0
    assert fitted._optimizer.iterations == 20
    model = fastnn.Sequential(
        [fastnn.layers.Input((4,)), fastnn.layers.Dense(100, "relu"), fastnn.layers.Dense(3, "softmax")],
        seed=fitted._seed,
        dtype="float64",
    )
    first = MLPClassifier(max_iter=1, random_state=0, solver=optimizers.SGD(0.0)).fit(X_IRIS, Y_IRIS)
    model.set_weights([w for pair in zip(first.coefs_, first.intercepts_, strict=True) for w in pair])
    model.compile(clone(fitted).solver, "sparse_categorical_crossentropy")
    model.fit(X_IRIS, Y_IRIS, batch_size=150, epochs=20, verbose=0)
    np.testing.assert_array_equal(model.predict(X_IRIS), fitted.predict_proba(X_IRIS))


def test_a_rate_is_a_function_of_the_step() -> None:
    for solver in ("sgd", "adam"):
        fixed = MLPClassifier(solver=solver, learning_rate_init=0.01, max_iter=5, random_state=0).fit(X_IRIS, Y_IRIS)
        function = MLPClassifier(solver=solver, learning_rate=lambda step: 0.01, max_iter=5, random_state=0)
        np.testing.assert_array_equal(fixed.coefs_[0], function.fit(X_IRIS, Y_IRIS).coefs_[0])


@pytest.mark.parametrize("sizes", [(), (8,), (8, 6)])
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_dropout_and_batch_norm_make_the_stack(sizes: tuple[int, ...], batch_norm: bool, dropout: float) -> None:
    fitted = MLPClassifier(
        sizes, dropout=dropout, batch_norm=batch_norm, max_iter=2, random_state=0, batch_size=50, alpha=0
    )
    fitted.fit(X_IRIS, Y_IRIS)
    stack: list[fastnn.layers.Layer] = []
    for units in sizes:
        stack.append(fastnn.layers.Dense(units, None if batch_norm else "relu"))
        stack += [fastnn.layers.BatchNormalization(), fastnn.layers.Activation("relu")] if batch_norm else []
        stack += [fastnn.layers.Dropout(dropout)] if dropout else []
    stack = [fastnn.layers.Input((4,)), *stack, fastnn.layers.Dense(3, "softmax")]
    model = fastnn.Sequential(stack, seed=fitted._seed, dtype="float64")
    first = MLPClassifier(sizes, max_iter=1, random_state=0, solver=optimizers.SGD(0.0)).fit(X_IRIS, Y_IRIS)
    dense = [layer for layer in model.layers if isinstance(layer, fastnn.layers.Dense)]
    for layer, coef, intercept in zip(dense, first.coefs_, first.intercepts_, strict=True):
        layer.kernel[...], layer.bias[...] = coef, intercept
    model.compile(optimizers.Adam(0.001, epsilon=1e-8), "sparse_categorical_crossentropy")
    history = model.fit(X_IRIS, Y_IRIS, batch_size=50, epochs=2, verbose=0).history["loss"]
    assert history == fitted.loss_curve_
    np.testing.assert_array_equal(model.predict(X_IRIS), fitted.predict_proba(X_IRIS))


def test_dropout_of_each_layer() -> None:
    fitted = MLPRegressor(hidden_layer_sizes=(5, 4, 3), dropout=(0.1, 0.0, 0.5), max_iter=2).fit(*regression())
    assert [layer.rate for layer in fitted._model.layers if isinstance(layer, fastnn.layers.Dropout)] == [0.1, 0.5]
    with pytest.raises(ValueError, match="dropout and batch_norm are for mini-batches, expected neither with"):
        fitted.set_params(solver="lbfgs").fit(*regression())


def test_batch_norm_outlives_copies_and_early_stopping() -> None:
    fitted = MLPClassifier(8, batch_norm=True, early_stopping=True, random_state=0, batch_size=30, max_iter=30)
    fitted.fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(fitted)).predict_proba(X_IRIS), fitted.predict_proba(X_IRIS)
    )
    rows = train_test_split(np.arange(150), random_state=fitted._split_seed, test_size=0.1, stratify=Y_IRIS)[1]
    assert accuracy_score(Y_IRIS[rows], fitted.predict(X_IRIS[rows])) == fitted.best_validation_score_
    with pytest.raises(ValueError, match="batch_norm is False, expected True as in the previous fit"):
        fitted.set_params(batch_norm=False, warm_start=True).fit(X_IRIS, Y_IRIS)


# ---- random_state ----------------------------------------------------------------------------------------------------


def test_random_state() -> None:
    def weights(random_state: Any) -> np.ndarray:
        return MLPClassifier(max_iter=2, batch_size=20, random_state=random_state).fit(X_IRIS, Y_IRIS).coefs_[1]

    np.testing.assert_array_equal(weights(3), weights(3))
    np.testing.assert_array_equal(weights(3), weights(np.random.RandomState(3)))
    np.testing.assert_array_equal(weights(np.random.default_rng(3)), weights(np.random.default_rng(3)))
    for one in (np.random.RandomState(3), np.random.default_rng(3), None):
        assert (weights(one) != weights(one)).any()  # each fit goes on drawing
    np.random.seed(0)  # noqa: NPY002 - scikit-learn's None is NumPy's own generator
    once = weights(None)
    np.random.seed(0)  # noqa: NPY002
    np.testing.assert_array_equal(once, weights(None))


def test_no_thread_count_changes_a_result() -> None:
    found = []
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        found.append(
            MLPClassifier(max_iter=3, random_state=0, early_stopping=True).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS)
        )
    np.testing.assert_array_equal(*found)


# ---- data ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [scipy.sparse.csr_array, scipy.sparse.csc_matrix])
@pytest.mark.parametrize("elements", [1, 50 * 4, 10**9])  # blocks of a batch, of two, and the whole
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"shuffle": False, "dropout": 0.2},
        {"early_stopping": True, "batch_norm": True},
        {"solver": optimizers.Adam(use_ema=True)},
    ],
    ids=str,
)
def test_sparse_input_is_dense_input(
    parameters: dict[str, Any], elements: int, container: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ELEMENTS", elements)
    X = np.where(X_IRIS > 0, X_IRIS, 0)
    weights = np.linspace(0.5, 2, len(X))
    for make, y in ((MLPClassifier, Y_IRIS), (MLPRegressor, X_IRIS[:, :2])):
        dense, sparse = (
            make(max_iter=3, batch_size=25, random_state=0, **parameters).fit(x, y, weights) for x in (X, container(X))
        )
        np.testing.assert_array_equal(dense.predict(X), sparse.predict(container(X)))
        np.testing.assert_allclose(dense.loss_curve_, sparse.loss_curve_, rtol=1e-12)
        if "early_stopping" in parameters:
            assert dense.validation_scores_ == sparse.validation_scores_
            np.testing.assert_allclose(dense.validation_loss_curve_, sparse.validation_loss_curve_, rtol=1e-12)


def test_sparse_input_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ELEMENTS", 100)
    X, parameters = scipy.sparse.csr_array(X_IRIS), {"random_state": 0, "batch_size": 20}
    recorder = Recorder(stop_at=3)
    whole = MLPClassifier(callbacks=recorder, **parameters).fit(X, Y_IRIS)
    assert recorder.calls == ["begin", *((i, ["loss"]) for i in range(4)), "end"]
    parts = MLPClassifier(**parameters)
    for _ in range(4):
        parts.partial_fit(X, Y_IRIS, classes=[0, 1, 2])
    np.testing.assert_array_equal(whole.coefs_[0], parts.coefs_[0])
    lbfgs = {"solver": "lbfgs", "random_state": 0, "max_iter": 5, "alpha": 1.0}
    sparse, dense = MLPClassifier(**lbfgs).fit(X, Y_IRIS), MLPClassifier(**lbfgs).fit(X_IRIS, Y_IRIS)
    np.testing.assert_allclose(sparse.coefs_[0], dense.coefs_[0], rtol=1e-6)
    assert sparse.loss_ == pytest.approx(dense.loss_, rel=1e-9)


def test_strange_arrays() -> None:
    expected = MLPClassifier(max_iter=3, random_state=0).fit(X_IRIS, Y_IRIS)
    read_only = X_IRIS.copy()
    read_only.flags.writeable = False
    for X in (np.asfortranarray(X_IRIS), np.repeat(X_IRIS, 2, axis=0)[::2], read_only, X_IRIS.tolist()):
        fitted = MLPClassifier(max_iter=3, random_state=0).fit(X, Y_IRIS)
        np.testing.assert_array_equal(fitted.predict_proba(X), expected.predict_proba(X_IRIS))
    integers = MLPRegressor(max_iter=3).fit(np.arange(12).reshape(6, 2), np.arange(6))
    assert integers.coefs_[0].dtype == np.float64


def test_one_class_and_strings() -> None:
    assert set(MLPClassifier(max_iter=3).fit(X_IRIS, ["only"] * 150).predict(X_IRIS)) == {"only"}
    names = np.array(["setosa", "versicolor", "virginica"], dtype=object)[Y_IRIS]
    fitted = MLPClassifier(learning_rate_init=0.01, random_state=0).fit(X_IRIS, names)
    assert fitted.score(X_IRIS, names) > 0.95


# ---- callbacks -------------------------------------------------------------------------------------------------------


class Recorder(callbacks.Callback):
    def __init__(self, stop_at: int | None = None) -> None:
        super().__init__()
        self.calls: list[Any] = []
        self.stop_at = stop_at

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.calls.append("begin")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        assert logs is not None
        self.calls.append((epoch, sorted(logs)))
        if epoch == self.stop_at:
            self.model.stop_training = True

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self.calls.append("end")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks(solver: str) -> None:
    recorder = Recorder(stop_at=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = MLPClassifier(solver=solver, callbacks=recorder, random_state=0).fit(X_IRIS, Y_IRIS)
    assert recorder.calls == ["begin", *((i, ["loss"]) for i in range(4)), "end"]
    assert fitted.n_iter_ == 4
    again = clone(pickle.loads(pickle.dumps(fitted)))  # callbacks hold nothing that neither could take
    assert again.callbacks.stop_at == 3
    with pytest.raises(TypeError, match=r"callbacks must hold fastnn\.callbacks\.Callback objects"):
        MLPClassifier(callbacks=[1]).fit(X_IRIS, Y_IRIS)


def test_callbacks_see_the_validation_loss() -> None:
    recorder = Recorder(stop_at=0)
    MLPClassifier(early_stopping=True, callbacks=[recorder]).fit(X_IRIS, Y_IRIS)
    assert recorder.calls[1] == (0, ["loss", "val_loss"])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scikit_learns_own_callbacks(solver: str) -> None:
    pytest.importorskip("sklearn.callback", reason="needs the callbacks of scikit-learn 1.9")

    class Listener:
        def __init__(self) -> None:
            self.told: list[Any] = []

        def setup(self, estimator: Any, context: Any) -> None:
            self.told.append("setup")

        def teardown(self, estimator: Any, context: Any) -> None:
            self.told.append("teardown")

        def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
            self.told.append(("begin", context.task_id, context.max_subtasks))

        def on_fit_task_end(
            self, estimator: Any, context: Any, *, X: Any, y: Any, metadata: Any, fitted_estimator: Any
        ) -> bool:
            if fitted_estimator is not None:
                self.told.append((context.task_id, fitted_estimator.score(X, y), metadata["sample_weight"].sum()))
                return context.task_id == 2
            return False

    listener = Listener()
    fitted = MLPClassifier(solver=solver, random_state=0, max_iter=9).set_callbacks(listener)
    fitted.fit(X_IRIS, Y_IRIS, np.ones(150))
    assert fitted.n_iter_ == 3
    tasks = [pair for i in range(3) for pair in (("begin", i, 0), listener.told[3 + 2 * i])]
    assert listener.told == ["setup", ("begin", 0, 9), *tasks, "teardown"]
    assert [told[2] for told in tasks[1::2]] == [150, 150, 150]
    assert tasks[-1][1] == fitted.score(X_IRIS, Y_IRIS)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_ctrl_c_keeps_what_is_trained(early_stopping: bool) -> None:
    class Interrupt(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            if epoch == 4:
                signal.raise_signal(signal.SIGINT)

    fitted = MLPClassifier(callbacks=Interrupt(), random_state=0, early_stopping=early_stopping)
    with pytest.warns(UserWarning, match=r"Training interrupted by user\."):
        fitted.fit(X_IRIS, Y_IRIS)
    assert fitted.n_iter_ == 5
    assert fitted.predict(X_IRIS).shape == (150,)
    with pytest.raises(KeyboardInterrupt):
        MLPClassifier(callbacks=Interrupt(), solver="lbfgs").fit(X_IRIS, Y_IRIS)


# ---- copies, files, threads ------------------------------------------------------------------------------------------


def test_copies(tmp_path: Any) -> None:
    fitted = MLPClassifier(max_iter=5, random_state=0).fit(X_IRIS, Y_IRIS)
    expected = fitted.predict_proba(X_IRIS)
    joblib.dump(fitted, tmp_path / "mlp.joblib")
    for other in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "mlp.joblib")):
        np.testing.assert_array_equal(other.predict_proba(X_IRIS), expected)
        other.partial_fit(X_IRIS, Y_IRIS)
        assert (other.predict_proba(X_IRIS) != expected).any()
    np.testing.assert_array_equal(fitted.predict_proba(X_IRIS), expected)
    assert not hasattr(clone(fitted), "coefs_")


def test_assigned_weights_are_used() -> None:
    fitted = MLPClassifier(max_iter=5, random_state=0).fit(X_IRIS, Y_IRIS)
    before = fitted.predict_proba(X_IRIS)
    fitted.intercepts_[-1] = fitted.intercepts_[-1] + [5, 0, 0]
    assert (fitted.predict_proba(X_IRIS)[:, 0] > before[:, 0]).all()
    fitted.intercepts_[-1][0] -= 5
    np.testing.assert_allclose(fitted.predict_proba(X_IRIS), before)
    fitted.coefs_[0][...] = 0
    assert np.ptp(fitted.predict_proba(X_IRIS), axis=0).max() == 0


def test_fits_side_by_side() -> None:
    def train(seed: int) -> np.ndarray:
        return MLPClassifier(max_iter=20, random_state=seed).fit(X_IRIS, Y_IRIS).predict_proba(X_IRIS)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(train, range(8)))
    for seed, result in enumerate(together):
        np.testing.assert_array_equal(result, train(seed))


@pytest.mark.parametrize("kind", ["iris", "binary", "poisson", "normalized"])
def test_export(kind: str, tmp_path: Any) -> None:
    X, y = binary() if kind == "binary" else (X_IRIS, Y_IRIS)
    if kind == "poisson":
        fitted: Any = MLPRegressor("poisson", max_iter=3).fit(X.astype(np.float32), y)
        expected = fitted.predict(X)[:, np.newaxis]
    else:
        parameters = {"dropout": 0.2, "batch_norm": True} if kind == "normalized" else {}
        fitted = MLPClassifier(max_iter=3, **parameters).fit(X.astype(np.float32), y)
        expected = fitted.predict_proba(X)[:, 1:] if kind == "binary" else fitted.predict_proba(X)
    path = tmp_path / "network.onnx"
    fitted.to_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [outputs] = session.run(None, {session.get_inputs()[0].name: X.astype(np.float32)})
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(NotFittedError):
        MLPClassifier().to_onnx(path)


def test_data_frames() -> None:
    frame = pandas.DataFrame(X_IRIS, columns=["a", "b", "c", "d"])
    fitted = MLPClassifier(early_stopping=True, max_iter=3, random_state=0).fit(frame, pandas.Series(Y_IRIS))
    assert list(fitted.feature_names_in_) == ["a", "b", "c", "d"]
    plain = MLPClassifier(early_stopping=True, max_iter=3, random_state=0).fit(X_IRIS, Y_IRIS)
    np.testing.assert_array_equal(fitted.predict_proba(frame), plain.predict_proba(X_IRIS))
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        fitted.predict(frame[["d", "c", "b", "a"]])


def fresh(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_scikit_learn_is_imported_only_when_asked_for() -> None:
    assert fresh("import fastnn, sys; print('sklearn' in sys.modules, 'scipy' in sys.modules)").strip() == "False False"
    for fault in ("sys.modules['sklearn'] = None", "import sklearn.utils.validation as v; del v.validate_data"):
        missing = fresh(f"import sys; {fault}; import fastnn.estimators")
        assert "ImportError: fastnn.estimators needs scikit-learn 1.6 or later, and SciPy: pip install" in missing
