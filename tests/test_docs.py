"""Tables in the documentation are those of the registries."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

import pereggrn_data
from pereggrn_data.core.errors import EXIT_CODE_MEANINGS
from pereggrn_data.core.format import SPLIT_FORMAT_VERSION
from pereggrn_data.core.options import options_of, options_table
from pereggrn_data.core.splits import Split, SplitRules
from pereggrn_data.evaluators.metrics.definitions import metrics_table
from pereggrn_data.evaluators.splits.guarantees import UNIVERSAL
from pereggrn_data.evaluators.splits.types import split_types_table
from pereggrn_data.pipelines.split import SplitOptions

REPOSITORY = Path(__file__).resolve().parent.parent


def test_metrics() -> None:
    text = (REPOSITORY / "docs/evaluation.md").read_text(encoding="utf-8")
    assert metrics_table() in text, "paste the output of metrics_table()"


def test_split_types() -> None:
    text = (REPOSITORY / "docs/splits.md").read_text(encoding="utf-8")
    assert split_types_table() in text, "paste the output of split_types_table()"
    assert " ".join(promise.text for promise in UNIVERSAL) in text


def test_split_fields() -> None:
    """Every field of split.json is documented, and no other; rules are in the table of options."""
    text = (REPOSITORY / "docs/splits.md").read_text(encoding="utf-8")
    rows = text.split("## split.json")[1].split("\n| `")[1:]
    documented = {row.split("`")[0]: row.split("\n")[0] for row in rows}
    rules = SplitRules(merge_replicates=True)
    full = Split(
        "d", "0", "custom", 0, 0.5, 1, ("g",), ("p",), ("o",), "s", rules, ("t",), ("c",), "1"
    )
    assert set(documented) == set(full.to_dict())
    assert f"| {SPLIT_FORMAT_VERSION};" in documented["format_version"]
    # What the row of `rules` says of them.
    others = set(options_of(SplitOptions)) - set(documented) - {"test_set"}
    assert others == set(options_of(SplitRules))


def test_tables_of_options() -> None:
    """Every class of options has its table on one page, between markers."""
    found = []
    for page in sorted((REPOSITORY / "docs").glob("*.md")):
        for part in page.read_text(encoding="utf-8").split("<!-- options: ")[1:]:
            name, rest = part.split(" -->\n", 1)
            table = options_table(getattr(pereggrn_data, name))
            assert rest.split("\n<!-- end of options -->")[0] == table, (
                f"{page.name}: paste the output of options_table({name})"
            )
            found.append(name)
    assert sorted(found) == sorted(n for n in pereggrn_data.__all__ if is_options(n))


def is_options(name: str) -> bool:
    """Whether a public name is a class whose fields are options."""
    public = getattr(pereggrn_data, name)
    return is_dataclass(public) and all("option" in f.metadata for f in fields(public))


def test_exit_codes() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for code, meaning in EXIT_CODE_MEANINGS.items():
        assert f"| {code.value} | {meaning.replace('--debug', '`--debug`')} |" in text


@pytest.mark.parametrize("page", sorted(p.name for p in (REPOSITORY / "docs").glob("*.md")))
def test_every_page_is_listed(page: str) -> None:
    assert f"docs/{page}" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
