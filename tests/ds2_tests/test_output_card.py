"""The dataset card: its machine part, its warnings, and text that tries to be mark-up."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ds2.output.card import (
    END,
    RUN_BEGIN,
    RUN_END,
    CardFacts,
    machine_part,
    write_card,
    write_run_part,
)
from ds2.output.counts import RowCounter, RowCounts
from ds2.output.dataset import write_dataset
from signatures.bloom import BloomLevel
from signatures.errors import OutputError
from signatures.records import Instruction, Row, Sample, Vote, make_row
from signatures.task import TaskSpec, load_task


def row(question: str = "How many?", answer: str = "4") -> Row:
    vote = Vote(
        accepted=True, winner=answer, agreement=1, counts=((answer, 1),), draws=1,
        reason="majority", response=0, samples=(Sample(number=0, answer=answer, key=answer),),
    )  # fmt: skip
    asked = Instruction(keywords=("unit rate",), level=BloomLevel.APPLY, question=question)
    return make_row(
        asked, vote, response=f"It is {answer}.", task="gsm8k", teacher="model", model="m"
    )


def counted(*rows: Row) -> RowCounts:
    counter = RowCounter()
    list(counter.watch(rows))
    return counter.counts()


def facts(**changes: Any) -> CardFacts:
    usual = CardFacts(
        task=load_task("gsm8k"),
        configuration={"target": 60, "vote": {"k": 5, "threshold": 0.5}},
        prompts="00112233445566ff",
        teacher="model",
        models={"writer": "openai/some-model", "answers": "openai/some-model"},
        files=("data/train-00000-of-00001.parquet",),
        counts=counted(row()),
        rejections={"tie": 2, "duplicate": 7},
        screens={"exact": "the same normalised text as an earlier instruction"},
        seeds={"run": 0},
    )
    return replace(usual, **changes)


def front_matter(card: str) -> dict[str, Any]:
    data = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(data, dict)
    return data


def test_the_same_facts_give_the_same_text() -> None:
    assert machine_part(facts()) == machine_part(facts())


def test_the_front_matter_is_what_the_hub_reads() -> None:
    data = front_matter(machine_part(facts(digest="0123abcd")))
    assert data["language"] == ["en"]
    assert data["size_categories"] == ["n<1K"]
    assert data["license"] == "other"
    assert data["task_categories"] == ["text-generation", "question-answering"]
    assert data["configs"] == [
        {
            "config_name": "default",
            "description": "rows 0123abcd",
            "data_files": [{"split": "train", "path": "data/train-*-of-00001.parquet"}],
        }
    ]


def test_a_language_without_a_known_code_is_only_named_in_the_text() -> None:
    task = load_task("gsm8k").model_copy(update={"language": "Klingon"})
    card = machine_part(facts(task=task))
    assert "language" not in front_matter(card)
    assert "- Language: Klingon" in card


def test_the_card_tells_method_prompts_seeds_counts_and_rejections() -> None:
    card = machine_part(facts())
    for part in (
        "arXiv:2603.12932",
        "`00112233445566ff`",
        "run: 0",
        "| Apply | 1 |",
        "| Create | 0 |",
        "| all | 1 |",
        "| duplicate | 7 |\n| tie | 2 |",
        "- exact: the same normalised text",
        "threshold: 0.5",
        "writer: `openai/some-model`",
    ):
        assert part in card


@pytest.mark.parametrize(
    ("changes", "loud"),
    [
        pytest.param({"teacher": "simulated"}, "> **Not for training.**", id="simulated"),
        pytest.param({"teacher": "replay"}, "> **Recorded answers.**", id="replay"),
        pytest.param({"fixed_temperature": True}, "plain repeats", id="fixed temperature"),
        pytest.param({"counts": RowCounts(), "files": ()}, "> **No rows.**", id="no rows"),
    ],
)
def test_what_a_reader_must_know_stands_before_everything_else(
    changes: dict[str, Any], loud: str
) -> None:
    card = machine_part(facts(**changes))
    assert loud in card.split("## Rows")[0]
    assert loud not in machine_part(facts())


def test_a_card_without_rows_names_no_data_file() -> None:
    card = machine_part(facts(counts=RowCounts(), files=()))
    assert "configs" not in front_matter(card)
    assert "## First row" not in card


def test_the_balance_of_a_closed_set_of_answers_is_shown() -> None:
    counts = counted(row("a", "yes"), row("b", "no"), row("c", "yes"))
    assert "| yes | 2 |\n| no | 1 |" in machine_part(
        facts(task=load_task("pubmedqa"), counts=counts)
    )
    assert "| yes |" not in machine_part(facts(counts=counts))


HOSTILE = [
    pytest.param("<script>alert(1)</script>", id="html"),
    pytest.param("[a](http://x) ![b](y) www.z.org me@z.org", id="links"),
    pytest.param("| a | b |\n---\n# title\n```\nfence", id="blocks"),
    pytest.param(f"x\n{END}\nmine", id="the closing line"),
    pytest.param("a: b\n---\nlicense: mit # {}", id="front matter"),
    pytest.param("half \ud83d \x1b[31m\x00 ‮ ```` end", id="control characters"),
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_users_and_models_is_never_mark_up(text: str, tmp_path: Path) -> None:
    whole = text.encode("utf-8", "replace").decode()  # a task's file holds no half pairs
    task = TaskSpec.model_validate(
        {
            "name": "own",
            "domain": whole,
            "description": f"{whole} and more words",
            "answer": {"kind": "number"},
        }
    )
    hostile = facts(
        task=task,
        models={text: text},
        configuration={"note": whole},
        rejections={text: 1},
        screens={text: text},
        seeds={text: 1},
        counts=counted(row(text)),
    )
    write_card(hostile, tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card == machine_part(hostile)
    assert card.count(f"\n{END}\n") == 1
    assert front_matter(card)["license"] == "other"
    prose = outside_fences(card)
    assert "<script" not in prose
    assert "](http://x" not in prose.replace("\\]", "")
    titles = [line for line in prose.splitlines() if line.startswith("#")]
    assert titles[1:] == [
        "## Rows", "## How it was made", "## Rejected", "## Configuration", "## Task",
        "## First row", "## Licence and citation",
    ]  # fmt: skip


def outside_fences(card: str) -> str:
    """Return the body of a card without its code, as a Markdown reader finds them."""
    lines, fence = [], ""
    for line in card.split("---\n", 2)[2].splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            if line.strip("`") == "" and len(ticks) >= len(fence):
                fence = ""
        elif len(ticks) >= 3:
            fence = ticks
        else:
            lines.append(line)
    assert not fence
    return re.sub(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", "", "\n".join(lines))


def test_own_words_below_the_machine_part_are_kept(tmp_path: Path) -> None:
    path = write_card(facts(), tmp_path)
    path.write_text(path.read_text(encoding="utf-8") + "\nMy note.\n", encoding="utf-8")
    write_card(facts(prompts="ffff"), tmp_path)
    card = path.read_text(encoding="utf-8")
    assert card == machine_part(facts(prompts="ffff")) + "\nMy note.\n"


def test_a_readme_of_another_make_is_kept_below(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("My page.\n", encoding="utf-8")
    write_card(facts(), tmp_path)
    write_card(facts(), tmp_path)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card == machine_part(facts()) + "\nMy page.\n"


def test_own_bytes_of_any_editor_are_kept(tmp_path: Path) -> None:
    path = write_card(facts(), tmp_path)
    edited = path.read_bytes().replace(b"\n", b"\r\n") + b"caf\xe9\r\n"
    path.write_bytes(edited)
    write_card(facts(), tmp_path)
    assert path.read_bytes() == machine_part(facts()).encode() + b"caf\xe9\n"


def test_a_folder_loads_by_its_card(tmp_path: Path) -> None:
    import datasets

    written = write_dataset([row(), row("Who?")], tmp_path)
    write_card(facts(files=written.files, counts=written.counts), tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps({"cost": 1}), encoding="utf-8")
    loaded = datasets.load_dataset(str(tmp_path), cache_dir=str(tmp_path / ".cache"))
    assert loaded["train"].num_rows == 2


def test_two_folders_of_one_name_do_not_load_as_each_other(tmp_path: Path) -> None:
    """`datasets` has one cache for all folders called `dataset`, as those of all runs are."""
    import datasets

    def loaded(folder: Path, question: str) -> list[str]:
        written = write_dataset([row(question)], folder)
        card = facts(files=written.files, counts=written.counts, digest=written.digest())
        write_card(card, folder)
        found = datasets.load_dataset(
            str(folder), split="train", cache_dir=str(tmp_path / ".cache")
        )
        return list(found["instruction"])

    assert loaded(tmp_path / "one" / "dataset", "Who?") == ["Who?"]
    assert loaded(tmp_path / "other" / "dataset", "When?") == ["When?"]
    # Nor as what stood in the same folder before.
    assert loaded(tmp_path / "one" / "dataset", "Where?") == ["Where?"]
    assert loaded(tmp_path / "again" / "dataset", "Where?") == ["Where?"]


def test_an_unwritable_card_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="must be writable"):
        write_card(facts(), tmp_path / "file")


def test_how_it_was_made_stands_apart_and_a_persons_words_stay(tmp_path: Path) -> None:
    card = write_card(facts(), tmp_path)
    card.write_text(card.read_text("utf-8") + "\nMy words.\n", "utf-8")
    machine = machine_part(facts())
    for cost in ("1 USD", "2 <b>USD</b>"):
        write_run_part(tmp_path, {"cost": cost})
        text = card.read_text("utf-8")
        assert text.startswith(machine)
        assert text.endswith("\nMy words.\n")
        assert text.count(RUN_BEGIN) == text.count(RUN_END) == 1
    assert "| cost | 2 &#60;b&#62;USD&#60;/b&#62; |" in text
    write_card(facts(), tmp_path)
    assert card.read_text("utf-8") == machine + "\nMy words.\n"
