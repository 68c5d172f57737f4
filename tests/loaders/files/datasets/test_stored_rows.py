"""Matrices that stay in their files: what is read of them, and that results are the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from pereggrn_data.core.baselines import training_mean, training_median
from pereggrn_data.core.errors import InvalidDataError, UsageError
from pereggrn_data.core.resources import Resources, resources, using
from pereggrn_data.core.rows.group_sums import group_sums
from pereggrn_data.core.rows.row_blocks import (
    StoredMatrix,
    dense_values,
    each_block,
    held_if_small,
    stacked_rows,
)
from pereggrn_data.loaders.files.datasets.anndata_files import write_h5ad
from pereggrn_data.loaders.files.datasets.blocks import matrix_in_store, whole_matrix
from pereggrn_data.loaders.files.datasets.object_matrices import rows_of
from pereggrn_data.loaders.files.datasets.stored_data import open_stored
from pereggrn_data.loaders.files.prediction_files import read_predictions
from pereggrn_data.validators.predictions.prediction_scan import _facts_of_rows as facts_of_rows

LAYOUTS = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.where(rng.random((90, 12)) < 0.5, rng.normal(2, 1, (90, 12)), 0).astype("f4")


@pytest.fixture(params=LAYOUTS)
def file(request: pytest.FixtureRequest, values: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "data.h5ad"
    adata = anndata.AnnData(
        X=LAYOUTS[request.param](values),
        obs=pd.DataFrame(index=[f"c{i}" for i in range(90)]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(12)]),
    )
    adata.write_h5ad(path)
    return path


@pytest.fixture
def rows(file: Path, monkeypatch: pytest.MonkeyPatch) -> StoredMatrix:
    """Read seven dense rows, or 28 sparse ones, at a time."""
    monkeypatch.setattr(Resources, "values_in_a_block", 90)
    found = open_stored(file)[0].X
    assert isinstance(found, StoredMatrix)
    return found


def test_rows_and_columns_are_chosen_without_reading(
    rows: StoredMatrix, values: np.ndarray
) -> None:
    rng = np.random.default_rng(1)
    chosen, columns = rng.integers(0, 90, 40), rng.permutation(12)[:5]
    part = rows[chosen][:, columns]
    assert part.shape == (40, 5)
    np.testing.assert_array_equal(dense_values(part.to_memory()), values[chosen][:, columns])
    np.testing.assert_array_equal(np.asarray(rows[7]), values[7])
    kept = values.sum(axis=1) > 10
    np.testing.assert_array_equal(np.asarray(rows[kept]), values[kept])
    np.testing.assert_array_equal(np.asarray(rows[kept][3:9]), values[kept][3:9])


@pytest.mark.parametrize("kind", ["f2", ">f4", "g"])
def test_numbers_of_any_type_are_read_as_they_are(
    file: Path, values: np.ndarray, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole, by rows and in blocks; SciPy has none of these types."""
    monkeypatch.setattr(Resources, "values_in_a_block", 90)
    expected = values.astype(kind).astype("f4")
    with h5py.File(file, "a") as opened:
        holder, name = (
            (opened, "X") if isinstance(opened["X"], h5py.Dataset) else (opened["X"], "data")
        )
        attributes, stored = dict(holder[name].attrs), holder[name][()].astype(kind)
        del holder[name]
        holder[name] = stored
        holder[name].attrs.update(attributes)
        whole = whole_matrix(opened["X"])
        parts = [b.values for b in matrix_in_store(opened["X"]).blocks()]
    for read in (whole, open_stored(file)[0].X.to_memory()):
        np.testing.assert_array_equal(dense_values(read), expected)
    total = sum(sparse.csr_array(part).sum() for part in parts)
    assert total == pytest.approx(expected.sum(), rel=1e-5)


def test_blocks_cover_every_row_once_and_are_small(rows: StoredMatrix) -> None:
    seen = [np.arange(90)[block.rows] for block in rows.blocks()]
    assert len(seen) > 1 or rows.source.unit > 1
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(90))


def test_what_is_small_is_held(
    file: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = open_stored(file)[0].X
    assert isinstance(rows, StoredMatrix)
    places = 2 * np.count_nonzero(values) if rows.is_sparse else values.size
    pointers = rows.nbytes - 4 * places
    assert 0 <= pointers <= 8 * 91 * rows.is_sparse
    assert rows[:30].nbytes == rows.nbytes // 3
    monkeypatch.setattr(Resources, "bytes_to_hold", rows.nbytes // 3)
    assert held_if_small(rows) is rows
    held = held_if_small(rows[:30])
    assert sparse.issparse(held) == rows.is_sparse
    np.testing.assert_array_equal(dense_values(held), values[:30])
    assert held_if_small(held) is held


def test_rows_that_are_not_wanted_are_not_read(
    rows: StoredMatrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = np.array([80, 2, 3, 3])
    stretches = [(a, b) for a, b, _ in rows[wanted]._stretches()]
    assert sum(b - a for a, b in stretches) == 3


def test_baselines_of_stored_rows_are_those_of_arrays(
    rows: StoredMatrix, values: np.ndarray
) -> None:
    genes = np.array([f"g{i}" for i in range(12)])
    labels = np.array([f"g{i % 15}" for i in range(90)])
    np.testing.assert_array_equal(
        training_median(rows, labels, genes), training_median(values, labels, genes)
    )
    np.testing.assert_allclose(
        training_mean(rows, labels, genes), training_mean(values, labels, genes), rtol=1e-12
    )
    only = np.array(["g0"] * 90)
    assert np.isnan(training_median(rows, only, genes)[0])
    assert np.isnan(training_mean(rows, only, genes)[0])


@pytest.mark.parametrize("kind", ["f8", "i4"])
def test_medians_are_exact_for_every_type(kind: str) -> None:
    rng = np.random.default_rng(3)
    whole = (rng.normal(0, 50, (41, 9)) * (rng.random((41, 9)) < 0.7)).astype(kind)
    from_memory = each_block(whole)
    assert next(from_memory).values.shape == (41, 9)
    stored = stacked_rows(whole[:10], whole[10:])
    none = np.array(["-"] * 41)
    np.testing.assert_array_equal(
        training_median(stored, none, np.arange(9).astype(str)), np.median(whole, axis=0)
    )


def test_sums_by_group_leave_rows_out(rows: StoredMatrix, values: np.ndarray) -> None:
    group_of = np.arange(90) % 4 - 1
    found = group_sums(rows, group_of, 3, squares=True)
    wide = values.astype("f8")
    for k in range(3):
        np.testing.assert_allclose(found.sums[k], wide[group_of == k].sum(axis=0), rtol=1e-12)
        squares = np.square(wide[group_of == k]).sum(axis=0)
        np.testing.assert_allclose(found.squares[k], squares, rtol=1e-12)
    assert found.n.tolist() == [23, 22, 22]


def test_backed_objects_are_read_by_rows(file: Path, values: np.ndarray) -> None:
    backed = anndata.read_h5ad(file, backed="r")
    np.testing.assert_array_equal(np.asarray(rows_of(backed.X)), values)
    backed.file.close()


def test_written_again_it_has_its_layout(
    file: Path, values: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resources, "values_in_a_block", 90)
    data, left = open_stored(file)
    assert left == ()
    order = np.arange(90)[::-1]
    for chosen in (np.arange(90), order):
        part = type(data)(data.obs.iloc[chosen], data.var, {"note": "x"}, data.X[chosen])
        write_h5ad(part, tmp_path / "again.h5ad")
        again = anndata.read_h5ad(tmp_path / "again.h5ad")
        assert sparse.issparse(again.X) == data.X.is_sparse
        np.testing.assert_array_equal(dense_values(again.X), values[chosen])
        assert list(again.obs_names) == list(data.obs_names[chosen])
        assert again.uns["note"] == "x"


def test_damage_found_while_reading_is_our_error(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        if isinstance(opened["X"], h5py.Dataset):
            return  # a dense matrix has no indices
        opened["X"]["indices"][5] = 10_000
    with pytest.raises(InvalidDataError, match=r"X of .* cannot be read"):
        open_stored(file)[0].X.to_memory()


@pytest.mark.parametrize("memory", ["1KB", "no"])
def test_memory_that_is_none_is_refused(memory: str) -> None:
    with pytest.raises(UsageError):
        Resources(memory)


def test_limits_hold_for_a_while() -> None:
    before: Any = resources()
    with using(Resources("100MiB", 3)) as limits:
        assert limits.workers == resources().threads == 3
        assert limits.values_in_a_block < before.values_in_a_block
    assert resources() == before


def test_a_large_file_is_hashed_meanwhile(file: Path, tmp_path: Path) -> None:
    from pereggrn_data.loaders.files.any_file.integrity import Hashing, sha256_of_file

    assert Hashing(file).result() == f"sha256:{sha256_of_file(file)}"
    absent = Hashing(tmp_path / "absent")
    for _ in range(2):  # the error comes to whoever asks, every time
        with pytest.raises(FileNotFoundError):
            absent.result()


@pytest.mark.filterwarnings("ignore:.*[zZ]arr", "ignore:.*onsolidated")
@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_a_file_that_changes_while_it_is_read_is_told(kind: str, tmp_path: Path) -> None:
    """Of a store without its numbers, zarr reads 0; and half of a file may be another's."""
    obs = pd.DataFrame({"perturbation": ["a", "b"]}, index=["1", "2"])
    made = anndata.AnnData(np.ones((2, 3), dtype="f4"), obs=obs)
    path = tmp_path / f"p.{kind}"

    def write() -> None:
        (made.write_zarr if kind == "zarr" else made.write_h5ad)(path)

    write()
    assert read_predictions(path, later=True).checksum == read_predictions(path).checksum
    found = read_predictions(path, later=True)
    assert found.checksum
    made.X = made.X + 1
    write()
    with pytest.raises(InvalidDataError, match="was changed while it was read"):
        assert found.checksum
    found = read_predictions(path, later=True)
    np.testing.assert_array_equal(found.matrix.to_memory(), made.X)
    if kind == "zarr":
        assert found.checksum
        shutil.rmtree(path / "X")
        with pytest.raises(InvalidDataError, match="was changed while it was read"):
            assert found.checksum
    else:  # of a file, whatever was opened can be read to its end
        assert found.checksum
        path.unlink()
        assert found.checksum


def test_checksums_go_by_the_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pereggrn_data.loaders.files.any_file import integrity
    from pereggrn_data.loaders.files.datasets import zarr_stores

    # Of the bytes "abc", as FIPS 180-2 and the authors of BLAKE3 have them.
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    blake3 = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    (tmp_path / "abc").write_bytes(b"abc")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "abc").write_bytes(b"abc")
    for large, kind, digest in ((7, "sha256", sha256), (3, "blake3", blake3)):
        monkeypatch.setattr(integrity, "LARGE", large)
        monkeypatch.setattr(zarr_stores, "LARGE", 2 * large)
        assert integrity.checksum_of_file(tmp_path / "abc") == f"{kind}:{digest}"
        listed = tmp_path.parent / f"{kind}.txt"
        listed.write_text(f"{digest}  abc\n{digest}  part/abc\n")
        of_list = {"sha256": integrity.sha256_of_file, "blake3": integrity.blake3_of_file}[kind]
        assert zarr_stores.checksum_of_store(tmp_path) == f"{kind}:{of_list(listed)}"


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array, sparse.csc_array])
def test_wanted_rows_of_a_matrix_in_memory(
    layout: Any, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resources, "values_in_a_block", 90)
    matrix = layout(values)
    wanted = np.array([80, 3, 4, *range(10, 60)])
    for rows, expected in ((None, values), (wanted, values[wanted])):
        blocks = list(each_block(matrix, rows))
        assert len(blocks) > 1
        for block in blocks:
            np.testing.assert_array_equal(block.dense(), expected[block.rows])


def test_rows_side_by_side_are_not_copied(
    values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Resources, "values_in_a_block", 90)
    matrix = sparse.csr_array(values)
    assert all(np.shares_memory(b.values.data, matrix.data) for b in each_block(matrix))


def test_values_at_one_place_stay_as_they_are(
    values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SciPy adds them up in place when it looks for the least of a part."""
    monkeypatch.setattr(Resources, "values_in_a_block", 90)
    once = sparse.csr_array(values)
    halves = np.repeat(once.data / 2, 2), np.repeat(once.indices, 2), once.indptr * 2
    twice = sparse.csr_array(halves, shape=values.shape)
    ends = [(block.values.min(), block.values.max()) for block in each_block(twice)]
    assert len(ends) > 1
    np.testing.assert_array_equal(twice.data, halves[0])


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_array])
def test_equal_rows_have_equal_facts_whatever_is_beside_them(layout: Any) -> None:
    rows = np.random.default_rng(0).normal(size=(200, 61))
    together = facts_of_rows(layout(rows))
    for i in range(len(rows)):
        for all_rows, alone in zip(together, facts_of_rows(layout(rows[i : i + 1])), strict=True):
            assert all_rows[i] == alone[0]
