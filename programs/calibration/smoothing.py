"""How likely each answer of a recorded vote is right, from the whole vote rather than from luck.

Few accepted answers are wrong, so the share of right ones in a state rests on a handful of
questions. But given the whole recorded vote of a question, the order of its samples says nothing
more about which answer is right (they are exchangeable). So the 0 or 1 of each answer may be
replaced by its probability given the whole vote, which all questions estimate together: a logistic
regression on the answer's share of the samples, how far that is ahead of the best other share, and
whether it is the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import exp

from programs.ballots import UNREADABLE, Ballot

_RIDGE = 0.3
_ROUNDS = 50
_CLOSE = 1e-7
_STEEPEST = 30.0

_Vector = list[float]


def hard_beliefs(ballot: Ballot) -> dict[int, float]:
    """Return 1 for the right answer of a labelled vote; every other answer counts as 0."""
    return {} if ballot.right is None else {ballot.right: 1.0}


def smooth_beliefs(ballots: Sequence[Ballot]) -> list[dict[int, float]]:
    """Return by question how likely each of its answers is right.

    The regression has a ridge penalty of 0.3 on all weights but the first, so that it has one
    finite answer even where one share separates right from wrong.
    """
    described = [_features(ballot) for ballot in ballots]
    rows = [
        (features, float(answer == ballot.right))
        for ballot, answers in zip(ballots, described, strict=True)
        for answer, features in answers.items()
    ]
    if not rows:
        return [{} for _ in ballots]
    weights = logistic(rows)
    return [{a: _chance(weights, f) for a, f in answers.items()} for answers in described]


def logistic(rows: Sequence[tuple[Sequence[float], float]]) -> _Vector:
    """Return the weights of a ridge logistic regression, by Newton's method.

    Args:
        rows: features, of which the first is 1, and the label, 0 or 1; at least one row.
    """
    size = len(rows[0][0])
    weights = [0.0] * size
    for _ in range(_ROUNDS):
        slope = [-_RIDGE * w if i else 0.0 for i, w in enumerate(weights)]
        # The first weight is not pulled to 0, but labels that are all alike must not carry it off.
        bend = [[(_RIDGE if i else _CLOSE) * (i == j) for j in range(size)] for i in range(size)]
        for features, label in rows:
            chance = _chance(weights, features)
            spread = chance * (1 - chance)
            for i, value in enumerate(features):
                slope[i] += (label - chance) * value
                for j, other in enumerate(features):
                    bend[i][j] += spread * value * other
        step = _solved(bend, slope)
        weights = [w + max(-5.0, min(5.0, s)) for w, s in zip(weights, step, strict=True)]
        if max(map(abs, step)) < _CLOSE:
            break
    return weights


def _features(ballot: Ballot) -> dict[int, tuple[float, ...]]:
    size = len(ballot.answers)
    votes = Counter(answer for answer in ballot.answers if answer != UNREADABLE)
    found: dict[int, tuple[float, ...]] = {}
    for answer, count in votes.items():
        best = max((c for other, c in votes.items() if other != answer), default=0)
        share, ahead = count / size, (count - best) / size
        found[answer] = (1.0, share, ahead, float(count > best))
    return found


def _chance(weights: Sequence[float], features: Sequence[float]) -> float:
    total = sum(w * f for w, f in zip(weights, features, strict=True))
    return 1 / (1 + exp(-max(-_STEEPEST, min(_STEEPEST, total))))


def _solved(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> _Vector:
    """Solve a small positive definite system by elimination with pivots."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for i in range(size):
        pivot = max(range(i, size), key=lambda r: abs(rows[r][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for r in range(size):
            if r != i:
                factor = rows[r][i] / rows[i][i]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [row[-1] / row[i] for i, row in enumerate(rows)]
