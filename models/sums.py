"""Sums over rows of features and responses, and of their products.

Regressions of many rows see the rows by them only; they can be added up, and taken away again.
"""

from __future__ import annotations

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints

TARGETS = 2048
"""Targets whose products are added at once: those of all would be as large as the sums."""


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
        into = np.add if sign > 0 else np.subtract
        into(self.gram, x.T @ x, out=self.gram)
        for start in range(0, y.shape[1], TARGETS):
            targets = slice(start, start + TARGETS)
            total = self.products[:, targets]
            into(total, x.T @ y[:, targets], out=total)

    def of_targets(self, targets: Ints) -> Sums:
        """Return a copy for some targets, which can be changed by itself."""
        made = Sums(0, 0)
        made.n = self.n
        made.x_near, made.x_sum, made.gram = self.x_near, self.x_sum.copy(), self.gram.copy()
        made.y_near, made.y_sum = self.y_near[targets], self.y_sum[targets]
        made.products, made.squares = self.products[:, targets], self.squares[targets]
        return made

    @property
    def x_mean(self) -> Floats:
        """(features,) means."""
        return self.x_near + self.x_sum / self.n

    def y_mean(self, targets: Ints | slice) -> Floats:
        """Return the means of some targets."""
        mean: Floats = self.y_near[targets] + self.y_sum[targets] / self.n
        return mean

    def spread(self) -> Floats:
        """Return the sums of products of features around their means, as an array of its own."""
        # These are large, so that their places are used again.
        spread = np.outer(self.x_sum, self.x_sum / self.n)
        return np.subtract(self.gram, spread, out=spread)

    def spread_with(self, targets: Ints | slice) -> Floats:
        """Return the same of features and some targets, (features, targets)."""
        spread = np.outer(self.x_sum, self.y_sum[targets] / self.n)
        return np.subtract(self.products[:, targets], spread, out=spread)

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
