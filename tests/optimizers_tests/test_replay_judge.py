"""Judging policies on recorded votes, and the picture of it."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from itertools import permutations
from pathlib import Path

import pytest

from optimizers.frontier import frontier_svg
from optimizers.recorded import Recording, read_recording, split
from optimizers.replay import Judged, Replay, judge
from programs.ballots import UNREADABLE, Ballot
from programs.calibration import fit_policy
from programs.stopping import curtailed, fixed, lead, posterior
from signatures.errors import ConfigError
from signatures.recorded import read_questions
from signatures.task import AnswerFormat

DATA = (
    Path(os.environ.get("DS2_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    / "gsm8k"
    / "replay.jsonl.gz"
)
BALLOTS = (
    Ballot((0, 0, 0, 1, 0), 0),
    Ballot((1, 1, 1, 1, 2), 0),
    Ballot((0, 1, 0, 2, 0), 0),
    Ballot((UNREADABLE,) * 5, 0),
)


def recording(ballots: tuple[Ballot, ...] = BALLOTS, *, labelled: bool = True) -> Recording:
    questions = tuple(f"q {n}" for n in range(len(ballots)))
    samples = sum(len(ballot.answers) for ballot in ballots)
    return Recording("made up", questions, ballots, labelled, samples, 5, 10, 9)


def test_a_fixed_vote_over_all_samples_is_judged_as_by_hand() -> None:
    (found,) = judge(recording(), [fixed(5, 0.6)], repeats=3)
    assert (found.policy, found.n) == ("fixed(5, 0.6)", 4)
    assert (found.yielded, found.precision) == (0.75, pytest.approx(2 / 3))
    assert (found.samples, found.samples_per_accepted) == (5.0, pytest.approx(20 / 3))
    assert (found.reading_agreement, found.winner_agreement, found.ran_out) == (0.9, None, 0)
    # The interval is that of the three accepted questions, not of nine.
    assert (found.precision_low, found.precision_high) == pytest.approx((0.2077, 0.9385), abs=1e-4)


def test_many_orders_come_near_to_all_orders() -> None:
    ballot = BALLOTS[2]
    drawn = accepted = 0
    for order in permutations(ballot.answers):
        votes: dict[int, int] = {}
        for used, answer in enumerate(order, start=1):
            votes[answer] = votes.get(answer, 0) + 1
            first, *rest = sorted(votes.values(), reverse=True)
            if first - (rest[0] if rest else 0) >= 2 or used == 5:
                drawn += used
                accepted += first - (rest[0] if rest else 0) >= 2
                break
    (found,) = judge(recording((ballot,)), [lead(2, 5)], repeats=4000)
    assert found.yielded == pytest.approx(accepted / 120, abs=0.03)
    # `lead` gives up where it cannot win any more, so it draws no more than this.
    assert found.samples <= drawn / 120 + 0.05


def test_a_curtailed_vote_accepts_what_the_fixed_one_does() -> None:
    replay = Replay(recording(), repeats=50)
    full, early = replay.judge(fixed(5, 0.6)), replay.judge(curtailed(5, 0.6))
    assert (early.yielded, early.precision) == (full.yielded, full.precision)
    assert early.samples < full.samples


def test_a_run_has_no_precision_but_agrees_with_its_winners() -> None:
    ballots = (Ballot((0, 0, 1), 0), Ballot((1, 1, 0), 1), Ballot((0, 1), None))
    (found,) = judge(recording(ballots, labelled=False), [fixed(2, 1.0)], repeats=200)
    assert (found.precision, found.precision_low, found.precision_high) == (None, None, None)
    assert found.winner_agreement == 1.0
    assert 0 < found.yielded < 1


def test_a_policy_of_more_samples_than_were_recorded_is_told() -> None:
    (found,) = judge(recording(), [fixed(6, 0.1)])
    assert (found.yielded, found.ran_out, found.samples_per_accepted) == (0.0, 1.0, None)


def test_the_json_has_the_documented_names() -> None:
    (found,) = judge(recording(), [lead(2, 4)])
    names = (
        "policy yield precision precision_low precision_high samples samples_per_accepted "
        "reading_agreement n winner_agreement ran_out waves"
    )
    assert list(found.as_json()) == names.split()


def test_nothing_to_judge_is_refused() -> None:
    with pytest.raises(ConfigError, match="questions"):
        judge(recording(()), [lead(2, 4)])
    with pytest.raises(ConfigError, match="repeats"):
        judge(recording(), [lead(2, 4)], repeats=0)


def point(policy: str, cost: float | None, precision: float | None) -> Judged:
    return Judged(policy, 0.5, precision, None, None, 5.0, cost, None, 10, None, 0.0)


def elements(svg: str, name: str) -> list[ET.Element]:
    root = ET.fromstring(svg)  # noqa: S314 - our own text
    return root.findall(f".//{{http://www.w3.org/2000/svg}}{name}")


@pytest.mark.parametrize(
    "points",
    [
        pytest.param([], id="none"),
        pytest.param([point("a", None, None)], id="nothing-accepted"),
        pytest.param([point("a", 5.0, 0.9)], id="one"),
        pytest.param([point("a", 5.0, 1.0), point("b", 5.0, 1.0)], id="twice-the-same"),
        pytest.param([point("a", 5.0, 0.9), point("b", 9.0, 0.95)], id="two"),
        pytest.param([point("<ü & 名>", 0.1, 0.0)], id="marked-up-name"),
    ],
)
def test_the_frontier_can_be_drawn_of_any_number_of_points(points: list[Judged]) -> None:
    svg = frontier_svg(points, title="Ours & theirs")
    assert elements(svg, "title")[0].text == "Ours & theirs"
    assert elements(svg, "desc")[0].text
    assert "prefers-color-scheme: dark" in svg
    words = [element.text for element in elements(svg, "text")]
    assert "samples an accepted row" in words
    assert "precision" in words or points
    shown = [one for one in points if one.precision is not None]
    assert len(elements(svg, "circle")) == len(shown)
    assert {one.policy for one in shown} <= set(words)
    for circle in elements(svg, "circle"):
        assert 0 < float(circle.attrib["cx"]) < 760
        assert 0 < float(circle.attrib["cy"]) < 480


def test_only_points_that_none_beats_are_joined() -> None:
    svg = frontier_svg([point("a", 5.0, 0.9), point("b", 9.0, 0.95), point("c", 9.5, 0.93)])
    assert [c.attrib["class"] for c in elements(svg, "circle")] == ["dot best", "dot best", "dot"]
    assert len(elements(svg, "polyline")[0].attrib["points"].split()) == 2


def test_labels_of_points_that_coincide_do_not_cover_each_other() -> None:
    svg = frontier_svg([point(f"lead({n}, 9)", 5.0, 0.9) for n in range(4)])
    heights = [
        float(text.attrib["y"])
        for text in elements(svg, "text")
        if (text.text or "").startswith("lead")
    ]
    assert len(heights) == len(set(heights)) == 4


def test_a_long_name_at_the_edge_stays_in_the_picture() -> None:
    long = "calibrated(/a/very/long/way/to/a/table/of/a/policy.json)"
    svg = frontier_svg([point("a", 1.0, 0.9), point(long, 9.0, 0.95)])
    (label,) = [t for t in elements(svg, "text") if (t.text or "").startswith("calibrated")]
    assert 0 < float(label.attrib["x"])
    assert float(label.attrib["x"]) + 7 * len(label.text or "") <= 760


def test_without_right_answers_the_picture_shows_the_agreement() -> None:
    one = point("a", 5.0, None)._replace(winner_agreement=0.8)
    svg = frontier_svg([one])
    assert "agreement with the recorded winner" in svg
    assert len(elements(svg, "circle")) == 1


@pytest.mark.skipif(not DATA.is_file(), reason=f"no recorded answers at {DATA}")
def test_real_answers_are_voted_on_for_far_fewer_samples_at_the_same_precision() -> None:
    """Fitted to one half of the questions, judged on the other."""
    fmt = AnswerFormat(kind="number")  # type: ignore[arg-type]
    whole = read_recording(read_questions(DATA, exclude="gpt3-6b*"), fmt, source="gsm8k")
    assert whole.reading_agreement is not None
    assert whole.reading_agreement > 0.995
    train, test = split(whole)
    fit = fit_policy(train.ballots, fixed(10, 0.6), 10, repeats=5)
    full, short, sure, ours = judge(
        test, [fixed(10, 0.6), curtailed(10, 0.6), posterior(0.9, 10), fit.policy], repeats=5
    )
    assert (short.precision, short.yielded) == (full.precision, full.yielded)
    for found in (full, short, sure, ours):
        assert found.precision is not None
        assert found.samples_per_accepted is not None
        assert found.precision > 0.96
    assert ours.samples_per_accepted < 0.75 * full.samples_per_accepted  # type: ignore[operator]
    assert ours.yielded > 0.9 * full.yielded
