"""When a vote has seen enough: policies as pure functions over the counts so far.

A policy never sees an answer, only how many votes each one has, so it cannot favour one. It is
asked again after every wave of draws and asks for the fewest that could settle the matter, so that
stopping early does not make a run serial; `waves` asks for more at once.

| policy | accepts when | source |
| --- | --- | --- |
| `fixed(k, threshold)` | the first has that share of k draws | the paper |
| `curtailed(k, threshold)` | the same, as soon as it is certain | |
| `lead(by, max_draws)` | the first is `by` votes ahead | Wald (1945) |
| `posterior(confidence, max_draws)` | the first likely stays the first | arXiv:2305.11860 |
| `calibrated(file)` | a fitted table says so | `programs.calibration` |
| `waves(policy, size)` | the policy does, after waves of that many draws at least | |
"""

from __future__ import annotations

import re
from collections.abc import Callable

from programs.stopping.calibrated import Calibrated, load_calibrated
from programs.stopping.lead import Lead, lead
from programs.stopping.policy import Counts, Decision, Policy, Reason
from programs.stopping.posterior import Posterior, posterior
from programs.stopping.share import Curtailed, Fixed, curtailed, fixed
from programs.stopping.waves import Waves, waves
from signatures.errors import ConfigError

__all__ = [
    "Calibrated",
    "Counts",
    "Curtailed",
    "Decision",
    "Fixed",
    "Lead",
    "Policy",
    "Posterior",
    "Reason",
    "Waves",
    "curtailed",
    "fixed",
    "lead",
    "load_calibrated",
    "parse_policy",
    "posterior",
    "waves",
]

_INT, _FLOAT = r"(\d{1,4})", r"(\d*\.?\d+(?:e-?\d+)?)"
_FORMS: dict[str, tuple[str, Callable[..., Policy]]] = {
    "fixed(K, THRESHOLD)": (
        rf"fixed\(\s*{_INT}\s*,\s*{_FLOAT}\s*\)",
        lambda k, share: fixed(int(k), float(share)),
    ),
    "curtailed(K, THRESHOLD)": (
        rf"curtailed\(\s*{_INT}\s*,\s*{_FLOAT}\s*\)",
        lambda k, share: curtailed(int(k), float(share)),
    ),
    "lead(BY, MAX)": (
        rf"lead\(\s*{_INT}\s*,\s*{_INT}\s*\)",
        lambda by, most: lead(int(by), int(most)),
    ),
    "posterior(CONFIDENCE, MAX)": (
        rf"posterior\(\s*{_FLOAT}\s*,\s*{_INT}\s*\)",
        lambda confidence, most: posterior(float(confidence), int(most)),
    ),
    "calibrated(FILE)": (r"calibrated\(\s*(\S|\S.*\S)\s*\)", load_calibrated),
    "waves(POLICY, SIZE)": (
        rf"waves\(\s*(\w+\(.*\))\s*,\s*{_INT}\s*\)",
        lambda policy, size: waves(parse_policy(policy), int(size)),
    ),
}


def parse_policy(text: str) -> Policy:
    """Return the policy that `text` names, such as `fixed(5, 0.6)` or `lead(3, 9)`.

    Raises:
        ConfigError: the text names no policy, its numbers are out of range, or its file cannot be
            read.
    """
    for pattern, build in _FORMS.values():
        match = re.fullmatch(pattern, text.strip())
        if match:
            return build(*match.groups())
    raise ConfigError.rule(
        "Reading a voting policy failed",
        name="policy",
        rule=f"be written as {', '.join(_FORMS)}",
        value=text,
        todo="Write for example fixed(5, 0.6).",
    )
