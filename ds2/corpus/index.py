"""A BM25 index of passages on disk, by tantivy: written once, then only read.

Source: Robertson and Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond (k1 = 1.2,
b = 0.75, tantivy's own). Words are folded in case and accents and stemmed as English, which other
languages share in queries and passages alike; scripts without spaces are cut into pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self

from signatures.errors import CorpusError
from signatures.records import Passage, valid_text

if TYPE_CHECKING:
    import tantivy

INDEX_VERSION = 1  # of the schema and the analyzer below
HEAP_BYTES = 128_000_000  # of the writer; memory while indexing stays a few times this
_LONGEST_WORD = 64  # bytes
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]+"
)


def engine() -> ModuleType:
    """Return tantivy.

    Raises:
        CorpusError: it is not installed.
    """
    try:
        import tantivy
    except ImportError as error:
        raise CorpusError.rule(
            "Opening the corpus failed",
            name="the package tantivy",
            rule="be installed for --corpus",
            value="it is not",
            todo="Install it with: pip install 'ds2-instruct[retrieval]'",
        ) from error
    return tantivy


def engine_version() -> str:
    """Return what an index is written by: library, schema and analyzer."""
    from importlib.metadata import version

    engine()
    return f"tantivy {version('tantivy')}, index {INDEX_VERSION}"


class PassageIndex:
    """The index in a folder; a `programs.retrieval.Retriever`.

    What `search` returns is a pure function of the passages in it and the query: scores are the same
    however the index came to its segments (which a test holds), and ties go by the passages' ids.

    Args:
        folder: where `write` made one.

    Raises:
        CorpusError: tantivy is not installed.
        ValueError: the folder holds no index that it can read.
    """

    def __init__(self, folder: Path) -> None:
        self._tantivy = engine()
        self._analyzer = _analyzer(self._tantivy)
        self._index = self._tantivy.Index.open(str(folder))
        self._index.register_tokenizer("ds2", self._analyzer)
        self._searcher = self._index.searcher()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself: programs are copied by optimizers, a corpus is not."""
        return self

    def __len__(self) -> int:
        return int(self._searcher.num_docs)

    def search(self, query: str, k: int) -> list[Passage]:
        """Return at most `k` passages that share a word with `query`, the best first."""
        words = sorted(set(self._analyzer.analyze(searchable(query))))
        if k < 1 or not words or not len(self):
            return []
        occur, asked = self._tantivy.Occur.Should, self._tantivy.Query
        parsed = asked.boolean_query(
            [(occur, asked.term_query(self._index.schema, "words", w, "freq")) for w in words]
        )
        limit = min(k + 1, len(self))
        while True:
            hits = self._searcher.search(parsed, limit, count=False).hits
            # A tie across the cut is decided by ids, not by where the index keeps a passage.
            if len(hits) < limit or limit == len(self) or hits[-1][0] < hits[k - 1][0]:
                break
            limit = min(2 * limit, len(self))
        found = [(-score, self._passage(address)) for score, address in hits]
        return [p for _, p in sorted(found, key=lambda hit: (hit[0], hit[1].id))[:k]]

    def get(self, id_: str) -> Passage | None:
        """Return the passage of that id; None where there is none."""
        asked = self._tantivy.Query.term_query(self._index.schema, "id", id_)
        hits = self._searcher.search(asked, 1, count=False).hits
        return self._passage(hits[0][1]) if hits else None

    def _passage(self, address: tantivy.DocAddress) -> Passage:
        stored = self._searcher.doc(address)
        text, source = (bytes(stored.get_first(name)).decode() for name in ("text", "source"))
        return Passage(id=stored.get_first("id"), text=text, source=source)


def write(folder: Path, passages: Iterable[Passage]) -> None:
    """Add passages to the index in a folder, which is made where there is none.

    One writer at a time: whoever calls this owns the folder. The caller sees to it that no id comes
    twice.

    Raises:
        CorpusError: tantivy is not installed.
        ValueError: tantivy cannot write, such as to a full disk.
    """
    library = engine()
    folder.mkdir(parents=True, exist_ok=True)
    schema = library.SchemaBuilder()
    schema.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    for name in ("text", "source"):
        schema.add_bytes_field(name, stored=True, indexed=False)  # a text field is always indexed
    schema.add_text_field("words", tokenizer_name="ds2", index_option="freq")
    index = library.Index(schema.build(), path=str(folder))
    index.register_tokenizer("ds2", _analyzer(library))
    writer = index.writer(HEAP_BYTES, 1)
    for passage in passages:
        document = library.Document()
        document.add_text("id", passage.id)
        document.add_text("words", searchable(passage.text))
        document.add_bytes("text", passage.text.encode())
        document.add_bytes("source", passage.source.encode())
        writer.add_document(document)
    writer.commit()
    writer.wait_merging_threads()


def searchable(text: str) -> str:
    """Return `text` as it is indexed and asked for: compatible forms folded, unspaced scripts in pairs.

    Example:
        >>> searchable("ｐＨ 細胞死 of cells").split()
        ['pH', '細胞', '胞死', 'of', 'cells']
    """
    if text.isascii():
        return text
    return _UNSPACED.sub(_pairs, unicodedata.normalize("NFKC", valid_text(text)))


def _pairs(match: re.Match[str]) -> str:
    run = match[0]
    return f" {' '.join(run[i : i + 2] for i in range(max(1, len(run) - 1)))} "


def _analyzer(library: ModuleType) -> tantivy.TextAnalyzer:
    filters = library.Filter
    builder = library.TextAnalyzerBuilder(library.Tokenizer.simple())
    for each in (
        filters.remove_long(_LONGEST_WORD),
        filters.lowercase(),
        filters.ascii_fold(),
        filters.stemmer("english"),
    ):
        builder = builder.filter(each)
    return builder.build()
