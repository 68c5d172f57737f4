r"""Exact ridge regression of all targets at once, where features outnumber observations.

With A = X Xᵀ + alpha I and an unpenalised intercept, the dual coefficients of a
target y are c = N y, where N = A⁻¹ - A⁻¹1 1ᵀA⁻¹ / 1ᵀA⁻¹1, and its
leave-one-out residuals are cᵢ / Nᵢᵢ [1]_. N is the same for every target, so
that one matrix product serves them all. With X centred, N = C A⁻¹ C, where C
takes away the mean; C Q, with Q the eigenvectors of X Xᵀ, gives N for each alpha
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

from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints, dense
from pereggrn_data.models.ridge.problem import (
    RidgeProblem,
    RidgeSolution,
    check_condition,
    intercepts_of,
    solution,
    target_blocks,
)
from pereggrn_data.models.ridge.shared_decompositions import decomposed

BLOCK_VALUES = 4_000_000
"""Values of one block of dual coefficients (32 MB)."""
CACHED_VALUES = 32_000_000
"""The matrices N of all penalties are kept where they have fewer values (256 MB)."""


@dataclass(frozen=True)
class _Block:
    """Some targets: their responses, and what sets their problems apart.

    `y` is targets x n. `special` are the positions of targets with a column
    of their own, and `x_own` these columns, one per row.
    """

    y: Floats
    special: Ints
    x_own: Floats
    excluded: dict[int, Ints]


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
    and O(np) per target for the coefficients. Memory beyond the solution:
    the features in float64, a few n x n matrices, and blocks of targets.
    """
    n, p, n_targets = problem.shape
    x = dense(problem.features)
    x = x - x.mean(axis=0)
    inverses = _Inverses(x, problem.alphas)
    n_kept = problem.n_kept()
    errors = np.empty((len(problem.alphas), n_targets))
    coefficients = np.empty((n_targets, p))
    # Where N is made anew for each block, fewer and larger blocks pay for it.
    size = max(64, BLOCK_VALUES // n, 0 if inverses.are_cached else n)
    duals, best = np.empty((2, min(size, n_targets), n))
    for block in target_blocks(n_targets, size):
        part = _block(problem, x, block)
        current, chosen = duals[: block.size], best[: block.size]
        for a in range(len(problem.alphas)):
            errors[a, block] = _duals(part, inverses(a), current) / n_kept[block]
            better = errors[a, block] < errors[:a, block].min(axis=0, initial=np.inf)
            np.copyto(chosen, current, where=better[:, None] | (a == 0))
            problem.advance(block.size / len(problem.alphas))
        np.matmul(chosen, x, out=coefficients[block[0] : block[-1] + 1])
    having = np.flatnonzero(problem.own >= 0)
    coefficients[having, problem.own[having]] = 0.0
    return solution(problem, coefficients, intercepts_of(problem, coefficients), errors)


class _Inverses:
    """The matrix N of each penalty, from one eigendecomposition."""

    def __init__(self, x: Floats, alphas: tuple[float, ...]) -> None:
        values, vectors = decomposed(x @ x.T)
        self._vectors = vectors - vectors.mean(axis=0)
        # The first belongs to the mean, which is centred away.
        check_condition(values[1:], alphas)
        self._values = np.maximum(values, 0.0)
        self._alphas = alphas
        self._cache: dict[int, Floats] = {}
        self.are_cached = self._vectors.size * len(alphas) < CACHED_VALUES

    def __call__(self, a: int) -> Floats:
        """Return N for the penalty at position `a`."""
        if a in self._cache:
            return self._cache[a]
        scaled = self._vectors / np.sqrt(self._values + self._alphas[a])
        inverse: Floats = scaled @ scaled.T
        if self.are_cached:
            self._cache[a] = inverse
        return inverse


def _block(problem: RidgeProblem, x: Floats, block: Ints) -> _Block:
    y = problem.responses[:, block[0] : block[-1] + 1]
    own = problem.own[block]
    special = np.flatnonzero(own >= 0)
    return _Block(
        y=np.array((y if isinstance(y, np.ndarray) else y.toarray()).T, np.float64, order="C"),
        special=special,
        x_own=np.ascontiguousarray(x[:, own[special]].T),
        excluded={
            k: problem.excluded[int(j)] for k, j in enumerate(block) if int(j) in problem.excluded
        },
    )


def _duals(block: _Block, inverse: Floats, duals: Floats) -> Floats:
    """Write dual coefficients (targets x n); return summed squared leave-one-out residuals."""
    np.matmul(block.y, inverse, out=duals)
    diagonal = np.ascontiguousarray(inverse.diagonal())
    squares: Floats = np.einsum("ji,ji,i->j", duals, duals, diagonal**-2.0)
    special = block.special
    u = block.x_own @ inverse
    shrink = 1.0 - np.einsum("ji,ji->j", u, block.x_own)
    step = np.einsum("ji,ji->j", duals[special], block.x_own) / shrink
    duals[special] += u * step[:, None]
    changed = diagonal + u * u / shrink[:, None]
    squares[special] = np.sum((duals[special] / changed) ** 2, axis=1)
    where = {int(k): i for i, k in enumerate(special)}
    for k, rows in block.excluded.items():
        columns, diagonal_k = inverse[rows], diagonal
        if k in where:
            i = where[k]
            columns = columns + np.outer(u[i, rows] / shrink[i], u[i])
            diagonal_k = changed[i]
        squares[k] = _leave_rows_out(duals[k], columns, diagonal_k, rows)
    return squares


def _leave_rows_out(duals: Floats, columns: Floats, diagonal: Floats, rows: Ints) -> float:
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
