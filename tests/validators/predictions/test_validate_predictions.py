"""Rules of predictions: each has a file that breaks it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from pereggrn_data import validate
from pereggrn_data.core.splits import Split
from pereggrn_data.validators.predictions import check_genes
from pereggrn_data.validators.rules import RULES


def header(**changes: Any) -> str:
    split = Split(
        dataset="small",
        sha256="0" * 64,
        type="interventional",
        seed=0,
        heldout_fraction=0.5,
        num_genes=100,
        genes=("A", "B"),
        heldout_perturbations=("A", "A,B"),
        test_observations=("cell_2", "cell_4"),
        software="test",
    )
    values = {
        "format_version": 1,
        "dataset": {"name": "small", "sha256": "0" * 64, "path": None},
        "split": split.to_dict(),
    }
    return json.dumps(values | changes)


def predictions() -> AnnData:
    obs = pd.DataFrame({"perturbation": ["A", "A,B"]}, index=["cell_2", "cell_4"])
    return AnnData(
        X=np.ones((2, 2)), obs=obs, var=pd.DataFrame(index=["A", "B"]), uns={"pereggrn": header()}
    )


def drop(slot: str, key: str) -> Any:
    return lambda a: getattr(a, slot).__delitem__(key)


def uns(key: str, value: Any) -> Any:
    return lambda a: a.uns.__setitem__(key, value)


def obs(column: str, values: Any) -> Any:
    return lambda a: a.obs.__setitem__(column, values)


def genes(*names: str) -> Any:
    return lambda a: setattr(a, "var_names", list(names))


def x(row: int, column: int, value: float) -> Any:
    return lambda a: a.X.__setitem__((row, column), value)


PREDICTIONS = [
    (drop("uns", "pereggrn"), "predictions-header-missing", "pereggrn"),
    (uns("pereggrn", "{"), "predictions-header-invalid", "pereggrn"),
    (uns("pereggrn", 3), "predictions-header-invalid", "pereggrn"),
    (uns("pereggrn", "[" * 100_000), "predictions-header-invalid", "pereggrn"),
    (uns("pereggrn", header(format_version=2)), "predictions-header-invalid", "pereggrn"),
    (uns("pereggrn", header(dataset="small")), "predictions-header-invalid", "pereggrn"),
    (uns("pereggrn", header(dataset={"gaps": "x"})), "predictions-header-invalid", "pereggrn"),
    (uns("pereggrn", header(split={})), "predictions-header-invalid", "pereggrn"),
    (drop("obs", "perturbation"), "obs-missing-column", "perturbation"),
    (obs("perturbation", ["A", "A ,B"]), "perturbation-white-space", "perturbation"),
    (genes("a", "B"), "predictions-missing-gene", None),
    (genes("A", "A"), "predictions-duplicate-gene", None),
    (genes("a", "B"), "predictions-extra-gene", None),
    (obs("perturbation", "A"), "predictions-missing-perturbation", "perturbation"),
    (obs("perturbation", ["A", "C"]), "predictions-not-in-split", "perturbation"),
    (obs("cell_type", ["", "x"]), "predictions-partly-grouped", "cell_type"),
    (obs("timepoint", [np.nan, 1.0]), "predictions-partly-grouped", "timepoint"),
    (x(0, 0, np.nan), "predictions-not-a-number", None),
    (x(0, 0, -2e9), "predictions-not-a-number", None),
    (lambda a: a.X.fill(np.nan), "predictions-not-filled-in", None),
]


@pytest.mark.parametrize(("change", "code", "column"), PREDICTIONS)
def test_broken_predictions(change: Any, code: str, column: str | None) -> None:
    adata = predictions()
    change(adata)
    report = validate(adata, kind="predictions")
    found = [f for f in report.findings if f.code == code]
    assert len(found) == 1, report
    assert found[0].column == column
    for finding in report.findings:
        assert finding.severity == RULES[finding.code].severity
        assert finding.slot == RULES[finding.code].slot


def test_genes_of_a_label_may_be_in_any_order_as_in_a_score() -> None:
    adata = predictions()
    adata.obs["perturbation"] = ["A", "B,A"]
    assert validate(adata, kind="predictions").findings == ()


def test_predictions_are_known_by_their_header() -> None:
    report = validate(predictions())
    assert (report.kind, report.findings) == ("predictions", ())


def test_a_gene_in_the_wrong_case_is_shown() -> None:
    adata = predictions()
    adata.var_names = ["a", "B"]
    assert "near matches: A / a" in str(validate(adata))


def test_controls_are_not_unknown_perturbations() -> None:
    adata = predictions()
    adata.obs["perturbation"] = ["A", "ctrl"]
    adata.obs["is_control"] = [False, True]
    adata.uns["pereggrn"] = adata.uns["pereggrn"].replace('["A", "A,B"]', '["A"]')
    assert validate(adata).findings == ()


def test_columns_that_group_may_be_empty_and_controls_need_none() -> None:
    adata = predictions()
    adata.obs["timepoint"] = np.nan
    assert validate(adata).findings == ()
    adata.obs["perturbation"] = ["A", "ctrl"]
    adata.obs["cell_type"] = ["x", None]
    adata.uns["pereggrn"] = adata.uns["pereggrn"].replace('["A", "A,B"]', '["A"]')
    assert validate(adata).valid


def test_filled_in_template_of_counts_is_left_to_scoring() -> None:
    adata = predictions()
    adata.X = np.full((2, 2), 1000)
    assert validate(adata).valid


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_wide_tables(tmp_path: Path, ending: str) -> None:
    table = pd.DataFrame({"perturbation": ["A", "A ,B"], "A": [1.0, np.nan], "B": [0.5, 1.0]})
    path = tmp_path / f"predictions{ending}"
    table.to_csv(path, index=False) if ending == ".csv" else table.to_parquet(path)
    report = validate(path)
    assert report.kind == "predictions"
    assert [f.code for f in report.errors] == [
        "perturbation-white-space",
        "predictions-not-a-number",
    ]


def test_wide_table_with_text_for_a_gene(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("perturbation,A\nA,high\n")
    report = validate(tmp_path / "p.csv")
    assert [f.code for f in report.findings] == ["file-unreadable"]
    assert "not numeric" in report.findings[0].got


def test_positions_are_no_near_matches_of_genes() -> None:
    given = pd.Index([str(k) for k in range(60)])
    (missing, _) = check_genes(given, ["TP53", "GATA1"])
    assert "near" not in str(missing)
    (missing, _) = check_genes(given, ["TP53", "GATA1"], [("n", given), ("id", ["TP53", "GATA1"])])
    assert missing.fix == "adata.var_names = adata.var['id'] (made unique)."
