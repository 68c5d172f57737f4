"""Rules about whole matrices, in one reading, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.errors import EXAMPLES_SHOWN
from pereggrn_data.core.format import LARGEST_LOG_EXPRESSION
from pereggrn_data.validators.parts import Block, Matrix

EXPRESSION_PROBLEMS = ("nan", "infinite", "negative", "large")
"""NaN, infinite, below 0, and not below the largest log value."""

PREDICTED_PROBLEMS = ("nan", "infinite", "negative", "absurd")
"""NaN, infinite, below 0, and further from 0 than :data:`LARGEST_NUMBER`."""

LARGEST_NUMBER = 1e9
"""Nothing that is measured is larger, on any scale; squares of it still fit float32."""

COUNT_PROBLEMS = ("nan", "infinite", "negative", "fraction")
"""As of expression, and not whole."""

SAMPLED_ROWS = 200
"""Observations that are kept for judgements of scale."""


@dataclass
class Count:
    """How many values have one problem, and where the first are."""

    n: int = 0
    first: list[tuple[int, int, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Sample:
    """The first observations of the first block that was read.

    Parameters
    ----------
    column
        Position of its first gene; the first observation is that of the matrix.
    values
        (observations, genes) dense or sparse.
    """

    column: int
    values: Any


@dataclass(frozen=True)
class Scan:
    """What one reading of a matrix found.

    Parameters
    ----------
    counts
        Per problem.
    low, high
        Smallest and largest finite stored value; NaN if there is none.
    at
        Values at the positions that were asked for.
    n_values
        Size of the matrix, implicit zeros included.
    n_nonzero
        How many of them are not 0.
    sample
        Some observations, for judgements that need values together; None of an
        empty matrix.
    """

    counts: Mapping[str, Count]
    low: float
    high: float
    at: npt.NDArray[np.float64]
    n_values: int
    n_nonzero: int = 0
    sample: Sample | None = None


def scan(
    matrix: Matrix,
    rows: npt.NDArray[np.intp] | None = None,
    columns: npt.NDArray[np.intp] | None = None,
    *,
    problems: Sequence[str] = EXPRESSION_PROBLEMS,
) -> Scan:
    """Read a numeric matrix once.

    Parameters
    ----------
    matrix
        Real numbers; implicit zeros of sparse blocks have no problem.
    rows, columns
        Positions whose values are wanted; duplicates are fine.
    problems
        What to count.
    """
    rows = np.zeros(0, np.intp) if rows is None else rows
    columns = np.zeros(0, np.intp) if columns is None else columns
    at = np.full(len(rows), np.nan)
    order = np.argsort(rows, kind="stable")
    sorted_rows = rows[order]
    counts = {name: Count() for name in problems}
    low, high = np.inf, -np.inf
    n_nonzero, sample = 0, None
    for block in matrix.blocks():
        values = _stored(block)
        n_nonzero += int(np.count_nonzero(values))
        sample = sample or sample_of(block)
        for name, mask in _masks(values, problems):
            _add(counts[name], block, values, mask)
        if values.size:
            block_low, block_high = _finite_range(values)
            low, high = min(low, block_low), max(high, block_high)
        here = _inside(block, order, sorted_rows, columns)
        if len(here):
            at[here] = _pick(block, rows[here] - block.row, columns[here] - block.column)
    found = low <= high
    return Scan(
        counts=counts,
        low=low if found else np.nan,
        high=high if found else np.nan,
        at=at,
        n_values=matrix.shape[0] * matrix.shape[1],
        n_nonzero=n_nonzero,
        sample=sample,
    )


def sample_of(block: Block) -> Sample | None:
    """Copy the first observations of the first block; None of another one."""
    values = block.values
    if block.row or not values.shape[0]:
        return None
    few: Any = values[:SAMPLED_ROWS] if values.shape[0] > SAMPLED_ROWS else values
    return Sample(block.column, few.copy())


def _stored(block: Block) -> npt.NDArray[Any]:
    """Return the values that are stored, flat for sparse blocks."""
    values = block.values
    return values if isinstance(values, np.ndarray) else np.asarray(values.data)


def _masks(
    values: npt.NDArray[Any], problems: Sequence[str]
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield the problems of stored values; the smallest and largest rule out most of them."""
    if not values.size:
        return
    low, high = values.min(), values.max()  # NaN if there is one
    if values.dtype.kind == "f":
        if np.isnan(low):
            yield "nan", np.isnan(values)
        if not (np.isfinite(low) and np.isfinite(high)):
            yield "infinite", np.isinf(values)
        if "fraction" in problems:
            fraction = np.not_equal(np.rint(values), values)
            if fraction.any():
                yield "fraction", fraction & np.isfinite(values)
    if not low >= 0:
        yield "negative", (values < 0) & np.isfinite(values)
    if "absurd" in problems and not (low >= -LARGEST_NUMBER and high <= LARGEST_NUMBER):
        size = np.abs(values.astype(np.float64))  # the lowest whole number has no absolute value
        yield "absurd", (size > LARGEST_NUMBER) & np.isfinite(size)
    if "large" in problems and not high < LARGEST_LOG_EXPRESSION:
        yield "large", (values >= LARGEST_LOG_EXPRESSION) & np.isfinite(values)


def _finite_range(values: npt.NDArray[Any]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = values[np.isfinite(values)]
        if not finite.size:
            return np.inf, -np.inf
        low, high = float(finite.min()), float(finite.max())
    return low, high


def _add(
    count: Count, block: Block, values: npt.NDArray[Any], mask: npt.NDArray[np.bool_]
) -> None:
    count.n += int(np.count_nonzero(mask))
    room = EXAMPLES_SHOWN - len(count.first)
    if room <= 0:
        return
    for flat in np.flatnonzero(mask)[:room]:
        i, j = _position(block, int(flat))
        count.first.append((block.row + i, block.column + j, float(values.flat[flat])))


def _position(block: Block, flat: int) -> tuple[int, int]:
    """Return row and column, inside the block, of a stored value."""
    values = block.values
    if isinstance(values, np.ndarray):
        row, column = divmod(flat, int(values.shape[1]))
        return row, column
    major = int(np.searchsorted(values.indptr, flat, side="right")) - 1
    minor = int(values.indices[flat])
    return (major, minor) if values.format == "csr" else (minor, major)


def _inside(
    block: Block,
    order: npt.NDArray[np.intp],
    sorted_rows: npt.NDArray[np.intp],
    columns: npt.NDArray[np.intp],
) -> npt.NDArray[np.intp]:
    """Return which of the wanted positions are in the block."""
    n_rows, n_columns = block.values.shape
    start, stop = np.searchsorted(sorted_rows, [block.row, block.row + n_rows])
    here = order[start:stop]
    wanted = columns[here]
    inside: npt.NDArray[np.intp] = here[
        (wanted >= block.column) & (wanted < block.column + n_columns)
    ]
    return inside


def _pick(
    block: Block, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    picked = block.values[rows, columns]
    if not isinstance(picked, np.ndarray):  # a sparse array picks a sparse array
        picked = picked.toarray()
    return np.asarray(picked, dtype=np.float64).ravel()
