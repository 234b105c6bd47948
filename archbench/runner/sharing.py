"""Prefix sharing is never lost silently: it is announced on the screen, or ends a run that insists on it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from archbench.errors import RequestError
from archbench.results.work import WITHOUT_STATES
from archbench.runner.planned import Plan
from archbench.runner.progress import Display

if TYPE_CHECKING:
    from archbench.engine.sharing.exactness import Sharing

_INSISTS = (
    "and the run was started with --strict-sharing (strict_sharing=True). Without it, scores are the same "
    "and the run takes longer."
)


def check_backends_share(plan: Plan) -> None:
    """Refuse before anything runs what the suite alone shows to share nothing.

    Raises:
        RequestError: A member with cells to be run is on one of lm-eval's own model classes, or the suite
            allows no memory for prefixes.
    """
    from archbench.engine import unshared_backend

    if plan.missing and plan.suite.engine.cache_bytes == 0:
        raise RequestError(
            f"{plan.suite.where('engine', 'cache_bytes')}: prefixes are not held: engine.cache_bytes is 0, "
            f"{_INSISTS}"
        )
    for cell in plan.missing:
        backend = cell.member.resolved.member.backend
        if backend is not None:
            name = cell.member.resolved.name
            raise RequestError(f"{name}: {unshared_backend(backend)}, {_INSISTS}")


@contextlib.contextmanager
def said_here(display: Display) -> Iterator[None]:
    """Keep the engine's log, while this is open, from saying what the display announces by the member's name.

    A display that shows nothing announces nothing: then the log says it.
    """
    gate = logging.getLogger("archbench.engine.sharing.exactness")

    def drop(record: logging.LogRecord) -> bool:
        return display.quiet

    gate.addFilter(drop)
    try:
        yield
    finally:
        gate.removeFilter(drop)


def announce_sharing(
    name: str, sharing: Sharing, display: Display, *, strict: bool, backend: bool = False
) -> None:
    """Say that a member shares no prefixes, or only in part.

    Args:
        name: The member's name.
        sharing: What the engine found.
        display: Where to say so.
        strict: Whether a member that holds no prefixes ends the run.
        backend: Whether it is on one of lm-eval's model classes, which compute as they like.

    Raises:
        RequestError: It holds no prefixes and `strict` is set.
    """
    if sharing.level != "none":
        if sharing.reason:
            display.say(f"Note: {name}: {sharing.reason}.")
        return
    if strict:
        raise RequestError(f"{name}: {sharing.reason}, {_INSISTS}")
    if backend:
        display.say(f"WARNING: {name} shares no prefixes: {sharing.reason}. The run takes longer.")
        return
    display.say(
        f"WARNING: {name} holds no prefixes: {sharing.reason}. Scores are exact; the run takes longer: "
        f"{WITHOUT_STATES} are computed together."
    )
