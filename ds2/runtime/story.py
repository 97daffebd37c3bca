"""One unit's whole story, read from a run's folder: accepted or not, decided or not."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ds2.config import RunConfig
from ds2.runtime.decisions import decisions
from ds2.runtime.plan import Unit, make_plan
from ds2.runtime.screening import Listed, listed
from ds2.store import RunStore, UnitRecord
from signatures.errors import StoreError
from signatures.records import Instruction, Keyword, Rejection, Row, Sample, Vote

_ID = re.compile(r"[0-9a-f]{1,16}")
_CALL = (
    "c.key, c.stage, p.prompt, c.options, c.text, c.finish_reason, c.thinking, c.model,"
    " c.input_tokens, c.output_tokens, c.reasoning_tokens, c.latency_s"
)
_SHOWN_IDS = 5


def read_story(folder: Path, row: str) -> dict[str, Any]:
    """Return all that the folder of a run knows of one unit, as plain data.

    Args:
        folder: the run folder; it is only read.
        row: the id of a row or the beginning of only one, or a unit's place in the global order.

    Raises:
        StoreError: the folder holds no run, or the run has no such row or unit.
    """
    with RunStore(folder, lock=False) as store:
        return _Story(folder, store).of(_place(store, folder, row.strip().lower()))


def _place(store: RunStore, folder: Path, row: str) -> int:
    """Return the place of a row or unit; digits are a place where there is such a unit."""
    if row.isdecimal() and len(row) < 16 and _known(store, int(row)):
        return int(row)
    ids = _row_ids(store)
    if _ID.fullmatch(row):
        found = [(name, place) for name, place in ids if name.startswith(row)]
        if len(found) == 1:
            return found[0][1]
        if found:
            names = ", ".join(name for name, _ in found[:_SHOWN_IDS])
            more = "" if len(found) <= _SHOWN_IDS else f" and {len(found) - _SHOWN_IDS} more"
            raise _no_row(folder, row, "begin one row's id only", f"It begins {names}{more}.")
    raise _no_row(folder, row, "be a row's id or a unit's place", _what_there_is(store, ids, row))


def _row_ids(store: RunStore) -> list[tuple[str, int]]:
    # A row's JSON begins with its id: what follows on the disk need not be read for it.
    return sorted(
        store.rows("SELECT substr(record, 8, 16), place FROM units WHERE state = 'accepted'")
    )


def _known(store: RunStore, place: int) -> bool:
    sql = "SELECT 1 FROM units WHERE place = ? UNION SELECT 1 FROM calls WHERE place = ? LIMIT 1"
    return bool(store.rows(sql, (place, place)))


def _what_there_is(store: RunStore, ids: Sequence[tuple[str, int]], row: str) -> str:
    [[last]] = store.rows("SELECT max(place) FROM units")
    if last is None:
        return "This run has not decided a unit yet."
    said = f"Units have places up to {last}"
    if ids:
        at = bisect_left(ids, (row, 0))
        near = [name for name, _ in ids[max(0, at - 1) : at + 1]]
        said += f"; rows have ids of 16 hexadecimal digits, nearest: {', '.join(near)}"
    return f"{said}."


def _no_row(folder: Path, row: str, rule: str, todo: str) -> StoreError:
    return StoreError.rule(
        "Explaining a row failed", unit=str(folder), name="ROW", rule=rule, value=row, todo=todo
    )


class _Story:
    """Puts together what store and folder know of a unit."""

    def __init__(self, folder: Path, store: RunStore) -> None:
        self._folder, self._store = folder, store
        self._identity: Mapping[str, Any] = store.meta().get("identity", {})
        self._bank = _bank(folder)

    def of(self, place: int) -> dict[str, Any]:
        """Return the story of the unit at a place."""
        found = self._store.rows("SELECT * FROM units WHERE place = ?", (place,))
        unit = UnitRecord(*found[0]) if found else None
        state = unit.state if unit else "undecided"
        outcome = None
        for decision in decisions([unit] if unit else [], self._folder):
            outcome = decision.outcome
        vote = outcome.vote if outcome else None
        written = outcome.instruction if outcome else None
        cell = self._cell(place, written)
        return {
            "run": str(self._folder),
            "task": self._identity.get("task", {}).get("name"),
            "place": place,
            "state": state,
            "row": outcome.id if isinstance(outcome, Row) else None,
            "rejected": _rejected(outcome),
            "level": cell["level"],
            "visit": cell["visit"],
            "keywords": [self._keyword(text) for text in cell["keywords"]],
            "instruction": None if written is None else _instruction(written),
            "writer": self._calls(place, "writer"),
            "vote": None if vote is None else self._vote(vote),
            "unused_answers": self._unused(place, vote),
            "judge": self._calls(place, "judge"),
            "screens": self._screens(state, outcome),
            "response": outcome.response if isinstance(outcome, Row) else None,
        }

    def _cell(self, place: int, written: Instruction | None) -> dict[str, Any]:
        """Return level, keywords and visit: of the plan, which a unit without a reply has too."""
        unit = self._planned(place)
        if unit is not None and (written is None or unit.keywords == written.keywords):
            return {"level": str(unit.level), "keywords": unit.keywords, "visit": unit.visit}
        if written is None:
            return {"level": None, "keywords": (), "visit": None}
        return {"level": str(written.level), "keywords": written.keywords, "visit": None}

    def _planned(self, place: int) -> Unit | None:
        config = self._identity.get("config")
        if not config or not self._bank:
            return None
        return make_plan(list(self._bank), RunConfig.model_validate(config)).unit(place)

    def _keyword(self, text: str) -> dict[str, Any]:
        """Return a keyword and its ancestors, each once, the nearest first."""
        known = self._bank.get(text)
        if known is None:
            return {"text": text, "origin": None, "ancestors": []}
        ancestors: dict[str, Keyword] = {}
        asked = list(known.parents)
        while asked:
            parent = self._bank.get(asked.pop(0))
            if parent is not None and parent.text not in {text, *ancestors}:
                ancestors[parent.text] = parent
                asked += parent.parents
        return {
            **known.model_dump(mode="json"),
            "ancestors": [keyword.model_dump(mode="json") for keyword in ancestors.values()],
        }

    def _calls(self, place: int, stage: str) -> list[dict[str, Any]]:
        rows = self._store.rows(
            f"SELECT {_CALL} FROM calls c LEFT JOIN prompts p ON p.id = c.prompt_id"  # noqa: S608
            " WHERE c.stage = ? AND c.place = ? ORDER BY c.rowid",
            (stage, place),
        )
        return [_call(row) for row in rows]

    def _call_of(self, key: str | None) -> dict[str, Any] | None:
        rows = self._store.rows(
            f"SELECT {_CALL} FROM calls c LEFT JOIN prompts p ON p.id = c.prompt_id"  # noqa: S608
            " WHERE c.key = ?",
            (key,),
        )
        return _call(rows[0]) if rows else None

    def _vote(self, vote: Vote) -> dict[str, Any]:
        groups: dict[str, list[Sample]] = {}
        for sample in vote.samples:
            if sample.key is not None:
                groups.setdefault(sample.key, []).append(sample)
        ordered = sorted(groups.values(), key=lambda group: (-len(group), group[0].number))
        return {
            "policy": self._identity.get("config", {}).get("policy"),
            **vote.model_dump(mode="json", exclude={"samples", "counts"}),
            "groups": [
                {
                    "answer": answer,
                    "votes": number,
                    "samples": [sample.number for sample in group],
                }
                for (answer, number), group in zip(vote.counts, ordered, strict=True)
            ],
            "samples": [
                {**sample.model_dump(mode="json"), "sent": self._call_of(sample.call)}
                for sample in vote.samples
            ],
        }

    def _unused(self, place: int, vote: Vote | None) -> int:
        """Return how many answers were drawn for this unit and took part in no vote."""
        drawn = self._store.rows(
            "SELECT key FROM calls WHERE stage = 'answers' AND place = ?", (place,)
        )
        used = {sample.call for sample in vote.samples} if vote else set()
        return sum(key not in used for (key,) in drawn)

    def _screens(self, state: str, outcome: Row | Rejection | None) -> list[dict[str, str]]:
        """Return each screen of this run and what it said of this unit."""
        turned_away = None
        if isinstance(outcome, Rejection) and outcome.stage == "screen":
            turned_away = outcome.reason
        verdicts, later = [], False
        reached = state == "accepted" or isinstance(outcome, Rejection)
        for screen in self._listed:
            verdict, detail = "passed" if screen.reasons else "applied", ""
            if turned_away in screen.reasons and isinstance(outcome, Rejection):
                verdict, detail = "turned away", outcome.detail
                later = True
            elif not reached:
                verdict = "not shown"
            elif later or (isinstance(outcome, Rejection) and outcome.instruction is None):
                verdict = "not reached"
            verdicts.append({"screen": screen.name, "verdict": verdict, "detail": detail})
        return verdicts

    @cached_property
    def _listed(self) -> tuple[Listed, ...]:
        config = self._identity.get("config")
        if config is None:
            return ()
        return tuple(listed(RunConfig.model_validate(config), config["avoid"]))


def _bank(folder: Path) -> dict[str, Keyword]:
    """Return the keyword bank of a run by text; empty where it was not grown yet."""
    path = folder / "keywords.json"
    if not path.is_file():
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["keywords"]
        bank = [Keyword.model_validate(keyword) for keyword in kept]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError.rule(
            "Explaining a row failed",
            unit=str(folder),
            name="keywords.json",
            rule="be as the run wrote it",
            value=type(error).__name__,
            todo="Give the `ds2 run` command again: it writes the file anew, without new calls.",
        ) from error
    return {keyword.text: keyword for keyword in bank}


def _rejected(outcome: Row | Rejection | None) -> dict[str, Any] | None:
    if not isinstance(outcome, Rejection):
        return None
    evidence = outcome.evidence
    return {
        "stage": outcome.stage,
        "reason": outcome.reason,
        "detail": outcome.detail,
        "evidence": evidence and evidence.model_dump(mode="json", exclude_none=True),
    }


def _instruction(written: Instruction) -> dict[str, Any]:
    return {"id": written.id, **written.model_dump(mode="json", exclude={"keywords", "level"})}


def _call(row: tuple[Any, ...]) -> dict[str, Any]:
    key, stage, prompt, options, text, finish_reason, thinking, model, *numbers = row
    read, written, thought, latency_s = numbers
    return {
        "key": key,
        "stage": stage,
        "prompt": None if prompt is None else _messages(json.loads(prompt)),
        "options": json.loads(options),
        "text": text,
        "finish_reason": finish_reason,
        "thinking": thinking,
        "model": model,
        "input_tokens": read,
        "output_tokens": written,
        "reasoning_tokens": thought,
        "latency_s": latency_s,
    }


def _messages(prompt: Sequence[Any]) -> list[dict[str, str]]:
    """Return a logged prompt (system, messages, tools) as messages."""
    system, messages, *tools = prompt
    parts = [("system", system), *messages, *(("tool", tool) for tool in tools)]
    return [
        {"role": role, "content": content if isinstance(content, str) else json.dumps(content)}
        for role, content in parts
        if content
    ]
