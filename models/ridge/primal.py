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
  Where R is large, fitting the remaining rows afresh is cheaper.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints, column_means, dense
from pereggrn_data.models.ridge.corrections import (
    Basis,
    corrections_for,
    excluded_rows,
    rotated_coefficients,
    squared_residuals,
)
from pereggrn_data.models.ridge.problem import (
    RidgeProblem,
    RidgeSolution,
    check_condition,
    solution,
    target_blocks,
)
from pereggrn_data.models.ridge.shared_decompositions import decomposed

ROWS = 4096
"""Rows that are worked on at once."""
TARGETS = 2048
"""Targets that are worked on at once, at most."""
EXCLUDED_ROWS = 4096
"""Rows that the targets worked on at once leave out together, at most."""


def fit_primal(problem: RidgeProblem) -> RidgeSolution:
    """Fit all targets in the primal.

    Parameters
    ----------
    problem
        At least two observations must train each target. Features may be
        float32, responses may be CSR: only blocks of rows become float64.

    Returns
    -------
    RidgeSolution
        As `sklearn.linear_model.RidgeCV` fitted to each target by itself.

    Notes
    -----
    Takes O(np² + p³) once and O(np) per target and penalty.
    """
    n, p, n_targets = problem.shape
    afresh = defaultdict(list)
    for j, rows in problem.excluded.items():
        # Operations for the rows' part of the hat matrix, and for a decomposition.
        update = 2 * len(problem.alphas) * n * rows.size * (p + rows.size)
        if update > 4 * n * p**2 + 10 * p**3:
            afresh[rows.tobytes()].append(j)
    apart = np.array(sorted(j for group in afresh.values() for j in group), dtype=np.intp)
    shared = np.setdiff1d(np.arange(n_targets, dtype=np.intp), apart)
    coefficients = np.zeros((n_targets, p))
    errors = np.zeros((len(problem.alphas), n_targets))
    if shared.size:
        coefficients[shared], errors[:, shared] = _fit_shared(_of_targets(problem, shared))
    for group in afresh.values():
        kept = np.ones(problem.features.shape[0], dtype=bool)
        kept[problem.excluded[group[0]]] = False
        part = _of_targets(problem, np.array(group, dtype=np.intp), without_rows=True)
        part = replace(part, features=part.features[kept], responses=part.responses[kept])
        coefficients[group], errors[:, group] = _fit_shared(part)
    return solution(problem, coefficients, errors)


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
        responses=problem.responses[:, targets],
        own=problem.own[targets],
        excluded=excluded,
    )


def _fit_shared(problem: RidgeProblem) -> tuple[Floats, Floats]:
    """Return coefficients (targets x p) and errors (penalties x targets)."""
    n, p, n_targets = problem.shape
    basis = _basis(problem)
    errors = np.zeros((len(problem.alphas), n_targets))
    coefficients = np.empty((n_targets, p))
    for block in _blocks(problem):
        out = excluded_rows(problem, basis, block)
        special = [corrections_for(problem, basis, a, block, out) for a in problem.alphas]
        for start in range(0, n, ROWS):
            rows = slice(start, min(start + ROWS, n))
            t = basis.rotated(problem, rows)
            y = dense(problem.responses, rows, block) - basis.y_mean[block]
            for a, one in enumerate(special):
                residuals = y - t @ (one.d[:, None] * basis.products[:, block])
                errors[a, block] += squared_residuals(t, residuals, one, out, rows, n)
            problem.advance(block.size * (rows.stop - rows.start) / n)
        errors[:, block] /= problem.n_kept()[block]
        best = np.argmin(errors[:, block], axis=0)
        for a, one in enumerate(special):
            chosen = np.flatnonzero(best == a)
            rotated = rotated_coefficients(basis, one, block, out)
            coefficients[block[chosen]] = (basis.vectors @ rotated[:, chosen]).T
    having = np.flatnonzero(problem.own >= 0)
    coefficients[having, problem.own[having]] = 0.0
    return coefficients, errors


def _blocks(problem: RidgeProblem) -> list[Ints]:
    """Cut the targets into blocks that are neither too many nor leave out too many rows."""
    blocks: list[list[int]] = [[]]
    room = EXCLUDED_ROWS
    for j in range(problem.own.size):
        size = problem.excluded[j].size if j in problem.excluded else 0
        if blocks[-1] and (len(blocks[-1]) == TARGETS or size > room):
            blocks.append([])
            room = EXCLUDED_ROWS
        blocks[-1].append(j)
        room -= size
    return [np.array(block, dtype=np.intp) for block in blocks]


def _basis(problem: RidgeProblem) -> Basis:
    n, p, n_targets = problem.shape
    x_mean = column_means(problem.features)
    y_mean = column_means(problem.responses)
    gram = np.zeros((p, p))
    products = np.zeros((p, n_targets))
    for start in range(0, n, ROWS):
        rows = slice(start, min(start + ROWS, n))
        x = dense(problem.features, rows) - x_mean
        gram += x.T @ x
        for block in target_blocks(n_targets, TARGETS):
            y = dense(problem.responses, rows, block) - y_mean[block]
            products[:, block] += x.T @ y
    values, vectors = decomposed(gram)
    check_condition(values, problem.alphas)
    products = vectors.T @ products
    return Basis(vectors, np.maximum(values, 0.0), x_mean, y_mean, products)
