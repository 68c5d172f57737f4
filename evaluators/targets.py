"""The genes that each group perturbs directly, and what scores do with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.format import LEVEL, PERTURBATION
from pereggrn_data.core.labels import genes_of, levels_of
from pereggrn_data.core.prediction_types import TargetedGenes as TargetedGenes


@dataclass(frozen=True)
class Targets:
    """The directly perturbed genes of each group, and their stated levels.

    Parameters
    ----------
    rows, columns
        (pairs,) positions of groups and genes.
    stated
        (pairs,) mean stated level over the group's observations (natural-log
        expression), NaN where no observation states one.
    """

    rows: Ints
    columns: Ints
    stated: Floats

    def of_groups(self, kept: Bools) -> Targets:
        """Keep the pairs of some groups, and number these groups anew."""
        position = np.cumsum(kept) - 1
        mine = kept[self.rows]
        return Targets(position[self.rows[mine]], self.columns[mine], self.stated[mine])


def find_targets(
    obs: pd.DataFrame,
    group_of: Ints,
    groups: pd.DataFrame,
    genes: npt.NDArray[np.object_],
) -> Targets:
    """Find the measured genes that each group perturbs, and their mean stated levels."""
    position = {gene: j for j, gene in enumerate(genes)}
    stated: dict[tuple[int, int], list[float]] = {
        (k, position[gene]): []
        for k, label in enumerate(groups[PERTURBATION])
        for gene in genes_of(label)
        if gene in position
    }
    parsed: dict[Any, tuple[float, ...]] = {}
    for k, label, text in zip(group_of, obs[PERTURBATION], obs[LEVEL].astype(object), strict=True):
        if text not in parsed:
            parsed[text] = levels_of(text)
        levels = parsed[text]
        for gene, level in zip(genes_of(label), levels, strict=False):
            if gene in position and np.isfinite(level):
                stated[int(k), position[gene]].append(level)
    pairs = np.array(list(stated), dtype=np.intp).reshape(-1, 2)
    means = [np.mean(levels) if levels else np.nan for levels in stated.values()]
    return Targets(pairs[:, 0], pairs[:, 1], np.asarray(means, dtype=np.float64))


def defined_groups(effect: Floats) -> Bools:
    """Return the groups of which a method says something."""
    # A sum needs no mask as large as the predictions; one NaN or infinity shows in it.
    return np.asarray(np.isfinite(effect.sum(axis=1)))


def entries_left_out(
    targets: Targets, shape: tuple[int, int], targeted: TargetedGenes
) -> Bools | None:
    """Return which (group, gene) entries must not score, or None."""
    if targeted is TargetedGenes.AS_IS:
        return None
    chosen = np.isnan(targets.stated) if targeted is TargetedGenes.REVEAL else targets.rows >= 0
    if not chosen.any():
        return None
    mask = np.zeros(shape, dtype=bool)
    mask[targets.rows[chosen], targets.columns[chosen]] = True
    return mask


def with_targets(
    effect: Floats, reference: Floats, targets: Targets, targeted: TargetedGenes
) -> Floats:
    """Set directly perturbed genes to their stated level, where that is the rule.

    A group that a method says nothing of stays NaN.
    """
    nothing = np.flatnonzero(~defined_groups(effect))
    nothing = nothing[np.isnan(effect[nothing]).all(axis=1)]
    if targeted is TargetedGenes.REVEAL:
        known = ~np.isnan(targets.stated)
        at = targets.rows[known], targets.columns[known]
        effect[at] = targets.stated[known] - np.broadcast_to(reference, effect.shape)[at]
    effect[nothing] = np.nan
    return effect
