"""Write files in one step: each appears under its name only when it is complete."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pereggrn_data.core.errors import UsageError
from pereggrn_data.core.safe_names import is_safe_file_name
from pereggrn_data.loaders.files.any_file.integrity import sha256_of_file

if TYPE_CHECKING:
    import pandas as pd

_FIX = "check the path, that you may write there, and that there is space."

PARTS = "files"
"""Field of a manifest that names the files that go with it, and their sha256."""

_STAGING = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.part")
"""Names of the folders in which files are written before they get their names."""

_SETTLING = 60.0
"""Seconds within which a new temporary folder may not have been locked yet."""

_HDF5_SYSTEM_ERROR = re.compile(r"\berrno = (\d+)")
"""In the text of a RuntimeError, as which HDF5 reports a full disk."""


@contextmanager
def written_in_one_step(path: Path, *, mode: int = 0, sync: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, and rename it to `path` at the end.

    If anything is raised on the way, nothing is left and what was at `path` stays.
    What killed runs have left of the same file is removed.

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
    with _explained(path), _staging(path.parent, path.name) as folder:
        temporary = folder / path.name
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        if mode:
            temporary.chmod(temporary.stat().st_mode | mode)
        temporary.replace(path)


@contextmanager
def written_together(
    folder: Path, manifest: str, *, optional: Collection[str] = ()
) -> Iterator[Path]:
    """Give a temporary folder for files that are one thing, and move all of them at the end.

    The manifest says what the others are, so it goes first and comes last: where it is,
    all that it names is whole and of the same run. Other files in the folder stay as they
    are. If anything is raised before the files are moved, nothing has changed.

    Parameters
    ----------
    folder
        Where the files go; made if it is not there.
    manifest
        Name of the file that lists the others; see :func:`with_parts`.
    optional
        Names of files that are not there in every run: one that an earlier run left,
        and that is not written now, goes with its manifest.

    Raises
    ------
    UsageError
        If they cannot be written.
    """
    with _explained(folder), _staging(folder, manifest) as staging:
        yield staging
        names = sorted(file.name for file in staging.iterdir() if file.name != manifest)
        outdated = [
            folder / name
            for name, sha256 in recorded_parts(_manifest_of(folder / manifest)).items()
            if name in optional and name not in names
            if (folder / name).is_file() and sha256_of_file(folder / name) == sha256
        ]
        (folder / manifest).unlink(missing_ok=True)
        for path in outdated:
            path.unlink()
        for name in names:
            (staging / name).replace(folder / name)
        (staging / manifest).replace(folder / manifest)


def with_parts(values: Mapping[str, Any], files: Iterable[Path]) -> dict[str, Any]:
    """Return the content of a manifest with the sha256 of each file that goes with it."""
    return {**values, PARTS: {file.name: {"sha256": sha256_of_file(file)} for file in files}}


def recorded_parts(manifest: object) -> dict[str, str]:
    """Return the files that a manifest names, with their sha256; nothing in it is trusted."""
    files = manifest.get(PARTS) if isinstance(manifest, Mapping) else None
    if not isinstance(files, Mapping):
        return {}
    found = {n: f.get("sha256") for n, f in files.items() if isinstance(f, Mapping)}
    return {n: s for n, s in found.items() if is_safe_file_name(n) and isinstance(s, str)}


def _manifest_of(path: Path) -> object:
    """Read a manifest that is to be replaced; None if it says nothing."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


@contextmanager
def _staging(folder: Path, name: str) -> Iterator[Path]:
    """Make a private folder of a random name beside what is written, and remove it.

    Processes in two containers can have the same number, so that is no name. A lock on the
    folder tells those that are in use from what killed runs have left.
    """
    made = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, name)
        staging = Path(tempfile.mkdtemp(prefix=f".{name[:200]}.", suffix=".part", dir=folder))
        lock = _lock_folder(staging)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if lock is not None:
                os.close(lock)
    except BaseException:
        with suppress(OSError):  # those that are not empty
            for empty in made:
                empty.rmdir()
        raise


def remove_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove from a folder what killed runs have left while they wrote.

    Parameters
    ----------
    folder
        Where they wrote.
    name
        Of the file that was written; by default any.
    """
    start = None if name is None else f".{name[:200]}."
    try:
        found = [
            p
            for p in folder.iterdir()
            if (m := _STAGING.fullmatch(p.name)) and start in (None, f".{m[1]}.")
        ]
    except OSError:  # a folder that can be written to, and not listed
        return
    for left in found:
        if left.is_symlink() or time.time() - left.lstat().st_mtime < _SETTLING:
            continue
        lock = _lock_folder(left)
        if lock is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def _lock_folder(folder: Path) -> int | None:
    """Lock a folder; None where it is locked already, or there are no such locks."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the system raises where files are written into our error."""
    try:
        yield
    except OSError as error:
        # HDF5 puts a paragraph of its own in the place of the system's words.
        got = os.strerror(error.errno) if error.errno else str(error)
        raise _unwritable(path, got) from error
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
    if _STAGING.fullmatch(path.parent.name):  # a part of what is written together
        path = path.parent.parent / path.name
    return UsageError(f"{path} cannot be written.", got=got, fix=_FIX)
