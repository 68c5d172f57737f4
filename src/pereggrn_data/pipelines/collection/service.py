"""Put the parts together that commands need to talk to the archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pereggrn_data.loaders.archive import (
    EntryFetcher,
    NoProgress,
    ReleaseFiles,
    TransferProgress,
    lock_in_force,
)
from pereggrn_data.loaders.cache import Cache, open_cache, release_at_hand
from pereggrn_data.loaders.remote import Http, HttpSettings

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
    progress: TransferProgress | None = None,
    settings: HttpSettings | None = None,
) -> Service:
    """Prepare to talk to the archive; no request is made yet.

    Parameters
    ----------
    release
        Record number, DOI or alias; by default ``PEREGGRN_RELEASE``, else the
        catalog's default.
    lock
        A lock file that is enforced; see
        :func:`pereggrn_data.loaders.archive.lock_files.lock_in_force`.

    Raises
    ------
    UsageError
        If there is no such release, or `lock` is of another one.
    """
    settings = settings or HttpSettings()
    wanted = release_at_hand(release)
    wanted.check_holds_data()
    given = lock_in_force(wanted, lock, warn or say)
    cache = open_cache(say)
    http = Http(settings, offline, say, lambda: cache.pace(settings.api_interval))
    files = ReleaseFiles(http, cache, wanted, given, warn or say)
    fetcher = EntryFetcher(files, cache, progress or NoProgress(), say, warn or say)
    return Service(http, cache, files, fetcher)
