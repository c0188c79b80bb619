"""Pictures: what is drawn of a training and of a model, and where."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import Sequential
from fastnn.callbacks import History
from fastnn.layers import Dense, Input

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((50, 4)), RNG.integers(0, 3, 50)


def make() -> Sequential:
    model = Sequential([Input((4,)), Dense(8, "relu"), Dense(3, "softmax", use_bias=False, name="out")], seed=0)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_every_metric_has_a_panel() -> None:
    history = History()
    for epoch in range(3):
        history.on_epoch_end(
            epoch,
            {"auc": 0.5, "loss": 1.0, "f1": np.array([0.1, epoch]), "val_auc": 0.25, "val_f1": np.array([0, 1.0])},
        )
    panels = history.plot().axes
    assert [ax.get_ylabel() for ax in panels] == ["loss", "auc", "f1"]
    drawn = [[line.get_label() for line in ax.lines] for ax in panels]
    assert drawn == [["loss"], ["auc", "val_auc"], ["f1[0]", "f1[1]", "val_f1[0]", "val_f1[1]"]]
    assert panels[2].lines[1].get_xydata().tolist() == [[1, 0], [2, 1], [3, 2]]
    assert history.text_plot(40, 6).count("+-") == 3


def test_more_panels_make_more_rows() -> None:
    history = History()
    history.on_epoch_end(0, dict.fromkeys(("loss", "a", "b", "c", "d"), 1.0))
    figure = history.plot()
    assert len(figure.axes) == 5
    assert len({round(ax.get_position().y0, 3) for ax in figure.axes}) == 2


def test_weights_alone() -> None:
    figure = make().plot()
    assert [ax.get_title().split(",")[0] for ax in figure.axes] == ["dense: weights", "out: weights"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["kernel", "bias"]
    assert [text.get_text() for text in figure.axes[1].get_legend().get_texts()] == ["kernel"]
    assert "20% are 0" in figure.axes[0].get_title()  # the bias, 8 of 40


def test_outputs_and_gradients(tmp_path: Path) -> None:
    model = make()
    before = model.parameters.tobytes()
    assert len(model.plot(X).axes) == 4
    figure = model.plot(X, Y, tmp_path / "model.png")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[1].startswith("dense: outputs, ")
    assert titles[-1] == "gradients of the mean loss"
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == [
        "dense.kernel", "dense.bias", "out.kernel",
    ]  # fmt: skip
    _, gradient = model.value_and_gradient(X, Y)
    heights = [bar.get_height() for bar in figure.axes[-1].patches]
    assert heights == pytest.approx([np.linalg.norm(g) for g in np.split(gradient, [32, 40])], rel=1e-5)
    assert (tmp_path / "model.png").read_bytes().startswith(b"\x89PNG")
    assert model.parameters.tobytes() == before
    shares = [ax.patches for ax in figure.axes[1:2]]
    assert sum(bar.get_height() * bar.get_width() for bar in shares[0]) == pytest.approx(1.0)


def test_what_is_not_finite_is_counted() -> None:
    model = make()
    model.layers[1].kernel[0, :2] = [np.nan, np.inf]
    title = model.plot().axes[1].get_title()
    assert title.endswith("2 are not finite")
    model.layers[1].kernel[...] = np.nan
    assert "24 are not finite" in model.plot().axes[1].get_title()


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"y": Y}, "y is given without x, expected both or x alone"),
        ({"x": X[:, :2]}, r"x has shape \(50, 2\), expected"),
    ],
)
def test_what_cannot_be_drawn(how: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().plot(**how)


def test_a_model_that_is_not_built() -> None:
    with pytest.raises(ValueError, match="the model is not built"):
        Sequential([Dense(1)]).plot()


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=re.escape('pip install "fastnn[plot]"')):
        make().plot()
