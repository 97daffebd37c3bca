"""`ds2 explain`: one row's whole story, accepted or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

SHOWN = 600  # characters of a prompt or a reply, without --full


def explain_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run: runs/gsm8k-60.")],
    row: Annotated[
        str,
        typer.Argument(metavar="ROW", help="A row's id or its beginning, or a unit's place."),
    ],
    full: Annotated[bool, typer.Option("--full", help="Show prompts and replies whole.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, always whole.")] = False,
) -> None:
    """Show one row's whole story: keywords, prompts, samples, votes, screens; rejected units too.

    Example: ds2 explain runs/medqa-1000 37
    """
    import json

    from ds2.runtime.story import read_story

    story = read_story(run, row)
    if as_json:
        # Escaped beyond ASCII: a terminal may be what reads it.
        typer.echo(json.dumps(story, indent=2))
        return
    _Page(None if full else SHOWN).show(story)


class _Page:
    """A story as a page of text; all that others wrote goes through `plain`."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit

    def show(self, story: Mapping[str, Any]) -> None:
        """Print the page."""
        self._console = _console()
        self._title(story)
        self._keywords(story)
        self._writer(story)
        self._vote(story)
        self._screens(story)
        if story["response"] is not None:
            self._head("Response")
            self._text(story["response"])

    def _title(self, story: Mapping[str, Any]) -> None:
        name = f"row {story['row']}" if story["row"] else "no row"
        self._line(f"Unit {story['place']} of {story['run']}: {story['state']}, {name}", "bold")
        rejected = story["rejected"]
        if rejected is not None:
            reason = rejected["reason"].replace("_", " ")
            self._line(f"Rejected by the {rejected['stage']}: {reason}. {rejected['detail']}")
            for name, value in (rejected["evidence"] or {}).items():
                if value != "":
                    self._line(f"{name.replace('_', ' ')}: {value}", "dim")
        if story["state"] == "surplus":
            self._line("Its level was full when its turn came.")
        if story["state"] == "undecided":
            self._line("The run has not decided it: it is under way, or the run stopped before.")

    def _keywords(self, story: Mapping[str, Any]) -> None:
        self._head("Keywords and level")
        visit = f", visit {story['visit']} of this cell" if story["visit"] else ""
        self._line(f"level: {story['level'] or 'unknown'}{visit}")
        for keyword in story["keywords"]:
            self._line(f"keyword: {_lineage(keyword)}")

    def _writer(self, story: Mapping[str, Any]) -> None:
        self._head("Writing the instruction")
        for call in story["writer"]:
            self._call(call)
        if not story["writer"]:
            self._line("No reply is logged.")
        written = story["instruction"]
        if written is not None:
            self._line("instruction, as it was read:", "bold")
            parts = [written["context"], written["question"], *written["options"]]
            self._text("\n".join(part for part in parts if part), whole=True)

    def _vote(self, story: Mapping[str, Any]) -> None:
        vote, unused = story["vote"], story["unused_answers"]
        self._head("Vote")
        if vote is None:
            self._line("There was none.")
        else:
            self._samples(vote)
            self._outcome(vote)
        if unused:
            self._line(f"{unused} more answers were drawn and took part in no vote.")
        for call in story["judge"]:
            self._call(call)

    def _samples(self, vote: Mapping[str, Any]) -> None:
        sent = next((s["sent"] for s in vote["samples"] if s["sent"]), None)
        if sent is not None:
            self._call({**sent, "text": None})
        for sample in vote["samples"]:
            warm = "" if sample["temperature"] is None else f" at {sample['temperature']:g}"
            said = f"answer {sample['answer']}" if sample["answer"] is not None else "no answer"
            why = f", unreadable: {sample['unreadable']}" if sample["unreadable"] else ""
            read = "" if sample["parsed"] else ", out of the raw text"
            key = "" if sample["key"] is None else f", key {sample['key']}"
            call = f", call {sample['call']}" if sample["call"] else ""
            self._line(f"sample {sample['number']}{warm}: {said}{key}{why}{read}{call}", "bold")
            if sent and sample["sent"] and sample["sent"]["prompt"] != sent["prompt"]:
                self._prompt(sample["sent"])  # such as one that was asked again with the reason
            self._text(sample["sent"]["text"] if sample["sent"] else sample["reasoning"])

    def _outcome(self, vote: Mapping[str, Any]) -> None:
        self._line("votes", "bold")
        for group in vote["groups"]:
            numbers = ", ".join(map(str, group["samples"]))
            self._line(f"  {group['votes']} x {group['answer']} (samples {numbers})")
        unread = sum(sample["answer"] is None for sample in vote["samples"])
        if unread:
            self._line(f"  {unread} without an answer")
        verdict = "accepted" if vote["accepted"] else "not accepted"
        low, high = vote["agreement_low"], vote["agreement_high"]
        self._line(
            f"{verdict} by {vote['policy'] or 'the policy'} after {vote['draws']} draws "
            f"({vote['reason'].replace('_', ' ')}): agreement {vote['agreement']:.2f} "
            f"[{low:.2f}, {high:.2f}]"
        )
        if vote["confidence"] is not None:
            self._line(f"probability that the winner is right: {vote['confidence']:.3f}")
        if vote["response"] is not None:
            self._line(f"the response is that of sample {vote['response']}")

    def _screens(self, story: Mapping[str, Any]) -> None:
        self._head("Screens")
        for screen in story["screens"]:
            self._line(f"{screen['screen']}: {screen['verdict']}. {screen['detail']}".rstrip())
        if not story["screens"]:
            self._line("This run screens nothing.")

    def _call(self, call: Mapping[str, Any]) -> None:
        options = ", ".join(f"{name} {value}" for name, value in call["options"].items())
        self._line(f"{call['stage']} asked {call['model'] or 'the model'} with {options}", "bold")
        self._prompt(call)
        if call["text"] is not None:
            tokens = "" if call["output_tokens"] is None else f", {call['output_tokens']} tokens"
            self._line(f"reply ({call['finish_reason']}{tokens}, call {call['key']}):", "dim")
            self._text(call["text"])

    def _prompt(self, call: Mapping[str, Any]) -> None:
        for message in call["prompt"] or ():
            self._line(f"{message['role']}:", "dim")
            self._text(message["content"])

    def _head(self, text: str) -> None:
        self._console.print()
        self._console.print(text, style="bold cyan", markup=False, highlight=False)

    def _line(self, text: str, style: str = "") -> None:
        from ds2.cli.plain import one_line

        indent = "  " if text.startswith("  ") else ""
        self._console.print(
            indent + one_line(text),
            style=style or None,
            markup=False,
            highlight=False,
            emoji=False,
            soft_wrap=True,
        )

    def _text(self, text: str, *, whole: bool = False) -> None:
        from ds2.cli.plain import plain

        shown = text.strip() if whole else _shortened(text.strip(), self._limit)
        for line in (plain(shown) or "(nothing)").split("\n"):
            self._console.print(
                f"    {line}", markup=False, highlight=False, emoji=False, soft_wrap=True
            )


def _shortened(text: str, limit: int | None) -> str:
    """Return the beginning and the end of a long text, where its task and its form stand."""
    if limit is None or len(text) <= limit:
        return text
    end = limit // 3
    left_out = f"[... of {len(text):,} characters; --full shows all ...]"
    return f"{text[: limit - end].rstrip()}\n{left_out}\n{text[-end:].lstrip()}"


def _lineage(keyword: Mapping[str, Any]) -> str:
    """Return a keyword and one line of its ancestors, down to a core keyword."""
    if keyword["origin"] is None:
        return f"{keyword['text']} (not in keywords.json)"
    by_text: dict[str, Mapping[str, Any]] = {a["text"]: a for a in keyword["ancestors"]}
    steps: list[Mapping[str, Any]] = [keyword]
    seen = {keyword["text"]}
    while parent := _parent(steps[-1]["parents"], by_text, seen):
        seen.add(parent["text"])
        steps.append(parent)
    others = len(by_text) - len(steps) + 1
    more = f" (and {others} more shown on the way)" if others else ""
    return " <- ".join(map(_step, steps)) + more


def _parent(
    parents: Sequence[str], by_text: Mapping[str, Mapping[str, Any]], seen: set[str]
) -> Mapping[str, Any] | None:
    return next((by_text[text] for text in parents if text in by_text and text not in seen), None)


def _step(keyword: Mapping[str, Any]) -> str:
    passage = f", passage {keyword['passage_id']}" if keyword["passage_id"] else ""
    round_ = f", round {keyword['round']}" if keyword["round"] else ""
    return f"{keyword['text']} ({keyword['origin']}{round_}{passage})"


def _console() -> Console:
    from rich.console import Console

    return Console()
