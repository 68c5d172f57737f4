"""What the original's accessory tables know of genes, as columns of the tables of evaluation.

The original (PEREGGRN's software) joins two tables of its collection to the scores of every
run: degrees of genes in its networks, and how human genes bear mutations. Here each is joined
where it is: in the local collection, or fetched. Nothing is fetched for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import InvalidDataError, PereggrnError
from pereggrn_data.loaders.files.tables import text_table
from pereggrn_data.pipelines.collection import entry_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pandas as pd

GENE = "gene"
MISSING = ("", "NA", "NaN", "nan")
CONSTRAINT = {
    "transcript": str,
    "chr": str,
    "n_exons": float,
    "bp": float,
    "mis_z": float,
    "pLI": float,
}
"""Columns of the table of mutations that the original has, too."""

DEGREES = ("in-degree", "out-degree")


@dataclass(frozen=True)
class GeneColumns:
    """What is known of genes besides their scores.

    Parameters
    ----------
    known
        One row per gene, with the gene as its label.
    lacking
        By the name of each table of the catalog that says nothing, the reason.
    """

    known: pd.DataFrame
    lacking: dict[str, str]


def gene_columns(genes: Collection[str], collection: str | None = None) -> GeneColumns:
    """Return what the accessory tables that are here say of genes.

    Parameters
    ----------
    genes
        Of which columns are wanted; a table that has none of them says nothing.
    collection
        Folder of the local collection.
    """
    import pandas as pd

    together = pd.DataFrame(index=pd.Index(list(genes), dtype=object))
    lacking = {}
    for name, read in _TABLES.items():
        try:
            path = next(iter(entry_paths(name, collection=collection)))
            table = read(path)
        except (PereggrnError, OSError, StopIteration, ValueError) as error:
            lacking[name] = " ".join(str(error).split()) or "it has no file"
            continue
        if not together.index.isin(table.index).any():
            lacking[name] = "It has none of the genes."
            continue
        together = together.join(table.reindex(together.index))
    return GeneColumns(together, lacking)


def _degrees(path: Path) -> pd.DataFrame:
    """Read degrees: rows are genes in networks, and the column of genes has no name."""
    columns = [GENE, "network", *DEGREES]
    table = text_table(path, labels=[GENE, "network"], columns=columns)
    frame = table.read(text=[GENE, "network"], missing=MISSING).to_pandas()
    of_gene = frame.drop_duplicates([GENE, "network"]).set_index([GENE, "network"])
    wide: pd.DataFrame = of_gene[list(DEGREES)].unstack("network")
    names = ["_".join(map(str, column)) for column in wide.columns.to_list()]
    return wide.set_axis(names, axis=1)[sorted(names)].astype(float)


def _constraint(path: Path) -> pd.DataFrame:
    """Read the table of mutations; of several transcripts of a gene, the largest values.

    Each column by itself, which is what the original's tables have.
    """
    table = text_table(path, labels=[GENE])
    if GENE not in table.columns:
        raise InvalidDataError(f"{path} says nothing of genes.", expected="a column 'gene'")
    wanted = {name: kind for name, kind in CONSTRAINT.items() if name in table.columns}
    text = [GENE, *(name for name, kind in wanted.items() if kind is str)]
    frame = table.read(text=text, missing=MISSING).to_pandas()
    by_gene: pd.DataFrame = frame.groupby(GENE)[list(wanted)].max()
    return by_gene.astype({name: "float64" for name, kind in wanted.items() if kind is float})


_TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    "network_degrees": _degrees,
    "gene_constraint": _constraint,
}
"""What reads each entry of the catalog, in the order of the original's columns."""
