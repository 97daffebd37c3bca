"""Short questions of a benchmark that come with options: is one of them asked again?

Letters stand between options and their order is shuffled, so question and options are compared apart:
the question by its words, the options as a set, case, width and punctuation aside. A hit is

1. `question and options`: the question stands in the instruction, or three quarters of its words do in
   runs of three, and half of the options are the same, two at least. Of a question below 5 words both
   are the same, and nothing else is asked.
2. `question`: a question of 5 words or more that is told by its own words stands in the instruction,
   whatever its options; also with other numbers (`question, numbers masked`). It has three such
   words; where it is all that is asked, two. Words that any examination asks with (`which of the
   following is most likely true`) are none, nor is a question told that the benchmark itself asks
   more than once. The list of such words is English: a question without any of them is in another
   language, and goes by the first rule alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ds2.screen.grams import covered, longest_run, ngrams
from ds2.screen.text import Word, normal_form, words
from signatures.records import Instruction

if TYPE_CHECKING:
    from ds2.screen.grams import Hashes

FEWEST = 5  # words of a question that may stand within another text
RUN, EDITED = 3, 0.75
SAME = 0.5  # of the options
TELLING, TELLING_ALONE = 3, 2  # words of its own

_STOCK = frozenset(
    """a about above according after all also among an and another answer answers any apply approach
    appropriate are argument as assertion associated assume assumption at author based be because been
    before being below best between both but by can case cause caused causes choice choices choose
    claim claims closest common commonly compared conclude conclusion considered correct correctly could
    describe described describes diagnosis did do does during each effect either equal equals example
    except expected explain explains explanation expression fact false find first following for found
    from function given has have he her his how if important in incorrect increase inference inferred
    initial into is it its itself last least leads likely logically main management many mean means
    mechanism method might more most much must necessary neither next no none nor not number numbers of
    on one only option options or other part passage patient point possible probability probable problem
    process properly question reason regarding related relationship represents result results right
    same second select she should show shown shows significant similar simplest solution solve statement
    statements step steps strengthen strengthens strongly suggest suggested suggests sum support
    supported supports than that the their them then there these they this those three through to total
    treatment true two type typically under used using valid value values was weaken weakens were what
    when where which while who whose why will with within without would you your""".split()
)


_LETTERED = re.compile(r"\s*\(?(?P<letter>[A-Za-z])\s?[.):]\s*(?P<text>\S.*)", re.DOTALL)


class ChoiceHit(NamedTuple):
    """Which question is asked again: its number, the rule, where in the words of the instruction."""

    number: int
    rule: str
    start: int
    length: int
    coverage: float


class Words(NamedTuple):
    """The hashes of the words of a text, and of its words with numbers masked."""

    plain: Hashes
    masked: Hashes


class _Item(NamedTuple):
    question: Hashes
    options: frozenset[str]
    telling: int  # words of its own


class ChoiceIndex:
    """Short questions with their options, by number, counted from 0.

    Args:
        hashed: the hashes of words.
    """

    def __init__(self, hashed: Callable[[Sequence[Word]], Words]) -> None:
        self._hashed = hashed
        self._items: list[_Item] = []
        # By the length and the hash of the question, as it is and with numbers masked.
        self._whole: dict[tuple[int, int], list[int]] = {}
        self._whole_masked: dict[tuple[int, int], list[int]] = {}
        self._by_option: dict[str, list[int]] = {}

    def add(self, question: Sequence[Word], options: Iterable[str]) -> bool:
        """Keep a question with its options; False where it has no word or no two options."""
        kept = option_set(options)
        if not question or len(kept) < 2:
            return False
        number = len(self._items)
        side = self._hashed(question)
        self._items.append(_Item(side.plain, kept, _telling(question)))
        for hashes, whole in zip(side, (self._whole, self._whole_masked), strict=True):
            key = (len(hashes), int(ngrams(hashes, len(hashes))[0]))
            whole.setdefault(key, []).append(number)
        for option in kept:
            self._by_option.setdefault(option, []).append(number)
        return True

    def match(self, instruction: Instruction, text: Words) -> ChoiceHit | None:
        """Return the question that an instruction asks again, or None; the first of several.

        Args:
            instruction: what is asked.
            text: the hashes of the words of all of it, its options too.
        """
        options = option_set(instruction.options)
        alone = self._hashed(words(instruction.question)).plain
        same = (self._same(number, options, alone, text.plain) for number in self._sharing(options))
        found = next((hit for hit in same if hit is not None), None)
        return found or next(self._told(len(alone), text), None)

    def _sharing(self, options: frozenset[str]) -> Iterator[int]:
        """Yield the questions with which enough options are shared, in their order."""
        shared = Counter(n for option in options for n in self._by_option.get(option, ()))
        for number in sorted(shared):
            theirs = self._items[number].options
            if shared[number] >= max(2, SAME * max(len(theirs), len(options))):
                yield number

    def _same(
        self, number: int, options: frozenset[str], alone: Hashes, text: Hashes
    ) -> ChoiceHit | None:
        item = self._items[number]
        size = len(item.question)
        if size < FEWEST:
            if options != item.options or item.question.tolist() != alone.tolist():
                return None
            share = 1.0
        else:
            share = float(covered(item.question, text, RUN).mean())
            if share < EDITED:
                return None
        return ChoiceHit(number, "question and options", *longest_run(text, item.question), share)

    def _told(self, alone: int, text: Words) -> Iterator[ChoiceHit]:
        """Yield the questions that are told by their own words and stand in a text, longest first."""
        passes = (
            ("question", text.plain, self._whole),
            ("question, numbers masked", text.masked, self._whole_masked),
        )
        for rule, hashes, whole in passes:
            for size in sorted({size for size, _ in whole if size >= FEWEST}, reverse=True):
                for start, gram in enumerate(ngrams(hashes, size).tolist()):
                    numbers = whole.get((size, gram), ())
                    if len(numbers) == 1:
                        telling = self._items[numbers[0]].telling
                        if telling >= (TELLING_ALONE if size == alone else TELLING):
                            yield ChoiceHit(numbers[0], rule, start, size, 1.0)


def option_set(options: Iterable[str]) -> frozenset[str]:
    """Return options as they are compared: without letters before them all, those without a word left out."""
    texts = list(options)
    marks = [_LETTERED.match(text) for text in texts]
    letters = [mark["letter"].upper() if mark else "" for mark in marks]
    if letters == [chr(ord("A") + i) for i in range(len(texts))]:
        texts = [mark["text"] for mark in marks if mark]
    return frozenset(filter(None, map(normal_form, texts)))


def _telling(question: Sequence[Word]) -> int:
    """Return how many words of its own a question has; none where it is not in English."""
    found = {word.text for word in question if not word.text.isdigit()}
    return len(found - _STOCK) if found & _STOCK else 0
