"""RidgeCV and RidgeCVExtraPenalty for all genes: choose the solver, put the parts together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Floats, Ints, dense
from pereggrn_data.core.baselines import means_in_one_reading
from pereggrn_data.core.errors import UsageError
from pereggrn_data.models.regression import LinearRegressions, RegressionTask, assemble_linear
from pereggrn_data.models.ridge.dual import fit_dual
from pereggrn_data.models.ridge.primal import fit_primal
from pereggrn_data.models.ridge.problem import (
    ALPHAS,
    RidgeProblem,
    RidgeSolution,
    check_errors,
    not_solvable,
)
from pereggrn_data.models.ridge.small import SmallProblem, fit_small
from pereggrn_data.models.stored_columns import StoredColumns

EXTRA_FACTORS = (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0)
"""Times the largest penalty, tried where that one was chosen (RidgeCVExtraPenalty)."""

SHARED_BY = 4
"""Targets whose features are the same are solved together from this number on."""


@dataclass(frozen=True)
class _Part:
    """Fits of some targets; `columns` None means that coefficients span all features."""

    targets: Ints
    columns: tuple[Ints, ...] | None
    coefficients: Any
    intercepts: Floats
    alphas: Floats


def fit_ridge_cv(task: RegressionTask) -> LinearRegressions:
    """Fit ridge regressions whose penalties are chosen by exact leave-one-out.

    Parameters
    ----------
    task
        Its arguments may be ``alphas`` (positive numbers).

    Returns
    -------
    LinearRegressions
        What `sklearn.linear_model.RidgeCV(alphas)` gives for each target by
        itself. A target without features, or with fewer than two
        observations to train on, gets its mean.

    Raises
    ------
    UsageError
        If the arguments cannot be used.
    InvalidDataError
        If values are so large that the equations cannot be solved.
    """
    try:
        # Of numbers that overflow, the checks say more than NumPy's warnings.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return _assemble(task, _fit_parts(task, _alphas(task)))
    except np.linalg.LinAlgError as error:
        raise not_solvable(f"{error}".strip()) from error


def fit_ridge_cv_extra_penalty(task: RegressionTask) -> LinearRegressions:
    """Fit as `fit_ridge_cv`, with larger penalties where the largest one was chosen.

    Parameters
    ----------
    task
        Its arguments may be ``alphas`` (positive numbers).
    """
    alphas = _alphas(task)
    first = fit_ridge_cv(task)
    again = np.flatnonzero(first.alphas == max(alphas))
    if again.size == 0:
        return first
    larger = tuple(max(alphas) * factor for factor in EXTRA_FACTORS)
    second = fit_ridge_cv(replace(task.subset(again), arguments={"alphas": larger}))
    chosen, intercepts = first.alphas.copy(), first.intercepts.copy()
    coefficients = first.coefficients.copy()
    chosen[again], intercepts[again] = second.alphas, second.intercepts
    if isinstance(coefficients, np.ndarray):
        part = second.coefficients
        coefficients[again] = part if isinstance(part, np.ndarray) else part.toarray()
    else:
        # The pattern of non-zeros may differ, so the rows are set in a format that allows it.
        editable = coefficients.tolil()
        editable[again] = second.coefficients
        coefficients = editable.tocsr()
    return replace(first, coefficients=coefficients, intercepts=intercepts, alphas=chosen)


def _alphas(task: RegressionTask) -> tuple[float, ...]:
    unknown = sorted(set(task.arguments) - {"alphas"})
    if unknown:
        raise UsageError(
            f"Ridge regression takes no argument {unknown[0]!r}.",
            expected="alphas",
            fix="leave it out; leave-one-out and an unpenalised intercept are always used.",
        )
    given = task.arguments.get("alphas", ALPHAS)
    alphas = tuple(given) if np.iterable(given) and not isinstance(given, str) else (given,)
    if not alphas or not all(map(_is_penalty, alphas)):
        raise UsageError(
            "The penalties of ridge regression must be positive.",
            expected="alphas: one or more positive finite numbers",
            got=repr(given),
        )
    return tuple(map(float, alphas))


def _is_penalty(value: object) -> bool:
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    return is_number and not isinstance(value, bool) and 0 < value < np.inf  # type: ignore[operator]


class _Counter:
    """Tells the task's progress how many targets are done; each solver counts its own."""

    def __init__(self, task: RegressionTask) -> None:
        self._task, self._done = task, 0.0

    def advance(self, n: float) -> None:
        self._done += n
        # Solvers add up fractions, which come out a little short.
        self._task.report(min(self._task.n_targets, int(self._done + 1e-6)))


def _fit_parts(task: RegressionTask, alphas: tuple[float, ...]) -> Iterator[_Part]:
    counter = _Counter(task)
    n, p = task.features.shape
    n_kept = np.full(task.n_targets, n)
    for j, rows in task.excluded.items():
        n_kept[j] -= rows.size
    sizes = np.array([_size(task, j) for j in range(task.n_targets)], dtype=np.intp)
    hopeless = np.flatnonzero((sizes == 0) | (n_kept < 2))
    if hopeless.size:
        yield _means(task, hopeless)
        counter.advance(hopeless.size)
    rest = np.flatnonzero((sizes > 0) & (n_kept >= 2))
    if task.allowed is None:
        if rest.size:
            own = task.own[rest]
            every = np.arange(p, dtype=np.intp)
            yield _dense_part(task, rest, own, every, alphas, counter)
        return
    if not rest.size:
        return
    alone = _alone(task, task.allowed, rest) & (sizes[rest] < n)
    small = {int(j): task.allowed[j] for j in rest[alone]}
    for columns, group in _groups(task, rest[~alone]):
        if group.size >= SHARED_BY or columns.size > n:
            where = np.full(p + 1, -1, dtype=np.intp)
            where[columns] = np.arange(columns.size)
            yield _dense_part(task, group, where[task.own[group]], columns, alphas, counter)
        else:
            small.update({int(j): task.allowed[j] for j in group})
    if small:
        x = dense(task.features)
        problem = SmallProblem(x, task.responses, alphas)
        excluded = {j: rows for j, rows in task.excluded.items() if j in small}
        for fit in fit_small(problem, small, excluded, task.jobs):
            check_errors(fit.errors)
            chosen = np.asarray(alphas)[np.argmin(fit.errors, axis=0)]
            features = tuple(small[int(j)] for j in fit.targets)
            yield _Part(fit.targets, features, fit.coefficients, fit.intercepts, chosen)
            counter.advance(fit.targets.size)


def _size(task: RegressionTask, target: int) -> int:
    if task.allowed is not None:
        return int(task.allowed[target].size)
    return int(task.features.shape[1]) - int(task.own[target] >= 0)


def _alone(task: RegressionTask, allowed: Sequence[Ints], targets: Ints) -> npt.NDArray[np.bool_]:
    """Mark targets that certainly share their features with too few others.

    Equal sets have equal sums of random numbers, and sums take much less time
    to compare than the sets of thousands of targets.
    """
    codes = np.random.default_rng(0).integers(2**63, size=task.features.shape[1:], dtype=np.uint64)
    lists = [allowed[j] for j in targets]
    lengths = np.array([columns.size for columns in lists], dtype=np.intp)
    columns, starts = np.concatenate(lists), np.cumsum(lengths) - lengths
    sums = np.add.reduceat(codes[columns], starts)
    own = task.own[targets]
    has_own = np.logical_or.reduceat(columns == np.repeat(own, lengths), starts)
    missing = (own >= 0) & ~has_own
    sums[missing] += codes[own[missing]]
    _, which, counts = np.unique(sums, return_inverse=True, return_counts=True)
    few: npt.NDArray[np.bool_] = counts[which] < SHARED_BY
    return few


def _groups(task: RegressionTask, targets: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield sets of features with the targets that have them, own columns counted in.

    In a dense network the features of two targets differ only by their own
    columns; with these counted in they are the same, and one decomposition
    serves both.
    """
    groups: dict[bytes, tuple[Ints, list[int]]] = {}
    for j in targets:
        columns = _with_own(task, int(j))
        groups.setdefault(columns.tobytes(), (columns, []))[1].append(int(j))
    for columns, members in groups.values():
        yield columns, np.array(members, dtype=np.intp)


def _with_own(task: RegressionTask, target: int) -> Ints:
    columns = task.features_of(target)
    if task.own[target] >= 0:
        columns = np.append(columns[columns != task.own[target]], task.own[target])
    return np.sort(columns)


def _dense_part(
    task: RegressionTask,
    targets: Ints,
    own: Ints,
    columns: Ints,
    alphas: tuple[float, ...],
    counter: _Counter,
) -> _Part:
    everything = columns.size == task.features.shape[1]
    features: Any = task.features if everything else task.features[:, columns]  # type: ignore[index]
    part = task.subset(targets)
    problem = RidgeProblem(features, part.responses, own, part.excluded, alphas, counter.advance)
    n, p, _ = problem.shape
    fit: RidgeSolution = fit_dual(problem) if n <= p else fit_primal(problem)
    if everything and task.allowed is None:
        return _Part(targets, None, fit.coefficients, fit.intercepts, fit.alphas)
    chosen = tuple(columns[columns != task.own[j]] for j in targets)
    where = tuple(np.searchsorted(columns, c) for c in chosen)
    kept = [fit.coefficients[i, w] for i, w in enumerate(where)]
    return _Part(targets, chosen, kept, fit.intercepts, fit.alphas)


def _means(task: RegressionTask, targets: Ints) -> _Part:
    values = _kept_means(task.subset(targets))
    empty = tuple(np.empty(0, dtype=np.intp) for _ in targets)
    nothing: Sequence[Floats] = [np.empty(0) for _ in targets]
    return _Part(targets, empty, nothing, values, np.full(targets.size, np.nan))


def _kept_means(task: RegressionTask) -> Floats:
    if isinstance(task.responses, StoredColumns):
        return means_in_one_reading(task.responses.chosen(), *task.excluded_pairs())
    y = dense(task.responses)
    values: Floats = y.mean(axis=0)
    for j in task.excluded:
        values[j] = y[task.rows_of(j), j].mean()
    return values


def _assemble(task: RegressionTask, parts: Iterator[_Part]) -> LinearRegressions:
    n_targets, p = task.n_targets, task.features.shape[1]
    intercepts, alphas = np.empty(n_targets), np.full(n_targets, np.nan)
    full: Floats | None = None
    columns: list[Ints] = [np.empty(0, dtype=np.intp)] * n_targets
    values: list[Floats] = [np.empty(0)] * n_targets
    for part in parts:
        intercepts[part.targets], alphas[part.targets] = part.intercepts, part.alphas
        if part.columns is None:
            full = (
                part.coefficients if part.targets.size == n_targets else np.zeros((n_targets, p))
            )
            if part.targets.size < n_targets:
                full[part.targets] = part.coefficients
        else:
            for i, j in enumerate(part.targets):
                columns[j], values[j] = part.columns[i], part.coefficients[i]
    if full is not None:
        return LinearRegressions(full, intercepts, alphas)
    return assemble_linear(columns, values, intercepts, alphas, p)
