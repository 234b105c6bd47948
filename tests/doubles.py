"""Stand-ins for models."""

from __future__ import annotations

from typing import Any, NoReturn

from lm_eval.api.model import LM


class Double(LM):  # type: ignore[misc]
    """A model that a test gives answers to; a request that the test did not mean fails it."""

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        self._fail("loglikelihood", requests)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        self._fail("loglikelihood_rolling", requests)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        self._fail("generate_until", requests)

    def _fail(self, method: str, requests: list[Any]) -> NoReturn:
        request = requests[0].args if requests else "nothing"
        raise AssertionError(f"{type(self).__name__} answers no {method}, but got {request!r}")
