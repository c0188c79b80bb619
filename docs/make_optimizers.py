"""Draw the pictures of optimizers.md: ``python docs/make_optimizers.py``, with fastnn[plot] installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastnn import Sequential, datasets, layers, optimizers
from fastnn.optimizers import schedules

IMAGES = Path(__file__).with_name("images")
Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Rates chosen by hand for the two valleys: what gets far without leaving the picture.
PATHS: dict[str, tuple[Callable[[float], optimizers.Optimizer], float, float]] = {
    "SGD": (optimizers.SGD, 0.001, 0.018),
    "momentum": (lambda rate: optimizers.SGD(rate, momentum=0.9), 0.0005, 0.004),
    "Nesterov": (lambda rate: optimizers.SGD(rate, momentum=0.9, nesterov=True), 0.0005, 0.004),
    "Adagrad": (optimizers.Adagrad, 0.3, 0.4),
    "RMSprop": (optimizers.RMSprop, 0.005, 0.02),
    "Adadelta": (lambda rate: optimizers.Adadelta(rate, epsilon=1e-5), 1.0, 1.0),
    "Adam": (optimizers.Adam, 0.05, 0.1),
    "AdamW": (lambda rate: optimizers.AdamW(rate, weight_decay=0.05), 0.05, 0.1),
    "Adamax": (optimizers.Adamax, 0.05, 0.1),
    "Nadam": (optimizers.Nadam, 0.05, 0.1),
    "Lion": (optimizers.Lion, 0.005, 0.02),
}
STEPS = 300


def rosenbrock(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def rosenbrock_gradient(w: np.ndarray) -> np.ndarray:
    x, y = w
    return np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])


def valley(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 0.5 * (x**2 + 100 * y**2)


def valley_gradient(w: np.ndarray) -> np.ndarray:
    return np.array([1.0, 100.0]) * w


def path(
    optimizer: optimizers.Optimizer, gradient: Callable[[np.ndarray], np.ndarray], start: list[float]
) -> np.ndarray:
    w = np.array(start)
    points = [w.copy()]
    for _ in range(STEPS):
        optimizer.apply(gradient(w), w)
        points.append(w.copy())
    return np.array(points)


def new_figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_paths(
    name: str, surface: Surface, gradient: Callable[[np.ndarray], np.ndarray], start: list[float], end: list[float],
    x: tuple[float, float], y: tuple[float, float], which: int,
) -> None:  # fmt: skip
    figure = new_figure(9, 6.2)
    grid = np.meshgrid(np.linspace(*x, 300), np.linspace(*y, 300))
    height = np.log10(surface(*grid) + 1e-3)
    panels = figure.subplots(3, 4, sharex=True, sharey=True).ravel()
    for axes, (label, (make, *rates)) in zip(panels, PATHS.items(), strict=False):
        points = path(make(rates[which]), gradient, start)
        axes.contourf(*grid, height, levels=14, cmap="Greys", alpha=0.6)
        axes.plot(*points.T, ".-", color="C0", linewidth=0.8, markersize=2)
        axes.plot(*start, "o", color="C1", markersize=5)
        axes.plot(*end, "*", color="C3", markersize=9)
        left = float(surface(*points[-1]))
        axes.set_title(f"{label}, η = {rates[which]:g}: {left:.1e}", fontsize=8)
        axes.set(xlim=x, ylim=y)
        axes.tick_params(labelsize=7)
    panels[-1].axis("off")
    note = f"{STEPS} steps from the dot;\nthe star is the minimum;\nthe number is the cost\nat the end"
    panels[-1].text(0, 0.5, note, fontsize=9)
    figure.savefig(IMAGES / f"optimizers_{name}.png", dpi=90)


def digits_model(optimizer: optimizers.Optimizer) -> tuple[Sequential, np.ndarray, np.ndarray]:
    x, y = datasets.load_digits()
    hidden, output = layers.Dense(32, activation="tanh"), layers.Dense(10, activation="softmax")
    model = Sequential([layers.Input((64,)), hidden, output], seed=0)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    return model, x / 16, y


def draw_batches() -> None:
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    cases = [("batch", "full", 0.5, 1200), ("mini-batches of 32", 32, 0.1, 25), ("single samples", 1, 0.01, 8)]
    for label, size, rate, epochs in cases:
        model, x, y = digits_model(optimizers.SGD(rate))
        losses = [model.evaluate(x, y)]
        for _ in range(epochs):
            model.fit(x, y, batch_size=size, verbose=0)
            losses.append(model.evaluate(x, y))
        steps = np.arange(epochs + 1) * (1 if size == "full" else -(-len(x) // size))
        left.plot(losses, label=f"{label}, η = {rate:g}")
        right.plot(steps, losses)
    left.set(xlabel="epochs", ylabel="loss over all digits", xlim=(0, 25), yscale="log")
    right.set(xlabel="updates", xlim=(0, 1200))
    left.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(IMAGES / "optimizers_batches.png", dpi=90)


SCHEDULES: list[schedules.LearningRateSchedule] = [
    schedules.ExponentialDecay(0.1, 200, 0.6),
    schedules.ExponentialDecay(0.1, 200, 0.6, staircase=True),
    schedules.InverseTimeDecay(0.1, 200, 1.0),
    schedules.PiecewiseConstantDecay([300, 700], [0.1, 0.03, 0.01]),
    schedules.PolynomialDecay(0.1, 800, 0.01, power=2.0),
    schedules.PolynomialDecay(0.1, 250, 0.01, cycle=True),
    schedules.CosineDecay(0.1, 1000),
    schedules.CosineDecay(0.0, 850, warmup_target=0.1, warmup_steps=150),
    schedules.CosineDecayRestarts(0.1, 140, t_mul=2.0, m_mul=0.8),
    schedules.OneCycle(0.1, 1000),
    schedules.LinearWarmup(150, then=schedules.ExponentialDecay(0.1, 200, 0.6)),
]


def draw_schedules() -> None:
    figure = new_figure(9, 6)
    panels = figure.subplots(3, 4, sharex=True, sharey=True).ravel()
    steps = np.arange(1000)
    for axes, schedule in zip(panels, SCHEDULES, strict=False):
        axes.plot(steps, schedule(steps), color="C0")
        options = [name for name in ("staircase", "cycle", "warmup_target") if getattr(schedule, name, None)]
        axes.set_title(" ".join([type(schedule).__name__, *(f"\n{name}" for name in options)]), fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    panels[-1].axis("off")
    figure.supxlabel("step", fontsize=9)
    figure.supylabel("learning rate", fontsize=9)
    figure.savefig(IMAGES / "optimizers_schedules.png", dpi=90)


def draw_restarts() -> None:
    figure = new_figure(9, 3.4)
    left, right = figure.subplots(1, 2)
    epoch = 225  # steps: batches of 8, noisy ones
    steps = 35 * epoch
    rates = {
        "constant": 0.1,
        "warm restarts": schedules.CosineDecayRestarts(0.1, 5 * epoch, t_mul=2.0),
        "cosine, once": schedules.CosineDecay(0.1, steps),
    }
    for label, rate in rates.items():
        model, x, y = digits_model(optimizers.SGD(rate, momentum=0.9))
        losses = []
        for _ in range(35):
            model.fit(x, y, batch_size=8, verbose=0)
            losses.append(model.evaluate(x, y))
        at = np.arange(steps)
        left.plot(at / epoch, rate(at) if callable(rate) else np.full(steps, rate), label=label)
        right.plot(np.arange(1, 36), losses, label=label)
    left.set(xlabel="epochs", ylabel="learning rate", ylim=(0, None))
    right.set(xlabel="epochs", ylabel="loss over all digits", yscale="log")
    right.legend(fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(IMAGES / "optimizers_restarts.png", dpi=90)


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    draw_paths("rosenbrock", rosenbrock, rosenbrock_gradient, [-1.2, 1.0], [1, 1], (-1.8, 1.8), (-0.6, 2.2), 0)
    draw_paths("valley", valley, valley_gradient, [-4.0, 1.0], [0, 0], (-4.6, 2.0), (-1.6, 1.6), 1)
    draw_batches()
    draw_schedules()
    draw_restarts()


if __name__ == "__main__":
    main()
