"""Sums over the rows of a ridge regression, and the basis that the primal solver makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pereggrn_data.core.arrays import Floats, Ints
from pereggrn_data.models.ridge.corrections import Basis
from pereggrn_data.models.ridge.problem import (
    RidgeProblem,
    check_condition,
    not_solvable,
    target_blocks,
)
from pereggrn_data.models.ridge.shared_decompositions import decomposed

ROWS = 4096
"""Rows of what is in memory that are worked on at once."""
TARGETS = 2048
"""Targets that are worked on at once, at most."""


@dataclass(frozen=True)
class CrossProducts:
    """Sums over some rows of features and responses, and of their products.

    All are over points near the means: large numbers are not subtracted from each other.

    Parameters
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
    """

    n: int
    x_near: Floats
    y_near: Floats
    x_sum: Floats
    y_sum: Floats
    gram: Floats
    products: Floats

    @classmethod
    def nothing(cls, n: int, x_near: Floats, y_near: Floats) -> CrossProducts:
        """Return sums to which `n` rows are to be added."""
        p, n_targets = x_near.size, y_near.size
        return cls(
            *(n, x_near, y_near, np.zeros(p), np.zeros(n_targets)),
            gram=np.zeros((p, p)),
            products=np.zeros((p, n_targets)),
        )

    def of_targets(self, targets: Ints) -> CrossProducts:
        """Return those of some targets."""
        return replace(
            self,
            y_near=self.y_near[targets],
            y_sum=self.y_sum[targets],
            products=self.products[:, targets],
        )

    def without(self, rows: CrossProducts) -> CrossProducts:
        """Return those of the other rows, for the same targets."""
        return replace(
            self,
            n=self.n - rows.n,
            x_sum=self.x_sum - rows.x_sum,
            y_sum=self.y_sum - rows.y_sum,
            gram=self.gram - rows.gram,
            products=self.products - rows.products,
        )

    def add(self, features: Floats, responses: Floats) -> None:
        """Add rows."""
        x, y = features - self.x_near, responses - self.y_near
        self._add_features(x)
        self._add_responses(x, y, slice(None))

    def _add_features(self, x: Floats) -> None:
        np.add(self.x_sum, x.sum(axis=0), out=self.x_sum)
        np.add(self.gram, x.T @ x, out=self.gram)

    def _add_responses(self, x: Floats, y: Floats, targets: Ints | slice) -> None:
        self.y_sum[targets] += y.sum(axis=0)
        self.products[:, targets] += x.T @ y

    @classmethod
    def of(cls, problem: RidgeProblem) -> CrossProducts:
        """Compute those of all rows, in one reading."""
        n, p, n_targets = problem.shape
        made = cls.nothing(n, np.zeros(p), np.zeros(n_targets))
        for rows, features, responses in problem.each_part(ROWS):
            is_first = rows.start == 0
            if is_first:
                made.x_near[:] = features.mean(axis=0)
            x = features - made.x_near
            made._add_features(x)
            for block in target_blocks(n_targets, TARGETS):
                y = responses(block)
                if is_first:
                    made.y_near[block] = y.mean(axis=0)
                made._add_responses(x, y - made.y_near[block], block)
        return made

    def basis(self, alphas: tuple[float, ...], largest: float = 0.0) -> Basis:
        """Decompose the products of features.

        Parameters
        ----------
        alphas
            Penalties.
        largest
            The largest eigenvalue of what the sums were taken from, if there was such a thing:
            its rounding errors are theirs.

        Raises
        ------
        InvalidDataError
            If rounding errors are too large.
        """
        x_shift, y_shift = self.x_sum / self.n, self.y_sum / self.n
        # These are large, so that their places are used again.
        gram = np.outer(self.x_sum, x_shift)
        np.subtract(self.gram, gram, out=gram)
        if not np.isfinite(gram).all():
            raise not_solvable("sums of squares that are no numbers any more")
        values, vectors = decomposed(gram)
        del gram
        products = np.outer(self.x_sum, y_shift)
        np.subtract(self.products, products, out=products)
        check_condition(np.append(values, max(values[-1], largest)), alphas)
        return Basis(
            vectors,
            np.maximum(values, 0.0),
            self.x_near + x_shift,
            self.y_near + y_shift,
            vectors.T @ products,
        )
