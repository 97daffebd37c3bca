"""Nothing leaves the machine but requests to the chosen endpoint: seen from inside the interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from small_runs import teacher_server

# An audit hook hears of every connection and look-up, whichever library makes it, from its import on.
WATCHED = """
import json, sys

seen = []
events = {"socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname",
          "urllib.Request", "http.client.connect"}


def listen(event, args):
    if event in events:
        seen.append([event, [str(part) for part in args if not hasattr(part, "fileno")]])


sys.addaudithook(listen)
from ds2.cli.app import main

for words in json.loads(sys.argv[1]):
    sys.argv = ["ds2", *words]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, ended.code
    seen.append(["ended", []])
print("SEEN" + json.dumps(seen))
"""


def watched(commands: list[list[str]], folder: Path) -> list[list[list[object]]]:
    """Run commands in one fresh interpreter; return what each did on the network."""
    environ = {k: v for k, v in os.environ.items() if "LITELLM" not in k and "KEY" not in k}
    environ |= {"OPENAI_API_KEY": "k"}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, json.dumps(commands)],
        cwd=folder,
        env=environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    events = json.loads(done.stdout.rpartition("SEEN")[2])
    by_command: list[list[list[object]]] = [[]]
    for event in events:
        if event[0] == "ended":
            by_command.append([])
        else:
            by_command[-1].append(event)
    return by_command[:-1]


def test_a_run_reaches_its_endpoint_and_looks_up_and_fetches_nothing_else(tmp_path: Path) -> None:
    with teacher_server() as server:
        run = ["run", "gsm8k", "-n", "6", "--model", "simulated", "--api-base", server.url, "-q"]
        run += ["--price", "1,2", "--budget-usd", "5"]
        native = ["plan", "gsm8k", "--model", "openai/gpt-4.1-mini", "--json"]
        ran, planned = watched([run, native], tmp_path)
        address = urlsplit(server.url)
    connects = [str(args) for event, args in ran if event == "socket.connect"]
    assert connects
    assert all(f"'{address.hostname}', {address.port}" in words for words in connects)
    others = [(event, args) for event, args in ran if event != "socket.connect"]
    assert all(
        event == "socket.getaddrinfo" and args[0] == address.hostname for event, args in others
    )
    # With a price from the bundled table.
    assert planned == []
