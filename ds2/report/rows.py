"""The rows that a page embeds: all of a unit that its reader may open, as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ds2.report.shown import shown
from ds2.report.units import DecidedUnit

KEYWORD = 200  # characters of a keyword that a page shows
SAMPLE_TEXT = 4_000  # characters of one drawn answer that a page shows


def embedded(unit: DecidedUnit, run: int = 0) -> dict[str, Any]:
    """Return an accepted or rejected unit as its page embeds it; every text is made visible and cut.

    Keys are short, for there are many: `n` place, `u` run, `s` state, `r` reason, `g` stage, `l`
    level, `k` keywords, `q` question, `o` options, `c` context, `b` the passage of a corpus that it
    is, `p` response, `a` answer, `i` id, `f` family, `d` what the reason is about, `e` evidence, `v`
    the vote.
    """
    record, asked = unit.record, unit.instruction or {}
    row: dict[str, Any] = {
        "n": unit.place,
        "u": run,
        "s": unit.state,
        "l": unit.cell.level,
        "k": [shown(keyword, KEYWORD) for keyword in unit.cell.keywords],
        "q": shown(asked.get("question", "")),
        "o": [shown(option, 1_000) for option in asked.get("options", ())],
        "c": shown(asked.get("context", "")),
    }
    if asked.get("passage_id"):
        row["b"] = shown(asked["passage_id"], 100)
    if unit.state == "accepted":
        row |= {
            "i": record["id"],
            "p": shown(record["response"]),
            "a": shown(record["answer"], 500),
        }
        if record.get("family"):
            row["f"] = record["family"]
    else:
        row |= {
            "r": unit.reason,
            "g": record.get("stage", ""),
            "d": shown(record.get("detail", ""), 2_000),
        }
        if record.get("evidence"):
            row["e"] = _plain(record["evidence"])
    if unit.vote is not None:
        row["v"] = _vote(unit.vote)
    return row


def _vote(vote: Mapping[str, Any]) -> dict[str, Any]:
    """Return a vote: `m` agreement, `lo`, `hi` its interval, `p` probability, `n` draws, `w` why it
    stopped, `t` its groups, most votes first, unreadable draws last, each with its samples."""
    groups: dict[str, dict[str, Any]] = {}
    for sample in vote["samples"]:
        key = sample["key"] or ""
        label = shown(sample["answer"] or "", 500) if key else "unreadable"
        group = groups.setdefault(key, {"a": label, "x": not key, "t": []})
        group["t"].append(
            {
                "n": sample["number"],
                "w": sample["number"] == vote["response"],
                "h": sample["temperature"],
                "u": sample["unreadable"],
                "x": shown(sample["reasoning"], SAMPLE_TEXT),
            }
        )
    ordered = sorted(groups.values(), key=lambda group: (group["x"], -len(group["t"])))
    return {
        "m": vote["agreement"],
        "lo": vote["agreement_low"],
        "hi": vote["agreement_high"],
        "p": vote["confidence"],
        "n": vote["draws"],
        "w": vote["reason"],
        "t": [{"a": group["a"], "t": group["t"]} for group in ordered],
    }


def _plain(value: Any) -> Any:
    """Return a JSON value with its texts made visible."""
    if isinstance(value, str):
        return shown(value, 2_000)
    if isinstance(value, Mapping):
        return {shown(str(name), 100): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
