"""Several predictions files scored as one: the folds of a cross-validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import pereggrn_data
from pereggrn_data.core.errors import UsageError
from pereggrn_data.pipelines.compare import compare
from pereggrn_data.pipelines.predict import predict
from pereggrn_data.pipelines.score import score
from pereggrn_data.pipelines.split import split, split_folds

FOLDS = 3
FAST: dict[str, Any] = {"draws": 200}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("folds")
    found = []
    for k, fold in enumerate(split_folds("demo", folds=FOLDS, num_genes=40)):
        found.append(folder / f"p{k}.h5ad")
        predict(fold, "RidgeCV").write(found[-1])
    return found


@pytest.fixture(scope="module")
def one_by_one(files: list[Path]) -> list[pereggrn_data.ScoreReport]:
    return [score(file, **FAST) for file in files]


@pytest.fixture(scope="module")
def pooled(files: list[Path]) -> pereggrn_data.ScoreReport:
    return score(list(reversed(files)), **FAST)


def test_groups_are_those_of_the_folds(
    pooled: pereggrn_data.ScoreReport, one_by_one: list[pereggrn_data.ScoreReport]
) -> None:
    assert pooled.n_scored == sum(r.n_scored for r in one_by_one)
    assert pooled.name == "RidgeCV"
    parts = pd.concat([r.scores.groups for r in one_by_one])
    by = ["method", "perturbation", "perturbation_type", "timepoint"]
    pd.testing.assert_frame_equal(
        pooled.scores.groups.sort_values(by, ignore_index=True),
        parts.sort_values(by, ignore_index=True),
    )
    mine = parts[parts["method"] == "predictions"]
    value = np.average(mine["mae"], weights=mine["n_observations"])
    assert pooled.metrics["mae"].value == pytest.approx(value)
    assert pooled.metrics["mae"].ceiling.duplicate is not None


def test_genes_are_averaged_over_all_observations(
    pooled: pereggrn_data.ScoreReport, one_by_one: list[pereggrn_data.ScoreReport]
) -> None:
    parts = pd.concat([r.scores.targets for r in one_by_one])
    one = parts.query("method == 'mean'")
    gene = one["gene"].iloc[3]
    rows = one[one["gene"] == gene]
    found = pooled.scores.targets.query("method == 'mean' and gene == @gene").iloc[0]
    assert found["n_observations"] == rows["n_observations"].sum()
    for column in ("mae", "mse"):
        expected = np.average(rows[column], weights=rows["n_observations"])
        assert found[column] == pytest.approx(expected)
    assert list(pooled.scores.targets) == list(parts)
    assert len(pooled.scores.targets) == len(one_by_one[0].scores.targets)


def test_compare_pools_the_folds_alike(
    files: list[Path],
    pooled: pereggrn_data.ScoreReport,
    one_by_one: list[pereggrn_data.ScoreReport],
    tmp_path: Path,
) -> None:
    for k, report in enumerate(one_by_one):
        report.write(tmp_path / f"s{k}")
    table = compare([tmp_path / f"s{k}" for k in range(FOLDS)])
    pooled.write(tmp_path / "pooled")
    again = compare([tmp_path / "pooled"])
    for frame in (table, again):
        row = frame[(frame["metric"] == "mae") & (frame["method"] == "RidgeCV")].iloc[0]
        assert row["value"] == pytest.approx(pooled.metrics["mae"].value)
        assert row["n_groups"] == pooled.n_scored
    written = json.loads((tmp_path / "pooled" / "summary.json").read_text())
    assert {p["file"] for p in written["pooled"]} == {str(f) for f in files}
    assert {p["signature"] for p in written["pooled"]} == {r.signature for r in one_by_one}


def test_signature_does_not_depend_on_the_order(
    files: list[Path], pooled: pereggrn_data.ScoreReport
) -> None:
    again = score(files, calibrate=False, **FAST)
    assert again.signature == pooled.signature
    assert again.signature.startswith(f"pooled:{FOLDS}|")
    two = score(files[:2], calibrate=False, **FAST)
    assert two.warnings[0] == "1 of 3 folds are not scored: 2."
    assert two.signature != pooled.signature


def test_refuses(files: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="predict different observations"):
        score([files[0], files[0]], calibrate=False)
    with pytest.raises(UsageError, match="no predictions"):
        score([])
    with pytest.raises(UsageError, match="of several splits"):
        score(files, split=split("demo", "k_fold", fold=0))
    other = predict(split("demo", "k_fold", folds=FOLDS, fold=1, num_genes=40), "mean")
    with pytest.raises(UsageError, match="several methods"):
        score([files[0], other], calibrate=False)
    named = score([files[0], other], name="both", calibrate=False, **FAST)
    assert named.name == "both"
