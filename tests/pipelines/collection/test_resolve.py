"""The one resolver: every name of the catalog, every kind of place, and which of them wins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import ArchiveServer
from archives import small_h5ad, small_parquet

from pereggrn_data.catalog import EntryKind, Group, load_catalog
from pereggrn_data.core.errors import MissingFileError, UnknownNameError, UsageError
from pereggrn_data.core.format import TEST_FILE
from pereggrn_data.loaders.cache import AbsentError, NotFetchedError
from pereggrn_data.pipelines.collection import FoundIn, fetch
from pereggrn_data.pipelines.collection.resolve import readable, resolve

ENTRIES = load_catalog().entries.values()
EMBEDDED = [e.name for e in ENTRIES if e.group is Group.EMBEDDED]


@pytest.fixture
def collection(tmp_path: Path, cache_folder: Path) -> Path:
    """Give a local collection with a dataset and a network, and tables that promise more."""
    folder = tmp_path / "collection"
    for name in ("nakatake", "mine", EMBEDDED[0]):
        place = folder / "perturbations" / name
        place.mkdir(parents=True)
        (place / TEST_FILE).write_bytes(small_h5ad())
    (folder / "perturbations" / "part").mkdir()
    (folder / "perturbations" / "part" / "train.h5ad").write_bytes(small_h5ad())
    rows = "name,is_ready\nmine,yes\nabsent,yes\n"
    (folder / "perturbations" / "perturbations.csv").write_text(rows)
    place = folder / "networks" / "net" / "networks"
    place.mkdir(parents=True)
    (place / "a.parquet").write_bytes(small_parquet())
    return folder


@pytest.mark.parametrize("name", [n for e in ENTRIES for n in e.names])
def test_every_name_of_the_catalog_is_known(cache_folder: Path, name: str) -> None:
    entry = load_catalog().entry(name)
    for kind in (None, entry.kind):
        if entry.group is Group.EMBEDDED:
            found = resolve(name, kind)
            assert (found.found_in, found.entry, found.files) == (FoundIn.EMBEDDED, entry, {})
            with pytest.raises(UsageError, match="it has no file"):
                found.require_files()
        else:
            with pytest.raises(NotFetchedError, match="has not been fetched"):
                resolve(name, kind)
    for kind in set(EntryKind) - {entry.kind}:
        # The network `demo` is made of the dataset of that name.
        if (kind, entry.group) == (EntryKind.NETWORK, Group.EMBEDDED):
            assert resolve(name, kind).found_in is FoundIn.EMBEDDED
            continue
        with pytest.raises(UnknownNameError):
            resolve(name, kind)


def test_the_local_collection_wins(
    collection: Path,
    serve: Callable[..., ArchiveServer],
    archives: dict[str, Path],
) -> None:
    serve(archives)
    fetch("nakatake")
    for kind in (None, EntryKind.DATASET):
        assert resolve("nakatake", kind).found_in is FoundIn.CACHED
        found = resolve("nakatake", kind, collection=str(collection))
        assert (found.found_in, found.folder) == (FoundIn.LOCAL, collection)
        assert found.entry is load_catalog().entry("nakatake")
        assert resolve(EMBEDDED[0], kind, collection=str(collection)).found_in is FoundIn.LOCAL
    assert set(readable(EntryKind.DATASET, collection)) == {"nakatake", "mine", EMBEDDED[0]}
    assert set(readable(EntryKind.NETWORK, collection)) == {"net"}


def test_what_is_absent_says_why(collection: Path) -> None:
    folder = str(collection)
    with pytest.raises(AbsentError, match="no files"):
        resolve("absent", EntryKind.DATASET, collection=folder)
    assert resolve("part", collection=folder).files.keys() == {"train.h5ad"}
    with pytest.raises(UnknownNameError):
        resolve("part", EntryKind.DATASET, collection=folder)
    with pytest.raises(UnknownNameError, match="mine"):
        resolve("mien", EntryKind.DATASET, collection=folder, paths=True)
    with pytest.raises(UnknownNameError):
        resolve("net", EntryKind.DATASET, collection=folder)


@pytest.mark.parametrize("kind", [EntryKind.DATASET, EntryKind.NETWORK])
def test_a_path_comes_last(
    collection: Path, tmp_path: Path, kind: EntryKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "mine" if kind is EntryKind.DATASET else "net"
    for file in (name, "other"):
        (tmp_path / file).write_bytes(b"x")
    folder = str(collection)
    assert resolve(name, kind, collection=folder, paths=True).found_in is FoundIn.LOCAL
    found = resolve("other", kind, collection=folder, paths=True)
    assert (found.found_in, found.path) == (FoundIn.PATH, Path("other"))
    with pytest.raises(UnknownNameError):
        resolve("other", kind, collection=folder)
    with pytest.raises(MissingFileError, match="check the path"):
        resolve("no/such", kind, collection="/no/such/collection", paths=True)
