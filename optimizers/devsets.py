"""Dev sets: a few questions, mostly with answers, that prompts are judged on.

A set of keyword lists, for the judge of keywords, has no questions; its rows are split by their lists.

A set is split into train, val and test by a hash of the question, so that a question keeps its side
when rows are added; near-duplicates (`optimizers.similarity`) are kept on one side, that of the
smallest hash among them. What is optimised on train and val is judged on test. A row that repeats another
is dropped, for it says nothing more; rows that contradict each other are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from optimizers.labels import (
    LIST_COLUMNS,
    PAIR_COLUMNS,
    QUESTION_COLUMNS,
    ListLabel,
    QuestionLabel,
    holds_lists,
    list_label,
    pair_in,
    question_label,
    same_in,
    text_of,
    words_of,
)
from optimizers.rowfiles import RowAt, read_rows, refuse
from optimizers.similarity import NearIndex, clusters
from programs.equivalence import read_answer
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError
from signatures.records import content_id
from signatures.task import AnswerKind, TaskSpec

COLUMNS = (
    "question", "answer", "context", "options", "keywords", "level", "labelled_by",
    *PAIR_COLUMNS, *QUESTION_COLUMNS, *LIST_COLUMNS,
)  # fmt: skip
TRAIN, VAL = 0.35, 0.25  # the rest is test
MOST_UNREADABLE = 0.1
_SHOWN = 8
_LENGTH = 170  # a message shows 200 characters of a value


@dataclass(frozen=True, slots=True)
class DevRow:
    """One question of a dev set, or one keyword list.

    Args:
        question: what is asked; empty for a keyword list.
        answer: the right answer as it was given; None in a set without answers.
        key: the answer as it is compared; None without an answer.
        context: the text it is about, where the task has one.
        options: the texts of the options, where the task has them.
        keywords: what it was written for, where that is known.
        level: its level, where that is known.
        pair: two answers to it, where the set is for the judge of answers.
        same: whether those two say the same.
        check: what a judge of questions should say of it, where the set is for that judge.
        faults: what a judge of keywords should say of `keywords`, for a keyword list.
        where: where it stands in its source.
    """

    question: str
    answer: str | None = None
    key: str | None = None
    context: str = ""
    options: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    level: BloomLevel | None = None
    pair: tuple[str, str] | None = None
    same: bool | None = None
    check: QuestionLabel | None = None
    faults: ListLabel | None = None
    where: str = ""


@dataclass(frozen=True, slots=True)
class DevSet:
    """The rows of a dev set.

    Args:
        source: where they come from.
        rows: the rows that can be used.
        labelled: whether they have answers.
        labelled_by: who gave the answers, where the source says so: a self-labelled set holds what a
            model answered most often, not what is right.
        unreadable: the rows left out because their answer cannot be read: `dev.jsonl, line 3: ...`.
        repeated: the rows left out because another one is the same: `dev.jsonl, line 3`.
    """

    source: str
    rows: tuple[DevRow, ...]
    labelled: bool
    labelled_by: str = ""
    unreadable: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def paired(self) -> bool:
        """Return whether every row holds two answers and whether they say the same."""
        return bool(self.rows) and all(row.pair and row.same is not None for row in self.rows)

    @property
    def checked(self) -> bool:
        """Return whether every row says what a judge of questions should say of it."""
        return bool(self.rows) and all(row.check for row in self.rows)

    @property
    def listed(self) -> bool:
        """Return whether the rows are keyword lists with their faults, and no questions."""
        return bool(self.rows) and all(row.faults for row in self.rows)

    @property
    def id(self) -> str:
        """Return the hash of what is in the set, not of where it lies."""
        rows: list[list[Any]] = [
            [r.question, r.key, r.context, list(r.options), r.level] for r in self.rows
        ]
        rows += [[*r.pair, r.same] for r in self.rows if r.pair]
        rows += [["keywords", *r.keywords] for r in self.rows if r.keywords]
        return content_id(rows + [[r.check, r.faults] for r in self.rows if r.check or r.faults])


class Split(NamedTuple):
    """The three sides of a dev set."""

    train: tuple[DevRow, ...]
    val: tuple[DevRow, ...]
    test: tuple[DevRow, ...]

    @property
    def different(self) -> tuple[int, int, int]:
        """Return how many rows each side has, near-duplicates counted once."""
        train, val, test = (len(set(clusters([_asked(row) for row in side]))) for side in self)
        return train, val, test


def load_devset(source: str, task: TaskSpec, *, columns: Mapping[str, str] | None = None) -> DevSet:
    """Return the dev set in `source`, its answers read in the task's format.

    Args:
        source: see `optimizers.rowfiles.read_rows`.
        columns: what our columns are called there, such as `{"question": "prompt"}`.

    Raises:
        ConfigError: the source or a column is missing, a row has no question, more than a tenth of
            the answers cannot be read, or rows contradict each other (which ones).
    """
    rows = read_rows(source)
    names = _names(source, rows, task, columns or {})
    kept, unreadable = [], []
    for row in rows:
        made = _row(source, row, names, task)
        if made.answer is not None and made.key is None:
            unreadable.append(f"{row.where}: {made.answer[:60]!r}")
        else:
            kept.append(made)
    if len(unreadable) > MOST_UNREADABLE * len(rows):
        refuse(
            source,
            f"hold answers that read as {task.answer.kind.value}, nine tenths of them at least",
            listed(unreadable),
            f"Mend the {len(unreadable)} rows, or name another column with --columns answer=NAME.",
        )
    kept, repeated = _distinct(source, kept)
    by = {str(row.values.get(names["labelled_by"]) or "") for row in rows}
    return DevSet(
        source=source,
        rows=tuple(kept),
        labelled="answer" in names and all(row.key is not None for row in kept),
        labelled_by="; ".join(sorted(by - {""})),
        unreadable=tuple(unreadable),
        repeated=repeated,
    )


def left_out(devset: DevSet) -> list[str]:
    """Return how many rows of a dev set were left out, why, and which, a sentence each."""
    found = (
        (devset.unreadable, "their answers unreadable"),
        (devset.repeated, "repeats of others"),
    )
    return [
        f"{len(rows)} dev rows were left out, {why}: {listed(rows)}." for rows, why in found if rows
    ]


def _distinct(source: str, rows: Sequence[DevRow]) -> tuple[list[DevRow], tuple[str, ...]]:
    """Return the rows without those that repeat an earlier one, and where the repeats stand.

    Raises:
        ConfigError: rows that ask the same are labelled otherwise.
    """
    first: dict[tuple[Any, ...], DevRow] = {}
    kept, repeated, against = [], [], []
    for row in rows:
        one = first.setdefault(_asks(row), row)
        if one is row:
            kept.append(row)
        elif any(None not in said and len(set(said)) > 1 for said in _labels(one, row)):
            against.append(f"{row.where} against {one.where}")
        elif row.keywords == one.keywords:
            repeated.append(row.where)
        else:
            kept.append(row)
    if against:
        refuse(
            source,
            "say one thing of the same question",
            listed(against),
            f"Mend or remove those {len(against)} rows, or the ones that they contradict.",
        )
    return kept, tuple(repeated)


def _asks(row: DevRow) -> tuple[Any, ...]:
    """Return what a row is labelled for; two with the same must have the same labels."""
    if row.faults is not None:
        return row.faults.wanted, row.keywords
    return row.context, row.question, row.options, row.pair, row.keywords if row.check else None


def _labels(one: DevRow, other: DevRow) -> list[tuple[Any, Any]]:
    """Return the labels of two rows, kind by kind."""
    pairs = ((r.key, r.level, r.same, r.check, r.faults) for r in (one, other))
    return list(zip(*pairs, strict=True))


def split_devset(rows: Sequence[DevRow]) -> Split:
    """Return the three sides: 35 % train, 25 % val and 40 % test in expectation."""
    hashes = [_hash_share(row) for row in rows]
    leaders = clusters([_asked(row) for row in rows])
    smallest: dict[int, float] = {}
    for leader, share in zip(leaders, hashes, strict=True):
        smallest[leader] = min(smallest.get(leader, 1.0), share)
    sides: tuple[list[DevRow], ...] = ([], [], [])
    for row, leader in zip(rows, leaders, strict=True):
        share = smallest[leader]
        sides[0 if share < TRAIN else 1 if share < TRAIN + VAL else 2].append(row)
    return Split(*map(tuple, sides))


def leaks(split: Split) -> tuple[str, ...]:
    """Return the rows that are near to one of another side; none, for any split made here."""
    found = []
    for name, one in split._asdict().items():
        others = [row for side in split if side is not one for row in side]
        index = NearIndex(map(_asked, others))
        found += [f"{name}: {row.where}" for row in one if index.near(_asked(row))]
    return tuple(found)


def refuse_overlap(
    devset: DevSet, benchmark: str, *, columns: Mapping[str, str] | None = None
) -> None:
    """Refuse a dev set that shares questions, or near ones, with a benchmark.

    Raises:
        ConfigError: it does (which rows), or the benchmark cannot be read.
    """
    question = (columns or {}).get("question", "question")
    rows = read_rows(benchmark)
    texts = [str(row.values.get(question) or "") for row in rows]
    if not any(texts):
        refuse(benchmark, f"have a column {question!r}", sorted(rows[0].values))
    index = NearIndex(texts)
    shared = [row.where for row in devset.rows if row.question and index.near(row.question)]
    if shared:
        shown = listed(shared)
        raise ConfigError.rule(
            "Checking the dev set against the benchmark failed",
            unit=devset.source,
            name="its questions",
            rule=f"not stand in {benchmark}, alike or nearly so",
            value=f"{len(shared)} of {len(devset.rows)}: {shown}",
            todo="Leave those rows out: prompts would be tuned on what they are judged by later.",
        )


def parse_columns(text: str | None) -> dict[str, str]:
    """Return a column map written as `question=prompt,answer=label`.

    Raises:
        ConfigError: it is written otherwise, or names a column of ours that there is not.
    """
    pairs = {}
    for part in (text or "").split(","):
        ours, equals, theirs = (piece.strip() for piece in part.partition("="))
        if not part.strip():
            continue
        if not equals or not theirs or ours not in COLUMNS:
            raise ConfigError.rule(
                "Reading the options failed",
                name="--columns",
                rule=f"be pairs OURS=THEIRS with ours among {', '.join(COLUMNS)}",
                value=part,
                todo="Write for example --columns question=prompt,answer=label.",
            )
        pairs[ours] = theirs
    return pairs


def _names(
    source: str, rows: Sequence[RowAt], task: TaskSpec, columns: Mapping[str, str]
) -> dict[str, str]:
    """Return the columns that are there, by our names."""
    there = set().union(*(row.values for row in rows))
    named = {name: columns.get(name, name) for name in COLUMNS}
    present = [name for name, theirs in named.items() if theirs in there]
    if holds_lists(present):
        needed = {"keywords", *LIST_COLUMNS, *columns}
    else:
        needed = {"question", *columns}
        needed |= {"context"} if task.context == "written" else set()
        needed |= {"options"} if task.answer.kind is AnswerKind.CHOICE else set()
    missing = sorted(
        columns.get(name, name) for name in needed if columns.get(name, name) not in there
    )
    if missing:
        refuse(
            source,
            f"have the columns {', '.join(missing)}",
            sorted(there),
            "Name yours with --columns, such as --columns question=prompt,answer=label.",
        )
    return {name: named[name] for name in present} | {"labelled_by": named["labelled_by"]}


def _row(source: str, row: RowAt, names: Mapping[str, str], task: TaskSpec) -> DevRow:
    values = {ours: row.values.get(theirs) for ours, theirs in names.items()}
    keywords = words_of(source, row, "keywords", values.get("keywords"))
    if holds_lists(names):
        faults = list_label(source, row, values, keywords)
        return DevRow("", keywords=keywords, faults=faults, where=row.where)
    question = _text(source, row, values, "question")
    if isinstance(values.get("answer"), list | tuple | dict | bytes):
        refuse(source, f"have one answer in each row ({row.where})", values["answer"])
    answer = text_of(values.get("answer"))
    if "answer" in names and answer is None:
        todo = "Give it one, or leave the answers of all rows out."
        refuse(source, f"have an answer in each row ({row.where})", values.get("answer"), todo)
    choice = task.answer.kind is AnswerKind.CHOICE
    options = _options(source, row, values.get("options")) if choice else ()
    reading = read_answer(task.answer, typed=answer, options=options, question=question)
    return DevRow(
        question=question,
        answer=answer,
        key=reading.key if answer is not None else None,
        context=_text(source, row, values, "context") if task.context == "written" else "",
        options=options,
        keywords=keywords,
        level=_level(source, row, values.get("level")),
        pair=pair_in(source, row, values),
        same=same_in(source, row, values),
        check=question_label(source, row, values, keywords),
        where=row.where,
    )


def _text(source: str, row: RowAt, values: Mapping[str, Any], name: str) -> str:
    """Return a text that each row must have; a list or a mapping is none, whatever it would print as."""
    value = values.get(name)
    text = None if isinstance(value, list | tuple | dict | bytes) else text_of(value)
    if text is None:
        refuse(source, f"have a {name} in each row, as text ({row.where})", value, "Mend that row.")
    return text


def _options(source: str, row: RowAt, value: Any) -> tuple[str, ...]:
    """Return options from a list, from `{"A": ...}`, or from `{"label": [...], "text": [...]}`.

    Options stand in the order of their letters. Of `{"A": ...}` a letter without a text is no option:
    Parquet gives every row the letters of all.
    """
    found = value
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        found, letters = value["text"], value.get("label")
        if isinstance(letters, list) and len(letters) == len(found):
            order = sorted(range(len(found)), key=lambda place: str(letters[place]))
            found = [found[place] for place in order]
    elif isinstance(value, dict):
        found = [value[key] for key in sorted(value) if value[key] is not None]
    texts = list(found) if isinstance(found, list | tuple) else []
    if len(texts) < 2 or not all(map(text_of, texts)):
        rule = f"have two options at least in each row, none of them empty ({row.where})"
        refuse(source, rule, value, "Mend that row, or name another column with --columns.")
    return tuple(map(str, texts))


def _level(source: str, row: RowAt, value: Any) -> BloomLevel | None:
    if value is None or value == "":
        return None
    named = str(value).strip().capitalize()
    if named not in set(BloomLevel):
        refuse(
            source,
            f"name Bloom's levels only ({row.where})",
            value,
            f"Use {', '.join(BloomLevel)}.",
        )
    return BloomLevel(named)


def listed(places: Sequence[str]) -> str:
    """Return as many as fit into what a message shows of a value, one at least, and how many more."""
    shown = [places[0]]
    for place in places[1:_SHOWN]:
        if len(repr("; ".join([*shown, place]))) > _LENGTH:
            break
        shown.append(place)
    more = len(places) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")


def _asked(row: DevRow) -> str:
    if row.faults is not None:
        return f"{row.faults.wanted}: {', '.join(row.keywords)}"
    return f"{row.context} {row.question}" if row.context else row.question


def _hash_share(row: DevRow) -> float:
    data = f"devset/{_asked(row)}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") / 2**64
