"""What a run with a corpus leaves and says beside its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from ds2.corpus.corpus import Corpus
from ds2.output.files import replacing
from ds2.runtime.decisions import accepted_rows
from ds2.store import RunStore
from programs.synthesis import NO_PASSAGE
from signatures.records import Passage, canonical_json


def bank_facts(corpus: Corpus, grown: dspy.Prediction) -> dict[str, Any]:
    """Return what `keywords.json` says of the passages that a bank was grown with."""
    return {
        "corpus": corpus.facts,
        "retrieved": sum(keyword.passage_id is not None for keyword in grown.bank),
        "passages_read": len(grown.passages),
        "unreadable": list(grown.unreadable),
        "passages": [{"id": p.id, "source": p.source} for p in grown.passages],
    }


def corpus_notices(
    keywords: Mapping[str, Any], rejected: Mapping[str, int], share: float
) -> Iterator[str]:
    """Yield what a reader should know of a run with a corpus.

    Args:
        keywords: what `keywords.json` holds.
        rejected: rejected units by reason.
        share: of the bank that was to come out of the corpus.
    """
    if not keywords["retrieved"] and share:
        yield "No keyword came out of the corpus: nothing in it was found to be of the field."
    if unreadable := keywords["unreadable"]:
        yield f"{len(unreadable)} passages were put aside: no reply about them could be used."
    if missing := rejected.get(NO_PASSAGE, 0):
        yield f"{missing} units had keywords of which no passage of the corpus holds a word."


def write_passages(folder: Path, corpus: Corpus, store: RunStore, read: Sequence[Passage]) -> None:
    """Write `passages.jsonl`: those keywords came from and those rows are about, with their documents."""
    kept = {passage.id: passage for passage in read}
    for row in accepted_rows(store):
        id_ = row.instruction.passage_id
        if id_ is not None and id_ not in kept and (found := corpus.index.get(id_)):
            kept[id_] = found
    with replacing(folder / "passages.jsonl") as temp, temp.open("w", encoding="utf-8") as file:
        file.writelines(f"{canonical_json(p.model_dump())}\n" for p in kept.values())
