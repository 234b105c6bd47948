"""What `archbench show` says of tasks: what they measure, their settings with the meaning, their files."""

from __future__ import annotations

import inspect
import re
import textwrap
from ast import literal_eval
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel

from archbench import paths

_WIDTH = 100


def lm_eval_tasks() -> dict[str, Path]:
    """Our own lm-eval tasks and groups, by name.

    Their YAMLs are not parsed: `!function` would import code, and lm-eval itself takes seconds.
    """
    found = {}
    for file in sorted(paths.shared("tasks").rglob("*.yaml")):
        named = re.search(r"^(?:task|group): *(\S+) *$", file.read_text(encoding="utf-8"), re.MULTILINE)
        if named:
            found[named[1]] = file
    return found


def task_kind(kind: str, entry: Any) -> dict[str, Any]:
    """What a kind of task entry measures, what may be set, and which files make its prompts.

    Args:
        kind: Its name.
        entry: Its schema, whose docstring says what each setting means.
    """
    about, meanings = _documented(entry)
    settings = {}
    for key, info in entry.model_fields.items():
        if key == "kind":
            continue
        setting: dict[str, Any] = {"meaning": info.description or meanings.get(key, "")}
        if values := list(dict.fromkeys(_values(info.annotation))):
            setting["values"] = values
        if info.is_required():
            setting["required"] = True
        else:
            setting["default"] = info.get_default(call_default_factory=True)
        settings[key] = setting
    described: dict[str, Any] = {"about": about, "settings": settings}
    files = {name: str(file) for name, file in lm_eval_tasks().items() if file.parent.name == kind}
    return described | ({"lm-eval tasks": files} if files else {})


def lm_eval_task(name: str, file: Path, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """What one of our lm-eval tasks measures, its files, and how it is run.

    Args:
        name: Its name.
        file: Its YAML.
        kinds: Schemas of the kinds of task entries; the YAML's folder is named after its kind.
    """
    kind = file.parent.name
    included = re.search(r"^include: *(\S+)", text := file.read_text(encoding="utf-8"), re.MULTILINE)
    files = [file, *([file.parent / included[1]] if included else [])]
    example = _example(text)
    about, _ = _documented(kinds[kind])
    return {
        "about": f"A task of the kind {kind}: {about}",
        **({"prompt": example} if example else {}),
        "kind": kind,
        "settings": f"archbench show {kind}",
        "lm-eval": f"lm_eval run --include_path {file.parent.parent} --tasks {name} --metadata SETTINGS",
        "files": list(map(str, files)),
    }


def settings_text(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Settings below each other: name, meaning, values and default."""
    indent = max(map(len, settings)) + 4
    lines = []
    for key, setting in settings.items():
        facts = ["required" if setting.get("required") else f"default {plain_value(setting['default'])}"]
        if "values" in setting:
            facts.append(f"known: {', '.join(map(str, setting['values']))}")
        text = f"{setting['meaning'].rstrip('.')}. [{'; '.join(facts)}]"
        lines.append(
            textwrap.fill(
                text,
                _WIDTH,
                initial_indent=f"  {key}".ljust(indent),
                subsequent_indent=" " * indent,
                break_on_hyphens=False,
            )
        )
    return "\n".join(lines)


def _documented(entry: Any) -> tuple[str, dict[str, str]]:
    """What a schema's docstring says of it, in one paragraph, and of each of its keys."""
    about, _, attributes = (inspect.getdoc(entry) or "").partition("\nAttributes:\n")
    parts = re.split(r"^ {4}(\w+): ", attributes, flags=re.MULTILINE)[1:]
    # In the words of YAML, which is what a suite is written in.
    meanings = [
        re.sub(r"\b(None|True|False)\b", lambda word: plain_value(literal_eval(word[0])), _joined(part))
        for part in parts[1::2]
    ]
    inherited = _documented(entry.__base__)[1] if issubclass(entry.__base__, BaseModel) else {}
    return _joined(about), inherited | dict(zip(parts[::2], meanings, strict=True))


def _joined(text: str) -> str:
    return " ".join(text.split())


def _values(annotation: Any) -> Iterator[Any]:
    """Values that a setting may have, or of which it may have several, where they are named one by one."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    else:
        for one in get_args(annotation):
            yield from _values(one)


def plain_value(value: Any) -> str:
    """A default as one writes it in YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, width=1000, allow_unicode=True)
    return text.removesuffix("\n...\n").strip()


def _example(text: str) -> str:
    """The prompt as the function that a task's YAML names documents it; empty where it does not."""
    named = re.search(r"^doc_to_text: *!function *(\S+)\.(\w+)$", text, re.MULTILINE)
    if named is None:
        return ""
    said = inspect.getdoc(getattr(import_module(named[1]), named[2])) or ""
    block = re.search(r"\n\n((?: {4}.*\n)+)", said)
    return textwrap.dedent(block[1]).rstrip() if block else ""
