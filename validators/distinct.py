"""Work on the distinct values of a column, and spread the result over its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Distinct:
    """A column as distinct values and one code per row.

    The last value stands for missing ones, so that code -1 finds it.
    """

    codes: npt.NDArray[np.intp]
    values: list[Any]

    @classmethod
    def of(cls, column: pd.Series[Any]) -> Distinct:
        """Factorise a column of any type; missing values become NaN."""
        if isinstance(column.dtype, pd.CategoricalDtype):
            codes = np.asarray(column.cat.codes, dtype=np.intp)
            return cls(codes, [*column.cat.categories.tolist(), np.nan])
        try:
            raw_codes, uniques = pd.factorize(column.astype(object))
        except TypeError:  # something like a list, which cannot be hashed: one code per row
            rows = np.arange(len(column), dtype=np.intp)
            return cls(np.where(column.isna(), -1, rows), [*column.tolist(), np.nan])
        return cls(np.asarray(raw_codes, dtype=np.intp), [*uniques.tolist(), np.nan])

    def rows(self, predicate: Callable[[Any], bool]) -> npt.NDArray[np.bool_]:
        """Say for each row whether its value satisfies `predicate`; missing ones do not."""
        hits = np.fromiter((predicate(v) for v in self.values[:-1]), bool, len(self.values) - 1)
        return np.append(hits, False)[self.codes]

    def used(self) -> list[Any]:
        """Return the values that occur, without missing ones, in the order of their codes."""
        used = np.unique(self.codes[self.codes >= 0])
        return [self.values[i] for i in used]


@dataclass(frozen=True)
class Ragged:
    """Lists of different lengths, one after the other.

    Parameters
    ----------
    flat
        All items.
    starts, lengths
        Where each list begins, and how long it is.
    """

    flat: npt.NDArray[Any]
    starts: npt.NDArray[np.intp]
    lengths: npt.NDArray[np.intp]

    @classmethod
    def of(cls, lists: Sequence[Sequence[Any]], dtype: npt.DTypeLike) -> Ragged:
        """Lay out lists."""
        lengths = np.fromiter((len(x) for x in lists), np.intp, len(lists))
        flat = np.fromiter((item for x in lists for item in x), dtype, int(lengths.sum()))
        return cls(flat, np.cumsum(lengths) - lengths, lengths)

    def take(self, codes: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Return the items of the lists at `codes`, one list after the other."""
        lengths = self.lengths[codes]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        items: npt.NDArray[Any] = self.flat[np.repeat(self.starts[codes], lengths) + within]
        return items
