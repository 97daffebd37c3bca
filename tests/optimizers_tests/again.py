"""Compile a tiny dev set with every optimizer, and print what each came to and asked, as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from compiling import compiled, lm, smallest, teacher

from ds2.engines.logged import MemoryLog
from optimizers.search import KINDS, OPTIMIZERS, Models


class Asked(MemoryLog):
    """A call log that can be read out."""

    @property
    def calls(self) -> list[str]:
        return sorted(self._receipts)


def outcome(optimizer: str) -> list[object]:
    """Return the scores, the prompts, and the ids of all calls of one compile."""
    log = Asked()
    steady = lm(teacher(), log=log)
    models = Models(program=lm(teacher(1.0), log=log), judge=steady, proposer=steady)
    found = compiled("judge", optimizer, models, devset=smallest())
    return [found.before.score, found.after.score, found.program.fingerprint(), log.calls]


if __name__ == "__main__":
    for name, kind in list(KINDS.items()):
        KINDS[name] = replace(kind, widths=(kind.widths[0],) * 3)
    sys.stdout.write(json.dumps({name: outcome(name) for name in OPTIMIZERS}))
