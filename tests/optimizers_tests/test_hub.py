"""A Hub that cannot be reached is told in seconds; a slow one is waited for. The network is a stand-in."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import httpx
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http, set_client_factory

from optimizers.hub import WITHIN_S, unreachable
from optimizers.rowfiles import read_rows
from signatures.errors import ConfigError

Network = Callable[..., None]
ROWS = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(3)]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let waiting take no time; give how long it would have been."""
    waits: list[float] = []
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + sum(waits))
    monkeypatch.setattr(time, "sleep", waits.append)
    return waits


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """Stand in for the network: each request meets the next of what is given, the last one always."""
    for module in (constants, datasets.config):
        monkeypatch.setattr(module, "HF_HUB_OFFLINE", False)

    def meet(*ends: Exception | int) -> None:
        left = list(ends)

        def handler(request: httpx.Request) -> httpx.Response:
            end = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(end, Exception):
                raise end
            return httpx.Response(end)

        set_client_factory(lambda: httpx.Client(transport=httpx.MockTransport(handler)))

    yield meet
    set_client_factory(_http.default_client_factory)


NO_NAME = httpx.ConnectError("[Errno -2] Name or service not known")


def test_without_a_network_a_hub_name_is_refused_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Network, slept: list[float]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    network(NO_NAME)
    with pytest.raises(ConfigError, match="while the Hub cannot be reached") as caught:
        read_rows("org/some-name")
    assert "Name or service not known" in str(caught.value)
    assert "give a file or a folder that exists" in str(caught.value)
    assert 0 < sum(slept) <= WITHIN_S  # its own client sleeps for 23 s
    assert not datasets.config.HF_HUB_OFFLINE


def test_without_a_network_a_data_set_in_the_cache_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Network, slept: list[float]
) -> None:
    cache = tmp_path / "cache"
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    datasets.load_dataset("json", data_files=str(file), cache_dir=str(cache))
    # As it lies there when it came from the Hub.
    (arrow,) = cache.rglob("json-train.arrow")
    arrow.rename(arrow.with_name("some-name-train.arrow"))
    (made,) = (cache / "json").iterdir()
    (cache / "org___some-name").mkdir()
    made.rename(cache / "org___some-name" / "default")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    network(NO_NAME)
    assert [row.values for row in read_rows("org/some-name")] == ROWS
    assert sum(slept) <= WITHIN_S


@pytest.mark.parametrize(
    ("ends", "waits"),
    [
        ((200,), []),
        ((503,), []),
        ((httpx.ReadTimeout("slow"),), []),
        ((httpx.RemoteProtocolError("odd"),), []),
        ((NO_NAME, NO_NAME, 200), [1.0, 1.0]),
    ],
    ids=["well", "ill", "slow", "odd", "flickering"],
)
def test_a_network_that_is_slow_or_flickers_is_left_to_the_loader(
    ends: tuple[Exception | int, ...],
    waits: list[float],
    network: Network,
    slept: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offline = []

    def load(*_: Any, **__: Any) -> Any:
        offline.append(datasets.config.HF_HUB_OFFLINE)
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    network(*ends)
    assert len(read_rows("org/some-name")) == 3
    assert offline == [False]
    assert slept == waits


def test_a_connection_that_was_long_waited_for_is_not_tried_again(
    network: Network, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any, **__: Any) -> None:
        slept.append(5.0)
        raise httpx.ConnectTimeout("")

    network(200)
    monkeypatch.setattr(httpx.Client, "head", silent)
    assert unreachable() == "ConnectTimeout"
    assert slept == [5.0]


@pytest.mark.parametrize("module", [constants, datasets.config], ids=["hub", "datasets"])
def test_offline_mode_is_told_as_such_and_asks_nothing(
    module: Any, network: Network, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    network(NO_NAME)
    monkeypatch.setattr(module, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in unreachable()
    assert slept == []
