"""The genes that each group perturbs directly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.arrays import Floats
from pereggrn_data.core.format import LEVEL, PERTURBATION
from pereggrn_data.core.labels import genes_of, levels_of


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

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    stated: Floats

    def of_groups(self, kept: npt.NDArray[np.bool_]) -> Targets:
        """Keep the pairs of some groups, and number these groups anew."""
        position = np.cumsum(kept) - 1
        mine = kept[self.rows]
        return Targets(position[self.rows[mine]], self.columns[mine], self.stated[mine])


def find_targets(
    obs: pd.DataFrame,
    group_of: npt.NDArray[np.intp],
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
