"""What the rules look at: small frames, facts, and matrices that come in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.reports import Finding

if TYPE_CHECKING:
    from scipy import sparse

READ_FAILURES = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    OverflowError,
)
"""What HDF5 raises where a file is damaged.

Not a lack of memory: what a file says of its size is compared with what there is before any
is taken, so that the rest says nothing about the file.
"""


@dataclass(frozen=True)
class Block:
    """A rectangle of a matrix.

    Parameters
    ----------
    row, column
        Position of its first value in the matrix.
    values
        Array of shape (rows, columns), or a CSR or CSC matrix of that shape.
    """

    row: int
    column: int
    values: npt.NDArray[Any] | sparse.csr_array | sparse.csc_array


@dataclass(frozen=True)
class Matrix:
    """A matrix that is read block by block.

    Parameters
    ----------
    shape
        Rows (observations) and columns (genes).
    dtype
        Type of its values.
    blocks
        Starts a reading; the blocks cover the matrix once.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    blocks: Callable[[], Iterator[Block]]

    @property
    def is_numeric(self) -> bool:
        """Whether the values are real numbers (not truth values)."""
        return self.dtype.kind in "iuf"


@dataclass(frozen=True)
class ExpressionParts:
    """The parts of an AnnData file that the rules need, opened but not loaded.

    Parameters
    ----------
    obs, var
        The columns that have rules, indexed by names (plain text).
    uns
        The entries that have rules.
    x, raw
        The matrices; None where the file has none.
    obs_columns, var_columns
        Names of all columns.
    raw_genes
        Gene names of ``raw``.
    problems
        What could not be read.
    unread
        Elements (as ``"obs/perturbation"``) that exist but could not be read; they
        are among `problems`, so they are not missing as well.
    read_var
        Reads a column of var that has no rules, where hints need one; None if it
        cannot be read. None where there is nothing more to read.
    """

    obs: pd.DataFrame
    var: pd.DataFrame
    uns: Mapping[str, Any]
    x: Matrix | None
    raw: Matrix | None
    obs_columns: tuple[str, ...] = ()
    var_columns: tuple[str, ...] = ()
    raw_genes: pd.Index[Any] | None = None
    problems: tuple[Finding, ...] = ()
    unread: frozenset[str] = field(default_factory=frozenset)
    read_var: Callable[[str], Sequence[Any] | None] | None = None

    def columns_of_var(self) -> Iterator[tuple[str, Sequence[Any]]]:
        """Read the columns of var, those that have no rules too, one after the other."""
        for column in self.var_columns:
            values = self.read_var(column) if self.read_var else None
            if values is not None:
                yield column, values


def column_with(names: Sequence[str], columns: Iterable[tuple[Any, Iterable[Any]]]) -> str:
    """Return the column that holds most of some names; empty if there is none."""
    wanted = set(names)
    for column, values in columns:
        if 2 * len(wanted.intersection(map(str, values))) > len(wanted):
            return str(column)
    return ""
