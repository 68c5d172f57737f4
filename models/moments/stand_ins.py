"""A few made-up rows that have the same sums as many rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import lapack, solve_triangular

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.models.sums import Sums

_NO_SPREAD = 1e-13
"""A feature whose squares shrink to this part when its mean is taken away is a constant."""


@dataclass
class StandIns:
    """A few made-up rows that have the count, means and products of many rows.

    The factor of the features is shared by all targets.

    Parameters
    ----------
    sums
        Of the many rows.

    Attributes
    ----------
    features
        (features + 2, features).
    weight
        How many of the many rows each one stands for.
    """

    sums: Sums
    features: Floats = field(init=False)
    weight: float = field(init=False)

    def __post_init__(self) -> None:
        sums = self.sums
        p = sums.x_sum.size
        spread = sums.spread()
        diagonal = np.diag(spread)
        varies = diagonal > _NO_SPREAD * np.diag(sums.gram)
        # Features of different sizes are alike in what is lost of them by rounding.
        scale = np.sqrt(np.where(varies, diagonal, 0.0))
        self._inverse = np.divide(1.0, scale, out=np.zeros(p), where=varies)
        spread *= self._inverse[:, None]
        spread *= self._inverse
        rank = 0
        if varies.any():
            spread, order, rank, _ = lapack.dpstrf(spread, overwrite_a=True)
            self._order = order[:rank] - 1
            self._factor = np.triu(spread[:rank, :rank])
        rows = np.zeros((p, p))
        if rank:
            rows[:rank, order - 1] = np.triu(spread[:rank])
        rows *= scale
        self._rank = rank
        self.weight = sums.n / (p + 2)
        self.features = self._spread_out(rows, sums.x_mean)

    def responses(self, targets: Ints) -> Floats:
        """Return the responses of some targets in these rows, (features + 2, targets)."""
        sums = self.sums
        squares = sums.squares[targets] - sums.y_sum[targets] ** 2 / sums.n
        rows = np.zeros((sums.x_sum.size + 1, targets.size))
        if self._rank:
            products = (sums.spread_with(targets) * self._inverse[:, None])[self._order]
            rows[: self._rank] = solve_triangular(self._factor, products, trans="T")
        # What no feature accounts for: no row but the last has it, and no feature has that one.
        rest = squares - np.einsum("ij,ij->j", rows, rows)
        rows[-1] = np.sqrt(np.maximum(rest, 0.0))
        return self._spread_out(rows, sums.y_mean(targets))

    def _spread_out(self, rows: Floats, means: Floats) -> Floats:
        """Turn rows with the right products into rows that have the right means, too.

        They are multiplied by columns that are orthonormal and orthogonal to a column of ones:
        those of a reflection that turns the first axis into the direction of the ones, but for
        its first column.
        """
        m = self.features_and_two
        axis = np.full(m, -1.0 / np.sqrt(m))
        axis[0] += 1.0
        made = np.zeros((m, rows.shape[1]))
        made[1 : 1 + rows.shape[0]] = rows
        made -= np.outer(axis, (axis @ made) * (2.0 / (axis @ axis)))
        made /= np.sqrt(self.weight)
        made += means
        return made

    @property
    def features_and_two(self) -> int:
        """Number of rows."""
        return self.sums.x_sum.size + 2
