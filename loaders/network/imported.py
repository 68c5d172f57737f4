"""What an import of another kind of table yields, and what all of its layouts share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pereggrn_data.core.errors import InvalidDataError, first_few
from pereggrn_data.core.labels import is_accession
from pereggrn_data.core.spoiled_names import looks_like_date
from pereggrn_data.loaders.network.graph import Network

UNIPROT = re.compile(
    r"(COMPLEX:)?([OPQ]\d[A-Z0-9]{3}\d|[A-NR-Z]\d([A-Z][A-Z0-9]{2}\d){1,2})([-_].*)?"
)
"""Accessions of UniProt, also of isoforms and of OmniPath's complexes."""

REGULON = re.compile(r"(?:_extended)?(?:\s*\(\d+g\))?(\([+-]\))?(?:\s*\(\d+g\))?$")
"""What SCENIC and pySCENIC write behind a factor to name its regulon."""

GENE_FORMS = tuple(
    re.compile(form)
    for form in (
        r"[A-Z][A-Z0-9.-]*[A-Z0-9]",  # TP53, HLA-A
        r"[A-Z][a-z0-9.-]*[a-z0-9]([A-Z0-9]{1,6}(Rik)?)?",  # Trp53, Nkx2-1
        r"[a-z]{3}[A-Z]?[0-9]*",  # lacZ, crp, fnr
    )
)
"""How genes of humans, mice and bacteria are written."""

MANY = 0.5
"""From this share of the names on, they are taken to be of another kind."""


@dataclass(frozen=True)
class Imported:
    """A network that was made from another kind of table.

    Parameters
    ----------
    network
        The edges, each once.
    layout
        ``"edge list"``, ``"base GRN"``, ``"regulons"``, ``"SIF"`` or ``"GMT"``.
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


def is_uniprot(name: str) -> bool:
    """Say whether a name looks like an accession of UniProt.

    Examples
    --------
    >>> is_uniprot("P04637"), is_uniprot("TP53")
    (True, False)
    """
    return bool(UNIPROT.fullmatch(name))


_NOT_SEEN = "".join(
    map(chr, (*range(0x21), 0x7F, 0x85, 0xA0, 0xAD, 0x1680, 0x180E, *range(0x2000, 0x2010),
              *range(0x2028, 0x2030), *range(0x205F, 0x2065), 0x3000, 0xFEFF))
)  # fmt: skip
"""White space, and the characters of no width that tables from web pages have."""


def trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as text without white space and characters of no width around it."""
    return pc.utf8_trim(column.cast(pa.string()), characters=_NOT_SEEN)


def check_named(names: pa.ChunkedArray, column: str, path: Path) -> None:
    """Check that every row has a name.

    Raises
    ------
    InvalidDataError
        Naming the first row that has none.
    """
    unnamed = np.flatnonzero(pc.fill_null(pc.equal(names, ""), True).to_numpy())
    if len(unnamed):
        raise unnamed_rows(path, column, len(unnamed), int(unnamed[0]))


def unnamed_rows(path: Path, column: str, n: int, first: int) -> InvalidDataError:
    """Make the error of rows without a name, of which `first` is the place of the first."""
    return InvalidDataError(
        f"{path} has {n} rows without a name in {column}.",
        expected="a gene in every row",
        got=f"the first is row {first + 1} of the values",
        fix="name these genes or remove these rows.",
    )


def without_regulon_marks(names: pa.ChunkedArray) -> tuple[pa.ChunkedArray, tuple[str, ...]]:
    """Return factors named as factors, not as regulons, and a note if any was.

    Notes
    -----
    A repressed regulon, ``MYC(-)``, loses its sign: importances have none.
    """
    changed = plain_regulators(names.unique().to_pylist())
    if not changed:
        return names, ()
    all_plain = [changed.get(name, name) for name in names.to_pylist()]
    return pa.chunked_array([pa.array(all_plain, pa.string())]), note_on_regulons(changed)


def plain_regulators(names: Iterable[str]) -> dict[str, str]:
    """Map names of regulons to those of their factors; only names that change."""
    return {name: plain for name in names if (plain := REGULON.sub("", name)) != name and plain}


def note_on_regulons(changed: Mapping[str, str]) -> tuple[str, ...]:
    """Say which regulators were named as regulons, as :func:`plain_regulators` found them."""
    if not changed:
        return ()
    first = next(iter(changed))
    note = (
        f"{len(changed)} regulators were named as regulons, and are named as genes now "
        f"({first} is {changed[first]})"
    )
    repressed = sum(name.rstrip().endswith("(-)") for name in changed)
    if repressed:
        note += f"; {repressed} of them are repressed regulons, (-), which no weight says"
    return (f"{note}.",)


def notes_on(names: Iterable[str]) -> tuple[str, ...]:
    """Say what is strange about the names of genes, as far as their form tells."""
    distinct = sorted(set(names))
    notes = []
    dates = [name for name in distinct if looks_like_date(name)]
    if dates:
        notes.append(f"look like dates, as spreadsheets make of genes: {first_few(dates)}")
    for looks, what in (
        (is_uniprot, "accessions of UniProt"),
        (is_accession, "accessions of Ensembl, FlyBase or WormBase"),
        (str.isdecimal, "numbers, such as Entrez identifiers"),
    ):
        found = [name for name in distinct if looks(name)]
        if found and len(found) >= MANY * len(distinct):
            notes.append(
                f"{len(found)} of {len(distinct)} names look like {what}, such as {found[0]}: "
                "they match no dataset whose genes are named by symbols. If another column "
                "holds the symbols, name it: --regulator COLUMN --target COLUMN."
            )
    return tuple(notes)


def made_network(table: pa.Table, path: Path) -> Network:
    """Return a network of a table of edges, each once.

    Raises
    ------
    InvalidDataError
        If there is none.
    """
    if table.num_rows == 0:
        raise InvalidDataError(f"{path} holds no edges.", expected="at least one edge")
    name: Any = path.name.split(".")[0] or "imported"
    return Network.from_table(table, name=name).unique()
