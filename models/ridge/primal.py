r"""Exact ridge regression of all targets at once, where observations outnumber features.

With X centred and XᵀX = V Λ Vᵀ, let T = X V and W = Tᵀy. The fitted values
are T (Λ + alpha)⁻¹ W and the leverages hᵢ = 1/n + Σₖ Tᵢₖ² / (λₖ + alpha); residual /
(1 - hᵢ) is the leave-one-out residual. T is computed once per block of rows
and serves every penalty and target.

- Leaving out a target's own column j turns M = (XᵀX + alpha)⁻¹ into
  M - mⱼmⱼᵀ / Mⱼⱼ. With z = X mⱼ and β the coefficients, this adds
  z βⱼ / Mⱼⱼ to the residuals and takes z² / Mⱼⱼ from the leverages.
- Leaving out the rows R adds H[:, R] (I - H[R, R])⁻¹ times the residuals of R
  to the residuals, and the like to the leverages, H being the hat matrix.
  Where R is large, a decomposition of its own for the remaining rows is cheaper: of
  XᵀX without the rows of R.

Rows are gone through in order, a few at a time, as often as there are blocks of targets and
batches of decompositions, so that neither features nor responses need be in memory.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.core.resources import resources
from pereggrn_data.models.ridge.corrections import (
    Basis,
    corrections_for,
    excluded_rows,
    rotated_coefficients,
    squared_residuals,
)
from pereggrn_data.models.ridge.problem import RidgeProblem, RidgeSolution, solution
from pereggrn_data.models.stored_columns import StoredColumns, columns_of
from pereggrn_data.models.sums import TARGETS, Sums

ROWS = 4096
"""Rows of what is in memory that are worked on at once."""

EXCLUDED_ROWS = 4096
"""Rows that the targets worked on at once leave out together, at most."""


def bytes_in_blocks(p: int, n_targets: int) -> int:
    """Return the least memory that a fit takes whose rows are not in memory.

    Parameters
    ----------
    p, n_targets
        Numbers of features and of targets.
    """
    return 8 * (4 * p * p + 4 * p * n_targets)


def fit_primal(problem: RidgeProblem) -> RidgeSolution:
    """Fit all targets in the primal.

    Parameters
    ----------
    problem
        At least two observations must train each target. Features may be
        float32, responses may be CSR, both may be not in memory: only blocks of
        rows become float64.

    Returns
    -------
    RidgeSolution
        As `sklearn.linear_model.RidgeCV` fitted to each target by itself.

    Notes
    -----
    Takes O(np² + p³) once and O(np) per target and penalty; O(np² + p³) again for each set of
    rows that is left out and larger than a part of p.
    """
    _, p, n_targets = problem.shape
    groups = _apart(problem)
    apart = np.array(sorted(j for group in groups for j in group.targets), dtype=np.intp)
    shared = np.setdiff1d(np.arange(n_targets, dtype=np.intp), apart)
    coefficients, intercepts = np.zeros((n_targets, p)), np.zeros(n_targets)
    errors = np.zeros((len(problem.alphas), n_targets))
    found = RidgeSolution(coefficients, intercepts, np.empty(0), errors)
    whole = _summed(problem)
    if shared.size:
        basis = Basis.of(whole, problem.alphas, shared if apart.size else slice(None))
        whole = whole.of_targets(apart)  # and no longer those of all targets: they are large
        _fit_shared(_of_targets(problem, shared), basis, shared, found)
        del basis
    most = _decompositions(problem)
    for start in range(0, len(groups), most):
        _fit_apart(problem, groups[start : start + most], whole, apart, found)
    having = np.flatnonzero(problem.own >= 0)
    coefficients[having, problem.own[having]] = 0.0
    return solution(problem, coefficients, intercepts, errors)


def _summed(problem: RidgeProblem) -> Sums:
    """Return the sums of all rows, in one reading."""
    _, p, n_targets = problem.shape
    made, every = Sums(p, n_targets), np.arange(n_targets, dtype=np.intp)
    # Responses of all targets are as many values as those of some in more rows, elsewhere.
    step = max(1, min(ROWS, ROWS * TARGETS // max(1, n_targets)))
    for _, features, responses in problem.each_part(step):
        made.add(features, responses(every))
    return made


@dataclass(frozen=True)
class _Group:
    """Targets that leave out the same rows, so many that they get a decomposition."""

    targets: Ints
    rows: Ints

    def inside(self, part: slice) -> Ints:
        """Return which rows of a part are left out."""
        first, last = np.searchsorted(self.rows, [part.start, part.stop])
        inside: Ints = self.rows[first:last] - part.start
        return inside

    def kept(self, part: slice) -> Ints:
        """Return which rows of a part train."""
        return np.delete(np.arange(part.stop - part.start), self.inside(part))


def _apart(problem: RidgeProblem) -> list[_Group]:
    n, p, _ = problem.shape
    afresh = defaultdict(list)
    for j, rows in problem.excluded.items():
        # Operations for the rows' part of the hat matrix, and for a decomposition.
        update = 2 * len(problem.alphas) * n * rows.size * (p + rows.size)
        if update > (2 * n + min(rows.size, n - rows.size)) * p**2 + 10 * p**3:
            afresh[rows.tobytes()].append(j)
    return [
        _Group(np.array(group, dtype=np.intp), np.sort(problem.excluded[group[0]]))
        for group in afresh.values()
    ]


def _of_targets(
    problem: RidgeProblem, targets: Ints, *, without_rows: bool = False
) -> RidgeProblem:
    if targets.size == problem.own.size and not without_rows:
        return problem
    back = {int(j): i for i, j in enumerate(targets)}
    excluded = (
        {} if without_rows else {back[j]: r for j, r in problem.excluded.items() if j in back}
    )
    return replace(
        problem,
        responses=columns_of(problem.responses, targets),
        own=problem.own[targets],
        excluded=excluded,
    )


def _fit_shared(problem: RidgeProblem, basis: Basis, targets: Ints, found: RidgeSolution) -> None:
    """Fit all targets of a problem by one decomposition; write what is found of them."""
    n = problem.features.shape[0]
    n_kept = problem.n_kept()
    for block in _blocks(problem):
        out = excluded_rows(problem, basis, block)
        special = [corrections_for(problem, basis, a, block, out) for a in problem.alphas]
        errors = np.zeros((len(special), block.size))
        for rows, features, responses in problem.each_part(ROWS):
            t = basis.rotated(features)
            y = responses(block) - basis.y_mean[block]
            for a, one in enumerate(special):
                residuals = y - t @ (one.d[:, None] * basis.products[:, block])
                errors[a] += squared_residuals(t, residuals, one, out, rows, n)
            problem.advance(block.size * (rows.stop - rows.start) / n)
        errors /= n_kept[block]
        found.errors[:, targets[block]] = errors
        best = np.argmin(errors, axis=0)
        shift = np.zeros(block.size)
        for a, one in enumerate(special):
            chosen = np.flatnonzero(best == a)
            rotated = rotated_coefficients(basis, one, block, out)
            found.coefficients[targets[block[chosen]]] = (basis.vectors @ rotated[:, chosen]).T
            for k, part in zip(out.targets, out.parts, strict=True):
                if best[k] == a:
                    # What the rows left out would add to the mean residual.
                    residuals = out.y[part] - out.t[part] @ rotated[:, k]
                    shift[k] = residuals.sum() / n_kept[block[k]]
        found.intercepts[targets[block]] = (
            basis.y_mean[block] - found.coefficients[targets[block]] @ basis.x_mean - shift
        )
        del out, special, one, rotated  # before those of the next block are made


def _fit_apart(
    problem: RidgeProblem,
    groups: list[_Group],
    whole: Sums,
    of_whole: Ints,
    found: RidgeSolution,
) -> None:
    """Fit targets that leave out many rows, each group by a decomposition of its own.

    `whole` are the sums of all rows, for the targets `of_whole`.
    """
    n, p, _ = problem.shape
    # Of the largest eigenvalue, more than enough to judge what rounding does to the others.
    largest = float(np.trace(whole.gram))
    # Rows left out are taken away from all, or those kept are summed, if they are fewer.
    signs = [-1 if group.rows.size <= n // 2 else 1 for group in groups]
    sums = [
        whole.of_targets(np.searchsorted(of_whole, group.targets))
        if sign < 0
        else Sums(p, group.targets.size)
        for group, sign in zip(groups, signs, strict=True)
    ]
    for rows, features, responses in problem.each_part(ROWS):
        for group, sign, total in zip(groups, signs, sums, strict=True):
            at = group.inside(rows) if sign < 0 else group.kept(rows)
            if at.size:
                total.add(features[at], responses(group.targets)[at], sign)
    fits = []
    for group, sign in zip(groups, signs, strict=True):
        total = sums.pop(0)  # and no longer in memory
        basis = Basis.of(total, problem.alphas, largest=largest if sign < 0 else 0.0)
        fits.append(_Apart.of(problem, group, basis))
    for rows, features, responses in problem.each_part(ROWS):
        for group, fit in zip(groups, fits, strict=True):
            errors = fit.squared_residuals(features, responses(group.targets), group.inside(rows))
            found.errors[:, group.targets] += errors / fit.n
            problem.advance(group.targets.size * (rows.stop - rows.start) / n)
    for group, fit in zip(groups, fits, strict=True):
        best = np.argmin(found.errors[:, group.targets], axis=0)
        rotated = fit.weights[best, :, np.arange(best.size)]
        coefficients = rotated @ fit.basis.vectors.T
        found.coefficients[group.targets] = coefficients
        found.intercepts[group.targets] = fit.basis.y_mean - coefficients @ fit.basis.x_mean


@dataclass(frozen=True)
class _Apart:
    """The fits of a group by its own decomposition, for all penalties.

    `d` (features x penalties) are the reciprocals of the eigenvalues plus the penalties,
    `weights` (penalties x features x targets) are coefficients in the basis, and `own`
    (likewise) give z over the root of Mⱼⱼ, or 0 where no own column is left out; `n` is how
    many rows train.
    """

    basis: Basis
    d: Floats
    weights: Floats
    own: Floats
    n: int

    @classmethod
    def of(cls, problem: RidgeProblem, group: _Group, basis: Basis) -> _Apart:
        part = _of_targets(problem, group.targets, without_rows=True)
        block = np.arange(group.targets.size)
        none = excluded_rows(part, basis, block)
        special = [corrections_for(part, basis, a, block, none) for a in part.alphas]
        own = np.zeros((len(special), basis.x_mean.size, block.size))
        for a, one in enumerate(special):
            own[a][:, one.own.targets] = one.own.vectors / np.sqrt(one.own.pivot)
        return cls(
            basis,
            np.stack([one.d for one in special], axis=1),
            np.stack([rotated_coefficients(basis, one, block, none) for one in special]),
            own,
            problem.shape[0] - group.rows.size,
        )

    def squared_residuals(self, features: Floats, responses: Floats, out: Ints) -> Floats:
        """Return squared leave-one-out residuals, summed over rows, penalties x targets.

        Parameters
        ----------
        features, responses
            Of some rows.
        out
            Which of them do not train.
        """
        t = self.basis.rotated(features)
        remainder = 1.0 - 1.0 / self.n - (t * t) @ self.d
        squares = np.empty((self.d.shape[1], responses.shape[1]))
        for k, y in enumerate((responses - self.basis.y_mean).T):
            residuals = y[:, None] - t @ self.weights[:, :, k].T
            left = remainder + (t @ self.own[:, :, k].T) ** 2
            residuals[out], left[out] = 0.0, 1.0
            squares[:, k] = np.sum((residuals / left) ** 2, axis=0)
        return squares


def _blocks(problem: RidgeProblem) -> list[Ints]:
    """Cut the targets into blocks that are neither too many nor leave out too many rows."""
    blocks: list[list[int]] = [[]]
    targets, most = _most_at_once(problem)
    room = most
    for j in range(problem.own.size):
        size = problem.excluded[j].size if j in problem.excluded else 0
        if blocks[-1] and (len(blocks[-1]) == targets or size > room):
            blocks.append([])
            room = most
        blocks[-1].append(j)
        room -= size
    return [np.array(block, dtype=np.intp) for block in blocks]


def _most_at_once(problem: RidgeProblem) -> tuple[int, int]:
    """Return how many targets, and how many rows that they leave out, are worked on at once."""
    if not isinstance(problem.features, StoredColumns):
        return TARGETS, EXCLUDED_ROWS
    p, genes = problem.shape[1], problem.features.matrix.shape[1]
    values = resources().memory_bytes // 24 // 8
    a_target = len(problem.alphas) * p
    return (
        min(max(values // a_target, 1), TARGETS),
        min(max(values // (2 * p + genes), 1), EXCLUDED_ROWS),
    )


def _decompositions(problem: RidgeProblem) -> int:
    """Return how many groups are fitted in the same readings."""
    if not isinstance(problem.features, StoredColumns):
        return 1  # readings cost nothing
    return max(1, resources().memory_bytes // 8 // (8 * problem.shape[1] ** 2))
