"""How many calls a second one process makes of an endpoint, and what a call costs it.

    python -m benchmarks.throughput [--quick] [--only calls|pipeline|shared] [--seconds 8]

Servers run in processes of their own, latency is drawn evenly from 0.25 to 0.75 s, so that C calls in
flight can make C / 0.5 calls a second at best: the ideal. Four tables, in Markdown:

- calls: `dspy.ChainOfThought` over our language model (as a run has it, logged to a real store; and
  as `make_lm` gives it, logged in memory), over stock DSPy (its native engine, and LiteLLM), DSPy's
  core over an engine that only sleeps, and a bare client loop; against a server that only waits;
- goals: what the README promises of them;
- pipeline: whole runs of `ds2 run` against `ds2 simulate`, evenly drawn and heavy-tailed latency,
  without and with hedging; the ideal is that of the calls the run made;
- shared: tokens and requests of votes by a program with four demos, without and with `--coalesce`.

Clients and runs take turns, several rounds; a figure is the median of its rounds. Rates are taken over a
window after a warm-up (slow start). CPU is that of the whole client process, all threads.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

LOW_S, HIGH_S = 0.25, 0.75
MEAN_S = (LOW_S + HIGH_S) / 2
WIDTHS = (64, 256, 512)
SHARES = {64: 0.95, 256: 0.90, 512: 0.75}
SAID = (
    "[[ ## reasoning ## ]]\nOne box holds 12 pens, so three boxes hold 3 times as many, which is 36."
    "\n\n[[ ## answer ## ]]\n36\n\n[[ ## completed ## ]]"
)
DS2 = [sys.executable, "-c", "from ds2.cli.app import main; main()"]


# The server that only waits.


class Waiter(asyncio.Protocol):
    """Answers each request on a connection with one body, after a while."""

    def __init__(self, reply: bytes, rng: random.Random) -> None:
        self.reply, self.rng, self.buffer = reply, rng, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if blank and len(body) >= (int(length[1]) if length else 0):
            self.buffer = b""
            loop = asyncio.get_running_loop()
            loop.call_later(self.rng.uniform(LOW_S, HIGH_S), self.answer)

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.reply)


async def serve() -> None:
    """Serve until the process is ended; the first line of output is the address."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": SAID},
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 220, "completion_tokens": 60, "total_tokens": 280}
    body = json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "simulated",
            "choices": [choice],
            "usage": usage,
        }
    ).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    rng, loop = random.Random(0), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Waiter(head.encode() + body, rng), "127.0.0.1", 0, backlog=4096
    )
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    await server.serve_forever()


@contextmanager
def process(command: list[str], said_on: str) -> Iterator[str]:
    """Run a server in a process of its own while the block runs; yield its address."""
    streams = {said_on: subprocess.PIPE}
    server = subprocess.Popen(command, text=True, **streams)  # type: ignore[call-overload]
    try:
        line = getattr(server, said_on).readline()
        yield re.search(r"http://\S+", line)[0]  # type: ignore[index]
    finally:
        server.terminate()
        server.wait()


def waiting_server() -> Any:
    return process([sys.executable, "-m", "benchmarks.throughput", "--serve"], "stdout")


# One client after another against it.


class Rate(NamedTuple):
    """What a window of a client came to: calls a second, CPU seconds a call."""

    a_second: float
    cpu_s: float


async def measured(call: Callable[[int], Awaitable[Any]], width: int, seconds: float) -> Rate:
    """Return the rate of `width` workers that call without a pause, over a window after a warm-up."""
    done, number = 0, iter(range(1 << 40))

    async def work() -> None:
        nonlocal done
        for mine in number:
            await call(mine)
            done += 1

    await call(-1)  # LiteLLM takes seconds to be imported
    workers = [asyncio.create_task(work()) for _ in range(width)]
    # Slow start doubles the calls in flight with every round trip.
    await asyncio.sleep(2 + MEAN_S * width.bit_length())
    began, cpu, before = time.perf_counter(), time.process_time(), done
    await asyncio.sleep(seconds)
    calls = done - before
    rate = Rate(calls / (time.perf_counter() - began), (time.process_time() - cpu) / max(1, calls))
    failed = [worker for worker in workers if worker.done()]
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    for worker in failed:
        worker.result()
    return rate


async def bare(url: str, width: int, seconds: float) -> Rate:
    """Return the rate of a loop over aiohttp with a prompt as DSPy renders it."""
    import aiohttp

    body = {"model": "simulated", "temperature": 0.7, "max_tokens": 2048, "messages": PROMPT}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=width)) as session:

        async def call(number: int) -> str:
            async with session.post(f"{url}/chat/completions", json=body | {"seed": number}) as got:
                reply = await got.json()
            return str(reply["choices"][0]["message"]["content"])

        return await measured(call, width, seconds)


PROMPT = [
    {"role": "system", "content": "Your input and output fields are described here. " * 18},
    {"role": "user", "content": "[[ ## question ## ]]\nHow many pens do 3 boxes hold?" * 3},
]


class Sleeper:
    """DSPy's engine without a network: it sleeps as long as the server would."""

    def complete(self, request: Any) -> Any:
        raise NotImplementedError

    def said(self, request: Any) -> Any:
        from dspy import lm15

        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant([lm15.TextPart(SAID)]),
            finish_reason="stop",
            usage=lm15.Usage(input_tokens=220, output_tokens=60),
        )


class AsyncSleeper(Sleeper):
    """The half of it that is used."""

    async def complete(self, request: Any) -> Any:
        await asyncio.sleep(random.uniform(LOW_S, HIGH_S))
        return self.said(request)


def quiet() -> Any:
    """Return the context of a language model alone: no history, no trace."""
    import dspy

    return dspy.context(adapter=dspy.ChatAdapter(), disable_history=True, trace=None)


async def chain(lm: Any, width: int, seconds: float, context: Any) -> Rate:
    """Return the rate of `dspy.ChainOfThought` over a language model, another question each call."""
    import dspy

    solve = dspy.ChainOfThought("question -> answer")
    with context, dspy.context(lm=lm):

        def call(number: int) -> Any:
            config = {"rollout_id": number, "temperature": 0.7}
            return solve.acall(question=f"How many pens do {number} boxes hold?", config=config)

        return await measured(call, width, seconds)


async def ours(url: str, width: int, seconds: float, *, stored: bool) -> Rate:
    """Return the rate of our language model: as a run has it, or as `make_lm` gives it."""
    from ds2.config import BudgetConfig
    from ds2.engines.lm import engine_of, limiter_for, logged_lm
    from ds2.engines.logged import MemoryLog
    from ds2.engines.resolve import resolve_backend
    from ds2.runtime.budgets import open_budget
    from ds2.runtime.quiet import quiet_dspy
    from ds2.store import RunStore

    backend = resolve_backend("simulated", api_base=url, concurrency=width, environ={})
    with tempfile.TemporaryDirectory() as folder:
        log: Any = RunStore(Path(folder)) if stored else MemoryLog()
        budget = open_budget(BudgetConfig(), {"program": backend}, log) if stored else None
        lm = logged_lm(backend, log=log, limiter=limiter_for(backend, width), budget=budget)
        try:
            return await chain(lm, width, seconds, quiet_dspy("chat") if stored else quiet())
        finally:
            await engine_of(lm).aclose()
            if stored:
                log.close()


def clients(url: str) -> dict[str, Callable[[int, float], Any]]:
    """Return every client by its name: a coroutine of (width, seconds)."""

    def stock(**engine: Any) -> Any:
        import dspy

        # As DSPy's own guide has it: nothing is switched off but the cache.
        lm = dspy.LM("openai/simulated", api_base=url, api_key="none", cache=False, **engine)
        return lambda width, seconds: chain(lm, width, seconds, dspy.context())

    def core(width: int, seconds: float) -> Any:
        import dspy

        lm = dspy.LM("local/m", engine=Sleeper(), async_engine=AsyncSleeper(), cache=False)
        return chain(lm, width, seconds, quiet())

    return {
        "DS2, logged to a store": lambda w, s: ours(url, w, s, stored=True),
        "DS2, logged in memory": lambda w, s: ours(url, w, s, stored=False),
        "DSPy, native engine": stock(),
        "DSPy, LiteLLM": stock(engine="litellm"),
        "DSPy's core, no network": core,
        "bare client loop": lambda w, s: bare(url, w, s),
    }


def calls_table(
    widths: tuple[int, ...], seconds: float, rounds: int
) -> dict[tuple[str, int], Rate]:
    """Print and return what each client makes of the waiting server."""
    rates: dict[tuple[str, int], list[Rate]] = {}
    with waiting_server() as url:
        named = clients(url)
        for _ in range(rounds):
            for width in widths:
                for name, client in named.items():
                    gc.collect()
                    rate = asyncio.run(client(width, seconds))
                    rates.setdefault((name, width), []).append(rate)
    middle = {
        key: Rate(*(statistics.median(values) for values in zip(*found, strict=True)))
        for key, found in rates.items()
    }
    print("\n| client | " + " | ".join(f"{w}: calls/s (share), ms CPU" for w in widths) + " |")
    print("| --- |" + " --- |" * len(widths))
    for name in named:
        cells = []
        for width in widths:
            rate = middle[name, width]
            share = rate.a_second * MEAN_S / width
            cells.append(f"{rate.a_second:.0f} ({share:.2f}), {1e3 * rate.cpu_s:.2f}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return middle


def goals_table(rates: dict[tuple[str, int], Rate], widths: tuple[int, ...]) -> None:
    """Print what of the goals is met."""
    print("\n| goal | measured | wanted | |")
    print("| --- | --- | --- | --- |")

    def row(name: str, measured: float, wanted: float, met: bool) -> None:
        print(f"| {name} | {measured:.2f} | {wanted:.2f} | {'met' if met else '**not met**'} |")

    for width in widths:
        stored = rates["DS2, logged to a store", width]
        share = stored.a_second * MEAN_S / width
        row(f"share of the ideal at {width}", share, SHARES[width], share >= SHARES[width])
    for width in widths:
        floor = (
            rates["DSPy's core, no network", width].cpu_s + rates["bare client loop", width].cpu_s
        )
        for log in ("in memory", "to a store"):
            ratio = rates[f"DS2, logged {log}", width].cpu_s / floor
            row(f"CPU a call over core + loop at {width}, {log}", ratio, 1.15, ratio <= 1.15)
    if 256 in widths:
        stock = rates["DSPy, native engine", 256].a_second
        times = rates["DS2, logged to a store", 256].a_second / stock
        row("times stock DSPy at 256", times, 2.0, times >= 2)


# Whole runs.


@dataclass(frozen=True)
class Pipeline:
    """One run of the pipeline: its name, options of the server and of `ds2 run`, the goal."""

    name: str
    server: tuple[str, ...]
    options: tuple[str, ...]
    goal: float


EVEN = ("--latency", str(MEAN_S), "--jitter", str(HIGH_S - MEAN_S))
TAILED = ("--latency", str(MEAN_S), "--sigma", "1")
PIPELINES = (
    Pipeline("even", EVEN, (), 0.80),
    Pipeline("lognormal, sigma 1", TAILED, (), 0.70),
    Pipeline("lognormal, sigma 1, `--hedge`", TAILED, ("--hedge",), 0.70),
)


def run_pipeline(
    server: tuple[str, ...], options: tuple[str, ...], target: int
) -> tuple[dict[str, Any], float]:
    """Return the summary of a run over HTTP, and the CPU seconds of its process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        process([*DS2, "simulate", "--port", "0", *server], "stderr") as url,
    ):
        out = Path(folder) / "run"
        command = [*DS2, "run", "gsm8k", "-n", str(target), "--out", str(out), "--quiet"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [*command, "--model", "simulated", "--api-base", url, *options],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return json.loads((out / "summary.json").read_text()), cpu_s


def pipeline_table(target: int, width: int, rounds: int) -> None:
    """Print what whole runs make of `ds2 simulate`: the median run, and the shares of all."""
    print(
        f"\n| {target} rows at {width} | calls | requests | seconds | CPU, s | share of the ideal "
        "| each | goal |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    done: dict[str, list[tuple[float, float, dict[str, Any]]]] = {}
    for _ in range(rounds):
        for pipeline in PIPELINES:
            options = ("--concurrency", str(width), *pipeline.options)
            summary, cpu_s = run_pipeline(pipeline.server, options, target)
            share = summary["new_calls"] * MEAN_S / width / summary["wall_s"]
            done.setdefault(pipeline.name, []).append((share, cpu_s, summary))
    for pipeline in PIPELINES:
        runs = sorted(done[pipeline.name], key=lambda run: run[0])
        share, cpu_s, summary = runs[len(runs) // 2]
        print(
            f"| {pipeline.name} | {summary['new_calls']:,} | {summary['requests']:,} | "
            f"{summary['wall_s']:.1f} | {cpu_s:.1f} | {share:.2f} | "
            f"{', '.join(f'{run[0]:.2f}' for run in runs)} | {pipeline.goal:.2f} |",
            flush=True,
        )


# Draws that share a request.


def with_demos(path: Path) -> None:
    """Save a program whose answers come after four demos, as an optimizer would leave it."""
    import dspy

    from programs.synthesis import DS2Instruct
    from signatures.task import load_task

    program = DS2Instruct(load_task("gsm8k"))
    program.vote.draw.predict.demos = [
        dspy.Example(
            question=f"A crate holds {size} jars and a van takes {crates} crates. "
            f"{size} jars break on the way. How many whole jars arrive?",
            reasoning=f"The van takes {crates} x {size} = {crates * size} jars. {size} of them break, "
            f"which leaves {crates * size} - {size} = {crates * size - size}.",
            answer=str(crates * size - size),
        )
        for size, crates in ((6, 9), (12, 7), (8, 15), (24, 4))
    ]
    program.save(path)


def shared_table(target: int) -> None:
    """Print what sharing requests saves a program with four demos."""
    print("\n| draws of a wave, four demos | requests | tokens in | tokens out | seconds |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.json"
        with_demos(program)
        for name, coalesce in (("one by one", "off"), ("in one request", "on")):
            options = ("--program", str(program), "--coalesce", coalesce, "--no-stage-check")
            summary, _ = run_pipeline(EVEN, options, target)
            answers = summary["stages"]["answers"]
            print(
                f"| {name} | {summary['requests']:,} | {answers['input_tokens']:,} | "
                f"{answers['output_tokens']:,} | {summary['wall_s']:.1f} |",
                flush=True,
            )


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="256 in flight, short windows and runs"
    )
    parser.add_argument("--only", choices=("calls", "pipeline", "shared"))
    parser.add_argument("--seconds", type=float, help="length of a window; 8, or 4 with --quick")
    parser.add_argument(
        "--rounds", type=int, help="rounds of clients and runs; 3, or 1 with --quick"
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        with suppress(KeyboardInterrupt):
            asyncio.run(serve())
        return
    # What stock DSPy warns of at each call would be part of its figures.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    logging.getLogger("dspy").setLevel(logging.ERROR)
    widths = (256,) if given.quick else WIDTHS
    seconds = given.seconds or (4.0 if given.quick else 8.0)
    rounds = given.rounds or (1 if given.quick else 3)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}")
    if given.only in (None, "calls"):
        goals_table(calls_table(widths, seconds, rounds), widths)
    if given.only in (None, "pipeline"):
        pipeline_table(300 if given.quick else 3000, 256, rounds)
    if given.only in (None, "shared"):
        shared_table(60 if given.quick else 300)


if __name__ == "__main__":
    main()
