"""Matrices of AnnData objects, whatever holds them: one reader, and one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import pereggrn_data
from pereggrn_data import InvalidDataError
from pereggrn_data.core.arrays import without_mask
from pereggrn_data.core.rows.row_blocks import dense_values, each_block
from pereggrn_data.loaders.files.datasets import content_sha256, matrix_in_memory, own_copy
from pereggrn_data.loaders.files.datasets.blocks import compressed_matrix
from pereggrn_data.loaders.files.datasets.object_matrices import rows_of
from pereggrn_data.simulate.demo_dataset import demo_dataset

VALUES = np.where(np.arange(84).reshape(12, 7) % 3 == 0, np.arange(84.0).reshape(12, 7), 0)


def lazy(values: Any, rows: int = 5) -> Any:
    """Return a Dask array of chunks of some rows."""
    array = pytest.importorskip("dask.array")
    return array.from_array(values, chunks=(rows, values.shape[1]), asarray=False)


def lazy_sparse(values: np.ndarray) -> Any:
    return lazy(values).map_blocks(sparse.csr_matrix, meta=sparse.csr_matrix((0, 0)))


def backed(values: np.ndarray, folder: Path, kind: Any) -> Any:
    anndata.AnnData(kind(values)).write_h5ad(folder / "backed.h5ad")
    return anndata.read_h5ad(folder / "backed.h5ad", backed="r").X


MASKED = np.ma.masked_greater(VALUES, 60)

HOLDERS = {
    "array": lambda _: VALUES,
    "csr": lambda _: sparse.csr_matrix(VALUES),
    "csc": lambda _: sparse.csc_matrix(VALUES),
    "backed dense": lambda folder: backed(VALUES, folder, np.asarray),
    "backed csr": lambda folder: backed(VALUES, folder, sparse.csr_matrix),
    "backed csc": lambda folder: backed(VALUES, folder, sparse.csc_matrix),
    "dask": lambda _: lazy(VALUES),
    "dask sparse": lambda _: lazy_sparse(VALUES),
    "masked": lambda _: MASKED,
    "masked whole numbers": lambda _: MASKED.astype(int),
    "masked dask": lambda _: lazy(MASKED),
    "masked dask of whole numbers": lambda _: lazy(MASKED.astype(int)),
}


@pytest.mark.parametrize("held", HOLDERS)
def test_rules_and_scores_see_the_same_values(held: str, tmp_path: Path) -> None:
    x = HOLDERS[held](tmp_path)
    wanted = without_mask(MASKED) if "masked" in held else VALUES
    rows = rows_of(x)
    seen = np.full(VALUES.shape, -1.0)
    for block in each_block(rows if rows is not x else without_mask(x)):
        seen[block.rows] = block.dense()
    np.testing.assert_array_equal(seen, wanted)
    for_rules = np.full(VALUES.shape, -1.0)
    for part in matrix_in_memory(x).blocks():
        there = dense_values(part.values)
        at = (
            slice(part.row, part.row + len(there)),
            slice(part.column, part.column + there.shape[1]),
        )
        for_rules[at] = there
    np.testing.assert_array_equal(for_rules, wanted)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_stripes_of_a_sparse_matrix_share_its_values(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = kind(VALUES)
    monkeypatch.setattr("pereggrn_data.loaders.files.datasets.stripes.VALUES_PER_BLOCK", 9)
    stripes = list(matrix_in_memory(x).blocks())
    assert len(stripes) > 2
    assert all(np.shares_memory(stripe.values.data, x.data) for stripe in stripes)


@pytest.mark.parametrize("layout", ["csr", "csc"])
@pytest.mark.parametrize("values", ["f8", ">f4", "i1"])
@pytest.mark.parametrize("index", ["i1", "u2", ">i4", "u8"])
def test_indices_of_every_type_are_read(
    layout: str, values: str, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pointers have no room in the narrow types that are enough for indices."""
    wanted = np.arange(1, 1001).reshape(100, 10) % 100 + 1
    x = sparse.csr_array(wanted).asformat(layout)
    monkeypatch.setattr("pereggrn_data.loaders.files.datasets.stripes.VALUES_PER_BLOCK", 300)
    parts = x.data.astype(values), x.indices.astype(index), x.indptr.astype("i8")
    found = np.zeros(wanted.shape)
    for block in compressed_matrix(*parts, wanted.shape, layout).blocks():
        n, m = block.values.shape
        found[block.row : block.row + n, block.column : block.column + m] = block.values.toarray()
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("indices", "indptr"),
    [
        ([0, np.nan, 1], [0, 1, 3]),
        ([0, 0.5, 1], [0, 1, 3]),
        ([0, 1, 2], [0.0, np.nan, 3.0]),
        ([0, 1, 2], np.array([0, 4, 2, 3], dtype="u8")),
    ],
    ids=["no-index", "no-whole-index", "no-pointer", "unsigned"],
)
def test_what_points_nowhere_is_refused(indices: Any, indptr: Any) -> None:
    """SciPy would read anywhere in memory."""
    shape = (len(indptr) - 1, 3)
    parts = np.ones(3), np.asarray(indices), np.asarray(indptr)
    described = compressed_matrix(*parts, shape, "csr")
    with pytest.raises(ValueError, match=r"sparse indices|do not fit together"):
        list(described.blocks())


@pytest.fixture(scope="module")
def demo() -> Any:
    return demo_dataset().adata


@pytest.mark.parametrize("how", ["dask", "dask sparse"])
@pytest.mark.parametrize("memory", ["2GiB", "64MiB"])
def test_a_dask_dataset_is_split_and_scored_as_the_same_in_memory(
    demo: Any, how: str, memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pereggrn_data.core.resources import Resources

    if memory != "2GiB":  # so that nothing is held
        monkeypatch.setattr(Resources, "bytes_to_hold", 1)
    x = dense_values(demo.X)
    given = demo.copy()
    given.X = lazy(x, 40) if how == "dask" else lazy_sparse(x)
    made, plain = (pereggrn_data.split(adata, seed=1) for adata in (given, demo.copy()))
    assert made.split.is_same_as(plain.split)
    filled = [m.template for m in (made, plain)]
    for template in filled:
        template.X = np.asarray(x.mean(axis=0))[None, : template.n_vars].repeat(len(template), 0)
    scores = [
        pereggrn_data.score(predictions, split=m, calibrate=False, draws=200).scores.groups
        for predictions, m in zip(filled, (made, plain), strict=True)
    ]
    pd.testing.assert_frame_equal(*scores, rtol=1e-9)


def test_what_a_dask_dataset_says_is_hashed_as_in_memory(demo: Any) -> None:
    given = demo.copy()
    given.X = lazy(dense_values(demo.X), 40)
    from pereggrn_data.loaders.files.datasets import stored_parts

    assert stored_parts(given) is None  # it is small
    assert content_sha256(given) == content_sha256(demo)


REAL = ("f2", "f4", ">f4", ">f8", "longdouble", "?", "i1", "u8", ">i2", ">i4")


@pytest.mark.parametrize("held", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("kind", REAL)
@pytest.mark.parametrize("part", ["whole", "view"])
def test_sparse_numbers_of_every_type_are_copied_to_compute_with(
    kind: str, held: Any, part: str
) -> None:
    """SciPy neither copies, slices nor adds some of those that it holds."""

    def matrix() -> Any:
        x = held(VALUES)
        x.data = x.data.astype(kind)
        return x

    whole = anndata.AnnData(matrix(), layers={"other": matrix()})
    if part == "whole":  # anndata makes no view of some that have a raw
        whole.raw = whole
    copy = own_copy(whole[2:9, 1:] if part == "view" else whole)
    wanted = VALUES.astype(kind).astype("f8")
    here = wanted[2:9, 1:] if part == "view" else wanted
    for values in (copy.X, copy.layers["other"], *([copy.raw.X] if part == "whole" else [])):
        np.testing.assert_array_equal(values[np.arange(len(here))].toarray(), here)
    assert whole.X.dtype == np.dtype(kind)


@pytest.mark.parametrize("kind", ["f2", "longdouble", ">f8"])
def test_verbs_take_sparse_numbers_of_every_type(kind: str) -> None:
    demo = pereggrn_data.load("demo")
    demo.X = sparse.csr_matrix(np.asarray(demo.X))
    demo.X.data = demo.X.data.astype(kind)
    task = pereggrn_data.split(demo)
    forecast = task.template
    mean = np.asarray(task.train.X.mean(axis=0)).ravel()
    forecast.X = sparse.csr_matrix(np.tile(mean, (forecast.n_obs, 1)))
    forecast.X.data = forecast.X.data.astype(kind)
    assert len(pereggrn_data.score(forecast, dataset=demo, calibrate=False).to_pandas())
    assert pereggrn_data.qc(demo)
    codes = {finding.code for finding in pereggrn_data.validate(demo).errors}
    assert codes <= {"level-differs-from-X"}  # half precision rounds


@pytest.mark.parametrize("kind", [object, complex])
@pytest.mark.parametrize("choices", [{}, {"normalised": "natural-log"}, {"counts": "X"}])
def test_what_is_no_real_number_is_not_converted(kind: type, choices: dict[str, Any]) -> None:
    demo = pereggrn_data.load("demo")
    demo.raw, demo.X = None, np.rint(np.asarray(demo.X)).astype(kind)
    with pytest.raises(InvalidDataError, match="X does not hold real numbers") as error:
        pereggrn_data.convert(demo, perturbation="perturbation", control="control", **choices)
    assert error.value.fix == "convert X to floating-point numbers."
