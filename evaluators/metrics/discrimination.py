"""Discrimination: is a prediction nearer to its own perturbation than to the others?

One implementation with its conventions as named parameters, because every
evaluator of the field has its own. To add such a metric, add its entry in
:data:`DISCRIMINATION_METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from pereggrn_data.core.arrays import Bools, Floats, Ints
from pereggrn_data.core.resources import share_out
from pereggrn_data.evaluators.metrics.metric import Direction, Metric, Needs, WholeValues, one
from pereggrn_data.evaluators.metrics.profile_metrics import Profiles

_ROUNDING = 1e-12
"""Relative difference of distances that is the rounding of sums over genes."""
_FEWEST_ROWS = 16
_TERMS_AT_A_TIME = 1 << 22
"""Absolute differences, some milliseconds of them: much more than a thread takes to start."""


class Ties(StrEnum):
    """What becomes of candidates that are as near as the own one."""

    HALF = "half"
    """Half of them count as nearer: a prediction that cannot tell gets 0.5."""
    LOST = "lost"
    """All count as nearer."""
    WON = "won"
    """None does."""
    ORDER = "order"
    """Those that stand before the own one count."""


class Among(StrEnum):
    """What is looked for among what."""

    OBSERVED = "observed"
    """The prediction's own observation, among all observations."""
    PREDICTED = "predicted"
    """The observation's own prediction, among all predictions."""


@dataclass(frozen=True)
class Conventions:
    """How distances become a value; the defaults are this package's.

    Parameters
    ----------
    distance
        A key of :data:`DISTANCES`.
    ties
        What becomes of equal distances.
    of_others
        Whether the count of nearer candidates is divided by that of the *other*
        candidates (n - 1), or by n.
    among
        What is looked for among what.
    """

    distance: str = "l1"
    ties: Ties = Ties.HALF
    of_others: bool = True
    among: Among = Among.OBSERVED


def discrimination(
    predicted: Floats,
    candidates: Floats,
    own: Ints,
    *,
    left_out: Bools | None = None,
    conventions: Conventions = Conventions(),
) -> Floats:
    """Say what share of the other candidates is farther from a prediction than its own.

    Parameters
    ----------
    predicted
        (rows, genes) predicted effects.
    candidates
        (n, genes) observed effects, of what is predicted and of what is not.
    own
        (rows,) which candidate each row predicts.
    left_out
        (genes,) genes that do not count, or (rows, genes) to leave out others in
        every row; None: all count.
    conventions
        On distances, ties, the denominator and the direction.

    Returns
    -------
    ndarray
        (rows,) ``1 - k / (n - 1)`` with k the number of nearer candidates and half
        of the equally near others; NaN with fewer than two candidates or genes.
    """
    n = len(candidates)
    if left_out is not None and left_out.ndim == 2:
        alone = [
            discrimination(predicted[[i]], candidates, own[[i]], left_out=row,
                           conventions=conventions)
            for i, row in enumerate(left_out)
        ]  # fmt: skip
        return np.concatenate(alone) if alone else np.empty(0)
    if left_out is not None:
        # Not by an index, which would lay columns one after the other: cdist copies these.
        predicted = predicted.compress(~left_out, axis=1)
        candidates = candidates.compress(~left_out, axis=1)
    if n < 2 or candidates.shape[1] < 2:
        return np.full(len(predicted), np.nan)
    if conventions == Conventions("l1") and _is_own(predicted, candidates, own):
        # Nothing is nearer than what is equal, and only other candidates that are equal tie.
        # The sums of absolute differences are the slow ones.
        return 1 - (_copies(candidates)[own] - 1) / 2 / (n - 1)
    measure = DISTANCES[conventions.distance]
    if conventions.among is Among.PREDICTED:
        distances = measure(candidates[own], predicted)
        own = np.arange(len(predicted))
        n = len(predicted)
    else:
        # Baselines predict the same for every group: one row stands for all.
        distinct, which = _distinct(predicted)
        values, rounding = measure(distinct, candidates)
        distances = values[which], rounding[which] if len(rounding) > 1 else rounding
    nearer = _nearer(distances, own, conventions.ties)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - nearer / (n - 1 if conventions.of_others else n))


def _nearer(distances: Distances, own: Ints, ties: Ties) -> Floats:
    """Count the candidates before the own one, (rows,)."""
    values, rounding = distances
    rows = np.arange(len(own))
    to_own = values[rows, own][:, None]
    slack = rounding + np.broadcast_to(rounding, values.shape)[rows, own][:, None]
    equal = np.abs(values - to_own) <= slack
    equal[rows, own] = False
    nearer = np.count_nonzero((values < to_own) & ~equal, axis=1).astype(float)
    if ties is Ties.ORDER:
        before = np.arange(values.shape[1]) < own[:, None]
        return np.asarray(nearer + np.count_nonzero(equal & before, axis=1))
    share = {Ties.HALF: 0.5, Ties.LOST: 1.0, Ties.WON: 0.0}[ties]
    return np.asarray(nearer + share * np.count_nonzero(equal, axis=1))


def _is_own(predicted: Floats, candidates: Floats, own: Ints) -> bool:
    """Whether all predictions are what was observed."""
    first = bool(len(own)) and np.array_equal(predicted[0], candidates[own[0]])
    return first and np.array_equal(predicted, candidates[own])


def _copies(rows: Floats) -> Ints:
    """Count, for each row, the rows that are equal to it, itself included."""
    codes, _ = pd.factorize(np.array([row.tobytes() for row in rows + 0.0], dtype=object))
    return np.asarray(np.bincount(codes)[codes], dtype=np.intp)


def _distinct(rows: Floats) -> tuple[Floats, Ints]:
    """Return the rows without repetition, and which of them each row is."""
    if len(rows) > 1 and (rows == rows[0]).all():
        return rows[:1], np.zeros(len(rows), dtype=np.intp)
    return rows, np.arange(len(rows))


def _l1(predicted: Floats, candidates: Floats) -> Distances:
    values = np.empty((len(predicted), len(candidates)))

    size = max(_FEWEST_ROWS, _TERMS_AT_A_TIME // max(candidates.size, 1))

    def work(start: int) -> None:
        rows = slice(start, start + size)
        cdist(predicted[rows], candidates, "cityblock", out=values[rows])

    # cdist lets other threads run meanwhile.
    share_out(work, range(0, len(predicted), size))
    return values, _ROUNDING * values


def _l2(predicted: Floats, candidates: Floats) -> Distances:
    """Squared, which are in the same order."""
    middle = candidates.mean(axis=0)
    x, y = predicted - middle, candidates - middle
    squares = np.einsum("ij,ij->i", x, x)[:, None] + np.einsum("ij,ij->i", y, y)
    return squares - 2 * (x @ y.T), _ROUNDING * squares


def _cosine(predicted: Floats, candidates: Floats) -> Distances:
    """One minus the cosine; 1 where one side has no effect at all."""
    values = 1 - _unit(predicted) @ _unit(candidates).T
    return values, np.full((1, 1), _ROUNDING)


def _unit(rows: Floats) -> Floats:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norm, out=np.zeros(rows.shape), where=norm > 0))


Distances = tuple[Floats, Floats]
"""(rows, candidates) distances, and up to which differences they are rounding."""

DISTANCES: dict[str, Callable[[Floats, Floats], Distances]] = {
    "l1": _l1,
    "l2": _l2,
    "cosine": _cosine,
}
"""From (rows, genes) and (candidates, genes) to distances."""


def discriminate(profiles: Profiles, distance: str) -> WholeValues:
    """Compute discrimination of every method, within cell types and time points.

    Candidates are the observed effects of all held-out groups, predicted or not.
    A gene that any held-out perturbation targets is left out for all of them: its
    level tells the perturbations apart without a forecast.

    Returns
    -------
    dict, None
        Per method, (groups,) values.
    """
    among = profiles.candidates
    left_out = among.panel.copy()
    if profiles.left_out is not None:
        left_out |= profiles.left_out.any(axis=0)
    conventions = Conventions(distance=distance)
    context_of = among.contexts[among.own]
    result: dict[str, Floats] = {}
    for name, effect in profiles.effects.items():
        values = np.full(len(effect), np.nan)
        for context in np.unique(context_of):
            rows = np.flatnonzero(context_of == context)
            there = np.flatnonzero(among.contexts == context)
            values[rows] = discrimination(
                effect[rows],
                among.observed[there],
                np.searchsorted(there, among.own[rows]),
                left_out=left_out,
                conventions=conventions,
            )
        result[name] = values
    return result, None


def _entry(distance: str, named: str, note: str) -> Metric:
    return Metric(
        f"discrimination_{distance}",
        f"1 - (#(d(E, O') < d(E, O)) + #(equal, others) / 2) / (n - 1), d {named}",
        f"Share of the other held-out groups that are farther from the prediction than its "
        f"own{note}; 0.5 is chance. Genes that any of them targets are left out.",
        Direction.HIGHER, one, 0.0, 1.0,
        "fewer than 2 groups of the cell type and time point, or fewer than 2 genes, are left",
        "cell-eval2's pds, Systema's centroid accuracy",
        needs=Needs.CANDIDATES, compute_whole=partial(discriminate, distance=distance),
    )  # fmt: skip


DISCRIMINATION_METRICS: tuple[Metric, ...] = (
    _entry("l1", "the sum of absolute differences", ""),
    _entry("l2", "Euclidean", ""),
    _entry("cosine", "1 - cosine", " in direction"),
)
