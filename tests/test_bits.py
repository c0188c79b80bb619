"""One seed, one result: the same bytes with any number of threads, step by step as by epochs, and after a fork."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import Sequential, kernels, layers, losses, optimizers
from fastnn.optimizers import schedules

DTYPES = ["float32", "float64"]
THREADS = [1, 2, 3, 5]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((1400, 33))
TARGETS = {"labels": RNG.integers(0, 17, 1400), "binary": RNG.integers(0, 2, (1400, 1)), "real": RNG.random((1400, 7))}


class Swing(layers.Layer):
    """A layer of one's own: sin(factor x), and how many samples it has seen in training."""

    def build(self, n_in: int) -> int:
        self.add_weight("factor", (n_in,), "ones")
        self.add_weight("seen", (1,), "zeros", trainable=False)
        return n_in

    def forward(self, x: np.ndarray, training: bool) -> np.ndarray:
        self.x = x
        self.seen[0] += training * len(x)
        return np.sin(self.factor * x)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        slope = gradient * np.cos(self.factor * self.x)
        self.factor_gradient[...] = (slope * self.x).sum(axis=0)
        return slope * self.factor


# Inputs, layers (dense ones as units and activation), loss, optimizer, targets, accuracy. Widths round the vectors'
# lengths; one output and one input have paths of their own.
CASES: dict[str, tuple[int, list[tuple[int, str] | Callable[[], layers.Layer]], Any, Any, str, list[str]]] = {
    "classifier": (
        33,
        [(40, "relu"), (17, "softmax")],
        "sparse_categorical_crossentropy",
        lambda: optimizers.Adam(0.01),
        "labels",
        ["accuracy"],
    ),
    "one output": (
        7,
        [(16, "tanh"), (15, "sigmoid"), (1, "sigmoid")],
        "binary_crossentropy",
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        "binary",
        ["accuracy"],
    ),
    "clipped": (
        33,
        [(40, "tanh"), (17, "softmax")],
        "sparse_categorical_crossentropy",
        lambda: optimizers.RMSprop(
            schedules.CosineDecayRestarts(0.01, 7),
            momentum=0.5,
            centered=True,
            global_clipnorm=0.5,
            weight_decay=0.1,
            gradient_accumulation_steps=2,
        ),
        "labels",
        [],
    ),
    "regression": (3, [(33, "tanh"), (7, "linear")], "mse", lambda: optimizers.SGD(0.1, momentum=0.9), "real", []),
    "one input": (1, [(2, "relu"), (7, "linear")], "mse", lambda: optimizers.SGD(0.1), "real", []),
    "one layer": (
        33,
        [(17, "linear")],
        losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda: optimizers.SGD(0.1),
        "labels",
        ["accuracy"],
    ),
    "narrow": (
        2,
        [(2, "sigmoid"), (3, "tanh"), (1, "sigmoid")],
        "binary_crossentropy",
        lambda: optimizers.SGD(0.5),
        "binary",
        ["accuracy"],
    ),
    "shallow, sigmoid": (2, [(2, "sigmoid"), (1, "sigmoid")], "binary_crossentropy", lambda: optimizers.SGD(0.5), "binary", []),
    "shallow, tanh": (7, [(7, "tanh"), (1, "linear")], "mse", lambda: optimizers.SGD(0.1), "binary", ["accuracy"]),
    "shallow, relu": (3, [(8, "relu"), (1, "sigmoid")], "binary_crossentropy", lambda: optimizers.SGD(0.1), "binary", []),
    "whole vectors": (7, [(32, "relu"), (16, "tanh"), (7, "linear")], "mse", lambda: optimizers.SGD(0.1), "real", []),
    "one unit": (5, [(1, "tanh"), (7, "linear")], "mse", lambda: optimizers.SGD(0.1), "real", []),
    "several blocks": (33, [(100, "relu"), (7, "linear")], "mse", lambda: optimizers.SGD(0.1), "real", []),
    "batch normalization": (
        7,
        [
            lambda: layers.Normalization(mean=0.25, variance=2.0),
            (33, "linear"),
            lambda: layers.BatchNormalization(momentum=0.9),
            lambda: layers.Activation("relu"),
            lambda: layers.Dropout(0.3),
            (16, "tanh"),
            lambda: layers.BatchNormalization(center=False, gamma_regularizer="l2"),
            (7, "linear"),
        ],
        "mse",
        lambda: optimizers.Adam(0.01),
        "real",
        [],
    ),
    "layer normalization": (
        33,
        [
            lambda: layers.Dropout(0.1),
            (40, "linear"),
            lambda: layers.LayerNormalization(beta_regularizer="l1"),
            lambda: layers.Activation("tanh"),
            lambda: layers.Dropout(0.5, seed=8),
            (17, "softmax"),
        ],
        "sparse_categorical_crossentropy",
        lambda: optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1, gradient_accumulation_steps=2),
        "labels",
        ["accuracy"],
    ),
    "own layers": (
        5,
        [Swing, (16, "tanh"), layers.BatchNormalization, Swing, (1, "sigmoid")],
        "binary_crossentropy",
        lambda: optimizers.RMSprop(0.01, global_clipnorm=0.5),
        "binary",
        ["accuracy"],
    ),
}


def make(case: str, dtype: str, seed: int = 5) -> Sequential:
    n_in, stack, loss, optimizer, _, metrics = CASES[case]
    made = [layers.Dense(*each) if isinstance(each, tuple) else each() for each in stack]
    model = Sequential([layers.Input((n_in,)), *made], seed=seed, dtype=dtype)
    model.compile(optimizer=optimizer(), loss=loss, metrics=metrics)
    return model


def data(case: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    n_in, *_, kind, _ = CASES[case]
    return X[:n, :n_in], TARGETS[kind][:n]


def state(model: Sequential) -> bytes:
    """Everything that training changes: parameters, other weights, the optimizer's arrays and its count of steps."""
    assert model.optimizer is not None
    arrays = [model.parameters, *model.weights, *model.optimizer.variables]
    return b"".join([array.tobytes() for array in arrays]) + str(model.optimizer.iterations).encode()


def train(case: str, dtype: str, n: int, batch_size: int, **how: Any) -> tuple[bytes, dict[str, list[float]]]:
    model = make(case, dtype)
    history = model.fit(*data(case, n), batch_size=batch_size, epochs=2, verbose=0, **how)
    return state(model), history.history


# ---- seeds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_seed_gives_one_result_and_another_seed_another(dtype: str) -> None:
    first, again, other = (make("classifier", dtype, seed) for seed in (5, 5, 6))
    assert first.parameters.tobytes() == again.parameters.tobytes()
    assert first.parameters.tobytes() != other.parameters.tobytes()
    histories = [model.fit(*data("classifier", 90), epochs=2, verbose=0).history for model in (first, again, other)]
    assert histories[0] == histories[1]
    assert state(first) == state(again)
    assert state(first) != state(other)


def test_the_seed_draws_the_order_as_well() -> None:
    # The same parameters, trained in another order.
    first, other = make("regression", "float64", seed=5), make("regression", "float64", seed=6)
    other.parameters = first.parameters
    for model in (first, other):
        model.fit(*data("regression", 90), epochs=1, verbose=0)
    assert first.parameters.tobytes() != other.parameters.tobytes()


def test_without_a_seed_every_model_is_another_and_tells_its_seed() -> None:
    first, other = Sequential(), Sequential()
    assert first.seed != other.seed
    assert 0 <= first.seed < 2**64
    assert Sequential(seed=2**64 - 1).seed == 2**64 - 1


def test_every_epoch_has_an_order_of_its_own() -> None:
    first, other = make("regression", "float64"), make("regression", "float64")
    x, y = data("regression", 90)
    first.fit(x, y, epochs=2, verbose=0)
    order = kernels.core("float64").draw_permutation(90, 5, 0)
    for _ in range(2):  # what came of the second epoch in the order of the first
        other.fit(x[order], y[order], shuffle=False, verbose=0)
    assert first.parameters.tobytes() != other.parameters.tobytes()


# ---- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("n", "batch_size"), [(70, 32), (1, 1), (5, 3), (4, 4), (1400, 1400), (1300, 700)])
def test_any_number_of_threads_trains_the_same_bytes(n: int, batch_size: int, case: str, dtype: str) -> None:
    # 1400 and 700 rows are more than a chunk; 1, 3 and 4 are fewer than the threads.
    weights = np.linspace(0, 2, n)
    results = []
    for threads in THREADS:
        fastnn.set_num_threads(threads)
        results.append(train(case, dtype, n, batch_size, sample_weight=weights))
    assert [parameters == results[0][0] for parameters, _ in results] == [True] * len(THREADS)
    assert [history == results[0][1] for _, history in results] == [True] * len(THREADS)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ["classifier", "one output", "batch normalization", "own layers"])
def test_any_number_of_rows_for_any_number_of_threads(case: str, dtype: str) -> None:
    # Some members of the team have few rows or none, where one thread has many.
    model = make(case, dtype)
    for n in range(1, 40):
        x, y = data(case, n)
        results = []
        for threads in (1, 2, 3, 4, 5, 7):
            fastnn.set_num_threads(threads)
            value, gradient = model.value_and_gradient(x, y)
            results.append((value, gradient.tobytes()))
        assert all(result == results[0] for result in results[1:]), n


def test_the_most_threads() -> None:
    results = []
    for threads in (1, kernels.MAX_THREADS):
        fastnn.set_num_threads(threads)
        results.append(train("classifier", "float32", 600, 600))
    assert results[0] == results[1]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_any_number_of_threads_applies_the_same_bytes(case: str, dtype: str) -> None:
    results = []
    for threads in THREADS:
        fastnn.set_num_threads(threads)
        model = make(case, dtype)  # a backward pass moves averages
        rows: list[Any] = []
        for n in (1, 3, 50, 1400):
            x, y = data(case, n)
            value, gradient = model.value_and_gradient(x, y)
            rows += [model.predict(x).tobytes(), model.evaluate(x, y), value, gradient.tobytes()]
            rows += [model.forward(x).tobytes(), model.backward(y), model.gradients.tobytes()]
            first = next(i for i, layer in enumerate(model.layers) if layer.trainable_weights)
            rows += [layer.output.tobytes() for layer in model.layers]
            rows += [layer.delta.tobytes() for layer in model.layers[first:]]
            rows += [array.tobytes() for array in model.weights]
        results.append(rows)
    for rows in results[1:]:
        assert rows == results[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_a_prediction_does_not_depend_on_the_samples_beside_it(case: str, dtype: str) -> None:
    model = make(case, dtype)
    x, _ = data(case, 530)
    together = model.predict(x)
    for rows in (slice(0, 1), slice(1, 3), slice(3, 10), slice(10, 530), slice(500, 517)):
        assert model.predict(x[rows]).tobytes() == together[rows].tobytes()


# ---- step by step ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("n", "batch_size"), [(70, 16), (20, 1), (21, 1), (9, 2), (29, 8), (20, 3), (20, 4), (1300, 700)])
def test_steps_by_hand_are_the_steps_of_fit(n: int, batch_size: int, case: str, dtype: str, threads: int) -> None:
    fastnn.set_num_threads(threads)
    x, y = data(case, n)
    weights = None if n == 20 else np.linspace(0.5, 2, n)
    expected, history = train(case, dtype, n, batch_size, sample_weight=weights)
    model = make(case, dtype)
    assert model.optimizer is not None
    for epoch in range(2):
        order = kernels.core(dtype).draw_permutation(n, model.seed, epoch)
        total = 0.0
        for start in range(0, n, batch_size):
            rows = order[start : start + batch_size]
            model.forward(x[rows])
            total += model.backward(y[rows], None if weights is None else weights[rows]) * len(rows)
            model.optimizer.apply(model.gradients, model.parameters)
        assert total / n == pytest.approx(history["loss"][epoch], rel=1e-13)
    assert state(model) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_train_on_batch_is_a_step_of_fit(case: str, dtype: str) -> None:
    x, y = data(case, 70)
    expected, history = train(case, dtype, 70, 16, shuffle=False)
    model = make(case, dtype)
    for epoch in range(2):
        returned = [model.train_on_batch(x[i : i + 16], y[i : i + 16]) for i in range(0, 70, 16)]
        logs = np.average(np.reshape(returned, (5, -1)), axis=0, weights=[16, 16, 16, 16, 6])
        np.testing.assert_allclose(logs, [values[epoch] for values in history.values()], rtol=1e-13)
    assert state(model) == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [30, 1300])
def test_value_and_gradient_is_that_of_forward_and_backward(n: int, dtype: str) -> None:
    model = make("classifier", dtype)
    x, y = data("classifier", n)
    value, gradient = model.value_and_gradient(x, y)
    model.forward(x)
    assert model.backward(y) == value
    assert model.gradients.tobytes() == gradient.tobytes()
    assert model.backward(y) == value  # as often as one likes
    assert model.gradients.tobytes() == gradient.tobytes()


def test_validation_and_predictions_in_between_change_no_bit() -> None:
    class Peek(fastnn.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.predict(X[:700])

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            x, y = data("classifier", 1400)
            self.model.evaluate(x, y)
            self.model.value_and_gradient(x, y)
            self.model.forward(x)
            self.model.backward(y)

    alone = train("classifier", "float32", 70, 16)
    watched, history = train(
        "classifier", "float32", 70, 16, validation_data=data("classifier", 1400), callbacks=[Peek()]
    )
    assert watched == alone[0]
    assert {name: history[name] for name in alone[1]} == alone[1]


# ---- instruction sets ------------------------------------------------------------------------------------------------

# Trains every case in both dtypes and prints a digest of all that came out.
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import fastnn, test_bits
print(fastnn.kernels.isa, test_bits.digest())
"""


def digest() -> str:
    """A hash of parameters, histories, predictions and evaluations of all cases."""
    found = hashlib.sha256()
    for case in CASES:
        for dtype in DTYPES:
            for n, batch_size in ((70, 16), (700, 600), (40, 1), (41, 7)):
                parameters, history = train(case, dtype, n, batch_size)
                found.update(parameters)
                found.update(json.dumps(history).encode())
            model = make(case, dtype)
            x, y = data(case, 530)
            found.update(model.predict(x).tobytes())
            found.update(json.dumps(model.evaluate(x, y)).encode())
    return found.hexdigest()


def run(code: str, *arguments: str, isa: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "FASTNN_ISA"}
    if isa is not None:
        environment["FASTNN_ISA"] = isa
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


@cache
def digest_with(isa: str) -> str:
    result = run(SCRIPT, os.path.dirname(__file__), isa=isa)
    assert result.returncode == 0, result.stderr
    used, found = result.stdout.split()
    assert used == isa
    return found


def families() -> list[Sequence[str]]:
    """Instruction sets that promise the same bits: those with a fused multiply-add, and those without."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    fused = [isa for isa in kernels.available() if isa in ("v3", "v4") or not x86]
    return [family for family in (fused, [isa for isa in kernels.available() if isa not in fused]) if family]


def test_instruction_sets_agree_to_the_bit() -> None:
    for family in families():
        digests = {isa: digest_with(isa) for isa in family}
        assert len(set(digests.values())) == 1, digests
    # A second hash of the same would prove nothing: without fused multiply-adds the last bits are others.
    assert len({digest_with(family[0]) for family in families()}) == len(families())


def test_the_best_instruction_set_is_the_default() -> None:
    result = run("import fastnn; print(fastnn.kernels.isa)")
    assert result.stdout.split() == [kernels.available()[0]], result.stderr
    assert run("import fastnn; print(fastnn.kernels.isa)", isa="").stdout == result.stdout


@pytest.mark.parametrize("isa", ["nonsense", "v1", "V3", "v3 "])
def test_an_unknown_instruction_set_is_an_import_error(isa: str) -> None:
    result = run("import fastnn", isa=isa)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: FASTNN_ISA is {isa!r}, expected one of {', '.join(kernels.available())}")


# ---- processes and threads -------------------------------------------------------------------------------------------


def in_a_forked_child(function: Callable[[], Any]) -> Any:
    """What the function returns in a child that is forked now."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(function()))
    child.start()
    try:
        assert receiver.poll(60), "the forked child hangs"
        return receiver.recv()
    finally:
        child.kill()
        child.join()


def fork_after_training_with_threads() -> None:
    """Parent and forked child train with threads; the child goes on with a model of the parent's as well."""
    fastnn.set_num_threads(2)
    expected = train("classifier", "float32", 1400, 700)
    assert in_a_forked_child(lambda: train("classifier", "float32", 1400, 700)) == expected
    assert train("classifier", "float32", 1400, 700) == expected
    model = make("classifier", "float32")
    x, y = data("classifier", 1400)
    model.fit(x, y, batch_size=700, verbose=0)

    def go_on() -> bytes:
        model.fit(x, y, batch_size=700, verbose=0)
        return state(model)

    assert in_a_forked_child(go_on) == expected[0]
    assert go_on() == expected[0]
    print("both trained")


def test_a_forked_child_trains_with_threads() -> None:
    # A pool of threads that outlived its call would be gone in the child, and the child would wait for it for ever.
    # In a process of its own: forking this one would meet whatever threads other tests have left behind.
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_bits; test_bits.fork_after_training_with_threads()"
    result = run(code, os.path.dirname(__file__))
    assert result.stdout == "both trained\n", result.stderr


def test_models_train_side_by_side_in_python_threads() -> None:
    jobs = [(case, dtype, n, batch) for case in CASES for dtype in DTYPES for n, batch in ((70, 16), (1400, 700))]
    alone = [train(*job) for job in jobs]
    for threads in (1, 2):
        fastnn.set_num_threads(threads)
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda job: train(*job), jobs))
        assert [a == b for a, b in zip(together, alone, strict=True)] == [True] * len(jobs)


def test_one_model_serves_several_python_threads() -> None:
    # Its buffers serve one call at a time: the others wait, and nobody gets another's answer.
    model = make("classifier", "float32")
    parts = [X[i : i + 300] for i in range(0, 900, 50)]
    expected = [model.predict(part).tobytes() for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            assert [array.tobytes() for array in pool.map(model.predict, parts)] == expected


def test_a_model_predicts_while_it_trains_in_another_thread() -> None:
    model = make("classifier", "float32")
    x, y = data("classifier", 1400)
    with ThreadPoolExecutor(1) as pool:
        training = pool.submit(model.fit, x, y, epochs=60, verbose=0)
        outputs = [model.predict(x[:5]) for _ in range(60)]
        training.result()
    twin = make("classifier", "float32")
    twin.fit(x, y, epochs=60, verbose=0)
    assert state(model) == state(twin)
    for output in outputs:
        np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-5)
