"""The one reader of ``.h5ad`` files: elements in every layout that AnnData has had.

Validation, splits, predictions and scores read through it, so that what one of them
calls valid the others can open. Needed elements that cannot be read are errors; what
is not needed and cannot be read is left, and said.

Layouts of a table (``obs``, ``var``): a group of columns (anndata 0.8 and later), the
same with categories apart (0.7, SeuratDisk), without marks (other writers), and one
compound dataset whose categories are in ``uns`` (0.6 and earlier).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from pereggrn_data.core.errors import MissingFileError
from pereggrn_data.core.foreign_reading import let_through
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
    SPLIT_SHA256_UNS,
    SPLIT_UNS,
    TIMEPOINT,
)
from pereggrn_data.core.reports import Finding
from pereggrn_data.loaders.files.any_file import (
    hdf5_layout,
    hdf5_problem,
    not_h5ad,
    refuse_other_kind,
    required_file,
)
from pereggrn_data.loaders.files.hdf5.hdf5_files import (
    all_of,
    open_hdf5,
    refuse_foreign_values,
    require_fits,
)
from pereggrn_data.loaders.files.tables import plain_frame
from pereggrn_data.validators import READ_FAILURES, RULES

WITH_RULES: Mapping[str, tuple[str, ...]] = {
    "obs": (*REQUIRED_OBS, CELL_TYPE, TIMEPOINT),
    "var": (HIGHLY_VARIABLE_RANK,),
    "uns": (
        *(MEASURED, NOT_MEASURED, OVERLAP, SKIP_LOG_CHECK, SCANPY_LOG),
        *(PEREGGRN_UNS, SPLIT_UNS, SPLIT_SHA256_UNS),
    ),
}
"""Columns and keys that are needed: where one is there and cannot be read, that is an error."""

MAPPINGS = ("obsm", "varm", "layers", "obsp", "varp")
"""Elements that no rule looks at: they are handed on where they can be read."""

RESERVED = "_index"
"""A name that AnnData keeps for itself; SeuratDisk leaves columns of that name."""

CATEGORIES_APART = "__categories"
CATEGORIES_IN_UNS = "_categories"
INDEX_NAMES = ("_index", "index", "names", "rownames")
"""What writers call the names of rows where they do not say it."""

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
                read = partial(_value, group, key)
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
        return None if element is None or _is_null(element) else element

    def raw_names(self) -> list[str] | None:
        """Read the gene names of ``raw``; None if they cannot be read."""

        def read() -> list[str]:
            return self._columns_of(self._raw("var")).names()

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
            encoding = _text(element.attrs.get("encoding-type", ""))
            if encoding not in KNOWN_ENCODINGS:
                raise ValueError(f"it is stored as {encoding!r}, which is not known")
            if encoding == "awkward-array" and find_spec("awkward") is None:
                raise ValueError("an awkward array, which needs the package awkward")
            if not every:
                return _LEFT
            # Plain text needs no other reader, and that one takes long to import.
            return element.asstr("utf-8")[()] if _is_one_text(element) else read_any(element)
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

    def _columns_of(self, element: Any) -> _Columns | _Record:
        if isinstance(element, h5py.Group):
            return _Columns(element)
        if isinstance(element, h5py.Dataset) and element.dtype.names:
            uns = self.file.get("uns")
            return _Record(element, uns if isinstance(uns, h5py.Group) else {})
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
                read = partial(_of_length, table, name, len(names))
                values = self.needed(f"{slot}/{name}", slot, name, read)
                columns.update({} if values is None else {name: values})
            elif not table.has(name):
                self.leave(slot, name, "it is listed among the columns, and is not there")
            elif every:
                try:
                    columns[name] = _of_length(table, name, len(names))
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
    texts += [_text(value) for value in file.attrs.values()]
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


def read_any(element: Any) -> Any:
    """Read an element as anndata does, whatever it is."""
    from anndata.io import read_elem

    require_fits(element)
    with warnings.catch_warnings():
        # Files of anndata 0.7 are fine; what cannot be read is raised.
        warnings.simplefilter("ignore")
        return read_elem(element)


def _raise_if_locked(path: Path, error: BaseException) -> None:
    """Raise where the disk or a lock fails, which says nothing about the file."""
    problem = hdf5_problem(path, error)
    if isinstance(problem, MissingFileError):
        raise problem from error


# ---- tables


class _Columns:
    """A table that is a group of columns, marked or not."""

    def __init__(self, group: h5py.Group) -> None:
        self.group = group
        stated = group.attrs.get("_index")
        known = [n for n in INDEX_NAMES if n in group]
        self.index = _text(stated) if stated is not None else (known[0] if known else RESERVED)

    def names(self) -> list[str]:
        """Return the names of the rows."""
        if self.index not in self.group:
            raise KeyError(f"the names ({self.index!r}) are not there")
        found = np.asarray(_decoded(self.group[self.index]), dtype=object).tolist()
        return found if set(map(type, found)) <= {str} else list(map(str, found))

    def listed(self) -> list[str]:
        """Return the names of the columns, there or not, in their order."""
        order = self.group.attrs.get("column-order")
        found = list(self.group) if order is None else [_text(v) for v in np.ravel(order)]
        # Columns that were added by other programs are not in the list.
        wanted = WITH_RULES["obs"] + WITH_RULES["var"]
        found += [n for n in wanted if n in self.group and n not in found]
        return [n for n in found if n not in (self.index, CATEGORIES_APART)]

    def has(self, name: str) -> bool:
        """Say whether a column is there."""
        return name in self.group

    def read(self, name: str) -> Any:
        """Read a column."""
        element = self.group[name]
        apart = element.attrs.get("categories")
        if isinstance(element, h5py.Dataset):
            if isinstance(apart, h5py.Reference):
                # It need not be among the elements that were looked through.
                categories = element.file[apart]
                if isinstance(categories, h5py.Dataset):
                    refuse_foreign_values(categories.id, Path(element.file.filename), name)
                return _categorical(all_of(element), categories)
            stored = self.group.get(CATEGORIES_APART)
            if isinstance(stored, h5py.Group) and name in stored:
                return _categorical(all_of(element), stored[name])
        return _decoded(element)


class _Record:
    """A table that is one compound dataset, as anndata wrote until 0.6."""

    def __init__(self, dataset: h5py.Dataset, uns: Any) -> None:
        self.dataset = dataset
        self.uns = uns
        fields = list(dataset.dtype.names)
        self.index = next((n for n in INDEX_NAMES if n in fields), fields[0])

    def names(self) -> list[str]:
        """Return the names of the rows."""
        return [str(v) for v in _plain_values(self.dataset[self.index])]

    def listed(self) -> list[str]:
        """Return the names of the columns."""
        return [n for n in self.dataset.dtype.names if n != self.index]

    def has(self, name: str) -> bool:
        """Say whether a column is there."""
        return name in self.dataset.dtype.names

    def read(self, name: str) -> Any:
        """Read a column, and its categories from uns."""
        values = self.dataset[name]
        categories = f"{name}{CATEGORIES_IN_UNS}"
        if values.dtype.kind in "iu" and isinstance(self.uns.get(categories), h5py.Dataset):
            return _categorical(values, self.uns[categories])
        return _plain_values(values)


def _of_length(table: _Columns | _Record, name: str, n: int) -> Any:
    if not table.has(name):
        raise KeyError("it is listed among the columns, and is not there")
    values = table.read(name)
    if np.ndim(values) != 1 or len(values) != n:
        raise ValueError(f"{np.shape(values)} values for {n} names")
    kind = getattr(getattr(values, "dtype", None), "kind", "")
    distinct = values.categories if isinstance(values, pd.Categorical) else values
    # A value of several parts is no text and no number; nearly all of a million are text.
    nested = kind == "O" and any(
        type(v) is not str and np.ndim(v) for v in np.asarray(distinct, dtype=object)
    )
    if kind in ("V", "c") or nested:
        raise ValueError(
            "its values have several parts each, which no table of text or numbers has"
        )
    return values


def _decoded(element: Any) -> Any:
    """Read a column or another array, as the marks or the parts of an element say."""
    if isinstance(element, h5py.Dataset):
        return _plain_values(_strings(element))
    parts = set(element)
    if {"codes", "categories"} <= parts:
        ordered = bool(element.attrs.get("ordered", False))
        return _categorical(all_of(element["codes"]), element["categories"], ordered=ordered)
    if {"values", "mask"} <= parts:
        return _nullable(_decoded(element["values"]), all_of(element["mask"]))
    return read_any(element)


def _strings(element: h5py.Dataset) -> Any:
    text = h5py.check_string_dtype(element.dtype)
    # HDF5's text of fixed length says ASCII and often holds UTF-8.
    return all_of(element, as_text=text is not None)


def _plain_values(values: Any) -> Any:
    """Return numbers as they are, and bytes as text."""
    array = np.asarray(values)
    if array.dtype.kind == "S":
        return np.array([v.decode() for v in array.ravel()], dtype=object).reshape(array.shape)
    if array.dtype.kind in "UT":
        return array.astype(object)
    if array.dtype.kind == "O":
        plain = array.ravel().tolist()
        if set(map(type, plain)) <= {str}:
            return array
        plain = [v.decode() if isinstance(v, bytes) else v for v in plain]
        made = np.empty(len(plain), dtype=object)
        made[:] = plain
        return made.reshape(array.shape)
    # Big-endian numbers are fine for NumPy, and not for everything that follows.
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _categorical(codes: npt.NDArray[Any], categories: Any, *, ordered: bool = False) -> Any:
    """Make a categorical; categories that pandas does not take become plain values."""
    if isinstance(categories, h5py.Dataset):
        ordered = ordered or bool(categories.attrs.get("ordered", False))
    stored = np.atleast_1d(np.asarray(_decoded(categories), dtype=object))
    known = pd.Index(stored.tolist() if len(stored) else [], dtype=object).infer_objects()
    codes = np.asarray(codes).astype(np.int64)
    if codes.size and (codes.min() < -1 or codes.max() >= len(known)):
        raise ValueError(f"codes outside -1..{len(known) - 1}")
    if known.is_unique and not known.hasnans:
        return pd.Categorical.from_codes(codes, categories=known, ordered=ordered)
    values = np.append(stored, [np.nan])[codes] if len(codes) else stored[:0]
    return pd.Series(values, dtype=object).to_numpy()


def _nullable(values: Any, mask: npt.NDArray[Any]) -> Any:
    values, mask = np.asarray(values), np.asarray(mask).astype(bool)
    if values.shape != mask.shape:
        raise ValueError(f"{mask.shape} marks for {values.shape} values")
    if values.dtype.kind == "b":
        return pd.arrays.BooleanArray(values, mask)
    if values.dtype.kind in "iu":
        return pd.arrays.IntegerArray(values, mask)
    if values.dtype.kind == "f":
        return np.where(mask, np.nan, values)
    return np.where(mask, np.array(np.nan, dtype=object), values.astype(object))


# ---- uns


def _value(group: Any, key: str) -> Any:
    """Read an entry of uns: text, a number, a truth value, a list of names, or a dict."""
    element = group[key]
    if _is_null(element):
        return None
    if isinstance(element, h5py.Group):
        parts = set(element)
        if {"codes", "categories"} <= parts or {"values", "mask"} <= parts:
            return np.asarray(_decoded(element))
        if _text(element.attrs.get("encoding-type", "dict")) == "dict":
            return {name: _value(element, name) for name in element}
        return read_any(element)
    values = _decoded(element)
    return values if element.shape else np.asarray(values).ravel()[0]


def _is_null(element: Any) -> bool:
    """Say whether an element stands for None."""
    return _text(element.attrs.get("encoding-type", "")) == "null" or (
        isinstance(element, h5py.Dataset) and element.shape is None
    )


def _is_one_text(element: Any) -> bool:
    is_single = isinstance(element, h5py.Dataset) and element.shape == ()
    return is_single and h5py.check_string_dtype(element.dtype) is not None


def _text(value: Any) -> str:
    """Return an attribute as text."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
