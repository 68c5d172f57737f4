"""Matrices that come in blocks of rows, in memory or not: one way to go through all of them.

What scores, splits and calibrations need of expression are sums over groups of rows
(:mod:`pereggrn_data.core.rows.group_sums`). They go through :func:`each_block`, which hands
out an array in memory in slices and a matrix in a file as it is read, so that memory depends
on genes and groups and not on observations.

A :class:`StoredMatrix` is indexed as an array is, by rows and by columns, and reads nothing
until its blocks are asked for; rows that are not wanted are then passed over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.resources import beside, resources
from pereggrn_data.core.sizes import require_memory

T = TypeVar("T")

Values: TypeAlias = Any
"""(rows, columns) a NumPy array, or a SciPy CSR array."""

_APART = 64
"""Wanted rows with more rows than this between them are read apart."""

_SPARSE_FACTOR = 2
"""How many times as many rows a block of a sparse matrix has as one of a dense matrix."""

VALUES_IN_CACHE = 1 << 16
"""Numbers of float64 that a processor's cache holds, half a MiB."""


@dataclass(frozen=True)
class RowSource:
    """Where rows come from.

    Parameters
    ----------
    shape
        Rows and columns.
    dtype
        Of the values.
    is_sparse
        Whether blocks are CSR arrays.
    reading
        Opens what is read, and gives a function from the first row and the one after the
        last to their values.
    unit
        Rows that are stored together, and are best read together.
    nbytes
        Memory that the whole takes; None where it is that of a dense matrix.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    is_sparse: bool
    reading: Callable[[], AbstractContextManager[Callable[[int, int], Values]]]
    unit: int = 1
    nbytes: int | None = None


@dataclass(frozen=True)
class RowBlock:
    """Some rows of a matrix.

    Parameters
    ----------
    rows
        Their positions: a slice, or (rows,) an array.
    values
        (rows, columns) an array, or a CSR array.
    """

    rows: Any
    values: Values

    @property
    def positions(self) -> Ints:
        """(rows,) their positions."""
        rows = self.rows
        return np.arange(rows.start, rows.stop) if isinstance(rows, slice) else np.asarray(rows)

    def dense(self) -> npt.NDArray[Any]:
        """Return the values as an array, of the type they have."""
        return dense_values(self.values)


class StoredMatrix:
    """Some rows and columns of a matrix that is not in memory.

    Parameters
    ----------
    source
        The whole matrix.
    rows, columns
        Positions in it, in any order and also repeatedly; None for all.
    """

    ndim = 2

    def __init__(
        self, source: RowSource, rows: Ints | None = None, columns: Ints | None = None
    ) -> None:
        self.source = source
        self._rows = rows
        self._columns = columns

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        n, m = self.source.shape
        return (
            n if self._rows is None else len(self._rows),
            m if self._columns is None else len(self._columns),
        )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.source.dtype

    @property
    def is_sparse(self) -> bool:
        """Whether blocks are CSR arrays."""
        return self.source.is_sparse

    @property
    def nbytes(self) -> int:
        """Memory that it takes, about: rows of a sparse matrix differ."""
        dense, whole = self.dtype.itemsize, self.source.nbytes
        share = dense if whole is None else whole / max(math.prod(self.source.shape), 1)
        return int(math.prod(self.shape) * share)

    @property
    def is_in_order(self) -> bool:
        """Whether blocks come in the order of the rows."""
        return self._rows is None or bool((np.diff(self._rows) > 0).all())

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        """Choose rows, or rows and columns; a single row is read, and comes as an array."""
        rows, columns = key if isinstance(key, tuple) else (key, slice(None))
        if isinstance(rows, (int, np.integer)):
            return self[[int(rows)], columns].to_memory_dense()[0]
        return StoredMatrix(
            self.source,
            _chosen(self._rows, rows, self.source.shape[0]),
            _chosen(self._columns, columns, self.source.shape[1]),
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Read all of it into an array."""
        return np.asarray(self.to_memory_dense(), dtype=dtype)

    def blocks(self) -> Iterator[RowBlock]:
        """Read the wanted rows, in the order of the source; the next ones meanwhile."""
        with self.source.reading() as read, ThreadPoolExecutor(1) as ahead:
            waiting: Future[RowBlock] | None = None
            for stretch in self._stretches():
                reading = ahead.submit(self._block, read, *stretch)
                if waiting is not None:
                    yield waiting.result()
                waiting = reading
            if waiting is not None:
                yield waiting.result()

    def _block(
        self, read: Callable[[int, int], Values], start: int, stop: int, at: Any
    ) -> RowBlock:
        values = read(start, stop)
        if not isinstance(at, slice):
            wanted = at if self._rows is None else self._rows[at]
            values = values[wanted - start]
        if self._columns is not None:
            values = values[:, self._columns]
        return RowBlock(at, values)

    def _stretches(self) -> Iterator[tuple[int, int, Any]]:
        """Yield first row, last row + 1, and which of the wanted rows are in between."""
        n = self.source.shape[0]
        step = self._step()
        if self._rows is None:
            for start in range(0, n, step):
                stop = min(start + step, n)
                yield start, stop, slice(start, stop)
            return
        order = np.argsort(self._rows, kind="stable")
        ordered = self._rows[order]
        # A stretch ends where a block of the file does, or before a gap.
        cut = (np.diff(ordered) > _APART) | (np.diff(ordered // step) > 0)
        bounds = np.concatenate([[0], np.flatnonzero(cut) + 1, [len(ordered)]])
        for a, b in pairwise(bounds.tolist()):
            if a == b:
                continue
            start, stop = int(ordered[a]), int(ordered[b - 1]) + 1
            plain = b - a == stop - start and np.array_equal(order[a:b], np.arange(a, b))
            yield start, stop, slice(a, b) if plain else order[a:b]

    def _step(self) -> int:
        """Return how many rows of the source make a block, whole units."""
        unit = max(self.source.unit, 1)
        return max(rows_in_a_block(self.source.shape[1], self.is_sparse) // unit, 1) * unit

    def column_sums(self) -> Floats:
        """Return (columns,) sums in float64."""
        total = np.zeros(self.shape[1])
        for block in self.blocks():
            total += np.ones(block.values.shape[0]) @ block.values
        return total

    def to_memory(self) -> Values:
        """Read all of it: an array, or a CSR array."""
        if not self.is_sparse:
            return self.to_memory_dense()
        parts, order = [], []
        for block in self.blocks():
            parts.append(block.values)
            order.append(block.positions)
        if not parts:
            return sparse.csr_array(self.shape, dtype=self.dtype)
        whole = sparse.csr_array(sparse.vstack(parts, format="csr"))
        at = np.concatenate(order)
        return whole if (np.diff(at) > 0).all() else whole[np.argsort(at)]

    def to_memory_dense(self) -> npt.NDArray[Any]:
        """Read all of it into an array."""
        size = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        require_memory(size, f"A matrix of {self.shape[0]} x {self.shape[1]}")
        result = np.empty(self.shape, dtype=self.dtype)
        for block in self.blocks():
            result[block.rows] = block.dense()
        return result

    def __repr__(self) -> str:
        kind = "sparse" if self.is_sparse else "dense"
        return f"StoredMatrix of {self.shape[0]} x {self.shape[1]} {self.dtype}, {kind}"


def _chosen(before: Ints | None, key: Any, n: int) -> Ints | None:
    """Return the positions that remain."""
    if isinstance(key, slice) and key == slice(None):
        return before
    known = np.arange(n) if before is None else before
    chosen = np.asarray(known[key], dtype=np.intp)
    if before is None and len(chosen) == n and np.array_equal(chosen, known):
        return None
    return chosen


def rows_in_a_block(columns: int, is_sparse: bool) -> int:
    """Return how many rows fit into one block."""
    rows = resources().values_in_a_block // max(columns, 1)
    return max(rows * _SPARSE_FACTOR if is_sparse else rows, 1)


def chosen_rows(matrix: Any, rows: Ints) -> Any:
    """Return some rows of a matrix, and the matrix itself where these are all, in order."""
    return matrix if np.array_equal(rows, np.arange(matrix.shape[0])) else matrix[rows]


def part_of(matrix: Any, rows: Ints, columns: Ints) -> Any:
    """Return some rows and columns of a matrix, and itself where these are all, in order."""
    part = chosen_rows(matrix, rows)
    all_in_order = np.array_equal(columns, np.arange(matrix.shape[1]))
    return part if all_in_order else part[:, columns]


def is_stored(matrix: Any) -> bool:
    """Say whether a matrix is not in memory."""
    return isinstance(matrix, StoredMatrix)


def beside_unless_stored(function: Callable[[], T], *matrices: Any) -> Callable[[], T]:
    """Start a function in a thread of its own, where there is a processor for it and no file.

    A thread that reads a file cannot be left behind by a command that fails meanwhile.

    Parameters
    ----------
    function
        What it raises is raised where its result is asked for.
    matrices
        What it goes through.

    Returns
    -------
    callable
        Returns the result, for which it waits, or which it finds itself.
    """
    alone = resources().workers == 1 or any(is_stored(matrix) for matrix in matrices)
    return function if alone else beside(function)


def held_if_small(matrix: Any) -> Any:
    """Return a matrix in memory, unless it takes more of it than a matrix may that is held."""
    small = is_stored(matrix) and matrix.nbytes <= resources().bytes_to_hold
    return matrix.to_memory() if small else matrix


def is_sparse_like(matrix: Any) -> bool:
    """Say whether blocks of a matrix are sparse."""
    return matrix.is_sparse if isinstance(matrix, StoredMatrix) else bool(sparse.issparse(matrix))


def each_block(matrix: Any, rows: Ints | None = None) -> Iterator[RowBlock]:
    """Go through a matrix once.

    Parameters
    ----------
    matrix
        (n, genes) a :class:`StoredMatrix`, an array, or a sparse array or matrix.
    rows
        Positions of the rows that are wanted; None for all.

    Yields
    ------
    RowBlock
        Every wanted row in one of them, by its position among these. Values in memory are not
        copied where they lie side by side: they are not to be changed.
    """
    if isinstance(matrix, StoredMatrix):
        yield from (matrix if rows is None else matrix[rows]).blocks()
        return
    is_sparse = bool(sparse.issparse(matrix))
    if is_sparse and matrix.format != "csr":
        matrix = matrix.tocsr()
    elif not is_sparse:
        matrix = np.asarray(matrix)
    n = matrix.shape[0] if rows is None else len(rows)
    step = rows_in_a_block(matrix.shape[1], is_sparse)
    for start in range(0, n, step):
        here = slice(start, min(start + step, n))
        if rows is not None:
            yield RowBlock(here, matrix[rows[here]])
        elif step >= n:
            yield RowBlock(here, matrix)
        else:
            # SciPy adds values at one place up where they lie, so that these are copied.
            shared = is_sparse and matrix.has_canonical_format
            yield RowBlock(here, _stretch(matrix, here) if shared else matrix[here])


def _stretch(matrix: Any, rows: slice) -> Any:
    """Return rows of a CSR array that lie side by side, without a copy of their values."""
    ends = matrix.indptr[rows.start : rows.stop + 1]
    inside = slice(int(ends[0]), int(ends[-1]))
    shown = sparse.csr_array((len(ends) - 1, matrix.shape[1]), dtype=matrix.dtype)
    # Given to the constructor, small parts of large arrays would be copied.
    shown.data, shown.indices = matrix.data[inside], matrix.indices[inside]
    shown.indptr = ends - ends[0]
    return shown


def blocks_in_order(matrix: Any) -> Iterator[RowBlock]:
    """As :func:`each_block`, in the order of the rows even where a file has another one."""
    if not isinstance(matrix, StoredMatrix) or matrix.is_in_order:
        yield from each_block(matrix)
        return
    n, step = matrix.shape[0], rows_in_a_block(matrix.shape[1], matrix.is_sparse)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield RowBlock(rows, matrix[rows].to_memory())


def dense_values(values: Values) -> npt.NDArray[Any]:
    """Return a block as an array."""
    return np.asarray(values.toarray() if sparse.issparse(values) else values)


def stored_values(values: Values) -> npt.NDArray[Any]:
    """Return the values of a block that are stored; of a sparse one, those that are not 0."""
    return np.asarray(values.data if sparse.issparse(values) else values)


def stacked_rows(first: StoredMatrix | Any, second: StoredMatrix | Any) -> StoredMatrix:
    """Put the rows of a matrix below those of another one, without reading either."""
    parts = [first, second]
    n = first.shape[0]
    is_sparse = all(is_sparse_like(part) for part in parts)

    @contextmanager
    def reading() -> Iterator[Callable[[int, int], Values]]:
        def read(start: int, stop: int) -> Values:
            cuts = [(start, min(stop, n)), (max(start - n, 0), stop - n)]
            found = []
            for part, (a, b) in zip(parts, cuts, strict=True):
                if a < b:
                    values = part[a:b]
                    values = values.to_memory() if is_stored(values) else values
                    found.append(values if is_sparse else dense_values(values))
            if is_sparse:
                return sparse.csr_array(sparse.vstack(found, format="csr"))
            return np.vstack(found)

        yield read

    shape = (n + second.shape[0], first.shape[1])
    kind = np.result_type(first.dtype, second.dtype)
    return StoredMatrix(RowSource(shape, kind, is_sparse, reading))


def repeated_rows(values: npt.NDArray[Any], rows: Ints) -> StoredMatrix:
    """Return a matrix whose rows are some that are in memory, each as often as it is wanted.

    Parameters
    ----------
    values
        (different rows, columns).
    rows
        (n,) which of them each row is.
    """

    @contextmanager
    def reading() -> Iterator[Callable[[int, int], Values]]:
        yield lambda start, stop: values[rows[start:stop]]

    return StoredMatrix(RowSource((len(rows), values.shape[1]), values.dtype, False, reading))
