"""The teacher's domains for cfa, gpqa, medqa and pubmedqa."""

from __future__ import annotations

import re
from collections import Counter
from random import Random

import pytest
from teacher_oracles_b import ANALYZE, APPLY, ORACLES

from ds2.engines.teacher import cfa, gpqa, medqa, pubmedqa
from ds2.engines.teacher.catalog import truth
from ds2.engines.teacher.frame import Domain, Family, padded, read
from signatures.bloom import BloomLevel
from signatures.task import load_task

DOMAINS = (cfa.DOMAIN, gpqa.DOMAIN, medqa.DOMAIN, pubmedqa.DOMAIN)
FAMILIES = [(domain, family) for domain in DOMAINS for family in domain.families]
SEEDS = range(40)

by_domain = pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.task)
by_family = pytest.mark.parametrize(
    ("domain", "family"), FAMILIES, ids=[f"{d.task}-{f.name}" for d, f in FAMILIES]
)


def _count_wrong(task: str) -> int:
    answer = load_task(task).answer
    return max(answer.options) - 1 if answer.options else len(answer.labels) - 1


WRONG_OPTIONS = {domain.task: _count_wrong(domain.task) for domain in DOMAINS}


def _agrees(claimed: str, expected: float | str) -> bool:
    if isinstance(expected, str):
        return claimed == expected
    number = claimed.removesuffix("%")
    unit = 10.0 ** -len(number.partition(".")[2])
    return abs(float(number) - expected) <= unit / 2 + 1e-6 * max(1.0, abs(expected))


# --- families


@by_family
@pytest.mark.parametrize("level", BloomLevel)
def test_truth_agrees_with_an_independent_calculation(
    domain: Domain, family: Family, level: BloomLevel
) -> None:
    for seed in SEEDS:
        params = family.draw(Random(f"{domain.task} {seed}"))
        claimed = family.solve(params, level).truth
        expected = ORACLES[family.name](params, level)
        assert _agrees(claimed, expected), (params, claimed, expected)


@by_family
def test_a_question_is_recognised_by_its_text_alone(domain: Domain, family: Family) -> None:
    for seed in SEEDS:
        rng = Random(seed)
        for level in BloomLevel:
            keywords = [n.text for n in rng.sample(domain.keywords, 1 + seed % 2)]
            written = domain.write(rng, family, level, keywords, vague=seed % 7 == 0)
            found = read(domain, f"{written.context} {written.question}".strip())
            assert found is not None, written.question
            assert found[:2] == (family, level), written.question
            assert family.solve(found[2], level) == written.solution


@by_family
def test_the_truth_of_a_question_is_found_among_its_options(domain: Domain, family: Family) -> None:
    for level in BloomLevel:
        written = domain.write(Random(level.rank), family, level, [domain.keywords[0].text])
        right = written.solution.truth
        if domain.context:
            assert truth(written.question, context=written.context) == right
            continue
        wrong = padded(written.solution, WRONG_OPTIONS[domain.task])[: WRONG_OPTIONS[domain.task]]
        assert truth(written.question, [*wrong, right]) == chr(65 + len(wrong))


@by_family
def test_a_question_mentions_its_keywords_and_holds_no_open_slot(
    domain: Domain, family: Family
) -> None:
    for seed in SEEDS:
        rng = Random(seed)
        keywords = [n.text for n in rng.sample(domain.keywords, 1 + seed % 2)]
        for level in BloomLevel:
            written = domain.write(rng, family, level, keywords)
            folded = written.question.casefold()
            assert all(keyword.casefold() in folded for keyword in keywords)
            assert not re.search(r"[{}|]|\[", written.question + written.context)


@by_family
def test_options_are_distinct_and_exactly_one_is_right(domain: Domain, family: Family) -> None:
    for seed in SEEDS:
        params = family.draw(Random(seed))
        for level in BloomLevel:
            found = family.solve(params, level)
            wrong = padded(found, WRONG_OPTIONS[domain.task])
            options = [found.truth, *wrong]
            assert len({option.casefold().strip() for option in options}) == len(options)
            assert len(wrong) >= WRONG_OPTIONS[domain.task]


def _form(option: str) -> str:
    """Return what numeric options of one question share: unit and decimals, not size or sign."""
    return re.sub(r"^-?\d+", "#", option)


@by_family
def test_numeric_options_are_alike_in_form(domain: Domain, family: Family) -> None:
    for seed in SEEDS:
        params = family.draw(Random(seed))
        for level in BloomLevel:
            found = family.solve(params, level)
            options = (found.truth, *padded(found, WRONG_OPTIONS[domain.task]))
            numeric = re.match(r"-?\d", found.truth)
            assert all(bool(re.match(r"-?\d", option)) == bool(numeric) for option in options)
            if numeric and "/" not in found.truth:
                shapes = {re.sub(r"\d", "0", _form(option)) for option in options}
                assert len(shapes) == 1, options


@by_family
def test_the_last_step_states_the_truth(domain: Domain, family: Family) -> None:
    for seed in SEEDS:
        params = family.draw(Random(seed))
        for level in BloomLevel:
            found = family.solve(params, level)
            assert found.truth in found.steps[-1], found


@by_family
def test_every_level_has_its_own_wording(domain: Domain, family: Family) -> None:
    texts = [text for level in BloomLevel for text in family.asks[level]]
    assert len(texts) == len(set(texts))
    assert all(len(family.asks[level]) >= 2 for level in BloomLevel)
    assert len(family.scenes) >= 2


@by_family
def test_slots_read_back_what_they_show(domain: Domain, family: Family) -> None:
    for seed in SEEDS:
        params = family.draw(Random(seed))
        for name, slot in family.slots.items():
            value = getattr(params, name)
            assert re.fullmatch(slot.pattern, slot.show(value))
            assert slot.read(slot.show(value)) == value


@pytest.mark.parametrize("family", pubmedqa.DOMAIN.families, ids=lambda family: family.name)
def test_labels_of_abstracts_are_all_in_use(family: Family) -> None:
    counts = Counter(family.solve(family.draw(Random(n)), APPLY).truth for n in range(400))
    assert set(counts) == {"yes", "no", "maybe"}
    assert min(counts.values()) >= 400 * 0.12, counts


@pytest.mark.parametrize("family", pubmedqa.DOMAIN.families, ids=lambda family: family.name)
def test_abstracts_report_an_estimate_inside_its_interval(family: Family) -> None:
    for seed in SEEDS:
        params = vars(family.draw(Random(seed)))
        for name in {"effect", "hazard", "gain", "pooled"} & params.keys():
            value, low, high = params[name][:3]
            assert low <= value <= high
        if "pooled" in params:
            pooled = params["pooled"]
            assert pooled.least <= pooled.low
            assert pooled.high <= pooled.most


def test_abstracts_are_the_context_and_the_question_comes_after() -> None:
    written = pubmedqa.DOMAIN.write(Random(1), pubmedqa.TRIAL, APPLY, ["blinding"])
    assert "METHODS:" in written.context
    assert "RESULTS:" in written.context
    assert "CONCLUSION" not in written.context
    assert written.question.endswith(("?", ".", ")"))
    assert "METHODS:" not in written.question


def test_acid_base_covers_all_compensations() -> None:
    family = medqa.ACID_BASE
    found = {family.solve(family.draw(Random(n)), ANALYZE).truth for n in range(200)}
    assert len(found) == 3


# --- keyword graphs


@by_domain
def test_a_graph_holds_forty_keywords_ten_to_fourteen_of_them_core(domain: Domain) -> None:
    texts = [n.text for n in domain.keywords]
    assert len(texts) == len({text.casefold() for text in texts}) == 40
    assert 10 <= sum(n.core for n in domain.keywords) <= 14
    assert len(domain.families) == 6


@by_domain
def test_every_keyword_reaches_a_family_and_every_family_a_core_keyword(domain: Domain) -> None:
    names = set(domain.by_name)
    assert all(n.families and set(n.families) <= names for n in domain.keywords)
    assert {name for n in domain.keywords if n.core for name in n.families} == names


@by_domain
def test_prerequisites_are_keywords_and_have_no_cycle(domain: Domain) -> None:
    needs = {n.text: set(n.needs) for n in domain.keywords}
    reached: set[str] = set()
    while len(reached) < len(needs):
        ready = {text for text, first in needs.items() if first <= reached} - reached
        assert ready, {
            text: first - reached for text, first in needs.items() if text not in reached
        }
        reached |= ready


@by_domain
def test_core_keywords_lead_to_all_others(domain: Domain) -> None:
    near: dict[str, set[str]] = {n.text: set(n.needs) for n in domain.keywords}
    for n in domain.keywords:
        for first in n.needs:
            near[first].add(n.text)
    reached = {n.text for n in domain.keywords if n.core}
    edge = set(reached)
    while edge:
        edge = set().union(*(near[text] for text in edge)) - reached
        reached |= edge
    assert reached == set(near)


@by_domain
def test_synonyms_name_one_keyword_only(domain: Domain) -> None:
    names = [name.casefold() for n in domain.keywords for name in (n.text, *n.also)]
    assert not [name for name, count in Counter(names).items() if count > 1]
