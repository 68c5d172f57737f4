"""What one reading of predicted values finds: numbers, signs, ends, and rows that say nothing.

Rules about predictions are judged by it, so that values are gone through once, in blocks,
whatever their number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pandas.util import hash_array
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.errors import EXAMPLES_SHOWN
from pereggrn_data.core.rows.row_blocks import VALUES_IN_CACHE, Values, dense_values, each_block
from pereggrn_data.validators.matrix import LARGEST_NUMBER

_SAMPLED_VALUES = 4_000_000
"""Values that are kept for judgements of scale; of larger files, of evenly spaced rows."""

_SUMS = 8
"""Parts of a dense row that are summed apart: few rows of counts share all of these."""

_KEPT_ROWS = 32
"""Evenly spaced rows that are kept whole."""


class _End:
    """How often the largest, or the smallest, value occurs in each gene."""

    def __init__(self, genes: int, sign: int) -> None:
        self.sign = sign
        self.value = -np.inf
        self.counts = np.zeros(genes, dtype=np.int64)

    def add(self, values: Values, end: float, *, counted: bool = True) -> None:
        """Take a block whose own end is known, and count how often that occurs."""
        if not self.sign * end >= self.value:
            return
        if self.sign * end > self.value:
            self.value = self.sign * end
            self.counts[:] = 0
        if not counted:
            return
        if sparse.issparse(values):
            equal = values.indices[values.data == end]
            here = np.bincount(equal, minlength=len(self.counts))
            if end == 0:
                here += values.shape[0] - np.bincount(values.indices, minlength=len(here))
            self.counts += here
        else:
            self.counts += np.count_nonzero(values == end, axis=0)


@dataclass(frozen=True)
class LookedAt:
    """A block, and what can be said of its rows without the others: in any thread.

    Parameters
    ----------
    values
        (rows, genes) an array, or a CSR array with one value at each place.
    low, high
        (rows,) smallest and largest value of each row.
    prints
        (rows,) a hash of sums of each row.
    """

    values: Values
    low: Floats
    high: Floats
    prints: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, values: Values) -> LookedAt:
        """Look at a block, (rows, genes)."""
        n, genes = values.shape
        if not n or not genes:
            return cls(values, np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.uint64))
        if sparse.issparse(values) and not values.has_canonical_format:
            values = values.copy()
            values.sum_duplicates()
        low, high, mark = _facts_of_rows(values)
        # There is one zero, whatever its sign.
        return cls(values, low, high, hash_array(mark + 0.0))


class PredictionScan:
    """Takes predicted values block by block.

    Parameters
    ----------
    rows, genes
        How many there are.
    limit
        From which on values are listed as outliers.

    Attributes
    ----------
    n_nan, n_infinite, n_absurd
        How many values are no numbers, or larger than :data:`LARGEST_NUMBER`.
    bad_rows, bad_genes
        (rows,), (genes,) which have one of them.
    constant, zero
        (rows,) which rows have one value for all genes, and which of them have 0.
    n_sampled
        How many values :attr:`sample` was taken from.
    prints
        (rows,) a hash of sums of each row: equal rows have equal ones.
    """

    def __init__(self, rows: int, genes: int, limit: float = np.inf) -> None:
        self.shape = (rows, genes)
        self.limit = limit
        self.n_nan = self.n_infinite = self.n_absurd = 0
        self.bad_rows = np.zeros(rows, dtype=bool)
        self.bad_genes = np.zeros(genes, dtype=bool)
        self.constant = np.zeros(rows, dtype=bool)
        self.zero = np.zeros(rows, dtype=bool)
        self.prints = np.zeros(rows, dtype=np.uint64)
        self.n_negative = 0
        self.n_outliers = 0
        self._first_bad: list[tuple[int, int]] = []
        self._outliers: list[tuple[int, int, float]] = []
        self._levels: list[tuple[Ints, Floats]] = []
        self._sum = np.zeros(genes)
        self._negative_sum = 0.0
        self._ends = _End(genes, 1), _End(genes, -1)
        self._sample: list[npt.NDArray[Any]] = []
        self.n_sampled = 0
        self._kept: list[tuple[Ints, npt.NDArray[Any]]] = []
        self._keep = np.zeros(rows, dtype=bool)
        kept = min(_KEPT_ROWS, rows)
        self._keep[np.linspace(0, max(rows - 1, 0), kept).astype(np.intp)] = True
        n = int(np.clip(_SAMPLED_VALUES // max(genes, 1), 1, max(rows, 1)))
        self._sampled = np.zeros(rows, dtype=bool)
        self._sampled[np.linspace(0, max(rows - 1, 0), n).astype(np.intp)[: rows or 0]] = True

    @classmethod
    def of(cls, matrix: Any, limit: float = np.inf) -> PredictionScan:
        """Go through a whole matrix, (rows, genes)."""
        rows, genes = matrix.shape
        made = cls(rows, genes, limit)
        for block in each_block(matrix):
            made.add(block.positions, block.values)
        return made

    def add(self, rows: Ints, block: Values | LookedAt, *, summed: bool = True) -> None:
        """Take one block.

        Parameters
        ----------
        rows
            (rows,) positions.
        block
            (rows, genes) an array or a CSR array, or such values that were looked at.
        summed
            Whether its genes are summed up; else :meth:`note_sums` is told of all sums.
        """
        looked = block if isinstance(block, LookedAt) else LookedAt.of(block)
        values, low, high = looked.values, looked.low, looked.high
        if not values.shape[0] or not self.shape[1]:
            return
        self.prints[rows] = looked.prints
        bad = ~((low >= -LARGEST_NUMBER) & (high <= LARGEST_NUMBER))
        if bad.any():
            self._note_bad(rows, np.flatnonzero(bad), values)
            if not (np.isfinite(low) & np.isfinite(high)).all():
                return
        constant = low == high
        self.constant[rows] = constant
        self.zero[rows] = constant & (low == 0)
        if constant.any():
            self._levels.append((rows[constant], low[constant]))
        self._ends[0].add(values, high.max())
        # How often the smallest value occurs means something only where it is negative.
        self._ends[1].add(values, low.min(), counted=low.min() < 0)
        varied = values if not constant.any() else values[np.flatnonzero(~constant)]
        if varied.shape[0]:
            if summed:
                self._sum += np.ones(varied.shape[0]) @ varied
            self._note_varied(rows[~constant], varied, float(low.min()), float(high.max()))

    def note_sums(self, sums: Floats) -> None:
        """Take the (genes,) sums of all rows, which somebody else has found."""
        self._sum = sums - self.levels[1].sum()

    def note_nothing(self) -> None:
        """Take everything for NaN: the predictions were not filled in."""
        self.n_nan = self.n_values
        self.bad_rows[:], self.bad_genes[:] = True, True

    def _note_bad(self, rows: Ints, bad: Ints, values: Values) -> None:
        block = dense_values(values[bad])
        wrong = ~(np.abs(block) <= LARGEST_NUMBER)
        self.bad_rows[rows[bad]] = True
        self.bad_genes |= wrong.any(axis=0)
        self.n_nan += int(np.isnan(block).sum())
        self.n_infinite += int(np.isinf(block).sum())
        self.n_absurd += int((np.isfinite(block) & wrong).sum())
        found = [(int(rows[i]), int(np.argmax(wrong[k]))) for k, i in enumerate(bad)]
        self._first_bad = sorted([*self._first_bad, *found])[:EXAMPLES_SHOWN]

    def _note_varied(self, rows: Ints, values: Values, low: float, high: float) -> None:
        stored = values.data if sparse.issparse(values) else values
        if low < 0:
            below = stored < 0
            self.n_negative += int(np.count_nonzero(below))
            self._negative_sum += float(stored.sum(where=below, dtype=np.float64))
        if high >= self.limit:
            self._note_outliers(rows, values)
        kept = self._sampled[rows]
        if kept.any():
            sample = values if kept.all() else values[np.flatnonzero(kept)]
            numbers = np.asarray(sample.data if sparse.issparse(sample) else sample).ravel()
            self._sample.append(numbers[numbers != 0])
            self.n_sampled += sample.shape[0] * sample.shape[1]
        whole = np.flatnonzero(self._keep[rows])
        if whole.size:
            self._kept.append((rows[whole], np.asarray(dense_values(values[whole]))))

    def _note_outliers(self, rows: Ints, values: Values) -> None:
        i, j = (values >= self.limit).nonzero()
        self.n_outliers += len(i)
        order = np.lexsort((j, rows[i]))[:EXAMPLES_SHOWN]
        picked = [float(values[a, b]) for a, b in zip(i[order], j[order], strict=True)]
        found = zip(rows[i[order]].tolist(), j[order].tolist(), picked, strict=True)
        self._outliers = sorted([*self._outliers, *found])[:EXAMPLES_SHOWN]

    @property
    def n_values(self) -> int:
        """Rows times genes."""
        return self.shape[0] * self.shape[1]

    @property
    def n_bad(self) -> int:
        """How many values are no usable numbers."""
        return self.n_nan + self.n_infinite + self.n_absurd

    @property
    def is_empty(self) -> bool:
        """Whether everything is NaN."""
        return bool(self.n_values) and self.n_nan == self.n_values

    @property
    def is_finite(self) -> bool:
        """Whether nothing is NaN or infinite."""
        return not (self.n_nan or self.n_infinite)

    @property
    def first_bad(self) -> list[tuple[int, int]]:
        """Row and gene of the first values that are no usable numbers."""
        return self._first_bad

    @property
    def outliers(self) -> list[tuple[int, int, float]]:
        """Row, gene and value of the first outliers."""
        return self._outliers

    @property
    def varied(self) -> Bools:
        """(rows,) which rows can say something about the scale."""
        return ~self.constant

    @property
    def levels(self) -> tuple[Ints, Floats]:
        """(constant,) positions of the rows with one value for all genes, and their values."""
        if not self._levels:
            return np.zeros(0, dtype=np.intp), np.zeros(0)
        rows, values = zip(*self._levels, strict=True)
        return np.concatenate(rows), np.concatenate(values)

    @property
    def mean(self) -> Floats:
        """(genes,) mean of the rows that vary."""
        n = int(np.count_nonzero(self.varied))
        return np.asarray(self._sum / n) if n else np.zeros(self.shape[1])

    @property
    def negative_mass(self) -> float:
        """Share of the summed magnitudes that is negative, of the rows that vary."""
        magnitude = float(self._sum.sum()) - 2 * self._negative_sum
        return -self._negative_sum / magnitude if magnitude else 0.0

    @property
    def share_negative(self) -> float:
        """Share of the values that are negative, of the rows that vary."""
        return self.n_negative / max(int(self.varied.sum()) * self.shape[1], 1)

    @property
    def sample(self) -> npt.NDArray[Any]:
        """Values that are not 0, of evenly spaced rows that vary."""
        return np.concatenate(self._sample) if self._sample else np.zeros(0)

    @property
    def kept_rows(self) -> tuple[Ints, npt.NDArray[Any]]:
        """(few,) positions and (few, genes) values of some rows that vary."""
        if not self._kept:
            return np.zeros(0, dtype=np.intp), np.zeros((0, self.shape[1]))
        rows, values = zip(*self._kept, strict=True)
        return np.concatenate(rows), np.concatenate(values)

    @property
    def largest(self) -> float:
        """The largest value; -inf where there is none."""
        return float(self._ends[0].value)

    @property
    def smallest(self) -> float:
        """The smallest value; inf where there is none."""
        return float(-self._ends[1].value)

    def at_ends(self) -> list[tuple[float, int, int]]:
        """Return the largest value and, below 0, the smallest one, with how often they occur.

        Returns
        -------
        list
            Of value, number of values and number of genes, without the genes that have it
            everywhere: these were not cut off.
        """
        found = []
        for end in self._ends:
            counts = np.where(end.counts == self.shape[0], 0, end.counts)
            found.append((end.sign * end.value, int(counts.sum()), int(np.count_nonzero(counts))))
        return found if found[1][0] < 0 else found[:1]


def _facts_of_rows(values: Values) -> tuple[Floats, Floats, Floats]:
    """Return the smallest and largest value of each row, and a number that equal rows share."""
    if sparse.issparse(values):
        return _facts_of_sparse_rows(values)
    rows, genes = values.shape
    low, high = np.empty((2, rows))
    starts = np.linspace(0, genes, min(_SUMS, genes), endpoint=False).astype(np.intp)
    sums = np.empty((len(starts), rows))
    step = max(VALUES_IN_CACHE // genes, 1)
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, rows, step):
            # Values are gone through three times while they are still in the cache.
            part, own = values[start : start + step], slice(start, start + step)
            low[own], high[own] = part.min(axis=1), part.max(axis=1)
            sums[:, own] = np.add.reduceat(part, starts, axis=1).T
        # In one order, whatever else is in the block: NumPy adds up the products of one row,
        # and of matrices, in others.
        mark = np.zeros(rows)
        for weight, of_rows in zip(_weights(len(sums)), sums, strict=True):
            mark += weight * of_rows
        return low, high, mark


def _facts_of_sparse_rows(values: Values) -> tuple[Floats, Floats, Floats]:
    n_stored = np.diff(values.indptr)
    low, high = np.zeros((2, len(n_stored)))
    filled = np.flatnonzero(n_stored)
    if len(filled):
        starts = values.indptr[filled]
        low[filled] = np.minimum.reduceat(values.data, starts)
        high[filled] = np.maximum.reduceat(values.data, starts)
    with_zero = n_stored < values.shape[1]
    np.minimum(low, 0, out=low, where=with_zero)
    np.maximum(high, 0, out=high, where=with_zero)
    # SciPy goes along each row in the order of its columns, so that equal rows have equal sums.
    return low, high, np.asarray(values @ _weights(values.shape[1]))


@cache
def _weights(n: int) -> Floats:
    """Return (n,) numbers by which sums of counts are multiplied, so that few are equal."""
    found = np.random.default_rng(0).random(n)
    found.flags.writeable = False
    return found
