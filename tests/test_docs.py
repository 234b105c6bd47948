"""The documentation: what is written by a program is current, and what it points to exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
# The history names files that were; paths in examples are of the reader's own package.
EXAMPLES = {"CHANGELOG.md", "CONTRIBUTING.md"}


def test_the_page_of_kinds_is_what_the_registry_says() -> None:
    spec = importlib.util.spec_from_file_location("make_kinds", ROOT / "docs" / "make_kinds.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.text(), "run python docs/make_kinds.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize(
    "page", [one for one in PAGES if one.name not in EXAMPLES], ids=lambda page: page.name
)
def test_modules_that_pages_name_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:archbench/)?[a-z_]+(?:/[a-z_]+)+\.py)`", text):
        places = (ROOT / name, ROOT / "archbench" / name)
        # Paths in examples are of the reader's own package.
        assert any(place.exists() for place in places) or page.name == "CONTRIBUTING.md", (
            f"{page.name}: {name}"
        )
