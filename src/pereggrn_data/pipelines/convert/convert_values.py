"""The paper's preprocessing: filters, sums, size factors, logs, ranks, targets that moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from pereggrn_data.conversion import (
    CELL_TARGET,
    RANKS,
    SCALES,
    SIZE_FACTORS,
    CellFacts,
    CellFilter,
    ConversionReport,
    ConvertOptions,
    check_counts,
    stated_levels,
    total,
    total_counts,
    unmoved_rows,
)
from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.format import (
    CELL_TYPE,
    HIGHLY_VARIABLE_RANK,
    IS_CONTROL,
    LEVEL,
    MEASURED,
    NOT_MEASURED,
    OVERLAP,
    PERTURBATION,
    PERTURBATION_TYPE,
    SEPARATOR,
    TIMEPOINT,
)
from pereggrn_data.core.labels import genes_of
from pereggrn_data.core.prediction_types import FEWEST_CELLS
from pereggrn_data.loaders.files.datasets import matrix_in_memory
from pereggrn_data.pipelines.convert.convert_inputs import (
    N_CELLS,
    ChosenCells,
    ChosenGenes,
    ChosenValues,
)
from pereggrn_data.validators import Block, Matrix

if TYPE_CHECKING:
    from anndata import AnnData

EXACT_IN_FLOAT32 = 2**24


@dataclass
class Rows:
    """Rows of the output on their way.

    Parameters
    ----------
    obs
        Labels, types and groups; the number of cells where they are sums.
    values
        Rows by genes as they were read or summed; dense, or CSR.
    cells
        Names of the input's rows in each, for the report.
    """

    obs: pd.DataFrame
    values: Any
    cells: list[list[str]]

    def take(self, keep: npt.NDArray[np.bool_]) -> Rows:
        """Return some of the rows."""
        cells = [names for names, kept in zip(self.cells, keep, strict=True) if kept]
        return Rows(self.obs[keep], self.values[np.flatnonzero(keep)], cells)

    def names(self, rows: npt.NDArray[np.bool_]) -> list[str]:
        """Return the names of the input's rows in some of the rows."""
        return [name for i in np.flatnonzero(rows) for name in self.cells[i]]


class Preprocessing:
    """One walk through the steps, each of which notes its figure in the report."""

    def __init__(
        self,
        values: ChosenValues,
        genes: ChosenGenes,
        cells: ChosenCells,
        options: ConvertOptions,
        report: ConversionReport,
    ) -> None:
        self._values = values
        self._genes = genes
        self._cells = cells
        self._options = options
        self._report = report

    def run(self, limits: CellFilter) -> AnnData:
        """Make the dataset.

        Parameters
        ----------
        limits
            Filters of cells and genes.
        """
        self._filter_cells(limits)
        summed = self._values.are_counts and not self._options.cells
        rows = self._summed() if summed else self._single()
        if not rows.cells:
            raise InvalidDataError("No cell is left.", details=self._report.to_lines())
        rows, genes = self._filter_genes(rows, limits)
        x = self._normalised(rows)
        keep = self._moved(rows, x, genes)
        rows, x = rows.take(keep), x[np.flatnonzero(keep)]
        return self._dataset(rows, x, genes)

    def _filter_cells(self, limits: CellFilter) -> None:
        if not limits.is_on:
            return
        matrix = by_rows(self._values.matrix)
        kept = np.flatnonzero(self._genes.place >= 0)
        facts = CellFacts.of(matrix.shape[0], [self._genes.columns[j] for j in kept])
        for block in matrix.blocks():
            check_counts(block.values, self._values.slot, fractions=True)
            facts.add(block.row, sparse.csr_array(block.values)[:, kept])
        names = self._cells.table.index
        for what, gone in facts.dropped(limits).items():
            self._report.drop(what, names[gone & self._cells.keep])
            self._cells.keep[gone] = False
        self._report.decided["filters of cells"] = limits.limits()

    def _groups(self) -> tuple[npt.NDArray[np.intp], pd.DataFrame]:
        """Return the group of every row of the input (-1 for none), and a row per group."""
        table, grouping = self._cells.table, self._cells.grouping
        kept = table[self._cells.keep]
        by = kept.groupby(grouping, sort=True, observed=True, dropna=False)
        code = np.full(len(table), -1, dtype=np.intp)
        code[self._cells.keep] = by.ngroup().to_numpy()
        first = ~pd.Series(code[self._cells.keep]).duplicated().to_numpy()
        obs = kept[first].iloc[np.argsort(code[self._cells.keep][first], kind="stable")].copy()
        obs[N_CELLS] = np.bincount(code[code >= 0], minlength=len(obs))
        varying = [c for c in grouping if c == PERTURBATION or obs[c].nunique() > 1]
        named = ["__".join(map(str, row)) for row in obs[varying].itertuples(index=False)]
        obs.index = pd.Index(_numbered(named), dtype=object)
        return code, obs

    def _summed(self) -> Rows:
        code, obs = self._groups()
        n_genes = len(self._genes.names)
        sums = np.zeros((len(obs), n_genes))
        flat = sums.reshape(-1)

        def add(rows: Any, columns: Any, data: Any) -> None:
            at = code[rows].astype(np.int64) * n_genes + columns
            np.add.at(flat, at, data.astype(np.float64, copy=False))

        self._read(code, add)
        cells: list[list[str]] = [[] for _ in range(len(obs))]
        for name, group in zip(self._cells.table.index, code, strict=True):
            if group >= 0:
                cells[group].append(str(name))
        within = ", ".join(self._cells.grouping)
        self._report.decided["rows"] = f"sums of the counts within {within}: {len(obs)}"
        return self._without_empty(Rows(obs, sums, cells))

    def _single(self) -> Rows:
        keep = self._cells.keep
        code = np.full(len(keep), -1, dtype=np.intp)
        code[keep] = np.arange(int(keep.sum()))
        parts: list[tuple[Any, Any, Any]] = []
        dense = self._read(code, lambda r, c, d: parts.append((code[r], c, d)))
        shape = (int(keep.sum()), len(self._genes.names))
        joined = [np.concatenate([part[k] for part in parts]) for k in range(3)]
        # Sparse arrays sum what falls on one place: counts of genes of one name.
        values = sparse.csr_array((joined[2], (joined[0], joined[1])), shape=shape)
        obs = self._cells.table[keep].copy()
        cells = [[str(name)] for name in obs.index]
        obs.index = pd.Index(_numbered(map(str, obs.index)), dtype=object)
        repeated = [cell for (cell,), name in zip(cells, obs.index, strict=True) if cell != name]
        if repeated:
            self._report.assumed["names that several rows had, made unique by -1, -2, ..."] = (
                repeated
            )
        what = "cells" if self._values.are_counts else "rows, as logs cannot be summed"
        self._report.decided["rows"] = f"the input's {what}: {shape[0]}"
        rows = Rows(obs, values.toarray() if dense else values, cells)
        return self._without_empty(rows) if self._values.are_counts else rows

    def _read(self, code: npt.NDArray[np.intp], take: Callable[..., None]) -> bool:
        """Hand on the stored values of rows and genes that stay; say if the matrix is dense."""
        place, dense = self._genes.place, True
        for block in self._values.matrix.blocks():
            if self._values.are_counts:
                check_counts(
                    block.values, self._values.slot, fractions=self._options.estimated_counts
                )
            dense = dense and not sparse.issparse(block.values)
            rows, columns, data = _stored(block)
            inside = (code[rows] >= 0) & (place[columns] >= 0)
            take(rows[inside], place[columns[inside]], data[inside])
        return dense

    def _without_empty(self, rows: Rows) -> Rows:
        empty = total_counts(rows.values) <= 0
        self._report.drop("cells without a single count", rows.names(empty))
        return rows.take(~empty) if empty.any() else rows

    def _filter_genes(self, rows: Rows, limits: CellFilter) -> tuple[Rows, list[str]]:
        genes = self._genes.names
        least = limits.min_cells_per_gene
        if not least or not self._values.are_counts:
            return rows, genes
        detected = np.zeros(len(genes))
        keep = self._cells.keep
        for block in self._values.matrix.blocks():
            at, columns, data = _stored(block)
            inside = keep[at] & (self._genes.place[columns] >= 0) & (data > 0)
            detected += np.bincount(self._genes.place[columns[inside]], minlength=len(genes))
        targets = _targets(rows.obs)
        stays = (detected >= least) | np.array([gene in targets for gene in genes])
        gone = [gene for gene, kept in zip(genes, stays, strict=True) if not kept]
        self._report.drop(f"detected in fewer than {least} cells", gone, of="genes")
        kept_genes = [gene for gene, kept in zip(genes, stays, strict=True) if kept]
        return Rows(rows.obs, rows.values[:, np.flatnonzero(stays)], rows.cells), kept_genes

    def _normalised(self, rows: Rows) -> Any:
        """Return natural-log expression."""
        if self._values.scale is not None:
            convert = SCALES[self._values.scale].to_natural
            if sparse.issparse(rows.values):
                x = rows.values.astype(np.float64)
                x.data = convert(x.data)
                return x.astype(np.float32)
            return np.asarray(convert(rows.values), dtype=np.float32)
        single = self._options.cells
        name = str(self._options.size_factors)
        how = SIZE_FACTORS[name]
        is_total = how.compute is total
        factors = total(rows.values, CELL_TARGET) if single and is_total else how.compute(
            rows.values
        )  # fmt: skip
        if not (np.isfinite(factors).all() and (factors > 0).all()):
            raise InvalidDataError(
                f"Size factors by {name} cannot be computed.",
                expected="a positive factor for every row",
                got=f"{factors.min():g} for {rows.obs.index[int(np.argmin(factors))]}",
                fix="--size-factors total",
            )
        target = f" to {CELL_TARGET:g} per cell" if single and is_total else ""
        self._report.decided["size factors"] = (
            f"{name}{target}: {factors.min():.4g} to {factors.max():.4g}"
        )
        self._report.decided["values"] = "natural log of 1 + counts / size factors"
        if sparse.issparse(rows.values):
            scaled = sparse.csr_array(rows.values.astype(np.float64))
            scaled.data = np.log1p(scaled.data / np.repeat(factors, np.diff(scaled.indptr)))
            return scaled.astype(np.float32)
        x = rows.values / factors[:, None]
        return np.log1p(x, out=x).astype(np.float32)

    def _moved(self, rows: Rows, x: Any, genes: list[str]) -> npt.NDArray[np.bool_]:
        obs = rows.obs
        if self._options.unmoved == "keep":
            return np.ones(len(obs), bool)
        within = [c for c in (CELL_TYPE, TIMEPOINT) if c in obs]
        together = self._options.cells or self._look_like_cells(obs)
        unmoved = unmoved_rows(
            x, list(obs[PERTURBATION]), list(obs[PERTURBATION_TYPE]),
            obs[IS_CONTROL].to_numpy(bool), list(obs[within].itertuples(index=False, name=None))
            if within else [()] * len(obs), genes,
            together=together, largest_p=self._options.moved_p,
        )  # fmt: skip
        what = "cells of samples whose target did not move as intended"
        samples, cells = list(map(str, obs.index[unmoved])), rows.names(unmoved)
        # Rows that are cells, or are kept as they were read, are not named twice.
        self._report.drop(what if samples == cells else f"{what}: {first_few(samples)}", cells)
        self._report.decided["samples whose target did not move"] = f"{int(unmoved.sum())} removed"
        if (unmoved | obs[IS_CONTROL].to_numpy(bool)).all():
            raise InvalidDataError(
                "No perturbed sample is left: no target moved as intended.",
                expected="targets that rise with overexpression and fall with knockdown",
                got=f"{int(unmoved.sum())} samples whose target did not",
                fix="check --type and --control, or keep them with --unmoved keep.",
            )
        return ~unmoved

    def _look_like_cells(self, obs: pd.DataFrame) -> bool:
        """Say whether values without counts, whose rows stay, are of cells and not of samples."""
        if self._values.are_counts:
            return False
        labels = obs.loc[~obs[IS_CONTROL].to_numpy(bool), PERTURBATION]
        usual = float(labels.value_counts().median()) if len(labels) else 0.0
        if usual < FEWEST_CELLS:
            return False
        self._report.assumed["rows are cells, whose targets are judged together"] = (
            f"{usual:g} a perturbation (median)"
        )
        return True

    def _dataset(self, rows: Rows, x: Any, genes: list[str]) -> AnnData:
        import anndata

        obs, options = rows.obs.copy(), self._options
        levels = stated_levels(
            x, list(obs[PERTURBATION]), list(obs[PERTURBATION_TYPE]),
            obs[IS_CONTROL].to_numpy(bool), genes,
            knockout_measured=options.knockout_level == "measured",
        )  # fmt: skip
        several = any(SEPARATOR in level for level in levels)
        obs[LEVEL] = levels if several else np.array(levels, dtype=np.float64)
        first = [PERTURBATION, IS_CONTROL, PERTURBATION_TYPE, LEVEL]
        obs = obs[[*first, *(c for c in obs.columns if c not in first)]]
        rank = RANKS[str(options.rank)]
        var = pd.DataFrame(index=pd.Index(genes, dtype=object))
        var[HIGHLY_VARIABLE_RANK] = rank.compute(rows.values if rank.on_counts else x)
        self._report.decided["rank"] = f"{options.rank}: {rank.about}"
        targets, measured = _targets(obs), set(genes)
        uns = {
            MEASURED: np.array(sorted(targets & measured), dtype=object),
            NOT_MEASURED: np.array(sorted(targets - measured), dtype=object),
            OVERLAP: any(SEPARATOR in label for label in obs[PERTURBATION]),
        }
        adata = anndata.AnnData(X=x, obs=obs, var=var, uns=uns)
        adata.raw = anndata.AnnData(X=_compact(rows.values), obs=obs[[]], var=var[[]])
        if not self._values.are_counts:
            self._report.assumed["raw"] = "the values as they were read: there are no counts"
        return adata


def by_rows(matrix: Matrix) -> Matrix:
    """Return a matrix whose blocks are whole rows; one stored by columns is read into memory."""
    first = next(iter(matrix.blocks()), None)
    if first is None or first.values.shape[1] == matrix.shape[1]:
        return matrix
    parts = [block.values for block in matrix.blocks()]
    return matrix_in_memory(sparse.csr_array(sparse.hstack(parts)))


def _stored(block: Block) -> tuple[Any, Any, Any]:
    """Return rows and columns in the whole matrix, and values, of what a block stores."""
    stored = sparse.coo_array(block.values)
    return stored.row + block.row, stored.col + block.column, stored.data


def _targets(obs: pd.DataFrame) -> set[str]:
    labels = set(obs[PERTURBATION][~obs[IS_CONTROL].to_numpy(bool)])
    return {gene for label in labels for gene in genes_of(label)}


def _numbered(names: Any) -> list[str]:
    """Make names unique: the second of one name gets -1, and so on."""
    listed = list(names)
    taken, out = set(listed), []
    seen: dict[str, int] = {}
    for name in listed:
        new = name
        while name in seen and new in taken:
            new = f"{name}-{seen[name]}"
            seen[name] += 1
        seen.setdefault(name, 1)
        taken.add(new)
        out.append(new)
    return out


def _compact(values: Any) -> Any:
    """Return counts in 32 bits where these hold them exactly."""
    data = values.data if sparse.issparse(values) else values
    largest = np.abs(data).max() if data.size else 0
    return values.astype(np.float32) if largest < EXACT_IN_FLOAT32 else values
