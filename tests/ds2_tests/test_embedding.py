"""A static model from the disk, made and read by the library itself: it sees meaning, and damage is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_runs import go
from typer.testing import CliRunner

from ds2.cli.app import app
from ds2.report.diversity import embedded_diversity
from ds2.report.embedding import lexical, load_embedding
from signatures.errors import ConfigError

model2vec = pytest.importorskip("model2vec", reason="NOT RUN: pip install 'ds2-instruct[semantic]'")

MEANINGS = (
    ("buy", "purchase"), ("car", "automobile"), ("doctor", "physician"), ("big", "large"),
    ("cures", "heals"), ("illness", "disease"), ("is", "are"), ("a", "the"), ("how",), ("what",),
    ("does", "do"), ("river",), ("melts",), ("ice",), ("triangle",), ("area",), ("of",),
)  # fmt: skip
PARAPHRASES = [
    ("Does the doctor buy a big car?", "Do the physician purchase a large automobile?"),
    ("What cures the illness?", "What heals a disease?"),
    ("How big is the area of a triangle?", "How large are the area of the triangle?"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a real model of a few words, whose synonyms lie close together."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import Whitespace

    words = ["[UNK]", "?", *(word for synonyms in MEANINGS for word in synonyms)]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = Lowercase(), Whitespace()
    rng = np.random.default_rng(0)
    vectors = [np.zeros(32), np.zeros(32)]
    for synonyms in MEANINGS:
        meaning = rng.normal(size=32)
        vectors += [meaning + 0.1 * rng.normal(size=32) for _ in synonyms]
    model = model2vec.StaticModel(np.array(vectors, dtype=np.float32), tokenizer)
    to = tmp_path_factory.mktemp("static") / "model"
    model.save_pretrained(to)
    return to


def cosines(name: str, texts: list[str]) -> np.ndarray:
    vectors = np.asarray(load_embedding(name)(texts), dtype=float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    product: np.ndarray = unit @ unit.T
    return product


def test_a_paraphrase_is_closer_than_any_other_question_where_spelling_sees_none(
    folder: Path,
) -> None:
    texts = [text for pair in PARAPHRASES for text in pair]
    for place in range(0, len(texts), 2):
        near = cosines(str(folder), texts)[place]
        others = [near[i] for i in range(len(texts)) if i // 2 != place // 2]
        assert near[place + 1] > 0.9 > max(others)
    assert cosines("lexical", texts[:4])[0, 1] < 0.5


def test_the_figures_follow_meaning(folder: Path) -> None:
    embed = load_embedding(str(folder))
    first, second = PARAPHRASES[0]
    assert embedded_diversity([first] * 7, embed, "x").vendi == pytest.approx(1)
    alike = embedded_diversity([first, second], embed, "x")
    spelled = embedded_diversity([first, second], lexical, "lexical")
    assert alike.vendi is not None
    assert spelled.vendi is not None
    assert alike.vendi < 1.2 < 1.5 < spelled.vendi
    different = embedded_diversity([one for one, _ in PARAPHRASES], embed, "x")
    assert different.vendi is not None
    assert 1.5 < different.vendi <= 3
    for text in ("", "?", "unknown words only", "\U0001f600"):
        assert embedded_diversity([first, text], embed, "x").vendi is not None


def test_stats_diff_and_report_take_the_folder(folder: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        go(tmp_path / f"run{seed}", 12, seed=seed)
    one, other = str(tmp_path / "run0"), str(tmp_path / "run1")
    embedding = ["--embedding", str(folder)]
    found = json.loads(CliRunner().invoke(app, ["stats", one, "--json", *embedding]).output)
    assert found["embedded"]["n"] == 12
    assert 1 <= found["embedded"]["vendi"] <= 12
    assert -1 <= found["embedded"]["mean_cosine"] <= 1
    both = json.loads(CliRunner().invoke(app, ["diff", one, other, "--json", *embedding]).output)
    figures = {name: (a, b) for name, a, b in both["figures"]}
    assert figures["Vendi of questions, n = 12"][0] == pytest.approx(found["embedded"]["vendi"])
    assert figures["mean cosine of questions, n = 12"][1] is not None
    page = tmp_path / "report.html"
    drawn = CliRunner().invoke(app, ["report", one, "--out", str(page), *embedding])
    assert drawn.exit_code == 0, drawn.output
    assert "Vendi" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model.safetensors", "not a tensor"),
        ("tokenizer.json", "{}"),
        ("tokenizer.json", "not JSON"),
        ("config.json", "not JSON"),
        ("model.safetensors", None),
        ("tokenizer.json", None),
    ],
)
def test_a_model_that_is_damaged_is_no_bug_of_ours(
    name: str, text: str | None, folder: Path, tmp_path: Path
) -> None:
    spoilt = tmp_path / "model"
    shutil.copytree(folder, spoilt)
    (spoilt / name).unlink() if text is None else (spoilt / name).write_text(text, "utf-8")
    with pytest.raises(ConfigError, match="model2vec's format"):
        load_embedding(str(spoilt))


def test_a_model_of_another_kind_is_told(folder: Path, tmp_path: Path) -> None:
    """As the folder of a sentence transformer is: the same files, other tensors in them."""
    from safetensors.numpy import save_file

    other = tmp_path / "transformer"
    shutil.copytree(folder, other)
    save_file({"encoder.weight": np.zeros((2, 2), dtype=np.float32)}, other / "model.safetensors")
    with pytest.raises(ConfigError, match=r"model2vec's format.*save_pretrained"):
        load_embedding(str(other))
