"""CellOracle's base GRN: one row per peak, one column of 0 and 1 per transcription factor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.core.format import UNWEIGHTED
from pereggrn_data.loaders.network.foreign_tables import ForeignTable
from pereggrn_data.loaders.network.imported import (
    Imported,
    check_named,
    made_network,
    notes_on,
    trimmed,
)

PEAK, GENE = "peak_id", "gene_short_name"
INDEX_HEADERS = {"", "index", "Unnamed: 0", "__index_level_0__"}
"""What pandas calls an index that was saved as a column."""


def is_base_grn(table: ForeignTable) -> bool:
    """Say whether a table is one."""
    return {PEAK, GENE} <= set(table.columns)


def import_base_grn(path: Path, source: ForeignTable) -> Imported:
    """Make a network of a base GRN: a factor regulates the genes of its peaks.

    Raises
    ------
    InvalidDataError
        If a gene or a value is missing, or there is no edge.
    """
    factors = [name for name in source.columns if name not in {PEAK, GENE} | INDEX_HEADERS]
    if not factors:
        raise InvalidDataError(
            f"{path} has no columns beside {PEAK} and {GENE}.",
            expected="one column of 0 and 1 per transcription factor",
        )
    table = source.read([GENE, *factors], text=(GENE,))
    genes = trimmed(table[GENE])
    check_named(genes, GENE, path)
    targets = genes.combine_chunks().dictionary_encode()
    codes, names = targets.indices.to_numpy(), targets.dictionary.to_pylist()
    parts, binary = [], True
    for factor in factors:
        values = _motifs(table[factor], factor, path)
        hit = np.flatnonzero(values)
        binary = binary and bool(np.all(values[hit] == 1))
        parts.append((factor, codes[hit], values[hit]))
    made = pa.table(
        {
            "regulator": np.repeat(factors, [len(hit) for _, hit, _ in parts]).tolist(),
            "target": np.array(names, dtype=object)[np.concatenate([h for _, h, _ in parts])],
            "weight": np.concatenate([v for _, _, v in parts]),
        },
        schema=pa.schema(
            [("regulator", pa.string()), ("target", pa.string()), ("weight", pa.float64())]
        ),
    )
    if binary:
        made = made.set_column(2, "weight", pa.array(np.full(made.num_rows, UNWEIGHTED)))
    return Imported(
        network=made_network(made, path),
        layout="base GRN",
        used={"regulator": f"{len(factors)} columns", "target": GENE}
        | ({} if binary else {"weight": "the values"}),
        ignored=tuple(name for name in source.columns if name in {PEAK} | INDEX_HEADERS),
        n_rows=table.num_rows,
        notes=notes_on(names),
    )


def _motifs(column: pa.ChunkedArray, name: str, path: Path) -> np.ndarray[Any, Any]:
    try:
        values = column.cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise InvalidDataError(
            f"The column {name!r} of {path} does not say for every peak whether it has the motif.",
            expected="0 or 1 in every row",
            got=f"the type {column.type}, or missing values",
            fix="remove columns that are not transcription factors.",
        )
    return np.asarray(values)
