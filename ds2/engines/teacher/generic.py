"""Questions for a task without a domain of its own: figures and signs that no language changes.

A few words of the task stand for whole numbers, and a term of them is asked for; a label is asked
for by the remainder it stands for. So nothing is said in a language the teacher does not speak,
and what is said is true.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from random import Random

from ds2.engines.teacher.frame import Solution, solution
from signatures.task import AnswerKind

DIFFICULTY = 0.3

_NAME = re.compile(r"[^\W\d_](?:[^\W_]|[ '’-](?=[^\W_])){0,39}")
_GIVEN = re.compile(rf"({_NAME.pattern}) = (\d+)(?=[;.])")
_ASKED = re.compile(r"→ ([^→]*?) = \?")
_LABEL = re.compile(r"(\d+) ⇒ (.+?)(?=; \d+ ⇒ |\.(?: |\Z))")
_MODULO = re.compile(r"\((.+)\) mod (\d{1,3})")
_FALLBACK = ("x", "y", "z")
_LATIN = re.compile(r"[^\W\d_]+")
_COMMON = frozenset(
    "about and each from have into none people question questions such text texts than that their "
    "them then there these they this what when where which whom whose will with".split()
)
_IDEOGRAMS = re.compile(r"[\u3400-\u9fff]+|[\u30a1-\u30ff]{2,}")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


def words_of(text: str) -> list[str]:
    """Return the words of a text that could be keywords, in order, each once, in any script.

    Runs of ideograms and katakana are words of their own; words of spaced scripts need four
    letters; unspaced runs of other scripts are cut into pieces of at most twelve characters.
    """
    found: list[str] = []
    for run in _LATIN.findall(text):
        if _IDEOGRAMS.search(run):
            found.extend(word for word in _IDEOGRAMS.findall(run) if len(word) > 1)
        elif _UNSPACED.search(run):
            found.extend(run[i : i + 12] for i in range(0, len(run), 12))
        elif len(run) > 3 and run.casefold() not in _COMMON:
            found.append(run)
    return list(dict.fromkeys(found))


def keyword_pool(phrases: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return keywords: the phrases as they are, the words of `texts`, neighbours joined."""
    words = words_of("\n".join(texts))
    pairs = [
        f"{first}{'' if _UNSPACED.search(first) else ' '}{second}"
        for step in (1, 2)
        for first, second in zip(words, words[step:], strict=False)
    ]
    found: dict[str, str] = {}
    for text in [*phrases, *words, *pairs]:
        found.setdefault(text.casefold(), text)
    return list(found.values())


def write(
    rng: Random,
    kind: AnswerKind,
    keywords: Sequence[str],
    words: Sequence[str],
    *,
    rank: int,
    labels: Sequence[str] = (),
) -> tuple[str, str, Solution]:
    """Return facts, question and solution.

    Args:
        kind: the answer kind of the task.
        keywords: what the question must mention.
        words: words of the task that may stand for numbers.
        rank: of the level, 0 to 5; higher ones have longer terms.
        labels: for `label`, the closed set.
    """
    names = _names(rng, keywords, words)
    values = [rng.randint(12, 60), rng.randint(3, 12), rng.randint(2, 11)]
    facts = "; ".join(f"{name} = {v}" for name, v in zip(names, values, strict=True)) + "."
    term = _TERMS[kind is AnswerKind.EXPRESSION][rank].format(*names)
    if kind is AnswerKind.LABEL and labels:
        term = f"({term}) mod {len(labels)}"
        named = "; ".join(f"{i} ⇒ {label}" for i, label in enumerate(labels))
        question = f"{' + '.join(keywords)} → {term} = ? {named}."
    else:
        question = f"{' + '.join(keywords)} → {term} = ?"
    found = _solved(term, dict(zip(names, map(str, values), strict=True)), labels)
    assert found is not None  # noqa: S101
    return facts, question, found


_TERMS = (
    ("{0} + {1}", "{0} − {1}", "{0} × {1}", "{0} × {1} + {2}", "{0} × ({1} + {2})", "{0} × {1} − {2}"),
    ("{1} / {0}", "{2} / {0}", "{1} / {0} + {2}", "({1} + {2}) / {0}", "{1} × {2} / {0}",
     "{0} / ({1} + {2})"),
)  # fmt: skip


def _names(rng: Random, keywords: Sequence[str], words: Sequence[str]) -> list[str]:
    pool = [w for w in [*keywords, *words] if _NAME.fullmatch(w) and w.casefold() not in "mod"]
    rng.shuffle(pool)
    names: list[str] = []
    for word in [*pool, *_FALLBACK]:
        if len(names) < 3 and not any(word in name or name in word for name in names):
            names.append(word)
    return names if len(names) == 3 else list(_FALLBACK)


def read(text: str) -> Solution | None:
    """Return the solution of a question of this module, or None where it is none."""
    asked = _ASKED.search(text)
    if asked is None:
        return None
    labels = [label for _, label in _LABEL.findall(text)]
    return _solved(asked[1], dict(_GIVEN.findall(text)), labels)


def _solved(asked: str, values: Mapping[str, str], labels: Sequence[str]) -> Solution | None:
    """Return the solution of a term with names in it, or None where it has none."""
    term = asked
    for name in sorted(values, key=len, reverse=True):
        term = term.replace(name, values[name])
    modulus = _MODULO.fullmatch(term)
    value = _value(modulus[1] if modulus else term)
    if value is None:
        return None
    shown = f"{asked} = {term}"
    if modulus is None:
        right = _latex(value)
        slips = [value + 10, value - 1, value + 1, 2 * value]
        return solution(right, [_latex(slip) for slip in slips], f"{shown} = {right}")
    if int(modulus[2]) != len(labels) or not labels:
        return None
    rest = int(value) % len(labels)
    others = [label for label in labels if label != labels[rest]]
    return solution(labels[rest], others, f"{shown} = {rest}", f"{rest} ⇒ {labels[rest]}")


_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern.replace("N", r"(\d{1,6})")), name)
    for pattern, name in (
        (r"N \+ N", "sum"),
        (r"N − N", "difference"),
        (r"N × N", "product"),
        (r"N × N \+ N", "product plus"),
        (r"N × N − N", "product minus"),
        (r"N × \(N \+ N\)", "product of sum"),
        (r"N / N", "quotient"),
        (r"N / N \+ N", "quotient plus"),
        (r"\(N \+ N\) / N", "sum over"),
        (r"N × N / N", "product over"),
        (r"N / \(N \+ N\)", "over sum"),
    )
)


def _value(term: str) -> Fraction | None:
    """Return the value of a term in one of the shapes that are written here."""
    for pattern, name in _SHAPES:
        match = pattern.fullmatch(term)
        if match:
            return _computed(name, [Fraction(n) for n in match.groups()])
    return None


def _computed(name: str, numbers: list[Fraction]) -> Fraction | None:
    a, b, c = [*numbers, Fraction(1)][:3]
    divisor = {
        "quotient": b,
        "quotient plus": b,
        "sum over": c,
        "product over": c,
        "over sum": b + c,
    }
    if divisor.get(name) == 0:
        return None
    by = divisor.get(name, Fraction(1))
    return {
        "sum": a + b,
        "difference": a - b,
        "product": a * b,
        "product plus": a * b + c,
        "product minus": a * b - c,
        "product of sum": a * (b + c),
        "quotient": a / by,
        "quotient plus": a / by + c,
        "sum over": (a + b) / by,
        "product over": a * b / by,
        "over sum": a / by,
    }[name]


def _latex(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
