"""Which genes differ between the cells of a group and controls: rank tests by illico.

The only place that knows illico. Its tests are Wilcoxon's and Mann and Whitney's
(asymptotic, corrected for ties and for continuity), equal to SciPy's ``mannwhitneyu``
except where there is no difference at all: p is just below 1 there instead of 1.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from pereggrn_data.core.arrays import Bools, Floats, Ints, Matrix
from pereggrn_data.core.errors import MissingExtraError
from pereggrn_data.core.resources import resources
from pereggrn_data.evaluators.metrics.cell_groups import (
    CellGroups,
    count_means,
    counts_per_million,
    stacked_cells,
)

ALPHA = 0.05
"""A gene is significant below this, after Benjamini and Hochberg."""

FEWEST_COUNTS_PER_MILLION = 5.0
"""Genes with no more counts in the controls are not tested."""

_PSEUDO_COUNT = 1e-9
_BLOCK_BYTES = 1 << 27
_CELLS_AT_ONCE = 4096


@dataclass(frozen=True)
class DifferentialExpression:
    """What differs between the cells of one group and controls, over the tested genes.

    Parameters
    ----------
    significant
        (tested,) whether a gene differs, at 0.05 after Benjamini and Hochberg.
    log2_fold_change
        (tested,) of arithmetic means on the scale of counts; NaN where nothing is known.
    """

    significant: Bools
    log2_fold_change: Floats

    @classmethod
    def of(cls, p_values: Floats, log2_fold_change: Floats) -> DifferentialExpression:
        """Correct p-values, (tested,), and say what is significant."""
        found = np.zeros(len(p_values), dtype=bool)
        if len(p_values):
            from scipy.stats import false_discovery_control  # slow to import

            found = false_discovery_control(p_values) < ALPHA
        return cls(found & np.isfinite(log2_fold_change), log2_fold_change)

    @property
    def tested(self) -> bool:
        """Whether any gene is tested."""
        return len(self.significant) > 0

    def ranked(self) -> Ints:
        """Return the significant genes, the largest fold changes first."""
        order = np.argsort(-np.abs(self.log2_fold_change), kind="stable")
        return np.asarray(order[self.significant[order]], dtype=np.intp)


def tested_genes(controls: Matrix) -> Ints:
    """Choose genes by the controls alone: those with more than 5 counts per million.

    Parameters
    ----------
    controls
        (cells, genes) natural-log expression.
    """
    return np.flatnonzero(counts_per_million(controls) > FEWEST_COUNTS_PER_MILLION)


def differential_expression(
    cells: CellGroups,
    groups: Iterable[int],
    controls: Matrix,
    genes: Ints,
    *,
    threads: int | None = None,
) -> Iterator[tuple[int, Floats, Floats]]:
    """Test every gene of every group against controls.

    Parameters
    ----------
    cells
        Of all groups.
    groups
        Which of them are tested.
    controls
        (controls, all genes) natural-log expression.
    genes
        (tested,) positions of the genes.
    threads
        By default one per processor.

    Yields
    ------
    int, ndarray, ndarray
        A group, and (tested,) p-values and log2 fold changes. A gene that is the same in
        all cells has a p-value of 1.
    """
    if not len(genes):
        return
    base = controls[:, genes]
    of_controls = count_means(base) + _PSEUDO_COUNT
    for block in _blocks(cells, groups, max(base.shape[0], _CELLS_AT_ONCE)):
        parts = [cells.of(k)[:, genes] for k in block]
        p_values = rank_sum_tests(base, parts, threads=threads)
        for k, part, p in zip(block, parts, p_values, strict=True):
            yield k, p, np.log2((count_means(part) + _PSEUDO_COUNT) / of_controls)


def _blocks(cells: CellGroups, groups: Iterable[int], most: int) -> Iterator[list[int]]:
    """Take groups together: controls are sorted once per block, whose cells are in memory."""
    block: list[int] = []
    n = 0
    for k in groups:
        size = len(cells.rows[k])
        if block and n + size > most:
            yield block
            block, n = [], 0
        block.append(k)
        n += size
    if block:
        yield block


def rank_sum_tests(
    controls: Matrix, groups: list[Matrix], *, threads: int | None = None
) -> Floats:
    """Compare groups of cells with the same controls, gene by gene.

    Parameters
    ----------
    controls
        (controls, genes) values; only their order matters.
    groups
        Per group, (cells, genes).
    threads
        By default one per processor.

    Returns
    -------
    ndarray
        (groups, genes) two-sided p-values of the rank sum test.
    """
    sizes = [part.shape[0] for part in (controls, *groups)]
    codes = np.repeat(np.arange(len(sizes)), sizes)
    n_genes = controls.shape[1]
    at_once = max(1, _BLOCK_BYTES // (8 * max(len(codes), 1)))
    result = np.empty((len(groups), n_genes))
    for start in range(0, n_genes, at_once):
        columns = slice(start, start + at_once)
        whole = stacked_cells([part[:, columns] for part in (controls, *groups)])
        result[:, columns] = _p_values(whole, codes, threads or resources().workers)
    return result


def _p_values(matrix: Matrix, codes: Ints, threads: int) -> Floats:
    import anndata
    import pandas as pd

    # Sorted as text, labels are in the order of their codes; the controls are the first.
    labels = np.array([f"{k:09d}" for k in range(int(codes[-1]) + 1)], dtype=object)
    obs = pd.DataFrame({"group": labels[codes]}, index=[str(i) for i in range(len(codes))])
    # It draws a bar on stderr that nothing else switches off.
    with contextlib.redirect_stderr(io.StringIO()):
        found = require_illico()(
            anndata.AnnData(matrix, obs=obs),
            is_log1p=True,
            group_keys="group",
            reference=labels[0],
            n_threads=threads,
        )
    values = found["p_value"].to_numpy(np.float64).reshape(len(labels), matrix.shape[1])
    return np.asarray(values[1:])


@cache
def require_illico() -> Callable[..., Any]:
    """Return the function of illico that tests; it is imported when it is first needed.

    Raises
    ------
    MissingExtraError
        If it, or statsmodels, which illico 0.6 needs and does not name, is not installed.
    """
    try:
        from loguru import logger

        logger.disable("illico")
        from illico import asymptotic_wilcoxon
    except ImportError as error:
        raise MissingExtraError(
            "Metrics of cells need the extra 'cells' of pereggrn-data.",
            expected="illico and statsmodels",
            got=f"{error}",
            fix="pip install 'pereggrn-data[cells]'; or leave out --cell-metrics.",
        ) from error
    test: Callable[..., Any] = asymptotic_wilcoxon
    return test
