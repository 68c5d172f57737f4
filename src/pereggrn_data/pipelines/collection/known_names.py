"""Whether there is a dataset or network of a name, and which parts a network has, read or not."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from pereggrn_data.catalog import EntryKind, load_catalog
from pereggrn_data.core.errors import PereggrnError
from pereggrn_data.core.format import TEST_FILE, TRAIN_FILE
from pereggrn_data.pipelines.collection.entry_info import info
from pereggrn_data.pipelines.collection.resolve import FoundIn, resolve

_ENDING = ".parquet"


def require_known(name: str, kind: EntryKind, collection: str | None = None) -> None:
    """Check that there is an entry of a name, a published one or one that is here.

    Parameters
    ----------
    name
        A name, an alias or a path.
    kind
        Dataset or network.
    collection
        Folder of the local collection.

    Raises
    ------
    UnknownNameError
        If there is neither such a name nor such a file, with near matches.
    AbsentError
        If only the local collection lists it, and it cannot be read.
    """
    entry = load_catalog().get(name)
    if entry is None or entry.kind is not kind:
        resolve(name, kind, collection=collection, paths=True)


def subnetwork_files(name: str, collection: str | None = None) -> list[str]:
    """Return the names of a network's files, in their order; nothing is downloaded.

    They are those of the local collection or the cache, else those that the archive's
    index is known to list. A network that is embedded, or one file, has no parts.

    Raises
    ------
    PereggrnError
        If there is no such network, or it is not here and neither is the index.
    """
    try:
        found = resolve(name, EntryKind.NETWORK, collection=collection, paths=True)
    except PereggrnError:
        if load_catalog().get(name) is None:
            raise
        files = [PurePosixPath(file["path"]) for file in info(name)["files"] if file.get("size")]
        known = sorted(file.name for file in files if file.suffix == _ENDING)
        if not known:
            raise
        return known
    if found.found_in is FoundIn.EMBEDDED:
        return []
    if found.path is not None:
        is_folder = found.path.is_dir()
        return sorted(p.name for p in found.path.glob(f"*{_ENDING}")) if is_folder else []
    return sorted(path.name for path in found.files.values())


def network_files(name: str, collection: str | None = None) -> list[Path]:
    """Return the files of a network that is here, in the order of their names.

    Raises
    ------
    PereggrnError
        If there is no such network, or it is not here.
    """
    found = resolve(name, EntryKind.NETWORK, collection=collection, paths=True)
    if found.found_in is FoundIn.EMBEDDED:
        return []
    if found.path is not None:
        return sorted(found.path.glob(f"*{_ENDING}")) if found.path.is_dir() else [found.path]
    return sorted(found.files.values(), key=lambda path: path.name)


def dataset_files(name: str, collection: str | None = None) -> list[Path]:
    """Return the file of a dataset that is here, and its separate training file, if any.

    Raises
    ------
    PereggrnError
        If there is no such dataset, or it is not here.
    """
    found = resolve(name, EntryKind.DATASET, collection=collection, paths=True)
    if found.found_in is FoundIn.EMBEDDED:
        return []
    main = found.path or found.files[TEST_FILE]
    training = main.with_name(TRAIN_FILE)
    return [main, *([training] if training.is_file() and training != main else [])]
