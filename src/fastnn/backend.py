"""What scripts ask Keras's `backend` for, and arrays in NumPy do not have."""

from .config import epsilon, floatx
from .utils import clear_session

__all__ = ["clear_session", "epsilon", "floatx"]
