"""Planted defects: copies of questions in many disguises, and questions with a fault of their own.

Every function is pure; randomness is handed in. `benchmarks/screens.py` counts what the screens find
of them, the tests hold them to it.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from ds2.engines.teacher import catalog
from ds2.screen.text import mask_word
from signatures.bloom import LEVELS
from signatures.records import Instruction

DATA = Path(
    os.environ.get("DS2_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
_OTHER_WORDS = "purple zebra quickly harbour under river between lantern seldom marble".split()


def shared(name: str) -> list[dict[str, Any]]:
    """Return the rows of a file below `DS2_SHARED_DATA`."""
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def asked(question: str, context: str = "", options: tuple[str, ...] = ()) -> Instruction:
    """Return an instruction with this text."""
    return Instruction(
        keywords=("k",), level=LEVELS[2], question=question, context=context, options=options
    )


def written(task: str, count: int, seed: int = 0, pair_share: float = 0.4) -> list[Instruction]:
    """Return questions as the simulated teacher writes them, without its faults."""
    rng = random.Random(f"{task}/{seed}")
    domain = catalog.domain(task)
    words = [node.text for node in domain.keywords]
    made = []
    for i in range(count):
        keywords = rng.sample(words, 2 if rng.random() < pair_share else 1)
        family = rng.choice(catalog.families_for(task, rng.choice(keywords)))
        text = domain.write(rng, family, LEVELS[i % 6], keywords)
        instruction = asked(text.question, text.context)
        made.append(instruction.model_copy(update={"keywords": tuple(keywords)}))
    return made


# How a question may be copied: of the question, with randomness, and with a question to hide it in.


def _verbatim(text: str, _rng: Random, _host: str) -> str:
    return text


def _first_half(text: str, _rng: Random, _host: str) -> str:
    words = text.split()
    return " ".join(words[: (len(words) + 1) // 2])


def _second_half(text: str, _rng: Random, _host: str) -> str:
    words = text.split()
    return " ".join(words[len(words) // 2 :])


def _edited(text: str, rng: Random, _host: str) -> str:
    words = text.split()
    for i in rng.sample(range(len(words)), max(1, round(0.1 * len(words)))):
        words[i] = rng.choice(_OTHER_WORDS)
    return " ".join(words)


def _other_numbers(text: str, rng: Random, _host: str) -> str:
    return re.sub(r"\d+", lambda m: str(int(m[0]) + rng.randrange(1, 9)), text)


def _hidden(copy: Callable[[str, Random, str], str]) -> Callable[[str, Random, str], str]:
    def hide(text: str, rng: Random, host: str) -> str:
        parts = [host, copy(text, rng, host)]
        rng.shuffle(parts)
        return " ".join(parts)

    return hide


COPIES: Mapping[str, Callable[[str, Random, str], str]] = {
    "verbatim": _verbatim,
    "verbatim, within another": _hidden(_verbatim),
    "first half": _first_half,
    "second half": _second_half,
    "first half, within another": _hidden(_first_half),
    "second half, within another": _hidden(_second_half),
    "10 % of the words changed": _edited,
    "10 % changed, within another": _hidden(_edited),
    "numbers changed": _other_numbers,
    "numbers and 10 % changed": lambda t, rng, host: _edited(
        _other_numbers(t, rng, host), rng, host
    ),
}


# How a question may be repeated within one run.


def _retyped(text: str, _rng: Random, _host: str) -> str:
    words = [
        word.capitalize() if word.isalpha() and word.islower() else word for word in text.split()
    ]
    return "  ".join(words) + " !"


def _one_word(text: str, rng: Random, _host: str) -> str:
    words = text.split()
    plain = [i for i, word in enumerate(words) if word.isalpha() and mask_word(word) == word]
    words[rng.choice(plain or [0])] = rng.choice(_OTHER_WORDS)
    return " ".join(words)


def _filler(text: str, _rng: Random, _host: str) -> str:
    return f"Please consider this carefully. {text}"


REPEATS: Mapping[str, Callable[[str, Random, str], str]] = {
    "verbatim": _verbatim,
    "case, spacing and punctuation": _retyped,
    "one word changed": _one_word,
    "an opening sentence": _filler,
}


class Planted(NamedTuple):
    """A question and the reason for which it has to be turned down."""

    reason: str
    question: str
    options: tuple[str, ...] = ()
    context: str = ""
    language: str = "English"


FAULTY: tuple[Planted, ...] = (
    Planted("no_words", "..."),
    Planted("no_words", "?!"),
    Planted("too_short", "What?"),
    Planted("too_short", "Compute it."),
    Planted("too_short", "何?", language="Japanese"),
    Planted("too_long", "How many apples are there? " * 400),
    Planted("refusal", "I'm sorry, but I can't help with that request."),
    Planted("refusal", "I cannot write a question about this topic."),
    Planted("refusal", "As an AI language model, I do not have access to exams."),
    Planted("refusal", "Sure! Here is a question about ratios: what is 4 to 6 in lowest terms?"),
    Planted("refusal", "Here is your question:\n\nWhat is the sum of 4 and 6?"),
    Planted("refusal", "抱歉，我无法提供这个问题。", language="Chinese"),
    Planted("refusal", "I'm unable to create such a question."),
    Planted("refusal", "I’m not able to help with that."),
    Planted("refusal", "I am not able to write questions about weapons."),
    Planted("refusal", "I can’t assist with this request."),
    Planted("refusal", "I apologize, but I cannot help with that topic."),
    Planted("refusal", "I apologise for any inconvenience; no question can be given."),
    Planted("refusal", "Unfortunately I can't help with this one."),
    Planted("refusal", "Unfortunately, I cannot provide that."),
    Planted("refusal", "I must decline to write this question because it is harmful."),
    Planted("refusal", "I must respectfully decline."),
    Planted("refusal", "I'm sorry, I won't do that."),
    Planted("refusal", "I won't be able to help you with it. I cannot create a question on drugs."),
    Planted("refusal", "This request violates my guidelines, so no question is given."),
    Planted("refusal", "Let me know if you need another question!"),
    Planted("leak", "What is 3 + 4? Answer: 7"),
    Planted("leak", "What is 3 + 4? Ans: 7"),
    Planted("leak", "What is 3 + 4?\nSolution: 7"),
    Planted("leak", "What is 3 + 4? ANSWER - 7"),
    Planted("leak", "Which gas do plants take up? The correct answer is (B)."),
    Planted("leak", "A train runs 60 km in 2 hours. The answer is 30. How fast is it?"),
    Planted("leak", r"Solve x + 2 = 9 for x. \boxed{7}"),
    Planted("leak", "How many legs have 4 dogs?\n#### 16"),
    Planted("leak", "Is the trial conclusive? **Answer:** yes"),
    Planted("same_options", "Which is largest here?", ("0.5", "1/2", "0.25", "0.1")),
    Planted("same_options", "Which distance is right?", ("1,000 m", "1000 m", "10 m", "5 cm")),
    Planted("same_options", "Which organ is meant?", ("the liver", "the liver.", "a lung", "skin")),
    Planted("same_options", "Which city is the capital?", ("Paris", "Rome", "paris", "Bonn")),
    Planted(
        "same_options", "Which organ is meant here?", ("The liver", "skin", "the liver", "bone")
    ),
    Planted(
        "same_options", "Which fruit is meant here?", ("an apple", "apple", "a pear", "a plum")
    ),
    Planted("same_options", "Which share is right here?", ("50%", "0.5", "0.25", "2")),
    Planted("same_options", "Which half is right?", (r"\frac{1}{2}", "1/2", "2", "4")),
    Planted("same_options", "Which sum is right here?", ("x+1", "x + 1", "x", "1")),
    Planted("missing", "What does the image show?"),
    Planted("missing", "Consider the triangle shown. What is its area?"),
    Planted("missing", "As the graph indicates, what is the slope?"),
    Planted("missing", "In the picture above, who holds the flag?"),
    Planted("missing", "Look at the figure below and tell the area of the shaded part."),
    Planted("missing", "According to the passage, who won the war?"),
    Planted("missing", "Refer to Table 2 and compute the mean of the group."),
    Planted("missing", "In the diagram shown, find x in degrees."),
    Planted("missing", "Using the graph above, estimate the speed after 3 seconds."),
    Planted("missing", "Which trend does the following chart show over the years?"),
    Planted("missing", "What is the area of the triangle? [Image]"),
    Planted("missing", "The attached file lists sales. Which month was best?"),
    Planted("language", "Wie viele Äpfel hat der Händler, wenn er die Hälfte der Kiste verkauft?"),
    Planted(
        "language",
        "¿Cuántas manzanas tiene el hombre si vende la mitad de las cajas y no de la mesa?",
    ),
    Planted("language", "一个商人有十二个苹果，卖掉一半，还剩几个苹果呢？"),
    Planted("language", "Сколько яблок осталось у торговца, если он продал половину?"),
    Planted(
        "language", "How many apples does the man have if he sells half of them?", language="German"
    ),
    Planted("language", "How many apples does the man have?", language="Japanese"),
)

# What looks like a fault and is none.
SOUND: tuple[Planted, ...] = (
    Planted("", "The picture above the fireplace is 40 cm wide and 30 cm tall; what is its area?"),
    Planted("", "Maria hangs the picture below the clock at 180 cm, 30 cm lower. How high is it?"),
    Planted("", "A map of scale 1:100 is given. In the map 3 cm are how many cm outside?"),
    Planted("", "A table costs 40 dollars. In the table shop, how much do 3 of them cost?"),
    Planted("", "The triangle shown to be isosceles has a side of 4 cm. What is the other side?"),
    Planted(
        "", "The final answer is 20 percent of the grade, the rest homework. What is homework's?"
    ),
    Planted("", "The correct answer is worth 5 points, a wrong one costs 2. What do 8 and 3 give?"),
    Planted("", "The solution is 5 percent salt. How much salt is in 2 litres of it?"),
    Planted("", "What is the answer: 5 or 6, if x + 1 = 6?"),
    Planted("", "Sorry, I said Tom, twice a day. How often does he take the drug in a week?"),
    Planted("", "I am unable to lift 80 kg, but 40 kg I can. What share of it is that?"),
    Planted("", "I’m not able to be there at 5, so I come at 7. How many hours later is that?"),
    Planted("", "I can't help laughing when I read that 3 of 4 cats bark. How many of 12 would?"),
    Planted("", "I decline 3 of 12 invitations. What share do I accept?"),
    Planted(
        "", "I apologize to 3 of my 12 friends a day. After how many days have I done so to all?"
    ),
    Planted("", "Unfortunately I lost 3 of my 8 pens. How many are left?"),
    Planted("", "I am afraid of 3 of the 9 dogs in our street. Of what share am I not?"),
    Planted("", "Which symbol is meant?", ("NaCl", "NACL", "KCl", "HCl")),
    Planted("", "Which is cheaper?", ("$5", "5", "5 m", "M5")),
    Planted("", "Express the answer as: a fraction in lowest terms of the numbers 4 and 6."),
    Planted("", "Draw the graph of y = x^2 and find its vertex."),
    Planted("", "What is the answer if x is 3 and y is 4?"),
    Planted("", "Does aspirin help? Answer: yes or no."),
    Planted("", "Give the final answer: a number in dollars, for 3 shirts at 4 dollars."),
    Planted("", "She sets the table for 4 guests with 3 forks each. How many forks are there?"),
    Planted("", "She received 2000 likes on the photo. Half came late. How many came in time?"),
    Planted(
        "", "Make a table of the values of x^2 for x from 1 to 3; what is the sum in the table?"
    ),
    Planted("", "Complete the following table.\n| x | y |\n| 1 | 2 |\nWhat is y where x is 1?"),
    Planted(
        "", "Does the text show a gain? Judge by the passage.", context="A trial found a gain of 3."
    ),
    Planted("", "What is 6 x 7?"),
    Planted("", "Which is largest?", ("5 m", "5 cm", "5 mm", "5 km")),
    Planted("", "Which is right?", ("-3", "3", "1/3", "30 %")),
    Planted("", "Which unit is meant?", ("mW", "MW", "kW", "W")),
    Planted(
        "", "I bought 3 pens. I cannot recall the price, but the sum was 6 dollars. What was each?"
    ),
    Planted("", "Here is a problem on sensitivity. Of 100 patients 90 are found. What is it?"),
    Planted("", "Sorry, the shop is closed, says the sign. What does the sign mean to customers?"),
    Planted("", "Solve x + 2 = 9.", language="Japanese"),
    Planted("", "Le chat noir is a cabaret of Paris. In which year was it opened, and by whom?"),
    Planted("", "What does the German word der mean, and what is its plural in that language?"),
    Planted("", "Wie viele Äpfel hat der Händler noch?", language="German (formal)"),
    Planted("", "東京から大阪までの距離は何キロですか。", language="Japanese"),
    Planted("", r"Compute \int_0^1 x^2 dx and give it as \frac{a}{b}."),
)


class Told(NamedTuple):
    """A question with the answer that its vote came to."""

    question: str
    answer: str
    options: tuple[str, ...] = ()


# Questions that give their answer away, which only the answer shows.
GIVEN_AWAY: tuple[Told, ...] = (
    Told("What is 6 times 7? Hint: it is 42.", "42"),
    Told("What is 6 times 7? (42)", "42"),
    Told("How much is due? [Answer = $1,250.00]", "1250"),
    Told("What is the capital of France? Solution: Paris", "Paris"),
    Told("What is the capital of France? ANSWER - Paris", "Paris"),
    Told("**Answer**: Paris. What is the capital of France?", "Paris"),
    Told("Which organ makes bile? The answer is the liver.", "B", ("The skin", "The liver")),
    Told("Which organ makes bile? Hint: B", "B", ("The skin", "The liver")),
    Told("Which organ makes bile? (B)", "B", ("The skin", "The liver")),
    Told("Calculate 3 + 4 = 7. What is 3 + 4?", "7"),
    Told("What is 12 / 4 = 3?", "3"),
    Told("Solve x + 2 = 9 for x. The solution is 7.", "7"),
    Told("Is the trial conclusive? Answer: yes.", "yes"),
    Told(r"What is half of one? Answer: \frac{1}{2}", r"\frac{1}{2}"),
)
# Questions in which the answer stands for another reason, or not at all.
KEPT: tuple[Told, ...] = (
    Told("What is 6 times 7? Hint: it is below 50.", "42"),
    Told("What is 6 times 7? Hint: it is 420 divided by 10.", "42"),
    Told("If x = 5 and y = x, what is y?", "5"),
    Told("Tom says that 2 + 3 = 5. What is 10 - 5?", "5"),
    Told("Solve part (2). What is n in 3n = 6?", "2"),
    Told("Is the trial conclusive? Answer: yes or no.", "yes"),
    Told("Is it so? Answer: yes, no or maybe.", "yes"),
    Told("Is it so? The answer is yes if the interval leaves out 0: 0.1 to 0.4.", "yes"),
    Told("The result is 12 when 3 is added. What was it before?", "9"),
    Told("The solution is 5 % salt. What is its salt in per cent?", "5"),
    Told("The final answer is 20 percent of the grade. What is 10 percent of 200?", "20"),
    Told("Which organ makes bile? Answer with A or B.", "B", ("The skin", "The liver")),
    Told("Does the liver make bile, or the skin?", "A", ("The liver", "The skin")),
    Told("Why is the answer A wrong?", "B", ("It is cold", "It is old")),
    Told("What is 3 + 4?", "7"),
)
