"""What a person sees of a compile: a progress line, the table at the end, and the manifest."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from ds2.runtime.compiling import CompileSession
    from optimizers.compile import Compiled, Job
    from optimizers.evaluating import Progress

EVERY_S = 0.2
SIDES = ("train", "val", "test")


class CompileWatcher:
    """Tells how far a compile is, on the stderr that there was when it was made.

    On a terminal one line is drawn over and over; elsewhere a line tells each phase and each better
    score.
    """

    def __init__(self, progress: Progress, *, quiet: bool) -> None:
        self._progress, self._quiet = progress, quiet
        self._stream: TextIO = sys.stderr
        self._drawn_s = 0.0
        self._phase, self._best = "", 0.0
        self._lock = threading.Lock()

    def told(self) -> None:
        """Draw what has changed; called from any thread, and quick."""
        if self._quiet:
            return
        now = self._progress
        with self._lock:
            news = now.phase != self._phase or (now.best or 0.0) > self._best
            due = self._stream.isatty() and time.monotonic() - self._drawn_s >= EVERY_S
            if news or due:
                self._phase, self._best = now.phase, max(self._best, now.best or 0.0)
                self._drawn_s = time.monotonic()
                start, end = ("\r\x1b[2K", "") if self._stream.isatty() else ("", "\n")
                self._stream.write(f"{start}{line(now)}{end}")
                self._stream.flush()

    def noticed(self, words: str) -> None:
        """Say that an endpoint is down, or answers again; called from any thread."""
        if self._quiet:
            return
        with self._lock:
            start = "\r\x1b[2K" if self._stream.isatty() else ""
            self._stream.write(f"{start}{words.replace('Run paused', 'Paused', 1)}\n")
            self._stream.flush()

    def ended(self) -> None:
        """End the line."""
        if not self._quiet and self._stream.isatty():
            self._stream.write("\n")
            self._stream.flush()


def line(progress: Progress) -> str:
    """Return the progress as one line: phase, outcomes judged, prompts tried, the best so far."""
    parts = [progress.phase]
    if progress.judged:
        parts.append(f"{progress.judged:,} outcomes of {progress.candidates} prompts")
    if progress.plain is not None:
        best = "-" if progress.best is None else f"{progress.best:.3f}"
        parts.append(f"best so far {best} (plain {progress.plain:.3f})")
    return ", ".join(parts)


def manifest(
    job: Job,
    compiled: Compiled,
    session: CompileSession,
    identity: dict[str, Any],
    wall_s: float,
    judge_program: Path | None = None,
) -> dict[str, Any]:
    """Return what `manifest.json` says; what is unknown, such as a price, is null."""
    from optimizers.devsets import leaks, split_devset
    from optimizers.scores import paired

    usage = session.usage()
    devset, gain, judges = job.devset, compiled.gain, job.judge_prompts
    return {
        "task": job.program.task.name,
        "stage": job.stage,
        "optimizer": job.optimizer,
        "seed": job.seed,
        "models": {part: [b.model, b.dialect] for part, b in session.backends.items()},
        "devset": None
        if devset is None
        else {
            "source": devset.source,
            "id": devset.id,
            "rows": len(devset.rows),
            "labelled": devset.labelled,
            "self_labelled": bool(devset.labelled_by) or None,
            "labelled_by": devset.labelled_by or None,
            "leaks_between_sides": list(leaks(split_devset(devset.rows))),
        },
        "examples": dict(zip(SIDES, compiled.sizes, strict=True)),
        "different_examples": dict(zip(SIDES, compiled.different, strict=True)),
        "metric": {"name": compiled.metric, "id": compiled.metric_id},
        "judge_program": None
        if judges is None
        else {"source": str(judge_program), "id": judges.id, "judges": sorted(judges.held)},
        "signatures": compiled.program.signatures_hash(),
        "prompts": {
            "before": job.program.fingerprint(),
            "after": compiled.program.fingerprint(),
        },
        "score": {
            "before": compiled.before.score,
            "after": compiled.after.score,
            "difference": None if gain is None else gain.value,
            "interval_95": None if gain is None else [gain.low, gain.high],
            "gain_shown": compiled.gained,
            "unscored_in_search": compiled.unscored,
            "unscored_before": compiled.before.unscored,
            "unscored_after": compiled.after.unscored,
            "pairs": paired(compiled.before, compiled.after),
            "precision": compiled.precision,
        },
        "search": {"width": compiled.price.width, "candidates": compiled.candidates},
        "calls": sum(u.calls for u in usage.values()),
        "new_calls": sum(u.calls for u in usage.values()) - session.logged,
        "tokens": {
            "input": sum(u.input_tokens for u in usage.values()),
            "output": sum(u.output_tokens for u in usage.values()),
            "calls_unreported": sum(u.unreported for u in usage.values()),
        },
        "usd": session.cost_usd(),
        "by_part": {part: u.calls for part, u in usage.items()},
        "wall_s": round(wall_s, 3),
        "notices": list(compiled.notices),
        "identity": identity,
    }


def print_compiled(job: Job, compiled: Compiled, said: dict[str, Any], folder: str) -> None:
    """Print the closing table on stdout, what changed, and what a reader should know."""
    for name, value, note in _lines(job, compiled, said):
        typer.echo(f"{name:<22} {value:>18}   {note}".rstrip())
    for notice in compiled.notices:
        typer.echo(notice)
    typer.echo(verdict(compiled))
    typer.echo(f"Prompts: {folder}/program.json; what changed: {folder}/prompts.diff")


def verdict(compiled: Compiled) -> str:
    """Return whether a gain was shown, in one sentence."""
    if compiled.gain is None:
        return "No gain was shown: too little could be scored."
    if compiled.gained:
        return "A gain was shown: the interval lies above 0."
    if not compiled.above_floor:
        return "No gain was shown: the precision is below its floor."
    if compiled.gain.high < 0:
        return "A loss was shown: the interval lies below 0. Keep the prompts you began with."
    if compiled.gain.low == compiled.gain.high:
        return "No gain was shown: no example came out otherwise."
    return "No gain was shown: the interval holds 0. A larger dev set makes it narrower."


def _lines(job: Job, compiled: Compiled, said: dict[str, Any]) -> list[tuple[str, str, str]]:
    before, after, gain = compiled.before.score, compiled.after.score, compiled.gain
    tokens = said["tokens"]["input"] + said["tokens"]["output"]
    parts = ", ".join(f"{part} {calls:,}" for part, calls in said["by_part"].items())
    shown = "-" if gain is None else f"{gain.value:+.3f}"
    interval = "" if gain is None else f"95 % interval {gain.low:+.3f} to {gain.high:+.3f}"
    rows = [
        ("stage", job.stage, f"{job.optimizer}, {compiled.candidates} prompts tried"),
        ("examples", str(sum(compiled.sizes)), _sides(compiled)),
        ("score before", _number(before), f"held-out: {compiled.metric}"),
        ("score after", _number(after), f"{job.repeats} draws of each test example"),
        ("difference", shown, interval),
    ]
    if compiled.precision is not None:
        ratios = [_per_thousand(side) for side in (compiled.before, compiled.after)]
        note = f"{ratios[0]} rows for 1,000 tokens before"
        rows.append(("rows for 1,000 tokens", ratios[1], note))
        rows.append(("precision", f"{compiled.precision:.3f}", "of the rows after, by the check"))
    rows += [
        ("calls", f"{said['calls']:,}", f"{parts}; {said['new_calls']:,} made now"),
        ("tokens", f"{tokens:,}", _price(said["usd"])),
        ("time", f"{said['wall_s']:.1f} s", ""),
    ]
    return rows


def _sides(compiled: Compiled) -> str:
    said = ", ".join(f"{name} {n}" for name, n in zip(SIDES, compiled.sizes, strict=True))
    if compiled.different == compiled.sizes:
        return said
    return f"{said}; near-duplicates counted once {', '.join(map(str, compiled.different))}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _price(usd: float | None) -> str:
    return "price unknown" if usd is None else f"{usd:.4f} USD"


def _per_thousand(side: Any) -> str:
    right, tokens = side.part("right"), side.part("tokens")
    return f"{1000 * right / tokens:.3f}" if tokens else "-"
