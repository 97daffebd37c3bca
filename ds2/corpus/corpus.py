"""A corpus that a run can search: its index is found in the cache, grown, or made.

An index lies under a key of all that it is made from (names and hashes of the files, column, versions
of cut, index and tantivy) and is never changed: a run that reads it is not disturbed by another that
comes with new files. Where files were only added since this path was last indexed, the old index is
copied (by links, where the disk can) and the new passages are added; where one was changed or taken
away, all is indexed anew. An index of another version has another key and is left alone.
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2.config import CorpusConfig
from ds2.corpus.documents import documents
from ds2.corpus.files import CorpusFile, corpus_files
from ds2.corpus.index import PassageIndex, engine_version, write
from ds2.corpus.passages import CUT_VERSION, passages
from signatures.errors import CorpusError
from signatures.records import Passage, content_id

_FACTS, _IDS, _INDEX = "corpus.json", "passages.ids", "index"
_BUILDING = ".building-"
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus, ready to be searched.

    Args:
        id: hash of its passages, and of the versions that decide what a search returns: part of a
            run's identity. Where the files lie and what they are called does not count.
        index: what is searched.
        passages: how many there are; the same text twice counts once.
        documents: how many they were cut from.
        files: how many those were read from.
        passed_over: files of other formats in the folder.
        how: `made`, `grown` or `found`.
    """

    id: str
    index: PassageIndex
    passages: int
    documents: int
    files: int
    passed_over: int
    how: str

    @property
    def facts(self) -> dict[str, Any]:
        """Return what it is as plain data, without a path."""
        counts = {"passages": self.passages, "documents": self.documents, "files": self.files}
        return {"id": self.id, **counts}


def open_corpus(config: CorpusConfig, tell: Callable[[str], None] | None = None) -> Corpus:
    """Return the corpus, indexed.

    Args:
        config: where it is, which column, where indexes are kept.
        tell: told in a sentence before an index is made, for it may take a while.

    Raises:
        CorpusError: it cannot be read, is empty, cannot be indexed, or tantivy is not installed.
    """
    versions = f"{engine_version()}, cut {CUT_VERSION}"
    given = Path(config.path)
    files, passed_over = corpus_files(given)
    made_of = [[file.name, file.kind, file.digest] for file in files]
    root = cache_folder(config.index)
    folder = root / content_id([versions, config.column, made_of])
    # Which index this path had last, to grow it.
    pointer = root / f"{content_id([versions, config.column, str(given.resolve())])}.last"
    how, facts = "found", _facts(folder)
    if facts is None:
        with _keeping(root):
            root.mkdir(parents=True, exist_ok=True)
            base = _base(root, pointer, files)
            how = "grown" if base else "made"
            if tell is not None:
                tell(f"Indexing {given} ({len(files):,} file{'s' * (len(files) > 1)}).")
            facts = _build(root, folder, base, files, config, versions)
            pointer.write_text(folder.name, encoding="utf-8")
    return Corpus(
        id=facts["id"],
        index=PassageIndex(folder / _INDEX),
        passages=facts["passages"],
        documents=facts["documents"],
        files=len(files),
        passed_over=passed_over,
        how=how,
    )


def cache_folder(index: str | None = None) -> Path:
    """Return where indexes are kept.

    The first there is of: `index` (`--corpus-index`); `corpus` below the variable `DS2_CACHE`; `ds2/corpus`
    below `XDG_CACHE_HOME`, below `~/.cache`.
    """
    if index is not None:
        return Path(index)
    if own := os.environ.get("DS2_CACHE"):
        return Path(own) / "corpus"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ds2" / "corpus"


def _facts(folder: Path) -> dict[str, Any] | None:
    """Return what an index says of itself; None where there is none that can be read."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        PassageIndex(folder / _INDEX)
    except (OSError, ValueError):
        return None
    return dict(facts)


def _base(root: Path, pointer: Path, files: list[CorpusFile]) -> Path | None:
    """Return the index that this path had last, where files were only added since."""
    try:
        base = root / pointer.read_text(encoding="utf-8")
    except OSError:
        return None
    facts = _facts(base)
    there = {file.name: file.digest for file in files}
    if facts is None or any(there.get(n) != d for n, d in facts["read"].items()):
        return None
    return base


def _build(
    root: Path,
    folder: Path,
    base: Path | None,
    files: list[CorpusFile],
    config: CorpusConfig,
    versions: str,
) -> dict[str, Any]:
    """Make an index beside its place and move it there; a kill leaves the place as it was."""
    _sweep(root)
    # Not by tempfile, whose folders nobody else may read: a cache may be shared.
    temp = root / f"{_BUILDING}{uuid.uuid4().hex}"
    temp.mkdir()
    try:
        known: set[str] = set()
        before: Mapping[str, Any] = {"read": {}, "documents": 0}
        if base is not None:
            shutil.copytree(base / _INDEX, temp / _INDEX, copy_function=_link)
            known.update((base / _IDS).read_text(encoding="ascii").split())
            before = _facts(base) or before
        added = [file for file in files if file.name not in before["read"]]
        reader = _Reader(added, config.column, known)
        write(temp / _INDEX, reader.passages())
        ids = sorted(known)
        if not ids:
            raise _empty(config, files)
        facts = {
            "id": content_id([versions, ids]),
            "versions": versions,
            "passages": len(ids),
            "documents": before["documents"] + reader.documents,
            "read": {file.name: file.digest for file in files},
        }
        (temp / _IDS).write_text("\n".join(ids), encoding="ascii")
        (temp / _FACTS).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
        _move(temp, folder)
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    return facts


class _Reader:
    """The new passages of some files; counts documents, and notes the ids it has seen."""

    def __init__(self, files: list[CorpusFile], column: str | None, known: set[str]) -> None:
        self.documents = 0
        self._files, self._column, self._known = files, column, known

    def passages(self) -> Iterator[Passage]:
        for file in self._files:
            for document in documents(file, self._column):
                self.documents += 1
                for passage in passages(document):
                    if passage.id not in self._known:
                        self._known.add(passage.id)
                        yield passage


def _sweep(root: Path) -> None:
    """Remove what a process that was killed while it indexed left more than a day ago."""
    for left in root.glob(f"{_BUILDING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _DAY_S:
                shutil.rmtree(left, ignore_errors=True)


def _move(temp: Path, folder: Path) -> None:
    """Put a finished index in its place, over what is damaged there."""
    if folder.exists() and _facts(folder) is None:
        shutil.rmtree(folder)
    try:
        temp.rename(folder)
    except OSError:
        if _facts(folder) is None:  # otherwise another process was first, with the same
            raise


def _link(source: str, target: str) -> str:
    """Link a file where the disk can, else copy it: the files of a segment are never changed."""
    # What tantivy replaces or locks must not be shared with the index it was copied from.
    if not Path(source).name.startswith(".") and Path(source).name != "meta.json":
        with suppress(OSError):
            os.link(source, target)
            return target
    return str(shutil.copy2(source, target))


@contextmanager
def _keeping(root: Path) -> Iterator[None]:
    """Map what the disk says while an index is made to an error about the cache folder."""
    try:
        yield
    except (OSError, ValueError) as error:  # tantivy's errors are ValueErrors
        raise CorpusError.rule(
            "Indexing the corpus failed",
            unit=str(root),
            name="the folder for indexes",
            rule="be writable, with room on the disk",
            value=f"{type(error).__name__}: {error}",
            todo="Choose another with --corpus-index DIR, or the variable DS2_CACHE.",
        ) from error


def _empty(config: CorpusConfig, files: list[CorpusFile]) -> CorpusError:
    return CorpusError.rule(
        "Reading the corpus failed",
        unit=config.path,
        name="its documents",
        rule="hold text",
        value=f"{len(files)} file{'s' * (len(files) > 1)} without any",
        todo="Give another path, or name the column that holds the text with --corpus-column.",
    )
