"""All kinds of corpora: the files of `archbench/data/corpora/` and what packages register.

A package registers one in its pyproject.toml, and it is then a `kind` of `recipe.corpus` like those that
ship:

    [project.entry-points."archbench.corpora"]
    sums = "my_package.sums:Sums"
"""

from __future__ import annotations

import importlib
import logging
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, SerializeAsAny, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from archbench.data import corpora as shipped
from archbench.data.corpus import CorpusSettings
from archbench.errors import did_you_mean

log = logging.getLogger(__name__)

GROUP = "archbench.corpora"
"""The entry-point group."""

_FIRST = "microworld"
"""The kind that recipes mean that name none: for long there was no other."""

_OLD_KEY = "generator"
"""What `kind` was called in recipes and records while there was one kind."""


@cache
def corpora() -> Mapping[str, type[CorpusSettings]]:
    """Settings of every kind of corpus, by name; what cannot be imported is left out with a warning."""
    found: dict[str, type[CorpusSettings]] = {}
    for origin, model in (*_shipped(), *_registered()):
        name = kind_of(model)
        if name is None:
            log.warning("%s is left out: a corpus needs a key kind: Literal[...] with one name", origin)
        elif name in found:
            log.warning("%s is left out: there is a corpus '%s' already", origin, name)
        else:
            found[name] = model
    return found


def kind_of(model: type[CorpusSettings]) -> str | None:
    """The name of a kind of corpus; None where its class has none."""
    field = model.model_fields.get("kind")
    names = get_args(field.annotation) if field else ()
    return names[0] if len(names) == 1 and isinstance(names[0], str) else None


def _shipped() -> Iterator[tuple[str, type[CorpusSettings]]]:
    for module in sorted(pkgutil.iter_modules(shipped.__path__), key=lambda one: one.name):
        loaded = importlib.import_module(f"{shipped.__name__}.{module.name}")
        for value in vars(loaded).values():
            if _is_settings(value) and value.__module__ == loaded.__name__:
                yield loaded.__name__, value


def _registered() -> Iterator[tuple[str, type[CorpusSettings]]]:
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        origin = f"the corpus '{point.name}' of {point.value}"
        try:
            value = point.load()
        except Exception as error:  # whatever a stranger's module raises
            log.warning("%s is left out: %s: %s", origin, type(error).__name__, error)
            continue
        if _is_settings(value):
            yield origin, value
        else:
            log.warning("%s is left out: it is no class of CorpusSettings", origin)


def _is_settings(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, CorpusSettings)


def parse_settings(value: Any) -> Any:
    """Settings of a corpus from the block in a recipe; what are settings already is returned.

    Raises:
        PydanticCustomError: No corpus has such settings. Its context has `errors`, which `resolved` lists.
    """
    if isinstance(value, CorpusSettings) or not isinstance(value, Mapping):
        return value
    given = dict(value)
    if _OLD_KEY in given:
        if "kind" in given:
            raise _wrong(("generator",), "is the older name of kind: keep one of the two")
        given["kind"] = given.pop(_OLD_KEY)
    name = given.setdefault("kind", _FIRST)
    if not isinstance(name, str) or name not in corpora():
        hint = did_you_mean(str(name), corpora(), label="There are")
        raise _wrong(("kind",), f"there is no corpus {name!r}. {hint.rstrip('.')}")
    try:
        return corpora()[name].model_validate(given)
    except ValidationError as error:
        details = [one for each in error.errors(include_url=False) for one in resolved(each)]
        found = [(path, _with_hint(name, "kind" in value, path, text)) for path, text in details]
        raise _several(found) from None


def _with_hint(name: str, named: bool, path: tuple[str | int, ...], text: str) -> str:
    """Add to what pydantic says which keys there are."""
    if not text.startswith("extra inputs"):
        return text
    keys = [key for key in corpora()[name].model_fields if key != "digest"]
    hint = did_you_mean(str(path[-1]), keys, label=f"A corpus of kind {name} has").rstrip(".")
    if named or len(path) > 1:
        return f"{text}. {hint}" if len(path) == 1 else text
    return f"{text}. {hint}, and a corpus without kind is of this one (kind: {', '.join(corpora())})"


def _wrong(path: tuple[str | int, ...], text: str) -> PydanticCustomError:
    return _several([(path, text)])


def _several(found: list[tuple[tuple[str | int, ...], str]]) -> PydanticCustomError:
    text = "; ".join(f"{'.'.join(map(str, path))}: {one}" for path, one in found)
    # Braces would be taken for places to fill.
    return PydanticCustomError("corpus", "{text}", {"text": text, "errors": found})


def resolved(error: ErrorDetails) -> list[tuple[tuple[str | int, ...], str]]:
    """An error of a recipe as keys and messages: those inside of a corpus one by one."""
    if error["type"] == "corpus":
        return [((*error["loc"], *path), text) for path, text in error["ctx"]["errors"]]
    return [(error["loc"], error["msg"][:1].lower() + error["msg"][1:])]


AnyCorpus = Annotated[SerializeAsAny[CorpusSettings], BeforeValidator(parse_settings)]
"""Settings of a corpus of any kind, as a field of a recipe or of another corpus."""
