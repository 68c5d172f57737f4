"""Log fold changes of some perturbations, kept beside the scores so that they can be looked at."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.format import PERTURBATION

SHOWN_GROUPS = 12
"""How many groups are kept: the best forecast, the worst, and some between."""

EVERY_GROUP = "all"
"""Among the named perturbations, stands for all of them."""


def evenly_ranked(advantage: Floats, n: int = SHOWN_GROUPS) -> Ints:
    """Choose groups from the best to the worst, evenly over their ranks.

    Parameters
    ----------
    advantage
        (groups,) how much better than the mean each group is forecast; groups without a
        value (NaN) come last.
    n
        How many to choose.

    Returns
    -------
    ndarray
        (at most n,) positions, the best first.

    Examples
    --------
    >>> evenly_ranked(np.array([0.5, 3.0, 1.0, 2.0]), 3).tolist()
    [1, 2, 0]
    """
    order = np.argsort(-advantage, kind="stable")
    places = np.linspace(0, len(order) - 1, min(n, len(order))).round().astype(np.intp)
    return np.asarray(order[places], dtype=np.intp)


def shown_effects(
    groups: pd.DataFrame,
    genes: Any,
    observed: Floats,
    predicted: Floats,
    *,
    left_out: Bools | None,
    advantage: Floats,
    named: Collection[str] = (),
) -> pd.DataFrame:
    """Put the observed and predicted log fold changes of chosen groups into one table.

    Parameters
    ----------
    groups
        (groups,) rows: what defines each group, and ``n_observations``.
    genes
        (genes,) names.
    observed, predicted
        (groups, genes) log fold changes as they were scored.
    left_out
        (groups, genes) entries that do not score, or None.
    advantage
        (groups,) by which groups are chosen; see :func:`evenly_ranked`.
    named
        Perturbations that are kept beside those; ``"all"`` keeps every one.

    Returns
    -------
    DataFrame
        One row per chosen group and scored gene: the columns that define the group,
        ``gene``, ``observed`` and ``predicted``.
    """
    chosen = list(evenly_ranked(advantage))
    labels = groups[PERTURBATION].astype(str).to_numpy()
    wanted = np.isin(labels, list(named)) | (EVERY_GROUP in named)
    chosen += [k for k in np.flatnonzero(wanted) if k not in set(chosen)]
    at = np.asarray(chosen, dtype=np.intp)
    n = len(genes)
    keys = groups.drop(columns="n_observations").reset_index(drop=True)
    frame = keys.loc[np.repeat(at, n)].reset_index(drop=True)
    frame["gene"] = np.tile(np.asarray(genes, dtype=object), len(at))
    frame["observed"] = observed[at].ravel().astype(np.float32)
    frame["predicted"] = predicted[at].ravel().astype(np.float32)
    there = np.isfinite(observed[at]) & np.isfinite(predicted[at])
    if left_out is not None:
        there &= ~left_out[at]
    return frame[there.ravel()].reset_index(drop=True)
