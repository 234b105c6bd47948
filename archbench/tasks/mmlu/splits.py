"""The splits of a question set as plain rows, from parquet, CSV or JSONL files or from the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from archbench.errors import RequestError
from archbench.paths import expanded, looks_local, nearest_folder
from archbench.tasks.files.rows import Located, check_header, counted, read_rows

SUFFIXES = (".parquet", ".csv", ".jsonl")
_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?::(?P<config>[\w.-]+))?")


@dataclass(frozen=True)
class Split:
    """Rows of one split, each with its place for messages.

    Attributes:
        name: The file's path, or the hub data set with its configuration and split.
        rows: Pairs of where the row is (`row 3`, `line 4`) and its cells by column.
    """

    name: str
    rows: list[Located]


def read_splits(data: str) -> dict[str, Split]:
    """Read the `test` split, and `dev` where there is one.

    Args:
        data: A folder with one file per split, `test` and `dev`, each as parquet, CSV (UTF-8, with a header)
            or JSONL; or a hub data set id, `owner/name` for its configuration `all`, else
            `owner/name:config`.

    Returns:
        The splits by name.

    Raises:
        RequestError: There is no such folder or data set, no or more than one file for a split, or a file
            that is empty or cannot be read.
    """
    folder = expanded(data)
    if folder.is_dir():
        return _read_folder(folder)
    if folder.exists():
        raise RequestError(
            f"MMLU data '{data}' is a file; the folder that holds `test` and `dev` is expected. Did you mean "
            f"'{folder.parent}'?"
        )
    if (hub := _HUB.fullmatch(data)) and not looks_local(data):
        return _read_hub(data, hub["repo"], hub["config"] or "all")
    raise RequestError(
        f"MMLU data '{data}': there is no such folder. Give a folder that holds `test` and `dev` as parquet, "
        f"CSV or JSONL, or the id of a hub data set such as cais/mmlu. {nearest_folder(folder)}"
    )


def _read_folder(folder: Path) -> dict[str, Split]:
    found = {}
    for split in ("test", "dev"):
        files = [path for suffix in SUFFIXES if (path := folder / f"{split}{suffix}").is_file()]
        if len(files) > 1:
            names = " and ".join(path.name for path in files)
            raise RequestError(
                f"{folder} holds {names}: which one is the {split} split? Keep one of them and move the rest "
                "elsewhere."
            )
        if files:
            found[split] = Split(str(files[0]), read_rows(files[0]))
        elif split == "test":
            holds = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
            raise RequestError(
                f"{folder} has no test split: test.parquet, test.csv or test.jsonl is expected there. "
                f"It holds {holds}."
            )
    return found


def _read_hub(data: str, repo: str, config: str) -> dict[str, Split]:
    import datasets

    try:
        splits = datasets.load_dataset(repo, config)
    except Exception as error:  # network, login, name, configuration: many types, one remedy
        reason = " ".join(str(error).split())[:300].rstrip(".")
        raise RequestError(
            f"MMLU data '{data}': there is no such folder, and reading configuration '{config}' of the hub "
            f"data set '{repo}' failed ({type(error).__name__}: {reason}). If this machine is offline, save "
            "the splits `test` and `dev` as test.parquet and dev.parquet on one that is not "
            f'(`datasets.load_dataset("{repo}", "{config}")["test"].to_parquet("test.parquet")`) and name '
            "their folder here; for another configuration write owner/name:config."
        ) from error
    if "test" not in splits:
        raise RequestError(
            f"MMLU data '{data}': the hub data set has no split `test`; it has {', '.join(sorted(splits))}."
        )
    found = {}
    for split in ("test", "dev"):
        if split in splits:
            name = f"{repo} (configuration {config}, split {split})"
            check_header(name, splits[split].column_names)
            found[split] = Split(name, counted(splits[split]))
    return found
