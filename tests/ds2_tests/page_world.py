"""What stands in for the world when a page's commands run: providers, servers, browser, Hub, Ctrl-C.

The commands stay as they are written. What leaves the process goes to a server on loopback that
answers as the simulated teacher does, in OpenAI's shape and in that of Anthropic's Messages.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import datasets
import huggingface_hub
import pytest
import typer
from aiohttp import web
from dspy._vendor.lm15.transports import (
    StdlibAsyncTransport,
    StdlibTransport,
    TransportRequest,
)

import ds2.server.serve as serving
from ds2.engines.teacher import Teacher
from ds2.runtime.stopping import Stop
from ds2.server.app import SimulatedServer
from ds2.server.protocol import read_call
from ds2.server.serve import served

#: The hosts that pages name, the models they have there, and the header that brings the key.
HOSTS = {
    "api.openai.com": (("gpt-4.1-mini", "gpt-4.1"), "authorization"),
    "api.anthropic.com": (("claude-sonnet-4-5",), "x-api-key"),
    "localhost:8000": (("Qwen/Qwen3-8B",), None),
    "localhost:11434": (("llama3.1",), None),
}
_PROVIDERS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "ollama": "localhost:11434",
}
_KEYS = frozenset({"authorization", "x-api-key", "api-key"})
_STOPS = {"length": "max_tokens", "content_filter": "refusal"}


class ProviderServer(SimulatedServer):
    """The simulated teacher under the providers' names, also in the shape of Anthropic's Messages."""

    def __init__(self) -> None:
        names = tuple(name for models, _ in HOSTS.values() for name in models)
        super().__init__(Teacher(0), models=names)
        self.app.router.add_post("/v1/messages", self._message)

    async def _message(self, request: web.Request) -> web.Response:
        asked = await request.json()
        assert request.headers["anthropic-version"]
        assert asked["max_tokens"] > 0
        turns = [{"role": "system", "content": _text(asked["system"])}] if "system" in asked else []
        turns += [{"role": m["role"], "content": _text(m["content"])} for m in asked["messages"]]
        chat = {
            name: asked[name] for name in ("model", "temperature", "max_tokens") if name in asked
        }
        body = self._body(read_call(json.dumps({**chat, "messages": turns}).encode()))
        (choice,) = body["choices"]
        said = {
            "id": body["id"],
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [{"type": "text", "text": choice["message"]["content"]}],
            "stop_reason": _STOPS.get(choice["finish_reason"], "end_turn"),
            "usage": {
                "input_tokens": body["usage"]["prompt_tokens"],
                "output_tokens": body["usage"]["completion_tokens"],
            },
        }
        return web.json_response(said)


@dataclass
class World:
    """What was asked of the world, to be looked at by the test."""

    url: str
    hosts: dict[str, int] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def redirected(self, request: TransportRequest) -> TransportRequest:
        """Return a request for the server that stands in, once host, model and key are right."""
        where = urlsplit(request.url)
        if where.hostname == "127.0.0.1":
            return request
        models, key = HOSTS[where.netloc]
        brought = {name.lower() for name, _ in request.headers} & _KEYS
        assert brought == ({key} if key else set()), f"{where.netloc} was sent {brought}"
        if request.body:
            assert json.loads(request.body)["model"] in models
        self.hosts[where.netloc] = self.hosts.get(where.netloc, 0) + 1
        stand_in = urlsplit(self.url)
        url = where._replace(scheme=stand_in.scheme, netloc=stand_in.netloc).geturl()
        return replace(request, url=url)

    @contextmanager
    def serving(self, arguments: Sequence[str]) -> Iterator[None]:
        """Look at what a command serves while the block runs, then end it as Ctrl-C does."""
        pages = {"watch": ("/",), "simulate": ("/v1/models", "/stats")}.get(arguments[1])
        if pages is None:
            yield
            return
        ports: list[int] = []
        listen = serving.listen

        def on_a_free_port(host: str, port: int) -> socket.socket:
            del port  # the one in the page may be taken on this machine
            found = listen(host, 0)
            ports.append(found.getsockname()[1])
            return found

        patch = pytest.MonkeyPatch()
        patch.setattr(serving, "listen", on_a_free_port)
        # The process goes on after this command, as one that was stopped does not.
        patch.setattr(Stop, "watch", lambda _: None)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        thread = threading.Thread(target=self._look, args=(pages, ports), daemon=True)
        thread.start()
        before = len(self.fetched)
        try:
            yield
        finally:
            thread.join()
            patch.undo()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        assert len(self.fetched) == before + len(pages)

    @contextmanager
    def asked(self, arguments: Sequence[str]) -> Iterator[None]:
        """Hold a command that names a model to ask the host of that model, and no other."""
        options = dict(pairwise(arguments))
        before = dict(self.hosts)
        yield
        asked = {host for host in self.hosts if self.hosts[host] > before.get(host, 0)}
        if "--model" not in options or (arguments[1] == "plan" and "--pilot" not in options):
            assert not asked or "--config" in options  # a study's file names the model
            return
        provider, _, name = options["--model"].partition("/")
        served = urlsplit(options.get("--api-base", "")).netloc
        host = served or _PROVIDERS[provider]
        assert asked <= {host}, f"{host} should be asked, not {asked}"
        assert host in self.hosts  # now, or by the command that this one goes on from
        assert (options["--model"] if served else name) in HOSTS[host][0]

    def _look(self, pages: Sequence[str], ports: list[int]) -> None:
        try:
            until_s = time.monotonic() + 30
            while not ports and time.monotonic() < until_s:
                time.sleep(0.01)
            for page in pages:
                assert _fetched(f"http://127.0.0.1:{ports[0]}{page}", until_s)
                self.fetched.append(page)
        finally:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _fetched(address: str, until_s: float) -> bytes:
    """Return a page; a port is bound a moment before anyone listens to it."""
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as reply:  # noqa: S310 - our own
                return bytes(reply.read())
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            if time.monotonic() > until_s:
                raise
            time.sleep(0.02)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@contextmanager
def provider_server() -> Iterator[str]:
    """Serve the stand-in while the block runs; give its URL."""
    with served(ProviderServer()) as running:
        yield running.url


def stand_in(monkeypatch: pytest.MonkeyPatch, url: str) -> World:
    """Put the stand-ins in the place of the world for one test."""
    world = World(url)
    for transport in (StdlibAsyncTransport, StdlibTransport):
        real = transport.stream
        monkeypatch.setattr(
            transport,
            "stream",
            lambda self, request, real=real: real(self, world.redirected(request)),
        )
    monkeypatch.setattr(typer, "launch", lambda address: world.opened.append(address))
    _hub(monkeypatch, world)
    return world


def _hub(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    class Hub:
        def __init__(self, token: str) -> None:
            assert token == "hf-of-a-page"

        def create_repo(self, repo: str, **_: Any) -> None:
            world.pushed.append(repo)

        def upload_file(self, *, path_or_fileobj: Path, **_: Any) -> None:
            world.pushed.append(Path(path_or_fileobj).name)

    def rows(self: datasets.Dataset, repo: str, **_: Any) -> None:
        world.pushed.append(f"{len(self)} rows")

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(datasets.Dataset, "push_to_hub", rows)
