"""What a study searches: parameters by name, each with its domain, some only under one policy.

A domain is a choice among values or a range of numbers. A parameter whose domain holds one value is
fixed: the sampler is not asked for it. The parameters of a policy (`lead.by`) are asked for only where
the trial has that policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from signatures.records import content_id

if TYPE_CHECKING:
    import optuna

WAVE = "wave"
WAVED = ("lead", "curtailed", "posterior")
"""The families that look at a vote after every wave, so that its size is a choice."""

Value = str | int | float | bool | None
Settings = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values, at least one."""

    values: tuple[Value, ...]

    def holds(self, value: Value) -> bool:
        """Return whether a value is one of them; 1 and 1.0 are the same, 1 and True are not."""
        return any(value == mine and _kind(value) == _kind(mine) for mine in self.values)


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both ends included.

    Args:
        low, high: the ends, low <= high.
        step: the distance between neighbours, counted from `low`; None for any number between.
        log: neighbours differ by a factor; without a step.
        whole: only whole numbers.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    def holds(self, value: Value) -> bool:
        """Return whether a value is a number of the range, on its grid where it has one."""
        if _kind(value) != "number" or not isinstance(value, int | float):
            return False
        if not self.low <= value <= self.high or (self.whole and value != int(value)):
            return False
        places = (value - self.low) / self.step if self.step else 0
        return abs(places - round(places)) < 1e-6


Domain = Choice | Range


@dataclass(frozen=True, slots=True)
class Space:
    """The domains of a study, by the name of the parameter, in the order they are asked for.

    Raises (of `Space.of`):
        ConfigError: a parameter of a policy comes without `policy`.
    """

    domains: Mapping[str, Domain]

    @property
    def id(self) -> str:
        """Return the hash of all domains: studies of other spaces are not continued."""
        return content_id({name: repr(domain) for name, domain in self.domains.items()})

    @property
    def fixed(self) -> Settings:
        """Return the parameters that have one value."""
        return {
            name: domain.values[0]
            for name, domain in self.domains.items()
            if isinstance(domain, Choice) and len(domain.values) == 1
        }

    def suggest(self, trial: optuna.Trial) -> Settings:
        """Return the settings of a trial, asking its sampler for what is not fixed."""
        fixed = self.fixed
        settings: Settings = {}
        for name, domain in self.domains.items():
            if not applies(name, settings):
                continue
            settings[name] = fixed[name] if name in fixed else _suggested(trial, name, domain)
        return settings

    def outside(self, settings: Mapping[str, Value]) -> str | None:
        """Return the first parameter of `settings` whose value the space does not hold, or None.

        A parameter that `settings` lacks, or that the space does not know, is outside as well: Optuna
        would take the one from the sampler and ignore the other.
        """
        for name, domain in self.domains.items():
            if applies(name, settings) and not (name in settings and domain.holds(settings[name])):
                return name
        return next((name for name in settings if name not in self.domains), None)

    def sampled(self, settings: Mapping[str, Value]) -> Settings:
        """Return those of the settings that the sampler would be asked for."""
        fixed = self.fixed
        return {name: value for name, value in settings.items() if name not in fixed}


def applies(name: str, settings: Mapping[str, Value]) -> bool:
    """Return whether a parameter counts in a trial: `lead.by` only where the policy is `lead`.

    The size of a wave counts where the policy is one of `WAVED`.

    Example:
        >>> applies("lead.by", {"policy": "curtailed"}), applies("bank", {})
        (False, True)
    """
    if name == WAVE:
        return settings.get("policy") in WAVED
    family, dot, _ = name.partition(".")
    return not dot or settings.get("policy") == family


def _suggested(trial: optuna.Trial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        chosen: Any = trial.suggest_categorical(name, domain.values)
        return chosen
    if domain.whole:
        step = int(domain.step or 1)
        return trial.suggest_int(name, int(domain.low), int(domain.high), step=step, log=domain.log)
    found = trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
    return round(found, 10)


def _kind(value: Value) -> str:
    if isinstance(value, bool) or value is None:
        return repr(value)
    return "number" if isinstance(value, int | float) else "text"
