"""From a file to a report of everything that is wrong with it."""

from __future__ import annotations

import os
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pereggrn_data.core.errors import InvalidDataError, UnknownNameError, UsageError, with_article
from pereggrn_data.core.format import (
    IS_CONTROL,
    PEREGGRN_UNS,
    PERTURBATION,
    SPLIT_UNS,
    TRAIN_FILE,
    Kind,
    Role,
)
from pereggrn_data.core.reports import Finding, Report, sorted_report
from pereggrn_data.loaders.files import is_parquet
from pereggrn_data.loaders.files.any_file import required_data
from pereggrn_data.pipelines.collection import path_of_record_file
from pereggrn_data.validators import RULES

# What reads and checks one kind of file is imported when there is such a file: a check
# before a commit need not wait for the libraries of the other kinds.
if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from pereggrn_data.loaders.files.datasets import Dataset
    from pereggrn_data.pipelines.split import SplitDataset
    from pereggrn_data.validators import ExpressionParts

IN_MEMORY = "(in memory)"
PARQUET = ".parquet"

_Name = TypeVar("_Name", bound=StrEnum)


def validate(
    path: str | os.PathLike[str] | AnnData | pd.DataFrame | Dataset | SplitDataset,
    kind: str | Kind | None = None,
    role: str | Role | None = None,
) -> Report:
    """Check a file against the uniform format; every problem is reported at once.

    Parameters
    ----------
    path
        A dataset or predictions file (``.h5ad``; predictions also a table of text
        and ``.parquet``), a network (``.parquet``), or an AnnData object. Nothing is
        changed.
    kind
        ``"dataset"``, ``"predictions"`` or ``"network"``; by default, what the
        content says: parquet is a network (predictions, if it has perturbations
        and no edges), a text table of edges is a network that has to be imported,
        a file with ``uns["pereggrn"]`` holds predictions, as does any other CSV;
        anything else is a dataset.
    role
        ``"test"`` or ``"train"``. A training file may hold controls only; as that
        of a time series it needs numeric ``timepoint`` and ``cell_type``. By
        default, a file named ``train.h5ad`` is one, and a time series if it has
        a time point or nothing but controls; and so is the training part of a
        split (``uns["pereggrn_split"]``), which need not be a time series.

    Returns
    -------
    Report
        Findings, errors first; a file that cannot be read is a finding too.

    Raises
    ------
    MissingFileError
        If there is no such file, or it cannot be read.
    UsageError
        If there is no such kind or role, or `path` is something else.

    Examples
    --------
    >>> report = validate("data/test.h5ad")  # doctest: +SKIP
    >>> report.valid  # doctest: +SKIP
    True
    """
    chosen = None if kind is None else _one_of(Kind, "kind of file", kind)
    stated = None if role is None else _one_of(Role, "role", role)
    if not isinstance(path, (str, os.PathLike)):
        return _validate_object(path, chosen, stated)
    # The path of a command line may have taken the name for one.
    file = path_of_record_file(str(path)) or required_data(path)
    try:
        chosen = chosen or kind_of(file)
        found = _network(file) if chosen is Kind.NETWORK else _expression(file, chosen, stated)
    except OSError as error:
        chosen = chosen or Kind.DATASET
        got = error.strerror or str(error)
        found = [RULES["file-unreadable"].found(got, fix="check that you may read it.")]
    except InvalidDataError as error:
        chosen = chosen or Kind.DATASET
        got = error.what if error.got is None else f"{error.what.rstrip('.')}: {error.got}"
        found = [RULES["file-unreadable"].found(got, expected=error.expected, fix=error.fix)]
    return sorted_report(str(path), chosen, found if kind else _or_predictions(found))


def _or_predictions(found: list[Finding]) -> list[Finding]:
    """Say how to check predictions where a file that was taken for a dataset may hold these.

    Without a header it is a dataset, but no dataset is without ``is_control``.
    """
    lacking = {f.column: f for f in found if f.code == "obs-missing-column"}
    flags = lacking.get(IS_CONTROL)
    if flags is None or PERTURBATION in lacking:
        return found
    hint = "If these are predictions, check them as such: --kind predictions (in Python: kind)."
    return [replace(f, fix=f"{f.fix} {hint}") if f is flags else f for f in found]


def kind_of(file: Path) -> Kind:
    """Say what kind of file an existing file is, by its content."""
    from pereggrn_data.loaders.files import parquet_columns
    from pereggrn_data.loaders.files.tables import text_ending

    if file.is_dir():  # a zarr store
        from pereggrn_data.loaders.files import has_predictions_header

        return Kind.PREDICTIONS if has_predictions_header(file) else Kind.DATASET
    if is_parquet(file):
        from pereggrn_data.validators import NAME_COLUMNS

        columns = parquet_columns(file)
        is_network = PERTURBATION not in columns or set(NAME_COLUMNS) <= set(columns)
        return Kind.NETWORK if is_network else Kind.PREDICTIONS
    if text_ending(file) is not None:
        from pereggrn_data.loaders.network import signs_of_a_network

        return Kind.NETWORK if signs_of_a_network(file) else Kind.PREDICTIONS
    if file.suffix.lower() == PARQUET:
        return Kind.NETWORK  # whatever it is instead is said when it is read
    from pereggrn_data.loaders.files import has_predictions_header

    is_predictions = has_predictions_header(file)
    return Kind.PREDICTIONS if is_predictions else Kind.DATASET


def _one_of(names: type[_Name], what: str, given: str) -> _Name:
    try:
        return names(given)
    except ValueError:
        raise UnknownNameError(what, str(given), list(names)) from None


def _network(file: Path) -> list[Finding]:
    from pereggrn_data.loaders.files import read_edge_facts
    from pereggrn_data.loaders.files.tables import text_ending
    from pereggrn_data.validators import check_network

    if text_ending(file) is not None and not is_parquet(file):
        from pereggrn_data.loaders.network import signs_of_a_network

        signs = signs_of_a_network(file)
        got = f"a text table with {signs}: it looks like a network" if signs else "a text table"
        return [RULES["network-not-parquet"].found(got)]
    return check_network(read_edge_facts(file))


def _expression(file: Path, kind: Kind, role: Role | None) -> list[Finding]:
    from pereggrn_data.loaders.files import open_expression_parts, parts_of_wide_table
    from pereggrn_data.loaders.files.tables import text_ending

    is_file = not file.is_dir()
    if kind is Kind.PREDICTIONS and is_file and (text_ending(file) or is_parquet(file)):
        return _check_parts(parts_of_wide_table(file), kind, role)
    implied = Role.TRAIN if file.name == TRAIN_FILE else Role.TEST
    with open_expression_parts(file) as parts:
        return _check_parts(parts, kind, role, implied)


def _check_parts(
    parts: ExpressionParts, kind: Kind, role: Role | None, implied: Role = Role.TEST
) -> list[Finding]:
    from pereggrn_data.validators.datasets import check_dataset
    from pereggrn_data.validators.predictions import check_predictions

    if kind is Kind.PREDICTIONS:
        return check_predictions(parts)
    if isinstance(parts.uns.get(SPLIT_UNS), str):
        return check_dataset(parts, role or Role.TRAIN, time_series=False)
    # Who says "train" says "of a time series"; the name alone does not, because
    # the training part of any split is called train.h5ad as well.
    return check_dataset(parts, role or implied, time_series=True if role else None)


def _validate_object(given: Any, kind: Kind | None, role: Role | None) -> Report:
    # Only what is in memory needs these, and they take long to import.
    import pandas as pd

    from pereggrn_data.loaders.files import parts_in_memory, parts_of_wide_table
    from pereggrn_data.pipelines.split import SplitDataset

    if isinstance(given, SplitDataset):
        given = given.train
    adata = getattr(given, "adata", given)  # of a dataset, or of predictions
    if isinstance(adata, pd.DataFrame) and kind in (None, Kind.PREDICTIONS):
        found = _check_parts(parts_of_wide_table(adata), Kind.PREDICTIONS, role)
        return sorted_report(IN_MEMORY, Kind.PREDICTIONS, found)
    if kind is Kind.NETWORK or not (hasattr(adata, "obs") and hasattr(adata, "uns")):
        raise UsageError(
            "This cannot be validated.",
            expected="the path of a parquet file"
            if kind is Kind.NETWORK
            else "a path, AnnData, or what load, split or predict returned",
            got=with_article(type(given).__name__),
        )
    chosen = kind or (Kind.PREDICTIONS if PEREGGRN_UNS in adata.uns else Kind.DATASET)
    found = _check_parts(parts_in_memory(adata), chosen, role)
    return sorted_report(IN_MEMORY, chosen, found if kind else _or_predictions(found))
