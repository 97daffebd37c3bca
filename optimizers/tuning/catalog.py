"""Every parameter that can be tuned: what it may be at all, and what is searched by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from optimizers.tuning.space import WAVE, WAVED, Choice, Domain, Range, Settings, Space, Value
from programs.calibration.estimates import VARIANTS
from programs.stopping import parse_policy, waves
from programs.stopping.posterior import stays_first
from signatures.errors import ConfigError

FAMILIES = ("lead", "curtailed", "posterior", "fixed", "calibrated")
REPLAY_FAMILIES = ("lead", "curtailed", "posterior", "calibrated")
LIVE_FAMILIES = WAVED
LIVE_WAVES = Choice((1, 3, 6))

Texts = Literal["text"]


class Parameter(NamedTuple):
    """One parameter.

    Args:
        limits: the values it may have at all; `text` for any text.
        default: what is searched unless the user says otherwise; None leaves it out.
        about: what it is.
        none: null is a value too.
    """

    limits: Domain | Texts
    default: Domain | None
    about: str
    none: bool = False


_DRAWS = Range(1, 64, whole=True)
_TEMPERATURE = Range(0, 2)
_NAMES = tuple(variant.name for variant in VARIANTS)

PARAMETERS: Mapping[str, Parameter] = {
    "policy": Parameter("text", None, "family of the voting policy, or one in full"),
    "lead.by": Parameter(_DRAWS, Range(1, 6, whole=True), "votes to be ahead"),
    "lead.max": Parameter(_DRAWS, Range(3, 14, whole=True), "most draws"),
    "curtailed.k": Parameter(_DRAWS, Range(3, 14, whole=True), "draws"),
    "curtailed.threshold": Parameter(Range(0.01, 1), Range(0.4, 1, step=0.05), "share that agrees"),
    "posterior.confidence": Parameter(
        Range(0.501, 0.9999), Range(0.6, 0.99, step=0.01), "probability to stay the first"
    ),
    "posterior.max": Parameter(_DRAWS, Range(3, 14, whole=True), "most draws"),
    "fixed.k": Parameter(_DRAWS, Range(3, 14, whole=True), "draws"),
    "fixed.threshold": Parameter(Range(0.01, 1), Range(0.4, 1, step=0.05), "share that agrees"),
    "calibrated.variant": Parameter(Choice(_NAMES), Choice(_NAMES), "how chances are estimated"),
    "calibrated.max": Parameter(Range(2, 16, whole=True), Choice((8, 10, 12)), "most draws"),
    "calibrated.wrong": Parameter(
        Range(0.01, 10_000), Range(1, 250, log=True), "price of a wrong row; a right one earns 1"
    ),
    "calibrated.sample": Parameter(
        Range(0.0001, 10), Range(0.005, 0.15, log=True), "price of a sample"
    ),
    WAVE: Parameter(_DRAWS, None, "fewest draws that go out at once"),
    "keyword_temperature": Parameter(_TEMPERATURE, Range(0.3, 1.1, step=0.2), "for keywords"),
    "writer_temperature": Parameter(_TEMPERATURE, Range(0.5, 1.3, step=0.2), "for instructions"),
    "answer_temperature": Parameter(_TEMPERATURE, Range(0.3, 1.1, step=0.2), "of the first wave"),
    "answer_temperature_step": Parameter(
        Range(0, 1), Choice((0.0, 0.1, 0.2)), "rise to the second wave, and to the third"
    ),
    "answer_temperatures_by": Parameter(
        Choice(("wave", "draw")), Choice(("wave", "draw")), "what takes the next temperature"
    ),
    "pair_share": Parameter(Range(0, 1), Range(0, 1, step=0.2), "units from a pair of keywords"),
    "bank": Parameter(Range(1, 100_000, whole=True), None, "keywords to grow"),
    "expansion_width": Parameter(Range(1, 64, whole=True), Choice((4, 8, 16)), "keywords a list"),
    "expansion_rounds": Parameter(Range(1, 64, whole=True), Choice((2, 8, 64)), "most rounds"),
    "max_tokens": Parameter(
        Range(1, 1_000_000, whole=True), Choice((None, 1024, 2048)), "limit on a reply", none=True
    ),
    "program": Parameter("text", None, "compiled prompts and demos", none=True),
    "model": Parameter("text", None, "the teacher", none=True),
    "judge_model": Parameter("text", None, "who compares answers", none=True),
}


def policy_space(families: Sequence[str] = REPLAY_FAMILIES) -> Space:
    """Return the space of policies alone, for replay."""
    return Space({"policy": Choice(tuple(families)), **_defaults(families)})


def live_space(extra: Mapping[str, Domain], families: Sequence[str] = LIVE_FAMILIES) -> Space:
    """Return the space of a live study.

    Args:
        extra: domains that depend on the study: `bank`, and `program`, `model`, `judge_model` where
            there are several.
        families: of policies.
    """
    plain = {
        name: parameter.default
        for name, parameter in PARAMETERS.items()
        if "." not in name and parameter.default is not None
    }
    policy = {"policy": Choice(tuple(families)), **_defaults(families), WAVE: LIVE_WAVES}
    return Space({**policy, **plain, **extra})


def allowed(name: str, value: Value) -> str | None:
    """Return the rule that a value breaks, or None where the parameter may have it."""
    limits, none = PARAMETERS[name].limits, PARAMETERS[name].none
    if value is None and none:
        return None
    if limits == "text":
        return None if isinstance(value, str) and value else "be a text"
    if limits.holds(value):
        return None
    if isinstance(limits, Choice):
        return f"be one of {', '.join(map(str, limits.values))}"
    kind = "a whole number" if limits.whole else "a number"
    return f"be {kind} from {limits.low:g} to {limits.high:g}"


def allowed_policy(value: Value) -> str | None:
    """Return why a value is neither a family nor a policy in full, or None."""
    if value in FAMILIES:
        return None
    try:
        parse_policy(str(value))
    except ConfigError:
        return f"be a family ({', '.join(FAMILIES)}) or a policy in full, such as lead(3, 9)"
    return None


def with_families(space: Space, families: Sequence[str]) -> Space:
    """Return a space with other policies, and with the parameters of exactly those."""
    kept = {
        name: domain
        for name, domain in space.domains.items()
        if "." not in name or name.partition(".")[0] in families
    }
    if not set(families) & set(WAVED):
        kept.pop(WAVE, None)
    kept["policy"] = Choice(tuple(families))
    missing = {n: d for n, d in _defaults(families).items() if n not in kept}
    return replace(space, domains={**kept, **missing})


def in_full(space: Space, settings: Settings) -> Settings:
    """Return settings as a space holds them that names their policy in full.

    Where it has `lead(3,9)` for a policy and no `lead`, that takes the place of `lead` by 3 of 9.
    """
    domain, family = space.domains["policy"], str(settings["policy"])
    if not isinstance(domain, Choice) or domain.holds(family):
        return settings
    same = (
        str(value)
        for value in domain.values
        if str(value).partition("(")[0].strip() == family
        and parse_policy(str(value)).spec == _family_text(settings)
    )
    found = next(same, None)
    if found is None:
        return settings
    rest = {n: v for n, v in settings.items() if "." not in n and n != WAVE}
    return {**rest, "policy": found}


def policy_text(settings: Settings) -> str | None:
    """Return the policy of a trial as text; None for `calibrated`, which has to be fitted first.

    Numbers that contradict each other are mended upward: `lead` draws at least as many as the votes
    it wants ahead, and `posterior` as many as can be so sure.
    """
    text, size = _family_text(settings), int(float(str(settings.get(WAVE, 1))))
    return text if text is None or size == 1 else waves(parse_policy(text), size).spec


def _family_text(settings: Settings) -> str | None:
    family = str(settings["policy"])

    def number(name: str) -> int:
        return int(float(str(settings[f"{family}.{name}"])))

    if family == "lead":
        return f"lead({number('by')}, {max(number('by'), number('max'))})"
    if family in ("curtailed", "fixed"):
        return f"{family}({number('k')}, {settings[f'{family}.threshold']})"
    if family == "posterior":
        confidence, most = float(str(settings["posterior.confidence"])), number("max")
        while stays_first(most, 0) < confidence:
            most += 1
        return f"posterior({confidence}, {most})"
    return None if family == "calibrated" else family


def _defaults(families: Sequence[str]) -> dict[str, Domain]:
    return {
        name: parameter.default
        for name, parameter in PARAMETERS.items()
        if name.partition(".")[0] in families and "." in name and parameter.default is not None
    }
