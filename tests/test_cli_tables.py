"""``fastnn train`` and ``fastnn predict``, in this process and in others."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import fastnn
from fastnn.cli import main
from fastnn.models import saving

RNG = np.random.default_rng(0)
N = 400


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def people() -> pl.DataFrame:
    """A table with what tables have: numbers, words, missing values, a key, and targets that follow from the rest."""
    age = RNG.uniform(20, 60, N).round(1)
    city = RNG.choice(["Rome", "Oslo", "Lima"], N)
    height = RNG.normal(170, 10, N)
    income = 1000 + 50 * age + 800 * (city == "Oslo") + RNG.normal(0, 20, N)
    group = np.where(city == "Lima", "south", np.where(age > 40, "old", "young"))
    missing = RNG.uniform(size=N) < 0.1
    return pl.DataFrame(
        {
            "id": [f"p{i}" for i in range(N)],
            "age": age,
            "city": [None if m else c for m, c in zip(missing, city, strict=True)],
            "height": [None if m else h for m, h in zip(np.roll(missing, 7), height, strict=True)],
            "income": income,
            "rich": income > np.median(income),
            "group": group,
        }
    ).sort("income")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastnn", *arguments], encoding="utf-8", capture_output=True, check=False
    )


def table(path: Path | str) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def score(out: str, name: str) -> tuple[float, float]:
    """What a model reached, and the baseline."""
    found = re.search(rf"^{name} +(\S+) on validation; (\S+) by ", out, re.MULTILINE)
    assert found is not None, out
    return float(found[1]), float(found[2])


# ---- from end to end -------------------------------------------------------------------------------------------------


def test_classes_by_processes(here: Path) -> None:
    people().drop("income", "rich").write_csv("people.csv")
    done = run("train", "people.csv", "--target", "group", "--epochs", "60", "--output", "m.safetensors")
    assert (done.returncode, done.stderr) == (0, "")
    assert "people.csv: 400 rows, 5 columns\n" in done.stdout
    assert "target      group: the classes old, south, young, so classification\n" in done.stdout
    assert "features    2 of numbers, 1 of categories: 7 inputs\n" in done.stdout
    assert "left out    id: no value in it occurs twice\n" in done.stdout
    assert "rows        320 to train on, 80 to validate with\n" in done.stdout
    assert re.search(r"^Epoch +60/60 - .* - val_accuracy: ", done.stdout, re.MULTILINE)
    assert re.search(r"^model       m.safetensors, as after epoch \d+\n", done.stdout, re.MULTILINE)
    accuracy, baseline = score(done.stdout, "accuracy")
    assert accuracy > 0.85
    assert baseline < 0.6

    done = run("predict", "m.safetensors", "people.csv")
    assert (done.returncode, done.stderr) == (0, "")
    predicted = list(csv.DictReader(done.stdout.splitlines()))
    assert list(predicted[0]) == ["prediction", "probability_old", "probability_south", "probability_young"]
    truth = people_column("people.csv", "group")
    assert np.mean([row["prediction"] == label for row, label in zip(predicted, truth, strict=True)]) > 0.85
    for row in predicted:
        p = {name.removeprefix("probability_"): float(v) for name, v in row.items() if name != "prediction"}
        assert sum(p.values()) == pytest.approx(1)
        assert p[row["prediction"]] == max(p.values())

    done = run("predict", "m.safetensors", "people.csv", "--output", "p.csv")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"p.csv: 400 predictions of group\naccuracy 0\.\d+ on 400 rows\n", done.stdout)
    assert table("p.csv") == predicted
    assert sorted(p.name for p in here.iterdir()) == ["m.safetensors", "p.csv", "people.csv"]


def people_column(path: str, name: str) -> list[str]:
    return [row[name] for row in table(path)]


@pytest.mark.usefixtures("here")
def test_a_number_by_parquet(capsys: pytest.CaptureFixture[str]) -> None:
    people().drop("rich", "group").write_parquet("people.parquet")
    assert main(["train", "people.parquet", "--target", "income", "--epochs", "60", "--layers", "32"]) == 0
    out = capsys.readouterr().out
    assert "target      income: a number, so regression (--task classification takes it for classes)\n" in out
    rmse, by_mean = score(out, "RMSE")
    r2, r2_by_mean = score(out, "R²")
    assert rmse < by_mean / 2
    assert by_mean == pytest.approx(np.std(people()["income"].to_numpy()), rel=0.2)
    assert r2 == pytest.approx(1 - (rmse / by_mean) ** 2, abs=0.05)
    assert r2_by_mean == pytest.approx(0, abs=0.1)

    # Without the target, and with categories and gaps that training had not.
    new = pl.DataFrame({"city": ["Oslo", "Lima", None, "Bonn"], "height": [170.0] * 4, "age": [30, 30, None, 50]})
    new.write_csv("new.csv")
    assert main(["predict", "model.safetensors", "new.csv"]) == 0
    header, *values = capsys.readouterr().out.splitlines()
    assert header == "prediction"
    oslo, lima, *others = map(float, values)
    assert oslo - lima == pytest.approx(800, abs=400)
    assert np.isfinite(others).all()


@pytest.mark.usefixtures("here")
def test_two_classes(capsys: pytest.CaptureFixture[str]) -> None:
    people().drop("income", "group").write_csv("people.csv")
    assert main(["train", "people.csv", "--target", "rich", "--epochs", "40"]) == 0
    accuracy, baseline = score(capsys.readouterr().out, "accuracy")
    assert accuracy > 0.8 > baseline + 0.1
    assert main(["predict", "model.safetensors", "people.csv"]) == 0
    predicted = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert list(predicted[0]) == ["prediction", "probability_false", "probability_true"]
    assert {row["prediction"] for row in predicted} == {"false", "true"}
    assert fastnn.load_model("model.safetensors").layers[-1].units == 1


@pytest.mark.usefixtures("here")
def test_what_is_said_about_the_target(capsys: pytest.CaptureFixture[str]) -> None:
    people().with_columns(stars=(pl.col("age") / 10).round().cast(pl.Int64) * 10).select("age", "stars").write_csv(
        "s.csv"
    )
    assert main(["train", "s.csv", "--target", "stars", "--epochs", "1"]) == 0
    said = "classes 20, 30, 40, 50, 60, so classification (--task regression takes it for a number)\n"
    assert said in capsys.readouterr().out
    assert main(["train", "s.csv", "--target", "stars", "--epochs", "1", "--task", "regression"]) == 0
    assert "RMSE" in capsys.readouterr().out
    assert main(["predict", "model.safetensors", "s.csv", "--output", "p.csv"]) == 0
    assert "RMSE" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_rows_without_a_target(capsys: pytest.CaptureFixture[str]) -> None:
    frame = people().with_columns(group=pl.when(pl.int_range(N) % 4 > 0).then("group"))
    frame.select("age", "city", "group").write_csv("people.csv")
    assert main(["train", "people.csv", "--target", "group", "--epochs", "30"]) == 0
    out = capsys.readouterr().out
    assert "rows        240 to train on, 60 to validate with, 100 without a target left out\n" in out
    assert score(out, "accuracy")[0] > 0.8
    assert main(["predict", "model.safetensors", "people.csv", "--output", "p.csv"]) == 0
    assert re.search(r"400 predictions of group\naccuracy 0\.\d+ on 300 rows\n", capsys.readouterr().out)


def test_a_table_that_is_written_in_another_way(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(str(i % 2), "x" if i % 3 else "y", str(i % 3 == 0).lower()) for i in range(60)]
    (here / "a.csv").write_text("n,c,t\n" + "".join(f"{n},{c},{t}\n" for n, c, t in rows))
    # Other columns, another order, another separator, numbers and truth values in another form, a class that is new.
    other = "".join(f"{t.title()};;{c};{n}.0\n" for n, c, t in rows)
    (here / "b.csv").write_text("t;more;c;n\n" + other)
    assert main(["train", "a.csv", "--target", "t", "--epochs", "40", "--output", "m", "--learning-rate", "0.01"]) == 0
    assert main(["train", "a.csv", "--target", "n", "--epochs", "1", "--output", "n"]) == 0
    capsys.readouterr()
    for data in ("a.csv", "b.csv"):
        assert main(["predict", "m", data, "--output", f"{data}.t"]) == 0
        assert capsys.readouterr().out.endswith("accuracy 1 on 60 rows\n")
        assert main(["predict", "n", data, "--output", f"{data}.n"]) == 0
        assert re.search(r"accuracy 0\.\d+ on 60 rows\n", capsys.readouterr().out)
    assert table("a.csv.t") == table("b.csv.t")
    assert table("a.csv.n") == table("b.csv.n")
    (here / "c.csv").write_text("n,c,t\n0,y,perhaps\n0,y,true\n")
    assert main(["predict", "m", "c.csv", "--output", "p"]) == 0
    assert capsys.readouterr().out.endswith("accuracy 0.5 on 2 rows\n")


@pytest.mark.usefixtures("here")
def test_options_and_the_same_seed(capsys: pytest.CaptureFixture[str]) -> None:
    people().select("age", "height", "income").write_csv("p.csv")
    base = ["train", "p.csv", "--target", "income", "--epochs", "3", "--validation-split", "0"]
    base += ["--layers", "5,4", "--activation", "tanh", "--batch-size", "16", "--learning-rate", "0.01"]

    def trained(*more: str) -> fastnn.Sequential:
        assert main([*base, *more]) == 0
        return fastnn.load_model("model.safetensors")

    model = trained("--threads", "1")
    out = capsys.readouterr().out
    assert "rows        400 to train on, 0 to validate with\n" in out
    assert "model       model.safetensors, as after epoch 3\n" in out
    assert re.search(r"^RMSE +\S+ on training; ", out, re.MULTILINE)
    assert [layer.units for layer in model.layers] == [5, 4, 1]
    assert [layer.activation.name for layer in model.layers] == ["tanh", "tanh", "linear"]
    assert model.optimizer is not None
    assert (model.optimizer.steps, model.optimizer.learning_rate) == (3 * 25, 0.01)
    assert trained("--threads", "2").parameters.tobytes() == model.parameters.tobytes()
    assert trained("--seed", "1").parameters.tobytes() != model.parameters.tobytes()
    assert [layer.units for layer in trained("--layers", "").layers] == [1]


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "predict"):
        with pytest.raises(SystemExit, match="0"):
            main([command, "--help"])
        out = capsys.readouterr().out
        assert "--output OUTPUT" in out
        assert "None" not in out
        assert ("(default: 0.2)" in out) == (command == "train")


@pytest.mark.usefixtures("here")
def test_nothing_is_learnt_from_the_rows_to_validate_with() -> None:
    # Each row has a value of its own, so that the mean tells which were taken.
    values = 2.0 ** np.arange(40)
    pl.DataFrame({"x": values, "y": np.arange(40) % 2}).write_csv("t.csv")
    assert main(["train", "t.csv", "--target", "y", "--epochs", "1", "--validation-split", "0.25"]) == 0
    mean = saving.read("model.safetensors")[1]["features"]["columns"][0]["mean"]
    taken = bin(round(mean * 30)).count("1")
    assert taken == 30


# ---- the best epoch is kept ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_the_best_epoch_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    # Noise: the longer the training, the worse the validation.
    pl.DataFrame({"x": RNG.normal(size=60), "z": RNG.normal(size=60), "y": RNG.normal(size=60)}).write_csv("noise.csv")
    assert main(["train", "noise.csv", "--target", "y", "--epochs", "300", "--learning-rate", "0.01"]) == 0
    found = re.search(r"as after epoch (\d+)\n", capsys.readouterr().out)
    assert found is not None
    epochs = int(found[1])
    assert epochs < 200
    arguments = ["train", "noise.csv", "--target", "y", "--learning-rate", "0.01", "--output", "short"]
    assert main([*arguments, "--epochs", found[1]]) == 0
    short, best = fastnn.load_model("short"), fastnn.load_model("model.safetensors")
    assert short.parameters.tobytes() == best.parameters.tobytes()
    assert best.epochs_trained == epochs


def test_ctrl_c_keeps_the_best_model(here: Path) -> None:
    people().select("age", "height", "income").write_csv("people.csv")
    arguments = ["train", "people.csv", "--target", "income", "--epochs", "100000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fastnn", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    assert process.stdout is not None
    lines = 0
    while lines < 5:
        lines += process.stdout.readline().startswith("Epoch")
        assert process.poll() is None
    assert "model.safetensors" in os.listdir(here)  # written while it trains
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "fastnn: interrupted\n")
    found = re.search(r"^model       model.safetensors, as after epoch (\d+)\n", out, re.MULTILINE)
    assert found is not None
    assert fastnn.load_model("model.safetensors").epochs_trained == int(found[1])
    assert sorted(os.listdir(here)) == ["model.safetensors", "people.csv"]
    assert main(["predict", "model.safetensors", "people.csv", "--output", "p.csv"]) == 0


@pytest.mark.usefixtures("here")
def test_a_loss_that_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    people().select("age", "height", "income").write_csv("people.csv")
    arguments = ["train", "people.csv", "--target", "income", "--epochs", "3", "--learning-rate", "1e30"]
    assert main(arguments) == 1
    assert capsys.readouterr().err == (
        "fastnn: the loss is no number after any epoch: a lower --learning-rate may help\n"
    )
    assert os.listdir() == ["people.csv"]


# ---- what goes wrong -------------------------------------------------------------------------------------------------


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("fastnn: ")
    assert err.count("\n") == 1
    return err.removeprefix("fastnn: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "rich"], r"argument --target: t\.csv has no column 'rich', it has 'x', 'y', 'c', 'empty'"),
        ([], r"the following arguments are required: --target \(see fastnn train --help\)"),
        (["--target", "empty"], "argument --target: column 'empty' is empty"),
        (["--target", "c", "--task", "regression"], "column 'c' has 'a' in row 1, expected numbers"),
        (["--target", "y", "--task", "ranking"], "argument --task: invalid choice: 'ranking'"),
        (["--target", "y", "--layers", "8,x"], "argument --layers: expected a whole number of at least 1, got 'x'"),
        (["--target", "y", "--layers", "0"], "argument --layers: expected a whole number of at least 1, got '0'"),
        (["--target", "y", "--activation", "bell"], "argument --activation: activation is 'bell', expected one of 'li"),
        (["--target", "y", "--epochs", "0"], "argument --epochs: expected a whole number of at least 1, got '0'"),
        (["--target", "y", "--batch-size", "a"], "argument --batch-size: expected a whole number of at least 1"),
        (["--target", "y", "--learning-rate", "0"], "argument --learning-rate: expected a number above 0, got '0'"),
        (["--target", "y", "--learning-rate", "nan"], "argument --learning-rate: expected a number above 0, got 'nan'"),
        (
            ["--target", "y", "--validation-split", "1"],
            "argument --validation-split: expected a number from 0 to below",
        ),
        (
            ["--target", "y", "--validation-split", "0.01"],
            r"--validation-split: 0\.01 leaves 12 of 12 rows to train on",
        ),
        (["--target", "y", "--output", "none/m"], "argument --output: there is no directory 'none'"),
        (["--target", "y", "--output", "."], "argument --output: '.' is a directory, expected a file"),
        (["--target", "y", "--seed", "-1"], "argument --seed: expected a whole number of at least 0, got '-1'"),
    ],
)
def test_train_with_bad_arguments(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    rows = "".join(f"{i},{i**2},{'ab'[i % 2]},\n" for i in range(12))
    (here / "t.csv").write_text("x,y,c,empty\n" + rows)
    assert re.search(message, error(capsys, "train", "t.csv", *arguments))
    assert os.listdir() == ["t.csv"]


def test_what_is_read_is_not_overwritten(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people().select("age", "city", "income").write_csv("people.csv")
    (here / "link.csv").symlink_to("people.csv")
    before = (here / "people.csv").read_bytes()
    train = ["train", "people.csv", "--target", "income", "--epochs", "1"]
    for output in ("people.csv", "./people.csv", "link.csv"):
        assert error(capsys, *train, "--output", output) == (
            f"argument --output: {str(Path(output))!r} is DATA itself, expected another file"
        )
    assert main(train) == 0
    model = (here / "model.safetensors").read_bytes()
    predict = ["predict", "model.safetensors", "people.csv", "--output"]
    assert "'model.safetensors' is MODEL itself" in error(capsys, *predict, "model.safetensors")
    assert "'people.csv' is DATA itself" in error(capsys, *predict, "people.csv")
    assert (here / "people.csv").read_bytes() == before
    assert (here / "model.safetensors").read_bytes() == model
    assert main([*train, "--output", "model.safetensors"]) == 0


def test_train_on_no_table(here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert error(capsys, "train", "none.csv", "--target", "y") == "[Errno 2] No such file or directory: 'none.csv'"
    (here / "t.csv").write_bytes(b"x,y\n")
    assert error(capsys, "train", "t.csv", "--target", "y") == "'t.csv' has no rows"
    (here / "t.csv").write_text("y\n" + "1\n2\n" * 9)
    assert "no column to predict from" in error(capsys, "train", "t.csv", "--target", "y")
    monkeypatch.setitem(sys.modules, "polars", None)
    assert error(capsys, "train", "t.csv", "--target", "y") == (
        'reading tables needs polars: pip install "fastnn[data]"'
    )


def test_predict_with_what_does_not_fit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people().select("age", "city", "income").write_csv("people.csv")
    assert main(["train", "people.csv", "--target", "income", "--epochs", "1"]) == 0
    (here / "t.csv").write_text("age,town\n1,Rome\n")
    assert error(capsys, "predict", "model.safetensors", "t.csv") == (
        "t.csv: the table has no column 'city', expected those of training"
    )
    (here / "t.csv").write_text("age,city\n1,Rome\nold,Rome\n")
    assert error(capsys, "predict", "model.safetensors", "t.csv") == (
        "t.csv: column 'age' has 'old' in row 2, expected numbers"
    )
    assert error(capsys, "predict", "none", "t.csv") == "[Errno 2] No such file or directory: 'none'"
    assert "'t.csv' is damaged or no safetensors file" in error(capsys, "predict", "t.csv", "people.csv")
    assert "expected a file" in error(capsys, "predict", "model.safetensors", "people.csv", "--output", ".")

    model = fastnn.Sequential([fastnn.layers.Input((2,)), fastnn.layers.Dense(1)])
    model.save("plain")
    assert "'plain' is no model that `fastnn train` made" in error(capsys, "predict", "plain", "people.csv")


HARMFUL: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no target": lambda notes: notes.pop("target"),
    "another target": lambda notes: notes["target"].update(classes=["a", "b", "c"]),
    "fewer columns": lambda notes: notes["features"]["columns"].pop(),
    "a kind that is none": lambda notes: notes["features"]["columns"][0].update(kind="system"),
    "more than a column has": lambda notes: notes["features"]["columns"][0].update(more=1),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("harm", HARMFUL.values(), ids=HARMFUL)
def test_predict_with_a_harmful_model(
    capsys: pytest.CaptureFixture[str], harm: Callable[[dict[str, Any]], Any]
) -> None:
    people().select("age", "city", "income").write_csv("people.csv")
    assert main(["train", "people.csv", "--target", "income", "--epochs", "1"]) == 0
    model, notes = saving.read("model.safetensors")
    harm(notes)
    saving.write(model, "model.safetensors", notes)
    assert "'model.safetensors' is no model that `fastnn train` made" in error(
        capsys, "predict", "model.safetensors", "people.csv"
    )
