"""The engine: scores and generations of a transformers model, as an lm-eval `LM`."""

from archbench.engine.backend import BackendLM, check_backend, load_backend
from archbench.engine.identity import ENGINE_VERSION
from archbench.engine.limits import TooLongError
from archbench.engine.lm import ArchbenchLM
from archbench.engine.load import load_lm
from archbench.engine.store import RequestStore
from archbench.engine.usage import Usage

__all__ = [
    "ENGINE_VERSION",
    "ArchbenchLM",
    "BackendLM",
    "RequestStore",
    "TooLongError",
    "Usage",
    "check_backend",
    "load_backend",
    "load_lm",
]
