"""Where an export goes, and what it may not overwrite: the dataset itself and the run's own files."""

from __future__ import annotations

from pathlib import Path

from ds2.lock import LOCK_NAME
from ds2.output.exports import ExportFormat, Split
from ds2.output.exports.selection import WHOLE
from ds2.output.files import writing
from ds2.runtime.lastword import LAST_WORD_NAME
from ds2.runtime.summary import SUMMARY_NAME
from ds2.store import STORE_NAME
from signatures.errors import OutputError

_SQLITE = tuple(
    f"{name}{ending}"
    for name in (STORE_NAME, LOCK_NAME)
    for ending in ("", "-wal", "-shm", "-journal")
)
OWN_FILES = frozenset(
    (*_SQLITE, "config.json", "keywords.json", "passages.jsonl", SUMMARY_NAME, LAST_WORD_NAME)
)
"""What `ds2 run` keeps in its folder beside `dataset/`."""
_KEPT = OWN_FILES | {"dataset"}


def destinations(
    run: Path, dataset: Path, out: Path | None, chosen: ExportFormat, splits: tuple[Split, ...]
) -> dict[str, Path]:
    """Return the file of each split.

    Args:
        run: a run folder, or a dataset folder itself.
        dataset: its dataset folder.
        out: the file, or with a split the stem of the files; None means the dataset folder's name
            and the format's ending, beside that folder.
        chosen: the format; a file that it writes beside is looked at too.
        splits: the parts.

    Raises:
        OutputError: one of them is a folder, lies in a run's dataset folder, or is a file of a run
            or of another split.
    """
    path = _default(dataset, chosen) if out is None else out
    paths = {WHOLE[0].name: path}
    if splits != WHOLE:
        stem, dot, ending = path.name.partition(".")
        paths = {s.name: path.with_name(f"{stem}.{s.name}{dot}{ending}") for s in splits}
    beside = [path.with_name(chosen.companion[0])] if chosen.companion else []
    seen: set[str] = set()
    for file in (*paths.values(), *beside):
        with writing(file):
            place, home = file.resolve(), dataset.resolve()
            free = not (file.is_dir() or _is_own(file.absolute(), home) or _is_own(place, home))
        if not free or _folded(place) in seen:
            raise OutputError.rule(
                "Exporting failed",
                unit=str(run),
                name="--out",
                rule="name files outside the dataset folder, none of them a run's own",
                value=str(file),
                todo="Name another file, such as rows.json.",
            )
        seen.add(_folded(place))
    return paths


def _default(dataset: Path, chosen: ExportFormat) -> Path:
    # A folder given as `.` has a name only once it is resolved.
    folder = dataset if dataset.name not in {"", ".."} else dataset.resolve()
    return folder.with_name(f"{folder.name}{chosen.suffix}")


def _is_own(place: Path, dataset: Path) -> bool:
    """Return whether a file lies in a dataset folder, or is one of those that a run keeps."""
    home = _folded(dataset)
    steps = (place, *place.parents)
    return any(_folded(step) == home for step in steps) or any(
        step.name.casefold() in _KEPT and (step.parent / STORE_NAME).is_file() for step in steps
    )


def _folded(path: Path) -> str:
    # Where a disk tells no case apart, `Store.sqlite` is the run's store too.
    return str(path).casefold()
