"""Read a matrix of an ``.h5ad`` file, or of an AnnData object, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import without_mask
from pereggrn_data.validators import Block, Matrix

VALUES_PER_BLOCK = 4_000_000
"""Stored values in memory at once: 16 MB of float32."""

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
    data, indices, indptr = (element[key] for key in ("data", "indices", "indptr"))
    return Matrix(shape, data.dtype, lambda: _sparse_blocks(data, indices, indptr[:], shape, kind))


def _kind(element: Any) -> str:
    """Return how a sparse matrix is compressed, as its marks say."""
    stated = element.attrs.get("encoding-type", element.attrs.get("h5sparse_format"))
    encoding = stated.decode() if isinstance(stated, bytes) else str(stated)
    return _SPARSE.get(encoding, encoding)


def whole_matrix(element: h5py.Dataset | h5py.Group) -> Any:
    """Read a dense, CSR or CSC matrix in an open file into memory.

    Raises
    ------
    ValueError
        If it is something else, or its parts do not fit together.
    """
    described = matrix_in_file(element)
    if isinstance(element, h5py.Dataset):
        values = element[()]
        # Big-endian numbers are fine for NumPy, and not for everything that follows.
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    data, indices, indptr = (element[key][()] for key in ("data", "indices", "indptr"))
    make = sparse.csr_matrix if _kind(element) == "csr" else sparse.csc_matrix
    data = data.astype(data.dtype.newbyteorder("="), copy=False)
    return make((data, indices, indptr), shape=described.shape)


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
    data, indices, indptr = (element[key] for key in ("data", "indices", "indptr"))
    return compressed_matrix(
        data, indices, np.asarray(indptr[:]), (int(stored[0]), int(stored[1])), kind
    )


def matrix_in_memory(x: Any) -> Matrix:
    """Describe the matrix of an AnnData object; a backed one is read from its file.

    Raises
    ------
    ValueError
        If it is neither dense nor CSR nor CSC.
    """
    if isinstance(x, h5py.Dataset):
        return matrix_in_file(x)
    if isinstance(getattr(x, "group", None), h5py.Group):
        return matrix_in_file(x.group)
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
            yield Block(0, start, np.asarray(source[:, start : start + step]))
        else:
            yield Block(start, 0, np.asarray(source[start : start + step]))


def _sparse_blocks(
    data: Any,
    indices: Any,
    indptr: npt.NDArray[np.integer[Any]],
    shape: tuple[int, int],
    kind: str,
) -> Iterator[Block]:
    """Yield stripes of a compressed matrix, after checking that its indices are in range."""
    n_major, n_minor = shape if kind == "csr" else shape[::-1]
    _check_pointers(indptr, n_major, data.shape[0], indices.shape[0])
    start = 0
    while start < n_major:
        fitting = int(np.searchsorted(indptr, indptr[start] + VALUES_PER_BLOCK, side="right")) - 1
        stop = min(max(fitting, start + 1), n_major)
        low, high = int(indptr[start]), int(indptr[stop])
        inside = np.asarray(indices[low:high])
        if inside.size and (inside.min() < 0 or inside.max() >= n_minor):
            raise ValueError(f"sparse indices outside 0..{n_minor - 1}")
        parts = np.asarray(data[low:high]), inside, indptr[start : stop + 1] - low
        if kind == "csr":
            yield Block(start, 0, sparse.csr_array(parts, shape=(stop - start, n_minor)))
        else:
            yield Block(0, start, sparse.csc_array(parts, shape=(n_minor, stop - start)))
        start = stop


def _check_pointers(
    indptr: npt.NDArray[np.integer[Any]], n_major: int, n_data: int, n_indices: int
) -> None:
    broken = (
        indptr.ndim != 1
        or len(indptr) != n_major + 1
        or n_data != n_indices
        or indptr[0] != 0
        or indptr[-1] != n_data
        or bool((np.diff(indptr) < 0).any())
    )
    if broken:
        raise ValueError("data, indices and indptr of the sparse matrix do not fit together")
