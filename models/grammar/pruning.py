"""Pruning: the network of the largest coefficients over all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse

from pereggrn_data.core.arrays import Ints
from pereggrn_data.core.errors import UsageError
from pereggrn_data.models.grammar.prior_network import RegulatorySets
from pereggrn_data.models.methods import Method, MethodKind
from pereggrn_data.models.regression import LinearRegressions, Regressions


def check_prunable(method: Method, arguments: Mapping[str, Any]) -> None:
    """Check before fitting that the models will have coefficients to prune.

    Raises
    ------
    UsageError
        If they will not.
    """
    if method.kind is MethodKind.CONSTANT or not method.is_linear(arguments):
        raise not_prunable(method.name)


def not_prunable(method: str) -> UsageError:
    """Return the error that says that a method's models have nothing to prune."""
    return UsageError(
        f"Only linear models can be pruned: {method} fits no coefficients of regulators here.",
        expected="a method whose models have a coefficient for each regulator",
        fix="leave out pruning, or use a linear method.",
    )


def pruned_network(
    models: Mapping[str | None, Regressions],
    genes: Sequence[str],
    regulators: Sequence[str],
    own: Ints,
    n_edges: int,
) -> RegulatorySets:
    """Return the network of the largest coefficients.

    Parameters
    ----------
    models
        Fitted linear models, by cell type, or under None for all.
    genes, regulators
        Names of the targets and of the features.
    own
        For each target, the feature that is not in its model, or -1.
    n_edges
        How many coefficients to keep over all models; of equal ones, the
        first (by cell type, target, then regulator).

    Raises
    ------
    UsageError
        If a model is not linear.
    """
    found: list[tuple[str | None, npt.NDArray[np.float64], Ints, Ints]] = []
    for cell_type, model in models.items():
        if not isinstance(model, LinearRegressions):
            raise not_prunable("The method")
        targets, features = _candidates(model, own)
        weights = np.empty(0)
        if targets.size:  # scipy cannot take nothing from a sparse matrix
            weights = np.abs(np.asarray(model.coefficients[targets, features]).ravel())
        found.append((cell_type, weights, targets, features))
    every = np.concatenate([weights for _, weights, _, _ in found])
    kept = _largest(every, n_edges)
    edges: list[tuple[str, str, str]] = []
    start = 0
    for cell_type, weights, targets, features in found:
        edges += [
            (regulators[features[k]], genes[targets[k]], cell_type or "")
            for k in np.flatnonzero(kept[start : start + weights.size])
        ]
        start += weights.size
    names = list(zip(*edges, strict=True)) if edges else [(), (), ()]
    if None in models:
        return RegulatorySets.from_edges(names[0], names[1])
    network = RegulatorySets.from_edges(names[0], names[1], names[2])
    # A cell type that loses all its edges still is one of the network's.
    typed = {str(c): network.by_cell_type.get(str(c), {}) for c in models}
    return RegulatorySets(network.regulators, typed)


def _largest(values: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.bool_]:
    """Mark the `n` largest values, of equal ones the first."""
    if n >= values.size:
        return np.ones(values.size, dtype=bool)
    least = np.partition(values, values.size - n)[values.size - n]
    kept: npt.NDArray[np.bool_] = values > least
    kept[np.flatnonzero(values == least)[: n - int(kept.sum())]] = True
    return kept


def _candidates(model: LinearRegressions, own: Ints) -> tuple[Ints, Ints]:
    """Return the (target, feature) pairs that are in a model, by target."""
    if model.candidates is not None:
        pairs = scipy.sparse.coo_array(model.candidates)
        targets, features = pairs.coords
        order = np.lexsort((features, targets))
        return targets[order].astype(np.intp), features[order].astype(np.intp)
    n_targets, p = model.coefficients.shape
    if not scipy.sparse.issparse(model.coefficients):
        mask = np.ones((n_targets, p), dtype=bool)
        having = np.flatnonzero(own >= 0)
        mask[having, own[having]] = False
        targets, features = np.nonzero(mask)
        return targets.astype(np.intp), features.astype(np.intp)
    return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
