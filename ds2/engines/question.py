"""What all draws of one prompt have in common: rendered and hashed once, whatever the sample."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from json.encoder import encode_basestring
from typing import Any, Protocol

from dspy.lm15 import Config, Request

from ds2.engines.base import Backend
from signatures.records import ID_BYTES, canonical_json


class _Hash(Protocol):
    def copy(self) -> _Hash: ...

    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


class Question:
    """One request to one backend, without a sample number.

    Args:
        backend: the model.
        request: what is asked.

    Attributes:
        prompt: the messages as canonical JSON.
        options: the sampling options as canonical JSON; a seed is none of them.
    """

    __slots__ = ("_backend", "_begun", "_wire", "options", "prompt", "request")

    def __init__(self, backend: Backend, request: Request) -> None:
        self._backend = backend
        self._wire: Request | None = None
        self.request = request
        self.prompt, self.options = rendered(request)
        self._begun = _begun(backend, self.prompt, self.options)

    @property
    def wire(self) -> Request:
        """Return the request under the model's own name and with its extras, still without a seed."""
        if self._wire is None:
            self._wire = _wire(self._backend, self.request)
        return self._wire

    @property
    def id(self) -> str:
        """Return what all samples have in common, and no other question has."""
        return self._begun.hexdigest()

    def key(self, sample: int) -> str:
        """Return the key of the call for one sample, see `call_key`."""
        whole = self._begun.copy()
        whole.update(b"%d]" % sample)
        return whole.hexdigest()


def call_key(backend: Backend, prompt: str, options: str, sample: int) -> str:
    """Return the key of a call: the hash of all that decides its reply.

    In symbols: H(model, dialect, extras, rendered request, sampling options, sample number), H being
    `signatures.records.content_id` of the list of them. A seed on the wire is no part of it, for it
    follows from the sample number.
    """
    whole = _begun(backend, prompt, options)
    whole.update(b"%d]" % sample)
    return whole.hexdigest()


def rendered(request: Request) -> tuple[str, str]:
    """Return the prompt and the sampling options of a request, each as one canonical text."""
    if isinstance(request.system, str | None) and not request.tools:
        # What `canonical_json` says of turns of text, without its detour over objects.
        turns = [(m.role, m.text) for m in request.messages]
        if all(text is not None for _, text in turns):
            told = ",".join(f"[{_quoted(role)},{_quoted(text or '')}]" for role, text in turns)
            return f"[{_quoted(request.system or '')},[{told}]]", _options(request.config)
    # A message of more than text has no `text`: its parts are written out.
    messages = [[m.role, _plain(m.parts) if m.text is None else m.text] for m in request.messages]
    prompt = [_plain(request.system) or "", messages, *(_plain(tool) for tool in request.tools)]
    return canonical_json(prompt), _options(request.config)


def _options(config: Config) -> str:
    options = {
        name: value
        for name in _OPTIONS
        if (value := getattr(config, name)) is not None and value not in ((), {})
    }
    return canonical_json(_plain(options))


def _begun(backend: Backend, prompt: str, options: str) -> _Hash:
    """Return the hash of a key up to the sample number, its last part."""
    extras = canonical_json(dict(backend.extensions))
    parts = (backend.model, backend.dialect, extras, prompt, options)
    data = f"[{','.join(map(_quoted, parts))},".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=ID_BYTES)


def _wire(backend: Backend, request: Request) -> Request:
    config = request.config
    if backend.send_seed and config.seed is not None:
        config = replace(config, seed=None)
    if backend.extensions:
        extras = {**(config.extensions or {}), **backend.extensions}
        config = replace(config, extensions=extras)
    return replace(request, model=backend.model, config=config)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


# As `canonical_json` writes a text.
_quoted = encode_basestring
_OPTIONS = tuple(field.name for field in fields(Config) if field.name != "seed")
