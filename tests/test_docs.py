"""Tables in the documentation are those of the code."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

import pereggrn_data
from pereggrn_data.core.format import SPLIT_FORMAT_VERSION
from pereggrn_data.core.options import options_of
from pereggrn_data.core.splits import Split, SplitRules
from pereggrn_data.pipelines.split import SplitOptions

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    """The program that writes the tables."""
    spec = importlib.util.spec_from_file_location("tables", REPOSITORY / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_table_is_stale(tables: ModuleType) -> None:
    stale = [
        p.name
        for p in tables.pages()
        if tables.filled(p.read_text("utf-8")) != p.read_text("utf-8")
    ]
    assert not stale, "run: python docs/tables.py"


def test_every_table_stands_once(tables: ModuleType) -> None:
    assert Counter(tables.named()) == Counter(list(tables.TABLES))


def test_split_fields() -> None:
    """Every field of split.json is documented, and no other; rules are in the table of options."""
    text = (REPOSITORY / "docs/reference/split_files.md").read_text(encoding="utf-8")
    rows = text.split("## split.json")[1].split("\n| `")[1:]
    documented = {row.split("`")[0]: row.split("\n")[0] for row in rows}
    rules = SplitRules(merge_replicates=True)
    full = Split(
        "d",
        "0",
        "custom",
        0,
        0.5,
        1,
        ("g",),
        ("p",),
        ("o",),
        "s",
        rules,
        ("t",),
        ("c",),
        "1",
        ("v",),
        (("p,q", "seen0"),),
    )
    assert set(documented) == set(full.to_dict())
    assert f"| {SPLIT_FORMAT_VERSION};" in documented["format_version"]
    # What the row of `rules` says of them.
    others = set(options_of(SplitOptions)) - set(documented) - {"test_set"}
    assert others == set(options_of(SplitRules))


def test_every_page_is_in_a_table_of_contents() -> None:
    """Of the documentation; what cannot be reached from there is read by nobody."""
    docs = REPOSITORY / "docs"
    index = (docs / "index.md").read_text(encoding="utf-8")
    listed = {line for tree in index.split("```{toctree}")[1:] for line in tree.splitlines()}
    pages = {
        p.relative_to(docs).with_suffix("").as_posix()
        for p in docs.rglob("*.md")
        if p.parent.name != "generated"
    }
    assert pages - {"index"} <= listed


def test_links_of_pages_outside_of_the_documentation_lead_somewhere() -> None:
    """Those between pages of the documentation are followed when it is built."""
    for page in REPOSITORY.glob("*.md"):
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text("utf-8")):
            if not re.match(r"[a-z]+:", target):
                assert (REPOSITORY / target).exists(), f"{page.name}: {target}"


def test_names_and_commands_that_pages_mention_exist(tables: ModuleType) -> None:
    commands = {
        "data": set(get_command(tables.data_app).commands),  # type: ignore[attr-defined]
        "eval": set(get_command(tables.evaluate_app).commands),  # type: ignore[attr-defined]
    }
    for page in tables.pages():
        text = page.read_text("utf-8")
        for name in re.findall(r"\bpereggrn_data\.([A-Za-z_]+)", text):
            known = name in pereggrn_data.__all__ or name == "__version__"
            assert known or importlib.util.find_spec(f"pereggrn_data.{name}"), (page.name, name)
        typed = re.findall(r"(?:^\$ |`)pereggrn-(data|eval) ([a-z][a-z-]*)", text, re.MULTILINE)
        for program, command in typed:
            assert command in commands[program], (page.name, command)
