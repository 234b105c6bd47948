"""What a member is to the work of a cell: its model, loaded when it is first needed, and its architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archbench.errors import RequestError
from archbench.runner.planned import PlannedMember


class MemberSubject:
    """A member of a run, as `archbench.tasks.work.Subject`."""

    def __init__(self, member: PlannedMember, load: Callable[[], Any]) -> None:
        """Keep what is needed to load the model.

        Args:
            member: The member.
            load: Loads its model.
        """
        self._member, self._load = member, load
        self._model: Any = None
        self._error: Exception | None = None

    @property
    def name(self) -> str:
        """The member's name."""
        return self._member.resolved.name

    @property
    def architecture(self) -> Mapping[str, Any]:
        """The member's architecture block.

        Raises:
            RequestError: It has none.
        """
        block = self._member.resolved.member.architecture
        if block is None:
            raise RequestError(
                f"The member '{self.name}' has no architecture block, which this task needs. Add one."
            )
        return block

    @property
    def is_loaded(self) -> bool:
        """Whether the model has been loaded."""
        return self._model is not None

    def model(self) -> Any:
        """The member's model; loaded once, and what kept it from being loaded is raised again each time."""
        if self._error is not None:
            raise self._error
        if self._model is None:
            try:
                self._model = self._load()
            except Exception as error:
                self._error = error
                raise
        return self._model
