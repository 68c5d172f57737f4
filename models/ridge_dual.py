r"""Exact ridge regression of all targets at once, where features outnumber observations.

With A = X Xᵀ + αI and an unpenalised intercept, the dual coefficients of a
target y are c = N y, where N = A⁻¹ - A⁻¹1 1ᵀA⁻¹ / 1ᵀA⁻¹1, and its
leave-one-out residuals are cᵢ / Nᵢᵢ [1]_. N is the same for every target, so
that one matrix product serves them all. With X centred, N = C A⁻¹ C, where C
takes away the mean; C Q, with Q the eigenvectors of X Xᵀ, gives N for each α
from one decomposition.

Two rules make the problem of a target differ from the others by little:

- Leaving out its own column x changes A by -x xᵀ, hence N by
  + u uᵀ / (1 - xᵀu), with u = N x (Sherman and Morrison).
- Leaving out the rows R turns N into its Schur complement
  N - N[:, R] N[R, R]⁻¹ N[R, :], whose rows R are zero.

References
----------
.. [1] R. Rifkin, R. Lippert (2007). Notes on regularized least squares.
       MIT-CSAIL-TR-2007-025.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg

from pereggrn_data.models.inputs import IntArray, dense
from pereggrn_data.models.ridge_problem import (
    Float64Array,
    RidgeProblem,
    RidgeSolution,
    solution,
    target_blocks,
)

BLOCK_VALUES = 4_000_000
"""Values of one block of dual coefficients (32 MB); a few blocks are alive at once."""


def fit_dual(problem: RidgeProblem) -> RidgeSolution:
    """Fit all targets in the dual.

    Parameters
    ----------
    problem
        At least two observations must train each target.

    Returns
    -------
    RidgeSolution
        As `sklearn.linear_model.RidgeCV` fitted to each target by itself.

    Notes
    -----
    Takes O(n²(p + n)) once, O(n²) per target and penalty for the product,
    and O(np) per target for the coefficients. Memory: about three n x n
    matrices, one targets x n and one targets x p.
    """
    n, _, n_targets = problem.shape
    x = dense(problem.features)
    x -= x.mean(axis=0)
    values, vectors = scipy.linalg.eigh(x @ x.T, overwrite_a=True, check_finite=False)
    vectors -= vectors.mean(axis=0)
    values = np.maximum(values, 0.0)
    n_kept = problem.n_kept()
    errors = np.empty((len(problem.alphas), n_targets))
    best = np.empty((n_targets, n))
    blocks = target_blocks(n_targets, max(64, BLOCK_VALUES // n))
    for a, alpha in enumerate(problem.alphas):
        scaled = vectors / np.sqrt(values + alpha)
        inverse = scaled @ scaled.T
        del scaled
        for block in blocks:
            duals, squares = _duals(problem, x, inverse, block)
            errors[a, block] = squares / n_kept[block]
            better = errors[a, block] < errors[:a, block].min(axis=0, initial=np.inf)
            better |= a == 0
            best[block[better]] = duals[better]
    coefficients = np.empty((n_targets, x.shape[1]))
    for block in blocks:
        np.matmul(best[block], x, out=coefficients[block[0] : block[-1] + 1])
    _clear_own(coefficients, problem.own)
    return solution(problem, coefficients, errors)


def _duals(
    problem: RidgeProblem, x: Float64Array, inverse: Float64Array, block: IntArray
) -> tuple[Float64Array, Float64Array]:
    """Return dual coefficients (targets x n) and summed squared leave-one-out residuals."""
    y = np.ascontiguousarray(dense(problem.responses, columns=block).T)
    duals = y @ inverse
    diagonal = np.ascontiguousarray(inverse.diagonal())
    squares = np.einsum("ji,ji,i->j", duals, duals, diagonal**-2.0)
    own = problem.own[block]
    special = np.flatnonzero(own >= 0)
    x_own = np.ascontiguousarray(x[:, own[special]].T)
    u = x_own @ inverse
    shrink = 1.0 - np.einsum("ji,ji->j", u, x_own)
    step = np.einsum("ji,ji->j", duals[special], x_own) / shrink
    duals[special] += u * step[:, None]
    changed = diagonal + u * u / shrink[:, None]
    squares[special] = np.sum((duals[special] / changed) ** 2, axis=1)
    where = {int(k): i for i, k in enumerate(special)}
    for k in (k for k, j in enumerate(block) if int(j) in problem.excluded):
        rows = problem.excluded[int(block[k])]
        columns, diagonal_k = inverse[rows], diagonal
        if k in where:
            i = where[k]
            columns = columns + np.outer(u[i, rows] / shrink[i], u[i])
            diagonal_k = changed[i]
        squares[k] = _leave_rows_out(duals[k], columns, diagonal_k, rows)
    return duals, squares


def _leave_rows_out(
    duals: Float64Array, columns: Float64Array, diagonal: Float64Array, rows: IntArray
) -> float:
    """Update one target's dual coefficients in place; return its squared residuals' sum.

    Parameters
    ----------
    duals
        With all rows, length n.
    columns
        The excluded rows of N, |R| x n.
    diagonal
        Of N.
    rows
        The excluded rows.
    """
    weights = np.linalg.solve(columns[:, rows], columns)
    duals -= duals[rows] @ weights
    duals[rows] = 0.0
    reduced = diagonal - np.einsum("ri,ri->i", weights, columns)
    reduced[rows] = 1.0
    return float(np.sum((duals / reduced) ** 2))


def _clear_own(coefficients: Float64Array, own: IntArray) -> None:
    """Set each target's coefficient of its own column, which is not in its model, to zero."""
    having = np.flatnonzero(own >= 0)
    coefficients[having, own[having]] = 0.0
