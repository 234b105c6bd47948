"""Write docs/kinds.md: every kind of task that comes with archbench, and its settings, from the registry."""

from __future__ import annotations

from pathlib import Path

from archbench.cli.describe import plain_value, task_kind
from archbench.tasks.kinds import kinds

PAGE = Path(__file__).parent / "kinds.md"
_HEAD = """\
# Kinds of task

Written by `python docs/make_kinds.py` from the schemas; a test holds it current. `archbench list tasks` lists
the kinds of installed packages too, `archbench show KIND` says the same of one of them. How to add one:
[CONTRIBUTING.md](../CONTRIBUTING.md#a-kind-of-task).
"""


def text() -> str:
    """The page."""
    blocks = [_HEAD]
    for name, kind in kinds().items():
        if kind.source != "archbench":
            continue
        about = task_kind(name, kind.entry)
        rows = ["| setting | meaning | default |", "|---|---|---|"]
        for key, said in about["settings"].items():
            default = "required" if said.get("required") else f"`{plain_value(said['default'])}`"
            known = f" Known: {', '.join(f'`{one}`' for one in said['values'])}." if "values" in said else ""
            meaning = said["meaning"].rstrip(".").replace("|", "\\|")
            rows.append(f"| `{key}` | {meaning}.{known} | {default} |")
        blocks.append(f"## {name}\n\n{about['about']}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(blocks)


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
