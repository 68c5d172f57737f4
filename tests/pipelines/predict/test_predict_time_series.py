"""Predict on a time series: forecasts start where scores compare."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.loaders.files.datasets.anndata_files import write_h5ad
from pereggrn_data.pipelines.predict.model_options import Program

GENES = ["A", "B", "C", "D"]


def part(labels: list[str], cell_type: str, timepoint: list[int], level: float) -> anndata.AnnData:
    """Return expression that is known: level + 10 x timepoint + gene / 10 + row² / 100."""
    n = len(labels)
    x = level + 10.0 * np.array(timepoint)[:, None] + 0.1 * np.arange(len(GENES))[None, :]
    x = x + 0.01 * np.arange(n)[:, None] ** 2
    control = np.array([label.startswith("ctrl") for label in labels])
    obs = pd.DataFrame(
        {
            "perturbation": labels,
            "is_control": control,
            "perturbation_type": "knockout",
            "expression_level_after_perturbation": np.where(control, "nan", "0"),
            "cell_type": list(cell_type),
            "timepoint": timepoint,
        },
        index=[f"{level}_{i}" for i in range(n)],
    )
    hit = sorted({label for label, c in zip(labels, control, strict=True) if not c})
    adata = anndata.AnnData(X=x.astype(np.float32), obs=obs, var=pd.DataFrame(index=GENES))
    adata.var["highly_variable_rank"] = np.arange(len(GENES))
    adata.raw = adata.copy()
    adata.uns["skip_log_check"] = True  # round numbers, up to 31
    adata.uns["perturbed_and_measured_genes"] = hit
    adata.uns["perturbed_but_not_measured_genes"] = []
    return adata


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """Controls of three stages train; two of them have controls in the test file, too."""
    write_h5ad(
        part(["ctrl"] * 6, "kkllmm", [1, 1, 2, 2, 3, 3], level=0.0), tmp_path / "train.h5ad"
    )
    labels = ["ctrl_a", "A", "ctrl_b", "ctrl_a", "B", "A", "A"]
    write_h5ad(part(labels, "kkkllml", [1, 1, 1, 2, 2, 3, 2], level=1.0), tmp_path / "test.h5ad")
    return tmp_path / "test.h5ad"


def controls_of(folder: Path, name: str, rows: list[int]) -> np.ndarray:
    matrix: np.ndarray = anndata.read_h5ad(folder / name).X[rows].mean(axis=0, dtype=float)
    return matrix


NO_EDGES = pd.DataFrame({"regulator": ["D"], "target": ["D"]})


def test_starts_from_controls_of_the_same_cell_type_and_timepoint(
    series: Path, tmp_path: Path
) -> None:
    """Given controls where there are some, else training controls (the A of m at 3)."""
    made = pereggrn_data.split(series, "timeseries")
    found = pereggrn_data.predict(model="regulon", split=made, network=NO_EDGES).to_pandas()
    expected = {
        ("A", "k"): controls_of(tmp_path, "test.h5ad", [0, 2]),
        ("A", "l"): controls_of(tmp_path, "test.h5ad", [3]),
        ("B", "l"): controls_of(tmp_path, "test.h5ad", [3]),
        ("A", "m"): controls_of(tmp_path, "train.h5ad", [4, 5]),
    }
    assert len(found) == len(expected)
    for _, row in found.iterrows():
        gene = row["perturbation"]
        profile = expected[gene, row["cell_type"]].copy()
        profile[GENES.index(gene)] = 0.0
        np.testing.assert_allclose(row[GENES].to_numpy(dtype=float), profile, rtol=1e-6)


def test_a_model_that_changes_nothing_forecasts_no_change(series: Path) -> None:
    """The start is the score's baseline, so that no gene has any direction."""
    made = pereggrn_data.split(series, "timeseries")
    predicted = pereggrn_data.predict(model="regulon", split=made, network=NO_EDGES)
    report = quick_score(predicted.adata, split=made, targeted_genes="exclude")
    assert report.n_scored == 4
    assert report.metrics["proportion_correct_direction"].value == 0.0


def test_regressions_are_fed_the_matched_start(series: Path) -> None:
    """One step of a linear model that was fitted by hand, on the start that was worked out."""
    made = pereggrn_data.split(series, "timeseries")
    arguments = {"model": "RidgeCV", "eligible_regulators": "all"}
    found = pereggrn_data.predict(split=made, **arguments).to_pandas()
    start = pereggrn_data.predict(model="regulon", split=made, network=NO_EDGES).to_pandas()
    from sklearn.linear_model import RidgeCV

    train = np.asarray(made.train.X, dtype=float)
    for j, gene in enumerate(GENES):
        others = [i for i in range(len(GENES)) if i != j]
        model = RidgeCV(alphas=(0.01, 0.1, 1, 10, 100)).fit(train[:, others], train[:, j])
        free = (found["perturbation"] != gene).to_numpy()
        expected = model.predict(start[GENES].to_numpy(float)[:, others])
        np.testing.assert_allclose(found[gene][free], expected[free], rtol=1e-6)


def test_predictions_say_what_did_not_train(series: Path) -> None:
    made = pereggrn_data.split(series, "timeseries")
    found = pereggrn_data.predict(split=made, matching="closest", eligible_regulators="all")
    times = made.train.obs["timepoint"]
    n_first = int((times == times.min()).sum())
    (note,) = (note for note in found.notes if "do not train" in note)
    assert note.startswith(f"{n_first} of {made.train.n_obs} training observations")
    assert note in json.loads(found.adata.uns["pereggrn_model"])["notes"]
    usual = pereggrn_data.predict(split=made, eligible_regulators="all")
    assert not any("do not train" in note for note in usual.notes)


def test_control_subtype_narrows_the_matched_controls(series: Path, tmp_path: Path) -> None:
    made = pereggrn_data.split(series, "timeseries")
    with pytest.raises(UsageError, match="1 of the cell types and timepoints") as raised:
        pereggrn_data.predict(
            model="regulon", split=made, network=NO_EDGES, control_subtype="ctrl_"
        )
    assert "m at 3" in str(raised.value)
    found = pereggrn_data.predict(
        model="regulon", split=made, network=NO_EDGES, control_subtype="ctrl"
    )
    assert found.adata.n_obs == 4
    made = pereggrn_data.split(without_stage_m(tmp_path), "timeseries")
    found = pereggrn_data.predict(model="mean", split=made, control_subtype="ctrl_a", steps=[1, 2])
    assert found.adata.n_obs == 6


def without_stage_m(folder: Path) -> Path:
    """Drop the one observation that only training controls match."""
    adata = anndata.read_h5ad(folder / "test.h5ad")
    write_h5ad(adata[adata.obs["cell_type"] != "m"].copy(), folder / "few" / "test.h5ad")
    write_h5ad(anndata.read_h5ad(folder / "train.h5ad"), folder / "few" / "train.h5ad")
    return folder / "few" / "test.h5ad"


def test_linear_embedding_says_that_controls_are_not_enough(series: Path) -> None:
    with pytest.raises(InvalidDataError, match="too few perturbations") as raised:
        pereggrn_data.predict(
            series, "linear_embedding", split=pereggrn_data.split(series, "timeseries")
        )
    assert "learns from controls" in str(raised.value)


PROGRAM = """
import sys
import anndata, pandas as pd
folder = sys.argv[1]
given = anndata.read_h5ad(folder + "/given_controls.h5ad")
wanted = pd.read_csv(folder + "/predictions_metadata.csv", index_col=0)
at = [given.obs["timepoint"].eq(t).to_numpy() for t in wanted["timepoint"]]
x = [given.X[rows].mean(axis=0) if rows.any() else given.X[0] for rows in at]
out = anndata.AnnData(pd.DataFrame(x, wanted.index, given.var_names).to_numpy(), wanted)
out.var_names = given.var_names
out.write_h5ad(folder + "/predictions.h5ad")
"""


def test_a_program_is_given_the_controls(series: Path, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(PROGRAM)
    made = pereggrn_data.split(series, "timeseries")
    program = Program(command=f"'{sys.executable}' -W ignore '{tmp_path / 'm.py'}' {{dir}}")
    found = pereggrn_data.predict(split=made, program=program).to_pandas()
    first = found[(found["perturbation"] == "A") & (found["cell_type"] == "k")]
    expected = controls_of(tmp_path, "test.h5ad", [0, 2])
    np.testing.assert_allclose(first[GENES].to_numpy(float)[0], expected, rtol=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("model", ["mean", "RidgeCV"])
def test_from_a_file_of_a_time_series_to_a_score(model: str, shared: Path, tmp_path: Path) -> None:
    folder = shared / "golden" / "inputs" / "perturbation_data" / "perturbations" / "endo"
    made = pereggrn_data.split(folder / "test.h5ad", "timeseries")
    path = pereggrn_data.predict(model=model, split=made).write(tmp_path / "p.h5ad")
    report = quick_score(path)
    assert report.n_scored == 100
