"""The command line, in this process and in one of its own."""

from __future__ import annotations

import hashlib
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastnn
from fastnn.cli import main


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    threads = fastnn.get_num_threads()
    yield
    fastnn.set_num_threads(threads)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fastnn", *arguments],
        env=os.environ | environment,
        encoding="utf-8",
        capture_output=True,
        check=False,
    )


# trace


def worked_example() -> dict[str, float]:
    """Work the example out by hand: a 2-2-1 sigmoid network, binary cross-entropy, one step at rate 0.1."""

    def sigmoid(z: float) -> float:
        return 1 / (1 + math.exp(-z))

    v = {"x1": 1.0, "x2": 0.0, "y": 1.0}
    v |= {"w11": 0.2, "w21": 0.4, "b1": 0.1, "w12": 0.3, "w22": 0.1, "b2": 0.2, "w13": 0.7, "w23": 0.5, "b3": 0.3}
    v["z1"] = v["w11"] * v["x1"] + v["w21"] * v["x2"] + v["b1"]
    v["z2"] = v["w12"] * v["x1"] + v["w22"] * v["x2"] + v["b2"]
    v["a1"], v["a2"] = sigmoid(v["z1"]), sigmoid(v["z2"])
    v["z3"] = v["w13"] * v["a1"] + v["w23"] * v["a2"] + v["b3"]
    v["ŷ"] = sigmoid(v["z3"])
    v["loss"] = -math.log(v["ŷ"])
    v["δ3"] = v["ŷ"] - v["y"]
    v["δ1"] = v["w13"] * v["δ3"] * v["a1"] * (1 - v["a1"])
    v["δ2"] = v["w23"] * v["δ3"] * v["a2"] * (1 - v["a2"])
    for unit, sources in {"1": ("x1", "x2"), "2": ("x1", "x2"), "3": ("a1", "a2")}.items():
        v[f"∂b{unit}"] = v[f"δ{unit}"]
        for i, source in enumerate(sources, 1):
            v[f"∂w{i}{unit}"] = v[f"δ{unit}"] * v[source]
    for name in ("w11", "w21", "b1", "w12", "w22", "b2", "w13", "w23", "b3"):
        v[f"{name}_new"] = v[name] - 0.1 * v[f"∂{name}"]
    return v


def printed(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^  (\S+) +(-?\d\S*)", text, re.MULTILINE)}


def test_trace_prints_the_worked_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace"]) == 0
    out = capsys.readouterr().out
    assert printed(out) == pytest.approx(worked_example(), rel=0, abs=1e-12)
    assert "z3 ≈ 1.086, a slip: 0.7 × 0.5744 + 0.5 × 0.6225 + 0.3 = 1.0133" in out


def test_trace_prints_the_documented_digits(capsys: pytest.CaptureFixture[str]) -> None:
    main(["trace"])
    out = capsys.readouterr().out
    for name, value in {
        "a1": "0.574442516812",
        "a2": "0.622459331202",
        "z3": "1.013339427369",
        "ŷ": "0.733673171793",
        "loss": "0.309691619567",
        "δ3": "-0.266326828207",
        "∂w13": "-0.152989453490",
        "∂w23": "-0.165777619367",
        "∂w11": "-0.045574064747",
        "∂w12": "-0.031293896644",
        "w13_new": "0.715298945349",
    }.items():
        assert re.search(rf"^  {name} +{value}\b", out, re.MULTILINE), name


def test_trace_on_a_terminal_that_is_not_unicode() -> None:
    result = run("trace", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"\\u03b43 +-0\.266326828207", result.stdout)


# demo


def test_demo_keeps_its_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "1437 handwritten digits to train on, 360 to test on" in out
    accuracy = re.search(r"^test accuracy +(\S+)$", out, re.MULTILINE)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.97
    assert re.search(r"^training speed +[\d,]+ samples per second", out, re.MULTILINE)
    assert re.search(r"^threads +\d+$", out, re.MULTILINE)
    assert (tmp_path / "fastnn-demo.png").read_bytes().startswith(b"\x89PNG")
    assert f"learning curve   {tmp_path / 'fastnn-demo.png'}\n" in out
    assert f"model            {tmp_path / 'fastnn-demo.safetensors'}\n" in out
    model = fastnn.load_model(tmp_path / "fastnn-demo.safetensors")
    assert hashlib.sha256(model.parameters.tobytes()).hexdigest()[:16] in out


def demo_digest(capsys: pytest.CaptureFixture[str], threads: str, *arguments: str) -> str:
    assert main(["demo", "--epochs", "2", "--threads", threads, *arguments]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^threads +{threads}$", out, re.MULTILINE)
    digest = re.search(r"SHA-256 ([0-9a-f]{16}),", out)
    assert digest is not None
    return digest[1]


def test_demo_depends_on_the_seed_and_not_on_the_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = ("--output", str(tmp_path))
    one = demo_digest(capsys, "1", *output)
    assert demo_digest(capsys, "2", *output) == one
    assert demo_digest(capsys, "1", *output, "--seed", "1") != one


def test_demo_without_matplotlib_draws_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["demo", "--epochs", "2", "--output", str(tmp_path / "new" / "folder")]) == 0
    text = (tmp_path / "new" / "folder" / "fastnn-demo.txt").read_text(encoding="utf-8")
    out = capsys.readouterr().out
    assert "* loss   o val_loss" in text
    assert text in out
    assert f"learning curve   {tmp_path / 'new' / 'folder' / 'fastnn-demo.txt'}\n" in out


def test_ctrl_c(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fastnn", "demo", "--epochs", "100000000", "--output", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("Epoch"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "fastnn: interrupted\n")
    assert list(tmp_path.iterdir()) == []


# info, and what goes wrong


def test_info() -> None:
    result = run("info")
    assert (result.returncode, result.stderr) == (0, "")
    assert fastnn.__version__ in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: command"),
        (["fly"], "invalid choice: 'fly'"),
        (["demo", "--epochs", "0"], "argument --epochs: expected a whole number of at least 1, got '0'"),
        (["demo", "--epochs", "2.5"], "argument --epochs: expected a whole number of at least 1, got '2.5'"),
        (["demo", "--seed", "-1"], "argument --seed: expected a whole number of at least 0, got '-1'"),
        (["demo", "--threads", "0"], "argument --threads: expected a whole number of at least 1, got '0'"),
        (["demo", "--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_bad_arguments(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.startswith("fastnn: ")
    assert err.count("\n") == 1


def test_output_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert main(["demo", "--output", str(file)]) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"fastnn: argument --output: cannot make directory {str(file)!r}: File exists\n")


def test_exit_status_of_the_process() -> None:
    result = run("demo", "--epochs", "none")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1


def test_a_reader_that_has_gone() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "fastnn", "trace"], stdout=writer, stderr=subprocess.PIPE, check=False
        )
    finally:
        os.close(writer)
    assert (result.returncode, result.stderr) == (1, b"")
