"""What objects show in a notebook, and that names from files are text there."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

import pereggrn_data
from pereggrn_data.core.format import Kind
from pereggrn_data.core.printable import MOST_ROWS, notebook_card
from pereggrn_data.core.reports import Finding, Report, Severity
from pereggrn_data.pipelines.compare import compare

EVIL = "<img src=x onerror=alert(1)>'\"\x1b[2J"


def tags(html: str) -> set[str]:
    return set(re.findall(r"<(\w+)", html))


def test_texts_are_escaped_wherever_they_stand() -> None:
    card = notebook_card(
        EVIL, lines=[EVIL], facts={EVIL: EVIL}, headings=[EVIL], rows=[[EVIL]], notes=[EVIL]
    )
    assert tags(card) == {"div", "strong", "p", "table", "thead", "tbody", "tr", "td", "th", "ul",
                          "li"}  # fmt: skip
    assert card.count("&lt;img") == 7
    assert "\x1b" not in card


def test_what_is_missing_is_left_out_and_long_tables_end() -> None:
    card = notebook_card("x", facts={"none": None, "empty": "", "zero": 0}, rows=[[1]] * 100)
    assert "none" not in card
    assert "zero" in card
    assert f"The first {MOST_ROWS} of 100 rows" in card


def test_report_of_a_validator() -> None:
    finding = Finding("a-code", Severity.ERROR, "obs", EVIL, 1, (EVIL,), "this", "that", "mend it")
    shown = Report(EVIL, next(iter(Kind)), (finding,))._repr_html_()
    assert "img" not in tags(shown)
    assert all(word in shown for word in ("INVALID", "a-code", "mend it"))


def test_split_and_score_and_comparison(tmp_path: Path) -> None:
    task = pereggrn_data.split("demo")
    assert str(len(task.split.heldout_perturbations)) in task.split._repr_html_()
    assert f"{task.n_train} observations" in task._repr_html_()
    template = task.template
    template.X[:] = 1.0
    report = pereggrn_data.score(
        template, dataset=task.dataset, name=EVIL, calibrate=False, draws=200
    )
    shown = report._repr_html_()
    assert "img" not in tags(shown)
    assert report.signature in shown
    assert "mae" in shown
    report.write(tmp_path / "run")
    table = compare([tmp_path / "run"], draws=200)
    side = table._repr_html_()  # type: ignore[operator]
    assert "img" not in tags(side)
    assert "&lt;img" in side
    assert type(table[table["metric"] == "mae"]) is pd.DataFrame


def test_entry_of_the_catalog_and_network() -> None:
    from pereggrn_data.catalog import DatasetEntry

    entry = DatasetEntry(name="x", title=EVIL, species="human", notes=("look here",))
    shown = entry._repr_html_()
    assert "img" not in tags(shown)
    assert all(word in shown for word in ("x (dataset)", "human", "look here"))
    network = pereggrn_data.open_network(
        pd.DataFrame({"regulator": [EVIL, "B"], "target": ["C", "D"]})
    )
    assert "n_edges" in network._repr_html_()
    assert "img" not in tags(network._repr_html_())
    assert "computed" in type(network).dense(["A"], ["B"])._repr_html_()
