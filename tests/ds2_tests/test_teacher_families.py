"""The families and keyword graphs of all domains: laws that hold whatever they are about."""

from __future__ import annotations

from random import Random

import pytest

from ds2.engines.teacher import catalog
from ds2.engines.teacher.frame import Domain, Family, Wording, padded, read, show, solution
from ds2.engines.teacher.slots import Decimal, Whole
from ds2.engines.teacher.wording import VAGUE
from signatures.bloom import LEVELS, BloomLevel
from signatures.task import BUILT_IN, AnswerKind, load_task

FAMILIES = [
    pytest.param(catalog.domain(task), family, id=f"{task}-{family.name}")
    for task in BUILT_IN
    for family in catalog.domain(task).families
]
DOMAINS = [pytest.param(catalog.domain(task), id=task) for task in BUILT_IN]


def written(domain: Domain, family: Family, seeds: int = 12):
    for level in LEVELS:
        for seed in range(seeds):
            words = ["first thing", "second thing"][: 1 + seed % 2]
            rng = Random(f"{level}{seed}")
            yield words, domain.write(rng, family, level, words, vague=seed % 5 == 0)


@pytest.mark.parametrize(("domain", "family"), FAMILIES)
def test_every_question_is_recognised_as_what_made_it(domain: Domain, family: Family) -> None:
    for _, made in written(domain, family):
        text = f"{made.context} {made.question}".strip()
        hits = [task for task in BUILT_IN if read(catalog.domain(task), text) is not None]
        assert hits == [domain.task], text
        found = read(domain, text)
        assert found is not None
        again, level, params = found
        assert (again.name, level) == (family.name, made.level), text
        assert family.solve(params, level) == made.solution, text
        shown = {name: getattr(made.params, name) for name in vars(params)}
        assert vars(params) == shown


@pytest.mark.parametrize(("domain", "family"), FAMILIES)
def test_questions_mention_their_keywords_and_leave_no_slot_open(
    domain: Domain, family: Family
) -> None:
    for words, made in written(domain, family, seeds=6):
        for word in words:
            assert word.casefold() in made.question.casefold()
        assert "{claim}" not in made.question
        assert "|" not in made.question.replace("|x|", "")
        assert "  " not in made.question
        assert bool(made.context) is domain.context


@pytest.mark.parametrize(("domain", "family"), FAMILIES)
def test_solutions_fit_the_answer_format(domain: Domain, family: Family) -> None:
    answer = load_task(domain.task).answer
    for _, made in written(domain, family, seeds=6):
        found = made.solution
        assert found.truth
        assert found.steps
        assert found.truth not in found.slips
        assert len(set(found.slips)) == len(found.slips)
        assert found.slips
        if answer.kind is AnswerKind.CHOICE:
            options = [found.truth, *padded(found, min(answer.options) - 1)]
            assert len({option.casefold().strip() for option in options}) == len(options)
            assert len(options) >= min(answer.options)
        elif answer.kind is AnswerKind.LABEL:
            assert {found.truth, *found.slips} <= set(answer.labels)
        elif answer.kind is AnswerKind.NUMBER:
            float(found.truth)


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_quoted_wrong_answer_is_never_the_truth(domain: Domain) -> None:
    for family in domain.families:
        for seed in range(10):
            made = domain.write(Random(seed), family, BloomLevel.EVALUATE, ["k"])
            quoted = [slip for slip in made.solution.slips if slip in made.question]
            assert quoted or "{claim}" not in "".join(family.asks[BloomLevel.EVALUATE])


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_keyword_graph_is_whole(domain: Domain) -> None:
    nodes = {node.text: node for node in domain.keywords}
    assert len(nodes) == len(domain.keywords) == 40
    assert len(domain.families) == 6
    assert 10 <= sum(node.core for node in domain.keywords) <= 14
    names = {family.name for family in domain.families}
    needed = {text for node in nodes.values() for text in node.needs}
    assert needed <= set(nodes)
    for node in nodes.values():
        assert node.families
        assert set(node.families) <= names, node.text
        assert node.text not in node.needs
        assert node.text not in node.also
    assert names == {family for node in nodes.values() for family in node.families}


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_keyword_needs_itself_in_the_end(domain: Domain) -> None:
    nodes = {node.text: node for node in domain.keywords}
    open_, settled = set(nodes), set()
    while ready := {text for text in open_ if set(nodes[text].needs) <= settled}:
        settled |= ready
        open_ -= ready
    assert not open_


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_thousand_questions_do_not_look_alike(domain: Domain) -> None:
    texts = set()
    for index in range(1000):
        family = domain.families[index % 6]
        made = domain.write(Random(index), family, LEVELS[index // 6 % 6], ["something"])
        texts.add("".join("#" if c.isdigit() else c for c in f"{made.context} {made.question}"))
    assert len(texts) > 930


@pytest.mark.parametrize("task", BUILT_IN)
def test_a_vague_sentence_marks_a_question_as_ambiguous(task: str) -> None:
    domain = catalog.domain(task)
    plain = domain.write(Random(3), domain.families[0], BloomLevel.APPLY, ["k"])
    vague = domain.write(Random(3), domain.families[0], BloomLevel.APPLY, ["k"], vague=True)
    assert any(sentence in vague.question for sentence in VAGUE)
    for made, wanted in ((plain, False), (vague, True)):
        found = catalog.recognise(made.question, made.context)
        assert found is not None
        assert found.vague is wanted


@pytest.mark.parametrize(
    ("slot", "value", "text"),
    [
        (Whole(-9, 9), -4, "-4"),
        (Whole(1, 99), 40, "40"),
        (Decimal(0, 3, places=2, step=25), Decimal(0, 3, places=2).read("1.25"), "1.25"),
    ],
    ids=["negative", "whole", "decimal"],
)
def test_slots_read_what_they_show(slot: Whole | Decimal, value: object, text: str) -> None:
    assert slot.show(value) == text
    assert slot.read(text) == value
    assert slot.draw(Random(1), ()) is not None


def test_a_wording_reads_only_its_own_text() -> None:
    slots = {"n": Whole(1, 9), "m": Whole(1, 9)}
    wording = Wording("[Take|Use] {n} of $\\frac{{n}}{{m}}$, says {claim}.", slots)
    text = wording.write(Random(0), {"n": "3", "m": "7", "claim": "a (b) + c"})
    assert text in {f"{verb} 3 of $\\frac{{3}}{{7}}$, says a (b) + c." for verb in ("Take", "Use")}
    assert wording.read(f"Before. {text} After.") == {"n": 3, "m": 7}
    assert wording.read(text.replace("{3}", "{4}")) is None
    assert wording.read("") is None


def test_slips_equal_to_the_truth_are_dropped_and_missing_ones_made_up() -> None:
    found = solution(5, [5, 7, 7], "Add.")
    assert found.slips == ("7",)
    assert len(set(padded(found, 20)) | {found.truth}) == 21
    assert padded(solution("red", ["blue"], "Look."), 3) == ("blue",)


@pytest.mark.parametrize(
    ("places", "text"), [(None, "-2.5"), (0, "-3"), (1, "-2.5"), (3, "-2.500")]
)
def test_numbers_are_rounded_half_away_from_zero(places: int | None, text: str) -> None:
    assert show(Decimal(-9, 9).read("-2.5"), places) == text


def test_keywords_are_found_by_synonym_plural_and_hyphen() -> None:
    node = catalog.node_of("gsm8k", "Unit-Rates")
    assert node is not None
    assert node.text == "unit rate"
    assert catalog.node_of("gsm8k", "unit price") is node
    assert catalog.node_of("gsm8k", "quantum field") is None
    assert len(catalog.families_for("gsm8k", "quantum field")) == 6
