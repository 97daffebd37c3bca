"""Tuning a vote on recorded answers: searched on one half, judged on the other.

    python -m benchmarks.tuning [--trials 1000] [--splits 4] [--like "curtailed(5, 0.5)"] [--json]

Questions are split in two by a hash of their text. A study of `optimizers.tuning` searches policies on
the first half for the cheapest (samples an accepted row) that is at least as precise there as the vote
of the `paper` preset, `curtailed(5, 0.5)`, or another one (`--like`), at no less than 0.95 of its yield;
the winner is judged on the second half, on the same random orders as that vote. Then the halves change
places, and the questions are split anew: `--splits` times two studies. Intervals are 95 %, by
resampling questions with both votes on each; a margin asks for more precision on the first half than is
wanted, since the winner among many is partly lucky there. It prints how long each study took, and how
much of that its trials did.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optimizers.recorded import Recording, read_recording, split
from optimizers.replay import Replay
from optimizers.tuning import ReplayTrials, StudyPlan, choose, front, policy_space, run_study
from optimizers.tuning.study import Measured
from programs.ballots import Outcome
from programs.stopping import parse_policy
from signatures.recorded import read_questions
from signatures.task import AnswerFormat, AnswerKind

KEPT = 0.95
BASELINES: dict[str, dict[str, Any]] = {
    "default": {"policy": "lead", "lead.by": 3, "lead.max": 9},
    "paper": {"policy": "curtailed", "curtailed.k": 5, "curtailed.threshold": 0.5},
}


class Timed:
    """Measures trials, and how long that takes."""

    def __init__(self, trials: ReplayTrials) -> None:
        self.trials, self.seconds, self.calls = trials, 0.0, 0

    def __call__(self, settings: dict[str, Any]) -> Measured:
        began = time.perf_counter()
        try:
            return self.trials(settings)
        finally:
            self.seconds += time.perf_counter() - began
            self.calls += 1


def tuned(
    fitted: Recording, judged: Recording, margin: float, args: argparse.Namespace, seed: int
) -> tuple[list[tuple[Outcome, Outcome]], dict[str, Any]]:
    """Return what the tuned and the other vote do to each question of the second half."""
    began, cpu_began = time.perf_counter(), time.process_time()
    trials = Timed(ReplayTrials(fitted, repeats=args.repeats))
    other = Replay(fitted, repeats=args.repeats).judge(args.like)
    minima = {"precision": (other.precision or 0) + margin, "yield": KEPT * other.yielded}
    with tempfile.TemporaryDirectory() as folder:
        plan = StudyPlan(
            name="benchmark",
            folder=Path(folder),
            space=policy_space(),
            objectives=trials.trials.objectives,
            minima=minima,
            baselines=BASELINES,
            trials=args.trials,
            seed=seed,
        )
        outcome = run_study(plan, trials)
    best = choose(front(outcome.tried, plan.objectives), plan.objectives, "cheap")
    policy = trials.trials.policy(best.settings, best.values[0])
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    replay = Replay(judged, repeats=args.repeats)
    pairs = list(zip(replay.outcomes(policy), replay.outcomes(args.like), strict=True))
    settings = {name: value for name, value in best.settings.items() if name != "policy"}
    return pairs, {
        "policy": best.settings["policy"],
        "settings": settings,
        "wall_s": round(wall_s, 1),
        "cpu_s": round(cpu_s, 1),
        "trials_s": round(trials.seconds, 1),
        "different_trials": trials.calls,
    }


def compared(pairs: Sequence[tuple[Outcome, Outcome]], all_a_question: int) -> dict[str, float]:
    """Return cost as a share, precision as a difference, yield as a share of the vote compared with.

    `cost_of_all` is the share of what that vote costs when it always makes all of its draws, as the
    paper's own code does.
    """
    accepted, right, draws = (
        [sum(outcome[part] for outcome in side) for side in zip(*pairs, strict=True)]
        for part in range(3)
    )
    all_draws = all_a_question * len(pairs)
    return {
        "cost": draws[0] / accepted[0] / (draws[1] / accepted[1]),
        "cost_of_all": draws[0] / accepted[0] / (all_draws / accepted[1]),
        "samples_a_row": draws[0] / accepted[0],
        "other_samples_a_row": draws[1] / accepted[1],
        "precision": right[0] / accepted[0],
        "precision_more": right[0] / accepted[0] - right[1] / accepted[1],
        "yield_share": accepted[0] / accepted[1],
    }


def with_intervals(
    pairs: Sequence[tuple[Outcome, Outcome]], args: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Return the comparison with intervals."""
    rng = random.Random(0)
    resamples, draws = args.resamples, args.like.max_draws * args.repeats
    drawn = [compared(rng.choices(pairs, k=len(pairs)), draws) for _ in range(resamples)]
    found = {}
    for name, value in compared(pairs, draws).items():
        values = sorted(resample[name] for resample in drawn)
        ends = [values[round(share * (resamples - 1))] for share in (0.025, 0.975)]
        found[name] = {"value": value, "low": ends[0], "high": ends[1]}
    return found


def main() -> int:
    """Print what tuning brought on questions it had not seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = os.environ.get("DS2_SHARED_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--file", default=Path(root) / "gsm8k" / "replay.jsonl.gz")
    parser.add_argument("--exclude", default="gpt3-6b_*", help="leave out models of this pattern")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--splits", type=int, default=1, help="two studies each")
    parser.add_argument("--like", type=parse_policy, default="curtailed(5, 0.5)")
    parser.add_argument("--margin", type=float, nargs="*", default=[0.0])
    parser.add_argument("--repeats", type=int, default=20, help="random orders a question")
    parser.add_argument("--resamples", type=int, default=400, help="of the bootstrap")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    questions = read_questions(args.file, exclude=args.exclude)
    whole = read_recording(questions, AnswerFormat(kind=AnswerKind.NUMBER), source=str(args.file))
    result = []
    for margin in args.margin:
        for number in range(args.splits):
            halves = split(whole, seed=number)
            pairs, studies = [], []
            for fitted, judged in (halves, halves[::-1]):
                done, study = tuned(fitted, judged, margin, args, seed=number)
                pairs += done
                studies.append({**study, **with_intervals(done, args)})
            both = with_intervals(pairs, args)
            result.append({"split": number, "margin": margin, "studies": studies, "both": both})
            if not args.json:
                show(result[-1])
    if args.json:
        print(json.dumps(result, indent=1))
    return 0


def show(row: dict[str, Any]) -> None:
    """Print the studies of one split."""

    def said(found: dict[str, Any]) -> str:
        return ", ".join(
            f"{name} {found[name]['value']:.3f} [{found[name]['low']:.3f}, {found[name]['high']:.3f}]"
            for name in ("cost", "cost_of_all", "samples_a_row", "precision_more", "yield_share")
        )

    print(f"split {row['split']}, margin {row['margin']}")
    for study in row["studies"]:
        print(f"  {study['policy']} {study['settings']}")
        print(f"    {said(study)}")
        print(
            f"    {study['wall_s']} s ({study['cpu_s']} s of one core), of which "
            f"{study['different_trials']} different trials took {study['trials_s']} s"
        )
    print(f"  both halves, each judged unseen: {said(row['both'])}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
