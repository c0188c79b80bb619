"""One thread for every peer."""

from __future__ import annotations

import fastnn

from .common import single_thread

fastnn.set_num_threads(1)
single_thread()
