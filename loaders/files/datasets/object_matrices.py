"""The matrix of an AnnData object: in memory, backed by a file, or a Dask array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import h5py
import numpy as np
from scipy import sparse

from pereggrn_data.core.arrays import without_mask
from pereggrn_data.core.rows.row_blocks import RowSource, StoredMatrix, Values
from pereggrn_data.loaders.files.datasets.blocks import matrix_in_file
from pereggrn_data.loaders.files.datasets.stored_rows import stored_rows
from pereggrn_data.loaders.files.datasets.stripes import dense_stripes, sparse_stripes
from pereggrn_data.validators import Block, Matrix


def matrix_in_memory(x: Any) -> Matrix:
    """Describe the matrix of an AnnData object; one in a file is read from there.

    Backed AnnData objects, Dask arrays and stored matrices are read in blocks.

    Raises
    ------
    ValueError
        If it is neither dense nor CSR nor CSC.
    """
    if isinstance(x, h5py.Dataset):
        return matrix_in_file(x)
    if isinstance(getattr(x, "group", None), h5py.Group):
        return matrix_in_file(x.group)
    if isinstance(x, StoredMatrix):
        return _matrix_of_rows(x)
    if _is_dask(x):
        return _matrix_of_rows(rows_of_dask(x))
    if sparse.issparse(x):
        compressed = x if x.format in ("csr", "csc") else x.tocsr()
        shape = (int(x.shape[0]), int(x.shape[1]))
        parts = compressed.data, compressed.indices, compressed.indptr
        return Matrix(
            shape, compressed.dtype, lambda: sparse_stripes(*parts, shape, compressed.format)
        )
    array = np.asarray(without_mask(x))
    if array.ndim != 2:
        raise ValueError(f"X has {array.ndim} dimensions, not 2")
    shape = (array.shape[0], array.shape[1])
    return Matrix(shape, array.dtype, lambda: dense_stripes(array, shape, None))


def rows_of(x: Any) -> Any:
    """Return the rows of a backed AnnData object's matrix or of a Dask array; others as they are.

    Raises
    ------
    ValueError
        If it cannot be read by rows.
    """
    element = x if isinstance(x, h5py.Dataset) else getattr(x, "group", None)
    if isinstance(element, (h5py.Dataset, h5py.Group)):
        return stored_rows(lambda: nullcontext(element))
    return rows_of_dask(x) if _is_dask(x) else x


def rows_of_dask(x: Any) -> StoredMatrix:
    """Return the rows of a Dask array, which are computed block by block.

    Raises
    ------
    ValueError
        If it has not two dimensions, or its size is not known.
    """
    if x.ndim != 2 or any(n != n for n in x.shape):
        raise ValueError("a Dask array of unknown shape, or not of 2 dimensions")
    likeness = getattr(x, "_meta", None)
    is_sparse = bool(sparse.issparse(likeness))
    # What is masked becomes NaN, which whole numbers do not have.
    is_masked = isinstance(likeness, np.ma.MaskedArray)
    kind = np.dtype(np.float64) if is_masked and x.dtype.kind in "iub" else x.dtype

    @contextmanager
    def reading() -> Iterator[Callable[[int, int], Values]]:
        def read(start: int, stop: int) -> Values:
            values = x[start:stop].compute()
            if is_sparse:
                return sparse.csr_array(values)
            return np.asarray(without_mask(values), dtype=kind)

        yield read

    shape = (int(x.shape[0]), int(x.shape[1]))
    return StoredMatrix(RowSource(shape, kind, is_sparse, reading, int(max(x.chunks[0]))))


def _is_dask(x: Any) -> bool:
    return hasattr(x, "compute") and hasattr(x, "chunks") and hasattr(x, "dask")


def _matrix_of_rows(x: StoredMatrix) -> Matrix:
    """Describe rows that are read in blocks, as the rules look at matrices."""

    def blocks() -> Iterator[Block]:
        for block in x.blocks():
            if isinstance(block.rows, slice):
                yield Block(block.rows.start, 0, block.values)
            else:
                for k, row in enumerate(block.rows):
                    yield Block(int(row), 0, block.values[k : k + 1])

    return Matrix(x.shape, x.dtype, blocks)
