"""Which files a corpus is made of, each known by the hash of its bytes."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from signatures.errors import CorpusError
from signatures.records import valid_text

Kind = Literal["jsonl", "parquet", "text"]

# What a name ends in, `.gz` aside, and how such a file is read.
KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".markdown": "text",
}
_FORMATS = f"{', '.join(KINDS)}, each but .parquet also with .gz"
_BLOCK = 1 << 20
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One file of a corpus.

    Args:
        path: where it is.
        name: its path below the folder that was given, with `/`, or its own name.
        kind: how it is read.
        digest: hash of its bytes.
    """

    path: Path
    name: str
    kind: Kind
    digest: str

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open the file, unpacked where it is packed.

        Raises:
            CorpusError: it cannot be read or unpacked, then or within the block.
        """
        try:
            opened: IO[bytes]
            with (
                gzip.open(self.path) if self.path.suffix.lower() == ".gz" else self.path.open("rb")  # type: ignore[assignment]
            ) as opened:
                yield opened
        except (OSError, EOFError, zlib.error) as error:
            raise unreadable(self.name, error) from error


def corpus_files(path: Path) -> tuple[list[CorpusFile], int]:
    """Return the files of a corpus in the order of their names, and how many others a folder holds.

    A folder is read with all below it; links to folders are not followed, hidden files and folders
    are passed over, files of other formats counted.

    Raises:
        CorpusError: nothing is there, it cannot be read, or holds no file of a known format.
    """
    try:
        there = path.exists()
    except OSError as error:  # a name too long for the system
        raise unreadable(str(path), error) from error
    if not there:
        raise CorpusError.rule(
            "Reading the corpus failed",
            name="--corpus",
            rule="be a file or a folder that exists",
            value=str(path),
            todo="Check the path.",
        )
    found = [path] if not path.is_dir() else list(_below(path))
    named = [(_name(p, path), p, kind_of(p)) for p in found]
    files = [CorpusFile(p, name, kind, _digest(p, name)) for name, p, kind in sorted(named) if kind]
    if not files:
        raise CorpusError.rule(
            "Reading the corpus failed",
            unit=str(path),
            name="its files",
            rule=f"hold one that ends in {_FORMATS}",
            value=[name for name, _, _ in sorted(named)[:5]],
            todo="Give another path, or convert the documents to JSONL with a text column.",
        )
    return files, len(named) - len(files)


def kind_of(path: Path) -> Kind | None:
    """Return how a file is read, by its name; None for other formats."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    kind = KINDS.get("".join(suffixes[-2:-1] if packed else suffixes[-1:]))
    return None if packed and kind == "parquet" else kind


def unreadable(name: str, error: Exception) -> CorpusError:
    """Return the error for a file that the system cannot read."""
    said = getattr(error, "strerror", None) or str(error)
    return CorpusError.rule(
        "Reading the corpus failed",
        unit=name,
        name="the file",
        rule="be readable and whole",
        value=f"{type(error).__name__}: {said}",
        todo="Mend it or leave it out.",
    )


def _below(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise unreadable(str(error.filename), error) from error

    for top, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(top) / name for name in names if not name.startswith("."))


def _name(path: Path, given: Path) -> str:
    return valid_text(path.name if path == given else path.relative_to(given).as_posix())


def _digest(path: Path, name: str) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise unreadable(name, error) from error
    return digest.hexdigest()
