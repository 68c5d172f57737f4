"""The one reader of ``.h5ad`` files: what is needed of one, and what may be left.

Validation, splits, predictions and scores read through it, so that what one of them
calls valid the others can open. Needed elements that cannot be read are errors; what
is not needed and cannot be read is left, and said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from pereggrn_data.core.errors import MissingFileError
from pereggrn_data.core.foreign_reading import let_through
from pereggrn_data.core.reports import Finding
from pereggrn_data.loaders.files.any_file import (
    hdf5_layout,
    hdf5_problem,
    not_h5ad,
    refuse_other_kind,
    required_file,
)
from pereggrn_data.loaders.files.hdf5.h5ad_elements import (
    CATEGORIES_IN_UNS,
    INDEX_NAMES,
    RESERVED,
    WITH_RULES,
    GroupTable,
    RecordTable,
    attribute_text,
    column_of_length,
    entry_value,
    is_null,
    is_one_text,
    read_any,
)
from pereggrn_data.loaders.files.hdf5.hdf5_files import open_hdf5
from pereggrn_data.loaders.files.tables import plain_frame
from pereggrn_data.validators import READ_FAILURES, RULES

MAPPINGS = ("obsm", "varm", "layers", "obsp", "varp")
"""Elements that no rule looks at: they are handed on where they can be read."""

KNOWN_ENCODINGS = frozenset(
    {
        *("", "array", "csr_matrix", "csc_matrix", "dataframe", "dict", "null", "raw", "anndata"),
        *("string", "string-array", "numeric-scalar", "rec-array", "categorical"),
        *("nullable-integer", "nullable-boolean", "nullable-string-array", "awkward-array"),
    }
)


@contextmanager
def open_h5ad(path: Path) -> Iterator[H5adReader]:
    """Open an ``.h5ad`` file for reading.

    Raises
    ------
    MissingFileError
        If there is no such file, or it is locked or cannot be reached.
    InvalidDataError
        If it is another kind of file, or so damaged that nothing can be read.
    """
    refuse_other_kind(required_file(path), "hdf5", "an .h5ad file, which is an HDF5 file")
    with ExitStack() as opened:
        try:
            reader = H5adReader(opened.enter_context(open_hdf5(path)), path)
        except READ_FAILURES as error:
            raise hdf5_problem(path, error) from error
        yield reader


class H5adReader:
    """Reads elements of one open file, and keeps what could not be read.

    Parameters
    ----------
    file
        The open file.
    path
        Where it is, for messages.

    Attributes
    ----------
    problems
        Findings: ``element-unreadable`` for what is needed, ``element-left`` for the rest.
    unread
        Keys of needed elements (as ``"obs/perturbation"``) that could not be read.
    """

    def __init__(self, file: h5py.File, path: Path) -> None:
        self.file = file
        self.path = path
        self.problems: list[Finding] = []
        self.unread: set[str] = set()
        _check_layout(file, path)

    def frame(self, slot: str, *, every: bool) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """Read the names of a table and its columns, each on its own.

        Parameters
        ----------
        slot
            ``"obs"`` or ``"var"``.
        every
            Whether to read all columns, or only those that have rules.

        Returns
        -------
        frame, columns
            The columns that could be read, of plain types, indexed by names; and the
            names of all columns.

        Raises
        ------
        InvalidDataError
            If the names cannot be read.
        """
        return self._table(self.file[slot], slot, WITH_RULES[slot], every=every)

    def column(self, slot: str, name: str) -> list[str] | None:
        """Read one column as text, for a hint; None if it cannot be read."""
        try:
            table = self._columns_of(self.file[slot])
            return [str(v) for v in np.asarray(table.read(name), dtype=object)]
        except Exception as error:  # HDF5 raises nearly every type
            let_through(error)
            return None

    def uns(self, *, every: bool, also: Sequence[str] = ()) -> dict[str, Any]:
        """Read the entries of ``uns`` that have rules, and `also`; with `every`, all others."""
        group = self.file.get("uns")
        values: dict[str, Any] = {}
        if not isinstance(group, h5py.Group):
            return values
        for key in group:
            if key in WITH_RULES["uns"]:
                read = partial(entry_value, group, key)
                value = self.needed(f"uns/{key}", "uns", key, read)
                values.update({} if f"uns/{key}" in self.unread else {key: value})
            elif not key.endswith(CATEGORIES_IN_UNS) or isinstance(group[key], h5py.Group):
                value = self.spare("uns", group, key, every=every or key in also)
                values.update({} if value is _LEFT else {key: value})
        return values

    def mapping(self, slot: str, *, every: bool) -> dict[str, Any]:
        """Read what a slot without rules holds; without `every`, only say what would be left."""
        group = self.file.get(slot)
        if not isinstance(group, h5py.Group):
            return {}
        read = {key: self.spare(slot, group, key, every=every) for key in group}
        return {key: value for key, value in read.items() if value is not _LEFT}

    def matrix(self, slot: str) -> Any:
        """Return the element that holds X or the counts; None if there is none."""
        element = self.file.get("X") if slot == "X" else self._raw("X")
        return None if element is None or is_null(element) else element

    def raw_names(self) -> list[str] | None:
        """Read the gene names of ``raw``; None if they cannot be read."""

        def read() -> list[str]:
            return list(self._columns_of(self._raw("var")).names())

        names: list[str] | None = self.needed("raw/var", "raw", "var", read)
        return names

    def raw_var(self) -> pd.DataFrame | None:
        """Read the table of genes of ``raw``, with all columns that can be read."""
        if self._raw("var") is None:
            return None
        return self._table(self._raw("var"), "raw/var", (), every=True)[0]

    def needed(self, key: str, slot: str, column: str | None, read: Callable[[], Any]) -> Any:
        """Run `read`; what it raises becomes an error, and None is returned."""
        try:
            return read()
        except Exception as error:  # anndata and h5py raise nearly every type
            let_through(error)
            _raise_if_locked(self.path, error)
            got = described(error)
            self.problems.append(RULES["element-unreadable"].found(got, slot=slot, column=column))
            self.unread.add(key)
            return None

    def spare(self, slot: str, group: Any, key: str, *, every: bool) -> Any:
        """Read an element that no rule looks at, or leave it and say so."""
        try:
            element = group[key]
            encoding = attribute_text(element.attrs.get("encoding-type", ""))
            if encoding not in KNOWN_ENCODINGS:
                raise ValueError(f"it is stored as {encoding!r}, which is not known")
            if encoding == "awkward-array" and find_spec("awkward") is None:
                raise ValueError("an awkward array, which needs the package awkward")
            if not every:
                return _LEFT
            # Plain text needs no other reader, and that one takes long to import.
            return element.asstr("utf-8")[()] if is_one_text(element) else read_any(element)
        except Exception as error:  # anndata and h5py raise nearly every type
            let_through(error)
            self.leave(slot, key, described(error))
            return _LEFT

    def leave(self, slot: str, column: str, got: str) -> None:
        """Note that something was not read, because it cannot be and need not be."""
        found = RULES["element-left"].found(got, slot=slot, column=column)
        if found not in self.problems:
            self.problems.append(found)

    def _raw(self, part: str) -> Any:
        """Return a part of raw: in a group, or beside it as anndata 0.6 has it."""
        raw = self.file.get("raw")
        return raw.get(part) if isinstance(raw, h5py.Group) else self.file.get(f"raw.{part}")

    def _columns_of(self, element: Any) -> GroupTable | RecordTable:
        if isinstance(element, h5py.Group):
            return GroupTable(element)
        if isinstance(element, h5py.Dataset) and element.dtype.names:
            uns = self.file.get("uns")
            return RecordTable(element, uns if isinstance(uns, h5py.Group) else {})
        raise ValueError("neither a group of columns nor a compound dataset")

    def _table(
        self, element: Any, slot: str, with_rules: Sequence[str], *, every: bool
    ) -> tuple[pd.DataFrame, tuple[str, ...]]:
        try:
            table = self._columns_of(element)
            names = table.names()
        except Exception as error:  # anndata and h5py raise nearly every type
            let_through(error)
            _raise_if_locked(self.path, error)
            unreadable = hdf5_problem(self.path, error)
            unreadable.what = f"The names in {slot} of {self.path} cannot be read."
            if isinstance(error, UnicodeError):
                unreadable.expected = "names in UTF-8"
                unreadable.fix = "write the file again, with names in UTF-8."
            raise unreadable from error
        columns: dict[str, Any] = {}
        listed = table.listed()
        for name in listed:
            if name == RESERVED:
                self.leave(slot, name, "a column with the name that AnnData keeps for itself")
            elif name in with_rules:
                if not table.has(name):
                    continue  # a column that is missing has a rule of its own
                read = partial(column_of_length, table, name, len(names))
                values = self.needed(f"{slot}/{name}", slot, name, read)
                columns.update({} if values is None else {name: values})
            elif not table.has(name):
                self.leave(slot, name, "it is listed among the columns, and is not there")
            elif every:
                try:
                    columns[name] = column_of_length(table, name, len(names))
                except Exception as error:  # anndata and h5py raise nearly every type
                    let_through(error)
                    self.leave(slot, name, described(error))
        frame = pd.DataFrame(
            {name: pd.Series(values) for name, values in columns.items()},
            index=pd.RangeIndex(len(names)),
        )
        called = None if table.index in INDEX_NAMES else table.index
        frame.index = pd.Index(names, dtype=object, name=called)
        present = tuple(name for name in listed if table.has(name) and name != RESERVED)
        return plain_frame(frame), present


def _check_layout(file: h5py.File, path: Path) -> None:
    """Check that a file has the elements of AnnData at its root, and is no container of more."""
    names, texts = frozenset(file), [*map(str, file.attrs)]
    texts += [attribute_text(value) for value in file.attrs.values()]
    if isinstance(file.get("matrix"), h5py.Group):
        texts.append("matrix")
    layout = hdf5_layout(names, frozenset(texts))
    if layout is not None or not {"obs", "var"} <= names:
        raise not_h5ad(path, names, layout)


class _Left:
    """Stands for what was not read."""


_LEFT = _Left()


def described(error: BaseException) -> str:
    """Return the type and the first line of an error."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _raise_if_locked(path: Path, error: BaseException) -> None:
    """Raise where the disk or a lock fails, which says nothing about the file."""
    problem = hdf5_problem(path, error)
    if isinstance(problem, MissingFileError):
        raise problem from error
