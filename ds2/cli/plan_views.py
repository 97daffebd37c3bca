"""A plan as people read it: a table by stage, and what is to be known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ds2.cli.dollars import dollars

if TYPE_CHECKING:
    from rich.table import Table

    from ds2.runtime.foresight import Interval


def print_plan(plan: Mapping[str, Any]) -> None:
    """Print a plan that `ds2.cli.plan.document` made."""
    from rich.console import Console

    console = Console()
    console.print(_table(plan))
    for line in _notes(plan):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(plan: Mapping[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    names = ("calls", "input_tokens", "output_tokens")
    table = Table(
        "", "calls", "tokens in", "tokens out", "USD", "minutes", box=None, pad_edge=False
    )
    for stage, of in (*plan["stages"].items(), ("in all", plan)):
        cells = [figures(of[name]) for name in names]
        cells += [_money(of["usd"]), _minutes(of["minutes_to_go"])]
        table.add_row(*map(Text, (stage, *cells)))
    return table


def _notes(plan: Mapping[str, Any]) -> Iterator[str]:
    units, rows = plan["units"], plan["rows"]
    yield f"{plan['target']:,} rows take {figures(units)} units."
    yield from _time(plan)
    yield "Each figure is the middle of what may come, and the range that holds 90 % of it."
    if rows.low < plan["target"]:
        yield f"The candidate cap may end it earlier: {figures(rows)} rows."
    yield from map(_budget, plan["budgets"])
    if plan["refused"]:
        yield f"`ds2 run` will refuse these options. {plan['refused']}"
    if plan["units_seen"]:
        yield (
            f"From {plan['units_seen']:,} units and {plan['calls_made']:,} calls in {plan['out']}, "
            "which are counted in; `ds2 run` with the same options goes on from them."
        )
    else:
        yield "Assumed (--pilot 12 finds out):"
        yield from (f"- {line}" for line in plan["assumptions"])
    if plan["usd"] is None:
        yield "The cost is unknown: no price is known for a model (--price IN,OUT)."


def _time(plan: Mapping[str, Any]) -> Iterator[str]:
    pace = plan["pace"]
    setter = {
        "concurrency": f"{pace['concurrency']:,} calls in flight set the pace, if the endpoint takes "
        "them",
        "rpm": f"--rpm {pace['rpm']} sets the pace",
        "tpm": f"--tpm {pace['tpm']} sets the pace",
        "processor": "this process itself sets the pace",
    }[pace["set_by"]]
    yield f"{_minutes(plan['minutes_to_go'])} minutes to go: {setter}."
    yield "Stages run at the same time, all but the keywords; their minutes are parts of the whole."


def _budget(one: Mapping[str, Any]) -> str:
    """Return one line on a budget: whether the run fits, and where it would stop."""
    name = f"The budget of {_amount(one['kind'], one['limit'])}"
    if one["wanted"] is None:
        return f"{name}: whether it is enough is not known, for no price or no usage is."
    middle, high = (_amount(one["kind"], value) for value in one["wanted"][1:])
    if one["rows"] is None:
        return f"{name} is enough: {middle} is expected, {high} at the upper end."
    stop = f"the run would stop at about {figures(one['rows'])} rows"
    if one["limit"] < one["wanted"].mid:
        return f"{name} is below the expected {middle}: {stop}."
    return f"{name} is enough in {one['fits']:.0%} of what may come; in the rest {stop}."


def _amount(kind: str, value: float) -> str:
    if kind == "usd":
        return dollars(value)
    return f"{value:,.1f} minutes" if kind == "minutes" else f"{rounded(value)} {kind}"


def figures(interval: Interval | None) -> str:
    """Return the middle of an interval and its ends; one number where they are the same."""
    if interval is None:
        return "unknown"
    return _range(*(rounded(value) for value in interval))


def _range(low: str, mid: str, high: str) -> str:
    return mid if low == high else f"{mid} ({low} to {high})"


def rounded(value: float) -> str:
    """Return a count with three digits that matter: more would claim too much."""
    if value < 10_000:
        return f"{round(value):,}"
    power = min(3, (len(str(round(value))) - 1) // 3)
    short = value / 1000**power
    return f"{short:,.{max(0, 3 - len(str(int(short))))}f}{' kMG'[power]}"


def _money(interval: Interval | None) -> str:
    if interval is None:
        return "unknown"
    return _range(*(dollars(value).removesuffix(" USD") for value in interval))


def _minutes(interval: Interval) -> str:
    return _range(*(f"{value:.1f}" for value in interval))
