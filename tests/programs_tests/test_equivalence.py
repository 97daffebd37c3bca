from __future__ import annotations

import gzip
import json
import math
import os
import re
from fractions import Fraction
from pathlib import Path

import pytest
from equivalence_cases import (
    ALL,
    CHOICE,
    EXPRESSION,
    HOPELESS,
    HOSTILE,
    NON_ANSWERS,
    NUMBER,
    OPEN,
    OPTIONS,
    PAIRS,
    REAL_ANSWERS,
    SALVAGED,
    UNREADABLE,
    VERDICT,
    YES_NO,
    YES_NO_MAYBE,
)
from expression_cases import KEPT_APART
from hypothesis import example, given, settings
from hypothesis import strategies as st

from programs.equivalence import Reading, read_answer, tally
from programs.equivalence.expression import asks_all
from programs.equivalence.written import number_key
from signatures.task import AnswerFormat, AnswerKind

laws = settings(deadline=None, database=None, derandomize=True, max_examples=300)
RECORDED = (
    Path(os.environ.get("DS2_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    / "gsm8k"
    / "replay.jsonl.gz"
)


def read(fmt: AnswerFormat, typed: str, question: str = "") -> Reading:
    options = OPTIONS if fmt is CHOICE else ()
    return read_answer(fmt, typed=typed, options=options, question=question)


def salvaged(fmt: AnswerFormat, text: str, question: str = "") -> Reading:
    options = OPTIONS if fmt is CHOICE else ()
    return read_answer(fmt, typed=None, text=text, options=options, question=question)


def test_the_table_of_pairs_is_large() -> None:
    assert len(PAIRS) >= 300
    assert len({param.id for param in PAIRS}) == len(PAIRS)


@pytest.mark.parametrize(("fmt", "left", "right", "same"), PAIRS)
def test_pairs_are_judged_as_by_hand(fmt: AnswerFormat, left: str, right: str, same: bool) -> None:
    first, second = read(fmt, left), read(fmt, right)
    assert first.key is not None, first
    assert second.key is not None, second
    assert (first.key == second.key) is same, (first, second)


@pytest.mark.parametrize(
    ("fmt", "typed"), UNREADABLE, ids=[f"{f.kind.value}:{t[:30]}" for f, t in UNREADABLE]
)
def test_what_is_no_single_answer_is_unreadable(fmt: AnswerFormat, typed: str) -> None:
    reading = read(fmt, typed)
    assert reading.key is None, reading
    assert reading.answer is None
    assert reading.problem


@pytest.mark.parametrize(
    ("question", "same"),
    [
        ("What percentage of the class is absent?", True),
        ("By what percent did the price rise?", True),
        ("Express the share as a percentage.", True),
        ("Wie viel Prozent sind das?", True),
        ("What is the price after a 20% discount?", False),
        ("How many pupils are absent?", False),
    ],
)
def test_only_a_question_for_per_cent_makes_the_sign_optional(question: str, same: bool) -> None:
    assert (read(NUMBER, "50%", question).key == read(NUMBER, "50", question).key) is same
    assert read(NUMBER, "0.5", question).key == "0.5"


def test_true_and_false_stand_for_yes_and_no_only_in_that_set() -> None:
    assert read(YES_NO, "True").key == "yes"
    assert read(YES_NO, "False.").key == "no"
    assert read(YES_NO_MAYBE, "True").key is None


def test_longer_labels_win_over_those_they_contain() -> None:
    assert read(VERDICT, "Not supported.").key == "not supported"
    assert read(VERDICT, "not enough info").key == "not_enough_info"
    assert read(VERDICT, "Supported, since both agree").key == "supported"


def test_a_text_shared_by_two_options_names_neither() -> None:
    reading = read_answer(CHOICE, typed="twelve", options=("twelve", "Twelve.", "ten"))
    assert reading.problem == "the text of more than one option"


def test_the_letters_follow_the_options_of_the_question() -> None:
    five = AnswerFormat(kind="choice", options=(4, 5))
    assert read_answer(five, typed="E").key == "E"
    assert read_answer(five, typed="E", options=("a", "b", "c", "d")).key is None


@pytest.mark.parametrize("fmt", [*ALL, OPEN], ids=lambda fmt: fmt.kind.value)
@pytest.mark.parametrize("text", NON_ANSWERS)
def test_a_reply_that_gives_no_answer_is_unreadable_in_every_format(
    fmt: AnswerFormat, text: str
) -> None:
    options = ("up", "down", "flat", "all of them") if fmt is CHOICE else ()
    assert read_answer(fmt, typed=text, options=options).key is None
    assert read_answer(fmt, typed=None, text=f"The answer is {text}", options=options).key is None


@pytest.mark.parametrize(("fmt", "text"), REAL_ANSWERS)
def test_an_answer_that_only_sounds_vague_is_read(fmt: AnswerFormat, text: str) -> None:
    assert read(fmt, text).key is not None


def test_what_is_an_option_or_a_label_is_an_answer_whatever_it_says() -> None:
    options = ("It depends", "unknown", "Cannot be determined", "None of the above")
    for letter, option in zip("ABCD", options, strict=True):
        assert read_answer(CHOICE, typed=option, options=options).key == letter
    fmt = AnswerFormat(kind="label", labels=("yes", "no", "unclear", "cannot be determined"))
    assert read(fmt, "Unclear.").key == "unclear"
    assert read(fmt, "Cannot be determined").key == "cannot be determined"
    assert read(fmt, "unknown").key is None


ALL_ROOTS = "Find all real solutions of the equation."


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("2, 3", "3, 2"),
        ("2, 3", "x=3, x=2"),
        ("2, 3", r"\{2, 3\}"),
        ("2 and 3", "x = 2 or x = 3"),
        (r"-\sqrt2, \sqrt 2", r"\pm\sqrt{2}"),
        ("x_1=2, x_2=3", "3, 2"),
        (r"\{5\}", "x=5"),
        ("(1,2), (2,1)", r"\{(2,1),(1,2)\}"),
    ],
)
def test_the_order_of_solutions_counts_only_where_not_all_are_asked_for(
    left: str, right: str
) -> None:
    assert read(EXPRESSION, left, ALL_ROOTS).key == read(EXPRESSION, right, ALL_ROOTS).key
    assert read(EXPRESSION, "(2,3)", ALL_ROOTS).key != read(EXPRESSION, "(3,2)", ALL_ROOTS).key
    assert read(EXPRESSION, "2, 3", ALL_ROOTS).key != read(EXPRESSION, "2, 4", ALL_ROOTS).key


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What are the roots of x^2-5x+6?", True),
        ("Solve the equation x^2 = 4.", True),
        ("Give your answers separated by commas.", True),
        ("Find all primes below 10, in increasing order.", False),
        ("Find the next two terms.", False),
        ("", False),
    ],
)
def test_a_question_says_whether_all_solutions_are_wanted(question: str, expected: bool) -> None:
    assert asks_all(question) is expected


@pytest.mark.parametrize(("left", "right"), KEPT_APART)
def test_what_would_have_to_be_worked_out_keeps_a_key_of_its_own(left: str, right: str) -> None:
    first, second = read(EXPRESSION, left), read(EXPRESSION, right)
    assert first.key is not None
    assert second.key is not None
    assert first.key != second.key


def test_long_answers_are_read_whole_and_keyed_by_their_wording() -> None:
    long = "Rates rise because prices do. " * 40
    first, again = read(OPEN, long), read(OPEN, f"  {long.upper()} ")
    assert first.key == again.key
    assert first.answer == long.strip()
    assert read(OPEN, long + "So demand falls.").key != first.key
    assert (
        read(
            OPEN,
            "It depends on the horizon: in the short run prices are sticky, and so the "
            "central bank can move output; in the long run it cannot.",
        ).key
        is not None
    )
    salvage = read_answer(OPEN, typed=None, text="[[ ## answer ## ]]\nPrices rise.\n")
    assert salvage.answer == "Prices rise."
    assert read(OPEN, "x" * 20_000).key is None


@pytest.mark.parametrize(
    ("fmt", "text", "key"), [c[1:] for c in SALVAGED], ids=[c[0] for c in SALVAGED]
)
def test_an_answer_is_salvaged_by_its_mark(fmt: AnswerFormat, text: str, key: str) -> None:
    assert salvaged(fmt, text).key == key


@pytest.mark.parametrize(("fmt", "text"), [c[1:] for c in HOPELESS], ids=[c[0] for c in HOPELESS])
def test_a_reply_without_an_answer_is_not_guessed_at(fmt: AnswerFormat, text: str) -> None:
    assert salvaged(fmt, text).key is None


QUESTION = "Ann has 3 bags. How many apples are there if the answer is 12 apples a bag?"


@pytest.mark.parametrize(
    "reply",
    [
        QUESTION,
        QUESTION.replace(" apples are", "\napples are"),
        f"The question was: {QUESTION}\nI do not follow.",
        "How many apples are there if the answer is 12 apples a bag?",
    ],
    ids=["whole", "wrapped", "inside", "one sentence"],
)
def test_a_quoted_question_is_no_answer(reply: str) -> None:
    assert salvaged(NUMBER, reply, QUESTION).key is None
    assert salvaged(NUMBER, f"{reply}\nfinal answer: 36", QUESTION).key == "36"


def test_the_typed_field_goes_before_the_text() -> None:
    reading = read_answer(NUMBER, typed="5", text=r"\boxed{6}")
    assert reading.key == "5"
    assert read_answer(NUMBER, typed="5 or 6", text=r"\boxed{6}").key is None
    assert read_answer(NUMBER, typed="", text=r"\boxed{6}").key == "6"


def test_a_tally_counts_readable_answers_most_votes_first() -> None:
    readings = [read(NUMBER, t) for t in ("7", "12", "?", "12.0", "7 apples", "$12", "9")]
    groups = tally(readings)
    assert [(g.key, g.members) for g in groups] == [("12", (1, 3, 5)), ("7", (0, 4)), ("9", (6,))]
    assert groups[0].answer == "12"
    assert tally([]) == ()
    assert tally([readings[2]]) == ()


def test_ties_stand_in_the_order_of_their_first_member() -> None:
    readings = [read(NUMBER, t) for t in ("9", "7", "7", "9")]
    assert [g.key for g in tally(readings)] == ["9", "7"]


@pytest.mark.parametrize("fmt", ALL, ids=lambda fmt: fmt.kind.value)
@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:12]!a}x{len(text)}")
def test_hostile_input_is_answered_within_the_limits(fmt: AnswerFormat, text: str) -> None:
    for reading in (read(fmt, text), salvaged(fmt, text, question=text[:5000])):
        assert (reading.key is None) == (reading.problem is not None)


formats = st.sampled_from(ALL)
pieces = st.sampled_from(
    "0 1 7 12 1,234 3.5 -5 1/2 50% $ % . , ; : = + - * / ^ ( ) [ ] { } ⦃ \\frac{1}{2} \\frac \\sqrt{8} "
    "\\boxed{ \\{ \\} \\text{cm} \\pi x y ab cm yes no maybe not A B C (C) E the answer is or and to "
    "million half two thirds ² ½ − “ ” ** #### A: \n $$ \\( \\) \\left( \\right] ∪ ∞ ° e3 10^3 \\\\ &".split(
        " "
    )
)
texts = st.one_of(
    st.text(max_size=60),
    st.lists(pieces, max_size=12).map("".join),
    st.lists(pieces, max_size=12).map(" ".join),
)


@laws
@given(fmt=formats, typed=texts, text=texts, question=texts)
def test_reading_never_raises_and_says_why_not(
    fmt: AnswerFormat, typed: str, text: str, question: str
) -> None:
    for reading in (
        read_answer(fmt, typed=typed, text=text, question=question, options=OPTIONS),
        read_answer(fmt, typed=None, text=text, question=question, options=OPTIONS),
    ):
        unread = reading.problem is not None
        assert (reading.key is None) == (reading.answer is None) == unread
        assert reading.problem != ""


@laws
@given(fmt=formats, typed=texts)
@example(fmt=EXPRESSION, typed="$$1$$.")
@example(fmt=NUMBER, typed="0.99996")
def test_reading_the_shown_answer_gives_the_same_key(fmt: AnswerFormat, typed: str) -> None:
    for first in (read(fmt, typed), salvaged(fmt, typed)):
        if first.answer is not None:
            assert read(fmt, first.answer).key == first.key


@laws
@given(fmt=formats, answers=st.lists(texts, max_size=6), data=st.data())
def test_grouping_does_not_depend_on_the_order(
    fmt: AnswerFormat, answers: list[str], data: st.DataObject
) -> None:
    readings = [read(fmt, answer) for answer in answers]
    shuffled = data.draw(st.permutations(readings))
    counts = {g.key: len(g.members) for g in tally(readings)}
    assert counts == {g.key: len(g.members) for g in tally(shuffled)}
    sizes = [len(g.members) for g in tally(shuffled)]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == sum(r.key is not None for r in readings)


@laws
@given(fmt=formats, left=texts, right=texts)
def test_being_the_same_is_reflexive_and_symmetric(
    fmt: AnswerFormat, left: str, right: str
) -> None:
    first, second = read(fmt, left), read(fmt, right)
    assert read(fmt, left) == first
    together = tally([first, second])
    assert {g.key for g in together} == {g.key for g in tally([second, first])}


@laws
@given(numerator=st.integers(-(10**9), 10**9), denominator=st.integers(1, 10**6))
def test_a_number_is_the_same_however_it_is_written(numerator: int, denominator: int) -> None:
    written = {f"{numerator}/{denominator}", rf"\frac{{{numerator}}}{{{denominator}}}"}
    keys = {read(EXPRESSION, text).key for text in written}
    assert len(keys) == 1
    whole = f"{numerator:,}"
    assert read(NUMBER, whole).key == read(NUMBER, f"${numerator}.00").key == str(numerator)


def _sum(parts: tuple[tuple[str, float], tuple[str, float]], sign: str) -> tuple[str, float]:
    (left, a), (right, b) = parts
    return f"{left}{sign}({right})", a + b if sign == "+" else a - b


def _quotient(parts: tuple[tuple[str, float], tuple[str, float]]) -> tuple[str, float]:
    (top, a), (bottom, b) = parts
    return rf"\frac{{{top}}}{{{bottom}}}", a / b if b else math.nan


valued = st.recursive(
    st.one_of(
        st.integers(0, 30).map(lambda n: (str(n), float(n))),
        st.integers(0, 300).map(lambda n: (f"{n / 100:.2f}", n / 100)),
        st.integers(0, 60).map(lambda n: (rf"\sqrt{{{n}}}", math.sqrt(n))),
        st.tuples(st.integers(1, 9), st.integers(1, 9)).map(
            lambda p: (rf"2\frac{{{p[0]}}}{{{p[0] + p[1]}}}", 2 + p[0] / (p[0] + p[1]))
        ),
    ),
    lambda inner: st.one_of(
        st.builds(_sum, st.tuples(inner, inner), st.sampled_from("+-")),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]})({p[1][0]})", p[0][1] * p[1][1])),
        st.tuples(inner, inner).map(_quotient),
        st.tuples(inner, st.integers(1, 3)).map(lambda p: (f"({p[0][0]})^{p[1]}", p[0][1] ** p[1])),
    ),
    max_leaves=5,
)


@laws
@given(valued)
def test_the_key_of_an_expression_has_its_value(expression: tuple[str, float]) -> None:
    written, value = expression
    key = read(EXPRESSION, written).key
    assert key is not None
    if not key.startswith("~"):
        found = eval(key, {"sqrt": math.sqrt, "__builtins__": {}})  # noqa: S307
        assert math.isclose(found, value, rel_tol=1e-9, abs_tol=1e-7 * max(1.0, abs(value)))


coefficients = st.lists(st.integers(-9, 9), min_size=1, max_size=5)


def _polynomial(numbers: list[int], name: str = "x") -> str:
    return "+".join(f"({n}){name}^{{{power}}}" for power, n in enumerate(numbers))


@laws
@given(left=coefficients, right=coefficients)
def test_a_product_is_its_expansion_and_no_other(left: list[int], right: list[int]) -> None:
    expanded = [0] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            expanded[i + j] += a * b
    product = read(EXPRESSION, f"({_polynomial(left)})({_polynomial(right)})").key
    assert product == read(EXPRESSION, _polynomial(expanded)).key
    expanded[0] += 1
    assert product != read(EXPRESSION, _polynomial(expanded)).key


@laws
@given(left=coefficients, right=coefficients)
def test_two_polynomials_have_one_key_exactly_when_they_are_one(
    left: list[int], right: list[int]
) -> None:
    size = max(len(left), len(right))
    padded = [numbers + [0] * (size - len(numbers)) for numbers in (left, right)]
    keys = {read(EXPRESSION, _polynomial(numbers)).key for numbers in (left, right)}
    assert (len(keys) == 1) is (padded[0] == padded[1])


@laws
@given(turns=st.fractions(-2, 2, max_denominator=60), whole=st.integers(-3, 3))
def test_an_angle_may_turn_round(turns: Fraction, whole: int) -> None:
    angle = rf"\frac{{{turns.numerator}\pi}}{{{turns.denominator}}}"
    for name in ("sin", "cos"):
        once = read(EXPRESSION, rf"\{name}({angle})").key
        assert once == read(EXPRESSION, rf"\{name}({angle}+({2 * whole})\pi)").key
        value = getattr(math, name)(float(turns) * math.pi)
        assert math.isclose(float(Fraction(once or "nan")), value, abs_tol=1e-12)


@laws
@given(st.fractions(max_denominator=50), st.fractions(max_denominator=50))
def test_two_fractions_have_one_key_exactly_when_they_are_equal(a: Fraction, b: Fraction) -> None:
    first = read(EXPRESSION, rf"\frac{{{3 * a.numerator}}}{{{3 * a.denominator}}}")
    second = read(EXPRESSION, f"{b.numerator}/{b.denominator}")
    assert (first.key == second.key) is (a == b)


@laws
@given(st.fractions())
def test_a_number_key_reads_back_as_itself(value: Fraction) -> None:
    key = number_key(value)
    assert read(NUMBER, key).key == key


@pytest.mark.skipif(not RECORDED.exists(), reason=f"no recorded answers at {RECORDED}")
def test_recorded_answers_of_real_models_are_read_as_their_recorder_did() -> None:
    # The plain rule, the last number of the last box or text, agrees on 99.5 %.
    total = agreed = 0
    with gzip.open(RECORDED, "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            gold = read(NUMBER, record["gold"], record["question"]).key
            for sample in record["samples"]:
                reading = salvaged(NUMBER, sample["text"], record["question"])
                total += 1
                agreed += (reading.key == gold) == sample["correct"]
    assert agreed / total > 0.9955


DOCUMENT = Path(__file__).parents[2] / "docs" / "equivalence.md"
EXAMPLES = re.findall(
    r"^\| (number|expression|text) \| `(.+)` \| `(.+)` \| (same|apart) \|$",
    DOCUMENT.read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.parametrize(("kind", "left", "right", "verdict"), EXAMPLES)
def test_the_examples_of_the_document_hold(kind: str, left: str, right: str, verdict: str) -> None:
    fmt = AnswerFormat(kind=AnswerKind(kind))
    assert (read(fmt, left).key == read(fmt, right).key) is (verdict == "same")


def test_the_document_has_examples() -> None:
    assert len(EXAMPLES) > 20
