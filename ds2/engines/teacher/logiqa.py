"""Logical reasoning: six families decided by enumeration; the options are texts."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any

from ds2.engines.teacher import logic, reasoning
from ds2.engines.teacher.frame import Domain, Family, node
from ds2.engines.teacher.slots import Again, Whole, Word
from ds2.engines.teacher.wording import asks_for
from ds2.engines.teacher.words import NAMES

_NAME = Word(NAMES)
_RELATION = Word(logic.RELATIONS, repeat=True)
_QUANTIFIER = Word(("All", "No", "Some"), repeat=True)
_COPULA = Word(("are", "are not"), repeat=True)


ORDERING = Family(
    name="ordering",
    difficulty=0.5,
    slots={
        "a": _NAME,
        "b": _NAME,
        "c": _NAME,
        "d": _NAME,
        "rel": _RELATION,
        "link": _RELATION,
        "tie": _RELATION,
        "place": Word(reasoning.PLACES),
        "line": Word(
            ("a queue", "a parade", "a relay", "a photo row", "a procession", "a caravan")
        ),
    },
    scenes=(
        (
            "{a}, {b}, {c} and {d} form {line}, one behind the other. {a} is {rel} {b}, {c} is {link} "
            "{d}, and {b} is {tie} {c}."
        ),
        (
            "Four people make up {line}: {c}, {a}, {d} and {b}. It is [certain|known] that {b} is {tie} "
            "{c}, that {a} is {rel} {b}, and that {c} is {link} {d}."
        ),
        (
            "In {line} of four, a marshal has noted three things. Note one: {c} is {link} {d}. Note two: "
            "{a} is {rel} {b}. Note three: {b} is {tie} {c}."
        ),
    ),
    asks=asks_for(
        "the person in the {place} place",
        at={
            "analyze": "the one true statement about neighbours",
            "evaluate": "the statement about two neighbours that is true",
        },
    ),
    solve=reasoning.ordering,
    fit=lambda p: len(reasoning.queue(p)) == 1,
)

_GROUPS = (
    "bakers", "climbers", "poets", "drummers", "sailors", "gardeners", "chess players", "painters",
    "skaters", "joggers", "archers", "weavers", "dancers", "anglers", "potters", "singers",
    "collectors", "beekeepers", "cyclists", "knitters", "swimmers", "translators", "carpenters",
    "vegetarians",
)  # fmt: skip


SYLLOGISM = Family(
    name="syllogism",
    difficulty=0.6,
    slots={
        "q": _QUANTIFIER,
        "a": Word(_GROUPS),
        "are": _COPULA,
        "b": Word(_GROUPS),
        "k": _QUANTIFIER,
        "be": _COPULA,
        "c": Word(_GROUPS),
        "town": Word(("a village", "a camp", "a club", "a valley", "a hotel", "a college")),
    },
    scenes=(
        (
            "In {town} there are {a}, {b} and {c}, at least one of each. {q} {a} {are} {b}. {k} {b} {be} "
            "{c}."
        ),
        (
            "Two facts hold in {town}. Fact one: {q} {a} {are} {b}. Fact two: {k} {b} {be} {c}. None of "
            "the three groups is empty."
        ),
        (
            "A visitor of {town}, where each group has members, writes: {q} {a} {are} {b}. Then, below: "
            "{k} {b} {be} {c}."
        ),
    ),
    asks=asks_for("the statement that must be true"),
    solve=reasoning.syllogism,
    fit=lambda p: (
        (p.are == "are" or p.q == "Some")
        and (p.be == "are" or p.k == "Some")
        and (p.q == "All" or bool(logic.entailed(reasoning.premises(p))))
    ),
)

_FACTS = (*reasoning.EVENTS, *reasoning.EVENTS.values())


class _Fact(Word):
    """One of the facts that the rules speak of, or its denial."""

    def draw(self, rng: Random, taken: Collection[Any]) -> str:
        fact = rng.choice([event for event in reasoning.EVENTS if event in taken])
        return rng.choice((fact, reasoning.EVENTS[fact]))


CONDITIONAL = Family(
    name="conditional",
    difficulty=0.4,
    slots={
        "p": Word(tuple(reasoning.EVENTS)),
        "q": Word(tuple(reasoning.EVENTS)),
        "r": Word(tuple(reasoning.EVENTS)),
        "fact": _Fact(_FACTS),
        "name": _NAME,
    },
    scenes=(
        (
            "Two rules hold without exception. If {p}, then {q}. If {q}, then {r}. [Right now|Today], "
            "{name} sees that {fact}."
        ),
        (
            "{name} is told: whenever {p}, {q}; and whenever {q}, {r}. [At noon|This evening], one thing "
            "is certain: {fact}."
        ),
        (
            "From the log of {name}: (1) {q} in every case in which {p}. (2) {r} in every case in which "
            "{q}. (3) As of now, {fact}."
        ),
    ),
    asks=asks_for("the statement that must be true"),
    solve=reasoning.conditional,
    # A denied condition or a met result proves nothing, so neither is what is known.
    fit=lambda p: p.fact in (p.p, p.q, reasoning.EVENTS[p.q], reasoning.EVENTS[p.r]),
)


_ABOUT = Word(("tells the truth", "lies"), repeat=True)

ISLANDERS = Family(
    name="islanders",
    difficulty=0.8,
    slots={
        "a": _NAME,
        "b": _NAME,
        "c": _NAME,
        "one": _ABOUT,
        "two": Word(("of the same kind", "of different kinds")),
        "three": _ABOUT,
        "place": Word(("an island", "a court", "a castle", "a mountain village", "a remote inn")),
    },
    scenes=(
        (
            "On {place} everyone either always tells the truth or always lies. {a} says that {b} {one}. "
            '{b} says: "{a} and {c} are {two}." {c} says that {a} {three}.'
        ),
        (
            "Three people from {place}, each of them always honest or always lying, talk. According to "
            "{c}, {a} {three}; according to {a}, {b} {one}; according to {b}, {a} and {c} are {two}."
        ),
        (
            "A riddle from {place}, where some never lie and the rest always do: {b} claims that {a} and "
            "{c} are {two}. {a} claims that {b} {one}, and {c} claims that {a} {three}."
        ),
    ),
    asks=asks_for("the complete list of those who lie"),
    solve=reasoning.islanders,
    fit=lambda p: len(reasoning.speakers(p)) == 1,
)


OVERLAP = Family(
    name="overlap",
    difficulty=0.5,
    slots={
        "n": Whole(20, 120),
        "x": Whole(8, 110),
        "y": Whole(8, 110),
        "one": Word(("own a dog", "read the paper", "drink coffee", "take the bus", "play cards")),
        "two": Word(("speak Spanish", "have a garden", "can swim", "wear glasses", "like opera")),
        "who": Word(("guests", "members", "employees", "tenants", "students", "travellers")),
    },
    scenes=(
        "Of {n} {who}, {x} {one} and {y} {two}; nothing else is known.",
        (
            "A survey of {n} {who} finds that {x} {one}. In the same survey, {y} {two}. How the two "
            "groups overlap was not recorded."
        ),
        "Among the {n} {who} on a list there are {x} who {one} and {y} who {two}.",
    ),
    asks=asks_for(
        "the smallest number of {who} who are sure to belong to both groups",
        at={
            "understand": "the largest number of {who} who can belong to both groups",
            "analyze": "the largest number of {who} who can belong to neither group",
            "evaluate": "the greatest number of {who} that both groups can have in common",
            "create": "the number of {who} outside of both groups in the case where it is greatest",
        },
    ),
    solve=reasoning.overlap,
    fit=lambda p: p.x < p.n and p.y < p.n and p.x + p.y > p.n + 2 and p.x != p.y,
)

_INSTRUMENTS = (
    "flute", "cello", "harp", "trumpet", "piano", "drum", "violin", "oboe", "guitar", "organ",
    "banjo", "tuba",
)  # fmt: skip
_PLAYS = Word(("plays", "does not play"), repeat=True)


MATCHING = Family(
    name="matching",
    difficulty=0.45,
    slots={
        "a": _NAME,
        "b": _NAME,
        "c": _NAME,
        "d": _NAME,
        "w": Word(_INSTRUMENTS),
        "x": Word(_INSTRUMENTS),
        "y": Word(_INSTRUMENTS),
        "z": Word(_INSTRUMENTS),
        "v": _PLAYS,
        "u": _PLAYS,
        "t": _PLAYS,
        "s": _PLAYS,
        "r": _PLAYS,
        "who": Again(NAMES),
    },
    scenes=(
        (
            "{a}, {b}, {c} and {d} are a quartet of {w}, {x}, {y} and {z}, one instrument each. {a} {v} "
            "the {w}. {b} {u} the {x}. {c} {t} the {w}. {d} {s} the {y}. {b} {r} the {z}."
        ),
        (
            "The {w}, the {x}, the {y} and the {z} are played by {d}, {c}, {b} and {a}, in some order. "
            "Clues: {b} {r} the {z}; {d} {s} the {y}; {c} {t} the {w}; {b} {u} the {x}; {a} {v} the {w}."
        ),
        (
            "At a rehearsal, {b}, {d}, {a} and {c} share out {x}, {w}, {z} and {y}, no two the same. It "
            "turns out that {c} {t} the {w} and {a} {v} the {w}, that {b} {u} the {x} and {r} the {z}, "
            "and that {d} {s} the {y}."
        ),
    ),
    asks=asks_for("the instrument that {who} plays"),
    solve=reasoning.matching,
    fit=lambda p: (
        # A person whose instrument a clue names outright is not asked about.
        all(who != p.who or verb != "plays" for who, verb, _ in reasoning.clues(p))
        and len(reasoning.casts(p)) == 1
    ),
)

KEYWORDS = (
    node("syllogism", "syllogism", core=True, needs="categorical statements, middle term",
         also="categorical syllogism"),
    node("contrapositive", "conditional", core=True, needs="conditional statements, negation",
         also="contraposition"),
    node("ordering constraints", "ordering", core=True, needs="relations, transitivity",
         also="linear ordering"),
    node("truth-tellers and liars", "islanders", core=True, needs="consistency, case distinction",
         also="knights and knaves"),
    node("deductive inference", "conditional syllogism", core=True, needs="premises, validity",
         also="deduction"),
    node("matching puzzles", "matching", core=True, needs="process of elimination, relations",
         also="logic grids"),
    node("necessary conditions", "conditional", core=True, needs="conditional statements"),
    node("sufficient conditions", "conditional", core=True, needs="conditional statements"),
    node("set overlap", "overlap", core=True, needs="sets, counting", also="intersection of groups"),
    node("quantifiers", "syllogism", core=True, needs="categorical statements",
         also="all, some and none"),
    node("process of elimination", "matching islanders", core=True, needs="case distinction",
         also="elimination"),
    node("validity", "syllogism conditional", core=True, needs="premises", also="valid arguments"),
    node("premises", "conditional syllogism", also="assumptions"),
    node("conditional statements", "conditional", needs="premises", also="if-then statements"),
    node("negation", "conditional islanders", also="denial"),
    node("categorical statements", "syllogism", needs="sets"),
    node("middle term", "syllogism", needs="categorical statements"),
    node("relations", "ordering matching"),
    node("transitivity", "ordering conditional", needs="relations"),
    node("consistency", "islanders matching", needs="negation", also="freedom from contradiction"),
    node("case distinction", "islanders", also="proof by cases"),
    node("sets", "overlap syllogism", also="collections"),
    node("counting", "overlap"),
    node("converse error", "conditional", needs="conditional statements, validity",
         also="affirming the consequent"),
    node("denying the antecedent", "conditional", needs="conditional statements, validity"),
    node("chain of implications", "conditional", needs="conditional statements, transitivity",
         also="hypothetical syllogism"),
    node("Venn diagrams", "syllogism overlap", needs="sets", also="Euler diagrams"),
    node("undistributed middle", "syllogism", needs="middle term, validity"),
    node("existential import", "syllogism", needs="quantifiers"),
    node("inclusion and exclusion", "overlap", needs="set overlap, counting"),
    node("pigeonhole principle", "overlap", needs="counting"),
    node("upper and lower bounds", "overlap", needs="set overlap", also="extreme cases"),
    node("one-to-one assignment", "matching", needs="matching puzzles", also="bijections"),
    node("adjacent positions", "ordering", needs="ordering constraints", also="neighbours in a row"),
    node("self-reference", "islanders", needs="truth-tellers and liars"),
    node("proof by contradiction", "islanders conditional", needs="consistency, negation",
         also="reductio ad absurdum"),
    node("unique solutions", "matching ordering", needs="process of elimination"),
    node("counterexamples", "syllogism", needs="validity, quantifiers"),
    node("modus tollens", "conditional", needs="contrapositive, deductive inference"),
    node("combining clues", "ordering matching", needs="process of elimination",
         also="joining conditions"),
)  # fmt: skip

DOMAIN = Domain(
    task="logiqa",
    families=(ORDERING, SYLLOGISM, CONDITIONAL, ISLANDERS, OVERLAP, MATCHING),
    keywords=KEYWORDS,
    openings=(
        "[An entrance test|A reasoning test] has a part on {first}; here is one of its passages.",
        "[Read|Study] the passage; it is a matter of {first}.",
        "Leave aside what you know of the world and rely on {first}.",
    ),
    pair_openings=(
        "[An entrance test|A reasoning test] combines {first} with {second} in this passage.",
        "[Read|Study] the passage with {first} and {second} in mind.",
    ),
    asides=(
        "Nothing outside of the text may be used.",
        "The statements are all reliable.",
        "[Somebody|A clerk] has checked the wording.",
        "It is a quiet [morning|evening|afternoon].",
    ),
    claim='"{}"',
)
