"""`Resumable`: a compiled network that knows how far its training is, and goes on from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Unpack

import numpy as np

from .. import validation
from ..layers import Dropout, Layer
from .compiled import Compiled
from .network import Network, Options


class Resumable(Compiled):
    """A network whose training can be stopped after any step, and goes on to the same bytes."""

    def __init__(
        self, layers: Iterable[Layer | Network] = (), name: str | None = None, **options: Unpack[Options]
    ) -> None:
        self._epochs_trained = 0
        self._resumed_at: int | None = None
        self._step = 0  # of the epoch under way, in a hook of batches
        self._within: tuple[int, dict[str, Any]] = 0, {}  # steps of an epoch, and its measures: to go on from in `fit`
        super().__init__(layers, name, **options)

    @property
    def epochs_trained(self) -> int:
        """Epochs of `fit` so far: which order of the samples comes next.  A training that goes on later assigns it."""
        return self._epochs_trained

    @epochs_trained.setter
    def epochs_trained(self, value: int) -> None:
        self._epochs_trained = validation.integer("epochs_trained", value, high=2**32 - 1)

    def resume_at(self, epoch: int) -> None:
        """Let the `fit` that is about to begin start with this epoch: for callbacks, in `on_train_begin`."""
        self._resumed_at = validation.integer("epoch", epoch)

    def get_state(self) -> dict[str, np.ndarray]:
        """Copies of all that the next step depends on, but for the data: weights, the optimizer's state, the seed, the
        number of epochs; and in a hook of batches how many steps the epoch has had, with the sums of its loss and
        metrics.
        """
        optimizer, _ = self._compiled()
        state = {f"weights.{i}": array for i, array in enumerate(self.get_weights())}
        state |= {f"optimizer.{name}": array for name, array in optimizer.get_state().items()}
        numbers = {"seed": np.array(self.seed, np.uint64), "epochs_trained": np.array(self.epochs_trained)}
        if self._step:
            numbers["step"] = np.array(self._step)
            state |= {f"measures.{name}": array for name, array in self._measures.get_state().items()}
        return state | numbers

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `get_state` returned: the next `fit` with the next step, be it in the middle of an epoch.

        Raises
        ------
        ValueError, TypeError
            For the state of another model; nothing is changed then.
        """
        optimizer, _ = self._compiled()
        given = dict(state)
        missing = [name for name in ("seed", "epochs_trained") if name not in given]
        if missing:
            raise ValueError(f"state has no {' and no '.join(missing)}, expected what get_state returned")
        seed, epochs = (int(np.asarray(given[name]).item()) for name in ("seed", "epochs_trained"))
        weights = [given[name] for name in (f"weights.{i}" for i in range(len(given))) if name in given]
        done, measures = int(np.asarray(given.get("step", 0)).item()), _part_of(given, "measures.")
        before = self.get_weights()
        self.set_weights(weights)
        try:
            if done:
                self._set_measures(measures)
            optimizer.for_engine(self._parameters)  # so that the state of other parameters is refused
            optimizer.set_state(_part_of(given, "optimizer."))
        except BaseException:
            self.set_weights(before)
            raise
        self.epochs_trained, self._within = epochs, (done, measures)
        if seed != self.seed:
            self.seed = seed
            if any(isinstance(layer, Dropout) for layer in self.layers):  # whose seeds the engine was built with
                n_in = self._known_inputs()
                self.lay_out_anew()
                self.build(n_in)  # type: ignore[arg-type]

    def _set_measures(self, state: Mapping[str, Any]) -> None:
        outputs = np.zeros((1, self._n_outputs), self.dtype)
        self._measures.set_state(state, np.zeros(1, np.int32) if self._compiled()[1].sparse else outputs, outputs)


def _part_of(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """What has names with this prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
