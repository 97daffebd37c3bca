"""`ds2 stats` and `ds2 diff`: the figures of a run, and of two side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ds2.cli.plain import one_line

if TYPE_CHECKING:
    from rich.console import Console

    from ds2.report.figures import Count, Figures
    from ds2.runtime.past import PastRun

_SHOWN_KEYWORDS = 40
_SHOWN_RETIRED = 10
_KEYWORD = 12  # the least room for a keyword


def stats_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/gsm8k-60.")],
    embedding: Annotated[
        str | None,
        typer.Option(
            metavar="lexical|FOLDER",
            help="Also measure diversity in an embedding: `lexical`, or a model2vec folder.",
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=2, help="Most rows whose diversity is measured.")
    ] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a run covers: keywords by level, agreement, balance, lengths, diversity.

    Example: ds2 stats runs/gsm8k-60 --embedding lexical
    """
    past, figures = _read(run, embedding, sample)
    if as_json:
        typer.echo(json.dumps(figures.as_dict(), ensure_ascii=False, indent=2))
        return
    console = _console()
    _levels(console, figures)
    _coverage(console, figures)
    _lines(console, past, figures)


def diff_command(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    second: Annotated[Path, typer.Argument(metavar="OTHER", help="Folder of another one.")],
    embedding: Annotated[
        str | None,
        typer.Option(
            metavar="lexical|FOLDER",
            help="Also measure diversity in an embedding: `lexical`, or a model2vec folder.",
        ),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=2, help="Most rows of each whose diversity is measured.")
    ] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what two runs were asked differently, and what came of it.

    Example: ds2 diff runs/gsm8k-60 runs/gsm8k-60-seed1
    """
    from ds2.runtime.comparison import compare

    found = compare(first, second, embedding=embedding, sample=sample)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=2))
        return
    console = _console()
    names = (one_line(first.name) or "first", one_line(second.name) or "second")
    _table(console, "asked", names, found.settings or [("", "the same", "the same")])
    _table(console, "figure", names, found.figures)
    console.print(
        f"{found.shared_questions:,} questions and {found.shared_rows:,} whole rows are in both."
    )


def _read(run: Path, embedding: str | None, sample: int) -> tuple[PastRun, Figures]:
    from ds2.runtime.comparison import figures_of
    from ds2.runtime.past import read_run

    past = read_run(run)
    return past, figures_of(past, embedding=embedding, sample=sample)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False)


def _levels(console: Console, figures: Figures) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("level")
    for name in ("accepted", "rejected", "share", "agreement", "draws a vote"):
        table.add_column(name, justify="right")
    for level in figures.levels:
        table.add_row(
            level.level,
            f"{level.accepted:,}",
            f"{level.rejected:,}",
            _share(level.accept_share),
            _number(level.mean_agreement, 2),
            _number(level.mean_draws, 1),
        )
    console.print(table)


def _coverage(console: Console, figures: Figures) -> None:
    from rich.table import Table

    counts = figures.coverage.items()
    ordered = sorted(counts, key=lambda item: sum(c.accepted for c in item[1].values()))
    lines = []
    for keyword, by_level in ordered[:_SHOWN_KEYWORDS]:
        cells = [by_level[level.level] for level in figures.levels]
        decided = sum(c.accepted + c.rejected for c in cells)
        share = sum(c.accepted for c in cells) / decided if decided else None
        lines.append((one_line(keyword), cells, _share(share)))
    heads, told = _fitting(console.width, [level.level for level in figures.levels], lines)
    widths = _widths(heads, told)
    # A name is cut with a sign, a figure never.
    room = max(1, min(28, console.width - sum(widths) - len(widths)))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("keyword", overflow="ellipsis", no_wrap=True, max_width=room)
    for head, width in zip(heads, widths, strict=True):
        table.add_column(head, justify="right", no_wrap=True, min_width=width)
    for (keyword, _, _), row in zip(lines, told, strict=True):
        table.add_row(keyword, *row)
    both = ", -n turned down" if any("-" in cell for row in told for cell in row[:-1]) else ""
    console.print(f"\nRows by keyword (a pair counts for both){both}, thinnest first:")
    console.print(table)
    if len(ordered) > _SHOWN_KEYWORDS:
        console.print(f"... and {len(ordered) - _SHOWN_KEYWORDS} more keywords (--json has all).")


def _fitting(
    width: int, levels: Sequence[str], lines: Sequence[tuple[str, Sequence[Count], str]]
) -> tuple[list[str], list[list[str]]]:
    """Return heads and cells that leave a keyword room: in full, with levels cut, then accepted alone."""
    short = [level[:3] for level in levels]
    for names, both in ((levels, True), (short, True), (short, False)):
        heads = [*names, "yield"]
        told = [
            [*(_counted(cell, both=both) for cell in cells), share] for _, cells, share in lines
        ]
        widths = _widths(heads, told)
        if sum(widths) + len(widths) + _KEYWORD <= width:
            break
    return heads, told


def _widths(heads: Sequence[str], told: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(heads, *told, strict=True)]


def _counted(cell: Count, *, both: bool) -> str:
    return f"{cell.accepted:,}" + (f" -{cell.rejected:,}" if both and cell.rejected else "")


def _lines(console: Console, past: PastRun, figures: Figures) -> None:
    decided = figures.accepted + sum(figures.rejected.values())
    console.print(
        f"\naccepted     {figures.accepted:,} of {past.config.target:,} wanted, {decided:,} decided"
    )
    reasons = ", ".join(
        f"{one_line(reason)} {count:,}" for reason, count in figures.rejected.items()
    )
    console.print(f"rejected     {reasons or 'none'}")
    if retired := past.summary.get("retired"):
        keywords = "keyword" if len(retired) == 1 else "keywords"
        console.print(f"retired      {len(retired):,} {keywords} by the collapse alarm")
        for keyword, why in list(retired.items())[:_SHOWN_RETIRED]:
            console.print(f"             {one_line(keyword)}: {one_line(why)}")
    stops = ", ".join(f"{one_line(reason)} {count:,}" for reason, count in figures.stops.items())
    console.print(f"votes ended  {stops or 'none'}")
    console.print(f"question     {_lengths(figures.question_words)} words")
    console.print(f"response     {_lengths(figures.response_words)} words")
    if figures.balance is not None:
        answers = ", ".join(f"{one_line(a)} {n:,}" for a, n in figures.balance.answers[:26])
        p = figures.balance.p
        even = "" if p is None else f"  chi-square {figures.balance.chi_square:.1f}, p = {p:.2g}"
        console.print(f"answers      {answers}{even}")
    for name, texts in (("questions", figures.instructions), ("responses", figures.responses)):
        console.print(
            f"diversity    {name}, n = {texts.n:,}: distinct-1 {_number(texts.distinct_1, 3)}, "
            f"distinct-2 {_number(texts.distinct_2, 3)}, compression "
            f"{_number(texts.compression_ratio, 2)}, repeated 4-grams {_share(texts.repeated_4grams)}"
        )
    if figures.embedded is not None:
        seen = figures.embedded
        console.print(
            f"embedding    {one_line(seen.embedding)}, n = {seen.n:,}: mean cosine "
            f"{_number(seen.mean_cosine, 3)}, Vendi {_number(seen.vendi, 1)}"
        )


def _table(
    console: Console, head: str, names: tuple[str, str], lines: Iterable[tuple[str, Any, Any]]
) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(head)
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for name, one, other in lines:
        table.add_row(one_line(name), _shown(one), _shown(other))
    console.print(table)
    console.print()


def _shown(value: Any) -> str:
    from ds2.report.shown import words_of

    if isinstance(value, float):
        return f"{value:.3f}"
    return (
        f"{value:,}"
        if isinstance(value, int) and not isinstance(value, bool)
        else one_line(words_of(value))
    )


def _lengths(quantiles: tuple[int, ...]) -> str:
    if not quantiles:
        return "-"
    least, low, median, high, most = quantiles
    return f"median {median}, 10 to 90 % {low} to {high}, all {least} to {most}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
