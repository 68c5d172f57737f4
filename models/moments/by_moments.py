r"""Fit linear models by sums over rows, which are gone through in order and not held.

Some methods see the rows that they learn from only through their number, the means, and the
sums of squares and products of features and responses: of all rows, or of each of the folds
by which they choose a penalty. One reading gathers these for all targets. A few rows are then
made up that have the same sums, with weights that have them stand for as many rows, and
scikit-learn's own estimator is fitted to them: to the same equations, so that what comes out
is what comes of the rows themselves, but for rounding.

With G the centred products of features and q those with a response, R is a factor of
G = RᵀR (Cholesky, by pivots, as features may be collinear) and serves all targets. The rows of
[R u; 0 v] with Rᵀu = q and v² = yᵀy - uᵀu have the right products. Multiplied by orthonormal
columns that are orthogonal to a column of ones, they keep them and have means of 0, to which
the true means are added.

A target that leaves out rows has other folds, as folds divide the rows that are left: the sums
of each fold are corrected by the rows that it lacks or has besides. Where these are more than
the fold has in the end, or where next to nothing of a feature's spread remains, the fold's own
rows are summed instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.resources import resources
from pereggrn_data.models.estimators import (
    FitGroup,
    fit_groups,
    fit_linear,
    linear_regressions,
    may_share_gram,
)
from pereggrn_data.models.moments.stand_ins import StandIns
from pereggrn_data.models.regression import LinearRegressions, RegressionTask
from pereggrn_data.models.stored_columns import StoredColumns
from pereggrn_data.models.sums import Sums
from pereggrn_data.models.target_fits import Make, try_arguments

FOLDS = 5
"""Of methods that choose a penalty by cross-validation, as scikit-learn has it."""

TARGETS = 1024
"""Targets whose responses are made up at once, at most."""

LEAST_SPREAD = 1e-5
"""Sums of squares that shrink to less than this share of their own are summed afresh."""


def bytes_by_moments(p: int, n_targets: int, *, folds: int) -> int:
    """Return the least memory that a fit takes whose rows are not in memory.

    Parameters
    ----------
    p, n_targets
        Numbers of features and of targets.
    folds
        By which the method chooses a penalty; 1 if it does not.
    """
    return 8 * ((folds + 1) * p * (p + n_targets) + 4 * folds * p * p + 2 * p * n_targets)


def fit_by_moments(
    task: RegressionTask, make: Make, *, folds: int, shares_gram: bool = False
) -> LinearRegressions:
    """Fit a linear scikit-learn model to each target, in memory or not.

    What is returned and raised is that of `pereggrn_data.models.estimators.fit_linear`, which
    fits what is in memory.

    Parameters
    ----------
    task, shares_gram
        As there.
    make
        Makes the estimator. It must take weights, look at the rows only by their sums, and
        divide them into folds in their order.
    folds
        How many of them; 1 for estimators that have none.
    """
    x, y = task.features, task.responses
    if not isinstance(x, StoredColumns):
        return fit_linear(task, make, shares_gram=shares_gram)
    try_arguments(task, make)
    n, p = x.shape
    if n <= _made_up(p, folds):
        every = np.arange(n, dtype=np.intp)
        features, responses = _read(x, y, every, np.arange(task.n_targets, dtype=np.intp))
        in_memory = replace(task, features=features, responses=responses)
        return fit_linear(in_memory, make, shares_gram=shares_gram)
    shares_gram = shares_gram and may_share_gram(task)
    batches = _Batches(task, x, y, folds)
    return linear_regressions(
        task, fit_groups(task, make, batches.each(), linear=True, shares_gram=shares_gram)
    )


def _made_up(p: int, folds: int) -> int:
    """Return how many rows are made up; fewer rows than that are fitted as they are."""
    return folds * (p + 2)


def _bounds(n: int, folds: int) -> Ints:
    """Return where folds of rows begin and end, as scikit-learn's ``KFold`` divides them."""
    sizes = np.full(folds, n // folds, dtype=np.intp)
    sizes[: n % folds] += 1
    return np.concatenate([[0], np.cumsum(sizes)])


def _numbers(n: int, folds: int, without: Ints | None = None) -> Any:
    """Return (n,) the fold of each row, -1 for those that are left out."""
    kept = n if without is None else n - without.size
    numbers = np.repeat(np.arange(folds, dtype=np.int16), np.diff(_bounds(kept, folds)))
    if without is None:
        return numbers
    found = np.full(n, -1, dtype=np.int16)
    found[np.delete(np.arange(n), without)] = numbers
    return found


def _parts(x: StoredColumns, rows: Ints) -> Iterator[tuple[Ints, Any, Floats]]:
    """Go once through some rows, in order: yield their positions, all values, and features."""
    whole = rows.size == x.shape[0]
    some = x if whole else StoredColumns(x.matrix[rows], x.columns)
    for part, values in some.each_part():
        at = rows[part]
        yield at, values, x.take(at, values)


def _read(x: StoredColumns, y: StoredColumns, rows: Ints, targets: Ints) -> tuple[Floats, Floats]:
    """Return the features and some responses of rows, which are in order."""
    features, responses = np.empty((rows.size, x.shape[1])), np.empty((rows.size, targets.size))
    start = 0
    chosen = StoredColumns(y.matrix, y.columns[targets])
    for at, values, found in _parts(x, rows):
        here = slice(start, start + at.size)
        features[here], responses[here] = found, chosen.take(at, values)
        start += at.size
    return features, responses


@dataclass
class _Apart:
    """Targets that leave out the same rows, and the sums of their folds.

    `plus` and `minus` are, for each fold, the rows that are to be added and taken away.
    """

    targets: Ints
    without: Ints
    sums: list[Sums]
    plus: list[Ints]
    minus: list[Ints]

    def add(self, at: Ints, features: Floats, responses: Floats) -> None:
        """Add what is wanted of some rows, or take it away."""
        for total, plus, minus in zip(self.sums, self.plus, self.minus, strict=True):
            for sign, wanted in ((1, plus), (-1, minus)):
                first, last = np.searchsorted(wanted, [at[0], at[-1] + 1])
                inside = np.searchsorted(at, wanted[first:last])
                total.add(features[inside], responses[inside], sign)


class _Batches:
    """What targets are fitted to, gathered by one reading and one more for each batch."""

    def __init__(
        self, task: RegressionTask, x: StoredColumns, y: StoredColumns, folds: int
    ) -> None:
        self._task, self._x, self._y, self._folds = task, x, y, folds
        self._n, self._p = x.shape

    def each(self) -> Iterator[list[FitGroup]]:
        """Yield targets with what they are fitted to, as many as fit into memory at once."""
        apart = self._apart()
        of_all = np.arange(self._task.n_targets, dtype=np.intp)
        leaving = np.array([j for j, r in self._task.excluded.items() if r.size], dtype=np.intp)
        shared = np.setdiff1d(of_all, leaving)
        whole = self._summed()
        if shared.size:
            yield from self._stand_for(whole, shared)
        most = max(1, resources().memory_bytes // 16 // (8 * self._folds * max(self._p, 1) ** 2))
        for start in range(0, len(apart), most):
            yield self._corrected(whole, apart[start : start + most])

    def _apart(self) -> list[tuple[Ints, Ints]]:
        """Return targets that leave out the same rows, with these."""
        groups: dict[bytes, tuple[list[int], Ints]] = {}
        for j, rows in self._task.excluded.items():
            # Of all blocks: sums that are made in another order have other last digits, by
            # which nobody would know a target that another process has fitted.
            if rows.size:
                ordered = np.sort(rows)
                groups.setdefault(ordered.tobytes(), ([], ordered))[0].append(j)
        return [(np.array(targets, dtype=np.intp), rows) for targets, rows in groups.values()]

    def _summed(self) -> list[Sums]:
        """Return the sums of each fold of all rows, for all targets."""
        bounds = _bounds(self._n, self._folds)
        made = [Sums(self._p, self._task.n_targets) for _ in range(self._folds)]
        for at, values, features in _parts(self._x, np.arange(self._n, dtype=np.intp)):
            responses = self._y.take(at, values)
            for k, total in enumerate(made):
                first, last = np.searchsorted(at, bounds[k : k + 2])
                total.add(features[first:last], responses[first:last])
        return made

    def _stand_for(self, sums: list[Sums], shared: Ints) -> Iterator[list[FitGroup]]:
        """Yield the targets that all rows train."""
        stand_ins = [StandIns(fold) for fold in sums]
        room = resources().memory_bytes // 32 // (8 * _made_up(self._p, self._folds))
        step = min(max(1, room), TARGETS)
        for start in range(0, shared.size, step):
            targets = shared[start : start + step]
            yield [self._group(targets, stand_ins, targets)]

    def _group(self, targets: Ints, stand_ins: list[StandIns], columns: Ints) -> FitGroup:
        """Return targets that are fitted to rows that were made up for each fold."""
        one = len(stand_ins) == 1
        features = [fold.features for fold in stand_ins]
        responses = [fold.responses(columns) for fold in stand_ins]
        m = self._p + 2
        every = np.arange(m * len(stand_ins))
        tests = every.reshape(-1, m)
        folds = [(np.setdiff1d(every, test), test) for test in tests]
        return self._of(
            targets,
            features[0] if one else np.concatenate(features),
            responses[0] if one else np.concatenate(responses),
            np.repeat([fold.weight for fold in stand_ins], m),
            {} if one else {"cv": folds},
        )

    def _of(
        self,
        targets: Ints,
        features: Floats,
        responses: Floats,
        weights: Floats | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> FitGroup:
        task = replace(
            self._task.subset(targets), features=features, responses=responses, excluded={}
        )
        return FitGroup(targets, task, weights, settings or {})

    def _corrected(self, whole: list[Sums], apart: list[tuple[Ints, Ints]]) -> list[FitGroup]:
        """Return some targets that leave out rows, by the sums of the rows they have."""
        made: list[FitGroup] = []
        waiting: list[_Apart] = []
        for targets, without in apart:
            if self._n - without.size <= _made_up(self._p, self._folds):
                kept = np.delete(np.arange(self._n, dtype=np.intp), without)
                made.append(self._of(targets, *_read(self._x, self._y, kept, targets)))
            else:
                waiting.append(self._changes(whole, targets, without))
        self._go_through(waiting)
        self._go_through([again for one in waiting if (again := self._afresh(whole, one))])
        while waiting:
            one = waiting.pop(0)  # and no longer in memory
            columns = np.arange(one.targets.size)
            made.append(self._group(one.targets, [StandIns(fold) for fold in one.sums], columns))
        return made

    def _changes(self, whole: list[Sums], targets: Ints, without: Ints) -> _Apart:
        before = _numbers(self._n, self._folds)
        after = _numbers(self._n, self._folds, without)
        made = _Apart(targets, without, [], [], [])
        for k in range(self._folds):
            plus = np.flatnonzero((after == k) & (before != k))
            minus = np.flatnonzero((before == k) & (after != k))
            own = np.flatnonzero(after == k)
            if plus.size + minus.size > own.size:
                total, plus, minus = Sums(self._p, targets.size), own, minus[:0]
            else:
                total = whole[k].of_targets(targets)
            made.sums.append(total)
            made.plus.append(plus)
            made.minus.append(minus)
        return made

    def _afresh(self, whole: list[Sums], one: _Apart) -> _Apart | None:
        """Begin again with the folds of which too little is left to be accurate."""
        again = _Apart(one.targets, one.without, [], [], [])
        after = _numbers(self._n, self._folds, one.without)
        for k, (total, minus) in enumerate(zip(one.sums, one.minus, strict=True)):
            if minus.size and total.lost(whole[k], one.targets, LEAST_SPREAD):
                one.sums[k] = Sums(self._p, one.targets.size)
                again.sums.append(one.sums[k])
                again.plus.append(np.flatnonzero(after == k))
                again.minus.append(minus[:0])
        return again if again.sums else None

    def _go_through(self, groups: list[_Apart]) -> None:
        """Read the rows by which groups differ, once, and correct their sums."""
        wanted = [rows for group in groups for rows in (*group.plus, *group.minus)]
        if not wanted:
            return
        some = np.unique(np.concatenate(wanted)).astype(np.intp)
        for at, values, features in _parts(self._x, some):
            for group in groups:
                responses = StoredColumns(self._y.matrix, self._y.columns[group.targets])
                group.add(at, features, responses.take(at, values))
