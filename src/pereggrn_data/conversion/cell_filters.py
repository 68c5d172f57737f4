"""Which cells are too shallow, too deep or damaged: off unless asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from pereggrn_data.core.errors import UsageError, first_few

TOP = 50
"""How many of a cell's highest genes are looked at together."""

_MITOCHONDRIAL = re.compile(r"mt-", re.IGNORECASE)
_RIBOSOMAL = re.compile(r"RP[SL]\d|RPLP\d|RPSA(?!P)", re.IGNORECASE)


@dataclass(frozen=True)
class CellFilter:
    """Limits for cells and genes; None where there is none.

    Parameters
    ----------
    min_umis, max_umis
        Fewest and most counts of a cell.
    max_umis_percentile
        Percentile of all cells' counts above which a cell is dropped.
    max_top50, max_mitochondrial, max_ribosomal
        Largest share of a cell's counts in its 50 highest genes, in mitochondrial
        genes, and in genes of ribosomal proteins.
    min_cells_per_gene
        Fewest cells in which a gene that is not perturbed is detected.
    limit_is_dropped
        Whether a cell whose share equals a limit is dropped.
    """

    min_umis: float | None = None
    max_umis: float | None = None
    max_umis_percentile: float | None = None
    max_top50: float | None = None
    max_mitochondrial: float | None = None
    max_ribosomal: float | None = None
    min_cells_per_gene: int | None = None
    limit_is_dropped: bool = False

    def limits(self) -> dict[str, float]:
        """Return the limits that are set."""
        return {n: getattr(self, n) for n in self.names() if getattr(self, n) is not None}

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of the limits, which are those of options too."""
        return [f.name for f in fields(cls) if f.name != "limit_is_dropped"]

    @property
    def is_on(self) -> bool:
        """Whether cells are looked at."""
        return any(name != "min_cells_per_gene" for name in self.limits())


PRESETS: Mapping[str, CellFilter] = {
    "replogle1": CellFilter(
        min_umis=2000, max_umis=17_000, max_top50=0.4, max_mitochondrial=0.2, max_ribosomal=0.3,
        min_cells_per_gene=10,
    ),
    "frangieh": CellFilter(
        min_umis=6001, max_umis_percentile=99, max_top50=0.3, max_mitochondrial=0.1,
        max_ribosomal=0.2, limit_is_dropped=True,
    ),
}  # fmt: skip
"""Filters of the paper's Methods, by the dataset that they were made for."""


def filter_of(preset: str | None, given: Mapping[str, Any]) -> CellFilter:
    """Return a preset, or no limits, with the limits that were given in their place."""
    base = CellFilter() if preset is None else PRESETS[preset]
    return replace(base, **{name: v for name, v in given.items() if v is not None})


@dataclass
class CellFacts:
    """Counts of every cell, filled block by block."""

    total: npt.NDArray[np.float64]
    top: npt.NDArray[np.float64]
    mitochondrial: npt.NDArray[np.float64]
    ribosomal: npt.NDArray[np.float64]
    genes: Sequence[str] = field(repr=False)

    @classmethod
    def of(cls, n_cells: int, genes: Sequence[str]) -> CellFacts:
        """Return facts of cells of which nothing was read yet."""
        total, top, mitochondrial, ribosomal = np.zeros((4, n_cells))
        return cls(total, top, mitochondrial, ribosomal, genes)

    def __post_init__(self) -> None:
        self._is_mt = np.array([bool(_MITOCHONDRIAL.match(g)) for g in self.genes])
        self._is_rp = np.array([bool(_RIBOSOMAL.match(g)) for g in self.genes])

    def add(self, start: int, block: Any) -> None:
        """Take in whole rows, from row `start` on."""
        rows = sparse.csr_array(block).astype(np.float64)
        at = slice(start, start + rows.shape[0])
        self.total[at] = rows.sum(axis=1)
        self.mitochondrial[at] = rows @ self._is_mt
        self.ribosomal[at] = rows @ self._is_rp
        for i in range(rows.shape[0]):
            values = rows.data[rows.indptr[i] : rows.indptr[i + 1]]
            if len(values) > TOP:
                values = np.partition(values, len(values) - TOP)[-TOP:]
            self.top[start + i] = values.sum()

    def dropped(self, limits: CellFilter) -> dict[str, npt.NDArray[np.bool_]]:
        """Return, by reason, which cells are dropped; each for its first reason only.

        Raises
        ------
        UsageError
            If a share is limited of genes of which none is there.
        """
        self._check_genes("mitochondrial", limits.max_mitochondrial, self._is_mt)
        self._check_genes("ribosomal", limits.max_ribosomal, self._is_rp)
        most = limits.max_umis_percentile
        tests = (
            ("fewer counts than {}", limits.min_umis, lambda v: self.total < v),
            ("more counts than {}", limits.max_umis, lambda v: self.total > v),
            ("more counts than percentile {}", most,
             lambda v: self.total > np.percentile(self.total, v)),
            ("more than {} of the counts in 50 genes", limits.max_top50,
             lambda v: self._above(self.top, v, limits)),
            ("more than {} of the counts mitochondrial", limits.max_mitochondrial,
             lambda v: self._above(self.mitochondrial, v, limits)),
            ("more than {} of the counts ribosomal", limits.max_ribosomal,
             lambda v: self._above(self.ribosomal, v, limits)),
        )  # fmt: skip
        gone = np.zeros(len(self.total), bool)
        found = {}
        for what, limit, test in tests:
            if limit is None:
                continue
            hit = test(limit) & ~gone
            gone |= hit
            found[what.format(f"{limit:g}")] = hit
        return found

    def _above(
        self, part: npt.NDArray[np.float64], limit: float, limits: CellFilter
    ) -> npt.NDArray[np.bool_]:
        share = part / np.maximum(self.total, 1)
        return share >= limit if limits.limit_is_dropped else share > limit

    def _check_genes(self, what: str, limit: float | None, hit: npt.NDArray[np.bool_]) -> None:
        if limit is not None and not hit.any():
            raise UsageError(
                f"No gene is known to be {what}, so that nothing can be filtered by it.",
                expected="symbols such as MT-CO1 and RPS6",
                got=first_few(self.genes),
                fix=f"leave --max-{what} out, or name the symbols with --symbols var:COLUMN.",
            )
