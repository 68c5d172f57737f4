"""Where the edges of a network come from: parquet files, tables in memory, chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pereggrn_data.core.errors import InvalidDataError, MissingFileError, UsageError, first_few
from pereggrn_data.core.format import CELL_TYPE, NETWORK_COLUMNS
from pereggrn_data.loaders.files.any_file import (
    existing_path,
    required_file,
    visible_files,
)
from pereggrn_data.loaders.files.tables import (
    batches_of,
    holds_numbers,
    holds_text,
    parquet_footer,
    read_parquet,
)

REGULATOR, TARGET, WEIGHT = NETWORK_COLUMNS
NETWORK = "network"
SUBNETWORK = "subnetwork"
STORED_COLUMNS = (REGULATOR, TARGET, WEIGHT, CELL_TYPE, SUBNETWORK)
"""Columns that are read where they are present; others are ignored."""

ONLY_SUBNETWORK = "all"
"""What the collection calls the one file of a network without parts."""


@dataclass(frozen=True)
class EdgeFile:
    """A parquet file of edges, whose footer has been read and checked.

    Parameters
    ----------
    path
        Absolute path.
    network, subnetwork
        What its edges belong to.
    columns
        Those of :data:`STORED_COLUMNS` that the file has.
    n_rows
        Edges as stored, from the footer.
    """

    path: Path
    network: str
    subnetwork: str
    columns: frozenset[str]
    n_rows: int

    @property
    def n_bytes(self) -> int:
        """Size on disk."""
        return self.path.stat().st_size

    def odd_edges(self) -> Counter[str]:
        """Count edges that ``validate`` calls wrong, by what is wrong with them."""
        return _odd(batches_of(self.path, sorted(self.columns & set(_JUDGED))))


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """Edges in memory, as an Arrow table with some of :data:`STORED_COLUMNS`."""

    table: pa.Table
    network: str
    subnetwork: str = ONLY_SUBNETWORK

    @property
    def columns(self) -> frozenset[str]:
        """Those of :data:`STORED_COLUMNS` that the table has."""
        return frozenset(self.table.column_names)

    @property
    def n_rows(self) -> int:
        """Edges as stored."""
        return int(self.table.num_rows)

    def odd_edges(self) -> Counter[str]:
        """Count edges that ``validate`` calls wrong, by what is wrong with them."""
        return _odd(self.table.select(sorted(self.columns & set(_JUDGED))).to_batches())


EdgeSource = EdgeFile | EdgeTable


_JUDGED = (REGULATOR, TARGET, WEIGHT, CELL_TYPE)
"""Columns of which a value can be wrong; an edge without a cell type holds in all of them."""


def _odd(batches: Iterable[pa.RecordBatch]) -> Counter[str]:
    found: Counter[str] = Counter()
    for batch in batches:
        for name in batch.schema.names:
            values = batch.column(name)
            if name == WEIGHT:
                numbers = values.cast(pa.float64())
                found["without a weight"] += _n(pc.is_null(numbers, nan_is_null=True))
                found["with an infinite weight"] += _n(pc.is_inf(numbers))
                continue
            texts = values.cast(pa.large_string())
            if name != CELL_TYPE:
                found[f"without a {name}"] += texts.null_count
            blank = pc.equal(pc.utf8_trim(texts, characters=" "), "")
            found[f"with an empty {name.replace('_', ' ')}"] += _n(blank)
    return +found


def _n(marks: pa.Array) -> int:
    return int(pc.sum(marks).as_py() or 0)


def edge_paths(path: Path) -> list[Path]:
    """Return the parquet files that a path stands for, by name.

    Parameters
    ----------
    path
        A parquet file, a folder of them, or a folder with a subfolder
        ``networks`` of them (as every network of the collection has it).

    Raises
    ------
    MissingFileError
        If there is no such path, or the folder holds no parquet file.
    """
    found = existing_path(path)
    if found is None:
        raise MissingFileError.at(path, f"There is no file or folder {path}.")
    path = found
    if path.is_file():
        return [path]
    files = visible_files(path, ".parquet") or visible_files(path / "networks", ".parquet")
    if not files:
        raise MissingFileError(
            f"The folder {path} holds no network.",
            expected="parquet files in it, or in a subfolder called networks",
        )
    return files


def network_name(path: Path) -> str:
    """Name a network after its file or folder, as the collection does.

    Examples
    --------
    >>> network_name(Path("networks/chea/networks/all.parquet"))
    'chea'
    >>> network_name(Path("mine.parquet"))
    'mine'
    """
    folder = path.parent if path.suffix.lower() == ".parquet" else path
    if folder.name == "networks" and folder.parent.name:
        return folder.parent.name
    return path.stem if path.suffix.lower() == ".parquet" else path.name


def edge_file(path: Path, network: str, subnetwork: str) -> EdgeFile:
    """Read and check the footer of a parquet file; its edges stay on disk.

    Raises
    ------
    InvalidDataError
        If it is not parquet, lacks a column, or has edges without a regulator or target.
    """
    path = required_file(path)  # the files of a folder may be links and folders
    schema, metadata = parquet_footer(path)
    _check_columns(schema, str(path))
    _check_names(str(path), _nulls_in_footer(metadata))
    return EdgeFile(
        path=path.absolute(),
        network=network,
        subnetwork=subnetwork,
        columns=frozenset(STORED_COLUMNS) & set(schema.names),
        n_rows=metadata.num_rows,
    )


def edge_table(table: Any, network: str, subnetwork: str = ONLY_SUBNETWORK) -> EdgeTable:
    """Check a DataFrame or an Arrow table of edges.

    Parameters
    ----------
    table
        Columns ``regulator`` and ``target``, and optionally ``weight``,
        ``cell_type`` and ``subnetwork``; others are ignored.
    network, subnetwork
        What the edges belong to, unless a column says it.

    Raises
    ------
    UsageError
        If it is neither a DataFrame nor an Arrow table.
    InvalidDataError
        If a column is missing or of another type, or a regulator or target is missing.
    """
    if not isinstance(table, pa.Table):
        import pandas as pd

        if not isinstance(table, pd.DataFrame):
            raise UsageError(
                "This is not a table of edges.",
                expected="a DataFrame or an Arrow table",
                got=f"a value of type {type(table).__name__}",
            )
        try:
            table = pa.Table.from_pandas(table, preserve_index=False)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InvalidDataError(
                f"The table of edges cannot be read: {str(error).splitlines()[0]}",
                expected="text in regulator and target, numbers in weight",
            ) from error
    what = f"the table {network}"
    if table.num_rows == 0:
        # Without values, a type says nothing: pandas gives such columns any.
        table = pa.schema([(name, pa.null()) for name in table.column_names]).empty_table()
    _check_columns(table.schema, what)
    table = table.select([name for name in STORED_COLUMNS if name in table.column_names])
    _check_names(what, {name: table[name].null_count for name in (REGULATOR, TARGET)})
    return EdgeTable(table.replace_schema_metadata(None), network, subnetwork)


def random_edges(
    regulators: Sequence[str], targets: Sequence[str], density: Any, seed: Any
) -> pa.Table:
    """Return edges of which every possible one is present by chance.

    Parameters
    ----------
    regulators, targets
        Distinct names. Their order decides which draw is whose.
    density
        Probability of each edge, from 0 to 1; may be one of NumPy's numbers.
    seed
        A whole number from 0.

    Raises
    ------
    UsageError
        If the density is not a probability, or the seed not a whole number from 0.
    """
    if not (isinstance(density, Real) and 0 <= float(density) <= 1):
        raise UsageError(
            "The density of a random network is a probability.",
            expected="a number from 0 to 1",
            got=repr(density),
        )
    if not (isinstance(seed, Integral) and int(seed) >= 0):
        raise UsageError(
            "The seed of a random network is not one.",
            expected="a whole number, 0 or above",
            got=repr(seed),
        )
    generator = np.random.default_rng(int(seed))
    hits = [np.flatnonzero(generator.random(len(targets)) < float(density)) for _ in regulators]
    codes = np.repeat(np.arange(len(regulators)), [len(hit) for hit in hits])
    hit = np.concatenate(hits) if hits else codes
    return pa.table({REGULATOR: _decoded(codes, regulators), TARGET: _decoded(hit, targets)})


def _decoded(codes: npt.NDArray[np.intp], names: Sequence[str]) -> pa.Array:
    """Return the names that codes stand for, stored once each."""
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, pa.int32()), pa.array(list(names), pa.string())
    )


def source_subnetworks(sources: Iterable[EdgeSource]) -> list[str]:
    """Return the subnetworks of some sources, sorted."""
    names: set[str] = set()
    for source in sources:
        if SUBNETWORK not in source.columns:
            names.add(source.subnetwork)
            continue
        stored = (
            source.table[SUBNETWORK]
            if isinstance(source, EdgeTable)
            else read_parquet(source.path, [SUBNETWORK])[SUBNETWORK]
        )
        # An edge whose subnetwork is missing belongs to the one of its file.
        names.update(
            source.subnetwork if name is None else name for name in stored.unique().to_pylist()
        )
    return sorted(names)


_IMPORT = "`pereggrn-data networks import FILE -o net.parquet` converts other tables."


def _check_columns(schema: pa.Schema, what: str) -> None:
    missing = [name for name in (REGULATOR, TARGET) if name not in schema.names]
    if missing:
        raise InvalidDataError(
            f"{what} has no column {' and no column '.join(missing)}.",
            expected="the columns regulator, target, weight (and optionally cell_type)",
            got=f"the columns {first_few(schema.names)}",
            fix=_IMPORT,
        )
    for name in STORED_COLUMNS:
        if name not in schema.names:
            continue
        if schema.names.count(name) > 1:
            raise InvalidDataError(f"{what} has more than one column {name}.")
        kind = schema.field(name).type
        wanted, ok = ("numbers", holds_numbers) if name == WEIGHT else ("text", holds_text)
        if not (ok(kind) or pa.types.is_null(kind)):
            raise InvalidDataError(
                f"The column {name} of {what} does not hold {wanted}.",
                expected=wanted,
                got=f"the type {kind}",
                fix=_IMPORT,
            )


def _nulls_in_footer(metadata: pq.FileMetaData) -> dict[str, int]:
    """Count missing names as far as the footer knows, without reading any edge."""
    nulls = {REGULATOR: 0, TARGET: 0}
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            statistics = column.statistics if column.path_in_schema in nulls else None
            if statistics is not None and statistics.has_null_count:
                nulls[column.path_in_schema] += statistics.null_count
    return nulls


def _check_names(what: str, nulls: Mapping[str, int]) -> None:
    for column, n in nulls.items():
        if n:
            raise InvalidDataError(
                f"{what} has {n} edge{'s' if n > 1 else ''} without a {column}.",
                expected=f"the name of a gene in every row of {column}",
                got="missing values",
                fix="name these genes or remove these rows "
                "(pandas reads the gene names NA and nan as missing values).",
            )
