"""What `ds2 check` finds out: does the endpoint answer, as whom, what it takes, which adapter parses.

Every verdict comes from a call that was made; a thing that could not be seen is `unknown`.
"""

from __future__ import annotations

import asyncio
import difflib
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import dspy
from dspy import lm15

from ds2.engines.address import parse_address
from ds2.engines.base import AsyncEngine, Backend
from ds2.engines.explain import explain, unreachable
from ds2.engines.limiter import Limiter
from ds2.engines.lm import logged_lm
from ds2.engines.native import NativeEngine
from ds2.engines.probes import Finding, Probe, together
from ds2.engines.providers import spelled
from ds2.engines.retry import RetryPolicy
from signatures.answers import answer_signature, lettered
from signatures.bloom import BloomLevel
from signatures.errors import EndpointError
from signatures.instructions import instruction_signature, notes_line
from signatures.keywords import AdvancedKeywords, CoreKeywords, PrerequisiteKeywords, task_line
from signatures.task import AnswerKind, TaskSpec

AdapterName = Literal["chat", "json-schema", "json"]
ADAPTERS: tuple[AdapterName, ...] = ("chat", "json-schema", "json")

_DRAWS = 3
_IN_FLIGHT = 8
_SHOWN = 8
_CONTEXT = "A shop sells pens in boxes of 12."


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found out about one model at one endpoint.

    Args:
        model: the name that was asked for.
        endpoint: dialect and address.
        answered_as: the model that the endpoint says it answered with.
        served: the models that the endpoint lists; None where it lists none.
        thinking: the model reasons by itself.
        takes: by option (temperature, seed, n, response_schema, max_tokens) what was seen.
        latency_s: median of three plain calls, seconds.
        parses: by adapter, by signature, None where the reply parsed, else why not.
        adapter: the first adapter with which every signature parses; None where there is none.
        problems: what is wrong, in plain words; empty when the model can be used.
    """

    model: str
    endpoint: str
    answered_as: str
    served: tuple[str, ...] | None
    thinking: bool
    takes: Mapping[str, Finding]
    latency_s: float | None
    parses: Mapping[AdapterName, Mapping[str, str | None]]
    adapter: AdapterName | None
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Return whether the model can be used."""
        return not self.problems

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values."""
        return {
            "ok": self.ok,
            "model": self.model,
            "endpoint": self.endpoint,
            "answered_as": self.answered_as,
            "served": None if self.served is None else list(self.served),
            "thinking": self.thinking,
            "takes": {
                name: {"verdict": finding.verdict, "words": finding.words}
                for name, finding in self.takes.items()
            },
            "latency_s": self.latency_s,
            "parses": {adapter: dict(stages) for adapter, stages in self.parses.items()},
            "adapter": self.adapter,
            "problems": list(self.problems),
        }


def check(backend: Backend, task: TaskSpec) -> CheckReport:
    """Return what can be found out about `backend` in a few seconds and some twenty calls.

    Args:
        backend: see `ds2.engines.resolve.resolve_backend`; an attempt should not take minutes.
        task: whose signatures are tried.

    Raises:
        EndpointError: the endpoint is down, refuses us, or does not serve the model.
    """
    return asyncio.run(acheck(backend, task))


async def acheck(backend: Backend, task: TaskSpec) -> CheckReport:
    """Return what `check` returns, from within an event loop."""
    engine = backend.open()
    try:
        return await _check(backend, engine, task)
    except (lm15.LM15Error, dspy.utils.exceptions.LMError) as error:
        raise (explain(error, backend) or unreachable(error, backend)) from error
    finally:
        close = getattr(engine, "aclose", None)
        if close is not None:
            await close()


async def _check(backend: Backend, engine: AsyncEngine, task: TaskSpec) -> CheckReport:
    probe = Probe(backend, engine, _prompt(backend, task))
    served = await probe.models()
    own_server = isinstance(engine, NativeEngine) and engine.own_server
    if own_server and served:
        _refuse_unknown(backend, served, own_server=True)
    try:
        reply = await probe.plain()
    except lm15.InvalidRequestError as error:
        # A provider may serve more names than it lists, so that its refusal comes first.
        if served and (isinstance(error, lm15.UnsupportedModelError) or error.status == 404):
            _refuse_unknown(backend, served, own_server=own_server)
        raise
    takes = await _takes(probe)
    parses = await _parses(backend, task, schema=takes["response_schema"].verdict != "no")
    adapter = next((a for a in ADAPTERS if a in parses and not any(parses[a].values())), None)
    answered_as = reply.model or ""
    problems = [
        *([_other_model(backend, answered_as)] if own_server else []),
        *_problems(takes),
        "" if adapter else "no adapter gets every signature parsed: try a larger model",
    ]
    return CheckReport(
        model=backend.model,
        endpoint=backend.dialect,
        answered_as=answered_as,
        served=served,
        thinking=backend.thinking,
        takes=takes,
        latency_s=statistics.median(probe.latencies_s) if probe.latencies_s else None,
        parses=parses,
        adapter=adapter,
        problems=tuple(problem for problem in problems if problem),
    )


async def _takes(probe: Probe) -> dict[str, Finding]:
    names = ("temperature", "seed", "n", "response_schema", "max_tokens")
    findings = await together(
        probe.temperature(), probe.seed(), probe.n(), probe.schema(), probe.limit()
    )
    return dict(zip(names, findings, strict=True))


def _problems(takes: Mapping[str, Finding]) -> list[str]:
    found = []
    if takes["temperature"].verdict == "no":
        found.append(takes["temperature"].words)
    if takes["seed"].verdict == "equal":
        found.append(takes["seed"].words)
    if takes["max_tokens"].verdict == "no":
        found.append(f"the limit on a reply is not honoured: {takes['max_tokens'].words}")
    return found


def _same_model(asked: str, answered: str) -> bool:
    """Return whether `answered` names the model asked for: a tag, date or folder may be added."""
    asked, answered = asked.casefold(), answered.casefold()
    return (
        answered == asked
        or answered == f"{asked}:latest"
        or answered.startswith(f"{asked}-20")
        or answered.rsplit("/", 1)[-1] == asked.rsplit("/", 1)[-1]
    )


def _refuse_unknown(backend: Backend, served: tuple[str, ...], *, own_server: bool) -> None:
    """Raise unless the model is among those served; the error names the nearest."""
    if any(_same_model(backend.model, name) for name in served):
        return
    place = backend.dialect.split(" ", 1)[-1]
    nearest = _nearest(backend.model, served)
    if own_server:
        address = parse_address(place)
        nearest = [f"--model {spelled(name, address)}" for name in nearest]
    raise EndpointError.rule(
        f"Checking the model at {place} failed",
        name="--model",
        rule="be one of the models served there: "
        + ", ".join(served[:_SHOWN])
        + (f" and {len(served) - _SHOWN} more" if len(served) > _SHOWN else ""),
        value=backend.model,
        todo=f"Nearest: {' or '.join(nearest)}.",
    )


def _nearest(model: str, served: tuple[str, ...]) -> list[str]:
    wanted = model.casefold()
    folded = {name.casefold(): name for name in served}
    near = [name for name in served if name.casefold().endswith(f"/{wanted}")]
    near += [folded[n] for n in difflib.get_close_matches(wanted, folded, n=3, cutoff=0.4)]
    return (list(dict.fromkeys(near)) or list(served))[:3]


def _other_model(backend: Backend, answered: str) -> str:
    if not answered or _same_model(backend.model, answered):
        return ""
    return f"another model answered: {answered!r} where {backend.model!r} was asked for"


def _prompt(backend: Backend, task: TaskSpec) -> lm15.Request:
    """Return the request for core keywords: a reply that is long and varies from draw to draw."""
    turns = dspy.ChatAdapter().format(CoreKeywords, [], _stages(task, thinking=False)["core"][1])
    system = "\n\n".join(turn["content"] for turn in turns if turn["role"] == "system")
    users = [turn["content"] for turn in turns if turn["role"] == "user"]
    return lm15.Request(
        model=backend.model,
        system=system,
        messages=tuple(lm15.Message.user(text) for text in users),
    )


async def _parses(
    backend: Backend, task: TaskSpec, *, schema: bool
) -> dict[AdapterName, dict[str, str | None]]:
    limiter = Limiter(_IN_FLIGHT)
    tried = [name for name in ADAPTERS if schema or name != "json-schema"]
    results = await together(*(_parses_with(name, backend, task, limiter) for name in tried))
    return dict(zip(tried, results, strict=True))


async def _parses_with(
    name: AdapterName, backend: Backend, task: TaskSpec, limiter: Limiter
) -> dict[str, str | None]:
    backend = replace(backend, response_schema=name == "json-schema")
    lm = logged_lm(
        backend,
        limiter=limiter,
        retry=RetryPolicy(attempts=3, first_attempts=2),
        stage="check",
    )
    adapter = (
        dspy.ChatAdapter(use_json_adapter_fallback=False) if name == "chat" else dspy.JSONAdapter()
    )
    stages = _stages(task, thinking=backend.thinking)
    with dspy.context(lm=lm, adapter=adapter, trace=None, disable_history=True):
        reasons = await together(
            *(_stage(dspy.Predict(signature), inputs) for signature, inputs in stages.values())
        )
    return dict(zip(stages, reasons, strict=True))


async def _stage(predict: dspy.Predict, inputs: Mapping[str, Any]) -> str | None:
    """Return None when the signature parses: at the first draw, or at both of two more."""
    reason = await _draw(predict, inputs, 0)
    if reason is None:
        return None
    more = [await _draw(predict, inputs, number) for number in range(1, _DRAWS)]
    return None if not any(more) else reason


async def _draw(predict: dspy.Predict, inputs: Mapping[str, Any], number: int) -> str | None:
    try:
        prediction = await predict.acall(**inputs, config={"rollout_id": number})
    except dspy.utils.exceptions.AdapterParseError as error:
        said = " ".join((error.lm_response or "").split())
        return f"does not parse: {said[:120]!r}" if said else "the reply is empty"
    empty = [name for name in predict.signature.output_fields if not prediction[name]]
    return f"{', '.join(empty)} is empty" if empty else None


def _stages(
    task: TaskSpec, *, thinking: bool
) -> dict[str, tuple[type[dspy.Signature], dict[str, Any]]]:
    """Return every signature with inputs as a run would give them."""
    line, words = task_line(task), task.example_keywords or ("basic concepts", "methods")
    common: dict[str, Any] = {"task": line, "language": task.language, "count": 20}
    seeds = {**common, "seeds": ", ".join(words[:2]), "known": ", ".join(words)}
    level = BloomLevel.APPLY
    write: dict[str, Any] = {
        "task": line,
        "level": str(level),
        "demand": level.demand,
        "notes": notes_line(task),
        "language": task.language,
    }
    if task.context == "passage":
        write["context"] = _CONTEXT
    pair = {"first_keyword": words[0], "second_keyword": words[-1]}
    return {
        "core": (CoreKeywords, {**common, "examples": ", ".join(words)}),
        "prerequisite": (PrerequisiteKeywords, seeds),
        "advanced": (AdvancedKeywords, seeds),
        "write-single": (instruction_signature(task, 1), {**write, "keyword": words[0]}),
        "write-pair": (instruction_signature(task, 2), {**write, **pair}),
        "answer": (answer_signature(task, thinking=thinking), _question(task)),
    }


def _question(task: TaskSpec) -> dict[str, Any]:
    inputs: dict[str, Any] = {"question": "A box holds 12 pens. How many pens do 3 boxes hold?"}
    if task.answer.kind is AnswerKind.CHOICE:
        wrong = [str(36 + step) for step in range(1, max(task.answer.options))]
        inputs["options"] = lettered(("36", *wrong))
    if task.answer.kind is AnswerKind.LABEL:
        inputs["question"] = "Do 3 boxes of 12 pens hold 36 pens?"
    if task.context != "none":
        inputs["context"] = _CONTEXT
    return inputs
