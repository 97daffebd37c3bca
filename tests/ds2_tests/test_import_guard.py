"""`import ds2` beside a folder of the user's that has the name of one of our packages.

Python puts the folder it starts in (`-c`, `-m`) or that of the script before everything installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("signatures", "programs", "optimizers")
STARTS = ("-c", "-m", "script")

# How `pip install --editable` makes packages known: asked after every folder of sys.path.
_EDITABLE = f"""
import importlib.util, pathlib, sys

class Finder:
    def find_spec(name, path=None, target=None):
        home = pathlib.Path({str(ROOT)!r}, name)
        if path is None and (home / "__init__.py").is_file():
            return importlib.util.spec_from_file_location(name, home / "__init__.py")

sys.path = [place for place in sys.path if pathlib.Path(place).resolve() != pathlib.Path({str(ROOT)!r})]
sys.meta_path = [f for f in sys.meta_path if not getattr(f, "__module__", "").startswith("__editable__")]
sys.meta_path.append(Finder)
"""


def start(folder: Path, how: str, code: str = "import ds2") -> subprocess.CompletedProcess[str]:
    """Run `code` in `folder` as a user would, with our packages on the path behind it."""
    (folder / "mine.py").write_text(code + "\nprint('imported')\n", encoding="utf-8")
    arguments = {"-c": ["-c", "import mine"], "-m": ["-m", "mine"], "script": ["mine.py"]}[how]
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], name: str, place: Path) -> None:
    """Check that the last line names the package and the place, and says what to do."""
    said = result.stderr.splitlines()[-1]
    assert result.returncode == 1
    assert said.startswith("ImportError: Importing ds2 failed")
    assert f"the package {name!r} must be the one installed with ds2" in said
    assert repr(str(place)) in said
    assert "Rename your own folder or file" in said
    assert said.endswith("or start Python from another folder.")


@pytest.mark.parametrize("how", STARTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_package_of_the_same_name_is_noticed(tmp_path: Path, name: str, how: str) -> None:
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    assert_refused(start(tmp_path, how), name, package)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_the_same_name_is_noticed(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name}.py"
    file.write_text("", encoding="utf-8")
    assert_refused(start(tmp_path, "-m"), name, file)


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_folder_gives_way_to_the_installed_package(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert start(tmp_path, "-m", f"import ds2, {name}").stdout == "imported\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_bare_folder_before_an_editable_install_is_noticed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    assert_refused(start(tmp_path, "-m", f"{_EDITABLE}\nimport ds2"), name, tmp_path / name)


def test_an_editable_install_alone_is_imported(tmp_path: Path) -> None:
    assert start(tmp_path, "-m", f"{_EDITABLE}\nimport ds2").stdout == "imported\n"


def test_a_module_that_was_imported_before_is_noticed(tmp_path: Path) -> None:
    code = "import sys, types\nsys.modules['programs'] = types.ModuleType('programs')\nimport ds2"
    result = start(tmp_path, "-m", code)
    assert "the package 'programs' must be the one installed with ds2" in result.stderr
    assert "ValueError" not in result.stderr.splitlines()[-1]


def test_our_packages_are_imported_from_any_other_folder(tmp_path: Path) -> None:
    code = "import ds2, signatures, programs, optimizers"
    assert start(tmp_path, "script", code).stdout == "imported\n"
