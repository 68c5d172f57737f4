"""Edges that are collected batch by batch, so that a table need not fit into memory as text.

Names are stored once per batch, and rows as places among them: ten million edges take 16
bytes each here, where their text takes ten times as much.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pereggrn_data.core.errors import InvalidDataError, lines_of
from pereggrn_data.loaders.network.imported import (
    note_on_regulons,
    plain_regulators,
    trimmed,
    unnamed_rows,
)

WEIGHT, REGULATOR, CELL_TYPE = "weight", "regulator", "cell_type"


class EdgeRows:
    """What was read of a table of edges so far.

    Parameters
    ----------
    path
        Of the table, for messages.
    columns
        Headers by role: regulator, target and optionally weight and cell_type.
    decimal
        The decimal mark of weights.
    """

    def __init__(self, path: Path, columns: Mapping[str, str], decimal: str) -> None:
        self.path, self.columns, self.decimal = path, columns, decimal
        self.n_rows = 0
        self.n_trimmed = 0
        """How many names had white space around them."""
        self.names: set[str] = set()
        """All regulators and targets."""
        self._parts: dict[str, list[pa.Array]] = {role: [] for role in columns}
        self._unnamed: dict[str, list[int]] = {role: [0, 0] for role in columns}
        self._n_bad_weights = 0
        self._plain: dict[str, str] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows, of which all columns are text.

        Raises
        ------
        InvalidDataError
            If a weight is no number.
        """
        for role, header in self.columns.items():
            text = batch.column(header)
            if role == WEIGHT:
                self._parts[role].append(self._numbers(text, header))
            else:
                self._parts[role].append(self._encoded(role, text))
        self.n_rows += batch.num_rows

    def _encoded(self, role: str, text: pa.Array) -> pa.DictionaryArray:
        names = trimmed(text)
        self.n_trimmed += pc.sum(pc.not_equal(text, names)).as_py() or 0
        if role == CELL_TYPE:
            names = pc.if_else(pc.equal(names, ""), None, names)
            return names.dictionary_encode()
        unnamed = np.flatnonzero(pc.fill_null(pc.equal(names, ""), True))
        if len(unnamed):
            count, first = self._unnamed[role]
            self._unnamed[role] = [
                count + len(unnamed),
                first if count else self.n_rows + int(unnamed[0]),
            ]
        encoded = names.dictionary_encode()
        distinct = [name for name in encoded.dictionary.to_pylist() if name]
        if role == REGULATOR and (plain := plain_regulators(distinct)):
            self._plain |= plain
            all_plain = [plain.get(name, name) for name in names.to_pylist()]
            encoded = pa.array(all_plain, pa.string()).dictionary_encode()
            distinct = encoded.dictionary.to_pylist()
        self.names.update(distinct)
        return encoded

    def _numbers(self, column: pa.Array, name: str) -> pa.Array:
        try:
            text = trimmed(column)
            if self.decimal == ",":
                text = pc.replace_substring(text, ",", ".")
            weights = pc.if_else(pc.equal(text, ""), None, text).cast(pa.float64())
        except pa.ArrowInvalid as error:
            raise InvalidDataError(
                f"The column {name} of {self.path} does not hold numbers: {lines_of(error)[0]}",
                expected="a weight in every row",
                fix="name another column by --weight, or use --unweighted.",
            ) from None
        self._n_bad_weights += len(weights) - (pc.sum(pc.is_finite(weights)).as_py() or 0)
        return weights

    def table(self) -> tuple[pa.Table, tuple[str, ...]]:
        """Return all edges, with a note if regulators were named as regulons.

        Raises
        ------
        InvalidDataError
            If names are missing, or weights are missing or not finite.
        """
        if self._n_bad_weights:
            raise InvalidDataError(
                f"{self._n_bad_weights} of {self.n_rows} weights of {self.path} are missing or "
                "not finite.",
                expected="a finite number in every row",
                got="empty, NaN or infinite values",
                fix="remove these rows, or use --unweighted.",
            )
        for role, (count, first) in self._unnamed.items():
            if count:
                raise unnamed_rows(self.path, self.columns[role], count, first)
        names = pa.dictionary(pa.int32(), pa.string())
        made: dict[str, Any] = {
            role: pa.chunked_array(parts, pa.float64() if role == WEIGHT else names)
            for role, parts in self._parts.items()
        }
        return pa.table(made), note_on_regulons(self._plain)
