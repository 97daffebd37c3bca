"""The frontier of voting policies on recorded answers, fitted on one half and judged on the other.

    python -m benchmarks.frontier [--fit] [--oracle] [--cross-fit] [--json]

Questions are split in two by a hash of their text. All policies see the same random orders of the
recorded samples of the second half; `--fit` adds calibrated ones, fitted to the first half to be as
precise as ten fixed draws at each threshold (some 30 s). The goal for each threshold is half of what
ten fixed draws cost an accepted row, at their precision and at no less than 0.95 of their yield.
Intervals are 95 % by resampling questions. The much weaker `gpt3-6b_*` models are left out.

`--oracle` says what no policy over counts can beat on the very questions judged, within 12 draws
(`oracle.py`, a minute). `--cross-fit` fits to each half and judges on the other, so that every
question is judged by a policy that has not seen it, and compares question by question with ten fixed
draws (three minutes).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.oracle import best_tables, bound, cheapest, lay_out
from benchmarks.oracle import judge as exactly
from optimizers.recorded import Recording, read_recording, split
from optimizers.replay import Replay
from programs.ballots import Outcome, bootstrap, figures
from programs.calibration import fit_policy
from programs.stopping import Policy, curtailed, fixed, lead, posterior
from signatures.recorded import read_questions
from signatures.task import AnswerFormat, AnswerKind

THRESHOLDS = (0.5, 0.6, 0.7)
DRAWS = 10
PAPER = curtailed(5, 0.5)
ORACLE_DRAWS = 12
CLOSE = 0.003  # how much less precise still counts as alike
KEPT = 0.95  # the share of the fixed vote's yield that must stay
PLAIN: tuple[Policy, ...] = (
    *(curtailed(DRAWS, share) for share in THRESHOLDS),
    *(lead(2, most) for most in (5, 9)),
    *(lead(3, most) for most in (7, 8, 9, 10, 12)),
    *(lead(4, most) for most in (7, 9, 12)),
    *(posterior(sure, DRAWS) for sure in (0.8, 0.9, 0.95)),
)


def point(replay: Replay, policy: Policy, resamples: int) -> dict[str, Any]:
    """Return what a policy does, with intervals."""
    done = replay.outcomes(policy)
    found = figures(done, replay.orders)._asdict()
    spread = bootstrap(done, replay.orders, resamples=resamples)
    return {
        "policy": policy.spec,
        **{
            name: {"value": value, "low": spread[name].low, "high": spread[name].high}
            for name, value in found.items()
        },
    }


def measure(
    judged: Recording, fitted: Recording | None, *, repeats: int, resamples: int
) -> dict[str, Any]:
    """Return all points, and the cost of each against the fixed vote it could stand in for.

    Args:
        judged: the votes that policies are judged on.
        fitted: the votes that calibrated ones are fitted to; None leaves them out.
        repeats: random orders a question.
        resamples: of the bootstrap.
    """
    replay = Replay(judged, repeats=repeats)
    policies = list(PLAIN)
    for share in THRESHOLDS if fitted is not None else ():
        fit = fit_policy(fitted.ballots, fixed(DRAWS, share), DRAWS, source="first half")
        policies.append(fit.policy)
    return {
        "fitted_on": len(fitted.ballots) if fitted is not None else 0,
        "judged_on": len(judged.ballots),
        "fixed": [point(replay, fixed(DRAWS, share), resamples) for share in THRESHOLDS],
        "policies": [point(replay, policy, resamples) for policy in policies],
    }


def least(judged: Recording) -> list[dict[str, Any]]:
    """Return what the best policies of at most 12 draws cost that could stand in for each fixed vote.

    They are fitted to the very questions they are judged on. `policy` is the cheapest single policy
    among those for the scanned prices, `bound` what no policy and no mixture can go below; once at
    the fixed vote's precision, and once 0.003 below it. The vote of the `paper` preset comes last.
    """
    votes = lay_out(judged.ballots, ORACLE_DRAWS)
    tables = best_tables(votes.problem)
    rows = []
    for vote in (*(fixed(DRAWS, share) for share in THRESHOLDS), PAPER):
        base = exactly(votes, vote)
        for slack in (0.0, CLOSE):
            wanted = (base.precision - slack, KEPT * base.yielded)
            rows.append(
                {
                    "vote": vote.spec,
                    "slack": slack,
                    "cost": base.samples_per_accepted,
                    "policy": cheapest(tables, *wanted),
                    "bound": bound(votes.problem, *wanted),
                }
            )
    return rows


def cross_fit(
    whole: Recording, share: float, slack: float, *, repeats: int, resamples: int
) -> dict[str, Any]:
    """Return how a calibrated policy compares with ten fixed draws on questions it has not seen.

    Each half is judged by the policy fitted to the other, to be at most `slack` less precise than
    `fixed(10, share)` there. Intervals are 95 %, by resampling questions with both votes on each.
    """
    halves = split(whole)
    pairs: list[tuple[Outcome, Outcome]] = []
    for fitted, judged in (halves, halves[::-1]):
        fit = fit_policy(fitted.ballots, fixed(DRAWS, share), ORACLE_DRAWS, margin=-slack)
        replay = Replay(judged, repeats=repeats)
        theirs = replay.outcomes(fixed(DRAWS, share))
        pairs += zip(replay.outcomes(fit.policy), theirs, strict=True)
    rng = random.Random(0)
    drawn = [_compared(rng.choices(pairs, k=len(pairs))) for _ in range(resamples)]
    ends = (round(0.025 * (resamples - 1)), round(0.975 * (resamples - 1)))
    found: dict[str, Any] = {"threshold": share, "slack": slack, "questions": len(pairs)}
    for name, value in _compared(pairs).items():
        values = sorted(resample[name] for resample in drawn)
        found[name] = {"value": value, "low": values[ends[0]], "high": values[ends[1]]}
    return found


def _compared(pairs: Sequence[tuple[Outcome, Outcome]]) -> dict[str, float]:
    accepted, right, draws = (
        [sum(outcome[part] for outcome in side) for side in zip(*pairs, strict=True)]
        for part in range(3)
    )
    return {
        "cost": draws[0] / accepted[0] / (draws[1] / accepted[1]),
        "precision_more": right[0] / accepted[0] - right[1] / accepted[1],
        "yield_share": accepted[0] / accepted[1],
    }


def shown(found: dict[str, Any], base: list[dict[str, Any]]) -> str:
    """Return one line of the table; of each fixed vote it says the share of its cost."""

    def cell(name: str, digits: int) -> str:
        part = found[name]
        ends = f"[{part['low']:.{digits}f}, {part['high']:.{digits}f}]"
        return f"{part['value']:.{digits}f} {ends}"

    costs = []
    for other in base:
        as_precise = found["precision"]["value"] >= other["precision"]["value"] - CLOSE
        as_much = found["yielded"]["value"] >= KEPT * other["yielded"]["value"]
        share = found["samples_per_accepted"]["value"] / other["samples_per_accepted"]["value"]
        costs.append(f"{share:.2f}" if as_precise and as_much else "-")
    return (
        f"{found['policy'][:26]:<26} {cell('yielded', 3):>22} {cell('precision', 4):>25} "
        f"{cell('samples_per_accepted', 2):>22}   {'  '.join(f'{c:>5}' for c in costs)}"
    )


def table(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the frontier."""
    yield f"fitted on {result['fitted_on']} questions, judged on {result['judged_on']} others"
    heads = "  ".join(f"@{share}" for share in THRESHOLDS)
    yield (
        f"{'policy':<26} {'yield':>22} {'precision':>25} {'samples a row':>22}   "
        f"cost of fixed({DRAWS}, t) {heads}"
    )
    for found in [*result["fixed"], *result["policies"]]:
        yield shown(found, result["fixed"])
    yield (
        f"A cost is shown where precision is within {CLOSE} of the fixed vote's and yield at least "
        f"{KEPT} of it; the goal is 0.50."
    )


def notes(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the oracle and of the cross-fit, where they were asked for."""
    for row in result.get("oracle", ()):
        policy = "none" if row["policy"] is None else f"{row['policy']:.2f}"
        yield (
            f"oracle, precision of {row['vote']} less {row['slack']}: it costs {row['cost']:.2f} "
            f"samples a row; best policy found {policy}, no policy below {row['bound']:.2f}"
        )
    for row in result.get("cross_fit", ()):
        parts = ", ".join(
            f"{name} {row[name]['value']:.3f} [{row[name]['low']:.3f}, {row[name]['high']:.3f}]"
            for name in ("cost", "precision_more", "yield_share")
        )
        yield f"cross-fit @{row['threshold']}, fitted to precision less {row['slack']}: {parts}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = os.environ.get("DS2_SHARED_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--file", default=Path(root) / "gsm8k" / "replay.jsonl.gz")
    parser.add_argument("--exclude", default="gpt3-6b_*", help="leave out models of this pattern")
    parser.add_argument("--fit", action="store_true", help="add calibrated policies")
    parser.add_argument("--oracle", action="store_true", help="add what no policy can beat")
    parser.add_argument("--cross-fit", action="store_true", help="fit each half, judge the other")
    parser.add_argument("--repeats", type=int, default=40, help="random orders a question")
    parser.add_argument("--resamples", type=int, default=400, help="of the bootstrap")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    questions = read_questions(args.file, exclude=args.exclude)
    whole = read_recording(questions, AnswerFormat(kind=AnswerKind.NUMBER), source=str(args.file))
    fitted, judged = split(whole)
    sizes = {"repeats": args.repeats, "resamples": args.resamples}
    result = measure(judged, fitted if args.fit else None, **sizes)
    if args.oracle:
        result["oracle"] = least(judged)
    if args.cross_fit:
        result["cross_fit"] = [
            cross_fit(whole, share, slack, **sizes)
            for share in THRESHOLDS
            for slack in (0.0, CLOSE)
        ]
    print(
        json.dumps(result, indent=1) if args.json else "\n".join([*table(result), *notes(result)])
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
