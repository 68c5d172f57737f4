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
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from pereggrn_data.models.inputs import Float64Array, IntArray, column_means, dense
from pereggrn_data.models.ridge_problem import RidgeProblem, RidgeSolution, solution, target_blocks

ROWS = 4096
"""Rows that are worked on at once."""
TARGETS = 2048
"""Targets that are worked on at once."""


@dataclass(frozen=True)
class _Basis:
    """What all targets share: eigenvectors, eigenvalues, means, and Tᵀy."""

    vectors: Float64Array
    values: Float64Array
    x_mean: Float64Array
    y_mean: Float64Array
    products: Float64Array

    def rotated(self, problem: RidgeProblem, rows: slice | IntArray) -> Float64Array:
        """Return T for some rows."""
        centred = dense(problem.features, rows) - self.x_mean
        return np.asarray(centred @ self.vectors, dtype=np.float64)


@dataclass(frozen=True)
class _OwnColumn:
    """Leaving out the own columns of some targets, for one penalty.

    `vectors` are rows of V over the eigenvalues; T @ vectors gives z.
    """

    targets: IntArray
    vectors: Float64Array
    pivot: Float64Array
    step: Float64Array


@dataclass(frozen=True)
class _LeftOutRows:
    """Leaving out the rows of one target, for one penalty.

    `half` turns T into the hat matrix's columns of these rows, up to 1/n.
    """

    target: int
    rows: IntArray
    half: Float64Array
    solved: Float64Array
    inverse: Float64Array


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
    _, p, n_targets = problem.shape
    afresh = defaultdict(list)
    for j, rows in problem.excluded.items():
        if rows.size * len(problem.alphas) > p:
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
    problem: RidgeProblem, targets: IntArray, *, without_rows: bool = False
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


def _fit_shared(problem: RidgeProblem) -> tuple[Float64Array, Float64Array]:
    """Return coefficients (targets x p) and errors (penalties x targets)."""
    n, p, n_targets = problem.shape
    basis = _basis(problem)
    errors = np.zeros((len(problem.alphas), n_targets))
    scaled = [1.0 / (basis.values + alpha) for alpha in problem.alphas]
    for block in target_blocks(n_targets, TARGETS):
        own = [_own_column(problem, basis, d, block) for d in scaled]
        left_out = [
            _left_out(problem, basis, d, block, o) for d, o in zip(scaled, own, strict=True)
        ]
        for start in range(0, n, ROWS):
            rows = slice(start, min(start + ROWS, n))
            t = basis.rotated(problem, rows)
            y = dense(problem.responses, rows, block) - basis.y_mean[block]
            squared = t * t
            for a, d in enumerate(scaled):
                residuals = y - t @ (d[:, None] * basis.products[:, block])
                leverages = squared @ d + 1.0 / n
                errors[a, block] += _squares(t, residuals, leverages, own[a], left_out[a], rows, n)
    errors /= problem.n_kept()
    best = np.argmin(errors, axis=0) if n_targets else np.empty(0, dtype=np.intp)
    coefficients = np.empty((n_targets, p))
    for a, d in enumerate(scaled):
        chosen = np.flatnonzero(best == a)
        coefficients[chosen] = _coefficients(problem, basis, d, chosen)
    return coefficients, errors


def _basis(problem: RidgeProblem) -> _Basis:
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
    values, vectors = scipy.linalg.eigh(gram, overwrite_a=True, check_finite=False)
    products = vectors.T @ products
    return _Basis(vectors, np.maximum(values, 0.0), x_mean, y_mean, products)


def _own_column(
    problem: RidgeProblem, basis: _Basis, d: Float64Array, block: IntArray
) -> _OwnColumn:
    targets = np.flatnonzero(problem.own[block] >= 0)
    v = basis.vectors[problem.own[block][targets]]
    vectors = v * d
    pivot = np.einsum("jk,jk->j", v, vectors)
    coefficient = np.einsum("jk,kj->j", vectors, basis.products[:, block[targets]])
    return _OwnColumn(targets, np.ascontiguousarray(vectors.T), pivot, coefficient / pivot)


def _left_out(
    problem: RidgeProblem, basis: _Basis, d: Float64Array, block: IntArray, own: _OwnColumn
) -> list[_LeftOutRows]:
    n = problem.shape[0]
    where = {int(k): i for i, k in enumerate(own.targets)}
    found = []
    for k, j in enumerate(block):
        if int(j) not in problem.excluded:
            continue
        rows = problem.excluded[int(j)]
        t = basis.rotated(problem, rows)
        half = (t * d).T
        y = dense(problem.responses, rows, [int(j)])[:, 0] - basis.y_mean[j]
        residuals = y - t @ (d * basis.products[:, j])
        if k in where:
            i = where[k]
            z = t @ own.vectors[:, i]
            half = half - np.outer(own.vectors[:, i], z / own.pivot[i])
            residuals = residuals + z * own.step[i]
        hat = t @ half + 1.0 / n
        inverse: Float64Array = np.asarray(np.linalg.inv(np.eye(rows.size) - hat), np.float64)
        found.append(_LeftOutRows(k, rows, half, inverse @ residuals, inverse))
    return found


def _squares(
    t: Float64Array,
    residuals: Float64Array,
    leverages: Float64Array,
    own: _OwnColumn,
    left_out: list[_LeftOutRows],
    rows: slice,
    n: int,
) -> Float64Array:
    """Return the squared leave-one-out residuals of a block of rows, summed per target."""
    remainder = 1.0 - leverages
    z = t @ own.vectors
    own_residuals = residuals[:, own.targets] + z * own.step
    own_remainder = remainder[:, None] + z * z / own.pivot
    squares: Float64Array = np.einsum("ij,ij,i->j", residuals, residuals, remainder**-2.0)
    squares[own.targets] = np.sum((own_residuals / own_remainder) ** 2, axis=0)
    where = {int(k): i for i, k in enumerate(own.targets)}
    for item in left_out:
        k = item.target
        r = own_residuals[:, where[k]] if k in where else residuals[:, k]
        q = own_remainder[:, where[k]] if k in where else remainder
        hat = t @ item.half + 1.0 / n
        r = r + hat @ item.solved
        q = q - np.einsum("ir,rs,is->i", hat, item.inverse, hat, optimize=True)
        inside = item.rows[(item.rows >= rows.start) & (item.rows < rows.stop)] - rows.start
        r[inside], q[inside] = 0.0, 1.0
        squares[k] = np.sum((r / q) ** 2)
    return squares


def _coefficients(
    problem: RidgeProblem, basis: _Basis, d: Float64Array, chosen: IntArray
) -> Float64Array:
    out = np.empty((chosen.size, basis.values.size))
    for part in target_blocks(chosen.size, TARGETS):
        targets = chosen[part]
        rotated = d[:, None] * basis.products[:, targets]
        own = _own_column(problem, basis, d, targets)
        rotated[:, own.targets] -= own.vectors * own.step
        for item in _left_out(problem, basis, d, targets, own):
            rotated[:, item.target] -= item.half @ item.solved
        values = (basis.vectors @ rotated).T
        values[own.targets, problem.own[targets][own.targets]] = 0.0
        out[part] = values
    return out
