"""Families: models that are declared comparable, where their weights are, and what was held equal."""

from archbench.registry.audit import audit_family
from archbench.registry.family import Family, FamilyChoice, Member
from archbench.registry.resolve import ResolvedMember, resolve_members
from archbench.registry.search import families, find_family
from archbench.registry.verdict import Audit
from archbench.registry.weights import Files

__all__ = [
    "Audit",
    "Family",
    "FamilyChoice",
    "Files",
    "Member",
    "ResolvedMember",
    "audit_family",
    "families",
    "find_family",
    "resolve_members",
]
