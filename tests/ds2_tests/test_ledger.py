"""The ledger adds up, or says that it does not."""

from __future__ import annotations

from collections import Counter

from ds2.runtime.ledger import Ledger


def test_an_empty_ledger_adds_up() -> None:
    ledger = Ledger()
    assert ledger.balanced
    assert ledger.as_dict() == {
        "planned": 0,
        "accepted": 0,
        "rejected": {},
        "surplus": 0,
        "pending": {},
    }


def test_every_unit_is_counted_once() -> None:
    ledger = Ledger(
        planned=10,
        accepted=4,
        rejected=Counter(tie=2, duplicate=1),
        surplus=2,
        pending=Counter(budget=1),
    )
    assert ledger.balanced
    assert ledger.decided == 7


def test_a_unit_that_is_lost_is_noticed() -> None:
    assert not Ledger(planned=2, accepted=1).balanced
    assert not Ledger(planned=1, accepted=1, surplus=1).balanced


def test_reasons_are_listed_in_one_order() -> None:
    ledger = Ledger(planned=3, rejected=Counter(["tie", "empty", "tie"]))
    assert list(ledger.as_dict()["rejected"]) == ["empty", "tie"]  # type: ignore[call-overload]
