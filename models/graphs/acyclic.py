"""What keeps a graph acyclic: its spectral radius as a penalty, and a threshold at the end.

A weighted graph with adjacency matrix A >= 0 is acyclic exactly if its spectral radius is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pereggrn_data.core.arrays import Floats

POWER_ITERATIONS = 5
BISECTIONS = 20
FIRST_MULTIPLIER = 1e-8
ENOUGH_PROGRESS = 0.9
"""If h is still above this share of what it was, its weight is doubled."""


class SpectralRadius:
    """The spectral radius of a matrix that changes little from call to call.

    Left and right eigenvectors are kept between calls, so that a few power iterations each
    time follow the matrix.

    Parameters
    ----------
    n
        Size of the matrix.
    rng
        Of the first vectors, which are positive.
    """

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self._left = rng.uniform(0.5, 1.5, n)
        self._right = rng.uniform(0.5, 1.5, n)

    def __call__(self, adjacency: Floats) -> tuple[float, Floats]:
        """Return the radius, and its gradient with respect to the matrix.

        Both are 0 where a vector vanishes, as it does if the graph is acyclic.
        """
        left, right = self._left, self._right
        for _ in range(POWER_ITERATIONS):
            left, right = adjacency.T @ left, adjacency @ right
            sizes = float(np.linalg.norm(left)), float(np.linalg.norm(right))
            if min(sizes) < np.finfo(float).tiny ** 0.5:
                return 0.0, np.zeros_like(adjacency)
            left, right = left / sizes[0], right / sizes[1]
        overlap = float(left @ right)
        if overlap < np.finfo(float).eps:
            # Nearly acyclic: the ratio below would be one of rounding errors.
            return 0.0, np.zeros_like(adjacency)
        self._left, self._right = left, right
        return float(left @ adjacency @ right) / overlap, np.outer(left, right) / overlap


@dataclass
class Multipliers:
    """How strongly cycles are punished: gh + μh²/2, stronger as long as they stay.

    Parameters
    ----------
    linear
        The multiplier g.
    quadratic
        μ.
    last
        h when they were last raised.
    """

    linear: float = 0.0
    quadratic: float = FIRST_MULTIPLIER
    last: float = np.inf

    def slope(self, h: float) -> float:
        """Return the derivative of the punishment."""
        return self.linear + self.quadratic * h

    def raise_for(self, h: float) -> None:
        """Punish more: g by μh, and μ twice as much if h fell by less than a tenth."""
        self.linear += self.quadratic * h
        if h > ENOUGH_PROGRESS * self.last:
            self.quadratic *= 2
        self.last = h


def is_acyclic(adjacency: Floats) -> bool:
    """Say whether the non-zero entries are the edges of an acyclic graph."""
    edges = csr_array(adjacency != 0)
    if edges.diagonal().any():
        return False
    found, _ = connected_components(edges, directed=True, connection="strong")
    return bool(found == adjacency.shape[0])


def acyclic_threshold(adjacency: Floats) -> float:
    """Return about the smallest threshold above which the edges form no cycle.

    Found by 20 bisections between 0 and the largest entry, which is the answer only if
    nothing less will do.
    """
    if is_acyclic(adjacency):
        return 0.0
    low, high = 0.0, float(adjacency.max())
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if is_acyclic(np.where(adjacency > middle, adjacency, 0.0)):
            high = middle
        else:
            low = middle
    return high
