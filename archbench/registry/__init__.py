"""Families: models that are declared comparable, where their weights are, and what was held equal."""

from archbench.registry.family import Family, FamilyChoice, Member
from archbench.registry.resolve import ResolvedMember, resolve_members
from archbench.registry.search import families, find_family

__all__ = [
    "Family",
    "FamilyChoice",
    "Member",
    "ResolvedMember",
    "families",
    "find_family",
    "resolve_members",
]
