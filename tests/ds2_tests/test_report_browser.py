"""The report in a real browser: its controls work, nothing a model wrote runs, nothing is fetched."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from browser import find_browser
from small_runs import go

from ds2.runtime.reporting import ReportRequest, report_page, write_report
from ds2.server.serve import listen, served
from ds2.server.watch import watch_app

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'>",
    '"><svg onload=window.hacked=3>',
    "<a href='javascript:window.hacked=4'>a</a>",
    "</script><script>window.hacked = 5</script>",
    "<!-- <script> --> </style></title></table></section>",
    "{{ 7 * 7 }} {% raw %} ${window.hacked = 6}",
    "left \u202e to right \u2066 and \u0000 back \x1b[31m",
    "&lt;b&gt; &amp; ' \" ` \\u003c",
    "https://example.org/beacon?q=1",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = find_browser()
    if path is None:
        pytest.skip("NO BROWSER: the report was not tried in one; install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a run whose every text is planted."""
    run = tmp_path_factory.mktemp("hostile") / "run"
    make(run, 12)
    plant(run)
    return write_report(ReportRequest((run,)))


def make(run: Path, target: int) -> None:
    """Make a run in a thread: Playwright keeps an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(go, run, target, "medqa").result()


def plant(run: Path) -> None:
    """Put hostile texts into every field that a model, a document or a user wrote."""
    number = 0

    def bad(text: Any) -> str:
        nonlocal number
        number += 1
        long = "x" * 100_000 if number % 40 == 0 else ""
        return f"{text} {HOSTILE[number % len(HOSTILE)]}{long}"

    keywords = json.loads((run / "keywords.json").read_text("utf-8"))
    for keyword in keywords["keywords"]:
        keyword["text"] = bad(keyword["text"])
    (run / "keywords.json").write_text(json.dumps(keywords), "utf-8")
    config = json.loads((run / "config.json").read_text("utf-8"))
    for name in ("domain", "description"):
        config["task"][name] = bad(config["task"][name])[:200]
    (run / "config.json").write_text(json.dumps(config), "utf-8")
    connection = sqlite3.connect(run / "store.sqlite")
    for place, text in connection.execute("SELECT place, record FROM units").fetchall():
        record = json.loads(text)
        if not isinstance(record, dict):
            continue
        asked = record.get("instruction") or {}
        for name in {"question", "context"} & asked.keys():
            asked[name] = bad(asked[name])
        if asked:
            asked["options"] = [bad(option) for option in asked["options"]]
        for name in {"response", "detail"} & record.keys():
            record[name] = bad(record[name])
        for sample in (record.get("vote") or {}).get("samples", ()):
            sample["reasoning"] = bad(sample["reasoning"])
            sample["answer"] = sample["answer"] and bad(sample["answer"])
        connection.execute(
            "UPDATE units SET record = ? WHERE place = ?", (json.dumps(record), place)
        )
    prompt = json.dumps([bad("system"), [["user", bad("prompt")]]])
    connection.execute("UPDATE prompts SET prompt = ?", (prompt,))
    connection.commit()
    connection.close()


class Opened:
    """A page that is open, with all that it did which it may not do."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("console", lambda m: self.wrong.append(m.text))
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.page.on("dialog", lambda d: self.wrong.append(d.message))
        self.page.on("request", self._asked)
        self.page.goto(path.as_uri())

    def _asked(self, request: Any) -> None:
        if not request.is_navigation_request():
            self.wrong.append(request.url)

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *_: object) -> None:
        hacked = self.page.evaluate("window.hacked")
        self.context.close()
        assert hacked is None
        assert self.wrong == []


def test_nothing_that_was_planted_runs_and_nothing_is_fetched(chromium: Any, hostile: Path) -> None:
    with Opened(chromium, hostile) as page:
        count = page.locator("#list > li").count()
        assert count >= 12
        for _ in range(2):  # what a row holds is built when it is opened
            page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
            page.wait_for_function(f"document.querySelectorAll('.body').length === {count}")
        assert page.locator(".body").count() == count
        assert page.locator("script").count() == 2
        assert page.locator("img, iframe, a[href^='javascript'], [onload], [onerror]").count() == 0
        body = page.inner_text("body")
        assert "<script>window.hacked = 1</script>" in body
        assert "{{ 7 * 7 }}" in body
        assert "⟨U+202E⟩" in body
        assert "\u202e" not in body
        assert re.search(r"x… \([\d,]+ characters\)", body)


def test_a_page_of_hostile_lines_is_no_wider_than_its_window(chromium: Any, hostile: Path) -> None:
    for width in (1280, 400):
        with Opened(chromium, hostile, viewport={"width": width, "height": 800}) as page:
            page.locator("#list > li summary").first.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "medqa"
    make(out, 60)
    return write_report(ReportRequest((out,)))


def total(page: Any) -> int:
    return int(page.inner_text("#found").split()[0])


def test_the_filters_narrow_the_rows_and_can_be_cleared(chromium: Any, plain: Path) -> None:
    with Opened(chromium, plain) as page:
        every = total(page)
        page.select_option("#state", "accepted")
        assert total(page) == 60
        page.select_option("#level", "Apply")
        assert total(page) == 10
        page.fill("#least", "1")
        assert 0 < total(page) < 10
        question = page.locator("#list > li summary").first.inner_text().split(" %")[-1].strip()
        page.click("button[type=reset]")
        page.wait_for_function(
            f"document.querySelector('#found').textContent.startsWith('{every} ')"
        )
        page.fill("#search", question[:40].upper())
        assert 0 < total(page) < every
        page.fill("#search", "no row says this")
        assert total(page) == 0
        assert page.locator("#list > li").count() == 0


def test_a_reason_filters_what_was_rejected_for_it(chromium: Any, plain: Path) -> None:
    with Opened(chromium, plain) as page:
        page.select_option("#reason", index=1)
        tags = page.locator("#list .tag.rejected").all_inner_texts()
        assert tags
        assert len(set(tags)) == 1
        assert len(tags) == min(50, total(page))


def test_every_reason_has_an_example_that_leads_to_its_rows(
    chromium: Any, plain: Path, tmp_path: Path
) -> None:
    few = write_report(ReportRequest((plain.parent,), tmp_path / "few.html", rows=20))
    with Opened(chromium, few) as page:
        assert total(page) == 20
        reasons = page.locator("#reason option").evaluate_all("all => all.map(e => e.value)")[1:]
        page.get_by_text("Examples of what was rejected, by reason").click()
        buttons = page.locator("button[data-reason]")
        assert sorted({b.get_attribute("data-reason") for b in buttons.all()}) == reasons
        assert len(reasons) >= 2
        for button in buttons.all():
            button.click()
            assert 0 < total(page) < 20
            said = page.locator("#list .tag.rejected").all_inner_texts()
            assert set(said) == {f"rejected: {button.inner_text()}"}


def test_the_pages_of_the_list_can_be_turned(chromium: Any, plain: Path) -> None:
    with Opened(chromium, plain) as page:
        every = total(page)
        assert page.locator("#list > li").count() == 50
        assert page.is_disabled("#previous")
        page.click("#next")
        assert page.locator("#list > li").count() == every - 50
        assert page.is_disabled("#next")
        page.click("#previous")
        assert page.inner_text("#page") == "page 1 of 2"


def test_a_cell_of_the_heat_map_shows_its_rows_by_mouse_and_by_keyboard(
    chromium: Any, plain: Path
) -> None:
    with Opened(chromium, plain) as page:
        cell = page.locator(".heat button:not(.h0)").first
        label = cell.get_attribute("aria-label")
        accepted, rejected = map(int, re.findall(r"(\d+) (?:accepted|rejected)", label))
        cell.click()
        assert total(page) == accepted + rejected
        page.click("button[type=reset]")
        cell.focus()
        page.keyboard.press("Enter")
        assert total(page) == accepted + rejected
        assert page.evaluate("document.activeElement.id") == "rows"


def test_everything_can_be_reached_by_the_keyboard(chromium: Any, plain: Path) -> None:
    with Opened(chromium, plain) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.focus("#list > li summary")
        page.keyboard.press("Enter")
        page.locator("#list .body").wait_for()  # what a row holds is built a moment after it opens
        assert page.locator("#list .body").count() == 1
        tree = page.locator("details.tree summary")
        tree.focus()
        page.keyboard.press("Enter")
        page.locator("details.tree button.link").first.wait_for()


def test_twenty_thousand_rows_can_still_be_used(chromium: Any, plain: Path, tmp_path: Path) -> None:
    text = plain.read_text("utf-8")
    head, data, tail = re.split(
        r'(?<=id="data">)(.*?)(?=</script>)', text, maxsplit=1, flags=re.DOTALL
    )
    rows = json.loads(data)
    base = [{**row, "v": {**row["v"], "t": []}} for row in rows["rows"] if row["s"] == "accepted"]
    rows["rows"] = [{**base[i % len(base)], "n": i} for i in range(20_000)]
    big = tmp_path / "big.html"
    big.write_text(head + json.dumps(rows).replace("<", "\\u003c") + tail, "utf-8")
    with Opened(chromium, big) as page:
        assert total(page) == 20_000
        page.fill("#search", "creatinine")
        assert 0 < total(page) < 20_000
        assert page.locator("#list > li").count() == 50


def picture(page: Any, path: Path) -> None:
    """Draw the whole page; a browser that is short of time may refuse once."""
    for attempt in range(3):
        try:
            page.screenshot(path=path, full_page=True)
        except playwright.Error as error:
            if attempt == 2 or "Unable to capture" not in error.message:
                raise
        else:
            return


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_is_drawn_wide_and_narrow_in_light_and_dark(
    chromium: Any, plain: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with Opened(chromium, plain, **options) as page:
        picture(page, tmp_path / f"report-{width}-{scheme}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        back = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        bright = sum(map(int, re.findall(r"\d+", back)[:3]))
        assert (bright > 600) == (scheme == "light")
        for chart in page.locator("figure svg[role=img]").all():
            box = chart.bounding_box()
            assert box["width"] > 200
            assert box["height"] > 20
            sizes = chart.evaluate(
                "e => [...e.querySelectorAll('text')].map(t => parseFloat(getComputedStyle(t).fontSize))"
            )
            assert min(sizes) * box["width"] / chart.evaluate("e => e.viewBox.baseVal.width") > 9.5
            outside = chart.evaluate(
                "e => [...e.querySelectorAll('text')].map(t => t.getBBox())"
                ".filter(b => b.x < -1 || b.x + b.width > e.viewBox.baseVal.width + 1).length"
            )
            assert outside == 0
        words = page.locator(".heat tbody th").evaluate_all(
            "all => all.filter(e => e.getBoundingClientRect().width < 100).length"
        )
        assert words == 0


CONTRAST = """e => {
  const light = (rgb) => {
    const [r, g, b] = rgb.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let behind = e;
  while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
  const both = [getComputedStyle(e).color, getComputedStyle(behind).backgroundColor].map(light);
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_coloured_can_be_read_on_screen_and_on_paper(
    chromium: Any, plain: Path, scheme: str
) -> None:
    with Opened(chromium, plain, color_scheme=scheme) as page:
        page.evaluate(
            "document.querySelector('main').insertAdjacentHTML('beforeend', '<pre class=diff>"
            "<span class=add>+a</span><span class=del>-d</span><span class=head>@@</span></pre>')"
        )
        for media in ("screen", "print"):
            page.emulate_media(media=media, color_scheme=scheme)
            for what in (".tag.accepted", ".tag.rejected", ".diff span", "p.lead", ".by", "h1"):
                for one in page.locator(what).all()[:3]:
                    assert one.evaluate(CONTRAST) >= 4.5, (media, what)
        back = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert back == "rgb(255, 255, 255)"  # on paper, whatever the scheme
        kept = page.locator("h2").first.evaluate("e => getComputedStyle(e).breakAfter")
        assert kept == "avoid"


def test_a_telephone_shows_all_levels_and_the_cost(chromium: Any, plain: Path) -> None:
    with Opened(chromium, plain, viewport={"width": 400, "height": 860}) as page:
        for table in (".heat", ".figures"):
            last = page.locator(f"{table} thead th").last
            box = last.bounding_box()
            assert box["x"] + box["width"] <= 400
        heads = page.locator(".heat thead abbr").all_inner_texts()
        assert heads == ["Rem", "Und", "App", "Ana", "Eva", "Cre"]
        page.locator(".heat").evaluate("e => { e.style.width = '700px' }")
        page.locator(".scroll", has=page.locator(".heat")).evaluate("e => { e.scrollLeft = 200 }")
        first = page.locator(".heat tbody th").first.bounding_box()
        assert first["x"] >= 0  # the keyword stays in sight


def test_low_agreement_can_be_looked_for_and_a_row_traced_to_the_core(
    chromium: Any, plain: Path
) -> None:
    with Opened(chromium, plain) as page:
        page.select_option("#state", "accepted")
        page.fill("#most", "0.8")
        shares = [
            int(t.split()[0]) for t in page.locator("#list .tag:nth-child(3)").all_inner_texts()
        ]
        assert 0 < len(shares) < 60
        assert max(shares) <= 80
        page.fill("#most", "1")
        assert total(page) == 60
        bank = page.evaluate("JSON.parse(document.getElementById('data').textContent).banks[0]")
        grown = next(name for name, known in bank.items() if known["r"] and known["p"])
        page.locator("#search").fill(grown)
        row = page.locator("#list > li", has_text=re.compile(".")).first
        row.locator("summary").first.click()
        row.locator(".body").wait_for()
        said = page.evaluate(
            "([keyword]) => [...document.querySelectorAll('#list .body .note')].map(e => e.innerText)"
            ".find(t => t.startsWith('Keyword: ') && t.includes(' <- '))",
            [grown],
        )
        assert re.fullmatch(r"Keyword: .+ \((\w+), round \d+\) <- .+ \(core\)(; shown .+)?", said)


def test_two_runs_stand_beside_each_other(chromium: Any, plain: Path, tmp_path: Path) -> None:
    make(tmp_path / "other", 12)
    both = write_report(ReportRequest((plain.parent, tmp_path / "other"), tmp_path / "both.html"))
    with Opened(chromium, both, viewport={"width": 1000, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 1000
        for pair in ("h1", "#r0-funnel, #r1-funnel", "#r0-levels, #r1-levels", ".heat"):
            left, right = (e.bounding_box() for e in page.locator(pair).all())
            assert abs(left["y"] - right["y"]) < 2
            assert left["x"] + left["width"] <= right["x"]
        tree = page.locator("details.tree").last
        tree.locator("summary").click()
        tree.locator("button.link").first.click()
        assert page.input_value("#run") == "1"
        assert set(page.locator("#list .tag:nth-child(3)").all_inner_texts()) <= {"other"}


@contextmanager
def live(browser: Any, pages: list[str]) -> Iterator[Any]:
    """Open the live view of what stands first in `pages`, in a small window."""
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    sock.close()
    server: Any = SimpleNamespace(app=watch_app(lambda: pages[0], port), counts=None)
    with served(server, port=port):
        page = browser.new_page(viewport={"width": 900, "height": 600})
        wrong: list[str] = []
        page.on("pageerror", lambda e: wrong.append(str(e)))
        page.on("console", lambda m: wrong.append(m.text))
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate("window.mark = true")
        yield page
        assert page.evaluate("window.mark"), "the page was loaded anew"
        assert wrong == []
    page.locator("#live", has_text="does not answer").wait_for()
    page.close()


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the live pages of a run when it is young, and when it has grown."""
    folder = tmp_path_factory.mktemp("growing")
    for target in (12, 60):
        make(folder / str(target) / "run", target)
    requests = [ReportRequest((folder / str(target) / "run",)) for target in (12, 60)]
    return [report_page(request, refresh_s=1) for request in requests]


def until_new(page: Any) -> None:
    page.locator(".headline dd", has_text=re.compile(r"^\s*60\b")).first.wait_for()


def test_a_live_view_keeps_what_its_reader_does(chromium: Any, growing: list[str]) -> None:
    pages = growing[:1]
    with live(chromium, pages) as page:
        before = total(page)
        page.select_option("#level", "Apply")
        page.fill("#search", "the")
        page.locator("figure.chart details summary").first.click()
        row = page.locator("#list > li").first
        row.locator("summary").first.click()
        row.locator(".body details summary").first.click()
        page.focus("#search")
        page.evaluate("document.getElementById('search').setSelectionRange(1, 2)")
        row.evaluate("e => { e.mark = true; e.scrollIntoView() }")
        top = row.bounding_box()["y"]
        pages[0] = growing[1]
        until_new(page)
        assert int(page.inner_text("#found").split()[2]) > before
        assert page.input_value("#level") == "Apply"
        assert page.input_value("#search") == "the"
        assert page.evaluate("document.activeElement.id") == "search"
        assert page.evaluate("document.activeElement.selectionStart") == 1
        assert page.locator("figure.chart details").first.get_attribute("open") is not None
        assert row.evaluate("e => e.mark && e.querySelectorAll('details[open]').length") == 2
        assert abs(row.bounding_box()["y"] - top) < 3
        rows = page.locator("#list .tag:nth-child(2)").all_inner_texts()
        assert set(rows) == {"Apply"}


def test_a_live_view_keeps_focus_and_place_among_new_figures(
    chromium: Any, growing: list[str]
) -> None:
    pages = growing[:1]
    with live(chromium, pages) as page:
        cell = page.locator(".heat tbody button").nth(8)
        label = cell.get_attribute("aria-label").partition(":")[0]
        page.locator("details.tree summary").click()
        cell.focus()
        cell.evaluate("e => e.closest('tr').scrollIntoView()")
        title = page.locator("#votes")
        title.evaluate("e => e.scrollIntoView()")
        top = title.bounding_box()["y"]
        pages[0] = growing[1]
        until_new(page)
        focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused.startswith(label)
        assert page.locator("details.tree").get_attribute("open") is not None
        assert abs(page.locator("#votes").bounding_box()["y"] - top) < 3


def test_a_live_view_keeps_a_row_that_has_left_its_sample(
    chromium: Any, growing: list[str]
) -> None:
    pages = [growing[1]]
    with live(chromium, pages) as page:
        last = page.evaluate("JSON.parse(document.getElementById('data').textContent).rows.length")
        page.click("#next")
        row = page.locator("#list > li").last
        row.locator("summary").first.click()
        said = row.locator(".body").inner_text()
        pages[0] = growing[0]
        page.locator("#found", has_not_text=f" {last} ").wait_for()
        opened = page.locator("#list details[open] .body").first
        assert opened.inner_text() == said
