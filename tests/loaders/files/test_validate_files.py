"""How files are stored, damaged or too large must not matter, or be said."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import pereggrn_data.loaders.files.datasets.stripes as stripes
from pereggrn_data import split, validate
from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    UnknownNameError,
    UsageError,
)
from pereggrn_data.core.resources import Resources
from pereggrn_data.loaders.files.datasets.blocks import whole_matrix

pytestmark = pytest.mark.looks_through

Make = Callable[[], AnnData]
LEVEL = "expression_level_after_perturbation"


@pytest.fixture
def written(small_dataset: Make, tmp_path: Path) -> Path:
    path = tmp_path / "test.h5ad"
    small_dataset().write_h5ad(path)
    return path


def codes(path: Any, **options: Any) -> list[str]:
    return [f.code for f in validate(path, **options).findings]


def replace(key: str, value: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        attributes = dict(file[key].attrs)
        del file[key]
        file.create_dataset(key, data=value).attrs.update(attributes)

    return change


def delete(key: str) -> Callable[[h5py.File], None]:
    return lambda file: file.__delitem__(key)


FILES = [
    (delete("obs"), "file-unreadable", "file"),
    (delete("obs/_index"), "file-unreadable", "file"),
    (delete("obs/perturbation/codes"), "element-unreadable", "obs"),
    (replace("obs/is_control", [True]), "element-unreadable", "obs"),
    (replace("X", np.zeros(3)), "element-unreadable", "X"),
    (delete("X"), "X-missing", "X"),
    (replace("X", np.zeros((5, 4))), "X-shape", "X"),
    (replace("X", np.full((6, 4), b"x")), "X-not-numeric", "X"),
    (replace("raw/X", np.zeros((6, 3))), "raw-shape", "raw"),
    (replace("raw/X", np.full((6, 4), b"x")), "raw-not-numeric", "raw"),
    (delete("raw/var/_index"), "element-unreadable", "raw"),
]


@pytest.mark.parametrize(("change", "code", "slot"), FILES)
def test_damaged_element(written: Path, change: Any, code: str, slot: str) -> None:
    with h5py.File(written, "a") as file:
        change(file)
    found = [f for f in validate(written).findings if f.code == code]
    assert [f.slot for f in found] == [slot]


def test_damaged_column_does_not_hide_others(written: Path) -> None:
    with h5py.File(written, "a") as file:
        del file["obs/perturbation/codes"]
        del file["var/highly_variable_rank"]
    assert set(codes(written)) == {"element-unreadable", "var-missing-column"}


@pytest.mark.parametrize("size", [0, 4, 100, 3000])
def test_cut_short(written: Path, size: int) -> None:
    written.write_bytes(written.read_bytes()[:size])
    report = validate(written)
    assert [f.code for f in report.findings] == ["file-unreadable"]
    assert not report.valid


@pytest.mark.parametrize("text", [b"", b"<html>Not found</html>", b"PAR1 but not really"])
@pytest.mark.parametrize("kind", [None, "dataset", "predictions", "network"])
def test_something_else(tmp_path: Path, text: bytes, kind: str | None) -> None:
    path = tmp_path / "file.h5ad"
    path.write_bytes(text)
    report = validate(path, kind=kind)
    assert [f.code for f in report.findings] == ["file-unreadable"]
    assert kind is None or report.kind == kind


def test_no_observations(small_dataset: Make, tmp_path: Path) -> None:
    adata = small_dataset()[:0].copy()
    adata.write_h5ad(tmp_path / "empty.h5ad")
    assert {"X-empty", "no-controls"} <= set(codes(tmp_path / "empty.h5ad"))


def test_missing_file_folder_and_names(tmp_path: Path, written: Path) -> None:
    with pytest.raises(MissingFileError):
        validate(tmp_path / "none.h5ad")
    with pytest.raises(MissingFileError, match="not a file"):
        validate(tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean dataset"):
        validate(written, kind="datset")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_by_permission(written: Path) -> None:
    written.chmod(0)
    with pytest.raises(UsageError, match="cannot be read"):
        validate(written)


def test_parquet_name_is_no_pattern(tmp_path: Path) -> None:
    good = pd.DataFrame({"regulator": ["A"], "target": ["B"], "weight": [1.0]})
    good.to_parquet(tmp_path / "ab.parquet")
    good.assign(target=" ").to_parquet(tmp_path / "a'?.parquet")
    assert codes(tmp_path / "a'?.parquet") == ["edges-empty-name"]


@pytest.mark.parametrize("column", ["cell_type=x", "plain"])
def test_folder_names_are_no_columns(tmp_path: Path, column: str) -> None:
    (tmp_path / column).mkdir()
    path = tmp_path / column / "e.parquet"
    pd.DataFrame({"regulator": ["A"], "target": ["B"]}).to_parquet(path)
    assert codes(path) == ["edges-no-weight"]


STORED: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {
    "dense": lambda m: m,
    "fortran": np.asfortranarray,
    "csr_matrix": sparse.csr_matrix,
    "csc_matrix": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
    "float16": lambda m: m.astype(np.float16),
    "float64": lambda m: m.astype(np.float64),
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("where", ["memory", "file", "backed"])
@pytest.mark.parametrize("values_per_block", [1, 7, 4_000_000])
def test_storage_does_not_matter(
    small_dataset: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stored: str,
    where: str,
    values_per_block: int,
) -> None:
    monkeypatch.setattr(stripes, "VALUES_PER_BLOCK", values_per_block)
    adata = small_dataset()
    adata.obs.loc["cell_2", "expression_level_after_perturbation"] = "1.0"
    adata.X[3, 3] = np.nan
    adata.X[4, 2] = 15.5
    adata.X[5, 0] = -1
    if stored == "float16":
        adata.obs["expression_level_after_perturbation"] = "nan"
        adata.obs.loc["cell_4", "expression_level_after_perturbation"] = "nan,nan"
        adata.obs.loc["cell_2", "expression_level_after_perturbation"] = "1.0"
    adata.X = STORED[stored](np.asarray(adata.X))
    subject: Any = adata
    if where != "memory":
        subject = tmp_path / "test.h5ad"
        adata.write_h5ad(subject)
    if where == "backed":
        subject = anndata.read_h5ad(subject, backed="r")
    found = {f.code: f for f in validate(subject).findings}
    if where == "backed":
        subject.file.close()
    assert set(found) == {"level-differs-from-X", "X-not-finite", "X-outliers", "X-negative"}
    assert found["X-not-finite"].examples == ("cell_3 x D = nan",)
    assert found["X-outliers"].examples == ("cell_4 x C = 15.5",)
    assert found["X-negative"].examples == ("cell_5 x A = -1",)
    assert found["level-differs-from-X"].n == 1


@pytest.mark.parametrize("chunks", [(1, 4), (6, 1), (2, 3)])
def test_chunks_do_not_matter(
    written: Path, monkeypatch: pytest.MonkeyPatch, chunks: tuple[int, int]
) -> None:
    monkeypatch.setattr(stripes, "VALUES_PER_BLOCK", 4)
    with h5py.File(written, "a") as file:
        x = file["X"][:]
        x[3, 3] = np.nan
        attributes = dict(file["X"].attrs)
        del file["X"]
        new = file.create_dataset("X", data=x, chunks=chunks, compression="gzip")
        new.attrs.update(attributes)
    assert codes(written) == ["X-not-finite"]


@pytest.mark.parametrize("part", ["indices", "indptr", "data"])
def test_broken_sparse_matrix(small_dataset: Make, tmp_path: Path, part: str) -> None:
    adata = small_dataset()
    adata.X = sparse.csr_matrix(adata.X)
    adata.write_h5ad(tmp_path / "s.h5ad")
    with h5py.File(tmp_path / "s.h5ad", "a") as file:
        values = file["X"][part][:]
        del file["X"][part]
        file["X"][part] = values[:-1] if part == "data" else values + 10**6
    assert codes(tmp_path / "s.h5ad") == ["element-unreadable"]


def again(adata: AnnData, kind: str, parts: tuple[Any, Any, Any]) -> Any:
    """Return an object around the parts of a compressed matrix, which SciPy has not looked at."""
    make = sparse.csr_matrix if kind == "csr" else sparse.csc_matrix
    adata.X = make(adata.X)
    adata.X.data, adata.X.indices, adata.X.indptr = parts
    return adata


@pytest.mark.parametrize("kind", ["csr", "csc"])
@pytest.mark.parametrize("where", ["file", "large file", "object"])
@pytest.mark.parametrize("damage", ["twice", "twice, apart", "outside", "below 0", "pointers"])
def test_odd_sparse_matrices_are_refused_by_validation_and_by_use(
    small_dataset: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    where: str,
    damage: str,
) -> None:
    adata = small_dataset()
    whole = (sparse.csr_matrix if kind == "csr" else sparse.csc_matrix)(np.asarray(adata.X) + 0.1)
    data, indices, indptr = whole.data.copy(), whole.indices.copy(), whole.indptr.copy()
    if damage == "twice":
        indices[1] = indices[0]
    elif damage == "twice, apart":
        indices[2] = indices[0]
    elif damage == "outside":
        indices[2] = 1000
    elif damage == "below 0":
        indices[2] = -1
    else:
        indptr[[1, 2]] = indptr[[2, 1]]
    given: Any = again(adata, kind, (data, indices, indptr))
    if where != "object":
        given = tmp_path / "s.h5ad"
        small = small_dataset()
        small.X = whole
        small.write_h5ad(given)
        with h5py.File(given, "a") as file:
            for name, part in (("indices", indices), ("indptr", indptr)):
                file["X"][name][:] = part
    if where == "large file":
        monkeypatch.setattr(Resources, "bytes_to_hold", 1)
    report = validate(given)
    assert [finding.code for finding in report.errors] == ["element-unreadable"]
    with pytest.raises(InvalidDataError) as caught:
        split(given)
    assert "sparse" in str(caught.value)


def test_the_order_of_indices_means_nothing(small_dataset: Make, tmp_path: Path) -> None:
    adata = small_dataset()
    dense = np.asarray(adata.X) + 0.1
    whole = sparse.csr_matrix(dense)
    for start, stop in itertools.pairwise(whole.indptr):
        whole.data[start:stop] = whole.data[start:stop][::-1].copy()
        whole.indices[start:stop] = whole.indices[start:stop][::-1].copy()
    adata.X = whole
    adata.write_h5ad(tmp_path / "s.h5ad")
    with h5py.File(tmp_path / "s.h5ad") as file:
        assert file["X"]["indices"][0] > file["X"]["indices"][1]
        np.testing.assert_array_equal(whole_matrix(file["X"]).toarray(), dense)
    assert "element-unreadable" not in codes(tmp_path / "s.h5ad")


def test_file_is_not_changed(written: Path) -> None:
    written.chmod(0o444)
    before = hashlib.sha256(written.read_bytes()).hexdigest(), written.stat().st_mtime_ns
    validate(written)
    after = hashlib.sha256(written.read_bytes()).hexdigest(), written.stat().st_mtime_ns
    assert before == after
    assert [p.name for p in written.parent.iterdir()] == ["test.h5ad"]


def test_object_is_not_changed(small_dataset: Make) -> None:
    adata, same = small_dataset(), small_dataset()
    validate(adata)
    pd.testing.assert_frame_equal(adata.obs, same.obs)
    np.testing.assert_array_equal(adata.X, same.X)


@pytest.mark.parametrize("where", ["file", "memory"])
def test_predictions_without_a_header_are_told_apart(
    small_dataset: Make, tmp_path: Path, where: str
) -> None:
    def said(drop: Sequence[str], kind: str | None = None) -> str:
        adata = small_dataset()
        adata.obs = adata.obs.drop(columns=list(drop))
        if where == "memory":
            return str(validate(adata, kind=kind))
        adata.write_h5ad(tmp_path / "any.h5ad")
        return str(validate(tmp_path / "any.h5ad", kind=kind))

    assert said(["is_control"]).count("--kind predictions") == 1
    assert "--kind predictions" not in said(["is_control"], kind="dataset")
    assert "--kind predictions" not in said(["is_control", "perturbation"])
    assert "--kind predictions" not in said(["perturbation_type"])


def test_what_cannot_be_validated(small_dataset: Make) -> None:
    with pytest.raises(UsageError, match="a NoneType"):
        validate(None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a parquet file"):
        validate(small_dataset(), kind="network")


def test_frame_as_anndata_07_wrote_it(written: Path) -> None:
    """Categories are in a group of their own, to which columns refer."""
    text = h5py.string_dtype()
    labels = ["ctrl", "ctrl", "A", "B", "A,B", "Z Z"]
    categories = sorted(set(labels))
    with h5py.File(written, "a") as file:
        del file["obs"]
        obs = file.create_group("obs")
        obs.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0"})
        obs.attrs["_index"] = "_index"
        order = ["is_control", "perturbation", "perturbation_type", LEVEL]
        obs.attrs.create("column-order", order, dtype=text)
        obs["_index"] = np.array([f"cell_{i}" for i in range(6)], dtype=text)
        obs["is_control"] = np.array([True] * 2 + [False] * 4)
        obs["perturbation_type"] = np.array(["knockout"] * 6, dtype=text)
        obs[LEVEL] = np.array(["nan"] * 4 + ["nan,nan", "nan"], dtype=text)
        obs["perturbation"] = np.array([categories.index(v) for v in labels], dtype=np.int8)
        stored = obs.create_group("__categories").create_dataset(
            "perturbation", data=np.array(categories, dtype=text)
        )
        stored.attrs["ordered"] = False
        obs["perturbation"].attrs["categories"] = stored.ref
    assert {f.code for f in validate(written).errors} == {
        "perturbation-white-space",
        "listed-not-perturbed",
    }


def test_view_is_validated(small_dataset: Make) -> None:
    assert codes(small_dataset()[1:]) == []
