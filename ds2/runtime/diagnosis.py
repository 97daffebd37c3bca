"""What `ds2 doctor` looks at: the interpreter, the packages, the disk, the prices. Nothing is sent."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from ds2.engines.prices import Price

Verdict = Literal["ok", "note", "wrong"]

PACKAGE = "ds2-instruct"
FREE_BYTES = 1_000_000_000  # a run of 100,000 rows with its replies takes less
SLOW_SYNC_S = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        name: what.
        verdict: `ok`; `note` where something is worth knowing; `wrong` where a run would fail.
        words: what was found, and where it is not ok the one thing to do.
    """

    name: str
    verdict: Verdict
    words: str


def diagnose(
    folder: Path, prices: Mapping[str, Price | None], environ: Mapping[str, str]
) -> list[Finding]:
    """Return what was found of this machine and installation.

    Args:
        folder: where runs would go.
        prices: what is known of the price of each model that a run would ask.
        environ: the environment; only whether a variable is set is told, never its value.
    """
    return [
        _interpreter(),
        *_packages(),
        *_extras(),
        *_disk(folder),
        *_prices(prices),
        *_environment(environ),
    ]


def _interpreter() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("python", "wrong", f"{found}; DS2 needs 3.11 to 3.13: make another venv")
    return Finding("python", "ok", f"{found} on {sys.platform}")


def _packages() -> Iterator[Finding]:
    yield Finding("ds2", "ok", version(PACKAGE))
    for name in ("dspy", "datasets", "optuna", "pyarrow"):
        yield _installed(name, wanted=_bounds(name))


def _installed(name: str, wanted: str) -> Finding:
    try:
        return Finding(name, "ok", f"{version(name)} (wants {wanted})" if wanted else version(name))
    except PackageNotFoundError:
        return Finding(name, "wrong", f"not installed: pip install '{name}{wanted}'")


def _bounds(name: str) -> str:
    for line in requires(PACKAGE) or ():
        if line.startswith(name) and "extra ==" not in line:
            return line.removeprefix(name).strip()
    return ""


def _extras() -> Iterator[Finding]:
    """Yield one finding an extra: what it adds is missing or there."""
    wanted: dict[str, list[str]] = {}
    for line in requires(PACKAGE) or ():
        requirement, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip(" \"'")
        if extra and extra != "dev":
            wanted.setdefault(extra, []).append(_name(requirement))
    for extra, names in sorted(wanted.items()):
        missing = [name for name in names if not _is_installed(name)]
        if missing:
            words = f"not installed: pip install '{PACKAGE}[{extra}]' if you want it"
            yield Finding(f"extra {extra}", "note", words)
        else:
            yield Finding(f"extra {extra}", "ok", ", ".join(names))


def _name(requirement: str) -> str:
    return requirement.strip().split(">")[0].split("=")[0].split("<")[0].split("[")[0].strip()


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _disk(folder: Path) -> Iterator[Finding]:
    place = next(p for p in (folder, *folder.absolute().parents) if p.is_dir())
    if not os.access(place, os.W_OK):
        yield Finding("disk", "wrong", f"{place} cannot be written: choose another --out")
        return
    free = shutil.disk_usage(place).free
    words = f"{free / 1e9:,.1f} GB free at {place}"
    low = free < FREE_BYTES
    yield Finding("disk", "note" if low else "ok", f"{words}; free some" if low else words)
    synced_s = _sync_s(place)
    words = f"{synced_s * 1000:.1f} ms until a reply is safe on it"
    slow = synced_s > SLOW_SYNC_S
    if slow:
        words += "; a run waits for that: prefer a local disk to a network one"
    yield Finding("disk sync", "note" if slow else "ok", words)


def _sync_s(place: Path) -> float:
    """Return the seconds that one small write takes until it is on the disk, the median of five."""
    took = []
    with tempfile.TemporaryFile(dir=place) as file:
        for _ in range(5):
            began = time.perf_counter()
            file.write(b"x" * 1024)
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return sorted(took)[2]


def _prices(prices: Mapping[str, Price | None]) -> Iterator[Finding]:
    for model, price in prices.items():
        if price is None:
            words = f"no price of {model} is known: --price IN,OUT, or costs stay unknown"
            yield Finding("price", "note", words)
        elif price.is_free:
            yield Finding("price", "ok", f"{model} is free")
        else:
            words = f"{price.input_usd:g} USD in, {price.output_usd:g} USD out a million tokens"
            yield Finding("price", "ok", f"{model}: {words} ({price.source})")


_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DS2_API_KEY", "HF_TOKEN")


def _environment(environ: Mapping[str, str]) -> Iterable[Finding]:
    there = [name for name in _KEYS if environ.get(name, "").strip()]
    words = ", ".join(there) if there else f"none of {', '.join(_KEYS)} is set"
    yield Finding("keys", "ok" if there else "note", words)
