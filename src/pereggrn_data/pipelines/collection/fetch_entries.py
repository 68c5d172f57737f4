"""Fetch published datasets, networks and tables by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pereggrn_data.catalog import AnyEntry, Group, load_catalog
from pereggrn_data.core.errors import UnknownNameError, UsageError
from pereggrn_data.loaders.archive import (
    EntryPlan,
    FetchedFile,
    NotInReleaseError,
    RecordFile,
    TransferProgress,
    is_record_file,
)
from pereggrn_data.loaders.cache import collection_folder, free_bytes, open_cache, read_collection
from pereggrn_data.loaders.remote import HttpSettings
from pereggrn_data.pipelines.collection.record_files_here import (
    FILE_KIND,
    fetch_record_file,
    record_files,
)
from pereggrn_data.pipelines.collection.service import Say, Service, open_service, silent

DISK_RESERVE = 1 << 26
"""Bytes that must stay free."""


@dataclass(frozen=True)
class FetchedEntry:
    """An entry that is in the cache now.

    Parameters
    ----------
    record
        The release that it came from.
    """

    name: str
    kind: str
    record: str
    files: tuple[FetchedFile, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(f.path for f in self.files)


@dataclass(frozen=True)
class FetchPlan:
    """What a fetch will do, for the user to see before it begins.

    Parameters
    ----------
    entries
        One plan each.
    absent
        Names that the release does not hold (only with ``everything``).
    """

    record: str
    entries: tuple[EntryPlan, ...]
    absent: tuple[str, ...]
    free_bytes: int

    @property
    def transfer_bytes(self) -> int:
        """Bytes to download; an archive that several entries need counts once."""
        whole = {p.whole.key: p.whole.size for p in self.entries if p.whole is not None}
        return sum(whole.values()) + sum(p.transfer_bytes for p in self.entries if p.whole is None)

    @property
    def disk_bytes(self) -> int:
        """Bytes that the cache grows by while it works."""
        unpacked = sum(m.size for p in self.entries for m in p.missing.values())
        return self.transfer_bytes + unpacked


def fetch(
    names: str | Iterable[str] = (),
    *,
    everything: bool = False,
    release: str | None = None,
    lock: str | Path | None = None,
    member: str | None = None,
    offline: bool = False,
    say: Say = silent,
    warn: Say | None = None,
    progress: TransferProgress | None = None,
    confirm: Callable[[FetchPlan], bool] = lambda _: True,
    settings: HttpSettings | None = None,
) -> list[FetchedEntry]:
    """Bring published datasets, networks or tables into the cache, verified.

    Parameters
    ----------
    names
        One name or several; aliases work and say so. ``zenodo:RECORD/FILE`` is any
        file of any record of the archive, ``zenodo:RECORD/FILE.zip#PATH`` one file
        inside a zip file.
    member
        Path inside the zip file that is named.
    everything
        All that the release holds.
    release
        Record number, DOI or alias; by default the release of the paper.
    lock
        Lock file whose checksums are enforced.
    offline
        Never touch the network: succeed only if everything is here.
    say, warn
        Called with a sentence for each step that takes time, and for what must not be
        missed (by default `say` as well).
    confirm
        Shown the plan before anything is downloaded; False stops.

    Raises
    ------
    UnknownNameError
        With near matches.
    NotInReleaseError
        If the release does not hold one of them.
    NetworkError
        If the service cannot be reached.
    IntegrityError
        If a file is not what was promised.
    """
    asked = [names] if isinstance(names, str) else list(names)
    of_records = record_files([n for n in asked if is_record_file(n)], member)
    fetched = [
        _fetch_record_file(
            wanted, lock=lock, offline=offline, say=say, warn=warn or say, progress=progress,
            settings=settings,
        )
        for wanted in of_records
    ]  # fmt: skip
    rest = [n for n in asked if not is_record_file(n)]
    if fetched and not rest and not everything:
        return fetched
    entries = _entries(rest, everything, say)
    if not entries:  # all of them are embedded: no release, and no lock of one, is used
        return fetched
    service = open_service(
        release,
        lock=lock,
        offline=offline,
        say=say,
        warn=warn,
        progress=progress,
        settings=settings,
    )
    try:
        with _explaining_disk_errors(service.cache.root):
            plan = _plan(service, entries, everything, say)
        if not confirm(plan):
            raise UsageError("Nothing was fetched: it was not confirmed.", fix="add --yes.")
        _check_room(service, plan)
        with _explaining_disk_errors(service.cache.root):
            return fetched + [_fetch_one(service, p) for p in plan.entries]
    finally:
        service.http.close()


def _fetch_one(service: Service, plan: EntryPlan) -> FetchedEntry:
    files = tuple(service.fetcher.fetch(plan))
    return FetchedEntry(plan.entry.name, str(plan.entry.kind), service.files.record, files)


def _fetch_record_file(wanted: RecordFile, **how: Any) -> FetchedEntry:
    with _explaining_disk_errors(open_cache().root):
        file = fetch_record_file(wanted, **how)
    return FetchedEntry(str(wanted), FILE_KIND, wanted.record, (file,))


@contextmanager
def _explaining_disk_errors(root: Path) -> Iterator[None]:
    """Turn a full disk, or a cache that is not ours to write to, into an error of the user's."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"The cache {root} cannot be used.",
            got=str(error),
            fix="make room or get write access, or name another folder by PEREGGRN_CACHE; "
            "what has arrived is kept.",
        ) from error


def _entries(names: Sequence[str], everything: bool, say: Say) -> list[AnyEntry]:
    catalog = load_catalog()
    if everything == bool(names):
        raise UsageError(
            "There is nothing to fetch." if not names else "--all takes no names.",
            expected="names, or --all",
            fix="`pereggrn-data list` shows all names.",
        )
    if everything:
        return [e for e in catalog.entries.values() if e.group is not Group.EMBEDDED]
    entries: dict[str, AnyEntry] = {}
    for name in names:
        try:
            entry = catalog.entry(name)
        except UnknownNameError:
            _explain_if_local(name)
            raise
        if entry.name != name:
            say(f"{name} is another name of {entry.name}.")
        if entry.group is Group.EMBEDDED:
            say(f"{entry.name} is part of this package: there is nothing to fetch.")
        else:
            entries[entry.name] = entry
    return list(entries.values())


def _explain_if_local(name: str) -> None:
    folder = collection_folder()
    if folder and any(e.name == name for e in read_collection(folder)):
        raise UsageError(
            f"{name} is in your local collection {folder}, not in the published one.",
            fix="it can be read by name as it is; fetch brings published data only.",
        )


def _plan(service: Service, entries: Sequence[AnyEntry], everything: bool, say: Say) -> FetchPlan:
    plans, absent = [], []
    for entry in entries:
        try:
            plans.append(service.fetcher.plan(entry))
        except NotInReleaseError:
            if not everything:
                raise
            absent.append(entry.name)
    if absent:
        say(f"Not in release {service.files.record}: {', '.join(absent)}.")
    return FetchPlan(
        service.files.record, tuple(plans), tuple(absent), free_bytes(service.cache.root)
    )


def _check_room(service: Service, plan: FetchPlan) -> None:
    if plan.transfer_bytes and plan.free_bytes < plan.disk_bytes + DISK_RESERVE:
        raise UsageError(
            f"There is not enough room in {service.cache.root}.",
            expected=f"{plan.disk_bytes + DISK_RESERVE:,} bytes free",
            got=f"{plan.free_bytes:,} bytes",
            fix="make room, or name another folder by PEREGGRN_CACHE.",
        )
