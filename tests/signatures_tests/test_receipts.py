from __future__ import annotations

import asyncio
import threading

from signatures.receipts import Receipt, collect, report

ONE = Receipt("k1", "one", "stop")
TWO = Receipt("k2", "two", "length")


def test_receipts_are_collected_in_the_order_of_the_replies() -> None:
    with collect() as receipts:
        report(ONE)
        report(TWO)
    assert receipts == [ONE, TWO]


def test_a_receipt_that_nobody_collects_is_dropped() -> None:
    report(ONE)
    with collect() as receipts:
        pass
    report(TWO)
    assert receipts == []


def test_an_outer_block_sees_what_an_inner_one_collects() -> None:
    with collect() as outer:
        with collect() as inner:
            report(ONE)
        report(TWO)
    assert (inner, outer) == ([ONE], [ONE, TWO])


def test_calls_side_by_side_do_not_see_each_other() -> None:
    async def one(receipt: Receipt) -> list[Receipt]:
        with collect() as receipts:
            await asyncio.sleep(0)
            report(receipt)
            await asyncio.sleep(0)
        return receipts

    async def both() -> list[list[Receipt]]:
        return list(await asyncio.gather(one(ONE), one(TWO)))

    assert asyncio.run(both()) == [[ONE], [TWO]]


def test_a_block_that_fails_lets_go_of_its_collector() -> None:
    try:
        with collect() as receipts:
            raise ValueError
    except ValueError:
        report(ONE)
    assert receipts == []


def test_another_thread_collects_nothing_of_ours() -> None:
    with collect() as receipts:
        thread = threading.Thread(target=report, args=(ONE,))
        thread.start()
        thread.join()
    assert receipts == []
