"""Where a member's files are, and what they say it is: nothing is loaded to learn which cells are there."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from archbench.checkpoint import has_tokenizer
from archbench.errors import RequestError
from archbench.hub import snapshot
from archbench.identity import digest, model_contents, tokenizer_contents
from archbench.registry import ResolvedMember
from archbench.registry.sources import check_model_folder


def localize(member: ResolvedMember, *, download: bool = True) -> tuple[Path | None, Path | None]:
    """Folders of a member's weights and tokenizer, fetched from the hub where they are named by id.

    Args:
        member: The member.
        download: Whether to fetch what is not in the local hub cache.

    Returns:
        Folder of the weights (None for a `random` member and where a backend's arguments name the model) and
        of the tokenizer (None where such a backend brings its own). None for both where a hub model is not in
        the cache and `download` is off.

    Raises:
        RequestError: If the hub does not give a model or tokenizer.
    """
    weights = None
    if member.source is not None:
        weights = (
            Path(member.source) if member.member.hub is None else _snapshot(member, download, weights=True)
        )
        if weights is None:
            return None, None
        if member.member.hub is not None:
            check_model_folder(weights, f"Member '{member.name}' ({member.member.hub})")
    if member.tokenizer is None and member.source is None:
        return None, None
    if member.tokenizer is None:
        tokenizer = weights
    elif Path(member.tokenizer).is_dir():
        tokenizer = Path(member.tokenizer)
    else:
        tokenizer = _snapshot(member, download, weights=False)
    if tokenizer is None:
        return None, None
    if not has_tokenizer(tokenizer):
        how = f"--set members.{member.name}.tokenizer=FOLDER_OR_HUB_ID"
        if member.family is not None:
            how = f"`tokenizer: FOLDER_OR_HUB_ID` in the file of the family '{member.family}'"
        raise RequestError(
            f"The hub model {member.source} of member '{member.name}' brings no tokenizer. Name one: {how}."
        )
    return weights, tokenizer


def not_cached(member: ResolvedMember) -> list[str]:
    """Hub ids of weights and tokenizer that a run would have to download.

    Raises:
        RequestError: If an id is none that a hub could have.
    """
    wanted = []
    if member.member.hub is not None:
        wanted.append((member.member.hub, True))
    if member.tokenizer is not None and not Path(member.tokenizer).is_dir():
        wanted.append((member.tokenizer, False))
    return [name for name, weights in wanted if _snapshot(member, download=False, weights=weights) is None]


def member_identity(member: ResolvedMember, weights: Path | None, tokenizer: Path | None) -> str | None:
    """Digest of everything that a member's answers depend on: configs, weights and tokenizer, byte by byte.

    A `random` member is a function of its architecture and seed, and of the code that draws its weights; what
    a backend's arguments name is known by its name alone. None where the files are not here.
    """
    said = member.member
    if said.backend is not None and member.source is None:
        model: Any = None
    elif tokenizer is None:
        return None
    elif weights is not None:
        model = model_contents(weights)
    else:
        model = [said.architecture, said.seed, version("torch")]
    parts = [model, tokenizer_contents(tokenizer, weights) if tokenizer is not None else None]
    # Settings of a backend may all change an answer; without one, the digest is what it always was.
    return digest([*parts, said.backend, said.arguments] if said.backend is not None else parts)


def _snapshot(member: ResolvedMember, download: bool, *, weights: bool) -> Path | None:
    """Local folder of a hub repository at one commit."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    repository = member.source if weights else member.tokenizer
    revision = member.member.revision if weights else None
    try:
        return snapshot(str(repository), revision=revision, weights=weights, download=download)
    except LocalEntryNotFoundError as error:
        if not download:
            return None
        raise _not_given(member, repository, error) from None
    except Exception as error:
        raise _not_given(member, repository, error) from None


def _not_given(member: ResolvedMember, repository: str | None, error: Exception) -> RequestError:
    reason = " ".join(str(error).split())[:300]
    return RequestError(
        f"Member '{member.name}': there is no folder {repository} here, so it was taken for a hub id, and "
        f"the hub did not give it ({type(error).__name__}: {reason}). For a local model, write its folder."
    )
