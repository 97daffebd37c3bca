"""One model through DSPy's LiteLLM engine, for providers that its native engine does not know."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from dspy import lm15
from dspy.clients.engines import AsyncLiteLLMEngine

from ds2.engines.native import Shape, moderated_reply, read_reply
from ds2.engines.providers import stay_offline
from ds2.engines.redact import Redactor
from ds2.engines.retry import UnreachedError, never_sent, passing


class LiteLLMBackedEngine:
    """One attempt at a time through LiteLLM, under the protocol of every other engine.

    LiteLLM reads the provider's key from the environment by itself and sends it to that provider;
    `ds2.engines.resolve` refuses settings that would point it elsewhere.
    """

    def __init__(
        self, shape: Shape, *, timeout_s: float, redactor: Redactor, **client: Any
    ) -> None:
        """Open the engine; `client` are LiteLLM's own connection options, such as `api_key`."""
        stay_offline()
        # Its own notices on retries and event loops mean nothing to whoever reads our progress.
        logging.getLogger("LiteLLM").setLevel(logging.ERROR)
        self._shape = shape
        self._timeout_s = timeout_s
        self._redactor = redactor
        self._engine = AsyncLiteLLMEngine(timeout=timeout_s, **client)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._shape.model!r})"

    async def complete(self, request: lm15.Request) -> lm15.Response:
        """Return the reply to `request`, sent once.

        Raises:
            lm15.LM15Error: typed as LiteLLM's error means it; a connection that fails, a timeout
                and a reply that LiteLLM cannot read are the weather.
        """
        wire = self._shape.of(request)
        try:
            async with asyncio.timeout(self._timeout_s):
                return read_reply(await self._engine.complete(wire))
        except lm15.LM15Error as error:
            moderated = moderated_reply(error, wire)
            if moderated is not None:
                return moderated
            error.message = self._redactor.scrub(error.message)
            error.args = (error.message,)
            if type(error) is lm15.ProviderError and (error.status or 200) < 300:
                raise lm15.ServerError(error.message, status=error.status) from None
            if type(error) is lm15.TransportError and never_sent(error):
                raise UnreachedError(error.message) from None
            raise passing(error) from None
        except TimeoutError:
            raise lm15.TimeoutError(f"no reply within {self._timeout_s:g} s") from None
        except OSError as error:
            words = self._redactor.scrub(f"{type(error).__name__}: {error}")
            raise (UnreachedError if never_sent(error) else lm15.TransportError)(words) from None

    async def aclose(self) -> None:
        """Refuse further calls; LiteLLM keeps its own clients for the process."""
        await self._engine.aclose()
