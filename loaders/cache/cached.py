"""Find what has been fetched, without touching the network."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pereggrn_data.catalog import AnyEntry, Release, load_catalog
from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.cache.entry_layout import cached_files, is_complete
from pereggrn_data.loaders.cache.folders import Cache, open_cache
from pereggrn_data.loaders.cache.hash_store import HashStore, changed_file
from pereggrn_data.loaders.files.any_file import sha256_of_file

RELEASE_VARIABLE = "PEREGGRN_RELEASE"


class NotFetchedError(UsageError):
    """A published dataset or network that is not in the cache yet."""


@dataclass(frozen=True)
class CachedEntry:
    """An entry that is in the cache.

    Parameters
    ----------
    record
        The release that its files come from.
    files
        By path below the record's folder.
    """

    entry: AnyEntry
    record: str
    files: Mapping[str, Path]


def unchanged(found: CachedEntry, *, only: str | None = None) -> CachedEntry:
    """Return an entry whose files are those that were fetched; hash those that look touched.

    Parameters
    ----------
    only
        The one file that will be read, by path below the record's folder.

    Raises
    ------
    IntegrityError
        If a file has changed since it was fetched; it is left where it is.
    """
    store = HashStore(open_cache(), found.record)
    known = store.all()
    for local, path in found.files.items():
        recorded = known.get(local)
        if recorded is None or only not in (None, local) or recorded.is_unchanged(path):
            continue
        sha256 = sha256_of_file(path)
        if sha256 != recorded.sha256:
            raise changed_file(path, f"sha256 {recorded.sha256}", f"sha256 {sha256}")
        with suppress(OSError, UsageError):  # a cache that we may only read
            store.note(local, sha256, origin=recorded.origin)
    return found


def recorded_sha256(found: CachedEntry, path: Path) -> str | None:
    """Return what is recorded of one file of an entry; None if nothing is."""
    known = HashStore(open_cache(), found.record).all()
    of_this = (known.get(local) for local, file in found.files.items() if file == path)
    return next((recorded.sha256 for recorded in of_this if recorded is not None), None)


def require_recorded(found: CachedEntry, path: Path) -> str | None:
    """Hash a file that is about to be read, and check it against what is recorded.

    Size and time stay the same where a disk loses bits.

    Returns
    -------
    str or None
        The hash, which is the recorded one; None if nothing is recorded of the file.

    Raises
    ------
    ChangedFileError
        If it is another one.
    """
    recorded = recorded_sha256(found, path)
    if recorded is not None and (sha256 := sha256_of_file(path)) != recorded:
        raise changed_file(path, f"sha256 {recorded}", f"sha256 {sha256}")
    return recorded


def require_content(found: CachedEntry, paths: Iterable[Path]) -> None:
    """Hash files that are about to be read, and check them against what is recorded.

    Where a disk loses bits, size and time stay the same, and an edge or a weight becomes
    another one. Each file is hashed once in a process.

    Raises
    ------
    ChangedFileError
        If one is another file than was fetched.
    """
    known = HashStore(open_cache(), found.record).all()
    wanted = set(paths)
    for local, path in found.files.items():
        if path in wanted and (recorded := known.get(local)) is not None:
            stat = path.stat()
            sha256 = _hashed_once(path, stat.st_size, stat.st_mtime_ns)
            if sha256 != recorded.sha256:
                raise changed_file(path, f"sha256 {recorded.sha256}", f"sha256 {sha256}")


@lru_cache(maxsize=4096)
def _hashed_once(path: Path, size: int, mtime_ns: int) -> str:
    del size, mtime_ns  # of which version
    return sha256_of_file(path)


def release_at_hand(named: str | None = None) -> Release:
    """Return the release that a command uses.

    Parameters
    ----------
    named
        Record number, DOI or alias; by default ``PEREGGRN_RELEASE``, else the
        catalog's default.

    Raises
    ------
    UnknownNameError
        If there is no such release.
    """
    return load_catalog().release(named or os.environ.get(RELEASE_VARIABLE) or None)


def find_cached(
    entry: AnyEntry, cache: Cache | None = None, record: str | None = None
) -> CachedEntry | None:
    """Return an entry from the cache, or None if it is not complete there.

    Parameters
    ----------
    record
        Look in this release only. By default the default release comes first,
        then every other one that has been fetched from, newest first.
    """
    cache = cache or open_cache()
    first = record or release_at_hand().record
    others = [] if record else sorted(cache.records(), key=int, reverse=True)
    for candidate in dict.fromkeys([first, *others]):
        files = cached_files(entry, cache.folder(candidate))
        if files and is_complete(entry, files):
            return CachedEntry(entry, candidate, files)
    return None


def not_fetched(entry: AnyEntry) -> NotFetchedError:
    """Say that an entry must be fetched first."""
    return NotFetchedError(
        f"The {entry.kind} {entry.name} is in the catalog, but it has not been fetched.",
        fix=f"pereggrn-data fetch {shlex.quote(entry.name)}",
    )
