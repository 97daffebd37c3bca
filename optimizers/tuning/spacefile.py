"""A YAML file that narrows, fixes or extends what a study searches.

    policy: [lead, "calibrated(policy.json)"]   # a list: one of these
    lead.by: 3                                  # a value: fixed
    lead.max: {low: 5, high: 20}                # a range; step and log where wanted
    program: [null, runs/compiled/program.json]

What the file does not name keeps its default. A parameter that a study does not search by default is
added by naming it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NoReturn

import yaml

from optimizers.tuning.catalog import (
    PARAMETERS,
    allowed,
    allowed_policy,
    with_families,
)
from optimizers.tuning.space import Choice, Domain, Range, Space, Value
from signatures.errors import ConfigError

_KEYS = frozenset({"low", "high", "step", "log"})


def read_space(path: Path, space: Space, *, fixed_here: Mapping[str, str] | None = None) -> Space:
    """Return `space` as the file changes it.

    Args:
        path: the YAML file.
        space: the default.
        fixed_here: parameters that this study cannot search, with the reason.

    Raises:
        ConfigError: the file cannot be read, or breaks a rule: file, line, parameter, rule, value.
    """
    domains = dict(space.domains)
    entries = _entries(path)
    for name, (line, value) in entries.items():
        where = f"{path}, line {line},"
        known = [n for n in PARAMETERS if n not in (fixed_here or {})]
        if name not in PARAMETERS:
            _refuse(where, name, f"be one of {', '.join(known)}", name)
        if name in (fixed_here or {}):
            _refuse(where, name, f"be left out: {(fixed_here or {})[name]}", value)
        domains[name] = _domain(where, name, value)
    policies = domains["policy"]
    families = tuple(map(str, policies.values)) if isinstance(policies, Choice) else ()
    changed = with_families(Space(domains), families)
    for name, (line, _) in entries.items():
        if name not in changed.domains:
            _refuse(f"{path}, line {line},", name, "belong to one of the policies", families)
    return changed


def _domain(where: str, name: str, value: Any) -> Domain:
    if isinstance(value, dict):
        return _range(where, name, value)
    values = value if isinstance(value, list) else [value]
    if not values:
        _refuse(where, name, "have at least one value", value)
    for one in values:
        if isinstance(one, list | dict):
            _refuse(where, name, "have plain values", one)
        broken = allowed_policy(one) if name == "policy" else allowed(name, one)
        if broken is not None:
            _refuse(where, name, broken, one)
    once: list[Value] = []
    for one in values:
        if not Choice(tuple(once)).holds(one):
            once.append(one)
    return Choice(tuple(once))


def _range(where: str, name: str, value: Mapping[str, Any]) -> Domain:
    limits = PARAMETERS[name].limits
    if not isinstance(limits, Range):
        _refuse(where, name, "be a value or a list of values", value)
    strangers = [key for key in value if key not in _KEYS]
    if strangers or not {"low", "high"} <= set(value):
        _refuse(where, name, "have `low` and `high`, and may have `step` and `log`", value)
    low, high, step = value["low"], value["high"], value.get("step")
    for end in (low, high):
        broken = allowed(name, end)
        if broken is not None or end is None:
            _refuse(where, name, broken or "have two ends", end)
    log = value.get("log", False)
    if not isinstance(log, bool):
        _refuse(where, name, "have `log` as true or false", log)
    if low > high:
        _refuse(where, name, "have a `low` that is not above `high`", value)
    if step is not None and not (_is_number(step) and step > 0 and not log):
        _refuse(where, name, "have a `step` above 0, and none with `log`", value)
    if limits.whole and step is not None and step != int(step):
        _refuse(where, name, "have a whole `step`", step)
    if log and low <= 0:
        _refuse(where, name, "be above 0 for `log`", low)
    if low == high:
        return Choice((low,))
    if step:  # Optuna would cut the top off with a warning
        high = round(low + int((high - low) / step + 1e-9) * step, 10)
    return Choice((low,)) if low == high else Range(low, high, step, log, limits.whole)


def _entries(path: Path) -> dict[str, tuple[int, Any]]:
    """Return what the file says of each parameter, with its line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        _refuse(str(path), "the file", "be a readable UTF-8 file", type(error).__name__)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}," if mark else str(path)
        _refuse(where, "the file", "be valid YAML", getattr(error, "problem", None) or "too deep")
    if not isinstance(data, dict) or not isinstance(root, yaml.MappingNode):
        _refuse(f"{path}, line 1,", "the file", "map parameters to what is searched", data)
    entries: dict[str, tuple[int, Any]] = {}
    for key, _ in root.value:
        line = key.start_mark.line + 1
        if key.value in entries:
            _refuse(f"{path}, line {line},", key.value, "be given once", key.value)
        entries[key.value] = (line, data.get(key.value))
    return entries


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _refuse(where: str, name: str, rule: str, value: object) -> NoReturn:
    raise ConfigError.rule(
        f"Reading {where} failed",
        name=name,
        rule=rule,
        value=value,
        todo="docs/tune.md describes the file and lists the parameters.",
    )
