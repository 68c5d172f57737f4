"""What there is: published, cached, local and embedded, in one table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pereggrn_data.catalog import (
    GROUP_MEANINGS,
    AnyEntry,
    DatasetEntry,
    EntryKind,
    Group,
    load_catalog,
)
from pereggrn_data.core.errors import IntegrityError, UnknownNameError
from pereggrn_data.loaders.archive import ReleaseFiles
from pereggrn_data.loaders.cache import (
    Cache,
    CachedEntry,
    HashStore,
    LocalEntry,
    collection_folder,
    find_cached,
    read_collection,
    release_at_hand,
)
from pereggrn_data.pipelines.collection.service import open_service


class State(StrEnum):
    """Where an entry is."""

    REMOTE = "remote"
    CACHED = "cached"
    VERIFIED = "verified"
    EMBEDDED = "embedded"
    LOCAL = "local"
    ABSENT = "absent"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One row of the list.

    Parameters
    ----------
    name
        As commands take it.
    shown_as
        The name, with the folder of a local entry that hides a published one.
    cells
        Cell line or tissue.
    size
        Bytes of the unpacked files; None where it is not known yet.
    """

    name: str
    shown_as: str
    kind: str
    species: str | None
    cells: str | None
    method: str | None
    perturbations: str | None
    size: int | None
    state: State
    group: str
    release: str | None
    path: str | None
    aliases: tuple[str, ...] = ()
    note: str | None = None


def list_entries(
    *,
    kind: str | None = None,
    species: str | None = None,
    collection: str | None = None,
    release: str | None = None,
) -> list[Listed]:
    """List everything there is; nothing is downloaded or asked for.

    Parameters
    ----------
    kind
        ``dataset``, ``network`` or ``table``.
    species
        For example ``human``; without regard to case.

    Raises
    ------
    UnknownNameError
        If there is no such kind or species.
    """
    if kind is not None and kind not in list(EntryKind):
        raise UnknownNameError("kind", kind, [str(k) for k in EntryKind])
    folder = collection_folder(collection)
    rows = [*_local(folder), *_published(release)] if folder else list(_published(release))
    if species is not None:
        known = {s for row in rows for s in _words(row.species)}
        if species.casefold() not in known:
            raise UnknownNameError("species", species, sorted(known))
        rows = [row for row in rows if species.casefold() in _words(row.species)]
    return [row for row in rows if kind is None or row.kind == kind]


def _published(release: str | None) -> Iterable[Listed]:
    record = release_at_hand(release).record
    service = open_service(record, offline=True)
    for entry in load_catalog().entries.values():
        cached = find_cached(entry, service.cache, record if release else None)
        state = State.EMBEDDED if entry.group is Group.EMBEDDED else State.REMOTE
        if cached is not None:
            state = State.VERIFIED if _is_verified(service.cache, cached) else State.CACHED
        yield _row(entry, state, cached, _size(entry, cached, service.files), record)


def _is_verified(cache: Cache, cached: CachedEntry) -> bool:
    """Whether all files were verified; of a damaged record of checksums, `verify` tells."""
    try:
        checks = HashStore(cache, cached.record).all()
    except IntegrityError:
        return False
    return all(
        (k := checks.get(local)) and k.verified and k.is_unchanged(path)
        for local, path in cached.files.items()
    )


def _row(
    entry: AnyEntry, state: State, cached: CachedEntry | None, size: int | None, record: str
) -> Listed:
    dataset = entry if isinstance(entry, DatasetEntry) else None
    return Listed(
        name=entry.name,
        shown_as=entry.name,
        kind=str(entry.kind),
        species=entry.species_shown,
        cells=dataset.cell_line if dataset else None,
        method=_method(entry),
        perturbations=dataset.genes_perturbed if dataset else None,
        size=size,
        state=state,
        group=GROUP_MEANINGS[entry.group],
        release=None if state is State.EMBEDDED else (cached.record if cached else record),
        path=str(next(iter(cached.files.values())).parent) if cached else None,
        aliases=entry.aliases,
    )


def _method(entry: AnyEntry) -> str | None:
    if isinstance(entry, DatasetEntry):
        return entry.perturbation_type
    return getattr(entry, "data_used", None)


def _size(entry: AnyEntry, cached: CachedEntry | None, files: ReleaseFiles) -> int | None:
    if cached is not None:
        return sum(path.stat().st_size for path in cached.files.values())
    place = files.known_place(entry)
    return sum(m.size for m in place.members.values()) if place and place.members else None


def _local(folder: Path) -> Iterable[Listed]:
    catalog = load_catalog()
    for local in read_collection(folder):
        hides = local.name in catalog.entries or local.name in catalog.aliases
        yield Listed(
            name=local.name,
            shown_as=f"{local.name} (local: {folder})" if hides else local.name,
            kind=str(local.kind),
            species=local.row.get("species") or None,
            cells=local.row.get("cell_type") or None,
            method=(local.row.get("direction") or local.row.get("data_used") or "").lower()
            or None,
            perturbations=local.row.get("num_perturbations") or None,
            size=_local_size(local),
            state=State.ABSENT if local.absent_because else State.LOCAL,
            group="local collection",
            release=None,
            path=str(next(iter(local.files.values())).parent) if local.files else None,
            note=local.absent_because,
        )


def _local_size(local: LocalEntry) -> int | None:
    return sum(p.stat().st_size for p in local.files.values()) if local.files else None


def _words(species: str | None) -> set[str]:
    return {
        w.strip().casefold() for w in (species or "").replace("_mouse", ",mouse").split(",")
    } - {""}
