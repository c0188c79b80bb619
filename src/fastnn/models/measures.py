"""What a model reports of a pass over data: the loss, and the metrics it was compiled with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..metrics import Metric


class Measures:
    """Loss and metrics of the samples so far.

    The engine computes one accuracy beside the loss; every other metric takes the outputs, of many steps at a time.

    Parameters
    ----------
    metrics, weighted_metrics : list of Metric
        The latter are given the samples' weights.
    """

    def __init__(self, metrics: Sequence[Metric], weighted_metrics: Sequence[Metric]) -> None:
        self.metrics = [*metrics, *weighted_metrics]
        self._quick = next((metric for metric in metrics if metric.engine_code), None)
        self.engine_code = self._quick.engine_code if self._quick else 0
        self._plain = [metric for metric in metrics if metric is not self._quick]
        self._weighted = list(weighted_metrics)
        self.names: list[str] = []
        for metric in self.metrics:
            name, count = metric.name, 1
            if len(self.names) >= len(metrics) and name in self.names:
                name = f"weighted_{name}"
            first = name
            while name in self.names:
                name, count = f"{first}_{count}", count + 1
            self.names.append(name)
        self.wants_outputs = bool(self._plain or self._weighted)
        self._total, self._counted = 0.0, 0

    def reset(self) -> None:
        """Forget all samples."""
        self._total, self._counted = 0.0, 0
        for metric in self.metrics:
            metric.reset_state()

    def get_state(self) -> dict[str, np.ndarray]:
        """Copies of the sums."""
        state = {"sums": np.array([self._total, self._counted]), "metrics": np.array(len(self.metrics))}
        for i, metric in enumerate(self.metrics):
            state |= {f"{i}.{j}": variable.copy() for j, variable in enumerate(metric.variables)}
        return state

    def set_state(self, state: Mapping[str, Any], y: np.ndarray, outputs: np.ndarray) -> None:
        """Go on from what `get_state` returned.

        Parameters
        ----------
        state : dict
        y, outputs : ndarray
            Target and outputs of some sample: what metrics make their variables for, that wait for the first.

        Raises
        ------
        ValueError
            For the state of other metrics.
        """
        self.reset()
        if (count := int(state["metrics"])) != len(self.metrics):
            raise ValueError(f"the state is of {count} metrics, expected {len(self.metrics)}")
        self._total, self._counted = float(state["sums"][0]), int(state["sums"][1])
        for i, metric in enumerate(self.metrics):
            values = [value for name, value in state.items() if name.startswith(f"{i}.")]
            if len(metric.variables) < len(values):
                metric.update_state(y, outputs)
            if [v.shape for v in metric.variables] != [np.shape(v) for v in values]:
                raise ValueError(f"the state is of another metric than {metric.name!r}")
            for variable, value in zip(metric.variables, values, strict=True):
                variable[...] = value

    def add_sums(self, total: float, counted: int, hits: float, samples: int) -> None:
        """Add samples by what the engine returned: the sums of losses, of `counted` samples, and of accuracies."""
        self._total += total
        self._counted += counted
        if self._quick is not None:
            self._quick.total += hits  # type: ignore[attr-defined]
            self._quick.count += samples  # type: ignore[attr-defined]

    def add_outputs(self, y: np.ndarray, outputs: np.ndarray, w: np.ndarray | None) -> None:
        """Add samples by their targets, outputs and weights."""
        for metric in self._plain:
            metric.update_state(y, outputs)
        for metric in self._weighted:
            metric.update_state(y, outputs, w)

    def logs(self) -> dict[str, Any]:
        """Loss and metrics by name."""
        logs: dict[str, Any] = {"loss": self._total / max(self._counted, 1)}
        for name, metric in zip(self.names, self.metrics, strict=True):
            logs[name] = _plain(metric.result())
        return logs


def _plain(value: Any) -> Any:
    """A float, where it is one number."""
    return float(value) if np.ndim(value) == 0 else value
