"""Read predictions: ``.h5ad``, ``.parquet`` or ``.csv``, all to one type."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.errors import (
    InvalidDataError,
    MissingFileError,
    UsageError,
    first_few,
)
from pereggrn_data.core.format import (
    CELL_TYPE,
    IS_CONTROL,
    LEVEL,
    PEREGGRN_UNS,
    PERTURBATION,
    PERTURBATION_TYPE,
    PREDICTION_STEP,
    TIMEPOINT,
)
from pereggrn_data.core.predictions import Origin, Predictions
from pereggrn_data.loaders.datasets import plain_frame, read_h5ad
from pereggrn_data.validators.predictions import parse_header

OBS_COLUMNS = (
    PERTURBATION,
    PERTURBATION_TYPE,
    LEVEL,
    CELL_TYPE,
    TIMEPOINT,
    IS_CONTROL,
    PREDICTION_STEP,
)
"""Columns of a wide table that are not genes."""

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None")
"""What a missing prediction may look like in a CSV file."""

ROW_NAME = "observation"
"""Heading of the row names in a wide table; an empty heading means the same."""


def read_predictions(path: Path) -> Predictions:
    """Read a predictions file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    UsageError
        If its ending is not one that we read.
    InvalidDataError
        If it is empty, cut short, or not what its ending says.
    """
    if not path.exists():
        raise MissingFileError(f"There is no file {path}.", fix="check the path.")
    readers = {".h5ad": _read_h5ad, ".parquet": _read_parquet, ".csv": _read_csv}
    if path.suffix not in readers:
        raise UsageError(
            f"Predictions cannot be read from {path.name}.",
            expected="a file that ends in .h5ad, .parquet or .csv",
            got=f"{path.suffix or 'no ending'}",
        )
    if path.is_file() and path.stat().st_size == 0:
        raise InvalidDataError(f"{path} is empty.", expected="predictions", got="0 bytes")
    predictions = readers[path.suffix](path)
    if predictions.matrix.shape[0] == 0 or predictions.matrix.shape[1] == 0:
        rows, genes = predictions.matrix.shape
        raise InvalidDataError(
            f"{path} holds no predictions.",
            expected="at least one row and one gene",
            got=f"{rows} rows and {genes} genes",
        )
    return predictions


def _read_h5ad(path: Path) -> Predictions:
    with warnings.catch_warnings():
        # Duplicate names are found, and named, by the checks that follow.
        warnings.filterwarnings("ignore", message=".*names are not unique")
        adata = read_h5ad(path)
    if adata.X is None:
        raise InvalidDataError(f"{path} has no X.", expected="predicted expression in X")
    matrix = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    if not (np.issubdtype(matrix.dtype, np.number)):
        raise InvalidDataError(
            f"X of {path} is not numeric.", expected="numbers", got=f"dtype {matrix.dtype}"
        )
    return Predictions(
        path=str(path),
        obs=adata.obs,
        genes=adata.var_names,
        matrix=matrix,
        origin=_origin(adata.uns, path),
    )


def _origin(uns: Mapping[str, Any], path: Path) -> Origin | None:
    if PEREGGRN_UNS not in uns:
        return None
    try:
        return parse_header(uns[PEREGGRN_UNS])
    except InvalidDataError as error:
        raise InvalidDataError(
            f"What {path} says of itself in uns['pereggrn'] is invalid.",
            expected=error.expected,
            got=error.got or error.what,
            fix="start again from predictions_template.h5ad.",
        ) from error


def _read_csv(path: Path) -> Predictions:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
        _refuse_duplicate_columns(header, path)
        as_text: Any = {c: "object" for c in OBS_COLUMNS if c in header}
        # Labels such as "NA" are names here; only genes can have missing values.
        missing: Any = {c: MISSING for c in header if c not in as_text}
        frame = pd.read_csv(
            path, dtype=as_text, keep_default_na=False, na_values=missing, encoding="utf-8-sig"
        )
    except (
        UnicodeDecodeError,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
        csv.Error,
    ) as error:
        raise InvalidDataError(
            f"{path} cannot be read as CSV: {error}".split("\n")[0],
            expected="a comma-separated table with one header line",
        ) from error
    return _from_wide_table(frame, path)


def _read_parquet(path: Path) -> Predictions:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidDataError(
            f"{path} cannot be read as parquet: {error}".split("\n")[0],
            expected="a complete parquet file",
            fix="it may have been cut short while it was copied: write it again.",
        ) from error
    _refuse_duplicate_columns(table.column_names, path)
    return _from_wide_table(table.to_pandas(), path)


def _refuse_duplicate_columns(names: list[str], path: Path) -> None:
    seen = pd.Index(names)
    if not seen.is_unique:
        twice = seen[seen.duplicated()].unique()
        raise InvalidDataError(
            f"Columns of {path} occur more than once: {first_few(twice)}.",
            expected="each gene once",
            got=f"{len(twice)} duplicated names",
        )


def _from_wide_table(frame: pd.DataFrame, path: Path) -> Predictions:
    """Tell metadata from genes; whatever is not a known column must be a numeric gene."""
    first = frame.columns[0] if len(frame.columns) else ""
    if first == ROW_NAME or str(first).startswith("Unnamed: 0"):
        frame = frame.set_index(first)
    frame.index = frame.index.astype(str)
    frame.columns = frame.columns.astype(str)
    obs = frame[[c for c in OBS_COLUMNS if c in frame]]
    genes = frame[[c for c in frame if c not in OBS_COLUMNS]]
    text = [
        c for c in genes if not pd.api.types.is_numeric_dtype(genes[c]) or genes[c].dtype == bool
    ]
    if text:
        raise InvalidDataError(
            f"Columns of {path} are not numeric: {first_few(text)}.",
            expected=f"numbers in every column but {', '.join(OBS_COLUMNS)}",
            got=f"{len(text)} of {genes.shape[1]} with something else, such as "
            f"{str(genes[text[0]].iloc[0])!r:.40} in {text[0]!r}"
            if len(genes)
            else "text",
            fix=f"remove them; row names belong in a first column, {ROW_NAME!r} or unnamed.",
        )
    return Predictions(
        path=str(path),
        obs=plain_frame(obs),
        genes=genes.columns,
        matrix=genes.to_numpy(dtype=np.float64, na_value=np.nan),
        origin=None,
    )
