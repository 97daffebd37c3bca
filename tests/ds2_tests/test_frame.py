"""The frame: what the wheel holds, what is declared, how light the start is, what folders say."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ds2", "optimizers", "programs", "signatures")
FOLDERS = (*PACKAGES, "tests", "benchmarks", "examples", "runs")
HEAVY = (
    "dspy",
    "datasets",
    "pyarrow",
    "litellm",
    "optuna",
    "aiohttp",
    "numpy",
    "pandas",
    "tantivy",
)
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
DEV = [Requirement(line) for line in PROJECT["project"]["optional-dependencies"]["dev"]]
EXTRAS = [
    Requirement(line)
    for extra, lines in PROJECT["project"]["optional-dependencies"].items()
    if extra != "dev"
    for line in lines
]
# What is imported under another name than it is installed by.
IMPORTED_AS = {"pyyaml": "yaml"}

in_a_clone = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs git and a clone"
)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def tracked() -> Iterator[Path]:
    """Yield the files of the repository, those not yet added included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            yield ROOT / name


def constraints() -> dict[str, str]:
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    pairs = [re.fullmatch(r"([\w.-]+)==([\w.+!]+)", line) for line in lines]
    assert all(pairs), "a line of constraints.txt is not NAME==VERSION"
    return {canonicalize_name(pair[1]): pair[2] for pair in pairs if pair}


def python(code: str, *arguments: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the names in the wheel, built in a copy, with the setuptools that is installed."""
    wanted = Requirement(PROJECT["build-system"]["requires"][0])
    if find_spec("setuptools") is None or metadata.version("setuptools") not in wanted.specifier:
        pytest.skip(f"building needs {wanted}, which the dev extra brings")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in (*FOLDERS, "docs"):
        if (ROOT / name).is_dir() and name != "runs":
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
    code = "from setuptools import build_meta; build_meta.build_wheel('out')"
    python(code, cwd=source)
    with zipfile.ZipFile(next((source / "out").glob("*.whl"))) as archive:
        return archive.namelist()


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: list[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    sources = {
        path.relative_to(ROOT).as_posix() for p in PACKAGES for path in (ROOT / p).rglob("*.py")
    }
    assert {name for name in wheel if name.endswith(".py")} == sources


def test_the_wheel_holds_the_tasks_the_type_marks_and_the_licence(wheel: list[str]) -> None:
    tasks = {f"signatures/tasks/{path.name}" for path in (ROOT / "signatures/tasks").glob("*.yaml")}
    assert tasks
    assert tasks | {f"{package}/py.typed" for package in PACKAGES} <= set(wheel)
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_the_console_script_is_the_command_line() -> None:
    assert PROJECT["project"]["scripts"] == {"ds2": "ds2.cli.app:main"}


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["tasks"]], ids=" ".join)
def test_the_command_line_starts_without_anything_heavy(arguments: list[str]) -> None:
    code = f"""
import sys
from ds2.cli.app import app
app(sys.argv[1:], standalone_mode=False)
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    assert python(code, *arguments).strip()


def test_importing_ds2_loads_nothing_but_itself() -> None:
    ours = "{name.split('.')[0] for name in sys.modules} & {*packages, 'typer', 'pydantic', 'rich'}"
    code = f"import sys, ds2; packages = {HEAVY!r}; assert not {ours}, {ours}"
    python(code)


def imported(folder: str) -> set[str]:
    """Return the top-level names that the code of a folder imports, wherever it does."""
    names: set[str] = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.split(".")[0])
    return names


def test_whatever_the_code_imports_is_declared() -> None:
    foreign = set().union(*map(imported, PACKAGES)) - sys.stdlib_module_names - set(PACKAGES)
    declared = {IMPORTED_AS.get(r.name.lower(), r.name.lower()) for r in (*RUNTIME, *EXTRAS)}
    assert foreign <= declared


def test_each_dependency_has_its_reason_and_a_lower_bound_that_was_tried() -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \| ([\d.]+) \| (.{20,}?) \|", read("docs/dependencies.md"), re.MULTILINE
    )
    tried = {name: version for name, version, _ in rows}
    floors = {r.name: min(s.version for s in r.specifier if s.operator == ">=") for r in RUNTIME}
    assert {n: Version(v).release[:2] for n, v in tried.items()} == {
        n: (*Version(v).release, 0)[:2] for n, v in floors.items()
    }
    assert all(Version(tried[name]) >= Version(floor) for name, floor in floors.items())


def test_constraints_name_every_direct_dependency_within_its_bounds() -> None:
    exact = constraints()
    for requirement in (*RUNTIME, *DEV):
        version = exact[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, requirement
    assert "ds2-instruct" not in exact


def test_the_version_is_that_of_the_newest_changelog_entry() -> None:
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", read("CHANGELOG.md"), re.MULTILINE)
    assert newest is not None
    assert newest[1] == PROJECT["project"]["version"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_top_level_folder_says_in_forty_lines_what_is_in_it(folder: str) -> None:
    lines = read(f"{folder}/README.md").splitlines()
    assert lines[0].startswith("# ")
    assert 5 <= len(lines) <= 40


@in_a_clone
def test_every_folder_with_files_at_the_top_level_is_known_here() -> None:
    tops = {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT}
    assert {top for top in tops if not top.startswith(".")} == {*FOLDERS, "docs"}


@in_a_clone
def test_links_between_our_own_documents_lead_somewhere() -> None:
    for path in tracked():
        if path.suffix == ".md":
            for target in re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", path.read_text(encoding="utf-8")):
                assert (path.parent / target).exists(), f"{path.relative_to(ROOT)}: {target}"


@in_a_clone
def test_no_file_names_a_place_on_the_machine_it_was_written_on() -> None:
    homes = re.compile(rb"(?<![\w.])/(?:home|root|Users|work|opt|mnt)/\w")
    found = [path.relative_to(ROOT) for path in tracked() if homes.search(path.read_bytes())]
    assert not found


@pytest.mark.parametrize("name", ["Makefile", ".ci/run", "constraints.txt", "pyproject.toml"])
def test_what_installs_names_no_address(name: str) -> None:
    assert "://" not in read(name)
    assert not re.search(r"index-url|find-links|trusted-host", read(name))


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_says_what_it_can_do() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    goals = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("make ")]
    assert {"demo", "test", "lint", "check"} <= set(goals)


def test_the_gate_runs_lint_tests_and_demo_and_stops_at_the_first_failure() -> None:
    gate = read(".ci/run")
    assert "set -euo pipefail" in gate
    assert "for goal in lint test demo; do" in gate
    if sys.platform != "win32":
        assert (ROOT / ".ci/run").stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("folder", "hiding"), [("benchmarks", {"optimizers"}), ("examples", set()), ("docs", set())]
)
def test_no_script_hides_a_package_from_its_neighbours(folder: str, hiding: set[str]) -> None:
    # `python examples/own.py` finds examples/ before the packages; benchmarks are run with `-m`.
    scripts = {path.stem for path in (ROOT / folder).rglob("*.py")}
    assert scripts & {*PACKAGES, *sys.stdlib_module_names} == hiding


def test_a_benchmark_that_is_run_as_a_script_says_how_to_run_it() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/tuning.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode
    assert "python -m benchmarks.NAME" in done.stderr
