"""Elements of ``.h5ad`` files as values, in every layout that AnnData has had.

Layouts of a table (``obs``, ``var``): a group of columns (anndata 0.8 and later), the
same with categories apart (0.7, SeuratDisk), without marks (other writers), and one
compound dataset whose categories are in ``uns`` (0.6 and earlier).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

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
from pereggrn_data.loaders.files.hdf5.hdf5_files import all_of, refuse_foreign_values, require_fits

WITH_RULES: Mapping[str, tuple[str, ...]] = {
    "obs": (*REQUIRED_OBS, CELL_TYPE, TIMEPOINT),
    "var": (HIGHLY_VARIABLE_RANK,),
    "uns": (
        *(MEASURED, NOT_MEASURED, OVERLAP, SKIP_LOG_CHECK, SCANPY_LOG),
        *(PEREGGRN_UNS, SPLIT_UNS, SPLIT_SHA256_UNS),
    ),
}
"""Columns and keys that are needed: where one is there and cannot be read, that is an error."""

RESERVED = "_index"
"""A name that AnnData keeps for itself; SeuratDisk leaves columns of that name."""

CATEGORIES_APART = "__categories"
CATEGORIES_IN_UNS = "_categories"
INDEX_NAMES = ("_index", "index", "names", "rownames")
"""What writers call the names of rows where they do not say it."""


def read_any(element: Any) -> Any:
    """Read an element as anndata does, whatever it is."""
    from anndata.io import read_elem

    require_fits(element)
    with warnings.catch_warnings():
        # Files of anndata 0.7 are fine; what cannot be read is raised.
        warnings.simplefilter("ignore")
        return read_elem(element)


class GroupTable:
    """A table that is a group of columns, marked or not."""

    def __init__(self, group: h5py.Group) -> None:
        self.group = group
        stated = group.attrs.get("_index")
        known = [n for n in INDEX_NAMES if n in group]
        self.index = (
            attribute_text(stated) if stated is not None else (known[0] if known else RESERVED)
        )

    def names(self) -> npt.NDArray[np.object_]:
        """Return the names of the rows."""
        if self.index not in self.group:
            raise KeyError(f"the names ({self.index!r}) are not there")
        return _as_texts(_decoded(self.group[self.index]))

    def listed(self) -> list[str]:
        """Return the names of the columns, there or not, in their order."""
        order = self.group.attrs.get("column-order")
        found = list(self.group) if order is None else [attribute_text(v) for v in np.ravel(order)]
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


class RecordTable:
    """A table that is one compound dataset, as anndata wrote until 0.6."""

    def __init__(self, dataset: h5py.Dataset, uns: Any) -> None:
        self.dataset = dataset
        self.uns = uns
        fields = list(dataset.dtype.names)
        self.index = next((n for n in INDEX_NAMES if n in fields), fields[0])

    def names(self) -> npt.NDArray[np.object_]:
        """Return the names of the rows."""
        return _as_texts(_plain_values(self.dataset[self.index]))

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


def column_of_length(table: GroupTable | RecordTable, name: str, n: int) -> Any:
    """Read a column of text or numbers, one value for each of `n` rows.

    Raises
    ------
    KeyError
        If it is not there.
    ValueError
        If it is of another length, or its values have several parts each.
    """
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


def _as_texts(values: Any) -> npt.NDArray[np.object_]:
    """Return values as an array of text; a million texts are not gone through more than once."""
    found = np.atleast_1d(np.asarray(values, dtype=object))
    if set(map(type, found.tolist())) <= {str}:
        return found
    return np.array(list(map(str, found)), dtype=object)


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


def entry_value(group: Any, key: str) -> Any:
    """Read an entry of uns: text, a number, a truth value, a list of names, or a dict."""
    element = group[key]
    if is_null(element):
        return None
    if isinstance(element, h5py.Group):
        parts = set(element)
        if {"codes", "categories"} <= parts or {"values", "mask"} <= parts:
            return np.asarray(_decoded(element))
        if attribute_text(element.attrs.get("encoding-type", "dict")) == "dict":
            return {name: entry_value(element, name) for name in element}
        return read_any(element)
    values = _decoded(element)
    return values if element.shape else np.asarray(values).ravel()[0]


def is_null(element: Any) -> bool:
    """Say whether an element stands for None."""
    return attribute_text(element.attrs.get("encoding-type", "")) == "null" or (
        isinstance(element, h5py.Dataset) and element.shape is None
    )


def is_one_text(element: Any) -> bool:
    """Say whether an element is a single text."""
    is_single = isinstance(element, h5py.Dataset) and element.shape == ()
    return is_single and h5py.check_string_dtype(element.dtype) is not None


def attribute_text(value: Any) -> str:
    """Return an attribute as text."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
