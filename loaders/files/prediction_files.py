"""Read predictions: ``.h5ad``, ``.parquet`` or a table of text, all to one type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from pereggrn_data.core.errors import (
    InvalidDataError,
    PereggrnError,
    UsageError,
    first_few,
    near_matches,
    with_article,
)
from pereggrn_data.core.format import (
    CELL_TYPE,
    IS_CONTROL,
    LEVEL,
    MODEL_UNS,
    ORACLE_UNS,
    PEREGGRN_UNS,
    PERTURBATION,
    PERTURBATION_TYPE,
    PREDICTION_STEP,
    TIMEPOINT,
)
from pereggrn_data.core.prediction_types import Heading, LabelColumn, Origin, Predictions
from pereggrn_data.core.printable import one_line
from pereggrn_data.core.rows.row_blocks import is_stored
from pereggrn_data.core.sizes import SMALL
from pereggrn_data.core.strict_json import loads
from pereggrn_data.loaders.files.any_file import (
    TEXT_ENDINGS,
    Hashing,
    is_zarr_folder,
    other_kind,
    recognise,
    required_data,
)
from pereggrn_data.loaders.files.datasets import (
    StoredData,
    checksum_of_store,
    is_anndata,
    open_stored,
    open_stored_zarr,
    own_copy,
    stored_parts,
)
from pereggrn_data.loaders.files.hdf5 import open_h5ad, read_apart
from pereggrn_data.loaders.files.tables import (
    plain_frame,
    refuse_levels,
    text_ending,
    text_table,
)
from pereggrn_data.validators.predictions import parse_header

if TYPE_CHECKING:
    from anndata import AnnData

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

UNNAMED = "Unnamed: 0"
"""What pandas calls a first column without heading."""

PLAIN = LabelColumn()
"""Labels as our own files have them."""

ROW_NAME = "observation"
"""Heading of the row names in a wide table; an empty heading means the same."""


def read_predictions(
    path: Path, labels: LabelColumn = PLAIN, *, later: bool = False
) -> Predictions:
    """Read a predictions file.

    Parameters
    ----------
    path
        The file, or a zarr folder.
    labels
        Which column says what each row predicts, and which labels are of controls.
    later
        Whether values stay in files that can be read by rows, however small, until somebody
        reads them; else only in large ones.

    Raises
    ------
    MissingFileError
        If there is no such file.
    UsageError
        If its ending is not one that we read.
    InvalidDataError
        If it is empty, cut short, or not what its ending says.
    """
    path = required_data(path)
    if is_zarr_folder(path):
        read = partial(_read_zarr, path, labels, later=later)
        return _hashed(read, Hashing(path, checksum_of_store))
    readers: dict[str, Callable[..., Predictions]]
    readers = {".h5ad": partial(_read_h5ad, later=later), ".parquet": _read_parquet}
    ending = path.suffix.lower()
    if ending not in readers and text_ending(path) is None:
        found = recognise(path)
        # An ending that says nothing does not matter where the content says it.
        ending = {"hdf5": ".h5ad", "parquet": ".parquet"}.get(found.name, ending)
        if ending not in readers:
            raise UsageError(
                f"Predictions cannot be read from {path.name}.",
                expected=f"a file that ends in {', '.join(readers)}, {', '.join(TEXT_ENDINGS)} "
                "(these also with .gz)",
                got=f"{found.what} that ends in {path.suffix}" if path.suffix else "no ending",
                fix=f"{found.fix}.",
            )
    if path.stat().st_size == 0:
        raise other_kind(path, recognise(path), "predictions")
    return _hashed(partial(readers.get(ending, _read_text), path, labels), Hashing(path))


def heading_of_many(path: Path) -> Heading | None:
    """Read what a large ``.h5ad`` file of predictions says of itself, and nothing of its rows.

    A million rows take a second to look through and another one to read, in which what they
    belong to can be found.

    Parameters
    ----------
    path
        Of any file.

    Returns
    -------
    Heading or None
        None for small files, for those of other kinds, and where something is wrong, which
        is said by whoever reads all of it.
    """
    try:
        if path.suffix.lower() != ".h5ad" or path.stat().st_size <= SMALL:
            return None
        told = read_apart(path, partial(_texts_of_heading, path))
        if told is None:
            return None
        uns = loads(told, str(path))
        return Heading(str(path), True, _origin(uns, str(path)), _model(uns.get(MODEL_UNS)))
    except (OSError, PereggrnError):
        return None


def _texts_of_heading(path: Path) -> str:
    with open_h5ad(path) as reader:
        uns = reader.uns(every=False, also=(MODEL_UNS,))
    return json.dumps({key: uns[key] for key in (PEREGGRN_UNS, MODEL_UNS) if key in uns})


def _hashed(read: Callable[[], Predictions], hashing: Hashing) -> Predictions:
    """Read predictions; the checksum of large ones may be found until it is asked for."""
    found = read()
    return replace(found, hashed=hashing if is_stored(found.matrix) else hashing.result())


def predictions_of(given: Any, labels: LabelColumn = PLAIN) -> Predictions:
    """Take predictions from memory: an AnnData object, a wide DataFrame, or read already.

    Parameters
    ----------
    given
        The predictions.
    labels
        As for :func:`read_predictions`.

    Raises
    ------
    UsageError
        If it is something else.
    InvalidDataError
        If it holds no predictions.
    """
    if isinstance(given, Predictions):
        return replace(given, obs=_labelled(given.obs, labels, given.path))
    if isinstance(given, StoredData):
        return _from_adata(given, "the forecasts", labels)
    if is_anndata(given):
        return _from_adata(stored_parts(given) or own_copy(given), "the AnnData object", labels)
    if isinstance(given, pd.DataFrame):
        _refuse_duplicate_columns([str(c) for c in given.columns], "the DataFrame")
        return _from_wide_table(given, "the DataFrame", labels)
    raise UsageError(
        "These are no predictions.",
        expected="a path, an AnnData object or a DataFrame",
        got=type(given).__name__,
    )


def _read_zarr(path: Path, labels: LabelColumn, *, later: bool) -> Predictions:
    data = open_stored_zarr(path, with_raw=False, hold=not later)[0]
    return _from_adata(data, str(path), labels)


def _read_h5ad(path: Path, labels: LabelColumn, *, later: bool) -> Predictions:
    data = open_stored(path, with_raw=False, values_only=True, hold=not later)[0]
    return _from_adata(data, str(path), labels)


def _from_adata(adata: AnnData | StoredData, source: str, labels: LabelColumn) -> Predictions:
    matrix: Any = adata.X
    if matrix is None:
        raise InvalidDataError(f"{source} has no X.", expected="predicted expression in X")
    if sparse.issparse(matrix):
        matrix = sparse.csr_array(matrix)
    elif not is_stored(matrix):
        matrix = np.asarray(matrix)
    if matrix.dtype.kind not in "iuf":
        raise InvalidDataError(
            f"X of {source} does not hold real numbers.",
            expected="floating-point numbers or integers",
            got=f"dtype {matrix.dtype}",
        )
    _refuse_empty(matrix.shape, source)
    obs = _with_index_as_columns(_labelled(adata.obs, labels, source), OBS_COLUMNS)
    return Predictions(
        path=source,
        obs=obs.set_axis(obs.index.astype(str)),
        genes=adata.var_names,
        matrix=matrix,
        origin=_origin(adata.uns, source),
        oracle=None if ORACLE_UNS not in adata.uns else f"{adata.uns[ORACLE_UNS]!s:.60}",
        has_row_names=not isinstance(obs.index, pd.RangeIndex),
        model=_model(adata.uns.get(MODEL_UNS)),
        var=adata.var,
    )


def _model(said: Any) -> str | None:
    """Return the method's name from ``uns["pereggrn_model"]``; None if it names none."""
    try:
        values = loads(str(said), f"uns[{MODEL_UNS!r}]")
    except InvalidDataError:
        return None
    name = values.get("model") if isinstance(values, dict) else None
    return one_line(name)[:200] if isinstance(name, str) and name.strip() else None


def _refuse_empty(shape: tuple[int, ...], source: str) -> None:
    if 0 in shape:
        raise InvalidDataError(
            f"{source} is empty: it holds no predictions.",
            expected="at least one row and one gene",
            got=f"{shape[0]} rows and {shape[1]} genes",
        )


def _origin(uns: Mapping[str, Any], source: str) -> Origin | None:
    if PEREGGRN_UNS not in uns:
        return None
    try:
        return parse_header(uns[PEREGGRN_UNS])
    except InvalidDataError as error:
        raise InvalidDataError(
            f"What {source} says of itself in uns['pereggrn'] is invalid.",
            expected=error.expected,
            got=error.got or error.what,
            fix="start again from predictions_template.h5ad.",
        ) from error


def _read_text(path: Path, labels: LabelColumn) -> Predictions:
    columns = tuple(dict.fromkeys((*OBS_COLUMNS, labels.name)))
    found = text_table(path, labels=columns)
    _refuse_duplicate_columns(list(found.columns), str(path))
    text = [c for c in columns if c in found.columns]
    if found.columns[0] in ("", ROW_NAME):
        text.append(found.columns[0])  # names such as 001 or 1e5 are not numbers
    # Labels such as "NA" are names here; only genes can have missing values.
    frame = found.read(text=text, missing=MISSING).to_pandas()
    if found.decimal == ",":
        frame = _with_decimal_points(frame)
    return _from_wide_table(frame.rename(columns={"": ROW_NAME}), str(path), labels)


def _with_decimal_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Write single numbers among the labels with a point; lists of levels have commas, too."""
    numbers = frame[[c for c in (LEVEL, TIMEPOINT) if c in frame]].astype(object)
    for name in numbers:
        single = numbers[name].str.fullmatch(r"[-+]?\d+,\d+")
        if name == LEVEL and PERTURBATION in frame:
            single &= ~frame[PERTURBATION].str.contains(",")
        numbers[name] = numbers[name].mask(single, numbers[name].str.replace(",", "."))
    return frame.assign(**{str(name): numbers[name] for name in numbers})


def _read_parquet(path: Path, labels: LabelColumn) -> Predictions:
    from pereggrn_data.loaders.files.tables import parquet_footer, read_parquet_frame

    _refuse_duplicate_columns(parquet_footer(path)[0].names, str(path))
    return _from_wide_table(read_parquet_frame(path), str(path), labels)


def _refuse_duplicate_columns(names: list[str], source: str) -> None:
    seen = pd.Index(names)
    if not seen.is_unique:
        twice = seen[seen.duplicated()].unique()
        raise InvalidDataError(
            f"Columns of {source} occur more than once: {first_few(twice)}.",
            expected="each gene once",
            got=f"{len(twice)} duplicated names",
            fix=_header_lacks(names),
        )


def _from_wide_table(frame: pd.DataFrame, source: str, labels: LabelColumn) -> Predictions:
    """Tell metadata from genes; whatever is not a known column must be a numeric gene."""
    frame = _with_index_as_columns(_labelled(frame, labels, source), OBS_COLUMNS)
    refuse_levels(frame, source)
    first = frame.columns[0] if len(frame.columns) else ""
    has_row_names = not isinstance(frame.index, pd.RangeIndex)
    if not has_row_names and first in (ROW_NAME, UNNAMED):
        frame, has_row_names = frame.set_index(first), True
    frame = frame.set_axis(frame.index.astype(str)).set_axis(frame.columns.astype(str), axis=1)
    obs = frame[[c for c in OBS_COLUMNS if c in frame]]
    genes = frame[[c for c in frame if c not in OBS_COLUMNS]]
    _refuse_empty(genes.shape, source)
    _refuse_nested(obs, source)
    return Predictions(
        path=source,
        obs=plain_frame(obs),
        genes=genes.columns,
        matrix=_numeric(genes, source, labelled=PERTURBATION in obs).to_numpy(
            dtype=np.float64, na_value=np.nan
        ),
        origin=None,
        has_row_names=has_row_names,
    )


def _with_index_as_columns(frame: pd.DataFrame, known: Sequence[str]) -> pd.DataFrame:
    """Turn levels of the index that are called as a known column into columns.

    ``set_index("perturbation")`` is how pandas' own users write such tables; other
    programs show the level as the column that it is in the file.
    """
    if isinstance(frame.columns, pd.MultiIndex):
        return frame  # which is refused
    levels = [n for n in frame.index.names if n in known and n not in frame.columns]
    if not levels:
        return frame
    return frame.reset_index(levels if len(levels) < frame.index.nlevels else None)


def _labelled(frame: pd.DataFrame, labels: LabelColumn, source: str) -> pd.DataFrame:
    """Give the column with labels our name, and mark rows with those of controls.

    Raises
    ------
    InvalidDataError
        If there is no such column.
    """
    if labels.name != PERTURBATION:
        frame = _with_index_as_columns(frame, (labels.name,))
        if labels.name not in frame:
            columns = list(map(str, frame.columns))
            near = near_matches(labels.name, columns)
            raise InvalidDataError(
                f"{source} has no column {labels.name!r}.",
                expected="a column with the label that each row predicts",
                got=f"columns {first_few(columns)}" if columns else "no column",
                fix=f"--perturbation {near[0]}" if near else "name its column by --perturbation.",
            )
        frame = frame.drop(columns=PERTURBATION, errors="ignore")
        frame = frame.rename(columns={labels.name: PERTURBATION})
    if not labels.controls:
        return frame
    frame = _with_index_as_columns(frame, (PERTURBATION,))
    if PERTURBATION not in frame:
        return frame  # which is refused
    rows = frame[PERTURBATION].astype(object).isin(labels.controls)
    marked = frame[IS_CONTROL].astype(object).mask(rows, True) if IS_CONTROL in frame else rows
    return frame.assign(**{IS_CONTROL: marked})


def _numeric(genes: pd.DataFrame, source: str, *, labelled: bool) -> pd.DataFrame:
    """Return genes as numbers; columns of nothing but missing values are numbers too.

    Where there is no column of labels, one of text may be it, under another name.
    """
    converted: dict[str, pd.Series[Any]] = {}
    text = []
    for name in map(str, genes):
        column = genes[name]
        if column.dtype == bool or isinstance(column.dtype, pd.BooleanDtype):
            text.append(name)
        elif not pd.api.types.is_numeric_dtype(column):
            try:
                if column.map(lambda v: isinstance(v, (str, bool))).any():
                    raise ValueError
                converted[name] = pd.to_numeric(column.astype(float))
            except (TypeError, ValueError):
                text.append(name)
    if text:
        likely = [] if labelled else near_matches(PERTURBATION, text)
        named = likely[0] if likely else text[0]
        shown = first_of(genes[named])
        fix = f"remove them; row names belong in a first column, {ROW_NAME!r} or unnamed."
        if likely:
            fix = (
                f"rename {named!r} to {PERTURBATION!r}, or say --perturbation {named}, if it says "
                "what each row predicts."
            )
        elif labelled and genes.shape[1] - len(text) == 1:
            (value,) = (name for name in map(str, genes) if name not in text)
            fix = (
                "if this is a long table, make a wide one: "
                f"frame.pivot(index={PERTURBATION!r}, columns={named!r}, values={value!r})."
            )
        fix = _header_lacks(list(map(str, genes))) or fix
        raise InvalidDataError(
            f"Columns of {source} are not numeric: {first_few(text)}.",
            expected=f"numbers in every column but {', '.join(OBS_COLUMNS)}",
            got=f"{len(text)} of {genes.shape[1]} with something else, such as "
            f"{shown!r:.40} in {named!r}",
            fix=fix,
        )
    return genes.assign(**converted) if converted else genes


def _header_lacks(names: Sequence[str]) -> str | None:
    """Say what to do where most names of columns are values with decimals; None elsewhere."""
    values = sum(bool(re.fullmatch(r"[-+]?\d*[.,]\d+([eE][-+]?\d+)?", name)) for name in names)
    if 2 * values <= len(names):
        return None
    return (
        "the first row holds values: write the names of the columns above it, "
        f"{PERTURBATION!r} and the genes."
    )


def first_of(column: pd.Series[Any]) -> Any:
    """Return the first value that is not missing."""
    known = column.dropna()
    return known.iloc[0] if len(known) else None


def _refuse_nested(obs: pd.DataFrame, source: str) -> None:
    for name in obs:
        value = first_of(obs[name])
        if value is not None and not pd.api.types.is_scalar(value):
            raise InvalidDataError(
                f"Column {name!r} of {source} does not hold single values.",
                expected="text or a number in every row",
                got=with_article(type(value).__name__),
            )
