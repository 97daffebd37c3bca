"""The transport: what leaves this machine, and in how many pieces."""

from __future__ import annotations

import asyncio
import json
import re

from loopback_server import asked

from ds2.engines.resolve import resolve_backend

SAID = {
    "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
}


class Counted(asyncio.Protocol):
    """Answers every request; keeps what arrives piece by piece."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces, self.waiting = pieces, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self.waiting += data
        head, blank, body = self.waiting.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not blank or len(body) < int(length[1] if length else 0):
            return
        self.waiting = b""
        said = json.dumps(SAID).encode()
        top = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(said)}"
        self.transport.write(f"{top}\r\n\r\n".encode() + said)  # type: ignore[attr-defined]


def test_a_request_leaves_in_one_piece() -> None:
    pieces: list[bytes] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Counted(pieces), "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        engine = resolve_backend("m", api_base=url, environ={}).open()
        try:
            for number in range(3):
                reply = await engine.complete(asked(f"question {number}"))
                assert reply.text == "hello"
        finally:
            await engine.aclose()  # type: ignore[attr-defined]
            server.close()
            await server.wait_closed()

    asyncio.run(work())
    assert len(pieces) == 3
    assert all(piece.startswith(b"POST ") for piece in pieces)
    assert [b"question %d" % i in piece for i, piece in enumerate(pieces)] == [True] * 3
