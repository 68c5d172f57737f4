"""From a regulatory network to the matrix that drives the simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.format import NETWORK_COLUMNS, SEPARATOR

NetworkLike: TypeAlias = pd.DataFrame | tuple[Any, Sequence[str]]
"""A table of edges, or a matrix (targets in rows, regulators in columns) and its gene names."""

EIGENVALUE = "largest absolute eigenvalue"
ROW_SUM = "largest absolute row sum"

_NEGLIGIBLE = 1e-6
"""Eigenvalues this small next to the row sums are rounding errors of zero."""


@dataclass(frozen=True)
class Influence:
    """What each gene does to each other gene in one step.

    Parameters
    ----------
    genes
        Names, in the order of rows and columns.
    matrix
        Genes by genes; entry [i, j] is the effect of gene j on gene i.
    scaled_by
        The quantity that was brought to `scaled_to`; None before scaling.
    scaled_to
        Its value now.
    """

    genes: tuple[str, ...]
    matrix: sparse.csr_array[Any]
    scaled_by: str | None = None
    scaled_to: float = math.nan


def influence_of(network: NetworkLike) -> Influence:
    """Read a network as an influence matrix, not yet scaled.

    Parameters
    ----------
    network
        Either a table with columns ``regulator`` and ``target``: entry
        [i, j] is 1 where gene j regulates gene i, whatever the ``weight``,
        for the genes that are both regulators and targets, sorted by name.
        Or a pair of a square matrix (NumPy or SciPy sparse; targets in rows,
        regulators in columns) and the names of its genes, all of which are
        kept, with the matrix's values.

    Raises
    ------
    InvalidDataError
        If the network is malformed or empty, or if none of its edges join
        genes that are both regulators and targets.
    """
    if isinstance(network, pd.DataFrame):
        influence = _from_table(network)
    elif isinstance(network, tuple) and len(network) == 2:
        influence = _from_matrix(*network)
    else:
        raise UsageError(
            "The network has to be a table of edges, or a matrix with gene names.",
            expected="a DataFrame with columns regulator and target, or (matrix, names)",
            got=type(network).__name__,
        )
    _check_names(influence.genes)
    return influence


def scaled(influence: Influence, to: float) -> Influence:
    """Scale the matrix so that its largest absolute eigenvalue is `to`.

    All eigenvalues of a network without cycles are 0. It is scaled by its
    largest row sum of absolute values instead, and the result says so.
    """
    radius = spectral_radius(influence.matrix)
    row_sum = float(abs(influence.matrix).sum(axis=1).max())
    by, size = (EIGENVALUE, radius) if radius > _NEGLIGIBLE * row_sum else (ROW_SUM, row_sum)
    return replace(influence, matrix=influence.matrix * (to / size), scaled_by=by, scaled_to=to)


def spectral_radius(matrix: sparse.csr_array[Any]) -> float:
    """Return the largest absolute eigenvalue of a square matrix.

    Eigenvalues come from the strongly connected parts of the graph alone.
    Taking those one by one is faster, and gives exactly 0 without cycles,
    where solvers for general matrices give rounding errors that are not small.

    Parameters
    ----------
    matrix
        Genes by genes.

    Examples
    --------
    >>> cycle = sparse.csr_array([[0, 4, 0], [1, 0, 0], [1, 1, 0]])
    >>> round(spectral_radius(cycle), 12)
    2.0
    """
    n_parts, part = connected_components(matrix, directed=True, connection="strong")
    sizes = np.bincount(part, minlength=n_parts)
    alone = sizes[part] == 1
    radius = float(np.abs(matrix.diagonal()[alone]).max(initial=0.0))
    for k in np.flatnonzero(sizes > 1):
        members = np.flatnonzero(part == k)
        block = matrix[members][:, members].toarray()
        radius = max(radius, float(np.abs(np.linalg.eigvals(block)).max()))
    return radius


def _from_table(edges: pd.DataFrame) -> Influence:
    missing = [name for name in NETWORK_COLUMNS[:2] if name not in edges.columns]
    if missing:
        raise InvalidDataError(
            f"The network has no column {first_few(missing)}.",
            expected="columns regulator and target, one row per edge",
            got=f"columns {first_few(edges.columns)}",
        )
    if edges.empty:
        raise InvalidDataError("The network is empty.", expected="one row per edge", got="no row")
    pairs = edges[list(NETWORK_COLUMNS[:2])]
    nameless = int(pairs.isna().any(axis=1).sum())
    if nameless:
        raise InvalidDataError(
            f"{nameless} of {len(pairs)} edges lack a regulator or a target.",
            fix="drop them: network.dropna(subset=['regulator', 'target']).",
        )
    regulators = pairs["regulator"].astype(str).to_numpy(dtype=object)
    targets = pairs["target"].astype(str).to_numpy(dtype=object)
    genes = sorted(set(regulators) & set(targets))
    if not genes:
        raise InvalidDataError(
            "No gene of the network is both a regulator and a target.",
            expected="at least two, with an edge between them: only those are simulated",
            got=f"{len(set(regulators))} regulators, {len(set(targets))} targets, none in common",
            fix="check that both columns use the same kind of gene name.",
        )
    position = pd.Index(genes, dtype=object)
    columns, rows = position.get_indexer(regulators), position.get_indexer(targets)
    inside = (rows >= 0) & (columns >= 0)
    if not inside.any():
        raise InvalidDataError(
            "No edge of the network joins two genes that are both regulators and targets.",
            expected="at least one: only those genes are simulated",
            got=f"{len(genes)} such gene(s), {first_few(genes)}, and no edge among them",
            fix="for a small network, give (matrix, gene names): then all its genes are kept.",
        )
    coordinates = np.unique(np.stack([rows[inside], columns[inside]]), axis=1)
    return _influence(genes, np.ones(coordinates.shape[1]), coordinates)


def _from_matrix(given: Any, names: Sequence[str]) -> Influence:
    genes = [str(name) for name in names]
    is_sparse: bool = sparse.issparse(given)
    array = given if is_sparse else np.atleast_2d(np.asarray(given))
    if array.dtype.kind not in "biuf":
        raise InvalidDataError(
            "The network's matrix holds something else than numbers.",
            expected="the effect of each regulator (columns) on each target (rows), 0 for none",
            got=f"dtype {array.dtype}",
        )
    coo = sparse.coo_array(array)
    if coo.shape != (len(genes), len(genes)):
        raise InvalidDataError(
            "The network's matrix does not fit its gene names.",
            expected=f"{len(genes)} x {len(genes)}, targets in rows and regulators in columns",
            got=" x ".join(map(str, coo.shape)),
        )
    if len(set(genes)) < len(genes):
        twice = [gene for gene, n in pd.Series(genes).value_counts().items() if n > 1]
        raise InvalidDataError(
            f"{len(twice)} gene name(s) occur more than once in the network's matrix.",
            expected="distinct names",
            got=first_few(twice),
        )
    if not np.isfinite(coo.data).all():
        raise InvalidDataError(
            "The network's matrix is not finite.",
            expected="finite numbers",
            got=f"{int((~np.isfinite(coo.data)).sum())} NaN or infinite entries",
        )
    # Entries given twice in a sparse matrix mean their sum.
    summed = sparse.csr_array(coo, dtype=np.float64).tocoo()
    effect = summed.data != 0
    if not effect.any():
        raise InvalidDataError("The network is empty.", expected="effects", got="only zeros")
    return _influence(genes, summed.data[effect], np.stack([summed.row, summed.col])[:, effect])


def _influence(
    genes: Sequence[str],
    effects: npt.NDArray[np.float64],
    coordinates: npt.NDArray[np.integer[Any]],
) -> Influence:
    shape = (len(genes), len(genes))
    matrix = sparse.csr_array((effects, tuple(coordinates)), shape=shape)
    matrix.sort_indices()
    return Influence(tuple(genes), matrix)


def _check_names(genes: Sequence[str]) -> None:
    """Refuse names that a comma-separated perturbation label cannot hold."""
    bad = [repr(g) for g in genes if not g or SEPARATOR in g or any(c.isspace() for c in g)]
    if bad:
        raise InvalidDataError(
            f"{len(bad)} gene name(s) of the network cannot stand in a perturbation label.",
            expected="names without commas and white space, and not empty",
            got=first_few(bad),
            fix="rename them.",
        )
