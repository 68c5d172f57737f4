"""Scores, splits and calibrations of files that are read in blocks are those of the others."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score
from scipy import sparse

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.resources import Resources
from pereggrn_data.core.rows.row_blocks import StoredMatrix
from pereggrn_data.loaders.files.datasets import StoredData, write_h5ad
from pereggrn_data.pipelines.collection import open_dataset
from pereggrn_data.pipelines.split import SplitOptions, divide


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Single cells of the demo's perturbations: 3 of each, some genes 0."""
    place = tmp_path_factory.mktemp("cells")
    demo = pereggrn_data.load("demo")
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(demo.n_obs), 3)
    obs = demo.obs.iloc[rows].set_axis([f"cell{i}" for i in range(len(rows))])
    obs = obs.drop(columns="louvain")  # its classifier takes longest, and reads no blocks
    x = np.asarray(demo.X)
    noisy = np.maximum(x[rows] + rng.normal(0, 0.3, (len(rows), demo.n_vars)), 0)
    stated = [
        (i, list(demo.var_names).index(gene))
        for i, label in enumerate(obs["perturbation"])
        for gene in label.split(",")
        if gene in demo.var_names
    ]
    for i, j in stated:
        noisy[i, j] = x[rows[i], j]
    cells = anndata.AnnData(noisy.astype("f4"), obs, demo.var, uns=demo.uns)
    raw = demo.raw.X[rows]
    cells.raw = anndata.AnnData(raw, obs[[]], demo.raw.var)
    write_h5ad(cells, place / "dense.h5ad")
    return place


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold nothing in memory, and read about 20 rows at a time."""
    monkeypatch.setattr(Resources, "bytes_to_hold", 1000)
    monkeypatch.setattr(Resources, "values_in_a_block", 4000)


def close(a: pd.DataFrame, b: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(a, b, check_exact=False, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "layout",
    ["csr", *(pytest.param(other, marks=pytest.mark.slow) for other in ("dense", "csc"))],
)
def test_everything_is_the_same_in_blocks(
    folder: Path, tmp_path: Path, layout: str, request: pytest.FixtureRequest
) -> None:
    cells = anndata.read_h5ad(folder / "dense.h5ad")
    makes = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}
    cells.X = makes[layout](cells.X)
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    whole = pereggrn_data.split(path)
    template = whole.template
    rng = np.random.default_rng(1)
    own = np.maximum(whole.held_out_expression + rng.normal(0, 0.1, template.shape), 0)
    template.X = makes[layout](np.asarray(own, dtype="f4"))
    predictions = tmp_path / "predictions.h5ad"
    template.write_h5ad(predictions)
    scored = quick_score(predictions, calibrate=False, draws=200)
    calibrated = pereggrn_data.calibrate(path, use_cache=False)

    request.getfixturevalue("blocks")
    data = open_dataset(path).adata
    assert isinstance(data, StoredData)
    assert isinstance(data.X, StoredMatrix)
    made = pereggrn_data.split(path)
    assert made.split == whole.split
    made.write(tmp_path / "task")
    train = anndata.read_h5ad(tmp_path / "task" / "train.h5ad")
    assert sparse.issparse(train.X) == (layout != "dense")
    assert not abs(train.X - whole.train.X).max()
    assert list(train.obs_names) == list(whole.train.obs_names)
    assert not abs(train.raw.X - whole.train.raw.X).max()
    again = quick_score(predictions, calibrate=False, draws=200)
    assert again.signature == scored.signature
    assert again.warnings == scored.warnings
    close(again.scores.groups, scored.scores.groups)
    close(again.scores.targets, scored.scores.targets)
    in_blocks = pereggrn_data.calibrate(path, use_cache=False)
    close(in_blocks.calibration.frame(), calibrated.calibration.frame())


def test_rows_without_names_are_read_once(
    folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Many cells per perturbation, as generative models give them, with problems to find."""
    split = pereggrn_data.split(folder / "dense.h5ad")
    template = split.template
    labels = np.tile(np.array(split.split.heldout_perturbations), 10)
    rng = np.random.default_rng(2)
    mean = np.asarray(split.train.X).mean(axis=0)
    values = np.maximum(mean + rng.normal(0, 0.2, (len(labels), len(mean))), 0)
    values[40] = values[40 + len(labels) // 10]
    made = anndata.AnnData(
        X=values.astype("f4"),
        obs=pd.DataFrame({"perturbation": labels}, index=[f"p{i}" for i in range(len(labels))]),
        var=template.var,
        uns=template.uns,
    )
    path = tmp_path / "many.h5ad"
    made.write_h5ad(path)
    with pytest.MonkeyPatch.context() as patch:
        # Even a small file is not held, as its rows are needed once.
        patch.delattr(StoredMatrix, "to_memory_dense")
        scored = quick_score(path, calibrate=False, draws=200)
    in_memory = quick_score(made, dataset=folder / "dense.h5ad", calibrate=False, draws=200)
    assert [w for w in scored.warnings if "repeat" in w]
    assert in_memory.warnings == scored.warnings
    close(in_memory.scores.groups, scored.scores.groups)
    request.getfixturevalue("blocks")
    again = quick_score(path, calibrate=False, draws=200)
    assert again.warnings == scored.warnings
    close(again.scores.groups, scored.scores.groups)
    backed = anndata.read_h5ad(path, backed="r")
    from_backed = quick_score(backed, dataset=folder / "dense.h5ad", calibrate=False, draws=200)
    close(from_backed.scores.groups, scored.scores.groups)
    backed.file.close()


@pytest.mark.usefixtures("blocks")
def test_repeated_rows_are_found_beside_blocks_with_missing_values(folder: Path) -> None:
    made = pereggrn_data.split(folder / "dense.h5ad")
    template = made.template
    template.X = sparse.csr_matrix(np.asarray(made.held_out_expression, dtype="f4"))
    repeated = anndata.concat([template, template[:1]], index_unique="-")
    repeated.uns = template.uns
    whole = quick_score(repeated, split=made, calibrate=False, draws=200)
    wanted = [w for w in whole.warnings if "repeat" in w]
    x = repeated.X.toarray()
    x[-2, 3] = np.nan  # in the block of the last row, and not in that of the first, its twin
    repeated.X = sparse.csr_matrix(x)
    filled = quick_score(repeated, split=made, calibrate=False, draws=200, fill_missing="control")
    assert wanted
    assert [w for w in filled.warnings if "repeat" in w] == wanted


def test_an_object_that_is_backed_by_a_file_without_values_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    cells = anndata.read_h5ad(folder / "dense.h5ad")
    path = tmp_path / "none.h5ad"
    anndata.AnnData(obs=cells.obs, var=cells.var, uns=cells.uns).write_h5ad(path)
    backed = anndata.read_h5ad(path, backed="r")
    try:
        for use in (pereggrn_data.split, lambda x: quick_score(x, dataset=cells)):
            with pytest.raises(InvalidDataError, match=r"X of .*none\.h5ad is missing"):
                use(backed)
    finally:
        backed.file.close()


def test_limits_are_taken_by_name(folder: Path) -> None:
    made = pereggrn_data.split(folder / "dense.h5ad", memory="1GiB")
    template = made.template
    template.X = np.tile(np.asarray(made.train.X).mean(axis=0), (template.n_obs, 1))
    report = quick_score(template, calibrate=False, memory="1GiB", threads=1, draws=200)
    assert report.n_scored == report.n_expected


@pytest.mark.filterwarnings("ignore:.*[zZ]arr", "ignore:.*onsolidated")
@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_values_that_a_file_has_are_let_go(folder: Path, tmp_path: Path, kind: str) -> None:
    """What was divided keeps its tables, and reads X again where somebody asks for it."""
    file = folder / "dense.h5ad"
    if kind == "zarr":
        file = tmp_path / "dense.zarr"
        anndata.read_h5ad(folder / "dense.h5ad").write_zarr(file)
    opened = open_dataset(file, values_only=True)
    held = opened.adata.X
    made = divide(opened, None, SplitOptions())
    task = made.task
    freed = made.without_values()
    again = freed.dataset.adata.X
    assert isinstance(held, np.ndarray)
    assert isinstance(again, StoredMatrix)
    assert freed.prepared.adata is freed.dataset.adata
    assert "task" not in freed.__dict__
    np.testing.assert_array_equal(np.asarray(again), held)
    np.testing.assert_array_equal(freed.task.observed, task.observed)
    assert freed.trained_instead == made.trained_instead

    in_memory = pereggrn_data.split(anndata.read_h5ad(folder / "dense.h5ad"))
    assert in_memory.without_values().dataset.adata.X is in_memory.dataset.adata.X


def test_forecasts_are_scored_where_their_file_is_gone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was predicted keeps the values that it was made of, for as many scores as wanted."""
    monkeypatch.chdir(tmp_path)
    file = Path("once.h5ad")
    file.write_bytes((folder / "dense.h5ad").read_bytes())
    predicted = pereggrn_data.predict(str(file), "mean")
    file.unlink()
    first, second = (quick_score(predicted, calibrate=False, draws=200) for _ in range(2))
    assert first.n_scored == first.n_expected
    pd.testing.assert_frame_equal(first.scores.groups, second.scores.groups)
