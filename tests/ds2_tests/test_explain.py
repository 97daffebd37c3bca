"""`ds2 explain`: all that a run knows of one unit, whatever became of it, and safe to look at."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from conftest import Ended
from dspy import lm15
from small_runs import Meddler, asks_for, go, rows_of, saying, tree

from ds2.cli.explain import _lineage
from ds2.cli.plain import one_line, plain
from ds2.runtime.story import read_story
from ds2.store import STORE_NAME, RunStore
from signatures.errors import StoreError

TRICKY = "\x1b[31mred\u202e [bold]loud[/bold] :smile: 三 हिन्दी\u200dx"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished run that has units of every kind."""
    out = tmp_path_factory.mktemp("runs") / "r"
    go(out, 60, concurrency=32)
    return out


@pytest.fixture(scope="module")
def places(run: Path) -> dict[str, int]:
    """Return the first place of each state, with the reason where it was rejected."""
    found: dict[str, int] = {}
    with RunStore(run, lock=False) as store:
        for unit in store.units():
            found.setdefault(f"{unit.state} {unit.reason}".strip(), unit.place)
    return found


# The story.


def test_an_accepted_row_is_told_whole(run: Path) -> None:
    row = rows_of(run)[7]
    story = read_story(run, row["id"])
    vote = story["vote"]
    assert (story["state"], story["row"], story["level"]) == ("accepted", row["id"], row["level"])
    assert [keyword["text"] for keyword in story["keywords"]] == row["keywords"]
    assert story["instruction"]["question"] in row["instruction"]
    assert story["response"] == row["response"]
    assert (vote["winner"], vote["draws"]) == (row["answer"], row["samples"])
    assert vote["agreement"] == row["agreement"]
    assert (vote["policy"], vote["reason"]) == ("lead(3, 9)", "lead")
    verdicts = {screen["screen"]: screen["verdict"] for screen in story["screens"]}
    assert verdicts == {
        "options": "applied",
        "instruction checks": "passed",
        "exact duplicates": "passed",
        "near-duplicates": "passed",
        "families": "passed",
        "collapse alarm": "passed",
    }


def test_the_prompts_are_those_that_were_sent(run: Path) -> None:
    story = read_story(run, "0")
    [writer] = story["writer"]
    assert [message["role"] for message in writer["prompt"]] == ["system", "user"]
    assert story["keywords"][0]["text"] in writer["prompt"][1]["content"]
    assert writer["options"] == {"max_tokens": 2048, "temperature": 0.9}
    assert story["instruction"]["question"] in writer["text"]
    sample = story["vote"]["samples"][0]
    assert sample["sent"]["key"] == sample["call"]
    assert story["instruction"]["question"] in sample["sent"]["prompt"][1]["content"]
    assert sample["temperature"] == sample["sent"]["options"]["temperature"] == 0.7


def test_every_sample_is_in_one_group_or_unreadable(run: Path, places: dict[str, int]) -> None:
    for place in places.values():
        vote = read_story(run, str(place))["vote"]
        if vote is None:
            continue
        grouped = [number for group in vote["groups"] for number in group["samples"]]
        unread = [s["number"] for s in vote["samples"] if s["answer"] is None]
        assert sorted(grouped + unread) == list(range(vote["draws"]))
        assert all(len(group["samples"]) == group["votes"] for group in vote["groups"])
        assert all(s["unreadable"] for s in vote["samples"] if s["answer"] is None)


def test_a_rejected_unit_keeps_its_vote_and_its_reason(run: Path, places: dict[str, int]) -> None:
    story = read_story(run, str(places["rejected tie"]))
    assert (story["state"], story["row"], story["response"]) == ("rejected", None, None)
    assert story["rejected"]["reason"] == story["vote"]["reason"] == "tie"
    assert story["vote"]["winner"] is None


def test_keywords_lead_back_to_a_core_one(run: Path) -> None:
    seen = defaultdict(list)
    for place in range(40):
        for keyword in read_story(run, str(place))["keywords"]:
            seen[keyword["origin"]].append(keyword)
    assert {"core", "prerequisite", "advanced"} == set(seen)
    assert all(keyword["ancestors"] == [] for keyword in seen["core"])
    for keyword in seen["advanced"] + seen["prerequisite"]:
        assert any(ancestor["origin"] == "core" for ancestor in keyword["ancestors"])
        assert set(keyword["parents"]) <= {ancestor["text"] for ancestor in keyword["ancestors"]}


def test_a_unit_whose_writer_failed_has_its_keywords_and_its_reply(tmp_path: Path) -> None:
    async def first_writer_fails(request: lm15.Request, _: int) -> lm15.Response | None:
        return saying(TRICKY) if asks_for(request) == "writer" else None

    with pytest.raises(Exception, match="stopped"):
        go(tmp_path, 30, resolve=Meddler(first_writer_fails).resolve, concurrency=2)
    story = read_story(tmp_path, "0")
    assert story["rejected"]["stage"] == "writer"
    assert story["level"] == "Remember"
    assert story["keywords"][0]["origin"] is not None
    assert "[bold]loud" in story["writer"][0]["text"]
    assert story["screens"][0]["verdict"] == "not reached"


def test_a_duplicate_names_the_unit_it_repeats(tmp_path: Path) -> None:
    same = "[[ ## question ## ]]\nWhat is 1 + 1?\n\n[[ ## completed ## ]]"

    async def one_question(request: lm15.Request, _: int) -> lm15.Response | None:
        return saying(same) if asks_for(request) == "writer" else None

    go(tmp_path, 6, resolve=Meddler(one_question).resolve, candidates=8)
    story = read_story(tmp_path, "1")
    [screen] = [s for s in story["screens"] if s["verdict"] == "turned away"]
    assert story["rejected"]["evidence"]["place"] == 0
    assert (screen["verdict"], screen["detail"]) == (
        "turned away",
        "It says the same as unit 0.",
    )
    assert story["vote"] is None


def test_a_surplus_unit_shows_what_it_had_drawn(tmp_path: Path) -> None:
    go(tmp_path, 6, concurrency=64)
    with RunStore(tmp_path, lock=False) as store:
        surplus = [unit.place for unit in store.units("surplus")]
    assert surplus
    story = read_story(tmp_path, str(surplus[0]))
    assert (story["state"], story["vote"]) == ("surplus", None)
    assert story["keywords"]
    assert story["screens"][0]["verdict"] == "not shown"
    assert any(read_story(tmp_path, str(place))["unused_answers"] for place in surplus)


def test_an_undecided_unit_shows_what_is_there(tmp_path: Path) -> None:
    go(tmp_path, 12, budget_calls=20, concurrency=16)
    with sqlite3.connect(tmp_path / STORE_NAME) as connection:
        connection.execute("DELETE FROM units")
    connection.close()
    story = read_story(tmp_path, "0")
    assert (story["state"], story["row"], story["vote"]) == ("undecided", None, None)
    assert story["writer"][0]["text"]


@pytest.mark.parametrize("kind", ["accepted", "rejected", "surplus"])
def test_a_judges_votes_are_told_by_group(kind: str, tmp_path: Path) -> None:
    task = tmp_path / "own.yaml"
    task.write_text(
        "name: own\ndomain: history\ndescription: Short answers.\nanswer: {kind: text}\n",
        encoding="utf-8",
    )
    go(tmp_path / "r", 6, str(task), merger="judge", concurrency=16)  # type: ignore[arg-type]
    with RunStore(tmp_path / "r", lock=False) as store:
        found = [unit.place for unit in store.units(kind)]
    for place in found[:3]:
        read_story(tmp_path / "r", str(place))


# Which row.


def test_a_beginning_of_an_id_is_enough(run: Path) -> None:
    ids = sorted(row["id"] for row in rows_of(run))
    name = next(n for n in ids if not n[:8].isdecimal())
    assert read_story(run, name[:8].upper())["row"] == name


def test_a_beginning_of_several_ids_is_refused_with_them(run: Path) -> None:
    letters: Mapping[str, list[str]] = defaultdict(list)
    for row in rows_of(run):
        letters[row["id"][0]].append(row["id"])
    letter, ids = next((k, v) for k, v in letters.items() if k in "abcdef" and len(v) > 1)
    with pytest.raises(StoreError, match="begin one row's id only") as refused:
        read_story(run, letter)
    assert all(name in str(refused.value) for name in ids[:2])


@pytest.mark.parametrize("row", ["99999", "zzz", "", "-1", "ffffffffffffffff", "' OR 1=1", "²"])
def test_an_unknown_row_is_refused_with_what_there_is(row: str, run: Path) -> None:
    with pytest.raises(StoreError, match="ROW must be a row's id or a unit's place") as refused:
        read_story(run, row)
    assert "Units have places up to" in str(refused.value)
    assert "16 hexadecimal digits" in str(refused.value)


def test_a_run_without_a_decision_says_so(tmp_path: Path) -> None:
    RunStore(tmp_path).close()
    with pytest.raises(StoreError, match="not decided a unit yet"):
        read_story(tmp_path, "0")


def test_a_damaged_bank_is_told(tmp_path: Path) -> None:
    go(tmp_path, 1)
    (tmp_path / "keywords.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match=r"keywords\.json must"):
        read_story(tmp_path, "0")


def test_a_lost_bank_leaves_the_rest(tmp_path: Path) -> None:
    go(tmp_path, 1)
    row = rows_of(tmp_path)[0]
    (tmp_path / "keywords.json").unlink()
    story = read_story(tmp_path, row["id"])
    assert [keyword["origin"] for keyword in story["keywords"]] == [None] * len(row["keywords"])
    assert story["level"] == row["level"]


def test_reading_a_story_leaves_the_folder_as_it_was(run: Path) -> None:
    before = tree(run)
    read_story(run, "0")
    assert tree(run) == before


# The page.


def test_the_page_shows_every_part(ds2: Callable[..., Ended], run: Path) -> None:
    story = read_story(run, "0")
    ended = ds2("explain", run, 0)
    assert ended.code == 0
    for part in (
        "Unit 0 of",
        "level: Remember",
        f"keyword: {story['keywords'][0]['text']}",
        "writer asked simulated with max_tokens 2048, temperature 0.9",
        "sample 0 at 0.7: answer",
        "by lead(3, 9) after",
        "exact duplicates: passed.",
        "Response",
        f"call {story['vote']['samples'][0]['call']}",
    ):
        assert part in ended.out
    assert "--full shows all" in ended.out
    assert "In adhering to this structure" not in ended.out
    full = ds2("explain", run, 0, "--full").out
    assert "In adhering to this structure" in full
    assert "--full shows all" not in full


@pytest.mark.parametrize("kind", ["rejected tie", "surplus"])
def test_the_page_says_why_there_is_no_row(
    kind: str, ds2: Callable[..., Ended], run: Path, places: dict[str, int]
) -> None:
    if kind not in places:
        pytest.skip("this run had none")
    out = ds2("explain", run, places[kind]).out
    assert "no row" in out
    assert ("Rejected by the vote: tie." in out) is (kind == "rejected tie")


def test_json_is_the_story(ds2: Callable[..., Ended], run: Path) -> None:
    ended = ds2("explain", run, 0, "--json")
    assert json.loads(ended.out) == read_story(run, "0")
    assert ended.out.isascii()


def test_what_a_model_wrote_cannot_move_the_cursor(
    ds2: Callable[..., Ended], tmp_path: Path
) -> None:
    said = f"[[ ## question ## ]]\n{TRICKY}\n\n[[ ## completed ## ]]"

    async def tricky(request: lm15.Request, _: int) -> lm15.Response | None:
        return saying(said) if asks_for(request) == "writer" else None

    go(tmp_path, 1, resolve=Meddler(tricky).resolve, candidates=1)
    for words in (("explain", tmp_path, 2), ("explain", tmp_path, 2, "--json")):
        out = ds2(*words).out
        assert "\x1b" not in out
        assert "\u202e" not in out
        assert "[bold]loud[/bold] :smile:" in out
    assert "\\u001b[31mred\\u202e [bold]" in ds2("explain", tmp_path, 2).out


def test_an_unknown_row_leaves_with_2(ds2: Callable[..., Ended], run: Path) -> None:
    ended = ds2("explain", run, "nothing")
    assert ended.code == 2
    assert "ROW must be" in ended.err


# Text that others wrote.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("a\tb\nc", "a\tb\nc"),
        ("bell\x07 nul\x00 del\x7f c1\x9b", "bell\\u0007 nul\\u0000 del\\u007f c1\\u009b"),
        ("\u2066iso\u2069 \u200f", "\\u2066iso\\u2069 \\u200f"),
        ("\U000e0041tag", "\\U000e0041tag"),
        ("می\u200cخواهم 👩\u200d🔬 é 三", "می\u200cخواهم 👩\u200d🔬 é 三"),
        ("a\r\nb", "a\\u000d\nb"),
    ],
)
def test_hidden_characters_are_written_out(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_one_line_has_no_line_break() -> None:
    assert one_line(" a\n\tb\u2028c\r") == "a b c"


def test_a_circle_of_keywords_ends() -> None:
    a, b = ({"origin": "advanced", "round": 1, "passage_id": None, "parents": []} for _ in "ab")
    a |= {"text": "a", "parents": ["b"], "ancestors": [b | {"text": "b", "parents": ["a"]}]}
    assert _lineage(a) == "a (advanced, round 1) <- b (advanced, round 1)"
