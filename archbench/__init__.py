"""archbench: is this architecture really better than that one?

Three verbs cover most use from Python (heavy imports happen when a verb is first called):

    archbench.run(suite)             run a suite, return its results
    archbench.load_results(folder)   results of an earlier run
    archbench.load_lm(model, ...)    archbench's engine as an lm-eval `LM`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archbench.version import installed_version

if TYPE_CHECKING:
    from archbench.engine import load_lm
    from archbench.results.frames import RunResults
    from archbench.runs import load_results
    from archbench.suite import Suite

    __version__: str

__all__ = ["__version__", "load_lm", "load_results", "run"]

_LAZY = {"load_lm": "archbench.engine", "load_results": "archbench.runs"}


def run(
    suite: str | Path | Mapping[str, Any] | Suite,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    families: Sequence[str | Path] = (),
    quiet: bool = False,
    overwrite: bool = False,
    strict_sharing: bool = False,
) -> RunResults:
    """Run a suite; cells that the results folder already holds are not run again.

    Args:
        suite: A suite file, the name of a shipped suite, its content as a mapping, or a `Suite`.
        out: The results folder; `results/<suite name>` where absent.
        overrides: `KEY=VALUE` as after `--set` on the command line; not with a `Suite`.
        families: Folders of family files of one's own.
        quiet: Whether nothing is shown while running.
        overwrite: Whether finished cells of other settings may be replaced; refused otherwise.
        strict_sharing: Whether a member that shares no prefixes ends the run; announced otherwise.

    Returns:
        The results. Cells that failed are among `results.headers`, with the reason.

    Raises:
        RequestError: The suite is wrong or cannot be run as it is.
    """
    from archbench.errors import RequestError
    from archbench.runner.execute import run_suite
    from archbench.suite import Suite, load_suite

    if isinstance(suite, Suite):
        if overrides:
            raise RequestError(
                "Overrides go with a suite file, name or mapping; a Suite is changed with model_copy."
            )
        loaded = suite
    else:
        loaded = load_suite(suite, overrides)
    folder = Path(out) if out is not None else Path("results") / loaded.name
    return run_suite(
        loaded,
        folder,
        families_dirs=[Path(one) for one in families],
        command="archbench.run",
        quiet=quiet,
        overwrite=overwrite,
        strict_sharing=strict_sharing,
    )


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name == "__version__":
        return installed_version()
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'archbench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
