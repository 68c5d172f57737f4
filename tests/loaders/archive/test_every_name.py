"""Every dataset, network and table resolves by name from archives in the original's layout."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from archive_server import ArchiveServer
from archives import RECORD, stand_in

from pereggrn_data.catalog import DatasetEntry, EntryKind, Group, NetworkEntry, load_catalog
from pereggrn_data.loaders.cache import wanted_files
from pereggrn_data.pipelines.collection import entry_paths, fetch

Serve = Callable[..., ArchiveServer]
ENTRIES = [e for e in load_catalog().entries.values() if e.group is not Group.EMBEDDED]
BEGINNINGS = {".h5ad": b"\x89HDF\r\n\x1a\n", ".parquet": b"PAR1", ".gz": b"\x1f\x8b"}
ROOTS = {
    EntryKind.DATASET: "perturbation_data",
    EntryKind.NETWORK: "network_collection",
    EntryKind.TABLE: "accessory_data",
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three archives with a small stand-in for every file of the catalog."""
    folder = tmp_path_factory.mktemp("everything")
    paths = {f"{root}.zip": folder / f"{root}.zip" for root in ROOTS.values()}
    opened = {k: zipfile.ZipFile(p, "w", zipfile.ZIP_DEFLATED) for k, p in paths.items()}
    for entry in ENTRIES:
        root = ROOTS[entry.kind]
        for wanted in wanted_files(entry):
            names = ("all", "a b=c") if isinstance(entry, NetworkEntry) else ("human", "mouse")
            remote = wanted.remote[0]
            for name in names if "*" in remote else ("",):
                path = f"{root}/{remote.replace('*', name)}"
                data = BEGINNINGS.get(Path(path).suffix, b"") + path.encode()
                opened[f"{root}.zip"].writestr(path, data)
    for archive in opened.values():
        archive.close()
    return paths


def test_all_of_them(serve: Serve, everything: dict[str, Path], cache_folder: Path) -> None:
    server = serve(everything)
    fetched = {f.name: f for f in fetch([e.name for e in ENTRIES])}
    assert set(fetched) == {e.name for e in ENTRIES}
    for entry in ENTRIES:
        paths = {p.name for p in fetched[entry.name].paths}
        if isinstance(entry, DatasetEntry):
            assert paths == {*entry.files, *entry.optional_files}
        assert set(entry_paths(entry.name)) <= set(fetched[entry.name].paths)
        for path in fetched[entry.name].paths:
            local = str(path.relative_to(cache_folder / RECORD))
            assert path.read_bytes().endswith(f"/{local}".encode())
    # One for the record and one for each index; these archives came with their indexes.
    assert len([s for s in server.seen if "/api/" in s.path and "/files/" not in s.path]) == 1


@pytest.mark.parametrize("root", ["", "perturbation_data/", "some/other/root/"])
@pytest.mark.parametrize("parent", ["perturbations/", ""])
def test_the_root_folder_is_optional(serve: Serve, tmp_path: Path, root: str, parent: str) -> None:
    path = tmp_path / "perturbation_data_minimal.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{root}{parent}norman/test.h5ad", stand_in("norman"))
    serve({"perturbation_data_minimal.zip": path})
    (fetched,) = fetch("norman")
    assert fetched.paths[0].read_bytes() == stand_in("norman")
