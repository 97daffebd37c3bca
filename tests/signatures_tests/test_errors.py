from __future__ import annotations

import pytest

from signatures import errors
from signatures.errors import DS2Error, LedgerError, RunStoppedError, TaskError, rule_message

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DS2Error) and kind is not DS2Error
]


def test_a_message_says_what_failed_for_what_which_rule_and_what_to_do() -> None:
    message = rule_message(
        "Reading failed", unit="a.yaml", name="k", rule="be 1", value=2, todo="Mend it."
    )
    assert message == "Reading failed for 'a.yaml': k must be 1 (got 2). Mend it."


def test_a_message_without_a_unit_leaves_it_out() -> None:
    message = rule_message("Reading failed", name="k", rule="be 1", value="é", todo="Mend it.")
    assert message == "Reading failed: k must be 1 (got 'é'). Mend it."


def test_a_long_value_is_cut() -> None:
    message = rule_message("F", name="k", rule="r", value="x" * 10_000, todo="T.")
    assert len(message) < 300
    assert "..." in message


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_built_by_the_one_template(kind: type[DS2Error]) -> None:
    error = kind.rule("F", name="n", rule="r", value=1, todo="T.")
    assert type(error) is kind
    assert str(error) == "F: n must r (got 1). T."


def test_what_a_person_can_mend_leaves_with_2_and_a_stop_with_3() -> None:
    others = [kind for kind in KINDS if kind not in {RunStoppedError, LedgerError}]
    assert {kind.exit_code for kind in others} == {2}
    assert RunStoppedError.exit_code == 3
    assert LedgerError.exit_code == 1
    assert TaskError.exit_code == 2
