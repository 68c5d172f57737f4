"""Subspaces in which expression is modelled, or to which forecasts are confined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pereggrn_data.core.arrays import Floats, Matrix, dense
from pereggrn_data.core.errors import UsageError


@dataclass(frozen=True)
class Subspace:
    """A linear subspace of expression.

    Parameters
    ----------
    encoder
        Genes x dimensions; (X - centre) @ encoder are the coordinates.
    decoder
        Dimensions x genes; coordinates @ decoder + centre is expression.
    centre
        One value per gene.
    """

    encoder: Floats
    decoder: Floats
    centre: Floats

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return int(self.decoder.shape[0])

    def encode(self, expression: Floats) -> Floats:
        """Return the coordinates of expression (observations x genes)."""
        return np.asarray((expression - self.centre) @ self.encoder)

    def decode(self, coordinates: Floats) -> Floats:
        """Return the expression at coordinates (observations x dimensions)."""
        return np.asarray(coordinates @ self.decoder + self.centre)


def principal_subspace(expression: Matrix, dimension: int) -> Subspace:
    """Return the subspace of the first principal components of the training data.

    Parameters
    ----------
    expression
        Observations x genes.
    dimension
        Number of components.

    Raises
    ------
    UsageError
        If there are not that many components.
    """
    from sklearn.decomposition import PCA

    x = dense(expression)
    if not 1 <= dimension <= min(x.shape):
        raise UsageError(
            f"There is no subspace of {dimension} principal components.",
            expected=f"a dimension from 1 to {min(x.shape)}, as the training data are "
            f"{x.shape[0]} observations x {x.shape[1]} genes",
        )
    pca = PCA(dimension, svd_solver="full").fit(x)
    return Subspace(pca.components_.T.copy(), pca.components_, pca.mean_)


def user_subspace(matrix: npt.ArrayLike, n_genes: int) -> Subspace:
    """Return the subspace that the rows of a matrix span.

    Parameters
    ----------
    matrix
        Dimensions x genes, for example which genes each factor regulates.
        Coordinates are found with its pseudo-inverse.
    n_genes
        Number of genes of the training data.

    Raises
    ------
    UsageError
        If the matrix does not fit the genes or is not finite.
    """
    try:
        # Complex numbers would lose their imaginary parts.
        rows = np.asarray(np.asarray(matrix).astype(np.float64, casting="same_kind"))
    except (TypeError, ValueError) as error:
        raise UsageError(
            "The matrix of the low-dimensional structure is not of numbers.", got=f"{error}"
        ) from error
    if rows.ndim != 2 or rows.shape[1] != n_genes or not np.isfinite(rows).all():
        raise UsageError(
            "The matrix of the low-dimensional structure cannot be used.",
            expected=f"finite numbers, dimensions x {n_genes} genes",
            got=f"shape {rows.shape}",
        )
    encoder = np.asarray(np.linalg.pinv(rows), dtype=np.float64)
    return Subspace(encoder, rows, np.zeros(n_genes))


def make_subspace(value: int | Floats, expression: Matrix) -> Subspace:
    """Return the principal subspace of a dimension, or the one that a matrix spans."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return principal_subspace(expression, int(value))
    return user_subspace(value, expression.shape[1])
