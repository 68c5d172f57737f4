"""Turn other people's tables of edges into networks: which column is what is found here."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from pereggrn_data.core.errors import InvalidDataError, UsageError, first_few
from pereggrn_data.core.format import PERTURBATION
from pereggrn_data.loaders.files.any_file import required_file
from pereggrn_data.loaders.files.tables import text_ending
from pereggrn_data.loaders.network.base_grn import import_base_grn, is_base_grn
from pereggrn_data.loaders.network.edge_rows import EdgeRows
from pereggrn_data.loaders.network.foreign_tables import ForeignTable, foreign_table
from pereggrn_data.loaders.network.imported import (
    GENE_FORMS,
    Imported,
    made_network,
    notes_on,
)
from pereggrn_data.loaders.network.line_layouts import import_lines, line_layout
from pereggrn_data.loaders.network.regulons import import_regulons, regulon_rows

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "regulator": ("regulator", "source", "tf", "from", "transcription_factor", "tf_name",
                  "regulatorygene", "regulatory_gene", "source_gene", "sourcegene"),
    "target": ("target", "gene", "to", "target_gene", "targetgene", "tg"),
    "weight": ("weight", "mor", "importance", "score", "coef", "coef_mean", "edge_weight"),
    "cell_type": ("cell_type", "celltype"),
}  # fmt: skip
"""Headers of edge lists, in lower case; the uniform format's own name wins over others."""

SYMBOLS = ("genesymbol", "gene_symbol", "symbol", "gene_name", "genename")
"""What stands behind a header, with an underscore, where symbols are beside accessions."""

WORDS = re.compile(
    r"tf|gene|source|target|regulator|from|to|name|symbol|id|node|weight|score|type|ko|effect"
    r"|factor|parent|child|cause|edge|interaction|v\d+|x\d+|column.*|unnamed.*",
    re.IGNORECASE,
)
"""Words of headers; what is none of them, and looks as the values do, may be an edge."""

MOST_EDGE_COLUMNS = 20
"""Tables with more columns are no lists of edges: TF and TG are genes as well."""

SIGNS = {0.0, 1.0}
"""Values of columns that say yes or no, and are no weights."""


def import_table(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    unweighted: bool = False,
    header: bool | None = None,
) -> Imported:
    """Read a table of edges that is not in the uniform format.

    Parameters
    ----------
    path
        A table of text (also ``.gz``) or parquet: an edge list; CellOracle's base
        GRN, one row per peak, with ``peak_id``, ``gene_short_name`` and one column
        of 0 and 1 per transcription factor; pySCENIC's regulons; or a SIF or GMT
        file, see :func:`~pereggrn_data.loaders.network.line_layouts.import_lines`.
    columns
        Headers of an edge list by what they are (regulator, target, weight,
        cell_type), where they cannot be recognised.
    unweighted
        Ignore weights.
    header
        Whether the first line of text is a header. By default it is one, unless it
        looks like an edge, which is an error. Without a header, columns are
        called 1, 2, ..., and the first two are regulator and target.

    Raises
    ------
    UsageError
        If columns are not recognised, or could be several things, or the first
        line looks like an edge.
    InvalidDataError
        If names or weights are missing or are not what they should be.
    """
    chosen = dict(columns or {})
    if line_layout(path) is not None:
        return import_lines(required_file(path), chosen, unweighted=unweighted, header=header)
    regulons = regulon_rows(path)
    if regulons and not chosen:
        return import_regulons(path, regulons, unweighted=unweighted)
    if header is False:
        table = foreign_table(path, header=False)
        chosen = {"regulator": "1", "target": "2"} | chosen
    else:
        table = foreign_table(path)
        if is_base_grn(table) and not chosen:
            return import_base_grn(path, table)
    return _edge_list(path, table, chosen, unweighted=unweighted, header=header)


def recognised_roles(columns: Sequence[str]) -> set[str]:
    """Return which of regulator, target, weight and cell_type a header has."""
    return {role for role in SYNONYMS if _candidates(role, columns, ())}


def signs_of_a_network(path: Path) -> str:
    """Say what shows that a table of text is of edges and not of genes; empty if nothing does.

    Its header does: as that of an edge list, a base GRN or regulons, or an edge itself.

    Parameters
    ----------
    path
        Any file; one that is no table of text shows nothing.
    """
    if text_ending(path) is None:
        return ""
    try:
        if regulon_rows(path):
            return "the columns of pySCENIC's regulons"
        table = foreign_table(path)
    except (InvalidDataError, UsageError):
        return ""  # whatever it is, it is not recognised as a network
    header = table.columns
    if PERTURBATION in header:
        return ""
    if is_base_grn(table):
        return "the columns of a base GRN"
    if len(header) > MOST_EDGE_COLUMNS:
        return ""
    found = [_candidates(role, header, ()) for role in ("regulator", "target")]
    if all(found):
        return f"columns {' and '.join(repr(columns[0]) for columns in found)}"
    reason = _why_an_edge(table, ())
    return f"no header ({reason})" if reason else ""


def _edge_list(
    path: Path,
    source: ForeignTable,
    columns: Mapping[str, str],
    *,
    unweighted: bool,
    header: bool | None,
) -> Imported:
    if header is None:
        _refuse_an_edge_as_header(path, source, columns)
    used = {role: _column(role, source, columns, path) for role in SYNONYMS}
    if unweighted:
        used["weight"] = None
    chosen = {role: name for role, name in used.items() if name is not None}
    if len(set(chosen.values())) < len(chosen):
        raise UsageError(f"One column of {path} was named twice.", got=str(chosen))
    rows = EdgeRows(path, chosen, source.decimal)
    for batch in source.batches(list(chosen.values())):
        rows.add(batch)
    table, notes = rows.table()
    notes += notes_on(rows.names)
    if rows.n_trimmed:
        what = "had white space or characters that are not seen around them, which were removed"
        notes += (f"{what}: {rows.n_trimmed} names",)
    if used["weight"] is None and not unweighted:
        notes += _numbers_left_out(source, list(chosen.values()))
    network = made_network(table, path)
    n_merged = rows.n_rows - network.n_edges
    if n_merged:
        notes += (
            f"{n_merged} rows repeat an edge: each is kept once"
            + (", with its largest absolute weight." if "weight" in chosen else "."),
        )
    return Imported(
        network=network,
        layout="edge list",
        used=chosen,
        ignored=tuple(name for name in source.columns if name not in chosen.values()),
        n_rows=rows.n_rows,
        notes=notes,
    )


def _candidates(role: str, header: Sequence[str], taken: Sequence[str]) -> list[str]:
    """Return the columns that could have a role; symbols, else the role's own name, win."""
    free = [name for name in header if name not in taken]
    symbols = {f"{word}_{symbol}" for word in SYNONYMS[role] for symbol in SYMBOLS}
    for wanted in (symbols, {role}, set(SYNONYMS[role])):
        found = [name for name in free if name.lower().replace(" ", "_") in wanted]
        if found:
            return found
    return []


def _column(role: str, source: ForeignTable, columns: Mapping[str, str], path: Path) -> str | None:
    """Find the column of a role: as named by the user, else by its header."""
    header = source.columns
    option = f"--{role.replace('_', '-')}"
    if role in columns:
        if columns[role] not in header:
            raise UsageError(
                f"{path} has no column {columns[role]!r}, which {option} names.",
                expected=f"one of {first_few(header)}",
            )
        return columns[role]
    found = _candidates(role, header, tuple(columns.values()))
    if len(found) == 1:
        return found[0]
    if not found and role in ("weight", "cell_type"):
        return None
    fix = f"name it: {option} COLUMN{' (or --unweighted)' if role == 'weight' else ''}."
    if not found:
        fix += " If the file has no header, and its first line is an edge: --no-header."
    raise UsageError(
        f"{path} has {'several columns' if found else 'no column'} that could be the {role}.",
        expected=f"one of the headers {', '.join(SYNONYMS[role])}",
        got=f"the columns {first_few(found or header)}",
        fix=fix,
    )


def _refuse_an_edge_as_header(
    path: Path, source: ForeignTable, columns: Mapping[str, str]
) -> None:
    """Check that the first line is not an edge, which would be lost as a header."""
    if {"regulator", "target"} <= recognised_roles(source.columns):
        return
    reason = _why_an_edge(source, [columns[r] for r in ("regulator", "target") if r in columns])
    if reason:
        raise UsageError(
            f"The first line of {path} looks like data, not like a header: {reason}.",
            expected="a header that names the columns",
            got=f"the first line {first_few(source.columns)}",
            fix="if it is an edge, add --no-header: the columns are then called 1, 2, ... "
            "(--regulator 1 --target 2 are assumed). If it is a header, add --header.",
        )


def _why_an_edge(source: ForeignTable, named: Sequence[str]) -> str | None:
    """Say what in the first line gives it away as an edge."""
    header = [name for name in source.columns if name]
    places = [name for i, name in enumerate(header) if name in (str(i), str(i + 1))]
    numbers = [n for n in header if n not in places and source.number(n) is not None]
    if numbers:
        return f"{numbers[0]} is a number"
    values = [{row[i].strip() for row in source.sample} for i in range(len(source.columns))]
    for name, own in zip(source.columns, values, strict=True):
        if name and name in own:
            return f"{name} is also among the values below it"
    for form in GENE_FORMS:
        alike = [
            name
            for name, own in zip(source.columns, values, strict=True)
            if form.fullmatch(name)
            and not WORDS.fullmatch(name)
            and own
            and all(map(form.fullmatch, own))
        ]
        if len(alike) > 1 and (not named or set(named) & set(alike)):
            return f"{alike[0]} and {alike[1]} look like the genes below them"
    return None


def _numbers_left_out(source: ForeignTable, used: Sequence[str]) -> tuple[str, ...]:
    """Name columns of numbers that could be weights, but were not recognised."""
    found = []
    for i, name in enumerate(source.columns):
        numbers = [source.number(row[i]) for row in source.sample if row[i].strip()]
        if name and name not in used and numbers and None not in numbers:
            found += [] if set(numbers) <= SIGNS else [name]
    if not found:
        return ()
    return (
        f"columns of numbers were left out: {first_few(found)}. If one of them holds the "
        f"weights, name it: --weight {shlex.quote(found[0])}",
    )
