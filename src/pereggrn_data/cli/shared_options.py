"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print strict JSON on stdout.")]
Name = Annotated[str, typer.Argument(help="Name of a dataset, network or table.")]
Collection = Annotated[
    str | None,
    typer.Option(
        # The variable is read where a name is looked up (loaders/cache/local_collections.py), so
        # that it stops no command that needs no collection.
        "--collection",
        help="Folder of a local collection; by default PEREGGRN_COLLECTION.",
    ),
]
Insist = Annotated[
    list[str] | None,
    typer.Option(
        "--insist",
        metavar="CODE",
        help="Use the dataset although this finding makes its numbers meaningless, such as "
        "X-not-log; recorded among the warnings; may be given several times.",
    ),
]
Release = Annotated[
    str | None,
    typer.Option(
        "--release", help="Record number, DOI or alias of a release.", envvar="PEREGGRN_RELEASE"
    ),
]
Lock = Annotated[
    Path | None,
    typer.Option(
        # The variable is read where the rule about it is (loaders/archive/lock_files.py).
        "--lock",
        help="Lock file whose checksums are enforced; by default PEREGGRN_LOCK, "
        "where it is of the release that is used.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to every question.")]
