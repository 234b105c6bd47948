"""The engine: scores and generations of a transformers model, as an lm-eval `LM`.

Each name is imported when it is first used: lm-eval and torch take seconds, and a plan needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archbench.engine.backend import BackendLM, unshared_backend
    from archbench.engine.backends import check_backend, load_backend
    from archbench.engine.fingerprint import ENGINE_VERSION
    from archbench.engine.generation.settings import read_settings
    from archbench.engine.generations import NEVER_ENDS
    from archbench.engine.limits import TooLongError
    from archbench.engine.lm import ArchbenchLM
    from archbench.engine.load import load_lm
    from archbench.engine.options import EngineOptions
    from archbench.engine.store import RequestStore
    from archbench.engine.text import spanning
    from archbench.engine.usage import Usage

__all__ = [
    "ENGINE_VERSION",
    "NEVER_ENDS",
    "ArchbenchLM",
    "BackendLM",
    "EngineOptions",
    "RequestStore",
    "TooLongError",
    "Usage",
    "check_backend",
    "load_backend",
    "load_lm",
    "read_settings",
    "spanning",
    "unshared_backend",
]

_HOMES = {
    "ENGINE_VERSION": "fingerprint",
    "NEVER_ENDS": "generations",
    "ArchbenchLM": "lm",
    "BackendLM": "backend",
    "EngineOptions": "options",
    "RequestStore": "store",
    "TooLongError": "limits",
    "Usage": "usage",
    "check_backend": "backends",
    "load_backend": "backends",
    "load_lm": "load",
    "read_settings": "generation.settings",
    "spanning": "text",
    "unshared_backend": "backend",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'archbench.engine' has no attribute '{name}'")
    return getattr(import_module(f"archbench.engine.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
