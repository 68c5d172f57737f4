"""Hash cached files again and compare with what is recorded or locked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pereggrn_data.catalog import AnyEntry, Group, LockedArchive, LockedMember, load_catalog
from pereggrn_data.core.errors import UsageError
from pereggrn_data.loaders.archive import is_as_recorded
from pereggrn_data.loaders.cache import (
    ARCHIVES,
    MEMBERS,
    HashStore,
    cached_files,
    find_cached,
    not_fetched,
    open_cache,
)
from pereggrn_data.loaders.files.any_file import crc32_of_file, sha256_of_file
from pereggrn_data.pipelines.collection.service import Say, Service, open_service, silent


class FileState(StrEnum):
    """What `verify` found."""

    OK = "ok"
    CHANGED = "changed"
    MISSING = "missing"
    UNKNOWN = "no checksum"


@dataclass(frozen=True)
class VerifiedFile:
    """One cached file, hashed again.

    Parameters
    ----------
    checked_against
        ``lock``, ``first seen`` or ``CRC-32``, for whole archives ``md5`` or
        ``size``; None where nothing is known.
    """

    name: str
    record: str
    local: str
    path: Path
    state: FileState
    sha256: str | None
    expected: str | None
    checked_against: str | None


def verify(
    names: Sequence[str] = (),
    *,
    release: str | None = None,
    lock: str | Path | None = None,
    say: Say = silent,
) -> list[VerifiedFile]:
    """Hash cached files again; the network is not used.

    Parameters
    ----------
    names
        Published names or aliases; by default everything in the cache.

    Raises
    ------
    UnknownNameError
        With near matches.
    NotFetchedError
        If a name is not in the cache.
    """
    catalog = load_catalog()
    if not names:
        if release or lock:
            records = [open_service(release, lock=lock, offline=True).files.record]
        else:
            records = open_cache().records()
        return [f for r in records for f in _verify_record(r, lock, say)]
    found: list[VerifiedFile] = []
    said: set[str] = set()

    def say_once(message: str) -> None:
        if message not in said:
            said.add(message)
            say(message)

    for name in names:
        entry = catalog.entry(name)
        if entry.name != name:
            say(f"{name} is another name of {entry.name}.")
        if entry.group is Group.EMBEDDED:
            say(f"{entry.name} is part of this package: there is nothing to verify.")
            continue
        wanted = catalog.release(release).record if release else None
        cached = find_cached(entry, record=wanted)
        if cached is None:
            raise not_fetched(entry)
        service = open_service(cached.record, lock=lock, offline=True, warn=say_once)
        found += _verify_entry(service, entry)
    return found


def _verify_record(record: str, lock: str | Path | None, say: Say) -> Iterator[VerifiedFile]:
    service = open_service(record, lock=lock, offline=True, warn=say)
    for entry in load_catalog().entries.values():
        if cached_files(entry, service.cache.folder(record)):
            yield from _verify_entry(service, entry)
    for local in HashStore(service.cache, record).all():
        if local.startswith(f"{MEMBERS}/"):
            yield _verify_file(service, local.rsplit("/", 1)[-1], local, None)
    known = service.files.known()
    for whole in sorted((service.cache.folder(record) / ARCHIVES).glob("*")):
        yield _verify_archive(record, whole, known.archive(whole.name) if known else None)


def _verify_archive(record: str, whole: Path, archive: LockedArchive | None) -> VerifiedFile:
    state, against = FileState.UNKNOWN, None
    if archive is not None:
        against = "md5" if archive.md5 else "size"
        state = FileState.OK if is_as_recorded(whole, archive) else FileState.CHANGED
    local = f"{ARCHIVES}/{whole.name}"
    return VerifiedFile(whole.name, record, local, whole, state, None, None, against)


def _verify_entry(service: Service, entry: AnyEntry) -> list[VerifiedFile]:
    record = service.files.record
    members = _members(service, entry)
    files = cached_files(entry, service.cache.folder(record))
    known = [p for p in HashStore(service.cache, record).all() if p in members or p in files]
    return [
        _verify_file(service, entry.name, local, members.get(local))
        for local in sorted({*files, *known})
    ]


def _members(service: Service, entry: AnyEntry) -> dict[str, LockedMember]:
    """Return what the lock or the cached index says of an entry, without asking anybody."""
    place = service.files.known_place(entry)
    return dict(place.members or {}) if place else {}


def _verify_file(
    service: Service, name: str, local: str, member: LockedMember | None
) -> VerifiedFile:
    record = service.files.record
    store = HashStore(service.cache, record)
    path = service.cache.file(record, local)
    known = store.get(local)
    locked = member.sha256 if member and service.files.given is not None else None
    expected = locked or (known.sha256 if known else None)
    against = "lock" if locked else (known.origin if known else None)
    state, sha256 = FileState.MISSING, None
    if path.exists():
        sha256 = sha256_of_file(path)
        state = FileState.OK if sha256 == expected else FileState.CHANGED
        if expected is None:
            state, against = _by_crc(path, member)
        elif state is FileState.OK and known is not None:
            with suppress(OSError, UsageError):  # the answer does not hang on the note
                store.mark_verified(local)
    return VerifiedFile(name, record, local, path, state, sha256, expected, against)


def _by_crc(path: Path, member: LockedMember | None) -> tuple[FileState, str | None]:
    if member is None:
        return FileState.UNKNOWN, None
    same = crc32_of_file(path) == member.crc32
    return (FileState.OK if same else FileState.CHANGED), "CRC-32"
