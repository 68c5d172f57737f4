"""Stretches of stored matrices, checked, and of types that can be computed with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import Ints
from pereggrn_data.validators import Block

VALUES_PER_BLOCK = 4_000_000
"""Stored values in memory at once: 16 MB of float32."""


def dense_stripes(
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
            yield Block(0, start, computable(np.asarray(source[:, start : start + step])))
        else:
            stop = min(start + step, length)
            yield Block(start, 0, computable(stretch_of(source, start, stop)))


def sparse_stripes(
    data: Any,
    indices: Any,
    indptr: npt.NDArray[Any],
    shape: tuple[int, int],
    kind: str,
) -> Iterator[Block]:
    """Yield stripes of a compressed matrix, after checking that its indices are in range."""
    n_major, n_minor = shape if kind == "csr" else shape[::-1]
    check_pointers(indptr, n_major, data.shape[0], indices.shape[0])
    indptr = indptr.astype(np.int64, copy=False)  # a type of few bytes holds no more than they do
    start = 0
    while start < n_major:
        fitting = int(np.searchsorted(indptr, indptr[start] + VALUES_PER_BLOCK, side="right")) - 1
        stop = min(max(fitting, start + 1), n_major)
        row, column = (start, 0) if kind == "csr" else (0, start)
        yield Block(row, column, stripe(data, indices, indptr[start : stop + 1], n_minor, kind))
        start = stop


def stripe(data: Any, indices: Any, pointers: Ints, n_minor: int, kind: str) -> Any:
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
    inside = stretch_of(indices, low, high)
    check_inside(inside, n_minor)
    is_csr = kind == "csr"
    stripe: Any = sparse.csr_array((n, n_minor)) if is_csr else sparse.csc_array((n_minor, n))
    # Given to the constructor, parts of larger arrays in memory would be copied, and indices of
    # 32 bits with pointers of 64, too. Types of indices are not those of the file, which may be
    # too narrow for pointers, or foreign.
    fits = max(high - low, n, n_minor) <= np.iinfo(np.int32).max
    index = np.dtype(np.int32 if fits else np.int64)
    stripe.data = computable(stretch_of(data, low, high))
    stripe.indices = inside.astype(index, copy=False)
    stripe.indptr = (pointers - low).astype(index)
    return without_repetition(stripe)


def stretch_of(element: Any, start: int, stop: int) -> npt.NDArray[Any]:
    """Read a stretch of the first dimension of an array in a file or store."""
    if not isinstance(element, h5py.Dataset) or start == stop:
        return np.asarray(element[start:stop])
    # Indexing fills the memory with zeros before it reads into it: a third of its time.
    values = np.empty((stop - start, *element.shape[1:]), dtype=element.dtype)
    element.read_direct(values, np.s_[start:stop])
    return values


def check_inside(indices: npt.NDArray[Any], n: int) -> None:
    """Check that indices of a compressed matrix are whole numbers from 0 to `n` - 1.

    Raises
    ------
    ValueError
        If they are not.
    """
    # So that NaN is not inside: SciPy would make some number of it.
    if indices.size and not (indices.min() >= 0 and indices.max() < n):
        raise ValueError(f"sparse indices outside 0..{n - 1}")
    if indices.dtype.kind == "f" and (indices % 1).any():
        raise ValueError("sparse indices that are no whole numbers")


def without_repetition(matrix: Any) -> Any:
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


def check_pointers(
    indptr: npt.NDArray[np.integer[Any]], n_major: int, n_data: int, n_indices: int
) -> None:
    """Check that the parts of a compressed matrix fit together.

    Parameters
    ----------
    indptr
        (rows or columns + 1,) where each of them begins.
    n_major
        Rows of a CSR matrix, columns of a CSC one.
    n_data, n_indices
        How many values and indices are stored.

    Raises
    ------
    ValueError
        If they do not.
    """
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


def native(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers in the byte order of this machine.

    Others are fine for NumPy, and not for everything that follows.
    """
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def computable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers in a type that SciPy computes with."""
    return values.astype(computable_type(values.dtype), copy=False)


def computable_rows(x: Any) -> Any:
    """Return a matrix in memory with numbers that can be computed with; most are as given.

    SciPy keeps sparse numbers of half and of extended precision, and in the byte order of
    other machines, but neither slices nor adds them.
    """
    if sparse.issparse(x) and computable_type(x.dtype) != x.dtype:
        return x.astype(computable_type(x.dtype))
    return x


def computable_type(kind: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which SciPy computes with numbers of another one."""
    if kind.kind == "f" and kind.itemsize not in (4, 8):  # half, or more than double precision
        return np.dtype(np.float32 if kind.itemsize < 4 else np.float64)
    return kind.newbyteorder("=")
