"""The file of `ds2 run --config`: settings in YAML, below the environment and the options.

Its fields are those of `RunConfig`, `EngineConfig` and `BudgetConfig`, and `program`. What is an option
of the command becomes its default, so that `DS2_RUN_SEED=1` and `--seed 1` go before the file; the
rest goes to the configuration as it is. Paths are looked for beside the file first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

# Fields whose option has another name.
_OPTIONS = {"candidates": "max_candidates", "timeout_s": "timeout", "patience_s": "patience"}


class ConfiguredCommand(TyperCommand):
    """A command whose options also come from the environment, which its help does not repeat."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for parameter in self.params:
            if hasattr(parameter, "show_envvar"):
                parameter.show_envvar = False


def take_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the settings of a file the defaults of the command that is being read.

    Raises:
        ConfigError: the file cannot be read, or holds what is no setting.
    """
    if path is None:
        return None
    options = {parameter.name for parameter in context.command.params}
    found = read_config(path)
    taken = {
        option: _as_option(name, value)
        for name, value in found.items()
        if (option := _OPTIONS.get(name, name)) in options
    }
    context.default_map = {**(context.default_map or {}), **taken}
    rest = {name: value for name, value in found.items() if _OPTIONS.get(name, name) not in taken}
    context.ensure_object(dict)["config"] = _run_settings(path, rest)
    return path


def config_rest(context: typer.Context) -> dict[str, Any]:
    """Return the settings of the file that no option of the command stands for."""
    return dict(context.ensure_object(dict).get("config", {}))


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in a YAML file, its paths made good.

    Raises:
        ConfigError: it cannot be read, is no mapping, or a field is not known.
    """
    import yaml

    from ds2.config import BudgetConfig, EngineConfig, RunConfig

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        _refuse(path, "the file", "be a readable UTF-8 file", type(error).__name__)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        _refuse(path, f"the file{line}", "be valid YAML", getattr(error, "problem", "too deep"))
    if not isinstance(data, dict):
        _refuse(path, "the file", "map settings to values", data)
    known = [name for part in (RunConfig, EngineConfig, BudgetConfig) for name in part.model_fields]
    for name in data:
        if name not in (*known, "program"):
            _refuse(path, str(name), f"be one of {', '.join(known)}, program", name)
    return {str(name): _near(path.parent, str(name), value) for name, value in data.items()}


def _near(folder: Path, name: str, value: Any) -> Any:
    """Return a setting with its path, where it has one, taken from the file's own folder."""
    if name == "avoid" and isinstance(value, list):
        return [_near(folder, name, each) for each in value]
    if not isinstance(value, str):
        return value
    if name == "avoid" and (folder / value.partition("#")[0]).exists():
        return str(folder / value)
    if name == "program" and (folder / value).is_file():
        return str(folder / value)
    inner = value.removeprefix("calibrated(").removesuffix(")").strip()
    if name == "policy" and value.startswith("calibrated(") and (folder / inner).is_file():
        return f"calibrated({folder / inner})"
    return value


def _as_option(name: str, value: Any) -> Any:
    if name == "model_for" and isinstance(value, Mapping):
        return [f"{stage}={model}" for stage, model in value.items()]
    if name == "price_for" and isinstance(value, Mapping):
        return [f"{stage}={_pair(price)}" for stage, price in value.items()]
    if name == "price":
        return _pair(value)
    if name == "sampling" and isinstance(value, Mapping):
        return json.dumps(value)
    return value


def _pair(value: Any) -> Any:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


def _run_settings(path: Path, rest: Mapping[str, Any]) -> dict[str, Any]:
    from ds2.config import RunConfig

    for name, value in rest.items():
        if name not in RunConfig.model_fields:
            _refuse(path, name, "be a setting that `ds2 run` takes", value)
    return dict(rest)


def _refuse(path: Path, name: str, rule: str, value: object) -> NoReturn:
    from signatures.errors import ConfigError

    raise ConfigError.rule(
        "Reading the configuration failed",
        unit=str(path),
        name=name,
        rule=rule,
        value=value,
        todo="Mend the file; `ds2 run --help` and docs/tune.md show what it may hold.",
    )
