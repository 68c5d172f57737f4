"""Damage in the cache is noticed, said, and never papered over."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from archive_server import Faults
from archives import RECORD, small_h5ad
from test_fetch import Command, Serve, target

from pereggrn_data.core.errors import IntegrityError
from pereggrn_data.loaders.files.hdf5 import separate_reading
from pereggrn_data.loaders.files.hdf5.separate_reading import Ending
from pereggrn_data.pipelines.collection import dataset_path, fetch, load, open_network

pytestmark = pytest.mark.looks_through


def change(path: Path) -> bytes:
    changed = path.read_bytes()[:-1] + b"!"
    path.write_bytes(changed)
    return changed


def test_a_damaged_record_of_checksums_costs_no_data(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command
) -> None:
    serve(archives)
    fetch("nakatake")
    (cache_folder / RECORD / "hashes.json").write_text("{")
    ran = command("fetch", "nakatake")
    assert (ran.code, "record of checksums" in ran.err) == (4, True)
    assert target(cache_folder, "nakatake").exists()
    assert not (cache_folder / RECORD / "set-aside").exists()
    ran = command("list", "--json")
    states = {row["name"]: row["state"] for row in json.loads(ran.out)}
    assert (ran.code, states["nakatake"]) == (0, "cached")


def test_offline_a_changed_file_is_an_error_and_stays(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command
) -> None:
    serve(archives)
    fetch("nakatake")
    changed = change(target(cache_folder, "nakatake"))
    ran = command("fetch", "nakatake", "--offline")
    assert (ran.code, "is not the file that was fetched" in ran.err) == (4, True)
    assert target(cache_folder, "nakatake").read_bytes() == changed


def test_a_replaced_file_is_said_even_when_quiet(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command
) -> None:
    serve(archives)
    fetch("nakatake")
    change(target(cache_folder, "nakatake"))
    ran = command("fetch", "nakatake", "--quiet")
    assert (ran.code, "is kept as" in ran.err) == (0, True)


def test_a_changed_file_is_not_read(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command
) -> None:
    serve(archives)
    fetch(["nakatake", "gtex_rna"])
    load("nakatake")
    path = target(cache_folder, "nakatake")
    good = path.read_bytes()
    change(path)
    for read in (load, dataset_path):
        with pytest.raises(IntegrityError, match="is not the file that was fetched"):
            read("nakatake")
    assert command("path", "nakatake").code == 4
    path.write_bytes(good)  # the same content at another time is fine
    assert load("nakatake").n_obs
    assert open_network("gtex_rna").n_edges
    for file in cache_folder.rglob("gtex_rna/networks/*.parquet"):
        change(file)
    with pytest.raises(IntegrityError, match="is not the file that was fetched"):
        open_network("gtex_rna")


def test_bits_that_a_disk_loses_are_noticed_when_the_file_is_read(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    for name, read in (("nakatake", load), ("gtex_rna", open_network)):
        for path in fetch(name)[0].paths:
            before = path.stat()
            change(path)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(IntegrityError, match="is not the file that was fetched"):
            read(name)


def test_what_a_killed_run_has_left_is_removed(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    fetch("nakatake")
    index = cache_folder / RECORD / ".release.json.abcdefgh.part"
    unpacking = cache_folder / RECORD / "parts" / "nakatake.unpacking"
    for left in (index, unpacking):
        left.mkdir(parents=True)
        os.utime(left, (0, 0))
    fetch("nakatake")
    assert not index.exists()
    assert not unpacking.exists()


def test_what_was_fetched_is_not_looked_through_while_it_is_the_same(
    serve: Serve,
    archives: dict[str, Path],
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    looked: list[str] = []

    def forked(path: Path, seconds: float) -> Ending:
        looked.append(path.name)
        return Ending.FINE

    for how in ("_forked", "_spawned"):
        monkeypatch.setattr(separate_reading, how, forked)
    monkeypatch.setattr(separate_reading, "_looked_through", {})
    serve(archives)
    path = fetch("nakatake")[0].paths[0]
    assert load("nakatake").n_obs
    assert looked == []
    copied = tmp_path / "copied.h5ad"  # nobody says what it should be
    shutil.copy(path, copied)
    assert load(copied).n_obs
    assert looked == ["copied.h5ad"]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        for i, name in enumerate(("nakatake", "norman")):
            out.writestr(f"perturbations/{name}/test.h5ad", small_h5ad(i))
    return path


@pytest.mark.parametrize("how", ["middle", "cut"])
def test_a_damaged_whole_archive_is_set_aside_and_fetched_again(
    serve: Serve, stored: Path, cache_folder: Path, command: Command, how: str
) -> None:
    serve({"perturbation_data.zip": stored}, Faults(ranges=False))
    fetch("nakatake")
    whole = cache_folder / RECORD / "archives" / "perturbation_data.zip"
    data = bytearray(whole.read_bytes())
    if how == "cut":
        del data[len(data) // 2 :]
    else:
        data[data.rindex(b"\x89HDF") + 1000] ^= 0xFF
    whole.write_bytes(data)
    assert command("verify").code == 4
    assert command("fetch", "norman", "--offline").code == 4
    assert whole.read_bytes() == bytes(data)
    said: list[str] = []
    fetch("norman", say=said.append)
    assert any("perturbation_data.zip is damaged" in s for s in said)
    assert target(cache_folder, "norman").read_bytes() == small_h5ad(1)
    assert command("verify").code == 0


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_under_any_compression_is_no_bug_of_ours(
    serve: Serve, tmp_path: Path, cache_folder: Path, command: Command, method: int
) -> None:
    path = tmp_path / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w", method) as out:
        out.writestr("perturbations/norman/test.h5ad", small_h5ad())
    data = bytearray(path.read_bytes())
    data[200:400] = bytes(200)
    path.write_bytes(data)
    serve({"perturbation_data.zip": path})
    ran = command("fetch", "norman")
    assert (ran.code, "data packed by" in ran.err) == (4, True), ran.err


def test_a_lock_that_does_not_fit_is_not_to_be_forgotten(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, tmp_path: Path, command: Command
) -> None:
    serve(archives)
    fetch("nakatake")
    lock = tmp_path / "lock.json"
    assert command("lock", "--output", str(lock)).code == 0
    text = lock.read_text()
    sha256 = next(
        m["sha256"] for a in json.loads(text)["archives"] for m in a["members"] if m["sha256"]
    )
    lock.write_text(text.replace(sha256, "0" * 64))
    ran = command("fetch", "nakatake", "--lock", str(lock))
    assert (ran.code, "--forget" in ran.err, "lock" in ran.err) == (4, False, True)


def test_nothing_is_left_of_a_rejected_archive(
    serve: Serve, stored: Path, cache_folder: Path
) -> None:
    serve({"perturbation_data.zip": stored}, Faults(ranges=False, wrong_md5=True))
    with pytest.raises(IntegrityError, match="not the archive of the record"):
        fetch("norman")
    assert not list((cache_folder / RECORD / "parts").iterdir())
