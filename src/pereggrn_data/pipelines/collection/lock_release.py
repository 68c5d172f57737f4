"""Resolve a release completely: sizes, checksums and contents of its archives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pereggrn_data.catalog import AnyEntry, Group, LockedArchive, ReleaseLock, load_catalog
from pereggrn_data.loaders.cache import HashStore, KnownHash, match_members
from pereggrn_data.loaders.remote import HttpSettings
from pereggrn_data.pipelines.collection.service import Say, Service, open_service, silent


def lock(
    release: str | None = None, *, say: Say = silent, settings: HttpSettings | None = None
) -> ReleaseLock:
    """Ask the service for all that can be known about a release without downloading it.

    Checksums of files that were fetched before are filled in; all others stay
    unknown. What an archive holds stays unknown where the server cannot send
    parts of it.

    Raises
    ------
    NetworkError
        If the service cannot be reached.
    """
    service = open_service(release, say=say, settings=settings)
    try:
        if not service.files.refresh():
            service.files.lock()
        resolved = service.files.lock()
        for archive in resolved.archives:
            if not archive.key.lower().endswith(".zip"):
                continue
            indexed = service.files.indexed(archive)
            if indexed.members is None:
                say(f"{archive.key} cannot be read in parts: its contents stay unknown.")
            resolved = resolved.with_archive(_with_hashes(service, indexed))
        return resolved
    finally:
        service.http.close()


def _with_hashes(service: Service, archive: LockedArchive) -> LockedArchive:
    known = HashStore(service.cache, service.files.record).all()
    hashes: dict[str, str] = {}
    for entry in load_catalog().entries.values():
        hashes |= _known_members(entry, archive, known)
    members = archive.members
    if members is None:
        return archive
    filled = tuple(replace(m, sha256=hashes.get(m.path, m.sha256)) for m in members)
    return replace(archive, members=filled)


def _known_members(
    entry: AnyEntry, archive: LockedArchive, known: Mapping[str, KnownHash]
) -> dict[str, str]:
    if entry.group is Group.EMBEDDED:
        return {}
    matched = match_members(entry, archive.members or ()) or {}
    return {m.path: known[p].sha256 for p, m in matched.items() if p in known}
