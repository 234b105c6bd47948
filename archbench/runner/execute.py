"""Running what a suite still misses: a member is loaded once, every cell is written as soon as it is done."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from archbench.engine import RequestStore
from archbench.errors import RequestError, amount
from archbench.results.frames import RunResults, load_results
from archbench.results.manifest import members_from
from archbench.results.store import Store
from archbench.results.writing import plain
from archbench.runner.cells import run_member
from archbench.runner.manifest import manifest
from archbench.runner.match import check_match
from archbench.runner.plan import make_plan
from archbench.runner.planned import Cell, Plan
from archbench.runner.progress import Display
from archbench.runner.refusals import check_device, check_nothing_replaced
from archbench.runner.sharing import check_backends_share
from archbench.suite import Suite

log = logging.getLogger(__name__)


def run_suite(
    suite: Suite,
    out: Path,
    *,
    families_dirs: Sequence[Path] = (),
    command: str = "",
    quiet: bool = False,
    overwrite: bool = False,
    strict_sharing: bool = False,
) -> RunResults:
    """Evaluate the cells of a suite that a results folder does not hold yet.

    A cell that fails is recorded with its reason, the others go on, and the next run tries it again. Stopping
    the process at any moment loses at most the batch in progress.

    Args:
        suite: The suite.
        out: The results folder; made where missing.
        families_dirs: The user's own folders of families.
        command: What was typed, for the manifest.
        quiet: Whether nothing is shown while running.
        overwrite: Whether finished cells of other settings may be replaced.
        strict_sharing: Whether a member that shares no prefixes ends the run.

    Returns:
        All results of the run, those of earlier runs of the same suite included.

    Raises:
        RequestError: If the suite cannot be run as it is, or its members are not matched and the suite does
            not allow that; nothing has been written then. Or a member shares no prefixes and `strict_sharing`
            is set: finished cells are kept.
    """
    check_device(suite)
    plan = make_plan(suite, Store(out), families_dirs=families_dirs)
    return run_plan(
        plan, out, command=command, quiet=quiet, overwrite=overwrite, strict_sharing=strict_sharing
    )


def run_plan(
    plan: Plan,
    out: Path,
    *,
    command: str = "",
    quiet: bool = False,
    overwrite: bool = False,
    strict_sharing: bool = False,
) -> RunResults:
    """As `run_suite`, of a suite that is resolved.

    Args:
        plan: What is to be run, compared with `out`.
        out: The results folder; made where missing.
        command: What was typed, for the manifest.
        quiet: Whether nothing is shown while running.
        overwrite: Whether finished cells of other settings may be replaced.
        strict_sharing: Whether a member that shares no prefixes ends the run.

    Raises:
        RequestError: As for `run_suite`.
    """
    if strict_sharing:
        check_backends_share(plan)
    if not overwrite:
        check_nothing_replaced(plan, out)
    store = Store(out)
    match = check_match(plan)
    missing = plan.missing
    if missing:
        store.check_writable()
    started = datetime.now(UTC).isoformat()
    loaded = _known_from_before(store, plan)

    def content(finished: str | None) -> dict[str, Any]:
        known = manifest(plan, match, loaded, store.headers(), command=command, started=started)
        return known | {"finished": finished}

    with (
        _threads(plan.suite.engine.threads),
        _answers(out, missing) as answers,
        Display(len(missing), quiet=quiet) as display,
    ):
        for name, found in plan.notes.items():
            for text in found:
                display.say(f"Note on {name}: {text}")
        for one in plan.members:
            for text in one.remarks:
                display.say(f"Note on {one.resolved.name}: {text}")
        if len(missing) < len(plan.cells):
            display.say(
                f"{len(plan.cells) - len(missing)} of {amount(len(plan.cells), 'cell')} are already in {out}."
            )
        if not missing:
            _renew(store, content(datetime.now(UTC).isoformat()))
            return load_results(out)
        store.write_manifest(content(None))
        try:
            for member, cells in groupby(missing, key=lambda cell: cell.member):
                run_member(
                    member, list(cells), plan.suite, store, answers, loaded, display, strict=strict_sharing
                )
                # Two members need not fit into memory together.
                _free_memory()
                store.write_manifest(content(None))
        except KeyboardInterrupt:
            display.say(f"Stopped. Finished cells are kept in {out}; the same command goes on from there.")
            raise
        except RequestError:
            # A member that may not be run is in the manifest all the same, with the reason.
            store.write_manifest(content(None))
            raise
        store.write_manifest(content(datetime.now(UTC).isoformat()))
    return load_results(out)


@contextlib.contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Compute with so many CPU threads for as long as the context is open."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _answers(out: Path, missing: Sequence[Cell]) -> Iterator[RequestStore | None]:
    """The run's store of answers, opened where any cell is to be run."""
    if not missing:
        yield None
        return
    with contextlib.closing(RequestStore(out / "requests.sqlite")) as store:
        yield store


def _known_from_before(store: Store, plan: Plan) -> dict[str, dict[str, Any]]:
    """What an earlier run recorded of members that are still the same, which need not be loaded for it.

    How they share prefixes stands in their cells too, should the manifest be lost.
    """
    mine = {cell.id: cell.key for cell in plan.cells}
    done = [header for header in store.headers() if mine.get(header.id) == header.key]
    names = [one.resolved.name for one in plan.members]
    cells = {
        one["name"]: {"sharing": one["sharing"]} for one in members_from(names, done) if "sharing" in one
    }
    if not (store.folder / "manifest.json").exists():
        return cells
    content, damage = store.read_manifest()
    for one in damage:
        log.warning("%s", one)
    identities = {one.resolved.name: one.identity for one in plan.members}
    keys = (
        "fingerprint",
        "parameters",
        "dtype",
        "device",
        "exactness",
        "sharing",
        "backend",
        "longest_input",
    )
    return cells | {
        one["name"]: cells.get(one["name"], {}) | {key: one[key] for key in keys if key in one}
        for one in content.get("members", [])
        if identities.get(one["name"]) == one.get("identity")
    }


_OF_ONE_RUN = frozenset({"command", "started", "finished", "versions", "hardware"})
"""Keys of a manifest that state how and when cells were run, not what belongs to the run."""


def _renew(store: Store, content: Mapping[str, Any]) -> None:
    """Write the manifest of a run with nothing left to do, where it says anything new.

    A finished run may lie on a disk that cannot be written; then only one that would say other cells is
    an error.

    Raises:
        RequestError: The manifest has to be written and cannot be.
    """
    path = store.folder / "manifest.json"
    before, damage = store.read_manifest() if path.exists() else ({}, (f"{path} is missing.",))
    after = plain(content)

    def same(keys: Iterable[str]) -> bool:
        return all(before.get(key) == after.get(key) for key in keys)

    if not damage and before.get("finished") and same((before.keys() | after.keys()) - _OF_ONE_RUN):
        return
    try:
        store.write_manifest(content)
    except RequestError as error:
        if not damage and not same(("cells", "conditions")):
            raise
        log.warning("%s Every cell is there already, so that nothing is lost.", error)


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
