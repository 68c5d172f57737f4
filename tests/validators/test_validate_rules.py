"""The registry of rules is tested and documented in full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pereggrn_data.validators.rules import RULES

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize("code", RULES)
def test_every_rule_is_tested(code: str) -> None:
    """The tables of these files assert the codes that they name."""
    files = [
        *TESTS.rglob("test_validate_*.py"),
        TESTS / "pipelines/score/test_score_bad_input.py",
        TESTS / "pipelines/score/test_score_shortcuts.py",
    ]
    text = "".join(p.read_text(encoding="utf-8") for p in files)
    assert json.dumps(code) in text


def test_codes_are_kebab_case_and_texts_fit_a_table() -> None:
    for code, rule in RULES.items():
        assert code == rule.code
        assert not set("_ |") & set(code)
        assert "|" not in rule.expected + rule.fix
