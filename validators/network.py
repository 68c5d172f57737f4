"""Rules of a network file, applied to facts that were counted by SQL."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from pereggrn_data.core.format import CELL_TYPE, NETWORK_COLUMNS
from pereggrn_data.core.reports import Finding, Severity
from pereggrn_data.validators import schemas
from pereggrn_data.validators.findings import failures, missing_column_finding
from pereggrn_data.validators.rules import RULES

NAME_COLUMNS = ("regulator", "target")
WEIGHT = "weight"
CHECKED_COLUMNS = (*NETWORK_COLUMNS, CELL_TYPE)

_COUNTS = {
    "edges-null": ("n_null", "null"),
    "edges-empty-name": ("n_empty", "an empty name"),
    "edges-white-space": ("n_white_space", "white space or characters that are not seen"),
    "weight-not-finite": ("n_not_finite", "NaN or infinity"),
}


@dataclass(frozen=True)
class ColumnFacts:
    """What is in one column of a network.

    Parameters
    ----------
    type
        Its type, in DuckDB's words.
    type_fits
        Whether that is text for names and a number for weights.
    n_null, n_empty, n_white_space, n_not_finite
        Counts of rows.
    examples
        The first few rows of each problem, by the code of its rule.
    """

    type: str
    type_fits: bool
    n_null: int = 0
    n_empty: int = 0
    n_white_space: int = 0
    n_not_finite: int = 0
    examples: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class EdgeFacts:
    """What is in a network file.

    Parameters
    ----------
    columns
        All of its columns.
    n_edges
        Number of rows.
    facts
        Of the columns that have rules.
    n_duplicates
        Rows whose regulator, target and cell type occurred before; None if the
        columns are not there.
    n_conflicting
        Edges that occur with several weights.
    duplicates
        The first few, by name.
    """

    columns: tuple[str, ...]
    n_edges: int
    facts: dict[str, ColumnFacts]
    n_duplicates: int | None = None
    n_conflicting: int = 0
    duplicates: tuple[str, ...] = ()


def check_network(edges: EdgeFacts) -> list[Finding]:
    """Check a network against the uniform format.

    Parameters
    ----------
    edges
        Facts about the file.

    Returns
    -------
    list of Finding
        Every problem.
    """
    found = _missing(edges)
    if edges.n_edges == 0:
        found.append(RULES["edges-none"].found("no rows"))
    found += _column_findings(edges)
    if edges.n_duplicates:
        got = f"{edges.n_duplicates} repeated rows among {edges.n_edges}"
        if edges.n_conflicting:
            got += f"; {edges.n_conflicting} edges have several weights"
        found.append(
            RULES["edges-duplicated"].found(got, n=edges.n_duplicates, examples=edges.duplicates)
        )
    return found


def _missing(edges: EdgeFacts) -> list[Finding]:
    present = list(edges.columns)
    found = [
        missing_column_finding("edges-missing-column", name, present)
        for name in NAME_COLUMNS
        if name not in edges.facts
    ]
    if WEIGHT not in edges.facts:
        found.append(missing_column_finding("edges-no-weight", WEIGHT, present))
    return found


def _column_findings(edges: EdgeFacts) -> list[Finding]:
    if not edges.facts:
        return []
    names = list(edges.facts)
    frame = pd.DataFrame(
        {
            name: [getattr(edges.facts[c], name) for c in names]
            for name in schemas.EDGE_COLUMNS.columns
        },
        index=names,
    )
    return [
        _column_finding(code, names[row], edges)
        for code, _, rows in failures(schemas.EDGE_COLUMNS, frame)
        for row in rows
    ]


def _column_finding(code: str, name: str, edges: EdgeFacts) -> Finding:
    facts, rule = edges.facts[name], RULES[code]
    if code == "edges-column-type":
        expected = "a number" if name == WEIGHT else "text"
        got = f"{facts.type} in {edges.n_edges} rows"
        return rule.found(got, column=name, n=edges.n_edges, expected=expected)
    attribute, noun = _COUNTS[code]
    n = getattr(facts, attribute)
    got = f"{noun} in {n} of {edges.n_edges} rows"
    # An edge without a cell type is an edge too: files with and without them mix.
    mild = code == "edges-null" and name == CELL_TYPE
    return rule.found(
        got,
        column=name,
        n=n,
        examples=facts.examples.get(code, ()),
        severity=Severity.WARNING if mild else None,
        fix="nothing, if these edges hold in every cell type." if mild else None,
    )
