"""What a cell runs: items put to a member through lm-eval, or a function of its model or architecture."""

from __future__ import annotations

from archbench.tasks.work.base import Evaluation, Needs, Row, Subject, Work
from archbench.tasks.work.functions import OnArchitecture, OnModel
from archbench.tasks.work.lm_eval import LmEval

__all__ = ["Evaluation", "LmEval", "Needs", "OnArchitecture", "OnModel", "Row", "Subject", "Work"]
