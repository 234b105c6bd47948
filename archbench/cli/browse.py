"""`archbench list` and `archbench show`: what there is to run, and what each thing is."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from archbench import paths
from archbench.cli.describe import lm_eval_task, lm_eval_tasks, settings_text, task_kind
from archbench.cli.output import print_json, print_rows
from archbench.cli.run import AsJson, Families
from archbench.errors import RequestError, did_you_mean

LIST_EPILOG = "Next: archbench show NAME, for any name in a list."
SHOW_EPILOG = """\
Examples:

  archbench show microworld

  archbench show microworld:mamba2

  archbench show mmlu
"""

Row = dict[str, Any]


def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[families|members|tasks|suites]", help="Which kind of thing; all where left out."
        ),
    ] = None,
    families: Families = None,
    as_json: AsJson = False,
) -> None:
    """List families of models, their members, kinds of tasks, or suites."""
    dirs = families or ()
    sources: dict[str, Callable[[], list[Row]]] = {
        "families": lambda: _families(dirs),
        "members": lambda: _members(dirs),
        "tasks": _tasks,
        "suites": _suites,
    }
    if what is not None and what not in sources:
        raise RequestError(f"'{what}' cannot be listed. {did_you_mean(what, sources, label='What can')}")
    lists = {kind: sources[kind]() for kind in ([what] if what else sources)}
    if as_json:
        print_json(lists[what] if what else lists)
        return
    for kind, rows in lists.items():
        if len(lists) > 1:
            typer.secho(kind, bold=True)
        print_rows(rows)
        typer.echo("")


def show(
    name: Annotated[
        str, typer.Argument(help="A family, FAMILY:MEMBER, a kind of task, an lm-eval task, or a suite.")
    ],
    families: Families = None,
    as_json: AsJson = False,
) -> None:
    """Show one thing: what a task measures, its settings and files; a family, member or suite as written.

    Where several things bear the name, each of them is shown.
    """
    found = _find(name, families or ())
    if as_json:
        print_json(found)
        return
    for kind, content in found.items():
        typer.secho(f"{kind} {name}", bold=True)
        if about := content.pop("about", None):
            typer.echo(f"{textwrap.fill(about, 100)}\n")
        if prompt := content.pop("prompt", None):
            typer.echo(f"prompt:\n{textwrap.indent(prompt, '  ')}\n")
        if kind == "task kind":
            typer.echo("settings of an entry under `tasks:` in a suite, or with --set ENTRY.KEY=VALUE:")
            typer.echo(f"{settings_text(content.pop('settings'))}\n")
        if content:
            typer.echo(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000))


def _find(name: str, dirs: Sequence[Path]) -> dict[str, Row]:
    """Everything of that name, by what it is."""
    from archbench.formats.yaml_file import read_yaml
    from archbench.registry import families
    from archbench.suite import suites
    from archbench.tasks.kinds import kinds

    known, own, shipped = families(dirs), lm_eval_tasks(), suites()
    found: dict[str, Row] = {}
    if name in known:
        found["family"] = known[name].model_dump(mode="json", exclude_defaults=True)
    family, _, member = name.partition(":")
    if member and family in known and member in known[family].members:
        found["member"] = known[family].members[member].model_dump(mode="json", exclude_defaults=True)
    for one, its in known.items():
        if name in its.members:
            found[f"member of {one}"] = its.members[name].model_dump(mode="json", exclude_defaults=True)
    entries = {kind.name: kind.entry for kind in kinds().values()}
    if name in entries:
        found["task kind"] = task_kind(name, entries[name])
    if name in own:
        found["lm-eval task"] = lm_eval_task(name, own[name], entries)
    if name in shipped:
        found["suite"] = {"file": str(shipped[name]), **read_yaml(shipped[name]).value}
    if not found:
        members = [f"{one}:{member}" for one, family in known.items() for member in family.members]
        names = {*known, *members, *entries, *own, *shipped}
        raise RequestError(
            f"There is nothing called '{name}'. {did_you_mean(name, names, label='Names')} lm-eval's own "
            "tasks are listed by: lm_eval ls tasks."
        )
    return found


def _families(dirs: Sequence[Path]) -> list[Row]:
    from archbench.registry import families

    return [
        {"name": family.name, "title": family.title, "members": ", ".join(family.members)}
        for family in families(dirs).values()
    ]


def _members(dirs: Sequence[Path]) -> list[Row]:
    from archbench.registry import families

    rows = []
    for family in families(dirs).values():
        for name, member in family.members.items():
            folder = (family.folder / member.path) if member.path else None
            state = "untrained control" if member.init == "random" else f"hub {member.hub}"
            if member.hub is None and member.backend is not None:
                state = f"backend {member.backend}"
            if folder is not None:
                state = "ready" if any(folder.glob("*.safetensors")) else f"archbench train {family.name}"
            kind = (member.architecture or {}).get("model_type", "")
            rows.append(
                {
                    "name": f"{family.name}:{name}",
                    "title": member.title or name,
                    "type": kind,
                    "weights": state,
                }
            )
    return rows


def _tasks() -> list[Row]:

    from archbench.tasks.kinds import kinds

    found = [
        {"name": kind.name, "what": "kind of task entry", "about": kind.about} for kind in kinds().values()
    ]
    folder = paths.shared("tasks").parent
    return found + [
        {"name": name, "what": "lm-eval task", "about": str(file.relative_to(folder))}
        for name, file in lm_eval_tasks().items()
    ]


def _suites() -> list[Row]:
    from archbench.formats.yaml_file import read_yaml
    from archbench.suite import suites

    return [
        {"name": name, "description": read_yaml(file).value.get("description", ""), "file": str(file)}
        for name, file in suites().items()
    ]
