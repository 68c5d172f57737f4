"""Tables in the documentation are those of the registries."""

from __future__ import annotations

from pathlib import Path

import pytest

from pereggrn_data.core.errors import EXIT_CODE_MEANINGS
from pereggrn_data.evaluators.metrics import metrics_table

REPOSITORY = Path(__file__).resolve().parent.parent


def test_metrics() -> None:
    text = (REPOSITORY / "docs/evaluation.md").read_text(encoding="utf-8")
    assert metrics_table() in text, "paste the output of metrics_table()"


def test_exit_codes() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for code, meaning in EXIT_CODE_MEANINGS.items():
        assert f"| {code.value} | {meaning.replace('--debug', '`--debug`')} |" in text


@pytest.mark.parametrize("page", sorted(p.name for p in (REPOSITORY / "docs").glob("*.md")))
def test_every_page_is_listed(page: str) -> None:
    assert f"docs/{page}" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
