"""The cells of one side of a comparison, group by group, and what makes them too few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix, dense
from pereggrn_data.core.prediction_types import FEWEST_CELLS
from pereggrn_data.core.rows.row_blocks import is_stored

_FEW = 64


@dataclass(frozen=True)
class CellGroups:
    """Cells, by the group that they are of.

    Parameters
    ----------
    fetch
        From positions of cells, (some,), to their natural-log expression, (some, genes),
        in memory, dense or sparse.
    rows
        Per group, the positions of its cells; empty where it has none. One cell may be
        of several groups.
    """

    fetch: Callable[[Ints], Matrix]
    rows: Sequence[Ints]

    @classmethod
    def numbered(cls, cells: Matrix, group_of: Ints, groups: int) -> CellGroups:
        """Take cells by the number of their group, (cells,); a negative one is of none.

        Parameters
        ----------
        cells
            (cells, genes) in memory or in a file, or a function as :attr:`fetch`.
        group_of
            (cells,) number of the group of each.
        groups
            How many there are.
        """
        order = np.argsort(group_of, kind="stable")
        ends = np.searchsorted(group_of[order], np.arange(groups + 1))
        return cls(fetching(cells), [order[a:b] for a, b in pairwise(ends)])

    @classmethod
    def sampled(
        cls, cells: Matrix, pools: Iterable[Ints], sizes: Iterable[int], seed: Sequence[int]
    ) -> CellGroups:
        """Draw cells for each group.

        Parameters
        ----------
        cells
            As for :meth:`numbered`.
        pools
            Per group, the positions to draw from.
        sizes
            Per group, how many; all, where the pool is smaller.
        seed
            As for :func:`drawn`, to which the number of the group is added: a group's
            cells do not depend on which other groups there are.
        """
        both = enumerate(zip(pools, sizes, strict=True))
        chosen = [drawn(pool, size, (*seed, k)) for k, (pool, size) in both]
        return cls(fetching(cells), chosen)

    def of(self, group: int) -> Matrix:
        """Return the cells of one group, (cells, genes)."""
        return self.fetch(self.rows[group])

    def sizes(self) -> Ints:
        """Return (groups,) numbers of cells."""
        return np.array([len(rows) for rows in self.rows], dtype=np.intp)

    def loaded(self, groups: Iterable[int]) -> CellGroups:
        """Return some groups with their cells in memory, read at once; the others are empty."""
        chosen = list(groups)
        rows: list[Ints] = [np.empty(0, dtype=np.intp)] * len(self.rows)
        wanted = np.unique(np.concatenate([self.rows[k] for k in chosen] or [rows[0]]))
        for k in chosen:
            rows[k] = np.searchsorted(wanted, self.rows[k])
        return CellGroups(fetching(self.fetch(wanted)), rows)

    def enough(self, groups: Iterable[int]) -> Bools:
        """Say which groups have cells enough for any metric of cells.

        Returns
        -------
        ndarray
            (groups asked for,) whether a group has at least 8 *different* cells. Copies
            of a profile are no cells: a test would take them for evidence.
        """
        return np.array([self._differ(k) for k in groups], dtype=bool)

    def _differ(self, group: int) -> bool:
        rows = self.rows[group]
        found: set[bytes] = set()
        # The first few tell, except in the rare groups of copies.
        for start in range(0, len(rows) if len(rows) >= FEWEST_CELLS else 0, _FEW):
            values = dense(self.fetch(rows[start : start + _FEW]))
            # There is one zero.
            found.update((row + 0.0).tobytes() for row in values)
            if len(found) >= FEWEST_CELLS:
                return True
        return False


def fetching(cells: Any) -> Callable[[Ints], Matrix]:
    """Return what hands out some rows of a matrix, in memory; a function is that already."""
    if callable(cells):
        found: Callable[[Ints], Matrix] = cells
        return found

    def fetch(rows: Ints) -> Matrix:
        part = cells[rows]
        return part.to_memory() if is_stored(part) else part

    return fetch


def drawn(pool: Ints, most: int, seed: Sequence[int]) -> Ints:
    """Draw positions without replacement, in rising order; all, where there are no more."""
    if len(pool) <= most:
        return pool
    return np.asarray(np.sort(np.random.default_rng(seed).choice(pool, most, replace=False)))


def stacked_cells(parts: Sequence[Matrix]) -> Matrix:
    """Put rows below rows as float32 or float64; sparse only where all of them are."""
    kinds = [part.dtype for part in parts]
    kind = np.result_type(*kinds, np.float32)
    kind = kind if kind in (np.float32, np.float64) else np.dtype(np.float64)
    if all(sparse.issparse(part) for part in parts):
        whole = sparse.vstack([sparse.csr_array(part) for part in parts], format="csr")
        whole = whole.astype(kind)
        whole.sort_indices()
        return whole
    plain = [part.toarray() if sparse.issparse(part) else np.asarray(part) for part in parts]
    return np.ascontiguousarray(np.vstack(plain), dtype=kind)


def count_means(cells: Matrix) -> Floats:
    """Return (genes,) arithmetic means on the scale of counts.

    Means of ``exp(x) - 1``, for natural-log values x. A mean below 0, which no count has,
    counts as 0.
    """
    if sparse.issparse(cells):
        counts: Matrix = sparse.csr_array(cells, dtype=np.float64).expm1()
        total = np.ravel(np.ones(counts.shape[0]) @ counts)
        return np.asarray(np.maximum(total / counts.shape[0], 0.0), dtype=np.float64)
    means = np.expm1(np.asarray(cells, dtype=np.float64)).mean(axis=0)
    return np.asarray(np.maximum(means, 0.0))


def counts_per_million(cells: Matrix) -> Floats:
    """Return (genes,) means over cells of a gene's share in the counts of its cell, times 10⁶.

    Parameters
    ----------
    cells
        (cells, genes) natural-log expression. A cell without any counts has shares of 0.
    """
    total: Floats = np.zeros(cells.shape[1])
    for start in range(0, cells.shape[0], 512):
        counts = np.expm1(dense(cells, slice(start, start + 512)))
        library = counts.sum(axis=1)
        library[library <= 0] = 1.0
        total += (1e6 / library) @ counts
    return np.asarray(total / max(cells.shape[0], 1))
