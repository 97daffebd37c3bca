"""The errors of DS2: one subclass a boundary, one message template for all.

A `DS2Error` is something a person can mend: the command line prints its message without a
traceback and leaves with `exit_code`. Anything else that escapes is a bug.
"""

from __future__ import annotations

from typing import Self

_SHOWN = 200


def rule_message(
    failed: str, *, name: str, rule: str, value: object, todo: str, unit: object = None
) -> str:
    """Return `<failed> for <unit!r>: <name> must <rule> (got <value!r>). <todo>`, the value cut short."""
    shown = repr(value)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "..."
    where = "" if unit is None else f" for {unit!r}"
    return f"{failed}{where}: {name} must {rule} (got {shown}). {todo}"


class DS2Error(Exception):
    """Something the user can mend. `exit_code` is what the command line leaves with."""

    exit_code = 2

    @classmethod
    def rule(
        cls,
        failed: str,
        *,
        name: str,
        rule: str,
        value: object,
        todo: str,
        unit: object = None,
    ) -> Self:
        """Build the error in the house's one template (see `rule_message`)."""
        return cls(rule_message(failed, name=name, rule=rule, value=value, todo=todo, unit=unit))


class TaskError(DS2Error):
    """A task is unknown, or its file breaks a rule (file, line, field, rule, value)."""


class ConfigError(DS2Error):
    """A setting is out of its range, or two settings contradict each other."""


class ProgramError(DS2Error):
    """A saved program cannot be loaded: another task, or signatures that have changed."""


class CorpusError(DS2Error):
    """A corpus cannot be read or indexed: missing, empty, no text column, undecodable, no room."""


class EndpointError(DS2Error):
    """The model cannot be reached or refuses us: no key, unknown model, endpoint down."""


class StoreError(DS2Error):
    """The run folder cannot be used: foreign, locked by another process, unwritable, damaged."""


class OutputError(DS2Error):
    """A dataset, card or export cannot be written or read."""


class StageError(DS2Error):
    """A stage gives nothing usable: its replies do not parse or are all turned down."""


class LedgerError(DS2Error):
    """The ledger of a run does not add up: a bug of ours, told before anyone trusts the rows."""

    exit_code = 1


class RunStoppedError(DS2Error):
    """A budget or a cap ended the run before its target; the same command continues it."""

    exit_code = 3
