"""Open the parts of a dataset or predictions file that have rules, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import pandas as pd

from pereggrn_data.core.foreign_reading import let_through
from pereggrn_data.core.format import PEREGGRN_UNS
from pereggrn_data.core.reports import Finding
from pereggrn_data.loaders.files.any_file import hdf5_problem, is_zarr_folder
from pereggrn_data.loaders.files.datasets import (
    matrix_in_file,
    matrix_in_memory,
    open_stored_zarr,
    open_zarr_parts,
)
from pereggrn_data.loaders.files.hdf5 import MAPPINGS, WITH_RULES, H5adReader, open_h5ad, open_hdf5
from pereggrn_data.loaders.files.prediction_files import predictions_of, read_predictions
from pereggrn_data.loaders.files.tables import plain_frame, refuse_levels
from pereggrn_data.validators import READ_FAILURES, RULES, ExpressionParts, Matrix

if TYPE_CHECKING:
    from anndata import AnnData


@contextmanager
def open_expression_parts(path: Path) -> Iterator[ExpressionParts]:
    """Open an ``.h5ad`` file or a zarr store and yield its parts; matrices stay on disk.

    Raises
    ------
    MissingFileError
        If there is no such file, or it is locked.
    InvalidDataError
        If it is not an ``.h5ad`` file, or so damaged that nothing can be read.
    """
    if is_zarr_folder(path):
        with open_zarr_parts(path) as stored:
            yield stored
        return
    with open_h5ad(path) as reader:
        try:
            parts = _parts(reader)
        except READ_FAILURES as error:
            raise hdf5_problem(path, error) from error
        yield parts


def _parts(reader: H5adReader) -> ExpressionParts:
    """Return the parts that have rules."""
    obs, obs_columns = reader.frame("obs", every=False)
    var, var_columns = reader.frame("var", every=False)
    uns = reader.uns(every=False)
    for slot in MAPPINGS:
        reader.mapping(slot, every=False)  # only to say what will be left

    def matrix(slot: str) -> Matrix | None:
        element = reader.matrix(slot)
        if element is None:
            return None
        found: Matrix | None = reader.needed(slot, slot, None, lambda: matrix_in_file(element))
        return found

    x, raw = matrix("X"), matrix("raw")
    raw_genes = None if reader.matrix("raw") is None else reader.raw_names()
    return ExpressionParts(
        obs=obs,
        var=var,
        uns=uns,
        x=x,
        raw=raw,
        obs_columns=obs_columns,
        var_columns=var_columns,
        raw_genes=None if raw_genes is None else pd.Index(raw_genes, dtype=object),
        problems=tuple(reader.problems),
        unread=frozenset(reader.unread),
        read_var=partial(reader.column, "var"),
    )


def parts_in_memory(adata: AnnData, *, raw: bool = True) -> ExpressionParts:
    """Return the parts of an AnnData object, which is not changed; `raw` only if wanted."""
    problems: list[Finding] = []
    unread: set[str] = set()
    for slot in ("obs", "var"):
        refuse_levels(getattr(adata, slot), f"{slot} of the AnnData object")
    obs, var = (
        plain_frame(frame[[c for c in wanted if c in frame.columns]])
        for frame, wanted in ((adata.obs, WITH_RULES["obs"]), (adata.var, WITH_RULES["var"]))
    )

    def matrix(name: str, x: Any) -> Matrix | None:
        if x is None:
            return None
        try:
            return matrix_in_memory(x)
        except ValueError as error:
            problems.append(RULES["element-unreadable"].found(str(error), slot=name))
            unread.add(name)
            return None

    x = matrix("X", adata.X)
    with_raw = raw and adata.raw is not None
    return ExpressionParts(
        obs=obs,
        var=var,
        uns={key: adata.uns[key] for key in WITH_RULES["uns"] if key in adata.uns},
        x=x,
        raw=matrix("raw", adata.raw.X) if with_raw else None,
        obs_columns=tuple(map(str, adata.obs.columns)),
        var_columns=tuple(map(str, adata.var.columns)),
        raw_genes=pd.Index(list(adata.raw.var_names), dtype=object) if with_raw else None,
        problems=tuple(problems),
        unread=frozenset(unread),
        read_var=lambda name: list(adata.var[name]),
    )


def parts_of_wide_table(given: Path | pd.DataFrame) -> ExpressionParts:
    """Return the parts of predictions in a table: a file, which is read, or a DataFrame.

    Raises
    ------
    InvalidDataError
        If it is not a table of predictions.
    """
    table = read_predictions(given) if isinstance(given, Path) else predictions_of(given)
    return ExpressionParts(
        obs=table.obs,
        var=pd.DataFrame(index=pd.Index(list(table.genes), dtype=object)),
        uns={},
        x=matrix_in_memory(table.matrix),
        raw=None,
        obs_columns=tuple(table.obs.columns),
    )


def has_predictions_header(path: Path) -> bool:
    """Say whether an HDF5 file has ``uns["pereggrn"]``; False if it cannot be opened."""
    if is_zarr_folder(path):
        return PEREGGRN_UNS in open_stored_zarr(path, with_raw=False)[0].uns
    try:
        with open_hdf5(path) as file:
            return isinstance(file.get("uns"), h5py.Group) and PEREGGRN_UNS in file["uns"]
    except READ_FAILURES as error:
        let_through(error)
        return False
