"""Sums over rows of features and responses and of their products, and rows with the same sums."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import lapack, solve_triangular

from pereggrn_data.core.arrays import Floats, Ints

_NO_SPREAD = 1e-13
"""A feature whose squares shrink to this part when its mean is taken away is a constant."""


class Sums:
    """Sums over some rows of features and responses, and of their products.

    All are over points near the means, the means of the rows that are added first, so that
    large numbers are not subtracted from each other.

    Parameters
    ----------
    p, n_targets
        Numbers of features and of responses.

    Attributes
    ----------
    n
        Number of rows.
    x_near, y_near
        (features,) and (targets,) what was subtracted before.
    x_sum, y_sum
        (features,) and (targets,) sums.
    gram
        (features, features) sums of products.
    products
        (features, targets) sums of products.
    squares
        (targets,) sums of squares.
    """

    def __init__(self, p: int, n_targets: int) -> None:
        self.n = 0
        self.x_near, self.y_near = np.zeros(p), np.zeros(n_targets)
        self.x_sum, self.y_sum = np.zeros(p), np.zeros(n_targets)
        self.gram = np.zeros((p, p))
        self.products = np.zeros((p, n_targets))
        self.squares = np.zeros(n_targets)

    def add(self, features: Floats, responses: Floats, sign: int = 1) -> None:
        """Add rows, or take them away again (`sign` -1)."""
        if not features.shape[0]:
            return
        if self.n == 0:
            self.x_near, self.y_near = _near(features), _near(responses)
        x, y = features - self.x_near, responses - self.y_near
        self.n += sign * x.shape[0]
        self.x_sum += sign * x.sum(axis=0)
        self.y_sum += sign * y.sum(axis=0)
        self.squares += sign * np.einsum("ij,ij->j", y, y)
        for total, more in ((self.gram, x), (self.products, y)):
            product = x.T @ more
            (np.add if sign > 0 else np.subtract)(total, product, out=total)

    def of_targets(self, targets: Ints) -> Sums:
        """Return a copy for some targets, which can be changed by itself."""
        made = Sums(0, 0)
        made.n = self.n
        made.x_near, made.x_sum, made.gram = self.x_near, self.x_sum.copy(), self.gram.copy()
        made.y_near, made.y_sum = self.y_near[targets], self.y_sum[targets]
        made.products, made.squares = self.products[:, targets], self.squares[targets]
        return made

    def lost(self, before: Sums, targets: Ints, share: float) -> bool:
        """Say whether so little is left of sums that rounding errors of theirs are too large.

        Parameters
        ----------
        before, targets
            What rows were taken away from, and which of its targets these are.
        share
            Of the sum of squares of any feature or response.
        """
        features = np.diag(self.gram) - self.x_sum**2 / self.n
        responses = self.squares - self.y_sum**2 / self.n
        return bool(
            (features < share * np.diag(before.gram)).any()
            or (responses < share * before.squares[targets]).any()
        )


def _near(values: Floats) -> Floats:
    """Return the mean of each column; of equal numbers, the number itself and not about it."""
    first = values[0]
    near: Floats = np.where((values == first).all(axis=0), first, values.mean(axis=0))
    return near


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
        shift = sums.x_sum / sums.n
        spread = np.outer(sums.x_sum, shift)
        np.subtract(sums.gram, spread, out=spread)
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
        self.features = self._spread_out(rows, sums.x_near + shift)

    def responses(self, targets: Ints) -> Floats:
        """Return the responses of some targets in these rows, (features + 2, targets)."""
        sums = self.sums
        y_sum = sums.y_sum[targets]
        products = sums.products[:, targets] - np.outer(sums.x_sum, y_sum / sums.n)
        squares = sums.squares[targets] - y_sum**2 / sums.n
        rows = np.zeros((sums.x_sum.size + 1, targets.size))
        if self._rank:
            products = (products * self._inverse[:, None])[self._order]
            rows[: self._rank] = solve_triangular(self._factor, products, trans="T")
        # What no feature accounts for: no row but the last has it, and no feature has that one.
        rest = squares - np.einsum("ij,ij->j", rows, rows)
        rows[-1] = np.sqrt(np.maximum(rest, 0.0))
        return self._spread_out(rows, sums.y_near[targets] + y_sum / sums.n)

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
