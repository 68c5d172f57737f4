"""What a file holds is shown on the terminal, never obeyed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st

from pereggrn_data.cli import output
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.printable import (
    LONGEST_LINE,
    LONGEST_NAME,
    one_line,
    printable_json,
)
from pereggrn_data.core.reports import Finding, Severity, sorted_report
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.validators import RULES

Make = Callable[[], AnnData]
HOSTILE = "evil\x1b[2J\x1b]0;title\x07\r\nerror: not ours\x9b1m\u202e\udc80"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]")


@given(st.text())
def test_nothing_to_obey(text: str) -> None:
    assert not OBEYED.search(one_line(text))
    assert "\n" not in one_line(text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_plain_text_stays(text: str) -> None:
    assert one_line(text) == text


@given(st.dictionaries(st.text(), st.text()))
def test_json_stays_what_it_says(value: dict[str, str]) -> None:
    text = dumps(value)
    assert json.loads(printable_json(text)) == json.loads(text)


def test_every_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.say(HOSTILE)
    output.emit(HOSTILE, HOSTILE)
    output.emit_prose(HOSTILE)
    output.emit_json({HOSTILE: HOSTILE})
    output.emit_table([HOSTILE], [[HOSTILE]], title=HOSTILE)
    shown = capsys.readouterr()
    assert not OBEYED.search(shown.out + shown.err)
    assert not any(line.startswith("error: not") for line in shown.out.splitlines())
    assert "\\x1b[2J" in shown.err


def test_errors_quote_on_one_line() -> None:
    finding = Finding("code", Severity.ERROR, "obs", HOSTILE, 1, (HOSTILE,), HOSTILE, HOSTILE, "f")
    error = InvalidDataError(HOSTILE, expected=HOSTILE, got=HOSTILE, fix=HOSTILE)
    with pytest.raises(InvalidDataError) as caught:
        sorted_report(HOSTILE, "dataset", [finding]).raise_if_invalid()  # type: ignore[arg-type]
    for raised in (error, caught.value):
        lines = str(raised).split("\n")
        assert not OBEYED.search("".join(lines))
        assert not any(line.startswith("error:") for line in lines)
    assert len(str(error).split("\n")) == 4


def test_what_is_quoted_is_not_endless() -> None:
    """One cell of a file that came from anywhere may be megabytes."""
    endless = "A" * 3_000_000
    finding = RULES["var-names-duplicated"].found(endless, examples=[endless])
    error = InvalidDataError(endless, expected=first_few([endless]), got=endless, fix="mend it.")
    for lines in (finding.to_lines(), str(error).split("\n")):
        assert max(map(len, lines)) < 2 * LONGEST_LINE
        assert sum("more characters" in line for line in lines) >= 2
    assert len(finding.examples[0]) < 2 * LONGEST_NAME
    assert "mend it." in str(error)


def test_command_says_it_harmlessly(
    small_dataset: Make, tmp_path: Path, command: Callable[..., object]
) -> None:
    adata = small_dataset()
    adata.obs["perturbation"] = adata.obs["perturbation"].astype(str) + "\x1b[2J\n::error::x"
    adata.write_h5ad(tmp_path / "d.h5ad")
    for form in ("text", "json", "github", "junit"):
        ran = command("validate", str(tmp_path / "d.h5ad"), "--format", form)
        assert ran.code == 1  # type: ignore[attr-defined]
        shown = ran.out + ran.err  # type: ignore[attr-defined]
        assert not OBEYED.search(shown)
        assert "\n::error::x" not in shown
