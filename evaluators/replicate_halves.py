"""Technical duplicates: one half of the observations as a prediction of the other half.

Each half of a perturbation's observations has its own half of the controls, as two
independent experiments would: controls that both share make them agree where nothing
but the controls' noise is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.core.resources import resources
from pereggrn_data.core.rows.row_blocks import is_stored
from pereggrn_data.evaluators.controls import SEED
from pereggrn_data.evaluators.metrics.effects import log_fold_change
from pereggrn_data.evaluators.metrics.metric_surroundings import Moments, scores_of_moments
from pereggrn_data.evaluators.scoring import Truth
from pereggrn_data.evaluators.splits.types import split_type
from pereggrn_data.evaluators.task import Task
from pereggrn_data.evaluators.task_baselines import Contexts, stacked

DRAWS = 5
"""Number of ways in which observations are halved."""

DUPLICATE, INTERPOLATED = "duplicate", "interpolated"
_GROUPS_AT_A_TIME = 16
"""Groups whose halves are compared while they are in the processor's cache."""

HALF = {"mean": "half_mean", "control": "half_control", "observed": "half_observed"}
"""What controls are called where they are scored on the same half as the duplicate."""


@dataclass(frozen=True)
class Draw:
    """One way of halving, ready to be scored.

    Parameters
    ----------
    truth
        The half that is scored against, over its half of the controls.
    kept
        (groups,) which groups both halves observe.
    effects
        Per method, (kept groups, genes) predicted log fold change over the
        reference of the truth.
    group_of
        For the truth and for the duplicate, (test,) the group of each observation that is
        in this half; negative for others.
    controls
        For the truth and for the duplicate, (controls,) the context of each known control
        that is in this half; negative for others.
    """

    truth: Truth
    kept: Bools
    effects: Mapping[str, Floats]
    group_of: Sequence[Ints]
    controls: Sequence[Ints]


def draws(task: Task) -> Iterator[Draw]:
    """Halve the observations of a task in five ways.

    Parameters
    ----------
    task
        What was held out.

    Yields
    ------
    Draw
        Nothing where no group can be halved, or the controls cannot.
    """
    for halves in _halvings(task):
        yield _draw(task, halves)


def duplicate_noise(task: Task) -> Floats:
    """Say how far two halves of the same perturbation are from each other.

    Parameters
    ----------
    task
        What was held out.

    Returns
    -------
    ndarray
        (groups,) root mean square, over the ways of halving, of the Euclidean distance
        between the log fold changes of both halves, each over its half of the controls;
        NaN where a group has no duplicate.
    """
    squares, times = np.zeros(len(task.groups)), np.zeros(len(task.groups))
    for halves in _halvings(task, squares=False):
        groups = np.flatnonzero(halves.kept)
        for start in range(0, len(groups), _GROUPS_AT_A_TIME):
            some = groups[start : start + _GROUPS_AT_A_TIME]
            apart = halves.duplicate(some) - halves.observed(some)
            squares[some] += np.square(apart).sum(axis=1)
        times[groups] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(squares / times)


@dataclass(frozen=True)
class _Halves:
    """One way of halving: moments of both halves, and what is in which."""

    group_of: Sequence[Ints]
    control_code: Sequence[Ints]
    controls: tuple[HalfOfControls, HalfOfControls]
    first: Moments
    second: Moments
    kept: Bools

    def observed(self, groups: Ints) -> Floats:
        """Return the log fold change of the first half of some groups, (some, genes)."""
        return _changes(self.first, self.controls[0], groups)

    def duplicate(self, groups: Ints) -> Floats:
        """Return the log fold change of the second half of some groups, (some, genes)."""
        return _changes(self.second, self.controls[1], groups)


def _changes(half: Moments, controls: HalfOfControls, groups: Ints) -> Floats:
    return log_fold_change(half.means(groups), _of_groups(controls.reference, groups))


def _halvings(task: Task, *, squares: bool = True) -> Iterator[_Halves]:
    if not (np.bincount(task.group_of) > 1).any():
        return
    controls = known_controls(task)
    halves, of_controls = [], []
    for seed in np.random.SeedSequence(SEED).generate_state(DRAWS):
        rng = np.random.default_rng(seed)
        of_controls.append(controls.halves(rng))
        # The larger half is the truth: its weights need two observations.
        halves.append(halved(task.group_of, rng))
    size = _draws_at_once(task)
    for start in range(0, DRAWS, size):
        chosen = slice(start, start + size)
        # Both halves of a group are groups of their own, so that no row has to be picked out.
        of_halves = [2 * task.group_of + half for half in halves[chosen]]
        moments = Moments.of_each(
            task.test_matrix, of_halves, 2 * len(task.groups), squares=squares
        )
        sides = controls.sides([of for pair in of_controls[chosen] for of in pair])
        for k, both in enumerate(moments):
            half = halves[start + k]
            codes = [np.where(half == h, task.group_of, -1) for h in (0, 1)]
            found = _halve((codes, of_controls[start + k]), both, sides[2 * k : 2 * k + 2])
            if found is not None:
                yield found


def _draws_at_once(task: Task) -> int:
    """Return how many draws share a reading of what was observed, as memory allows."""
    if not is_stored(task.test_matrix):
        return 1
    of_one = 4 * task.observed.nbytes  # two halves, sums and squares
    return min(max(resources().bytes_to_hold // max(of_one, 1), 1), DRAWS)


def _halve(
    codes: tuple[Sequence[Ints], Sequence[Ints]], both: Moments, sides: list[HalfOfControls]
) -> _Halves | None:
    in_first, in_second = sides
    first, second = both.every_other(0), both.every_other(1)
    kept = (second.n > 0) & np.all(
        [np.isfinite(side.reference).all(axis=-1) for side in (in_first, in_second)], axis=0
    )
    return _Halves(*codes, (in_first, in_second), first, second, kept) if kept.any() else None


def _draw(task: Task, halves: _Halves) -> Draw:
    (in_first, in_second), kept = halves.controls, halves.kept
    groups, reference = np.flatnonzero(kept), in_first.reference
    duplicate = halves.duplicate(groups)
    observed = np.full(halves.first.sums.shape, np.nan)
    observed[groups] = halves.observed(groups)
    truth = Truth(observed, reference, scores_of_moments(halves.first, task.contexts))
    predicted = np.broadcast_to(_of_groups(task.baselines["mean"], groups), duplicate.shape)
    mean = log_fold_change(predicted, _of_groups(reference, groups))
    effects = {
        DUPLICATE: duplicate,
        HALF["mean"]: mean,
        HALF["control"]: np.zeros(duplicate.shape),
        HALF["observed"]: observed[groups],
    }
    sure = certainty(halves.second, in_second, groups)
    if np.isfinite(sure).any():
        effects[INTERPOLATED] = sure * duplicate + (1 - sure) * mean
    return Draw(truth, kept, effects, halves.group_of, halves.control_code)


def certainty(half: Moments, controls: HalfOfControls, groups: Ints) -> Floats:
    """Say how surely each gene of a half differs from its half of the controls.

    Parameters
    ----------
    half
        Of all groups.
    controls
        Its half of the controls.
    groups
        (kept,) which groups.

    Returns
    -------
    ndarray
        (kept, genes) 1 - p, p of Welch's t test after Benjamini-Hochberg; NaN in
        groups with fewer than two observations on either side.
    """
    from scipy.stats import false_discovery_control  # takes longer to import than scores do

    result = np.full((len(groups), half.sums.shape[1]), np.nan)
    for row, k in enumerate(groups):
        context = controls.context_of[k]
        if context < 0 or half.n[k] < 2 or controls.moments.n[context] < 2:
            continue
        (mean, variance), (base, of_base) = (
            half.mean_and_variance(k),
            controls.moments.mean_and_variance(context),
        )
        a, b = variance / half.n[k], of_base / controls.moments.n[context]
        with np.errstate(invalid="ignore", divide="ignore"):
            t = np.abs(mean - base) / np.sqrt(a + b)
            df = (a + b) ** 2 / (a**2 / (half.n[k] - 1) + b**2 / (controls.moments.n[context] - 1))
            p = 2 * special.stdtr(df, -t)
        # Genes that do not vary on either side prove nothing.
        p = np.where(np.isfinite(p), np.minimum(p, 1.0), 1.0)
        result[row] = 1 - false_discovery_control(p)
    return result


@dataclass(frozen=True)
class HalfOfControls:
    """One half of the known controls.

    Parameters
    ----------
    moments
        Per context.
    reference
        (genes,) mean, or (groups, genes) that of each group's contexts; NaN where
        none is in this half.
    context_of
        (groups,) the context of each group; -1 where it has several.
    """

    moments: Moments
    reference: Floats
    context_of: Ints


@dataclass(frozen=True)
class KnownControls:
    """The controls that log fold changes are over.

    Parameters
    ----------
    matrix
        (controls, genes) natural-log expression.
    code
        (controls,) context of each; negative: not used.
    contexts
        Of the test observations where every group has its own controls, else None.
    groups
        Number of groups.
    """

    matrix: Matrix
    code: Ints
    contexts: Contexts | None
    groups: int

    def halved(self, rng: np.random.Generator) -> tuple[HalfOfControls, HalfOfControls]:
        """Divide the controls of every context into two halves, and sum them up."""
        first, second = self.sides(self.halves(rng))
        return first, second

    def halves(self, rng: np.random.Generator) -> list[Ints]:
        """Divide the controls of every context: the context of those in each half, else -1."""
        half = halved(self.code, rng)
        return [np.where(half == h, self.code, -1) for h in (0, 1)]

    def sides(self, halves: list[Ints]) -> list[HalfOfControls]:
        """Sum up halves of the controls, all of them in one reading."""
        return [self._side(m) for m in Moments.of_each(self.matrix, halves, self.n_contexts)]

    @property
    def n_contexts(self) -> int:
        """Number of contexts that controls are told apart by."""
        return 1 if self.contexts is None else len(self.contexts.keys)

    @property
    def context_of(self) -> Ints:
        """(groups,) the context of each group; -1 where it has several."""
        if self.contexts is None:
            return np.zeros(self.groups, dtype=np.intp)
        return self.contexts.single()

    def _side(self, moments: Moments) -> HalfOfControls:
        means = moments.means()
        reference = means[0] if self.contexts is None else self.contexts.averaged(means)
        return HalfOfControls(moments, reference, self.context_of)


def known_controls(task: Task) -> KnownControls:
    """Collect the controls that the log fold changes of a task are over."""
    train, given = task.known_controls()
    matrix = stacked(train[1], given[1])
    groups = len(task.groups)
    if task.matched_control_mean is None:
        return KnownControls(matrix, np.zeros(matrix.shape[0], dtype=np.intp), None, groups)
    matched_by = split_type(task.split.type).matched_by
    contexts = Contexts(task.test_obs, task.group_of, groups, matched_by)
    code = np.full(matrix.shape[0], -1, dtype=np.intp)
    # Those measured with the test observations; training controls where there is none.
    for rows, offset in ((contexts.rows_in(train[0]), 0),
                         (contexts.rows_in(given[0]), len(train[0]))):  # fmt: skip
        for k, of_context in enumerate(rows):
            if of_context.size:
                code[code == k] = -1
                code[of_context + offset] = k
    return KnownControls(matrix, code, contexts, groups)


def _of_groups(values: Floats, groups: Ints) -> Floats:
    return values if values.ndim == 1 else values[groups]


def halved(strata: Ints, rng: np.random.Generator) -> Ints:
    """Send half of each stratum, and the odd one out, to half 0, and the rest to half 1.

    Parameters
    ----------
    strata
        (n,) stratum of each observation.
    rng
        Draws which.

    Returns
    -------
    ndarray
        (n,) 0 or 1.
    """
    shuffled = rng.permutation(len(strata))
    order = shuffled[np.argsort(strata[shuffled], kind="stable")]
    codes = strata[order]
    starts = (
        np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.empty(0, int)
    )
    sizes = np.diff(np.r_[starts, len(codes)])
    position = np.arange(len(codes)) - np.repeat(starts, sizes)
    half = np.empty(len(strata), dtype=np.intp)
    half[order] = position >= np.repeat((sizes + 1) // 2, sizes)
    return half
