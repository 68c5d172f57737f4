"""Put the parts together that commands need to talk to the archive."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.catalog.locks import ReleaseLock
from pereggrn_data.catalog.registry import check_holds_data, load_catalog
from pereggrn_data.catalog.releases import Release
from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.archive.fetching import EntryFetcher
from pereggrn_data.loaders.archive.release_files import LOCK_VARIABLE, ReleaseFiles, read_lock
from pereggrn_data.loaders.archive.transfer import NoProgress, Progress
from pereggrn_data.loaders.cache.cached import RELEASE_VARIABLE
from pereggrn_data.loaders.cache.folders import Cache, open_cache
from pereggrn_data.loaders.remote.http import Http, HttpSettings

Say = Callable[[str], None]


def silent(message: str) -> None:
    """Say nothing."""
    del message


@dataclass(frozen=True)
class Service:
    """One release of the archive, and the cache of what came from it."""

    http: Http
    cache: Cache
    files: ReleaseFiles
    fetcher: EntryFetcher


def open_service(
    release: str | None = None,
    *,
    lock: str | Path | None = None,
    offline: bool = False,
    say: Say = silent,
    warn: Say | None = None,
    progress: Progress | None = None,
    settings: HttpSettings | None = None,
) -> Service:
    """Prepare to talk to the archive; no request is made yet.

    Parameters
    ----------
    release
        Record number, DOI or alias; by default ``PEREGGRN_RELEASE``, else the
        catalog's default.
    lock
        A lock file that is enforced; by default ``PEREGGRN_LOCK`` if it is of
        this release, else the one that comes with the package, if there is one.

    Raises
    ------
    UsageError
        If there is no such release, or the lock is of another one.
    """
    settings = settings or HttpSettings()
    wanted = load_catalog().release(release or os.environ.get(RELEASE_VARIABLE) or None)
    check_holds_data(wanted)
    cache = open_cache(say)
    http = Http(settings, offline, say, lambda: cache.pace(settings.api_interval))
    files = ReleaseFiles(http, cache, wanted, _given_lock(wanted, lock), warn or say)
    fetcher = EntryFetcher(files, cache, progress or NoProgress(), say, warn or say)
    return Service(http, cache, files, fetcher)


def _given_lock(release: Release, lock: str | Path | None) -> ReleaseLock | None:
    shipped = load_catalog().locks.get(release.record)
    named = lock or os.environ.get(LOCK_VARIABLE)
    if not named:
        return shipped
    given = read_lock(Path(named))
    if given.record != release.record and lock is None:
        return shipped
    if given.record != release.record:
        raise UsageError(
            f"The lock {named} is of another release.",
            expected=f"record {release.record}",
            got=f"record {given.record}",
            fix=f"add --release {given.record}, or name another lock.",
        )
    return given
