"""Format, lint, types and the import contract of a checkout; ``make lint`` runs it.

mypy and import-linter want a package that lies in one folder. Here it lies in several
(``package-dir`` in pyproject.toml), and an editable installation joins them only while
Python runs. So the package is laid out once in a temporary folder, as the wheel has it,
with links to the files of the checkout; what the tools find is told with the paths of the
checkout. All of them run, whatever the others say, and the exit code is 1 if one objects.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = "pereggrn_data"


def main() -> int:
    """Run everything and return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        lay_out(place)
        cache = str(REPOSITORY / ".mypy_cache")
        results = [
            run("format", ["ruff", "format", "--check", "."], REPOSITORY),
            run("lint", ["ruff", "check", "."], REPOSITORY),
            run("types", ["mypy", "--strict", "--cache-dir", cache, "-p", PACKAGE], place),
            run("imports", ["lint-imports", "--no-cache"], place),
        ]
    return 0 if all(results) else 1


def lay_out(place: Path) -> None:
    """Link the settings, and every module of the listed packages to where the wheel has it."""
    settings = REPOSITORY / "pyproject.toml"
    (place / settings.name).symlink_to(settings)
    setuptools = tomllib.loads(settings.read_text(encoding="utf-8"))["tool"]["setuptools"]
    for package in setuptools["packages"]:
        folder = place.joinpath(*package.split("."))
        folder.mkdir(parents=True, exist_ok=True)
        for file in source_of(package, setuptools["package-dir"]).iterdir():
            if file.suffix in {".py", ".pyi", ".typed"}:
                (folder / file.name).symlink_to(file)


def source_of(package: str, directories: dict[str, str]) -> Path:
    """Return the folder of the checkout that a package comes from, by setuptools' rule."""
    parts = package.split(".")
    for length in range(len(parts), 0, -1):
        if base := directories.get(".".join(parts[:length])):
            return REPOSITORY.joinpath(base, *parts[length:])
    return REPOSITORY.joinpath(directories.get("", "."), *parts)


def run(what: str, command: list[str], folder: Path) -> bool:
    """Run one tool of this environment in a folder, and say what it said."""
    print(f"--- {what}", flush=True)
    tool = Path(sysconfig.get_path("scripts"), command[0])
    if not tool.exists():
        print(f"{command[0]} is not installed: run make lint, or pip install -e '.[dev]'")
        return False
    paths = {"PYTHONPATH": str(folder), "MYPYPATH": str(folder)} if folder != REPOSITORY else {}
    done = subprocess.run(
        [tool, *command[1:]],
        cwd=folder,
        env=os.environ | paths,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    sys.stdout.write(in_checkout(done.stdout, folder))
    return done.returncode == 0


def in_checkout(text: str, folder: Path) -> str:
    """Name the files of the checkout instead of the links to them."""
    if folder == REPOSITORY:
        return text
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    for link in sorted(links, reverse=True):
        path = str(link.resolve().relative_to(REPOSITORY))
        text = text.replace(str(link), path).replace(str(link.relative_to(folder)), path)
    return text


if __name__ == "__main__":
    sys.exit(main())
