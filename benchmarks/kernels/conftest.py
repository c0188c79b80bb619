"""As many threads for every peer as the environment says: what the pools take from it, PyTorch and fastnn are told."""

from __future__ import annotations

import fastnn

from .common import HAS_TORCH, THREADS

fastnn.set_num_threads(THREADS)
if HAS_TORCH:
    import torch

    torch.set_num_threads(THREADS)
