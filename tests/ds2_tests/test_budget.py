from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from ds2.engines.budget import BudgetSpent, CallBudget


def test_a_budget_allows_its_calls_and_no_more() -> None:
    budget = CallBudget(2)
    budget.take()
    budget.take()
    with pytest.raises(BudgetSpent):
        budget.take()


def test_calls_that_the_log_holds_count() -> None:
    with pytest.raises(BudgetSpent):
        CallBudget(3, spent=3).take()
    with pytest.raises(BudgetSpent):
        CallBudget(3, spent=7).take()


def test_a_budget_of_nothing_allows_nothing() -> None:
    with pytest.raises(BudgetSpent):
        CallBudget(0).take()


def test_a_reservation_that_brought_no_reply_can_be_taken_again() -> None:
    budget = CallBudget(1)
    budget.take()
    budget.give_back()
    budget.take()
    with pytest.raises(BudgetSpent):
        budget.take()


def test_no_limit_is_no_limit() -> None:
    budget = CallBudget()
    for _ in range(1000):
        budget.take()


def test_no_handler_of_ordinary_errors_catches_a_spent_budget() -> None:
    assert not issubclass(BudgetSpent, Exception)


def test_many_threads_never_take_more_than_there_is() -> None:
    budget = CallBudget(100)

    def take(_: int) -> bool:
        try:
            budget.take()
        except BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(take, range(1000))) == 100
