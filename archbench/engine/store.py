"""Answers that outlive the process: requests, and what a model answered to them, in one SQLite file.

A run that is killed loses at most the batch in flight: the same command finds every earlier answer again. An
answer is found by a digest of the model (weights, tokenizer, dtype, engine version), the kind of request and
its tokens and settings, so a changed model or prompt never meets an old one.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archbench.engine.generation.jobs import Generated, Job
from archbench.engine.scoring.rows import Answer, IdPair
from archbench.errors import RunError

VERSION = 1
"""Of the file's layout."""

_LAYOUT = """
CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, logprob REAL, greedy INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS generations (key BLOB PRIMARY KEY, text TEXT, tokens INTEGER) WITHOUT ROWID;
"""
# SQLite takes so many values in one statement, whatever it was compiled with.
_AT_ONCE = 500
_WAIT_SECONDS = 60.0


class RequestStore:
    """Scores and generations by key. Several processes may use one file at a time."""

    def __init__(self, path: Path) -> None:
        """Open a store, made where missing.

        Args:
            path: The file. SQLite keeps two more next to it while it is open (`-wal`, `-shm`).

        Raises:
            RunError: The file is no store, was written by a newer archbench, or cannot be opened.
        """
        self._path = path
        with self._naming_the_file():
            self._file = sqlite3.connect(path, timeout=_WAIT_SECONDS)
            # A power cut may lose the last batches, never the file.
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = NORMAL")
            version = self._file.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise RunError(
                    f"{path} was written by a newer archbench (layout {version}; this one knows {VERSION}). "
                    "Update archbench, or delete the file: it only saves computing again."
                )
            with self._file:
                self._file.executescript(_LAYOUT)
                self._file.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def scores(self, keys: Sequence[bytes]) -> dict[bytes, Answer]:
        """The known among some scores: log-likelihood (nats) and whether it is greedy, by key.

        Raises:
            RunError: The file cannot be read.
        """
        # SQLite keeps what is no number as null; such a score is none, and is computed again.
        return {
            key: (logprob, bool(greedy))
            for key, logprob, greedy in self._known("scores", keys)
            if logprob is not None and math.isfinite(logprob)
        }

    def add_scores(self, found: Mapping[bytes, Answer]) -> None:
        """Keep scores, all or none of them.

        Raises:
            RunError: The file cannot be written.
        """
        self._add("scores", [(key, logprob, int(greedy)) for key, (logprob, greedy) in found.items()])

    def generations(self, keys: Sequence[bytes]) -> dict[bytes, Generated]:
        """The known among some generations, by key.

        Raises:
            RunError: The file cannot be read.
        """
        return {key: Generated(text, tokens) for key, text, tokens in self._known("generations", keys)}

    def add_generations(self, found: Mapping[bytes, Generated]) -> None:
        """Keep generations, all or none of them.

        Raises:
            RunError: The file cannot be written.
        """
        self._add("generations", [(key, one.text, one.tokens) for key, one in found.items()])

    def _known(self, table: str, keys: Sequence[bytes]) -> list[tuple[Any, ...]]:
        rows = []
        with self._naming_the_file():
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows += self._file.execute(f"SELECT * FROM {table} WHERE key IN ({marks})", some).fetchall()
        return rows

    def _add(self, table: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._naming_the_file(), self._file:
            self._file.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?, ?)", rows)

    @contextlib.contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunError(
                f"{self._path}, where answers are kept while a run goes on, cannot be used ({error}). If the "
                "disk has room and the folder is yours to write to, delete the file: it only saves computing "
                "again."
            ) from error


class Answers:
    """The part of a store that belongs to one model; without a store it knows nothing and keeps nothing."""

    def __init__(self, store: RequestStore | None, model: Callable[[], str], ends: Sequence[int]) -> None:
        """Look at a store for a model.

        Args:
            store: The store, if there is one.
            model: Gives the digest of everything about the model that its scores depend on.
            ends: Ids of the tokens that end its generations, which the model's digest leaves out.
        """
        self._store = store
        self._model = model
        self._ends = tuple(ends)

    def scores(self, pairs: Sequence[IdPair]) -> dict[int, Answer]:
        """Known scores by the index of their (context ids, continuation ids)."""
        if self._store is None:
            return {}
        model = self._model()
        keys = [_score_key(model, pair) for pair in pairs]
        known = self._store.scores(list(dict.fromkeys(keys)))
        return {index: known[key] for index, key in enumerate(keys) if key in known}

    def keep_scores(self, pairs: Sequence[IdPair], found: Mapping[int, Answer]) -> None:
        """Keep scores of some of the pairs."""
        if self._store is not None:
            model = self._model()
            self._store.add_scores({_score_key(model, pairs[index]): one for index, one in found.items()})

    def generations(self, jobs: Iterable[Job]) -> dict[Job, Generated]:
        """Known generations."""
        if self._store is None:
            return {}
        model = self._model()
        keys = {self._generation_key(model, job): job for job in jobs}
        return {keys[key]: found for key, found in self._store.generations(list(keys)).items()}

    def keep_generations(self, found: Mapping[Job, Generated]) -> None:
        """Keep generations."""
        if self._store is not None:
            model = self._model()
            self._store.add_generations({self._generation_key(model, job): one for job, one in found.items()})

    def _generation_key(self, model: str, job: Job) -> bytes:
        return _digest(f"generate {model} {self._ends!r} {job[1:]!r}", job.prompt)


def _score_key(model: str, pair: IdPair) -> bytes:
    context, continuation = pair
    return _digest(f"score {model} {len(context)}", (*context, *continuation))


def _digest(head: str, tokens: Sequence[int]) -> bytes:
    digest = hashlib.blake2b(f"{len(head)}:{head}".encode("utf-8", "surrogatepass"), digest_size=20)
    digest.update(np.asarray(tokens, dtype="<u4").tobytes())
    return digest.digest()
