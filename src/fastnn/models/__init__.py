"""Models."""

from .saving import clone_model, load_model, model_from_json, save_model
from .sequential import Sequential

__all__ = ["Sequential", "clone_model", "load_model", "model_from_json", "save_model"]
