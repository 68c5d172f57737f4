"""Training data and forecasts that are too large to be held: results are the same."""

from __future__ import annotations

from collections.abc import Iterator
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
from pereggrn_data.core.row_blocks import is_stored
from pereggrn_data.loaders.files import StoredData
from pereggrn_data.models.grammar.choices import CellTypeSharing, Grammar
from pereggrn_data.models.grammar.fitting import Fitting
from pereggrn_data.models.grammar.ggrn import FittedGRN
from pereggrn_data.models.inputs import Perturbations, TrainingData
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
        patched.setattr(Resources, "bytes_to_hold", 0)
        patched.setattr(Resources, "values_in_a_block", 3000)
        yield


@pytest.mark.parametrize("model", ["mean", "median"])
def test_baselines_learn_in_blocks(
    model: str, file: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    expected = pereggrn_data.predict(file, model, steps=[1, 2], **SMALL)
    request.getfixturevalue("in_blocks")
    read = []
    whole = model_inputs.training_data

    def seen(*args: Any, **given: Any) -> Any:
        data = whole(*args, **given)
        read.append(is_stored(data.expression))
        return data

    monkeypatch.setattr(model_inputs, "training_data", seen)
    found = pereggrn_data.predict(file, model, steps=[1, 2], **SMALL)
    assert read == [True]
    assert isinstance(found.adata, StoredData)
    assert found.adata.obs.equals(expected.adata.obs)
    assert found.adata.uns == expected.adata.uns
    np.testing.assert_allclose(np.asarray(found.adata.X), expected.adata.X, rtol=1e-12)
    assert found.to_pandas().shape == expected.to_pandas().shape


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
    with pytest.raises(UsageError, match="RidgeCV learns from all of the training data") as caught:
        pereggrn_data.predict(file, "RidgeCV", **SMALL)
    assert "--memory" in str(caught.value.fix)
    assert "features of each" in str(caught.value.got)
