"""Fetching by name from a server that behaves like the service, and misbehaves."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import anndata
import pytest
from archive_server import ArchiveServer, Faults
from archives import DATASETS, RECORD, SIMULATION, small_h5ad, stand_in
from service_fixtures import Ran

from pereggrn_data import __version__
from pereggrn_data.core.errors import IntegrityError, NetworkError, UnknownNameError, UsageError
from pereggrn_data.loaders.archive import NotInReleaseError
from pereggrn_data.loaders.archive.zip_index import TAIL
from pereggrn_data.loaders.cache import NotFetchedError
from pereggrn_data.loaders.remote import BlockedError, NotThereError, OfflineError
from pereggrn_data.pipelines.collection import fetch, load, open_dataset
from pereggrn_data.pipelines.collection.resolve import resolve

Serve = Callable[..., ArchiveServer]
Command = Callable[..., Ran]


def member(archive: Path, path: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(path)


def target(cache_folder: Path, name: str, file: str = "test.h5ad") -> Path:
    return cache_folder / RECORD / "perturbations" / name / file


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """One archive whose members do not fit into the first request for its end."""
    path = tmp_path / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
        for name in ("nakatake", "norman", "dixit"):
            out.writestr(f"root/perturbations/{name}/test.h5ad", stand_in(name, 700_000))
    return path


@pytest.mark.parametrize("name", [*DATASETS, "fantom4"])
def test_a_dataset_arrives_whole_under_its_own_name(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, name: str
) -> None:
    serve(archives)
    (fetched,) = fetch(name)
    path = f"perturbation_data/perturbations/{name}/test.h5ad"
    assert target(cache_folder, name).read_bytes() == member(
        archives["perturbation_data.zip"], path
    )
    assert {p.name for p in fetched.paths} == (
        {"test.h5ad", "train.h5ad", "screen.csv"} if name == "fantom4" else {"test.h5ad"}
    )
    assert all(f.downloaded and f.origin == "first seen" for f in fetched.files)
    assert not list(cache_folder.rglob("*.part*"))
    assert not list(target(cache_folder, name).parent.glob("tmp*"))


def test_it_can_be_read_by_name_once_it_is_there(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    with pytest.raises(NotFetchedError, match="pereggrn-data fetch nakatake"):
        load("nakatake")
    serve(archives)
    fetch("nakatake")
    dataset = open_dataset("nakatake")
    assert isinstance(dataset.adata, anndata.AnnData)
    assert (dataset.name, dataset.shown_as) == ("nakatake", "nakatake")


def test_files_are_for_the_group_to_read(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    (fetched,) = fetch("nakatake")
    assert fetched.paths[0].stat().st_mode & stat.S_IRGRP
    assert fetched.paths[0].parent.stat().st_mode & stat.S_IXGRP


def test_few_requests_and_few_bytes(serve: Serve, big: Path, cache_folder: Path) -> None:
    server = serve({"perturbation_data.zip": big})
    fetch("norman")
    assert [s.range and s.range.startswith("bytes=") for s in server.seen] == [None, True, True]
    assert server.bytes_sent() < 700_000 + TAIL + 20_000
    sent = len(server.seen)
    fetch("norman")
    fetch("dixit")
    assert len(server.seen) == sent + 1, "the record and the index are asked for once"


def test_neighbours_come_in_one_request(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    server = serve(archives)
    (fetched,) = fetch("regulatorynetworks.org_human")
    assert len(fetched.files) == 3
    assert len(server.file_requests()) == 2
    assert set(resolve("regulatorynetworks.org_human").files) == {
        "K562-DS9767",
        "NB4-DS12543",
        "fLung-DS14724",
    }


def test_names_with_spaces_and_equal_signs_survive(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command
) -> None:
    serve(archives)
    assert command("fetch", SIMULATION, "gtex_rna", "--quiet").code == 0
    assert target(cache_folder, SIMULATION).exists()
    assert set(resolve("gtex_rna").files) == {"Adipose - Subcutaneous", "Brain (cortex)"}
    assert command("path", SIMULATION).out.strip() == str(target(cache_folder, SIMULATION))


def test_an_alias_is_said_and_finds_the_older_folder(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    said: list[str] = []
    (fetched,) = fetch("replogle", say=said.append)
    assert fetched.name == "replogle1"
    assert said[0] == "replogle is another name of replogle1."
    assert load("replogle").n_obs == load("replogle1").n_obs


@pytest.mark.parametrize(
    "faults",
    [
        Faults(etag=False, last_modified=False),
        Faults(accept_ranges="none"),
        Faults(suffix_ranges=False),
        Faults(old_json=True),
        Faults(redirect=True),
        Faults(page_link_missing=True),
        Faults(retry_after="7200"),
        Faults(status=[429, 503, 500]),
        Faults(status=[503], retry_after="0"),
        Faults(cut_after=[10, 100_000, 300_000]),
        Faults(stall_after=[200_000]),
        Faults(wrong_content_range=1),
        Faults(chunked=True, ranges=False),
        Faults(ranges=False),
        Faults(ranges=False, cut_after=[200_000]),
        Faults(ranges=False, wrong_md5=False, etag=False, last_modified=False),
        Faults(corrupt=1),
    ],
    ids=lambda f: ",".join(f"{k}={v}" for k, v in vars(f).items() if v != getattr(Faults(), k)),
)
def test_it_arrives_in_spite_of(
    serve: Serve, big: Path, cache_folder: Path, faults: Faults
) -> None:
    serve({"perturbation_data.zip": big}, faults)
    fetch("norman")
    assert target(cache_folder, "norman").read_bytes() == stand_in("norman", 700_000)
    assert not list(cache_folder.rglob("*.part*"))


def test_a_server_without_ranges_is_not_read_by_accident(
    serve: Serve, big: Path, cache_folder: Path
) -> None:
    slowly = Faults(ranges=False, bytes_per_second=10_000_000)
    server = serve({"perturbation_data.zip": big}, slowly)
    fetch("norman")
    *refused, whole = server.file_requests()
    assert len(refused) == 2, "both links are asked for a part"
    for one in refused:
        assert one.sent < big.stat().st_size, "the answer to a ranged request is not read"
    assert (whole.range, whole.sent) == (None, big.stat().st_size)
    fetch("dixit")
    assert len(server.file_requests()) == 3, "the archive is kept for the next one"


@pytest.mark.parametrize(
    ("faults", "error", "says"),
    [
        (Faults(block_with_page=True), BlockedError, "nothing about whether the file exists"),
        (Faults(status=[403] * 4), NetworkError, "refused"),
        (Faults(status=[404]), NotThereError, "does not exist"),
        (Faults(status=[500] * 4), NetworkError, "4 times in a row"),
        (Faults(status=[429], retry_after="3600"), NetworkError, "60 minutes"),
        (Faults(status=[503], retry_after="5"), NetworkError, "5 seconds"),
        (Faults(page_instead_of_file=True), NetworkError, "web page"),
        (Faults(corrupt=9), IntegrityError, "CRC-32"),
        (Faults(wrong_content_range=99), NetworkError, "again and again|another part"),
        (Faults(ranges=False, wrong_md5=True), IntegrityError, "md5"),
        (Faults(cut_after=[0] * 50), NetworkError, "."),
    ],
    ids=lambda x: x.__name__ if isinstance(x, type) else None,
)
def test_failures_say_what_they_are(
    serve: Serve, big: Path, cache_folder: Path, faults: Faults, error: type[Exception], says: str
) -> None:
    serve({"perturbation_data.zip": big}, faults)
    with pytest.raises(error) as caught:
        fetch("norman")
    import re

    assert re.search(says, str(caught.value))
    assert not target(cache_folder, "norman").exists()


def test_a_missing_record_is_not_retried(serve: Serve, big: Path, cache_folder: Path) -> None:
    server = serve({"perturbation_data.zip": big})
    with pytest.raises(NotThereError, match="Record 99 does not exist"):
        fetch("norman", release="99")
    assert len(server.seen) == 1


def test_a_mismatch_is_set_aside_and_never_a_reason_for_the_whole_archive(
    serve: Serve, big: Path, cache_folder: Path
) -> None:
    server = serve({"perturbation_data.zip": big}, Faults(corrupt=9))
    with pytest.raises(IntegrityError, match="kept as"):
        fetch("norman")
    assert len(list((cache_folder / RECORD / "set-aside").iterdir())) == 1
    assert all(s.range for s in server.file_requests())


def test_a_record_without_the_archive(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command
) -> None:
    serve({"perturbation_benchmarking.zip": archives["accessory_data.zip"]})
    with pytest.raises(NotInReleaseError, match="does not hold the dataset norman"):
        fetch("norman")
    ran = command("fetch", "norman")
    assert (ran.code, "--release" in ran.err) == (2, True)


def test_first_seen_is_enforced_ever_after(
    serve: Serve, tmp_path: Path, cache_folder: Path, command: Command
) -> None:
    path = tmp_path / "perturbation_data.zip"

    def write(data: bytes) -> None:
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("perturbations/norman/test.h5ad", data)

    write(stand_in("one"))
    server = serve({"perturbation_data.zip": path})
    fetch("norman")
    target(cache_folder, "norman").unlink()
    (cache_folder / RECORD / "release.json").unlink()
    write(stand_in("two"))
    server.version += 1
    with pytest.raises(IntegrityError, match="not the file that was seen before"):
        fetch("norman")
    assert not target(cache_folder, "norman").exists()
    assert command("cache", "clean", "norman", "--forget", "--yes").code == 0
    fetch("norman")
    assert target(cache_folder, "norman").read_bytes() == stand_in("two")


def test_an_archive_that_has_changed_since_the_index_was_read_is_looked_up_again(
    serve: Serve, tmp_path: Path, cache_folder: Path
) -> None:
    path = tmp_path / "perturbation_data.zip"

    def write(*names: str) -> None:
        with zipfile.ZipFile(path, "w") as out:
            for name in names:
                out.writestr(f"perturbations/{name}/test.h5ad", stand_in(name, 900_000))

    write("nakatake", "norman")
    server = serve({"perturbation_data.zip": path})
    fetch("nakatake")
    write("dixit", "nakatake", "norman")
    server.version += 1
    said: list[str] = []
    fetch("norman", say=said.append)
    assert target(cache_folder, "norman").read_bytes() == stand_in("norman", 900_000)
    assert any("not the archive that was promised" in s for s in said)


def test_a_damaged_file_in_the_cache_is_set_aside_not_replaced_silently(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command
) -> None:
    serve(archives)
    fetch("nakatake")
    good = target(cache_folder, "nakatake").read_bytes()
    target(cache_folder, "nakatake").write_bytes(good[:-1] + b"!")
    assert command("verify", "nakatake").code == 4
    said: list[str] = []
    fetch("nakatake", say=said.append)
    assert target(cache_folder, "nakatake").read_bytes() == good
    assert any("is kept as" in s for s in said)
    (aside,) = (cache_folder / RECORD / "set-aside").iterdir()
    assert aside.read_bytes() == good[:-1] + b"!"


def test_offline_never_touches_the_network(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    server = serve(archives)
    with pytest.raises(OfflineError, match="nakatake is not in the cache"):
        fetch("nakatake", offline=True)
    fetch("nakatake")
    before = len(server.seen)
    (fetched,) = fetch("nakatake", offline=True)
    assert fetched.paths[0].exists()
    with pytest.raises(OfflineError, match="fantom4"):
        fetch(["nakatake", "fantom4"], offline=True)
    assert len(server.seen) == before


def test_a_lock_is_enforced_from_the_start(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, tmp_path: Path, command: Command
) -> None:
    serve(archives)
    assert command("fetch", "nakatake", "--quiet").code == 0
    lock = tmp_path / "lock.json"
    assert command("lock", "--output", str(lock)).code == 0
    values = json.loads(lock.read_text())
    (locked,) = [
        m
        for a in values["archives"]
        for m in a["members"] or ()
        if m["path"].endswith("perturbations/nakatake/test.h5ad")
    ]
    assert locked["sha256"], "what was fetched is filled in"
    (fetched,) = fetch("nakatake", lock=lock)
    assert fetched.files[0].origin == "lock"
    locked["sha256"] = "0" * 64
    lock.write_text(json.dumps(values))
    ran = command("fetch", "nakatake", "--lock", str(lock))
    assert (ran.code, "sha256 0000" in ran.err) == (4, True)
    assert command("verify", "nakatake", "--lock", str(lock)).code != 0


def test_all_that_a_release_holds(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    said: list[str] = []
    fetched = fetch(everything=True, say=said.append)
    assert {f.name for f in fetched} >= {*DATASETS, "replogle1", "fantom4", "gtex_rna", "tf_lists"}
    assert any(s.startswith("Not in release") and "joung" in s for s in said)


def test_a_concept_record_is_resolved_on_request(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives, concepts={"8071808": RECORD})
    (fetched,) = fetch("nakatake", release="8071808")
    assert fetched.record == RECORD
    assert target(cache_folder, "nakatake").exists()


def test_names_that_do_not_exist(command: Command) -> None:
    with pytest.raises(UnknownNameError, match="nakatake"):
        fetch("nakatke")
    ran = command("fetch", "nakatke")
    assert (ran.code, ran.out) == (2, "")
    with pytest.raises(UsageError, match="nothing to fetch"):
        fetch([])


def test_the_embedded_dataset_needs_no_fetching(serve: Serve, cache_folder: Path) -> None:
    server = serve({})
    said: list[str] = []
    assert fetch("demo", say=said.append) == []
    assert said == ["demo is part of this package: there is nothing to fetch."]
    assert server.seen == []


def test_room_on_the_disk_is_checked_before_anything_is_downloaded(
    serve: Serve, big: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve({"perturbation_data.zip": big})
    monkeypatch.setattr(
        "pereggrn_data.pipelines.collection.fetch_entries.free_bytes", lambda _: 1000
    )
    with pytest.raises(UsageError, match="not enough room"):
        fetch("norman")
    assert len(server.file_requests()) == 1


def test_the_service_sees_who_we_are(serve: Serve, big: Path, cache_folder: Path) -> None:
    server = serve({"perturbation_data.zip": big})
    fetch("norman")
    assert all(s.agent == f"pereggrn-data/{__version__}" for s in server.seen)


def test_other_compression_needs_the_whole_archive(
    serve: Serve, tmp_path: Path, cache_folder: Path
) -> None:
    path = tmp_path / "perturbation_data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as out:
        out.writestr("perturbations/norman/test.h5ad", small_h5ad())
    server = serve({"perturbation_data.zip": path})
    fetch("norman")
    assert target(cache_folder, "norman").read_bytes() == small_h5ad()
    assert server.file_requests()[-1].sent == path.stat().st_size


def test_a_full_disk_is_no_bug_of_ours(
    serve: Serve, big: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    serve({"perturbation_data.zip": big})
    monkeypatch.setattr("pereggrn_data.loaders.archive.member_download.unpack", full)
    ran = command("fetch", "norman")
    assert (ran.code, "No space left" in ran.err) == (2, True)
    assert not target(cache_folder, "norman").exists()
    monkeypatch.undo()


def test_a_lock_of_another_release_is_refused(
    serve: Serve, archives: dict[str, Path], tmp_path: Path, command: Command
) -> None:
    serve(archives)
    lock = tmp_path / "lock.json"
    assert command("lock", "-o", str(lock)).code == 0
    ran = command("fetch", "nakatake", "--lock", str(lock), "--release", "13345104")
    assert (ran.code, "of another release" in ran.err) == (2, True)
    assert command("fetch", "nakatake", "--lock", str(tmp_path / "none")).code == 2


def test_https_is_never_left_for_http(monkeypatch: pytest.MonkeyPatch) -> None:
    import requests

    from pereggrn_data.loaders.remote import Http

    def answer(*_: object, **kw: object) -> requests.Response:
        assert kw.get("verify", True) is True
        response = requests.Response()
        response.status_code, response.url = 200, "http://elsewhere.example/x"
        response.raw = io.BytesIO()
        return response

    monkeypatch.setattr(requests.Session, "get", answer)
    with (
        pytest.raises(NetworkError, match="not encrypted"),
        Http().get("https://zenodo.org/x", headers={}),
    ):
        pass


def test_a_release_read_from_is_the_one_that_was_fetched(
    serve: Serve, archives: dict[str, Path], cache_folder: Path, command: Command
) -> None:
    serve(archives, record="13785607")
    fetch("nakatake", release="minimal")
    dataset = open_dataset("nakatake")
    assert dataset.path is not None
    assert "13785607" in dataset.path
    assert command("verify", "nakatake").code == 0
    assert json.loads(command("info", "nakatake", "--json").out)["release"] == "13785607"


def test_an_older_release_may_use_another_folder_name_and_still_be_complete(
    serve: Serve, archives: dict[str, Path], cache_folder: Path
) -> None:
    serve(archives)
    fetch("replogle1")
    assert target(cache_folder, "replogle1").exists()
    assert not target(cache_folder, "replogle").exists()
