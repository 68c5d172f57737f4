"""The edges of several parquet files as one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation

COLUMNS = ("regulator", "target", "weight", "cell_type")


def edges_of_files(files: Mapping[str, Path]) -> DuckDBPyRelation:
    """Return the edges of a network's files; they stay on disk until they are asked for.

    Parameters
    ----------
    files
        By subnetwork.

    Returns
    -------
    duckdb.DuckDBPyRelation
        Regulator, target, weight (-1 where a file has none), cell type if any
        file has one, and subnetwork.
    """
    import duckdb

    connection = duckdb.connect()
    paths = [str(path) for path in files.values()]
    edges = connection.read_parquet(paths, union_by_name=True, filename=True)
    columns = [c for c in COLUMNS if c in edges.columns]
    weight = "coalesce(weight, -1)" if "weight" in columns else "-1"
    chosen = [f"{weight} as weight" if c == "weight" else c for c in columns]
    if "weight" not in columns:
        chosen.append("-1.0 as weight")
    subnetwork = "regexp_extract(filename, '([^/]+)[.]parquet$', 1) as subnetwork"
    return edges.project(", ".join([*chosen, subnetwork]))
