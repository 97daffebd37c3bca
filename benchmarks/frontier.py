"""The frontier of voting policies on recorded answers, fitted on one half and judged on the other.

    python benchmarks/frontier.py [--fit] [--json]

Questions are split in two by a hash of their text. All policies see the same random orders of the
recorded samples of the second half; `--fit` adds calibrated ones, fitted to the first half to be as
precise as ten fixed draws at each threshold (some 30 s). The goal for each threshold is half of what
ten fixed draws cost an accepted row, at their precision and at no less than 0.95 of their yield.
Intervals are 95 % by resampling questions. The much weaker `gpt3-6b_*` models are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from optimizers.recorded import read_recording, split
from optimizers.replay import Replay
from programs.ballots import bootstrap, figures
from programs.calibration import fit_policy
from programs.stopping import Policy, curtailed, fixed, lead, posterior
from signatures.recorded import read_questions
from signatures.task import AnswerFormat, AnswerKind

THRESHOLDS = (0.5, 0.6, 0.7)
DRAWS = 10
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


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Return all points, and the cost of each against the fixed vote it could stand in for."""
    questions = read_questions(args.file, exclude=args.exclude)
    whole = read_recording(questions, AnswerFormat(kind=AnswerKind.NUMBER), source=str(args.file))
    train, test = split(whole)
    replay = Replay(test, repeats=args.repeats)
    policies = list(PLAIN)
    if args.fit:
        for share in THRESHOLDS:
            fit = fit_policy(train.ballots, fixed(DRAWS, share), DRAWS, source="first half")
            policies.append(fit.policy)
    base = [point(replay, fixed(DRAWS, share), args.resamples) for share in THRESHOLDS]
    return {
        "fitted_on": len(train.ballots),
        "judged_on": len(test.ballots),
        "fixed": base,
        "policies": [point(replay, policy, args.resamples) for policy in policies],
    }


def shown(found: dict[str, Any], base: list[dict[str, Any]]) -> str:
    """Return one line of the table; of each fixed vote it says the share of its cost."""

    def cell(name: str, digits: int) -> str:
        part = found[name]
        ends = f"[{part['low']:.{digits}f}, {part['high']:.{digits}f}]"
        return f"{part['value']:.{digits}f} {ends}"

    costs = []
    for other in base:
        as_precise = found["precision"]["value"] >= other["precision"]["value"] - 0.003
        as_much = found["yielded"]["value"] >= 0.95 * other["yielded"]["value"]
        share = found["samples_per_accepted"]["value"] / other["samples_per_accepted"]["value"]
        costs.append(f"{share:.2f}" if as_precise and as_much else "-")
    return (
        f"{found['policy'][:26]:<26} {cell('yielded', 3):>22} {cell('precision', 4):>25} "
        f"{cell('samples_per_accepted', 2):>22}   {'  '.join(f'{c:>5}' for c in costs)}"
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = os.environ.get("DS2_SHARED_DATA", Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--file", default=Path(root) / "gsm8k" / "replay.jsonl.gz")
    parser.add_argument("--exclude", default="gpt3-6b_*", help="leave out models of this pattern")
    parser.add_argument("--fit", action="store_true", help="add calibrated policies")
    parser.add_argument("--repeats", type=int, default=40, help="random orders a question")
    parser.add_argument("--resamples", type=int, default=400, help="of the bootstrap")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    result = measure(args)
    if args.json:
        print(json.dumps(result, indent=1))
        return 0
    print(f"fitted on {result['fitted_on']} questions, judged on {result['judged_on']} others")
    heads = "  ".join(f"@{share}" for share in THRESHOLDS)
    print(
        f"{'policy':<26} {'yield':>22} {'precision':>25} {'samples a row':>22}   "
        f"cost of fixed({DRAWS}, t) {heads}"
    )
    for found in [*result["fixed"], *result["policies"]]:
        print(shown(found, result["fixed"]))
    print(
        "A cost is shown where precision is within 0.003 of the fixed vote's and yield at least 0.95 "
        "of it; the goal is 0.50."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
