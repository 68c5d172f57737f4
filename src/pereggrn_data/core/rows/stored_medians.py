"""Exact medians of the columns of a matrix that is read in blocks.

A number's bits, read as a whole number, rise with the number (once those of negative ones
are turned round). The median is found digit by digit, 12 bits at a time: each reading counts
which next digit the numbers have that share the digits found so far. Sparse matrices seldom
need a second reading: where more than half of a column is 0, so is its median.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import RowBlock, StoredMatrix

_DIGIT = 12

_GENES = 256
"""Columns whose counts are added up at a time: sums take twice the memory of counts."""


def targets_in(block: RowBlock, rows: Ints, columns: Ints) -> tuple[Ints, Ints, Ints]:
    """Find pairs of a row and a column whose row is in a block.

    Parameters
    ----------
    block
        Some rows.
    rows, columns
        (pairs,) positions in the whole matrix.

    Returns
    -------
    pairs, rows, columns
        Which they are, their row within the block, and their column.
    """
    if isinstance(block.rows, slice):
        pairs = np.flatnonzero((rows >= block.rows.start) & (rows < block.rows.stop))
        inside = rows[pairs] - block.rows.start
    else:
        order = np.argsort(block.rows)
        ordered = block.rows[order]
        nth = np.minimum(np.searchsorted(ordered, rows), len(order) - 1)
        pairs = np.flatnonzero(ordered[nth] == rows)
        inside = order[nth[pairs]]
    return pairs, inside, np.asarray(columns[pairs], dtype=np.intp)


def picked(values: Any, rows: Ints, columns: Ints) -> npt.NDArray[Any]:
    """Return (pairs,) single values of a block."""
    if not len(rows):
        return np.zeros(0, dtype=values.dtype)
    found: Any = values[rows, columns]
    return np.asarray(found.toarray() if sparse.issparse(found) else found).ravel()


def stored_medians(matrix: StoredMatrix, rows: Ints, columns: Ints) -> Floats:
    """Return the median of each column.

    Parameters
    ----------
    matrix
        (n, genes) numbers; no NaN.
    rows, columns
        (pairs,) values that do not count.

    Returns
    -------
    ndarray
        (genes,) medians; NaN where no value counts.
    """
    search = _Search(matrix, rows, columns)
    while search.is_open:
        search.read()
    return search.medians()


class _Search:
    """The digits found so far of the two middle values of each column."""

    def __init__(self, matrix: StoredMatrix, rows: Ints, columns: Ints) -> None:
        self._matrix, self._targets = matrix, (rows, columns)
        n, genes = matrix.shape
        is_float = matrix.dtype in (np.float32, np.float64)
        self._float: np.dtype[Any] = matrix.dtype if is_float else np.dtype(np.float64)
        self._bits = 8 * self._float.itemsize
        self._uint: np.dtype[Any] = np.dtype(f"u{self._float.itemsize}")
        left = n - np.bincount(columns, minlength=genes)
        self._known = left > 0
        # Ranks of the two middle values among those that share the digits found so far.
        self._rank = np.stack([np.maximum(left - 1, 0) // 2, left // 2])
        self._prefix = np.zeros((2, genes), dtype=np.uint64)
        self._left = self._bits
        self._done = ~np.stack([self._known, self._known])
        self._zeros = np.zeros(genes, dtype=np.int64)
        fitting = resources().bytes_to_hold // (8 * max(genes, 1))
        self._width = int(np.clip(np.log2(max(fitting, 1)), 4, _DIGIT))

    @property
    def is_open(self) -> bool:
        """Whether digits are missing."""
        return self._left > 0 and not self._done.all()

    def read(self) -> None:
        """Find the next digit, in one reading."""
        width = min(self._width, self._left)
        self._left -= width
        genes = self._matrix.shape[1]
        first = self._left + width == self._bits
        # Both middle values have the same first digits before them: none.
        counts = np.zeros((1 if first else 2, genes, 1 << width), dtype=np.int32)
        for block in self._matrix.blocks():
            _, own, of = targets_in(block, *self._targets)
            for of_side, prefix in zip(counts, self._prefix, strict=False):
                self._count(of_side, block.values, own, of, width, prefix)
            if first:
                self._count_zeros(block.values, own, of)
        for side in (0, 1):
            of_side = counts[-1 if side else 0]
            digit = self._descended(of_side, self._rank[side])
            self._prefix[side] = (self._prefix[side] << np.uint64(width)) | digit.astype(np.uint64)
            if first:
                zero = int(self._keys(np.zeros(1))[0]) >> self._left
                only_zero = of_side[:, zero] == self._zeros
                self._done[side] |= (self._prefix[side] == np.uint64(zero)) & only_zero

    @staticmethod
    def _descended(counts: Any, rank: Any) -> Ints:
        """Return (genes,) digits that ranks fall on; what lies before is taken from the ranks."""
        genes, digits = counts.shape
        found = np.zeros(genes, dtype=np.intp)
        for start in range(0, genes, _GENES):
            part = slice(start, start + _GENES)
            below = np.cumsum(counts[part], axis=1, dtype=np.int64)
            digit = np.minimum((below <= rank[part, None]).sum(axis=1), digits - 1)
            before = below[np.arange(len(digit)), np.maximum(digit - 1, 0)]
            rank[part] -= np.where(digit > 0, before, 0)
            found[part] = digit
        return found

    def _count_zeros(self, values: Any, own: Ints, of: Ints) -> None:
        """Count values that are 0: where all that share the first digits are, that is it."""
        if sparse.issparse(values):
            genes = values.indices[values.data != 0]
            self._zeros += values.shape[0] - np.bincount(genes, minlength=len(self._zeros))
        else:
            self._zeros += np.count_nonzero(np.asarray(values) == 0, axis=0)
        if len(own):
            taken = picked(values, own, of)
            np.subtract.at(self._zeros, of[taken == 0], 1)

    def _count(
        self, counts: Any, values: Any, own: Ints, of: Ints, width: int, prefix: Any
    ) -> None:
        genes = counts.shape[0]
        if sparse.issparse(values):
            stored = sparse.csr_array(values)
            numbers, gene = stored.data, stored.indices
            zeros = values.shape[0] - np.bincount(gene, minlength=genes)
            self._add(counts, np.zeros(genes), np.arange(genes), width, prefix, zeros)
            taken = picked(stored, own, of)
        else:
            numbers = np.asarray(values).ravel()
            gene = np.tile(np.arange(genes), values.shape[0])
            taken = np.asarray(values)[own, of]
        self._add(counts, numbers, gene, width, prefix)
        if len(own):
            self._add(counts, taken, of, width, prefix, np.full(len(of), -1))

    def _add(
        self, counts: Any, numbers: Any, gene: Any, width: int, prefix: Any, weights: Any = None
    ) -> None:
        keys = self._keys(numbers) >> self._uint.type(self._left)
        if self._left + width < self._bits:
            same = (keys >> self._uint.type(width)) == prefix[gene].astype(self._uint)
            keys, gene = keys[same], gene[same]
            weights = None if weights is None else weights[same]
        digit = (keys & self._uint.type((1 << width) - 1)).astype(np.intp)
        flat = counts.reshape(-1)
        at = gene.astype(np.intp) * counts.shape[1] + digit
        np.add.at(flat, at, np.int32(1) if weights is None else weights.astype(np.int32))

    def _keys(self, numbers: Any) -> npt.NDArray[Any]:
        """Return whole numbers that rise as the numbers do."""
        plain = np.asarray(numbers, dtype=self._float) + self._float.type(0)  # -0.0 is 0
        bits = plain.view(self._uint)
        sign = self._uint.type(1 << (self._bits - 1))
        return np.asarray(np.where(bits & sign, ~bits, bits | sign))

    def medians(self) -> Floats:
        """Return (genes,) medians."""
        found = []
        sign = self._uint.type(1 << (self._bits - 1))
        for side in (0, 1):
            keys = (self._prefix[side] << np.uint64(self._left)).astype(self._uint)
            bits = np.where(keys & sign, keys & ~sign, ~keys)
            found.append(bits.view(self._float).astype(np.float64))
        return np.where(self._known, (found[0] + found[1]) / 2, np.nan)
