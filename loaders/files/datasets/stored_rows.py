"""Rows of a matrix in a file or a store: where they are, how they are read and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import h5py
import numpy as np
from scipy import sparse

from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import (
    RowSource,
    StoredMatrix,
    Values,
    blocks_in_order,
    is_sparse_like,
)
from pereggrn_data.loaders.files.datasets.blocks import bytes_of, kind_of, matrix_in_store
from pereggrn_data.loaders.files.datasets.stripes import (
    check_pointers,
    computable_type,
    native,
    sparse_stripes,
    stretch_of,
    stripe,
)
from pereggrn_data.validators import Block, Matrix

_CHUNK_VALUES = 1 << 16
"""Values that are packed together in files that we write."""


def stored_rows(opened: Callable[[], AbstractContextManager[Any]]) -> StoredMatrix:
    """Return the rows of a dense, CSR or CSC matrix in a file or store, which are not read yet.

    One stored by columns (CSC) is gone through once for as many rows as may be held in
    memory, so that a large one takes longer than it would in CSR.

    Parameters
    ----------
    opened
        Opens the file and gives the element; it is called for every reading.

    Raises
    ------
    ValueError
        If it is something else, or its parts do not fit together.
    """
    with opened() as element:
        described = matrix_in_store(element)
        sparse_kind = None if hasattr(element, "dtype") else kind_of(element)
        unit = _rows_stored_together(element, sparse_kind, described)
        size = bytes_of(element)

    @contextmanager
    def reading() -> Iterator[Callable[[int, int], Values]]:
        with opened() as element:
            yield _reader(element, sparse_kind, described.shape)

    kind = described.dtype.newbyteorder("=")
    if sparse_kind is not None:
        kind = computable_type(kind)
    return StoredMatrix(
        RowSource(described.shape, kind, sparse_kind is not None, reading, unit, size)
    )


def write_rows(group: h5py.Group, name: str, rows: Any) -> None:
    """Write a matrix block by block: a sparse one in CSR, another one dense.

    Parameters
    ----------
    group
        Where; what is there by the name is replaced.
    name
        Of the element.
    rows
        (n, genes) as in :func:`~pereggrn_data.core.rows.row_blocks.each_block`.
    """
    group.pop(name, None)
    n, genes = rows.shape
    if not is_sparse_like(rows):
        deep = int(np.clip(_CHUNK_VALUES // max(genes, 1), 1, max(n, 1)))
        chunks = (deep, genes) if n and genes else None
        x = group.create_dataset(name, (n, genes), rows.dtype, chunks=chunks, compression="gzip")
        x.attrs["encoding-type"], x.attrs["encoding-version"] = "array", "0.2.0"
        for block in blocks_in_order(rows):
            x[block.rows] = block.dense()
        return
    x = group.create_group(name)
    x.attrs["encoding-type"], x.attrs["encoding-version"] = "csr_matrix", "0.1.0"
    x.attrs["shape"] = np.array([n, genes], dtype=np.int64)
    how: dict[str, Any] = {"shape": (0,), "maxshape": (None,), "compression": "gzip",
                           "chunks": (_CHUNK_VALUES,)}  # fmt: skip
    data = x.create_dataset("data", dtype=rows.dtype, **how)
    indices = x.create_dataset("indices", dtype=np.int32, **how)
    indptr = np.zeros(n + 1, dtype=np.int64)
    for block in blocks_in_order(rows):
        stored = sparse.csr_array(block.values)
        at, more = data.shape[0], len(stored.data)
        for target, values in ((data, stored.data), (indices, stored.indices)):
            target.resize((at + more,))
            target[at:] = values
        indptr[block.positions + 1] = np.diff(stored.indptr)
    x.create_dataset("indptr", data=np.cumsum(indptr), compression="gzip")


def _rows_stored_together(element: Any, sparse_kind: str | None, described: Matrix) -> int:
    n, m = described.shape
    if sparse_kind == "csr":
        return 1
    if sparse_kind == "csc":
        readings = -(-bytes_of(element) // resources().bytes_to_hold)
        return max(-(-n // max(readings, 1)), 1)
    chunks = getattr(element, "shards", None) or element.chunks
    held = resources().bytes_to_hold // (described.dtype.itemsize * max(m, 1))
    return max(min(1 if chunks is None else int(chunks[0]), held), 1)


def _reader(
    element: Any, sparse_kind: str | None, shape: tuple[int, int]
) -> Callable[[int, int], Values]:
    """Return the function that reads rows of an open element."""
    if sparse_kind is None:
        return lambda start, stop: native(stretch_of(element, start, stop))
    data, indices = element["data"], element["indices"]
    indptr = np.asarray(element["indptr"][:])
    if sparse_kind == "csc":
        return lambda start, stop: _rows_of_columns(
            sparse_stripes(data, indices, indptr, shape, "csc"), start, stop
        )
    check_pointers(indptr, shape[0], data.shape[0], indices.shape[0])

    indptr = indptr.astype(np.int64, copy=False)
    return lambda start, stop: stripe(data, indices, indptr[start : stop + 1], shape[1], "csr")


def _rows_of_columns(blocks: Iterator[Block], start: int, stop: int) -> Values:
    """Put some rows of a matrix together that comes in stripes of columns."""
    parts = []
    for block in blocks:
        values: Any = block.values
        columns = np.repeat(np.arange(values.shape[1]), np.diff(values.indptr))
        inside = (values.indices >= start) & (values.indices < stop)
        at = values.indices[inside] - start, columns[inside]
        shape = (stop - start, values.shape[1])
        parts.append(sparse.coo_array((values.data[inside], at), shape=shape).tocsr())
    return sparse.csr_array(sparse.hstack(parts, format="csr"))
