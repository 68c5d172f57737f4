"""The package is what the folders say, on the checkout and in the wheel."""

from __future__ import annotations

import inspect
import itertools
import os
import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = ("adapters", "catalog", "validators", "loaders", "models", "evaluators")
HEAVY = {
    "anndata", "pandera", "sklearn", "pandas", "scipy", "duckdb", "pyarrow", "matplotlib",
    "intake", "requests", "pooch", "altair", "vl_convert",
}  # fmt: skip


def expected_packages() -> dict[str, Path]:
    """Every folder with an __init__.py, by the name that it installs as."""
    roots = {"pereggrn_data": REPOSITORY / "src/pereggrn_data"}
    roots |= {f"pereggrn_data.{room}": REPOSITORY / room for room in ROOMS}
    found = {}
    for name, root in roots.items():
        for init in root.rglob("__init__.py"):
            inside = init.parent.relative_to(root).parts
            found[".".join((name, *inside))] = init.parent
    return found


def settings() -> dict:
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]


def test_listed_packages_are_the_folders() -> None:
    listed = settings()["setuptools"]["packages"]
    assert sorted(listed) == sorted(expected_packages())
    directories = settings()["setuptools"]["package-dir"]
    for name, folder in expected_packages().items():
        base = max((d for d in directories if f"{name}.".startswith(f"{d}.")), key=len)
        inside = name[len(base) :].replace(".", "/")
        assert REPOSITORY / f"{directories[base]}{inside}" == folder


def test_every_room_has_its_place_in_the_import_contract() -> None:
    contract = settings()["importlinter"]["contracts"][0]
    layers = {room.strip() for layer in contract["layers"] for room in layer.split("|")}
    first_level = {name.split(".")[1] for name in expected_packages() if "." in name}
    assert layers == first_level
    assert contract["exhaustive"]


def test_no_room_is_imported_by_its_bare_name() -> None:
    banned = settings()["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert set(ROOMS) <= set(banned)


def test_the_tools_for_developers_see_every_module(tmp_path: Path) -> None:
    """`make lint` lays the package out as the wheel has it, from the same list."""
    lint = runpy.run_path(str(REPOSITORY / ".ci/lint.py"))
    lint["lay_out"](tmp_path)
    laid_out = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.py")}
    assert laid_out == {
        f"{package.replace('.', '/')}/{source.name}"
        for package, folder in expected_packages().items()
        for source in folder.glob("*.py")
    }
    link = tmp_path / "pereggrn_data/loaders/__init__.py"
    found = lint["in_checkout"](f"{link}:1: wrong, as in {link.relative_to(tmp_path)}", tmp_path)
    assert found == "loaders/__init__.py:1: wrong, as in loaders/__init__.py"


@pytest.mark.wheel
@pytest.mark.skipif("PEREGGRN_WHEEL" not in os.environ, reason="no wheel is named")
def test_contents_of_the_wheel() -> None:
    with zipfile.ZipFile(os.environ["PEREGGRN_WHEEL"]) as wheel:
        names = {n for n in wheel.namelist() if ".dist-info/" not in n}
    wanted = {"pereggrn_data/py.typed"}
    for package, folder in expected_packages().items():
        for source in folder.glob("*.py"):
            wanted.add(f"{package.replace('.', '/')}/{source.name}")
    wanted |= {
        f"pereggrn_data/adapters/{lock.name}" for lock in (REPOSITORY / "adapters").glob("*.lock")
    }
    assert wanted <= names
    assert not {n for n in names if not n.startswith("pereggrn_data/")}
    assert not {n for n in names - wanted if n.endswith(".py")}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (program, words)
        for program, commands in (
            ("data", ("validate", "list", "fetch", "networks sql")),
            ("evaluate", ("split", "predict", "score", "plot", "models")),
        )
        for words in ("--help", "--version", *(f"{command} --help" for command in commands))
    ],
)
def test_help_imports_nothing_heavy(program: str, words: str) -> None:
    """So that it answers at once; the seconds are measured by hand, not asserted."""
    code = (
        f"import sys; sys.argv = ['x', *{words.split()!r}]\n"
        f"from pereggrn_data.cli.{program} import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not (HEAVY | {"numpy"}) & loaded


def test_import_is_lazy() -> None:
    code = "import pereggrn_data, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not (HEAVY | {"numpy", "typer"}) & set(done.stdout.split())


def test_every_public_name_resolves() -> None:
    import pereggrn_data

    for name in pereggrn_data.__all__:
        assert getattr(pereggrn_data, name) is not None
        assert name in dir(pereggrn_data)
    named = {name for name in dir(pereggrn_data) if not name.startswith("__")}
    assert named == {*pereggrn_data.__all__, "catalog"} - {"__version__"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pereggrn_data.nothing


def test_help_is_indented_as_it_is_written() -> None:
    """Descriptions of options are put into docstrings, in lines of their own."""
    import pereggrn_data

    for name in ("score", "split", "predict", "calibrate", "qc"):
        lines = (inspect.getdoc(getattr(pereggrn_data, name)) or "").splitlines()
        at = lines.index("memory")
        described = list(
            itertools.takewhile(lambda line: line.startswith("    "), lines[at + 1 :])
        )
        assert len(described) > 1
        assert not any(line.startswith("     ") for line in described)
