"""Scores per gene, over the test observations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.core.rows.row_blocks import (
    VALUES_IN_CACHE,
    chosen_rows,
    dense_values,
    each_block,
)
from pereggrn_data.evaluators.alignment import Aligned
from pereggrn_data.evaluators.metrics.effects import log_fold_change
from pereggrn_data.evaluators.targets import TargetedGenes, Targets
from pereggrn_data.evaluators.task import Task

_BLOCK_BYTES = 1 << 23

PREDICTED_BY = "predicted_by"
"""Column that says whether each test observation has a prediction of its own
(``observation``) or that of its group (``group``)."""


def score_genes(
    task: Task,
    aligned: Aligned,
    effects: Mapping[str, Floats],
    left_out: Bools | None,
    targets: Targets,
    targeted: TargetedGenes,
    own_of: str,
) -> pd.DataFrame:
    """Score each gene by every method.

    Parameters
    ----------
    task
        What was held out.
    aligned
        The predictions.
    effects
        Per method, (scored groups, genes) predicted log fold change.
    left_out
        (scored groups, genes) entries that must not score, or None.
    targets
        Directly perturbed genes of the scored groups.
    targeted
        What is done with them.
    own_of
        The method that may have a prediction for each observation.

    Returns
    -------
    DataFrame
        One row per method and gene: ``predicted_by``, and the columns of
        :meth:`GeneErrors.frame`.
    """
    kept = aligned.scored
    rows = np.flatnonzero(kept[task.group_of])
    group_of = (np.cumsum(kept) - 1)[task.group_of[rows]]
    matrix: Matrix = chosen_rows(task.test_matrix, rows)
    reference = task.reference(kept)
    own = None
    if aligned.by_observation is not None:
        of_test = aligned.by_observation

        def own(chosen: Ints) -> Floats:
            return of_test(rows[chosen])

    revealed = targets if targeted is TargetedGenes.REVEAL else None
    sums = {
        name: GeneErrors(effect, left_out, reference, own if name == own_of else None, revealed)
        for name, effect in effects.items()
    }
    for block in each_block(matrix):
        here = block.positions
        _add_block(list(sums.values()), block.values, here, group_of[here], reference)
    frames = []
    for name, errors in sums.items():
        frame = errors.frame()
        frame.insert(0, PREDICTED_BY, "observation" if errors.own is not None else "group")
        frame.insert(0, "gene", task.genes)
        frame.insert(0, "method", name)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _add_block(
    methods: list[GeneErrors], values: Any, rows: Ints, groups: Ints, reference: Floats
) -> None:
    """Give every method some observations; what is not 0 is enough where it has no others."""
    own = [m for m in methods if m.own is not None or not sparse.issparse(values)]
    if len(own) < len(methods):
        known = _SparseBlock.of(values, groups, reference)
        for method in methods:
            if method.own is None:
                method.add_sparse(known)
    if not own:
        return
    size = max(1, _BLOCK_BYTES // (8 * max(values.shape[1], 1)))
    for start in range(0, values.shape[0], size):
        part = slice(start, start + size)
        observed = np.asarray(dense_values(values[part]), dtype=np.float64)
        baseline = reference[groups[part]] if reference.ndim == 2 else reference
        change = log_fold_change(observed, baseline)
        for method in own:
            method.add(change, rows[part], groups[part], baseline)


@dataclass(frozen=True)
class _SparseBlock:
    """Observations of which only values that are not 0 are stored; the same for all methods.

    Parameters
    ----------
    here
        (some,) groups that have observations in the block.
    counts
        (some,) how many.
    gene, cell
        (stored,) gene of each stored value, and its place in an array of `some` by genes.
    change
        (stored,) log fold change of each.
    zeros
        (some, genes) number of values that are not stored.
    change_of_nothing
        (some, genes) log fold change of these.
    """

    here: Ints
    counts: Floats
    gene: Ints
    cell: Ints
    change: Floats
    zeros: Floats
    change_of_nothing: Floats

    @classmethod
    def of(cls, values: Any, groups: Ints, reference: Floats) -> _SparseBlock:
        """Lay out some rows.

        Parameters
        ----------
        values
            (rows, genes) a CSR array of natural-log expression.
        groups
            (rows,) their groups.
        reference
            (genes,) or (groups, genes) baseline of log fold changes.
        """
        genes = values.shape[1]
        here, position, counts = np.unique(groups, return_inverse=True, return_counts=True)
        cell = np.repeat(position.astype(np.intp) * genes, np.diff(values.indptr))
        cell += values.indices
        own = reference[here] if reference.ndim == 2 else reference
        shape = (len(here), genes)
        change = np.empty(len(cell))
        for part in _in_cache(len(cell)):
            base = own.ravel()[cell[part]] if own.ndim == 2 else own[values.indices[part]]
            change[part] = log_fold_change(values.data[part].astype(np.float64), base)
        stored = np.bincount(cell, minlength=len(here) * genes).reshape(shape)
        return cls(
            here=here,
            counts=counts.astype(np.float64),
            gene=values.indices,
            cell=cell,
            change=change,
            zeros=np.asarray(counts[:, None] - stored, dtype=np.float64),
            change_of_nothing=log_fold_change(np.zeros(shape), own),
        )


def _in_cache(n: int) -> Iterator[slice]:
    """Yield parts of `n` numbers that a processor's cache holds."""
    return (slice(at, at + VALUES_IN_CACHE) for at in range(0, n, VALUES_IN_CACHE))


class GeneErrors:
    """Errors of one method per gene, summed up over observations.

    Parameters
    ----------
    effect
        (groups, genes) predicted log fold change per group; NaN where nothing is
        predicted, which does not score.
    left_out
        (groups, genes) entries that must not score, or None.
    reference
        (genes,) baseline of log fold changes, or (groups, genes) one per group.
    own
        Gives the predicted expression of some observations by their positions, where
        each has its own.
    targets
        Directly perturbed genes to be set as in `effect`, for `own`.
    """

    def __init__(
        self,
        effect: Floats,
        left_out: Bools | None,
        reference: Floats,
        own: Callable[[Ints], Floats] | None = None,
        targets: Targets | None = None,
    ) -> None:
        self.own = own
        self._effect = effect
        self._reference = reference
        self._scored = np.isfinite(effect)
        if left_out is not None:
            self._scored &= ~left_out
        self._shown = effect if self._scored.all() else np.where(self._scored, effect, 0.0)
        # Spread is summed up around a prediction of each gene, so that none is none.
        first = self._scored.argmax(axis=0) if len(effect) else np.zeros(0, dtype=np.intp)
        self._pivot = self._shown[first, np.arange(len(first))]
        self._left_out = left_out
        self._targets = targets
        genes = effect.shape[1]
        self._absolute, self._squared = np.zeros(genes), np.zeros(genes)
        self._sum, self._square_sum = np.zeros(genes), np.zeros(genes)
        self._n = np.zeros(genes)

    def add(self, change: Floats, rows: Ints, groups: Ints, baseline: Floats) -> None:
        """Take observations.

        Parameters
        ----------
        change
            (rows, genes) observed log fold change.
        rows, groups
            (rows,) their positions and groups.
        baseline
            (genes,) or (rows, genes) what the changes are over.
        """
        if self.own is None:
            scored, shown = self._scored[groups], self._shown[groups]
        else:
            predicted = self._of_observations(rows, baseline, groups)
            scored = np.isfinite(predicted)
            if self._left_out is not None:
                scored &= ~self._left_out[groups]
            shown = np.where(scored, predicted, 0)
        spread = np.where(scored, shown - self._pivot, 0)
        error = np.where(scored, change - shown, 0)
        self._absolute += np.abs(error).sum(axis=0)
        self._squared += np.square(error).sum(axis=0)
        self._sum += spread.sum(axis=0)
        self._square_sum += np.square(spread).sum(axis=0)
        self._n += scored.sum(axis=0)

    def add_sparse(self, block: _SparseBlock) -> None:
        """Take observations of which only values that are not 0 are stored."""
        genes = self._effect.shape[1]
        here, counts, gene, cell = block.here, block.counts, block.gene, block.cell
        scored, shown = self._scored[here], self._shown[here]
        spread = np.where(scored, shown - self._pivot, 0)
        predicted, is_scored = shown.ravel(), None if scored.all() else scored.ravel()
        for part in _in_cache(len(cell)):
            error = block.change[part] - predicted[cell[part]]
            if is_scored is not None:
                np.putmask(error, ~is_scored[cell[part]], 0.0)
            at = gene[part].astype(np.intp)  # as counting wants it
            self._absolute += np.bincount(at, np.abs(error), genes)
            self._squared += np.bincount(at, np.square(error), genes)
        # What is not stored is the same for all observations of a group.
        at_zero = np.where(scored, block.change_of_nothing - shown, 0)
        self._absolute += (block.zeros * np.abs(at_zero)).sum(axis=0)
        self._squared += (block.zeros * np.square(at_zero)).sum(axis=0)
        self._sum += counts @ spread
        self._square_sum += counts @ np.square(spread)
        self._n += counts @ scored

    def _of_observations(self, rows: Ints, baseline: Floats, groups: Ints) -> Floats:
        """Take each observation's own prediction, with targeted genes set as in its group."""
        if self.own is None:
            return self._effect[groups]
        change = log_fold_change(self.own(rows), baseline)
        if self._targets is None:
            return change
        known = ~np.isnan(self._targets.stated)
        is_set = np.zeros(self._effect.shape, dtype=bool)
        is_set[self._targets.rows[known], self._targets.columns[known]] = True
        return np.where(is_set[groups], self._effect[groups], change)

    def frame(self) -> pd.DataFrame:
        """Return the scores.

        Returns
        -------
        DataFrame
            (genes,) rows: ``standard_deviation`` of the predictions, ``mae`` and
            ``mse``, both MEANS over observations in which the gene scores (the
            original software has sums), and ``n_observations``; NaN where none.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            absolute, squared = self._absolute / self._n, self._squared / self._n
            mean, mean_square = self._sum / self._n, self._square_sum / self._n
        return pd.DataFrame(
            {
                "n_observations": self._n.astype(int),
                "standard_deviation": np.sqrt(np.maximum(mean_square - mean**2, 0)),
                "mae": absolute,
                "mse": squared,
            }
        )
