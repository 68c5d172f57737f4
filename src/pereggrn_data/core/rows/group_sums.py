"""Sums over the rows of groups, in float64 and in one reading, whatever the blocks.

Rows of a group are added one after the other, so that sums depend neither on how a matrix is
cut into blocks nor on the other groups: to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.rows.row_blocks import VALUES_IN_CACHE, Values, each_block


@dataclass(frozen=True)
class GroupSums:
    """Sums over the rows of groups.

    Parameters
    ----------
    n
        (groups,) number of rows.
    sums
        (groups, genes) sums of the values.
    squares
        (groups, genes) sums of their squares, where they were asked for.
    """

    n: Floats
    sums: Floats
    squares: Floats | None


def group_sums(matrix: Any, group_of: Ints, groups: int, *, squares: bool = False) -> GroupSums:
    """Sum up the rows of each group in float64, in one reading.

    Parameters
    ----------
    matrix
        (n, genes) as in :func:`each_block`.
    group_of
        (n,) group of each row, negative for rows that do not count.
    groups
        Number of groups.
    squares
        Whether the squares of the values are summed, too.
    """
    return sums_by_groupings(matrix, [group_of], groups, squares=squares)[0]


def sums_by_groupings(
    matrix: Any, groupings: list[Ints], groups: int, *, squares: bool = False
) -> list[GroupSums]:
    """As :func:`group_sums`, for several ways of grouping the same rows, in one reading."""
    used = np.any([of >= 0 for of in groupings], axis=0)
    at = np.flatnonzero(used)
    genes = matrix.shape[1]
    total = np.zeros((len(groupings), groups, genes))
    squared = np.zeros_like(total) if squares else None
    for block in each_block(matrix, None if len(at) == len(used) else at):
        rows = at[block.rows]
        for k, of in enumerate(groupings):
            add_by_group(total[k], of[rows], block.values, None if squared is None else squared[k])
    return [
        GroupSums(
            np.bincount(of[of >= 0], minlength=groups).astype(np.float64),
            total[k],
            None if squared is None else squared[k],
        )
        for k, of in enumerate(groupings)
    ]


def add_by_group(
    total: Floats, group_of: Ints, values: Values, squared: Floats | None = None
) -> None:
    """Add rows to the sums of their groups.

    Parameters
    ----------
    total
        (groups, genes) sums so far, which are changed.
    group_of
        (rows,) group of each row, negative for rows that do not count.
    values
        (rows, genes) an array, or a CSR array.
    squared
        (groups, genes) sums of squares so far, which are changed, too.
    """
    counted = np.flatnonzero(group_of >= 0)
    add = _add_sparse if sparse.issparse(values) else _add_dense
    if len(counted) < len(group_of):
        group_of, values = group_of[counted], values[counted]
    # Infinite values make infinite or undefined sums, and are reported by who looks for them.
    with np.errstate(invalid="ignore", over="ignore"):
        add(total, group_of, values, squared)


def _add_dense(total: Floats, group_of: Ints, values: Values, squared: Floats | None) -> None:
    # Rows of a group are added together, so that few calls add many rows; one after the other
    # all the same, so that sums depend neither on blocks nor on other groups.
    order = np.argsort(group_of, kind="stable")
    of = group_of[order]
    bounds = [0, *(np.flatnonzero(np.diff(of)) + 1).tolist(), len(of)]
    genes = total.shape[1]
    most = max(VALUES_IN_CACHE // max(genes, 1), 2)
    # Numbers that were made float64 are used while they are still in the cache.
    room = np.empty((most, genes))
    for start, stop in pairwise(bounds):
        for at in range(start, stop, most - 1):
            rows = order[at : min(at + most - 1, stop)]
            part = room[1 : 1 + len(rows)]
            side_by_side = len(rows) == rows[-1] - rows[0] + 1
            part[...] = values[rows[0] : rows[-1] + 1] if side_by_side else values[rows]
            _add_rows(total[of[start]], room[: 1 + len(rows)])
            if squared is not None:
                np.square(part, out=part)
                _add_rows(squared[of[start]], room[: 1 + len(rows)])


def _add_rows(sums: Floats, room: Floats) -> None:
    """Add all rows but the first, in which there is room for the sums so far."""
    room[0] = sums
    if len(sums) == 1:
        # NumPy's sum of a single column has another order, and Python's, from 3.12 on, makes
        # up for rounding within one call.
        sums[0] = np.cumsum(room[:, 0])[-1]
    else:
        np.add.reduce(room, axis=0, out=sums)


def _add_sparse(total: Floats, group_of: Ints, values: Values, squared: Floats | None) -> None:
    genes = total.shape[1]
    # Sums lie side by side, so that these are the same numbers and no copies.
    sums = [part.reshape(-1) for part in (total, squared) if part is not None]
    if (np.diff(group_of) < 0).any():
        # The sums of one group are in the processor's cache, those of all groups are not.
        order = np.argsort(group_of, kind="stable")
        group_of, values = group_of[order], values[order]
    n_stored = np.diff(values.indptr)
    # Positions and numbers that were made float64 are used while they are still in the cache.
    step = max(VALUES_IN_CACHE // max(int(n_stored.mean()) if len(n_stored) else 1, 1), 1)
    for start in range(0, len(group_of), step):
        rows = slice(start, start + step)
        inside = slice(values.indptr[start], values.indptr[min(start + step, len(group_of))])
        cell = np.repeat(group_of[rows].astype(np.intp) * genes, n_stored[rows])
        cell += values.indices[inside]
        numbers = values.data[inside].astype(np.float64)
        for power, flat in enumerate(sums):
            if power:
                np.square(numbers, out=numbers)
            # One after the other; SciPy's product of two sparse matrices takes ten times as long.
            np.add.at(flat, cell, numbers)
