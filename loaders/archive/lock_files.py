"""Lock files: how they are read, and which lock is in force."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pereggrn_data.catalog import Release, ReleaseLock, load_catalog
from pereggrn_data.core.errors import MissingFileError, UsageError
from pereggrn_data.loaders.files import read_json
from pereggrn_data.loaders.files.any_file import existing_file

LOCK_VARIABLE = "PEREGGRN_LOCK"


def lock_in_force(
    release: Release, named: str | Path | None, say: Callable[[str], None]
) -> ReleaseLock | None:
    """Return the lock whose checksums are enforced on a release, or None if there is none.

    A lock that is named for one command is a demand: it must be of the release
    that the command uses. ``PEREGGRN_LOCK`` is a standing setting, which holds
    for its own release only; on another one it is not enforced, and a note says
    so. Where neither applies, the lock that comes with the package does.

    Parameters
    ----------
    release
        The release at hand.
    named
        Lock file from ``--lock`` or a `lock` argument.
    say
        Called if ``PEREGGRN_LOCK`` is of another release.

    Raises
    ------
    UsageError
        If `named` is of another release.
    MissingFileError
        If there is no such file.
    InvalidDataError
        If it is not a lock.
    """
    if named:
        given = read_lock(Path(named))
        if given.record != release.record:
            raise UsageError(
                f"The lock {named} is of another release.",
                expected=f"record {release.record}",
                got=f"record {given.record}",
                fix=f"add --release {given.record}, or name another lock.",
            )
        return given
    if standing := os.environ.get(LOCK_VARIABLE):
        given = read_lock(Path(standing))
        if given.record == release.record:
            return given
        say(
            f"{LOCK_VARIABLE} names a lock of release {given.record}: "
            f"it is not enforced on release {release.record}."
        )
    return load_catalog().locks.get(release.record)


def read_lock(path: Path) -> ReleaseLock:
    """Read a lock file.

    Raises
    ------
    MissingFileError
        If there is none.
    InvalidDataError
        If it is not one.
    """
    if existing_file(path) is None:
        raise MissingFileError.at(path, f"There is no lock file {path}.")
    values = read_json(path, expected="a lock file as written by `pereggrn-data lock`")
    return ReleaseLock.from_dict(values, source=str(path))
