"""Files of counts as people have them: h5ad, zarr, Cell Ranger's, tables."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.errors import InvalidDataError, MissingFileError, UsageError, first_few
from pereggrn_data.core.foreign_reading import let_through
from pereggrn_data.core.sizes import require_memory
from pereggrn_data.loaders.files.any_file import (
    existing_path,
    refuse_other_kind,
    required_file,
    user_path,
)
from pereggrn_data.loaders.files.datasets import (
    compressed_matrix,
    is_there,
    matrix_in_file,
    matrix_in_memory,
    matrix_in_zarr,
    open_zarr,
    refuse_objects,
    require_anndata,
)
from pereggrn_data.loaders.files.hdf5 import H5adReader, open_h5ad, open_hdf5, read_any
from pereggrn_data.loaders.files.tables import (
    plain_frame,
    read_parquet_frame,
    text_ending,
    text_table,
    unpacked_bytes,
)
from pereggrn_data.validators import READ_FAILURES, Matrix

if TYPE_CHECKING:
    from anndata import AnnData

LAYER = "layer:"

_Read = TypeVar("_Read")


@dataclass(frozen=True)
class CountSource:
    """An open file: its tables in memory, its matrices wherever they are.

    Parameters
    ----------
    name
        As the user named it.
    obs
        A row per cell, plain types.
    matrices
        By ``X``, ``raw`` and ``layer:NAME``: cells by genes.
    tables
        A row per gene, for each matrix.
    log1p
        ``uns["log1p"]``, where there is one.
    notes
        What had to be assumed to read it.
    """

    name: str
    obs: pd.DataFrame
    matrices: Mapping[str, Matrix]
    tables: Mapping[str, pd.DataFrame]
    log1p: Any = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def open_counts(
    source: Any, *, obs: Path | None = None, genes_in_rows: bool = False
) -> Iterator[CountSource]:
    """Open whatever holds counts.

    Parameters
    ----------
    source
        An AnnData object, or the path of an ``.h5ad`` file, a ``.zarr`` folder, Cell
        Ranger's ``.h5`` file or folder with ``matrix.mtx``, or a table (CSV, TSV,
        parquet) with a row per cell.
    obs
        Table whose first column names cells, to be joined to theirs.
    genes_in_rows
        Whether a table has a row per gene.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it cannot be read, or `obs` names none of the cells.
    UsageError
        If it is of no known kind.
    """
    if hasattr(source, "obs") and hasattr(source, "var"):
        yield _joined(_of_anndata(source, "(in memory)"), obs)
        return
    path = existing_path(source)
    if path is None:
        raise MissingFileError.at(user_path(source))
    if path.is_dir() or text_ending(path) or path.suffix.lower() == ".parquet":
        yield _joined(_in_memory(path, genes_in_rows), obs)
        return
    refuse_other_kind(path, "hdf5", "an .h5ad file, or an .h5 file of Cell Ranger")
    if _is_cell_ranger(path):
        with open_hdf5(path) as file:
            yield _joined(_explained(path, lambda: _of_cell_ranger(file, str(path))), obs)
        return
    with open_h5ad(path) as reader:
        yield _joined(_explained(path, lambda: _of_h5ad(reader)), obs)


def _is_cell_ranger(path: Path) -> bool:
    """Say whether an HDF5 file has barcodes beside a matrix, as Cell Ranger's have."""
    try:
        with open_hdf5(path) as file:
            groups = [g for g in file.values() if isinstance(g, h5py.Group)]
            return "obs" not in file and any("barcodes" in g for g in groups)
    except READ_FAILURES as error:
        let_through(error)
        return False  # what is wrong is said by whoever reads it


def _in_memory(path: Path, genes_in_rows: bool) -> CountSource:
    if path.is_dir():
        if any(path.glob("*matrix.mtx*")):
            return _explained(path, lambda: _of_mtx(path))
        if (path / ".zgroup").exists() or (path / "zarr.json").exists():
            return _explained(path, lambda: _of_zarr(path))
        raise UsageError(
            f"{path} is no folder of counts.",
            expected="matrix.mtx(.gz) with features and barcodes, or a zarr store",
            got=first_few(sorted(p.name for p in path.iterdir())) or "an empty folder",
        )
    return _explained(path, lambda: _of_table(path, genes_in_rows))


def _explained(path: Path, read: Callable[[], _Read]) -> _Read:
    try:
        return read()
    except (*READ_FAILURES, UnicodeDecodeError, pd.errors.ParserError) as error:
        let_through(error)
        raise InvalidDataError(
            f"{path} cannot be read as counts: {type(error).__name__}: {error}".split("\n")[0],
            expected="a complete .h5ad, .zarr, Cell Ranger .h5 or mtx folder, CSV, TSV or parquet",
        ) from error


def _of_anndata(adata: AnnData, name: str) -> CountSource:
    var = plain_frame(adata.var)
    matrices, tables = {}, {}
    if adata.X is not None:
        matrices["X"], tables["X"] = matrix_in_memory(adata.X), var
    if adata.raw is not None:
        matrices["raw"] = matrix_in_memory(adata.raw.X)
        tables["raw"] = plain_frame(adata.raw.var)
    for layer, values in adata.layers.items():
        if layer is None:  # what anndata calls X there since 0.13
            continue
        matrices[LAYER + layer], tables[LAYER + layer] = matrix_in_memory(values), var
    return CountSource(name, plain_frame(adata.obs), matrices, tables, adata.uns.get("log1p"))


def _of_h5ad(reader: H5adReader) -> CountSource:
    file = reader.file
    obs, _ = reader.frame("obs", every=True)
    var, _ = reader.frame("var", every=True)
    matrices: dict[str, Matrix] = {}
    tables: dict[str, pd.DataFrame] = {}
    stored = {"X": (reader.matrix("X"), var), "raw": (reader.matrix("raw"), reader.raw_var())}
    stored |= {LAYER + layer: (file["layers"][layer], var) for layer in file.get("layers", {})}
    for slot, (element, table) in stored.items():
        if element is not None and table is not None:
            matrices[slot], tables[slot] = matrix_in_file(element), table
    log1p = read_any(file["uns/log1p"]) if "uns/log1p" in file else None
    left = [f"{finding.where}: {finding.got}" for finding in reader.problems]
    notes = {"not read": left} if left else {}
    return CountSource(str(reader.path), obs, matrices, tables, log1p, notes)


def _of_zarr(path: Path) -> CountSource:
    from anndata.io import read_elem

    matrices, tables = {}, {}
    refuse_objects(path)
    with open_zarr(path) as store:
        require_anndata(store, path)
        obs, var = plain_frame(read_elem(store["obs"])), plain_frame(read_elem(store["var"]))
        if is_there(store, "X"):
            matrices["X"], tables["X"] = matrix_in_zarr(store["X"]), var
        if is_there(store, "raw/X"):
            matrices["raw"] = matrix_in_zarr(store["raw/X"])
            tables["raw"] = plain_frame(read_elem(store["raw/var"]))
        for layer in store.get("layers", ()):
            matrices[LAYER + layer] = matrix_in_zarr(store[f"layers/{layer}"])
            tables[LAYER + layer] = var
        log1p = read_elem(store["uns/log1p"]) if "uns/log1p" in store else None
    return CountSource(str(path), obs, matrices, tables, log1p)


def _of_cell_ranger(file: h5py.File, name: str) -> CountSource:
    group = file.get("matrix")
    if group is None:  # Cell Ranger 2 has one group per genome
        genomes = [key for key in file if isinstance(file[key], h5py.Group)]
        if len(genomes) != 1 or "indptr" not in file[genomes[0]]:
            raise ValueError("neither AnnData nor one genome of Cell Ranger")
        group = file[genomes[0]]
    n_genes, n_cells = (int(n) for n in group["shape"][:])
    # Cell Ranger stores genes by cells in columns: the same bytes are cells by genes in rows.
    matrix = compressed_matrix(
        group["data"], group["indices"], group["indptr"][:], (n_cells, n_genes), "csr"
    )
    features = group.get("features", group)
    ids = _text(features["id"] if "id" in features else features["genes"])
    names = _text(features["name"] if "name" in features else features["gene_names"])
    kinds = _text(features["feature_type"]) if "feature_type" in features else None
    obs = pd.DataFrame(index=pd.Index(_text(group["barcodes"]), dtype=object))
    return _of_features(name, obs, matrix, names, ids, kinds)


def _text(stored: Any) -> list[str]:
    return [v.decode() if isinstance(v, bytes) else str(v) for v in stored[:]]


def _of_features(
    name: str,
    obs: pd.DataFrame,
    matrix: Matrix,
    names: list[str],
    ids: list[str],
    kinds: list[str] | None,
) -> CountSource:
    var = pd.DataFrame({"gene_ids": ids}, index=pd.Index(names, dtype=object))
    if kinds is not None:
        var["feature_type"] = kinds
    return CountSource(name, obs, {"X": matrix}, {"X": var})


class _Forward(io.RawIOBase):
    """A file that is read from its beginning to its end."""

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


def _forward(path: Path) -> io.BufferedReader:
    """Open a matrix for SciPy: where it can go back in a file, it fails, and ends the process."""
    return io.BufferedReader(_Forward(unpacked_bytes(path)), 1 << 20)


def _of_mtx(path: Path) -> CountSource:
    from scipy.io import mminfo, mmread

    def found(*stems: str) -> Path:
        for stem in stems:
            for file in sorted(path.glob(f"*{stem}*")):
                return required_file(file)
        raise ValueError(f"no {' or '.join(stems)} beside matrix.mtx")

    read: dict[str, Any] = {"sep": "\t", "header": None, "dtype": str, "keep_default_na": False}
    with (
        unpacked_bytes(found("features.tsv", "genes.tsv")) as of_genes,
        unpacked_bytes(found("barcodes.tsv")) as of_cells,
    ):
        features, barcodes = pd.read_csv(of_genes, **read), pd.read_csv(of_cells, **read)
    # What the first line says is looked at before any of it is allocated.
    with _forward(found("matrix.mtx")) as file:
        n_genes, n_cells, n_stored, _, kind, _ = mminfo(file)
    if kind == "complex":
        raise ValueError("the numbers of matrix.mtx are complex")
    if (n_cells, n_genes) != (len(barcodes), len(features)):
        raise ValueError(
            f"{n_genes} genes and {n_cells} cells in matrix.mtx, "
            f"{len(features)} and {len(barcodes)} beside it"
        )
    if n_stored > n_genes * n_cells:
        raise ValueError(f"matrix.mtx has {n_stored} values for {n_genes} x {n_cells} places")
    require_memory(16 * n_stored, f"matrix.mtx of {path}")
    with _forward(found("matrix.mtx")) as file:
        stored = sparse.csr_array(mmread(file, spmatrix=False)).T.tocsr()
    ids = list(features[0])
    names = list(features[1]) if 1 in features else ids
    kinds = list(features[2]) if 2 in features else None
    obs = pd.DataFrame(index=pd.Index(list(barcodes[0]), dtype=object))
    return _of_features(str(path), obs, matrix_in_memory(stored), names, ids, kinds)


def _of_table(path: Path, genes_in_rows: bool) -> CountSource:
    table = read_named_rows(path)
    if genes_in_rows:
        table = table.T
    kinds = zip(table.columns, table.dtypes, strict=True)
    bad = [name for name, kind in kinds if not pd.api.types.is_numeric_dtype(kind)]
    if bad:
        raise InvalidDataError(
            f"{path} has columns that are not numbers.",
            expected="a name in the first column, then one number per gene",
            got=f"text in {first_few(bad)}",
            fix="give columns that describe cells in a table of their own, with --obs FILE.",
        )
    obs = pd.DataFrame(index=pd.Index(list(map(str, table.index)), dtype=object))
    var = pd.DataFrame(index=pd.Index(list(map(str, table.columns)), dtype=object))
    return CountSource(str(path), obs, {"X": matrix_in_memory(table.to_numpy())}, {"X": var})


def read_named_rows(path: Path, *, as_text: bool = False) -> pd.DataFrame:
    """Read a table of text or parquet whose first column names its rows.

    Parameters
    ----------
    path
        The file.
    as_text
        Whether values of tables of text stay text, so that a gene called NA or
        2024-03-01 is one. Otherwise numbers are read.

    Raises
    ------
    InvalidDataError
        If it is no such table.
    """
    file = required_file(path)
    if text_ending(file) is None:
        refuse_other_kind(file, "parquet", "a parquet file, or a table named .csv or .tsv")
        table = read_parquet_frame(file)
        named = isinstance(table.index, pd.RangeIndex) and len(table.columns)
        return plain_frame(table.set_index(table.columns[0]) if named else table)
    written = text_table(file)
    names = written.columns
    if len(set(names)) < len(names):  # genes may share a name until somebody decides
        written = text_table(file, columns=[f"column {i}" for i in range(len(names))])
    read: pd.DataFrame = written.read(text=None if as_text else written.columns[:1]).to_pandas()
    return read.set_index(written.columns[0]).set_axis(list(names[1:]), axis=1)


def _joined(source: CountSource, obs: Path | None) -> CountSource:
    """Join a table of cells to those of the file; what it does not name stays empty."""
    if obs is None:
        return source
    table = _explained(user_path(obs), lambda: read_named_rows(user_path(obs), as_text=True))
    table.index = pd.Index(list(map(str, table.index)), dtype=object)
    twice = table.index[table.index.duplicated()].unique()
    if len(twice):
        raise InvalidDataError(
            f"{obs} names cells twice.", expected="one row per cell", got=first_few(twice)
        )
    if not table.index.isin(source.obs.index).any():
        if any(table.index.isin(var.index).any() for var in source.tables.values()):
            raise InvalidDataError(
                f"{obs} names the columns of the counts, not their rows.",
                expected=f"names as in the rows: {first_few(source.obs.index, 3)}",
                got=first_few(table.index, 3),
                fix="if the rows are genes, say --genes-in-rows.",
            )
        raise InvalidDataError(
            f"{obs} names none of the cells.",
            expected=f"names as in the file: {first_few(source.obs.index, 3)}",
            got=first_few(table.index, 3),
            fix="the first column has to name cells; suffixes such as -1 count.",
        )
    both = [c for c in table.columns if c in source.obs.columns]
    if both:
        raise UsageError(f"{obs} has columns that the file has as well.", got=first_few(both))
    absent = int((~source.obs.index.isin(table.index)).sum())
    extra = int((~table.index.isin(source.obs.index)).sum())
    joined = source.obs.join(plain_frame(table))
    notes = {"table of cells": f"{obs}: {absent} cells are not in it, {extra} of its rows "
             "are of no cell"}  # fmt: skip
    return replace(source, obs=joined, notes={**source.notes, **notes})


def sample_of(matrix: Matrix, n_rows: int) -> Any:
    """Return about the first rows of a matrix, whole; dense, or CSR.

    Parameters
    ----------
    matrix
        Cells by genes.
    n_rows
        How many rows at most.
    """
    n = min(n_rows, matrix.shape[0])
    parts = []
    for block in matrix.blocks():
        values = block.values[: max(n - block.row, 0)]
        if block.row == 0 and values.shape[1] == matrix.shape[1]:
            return values
        if values.shape[0]:
            parts.append(values)
        elif values.shape[1] == matrix.shape[1]:
            break
    if not parts:
        return np.zeros((0, matrix.shape[1]))
    if sparse.issparse(parts[0]):
        return sparse.csr_array(sparse.hstack(parts))
    return np.hstack(parts)
