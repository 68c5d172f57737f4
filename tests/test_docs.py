"""Tables in the documentation are those of the registries."""

from __future__ import annotations

from pathlib import Path

import pytest

from pereggrn_data.core.errors import EXIT_CODE_MEANINGS
from pereggrn_data.core.format import SPLIT_FORMAT_VERSION
from pereggrn_data.core.splits import Split, SplitRules
from pereggrn_data.evaluators.metrics.definitions import metrics_table
from pereggrn_data.evaluators.splits.guarantees import UNIVERSAL
from pereggrn_data.evaluators.splits.types import split_types_table

REPOSITORY = Path(__file__).resolve().parent.parent


def test_metrics() -> None:
    text = (REPOSITORY / "docs/evaluation.md").read_text(encoding="utf-8")
    assert metrics_table() in text, "paste the output of metrics_table()"


def test_split_types() -> None:
    text = (REPOSITORY / "docs/splits.md").read_text(encoding="utf-8")
    assert split_types_table() in text, "paste the output of split_types_table()"
    assert " ".join(promise.text for promise in UNIVERSAL) in text


def test_split_fields() -> None:
    """Every field and every rule of split.json is documented, and no other."""
    text = (REPOSITORY / "docs/splits.md").read_text(encoding="utf-8")
    rows = text.split("## split.json")[1].split("\n| `")[1:]
    documented = {row.split("`")[0]: row.split("\n")[0] for row in rows}
    rules = SplitRules(
        merge_replicates=True,
        keep_apart=("cell_type",),
        stratify_controls=True,
        rank_on_train=True,
        allowed_regulators="union",
        networks=("n",),
    )
    full = Split(
        "d", "0", "custom", 0, 0.5, 1, ("g",), ("p",), ("o",), "s", rules, ("t",), ("c",), "1"
    )
    assert set(documented) == set(full.to_dict())
    assert f"| {SPLIT_FORMAT_VERSION};" in documented["format_version"]
    for rule in full.to_dict()["rules"]:
        assert f"`{rule}`" in documented["rules"]


def test_exit_codes() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for code, meaning in EXIT_CODE_MEANINGS.items():
        assert f"| {code.value} | {meaning.replace('--debug', '`--debug`')} |" in text


@pytest.mark.parametrize("page", sorted(p.name for p in (REPOSITORY / "docs").glob("*.md")))
def test_every_page_is_listed(page: str) -> None:
    assert f"docs/{page}" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
