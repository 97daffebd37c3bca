"""The formats. One more format is one more entry in `FORMATS`.

Sources, for names and fields: TRL's dataset formats (conversational), OpenAI's fine-tuning files,
LLaMA-Factory's `data/README.md`, Axolotl's dataset formats, Stanford Alpaca, ShareGPT. The paper's
code (arXiv:2603.12932) writes ShareGPT.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from ds2.output.exports.entry import Alternative, Entry
from signatures.errors import OutputError

Container = Literal["json", "jsonl", "csv", "parquet"]
Companion = Callable[[str | None, Mapping[str, str], str], str]

# The names that ShareGPT has for the two sides of a chat.
_SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}
_SHAREGPT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
}
_LISTS = ("messages", "options", "keywords", "votes")


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One file format.

    Args:
        title: what it is for, in a few words.
        suffix: the ending of its files, with the dot.
        container: how entries stand in a file: one JSON list, JSON lines, CSV, or the Parquet of
            the dataset itself.
        shape: turns a row into its entries, any number of them.
        votes: it needs the answers that lost, which only a run's store keeps.
        pairs: it sets one answer against another, so that a margin can filter it.
        companion: the name of a file that tells the trainer of these files, and what makes its
            text from the old text (None if there is none), the written files by split, and the name
            of the run.
    """

    title: str
    suffix: str
    container: Container
    shape: Callable[[Entry, Options], Iterator[Mapping[str, Any]]]
    votes: bool = False
    pairs: bool = False
    companion: tuple[str, Companion] | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What a format may be told.

    Args:
        min_margin: preference pairs need at least this margin, 0 to 1.
        all_pairs: one pair for every losing answer, not only for that with most votes.
    """

    min_margin: float = 0.0
    all_pairs: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.min_margin <= 1:
            raise OutputError.rule(
                "Exporting failed",
                name="--min-margin",
                rule="be from 0 to 1",
                value=self.min_margin,
                todo="Give a share of the draws, such as 0.4.",
            )


def export_format(name: str, options: Options | None = None) -> ExportFormat:
    """Return the format of that name.

    Args:
        name: the format.
        options: what it is to be told.

    Raises:
        OutputError: there is none, or it has no use for an option.
    """
    if name not in FORMATS:
        raise OutputError.rule(
            "Exporting failed",
            name="--format",
            rule=f"be one of {', '.join(FORMATS)}",
            value=name,
            todo="Choose one of these.",
        )
    given = options or Options()
    idle = "--min-margin" if given.min_margin else "--all-pairs" if given.all_pairs else None
    if idle is not None and not FORMATS[name].pairs:
        pairs = ", ".join(other for other, chosen in FORMATS.items() if chosen.pairs)
        raise OutputError.rule(
            "Exporting failed",
            name=idle,
            rule=f"be given for a format of pairs: {pairs}",
            value=name,
            todo="Leave it out, or choose one of them; --min-agreement filters any format.",
        )
    return FORMATS[name]


def _sharegpt(entry: Entry, _: Options) -> Iterator[Mapping[str, Any]]:
    turns = [
        {"from": _SPEAKERS.get(message["role"], message["role"]), "value": message["content"]}
        for message in entry.record["messages"]
    ]
    yield {"id": entry.record["id"], "conversations": turns}


def _alpaca(entry: Entry, _: Options) -> Iterator[Mapping[str, Any]]:
    yield {
        "instruction": entry.question,
        "input": entry.record["context"],
        "output": entry.response,
        "id": entry.record["id"],
    }


def _openai(entry: Entry, _: Options) -> Iterator[Mapping[str, Any]]:
    # The validator of this format takes no field that it does not know: no id.
    yield {"messages": list(entry.record["messages"])}


def _messages(entry: Entry, _: Options) -> Iterator[Mapping[str, Any]]:
    yield {"id": entry.record["id"], "messages": list(entry.record["messages"])}


def _completion(entry: Entry, _: Options) -> Iterator[Mapping[str, Any]]:
    yield {
        "id": entry.record["id"],
        "prompt": [_said("user", entry.prompt)],
        "completion": [_said("assistant", entry.response)],
    }


def _dpo(entry: Entry, options: Options) -> Iterator[Mapping[str, Any]]:
    for loser, margin in _losers(entry, options):
        yield {
            "id": entry.record["id"],
            "prompt": [_said("user", entry.prompt)],
            "chosen": [_said("assistant", entry.response)],
            "rejected": [_said("assistant", loser.response)],
            "margin": margin,
            "chosen_answer": entry.record["answer"],
            "rejected_answer": loser.answer,
        }


def _ranked(entry: Entry, options: Options) -> Iterator[Mapping[str, Any]]:
    for loser, margin in _losers(entry, options):
        yield {
            "id": entry.record["id"],
            "conversations": [{"from": "human", "value": entry.prompt}],
            "chosen": {"from": "gpt", "value": entry.response},
            "rejected": {"from": "gpt", "value": loser.response},
            "margin": margin,
        }


def _verifier(entry: Entry, _: Options) -> Iterator[Mapping[str, Any]]:
    for alternative in entry.alternatives:
        yield {
            "id": entry.record["id"],
            "prompt": [_said("user", entry.prompt)],
            "completion": [_said("assistant", alternative.response)],
            "label": alternative.won,
            "answer": alternative.answer,
            "majority_answer": entry.record["answer"],
            "agreement": entry.record["agreement"],
        }


def _flat(entry: Entry, _: Options) -> Iterator[Mapping[str, Any]]:
    lists = {name: json.dumps(entry.record[name], ensure_ascii=False) for name in _LISTS}
    yield {**entry.record, **lists}


def _stored(entry: Entry, _: Options) -> Iterator[Mapping[str, Any]]:
    yield entry.record


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _losers(entry: Entry, options: Options) -> Iterator[tuple[Alternative, float]]:
    """Yield one response for each losing answer, most votes first, with the margin of the vote.

    margin = (votes for the winner - votes for the loser) / draws. Of the draws that gave an answer
    the first is taken that kept to the format: a broken format would be what the pair teaches. Ties
    between answers go by the order of their first draw.
    """
    first: dict[str, Alternative] = {}
    for alternative in entry.alternatives:
        if not alternative.won and alternative.parsed:
            first.setdefault(alternative.answer, alternative)
    ordered = sorted(first.values(), key=lambda a: -a.votes)
    for loser in ordered if options.all_pairs else ordered[:1]:
        margin = round((entry.votes - loser.votes) / entry.draws, 6)
        if margin >= options.min_margin:
            yield loser, margin


def _llama_factory(columns: Mapping[str, str], *, suffix: str = "", **more: Any) -> Companion:
    """Return the maker of LLaMA-Factory's `dataset_info.json`; entries of other datasets stay."""

    def text(old: str | None, files: Mapping[str, str], name: str) -> str:
        known = _object(old)
        for split, file in files.items():
            part = "" if split == "all" else f"_{split}"
            known[f"{name}{suffix}{part}".replace("-", "_")] = {
                "file_name": file,
                "formatting": "sharegpt",
                **more,
                "columns": dict(columns),
                "tags": dict(_SHAREGPT_TAGS),
            }
        return json.dumps(known, ensure_ascii=False, indent=2) + "\n"

    return text


def _object(old: str | None) -> dict[str, Any]:
    try:
        known = json.loads(old or "{}")
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise OutputError.rule(
            "Exporting failed",
            name="dataset_info.json in that folder",
            rule="be a JSON object, to which the new dataset is added",
            value=(old or "")[:60],
            todo="Mend or remove it, or choose another --out.",
        )
    return known


def _axolotl(_: str | None, files: Mapping[str, str], __: str) -> str:
    def listed(file: str) -> Sequence[str]:
        # A file name as a JSON text is a YAML text too.
        return (
            f"  - path: {json.dumps(file)}",
            "    ds_type: json",
            "    type: chat_template",
            "    field_messages: messages",
            "    message_property_mappings:",
            "      role: role",
            "      content: content",
        )

    lines = ["# Paste into your Axolotl configuration; paths are relative to this file."]
    for key, splits in (("datasets", ("all", "train")), ("test_datasets", ("test", "validation"))):
        chosen = [file for split, file in files.items() if split in splits]
        if chosen:
            lines.append(f"{key}:")
            for file in chosen:
                lines.extend(listed(file))
                if key == "test_datasets":
                    lines.append("    split: train")
    return "\n".join(lines) + "\n"


FORMATS: Mapping[str, ExportFormat] = MappingProxyType(
    {
        "sharegpt": ExportFormat("ShareGPT conversations", ".sharegpt.json", "json", _sharegpt),
        "alpaca": ExportFormat("Stanford Alpaca", ".alpaca.json", "json", _alpaca),
        "openai": ExportFormat("OpenAI fine-tuning", ".openai.jsonl", "jsonl", _openai),
        "trl": ExportFormat("TRL prompt-completion", ".trl.jsonl", "jsonl", _completion),
        "trl-messages": ExportFormat("TRL messages", ".messages.jsonl", "jsonl", _messages),
        "dpo": ExportFormat(
            "preference pairs for TRL's DPO: the majority against a losing answer",
            ".dpo.jsonl",
            "jsonl",
            _dpo,
            votes=True,
            pairs=True,
        ),
        "verifier": ExportFormat(
            "every answer drawn, right or wrong by the vote: reward models, verifiers, KTO",
            ".verifier.jsonl",
            "jsonl",
            _verifier,
            votes=True,
        ),
        "llama-factory": ExportFormat(
            "LLaMA-Factory, with its dataset_info.json",
            ".llama-factory.json",
            "json",
            _sharegpt,
            companion=(
                "dataset_info.json",
                _llama_factory({"messages": "conversations"}),
            ),
        ),
        "llama-factory-dpo": ExportFormat(
            "preference pairs for LLaMA-Factory, with its dataset_info.json",
            ".llama-factory-dpo.json",
            "json",
            _ranked,
            votes=True,
            pairs=True,
            companion=(
                "dataset_info.json",
                _llama_factory(
                    {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
                    suffix="_dpo",
                    ranking=True,
                ),
            ),
        ),
        "axolotl": ExportFormat(
            "Axolotl chat_template, with the lines for its configuration",
            ".axolotl.jsonl",
            "jsonl",
            _messages,
            companion=("axolotl.yaml", _axolotl),
        ),
        "parquet": ExportFormat("all columns, one Parquet file", ".parquet", "parquet", _stored),
        "csv": ExportFormat("all columns, lists as JSON", ".csv", "csv", _flat),
    }
)
