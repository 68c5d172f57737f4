"""What a release holds: from a lock, from the cache, else from the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pereggrn_data.catalog import AnyEntry, Holds, LockedArchive, Release, ReleaseLock
from pereggrn_data.core.errors import (
    IntegrityError,
    InvalidDataError,
    MissingFileError,
    UsageError,
)
from pereggrn_data.core.strict_json import dumps
from pereggrn_data.loaders.archive.lock_files import read_lock
from pereggrn_data.loaders.archive.records import download_links, look_up_record
from pereggrn_data.loaders.archive.zip_index import read_local_index, read_remote_index
from pereggrn_data.loaders.cache import (
    INDEX_FILE,
    SET_ASIDE,
    Cache,
    Holding,
    set_aside,
    which_archive_holds,
)
from pereggrn_data.loaders.files.any_file import md5_of_file
from pereggrn_data.loaders.remote import Http, OfflineError, RangesIgnoredError, RemoteFile

ZIP_BEGINS = b"PK\x03\x04"


def is_as_recorded(whole: Path, archive: LockedArchive) -> bool:
    """Whether a whole archive in the cache has the size and md5 of the record."""
    if whole.stat().st_size != archive.size:
        return False
    return archive.md5 is None or md5_of_file(whole) == archive.md5


class NotInReleaseError(UsageError):
    """A release does not hold what was asked for."""


@dataclass
class ReleaseFiles:
    """The files of one release, looked up when they are first needed.

    Parameters
    ----------
    http, cache
        Where to ask, and where to keep the answers.
    release
        Which one; a concept is resolved by the first look-up.
    given
        A lock that the user named, or that came with the package: it is
        believed and enforced.
    """

    http: Http
    cache: Cache
    release: Release
    given: ReleaseLock | None = None
    warn: Callable[[str], None] = lambda _: None
    _lock: ReleaseLock | None = field(default=None, init=False)
    _files: dict[str, RemoteFile] = field(default_factory=dict, init=False)
    _rangeless: set[str] = field(default_factory=set, init=False)

    @property
    def record(self) -> str:
        """Number of the record; for a concept, of the version that it stands for."""
        return self.lock().record if self.release.holds is Holds.CONCEPT else self.release.record

    def known(self) -> ReleaseLock | None:
        """Return what is known without asking the service."""
        if self._lock is None:
            self._lock = self.given or self._read_cached()
        return self._lock

    def lock(self) -> ReleaseLock:
        """Return what is known, asking the service for the record on first contact."""
        known = self.known()
        if known is not None:
            return known
        if self.http.offline:
            raise OfflineError(
                f"Nothing is known here about release {self.release.record}, "
                "and --offline forbids asking.",
                fix="run the command once without --offline.",
            )
        with self.cache.locked(f"release-{self.release.record}"):
            self._lock = self._read_cached()
            return self._lock or self._keep(look_up_record(self.http, self.release))

    def refresh(self, *, keep_indexes: bool = False) -> bool:
        """Forget what the cache says and ask again; a given lock stays.

        Parameters
        ----------
        keep_indexes
            Keep what is known of the contents of archives whose size and md5
            are still the same.

        Returns
        -------
        bool
            Whether the service was asked.
        """
        if self.given is not None or self.http.offline:
            return False
        with self.cache.locked(f"release-{self.release.record}"):
            self._files.clear()
            self._rangeless.clear()
            old = self._read_cached() if keep_indexes else None
            new = look_up_record(self.http, self.release)
            for archive in new.archives:
                before = old.archive(archive.key) if old else None
                if before and archive.md5 and _same(archive, before):
                    new = new.with_archive(before)
            self._keep(new)
        return True

    def remote_file(self, archive: LockedArchive) -> RemoteFile:
        """Return the session with one archive."""
        if archive.key not in self._files:
            links = download_links(self.record, archive)
            self._files[archive.key] = RemoteFile(self.http, links)
        return self._files[archive.key]

    def locate(self, entry: AnyEntry) -> Holding:
        """Find an entry's files.

        Raises
        ------
        NotInReleaseError
            If no archive of the release has them.
        """
        held = which_archive_holds(entry, self.lock().archives, self._looked_into)
        if held is None:
            raise self._not_here(entry)
        return held

    def known_place(self, entry: AnyEntry) -> Holding | None:
        """Return where an entry's files are, or None if that is not known without asking."""
        known = self.known()
        return which_archive_holds(entry, known.archives) if known else None

    def _looked_into(self, archive: LockedArchive, likely: bool) -> LockedArchive:
        return self.indexed(self._as_noted(archive), even_whole=likely)

    def indexed(self, archive: LockedArchive, *, even_whole: bool = True) -> LockedArchive:
        """Return the archive with its contents, or without where only the whole can tell."""
        whole = self.cache.archive(self.record, archive.key)
        if archive.members is not None or (archive.ranges is False and not whole.exists()):
            return archive
        with self.cache.locked(f"index-{self.record}-{archive.key}"):
            fresh = self._as_noted(self._reread().archive(archive.key) or archive)
            if fresh.members is not None:
                return fresh
            if whole.exists() and even_whole and (read := self._read_local(whole, fresh)):
                indexed = read
            else:
                indexed = self._read_remote(fresh)
            self._keep(self._reread().with_archive(indexed))
            return indexed

    def _read_local(self, whole: Path, archive: LockedArchive) -> LockedArchive | None:
        try:
            return read_local_index(whole, archive)
        except IntegrityError:
            if not self.set_aside_if_damaged(archive):
                raise
            return None

    def set_aside_if_damaged(self, archive: LockedArchive) -> bool:
        """Set a whole archive in the cache aside if it is not that of the record.

        Offline it is left where it is: nothing could take its place.
        """
        whole = self.cache.archive(self.record, archive.key)
        if self.http.offline or not whole.exists() or is_as_recorded(whole, archive):
            return False
        aside = set_aside(whole, self.cache.folder(self.record) / SET_ASIDE)
        self.warn(f"{whole} is damaged. It is kept as {aside}; fetching it again.")
        return True

    def _read_remote(self, archive: LockedArchive) -> LockedArchive:
        try:
            return read_remote_index(self.remote_file(archive), archive)
        except RangesIgnoredError:
            return self.mark_rangeless(archive)

    def probed(self, archive: LockedArchive) -> LockedArchive:
        """Return the archive with the answer to whether the server sends parts of it."""
        if archive.ranges is not None or self.http.offline:
            return archive

        def ask() -> LockedArchive:
            with self.remote_file(archive).part(0, min(len(ZIP_BEGINS), archive.size)):
                return replace(archive, ranges=True)

        try:
            return self.http.persist(ask)
        except RangesIgnoredError:
            return self.mark_rangeless(archive)

    def _reread(self) -> ReleaseLock:
        """Return the newest knowledge: another process may have learned more."""
        if self.given is None:
            self._lock = self._read_cached() or self._lock
        return self.lock()

    def _keep(self, lock: ReleaseLock) -> ReleaseLock:
        self._lock = lock
        if self.given is None and not self.cache.is_read_only:
            path = self.cache.folder(lock.record) / INDEX_FILE
            self.cache.write_text(dumps(lock.to_dict(), indent=1), path)
        return lock

    def mark_rangeless(self, archive: LockedArchive) -> LockedArchive:
        """Note that the server sends no parts of an archive; this process believes it."""
        self._rangeless.add(archive.key)
        return replace(archive, ranges=False)

    def _as_noted(self, archive: LockedArchive) -> LockedArchive:
        return replace(archive, ranges=False) if archive.key in self._rangeless else archive

    def _read_cached(self) -> ReleaseLock | None:
        if self.release.holds is Holds.CONCEPT:
            return None
        path = self.cache.folder(self.release.record) / INDEX_FILE
        try:
            return read_lock(path)
        except (MissingFileError, InvalidDataError):
            return None  # it is only a copy of what the service says: ask again

    def _not_here(self, entry: AnyEntry) -> NotInReleaseError:
        keys = ", ".join(a.key for a in self.lock().archives) or "no files"
        return NotInReleaseError(
            f"Release {self.record} does not hold the {entry.kind} {entry.name}.",
            expected=f"an archive with its files (it may be called {' or '.join(entry.names)})",
            got=f"a record with {keys}",
            fix="name another release by --release, for example 13345104, "
            "which is known to hold the full archives.",
        )


def _same(one: LockedArchive, other: LockedArchive) -> bool:
    return (one.size, one.md5, one.link) == (other.size, other.md5, other.link)
