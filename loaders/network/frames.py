"""From the answers of a network to frames, lists, matrices and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.files.any_file import written_in_one_step

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array


def to_frame(table: pa.Table) -> pd.DataFrame:
    """Turn an Arrow table into a DataFrame whose text is plain objects of str.

    A missing text is NaN. Equal names share one object, which keeps frames
    of millions of edges small.
    """
    import pandas as pd

    columns = {name: _plain(table[name].combine_chunks()) for name in table.column_names}
    return pd.DataFrame(columns, columns=table.column_names)


def _plain(column: pa.Array | pa.ChunkedArray) -> pd.Series[Any]:
    import pandas as pd

    if not pa.types.is_string(column.type):
        return pd.Series(column.to_numpy(zero_copy_only=False))
    codes, names = _codes(column)
    values = np.array([*names, np.nan], dtype=object)
    return pd.Series(values[codes], dtype=object)


def _codes(column: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return a text column as positions in its sorted distinct names; -1 is missing."""
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    order = pc.sort_indices(encoded.dictionary).to_numpy(zero_copy_only=False)
    rank = np.empty(len(order) + 1, dtype=np.intp)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    indices = encoded.indices.fill_null(len(order)).to_numpy(zero_copy_only=False)
    return rank[indices], encoded.dictionary.take(pa.array(order)).to_pylist()


def to_lists(
    table: pa.Table,
    targets: Sequence[str] | None = None,
    spelled: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[str]]:
    """Group edges by target.

    Parameters
    ----------
    table
        Text columns ``target`` and ``regulator``; pairs may repeat.
    targets
        Keys of the result, in this order; by default all targets, sorted.
    spelled
        The names in the table of those keys that are spelled otherwise there.

    Returns
    -------
    dict
        Target to its distinct regulators, sorted; an empty list where there are none.
    """
    target_codes, target_names = _codes(table["target"])
    regulator_codes, regulator_names = _codes(table["regulator"])
    width = max(len(regulator_names), 1)
    pairs = np.sort(target_codes * width + regulator_codes)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique takes ten times as long
    names = np.array(regulator_names, dtype=object)[pairs % width].tolist()
    edges = np.searchsorted(pairs // width, np.arange(len(target_names) + 1)).tolist()
    found = {target: names[edges[i] : edges[i + 1]] for i, target in enumerate(target_names)}
    if targets is None:
        return found
    spelled = spelled or {}
    return {
        target: sorted({r for name in spelled[target] for r in found.get(name, ())})
        if target in spelled
        else found.get(target, [])
        for target in targets
    }


class SameForAll(Mapping[str, list[str]]):
    """A mapping of every key to the same list, of which each access makes a copy."""

    def __init__(self, keys: Sequence[str], known: Sequence[str], value: Sequence[str]) -> None:
        self._keys = dict.fromkeys(keys)
        self._known = frozenset(known)
        self._value = value

    def __getitem__(self, key: str) -> list[str]:
        if key not in self._keys:
            raise KeyError(key)
        return list(self._value) if key in self._known else []

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


def to_csr(table: pa.Table, regulators: Sequence[str], targets: Sequence[str]) -> csr_array:
    """Make a sparse matrix of distinct edges (columns regulator, target, weight)."""
    from scipy.sparse import csr_array

    rows = pc.index_in(table["regulator"], pa.array(regulators, pa.string()))
    columns = pc.index_in(table["target"], pa.array(targets, pa.string()))
    where = (rows.to_numpy(), columns.to_numpy())
    matrix = csr_array((table["weight"].to_numpy(), where), shape=(len(regulators), len(targets)))
    matrix.sort_indices()
    return matrix


def dense_degree(regulators: Sequence[str], targets: Sequence[str]) -> pd.DataFrame:
    """Return the degrees of a network of all regulators and all targets."""
    import pandas as pd

    rows, columns = set(regulators), set(targets)
    genes = sorted(rows | columns)
    return pd.DataFrame(
        {
            "gene": pd.Series(genes, dtype=object),
            "out_degree": [len(columns) if gene in rows else 0 for gene in genes],
            "in_degree": [len(rows) if gene in columns else 0 for gene in genes],
        }
    )


def check_suffix(path: Path) -> None:
    """Check that a table can be written under this name.

    Raises
    ------
    UsageError
        If the suffix is not a known one.
    """
    if path.suffix.lower() not in (".parquet", ".csv", ".tsv"):
        raise UsageError(
            f"The format of {path} is not known.",
            expected="a name that ends with .parquet, .csv or .tsv",
        )


def write_batches(batches: pa.RecordBatchReader, path: Path) -> int:
    """Write a parquet, CSV or TSV file in one step: it appears only when it is complete.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    UsageError
        If the suffix is not a known one, or the file cannot be written.
    """
    check_suffix(path)
    n = 0
    with (
        written_in_one_step(path) as temporary,
        _writer(temporary, path.suffix.lower(), batches.schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
            n += batch.num_rows
    return n


def _writer(path: Path, suffix: str, schema: pa.Schema) -> Any:
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.ParquetWriter(path, schema, compression="zstd")
    from pyarrow import csv

    options = csv.WriteOptions(delimiter="\t" if suffix == ".tsv" else ",", quoting_style="needed")
    return csv.CSVWriter(path, schema, write_options=options)
