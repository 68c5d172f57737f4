"""Everything known about one name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pereggrn_data.catalog import GROUP_MEANINGS, AnyEntry, Group, load_catalog
from pereggrn_data.core.errors import UnknownNameError
from pereggrn_data.loaders.cache import (
    HashStore,
    LocalEntry,
    collection_folder,
    find_cached,
    local_entry,
    read_collection,
    release_at_hand,
    wanted_files,
)
from pereggrn_data.pipelines.collection.service import open_service

UNKNOWN_LICENCE = "not known to us; ask the source"
SHOWN_APART = ("citations", "files", "optional_files", "group", "licence")


def info(
    name: str, *, collection: str | None = None, release: str | None = None
) -> dict[str, Any]:
    """Return all that is known about a dataset, network or table; nothing is asked for.

    Returns
    -------
    dict
        Facts under their names, with ``citations`` (text and BibTeX),
        ``licence``, ``files`` (path, size, sha256, and where the checksum
        comes from) and, if a local entry of this name hides it, ``local``.

    Raises
    ------
    UnknownNameError
        With near matches.
    """
    catalog = load_catalog()
    local = _local(name, collection)
    entry = catalog.get(name)
    if entry is None and local is None:
        names = [*catalog.entries, *catalog.aliases, *_local_names(collection)]
        raise UnknownNameError(
            "dataset, network or table", name, names, fix="`pereggrn-data list` shows all names."
        )
    facts: dict[str, Any] = {"name": name}
    if entry is not None:
        facts = _facts(entry, release)
    if local is not None:
        facts["local"] = _local_facts(local)
    return facts


def _facts(entry: AnyEntry, release: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": entry.name, "kind": str(entry.kind)}
    for field in fields(entry):
        value = getattr(entry, field.name)
        if field.name not in (*SHOWN_APART, "name") and value not in (None, (), False):
            facts[field.name] = value
    facts["group"] = GROUP_MEANINGS[entry.group]
    facts["citations"] = [{"text": c.text(), "bibtex": c.bibtex()} for c in entry.citations]
    facts["licence"] = entry.licence or UNKNOWN_LICENCE
    if entry.group is Group.EMBEDDED:
        facts["state"] = "embedded"
        return facts
    return facts | _release_facts(entry, release)


def _release_facts(entry: AnyEntry, release: str | None) -> dict[str, Any]:
    service = open_service(release, offline=True)
    cached = find_cached(entry, service.cache, service.files.release.record if release else None)
    record = cached.record if cached else release_at_hand(release).record
    service = open_service(record, offline=True)
    known, record = service.files.known(), service.files.release.record
    hashes = HashStore(service.cache, record).all()
    facts: dict[str, Any] = {
        "release": record,
        "release_licence": known.licence if known else None,
        "state": "cached" if cached else "remote",
    }
    place = service.files.known_place(entry)
    members = place.members or {} if place else {}
    facts["archive"] = place.archive.key if place else None
    local = sorted({*members, *(cached.files if cached else ())})
    facts["files"] = [
        {
            "path": path,
            "size": members[path].size
            if path in members
            else hashes[path].size
            if path in hashes
            else None,
            "crc32": f"{members[path].crc32:08x}" if path in members else None,
            "sha256": hashes[path].sha256 if path in hashes else None,
            "checksum": hashes[path].origin if path in hashes else "not known yet",
            "here": str(cached.files[path]) if cached and path in cached.files else None,
        }
        for path in local
    ] or [
        {"path": wanted.local, "size": None, "checksum": "not known yet"}
        for wanted in wanted_files(entry)
        if wanted.required
    ]
    return facts


def _local(name: str, collection: str | None) -> LocalEntry | None:
    return local_entry(name, collection_folder(collection))


def _local_names(collection: str | None) -> list[str]:
    folder = collection_folder(collection)
    return [e.name for e in read_collection(folder)] if folder else []


def _local_facts(local: LocalEntry) -> dict[str, Any]:
    return {
        "name": local.name,
        "folder": str(local.folder),
        "kind": str(local.kind),
        **({"absent_because": local.absent_because} if local.absent_because else {}),
        "files": [
            {"name": name, "path": str(path), "size": path.stat().st_size}
            for name, path in local.files.items()
        ],
        **{key: value for key, value in local.row.items() if value and key != "name"},
    }
