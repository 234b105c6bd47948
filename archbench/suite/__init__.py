"""The suite: one YAML file that says which models are evaluated on which tasks, and how."""

from __future__ import annotations

from archbench.suite.load import find_suite, load_suite, suites
from archbench.suite.schema import EngineSettings, Suite

__all__ = ["EngineSettings", "Suite", "find_suite", "load_suite", "suites"]
