"""Files of other evaluators: what is written for them, and what is read of theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from pereggrn_data import load, predict, score, split
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import IS_CONTROL, PERTURBATION
from pereggrn_data.pipelines.predict import PredictedExpression
from pereggrn_data.pipelines.score import ExportOptions, ScoreOptions, export_pair
from pereggrn_data.pipelines.split import SplitDataset

AS_THEIRS: dict[str, Any] = {"perturbation": "target_gene", "control": "non-targeting"}


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return split(load("demo"), num_genes=40)


@pytest.fixture(scope="module")
def predicted(made: SplitDataset) -> PredictedExpression:
    found = predict(split=made, model="median")
    found.adata.X[0, 0] = -0.25
    return found


def means(adata: anndata.AnnData) -> pd.DataFrame:
    return adata.to_df().groupby(adata.obs["target_gene"].astype(str)).mean()


def values(report: Any) -> dict[str, Any]:
    return {name: m.value for name, m in report.metrics.items()}


def test_both_files_have_what_the_others_take(
    made: SplitDataset, predicted: PredictedExpression, tmp_path: Path
) -> None:
    pair = export_pair(predicted)
    files = pair.write(tmp_path / "pair")
    assert [file.name for file in files] == ["real.h5ad", "pred.h5ad", "pair.json"]
    real, pred = map(anndata.read_h5ad, files[:2])
    data = made.prepared.adata
    assert list(real.var_names) == list(pred.var_names) == list(made.split.genes)
    for labels in (real.obs["target_gene"], pred.obs["target_gene"]):
        assert set(labels) == {"non-targeting", *made.split.heldout_perturbations}
    held_out = data[list(made.test_perturbations.index), list(made.split.genes)]
    expected = held_out.to_df().groupby(held_out.obs[PERTURBATION].astype(str)).mean()
    found = means(real).drop(index="non-targeting")
    np.testing.assert_allclose(found, expected.loc[found.index], rtol=1e-5)
    train = made.train[made.train.obs[IS_CONTROL].to_numpy(bool), list(made.split.genes)]
    for side in (real, pred):
        controls = side[(side.obs["target_gene"] == "non-targeting").to_numpy()]
        np.testing.assert_allclose(
            np.asarray(controls.to_df()), np.asarray(train.to_df()), rtol=1e-6
        )
    assert float(pred.X.min()) >= 0
    assert any("1 predicted values below 0 (the lowest is -0.25)" in w for w in pair.warnings)
    assert any("fewer than 8 cells" in w for w in pair.warnings)


def test_counts_are_whole_and_nearest(predicted: PredictedExpression) -> None:
    logs, counts = (export_pair(predicted, options=ExportOptions(counts=c)) for c in (False, True))
    for log, count in ((logs.real, counts.real), (logs.predicted, counts.predicted)):
        np.testing.assert_allclose(count.X, np.rint(np.expm1(np.asarray(log.X))))
    assert sum("Rounding to whole counts" in w for w in counts.warnings) == 2
    assert not any("Rounding" in w for w in logs.warnings)


@pytest.mark.parametrize("ending", ["h5ad", "csv", "parquet", "memory"])
def test_their_file_is_scored_as_it_is(
    ending: str, made: SplitDataset, predicted: PredictedExpression, tmp_path: Path
) -> None:
    pair = export_pair(predicted)
    rows = pair.predicted.obs[["target_gene"]]
    # A column of our name that says something else does not count.
    table = pair.predicted.to_df().assign(**rows, perturbation="something else")
    given: Any = tmp_path / f"pred.{ending}"
    if ending == "h5ad":
        given = pair.write(tmp_path)[1]
    elif ending == "csv":
        table.to_csv(given, index=False)
    elif ending == "parquet":
        table.to_parquet(given, index=False)
    else:
        given = pair.predicted
    clipped = predicted.adata.copy()
    clipped.X = np.maximum(clipped.X, 0)
    expected = score(clipped, split=made, calibrate=False, draws=200)
    report = score(given, split=made, calibrate=False, draws=200, **AS_THEIRS)
    assert report.n_scored == report.n_expected
    for name in ("mae", "pearson", "mse"):
        assert values(report)[name] == pytest.approx(values(expected)[name], rel=1e-5)


def test_a_column_that_is_not_there_is_named(predicted: PredictedExpression) -> None:
    theirs = export_pair(predicted).predicted
    with pytest.raises(InvalidDataError, match="no column 'target_genes'") as caught:
        score(theirs, perturbation="target_genes")
    assert "--perturbation target_gene" in str(caught.value)


def test_unnamed_controls_are_refused(made: SplitDataset, predicted: PredictedExpression) -> None:
    theirs = export_pair(predicted).predicted
    with pytest.raises(InvalidDataError, match="non-targeting"):
        score(theirs, split=made, perturbation="target_gene", calibrate=False, draws=200)


def test_what_is_missing_is_missing_on_both_sides(
    made: SplitDataset, predicted: PredictedExpression
) -> None:
    labels = predicted.adata.obs[PERTURBATION].astype(str)
    part = predicted.adata[(labels != labels.iloc[-1]).to_numpy()].copy()
    with pytest.raises(InvalidDataError, match="predictions-missing-perturbation"):
        export_pair(part, split=made)
    pair = export_pair(part, split=made, reading=ScoreOptions(allow_missing=True))
    for side in (pair.real, pair.predicted):
        assert labels.iloc[-1] not in set(side.obs["target_gene"])
    assert pair.to_dict()["perturbations"] == labels.nunique() - 1


def test_groups_without_a_cell_type_are_still_those() -> None:
    demo = load("demo")
    demo.obs["cell_type"] = pd.Categorical(([None, "nan", "K562"] * demo.n_obs)[: demo.n_obs])
    gaps = split(demo, num_genes=40)
    found = predict(split=gaps, model="median")
    expected = score(found, calibrate=False, draws=200)
    report = score(
        export_pair(found).predicted, split=gaps, calibrate=False, draws=200, **AS_THEIRS
    )
    assert report.n_scored == report.n_expected == expected.n_expected
    assert values(report)["mae"] == pytest.approx(values(expected)["mae"], rel=1e-5)


def test_values_that_are_no_logs_of_counts(made: SplitDataset) -> None:
    lower = made.dataset.adata.copy()
    lower.X = lower.X - 3
    lower.obs["expression_level_after_perturbation"] = "nan"
    other = split(lower, num_genes=40)
    found = predict(split=other, model="median")
    pair = export_pair(found)
    assert float(pair.predicted.X.min()) < 0
    assert any("not log1p of counts" in w for w in pair.warnings)
    with pytest.raises(InvalidDataError, match="negative values"):
        export_pair(found, options=ExportOptions(counts=True))


def test_a_pair_is_written_as_one_thing(
    predicted: PredictedExpression, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pereggrn_data.loaders.files.any_file import sha256_of_file
    from pereggrn_data.pipelines.score import paired_files

    pair = export_pair(predicted)
    *files, manifest = pair.write(tmp_path)
    said = json.loads(manifest.read_text("utf-8"))["files"]
    assert said == {file.name: {"sha256": sha256_of_file(file)} for file in files}
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    write, written = paired_files.write_h5ad, []

    def full(adata: Any, path: Path) -> None:
        if written:
            raise OSError(28, "No space left on device")
        written.append(path)
        write(adata, path)

    monkeypatch.setattr(paired_files, "write_h5ad", full)
    with pytest.raises(Exception, match="No space left"):
        pair.write(tmp_path)
    assert len(written) == 1  # the first file was there, and did not replace the old one
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
