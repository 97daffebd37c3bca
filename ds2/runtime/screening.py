"""The screens of a run: made from its configuration, named for its identity and its card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ds2.config import RunConfig
from ds2.screen.avoid import Avoided
from ds2.screen.benchmark import FEWEST, BenchmarkScreen
from ds2.screen.collapse import REMEDY, CollapseAlarm
from ds2.screen.exact import ExactScreen, NoScreen, Screen
from ds2.screen.family import Families
from ds2.screen.near import NearScreen
from ds2.screen.own import OwnScreens
from signatures.task import TaskSpec

SCREENS_VERSION = 3
"""Part of a run's fingerprint: raise it when an instruction would be screened differently."""


class Screening(NamedTuple):
    """All screens of one run, without memory of any unit yet.

    Args:
        own: those that see one instruction alone.
        decided: the index of decided units.
        undecided: an index of the same kind.
        families: the families of accepted rows.
        alarm: the collapse alarm.
    """

    own: OwnScreens
    decided: Screen
    undecided: Screen
    families: Families
    alarm: CollapseAlarm

    def forgotten(self) -> Screening:
        """Return it without what it remembers of units: files are written with that memory."""
        return self._replace(decided=NoScreen(), undecided=NoScreen(), families=Families(cap=0))

    def notices(self) -> Iterator[str]:
        """Yield what a reader of the run should know of its screens."""
        yield from self.alarm.warnings
        if retired := list(self.alarm.retired):
            shown = self.alarm.why(retired[:3]) + ("; ..." if len(retired) > 3 else "")
            keywords = "keyword was" if len(retired) == 1 else "keywords were"
            yield f"{len(retired)} {keywords} retired by the collapse alarm: {shown}. {REMEDY}"
        benchmarks = self.own.benchmarks
        if benchmarks is not None and benchmarks.too_short:
            yield (
                f"{benchmarks.too_short} questions to be avoided have under {FEWEST} words and "
                "cannot be compared."
            )


def make_screening(config: RunConfig, task: TaskSpec, avoided: Sequence[Avoided]) -> Screening:
    """Return the screens that a configuration asks for."""
    items = [item for source in avoided for item in source.items]
    own = OwnScreens(
        seed=config.seed,
        language=task.language,
        shuffle=config.shuffle_options,
        checks=config.checks,
        benchmarks=BenchmarkScreen(items) if items else None,
    )
    return Screening(
        own,
        _repeats(config),
        _repeats(config),
        Families(config.family_cap),
        CollapseAlarm(config.collapse, config.collapse_spread),
    )


def _repeats(config: RunConfig) -> Screen:
    if not config.duplicates:
        return NoScreen()
    return ExactScreen() if config.near_duplicates >= 1 else NearScreen(config.near_duplicates)


def screens_version() -> str:
    """Return what stands for the screens' code: ours, and rensa's, which proposes near-duplicates."""
    from rensa import RMinHash

    return f"{SCREENS_VERSION} minhash {RMinHash.ALGORITHM_VERSION}"


class Listed(NamedTuple):
    """One screen of a run: its name, what it was told to do, and its reasons for turning away."""

    name: str
    rule: str
    reasons: tuple[str, ...] = ()


def listed(config: RunConfig, avoided: Sequence[str]) -> Iterator[Listed]:
    """Yield the screens that a configuration asks for, in the order in which a unit meets them."""
    if config.collapse:
        rule = f"a keyword is retired whose last {config.collapse} questions were all repeats"
        if config.collapse_spread:
            rule += f", or had under {config.collapse_spread} of the run's first spread"
        yield Listed("collapse alarm", rule, ("collapsed",))
    if config.shuffle_options:
        yield Listed("options", "shuffled by the run's seed and the unit's place")
    if config.checks:
        yield Listed("instruction checks", "faults that show in the text", FAULTS)
    if avoided:
        rule = f"13-grams, 8-grams by coverage, edited copies, of {'; '.join(avoided)}"
        yield Listed("benchmarks", rule, ("benchmark",))
    if config.duplicates:
        yield Listed("exact duplicates", "the same text", ("duplicate",))
        if config.near_duplicates < 1:
            rule = f"Jaccard of character 5-grams at least {config.near_duplicates}, same numbers"
            yield Listed("near-duplicates", rule, ("near_duplicate",))
    if config.family_cap:
        rule = f"at most {config.family_cap} rows that differ in their numbers only"
        yield Listed("families", rule, ("family",))
    if config.verify_level:
        yield Listed("levels", "a blind judge reads the level, at most one off", ("level",))


def described(
    config: RunConfig, avoided: Sequence[str], rejected: Mapping[str, int]
) -> dict[str, str]:
    """Return for the card what each screen was told to do and what it turned away."""
    found = {}
    for screen in listed(config, avoided):
        turned_away = sum(rejected.get(reason, 0) for reason in screen.reasons)
        count = f"; {turned_away} turned away" if screen.reasons else ""
        found[screen.name] = f"{screen.rule}{count}"
    return found


# What only the answer shows.
AFTER_VOTE = frozenset({"no_option", "told"})
FAULTS = (
    "no_words", "too_short", "too_long", "refusal", "leak", "same_options", "missing", "language",
    "no_option", "told",
)  # fmt: skip
