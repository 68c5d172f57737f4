"""What ``--output`` (``-o``) means: one rule for all commands.

A command that writes one file takes the file; a command that writes several takes
their folder, which is made if needed. A folder given to the former (one that is there,
or a path that ends in ``/``) gets the file under its usual name. A path that ends as a
file does is refused by the latter before anything is computed, and so is a file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from pereggrn_data.core.errors import UsageError

FILE_ENDINGS = (
    ".csv", ".gz", ".h5", ".h5ad", ".joblib", ".json", ".md", ".npz", ".parquet", ".svg",
    ".png", ".toml", ".tsv", ".txt", ".yaml", ".zarr", ".zip",
)  # fmt: skip
"""Endings by which a path is meant to be a file."""

IN_A_FOLDER = "in a folder (one that is there, or a path that ends in /) it gets its usual name."


def as_folder(context: typer.Context, path: Path | None) -> Path | None:
    """Check that a path can be the folder of several files.

    Raises
    ------
    UsageError
        If it is a file, or ends as one and is no folder.
    """
    if path is None or path.is_dir():
        return path
    is_file, ends = path.exists(), path.suffix.lower() in FILE_ENDINGS
    if not (is_file or ends):
        return path
    raise UsageError(
        f"`{context.info_name}` writes several files, so --output is their folder.",
        expected="a folder; it is made if needed",
        got=f"{path}, which {'is a file' if is_file else f'ends in {path.suffix}'}",
        fix=f"-o {path.with_suffix('')}" if ends else "name another place.",
    )


def as_file(given: str | Path, usual: str) -> Path:
    """Return the file that is meant: the path, or one of the usual name in a folder.

    Parameters
    ----------
    given
        As it was typed, because a path does not keep a ``/`` at its end.
    usual
        Name of the file in a folder.
    """
    return Path(given) / usual if names_a_folder(given) else Path(given)


def names_a_folder(given: str | Path) -> bool:
    """Say whether a path is a folder, or is typed as one."""
    ends = tuple(filter(None, (os.sep, os.altsep)))
    return str(given).endswith(ends) or Path(given).is_dir()


def as_usual_file(context: typer.Context, given: str | None) -> str | None:
    """Return the file of a table that is meant; in a folder it is called as the command."""
    return None if given is None else str(as_file(given, f"{context.info_name}.csv"))


def folder_option(usual: str | None = None) -> Any:
    """Return the option that names the folder of several files.

    Parameters
    ----------
    usual
        What the folder is called where nobody names it, for the help.
    """
    return typer.Option(
        "--output",
        "-o",
        callback=as_folder,
        help=f"Folder to write the files to{f' (default: {usual})' if usual else ''}; it is made "
        "if needed. A path that ends as a file (such as .h5ad) is refused.",
    )


NeededFolder = Annotated[Path, folder_option()]
