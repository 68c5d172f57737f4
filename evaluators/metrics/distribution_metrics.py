"""Metrics of distributions: how far are the predicted cells from the observed ones?

To add such a metric, add its function and its entry in :data:`DISTRIBUTION_METRICS`.
Distances are computed in blocks: a matrix of cells by cells is never in memory whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Ints, Matrix, dense
from pereggrn_data.evaluators.metrics.cell_comparison import CellComparison
from pereggrn_data.evaluators.metrics.metric import Direction, Metric, Needs, zero

_CELLS_AT_ONCE = 512
_KEPT = 1 << 20
"""Distances that are kept, where there are no more; else they are computed again (8 MiB)."""
_BINS = 4096
_NO_WIDTH = 1e-13
_SOME_CELLS = 1500
_MIDDLE = (0.43, 0.57)


class Points:
    """Cells of one side as points, in blocks of double precision.

    Parameters
    ----------
    matrix
        (cells, dimensions) dense or sparse.
    centre
        (dimensions,) what is subtracted: distances do not change, and products of small
        numbers have small errors.
    left_out
        Dimensions that do not count.
    """

    def __init__(self, matrix: Matrix, centre: Floats, left_out: Ints | None = None) -> None:
        self._matrix = matrix
        self._centre = centre
        self._left_out = left_out

    def __len__(self) -> int:
        return int(self._matrix.shape[0])

    def block(self, start: int) -> Floats:
        """Return up to 512 points from one on, (points, dimensions)."""
        values = dense(self._matrix, slice(start, start + _CELLS_AT_ONCE)) - self._centre
        if self._left_out is not None:
            values[:, self._left_out] = 0.0
        return values

    def some(self, step: int) -> Floats:
        """Return every so manieth point."""
        return np.vstack([self.block(i)[-i % step :: step] for i in self.starts()])

    def starts(self, first: int = 0) -> range:
        """Return where blocks start, from one on."""
        return range(first, len(self), _CELLS_AT_ONCE)

    def within(self) -> Iterator[Floats]:
        """Yield (pairs,) squared distances of all pairs of points, each pair once."""
        for i in self.starts():
            here = self.block(i)
            yield squared_distances(here, here)[np.triu_indices(len(here), 1)]
            for j in self.starts(i + _CELLS_AT_ONCE):
                yield squared_distances(here, self.block(j)).ravel()

    def across(self, other: Points) -> Iterator[Floats]:
        """Yield (pairs,) squared distances of all points to all of another side."""
        for i in self.starts():
            here = self.block(i)
            for j in other.starts():
                yield squared_distances(here, other.block(j)).ravel()


def squared_distances(x: Floats, y: Floats) -> Floats:
    """Return (rows of x, rows of y) squared Euclidean distances."""
    squares = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", y, y)[None]
    squares -= 2.0 * (x @ y.T)
    return np.asarray(np.maximum(squares, 0.0, out=squares))


class CellDistances:
    """Distances between two groups of cells, and within each.

    Parameters
    ----------
    observed, predicted
        (cells, dimensions) of each side, at least two cells each.
    left_out
        Dimensions that do not count.
    """

    def __init__(self, observed: Matrix, predicted: Matrix, left_out: Ints | None = None) -> None:
        centre = (_sum(observed) + _sum(predicted)) / (observed.shape[0] + predicted.shape[0])
        self._x = Points(observed, centre, left_out)
        self._y = Points(predicted, centre, left_out)
        n, m = len(self._x), len(self._y)
        self._pairs = np.array([n * (n - 1) / 2, m * (m - 1) / 2, n * m])

    @cached_property
    def _near(self) -> list[tuple[int, Floats]] | None:
        """All squared distances, where they are few; else None."""
        return list(self._computed()) if self._pairs.sum() <= _KEPT else None

    def _computed(self) -> Iterator[tuple[int, Floats]]:
        sides = (self._x.within(), self._y.within(), self._x.across(self._y))
        for side, blocks in enumerate(sides):
            for block in blocks:
                yield side, block

    def _squared(self) -> Iterator[tuple[int, Floats]]:
        """Yield squared distances: 0 within the observed, 1 within the predicted, 2 across."""
        return self._computed() if self._near is None else iter(self._near)

    def energy(self) -> float:
        """Return 2 E|x - y| - E|x - x'| - E|y - y'|, the terms within over other cells only."""
        xx, yy, xy = self._means_and_median[0]
        return float(2.0 * xy - xx - yy)

    def mmd(self) -> float:
        """Return E k(x, x') + E k(y, y') - 2 E k(x, y), with k(x, y) = exp(-|x - y|² / 2s²).

        The terms within go over other cells only, so that the expectation is 0 for cells
        of one distribution; s is the median distance of all pairs of cells of both sides.
        NaN where that is 0.
        """
        sigma = self.median()
        if not sigma > 0:
            return float("nan")
        sums = np.zeros(3)
        for side, squares in self._squared():
            sums[side] += np.exp(squares / (-2.0 * sigma * sigma)).sum()
        xx, yy, xy = sums / self._pairs
        return float(xx + yy - 2.0 * xy)

    def median(self) -> float:
        """Return the median distance of all pairs of cells of both sides."""
        return self._means_and_median[1]

    @cached_property
    def _means_and_median(self) -> tuple[Floats, float]:
        """Mean distances within and across, and the median of all, in one pass where possible.

        Of many distances only those about the middle are kept, by what a sample of cells
        says of it. Should it be wrong, distances are counted in ever smaller intervals.
        """
        total = int(self._pairs.sum())
        middle = (total - 1) // 2, total // 2
        low, high = (0.0, np.inf) if self._near is not None else self._about_the_middle()
        sums, below, kept = np.zeros(3), 0, []
        for side, squares in self._squared():
            sums[side] += np.sqrt(squares).sum()
            if self._near is None:
                below += int((squares < low).sum())
                squares = squares[(squares >= low) & (squares <= high)]
            kept.append(squares)
        squares = np.concatenate(kept)
        ranks = [rank - below for rank in middle]
        if min(ranks) < 0 or max(ranks) >= len(squares):
            return sums / self._pairs, self._median_by_counting(*middle)
        squares.partition(ranks)
        return sums / self._pairs, float(np.sqrt(squares[ranks]).mean())

    def _about_the_middle(self) -> tuple[float, float]:
        """Return squared distances between which the median of all should be."""
        step = -(-(len(self._x) + len(self._y)) // _SOME_CELLS)
        some = np.vstack([side.some(step) for side in (self._x, self._y)])
        squares = squared_distances(some, some)[np.triu_indices(len(some), 1)]
        low, high = np.quantile(squares, _MIDDLE)
        return float(low), float(high)

    def _median_by_counting(self, lower: int, upper: int) -> float:
        """Return the mean of the distances of two ranks.

        An interval about them is narrowed by counting, until what is in it can be kept.
        """
        low = 0.0
        high = max(float(block.max(initial=0.0)) for _, block in self._squared())
        while high - low > _NO_WIDTH * high:
            counts = np.zeros(_BINS + 2, dtype=np.int64)
            for _, block in self._squared():
                counts += np.bincount(_bins(block, low, high), minlength=_BINS + 2)
            ends = np.cumsum(counts)
            first, last = (int(k) for k in np.searchsorted(ends, [lower, upper], side="right"))
            if counts[first : last + 1].sum() <= _KEPT:
                squares = np.concatenate([
                    block[(at >= first) & (at <= last)]
                    for _, block in self._squared()
                    for at in [_bins(block, low, high)]
                ])  # fmt: skip
                squares.sort()
                before = int(ends[first - 1])
                return float(np.sqrt(squares[[lower - before, upper - before]]).mean())
            # A bin more on either side: rounding may put a value beyond the end of its bin.
            width = (high - low) / _BINS
            low, high = max(0.0, low + (first - 2) * width), min(high, low + (last + 1) * width)
        return float(np.sqrt(high))


def _bins(values: Floats, low: float, high: float) -> Ints:
    """Return the bins of values, from 1 on; 0 is for those below, the last for those above."""
    at = np.floor((values - low) * (_BINS / (high - low))) + 1
    # The highest value belongs to the last bin.
    at = np.where(values == high, _BINS, at)
    return np.asarray(np.clip(at, 0, _BINS + 1), dtype=np.intp)


def _sum(matrix: Matrix) -> Floats:
    if sparse.issparse(matrix):
        return np.asarray(np.ravel(np.ones(matrix.shape[0]) @ matrix), dtype=np.float64)
    return np.asarray(np.asarray(matrix).sum(axis=0, dtype=np.float64))


def energy_distance(cells: CellComparison) -> float:
    """Energy distance between the observed and the predicted cells."""
    return cells.distances.energy()


def mmd(cells: CellComparison) -> float:
    """Squared maximum mean discrepancy of the observed and the predicted cells."""
    return cells.distances.mmd()


_FEW = "a side has fewer than 8 different cells"

DISTRIBUTION_METRICS = (
    Metric(
        "energy_distance", "2 E||x - y|| - E||x - x'|| - E||y - y'||",
        "Energy distance of observed cells x and predicted cells y, Euclidean; pairs within a "
        "side are of different cells, so that it is 0 on average for cells of one kind, and "
        "may be slightly negative.",
        Direction.LOWER, zero, None, None, _FEW,
        "Székely and Rizzo 2013; scPertEval 0.2 (energy_distance)",
        needs=Needs.CELLS, compute_cells=energy_distance,
    ),
    Metric(
        "mmd", "E k(x, x') + E k(y, y') - 2 E k(x, y), k = exp(-||x - y||^2 / 2 s^2)",
        "Squared maximum mean discrepancy, unbiased; s is the median distance of all pairs of "
        "both sides. It may be slightly negative.",
        Direction.LOWER, zero, None, None, f"{_FEW}, or most cells are the same",
        "Gretton et al. 2012; scPertEval 0.2 (unbiased_mmd_median)",
        needs=Needs.CELLS, compute_cells=mmd,
    ),
)  # fmt: skip
