"""Describe a matrix of a file or a store, dense, CSR or CSC, which is read block by block."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.loaders.files.datasets.stripes import (
    check_inside,
    check_pointers,
    computable,
    dense_stripes,
    native,
    sparse_stripes,
    without_repetition,
)
from pereggrn_data.loaders.files.hdf5 import require_fits
from pereggrn_data.validators import Matrix

_SPARSE = {"csr_matrix": "csr", "csc_matrix": "csc"}


def matrix_in_store(element: Any) -> Matrix:
    """Describe a matrix in an open HDF5 file or zarr store.

    Raises
    ------
    ValueError
        If it is neither dense nor CSR nor CSC, or its parts do not fit together.
    """
    in_file = isinstance(element, (h5py.Dataset, h5py.Group))
    return matrix_in_file(element) if in_file else matrix_in_zarr(element)


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
        return Matrix(shape, element.dtype, lambda: dense_stripes(element, shape, element.chunks))
    kind = kind_of(element)
    shape_stored = element.attrs.get("shape", element.attrs.get("h5sparse_shape"))
    if kind not in ("csr", "csc") or shape_stored is None or len(shape_stored) != 2:
        raise ValueError(f"a matrix stored as {kind!r}; dense, CSR and CSC are known")
    shape = (int(shape_stored[0]), int(shape_stored[1]))
    data, indices, indptr = _parts_of(element)
    require_fits(indptr)
    return Matrix(shape, data.dtype, lambda: sparse_stripes(data, indices, indptr[:], shape, kind))


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
        return Matrix(shape, element.dtype, lambda: dense_stripes(element, shape, chunks))
    kind = kind_of(element)
    stored = element.attrs.get("shape")
    if kind not in ("csr", "csc") or stored is None or len(stored) != 2:
        raise ValueError(f"a matrix stored as {kind!r}; dense, CSR and CSC are known")
    data, indices, indptr = _parts_of(element)
    return compressed_matrix(
        data, indices, np.asarray(indptr[:]), (int(stored[0]), int(stored[1])), kind
    )


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
    return Matrix(shape, data.dtype, lambda: sparse_stripes(data, indices, indptr, shape, kind))


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
        return native(element[()])
    data, indices, indptr = (element[key][()] for key in ("data", "indices", "indptr"))
    make = sparse.csr_matrix if kind_of(element) == "csr" else sparse.csc_matrix
    data = computable(data)
    n_major, n_minor = described.shape if kind_of(element) == "csr" else described.shape[::-1]
    # SciPy itself would read anywhere in memory.
    check_pointers(indptr, n_major, len(data), len(indices))
    check_inside(indices, n_minor)
    return without_repetition(make((data, indices, indptr), shape=described.shape))


def bytes_of(element: Any) -> int:
    """Return how much memory the matrix of an open file or store takes as a whole."""
    described = matrix_in_store(element)
    if hasattr(element, "dtype"):
        return described.shape[0] * described.shape[1] * described.dtype.itemsize
    parts = (element[key] for key in ("data", "indices", "indptr"))
    return sum(int(part.shape[0]) * int(part.dtype.itemsize) for part in parts)


def kind_of(element: Any) -> str:
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
