"""The report of a run that works, was taken up again, or was killed tells one story of it."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dspy import lm15
from small_runs import Meddler, go

from ds2.engines.base import Backend
from ds2.report.facts import Moment
from ds2.runtime import heartbeat
from ds2.runtime.heartbeat import META
from ds2.runtime.moments import moments
from ds2.runtime.reporting import ReportRequest, report_page
from ds2.store import STORE_NAME, RunStore

WARNING = "These rows come from the simulated teacher"


class Page:
    """What a person reads on a report."""

    def __init__(self, folder: Path) -> None:
        self.text = report_page(ReportRequest((folder,)))

    def tile(self, name: str) -> str | None:
        """Return the value of a figure on top."""
        found = re.search(rf"<dt>{name}</dt><dd>([^<]*?) ?<", self.text)
        return found and found[1]

    def table(self, title: str) -> dict[str, list[str]]:
        """Return the data of a chart, or of the table of a region."""
        for part in re.split(r"<figure|<section", self.text):
            if f"<figcaption>{title}<" in part or f'aria-label="{title}"' in part:
                rows = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', part)
                return {name: re.findall("<td>(.*?)</td>", cells) for name, cells in rows}
        return {}

    @property
    def status(self) -> str:
        """Return the status."""
        [found] = re.findall(r"status: <strong>(.*?)</strong>", self.text)
        return str(found)

    @property
    def pending(self) -> int:
        """Return the units in work."""
        [found] = re.findall(r"pending ([\d,]+)\.", self.text)
        return int(found.replace(",", ""))

    def agrees(self) -> bool:
        """Return whether funnel, tiles and the table of calls say the same."""
        accepted = (self.tile("accepted") or "").partition(" of")[0]
        calls = sum(
            int(cells[0].replace(",", "")) for cells in self.table("Calls by stage").values()
        )
        funnel = self.table("From planned to accepted")
        return funnel["agreed on"] == [accepted] and self.tile("calls") == f"{calls:,}"


def beside(out: Path, at_call: int, *, served: bool = False, **settings: Any) -> Page:
    """Return the report of a run as it is at one of its calls, drawn while it works."""
    seen: list[Page] = []

    async def look(_: lm15.Request, call: int) -> None:
        while call == at_call and (not seen or "running" not in seen[-1].status):
            await asyncio.sleep(0.01)  # a beat comes meanwhile
            seen[:] = [Page(out)]

    def resolve(*_: object) -> Backend:
        backend = Meddler(look).backend()
        return replace(backend, dialect="openai http://x/v1") if served else backend

    go(out, 24, resolve=resolve, **settings)
    return seen[0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.0)


@pytest.mark.usefixtures("quick")
def test_a_run_that_works_for_the_first_time_is_told_whole(tmp_path: Path) -> None:
    page = beside(tmp_path, 100, served=True, concurrency=4)
    assert page.status == "running, at rows"
    assert page.agrees()
    assert page.pending > 0
    assert {"answers", "keywords", "writer"} <= page.table("Calls by stage").keys()
    assert page.tile("time")
    assert WARNING in page.text


@pytest.mark.usefixtures("quick")
def test_a_run_that_was_taken_up_again_is_not_told_by_its_last_summary(tmp_path: Path) -> None:
    first = go(tmp_path, 24, budget_calls=120, concurrency=4)
    page = beside(tmp_path, 40, concurrency=4)
    assert page.status.startswith("running")
    assert page.agrees()
    assert int((page.tile("calls") or "").replace(",", "")) > first.calls
    assert "the budget" not in page.text.partition("<main>")[0]
    ended = Page(tmp_path)
    assert (ended.status, ended.pending) == ("complete", 0)
    assert ended.agrees()


def test_a_killed_run_says_so_and_keeps_its_figures(tmp_path: Path) -> None:
    go(tmp_path, 12, budget_calls=60)
    with RunStore(tmp_path) as store:
        store.set_meta({META: {**store.meta()[META], "status": None, "phase": "rows"}})
    with sqlite3.connect(tmp_path / STORE_NAME) as connection:
        connection.execute("DELETE FROM units WHERE place >= 3")
    connection.close()
    page = Page(tmp_path)
    assert page.status == "killed"
    assert page.agrees()
    assert page.pending > 0
    assert "without a word" in page.text
    assert "The keyword bank has" not in page.text.partition("<main>")[0]  # of the summary before


def test_the_time_is_that_of_all_processes(tmp_path: Path) -> None:
    go(tmp_path, 12)
    with RunStore(tmp_path) as store:
        store.set_meta({"history": [[0.0, 0, 0, 0], [5_000.0, 90, 9, 3]]})
    go(tmp_path, 12)
    assert Page(tmp_path).tile("time") == "83.3 min"


# How fast it went.


def test_what_a_run_reads_again_from_its_log_is_no_speed() -> None:
    first = [(0.0, 0, 0, 0, 8), (10.0, 100, 20, 8, 8), (20.0, 200, 40, 8, 8)]
    again = [(20.0, 200, 0, 0, 8), (22.0, 200, 35, 0, 8), (32.0, 300, 60, 8, 8)]
    assert moments([*first, *again, (40.0, 300, 60, 0, 8)]) == (
        Moment(10.0, 600.0, 120.0, 8, 8),
        Moment(20.0, 600.0, 120.0, 8, 8),
        Moment(32.0, 600.0, 120.0, 8, 8),
    )


def test_a_pause_in_between_is_seen_and_one_at_the_end_is_not() -> None:
    noted = [
        (0.0, 0, 0, 0),
        (10.0, 60, 5, 4),
        (20.0, 60, 5, 0),
        (30.0, 120, 9, 4),
        (31.0, 120, 9, 0),
    ]
    assert [m.calls_per_min for m in moments(noted)] == [360.0, 0.0, 360.0]
    assert moments([]) == ()


def test_charts_that_would_say_nothing_are_left_out(tmp_path: Path) -> None:
    go(tmp_path, 6)

    def drawn(*flying: int) -> str:
        noted = [[2.0 * i, 50 * i, 2 * i, f, 16] for i, f in enumerate(flying)]
        with RunStore(tmp_path) as store:
            store.set_meta({"history": noted})
        return Page(tmp_path).text

    assert "Throughput" not in drawn(0, 9, 9, 9)
    in_process = drawn(*[0] * 8)
    assert "Throughput" in in_process
    assert "Calls in flight" not in in_process
    page = drawn(*[0, *[9] * 8])
    assert '<th scope="col">limit</th>' in page
    assert re.search(r"<td>9</td><td>16</td>", page)
