"""Voting and reading on recorded answers of real models to GSM8K.

    python -m benchmarks.voting [--limit 100] [--fit] [--json]

It draws by `programs.voting.SelfConsistency` from the replay engine, as a run does from a model, and
prints yield (accepted / questions), precision (accepted and right / accepted, with a 95 % Wilson
interval) and samples used, for k = 3, 5, 10 and four thresholds; the frontier of all policies
(`frontier.py`; with `--fit` on one half, calibrated ones fitted to the other); how often a reading
of a single reply agrees with its recorder's flag, beside two plain rules; and how many replies are
read in a second. The much weaker `gpt3-6b_*` models are left out unless `--exclude ''` asks for them.

The thresholds share one vote for each k: a threshold is applied to the counts after the draws, so
the same counts give the verdict of each. Disagreements with a flag are classed in
`reading_classes.tsv` (id of the reply, one word: `recorder` where the flag is wrong or its rule is
another, `ours` where our reading is wrong).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle, islice
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import dspy

from benchmarks import frontier
from ds2.engines.lm import logged_lm
from ds2.engines.replay import recorded_backend
from optimizers.recorded import read_recording, split
from programs.answers import AnswerDraw
from programs.equivalence import Reading, read_answer
from programs.stopping import Counts, fixed
from programs.voting import SelfConsistency
from signatures.errors import DS2Error
from signatures.recorded import RecordedQuestion, RecordedSample, read_questions
from signatures.records import Vote, content_id
from signatures.task import AnswerFormat, AnswerKind, TaskSpec, load_task

DRAWS = (3, 5, 10)
THRESHOLDS = (0.5, 0.6, 0.7, 0.9)
WEAK = "gpt3-6b_*"
CLASSES = Path(__file__).with_name("reading_classes.tsv")
_AT_ONCE = 32
_Z = 1.96


class Point(NamedTuple):
    """What one policy does to the questions; the names are those of `--json`."""

    policy: str
    yielded: float
    precision: float | None
    precision_low: float | None
    precision_high: float | None
    samples: float
    samples_per_accepted: float | None
    n: int

    def as_json(self) -> dict[str, Any]:
        """Return the point with `yield` under its own name."""
        return {("yield" if k == "yielded" else k): v for k, v in self._asdict().items()}


class Reply(NamedTuple):
    """One recorded reply with what it is compared to."""

    question: str
    gold: str
    output: RecordedSample

    @property
    def id(self) -> str:
        """Return the id under which a disagreement is classed."""
        return content_id([self.question, self.output.model, self.output.text])


async def take_votes(
    records: Sequence[RecordedQuestion], task: TaskSpec, k: int, seed: int
) -> list[Vote]:
    """Return one vote of k draws for each question."""
    lm = logged_lm(recorded_backend(records, seed=seed), stage="answers")
    vote = SelfConsistency(AnswerDraw(task), policy=fixed(k, THRESHOLDS[0]), answer=task.answer)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(record: RecordedQuestion) -> Vote:
        async with gate:
            return (await vote.acall(question=record.question)).vote

    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)
    with dspy.context(lm=lm, adapter=adapter, trace=None, disable_history=True):
        return list(await asyncio.gather(*(one(record) for record in records)))


def judge(
    records: Sequence[RecordedQuestion],
    votes: Sequence[Vote],
    fmt: AnswerFormat,
    k: int,
    threshold: float,
) -> Point:
    """Return yield, precision and cost of `fixed(k, threshold)` on votes of k draws."""
    policy = fixed(k, threshold)
    accepted = right = 0
    for record, vote in zip(records, votes, strict=True):
        cast = tuple(count for _, count in vote.counts)
        if policy.decide(Counts(cast, unreadable=vote.draws - sum(cast))).accepted:
            accepted += 1
            winner = read_answer(fmt, typed=vote.winner, question=record.question)
            right += winner.key == read_answer(fmt, typed=record.gold, question=record.question).key
    drawn = sum(vote.draws for vote in votes)
    low, high = wilson(right, accepted)
    return Point(
        policy.spec,
        accepted / len(records),
        right / accepted if accepted else None,
        low,
        high,
        drawn / len(records),
        drawn / accepted if accepted else None,
        len(records),
    )


def wilson(right: int, total: int) -> tuple[float | None, float | None]:
    """Return the 95 % Wilson interval of a share; None without any."""
    if not total:
        return None, None
    share, spread = right / total, _Z * _Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * sqrt(share * (1 - share) / total + spread / total / 4) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def ours(fmt: AnswerFormat) -> Callable[[Reply], bool]:
    """Return our reading as a rule: is the reply right?"""

    def is_right(reply: Reply) -> bool:
        gold = read_answer(fmt, typed=reply.gold, question=reply.question)
        return read_reply(fmt, reply).key == gold.key

    return is_right


def read_reply(fmt: AnswerFormat, reply: Reply) -> Reading:
    """Return our reading of a reply, salvaged from its raw text."""
    return read_answer(fmt, typed=None, text=reply.output.text, question=reply.question)


def last_number(reply: Reply) -> bool:
    """The plain rule: the last number in the last box, else in the text, compared as a float."""
    boxes = re.findall(r"\\boxed\{([^\n]*?)\}", reply.output.text)
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", boxes[-1] if boxes else reply.output.text)
    if not found:
        return False
    return float(found[-1].replace(",", "")) == float(reply.gold.replace(",", ""))


def first_brace(reply: Reply) -> bool:
    """After the paper's code: a box up to its first closing brace, else the answer line, as a string."""
    boxes = re.findall(r"\\boxed\{(.*?)\}", reply.output.text)
    lines = re.findall(
        r"^(?:A|Answer|final answer): *(.+)$", reply.output.text, re.MULTILINE | re.IGNORECASE
    )
    answer = boxes[-1] if boxes else lines[-1] if lines else ""
    return answer.strip(" .$").replace(",", "") == reply.gold.replace(",", "")


def agreement(rule: Callable[[Reply], bool], replies: Sequence[Reply]) -> float:
    """Return the share of replies on which a rule says what the recorder's flag says."""
    return sum(rule(reply) == reply.output.correct for reply in replies) / len(replies)


def classes() -> dict[str, str]:
    """Return the class of each disagreement that was looked at, by the id of its reply."""
    lines = CLASSES.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if line and not line.startswith("#"))


TYPICAL = (
    (
        "number",
        AnswerFormat(kind=AnswerKind.NUMBER),
        ("42", "$1,234.50", "12 inches", r"\frac{3}{4}", "50%"),
    ),
    (
        "choice",
        AnswerFormat(kind=AnswerKind.CHOICE, options=(4,)),
        ("C", "(B)", "D. beta", "the answer is A"),
    ),
    (
        "label",
        AnswerFormat(kind=AnswerKind.LABEL, labels=("yes", "no", "maybe")),
        ("Yes.", "maybe", "No, so"),
    ),
    (
        "expression",
        AnswerFormat(kind=AnswerKind.EXPRESSION),
        (r"\frac{1}{2}", r"2\sqrt{3}", "(1,2]", "x=3"),
    ),
)


def rates(fmt: AnswerFormat, replies: Sequence[Reply], count: int = 10_000) -> dict[str, float]:
    """Return readings a second: of whole recorded replies, and of typed fields by format."""
    texts = list(islice(cycle(replies), count))
    measured = {"number, whole replies": _rate(lambda: [read_reply(fmt, r) for r in texts], count)}
    options = ("alpha", "beta", "gamma", "delta")
    for name, kind, examples in TYPICAL:
        given = options if name == "choice" else ()
        typed = partial(_read_typed, kind, list(islice(cycle(examples), count)), given)
        measured[f"{name}, typed"] = _rate(typed, count)
    return measured


def _read_typed(fmt: AnswerFormat, answers: Sequence[str], options: Sequence[str]) -> None:
    for answer in answers:
        read_answer(fmt, typed=answer, options=options)


def _rate(work: Callable[[], Any], count: int) -> float:
    started = time.process_time()
    work()
    return count / (time.process_time() - started)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return everything that the benchmark prints."""
    task = load_task("gsm8k")
    records = read_questions(args.file, models=args.models, exclude=args.exclude or None)
    records = records[: args.limit]
    points = []
    for k in DRAWS:
        votes = asyncio.run(take_votes(records, task, k, args.seed))
        points += [judge(records, votes, task.answer, k, threshold) for threshold in THRESHOLDS]
    whole = read_recording(records, task.answer, source=str(args.file))
    fitted, judged = split(whole) if args.fit else (None, whole)
    replies = [Reply(r.question, r.gold, o) for r in records for o in r.samples]
    flagged = [reply for reply in replies if reply.output.correct is not None]
    return {
        "file": Path(args.file).name,
        "excluded": args.exclude,
        "questions": len(records),
        "policies": [point.as_json() for point in points],
        "frontier": frontier.measure(judged, fitted, repeats=20, resamples=400),
        "reading": reading(task.answer, flagged) if flagged else None,
        "readings_per_second": rates(task.answer, replies),
    }


def reading(fmt: AnswerFormat, replies: Sequence[Reply]) -> dict[str, Any]:
    """Return how three rules agree with the flags, and whose our disagreements are."""
    right = ours(fmt)
    known = classes()
    against = [reply for reply in replies if right(reply) != reply.output.correct]
    blamed = Counter(known.get(reply.id, "unclassed") for reply in against)
    return {
        "replies": len(replies),
        "reading_agreement": 1 - len(against) / len(replies),
        "last_number_agreement": agreement(last_number, replies),
        "first_brace_agreement": agreement(first_brace, replies),
        "unreadable": sum(read_reply(fmt, reply).key is None for reply in replies),
        "disagreements": dict(sorted(blamed.items())),
        "ours_or_unclassed": (len(against) - blamed["recorder"]) / len(replies),
        "unclassed": [_shown(fmt, reply) for reply in against if reply.id not in known],
    }


def _shown(fmt: AnswerFormat, reply: Reply) -> dict[str, Any]:
    read = read_reply(fmt, reply)
    return {
        "id": reply.id,
        "model": reply.output.model,
        "gold": reply.gold,
        "flag": reply.output.correct,
        "read": read.answer or read.problem,
        "end": reply.output.text[-120:],
    }


def table(result: dict[str, Any]) -> Iterable[str]:
    """Yield the lines that people are shown."""
    yield f"{result['questions']} questions; left out: {result['excluded'] or 'nothing'}"
    yield f"{'policy':<16}{'yield':>8}{'precision':>11}  {'95 % interval':<16}{'samples':>8}{'per row':>9}"
    for point in result["policies"]:
        if point["precision"] is None:
            yield f"{point['policy']:<16}{0:>8.3f}  nothing accepted"
            continue
        interval = f"{point['precision_low']:.3f} to {point['precision_high']:.3f}"
        yield (
            f"{point['policy']:<16}{point['yield']:>8.3f}{point['precision']:>11.3f}  {interval:<16}"
            f"{point['samples']:>8.1f}{point['samples_per_accepted']:>9.2f}"
        )
    yield ""
    yield from frontier.table(result["frontier"])
    if found := result["reading"]:
        yield ""
        yield f"Readings that agree with the recorder's flag, of {found['replies']}:"
        for name in ("reading", "last_number", "first_brace"):
            yield f"  {name:<12}{found[f'{name}_agreement']:>8.2%}"
        yield f"  disagreements by class: {found['disagreements']}; unreadable: {found['unreadable']}"
        yield f"  ours or unclassed: {found['ours_or_unclassed']:.3%} of all readings"
        for reply in found["unclassed"]:
            yield f"  unclassed {reply}"
    yield ""
    yield "Readings a second of one core:"
    for name, rate in result["readings_per_second"].items():
        yield f"  {name:<24}{rate:>10,.0f}"


def main() -> int:
    """Run the benchmark; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = os.environ.get("DS2_SHARED_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--file", default=Path(root) / "gsm8k" / "replay.jsonl.gz")
    parser.add_argument("--models", help="keep the models of this pattern")
    parser.add_argument("--exclude", default=WEAK, help="leave out the models of this pattern")
    parser.add_argument("--limit", type=int, help="take only the first questions")
    parser.add_argument("--seed", type=int, default=0, help="orders the recorded replies")
    parser.add_argument("--fit", action="store_true", help="add calibrated policies")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    if args.limit is not None and args.limit < 1:
        parser.error("--limit must be at least 1")
    try:
        result = measure(args)
    except DS2Error as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(result, indent=1) if args.json else "\n".join(table(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
