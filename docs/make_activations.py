"""Make docs/activations.md and its pictures: ``python docs/make_activations.py``.

Formulas and advice stand here; curves are computed by fastnn.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastnn import activations

FOLDER = Path(__file__).parent
IMAGES = FOLDER / "images"


class Entry(NamedTuple):
    """A row of a table."""

    name: str
    formula: str
    derivative: str
    advice: str


GROUPS: dict[str, tuple[str, list[Entry]]] = {
    "Rectifiers": (
        "Zero or little for negative z, z or nearly z for positive: gradients pass deep networks unshrunk.",
        [
            Entry(
                "relu",
                "max(z, 0); with parameters min(z, max_value) (none) where z > threshold (0), "
                "else negative_slope (z - threshold) (0)",
                "1 where z > 0, else 0; with parameters 0 from max_value, negative_slope up to threshold",
                "The first choice for hidden layers: nothing is faster.",
            ),
            Entry(
                "leaky_relu",
                "z where z > 0, else negative_slope z (0.2)",
                "1 or negative_slope",
                "Where many relu units are 0 for every sample: these go on learning.",
            ),
            Entry("relu6", "min(max(z, 0), 6)", "1 where 0 < z < 6, else 0", "Outputs that fit few bits."),
            Entry(
                "elu",
                "z where z > 0, else alpha (e^z - 1) (1)",
                "1, or f(z) + alpha",
                "Outputs of mean nearer to 0 than relu's, at the cost of an exponential.",
            ),
            Entry(
                "selu",
                "1.0507 elu(z, alpha=1.6733)",
                "1.0507, or f(z) + 1.7581",
                "Deep networks without normalization: with lecun_normal kernels outputs keep mean 0 and variance 1.",
            ),
            Entry(
                "celu",
                "z where z > 0, else alpha (e^(z/alpha) - 1) (1)",
                "1, or f(z)/alpha + 1",
                "elu whose derivative is continuous for every alpha.",
            ),
            Entry("softplus", "log(1 + e^z)", "sigmoid(z)", "Outputs that must be positive: rates, variances."),
            Entry(
                "squareplus",
                "(z + √(z² + b))/2 (4)",
                "f²/(f² + b/4)",
                "The same without an exponential; its tail is long.",
            ),
            Entry(
                "sparse_plus",
                "0 up to -1, z from 1, (z + 1)²/4 between",
                "sparse_sigmoid(z)",
                "A relu without a kink, exactly 0 below.",
            ),
        ],
    ),
    "Gated": (
        "z times a gate that opens with z. With a dip below 0, and smooth but for hard_silu; most large models use "
        "them now. The derivative needs z, so a layer keeps one more array while it trains.",
        [
            Entry(
                "silu",
                "z sigmoid(z); also swish",
                "s + z s (1 - s), s = sigmoid(z)",
                "Often a little better than relu in deep networks.",
            ),
            Entry(
                "gelu",
                "z Φ(z), Φ that of the normal distribution; approximate=True: z sigmoid(√(8/π) (z + 0.044715 z³))",
                "Φ(z) + z φ(z)",
                "Transformers. The exact one is the default, as in Keras, and is about as fast here.",
            ),
            Entry("mish", "z tanh(softplus(z))", "t + z (1 - t²) sigmoid(z), t = f/z", "Much like silu."),
            Entry(
                "hard_silu",
                "z min(max(z + 3, 0), 6)/6; also hard_swish",
                "0 up to -3, 1 from 3, (2z + 3)/6 between",
                "silu at nearly relu's cost.",
            ),
        ],
    ),
    "Sigmoids": (
        "From one constant to another. Hidden layers of them learn slowly where they saturate: f′ is 0 there.",
        [
            Entry("sigmoid", "1/(1 + e^-z)", "f (1 - f)", "The output of a yes or no, with binary cross-entropy."),
            Entry("tanh", "(e^z - e^-z)/(e^z + e^-z)", "1 - f²", "Small smooth networks: control, physics."),
            Entry("softsign", "z/(1 + |z|)", "(1 - |f|)²", "tanh that saturates slowly, without an exponential."),
            Entry("hard_sigmoid", "min(max(z + 3, 0), 6)/6", "1/6 where |z| < 3, else 0", "Gates, cheaply."),
            Entry("hard_tanh", "min(max(z, -1), 1)", "1 where |z| < 1, else 0", "Bounded outputs, cheaply."),
            Entry(
                "sparse_sigmoid", "min(max((z + 1)/2, 0), 1)", "1/2 where |z| < 1, else 0", "Exactly 0 and 1 beyond."
            ),
        ],
    ),
    "Shrinkage": (
        "Small z become 0, or smaller: sparse codes, denoising.",
        [
            Entry(
                "soft_shrink",
                "z ∓ threshold where |z| > threshold (0.5), else 0",
                "1 or 0",
                "The step of an L1 penalty.",
            ),
            Entry("hard_shrink", "z where |z| > threshold (0.5), else 0", "1 or 0", "Keeps what it keeps."),
            Entry("tanh_shrink", "z - tanh(z)", "tanh(z)²", "Without a threshold."),
        ],
    ),
    "Others": (
        "",
        [
            Entry("linear", "z", "1", "The output of a regression."),
            Entry("exponential", "e^z", "f", "Positive outputs on a logarithmic scale: Poisson, Gamma."),
            Entry("log_sigmoid", "-log(1 + e^-z)", "1 - e^f", "Log-probabilities without a rounding to log 0."),
        ],
    ),
}
ROWWISE = [
    Entry(
        "softmax",
        "e^z_j / Σ e^z_k",
        "∂f_i/∂z_j = f_i ([i = j] - f_j)",
        "The output of one class of several, with categorical cross-entropy.",
    ),
    Entry(
        "log_softmax", "z_j - log Σ e^z_k", "∂f_i/∂z_j = [i = j] - e^f_j", "Log-probabilities that do not round to 0."
    ),
]


def draw(group: str, entries: list[Entry]) -> str:
    """The curves of a group, f and f', in one picture; its name."""
    columns = {6: 3, 9: 5}.get(len(entries), len(entries))
    rows = -(-len(entries) // columns)
    figure = Figure(figsize=(1.9 * columns, 1.75 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    z = np.linspace(-7, 7, 2801)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, entry in zip(panels, entries, strict=False):
        activation = activations.get(entry.name)
        value, slope = activation(z), activation.gradient(z)
        value[1:][np.abs(np.diff(value)) > 0.3] = np.nan  # a jump is no line
        slope[1:][np.abs(np.diff(slope)) > 0.1] = np.nan
        axes.axhline(0, color="0.8", linewidth=0.8)
        axes.axvline(0, color="0.8", linewidth=0.8)
        axes.plot(z, slope, color="C1", linewidth=1.1)
        axes.plot(z, value, color="C0", linewidth=1.6)
        inside = np.nanmax(np.abs(value)) <= 1.2
        axes.set(xlim=(-7, 7), ylim=(-1.3, 1.3) if inside else (-3, 7), xticks=[-5, 0, 5])
        axes.set_title(entry.name, fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in panels[len(entries) :]:
        axes.axis("off")
    name = f"activations_{group.lower()}.png"
    figure.savefig(IMAGES / name, dpi=90)
    return name


def table(entries: list[Entry]) -> list[str]:
    lines = ["| | f(z) | f′(z) | when |", "|---|---|---|---|"]
    escaped = [[part.replace("|", "\\|") for part in entry] for entry in entries]
    return lines + [f"| `{name}` | {formula} | {slope} | {advice} |" for name, formula, slope, advice in escaped]


INTRODUCTION = """\
# Activations

Names, parameters and defaults are Keras 3's. A layer takes one by name, or as an object where a parameter is not its
default's:

```python
from fastnn import activations, layers

layers.Dense(64, activation="gelu")
layers.Dense(64, activation=activations.gelu.with_parameters(approximate=True))
```

On arrays each is a function with a gradient; parameters come by name or in Keras's order, `out=` may be the input
itself, and large arrays are worked on by several threads:

```python
import numpy as np

x = np.linspace(-3, 3, 7)
activations.leaky_relu(x, negative_slope=0.1)
activations.leaky_relu.gradient(x)  # f'(x); or gradient(x, upstream): upstream f'(x)
```

Values of the elementwise ones are within 4 units in the last place of the exact ones over the whole domain, in float32
and float64: `softplus` of -100 is e^-100, `gelu` of -10 has all its digits, and nothing overflows on the way. ±inf
gives the limit, NaN stays NaN. Gradients are computed from f(z) wherever that determines them, as in training; where f
saturates they are then right to a rounding of f's range. At a kink the derivative is that of the constant side, where
there is one, else of the left side: relu's is 0 at 0. The bits are the same with AVX2 and with AVX-512, and at any
number of threads.

Readable formulas: [`src/fastnn/reference/activations`](../src/fastnn/reference/activations). In the pictures f is blue,
f′ orange, z from -7 to 7; parameters are at their defaults, which stand in brackets in the tables. This page is made by
[`make_activations.py`](make_activations.py).
"""


ALONG_ROWS = """\
Over the last axis, the only one in a network; of an array along any, or several, with `axis=`. Each output depends on
all inputs of its row."""


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    lines = [INTRODUCTION]
    for group, (text, entries) in GROUPS.items():
        lines += [f"## {group}", ""]
        lines += [text, ""] if text else []
        lines += [f"![{', '.join(e.name for e in entries)}](images/{draw(group, entries)})", "", *table(entries), ""]
    lines += ["## Along rows", "", ALONG_ROWS, ""]
    lines += table(ROWWISE)
    shown = {e.name for _, entries in GROUPS.values() for e in entries} | {e.name for e in ROWWISE}
    known = {a.name for a in vars(activations).values() if isinstance(a, activations.Activation)}
    assert shown == known, shown ^ known
    (FOLDER / "activations.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
