"""Whether the model that answers is the one that was asked, by the names that the replies give."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ds2.engines.logged import LoggedEngine
    from ds2.store import RunStore


def strange_names(asked: str, answered: Mapping[str, int]) -> Counter[str]:
    """Return the names, with their counts, that are not the model's own.

    A name is the model's own where one of the two begins the other after the last slash, letters and
    digits alone, case aside: `gpt-4.1-mini` may answer as `gpt-4.1-mini-2025-04-14`, `Qwen/Qwen3-8B`
    as `qwen3-8b`. A reply that gives no name says nothing.

    Example:
        >>> strange_names("Qwen/Qwen3-8B", {"qwen3-8b-awq": 7, "": 2, "llama3.1": 1})
        Counter({'llama3.1': 1})
    """
    own = _folded(asked)
    return Counter(
        {
            name: number
            for name, number in answered.items()
            if (other := _folded(name)) and not (own.startswith(other) or other.startswith(own))
        }
    )


def strange_models(store: RunStore, engines: Iterable[LoggedEngine]) -> Iterator[str]:
    """Yield a notice for each model whose replies, of this process or before, name another."""
    known: dict[str, dict[str, int]] = store.meta().get("named", {})
    named = {model: Counter(names) for model, names in known.items()}
    for engine in engines:
        named.setdefault(engine.backend.model, Counter()).update(engine.named)
    store.set_meta({"named": named})
    for model, names in named.items():
        yield from notices(model, names)


def notices(asked: str, answered: Mapping[str, int]) -> Iterator[str]:
    """Yield one notice where replies name another model than the one that was asked."""
    strange = strange_names(asked, answered)
    if strange:
        names = ", ".join(repr(name[:80]) for name, _ in strange.most_common(3))
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        yield (
            f"{strange.total():,} of {sum(answered.values()):,} replies of {asked!r} name another "
            f"model: {names}{more}. They were used as they are."
        )


def _folded(name: str) -> str:
    return re.sub(r"[\W_]", "", name.rstrip("/").rpartition("/")[2].casefold())
