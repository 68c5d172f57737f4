"""Options that the commands of `pereggrn-data networks` share."""

from __future__ import annotations

from typing import Annotated

import typer

NetworkName = Annotated[
    str,
    typer.Argument(
        help="Name in the collection, or path of a parquet file or a folder of them.",
        metavar="NETWORK",
    ),
]
Subnetworks = Annotated[
    list[str] | None, typer.Option("--subnetwork", "-s", help="Only this part; repeatable.")
]
CellType = Annotated[
    list[str] | None,
    typer.Option("--cell-type", help="Only edges stated for this cell type; repeatable."),
]
IgnoreCase = Annotated[
    bool, typer.Option("--ignore-case", help="Also match other spellings, and say which.")
]
Rows = Annotated[
    int | None,
    typer.Option("--limit", "-n", min=1, help="Show this many rows (tables: 100 by default)."),
]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="Write a .parquet, .csv or .tsv file instead."),
]
