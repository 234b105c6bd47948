"""Which layer is of which kind: patterns written out, by shares, or as a repeated block.

    pattern: M-M-*-M-                                   one letter a layer
    pattern: {layers: 56, attention: 0.08, mlp: 0.5}    shares, spread evenly, beginning with Mamba
    pattern: {block: M-M-*-M-, repeat: 4}               as Jamba and its relatives are built

Letters: `M` Mamba, `*` attention, `-` MLP, `E` mixture of experts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archbench.errors import RequestError, did_you_mean

KINDS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
"""What each letter of a pattern means."""

_SHARES = {"layers", "attention", "mlp"}
_BLOCK = {"block", "repeat"}
MOST_LAYERS = 10_000
"""Layers that an architecture may have, and experts in a layer."""


def allocate(layers: int, attention: float = 0.0, mlp: float = 0.0) -> str:
    """Spread attention and MLP layers evenly over a stack that begins with Mamba.

    The rule that NVIDIA's 8B hybrid was laid out by (Waleffe et al. 2024, arXiv 2406.07887; Megatron-LM,
    megatron/core/ssm/mamba_hybrid_layer_allocation.py): the A = round(L·attention) attention layers cut the
    others into A + 1 sections of one length; then Mamba layers at equal distances become
    MLPs. Halves are rounded to the even number.

    Args:
        layers: L, layers in all.
        attention: Share of them that is attention.
        mlp: Share of them that is MLP.

    Returns:
        The pattern, one letter a layer.

    Raises:
        RequestError: The shares do not fit into the layers, or the rule would begin with a layer other than
            Mamba. The latter is what it gives where little Mamba is left (0.5 and 0.5, say, gives MLP first
            and attention layers next to each other): no baseline to compare a hybrid with.
    """
    given = f"pattern: {{layers: {layers}, attention: {attention:g}, mlp: {mlp:g}}}"
    if not 0 < layers <= MOST_LAYERS or not 0 <= attention <= 1 or not 0 <= mlp <= 1:
        raise RequestError(
            f"{given}: layers must lie in 1…{MOST_LAYERS}, attention and mlp are shares, 0 to 1."
        )
    attentions, mlps = round(layers * attention), round(layers * mlp)
    others = layers - attentions
    if mlps > others:
        raise RequestError(
            f"{given}: {attentions} attention and {mlps} MLP layers are more than {layers}. Lower a share."
        )
    placed = ["M"] * layers
    section = others / (attentions + 1)
    left = section
    for at in range(layers):
        if left < 0.5:
            placed[at] = "*"
            left += section
        else:
            left -= 1
    if mlps:
        between = (others - mlps) / mlps
        left = between
        for at in range(layers):
            if placed[at] != "M":
                continue
            if left < 0.5:
                placed[at] = "-"
                left += between
            else:
                left -= 1
    pattern = "".join(placed)
    if pattern[0] != "M":
        raise RequestError(
            f"{given}: the rule for hybrids gives {pattern[:12]}{'…' if layers > 12 else ''}, which does not "
            "begin with Mamba. Leave more Mamba layers, or write the layers out; a Transformer is "
            f'{{block: "*-", repeat: {max(1, layers // 2)}}}.'
        )
    return pattern


def expand_pattern(pattern: Any) -> str:
    """Write a pattern out.

    Args:
        pattern: As in an architecture block: text, `{layers, attention, mlp}` or `{block, repeat}`.

    Returns:
        One letter a layer.

    Raises:
        RequestError: The pattern is of none of these forms.
    """
    if isinstance(pattern, Mapping):
        pattern = _written_out(pattern)
    if isinstance(pattern, str) and len(pattern) > MOST_LAYERS:
        raise RequestError(
            f"architecture: the pattern has {len(pattern):,} layers; at most {MOST_LAYERS:,} are built."
        )
    if not isinstance(pattern, str) or not pattern or set(pattern) - set(KINDS):
        unknown = sorted(set(pattern) - set(KINDS)) if isinstance(pattern, str) else []
        raise RequestError(
            f"architecture: pattern {pattern!r} must be made of {' '.join(KINDS)} (Mamba, attention, MLP, "
            "mixture of experts), one letter a layer"
            + (f"; it holds {' '.join(map(repr, unknown))}." if unknown else ".")
            + " Or give shares, {layers: 56, attention: 0.08, mlp: 0.5}, or {block: M-*-, repeat: 4}."
        )
    return pattern


def _written_out(pattern: Mapping[str, Any]) -> str:
    keys = _BLOCK if "block" in pattern or "repeat" in pattern else _SHARES
    for key in pattern:
        if key not in keys:
            raise RequestError(
                f"architecture: such a pattern has no key '{key}'. "
                + did_you_mean(str(key), keys, label="Its keys")
            )
    numbers = {key: value for key, value in pattern.items() if key != "block"}
    for key, value in numbers.items():
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not (is_whole or (isinstance(value, float) and key in ("attention", "mlp"))):
            raise RequestError(f"architecture: pattern.{key} is {value!r}; expected a number.")
    if keys == _BLOCK:
        repeat = numbers.get("repeat", 1)
        block = pattern.get("block")
        if not isinstance(block, str) or not 1 <= repeat * max(1, len(block)) <= MOST_LAYERS:
            raise RequestError(
                "architecture: such a pattern needs a block and how often it comes: "
                f'{{block: "M-*-", repeat: 4}}, of at most {MOST_LAYERS:,} layers in all.'
            )
        return block * int(repeat)
    if "layers" not in numbers:
        raise RequestError(
            "architecture: a pattern by shares needs the number of layers: "
            "{layers: 56, attention: 0.08, mlp: 0.5}."
        )
    return allocate(**numbers)
