"""The dataset card: README.md with the front matter that `datasets` and the Hub read.

Its machine part is a pure function of `CardFacts`: task, configuration, rows. Cost, time and
surplus depend on timing and stay in `summary.json`. What a person writes below the last line of the
machine part is kept when the card is written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ds2.output.counts import RowCounts
from ds2.output.dataset import row_record
from ds2.output.files import replacing, writing
from signatures.records import Row, canonical_json, valid_text
from signatures.task import AnswerKind, TaskSpec

END = "<!-- ds2: the lines above are written by every run; write your own below this one -->"
# What timing may change stands apart, below the machine part, whose bytes are those of the rows.
RUN_BEGIN = "<!-- ds2: how this dataset was last made; timing may change these lines -->"
RUN_END = "<!-- ds2: end of how it was made -->"

_LICENCE = (
    "The rows are text of the models named above; the terms of those models decide what they may be used "
    "for. The method:"
)

_METHOD = (
    "After DS²-Instruct ([arXiv:2603.12932](https://arxiv.org/abs/2603.12932)): keywords of the domain, "
    "expanded to prerequisite and advanced ones; one instruction for a keyword or a pair at a cognitive "
    "level after Bloom; several answers drawn for each, kept where enough agree."
)

_PAPER = """@misc{xu2026ds2instruct,
  title         = {{DS2-Instruct}: Domain-Specific Data Synthesis for Large Language Models
                   Instruction Tuning},
  author        = {Xu, Ruiyao and Samia, Noelle I. and Liu, Han},
  year          = {2026},
  eprint        = {2603.12932},
  archivePrefix = {arXiv}
}"""

_CATEGORIES = {
    AnswerKind.NUMBER: ("text-generation", "question-answering"),
    AnswerKind.EXPRESSION: ("text-generation", "question-answering"),
    AnswerKind.CHOICE: ("text-generation", "multiple-choice"),
    AnswerKind.LABEL: ("text-generation", "question-answering"),
    AnswerKind.TEXT: ("text-generation", "question-answering"),
    AnswerKind.OPEN: ("text-generation",),
}

# ISO 639-1; a language that is not here is named in the text and left out of the front matter.
_LANGUAGES = {
    "arabic": "ar", "bengali": "bn", "bulgarian": "bg", "catalan": "ca", "chinese": "zh",
    "croatian": "hr", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en",
    "estonian": "et", "finnish": "fi", "french": "fr", "german": "de", "greek": "el",
    "hebrew": "he", "hindi": "hi", "hungarian": "hu", "indonesian": "id", "irish": "ga",
    "italian": "it", "japanese": "ja", "korean": "ko", "latvian": "lv", "lithuanian": "lt",
    "malay": "ms", "norwegian": "no", "persian": "fa", "polish": "pl", "portuguese": "pt",
    "romanian": "ro", "russian": "ru", "serbian": "sr", "slovak": "sk", "slovenian": "sl",
    "spanish": "es", "swahili": "sw", "swedish": "sv", "tamil": "ta", "thai": "th",
    "turkish": "tr", "ukrainian": "uk", "urdu": "ur", "vietnamese": "vi",
}  # fmt: skip

# The bounds and their names are the Hub's.
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

# What Markdown reads as mark-up; `://`, `www.` and `@` make bare links.
_MARKS = re.compile(r"[\\`*_{}\[\]<>#|~$&@]|:(?=//)|(?<=www)\.")


@dataclass(frozen=True, slots=True)
class CardFacts:
    """All that the machine part of a card is made of.

    Args:
        task: the task as it was run.
        configuration: what determines the rows, as plain JSON values; no secrets, no paths.
        prompts: the hash of the prompts.
        teacher: what stood behind the answers: `simulated`, `model` or `replay`.
        models: the model of each stage, by stage.
        fixed_temperature: the answering model takes no temperature; its draws were plain repeats.
        files: the Parquet files, relative to the card.
        counts: counts over the rows.
        digest: the hash of the files' bytes; empty where there are none.
        rejections: rejected units by reason.
        screens: what each screen turned away, by its name; empty when none ran.
        seeds: the seeds, by what they decide.
        corpus: the corpus that was read: its id and counts, no path; None without one.
    """

    task: TaskSpec
    configuration: Mapping[str, Any]
    prompts: str
    teacher: str
    models: Mapping[str, str]
    files: tuple[str, ...]
    counts: RowCounts
    digest: str = ""
    fixed_temperature: bool = False
    rejections: Mapping[str, int] = field(default_factory=dict)
    screens: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    corpus: Mapping[str, Any] | None = None


def write_card(facts: CardFacts, folder: Path) -> Path:
    """Write `folder/README.md` and return its path; what stands below the machine part is kept.

    A README without the closing line of the machine part is kept whole below the new one.

    Raises:
        OutputError: the file cannot be written.
    """
    path = folder / "README.md"
    # surrogateescape carries bytes that are not UTF-8 through unharmed: they are the user's.
    with writing(path):
        old = path.read_text("utf-8", "surrogateescape") if path.exists() else None
    own = "" if old is None else own_part(old)
    text = (machine_part(facts) + own).encode("utf-8", "surrogateescape")
    with replacing(path) as temp, writing(path):
        temp.write_bytes(text)
    return path


def own_part(card: str) -> str:
    """Return what a person wrote: all below the machine part, but for the part about the run."""
    _, found, own = card.partition(f"\n{END}\n")
    if not found:
        return f"\n{card}"
    before, begun, rest = own.partition(f"\n{RUN_BEGIN}\n")
    _, ended, after = rest.partition(f"\n{RUN_END}\n")
    return before + after if begun and ended else own


def write_run_part(folder: Path, facts: Mapping[str, str]) -> None:
    """Write into a card, below its machine part, how the rows were made: cost, surplus, versions.

    Args:
        folder: the dataset folder, with its card.
        facts: name and value, in the order in which they are to stand.

    Raises:
        OutputError: the card cannot be read or written.
    """
    path = folder / "README.md"
    with writing(path):
        old = path.read_text("utf-8", "surrogateescape")
    machine, _, _ = old.partition(f"\n{END}\n")
    lines = ["| | |", "| --- | --- |"]
    lines += [f"| {_inline(name)} | {_inline(value)} |" for name, value in facts.items()]
    told = "\n".join(["## How it was last made", "", *lines])
    part = f"\n{RUN_BEGIN}\n\n{told}\n\n{RUN_END}\n"
    text = f"{machine}\n{END}\n{part}{own_part(old)}".encode("utf-8", "surrogateescape")
    with replacing(path) as temp, writing(path):
        temp.write_bytes(text)


def machine_part(facts: CardFacts) -> str:
    """Return the card up to its closing line: the same facts give the same text."""
    sections = [
        f"---\n{_front_matter(facts)}---",
        f"# {_inline(facts.task.name)}: {_inline(facts.task.domain)}",
        _inline(facts.task.description),
        *_warnings(facts),
        *_rows(facts),
        *_method(facts),
        *_rejections(facts),
        *_configuration(facts),
        *_example(facts.counts.first),
        "## Licence and citation",
        _LICENCE,
        _fenced(_PAPER, "bibtex"),
    ]
    return "\n\n".join(sections) + f"\n\n{END}\n"


def _front_matter(facts: CardFacts) -> str:
    task = facts.task
    language = _LANGUAGES.get(task.language.casefold().split()[0])
    data: dict[str, Any] = {"pretty_name": _one_line(f"{task.name}: {task.domain}")}
    if language is not None:
        data["language"] = [language]
    data["license"] = "other"
    data["license_name"] = "terms-of-the-teacher-model"
    data["task_categories"] = list(_CATEGORIES[task.answer.kind])
    data["size_categories"] = [_size(facts.counts.rows)]
    data["tags"] = ["synthetic", "instruction-tuning", "self-consistency", "ds2-instruct", "dspy"]
    if facts.teacher == "simulated":
        data["tags"].append("simulated-teacher")
    if facts.files:
        train = [{"split": "train", "path": _pattern(facts.files)}]
        # `datasets` keeps what it has loaded under the folder's name and a hash of these lines, not of
        # the files: without the digest one run's rows would come back as another's.
        said = f"rows {facts.digest}"
        data["configs"] = [{"config_name": "default", "description": said, "data_files": train}]
    return _yaml(data)


def _pattern(files: tuple[str, ...]) -> str:
    """Return one glob for all shards; it holds their number, so shards of another write fall out."""
    return re.sub(r"train-\d{5}-of", "train-*-of", files[0])


def _size(rows: int) -> str:
    return next((name for bound, name in _SIZES if rows < bound), "1M<n<10M")


def _warnings(facts: CardFacts) -> list[str]:
    notes = []
    if facts.teacher == "simulated":
        notes.append(
            "**Not for training.** These rows come from the simulated teacher (`teacher: "
            "simulated`), a program that makes up questions and answers to try the pipeline with. "
            "No language model wrote them."
        )
    if facts.teacher == "replay":
        notes.append(
            "**Recorded answers.** The answers were replayed from a recording; no model was asked."
        )
    if facts.fixed_temperature:
        notes.append(
            "**One temperature.** The answering model fixes its own temperature: the draws of a "
            "vote were plain repeats of one request, not samples at different temperatures."
        )
    if not facts.counts.rows:
        notes.append("**No rows.** No unit was accepted, so there is no data file to load.")
    return [f"> {note}" for note in notes]


def _rows(facts: CardFacts) -> list[str]:
    counts = facts.counts
    sections = ["## Rows", _table(("level", "rows"), [*counts.by_level, ("all", counts.rows)])]
    if counts.mean_agreement is not None:
        lines = [
            f"- From one keyword: {counts.rows - counts.from_pairs}; from a pair: {counts.from_pairs}",
            f"- Answers drawn for these rows: {counts.draws}",
            f"- Mean agreement: {counts.mean_agreement:.3f}; rows where all draws agreed: {counts.unanimous}",
        ]
        sections.append("\n".join(lines))
    closed = facts.task.answer.kind in {AnswerKind.CHOICE, AnswerKind.LABEL}
    if closed and counts.answers:
        sections.append(_table(("answer", "rows"), counts.answers))
    return sections


def _method(facts: CardFacts) -> list[str]:
    stages = ", ".join(f"{_inline(stage)}: {_code(name)}" for stage, name in facts.models.items())
    seeds = ", ".join(f"{_inline(name)}: {seed}" for name, seed in facts.seeds.items()) or "none"
    lines = [
        f"- Teacher: {_code(facts.teacher)}",
        f"- Models: {stages or 'not named'}",
        f"- Language: {_inline(facts.task.language)}",
        f"- Prompts: {_code(facts.prompts)}",
        f"- Seeds: {seeds}",
    ]
    if facts.corpus is not None:
        lines.append(f"- Corpus: {_corpus(facts.corpus)}")
    return ["## How it was made", _METHOD, "\n".join(lines)]


def _corpus(corpus: Mapping[str, Any]) -> str:
    counts = ", ".join(f"{name} {n:,}" for name, n in corpus.items() if name != "id")
    return (
        f"{counts} ({_code(str(corpus['id']))}); its own licence holds for what is quoted from it. "
        "Part of the keywords come out of it, and contexts are passages of it (`passage_id`)"
    )


def _rejections(facts: CardFacts) -> list[str]:
    sections = ["## Rejected"]
    if facts.rejections:
        ordered = sorted(facts.rejections.items(), key=lambda pair: (-pair[1], pair[0]))
        sections.append(_table(("reason", "units"), ordered))
    else:
        sections.append("No unit was rejected.")
    if facts.screens:
        sections.append(
            "\n".join(f"- {_inline(name)}: {_inline(rule)}" for name, rule in facts.screens.items())
        )
    else:
        sections.append("No screen ran.")
    return sections


def _configuration(facts: CardFacts) -> list[str]:
    # Through JSON: only plain values reach the card, whatever the mapping was made of.
    plain = json.loads(canonical_json(dict(facts.configuration)))
    task = facts.task.model_dump(mode="json", exclude_defaults=True)
    return [
        "## Configuration",
        _fenced(_yaml(plain), "yaml"),
        "## Task",
        _fenced(_yaml(task), "yaml"),
    ]


def _example(row: Row | None) -> list[str]:
    if row is None:
        return []
    # As JSON a line break in a text is written \n: no line of the card is the model's own.
    shown = json.dumps(row_record(row), ensure_ascii=False, indent=2)
    return ["## First row", _fenced(shown, "json")]


def _yaml(data: Any) -> str:
    text: str = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=10**9)
    return text


def _table(head: tuple[str, str], lines: Iterable[tuple[str, int]]) -> str:
    rows = [f"| {head[0]} | {head[1]} |", "| --- | ---: |"]
    return "\n".join([*rows, *(f"| {_inline(name)} | {count} |" for name, count in lines)])


def _inline(text: str) -> str:
    """Return `text` as one line that Markdown shows as it is: no mark-up, link or HTML from it."""
    return _MARKS.sub(_escape, _one_line(text))


def _escape(match: re.Match[str]) -> str:
    # HTML is a second reader of the card: its own signs go as entities.
    return f"&#{ord(match[0])};" if match[0] in "<>&" else f"\\{match[0]}"


def _code(text: str) -> str:
    line = _one_line(text)
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}" if line else "none"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in valid_text(text)).split())


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall(r"`+", text)), default=0)
