"""What is drawn of a run: its facts -> charts. Those of two runs have one scale and one order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ds2.report.charts import NO_SCALE, Chart, Item, Scale, Series, Words, bars, columns, lines
from ds2.report.facts import ReportFacts
from ds2.report.figures import Balance, Figures
from ds2.report.shown import shown

FEWEST_MOMENTS = 5  # fewer make no line that says anything


def charts_of(runs: Sequence[ReportFacts]) -> list[dict[str, Chart]]:
    """Return the charts of each run by name; what a run has nothing for is left out.

    Those of several runs can be compared at a glance: the same lines in the same order, on one scale.
    """
    order = _Order.of([run.figures for run in runs])
    alone = [_Drawing(run, f"r{i}", order, {}).charts() for i, run in enumerate(runs)]
    if len(runs) == 1:
        return alone
    scales: dict[str, Scale] = {}
    for charts in alone:
        for name, chart in charts.items():
            scales[name] = chart.scale.both(scales.get(name, NO_SCALE))
    return [_Drawing(run, f"r{i}", order, scales).charts() for i, run in enumerate(runs)]


def spoken(reason: str) -> str:
    """Return a reason as words: `no lead`, as on the terminal."""
    return shown(reason, 60).replace("_", " ")


@dataclass(frozen=True, slots=True)
class _Order:
    """The lines that charts of all runs have: numbers of draws, reasons, stops and answers."""

    draws: tuple[int, ...]
    reasons: tuple[tuple[str, str], ...]
    stops: tuple[str, ...]
    answers: tuple[str, ...]

    @classmethod
    def of(cls, runs: Sequence[Figures]) -> _Order:
        balances = [figures.balance.answers for figures in runs if figures.balance is not None]
        return cls(
            draws=tuple(sorted({draws for figures in runs for draws in figures.draws})),
            reasons=_most_first(_reasons(figures) for figures in runs),
            stops=_most_first(figures.stops for figures in runs),
            answers=tuple(sorted({answer for balance in balances for answer, _ in balance})),
        )


def _most_first(counts: Iterable[Mapping[Any, int]]) -> tuple[Any, ...]:
    whole: Counter[Any] = Counter()
    for each in counts:
        whole.update(each)
    return tuple(sorted(whole, key=lambda name: (-whole[name], name)))


def _reasons(figures: Figures) -> dict[tuple[str, str], int]:
    return {
        (stage, reason): count
        for stage, reasons in figures.rejected_by_stage.items()
        for reason, count in reasons.items()
    }


@dataclass(frozen=True, slots=True)
class _Drawing:
    """Draws one run.

    Args:
        run: its facts.
        prefix: of the ids on the page.
        order: of lines that are counted by name.
        scales: how far an axis must reach at least, by chart.
    """

    run: ReportFacts
    prefix: str
    order: _Order
    scales: Mapping[str, Scale]

    def charts(self) -> dict[str, Chart]:
        """Return the charts by name."""
        draw: dict[str, Callable[[str], Chart]] = {
            "funnel": self._funnel,
            "levels": self._levels,
            "reasons": self._reasons,
            "agreement": self._agreement,
            "draws": self._draws,
            "stops": self._stops,
        }
        if (balance := self.run.figures.balance) is not None:
            draw["balance"] = partial(self._balance, balance)
        if len(self.run.moments) >= FEWEST_MOMENTS:
            draw["rate"] = self._rate
            if any(moment.in_flight for moment in self.run.moments):
                draw["flight"] = self._flight
        return {name: each(name) for name, each in draw.items()}

    def _bars(self, name: str, words: Words, items: Sequence[Item]) -> Chart:
        return bars(words, items, at_least=self.scales.get(name, NO_SCALE))

    def _columns(self, name: str, words: Words, items: Sequence[Item]) -> Chart:
        return columns(words, items, at_least=self.scales.get(name, NO_SCALE))

    def _lines(self, name: str, words: Words, series: Iterable[Series]) -> Chart:
        drawn = [line for line in series if line.points]
        return lines(words, drawn, unit="min", at_least=self.scales.get(name, NO_SCALE))

    def _funnel(self, name: str) -> Chart:
        ledger = self.run.ledger
        pending = sum(ledger["pending"].values())
        words = Words(
            f"{self.prefix}-{name}",
            "From planned to accepted",
            "How many units were left after each stage.",
            ("stage", "units left"),
            note=f"Surplus {ledger['surplus']:,}, pending {pending:,}.",
        )
        return self._bars(name, words, list(self._steps(pending)))

    def _steps(self, pending: int) -> Iterator[Item]:
        by_stage = {s: sum(r.values()) for s, r in self.run.figures.rejected_by_stage.items()}
        planned = int(self.run.ledger["planned"])
        left = planned - int(self.run.ledger["surplus"]) - pending
        yield Item("planned", ((planned, "c3"),))
        yield Item("came to their turn", ((left, "c3"),))
        for stage, name in (
            ("writer", "written"),
            ("screen", "passed the screens"),
            ("vote", "agreed on"),
        ):
            left -= by_stage.get(stage, 0)
            yield Item(name, ((left, "c1" if stage == "vote" else "c3"),))

    def _levels(self, name: str) -> Chart:
        words = Words(
            f"{self.prefix}-{name}",
            "Units by Bloom level",
            "Accepted and rejected units of each level; the share that was accepted beside them.",
            ("level", "accepted", "rejected"),
            legend=(("c1", "accepted"), ("c2", "rejected")),
        )
        items = [
            Item(
                level.level,
                ((level.accepted, "c1"), (level.rejected, "c2")),
                "-" if level.accept_share is None else f"{level.accept_share:.0%}",
            )
            for level in self.run.figures.levels
        ]
        return self._bars(name, words, items)

    def _reasons(self, name: str) -> Chart:
        words = Words(
            f"{self.prefix}-{name}",
            "Why units were rejected",
            "Rejected units by stage and reason.",
            ("stage: reason", "units"),
        )
        counts = _reasons(self.run.figures)
        items = [
            Item(f"{stage}: {spoken(reason)}", ((counts.get((stage, reason), 0), "c2"),))
            for stage, reason in self.order.reasons
        ]
        return self._bars(name, words, items)

    def _agreement(self, name: str) -> Chart:
        words = Words(
            f"{self.prefix}-{name}",
            "Agreement of the accepted rows",
            "How many rows have which share of their draws behind the answer.",
            ("agreement", "rows"),
        )
        bins = enumerate(self.run.figures.agreement)
        items = [Item(f"{i / 10:.1f}-{(i + 1) / 10:.1f}", ((n, "c1"),)) for i, n in bins]
        return self._columns(name, words, items)

    def _draws(self, name: str) -> Chart:
        words = Words(
            f"{self.prefix}-{name}",
            "Answers drawn a row",
            "How many answers it took until the vote of an accepted row had seen enough.",
            ("answers drawn", "rows"),
        )
        counts = self.run.figures.draws
        items = [Item(str(draws), ((counts.get(draws, 0), "c1"),)) for draws in self.order.draws]
        return self._columns(name, words, items)

    def _stops(self, name: str) -> Chart:
        words = Words(
            f"{self.prefix}-{name}",
            "Why votes stopped",
            "The reasons why votes ended, accepted or not.",
            ("reason", "votes"),
        )
        counts = self.run.figures.stops
        items = [Item(spoken(why), ((counts.get(why, 0), "c1"),)) for why in self.order.stops]
        return self._bars(name, words, items)

    def _balance(self, balance: Balance, name: str) -> Chart:
        note = ""
        if balance.p is not None:
            note = f"Chi-square {balance.chi_square:.1f} with {balance.degrees} degrees of "
            note += f"freedom against uniform letters: p = {balance.p:.2g}."
        words = Words(
            f"{self.prefix}-{name}",
            "Answers",
            "Rows by their answer.",
            ("answer", "rows"),
            note=note,
        )
        counts = dict(balance.answers)
        items = [
            Item(shown(each, 20), ((counts.get(each, 0), "c1"),)) for each in self.order.answers
        ]
        return self._columns(name, words, items)

    def _rate(self, name: str) -> Chart:
        words = Words(
            f"{self.prefix}-{name}",
            "Throughput",
            "New calls a minute and rows accepted a minute over the time of the run.",
            ("minutes", "calls a minute", "rows a minute"),
        )
        minutes = [(moment.at_s / 60, moment) for moment in self.run.moments]
        calls = Series("calls a minute", "c1", tuple((at, m.calls_per_min) for at, m in minutes))
        rows = Series("rows a minute", "c2", tuple((at, m.rows_per_min) for at, m in minutes))
        return self._lines(name, words, [calls, rows])

    def _flight(self, name: str) -> Chart:
        minutes = [(moment.at_s / 60, moment) for moment in self.run.moments]
        flying = Series("calls in flight", "c1", tuple((at, m.in_flight) for at, m in minutes))
        limit = Series("limit", "c2", tuple((at, m.limit) for at, m in minutes if m.limit))
        words = Words(
            f"{self.prefix}-{name}",
            "Calls in flight",
            "How many calls were in flight over the time of the run, and how many might have been.",
            ("minutes", "calls in flight", *(["limit"] if limit.points else [])),
        )
        return self._lines(name, words, [flying, limit])
