"""Columns of expression that is not in memory, as features and responses of regressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints, Matrix
from pereggrn_data.core.rows.row_blocks import (
    StoredMatrix,
    blocks_in_order,
    dense_values,
    rows_in_a_block,
)
from pereggrn_data.models.inputs import HeldLevels


@dataclass(frozen=True)
class StoredColumns:
    """Some columns of a matrix that is read in blocks of rows.

    Features and responses are columns of the same matrix, so that one reading serves both.

    Parameters
    ----------
    matrix
        (observations, genes) expression.
    columns
        Positions of the columns among the genes.
    levels
        What perturbed genes are set to, if these are features; columns are among `columns`.
    """

    matrix: StoredMatrix
    columns: Ints
    levels: HeldLevels | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Observations and columns."""
        return self.matrix.shape[0], self.columns.size

    def chosen(self) -> StoredMatrix:
        """Return the columns as a matrix, without levels."""
        chosen: StoredMatrix = self.matrix[:, self.columns]
        return chosen

    def take(self, rows: Ints, values: Any) -> Floats:
        """Return the columns of some rows.

        Parameters
        ----------
        rows
            (rows,) positions.
        values
            (rows, genes) of the matrix.

        Returns
        -------
        ndarray
            (rows, columns) of its own.
        """
        found = np.array(values[:, self.columns], dtype=np.float64, order="C")
        if self.levels is not None:
            first = np.searchsorted(self.levels.rows, rows, "left")
            n = np.searchsorted(self.levels.rows, rows, "right") - first
            at = np.arange(n.sum()) + np.repeat(first - (np.cumsum(n) - n), n)
            where = np.repeat(np.arange(rows.size), n)
            found[where, self.levels.columns[at]] = self.levels.values[at]
        return found

    def each_part(self) -> Iterator[tuple[slice, Any]]:
        """Go through the matrix once, in the order of its rows.

        Yields
        ------
        slice, ndarray
            Rows, and their values of all genes; so few that several such arrays in double
            precision take no more than a small part of the memory.
        """
        step = rows_in_a_block(self.matrix.shape[1], is_sparse=False)
        for block in blocks_in_order(self.matrix):
            n = block.values.shape[0]
            # Rows in order come one after the other, whether by a slice or by positions.
            first = block.rows.start if isinstance(block.rows, slice) else int(block.rows[0])
            for start in range(0, n, step):
                stop = min(start + step, n)
                yield slice(first + start, first + stop), dense_values(block.values[start:stop])


def columns_of(responses: Matrix, targets: Ints) -> Matrix:
    """Return the responses of some targets, in memory or not."""
    if isinstance(responses, StoredColumns):
        return StoredColumns(responses.matrix, responses.columns[targets])
    return responses[:, targets]
