"""DS2: a validated instruction-tuning dataset from one task description.

    >>> from ds2 import synthesize
    >>> rows = synthesize("gsm8k", target=60)  # doctest: +SKIP

Everything is imported when it is first used, so that the command line starts at once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ds2.api import asynthesize as asynthesize
    from ds2.api import synthesize as synthesize

_HOME = Path(__file__).resolve().parent.parent
_WHERE = {"synthesize": "ds2.api", "asynthesize": "ds2.api"}

__all__ = ["asynthesize", "synthesize"]


def _check_neighbours() -> None:
    """Make sure that the packages beside this one are ours and not a folder of the user's."""
    for name in ("signatures", "programs", "optimizers"):
        places = _places(name)
        if not any(Path(place).resolve() == _HOME / name for place in places):
            found = places[0] if places else "nowhere"
            raise ImportError(
                f"Importing ds2 failed: the package {name!r} must be the one installed with ds2 "
                f"(got {found!r}). Rename your own folder or file {name!r}, or start Python from "
                "another folder."
            )


def _places(name: str) -> list[str]:
    """Return the folders, or else the file, that `import name` would take."""
    try:
        spec = find_spec(name)
    except ValueError:  # a module without a spec, put into sys.modules by hand
        return [str(sys.modules[name])]
    if spec is None:
        return []
    return list(spec.submodule_search_locations or ()) or [str(spec.origin)]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


_check_neighbours()
