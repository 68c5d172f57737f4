"""The basis of the primal solver, and what sets single targets apart in it.

That are their own columns, and excluded rows.

The formulas are those of `pereggrn_data.models.ridge.primal`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.models.ridge.problem import RidgeProblem, check_condition, not_solvable
from pereggrn_data.models.ridge.shared_decompositions import decomposed
from pereggrn_data.models.sums import Sums


@dataclass(frozen=True)
class Basis:
    """What all targets share: eigenvectors, eigenvalues, means, and Tᵀy."""

    vectors: Floats
    values: Floats
    x_mean: Floats
    y_mean: Floats
    products: Floats

    @classmethod
    def of(
        cls,
        sums: Sums,
        alphas: tuple[float, ...],
        targets: Ints | slice = slice(None),
        largest: float = 0.0,
    ) -> Basis:
        """Decompose the products of features.

        Parameters
        ----------
        sums
            Of the rows that train.
        alphas
            Penalties.
        targets
            Which of the targets.
        largest
            The largest eigenvalue of what rows were taken away from, if they were: its rounding
            errors are theirs.

        Raises
        ------
        InvalidDataError
            If rounding errors are too large.
        """
        gram = sums.spread()
        if not np.isfinite(gram).all():
            raise not_solvable("sums of squares that are no numbers any more")
        values, vectors = decomposed(gram)
        del gram
        check_condition(np.append(values, max(values[-1], largest)), alphas)
        products = vectors.T @ sums.spread_with(targets)
        return cls(vectors, np.maximum(values, 0.0), sums.x_mean, sums.y_mean(targets), products)

    def rotated(self, features: Floats) -> Floats:
        """Return T for some rows, whose features these are."""
        return np.asarray((features - self.x_mean) @ self.vectors, dtype=np.float64)


@dataclass(frozen=True)
class OwnColumns:
    """Leaving out the own columns of some targets, for one penalty.

    `vectors` are rows of V over the eigenvalues; T @ vectors gives z.
    """

    targets: Ints
    vectors: Floats
    pivot: Floats
    step: Floats


@dataclass(frozen=True)
class ExcludedRows:
    """The rows that some targets leave out, one target after the other.

    `targets` are positions in the block of targets, `parts` the slices of each
    among `rows`, `t` holds T for the rows, and `y` the target's centred response in each.
    """

    targets: tuple[int, ...]
    parts: tuple[slice, ...]
    rows: Ints
    t: Floats
    y: Floats


@dataclass(frozen=True)
class LeftOut:
    """Leaving out the rows of one target, for one penalty.

    `z` are the rows of its own column's z, `inverse` is (I - H[R, R])⁻¹ and
    `solved` this times the residuals.
    """

    target: int
    part: slice
    z: Floats | None
    inverse: Floats
    solved: Floats


@dataclass(frozen=True)
class Corrections:
    """Everything that sets the targets of a block apart, for one penalty.

    `d` are the reciprocals of the eigenvalues plus the penalty.
    """

    d: Floats
    own: OwnColumns
    left: list[LeftOut]


def excluded_rows(problem: RidgeProblem, basis: Basis, block: Ints) -> ExcludedRows:
    """Collect the rows that the targets of a block leave out."""
    found = [(k, problem.excluded[int(j)]) for k, j in enumerate(block) if j in problem.excluded]
    ends = np.cumsum([rows.size for _, rows in found], dtype=np.intp)
    rows = np.concatenate([np.empty(0, dtype=np.intp), *(rows for _, rows in found)])
    of = np.concatenate([np.full(r.size, block[k]) for k, r in found] or [rows])
    if rows.size:
        features, y = problem.at(rows, of)
    else:
        features, y = np.empty((0, basis.x_mean.size)), np.empty(0)
    return ExcludedRows(
        targets=tuple(k for k, _ in found),
        parts=tuple(
            slice(int(end) - r.size, int(end)) for end, (_, r) in zip(ends, found, strict=True)
        ),
        rows=rows,
        t=basis.rotated(features),
        y=y - basis.y_mean[of],
    )


def corrections_for(
    problem: RidgeProblem, basis: Basis, alpha: float, block: Ints, out: ExcludedRows
) -> Corrections:
    """Compute what one penalty needs for a block of targets."""
    d = 1.0 / (basis.values + alpha)
    targets = np.flatnonzero(problem.own[block] >= 0)
    v = basis.vectors[problem.own[block][targets]]
    vectors = v * d
    pivot = np.einsum("jk,jk->j", v, vectors)
    coefficient = np.einsum("jk,kj->j", vectors, basis.products[:, block[targets]])
    own = OwnColumns(targets, np.ascontiguousarray(vectors.T), pivot, coefficient / pivot)
    where = {int(k): i for i, k in enumerate(targets)}
    left = []
    for k, part in zip(out.targets, out.parts, strict=True):
        j, t, z = int(block[k]), out.t[part], None
        residuals = out.y[part] - t @ (d * basis.products[:, j])
        hat = (t * d) @ t.T + 1.0 / problem.features.shape[0]
        if k in where:
            i = where[k]
            z = np.asarray(t @ own.vectors[:, i], dtype=np.float64)
            residuals = residuals + z * own.step[i]
            hat = hat - np.outer(z, z / pivot[i])
        inverse = np.asarray(np.linalg.inv(np.eye(t.shape[0]) - hat), dtype=np.float64)
        left.append(LeftOut(k, part, z, inverse, inverse @ residuals))
    return Corrections(d, own, left)


def squared_residuals(
    t: Floats,
    residuals: Floats,
    corrections: Corrections,
    out: ExcludedRows,
    rows: slice,
    n: int,
) -> Floats:
    """Return the squared leave-one-out residuals of a block of rows, summed per target.

    Parameters
    ----------
    t
        T for these rows.
    residuals
        As if no target were different, rows x targets.
    corrections, out
        What sets targets apart.
    rows
        Which rows these are.
    n
        Number of rows in all.
    """
    d, own = corrections.d, corrections.own
    remainder = 1.0 - ((t * t) @ d + 1.0 / n)
    hat_of_all = (t * d) @ out.t.T + 1.0 / n
    z = t @ own.vectors
    own_residuals = residuals[:, own.targets] + z * own.step
    own_remainder = remainder[:, None] + z * z / own.pivot
    squares: Floats = np.einsum("ij,ij,i->j", residuals, residuals, remainder**-2.0)
    squares[own.targets] = np.sum((own_residuals / own_remainder) ** 2, axis=0)
    where = {int(k): i for i, k in enumerate(own.targets)}
    for item in corrections.left:
        hat = hat_of_all[:, item.part]
        r, q = residuals[:, item.target], remainder
        if item.z is not None:
            i = where[item.target]
            hat = hat - np.outer(z[:, i], item.z / own.pivot[i])
            r, q = own_residuals[:, i], own_remainder[:, i]
        r = r + hat @ item.solved
        q = q - np.sum((hat @ item.inverse) * hat, axis=1)
        excluded = out.rows[item.part]
        inside = excluded[(excluded >= rows.start) & (excluded < rows.stop)] - rows.start
        r[inside], q[inside] = 0.0, 1.0
        squares[item.target] = np.sum((r / q) ** 2)
    return squares


def rotated_coefficients(
    basis: Basis, corrections: Corrections, block: Ints, out: ExcludedRows
) -> Floats:
    """Return coefficients in the basis of eigenvectors, p x targets of the block."""
    d, own = corrections.d, corrections.own
    rotated: Floats = d[:, None] * basis.products[:, block]
    rotated[:, own.targets] -= own.vectors * own.step
    where = {int(k): i for i, k in enumerate(own.targets)}
    for item in corrections.left:
        change = d * (out.t[item.part].T @ item.solved)
        if item.z is not None:
            i = where[item.target]
            change = change - own.vectors[:, i] * (item.z @ item.solved / own.pivot[i])
        rotated[:, item.target] -= change
    return rotated
