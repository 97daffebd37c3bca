"""Planted multiple-choice questions: a small benchmark of short ones, and how they may be copied."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import NamedTuple


class Choice(NamedTuple):
    """A question with its options."""

    question: str
    options: tuple[str, ...]


def _choice(text: str) -> Choice:
    question, *options = text.split(" | ")
    return Choice(question, tuple(options))


# Questions that are told by their own words, of 5 to 12 words.
TOLD = tuple(
    map(
        _choice,
        (
            "What is the capital of France? | Paris | London | Berlin | Madrid",
            "Which vitamin deficiency causes scurvy? | Vitamin A | Vitamin C | Vitamin D | Vitamin K",
            "Which planet is nearest to the sun? | Mercury | Venus | Earth | Mars",
            "Which enzyme unwinds the DNA double helix? | Helicase | Ligase | Primase | Gyrase",
            "Which organ secretes the hormone insulin? | The liver | The pancreas | The spleen | The kidney",
            "At which temperature does water boil at sea level? | 90 °C | 95 °C | 100 °C | 105 °C",
            "Which nerve is injured in a midshaft humeral fracture? | Median | Ulnar | Radial | Axillary",
            "What does a steep yield curve signal to bond investors? | Growth | Recession | Default | Calm",
            "Which metal is liquid at room temperature? | Iron | Mercury | Tin | Lead",
            "Who painted the ceiling of the Sistine Chapel? | Raphael | Michelangelo | Titian | Bernini",
            "What is the square root of 144? | 10 | 11 | 12 | 14",
            "Which gas do green plants absorb in sunlight? | Oxygen | Nitrogen | Carbon dioxide | Helium",
            "Which particle carries no electric charge? | Proton | Electron | Neutron | Positron",
            "Which ratio measures return per unit of total risk? | Sharpe | Treynor | Sortino | Jensen",
            "Which bone is the longest in the human body? | Femur | Tibia | Humerus | Ulna",
            "What colour does litmus paper turn in acid? | Red | Blue | Green | White",
        ),
    )
)
# Questions that any examination asks: they are somebody's together with their options alone.
STOCK = tuple(
    map(
        _choice,
        (
            "Which of the following is true? | The sun is cold | The moon is a star | Ice is water",
            "What is the most likely diagnosis? | Gout | Lupus | Sarcoidosis | Measles",
            "Which of the following is the best next step in management? | Surgery | Rest | Heparin | MRI",
            "Which one, if true, most weakens the argument? | Cats bark | Dogs purr | Fish walk | Cows fly",
            "The correct answer is most likely: | 5.2% | 6.1% | 7.4%",
            "What is the value of the expression? | 12 | 15 | 18 | 21",
            "Which statement is correct? | Bonds pay coupons | Bonds pay rent | Bonds pay wages",
            "Which is largest? | 5 km | 50 m | 500 cm | 5 mm",
        ),
    )
)
CHOICES = (*TOLD, *STOCK)

Copy = Callable[[Choice, Random], Choice]


def _as_it_is(choice: Choice, _rng: Random) -> Choice:
    return choice


def _shuffled(choice: Choice, rng: Random) -> Choice:
    return Choice(choice.question, tuple(rng.sample(choice.options, len(choice.options))))


def _retyped(choice: Choice, rng: Random) -> Choice:
    options = _shuffled(choice, rng).options
    return Choice(choice.question.upper(), tuple(f" {o.lower()}. " for o in options))


def _half(choice: Choice, rng: Random) -> Choice:
    kept = _shuffled(choice, rng).options[: max(2, (len(choice.options) + 1) // 2)]
    others = ("quicksilver", "a harbour", "seldom")[: len(choice.options) - len(kept)]
    return Choice(choice.question, (*kept, *others))


def _within(choice: Choice, rng: Random) -> Choice:
    said = "Maria prepares a quiz for her class this week."
    return Choice(f"{said} {choice.question}", _shuffled(choice, rng).options)


def _other_options(choice: Choice, _rng: Random) -> Choice:
    return Choice(choice.question, ("quicksilver", "a harbour", "seldom", "marble"))


def _unseen(choice: Choice, rng: Random) -> Choice:
    split = "".join(c + "\u200b" if c in "aeiou" else c for c in choice.question)
    return Choice(split, _shuffled(choice, rng).options)


COPIES_OF_CHOICES: Mapping[str, Copy] = {
    "as it is": _as_it_is,
    "options in another order": _shuffled,
    "capitals, spaces, stops": _retyped,
    "characters that show nothing": _unseen,
}
# Of a question below five words all must be the same, and nothing else asked.
COPIES_OF_TOLD: Mapping[str, Copy] = {
    "half of the options": _half,
    "within another": _within,
    "other options": _other_options,
}

# What looks like one of them and is none.
OTHERS = tuple(_other_options(choice, Random(0)) for choice in STOCK) + tuple(
    map(
        _choice,
        (
            "What is the capital gains tax on 400 dollars? | 40 | 60 | 80 | 100",
            "Which planet is the largest of all? | Mercury | Venus | Earth | Mars",
            "Which metal conducts electricity best? | Iron | Mercury | Tin | Lead",
            "Which hormone does the adrenal gland secrete? | Cortisol | Insulin | Glucagon | Leptin",
            "Which vitamin is soluble in water? | Vitamin A | Vitamin C | Vitamin D | Vitamin K",
            "Which is largest of all? | 5 km | 50 m | 500 cm | 5 mm",
            "Which particle is the heaviest? | Proton | Electron | Neutron | Positron",
            "Welche der folgenden Aussagen ist richtig? | Ja | Nein | Beide | Keine",
        ),
    )
)
