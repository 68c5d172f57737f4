"""From a name or path from outside to the files that it stands for: the one resolver.

A name is looked up in the local collection, then among what is embedded in this
package, then in the cache of fetched entries; a path comes last, so that a file in the
working directory never hides a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pereggrn_data.catalog import AnyEntry, EntryKind, Group, load_catalog
from pereggrn_data.core.errors import MissingFileError, UnknownNameError, UsageError, with_article
from pereggrn_data.core.format import TEST_FILE
from pereggrn_data.loaders.cache import (
    COLLECTION_VARIABLE,
    NO_FILES,
    AbsentError,
    CachedEntry,
    LocalEntry,
    collection_folder,
    find_cached,
    local_entry,
    not_fetched,
    read_collection,
    unchanged,
)
from pereggrn_data.loaders.files.any_file import existing_data, existing_path
from pereggrn_data.pipelines.collection.record_files_here import path_of_record_file

NEEDED: Mapping[EntryKind, str] = {EntryKind.DATASET: TEST_FILE}
"""The file without which an entry that is asked for by its kind cannot be read."""

EMPTY_NETWORK = "empty"
DEMO_NETWORK = "demo"
"""The true network of the embedded dataset, which has the same name."""

NETWORKS_OF_GENES = ("dense", "random")
"""Networks that are made in Python, because they need genes."""

PATH_SUFFIXES: Mapping[EntryKind, tuple[str, ...]] = {
    EntryKind.DATASET: (".h5ad", ".parquet", ".csv"),
    EntryKind.NETWORK: (".parquet",),
}
"""What can be given by path, and the endings that no name has."""


class FoundIn(StrEnum):
    """Where the files of a name were found."""

    LOCAL = "local collection"
    EMBEDDED = "embedded"
    CACHED = "cache"
    PATH = "path"


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """What a name stands for.

    Parameters
    ----------
    name
        As it is called where it was found: a local collection may use an alias.
    kind
        Dataset, network or table.
    found_in
        Where it was found.
    files
        Of networks by subnetwork, else by file name; none for what is embedded.
    entry
        What the catalog says of it; None if it is not published.
    folder
        The local collection, or None if it was found elsewhere.
    cached
        The fetched files with their release, or None if it was found elsewhere.
    path
        What was given, if that was a path.
    """

    name: str
    kind: EntryKind
    found_in: FoundIn
    files: Mapping[str, Path] = field(default_factory=dict)
    entry: AnyEntry | None = None
    folder: Path | None = None
    cached: CachedEntry | None = None
    path: Path | None = None

    def require_files(self) -> Mapping[str, Path]:
        """Return the files.

        Raises
        ------
        UsageError
            If it is embedded and has none.
        """
        if self.found_in is FoundIn.EMBEDDED:
            raise UsageError(
                f"{self.name} is made when it is read; it has no file.",
                fix=f'pereggrn_data.load("{self.name}") gives it.',
            )
        return self.files


def resolve(
    given: str,
    kind: EntryKind | None = None,
    *,
    collection: str | None = None,
    paths: bool = False,
) -> Resolved:
    """Find what a name stands for, or say why it is absent; nothing is downloaded.

    Parameters
    ----------
    given
        A name or alias; with `paths`, also a path.
    kind
        Only names of this kind.
    collection
        Folder of the local collection; by default ``PEREGGRN_COLLECTION``.
    paths
        Whether a dataset or network may be given by path, or by the name of a file of a
        record that has been fetched (``zenodo:RECORD/FILE``).

    Raises
    ------
    UnknownNameError
        If there is neither such a name nor such a file, with near matches.
    AbsentError
        If the local collection lists it, but it cannot be read.
    NotFetchedError
        If it is published but has not been fetched.
    IntegrityError
        If a file in the cache has changed since it was fetched.
    MissingFileError
        If the path, or the folder of the local collection, does not exist.
    """
    if paths and kind is not None and (file := path_of_record_file(given)) is not None:
        return Resolved(
            name=given, kind=kind, found_in=FoundIn.PATH, files={file.name: file}, path=file
        )
    # What can only be a path needs no collection, not even one that is named wrongly.
    folder = None if "/" in given else collection_folder(collection)
    for found in places(given, kind, folder):
        if found.cached is not None:
            # Of a dataset that is read, the files beside its main one do not matter.
            main = [p for p in found.cached.files if kind is EntryKind.DATASET and _is_main(p)]
            unchanged(found.cached, only=main[0] if main else None)
        return found
    _refuse_absent(given, kind, folder)
    if (entry := _published(given, kind)) is not None:
        raise not_fetched(entry)
    if kind is EntryKind.NETWORK and given in (EMPTY_NETWORK, DEMO_NETWORK):
        return Resolved(name=given, kind=kind, found_in=FoundIn.EMBEDDED)
    if kind is not None and paths:
        return _by_path(given, kind, folder)
    raise load_catalog().unknown_name(given, kind)


def entry_paths(
    name: str,
    *,
    file: str | None = None,
    collection: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Return the files of a name: of a dataset the ``test.h5ad``, else all of them.

    Parameters
    ----------
    file
        One file of the entry, by name.
    collection
        Local collection; what it has comes before what was fetched.

    Raises
    ------
    UnknownNameError
        If there is no such name, or no such file of it.
    NotFetchedError
        If it is published but not fetched.
    """
    if (fetched := path_of_record_file(name)) is not None:
        return [fetched]
    found = resolve(name, collection=collection)
    if found.found_in is FoundIn.LOCAL and found.name != name:
        say(f"{name} is called {found.name} in {found.folder}.")
    files = {p.name: p for p in found.require_files().values()}
    if file is None and found.kind is EntryKind.DATASET and TEST_FILE in files:
        return [files[TEST_FILE]]
    if file is None:
        return list(files.values())
    if file not in files:
        raise UnknownNameError(f"file of {name}", file, list(files))
    return [files[file]]


def places(name: str, kind: EntryKind | None, folder: Path | None) -> Iterator[Resolved]:
    """Give every place where a name can be read, the one that wins first.

    Parameters
    ----------
    folder
        The local collection, or None if there is none.
    """
    entry = _published(name, kind)
    local = local_entry(name, folder, kind, with_file=NEEDED.get(kind) if kind else None)
    if local is not None and _has_needed(local, kind):
        yield _from_collection(local, entry)
    if entry is not None and entry.group is Group.EMBEDDED:
        yield Resolved(name=entry.name, kind=entry.kind, found_in=FoundIn.EMBEDDED, entry=entry)
    elif entry is not None and (cached := find_cached(entry)) is not None:
        by_stem = entry.kind is EntryKind.NETWORK
        yield Resolved(
            name=entry.name,
            kind=entry.kind,
            found_in=FoundIn.CACHED,
            files={p.stem if by_stem else p.name: p for p in cached.files.values()},
            entry=entry,
            cached=cached,
        )


def readable(kind: EntryKind, folder: Path | None) -> dict[str, Resolved]:
    """Map the names of a kind that can be read here to what they stand for; local ones win."""
    published = (e.name for e in load_catalog().entries.values() if e.kind is kind)
    found = {place.name: place for name in published for place in places(name, kind, None)}
    for local in read_collection(folder) if folder else ():
        if local.kind is kind and _has_needed(local, kind):
            found[local.name] = _from_collection(local, _published(local.name, kind))
    return {name: found[name] for name in sorted(found) if found[name].files}


def _is_main(local: str) -> bool:
    return local.rsplit("/", 1)[-1] == TEST_FILE


def _has_needed(local: LocalEntry, kind: EntryKind | None) -> bool:
    needed = NEEDED.get(kind) if kind else None
    return bool(local.files) and (needed is None or needed in local.files)


def _published(name: str, kind: EntryKind | None) -> AnyEntry | None:
    entry = load_catalog().get(name)
    return entry if entry is not None and kind in (None, entry.kind) else None


def _from_collection(local: LocalEntry, entry: AnyEntry | None) -> Resolved:
    return Resolved(
        name=local.name,
        kind=local.kind,
        found_in=FoundIn.LOCAL,
        files=local.files,
        entry=entry,
        folder=local.folder,
    )


def _refuse_absent(name: str, kind: EntryKind | None, folder: Path | None) -> None:
    """Say why an entry of a local collection cannot be read, if there is one.

    A published name that has merely no files here is left to the published entry.
    """
    local = local_entry(name, folder, kind)
    if local is None or local.absent_because is None:
        return
    if local.absent_because == NO_FILES and load_catalog().get(name) is not None:
        return
    raise AbsentError(
        f"{local.name} is listed in the local collection {local.folder}, but it is absent.",
        got=local.absent_because,
        fix="put its files there, and set is_ready to yes in the table, if it has that column.",
    )


def _by_path(given: str, kind: EntryKind, folder: Path | None) -> Resolved:
    if kind is EntryKind.NETWORK and given in NETWORKS_OF_GENES:
        raise UsageError(
            f"{with_article(given).capitalize()} network needs genes.",
            fix=f"make it by Network.{given}(regulators, targets, ...) in Python.",
        )
    is_dataset = kind is EntryKind.DATASET
    path = existing_data(given) if is_dataset else existing_path(given)
    if path is not None:
        return Resolved(
            name=given, kind=kind, found_in=FoundIn.PATH, files={path.name: path}, path=path
        )
    if "/" in given or given.endswith(PATH_SUFFIXES[kind]):
        what = "file" if is_dataset else "file or folder"
        raise MissingFileError.at(given, f"There is no {what} {given}.")
    catalog = load_catalog()
    known = [
        *([] if is_dataset else [EMPTY_NETWORK]),
        *readable(kind, folder),
        *(e.name for e in catalog.entries.values() if e.kind is kind),
        *(a for a, n in catalog.aliases.items() if catalog.entries[n].kind is kind),
    ]
    raise UnknownNameError(
        str(kind),
        given,
        list(dict.fromkeys(known)),
        fix=f"Give a path, or name a collection by {COLLECTION_VARIABLE}.",
    )
