"""Paths as people and files name them: what they stand for, or what is wrong with them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

from pereggrn_data.core.errors import MissingFileError, UsageError
from pereggrn_data.loaders.files.any_file.signatures import explained_folder, is_zarr_folder

AnyPath = str | os.PathLike[str]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # pathlib makes one of two slashes


def user_path(text: AnyPath) -> Path:
    """Return a path with ``~`` and ``~user`` expanded; nothing need be there.

    Raises
    ------
    MissingFileError
        If there is no such user, or no file can have that name.
    """
    if text == "":
        raise MissingFileError(
            "A path is empty.",
            fix="name a file; a variable of the shell that is not set is empty.",
        )
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise MissingFileError(f"The path {text} cannot be expanded.", got=str(error)) from None
    if "\0" in str(path):
        raise MissingFileError("A path has a null character.", got=repr(str(text)))
    return path


def existing_path(text: AnyPath) -> Path | None:
    """Return the path of a file that can be read, or of a folder; None if nothing is there.

    Raises
    ------
    MissingFileError
        If something is there, or may be, that cannot be read as a file.
    """
    path = user_path(text)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            return path
        if not stat.S_ISREG(mode):  # a pipe would let us wait for ever
            raise MissingFileError(
                f"{path} is not a file.", expected="a file", got="a pipe, socket or device"
            )
        with path.open("rb") as file:
            file.read(1)
    except (FileNotFoundError, NotADirectoryError):
        if _ADDRESS.match(str(text)):
            shown = re.sub(":/+", "://", str(text), count=1)
            raise MissingFileError(
                f"{shown} is an address, and no path.",
                expected="a file on this machine",
                fix="leave out what is in front of the path."
                if str(text).startswith("file:")
                else "download it first (`pereggrn-data fetch` does so for published data).",
            ) from None
        if path.is_symlink():
            raise _leads_nowhere(path) from None
        return None
    except OSError as error:
        raise MissingFileError(
            f"{path} cannot be read.",
            got=error.strerror or str(error),
            fix="check the path, and that you may read the file.",
        ) from None
    return path


def _leads_nowhere(link: Path) -> MissingFileError:
    target = link.readlink()
    fix = "bring the file that it points to, or mend the link."
    if "annex" in target.parts:  # what git-annex and DataLad leave of files elsewhere
        fix = "run `git annex get` (or `datalad get`) where it was checked out."
    return MissingFileError(
        f"{link} is a link to a file that is not here.",
        expected="a file",
        got=f"a link to {target}",
        fix=fix,
    )


def existing_file(text: AnyPath) -> Path | None:
    """Return the path of a file that can be read; None if nothing is there.

    Raises
    ------
    MissingFileError
        If it is a folder, a pipe or a device, or cannot be read.
    """
    path = existing_path(text)
    if path is not None and path.is_dir():
        raise explained_folder(path)
    return path


def existing_data(text: AnyPath) -> Path | None:
    """As :func:`existing_file`; a zarr store, which is a folder, is data as well."""
    path = existing_path(text)
    return path if path is not None and is_zarr_folder(path) else existing_file(text)


def required_data(text: AnyPath) -> Path:
    """As :func:`required_file`; a zarr store, which is a folder, is data as well."""
    path = existing_data(text)
    return required_file(text) if path is None else path


def required_file(text: AnyPath) -> Path:
    """Return the path of a file that can be read.

    Raises
    ------
    MissingFileError
        If there is none.
    """
    path = existing_file(text)
    if path is None:
        raise MissingFileError.at(user_path(text))
    return path


def visible_files(folder: Path, ending: str) -> list[Path]:
    """Return the files of a folder with an ending (in any case), by name; none if it is absent.

    Hidden files are no data: macOS leaves ``._all.parquet`` beside ``all.parquet`` on
    other systems' disks and in archives.
    """
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower().endswith(ending)
    )


def refuse_overwriting(outputs: Iterable[AnyPath | None], inputs: Iterable[object]) -> None:
    """Check that nothing is written over a file that is read.

    Parameters
    ----------
    outputs
        Files that are to be written.
    inputs
        Whatever may be a path of a file that is read; names and other things,
        and paths where nothing is, are passed over.

    Raises
    ------
    UsageError
        Naming the first file that would be lost.
    """
    read = [user_path(i) for i in inputs if isinstance(i, (str, os.PathLike)) and _is_there(i)]
    for output in outputs:
        if output is None or not _is_there(output):
            continue
        if any(user_path(output).samefile(path) for path in read):
            raise UsageError(
                f"{output} is read here, and would be overwritten.",
                expected="another file or folder to write to",
                fix="choose another name.",
            )


def _is_there(path: AnyPath) -> bool:
    try:
        return user_path(path).exists()
    except (OSError, ValueError, MissingFileError):
        return False
