"""Where the files of a name lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pereggrn_data.catalog.entries import EntryKind, Group
from pereggrn_data.catalog.registry import load_catalog
from pereggrn_data.core.errors import UnknownNameError, UsageError
from pereggrn_data.loaders.cache.cached import find_cached, not_fetched, unchanged
from pereggrn_data.loaders.cache.local_collections import (
    collection_folder,
    local_entry,
    refuse_absent,
)

MAIN_FILE = "test.h5ad"


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
    files, kind = _local_files(name, collection, say) or _cached_files(name, collection)
    if file is None and kind is EntryKind.DATASET and MAIN_FILE in files:
        return [files[MAIN_FILE]]
    if file is None:
        return list(files.values())
    if file not in files:
        raise UnknownNameError(f"file of {name}", file, list(files))
    return [files[file]]


def _local_files(
    name: str, collection: str | None, say: Callable[[str], None]
) -> tuple[Mapping[str, Path], EntryKind] | None:
    local = local_entry(name, collection_folder(collection))
    if local is None or not local.files:
        return None
    if local.name != name:
        say(f"{name} is called {local.name} in {local.folder}.")
    return {p.name: p for p in local.files.values()}, local.kind


def _cached_files(name: str, collection: str | None) -> tuple[Mapping[str, Path], EntryKind]:
    published = load_catalog().get(name)
    if published is None or find_cached(published) is None:
        refuse_absent(name, collection_folder(collection))
    entry = load_catalog().entry(name)
    if entry.group is Group.EMBEDDED:
        raise UsageError(
            f"{entry.name} is made when it is read; it has no file.",
            fix=f'pereggrn_data.load("{entry.name}") gives it.',
        )
    found = find_cached(entry)
    if found is None:
        raise not_fetched(entry)
    return {p.name: p for p in unchanged(found).files.values()}, entry.kind
