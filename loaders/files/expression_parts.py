"""Open the parts of a dataset or predictions file that have rules, and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import numpy as np
import pandas as pd

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import (
    CELL_TYPE,
    HIGHLY_VARIABLE_RANK,
    MEASURED,
    NOT_MEASURED,
    OVERLAP,
    PEREGGRN_UNS,
    REQUIRED_OBS,
    SCANPY_LOG,
    SKIP_LOG_CHECK,
    SPLIT_UNS,
    TIMEPOINT,
)
from pereggrn_data.core.reports import Finding
from pereggrn_data.loaders.files.anndata_files import check_is_hdf5, plain_frame
from pereggrn_data.loaders.files.blocks import matrix_in_file, matrix_in_memory
from pereggrn_data.loaders.files.prediction_files import read_predictions
from pereggrn_data.validators import READ_FAILURES, RULES, ExpressionParts, Matrix

if TYPE_CHECKING:
    from anndata import AnnData

OBS_WITH_RULES = (*REQUIRED_OBS, CELL_TYPE, TIMEPOINT)
VAR_WITH_RULES = (HIGHLY_VARIABLE_RANK,)
UNS_WITH_RULES = (
    *(MEASURED, NOT_MEASURED, OVERLAP, SKIP_LOG_CHECK, SCANPY_LOG, PEREGGRN_UNS, SPLIT_UNS),
)

_Read = TypeVar("_Read")


@contextmanager
def open_expression_parts(path: Path) -> Iterator[ExpressionParts]:
    """Open an ``.h5ad`` file for reading and yield its parts; matrices stay on disk.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not an ``.h5ad`` file, or so damaged that nothing can be read.
    """
    check_is_hdf5(path)
    file = _unless_damaged(path, lambda: h5py.File(path, "r"))
    try:
        yield _unless_damaged(path, lambda: _Reader(file).parts(path))
    finally:
        with suppress(*READ_FAILURES):  # all was read that could be
            file.close()


def _unless_damaged(path: Path, read: Callable[[], _Read]) -> _Read:
    try:
        return read()
    except READ_FAILURES as error:
        raise InvalidDataError(
            f"{path} cannot be read: it is damaged or cut short.", got=_described(error)
        ) from error


def parts_in_memory(adata: AnnData, *, raw: bool = True) -> ExpressionParts:
    """Return the parts of an AnnData object, which is not changed; `raw` only if wanted."""
    problems: list[Finding] = []
    unread: set[str] = set()
    obs, var = (
        plain_frame(frame[[c for c in wanted if c in frame.columns]])
        for frame, wanted in ((adata.obs, OBS_WITH_RULES), (adata.var, VAR_WITH_RULES))
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
        uns={key: adata.uns[key] for key in UNS_WITH_RULES if key in adata.uns},
        x=x,
        raw=matrix("raw", adata.raw.X) if with_raw else None,
        obs_columns=tuple(map(str, adata.obs.columns)),
        var_columns=tuple(map(str, adata.var.columns)),
        raw_genes=pd.Index(list(adata.raw.var_names), dtype=object) if with_raw else None,
        problems=tuple(problems),
        unread=frozenset(unread),
        read_var=lambda name: list(adata.var[name]),
    )


def parts_of_wide_table(path: Path) -> ExpressionParts:
    """Return the parts of predictions in a ``.csv`` or ``.parquet`` file, which is read.

    Raises
    ------
    InvalidDataError
        If it is not a table of predictions.
    """
    table = read_predictions(path)
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
    try:
        with h5py.File(path, "r") as file:
            return isinstance(file.get("uns"), h5py.Group) and PEREGGRN_UNS in file["uns"]
    except READ_FAILURES:
        return False


class _Reader:
    """Reads elements of one file, and keeps what cannot be read."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self.problems: list[Finding] = []
        self.unread: set[str] = set()

    def parts(self, path: Path) -> ExpressionParts:
        """Return the parts that have rules."""
        for slot in ("obs", "var"):
            if slot not in self.file:
                raise InvalidDataError(
                    f"{path} is an HDF5 file, but not an .h5ad file.",
                    expected="obs, var and X",
                    got=", ".join(list(self.file)[:10]) or "nothing in it",
                )
        obs, obs_columns = self._frame("obs", OBS_WITH_RULES)
        var, var_columns = self._frame("var", VAR_WITH_RULES)
        raw, raw_genes = self._raw()
        return ExpressionParts(
            obs=obs,
            var=var,
            uns=self._uns(),
            x=self._matrix("X", self.file.get("X")),
            raw=raw,
            obs_columns=obs_columns,
            var_columns=var_columns,
            raw_genes=raw_genes,
            problems=tuple(self.problems),
            unread=frozenset(self.unread),
            read_var=self._more_of_var,
        )

    def _more_of_var(self, name: str) -> list[Any] | None:
        """Read a column of var for a hint; without it there is no hint, and nothing else."""
        try:
            names = self.file["var"]
            return [str(v) for v in np.asarray(_read(names[name]), dtype=object)]
        except Exception:  # anndata and h5py raise nearly every type
            return None

    def _frame(self, slot: str, wanted: tuple[str, ...]) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Read the names and the wanted columns of a frame, each on its own."""
        group = self.file[slot]
        if not _has_columns_apart(group):
            frame = self._try(slot, slot, None, lambda: _read(group))
            frame = pd.DataFrame() if frame is None else frame
            kept = [c for c in wanted if c in frame.columns]
            return plain_frame(frame[kept]), tuple(map(str, frame.columns))
        index = str(group.attrs.get("_index", "_index"))
        names = self._try(f"{slot}/{index}", slot, index, lambda: _names(group[index]))
        if names is None:
            raise InvalidDataError(f"The names in {slot} cannot be read.", got=self._last_got())
        columns = {}
        for name in wanted:
            if name in group:
                read = partial(_column, group, name, len(names))
                column = self._try(f"{slot}/{name}", slot, name, read)
                columns.update({} if column is None else {name: column})
        frame = pd.DataFrame({k: pd.Series(v) for k, v in columns.items()})
        frame = frame.reindex(range(len(names))) if not columns else frame
        frame.index = pd.Index(names, dtype=object)
        order = group.attrs.get("column-order", list(group))
        return plain_frame(frame), tuple(str(c) for c in order)

    def _uns(self) -> dict[str, Any]:
        group = self.file.get("uns")
        values: dict[str, Any] = {}
        for key in UNS_WITH_RULES if isinstance(group, h5py.Group) else ():
            if key in group:
                value = self._try(f"uns/{key}", "uns", key, partial(_read, group[key]))
                values.update({} if f"uns/{key}" in self.unread else {key: value})
        return values

    def _raw(self) -> tuple[Matrix | None, pd.Index[Any] | None]:
        raw = self.file.get("raw")
        if raw is None or "X" not in raw:
            return None, None
        genes = self._try("raw/var", "raw", "var", lambda: _frame_names(raw["var"]))
        matrix = self._matrix("raw", raw["X"])
        return matrix, None if genes is None else pd.Index(genes, dtype=object)

    def _matrix(self, slot: str, element: Any) -> Matrix | None:
        if element is None or _is_null(element):
            return None
        matrix: Matrix | None = self._try(slot, slot, None, lambda: matrix_in_file(element))
        return matrix

    def _try(self, key: str, slot: str, column: str | None, read: Callable[[], Any]) -> Any:
        """Run `read`; what it raises becomes a finding."""
        try:
            return read()
        except Exception as error:  # anndata and h5py raise nearly every type
            got = _described(error)
            self.problems.append(RULES["element-unreadable"].found(got, slot=slot, column=column))
            self.unread.add(key)
            return None

    def _last_got(self) -> str:
        return self.problems[-1].got


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _read(element: Any) -> Any:
    from anndata.io import read_elem

    with warnings.catch_warnings():
        # Files of anndata 0.7 are fine.
        warnings.filterwarnings("ignore", message=".*was written without encoding metadata")
        return read_elem(element)


def _has_columns_apart(group: Any) -> bool:
    """Say whether a frame is stored as a group of columns that explain themselves."""
    return isinstance(group, h5py.Group) and group.attrs.get("encoding-version") == "0.2.0"


def _is_null(element: Any) -> bool:
    """Say whether an element stands for None."""
    return element.attrs.get("encoding-type") == "null" or (
        isinstance(element, h5py.Dataset) and element.shape is None
    )


def _names(element: Any) -> list[str]:
    return [str(name) for name in np.asarray(_read(element), dtype=object)]


def _frame_names(group: Any) -> list[str]:
    if _has_columns_apart(group):
        return _names(group[str(group.attrs.get("_index", "_index"))])
    return [str(name) for name in _read(group).index]


def _column(group: Any, name: str, n: int) -> Any:
    values = _read(group[name])
    if np.ndim(values) != 1 or len(values) != n:
        raise ValueError(f"{np.shape(values)} values for {n} names")
    return values
