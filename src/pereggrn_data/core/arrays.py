"""The names of array types, and what is done to matrices whether they are dense or sparse.

SciPy's own means of float32 matrices sum in float32, so that a mean over many
observations would depend on their order; everything here sums in float64.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats: TypeAlias = npt.NDArray[np.float64]
AnyFloats: TypeAlias = npt.NDArray[np.floating[Any]]
"""Floats of any width, as expression is stored."""
Ints: TypeAlias = npt.NDArray[np.intp]
"""Positions."""
Bools: TypeAlias = npt.NDArray[np.bool_]
Matrix: TypeAlias = Any
"""(n, genes) NumPy array or SciPy sparse array or matrix; stubs of these do not agree."""


def dense(matrix: Matrix, rows: Any = slice(None), columns: Any = None) -> Floats:
    """Return some rows and columns of a dense or sparse matrix as a float64 array.

    Parameters
    ----------
    matrix
        (n, genes), dense or compressed sparse rows.
    rows, columns
        Anything that indexes one axis; by default all.

    Returns
    -------
    ndarray
        (rows, columns), contiguous; the matrix itself, or a view of it, where it is that
        already: not to be changed.
    """
    part = matrix[rows]
    if columns is not None:
        part = part[:, columns]
    if sparse.issparse(part):
        part = part.toarray()
    return np.ascontiguousarray(part, dtype=np.float64)


def without_mask(matrix: Matrix) -> Matrix:
    """Return a matrix in which masked values are NaN; any other one as it is.

    What lies under the mask of a NumPy masked array is no value, and NumPy itself
    (``numpy.asarray``) hands it on without a word.
    """
    if not isinstance(matrix, np.ma.MaskedArray):
        return matrix
    if not np.ma.getmaskarray(matrix).any() or matrix.dtype.kind not in "iufb":
        return np.asarray(matrix.data)
    kind = matrix.dtype if matrix.dtype.kind == "f" else np.dtype(np.float64)
    return np.where(np.ma.getmaskarray(matrix), kind.type(np.nan), matrix.data.astype(kind))


def column_means(matrix: Matrix, rows: Bools | None = None) -> Floats:
    """Return the mean of each column in float64.

    Parameters
    ----------
    matrix
        (n, genes), dense or sparse.
    rows
        (n,) which rows to take; by default all.

    Returns
    -------
    ndarray
        (genes,)
    """
    part = matrix if rows is None else matrix[np.flatnonzero(rows)]
    if hasattr(part, "column_sums"):  # a matrix that is not in memory
        return np.asarray(part.column_sums() / part.shape[0], dtype=np.float64)
    if sparse.issparse(part):
        # scipy's mean() of float32 sums in float32, whatever dtype it is given.
        total = np.ones(part.shape[0]) @ part
        return np.asarray(np.ravel(total) / part.shape[0], dtype=np.float64)
    return np.asarray(np.asarray(part).mean(axis=0, dtype=np.float64))
