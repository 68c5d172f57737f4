"""Log fold changes in blocks, and what several metrics need of them, computed once.

A block is a few rows (groups of observations with one perturbation) of two
matrices, O (observed) and E (predicted), small enough to stay in the
processor's cache. Genes that must not score are *left out* row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Bools, Floats, Ints

if TYPE_CHECKING:
    from pereggrn_data.evaluators.metrics.metric_surroundings import BlockSurroundings

Array = npt.NDArray[Any]


# Differences from the baseline that float32, in which expression is stored,
# cannot resolve. Without this, "no change" gets random signs, as in the original software.
_FLOAT32_ROUNDING = 4 * float(np.finfo(np.float32).eps)


def log_fold_change(expression: Floats, control_mean: Floats) -> Floats:
    """Subtract the baseline; what float32 cannot resolve counts as no change.

    Parameters
    ----------
    expression
        (..., genes) natural-log expression.
    control_mean
        (genes,) mean of the training controls, or one row per row of `expression`.

    Returns
    -------
    ndarray
        Same shape as `expression`.
    """
    change = np.asarray(expression - control_mean)
    resolution = np.broadcast_to(_FLOAT32_ROUNDING * np.abs(control_mean), change.shape)
    genes = change.shape[-1]
    # Row by row: whole-matrix temporaries would be as large as the predictions.
    for row, finest in zip(change.reshape(-1, genes), resolution.reshape(-1, genes), strict=True):
        np.putmask(row, np.abs(row) <= finest, 0.0)  # several times as fast as an index
    return change


class Effect:
    """One side of the comparison: log fold changes of a block of groups.

    Parameters
    ----------
    values
        (rows, genes) log fold change; left-out entries hold 0.
    left_out
        (rows, genes) or None where every gene scores.
    """

    def __init__(self, values: Array, left_out: Bools | None) -> None:
        self.values = values
        self.left_out = left_out
        self._tops: dict[int, Bools] = {}

    @cached_property
    def n(self) -> Ints:
        """Number of scored genes per row."""
        rows, genes = self.values.shape
        total = np.full(rows, genes, dtype=np.intp)
        return total if self.left_out is None else total - self.left_out.sum(axis=1)

    @cached_property
    def positive(self) -> Bools:
        """Where expression goes up."""
        return self.values > 0

    @cached_property
    def negative(self) -> Bools:
        """Where expression goes down."""
        return self.values < 0

    @cached_property
    def rounded_positive(self) -> Bools:
        """Where the change is positive after rounding to 2 decimals (half to even)."""
        return np.asarray(self.values > largest_rounded_to_zero(self.values.dtype))

    @cached_property
    def rounded_negative(self) -> Bools:
        """Where the change is negative after rounding to 2 decimals (half to even)."""
        return np.asarray(self.values < -largest_rounded_to_zero(self.values.dtype))

    @cached_property
    def centered(self) -> Array:
        """Deviation from the row's mean over scored genes; 0 where left out."""
        return _centered(self.values, self.n, self.left_out)

    @cached_property
    def is_constant(self) -> Bools:
        """Rows without variation, for which a correlation means nothing."""
        return _without_variation(self.centered, self.values)

    @cached_property
    def sum_of_squares(self) -> Array:
        """Of the centred values, per row."""
        return np.asarray(np.einsum("ij,ij->i", self.centered, self.centered))

    @cached_property
    def centered_ranks(self) -> Array:
        """Average ranks minus their mean; 0 where left out."""
        ranks = average_ranks(_blanked(self.values, self.left_out, np.inf))
        # With or without ties, n average ranks have the mean (n + 1) / 2.
        ranks -= (self.n[:, None] + 1) / 2
        if self.left_out is not None:
            ranks[self.left_out] = 0
        return ranks

    @cached_property
    def sum_of_squared_ranks(self) -> Array:
        """Of the centred ranks, per row."""
        return np.asarray(np.einsum("ij,ij->i", self.centered_ranks, self.centered_ranks))

    @cached_property
    def _magnitude(self) -> Array:
        return _blanked(np.abs(self.values), self.left_out, -1.0)

    def top(self, size: int, sizes: tuple[int, ...]) -> Bools:
        """Return the genes whose average rank by falling magnitude is at most `size`.

        All `sizes` are found by one partial sort.
        """
        if size not in self._tops:
            self._tops = dict(zip(sizes, top_masks(self._magnitude, sizes), strict=True))
            if self.left_out is not None:
                for mask in self._tops.values():
                    mask &= ~self.left_out
        return self._tops[size]


@dataclass(frozen=True)
class Chosen:
    """The most changed genes of some rows.

    Parameters
    ----------
    rows
        (k,) positions in the block.
    observed, predicted
        (k, n) O and E of the chosen genes.
    predicted_top
        (k, n) whether they are among the largest predicted changes too.
    """

    rows: Ints
    observed: Array
    predicted: Array
    predicted_top: Bools


class EffectBlock:
    """O and E of the same groups.

    Parameters
    ----------
    observed, predicted
        Both sides, of one shape and with the same genes left out.
    around
        What else is known of the groups, for metrics that need it.
    """

    def __init__(
        self, observed: Effect, predicted: Effect, around: BlockSurroundings | None = None
    ) -> None:
        self.observed = observed
        self.predicted = predicted
        self.around = around
        self._chosen: dict[int, list[Chosen]] = {}

    @property
    def n(self) -> Ints:
        """Number of scored genes per row."""
        return self.observed.n

    def chosen(self, size: int, sizes: tuple[int, ...]) -> list[Chosen]:
        """Pick O and E of the genes with the largest observed change.

        Returns
        -------
        list of Chosen
            Rows that chose equally many genes (nearly all do) stand together.
        """
        if size not in self._chosen:
            top = self.observed.top(size, sizes)
            counts = np.count_nonzero(top, axis=1)
            self._chosen[size] = []
            for count in np.unique(counts[counts > 0]):
                rows = np.flatnonzero(counts == count)
                where = np.flatnonzero(top if rows.size == len(top) else top[rows])
                shape = (rows.size, int(count))
                picked = [
                    side[rows].ravel()[where].reshape(shape)
                    if rows.size < len(top)
                    else side.ravel()[where].reshape(shape)
                    for side in (
                        self.observed.values,
                        self.predicted.values,
                        self.predicted.top(size, sizes),
                    )
                ]
                self._chosen[size].append(Chosen(rows, *picked))
        return self._chosen[size]

    @cached_property
    def error(self) -> Array:
        """O - E, (rows, genes); 0 where left out."""
        return self.observed.values - self.predicted.values


def average_ranks(values: Array) -> Array:
    """Rank each row from 1; equal values share the average of their ranks.

    As ``scipy.stats.rankdata(values, axis=1)``, in a third of its time: the
    work for ties is done only for rows that have some.

    Parameters
    ----------
    values
        (rows, columns) without NaN.

    Returns
    -------
    ndarray
        (rows, columns) ranks in float64.
    """
    rows, columns = values.shape
    order = np.argsort(values, axis=1)
    in_order = np.take_along_axis(values, order, axis=1)
    new_value = np.empty((rows, columns), dtype=bool)
    new_value[:, :1] = True
    np.not_equal(in_order[:, 1:], in_order[:, :-1], out=new_value[:, 1:])
    rank_in_order = np.empty((rows, columns))
    rank_in_order[:] = np.arange(1.0, columns + 1)
    tied = np.flatnonzero(~new_value.all(axis=1))
    if tied.size:
        flags = new_value[tied].ravel()
        starts = np.append(np.flatnonzero(flags), flags.size)
        # A tie never reaches into the next row: each row begins a new value.
        average = (starts[:-1] % columns) + (np.diff(starts) + 1) / 2
        rank_in_order[tied] = average[np.cumsum(flags) - 1].reshape(-1, columns)
    ranks = np.empty_like(rank_in_order)
    np.put_along_axis(ranks, order, rank_in_order, axis=1)
    return ranks


def top_masks(magnitude: Array, sizes: tuple[int, ...]) -> list[Bools]:
    """Mark, per row and size, the entries whose average falling rank is at most the size.

    Ties across the cut are therefore all in or all out, as in the original
    software.

    Parameters
    ----------
    magnitude
        (rows, genes), nothing NaN.
    sizes
        Numbers of top genes.

    Returns
    -------
    list of ndarray
        One (rows, genes) mask per size.
    """
    genes = magnitude.shape[1]
    cuts = sorted({genes - size for size in sizes if size < genes})
    parted = np.partition(magnitude, cuts, axis=1) if cuts else magnitude
    masks = []
    for size in sizes:
        if size >= genes:
            masks.append(np.ones(magnitude.shape, dtype=bool))
            continue
        at_cut = parted[:, genes - size, None]
        mask = magnitude >= at_cut
        counts = np.count_nonzero(mask, axis=1)
        for row in np.flatnonzero(counts != size):
            # Equal values lie across the cut, on average ranks n_above + 1 ... counts.
            n_above = np.count_nonzero(magnitude[row] > at_cut[row])
            if n_above + 1 + counts[row] > 2 * size:
                mask[row] = magnitude[row] > at_cut[row]
        masks.append(mask)
    return masks


@cache
def largest_rounded_to_zero(dtype: np.dtype[Any]) -> Any:
    """Return the largest number that ``numpy.round(x, 2)`` rounds to 0.

    That function multiplies by 100 and rounds half to even, all in `dtype`; one
    comparison with this number does the same as its two passes.
    """
    number = np.nextafter(dtype.type(0.005), dtype.type(0))
    while np.rint((following := np.nextafter(number, dtype.type(1))) * dtype.type(100)) == 0:
        number = following
    return number


def _blanked(values: Array, left_out: Bools | None, filler: float) -> Array:
    return values if left_out is None else np.where(left_out, filler, values)


def _centered(values: Array, n: Ints, left_out: Bools | None) -> Array:
    kept = values if left_out is None else np.where(left_out, 0, values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = kept.sum(axis=1) / n
    centered: Array = kept - mean[:, None].astype(values.dtype)
    if left_out is not None:
        centered[left_out] = 0
    return centered


def _without_variation(centered: Array, values: Array) -> Bools:
    """Rows whose variation is zero, or no more than the rounding of their values."""
    spread = np.sqrt(np.einsum("ij,ij->i", centered, centered))
    size = np.sqrt(np.einsum("ij,ij->i", values, values))
    tiny = 16 * np.finfo(values.dtype).eps
    return np.asarray(~(spread > tiny * size))
