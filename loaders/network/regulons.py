"""Regulons as pySCENIC writes them: one row per enriched motif, with a list of targets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pereggrn_data.core.errors import InvalidDataError
from pereggrn_data.loaders.files.tables import text_table
from pereggrn_data.loaders.network.foreign_tables import leading_rows
from pereggrn_data.loaders.network.imported import (
    Imported,
    check_named,
    made_network,
    notes_on,
    trimmed,
    without_regulon_marks,
)

FACTOR, TARGETS = "TF", "TargetGenes"
CONTEXT = "Context"
REPRESSING = "repressing"
MAX_HEADER_ROWS = 4

_NUMBER = r"(?:np\.float(?:32|64)\()?([-+]?[\d.]+(?:[eE][-+]?\d+)?)\)?"
_TARGET = re.compile(rf"""\(\s*(?:'([^']+)'|"([^"]+)")\s*,\s*{_NUMBER}\s*\)""")


@dataclass(frozen=True)
class RegulonRows:
    """How a table of regulons is laid out.

    Parameters
    ----------
    columns
        Their names, of which pySCENIC spreads some over three rows.
    n_header_rows
        Rows in front of the first motif.
    """

    columns: tuple[str, ...]
    n_header_rows: int


def regulon_rows(path: Path) -> RegulonRows | None:
    """Say how the regulons in a table are laid out; None if it holds none."""
    rows = leading_rows(path, MAX_HEADER_ROWS)
    with_targets = [i for i, row in enumerate(rows) if TARGETS in row]
    with_factor = [i for i, row in enumerate(rows) if FACTOR in row[:2]]
    if not with_targets or not with_factor:
        return None
    names = list(rows[with_targets[0]])
    for i, name in enumerate(rows[with_factor[0]]):
        if i < len(names) and not names[i].strip():
            names[i] = name
    columns = tuple(name.strip() or f"unnamed {i}" for i, name in enumerate(names))
    return RegulonRows(columns, max(with_targets[0], with_factor[0]) + 1)


def import_regulons(path: Path, rows: RegulonRows, *, unweighted: bool = False) -> Imported:
    """Make a network of regulons: a factor regulates the targets of all of its motifs.

    The weights are the importances; an edge of several motifs keeps the largest.

    Raises
    ------
    InvalidDataError
        If a list of targets cannot be read, or there is no edge.
    """
    source = text_table(path, columns=rows.columns, n_header_rows=rows.n_header_rows)
    wanted = [FACTOR, TARGETS, *([CONTEXT] if CONTEXT in rows.columns else [])]
    table = source.read(wanted, text=None)
    factors = trimmed(table[FACTOR])
    check_named(factors, FACTOR, path)
    factors, notes = without_regulon_marks(factors)
    regulators: list[str] = []
    targets: list[str] = []
    weights: list[float] = []
    for row, (factor, cell) in enumerate(
        zip(factors.to_pylist(), table[TARGETS].to_pylist(), strict=True)
    ):
        for gene, weight in _targets(cell, path, row + rows.n_header_rows + 1):
            regulators.append(factor)
            targets.append(gene)
            weights.append(weight)
    made: dict[str, list[str] | list[float]] = {"regulator": regulators, "target": targets}
    made |= {} if unweighted else {"weight": weights}
    n_repressing = sum(REPRESSING in c for c in table[CONTEXT].to_pylist()) if wanted[2:] else 0
    if n_repressing:
        notes += (
            f"{n_repressing} of {table.num_rows} rows are of repressed targets: importances have "
            "no sign, so that no weight says it.",
        )
    return Imported(
        network=made_network(pa.table(made), path),
        layout="regulons",
        used={"regulator": FACTOR, "target": TARGETS}
        | ({} if unweighted else {"weight": f"the importances in {TARGETS}"}),
        ignored=tuple(c for c in rows.columns if c not in (FACTOR, TARGETS)),
        n_rows=table.num_rows,
        notes=notes + notes_on([*regulators, *targets]),
    )


def _targets(cell: str, path: Path, line: int) -> list[tuple[str, float]]:
    found = [(a or b, float(weight)) for a, b, weight in _TARGET.findall(cell)]
    rest = _TARGET.sub("", cell).strip("[], \t\r\n")
    if rest.replace(",", "").strip():
        raise InvalidDataError(
            f"The targets in row {line} of {path} cannot be read.",
            expected="a list such as [('BRCA1', 0.5), ('TP53', 1.2)]",
            got=f"{rest!r:.60}",
        )
    return found
