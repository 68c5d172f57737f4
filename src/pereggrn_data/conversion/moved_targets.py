"""Did the perturbed genes move as intended, and which level is stated for them?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.format import SEPARATOR, PerturbationType
from pereggrn_data.core.labels import genes_of

DIRECTIONS: Mapping[str, int] = {
    PerturbationType.OVEREXPRESSION: 1,
    PerturbationType.KNOCKDOWN: -1,
}
"""Which way the target's expression goes. Knockouts are not asked: their transcripts
may still be made, and even rise as the cell compensates."""


def unmoved_rows(
    x: Any,
    labels: Sequence[str],
    types: Sequence[str],
    is_control: npt.NDArray[np.bool_],
    strata: Sequence[object],
    genes: Sequence[str],
    *,
    together: bool = False,
    largest_p: float | None = None,
) -> npt.NDArray[np.bool_]:
    """Say which rows have a measured target that did not move as intended.

    Parameters
    ----------
    x
        Rows by genes, natural-log expression, dense or sparse.
    labels, types, is_control
        Of the rows, as in the uniform format.
    strata
        Rows are compared with controls of the same one (cell type and time point);
        with all controls where it has none.
    genes
        Of the columns.
    together
        Whether the mean of all rows of a perturbation decides for all of them, as
        single cells say nothing one by one.
    largest_p
        Where given, and there are two rows of the perturbation and two controls or
        more, all its rows are removed if a one-sided t-test has a larger p-value.
    """
    position = {gene: j for j, gene in enumerate(genes)}
    unmoved = np.zeros(len(labels), bool)
    columns: dict[int, npt.NDArray[np.float64]] = {}
    stratum_of = np.array([hash(s) for s in strata])
    for (label, kind, stratum), rows in _groups(labels, types, stratum_of, is_control).items():
        direction = DIRECTIONS.get(kind)
        if direction is None:
            continue
        beside = np.flatnonzero(is_control & (stratum_of == stratum))
        controls = beside if len(beside) else np.flatnonzero(is_control)
        for gene in genes_of(label):
            if gene in position and len(controls):
                j = position[gene]
                values = _cached(columns, x, j)
                unmoved[rows] |= ~_moved(
                    values[rows], values[controls], direction, together, largest_p
                )
    return unmoved


def _moved(
    treated: npt.NDArray[np.float64],
    controls: npt.NDArray[np.float64],
    direction: int,
    together: bool,
    largest_p: float | None,
) -> npt.NDArray[np.bool_]:
    if largest_p is not None and len(treated) > 1 and len(controls) > 1:
        return np.full(len(treated), _p_value(treated, controls, direction) < largest_p)
    if together:
        treated = np.full(len(treated), treated.mean())
    moved: npt.NDArray[np.bool_] = direction * (treated - controls.mean()) > 0
    return moved


def _p_value(
    treated: npt.NDArray[np.float64], controls: npt.NDArray[np.float64], direction: int
) -> float:
    from scipy.stats import ttest_ind

    if treated.std() == 0 and controls.std() == 0:  # the test divides by it
        return 0.0 if direction * (treated.mean() - controls.mean()) > 0 else 1.0
    way = "greater" if direction > 0 else "less"
    with warnings.catch_warnings():
        # SciPy warns where all values of one side are equal, which is well defined here.
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(ttest_ind(treated, controls, alternative=way).pvalue)


def _groups(
    labels: Sequence[str],
    types: Sequence[str],
    strata: npt.NDArray[np.int64],
    is_control: npt.NDArray[np.bool_],
) -> dict[tuple[str, str, int], npt.NDArray[np.intp]]:
    rows: dict[tuple[str, str, int], list[int]] = {}
    for i in map(int, np.flatnonzero(~is_control)):
        rows.setdefault((labels[i], types[i], int(strata[i])), []).append(i)
    return {key: np.array(at, dtype=np.intp) for key, at in rows.items()}


def stated_levels(
    x: Any,
    labels: Sequence[str],
    types: Sequence[str],
    is_control: npt.NDArray[np.bool_],
    genes: Sequence[str],
    *,
    knockout_measured: bool = False,
) -> list[str]:
    """Return what is stated as the level of the perturbed genes after perturbation.

    Parameters
    ----------
    x, labels, types, is_control, genes
        As in :func:`unmoved_rows`.
    knockout_measured
        Whether knocked-out genes have the level in `x` rather than 0.

    Returns
    -------
    list of str
        One text per row: a level per gene of the label, joined by commas; ``nan``
        for controls, and for genes that are not measured.
    """
    position = {gene: j for j, gene in enumerate(genes)}
    columns: dict[int, npt.NDArray[np.float64]] = {}
    stated = []
    for i, label in enumerate(labels):
        parts = []
        for gene in genes_of(label):
            j = position.get(gene)
            if is_control[i] or j is None:
                parts.append("nan")
            elif types[i] == PerturbationType.KNOCKOUT and not knockout_measured:
                parts.append("0.0")
            else:
                values = _cached(columns, x, j)
                parts.append(repr(float(values[i])))
        stated.append(SEPARATOR.join(parts))
    return stated


def _column(x: Any, j: int) -> npt.NDArray[np.float64]:
    column = x[:, [j]]
    dense = column.toarray() if sparse.issparse(column) else column
    return np.asarray(dense, dtype=np.float64).ravel()


def _cached(
    columns: dict[int, npt.NDArray[np.float64]], x: Any, j: int
) -> npt.NDArray[np.float64]:
    if j not in columns:
        columns[j] = _column(x, j)
    return columns[j]
