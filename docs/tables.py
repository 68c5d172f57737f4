"""Write every table of the documentation that follows from the code: ``python docs/tables.py``.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->`` in a page of
this folder, in the README or in CONTRIBUTING, and NAME is one of :data:`TABLES`. Without
arguments, all pages are brought up to date; with ``--check``, nothing is written, stale
tables are named, and the exit code is 1 if there is one.
"""

from __future__ import annotations

import importlib
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from inspect import isclass, isfunction
from pathlib import Path
from typing import Any

import pereggrn_data
from pereggrn_data import models
from pereggrn_data.adapters import adapters_table
from pereggrn_data.cli.command_reference import command_reference
from pereggrn_data.cli.data.data_app import app as data_app
from pereggrn_data.cli.evaluate.evaluate_app import app as evaluate_app
from pereggrn_data.conversion import layouts_table
from pereggrn_data.core.errors import EXIT_CODE_MEANINGS
from pereggrn_data.core.options import options_table
from pereggrn_data.evaluators import gene_features_table
from pereggrn_data.evaluators.metrics import metrics_table
from pereggrn_data.evaluators.splits import UNIVERSAL, split_types_table
from pereggrn_data.pipelines.collection import catalog_tables_by_name
from pereggrn_data.pipelines.experiment import metadata_keys_table
from pereggrn_data.validators import format_tables, rules_table

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = "pereggrn_data"
TABLE = re.compile(
    r"(?P<begin><!-- table: (?P<name>[^>]+) -->\n).*?<!-- end of table -->",
    re.DOTALL,
)


def exit_codes_table() -> str:
    """Return the exit codes as a table in Markdown."""
    rows = [
        f"| {code.value} | {meaning.replace('--debug', '`--debug`')} |"
        for code, meaning in EXIT_CODE_MEANINGS.items()
    ]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def settings() -> dict[str, Any]:
    """Return the tables of tools in pyproject.toml."""
    tools: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))[
        "tool"
    ]
    return tools


def floors() -> list[list[str]]:
    """Return the rooms below the package floor by floor, the lowest first, by the contract."""
    contracts = settings()["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c.get("containers") == [PACKAGE])
    return [layer.split(" | ") for layer in reversed(layers)]


def folder_of(package: str) -> str:
    """Return the folder of the checkout in which a package lies, by setuptools' rule."""
    directories = settings()["setuptools"]["package-dir"]
    parts = package.split(".")
    lengths = range(len(parts), 0, -1)
    known = next(".".join(parts[:n]) for n in lengths if ".".join(parts[:n]) in directories)
    return "/".join([directories[known], *parts[known.count(".") + 1 :]])


def said_of(package: str) -> str:
    """Return the sentence by which a package introduces itself."""
    sentence = " ".join((importlib.import_module(package).__doc__ or "").split("\n\n")[0].split())
    return sentence.replace("|", "\\|")


def floors_table() -> str:
    """Return what each floor holds and may import, as a table in Markdown."""
    rows = ["| folder | what is in it | may import |", "|---|---|---|"]
    for number, rooms in enumerate(floors()):
        imports = "the above" if number else "nothing of ours"
        imports += ", and not each other" if len(rooms) > 1 else ""
        for room in rooms:
            package = f"{PACKAGE}.{room}"
            rows.append(f"| `{folder_of(package)}` | {said_of(package)} | {imports} |")
    return "\n".join(rows)


def rooms_table() -> str:
    """Return all rooms, floor by floor, as a table in Markdown."""
    packages = settings()["setuptools"]["packages"]
    rows = ["| room | what it is for |", "|---|---|"]
    for top in (f"{PACKAGE}.{room}" for rooms in floors() for room in rooms):
        inside = sorted(p for p in packages if f"{p}.".startswith(f"{top}."))
        rows += [f"| `{folder_of(package)}` | {said_of(package)} |" for package in inside]
    return "\n".join(rows)


def inner_floors() -> str:
    """Return the floors inside of rooms as a list, each from the lowest up."""
    return "\n".join(
        f"- `{contract['containers'][0].removeprefix(f'{PACKAGE}.')}`: "
        + " ← ".join(layer.replace(" | ", " and ") for layer in reversed(contract["layers"]))
        for contract in settings()["importlinter"]["contracts"]
        if contract["type"] == "layers" and contract["containers"] != [PACKAGE]
    )


def public_names() -> str:
    """Return what Sphinx makes the pages of all public names from."""
    public = {name: getattr(pereggrn_data, name) for name in pereggrn_data.__all__}
    kinds = {
        "Functions": [n for n, o in public.items() if isfunction(o)],
        "Types": [n for n, o in public.items() if isclass(o) and not issubclass(o, Exception)],
        "Errors": [n for n, o in public.items() if isclass(o) and issubclass(o, Exception)],
    }
    return "\n\n".join(
        f"## {kind}\n\n```{{eval-rst}}\n.. currentmodule:: pereggrn_data\n\n"
        ".. autosummary::\n   :toctree: generated\n\n"
        + "\n".join(f"   {name}" for name in sorted(names))
        + "\n```"
        for kind, names in kinds.items()
    )


def option_tables() -> dict[str, Callable[[], str]]:
    """Return what writes the table of each public class of options, by its name."""
    public = [getattr(pereggrn_data, name) for name in pereggrn_data.__all__]
    options = [
        cls
        for cls in public
        if is_dataclass(cls) and all("option" in f.metadata for f in fields(cls))
    ]
    # What another class of options extends stands in the table of that one.
    bases = {base for cls in options for base in cls.__mro__[1:]}
    return {
        f"options of {cls.__name__}": lambda cls=cls: options_table(cls)
        for cls in options
        if cls not in bases
    }


TABLES: Mapping[str, Callable[[], str]] = {
    "exit codes": exit_codes_table,
    "floors": floors_table,
    "rooms": rooms_table,
    "floors inside of rooms": inner_floors,
    "public names": public_names,
    "metrics": metrics_table,
    "features of genes": gene_features_table,
    "split types": split_types_table,
    "promises of every split": lambda: "\n".join(f"- {p.text}" for p in UNIVERSAL),
    "methods": models.methods_table,
    "adapters": adapters_table,
    "rules": rules_table,
    "layouts of counts": layouts_table,
    "commands of pereggrn-data": lambda: command_reference(data_app),
    "commands of pereggrn-eval": lambda: command_reference(evaluate_app),
    "keys of experiments": metadata_keys_table,
    **option_tables(),
    **{name: lambda table=table: table for name, table in format_tables().items()},
    **{name: lambda table=table: table for name, table in catalog_tables_by_name().items()},
}


def pages() -> list[Path]:
    """Return the pages in which tables stand."""
    written = (p for p in (REPOSITORY / "docs").rglob("*.md") if p.parent.name != "generated")
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(written)]


def filled(text: str) -> str:
    """Return a page with every table as the code has it.

    Raises
    ------
    KeyError
        If a page names a table that does not exist.
    """
    return TABLE.sub(
        lambda found: f"{found['begin']}{TABLES[found['name']]().strip()}\n<!-- end of table -->",
        text,
    )


def named() -> list[str]:
    """Return the names of the tables on all pages, in order."""
    return [m["name"] for page in pages() for m in TABLE.finditer(page.read_text("utf-8"))]


def main() -> int:
    """Bring all pages up to date, or check them, and return the exit code."""
    check = "--check" in sys.argv[1:]
    stale = 0
    for page in pages():
        text = page.read_text("utf-8")
        new = filled(text)
        if new == text:
            continue
        stale += 1
        print(f"{page.relative_to(REPOSITORY)}: {'stale' if check else 'written'}")
        if not check:
            page.write_text(new, "utf-8")
    if stale and check:
        print("run: python docs/tables.py")
    return 1 if stale and check else 0


if __name__ == "__main__":
    sys.exit(main())
