"""Training data and forecasts that are too large to be held: results are the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from quick_scores import quick_score
from scipy import sparse

import pereggrn_data
from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.resources import Resources
from pereggrn_data.core.rows.row_blocks import is_stored
from pereggrn_data.loaders.files.datasets import StoredData
from pereggrn_data.models.grammar.choices import CellTypeSharing, Grammar
from pereggrn_data.models.grammar.fitting import Fitting
from pereggrn_data.models.grammar.ggrn import FittedGRN
from pereggrn_data.models.inputs import Perturbations, TrainingData
from pereggrn_data.models.methods import METHODS
from pereggrn_data.pipelines.predict import model_inputs
from pereggrn_data.pipelines.split import SplitDataset, SplitOptions

SMALL: dict[str, Any] = {"split_options": SplitOptions(num_genes=30)}
FEW: dict[str, Any] = {"eligible_regulators": "perturbed", **SMALL}


@pytest.fixture(scope="module", params=["dense", "csr"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "test.h5ad"
    demo = pereggrn_data.load("demo")
    if request.param == "csr":
        demo.X = sparse.csr_matrix(demo.X)
    demo.write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def made() -> SplitDataset:
    return pereggrn_data.split("demo", num_genes=30)


@pytest.fixture
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold nothing, and read a few rows at a time."""
    with monkeypatch.context() as patched:
        patched.setattr(Resources, "bytes_to_hold", 1)
        patched.setattr(Resources, "values_in_a_block", 3000)
        yield


@pytest.fixture
def learnt_from(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Gather of all training data whether they are not in memory."""
    stored: list[bool] = []
    whole = model_inputs.training_data

    def seen(*args: Any, **given: Any) -> Any:
        data = whole(*args, **given)
        stored.append(is_stored(data.expression))
        return data

    monkeypatch.setattr(model_inputs, "training_data", seen)
    return stored


@pytest.mark.parametrize("model", ["mean", "median"])
def test_baselines_learn_in_blocks(
    model: str, file: Path, learnt_from: list[bool], request: pytest.FixtureRequest
) -> None:
    expected = pereggrn_data.predict(file, model, steps=[1, 2], **SMALL)
    request.getfixturevalue("in_blocks")
    found = pereggrn_data.predict(file, model, steps=[1, 2], **SMALL)
    assert learnt_from == [False, True]
    assert isinstance(found.adata, StoredData)
    assert found.adata.obs.equals(expected.adata.obs)
    assert found.adata.uns == expected.adata.uns
    np.testing.assert_allclose(np.asarray(found.adata.X), expected.adata.X, rtol=1e-12)
    assert found.to_pandas().shape == expected.to_pandas().shape


OTHERS = [m.name for m in METHODS if m.in_blocks is not None and m.by_gene and m.name != "Lasso"]
LAYOUTS = ["dense", "csr", "csc", "zarr"]
QUICK = {"Lasso": {"alpha": 0.01}, "LassoCV": {"alphas": 8}, "ElasticNetCV": {"alphas": 8}}


def as_file(layout: str, folder: Path) -> Any:
    """Return the demo as it may lie somewhere else than in memory."""
    demo = pereggrn_data.load("demo")
    if layout == "csr":
        demo.X = sparse.csr_matrix(demo.X)
    if layout == "csc":
        demo.X = sparse.csc_matrix(demo.X)
    if layout == "zarr":
        demo.write_zarr(folder / "test.zarr")
        return folder / "test.zarr"
    if layout == "Dask":
        demo.X = pytest.importorskip("dask.array").from_array(demo.X, chunks=(40, -1))
        return demo
    demo.write_h5ad(folder / "test.h5ad")
    if layout == "backed":
        return anndata.read_h5ad(folder / "test.h5ad", backed="r")
    return folder / "test.h5ad"


@pytest.mark.filterwarnings("ignore:.*zarr")
@pytest.mark.parametrize("layout", ["dense", "csr", "csc", "zarr", "Dask", "backed"])
def test_ridge_regression_learns_in_blocks(
    layout: str, learnt_from: list[bool], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file, first, second = as_file(layout, tmp_path), tmp_path / "a.npz", tmp_path / "b.npz"
    choices = {"eligible_regulators": "all" if layout == "csr" else "perturbed", **SMALL}
    expected = pereggrn_data.predict("demo", "RidgeCV", save_model=first, **choices)
    request.getfixturevalue("in_blocks")
    found = pereggrn_data.predict(file, "RidgeCV", save_model=second, **choices)
    assert learnt_from == [False, True]
    assert isinstance(found.adata, StoredData)
    np.testing.assert_allclose(np.asarray(found.adata.X), expected.adata.X, rtol=1e-8)
    assert found.notes == expected.notes
    with np.load(first) as one, np.load(second) as other:
        assert set(one) == set(other)
        np.testing.assert_array_equal(other["model_0_alphas"], one["model_0_alphas"])
        for name in ("coefficients", "intercepts"):
            np.testing.assert_allclose(
                other[f"model_0_{name}"], one[f"model_0_{name}"], rtol=1e-8, atol=1e-11
            )


@pytest.mark.filterwarnings("ignore:.*zarr")
@pytest.mark.parametrize(
    ("method", "layout"),
    [*zip(OTHERS, cycle(LAYOUTS), strict=False), *product(["Lasso"], LAYOUTS)],  # it is quick
)
def test_other_linear_models_learn_in_blocks(
    method: str,
    layout: str,
    learnt_from: list[bool],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    file = as_file(layout, tmp_path)
    choices = {**FEW, "arguments": QUICK.get(method, {})}
    expected = pereggrn_data.predict("demo", method, **choices)
    request.getfixturevalue("in_blocks")
    found = pereggrn_data.predict(file, method, **choices)
    assert learnt_from == [False, True]
    np.testing.assert_allclose(np.asarray(found.adata.X), expected.adata.X, rtol=1e-7)
    assert found.notes == expected.notes


@pytest.mark.parametrize(
    ("method", "arguments"),
    [("LassoCV", {"cv": 3, "alphas": 5}), ("KernelRidge", {"kernel": "rbf"})],
)
def test_what_an_argument_keeps_from_blocks_is_learnt_in_memory(
    method: str,
    arguments: dict[str, Any],
    learnt_from: list[bool],
    file: Path,
    request: pytest.FixtureRequest,
) -> None:
    request.getfixturevalue("in_blocks")
    pereggrn_data.predict(file, method, arguments=arguments, **FEW)
    assert learnt_from == [False]


@pytest.mark.parametrize(
    "choices",
    [
        {"matching": "closest"},
        {"network": "demo"},
        {"prune": 50},
        {"low_dimensional": "postprocessing", "dimensions": 3},
        {"split_options": SplitOptions(num_genes=200)},
    ],
    ids=lambda choices: next(iter(choices)),
)
def test_what_does_not_go_in_blocks_is_learnt_in_memory(
    choices: dict[str, Any], learnt_from: list[bool], file: Path, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue("in_blocks")
    pereggrn_data.predict(file, "RidgeCV", **{**SMALL, **choices})
    assert learnt_from == [False]


def test_forecasts_that_are_not_held_are_written_and_scored(
    made: SplitDataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Resources, "bytes_to_hold", 0)
        found = pereggrn_data.predict(made, "mean")
    assert isinstance(found.adata, StoredData)
    found.write(tmp_path / "p.h5ad")
    written = anndata.read_h5ad(tmp_path / "p.h5ad")
    np.testing.assert_array_equal(written.X, np.asarray(found.adata.X))
    of_both = [quick_score(given).to_pandas() for given in (found, written)]
    pd.testing.assert_frame_equal(*of_both)


def test_rows_that_ask_for_the_same_are_forecast_once(
    file: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pereggrn_data.predict(file, "RidgeCV", **FEW)
    request.getfixturevalue("in_blocks")
    asked = []
    really = FittedGRN.predict

    def seen(self: FittedGRN, requested: Any, **more: Any) -> Any:
        asked.append(len(requested))
        return really(self, requested, **more)

    monkeypatch.setattr(FittedGRN, "predict", seen)
    found = pereggrn_data.predict(file, "RidgeCV", **FEW)
    assert asked[0] < found.adata.n_obs
    assert isinstance(found.adata, StoredData)
    np.testing.assert_allclose(np.asarray(found.adata.X), expected.adata.X, rtol=1e-9)


def test_notes_do_not_depend_on_the_memory(request: pytest.FixtureRequest) -> None:
    demo = pereggrn_data.load("demo")
    demo.obs["expression_level_after_perturbation"] = np.nan
    held = pereggrn_data.predict(demo, "mean", **SMALL)
    assert any("no stated level" in note for note in held.notes)
    request.getfixturevalue("in_blocks")
    assert pereggrn_data.predict(demo, "mean", **SMALL).notes == held.notes


def test_models_of_cell_types_that_look_at_no_features_have_none() -> None:
    n, genes = 6, ("A", "B", "C")
    some = Perturbations(("A", "A", "B", "B", "C", "C"), (1.0,) * n, cell_types=("x", "y") * 3)
    data = TrainingData(np.ones((n, 3)), genes, some, is_control=np.arange(n) < 2)
    strategy = CellTypeSharing.DISTINCT
    grammar = Grammar(method="mean", cell_type_sharing_strategy=strategy)
    fitting = Fitting(data, grammar, genes, None, 1, None)
    task = fitting.task(np.arange(n) % 2 == 0, None, "x")
    assert task.features.shape == (3, 3)
    assert task.features.strides == (0, 0)


@pytest.mark.usefixtures("in_blocks")
def test_what_does_not_fit_is_told_before_it_is_read(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Little:
        memory_bytes = 10_000

    monkeypatch.setattr(model_inputs, "resources", Little)
    pereggrn_data.predict(file, "mean", **SMALL)
    monkeypatch.setattr(model_inputs, "training_data", None)
    with pytest.raises(UsageError, match="RidgeCV keeps products of all features") as caught:
        pereggrn_data.predict(file, "RidgeCV", **SMALL)
    assert "--merge-replicates" not in str(caught.value.fix)
    for model, choices in {"LarsCV": {}, "RidgeCV": {"matching": "closest"}}.items():
        with pytest.raises(UsageError, match=f"{model} learns from all of the training") as caught:
            pereggrn_data.predict(file, model, **SMALL, **choices)
        assert "--memory" in str(caught.value.fix)
        assert "mean and median go through training data in blocks" in str(caught.value.fix)
        assert "features of each" in str(caught.value.got)
