"""AnnData in zarr stores: datasets and predictions as good as in .h5ad files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
import zarr
from scipy import sparse

import pereggrn_data
from pereggrn_data.core.errors import InvalidDataError, MissingFileError
from pereggrn_data.core.resources import Resources
from pereggrn_data.loaders.files import open_counts
from pereggrn_data.loaders.files.any_file.user_paths import required_file
from pereggrn_data.loaders.files.datasets import (
    StoredData,
    promised_store,
    read_dataset,
    sha256_of_data,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*[zZ]arr"),
    pytest.mark.filterwarnings("ignore:.*consolidated", "ignore:.*Consolidated"),
]


@pytest.fixture(scope="module")
def demo() -> anndata.AnnData:
    return pereggrn_data.load("demo")


def write(adata: anndata.AnnData, path: Path, version: int) -> Path:
    with anndata.settings.override(zarr_write_format=version):
        adata.write_zarr(path)
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_it_is_read_whole_and_in_blocks(
    demo: anndata.AnnData, tmp_path: Path, version: int, layout, monkeypatch
) -> None:
    adata = demo.copy()
    adata.X = layout(np.asarray(demo.X))
    path = write(adata, tmp_path / "demo.zarr", version)
    whole = read_dataset(path)
    assert whole.name == "demo"
    np.testing.assert_array_equal(np.asarray(anndata.AnnData(whole.adata.X).to_df()), demo.X)
    assert whole.adata.obs["perturbation"].tolist() == demo.obs["perturbation"].tolist()
    monkeypatch.setattr(Resources, "bytes_to_hold", 1000)
    monkeypatch.setattr(Resources, "values_in_a_block", 4000)
    stored = read_dataset(path)
    assert isinstance(stored.adata, StoredData)
    np.testing.assert_array_equal(np.asarray(stored.adata.X), demo.X)
    assert stored.sha256 == whole.sha256


def test_shards_are_read_together(tmp_path: Path, demo: anndata.AnnData) -> None:
    path = write(demo, tmp_path / "shards.zarr", 3)
    store = zarr.open_group(str(path), mode="r+")
    values = np.asarray(demo.X)
    attributes = dict(store["X"].attrs)
    del store["X"]
    x = store.create_array(
        "X", shape=values.shape, dtype=values.dtype, chunks=(10, 50), shards=(40, 100)
    )
    x[:], x.attrs["encoding-type"] = values, "array"
    x.attrs.update(attributes)
    zarr.consolidate_metadata(str(path))
    np.testing.assert_array_equal(np.asarray(read_dataset(path).adata.X), values)
    assert pereggrn_data.validate(path).valid


def test_it_is_split_scored_and_validated_like_a_file(
    demo: anndata.AnnData, tmp_path: Path
) -> None:
    path = write(demo, tmp_path / "demo.zarr", 3)
    made = pereggrn_data.split(path)
    assert made.split.test_observations == pereggrn_data.split("demo").split.test_observations
    template = made.template
    template.X = np.tile(np.asarray(made.train.X).mean(axis=0), (template.n_obs, 1))
    predictions = write(template, tmp_path / "predictions.zarr", 2)
    report = pereggrn_data.score(predictions, calibrate=False, draws=200)
    assert report.n_scored == report.n_expected
    assert pereggrn_data.validate(path).valid
    assert pereggrn_data.validate(predictions).kind == "predictions"
    spoiled = demo.copy()
    spoiled.X[3, 4] = np.nan
    found = pereggrn_data.validate(write(spoiled, tmp_path / "spoiled.zarr", 3))
    assert "X-not-finite" in {finding.code for finding in found.findings}


def test_a_store_is_known_by_all_its_files(demo: anndata.AnnData, tmp_path: Path) -> None:
    path = write(demo, tmp_path / "demo.zarr", 3)
    before = sha256_of_data(path)
    assert promised_store(path, before) == path
    (path / "more").write_text("x")
    assert promised_store(path, before) is None
    (tmp_path / "link.zarr").symlink_to(path)
    assert promised_store(tmp_path / "link.zarr", sha256_of_data(path)) is None
    with pytest.raises(MissingFileError, match="is a zarr store, and a file is asked for"):
        required_file(path)


def as_counts(path: Path) -> None:
    with open_counts(path):
        pass


@pytest.mark.parametrize("read", [read_dataset, pereggrn_data.split, as_counts])
def test_links_and_python_objects_are_refused(
    demo: anndata.AnnData, tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = write(demo, tmp_path / "demo.zarr", 2)
    metadata = path / "X" / ".zarray"
    said = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**said, "filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(InvalidDataError, match="Python objects"):
        read(path)
    metadata.write_text(json.dumps(said))
    (path / "X" / "9.9").symlink_to("/etc/hostname")
    with pytest.raises(InvalidDataError, match="outside of itself"):
        read(path)


def test_another_store_and_a_damaged_one_are_named(demo: anndata.AnnData, tmp_path: Path) -> None:
    zarr.create_group(str(tmp_path / "other.zarr"))
    with pytest.raises(InvalidDataError, match="not one of AnnData"):
        read_dataset(tmp_path / "other.zarr")
    path = write(demo, tmp_path / "demo.zarr", 3)
    for chunk in (path / "X" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"nothing")
    with pytest.raises(InvalidDataError, match="cannot be read"):
        read_dataset(path)


@pytest.mark.parametrize("slot", ["X", "raw/X"])
def test_a_matrix_of_another_shape_is_refused(
    tmp_path: Path, demo: anndata.AnnData, slot: str
) -> None:
    path = write(demo, tmp_path / "cut.zarr", 2)
    store = zarr.open_group(str(path), mode="r+")
    values, attributes = np.asarray(store[slot])[:-1], dict(store[slot].attrs)
    del store[slot]
    store.create_array(slot, data=values).attrs.update(attributes)
    zarr.consolidate_metadata(str(path))
    with pytest.raises(InvalidDataError, match="does not fit its observations"):
        read_dataset(path)
    assert not pereggrn_data.validate(path).valid


def test_rows_that_cannot_be_read_are_said_to_be_of_a_store(
    tmp_path: Path, demo: anndata.AnnData
) -> None:
    adata = demo.copy()
    twice = sparse.csr_matrix(np.asarray(demo.X))
    parts = (np.repeat(twice.data / 2, 2), np.repeat(twice.indices, 2), twice.indptr * 2)
    adata.X = sparse.csr_matrix(parts, shape=twice.shape)
    with pytest.raises(InvalidDataError, match=r"sum_duplicates\(\)") as caught:
        read_dataset(write(adata, tmp_path / "twice.zarr", 2))
    assert caught.value.expected == "a complete zarr store of AnnData"
