"""Read a matrix of an ``.h5ad`` file, or of an AnnData object, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import Ints, without_mask
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import (
    RowSource,
    StoredMatrix,
    Values,
    blocks_in_order,
    is_sparse_like,
)
from pereggrn_data.loaders.files.hdf5 import require_fits
from pereggrn_data.validators import Block, Matrix

VALUES_PER_BLOCK = 4_000_000
"""Stored values in memory at once: 16 MB of float32."""

_CHUNK_VALUES = 1 << 16
"""Values that are packed together in files that we write."""


_SPARSE = {"csr_matrix": "csr", "csc_matrix": "csc"}


def matrix_in_file(element: h5py.Dataset | h5py.Group) -> Matrix:
    """Describe a dense, CSR or CSC matrix in an open file.

    Raises
    ------
    ValueError
        If it is something else, or its parts do not fit together.
    """
    if isinstance(element, h5py.Dataset):
        if element.ndim != 2:
            raise ValueError(f"X has {element.ndim} dimensions, not 2")
        shape = (int(element.shape[0]), int(element.shape[1]))
        return Matrix(shape, element.dtype, lambda: _dense_blocks(element, shape, element.chunks))
    kind = _kind(element)
    shape_stored = element.attrs.get("shape", element.attrs.get("h5sparse_shape"))
    if kind not in ("csr", "csc") or shape_stored is None or len(shape_stored) != 2:
        raise ValueError(f"a matrix stored as {kind!r}; dense, CSR and CSC are known")
    shape = (int(shape_stored[0]), int(shape_stored[1]))
    data, indices, indptr = _parts_of(element)
    require_fits(indptr)
    return Matrix(shape, data.dtype, lambda: _sparse_blocks(data, indices, indptr[:], shape, kind))


def _kind(element: Any) -> str:
    """Return how a sparse matrix is compressed, as its marks say."""
    stated = element.attrs.get("encoding-type", element.attrs.get("h5sparse_format"))
    encoding = stated.decode() if isinstance(stated, bytes) else str(stated)
    return _SPARSE.get(encoding, encoding)


def _parts_of(element: Any) -> tuple[Any, Any, Any]:
    """Return data, indices and indptr of a compressed matrix, none of them read.

    Raises
    ------
    ValueError
        If one of them is a group, or has another number of dimensions than one.
    """
    parts = tuple(element[key] for key in ("data", "indices", "indptr"))
    if any(len(getattr(part, "shape", None) or ()) != 1 for part in parts):
        raise ValueError("data, indices and indptr of the sparse matrix are not all lists")
    return parts[0], parts[1], parts[2]


def whole_matrix(element: h5py.Dataset | h5py.Group) -> Any:
    """Read a dense, CSR or CSC matrix in an open file into memory.

    Raises
    ------
    ValueError
        If it is something else, its parts do not fit together, or a place has several values.
    """
    described = matrix_in_file(element)
    require_fits(element, may_be_unwritten=True)
    if isinstance(element, h5py.Dataset):
        return _native(element[()])
    data, indices, indptr = (element[key][()] for key in ("data", "indices", "indptr"))
    make = sparse.csr_matrix if _kind(element) == "csr" else sparse.csc_matrix
    data = _computable(data)
    n_major, n_minor = described.shape if _kind(element) == "csr" else described.shape[::-1]
    # SciPy itself would read anywhere in memory.
    _check_pointers(indptr, n_major, len(data), len(indices))
    _check_inside(indices, n_minor)
    return _without_repetition(make((data, indices, indptr), shape=described.shape))


def compressed_matrix(
    data: Any,
    indices: Any,
    indptr: npt.NDArray[np.integer[Any]],
    shape: tuple[int, int],
    kind: str,
) -> Matrix:
    """Describe a compressed matrix by its parts, in a file or in memory.

    Parameters
    ----------
    data, indices, indptr
        As in SciPy; the first two may be HDF5 datasets.
    shape
        Rows and columns.
    kind
        ``"csr"`` or ``"csc"``.
    """
    return Matrix(shape, data.dtype, lambda: _sparse_blocks(data, indices, indptr, shape, kind))


def matrix_in_zarr(element: Any) -> Matrix:
    """Describe a dense, CSR or CSC matrix in an open zarr store; it is read in blocks.

    Parameters
    ----------
    element
        Array or group of the store.

    Raises
    ------
    ValueError
        If it is something else, or its parts do not fit together.
    """
    if hasattr(element, "dtype"):
        if element.ndim != 2:
            raise ValueError(f"X has {element.ndim} dimensions, not 2")
        shape = (int(element.shape[0]), int(element.shape[1]))
        chunks = (int(element.chunks[0]), int(element.chunks[1]))
        return Matrix(shape, element.dtype, lambda: _dense_blocks(element, shape, chunks))
    kind = _kind(element)
    stored = element.attrs.get("shape")
    if kind not in ("csr", "csc") or stored is None or len(stored) != 2:
        raise ValueError(f"a matrix stored as {kind!r}; dense, CSR and CSC are known")
    data, indices, indptr = _parts_of(element)
    return compressed_matrix(
        data, indices, np.asarray(indptr[:]), (int(stored[0]), int(stored[1])), kind
    )


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
            shape, compressed.dtype, lambda: _sparse_blocks(*parts, shape, compressed.format)
        )
    array = np.asarray(without_mask(x))
    if array.ndim != 2:
        raise ValueError(f"X has {array.ndim} dimensions, not 2")
    shape = (array.shape[0], array.shape[1])
    return Matrix(shape, array.dtype, lambda: _dense_blocks(array, shape, None))


def _dense_blocks(
    source: Any, shape: tuple[int, int], chunks: tuple[int, int] | None
) -> Iterator[Block]:
    """Yield stripes that hold whole chunks, so that no chunk is unpacked twice."""
    n_rows, n_columns = shape
    by_column = chunks is not None and chunks[0] * n_columns > 4 * VALUES_PER_BLOCK
    length, width = (n_columns, n_rows) if by_column else (n_rows, n_columns)
    unit = 1 if chunks is None else chunks[1 if by_column else 0]
    step = max(VALUES_PER_BLOCK // max(width, 1) // unit, 1) * unit
    for start in range(0, length, step):
        if by_column:
            yield Block(0, start, _computable(np.asarray(source[:, start : start + step])))
        else:
            stop = min(start + step, length)
            yield Block(start, 0, _computable(_stretch_of(source, start, stop)))


def _sparse_blocks(
    data: Any,
    indices: Any,
    indptr: npt.NDArray[Any],
    shape: tuple[int, int],
    kind: str,
) -> Iterator[Block]:
    """Yield stripes of a compressed matrix, after checking that its indices are in range."""
    n_major, n_minor = shape if kind == "csr" else shape[::-1]
    _check_pointers(indptr, n_major, data.shape[0], indices.shape[0])
    indptr = indptr.astype(np.int64, copy=False)  # a type of few bytes holds no more than they do
    start = 0
    while start < n_major:
        fitting = int(np.searchsorted(indptr, indptr[start] + VALUES_PER_BLOCK, side="right")) - 1
        stop = min(max(fitting, start + 1), n_major)
        row, column = (start, 0) if kind == "csr" else (0, start)
        yield Block(row, column, _stripe(data, indices, indptr[start : stop + 1], n_minor, kind))
        start = stop


def _stripe(data: Any, indices: Any, pointers: Ints, n_minor: int, kind: str) -> Any:
    """Read some rows of a CSR matrix, or columns of a CSC one, after checking its indices.

    Parameters
    ----------
    data, indices
        Of the whole matrix, in memory or not.
    pointers
        (rows or columns + 1,) where each of them begins, and where the last one ends.
    n_minor
        Columns of a CSR matrix, rows of a CSC one.
    kind
        ``"csr"`` or ``"csc"``.
    """
    n, low, high = len(pointers) - 1, int(pointers[0]), int(pointers[-1])
    inside = _stretch_of(indices, low, high)
    _check_inside(inside, n_minor)
    is_csr = kind == "csr"
    stripe: Any = sparse.csr_array((n, n_minor)) if is_csr else sparse.csc_array((n_minor, n))
    # Given to the constructor, parts of larger arrays in memory would be copied, and indices of
    # 32 bits with pointers of 64, too. Types of indices are not those of the file, which may be
    # too narrow for pointers, or foreign.
    fits = max(high - low, n, n_minor) <= np.iinfo(np.int32).max
    index = np.dtype(np.int32 if fits else np.int64)
    stripe.data = _computable(_stretch_of(data, low, high))
    stripe.indices = inside.astype(index, copy=False)
    stripe.indptr = (pointers - low).astype(index)
    return _without_repetition(stripe)


def _stretch_of(element: Any, start: int, stop: int) -> npt.NDArray[Any]:
    """Read a stretch of the first dimension of an array in a file or store."""
    if not isinstance(element, h5py.Dataset) or start == stop:
        return np.asarray(element[start:stop])
    # Indexing fills the memory with zeros before it reads into it: a third of its time.
    values = np.empty((stop - start, *element.shape[1:]), dtype=element.dtype)
    element.read_direct(values, np.s_[start:stop])
    return values


def _check_inside(indices: npt.NDArray[Any], n: int) -> None:
    # So that NaN is not inside: SciPy would make some number of it.
    if indices.size and not (indices.min() >= 0 and indices.max() < n):
        raise ValueError(f"sparse indices outside 0..{n - 1}")
    if indices.dtype.kind == "f" and (indices % 1).any():
        raise ValueError("sparse indices that are no whole numbers")


def _without_repetition(matrix: Any) -> Any:
    """Return a compressed matrix, after checking that no place in it has several values.

    SciPy would add them up in some operations, and take each by itself in others. The order
    of indices within a row or column means nothing, and is left as it is.

    Raises
    ------
    ValueError
        If a place has several values.
    """
    known = matrix
    if not known.has_canonical_format:
        if not known.has_sorted_indices:
            known = known.sorted_indices()
        if not known.has_canonical_format:
            raise ValueError(
                "the sparse matrix has several values at a place; X.sum_duplicates() adds them up"
            )
    return matrix


def _check_pointers(
    indptr: npt.NDArray[np.integer[Any]], n_major: int, n_data: int, n_indices: int
) -> None:
    broken = (
        indptr.ndim != 1
        or len(indptr) != n_major + 1
        or n_data != n_indices
        or indptr[0] != 0
        or indptr[-1] != n_data
        # Not by differences, which unsigned numbers do not have; NaN is in no order.
        or not bool((indptr[1:] >= indptr[:-1]).all())
    )
    if broken:
        raise ValueError("data, indices and indptr of the sparse matrix do not fit together")


# ---- rows


def matrix_in_store(element: Any) -> Matrix:
    """Describe a matrix in an open HDF5 file or zarr store.

    Raises
    ------
    ValueError
        If it is neither dense nor CSR nor CSC, or its parts do not fit together.
    """
    in_file = isinstance(element, (h5py.Dataset, h5py.Group))
    return matrix_in_file(element) if in_file else matrix_in_zarr(element)


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
        sparse_kind = None if hasattr(element, "dtype") else _kind(element)
        unit = _rows_stored_together(element, sparse_kind, described)
        size = bytes_of(element)

    @contextmanager
    def reading() -> Iterator[Callable[[int, int], Values]]:
        with opened() as element:
            yield _reader(element, sparse_kind, described.shape)

    kind = described.dtype.newbyteorder("=")
    if sparse_kind is not None:
        kind = _computable_type(kind)
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


def bytes_of(element: Any) -> int:
    """Return how much memory the matrix of an open file or store takes as a whole."""
    described = matrix_in_store(element)
    if hasattr(element, "dtype"):
        return described.shape[0] * described.shape[1] * described.dtype.itemsize
    parts = (element[key] for key in ("data", "indices", "indptr"))
    return sum(int(part.shape[0]) * int(part.dtype.itemsize) for part in parts)


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
        return lambda start, stop: _native(_stretch_of(element, start, stop))
    data, indices = element["data"], element["indices"]
    indptr = np.asarray(element["indptr"][:])
    if sparse_kind == "csc":
        return lambda start, stop: _rows_of_columns(
            _sparse_blocks(data, indices, indptr, shape, "csc"), start, stop
        )
    _check_pointers(indptr, shape[0], data.shape[0], indices.shape[0])

    indptr = indptr.astype(np.int64, copy=False)
    return lambda start, stop: _stripe(data, indices, indptr[start : stop + 1], shape[1], "csr")


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


def _native(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # Big-endian numbers are fine for NumPy, and not for everything that follows.
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _computable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers in a type that SciPy computes with."""
    return values.astype(_computable_type(values.dtype), copy=False)


def computable_rows(x: Any) -> Any:
    """Return a matrix in memory with numbers that can be computed with; most are as given.

    SciPy keeps sparse numbers of half and of extended precision, and in the byte order of
    other machines, but neither slices nor adds them.
    """
    if sparse.issparse(x) and _computable_type(x.dtype) != x.dtype:
        return x.astype(_computable_type(x.dtype))
    return x


def _computable_type(kind: np.dtype[Any]) -> np.dtype[Any]:
    if kind.kind == "f" and kind.itemsize not in (4, 8):  # half, or more than double precision
        return np.dtype(np.float32 if kind.itemsize < 4 else np.float64)
    return kind.newbyteorder("=")


def _is_dask(x: Any) -> bool:
    return hasattr(x, "compute") and hasattr(x, "chunks") and hasattr(x, "dask")


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
