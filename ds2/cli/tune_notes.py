"""What a reader of a study's table should know, in sentences: what counted, what can be believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from optimizers.tuning import Objective, StudyPlan
from optimizers.tuning.heldout import HELD_OUT
from optimizers.tuning.study import BARREN

TRIALS_NAME = "trials.json"
ROWS = 18
"""The most points of a front that a table shows, those with a name aside."""

_FAR_BELOW = 0.85  # of the default's yield


def notes(plan: StudyPlan, found: Mapping[str, Any]) -> list[str]:
    """Return what counted and what did not, why nothing was chosen, and what is held out.

    Args:
        plan: the study.
        found: what `ds2.cli.tune_views.document` made of it.
    """
    whole = len(found["front"])
    part = f"; {TRIALS_NAME} has all {whole} points" if whole > ROWS else ""
    counted = f"{found['trials']:,}"
    if found["trials"] < found["trials_wanted"]:
        counted += f" of {found['trials_wanted']:,}"
    front_of = f"above is the Pareto front of the feasible ones{part}."
    said = [f"{counted} trials gave a result; {front_of}"]
    if outside := found["baselines_outside_the_space"]:
        said.append(_outside(outside))
    if failed := found["without_result"]:
        why = ", ".join(f"{reason} ({times:,})" for reason, times in sorted(failed.items()))
        said.append(
            f"{sum(failed.values()):,} more gave none: {why}. They have numbers of their own, so that "
            "those above go further than the count, and do not count towards --trials."
        )
        if found["trials"] < found["trials_wanted"] and not found["paused"]:
            said.append(f"The study ended early: its last {BARREN} in a row gave none.")
    if found["chosen"] is None and found["trials"]:
        wanted = ", ".join(f"{name} of at least {least:g}" for name, least in plan.minima.items())
        said.append(f"No trial is feasible: none reached {wanted}. Ask for less, or tune longer.")
    elif found["chosen"] is None:
        said.append("No trial gave a result, so nothing can be chosen.")
    else:
        said += [*_believed(plan, found), *_price(found)]
    if plan.held_out.why:
        said.append(f"No question is held out, for {plan.held_out.why}.")
    if found["paused"]:
        said.append(f"Stopped: {found['paused']} Give the same command again to continue.")
    return said


def _outside(outside: Mapping[str, str]) -> str:
    """Return which baselines the space leaves out, by which parameters, and what can be done."""
    were, their, them = (
        ("s {} were", "their", "them") if len(outside) > 1 else (" {} was", "its", "it")
    )
    parameters = " and ".join(f"`{name}`" for name in dict.fromkeys(outside.values()))
    return (
        f"The baseline{were.format(' and '.join(outside))} not tried: the file of --space does not allow "
        f"{their} {parameters}. Nothing is wrong; to compare with {them}, let that file allow {them}, or "
        f"leave {parameters} out of it."
    )


def _believed(plan: StudyPlan, found: Mapping[str, Any]) -> Iterator[str]:
    """Return how far the quality of what was chosen can be believed."""
    quality, chosen = plan.objectives[0], found["chosen"]
    between = interval(quality, chosen)
    if not plan.held_out.questions:
        if between is not None:
            yield (
                f"Of the chosen trial the {quality.title} has the {between}, on the questions that it "
                "was chosen by; on others expect a little less."
            )
            if quality.name in plan.minima:
                yield "The least that was asked for holds for what was measured, not for its lower end."
        return
    yield f"The chosen trial, {measured(plan, chosen)}."
    default = next((e for e in found["baselines"] if e["baseline"] == "default"), chosen)
    there = f" (the default there: {_values(plan, default[HELD_OUT])})"
    yield f"{held_out(plan, chosen)}{there if default['trial'] != chosen['trial'] else ''}."
    yield from (f"{broken}." for broken in not_kept(chosen))
    yield (
        "Choose by the first figures, not by the held-out ones: what was chosen by can no longer tell "
        "what it is worth."
    )


def measured(plan: StudyPlan, entry: Mapping[str, Any]) -> str:
    """Return what a trial came to on the questions it was chosen on, with its interval."""
    where = f"on the {plan.held_out.chosen_on:,} questions that it was chosen on: "
    return (where if plan.held_out.questions else "") + _values(plan, entry)


def held_out(plan: StudyPlan, entry: Mapping[str, Any]) -> str:
    """Return what a trial came to on the held-out questions, with its interval."""
    facts = entry[HELD_OUT]
    where = f"Held out, on {plan.held_out.questions:,} questions that no trial was measured on"
    if facts[plan.objectives[0].name] is None:
        return f"{where}: nothing was accepted"
    part = f", yield {facts['yield']:.3f}" if "yield" in facts else ""
    return f"{where}: {_values(plan, facts)}{part}"


def not_kept(entry: Mapping[str, Any]) -> Iterator[str]:
    """Return for each constraint that does not hold on the held-out questions how far it is from it."""
    for name, least in entry[HELD_OUT]["below"].items():
        value, high = (entry[HELD_OUT].get(key) for key in (name, f"{name}_high"))
        said = f"Held-out {name} {value:.4f}, below {least:g}"
        if high is not None and high >= least:
            said += f", which the interval reaches: it may be chance, or ask for a little more than {least:g}"
        elif high is not None:
            said += ", which the interval does not reach: ask for more, or for --prefer precise"
        yield said


def _values(plan: StudyPlan, facts: Mapping[str, Any]) -> str:
    said = []
    for objective in plan.objectives:
        if facts.get(objective.name) is None:
            continue
        between = interval(objective, facts)
        part = f" ({between})" if between else ""
        said.append(f"{objective.title} {facts[objective.name]:.4g}{part}")
    return ", ".join(said)


def _price(found: Mapping[str, Any]) -> Iterator[str]:
    """Return what the price of the chosen trial leaves out."""
    chosen = found["chosen"]
    default = next((e for e in found["baselines"] if e["baseline"] == "default"), None)
    if default is not None and chosen["yield"] < _FAR_BELOW * default["yield"]:
        yield (
            f"It accepts {chosen['yield']:.2f} of the questions, the default {default['yield']:.2f}: what "
            "writing those that are turned down costs is no part of the price above."
        )


def interval(objective: Objective, facts: Mapping[str, Any]) -> str | None:
    """Return the 95 % interval (Wilson) of a trial's quality in words, None where none is known."""
    low, high = facts.get(f"{objective.name}_low"), facts.get(f"{objective.name}_high")
    return None if low is None or high is None else f"95 % interval {low:.3f} to {high:.3f}"
