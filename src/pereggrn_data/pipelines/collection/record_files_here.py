"""Names of files of any record: fetched once, and then usable wherever a path is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.archive import (
    FetchedFile,
    NoProgress,
    RecordFetcher,
    RecordFile,
    ReleaseFiles,
    TransferProgress,
    is_record_file,
    lock_in_force,
)
from pereggrn_data.loaders.cache import (
    HashStore,
    NotFetchedError,
    changed_file,
    free_bytes,
    open_cache,
)
from pereggrn_data.loaders.files.any_file import sha256_of_file
from pereggrn_data.loaders.remote import Http, HttpSettings
from pereggrn_data.pipelines.collection.service import Say

FILE_KIND = "file"
"""What such a file is called beside datasets, networks and tables."""


def record_files(names: Sequence[str], member: str | None) -> list[RecordFile]:
    """Read the names of files of records; with `member`, of one file inside a zip file.

    Raises
    ------
    UsageError
        If a name has another form, or `member` is said of several or of none.
    """
    if member is not None and (len(names) != 1 or "#" in names[0]):
        raise UsageError(
            "--member is for one zip file of a record.",
            expected="zenodo:RECORD/FILE.zip --member PATH",
            got=", ".join(names) or "no file of a record",
        )
    return [RecordFile.of(name if member is None else f"{name}#{member}") for name in names]


def fetch_record_file(
    wanted: RecordFile,
    *,
    lock: str | Path | None,
    offline: bool,
    say: Say,
    warn: Say,
    progress: TransferProgress | None,
    settings: HttpSettings | None,
) -> FetchedFile:
    """Bring one file of a record into the cache, verified by the record's md5.

    Raises
    ------
    UnknownNameError
        If the record, or the zip file, has no such file; with near matches.
    UsageError
        If there is not enough room.
    NetworkError
        If the service cannot be reached.
    IntegrityError
        If the file is not what was promised.
    """
    settings = settings or HttpSettings()
    cache = open_cache(say)
    given = lock_in_force(wanted.release, lock, warn)
    http = Http(settings, offline, say, lambda: cache.pace(settings.api_interval))
    try:
        files = ReleaseFiles(http, cache, wanted.release, given, warn)
        fetcher = RecordFetcher(files, cache, progress or NoProgress(), say, warn)
        size = fetcher.size(wanted)
        free = free_bytes(cache.root)
        if size:
            say(f"{wanted}: {size:,} bytes to download, {free:,} free")
        if size > free:
            raise UsageError(
                f"There is not enough room in {cache.root}.",
                expected=f"{size:,} bytes free",
                got=f"{free:,} bytes",
                fix="make room, or name another folder by PEREGGRN_CACHE.",
            )
        return fetcher.fetch(wanted)
    finally:
        http.close()


def path_of_record_file(given: str | os.PathLike[str]) -> Path | None:
    """Return where a fetched file of a record lies; None if `given` is no such name.

    Raises
    ------
    NotFetchedError
        If it has not been fetched.
    IntegrityError
        If it has changed since.
    """
    if not is_record_file(given):
        return None
    wanted = RecordFile.of(str(given))
    cache = open_cache()
    path = cache.file(wanted.record, wanted.local)
    known = HashStore(cache, wanted.record).get(wanted.local)
    if known is None or not path.exists():
        raise NotFetchedError(
            f"{wanted} has not been fetched.",
            fix=f"pereggrn-data fetch {shlex.quote(str(wanted))}",
        )
    if not known.is_unchanged(path) and (got := sha256_of_file(path)) != known.sha256:
        raise changed_file(path, f"sha256 {known.sha256}", f"sha256 {got}")
    return path
