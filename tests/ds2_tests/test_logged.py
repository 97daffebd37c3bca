from __future__ import annotations

import asyncio
import copy
import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import dspy
import pytest
from dspy import lm15
from dspy.lm15 import Config, Message, Request, Response, TextPart, ThinkingPart, Usage
from dspy.utils.exceptions import LMError
from scripted import Call, Script, said

from ds2.config import BudgetConfig
from ds2.engines.amounts import Amount
from ds2.engines.budget import Budget, BudgetSpent
from ds2.engines.limiter import Limiter, place
from ds2.engines.lm import engine_of, logged_lm, neutral_name
from ds2.engines.logged import LoggedEngine, MemoryLog, SyncHalf, sample_number
from ds2.engines.question import call_key
from ds2.engines.retry import RetryPolicy
from signatures.receipts import Receipt, collect

ONCE = RetryPolicy(attempts=1, first_attempts=1)


def request(text: str = "hello", *, system: str | None = None, **options: Any) -> Request:
    return Request("ds2/scripted", (Message.user(text),), system=system, config=Config(**options))


def engine(script: Script, log: Any = None, **options: Any) -> LoggedEngine:
    backend = script.backend(**options.pop("backend", {}))
    settings: dict[str, Any] = {"limiter": Limiter(64), "retry": RetryPolicy(base_s=0)} | options
    return LoggedEngine(backend, log or MemoryLog(), stage="answers", **settings)


async def ask(logged: LoggedEngine, text: str = "hello", sample: int = 0, **more: Any) -> Response:
    sample_number.set(sample)
    return await logged.answer(request(text, **more))


def asked(logged: LoggedEngine, text: str = "hello", sample: int = 0, **more: Any) -> Response:
    return copy_context().run(asyncio.run, ask(logged, text, sample, **more))


class Slow(MemoryLog):
    """A log whose writes are committed when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Receipt, Future[Receipt]]] = []
        self.notes: list[dict[str, Any]] = []

    def put(self, receipt: Receipt, **notes: Any) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        self.waiting.append((receipt, future))
        self.notes.append(notes)
        return future

    def commit(self) -> None:
        for receipt, future in self.waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(self._receipts.setdefault(receipt.call, receipt))
            else:
                self._receipts.setdefault(receipt.call, receipt)
        self.waiting.clear()


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a condition of the script, not an event
            await asyncio.sleep(0)


def test_the_same_question_is_asked_once() -> None:
    script = Script("reply")
    logged = engine(script)
    assert [asked(logged).text for _ in range(3)] == ["reply"] * 3
    assert len(script.calls) == 1


@pytest.mark.parametrize(
    ("text", "sample", "more"),
    [
        ("hello", 1, {}),
        ("hallo", 0, {}),
        ("hello", 0, {"temperature": 0.1}),
        ("hello", 0, {"max_tokens": 3}),
        ("hello", 0, {"system": "Be brief."}),
        ("hello", 0, {"stop": ("x",)}),
    ],
)
def test_whatever_decides_a_reply_is_part_of_its_key(text: str, sample: int, more: Any) -> None:
    script = Script("reply")
    logged = engine(script)
    asked(logged)
    asked(logged, text, sample, **more)
    assert len(script.calls) == 2


def test_a_seed_on_the_wire_is_no_part_of_the_key() -> None:
    script = Script("reply")
    logged = engine(script)
    asked(logged)
    asked(logged, seed=7)
    assert len(script.calls) == 1


def test_what_a_message_holds_besides_text_is_part_of_the_key() -> None:
    script = Script("reply")
    logged = engine(script)
    for thought in ("one", "two"):
        turns = (
            Message.assistant([ThinkingPart(thought), TextPart("so")]),
            Message.user("go on"),
        )
        asyncio.run(logged.answer(Request("m", turns)))
    assert len(script.calls) == 2


def test_model_endpoint_and_extras_are_part_of_the_key() -> None:
    script = Script("x")
    backends = [
        script.backend(),
        script.backend(dialect="another host"),
        script.backend(extensions={"min_p": 0.05}),
        script.backend(extensions={"min_p": 0.1}),
    ]
    assert len({call_key(backend, "prompt", "options", 0) for backend in backends}) == 4
    assert call_key(backends[0], "prompt", "options", 0) == "ae482264dd081a18"


def test_callers_side_by_side_share_one_call() -> None:
    script = Script("reply", latency=lambda _: 0.005)
    logged = engine(script)

    async def many() -> list[Response]:
        return await asyncio.gather(*(ask(logged) for _ in range(20)))

    assert {response.text for response in asyncio.run(many())} == {"reply"}
    assert len(script.calls) == 1


def test_threads_loops_and_both_halves_share_one_call() -> None:
    script = Script("reply", latency=lambda _: 0.002)
    lm = script.lm()
    start = threading.Barrier(8)

    def sync(number: int) -> list[str]:
        start.wait(5)
        return [lm(f"question {i}")[0] for i in range(10)]

    def loop(number: int) -> list[str]:
        async def work() -> list[str]:
            found = await asyncio.gather(*(lm.acall(f"question {i}") for i in range(10)))
            return [texts[0] for texts in found]

        start.wait(5)
        return asyncio.run(work())

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: (sync, loop)[i % 2](i), range(8)))
    assert results == [["reply"] * 10] * 8
    assert len(script.calls) == 10


def test_a_reply_that_lands_while_another_thread_looks_is_not_drawn_again() -> None:
    script = Script("reply")

    class Late(MemoryLog):
        """A log in which the reply appears just after the first look."""

        def get(self, key: str) -> Receipt | None:
            found = super().get(key)
            if threading.current_thread() is threading.main_thread() and not script.calls:
                thread = threading.Thread(target=lambda: results.append(asked(logged)))
                thread.start()
                thread.join(0.2)
                threads.append(thread)
            return found

    results: list[Response] = []
    threads: list[threading.Thread] = []
    logged = engine(script, Late())
    results.append(asked(logged))
    threads[0].join(5)
    assert [r.text for r in results] == ["reply", "reply"]
    assert len(script.calls) == 1


def test_an_inner_engine_serves_one_loop_only() -> None:
    script = Script("reply")
    logged = engine(script)

    async def two() -> None:
        await asyncio.gather(ask(logged, "a"), ask(logged, "b"))

    asyncio.run(two())
    assert script.opened == 1
    asyncio.run(two())
    asked(logged, "c")
    assert script.opened == 2


def test_a_cancelled_leader_leaves_the_call_to_those_who_wait() -> None:
    script = Script(lambda call: f"reply {call.number}", latency=lambda _: 0.01)
    logged = engine(script)

    async def scenario() -> list[str | None]:
        leader, *rest = (asyncio.create_task(ask(logged)) for _ in range(4))
        await until(lambda: script.calls)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        return [response.text for response in await asyncio.gather(*rest)]

    assert asyncio.run(scenario()) == ["reply 1"] * 3
    assert len(script.calls) == 2


def test_a_cancelled_follower_leaves_the_call_alone() -> None:
    script = Script("reply", latency=lambda _: 0.01)
    logged = engine(script)

    async def scenario() -> list[str | None]:
        leader, follower, other = (asyncio.create_task(ask(logged)) for _ in range(3))
        await until(lambda: script.calls)
        follower.cancel()
        return [(await leader).text, (await other).text]

    assert asyncio.run(scenario()) == ["reply", "reply"]
    assert len(script.calls) == 1


def test_a_reply_is_used_only_as_the_log_gives_it_back() -> None:
    class Contrary(MemoryLog):
        def put(self, receipt: Receipt, **notes: Any) -> Future[Receipt]:
            earlier = Receipt(receipt.call, "the stored one", "length", thinking="hm")
            return super().put(earlier, **notes)

    logged = engine(Script("the drawn one"), Contrary())

    async def scenario() -> list[Response]:
        return list(await asyncio.gather(ask(logged), ask(logged)))

    with collect() as receipts:
        responses = asyncio.run(scenario())
    for response in responses:
        assert response.message.parts == (ThinkingPart("hm"), TextPart("the stored one"))
        assert response.finish_reason == "length"
    assert [receipt.text for receipt in receipts] == ["the stored one"] * 2


def test_nobody_goes_on_before_the_reply_is_committed() -> None:
    log = Slow()
    logged = engine(Script("reply"), log)

    async def scenario() -> None:
        tasks = [asyncio.create_task(ask(logged)) for _ in range(2)]
        await until(lambda: log.waiting)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(task.done() for task in tasks)
        log.commit()
        assert [r.text for r in await asyncio.gather(*tasks)] == ["reply"] * 2

    asyncio.run(scenario())


def test_the_slot_is_free_at_the_reply_and_not_at_the_commit() -> None:
    log, limiter = Slow(), Limiter(1)
    logged = engine(Script("reply"), log, limiter=limiter)

    async def scenario() -> None:
        tasks = [asyncio.create_task(ask(logged, f"{i}")) for i in range(3)]
        await until(lambda: len(log.waiting) == 3)
        assert limiter.in_flight == 0
        log.commit()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_a_call_cancelled_after_its_reply_still_lands_in_the_log() -> None:
    log = Slow()
    script = Script("reply")
    logged = engine(script, log)

    async def scenario() -> None:
        leader = asyncio.create_task(ask(logged))
        await until(lambda: log.waiting)
        follower = asyncio.create_task(ask(logged))
        await asyncio.sleep(0)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        latecomer = asyncio.create_task(ask(logged))
        await asyncio.sleep(0)
        log.commit()
        assert [r.text for r in await asyncio.gather(follower, latecomer)] == ["reply"] * 2

    asyncio.run(scenario())
    assert len(script.calls) == 1
    assert len(log._receipts) == 1


def test_a_log_that_fails_fails_everyone_who_asked() -> None:
    log = Slow()
    logged = engine(Script("reply"), log)

    async def scenario() -> list[BaseException | Response]:
        tasks = [asyncio.create_task(ask(logged)) for _ in range(2)]
        await until(lambda: log.waiting)
        log.waiting.pop()[1].set_exception(OSError("disk full"))
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [str(result) for result in asyncio.run(scenario())] == ["disk full"] * 2


def test_the_log_is_told_for_whom_a_call_was_made() -> None:
    log = Slow()
    logged = engine(Script("reply"), log)

    async def scenario() -> None:
        place.set(17)
        task = asyncio.create_task(ask(logged, system="Be brief.", temperature=0.5, seed=3))
        await until(lambda: log.waiting)
        log.commit()
        await task

    asyncio.run(scenario())
    notes = log.notes[0]
    assert notes["latency_s"] >= 0
    assert (notes["stage"], notes["place"]) == ("answers", 17)
    assert notes["prompt"] == '["Be brief.",[["user","hello"]]]'
    assert notes["options"] == '{"temperature":0.5}'


def test_a_receipt_tells_what_dspy_drops() -> None:
    reply = Response(
        id="x",
        model="served",
        message=Message.assistant([ThinkingPart("hm"), TextPart("reply")]),
        finish_reason="length",
        usage=Usage(input_tokens=3, output_tokens=9, reasoning_tokens=2),
    )
    with collect() as receipts:
        response = asked(engine(Script([reply])))
    receipt = receipts[0]
    assert receipt == Receipt(receipt.call, "reply", "length", "hm", "served", 3, 9, 2)
    assert (response.model, response.usage.output_tokens) == ("served", 9)


@pytest.mark.parametrize("text", ["", "水\x00🌊", "a\ud83cb", "\ud83c\udf0a"])
def test_any_reply_can_be_kept(text: str) -> None:
    try:
        part = TextPart(text)
    except ValueError:
        pytest.skip("DSPy itself refuses to hold this text")
    reply = Response(
        id=None, model="m", message=Message.assistant([part]), finish_reason="stop", usage=Usage()
    )
    response = asked(engine(Script([reply])))
    assert (response.text or "").encode("utf-8") is not None


@pytest.mark.parametrize(("send", "seeds"), [(True, [0, 5]), (False, [None, None])])
def test_the_sample_number_goes_out_as_seed_only_where_asked(send: bool, seeds: Any) -> None:
    script = Script("reply")
    logged = engine(script, backend={"send_seed": send})
    asked(logged, sample=0)
    asked(logged, sample=5)
    assert [call.request.config.seed for call in script.calls] == seeds


def test_a_sample_number_beyond_what_servers_take_is_folded() -> None:
    script = Script("reply")
    asked(engine(script, backend={"send_seed": True}), sample=(1 << 40) + 3)
    assert script.calls[0].request.config.seed == 3


def test_extras_and_the_models_own_name_go_out() -> None:
    script = Script("reply")
    asked(engine(script, backend={"extensions": {"min_p": 0.05}}), temperature=0.5)
    sent = script.calls[0].request
    assert (sent.model, sent.config.extensions) == ("scripted", {"min_p": 0.05})
    assert sent.config.temperature == 0.5


def test_the_weather_is_tried_again_and_nothing_else() -> None:
    script = Script("reply", failures={0: lm15.ServerError("down"), 1: lm15.TimeoutError("late")})
    assert asked(engine(script)).text == "reply"
    assert len(script.calls) == 3
    broken = Script("reply", failures={0: lm15.AuthError("bad key")})
    with pytest.raises(lm15.AuthError):
        asked(engine(broken))
    assert len(broken.calls) == 1


def test_a_dead_endpoint_is_given_up_after_its_first_tries() -> None:
    script = Script(lambda _: lm15.TransportError("refused"))
    logged = engine(script)
    with pytest.raises(lm15.TransportError):
        asked(logged)
    assert len(script.calls) == 3


def test_a_failure_is_of_everyone_who_waits_and_of_no_later_call() -> None:
    script = Script("reply", failures={0: lm15.AuthError("bad key")}, latency=lambda _: 0.002)
    logged = engine(script)

    async def both() -> list[BaseException | Response]:
        return list(await asyncio.gather(ask(logged), ask(logged), return_exceptions=True))

    assert [type(result) for result in asyncio.run(both())] == [lm15.AuthError] * 2
    assert asked(logged).text == "reply"


def calls(number: int) -> Budget:
    """Return a budget with so many calls left."""
    return Budget(BudgetConfig(budget_calls=number + 1), spent=Amount(calls=1))


def test_retries_hold_no_slot_while_they_wait() -> None:
    script = Script("reply", failures={0: lm15.RateLimitError("slow down", retry_after=0.05)})
    limiter = Limiter(1)
    logged = engine(script, limiter=limiter)

    async def scenario() -> None:
        first = asyncio.create_task(ask(logged, "first"))
        await until(lambda: script.calls and not script.in_flight)
        assert (await ask(logged, "second")).text == "reply"
        assert not first.done()
        await first

    asyncio.run(scenario())
    assert limiter.peak == 1


def test_the_budget_is_never_overshot_by_calls_in_flight() -> None:
    script = Script("reply", latency=lambda _: 0.001)
    logged = engine(script, budget=calls(7), limiter=Limiter(4))

    async def many() -> list[BaseException | Response]:
        work = (ask(logged, f"{i % 20}") for i in range(60))
        return await asyncio.gather(*work, return_exceptions=True)

    results = asyncio.run(many())
    assert len(script.calls) == 7
    assert sum(isinstance(r, BudgetSpent) for r in results) == 60 - 7 * 3


def test_what_the_log_holds_costs_nothing() -> None:
    log = MemoryLog()
    asked(engine(Script("reply"), log))
    assert asked(engine(Script("other"), log, budget=calls(0))).text == "reply"


def test_a_call_that_failed_gives_its_budget_back() -> None:
    script = Script("reply", failures={0: lm15.AuthError("no")})
    logged = engine(script, budget=calls(1))
    with pytest.raises(lm15.AuthError):
        asked(logged)
    assert asked(logged).text == "reply"
    with pytest.raises(BudgetSpent):
        asked(logged, "another")


def test_a_call_cancelled_on_the_wire_keeps_its_budget_for_it_may_be_billed() -> None:
    script = Script("reply", latency=lambda _: 0.005)
    logged = engine(script, budget=calls(2))

    async def cancelled() -> None:
        task = asyncio.create_task(ask(logged))
        await until(lambda: len(script.calls) == 1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(cancelled())
    assert asked(logged).text == "reply"
    with pytest.raises(BudgetSpent):
        asked(logged, "another")


@pytest.mark.parametrize("seed", range(4))
def test_random_cancellations_leave_nothing_in_flight(seed: int) -> None:
    rng = random.Random(seed)
    script = Script("reply", latency=lambda _: rng.random() / 2000)
    limiter, budget = Limiter(3), calls(1000)
    logged = engine(script, limiter=limiter, budget=budget)

    async def scenario() -> None:
        tasks: list[asyncio.Task[Response]] = []
        for _ in range(150):
            tasks.append(asyncio.create_task(ask(logged, f"{rng.randrange(12)}", rng.randrange(2))))
            if rng.random() < 0.5:
                rng.choice(tasks).cancel()
            if rng.random() < 0.3:
                await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())
    assert limiter.peak <= 3
    assert (limiter.in_flight, limiter.waiting, script.in_flight) == (0, 0, 0)
    assert len(logged._flights) == 0
    assert budget.spent.calls == 1 + len(script.calls)


def test_a_rollout_id_makes_a_new_call_and_is_not_sent() -> None:
    script = Script(lambda call: f"reply {call.sample}")
    lm = script.lm()
    said_ = [lm("q", rollout_id=i, temperature=1.0)[0] for i in (0, 1, 1, 2)]
    assert said_ == ["reply 0", "reply 1", "reply 1", "reply 2"]
    copied = lm.copy(rollout_id=9, temperature=1.0)
    assert copied("q")[0] == "reply 9"
    assert len(script.calls) == 4


def test_copies_share_limit_log_and_engine() -> None:
    script = Script("reply")
    lm = script.lm()
    for one in (lm, copy.deepcopy(lm), lm.copy(temperature=None)):
        assert engine_of(one) is engine_of(lm)
        one("q")
    assert len(script.calls) == 1


def test_a_schema_is_asked_for_only_where_the_endpoint_takes_one() -> None:
    takes, takes_not = (
        SyncHalf(engine(Script("x"), backend={"response_schema": known})) for known in (True, False)
    )
    assert takes.supports_response_schema
    assert "response_format" in takes.supported_params
    assert not takes_not.supports_response_schema
    assert "response_format" not in takes_not.supported_params


@pytest.mark.parametrize("model", ["gpt-5-mini", "o3-mini", "org/model:7b", "openai/gpt-5"])
def test_no_name_of_a_model_trips_a_rule_of_dspy(model: str) -> None:
    lm = logged_lm(Script("reply").backend(), retry=ONCE)
    assert neutral_name(model).startswith("ds2/")
    renamed = dspy.LM(
        neutral_name(model), engine=lm.engine, temperature=0.7, max_tokens=10, cache=False,
    )  # fmt: skip
    assert renamed("q") == ["reply"]


def test_a_foreign_error_arrives_as_one_of_dspy() -> None:
    lm = Script("x", failures={0: lm15.AuthError("bad key")}).lm(retry=ONCE)
    with pytest.raises(LMError, match="bad key"):
        lm("q")


def test_a_reply_that_was_cut_is_told_as_it_is() -> None:
    with collect() as receipts:
        asked(engine(Script(lambda _: said("half", "length"))))
    assert receipts[0].finish_reason == "length"


def test_a_script_sees_its_calls() -> None:
    script = Script(lambda call: str(call.number))
    asked(engine(script), "hello", 3, temperature=0.2)
    assert script.calls[0] == Call(0, 3, "\nhello", 0.2, script.calls[0].request)


def test_a_reply_without_measure_is_cut_and_counts_as_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ds2.engines.logged.MAX_REPLY", 100)
    logged = engine(Script("x" * 101))
    reply = asked(logged)
    assert (len(reply.text), reply.finish_reason) == (100, "length")
