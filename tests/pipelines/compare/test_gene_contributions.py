"""Strata of genes of finished scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score as score

import pereggrn_data
from pereggrn_data.core.errors import (
    IntegrityError,
    InvalidDataError,
    MissingFileError,
    UsageError,
)
from pereggrn_data.loaders.files import write_split
from pereggrn_data.pipelines.predict import predict
from pereggrn_data.pipelines.score import export_pair
from pereggrn_data.pipelines.split import SplitDataset, split, split_folds


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return split("demo", num_genes=40)


@pytest.fixture(scope="module")
def runs(made: SplitDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for model in ("RidgeCV", "mean"):
        predict(made, model).write(folder / f"{model}.h5ad")
        score(folder / f"{model}.h5ad", draws=200, calibrate=False).write(folder / model)
    return folder


def test_strata_of_two_runs(made: SplitDataset, runs: Path) -> None:
    table, notes = pereggrn_data.strata([runs / "RidgeCV", runs / "mean"], network="demo")
    assert list(dict.fromkeys(table["feature"])) == [
        "mean", "variance", "dispersion", "in_degree", "out_degree"
    ]  # fmt: skip
    assert set(table["method"]) == {"RidgeCV", "mean (scored)", "mean", "median"}
    assert "pLI, n_exons" in notes[0]
    targets = pd.read_parquet(runs / "RidgeCV" / "targets.parquet")
    mine = targets[targets["method"] == "predictions"]
    total = np.average(mine["mae"], weights=mine["n_observations"])
    parts = table[table["method"] == "RidgeCV"].groupby("feature")["contribution"].sum()
    np.testing.assert_allclose(parts, total)
    lowest = table.query("feature == 'mean' and stratum == '1'")["low"].iloc[0]
    assert lowest == pytest.approx(np.asarray(made.train.X, float).mean(axis=0).min())
    degree = pereggrn_data.open_network("demo").degree().set_index("gene")["in_degree"]
    known = degree.reindex(made.split.genes).fillna(0)
    found = table.query("feature == 'in_degree'")
    assert (found["low"].min(), found["high"].max()) == (known.min(), known.max())


def test_features_of_ones_own_and_without_the_predictions(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "RidgeCV"
    shutil.copytree(runs / "RidgeCV", folder)
    summary = json.loads((folder / "summary.json").read_text())
    genes = pd.read_parquet(folder / "targets.parquet")["gene"].unique()
    pd.DataFrame({"gene": genes, "length": range(len(genes)), "name": "x"}).to_csv(
        tmp_path / "lengths.csv", index=False
    )
    summary["file"] = str(tmp_path / "gone.h5ad")
    (folder / "summary.json").write_text(json.dumps(summary))
    table, notes = pereggrn_data.strata(folder, features=tmp_path / "lengths.csv", bins=4)
    assert set(table["feature"]) == {"length"}
    assert sorted(set(table["stratum"])) == ["1", "2", "3", "4"]
    assert any("is not there any more" in note for note in notes)
    (tmp_path / "gone.h5ad").symlink_to("nowhere")
    for _ in range(2):
        with pytest.raises(UsageError, match="Nothing is known"):
            pereggrn_data.strata(folder)
        (tmp_path / "gone.h5ad").unlink(missing_ok=True)


def test_folds_are_averaged(tmp_path: Path) -> None:
    folds = split_folds("demo", folds=2, num_genes=30)
    for k, fold in enumerate(folds):
        predict(fold, "median").write(tmp_path / f"{k}.h5ad")
    files = [tmp_path / f"{k}.h5ad" for k in range(2)]
    score(files, draws=200, calibrate=False).write(tmp_path / "pooled")
    table, _ = pereggrn_data.strata(tmp_path / "pooled")
    means = np.mean([np.asarray(f.train.X, float).mean(axis=0) for f in folds], axis=0)
    assert table.query("feature == 'mean'")["low"].min() == pytest.approx(means.min())


def test_a_file_that_was_scored_with_another_column_or_at_one_of_its_steps(
    made: SplitDataset, runs: Path, tmp_path: Path
) -> None:
    """Only the split is asked of the file, so that it does not matter how rows are labelled."""
    export_pair(runs / "RidgeCV.h5ad").write(tmp_path / "pair")
    pair = tmp_path / "pair" / "pred.h5ad"
    theirs = {"perturbation": "target_gene", "control": "non-targeting"}
    score(pair, **theirs, draws=200, calibrate=False).write(tmp_path / "pair_scores")
    predict(made, "RidgeCV", steps=[1, 2]).write(tmp_path / "steps.h5ad")
    score(tmp_path / "steps.h5ad", step=2, draws=200, calibrate=False).write(tmp_path / "step_2")
    wanted, _ = pereggrn_data.strata(runs / "RidgeCV")
    assert set(wanted["feature"]) == {"mean", "variance", "dispersion"}
    known = ["feature", "stratum", "low", "high", "n_genes"]
    for folder in ("pair_scores", "step_2"):
        found, _ = pereggrn_data.strata(tmp_path / folder)
        pd.testing.assert_frame_equal(found[known], wanted[known])


def test_a_file_that_names_no_split(made: SplitDataset, tmp_path: Path) -> None:
    predicted = predict(made, "median").adata
    table = predicted.to_df().assign(perturbation=predicted.obs["perturbation"])
    table.to_csv(tmp_path / "median.csv")
    write_split(made.split, tmp_path / "split.json")
    score(tmp_path / "median.csv", dataset="demo", split=tmp_path / "split.json", draws=200,
          calibrate=False).write(tmp_path / "run")  # fmt: skip
    _, notes = pereggrn_data.strata(tmp_path / "run", dataset="demo", network="demo")
    assert any("names no split. Name it by --split." in note for note in notes)
    table, _ = pereggrn_data.strata(tmp_path / "run", split=tmp_path / "split.json")
    assert "dispersion" in set(table["feature"])


def test_pli_and_exons_from_a_local_collection(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pereggrn_data.pipelines.compare import gene_contributions

    genes = pd.read_parquet(runs / "mean" / "targets.parquet")["gene"].unique()
    file = tmp_path / "constraint.txt.gz"
    pd.DataFrame({"transcript": "t", "gene": genes, "n_exons": 3, "pLI": 0.5}).to_csv(
        file, sep="\t", index=False
    )
    monkeypatch.setattr(gene_contributions, "entry_paths", lambda *_, **__: [file])
    table, _ = pereggrn_data.strata(runs / "mean")
    assert {"pLI", "n_exons"} <= set(table["feature"])
    own = pd.DataFrame({"gene": genes, "mean": 1.0})
    table, _ = pereggrn_data.strata(runs / "mean", features=own)
    assert {"mean", "mean (own)"} <= set(table["feature"])


def test_refuses(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no scores to divide"):
        pereggrn_data.strata([])
    with pytest.raises(UsageError, match="Two runs are of RidgeCV"):
        pereggrn_data.strata([runs / "RidgeCV", runs / "RidgeCV"])
    with pytest.raises(UsageError, match="number of strata"):
        pereggrn_data.strata(runs / "RidgeCV", bins=1)
    with pytest.raises(InvalidDataError, match="says nothing of genes"):
        pereggrn_data.strata(runs / "RidgeCV", features=pd.DataFrame({"x": [1]}))
    other = tmp_path / "other"
    shutil.copytree(runs / "mean", other)
    summary = json.loads((other / "summary.json").read_text())
    summary["file_checksum"] = "0" * 64
    (other / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(IntegrityError, match="is not the file that was scored"):
        pereggrn_data.strata(other)
    summary["signature"] += "|more:1"
    (other / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(InvalidDataError, match="on one split"):
        pereggrn_data.strata([runs / "RidgeCV", other])
    (other / "targets.parquet").unlink()
    with pytest.raises(MissingFileError):
        pereggrn_data.strata(other)
