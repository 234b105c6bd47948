"""From a parsed YAML file to a typed object, or to one paragraph that says what is wrong with the file.

pydantic finds what is wrong; here it is told in the words of the file: file and line, the key as the user
wrote it, what was expected, what was found, and the nearest valid name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from archbench.errors import RequestError, did_you_mean
from archbench.formats.yaml_file import Document, KeyPath, Origin, dotted, found

_SHOWN = 5
_EXPECTED = {
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "list_type": "a list, like [a, b]",
    "tuple_type": "a list, like [a, b]",
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "int_from_float": "a whole number",
    "finite_number": "a finite number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}


def _path_safe(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise ValueError(
            f"the name {name!r} is also used for files, so it begins with a letter or digit and goes on with "
            "letters, digits and . _ + -"
        )
    return name


Name = Annotated[str, Field(max_length=100), AfterValidator(_path_safe)]
"""A name that is also used for files and columns."""


def _no_truth_value(expected: str) -> BeforeValidator:
    """What refuses true and false, which pydantic takes for 1 and 0."""

    def check(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"it is {str(value).lower()}; expected {expected}")
        return value

    return BeforeValidator(check)


Whole = _no_truth_value("a whole number")
"""Refuses true and false where a whole number is meant."""
Number = _no_truth_value("a number")
"""Refuses true and false where any number is meant."""
Claimed = _no_truth_value("text or a number")
"""Refuses true and false where text or a number is meant."""

Title = Annotated[str, Field(max_length=200)]
"""A title for tables, figures and lists."""
Address = Annotated[str, Field(max_length=2000)]
"""Where something is: a path, a hub id or a URL."""
_MOST_TEXT = 10_000
"""Characters of any other text in a file."""

# Upper ends are far beyond any real use: they stop a typing error before it hangs a plan or fills a disk.
Tokens = Annotated[int, Whole, Field(ge=1, le=2**22)]
"""A length of one prompt or text, in tokens."""
Count = Annotated[int, Whole, Field(ge=1, le=10**6)]
"""A number of items, books, windows or entries."""
Shots = Annotated[int, Whole, Field(ge=0, le=1000)]
"""A number of examples in a prompt."""
Seed = Annotated[int, Whole, Field(ge=0, le=2**63 - 1)]
"""A seed of drawn items or of first weights."""
Large = Annotated[int, Whole, Field(ge=1, le=2**50)]
"""A number of bytes or of training tokens."""


class YamlModel(BaseModel):
    """Base of everything users write as a YAML file: unknown keys are refused, and values know their line."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    _document: Document | None = PrivateAttr(default=None)

    def where(self, *path: str | int) -> str:
        """File and line of the value at `path`, for an error that is found after reading."""
        return str(self._document.where(path)) if self._document else f"'{dotted(path)}'"

    @property
    def file(self) -> Path | None:
        """The file; None for data that came from none."""
        return self._document.file if self._document else None

    @property
    def folder(self) -> Path:
        """Folder of the file, which the relative paths in it start from; the current one without a file."""
        return (self._document and self._document.folder) or Path()


Model = TypeVar("Model", bound=YamlModel)


def validate(model: type[Model], document: Document) -> Model:
    """Make `model` from a parsed file.

    Raises:
        RequestError: If the file does not fit the model; lists every wrong key (the first few where many).
    """
    try:
        made = model.model_validate(document.value)
    except ValidationError as error:
        if _as_given(error, model, document):
            return validate(model, document)
        # A message repeats what it is about, unless that is known to be too long.
        if all(one["type"] != "string_too_long" for one in error.errors()):
            _check_texts(document, document.value)
        raise RequestError(explain(error, model, document)) from None
    _check_texts(document, document.value)
    made._document = document
    return made


def _check_texts(document: Document, value: Any, path: KeyPath = ()) -> None:
    """Refuse texts, keys included, that are longer than any setting: they would only fail later.

    Raises:
        RequestError: There is one; says where.
    """
    if isinstance(value, dict):
        for key, one in value.items():
            _check_texts(document, key, path)
            _check_texts(document, one, (*path, key))
    elif isinstance(value, list | tuple):
        for at, one in enumerate(value):
            _check_texts(document, one, (*path, at))
    elif isinstance(value, str) and len(value) > _MOST_TEXT:
        key = f"'{dotted(path)}' has a text" if path else "there is a text"
        raise RequestError(
            f"{document.where(path)}: {key} of {len(value):,} characters ({value[:30]!r}...); expected at "
            f"most {_MOST_TEXT:,} characters."
        )


def _as_given(error: ValidationError, model: type[BaseModel], document: Document) -> bool:
    """Put texts of `--set` where something else was read and text is wanted; say whether there were any."""
    given = False
    for detail in error.errors(include_url=False):
        path, _ = _locate(model, detail["loc"])
        if detail["type"] == "string_type" and path in document.texts:
            text = document.texts[path]
            document.set(path, text, document.where(path))
            given = True
    return given


def explain(error: ValidationError, model: type[BaseModel], document: Document) -> str:
    """Say in one paragraph where the file does not fit the model."""
    told: dict[KeyPath, tuple[Origin, str]] = {}
    for detail in error.errors(include_url=False):
        path, annotation = _locate(model, detail["loc"])
        if detail["type"].startswith("union_tag_"):
            path = (*path, detail["ctx"]["discriminator"].strip("'"))
        # A union reports one error per alternative: the first one stands for the value.
        told.setdefault(path, (document.where(path), _say(detail, path, annotation)))
    wrong = sorted(told.values(), key=lambda one: (one[0].source, one[0].line or 0))
    if len(wrong) == 1:
        return f"{wrong[0][0]}: {wrong[0][1]}"
    lines = [f"  - {origin}: {text}" for origin, text in wrong[:_SHOWN]]
    more = f"\n  - and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return f"{document.where(()).source}: {len(wrong)} things are wrong:\n" + "\n".join(lines) + more


def _say(detail: ErrorDetails, path: KeyPath, annotation: Any) -> str:
    """One error in the words of the file."""
    kind, key, given = detail["type"], dotted(path), detail["input"]
    context = detail.get("ctx", {})
    parent = dotted(path[:-1])
    if kind == "missing":
        return f"'{key}' is missing."
    if kind == "extra_forbidden":
        of = f"'{parent}'" if parent else "a file of this kind"
        hint = did_you_mean(str(path[-1]), _fields(annotation), label="Its keys")
        return f"'{key}' is not a key of {of}. {hint}"
    if kind == "union_tag_not_found":
        hint = did_you_mean("", _tags(annotation, str(path[-1])), label="It may be")
        return f"'{key}' is missing. {hint}"
    if kind == "union_tag_invalid":
        hint = did_you_mean(str(context["tag"]), _tags(annotation, str(path[-1])), label="It may be")
        return f"'{key}' is {found(context['tag'])}, which does not exist. {hint}"
    if kind in ("literal_error", "enum"):
        near = get_close_matches(str(given), re.findall(r"'([^']*)'", context["expected"]), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        return f"'{key}' is {found(given)}; expected {context['expected']}.{hint}"
    if kind == "string_too_long":
        return f"'{key}' has {len(given):,} characters; expected at most {context['max_length']} characters."
    if kind in ("too_short", "too_long"):
        most = kind == "too_long"
        number = context["max_length" if most else "min_length"]
        return f"'{key}' is {found(given)}; expected at {'most' if most else 'least'} {number} of them."
    if kind == "value_error":
        return f"'{key}': {context['error']}." if key else f"{context['error']}."
    expected = _EXPECTED.get(kind) or re.sub(r"^Input should (be|have) ", "", detail["msg"])
    return f"'{key}' is {found(given)}; expected {expected}."


def _locate(model: type[BaseModel], loc: Iterable[str | int]) -> tuple[KeyPath, Any]:
    """Key path in the file for pydantic's location, which also names union members on the way.

    Returns:
        The path, and the type that the schema expects there (for an unknown key: the model it is in).
    """
    path: list[str | int] = []
    here: Any = model
    for step in loc:
        here, discriminator = _bare(here)
        if step == "[key]":
            continue
        if isinstance(here, type) and issubclass(here, BaseModel):
            path.append(step)
            info = here.model_fields.get(str(step))
            here = _with_discriminator(info) if info else here
        elif get_origin(here) in (dict, list, tuple, set):
            path.append(step)
            here = get_args(here)[-1] if get_origin(here) is dict else get_args(here)[0]
        elif get_origin(here) in (Union, UnionType):
            here = _alternative(here, step, discriminator)
        else:
            here = Any
    return tuple(path), here


def _with_discriminator(info: FieldInfo) -> Any:
    return Annotated[info.annotation, info] if info.discriminator else info.annotation


def _bare(annotation: Any) -> tuple[Any, str | None]:
    """Take `Annotated` and `| None` off a type; also tell the name of its discriminator."""
    discriminator = None
    if get_origin(annotation) is Annotated:
        annotation, *notes = get_args(annotation)
        found_here = [n.discriminator for n in notes if isinstance(n, FieldInfo) and n.discriminator]
        discriminator = found_here[0] if found_here else None
    if get_origin(annotation) in (Union, UnionType):
        left = [a for a in get_args(annotation) if a is not type(None)]
        if len(left) == 1:
            return _bare(left[0])
    return annotation, discriminator if isinstance(discriminator, str) else None


def _alternative(union: Any, label: str | int, discriminator: str | None) -> Any:
    """Member of a union that pydantic's label means."""
    for one in get_args(union):
        if discriminator and label in _literals(one, discriminator):
            return one
        if getattr(one, "__name__", None) == label or str(one) == label:
            return one
    return Any


def _literals(model: Any, name: str) -> tuple[Any, ...]:
    info = model.model_fields.get(name)
    return get_args(info.annotation) if info and get_origin(info.annotation) is Literal else ()


def _tags(annotation: Any, discriminator: str) -> list[str]:
    """Values that the discriminator of a union may have."""
    bare, _ = _bare(annotation)
    members = get_args(bare) if get_origin(bare) in (Union, UnionType) else (bare,)
    return [tag for one in members for tag in _literals(one, discriminator)]


def _fields(annotation: Any) -> list[str]:
    bare, _ = _bare(annotation)
    return list(bare.model_fields) if isinstance(bare, type) and issubclass(bare, BaseModel) else []
