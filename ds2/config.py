"""The configuration of a run, in parts by what they may change.

`RunConfig` determines the rows and is part of the fingerprint. `EngineConfig` says which models and
how to reach them; the models are part of the fingerprint, the way is not. So it is with
`CorpusConfig`: the documents are, their place is not. `BudgetConfig` only says when to stop.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from signatures.bloom import LEVELS, BloomLevel
from signatures.errors import ConfigError

PRESETS = ("default", "paper")
STAGES = ("keywords", "writer", "answers", "judge")
ADAPTERS = ("chat", "json-schema", "json")

PAPER_ROWS = 6000
PAPER_CANDIDATES = 8000
PAPER_PAIRS = 2000

# Where N is no multiple of six, the levels that ask for working something out come first.
REMAINDER_ORDER = (
    BloomLevel.APPLY,
    BloomLevel.ANALYZE,
    BloomLevel.UNDERSTAND,
    BloomLevel.EVALUATE,
    BloomLevel.CREATE,
    BloomLevel.REMEMBER,
)


Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


_WORDS = {
    "int_parsing": "be a whole number",
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "float_parsing": "be a number",
    "float_type": "be a number",
    "bool_parsing": "be true or false",
    "bool_type": "be true or false",
    "string_type": "be a text",
}


def rule_of(broken: Mapping[str, Any]) -> str:
    """Return the rule that a value broke, to stand behind `must`.

    Args:
        broken: one of the errors that pydantic lists.
    """
    said = str(broken["msg"]).removeprefix("Value error, ").removeprefix("Input should ")
    if choices := re.fullmatch(r".*? is not one of (.+?)\.?", said, re.DOTALL):
        return f"be one of {choices[1]}"
    return _WORDS.get(broken["type"], said.removeprefix("must "))


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def build(cls, **values: Any) -> Self:
        """Return the settings, or say which one breaks which rule.

        Raises:
            ConfigError: the first setting that is out of its range.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"]) or cls.__name__
            rule = rule_of(first)
            if first["type"] == "extra_forbidden":
                rule = f"be one of the known ones: {', '.join(cls.model_fields)}"
            raise ConfigError.rule(
                "Reading the configuration failed",
                name=name,
                rule=rule,
                value=first["input"],
                todo="Change that setting; `ds2 run --help` shows them all.",
            ) from error


class RunConfig(_Settings):
    """What determines the rows, beside the task, the prompts and the models.

    Args:
        target: rows wanted, at least 1.
        seed: decides every choice the pipeline makes, 0 or more.
        preset: the preset these values came from.
        policy: when a vote has seen enough, as `programs.stopping.parse_policy` reads it.
        keyword_temperature, writer_temperature: 0 to 2.
        answer_temperatures: by wave or by draw, see `programs.sampling.Temperatures`.
        pair_share: share of units made from a pair of keywords, 0 to 1.
        corpus_share: share of the keyword bank that comes out of the corpus where there is one, 0 to
            0.9.
        bank: keywords to grow.
        expansion_width: new keywords to ask for in one list, 1 to 64.
        expansion_rounds: rounds of expansion after which the bank is taken as it is, 1 to 64.
        candidates: most units that may be decided (accepted or rejected).
        quotas: rows are spread evenly over the six levels, and a level is refilled until it has
            its share. False: units are shuffled over all levels, and the run ends with what passed.
        pairs: without quotas, how many pairs are crossed with the levels.
        duplicates: exact and near-duplicates are screened out.
        near_duplicates: smallest similarity of a near-duplicate, 0.5 to 1 (Jaccard of character
            5-grams, the numbers being the same); 1 for none but what is the same text.
        family_cap: most rows that differ in their numbers only; 0 for no cap.
        checks: instructions with a fault of their own are turned down, see `ds2.screen.checks`.
        shuffle_options: options are put into a random order after writing.
        avoid: benchmarks whose questions may not be repeated, as `ds2.screen.avoid` reads them. What
            they hold is part of the fingerprint, where they lie is not.
        verify_level: a judge that is not told the level reads it; more than one off is turned down.
        collapse: the window of the collapse alarm: a keyword whose last so many questions were all
            repeats, or grew alike, is retired; 0 for never. See `ds2.screen.collapse`.
        collapse_spread: they grow alike where the share of different word pairs among them is below
            this part of the run's first, 0 to 1; 0 for never.
        adapter: how prompts are rendered and replies parsed.
        merger: `judge` lets a model say which answers with different wordings are the same, for
            expression and text; open answers are always compared so.
    """

    target: int = Field(ge=1, le=10_000_000)
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    preset: Literal["default", "paper"] = "default"
    policy: str = "lead(3, 9)"
    keyword_temperature: float = Field(default=0.7, ge=0, le=2)
    writer_temperature: float = Field(default=0.9, ge=0, le=2)
    answer_temperatures: tuple[float, ...] = (0.7, 0.8, 0.9)
    answer_temperatures_by: Literal["wave", "draw"] = "wave"
    pair_share: float = Field(default=0.4, ge=0, le=1)
    corpus_share: float = Field(default=0.4, ge=0, le=0.9)
    bank: int = Field(ge=1, le=100_000)
    expansion_width: int = Field(default=8, ge=1, le=64)
    expansion_rounds: int = Field(default=64, ge=1, le=64)
    candidates: int = Field(ge=1)
    quotas: bool = True
    pairs: int = Field(default=0, ge=0)
    duplicates: bool = True
    near_duplicates: float = Field(default=0.75, ge=0.5, le=1)
    family_cap: int = Field(default=4, ge=0)
    checks: bool = True
    shuffle_options: bool = True
    avoid: tuple[str, ...] = ()
    verify_level: bool = False
    collapse: int = Field(default=10, ge=0)
    collapse_spread: float = Field(default=0.4, ge=0, le=1)
    adapter: Literal["chat", "json-schema", "json"] = "chat"
    merger: Literal["none", "judge"] = "none"

    @field_validator("policy")
    @classmethod
    def _one_spelling(cls, value: str) -> str:
        name, bracket, rest = value.strip().partition("(")
        if name.strip() == "calibrated":  # what follows is a file's name, spaces and all
            return value.strip()
        rest = re.sub(r"\(\s+", "(", re.sub(r"\s*([,)])\s*", r"\1", rest.lstrip()))
        return name.strip() + bracket + rest.replace(",", ", ").strip()

    @field_validator("answer_temperatures")
    @classmethod
    def _warm(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 <= t <= 2 for t in value):
            raise ValueError("must hold at least one temperature, each from 0 to 2")
        return value

    @property
    def level_quotas(self) -> dict[BloomLevel, int]:
        """Return the rows wanted of each level: N // 6, the remainder in `REMAINDER_ORDER`."""
        extra = set(REMAINDER_ORDER[: self.target % len(LEVELS)])
        return {level: self.target // len(LEVELS) + (level in extra) for level in LEVELS}


class EngineConfig(_Settings):
    """Which models, and how they are reached.

    Args:
        model: `PROVIDER/NAME`, or None for the simulated teacher.
        model_for: another model for a stage: keywords, writer, answers or judge.
        api_base: origin of an OpenAI-compatible server.
        api_key_env: name of the environment variable that holds its key.
        sampling: extras that go to the server as they are, such as `min_p`.
        max_tokens: limit on a reply; None takes the model's default.
        max_tokens_cap: limit up to which a reply that was cut at `max_tokens` is asked for once more,
            with twice the room; None for twice `max_tokens`, a cap not above it asks for none.
        concurrency: calls in flight for each (endpoint, model).
        timeout_s: limit on one request, seconds.
        price: what `model` costs, USD for a million tokens in and out; None looks it up.
        price_for: the same for the model of a stage in `model_for`.
        rpm, tpm: most requests and most tokens in a minute for each (endpoint, model); None for no
            limit.
        patience_s: how long an endpoint that has answered may be down before the run stops, seconds.
        sensitivity: how much the words of a prompt matter to the simulated teacher, 0 to 1.
        coalesce: draws of one question that start together go out as one request with `n`: `on`
            where it is known that the endpoint takes it (`ds2 check` says so), `auto` to let the
            first waves find out.
        hedge: a call that takes over 8 times the mean is asked a second time; the first reply wins.
    """

    model: str | None = None
    model_for: dict[str, str] = Field(default_factory=dict)
    api_base: str | None = None
    api_key_env: str | None = None
    sampling: dict[str, Any] = Field(default_factory=dict)
    max_tokens: int | None = Field(default=None, ge=1)
    max_tokens_cap: int | None = Field(default=None, ge=1)
    concurrency: int = Field(default=64, ge=1, le=4096)
    timeout_s: float = Field(default=600, gt=0)
    price: tuple[Rate, Rate] | None = None
    price_for: dict[str, tuple[Rate, Rate]] = Field(default_factory=dict)
    rpm: int | None = Field(default=None, ge=1)
    tpm: int | None = Field(default=None, ge=1)
    patience_s: float = Field(default=300, ge=0, lt=math.inf)
    sensitivity: float = Field(default=0.0, ge=0, le=1)
    coalesce: Literal["auto", "on", "off"] = "off"
    hedge: bool = False

    @field_validator("model_for", "price_for")
    @classmethod
    def _known_stages(cls, value: dict[str, Any]) -> dict[str, Any]:
        if not set(value) <= set(STAGES):
            raise ValueError(f"must name stages that there are: {', '.join(STAGES)}")
        return value

    def price_of(self, stage: str) -> tuple[float, float] | None:
        """Return the price that was given for a stage; `price` is that of `model` and no other."""
        same = self.price if self.model_of(stage) == self.model else None
        return self.price_for.get(stage, same)

    def model_of(self, stage: str) -> str | None:
        """Return the model of a stage."""
        return self.model_for.get(stage, self.model)


class CorpusConfig(_Settings):
    """Which documents a run reads; what they hold is part of the fingerprint, where they lie is not.

    Args:
        path: a file or a folder: JSONL, Parquet, text, Markdown, each but Parquet also packed by gzip.
        column: the column of JSONL and Parquet that holds the text; None takes the first there is of
            text, content, abstract.
        index: the folder that indexes are kept in; None for the user's cache, see
            `ds2.corpus.corpus.cache_folder`.
    """

    path: str = Field(min_length=1)
    column: str | None = None
    index: str | None = None


class BudgetConfig(_Settings):
    """When to stop. None is no limit; what earlier processes used counts, but for minutes.

    Args:
        budget_usd: most that all calls of the run may cost, US dollars, above 0.
        budget_tokens: most tokens they may read and write.
        budget_calls: most calls.
        budget_minutes: longest time one process works on the run, above 0.
        stage_check: stop when a stage's first replies are mostly unusable.
    """

    budget_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    budget_tokens: int | None = Field(default=None, ge=1)
    budget_calls: int | None = Field(default=None, ge=1)
    budget_minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    stage_check: bool = True


def preset(name: str, target: int | None = None, **changes: Any) -> RunConfig:
    """Return the settings of a preset for a target, with single values changed.

    `default`: six levels in turn, quotas, refill, draws until one answer is three votes ahead, nine
    at most: on recorded answers that costs about half of ten fixed draws at a threshold of 0.5, with
    nearly its yield and, within the noise, its precision (`benchmarks/voting.py`). `paper`: as the
    paper's code does it: every keyword and up to 2,000 pairs crossed with the six levels, shuffled
    by the seed, cut at 8,000 candidates, k = 5, threshold 0.5, at most 6,000 rows; draws that cannot
    change the verdict are not made; no screen runs; with a smaller target the cut shrinks in proportion.

    Raises:
        ConfigError: no such preset, or a value out of its range.
    """
    if name not in PRESETS:
        raise ConfigError.rule(
            "Reading the configuration failed",
            name="preset",
            rule=f"be one of {', '.join(PRESETS)}",
            value=name,
            todo="Leave --preset out for the default.",
        )
    base = _paper(target) if name == "paper" else _default(target)
    return RunConfig.build(**{**base, **{k: v for k, v in changes.items() if v is not None}})


def _default(target: int | None) -> Mapping[str, Any]:
    rows = 60 if target is None else target
    return {"target": rows, "bank": bank_size(rows), "candidates": max(4 * rows, 1)}


def _paper(target: int | None) -> Mapping[str, Any]:
    rows = PAPER_ROWS if target is None else min(target, PAPER_ROWS)
    return {
        "preset": "paper",
        "target": rows,
        "bank": bank_size(rows),
        "candidates": max(1, math.ceil(rows * PAPER_CANDIDATES / PAPER_ROWS)),
        "policy": "curtailed(5, 0.5)",
        "answer_temperatures_by": "draw",
        "quotas": False,
        "pairs": PAPER_PAIRS,
        "duplicates": False,
        "family_cap": 0,
        "checks": False,
        "shuffle_options": False,
        "collapse": 0,
    }


def bank_size(target: int) -> int:
    """Return how many keywords a target wants: a tenth of it, 24 to 600, at most 3 x target, at least 6."""
    return max(6, min(max(24, math.ceil(target / 10)), 600, 3 * target))
