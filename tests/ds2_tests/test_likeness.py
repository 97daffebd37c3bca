"""Rows that belong on one side of a split: families and near-duplicates, joined as far as they reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_runs import Meddler, asks_for, go, rows_of, saying

from ds2.output.exports import Split
from ds2.runtime.exporting import ExportRequest, export_run
from ds2.runtime.likeness import alike
from ds2.screen.family import Families
from signatures.bloom import BloomLevel
from signatures.records import Instruction

LONG = (
    "A baker in the old town sells bread, rolls and cakes from early morning until late at night, and "
    "on Sundays he closes at noon. How many hours does he work in a week?"
)


def record(number: int, text: str, **changes: Any) -> dict[str, Any]:
    found = {
        "id": f"row{number}", "family": f"family{number}", "instruction": text, "options": [],
        "context": "", "level": "Apply",
    }  # fmt: skip
    return found | changes


def test_near_duplicates_of_different_families_share_a_group() -> None:
    rows = [
        record(0, LONG),
        record(1, "Which gas do green plants take out of the air by day?"),
        record(2, LONG.replace("Sundays", "Fridays")),
        record(3, "Which metal is liquid in a warm room?", family="family1"),
    ]
    together = alike(rows)
    assert together == {"row0": "family0", "row1": "family1", "row2": "family0", "row3": "family1"}


BAKER = (
    "A baker sells {} loaves of bread in the morning and {} loaves in the afternoon at {} dollars each. On "
    "the next day the shop sells twice as many loaves as on the first one, because it is {} and {} visitors "
    "come from the towns nearby. How much money does the shop take in on both days together?"
)


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0), (1, 0, 2)])
def test_like_problems_with_other_numbers_share_a_group_whatever_their_family(
    near: bool, order: tuple[int, ...]
) -> None:
    """The last is like the second alone, which is in the family of the first."""
    texts = [
        BAKER.format(12, 15, 3, "a holiday", "many"),
        BAKER.format(20, 31, 4, "holiday", "most"),
        BAKER.format(7, 9, 5, "holiday", "most").replace("dollars each", "dollars apiece"),
    ]
    families = Families()
    rows = []
    for place in order:
        asked = Instruction(keywords=("k",), level=BloomLevel.APPLY, question=texts[place])
        rows.append(record(place, texts[place], family=families.join(place, asked)))
    if order == (0, 1, 2):
        assert len({row["family"] for row in rows}) == 2
    assert set(alike(rows, near=near).values()) == {rows[0]["family"]}
    other = record(9, "Which gas do green plants take out of the air by day, and why?")
    assert len(set(alike([*rows, other], near=near).values())) == 2


def test_a_long_chain_is_one_group_in_little_time() -> None:
    rows = [record(i, LONG.replace("town", f"town {i}"), family=f"f{i}") for i in range(3000)]
    assert set(alike(rows, near=False).values()) == {"f0"}


def test_groups_reach_as_far_as_likeness_does() -> None:
    """The last is near to two that are not near to each other: all three are one group."""
    words = [f"number{chr(97 + i)}word" for i in range(20)]
    one, other = [*words], [*words]
    one[:2], other[-2:] = ["alpha", "beta"], ["gamma", "delta"]
    texts = [" ".join(one), " ".join(other), " ".join(words)]
    assert set(alike([record(i, text) for i, text in enumerate(texts)]).values()) == {"family0"}
    apart = alike([record(i, text) for i, text in enumerate(texts[:2])])
    assert len(set(apart.values())) == 2


def test_options_and_passages_are_compared_as_in_a_run() -> None:
    options = ["the first of them", "the second of them", "the third of them"]

    def asked(number: int, order: list[str], context: str) -> dict[str, Any]:
        lines = "\n".join(f"{chr(65 + i)}. {option}" for i, option in enumerate(order))
        text = f"{context}\n\n{LONG}\n\n{lines}"
        return record(number, text, options=order, context=context)

    passage = "This passage is about a bakery and all that is sold there. " * 3
    rows = [asked(0, options, passage), asked(1, options[::-1], passage)]
    assert set(alike(rows).values()) == {"family0"}
    other = [asked(0, options, passage), asked(1, options, "Something else entirely. " * 9)]
    assert len(set(alike(other).values())) == 2


@pytest.mark.parametrize("dataset_alone", [False, True])
def test_an_export_of_a_run_without_the_screen_keeps_them_on_one_side(
    dataset_alone: bool, tmp_path: Path
) -> None:
    count = 0

    async def meddle(request: Any, _: int) -> Any:
        nonlocal count
        if asks_for(request) != "writer":
            return None
        count += 1
        names = ["amber", "birch", "cedar", "dogwood", "elder", "fir", "gorse", "hazel", "ivy"]
        first, second = names[count // 9 % 9], names[count % 9]
        body = (
            f"{first} {second} " * (1 + count % 2) if count % 2 else LONG.replace("cakes", second)
        )
        return saying(f"[[ ## question ## ]]\n{body} so what is it?\n\n[[ ## completed ## ]]")

    run = tmp_path / "run"
    go(run, 24, resolve=Meddler(meddle).resolve, preset_name="paper", policy="fixed(1, 0.5)")
    out = tmp_path / "out.jsonl"
    source = run / "dataset" if dataset_alone else run
    splits = (Split("train", 0.6), Split("test", 0.4))
    written = export_run(ExportRequest(source, "trl-messages", out, splits, seed=3))
    sides = {}
    for part in written:
        for line in part.path.read_text("utf-8").splitlines():
            sides[json.loads(line)["id"]] = part.path
    bakers = {sides[row["id"]] for row in rows_of(run) if "baker" in row["instruction"]}
    families = {row["family"] for row in rows_of(run) if "baker" in row["instruction"]}
    assert len(bakers) == 1
    assert len(families) > 1
