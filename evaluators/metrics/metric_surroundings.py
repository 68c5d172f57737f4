"""What metrics may look at besides O and E: the training data, and how sure the truth is.

It is the same for all methods. Computed once for all groups, and handed out in
the blocks in which O and E are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.core.rows.group_sums import GroupSums, group_sums, sums_by_groupings
from pereggrn_data.evaluators.metrics.effects import Effect, log_fold_change

EXPRESSED = 1000
"""How many of the most expressed genes some metrics look at."""

_NO_VARIANCE = 1e-12
"""Variance over squared mean that is the rounding of a difference of two sums."""


@dataclass(frozen=True)
class Surroundings:
    """What is known of all groups besides O and E.

    Parameters
    ----------
    reference
        (genes,) or (groups, genes) baseline C of log fold changes.
    control_mean
        (genes,) mean of the known controls.
    perturbed_mean
        (genes,) or (groups, genes) equal-weight mean of the centroids of the
        training perturbations, None where none trains.
    t_scores
        (groups, genes) of :func:`t_scores`, None where not wanted.
    """

    reference: Floats
    control_mean: Floats
    perturbed_mean: Floats | None = None
    t_scores: Floats | None = None

    @cached_property
    def expressed(self) -> Ints:
        """Positions of the genes that are highest in the controls, in order; ties by order."""
        order = np.argsort(-self.control_mean, kind="stable")
        return np.sort(order[:EXPRESSED])

    def block(self, rows: slice, observed: Effect) -> BlockSurroundings:
        """Return what concerns some groups."""
        return BlockSurroundings(self, rows, observed)


class BlockSurroundings:
    """What is known of a block of groups; computed once, whatever the number of methods.

    Parameters
    ----------
    whole
        Of all groups.
    rows
        Those of the block.
    observed
        O of the block.
    """

    def __init__(self, whole: Surroundings, rows: slice, observed: Effect) -> None:
        self._whole = whole
        self._rows = rows
        self._observed = observed

    @property
    def expressed(self) -> Ints:
        """Positions of the genes that are highest in the controls."""
        return self._whole.expressed

    @cached_property
    def observed_expressed(self) -> Effect:
        """O over these genes only."""
        return part_of(self._observed, self.expressed)

    @cached_property
    def observed_over_perturbed(self) -> Effect | None:
        """Observed expression over the mean of the training perturbations."""
        return self.over_perturbed(self._observed)

    def over_perturbed(self, effect: Effect) -> Effect | None:
        """Return a side as its difference from the mean of the training perturbations.

        Returns
        -------
        Effect or None
            None where no perturbation trains.
        """
        if self._whole.perturbed_mean is None:
            return None
        reference, mean = (
            values if values.ndim == 1 else values[self._rows]
            for values in (self._whole.reference, self._whole.perturbed_mean)
        )
        # What float32 cannot tell from that mean is no effect, as elsewhere.
        values = log_fold_change(effect.values + reference, mean)
        if effect.left_out is not None:
            values[effect.left_out] = 0
        return Effect(values, effect.left_out)

    @cached_property
    def weights(self) -> Floats | None:
        """Weights of genes, (rows, genes): 0 where left out, NaN in rows that have none."""
        if self._whole.t_scores is None:
            return None
        return deg_weights(self._whole.t_scores[self._rows], self._observed.left_out)


def part_of(effect: Effect, columns: Ints) -> Effect:
    """Keep some genes of a side."""
    hidden = None if effect.left_out is None else effect.left_out[:, columns]
    return Effect(np.ascontiguousarray(effect.values[:, columns]), hidden)


def t_scores(matrix: Matrix, group_of: Ints, groups: int, contexts: Ints) -> Floats:
    """Score how surely each gene differs between a group and all others of its context.

    As scanpy's ``t-test_overestim_var`` against the rest: Welch's t statistic
    with the number of observations of the group on both sides.

    Parameters
    ----------
    matrix
        (observations, genes) natural-log expression.
    group_of
        (observations,) group of each; negative ones are not looked at.
    groups
        Number of groups.
    contexts
        (groups,) number of the cell type and time point of each group.

    Returns
    -------
    ndarray
        (groups, genes). 0 where neither side varies; NaN in the rows of groups
        with fewer than two observations on either side.
    """
    return scores_of_moments(Moments.of(matrix, group_of, groups), contexts)


def scores_of_moments(of_groups: Moments, contexts: Ints) -> Floats:
    """As :func:`t_scores`, from the sums over the observations of all groups."""
    result = np.full(of_groups.sums.shape, np.nan)
    for context in np.unique(contexts):
        here = np.flatnonzero(contexts == context)
        together = of_groups.total(here)
        for k in here.tolist():
            n = of_groups.n[k]
            if n < 2 or together.n[0] - n < 2:
                continue
            mean, variance = of_groups.mean_and_variance(k)
            rest, of_rest = together.without(of_groups, k).mean_and_variance(0)
            with np.errstate(invalid="ignore", divide="ignore"):
                score = (mean - rest) / np.sqrt((variance + of_rest) / n)
            result[k] = np.where(np.isfinite(score), score, 0.0)
    return result


@dataclass(frozen=True)
class Moments:
    """Sums over the observations of groups, from which means and variances follow.

    Parameters
    ----------
    n
        (groups,) number of observations.
    sums, squares
        (groups, genes) sums of expression and of its squares; the squares are NaN where they
        were not asked for.
    """

    n: Floats
    sums: Floats
    squares: Floats

    @classmethod
    def of(cls, matrix: Matrix, group_of: Ints, groups: int) -> Moments:
        """Sum up observations; those of a negative group are not looked at."""
        found = group_sums(matrix, group_of, groups, squares=True)
        return cls._of(found)

    @classmethod
    def of_each(
        cls, matrix: Matrix, groupings: list[Ints], groups: int, *, squares: bool = True
    ) -> list[Moments]:
        """Sum up observations by several groupings, in one reading; squares if wanted."""
        found = sums_by_groupings(matrix, groupings, groups, squares=squares)
        return [cls._of(sums) for sums in found]

    @classmethod
    def _of(cls, found: GroupSums) -> Moments:
        unknown = np.full((1, 1), np.nan)
        return cls(found.n, found.sums, unknown if found.squares is None else found.squares)

    def total(self, groups: Ints) -> Moments:
        """Take some groups together."""
        parts = (self.n[groups, None], self.sums[groups], self.squares[groups])
        n, sums, squares = (part.sum(axis=0) for part in parts)
        return Moments(n, sums[None], squares[None])

    def without(self, others: Moments, group: int) -> Moments:
        """Take one group out of a single one."""
        return Moments(
            self.n - others.n[group],
            self.sums - others.sums[group],
            self.squares - others.squares[group],
        )

    def every_other(self, start: int) -> Moments:
        """Return those of every second group, from the first or the second on."""
        chosen = slice(start, None, 2)
        squares = self.squares if len(self.squares) == 1 else self.squares[chosen]
        return Moments(self.n[chosen], self.sums[chosen], squares)

    def means(self, groups: Ints | slice = slice(None)) -> Floats:
        """Return (groups, genes) means of some, NaN where nothing is observed."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.sums[groups] / self.n[groups, None])

    def mean_and_variance(self, group: int) -> tuple[Floats, Floats]:
        """Return the mean, and the variance with divisor n - 1, of a group, (genes,) each."""
        mean = self.sums[group] / self.n[group]
        variance = (self.squares[group] - self.sums[group] * mean) / (self.n[group] - 1)
        variance[variance <= _NO_VARIANCE * np.square(mean)] = 0.0
        return mean, variance


def deg_weights(scores: Floats, left_out: Bools | None = None) -> Floats:
    """Weigh genes by how surely they are differentially expressed (Mejia et al. 2025).

    Parameters
    ----------
    scores
        (rows, genes) t scores; NaN weighs nothing.
    left_out
        (rows, genes) entries that must not score, or None.

    Returns
    -------
    ndarray
        (rows, genes) with ``((|s| - min) / (max - min))^2`` over its sum, uniform
        where all scores are equal; NaN in a row without a score.
    """
    size = np.abs(scores)
    known = np.isfinite(size)
    if left_out is not None:
        known &= ~left_out
    lowest = np.where(known, size, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    highest = np.where(known, size, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.square(np.where(known, (size - lowest) / (highest - lowest), 0.0))
        equal = (highest == lowest)[:, 0]
        scored = np.ones(known.shape, bool) if left_out is None else ~left_out
        weights[equal] = scored[equal]
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))
