"""Fitted regressions: linear ones as matrices, others as scikit-learn estimators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse

from pereggrn_data.core.arrays import AnyFloats, Ints

SPARSE_BELOW = 0.25
"""Coefficients with a smaller share of candidates than this are kept sparse."""


class Regressions(Protocol):
    """One fitted regression per target."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know about the fit."""
        ...

    def predict(self, features: AnyFloats) -> npt.NDArray[np.float64]:
        """Predict every target (observations x targets) from features."""
        ...


@dataclass(frozen=True)
class LinearRegressions:
    """Linear models of all targets.

    Parameters
    ----------
    coefficients
        Targets x features; zero where a feature is not in a target's model.
        Dense or CSR.
    intercepts
        One per target.
    alphas
        The chosen penalty of each target; NaN where there was none to choose.
    candidates
        Which (target, feature) pairs were in a model, as CSR; None means all
        but each target's own.
    notes
        What the user should know about the fit.
    """

    coefficients: Any
    intercepts: npt.NDArray[np.float64]
    alphas: npt.NDArray[np.float64]
    candidates: Any = None
    notes: tuple[str, ...] = ()

    def predict(self, features: AnyFloats) -> npt.NDArray[np.float64]:
        """Predict every target.

        Parameters
        ----------
        features
            Observations x features.

        Returns
        -------
        ndarray of float64, shape (observations, targets)
        """
        x = np.asarray(features, dtype=np.float64)
        product = self.coefficients @ x.T
        return np.ascontiguousarray(np.asarray(product).T) + self.intercepts

    def dense_coefficients(self) -> npt.NDArray[np.float64]:
        """Return the coefficients as a plain array, targets x features."""
        if isinstance(self.coefficients, np.ndarray):
            return self.coefficients
        return np.asarray(self.coefficients.toarray(), dtype=np.float64)


@dataclass(frozen=True)
class EstimatorRegressions:
    """Models that are not linear, one scikit-learn estimator per target.

    Parameters
    ----------
    estimators
        Fitted; each has ``predict``.
    features_of
        Which features each one takes.
    notes
        What the user should know about the fit.
    """

    estimators: tuple[Any, ...]
    features_of: tuple[Ints, ...]
    notes: tuple[str, ...] = field(default=())

    def predict(self, features: AnyFloats) -> npt.NDArray[np.float64]:
        """Predict every target (observations x targets) from features."""
        x = np.asarray(features, dtype=np.float64)
        out = np.empty((x.shape[0], len(self.estimators)))
        for j, (estimator, columns) in enumerate(
            zip(self.estimators, self.features_of, strict=True)
        ):
            out[:, j] = np.ravel(estimator.predict(x[:, columns] if columns.size else x[:, :0]))
        return out


def constant_regressions(values: npt.NDArray[np.float64], n_features: int) -> LinearRegressions:
    """Return models that predict a constant for each target."""
    return LinearRegressions(
        coefficients=scipy.sparse.csr_array((values.size, n_features), dtype=np.float64),
        intercepts=np.asarray(values, dtype=np.float64),
        alphas=np.full(values.size, np.nan),
    )


def assemble_linear(
    features_of: Sequence[Ints],
    coefficients: Sequence[npt.NDArray[np.float64]],
    intercepts: npt.NDArray[np.float64],
    alphas: npt.NDArray[np.float64],
    n_features: int,
    notes: tuple[str, ...] = (),
) -> LinearRegressions:
    """Put the coefficients of separately fitted targets into one matrix.

    Parameters
    ----------
    features_of
        The features of each target.
    coefficients
        Their coefficients.
    intercepts, alphas
        One per target.
    n_features
        Number of features in all.
    notes
        What the user should know.
    """
    sizes = np.array([columns.size for columns in features_of], dtype=np.intp)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    indices = np.concatenate([*features_of, np.empty(0, dtype=np.intp)]).astype(np.intp)
    data = np.concatenate([*coefficients, np.empty(0)]).astype(np.float64)
    shape = (sizes.size, n_features)
    matrix = scipy.sparse.csr_array((data, indices, indptr), shape=shape)
    candidates = scipy.sparse.csr_array((np.ones(data.size, dtype=bool), indices, indptr), shape)
    is_sparse = data.size < SPARSE_BELOW * max(1, sizes.size * n_features)
    return LinearRegressions(
        coefficients=matrix if is_sparse else matrix.toarray(),
        intercepts=intercepts,
        alphas=alphas,
        candidates=candidates,
        notes=notes,
    )
