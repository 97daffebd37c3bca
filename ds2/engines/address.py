"""Where a model is served: the address of an OpenAI-compatible server, read and normalised once."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from signatures.errors import DS2Error, EndpointError

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port: what a request is allowed to reach, and nothing else."""

    scheme: str
    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Return whether the host is this machine by its name or address."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Address:
    """The root of an OpenAI-compatible server, such as `http://localhost:8000/v1`.

    Args:
        url: the root without a trailing slash; holds no credential, query or fragment.
        origin: what the url points at.
    """

    url: str
    origin: Origin


def origin_of(url: str) -> Origin:
    """Return the origin of an absolute http(s) URL.

    Raises:
        ValueError: the URL has another scheme, no host or an impossible port.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an absolute http(s) URL")
    port = parts.port
    return Origin(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port)


def parse_address(api_base: str) -> Address:
    """Return the address that `--api-base` names.

    A URL without a path gets `/v1`, where all the common servers answer; a trailing slash or
    `/chat/completions` is cut off. A URL that carries a user, a password, a query or a fragment
    is refused, because such parts end up in logs; the message never repeats them.

    Raises:
        EndpointError: it is not an http(s) URL, or it carries more than an address.
    """
    text = api_base.strip()
    try:
        parts = urlsplit(text)
        origin = origin_of(text)
    except ValueError:
        raise _refused("be an address such as http://localhost:8000/v1", _harmless(text)) from None
    if parts.username is not None or parts.password is not None:
        raise _refused("hold no user or password", _harmless(text))
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise _refused("hold no query and no fragment", _harmless(text))
    if any(ch.isspace() or not ch.isprintable() for ch in text):
        raise _refused("hold no spaces or control characters", _harmless(text))
    return Address(url=f"{parts.scheme}://{parts.netloc.lower()}{_root(parts)}", origin=origin)


def _root(parts: SplitResult) -> str:
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    return path or "/v1"


def _harmless(text: str) -> str:
    """Return the part of a refused URL that can be shown: scheme and host."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return "text without http:// or https://"
    host = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0].rpartition("@")[2]
    return f"{scheme}://{host[:80]}/..."


def _refused(rule: str, shown: str) -> DS2Error:
    return EndpointError.rule(
        "Reading the address of the server failed",
        name="--api-base",
        rule=rule,
        value=shown,
        todo="Put a key in DS2_API_KEY or name its variable with --api-key-env."
        if "user" in rule or "query" in rule
        else "Give the server's root, with http:// or https://.",
    )
