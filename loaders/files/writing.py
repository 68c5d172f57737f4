"""Write files in one step: each appears under its name only when it is complete."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pereggrn_data.core.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

_FIX = "check the path, that you may write there, and that there is space."

_HDF5_SYSTEM_ERROR = re.compile(r"\berrno = (\d+)")
"""In the text of a RuntimeError, as which HDF5 reports a full disk."""


@contextmanager
def written_in_one_step(path: Path, *, mode: int = 0, sync: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` at the end.

    If anything is raised on the way, nothing is left and what was at `path` stays.

    Parameters
    ----------
    path
        The file; folders above it are made.
    mode
        Permissions that the file gets beside those that the umask gives.
    sync
        Make sure that the file is on the disk before it gets its name.

    Raises
    ------
    UsageError
        If the file cannot be written: no permission, no space, a file where a folder
        is needed.
    """
    # Two processes that write the same file must not share a temporary one.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if sync:
                with temporary.open("rb+") as file:
                    os.fsync(file.fileno())
            if mode:
                temporary.chmod(temporary.stat().st_mode | mode)
            temporary.replace(path)
        finally:
            # Where there is no such folder, there is nothing to remove either.
            if os.path.lexists(temporary):
                temporary.unlink()
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    except RuntimeError as error:
        if not (system := _HDF5_SYSTEM_ERROR.search(str(error))):
            raise
        raise _unwritable(path, os.strerror(int(system[1]))) from error


def write_text(text: str, path: Path, *, mode: int = 0, sync: bool = False) -> None:
    """Write a text file; see :func:`written_in_one_step`."""
    with written_in_one_step(path, mode=mode, sync=sync) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as parquet or CSV, by the ending of its name.

    Raises
    ------
    UsageError
        For another ending, or if it cannot be written.
    """
    if path.suffix not in (".parquet", ".csv"):
        raise UsageError(f"A table cannot be written to {path.name}.", expected=".parquet or .csv")
    with written_in_one_step(path) as temporary:
        if path.suffix == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)


def check_writable(folder: Path) -> None:
    """Check, before long work, that files can be written to a folder; nothing is left there.

    Parameters
    ----------
    folder
        It need not exist; it is made when it is written to.

    Raises
    ------
    UsageError
        If nothing can be written there.
    """
    made: list[Path] = []
    try:
        absent = [p for p in (folder, *folder.parents) if not p.exists()]
        for missing in reversed(absent):
            missing.mkdir(exist_ok=True)
            made.append(missing)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    finally:
        for empty in reversed(made):
            empty.rmdir()


def check_writable_file(path: Path) -> None:
    """Check, before long work, that a file can be written; nothing is left there.

    Raises
    ------
    UsageError
        If it is a folder, or nothing can be written where it is to be.
    """
    if path.is_dir():
        raise UsageError(
            f"{path} cannot be written.", expected="a file", got="a folder", fix="name a file."
        )
    check_writable(path.absolute().parent)


def _unwritable(path: Path, got: str) -> UsageError:
    return UsageError(f"{path} cannot be written.", got=got, fix=_FIX)
