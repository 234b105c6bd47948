"""Wherever a file may have a number, true and false are none, though Python counts them among its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from archbench.registry.family import Family
from archbench.suite import Suite
from archbench.training.recipe import Recipe


def leaves(annotation: Any) -> Iterator[Any]:
    """The plain types in a type."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from leaves(get_args(annotation)[0])
    elif origin in (Union, UnionType, list, tuple, dict):
        for one in get_args(annotation):
            yield from leaves(one)
    elif origin is Literal:
        yield from map(type, get_args(annotation))
    else:
        yield annotation


def fields() -> dict[str, FieldInfo]:
    """All fields of what users write that take numbers and no truth values."""
    found: dict[str, FieldInfo] = {}
    models: list[Any] = [Suite, Family, Recipe]
    for model in models:
        for name, info in model.model_fields.items():
            types = set(leaves(info.annotation))
            models += [
                one
                for one in types
                if isinstance(one, type) and issubclass(one, BaseModel) and one not in models
            ]
            if types & {int, float} and bool not in types:
                found[f"{model.__name__}.{name}"] = info
    return found


FIELDS = fields()


def test_numbers_are_found() -> None:
    assert {"MmluEntry.answer_base", "LmEvalEntry.answer_base", "Claim.value", "Recipe.warmup"} <= {*FIELDS}
    assert len(FIELDS) > 40


@pytest.mark.parametrize("name", sorted(FIELDS))
@pytest.mark.parametrize("value", [True, False])
def test_true_and_false_are_no_numbers(name: str, value: bool) -> None:
    reads = TypeAdapter(Annotated[FIELDS[name].annotation, FIELDS[name]])
    for form in (value, [value], [value, value], {"a": value}):
        with pytest.raises(ValidationError):
            reads.validate_python(form)
