"""Labels of judges in the rows of a dev set: what a judge should say of answers, questions, keywords."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from optimizers.rowfiles import RowAt, refuse
from programs.judging import FAULTS

PAIR_COLUMNS = ("first", "second", "same")
QUESTION_COLUMNS = ("keywords_used", "self_contained")
LIST_COLUMNS = ("wanted", *FAULTS)
_SAID = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_USED = ("all", "some", "none")
_DIVIDED = re.compile(r"[,;\n]")


class QuestionLabel(NamedTuple):
    """What a judge of questions should say: `keywords_used` (all, some, none), `self_contained`
    (yes, no)."""

    keywords_used: str
    self_contained: str


class ListLabel(NamedTuple):
    """What a judge of keywords should say of a list.

    Args:
        wanted: what was asked for, and of which keywords.
        faults: of each keyword in turn, one of `FAULTS` or an empty string for a sound one.
    """

    wanted: str
    faults: tuple[str, ...]


def holds_lists(columns: Collection[str]) -> bool:
    """Return whether these columns are those of keyword lists with their faults."""
    return any(name in columns for name in FAULTS)


def pair_in(source: str, row: RowAt, values: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the two answers of a row; None where it has neither."""
    first, second = (text_of(values.get(name)) for name in ("first", "second"))
    if first is None and second is None:
        return None
    if first is None or second is None or values.get("same") is None:
        rule = f"have `first`, `second` and `same` in each row that has one of them ({row.where})"
        refuse(source, rule, {"first": first, "second": second}, "Mend that row.")
    return first, second


def same_in(source: str, row: RowAt, values: Mapping[str, Any]) -> bool | None:
    """Return whether the two answers of a row say the same; None where it does not tell."""
    return None if values.get("same") is None else _yes(source, row, "same", values["same"])


def question_label(
    source: str, row: RowAt, values: Mapping[str, Any], keywords: tuple[str, ...]
) -> QuestionLabel | None:
    """Return the label of a question; None in a set without such columns."""
    if not any(name in values for name in QUESTION_COLUMNS):
        return None
    missing = [name for name in QUESTION_COLUMNS if values.get(name) is None]
    if missing or not keywords:
        rule = f"have `keywords`, `keywords_used` and `self_contained` in each row ({row.where})"
        given = {name: values.get(name) for name in ("keywords", *QUESTION_COLUMNS)}
        refuse(source, rule, given, "Mend that row.")
    used = str(values["keywords_used"]).strip().casefold()
    if used not in _USED:
        rule = f"have all, some or none as `keywords_used` ({row.where})"
        refuse(source, rule, values["keywords_used"], "Mend that row.")
    own = _yes(source, row, "self_contained", values["self_contained"])
    return QuestionLabel(used, "yes" if own else "no")


def list_label(
    source: str, row: RowAt, values: Mapping[str, Any], keywords: tuple[str, ...]
) -> ListLabel:
    """Return the label of a keyword list; a fault is a list of keywords that stand in `keywords`."""
    wanted = text_of(values.get("wanted"))
    if wanted is None or not keywords:
        rule = f"have `wanted` and `keywords` in each row ({row.where})"
        refuse(source, rule, {"wanted": wanted, "keywords": list(keywords)}, "Mend that row.")
    found: dict[str, str] = {}
    known = {text.casefold() for text in keywords}
    for fault in FAULTS:
        for text in words_of(source, row, fault, values.get(fault)):
            key = text.casefold()
            if key not in known or key in found:
                rule = (
                    f"list under `{fault}` keywords of that row, each under one fault ({row.where})"
                )
                refuse(source, rule, text, "Mend that row.")
            found[key] = fault
    return ListLabel(wanted, tuple(found.get(text.casefold(), "") for text in keywords))


def words_of(source: str, row: RowAt, name: str, value: Any) -> tuple[str, ...]:
    """Return the texts of a list, or of a text that commas, semicolons or lines divide."""
    if value is None:
        return ()
    if isinstance(value, str):
        value = _DIVIDED.split(value)
    if not isinstance(value, list | tuple):
        refuse(source, f"have a list as `{name}` ({row.where})", value, "Mend that row.")
    return tuple(text for text in map(text_of, value) if text)


def text_of(value: Any) -> str | None:
    """Return a value as text; None where it is empty."""
    text = "" if value is None else str(value).strip()
    return text or None


def _yes(source: str, row: RowAt, name: str, value: Any) -> bool:
    said = str(value).strip().casefold()
    if said not in _SAID:
        refuse(source, f"have yes or no as `{name}` ({row.where})", value, "Mend that row.")
    return _SAID[said]
