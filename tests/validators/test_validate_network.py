"""Rules of networks: each has a file that breaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pereggrn_data import validate

EDGES = {"regulator": ["A", "A", "B"], "target": ["B", "C", "C"], "weight": [-1.0, 0.5, 2.0]}

NETWORKS: list[tuple[dict[str, Any], str, str | None, int]] = [
    ({"regulator": None}, "edges-missing-column", "regulator", 1),
    ({"weight": None}, "edges-no-weight", "weight", 1),
    ({"target": [1, 2, 3]}, "edges-column-type", "target", 3),
    ({"weight": ["a", "b", "c"]}, "edges-column-type", "weight", 3),
    ({"weight": [True, False, True]}, "edges-column-type", "weight", 3),
    ({"weight": pd.to_timedelta([1, 2, 3])}, "edges-column-type", "weight", 3),
    ({"target": ["B", None, None]}, "edges-null", "target", 2),
    ({"cell_type": ["x", None, "x"]}, "edges-null", "cell_type", 1),
    ({"target": ["B", "", " "]}, "edges-empty-name", "target", 2),
    ({"target": ["B", "C D", "C"]}, "edges-white-space", "target", 1),
    ({"target": ["B\u200b", "C\u00a0", "C"]}, "edges-white-space", "target", 2),
    ({"weight": [-1.0, np.inf, 2.0]}, "weight-not-finite", "weight", 1),
    ({"target": ["B", "B", "C"]}, "edges-duplicated", None, 1),
    ({"regulator": [], "target": [], "weight": []}, "edges-none", None, 1),
]


@pytest.mark.parametrize(("change", "code", "column", "n"), NETWORKS)
def test_broken_network(
    tmp_path: Path, change: dict[str, Any], code: str, column: str | None, n: int
) -> None:
    columns = {k: v for k, v in (EDGES | change).items() if v is not None}
    path = tmp_path / "edges.parquet"
    pd.DataFrame(columns).to_parquet(path)
    report = validate(path)
    found = [f for f in report.findings if f.code == code]
    assert len(found) == 1, report
    assert (report.kind, found[0].column, found[0].n) == ("network", column, n)


def test_same_edge_in_two_cell_types_is_no_duplicate(tmp_path: Path) -> None:
    edges = pd.DataFrame(EDGES).assign(target="B", cell_type=["x", "y", "x"])
    edges.to_parquet(tmp_path / "e.parquet")
    assert validate(tmp_path / "e.parquet").findings == ()


def test_an_edge_without_a_cell_type_is_an_edge(tmp_path: Path) -> None:
    """Networks of files with and without cell types are written that way."""
    path = tmp_path / "edges.parquet"
    pd.DataFrame(EDGES | {"cell_type": ["x", None, "x"]}).to_parquet(path)
    report = validate(path)
    assert report.valid
    assert [f.code for f in report.warnings] == ["edges-null"]
