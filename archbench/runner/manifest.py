"""What a run writes down about itself: enough to know what was compared, where, and with what."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from archbench.engine import ENGINE_VERSION
from archbench.models.checks.memory import machine_memory
from archbench.models.known import imported_packages
from archbench.registry import Family
from archbench.results.header import CellHeader
from archbench.results.work import work_of
from archbench.runner.match import Match
from archbench.runner.plan import SCORER_VERSION
from archbench.runner.planned import Plan, PlannedMember
from archbench.version import installed_version

_PACKAGES = ("torch", "transformers", "lm_eval", "tokenizers", "datasets", "numpy")


def manifest(
    plan: Plan,
    match: Match,
    loaded: Mapping[str, Mapping[str, Any]],
    headers: Sequence[CellHeader],
    *,
    command: str,
    started: str,
) -> dict[str, Any]:
    """The manifest of a run.

    Args:
        plan: What is run.
        match: What the audit of its members found.
        loaded: What loading a member told, by its name: `fingerprint`, `parameters`.
        headers: Headers of the cells that the folder holds so far.
        command: What was typed.
        started: When the run began, ISO 8601.

    Returns:
        Plain data; `finished` is None until the caller says otherwise. `cells` holds the key of every cell
        that belongs to the run: a cell with another key is left over from other settings.
    """
    suite = plan.suite
    mine = {cell.id: cell.key for cell in plan.cells}
    done = [header for header in headers if mine.get(header.id) == header.key]
    names = [one.resolved.name for one in plan.members]
    return {
        "name": suite.name,
        "description": suite.description,
        "command": command,
        "seed": suite.seed,
        "started": started,
        "finished": None,
        "match": match.lines,
        "verdict": match.verdict,
        "audits": [audit.as_dict() for audit in match.audits],
        "members": [
            _member(one, plan.families, loaded.get(one.resolved.name, {}), done) for one in plan.members
        ],
        "work": {
            "total": work_of(done).as_dict(),
            "members": {name: work_of(h for h in done if h.member == name).as_dict() for name in names},
        },
        "conditions": _conditions(plan),
        "notes": plan.notes,
        "cells": [cell.id._asdict() | {"key": cell.key} for cell in plan.cells],
        "versions": versions(),
        "hardware": hardware(),
        "suite": suite.model_dump(mode="json"),
    }


_UNKNOWN = (
    "its fingerprint and its number of parameters are not recorded. They were in a manifest that is lost, or "
    "the run ended before they were written; since then the member has not been loaded."
)


def _member(
    member: PlannedMember,
    families: Mapping[str, Family],
    loaded: Mapping[str, Any],
    done: Sequence[CellHeader],
) -> dict[str, Any]:
    one = member.resolved
    family = families.get(one.family) if one.family is not None else None
    # Model classes of lm-eval's have none of this anyway.
    is_lost = one.member.backend is None and "fingerprint" not in loaded
    lacks = is_lost and any(header.member == one.name and header.status == "complete" for header in done)
    about = {
        "name": one.name,
        "title": one.title,
        "family": one.family,
        "source": one.source or ("random weights" if one.member.init == "random" else "named by arguments"),
        "revision": one.member.revision,
        "weights": str(member.weights) if member.weights else None,
        "tokenizer": str(member.tokenizer) if member.tokenizer else None,
        "identity": member.identity,
        "remarks": [*member.remarks, *[_UNKNOWN] * lacks],
        "architecture": one.member.architecture,
        "backend": one.member.backend,
        "arguments": one.member.arguments,
        "notes": one.member.notes,
        "training_length": family.budget.sequence_length if family else None,
    }
    return about | dict(loaded)


def _conditions(plan: Plan) -> list[dict[str, Any]]:
    conditions = {
        (cell.task, cell.variant.name): {
            "task": cell.task,
            "variant": cell.variant.name,
            "kind": cell.entry.kind,
            "labels": cell.variant.labels,
            "metric": cell.variant.metric,
            "chance": cell.variant.chance,
            "scale": cell.variant.scale,
        }
        for cell in plan.cells
    }
    return list(conditions.values())


def versions() -> dict[str, str]:
    """Versions of archbench and its parts, Python, and packages that prompt, compute or bring models."""
    ours = {"archbench": installed_version(), "scorer": str(SCORER_VERSION), "engine": str(ENGINE_VERSION)}
    ours |= {"python": platform.python_version()} | {package: version(package) for package in _PACKAGES}
    return imported_packages() | ours


def hardware() -> dict[str, Any]:
    """The machine: processor, cores that this process may use, memory in bytes, accelerators."""
    import torch

    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    return {
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "memory_bytes": machine_memory(),
        "gpus": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
    }


def _cpu() -> str:
    """Name of the processor; `platform.processor` is empty on most Linux systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
