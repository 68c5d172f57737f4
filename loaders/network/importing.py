"""Turn other people's tables of edges into networks: edge lists and CellOracle's base GRN."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pereggrn_data.core.errors import InvalidDataError, PereggrnError, UsageError, first_few
from pereggrn_data.core.format import PERTURBATION, UNWEIGHTED
from pereggrn_data.loaders.network.foreign_tables import header_of, read_columns
from pereggrn_data.loaders.network.graph import Network

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "regulator": ("regulator", "source", "tf", "from", "transcription_factor", "tf_name"),
    "target": ("target", "gene", "to", "target_gene", "targetgene", "tg"),
    "weight": ("weight", "mor", "importance", "score", "coef", "coef_mean", "edge_weight"),
    "cell_type": ("cell_type", "celltype"),
}
"""Headers of edge lists, in lower case; the uniform format's own name always wins."""

PEAK, GENE = "peak_id", "gene_short_name"
INDEX_HEADERS = {"", "index", "Unnamed: 0", "__index_level_0__"}
"""What pandas calls an index that was saved as a column."""

MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DATE = re.compile(rf"\d{{1,2}}-({MONTHS})|({MONTHS})-\d{{1,4}}", re.IGNORECASE)


MOST_EDGE_COLUMNS = 20
"""Tables with more columns are no lists of edges: TF and TG are genes as well."""


def edge_columns(path: Path) -> tuple[str, ...]:
    """Return the headers of a text table that name regulators and targets; else nothing.

    Parameters
    ----------
    path
        Any file; what is no text table has none.
    """
    try:
        header = [] if path.name.lower().endswith(".h5ad") else header_of(path)
    except PereggrnError:
        return ()  # whatever it is, it is not recognised as a network
    if len(header) > MOST_EDGE_COLUMNS or PERTURBATION in header:
        return ()
    found = [[c for c in header if c.lower() in SYNONYMS[k]] for k in ("regulator", "target")]
    return tuple(columns[0] for columns in found) if all(found) else ()


@dataclass(frozen=True)
class Imported:
    """A network that was made from another kind of table.

    Parameters
    ----------
    network
        The edges, each once.
    layout
        ``"edge list"`` or ``"base GRN"``.
    used
        Which column became regulator, target, weight and cell type.
    ignored
        Columns that were not used.
    n_rows
        Rows of the table.
    notes
        What the user should look at.
    """

    network: Network
    layout: str
    used: Mapping[str, str]
    ignored: tuple[str, ...]
    n_rows: int
    notes: tuple[str, ...]


def import_table(
    path: Path, columns: Mapping[str, str] | None = None, *, unweighted: bool = False
) -> Imported:
    """Read a table of edges that is not in the uniform format.

    Parameters
    ----------
    path
        CSV or TSV (also ``.gz``) or parquet. Either an edge list with a header,
        or CellOracle's base GRN: one row per peak, with ``peak_id``,
        ``gene_short_name`` and one column of 0 and 1 per transcription factor.
    columns
        Headers of an edge list by what they are (regulator, target, weight,
        cell_type), where they cannot be recognised.
    unweighted
        Ignore weights.

    Raises
    ------
    UsageError
        If columns are not recognised, or could be several things.
    InvalidDataError
        If names or weights are missing or are not what they should be.
    """
    header = header_of(path)
    if PEAK in header and GENE in header and not columns:
        return _base_grn(path, header)
    return _edge_list(path, header, columns or {}, unweighted)


def _edge_list(
    path: Path, header: Sequence[str], columns: Mapping[str, str], unweighted: bool
) -> Imported:
    used = {role: _column(role, header, columns, path) for role in SYNONYMS}
    if unweighted:
        used["weight"] = None
    chosen = {role: name for role, name in used.items() if name is not None}
    if len(set(chosen.values())) < len(chosen):
        raise UsageError(f"One column of {path} was named twice.", got=str(chosen))
    table = read_columns(path, list(chosen.values()), as_text=True)
    made: dict[str, Any] = {}
    n_trimmed = 0
    for role, name in chosen.items():
        made[role] = _weights(table[name], name, path) if role == "weight" else _text(table[name])
        if role != "weight":
            as_read = table[name].cast(pa.string())
            n_trimmed += pc.sum(pc.not_equal(as_read, made[role])).as_py() or 0
    for role in ("regulator", "target"):
        _check_named(made[role], chosen[role], path)
    if "cell_type" in made:
        made["cell_type"] = pc.if_else(pc.equal(made["cell_type"], ""), None, made["cell_type"])
    return Imported(
        network=_network(pa.table(made), path),
        layout="edge list",
        used=chosen,
        ignored=tuple(name for name in header if name not in chosen.values()),
        n_rows=table.num_rows,
        notes=_notes(made["regulator"], made["target"], n_trimmed=n_trimmed),
    )


def _column(
    role: str, header: Sequence[str], columns: Mapping[str, str], path: Path
) -> str | None:
    """Find the column of a role: as named by the user, else by its header."""
    option = f"--{role.replace('_', '-')}"
    if role in columns:
        if columns[role] not in header:
            raise UsageError(
                f"{path} has no column {columns[role]!r}, which {option} names.",
                expected=f"one of {first_few(header)}",
            )
        return columns[role]
    taken = set(columns.values())
    found = [name for name in header if name.lower() in SYNONYMS[role] and name not in taken]
    exact = [name for name in found if name.lower() == role]
    if len(exact) == 1 or len(found) == 1:
        return (exact or found)[0]
    if not found and role in ("weight", "cell_type"):
        return None
    raise UsageError(
        f"{path} has {'several columns' if found else 'no column'} that could be the {role}.",
        expected=f"one of the headers {', '.join(SYNONYMS[role])}",
        got=f"the columns {first_few(found or header)}",
        fix=f"name it: {option} COLUMN{' (or --unweighted)' if role == 'weight' else ''}.",
    )


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def _weights(column: pa.ChunkedArray, name: str, path: Path) -> pa.ChunkedArray:
    try:
        text = _text(column)
        weights = pc.if_else(pc.equal(text, ""), None, text).cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise InvalidDataError(
            f"The column {name} of {path} does not hold numbers: {error}",
            expected="a weight in every row",
            fix="name another column by --weight, or use --unweighted.",
        ) from None
    missing = len(weights) - (pc.sum(pc.is_finite(weights)).as_py() or 0)
    if missing:
        raise InvalidDataError(
            f"{missing} of {len(weights)} weights of {path} are missing or not finite.",
            expected="a finite number in every row",
            got="empty, NaN or infinite values",
            fix="remove these rows, or use --unweighted.",
        )
    return weights


def _check_named(names: pa.ChunkedArray, column: str, path: Path) -> None:
    unnamed = np.flatnonzero(pc.fill_null(pc.equal(names, ""), True).to_numpy())
    if len(unnamed):
        raise InvalidDataError(
            f"{path} has {len(unnamed)} rows without a name in {column}.",
            expected="a gene in every row",
            got=f"the first is row {unnamed[0] + 1} after the header",
            fix="name these genes or remove these rows.",
        )


def _notes(*columns: pa.ChunkedArray, n_trimmed: int = 0) -> tuple[str, ...]:
    notes = []
    names = {name for column in columns for name in column.unique().to_pylist()}
    dates = sorted(name for name in names if DATE.fullmatch(name))
    if dates:
        notes.append(f"look like dates, as spreadsheets make of genes: {first_few(dates)}")
    if n_trimmed:
        notes.append(f"had white space around them, which was removed: {n_trimmed} names")
    return tuple(notes)


def _base_grn(path: Path, header: Sequence[str]) -> Imported:
    factors = [name for name in header if name not in {PEAK, GENE} | INDEX_HEADERS]
    if not factors:
        raise InvalidDataError(
            f"{path} has no columns beside {PEAK} and {GENE}.",
            expected="one column of 0 and 1 per transcription factor",
        )
    table = read_columns(path, [GENE, *factors], text=(GENE,))
    genes = _text(table[GENE])
    _check_named(genes, GENE, path)
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
        network=_network(made, path),
        layout="base GRN",
        used={"regulator": f"{len(factors)} columns", "target": GENE}
        | ({} if binary else {"weight": "the values"}),
        ignored=tuple(name for name in header if name in {PEAK} | INDEX_HEADERS),
        n_rows=table.num_rows,
        notes=_notes(genes),
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


def _network(table: pa.Table, path: Path) -> Network:
    if table.num_rows == 0:
        raise InvalidDataError(f"{path} holds no edges.", expected="at least one edge")
    name = path.name.split(".")[0] or "imported"
    return Network.from_table(table, name=name).unique()
