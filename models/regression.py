"""The regression problem that every method solves, and what its solution is.

One response per gene and shared features; the solution is a matrix of
coefficients where models are linear, and one estimator per gene where they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse

from pereggrn_data.core.arrays import AnyFloats, Ints, Matrix
from pereggrn_data.models.plain_arrays import Array, Arrays, numbers_of
from pereggrn_data.models.stored_columns import StoredColumns, columns_of

SPARSE_BELOW = 0.25
"""Coefficients with a smaller share of candidates than this are kept sparse."""


Progress: TypeAlias = Callable[[int, int], None]
"""Called with how many targets are done, and how many there are."""


@dataclass(frozen=True)
class RegressionTask:
    """Many regressions on the same observations and features.

    Parameters
    ----------
    features
        Observations x features.
    responses
        Observations x targets; dense or CSR. Methods that learn in blocks of rows also take
        what is not in memory: constants a stored matrix, others :class:`StoredColumns` of one
        matrix, as the features are then.
    targets
        Names of the targets, for messages.
    own
        For each target, the feature that is the target itself and must not
        predict it; -1 where there is none.
    excluded
        For some targets, the observations that must not train them.
    allowed
        For each target, the only features that may predict it (without its
        own); None means all.
    arguments
        Keyword arguments for the method.
    seed
        Of methods with random elements.
    jobs
        How many targets to work on at once.
    progress
        Told how far the work is.
    """

    features: AnyFloats | StoredColumns
    responses: Matrix
    targets: tuple[str, ...]
    own: Ints
    excluded: Mapping[int, Ints] = field(default_factory=dict)
    allowed: tuple[Ints, ...] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    jobs: int = 1
    progress: Progress | None = None

    @property
    def n_targets(self) -> int:
        """Number of regressions."""
        return len(self.targets)

    def features_of(self, target: int) -> Ints:
        """Return the features that may predict a target."""
        if self.allowed is not None:
            return self.allowed[target]
        every: Ints = np.arange(self.features.shape[1], dtype=np.intp)
        return np.delete(every, self.own[target]) if self.own[target] >= 0 else every

    def rows_of(self, target: int) -> npt.NDArray[np.bool_]:
        """Return which observations train a target."""
        kept = np.ones(self.features.shape[0], dtype=bool)
        kept[self.excluded.get(target, [])] = False
        return kept

    def excluded_pairs(self) -> tuple[Ints, Ints]:
        """Return (pairs,) observations and (pairs,) the targets that they must not train."""
        rows = [np.empty(0, dtype=np.intp), *self.excluded.values()]
        targets = np.array(list(self.excluded), dtype=np.intp)
        return np.concatenate(rows), np.repeat(targets, [r.size for r in rows[1:]])

    def subset(self, targets: Ints) -> RegressionTask:
        """Return the task for some of the targets."""
        back = {int(j): i for i, j in enumerate(targets)}
        return replace(
            self,
            responses=columns_of(self.responses, targets),
            targets=tuple(self.targets[j] for j in targets),
            own=self.own[targets],
            excluded={back[j]: rows for j, rows in self.excluded.items() if j in back},
            allowed=None if self.allowed is None else tuple(self.allowed[j] for j in targets),
        )

    def report(self, done: int) -> None:
        """Tell whoever listens that `done` targets are finished."""
        if self.progress is not None:
            self.progress(done, self.n_targets)


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

    def to_arrays(self, prefix: str) -> Arrays:
        """Return what forecasting needs, under names that begin with `prefix`."""
        arrays: Arrays = {
            f"{prefix}_intercepts": self.intercepts,
            f"{prefix}_alphas": self.alphas,
        }
        if isinstance(self.coefficients, np.ndarray):
            return arrays | {f"{prefix}_coefficients": self.coefficients}
        matrix = scipy.sparse.csr_array(self.coefficients)
        return arrays | {
            f"{prefix}_data": matrix.data,
            f"{prefix}_indices": matrix.indices,
            f"{prefix}_indptr": matrix.indptr,
        }

    @classmethod
    def from_arrays(
        cls, prefix: str, arrays: Mapping[str, Array], n_targets: int, n_features: int
    ) -> LinearRegressions:
        """Put together what `to_arrays` took apart.

        Raises
        ------
        KeyError, ValueError
            If a part is missing, or of another shape.
        """
        shape = (n_targets, n_features)
        coefficients: Any
        if f"{prefix}_coefficients" in arrays:
            coefficients = numbers_of(arrays[f"{prefix}_coefficients"], shape)
        else:
            parts = tuple(arrays[f"{prefix}_{part}"] for part in ("data", "indices", "indptr"))
            coefficients = scipy.sparse.csr_array(parts, shape=shape)
            coefficients.check_format(full_check=True)
        return cls(
            coefficients=coefficients,
            intercepts=numbers_of(arrays[f"{prefix}_intercepts"], (n_targets,)),
            alphas=numbers_of(arrays[f"{prefix}_alphas"], (n_targets,)),
        )


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
