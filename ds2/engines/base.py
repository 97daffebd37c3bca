"""What the machine room needs to know of a model: `Backend`, and the one-attempt engine it opens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dspy import lm15

from ds2.engines.prices import Price


class AsyncEngine(Protocol):
    """One attempt at one request: no cache, no retry, no limit, no log.

    An engine may hold loop-bound objects; it is used on the event loop it was opened for and on no
    other. It raises typed `lm15` errors: transport, timeout, 429 and 5xx are the weather and will
    be tried again by the caller; what cannot heal (no such model, bad key) is not.
    """

    async def complete(self, request: lm15.Request) -> lm15.Response: ...


@dataclass(frozen=True, slots=True)
class Backend:
    """One model behind one endpoint, as the call log and the `dspy.LM` know it.

    Args:
        model: the name that goes to the server.
        dialect: the wire dialect and the origin, such as `openai-chat https://host/v1`; part of the
            key of every call, holds no secret.
        open: makes a fresh inner engine for the event loop that runs.
        teacher: what stands behind it; rows and card carry it.
        thinking: the model reasons by itself, apart from its reply.
        fixed_temperature: the model takes no temperature; draws are plain repeats.
        max_tokens: limit on a reply, thinking included; None leaves it to the server.
        send_seed: whether the sample number goes out as `seed` (never relied on).
        response_schema: the endpoint takes a JSON schema.
        extensions: sampling extras that are passed through as they are, such as `min_p`.
        remote: the call leaves this process and may cost money.
        price: of its tokens; None where it is not known.
        several: one request may ask for several choices (`n`), if the endpoint takes it.
    """

    model: str
    dialect: str
    open: Callable[[], AsyncEngine]
    teacher: Literal["simulated", "model", "replay"] = "model"
    thinking: bool = False
    fixed_temperature: bool = False
    max_tokens: int | None = 2048
    send_seed: bool = False
    response_schema: bool = False
    extensions: Mapping[str, Any] = field(default_factory=dict)
    remote: bool = True
    price: Price | None = None
    several: bool = False
