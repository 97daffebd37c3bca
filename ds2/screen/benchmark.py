"""Decontamination: does an instruction repeat a question of a benchmark, whole, in part or edited?

Words are compared after case, width and punctuation are gone, and a second time with every number
masked. An instruction is a hit where, with some question of a benchmark, one of these holds, the
most telling first:

1. `13-gram`: both share 13 words in a row.
2. `8-gram`: runs of at least 8 shared words cover half of the question's words, or four fifths of the
   instruction's.
3. `edited`: runs of at least 3 shared words cover 0.6 of the question's words (0.75 of one below 13
   words). A copy with a tenth of its words changed, the changes three words apart at worst, keeps
   0.7 of them in such runs, less 1.5 words.
4. `contained`: a question below 13 words stands in the instruction as it is, or an instruction below
   8 words in the question; 5 words at least.

Two and three verify candidates that share several runs of five words, so that boilerplate such as
`how many are there in the` alone is no hit. A question below 13 words that has options goes by the rules of
`ds2.screen.choice`, which look at the question and at the set of its options, for `which of these is true` is
nobody's question; of both together only a run of 13 words counts, as of an answer. A question below 5
words without options cannot be compared and is counted.

Source: 13-grams: Brown et al. (2020), arXiv:2005.14165, appendix C; 8-grams with coverage: Touvron et
al. (2023), arXiv:2307.09288, appendix A.6. Deviation: coverage is of words, not of tokens, and
numbers are masked in a pass of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ds2.screen.choice import ChoiceIndex, Words
from ds2.screen.grams import covered, longest_run, ngrams
from ds2.screen.text import Word, mask_word, words
from signatures.records import Instruction

if TYPE_CHECKING:
    from ds2.screen.grams import Hashes

LONG, MIDDLE, PROBE, SHORT = 13, 8, 5, 3  # words in a row
COVERED = 0.5  # of a question's words, by runs of 8
COVERED_OWN = 0.8  # of an instruction's words, by runs of 8
EDITED, EDITED_SHORT = 0.6, 0.75  # of a question's words, by runs of 3
FEWEST = 5  # words; what is shorter cannot be compared


class BenchmarkItem(NamedTuple):
    """A question of a benchmark.

    Args:
        source: the benchmark, as a person would find it again.
        row: its row there, from 1.
        id: its own id there; empty where it has none.
        question: what is asked.
        options: the options, where they are known.
        answer: the answer or solution, where it is known; only compared where it has 13 words.
    """

    source: str
    row: int
    id: str
    question: str
    options: tuple[str, ...] = ()
    answer: str = ""


class Hit(NamedTuple):
    """What an instruction shares with a benchmark.

    Args:
        item: the question.
        rule: `13-gram`, `8-gram`, `edited` or `contained`, with `, numbers masked` where the numbers
            differ; of a short question with options `question and options` or `question`.
        span: the longest shared run, as it stands in the instruction.
        coverage: share of the question's words in shared runs, 0 to 1.
    """

    item: BenchmarkItem
    rule: str
    span: str
    coverage: float


class BenchmarkScreen:
    """An index of benchmark questions; memory is some 60 bytes a word of them.

    Args:
        items: the questions; answers of 13 words or more are indexed as texts of their own.
    """

    def __init__(self, items: Iterable[BenchmarkItem]) -> None:
        import numpy as np

        self._hashes: dict[str, int] = {}
        self._items: list[BenchmarkItem] = []
        self._sides: list[Words] = []
        self._answers: list[bool] = []
        self._choices = ChoiceIndex(self._side)
        self._chosen: list[BenchmarkItem] = []
        self.too_short = 0
        for item in items:
            self._take(item)
        grams = [ngrams(side.masked, PROBE) for side in self._sides]
        self._lengths = np.array([len(side.masked) for side in self._sides], np.int32)
        lengths = [len(gram) for gram in grams]
        flat = np.concatenate(grams) if grams else np.zeros(0, np.uint64)
        owners = np.repeat(np.arange(len(grams), dtype=np.int32), lengths)
        order = np.argsort(flat, kind="stable")
        self._grams, self._owners = flat[order], owners[order]

    def __len__(self) -> int:
        """Return how many texts can be compared."""
        return len(self._items) + len(self._chosen)

    def match(self, instruction: Instruction) -> Hit | None:
        """Return the question that an instruction repeats, or None.

        A short one with the same options first; of the others the one that shares most runs of five
        words with it, the first of equals.
        """
        text = instruction.text
        found = words(text)
        side = self._side(found)
        choice = self._choices.match(instruction, side) if self._chosen else None
        if choice is not None:
            span = text[found[choice.start].start : found[choice.start + choice.length - 1].end]
            return Hit(self._chosen[choice.number], choice.rule, span, round(choice.coverage, 4))
        hits = (self._compare(number, side, found, text) for number in self._candidates(side))
        return next((hit for hit in hits if hit is not None), None)

    def _take(self, item: BenchmarkItem) -> None:
        question = words(item.question)
        chosen = len(question) < LONG and self._choices.add(question, item.options)
        if chosen:
            self._chosen.append(item)
        elif len(question) >= FEWEST:
            self._put(item, question, answer=False)
        else:
            self.too_short += 1
        # Of what is long only a run of 13 words counts: options, and an answer.
        for text in (("\n".join([item.question, *item.options])) if chosen else "", item.answer):
            found = words(text)
            if len(found) >= LONG:
                self._put(item, found, answer=True)

    def _put(self, item: BenchmarkItem, found: Sequence[Word], *, answer: bool) -> None:
        self._items.append(item)
        self._sides.append(self._side(found))
        self._answers.append(answer)

    def _side(self, found: Sequence[Word]) -> Words:
        import numpy as np

        plain = [self._hash(word.text) for word in found]
        masked = [self._hash(mask_word(word.text)) for word in found]
        return Words(np.array(plain, np.uint64), np.array(masked, np.uint64))

    def _hash(self, word: str) -> int:
        known = self._hashes.get(word)
        if known is None:
            from xxhash import xxh3_64_intdigest

            known = xxh3_64_intdigest(word.encode("utf-8", "surrogatepass"))
            if len(self._hashes) < 1_000_000:
                self._hashes[word] = known
        return known

    def _candidates(self, side: Words) -> Iterator[int]:
        """Yield the texts that share enough runs of five words with numbers masked, most first.

        Enough is what the rules cannot do without: 8 (9 for 13 words in a row, 8 for twice 8 words
        of 32), less for short texts: half of a question's words less 7 (a tenth changed takes five
        runs each), or 0.4 of the instruction's.
        """
        import numpy as np

        grams = np.unique(ngrams(side.masked, min(PROBE, len(side.masked))))
        first = np.searchsorted(self._grams, grams, "left")
        last = np.searchsorted(self._grams, grams, "right")
        owners = [self._owners[a:b] for a, b in zip(first, last, strict=True) if a < b]
        if not owners:
            return
        numbers, counts = np.unique(np.concatenate(owners), return_counts=True)
        needed = np.minimum(0.5 * self._lengths[numbers] - 7, min(8.0, 0.4 * len(grams)))
        enough = counts >= np.maximum(needed, 1)
        numbers, counts = numbers[enough], counts[enough]
        yield from numbers[np.argsort(-counts, kind="stable")].tolist()

    def _compare(self, number: int, side: Words, found: Sequence[Word], text: str) -> Hit | None:
        theirs = self._sides[number]
        rules = _answer_rule if self._answers[number] else _rule
        rule = rules(side.masked, theirs.masked)
        if rule is None:
            return None
        plain = rules(side.plain, theirs.plain)
        ours, other = (side.plain, theirs.plain) if plain else (side.masked, theirs.masked)
        start, length = longest_run(ours, other)
        span = text[found[start].start : found[start + length - 1].end]
        named = plain or f"{rule}, numbers masked"
        share = float(covered(other, ours, SHORT).mean())
        return Hit(self._items[number], named, span, round(share, 4))


def _rule(ours: Hashes, theirs: Hashes) -> str | None:
    """Return the first rule of the module's list by which two texts are a hit, or None."""
    import numpy as np

    if np.isin(ngrams(theirs, LONG), ngrams(ours, LONG)).any():
        return "13-gram"
    middle = int(covered(theirs, ours, MIDDLE).sum())
    if middle and (
        middle >= len(theirs) // 2 or covered(ours, theirs, MIDDLE).sum() >= COVERED_OWN * len(ours)
    ):
        return "8-gram"
    short = len(theirs) < LONG
    if covered(theirs, ours, SHORT).mean() >= (EDITED_SHORT if short else EDITED):
        return "edited"
    shorter = min(len(ours), len(theirs))
    if shorter >= FEWEST and (short if len(theirs) == shorter else shorter < MIDDLE):
        contained = np.isin(ngrams(ours, shorter), ngrams(theirs, shorter)).any()
        return "contained" if contained else None
    return None


def _answer_rule(ours: Hashes, theirs: Hashes) -> str | None:
    import numpy as np

    shared = np.isin(ngrams(theirs, LONG), ngrams(ours, LONG)).any()
    return "13-gram" if shared else None
